/* layers_merge.c: layers that make one value of several branches. */

#include "glia/ops.h"
#include "train/layer.h"

/* True when all inputs have one shape, but for dimension `except`. */
static bool shapes_agree(const glia_layer_build *b, int except) {
    glia_shape first = glia_value_shape(b->inputs[0]);
    for (int i = 1; i < b->n_inputs; i++) {
        glia_shape shape = glia_value_shape(b->inputs[i]);
        if (except > 0 && except < shape.rank && shape.rank == first.rank)
            shape.dim[except] = first.dim[except];
        if (glia_shape_equal(&first, &shape)) continue;
        char have[96], other[96];
        shape = glia_value_shape(b->inputs[i]);
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "cannot merge inputs of shapes %s and %s%s",
                               glia_shape_text(&first, have, sizeof have),
                               glia_shape_text(&shape, other, sizeof other),
                               except > 0 ? "; they may differ along its axis only" : "");
        return false;
    }
    return true;
}

/* --- place by place ------------------------------------------------------------------------------------------------ */

static glia_value *merge(const glia_layer_build *b, glia_value *(*op)(glia_value *, glia_value *)) {
    if (!shapes_agree(b, -1)) return NULL;
    glia_value *sum = b->inputs[0];
    for (int i = 1; i < b->n_inputs; i++) sum = op(sum, b->inputs[i]);
    return sum;
}

#define MERGE_LAYER(layer, op, most, text)                                             \
    static glia_value *build_##layer(const glia_layer_build *b, const void *options) { \
        (void)options;                                                                 \
        return merge(b, op);                                                           \
    }                                                                                  \
    GLIA_LAYER(layer) = {                                                              \
        .name = #layer, .doc = text, .min_inputs = 2, .max_inputs = most, .build = build_##layer}

MERGE_LAYER(add, glia_op_add, GLIA_MAX_INPUTS, "y = a + b + …: the sum of branches of one shape");
MERGE_LAYER(multiply, glia_op_mul, GLIA_MAX_INPUTS,
            "y = a · b · …: the product of branches of one shape, place by place");
MERGE_LAYER(subtract, glia_op_sub, 2, "y = a − b: the difference of two branches of one shape");
MERGE_LAYER(maximum, glia_op_maximum, GLIA_MAX_INPUTS,
            "y = max(a, b, …): the largest of branches of one shape, place by place");
MERGE_LAYER(minimum, glia_op_minimum, GLIA_MAX_INPUTS,
            "y = min(a, b, …): the smallest of branches of one shape, place by place");

static glia_value *build_average(const glia_layer_build *b, const void *options) {
    glia_value *sum = build_add(b, options);
    return sum ? glia_op_mul(sum, glia_graph_scalar(b->graph, glia_value_dtype(sum), 1.0 / b->n_inputs))
               : NULL;
}

GLIA_LAYER(average) = {
    .name = "average",
    .doc = "y = (a + b + …)/count: the mean of branches of one shape",
    .min_inputs = 2,
    .max_inputs = GLIA_MAX_INPUTS,
    .build = build_average,
};

glia_value *glia_add(glia_value *a, glia_value *b) {
    glia_value *inputs[] = {a, b};
    return glia__layer_apply(NULL, &glia__layer_def_add, NULL, inputs, 2, NULL, false);
}

glia_value *glia_multiply(glia_value *a, glia_value *b) {
    glia_value *inputs[] = {a, b};
    return glia__layer_apply(NULL, &glia__layer_def_multiply, NULL, inputs, 2, NULL, false);
}

/* --- dot ----------------------------------------------------------------------------------------------------------- */

typedef struct dot_options {
    glia_bool normalize;
} dot_options;

/* Of length 1 along the last dimension; zeros stay. */
static glia_value *directions(glia_value *x) {
    const glia_reduce_attrs last = {.axes = GLIA_SHAPE(-1), .keep_dims = GLIA_YES};
    glia_value *length = glia_op_l2_norm(x, last);
    const glia_dtype dtype = glia_value_dtype(x);
    return glia_op_div(x, glia_op_maximum(length, glia_graph_scalar(glia_value_graph(x), dtype, 1e-12)));
}

static glia_value *build_dot(const glia_layer_build *b, const void *options) {
    const dot_options *o = options;
    glia_value *x = b->inputs[0], *y = b->inputs[1];
    const glia_shape left = glia_value_shape(x), right = glia_value_shape(y);
    const int rank = left.rank;
    char one[96], other[96];
    if ((rank != 2 && rank != 3) || right.rank != rank || left.dim[rank - 1] != right.dim[rank - 1])
        return glia__layer_fail(
            b, GLIA_BAD_SHAPE, "expects two vectors of one length, or two sequences of them, got %s and %s",
            glia__example_text(x, one, sizeof one), glia__example_text(y, other, sizeof other));
    if (o->normalize == GLIA_YES) x = directions(x), y = directions(y);
    if (rank == 3) return glia_op_matmul(x, y, (glia_matmul_attrs){.transpose_b = GLIA_YES});
    return glia_op_sum(glia_op_mul(x, y), (glia_reduce_attrs){.axes = GLIA_SHAPE(1), .keep_dims = GLIA_YES});
}

GLIA_LAYER(dot) = {
    .name = "dot",
    .doc = "products of vectors: [N, F] and [N, F] → [N, 1], or of each with each: [N, T, F] and [N, S, F] → "
           "[N, T, S]",
    .min_inputs = 2,
    .max_inputs = 2,
    .fields = GLIA_FIELDS({.name = "normalize",
                           .kind = GLIA_FIELD_BOOL,
                           .offset = offsetof(dot_options, normalize),
                           .initial = "no",
                           .doc = "of vectors of length 1: cosines"}),
    .options_size = sizeof(dot_options),
    .build = build_dot,
};

/* --- one behind the other ------------------------------------------------------------------------------------------ */

typedef struct axis_options {
    int64_t axis;
} axis_options;

#define AXIS_FIELD(text)                                            \
    GLIA_FIELDS({.name = "axis",                                    \
                 .kind = GLIA_FIELD_INT,                            \
                 .offset = offsetof(axis_options, axis),            \
                 .initial = "0",                                    \
                 .doc = text "; negative ones count from the last", \
                 .min = -GLIA_MAX_RANK,                             \
                 .max = GLIA_MAX_RANK})

/* The axis of the arrays that `axis` of an example with so many axes is; 0 with an error in the graph. */
static int find_axis(const glia_layer_build *b, int64_t axis, int axes) {
    int found;
    if (axes < 1)
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "needs inputs of at least one dimension per example");
    else if (glia__axis_resolve(axis, axes, &found))
        return found + 1; /* behind that of the batch */
    else
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "joins along axis %lld, but an example has axes 0 to %d",
                               (long long)axis, axes - 1);
    return 0;
}

static glia_value *build_concat(const glia_layer_build *b, const void *options) {
    const int axis =
        find_axis(b, ((const axis_options *)options)->axis, glia_value_shape(b->inputs[0]).rank - 1);
    if (!axis || !shapes_agree(b, axis)) return NULL;
    return glia_op_concat(b->inputs, b->n_inputs, (glia_concat_attrs){.axis = axis});
}

GLIA_LAYER(concat) = {
    .name = "concat",
    .doc = "branches one behind the other along an axis of the example (0: channels)",
    .min_inputs = 2,
    .max_inputs = GLIA_MAX_INPUTS,
    .fields = AXIS_FIELD("axis of an example"),
    .options_size = sizeof(axis_options),
    .build = build_concat,
};

glia_value *glia_concat(glia_value *const *values, int count, int axis) {
    axis_options options = {axis};
    return glia__layer_apply(NULL, &glia__layer_def_concat, NULL, values, count, &options, true);
}

static glia_value *build_stack(const glia_layer_build *b, const void *options) {
    const int axis = find_axis(b, ((const axis_options *)options)->axis, glia_value_shape(b->inputs[0]).rank);
    return axis && shapes_agree(b, -1) ? glia_op_stack(b->inputs, b->n_inputs, axis) : NULL;
}

GLIA_LAYER(stack) = {
    .name = "stack",
    .doc = "branches of one shape side by side along a new axis of the example",
    .min_inputs = 2,
    .max_inputs = GLIA_MAX_INPUTS,
    .fields = AXIS_FIELD("place of the new axis in an example of the result"),
    .options_size = sizeof(axis_options),
    .build = build_stack,
};
