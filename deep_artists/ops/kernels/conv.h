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

// sums (size) of n units from `first` on: one(unit, sums) writes a unit's own, and the sums of two
// halves are added, the left one as long as the largest power of two below n. Behind sums lie as
// many scratch sums as there are halvings.
template <class T, class One>
static void sum_tree(npy_intp first, npy_intp n, npy_intp size, T *sums, const One &one) {
    if (n == 1) return one(first, sums);
    npy_intp left = 1;
    while (2 * left < n) left *= 2;
    T *right = sums + size;
    sum_tree(first, left, size, sums, one);
    sum_tree(first + left, n - left, size, right, one);
    for (npy_intp k = 0; k < size; k++) sums[k] += right[k];
}

static npy_intp tree_size(npy_intp n, npy_intp size) {
    npy_intp halvings = 0;
    while ((npy_intp)1 << halvings < n) halvings++;
    return (halvings + 1) * size;
}

// dW (filters, maps, kh, kw), summed over the cells that list(patch, gradient, sample, filter,
// thread, cells) writes row by row, `most` at the most, and counts: each sample by itself (see
// add_rows), the samples in a tree. What a thread sums is a branch of that tree, so it does not
// matter how many there are. d (n, filters, cells_each): the gradient.
template <class T, class List>
static void grad_filters(const ConvShape &s, npy_intp n, const T *x, const T *d, npy_intp cells_each,
                         npy_intp most, T *dW, const List &list) {
    const npy_intp branch = 16, branches = std::max<npy_intp>(1, (n + branch - 1) / branch);
    const npy_intp kw_ld = round_up(s.kw, MAX_LANES), size = s.maps * s.kh * kw_ld;
    const npy_intp patch_size = s.maps * s.height * s.width;
    std::vector<T> sums(branches * s.filters * size);
    std::vector<char> silent(n);
    const auto add = add_cells<T>;
    for (npy_intp i = 0; i < n; i++)  // ends at the first that is not 0
        silent[i] = std::all_of(x + i * patch_size, x + (i + 1) * patch_size, [](T a) { return a == 0; });
    // Every thread has lines of the cache of its own.
    const npy_intp scratch = round_up(tree_size(branch, size) + 16, 64);
    const npy_intp threads = count_threads(branches * s.filters);
    const npy_intp listed = round_up(most + 1, 64);  // one more: the last is written before it counts
    std::vector<T> trees(threads * scratch);
    Aligned<Cell<T>> lists(threads * listed);
    share(n ? branches * s.filters : 0, [&](npy_intp unit, int thread) {
        const npy_intp first = unit / s.filters * branch, f = unit % s.filters;
        Cell<T> *cells = lists.data + thread * listed;
        T *tree = trees.data() + thread * scratch;
        sum_tree(first, std::min(branch, n - first), size, tree, [&](npy_intp i, T *sum) {
            const T *g = d + (i * s.filters + f) * cells_each;
            // A finite gradient adds 0 under silence, where every cell may be a winner.
            const bool nothing = silent[i] &&
                std::all_of(g, g + cells_each, [](T a) { return std::isfinite(a); });
            const npy_intp count = nothing ? 0 : list(x + i * patch_size, g, i, f, thread, cells);
            add(s, cells, count, sum, kw_ld);
        });
        std::copy_n(tree, size, sums.data() + unit * size);
    });
    std::vector<T> whole(tree_size(branches, s.filters * size));
    sum_tree(0, branches, s.filters * size, whole.data(), [&](npy_intp unit, T *sum) {
        std::copy_n(sums.data() + unit * s.filters * size, s.filters * size, sum);
    });
    for (npy_intp f = 0; f < s.filters; f++)
        for (npy_intp m = 0; m < s.maps; m++)
            for (npy_intp i = 0; i < s.kh; i++)
                for (npy_intp j = 0; j < s.kw; j++)  // flipped back
                    *dW++ = whole[f * size + ((m + 1) * s.kh - 1 - i) * kw_ld + s.kw - 1 - j];
}
