/* compare.c: comparisons and logic, which give bool, and the choice between two arrays. */

#include "graph/to_onnx.h"
#include "ops/broadcast.h"
#include "ops/expr.h"

#ifdef GLIA_OPS_HEADER
/* Comparisons: shapes broadcast as in NumPy, equal dtypes; the result is bool. With NaN all but not_equal are
 * false. */
GLIA_API glia_value *glia_op_equal(glia_value *a, glia_value *b);         /* a = b */
GLIA_API glia_value *glia_op_not_equal(glia_value *a, glia_value *b);     /* a ≠ b */
GLIA_API glia_value *glia_op_less(glia_value *a, glia_value *b);          /* a < b */
GLIA_API glia_value *glia_op_less_equal(glia_value *a, glia_value *b);    /* a ≤ b */
GLIA_API glia_value *glia_op_greater(glia_value *a, glia_value *b);       /* a > b */
GLIA_API glia_value *glia_op_greater_equal(glia_value *a, glia_value *b); /* a ≥ b */
GLIA_API glia_value *glia_op_logical_and(glia_value *a, glia_value *b);   /* a and b; bool */
GLIA_API glia_value *glia_op_logical_or(glia_value *a, glia_value *b);    /* a or b; bool */
GLIA_API glia_value *glia_op_logical_xor(glia_value *a, glia_value *b);   /* either a or b; bool */
GLIA_API glia_value *glia_op_logical_not(glia_value *a);                  /* not a; bool */
/* a where the bool `condition` holds, b elsewhere; all three broadcast, a and b have one dtype. */
GLIA_API glia_value *glia_op_where(glia_value *condition, glia_value *a, glia_value *b);
#endif /* GLIA_OPS_HEADER */

static glia_status infer_compare(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    GLIA_TRY(glia__infer_broadcast(in, n_in, attrs, out, err));
    out[0].dtype = GLIA_BOOL;
    return GLIA_OK;
}

static glia_status check_bool(const glia_type *type, glia_error *err) {
    if (type->dtype == GLIA_BOOL) return GLIA_OK;
    char text[160];
    return glia_error_set(err, GLIA_BAD_SHAPE, "expected bool, found %s; compare it with something",
                          glia__type_text(type, text, sizeof text));
}

static glia_status infer_logical(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    (void)attrs;
    glia_type result = in[0];
    for (int i = 0; i < n_in; i++) {
        GLIA_TRY(check_bool(&in[i], err));
        GLIA_TRY(glia__check_broadcast(&result.shape, &in[i].shape, &result.shape, err));
    }
    out[0] = result;
    return GLIA_OK;
}

#define PLAIN .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_NO_GRADIENT
#define BINARY(op)                                           \
    glia_value *glia_op_##op(glia_value *a, glia_value *b) { \
        return glia__apply2(#op, a, b);                      \
    }
#define COMPARE_OP(op, expr, ...)                        \
    GLIA_BROADCAST_F32_ROW(op##_f32, uint8_t, expr)      \
    GLIA_BROADCAST_ROW(op##_f64, double, uint8_t, expr)  \
    GLIA_BROADCAST_ROW(op##_i32, int32_t, uint8_t, expr) \
    GLIA_BROADCAST_ROW(op##_i64, int64_t, uint8_t, expr) \
    GLIA_BROADCAST_ROW(op##_u8, uint8_t, uint8_t, expr)  \
    GLIA_BROADCAST_DISPATCH(op, op##_ref)                \
    BINARY(op)                                           \
    GLIA_OP(op) = {.name = #op,                          \
                   .version = 1,                         \
                   .min_inputs = 2,                      \
                   .max_inputs = 2,                      \
                   .infer = infer_compare,               \
                   .ref = op##_ref,                      \
                   .c_expr = #expr,                      \
                   .cases = COMPARE_CASES,               \
                   __VA_ARGS__}
#define COMPARE_CASES                                                                                     \
    GLIA_CASES({.inputs = "4x5 4x5"}, {.inputs = "3x4:i64<3 4:i64<3"}, {.inputs = "2x3:i32<2 2x1:i32<2"}, \
               {.inputs = "9:u8<3 scalar:u8<3"}, {.inputs = "scalar 2x3x2"}, {.inputs = "0x3 3"},         \
               {.inputs = "2x3x2x2 3x1x1"}, {.inputs = "scalar:i64<2 scalar:i64<2"},                      \
               {.inputs = "4x5 4x3", .expect_error = "shapes 4×5 and 4×3 do not broadcast"},              \
               {.inputs = "3 3:i64<3", .expect_error = "dtypes differ: f32 3 and i64 3"},                 \
               {.inputs = "3:bool 3:bool", .expect_error = "found bool 3; cast it first"})

COMPARE_OP(equal, x == y, .doc = "y = (a = b)", .onnx = "Equal", .onnx_since = 7, PLAIN);
static void not_equal_to_onnx(glia_to_onnx *w) {
    GLIA_TO_ONNX(w, w->y[0], "Not", GLIA_TO_ONNX(w, NULL, "Equal", w->x[0], w->x[1]));
}
COMPARE_OP(not_equal, x != y, .doc = "y = (a ≠ b)", .onnx_write = not_equal_to_onnx, PLAIN);
COMPARE_OP(less, x < y, .doc = "y = (a < b)", .onnx = "Less", .onnx_since = 7, PLAIN);
COMPARE_OP(less_equal, x <= y, .doc = "y = (a ≤ b)", .onnx = "LessOrEqual", .onnx_since = 12, PLAIN);
COMPARE_OP(greater, x > y, .doc = "y = (a > b)", .onnx = "Greater", .onnx_since = 7, PLAIN);
COMPARE_OP(greater_equal, x >= y, .doc = "y = (a ≥ b)", .onnx = "GreaterOrEqual", .onnx_since = 12, PLAIN);

#define LOGICAL_OP(op, expr, ...)                                                                        \
    GLIA_BROADCAST_ROW(op##_row, uint8_t, uint8_t, expr)                                                 \
    static glia_status op##_ref(const glia_call *c) {                                                    \
        glia__broadcast_run(c, op##_row);                                                                \
        return GLIA_OK;                                                                                  \
    }                                                                                                    \
    BINARY(op)                                                                                           \
    GLIA_OP(op) = {.name = #op,                                                                          \
                   .version = 1,                                                                         \
                   .min_inputs = 2,                                                                      \
                   .max_inputs = 2,                                                                      \
                   PLAIN | GLIA_TRAIT_INPLACE,                                                           \
                   .infer = infer_logical,                                                               \
                   .ref = op##_ref,                                                                      \
                   .c_expr = #expr,                                                                      \
                   .cases =                                                                              \
                       GLIA_CASES({.inputs = "4x5:bool 4x5:bool"}, {.inputs = "3x4:bool 3x1:bool"},      \
                                  {.inputs = "scalar:bool 3:bool"}, {.inputs = "0x3:bool 3:bool"},       \
                                  {.inputs = "3:bool 4:bool", .expect_error = "shapes 3 and 4 do"},      \
                                  {.inputs = "3 3:bool", .expect_error = "expected bool, found f32 3"}), \
                   __VA_ARGS__}

LOGICAL_OP(logical_and, x != 0 && y != 0, .doc = "y = a and b", .onnx = "And", .onnx_since = 7);
LOGICAL_OP(logical_or, x != 0 || y != 0, .doc = "y = a or b", .onnx = "Or", .onnx_since = 7);
LOGICAL_OP(logical_xor, (x != 0) != (y != 0), .doc = "y = either a or b", .onnx = "Xor", .onnx_since = 7);

static glia_status logical_not_ref(const glia_call *c) {
    const uint8_t *x = c->in[0].data;
    uint8_t *y = c->out[0].data;
    int64_t n = glia_shape_elems(&c->out[0].shape);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] == 0;
    return GLIA_OK;
}

GLIA_OP(logical_not) = {
    .name = "logical_not",
    .version = 1,
    .doc = "y = not a",
    .min_inputs = 1,
    .max_inputs = 1,
    PLAIN | GLIA_TRAIT_INPLACE,
    .infer = infer_logical,
    .ref = logical_not_ref,
    .onnx = "Not",
    .onnx_since = 1,
    .c_expr = "x == 0",
    .cases = GLIA_CASES({.inputs = "4x5:bool"}, {.inputs = "scalar:bool"}, {.inputs = "0:bool"},
                        {.inputs = "3", .expect_error = "expected bool, found f32 3"}),
};

glia_value *glia_op_logical_not(glia_value *a) {
    return glia__apply1("logical_not", a);
}

/* where moves elements and does not look at them: one row a size serves every dtype. */
#define WHERE_ROW(type)                                                                           \
    static void where_##type(void *out_, const void *const *in, const int64_t *step, int64_t n) { \
        const uint8_t *condition = in[0];                                                         \
        const type *a = in[1], *b = in[2];                                                        \
        type *out = out_;                                                                         \
        const int64_t sc = step[0], sa = step[1], sb = step[2];                                   \
        for (int64_t i = 0; i < n; i++) {                                                         \
            const type x = a[i * sa], y = b[i * sb];                                              \
            out[i] = condition[i * sc] ? x : y;                                                   \
        }                                                                                         \
    }
WHERE_ROW(uint8_t)
WHERE_ROW(uint16_t)
WHERE_ROW(uint32_t)
WHERE_ROW(uint64_t)

static glia_status where_ref(const glia_call *c) {
    switch (glia_dtype_bytes(c->out[0].dtype)) {
    case 1:
        glia__broadcast_run(c, where_uint8_t);
        break;
    case 2:
        glia__broadcast_run(c, where_uint16_t);
        break;
    case 4:
        glia__broadcast_run(c, where_uint32_t);
        break;
    default:
        glia__broadcast_run(c, where_uint64_t);
        break;
    }
    return GLIA_OK;
}

static glia_status where_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                               glia_error *err) {
    (void)n_in, (void)attrs;
    GLIA_TRY(check_bool(&in[0], err));
    GLIA_TRY(glia__check_same_dtype(&in[1], &in[2], err));
    out[0].dtype = in[1].dtype;
    GLIA_TRY(glia__check_broadcast(&in[0].shape, &in[1].shape, &out[0].shape, err));
    return glia__check_broadcast(&out[0].shape, &in[2].shape, &out[0].shape, err);
}

static void where_grad(glia_gradient *g) {
    glia_value *zero = glia__number(g->dy[0], 0);
    if (g->needed[1]) g->dx[1] = glia__sum_to(glia_op_where(g->x[0], g->dy[0], zero), g->x[1]);
    if (g->needed[2]) g->dx[2] = glia__sum_to(glia_op_where(g->x[0], zero, g->dy[0]), g->x[2]);
}

GLIA_OP(where) = {
    .name = "where",
    .version = 1,
    .doc = "y = a where the condition holds, else b",
    .min_inputs = 3,
    .max_inputs = 3,
    .traits = GLIA_TRAIT_ELEMENTWISE,
    .infer = where_infer,
    .grad = where_grad,
    .ref = where_ref,
    .onnx = "Where",
    .onnx_since = 9,
    .c_expr = "x ? y : z",
    .cases = GLIA_CASES({.inputs = "4x5:bool 4x5 4x5"}, {.inputs = "4x5:bool 5 scalar"},
                        {.inputs = "4x1:bool 4x5 4x5"}, {.inputs = "scalar:bool scalar 3"},
                        {.inputs = "2x3:bool 2x3:i64<9 2x3:i64<9"}, {.inputs = "3:bool 3:u8<9 3:u8<9"},
                        {.inputs = "3:bool 3:bool 3:bool"}, {.inputs = "0x3:bool 3 1x3"},
                        {.inputs = "3 3 3", .expect_error = "expected bool, found f32 3"},
                        {.inputs = "3:bool 3 3:i64<9", .expect_error = "dtypes differ: f32 3 and i64 3"},
                        {.inputs = "3:bool 4 3", .expect_error = "shapes 3 and 4 do not broadcast"}),
};

glia_value *glia_op_where(glia_value *condition, glia_value *a, glia_value *b) {
    return glia__apply3("where", condition, a, b);
}

/* The part of dy that goes to a in maximum(a, b), and to b in minimum: all where a wins, half in a tie. */
#define MAXIMUM_BACKWARD_ROW(type)                                                                           \
    static void maximum_backward_##type(void *out_, const void *const *in, const int64_t *step, int64_t n) { \
        const type *dy = in[0], *a = in[1], *b = in[2];                                                      \
        type *out = out_;                                                                                    \
        const int64_t sd = step[0], sa = step[1], sb = step[2];                                              \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            const type x = dy[i * sd], y = a[i * sa], z = b[i * sb];                                         \
            out[i] = y > z ? x : y < z ? 0 : x / 2;                                                          \
        }                                                                                                    \
    }
MAXIMUM_BACKWARD_ROW(float)
MAXIMUM_BACKWARD_ROW(double)

static glia_status maximum_backward_ref(const glia_call *c) {
    glia__broadcast_run(c, c->out[0].dtype == GLIA_F64 ? maximum_backward_double : maximum_backward_float);
    return GLIA_OK;
}

static void maximum_backward_grad(glia_gradient *g) {
    if (g->needed[0])
        g->dx[0] = glia__sum_to(glia__apply3("maximum_backward", g->dy[0], g->x[1], g->x[2]), g->x[0]);
}

GLIA_OP(maximum_backward) = {
    .name = "maximum_backward",
    .version = 1,
    .doc = "dx = dy where a > b, dy/2 where a = b, else 0",
    .min_inputs = 3,
    .max_inputs = 3,
    .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE | GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .infer = glia__infer_broadcast_float,
    .grad = maximum_backward_grad,
    .ref = maximum_backward_ref,
    .c_expr = "y > z ? x : y < z ? 0 : x / 2",
    .cases = GLIA_CASES({.inputs = "4x5 4x5:distinct 4x5:away"}, {.inputs = "4x5 5:distinct 4x1:away"},
                        {.inputs = "scalar scalar scalar"}, {.inputs = "0x3 3 3"},
                        {.inputs = "3 3 4", .expect_error = "shapes 3 and 4 do not broadcast"},
                        {.inputs = "3:i64<9 3 3", .expect_error = "expected f32 or f64, found i64 3"}),
};
