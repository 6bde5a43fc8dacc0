/* expr.h: elementwise ops from one line: the expression that computes an element is both the loop of .ref and
 * the text (.c_expr) that the C exporter and fused kernels use.
 *
 * Expressions are C99 with <tgmath.h> (exp(x) is expf for f32), in x, y, z (inputs 0, 1, 2), T (float or
 * double) and the op's attributes by name. All pass a NaN on: a network that breaks must show it. */
#ifndef GLIA_OPS_EXPR_H
#define GLIA_OPS_EXPR_H

#include "core/isa.h"
#include "glia/ops.h"
#include "graph/op.h"
#include "ops/mathf.h"

/* Declares attribute `field` of glia_<op>_attrs as a T. */
#define GLIA_EXPR_ATTR(op, field) const T field = (T)((const glia_##op##_attrs *)c->attrs)->field

/* The loops: y[i] = expression of x[i]; or of x[i] and y[i]. */
#define GLIA_EXPR_LOOP1(expr)         \
    for (int64_t i = 0; i < n; i++) { \
        const T x = in[0][i];         \
        out[i] = (T)(expr);           \
    }
#define GLIA_EXPR_LOOP2(expr)               \
    for (int64_t i = 0; i < n; i++) {       \
        const T x = in[0][i], y = in[1][i]; \
        out[i] = (T)(expr);                 \
    }

/* Defines name_ref: for f32 compiled for each instruction set, and for f64. `locals` declares attributes. */
#define GLIA_EXPR_REF(name, locals, ...)                                     \
    GLIA_EXPR_LOOPS(GLIA_CPU_CLONES, name##_f32, float, locals, __VA_ARGS__) \
    GLIA_EXPR_LOOPS(GLIA_CPU_PLAIN, name##_f64, double, locals, __VA_ARGS__) \
    static glia_status name##_ref(const glia_call *c) {                      \
        c->out[0].dtype == GLIA_F64 ? name##_f64(c) : name##_f32(c);         \
        return GLIA_OK;                                                      \
    }
#define GLIA_EXPR_LOOPS(function, name, type, locals, ...)                   \
    function(void, name, (const glia_call *c), (c)) {                        \
        typedef type T;                                                      \
        const int64_t n = glia_shape_elems(&c->out[0].shape);                \
        const T *in[] = {c->in[0].data, c->n_in > 1 ? c->in[1].data : NULL}; \
        T *out = c->out[0].data;                                             \
        locals;                                                              \
        __VA_ARGS__                                                          \
    }
#define GLIA_EXPR_REF1(name, expr, locals) GLIA_EXPR_REF(name, locals, GLIA_EXPR_LOOP1(expr))
#define GLIA_EXPR_REF2(name, expr, locals) GLIA_EXPR_REF(name, locals, GLIA_EXPR_LOOP2(expr))

/* A loop with a yes/no attribute: one for each answer, so that neither tests it at every element. */
#define GLIA_EXPR_BOTH(flag, value, loop) \
    if (value) {                          \
        enum { flag = 1 };                \
        loop                              \
    } else {                              \
        enum { flag = 0 };                \
        loop                              \
    }

/* The public function of an op of one array, without or with attributes. */
#define GLIA_EXPR_BUILDER(op)                 \
    glia_value *glia_op_##op(glia_value *x) { \
        return glia__apply1(#op, x);          \
    }
#define GLIA_EXPR_BUILDER_ATTRS(op)                                       \
    glia_value *glia_op_##op(glia_value *x, glia_##op##_attrs attrs) {    \
        return glia_graph_apply(glia_value_graph(x), #op, &x, 1, &attrs); \
    }

#endif
