/* layers_norm.c: layers that normalise: over the batch, and each example by itself. */

#include "glia/ops.h"
#include "train/model.h"

/* Numbers a channel beside [N, C, …]. */
static glia_value *beside(const glia_value *x, glia_value *numbers) {
    glia_squeeze_attrs a = {.axes.rank = 0};
    for (int d = 1; d < glia_value_shape(x).rank - 1; d++) a.axes.dim[a.axes.rank++] = d;
    return a.axes.rank ? glia_op_unsqueeze(numbers, a) : numbers;
}

/* x·w + (bias − mean·w), w = weight / √(var + ε): the batch's statistics play no part. */
static glia_value *by_running_statistics(glia_value *x, glia_value *weight, glia_value *bias,
                                         glia_value *mean, glia_value *var, double epsilon) {
    glia_value *w = glia_op_mul(weight, glia_op_rsqrt(glia_op_add(var, glia__number(var, epsilon))));
    glia_value *shift = glia_op_sub(bias, glia_op_mul(mean, w));
    return glia_op_add(glia_op_mul(x, beside(x, w)), beside(x, shift));
}

static glia_value *build_batch_norm(const glia_layer_build *b, const void *options) {
    const glia_batch_norm_options *o = options;
    glia_value *x = b->inputs[0];
    glia_shape shape = glia_value_shape(x);
    if (shape.rank < 2)
        return glia__layer_fail(b, GLIA_BAD_SHAPE,
                                "expects at least one dimension per example, the channels");
    const glia_shape channels = GLIA_SHAPE(shape.dim[1]);
    glia_value *weight = glia_model_param(b->model, "weight", channels, "ones", 1, 1);
    glia_value *bias = glia_model_param(b->model, "bias", channels, "zeros", 1, 1);
    glia_value *mean = glia_model_state(b->model, "running_mean", channels, "zeros");
    glia_value *var = glia_model_state(b->model, "running_var", channels, "ones");
    if (!weight || !bias || !mean || !var) return NULL;
    if (glia__model_frozen(b->model))
        return glia__layer_activate(b, by_running_statistics(x, weight, bias, mean, var, o->epsilon),
                                    o->activation);
    glia_batch_norm_attrs attrs = {.epsilon = o->epsilon, .momentum = o->momentum};
    /* Activations that the op itself applies cost no pass over the data. */
    const glia_field *fused = glia__field_find(glia__op_find("batch_norm")->attrs, "activation");
    bool applied = glia__field_parse(fused, &attrs, o->activation, &b->model->arena, NULL) == GLIA_OK;
    glia_value *y = glia_op_batch_norm(x, weight, bias, mean, var, attrs);
    glia_model_set_update(b->model, mean, glia_value_sibling(y, 1));
    glia_model_set_update(b->model, var, glia_value_sibling(y, 2));
    return applied ? y : glia__layer_activate(b, y, o->activation);
}

GLIA_LAYER(batch_norm) = {
    .name = "batch_norm",
    .doc = "y = activation((x − μ)/√(σ² + ε)·weight + bias) for each channel: [N, C, …] → same; μ, σ² of the "
           "batch while "
           "training, then running_mean, running_var; all [C]",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields =
        GLIA_FIELDS({.name = "momentum",
                     .kind = GLIA_FIELD_FLOAT,
                     .offset = offsetof(glia_batch_norm_options, momentum),
                     .initial = "0.9",
                     .doc = "share of the running statistics that a step keeps (1 − PyTorch's momentum)",
                     .min = 1e-6,
                     .max = 1},
                    {.name = "epsilon",
                     .kind = GLIA_FIELD_FLOAT,
                     .offset = offsetof(glia_batch_norm_options, epsilon),
                     .initial = "1e-5",
                     .doc = "ε, keeps the division finite",
                     .min = 1e-12,
                     .max = 1},
                    {.name = "activation",
                     .kind = GLIA_FIELD_STRING,
                     .offset = offsetof(glia_batch_norm_options, activation),
                     .initial = "",
                     .doc = "what is applied to the result: relu, …; default none"}),
    .options_size = sizeof(glia_batch_norm_options),
    .build = build_batch_norm,
};

glia_value *glia_batch_norm_with(glia_value *x, glia_batch_norm_options options) {
    return glia__layer_apply(NULL, &glia__layer_def_batch_norm, options.name, &x, 1, &options, false);
}

/* --- each example by itself ------------------------------------------------------------------------------- */

#define EPSILON_FIELD(type)                                                                                \
    {                                                                                                      \
        .name = "epsilon", .kind = GLIA_FIELD_FLOAT, .offset = offsetof(type, epsilon), .initial = "1e-5", \
        .doc = "ε, keeps the division finite", .min = 1e-12, .max = 1                                      \
    }
#define LAYER_NORM_FIELDS                                                          \
    GLIA_FIELDS({.name = "dims",                                                   \
                 .kind = GLIA_FIELD_INT,                                           \
                 .offset = offsetof(glia_layer_norm_options, dims),                \
                 .initial = "1",                                                   \
                 .doc = "how many of the last dimensions are normalised together", \
                 .min = 1,                                                         \
                 .max = GLIA_MAX_RANK - 1},                                        \
                EPSILON_FIELD(glia_layer_norm_options))

/* The last `dims` dimensions, which must be those of an example; false, with an error, when they are not. */
static bool last_dims(const glia_layer_build *b, int64_t dims, glia_shape *out) {
    const glia_shape shape = glia_value_shape(b->inputs[0]);
    char text[96];
    if (dims >= shape.rank) {
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "normalises %lld dimensions, but an example is %s",
                               (long long)dims, glia__example_text(b->inputs[0], text, sizeof text));
        return false;
    }
    *out = glia_shape_of(shape.dim + shape.rank - dims, (size_t)dims);
    return true;
}

static glia_value *build_layer_norm(const glia_layer_build *b, const void *options) {
    const glia_layer_norm_options *o = options;
    glia_shape shape;
    if (!last_dims(b, o->dims, &shape)) return NULL;
    glia_value *weight = glia_model_param(b->model, "weight", shape, "ones", 1, 1);
    glia_value *bias = glia_model_param(b->model, "bias", shape, "zeros", 1, 1);
    if (!weight || !bias) return NULL;
    return glia_op_layer_norm(b->inputs[0], weight, bias,
                              (glia_layer_norm_attrs){.axis = -o->dims, .epsilon = o->epsilon});
}

GLIA_LAYER(layer_norm) = {
    .name = "layer_norm",
    .doc = "y = (x − μ)/√(σ² + ε)·weight + bias: [N, …] → same; μ, σ² over the last dims dimensions of each "
           "example, which are those of weight and bias",
    .min_inputs = 1,
    .max_inputs = 1,
    .keeps_steps = true,
    .fields = LAYER_NORM_FIELDS,
    .options_size = sizeof(glia_layer_norm_options),
    .build = build_layer_norm,
};

static glia_value *build_rms_norm(const glia_layer_build *b, const void *options) {
    const glia_layer_norm_options *o = options;
    glia_shape shape;
    if (!last_dims(b, o->dims, &shape)) return NULL;
    glia_value *weight = glia_model_param(b->model, "weight", shape, "ones", 1, 1);
    if (!weight) return NULL;
    return glia_op_rms_norm(b->inputs[0], weight,
                            (glia_layer_norm_attrs){.axis = -o->dims, .epsilon = o->epsilon});
}

GLIA_LAYER(rms_norm) = {
    .name = "rms_norm",
    .doc =
        "y = x/√(mean x² + ε)·weight: [N, …] → same; the mean over the last dims dimensions of each example, "
        "which are those of weight",
    .min_inputs = 1,
    .max_inputs = 1,
    .keeps_steps = true,
    .fields = LAYER_NORM_FIELDS,
    .options_size = sizeof(glia_layer_norm_options),
    .build = build_rms_norm,
};

/* A group of channels of one example is a row of layer normalisation. */
static glia_value *build_groups(const glia_layer_build *b, int64_t groups, double epsilon) {
    glia_value *x = b->inputs[0];
    glia_shape shape = glia_value_shape(x), each = {.rank = shape.rank - 1};
    if (shape.rank < 2)
        return glia__layer_fail(b, GLIA_BAD_SHAPE,
                                "expects at least one dimension per example, the channels");
    const int64_t channels = shape.dim[1];
    if (groups < 1 || channels % groups != 0)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "has %lld groups, which do not divide %lld channels",
                                (long long)groups, (long long)channels);
    glia_value *weight = glia_model_param(b->model, "weight", GLIA_SHAPE(channels), "ones", 1, 1);
    glia_value *bias = glia_model_param(b->model, "bias", GLIA_SHAPE(channels), "zeros", 1, 1);
    if (!weight || !bias) return NULL;
    each.dim[0] = channels; /* [C, 1, …]: broadcasts over the channels */
    for (int d = 1; d < each.rank; d++) each.dim[d] = 1;
    glia_value *rows = glia_op_reshape(x, (glia_reshape_attrs){.shape = GLIA_SHAPE(0, groups, -1)});
    glia_value *y =
        glia_op_layer_norm(rows, NULL, NULL, (glia_layer_norm_attrs){.axis = -1, .epsilon = epsilon});
    shape.dim[0] = 0; /* kept */
    y = glia_op_reshape(y, (glia_reshape_attrs){.shape = shape});
    y = glia_op_mul(y, glia_op_reshape(weight, (glia_reshape_attrs){.shape = each}));
    return glia_op_add(y, glia_op_reshape(bias, (glia_reshape_attrs){.shape = each}));
}

static glia_value *build_group_norm(const glia_layer_build *b, const void *options) {
    const glia_group_norm_options *o = options;
    return build_groups(b, o->groups, o->epsilon);
}

GLIA_LAYER(group_norm) = {
    .name = "group_norm",
    .doc = "y = (x − μ)/√(σ² + ε)·weight + bias: [N, C, …] → same; μ, σ² over each group of channels of an "
           "example; weight, bias [C] (Wu, He, ECCV 2018)",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS({.name = "groups",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(glia_group_norm_options, groups),
                           .doc = "how many; they divide the channels",
                           .min = 1,
                           .max = 1 << 24},
                          EPSILON_FIELD(glia_group_norm_options)),
    .options_size = sizeof(glia_group_norm_options),
    .shorthand = "groups",
    .build = build_group_norm,
};

static glia_value *build_instance_norm(const glia_layer_build *b, const void *options) {
    const glia_group_norm_options *o = options;
    const glia_shape shape = glia_value_shape(b->inputs[0]);
    if (shape.rank < 3)
        return glia__layer_fail(b, GLIA_BAD_SHAPE,
                                "expects channels with at least one dimension each: [N, C, …]");
    return build_groups(b, shape.dim[1], o->epsilon);
}

GLIA_LAYER(instance_norm) = {
    .name = "instance_norm",
    .doc = "y = (x − μ)/√(σ² + ε)·weight + bias: [N, C, …] → same; μ, σ² over each channel of an example; "
           "weight, bias [C] (Ulyanov, Vedaldi, Lempitsky, arXiv:1607.08022)",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(EPSILON_FIELD(glia_group_norm_options)),
    .options_size = sizeof(glia_group_norm_options),
    .build = build_instance_norm,
};

glia_value *glia_layer_norm_with(glia_value *x, glia_layer_norm_options options) {
    return glia__layer_apply(NULL, &glia__layer_def_layer_norm, options.name, &x, 1, &options, false);
}

glia_value *glia_rms_norm_with(glia_value *x, glia_layer_norm_options options) {
    return glia__layer_apply(NULL, &glia__layer_def_rms_norm, options.name, &x, 1, &options, false);
}

glia_value *glia_group_norm_with(glia_value *x, glia_group_norm_options options) {
    return glia__layer_apply(NULL, &glia__layer_def_group_norm, options.name, &x, 1, &options, false);
}

glia_value *glia_instance_norm_with(glia_value *x, glia_group_norm_options options) {
    return glia__layer_apply(NULL, &glia__layer_def_instance_norm, options.name, &x, 1, &options, false);
}
