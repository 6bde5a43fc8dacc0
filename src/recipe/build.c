/* build.c: a model of the layers that a model file lists. */
#include <stdio.h>

#include "core/log.h"
#include "recipe/recipe.h"
#include "train/loss.h"
#include "train/model.h"

void glia__recipe_place_error(const glia_yaml *at, const char *node, glia_model *model) {
    glia_error *error = &glia_model_graph(model)->error;
    if (error->status == GLIA_OK || error->file[0]) return;
    glia_error placed = {0};
    (void)glia__yaml_key_error(at, &placed, error->status, "%s", error->message);
    snprintf(placed.node, sizeof placed.node, "%s", node);
    *error = placed;
}

/* What layers are built of: the block's input, or those of the model, which are called as its own. */
typedef struct sources {
    glia_value *const *inputs;
    int count;
} sources;

static glia_value *input_called(const glia_model *model, const char *name, const sources *from) {
    for (int i = 0; i < from->count; i++)
        if (strcmp(glia_value_name(model->inputs[i]), name) == 0) return from->inputs[i];
    return from->inputs[0];
}

static glia_value *build_layer(const glia_recipe_list *list, const glia_recipe_layer *layer,
                               glia_model *model, glia_value *const *outputs, const sources *given) {
    glia_value *in[GLIA_COUNT(layer->inputs)];
    const char *name = layer->unnamed ? NULL : layer->name;
    int count = layer->n_inputs, at = (int)(layer - list->layers);
    for (int k = 0; k < count; k++) {
        char of[64];
        const char *result = glia__recipe_split_result(layer->inputs[k], of, sizeof of);
        const glia_recipe_layer *from = glia__recipe_find_layer(list, of);
        in[k] = from ? outputs[from - list->layers] : input_called(model, of, given);
        const int number = result && *result >= '0' && *result <= '9' ? *result - '0' : -1;
        if (number > 0) in[k] = glia_value_sibling(in[k], number);
        if (result && number < 0) in[k] = glia_layer_result(model, of, result);
    }
    if (!count) in[count++] = at ? outputs[at - 1] : given->inputs[0];
    if (layer->share) return glia_share(layer->share, name, in, count);
    glia_scope_begin(model, NULL, .trainable = layer->trainable,
                     .learning_rate_scale = layer->learning_rate_scale);
    glia_value *result = glia__layer_apply(model, layer->def, name, in, count, layer->options, true);
    glia_scope_end(model);
    return result;
}

glia_value *glia__recipe_build_list(const glia_recipe_list *list, glia_model *model,
                                    glia_value *const *inputs, int n_inputs, glia_value **all) {
    const sources given = {inputs, n_inputs};
    size_t bytes = (size_t)list->n_layers * sizeof(glia_value *);
    glia_value **outputs = all ? all : glia__alloc(model->allocator, bytes), *last = NULL;
    if (!outputs) return glia_graph_fail(glia_model_graph(model), GLIA_OUT_OF_MEMORY, NULL, "out of memory");
    for (int i = 0; i < list->n_layers && glia_model_status(model, NULL) == GLIA_OK; i++) {
        last = outputs[i] = build_layer(list, &list->layers[i], model, outputs, &given);
        glia__recipe_place_error(list->layers[i].at, list->layers[i].name, model);
    }
    if (!all) glia__free(model->allocator, outputs, bytes);
    return glia_model_status(model, NULL) == GLIA_OK ? last : NULL;
}

/* What gives a number for every class of an example, or of positions, whose number the loss will compare. */
static bool gives_classes(const glia_recipe *recipe, glia_shape shape, int64_t classes) {
    const glia_loss *loss = glia__loss_find(recipe->loss);
    const bool one_unit = classes == 2 && loss && !loss->classes;
    const int64_t last = shape.dim[shape.rank - 1], first = shape.dim[1];
    if (last == classes || (one_unit && last == 1)) return true;
    return shape.rank > 2 && (first == classes || (one_unit && first == 1));
}

/* The last layer must give one number a class (or one in all for two classes). */
static glia_status check_output(const glia_recipe *recipe, glia_model *model, int64_t classes,
                                glia_error *err) {
    const glia_recipe_layer *last = &recipe->model.layers[recipe->model.n_layers - 1];
    glia_shape shape = glia_value_shape(glia_model_output(model));
    char text[96];
    if (classes <= 0 || recipe->n_losses) return GLIA_OK;
    if (shape.rank >= 2 && gives_classes(recipe, shape, classes)) return GLIA_OK;
    glia_shape example = {.rank = shape.rank - 1};
    memcpy(example.dim, shape.dim + 1, sizeof example.dim - sizeof example.dim[0]);
    glia__yaml_key_error(
        last->at, err, GLIA_BAD_SHAPE,
        "the last layer, %s '%s', gives %s numbers an example, but the data has %lld classes; "
        "end with dense: %lld",
        last->def->name, last->name, glia_shape_text(&example, text, sizeof text), (long long)classes,
        (long long)classes);
    return GLIA_BAD_SHAPE;
}

static void warn_unused(const glia_recipe *recipe, const glia_logger *logger) {
    for (int i = 0; i < recipe->model.n_layers; i++) {
        const glia_recipe_layer *layer = &recipe->model.layers[i];
        if (!layer->used)
            glia__log(logger, GLIA_LOG_WARNING, "%s:%d:%d: layer '%s' is not used by any other",
                      layer->at->origin, layer->at->key_line, layer->at->key_column, layer->name);
    }
}

static glia_status build(const glia_recipe *recipe, glia_model *model, const glia_shape *input_shape,
                         glia_error *err) {
    const size_t bytes = (size_t)recipe->model.n_layers * sizeof(glia_value *);
    glia_value *inputs[GLIA_RECIPE_PARTS], **layers = glia__alloc(model->allocator, bytes);
    glia_input_options input = {.reserved_ = 0};
    if (!layers) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (int i = 0; i < input_shape->rank; i++) input.shape[i] = input_shape->dim[i];
    if (recipe->n_inputs)
        glia__recipe_add_inputs(recipe, model, inputs);
    else
        inputs[0] = glia_input_with(model, "input", input);
    glia_model_set_output(
        model, glia__recipe_build_list(&recipe->model, model, inputs, GLIA_MAX(recipe->n_inputs, 1), layers));
    glia_status status = glia_model_status(model, err);
    if (status == GLIA_OK && recipe->n_losses) status = glia__recipe_set_parts(recipe, model, layers, err);
    glia__free(model->allocator, layers, bytes);
    return status;
}

glia_status glia_recipe_model(const glia_recipe *recipe, glia_shape input_shape, int64_t classes,
                              glia_model **out, const glia_logger *logger, glia_error *err) {
    *out = NULL;
    glia_model *model = glia_model_new_with(recipe->name, recipe->arena.allocator);
    if (!model) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia_status status = build(recipe, model, &input_shape, err);
    if (status == GLIA_OK) status = check_output(recipe, model, classes, err);
    if (status != GLIA_OK) {
        glia_model_free(model);
        return status;
    }
    warn_unused(recipe, logger);
    *out = model;
    return GLIA_OK;
}
