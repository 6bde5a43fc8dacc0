/* pool.c: own pools over images whose channels lie last: the same window for every channel, so vectors of channels.
 * f32 and bf16, which is widened in registers. Figures beside the priorities: µs on one core with AVX-512 (Xeon, Sapphire
 * Rapids) as bench_kernels prints them; oneDNN 2.6's max-pool took 16 µs an image of 26×26×32 each way. */
#include "ops/pool.h"
#include "core/bf16.h"
#include "kernels/kernel.h"

typedef uint16_t bf16;
#define load_float(x)  (x)
#define store_float(x) (x)
#define load_bf16(x)   glia__bf16_widen(x)
#define store_bf16(x)  glia__bf16_round(x)

/* Channels that are kept on the stack at once. */
enum { CHANNELS = 128 };

/* A window: its first tap in the plane of an image, and its taps. */
typedef struct window {
    int64_t first, h, w;
} window;

/* Runs the block for every window of every image: x[from + first + i·p->x.h + j·p->x.w + channel] for i < taps.h and
 * j < taps.w belongs to y[to + channel]. */
#define FOR_IMAGE_WINDOWS(p, ...)                                                                     \
    for (int64_t n = 0; n < (p)->n; n++)                                                              \
        for (int64_t h = 0; h < (p)->h.out; h++)                                                      \
            for (int64_t w = 0; w < (p)->w.out; w++) {                                                \
                int64_t h0, h1, w0, w1;                                                               \
                glia__pool_span(&(p)->h, h, &h0, &h1);                                                \
                glia__pool_span(&(p)->w, w, &w0, &w1);                                                \
                const window taps = {n * (p)->x.n + h0 * (p)->x.h + w0 * (p)->x.w, h1 - h0, w1 - w0}; \
                const int64_t to = n * (p)->y.n + h * (p)->y.h + w * (p)->y.w;                        \
                __VA_ARGS__                                                                           \
            }
/* The taps of a window in the order of the op, which decides between equals and about sums. */
#define FOR_TAPS(p, taps, ...)                                              \
    for (int64_t i = 0; i < (taps).h; i++)                                  \
        for (int64_t j = 0; j < (taps).w; j++) {                            \
            const int64_t tap = (taps).first + i * (p)->x.h + j * (p)->x.w; \
            __VA_ARGS__                                                     \
        }

static bool is_two_by_two(const window *taps) {
    return taps->h == 2 && taps->w == 2;
}

/* Windows never share a pixel. */
static bool are_apart(const glia_pool *p) {
    return p->h.stride >= p->h.size && p->w.stride >= p->w.size;
}

/* Every pixel is in one window. */
static bool are_tiles(const glia_pool *p) {
    return p->h.stride == p->h.size && p->w.stride == p->w.size && p->h.out * p->h.size == p->h.in &&
           p->w.out * p->w.size == p->w.in;
}

/* --- max -------------------------------------------------------------------------------------------------- */

#define MAX_LOOPS(T)                                                                                   \
    GLIA_CPU_INLINE void max_of_four_##T(const T *restrict a, const T *restrict b, int64_t c,          \
                                         T *restrict y) {                                              \
        for (int64_t k = 0; k < c; k++) {                                                              \
            const float a0 = load_##T(a[k]), a1 = load_##T(a[k + c]), b0 = load_##T(b[k]),             \
                        b1 = load_##T(b[k + c]);                                                       \
            const float top = glia__pool_choose(glia__pool_mask(GLIA_POOL_BEATS(a1, a0)), a1, a0),     \
                        low = glia__pool_choose(glia__pool_mask(GLIA_POOL_BEATS(b1, b0)), b1, b0);     \
            y[k] = store_##T(glia__pool_choose(glia__pool_mask(GLIA_POOL_BEATS(low, top)), low, top)); \
        }                                                                                              \
    }                                                                                                  \
    GLIA_CPU_INLINE void max_of_two_##T(const T *restrict x, int64_t c, T *restrict y) {               \
        for (int64_t k = 0; k < c; k++) {                                                              \
            const float later = load_##T(x[k]), earlier = load_##T(y[k]);                              \
            y[k] = store_##T(GLIA_POOL_BEATS(later, earlier) ? later : earlier);                       \
        }                                                                                              \
    }                                                                                                  \
    GLIA_CPU_CLONES(void, max_##T, (const glia_pool *p, const T *x, T *y), (p, x, y)) {                \
        FOR_IMAGE_WINDOWS(p, {                                                                         \
            if (is_two_by_two(&taps)) {                                                                \
                max_of_four_##T(x + taps.first, x + taps.first + p->x.h, p->c, y + to);                \
                continue;                                                                              \
            }                                                                                          \
            memcpy(y + to, x + taps.first, (size_t)p->c * sizeof(T));                                  \
            FOR_TAPS(p, taps, if (i + j > 0) max_of_two_##T(x + tap, p->c, y + to);)                   \
        })                                                                                             \
    }
MAX_LOOPS(float)
MAX_LOOPS(bf16)

/* The winner takes dy; `relu`: only when it is positive. */
#define MAX_BACKWARD_LOOPS(T)                                                                                \
    GLIA_CPU_INLINE void spread_to_four_##T(const T *restrict a, const T *restrict b, const T *restrict dy,  \
                                            uint32_t relu, int64_t c, T *restrict da, T *restrict db) {      \
        for (int64_t k = 0; k < c; k++) {                                                                    \
            const float a0 = load_##T(a[k]), a1 = load_##T(a[k + c]), b0 = load_##T(b[k]),                   \
                        b1 = load_##T(b[k + c]);                                                             \
            const uint32_t right_a = glia__pool_mask(GLIA_POOL_BEATS(a1, a0)),                               \
                           right_b = glia__pool_mask(GLIA_POOL_BEATS(b1, b0));                               \
            const float top = glia__pool_choose(right_a, a1, a0), low = glia__pool_choose(right_b, b1, b0);  \
            const uint32_t down = glia__pool_mask(GLIA_POOL_BEATS(low, top));                                \
            const uint32_t lost = glia__pool_mask(glia__pool_choose(down, low, top) <= 0) & relu;            \
            const float d = glia__pool_keep(~lost, load_##T(dy[k]));                                         \
            da[k] = store_##T(glia__pool_keep(~(down | right_a), d));                                        \
            da[k + c] = store_##T(glia__pool_keep(~down & right_a, d));                                      \
            db[k] = store_##T(glia__pool_keep(down & ~right_b, d));                                          \
            db[k + c] = store_##T(glia__pool_keep(down & right_b, d));                                       \
        }                                                                                                    \
    }                                                                                                        \
    /* Channels [k, k + c) of one window of any size. */                                                     \
    GLIA_CPU_INLINE void spread_##T(const glia_pool *p, const window *taps, const T *x, const T *dy,         \
                                    bool relu, int64_t c, T *dx) {                                           \
        float best[CHANNELS];                                                                                \
        int32_t winner[CHANNELS];                                                                            \
        int32_t number = 0;                                                                                  \
        FOR_TAPS(p, *taps, {                                                                                 \
            for (int64_t k = 0; k < c; k++) {                                                                \
                const float later = load_##T(x[tap + k]);                                                    \
                const bool beats = number == 0 || GLIA_POOL_BEATS(later, best[k]);                           \
                best[k] = beats ? later : best[k];                                                           \
                winner[k] = beats ? number : winner[k];                                                      \
            }                                                                                                \
            number++;                                                                                        \
        })                                                                                                   \
        number = 0;                                                                                          \
        FOR_TAPS(p, *taps, {                                                                                 \
            for (int64_t k = 0; k < c; k++) {                                                                \
                const float d = winner[k] != number || (relu & (best[k] <= 0)) ? 0 : load_##T(dy[k]);        \
                dx[tap + k] = store_##T(load_##T(dx[tap + k]) + d);                                          \
            }                                                                                                \
            number++;                                                                                        \
        })                                                                                                   \
    }                                                                                                        \
    GLIA_CPU_CLONES(void, max_backward_##T, (const glia_pool *p, const T *x, const T *dy, bool relu, T *dx), \
                    (p, x, dy, relu, dx)) {                                                                  \
        const bool tiles = are_tiles(p), apart = are_apart(p);                                               \
        if (!tiles) memset(dx, 0, (size_t)(p->n * p->x.n) * sizeof(T));                                      \
        FOR_IMAGE_WINDOWS(p, {                                                                               \
            if (apart && is_two_by_two(&taps)) {                                                             \
                spread_to_four_##T(x + taps.first, x + taps.first + p->x.h, dy + to, glia__pool_mask(relu),  \
                                   p->c, dx + taps.first, dx + taps.first + p->x.h);                         \
                continue;                                                                                    \
            }                                                                                                \
            if (tiles) FOR_TAPS(p, taps, memset(dx + tap, 0, (size_t)p->c * sizeof(T));)                     \
            for (int64_t k = 0; k < p->c; k += CHANNELS)                                                     \
                spread_##T(p, &taps, x + k, dy + to + k, relu, GLIA_MIN(p->c - k, (int64_t)CHANNELS),        \
                           dx + k);                                                                          \
        })                                                                                                   \
    }
MAX_BACKWARD_LOOPS(float)
MAX_BACKWARD_LOOPS(bf16)

/* --- average ---------------------------------------------------------------------------------------------- */

#define AVERAGE_LOOPS(T)                                                                                     \
    GLIA_CPU_CLONES(void, average_##T, (const glia_pool *p, const T *x, T *y),                               \
                    (p, x, y)){FOR_IMAGE_WINDOWS(p, {                                                        \
        for (int64_t k = 0; k < p->c; k += CHANNELS) {                                                       \
            const int64_t c = GLIA_MIN(p->c - k, (int64_t)CHANNELS);                                         \
            const float count = (float)(taps.h * taps.w);                                                    \
            float sums[CHANNELS] = {0};                                                                      \
            FOR_TAPS(p, taps, for (int64_t q = 0; q < c; q++) sums[q] += load_##T(x[tap + k + q]);)          \
            for (int64_t q = 0; q < c; q++) y[to + k + q] = store_##T(sums[q] / count);                      \
        }                                                                                                    \
    })} GLIA_CPU_INLINE void add_share_##T(const T *restrict dy, float count, int64_t c, T *restrict dx) {   \
        for (int64_t k = 0; k < c; k++) dx[k] = store_##T(load_##T(dx[k]) + load_##T(dy[k]) / count);        \
    }                                                                                                        \
    GLIA_CPU_INLINE void put_share_##T(const T *restrict dy, float count, int64_t c, T *restrict dx) {       \
        for (int64_t k = 0; k < c; k++) dx[k] = store_##T(load_##T(dy[k]) / count);                          \
    }                                                                                                        \
    GLIA_CPU_CLONES(void, average_backward_##T, (const glia_pool *p, const T *dy, T *dx), (p, dy, dx)) {     \
        const bool apart = are_apart(p);                                                                     \
        if (!are_tiles(p)) memset(dx, 0, (size_t)(p->n * p->x.n) * sizeof(T));                               \
        FOR_IMAGE_WINDOWS(p, {                                                                               \
            const float count = (float)(taps.h * taps.w);                                                    \
            FOR_TAPS(p, taps, {                                                                              \
                if (apart)                                                                                   \
                    put_share_##T(dy + to, count, p->c, dx + tap);                                           \
                else                                                                                         \
                    add_share_##T(dy + to, count, p->c, dx + tap);                                           \
            })                                                                                               \
        })                                                                                                   \
    }                                                                                                        \
    GLIA_CPU_CLONES(void, global_average_##T, (const T *x, T *y, int64_t images, int64_t pixels, int64_t c), \
                    (x, y, images, pixels, c)) {                                                             \
        for (int64_t n = 0; n < images; n++)                                                                 \
            for (int64_t k = 0; k < c; k += CHANNELS) {                                                      \
                const int64_t some = GLIA_MIN(c - k, (int64_t)CHANNELS);                                     \
                double sums[CHANNELS] = {0};                                                                 \
                for (int64_t i = 0; i < pixels; i++)                                                         \
                    for (int64_t q = 0; q < some; q++)                                                       \
                        sums[q] += (double)load_##T(x[(n * pixels + i) * c + k + q]);                        \
                for (int64_t q = 0; q < some; q++)                                                           \
                    y[n * c + k + q] = store_##T((float)(sums[q] / (double)pixels));                         \
            }                                                                                                \
    }
AVERAGE_LOOPS(float)
AVERAGE_LOOPS(bf16)

/* --- kernels ---------------------------------------------------------------------------------------------- */

static bool takes(const glia_type *x, glia_bool channels_last, const char **why_not) {
    *why_not = "channels are not last";
    if (channels_last != GLIA_YES) return false;
    *why_not = "neither f32 nor bf16";
    if (x->dtype != GLIA_F32 && x->dtype != GLIA_BF16) return false;
    *why_not = "an array has no elements";
    return glia_shape_elems(&x->shape) > 0;
}

static bool pool_supports(const glia_kernel_query *q, const char **why_not) {
    return takes(&q->in[0], ((const glia_pool2d_attrs *)q->attrs)->channels_last, why_not);
}

/* Shares of windows that share pixels are added up in f32 only. */
static bool backward_supports(const glia_kernel_query *q, const glia_pool2d_attrs *a, const char **why_not) {
    glia_pool p;
    if (!takes(&q->in[0], a->channels_last, why_not)) return false;
    *why_not = "bf16 windows share pixels";
    return glia__pool_fit(&p, &q->in[0], a, q->op->name, NULL) == GLIA_OK &&
           (q->in[0].dtype == GLIA_F32 || are_apart(&p));
}

static bool max_backward_supports(const glia_kernel_query *q, const char **why_not) {
    return backward_supports(q, &((const glia__max_pool2d_backward_attrs *)q->attrs)->pool, why_not);
}

static bool average_backward_supports(const glia_kernel_query *q, const char **why_not) {
    return backward_supports(q, q->attrs, why_not);
}

static bool global_supports(const glia_kernel_query *q, const char **why_not) {
    return takes(&q->in[0], ((const glia_global_average_pool2d_attrs *)q->attrs)->channels_last, why_not);
}

/* The pool of a call by the image that is read or, in backward ops, written. */
static glia_status fit(glia_pool *p, const glia_call *c, const glia_view *image, const glia_pool2d_attrs *a) {
    const glia_type type = glia__view_type(image);
    return glia__pool_fit(p, &type, a, c->node, c->err);
}

static glia_status max_run(void *state, const glia_call *c) {
    glia_pool p;
    (void)state;
    GLIA_TRY(fit(&p, c, &c->in[0], c->attrs));
    if (c->in[0].dtype == GLIA_F32)
        max_float(&p, c->in[0].data, c->out[0].data);
    else
        max_bf16(&p, c->in[0].data, c->out[0].data);
    return GLIA_OK;
}

static glia_status max_backward_run(void *state, const glia_call *c) {
    const glia__max_pool2d_backward_attrs *a = c->attrs;
    const bool relu = a->relu == GLIA_YES;
    glia_pool p;
    (void)state;
    GLIA_TRY(fit(&p, c, &c->in[0], &a->pool));
    if (c->in[0].dtype == GLIA_F32)
        max_backward_float(&p, c->in[0].data, c->in[1].data, relu, c->out[0].data);
    else
        max_backward_bf16(&p, c->in[0].data, c->in[1].data, relu, c->out[0].data);
    return GLIA_OK;
}

static glia_status average_run(void *state, const glia_call *c) {
    glia_pool p;
    (void)state;
    GLIA_TRY(fit(&p, c, &c->in[0], c->attrs));
    if (c->in[0].dtype == GLIA_F32)
        average_float(&p, c->in[0].data, c->out[0].data);
    else
        average_bf16(&p, c->in[0].data, c->out[0].data);
    return GLIA_OK;
}

static glia_status average_backward_run(void *state, const glia_call *c) {
    glia_pool p;
    (void)state;
    GLIA_TRY(fit(&p, c, &c->out[0], c->attrs));
    if (c->out[0].dtype == GLIA_F32)
        average_backward_float(&p, c->in[1].data, c->out[0].data);
    else
        average_backward_bf16(&p, c->in[1].data, c->out[0].data);
    return GLIA_OK;
}

static glia_status global_run(void *state, const glia_call *c) {
    const glia_shape *x = &c->in[0].shape;
    const int64_t pixels = x->dim[1] * x->dim[2];
    (void)state;
    if (c->in[0].dtype == GLIA_F32)
        global_average_float(c->in[0].data, c->out[0].data, x->dim[0], pixels, x->dim[3]);
    else
        global_average_bf16(c->in[0].data, c->out[0].data, x->dim[0], pixels, x->dim[3]);
    return GLIA_OK;
}

GLIA_KERNEL(cpu_max_pool2d) = {
    .name = "cpu_max_pool2d",
    .op = "max_pool2d",
    .priority = 60, /* 4×26×26×32: 6.3; the reference 230 */
    .supports = pool_supports,
    .run = max_run,
};

GLIA_KERNEL(cpu_max_pool2d_backward) = {
    .name = "cpu_max_pool2d_backward",
    .op = "max_pool2d_backward",
    .priority = 60, /* 4×26×26×32: 9.9; the reference 340 */
    .supports = max_backward_supports,
    .run = max_backward_run,
};

GLIA_KERNEL(cpu_average_pool2d) = {
    .name = "cpu_average_pool2d",
    .op = "average_pool2d",
    .priority = 60, /* 16×26×26×32: 71; the reference 337 */
    .supports = pool_supports,
    .run = average_run,
};

GLIA_KERNEL(cpu_average_pool2d_backward) = {
    .name = "cpu_average_pool2d_backward",
    .op = "average_pool2d_backward",
    .priority = 60, /* 16×26×26×32: 62; the reference 521 */
    .supports = average_backward_supports,
    .run = average_backward_run,
};

GLIA_KERNEL(cpu_global_average_pool2d) = {
    .name = "cpu_global_average_pool2d",
    .op = "global_average_pool2d",
    .priority = 60, /* 16×8×8×512: 49; the reference 405 */
    .supports = global_supports,
    .run = global_run,
};
