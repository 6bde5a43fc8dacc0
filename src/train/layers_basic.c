/* layers_basic.c: layers without a window: dense, embedding, shapes, dropout, activations. */

#include <stdio.h>

#include "glia/ops.h"
#include "train/model.h"

#define ACTIVATION_FIELD(type)                                                                  \
    {                                                                                           \
        .name = "activation", .kind = GLIA_FIELD_STRING, .offset = offsetof(type, activation),  \
        .initial = "", .doc = "what is applied to the result: relu, softmax, …; default none" \
    }

/* --- dense ------------------------------------------------------------------------------------------------ */

static glia_value *build_dense(const glia_layer_build *b, const void *options) {
    const glia_dense_options *o = options;
    glia_value *x = b->inputs[0], *bias = NULL;
    glia_shape shape = glia_value_shape(x);
    char text[96];
    if (shape.rank != 2 && shape.rank != 3)
        return glia__layer_fail(b, GLIA_BAD_SHAPE,
                                "expects a vector per example, or a sequence of them, got %s%s",
                                glia__example_text(x, text, sizeof text),
                                shape.rank > 3 ? "; add a flatten layer before it" : "");
    const int64_t in = shape.dim[shape.rank - 1];
    glia_value *weight =
        glia_model_param(b->model, "weight", GLIA_SHAPE(o->units, in), o->kernel_initializer, in, o->units);
    if (o->use_bias != GLIA_NO)
        bias = glia_model_param(b->model, "bias", GLIA_SHAPE(o->units), o->bias_initializer, in, o->units);
    if (!weight || (o->use_bias != GLIA_NO && !bias)) return NULL;
    return glia__layer_activate(b, glia_op_linear(x, weight, bias, (glia_linear_attrs){0}), o->activation);
}

GLIA_LAYER(dense) = {
    .name = "dense",
    .doc = "y = activation(x·Wᵀ + b): [N, in] → [N, units], or for every step [N, T, in] → [N, T, units]; "
           "weight "
           "[units, in], bias [units]",
    .min_inputs = 1,
    .max_inputs = 1,
    .keeps_steps = true,
    .fields = GLIA_FIELDS({.name = "units",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(glia_dense_options, units),
                           .doc = "numbers in the result",
                           .min = 1,
                           .max = 1 << 24},
                          ACTIVATION_FIELD(glia_dense_options),
                          {.name = "use_bias",
                           .kind = GLIA_FIELD_BOOL,
                           .offset = offsetof(glia_dense_options, use_bias),
                           .initial = "yes",
                           .doc = "whether b is added"},
                          {.name = "kernel_initializer",
                           .kind = GLIA_FIELD_STRING,
                           .offset = offsetof(glia_dense_options, kernel_initializer),
                           .initial = "glorot_uniform",
                           .doc = "how the weight begins"},
                          {.name = "bias_initializer",
                           .kind = GLIA_FIELD_STRING,
                           .offset = offsetof(glia_dense_options, bias_initializer),
                           .initial = "zeros",
                           .doc = "how the bias begins"}),
    .options_size = sizeof(glia_dense_options),
    .shorthand = "units",
    .build = build_dense,
};

glia_value *glia_dense_with(glia_value *x, glia_dense_options options) {
    return glia__layer_apply(NULL, &glia__layer_def_dense, options.name, &x, 1, &options, false);
}

/* --- embedding -------------------------------------------------------------------------------------------- */

static glia_value *build_embedding(const glia_layer_build *b, const void *options) {
    const glia_embedding_options *o = options;
    glia_dtype dtype = glia_value_dtype(b->inputs[0]);
    glia_value *words = b->inputs[0];
    if (dtype == GLIA_F32) /* data sets give batches as f32 */
        words = glia_op_cast(words, GLIA_I64);
    else if (dtype != GLIA_I64 && dtype != GLIA_I32)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "expects whole numbers (i64 or f32), got %s",
                                glia_dtype_name(dtype));
    glia_value *weight = glia_model_param(b->model, "weight", GLIA_SHAPE(o->vocabulary, o->units),
                                          o->initializer, o->vocabulary, o->units);
    glia_value *y = glia_op_gather(weight, words, (glia_gather_attrs){.axis = 0});
    if (o->sparse == GLIA_YES) glia__model_set_sparse(b->model, weight);
    if (o->mask_zero == GLIA_YES && y) {
        if (glia_value_shape(words).rank != 2)
            return glia__layer_fail(b, GLIA_BAD_SHAPE, "masks sequences [N, T] only");
        glia_value *zero = glia_graph_scalar(b->graph, glia_value_dtype(words), 0);
        glia_value *is_word = glia_op_cast(glia_op_not_equal(words, zero), GLIA_I64);
        glia__layer_set_lengths(b, y, glia_op_sum(is_word, (glia_reduce_attrs){.axes = GLIA_SHAPE(1)}));
    }
    return y;
}

GLIA_LAYER(embedding) = {
    .name = "embedding",
    .doc = "y = W[x]: i64 [N, …] → [N, …, units]; weight [vocabulary, units]",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS({.name = "vocabulary",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(glia_embedding_options, vocabulary),
                           .doc = "rows of the table; inputs are 0 to vocabulary - 1",
                           .min = 1,
                           .max = 1 << 30},
                          {.name = "units",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(glia_embedding_options, units),
                           .doc = "columns of the table",
                           .min = 1,
                           .max = 1 << 20},
                          {.name = "initializer",
                           .kind = GLIA_FIELD_STRING,
                           .offset = offsetof(glia_embedding_options, initializer),
                           .initial = "uniform:0.05",
                           .doc = "how the table begins"},
                          {.name = "mask_zero",
                           .kind = GLIA_FIELD_BOOL,
                           .offset = offsetof(glia_embedding_options, mask_zero),
                           .initial = "no",
                           .doc = "0 is padding behind a sequence: recurrent layers end before it, attention "
                                  "does not look at it"},
                          {.name = "sparse",
                           .kind = GLIA_FIELD_BOOL,
                           .offset = offsetof(glia_embedding_options, sparse),
                           .initial = "no",
                           .doc = "yes: a step updates only the rows that its batch uses, under every "
                                  "optimizer, as PyTorch's SparseAdam; weight_decay must be 0"}),
    .options_size = sizeof(glia_embedding_options),
    .build = build_embedding,
};

glia_value *glia_embedding_with(glia_value *x, glia_embedding_options options) {
    return glia__layer_apply(NULL, &glia__layer_def_embedding, options.name, &x, 1, &options, false);
}

/* --- shapes ----------------------------------------------------------------------------------------------- */

static glia_value *build_flatten(const glia_layer_build *b, const void *options) {
    (void)options;
    return glia_op_flatten(b->inputs[0], (glia_flatten_attrs){.axis = 1});
}

GLIA_LAYER(flatten) = {
    .name = "flatten",
    .doc = "[N, …] → [N, product]",
    .min_inputs = 1,
    .max_inputs = 1,
    .build = build_flatten,
};

glia_value *glia_flatten(glia_value *x) {
    return glia__layer_apply(NULL, &glia__layer_def_flatten, NULL, &x, 1, NULL, false);
}

typedef struct reshape_options {
    glia_shape shape;
} reshape_options;

static glia_value *build_reshape(const glia_layer_build *b, const void *options) {
    const reshape_options *o = options;
    glia_shape from = glia_value_shape(b->inputs[0]), to = {.rank = o->shape.rank + 1}; /* dim[0] 0: kept */
    int64_t have = 1, want = 1;
    int open = 0;
    char text[96], target[96];
    if (to.rank > GLIA_MAX_RANK)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "makes at most %d dimensions", GLIA_MAX_RANK - 1);
    for (int i = 1; i < from.rank; i++) have *= from.dim[i];
    for (int i = 0; i < o->shape.rank; i++) {
        if (o->shape.dim[i] == -1) open = i + 1 + (open ? GLIA_MAX_RANK : 0);
        if (o->shape.dim[i] > 0) want *= GLIA_MIN(o->shape.dim[i], INT64_C(1) << 40);
        want = GLIA_MIN(want, INT64_C(1) << 40);
        to.dim[i + 1] = o->shape.dim[i];
    }
    if (open > GLIA_MAX_RANK)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "may have one -1 in its shape, got several");
    if (open ? have % want != 0 : have != want)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "cannot make %s of %s: the numbers of elements differ",
                                glia_shape_text(&o->shape, target, sizeof target),
                                glia__example_text(b->inputs[0], text, sizeof text));
    if (open) to.dim[open] = have / want;
    return glia_op_reshape(b->inputs[0], (glia_reshape_attrs){.shape = to});
}

GLIA_LAYER(reshape) = {
    .name = "reshape",
    .doc = "[N, …] → [N, shape…]; one entry may be -1",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS({.name = "shape",
                           .kind = GLIA_FIELD_DIMS,
                           .offset = offsetof(reshape_options, shape),
                           .doc = "of one example; one entry may be -1",
                           .min = -1,
                           .max = 1 << 30}),
    .options_size = sizeof(reshape_options),
    .shorthand = "shape",
    .build = build_reshape,
};

glia_value *glia_reshape(glia_value *x, const int64_t *shape, int rank) {
    reshape_options options = {glia_shape_of(shape, rank > 0 ? (size_t)rank : 0)};
    return glia__layer_apply(NULL, &glia__layer_def_reshape, NULL, &x, 1, &options, false);
}

/* --- dropout and activations ------------------------------------------------------------------------------ */

typedef struct dropout_options {
    double rate;
} dropout_options;

static glia_value *build_dropout(const glia_layer_build *b, const void *options) {
    const dropout_options *o = options;
    if (o->rate == 0 || glia__model_frozen(b->model)) return b->inputs[0];
    return glia_op_dropout(b->inputs[0], (glia_dropout_attrs){.rate = o->rate});
}

GLIA_LAYER(dropout) = {
    .name = "dropout",
    .doc = "while training, drops each element with probability rate and scales the others by 1/(1 − rate)",
    .min_inputs = 1,
    .max_inputs = 1,
    .keeps_steps = true,
    .fields = GLIA_FIELDS({.name = "rate",
                           .kind = GLIA_FIELD_FLOAT,
                           .offset = offsetof(dropout_options, rate),
                           .initial = "0.5",
                           .doc = "share that is dropped, 0 to 0.99",
                           .min = 0,
                           .max = 0.99}),
    .options_size = sizeof(dropout_options),
    .shorthand = "rate",
    .build = build_dropout,
};

glia_value *glia_dropout(glia_value *x, double rate) {
    dropout_options options = {rate};
    return glia__layer_apply(NULL, &glia__layer_def_dropout, NULL, &x, 1, &options, true);
}

typedef struct activation_options {
    const char *function;
} activation_options;

static glia_value *build_activation(const glia_layer_build *b, const void *options) {
    return glia__layer_activate(b, b->inputs[0], ((const activation_options *)options)->function);
}

GLIA_LAYER(activation) = {
    .name = "activation",
    .doc = "y = function(x), any activation by name; `- relu` is short for `- activation: relu`",
    .min_inputs = 1,
    .max_inputs = 1,
    .keeps_steps = true,
    .fields = GLIA_FIELDS({.name = "function",
                           .kind = GLIA_FIELD_STRING,
                           .offset = offsetof(activation_options, function),
                           .doc = "relu, sigmoid, tanh, softmax, …"}),
    .options_size = sizeof(activation_options),
    .shorthand = "function",
    .build = build_activation,
};

glia_value *glia_activation(glia_value *x, const char *name) {
    activation_options options = {name};
    return glia__layer_apply(NULL, &glia__layer_def_activation, NULL, &x, 1, &options, false);
}

glia_value *glia_relu(glia_value *x) {
    return glia_layer(NULL, "relu", NULL, &x, 1, NULL);
}

glia_value *glia_softmax(glia_value *x) {
    return glia_layer(NULL, "softmax", NULL, &x, 1, NULL);
}

static glia_value *build_relu6(const glia_layer_build *b, const void *options) {
    (void)options;
    return glia_op_clip(b->inputs[0], (glia_clip_attrs){.min = 0, .max = 6});
}

GLIA_LAYER(relu6) = {
    .name = "relu6",
    .doc = "y = min(max(x, 0), 6)",
    .min_inputs = 1,
    .max_inputs = 1,
    .build = build_relu6,
};
