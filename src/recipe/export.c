/* export.c: a run's model in the formats of other programs. */
#include "recipe/export.h"

#include <math.h>
#include <stdio.h>

#include "glia/version.h"
#include "recipe/page.h"
#include "train/loss.h"
#include "train/model.h"

/* What made the model, as far as it is known: it goes into the file. */
static glia_status add_facts(glia_export_model *e, const glia_run *run, glia_error *err) {
    const glia_recipe *recipe = run->recipe;
    glia_history history = {.allocator = recipe->arena.allocator};
    glia__history_load(&history, recipe->folder);
    double accuracy = NAN;
    if (history.best_epoch > 0 && history.best_epoch <= history.epochs)
        accuracy = history.curve[3][history.best_epoch - 1];
    const glia_key_value facts[] = {
        {"glia_version", recipe->trained.version},
        {"model", recipe->name},
        {"data", recipe->data.source},
        {"data_found", recipe->trained.substitute},
        {"target", run->classes ? "class" : "values"},
        {"seed", glia__arena_printf(&e->arena, "%lld", (long long)recipe->train.seed)},
        {"epochs", glia__arena_printf(&e->arena, "%lld", (long long)history.epochs)},
        {"best_epoch",
         history.best_epoch ? glia__arena_printf(&e->arena, "%lld", (long long)history.best_epoch) : ""},
        {"validation_accuracy", isnan(accuracy) ? "" : glia__arena_printf(&e->arena, "%.4f", accuracy)}};
    glia__history_free(&history);
    for (size_t i = 0; i < GLIA_COUNT(facts); i++) {
        if (!facts[i].value) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
        if (*facts[i].value) e->facts[e->model.n_facts++] = facts[i];
    }
    return GLIA_OK;
}

/* Outputs each by itself, and of the inputs those that they depend on: labels that only a loss looks at stay behind. */
static glia_status take_parts(glia_export_model *e, const glia_model *model, glia_error *err) {
    e->model.inputs = e->inputs;
    e->model.n_inputs = e->model.n_outputs = 0;
    for (int i = 0; i < model->n_inputs; i++) {
        bool needed;
        GLIA_TRY(glia__model_needs_input(model, i, &needed, err));
        if (needed) e->inputs[e->model.n_inputs++] = model->inputs[i];
    }
    for (int i = 0; i < model->n_parts; i++)
        if (model->parts[i].shown) e->outputs[e->model.n_outputs++] = model->parts[i].value;
    return GLIA_OK;
}

glia_status glia__export_of_model(glia_export_model *e, const glia_model *model, glia_error *err) {
    GLIA_TRY(glia__model_with_weights(model, err));
    *e = (glia_export_model){.outputs = {model->output}};
    glia__arena_init(&e->arena, model->allocator);
    e->model = (glia_export){.name = model->name,
                             .graph = model->graph,
                             .inputs = model->inputs,
                             .outputs = e->outputs,
                             .n_inputs = model->n_inputs,
                             .n_outputs = 1,
                             .n_params = model->n_params,
                             .scale = 1,
                             .facts = e->facts,
                             .allocator = model->allocator};
    if (model->n_parts) GLIA_TRY(take_parts(e, model, err));
    glia_export_param *params = glia__arena_alloc(&e->arena, (model->n_params + 1) * sizeof *params);
    if (!params) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; i < model->n_params; i++)
        params[i] = (glia_export_param){model->params[i].value, model->block + model->params[i].offset};
    e->model.params = params;
    return GLIA_OK;
}

glia_status glia__export_of_run(glia_export_model *e, const glia_run *run, glia_error *err) {
    GLIA_TRY(glia__export_of_model(e, run->model, err));
    const glia_shape out = glia_value_shape(e->outputs[0]);
    e->model.name = run->recipe->name;
    e->model.scale = run->scale;
    e->model.mean = run->mean;
    e->model.std = run->std;
    e->model.channel_axis = run->channel_axis;
    e->model.classes = run->classes;
    e->model.labels = run->class_names;
    if (run->classes && !glia__model_gives_probabilities(run->model))
        e->model.to_probability = out.dim[out.rank - 1] == 1 ? "sigmoid" : "softmax";
    return add_facts(e, run, err);
}

void glia__export_free(glia_export_model *e) {
    glia__arena_free(&e->arena);
}

static glia_status write_as(glia_export_model *e, const char *format, const char *options, const char *path,
                            glia_export_result *result, glia_error *err) {
    const glia_exporter *exporter;
    GLIA_TRY(glia__exporter_find(&exporter, format, path, err));
    if (!path || !*path) path = glia__arena_printf(&e->arena, "%s%s", e->model.name, exporter->extension);
    if (!path) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    return glia__export_write(&e->model, exporter, options, path, result, err);
}

glia_status glia_run_export(const glia_run *run, const char *format, const char *options, const char *path,
                            glia_export_result *result, glia_error *err) {
    glia_export_model e = {.outputs = {NULL}};
    glia_status status = glia__export_of_run(&e, run, err);
    if (status == GLIA_OK) status = write_as(&e, format, options, path, result, err);
    glia__export_free(&e);
    return status;
}
