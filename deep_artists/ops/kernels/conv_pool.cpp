// conv2d and max_pool_2d in one pass, the gradient for the filters from the winners alone, and that
// for the bias.
// The map between the two is never written: a thread holds one row of windows, or, where
// screening is the faster way, only looks for the cells that matter.

#include "conv_screen.h"

static const npy_intp SCREEN_MOST = 512;  // samples at once, for the memory of their spectra

// p (n, filters, height // pool_h, width // pool_w); winners (n, filters, rows, words): a bit for
// every cell that equals its window's maximum.
template <class T>
static int conv_pool(PyArrayObject *x, PyArrayObject *W, PyArrayObject **p, PyArrayObject **winners,
                     npy_intp pool_h, npy_intp pool_w) {
    ConvShape s;
    if (conv_shape(x, W, &s)) return -1;
    const npy_intp n = PyArray_DIMS(x)[0], size = s.maps * s.height * s.width;
    const npy_intp pooled[] = {n, s.filters, (s.height - s.kh + 1) / pool_h,
                               (s.width - s.kw + 1) / pool_w};
    const npy_intp columns = pooled[3] * pool_w, words = (columns + 31) / 32;
    const npy_intp marked[] = {n, s.filters, pooled[2] * pool_h, words};
    Contiguous X(x), filters(W);
    *p = prepare(*p, 4, pooled, npy<T>::type);
    *winners = prepare(*winners, 4, marked, NPY_UINT32);
    if (!X.array || !filters.array || !*p || !*winners) return -1;

    std::vector<npy_intp> direct;
    const ScreenShape windows = {s.kh, s.kw, pool_h, pool_w, pooled[2], pooled[3], 0};
    for (npy_intp first = 0; first < n; first += SCREEN_MOST) {
        const npy_intp some = std::min(n - first, SCREEN_MOST), map = first * s.filters;
        std::vector<npy_intp> left(some);
        std::iota(left.begin(), left.end(), 0);
        if (is_screened<T>(s, windows, some))
            left = Screen<T>(s, windows, some, X.data<T>() + first * size, filters.data<T>(),
                             (T *)PyArray_DATA(*p) + map * pooled[2] * pooled[3],
                             (uint32_t *)PyArray_DATA(*winners) + map * marked[2] * words, words).run();
        for (const npy_intp i : left) direct.push_back(first + i);
    }

    const npy_intp remaining = direct.size();
    if (!remaining) return 0;
    const std::vector<T> taps = pack_taps(s, filters.data<T>());
    const npy_intp z_ld = round_up(columns, 2 * MAX_LANES);
    const npy_intp filter_ld = pool_h * z_ld;
    const size_t padded = padded_size<T>(s), each = padded + s.filters * filter_ld + z_ld;
    std::vector<T> scratch(count_threads(remaining) * each);
    const auto row = conv_row<T>;
    const auto pool = pool_row<T>;
    share(remaining, [&](npy_intp i, int thread) {
        const npy_intp sample = direct[i];
        T *in = scratch.data() + thread * each, *z = in + padded;
        T *highest = z + s.filters * filter_ld;
        pad_sample(s, X.data<T>() + sample * size, in);
        for (npy_intp r = 0; r < pooled[2]; r++) {
            for (npy_intp k = 0; k < pool_h; k++)
                row(s, in + (r * pool_h + k) * s.ld, taps.data(), columns, z + k * z_ld, filter_ld);
            for (npy_intp f = 0; f < s.filters; f++) {
                const npy_intp map = sample * s.filters + f;
                pool(z + f * filter_ld, z_ld, pool_h, pool_w, columns, highest,
                     (T *)PyArray_DATA(*p) + (map * pooled[2] + r) * pooled[3],
                     (uint32_t *)PyArray_DATA(*winners) + (map * pooled[2] + r) * pool_h * words, words);
            }
        }
    });
    return 0;
}

// What a word of winners marks: its first cell's input and column, and the gradient of its row.
struct MarkedWord {
    int input, gradient, column;
};

// dW (filters, maps, kh, kw) from x, the winners and dp.
template <class T>
static int conv_pool_grad(PyArrayObject *x, PyArrayObject *winners, PyArrayObject *dp,
                          PyArrayObject *W, PyArrayObject **dW, npy_intp pool_h, npy_intp pool_w) {
    ConvShape s;
    if (conv_shape(x, W, &s)) return -1;
    const npy_intp n = PyArray_DIMS(x)[0], *g = PyArray_DIMS(dp);
    const npy_intp rows = (s.height - s.kh + 1) / pool_h, columns = (s.width - s.kw + 1) / pool_w;
    const npy_intp words = (columns * pool_w + 31) / 32, *marked = PyArray_DIMS(winners);
    if (g[0] != n || g[1] != s.filters || g[2] != rows || g[3] != columns || marked[0] != n ||
        marked[1] != s.filters || marked[2] != rows * pool_h || marked[3] != words) {
        PyErr_Format(PyExc_ValueError,
                     "conv_pool gradient: dp (%zd, %zd, %zd, %zd), expected (%zd, %zd, %zd, %zd), or "
                     "winners (%zd, %zd, %zd, %zd) of another shape", g[0], g[1], g[2], g[3], n,
                     s.filters, rows, columns, marked[0], marked[1], marked[2], marked[3]);
        return -1;
    }
    Contiguous X(x), won(winners), G(dp);
    *dW = prepare(*dW, 4, PyArray_DIMS(W), npy<T>::type);
    if (!X.array || !won.array || !G.array || !*dW) return -1;
    std::vector<int> window(columns * pool_w);  // of a column; a division would take longer
    for (size_t c = 0; c < window.size(); c++) window[c] = (int)(c / pool_w);
    std::vector<MarkedWord> marks;
    for (int r = 0; r < marked[2]; r++)
        for (int c = 0; c < 32 * words; c += 32)
            marks.push_back({(int)(r * s.width + c), (int)(r / pool_h * columns), c});
    const npy_intp size = marks.size(), threads = count_threads(n * s.filters);
    const npy_intp each = round_up(size + 1, 64);  // one more, as in grad_filters; lines of its own
    Aligned<int> holding(threads * each);
    grad_filters<T>(s, n, X.data<T>(), G.data<T>(), rows * columns, marked[2] * columns * pool_w,
                    (T *)PyArray_DATA(*dW),
                    [&](const T *patch, const T *dp, npy_intp i, npy_intp f, int thread, Cell<T> *cells) {
        const uint32_t *bits = won.data<uint32_t>() + (i * s.filters + f) * size;
        int *some = holding.data + thread * each;
        // No branch on what may go either way: most words hold no winner, half of a gradient is 0.
        npy_intp n_words = 0, count = 0;
        for (npy_intp w = 0; w < size; w++) {
            some[n_words] = (int)w;
            n_words += bits[w] != 0;
        }
        for (npy_intp k = 0; k < n_words; k++) {
            const MarkedWord &word = marks[some[k]];
            for (uint32_t set = bits[some[k]]; set; set &= set - 1) {
                const int bit = __builtin_ctz(set);
                const T d = dp[word.gradient + window[word.column + bit]];
                cells[count] = {patch + word.input + bit, d};
                count += d != 0;
            }
        }
        return count;
    });
    return 0;
}

// sums (maps) of d (n, maps, rows, columns), a chain of additions in double for each map.
template <class T> static int sum_maps(PyArrayObject *d, PyArrayObject **sums) {
    const npy_intp n = PyArray_DIMS(d)[0], maps = PyArray_DIMS(d)[1];
    const npy_intp cells = PyArray_DIMS(d)[2] * PyArray_DIMS(d)[3], together = 4, worth_threads = 32768;
    Contiguous D(d);
    *sums = prepare(*sums, 1, &maps, npy<T>::type);
    if (!D.array || !*sums) return -1;
    // Chains side by side: in each an addition waits for the one before.
    const auto sum = [&](npy_intp unit, int) {
        const npy_intp first = unit * together;
        const T *from[together];
        double total[together] = {};
        for (npy_intp i = 0; i < n; i++) {
            for (npy_intp m = 0; m < together; m++)
                from[m] = D.data<T>() + (i * maps + std::min(first + m, maps - 1)) * cells;
            for (npy_intp c = 0; c < cells; c++)
                for (npy_intp m = 0; m < together; m++) total[m] += from[m][c];
        }
        for (npy_intp m = 0; m < together && first + m < maps; m++)
            ((T *)PyArray_DATA(*sums))[first + m] = (T)total[m];
    };
    const npy_intp units = (maps + together - 1) / together;
    if (n * maps * cells >= worth_threads)
        share(units, sum);
    else
        for (npy_intp unit = 0; unit < units; unit++) sum(unit, 0);
    return 0;
}

EXPORT(conv_pool)
EXPORT(conv_pool_grad)
EXPORT(sum_maps)
