/* trainer.c: forward, backward, update: one step of training at a time. */

#include "train/trainer.h"

#include <math.h>
#include <stdio.h>

glia_status glia__model_check_input(const glia_model *model, const glia_shape *shape, glia_error *err) {
    char want[96], have[96];
    glia_value *input = glia_model_input(model, 0);
    glia_shape expected = glia_value_shape(input);
    if (model->n_inputs != 1)
        return glia_error_set(err, GLIA_UNSUPPORTED,
                              "model '%s' has %d inputs; data sets feed one. Run its graph by hand instead",
                              model->name, model->n_inputs);
    bool same = expected.rank == shape->rank + 1;
    for (int i = 0; same && i < shape->rank; i++) same = expected.dim[i + 1] == shape->dim[i];
    if (same) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE,
                          "input '%s' of the model takes examples of %s, the data has %s",
                          glia_value_name(input), glia__example_text(input, want, sizeof want),
                          glia_shape_text(shape, have, sizeof have));
}

static glia_status allocate_blocks(glia_trainer *t, glia_error *err) {
    float **blocks[] = {&t->gradients, &t->moments[0], &t->moments[1]};
    t->block_bytes = (size_t)t->model->block_elems * sizeof(float);
    for (int i = 0; i <= t->optimizer->n_moments; i++) {
        *blocks[i] = glia__alloc_aligned(t->allocator, t->block_bytes, 64);
        if (!*blocks[i])
            return glia_error_set(err, GLIA_OUT_OF_MEMORY,
                                  "out of memory: gradients and moments of '%s' need %.1f MB", t->model->name,
                                  (double)t->block_bytes * (1 + t->optimizer->n_moments) / 1e6);
        memset(*blocks[i], 0, t->block_bytes);
    }
    return GLIA_OK;
}

static glia_status set_up(glia_trainer *t, const glia_target *target, const glia_fit_options *options,
                          glia_error *err) {
    glia_loss_head *head;
    t->settings = options->optimizer;
    GLIA_TRY(glia__optimizer_resolve(&t->settings, &t->optimizer, err));
    GLIA_TRY(glia__loss_head(&head, t->model, options->loss, target, err));
    GLIA_TRY(glia__loss_gradients(t->model, head, err));
    if (!glia__model_has_weights(t->model)) GLIA_TRY(glia_model_initialize(t->model, options->seed, err));
    GLIA_TRY(allocate_blocks(t, err));
    t->runner = (glia_runner){.model = t->model,
                              .head = head,
                              .threads = options->threads,
                              .precision = options->precision,
                              .seed = options->seed,
                              .gradients = t->gradients};
    return GLIA_OK;
}

glia_status glia__trainer_new(glia_trainer **out, glia_model *model, const glia_target *target,
                              const glia_fit_options *options, glia_error *err) {
    *out = NULL;
    GLIA_TRY(glia__model_ready(model, err));
    glia_trainer *t = glia__calloc(model->allocator, 1, sizeof *t);
    if (!t) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    t->allocator = model->allocator;
    t->model = model;
    glia_status status = set_up(t, target, options, err);
    if (status == GLIA_OK)
        *out = t;
    else
        glia_trainer_free(t);
    return status;
}

glia_status glia_trainer_new(glia_trainer **out, glia_model *model, glia_target_kind target,
                             glia_shape target_shape, glia_fit_options options, glia_error *err) {
    glia_target type = {.kind = target, .shape = target_shape};
    return glia__trainer_new(out, model, &type, &options, err);
}

void glia_trainer_free(glia_trainer *t) {
    if (!t) return;
    glia__runner_deinit(&t->runner);
    glia__free(t->allocator, t->gradients, t->block_bytes);
    glia__free(t->allocator, t->moments[0], t->block_bytes);
    glia__free(t->allocator, t->moments[1], t->block_bytes);
    glia__free(t->allocator, t, sizeof *t);
}

static glia_status check_batch(const glia_trainer *t, const float *inputs, const void *targets, int64_t count,
                               glia_error *err) {
    if (inputs && targets && count > 0) return GLIA_OK;
    return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                          "a batch of '%s' needs inputs, targets and a count above 0", t->model->name);
}

glia_status glia_trainer_forward(glia_trainer *t, const float *inputs, const void *targets, int64_t count,
                                 double *loss, glia_error *err) {
    GLIA_TRY(check_batch(t, inputs, targets, count, err));
    glia__runner_params_changed(&t->runner);
    return glia__runner_run(&t->runner, GLIA_RUN_LOSS, inputs, targets, count, t->step + 1, loss, err);
}

/* Says where a NaN began. */
static glia_status not_finite(glia_trainer *t, const float *inputs, const void *targets, int64_t count,
                              double loss, glia_error *err) {
    glia_error inner = {0};
    glia_status status = glia__runner_find_bad_node(&t->runner, inputs, targets, count, t->step + 1, &inner);
    if (status != GLIA_NOT_FINITE) return glia_error_set(err, status, "%s", inner.message);
    if (err && err->status == GLIA_OK) snprintf(err->node, sizeof err->node, "%s", inner.node);
    return glia_error_set(err, GLIA_NOT_FINITE,
                          "step %lld: the %s became NaN or infinite: %.200s; lower the learning "
                          "rate, set clip_norm, or look for bad values in the data",
                          (long long)t->step + 1, isfinite(loss) ? "gradient" : "loss", inner.message);
}

glia_status glia_trainer_backward(glia_trainer *t, const float *inputs, const void *targets, int64_t count,
                                  double *loss, glia_error *err) {
    double found = 0;
    t->backward = false;
    GLIA_TRY(check_batch(t, inputs, targets, count, err));
    GLIA_TRY(glia__runner_run(&t->runner, GLIA_RUN_TRAIN, inputs, targets, count, t->step + 1, &found, err));
    if (loss) *loss = found;
    t->norm = glia__norm(t->gradients, t->model->trained_elems, t->runner.threads);
    if (!isfinite(found) || !isfinite(t->norm)) return not_finite(t, inputs, targets, count, found, err);
    t->backward = true;
    return GLIA_OK;
}

void glia_trainer_set_learning_rate(glia_trainer *t, double rate) {
    t->settings.learning_rate = rate;
}

glia_status glia_trainer_update(glia_trainer *t, glia_error *err) {
    if (!t->backward)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "there is no gradient to update with; call "
                              "glia_trainer_backward before each glia_trainer_update");
    glia_optimizer_step step = {.options = &t->settings,
                                .params = t->model->block,
                                .gradients = t->gradients,
                                .moments = {t->moments[0], t->moments[1]},
                                .number = ++t->step,
                                .gradient_scale = glia__clip_scale(&t->settings, t->norm)};
    glia__optimizer_run(t->optimizer, step, t->model->trained_elems, t->runner.threads);
    for (size_t i = 0; i < t->model->n_params; i++) {
        const glia_param *p = &t->model->params[i];
        if (p->update)
            memcpy(t->model->block + p->offset, t->gradients + p->offset, (size_t)p->elems * sizeof(float));
    }
    t->backward = false;
    return GLIA_OK;
}

glia_tensor glia_trainer_gradient(const glia_trainer *t, size_t param) {
    if (!glia_model_param_trained(t->model, param)) return (glia_tensor){0};
    const glia_param *p = &t->model->params[param];
    return glia_tensor_wrap(t->gradients + p->offset, GLIA_F32, glia_value_shape(p->value));
}

glia_tensor glia_trainer_predictions(const glia_trainer *t) {
    return glia__runner_predictions(&t->runner);
}
