/* conv_pool_lanes.h: the loops of conv_pool.c for one length of vectors. Included once for each, with these defined: LANES;
 * TARGET, the attribute that lets the compiler use such vectors; NAMED, which makes a name of this length. No guard.
 *
 * A vector holds one of the four places of LANES neighbouring windows of the pool, so that convolution, relu and the
 * comparison of the places stay in registers. What is done once for many multiplications is written with intrinsics where
 * GCC 12 makes more instructions of it than of the multiplications: bytes beside floats, and masks. */

typedef float NAMED(vec) __attribute__((vector_size(LANES * 4)));
typedef int32_t NAMED(ints) __attribute__((vector_size(LANES * 4)));
/* Floats in memory, at any address. */
typedef float NAMED(vec_at) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

#define INLINE TARGET static inline __attribute__((always_inline))

/* Calls `body` with channels and the kernel's size as constants where they are usual ones: its loops are then unrolled, and
 * sums stay in registers. */
#define WITH_SIZE(body, p, x, ...)                                                         \
    do {                                                                                   \
        const bool three = (p)->kernel_height == 3 && (p)->kernel_width == 3;              \
        if (three && (x)->channels == 1)                                                   \
            body(1, 3, 3, p, x, __VA_ARGS__);                                              \
        else if (three)                                                                    \
            body((x)->channels, 3, 3, p, x, __VA_ARGS__);                                  \
        else if ((p)->kernel_height == 5 && (p)->kernel_width == 5)                        \
            body((x)->channels, 5, 5, p, x, __VA_ARGS__);                                  \
        else                                                                               \
            body((x)->channels, (p)->kernel_height, (p)->kernel_width, p, x, __VA_ARGS__); \
    } while (0)

/* Row i and column j of the patches under the windows from `at` on: what place (a, b) sees through tap (i - a, j - b). */
#define SEEN(i, j) (*(const NAMED(vec_at) *)(at + ((i)*2 + (j) % 2) * pitch + (j) / 2))

/* One loop over rows and the windows in them: what is ready before a loop is then ready for all rows. */
#define NEXT_WINDOWS(h, w, width) w += LANES, h += w >= width, w = w >= width ? 0 : w

/* Whether a sum of CONV_POOL_MOST_TAPS products of such numbers cannot overflow. */
TARGET static bool NAMED(tame)(const float *x, int64_t n) {
    int wild = 0;
    for (int64_t i = 0; i < n; i++) wild |= !(fabsf(x[i]) <= 1e18f);
    return !wild;
}

/* Every second of what lies at `from`. */
TARGET static void NAMED(take_second)(const float *restrict from, int64_t count, float *restrict to) {
    for (int64_t i = 0; i < count; i++) to[i] = from[2 * i];
}

/* --- forward --------------------------------------------------------------------------------------------- */

/* Writes the largest of four places after relu, and who won, the first of equals; there is no NaN. Of the LANES windows
 * `count` belong to the row and `rest` to it and the rows after it. What is written behind the row is overwritten by the
 * next; behind the last row of a plane nothing may be written. */
#if LANES == 16
INLINE void pool_16(const vec_16 *places, int64_t count, int64_t rest, float *y, uint8_t *winner) {
    const __m512 a = (__m512)places[0], b = (__m512)places[1], c = (__m512)places[2], d = (__m512)places[3];
    const __m512 top = _mm512_max_ps(a, b), low = _mm512_max_ps(c, d), zero = _mm512_setzero_ps();
    const __m512 most = _mm512_max_ps(top, low);
    const __m128i one = _mm_set1_epi8(1), two = _mm_set1_epi8(2), three = _mm_set1_epi8(3);
    __m128i won = _mm_maskz_mov_epi8(_mm512_cmp_ps_mask(b, a, _CMP_GT_OQ), one);
    const __m128i won_low = _mm_mask_mov_epi8(two, _mm512_cmp_ps_mask(d, c, _CMP_GT_OQ), three);
    won = _mm_mask_mov_epi8(won, _mm512_cmp_ps_mask(low, top, _CMP_GT_OQ), won_low);
    won = _mm_mask_mov_epi8(won, _mm512_cmp_ps_mask(most, zero, _CMP_LE_OQ), _mm_set1_epi8(-1));
    if (rest >= LANES) {
        _mm512_storeu_ps(y, _mm512_max_ps(most, zero));
        _mm_storeu_si128((__m128i *)winner, won);
    } else {
        const __mmask16 row = (__mmask16)_bzhi_u32(0xffff, (uint32_t)count);
        _mm512_mask_storeu_ps(y, row, _mm512_max_ps(most, zero));
        _mm_mask_storeu_epi8(winner, row, won);
    }
}
#else
INLINE void NAMED(pool)(const NAMED(vec) * places, int64_t count, int64_t rest, float *y, uint8_t *winner) {
    typedef NAMED(ints) ints;
    typedef NAMED(vec) vec;
    const ints right_a = places[1] > places[0], right_b = places[3] > places[2];
    const vec top = (vec)(((ints)places[1] & right_a) | ((ints)places[0] & ~right_a));
    const vec low = (vec)(((ints)places[3] & right_b) | ((ints)places[2] & ~right_b));
    const ints down = low > top;
    const vec most = (vec)(((ints)low & down) | ((ints)top & ~down));
    const ints place = (down & (2 - right_b)) | (~down & -right_a), positive = most > 0;
    const vec best = (vec)((ints)most & positive);
    float few[LANES];
    uint8_t few_won[LANES];
    float *to = rest >= LANES ? y : few;
    uint8_t *to_won = rest >= LANES ? winner : few_won;
    *(NAMED(vec_at) *)to = best;
    STORE_BYTES(to_won, (place | (~positive & GLIA_NO_WINNER)));
    for (int64_t l = 0; l < count && rest < LANES; l++) y[l] = few[l], winner[l] = few_won[l];
}
#endif

INLINE void NAMED(forward_body)(const int64_t channels, const int64_t kh, const int64_t kw,
                                const conv_pool_planes *p, const conv_pool_image *x, const float *weights,
                                const float *bias, float *y, uint8_t *winner) {
    typedef NAMED(vec) vec;
    const int64_t pitch = x->pitch, plane = x->rows * 2 * pitch, taps = channels * kh * kw;
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
        for (int64_t h = 0, w = 0; h < height; NEXT_WINDOWS(h, w, width)) {
            vec places[CONV_POOL_FILTERS][4];
            for (int f = 0; f < CONV_POOL_FILTERS; f++)
                for (int k = 0; k < 4; k++) places[f][k] = (vec){0} + own_bias[f];
            for (int64_t c = 0; c < channels; c++) {
                const float *at = data + c * plane + h * 4 * pitch + w;
                const float(*tap)[CONV_POOL_FILTERS] = (const float(*)[CONV_POOL_FILTERS])own + c * kh * kw;
                UNROLL for (int64_t i = 0; i < kh; i++) UNROLL for (int64_t j = 0; j < kw; j++, tap++) {
                    const vec seen[4] = {SEEN(i, j), SEEN(i, j + 1), SEEN(i + 1, j), SEEN(i + 1, j + 1)};
                    for (int f = 0; f < CONV_POOL_FILTERS; f++)
                        for (int k = 0; k < 4; k++) places[f][k] += (*tap)[f] * seen[k];
                }
            }
            UNROLL for (int f = 0; f < CONV_POOL_FILTERS; f++) {
                const int64_t to = (filter[f] * height + h) * width + w;
                NAMED(pool)(places[f], width - w, (height - h) * width - w, y + to, winner + to);
            }
        }
    }
}

TARGET static void NAMED(forward)(const conv_pool_planes *p, const conv_pool_image *x, const float *weights,
                                  const float *bias, float *y, uint8_t *winner) {
    WITH_SIZE(NAMED(forward_body), p, x, weights, bias, y, winner);
}

/* --- backward -------------------------------------------------------------------------------------------- */

#if LANES < 16 /* conv_pool_filters.h has the gradient for 16 */

/* Shares dy of LANES windows among their places by who won; adds it to `bias` where anybody did. Of the windows, `count`
 * belong to the row, and `room` can be read. */
INLINE void NAMED(share)(const float *dy, const uint8_t *winner, int64_t count, int64_t room,
                         NAMED(vec) * part, NAMED(vec) * bias) {
    NAMED(ints) won, d;
    if (room >= LANES) {
        d = (NAMED(ints)) * (const NAMED(vec_at) *)dy;
        LOAD_BYTES(won, winner);
    } else {
        float few[LANES] = {0};
        uint8_t few_won[LANES] = {0};
        for (int64_t l = 0; l < count && l < LANES; l++) few[l] = dy[l], few_won[l] = winner[l];
        d = (NAMED(ints)) * (const NAMED(vec_at) *)few;
        LOAD_BYTES(won, few_won);
    }
    if (count < LANES) {
        NAMED(ints) lane;
        for (int l = 0; l < LANES; l++) lane[l] = l;
        won |= (lane >= (int32_t)count) & GLIA_NO_WINNER;
    }
    for (int k = 0; k < 4; k++) part[k] = (NAMED(vec))(d & (won == k));
    *bias += (NAMED(vec))(d & (won < 4));
}

INLINE void NAMED(backward_body)(const int64_t channels, const int64_t kh, const int64_t kw,
                                 const conv_pool_planes *p, const conv_pool_image *x, const float *dy,
                                 const uint8_t *winner, float *sums_) {
    typedef NAMED(vec) vec;
    NAMED(vec_at) *sums = (NAMED(vec_at) *)sums_;
    const int64_t pitch = x->pitch, plane = x->rows * 2 * pitch, taps = kh * kw;
    const int64_t height = p->height, width = p->width, filters = p->filters;
    for (int64_t o = 0; o < filters; o++)
        for (int64_t c = 0; c < channels; c++) {
            const float *data = x->data + c * plane;
            vec own[CONV_POOL_MOST_KERNEL], bias = {0};
            for (int64_t t = 0; t < taps; t++) own[t] = (vec){0};
            for (int64_t h = 0, w = 0; h < height; NEXT_WINDOWS(h, w, width)) {
                const int64_t from = (o * height + h) * width + w;
                const float *at = data + h * 4 * pitch + w;
                vec part[4];
                NAMED(share)(dy + from, winner + from, width - w, p->room - from, part, &bias);
                UNROLL for (int64_t i = 0; i <= kh; i++) UNROLL for (int64_t j = 0; j <= kw; j++) {
                    const vec seen = SEEN(i, j);
                    UNROLL for (int k = 0; k < 4; k++) {
                        const int64_t a = i - k / 2, b = j - k % 2;
                        if (a >= 0 && a < kh && b >= 0 && b < kw) own[a * kw + b] += part[k] * seen;
                    }
                }
            }
            for (int64_t t = 0; t < taps; t++) sums[(o * channels + c) * taps + t] += own[t];
            if (c == 0) sums[filters * channels * taps + o] += bias;
        }
}

TARGET static void NAMED(backward)(const conv_pool_planes *p, const conv_pool_image *x, const float *dy,
                                   const uint8_t *winner, float *sums) {
    WITH_SIZE(NAMED(backward_body), p, x, dy, winner, sums);
}

#endif

#undef SEEN
#undef NEXT_WINDOWS
#undef WITH_SIZE
#undef INLINE
#undef LANES
#undef TARGET
#undef NAMED
#undef LOAD_BYTES
#undef STORE_BYTES
