/* layers_norm.c: layers that normalise. */

#include "glia/ops.h"
#include "train/model.h"

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
