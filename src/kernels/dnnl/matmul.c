/* matmul.c: oneDNN's matrix products, for matmul and linear. */
#include "glia/ops.h"
#include "kernels/dnnl/dnnl_api.h"
#include "ops/activation.h"

/* The matrices of one operand, with leading ones up to `rank`; seen as (rows, columns) after transposing. */
static glia_dnnl_array matrices(const glia_type *type, int rank, bool transposed) {
    glia_dnnl_array array = {.rank = rank, .transposed = transposed};
    int missing = rank - type->shape.rank;
    for (int i = 0; i < rank; i++) array.dim[i] = i < missing ? 1 : type->shape.dim[i - missing];
    if (transposed) {
        int64_t rows = array.dim[rank - 1];
        array.dim[rank - 1] = array.dim[rank - 2];
        array.dim[rank - 2] = rows;
    }
    return array;
}

/* Below this the call into oneDNN costs more than ref's whole work. */
static bool pays(const glia_kernel_query *q, const char **why_not) {
    enum { LEAST_FLOPS = 8192 };
    *why_not = "too small to pay for the call";
    return q->op->flops(q->in, q->out, q->attrs) >= LEAST_FLOPS;
}

/* --- matmul ---------------------------------------------------------------------------------------------- */

static bool matmul_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, const char **why_not) {
    const glia_matmul_attrs *a = q->attrs;
    if (!glia__dnnl_takes_types(q, why_not) || !pays(q, why_not)) return false;
    int rank = q->out[0].shape.rank;
    *spec = (glia_dnnl_spec){.kind = GLIA_DNNL_MATMUL, .threads = q->threads};
    spec->arrays[GLIA_DNNL_SRC] = matrices(&q->in[0], rank, a->transpose_a > 0);
    spec->arrays[GLIA_DNNL_WEIGHTS] = matrices(&q->in[1], rank, a->transpose_b > 0);
    spec->arrays[GLIA_DNNL_DST] = matrices(&q->out[0], rank, false);
    return true;
}

GLIA_DNNL_PLANNING(matmul)

static glia_status matmul_run(void *state, const glia_call *c) {
    void *data[GLIA_DNNL_ROLES] = {[GLIA_DNNL_SRC] = c->in[0].data,
                                   [GLIA_DNNL_WEIGHTS] = c->in[1].data,
                                   [GLIA_DNNL_DST] = c->out[0].data};
    return glia__dnnl_run(state, data, c->workspace, c->err);
}

GLIA_KERNEL(dnnl_matmul) = {
    .name = "dnnl_matmul",
    .op = "matmul",
    .priority = 50,
    .own_threads = true,
    .supports = matmul_supports,
    .init = matmul_init,
    .run = matmul_run,
    .fini = glia__dnnl_free,
};

/* --- linear: x [N, in], w [out, in], bias [out] → [N, out] ----------------------------------------------- */

static bool linear_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, const char **why_not) {
    const glia_linear_attrs *a = q->attrs;
    *why_not = "has an activation";
    if (a->activation != GLIA_FUSED_NONE) return false;
    if (!glia__dnnl_takes_types(q, why_not) || !pays(q, why_not)) return false;
    *spec = (glia_dnnl_spec){.kind = GLIA_DNNL_MATMUL, .threads = q->threads};
    spec->arrays[GLIA_DNNL_SRC] = matrices(&q->in[0], 2, false);
    spec->arrays[GLIA_DNNL_WEIGHTS] = matrices(&q->in[1], 2, true);
    spec->arrays[GLIA_DNNL_DST] = matrices(&q->out[0], 2, false);
    if (q->n_in > 2 && q->in[2].shape.rank >= 0) spec->arrays[GLIA_DNNL_BIAS] = matrices(&q->in[2], 2, false);
    return true;
}

GLIA_DNNL_PLANNING(linear)

static glia_status linear_run(void *state, const glia_call *c) {
    void *data[GLIA_DNNL_ROLES] = {[GLIA_DNNL_SRC] = c->in[0].data,
                                   [GLIA_DNNL_WEIGHTS] = c->in[1].data,
                                   [GLIA_DNNL_BIAS] = c->n_in > 2 ? c->in[2].data : NULL,
                                   [GLIA_DNNL_DST] = c->out[0].data};
    return glia__dnnl_run(state, data, c->workspace, c->err);
}

GLIA_KERNEL(dnnl_linear) = {
    .name = "dnnl_linear",
    .op = "linear",
    .priority = 50,
    .own_threads = true,
    .supports = linear_supports,
    .init = linear_init,
    .run = linear_run,
    .fini = glia__dnnl_free,
};
