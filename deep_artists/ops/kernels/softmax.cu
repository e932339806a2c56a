// softmax over rows, its gradient, and the two of the negative log-likelihood of a label.
//
// A block has a row; its threads share the columns, and each one makes the row's sum by itself.

#include "launch.cuh"

#include "softmax_row.h"

// p = exp(x - max x) / sum, and with labels nll = log(sum) - (x_y - max x). A label that is no
// column gives NaN. e (n, k): room for the exp.
template <class T> struct Rows {
    enum { THREADS = 32 };
    typedef Nothing Shared;
    typedef Nothing Local;

    const T *x;
    const int32_t *y;  // or null
    T *nll, *p;
    double *e;
    Index k;
    Index phases = 2;

    DEVICE void run(Index phase, Index i, int thread, Shared &, Local &) const {
        const T *row = x + i * k, highest = k ? find_highest(row, k) : T(0);
        if (phase == 0) {
            for (Index j = thread; j < k; j += THREADS)
                e[i * k + j] = exp_((double)row[j] - (double)highest);
            return;
        }
        const double sum = add_up(e + i * k, k);
        for (Index j = thread; j < k; j += THREADS) p[i * k + j] = (T)(e[i * k + j] / sum);
        if (y && thread == 0)
            nll[i] = y[i] >= 0 && y[i] < k ? likelihood(sum, row[y[i]], highest) : (T)NAN;
    }
};

template <class T> static void softmax(Call &call) {
    const Rows<T> rows = {call.in<T>(0), nullptr, nullptr, call.out<T>(0), call.out<double>(1),
                          call.dim(0, 1)};
    call.launch(rows, call.dim(0, 0));
}

template <class T> static void nll(Call &call) {
    const Rows<T> rows = {call.in<T>(0), call.in<int32_t>(1), call.out<T>(0), call.out<T>(1),
                          call.out<double>(2), call.dim(0, 1)};
    call.launch(rows, call.dim(0, 0));
}

// dx = p (dp - sum(dp p))
template <class T> struct RowsGrad {
    enum { THREADS = 32 };
    typedef Nothing Shared;
    typedef Nothing Local;

    const T *dp, *p;
    T *dx;
    Index k;
    Index phases = 1;

    DEVICE void run(Index, Index i, int thread, Shared &, Local &) const {
        const T *g = dp + i * k, *row = p + i * k;
        const double sum = add_up_products(g, row, k);
        for (Index j = thread; j < k; j += THREADS)
            dx[i * k + j] = softmax_slope(row[j], g[j], sum);
    }
};

template <class T> static void softmax_grad(Call &call) {
    const RowsGrad<T> rows = {call.in<T>(0), call.in<T>(1), call.out<T>(0), call.dim(1, 1)};
    call.launch(rows, call.dim(1, 0));
}

// dx = g (p - [j == y])
template <class T> struct LikelihoodGrad {
    enum { THREADS = 256 };
    typedef Nothing Shared;
    typedef Nothing Local;

    const T *p;
    const int32_t *y;
    const T *g;
    T *dx;
    Index n, k;
    Index phases = 1;

    DEVICE void run(Index, Index block, int thread, Shared &, Local &) const {
        const Index at = block * THREADS + thread;
        if (at < n * k) dx[at] = likelihood_slope(g[at / k], p[at], at % k == y[at / k]);
    }
};

template <class T> static void nll_grad(Call &call) {
    const LikelihoodGrad<T> rows = {call.in<T>(0), call.in<int32_t>(1), call.in<T>(2),
                                    call.out<T>(0), call.dim(0, 0), call.dim(0, 1)};
    call.launch(rows, divide_up(rows.n * rows.k, LikelihoodGrad<T>::THREADS));
}

HANDLER(softmax)
HANDLER(softmax_grad)
HANDLER(nll)
HANDLER(nll_grad)
