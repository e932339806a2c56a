// Rows of a 'valid' convolution, and the sums of its gradient.
//
// The canonical sum: an output is one chain of fma from 0 over input maps, then filter rows,
// then filter columns, in the order in which they meet the input (top left to bottom right).

#pragma once
#include "simd.h"

// FB filters, NV vectors of columns, one row. x: at the row's first input; taps: (maps, kh, kw,
// filters); z: a row per filter, z_ld apart, whole vectors.
template <class T, int FB, int NV>
static void conv_block(const ConvShape &s, const T *x, const T *taps, T *z, npy_intp z_ld) {
    typedef simd<T> v;
    typename v::vec acc[FB][NV];
    for (int f = 0; f < FB; f++)
        for (int k = 0; k < NV; k++) acc[f][k] = v::zero();
    for (npy_intp m = 0; m < s.maps; m++)
        for (npy_intp i = 0; i < s.kh; i++) {
            const T *row = x + (m * s.height + i) * s.ld;
            for (npy_intp j = 0; j < s.kw; j++, taps += s.filters) {
                typename v::vec in[NV];
                for (int k = 0; k < NV; k++) in[k] = v::load(row + j + k * v::lanes);
                for (int f = 0; f < FB; f++) {
                    typename v::vec tap = v::set(taps[f]);
                    for (int k = 0; k < NV; k++) acc[f][k] = v::fma(in[k], tap, acc[f][k]);
                }
            }
        }
    for (int f = 0; f < FB; f++)
        for (int k = 0; k < NV; k++) v::store(z + f * z_ld + k * v::lanes, acc[f][k]);
}

// A row of z for FB filters: columns in pairs of vectors.
template <class T, int FB>
static void conv_columns(const ConvShape &s, const T *x, const T *taps, npy_intp columns, T *z,
                         npy_intp z_ld) {
    const npy_intp lanes = simd<T>::lanes;
    npy_intp c = 0;
    for (; c + lanes < columns; c += 2 * lanes)
        conv_block<T, FB, 2>(s, x + c, taps, z + c, z_ld);
    if (c < columns) conv_block<T, FB, 1>(s, x + c, taps, z + c, z_ld);
}

// A row of z for all filters. Filters in blocks that keep both fma units busy from registers:
// 10 where there are 32 of them, else 5.
template <class T>
static void conv_row(const ConvShape &s, const T *x, const T *taps, npy_intp columns, T *z,
                     npy_intp z_ld) {
    npy_intp f = 0;
#if VECTOR_BYTES == 64
    for (; f + 10 <= s.filters; f += 10)
        conv_columns<T, 10>(s, x, taps + f, columns, z + f * z_ld, z_ld);
#endif
    for (; f + 5 <= s.filters; f += 5)
        conv_columns<T, 5>(s, x, taps + f, columns, z + f * z_ld, z_ld);
    for (; f < s.filters; f++)
        conv_columns<T, 1>(s, x, taps + f, columns, z + f * z_ld, z_ld);
}

// Pool one row of windows and mark the winners: every cell that equals its window's maximum.
// z: pool_h rows of one filter; p: (columns / pool_w); winners: a bit a column, words of 32 a row.
template <class T>
static void pool_row(const T *z, npy_intp z_ld, npy_intp pool_h, npy_intp pool_w,
                     npy_intp columns, T *highest, T *p, uint32_t *winners, npy_intp words) {
    typedef simd<T> v;
    for (npy_intp c = 0; c < columns; c += v::lanes) {
        typename v::vec most = v::load(z + c);
        for (npy_intp r = 1; r < pool_h; r++) most = v::max(v::load(z + r * z_ld + c), most);
        v::store(highest + c, pool_w == 2 ? v::max(v::odd(most), v::even(most)) : most);
    }
    if (pool_w == 2)
        for (npy_intp c = 0; c < columns; c += 2) p[c / 2] = highest[c];
    else
        for (npy_intp c = 0; c < columns; c += pool_w) {
            T most = highest[c];
            for (npy_intp k = 1; k < pool_w; k++)
                if (highest[c + k] > most) most = highest[c + k];
            *p++ = most;
            for (npy_intp k = 0; k < pool_w; k++) highest[c + k] = most;
        }
    for (npy_intp c = columns; c < z_ld; c++) highest[c] = NAN;  // equals nothing
    for (npy_intp r = 0; r < pool_h; r++, winners += words, z += z_ld) {
        memset(winners, 0, words * sizeof *winners);
        for (npy_intp c = 0; c < columns; c += v::lanes)
            winners[c / 32] |= v::equal(v::load(z + c), v::load(highest + c)) << (c % 32);
    }
}

// Cells of a sample in one chain. Where many tie, a longer one would lose too much to rounding.
static const npy_intp CHAIN = 32;

// ROWS rows of a filter's gradient: acc (ROWS, kw_ld), from 0, every cell's gradient times the input
// under it: a chain of fma from 0 for every CHAIN cells, the chains added in their order.
// shift: from a cell's input to that of the first row.
template <class T, int ROWS>
static void add_rows(const Cell<T> *cells, npy_intp n, npy_intp shift, npy_intp width, npy_intp kw,
                     T *acc, npy_intp kw_ld) {
    typedef simd<T> v;
    const typename v::vec one = v::set(1);
    for (npy_intp j = 0; j < kw; j += v::lanes) {
        const npy_intp some = std::min<npy_intp>(v::lanes, kw - j);
        for (npy_intp first = 0; first == 0 || first < n; first += CHAIN) {
            typename v::vec sum[ROWS];
            for (int i = 0; i < ROWS; i++) sum[i] = v::zero();
            for (npy_intp c = first; c < std::min(n, first + CHAIN); c++) {
                const T *x = cells[c].x + shift + j;
                const typename v::vec g = v::set(cells[c].g);
                for (int i = 0; i < ROWS; i++) sum[i] = v::fma(g, v::load(x + i * width, some), sum[i]);
            }
            for (int i = 0; i < ROWS; i++) {
                T *to = acc + i * kw_ld + j;
                v::store(to, first ? v::fma(one, v::load(to), sum[i]) : sum[i]);
            }
        }
    }
}

// The gradient of one filter, acc (maps, kh, kw_ld), from the cells of one sample.
template <class T>
static void add_cells(const ConvShape &s, const Cell<T> *cells, npy_intp n, T *acc, npy_intp kw_ld) {
    for (npy_intp m = 0; m < s.maps; m++)
        for (npy_intp i = 0; i < s.kh;) {
            const npy_intp shift = (m * s.height + i) * s.width, left = s.kh - i;
            const int rows = left >= 11 ? 11 : left >= 9 ? 9 : left >= 4 ? 4 : 1;
            (rows == 11 ? add_rows<T, 11> : rows == 9 ? add_rows<T, 9> : rows == 4 ? add_rows<T, 4>
             : add_rows<T, 1>)(cells, n, shift, s.width, s.kw, acc, kw_ld);
            i += rows, acc += rows * kw_ld;
        }
}
