/* units.c: layers that bring numbers from the units of the data, and back to them, learn these from the training part. */

#include <math.h>

#include "data/channels.h"
#include "recipe/recipe.h"
#include "train/model.h"

/* Numbers of an example whose channels are measured: of its inputs, or of its targets, from `first` on. */
typedef struct span {
    bool targets;
    int64_t first;
    glia_channels channels;
} span;

/* Numbers of an example, and the sums of each channel. */
typedef struct sums {
    float *room;
    double *mean, *deviation;
    size_t room_bytes, sum_bytes;
} sums;

static void add_example(const span *s, const float *x, bool squares, sums *to) {
    const glia_channels *k = &s->channels;
    for (int64_t oc = 0; oc < k->outer * k->count; oc++, x += k->inner) {
        const int64_t c = oc % k->count;
        for (int64_t i = 0; i < k->inner; i++) {
            const double d = squares ? (double)x[i] - to->mean[c] : (double)x[i];
            (squares ? to->deviation : to->mean)[c] += squares ? d * d : d;
        }
    }
}

/* Mean and deviation of every channel, in two passes. */
static glia_status add_up(const glia_dataset *data, const span *s, sums *to, glia_error *err) {
    const glia_dataset_info *info = glia_dataset_get_info(data);
    const double numbers = (double)info->count * (double)(s->channels.outer * s->channels.inner);
    float *targets = to->room + glia_shape_elems(&info->input_shape);
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t n = 0; n < info->count; n++) {
            GLIA_TRY(glia_dataset_gather(data, &n, 1, to->room, s->targets ? targets : NULL, err));
            add_example(s, (s->targets ? targets : to->room) + s->first, pass == 1, to);
        }
        for (int64_t c = 0; c < s->channels.count; c++) {
            if (!pass) to->mean[c] /= numbers;
            if (pass) to->deviation[c] = sqrt(to->deviation[c] / numbers);
            if (pass && !(to->deviation[c] > 1e-12)) to->deviation[c] = 1; /* what is constant stays so */
        }
    }
    return GLIA_OK;
}

static void set_state(glia_model *model, const char *layer, const char *name, const double *values) {
    char full[256];
    snprintf(full, sizeof full, "%s.%s", layer, name);
    const glia_tensor state = glia_model_get_param(model, full);
    for (int64_t i = 0; state.data && i < glia_shape_elems(&state.shape); i++)
        ((float *)state.data)[i] = (float)values[i];
}

static glia_status measure(const glia_recipe *recipe, glia_model *model, const char *layer,
                           const glia_dataset *data, const span *s, glia_error *err) {
    const glia_dataset_info *info = glia_dataset_get_info(data);
    const glia_allocator *allocator = recipe->arena.allocator;
    const int64_t numbers = glia_shape_elems(&info->input_shape) + glia_shape_elems(&info->target_shape);
    sums to = {.room_bytes = (size_t)numbers * sizeof(float),
               .sum_bytes = 2 * (size_t)s->channels.count * sizeof(double)};
    if (!glia__model_has_weights(model))
        GLIA_TRY(glia_model_initialize(model, glia_recipe_fit_options(recipe).seed, err));
    to.room = glia__alloc(allocator, to.room_bytes);
    to.mean = glia__calloc(allocator, 1, to.sum_bytes);
    glia_status status = GLIA_OUT_OF_MEMORY;
    if (to.room && to.mean) {
        to.deviation = to.mean + s->channels.count;
        status = add_up(data, s, &to, err);
    } else {
        (void)glia_error_set(err, status, "out of memory");
    }
    if (status == GLIA_OK) {
        set_state(model, layer, "mean", to.mean);
        set_state(model, layer, "deviation", to.deviation);
    }
    glia__free(allocator, to.room, to.room_bytes);
    glia__free(allocator, to.mean, to.sum_bytes);
    return status;
}

/* --- targets ------------------------------------------------------------------------------------------------ */

/* The targets of the loss that is called as the layer is, where there are several. */
static glia_status find_targets(const glia_recipe *recipe, const char *layer, const glia_dataset_info *info,
                                span *out, glia_error *err) {
    const char *target = NULL;
    bool whole = info->target != GLIA_TARGET_VALUES;
    *out = (span){.targets = true, .channels = {1, 1, glia_shape_elems(&info->target_shape)}};
    for (int i = 0; i < recipe->n_losses && !target; i++)
        if (strcmp(recipe->losses[i].layer, layer) == 0) target = recipe->losses[i].target;
    if (info->n_input_arrays && !target)
        return glia_error_set(
            err, GLIA_UNSUPPORTED,
            "denormalize '%s' has no targets of its own: of several outputs, give each that "
            "is a number a denormalize, and that layer the loss",
            layer);
    for (int i = 0; target && i < info->n_target_arrays; i++) {
        out->channels.inner = glia_shape_elems(&info->target_arrays[i].shape);
        whole = info->target_arrays[i].whole;
        if (strcmp(info->target_arrays[i].name, target) == 0) break;
        out->first += out->channels.inner;
    }
    if (!whole) return GLIA_OK;
    return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                          "denormalize '%s' gives numbers, but the targets are not: leave it out", layer);
}

/* --- inputs ------------------------------------------------------------------------------------------------- */

/* What the layer's mean is taken from, which must be an input: what layers give is not known yet. */
static glia_status find_input(const glia_model *model, const char *layer, span *out, glia_error *err) {
    char full[256];
    snprintf(full, sizeof full, "%s.mean", layer);
    const glia_value *x = NULL;
    for (size_t n = 0; n < model->graph->n_nodes && !x; n++) {
        const glia_node *node = model->graph->nodes[n];
        if (node->n_inputs == 2 && strcmp(glia_value_name(node->inputs[1]), full) == 0) x = node->inputs[0];
    }
    *out = (span){.channels = {1, 1, 1}};
    for (int i = 0; i < model->n_inputs; i++) {
        const glia_shape shape = glia_value_shape(model->inputs[i]),
                         mean = glia_model_get_param(model, full).shape;
        glia_shape example = {.rank = shape.rank - 1};
        for (int d = 0; d < example.rank; d++) example.dim[d] = shape.dim[d + 1];
        out->channels = glia__channels(&example, GLIA_MAX(example.rank, 1) - mean.rank);
        if (model->inputs[i] == x) return GLIA_OK;
        out->first += glia_shape_elems(&example);
    }
    return glia_error_set(err, GLIA_UNSUPPORTED,
                          "normalize '%s' stands behind other layers; it is for inputs of the model", layer);
}

glia_status glia__recipe_learn_units(const glia_recipe *recipe, glia_model *model, const glia_dataset *train,
                                     glia_error *err) {
    for (size_t i = 0; i < glia_model_layers(model); i++) {
        const glia_layer_info layer = glia_model_layer(model, i);
        const bool inputs = strcmp(layer.kind, "normalize") == 0;
        span s;
        if (!inputs && strcmp(layer.kind, "denormalize") != 0) continue;
        GLIA_TRY(inputs ? find_input(model, layer.name, &s, err)
                        : find_targets(recipe, layer.name, glia_dataset_get_info(train), &s, err));
        GLIA_TRY(measure(recipe, model, layer.name, train, &s, err));
    }
    return GLIA_OK;
}
