/* trigonometry.c: functions of angles and of the hyperbola, place by place, any shape. sin and cos are in unary.c, tanh in
 * activation.c. */

#include "ops/unary.h"

#ifdef GLIA_OPS_HEADER
GLIA_API glia_value *glia_op_tan(glia_value *x);   /* tan x, radians */
GLIA_API glia_value *glia_op_asin(glia_value *x);  /* arcsin x; NaN outside [−1, 1] */
GLIA_API glia_value *glia_op_acos(glia_value *x);  /* arccos x; NaN outside [−1, 1] */
GLIA_API glia_value *glia_op_atan(glia_value *x);  /* arctan x */
GLIA_API glia_value *glia_op_sinh(glia_value *x);  /* (eˣ − e⁻ˣ)/2 */
GLIA_API glia_value *glia_op_cosh(glia_value *x);  /* (eˣ + e⁻ˣ)/2 */
GLIA_API glia_value *glia_op_asinh(glia_value *x); /* ln(x + √(x² + 1)) */
GLIA_API glia_value *glia_op_acosh(glia_value *x); /* ln(x + √(x² − 1)); NaN for x < 1 */
GLIA_API glia_value *glia_op_atanh(glia_value *x); /* ln((1 + x)/(1 − x))/2; NaN outside [−1, 1] */
#endif                                             /* GLIA_OPS_HEADER */

/* square · v² + constant */
static glia_value *quadratic(glia_value *v, double square, double constant) {
    return glia__apply2("add", glia__scaled(glia__apply1("square", v), square), glia__number(v, constant));
}

static glia_value *times(glia_value *a, glia_value *b) {
    return glia__apply2("mul", a, b);
}

static glia_value *rsqrt(glia_value *x) {
    return glia__apply1("rsqrt", x);
}

/* The expressions are texts too: their spacing is kept. */
/* clang-format off */
UNARY_OP(tan, tan(x), times(dy, quadratic(y, 1, 1)), .doc = "y = tan x", .onnx = "Tan", .onnx_since = 7, PLAIN,
         CASES("unit"));
UNARY_OP(asin, asin(x), times(dy, rsqrt(quadratic(x, -1, 1))), .doc = "y = arcsin x", .onnx = "Asin",
         .onnx_since = 7, PLAIN, CASES("unit"));
UNARY_OP(acos, acos(x), glia__apply1("neg", times(dy, rsqrt(quadratic(x, -1, 1)))), .doc = "y = arccos x",
         .onnx = "Acos", .onnx_since = 7, PLAIN, CASES("unit"));
UNARY_OP(atan, atan(x), glia__apply2("div", dy, quadratic(x, 1, 1)), .doc = "y = arctan x", .onnx = "Atan",
         .onnx_since = 7, PLAIN, CASES("away"));
UNARY_OP(sinh, sinh(x), times(dy, glia_op_cosh(x)), .doc = "y = (eˣ − e⁻ˣ)/2", .onnx = "Sinh",
         .onnx_since = 9, PLAIN, CASES("away"));
UNARY_OP(cosh, cosh(x), times(dy, glia_op_sinh(x)), .doc = "y = (eˣ + e⁻ˣ)/2", .onnx = "Cosh",
         .onnx_since = 9, PLAIN, CASES("away"));
UNARY_OP(asinh, asinh(x), times(dy, rsqrt(quadratic(x, 1, 1))), .doc = "y = ln(x + √(x² + 1))",
         .onnx = "Asinh", .onnx_since = 9, PLAIN, CASES("away"));
UNARY_OP(acosh, acosh(x), times(dy, rsqrt(quadratic(x, 1, -1))), .doc = "y = ln(x + √(x² − 1))",
         .onnx = "Acosh", .onnx_since = 9, PLAIN, CASES("above"));
UNARY_OP(atanh, atanh(x), glia__apply2("div", dy, quadratic(x, -1, 1)), .doc = "y = ln((1 + x)/(1 − x))/2",
         .onnx = "Atanh", .onnx_since = 9, PLAIN, CASES("unit"));
/* clang-format on */
