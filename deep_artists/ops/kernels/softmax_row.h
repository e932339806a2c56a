// A row of softmax, for C and CUDA: sums in double, over the columns in their order.

#pragma once
#include "exp_log.h"

template <class T, class N> MATH_FUNCTION T find_highest(const T *row, N k) {
    T highest = row[0];
    for (N j = 1; j < k; j++)
        if (row[j] > highest) highest = row[j];
    return highest;
}

template <class N> MATH_FUNCTION double add_up(const double *e, N k) {
    double sum = 0;
    for (N j = 0; j < k; j++) sum += e[j];
    return sum;
}

template <class T, class N> MATH_FUNCTION double add_up_products(const T *a, const T *b, N k) {
    double sum = 0;
    for (N j = 0; j < k; j++) sum += (double)a[j] * b[j];
    return sum;
}

// The gradient of an entry of x: of p, from sum(dp p); of the negative log-likelihood.
template <class T> MATH_FUNCTION T softmax_slope(T p, T dp, double sum) {
    return (T)(p * (dp - sum));
}

template <class T> MATH_FUNCTION T likelihood_slope(T g, T p, bool label) {
    return g * (p - (label ? T(1) : T(0)));
}

// log(sum) - (x_y - max x)
template <class T> MATH_FUNCTION T likelihood(double sum, T x, T highest) {
    return (T)(log_(sum) - ((double)x - (double)highest));
}
