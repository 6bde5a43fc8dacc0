/* attention.c: attention and its gradient, block by block (Dao et al., arXiv:2205.14135): 64 queries meet 64 keys, and the
 * products, their exponentials and what becomes of them stay in the nearest caches. Blocks are f32, whatever the arrays are.
 *
 * A thread takes a block of queries of one head, backward a head of keys; each is computed in one order, so that the result
 * is the same for any number of threads. */

#include <math.h>

#include "core/threads.h"
#include "kernels/cpu/element.h"
#include "kernels/cpu/vectors.h"
#include "kernels/kernel.h"
#include "ops/attention.h"
#include "ops/mathf.h"

/* Rows of a block, as many as dropout draws at once; columns are a multiple of the widest vector. */
enum { BLOCK = GLIA_RANDOM_TILE, PAD = 16 };

/* c[rows][columns] (+)= a·b, a[r][k] at a[r·a_row + k·a_step]; rows a multiple of 8. */
typedef struct product {
    const float *a, *b;
    float *c;
    int64_t a_row, a_step, b_row, c_row, rows, inner, columns;
    bool add;
} product;

typedef struct attention_job {
    glia_attention a;
    glia_attention_dropout drop;
    glia_view mask, lengths; /* data NULL: none */
    const void *q, *k, *v, *y, *dy;
    float *lse;
    void *out[3];
    bool bf16;
    int64_t group, q_blocks, jobs;
    float *scratch;
    int64_t scratch_floats; /* of a thread */
} attention_job;

/* Blocks of one thread. q and k are `q_width` wide, v and y `v_width`. */
typedef struct attention_blocks {
    int64_t q_width, v_width;
    float *q, *k_turned, *v, *scores, *y, *most, *total;
    float *k, *v_turned, *dy, *slopes, *dk, *dv, *dq; /* backward */
} attention_blocks;

/* A block of queries and one of keys. */
typedef struct place {
    int64_t n, head, query, queries, key, keys;
} place;

/* Rows of an array that make a block. */
typedef struct block_rows {
    void *data;
    int64_t at, step, size, count;
    bool bf16;
} block_rows;

static inline block_rows rows_at(const attention_job *j, const glia_attention_rows *rows, const void *data,
                                 int64_t n, int64_t head, int64_t first, int64_t count) {
    return (block_rows){(void *)data, glia__attention_at(rows, n, first, head), rows->step, rows->size, count,
                        j->bf16};
}

static inline place place_of(const attention_job *j, int64_t job) {
    const int64_t block = job % j->q_blocks, head = job / j->q_blocks;
    return (place){.n = head / j->a.heads,
                   .head = head % j->a.heads,
                   .query = block * BLOCK,
                   .queries = GLIA_MIN(j->a.queries - block * BLOCK, (int64_t)BLOCK)};
}

static inline int64_t seen_keys(const attention_job *j, const place *at, int64_t query) {
    const int64_t length = glia__attention_length(&j->lengths, at->n, j->a.keys);
    return j->a.causal ? GLIA_MIN(length, query + 1) : length;
}

static inline int64_t padded(int64_t size) {
    return (size + PAD - 1) / PAD * PAD;
}

/* Floats from *used on. */
static float *take(float *scratch, int64_t *used, int64_t floats) {
    const int64_t at = *used;
    *used += padded(floats);
    return scratch ? scratch + at : NULL;
}

/* What a thread needs, and how many floats that is. */
static attention_blocks lay_out(const attention_job *j, float *scratch, int64_t *used, bool backward) {
    attention_blocks b = {.q_width = padded(j->a.q.size), .v_width = padded(j->a.v.size)};
    const int64_t rows = BLOCK;
    b.q = take(scratch, used, rows * b.q_width);
    b.k_turned = take(scratch, used, rows * b.q_width);
    b.scores = take(scratch, used, rows * BLOCK);
    b.most = take(scratch, used, BLOCK);
    b.total = take(scratch, used, BLOCK);
    if (!backward) {
        b.v = take(scratch, used, rows * b.v_width);
        b.y = take(scratch, used, rows * b.v_width);
        return b;
    }
    b.k = take(scratch, used, rows * b.q_width);
    b.v_turned = take(scratch, used, rows * b.v_width);
    b.dy = take(scratch, used, rows * b.v_width);
    b.slopes = take(scratch, used, rows * GLIA_MAX(b.v_width, (int64_t)BLOCK));
    b.dk = take(scratch, used, rows * b.q_width);
    b.dv = take(scratch, used, rows * b.v_width);
    b.dq = take(scratch, used, j->group * j->q_blocks * BLOCK * b.q_width);
    return b;
}

static inline attention_blocks blocks_of(const attention_job *j, float *scratch) {
    int64_t used = 0;
    return lay_out(j, scratch, &used, j->dy != NULL);
}

static void add_mask(const attention_job *j, const place *at, int64_t query, float *row) {
    const int64_t *step = j->a.mask_step;
    const int64_t from =
        at->n * step[0] + at->head * step[1] + (at->query + query) * step[2] + at->key * step[3];
    if (j->mask.dtype == GLIA_BOOL) {
        const uint8_t *seen = (const uint8_t *)j->mask.data + from;
        for (int64_t k = 0; k < at->keys; k++)
            if (!seen[k * step[3]]) row[k] = -INFINITY;
    } else {
        const float *number = (const float *)j->mask.data + from;
        for (int64_t k = 0; k < at->keys; k++) row[k] += number[k * step[3]];
    }
}

#define LOOPS "kernels/cpu/attention_tiles.h"
#include "kernels/cpu/each_isa.h"

GLIA_CPU_DISPATCH(void, attend, (const attention_job *j, int64_t job, float *scratch), (j, job, scratch))
GLIA_CPU_DISPATCH(void, differentiate, (const attention_job *j, int64_t job, float *scratch),
                  (j, job, scratch))

/* --- the kernels ------------------------------------------------------------------------------------------------- */

static bool supports(const glia_kernel_query *q, const char **why_not) {
    *why_not = "takes f32 or bf16 only";
    return q->in[GLIA_ATT_Q].dtype == GLIA_F32 || q->in[GLIA_ATT_Q].dtype == GLIA_BF16;
}

static bool backward_supports(const glia_kernel_query *q, const char **why_not) {
    if (!supports(q, why_not)) return false;
    *why_not = "the gradient of a mask";
    return ((const glia_attention_backward_attrs *)q->attrs)->mask_gradient != GLIA_YES;
}

typedef struct attention_state {
    const glia_allocator *allocator;
    int threads;
    int64_t scratch_floats;
} attention_state;

static void set_counts(attention_job *j, bool backward) {
    j->group = j->a.heads / j->a.kv_heads;
    j->q_blocks = (j->a.queries + BLOCK - 1) / BLOCK;
    j->jobs = backward ? j->a.n * j->a.kv_heads : j->a.n * j->a.heads * j->q_blocks;
}

static glia_status new_state(const glia_kernel_query *q, bool backward, void **state,
                             glia_kernel_needs *needs, glia_error *err) {
    attention_state *s = glia__alloc(q->allocator, sizeof *s);
    if (!s) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    attention_job j = {.a =
                           glia__attention_of(q->in, GLIA_MIN(q->n_in, (int)GLIA_ATT_LENGTHS + 1), q->attrs)};
    *s = (attention_state){q->allocator, GLIA_MAX(q->threads, 1), 0};
    set_counts(&j, backward);
    (void)lay_out(&j, NULL, &s->scratch_floats, backward);
    needs->workspace_bytes = (size_t)s->scratch_floats * sizeof(float) * (size_t)s->threads;
    *state = s;
    return GLIA_OK;
}

static glia_status init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs, glia_error *err) {
    return new_state(q, false, state, needs, err);
}

static glia_status backward_init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs,
                                 glia_error *err) {
    return new_state(q, true, state, needs, err);
}

static void fini(void *state) {
    attention_state *s = state;
    glia__free(s->allocator, s, sizeof *s);
}

static void part(void *ctx, int part, int parts) {
    const attention_job *j = ctx;
    float *scratch = j->scratch + part * j->scratch_floats;
    for (int64_t job = part; job < j->jobs; job += parts)
        j->dy ? differentiate(j, job, scratch) : attend(j, job, scratch);
}

static attention_job job_of(const attention_state *s, const glia_call *c) {
    const glia_view *mask = glia__attention_input(c, GLIA_ATT_MASK),
                    *lengths = glia__attention_input(c, GLIA_ATT_LENGTHS);
    attention_job j = {.a = glia__attention_of_call(c),
                       .drop = glia__attention_dropout_of(c),
                       .bf16 = c->in[GLIA_ATT_Q].dtype == GLIA_BF16,
                       .scratch = c->workspace,
                       .scratch_floats = s->scratch_floats};
    j.q = c->in[GLIA_ATT_Q].data;
    j.k = j.a.packed ? j.q : c->in[GLIA_ATT_K].data;
    j.v = j.a.packed ? j.q : c->in[GLIA_ATT_V].data;
    if (mask) j.mask = *mask;
    if (lengths) j.lengths = *lengths;
    return j;
}

/* Threads worth waking: a fork and join takes as long as some 300,000 products. */
static int workers(const attention_state *s, const attention_job *j) {
    const double products =
        (double)(j->a.n * j->a.heads * j->a.queries) * (double)(j->a.keys * (j->a.q.size + j->a.v.size));
    const double worth = 1 + products / 300e3;
    return (int)GLIA_MIN(GLIA_MIN((int64_t)s->threads, j->jobs), worth < 64 ? (int64_t)worth : 64);
}

static glia_status run(void *state, const glia_call *c) {
    const attention_state *s = state;
    attention_job j = job_of(s, c);
    GLIA_TRY(glia__attention_check(c, &j.a));
    set_counts(&j, false);
    j.out[0] = c->out[0].data;
    j.lse = c->out[1].data;
    glia__parallel(workers(s, &j), part, &j);
    return GLIA_OK;
}

/* Beside the priorities: 4 examples of 64 steps, 12 heads of 64, causal and packed, µs on one core with AVX-512, as
 * bench_kernels prints them. */
GLIA_KERNEL(cpu_attention) = {.name = "cpu_attention",
                              .op = "attention",
                              .priority = 10, /* 725, ref 7259; 2 threads 333, PyTorch 2.13 398 */
                              .own_threads = true,
                              .gflops = 90,
                              .supports = supports,
                              .init = init,
                              .run = run,
                              .fini = fini};

static glia_status run_backward(void *state, const glia_call *c) {
    const attention_state *s = state;
    attention_job j = job_of(s, c);
    GLIA_TRY(glia__attention_check(c, &j.a));
    set_counts(&j, true);
    j.y = c->in[GLIA_ATT_Y].data;
    j.dy = c->in[GLIA_ATT_DY].data;
    j.lse = c->in[GLIA_ATT_LSE].data;
    for (int o = 0; o < 3; o++) j.out[o] = c->out[o].data;
    glia__parallel(workers(s, &j), part, &j);
    return GLIA_OK;
}

GLIA_KERNEL(cpu_attention_backward) = {.name = "cpu_attention_backward",
                                       .op = "attention_backward",
                                       .priority = 10, /* 1420; 2 threads 718, PyTorch 2.13 1080 */
                                       .own_threads = true,
                                       .gflops = 90,
                                       .supports = backward_supports,
                                       .init = backward_init,
                                       .run = run_backward,
                                       .fini = fini};
