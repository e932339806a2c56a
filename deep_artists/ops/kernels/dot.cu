// C = A B, each entry one chain of fma from 0 over k = 0, 1, ... as in dot_panel.h.

#include "launch.cuh"

// The rows of A or the columns of B, `line` elements from one to the next, their K entries `entry`
// elements apart. One of the two is 1: a matrix is read as it lies, turned or not.
template <class T> struct Lines {
    const T *data;
    Index n, line, entry;
};

// A block of SIDE x SIDE threads makes a tile of C, a thread EACH x EACH neighbouring entries. The
// lines come to shared memory DEPTH entries at a time; while these are multiplied, the next are on
// their way to the threads' registers. Lines are padded, so that few of them begin in one bank.
template <class T, int SIDE, int EACH, int DEPTH> struct Product {
    enum { THREADS = SIDE * SIDE, TILE = SIDE * EACH, FETCH = DEPTH * TILE / THREADS };
    struct Shared {
        alignas(16) T A[DEPTH][TILE + EACH], B[DEPTH][TILE + EACH];
    };
    struct Local {
        T sum[EACH][EACH], A[FETCH], B[FETCH];
    };

    Lines<T> A, B;
    T *C;
    Index K, phases;

    Product(const Lines<T> &A, const Lines<T> &B, T *C, Index K)
        : A(A), B(B), C(C), K(K), phases(1 + 2 * divide_up(K, DEPTH)) {}

    Index blocks() const { return divide_up(A.n, TILE) * divide_up(B.n, TILE); }

    DEVICE void run(Index phase, Index block, int thread, Shared &shared, Local &local) const {
        const Index across = divide_up(B.n, TILE), top = block / across * TILE;
        const Index left = block % across * TILE, next = (phase + 1) / 2 * DEPTH;
        if (phase == 0) clear(local);
        if (phase % 2) {
            keep(A, thread, local.A, shared.A);
            keep(B, thread, local.B, shared.B);
            return;
        }
        if (next < K) {
            fetch(A, top, next, thread, local.A);
            fetch(B, left, next, thread, local.B);
        }
        if (phase) add(K - (next - DEPTH), thread, shared, local);
        if (phase == phases - 1) store(top, left, thread, local);
    }

    DEVICE static void clear(Local &local) {
        for (int i = 0; i < EACH; i++)
            for (int j = 0; j < EACH; j++) local.sum[i][j] = 0;
    }

    // What the thread's `f`-th entry of a chunk is: neighbouring threads read what lies side by side.
    DEVICE static int line_of(const Lines<T> &from, int thread, int f) {
        const int t = thread + f * THREADS;
        return from.entry == 1 ? t / DEPTH : t % TILE;
    }

    DEVICE static int entry_of(const Lines<T> &from, int thread, int f) {
        const int t = thread + f * THREADS;
        return from.entry == 1 ? t % DEPTH : t / TILE;
    }

    DEVICE void fetch(const Lines<T> &from, Index first, Index k, int thread, T *to) const {
#pragma unroll
        for (int f = 0; f < FETCH; f++) {
            const Index i = first + line_of(from, thread, f), at = k + entry_of(from, thread, f);
            to[f] = i < from.n && at < K ? from.data[i * from.line + at * from.entry] : T(0);
        }
    }

    DEVICE static void keep(const Lines<T> &from, int thread, const T *fetched,
                            T (&to)[DEPTH][TILE + EACH]) {
#pragma unroll
        for (int f = 0; f < FETCH; f++)
            to[entry_of(from, thread, f)][line_of(from, thread, f)] = fetched[f];
    }

    DEVICE static void add(Index left, int thread, const Shared &shared, Local &local) {
        const int depth = left < DEPTH ? (int)left : DEPTH;
        const int row = thread / SIDE * EACH, column = thread % SIDE * EACH;
#pragma unroll 8
        for (int k = 0; k < depth; k++) {
            T a[EACH], b[EACH];
            for (int i = 0; i < EACH; i++) a[i] = shared.A[k][row + i];
            for (int j = 0; j < EACH; j++) b[j] = shared.B[k][column + j];
            for (int i = 0; i < EACH; i++)
                for (int j = 0; j < EACH; j++)
                    local.sum[i][j] = std::fma(a[i], b[j], local.sum[i][j]);
        }
    }

    DEVICE void store(Index top, Index left, int thread, const Local &local) const {
        const Index row = top + thread / SIDE * EACH, column = left + thread % SIDE * EACH;
        for (int i = 0; i < EACH; i++)
            for (int j = 0; j < EACH; j++)
                if (row + i < A.n && column + j < B.n)
                    C[(row + i) * B.n + column + j] = local.sum[i][j];
    }
};

// A is (M, K) and B (K, N), both as they are named; a turned one lies in memory column by column.
template <class T> static void dot(Call &call) {
    const Index M = call.dim(0, 0), K = call.dim(0, 1), N = call.dim(1, 1);
    const bool turned_A = call.number("turned_A"), turned_B = call.number("turned_B");
    const Lines<T> A = {call.in<T>(0), M, turned_A ? 1 : K, turned_A ? M : 1};
    const Lines<T> B = {call.in<T>(1), N, turned_B ? K : 1, turned_B ? 1 : N};
    // Large tiles need fewer loads, but a GPU of some hundred multiprocessors needs many tiles.
    const Product<T, 16, 4, 16> large(A, B, call.out<T>(0), K);
    const Product<T, 8, 2, 256 / sizeof(T)> small(A, B, call.out<T>(0), K);
    if (large.blocks() >= 128)
        call.launch(large, large.blocks());
    else
        call.launch(small, small.blocks());
}

HANDLER(dot)
