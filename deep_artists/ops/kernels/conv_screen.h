// Convolution and pooling of 64 x 40 patches by screening: a rounded convolution finds the cells
// that can be a window's maximum (screen.h), and only these get their canonical sum.
//
// Why the bits are those of the direct way. Let u be the unit roundoff, |.| two-norms, |V| the
// largest magnitude in the spectrum of two filters. A transform of 8 points is wrong by at most
// 6 u of its norm, of 5 by 9 u, a twiddle factor adds 7 u. Rows and columns, half of a spectrum
// counted twice, make less than 48 u. That is 48 u |x| |W| for the patch, as much for the filters,
// 48 u |x| |V| for the way back, 8 u |x| |W| for the product, its scale and the comparison (the 48
// leave room). A canonical sum is wrong by taps u |x| |W|. A cell that is further below the highest
// than twice all this is not the maximum. x may be as much of a patch as lies under the windows.

#include "host.h"

template <class T> struct ScreenRoots {  // exp(-2 pi i n / N), re and im
    T of_64[2 * 64], of_40[2 * 40];
    ScreenRoots() {
        for (int n = 0; n < 64; n++) set(of_64 + 2 * n, n / 64.0);
        for (int n = 0; n < 40; n++) set(of_40 + 2 * n, n / 40.0);
    }
    static void set(T *root, double turn) {
        const double angle = -2 * 3.14159265358979323846 * turn;
        root[0] = (T)std::cos(angle), root[1] = (T)std::sin(angle);
    }
};

struct ScreenShape {
    npy_intp kh, kw, pool_h, pool_w;
    npy_intp rows, columns;  // of windows
    npy_intp top;            // rows of windows above them
};

struct ScreenCell {
    int lane, row, column, window;
};

// A column is 65 complex from the next: 64 would put them all in one set of the cache.
enum { SCREEN_ROWS = 64, SCREEN_COLUMNS = 40, SCREEN_HALF = 21, SCREEN_LD = 65 };

#include "conv.h"
#include "screen.h"

// Whether screening n samples is the faster way: costs in multiply-adds, as measured.
template <class T> static bool is_screened(const ConvShape &s, const ScreenShape &w, npy_intp n) {
    if (s.maps != 1 || s.height != SCREEN_ROWS || s.width != SCREEN_COLUMNS || s.kw < 4)
        return false;
    const npy_intp windows = w.rows * w.columns, cells = windows * w.pool_h * w.pool_w;
    const npy_intp taps = s.kh * s.kw, lanes = screen_lanes<T>();
    const npy_intp pairs = (s.filters + 1) / 2, spectrum = 160000, back = 100000, candidate = 16;
    return n * s.filters * cells * taps >
           round_up(n, lanes) * pairs * (back + 2 * windows * candidate * taps) +
           round_up(pairs, lanes) * spectrum;
}

// Norms between which nothing here overflows or vanishes; the rest goes the direct way.
template <class T> static bool is_moderate(double a) {
    const double bound = sizeof(T) == 4 ? 1e12 : 1e100;
    return a >= 1 / bound && a <= bound;
}

template <class T> class Screen {
  public:
    Screen(const ConvShape &s, const ScreenShape &w, npy_intp n, const T *x, const T *W, T *p,
           uint32_t *winners, npy_intp words)
        : s(s), w(w), n(n), x(x), W(W), p(p), winners(winners), words(words),
          lanes(screen_lanes<T>()), groups((n + lanes - 1) / lanes),
          pairs((s.filters + 1) / 2), sets((pairs + lanes - 1) / lanes),
          whole{groups * lanes}, lower{groups * lanes}, is_parted(groups),
          filters(pairs * 2 * PATCH),
          powers(sets * lanes), weights(2 * pairs), direct(pairs * n) {
        const npy_intp taps = s.kh * s.kw;
        for (npy_intp f = 0; f < s.filters; f++)
            for (npy_intp t = f * taps; t < (f + 1) * taps; t++) weights[f] += (double)W[t] * W[t];
    }

    // Fill p and winners; return the samples for which this could not be done.
    std::vector<npy_intp> run() {
        share(groups + sets, [&](npy_intp unit, int) {
            unit < sets ? transform_filters(unit) : transform_group(unit - sets);
        });
        const npy_intp cells = w.rows * SCREEN_COLUMNS + w.columns * w.pool_w;
        const npy_intp size = 2 * lanes * w.pool_h * cells;
        Aligned<T> scratch(count_threads(groups * pairs) * size);
        share(groups * pairs, [&](npy_intp unit, int thread) {
            screen(unit / pairs, unit % pairs, scratch.data + thread * size);
        });
        std::vector<npy_intp> samples;
        for (npy_intp i = 0; i < n; i++) {
            bool any = false;
            for (npy_intp pair = 0; pair < pairs; pair++) any |= direct[pair * n + i];
            if (any) samples.push_back(i);
        }
        return samples;
    }

  private:
    enum { SPECTRUM = SCREEN_HALF * SCREEN_LD * 2, PATCH = SCREEN_ROWS * SCREEN_COLUMNS };
    const ConvShape &s;
    const ScreenShape &w;
    const npy_intp n;
    const T *x, *W;
    T *p;
    uint32_t *winners;
    const npy_intp words, lanes, groups, pairs, sets;
    struct Patches {
        Aligned<T> spectra;  // a group of lanes after the other
        std::vector<T> squares;
        explicit Patches(npy_intp n) : spectra(n * SPECTRUM), squares(n) {}
    };
    // Music is loud in its low bands, and the rounding of these would hide all else: where that is so,
    // the windows under the first row of them are screened without the bands above.
    Patches whole, lower;
    std::vector<char> is_parted;     // a group's patches are
    std::vector<T> filters, powers;  // spectra of filters, their largest |V|^2
    std::vector<double> weights;     // |W|^2 of every filter
    std::vector<char> direct;        // (pairs, n): not done here

    static const ScreenRoots<T> &roots() {
        static const ScreenRoots<T> roots;
        return roots;
    }

    void transform_group(npy_intp group) {
        transform_rows(group, 0, whole);
        if (w.rows < 2) return;
        int quieter = 0;
        for (npy_intp l = group * lanes; l < std::min((group + 1) * lanes, n); l++) {
            T above[SCREEN_COLUMNS] = {};
            for (npy_intp r = 0; r < w.pool_h; r++)
                for (npy_intp c = 0; c < SCREEN_COLUMNS; c++) {
                    const T a = x[l * PATCH + r * SCREEN_COLUMNS + c];
                    above[c] += a * a;
                }
            quieter += whole.squares[l] - std::accumulate(above, above + SCREEN_COLUMNS, (T)0) <
                       whole.squares[l] / 64;
        }
        is_parted[group] = 4 * quieter > lanes;
        if (is_parted[group]) transform_rows(group, w.pool_h, lower);
    }

    // The patches of a group from a row on.
    void transform_rows(npy_intp group, npy_intp first, Patches &patches) {
        const std::vector<T> silence(PATCH);
        std::vector<const T *> from(lanes, silence.data());
        for (npy_intp l = 0; l < lanes && group * lanes + l < n; l++)
            from[l] = x + (group * lanes + l) * PATCH + first * SCREEN_COLUMNS;
        std::vector<T> unused(lanes);
        transform_images<T>(roots(), from.data(), nullptr, SCREEN_ROWS - first, SCREEN_HALF,
                            patches.spectra.data + group * SPECTRUM * lanes,
                            patches.squares.data() + group * lanes, unused.data());
    }

    // The spectra of pairs of filters, a pair a lane, scaled for the way back.
    void transform_filters(npy_intp set) {
        std::vector<T> images(2 * lanes * s.kh * SCREEN_COLUMNS), unused(lanes);
        std::vector<const T *> parts(2 * lanes);
        for (npy_intp i = 0; i < 2 * lanes; i++) {
            T *image = images.data() + i * s.kh * SCREEN_COLUMNS;
            const npy_intp f = set * 2 * lanes + i;
            parts[i % 2 * lanes + i / 2] = image;
            if (f >= s.filters) continue;  // zeros
            for (npy_intp r = 0; r < s.kh; r++)
                memcpy(image + r * SCREEN_COLUMNS, W + (f * s.kh + r) * s.kw, s.kw * sizeof(T));
        }
        Aligned<T> spectrum(SCREEN_COLUMNS * SCREEN_LD * 2 * lanes);
        transform_images<T>(roots(), parts.data(), parts.data() + lanes, s.kh,
                                    SCREEN_COLUMNS, spectrum.data, unused.data(), powers.data() + set * lanes);
        const npy_intp some = std::min(lanes, pairs - set * lanes);
        const T scale = (T)1 / PATCH;
        T *V = filters.data() + set * lanes * 2 * PATCH;
        for (npy_intp k = 0; k < SCREEN_COLUMNS; k++)
            for (npy_intp r = 0; r < SCREEN_ROWS; r++, V += 2) {
                const T *a = spectrum.data + (k * SCREEN_LD + r) * 2 * lanes;
                for (npy_intp l = 0; l < some; l++) {
                    V[l * 2 * PATCH] = a[l] * scale;
                    V[l * 2 * PATCH + 1] = a[lanes + l] * scale;
                }
            }
    }

    void screen(npy_intp group, npy_intp pair, T *scratch) {
        const npy_intp first = group * lanes, both = std::min<npy_intp>(2, s.filters - 2 * pair);
        std::vector<char> screened(lanes);
        std::vector<ScreenCell> found[2];
        const auto look = [&](const Patches &patches, npy_intp top, npy_intp rows) {
            const std::vector<T> limit = bound(patches, group, pair, screened);
            const ScreenShape windows = {w.kh, w.kw, w.pool_h, w.pool_w, rows, w.columns, top};
            screen_pair<T>(windows, roots(), patches.spectra.data + group * SPECTRUM * lanes,
                           filters.data() + pair * 2 * PATCH, limit.data(), scratch, found);
        };
        std::fill_n(screened.begin(), std::min(lanes, n - first), 1);
        look(whole, 0, is_parted[group] ? 1 : w.rows);
        if (is_parted[group]) look(lower, 1, w.rows - 1);
        for (npy_intp l = 0; l < lanes && first + l < n; l++) {
            const T *patch = x + (first + l) * PATCH;
            if (is_fit(pair) && std::all_of(patch, patch + PATCH, [](T a) { return a == 0; }))
                for (npy_intp f = 0; f < both; f++) fill_silence(first + l, 2 * pair + f);
            else
                direct[pair * n + first + l] = !screened[l];
        }
        for (npy_intp f = 0; f < both; f++) resolve(first, 2 * pair + f, found[f], screened);
    }

    double norm_of_both(npy_intp pair) const { return std::sqrt(weights[2 * pair] + weights[2 * pair + 1]); }

    bool is_fit(npy_intp pair) const {
        return is_moderate<T>(std::sqrt((double)powers[pair])) && is_moderate<T>(norm_of_both(pair));
    }

    // How far below the highest a cell may be: (2, lanes). Lanes that cannot be bounded are no longer
    // screened.
    std::vector<T> bound(const Patches &patches, npy_intp group, npy_intp pair,
                         std::vector<char> &screened) const {
        const double V = std::sqrt(powers[pair]), u = sizeof(T) == 4 ? 0x1p-24 : 0x1p-53;
        std::vector<T> limit(2 * lanes, -INFINITY);
        for (npy_intp l = 0; l < lanes; l++) {
            const double norm = std::sqrt(patches.squares[group * lanes + l]);
            screened[l] = screened[l] && is_fit(pair) && is_moderate<T>(norm);
            for (npy_intp f = 0; f < 2 && screened[l]; f++) {
                const double canonical = s.kh * s.kw * std::sqrt(weights[2 * pair + f]);
                limit[f * lanes + l] =
                    (T)(2 * 1.01 * u * norm * (104 * norm_of_both(pair) + 48 * V + canonical));
            }
        }
        return limit;
    }

    // Every cell is 0 and so equals the maximum.
    void fill_silence(npy_intp sample, npy_intp f) {
        const npy_intp map = sample * s.filters + f, columns = w.columns * w.pool_w;
        std::fill_n(p + map * w.rows * w.columns, w.rows * w.columns, 0);
        uint32_t *bits = winners + map * w.rows * w.pool_h * words;
        for (npy_intp r = 0; r < w.rows * w.pool_h; r++, bits += words) {
            memset(bits, 0, words * sizeof *bits);
            for (npy_intp c = 0; c < columns; c++) bits[c / 32] |= 1u << c % 32;
        }
    }

    // The canonical sums of the cells found, then maxima and winners.
    void resolve(npy_intp first, npy_intp f, const std::vector<ScreenCell> &found,
                 const std::vector<char> &screened) {
        const npy_intp taps = s.kh * s.kw, windows = w.rows * w.columns;
        const npy_intp most = windows * w.pool_h * w.pool_w / 4;  // of more, the direct way is faster
        std::vector<npy_intp> count(lanes), next(lanes + 1);
        for (const ScreenCell &cell : found) count[cell.lane]++;
        std::vector<char> done(screened);
        for (npy_intp l = 0; l < lanes; l++) {
            if (count[l] > most) done[l] = 0, direct[f / 2 * n + first + l] = 1;
            next[l + 1] = next[l] + (done[l] ? count[l] : 0);
        }
        std::vector<ScreenCell> cells(next[lanes]);  // lane by lane: what is read is in cache
        for (const ScreenCell &cell : found)
            if (done[cell.lane]) cells[next[cell.lane]++] = cell;

        std::vector<T> flipped(taps), sums(cells.size() + lanes);
        std::vector<const T *> at(lanes);
        std::reverse_copy(W + f * taps, W + (f + 1) * taps, flipped.begin());
        for (npy_intp i = 0; i < (npy_intp)cells.size(); i += lanes) {
            for (npy_intp l = 0; l < lanes; l++) {
                const ScreenCell &cell = cells[std::min<npy_intp>(i + l, cells.size() - 1)];
                at[l] = x + (first + cell.lane) * PATCH + cell.row * SCREEN_COLUMNS + cell.column;
            }
            sum_cells<T>(s.kh, s.kw, SCREEN_COLUMNS, at.data(), flipped.data(),
                                 sums.data() + i);
        }

        // Maxima are gathered here and written once: another thread writes beside them.
        std::vector<T> maxima(lanes * windows, -INFINITY);
        const auto window = [&](const ScreenCell &cell) -> T & {
            return maxima[cell.lane * windows + cell.window];
        };
        for (size_t i = 0; i < cells.size(); i++)
            if (sums[i] > window(cells[i])) window(cells[i]) = sums[i];
        for (npy_intp l = 0; l < lanes; l++)
            if (done[l]) {
                const npy_intp map = (first + l) * s.filters + f;
                std::copy_n(maxima.data() + l * windows, windows, p + map * windows);
                memset(winners + map * w.rows * w.pool_h * words, 0,
                       w.rows * w.pool_h * words * sizeof *winners);
            }
        for (size_t i = 0; i < cells.size(); i++)
            if (sums[i] == window(cells[i])) {
                const npy_intp map = (first + cells[i].lane) * s.filters + f;
                const npy_intp row = map * w.rows * w.pool_h + cells[i].row;
                winners[row * words + cells[i].column / 32] |= 1u << cells[i].column % 32;
            }
    }
};
