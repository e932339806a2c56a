// A panel of columns of a matrix product. One instruction set's copy.
//
// The canonical sum: an output is one chain of fma from 0 over k = 0, 1, ..., as for the
// convolution.

// MB rows by two vectors of columns. A: its rows a_row apart, k a_k apart; panel: (K, PANEL).
template <class T, int MB>
static void dot_block(const T *A, npy_intp a_row, npy_intp a_k, npy_intp K, const T *panel,
                      npy_intp panel_ld, T *C, npy_intp c_row, npy_intp columns) {
    typedef simd<T> v;
    typename v::vec acc[MB][2];
    for (int m = 0; m < MB; m++) acc[m][0] = acc[m][1] = v::zero();
    for (npy_intp k = 0; k < K; k++, A += a_k, panel += panel_ld) {
        const typename v::vec left = v::load(panel), right = v::load(panel + v::lanes);
        for (int m = 0; m < MB; m++) {
            const typename v::vec a = v::set(A[m * a_row]);
            acc[m][0] = v::fma(a, left, acc[m][0]);
            acc[m][1] = v::fma(a, right, acc[m][1]);
        }
    }
    const npy_intp lanes = v::lanes, more = columns - lanes;
    for (int m = 0; m < MB; m++, C += c_row) {
        v::store(C, acc[m][0], std::min(columns, lanes));
        if (more > 0) v::store(C + lanes, acc[m][1], std::min(more, lanes));
    }
}

// C (M, columns) = A (M, K) panel; columns <= panel_ld.
template <class T>
static void dot_panel(const T *A, npy_intp a_row, npy_intp a_k, npy_intp M, npy_intp K,
                      const T *panel, npy_intp panel_ld, T *C, npy_intp c_row, npy_intp columns) {
    const npy_intp wide = 2 * simd<T>::lanes;
    for (npy_intp c = 0; c < columns; c += wide) {
        npy_intp m = 0;
        for (; m + 6 <= M; m += 6)
            dot_block<T, 6>(A + m * a_row, a_row, a_k, K, panel + c, panel_ld, C + m * c_row + c,
                            c_row, std::min(columns - c, wide));
        for (; m < M; m++)
            dot_block<T, 1>(A + m * a_row, a_row, a_k, K, panel + c, panel_ld, C + m * c_row + c,
                            c_row, std::min(columns - c, wide));
    }
}
