// z = 1 / (1 + exp(-a)), 0 below and 1 above the thresholds of Theano 0.6.

#include "host.h"

// A comparison with NaN need not trap, so that the compiler may compute both sides of a choice.
#pragma GCC optimize("no-trapping-math")
#include "exp_log.h"

static const npy_intp EACH = 4096;  // entries that are worth a thread

// Two loops, of lanes each. The thresholds choose between numbers that are there already, so that
// the second has no branch: 1 / (1 + 0) is 1 and 1 / (1 + infinity) is 0.
template <class T>
static void sigmoid_row(const T *__restrict__ a, npy_intp n, double low, double high,
                        double *__restrict__ e, T *__restrict__ z) {
    for (npy_intp i = 0; i < n; i++) e[i] = exp_(-(double)a[i]);
    for (npy_intp i = 0; i < n; i++) {
        double some = e[i];
        some = a[i] > high ? 0.0 : some;
        some = a[i] < low ? HUGE_VAL : some;
        z[i] = (T)(1.0 / (1.0 + some));
    }
}

template <class T>
static int sigmoid(PyArrayObject *a, PyArrayObject **z, npy_intp low, npy_intp high) {
    Contiguous A(a);
    *z = prepare(*z, PyArray_NDIM(a), PyArray_DIMS(a), npy<T>::type);
    if (!A.array || !*z) return -1;
    const T *from = A.data<T>();
    T *to = (T *)PyArray_DATA(*z);
    const npy_intp n = PyArray_SIZE(a);
    share((n + EACH - 1) / EACH, [&](npy_intp unit, int) {
        double e[EACH];
        const npy_intp first = unit * EACH;
        sigmoid_row(from + first, std::min(n - first, EACH), low, high, e, to + first);
    });
    return 0;
}

EXPORT(sigmoid)
