// softmax over rows, its gradient, and the two of the negative log-likelihood of a label.
//
// Every sum runs in double, over the columns in their order. A row has one owner.

#include "host.h"
#include "softmax_row.h"

// Call body(row, thread) for each row: on one thread where there are few entries.
template <class Body> static void share_rows(npy_intp n, npy_intp k, const Body &body) {
    if (n * k >= 20000) return share(n, body);
    for (npy_intp i = 0; i < n; i++) body(i, 0);
}

// e = exp(row - max row); the compiler computes lanes of columns. Return the maximum.
template <class T> static T exp_row(const T *row, npy_intp k, double *e) {
    const T highest = find_highest(row, k);
    for (npy_intp j = 0; j < k; j++) e[j] = exp_((double)row[j] - (double)highest);
    return highest;
}

template <class T> static void divide_row(const double *e, npy_intp k, double sum, T *p) {
    for (npy_intp j = 0; j < k; j++) p[j] = (T)(e[j] / sum);
}

// p = exp(x - max x) / sum
template <class T> static int softmax(PyArrayObject *x, PyArrayObject **p) {
    const npy_intp n = PyArray_DIMS(x)[0], k = PyArray_DIMS(x)[1];
    Contiguous X(x);
    *p = prepare(*p, 2, PyArray_DIMS(x), npy<T>::type);
    if (!X.array || !*p) return -1;
    if (!k) return 0;
    std::vector<double> scratch(count_threads(n) * k);
    share_rows(n, k, [&](npy_intp i, int thread) {
        double *e = scratch.data() + thread * k;
        exp_row(X.data<T>() + i * k, k, e);
        divide_row(e, k, add_up(e, k), (T *)PyArray_DATA(*p) + i * k);
    });
    return 0;
}

// dx = p (dp - sum(dp p))
template <class T> static int softmax_grad(PyArrayObject *dp, PyArrayObject *p, PyArrayObject **dx) {
    const npy_intp n = PyArray_DIMS(p)[0], k = PyArray_DIMS(p)[1];
    if (!PyArray_SAMESHAPE(dp, p)) {
        PyErr_SetString(PyExc_ValueError, "softmax gradient: dp and p must have one shape");
        return -1;
    }
    Contiguous G(dp), P(p);
    *dx = prepare(*dx, 2, PyArray_DIMS(p), npy<T>::type);
    if (!G.array || !P.array || !*dx) return -1;
    for (npy_intp i = 0; i < n; i++) {
        const T *g = G.data<T>() + i * k, *row = P.data<T>() + i * k;
        const double sum = add_up_products(g, row, k);
        for (npy_intp j = 0; j < k; j++)
            ((T *)PyArray_DATA(*dx))[i * k + j] = softmax_slope(row[j], g[j], sum);
    }
    return 0;
}

static int check_labels(const Contiguous &Y, npy_intp n, npy_intp k) {
    if (Y.dim(0) != n) {
        PyErr_Format(PyExc_ValueError, "%zd labels for %zd rows", Y.dim(0), n);
        return -1;
    }
    for (npy_intp i = 0; i < n; i++) {
        const int y = Y.data<int>()[i];
        if (y < 0 || y >= k) {
            PyErr_Format(PyExc_ValueError, "label %d, but there are %zd classes", y, k);
            return -1;
        }
    }
    return 0;
}

// nll = log(sum(exp(x - max x))) - (x_y - max x), and p on the way
template <class T>
static int nll(PyArrayObject *x, PyArrayObject *y, PyArrayObject **out, PyArrayObject **p) {
    const npy_intp n = PyArray_DIMS(x)[0], k = PyArray_DIMS(x)[1];
    Contiguous X(x), Y(y);
    if (!X.array || !Y.array || check_labels(Y, n, k)) return -1;
    *out = prepare(*out, 1, &n, npy<T>::type);
    *p = prepare(*p, 2, PyArray_DIMS(x), npy<T>::type);
    if (!*out || !*p) return -1;
    std::vector<double> scratch(count_threads(n) * k);
    share_rows(n, k, [&](npy_intp i, int thread) {
        const T *row = X.data<T>() + i * k;
        double *e = scratch.data() + thread * k;
        const T highest = exp_row(row, k, e);
        const double sum = add_up(e, k);
        divide_row(e, k, sum, (T *)PyArray_DATA(*p) + i * k);
        ((T *)PyArray_DATA(*out))[i] = likelihood(sum, row[Y.data<int>()[i]], highest);
    });
    return 0;
}

// dx = g (p - [j == y])
template <class T>
static int nll_grad(PyArrayObject *p, PyArrayObject *y, PyArrayObject *g, PyArrayObject **dx) {
    const npy_intp n = PyArray_DIMS(p)[0], k = PyArray_DIMS(p)[1];
    Contiguous P(p), Y(y), G(g);
    if (!P.array || !Y.array || !G.array || check_labels(Y, n, k)) return -1;
    if (G.dim(0) != n) {
        PyErr_SetString(PyExc_ValueError, "nll gradient: one gradient a row is needed");
        return -1;
    }
    *dx = prepare(*dx, 2, PyArray_DIMS(p), npy<T>::type);
    if (!*dx) return -1;
    for (npy_intp i = 0; i < n; i++)
        for (npy_intp j = 0; j < k; j++)
            ((T *)PyArray_DATA(*dx))[i * k + j] = likelihood_slope(
                G.data<T>()[i], P.data<T>()[i * k + j], j == Y.data<int>()[i]);
    return 0;
}

EXPORT(softmax)
EXPORT(softmax_grad)
EXPORT(nll)
EXPORT(nll_grad)
