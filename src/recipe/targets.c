/* targets.c: layers that give numbers in the unit of the targets learn it from the training part. */

#include <math.h>

#include "recipe/recipe.h"
#include "train/model.h"

/* Mean and deviation of all numbers that are to be predicted, in two passes. */
static glia_status measure(const glia_dataset *data, double *mean, double *deviation,
                           const glia_allocator *allocator, glia_error *err) {
    const glia_dataset_info *info = glia_dataset_get_info(data);
    const int64_t inputs = glia_shape_elems(&info->input_shape),
                  targets = glia_shape_elems(&info->target_shape);
    const size_t bytes = (size_t)(inputs + targets) * sizeof(float);
    float *room = glia__alloc(allocator, bytes);
    if (!room) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    const double numbers = (double)info->count * (double)targets;
    glia_status status = GLIA_OK;
    *mean = *deviation = 0;
    for (int pass = 0; pass < 2; pass++) {
        double sum = 0;
        for (int64_t n = 0; n < info->count && status == GLIA_OK; n++) {
            status = glia_dataset_gather(data, &n, 1, room, room + inputs, err);
            for (int64_t i = 0; i < targets; i++) {
                const double d = (double)room[inputs + i] - *mean;
                sum += pass ? d * d : d;
            }
        }
        *(pass ? deviation : mean) = pass ? sqrt(sum / numbers) : sum / numbers;
    }
    if (!(*deviation > 1e-12)) *deviation = 1;
    glia__free(allocator, room, bytes);
    return status;
}

static bool denormalizes(const glia_layer_info *layer) {
    return strcmp(layer->kind, "denormalize") == 0;
}

static void set_state(glia_model *model, const char *layer, const char *name, double value) {
    char full[256];
    snprintf(full, sizeof full, "%s.%s", layer, name);
    const glia_tensor state = glia_model_get_param(model, full);
    if (state.data) *(float *)state.data = (float)value;
}

glia_status glia__recipe_fit_targets(const glia_recipe *recipe, glia_model *model, const glia_dataset *train,
                                     glia_error *err) {
    const glia_dataset_info *info = glia_dataset_get_info(train);
    double mean = 0, deviation = 0; /* deviation 0: not measured */
    for (size_t i = 0; i < glia_model_layers(model); i++) {
        const glia_layer_info layer = glia_model_layer(model, i);
        if (!denormalizes(&layer)) continue;
        if (info->target != GLIA_TARGET_VALUES)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "denormalize '%s' gives numbers, but the targets are not: leave it out",
                                  layer.name);
        if (info->n_input_arrays)
            return glia_error_set(
                err, GLIA_UNSUPPORTED,
                "denormalize '%s' is for a model of one output; scale the arrays of several", layer.name);
        if (deviation == 0) {
            GLIA_TRY(measure(train, &mean, &deviation, recipe->arena.allocator, err));
            if (!glia__model_has_weights(model))
                GLIA_TRY(glia_model_initialize(model, glia_recipe_fit_options(recipe).seed, err));
        }
        set_state(model, layer.name, "mean", mean);
        set_state(model, layer.name, "deviation", deviation);
    }
    return GLIA_OK;
}
