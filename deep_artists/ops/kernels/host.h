// Threads, NumPy arrays and the way in from outside, for every kernel.

#pragma once
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>
#include <omp.h>
#include <stdint.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <numeric>
#include <vector>

static int count_threads(npy_intp units) {
    return (int)std::max<npy_intp>(1, std::min<npy_intp>(units, omp_get_max_threads()));
}

// Call body(unit, thread) for each unit. A unit owns its outputs, so who runs it does not matter.
template <class Body> static void share(npy_intp units, const Body &body) {
    const int threads = count_threads(units);
    int failed = 0;  // no exception may leave a parallel region
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1) reduction(| : failed)
    for (npy_intp unit = 0; unit < units; unit++) {
        try {
            body(unit, omp_get_thread_num());
        } catch (const std::exception &) {
            failed |= 1;
        }
    }
    if (failed) throw std::bad_alloc();
}

// Memory that begins at a cache line, not initialized.
template <class T> struct Aligned {
    T *const data;
    explicit Aligned(size_t size) : data(new (std::align_val_t(64)) T[size]) {}
    ~Aligned() { ::operator delete[](data, std::align_val_t(64)); }
    Aligned(const Aligned &) = delete;
};

// A new or reused C-contiguous output.
static PyArrayObject *prepare(PyArrayObject *old, int ndim, const npy_intp *shape, int type) {
    if (old && PyArray_NDIM(old) == ndim && PyArray_IS_C_CONTIGUOUS(old) &&
        PyArray_TYPE(old) == type && PyArray_CompareLists(PyArray_DIMS(old), shape, ndim))
        return old;
    Py_XDECREF(old);
    return (PyArrayObject *)PyArray_SimpleNew(ndim, (npy_intp *)shape, type);
}

// A C-contiguous view or copy of an input, released at the end of its scope.
struct Contiguous {
    PyArrayObject *array;
    explicit Contiguous(PyArrayObject *a) : array(PyArray_GETCONTIGUOUS(a)) {}
    ~Contiguous() { Py_XDECREF(array); }
    npy_intp dim(int axis) const { return PyArray_DIMS(array)[axis]; }
    template <class T> T *data() const { return (T *)PyArray_DATA(array); }
};

template <class T> struct npy;
template <> struct npy<float> { enum { type = NPY_FLOAT32 }; };
template <> struct npy<double> { enum { type = NPY_FLOAT64 }; };

// A kernel as C code calls it: returns -1 with a Python exception set, and throws nothing.
template <auto kernel> struct Entry;
template <class... A, int (*kernel)(A...)> struct Entry<kernel> {
    static int call(A... arguments) noexcept {
        if (!PyArray_API && _import_array() < 0) return -1;
        try {
            return kernel(arguments...);
        } catch (const std::bad_alloc &) {
            PyErr_NoMemory();
            return -1;
        }
    }
};

// REAL is float or double, as the compiler is told. The address of `name` for it.
#define EXPORT(name) extern "C" { void *name##_entry = (void *)Entry<&name<REAL>>::call; }
