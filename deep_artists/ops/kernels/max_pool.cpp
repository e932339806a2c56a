// max_pool_2d without overlap or partial windows, and its gradient with the ties of Theano 0.6.

#include "host.h"
#include "pool_window.h"

// p (n, maps, rows // pool_h, columns // pool_w)
template <class T>
static int max_pool(PyArrayObject *z, PyArrayObject **p, npy_intp pool_h, npy_intp pool_w) {
    const npy_intp *a = PyArray_DIMS(z), shape[] = {a[0], a[1], a[2] / pool_h, a[3] / pool_w};
    Contiguous Z(z);
    *p = prepare(*p, 4, shape, npy<T>::type);
    if (!Z.array || !*p) return -1;
    T *out = (T *)PyArray_DATA(*p);
    share(a[0] * a[1], [&](npy_intp map, int) {
        for (npy_intp r = 0; r < shape[2]; r++)
            for (npy_intp c = 0; c < shape[3]; c++) {
                const T *window = Z.data<T>() + (map * a[2] + r * pool_h) * a[3] + c * pool_w;
                out[(map * shape[2] + r) * shape[3] + c] =
                    pool_window(window, a[3], pool_h, pool_w);
            }
    });
    return 0;
}

// dz, zero but where z equals its window's p. Theano 0.6: every tied cell gets all of dp.
template <class T>
static int max_pool_grad(PyArrayObject *z, PyArrayObject *p, PyArrayObject *dp, PyArrayObject **dz,
                         npy_intp pool_h, npy_intp pool_w) {
    const npy_intp *a = PyArray_DIMS(z), pooled[] = {a[0], a[1], a[2] / pool_h, a[3] / pool_w};
    if (!PyArray_CompareLists(PyArray_DIMS(p), pooled, 4) ||
        !PyArray_CompareLists(PyArray_DIMS(dp), pooled, 4)) {
        PyErr_Format(PyExc_ValueError,
                     "max_pool_2d gradient: pooled shapes must be (%zd, %zd, %zd, %zd)", pooled[0],
                     pooled[1], pooled[2], pooled[3]);
        return -1;
    }
    Contiguous Z(z), P(p), G(dp);
    *dz = prepare(*dz, 4, a, npy<T>::type);
    if (!Z.array || !P.array || !G.array || !*dz) return -1;
    T *out = (T *)PyArray_DATA(*dz);
    share(a[0] * a[1], [&](npy_intp map, int) {
        std::fill(out + map * a[2] * a[3], out + (map + 1) * a[2] * a[3], T(0));
        for (npy_intp r = 0; r < pooled[2] * pool_h; r++)
            for (npy_intp c = 0; c < pooled[3] * pool_w; c++) {
                const npy_intp cell = (map * a[2] + r) * a[3] + c;
                const npy_intp window = (map * pooled[2] + r / pool_h) * pooled[3] + c / pool_w;
                if (Z.data<T>()[cell] == P.data<T>()[window]) out[cell] = G.data<T>()[window];
            }
    });
    return 0;
}

EXPORT(max_pool)
EXPORT(max_pool_grad)
