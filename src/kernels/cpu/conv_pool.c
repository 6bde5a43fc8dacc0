/* conv_pool.c: convolution, relu and max pooling in registers, for first layers with few channels; and the gradient by
 * weights, which visits what won. The loops are in conv_pool_lanes.h, once for each length of vectors; those of the gradient
 * with AVX-512 in conv_pool_filters.h. */

#include <math.h>

#include "core/isa.h"
#include "kernels/cpu/conv_pool.h"
#include "kernels/kernel.h"
#include "ops/conv_pool.h"

enum {
    CONV_POOL_MOST_CHANNELS = 4,
    CONV_POOL_MOST_KERNEL = 5 * 5,
    CONV_POOL_FILTERS = 2, /* computed together: each pixel is loaded once for them */
    CONV_POOL_MOST_TAPS = CONV_POOL_MOST_CHANNELS * CONV_POOL_MOST_KERNEL,
    MOST_LANES = 16
};

/* Clang unrolls by itself. */
#if defined(__GNUC__) && !defined(__clang__)
#define UNROLL _Pragma("GCC unroll 6")
#else
#define UNROLL
#endif

#define LANES 4
#define TARGET
#define NAMED(name) name##_4
#define LOAD_BYTES(ints, bytes) \
    for (int l = 0; l < LANES; l++) (ints)[l] = (bytes)[l]
#define STORE_BYTES(bytes, ints) \
    for (int l = 0; l < LANES; l++) (bytes)[l] = (uint8_t)(ints)[l]
#include "kernels/cpu/conv_pool_lanes.h"

#ifdef GLIA_CPU_AVX2
#include <immintrin.h>

#define LANES                   8
#define TARGET                  GLIA_CPU_AVX2
#define NAMED(name)             name##_8
#define LOAD_BYTES(ints, bytes) ints = (ints_8)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(bytes)))
#define STORE_BYTES(bytes, ints)                                                             \
    do {                                                                                     \
        const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)(ints)),       \
                                              _mm256_extracti128_si256((__m256i)(ints), 1)); \
        _mm_storel_epi64((__m128i *)(bytes), _mm_packus_epi16(words, words));                \
    } while (0)
#include "kernels/cpu/conv_pool_lanes.h"

#define LANES       16
#define TARGET      GLIA_CPU_AVX512
#define NAMED(name) name##_16
#include "kernels/cpu/conv_pool_lanes.h"

#include "kernels/cpu/conv_pool_filters.h"
#endif

typedef struct code {
    int lanes;
    bool (*tame)(const float *x, int64_t n);
    void (*take_second)(const float *restrict from, int64_t count, float *restrict to);
    conv_pool_forward *forward;
    conv_pool_backward *backward;
    /* Where it is not NULL it is the whole gradient in the place of `backward`, and needs so many floats of memory. */
    void (*by_filters)(const glia_conv_pool *v, bool last, const glia_call *call);
    size_t (*by_filters_memory)(const glia_conv_pool *v);
} code;

static code best_code(void) {
#ifdef GLIA_CPU_AVX2
    if (glia__isa() >= GLIA_ISA_AVX512)
        return (code){.lanes = 16,
                      .tame = tame_16,
                      .take_second = take_second_16,
                      .forward = forward_16,
                      .by_filters = backward_by_filters,
                      .by_filters_memory = filters_memory};
    if (glia__isa() == GLIA_ISA_AVX2)
        return (code){.lanes = 8,
                      .tame = tame_8,
                      .take_second = take_second_8,
                      .forward = forward_8,
                      .backward = backward_8};
#endif
    return (code){.lanes = 4,
                  .tame = tame_4,
                  .take_second = take_second_4,
                  .forward = forward_4,
                  .backward = backward_4};
}

/* --- what a call is cut into ----------------------------------------------------------------------------- */

/* The workspace of both directions, in floats: one image with its columns apart; y (or dy) and winners of one image when
 * channels are last; sums of the gradient. */
typedef struct work {
    conv_pool_planes planes;
    conv_pool_image image;
    int64_t results; /* of one image */
    size_t at_y, at_winner, at_sums, sums, total;
    bool last;
} work;

static work plan_work(const glia_conv_pool *v, bool last) {
    const glia_conv *f = &v->conv;
    const glia_pool *p = &v->pool;
    work k = {.planes = {.filters = f->o,
                         .height = p->h.out,
                         .width = p->w.out,
                         .kernel_height = f->h.size,
                         .kernel_width = f->w.size},
              .image = {.channels = f->c, .rows = 2 * p->h.out + f->h.size - 1},
              .results = f->o * p->h.out * p->w.out,
              .last = last};
    k.image.pitch = (p->w.out + f->w.size / 2 + MOST_LANES - 1) / MOST_LANES * MOST_LANES;
    k.at_y = (size_t)(f->c * k.image.rows * 2 * k.image.pitch + 2 * MOST_LANES);
    k.at_winner = k.at_y + (last ? (size_t)k.results + MOST_LANES : 0);
    k.at_sums = k.at_winner + (last ? ((size_t)k.results + MOST_LANES + 63) / 64 * 16 : 0);
    k.at_sums = (k.at_sums + MOST_LANES - 1) / MOST_LANES * MOST_LANES;
    k.sums = (size_t)(f->o * (f->c * f->h.size * f->w.size + 1)) * MOST_LANES;
    k.total = k.at_sums + k.sums;
    return k;
}

/* Parts the columns of one image. What is padding stays zero from image to image. */
static void part_columns(const code *used, const glia_conv *f, const float *image, const conv_pool_image *to,
                         float *data) {
    const int64_t rows = GLIA_MIN(f->h.in, to->rows - f->h.pad);
    for (int64_t c = 0; c < f->c; c++)
        for (int64_t h = 0; h < rows; h++)
            for (int64_t odd = 0; odd < 2; odd++) {
                const int64_t w = (odd + f->w.pad) % 2,
                              at = (w + f->w.pad) / 2; /* the first of these columns */
                const float *from = image + c * f->x.c + h * f->x.h + w * f->x.w;
                float *row = data + ((c * to->rows + h + f->h.pad) * 2 + odd) * to->pitch + at;
                const int64_t count = GLIA_MIN((f->w.in - w + 1) / 2, to->pitch - at);
                if (f->x.w == 1)
                    used->take_second(from, count, row);
                else
                    for (int64_t i = 0; i < count; i++) row[i] = from[2 * i * f->x.w];
            }
}

/* --- both directions ------------------------------------------------------------------------------------- */

static bool supports(const glia_kernel_query *q, const glia_type *w, const char **why_not) {
    const glia__conv_pool_attrs *a = q->attrs;
    const int64_t *d = w->shape.dim;
    bool twos = true, ones = true;
    for (int i = 0; i < 2; i++) {
        twos &= a->pool_size[i] == 2 && (a->pool_strides[i] == 0 || a->pool_strides[i] == 2);
        ones &= a->conv.strides[i] == 1 && a->conv.dilation[i] == 1;
    }
    *why_not = "takes f32 only";
    if (q->in[0].dtype != GLIA_F32) return false;
    *why_not = "only a pool of 2×2 after a convolution without strides, dilation and groups";
    if (!twos || !ones || a->conv.groups != 1) return false;
    *why_not = "only up to 4 channels and kernels of 5×5";
    if (d[1] > CONV_POOL_MOST_CHANNELS || d[2] > 5 || d[3] > 5) return false;
    *why_not = "no elements";
    return glia_shape_elems(&q->in[0].shape) > 0 && glia_shape_elems(&q->out[0].shape) > 0;
}

static glia_status plan(const glia_kernel_query *q, const glia_type *w, glia_kernel_needs *needs,
                        glia_error *err) {
    const glia__conv_pool_attrs *a = q->attrs;
    glia_conv_pool v;
    glia_type y;
    GLIA_TRY(glia__conv_pool_fit(&v, &q->in[0], w, a, &y, err));
    size_t floats = plan_work(&v, a->conv.channels_last == GLIA_YES).total;
    const code used = best_code();
    if (used.by_filters_memory) floats = GLIA_MAX(floats, used.by_filters_memory(&v));
    needs->workspace_bytes = floats * sizeof(float);
    return GLIA_OK;
}

/* Fits the call again, which takes no time, since a worker's part of a split call has fewer rows. */
static glia_status fit_call(const glia_call *c, const glia_view *w, glia_conv_pool *v, work *k) {
    const glia__conv_pool_attrs *a = c->attrs;
    const glia_type tx = glia__view_type(&c->in[0]), tw = glia__view_type(w);
    glia_type y;
    GLIA_TRY(glia__conv_pool_fit(v, &tx, &tw, a, &y, c->err));
    *k = plan_work(v, a->conv.channels_last == GLIA_YES);
    k->image.data = c->workspace;
    return GLIA_OK;
}

/* --- forward --------------------------------------------------------------------------------------------- */

/* Whether no convolution of what is there can overflow, so that no NaN appears, which vectors compare otherwise than ref
 * does. */
static bool is_tame(const code *used, const glia_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].data && !used->tame(c->in[i].data, glia_shape_elems(&c->in[i].shape))) return false;
    return true;
}

/* [filters][places] → [places][filters]. */
static void interleave(const work *k, const float *y, const uint8_t *winner, float *y_out,
                       uint8_t *winner_out) {
    const int64_t filters = k->planes.filters, places = k->results / filters;
    for (int64_t i = 0; i < places; i++)
        for (int64_t o = 0; o < filters; o++) {
            y_out[i * filters + o] = y[o * places + i];
            winner_out[i * filters + o] = winner[o * places + i];
        }
}

static glia_status forward_run(void *state, const glia_call *c) {
    (void)state;
    const code used = best_code();
    glia_conv_pool v;
    work k;
    if (!is_tame(&used, c)) return glia__op_find("conv2d_relu_max_pool2d")->ref(c);
    GLIA_TRY(fit_call(c, &c->in[1], &v, &k));
    float *memory = c->workspace;
    memset(memory, 0, k.at_y * sizeof(float));
    const float *bias = c->n_in > 2 ? c->in[2].data : NULL;
    for (int64_t n = 0; n < v.conv.n; n++) {
        const int64_t first = n * k.results;
        float *to = (float *)c->out[0].data + first, *y = k.last ? memory + k.at_y : to;
        uint8_t *to_won = (uint8_t *)c->out[1].data + first;
        uint8_t *won = k.last ? (uint8_t *)(memory + k.at_winner) : to_won;
        k.planes.room = k.last ? k.results + MOST_LANES : v.conv.n * k.results - first;
        part_columns(&used, &v.conv, (const float *)c->in[0].data + n * v.conv.x.n, &k.image, memory);
        used.forward(&k.planes, &k.image, c->in[1].data, bias, y, won);
        if (k.last) interleave(&k, y, won, to, to_won);
    }
    return GLIA_OK;
}

static bool forward_supports(const glia_kernel_query *q, const char **why_not) {
    return supports(q, &q->in[1], why_not);
}

static glia_status forward_init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs,
                                glia_error *err) {
    (void)state;
    return plan(q, &q->in[1], needs, err);
}

GLIA_KERNEL(cpu_conv_pool) = {
    .name = "cpu_conv_pool",
    .op = "conv2d_relu_max_pool2d",
    /* The only one but ref. 128 images of 28×28, 32 filters of 3×3, one core: 0.43 ms with AVX-512 (115 GFLOP/s), 0.97 ms
     * with AVX2; channels last costs 0.5 ms more. */
    .priority = 60,
    .gflops = 115,
    .any_layout = true,
    .supports = forward_supports,
    .init = forward_init,
    .run = forward_run,
};

/* --- backward by weights --------------------------------------------------------------------------------- */

/* [places][filters] → [filters][places]. */
static void separate(const work *k, const float *dy_in, const uint8_t *winner_in, float *dy,
                     uint8_t *winner) {
    const int64_t filters = k->planes.filters, places = k->results / filters;
    for (int64_t i = 0; i < places; i++)
        for (int64_t o = 0; o < filters; o++) {
            dy[o * places + i] = dy_in[i * filters + o];
            winner[o * places + i] = winner_in[i * filters + o];
        }
}

static void add_lanes(const float *sums, int lanes, float *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float total = 0;
        for (int l = 0; l < lanes; l++) total += sums[i * lanes + l];
        out[i] = total;
    }
}

static glia_status backward_run(void *state, const glia_call *c) {
    (void)state;
    const code used = best_code();
    glia_conv_pool v;
    work k;
    GLIA_TRY(fit_call(c, &c->in[3], &v, &k));
    if (used.by_filters) {
        used.by_filters(&v, k.last, c);
        return GLIA_OK;
    }
    float *memory = c->workspace, *sums = memory + k.at_sums, *own_dy = memory + k.at_y;
    uint8_t *own_winner = (uint8_t *)(memory + k.at_winner);
    const int64_t weights = glia_shape_elems(&c->out[0].shape);
    memset(memory, 0, k.at_y * sizeof(float));
    memset(sums, 0, k.sums * sizeof(float));
    for (int64_t n = 0; n < v.conv.n; n++) {
        const int64_t first = n * k.results;
        const float *dy = (const float *)c->in[1].data + first;
        const uint8_t *winner = (const uint8_t *)c->in[2].data + first;
        k.planes.room = v.conv.n * k.results - first;
        if (k.last) {
            separate(&k, dy, winner, own_dy, own_winner);
            dy = own_dy, winner = own_winner, k.planes.room = k.results;
        }
        part_columns(&used, &v.conv, (const float *)c->in[0].data + n * v.conv.x.n, &k.image, memory);
        used.backward(&k.planes, &k.image, dy, winner, sums);
    }
    add_lanes(sums, used.lanes, c->out[0].data, weights);
    add_lanes(sums + weights * used.lanes, used.lanes, c->out[1].data, v.conv.o);
    return GLIA_OK;
}

static bool backward_supports(const glia_kernel_query *q, const char **why_not) {
    return supports(q, &q->in[3], why_not);
}

static glia_status backward_init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs,
                                 glia_error *err) {
    (void)state;
    return plan(q, &q->in[3], needs, err);
}

GLIA_KERNEL(cpu_conv_pool_backward) = {
    .name = "cpu_conv_pool_backward",
    .op = "conv2d_relu_max_pool2d_backward_weights",
    .gflops = 40,
    .priority = 60, /* the only one but ref; as above 0.33 ms with AVX-512, 0.85 ms with AVX2 */
    .any_layout = true,
    .supports = backward_supports,
    .init = backward_init,
    .run = backward_run,
};
