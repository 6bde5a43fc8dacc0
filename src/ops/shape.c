/* shape.c: ops that rename dimensions without touching data: reshape, flatten, squeeze, unsqueeze. */

#include "glia/ops.h"
#include "graph/op.h"
#include "graph/to_onnx.h"

#ifdef GLIA_OPS_HEADER
/* `shape`: 0 keeps that dimension of x, one -1 takes the rest. */
typedef struct glia_reshape_attrs {
    glia_shape shape;
} glia_reshape_attrs;
/* The same numbers in another shape. */
GLIA_API glia_value *glia_op_reshape(glia_value *x, glia_reshape_attrs attrs);

typedef struct glia_flatten_attrs {
    int64_t axis; /* dimensions from it on become one (0 … rank) */
} glia_flatten_attrs;
/* [d0, …, axis, …] → [d0·…, axis·…]. */
GLIA_API glia_value *glia_op_flatten(glia_value *x, glia_flatten_attrs attrs);
#endif /* GLIA_OPS_HEADER */

/* Nothing to do when the planner made a view of it, as it always does; kept for callers that run ops one by one. */
static glia_status copy_ref(const glia_call *c) {
    size_t bytes = (size_t)glia_shape_elems(&c->out[0].shape) * glia_dtype_bytes(c->out[0].dtype);
    if (c->out[0].data != c->in[0].data && bytes) memcpy(c->out[0].data, c->in[0].data, bytes);
    return GLIA_OK;
}

/* The gradient of every view: dy in the shape of x. */
static void view_grad(glia_gradient *g) {
    g->dx[0] = glia__apply2("reshape_like", g->dy[0], g->x[0]);
}

/* Product of the known dimensions; symbolic ones are counted apart, since they cannot be multiplied. */
static int64_t known_product(const glia_shape *shape, int begin, int end, int *symbols) {
    int64_t product = 1;
    for (int i = begin; i < end; i++) {
        if (shape->dim[i] < 0)
            (*symbols)++;
        else
            product *= shape->dim[i];
    }
    return product;
}

/* --- reshape --------------------------------------------------------------------------------------------- */

static glia_status reshape_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    (void)n_in;
    const glia_shape *wanted = &((const glia_reshape_attrs *)attrs)->shape, *x = &in[0].shape;
    glia_shape y = *wanted, rest = *x;
    char a[128], b[128];
    int unknown = -1, in_symbols = 0;
    for (int i = 0; i < y.rank; i++) {
        if (y.dim[i] == 0) {
            if (i >= x->rank)
                return glia_error_set(err, GLIA_BAD_SHAPE,
                                      "reshape: 0 keeps dimension %d, but %s has only %d", i,
                                      glia_shape_text(x, a, sizeof a), x->rank);
            y.dim[i] = x->dim[i];
            if (x->dim[i] < 0) rest.dim[i] = 1; /* the same symbol on both sides cancels */
        } else if (y.dim[i] < -1 || (y.dim[i] == -1 && unknown >= 0)) {
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "reshape: dimensions are positive, 0 (keep) or one -1 (the rest)");
        } else if (y.dim[i] == -1) {
            unknown = i;
        }
    }
    int64_t have = known_product(&rest, 0, rest.rank, &in_symbols), asked = 1;
    for (int i = 0; i < y.rank; i++)
        if (i != unknown && !(wanted->dim[i] == 0 && y.dim[i] < 0)) asked *= y.dim[i];
    if (in_symbols == 1 && unknown >= 0 && have == asked) { /* the rest is just the symbol */
        for (int i = 0; i < rest.rank; i++)
            if (rest.dim[i] < 0) y.dim[unknown] = rest.dim[i];
    } else if (in_symbols) {
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "reshape: a symbolic dimension of %s must be kept with 0 at its place or taken whole by -1",
            glia_shape_text(x, a, sizeof a));
    } else if (unknown >= 0 && asked > 0 && have % asked == 0) {
        y.dim[unknown] = have / asked;
    } else if (unknown >= 0 || have != asked) {
        return glia_error_set(err, GLIA_BAD_SHAPE, "reshape: %s cannot become [%s]",
                              glia_shape_text(x, a, sizeof a), glia_shape_text(&y, b, sizeof b));
    }
    out[0] = (glia_type){in[0].dtype, y};
    return GLIA_OK;
}

static void reshape_to_onnx(glia_to_onnx *w) {
    const glia_shape *shape = &((const glia_reshape_attrs *)w->node->attrs)->shape;
    GLIA_TO_ONNX(w, w->y[0], "Reshape", w->x[0], glia__to_onnx_list(w, shape->dim, shape->rank));
}

GLIA_OP(reshape) = {
    .name = "reshape",
    .version = 1,
    .doc = "y = the numbers of x in another shape",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_ALIAS,
    .attrs = GLIA_FIELDS({.name = "shape",
                          .kind = GLIA_FIELD_DIMS,
                          .offset = offsetof(glia_reshape_attrs, shape),
                          .initial = "",
                          .doc = "new shape: 0 keeps a dimension, one -1 takes the rest"}),
    .attrs_size = sizeof(glia_reshape_attrs),
    .infer = reshape_infer,
    .grad = view_grad,
    .ref = copy_ref,
    .flops = glia__no_flops,
    .onnx = "Reshape",
    .onnx_since = 13,
    .onnx_write = reshape_to_onnx,
    .cases = GLIA_CASES({.inputs = "4x6", .attrs = "shape=2,3,4"}, {.inputs = "4x6", .attrs = "shape=0,-1,3"},
                        {.inputs = "2x3x4", .attrs = "shape=-1"}, {.inputs = "1x1"},
                        {.inputs = "2x3:i64<9", .attrs = "shape=3,2"},
                        {.inputs = "0x4", .attrs = "shape=0,2,2"},
                        {.inputs = "4x6", .attrs = "shape=5,5", .expect_error = "4×6 cannot become [5×5]"},
                        {.inputs = "4x6", .attrs = "shape=7,-1", .expect_error = "cannot become"},
                        {.inputs = "4x6", .attrs = "shape=-1,-1", .expect_error = "one -1"},
                        {.inputs = "4", .attrs = "shape=4,0", .expect_error = "0 keeps dimension 1"}),
};

glia_value *glia_op_reshape(glia_value *x, glia_reshape_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "reshape", &x, 1, &attrs);
}

/* --- flatten --------------------------------------------------------------------------------------------- */

/* A product with one symbol is that symbol only when the others are 1. */
static bool product_dim(const glia_shape *shape, int begin, int end, int64_t *out) {
    int symbols = 0;
    *out = known_product(shape, begin, end, &symbols);
    if (!symbols) return true;
    for (int i = begin; i < end && symbols == 1 && *out == 1; i++)
        if (shape->dim[i] < 0) {
            *out = shape->dim[i];
            return true;
        }
    return false;
}

static glia_status flatten_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    (void)n_in;
    const glia_shape *x = &in[0].shape;
    int64_t axis = ((const glia_flatten_attrs *)attrs)->axis;
    char text[128];
    if (axis < 0) axis += x->rank;
    if (axis < 0 || axis > x->rank)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "flatten: axis %lld is out of range for %s",
                              (long long)((const glia_flatten_attrs *)attrs)->axis,
                              glia_shape_text(x, text, sizeof text));
    out[0] = (glia_type){in[0].dtype, {.rank = 2}};
    if (!product_dim(x, 0, (int)axis, &out[0].shape.dim[0]) ||
        !product_dim(x, (int)axis, x->rank, &out[0].shape.dim[1]))
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "flatten: a symbolic dimension of %s cannot be merged with others",
                              glia_shape_text(x, text, sizeof text));
    return GLIA_OK;
}

GLIA_OP(flatten) = {
    .name = "flatten",
    .version = 1,
    .doc = "y = x as a matrix: dimensions before axis, and from it on",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_ALIAS,
    .attrs = GLIA_FIELDS({.name = "axis",
                          .kind = GLIA_FIELD_INT,
                          .offset = offsetof(glia_flatten_attrs, axis),
                          .initial = "1",
                          .doc = "dimensions from it on become one"}),
    .attrs_size = sizeof(glia_flatten_attrs),
    .infer = flatten_infer,
    .grad = view_grad,
    .ref = copy_ref,
    .flops = glia__no_flops,
    .onnx = "Flatten",
    .onnx_since = 1,
    .cases = GLIA_CASES({.inputs = "2x3x4"}, {.inputs = "2x3x4", .attrs = "axis=2"},
                        {.inputs = "2x3", .attrs = "axis=0"}, {.inputs = "5"},
                        {.inputs = "2x3", .attrs = "axis=-1"}, {.inputs = "0x3x2"},
                        {.inputs = "2x3", .attrs = "axis=4", .expect_error = "axis 4"}),
};

glia_value *glia_op_flatten(glia_value *x, glia_flatten_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "flatten", &x, 1, &attrs);
}

/* --- reshape_like ---------------------------------------------------------------------------------------- */

static glia_status like_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                              glia_error *err) {
    (void)n_in, (void)attrs;
    char a[128], b[128];
    int64_t have = glia_shape_elems(&in[0].shape), want = glia_shape_elems(&in[1].shape);
    if (have >= 0 && want >= 0 && have != want)
        return glia_error_set(err, GLIA_BAD_SHAPE, "reshape_like: %s has other elements than %s",
                              glia_shape_text(&in[0].shape, a, sizeof a),
                              glia_shape_text(&in[1].shape, b, sizeof b));
    out[0] = (glia_type){in[0].dtype, in[1].shape};
    return GLIA_OK;
}

GLIA_OP(reshape_like) = {
    .name = "reshape_like",
    .version = 1,
    .doc = "y = the numbers of x in the shape of the second input",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_ALIAS | GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 2,
    .infer = like_infer,
    .grad = view_grad,
    .ref = copy_ref,
    .flops = glia__no_flops,
    .cases = GLIA_CASES({.inputs = "4x6 2x3x4"}, {.inputs = "1 scalar"},
                        {.inputs = "4x6 5x5", .expect_error = "has other elements"}),
};

/* --- squeeze, unsqueeze ---------------------------------------------------------------------------------- */

#ifdef GLIA_OPS_HEADER
typedef struct glia_squeeze_attrs {
    glia_shape axes; /* squeeze: none means every dimension of 1; negative ones count from the end */
} glia_squeeze_attrs;
/* Drops dimensions of 1. */
GLIA_API glia_value *glia_op_squeeze(glia_value *x, glia_squeeze_attrs attrs);
/* Adds dimensions of 1 at those places of the result. */
GLIA_API glia_value *glia_op_unsqueeze(glia_value *x, glia_squeeze_attrs attrs);
#endif /* GLIA_OPS_HEADER */

/* Marks the axes; false with an error when one is out of range or named twice. */
static glia_status mark_axes(const glia_shape *axes, int rank, bool *marks, const char *op, glia_error *err) {
    for (int i = 0; i < axes->rank; i++) {
        int axis;
        if (!glia__axis_resolve(axes->dim[i], rank, &axis))
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "%s: axis %lld is out of range for %d dimensions", op,
                                  (long long)axes->dim[i], rank);
        if (marks[axis])
            return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s: axis %d is named twice", op, axis);
        marks[axis] = true;
    }
    return GLIA_OK;
}

static glia_status squeeze_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    (void)n_in;
    const glia_shape *axes = &((const glia_squeeze_attrs *)attrs)->axes, *x = &in[0].shape;
    bool marks[GLIA_MAX_RANK] = {false};
    GLIA_TRY(mark_axes(axes, x->rank, marks, "squeeze", err));
    out[0] = (glia_type){.dtype = in[0].dtype};
    for (int i = 0; i < x->rank; i++) {
        if (marks[i] && x->dim[i] != 1)
            return glia_error_set(err, GLIA_BAD_SHAPE, "squeeze: dimension %d is %lld, not 1", i,
                                  (long long)x->dim[i]);
        bool drop = axes->rank ? marks[i] : x->dim[i] == 1;
        if (!drop) out[0].shape.dim[out[0].shape.rank++] = x->dim[i];
    }
    return GLIA_OK;
}

static glia_status unsqueeze_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                   glia_error *err) {
    (void)n_in;
    const glia_shape *axes = &((const glia_squeeze_attrs *)attrs)->axes, *x = &in[0].shape;
    bool marks[GLIA_MAX_RANK] = {false};
    int rank = x->rank + axes->rank, from = 0;
    if (rank > GLIA_MAX_RANK)
        return glia_error_set(err, GLIA_BAD_SHAPE, "unsqueeze: more than %d dimensions", GLIA_MAX_RANK);
    GLIA_TRY(mark_axes(axes, rank, marks, "unsqueeze", err));
    out[0] = (glia_type){in[0].dtype, {.rank = rank}};
    for (int i = 0; i < rank; i++) out[0].shape.dim[i] = marks[i] ? 1 : x->dim[from++];
    return GLIA_OK;
}

/* Their axes are an input in ONNX; Squeeze without them drops every dimension of 1. */
static void axes_to_onnx(glia_to_onnx *w) {
    const glia_shape *axes = &((const glia_squeeze_attrs *)w->node->attrs)->axes;
    GLIA_TO_ONNX(w, w->y[0], w->node->op->onnx, w->x[0],
                 axes->rank ? glia__to_onnx_list(w, axes->dim, axes->rank) : "");
}

#define AXES_FIELDS(text)                                      \
    GLIA_FIELDS({.name = "axes",                               \
                 .kind = GLIA_FIELD_DIMS,                      \
                 .offset = offsetof(glia_squeeze_attrs, axes), \
                 .initial = "",                                \
                 .doc = text})

GLIA_OP(squeeze) = {
    .name = "squeeze",
    .version = 1,
    .doc = "y = x without dimensions of 1",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_ALIAS,
    .attrs = AXES_FIELDS("dimensions to drop; none: every one of size 1"),
    .attrs_size = sizeof(glia_squeeze_attrs),
    .infer = squeeze_infer,
    .grad = view_grad,
    .ref = copy_ref,
    .flops = glia__no_flops,
    .onnx = "Squeeze",
    .onnx_since = 13,
    .onnx_write = axes_to_onnx,
    .cases = GLIA_CASES({.inputs = "2x1x3x1"}, {.inputs = "2x1x3x1", .attrs = "axes=-1"},
                        {.inputs = "2x3", .attrs = "axes=0", .expect_error = "dimension 0 is 2, not 1"},
                        {.inputs = "1x3", .attrs = "axes=5", .expect_error = "axis 5 is out of range"}),
};

GLIA_OP(unsqueeze) = {
    .name = "unsqueeze",
    .version = 1,
    .doc = "y = x with new dimensions of 1",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_ALIAS,
    .attrs = AXES_FIELDS("places of the new dimensions in the result"),
    .attrs_size = sizeof(glia_squeeze_attrs),
    .infer = unsqueeze_infer,
    .grad = view_grad,
    .ref = copy_ref,
    .flops = glia__no_flops,
    .onnx = "Unsqueeze",
    .onnx_since = 13,
    .onnx_write = axes_to_onnx,
    .cases = GLIA_CASES({.inputs = "2x3", .attrs = "axes=1"}, {.inputs = "2x3", .attrs = "axes=0,-1"},
                        {.inputs = "2x3", .attrs = "axes=1,1", .expect_error = "named twice"},
                        {.inputs = "2x3", .attrs = "axes=9", .expect_error = "axis 9 is out of range"}),
};

glia_value *glia_op_squeeze(glia_value *x, glia_squeeze_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "squeeze", &x, 1, &attrs);
}
glia_value *glia_op_unsqueeze(glia_value *x, glia_squeeze_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "unsqueeze", &x, 1, &attrs);
}
