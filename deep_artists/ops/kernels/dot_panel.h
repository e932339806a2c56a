// Blocks of a matrix product.
//
// The canonical sum: an output is one chain of fma from 0 over k = 0, 1, ..., as for the
// convolution (of two NaN, either may be the result). Between two blocks of k it waits in a tile, exactly as it was.

#pragma once
#include "host.h"
#include "simd.h"

template <class T> static npy_intp dot_lanes() { return simd<T>::lanes; }

// packed (K, lanes), its rows `ld` apart, from `some` <= lanes rows or columns, `lane` apart; k is
// `step` apart.
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

// MB rows by NV vectors of columns. A (K, lanes); B (K, NV lanes), its rows `ldb` apart; C (MB, NV
// lanes), its rows `ldc` apart. more: C holds the sums so far.
template <class T, int MB, int NV>
static void dot_block(const T *A, const T *B, npy_intp ldb, npy_intp K, T *C, npy_intp ldc,
                      bool more) {
    typedef simd<T> v;
    typename v::vec acc[MB][NV];
#pragma GCC unroll 8
    for (int m = 0; m < MB; m++)
#pragma GCC unroll 3
        for (int i = 0; i < NV; i++)
            acc[m][i] = more ? v::load(C + m * ldc + i * v::lanes) : v::zero();
    for (npy_intp k = 0; k < K; k++, A += v::lanes, B += ldb) {
        typename v::vec b[NV];
#pragma GCC unroll 3
        for (int i = 0; i < NV; i++) b[i] = v::load(B + i * v::lanes);
#pragma GCC unroll 8
        for (int m = 0; m < MB; m++) {
            const typename v::vec a = v::set(A[m]);
#pragma GCC unroll 3
            for (int i = 0; i < NV; i++) acc[m][i] = v::fma(a, b[i], acc[m][i]);
        }
    }
#pragma GCC unroll 8
    for (int m = 0; m < MB; m++)
#pragma GCC unroll 3
        for (int i = 0; i < NV; i++) v::store(C + m * ldc + i * v::lanes, acc[m][i]);
}

// Rows of a block, and vectors of columns: as many as the 32 or 16 registers hold.
enum { DOT_ROWS = VECTOR_BYTES == 64 ? 8 : 4, DOT_VECTORS = 3 };

// C (rows, columns) += A B. A: packed rows, `lanes` of them `block` elements from the next; columns
// <= 3 lanes; of B and C whole vectors are touched. Rows that do not fill a block go to `edge`
// (DOT_ROWS, 3 lanes) instead.
template <class T>
static void dot_tile(const T *A, npy_intp block, const T *B, npy_intp ldb, npy_intp K,
                     npy_intp rows, npy_intp columns, T *C, npy_intp ldc, T *edge, bool more) {
    const int lanes = simd<T>::lanes;
    const auto run = columns > 2 * lanes ? dot_block<T, DOT_ROWS, 3>
                     : columns > lanes   ? dot_block<T, DOT_ROWS, 2>
                                         : dot_block<T, DOT_ROWS, 1>;
    for (npy_intp m = 0; m < rows; m += DOT_ROWS) {
        const T *from = A + m / lanes * block + m % lanes;
        if (m + DOT_ROWS <= rows)
            run(from, B, ldb, K, C + m * ldc, ldc, more);
        else
            run(from, B, ldb, K, edge, DOT_VECTORS * lanes, more);
    }
}
