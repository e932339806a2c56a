// The vector of one instruction set, and what the kernels do with it.
//
// isa.h includes this file, then a kernel, once per instruction set, each time in a namespace of
// its own and with another VECTOR_BYTES. Lanes run over outputs, never along a sum, so the width
// decides the speed and not one bit of a result. Multiplication and addition happen only in
// fma(): one rounding, on every machine.

template <class T> struct simd;

#if VECTOR_BYTES == 64

template <> struct simd<float> {
    typedef __m512 vec;
    enum { lanes = 16 };
    static inline __mmask16 first(npy_intp n) { return (__mmask16)((1u << n) - 1); }
    static inline vec zero() { return _mm512_setzero_ps(); }
    static inline vec set(float a) { return _mm512_set1_ps(a); }
    static inline vec load(const float *p) { return _mm512_loadu_ps(p); }
    static inline vec load(const float *p, npy_intp n) { return _mm512_maskz_loadu_ps(first(n), p); }
    static inline void store(float *p, vec a) { _mm512_storeu_ps(p, a); }
    static inline void store(float *p, vec a, npy_intp n) { _mm512_mask_storeu_ps(p, first(n), a); }
    static inline vec fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
    static inline vec max(vec a, vec b) { return _mm512_max_ps(a, b); }
    static inline unsigned equal(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
};

template <> struct simd<double> {
    typedef __m512d vec;
    enum { lanes = 8 };
    static inline __mmask8 first(npy_intp n) { return (__mmask8)((1u << n) - 1); }
    static inline vec zero() { return _mm512_setzero_pd(); }
    static inline vec set(double a) { return _mm512_set1_pd(a); }
    static inline vec load(const double *p) { return _mm512_loadu_pd(p); }
    static inline vec load(const double *p, npy_intp n) { return _mm512_maskz_loadu_pd(first(n), p); }
    static inline void store(double *p, vec a) { _mm512_storeu_pd(p, a); }
    static inline void store(double *p, vec a, npy_intp n) { _mm512_mask_storeu_pd(p, first(n), a); }
    static inline vec fma(vec a, vec b, vec c) { return _mm512_fmadd_pd(a, b, c); }
    static inline vec max(vec a, vec b) { return _mm512_max_pd(a, b); }
    static inline unsigned equal(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
};

#elif VECTOR_BYTES == 32

template <> struct simd<float> {
    typedef __m256 vec;
    enum { lanes = 8 };
    static inline __m256i first(npy_intp n) {
        return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    }
    static inline vec zero() { return _mm256_setzero_ps(); }
    static inline vec set(float a) { return _mm256_set1_ps(a); }
    static inline vec load(const float *p) { return _mm256_loadu_ps(p); }
    static inline vec load(const float *p, npy_intp n) { return _mm256_maskload_ps(p, first(n)); }
    static inline void store(float *p, vec a) { _mm256_storeu_ps(p, a); }
    static inline void store(float *p, vec a, npy_intp n) { _mm256_maskstore_ps(p, first(n), a); }
    static inline vec fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
    static inline vec max(vec a, vec b) { return _mm256_max_ps(a, b); }
    static inline unsigned equal(vec a, vec b) {
        return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
    }
};

template <> struct simd<double> {
    typedef __m256d vec;
    enum { lanes = 4 };
    static inline __m256i first(npy_intp n) {
        return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
    }
    static inline vec zero() { return _mm256_setzero_pd(); }
    static inline vec set(double a) { return _mm256_set1_pd(a); }
    static inline vec load(const double *p) { return _mm256_loadu_pd(p); }
    static inline vec load(const double *p, npy_intp n) { return _mm256_maskload_pd(p, first(n)); }
    static inline void store(double *p, vec a) { _mm256_storeu_pd(p, a); }
    static inline void store(double *p, vec a, npy_intp n) { _mm256_maskstore_pd(p, first(n), a); }
    static inline vec fma(vec a, vec b, vec c) { return _mm256_fmadd_pd(a, b, c); }
    static inline vec max(vec a, vec b) { return _mm256_max_pd(a, b); }
    static inline unsigned equal(vec a, vec b) {
        return (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_EQ_OQ));
    }
};

#else  // any processor: four lanes in an array; std::fma is exact where hardware has none

template <class T> struct simd {
    struct vec { T lane[4]; };
    enum { lanes = 4 };
#define EACH for (int l = 0; l < 4; l++)
    static inline vec zero() { return set(0); }
    static inline vec set(T a) { vec v; EACH v.lane[l] = a; return v; }
    static inline vec load(const T *p) { vec v; EACH v.lane[l] = p[l]; return v; }
    static inline vec load(const T *p, npy_intp n) {
        vec v = zero();
        for (npy_intp l = 0; l < n; l++) v.lane[l] = p[l];
        return v;
    }
    static inline void store(T *p, vec a) { EACH p[l] = a.lane[l]; }
    static inline void store(T *p, vec a, npy_intp n) {
        for (npy_intp l = 0; l < n; l++) p[l] = a.lane[l];
    }
    static inline vec fma(vec a, vec b, vec c) {
        EACH c.lane[l] = std::fma(a.lane[l], b.lane[l], c.lane[l]);
        return c;
    }
    static inline vec max(vec a, vec b) {
        EACH if (a.lane[l] > b.lane[l]) b.lane[l] = a.lane[l];
        return b;
    }
    static inline unsigned equal(vec a, vec b) {
        unsigned mask = 0;
        EACH mask |= (unsigned)(a.lane[l] == b.lane[l]) << l;
        return mask;
    }
#undef EACH
};

#endif
