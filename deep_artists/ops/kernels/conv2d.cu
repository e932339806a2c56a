// conv2d and its two gradients, every cell of the map written out.

#include "conv.cuh"

// z = conv2d(x, W)
template <class T> static void conv2d(Call &call) {
    const Index shape[] = {call.dim(0, 0), call.dim(0, 1), call.dim(0, 2), call.dim(0, 3)};
    const Convolve<T> convolve(call.in<T>(0), call.in<T>(1), call.out<T>(0), shape, call.dim(1, 0),
                               call.dim(1, 2), call.dim(1, 3), true, 0);
    call.launch(convolve, convolve.blocks(shape[0]));
}

// dx from W and dz: dz in a border of zeros, convolved with the filters turned back, maps and
// filters exchanged.
template <class T> static void conv2d_grad_input(Call &call) {
    const Index shape[] = {call.dim(1, 0), call.dim(1, 1), call.dim(1, 2), call.dim(1, 3)};
    const Convolve<T> convolve(call.in<T>(1), call.in<T>(0), call.out<T>(0), shape, call.dim(0, 1),
                               call.dim(0, 2), call.dim(0, 3), false, 1);
    call.launch(convolve, convolve.blocks(shape[0]));
}

template <class T> struct Gradient {
    const T *dz;
    Index filters, rows, columns, words;
    DEVICE T g(Index sample, Index filter, Index row, Index column) const {
        return dz[((sample * filters + filter) * rows + row) * columns + column];
    }
    DEVICE uint32_t word(Index sample, Index filter, Index row, Index w) const {
        uint32_t word = 0;
        for (int b = 0; b < 32; b++)
            if (w * 32 + b < columns)
                word |= (uint32_t)(g(sample, filter, row, w * 32 + b) != 0) << b;
        return word;
    }
};

// dW from x and dz
template <class T> static void conv2d_grad_filters(Call &call) {
    const Index filters = call.dim(1, 1), rows = call.dim(1, 2), columns = call.dim(1, 3);
    const Gradient<T> gradient = {call.in<T>(1), filters, rows, columns, divide_up(columns, 32)};
    grad_filters<T>(call, gradient, filters, call.dim(0, 2) - rows + 1,
                    call.dim(0, 3) - columns + 1);
}

HANDLER(conv2d)
HANDLER(conv2d_grad_input)
HANDLER(conv2d_grad_filters)
