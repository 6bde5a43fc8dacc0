/* export.c: finds exporters, runs them, and makes the inference graph that they write. */
#include "io/export.h"

#include <stdio.h>

/* --- exporters ------------------------------------------------------------------------------------------- */

static bool ends_with(const char *path, const char *ending) {
    size_t a = strlen(path), b = strlen(ending);
    return a > b && strcmp(path + a - b, ending) == 0;
}

static glia_status unknown_format(const char *name, const char *path, glia_error *err) {
    enum { MOST = 16 };
    const char *names[MOST] = {NULL};
    char list[256] = "";
    size_t count = 0, used = 0;
    for (; count < GLIA_MIN(glia__exporters_count, MOST); count++) {
        names[count] = glia__exporters[count]->name;
        used += (size_t)snprintf(list + used, used < sizeof list ? sizeof list - used : 0, "%s%s",
                                 count ? ", " : "", names[count]);
        used = GLIA_MIN(used, sizeof list);
    }
    if (!name || !*name)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "no format: '%.100s' ends like none of them; --format takes one of %s",
                              path ? path : "", list);
    const char *nearest = glia__nearest_word(name, names, count);
    if (nearest)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "unknown format '%.60s' (did you mean %s?)", name,
                              nearest);
    return glia_error_set(err, GLIA_INVALID_ARGUMENT, "unknown format '%.60s'; expected one of %s", name,
                          list);
}

glia_status glia__exporter_find(const glia_exporter **out, const char *name, const char *path,
                                glia_error *err) {
    const bool by_name = name && *name;
    for (const glia_exporter *const *e = glia__exporters; *e; e++) {
        if (by_name ? strcmp((*e)->name, name) != 0 : !path || !ends_with(path, (*e)->extension)) continue;
        *out = *e;
        return GLIA_OK;
    }
    return unknown_format(name, path, err);
}

typedef glia_status export_step(const glia_export *model, const void *options, const char *path,
                                glia_export_result *result, glia_error *err);

static glia_status with_options(const glia_export *model, const glia_exporter *exporter, export_step *step,
                                const char *options, const char *path, glia_export_result *result,
                                glia_error *err) {
    glia_arena arena;
    glia__arena_init(&arena, model->allocator);
    void *parsed = glia__arena_alloc(&arena, exporter->options_size + 1);
    glia_status status = parsed ? glia__fields_parse(exporter->options, parsed, options, &arena, err)
                                : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (status == GLIA_OK) status = step(model, parsed, path, result, err);
    glia__arena_free(&arena);
    return status;
}

glia_status glia__export_write(const glia_export *model, const glia_exporter *exporter, const char *options,
                               const char *path, glia_export_result *result, glia_error *err) {
    glia_export_result own;
    if (!result) result = &own;
    *result = (glia_export_result){.format = exporter->name};
    return with_options(model, exporter, exporter->write, options, path, result, err);
}

glia_status glia__export_check(const glia_export *model, const glia_exporter *exporter, const char *options,
                               const char *path, glia_export_result *result, glia_error *err) {
    return with_options(model, exporter, exporter->check, options, path, result, err);
}

void glia__export_wrote(glia_export_result *result, const char *path, int64_t bytes) {
    if (result->n_files == (int)GLIA_COUNT(result->files)) return;
    snprintf(result->files[result->n_files].path, sizeof result->files[0].path, "%s", path);
    result->files[result->n_files++].bytes = bytes;
}

void glia__export_figure(glia_export_result *result, const char *name, double value, const char *unit) {
    if (result->n_figures == (int)GLIA_COUNT(result->figures)) return;
    result->figures[result->n_figures].name = name;
    result->figures[result->n_figures].value = value;
    result->figures[result->n_figures++].unit = unit;
}

/* --- the inference graph ---------------------------------------------------------------------------------- */

typedef struct copying {
    const glia_export *model;
    glia_graph *to;
    glia_value **map; /* by id in the model's graph: what stands for the value; NULL: nothing yet */
    bool *needed;     /* by node */
} copying;

static const void *param_data(const glia_export *model, const glia_value *value) {
    for (size_t i = 0; i < model->n_params; i++)
        if (model->params[i].value == value) return model->params[i].data;
    return NULL;
}

static glia_status copy_source(copying *c, const glia_value *value, glia_error *err) {
    if (c->map[value->id]) return GLIA_OK;
    glia_value *copy = glia__graph_copy_source(c->to, value, value->type.shape);
    if (!copy) return glia_graph_status(c->to, err);
    if (value->kind == GLIA_VALUE_PARAM) copy->data = param_data(c->model, value);
    copy->borrowed = value->kind != GLIA_VALUE_INPUT;
    copy->file_name = value->file_name;
    if (value->kind == GLIA_VALUE_PARAM && !copy->data)
        return glia_error_set(
            err, GLIA_INVALID_ARGUMENT,
            "parameter '%s' has no weights yet; train the model, load weights or initialise it", value->name);
    c->map[value->id] = copy;
    return GLIA_OK;
}

/* A node with the name that it had. */
static glia_status copy_node(copying *c, const glia_node *node, glia_error *err) {
    glia_value *inputs[GLIA_MAX_INPUTS];
    for (int i = 0; i < node->n_inputs; i++) {
        if (node->inputs[i] && !node->inputs[i]->node) GLIA_TRY(copy_source(c, node->inputs[i], err));
        inputs[i] = node->inputs[i] ? c->map[node->inputs[i]->id] : NULL;
    }
    if (node->op->traits & GLIA_TRAIT_TRAINING_ONLY) {
        c->map[node->outputs[0].id] = inputs[0];
        return GLIA_OK;
    }
    glia_value *y = glia_graph_apply(c->to, node->op->name, inputs, node->n_inputs, node->attrs);
    if (!y) return glia_graph_status(c->to, err);
    const char *name = glia__arena_strdup(&c->to->arena, node->name);
    if (!name) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    y->node->name = name;
    for (int o = 0; o < node->n_outputs; o++) {
        y->node->outputs[o].name = name;
        y->node->outputs[o].file_name = node->outputs[o].file_name;
        c->map[node->outputs[o].id] = &y->node->outputs[o];
    }
    return GLIA_OK;
}

/* A number for each channel, shaped so that it is broadcast along dimension 1 + axis of `x`. */
static glia_value *channels(glia_value *x, int axis, const float *numbers) {
    const int rank = x->type.shape.rank;
    glia_shape shape = {.rank = GLIA_MAX(rank - 1 - axis, 1)};
    for (int i = 0; i < shape.rank; i++) shape.dim[i] = 1;
    shape.dim[0] = rank > 1 + axis ? x->type.shape.dim[1 + axis] : 1;
    glia_tensor tensor = glia_tensor_wrap((void *)(uintptr_t)numbers, GLIA_F32, shape);
    return glia_graph_const(x->graph, &tensor);
}

/* Puts what is done to raw data between input 0 and its readers. */
static glia_value *preprocessed(const glia_export *model, glia_value *raw) {
    glia_graph_set_scope(raw->graph, "preprocess");
    glia_value *x = raw;
    if (model->scale != 1) x = glia__apply2("mul", x, glia_graph_scalar(raw->graph, GLIA_F32, model->scale));
    if (model->mean) x = glia__apply2("sub", x, channels(raw, model->channel_axis, model->mean));
    if (model->std) x = glia__apply2("div", x, channels(raw, model->channel_axis, model->std));
    glia_graph_set_scope(raw->graph, "");
    return x;
}

static glia_value *probable(const glia_export *model, glia_value *y) {
    glia_graph_set_scope(y->graph, "probabilities");
    if (y->type.shape.rank > 2) y = glia__apply1("flatten", y);
    y = glia_graph_apply(y->graph, model->to_probability, &y, 1, NULL);
    if (y) glia_graph_set_scope(y->graph, "");
    return y;
}

static glia_status copy_graph(copying *c, glia_inference *out, bool preprocess, bool probabilities,
                              glia_error *err) {
    const glia_export *model = c->model;
    for (int i = 0; i < model->n_inputs; i++) {
        GLIA_TRY(copy_source(c, model->inputs[i], err));
        out->inputs[i] = c->map[model->inputs[i]->id];
    }
    if (preprocess) c->map[model->inputs[0]->id] = preprocessed(model, out->inputs[0]);
    glia__graph_mark(model->graph, model->outputs, model->n_outputs, c->needed);
    for (size_t n = 0; n < model->graph->n_nodes; n++)
        if (c->needed[n]) GLIA_TRY(copy_node(c, model->graph->nodes[n], err));
    for (int o = 0; o < model->n_outputs; o++) {
        if (!model->outputs[o]->node) GLIA_TRY(copy_source(c, model->outputs[o], err));
        out->outputs[o] = c->map[model->outputs[o]->id];
    }
    if (probabilities && model->to_probability) out->outputs[0] = probable(model, out->outputs[0]);
    return glia_graph_status(c->to, err);
}

glia_status glia__inference_new(glia_inference *out, const glia_export *model, bool preprocess,
                                bool probabilities, glia_error *err) {
    *out = (glia_inference){.graph = glia_graph_new(model->allocator),
                            .n_inputs = model->n_inputs,
                            .n_outputs = model->n_outputs};
    glia_arena arena;
    glia__arena_init(&arena, model->allocator);
    copying c = {.model = model,
                 .to = out->graph,
                 .map = glia__arena_alloc(&arena, (model->graph->n_values + 1) * sizeof(glia_value *)),
                 .needed = glia__arena_alloc(&arena, (model->graph->n_nodes + 1) * sizeof(bool))};
    glia_status status;
    if (model->n_inputs > GLIA_MAX_INPUTS || model->n_outputs > GLIA_MAX_OUTPUTS)
        status =
            glia_error_set(err, GLIA_INVALID_ARGUMENT,
                           "model '%s' has %d inputs and %d outputs; at most %d and %d can be exported",
                           model->name, model->n_inputs, model->n_outputs, GLIA_MAX_INPUTS, GLIA_MAX_OUTPUTS);
    else if (!c.to || !c.map || !c.needed)
        status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    else
        status = copy_graph(&c, out, preprocess, probabilities, err);
    glia__arena_free(&arena);
    if (status != GLIA_OK) glia__inference_free(out);
    return status;
}

void glia__inference_free(glia_inference *inference) {
    glia_graph_free(inference->graph);
    *inference = (glia_inference){.graph = NULL};
}
