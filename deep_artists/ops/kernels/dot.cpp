// C = A B for matrices of any strides, in a fixed order. See dot_panel.h for the sum.

#define KERNEL "dot_panel.h"
#include "isa.h"

static const npy_intp PANEL = 32;  // columns a unit packs: two vectors of the widest kind
static const npy_intp ROWS = 48;   // rows a unit computes at the least

template <class T> static int dot(PyArrayObject *A, PyArrayObject *B, PyArrayObject **C) {
    const npy_intp M = PyArray_DIMS(A)[0], K = PyArray_DIMS(A)[1], N = PyArray_DIMS(B)[1];
    if (K != PyArray_DIMS(B)[0]) {
        PyErr_Format(PyExc_ValueError, "dot: (%zd, %zd) and (%zd, %zd) do not fit", M, K,
                     PyArray_DIMS(B)[0], N);
        return -1;
    }
    const npy_intp shape[] = {M, N};
    *C = prepare(*C, 2, shape, npy<T>::type);
    if (!*C) return -1;
    if (!N) return 0;
    const npy_intp item = sizeof(T), *sa = PyArray_STRIDES(A), *sb = PyArray_STRIDES(B);
    const npy_intp a_row = sa[0] / item, a_k = sa[1] / item, b_k = sb[0] / item, b_col = sb[1] / item;
    const npy_intp panels = (N + PANEL - 1) / PANEL;
    // Few panels: share their rows too, at the price of packing a panel more than once.
    const npy_intp parts = panels >= 8 ? 1 : std::max<npy_intp>(1, std::min<npy_intp>(8 / panels, M / ROWS));
    const npy_intp units = panels * parts;
    std::vector<T> scratch(count_threads(units) * K * PANEL);
    const auto run = CHOOSE(dot_panel<T>);
    share(units, [&](npy_intp unit, int thread) {
        T *panel = scratch.data() + thread * K * PANEL;
        const npy_intp first = unit / parts * PANEL, columns = std::min(PANEL, N - first);
        const T *from = (const T *)PyArray_DATA(B) + first * b_col;
        if (b_col == 1)
            for (npy_intp k = 0; k < K; k++) memcpy(panel + k * PANEL, from + k * b_k, columns * item);
        else
            for (npy_intp c = 0; c < columns; c++)
                for (npy_intp k = 0; k < K; k++) panel[k * PANEL + c] = from[k * b_k + c * b_col];
        const npy_intp part = unit % parts, top = M * part / parts, end = M * (part + 1) / parts;
        run((const T *)PyArray_DATA(A) + top * a_row, a_row, a_k, end - top, K, panel, PANEL,
            (T *)PyArray_DATA(*C) + top * N + first, N, columns);
    });
    return 0;
}
