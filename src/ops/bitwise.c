/* bitwise.c: the bits of whole numbers, place by place with NumPy broadcasting. */

#include "graph/to_onnx.h"
#include "ops/broadcast.h"
#include "ops/expr.h"

#ifdef GLIA_OPS_HEADER
/* Shapes broadcast as in NumPy; dtypes are equal: i32, i64 or u8. */
GLIA_API glia_value *glia_op_bitwise_and(glia_value *a, glia_value *b); /* a & b */
GLIA_API glia_value *glia_op_bitwise_or(glia_value *a, glia_value *b);  /* a | b */
GLIA_API glia_value *glia_op_bitwise_xor(glia_value *a, glia_value *b); /* a ^ b */
GLIA_API glia_value *glia_op_bitwise_not(glia_value *a);                /* ~a */
typedef struct glia_bit_shift_attrs {
    int direction; /* 0 left, 1 right */
} glia_bit_shift_attrs;
/* The bits of a moved by b places; to the right the sign stays. At the width, or when b < 0, nothing but the sign is left,
 * to the left nothing. */
GLIA_API glia_value *glia_op_bit_shift(glia_value *a, glia_value *b, glia_bit_shift_attrs attrs);
#endif /* GLIA_OPS_HEADER */

static glia_status infer_whole(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                               glia_error *err) {
    char text[160];
    if (in[0].dtype != GLIA_I32 && in[0].dtype != GLIA_I64 && in[0].dtype != GLIA_U8)
        return glia_error_set(err, GLIA_BAD_SHAPE, "expected i32, i64 or u8, found %s",
                              glia__type_text(&in[0], text, sizeof text));
    return glia__infer_broadcast(in, n_in, attrs, out, err);
}

/* Unsigned rows serve signed numbers: bits are bits. */
#define WHOLE_LOOPS(name, expr)                                                           \
    GLIA_BROADCAST_ROW(name##_4, uint32_t, uint32_t, expr)                                \
    GLIA_BROADCAST_ROW(name##_8, uint64_t, uint64_t, expr)                                \
    GLIA_BROADCAST_ROW(name##_1, uint8_t, uint8_t, expr)                                  \
    static glia_status name(const glia_call *c) {                                         \
        const size_t bytes = glia_dtype_bytes(c->out[0].dtype);                           \
        glia__broadcast_run(c, bytes == 8 ? name##_8 : bytes == 4 ? name##_4 : name##_1); \
        return GLIA_OK;                                                                   \
    }

#define TRAITS .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE | GLIA_TRAIT_NO_GRADIENT
#define CASES                                                                                             \
    .cases = GLIA_CASES({.inputs = "4x5:i32<99 4x5:i32<99"}, {.inputs = "3x4:i64<99 4:i64<9"},            \
                        {.inputs = "2x3:u8<200 2x1:u8<9"}, {.inputs = "scalar:i64<9 3:i64<9"},            \
                        {.inputs = "0x3:i32<9 3:i32<9"},                                                  \
                        {.inputs = "3:i64<9 4:i64<9", .expect_error = "shapes 3 and 4 do not broadcast"}, \
                        {.inputs = "3 3", .expect_error = "expected i32, i64 or u8, found f32 3"})

#define BITWISE_OP(op, expr, ...)                            \
    WHOLE_LOOPS(op##_ref, expr)                              \
    glia_value *glia_op_##op(glia_value *a, glia_value *b) { \
        return glia__apply2(#op, a, b);                      \
    }                                                        \
    GLIA_OP(op) = {.name = #op,                              \
                   .version = 1,                             \
                   .min_inputs = 2,                          \
                   .max_inputs = 2,                          \
                   TRAITS,                                   \
                   .infer = infer_whole,                     \
                   .ref = op##_ref,                          \
                   .onnx_since = 18,                         \
                   .c_expr = #expr,                          \
                   CASES,                                    \
                   __VA_ARGS__}

/* The expressions are texts too: their spacing is kept. */
/* clang-format off */
BITWISE_OP(bitwise_and, x & y, .doc = "y = a & b", .onnx = "BitwiseAnd");
BITWISE_OP(bitwise_or, x | y, .doc = "y = a | b", .onnx = "BitwiseOr");
BITWISE_OP(bitwise_xor, x ^ y, .doc = "y = a ^ b", .onnx = "BitwiseXor");

/* clang-format on */

/* a ^ a number with all bits set. */
static glia_status bitwise_not_ref(const glia_call *c) {
    uint64_t ones = UINT64_MAX;
    const glia_view in[] = {c->in[0], {.data = &ones, .dtype = c->in[0].dtype}};
    glia_call pair = *c;
    pair.in = in;
    pair.n_in = 2;
    return bitwise_xor_ref(&pair);
}

GLIA_OP(bitwise_not) = {
    .name = "bitwise_not",
    .version = 1,
    .doc = "y = ~a",
    .min_inputs = 1,
    .max_inputs = 1,
    TRAITS,
    .infer = infer_whole,
    .ref = bitwise_not_ref,
    .onnx = "BitwiseNot",
    .onnx_since = 18,
    .c_expr = "~x",
    .cases = GLIA_CASES({.inputs = "4x5:i32<99"}, {.inputs = "7:i64<99"}, {.inputs = "2x3:u8<200"},
                        {.inputs = "scalar:i64<9"}, {.inputs = "0x3:i32<9"},
                        {.inputs = "3", .expect_error = "expected i32, i64 or u8, found f32 3"}),
};

glia_value *glia_op_bitwise_not(glia_value *a) {
    return glia__apply1("bitwise_not", a);
}

/* --- shift ------------------------------------------------------------------------------------------------ */

/* A shift by less than nothing counts as one by more than the width: nothing but the sign is left. */
#define IN_WIDTH(y) ((uint64_t)(y) < sizeof(T) * 8)
WHOLE_LOOPS(shift_left, IN_WIDTH(y) ? (uint64_t)x << y : 0)
GLIA_BROADCAST_ROW(shift_right_i32, int32_t, int32_t,
                   (x < 0 ? ~0 : 0) ^ (IN_WIDTH(y) ? (x < 0 ? ~x : x) >> y : 0))
GLIA_BROADCAST_ROW(shift_right_i64, int64_t, int64_t,
                   (x < 0 ? ~0 : 0) ^ (IN_WIDTH(y) ? (x < 0 ? ~x : x) >> y : 0))
GLIA_BROADCAST_ROW(shift_right_u8, uint8_t, uint8_t, IN_WIDTH(y) ? x >> y : 0)

static glia_status bit_shift_ref(const glia_call *c) {
    if (!((const glia_bit_shift_attrs *)c->attrs)->direction) return shift_left(c);
    const glia_dtype dtype = c->out[0].dtype;
    glia__broadcast_run(c, dtype == GLIA_I64   ? shift_right_i64
                           : dtype == GLIA_I32 ? shift_right_i32
                                               : shift_right_u8);
    return GLIA_OK;
}

static const char *bit_shift_expr(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    if (in->dtype == GLIA_U8) return "y < 8 ? (direction ? x >> y : x << y) : 0";
    return "y >= 0 && y < (int)sizeof x * 8 ? (direction ? x >> y : x << y) : direction && x < 0 ? -1 : 0";
}

static void bit_shift_to_onnx(glia_to_onnx *w) {
    const glia_dtype dtype = w->node->inputs[0]->type.dtype;
    if (dtype != GLIA_U8)
        glia__to_onnx_refuse(w, "ONNX shifts no %s, only unsigned numbers", glia_dtype_name(dtype));
    else
        glia__to_onnx_same(w);
}

GLIA_OP(bit_shift) = {
    .name = "bit_shift",
    .version = 1,
    .doc = "y = a·2ᵇ (left, whole numbers wrap) or ⌊a/2ᵇ⌋ (right)",
    .min_inputs = 2,
    .max_inputs = 2,
    TRAITS,
    .attrs = GLIA_FIELDS({.name = "direction",
                          .kind = GLIA_FIELD_CHOICE,
                          .offset = offsetof(glia_bit_shift_attrs, direction),
                          .initial = "LEFT",
                          .choices = "LEFT|RIGHT",
                          .doc = "where the bits go"}),
    .attrs_size = sizeof(glia_bit_shift_attrs),
    .infer = infer_whole,
    .ref = bit_shift_ref,
    .onnx = "BitShift",
    .onnx_since = 11,
    .onnx_write = bit_shift_to_onnx,
    .c_expr_for = bit_shift_expr,
    .cases = GLIA_CASES({.inputs = "4x5:u8<200 4x5:u8<9"},
                        {.inputs = "4x5:u8<200 5:u8<9", .attrs = "direction=RIGHT"},
                        {.inputs = "3:i32<9 3:i32<40"},
                        {.inputs = "3:i64<9 scalar:i64<70", .attrs = "direction=RIGHT"},
                        {.inputs = "0x3:u8<9 3:u8<9"},
                        {.inputs = "3 3", .expect_error = "expected i32, i64 or u8, found f32 3"}),
};

glia_value *glia_op_bit_shift(glia_value *a, glia_value *b, glia_bit_shift_attrs attrs) {
    return glia_graph_apply(glia_value_graph(a), "bit_shift", (glia_value *[]){a, b}, 2, &attrs);
}
