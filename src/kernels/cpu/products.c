/* products.c: own matrix products of f32. They win where one dimension is small, so that memory bounds them and what a
 * library does first (copying operands to its layout) costs more than the product: the last layer of a classifier and its
 * gradients. The same loops serve every other size in builds without oneDNN. few_rows.c has layers of few examples.
 *
 * Figures beside the priorities: µs a call on one core with AVX-512 (Xeon, Sapphire Rapids), against oneDNN 2.6, as
 * bench_kernels prints them. */
#include "core/isa.h"
#include "glia/ops.h"
#include "kernels/cpu/vectors.h"
#include "kernels/kernel.h"
#include "ops/riders.h"

enum {
    MOST_TILE = 5,  /* sums of a tile in one direction */
    MOST_OUTS = 16, /* of `dots`, whose sums lie on the stack */
    MOST_ROWS = 16,
    BLOCK = 704 /* floats of a row: ten of them stay in the first cache */
};

/* y[rows][outs], in rows of `units`; x[rows][width], w[outs][width]; bias may be NULL. */
typedef struct dot_job {
    const float *x, *w, *bias;
    float *y;
    int64_t rows, outs, width, units, block; /* block: part of a row to be used by all before the next */
    bool relu;
} dot_job;

/* c[rows][columns] (+)= a·b[inner][columns], a[row][p] at a[row·a_row + p·a_step]. */
typedef struct axpy_job {
    const float *a, *b;
    float *c;
    int64_t rows, inner, columns, a_row, a_step, block;
    bool add;
} axpy_job;

/* Tiles of at most MOST_TILE, all but the last of one size: 16 = 4 + 4 + 4 + 4. */
static inline int even_tile(int64_t count) {
    const int64_t tiles = (count + MOST_TILE - 1) / MOST_TILE;
    return (int)((count + tiles - 1) / tiles);
}

#define LOOPS "kernels/cpu/product_tiles.h"
#include "kernels/cpu/each_isa.h"

GLIA_CPU_DISPATCH(void, dots, (const dot_job *j), (j))
GLIA_CPU_DISPATCH(void, axpys, (const axpy_job *j), (j))

/* --- what all decline ------------------------------------------------------------------------------------- */

static bool takes(const glia_kernel_query *q, const char **why_not) {
    for (int i = 0; i < q->n_in + q->n_out; i++) {
        const glia_type *type = i < q->n_in ? &q->in[i] : &q->out[i - q->n_in];
        if (type->shape.rank < 0) continue;
        *why_not = "only f32";
        if (type->dtype != GLIA_F32) return false;
        *why_not = "an array has no elements";
        if (glia_shape_elems(&type->shape) < 1) return false;
    }
    *why_not = "a residual";
    return !glia__has_residual(q->in, q->n_in);
}

/* --- linear ----------------------------------------------------------------------------------------------- */

static dot_job linear_job(const glia_call *c) {
    return (dot_job){.x = c->in[0].data,
                     .w = c->in[1].data,
                     .bias = c->n_in > 2 ? c->in[2].data : NULL,
                     .y = c->out[0].data,
                     .rows = glia__rows_of(&c->out[0].shape),
                     .outs = c->in[1].shape.dim[0],
                     .units = c->in[1].shape.dim[0],
                     .width = c->in[1].shape.dim[1],
                     .block = BLOCK,
                     .relu = ((const glia_linear_attrs *)c->attrs)->activation == GLIA_FUSED_RELU};
}

/* From row `row` and output `o` on. */
static dot_job part_of(const dot_job *whole, int64_t row, int64_t o) {
    dot_job job = *whole;
    job.x += row * job.width;
    job.w += o * job.width;
    job.y += row * job.units + o;
    if (job.bias) job.bias += o;
    return job;
}

static glia_status linear_run(void *state, const glia_call *c) {
    enum { OUTS = MOST_OUTS / MOST_TILE * MOST_TILE }; /* whole tiles */
    (void)state;
    const dot_job whole = linear_job(c);
    const int64_t outs = whole.outs <= MOST_OUTS ? whole.outs : OUTS;
    for (int64_t row = 0; row < whole.rows; row += MOST_ROWS)
        for (int64_t o = 0; o < whole.outs; o += outs) {
            dot_job job = part_of(&whole, row, o);
            job.rows = GLIA_MIN(whole.rows - row, (int64_t)MOST_ROWS);
            job.outs = GLIA_MIN(whole.outs - o, outs);
            dots(&job);
        }
    return GLIA_OK;
}

GLIA_KERNEL(cpu_linear) = {
    .name = "cpu_linear",
    .op = "linear",
    .priority = 40,
    .supports = takes,
    .run = linear_run,
};

static bool few_outs_supports(const glia_kernel_query *q, const char **why_not) {
    enum { FEW = 12 };
    const int64_t outs = q->in[1].shape.dim[0];
    if (!takes(q, why_not)) return false;
    *why_not = "more than 12 outputs, or rows too short for them";
    return outs <= FEW && q->in[1].shape.dim[1] >= 16 * outs;
}

GLIA_KERNEL(cpu_linear_few_outs) = {
    .name = "cpu_linear_few_outs",
    .op = "linear",
    .priority = 60, /* 16×5408 · 10: 9.4, oneDNN 26; 32×256 · 10: 1.7 and 2.2; 32×64 · 10: 1.1 and 0.8 */
    .supports = few_outs_supports,
    .run = linear_run,
};

/* --- gradient by weights and bias: dw = dyᵀ·x, db = Σ dy --------------------------------------------------- */

static glia_status backward_weights_run(void *state, const glia_call *c) {
    (void)state;
    const float *dy = c->in[1].data;
    float *db = c->out[1].data;
    const int64_t rows = glia__rows_of(&c->in[0].shape), outs = c->out[1].shape.dim[0];
    axpy_job job = {.a = dy,
                    .b = c->in[0].data,
                    .c = c->out[0].data,
                    .rows = outs,
                    .columns = c->out[0].shape.dim[1],
                    .a_row = 1,
                    .a_step = outs,
                    .block = BLOCK};
    for (int64_t row = 0; row < rows;
         row += MOST_ROWS) { /* few rows at a time: their blocks stay in the first cache */
        job.inner = GLIA_MIN(rows - row, (int64_t)MOST_ROWS);
        job.add = row > 0;
        axpys(&job);
        job.a += job.inner * outs;
        job.b += job.inner * job.columns;
    }
    for (int64_t o = 0; o < outs; o++) {
        double sum = 0;
        for (int64_t row = 0; row < rows; row++) sum += (double)dy[row * outs + o];
        db[o] = (float)sum;
    }
    return GLIA_OK;
}

GLIA_KERNEL(cpu_linear_backward_weights) = {
    .name = "cpu_linear_backward_weights",
    .op = "linear_backward_weights",
    .priority = 40,
    .supports = takes,
    .run = backward_weights_run,
};

static bool few_outs_backward_supports(const glia_kernel_query *q, const char **why_not) {
    if (!takes(q, why_not)) return false;
    *why_not = "more than 16 outputs";
    return q->out[1].shape.dim[0] <= MOST_OUTS;
}

GLIA_KERNEL(cpu_linear_backward_weights_few_outs) = {
    .name = "cpu_linear_backward_weights_few_outs",
    .op = "linear_backward_weights",
    .priority = 60, /* 16×5408, 16×10: 10.4, oneDNN 12.3; 128 rows: 117 and 125 */
    .supports = few_outs_backward_supports,
    .run = backward_weights_run,
};

/* --- matmul ----------------------------------------------------------------------------------------------- */

static bool matmul_supports(const glia_kernel_query *q, const char **why_not) {
    const glia_matmul_attrs *a = q->attrs;
    if (!takes(q, why_not)) return false;
    *why_not = "several matrices b, or one transposed";
    if (q->in[0].shape.rank > 2 && a->transpose_a == GLIA_YES) return false;
    return q->in[1].shape.rank == 2 && a->transpose_b != GLIA_YES;
}

static glia_status matmul_run(void *state, const glia_call *c) {
    (void)state;
    const bool transposed = ((const glia_matmul_attrs *)c->attrs)->transpose_a == GLIA_YES;
    const int64_t rows = glia__rows_of(&c->out[0].shape), inner = c->in[1].shape.dim[0];
    axpys(&(axpy_job){.a = c->in[0].data,
                      .b = c->in[1].data,
                      .c = c->out[0].data,
                      .rows = rows,
                      .inner = inner,
                      .columns = c->in[1].shape.dim[1],
                      .a_row = transposed ? 1 : inner,
                      .a_step = transposed ? rows : 1,
                      .block = BLOCK});
    return GLIA_OK;
}

GLIA_KERNEL(cpu_matmul) = {
    .name = "cpu_matmul",
    .op = "matmul",
    .priority = 40,
    .supports = matmul_supports,
    .run = matmul_run,
};

/* As the gradient by x of a layer with few outputs. */
static bool few_inner_supports(const glia_kernel_query *q, const char **why_not) {
    enum { FEW = 12 };
    if (!matmul_supports(q, why_not)) return false;
    *why_not = "an inner dimension of more than 12";
    return q->in[1].shape.dim[0] <= FEW;
}

GLIA_KERNEL(cpu_matmul_few_inner) = {
    .name = "cpu_matmul_few_inner",
    .op = "matmul",
    .priority =
        60, /* 128×10 · 10×5408: 101, oneDNN 201; 32×10 · 10×256: 1.05 and 1.3; 32×16 · 16×5408: 38 and 32 */
    .supports = few_inner_supports,
    .run = matmul_run,
};
