// Blocks of a matrix product.
//
// The canonical sum: an output is one chain of fma from 0 over k = 0, 1, ..., as for the
// convolution (of two NaN, either may be the result). Between two blocks of k it waits in memory,
// exactly as it was.

#pragma once
#include "host.h"
#include "simd.h"

// Rows of a block, and vectors of columns: as many as the 32 or 16 registers hold. 10 divides the
// minibatches of every recipe.
template <class T> struct dot_size {
    enum { wide = VECTOR_BYTES == 64, narrow = sizeof(T) == 4 && VECTOR_BYTES };
    enum { rows = wide ? (narrow ? 10 : 8) : (narrow ? 6 : 4), vectors = narrow ? 2 : 3 };
    enum { lanes = simd<T>::lanes, columns = vectors * lanes };
};

// packed (K, lanes), its rows `ld` apart, from `some` <= lanes rows or columns, `lane` apart; k is
// `step` apart. Where ld < lanes, the next k overwrites what is too much.
template <class T>
static void dot_pack(const T *from, npy_intp lane, npy_intp step, npy_intp some, npy_intp K,
                     T *packed, npy_intp ld) {
    typedef simd<T> v;
    npy_intp k = 0;
    if (lane == 1) {
        for (; k < K; k++) v::store(packed + k * ld, v::load(from + k * step, some));
        return;
    }
    const T *row[v::lanes];
    for (npy_intp l = 0; l < v::lanes; l++) row[l] = from + std::min(l, some - 1) * lane;
    typename v::vec column[v::chunk];
    for (; step == 1 && k + v::chunk <= K; k += v::chunk) {
        v::load_columns(row, k, column);
        for (int i = 0; i < v::chunk; i++) v::store(packed + (k + i) * ld, column[i]);
    }
    for (; k < K; k++)
        for (npy_intp l = 0; l < v::lanes; l++) packed[k * ld + l] = row[l][k * step];
}

// A block of B, (K, columns), to panels (K, dot_size::columns) that follow each other.
template <class T>
static void dot_pack_panels(const T *B, npy_intp row, npy_intp column, npy_intp K,
                            npy_intp columns, T *packed) {
    typedef simd<T> v;
    const npy_intp panel = dot_size<T>::columns;
    const npy_intp whole = column == 1 ? columns / v::lanes * v::lanes : 0;
    for (npy_intp k = 0; whole && k < K; k++)  // along the rows, as memory is read fastest
        for (npy_intp c = 0; c < whole; c += v::lanes)
            v::store(packed + c / panel * K * panel + k * panel + c % panel, v::load(B + k * row + c));
    for (npy_intp c = whole; c < columns; c += v::lanes)
        dot_pack(B + c * column, column, row, std::min<npy_intp>(v::lanes, columns - c), K,
                 packed + c / panel * K * panel + c % panel, panel);
}

// MB rows by NV vectors of columns. A (K, MB); B (K, NV lanes), its rows `ldb` apart; C (MB, NV
// lanes), its rows `ldc` apart. more: C holds the sums so far.
template <class T, int MB, int NV>
static void dot_block(const T *A, const T *B, npy_intp ldb, npy_intp K, T *C, npy_intp ldc,
                      bool more) {
    typedef simd<T> v;
    typename v::vec acc[MB][NV];
#pragma GCC unroll 10
    for (int m = 0; m < MB; m++)
#pragma GCC unroll 3
        for (int i = 0; i < NV; i++)
            acc[m][i] = more ? v::load(C + m * ldc + i * v::lanes) : v::zero();
    for (npy_intp k = 0; k < K; k++, A += MB, B += ldb) {
        typename v::vec b[NV];
#pragma GCC unroll 3
        for (int i = 0; i < NV; i++) b[i] = v::load(B + i * v::lanes);
#pragma GCC unroll 10
        for (int m = 0; m < MB; m++) {
            const typename v::vec a = v::set(A[m]);
#pragma GCC unroll 3
            for (int i = 0; i < NV; i++) acc[m][i] = v::fma(a, b[i], acc[m][i]);
        }
    }
#pragma GCC unroll 10
    for (int m = 0; m < MB; m++)
#pragma GCC unroll 3
        for (int i = 0; i < NV; i++) v::store(C + m * ldc + i * v::lanes, acc[m][i]);
}

// C (rows, columns) += A B. A: packed blocks of rows, `block` elements from one to the next. A panel
// of B begins `step` elements behind the one before; of B and C whole vectors are touched. Rows that
// do not fill a block go to `edge` instead, whose rows are `edge_ld` apart.
template <class T>
static void dot_rows(const T *A, npy_intp block, npy_intp rows, const T *B, npy_intp ldb,
                     npy_intp step, npy_intp K, npy_intp columns, T *C, npy_intp ldc, T *edge,
                     npy_intp edge_ld, bool more) {
    enum { MB = dot_size<T>::rows, lanes = dot_size<T>::lanes, panel = dot_size<T>::columns };
    for (npy_intp c = 0; c < columns; c += panel, B += step) {
        const npy_intp some = columns - c;
        const auto run = some > 2 * lanes ? dot_block<T, MB, dot_size<T>::vectors>
                         : some > lanes   ? dot_block<T, MB, 2>
                                          : dot_block<T, MB, 1>;
        for (npy_intp m = 0; m < rows; m += MB)
            if (m + MB <= rows)
                run(A + m / MB * block, B, ldb, K, C + m * ldc + c, ldc, more);
            else
                run(A + m / MB * block, B, ldb, K, edge + c, edge_ld, more);
    }
}
