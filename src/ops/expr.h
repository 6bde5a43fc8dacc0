/* expr.h: elementwise ops from one line: the expression that computes an element is both the loop of .ref and
 * the text (.c_expr) that the C exporter and fused kernels use.
 *
 * Expressions are C99 with <tgmath.h> (exp(x) is expf for f32), in x, y, z (inputs 0, 1, 2), T (float or
 * double) and the op's attributes by name. All pass a NaN on: a network that breaks must show it. */
#ifndef GLIA_OPS_EXPR_H
#define GLIA_OPS_EXPR_H

#include <tgmath.h>

#include "glia/ops.h"
#include "graph/op.h"

/* Declares attribute `field` of glia_<op>_attrs as a T. */
#define GLIA_EXPR_ATTR(op, field) const T field = (T)((const glia_##op##_attrs *)c->attrs)->field

/* y[i] = expression of x[i], for f32 and f64. `locals` declares attributes: const T slope = (T)a->slope. */
#define GLIA_EXPR_REF1(name, expr, locals)              \
    static glia_status name##_ref(const glia_call *c) { \
        int64_t n = glia_shape_elems(&c->out[0].shape); \
        GLIA_FOR_FLOAT(c->out[0].dtype, {               \
            const T *in = c->in[0].data;                \
            T *out = c->out[0].data;                    \
            locals;                                     \
            for (int64_t i = 0; i < n; i++) {           \
                const T x = in[i];                      \
                out[i] = (T)(expr);                     \
            }                                           \
        });                                             \
        return GLIA_OK;                                 \
    }

/* out[i] = expression of x[i] and y[i], equal shapes. */
#define GLIA_EXPR_REF2(name, expr, locals)                        \
    static glia_status name##_ref(const glia_call *c) {           \
        int64_t n = glia_shape_elems(&c->out[0].shape);           \
        GLIA_FOR_FLOAT(c->out[0].dtype, {                         \
            const T *in_x = c->in[0].data, *in_y = c->in[1].data; \
            T *out = c->out[0].data;                              \
            locals;                                               \
            for (int64_t i = 0; i < n; i++) {                     \
                const T x = in_x[i], y = in_y[i];                 \
                out[i] = (T)(expr);                               \
            }                                                     \
        });                                                       \
        return GLIA_OK;                                           \
    }

#endif
