/* matmul.c: matrix products through oneDNN. Transposes are strides, so that nothing is copied. */

#include "glia/ops.h"
#include "kernels/dnnl/dnnl_call.h"

/* Describes an operand with `rank` dimensions (leading ones of 1 added), its last two swapped when transposed. */
static glia_status describe(dnnl_memory_desc_t *out, const glia_shape *shape, int rank, bool transposed,
                            glia_error *err) {
    int64_t dims[DNNL_MAX_NDIMS], strides[DNNL_MAX_NDIMS], stride = 1;
    for (int i = 1; i <= rank; i++) {
        dims[rank - i] = i <= shape->rank ? shape->dim[shape->rank - i] : 1;
        strides[rank - i] = stride;
        stride *= dims[rank - i];
    }
    if (transposed) {
        int64_t dim = dims[rank - 1], step = strides[rank - 1];
        dims[rank - 1] = dims[rank - 2];
        dims[rank - 2] = dim;
        strides[rank - 1] = strides[rank - 2];
        strides[rank - 2] = step;
    }
    return glia__dnnl_plain(out, rank, dims, strides, err);
}

static glia_status make(const glia_kernel_query *q, const dnnl_memory_desc_t *a, const dnnl_memory_desc_t *b,
                        const dnnl_memory_desc_t *bias, const dnnl_memory_desc_t *y, void **state,
                        size_t *workspace, glia_error *err) {
    dnnl_matmul_desc_t desc;
    GLIA_TRY(glia__dnnl_check(dnnl_matmul_desc_init(&desc, a, b, bias, y), "describing a product", err));
    glia_dnnl_argument arguments[] = {{DNNL_ARG_SRC, false, 0, *a},
                                      {DNNL_ARG_WEIGHTS, false, 1, *b},
                                      {DNNL_ARG_DST, true, 0, *y},
                                      {DNNL_ARG_BIAS, false, 2, bias ? *bias : *y}};
    return glia__dnnl_new(state, workspace, &desc, NULL, arguments, bias ? 4 : 3, q->threads, err);
}

static glia_status matmul_init(const glia_kernel_query *q, void **state, size_t *workspace, glia_error *err) {
    const glia_matmul_attrs *attrs = q->attrs;
    dnnl_memory_desc_t a, b, y;
    int rank = q->out[0].shape.rank;
    GLIA_TRY(describe(&a, &q->in[0].shape, rank, attrs->transpose_a > 0, err));
    GLIA_TRY(describe(&b, &q->in[1].shape, rank, attrs->transpose_b > 0, err));
    GLIA_TRY(describe(&y, &q->out[0].shape, rank, false, err));
    return make(q, &a, &b, NULL, &y, state, workspace, err);
}

static glia_status linear_init(const glia_kernel_query *q, void **state, size_t *workspace, glia_error *err) {
    dnnl_memory_desc_t x, w, b, y;
    bool bias = q->n_in > 2 && q->in[2].shape.rank > 0;
    GLIA_TRY(describe(&x, &q->in[0].shape, 2, false, err));
    GLIA_TRY(describe(&w, &q->in[1].shape, 2, true, err));
    GLIA_TRY(describe(&y, &q->out[0].shape, 2, false, err));
    if (bias) GLIA_TRY(describe(&b, &q->in[2].shape, 2, false, err));
    return make(q, &x, &w, bias ? &b : NULL, &y, state, workspace, err);
}

/* Below this many products the call costs more than the work. */
static const double LEAST_PRODUCTS = 4096;

static bool supports(const glia_kernel_query *q, const char **why_not) {
    if (!glia__dnnl_supports(q, why_not)) return false;
    double left = (double)glia_shape_elems(&q->in[0].shape),
           right = (double)glia_shape_elems(&q->in[1].shape);
    *why_not = "too small to pay for the call";
    return q->op->flops(q->in, q->out, q->attrs) >= 2 * LEAST_PRODUCTS && left > 1 && right > 1;
}

GLIA_KERNEL(dnnl_matmul) = {.name = "dnnl_matmul",
                            .op = "matmul",
                            .priority = 50,
                            .own_threads = true,
                            .supports = supports,
                            .init = matmul_init,
                            .run = glia__dnnl_run,
                            .fini = glia__dnnl_fini};

GLIA_KERNEL(dnnl_linear) = {.name = "dnnl_linear",
                            .op = "linear",
                            .priority = 50,
                            .own_threads = true,
                            .supports = supports,
                            .init = linear_init,
                            .run = glia__dnnl_run,
                            .fini = glia__dnnl_fini};
