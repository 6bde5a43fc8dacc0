/* binary.c: two arrays, place by place, with NumPy broadcasting. Whole quotients and remainders are in
 * remainder.c, comparisons in compare.c. */

#include "ops/binary.h"
#include "graph/to_onnx.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
/* Shapes broadcast as in NumPy; dtypes are equal: f32, f64, i32, i64 or u8 (add, mul: bf16 too; div: f32 or f64). */
GLIA_API glia_value *glia_op_add(glia_value *a, glia_value *b); /* a + b; whole numbers wrap */
GLIA_API glia_value *glia_op_sub(glia_value *a, glia_value *b); /* a − b; whole numbers wrap */
GLIA_API glia_value *glia_op_mul(glia_value *a, glia_value *b); /* a · b; whole numbers wrap */
GLIA_API glia_value *glia_op_div(glia_value *a, glia_value *b); /* a / b */
GLIA_API glia_value *glia_op_pow(glia_value *a,
                                 glia_value *b); /* aᵇ; whole numbers wrap, and 1/aᵇ is rounded to 0 */
GLIA_API glia_value *glia_op_maximum(glia_value *a, glia_value *b); /* the larger; NaN if one is NaN */
GLIA_API glia_value *glia_op_minimum(glia_value *a, glia_value *b); /* the smaller; NaN if one is NaN */
#endif                                                              /* GLIA_OPS_HEADER */

static void pow_to_onnx(glia_to_onnx *w) {
    if (w->node->inputs[0]->type.dtype == GLIA_U8)
        glia__to_onnx_refuse(w, "ONNX has no powers of u8");
    else
        glia__to_onnx_same(w);
}

/* ONNX adds and multiplies u8 since opset 14. */
static void arithmetic_to_onnx(glia_to_onnx *w) {
    if (w->node->inputs[0]->type.dtype == GLIA_U8 && w->opset < 14)
        glia__to_onnx_refuse(w, "of u8 ONNX has it since opset 14 (--opset 14)");
    else
        glia__to_onnx_same(w);
}

/* Arrays of one shape go tile by tile. */
static glia_status run_arithmetic(const glia_call *c, glia_status (*loops)(const glia_call *)) {
    const bool flat = glia_shape_equal(&c->in[0].shape, &c->in[1].shape);
    return flat ? glia__run_tiled(c, loops) : glia__run_widened(c, 0, loops);
}

/* The same, and bf16 by way of f32. */
#define ARITHMETIC_OP(op, expr, ...)                  \
    NUMBER_LOOPS(op, op##_loops, expr)                \
    static glia_status op##_ref(const glia_call *c) { \
        return run_arithmetic(c, op##_loops);         \
    }                                                 \
    BINARY_BLOCK(op, #expr, infer_bf16, .workspace = bf16_workspace, __VA_ARGS__)

static glia_status infer_bf16(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                              glia_error *err) {
    if (in[0].dtype != GLIA_BF16) return glia__infer_broadcast(in, n_in, attrs, out, err);
    GLIA_TRY(glia__check_same_dtype(&in[0], &in[1], err));
    out[0].dtype = GLIA_BF16;
    return glia__check_broadcast(&in[0].shape, &in[1].shape, &out[0].shape, err);
}

static size_t bf16_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    const bool flat = glia_shape_equal(&in[0].shape, &in[1].shape);
    if (flat) return 3 * glia__tiled_bytes(&out[0]);
    return glia__widened_bytes(&in[0]) + glia__widened_bytes(&in[1]) + glia__widened_bytes(&out[0]);
}

#define BF16_CASES(ka, kb) \
    .cases = GLIA_CASES(BROADCAST_CASES(ka, kb), WHOLE_CASES, {.inputs = "4x5:bf16 5:bf16"})

/* aᵇ, wrapping; of b < 0 what is left of 1/a⁻ᵇ in whole numbers. */
static int64_t whole_power(int64_t a, int64_t b) {
    uint64_t result = 1, square = (uint64_t)a;
    if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    for (; b; b >>= 1) {
        if (b & 1) result *= square;
        square *= square;
    }
    return (int64_t)result;
}

/* The expressions are texts too: their spacing is kept. */
/* clang-format off */
WRAPPING_ROWS(add, x + y)
ARITHMETIC_OP(add, x + y, .doc = "y = a + b", .onnx = "Add", .onnx_since = 7, .onnx_write = arithmetic_to_onnx, PLAIN, BF16_CASES("away", "away"));

WRAPPING_ROWS(sub, x - y)
NUMBER_OP(sub, x - y, .doc = "y = a − b", .onnx = "Sub", .onnx_since = 7, .onnx_write = arithmetic_to_onnx, PLAIN,
          NUMBER_CASES("away", "away"));

WRAPPING_ROWS(mul, x * y)
ARITHMETIC_OP(mul, x * y, .doc = "y = a · b", .onnx = "Mul", .onnx_since = 7, .onnx_write = arithmetic_to_onnx, PLAIN, BF16_CASES("away", "away"));

FLOAT_OP(div, x / y, .doc = "y = a / b", .onnx = "Div", .onnx_since = 7, PLAIN, FLOAT_CASES("away", "pos"));

/* Whole powers wrap, which no expression of C says. */
static const char *pow_expr(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return glia_dtype_is_float(in->dtype) ? "pow(x, y)" : NULL;
}
SIGNED_ROWS(pow, (T)whole_power(x, y))
GLIA_BROADCAST_ROW(pow_u8, uint8_t, uint8_t, (T)whole_power(x, y))
NUMBER_OP(pow, pow(x, y), .doc = "y = aᵇ; gradient of b is 0 where a ≤ 0; whole numbers wrap", .onnx = "Pow",
          .c_expr_for = pow_expr,
          .onnx_since = 7, .onnx_write = pow_to_onnx, PLAIN, NUMBER_CASES("pos", "away"));

static const char *maximum_expr(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return glia_dtype_is_float(in->dtype) ? "x > y || x != x ? x : y" : "x > y ? x : y";
}
SIGNED_ROWS(maximum, x > y ? x : y)
GLIA_BROADCAST_ROW(maximum_u8, uint8_t, uint8_t, x > y ? x : y)
NUMBER_OP(maximum, x > y || x != x ? x : y,
          .doc = "y = max(a, b); NaN if one is NaN; a tie shares the gradient evenly", .c_expr_for = maximum_expr, .onnx = "Max",
          .onnx_since = 12, PLAIN, NUMBER_CASES("distinct", "away"));

static const char *minimum_expr(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return glia_dtype_is_float(in->dtype) ? "x < y || x != x ? x : y" : "x < y ? x : y";
}
SIGNED_ROWS(minimum, x < y ? x : y)
GLIA_BROADCAST_ROW(minimum_u8, uint8_t, uint8_t, x < y ? x : y)
NUMBER_OP(minimum, x < y || x != x ? x : y,
          .doc = "y = min(a, b); NaN if one is NaN; a tie shares the gradient evenly", .c_expr_for = minimum_expr, .onnx = "Min",
          .onnx_since = 12, PLAIN, NUMBER_CASES("distinct", "away"));
/* clang-format on */

static void add_grad(glia_gradient *g) {
    if (g->needed[0]) g->dx[0] = glia__sum_to(g->dy[0], g->x[0]);
    if (g->needed[1]) g->dx[1] = glia__sum_to(g->dy[0], g->x[1]);
}

static void sub_grad(glia_gradient *g) {
    if (g->needed[0]) g->dx[0] = glia__sum_to(g->dy[0], g->x[0]);
    if (g->needed[1]) g->dx[1] = glia__apply1("neg", glia__sum_to(g->dy[0], g->x[1]));
}

static void mul_grad(glia_gradient *g) {
    for (int i = 0; i < 2; i++)
        if (g->needed[i]) g->dx[i] = glia__sum_to(glia_op_mul(g->dy[0], g->x[1 - i]), g->x[i]);
}

/* d(a/b) = da/b − (a/b)·db/b */
static void div_grad(glia_gradient *g) {
    glia_value *da = glia_op_div(g->dy[0], g->x[1]);
    if (g->needed[0]) g->dx[0] = glia__sum_to(da, g->x[0]);
    if (g->needed[1]) g->dx[1] = glia__sum_to(glia__apply1("neg", glia_op_mul(da, g->y[0])), g->x[1]);
}

/* da = b·aᵇ⁻¹, 0 where b = 0 (also at a = 0); db = aᵇ ln a, 0 where a ≤ 0 (limit at 0, complex below). */
static void pow_grad(glia_gradient *g) {
    glia_value *a = g->x[0], *b = g->x[1], *zero = glia__number(b, 0);
    if (g->needed[0]) {
        glia_value *slope = glia_op_mul(b, glia_op_pow(a, glia_op_sub(b, glia__number(b, 1))));
        slope = glia__apply3("where", glia__apply2("equal", b, zero), zero, slope);
        g->dx[0] = glia__sum_to(glia_op_mul(g->dy[0], slope), a);
    }
    if (g->needed[1]) {
        glia_value *slope = glia_op_mul(g->y[0], glia__apply1("log", a));
        slope = glia__apply3("where", glia__apply2("greater", a, zero), slope, zero);
        g->dx[1] = glia__sum_to(glia_op_mul(g->dy[0], slope), b);
    }
}

/* a is the winner of maximum(a, b) where a > b: so maximum_backward(dy, winner, other) serves all four. */
static void maximum_grad(glia_gradient *g) {
    for (int i = 0; i < 2; i++)
        if (g->needed[i])
            g->dx[i] =
                glia__sum_to(glia__apply3("maximum_backward", g->dy[0], g->x[i], g->x[1 - i]), g->x[i]);
}

static void minimum_grad(glia_gradient *g) {
    for (int i = 0; i < 2; i++)
        if (g->needed[i])
            g->dx[i] =
                glia__sum_to(glia__apply3("maximum_backward", g->dy[0], g->x[1 - i], g->x[i]), g->x[i]);
}
