// C = A B for matrices of any strides, in a fixed order, and W - rate A B in the place of W. See
// dot_panel.h for the sum.

#include "dot_panel.h"

static const npy_intp PANEL_BYTES = 16384;   // of a panel of B, half of the first cache
static const npy_intp BLOCK_BYTES = 393216;  // of B at once, to stay in the second cache
static const npy_intp TILE_BYTES = 524288;   // of C at once, likewise
static const npy_intp TOGETHER = 4;          // blocks of A for a panel of B in the first cache
static const npy_intp FEW_ROWS = 32;         // for which B is read where it lies
static const npy_intp PACK_EACH = 16384;     // elements that are worth a thread

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

static npy_intp divide_up(npy_intp a, npy_intp b) { return (a + b - 1) / b; }

// Rows of A, packed in blocks of `rows` of them, `size` elements each.
template <class T> struct Packed {
    enum { rows = dot_size<T>::rows };
    const npy_intp blocks, size;
    Aligned<T> data;

    explicit Packed(const Strided<T> &A)
        : blocks(divide_up(A.rows, rows)), size(A.columns * rows + dot_size<T>::lanes),
          data(blocks * size) {
        const npy_intp units = std::max<npy_intp>(1, std::min(blocks, blocks * size / PACK_EACH));
        const auto pack = dot_pack<T>;
        share(units, [&](npy_intp unit, int) {
            for (npy_intp b = blocks * unit / units; b < blocks * (unit + 1) / units; b++)
                pack(A.data + b * rows * A.row, A.row, A.column,
                     std::min<npy_intp>(rows, A.rows - b * rows), A.columns, data.data + b * size, rows);
        });
    }
};

// How C is cut into parts: of so many blocks of rows and panels of columns, and k in steps.
template <class T> struct Parts {
    npy_intp blocks, panels, depth, down, across;

    Parts(npy_intp rows, npy_intp columns, npy_intp K) {
        const npy_intp panel = dot_size<T>::columns, bytes = panel * sizeof(T);
        const npy_intp all_blocks = divide_up(rows, dot_size<T>::rows), all_panels = divide_up(columns, panel);
        depth = std::max<npy_intp>(1, std::min<npy_intp>(K, PANEL_BYTES / bytes));
        panels = std::max<npy_intp>(1, std::min(all_panels, BLOCK_BYTES / (depth * bytes)));
        blocks = std::max<npy_intp>(1, TILE_BYTES / (panels * bytes * dot_size<T>::rows));
        down = divide_up(all_blocks, blocks), across = divide_up(all_panels, panels);
        // As much work for every thread, where there are few parts.
        const npy_intp threads = count_threads(all_blocks * all_panels);
        npy_intp &more = all_blocks > all_panels ? down : across;
        if (down * across < 4 * threads)
            more = std::min(std::max(all_blocks, all_panels), divide_up(more, threads) * threads);
        blocks = divide_up(all_blocks, down), panels = divide_up(all_panels, across);
    }
};

// C becomes finish(C, A B), or A B where finish is null.
template <class T, class Finish>
static void multiply(Strided<T> A, Strided<T> B, Strided<T> C, const Finish *finish) {
    const npy_intp K = A.columns, lanes = dot_size<T>::lanes;
    const npy_intp panel = dot_size<T>::columns, MB = dot_size<T>::rows;
    // Lanes run over columns, or over rows where that leaves clearly less of them unused.
    const auto round = [](npy_intp n, npy_intp to) { return divide_up(n, to) * to; };
    if (5 * round(C.columns, MB) * round(C.rows, lanes) < 4 * round(C.rows, MB) * round(C.columns, lanes)) {
        std::swap(A, B);
        A.transpose(), B.transpose(), C.transpose();
    }
    const Packed<T> packed(A);
    const Parts<T> parts(C.rows, C.columns, K);
    const npy_intp rows = parts.blocks * MB, width = parts.panels * panel;
    const npy_intp size = (parts.depth + rows) * width;
    Aligned<T> scratch(count_threads(parts.down * parts.across) * size);
    const auto pack_panels = dot_pack_panels<T>;
    const auto add_rows = dot_rows<T>;
    share(parts.down * parts.across, [&](npy_intp unit, int thread) {
        const npy_intp first = unit % parts.across * width, top = unit / parts.across * rows;
        const npy_intp columns = std::min(width, C.columns - first), some = std::min(rows, C.rows - top);
        if (columns <= 0 || some <= 0) return;
        T *in = scratch.data + thread * size, *tile = in + parts.depth * width;
        // Whole vectors are summed where they lie in C, but for the last rows; others in a tile.
        const bool in_place = K && !finish && C.column == 1 && columns % lanes == 0;
        T *out = in_place ? C.data + top * C.row + first : tile;
        const npy_intp ldc = in_place ? C.row : width, whole = in_place ? some / MB * MB : 0;
        // Few rows do not repay the packing of B.
        const bool pack_B = B.column != 1 || columns % lanes || some > FEW_ROWS;
        for (npy_intp k = 0; k < K; k += parts.depth) {
            const npy_intp deep = std::min(parts.depth, K - k);
            const T *from = B.data + k * B.row + first * B.column;
            if (pack_B) pack_panels(from, B.row, B.column, deep, columns, in);
            const npy_intp high = in_place ? some : divide_up(some, MB) * MB;
            for (npy_intp m = 0; m < some; m += TOGETHER * MB)
                add_rows(packed.data.data + (top + m) / MB * packed.size + k * MB, packed.size,
                         std::min(TOGETHER * MB, high - m), pack_B ? in : from,
                         pack_B ? panel : B.row, pack_B ? deep * panel : panel, deep, columns,
                         out + m * ldc, ldc, tile, width, k > 0);
        }
        if (!K) std::fill_n(tile, rows * width, 0);
        for (npy_intp m = whole; m < some; m++) {
            const T *sums = tile + (m - whole) * width;
            T *to = C.data + (top + m) * C.row + first * C.column;
            if (finish)
                (*finish)(to, C.column, sums, columns);
            else
                for (npy_intp c = 0; c < columns; c++) to[c * C.column] = sums[c];
        }
    });
}

template <class T> static bool fits(const Strided<T> &A, const Strided<T> &B) {
    if (A.columns == B.rows) return true;
    PyErr_Format(PyExc_ValueError, "dot: (%zd, %zd) and (%zd, %zd) do not fit", A.rows, A.columns,
                 B.rows, B.columns);
    return false;
}

// W becomes W - rate (A B + decay W), without decay W where decay is 0. Every operation is rounded to
// T, and the two products are made in double, as PyTensor's own C code makes them.
template <class T> struct Descend {
    double rate, decay;
    void operator()(T *w, npy_intp step, const T *sums, npy_intp n) const {
        if (decay != 0)
            for (npy_intp c = 0; c < n; c++, w += step) *w -= (T)(rate * (sums[c] + (T)(decay * *w)));
        else if (step != 1)
            for (npy_intp c = 0; c < n; c++, w += step) *w -= (T)(rate * sums[c]);
        else
            for (npy_intp c = 0; c < n; c++) w[c] -= (T)(rate * sums[c]);
    }
};

template <class T> static int dot(PyArrayObject *left, PyArrayObject *right, PyArrayObject **out) {
    Strided<T> A(left), B(right);
    if (!fits(A, B)) return -1;
    const npy_intp shape[] = {A.rows, B.columns};
    *out = prepare(*out, 2, shape, npy<T>::type);
    if (!*out) return -1;
    Strided<T> C(*out);
    if (C.rows && C.columns) multiply<T, Descend<T>>(A, B, C, nullptr);
    return 0;
}

// W - rate (A B + decay W), in W's own memory where `inplace` says so.
template <class T>
static int dot_descend(PyArrayObject *W, PyArrayObject *left, PyArrayObject *right,
                       PyArrayObject *rate, PyArrayObject *decay, PyArrayObject **out,
                       npy_intp inplace) {
    Strided<T> A(left), B(right);
    if (!fits(A, B)) return -1;
    if (PyArray_DIMS(W)[0] != A.rows || PyArray_DIMS(W)[1] != B.columns) {
        PyErr_Format(PyExc_ValueError, "dot: (%zd, %zd) cannot change W (%zd, %zd)", A.rows,
                     B.columns, PyArray_DIMS(W)[0], PyArray_DIMS(W)[1]);
        return -1;
    }
    if (inplace) {
        Py_INCREF(W);
        Py_XDECREF(*out);
        *out = W;
    } else {
        *out = prepare(*out, 2, PyArray_DIMS(W), npy<T>::type);
        if (!*out || PyArray_CopyInto(*out, W)) return -1;
    }
    const Descend<T> descend = {*(double *)PyArray_DATA(rate), *(double *)PyArray_DATA(decay)};
    Strided<T> C(*out);
    if (C.rows && C.columns) multiply(A, B, C, &descend);
    return 0;
}

EXPORT(dot)
EXPORT(dot_descend)
