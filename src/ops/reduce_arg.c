/* reduce_arg.c: where the extremes are. */

#include <math.h>

#include "glia/ops.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/reduction.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_arg_attrs {
    glia_shape axes;       /* as in glia_reduce_attrs */
    glia_bool keep_dims;   /* default no */
    glia_bool select_last; /* the last of equals; default no: the first */
} glia_arg_attrs;
/* Where the extreme is: an i64 index along the axis, or, over several axes, the flat index among them in C order.
 * A NaN counts as the extreme, as in NumPy. f32, f64, i32, i64 or u8. */
GLIA_API glia_value *glia_op_argmax(glia_value *x, glia_arg_attrs attrs); /* of the largest */
GLIA_API glia_value *glia_op_argmin(glia_value *x, glia_arg_attrs attrs); /* of the smallest */
#endif                                                                    /* GLIA_OPS_HEADER */

/* The best so far; index −1 before the first. `better` compares x with best. One that met nothing (an empty batch)
 * gives 0. */
#define ARG_REDUCER(name, type, better)                                                                    \
    typedef struct name##_acc {                                                                            \
        int64_t index;                                                                                     \
        type best;                                                                                         \
    } name##_acc;                                                                                          \
    static void name##_start(void *acc_, int64_t n) {                                                      \
        name##_acc *acc = acc_;                                                                            \
        for (int64_t i = 0; i < n; i++) acc[i] = (name##_acc){.index = -1};                                \
    }                                                                                                      \
    static inline void name##_take(name##_acc *a, type x, int64_t index) {                                 \
        const type best = a->best;                                                                         \
        if (a->index >= 0 && !(better)) return;                                                            \
        a->best = x;                                                                                       \
        a->index = index;                                                                                  \
    }                                                                                                      \
    static void name##_across(void *acc, const void *x_, int64_t n, int64_t index) {                       \
        const type *x = x_;                                                                                \
        for (int64_t i = 0; i < n; i++) name##_take((name##_acc *)acc + i, x[i], index);                   \
    }                                                                                                      \
    static void name##_along(void *acc, const void *x_, int64_t n, int64_t index) {                        \
        const type *x = x_;                                                                                \
        for (int64_t i = 0; i < n; i++) name##_take(acc, x[i], index + i);                                 \
    }                                                                                                      \
    static void name##_finish(void *out_, const void *acc, int64_t n, int64_t count) {                     \
        int64_t *out = out_;                                                                               \
        (void)count;                                                                                       \
        for (int64_t i = 0; i < n; i++) out[i] = GLIA_MAX(((const name##_acc *)acc)[i].index, (int64_t)0); \
    }                                                                                                      \
    static const glia_reducer name = {sizeof(name##_acc), name##_start, name##_across, name##_along,       \
                                      name##_finish};

#define ARG_REDUCERS(op, better_float, better)                  \
    ARG_REDUCER(op##_f32, float, better_float)                  \
    ARG_REDUCER(op##_f64, double, better_float)                 \
    ARG_REDUCER(op##_i32, int32_t, better)                      \
    ARG_REDUCER(op##_i64, int64_t, better)                      \
    ARG_REDUCER(op##_u8, uint8_t, better)                       \
    static const glia_reducer *op##_reducer(glia_dtype dtype) { \
        switch (dtype) {                                        \
        case GLIA_F64:                                          \
            return &op##_f64;                                   \
        case GLIA_I32:                                          \
            return &op##_i32;                                   \
        case GLIA_I64:                                          \
            return &op##_i64;                                   \
        case GLIA_U8:                                           \
            return &op##_u8;                                    \
        default:                                                \
            return &op##_f32;                                   \
        }                                                       \
    }
ARG_REDUCERS(argmax, x > best || (x != x && best == best), x > best)
ARG_REDUCERS(argmin, x < best || (x != x && best == best), x < best)
ARG_REDUCERS(argmax_last, x >= best || x != x, x >= best)
ARG_REDUCERS(argmin_last, x <= best || x != x, x <= best)

static glia_status find(const glia_call *c, const glia_reducer *reducer) {
    const glia_arg_attrs *a = c->attrs;
    bool reduced[GLIA_MAX_RANK];
    GLIA_TRY(glia__reduce_axes(&a->axes, c->in[0].shape.rank, reduced, c->err));
    glia__reduce_run(reducer, &c->in[0], reduced, &c->out[0]);
    return GLIA_OK;
}

static bool selects_last(const glia_call *c) {
    return ((const glia_arg_attrs *)c->attrs)->select_last == GLIA_YES;
}

/* What is common with other reductions. */
static glia_reduce_attrs as_reduction(const void *attrs) {
    const glia_arg_attrs *a = attrs;
    return (glia_reduce_attrs){.axes = a->axes, .keep_dims = a->keep_dims};
}

static glia_status find_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                              glia_error *err) {
    const glia_reduce_attrs a = as_reduction(attrs);
    GLIA_TRY(glia__reduce_infer(in, n_in, &a, out, err));
    bool reduced[GLIA_MAX_RANK];
    GLIA_TRY(glia__reduce_axes(&a.axes, in[0].shape.rank, reduced, err));
    for (int d = 0; d < in[0].shape.rank; d++) {
        char text[128];
        if (reduced[d] && in[0].shape.dim[d] == 0)
            return glia_error_set(err, GLIA_BAD_SHAPE, "axis %d of %s is empty: it has no extreme", d,
                                  glia_shape_text(&in[0].shape, text, sizeof text));
    }
    out[0].dtype = GLIA_I64;
    return GLIA_OK;
}

static uint32_t find_rows(const glia_type *in, int n_in, const void *attrs) {
    const glia_reduce_attrs a = as_reduction(attrs);
    return glia__reduce_rows(in, n_in, &a);
}

static const glia_field fields[] = {{.name = "axes",
                                     .kind = GLIA_FIELD_DIMS,
                                     .offset = offsetof(glia_arg_attrs, axes),
                                     .initial = "",
                                     .doc = "dimensions to look along; none named: all"},
                                    {.name = "keep_dims",
                                     .kind = GLIA_FIELD_BOOL,
                                     .offset = offsetof(glia_arg_attrs, keep_dims),
                                     .initial = "no",
                                     .doc = "keep those dimensions as 1",
                                     .onnx = "keepdims"},
                                    {.name = "select_last",
                                     .kind = GLIA_FIELD_BOOL,
                                     .offset = offsetof(glia_arg_attrs, select_last),
                                     .initial = "no",
                                     .doc = "the last of equals instead of the first",
                                     .onnx = "select_last_index"},
                                    {.name = NULL}};

/* ONNX looks along one axis: several become the last one. */
static void find_to_onnx(glia_to_onnx *w) {
    const glia_arg_attrs *a = w->node->attrs;
    const int rank = w->node->inputs[0]->type.shape.rank;
    bool reduced[GLIA_MAX_RANK];
    w->status = glia__reduce_axes(&a->axes, rank, reduced, w->err);
    if (w->status != GLIA_OK) return;
    const glia_shape list = glia__reduce_list(reduced, rank);
    const bool one = list.rank == 1, keep = a->keep_dims == GLIA_YES;
    int64_t perm[GLIA_MAX_RANK], shape[GLIA_MAX_RANK] = {0};
    int kept = 0;
    for (int d = 0; d < rank; d++)
        if (!reduced[d]) perm[kept++] = d;
    for (int i = 0; i < list.rank; i++) perm[kept + i] = list.dim[i];
    shape[kept] = -1;
    const char *x = w->x[0];
    if (!one && rank) x = glia__to_onnx_transpose(w, NULL, x, perm, rank);
    if (!one) x = GLIA_TO_ONNX(w, NULL, "Reshape", x, glia__to_onnx_list(w, shape, kept + 1));
    const char *y = GLIA_TO_ONNX(w, keep && list.rank ? NULL : w->y[0], w->node->op->onnx, x);
    glia__to_onnx_int(w, "axis", one ? list.dim[0] : kept);
    glia__to_onnx_int(w, "keepdims", 0);
    glia__to_onnx_int(w, "select_last_index", a->select_last == GLIA_YES);
    if (keep && list.rank)
        GLIA_TO_ONNX(w, w->y[0], "Unsqueeze", y, glia__to_onnx_list(w, list.dim, list.rank));
}

#define FIND_OP(op, ...)                                                                  \
    static glia_status op##_ref(const glia_call *c) {                                     \
        const glia_dtype dtype = c->in[0].dtype;                                          \
        return find(c, selects_last(c) ? op##_last_reducer(dtype) : op##_reducer(dtype)); \
    }                                                                                     \
    glia_value *glia_op_##op(glia_value *x, glia_arg_attrs attrs) {                       \
        return glia_graph_apply(glia_value_graph(x), #op, &x, 1, &attrs);                 \
    }                                                                                     \
    GLIA_OP(op) = {.name = #op,                                                           \
                   .version = 1,                                                          \
                   .min_inputs = 1,                                                       \
                   .max_inputs = 1,                                                       \
                   .traits = GLIA_TRAIT_NO_GRADIENT,                                      \
                   .attrs = fields,                                                       \
                   .attrs_size = sizeof(glia_arg_attrs),                                  \
                   .infer = find_infer,                                                   \
                   .ref = op##_ref,                                                       \
                   .rows = find_rows,                                                     \
                   .flops = glia__reduce_flops,                                           \
                   .emit_c = glia__emit_##op,                                             \
                   .onnx_since = 13,                                                      \
                   .onnx_write = find_to_onnx,                                            \
                   .cases = CASES,                                                        \
                   __VA_ARGS__}
#define CASES                                                                                             \
    GLIA_CASES(                                                                                           \
        {.inputs = "4x5:distinct", .attrs = "axes=1"}, {.inputs = "4x5:distinct", .attrs = "axes=0"},     \
        {.inputs = "4x5:distinct"}, {.inputs = "2x3x4:distinct", .attrs = "axes=1 keep_dims=yes"},        \
        {.inputs = "2x3x4:distinct", .attrs = "axes=0,-1"}, {.inputs = "scalar"}, {.inputs = "1"},        \
        {.inputs = "3x7:i64<3", .attrs = "axes=1"}, {.inputs = "3x7:i32<3", .attrs = "axes=0"},           \
        {.inputs = "9:u8<3"}, {.inputs = "3x7:i64<3", .attrs = "axes=1 select_last=yes"},                 \
        {.inputs = "3x7:f32<3", .attrs = "axes=0 select_last=yes"}, {.inputs = "0x3", .attrs = "axes=1"}, \
        {.inputs = "0x3", .attrs = "axes=0", .expect_error = "axis 0 of 0×3 is empty"},                   \
        {.inputs = "4x5", .attrs = "axes=2", .expect_error = "axis 2 is out of range for 2 dimensions"},  \
        {.inputs = "3:bool", .expect_error = "found bool 3; cast it first"})

FIND_OP(argmax, .doc = "y = index of the largest x, the first (or last) of equals", .onnx = "ArgMax");
FIND_OP(argmin, .doc = "y = index of the smallest x, the first (or last) of equals", .onnx = "ArgMin");
