// max_pool_2d without overlap or partial windows, and its gradient with the ties of Theano 0.6.

#include "launch.cuh"

#include "pool_window.h"

// p (maps, rows / pool_h, columns / pool_w) of z (maps, rows, columns): a thread has a window.
template <class T> struct Pool {
    enum { THREADS = 256 };
    typedef Nothing Shared;
    typedef Nothing Local;

    const T *z;
    T *p;
    Index maps, rows, columns, pool_h, pool_w;
    Index phases = 1;

    DEVICE void run(Index, Index block, int thread, Shared &, Local &) const {
        const Index down = rows / pool_h, across = columns / pool_w, k = block * THREADS + thread;
        if (k >= maps * down * across) return;
        const Index map = k / across / down, r = k / across % down, c = k % across;
        const T *window = z + (map * rows + r * pool_h) * columns + c * pool_w;
        p[k] = pool_window(window, columns, pool_h, pool_w);
    }
};

// dz: all of dp in every cell that equals its window's p. A thread has a cell.
template <class T> struct PoolGrad {
    enum { THREADS = 256 };
    typedef Nothing Shared;
    typedef Nothing Local;

    const T *z, *p, *dp;
    T *dz;
    Index maps, rows, columns, pool_h, pool_w;
    Index phases = 1;

    DEVICE void run(Index, Index block, int thread, Shared &, Local &) const {
        const Index down = rows / pool_h, across = columns / pool_w, k = block * THREADS + thread;
        if (k >= maps * rows * columns) return;
        const Index r = k / columns % rows / pool_h, c = k % columns / pool_w;
        const Index window = (k / columns / rows * down + r) * across + c;
        dz[k] = r < down && c < across && z[k] == p[window] ? dp[window] : T(0);
    }
};

template <class T> static void max_pool(Call &call) {
    const Pool<T> pool = {call.in<T>(0), call.out<T>(0), call.dim(0, 0) * call.dim(0, 1),
                          call.dim(0, 2), call.dim(0, 3), call.number("pool_h"),
                          call.number("pool_w")};
    const Index windows = pool.maps * (pool.rows / pool.pool_h) * (pool.columns / pool.pool_w);
    call.launch(pool, divide_up(windows, Pool<T>::THREADS));
}

template <class T> static void max_pool_grad(Call &call) {
    const PoolGrad<T> pool = {call.in<T>(0), call.in<T>(1), call.in<T>(2), call.out<T>(0),
                              call.dim(0, 0) * call.dim(0, 1), call.dim(0, 2), call.dim(0, 3),
                              call.number("pool_h"), call.number("pool_w")};
    call.launch(pool, divide_up(pool.maps * pool.rows * pool.columns, PoolGrad<T>::THREADS));
}

HANDLER(max_pool)
HANDLER(max_pool_grad)
