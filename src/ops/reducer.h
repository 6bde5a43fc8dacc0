/* reducer.h: a glia_reducer (reduction.h) from expressions. */
#ifndef GLIA_OPS_REDUCER_H
#define GLIA_OPS_REDUCER_H

#include "core/isa.h"
#include "glia/ops.h"
#include "ops/emit.h"
#include "ops/reduction.h"

enum { GLIA_REDUCE_LANES = 32 };

/* Expressions of accumulator `a` and element `x` describe a reduction: the first value, the next value, the next one
 * when `x` is an accumulator too, and the result. GLIA_REDUCE_LANES running values let the compiler use vector registers
 * without reordering anything at will. `function`: GLIA_CPU_CLONES or GLIA_CPU_PLAIN. */
#define GLIA_REDUCE_PARAMS (void *acc_, const void *x_, int64_t n, int64_t index)
#define GLIA_REDUCER(function, name, type, acc_type, first, next, merge, last)                     \
    GLIA_CPU_INLINE void name##_start(void *acc_, int64_t n) {                                     \
        acc_type *acc = acc_;                                                                      \
        for (int64_t i = 0; i < n; i++) acc[i] = (acc_type)(first);                                \
    }                                                                                              \
    function(void, name##_across, GLIA_REDUCE_PARAMS, (acc_, x_, n, index)) {                      \
        acc_type *acc = acc_;                                                                      \
        const type *xs = x_;                                                                       \
        (void)index;                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const acc_type a = acc[i], x = (acc_type)xs[i];                                        \
            acc[i] = (acc_type)(next);                                                             \
        }                                                                                          \
    }                                                                                              \
    function(void, name##_along, GLIA_REDUCE_PARAMS, (acc_, x_, n, index)) {                       \
        acc_type lanes[GLIA_REDUCE_LANES], total = *(acc_type *)acc_;                              \
        const type *xs = x_;                                                                       \
        int64_t i = 0;                                                                             \
        (void)index;                                                                               \
        if (n >= GLIA_REDUCE_LANES) {                                                              \
            name##_start(lanes, GLIA_REDUCE_LANES);                                                \
            for (; i + GLIA_REDUCE_LANES <= n; i += GLIA_REDUCE_LANES)                             \
                for (int k = 0; k < GLIA_REDUCE_LANES; k++) {                                      \
                    const acc_type a = lanes[k], x = (acc_type)xs[i + k];                          \
                    lanes[k] = (acc_type)(next);                                                   \
                }                                                                                  \
            for (int k = 0; k < GLIA_REDUCE_LANES; k++) {                                          \
                const acc_type a = total, x = lanes[k];                                            \
                total = (acc_type)(merge);                                                         \
            }                                                                                      \
        }                                                                                          \
        for (; i < n; i++) {                                                                       \
            const acc_type a = total, x = (acc_type)xs[i];                                         \
            total = (acc_type)(next);                                                              \
        }                                                                                          \
        *(acc_type *)acc_ = total;                                                                 \
    }                                                                                              \
    static void name##_finish(void *out_, const void *acc_, int64_t n, int64_t count) {            \
        type *out = out_;                                                                          \
        const acc_type *acc = acc_;                                                                \
        (void)count;                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const acc_type a = acc[i];                                                             \
            out[i] = (type)(last);                                                                 \
        }                                                                                          \
    }                                                                                              \
    static const glia_reducer name = {sizeof(acc_type), name##_start, name##_across, name##_along, \
                                      name##_finish};

/* The block of an op with glia_reduce_attrs; `reducer` is an expression of the call c. */
#define GLIA_REDUCE_OP(op, reducer, ...)                                  \
    static glia_status op##_ref(const glia_call *c) {                     \
        return glia__reduce_call(c, reducer);                             \
    }                                                                     \
    glia_value *glia_op_##op(glia_value *x, glia_reduce_attrs attrs) {    \
        return glia_graph_apply(glia_value_graph(x), #op, &x, 1, &attrs); \
    }                                                                     \
    GLIA_OP(op) = {.name = #op,                                           \
                   .version = 1,                                          \
                   .min_inputs = 1,                                       \
                   .max_inputs = 1,                                       \
                   .attrs = glia__reduce_fields,                          \
                   .attrs_size = sizeof(glia_reduce_attrs),               \
                   .ref = op##_ref,                                       \
                   .rows = glia__reduce_rows,                             \
                   .flops = glia__reduce_flops,                           \
                   .emit_c = glia__emit_##op,                             \
                   __VA_ARGS__}

#endif
