// The sigmoid and softplus of one number, cut as Theano 0.6 cuts them. After exp_log.h.

MATH_FUNCTION double theano_sigmoid(double a, double low, double high) {
    const double z = 1.0 / (1.0 + exp_(-a));
    return a < low ? 0.0 : a > high ? 1.0 : z;
}

MATH_FUNCTION double theano_softplus(double a, double low, double high) {
    const double e = exp_(a), u = 1.0 + e;  // log1p(e), without what 1 + e rounds away
    return a < low ? 0.0 : a > high ? a : u == 1.0 ? e : log_(u) * (e / (u - 1.0));
}
