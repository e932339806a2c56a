// Which cells of a window can be its maximum, by a rounded convolution of known error.
//
// A patch of 64 x 40 convolved circularly holds the 'valid' convolution with any filter, and the
// Fourier transform makes it circular. Lanes run over patches. Two filters go together, as real
// and imaginary part. Spectra are (columns, 64) complex, SCREEN_LD from a column to the next; a
// complex is a vector of real parts, then one of imaginary parts.

#pragma once
#include "conv_rows.h"
#include "fft.h"

template <class T> static npy_intp screen_lanes() { return simd<T>::lanes; }

template <class T> static inline Complex<T> load_complex(const T *p) {
    return {simd<T>::load(p), simd<T>::load(p + simd<T>::lanes)};
}

template <class T> static inline void store_complex(T *p, Complex<T> a) {
    simd<T>::store(p, a.re), simd<T>::store(p + simd<T>::lanes, a.im);
}

// The spectrum of an image a lane, its first `columns` columns. re, im: (lanes) images (rows, 40);
// im may be null. squares: (lanes) sum of squares of re; highest: (lanes) of |spectrum|^2.
template <class T>
static void transform_images(const ScreenRoots<T> &roots, const T *const *re, const T *const *im,
                             npy_intp rows, npy_intp columns, T *spectrum, T *squares, T *highest) {
    typedef simd<T> v;
    const npy_intp step = 2 * v::lanes;
    Complex<T> line[SCREEN_COLUMNS];
    typename v::vec sum = v::zero(), most = v::zero(), part[v::chunk];
    for (npy_intp c = 0; c < SCREEN_COLUMNS; c++) line[c].im = v::zero();
    for (npy_intp r = 0; r < rows; r++) {
        for (npy_intp c = 0; c < SCREEN_COLUMNS; c += v::chunk) {
            v::load_columns(re, r * SCREEN_COLUMNS + c, part);
            for (int i = 0; i < v::chunk; i++) {
                line[c + i].re = part[i];
                sum = v::fma(part[i], part[i], sum);
            }
            if (!im) continue;
            v::load_columns(im, r * SCREEN_COLUMNS + c, part);
            for (int i = 0; i < v::chunk; i++) line[c + i].im = part[i];
        }
        fft<T, 5>(roots.of_40, [&](int c) { return line[c]; },
                  [&](int k, Complex<T> a) {
                      if (k < columns) store_complex(spectrum + (k * SCREEN_LD + r) * step, a);
                  });
    }
    for (npy_intp k = 0; k < columns; k++) {
        T *column = spectrum + k * SCREEN_LD * step;
        fft<T, 8>(roots.of_64,
                  [&](int r) {
                      if (r < rows) return load_complex(column + r * step);
                      return Complex<T>{v::zero(), v::zero()};
                  },
                  [&](int r, Complex<T> a) {
                      store_complex(column + r * step, a);
                      most = v::max(a.re * a.re + a.im * a.im, most);
                  });
    }
    v::store(squares, sum), v::store(highest, most);
}

// A column of the product's inverse transform. sign -1: X holds the other half, conjugate.
template <class T>
static void transform_back(const ScreenRoots<T> &roots, const T *X, int sign, const T *V,
                           npy_intp first, npy_intp rows, T *z, npy_intp z_row) {
    typedef simd<T> v;
    const npy_intp step = 2 * v::lanes;
    const typename v::vec conjugate = v::set(sign);
    fft<T, 8>(roots.of_64,
              [&](int r) {
                  Complex<T> a = load_complex(X + (sign * r & 63) * step);
                  a.im *= conjugate;
                  a = a * (V + 2 * r);
                  return Complex<T>{a.im, a.re};  // exchanged: the inverse is a transform too
              },
              [&](int r, Complex<T> a) {
                  if (r >= first && r < first + rows) store_complex(z + (r - first) * z_row, a);
              });
}

// List the cells of two filters that are within `limit` (2, lanes) of their window's maximum: in
// a window column by column, `number` is the window's. X: spectrum of the patches; V (40, 64)
// complex scalars: of the filters. Of a lane whose limit is -infinity, what is listed means
// nothing. z: room for 2 lanes pool_h (40 rows + columns * pool_w) elements.
template <class T>
static void screen_pair(const ScreenShape &s, const ScreenRoots<T> &roots, const T *X, const T *V,
                        const T *limit, T *z, std::vector<ScreenCell> *found) {
    typedef simd<T> v;
    const npy_intp step = 2 * v::lanes, rows = s.rows * s.pool_h, columns = s.columns * s.pool_w;
    for (npy_intp k = 0; k < SCREEN_COLUMNS; k++) {
        const int sign = k < SCREEN_HALF ? 1 : -1;
        transform_back(roots, X + (sign > 0 ? k : SCREEN_COLUMNS - k) * SCREEN_LD * step, sign,
                       V + 2 * SCREEN_ROWS * k, s.kh - 1, rows, z + k * step, SCREEN_COLUMNS * step);
    }
    const int pool_h = (int)s.pool_h;
    int number = (int)(s.top * s.columns);  // of the window
    T *cells = z + rows * SCREEN_COLUMNS * step;  // (columns, pool_h) complex
    for (npy_intp r = 0; r < rows; r += s.pool_h) {
        for (npy_intp i = 0; i < s.pool_h; i++)
            fft<T, 5>(roots.of_40,
                      [&](int k) { return load_complex(z + ((r + i) * SCREEN_COLUMNS + k) * step); },
                      [&](int k, Complex<T> a) {
                          const npy_intp c = k - (s.kw - 1);
                          if (c < 0 || c >= columns) return;
                          store_complex(cells + (c * s.pool_h + i) * step, a);
                      });
        for (npy_intp c = 0; c < columns; c += s.pool_w) {
            const T *window = cells + c * s.pool_h * step, *low = limit;
            const npy_intp n = s.pool_h * s.pool_w;
            typename v::vec most[2][4];  // four at a time: a maximum waits for the one before
            for (int k = 0; k < 4; k++) {
                most[0][k] = v::load(window + v::lanes);  // exchanged: the first filter's is im
                most[1][k] = v::load(window);
            }
            for (npy_intp i = 0; i < n; i += 4)
                for (int k = 0; k < 4; k++) {
                    const Complex<T> a = load_complex(window + std::min(i + k, n - 1) * step);
                    most[0][k] = v::max(a.im, most[0][k]), most[1][k] = v::max(a.re, most[1][k]);
                }
            for (int f = 0; f < 2; f++, low += v::lanes) {
                for (int k = 1; k < 4; k++) most[f][0] = v::max(most[f][k], most[f][0]);
                most[f][0] -= v::load(low);
            }
            for (npy_intp first = 0; first < n; first += 64) {
                unsigned near[2][64];  // a bit a lane
                uint64_t any = 0;      // a bit a cell
                for (npy_intp i = 0; i < 64 && first + i < n; i++) {
                    const Complex<T> a = load_complex(window + (first + i) * step);
                    near[0][i] = v::at_least(a.im, most[0][0]);
                    near[1][i] = v::at_least(a.re, most[1][0]);
                    any |= (uint64_t)((near[0][i] | near[1][i]) != 0) << i;
                }
                for (; any; any &= any - 1) {
                    const int i = __builtin_ctzll(any), cell = (int)first + i;
                    for (int f = 0; f < 2; f++)
                        for (unsigned lanes = near[f][i]; lanes; lanes &= lanes - 1)
                            found[f].push_back({__builtin_ctz(lanes), (int)s.top * pool_h + (int)r + cell % pool_h,
                                                (int)c + cell / pool_h, number});
                }
            }
            number++;
        }
    }
}

// Canonical sums, a cell a lane, as in conv_rows.h. x: (lanes) the first input under a cell, rows
// `width` apart; taps (kh, kw); kw no less than a chunk.
template <class T>
static void sum_cells(npy_intp kh, npy_intp kw, npy_intp width, const T *const *x, const T *taps,
                      T *sums) {
    typedef simd<T> v;
    typename v::vec acc = v::zero(), column[v::chunk];
    for (npy_intp i = 0; i < kh; i++, taps += kw) {
        npy_intp j = 0;
        for (; j + v::chunk <= kw; j += v::chunk) {
            asm volatile("" ::: "memory");  // loads the pointers anew: registers are few
            v::load_columns(x, i * width + j, column);
            for (int k = 0; k < v::chunk; k++) acc = v::fma(column[k], v::set(taps[j + k]), acc);
        }
        if (j == kw) continue;
        const npy_intp first = kw - v::chunk;  // not to read past the end of the last sample
        v::load_columns(x, i * width + first, column);
        for (int k = 0; k < v::chunk; k++)
            if (first + k >= j) acc = v::fma(column[k], v::set(taps[first + k]), acc);
    }
    v::store(sums, acc);
}
