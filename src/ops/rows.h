/* rows.h: what softmax and the losses over classes do to a row of n elements next to each other. Sums are taken in
 * double, in lanes, so that a large vocabulary costs no accuracy and the compiler may use vectors; each is inlined into
 * the clones of its caller. The f64 versions are for checking. */
#ifndef GLIA_OPS_ROWS_H
#define GLIA_OPS_ROWS_H

#include "ops/expr.h"

enum { GLIA_ROW_LANES = 32, GLIA_ROW_CHUNK = 128 };

/* Σ expression of k, for k in [0, n). */
#define GLIA_ROW_SUM(result, n, expr)                                                     \
    do {                                                                                  \
        double lanes_[GLIA_ROW_LANES] = {0};                                              \
        int64_t at_ = 0;                                                                  \
        for (; at_ + GLIA_ROW_LANES <= (n); at_ += GLIA_ROW_LANES)                        \
            for (int lane_ = 0; lane_ < GLIA_ROW_LANES; lane_++) {                        \
                const int64_t k = at_ + lane_;                                            \
                lanes_[lane_] += (double)(expr);                                          \
            }                                                                             \
        result = 0;                                                                       \
        for (int64_t k = at_; k < (n); k++) result += (double)(expr);                     \
        if (at_ > 0)                                                                      \
            for (int lane_ = 0; lane_ < GLIA_ROW_LANES; lane_++) result += lanes_[lane_]; \
    } while (0)

#define GLIA_ROW_FUNCTIONS(T)                                                                  \
    /* The largest; NaN if any is NaN, −∞ of nothing. */                                   \
    GLIA_CPU_INLINE T glia__row_max_##T(const T *x, int64_t n) {                               \
        T lanes[GLIA_ROW_LANES], most = (T)-INFINITY;                                          \
        int64_t i = 0;                                                                         \
        for (int lane = 0; lane < GLIA_ROW_LANES; lane++) lanes[lane] = most;                  \
        for (; i + GLIA_ROW_LANES <= n; i += GLIA_ROW_LANES)                                   \
            for (int lane = 0; lane < GLIA_ROW_LANES; lane++) {                                \
                const T a = lanes[lane], b = x[i + lane];                                      \
                lanes[lane] = ((b > a) | (b != b)) ? b : a;                                    \
            }                                                                                  \
        for (; i < n; i++) most = ((x[i] > most) | (x[i] != x[i])) ? x[i] : most;              \
        for (int lane = 0; lane < GLIA_ROW_LANES && n >= GLIA_ROW_LANES; lane++)               \
            most = ((lanes[lane] > most) | (lanes[lane] != lanes[lane])) ? lanes[lane] : most; \
        return most;                                                                           \
    }                                                                                          \
    /* y = e^(x − shift), and Σ y. y may be x; NULL: only the sum. */                       \
    GLIA_CPU_INLINE double glia__row_exp_##T(T *y, const T *x, T shift, int64_t n) {           \
        T chunk[GLIA_ROW_CHUNK];                                                               \
        double total = 0, part;                                                                \
        for (int64_t i = 0; i < n; i += GLIA_ROW_CHUNK) {                                      \
            const int64_t count = GLIA_MIN(n - i, (int64_t)GLIA_ROW_CHUNK);                    \
            for (int64_t j = 0; j < count; j++) chunk[j] = exp(x[i + j] - shift);              \
            GLIA_ROW_SUM(part, count, chunk[k]);                                               \
            total += part;                                                                     \
            for (int64_t j = 0; y && j < count; j++) y[i + j] = chunk[j];                      \
        }                                                                                      \
        return total;                                                                          \
    }
GLIA_ROW_FUNCTIONS(float)
GLIA_ROW_FUNCTIONS(double)
#define glia__row_max(x, n) _Generic(*(x), float : glia__row_max_float, default : glia__row_max_double)(x, n)
#define glia__row_exp(y, x, shift, n) \
    _Generic(*(x), float : glia__row_exp_float, default : glia__row_exp_double)(y, x, shift, n)

#endif
