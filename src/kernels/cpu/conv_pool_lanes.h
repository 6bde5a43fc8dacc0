/* conv_pool_lanes.h: the loops of conv_pool.c for one length of vectors. Included once for each, with these defined: LANES;
 * TARGET, the attribute that lets the compiler use such vectors;
 * NAMED, which makes a name of this length. No guard.
 *
 * A vector holds one of the four places of LANES neighbouring windows of the pool, so that convolution, relu and the
 * comparison of the places stay in registers. */

typedef float NAMED(vec) __attribute__((vector_size(LANES * 4)));
typedef int32_t NAMED(ints) __attribute__((vector_size(LANES * 4)));
/* Floats in memory, at any address. */
typedef float NAMED(vec_at) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

#define INLINE TARGET static inline __attribute__((always_inline))

/* Calls `body` with the kernel's size as constants where it is a usual one: its loops are then unrolled, and sums stay in
 * registers. */
#define WITH_SIZE(p, body, ...)                                       \
    do {                                                              \
        if ((p)->kernel_height == 3 && (p)->kernel_width == 3)        \
            body(3, 3, __VA_ARGS__);                                  \
        else if ((p)->kernel_height == 5 && (p)->kernel_width == 5)   \
            body(5, 5, __VA_ARGS__);                                  \
        else                                                          \
            body((p)->kernel_height, (p)->kernel_width, __VA_ARGS__); \
    } while (0)

/* Row i and column j of the patches under the windows from `at` on: what place (a, b) sees through tap (i - a, j - b). */
#define SEEN(i, j) \
    (*(const NAMED(vec_at) *)(at + ((i) % 2 * 2 + (j) % 2) * plane + (i) / 2 * pitch + (j) / 2))

/* Whether a sum of CONV_POOL_MOST_TAPS products of such numbers cannot overflow. */
TARGET static bool NAMED(tame)(const float *x, int64_t n) {
    int wild = 0;
    for (int64_t i = 0; i < n; i++) wild |= !(fabsf(x[i]) <= 1e18f);
    return !wild;
}

/* --- forward --------------------------------------------------------------------------------------------- */

/* The largest of four places, relu, and who won: the first of equals. There is no NaN. */
INLINE void NAMED(pool)(const NAMED(vec) * places, NAMED(vec) * y, NAMED(ints) * winner) {
    typedef NAMED(ints) ints;
    typedef NAMED(vec) vec;
    const ints right_a = places[1] > places[0], right_b = places[3] > places[2];
    const vec top = (vec)(((ints)places[1] & right_a) | ((ints)places[0] & ~right_a));
    const vec low = (vec)(((ints)places[3] & right_b) | ((ints)places[2] & ~right_b));
    const ints down = low > top;
    const vec most = (vec)(((ints)low & down) | ((ints)top & ~down));
    const ints place = (down & (2 - right_b)) | (~down & -right_a), positive = most > 0;
    *y = (vec)((ints)most & positive);
    *winner = (place & positive) | (~positive & GLIA_NO_WINNER);
}

/* Writes the results of LANES windows, of which `count` belong to the row and `rest` to it and the rows after it. What is
 * written behind the row is overwritten by the next; behind the last row of a plane nothing may be written. */
INLINE void NAMED(store)(const NAMED(vec) * best, const NAMED(ints) * won, int64_t count, int64_t rest,
                         float *y, uint8_t *winner) {
    if (rest >= LANES) {
        *(NAMED(vec_at) *)y = *best;
        STORE_BYTES(winner, *won);
        return;
    }
    float few[LANES];
    uint8_t few_won[LANES];
    *(NAMED(vec_at) *)few = *best;
    STORE_BYTES(few_won, *won);
    for (int64_t at = 0, size = LANES / 2; size > 0; size /= 2) {
        if (!(count & size)) continue;
        memcpy(y + at, few + at, (size_t)size * sizeof *y);
        memcpy(winner + at, few_won + at, (size_t)size);
        at += size;
    }
}

INLINE void NAMED(forward_body)(const int64_t kh, const int64_t kw, const conv_pool_planes *p,
                                const conv_pool_phases *x, const float *weights, const float *bias, float *y,
                                uint8_t *winner) {
    typedef NAMED(vec) vec;
    const int64_t pitch = x->pitch, plane = x->rows * pitch, channels = x->channels,
                  taps = channels * kh * kw;
    const int64_t height = p->height, width = p->width, filters = p->filters;
    const float *data = x->data;
    for (int64_t o = 0; o < filters; o += CONV_POOL_FILTERS) {
        float own[CONV_POOL_MOST_TAPS][CONV_POOL_FILTERS], own_bias[CONV_POOL_FILTERS];
        int64_t filter[CONV_POOL_FILTERS]; /* the last group may hold its last filter more than once */
        for (int f = 0; f < CONV_POOL_FILTERS; f++) {
            filter[f] = GLIA_MIN(o + f, filters - 1);
            own_bias[f] = bias ? bias[filter[f]] : 0;
            for (int64_t t = 0; t < taps; t++) own[t][f] = weights[filter[f] * taps + t];
        }
        for (int64_t h = 0; h < height; h++)
            for (int64_t w = 0; w < width; w += LANES) {
                vec places[CONV_POOL_FILTERS][4];
                for (int f = 0; f < CONV_POOL_FILTERS; f++)
                    for (int k = 0; k < 4; k++) places[f][k] = (vec){0} + own_bias[f];
                for (int64_t c = 0; c < channels; c++) {
                    const float *at = data + c * 4 * plane + h * pitch + w;
                    const float(*tap)[CONV_POOL_FILTERS] =
                        (const float(*)[CONV_POOL_FILTERS])own + c * kh * kw;
                    UNROLL for (int64_t i = 0; i < kh; i++) UNROLL for (int64_t j = 0; j < kw; j++, tap++) {
                        const vec seen[4] = {SEEN(i, j), SEEN(i, j + 1), SEEN(i + 1, j), SEEN(i + 1, j + 1)};
                        for (int f = 0; f < CONV_POOL_FILTERS; f++)
                            for (int k = 0; k < 4; k++) places[f][k] += (*tap)[f] * seen[k];
                    }
                }
                UNROLL for (int f = 0; f < CONV_POOL_FILTERS; f++) {
                    const int64_t to = (filter[f] * height + h) * width + w;
                    vec best;
                    NAMED(ints) won;
                    NAMED(pool)(places[f], &best, &won);
                    NAMED(store)(&best, &won, width - w, (height - h) * width - w, y + to, winner + to);
                }
            }
    }
}

TARGET static void NAMED(forward)(const conv_pool_planes *p, const conv_pool_phases *x, const float *weights,
                                  const float *bias, float *y, uint8_t *winner) {
    WITH_SIZE(p, NAMED(forward_body), p, x, weights, bias, y, winner);
}

/* --- backward -------------------------------------------------------------------------------------------- */

/* dy of LANES windows and who won in them, of which `count` belong to the row: nobody won behind it. */
INLINE void NAMED(load_dy)(const float *dy, const uint8_t *winner, int64_t count, int64_t room,
                           NAMED(vec) * d, NAMED(ints) * won) {
    if (room >= LANES) {
        *d = *(const NAMED(vec_at) *)dy;
        LOAD_BYTES(*won, winner);
    } else {
        float few[LANES] = {0};
        uint8_t few_won[LANES] = {0};
        for (int64_t l = 0; l < count && l < LANES; l++) few[l] = dy[l], few_won[l] = winner[l];
        *d = *(const NAMED(vec_at) *)few;
        LOAD_BYTES(*won, few_won);
    }
    if (count < LANES) {
        NAMED(ints) lane;
        for (int l = 0; l < LANES; l++) lane[l] = l;
        *won |= (lane >= (int32_t)count) & GLIA_NO_WINNER;
    }
}

INLINE void NAMED(backward_body)(const int64_t kh, const int64_t kw, const conv_pool_planes *p,
                                 const conv_pool_phases *x, const float *dy, const uint8_t *winner,
                                 float *sums_) {
    typedef NAMED(ints) ints;
    typedef NAMED(vec) vec;
    NAMED(vec_at) *sums = (NAMED(vec_at) *)sums_;
    const int64_t pitch = x->pitch, plane = x->rows * pitch, taps = kh * kw, channels = x->channels;
    for (int64_t o = 0; o < p->filters; o++)
        for (int64_t c = 0; c < channels; c++) {
            vec own[CONV_POOL_MOST_KERNEL], bias = {0};
            int64_t row = o * p->height * p->width;
            for (int64_t t = 0; t < taps; t++) own[t] = (vec){0};
            for (int64_t h = 0; h < p->height; h++, row += p->width)
                for (int64_t w = 0; w < p->width; w += LANES) {
                    const float *at = x->data + c * 4 * plane + h * pitch + w;
                    vec d, part[4];
                    ints won;
                    NAMED(load_dy)(dy + row + w, winner + row + w, p->width - w, p->room - row - w, &d, &won);
                    for (int k = 0; k < 4; k++) part[k] = (vec)((ints)d & (won == k));
                    bias += (vec)((ints)d & (won < 4));
                    UNROLL for (int64_t i = 0; i <= kh; i++) UNROLL for (int64_t j = 0; j <= kw; j++) {
                        const vec seen = SEEN(i, j);
                        UNROLL for (int k = 0; k < 4; k++) {
                            const int64_t a = i - k / 2, b = j - k % 2;
                            if (a >= 0 && a < kh && b >= 0 && b < kw) own[a * kw + b] += part[k] * seen;
                        }
                    }
                }
            for (int64_t t = 0; t < taps; t++) sums[(o * channels + c) * taps + t] += own[t];
            if (c == 0) sums[p->filters * channels * taps + o] += bias;
        }
}

TARGET static void NAMED(backward)(const conv_pool_planes *p, const conv_pool_phases *x, const float *dy,
                                   const uint8_t *winner, float *sums) {
    WITH_SIZE(p, NAMED(backward_body), p, x, dy, winner, sums);
}

#undef SEEN
#undef WITH_SIZE
#undef INLINE
#undef LANES
#undef LOAD_BYTES
#undef STORE_BYTES
#undef TARGET
#undef NAMED
