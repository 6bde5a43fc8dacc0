/* unary.h: ops y = f(x) from one line each. */
#ifndef GLIA_OPS_UNARY_H
#define GLIA_OPS_UNARY_H

#include "ops/expr.h"

/* One line an op: name, expression, gradient (dy, x, y → dx), then what differs in the block. */
#define UNARY_OP(op, expr, gradient, ...)                      \
    GLIA_EXPR_REF1(op, expr, )                                 \
    static void op##_grad(glia_gradient *g) {                  \
        glia_value *dy = g->dy[0], *x = g->x[0], *y = g->y[0]; \
        (void)x, (void)y;                                      \
        g->dx[0] = (gradient);                                 \
    }                                                          \
    glia_value *glia_op_##op(glia_value *x) {                  \
        return glia__apply1(#op, x);                           \
    }                                                          \
    GLIA_OP(op) = {.name = #op,                                \
                   .version = 1,                               \
                   .min_inputs = 1,                            \
                   .max_inputs = 1,                            \
                   .infer = glia__infer_same,                  \
                   .grad = op##_grad,                          \
                   .ref = op##_ref,                            \
                   .c_expr = #expr,                            \
                   __VA_ARGS__}

#define PLAIN .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE
/* Shapes that every unary op is tried with; `kind` keeps the values where the function is smooth. */
#define CASES(kind)                                                                                      \
    .cases = GLIA_CASES({.inputs = "4x5:" kind}, {.inputs = "2x3x17:" kind}, {.inputs = "scalar:" kind}, \
                        {.inputs = "1:" kind}, {.inputs = "0x3:" kind},                                  \
                        {.inputs = "3:i64<9", .expect_error = "expected f32 or f64, found i64 3"},       \
                        {.inputs = "2x3:bool", .expect_error = "expected f32 or f64, found bool 2×3"})

/* The gradient of a step function: zero wherever it exists. */
#define ZERO ((void)dy, NULL)

#endif
