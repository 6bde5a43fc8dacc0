/* activation_more.c: activations that few networks have. Their gradients are composed of other ops: they have no
 * backward op of their own. */

#include "graph/to_onnx.h"
#include "ops/expr.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
GLIA_API glia_value *glia_op_softsign(glia_value *x);    /* x/(1 + |x|) */
GLIA_API glia_value *glia_op_log_sigmoid(glia_value *x); /* ln sigmoid(x), accurate for large |x| */
GLIA_API glia_value *glia_op_hard_swish(glia_value *x);  /* x·clip(x/6 + ½, 0, 1) */
GLIA_API glia_value *glia_op_mish(glia_value *x);        /* x·tanh(softplus(x)) */

typedef struct glia_celu_attrs {
    double alpha; /* default 1 */
} glia_celu_attrs;
/* x where x > 0, alpha·(e^(x/alpha) − 1) elsewhere: smooth for every alpha. */
GLIA_API glia_value *glia_op_celu(glia_value *x, glia_celu_attrs attrs);

typedef struct glia_thresholded_relu_attrs {
    double alpha; /* default 1 */
} glia_thresholded_relu_attrs;
/* x where x > alpha, else 0. */
GLIA_API glia_value *glia_op_thresholded_relu(glia_value *x, glia_thresholded_relu_attrs attrs);

typedef struct glia_shrink_attrs {
    double lambd; /* default 0.5 */
    double bias;  /* default 0: hard shrinkage; bias = lambd: soft */
} glia_shrink_attrs;
/* 0 where |x| ≤ lambd; beyond, x moved towards 0 by bias. */
GLIA_API glia_value *glia_op_shrink(glia_value *x, glia_shrink_attrs attrs);
#endif /* GLIA_OPS_HEADER */

/* Name, expression, locals, gradient (dy, x → dx), then what differs in the block. */
#define COMPOSED_OP(op, expr, locals, gradient, ...)   \
    GLIA_EXPR_REF1(op, expr, locals)                   \
    static void op##_grad(glia_gradient *g) {          \
        glia_value *dy = g->dy[0], *x = g->x[0];       \
        (void)x;                                       \
        g->dx[0] = (gradient);                         \
    }                                                  \
    static glia_status op##_any(const glia_call *c) {  \
        return glia__run_tiled(c, op##_ref);           \
    }                                                  \
    GLIA_OP(op) = {.name = #op,                        \
                   .version = 1,                       \
                   .min_inputs = 1,                    \
                   .max_inputs = 1,                    \
                   .infer = glia__tiled_infer,         \
                   .grad = op##_grad,                  \
                   .ref = op##_any,                    \
                   .workspace = glia__tiled_workspace, \
                   .c_expr = #expr,                    \
                   __VA_ARGS__}

#define PLAIN .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE | GLIA_TRAIT_ACTIVATION
#define SHAPES                                                                                            \
    {.inputs = "4x5:away"}, {.inputs = "2x3x17:away"}, {.inputs = "scalar:away"}, {.inputs = "1:away"}, { \
        .inputs = "0x3:away"                                                                              \
    }
#define ERRORS                                                                       \
    {.inputs = "3:i64<9", .expect_error = "expected f32 or f64, found i64 3"}, {     \
        .inputs = "2x3:bool", .expect_error = "expected f32 or f64, found bool 2×3" \
    }
#define ATTRS(op) .attrs = op##_fields, .attrs_size = sizeof(glia_##op##_attrs)
/* A single attribute, a number within bounds. */
#define FIELD(op, field, text, low, high, meaning)                                              \
    {                                                                                           \
        .name = #field, .kind = GLIA_FIELD_FLOAT, .offset = offsetof(glia_##op##_attrs, field), \
        .initial = text, .min = low, .max = high, .doc = meaning                                \
    }

static glia_value *times(glia_value *a, glia_value *b) {
    return glia__apply2("mul", a, b);
}

static glia_value *plus(glia_value *a, glia_value *b) {
    return glia__apply2("add", a, b);
}

/* dy where a > b, else 0. */
static glia_value *where_greater(glia_value *dy, glia_value *a, glia_value *b) {
    return glia__apply3("where", glia__apply2("greater", a, b), dy, glia__number(dy, 0));
}

static const glia_field celu_fields[] = {FIELD(celu, alpha, "1", 1e-9, 1e9, "minus the limit at −∞"),
                                         {.name = NULL}};
static const glia_field thresholded_relu_fields[] = {
    FIELD(thresholded_relu, alpha, "1", -1e9, 1e9, "below it the result is 0"), {.name = NULL}};
static const glia_field shrink_fields[] = {
    FIELD(shrink, lambd, "0.5", 0, 1e9, "up to it, of either sign, the result is 0"),
    FIELD(shrink, bias, "0", -1e9, 1e9, "how far what is left moves towards 0"),
    {.name = NULL}};

/* dy/(1 + |x|)² */
static glia_value *softsign_slope(glia_value *dy, glia_value *x) {
    return glia__apply2("div", dy, glia__apply1("square", plus(glia__apply1("abs", x), glia__number(x, 1))));
}

/* dy·(clip(x/6 + ½, 0, 1) + x/6 where |x| < 3) */
static glia_value *hard_swish_slope(glia_value *dy, glia_value *x) {
    glia_value *inside = where_greater(glia__scaled(x, 1.0 / 6), glia__number(x, 3), glia__apply1("abs", x));
    glia_value *gate = glia_op_hard_sigmoid(x, (glia_hard_sigmoid_attrs){.alpha = 1.0 / 6, .beta = 0.5});
    return times(dy, plus(gate, inside));
}

/* With t = tanh(softplus(x)): dy·(t + x·(1 − t²)·sigmoid(x)). */
static glia_value *mish_slope(glia_value *dy, glia_value *x) {
    glia_value *t = glia_op_tanh(glia_op_softplus(x));
    glia_value *bend = glia__apply2("tanh_backward", times(x, glia_op_sigmoid(x)), t);
    return times(dy, plus(t, bend));
}

/* dy where x > 0, else dy·e^(x/alpha) */
static glia_value *celu_slope(glia_value *dy, glia_value *x, const void *attrs) {
    const glia_celu_attrs *a = attrs;
    glia_value *low = glia__scaled(glia__apply2("minimum", x, glia__number(x, 0)), 1 / a->alpha);
    return times(dy, glia__apply1("exp", low));
}

/* −softplus(−x) */
static void log_sigmoid_to_onnx(glia_to_onnx *w) {
    const char *y = GLIA_TO_ONNX(w, NULL, "Softplus", GLIA_TO_ONNX(w, NULL, "Neg", w->x[0]));
    GLIA_TO_ONNX(w, w->y[0], "Neg", y);
}

/* The expressions are texts too: their spacing is kept. */
/* clang-format off */
COMPOSED_OP(softsign, x / (1 + fabs(x)), , softsign_slope(dy, x), .doc = "y = x/(1 + |x|)",
            .onnx = "Softsign", .onnx_since = 1, PLAIN, .cases = GLIA_CASES(SHAPES, ERRORS));

COMPOSED_OP(log_sigmoid, (x < 0 ? x : 0) - log1p(exp(-fabs(x))), ,
            times(dy, glia_op_sigmoid(glia__apply1("neg", x))), .doc = "y = −ln(1 + e⁻ˣ)", .onnx_write = log_sigmoid_to_onnx, PLAIN,
            .cases = GLIA_CASES(SHAPES, ERRORS));

COMPOSED_OP(hard_swish, x < -3 ? 0 : x > 3 ? x : x * (x / 6 + (T)0.5), , hard_swish_slope(dy, x),
            .doc = "y = x·min(max(x/6 + ½, 0), 1)",
            .source = "Howard et al., Searching for MobileNetV3, ICCV 2019", .onnx = "HardSwish",
            .onnx_since = 14, PLAIN, .cases = GLIA_CASES(SHAPES, ERRORS));

COMPOSED_OP(mish, x * tanh((x < 0 ? 0 : x) + log1p(exp(-fabs(x)))), , mish_slope(dy, x),
            .doc = "y = x·tanh(ln(1 + eˣ))", .source = "Misra, BMVC 2020", .onnx = "Mish", .onnx_since = 18,
            PLAIN, .cases = GLIA_CASES(SHAPES, ERRORS));

COMPOSED_OP(celu, x < 0 ? alpha * expm1(x / alpha) : x, GLIA_EXPR_ATTR(celu, alpha),
            celu_slope(dy, x, g->attrs), .doc = "y = x where x > 0, else alpha·(e^(x/alpha) − 1)",
            .source = "Barron, arXiv:1704.07483, 2017", .onnx = "Celu", .onnx_since = 12, PLAIN, ATTRS(celu),
            .cases = GLIA_CASES(SHAPES, {.inputs = "3x4:away", .attrs = "alpha=2"}, ERRORS));

COMPOSED_OP(thresholded_relu, x <= alpha ? 0 : x, GLIA_EXPR_ATTR(thresholded_relu, alpha),
            where_greater(dy, x, glia__number(x, ((const glia_thresholded_relu_attrs *)g->attrs)->alpha)),
            .doc = "y = x where x > alpha, else 0", .onnx = "ThresholdedRelu", .onnx_since = 10, PLAIN,
            ATTRS(thresholded_relu),
            .cases = GLIA_CASES(SHAPES, {.inputs = "3x4:away", .attrs = "alpha=-0.5"}, ERRORS));

COMPOSED_OP(shrink, fabs(x) <= lambd ? 0 : x < 0 ? x + bias : x - bias,
            GLIA_EXPR_ATTR(shrink, lambd); GLIA_EXPR_ATTR(shrink, bias),
            where_greater(dy, glia__apply1("abs", x),
                          glia__number(x, ((const glia_shrink_attrs *)g->attrs)->lambd)),
            .doc = "y = 0 where |x| ≤ lambd, else x − bias·sign(x)", .onnx = "Shrink", .onnx_since = 9, PLAIN,
            ATTRS(shrink),
            .cases = GLIA_CASES(SHAPES, {.inputs = "3x4:away", .attrs = "lambd=1.5 bias=1.5"}, ERRORS));
/* clang-format on */

GLIA_EXPR_BUILDER(softsign)
GLIA_EXPR_BUILDER(log_sigmoid)
GLIA_EXPR_BUILDER(hard_swish)
GLIA_EXPR_BUILDER(mish)
GLIA_EXPR_BUILDER_ATTRS(celu)
GLIA_EXPR_BUILDER_ATTRS(thresholded_relu)
GLIA_EXPR_BUILDER_ATTRS(shrink)
