/* reduction.h: how a reduction walks over memory. An op gives four small functions on a row of accumulators;
 * the walk merges dimensions, keeps a tile of accumulators on the stack and reads the input in memory order,
 * whether the reduced dimensions are the last (softmax), the first (bias of a dense layer) or both (bias of a
 * convolution).
 *
 * The order of additions depends on the shape only, so results are the same in every run. */
#ifndef GLIA_OPS_REDUCTION_H
#define GLIA_OPS_REDUCTION_H

#include "graph/op.h"

enum { GLIA_REDUCE_TILE = 256, GLIA_REDUCE_ACC_BYTES = 16 };

/* `index` is the flat position, among the elements reduced to one result, of the first element of `x`. */
typedef struct glia_reducer {
    size_t acc_bytes;                                                   /* at most GLIA_REDUCE_ACC_BYTES */
    void (*start)(void *acc, int64_t n);                                /* n neutral accumulators */
    void (*across)(void *acc, const void *x, int64_t n, int64_t index); /* x[i] goes to acc[i] */
    void (*along)(void *acc, const void *x, int64_t n, int64_t index);  /* x[0 … n-1] go to acc[0] */
    void (*finish)(void *out, const void *acc, int64_t n,
                   int64_t count); /* `count`: elements for one result */
} glia_reducer;

/* Reduces `in` to `out` (dense, in C order of the kept dimensions) over the dimensions that `reduced` marks.
 */
void glia__reduce_run(const glia_reducer *reducer, const glia_view *in, const bool *reduced, glia_view *out);

/* Marks the axes of a reduction; fails when one is out of range or named twice. No axes: all. */
glia_status glia__reduce_axes(const glia_shape *axes, int rank, bool *reduced, glia_error *err);
/* What is left of `in` when the marked dimensions are reduced: 1 each, or dropped. */
glia_shape glia__reduce_shape(const glia_shape *in, const bool *reduced, bool keep_dims);
/* The marked dimensions as a list. */
glia_shape glia__reduce_list(const bool *reduced, int rank);
/* The fields of glia_reduce_attrs: axes, keep_dims. */
extern const glia_field glia__reduce_fields[];
/* Rules of ops with glia_reduce_attrs. */
glia_status glia__reduce_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                               glia_error *err);
glia_status glia__reduce_infer_float(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                     glia_error *err);
glia_status glia__reduce_call(const glia_call *c, const glia_reducer *reducer);
/* `small`, an array like the result, at every place of x that went into it; `mean` divides by their number. */
glia_value *glia__reduce_spread(const glia_gradient *g, glia_value *small, bool mean);
uint32_t glia__reduce_rows(const glia_type *in, int n_in, const void *attrs);
double glia__reduce_flops(const glia_type *in, const glia_type *out, const void *attrs);

/* Sums (accumulators of floats are double) and largest of any number dtype; means of f32 and f64. */
const glia_reducer *glia__reducer_sum(glia_dtype dtype);
const glia_reducer *glia__reducer_max(glia_dtype dtype);
const glia_reducer *glia__reducer_mean(glia_dtype dtype);

/* Attributes of broadcast_like, sum_to_like and the backward ops of reductions (like.c, reduce_backward.c):
 * how a small array stands beside the big one it was reduced from. */
typedef struct glia__like_attrs {
    glia_shape
        axes; /* dimensions of the big one that the small one lacks; none: aligned from the last, as NumPy */
    glia_bool mean; /* broadcast_like divides by the number of copies, sum_to_like by the number of terms */
} glia__like_attrs;
extern const glia_field glia__like_fields[];
/* `small` with a 1 at each of `axes`, so that it broadcasts to `big` with equal rank; fails when it does not.
 */
glia_status glia__like_shape(const glia_shape *small, const glia_shape *big, const glia_shape *axes,
                             glia_shape *out, glia_error *err);

/* A reduction as the operator `.onnx` of the op, whose axes are an input since the opset `inputs_since`. */
void glia__reduce_to_onnx(glia_to_onnx *w, int inputs_since);

#endif
