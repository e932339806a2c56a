// C = A B for matrices of any strides, in a fixed order. See dot_panel.h for the sum.

#include "dot_panel.h"

static const npy_intp PANEL_BYTES = 32768;  // of B at once, to stay in the first cache
static const npy_intp PART_BYTES = 786432;  // of A at once, to stay in the second cache
static const npy_intp FEW_ROWS = 32;        // for which B is read where it lies
static const npy_intp PACK_EACH = 16384;    // elements that are worth a thread

// Elements, not bytes, from one row or column to the next.
template <class T> struct Strided {
    T *data;
    npy_intp rows, columns, row, column;
    explicit Strided(PyArrayObject *a)
        : data((T *)PyArray_DATA(a)), rows(PyArray_DIMS(a)[0]), columns(PyArray_DIMS(a)[1]),
          row(PyArray_STRIDES(a)[0] / (npy_intp)sizeof(T)),
          column(PyArray_STRIDES(a)[1] / (npy_intp)sizeof(T)) {}
    void transpose() { std::swap(rows, columns), std::swap(row, column); }
};

template <class T> static int dot(PyArrayObject *left, PyArrayObject *right, PyArrayObject **out) {
    Strided<T> A(left), B(right);
    if (A.columns != B.rows) {
        PyErr_Format(PyExc_ValueError, "dot: (%zd, %zd) and (%zd, %zd) do not fit", A.rows,
                     A.columns, B.rows, B.columns);
        return -1;
    }
    const npy_intp shape[] = {A.rows, B.columns}, K = A.columns, lanes = dot_lanes<T>();
    *out = prepare(*out, 2, shape, npy<T>::type);
    if (!*out) return -1;
    Strided<T> C(*out);
    if (!C.rows || !C.columns) return 0;
    if (!K) {
        std::fill_n(C.data, C.rows * C.columns, 0);
        return 0;
    }
    if (C.columns < lanes && C.rows > C.columns) {  // few columns: lanes run over rows
        std::swap(A, B);
        A.transpose(), B.transpose(), C.transpose();
    }
    const auto pack = dot_pack<T>;
    const auto multiply = dot_tile<T>;
    const npy_intp blocks = (C.rows + lanes - 1) / lanes, block = K * lanes;
    Aligned<T> packed(blocks * block);
    const npy_intp packers = std::max<npy_intp>(1, std::min(blocks, blocks * block / PACK_EACH));
    share(packers, [&](npy_intp unit, int) {
        for (npy_intp b = blocks * unit / packers; b < blocks * (unit + 1) / packers; b++)
            pack(A.data + b * lanes * A.row, A.row, A.column, std::min(lanes, C.rows - b * lanes),
                 K, packed.data + b * block, lanes);
    });

    const npy_intp panel = DOT_VECTORS * lanes, panels = (C.columns + panel - 1) / panel;
    const npy_intp threads = count_threads(panels * blocks);
    const npy_intp parts = std::max<npy_intp>((blocks * block * sizeof(T)) / PART_BYTES + 1,
                                              (threads + panels - 1) / panels);
    const npy_intp rows = (blocks + parts - 1) / parts * lanes;
    const npy_intp depth = std::min<npy_intp>(K, PANEL_BYTES / panel / sizeof(T));
    const npy_intp size = (depth + rows + DOT_ROWS) * panel;
    Aligned<T> scratch(threads * size);
    share(panels * parts, [&](npy_intp unit, int thread) {
        T *in = scratch.data + thread * size, *edge = in + depth * panel;
        const npy_intp first = unit % panels * panel, columns = std::min(panel, C.columns - first);
        const npy_intp top = unit / panels * rows, some = std::min(rows, C.rows - top);
        if (some <= 0) return;
        // Whole vectors are summed where they lie in C, others in a tile.
        const bool in_place = C.column == 1 && columns % lanes == 0;
        T *out = in_place ? C.data + top * C.row + first : edge + DOT_ROWS * panel;
        const npy_intp ldc = in_place ? C.row : panel;
        // Few rows do not repay the packing of B.
        const bool pack_B = B.column != 1 || columns % lanes || some > FEW_ROWS;
        const npy_intp ldb = pack_B ? panel : B.row;
        for (npy_intp k = 0; k < K; k += depth) {
            const npy_intp deep = std::min(depth, K - k);
            const T *from = B.data + k * B.row + first * B.column;
            for (npy_intp c = 0; pack_B && c < columns; c += lanes)
                pack(from + c * B.column, B.column, B.row, std::min(lanes, columns - c), deep,
                     in + c, panel);
            multiply(packed.data + top / lanes * block + k * lanes, block, pack_B ? in : from, ldb,
                     deep, some, columns, out, ldc, edge, k > 0);
        }
        const npy_intp whole = some / DOT_ROWS * DOT_ROWS;
        for (npy_intp m = in_place ? whole : 0; m < some; m++) {
            const T *sums = m < whole ? out + m * ldc : edge + (m - whole) * panel;
            T *to = C.data + (top + m) * C.row + first * C.column;
            for (npy_intp c = 0; c < columns; c++) to[c * C.column] = sums[c];
        }
    });
    return 0;
}

EXPORT(dot)
