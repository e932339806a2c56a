// The vector of the instruction set that is compiled for, and what the kernels do with it.
//
// Lanes run over outputs, never along a sum, so the width decides the speed and not one bit of a
// result. What decides bits multiplies and adds only in
// fma(): one rounding, on every machine. load_columns(p, j, column) loads `chunk` columns, 16 bytes,
// from a row a lane: column[i] holds p[lane][j + i]. even() puts the first of every two lanes in both,
// odd() the second.

#pragma once
#include "host.h"

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 0
#endif
#if VECTOR_BYTES
#include <immintrin.h>
#endif

template <class T> struct simd;

#if VECTOR_BYTES == 64

template <> struct simd<float> {
    typedef __m512 vec;
    enum { lanes = 16, chunk = 4 };
    static inline __mmask16 first(npy_intp n) { return (__mmask16)((1u << n) - 1); }
    static inline vec zero() { return _mm512_setzero_ps(); }
    static inline vec set(float a) { return _mm512_set1_ps(a); }
    static inline vec load(const float *p) { return _mm512_loadu_ps(p); }
    static inline vec load(const float *p, npy_intp n) { return _mm512_maskz_loadu_ps(first(n), p); }
    static inline void store(float *p, vec a) { _mm512_storeu_ps(p, a); }
    static inline void store(float *p, vec a, npy_intp n) { _mm512_mask_storeu_ps(p, first(n), a); }
    static inline vec fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
    static inline vec max(vec a, vec b) { return _mm512_max_ps(a, b); }
    static inline vec even(vec a) { return _mm512_moveldup_ps(a); }
    static inline vec odd(vec a) { return _mm512_movehdup_ps(a); }
    static inline unsigned equal(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
    static inline unsigned at_least(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
    static inline void load_columns(const float *const *p, npy_intp j, vec *column) {
        vec r[4];
        for (int i = 0; i < 4; i++) {
            r[i] = _mm512_castps128_ps512(_mm_loadu_ps(p[i] + j));
            r[i] = _mm512_mask_broadcast_f32x4(r[i], 0x00f0, _mm_loadu_ps(p[i + 4] + j));
            r[i] = _mm512_mask_broadcast_f32x4(r[i], 0x0f00, _mm_loadu_ps(p[i + 8] + j));
            r[i] = _mm512_mask_broadcast_f32x4(r[i], 0xf000, _mm_loadu_ps(p[i + 12] + j));
        }
        const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1]));
        const __m512d b = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3]));
        const __m512d c = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
        const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
        column[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
        column[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        column[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(c, d));
        column[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(c, d));
    }
};

template <> struct simd<double> {
    typedef __m512d vec;
    enum { lanes = 8, chunk = 2 };
    static inline __mmask8 first(npy_intp n) { return (__mmask8)((1u << n) - 1); }
    static inline vec zero() { return _mm512_setzero_pd(); }
    static inline vec set(double a) { return _mm512_set1_pd(a); }
    static inline vec load(const double *p) { return _mm512_loadu_pd(p); }
    static inline vec load(const double *p, npy_intp n) { return _mm512_maskz_loadu_pd(first(n), p); }
    static inline void store(double *p, vec a) { _mm512_storeu_pd(p, a); }
    static inline void store(double *p, vec a, npy_intp n) { _mm512_mask_storeu_pd(p, first(n), a); }
    static inline vec fma(vec a, vec b, vec c) { return _mm512_fmadd_pd(a, b, c); }
    static inline vec max(vec a, vec b) { return _mm512_max_pd(a, b); }
    static inline vec even(vec a) { return _mm512_movedup_pd(a); }
    static inline vec odd(vec a) { return _mm512_permute_pd(a, 0xff); }
    static inline unsigned equal(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
    static inline unsigned at_least(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_GE_OQ); }
    static inline void load_columns(const double *const *p, npy_intp j, vec *column) {
        vec r[2];
        for (int i = 0; i < 2; i++) {
            r[i] = _mm512_castpd128_pd512(_mm_loadu_pd(p[i] + j));
            r[i] = _mm512_mask_broadcast_f64x2(r[i], 0x0c, _mm_loadu_pd(p[i + 2] + j));
            r[i] = _mm512_mask_broadcast_f64x2(r[i], 0x30, _mm_loadu_pd(p[i + 4] + j));
            r[i] = _mm512_mask_broadcast_f64x2(r[i], 0xc0, _mm_loadu_pd(p[i + 6] + j));
        }
        column[0] = _mm512_unpacklo_pd(r[0], r[1]);
        column[1] = _mm512_unpackhi_pd(r[0], r[1]);
    }
};

#elif VECTOR_BYTES == 32

template <> struct simd<float> {
    typedef __m256 vec;
    enum { lanes = 8, chunk = 4 };
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
    static inline vec even(vec a) { return _mm256_moveldup_ps(a); }
    static inline vec odd(vec a) { return _mm256_movehdup_ps(a); }
    static inline unsigned equal(vec a, vec b) {
        return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
    }
    static inline unsigned at_least(vec a, vec b) {
        return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ));
    }
    static inline void load_columns(const float *const *p, npy_intp j, vec *column) {
        vec r[4];
        for (int i = 0; i < 4; i++) r[i] = _mm256_loadu2_m128(p[i + 4] + j, p[i] + j);
        const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(r[0], r[1]));
        const __m256d b = _mm256_castps_pd(_mm256_unpacklo_ps(r[2], r[3]));
        const __m256d c = _mm256_castps_pd(_mm256_unpackhi_ps(r[0], r[1]));
        const __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(r[2], r[3]));
        column[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
        column[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
        column[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(c, d));
        column[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(c, d));
    }
};

template <> struct simd<double> {
    typedef __m256d vec;
    enum { lanes = 4, chunk = 2 };
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
    static inline vec even(vec a) { return _mm256_movedup_pd(a); }
    static inline vec odd(vec a) { return _mm256_permute_pd(a, 0xf); }
    static inline unsigned equal(vec a, vec b) {
        return (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_EQ_OQ));
    }
    static inline unsigned at_least(vec a, vec b) {
        return (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_GE_OQ));
    }
    static inline void load_columns(const double *const *p, npy_intp j, vec *column) {
        const vec left = _mm256_loadu2_m128d(p[2] + j, p[0] + j);
        const vec right = _mm256_loadu2_m128d(p[3] + j, p[1] + j);
        column[0] = _mm256_unpacklo_pd(left, right);
        column[1] = _mm256_unpackhi_pd(left, right);
    }
};

#else  // any processor: four lanes; std::fma is exact where hardware has none

template <class T> struct simd {
    typedef T vec __attribute__((vector_size(4 * sizeof(T))));
    enum { lanes = 4, chunk = 16 / sizeof(T) };
#define EACH for (int l = 0; l < 4; l++)
    static inline vec zero() { return set(0); }
    static inline vec set(T a) { return vec{a, a, a, a}; }
    static inline vec load(const T *p) { return vec{p[0], p[1], p[2], p[3]}; }
    static inline vec load(const T *p, npy_intp n) {
        vec v = zero();
        for (npy_intp l = 0; l < n; l++) v[l] = p[l];
        return v;
    }
    static inline void store(T *p, vec a) { EACH p[l] = a[l]; }
    static inline void store(T *p, vec a, npy_intp n) {
        for (npy_intp l = 0; l < n; l++) p[l] = a[l];
    }
    static inline vec fma(vec a, vec b, vec c) {
        EACH c[l] = std::fma(a[l], b[l], c[l]);
        return c;
    }
    static inline vec max(vec a, vec b) {
        EACH if (a[l] > b[l]) b[l] = a[l];
        return b;
    }
    static inline vec even(vec a) { return vec{a[0], a[0], a[2], a[2]}; }
    static inline vec odd(vec a) { return vec{a[1], a[1], a[3], a[3]}; }
    static inline unsigned equal(vec a, vec b) {
        unsigned mask = 0;
        EACH mask |= (unsigned)(a[l] == b[l]) << l;
        return mask;
    }
    static inline unsigned at_least(vec a, vec b) {
        unsigned mask = 0;
        EACH mask |= (unsigned)(a[l] >= b[l]) << l;
        return mask;
    }
    static inline void load_columns(const T *const *p, npy_intp j, vec *column) {
        for (int i = 0; i < chunk; i++) EACH column[i][l] = p[l][j + i];
    }
#undef EACH
};

#endif
