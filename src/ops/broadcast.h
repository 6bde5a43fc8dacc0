/* broadcast.h: NumPy broadcasting at run time, for ops that compute place by place.
 *
 * A family gives a function for one row, and glia__broadcast_run calls it as few times as possible: adjacent
 * dimensions that all inputs walk in the same way are merged, so that equal shapes, and a scalar beside an
 * array, are one single row. */
#ifndef GLIA_OPS_BROADCAST_H
#define GLIA_OPS_BROADCAST_H

#include "core/isa.h"
#include "graph/op.h"

enum { GLIA_BROADCAST_INPUTS = 3 };

/* Computes `n` outputs. Input k walks by step[k]: 1, or 0 when the same element serves the whole row. */
typedef void glia__broadcast_row(void *out, const void *const *in, const int64_t *step, int64_t n);

/* The merged walk over an output. `step` is in elements and 0 along stretched dimensions. */
typedef struct glia_broadcast {
    int rank; /* at least 1 */
    int64_t dim[GLIA_MAX_RANK];
    int64_t step[GLIA_BROADCAST_INPUTS][GLIA_MAX_RANK];
} glia_broadcast;

/* `in` are shapes that broadcast to `out`; all are known. */
void glia__broadcast_init(glia_broadcast *walk, const glia_shape *out, const glia_shape *const *in, int n_in);

/* Defines a row of two inputs: out = expression of x and y. When both steps are 0, n is 1. Those of f32 are compiled
 * for each instruction set. */
#define GLIA_BROADCAST_ROW(name, type, out_type, expr) \
    GLIA_BROADCAST_LOOPS(GLIA_CPU_PLAIN, name, type, out_type, expr)
#define GLIA_BROADCAST_F32_ROW(name, out_type, expr) \
    GLIA_BROADCAST_LOOPS(GLIA_CPU_CLONES, name, float, out_type, expr)
#define GLIA_BROADCAST_LOOPS(function, name, type, out_type, expr)                            \
    function(void, name, (void *out_, const void *const *in, const int64_t *step, int64_t n), \
             (out_, in, step, n)) {                                                           \
        typedef type T;                                                                       \
        const T *a = in[0], *b = in[1];                                                       \
        out_type *out = out_;                                                                 \
        if (step[0] == 0) {                                                                   \
            const T x = a[0];                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                 \
                const T y = b[i];                                                             \
                out[i] = (out_type)(expr);                                                    \
            }                                                                                 \
        } else if (step[1] == 0) {                                                            \
            const T y = b[0];                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                 \
                const T x = a[i];                                                             \
                out[i] = (out_type)(expr);                                                    \
            }                                                                                 \
        } else {                                                                              \
            for (int64_t i = 0; i < n; i++) {                                                 \
                const T x = a[i], y = b[i];                                                   \
                out[i] = (out_type)(expr);                                                    \
            }                                                                                 \
        }                                                                                     \
    }

/* Defines `name`, a ref that runs the row of its inputs' dtype: op_f32, op_f64, op_i32, op_i64 or op_u8. */
#define GLIA_BROADCAST_DISPATCH(op, name)         \
    static glia_status name(const glia_call *c) { \
        switch (c->in[0].dtype) {                 \
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

/* glia__infer_broadcast of f32 or f64 only. */
glia_status glia__infer_broadcast_float(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                        glia_error *err);

/* Runs `row` over output 0 of a call with up to three inputs. */
void glia__broadcast_run(const glia_call *call, glia__broadcast_row *row);
/* Copies input 0, of any dtype, to wherever it broadcasts. */
void glia__broadcast_copy(const glia_call *call);

#endif
