/* evaluate.c: how good a model is on a data set. */

#include "train/evaluate.h"

#include <math.h>

#include "core/clock.h"
#include "core/threads.h"
#include "data/dataset.h"
#include "train/ctc.h"
#include "train/trainer.h"

glia_status glia__check_data(const glia_model *model, const glia_dataset *data, const char *what,
                             glia_error *err) {
    GLIA_TRY(glia__model_ready(model, err));
    if (!data)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "there is no %s: the data set is NULL", what);
    const glia_dataset_info *info = glia_dataset_get_info(data);
    if (info->count < 1)
        return glia_error_set(err, GLIA_BAD_DATA, "the %s '%s' is empty: it has no examples", what,
                              info->name);
    return glia__model_check_input(model, &info->input_shape, err);
}

/* A part for each loss, with figures where an output is compared with targets, number by number or class by class. */
static bool add_parts(glia_metrics *metrics, const glia_model *model, const glia_loss_head *head,
                      glia_metrics_wish wish) {
    glia_metrics_part *parts = glia__metrics_set_parts(metrics, head->n_parts);
    for (int i = 0; parts && i < head->n_parts; i++) {
        const glia_loss_part *p = &head->parts[i];
        parts[i] = (glia_metrics_part){.name = p->name};
        if (p->prediction_at < 0 || !p->head) continue;
        parts[i] = (glia_metrics_part){.name = p->name,
                                       .metrics = glia__metrics_for(model, p->head, wish),
                                       .prediction_at = p->prediction_at,
                                       .target_at = p->target_at,
                                       .target_elems = p->target_elems,
                                       .classes = p->head->target_type.kind == GLIA_TARGET_CLASS};
        if (!parts[i].metrics) return false;
    }
    return parts != NULL;
}

static glia_metrics *metrics_of_parts(const glia_model *model, const glia_loss_head *head,
                                      glia_metrics_wish wish) {
    glia_metrics *metrics =
        glia_metrics_new(0, glia_shape_elems(&head->target_type.shape), 0, model->allocator);
    if (!metrics) return NULL;
    glia__metrics_set_layout(metrics, (glia_metrics_layout){.pitch = glia__output_elems(model)});
    if (add_parts(metrics, model, head, wish)) return metrics;
    glia_metrics_free(metrics);
    return NULL;
}

glia_metrics *glia__metrics_for(const glia_model *model, const glia_loss_head *head, glia_metrics_wish wish) {
    const glia_class_layout *layout = &head->layout;
    if (head->n_parts) return metrics_of_parts(model, head, wish);
    const bool classes = head->target_type.kind == GLIA_TARGET_CLASS;
    const bool logits = head->loss->wrong && !glia__gives_probabilities(model, head->prediction);
    glia_metrics *metrics = glia_metrics_new(
        classes ? layout->units : 0, classes ? layout->positions : glia_shape_elems(&head->target_type.shape),
        wish.top_k, model->allocator);
    if (metrics)
        glia__metrics_set_layout(metrics, (glia_metrics_layout){.threshold = logits ? 0 : 0.5f,
                                                                .logits = logits,
                                                                .probabilities = wish.probabilities,
                                                                .scores = wish.scores && classes,
                                                                .classes_first = layout->classes_first,
                                                                .ignored = head->choice.ignored,
                                                                .pitch = glia__output_elems(model)});
    return metrics;
}

void glia__share_cores(glia_loader_options *options, int threads) {
    const int cores = glia__thread_cores();
    options->threads = threads > 0 ? threads : cores;
    options->prefetch = options->threads < cores ? GLIA_YES : GLIA_NO;
}

glia_status glia__evaluation_loader(glia_loader **out, const glia_model *model, const glia_dataset *data,
                                    int64_t batch_size, int threads, glia_error *err) {
    glia_loader_options options = {.batch_size = GLIA_MIN(batch_size, glia_dataset_get_info(data)->count),
                                   .stretches = model->carried.count ? GLIA_YES : GLIA_NO,
                                   .allocator = model->allocator};
    glia__share_cores(&options, threads);
    return glia_loader_new(out, data, options, err);
}

/* What the seasonal-naive forecast would have said, where the data are a series. */
static void add_naive(const glia_runner *runner, const glia_dataset *data, const glia_batch *batch,
                      const float *predictions, glia_metrics *metrics) {
    float *naive = glia__metrics_naive_room(metrics);
    const int64_t pitch = glia__output_elems(runner->model),
                  width = glia_shape_elems(&runner->head->target_type.shape);
    for (int64_t i = 0; naive && i < batch->count; i++)
        if (glia__dataset_naive(data, batch->order[i], naive))
            glia__metrics_add_naive(metrics, predictions + i * pitch,
                                    (const float *)batch->targets + i * width, naive);
}

/* Of losses that compare steps with labels: how many labels the best path has wrong. */
static glia_status add_labels(const glia_runner *runner, int part, const glia_batch *batch,
                              const float *predictions, glia_metrics *metrics, glia_error *err) {
    const glia_model *model = runner->model;
    const glia_value *loss = runner->head->parts[part].layer;
    const int64_t in = (int64_t)(glia__input_bytes(model) / sizeof(float)), pitch = glia__output_elems(model);
    glia_label_places places;
    if (!glia__label_places(model, loss, &places) || places.labels_at < 0) return GLIA_OK;
    const size_t bytes = (size_t)glia__labels_room(&places) * sizeof(int64_t);
    int64_t *room = glia__alloc(model->allocator, bytes), labels;
    if (!room) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (int64_t n = 0; n < batch->count; n++) {
        const int64_t errors =
            glia__labels_compare(&places, batch->inputs + n * in, predictions + n * pitch, room, &labels);
        glia__metrics_add_labels(metrics, part, errors, labels);
    }
    glia__free(model->allocator, room, bytes);
    return GLIA_OK;
}

/* What is known of each of several losses. */
static glia_status add_losses(const glia_runner *runner, const glia_batch *batch, const float *predictions,
                              glia_metrics *metrics, glia_error *err) {
    for (int i = 0; i < runner->head->n_parts; i++) {
        glia__metrics_add_part_loss(metrics, i, glia__runner_part_loss(runner, i), batch->count);
        GLIA_TRY(add_labels(runner, i, batch, predictions, metrics, err));
    }
    return GLIA_OK;
}

glia_status glia__evaluate_data(glia_runner *runner, glia_loader *loader, glia_metrics *metrics,
                                void (*on_batch)(void *, const glia_batch *, const float *), void *ctx,
                                glia_error *err) {
    const glia_dataset *data = glia__loader_dataset(loader);
    glia__runner_reset_states(runner);
    glia__runner_params_changed(runner); /* a trainer's have, since the last evaluation */
    GLIA_TRY(glia_loader_start(loader, 0, err));
    for (;;) {
        glia_batch batch;
        double loss;
        GLIA_TRY(glia_loader_next(loader, &batch, err));
        if (batch.count == 0) return GLIA_OK;
        runner->weights = batch.weights;
        GLIA_TRY(
            glia__runner_run(runner, GLIA_RUN_LOSS, batch.inputs, batch.targets, batch.count, 0, &loss, err));
        const float *predictions = glia__runner_predictions(runner).data;
        const double weight = glia__loss_weight(runner->head, batch.targets, batch.weights, batch.count);
        GLIA_TRY(glia__metrics_add(metrics, predictions, batch.targets, batch.count, loss, weight, err));
        GLIA_TRY(add_losses(runner, &batch, predictions, metrics, err));
        if (glia_dataset_get_info(data)->season) add_naive(runner, data, &batch, predictions, metrics);
        if (on_batch) on_batch(ctx, &batch, predictions);
    }
}

static glia_status evaluate(glia_model *model, const glia_dataset *data, const glia_evaluate_options *o,
                            glia_metrics **metrics, glia_error *err) {
    glia_loss_head *head;
    int64_t batch_size = o->batch_size ? o->batch_size : 256;
    GLIA_TRY(glia__check_data(model, data, "data", err));
    if (batch_size < 1)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "batch_size: expected at least 1, found %lld",
                              (long long)batch_size);
    GLIA_TRY(glia__model_with_weights(model, err));
    glia_target target = glia__target_of(glia_dataset_get_info(data));
    GLIA_TRY(glia__loss_head(&head, model, o->loss, &target, err));
    const int64_t scores = glia_dataset_get_info(data)->count * glia__output_elems(model);
    *metrics = glia__metrics_for(
        model, head,
        (glia_metrics_wish){.top_k = o->top_k,
                            .probabilities = true,
                            .scores = o->auc ? o->auc == GLIA_YES : scores <= GLIA_METRICS_SCORES});
    if (!*metrics) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia_runner runner = {.model = model, .head = head, .threads = o->threads, .precision = o->precision};
    glia_memory_use use = {.validation = data, .validation_batch = batch_size, .limit = o->memory_limit};
    glia_fit_memory memory = {.validation_piece = batch_size};
    glia_loader *loader = NULL;
    glia_status status = use.limit ? glia__memory_plan(&runner, &use, &memory, err) : GLIA_OK;
    if (status == GLIA_OK)
        status = glia__evaluation_loader(&loader, model, data, memory.validation_piece, o->threads, err);
    if (status == GLIA_OK) status = glia__evaluate_data(&runner, loader, *metrics, o->on_batch, o->ctx, err);
    glia_loader_free(loader);
    glia__runner_deinit(&runner);
    return status;
}

glia_report glia_evaluate_with(glia_model *model, const glia_dataset *data, glia_evaluate_options options) {
    double start = glia__now_seconds();
    glia_metrics *metrics = NULL;
    glia_report report = glia__report_empty();
    if (options.metrics) *options.metrics = NULL;
    if (evaluate(model, data, &options, &metrics, options.error) == GLIA_OK) {
        report = glia_metrics_report(metrics);
        report.seconds = glia__now_seconds() - start;
        if (options.metrics) {
            *options.metrics = metrics;
            metrics = NULL;
        }
    }
    glia_metrics_free(metrics);
    return report;
}
