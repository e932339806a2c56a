// What conv2d.cpp and conv_pool.cpp share: shapes, padding, packing.

#pragma once
#include "host.h"

struct ConvShape {
    npy_intp maps, height, width;  // of an input sample
    npy_intp filters, kh, kw;      // of the filters
    npy_intp ld;                   // elements from one row of a padded sample to the next
};

// A cell of the map with a gradient: g, and the first element of the input under the cell.
template <class T> struct Cell {
    const T *x;
    T g;
};

#include "conv_rows.h"

static const npy_intp MAX_LANES = 16;

static npy_intp round_up(npy_intp n, npy_intp to) { return (n + to - 1) / to * to; }

// Columns are computed in pairs of vectors: so much of a row may be read, if not used.
static npy_intp padded_width(npy_intp width, npy_intp kw) {
    return round_up(round_up(width - kw + 1, 2 * MAX_LANES) + kw - 1, MAX_LANES);
}

// Check x (n, maps, height, width) against W (filters, maps, kh, kw).
static int conv_shape(PyArrayObject *x, PyArrayObject *W, ConvShape *s) {
    const npy_intp *a = PyArray_DIMS(x), *b = PyArray_DIMS(W);
    if (a[1] != b[1] || a[2] < b[2] || a[3] < b[3] || b[2] < 1 || b[3] < 1) {
        PyErr_Format(PyExc_ValueError,
                     "conv2d: input (%zd, %zd, %zd, %zd) and filters (%zd, %zd, %zd, %zd) do not "
                     "fit: the maps must be equal and the filters no larger than the input",
                     a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]);
        return -1;
    }
    *s = {a[1], a[2], a[3], b[0], b[2], b[3], padded_width(a[3], b[3])};
    return 0;
}

// A sample (maps, height, width) with zeros right of its rows. padded: zeroed by the caller.
template <class T> static void pad_sample(const ConvShape &s, const T *x, T *padded) {
    for (npy_intp row = 0; row < s.maps * s.height; row++)
        memcpy(padded + row * s.ld, x + row * s.width, s.width * sizeof(T));
}

template <class T> static size_t padded_size(const ConvShape &s) {
    return s.maps * s.height * s.ld;
}

// Filters (filters, maps, kh, kw) to taps (maps, kh, kw, filters), flipped: a true convolution.
template <class T> static std::vector<T> pack_taps(const ConvShape &s, const T *W) {
    std::vector<T> taps(s.filters * s.maps * s.kh * s.kw);
    for (npy_intp f = 0; f < s.filters; f++)
        for (npy_intp m = 0; m < s.maps; m++)
            for (npy_intp t = 0; t < s.kh * s.kw; t++)
                taps[(m * s.kh * s.kw + t) * s.filters + f] =
                    W[((f * s.maps + m) + 1) * s.kh * s.kw - 1 - t];
    return taps;
}

// dW (filters, maps, kh, kw), each filter summed by one owner, over the cells that
// list(patch, gradient, sample, filter, cells) names: samples, then rows, then columns.
// d (n, filters, cells_each): the gradient.
template <class T, class List>
static void grad_filters(const ConvShape &s, npy_intp n, const T *x, const T *d, npy_intp cells_each,
                         T *dW, const List &list) {
    const npy_intp kw_ld = round_up(s.kw, MAX_LANES), size = s.maps * s.kh * kw_ld;
    const npy_intp patch_size = s.maps * s.height * s.width, owners = count_threads(s.filters);
    std::vector<T> sums(s.filters * size);
    const auto add = add_cells<T>;
    share(owners, [&](npy_intp owner, int) {
        const npy_intp first = s.filters * owner / owners, end = s.filters * (owner + 1) / owners;
        std::vector<Cell<T>> cells;
        for (npy_intp i = 0; i < n; i++) {  // all filters of a sample, while it is in cache
            const T *patch = x + i * patch_size;
            const bool silent = std::all_of(patch, patch + patch_size, [](T a) { return a == 0; });
            for (npy_intp f = first; f < end; f++) {
                // A finite gradient adds 0 under silence, where every cell may be a winner.
                const T *g = d + (i * s.filters + f) * cells_each;
                if (silent && std::all_of(g, g + cells_each, [](T a) { return std::isfinite(a); }))
                    continue;
                cells.clear();
                list(patch, g, i, f, cells);
                add(s, cells.data(), cells.size(), sums.data() + f * size, kw_ld);
            }
        }
    });
    for (npy_intp f = 0; f < s.filters; f++)
        for (npy_intp m = 0; m < s.maps; m++)
            for (npy_intp i = 0; i < s.kh; i++)
                for (npy_intp j = 0; j < s.kw; j++)  // flipped back
                    *dW++ = sums[f * size + ((m + 1) * s.kh - 1 - i) * kw_ld + s.kw - 1 - j];
}
