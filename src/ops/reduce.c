/* reduce.c: sum, mean, max, min, prod over any axes. argmax and argmin are in reduce_arg.c, norms in
 * reduce_norm.c.
 *
 * Floats are added and multiplied in double, in several lanes, and rounded once: an f32 sum is exact to its
 * last bit but for the rarest cases, and the same in every run. NaN in gives NaN out. Nothing to reduce gives
 * 0 (sum), 1 (prod), NaN (mean), −inf or the least number (max), +inf or the largest (min). */

#include <float.h>
#include <math.h>

#include "graph/to_onnx.h"
#include "ops/reducer.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_reduce_attrs {
    glia_shape axes;     /* which dimensions go, negative ones count from the end; rank 0: all of them */
    glia_bool keep_dims; /* keep them as dimensions of 1; default no */
} glia_reduce_attrs;
/* Over any axes of f32, f64, i32, i64 or u8 (mean: f32, f64). Sums of whole numbers wrap. */
GLIA_API glia_value *glia_op_sum(glia_value *x, glia_reduce_attrs attrs);  /* Σ x */
GLIA_API glia_value *glia_op_mean(glia_value *x, glia_reduce_attrs attrs); /* Σ x / count */
GLIA_API glia_value *glia_op_max(glia_value *x, glia_reduce_attrs attrs); /* the largest; NaN if any is NaN */
GLIA_API glia_value *glia_op_min(glia_value *x,
                                 glia_reduce_attrs attrs); /* the smallest; NaN if any is NaN */
GLIA_API glia_value *glia_op_prod(glia_value *x, glia_reduce_attrs attrs); /* Π x */
#endif                                                                     /* GLIA_OPS_HEADER */

/* Five dtypes and the choice among them. */
#define REDUCERS(op, acc_of_float, acc_of_i32, acc_of_i64, acc_of_u8, first_float, first_i32, first_i64, \
                 first_u8, next, next_whole)                                                             \
    GLIA_REDUCER(GLIA_CPU_CLONES, op##_f32, float, acc_of_float(float), first_float, next, next, a)      \
    GLIA_REDUCER(GLIA_CPU_PLAIN, op##_f64, double, acc_of_float(double), first_float, next, next, a)     \
    GLIA_REDUCER(GLIA_CPU_PLAIN, op##_i32, int32_t, acc_of_i32, first_i32, next_whole, next_whole, a)    \
    GLIA_REDUCER(GLIA_CPU_PLAIN, op##_i64, int64_t, acc_of_i64, first_i64, next_whole, next_whole, a)    \
    GLIA_REDUCER(GLIA_CPU_PLAIN, op##_u8, uint8_t, acc_of_u8, first_u8, next_whole, next_whole, a)       \
    static const glia_reducer *op##_reducer(glia_dtype dtype) {                                          \
        switch (dtype) {                                                                                 \
        case GLIA_F64:                                                                                   \
            return &op##_f64;                                                                            \
        case GLIA_I32:                                                                                   \
            return &op##_i32;                                                                            \
        case GLIA_I64:                                                                                   \
            return &op##_i64;                                                                            \
        case GLIA_U8:                                                                                    \
            return &op##_u8;                                                                             \
        default:                                                                                         \
            return &op##_f32;                                                                            \
        }                                                                                                \
    }
#define IN_DOUBLE(type) double
#define AS_IS(type)     type

REDUCERS(sum, IN_DOUBLE, uint64_t, uint64_t, uint64_t, 0, 0, 0, 0, a + x, a + x)
REDUCERS(prod, IN_DOUBLE, uint64_t, uint64_t, uint64_t, 1, 1, 1, 1, a *x, a *x)
/* A NaN is taken up, and then kept since nothing compares with it. */
REDUCERS(max, AS_IS, int32_t, int64_t, uint8_t, -INFINITY, INT32_MIN, INT64_MIN, 0,
         ((x > a) | (x != x)) ? x : a, x > a ? x : a)
REDUCERS(min, AS_IS, int32_t, int64_t, uint8_t, INFINITY, INT32_MAX, INT64_MAX, UINT8_MAX,
         ((x < a) | (x != x)) ? x : a, x < a ? x : a)
GLIA_REDUCER(GLIA_CPU_CLONES, mean_f32, float, double, 0, a + x, a + x, a / (double)count)
GLIA_REDUCER(GLIA_CPU_PLAIN, mean_f64, double, double, 0, a + x, a + x, a / (double)count)

const glia_reducer *glia__reducer_sum(glia_dtype dtype) {
    return sum_reducer(dtype);
}

const glia_reducer *glia__reducer_max(glia_dtype dtype) {
    return max_reducer(dtype);
}

const glia_reducer *glia__reducer_mean(glia_dtype dtype) {
    return dtype == GLIA_F64 ? &mean_f64 : &mean_f32;
}

glia_status glia__reduce_call(const glia_call *c, const glia_reducer *reducer) {
    const glia_reduce_attrs *a = c->attrs;
    bool reduced[GLIA_MAX_RANK];
    GLIA_TRY(glia__reduce_axes(&a->axes, c->in[0].shape.rank, reduced, c->err));
    glia__reduce_run(reducer, &c->in[0], reduced, &c->out[0]);
    return GLIA_OK;
}

glia_status glia__reduce_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                               glia_error *err) {
    const glia_reduce_attrs *a = attrs;
    bool reduced[GLIA_MAX_RANK];
    (void)n_in;
    GLIA_TRY(glia__check_number(&in[0], err));
    GLIA_TRY(glia__reduce_axes(&a->axes, in[0].shape.rank, reduced, err));
    out[0].dtype = in[0].dtype;
    out[0].shape = glia__reduce_shape(&in[0].shape, reduced, a->keep_dims == GLIA_YES);
    return GLIA_OK;
}

glia_status glia__reduce_infer_float(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                     glia_error *err) {
    GLIA_TRY(glia__check_float(&in[0], err));
    return glia__reduce_infer(in, n_in, attrs, out, err);
}

/* Rows are independent when dimension 0 stays. */
uint32_t glia__reduce_rows(const glia_type *in, int n_in, const void *attrs) {
    const glia_reduce_attrs *a = attrs;
    bool reduced[GLIA_MAX_RANK];
    (void)n_in;
    if (in[0].shape.rank == 0) return 0;
    if (glia__reduce_axes(&a->axes, in[0].shape.rank, reduced, NULL) != GLIA_OK) return 0;
    return reduced[0] ? 0 : 1;
}

/* A sum over dimension 0 is the sum of the sums of parts. */
static uint32_t sum_sums(const glia_type *in, int n_in, const void *attrs) {
    const glia_reduce_attrs *a = attrs;
    bool reduced[GLIA_MAX_RANK];
    (void)n_in;
    if (in[0].shape.rank == 0) return 0;
    if (glia__reduce_axes(&a->axes, in[0].shape.rank, reduced, NULL) != GLIA_OK) return 0;
    return reduced[0] ? 1 : 0;
}

double glia__reduce_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return (double)glia_shape_elems(&in[0].shape);
}

/* Attributes of an op that broadcasts results to the shape of x. */
static bool like_attrs(const glia_gradient *g, glia__like_attrs *like) {
    const glia_reduce_attrs *a = g->attrs;
    const int rank = glia_value_shape(g->x[0]).rank;
    bool reduced[GLIA_MAX_RANK];
    *like = (glia__like_attrs){.mean = GLIA_NO};
    if (glia__reduce_axes(&a->axes, rank, reduced, NULL) != GLIA_OK) return false;
    if (a->keep_dims != GLIA_YES) like->axes = glia__reduce_list(reduced, rank);
    return true;
}

glia_value *glia__reduce_spread(const glia_gradient *g, glia_value *small, bool mean) {
    glia__like_attrs like;
    if (!like_attrs(g, &like)) return NULL;
    like.mean = mean ? GLIA_YES : GLIA_NO;
    return glia_graph_apply(g->graph, "broadcast_like", (glia_value *[]){small, g->x[0]}, 2, &like);
}

static void sum_grad(glia_gradient *g) {
    g->dx[0] = glia__reduce_spread(g, g->dy[0], false);
}

static void mean_grad(glia_gradient *g) {
    g->dx[0] = glia__reduce_spread(g, g->dy[0], true);
}

/* max, min and prod: their backward op looks at x again. */
static void compare_again(glia_gradient *g, const char *op) {
    glia__like_attrs like;
    glia_value *inputs[] = {g->dy[0], g->y[0], g->x[0]};
    if (like_attrs(g, &like)) g->dx[0] = glia_graph_apply(g->graph, op, inputs, 3, &like);
}

static void extreme_grad(glia_gradient *g) {
    compare_again(g, "extreme_backward");
}

static void prod_grad(glia_gradient *g) {
    compare_again(g, "prod_backward");
}

const glia_field glia__reduce_fields[] = {{.name = "axes",
                                           .kind = GLIA_FIELD_DIMS,
                                           .offset = offsetof(glia_reduce_attrs, axes),
                                           .initial = "",
                                           .doc = "dimensions to reduce; none named: all"},
                                          {.name = "keep_dims",
                                           .kind = GLIA_FIELD_BOOL,
                                           .offset = offsetof(glia_reduce_attrs, keep_dims),
                                           .initial = "no",
                                           .doc = "keep reduced dimensions as 1",
                                           .onnx = "keepdims"},
                                          {.name = NULL}};

/* ONNX sums no u8, and takes the axes as an input since the opset `inputs_since`. */
void glia__reduce_to_onnx(glia_to_onnx *w, int inputs_since) {
    const glia_reduce_attrs *a = w->node->attrs;
    const bool narrow = w->node->inputs[0]->type.dtype == GLIA_U8, by_input = w->opset >= inputs_since;
    const char *x = w->x[0];
    if (narrow) {
        x = GLIA_TO_ONNX(w, NULL, "Cast", x);
        glia__to_onnx_dtype(w, "to", GLIA_I32);
    }
    const char *axes = a->axes.rank && by_input ? glia__to_onnx_list(w, a->axes.dim, a->axes.rank) : "";
    const char *y = GLIA_TO_ONNX(w, narrow ? NULL : w->y[0], w->node->op->onnx, x, axes);
    if (a->axes.rank && !by_input) glia__to_onnx_ints(w, "axes", a->axes.dim, a->axes.rank);
    glia__to_onnx_int(w, "keepdims", a->keep_dims == GLIA_YES);
    if (narrow) {
        GLIA_TO_ONNX(w, w->y[0], "Cast", y);
        glia__to_onnx_dtype(w, "to", GLIA_U8);
    }
}

static void sum_to_onnx(glia_to_onnx *w) {
    glia__reduce_to_onnx(w, 13);
}

static void reduce_to_onnx(glia_to_onnx *w) {
    glia__reduce_to_onnx(w, 18);
}

#define REDUCE_OP(op, reducer, infer_rule, grad_rule, ...) \
    GLIA_REDUCE_OP(op, reducer(c->in[0].dtype), .infer = infer_rule, .grad = grad_rule, __VA_ARGS__)

/* Last, first, middle and mixed axes; long enough for lanes, tiles and their rests. */
#define FLOAT_CASES(kind)                                                                                    \
    {.inputs = "4x5:" kind}, {.inputs = "4x5:" kind, .attrs = "axes=0"},                                     \
        {.inputs = "4x5:" kind, .attrs = "axes=1 keep_dims=yes"},                                            \
        {.inputs = "3x37:" kind, .attrs = "axes=-1"}, {.inputs = "3x270:" kind, .attrs = "axes=0"},          \
        {.inputs = "2x3x4x5:" kind, .attrs = "axes=0,2,3"},                                                  \
        {.inputs = "2x3x4x5:" kind, .attrs = "axes=1,3 keep_dims=yes"},                                      \
        {.inputs = "2x3x4:" kind, .attrs = "axes=1"}, {.inputs = "2x1x4:" kind, .attrs = "axes=1"},          \
        {.inputs = "2x3x4:" kind, .attrs = "axes=-3,-1"}, {.inputs = "1:" kind}, {.inputs = "scalar:" kind}, \
    {                                                                                                        \
        .inputs = "3x0:" kind, .attrs = "axes=0"                                                             \
    }
#define ERROR_CASES                                                                                    \
    {.inputs = "4x5", .attrs = "axes=2", .expect_error = "axis 2 is out of range for 2 dimensions"}, { \
        .inputs = "4x5", .attrs = "axes=0,-2", .expect_error = "axis -2 is named twice"                \
    }
#define NUMBER_CASES(kind)                                                                                 \
    .cases =                                                                                               \
        GLIA_CASES(FLOAT_CASES(kind), {.inputs = "4x5:i64<9", .attrs = "axes=1"},                          \
                   {.inputs = "4x35:i32<9", .attrs = "axes=1"}, {.inputs = "4x5:u8<9", .attrs = "axes=0"}, \
                   ERROR_CASES, {.inputs = "3:bool", .expect_error = "found bool 3; cast it first"})

REDUCE_OP(sum, sum_reducer, glia__reduce_infer, sum_grad, .doc = "y = Σ x", .sums = sum_sums,
          .onnx = "ReduceSum", .onnx_since = 13, .onnx_write = sum_to_onnx, NUMBER_CASES("away"));
REDUCE_OP(mean, glia__reducer_mean, glia__reduce_infer_float, mean_grad, .doc = "y = Σ x / count",
          .onnx = "ReduceMean", .onnx_since = 13, .onnx_write = reduce_to_onnx,
          .cases = GLIA_CASES(FLOAT_CASES("away"), ERROR_CASES,
                              {.inputs = "3:i64<9", .expect_error = "expected f32 or f64, found i64 3"}));
REDUCE_OP(max, max_reducer, glia__reduce_infer, extreme_grad,
          .doc = "y = max x; ties share the gradient evenly", .onnx = "ReduceMax", .onnx_since = 13,
          .onnx_write = reduce_to_onnx, NUMBER_CASES("distinct"));
REDUCE_OP(min, min_reducer, glia__reduce_infer, extreme_grad,
          .doc = "y = min x; ties share the gradient evenly", .onnx = "ReduceMin", .onnx_since = 13,
          .onnx_write = reduce_to_onnx, NUMBER_CASES("distinct"));
REDUCE_OP(prod, prod_reducer, glia__reduce_infer, prod_grad, .doc = "y = Π x", .onnx = "ReduceProd",
          .onnx_since = 13, .onnx_write = reduce_to_onnx, NUMBER_CASES("pos"));
