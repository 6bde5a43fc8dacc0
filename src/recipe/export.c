/* export.c: a run's model in the formats of other programs. */
#include "recipe/export.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "glia/version.h"
#include "recipe/page.h"
#include "train/loss.h"
#include "train/model.h"

static const char *fact(const glia_export_model *e, const char *key) {
    for (size_t i = 0; i < e->model.n_facts; i++)
        if (strcmp(e->facts[i].key, key) == 0) return e->facts[i].value;
    return NULL;
}

/* What an imported file said under that key; "": nothing. */
static const char *origin(const glia_recipe_trained *t, const char *key) {
    const size_t length = strlen(key);
    for (int64_t i = 0; i < t->n_origin; i++)
        if (strncmp(t->origin[i], key, length) == 0 && t->origin[i][length] == '=')
            return t->origin[i] + length + 1;
    return "";
}

/* The rest of what the imported file said; what this run says otherwise, and all where it has been trained since, is called
 * origin_KEY. */
static glia_status add_origin(glia_export_model *e, const glia_recipe_trained *t, bool trained,
                              glia_error *err) {
    for (int64_t i = 0; i < t->n_origin && i < GLIA_MOST_ORIGIN; i++) {
        const int length = (int)strcspn(t->origin[i], "=");
        const char *value = t->origin[i] + length;
        if (!length || !value[0] || !value[1]) continue;
        const char *key = glia__arena_printf(&e->arena, "%.*s", length, t->origin[i]);
        const char *own = key ? fact(e, key) : NULL;
        if (!trained && own && strcmp(own, value + 1) == 0) continue;
        if (trained || own) key = glia__arena_printf(&e->arena, "origin_%.*s", length, t->origin[i]);
        if (!key) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
        if (!fact(e, key)) e->facts[e->model.n_facts++] = (glia_key_value){key, value + 1};
    }
    return GLIA_OK;
}

/* What was imported a moment ago, and is in no run's folder yet, has no history, whatever lies beside its file. */
static bool is_saved(const glia_recipe *recipe) {
    const char *slash = strrchr(recipe->path, '/');
    return strcmp(slash ? slash + 1 : recipe->path, "config.yaml") == 0;
}

/* What made the model, as far as it is known: it goes into the file. A run that was imported and not trained since is what its
 * file was. */
static glia_status add_facts(glia_export_model *e, const glia_run *run, glia_error *err) {
    const glia_recipe *recipe = run->recipe;
    glia_history history = {.allocator = recipe->arena.allocator};
    if (is_saved(recipe)) glia__history_load(&history, recipe->folder);
    const bool trained = history.epochs > 0;
    double accuracy = NAN;
    if (history.best_epoch > 0 && history.best_epoch <= history.epochs)
        accuracy = history.curve[3][history.best_epoch - 1];
    const glia_key_value facts[] = {
        {"glia_version", recipe->trained.version},
        {"model", recipe->name},
        {"data", recipe->data.source},
        {"data_found", recipe->trained.substitute},
        {"target", run->classes ? "class" : "values"},
        {"seed", trained ? glia__arena_printf(&e->arena, "%lld", (long long)recipe->train.seed) : ""},
        {"epochs", trained ? glia__arena_printf(&e->arena, "%lld", (long long)history.epochs) : ""},
        {"best_epoch",
         history.best_epoch ? glia__arena_printf(&e->arena, "%lld", (long long)history.best_epoch) : ""},
        {"validation_accuracy", isnan(accuracy) ? "" : glia__arena_printf(&e->arena, "%.4f", accuracy)}};
    glia__history_free(&history);
    for (size_t i = 0; i < GLIA_COUNT(facts); i++) {
        glia_key_value f = facts[i];
        if (!f.value) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
        if (!*f.value && !trained) f.value = origin(&recipe->trained, f.key);
        if (*f.value) e->facts[e->model.n_facts++] = f;
    }
    return add_origin(e, &recipe->trained, trained, err);
}

static void give(glia_export_model *e, glia_value *value) {
    for (int i = 0; i < e->model.n_outputs; i++)
        if (e->outputs[i] == value) return;
    e->outputs[e->model.n_outputs++] = value;
}

/* Outputs each by itself, and of the inputs those that they depend on: labels that only a loss looks at stay behind. */
static glia_status take_parts(glia_export_model *e, const glia_model *model, glia_error *err) {
    for (int i = 0; i < model->n_inputs; i++) {
        bool needed;
        GLIA_TRY(glia__model_needs_input(model, i, &needed, err));
        if (needed) e->inputs[e->model.n_inputs++] = model->inputs[i];
    }
    for (int i = 0; i < model->n_parts; i++)
        if (model->parts[i].shown) e->outputs[e->model.n_outputs++] = model->parts[i].value;
    return GLIA_OK;
}

/* Inputs and outputs. A model that goes on with its states is exported as one that takes them and gives them back. */
static glia_status take_ends(glia_export_model *e, const glia_model *model, glia_error *err) {
    const size_t states = model->carried.count;
    const size_t inputs = (size_t)model->n_inputs + states, outputs = (size_t)model->n_parts + 1 + states;
    e->model.inputs = e->inputs = glia__arena_alloc(&e->arena, inputs * sizeof *e->inputs);
    e->model.outputs = e->outputs = glia__arena_alloc(&e->arena, outputs * sizeof *e->outputs);
    if (!e->inputs || !e->outputs) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (model->n_parts) {
        GLIA_TRY(take_parts(e, model, err));
    } else {
        for (int i = 0; i < model->n_inputs; i++) e->inputs[e->model.n_inputs++] = model->inputs[i];
        give(e, model->output);
    }
    for (size_t i = 0; i < states; i++) {
        e->inputs[e->model.n_inputs++] = model->carried.list[i].before;
        give(e, model->carried.list[i].after);
    }
    return GLIA_OK;
}

glia_status glia__export_of_model(glia_export_model *e, const glia_model *model, glia_error *err) {
    GLIA_TRY(glia__model_with_weights(model, err));
    *e = (glia_export_model){.outputs = NULL};
    glia__arena_init(&e->arena, model->allocator);
    e->model = (glia_export){.name = model->name,
                             .graph = model->graph,
                             .n_params = model->n_params,
                             .scale = 1,
                             .facts = e->facts,
                             .allocator = model->allocator};
    GLIA_TRY(take_ends(e, model, err));
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

/* --- writing and checking ---------------------------------------------------------------------------------- */

typedef glia_status step_function(const glia_export *model, const glia_exporter *exporter,
                                  const char *options, const char *path, glia_export_result *result,
                                  glia_error *err);

static glia_status step_as(glia_export_model *e, step_function *step, const char *format, const char *options,
                           const char *path, glia_export_result *result, glia_error *err) {
    const glia_exporter *exporter;
    GLIA_TRY(glia__exporter_find(&exporter, format, path, err));
    if (!path || !*path) path = glia__arena_printf(&e->arena, "%s%s", e->model.name, exporter->extension);
    if (!path) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    return step(&e->model, exporter, options, path, result, err);
}

static glia_status run_step(const glia_run *run, step_function *step, const char *format, const char *options,
                            const char *path, glia_export_result *result, glia_error *err) {
    glia_export_model e = {.outputs = NULL};
    glia_status status = glia__export_of_run(&e, run, err);
    if (status == GLIA_OK) status = step_as(&e, step, format, options, path, result, err);
    glia__export_free(&e);
    return status;
}

glia_status glia_run_export(const glia_run *run, const char *format, const char *options, const char *path,
                            glia_export_result *result, glia_error *err) {
    return run_step(run, glia__export_write, format, options, path, result, err);
}

glia_status glia_run_export_check(const glia_run *run, const char *format, const char *options,
                                  const char *path, glia_export_result *result, glia_error *err) {
    return run_step(run, glia__export_check, format, options, path, result, err);
}

static glia_status write_and_check(const glia_export_model *e, const glia_exporter *exporter,
                                   const char *options, const char *path, glia_export_result *result,
                                   glia_error *err) {
    GLIA_TRY(glia__export_write(&e->model, exporter, options, path, result, err));
    return glia__export_check(&e->model, exporter, options, path, result, err);
}

glia_status glia__export_try(const glia_model *model, const char *format, const char *options,
                             glia_export_result *result, glia_error *err) {
    const char *tmp = getenv("TMPDIR");
    char folder[512], path[600];
    const glia_exporter *exporter;
    glia_export_model e = {.outputs = NULL};
    GLIA_TRY(glia__exporter_find(&exporter, format, NULL, err));
    *result = (glia_export_result){.format = exporter->name};
    snprintf(folder, sizeof folder, "%.400s/glia-export-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return glia_error_set(err, GLIA_IO, "cannot make a folder %s: %s", folder, strerror(errno));
    snprintf(path, sizeof path, "%s/model%s", folder, exporter->extension);
    glia_status status = glia__export_of_model(&e, model, err);
    if (status == GLIA_OK) status = write_and_check(&e, exporter, options, path, result, err);
    glia__export_free(&e);
    for (int i = 0; i < result->n_files; i++) (void)remove(result->files[i].path);
    (void)rmdir(folder);
    return status;
}
