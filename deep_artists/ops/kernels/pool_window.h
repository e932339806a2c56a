// A window of max_pool_2d, for C and CUDA.

#pragma once
#ifdef __CUDACC__
#define POOL_FUNCTION static __host__ __device__ inline
#else
#define POOL_FUNCTION static inline
#endif

// The maximum of `rows` x `columns` cells, `ld` elements from one row to the next.
template <class T, class N>
POOL_FUNCTION T pool_window(const T *window, N ld, N rows, N columns) {
    T most = window[0];
    for (N i = 0; i < rows; i++)
        for (N j = 0; j < columns; j++)
            if (window[i * ld + j] > most) most = window[i * ld + j];
    return most;
}
