/* few_rows.c: dense layers of few examples, or of one step of a text. Reading the weights is what takes time: they are read
 * once, where they lie or, beside bf16, packed as bf16, and threads share the outputs. */

#include "core/bf16.h"
#include "core/threads.h"
#include "glia/ops.h"
#include "kernels/cpu/element.h"
#include "kernels/kernel.h"
#include "ops/riders.h"

enum { ROW_TILE = 4, OUT_TILE = 4, AHEAD = 4 }; /* sums in registers */

/* y[rows][outs] = x[rows][width]·w[outs][width]ᵀ + bias + residual. */
typedef struct few_rows_job {
    const float *x, *bias;
    const void *w, *residual; /* w: bf16 where `halved`; residual: as y; NULL: none, as bias */
    void *y;
    int64_t rows, outs, width;
    bool halved, bf16, relu; /* bf16: y */
} few_rows_job;

GLIA_CPU_INLINE void finish(const few_rows_job *j, int64_t row, int64_t o, float sum) {
    const int64_t at = row * j->outs + o;
    if (j->bias) sum += j->bias[o];
    if (j->residual) sum += glia__load(j->residual, at, j->bf16);
    glia__store(j->y, at, j->relu && sum < 0 ? 0 : sum, j->bf16);
}

#define LOOPS "kernels/cpu/few_rows_loops.h"
#include "kernels/cpu/each_isa.h"

GLIA_CPU_DISPATCH(void, multiply, (const few_rows_job *j, int64_t begin, int64_t end), (j, begin, end))

typedef struct few_rows_state {
    const glia_allocator *allocator;
    int threads;
    bool packs; /* weights to bf16 */
} few_rows_state;

static bool is_bf16(const glia_type *type) {
    return type->dtype == GLIA_BF16;
}

static bool supports(const glia_kernel_query *q, const char **why_not) {
    enum { FEW = 4, FEW_OF_LONG = 8, LONG = 256 };
    const glia_type *x = &q->in[0], *w = &q->in[1];
    *why_not = "takes f32, or bf16 beside weights of f32";
    if ((x->dtype != GLIA_F32 && x->dtype != GLIA_BF16) || w->dtype != GLIA_F32) return false;
    *why_not = "an array has no elements";
    if (glia_shape_elems(&x->shape) < 1 || glia_shape_elems(&w->shape) < 1) return false;
    *why_not = "more than 4 rows, or 8 of at least 256 features";
    return glia__rows_of(&q->out[0].shape) <= (w->shape.dim[1] < LONG ? FEW : FEW_OF_LONG);
}

static glia_status init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs, glia_error *err) {
    few_rows_state *s = glia__alloc(q->allocator, sizeof *s);
    if (!s) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    const bool bf16 = is_bf16(&q->in[0]);
    *s = (few_rows_state){q->allocator, q->threads, bf16 && (q->params >> 1 & 1) && !q->training};
    if (s->packs) needs->packed_bytes = (size_t)glia_shape_elems(&q->in[1].shape) * sizeof(uint16_t);
    if (bf16) needs->workspace_bytes = (size_t)glia_shape_elems(&q->in[0].shape) * sizeof(float);
    *state = s;
    return GLIA_OK;
}

static void fini(void *state) {
    few_rows_state *s = state;
    glia__free(s->allocator, s, sizeof *s);
}

GLIA_CPU_CLONES(void, halve, (const float *restrict x, uint16_t *restrict y, int64_t n), (x, y, n)) {
    for (int64_t i = 0; i < n; i++) y[i] = glia__bf16_round(x[i]);
}

static glia_status pack(void *state, const glia_call *c) {
    if (((const few_rows_state *)state)->packs)
        halve(c->in[1].data, c->packed, glia_shape_elems(&c->in[1].shape));
    return GLIA_OK;
}

static void part(void *ctx, int part, int parts) {
    const few_rows_job *j = ctx;
    int64_t begin, end;
    glia__part_range((j->outs + OUT_TILE - 1) / OUT_TILE, part, parts, &begin, &end);
    multiply(j, begin * OUT_TILE, GLIA_MIN(end * OUT_TILE, j->outs));
}

static glia_status run(void *state, const glia_call *c) {
    enum { WORTH_A_THREAD = 1 << 15 }; /* weights: about 3 µs */
    const few_rows_state *s = state;
    const bool bf16 = c->in[0].dtype == GLIA_BF16;
    few_rows_job j = {.x = bf16 ? c->workspace : c->in[0].data,
                      .w = s->packs ? c->packed : c->in[1].data,
                      .bias = c->n_in > 2 ? c->in[2].data : NULL,
                      .residual = c->n_in > GLIA_RESIDUAL ? c->in[GLIA_RESIDUAL].data : NULL,
                      .y = c->out[0].data,
                      .rows = glia__rows_of(&c->out[0].shape),
                      .outs = c->in[1].shape.dim[0],
                      .width = c->in[1].shape.dim[1],
                      .halved = s->packs,
                      .bf16 = bf16,
                      .relu = ((const glia_linear_attrs *)c->attrs)->activation == GLIA_FUSED_RELU};
    for (int64_t i = 0; i < j.rows * j.width && bf16; i++)
        ((float *)c->workspace)[i] = glia__bf16_widen(((const uint16_t *)c->in[0].data)[i]);
    const int64_t parts = j.outs * j.width / WORTH_A_THREAD + 1;
    glia__parallel((int)GLIA_MIN(parts, (int64_t)s->threads), part, &j);
    return GLIA_OK;
}

GLIA_KERNEL(cpu_linear_few_rows) = {
    .name = "cpu_linear_few_rows",
    .op = "linear",
    .priority =
        61, /* 1×784 · 512: 15, oneDNN 61; 8×784 · 512: 57 and 86; 8×128 · 128: 3.9 and 3.4; 1×25088 · 4096: 24200 and 26000 */
    .own_threads = true,
    .supports = supports,
    .init = init,
    .pack = pack,
    .run = run,
    .fini = fini,
};
