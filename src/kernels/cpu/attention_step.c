/* attention_step.c: attention of the next steps of a sequence, f32: the keys and values of the steps before are read once for
 * each step and head of queries. A thread takes some heads. */

#include <math.h>

#include "core/isa.h"
#include "core/threads.h"
#include "kernels/kernel.h"
#include "ops/attention_step.h"
#include "ops/mathf.h"

enum { LANES = 16 };

typedef struct step_job {
    glia_attention_step a;
    const float *q, *k, *v, *past_k, *past_v;
    float *y, *scores; /* scores: `score_floats` for each thread */
    int64_t score_floats;
} step_job;

GLIA_CPU_INLINE float dot(const float *restrict x, const float *restrict y, int64_t n) {
    float lanes[LANES] = {0}, sum = 0;
    int64_t at = 0;
    for (; at + LANES <= n; at += LANES)
        for (int lane = 0; lane < LANES; lane++) lanes[lane] += x[at + lane] * y[at + lane];
    for (; at < n; at++) sum += x[at] * y[at];
    for (int lane = 0; lane < LANES; lane++) sum += lanes[lane];
    return sum;
}

/* score[j] = q·k[j] for keys that lie `step` apart. */
GLIA_CPU_INLINE void score_keys(const float *q, const float *keys, int64_t step, int64_t count, int64_t size,
                                float scale, float *restrict score) {
    for (int64_t j = 0; j < count; j++) score[j] = scale * dot(q, keys + j * step, size);
}

/* y += Σ share[j]·v[j]. */
GLIA_CPU_INLINE void add_values(const float *restrict share, const float *restrict values, int64_t step,
                                int64_t count, int64_t size, float *restrict y) {
    for (int64_t j = 0; j < count; j++)
        for (int64_t d = 0; d < size; d++) y[d] += share[j] * values[j * step + d];
}

/* Row `row` of y: of example n, one step and head. */
GLIA_CPU_CLONES(void, attend_row, (const step_job *j, int64_t row, float *score), (j, row, score)) {
    const glia_attention_step *a = &j->a;
    const int64_t n = row / (a->steps * a->heads), own = row / a->heads % a->steps + 1, seen = a->past + own;
    const int64_t head = row % a->heads / a->group, at_k = head * a->size, at_v = head * a->v_size;
    const float *q = j->q + row * a->size, *new_k = j->k + n * a->steps * a->k_step + at_k;
    const float *past_k = j->past_k + n * a->most * a->k_step + at_k;
    const float *past_v = j->past_v + n * a->most * a->v_step + at_v;
    float *restrict y = j->y + row * a->v_size, most = -INFINITY, sum = 0;
    score_keys(q, past_k, a->k_step, a->past, a->size, (float)a->scale, score);
    score_keys(q, new_k, a->k_step, own, a->size, (float)a->scale, score + a->past);
    for (int64_t i = 0; i < seen; i++) most = score[i] > most ? score[i] : most;
    for (int64_t i = 0; i < seen; i++) score[i] = glia__expf(score[i] - most);
    for (int64_t i = 0; i < seen; i++) sum += score[i];
    for (int64_t i = 0; i < seen; i++) score[i] /= sum;
    for (int64_t d = 0; d < a->v_size; d++) y[d] = 0;
    add_values(score, past_v, a->v_step, a->past, a->v_size, y);
    add_values(score + a->past, j->v + n * a->steps * a->v_step + at_v, a->v_step, own, a->v_size, y);
}

static bool supports(const glia_kernel_query *q, const char **why_not) {
    *why_not = "takes f32 only";
    return q->in[GLIA_STEP_Q].dtype == GLIA_F32;
}

static int64_t score_floats(const glia_attention_step *a) {
    return (a->most + a->steps + LANES - 1) / LANES * LANES;
}

static glia_status init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs, glia_error *err) {
    const glia_attention_step a = glia__attention_step_of(q->in, q->attrs);
    (void)err;
    needs->workspace_bytes = (size_t)score_floats(&a) * sizeof(float) * (size_t)q->threads;
    *state = (void *)(intptr_t)q->threads;
    return GLIA_OK;
}

static void part(void *ctx, int part, int parts) {
    const step_job *j = ctx;
    int64_t begin, end;
    glia__part_range(j->a.n * j->a.steps * j->a.heads, part, parts, &begin, &end);
    for (int64_t row = begin; row < end; row++) attend_row(j, row, j->scores + part * j->score_floats);
}

static glia_status run(void *state, const glia_call *c) {
    enum { WORTH_A_THREAD = 1 << 16 }; /* products: about 3 µs */
    step_job j = {.q = c->in[GLIA_STEP_Q].data,
                  .k = c->in[GLIA_STEP_K].data,
                  .v = c->in[GLIA_STEP_V].data,
                  .past_k = c->in[GLIA_STEP_PAST_K].data,
                  .past_v = c->in[GLIA_STEP_PAST_V].data,
                  .y = c->out[0].data,
                  .scores = c->workspace};
    GLIA_TRY(glia__attention_step_of_call(c, &j.a));
    j.score_floats = score_floats(&j.a);
    const int64_t products = j.a.n * j.a.steps * j.a.heads * (j.a.past + j.a.steps) * (j.a.size + j.a.v_size);
    glia__parallel((int)GLIA_MIN(products / WORTH_A_THREAD + 1, (int64_t)(intptr_t)state), part, &j);
    return GLIA_OK;
}

GLIA_KERNEL(cpu_attention_step) = {
    .name = "cpu_attention_step",
    .op = "attention_step",
    .priority = 10,
    .own_threads = true,
    .supports = supports,
    .init = init,
    .run = run,
};
