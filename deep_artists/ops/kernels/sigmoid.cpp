// z = 1 / (1 + exp(-a)), 0 below and 1 above the thresholds of Theano 0.6.

#include "host.h"

#include "exp_log.h"

static const npy_intp EACH = 8192;  // entries that are worth a thread

template <class T> static int sigmoid(PyArrayObject *a, PyArrayObject **z, npy_intp low,
                                      npy_intp high) {
    Contiguous A(a);
    *z = prepare(*z, PyArray_NDIM(a), PyArray_DIMS(a), npy<T>::type);
    if (!A.array || !*z) return -1;
    const T *from = A.data<T>();
    T *to = (T *)PyArray_DATA(*z);
    const npy_intp n = PyArray_SIZE(a);
    const double least = low, most = high;
    share((n + EACH - 1) / EACH, [&](npy_intp unit, int) {
        const npy_intp end = std::min(n, (unit + 1) * EACH);
        for (npy_intp i = unit * EACH; i < end; i++) {
            const double x = from[i], y = 1.0 / (1.0 + exp_(-x));
            to[i] = (T)(x < least ? 0.0 : x > most ? 1.0 : y);
        }
    });
    return 0;
}

EXPORT(sigmoid)
