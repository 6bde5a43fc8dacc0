/* matmul.c: oneDNN's matrix products: matmul, linear and the gradient of linear's parameters. */
#include "glia/ops.h"
#include "kernels/dnnl/dnnl_api.h"
#include "ops/riders.h"

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

/* All but the last dimension as one: rows. */
static glia_dnnl_array as_rows(glia_dnnl_array array) {
    if (array.rank <= 2) return array;
    int64_t rows = 1;
    for (int d = 0; d < array.rank - 1; d++) rows *= array.dim[d];
    const int64_t columns = array.dim[array.rank - 1];
    array.rank = 2;
    array.dim[0] = rows;
    array.dim[1] = columns;
    array.stride[0] = columns;
    array.stride[1] = 1;
    return array;
}

/* Below this the call into oneDNN costs more than ref's whole work. */
static bool pays(const glia_kernel_query *q, const char **why_not) {
    enum { LEAST_FLOPS = 8192 };
    *why_not = "too small to pay for the call";
    return q->op->flops(q->in, q->out, q->attrs) >= LEAST_FLOPS;
}

/* Parts of the columns, of the rows, or of the matrices of a batch: whichever there are more of; but of columns when weights
 * are packed, so that no two parts pack the same. A part has enough work to be worth a thread. */
static void cut_product(const glia_kernel_query *q, const glia_dnnl_spec *spec, glia_dnnl_cut *cut) {
    enum { GRAIN = 16, MOST = 8 };
    const double least_flops = 4e6;
    const glia_dnnl_array *c = &spec->arrays[GLIA_DNNL_DST];
    const bool packed = spec->arrays[GLIA_DNNL_WEIGHTS].layout == GLIA_DNNL_ANY;
    int dim = packed || c->dim[c->rank - 1] >= c->dim[c->rank - 2] ? c->rank - 1 : c->rank - 2;
    if (c->rank > 2 && c->dim[0] > 1 && !packed) dim = 0;
    int64_t grain = dim ? GRAIN : 1, parts = (int64_t)(q->op->flops(q->in, q->out, q->attrs) / least_flops);
    parts = GLIA_MAX(1, GLIA_MIN(parts, MOST));
    *cut = (glia_dnnl_cut){0};
    cut->width = ((c->dim[dim] + parts - 1) / parts + grain - 1) / grain * grain;
    for (int role = 0; role < GLIA_DNNL_ROLES; role++)
        cut->dim[role] = dim == 0 && spec->arrays[role].dim[0] == 1 ? -1 : dim;
    if (dim == c->rank - 1) cut->dim[GLIA_DNNL_SRC] = -1;
    if (dim == c->rank - 2) cut->dim[GLIA_DNNL_WEIGHTS] = cut->dim[GLIA_DNNL_BIAS] = -1;
}

/* The array is converted to f32, or from it. */
static void widen(glia_dnnl_array *array) {
    if (array->dtype == GLIA_F32) return;
    array->inside = GLIA_F32;
    array->layout = GLIA_DNNL_DENSE;
}

/* In bf16 training, whether a product costs less in f32: when the big array that it reads once (weights, which would have
 * to be rounded to bf16 for this run) or writes (their gradient) meets few rows, and memory is what it waits for. f32 at
 * 300 GFLOP/s takes as long for 64 rows as rounding does, 8 bytes a weight at 20 GB/s. The
 * gradient of 4096×25088 weights from 8 rows took 37 ms of the cores' time, in bf16 85. */
static bool better_wide(const glia_kernel_query *q, const glia_dnnl_spec *spec) {
    enum { FEW_ROWS = 64 };
    const glia_dnnl_array *src = &spec->arrays[GLIA_DNNL_SRC], *weights = &spec->arrays[GLIA_DNNL_WEIGHTS];
    const glia_dnnl_array *dst = &spec->arrays[GLIA_DNNL_DST];
    if (dst->rank != 2 || !q->training) return false;
    const bool reads = weights->parameter && weights->dtype == GLIA_F32 && src->dim[0] <= FEW_ROWS;
    return reads || (dst->dtype == GLIA_F32 && src->dim[1] <= FEW_ROWS);
}

/* What all products share, once their arrays are in place. Weights that stay as they are for many runs get the layout that
 * oneDNN likes best; in training, where they are packed for one run, that does not pay in f32. */
static void set_product(const glia_kernel_query *q, glia_dnnl_spec *spec, glia_dnnl_cut *cut) {
    glia_dnnl_array *weights = &spec->arrays[GLIA_DNNL_WEIGHTS], *src = &spec->arrays[GLIA_DNNL_SRC];
    const bool halved = src->dtype == GLIA_BF16 || weights->dtype == GLIA_BF16;
    spec->kind = GLIA_DNNL_MATMUL;
    spec->threads = q->threads;
    if (halved && better_wide(q, spec)) {
        for (int role = 0; role < GLIA_DNNL_ROLES; role++) widen(&spec->arrays[role]);
    } else if (halved) {
        src->inside = weights->inside = GLIA_BF16;
        if (weights->parameter) weights->layout = GLIA_DNNL_ANY;
    } else if (weights->parameter && !q->training) {
        weights->layout = GLIA_DNNL_ANY;
    }
    cut_product(q, spec, cut);
}

/* --- matmul ---------------------------------------------------------------------------------------------- */

static bool matmul_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, glia_dnnl_cut *cut,
                        const char **why_not) {
    const glia_matmul_attrs *a = q->attrs;
    if (!glia__dnnl_takes_types(q, why_not) || !pays(q, why_not)) return false;
    const bool one_matrix = q->in[1].shape.rank == 2 && !(a->transpose_a > 0); /* for every row of a */
    glia_dnnl_array src = glia__dnnl_input(q, 0), dst = glia__dnnl_output(q, 0);
    if (one_matrix) src = as_rows(src), dst = as_rows(dst);
    *spec = (glia_dnnl_spec){.arrays = {[GLIA_DNNL_SRC] = with_rank(src, dst.rank),
                                        [GLIA_DNNL_WEIGHTS] = with_rank(glia__dnnl_input(q, 1), dst.rank),
                                        [GLIA_DNNL_DST] = dst}};
    if (a->transpose_a > 0) glia__dnnl_transpose(&spec->arrays[GLIA_DNNL_SRC]);
    if (a->transpose_b > 0) glia__dnnl_transpose(&spec->arrays[GLIA_DNNL_WEIGHTS]);
    set_product(q, spec, cut);
    return true;
}

GLIA_DNNL_PLANNING_PARTS(matmul)

GLIA_KERNEL(dnnl_matmul) = {
    .name = "dnnl_matmul",
    .op = "matmul",
    .priority = 50,
    .own_threads = true,
    .supports = matmul_supports,
    .init = matmul_init,
    .pack = glia__dnnl_parts_pack,
    .run = glia__dnnl_parts_run,
    .fini = glia__dnnl_parts_free,
};

/* --- linear: x [N, …, in], w [out, in], bias [out] → [N, …, out] ----------------------------------------- */

static bool linear_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, glia_dnnl_cut *cut,
                        const char **why_not) {
    if (!glia__dnnl_takes_types(q, why_not) || !pays(q, why_not)) return false;
    *spec = (glia_dnnl_spec){.relu = ((const glia_linear_attrs *)q->attrs)->activation == GLIA_FUSED_RELU,
                             .arrays = {[GLIA_DNNL_SRC] = as_rows(glia__dnnl_input(q, 0)),
                                        [GLIA_DNNL_WEIGHTS] = glia__dnnl_input(q, 1),
                                        [GLIA_DNNL_BIAS] = with_rank(glia__dnnl_input(q, 2), 2),
                                        [GLIA_DNNL_DST] = as_rows(glia__dnnl_output(q, 0)),
                                        [GLIA_DNNL_RESIDUAL] = as_rows(glia__dnnl_input(q, GLIA_RESIDUAL))}};
    glia__dnnl_transpose(&spec->arrays[GLIA_DNNL_WEIGHTS]);
    set_product(q, spec, cut);
    return true;
}

GLIA_DNNL_PLANNING_PARTS(linear)

GLIA_KERNEL(dnnl_linear) = {
    .name = "dnnl_linear",
    .op = "linear",
    .priority = 50,
    .own_threads = true,
    .supports = linear_supports,
    .init = linear_init,
    .pack = glia__dnnl_parts_pack,
    .run = glia__dnnl_parts_run,
    .fini = glia__dnnl_parts_free,
};

/* --- the gradient of linear's parameters: x [N, …, in], dy [N, …, out] → dw = dyᵀ·x [out, in], db [out] --- */

static bool linear_backward_weights_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, glia_dnnl_cut *cut,
                                         const char **why_not) {
    if (!glia__dnnl_takes_types(q, why_not) || !pays(q, why_not)) return false;
    *spec = (glia_dnnl_spec){.arrays = {[GLIA_DNNL_SRC] = as_rows(glia__dnnl_input(q, 1)),
                                        [GLIA_DNNL_WEIGHTS] = as_rows(glia__dnnl_input(q, 0)),
                                        [GLIA_DNNL_DST] = glia__dnnl_output(q, 0)}};
    glia__dnnl_transpose(&spec->arrays[GLIA_DNNL_SRC]);
    set_product(q, spec, cut);
    return true;
}

GLIA_DNNL_PLANNING_PARTS(linear_backward_weights)

/* Here so that it can be part of a vector loop. */
static inline float wide(uint16_t bf16) {
    uint32_t bits = (uint32_t)bf16 << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* db[o] = Σ dy[…, o]. */
static void sum_rows(const glia_view *dy, float *db) {
    const int64_t rows = glia__rows_of(&dy->shape), columns = dy->shape.dim[dy->shape.rank - 1];
    memset(db, 0, (size_t)columns * sizeof *db);
    for (int64_t n = 0; n < rows; n++) {
        const float *f32 = (const float *)dy->data + n * columns;
        const uint16_t *bf16 = (const uint16_t *)dy->data + n * columns;
        if (dy->dtype == GLIA_F32)
            for (int64_t o = 0; o < columns; o++) db[o] += f32[o];
        else
            for (int64_t o = 0; o < columns; o++) db[o] += wide(bf16[o]);
    }
}

static glia_status linear_backward_weights_run(void *state, const glia_call *call) {
    sum_rows(&call->in[1], call->out[1].data);
    return glia__dnnl_parts_run(state, call);
}

GLIA_KERNEL(dnnl_linear_backward_weights) = {
    .name = "dnnl_linear_backward_weights",
    .op = "linear_backward_weights",
    .priority = 50,
    .own_threads = true,
    .supports = linear_backward_weights_supports,
    .init = linear_backward_weights_init,
    .pack = glia__dnnl_parts_pack, /* x or dy may be a parameter */
    .run = linear_backward_weights_run,
    .fini = glia__dnnl_parts_free,
};
