/* linear.c: a dense layer's product with its bias, and the gradient of its parameters. */

#include "graph/step.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/matmul.h"
#include "ops/riders.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_linear_attrs {
    int activation; /* of the result: 0 none, 1 relu */
} glia_linear_attrs;
/* y = x·wᵀ + b: x [N, …, in], w [out, in], b [out] or NULL → [N, …, out]. When x is bf16, so is the result, and w and b
 * are f32. A fourth input, of the result's type, is added before the activation: the pass fuse_residual gives it. */
GLIA_API glia_value *glia_op_linear(glia_value *x, glia_value *w, glia_value *b, glia_linear_attrs attrs);
#endif /* GLIA_OPS_HEADER */

static glia_status linear_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    (void)attrs;
    char tx[160], tw[160], tb[160];
    GLIA_TRY(glia__check_float_or_bf16(&in[0], err));
    GLIA_TRY(glia__check_param_dtype(&in[0], &in[1], err));
    glia__type_text(&in[0], tx, sizeof tx);
    glia__type_text(&in[1], tw, sizeof tw);
    const glia_shape *x = &in[0].shape, *w = &in[1].shape, *b = n_in > 2 ? &in[2].shape : NULL;
    if (x->rank < 2 || w->rank != 2)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "linear expects x [N, …, in] and w [out, in], found %s and %s", tx, tw);
    const int64_t features = x->dim[x->rank - 1];
    if (features != w->dim[1])
        return glia_error_set(err, GLIA_BAD_SHAPE, "linear: x has %lld features, w expects %lld (%s and %s)",
                              (long long)features, (long long)w->dim[1], tx, tw);
    if (b && b->rank >= 0) {
        GLIA_TRY(glia__check_param_dtype(&in[0], &in[2], err));
        if (b->rank != 1 || b->dim[0] != w->dim[0])
            return glia_error_set(err, GLIA_BAD_SHAPE, "linear: expected a bias of %lld numbers, found %s",
                                  (long long)w->dim[0], glia__type_text(&in[2], tb, sizeof tb));
    }
    out[0] = in[0];
    out[0].shape.dim[x->rank - 1] = w->dim[0];
    return glia__check_residual(in, n_in, &out[0], err);
}

static glia_status linear_loops(const glia_call *c) {
    const int64_t n = glia__rows_of(&c->out[0].shape), units = c->in[1].shape.dim[0],
                  k = c->in[1].shape.dim[1];
    bool bias = c->n_in > 2 && c->in[2].data;
    if (c->out[0].dtype == GLIA_F64)
        glia__matmul_double(c->in[0].data, c->in[1].data, c->out[0].data, n, units, k, false, true);
    else
        glia__matmul_float(c->in[0].data, c->in[1].data, c->out[0].data, n, units, k, false, true);
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *b = bias ? c->in[2].data : NULL;
        T *y = c->out[0].data;
        for (int64_t i = 0; i < n && bias; i++)
            for (int64_t j = 0; j < units; j++) y[i * units + j] += b[j];
    });
    glia__finish_product(c, ((const glia_linear_attrs *)c->attrs)->activation);
    return GLIA_OK;
}

static glia_status linear_ref(const glia_call *c) {
    return glia__run_widened(c, 0, linear_loops);
}

static size_t linear_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[0]) + 2 * glia__widened_bytes(&out[0]); /* and perhaps a residual */
}

static void linear_grad(glia_gradient *g) {
    const glia_linear_attrs *a = g->attrs;
    glia_value *dy = glia__fused_gradient(g, a->activation);
    if (g->n_in > GLIA_RESIDUAL) g->dx[GLIA_RESIDUAL] = dy;
    if (g->needed[0]) g->dx[0] = glia_op_matmul(dy, g->x[1], (glia_matmul_attrs){GLIA_NO, GLIA_NO});
    if (!g->needed[1] && !(g->n_in > 2 && g->needed[2])) return;
    g->dx[1] = glia__apply2("linear_backward_weights", g->x[0], dy);
    if (g->n_in > 2) g->dx[2] = glia_value_sibling(g->dx[1], 1);
}

static void linear_step(glia_stepping *s) {
    glia__step_vectors(s, -1);
}

static double linear_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return 2.0 * (double)glia_shape_elems(&out[0].shape) * (double)in[1].shape.dim[1];
}

static void linear_to_onnx(glia_to_onnx *w) {
    const bool relu = ((const glia_linear_attrs *)w->node->attrs)->activation == GLIA_FUSED_RELU;
    const bool rides = relu || *w->x[3];
    const char *y;
    if (w->node->inputs[0]->type.shape.rank == 2) {
        y = GLIA_TO_ONNX(w, rides ? NULL : w->y[0], "Gemm", w->x[0], w->x[1], w->x[2]);
        glia__to_onnx_int(w, "transB", 1);
    } else { /* Gemm is about matrices */
        y = glia__to_onnx_transpose(w, NULL, w->x[1], (const int64_t[]){1, 0}, 2);
        y = GLIA_TO_ONNX(w, rides || *w->x[2] ? NULL : w->y[0], "MatMul", w->x[0], y);
        if (*w->x[2]) y = GLIA_TO_ONNX(w, rides ? NULL : w->y[0], "Add", y, w->x[2]);
    }
    glia__to_onnx_riders(w, y, relu);
}

GLIA_OP(linear) = {
    .name = "linear",
    .version = 1,
    .doc = "y = x·wᵀ + b",
    .min_inputs = 2,
    .max_inputs = 4,
    .traits = GLIA_TRAIT_RESIDUAL,
    .attrs = GLIA_FIELDS(GLIA_FUSED_FIELD(glia_linear_attrs)),
    .attrs_size = sizeof(glia_linear_attrs),
    .infer = linear_infer,
    .grad = linear_grad,
    .step = linear_step,
    .ref = linear_ref,
    .workspace = linear_workspace,
    .rows = glia__rows_first_and_residual,
    .flops = linear_flops,
    .onnx = "Gemm",
    .onnx_since = 13,
    .onnx_write = linear_to_onnx,
    .emit_c = glia__emit_linear,
    .cases = GLIA_CASES({.inputs = "4x5 3x5 3"}, {.inputs = "4x5 3x5"}, {.inputs = "1x40 7x40 7"},
                        {.inputs = "32x200 10x200 10"}, {.inputs = "16x33 1x33 1"}, {.inputs = "0x5 3x5 3"},
                        {.inputs = "4x5 3x5 3", .attrs = "activation=relu"},
                        {.inputs = "32x200 10x200", .attrs = "activation=relu"},
                        {.inputs = "32x200 20x200 20 32x20", .attrs = "activation=relu"},
                        {.inputs = "32x200 20x200 - 32x20"},
                        {.inputs = "32x70:bf16 30x70:f32<5 30:f32<5 32x30:bf16", .attrs = "activation=relu"},
                        {.inputs = "4x5 3x5 3 4x2", .expect_error = "expected a residual f32 4×3"},
                        {.inputs = "19x1500 10x1500 10", .tolerance = 1e-4},
                        {.inputs = "3x100 23x100 23", .attrs = "activation=relu"},
                        {.inputs = "18x70 33x70 33"}, {.inputs = "4x5:bf16 3x5:f32<5 3:f32<5"},
                        {.inputs = "4x5:bf16 3x5:bf16", .expect_error = "parameters stay f32 beside bf16"},
                        {.inputs = "4x5 3x6 3", .expect_error = "x has 5 features, w expects 6"},
                        {.inputs = "4x5 3x5 4", .expect_error = "expected a bias of 3 numbers"},
                        {.inputs = "4x3x5 6x5 6"}, {.inputs = "2x3x40 20x40", .attrs = "activation=relu"},
                        {.inputs = "2x17x70 33x70 33 2x17x33"}, {.inputs = "2x2x3x5 4x5 4"},
                        {.inputs = "4x9x70:bf16 30x70:f32<5 30:f32<5"}, {.inputs = "4x0x5 3x5 3"},
                        {.inputs = "5 3x5 3", .expect_error = "linear expects x [N, …, in]"}),
};

glia_value *glia_op_linear(glia_value *x, glia_value *w, glia_value *b, glia_linear_attrs attrs) {
    glia_value *in[] = {x, w, b};
    return glia_graph_apply(glia_value_graph(x ? x : w), "linear", in, b ? 3 : 2, &attrs);
}

/* --- the gradient of w and b ----------------------------------------------------------------------------- */

static glia_status backward_weights_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                          glia_error *err) {
    (void)n_in, (void)attrs;
    char tx[160], ty[160];
    const glia_shape *x = &in[0].shape, *dy = &in[1].shape;
    const glia_dtype dtype = glia__param_dtype(in[0].dtype);
    GLIA_TRY(glia__check_float_or_bf16(&in[0], err));
    GLIA_TRY(glia__check_same_dtype(&in[0], &in[1], err));
    bool agree = x->rank >= 2 && x->rank == dy->rank;
    for (int d = 0; agree && d < x->rank - 1; d++) agree = x->dim[d] == dy->dim[d];
    if (!agree)
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "linear_backward_weights expects x [N, …, in] and dy [N, …, out], found %s and %s",
            glia__type_text(&in[0], tx, sizeof tx), glia__type_text(&in[1], ty, sizeof ty));
    const int64_t outs = dy->dim[dy->rank - 1];
    out[0] = (glia_type){dtype, {.rank = 2, .dim = {outs, x->dim[x->rank - 1]}}};
    out[1] = (glia_type){dtype, {.rank = 1, .dim = {outs}}};
    return GLIA_OK;
}

static glia_status backward_weights_loops(const glia_call *c) {
    const int64_t n = glia__rows_of(&c->in[0].shape), in = c->out[0].shape.dim[1],
                  units = c->out[0].shape.dim[0];
    if (c->out[0].dtype == GLIA_F64)
        glia__matmul_double(c->in[1].data, c->in[0].data, c->out[0].data, units, in, n, true, false);
    else
        glia__matmul_float(c->in[1].data, c->in[0].data, c->out[0].data, units, in, n, true, false);
    GLIA_FOR_FLOAT(c->out[1].dtype, {
        const T *dy = c->in[1].data;
        T *db = c->out[1].data;
        for (int64_t j = 0; j < units; j++) {
            double sum = 0;
            for (int64_t i = 0; i < n; i++) sum += (double)dy[i * units + j];
            db[j] = (T)sum;
        }
    });
    return GLIA_OK;
}

static glia_status backward_weights_ref(const glia_call *c) {
    return glia__run_widened(c, 0, backward_weights_loops);
}

static size_t backward_weights_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return glia__widened_bytes(&in[0]) + glia__widened_bytes(&in[1]);
}

/* Both results are linear in x and dy: ⟨ddw, dw⟩ + ⟨ddb, db⟩ = ⟨x·ddwᵀ + ddb, dy⟩. */
static void backward_weights_grad(glia_gradient *g) {
    glia_value *x = g->x[0], *dy = g->x[1], *ddw = g->dy[0], *ddb = g->dy[1];
    if (g->needed[0] && ddw) g->dx[0] = glia_op_matmul(dy, ddw, (glia_matmul_attrs){GLIA_NO, GLIA_NO});
    if (!g->needed[1]) return;
    g->dx[1] =
        ddw ? glia_op_linear(x, ddw, ddb, (glia_linear_attrs){GLIA_FUSED_NONE}) : glia__broadcast_to(ddb, dy);
}

static uint32_t backward_weights_sums(const glia_type *in, int n_in, const void *attrs) {
    (void)in, (void)n_in, (void)attrs;
    return 1 | 2;
}

static double backward_weights_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return 2.0 * (double)glia_shape_elems(&out[0].shape) * (double)glia__rows_of(&in[0].shape);
}

GLIA_OP(linear_backward_weights) = {
    .name = "linear_backward_weights",
    .version = 1,
    .doc = "d(linear)/dw and d(linear)/db: dw = dyᵀ·x, db = Σ dy, of inputs x and dy",
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_OUTER,
    .infer = backward_weights_infer,
    .grad = backward_weights_grad,
    .ref = backward_weights_ref,
    .workspace = backward_weights_workspace,
    .sums = backward_weights_sums,
    .flops = backward_weights_flops,
    .cases = GLIA_CASES({.inputs = "4x5 4x3"}, {.inputs = "1x40 1x7"}, {.inputs = "32x200 32x10"},
                        {.inputs = "37x1500 37x13"}, {.inputs = "5x45 5x18"}, {.inputs = "0x5 0x3"},
                        {.inputs = "130x40 130x33", .tolerance = 1e-4}, {.inputs = "7x5:bf16 7x3:bf16"},
                        {.inputs = "3x4x20 3x4x18"}, {.inputs = "2x3x2x5 2x3x2x3"},
                        {.inputs = "2x7x40:bf16 2x7x30:bf16"},
                        {.inputs = "4x2x5 4x3x3", .expect_error = "expects x [N, …, in] and dy"},
                        {.inputs = "4x5 3x5", .expect_error = "expects x [N, …, in] and dy [N, …, out]"},
                        {.inputs = "4x5:bf16 4x3", .expect_error = "dtypes differ"}),
};
