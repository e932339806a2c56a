// conv2d and its two gradients, every cell of the map written out. See conv_rows.h for the sum.

#include "conv.h"

// z (n, filters, rows, columns) of padded samples; fill(sample, padded) writes one of them.
template <class T, class Fill>
static void conv_samples(const ConvShape &s, npy_intp n, const std::vector<T> &taps, T *z,
                         const Fill &fill) {
    const npy_intp rows = s.height - s.kh + 1, columns = s.width - s.kw + 1;
    const npy_intp z_ld = round_up(columns, 2 * MAX_LANES);
    const size_t padded = padded_size<T>(s);
    std::vector<T> scratch(count_threads(n) * (padded + s.filters * z_ld));
    const auto row = conv_row<T>;
    share(n, [&](npy_intp sample, int thread) {
        T *x = scratch.data() + thread * (padded + s.filters * z_ld), *line = x + padded;
        fill(sample, x);
        for (npy_intp r = 0; r < rows; r++) {
            row(s, x + r * s.ld, taps.data(), columns, line, z_ld);
            for (npy_intp f = 0; f < s.filters; f++)
                memcpy(z + ((sample * s.filters + f) * rows + r) * columns, line + f * z_ld,
                       columns * sizeof(T));
        }
    });
}

// z = conv2d(x, W)
template <class T> static int conv2d(PyArrayObject *x, PyArrayObject *W, PyArrayObject **z) {
    ConvShape s;
    if (conv_shape(x, W, &s)) return -1;
    const npy_intp n = PyArray_DIMS(x)[0], size = s.maps * s.height * s.width;
    const npy_intp shape[] = {n, s.filters, s.height - s.kh + 1, s.width - s.kw + 1};
    Contiguous X(x), filters(W);
    *z = prepare(*z, 4, shape, npy<T>::type);
    if (!X.array || !filters.array || !*z) return -1;
    conv_samples<T>(s, n, pack_taps(s, filters.data<T>()), (T *)PyArray_DATA(*z),
                    [&](npy_intp sample, T *padded) {
                        pad_sample(s, X.data<T>() + sample * size, padded);
                    });
    return 0;
}

// dx from W and dz: dz in a border of kh - 1 rows and kw - 1 columns of zeros, convolved with
// the filters turned back, maps and filters exchanged.
template <class T>
static int conv2d_grad_input(PyArrayObject *W, PyArrayObject *dz, PyArrayObject **dx) {
    const npy_intp *w = PyArray_DIMS(W), *g = PyArray_DIMS(dz);
    if (w[0] != g[1]) {
        PyErr_Format(PyExc_ValueError, "conv2d gradient: %zd filters but dz has %zd maps", w[0], g[1]);
        return -1;
    }
    const npy_intp shape[] = {g[0], w[1], g[2] + w[2] - 1, g[3] + w[3] - 1};
    ConvShape s = {g[1], g[2] + 2 * (w[2] - 1), g[3] + 2 * (w[3] - 1), w[1], w[2], w[3], 0};
    s.ld = padded_width(s.width, s.kw);
    Contiguous filters(W), G(dz);
    *dx = prepare(*dx, 4, shape, npy<T>::type);
    if (!filters.array || !G.array || !*dx) return -1;
    const npy_intp taps_each = s.kh * s.kw;
    std::vector<T> taps(w[0] * w[1] * taps_each);
    for (npy_intp f = 0; f < w[0]; f++)
        for (npy_intp m = 0; m < w[1]; m++)
            for (npy_intp t = 0; t < taps_each; t++)
                taps[(f * taps_each + t) * w[1] + m] = filters.data<T>()[(f * w[1] + m) * taps_each + t];
    conv_samples<T>(s, g[0], taps, (T *)PyArray_DATA(*dx), [&](npy_intp sample, T *padded) {
        for (npy_intp f = 0; f < g[1]; f++)
            for (npy_intp r = 0; r < g[2]; r++)
                memcpy(padded + (f * s.height + r + s.kh - 1) * s.ld + s.kw - 1,
                       G.data<T>() + ((sample * g[1] + f) * g[2] + r) * g[3], g[3] * sizeof(T));
    });
    return 0;
}

// dW from x and dz.
template <class T>
static int conv2d_grad_filters(PyArrayObject *x, PyArrayObject *dz, PyArrayObject **dW) {
    const npy_intp *a = PyArray_DIMS(x), *g = PyArray_DIMS(dz);
    if (a[0] != g[0] || a[2] < g[2] || a[3] < g[3]) {
        PyErr_Format(PyExc_ValueError,
                     "conv2d gradient: dz (%zd, %zd, %zd, %zd) is no output for input "
                     "(%zd, %zd, %zd, %zd)", g[0], g[1], g[2], g[3], a[0], a[1], a[2], a[3]);
        return -1;
    }
    const ConvShape s = {a[1], a[2], a[3], g[1], a[2] - g[2] + 1, a[3] - g[3] + 1, 0};
    const npy_intp shape[] = {s.filters, s.maps, s.kh, s.kw};
    Contiguous X(x), G(dz);
    *dW = prepare(*dW, 4, shape, npy<T>::type);
    if (!X.array || !G.array || !*dW) return -1;
    grad_filters<T>(s, a[0], X.data<T>(), G.data<T>(), g[2] * g[3], g[2] * g[3], (T *)PyArray_DATA(*dW),
                    [&](const T *patch, const T *d, npy_intp, npy_intp, int, Cell<T> *cells) {
        npy_intp count = 0;
        for (npy_intp r = 0; r < g[2]; r++)
            for (npy_intp c = 0; c < g[3]; c++, d++) {  // no branch: half of a gradient is 0
                cells[count] = {patch + r * s.width + c, *d};
                count += *d != 0;
            }
        return count;
    });
    return 0;
}

EXPORT(conv2d)
EXPORT(conv2d_grad_input)
EXPORT(conv2d_grad_filters)
