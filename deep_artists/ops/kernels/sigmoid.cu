// z = 1 / (1 + exp(-a)), 0 below and 1 above the thresholds of Theano 0.6.

#include "launch.cuh"

#include "exp_log.h"
#include "sigmoid.h"

// A thread has an entry.
template <class T> struct SigmoidOfAll {
    enum { THREADS = 256 };
    typedef Nothing Shared;
    typedef Nothing Local;

    const T *a;
    T *z;
    Index n;
    double low, high;
    Index phases = 1;

    DEVICE void run(Index, Index block, int thread, Shared &, Local &) const {
        const Index i = block * THREADS + thread;
        if (i < n) z[i] = (T)theano_sigmoid(a[i], low, high);
    }
};

template <class T> static void sigmoid(Call &call) {
    const SigmoidOfAll<T> all = {call.in<T>(0), call.out<T>(0), call.size(0),
                                 (double)call.number("low"), (double)call.number("high")};
    call.launch(all, divide_up(all.n, SigmoidOfAll<T>::THREADS));
}

HANDLER(sigmoid)
