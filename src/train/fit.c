/* fit.c: the loop: epochs, validation, early stopping, checkpoints.
 *
 * A training is a function of its settings and seed: the order of the examples depends on (seed, epoch), dropout on
 * (seed, step). So one that was stopped anywhere and resumed ends with the same bits as one that was not. */

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/monitor.h"
#include "train/progress.h"
#include "train/schedule.h"

typedef struct fit {
    glia_fit_options o; /* defaults filled */
    const glia_allocator *allocator;
    glia_model *model;
    const glia_dataset *train;
    glia_trainer *trainer;
    glia_loader *loader, *validation_loader;
    glia_metrics *running, *validation;
    glia_monitor monitor; /* says which epoch was best */
    glia_fit_state state;
    double learning_rate; /* before the schedule */
    glia_fit_setting settings[32];
    size_t n_settings;
    float *good; /* weights of the last complete epoch */
    float *best; /* those of the best one; NULL unless they are restored at the end */
    glia_progress_bar bar;
    double epoch_start, train_seconds;
    int64_t batches, first_examples; /* of the epoch; and how many of it a resumed one brought along */
    bool finished;
} fit;

/* --- before the first step -------------------------------------------------------------------------------- */

static glia_status check_number(const char *name, int64_t value, glia_error *err) {
    if (value >= 1) return GLIA_OK;
    return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s: expected at least 1, found %lld", name,
                          (long long)value);
}

static glia_status fill_options(fit *f, glia_error *err) {
    glia_fit_options *o = &f->o;
    if (!o->epochs) o->epochs = 1;
    if (!o->batch_size) o->batch_size = 32;
    if (!o->validate_every) o->validate_every = 1;
    GLIA_TRY(check_number("epochs", o->epochs, err));
    GLIA_TRY(check_number("batch_size", o->batch_size, err));
    GLIA_TRY(check_number("validate_every", o->validate_every, err));
    GLIA_TRY(glia__schedule_resolve(&o->schedule, o->epochs, err));
    if (o->memory_limit < 0)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "memory_limit: expected a number of bytes, found %lld",
                              (long long)o->memory_limit);
    if (o->early_stopping.patience < 0 || !(o->early_stopping.min_delta >= 0))
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "early_stopping: patience and min_delta are at least 0, found %lld and %g",
                              (long long)o->early_stopping.patience, o->early_stopping.min_delta);
    if (o->resume == GLIA_YES && !o->run_dir)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "resume needs a run_dir to continue from");
    return GLIA_OK;
}

static glia_status check_data(fit *f, glia_error *err) {
    GLIA_TRY(glia__check_data(f->model, f->train, "training data", err));
    if (!f->o.validation) return GLIA_OK;
    GLIA_TRY(glia__check_data(f->model, f->o.validation, "validation data", err));
    const glia_dataset_info *train = glia_dataset_get_info(f->train),
                            *validation = glia_dataset_get_info(f->o.validation);
    char a[96], b[96];
    if (validation->target != train->target)
        return glia_error_set(
            err, GLIA_BAD_DATA,
            "the validation data has targets of another kind (classes or numbers) than the training "
            "data");
    if (validation->weighted != train->weighted)
        return glia_error_set(
            err, GLIA_BAD_DATA,
            "the %s data has weights of its examples, the other has none; give both or none",
            train->weighted ? "training" : "validation");
    if (glia_shape_equal(&validation->target_shape, &train->target_shape)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_DATA,
                          "the targets of the validation data are %s, those of the training data %s",
                          glia_shape_text(&validation->target_shape, a, sizeof a),
                          glia_shape_text(&train->target_shape, b, sizeof b));
}

/* Of all that the model will see. */
static glia_target target_of(const fit *f) {
    glia_target target = glia__target_of(glia_dataset_get_info(f->train));
    if (f->o.validation) target.ignores |= glia_dataset_get_info(f->o.validation)->ignores;
    return target;
}

/* Stateful layers go on from batch to batch, so that examples must. */
static bool in_stretches(const fit *f) {
    return f->model->carried.count && f->o.shuffle != GLIA_NO;
}

static void add_setting(fit *f, const char *name, const char *format, ...) GLIA_PRINTF(3, 4);
static void add_setting(fit *f, const char *name, const char *format, ...) {
    glia_fit_setting *s = &f->settings[f->n_settings++];
    va_list args;
    s->name = name;
    va_start(args, format);
    vsnprintf(s->value, sizeof s->value, format, args);
    va_end(args);
}

static void may_change(fit *f) {
    f->settings[f->n_settings - 1].may_change = true;
}

/* What must not change between a training and its continuation, and what may. */
static void list_settings(fit *f) {
    const glia_optimizer *optimizer = f->trainer->optimizer;
    add_setting(f, "loss", "%s", f->trainer->runner.head->loss->name);
    add_setting(f, "loss_settings", "%016llx",
                (unsigned long long)glia_random_stream(f->trainer->runner.head->choice.text));
    add_setting(f, "optimizer", "%s", optimizer->name);
    add_setting(f, "precision", "%s", f->o.precision == GLIA_PRECISION_BF16 ? "bf16" : "f32");
    add_setting(f, "seed", "%llu", (unsigned long long)f->o.seed);
    add_setting(f, "batch_size", "%lld", (long long)f->o.batch_size);
    if (f->o.steps_per_epoch) add_setting(f, "steps_per_epoch", "%lld", (long long)f->o.steps_per_epoch);
    add_setting(f, "shuffle", "%s", f->o.shuffle == GLIA_NO ? "no" : in_stretches(f) ? "stretches" : "yes");
    add_setting(f, "examples", "%lld", (long long)glia_dataset_get_info(f->train)->count);
    add_setting(f, "monitor", "%s", f->monitor.name); /* the best value so far is one of it */
    for (const glia_field *o = optimizer->fields;
         o && o->name && f->n_settings + 13 < GLIA_COUNT(f->settings); o++) {
        const char *settings = (const char *)&f->trainer->settings;
        if (o->kind != GLIA_FIELD_FLOAT) continue;
        add_setting(f, o->name, "%.9g", *(const double *)(settings + o->offset));
        may_change(f);
    }
    add_setting(f, "flip", "%s", f->o.augment.flip ? f->o.augment.flip : "none");
    may_change(f);
    add_setting(f, "schedule", "%s", f->o.schedule.kind);
    may_change(f);
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"crop", (double)f->o.augment.crop},
                   {"cutout", (double)f->o.augment.cutout},
                   {"warmup", f->o.schedule.warmup},
                   {"step_epochs", f->o.schedule.step_epochs},
                   {"gamma", f->o.schedule.gamma},
                   {"final", f->o.schedule.final},
                   {"memory_limit", (double)f->o.memory_limit},
                   {"epochs", (double)f->o.epochs},
                   {"validate_every", (double)f->o.validate_every},
                   {"patience", (double)f->o.early_stopping.patience},
                   {"min_delta", f->o.early_stopping.min_delta}};
    for (size_t i = 0; i < GLIA_COUNT(numbers); i++) {
        add_setting(f, numbers[i].name, "%.17g", numbers[i].value);
        may_change(f);
    }
}

static glia_memory_use memory_use(const fit *f) {
    return (glia_memory_use){.train = f->train,
                             .validation = f->o.validation,
                             .batch_size = GLIA_MIN(f->o.batch_size, glia_dataset_get_info(f->train)->count),
                             .validation_batch = GLIA_MAX(f->o.batch_size, 128),
                             .copies = f->o.early_stopping.patience > 0 ? 2 : 1};
}

static glia_status make_objects(fit *f, const glia_target *target, glia_error *err) {
    int64_t count = glia_dataset_get_info(f->train)->count;
    glia_loader_options options = {.batch_size = GLIA_MIN(f->o.batch_size, count),
                                   .batches = f->o.steps_per_epoch,
                                   .shuffle = f->o.shuffle == GLIA_NO ? GLIA_NO : GLIA_YES,
                                   .stretches = in_stretches(f) ? GLIA_YES : GLIA_NO,
                                   .seed = f->o.seed,
                                   .augment = f->o.augment,
                                   .allocator = f->allocator};
    const bool restores = f->o.early_stopping.patience > 0;
    glia_memory_use use = memory_use(f);
    GLIA_TRY(glia__trainer_new(&f->trainer, f->model, target, &f->o, &use, err));
    if (f->o.memory_limit) use.validation_batch = f->trainer->memory.validation_piece;
    glia__share_cores(&options, f->o.threads);
    GLIA_TRY(glia_loader_new(&f->loader, f->train, options, err));
    if (f->o.validation)
        GLIA_TRY(glia__evaluation_loader(&f->validation_loader, f->model, f->o.validation,
                                         use.validation_batch, f->o.threads, err));
    f->batches = glia_loader_batches(f->loader);
    f->learning_rate = f->trainer->settings.learning_rate;
    f->running = glia__metrics_for(f->model, f->trainer->runner.head, (glia_metrics_wish){0});
    f->validation =
        glia__metrics_for(f->model, f->trainer->runner.head,
                          (glia_metrics_wish){.probabilities = true,
                                              .scores = strstr(f->monitor.figure->name, "_auc") != NULL});
    f->good = glia__alloc_pages(f->allocator, f->trainer->block_bytes);
    if (restores) f->best = glia__alloc_pages(f->allocator, f->trainer->block_bytes);
    if (!f->running || !f->validation || !f->good || (restores && !f->best))
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    return GLIA_OK;
}

/* --- the run directory ------------------------------------------------------------------------------------ */

static glia_status save_state(fit *f, glia_error *err) {
    if (!f->o.run_dir) return GLIA_OK;
    return glia__checkpoint_write(f->o.run_dir, f->trainer, &f->state, f->settings, f->n_settings, err);
}

static glia_status best_path(const fit *f, char *out, size_t capacity, glia_error *err) {
    if ((size_t)snprintf(out, capacity, "%s/best.safetensors", f->o.run_dir) < capacity) return GLIA_OK;
    return glia_error_set(err, GLIA_INVALID_ARGUMENT, "the path of the run directory is too long");
}

/* A new run: what an older one left goes, and the first checkpoint shows that the folder can be written. */
static glia_status begin_run(fit *f, glia_error *err) {
    char path[1024];
    GLIA_TRY(glia__make_folders(f->o.run_dir, err));
    GLIA_TRY(best_path(f, path, sizeof path, err));
    GLIA_TRY(save_state(f, err));
    (void)unlink(path);
    return glia__history_cut(f->o.run_dir, 0, f->allocator, err);
}

/* The best weights so far, from best.safetensors. */
static glia_status read_best(fit *f, glia_error *err) {
    char path[1024];
    glia_safetensors *file;
    GLIA_TRY(best_path(f, path, sizeof path, err));
    GLIA_TRY(glia_safetensors_open(&file, path, f->allocator, err));
    glia_status status = glia__model_read_block(f->model, file, path, f->best, err);
    glia_safetensors_close(file);
    return status;
}

static void tell_where(const fit *f) {
    const glia_fit_state *s = &f->state;
    if (s->epoch >= f->o.epochs)
        glia__log(f->o.logger, GLIA_LOG_INFO, "%s has had its %lld epochs: nothing is left to train",
                  f->o.run_dir, (long long)s->epoch);
    else if (s->batch)
        glia__log(f->o.logger, GLIA_LOG_INFO, "%s continues in epoch %lld, after batch %lld of %lld",
                  f->o.run_dir, (long long)s->epoch + 1, (long long)s->batch, (long long)f->batches);
    else
        glia__log(f->o.logger, GLIA_LOG_INFO, "%s continues after epoch %lld", f->o.run_dir,
                  (long long)s->epoch);
}

static glia_status continue_run(fit *f, glia_error *err) {
    GLIA_TRY(glia__checkpoint_read(f->o.run_dir, f->trainer, &f->state, f->settings, f->n_settings,
                                   f->o.logger, err));
    tell_where(f);
    if (f->best && f->state.best_epoch) GLIA_TRY(read_best(f, err));
    return glia__history_cut(f->o.run_dir, f->state.epoch, f->allocator, err);
}

/* --- an epoch --------------------------------------------------------------------------------------------- */

static double running_accuracy(const fit *f) {
    return glia__metrics_accuracy(f->running);
}
static double running_loss(const fit *f) {
    return glia__metrics_loss(f->running);
}

static double rate(const fit *f) {
    double seconds = glia__now_seconds() - f->epoch_start;
    return seconds > 0 ? (double)(glia__metrics_count(f->running) - f->first_examples) / seconds : 0;
}

static void tell_batch(fit *f) {
    if (!f->o.progress && !f->o.on_batch) return;
    glia_progress progress = {.epoch = f->state.epoch + 1,
                              .epochs = f->o.epochs,
                              .batch = f->state.batch,
                              .batches = f->batches,
                              .loss = running_loss(f),
                              .accuracy = running_accuracy(f),
                              .examples_per_second = rate(f)};
    if (f->o.progress) glia__progress_batch(&f->bar, &progress);
    if (f->o.on_batch) f->o.on_batch(f->o.ctx, &progress);
}

/* A NaN or infinity: back to the last complete epoch, and a message that says where it happened. */
static glia_status go_back(fit *f, const glia_error *inner, glia_error *err) {
    char where[300];
    memcpy(f->model->block, f->good, f->trainer->block_bytes);
    if (f->o.run_dir)
        snprintf(where, sizeof where, "%.250s/last.safetensors", f->o.run_dir);
    else
        snprintf(where, sizeof where, "the model");
    if (err && err->status == GLIA_OK) snprintf(err->node, sizeof err->node, "%s", inner->node);
    return glia_error_set(err, GLIA_NOT_FINITE,
                          "epoch %lld, batch %lld of %lld, %.340s; %s has the last good weights, "
                          "of epoch %lld",
                          (long long)f->state.epoch + 1, (long long)f->state.batch + 1, (long long)f->batches,
                          inner->message, where, (long long)f->state.epoch);
}

static glia_status train_batch(fit *f, const glia_batch *batch, glia_error *err) {
    double loss;
    glia_error inner = {0};
    f->trainer->weights = batch->weights;
    glia_status status =
        glia_trainer_backward(f->trainer, batch->inputs, batch->targets, batch->count, &loss, &inner);
    if (status == GLIA_NOT_FINITE) return go_back(f, &inner, err);
    if (status != GLIA_OK) {
        if (err && err->status == GLIA_OK) *err = inner;
        return status;
    }
    GLIA_TRY(glia__metrics_add(f->running, glia_trainer_predictions(f->trainer).data, batch->targets,
                               batch->count, loss, f->trainer->weight, err));
    double factor = glia_schedule_factor(f->o.schedule, f->trainer->step, f->batches, f->o.epochs);
    glia_trainer_set_learning_rate(f->trainer, f->learning_rate * factor);
    GLIA_TRY(glia_trainer_update(f->trainer, err));
    f->state.batch++;
    tell_batch(f);
    return GLIA_OK;
}

/* Ctrl-C: everything up to the last completed step is kept. */
static glia_status interrupt(fit *f, glia_error *err) {
    f->state.sums = glia__metrics_save(f->running);
    GLIA_TRY(save_state(f, err));
    return glia_error_set(err, GLIA_INTERRUPTED, "interrupted in epoch %lld after batch %lld of %lld%s%.200s",
                          (long long)f->state.epoch + 1, (long long)f->state.batch, (long long)f->batches,
                          f->o.run_dir ? "; resume continues from " : "", f->o.run_dir ? f->o.run_dir : "");
}

static glia_status train_epoch(fit *f, glia_error *err) {
    int64_t done = f->state.batch;
    f->epoch_start = glia__now_seconds();
    f->first_examples = f->state.sums.examples;
    glia_metrics_reset(f->running);
    glia__metrics_restore(f->running, f->state.sums);
    if (done == 0) {
        memcpy(f->good, f->model->block, f->trainer->block_bytes);
        glia__carry_reset(&f->trainer->runner.carried[0]);
    }
    GLIA_TRY(glia_loader_start(f->loader, f->state.epoch, err));
    for (int64_t i = 0;; i++) {
        glia_batch batch;
        if (f->o.stop && *f->o.stop) return interrupt(f, err);
        GLIA_TRY(glia_loader_next(f->loader, &batch, err));
        if (batch.count == 0) break;
        if (i >= done) GLIA_TRY(train_batch(f, &batch, err));
    }
    f->train_seconds = glia__now_seconds() - f->epoch_start;
    return GLIA_OK;
}

static glia_status validate(fit *f, glia_epoch *e, glia_error *err) {
    bool due = e->epoch % f->o.validate_every == 0 || e->epoch == f->o.epochs;
    e->validation = glia__report_empty();
    if (!f->o.validation || !due) return GLIA_OK;
    glia_metrics_reset(f->validation);
    GLIA_TRY(glia__evaluate_data(&f->trainer->runner, f->validation_loader, f->validation, NULL, NULL, err));
    e->validation = glia_metrics_report(f->validation);
    e->validated = true;
    return GLIA_OK;
}

/* Whether this epoch is the best so far; counts how long none was. Epochs without validation do not count when
 * there is validation data. */
static void judge(fit *f, glia_epoch *e) {
    if (f->o.validation && !e->validated) return;
    const bool higher = f->monitor.figure->higher;
    const double value = f->o.validation ? glia__monitor_value(&f->monitor, f->validation)
                         : higher        ? e->accuracy
                                         : e->loss;
    double gain = higher ? value - f->state.best : f->state.best - value,
           delta = f->o.early_stopping.min_delta;
    e->monitor = e->validated ? f->monitor.shown : NULL;
    e->monitored = value;
    e->best = !isnan(value) && (f->state.best_epoch == 0 || gain > delta);
    if (!e->best) {
        f->state.waited++;
        return;
    }
    f->state.best = value;
    f->state.best_epoch = e->epoch;
    f->state.waited = 0;
    if (f->best) memcpy(f->best, f->model->block, f->trainer->block_bytes);
}

/* The order matters to a crash at any point: last.safetensors comes last, so that what a resumed training repeats
 * (the best weights, the line of metrics) is written again. */
static glia_status save_epoch(fit *f, const glia_epoch *e, glia_error *err) {
    char path[1024];
    if (!f->o.run_dir) return GLIA_OK;
    if (e->best) {
        GLIA_TRY(best_path(f, path, sizeof path, err));
        GLIA_TRY(glia_model_save_weights(f->model, path, err));
    }
    GLIA_TRY(glia__history_append(f->o.run_dir, e, f->trainer->step, f->allocator, err));
    return save_state(f, err);
}

static glia_status run_epoch(fit *f, glia_error *err) {
    GLIA_TRY(train_epoch(f, err));
    glia_epoch e = {.epoch = f->state.epoch + 1,
                    .epochs = f->o.epochs,
                    .loss = running_loss(f),
                    .accuracy = running_accuracy(f),
                    .examples_per_second = rate(f)};
    GLIA_TRY(validate(f, &e, err));
    f->state.epoch++;
    f->state.batch = 0;
    f->state.sums = (glia_metrics_sums){0};
    judge(f, &e);
    e.seconds = glia__now_seconds() - f->epoch_start;
    GLIA_TRY(save_epoch(f, &e, err));
    if (f->o.progress) glia__progress_epoch(&f->bar, &e);
    if (f->o.on_epoch && f->o.on_epoch(f->o.ctx, &e) != 0) f->finished = true;
    return GLIA_OK;
}

/* --- the whole -------------------------------------------------------------------------------------------- */

static bool lost_patience(const fit *f) {
    int64_t patience = f->o.early_stopping.patience;
    return patience > 0 && f->state.waited >= patience;
}

static glia_status run_epochs(fit *f, glia_error *err) {
    while (f->state.epoch < f->o.epochs && !f->finished && !lost_patience(f)) GLIA_TRY(run_epoch(f, err));
    if (f->state.epoch < f->o.epochs && lost_patience(f))
        glia__log(f->o.logger, GLIA_LOG_INFO,
                  "stopped after epoch %lld: no better %s for %lld validations; the weights are those of "
                  "epoch %lld",
                  (long long)f->state.epoch, f->monitor.name, (long long)f->state.waited,
                  (long long)f->state.best_epoch);
    if (f->best && f->state.best_epoch) memcpy(f->model->block, f->best, f->trainer->block_bytes);
    return GLIA_OK;
}

static void tell_memory(const fit *f) {
    const glia_fit_memory *m = &f->trainer->memory;
    if (f->trainer->piece)
        glia__log(
            f->o.logger, GLIA_LOG_INFO,
            "memory_limit: batches of %lld are run in pieces of %lld; the training needs %.1f MB of %.1f",
            (long long)f->o.batch_size, (long long)f->trainer->piece, (double)m->total / 1e6,
            (double)f->o.memory_limit / 1e6);
}

glia_status glia_fit_plan(glia_model *model, const glia_dataset *train, glia_fit_options options,
                          glia_fit_memory *out) {
    glia_error *err = options.error;
    glia_loss_head *head;
    *out = (glia_fit_memory){0};
    if (!model) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory: there is no model");
    fit f = {.o = options, .allocator = model->allocator, .model = model, .train = train};
    GLIA_TRY(fill_options(&f, err));
    GLIA_TRY(check_data(&f, err));
    glia_target target = target_of(&f);
    glia_memory_use use = memory_use(&f);
    use.limit = f.o.memory_limit;
    GLIA_TRY(glia__optimizer_resolve(&f.o.optimizer, &use.optimizer, err));
    GLIA_TRY(glia__loss_head(&head, model, f.o.loss, &target, err));
    GLIA_TRY(glia__loss_gradients(model, head, err));
    glia_runner runner = {.model = model,
                          .head = head,
                          .threads = f.o.threads,
                          .precision = f.o.precision,
                          .factors = f.o.optimizer.clip_norm == 0,
                          .rows = true,
                          .still = use.optimizer->still && f.o.optimizer.weight_decay == 0};
    return glia__memory_plan(&runner, &use, out, err);
}

static glia_status run_fit(fit *f, glia_error *err) {
    char warning[600];
    GLIA_TRY(fill_options(f, err));
    GLIA_TRY(check_data(f, err));
    glia_target target = target_of(f);
    GLIA_TRY(glia__monitor_choose(&f->monitor, f->o.early_stopping.monitor, f->model, &target,
                                  f->o.validation != NULL, err));
    GLIA_TRY(make_objects(f, &target, err));
    list_settings(f);
    tell_memory(f);
    if (glia__loss_warning(f->model, f->trainer->runner.head->loss->name, warning, sizeof warning))
        glia__log(f->o.logger, GLIA_LOG_WARNING, "%s", warning);
    if (f->o.run_dir) GLIA_TRY(f->o.resume == GLIA_YES ? continue_run(f, err) : begin_run(f, err));
    memcpy(f->good, f->model->block, f->trainer->block_bytes);
    if (f->o.progress) glia__progress_init(&f->bar);
    glia_status status = run_epochs(f, err);
    if (f->o.progress) glia__progress_end(&f->bar);
    return status;
}

glia_status glia_fit_with(glia_model *model, const glia_dataset *train, glia_fit_options options) {
    if (!model) return glia_error_set(options.error, GLIA_OUT_OF_MEMORY, "out of memory: there is no model");
    fit f = {.o = options, .allocator = model->allocator, .model = model, .train = train};
    glia_status status = run_fit(&f, options.error);
    size_t bytes = f.trainer ? f.trainer->block_bytes : 0;
    glia__free(f.allocator, f.good, bytes);
    glia__free(f.allocator, f.best, bytes);
    glia_metrics_free(f.running);
    glia_metrics_free(f.validation);
    glia_loader_free(f.loader);
    glia_loader_free(f.validation_loader);
    glia_trainer_free(f.trainer);
    return status;
}
