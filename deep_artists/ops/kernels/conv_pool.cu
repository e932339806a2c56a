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

// The same without a map in memory, where a tile of it holds whole windows: of at most ROWS rows, in
// maps of at most COLUMNS columns, so that a row's winners are one word.
template <class T> struct ConvolvePool {
    typedef Convolve<T> Conv;
    enum { THREADS = Conv::THREADS, ROWS = Conv::ROWS, COLUMNS = Conv::COLUMNS };
    enum { FILTERS = Conv::FILTERS, EACH = Conv::EACH };
    struct Shared {
        T z[FILTERS][ROWS][COLUMNS + 1];  // + 1: rows in different banks
        union {
            typename Conv::Shared in;
            T tops[FILTERS][ROWS][COLUMNS];  // of columns of windows; then, first of each, of windows
        };
    };
    typedef typename Conv::Local Local;

    Conv convolve;
    T *p;
    uint32_t *winners;
    Index pooled_rows, pooled_columns, pool_h, pool_w, phases;

    ConvolvePool(const Conv &all, T *p, uint32_t *winners, Index pool_h, Index pool_w)
        : convolve(all), p(p), winners(winners), pooled_rows(all.rows / pool_h),
          pooled_columns(all.columns / pool_w), pool_h(pool_h), pool_w(pool_w),
          phases(all.phases + 3) {
        convolve.rows = pooled_rows * pool_h, convolve.columns = pooled_columns * pool_w;
        convolve.tile_rows = ROWS / pool_h * pool_h;
    }

    DEVICE void run(Index phase, Index block, int thread, Shared &shared, Local &local) const {
        const Index last = convolve.phases - 1;  // there it would store the tile
        if (phase < last) return convolve.run(phase, block, thread, shared.in, local);
        const Index first = local.row / pool_h, below = pooled_rows - first;  // rows of windows
        const Index down = below < ROWS / pool_h ? below : ROWS / pool_h;
        const Index rest = convolve.filters - local.filter;
        const Index filters = rest < FILTERS ? rest : (Index)FILTERS;
        const Index map = local.sample * convolve.filters + local.filter;
        if (phase == last)
            keep(thread, shared, local);
        else if (phase == last + 1)
            find_tops(filters * down, down, thread, shared);
        else if (phase == last + 2)
            pool(filters * down, down, map * pooled_rows + first, thread, shared);
        else
            mark(filters * down * pool_h, down * pool_h, (map * pooled_rows + first) * pool_h,
                 thread, shared);
    }

    DEVICE void keep(int thread, Shared &shared, const Local &local) const {
        const int row = thread / (COLUMNS / EACH), column = thread % (COLUMNS / EACH) * EACH;
        for (int f = 0; f < FILTERS; f++)
            for (int k = 0; k < EACH; k++) shared.z[f][row][column + k] = local.sum[f][k];
    }

    DEVICE void find_tops(Index lines, Index down, int thread, Shared &shared) const {
        const Index columns = pooled_columns * pool_w;
        for (Index k = thread; k < lines * columns; k += THREADS) {
            const Index f = k / columns / down, r = k / columns % down, c = k % columns;
            T top = shared.z[f][r * pool_h][c];
            for (Index i = 1; i < pool_h; i++)
                if (shared.z[f][r * pool_h + i][c] > top) top = shared.z[f][r * pool_h + i][c];
            shared.tops[f][r][c] = top;
        }
    }

    DEVICE void pool(Index lines, Index down, Index to, int thread, Shared &shared) const {
        for (Index k = thread; k < lines * pooled_columns; k += THREADS) {
            const Index line = k / pooled_columns, f = line / down, r = line % down;
            T *top = shared.tops[f][r] + k % pooled_columns * pool_w;
            for (Index j = 1; j < pool_w; j++)
                if (top[j] > *top) *top = top[j];
            p[(to + f * pooled_rows + r) * pooled_columns + k % pooled_columns] = *top;
        }
    }

    DEVICE void mark(Index lines, Index down, Index to, int thread, const Shared &shared) const {
        for (Index k = thread; k < lines; k += THREADS) {
            const Index f = k / down, r = k % down;
            uint32_t word = 0;
            for (Index c = 0, a = 0; a < pooled_columns; a++) {
                const T most = shared.tops[f][r / pool_h][a * pool_w];
                for (Index j = 0; j < pool_w; j++, c++)
                    word |= (uint32_t)(shared.z[f][r][c] == most) << c;
            }
            winners[to + f * pooled_rows * pool_h + r] = word;
        }
    }
};

// p and winners of x and W. Where there are two more results, they are room for the map and the
// maxima of its columns.
template <class T> static void conv_pool(Call &call) {
    const Index pool_h = call.number("pool_h"), pool_w = call.number("pool_w");
    const Index shape[] = {call.dim(0, 0), call.dim(0, 1), call.dim(0, 2), call.dim(0, 3)};
    const bool in_tiles = call.results.size() == 2;
    const Convolve<T> convolve(call.in<T>(0), call.in<T>(1), in_tiles ? nullptr : call.out<T>(2),
                               shape, call.dim(1, 0), call.dim(1, 2), call.dim(1, 3), true, 0);
    if (in_tiles) {
        const ConvolvePool<T> whole(convolve, call.out<T>(0), call.out<uint32_t>(1), pool_h, pool_w);
        call.launch(whole, whole.convolve.blocks(shape[0]));
        return;
    }
    call.launch(convolve, convolve.blocks(shape[0]));
    const MarkPool<T> pool = {convolve.z, call.out<T>(0), call.out<T>(3), call.out<uint32_t>(1),
                              convolve.rows, convolve.columns, convolve.rows / pool_h,
                              convolve.columns / pool_w, pool_h, pool_w};
    call.launch(pool, shape[0] * convolve.filters);
}

template <class T> struct Winners {
    const uint32_t *winners;
    const T *dp;
    Index filters, rows, columns, words, pool_h, pool_w;  // rows: of winners; columns: of dp
    DEVICE T g(Index sample, Index filter, Index row, Index column) const {
        const Index line = (sample * filters + filter) * (rows / pool_h) + row / pool_h;
        return dp[line * columns + column / pool_w];
    }
    DEVICE uint32_t word(Index sample, Index filter, Index row, Index w) const {
        const uint32_t marked = winners[((sample * filters + filter) * rows + row) * words + w];
        uint32_t word = marked;
        for (uint32_t left = marked; left; left &= left - 1) {
            const int bit = lowest_bit(left);
            if (g(sample, filter, row, w * 32 + bit) == 0) word &= ~(1u << bit);
        }
        return word;
    }
};

// dW from x, the winners, dp and W, which gives its shape
template <class T> static void conv_pool_grad(Call &call) {
    const Winners<T> winners = {call.in<uint32_t>(1), call.in<T>(2), call.dim(1, 1),
                                call.dim(1, 2), call.dim(2, 3), call.dim(1, 3),
                                call.number("pool_h"), call.number("pool_w")};
    grad_filters<T>(call, winners, winners.filters, call.dim(3, 2), call.dim(3, 3));
}

HANDLER(conv_pool)
HANDLER(conv_pool_grad)
