// A row of softmax. The compiler computes lanes of columns; the sum
// runs over the columns in their order.

#pragma once
#include "host.h"
#include "exp_log.h"

// e = exp(row - max row); return its sum, and the maximum.
template <class T> static double exp_row(const T *row, npy_intp k, double *e, double *most) {
    T highest = row[0];
    for (npy_intp j = 1; j < k; j++)
        if (row[j] > highest) highest = row[j];
    const double top = *most = highest;
    for (npy_intp j = 0; j < k; j++) e[j] = exp_(row[j] - top);
    double sum = 0;
    for (npy_intp j = 0; j < k; j++) sum += e[j];
    return sum;
}

template <class T> static void divide_row(const double *e, npy_intp k, double sum, T *p) {
    for (npy_intp j = 0; j < k; j++) p[j] = (T)(e[j] / sum);
}
