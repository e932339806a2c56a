// conv2d and max_pool_2d, and the gradient for the filters from the winners alone.

#include "conv.cuh"

// Pool the map and mark the winners, every cell that equals its window's maximum: a bit a column,
// words of 32 a row. A block has a map. First maxima over the rows of a window, then over its
// columns: the order of pool_row in conv_rows.h, to which NaN and -0 are no exception.
template <class T> struct MarkPool {
    enum { THREADS = 128 };
    typedef Nothing Shared;
    typedef Nothing Local;

    const T *z;
    T *p, *highest;  // (maps, pooled_rows, pooled_columns), (maps, pooled_rows, columns)
    uint32_t *winners;
    Index rows, width, pooled_rows, pooled_columns, pool_h, pool_w;  // rows, width: of z
    Index phases = 3;

    DEVICE void run(Index phase, Index map, int thread, Shared &, Local &) const {
        const Index columns = pooled_columns * pool_w, words = divide_up(columns, 32);
        const T *cells = z + map * rows * width;
        T *tops = highest + map * pooled_rows * columns;
        T *most = p + map * pooled_rows * pooled_columns;
        if (phase == 0)
            for (Index k = thread; k < pooled_rows * columns; k += THREADS) {
                const T *cell = cells + k / columns * pool_h * width + k % columns;
                T top = *cell;
                for (Index r = 1; r < pool_h; r++)
                    if (cell[r * width] > top) top = cell[r * width];
                tops[k] = top;
            }
        if (phase == 1)
            for (Index k = thread; k < pooled_rows * pooled_columns; k += THREADS) {
                const T *top = tops + k * pool_w;
                T best = *top;
                for (Index c = 1; c < pool_w; c++)
                    if (top[c] > best) best = top[c];
                most[k] = best;
            }
        if (phase == 2)
            for (Index k = thread; k < pooled_rows * pool_h * words; k += THREADS) {
                const Index r = k / words, c = k % words * 32;
                uint32_t word = 0;
                for (Index b = 0; b < 32 && c + b < columns; b++) {
                    const T window = most[r / pool_h * pooled_columns + (c + b) / pool_w];
                    word |= (uint32_t)(cells[r * width + c + b] == window) << b;
                }
                winners[map * pooled_rows * pool_h * words + k] = word;
            }
    }
};

// p and winners of x and W. Two more results are room for the map and its columns' maxima.
template <class T> static void conv_pool(Call &call) {
    const Index pool_h = call.number("pool_h"), pool_w = call.number("pool_w");
    const Index shape[] = {call.dim(0, 0), call.dim(0, 1), call.dim(0, 2), call.dim(0, 3)};
    const Convolve<T> convolve(call.in<T>(0), call.in<T>(1), call.out<T>(2), shape, call.dim(1, 0),
                               call.dim(1, 2), call.dim(1, 3), true, 0);
    call.launch(convolve, convolve.blocks(shape[0]));
    const MarkPool<T> pool = {convolve.z, call.out<T>(0), call.out<T>(3), call.out<uint32_t>(1),
                              convolve.rows, convolve.columns, convolve.rows / pool_h,
                              convolve.columns / pool_w, pool_h, pool_w};
    call.launch(pool, shape[0] * convolve.filters);
}

template <class T> struct WinnerRows {
    const uint32_t *winners;
    const T *dp;
    Index filters, rows, columns, words, pool_h, pool_w;  // rows: of winners; columns: of dp
    template <class Body>
    DEVICE void visit(Index sample, Index filter, Index row, const Body &body) const {
        const Index map = sample * filters + filter;
        const uint32_t *word = winners + (map * rows + row) * words;
        const T *d = dp + (map * (rows / pool_h) + row / pool_h) * columns;
        for (Index w = 0; w < words; w++)
            for (uint32_t left = word[w]; left; left &= left - 1) {
                const Index c = w * 32 + lowest_bit(left);
                const T g = d[c / pool_w];
                if (g != 0) body(c, g);
            }
    }
};

// dW from x, the winners, dp and W, which gives its shape
template <class T> static void conv_pool_grad(Call &call) {
    const Index pool_h = call.number("pool_h"), pool_w = call.number("pool_w");
    const Index filters = call.dim(1, 1), rows = call.dim(1, 2), columns = call.dim(2, 3);
    const WinnerRows<T> winners = {call.in<uint32_t>(1), call.in<T>(2), filters, rows, columns,
                                   call.dim(1, 3), pool_h, pool_w};
    grad_filters<T>(call, winners, rows, call.dim(0, 0) * rows * columns * pool_w, filters,
                    call.dim(3, 2), call.dim(3, 3));
}

HANDLER(conv_pool)
HANDLER(conv_pool_grad)
