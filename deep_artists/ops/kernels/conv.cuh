// What conv2d.cu and conv_pool.cu share: the convolution and the sums of its gradient.
//
// The canonical sums of conv_rows.h: an output is one chain of fma from 0 over input maps, filter
// rows, filter columns; an entry of the gradient is one over the cells in sample order.

#pragma once
#include "launch.cuh"

// z (n, filters, rows, columns) of x (n, maps, height, width) in a border of zeros, `top` rows and
// `left` columns wide. A block makes a tile of z for FILTERS filters, a thread EACH neighbouring
// columns of it. Input tile and taps come to shared memory in chunks of TAP_ROWS x TAP_COLUMNS
// taps, or of one tap row where that is wider.
template <class T> struct Convolve {
    enum { ROWS = 16, COLUMNS = 32, EACH = 4, FILTERS = 5, THREADS = ROWS * COLUMNS / EACH };
    enum { TAP_ROWS = 16, TAP_COLUMNS = 16, WIDTH = COLUMNS + TAP_COLUMNS - 1 };
    struct Shared {
        T x[ROWS + TAP_ROWS - 1][WIDTH];
        T taps[TAP_ROWS * TAP_COLUMNS][FILTERS];
    };
    struct Local {
        Index sample, filter, row, column;  // of the tile
        T sum[FILTERS][EACH];
    };

    const T *x, *W;
    T *z;
    Index maps, height, width, top, left;
    Index filters, kh, kw, filter_step, map_step;  // steps: between filters and maps in W
    bool flipped;                                  // whether W is read backwards
    Index rows, columns, chunk_rows, phases;

    Convolve(const T *x, const T *W, T *z, const Index *shape, Index filters, Index kh, Index kw,
             bool flipped, Index border)
        : x(x), W(W), z(z), maps(shape[1]), height(shape[2]), width(shape[3]),
          top(border * (kh - 1)), left(border * (kw - 1)), filters(filters), kh(kh), kw(kw),
          filter_step(flipped ? maps * kh * kw : kh * kw),
          map_step(flipped ? kh * kw : filters * kh * kw), flipped(flipped),
          rows(height + 2 * top - kh + 1), columns(width + 2 * left - kw + 1),
          chunk_rows(kw <= TAP_COLUMNS ? TAP_ROWS : 1),
          phases(2 * maps * divide_up(kh, chunk_rows) * divide_up(kw, TAP_COLUMNS) + 1) {}

    Index blocks(Index n) const {
        const Index tiles = divide_up(rows, ROWS) * divide_up(columns, COLUMNS);
        return n * divide_up(filters, FILTERS) * tiles;
    }

    DEVICE void run(Index phase, Index block, int thread, Shared &shared, Local &local) const {
        if (phase == 0) begin(block, local);
        const Index chunk = phase / 2, j_chunks = divide_up(kw, TAP_COLUMNS);
        const Index i_chunks = divide_up(kh, chunk_rows), m = chunk / j_chunks / i_chunks;
        const Index i = chunk / j_chunks % i_chunks * chunk_rows;
        const Index j = chunk % j_chunks * TAP_COLUMNS;
        const Index tap_rows = kh - i < chunk_rows ? kh - i : chunk_rows;
        const Index tap_columns = kw - j < TAP_COLUMNS ? kw - j : (Index)TAP_COLUMNS;
        if (phase == phases - 1)
            store(thread, local);
        else if (phase % 2 == 0)
            load(m, i, j, tap_rows, thread, shared, local);
        else
            add(tap_rows, tap_columns, thread, shared, local);
    }

    DEVICE void begin(Index block, Local &local) const {
        const Index across = divide_up(columns, COLUMNS), down = divide_up(rows, ROWS);
        const Index groups = divide_up(filters, FILTERS);
        local.column = block % across * COLUMNS;
        local.row = block / across % down * ROWS;
        local.filter = block / (across * down) % groups * FILTERS;
        local.sample = block / (across * down) / groups;
        for (int f = 0; f < FILTERS; f++)
            for (int k = 0; k < EACH; k++) local.sum[f][k] = 0;
    }

    DEVICE void load(Index m, Index i, Index j, Index tap_rows, int thread, Shared &shared,
                     const Local &local) const {
        const T *map = x + (local.sample * maps + m) * height * width;
        const Index row = local.row + i - top, column = local.column + j - left;
        for (int k = thread; k < (ROWS + tap_rows - 1) * WIDTH; k += THREADS) {
            const Index r = row + k / WIDTH, c = column + k % WIDTH;
            const bool inside = r >= 0 && r < height && c >= 0 && c < width;
            shared.x[k / WIDTH][k % WIDTH] = inside ? map[r * width + c] : T(0);
        }
        const T *taps = W + local.filter * filter_step + m * map_step;
        for (int k = thread; k < FILTERS * TAP_ROWS * TAP_COLUMNS; k += THREADS) {
            const int t = k % (TAP_ROWS * TAP_COLUMNS), f = k / (TAP_ROWS * TAP_COLUMNS);
            const Index r = i + t / TAP_COLUMNS, c = j + t % TAP_COLUMNS, tap = r * kw + c;
            const bool inside = local.filter + f < filters && r < kh && c < kw;
            shared.taps[t][f] =
                inside ? taps[f * filter_step + (flipped ? kh * kw - 1 - tap : tap)] : T(0);
        }
    }

    DEVICE void add(Index tap_rows, Index tap_columns, int thread, const Shared &shared,
                    Local &local) const {
        for (int i = 0; i < tap_rows; i++) {
            const int r = thread / (COLUMNS / EACH), c = thread % (COLUMNS / EACH) * EACH;
            const T *row = shared.x[r + i] + c;
            T in[EACH];
            for (int k = 1; k < EACH; k++) in[k] = row[k - 1];
#pragma unroll 4
            for (int j = 0; j < tap_columns; j++) {
                for (int k = 1; k < EACH; k++) in[k - 1] = in[k];
                in[EACH - 1] = row[j + EACH - 1];
                for (int f = 0; f < FILTERS; f++) {
                    const T tap = shared.taps[i * TAP_COLUMNS + j][f];
                    for (int k = 0; k < EACH; k++)
                        local.sum[f][k] = std::fma(in[k], tap, local.sum[f][k]);
                }
            }
        }
    }

    DEVICE void store(int thread, const Local &local) const {
        const Index row = local.row + thread / (COLUMNS / EACH);
        const Index column = local.column + thread % (COLUMNS / EACH) * EACH;
        for (int f = 0; f < FILTERS && local.filter + f < filters; f++) {
            const Index map = local.sample * filters + local.filter + f;
            for (int k = 0; k < EACH; k++)
                if (row < rows && column + k < columns)
                    z[(map * rows + row) * columns + column + k] = local.sum[f][k];
        }
    }
};

// The cells of a filter that have a gradient: where in x the input under a cell begins, and g.
template <class T> struct Cells {
    Index *x;
    T *g;
    Index *n;        // (filters)
    Index capacity;  // of one filter's list
};

// List the cells of every filter in the order of samples, rows, columns. A block lists a filter's,
// a thread those of some rows that follow each other: it counts, then writes behind the others.
// rows.visit(sample, filter, row, body) calls body(column, g).
template <class T, class Rows> struct ListCells {
    enum { THREADS = 256 };
    struct Shared {
        Index n[THREADS];
    };
    typedef Nothing Local;

    Rows rows;
    Index n_rows, n, x_sample, x_row;  // x_sample, x_row: elements of x from one to the next
    Cells<T> cells;
    Index phases = 2;

    DEVICE void run(Index phase, Index filter, int thread, Shared &shared, Local &) const {
        const int64_t lines = n * n_rows;
        const Index first = lines * thread / THREADS, end = lines * (thread + 1) / THREADS;
        Index at = 0;
        if (phase == 0) {
            for (Index line = first; line < end; line++)
                rows.visit(line / n_rows, filter, line % n_rows, [&](Index, T) { at++; });
            shared.n[thread] = at;
            return;
        }
        for (int k = 0; k < thread; k++) at += shared.n[k];
        for (Index line = first; line < end; line++) {
            const Index from = line / n_rows * x_sample + line % n_rows * x_row;
            rows.visit(line / n_rows, filter, line % n_rows, [&](Index column, T g) {
                cells.x[filter * cells.capacity + at] = from + column;
                cells.g[filter * cells.capacity + at++] = g;
            });
        }
        if (thread == THREADS - 1) cells.n[filter] = at;
    }
};

// dW (filters, maps, kh, kw): a thread sums a tap's gradient over all cells of its filter.
template <class T> struct AddCells {
    enum { THREADS = 64 };
    typedef Nothing Shared;
    typedef Nothing Local;

    const T *x;
    Cells<T> cells;
    T *dW;
    Index height, width, maps, kh, kw;
    Index phases = 1;

    DEVICE void run(Index, Index block, int thread, Shared &, Local &) const {
        const Index taps = maps * kh * kw, parts = divide_up(taps, THREADS);
        const Index filter = block / parts, tap = block % parts * THREADS + thread;
        if (tap >= taps) return;
        const Index m = tap / (kh * kw), i = tap / kw % kh, j = tap % kw;
        const T *under = x + (m * height + i) * width + j;
        const Index *from = cells.x + filter * cells.capacity, n = cells.n[filter];
        const T *g = cells.g + filter * cells.capacity;
        T sum = 0;
#pragma unroll 8
        for (Index c = 0; c < n; c++) sum = std::fma(g[c], under[from[c]], sum);
        dW[((filter * maps + m) * kh + kh - 1 - i) * kw + kw - 1 - j] = sum;  // flipped back
    }
};

// dW, the first result, from x, the first argument, and the cells in the rows of the map. The other
// results are the lists.
template <class T, class Rows>
static void grad_filters(Call &call, const Rows &rows, Index n_rows, Index capacity, Index filters,
                         Index kh, Index kw) {
    const Index n = call.dim(0, 0), maps = call.dim(0, 1), height = call.dim(0, 2);
    const Index width = call.dim(0, 3), taps = maps * kh * kw;
    const Cells<T> cells = {call.out<Index>(1), call.out<T>(2), call.out<Index>(3), capacity};
    call.launch(ListCells<T, Rows>{rows, n_rows, n, maps * height * width, width, cells}, filters);
    const AddCells<T> add = {call.in<T>(0), cells, call.out<T>(0), height, width, maps, kh, kw};
    call.launch(add, filters * divide_up(taps, AddCells<T>::THREADS));
}
