// exp and log of our own: libm's last bit differs between machines, these do not.
//
// Within 1 unit in the last place of double; float goes through double and is rounded once.

static double exp_(double x) {
    if (!(x < 709.79)) return x != x ? x : HUGE_VAL;
    if (x < -745.2) return 0.0;
    const double k = std::nearbyint(x * 1.4426950408889634074);
    double r = std::fma(-k, 6.93147180369123816490e-01, x);  // ln 2, its upper 33 bits
    r = std::fma(-k, 1.90821492927058770002e-10, r);         // and the rest of it
    double sum = 1.0 / 6227020800.0;                         // 1/13!, then Horner down to 1
    const double factorial[] = {479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0,
                                720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0};
    for (int i = 0; i < 13; i++) sum = std::fma(sum, r, 1.0 / factorial[i]);
    return std::ldexp(sum, (int)k);
}

static double log_(double x) {
    if (!(x > 0.0)) return x == 0.0 ? -HUGE_VAL : NAN;
    if (x == HUGE_VAL) return x;
    int e;
    double m = std::frexp(x, &e);
    if (m < 0.70710678118654752440) m *= 2.0, e--;
    const double s = (m - 1.0) / (m + 1.0), s2 = s * s;  // log m = 2 (s + s^3/3 + s^5/5 + ...)
    double sum = 1.0 / 25.0;
    for (int i = 23; i >= 3; i -= 2) sum = std::fma(sum, s2, 1.0 / i);
    const double tail = std::fma(2.0 * s * s2, sum, e * 1.90821492927058770002e-10);
    return std::fma(e, 6.93147180369123816490e-01, 2.0 * s + tail);
}
