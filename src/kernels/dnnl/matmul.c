/* matmul.c: oneDNN's matrix products, for matmul and linear. */
#include "glia/ops.h"
#include "kernels/dnnl/dnnl_api.h"
#include "ops/activation.h"

/* Puts dimensions of 1 before those of the array. */
static glia_dnnl_array with_rank(glia_dnnl_array array, int rank) {
    if (!array.rank || array.rank == rank) return array;
    const glia_dnnl_array old = array;
    int missing = rank - old.rank;
    array.rank = rank;
    for (int i = 0; i < rank; i++) {
        array.dim[i] = i < missing ? 1 : old.dim[i - missing];
        array.stride[i] = i < missing ? old.dim[0] * old.stride[0] : old.stride[i - missing];
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
    spec->arrays[GLIA_DNNL_SRC] = with_rank(glia__dnnl_input(q, 0), rank);
    spec->arrays[GLIA_DNNL_WEIGHTS] = with_rank(glia__dnnl_input(q, 1), rank);
    spec->arrays[GLIA_DNNL_DST] = glia__dnnl_output(q, 0);
    if (a->transpose_a > 0) glia__dnnl_transpose(&spec->arrays[GLIA_DNNL_SRC]);
    if (a->transpose_b > 0) glia__dnnl_transpose(&spec->arrays[GLIA_DNNL_WEIGHTS]);
    return true;
}

GLIA_DNNL_PLANNING(matmul)

GLIA_KERNEL(dnnl_matmul) = {
    .name = "dnnl_matmul",
    .op = "matmul",
    .priority = 50,
    .own_threads = true,
    .supports = matmul_supports,
    .init = matmul_init,
    .pack = glia__dnnl_pack,
    .run = glia__dnnl_run,
    .fini = glia__dnnl_free,
};

/* --- linear: x [N, in], w [out, in], bias [out] → [N, out] ----------------------------------------------- */

static bool linear_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, const char **why_not) {
    const glia_linear_attrs *a = q->attrs;
    *why_not = "has an activation";
    if (a->activation != GLIA_FUSED_NONE) return false;
    if (!glia__dnnl_takes_types(q, why_not) || !pays(q, why_not)) return false;
    *spec = (glia_dnnl_spec){.kind = GLIA_DNNL_MATMUL, .threads = q->threads};
    spec->arrays[GLIA_DNNL_SRC] = glia__dnnl_input(q, 0);
    spec->arrays[GLIA_DNNL_WEIGHTS] = glia__dnnl_input(q, 1);
    spec->arrays[GLIA_DNNL_BIAS] = with_rank(glia__dnnl_input(q, 2), 2);
    spec->arrays[GLIA_DNNL_DST] = glia__dnnl_output(q, 0);
    glia__dnnl_transpose(&spec->arrays[GLIA_DNNL_WEIGHTS]);
    return true;
}

GLIA_DNNL_PLANNING(linear)

GLIA_KERNEL(dnnl_linear) = {
    .name = "dnnl_linear",
    .op = "linear",
    .priority = 50,
    .own_threads = true,
    .supports = linear_supports,
    .init = linear_init,
    .pack = glia__dnnl_pack,
    .run = glia__dnnl_run,
    .fini = glia__dnnl_free,
};
