// What conv2d.cu and conv_pool.cu share: the convolution and the sums of its gradient.
//
// The canonical sums of conv_rows.h: an output is one chain of fma from 0 over input maps, filter
// rows, filter columns; an entry of the gradient is one over every CHAIN cells of a sample, these
// are added one after the other, and the samples in a tree.

#pragma once
#include "launch.cuh"

// z (n, filters, rows, columns) of x (n, maps, height, width) in a border of zeros, `top` rows and
// `left` columns wide. A block makes a tile of z for FILTERS filters, a thread EACH neighbouring
// columns of it. Input tile and taps come to shared memory in chunks of up to TAP_ROWS x
// TAP_COLUMNS taps, or of one tap row where that is wider. They are read EACH side by side.
template <class T> struct Convolve {
    enum { ROWS = 16, COLUMNS = 32, EACH = 4, FILTERS = 5, THREADS = ROWS * COLUMNS / EACH };
    enum { TAP_ROWS = 16, TAP_COLUMNS = 16, WIDTH = COLUMNS + TAP_COLUMNS };
    struct Shared {
        alignas(16) T x[ROWS + TAP_ROWS - 1][WIDTH];
        alignas(16) T taps[FILTERS][TAP_ROWS][TAP_COLUMNS];
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
    Index rows, columns, tile_rows = ROWS, chunk_rows, phases;

    Convolve(const T *x, const T *W, T *z, const Index *shape, Index filters, Index kh, Index kw,
             bool flipped, Index border)
        : x(x), W(W), z(z), maps(shape[1]), height(shape[2]), width(shape[3]),
          top(border * (kh - 1)), left(border * (kw - 1)), filters(filters), kh(kh), kw(kw),
          filter_step(flipped ? maps * kh * kw : kh * kw),
          map_step(flipped ? kh * kw : filters * kh * kw), flipped(flipped),
          rows(height + 2 * top - kh + 1), columns(width + 2 * left - kw + 1),
          chunk_rows(kw <= TAP_COLUMNS ? divide_up(kh, divide_up(kh, TAP_ROWS)) : 1),
          phases(2 * maps * divide_up(kh, chunk_rows) * divide_up(kw, TAP_COLUMNS) + 1) {}

    Index blocks(Index n) const {
        const Index tiles = divide_up(rows, tile_rows) * divide_up(columns, COLUMNS);
        return n * divide_up(filters, FILTERS) * tiles;
    }

    DEVICE void run(Index phase, Index block, int thread, Shared &shared, Local &local) const {
        if (phase == 0) begin(block, local);
        const Index chunk = phase / 2, j_chunks = divide_up(kw, TAP_COLUMNS);
        const Index i_chunks = divide_up(kh, chunk_rows), m = chunk / j_chunks / i_chunks;
        const Index i = chunk / j_chunks % i_chunks * chunk_rows;
        const Index j = chunk % j_chunks * TAP_COLUMNS;
        const int tap_rows = (int)(kh - i < chunk_rows ? kh - i : chunk_rows);
        const int tap_columns = (int)(kw - j < TAP_COLUMNS ? kw - j : (Index)TAP_COLUMNS);
        if (phase == phases - 1)
            store(thread, local);
        else if (phase % 2 == 0)
            load(m, i, j, tap_rows, thread, shared, local);
        else
            add(tap_rows, tap_columns, thread, shared, local);
    }

    DEVICE void begin(Index block, Local &local) const {
        const Index across = divide_up(columns, COLUMNS), down = divide_up(rows, tile_rows);
        const Index groups = divide_up(filters, FILTERS);
        local.column = block % across * COLUMNS;
        local.row = block / across % down * tile_rows;
        local.filter = block / (across * down) % groups * FILTERS;
        local.sample = block / (across * down) / groups;
        for (int f = 0; f < FILTERS; f++)
            for (int k = 0; k < EACH; k++) local.sum[f][k] = 0;
    }

    DEVICE void load(Index m, Index i, Index j, int tap_rows, int thread, Shared &shared,
                     const Local &local) const {
        const T *map = x + (local.sample * maps + m) * height * width;
        const Index row = local.row + i - top, column = local.column + j - left;
        for (int k = thread; k < (ROWS + tap_rows - 1) * WIDTH; k += THREADS) {
            const Index r = row + k / WIDTH, c = column + k % WIDTH;
            const bool inside = r >= 0 && r < height && c >= 0 && c < width;
            shared.x[k / WIDTH][k % WIDTH] = inside ? map[r * width + c] : T(0);
        }
        const T *taps = W + local.filter * filter_step + m * map_step;
        for (int k = thread; k < FILTERS * tap_rows * TAP_COLUMNS; k += THREADS) {
            const int tj = k % TAP_COLUMNS, ti = k / TAP_COLUMNS % tap_rows;
            const int f = k / TAP_COLUMNS / tap_rows;
            const Index tap = (i + ti) * kw + j + tj;
            const bool inside = local.filter + f < filters && j + tj < kw;
            shared.taps[f][ti][tj] =
                inside ? taps[f * filter_step + (flipped ? kh * kw - 1 - tap : tap)] : T(0);
        }
    }

    DEVICE void add(int tap_rows, int tap_columns, int thread, const Shared &shared,
                    Local &local) const {
        const int r = thread / (COLUMNS / EACH), c = thread % (COLUMNS / EACH) * EACH;
        for (int i = 0; i < tap_rows; i++) {
            const T *row = shared.x[r + i] + c;
            T in[2 * EACH], tap[EACH];
            for (int k = 0; k < EACH; k++) in[k] = row[k];
            int j = 0;
            for (; j + EACH <= tap_columns; j += EACH) {
                for (int k = 0; k < EACH; k++) in[EACH + k] = row[j + EACH + k];
                for (int f = 0; f < FILTERS; f++) {
                    for (int t = 0; t < EACH; t++) tap[t] = shared.taps[f][i][j + t];
                    for (int t = 0; t < EACH; t++)
                        for (int k = 0; k < EACH; k++)
                            local.sum[f][k] = std::fma(in[t + k], tap[t], local.sum[f][k]);
                }
                for (int k = 0; k < EACH; k++) in[k] = in[EACH + k];
            }
            for (; j < tap_columns; j++) {
                for (int f = 0; f < FILTERS; f++)
                    for (int k = 0; k < EACH; k++)
                        local.sum[f][k] = std::fma(in[k], shared.taps[f][i][j], local.sum[f][k]);
                for (int k = 1; k < EACH; k++) in[k - 1] = in[k];
                in[EACH - 1] = row[j + EACH];
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

// Cells in one chain; as in conv_rows.h.
static const Index CHAIN = 32;

// sums (n, filters, maps, kh, kw): the gradient from each sample. A block has a sample and a filter,
// a thread EACH taps. It lists the cells that have a gradient in shared memory, some rows at a time:
// a thread finds those of 32 columns, and writes them behind those of the threads before it.
// map.word(sample, filter, row, w): a bit for each of 32 columns. map.g(...): the gradient there.
template <class T, class Map> struct SumCells {
    enum { THREADS = 128, EACH = 3, WORDS = 32, CELLS = 32 * WORDS };
    struct Shared {
        uint32_t words[WORDS];
        Index n, from[CELLS];  // cells, and where in x the input under each begins
        T g[CELLS];
    };
    struct Local {
        T before[EACH], sum[EACH];  // the chains that are complete; the present one
        Index length;               // of the present one
    };

    Map map;
    const T *x;
    T *sums;
    Index filters, maps, height, width, kh, kw, parts, phases;

    SumCells(const Map &map, const T *x, T *sums, Index filters, Index maps, Index height,
             Index width, Index kh, Index kw)
        : map(map), x(x), sums(sums), filters(filters), maps(maps), height(height), width(width),
          kh(kh), kw(kw), parts(divide_up(maps * kh * kw, THREADS * EACH)),
          phases(3 * divide_up(map.rows * map.words, WORDS) + 1) {}

    DEVICE void run(Index phase, Index block, int thread, Shared &shared, Local &local) const {
        const Index filter = block / parts % filters, sample = block / parts / filters;
        const Index first = block % parts * THREADS * EACH + thread;  // tap
        if (phase == 0) {
            for (int k = 0; k < EACH; k++) local.before[k] = T(-0.0);  // no number changes by it
            begin_chain(local);
        }
        if (phase == phases - 1) return store(sample * filters + filter, first, local);
        if (phase % 3 == 2) return add(x + sample * maps * height * width, first, shared, local);
        if (thread >= WORDS) return;
        const Index word = phase / 3 * WORDS + thread, row = word / map.words;
        const Index w = word % map.words;
        if (phase % 3 == 0)
            shared.words[thread] = row < map.rows ? map.word(sample, filter, row, w) : 0;
        else
            list(sample, filter, row, w, thread, shared);
    }

    DEVICE void list(Index sample, Index filter, Index row, Index w, int thread,
                     Shared &shared) const {
        int at = 0;
        for (int k = 0; k < thread; k++) at += count_bits(shared.words[k]);
        for (uint32_t left = shared.words[thread]; left; left &= left - 1, at++) {
            const Index column = w * 32 + lowest_bit(left);
            shared.from[at] = row * width + column;
            shared.g[at] = map.g(sample, filter, row, column);
        }
        if (thread == WORDS - 1) shared.n = at;
    }

    DEVICE static void begin_chain(Local &local) {
        local.length = 0;
        for (int k = 0; k < EACH; k++) local.sum[k] = 0;
    }

    DEVICE static void end_chain(Local &local) {
        for (int k = 0; k < EACH; k++) local.before[k] += local.sum[k];
    }

    DEVICE void add(const T *patch, Index first, const Shared &shared, Local &local) const {
        const T *under[EACH];
        for (int k = 0; k < EACH; k++) {
            const Index tap = first + k * THREADS, last = maps * kh * kw - 1;
            const Index t = tap < last ? tap : last;  // beyond it sums are not stored
            under[k] = patch + (t / (kh * kw) * height + t / kw % kh) * width + t % kw;
        }
        for (Index c = 0, n = shared.n; c < n;) {
            if (local.length == CHAIN) end_chain(local), begin_chain(local);
            const Index left = CHAIN - local.length, end = n - c < left ? n : c + left;
            local.length += end - c;
#pragma unroll 4
            for (; c < end; c++)
                for (int k = 0; k < EACH; k++)
                    local.sum[k] = std::fma(shared.g[c], under[k][shared.from[c]], local.sum[k]);
        }
    }

    DEVICE void store(Index filter, Index first, Local &local) const {
        const Index taps = kh * kw;
        end_chain(local);
        for (int k = 0; k < EACH; k++) {
            const Index tap = first + k * THREADS, m = tap / taps;
            if (m < maps)  // flipped back
                sums[(filter * maps + m) * taps + taps - 1 - tap % taps] = local.before[k];
        }
    }
};

// The sum of v in a tree of pairs. What is not there is -0, which changes no number it is added to.
template <class T> static DEVICE T add_pairs(T (&v)[16]) {
#pragma unroll
    for (int step = 1; step < 16; step *= 2)
#pragma unroll
        for (int k = 0; k < 16; k += 2 * step) v[k] += v[k + step];
    return v[0];
}

// to (groups, size): sums over groups of MOST samples of from (n, size), in a tree of pairs. A block
// has COLUMNS entries of a group, a thread 16 samples of one.
template <class T> struct SumTree {
    enum { COLUMNS = 32, THREADS = 16 * COLUMNS, MOST = 256 };
    struct Shared {
        T sum[16][COLUMNS];
    };
    typedef Nothing Local;

    const T *from;
    T *to;
    Index n, size;
    Index phases = 2;

    DEVICE void run(Index phase, Index block, int thread, Shared &shared, Local &) const {
        const Index across = divide_up(size, COLUMNS), group = block / across;
        const Index entry = block % across * COLUMNS + thread % COLUMNS;
        const int part = thread / COLUMNS;
        T v[16];
        if (phase == 0) {
            const Index first = group * MOST + part * 16;
            for (int k = 0; k < 16; k++) {
                const bool there = first + k < n && entry < size;
                v[k] = there ? from[(first + k) * size + entry] : T(-0.0);
            }
            shared.sum[part][thread % COLUMNS] = add_pairs(v);
        } else if (part == 0 && entry < size) {
            for (int k = 0; k < 16; k++) v[k] = shared.sum[k][thread];
            to[group * size + entry] = n ? add_pairs(v) : T(0);
        }
    }
};

// dW, the first result, from x, the first argument, and the cells of the map. Two more results are
// room for the sums of samples, and of groups of them.
template <class T, class Map>
static void grad_filters(Call &call, const Map &map, Index filters, Index kh, Index kw) {
    const Index n = call.dim(0, 0), maps = call.dim(0, 1), size = filters * maps * kh * kw;
    T *const room[] = {call.out<T>(1), call.out<T>(2)};
    const SumCells<T, Map> cells(map, call.in<T>(0), room[0], filters, maps, call.dim(0, 2),
                                 call.dim(0, 3), kh, kw);
    call.launch(cells, n * filters * cells.parts);
    Index left = n, turn = 0, groups;
    do {
        groups = std::max<Index>(1, divide_up(left, SumTree<T>::MOST));
        T *to = groups == 1 ? call.out<T>(0) : room[1 - turn % 2];
        const SumTree<T> tree = {room[turn % 2], to, left, size};
        call.launch(tree, groups * divide_up(size, SumTree<T>::COLUMNS));
        left = groups, turn++;
    } while (groups > 1);
}
