/* layer_norm.c: layer_norm, rms_norm and their gradient, a row at a time as vectors: memory is read once, the second look
 * at a row finds it in the nearest cache.
 *
 * Sums along a row are kept in lanes. The gradient of scale and bias is a sum over rows: it is made in blocks of rows that
 * depend on the shape alone, and the blocks are added in their order, so that the result is the same for any number of
 * threads. */

#include <math.h>

#include "core/threads.h"
#include "glia/ops.h"
#include "kernels/cpu/element.h"
#include "kernels/kernel.h"

enum {
    LANES = 32,
    MOST_BLOCKS = 64,
    BLOCK_ROWS = 16,         /* at least so many rows a block */
    MOST_PARTIALS = 1 << 20, /* floats in all blocks */
};

/* Σ expression of k, for k in [0, n). */
#define ROW_SUM(result, n, expr)                                            \
    do {                                                                    \
        float lanes_[LANES] = {0}, rest_ = 0;                               \
        int64_t at_ = 0;                                                    \
        for (; at_ + LANES <= (n); at_ += LANES)                            \
            for (int lane_ = 0; lane_ < LANES; lane_++) {                   \
                const int64_t k = at_ + lane_;                              \
                lanes_[lane_] += (expr);                                    \
            }                                                               \
        for (int64_t k = at_; k < (n); k++) rest_ += (expr);                \
        for (int lane_ = 0; lane_ < LANES; lane_++) rest_ += lanes_[lane_]; \
        result = rest_;                                                     \
    } while (0)

/* What a call is about. `mean` NULL: rms_norm. */
typedef struct pass {
    const void *x, *dy;
    const float *scale, *bias;
    float *mean, *inverse;
    void *out; /* y or dx */
    float epsilon;
    int64_t rows, n;
    bool bf16;
    int blocks;
    float *partial; /* [blocks][2][n]: dscale and dbias */
} pass;

static bool supports(const glia_kernel_query *q, const char **why_not) {
    *why_not = "takes f32 or bf16 only";
    return q->in[0].dtype == GLIA_F32 || q->in[0].dtype == GLIA_BF16;
}

/* Rows, one for each of the statistics, and their length. */
static void measure(const glia_shape *x, const glia_shape *statistics, int64_t *rows, int64_t *n) {
    *rows = glia_shape_elems(statistics);
    *n = *rows > 0 ? glia_shape_elems(x) / *rows : 0;
}

/* --- forward ---------------------------------------------------------------------------------------------- */

GLIA_CPU_INLINE void normalize_of(const pass *p, const bool centred, const bool bf16) {
    const float share = p->n > 0 ? 1 / (float)p->n : 0;
    const float *restrict scale = p->scale, *restrict bias = p->bias;
    for (int64_t i = 0; i < p->rows; i++) {
        const int64_t at = i * p->n, n = p->n;
        const void *restrict x = p->x;
        void *restrict y = p->out;
        float sum = 0, rest = 0, squares;
        if (centred) ROW_SUM(sum, n, glia__load(x, at + k, bf16));
        const float mean = sum * share;
#define D (glia__load(x, at + k, bf16) - mean)
        if (centred) ROW_SUM(rest, n, D); /* what rounding the mean left: equal numbers must give 0 */
        ROW_SUM(squares, n, D * D);
        const float left = rest * share, r = 1 / sqrtf(squares * share - left * left + p->epsilon);
        if (centred) p->mean[i] = mean + left;
        p->inverse[i] = r;
        if (scale && bias)
            for (int64_t k = 0; k < n; k++) glia__store(y, at + k, (D - left) * r * scale[k] + bias[k], bf16);
        else if (scale)
            for (int64_t k = 0; k < n; k++) glia__store(y, at + k, (D - left) * r * scale[k], bf16);
        else
            for (int64_t k = 0; k < n; k++) glia__store(y, at + k, (D - left) * r, bf16);
#undef D
    }
}

GLIA_CPU_CLONES(void, normalize, (const pass *p), (p)) {
    if (p->bf16)
        p->mean ? normalize_of(p, true, true) : normalize_of(p, false, true);
    else
        p->mean ? normalize_of(p, true, false) : normalize_of(p, false, false);
}

static glia_status run(void *state, const glia_call *c) {
    const glia_view *inverse = &c->out[c->n_out - 1];
    (void)state;
    pass p = {.x = c->in[0].data,
              .scale = c->n_in > 1 ? c->in[1].data : NULL,
              .bias = c->n_in > 2 ? c->in[2].data : NULL,
              .mean = c->n_out == 3 ? c->out[1].data : NULL,
              .inverse = inverse->data,
              .out = c->out[0].data,
              .epsilon = (float)((const glia_layer_norm_attrs *)c->attrs)->epsilon,
              .bf16 = c->in[0].dtype == GLIA_BF16};
    measure(&c->in[0].shape, &inverse->shape, &p.rows, &p.n);
    normalize(&p);
    return GLIA_OK;
}

/* Beside the priorities: [512, 768] with scale and bias, one core with AVX-512, as bench_kernels prints it. */
GLIA_KERNEL(cpu_layer_norm) = {.name = "cpu_layer_norm",
                               .op = "layer_norm",
                               .priority = 10, /* 138 µs, ref 742 */
                               .supports = supports,
                               .run = run};

GLIA_KERNEL(cpu_rms_norm) = {
    .name = "cpu_rms_norm", .op = "rms_norm", .priority = 10, .supports = supports, .run = run};

/* --- backward --------------------------------------------------------------------------------------------- */

enum { X, DY, INVERSE, MEAN, SCALE }; /* inputs, as in src/ops/layer_norm.c */

typedef struct backward_state {
    const glia_allocator *allocator;
    int threads, blocks;
    int64_t rows, n;
} backward_state;

static glia_status init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs, glia_error *err) {
    backward_state *s = glia__alloc(q->allocator, sizeof *s);
    if (!s) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    *s = (backward_state){.allocator = q->allocator, .threads = q->threads};
    measure(&q->in[X].shape, &q->in[INVERSE].shape, &s->rows, &s->n);
    if (!s->rows) s->n = glia_shape_elems(&q->out[1].shape); /* gradients of nothing are zeros */
    const int64_t fit = MOST_PARTIALS / GLIA_MAX(2 * s->n, (int64_t)1), wanted = s->rows / BLOCK_ROWS;
    s->blocks = (int)GLIA_MAX(GLIA_MIN(GLIA_MIN(fit, wanted), (int64_t)MOST_BLOCKS), (int64_t)1);
    needs->workspace_bytes = (size_t)s->blocks * 2 * (size_t)s->n * sizeof(float);
    *state = s;
    return GLIA_OK;
}

static void fini(void *state) {
    backward_state *s = state;
    glia__free(s->allocator, s, sizeof *s);
}

/* Rows begin … end − 1: dx, and their part of dscale and dbias. */
GLIA_CPU_INLINE void differentiate_of(const pass *p, int64_t begin, int64_t end, float *restrict dscale,
                                      float *restrict dbias, const bool scaled, const bool bf16) {
    const int64_t n = p->n;
    const float share = n > 0 ? 1 / (float)n : 0;
    const float *restrict scale = p->scale;
    const void *restrict x = p->x, *restrict dy = p->dy;
    void *restrict dx = p->out;
    for (int64_t i = begin; i < end; i++) {
        const int64_t at = i * n;
        const float r = p->inverse[i], mean = p->mean ? p->mean[i] : 0;
        float sum, product;
#define G (glia__load(dy, at + k, bf16) * (scaled ? scale[k] : 1))
#define D (glia__load(x, at + k, bf16) - mean)
        ROW_SUM(sum, n, G);
        ROW_SUM(product, n, G * D);
        const float shift = p->mean ? sum * share : 0, slope = product * r * r * share;
        if (scaled)
            for (int64_t k = 0; k < n; k++) {
                const float d = D, all = glia__load(dy, at + k, bf16);
                dscale[k] += all * d * r;
                dbias[k] += all;
                glia__store(dx, at + k, r * (all * scale[k] - shift - d * slope), bf16);
            }
        else
            for (int64_t k = 0; k < n; k++) glia__store(dx, at + k, r * (G - shift - D * slope), bf16);
#undef G
#undef D
    }
}

GLIA_CPU_CLONES(void, differentiate, (const pass *p, int64_t begin, int64_t end, float *dscale, float *dbias),
                (p, begin, end, dscale, dbias)) {
    if (p->bf16)
        p->scale ? differentiate_of(p, begin, end, dscale, dbias, true, true)
                 : differentiate_of(p, begin, end, dscale, dbias, false, true);
    else
        p->scale ? differentiate_of(p, begin, end, dscale, dbias, true, false)
                 : differentiate_of(p, begin, end, dscale, dbias, false, false);
}

static void blocks_part(void *ctx, int part, int parts) {
    const pass *p = ctx;
    for (int b = part; b < p->blocks; b += parts) {
        int64_t begin, end;
        float *sums = p->partial + (int64_t)b * 2 * p->n;
        glia__part_range(p->rows, b, p->blocks, &begin, &end);
        if (p->scale) memset(sums, 0, 2 * (size_t)p->n * sizeof *sums);
        differentiate(p, begin, end, sums, sums + p->n);
    }
}

/* Workers worth waking: a fork and join takes as long as some 32 Ki elements. */
static int workers(const backward_state *s) {
    return (int)GLIA_MIN(GLIA_MIN(s->threads, s->blocks), 1 + s->rows * s->n / (1 << 15));
}

static glia_status run_backward(void *state, const glia_call *c) {
    const backward_state *s = state;
    pass p = {.x = c->in[X].data,
              .dy = c->in[DY].data,
              .inverse = c->in[INVERSE].data,
              .mean = c->n_in > MEAN ? c->in[MEAN].data : NULL,
              .scale = c->n_in > SCALE ? c->in[SCALE].data : NULL,
              .out = c->out[0].data,
              .rows = s->rows,
              .n = s->n,
              .bf16 = c->in[X].dtype == GLIA_BF16,
              .blocks = s->blocks,
              .partial = c->workspace};
    glia__parallel(workers(s), blocks_part, &p);
    float *dscale = c->out[1].data, *dbias = c->out[2].data;
    for (int64_t k = 0; k < s->n && p.scale; k++) {
        double scale_sum = 0, bias_sum = 0;
        for (int b = 0; b < s->blocks; b++) {
            scale_sum += (double)p.partial[(int64_t)b * 2 * s->n + k];
            bias_sum += (double)p.partial[((int64_t)b * 2 + 1) * s->n + k];
        }
        dscale[k] = (float)scale_sum;
        dbias[k] = (float)bias_sum;
    }
    return GLIA_OK;
}

GLIA_KERNEL(cpu_layer_norm_backward) = {.name = "cpu_layer_norm_backward",
                                        .op = "layer_norm_backward",
                                        .priority = 10, /* 200 µs, ref 1200 */
                                        .own_threads = true,
                                        .supports = supports,
                                        .init = init,
                                        .run = run_backward,
                                        .fini = fini};
