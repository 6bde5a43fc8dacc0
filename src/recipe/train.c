/* train.c: the whole of `glia train`: data, model, fit with checkpoints, evaluation of the best weights,
 * report. */
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "glia/weights.h"
#include "recipe/page.h"

typedef struct training {
    glia_recipe *recipe;
    const glia_run_options *options;
    glia_run_result *result;
    glia_run_dir dir;
    glia_dataset *train, *validation, *test;
    glia_model *model;
    glia_history history;
    glia_mistakes mistakes;
    glia_metrics *metrics;
} training;

static void announce_data(training *t) {
    const glia_dataset_info *info = glia_dataset_get_info(t->train);
    char train[40], part[40], shape[96], line[400];
    size_t length = strlen(info->name), part_length = sizeof ":train" - 1;
    if (length > part_length && strcmp(info->name + length - part_length, ":train") == 0)
        length -= part_length; /* the line goes on with the numbers of all parts */
    size_t used = (size_t)snprintf(line, sizeof line, "%.*s: %s train", (int)GLIA_MIN(length, 120),
                                   info->name, glia__count_text(info->count, train, sizeof train));
    const struct {
        const glia_dataset *data;
        const char *name;
    } others[] = {{t->validation, "validation"}, {t->test, "test"}};
    for (size_t i = 0; i < GLIA_COUNT(others); i++)
        if (others[i].data)
            used += (size_t)snprintf(
                line + used, sizeof line - used, " · %s %s",
                glia__count_text(glia_dataset_get_info(others[i].data)->count, part, sizeof part),
                others[i].name);
    used += (size_t)snprintf(line + used, sizeof line - used, ", %s",
                             glia_shape_text(&info->input_shape, shape, sizeof shape));
    if (info->classes)
        snprintf(line + used, sizeof line - used, ", %lld classes", (long long)info->classes);
    else if (info->n_input_arrays)
        snprintf(line + used, sizeof line - used, " in %d arrays, %d of targets", info->n_input_arrays,
                 info->n_target_arrays);
    else if (info->target == GLIA_TARGET_VALUES)
        snprintf(line + used, sizeof line - used, ", to predict: numbers (%s)",
                 glia_shape_text(&info->target_shape, shape, sizeof shape));
    glia__log(&t->dir.tee, GLIA_LOG_INFO, "%s", line);
}

static void announce_model(training *t) {
    double flops = 0;
    char count[40];
    for (size_t i = 0; i < glia_model_layers(t->model); i++) flops += glia_model_layer(t->model, i).flops;
    glia__log(&t->dir.tee, GLIA_LOG_INFO, "model: %zu layers, %s parameters, %.3g MFLOP an example forward",
              glia_model_layers(t->model),
              glia__count_text(glia_model_param_count(t->model), count, sizeof count), flops / 1e6);
}

/* An absurd layer is refused before the machine starts to swap, or the kernel to kill. */
static glia_status check_memory(const training *t, glia_error *err) {
    double blocks = 3 + t->recipe->optimizer->n_moments; /* weights, gradients, the last good weights */
    double needed = (double)glia_model_param_count(t->model) * sizeof(float) * blocks;
    double there = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (there <= 0 || needed <= there) return GLIA_OK;
    size_t largest = 0;
    char count[40];
    for (size_t i = 1; i < glia_model_layers(t->model); i++)
        if (glia_model_layer(t->model, i).params > glia_model_layer(t->model, largest).params) largest = i;
    glia_layer_info layer = glia_model_layer(t->model, largest);
    (void)glia_error_set(
        err, GLIA_OUT_OF_MEMORY,
        "training needs %.3g GB of memory for weights, gradients and optimizer, but this machine has "
        "%.3g GB; most of it is for %s '%s' with its %s parameters",
        needed / 1e9, there / 1e9, layer.kind, layer.name,
        glia__count_text(layer.params, count, sizeof count));
    for (int i = 0; i < t->recipe->model.n_layers; i++) {
        const glia_recipe_layer *l = &t->recipe->model.layers[i];
        size_t length = strlen(l->name); /* a layer of a block is "block.layer" */
        if (strncmp(layer.name, l->name, length) == 0 && (!layer.name[length] || layer.name[length] == '.'))
            glia_error_at(err, l->at->origin, l->at->key_line ? l->at->key_line : l->at->line,
                          l->at->key_line ? l->at->key_column : l->at->column);
    }
    return GLIA_OUT_OF_MEMORY;
}

/* --- weights to begin with ------------------------------------------------------------------------------- */

/* "head.weight, head.bias and 3 more". */
static void add_left_out(const glia_import_report *report, glia_text *out) {
    enum { MOST = 6 };
    size_t count = 0;
    for (size_t i = 0; i < report->count; i++) {
        const glia_import_entry *e = &report->entries[i];
        const bool misshaped = e->state == GLIA_IMPORT_MISSHAPED;
        if (!misshaped && e->state != GLIA_IMPORT_MISSING) continue;
        if (count++ < MOST)
            glia__text_printf(out, "%s%s%s", count > 1 ? ", " : "", e->ours,
                              misshaped ? " (of another shape there)" : "");
    }
    if (count > MOST) glia__text_printf(out, " and %zu more", count - MOST);
}

static void announce_initial(training *t, const char *path, const glia_import_report *report) {
    const size_t wanted = report->loaded + report->missing + report->misshaped;
    glia_text text;
    glia__text_init(&text, t->recipe->arena.allocator);
    add_left_out(report, &text);
    glia__log(&t->dir.tee, GLIA_LOG_INFO, "initial weights: %zu of %zu parameters from %s%s%.900s",
              report->loaded, wanted, path, text.length ? "; anew: " : "", text.data);
    glia__text_free(&text);
}

static glia_status load_initial(training *t, glia_error *err) {
    const char *from = t->recipe->train.initial_weights;
    char path[1200];
    struct stat st;
    glia_weights *weights;
    glia_import_report *report = NULL;
    if (!*from || t->dir.resuming) return GLIA_OK;
    const bool run = stat(from, &st) == 0 && S_ISDIR(st.st_mode);
    snprintf(path, sizeof path, "%s", from);
    if (run) GLIA_TRY(glia__run_check(from, err));
    if (run) GLIA_TRY(glia__run_weights(from, path, sizeof path, err));
    GLIA_TRY(glia_model_initialize(t->model, glia_recipe_fit_options(t->recipe).seed, err));
    GLIA_TRY(glia_weights_open(&weights, path, t->recipe->arena.allocator, err));
    glia_error inner = {0};
    glia_status status =
        glia_model_import_with(t->model, weights, (glia_import_options){.partial = true}, &report, &inner);
    if (status == GLIA_OK)
        announce_initial(t, path, report);
    else
        glia_error_set(err, status, "initial_weights: %.300s: %s", path, inner.message);
    glia_import_report_free(report);
    glia_weights_close(weights);
    return status;
}

/* An epoch's line for log.txt; the person at the terminal has the progress bar. */
static int log_epoch(void *ctx, const glia_epoch *e) {
    training *t = ctx;
    char line[300];
    size_t used = (size_t)snprintf(line, sizeof line, "epoch %lld/%lld  loss %.4f", (long long)e->epoch,
                                   (long long)e->epochs, e->loss);
    if (!isnan(e->accuracy))
        used += (size_t)snprintf(line + used, sizeof line - used, "  acc %.4f", e->accuracy);
    if (e->validated) {
        used += (size_t)snprintf(line + used, sizeof line - used, "  val loss %.4f", e->validation.loss);
        if (!isnan(e->validation.accuracy))
            used +=
                (size_t)snprintf(line + used, sizeof line - used, "  val acc %.4f", e->validation.accuracy);
        if (strchr(e->monitor, '.'))
            used += (size_t)snprintf(line + used, sizeof line - used, "  %s %.4f", e->monitor, e->monitored);
    }
    snprintf(line + used, sizeof line - used, "  %.1f s%s", e->seconds, e->best ? "  best" : "");
    glia_logger file_only = t->dir.tee;
    const glia_logger *caller = t->dir.logger;
    t->dir.logger = NULL;
    glia__log(&file_only, GLIA_LOG_INFO, "%s", line);
    t->dir.logger = caller;
    return 0;
}

static glia_status fit(training *t, glia_error *err) {
    glia_fit_options o = glia_recipe_fit_options(t->recipe);
    o.validation = t->validation;
    o.run_dir = t->dir.path;
    o.resume = t->dir.resuming ? GLIA_YES : GLIA_NO;
    o.progress = t->options->progress;
    o.stop = t->options->stop;
    o.on_epoch = log_epoch;
    o.ctx = t;
    o.logger = &t->dir.tee;
    o.error = err;
    glia_status status = glia_fit_with(t->model, t->train, o);
    if (status == GLIA_BAD_FORMAT && t->dir.resuming && strstr(err->file, "/last.safetensors")) {
        size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof err->message - used,
                 "; the checkpoint is damaged and cannot be continued (the best weights, if there are any, "
                 "still serve "
                 "glia evaluate and predict); --force trains anew");
    }
    return status;
}

/* Room for the scatter plot of a regression with one number; none for others. */
static void prepare_points(glia_mistakes *m, const glia_model *model, const glia_dataset_info *info,
                           const glia_allocator *allocator) {
    enum { MOST = 5000 };
    const glia_shape output = glia_value_shape(glia_model_output(model));
    m->width = 1;
    for (int d = 1; d < output.rank; d++) m->width *= output.dim[d];
    m->classes = info->target_shape.rank ? 0 : info->classes; /* a position is no example to show */
    if (info->target != GLIA_TARGET_VALUES || info->n_input_arrays ||
        glia_shape_elems(&info->target_shape) != 1)
        return;
    m->capacity = GLIA_MIN(info->count, MOST);
    m->measured = glia__calloc(allocator, (size_t)m->capacity, sizeof(float));
    m->predicted = glia__calloc(allocator, (size_t)m->capacity, sizeof(float));
    if (m->measured && m->predicted) return;
    glia__free(allocator, m->measured, (size_t)m->capacity * sizeof(float));
    glia__free(allocator, m->predicted, (size_t)m->capacity * sizeof(float));
    m->measured = m->predicted = NULL;
    m->capacity = 0;
}

/* Areas under curves that the file asks for are computed for any number of scores. */
static glia_bool wants_areas(const glia_recipe *recipe) {
    for (int i = 0; i < recipe->n_metrics; i++)
        if (strstr(recipe->metrics[i]->name, "_auc")) return GLIA_YES;
    return GLIA_DEFAULT;
}

static void take_parts(training *t) {
    const glia_metrics_part *parts = glia__metrics_parts(t->metrics, &t->result->n_parts);
    for (int i = 0; i < t->result->n_parts; i++) {
        t->result->parts[i].name = glia__recipe_find_layer(&t->recipe->model, parts[i].name)->name;
        t->result->parts[i].report = glia__metrics_part_report(&parts[i]);
    }
}

static glia_status evaluate(training *t, glia_error *err) {
    char path[1200];
    const glia_dataset *data = t->test ? t->test : t->validation;
    glia__run_file(t->dir.path, "best.safetensors", path, sizeof path);
    if (access(path, R_OK) == 0) GLIA_TRY(glia_model_load_weights(t->model, path, err));
    if (!data) return GLIA_OK;
    glia_error inner = {0};
    glia_fit_options fit_options = glia_recipe_fit_options(t->recipe);
    prepare_points(&t->mistakes, t->model, glia_dataset_get_info(data), t->recipe->arena.allocator);
    t->result->evaluated = t->test ? "test" : "validation";
    t->result->report =
        glia_evaluate(t->model, data, .loss = fit_options.loss, .threads = fit_options.threads,
                      .precision = fit_options.precision, .memory_limit = fit_options.memory_limit,
                      .auc = wants_areas(t->recipe), .on_batch = glia__mistakes_collect, .ctx = &t->mistakes,
                      .metrics = &t->metrics, .error = &inner);
    if (inner.status == GLIA_OK) {
        take_parts(t);
        return GLIA_OK;
    }
    if (err && err->status == GLIA_OK) *err = inner;
    return inner.status;
}

static glia_status report(training *t, glia_error *err) {
    return glia__page_write(&(glia_page_source){.recipe = t->recipe,
                                                .model = t->model,
                                                .result = t->result,
                                                .train = t->train,
                                                .evaluated = t->test ? t->test : t->validation,
                                                .history = &t->history,
                                                .mistakes = &t->mistakes,
                                                .metrics = t->metrics},
                            err);
}

static glia_status run(training *t, glia_error *err) {
    GLIA_TRY(glia__run_dir_choose(&t->dir, t->recipe, t->options, err));
    snprintf(t->result->dir, sizeof t->result->dir, "%s", t->dir.path);
    if (!t->dir.resuming) /* what another run measured on its training part is not this one's */
        t->recipe->trained = (glia_recipe_trained){.version = "",
                                                   .substitute = "",
                                                   .origin = t->recipe->trained.origin,
                                                   .n_origin = t->recipe->trained.n_origin};
    GLIA_TRY(glia_recipe_data(t->recipe, &t->train, &t->validation, &t->test, &t->dir.tee, err));
    const glia_dataset_info *info = glia_dataset_get_info(t->train);
    if (t->dir.resuming) GLIA_TRY(glia__recipe_check_substitute(t->dir.substitute, info, err));
    GLIA_TRY(glia__recipe_learn(t->recipe, info, err));
    GLIA_TRY(glia_recipe_model(t->recipe, info->input_shape, info->classes, &t->model, &t->dir.tee, err));
    GLIA_TRY(check_memory(t, err));
    GLIA_TRY(load_initial(t, err));
    GLIA_TRY(glia__recipe_learn_units(t->recipe, t->model, t->train, err));
    GLIA_TRY(glia__run_dir_create(&t->dir, t->recipe, err));
    announce_data(t);
    announce_model(t);
    glia_status status = fit(t, err);
    glia__history_load(&t->history, t->dir.path);
    t->result->epochs = t->history.epochs;
    t->result->best_epoch = t->history.best_epoch;
    GLIA_TRY(status);
    GLIA_TRY(evaluate(t, err));
    return report(t, err);
}

glia_status glia_recipe_train(glia_recipe *recipe, glia_run_options options, glia_run_result *result) {
    glia_error inner = {0};
    const glia_allocator *allocator = recipe->arena.allocator;
    training t = {
        .recipe = recipe, .options = &options, .result = result, .history = {.allocator = allocator}};
    *result = (glia_run_result){.evaluated = NULL};
    glia_status status = run(&t, &inner);
    if (status != GLIA_OK && status != GLIA_INTERRUPTED && t.dir.log) {
        char text[900];
        t.dir.logger = NULL; /* the caller gets the error itself */
        glia__log(&t.dir.tee, GLIA_LOG_ERROR, "%s", glia_error_text(&inner, text, sizeof text));
    }
    if (status != GLIA_OK && options.error && options.error->status == GLIA_OK) *options.error = inner;
    glia__run_dir_close(&t.dir);
    glia__history_free(&t.history);
    glia__free(allocator, t.mistakes.measured, (size_t)t.mistakes.capacity * sizeof(float));
    glia__free(allocator, t.mistakes.predicted, (size_t)t.mistakes.capacity * sizeof(float));
    glia_metrics_free(t.metrics);
    glia_model_free(t.model);
    glia_dataset_free(t.train);
    glia_dataset_free(t.validation);
    glia_dataset_free(t.test);
    return status;
}
