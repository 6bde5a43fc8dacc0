/* batch_norm.c: batch normalisation where the channels come last, as vectors of channels.
 *
 * Sums over rows are made in blocks of rows that depend on the shape alone, and the blocks are added in their order: the
 * result is the same for any number of threads. Means and squares of a block are those of short tiles, which stay in the
 * nearest cache, merged by the rule of Chan, Golub and LeVeque (1979): x is read once for both, and nothing cancels. */

#include <math.h>

#include "core/isa.h"
#include "core/threads.h"
#include "glia/ops.h"
#include "kernels/cpu/element.h"
#include "kernels/kernel.h"

enum {
    MOST_BLOCKS = 64,
    TILE = 16,  /* rows at once: 16 rows of 64 channels are 4 KiB */
    LANES = 64, /* channels at once */
};

typedef struct batch_norm_state {
    const glia_allocator *allocator;
    int threads;
    int64_t rows, channels;
    int blocks;
} batch_norm_state;

/* Per channel, in the workspace: what blocks found, then what every element needs. */
typedef struct pass {
    const batch_norm_state *s;
    const void *x, *dy; /* f32, or bf16 as the result */
    const float *mean, *bias;
    void *out;      /* y or dx */
    float *partial; /* [blocks][2][channels] */
    float *factor, *shift, *slope;
    bool relu, bf16;
} pass;

static bool supports(const glia_kernel_query *q, const char **why_not) {
    const glia_batch_norm_attrs *a = q->attrs;
    const glia_type *x = &q->in[0];
    *why_not = "takes f32 or bf16 with the channels in the last dimension only";
    return (x->dtype == GLIA_F32 || x->dtype == GLIA_BF16) &&
           (a->channels_last == GLIA_YES || x->shape.rank == 2);
}

static glia_status init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs, glia_error *err) {
    const glia_shape *shape = &q->in[0].shape;
    batch_norm_state *s = glia__alloc(q->allocator, sizeof *s);
    if (!s) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    *s = (batch_norm_state){.allocator = q->allocator, .threads = q->threads, .rows = 1};
    for (int d = 0; d < shape->rank - 1; d++) s->rows *= shape->dim[d];
    s->channels = shape->dim[shape->rank - 1];
    s->blocks = (int)GLIA_MIN(MOST_BLOCKS, (s->rows + TILE - 1) / TILE);
    needs->workspace_bytes = (size_t)s->channels *
                             ((size_t)s->blocks * 2 * sizeof(float) + 3 * sizeof(float) + 2 * sizeof(double));
    *state = s;
    return GLIA_OK;
}

static void fini(void *state) {
    batch_norm_state *s = state;
    glia__free(s->allocator, s, sizeof *s);
}

/* Workers worth waking: a fork and join takes as long as some 32 Ki elements. */
static int workers(const batch_norm_state *s) {
    return (int)GLIA_MIN(s->threads, 1 + s->rows * s->channels / (1 << 15));
}

static void block_rows(const batch_norm_state *s, int block, int64_t *begin, int64_t *end) {
    glia__part_range(s->rows, block, s->blocks, begin, end);
}

/* Doubles first, so that they are aligned. */
static pass make_pass(const batch_norm_state *s, const glia_call *c, double **sums) {
    *sums = c->workspace;
    float *floats = (float *)(*sums + 2 * s->channels);
    pass p = {.s = s, .x = c->in[0].data, .out = c->out[0].data};
    p.bf16 = c->in[0].dtype == GLIA_BF16;
    p.relu = ((const glia_batch_norm_attrs *)c->attrs)->activation != 0;
    p.factor = floats;
    p.shift = floats + s->channels;
    p.slope = floats + 2 * s->channels;
    p.partial = floats + 3 * s->channels;
    return p;
}

/* --- forward --------------------------------------------------------------------------------------------- */

/* Mean, and sum of squared distances from it, of `rows` rows from row `begin` on. */
GLIA_CPU_INLINE void moments_of(const void *restrict x, int64_t begin, int64_t rows, int64_t channels,
                                float *restrict mean, float *restrict squares, const bool bf16) {
    for (int64_t first = 0; first < rows; first += TILE) {
        const int64_t n = GLIA_MIN(TILE, rows - first);
        const float share = (float)n / (float)(first + n), weight = share * (float)first, part = 1 / (float)n;
        for (int64_t c = 0; c < channels; c += LANES) {
            const int64_t lanes = GLIA_MIN(LANES, channels - c), at = (begin + first) * channels + c;
            float m[LANES] = {0}, q[LANES] = {0};
            for (int64_t r = 0; r < n; r++)
                for (int64_t k = 0; k < lanes; k++) m[k] += glia__load(x, at + r * channels + k, bf16);
            for (int64_t k = 0; k < lanes; k++) m[k] *= part;
            for (int64_t r = 0; r < n; r++)
                for (int64_t k = 0; k < lanes; k++) {
                    const float d = glia__load(x, at + r * channels + k, bf16) - m[k];
                    q[k] += d * d;
                }
            for (int64_t k = 0; k < lanes; k++) {
                const float step = first ? m[k] - mean[c + k] : 0;
                mean[c + k] = first ? mean[c + k] + step * share : m[k];
                squares[c + k] = (first ? squares[c + k] : 0) + q[k] + step * step * weight;
            }
        }
    }
}

GLIA_CPU_CLONES(void, moments, (const pass *p, int64_t begin, int64_t end, float *mean, float *squares),
                (p, begin, end, mean, squares)) {
    if (p->bf16)
        moments_of(p->x, begin, end - begin, p->s->channels, mean, squares, true);
    else
        moments_of(p->x, begin, end - begin, p->s->channels, mean, squares, false);
}

static void moments_part(void *ctx, int part, int parts) {
    const pass *p = ctx;
    const batch_norm_state *s = p->s;
    for (int b = part; b < s->blocks; b += parts) {
        int64_t begin, end;
        block_rows(s, b, &begin, &end);
        float *found = p->partial + (int64_t)b * 2 * s->channels;
        moments(p, begin, end, found, found + s->channels);
    }
}

/* The moments of all rows, in double, to sums[0 … channels-1] and behind. */
static void merge_moments(const pass *p, double *sums) {
    const batch_norm_state *s = p->s;
    double *mean = sums, *squares = sums + s->channels;
    memset(sums, 0, 2 * (size_t)s->channels * sizeof *sums);
    for (int b = 0; b < s->blocks; b++) {
        int64_t begin, end;
        block_rows(s, b, &begin, &end);
        const float *found = p->partial + (int64_t)b * 2 * s->channels;
        const double share = (double)(end - begin) / (double)end, weight = share * (double)begin;
        for (int64_t c = 0; c < s->channels; c++) {
            const double step = (double)found[c] - mean[c];
            mean[c] += step * share;
            squares[c] += (double)found[s->channels + c] + step * step * weight;
        }
    }
}

GLIA_CPU_INLINE void normalize_of(const pass *p, int64_t begin, int64_t end, const bool relu,
                                  const bool bf16) {
    const int64_t channels = p->s->channels;
    const float *restrict mean = p->mean, *restrict factor = p->factor, *restrict bias = p->bias;
    const void *restrict x = p->x;
    void *restrict y = p->out;
    for (int64_t r = begin; r < end; r++)
        for (int64_t c = 0; c < channels; c++) {
            const float z = (glia__load(x, r * channels + c, bf16) - mean[c]) * factor[c] + bias[c];
            glia__store(y, r * channels + c, relu && z < 0 ? 0 : z, bf16);
        }
}

GLIA_CPU_CLONES(void, normalize, (const pass *p, int64_t begin, int64_t end), (p, begin, end)) {
    if (p->bf16)
        p->relu ? normalize_of(p, begin, end, true, true) : normalize_of(p, begin, end, false, true);
    else
        p->relu ? normalize_of(p, begin, end, true, false) : normalize_of(p, begin, end, false, false);
}

static void normalize_part(void *ctx, int part, int parts) {
    const pass *p = ctx;
    int64_t begin, end;
    glia__part_range(p->s->rows, part, parts, &begin, &end);
    normalize(p, begin, end);
}

static glia_status run(void *state, const glia_call *c) {
    const batch_norm_state *s = state;
    const glia_batch_norm_attrs *a = c->attrs;
    const float *scale = c->in[1].data, *old_mean = c->in[3].data, *old_var = c->in[4].data;
    float *new_mean = c->out[1].data, *new_var = c->out[2].data, *mean = c->out[3].data,
          *inverse = c->out[4].data;
    const bool measure = c->step->training && s->rows > 0;
    const double n = (double)s->rows, rest = 1 - a->momentum;
    double *sums;
    pass p = make_pass(s, c, &sums);
    p.mean = mean;
    p.bias = c->in[2].data;
    if (measure) {
        glia__parallel(GLIA_MIN(workers(s), s->blocks), moments_part, &p);
        merge_moments(&p, sums);
    }
    for (int64_t k = 0; k < s->channels; k++) {
        const double m = measure ? sums[k] : (double)old_mean[k],
                     squares = measure ? sums[s->channels + k] : 0;
        const double var = measure ? squares / n : (double)old_var[k];
        new_mean[k] = measure ? (float)(a->momentum * (double)old_mean[k] + rest * m) : old_mean[k];
        new_var[k] = measure
                         ? (float)(a->momentum * (double)old_var[k] + rest * squares / (n > 1 ? n - 1 : 1))
                         : old_var[k];
        mean[k] = (float)m;
        inverse[k] = (float)(1 / sqrt(var + a->epsilon));
        p.factor[k] = inverse[k] * scale[k];
    }
    glia__parallel(workers(s), normalize_part, &p);
    return GLIA_OK;
}

GLIA_KERNEL(cpu_batch_norm) = {.name = "cpu_batch_norm",
                               .op = "batch_norm",
                               .priority = 10, /* [128, 4, 4, 512] on one core: 0.5 ms, ref 82 */
                               .own_threads = true,
                               .supports = supports,
                               .init = init,
                               .run = run,
                               .fini = fini};

/* --- backward -------------------------------------------------------------------------------------------- */

/* Σ g and Σ g·(x − mean) of some rows, g being dy where relu let the result pass. */
GLIA_CPU_INLINE void products_of(const pass *p, int64_t begin, int64_t end, float *restrict sum,
                                 float *restrict product, const bool relu, const bool bf16) {
    const int64_t channels = p->s->channels;
    const void *restrict x = p->x, *restrict dy = p->dy;
    memset(sum, 0, (size_t)channels * sizeof *sum);
    memset(product, 0, (size_t)channels * sizeof *product);
    for (int64_t first = begin; first < end; first += TILE)
        for (int64_t c = 0; c < channels; c += LANES) {
            const int64_t lanes = GLIA_MIN(LANES, channels - c), last = GLIA_MIN(end, first + TILE);
            const float *restrict mean = p->mean + c, *restrict factor = p->factor + c,
                                  *restrict bias = p->bias + c;
            float g_sum[LANES] = {0}, g_product[LANES] = {0};
            for (int64_t r = first; r < last; r++)
                for (int64_t k = 0; k < lanes; k++) {
                    const int64_t at = r * channels + c + k;
                    const float d = glia__load(x, at, bf16) - mean[k], all = glia__load(dy, at, bf16);
                    const float g = !relu || d * factor[k] + bias[k] > 0 ? all : 0;
                    g_sum[k] += g;
                    g_product[k] += g * d;
                }
            for (int64_t k = 0; k < lanes; k++) sum[c + k] += g_sum[k], product[c + k] += g_product[k];
        }
}

GLIA_CPU_CLONES(void, products, (const pass *p, int64_t begin, int64_t end, float *sum, float *product),
                (p, begin, end, sum, product)) {
    if (p->bf16)
        p->relu ? products_of(p, begin, end, sum, product, true, true)
                : products_of(p, begin, end, sum, product, false, true);
    else
        p->relu ? products_of(p, begin, end, sum, product, true, false)
                : products_of(p, begin, end, sum, product, false, false);
}

static void products_part(void *ctx, int part, int parts) {
    const pass *p = ctx;
    const batch_norm_state *s = p->s;
    for (int b = part; b < s->blocks; b += parts) {
        int64_t begin, end;
        block_rows(s, b, &begin, &end);
        float *found = p->partial + (int64_t)b * 2 * s->channels;
        products(p, begin, end, found, found + s->channels);
    }
}

GLIA_CPU_INLINE void spread_of(const pass *p, int64_t begin, int64_t end, const bool relu, const bool bf16) {
    const int64_t channels = p->s->channels;
    const float *restrict mean = p->mean, *restrict factor = p->factor, *restrict bias = p->bias;
    const float *restrict shift = p->shift, *restrict slope = p->slope;
    const void *restrict x = p->x, *restrict dy = p->dy;
    void *restrict dx = p->out;
    for (int64_t r = begin; r < end; r++)
        for (int64_t c = 0; c < channels; c++) {
            const int64_t at = r * channels + c;
            const float d = glia__load(x, at, bf16) - mean[c], all = glia__load(dy, at, bf16);
            const float g = !relu || d * factor[c] + bias[c] > 0 ? all : 0;
            glia__store(dx, at, factor[c] * (g - shift[c] - d * slope[c]), bf16);
        }
}

GLIA_CPU_CLONES(void, spread, (const pass *p, int64_t begin, int64_t end), (p, begin, end)) {
    if (p->bf16)
        p->relu ? spread_of(p, begin, end, true, true) : spread_of(p, begin, end, false, true);
    else
        p->relu ? spread_of(p, begin, end, true, false) : spread_of(p, begin, end, false, false);
}

static void spread_part(void *ctx, int part, int parts) {
    const pass *p = ctx;
    int64_t begin, end;
    glia__part_range(p->s->rows, part, parts, &begin, &end);
    spread(p, begin, end);
}

static glia_status run_backward(void *state, const glia_call *c) {
    const batch_norm_state *s = state;
    const float *scale = c->in[2].data, *inverse = c->in[5].data;
    float *dscale = c->out[1].data, *dbias = c->out[2].data;
    const double part =
        c->step->training && s->rows > 0 ? 1 / (double)s->rows : 0; /* else μ and σ² are constants */
    double *sums;
    pass p = make_pass(s, c, &sums);
    p.dy = c->in[1].data;
    p.bias = c->in[3].data;
    p.mean = c->in[4].data;
    for (int64_t k = 0; k < s->channels; k++) p.factor[k] = inverse[k] * scale[k];
    glia__parallel(GLIA_MIN(workers(s), s->blocks), products_part, &p);
    memset(sums, 0, 2 * (size_t)s->channels * sizeof *sums);
    for (int b = 0; b < s->blocks; b++)
        for (int64_t k = 0; k < 2 * s->channels; k++) sums[k] += (double)p.partial[b * 2 * s->channels + k];
    for (int64_t k = 0; k < s->channels; k++) {
        const double product = sums[s->channels + k] * (double)inverse[k];
        dbias[k] = (float)sums[k];
        dscale[k] = (float)product;
        p.shift[k] = (float)(sums[k] * part);
        p.slope[k] = (float)(product * (double)inverse[k] * part);
    }
    glia__parallel(workers(s), spread_part, &p);
    return GLIA_OK;
}

GLIA_KERNEL(cpu_batch_norm_backward) = {.name = "cpu_batch_norm_backward",
                                        .op = "batch_norm_backward",
                                        .priority = 10, /* the same: 1.5 ms, ref 100 */
                                        .own_threads = true,
                                        .supports = supports,
                                        .init = init,
                                        .run = run_backward,
                                        .fini = fini};
