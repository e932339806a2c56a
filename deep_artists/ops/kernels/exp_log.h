// exp and log of our own: libm's last bit differs between machines, these do not.
//
// Within 1 unit in the last place of double; float goes through double and is rounded once.

#pragma once
#ifdef __CUDACC__
#define MATH_FUNCTION static __host__ __device__ inline
#else
#define MATH_FUNCTION static inline
#endif

// Without a branch or a call, so that the compiler can compute lanes of it.
MATH_FUNCTION double exp_(double x) {
    const double shift = 6755399441055744.0;  // 1.5 * 2^52: what is added to it becomes an integer
    const double in = x < -746.0 ? -746.0 : x > 710.0 ? 710.0 : x;
    const double shifted = in * 1.4426950408889634074 + shift, k = shifted - shift;
    double r = std::fma(-k, 6.93147180369123816490e-01, in);  // ln 2, its upper 33 bits
    r = std::fma(-k, 1.90821492927058770002e-10, r);          // and the rest of it
    double sum = 1.0 / 6227020800.0;                          // 1/13!, then Horner down to 1
    sum = std::fma(sum, r, 1.0 / 479001600.0), sum = std::fma(sum, r, 1.0 / 39916800.0);
    sum = std::fma(sum, r, 1.0 / 3628800.0), sum = std::fma(sum, r, 1.0 / 362880.0);
    sum = std::fma(sum, r, 1.0 / 40320.0), sum = std::fma(sum, r, 1.0 / 5040.0);
    sum = std::fma(sum, r, 1.0 / 720.0), sum = std::fma(sum, r, 1.0 / 120.0);
    sum = std::fma(sum, r, 1.0 / 24.0), sum = std::fma(sum, r, 1.0 / 6.0);
    sum = std::fma(sum, r, 0.5), sum = std::fma(sum, r, 1.0), sum = std::fma(sum, r, 1.0);
    // Times 2^k, as two powers: 2^-1075 is no number. The second product alone is rounded.
    uint64_t n, one;
    memcpy(&n, &shifted, 8), memcpy(&one, &shift, 8);
    n -= one - 2048;  // k + 2048
    const uint64_t half = n >> 1, low = (half - 1) << 52, high = (n - half - 1) << 52;
    double one_power, other;  // no arrays: the compiler would compute no lanes
    memcpy(&one_power, &low, 8), memcpy(&other, &high, 8);
    const double y = sum * one_power * other;
    return x >= 709.79 ? HUGE_VAL : x < -745.2 ? 0.0 : y;
}

MATH_FUNCTION double log_(double x) {
    if (!(x > 0.0)) return x == 0.0 ? -HUGE_VAL : NAN;
    if (x == HUGE_VAL) return x;
    int e;
    double m = std::frexp(x, &e);
    if (m < 0.70710678118654752440) m *= 2.0, e--;
    const double s = (m - 1.0) / (m + 1.0), s2 = s * s;  // log m = 2 (s + s^3/3 + s^5/5 + ...)
    double sum = 1.0 / 25.0;
    for (int i = 23; i >= 3; i -= 2) sum = std::fma(sum, s2, 1.0 / i);
    const double tail = std::fma(2.0 * s * s2, sum, e * 1.90821492927058770002e-10);
    return std::fma((double)e, 6.93147180369123816490e-01, 2.0 * s + tail);
}
