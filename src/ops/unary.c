/* unary.c: y = f(x), place by place, any shape. Angles are in trigonometry.c, activations in
 * activation.c. */

#include "ops/unary.h"
#include "graph/to_onnx.h"

#ifdef GLIA_OPS_HEADER
GLIA_API glia_value *glia_op_neg(glia_value *x);        /* −x */
GLIA_API glia_value *glia_op_abs(glia_value *x);        /* |x| */
GLIA_API glia_value *glia_op_sign(glia_value *x);       /* −1, 0 or 1 */
GLIA_API glia_value *glia_op_square(glia_value *x);     /* x² */
GLIA_API glia_value *glia_op_sqrt(glia_value *x);       /* √x; NaN for x < 0 */
GLIA_API glia_value *glia_op_rsqrt(glia_value *x);      /* 1/√x */
GLIA_API glia_value *glia_op_reciprocal(glia_value *x); /* 1/x */
GLIA_API glia_value *glia_op_exp(glia_value *x);        /* eˣ */
GLIA_API glia_value *glia_op_expm1(glia_value *x);      /* eˣ − 1, accurate near 0 */
GLIA_API glia_value *glia_op_log(glia_value *x);        /* ln x; NaN for x < 0 */
GLIA_API glia_value *glia_op_log1p(glia_value *x);      /* ln(1 + x), accurate near 0 */
GLIA_API glia_value *glia_op_sin(glia_value *x);        /* sin x, radians */
GLIA_API glia_value *glia_op_cos(glia_value *x);        /* cos x, radians */
GLIA_API glia_value *glia_op_erf(glia_value *x);        /* 2/√π ∫₀ˣ e^(−t²) dt */
GLIA_API glia_value *glia_op_floor(glia_value *x);      /* the next whole number below */
GLIA_API glia_value *glia_op_ceil(glia_value *x);       /* the next whole number above */
GLIA_API glia_value *glia_op_round(glia_value *x);      /* the nearest whole number, halves to even */
#endif                                                  /* GLIA_OPS_HEADER */

static void square_to_onnx(glia_to_onnx *w) {
    GLIA_TO_ONNX(w, w->y[0], "Mul", w->x[0], w->x[0]);
}

static void rsqrt_to_onnx(glia_to_onnx *w) {
    GLIA_TO_ONNX(w, w->y[0], "Reciprocal", GLIA_TO_ONNX(w, NULL, "Sqrt", w->x[0]));
}

/* Less accurate near 0 than the op: ONNX has no better. */
static void expm1_to_onnx(glia_to_onnx *w) {
    const char *one = glia__to_onnx_number(w, w->node->inputs[0]->type.dtype, 1);
    GLIA_TO_ONNX(w, w->y[0], "Sub", GLIA_TO_ONNX(w, NULL, "Exp", w->x[0]), one);
}

static void log1p_to_onnx(glia_to_onnx *w) {
    const char *one = glia__to_onnx_number(w, w->node->inputs[0]->type.dtype, 1);
    GLIA_TO_ONNX(w, w->y[0], "Log", GLIA_TO_ONNX(w, NULL, "Add", w->x[0], one));
}

/* The expressions are texts too: their spacing is kept. */
/* clang-format off */
UNARY_OP(neg, -x, glia__apply1("neg", dy), .doc = "y = −x", .onnx = "Neg", .onnx_since = 6, PLAIN,
         CASES("away"));
UNARY_OP(abs, fabs(x), glia__apply2("mul", dy, glia__apply1("sign", x)), .doc = "y = |x|; gradient 0 at 0",
         .onnx = "Abs", .onnx_since = 6, PLAIN, CASES("away"));
UNARY_OP(sign, x > 0 ? 1 : x < 0 ? -1 : x, ZERO, .doc = "y = −1, 0 or 1; gradient 0", .onnx = "Sign", .onnx_since = 9, PLAIN, CASES("away"));
UNARY_OP(square, x * x, glia__apply2("mul", dy, glia__scaled(x, 2)), .doc = "y = x²", .onnx_write = square_to_onnx, PLAIN,
         CASES("away"));
UNARY_OP(sqrt, sqrt(x), glia__apply2("div", glia__scaled(dy, 0.5), y), .doc = "y = √x", .onnx = "Sqrt",
         .onnx_since = 6, PLAIN, CASES("pos"));
UNARY_OP(rsqrt, 1 / sqrt(x), glia__apply2("div", glia__apply2("mul", glia__scaled(dy, -0.5), y), x),
         .doc = "y = 1/√x", .onnx_write = rsqrt_to_onnx, PLAIN, CASES("pos"));
UNARY_OP(reciprocal, 1 / x, glia__apply1("neg", glia__apply2("mul", dy, glia__apply1("square", y))),
         .doc = "y = 1/x", .onnx = "Reciprocal", .onnx_since = 6, PLAIN, CASES("pos"));
UNARY_OP(exp, exp(x), glia__apply2("mul", dy, y), .doc = "y = eˣ", .onnx = "Exp", .onnx_since = 6, PLAIN,
         CASES("away"));
UNARY_OP(expm1, expm1(x), glia__apply2("mul", dy, glia__apply2("add", y, glia__number(y, 1))),
         .doc = "y = eˣ − 1", .onnx_write = expm1_to_onnx, PLAIN, CASES("away"));
UNARY_OP(log, log(x), glia__apply2("div", dy, x), .doc = "y = ln x", .onnx = "Log", .onnx_since = 6, PLAIN,
         CASES("pos"));
UNARY_OP(log1p, log1p(x), glia__apply2("div", dy, glia__apply2("add", x, glia__number(x, 1))),
         .doc = "y = ln(1 + x)", .onnx_write = log1p_to_onnx, PLAIN, CASES("pos"));
UNARY_OP(sin, sin(x), glia__apply2("mul", dy, glia__apply1("cos", x)), .doc = "y = sin x", .onnx = "Sin",
         .onnx_since = 7, PLAIN, CASES("away"));
UNARY_OP(cos, cos(x), glia__apply1("neg", glia__apply2("mul", dy, glia__apply1("sin", x))),
         .doc = "y = cos x", .onnx = "Cos", .onnx_since = 7, PLAIN, CASES("away"));
UNARY_OP(erf, erf(x),
         glia__apply2("mul", glia__scaled(dy, 1.1283791670955126), /* 2/√π */
                      glia__apply1("exp", glia__apply1("neg", glia__apply1("square", x)))),
         .doc = "y = 2/√π ∫₀ˣ e^(−t²) dt", .onnx = "Erf", .onnx_since = 9, PLAIN, CASES("away"));
UNARY_OP(floor, floor(x), ZERO, .doc = "y = ⌊x⌋; gradient 0", .onnx = "Floor", .onnx_since = 6, PLAIN,
         CASES("away"));
UNARY_OP(ceil, ceil(x), ZERO, .doc = "y = ⌈x⌉; gradient 0", .onnx = "Ceil", .onnx_since = 6, PLAIN,
         CASES("away"));
UNARY_OP(round, rint(x), ZERO, .doc = "y = the nearest whole number, halves to even; gradient 0",
         .onnx = "Round", .onnx_since = 11, PLAIN, CASES("unit"));
/* clang-format on */
