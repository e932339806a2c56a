// C = A B, each entry one chain of fma from 0 over k = 0, 1, ... as in dot_panel.h.

#include "launch.cuh"

// A block makes a tile of C, a thread one entry; A and B come to shared memory DEPTH k at a time.
template <class T> struct Product {
    enum { TILE = 16, DEPTH = 32, THREADS = TILE * TILE };
    struct Shared {
        T A[TILE][DEPTH + 1], B[DEPTH][TILE];  // + 1: rows in different banks
    };
    struct Local {
        T sum;
    };

    const T *A, *B;
    T *C;
    Index M, K, N, phases;

    DEVICE void run(Index phase, Index block, int thread, Shared &shared, Local &local) const {
        const Index across = divide_up(N, TILE), top = block / across * TILE;
        const Index left = block % across * TILE, k = phase / 2 * DEPTH;
        const int row = thread / TILE, column = thread % TILE;
        if (phase == 0) local.sum = 0;
        if (phase == phases - 1) {
            if (top + row < M && left + column < N)
                C[(top + row) * N + left + column] = local.sum;
        } else if (phase % 2 == 0) {
            for (int t = thread; t < TILE * DEPTH; t += THREADS) {
                const int a = t / DEPTH, ak = t % DEPTH, bk = t / TILE, b = t % TILE;
                const bool in_A = top + a < M && k + ak < K, in_B = k + bk < K && left + b < N;
                shared.A[a][ak] = in_A ? A[(top + a) * K + k + ak] : T(0);
                shared.B[bk][b] = in_B ? B[(k + bk) * N + left + b] : T(0);
            }
        } else {
            const int depth = (int)(K - k < DEPTH ? K - k : DEPTH);
#pragma unroll 8
            for (int d = 0; d < depth; d++)
                local.sum = std::fma(shared.A[row][d], shared.B[d][column], local.sum);
        }
    }
};

template <class T> static void dot(Call &call) {
    const Index M = call.dim(0, 0), K = call.dim(0, 1), N = call.dim(1, 1);
    const Product<T> product = {call.in<T>(0), call.in<T>(1), call.out<T>(0), M, K, N,
                                2 * divide_up(K, Product<T>::DEPTH) + 1};
    call.launch(product, divide_up(M, Product<T>::TILE) * divide_up(N, Product<T>::TILE));
}

HANDLER(dot)
