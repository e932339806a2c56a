// Fourier transforms of 8 M points, M = 8 or 5, one to a lane.
//
// screen.h looks through them for candidates; their rounding decides no bit of a result.

#pragma once
template <class T> struct Complex {
    typedef typename simd<T>::vec vec;
    vec re, im;
    Complex operator+(Complex b) const { return {re + b.re, im + b.im}; }
    Complex operator-(Complex b) const { return {re - b.re, im - b.im}; }
    Complex operator*(const T *root) const {
        const vec a = simd<T>::set(root[0]), b = simd<T>::set(root[1]);
        return {multiply_add(re, a, -(im * b)), multiply_add(re, b, im * a)};
    }
    Complex turn() const { return {-im, re}; }  // times i
    static vec multiply_add(vec a, vec b, vec c) {
#if VECTOR_BYTES
        return simd<T>::fma(a, b, c);
#else
        return a * b + c;  // std::fma is slow where hardware has none
#endif
    }
};

// In place: x[k] = sum over n of x[n] exp(-2 pi i n k / 8).
template <class T> static inline void dft(Complex<T> (&x)[8]) {
    typedef Complex<T> C;
    const typename C::vec h = simd<T>::set((T)0.70710678118654752440);
    const C a0 = x[0] + x[4], a1 = x[1] + x[5], a2 = x[2] + x[6], a3 = x[3] + x[7];
    const C b0 = x[0] - x[4], b1 = x[1] - x[5];
    const C b2 = (x[2] - x[6]).turn(), b3 = (x[3] - x[7]).turn();
    const C even = a0 + a2, odd = a1 + a3, turned = (a1 - a3).turn();
    x[0] = even + odd, x[4] = even - odd;
    x[2] = a0 - a2 - turned, x[6] = a0 - a2 + turned;
    const C c0 = b0 - b2, c1 = b1 - b3, d0 = b0 + b2, d1 = b1 + b3;
    const typename C::vec c_sum = h * (c1.re + c1.im), c_less = h * (c1.im - c1.re);
    const typename C::vec d_sum = h * (d1.re + d1.im), d_less = h * (d1.im - d1.re);
    x[1] = c0 + C{c_sum, c_less}, x[5] = c0 - C{c_sum, c_less};
    x[3] = d0 + C{d_less, -d_sum}, x[7] = d0 - C{d_less, -d_sum};
}

// The same of 5.
template <class T> static inline void dft(Complex<T> (&x)[5]) {
    typedef Complex<T> C;
    const T cosine[] = {(T)0.30901699437494742410, (T)-0.80901699437494742410};
    const T sine[] = {(T)0.95105651629515357212, (T)0.58778525229247312917};
    const auto combine = [](C a, T p, C b, T q) {
        const typename C::vec left = simd<T>::set(p), right = simd<T>::set(q);
        return C{C::multiply_add(a.re, left, b.re * right),
                 C::multiply_add(a.im, left, b.im * right)};
    };
    const C a1 = x[1] + x[4], a2 = x[2] + x[3], b1 = x[1] - x[4], b2 = x[2] - x[3];
    const C m1 = x[0] + combine(a1, cosine[0], a2, cosine[1]);
    const C m2 = x[0] + combine(a1, cosine[1], a2, cosine[0]);
    const C n1 = combine(b1, sine[0], b2, sine[1]).turn();
    const C n2 = combine(b1, sine[1], b2, -sine[0]).turn();
    x[0] = x[0] + a1 + a2;
    x[1] = m1 - n1, x[4] = m1 + n1, x[2] = m2 - n2, x[3] = m2 + n2;
}

// store(k, sum over n of load(n) exp(-2 pi i n k / (8 M))); roots: those powers, re and im.
// The outer loops are not unrolled: that would take half of the compiler's time and gain nothing.
template <class T, int M, class Load, class Store>
static inline void fft(const T *roots, const Load &load, const Store &store) {
    Complex<T> some[8][M];
#pragma GCC unroll 1
    for (int n = 0; n < M; n++) {
        Complex<T> x[8];
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) x[i] = load(M * i + n);
        dft(x);
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++) some[k][n] = k ? x[k] * (roots + 2 * n * k) : x[k];
    }
#pragma GCC unroll 1
    for (int k = 0; k < 8; k++) {
        Complex<T> x[M];
#pragma GCC unroll 8
        for (int n = 0; n < M; n++) x[n] = some[k][n];
        dft(x);
#pragma GCC unroll 8
        for (int n = 0; n < M; n++) store(k + 8 * n, x[n]);
    }
}
