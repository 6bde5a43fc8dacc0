/* prelu.c: relu with a slope that is learned. */

#include "ops/binary.h"

#ifdef GLIA_OPS_HEADER
/* x where x > 0, slope·x elsewhere; slope broadcasts to x: one number, or [C, 1, 1] for one a channel. */
GLIA_API glia_value *glia_op_prelu(glia_value *x, glia_value *slope);
#endif /* GLIA_OPS_HEADER */

static glia_status infer_prelu(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                               glia_error *err) {
    char x[160], slope[160];
    GLIA_TRY(glia__infer_broadcast_float(in, n_in, attrs, out, err));
    if (glia_shape_equal(&out[0].shape, &in[0].shape)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "the slope %s does not broadcast to %s",
                          glia__type_text(&in[1], slope, sizeof slope), glia__type_text(&in[0], x, sizeof x));
}

FLOAT_ROWS(prelu, x < 0 ? y * x : x)

static glia_status prelu_ref(const glia_call *c) {
    glia__broadcast_run(c, c->out[0].dtype == GLIA_F64 ? prelu_f64 : prelu_f32);
    return GLIA_OK;
}

/* dx = dy·(1 or slope), dslope = Σ dy·x where x < 0. */
static void prelu_grad(glia_gradient *g) {
    glia_value *dy = g->dy[0], *x = g->x[0], *zero = glia__number(x, 0);
    glia_value *negative = glia__apply2("less", x, zero);
    if (g->needed[0]) g->dx[0] = glia__apply3("where", negative, glia__apply2("mul", dy, g->x[1]), dy);
    if (g->needed[1])
        g->dx[1] = glia__sum_to(glia__apply3("where", negative, glia__apply2("mul", dy, x), zero), g->x[1]);
}

GLIA_OP(prelu) = {
    .name = "prelu",
    .version = 1,
    .doc = "y = x where x > 0, else slope·x",
    .source = "He, Zhang, Ren, Sun, ICCV 2015",
    .min_inputs = 2,
    .max_inputs = 2,
    PLAIN,
    .infer = infer_prelu,
    .grad = prelu_grad,
    .ref = prelu_ref,
    .onnx = "PRelu",
    .onnx_since = 7,
    .c_expr = "x < 0 ? y * x : x",
    .cases = GLIA_CASES({.inputs = "4x5:away 4x5"}, {.inputs = "4x5:away 5"},
                        {.inputs = "2x3x4x5:away 3x1x1"}, {.inputs = "3x4:away scalar"},
                        {.inputs = "scalar:away scalar"}, {.inputs = "0x3:away 3"},
                        {.inputs = "2x3 2x1:away"},
                        {.inputs = "5 4x5", .expect_error = "the slope f32 4×5 does not broadcast to f32 5"},
                        {.inputs = "3:i64<9 3:i64<9", .expect_error = "expected f32 or f64, found i64 3"}),
};

glia_value *glia_op_prelu(glia_value *x, glia_value *slope) {
    return glia__apply2("prelu", x, slope);
}
