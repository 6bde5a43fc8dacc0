/* layers_units.c: from the units of the data to numbers about 0, and back. Means and deviations are state of the model, so that
 * who gets its weights, or the file that it was exported to, need not know them. */

#include "glia/ops.h"
#include "train/layer.h"

/* --- of the inputs ------------------------------------------------------------------------------------------ */

typedef struct normalize_options {
    int64_t axis;
} normalize_options;

/* A number for each channel, to be spread over the axes behind it: [C, 1, 1]. */
static bool find_channels(const glia_layer_build *b, int64_t axis, glia_shape *out) {
    const glia_shape x = glia_value_shape(b->inputs[0]);
    int at = 0;
    *out = GLIA_SHAPE(1);
    if (glia_value_dtype(b->inputs[0]) != GLIA_F32)
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "expects numbers (f32), got %s",
                               glia_dtype_name(glia_value_dtype(b->inputs[0])));
    else if (x.rank > 1 && !glia__axis_resolve(axis, x.rank - 1, &at))
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE,
                               "has channels along axis %lld, but an example has axes 0 to %d",
                               (long long)axis, x.rank - 2);
    else if (x.rank > 1 && x.dim[1 + at] < 1)
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "needs to know how many channels there are along axis %d",
                               at);
    else
        for (int d = 1 + at; d < x.rank; d++) {
            out->rank = x.rank - 1 - at;
            out->dim[d - 1 - at] = d == 1 + at ? x.dim[d] : 1;
        }
    return glia_graph_status(b->graph, NULL) == GLIA_OK;
}

static glia_value *build_normalize(const glia_layer_build *b, const void *options) {
    glia_shape channels;
    if (!find_channels(b, ((const normalize_options *)options)->axis, &channels)) return NULL;
    glia_value *mean = glia_model_state(b->model, "mean", channels, "zeros");
    glia_value *deviation = glia_model_state(b->model, "deviation", channels, "ones");
    if (!mean || !deviation) return NULL;
    return glia_op_div(glia_op_sub(b->inputs[0], mean), deviation);
}

GLIA_LAYER(normalize) = {
    .name = "normalize",
    .doc = "y = (x − mean)/deviation, x an input of the model, with those of each of its channels over the "
           "training part, which glia train measures",
    .min_inputs = 1,
    .max_inputs = 1,
    .keeps_steps = true,
    .fields = GLIA_FIELDS({.name = "axis",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(normalize_options, axis),
                           .initial = "0",
                           .doc = "axis of an example that channels, or columns, lie along; negative ones "
                                  "count from the last",
                           .min = -GLIA_MAX_RANK,
                           .max = GLIA_MAX_RANK}),
    .options_size = sizeof(normalize_options),
    .build = build_normalize,
};

/* --- of the targets ----------------------------------------------------------------------------------------- */

static glia_value *build_denormalize(const glia_layer_build *b, const void *options) {
    (void)options;
    glia_value *mean = glia_model_state(b->model, "mean", GLIA_SHAPE(1), "zeros");
    glia_value *deviation = glia_model_state(b->model, "deviation", GLIA_SHAPE(1), "ones");
    if (!mean || !deviation) return NULL;
    return glia_op_add(glia_op_mul(b->inputs[0], deviation), mean);
}

GLIA_LAYER(denormalize) = {
    .name = "denormalize",
    .doc = "y = x·deviation + mean, with those of the targets of the training part, which glia train "
           "measures: the layers before it work with numbers about 0 whatever the unit of what is to be "
           "predicted",
    .min_inputs = 1,
    .max_inputs = 1,
    .keeps_steps = true,
    .build = build_denormalize,
};

glia_value *glia_denormalize(glia_value *x) {
    return glia__layer_apply(NULL, &glia__layer_def_denormalize, NULL, &x, 1, NULL, false);
}
