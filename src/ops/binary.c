/* binary.c: two arrays, place by place, with NumPy broadcasting. Comparisons are in compare.c. */

#include "ops/broadcast.h"
#include "ops/expr.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
/* Shapes broadcast as in NumPy; dtypes are equal: f32, f64, i32, i64 or u8 (add, mul: bf16 too; div, pow: f32 or f64). */
GLIA_API glia_value *glia_op_add(glia_value *a, glia_value *b); /* a + b; whole numbers wrap */
GLIA_API glia_value *glia_op_sub(glia_value *a, glia_value *b); /* a − b; whole numbers wrap */
GLIA_API glia_value *glia_op_mul(glia_value *a, glia_value *b); /* a · b; whole numbers wrap */
GLIA_API glia_value *glia_op_div(glia_value *a, glia_value *b); /* a / b */
GLIA_API glia_value *glia_op_pow(glia_value *a, glia_value *b); /* aᵇ */
GLIA_API glia_value *glia_op_mod(glia_value *a,
                                 glia_value *b); /* a − ⌊a/b⌋·b: the sign of b; whole a mod 0 = 0 */
GLIA_API glia_value *glia_op_maximum(glia_value *a, glia_value *b); /* the larger; NaN if one is NaN */
GLIA_API glia_value *glia_op_minimum(glia_value *a, glia_value *b); /* the smaller; NaN if one is NaN */
#endif                                                              /* GLIA_OPS_HEADER */

#define FLOAT_ROWS(op, expr)                      \
    GLIA_BROADCAST_F32_ROW(op##_f32, float, expr) \
    GLIA_BROADCAST_ROW(op##_f64, double, double, expr)
#define SIGNED_ROWS(op, expr)                            \
    GLIA_BROADCAST_ROW(op##_i32, int32_t, int32_t, expr) \
    GLIA_BROADCAST_ROW(op##_i64, int64_t, int64_t, expr)
/* Sums and products of signed numbers as unsigned ones: the same bits, and overflow is defined. */
#define WRAPPING_ROWS(op, expr)                            \
    GLIA_BROADCAST_ROW(op##_i32, uint32_t, uint32_t, expr) \
    GLIA_BROADCAST_ROW(op##_i64, uint64_t, uint64_t, expr) \
    GLIA_BROADCAST_ROW(op##_u8, uint8_t, uint8_t, expr)

#define BINARY_BLOCK(op, text, infer_rule, ...)              \
    static void op##_grad(glia_gradient *g);                 \
    glia_value *glia_op_##op(glia_value *a, glia_value *b) { \
        return glia__apply2(#op, a, b);                      \
    }                                                        \
    GLIA_OP(op) = {.name = #op,                              \
                   .version = 1,                             \
                   .min_inputs = 2,                          \
                   .max_inputs = 2,                          \
                   .infer = infer_rule,                      \
                   .grad = op##_grad,                        \
                   .ref = op##_ref,                          \
                   .c_expr = text,                           \
                   __VA_ARGS__}

/* The loops of f32, f64, i32, i64, u8; rows of the whole numbers are defined before. */
#define NUMBER_LOOPS(op, name, expr)              \
    FLOAT_ROWS(op, expr)                          \
    static glia_status name(const glia_call *c) { \
        switch (c->out[0].dtype) {                \
        case GLIA_F64:                            \
            glia__broadcast_run(c, op##_f64);     \
            break;                                \
        case GLIA_I32:                            \
            glia__broadcast_run(c, op##_i32);     \
            break;                                \
        case GLIA_I64:                            \
            glia__broadcast_run(c, op##_i64);     \
            break;                                \
        case GLIA_U8:                             \
            glia__broadcast_run(c, op##_u8);      \
            break;                                \
        default:                                  \
            glia__broadcast_run(c, op##_f32);     \
            break;                                \
        }                                         \
        return GLIA_OK;                           \
    }

#define NUMBER_OP(op, expr, ...)     \
    NUMBER_LOOPS(op, op##_ref, expr) \
    BINARY_BLOCK(op, #expr, glia__infer_broadcast, __VA_ARGS__)

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

/* f32 and f64 only. */
#define FLOAT_OP(op, expr, ...)                                                    \
    FLOAT_ROWS(op, expr)                                                           \
    static glia_status op##_ref(const glia_call *c) {                              \
        glia__broadcast_run(c, c->out[0].dtype == GLIA_F64 ? op##_f64 : op##_f32); \
        return GLIA_OK;                                                            \
    }                                                                              \
    BINARY_BLOCK(op, #expr, infer_float, __VA_ARGS__)

static glia_status infer_float(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                               glia_error *err) {
    GLIA_TRY(glia__check_float(&in[0], err));
    return glia__infer_broadcast(in, n_in, attrs, out, err);
}

#define PLAIN .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE
/* Every kind of broadcasting: none, scalar on either side, row, column, channel, outer product, empty. */
#define BROADCAST_CASES(ka, kb)                                                                           \
    {.inputs = "4x5:" ka " 4x5:" kb}, {.inputs = "scalar:" ka " scalar:" kb},                             \
        {.inputs = "3x4:" ka " scalar:" kb}, {.inputs = "scalar:" ka " 7:" kb},                           \
        {.inputs = "6x5:" ka " 5:" kb}, {.inputs = "5:" ka " 6x5:" kb}, {.inputs = "6x5:" ka " 6x1:" kb}, \
        {.inputs = "2x3x4x5:" ka " 3x1x1:" kb}, {.inputs = "3x1:" ka " 1x4:" kb},                         \
        {.inputs = "2x1x3x1:" ka " 1x4x1x5:" kb}, {.inputs = "1x1:" ka " 1:" kb},                         \
        {.inputs = "0x3:" ka " 3:" kb}, {.inputs = "17:" ka " 17:" kb},                                   \
        {.inputs = "4x5 4x3", .expect_error = "shapes 4×5 and 4×3 do not broadcast"},                     \
        {.inputs = "2x3 2", .expect_error = "shapes 2×3 and 2 do not broadcast"}, {                       \
        .inputs = "2x3 2x3:i64<9", .expect_error = "dtypes differ: f32 2×3 and i64 2×3"                 \
    }
#define WHOLE_CASES                                                                                      \
    {.inputs = "4x5:i32<9 5:i32<9"}, {.inputs = "4x1:i64<9 4x3:i64<9"}, {.inputs = "2x3:u8<9 3:u8<9"}, { \
        .inputs = "2:bool 2:bool", .expect_error = "found bool 2; cast it first"                         \
    }
#define NUMBER_CASES(ka, kb) .cases = GLIA_CASES(BROADCAST_CASES(ka, kb), WHOLE_CASES)
#define BF16_CASES(ka, kb) \
    .cases = GLIA_CASES(BROADCAST_CASES(ka, kb), WHOLE_CASES, {.inputs = "4x5:bf16 5:bf16"})
#define FLOAT_CASES(ka, kb)                      \
    .cases = GLIA_CASES(BROADCAST_CASES(ka, kb), \
                        {.inputs = "2:i64<9 2:i64<9", .expect_error = "expected f32 or f64, found i64 2"})

/* The expressions are texts too: their spacing is kept. */
/* clang-format off */
WRAPPING_ROWS(add, x + y)
ARITHMETIC_OP(add, x + y, .doc = "y = a + b", .onnx = "Add", .onnx_since = 7, PLAIN, BF16_CASES("away", "away"));

WRAPPING_ROWS(sub, x - y)
NUMBER_OP(sub, x - y, .doc = "y = a − b", .onnx = "Sub", .onnx_since = 7, PLAIN,
          NUMBER_CASES("away", "away"));

WRAPPING_ROWS(mul, x * y)
ARITHMETIC_OP(mul, x * y, .doc = "y = a · b", .onnx = "Mul", .onnx_since = 7, PLAIN, BF16_CASES("away", "away"));

FLOAT_OP(div, x / y, .doc = "y = a / b", .onnx = "Div", .onnx_since = 7, PLAIN, FLOAT_CASES("away", "pos"));

FLOAT_OP(pow, pow(x, y), .doc = "y = aᵇ; gradient of b is 0 where a ≤ 0", .onnx = "Pow", .onnx_since = 7,
         PLAIN, FLOAT_CASES("pos", "away"));

SIGNED_ROWS(mod, y == 0 || y == -1 ? 0 : x % y != 0 && (x % y < 0) != (y < 0) ? x % y + y : x % y)
GLIA_BROADCAST_ROW(mod_u8, uint8_t, uint8_t, y == 0 ? 0 : x % y)
NUMBER_OP(mod, fmod(x, y) + (fmod(x, y) != 0 && (fmod(x, y) < 0) != (y < 0) ? y : 0),
          .doc = "y = a − ⌊a/b⌋·b, with the sign of b; whole numbers: a mod 0 = 0",
          .source = "numpy.mod; ONNX Mod has this sign for whole numbers only",
          .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE | GLIA_TRAIT_NO_ONNX,
          NUMBER_CASES("away", "pos"));

SIGNED_ROWS(maximum, x > y ? x : y)
GLIA_BROADCAST_ROW(maximum_u8, uint8_t, uint8_t, x > y ? x : y)
NUMBER_OP(maximum, x > y || x != x ? x : y,
          .doc = "y = max(a, b); NaN if one is NaN; a tie shares the gradient evenly", .onnx = "Max",
          .onnx_since = 12, PLAIN, NUMBER_CASES("distinct", "away"));

SIGNED_ROWS(minimum, x < y ? x : y)
GLIA_BROADCAST_ROW(minimum_u8, uint8_t, uint8_t, x < y ? x : y)
NUMBER_OP(minimum, x < y || x != x ? x : y,
          .doc = "y = min(a, b); NaN if one is NaN; a tie shares the gradient evenly", .onnx = "Min",
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

static void mod_grad(glia_gradient *g) {
    if (g->needed[0]) g->dx[0] = glia__sum_to(g->dy[0], g->x[0]);
    if (g->needed[1]) {
        glia_value *whole = glia__apply1("floor", glia_op_div(g->x[0], g->x[1]));
        g->dx[1] = glia__apply1("neg", glia__sum_to(glia_op_mul(g->dy[0], whole), g->x[1]));
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
