/* model.c: the network of a run to use, or of a model file or a run to look at. */
#include <stdio.h>
#include <sys/stat.h>

#include "cli.h"
#include "io/weights.h"
#include "recipe/import.h"
#include "recipe/recipe.h"
#include "recipe/run.h"

int cli_open_run(const cli_options *options, const char *path, const char *source, glia_run *run) {
    char text[1100];
    const char *override = text;
    glia_error err = {0};
    snprintf(text, sizeof text, "data.test=%s", source ? source : "");
    if (glia__run_open_with(run, path, &override, source ? 1 : 0, NULL, &err) != GLIA_OK)
        return cli_fail(&err);
    if (options->tta != GLIA_YES || glia_run_average_mirrored(run, &err) == GLIA_OK) return CLI_OK;
    glia_run_close(run);
    return cli_fail(&err);
}

bool cli_parse_shape(const char *text, glia_shape *out) {
    static const glia_field field = {.name = "input", .kind = GLIA_FIELD_DIMS, .min = 1, .max = 1 << 30};
    char list[128];
    snprintf(list, sizeof list, "%s", text);
    for (char *c = list; *c; c++)
        if (*c == 'x') *c = ',';
    return glia__field_parse(&field, out, list, NULL, NULL) == GLIA_OK && out->rank > 0;
}

/* Inputs by name have shapes of their own; what is to be predicted, the data say where they are there. */
static void find_arrays(const cli_options *options, cli_model *m, glia_shape *shape) {
    const glia_recipe *recipe = m->recipe;
    *shape = GLIA_SHAPE(0);
    for (int i = 0; i < recipe->n_inputs; i++) shape->dim[0] += glia_shape_elems(&recipe->inputs[i].shape);
    m->target.kind = GLIA_TARGET_VALUES;
    if (glia_recipe_data(recipe, &m->data, NULL, NULL, cli_logger(options->quiet == GLIA_YES), NULL) ==
        GLIA_OK)
        m->target = glia__target_of(glia_dataset_get_info(m->data));
}

/* What goes in and what should come out: from --input, from the run, or from the data. */
static glia_status find_types(const cli_options *options, cli_model *m, glia_shape *shape, glia_error *err) {
    const glia_recipe *recipe = m->recipe;
    if (recipe->n_inputs) {
        find_arrays(options, m, shape);
        return GLIA_OK;
    }
    if (options->input[0]) {
        m->target.kind = glia__recipe_target(recipe);
        if (cli_parse_shape(options->input, shape)) return GLIA_OK;
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "--input: expected a shape like 1x28x28, found '%.60s'", options->input);
    }
    if (recipe->trained.input_shape.rank) {
        *shape = recipe->trained.input_shape;
        m->target = (glia_target){.kind = (glia_target_kind)recipe->trained.target,
                                  .shape = recipe->trained.target_shape,
                                  .classes = recipe->trained.classes};
        return GLIA_OK;
    }
    glia_dataset *train = NULL;
    GLIA_TRY(glia_recipe_data(recipe, &train, NULL, NULL, cli_logger(options->quiet == GLIA_YES), err));
    *shape = glia_dataset_get_info(train)->input_shape;
    m->target = glia__target_of(glia_dataset_get_info(train));
    glia_dataset_free(train);
    return GLIA_OK;
}

/* Targets that no data describes: numbers have the shape of what the model gives, classes that without its units. */
static void complete_target(cli_model *m) {
    const glia_shape out = glia_value_shape(glia_model_output(m->model));
    const bool classes = m->target.kind == GLIA_TARGET_CLASS;
    if (m->target.shape.rank || (classes && m->target.classes)) return;
    const int units = !classes ? 0 : out.rank > 3 ? 1 : out.rank - 1;
    for (int d = 1; d < out.rank; d++)
        if (d != units) m->target.shape.dim[m->target.shape.rank++] = out.dim[d];
}

/* A file of weights that says what its model is. */
static glia_status load_import(const glia_recipe_import *request, cli_model *m, glia_error *err) {
    glia_run run;
    glia_import_report *report;
    glia_status status = glia__recipe_import_open(request, &run, &report, err);
    glia_import_report_free(report);
    GLIA_TRY(status);
    m->recipe = run.recipe;
    run.recipe = NULL;
    glia_run_close(&run);
    return GLIA_OK;
}

/* A model file, or one that is model and input at once. */
static glia_status load(const cli_options *options, const char *file, const char *const *overrides,
                        size_t count, cli_model *m, glia_error *err) {
    glia_recipe_import request = {.overrides = overrides, .n_overrides = count, .weights = file};
    if (!glia__weights_format_of(file) && !glia__weights_pickled(file))
        return glia_recipe_load(&m->recipe, file, overrides, count, NULL, err);
    if (options->input[0] && !cli_parse_shape(options->input, &request.input))
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "--input: expected a shape like 1x28x28, found '%.60s'", options->input);
    if (!glia__names_onnx(file)) return load_import(&request, m, err);
    GLIA_TRY(glia__onnx_recipe(&m->recipe, file, &request.input, overrides, count, err));
    return glia__recipe_learn_shape(m->recipe, m->recipe->trained.input_shape, err);
}

int cli_open_model(const cli_options *options, char **arguments, int count, cli_model *m) {
    glia_error err = {0};
    glia_shape shape = {.rank = 0};
    struct stat st;
    char file[1200];
    *m = (cli_model){.recipe = NULL};
    snprintf(file, sizeof file, "%s", arguments[0]);
    if (stat(file, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (glia__run_check(file, &err) != GLIA_OK) return cli_fail(&err);
        snprintf(file, sizeof file, "%s/config.yaml", arguments[0]);
    }
    if (load(options, file, (const char *const *)arguments + 1, (size_t)count - 1, m, &err) != GLIA_OK) {
        cli_close_model(m);
        return cli_fail(&err);
    }
    glia_status status = find_types(options, m, &shape, &err);
    if (status == GLIA_OK)
        status = glia_recipe_model(m->recipe, shape, m->target.classes, &m->model,
                                   cli_logger(options->quiet == GLIA_YES), &err);
    if (status == GLIA_OK) {
        complete_target(m);
        return CLI_OK;
    }
    cli_close_model(m);
    return cli_fail(&err);
}

void cli_close_model(cli_model *m) {
    glia_model_free(m->model);
    glia_dataset_free(m->data);
    glia_recipe_free(m->recipe);
}
