/* import.c: a model file, or a run, and a file of weights become a run; or an ONNX file alone. */
#include "recipe/import.h"

#include <stdio.h>
#include <sys/stat.h>

#include "recipe/run.h"
#include "train/loss.h"

/* --- the recipe ---------------------------------------------------------------------------------------- */

static bool names_data(const glia_recipe_import *request) {
    for (size_t i = 0; i < request->n_overrides; i++)
        if (strncmp(request->overrides[i], "data.source=", 12) == 0) return true;
    return false;
}

/* "dir/mnist.h5" gives "mnist". */
static const char *base_name(const char *path, char *out, size_t capacity) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    snprintf(out, capacity, "%.*s", (int)strcspn(base, "."), base);
    return out;
}

/* The file of weights brings its model with it. */
static glia_status recipe_of_weights(const glia_recipe_import *request, const glia_weights *weights,
                                     glia_recipe **out, glia_error *err) {
    char name[64];
    const char *config = glia_weights_metadata(weights, "model_config");
    if (!config)
        return glia_error_set(
            err, GLIA_INVALID_ARGUMENT,
            "%.300s holds weights, but says nothing of their model: write it as a model file, and "
            "import with --weights %.300s MODEL.yaml",
            request->weights, request->weights);
    glia_text text;
    glia__text_init(&text, NULL);
    bool counted = glia_weights_count(weights) && strncmp(glia_weights_name(weights, 0), "layers/", 7) == 0;
    glia_status status = glia__keras_recipe(config, base_name(request->weights, name, sizeof name), counted,
                                            names_data(request), &text, err);
    if (status == GLIA_OK)
        status = glia__recipe_parse(out, request->weights, text.data, text.length, request->overrides,
                                    request->n_overrides, NULL, err);
    glia__text_free(&text);
    if (status == GLIA_OK && (*out)->trained.input_shape.rank && (*out)->data.scale != 0) {
        (*out)->trained.scale = (*out)->data.scale; /* no data will tell another */
        status = glia__recipe_resolve(*out, err);
    }
    return status;
}

/* --- what goes in and comes out ------------------------------------------------------------------------ */

glia_status glia__recipe_learn_shape(glia_recipe *recipe, glia_shape input, glia_error *err) {
    glia_dataset_info info = {.name = "",
                              .input_shape = input,
                              .scale = recipe->data.scale != 0 ? recipe->data.scale : 1,
                              .target = glia__recipe_target(recipe)};
    glia_model *model;
    GLIA_TRY(glia_recipe_model(recipe, input, 0, &model, NULL, err));
    glia_shape output = glia_value_shape(glia_model_output(model));
    glia_model_free(model);
    if (info.target == GLIA_TARGET_CLASS && output.rank == 2)
        info.classes = GLIA_MAX(output.dim[1], 2);
    else
        info.target = GLIA_TARGET_VALUES;
    for (int d = 1; d < output.rank && !info.classes; d++)
        info.target_shape.dim[info.target_shape.rank++] = output.dim[d];
    return glia__recipe_learn(recipe, &info, err);
}

static glia_status learn(glia_recipe *recipe, const glia_recipe_import *request, glia_error *err) {
    if (request->input.rank) return glia__recipe_learn_shape(recipe, request->input, err);
    if (recipe->trained.input_shape.rank) return GLIA_OK;
    glia_dataset *train;
    GLIA_TRY(glia_recipe_data(recipe, &train, NULL, NULL, request->run.logger, err));
    glia_status status = glia__recipe_learn(recipe, glia_dataset_get_info(train), err);
    glia_dataset_free(train);
    return status;
}

/* The model that gets the weights: a run's with its own, or a new one. */
static glia_status open_model(const glia_recipe_import *request, const glia_weights *weights, glia_run *run,
                              glia_error *err) {
    struct stat st;
    if (request->model && stat(request->model, &st) == 0 && S_ISDIR(st.st_mode))
        return glia__run_open_with(run, request->model, request->overrides, request->n_overrides, NULL, err);
    GLIA_TRY(request->model ? glia_recipe_load(&run->recipe, request->model, request->overrides,
                                               request->n_overrides, NULL, err)
                            : recipe_of_weights(request, weights, &run->recipe, err));
    GLIA_TRY(learn(run->recipe, request, err));
    const glia_recipe_trained *t = &run->recipe->trained;
    GLIA_TRY(
        glia_recipe_model(run->recipe, t->input_shape, t->classes, &run->model, request->run.logger, err));
    return glia_model_initialize(run->model, glia_recipe_fit_options(run->recipe).seed, err);
}

/* An ONNX file is a model and its weights. */
static glia_status open_onnx(const glia_recipe_import *request, glia_run *run, glia_error *err) {
    GLIA_TRY(glia__onnx_recipe(&run->recipe, request->weights, &request->input, request->overrides,
                               request->n_overrides, err));
    glia_recipe_trained *t = &run->recipe->trained;
    const glia_shape input = t->input_shape;
    if (names_data(request)) t->input_shape = (glia_shape){.rank = 0};
    GLIA_TRY(names_data(request) ? learn(run->recipe, request, err)
                                 : glia__recipe_learn_shape(run->recipe, input, err));
    GLIA_TRY(glia__onnx_learn(run->recipe, request->weights, request->run.logger, err));
    GLIA_TRY(
        glia_recipe_model(run->recipe, t->input_shape, t->classes, &run->model, request->run.logger, err));
    return glia_model_initialize(run->model, glia_recipe_fit_options(run->recipe).seed, err);
}

/* --- the run ------------------------------------------------------------------------------------------- */

static glia_status write_run(const glia_recipe_import *request, const glia_run *run, char *dir,
                             glia_error *err) {
    glia_run_options options = request->run;
    glia_run_dir out;
    char path[1200], name[1024];
    snprintf(name, sizeof name, "runs/%s-imported", glia_recipe_name(run->recipe));
    if (!options.dir) options.dir = name;
    glia_status status = glia__run_dir_choose(&out, run->recipe, &options, err);
    if (status == GLIA_OK) status = glia__run_dir_create(&out, run->recipe, err);
    if (status == GLIA_OK)
        status = glia_model_save_weights(
            run->model, glia__run_file(out.path, "best.safetensors", path, sizeof path), err);
    snprintf(dir, sizeof out.path, "%s", out.path);
    glia__run_dir_close(&out);
    return status;
}

static glia_status open_weights(const glia_recipe_import *request, glia_run *run, glia_import_report **report,
                                glia_error *err) {
    glia_weights *weights;
    GLIA_TRY(glia_weights_open(&weights, request->weights, NULL, err));
    glia_status status = open_model(request, weights, run, err);
    if (status == GLIA_OK)
        status = glia_model_import_with(run->model, weights, request->options, report, err);
    glia_weights_close(weights);
    return status;
}

glia_status glia__recipe_import_open(const glia_recipe_import *request, glia_run *run,
                                     glia_import_report **report, glia_error *err) {
    *run = (glia_run){.recipe = NULL};
    *report = NULL;
    glia_status status = !request->model && glia__names_onnx(request->weights)
                             ? open_onnx(request, run, err)
                             : open_weights(request, run, report, err);
    if (status == GLIA_OK)
        glia__run_take_trained(run);
    else
        glia_run_close(run);
    return status;
}

glia_status glia__recipe_import(const glia_recipe_import *request, glia_import_report **report, char *dir,
                                glia_error *err) {
    glia_run run;
    GLIA_TRY(glia__recipe_import_open(request, &run, report, err));
    glia_status status = write_run(request, &run, dir, err);
    glia_run_close(&run);
    return status;
}
