/* binary.h: ops of two arrays, place by place with NumPy broadcasting, from one line each. */
#ifndef GLIA_OPS_BINARY_H
#define GLIA_OPS_BINARY_H

#include "ops/broadcast.h"
#include "ops/expr.h"

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
#define NUMBER_LOOPS(op, name, expr) \
    FLOAT_ROWS(op, expr)             \
    GLIA_BROADCAST_DISPATCH(op, name)

#define NUMBER_OP(op, expr, ...)     \
    NUMBER_LOOPS(op, op##_ref, expr) \
    BINARY_BLOCK(op, #expr, glia__infer_broadcast, __VA_ARGS__)

/* f32 and f64 only. */
#define FLOAT_OP(op, expr, ...)                                                    \
    FLOAT_ROWS(op, expr)                                                           \
    static glia_status op##_ref(const glia_call *c) {                              \
        glia__broadcast_run(c, c->out[0].dtype == GLIA_F64 ? op##_f64 : op##_f32); \
        return GLIA_OK;                                                            \
    }                                                                              \
    BINARY_BLOCK(op, #expr, glia__infer_broadcast_float, __VA_ARGS__)

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
#define FLOAT_CASES(ka, kb)                      \
    .cases = GLIA_CASES(BROADCAST_CASES(ka, kb), \
                        {.inputs = "2:i64<9 2:i64<9", .expect_error = "expected f32 or f64, found i64 2"})

#endif
