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

// MB rows by NV vectors of columns. A (K, lanes); B (K, 2 lanes); tile (MB, 2 lanes).
template <class T, int MB, int NV>
static void dot_block(const T *A, const T *B, npy_intp K, T *tile, bool more) {
    typedef simd<T> v;
    typename v::vec acc[MB][NV];
#pragma GCC unroll 8
    for (int m = 0; m < MB; m++)
#pragma GCC unroll 2
        for (int i = 0; i < NV; i++)
            acc[m][i] = more ? v::load(tile + (2 * m + i) * v::lanes) : v::zero();
    for (npy_intp k = 0; k < K; k++, A += v::lanes, B += 2 * v::lanes) {
        typename v::vec b[NV];
        for (int i = 0; i < NV; i++) b[i] = v::load(B + i * v::lanes);
        for (int m = 0; m < MB; m++) {
            const typename v::vec a = v::set(A[m]);
            for (int i = 0; i < NV; i++) acc[m][i] = v::fma(a, b[i], acc[m][i]);
        }
    }
#pragma GCC unroll 8
    for (int m = 0; m < MB; m++)
#pragma GCC unroll 2
        for (int i = 0; i < NV; i++) v::store(tile + (2 * m + i) * v::lanes, acc[m][i]);
}

// tile (rows, 2 lanes) += A B. A: packed rows, `lanes` of them `block` elements from the next;
// columns <= 2 lanes; rows are rounded up. more: the tile holds the sums so far.
template <class T>
static void dot_tile(const T *A, npy_intp block, const T *B, npy_intp K, npy_intp rows,
                     npy_intp columns, T *tile, bool more) {
    const int lanes = simd<T>::lanes, MB = VECTOR_BYTES == 64 ? 8 : 4;  // of 32 or 16 registers
    const auto run = columns > lanes ? dot_block<T, MB, 2> : dot_block<T, MB, 1>;
    for (npy_intp m = 0; m < rows; m += MB)
        run(A + m / lanes * block + m % lanes, B, K, tile + m * 2 * lanes, more);
}
