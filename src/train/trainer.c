/* trainer.c: forward, backward, update: one step of training at a time. */

#include "train/trainer.h"

#include <math.h>
#include <stdio.h>

glia_status glia__model_check_input(const glia_model *model, const glia_shape *shape, glia_error *err) {
    char want[96], have[96];
    glia_value *input = glia_model_input(model, 0);
    glia_shape expected = glia_value_shape(input);
    if (model->n_parts || model->n_inputs != 1) { /* their numbers lie one behind the other */
        const int64_t elems = (int64_t)(glia__input_bytes(model) / sizeof(float));
        if (model->n_parts && shape->rank == 1 && shape->dim[0] == elems) return GLIA_OK;
        return glia_error_set(
            err, GLIA_UNSUPPORTED,
            "model '%s' has %d inputs; this data set feeds one. Name its arrays in a model file, or "
            "run the graph by hand",
            model->name, model->n_inputs);
    }
    bool same = expected.rank == shape->rank + 1;
    for (int i = 0; same && i < shape->rank; i++) same = expected.dim[i + 1] == shape->dim[i];
    if (same) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE,
                          "input '%s' of the model takes examples of %s, the data has %s",
                          glia_value_name(input), glia__example_text(input, want, sizeof want),
                          glia_shape_text(shape, have, sizeof have));
}

static glia_status allocate_blocks(glia_trainer *t, glia_error *err) {
    float **blocks[] = {&t->gradients, &t->moments[0], &t->moments[1], &t->part};
    t->block_bytes = (size_t)t->model->block_elems * sizeof(float);
    for (int i = 0; i < (int)GLIA_COUNT(blocks); i++) {
        if (blocks[i] == &t->part ? !t->piece : i > t->optimizer->n_moments) continue;
        *blocks[i] = glia__alloc_pages(t->allocator, t->block_bytes);
        if (!*blocks[i])
            return glia_error_set(err, GLIA_OUT_OF_MEMORY,
                                  "out of memory: gradients and moments of '%s' need %.1f MB", t->model->name,
                                  (double)t->block_bytes * (1 + t->optimizer->n_moments) / 1e6);
        memset(*blocks[i], 0, t->block_bytes);
    }
    return GLIA_OK;
}

/* Decides how batches are run; before the large blocks are there. */
static glia_status obey_limit(glia_trainer *t, const glia_fit_options *options, const glia_memory_use *use,
                              glia_error *err) {
    glia_memory_use by_hand = {.batch_size = options->batch_size ? options->batch_size : 32};
    glia_memory_use all = use ? *use : by_hand;
    if (!options->memory_limit) return GLIA_OK;
    all.optimizer = t->optimizer;
    all.limit = options->memory_limit;
    GLIA_TRY(glia__memory_plan(&t->runner, &all, &t->memory, err));
    if (t->memory.piece < all.batch_size) t->piece = t->memory.piece;
    return GLIA_OK;
}

static glia_status set_up(glia_trainer *t, const glia_target *target, const glia_fit_options *options,
                          const glia_memory_use *use, glia_error *err) {
    glia_loss_head *head;
    t->settings = options->optimizer;
    GLIA_TRY(glia__optimizer_resolve(&t->settings, &t->optimizer, err));
    GLIA_TRY(glia__loss_head(&head, t->model, options->loss, target, err));
    GLIA_TRY(glia__loss_gradients(t->model, head, err));
    t->runner = (glia_runner){.model = t->model,
                              .head = head,
                              .threads = options->threads,
                              .precision = options->precision,
                              .seed = options->seed,
                              .factors = t->settings.clip_norm == 0, /* else their norm is wanted */
                              .rows = true,
                              .still = t->optimizer->still && t->settings.weight_decay == 0};
    GLIA_TRY(glia__runner_check_rows(&t->runner, &t->settings, err));
    GLIA_TRY(obey_limit(t, options, use, err));
    if (t->piece) t->runner.factors = t->runner.rows = false; /* gradients of pieces are added up */
    if (!glia__model_has_weights(t->model)) GLIA_TRY(glia_model_initialize(t->model, options->seed, err));
    GLIA_TRY(allocate_blocks(t, err));
    t->runner.gradients = t->piece ? t->part : t->gradients;
    return GLIA_OK;
}

glia_status glia__trainer_new(glia_trainer **out, glia_model *model, const glia_target *target,
                              const glia_fit_options *options, const glia_memory_use *use, glia_error *err) {
    *out = NULL;
    GLIA_TRY(glia__model_ready(model, err));
    glia_trainer *t = glia__calloc(model->allocator, 1, sizeof *t);
    if (!t) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    t->allocator = model->allocator;
    t->model = model;
    glia_status status = set_up(t, target, options, use, err);
    if (status == GLIA_OK)
        *out = t;
    else
        glia_trainer_free(t);
    return status;
}

glia_status glia_trainer_new(glia_trainer **out, glia_model *model, glia_target_kind target,
                             glia_shape target_shape, glia_fit_options options, glia_error *err) {
    /* Classes of positions may be ignored: the data, which would tell, is not here. */
    const glia_loss *loss = glia__loss_find(options.loss);
    const bool ignores = target == GLIA_TARGET_CLASS && target_shape.rank > 0 && !(loss && loss->whole);
    glia_target type = {.kind = target, .shape = target_shape, .ignores = ignores};
    return glia__trainer_new(out, model, &type, &options, NULL, err);
}

static size_t predictions_bytes(const glia_trainer *t, int64_t count) {
    return (size_t)(count * glia__output_elems(t->model)) * sizeof(float);
}

void glia_trainer_free(glia_trainer *t) {
    if (!t) return;
    glia__runner_deinit(&t->runner);
    glia__free(t->allocator, t->gradients, t->block_bytes);
    glia__free(t->allocator, t->moments[0], t->block_bytes);
    glia__free(t->allocator, t->moments[1], t->block_bytes);
    glia__free(t->allocator, t->part, t->block_bytes);
    glia__free(t->allocator, t->predictions, predictions_bytes(t, t->predictions_room));
    glia__free(t->allocator, t, sizeof *t);
}

static glia_status check_batch(const glia_trainer *t, const float *inputs, const void *targets, int64_t count,
                               glia_error *err) {
    if (inputs && targets && count > 0) return GLIA_OK;
    return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                          "a batch of '%s' needs inputs, targets and a count above 0", t->model->name);
}

/* Room for the predictions of a whole batch. */
static glia_status reserve_predictions(glia_trainer *t, int64_t count, glia_error *err) {
    if (count <= t->predictions_room) return GLIA_OK;
    float *room = glia__alloc(t->allocator, predictions_bytes(t, count));
    if (!room) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia__free(t->allocator, t->predictions, predictions_bytes(t, t->predictions_room));
    t->predictions = room;
    t->predictions_room = count;
    return GLIA_OK;
}

/* Where a piece of a batch begins. */
static const float *inputs_at(const glia_trainer *t, const float *inputs, int64_t first) {
    return (const float *)((const char *)inputs + (size_t)first * glia__input_bytes(t->model));
}
static const void *targets_at(const glia_trainer *t, const void *targets, int64_t first) {
    return (const char *)targets + (size_t)first * glia__target_bytes(t->runner.head);
}

/* One batch, whole or in pieces: losses and gradients are means, so a piece counts by its share of what they were taken
 * over. */
static glia_status run_batch(glia_trainer *t, glia_run_mode mode, const float *inputs, const void *targets,
                             int64_t count, double *loss, glia_error *err) {
    t->count = count;
    t->weight = glia__loss_weight(t->runner.head, targets, t->weights, count);
    t->runner.weights = t->weights;
    if (!t->piece) return glia__runner_run(&t->runner, mode, inputs, targets, count, t->step + 1, loss, err);
    GLIA_TRY(reserve_predictions(t, count, err));
    if (mode == GLIA_RUN_TRAIN) memset(t->gradients, 0, t->block_bytes);
    *loss = 0;
    for (int64_t first = 0; first < count; first += t->piece) {
        const int64_t n = GLIA_MIN(t->piece, count - first);
        t->runner.weights = t->weights ? t->weights + first : NULL;
        const double weight =
            glia__loss_weight(t->runner.head, targets_at(t, targets, first), t->runner.weights, n);
        const double share = t->weight > 0 ? weight / t->weight : 0;
        double found = 0;
        t->runner.first_example = first;
        GLIA_TRY(glia__runner_run(&t->runner, mode, inputs_at(t, inputs, first),
                                  targets_at(t, targets, first), n, t->step + 1, &found, err));
        *loss += share * found;
        memcpy((char *)t->predictions + predictions_bytes(t, first),
               glia__runner_predictions(&t->runner).data, predictions_bytes(t, n));
        if (mode == GLIA_RUN_TRAIN)
            glia__add_scaled(t->gradients, t->part, (float)share, t->model->trained_elems, t->runner.threads);
    }
    t->runner.first_example = 0;
    return GLIA_OK;
}

glia_status glia_trainer_forward(glia_trainer *t, const float *inputs, const void *targets, int64_t count,
                                 double *loss, glia_error *err) {
    GLIA_TRY(check_batch(t, inputs, targets, count, err));
    double found = 0;
    glia__runner_params_changed(&t->runner);
    GLIA_TRY(run_batch(t, GLIA_RUN_LOSS, inputs, targets, count, &found, err));
    if (loss) *loss = found;
    return GLIA_OK;
}

/* Says where a NaN began. */
static glia_status not_finite(glia_trainer *t, const float *inputs, const void *targets, int64_t count,
                              double loss, glia_error *err) {
    const int64_t piece = t->piece ? t->piece : count;
    glia_error inner = {0};
    glia_status status = GLIA_NOT_FINITE;
    for (int64_t first = 0; first < count && status == GLIA_NOT_FINITE && !*inner.node; first += piece) {
        inner = (glia_error){0};
        t->runner.first_example = first;
        t->runner.weights = t->weights ? t->weights + first : NULL;
        status =
            glia__runner_find_bad_node(&t->runner, inputs_at(t, inputs, first), targets_at(t, targets, first),
                                       GLIA_MIN(piece, count - first), t->step + 1, &inner);
    }
    t->runner.first_example = 0;
    if (status != GLIA_NOT_FINITE) return glia_error_set(err, status, "%s", inner.message);
    if (err && err->status == GLIA_OK) snprintf(err->node, sizeof err->node, "%s", inner.node);
    return glia_error_set(err, GLIA_NOT_FINITE,
                          "step %lld: the %s became NaN or infinite: %.200s; lower the learning "
                          "rate, set clip_norm, or look for bad values in the data",
                          (long long)t->step + 1, isfinite(loss) ? "gradient" : "loss", inner.message);
}

/* Whether a stretch of the gradients is finite. Their norm is computed only to clip it: its square grows. */
static bool take_in(glia_trainer *t, const float *gradients, int64_t count, double *square) {
    if (t->settings.clip_norm <= 0) return isfinite(glia__largest(gradients, count, t->runner.threads));
    const double norm = glia__norm(gradients, count, t->runner.threads);
    *square += norm * norm;
    return isfinite(*square);
}

static bool gradient_is_finite(glia_trainer *t) {
    int64_t at = 0;
    double square = 0;
    glia_factors f;
    for (size_t i = 0; i < t->model->n_params; i++) {
        const glia_param *p = &t->model->params[i];
        const glia_rows *rows = glia__runner_rows(&t->runner, i);
        const bool factors = glia__runner_factors(&t->runner, i, &f);
        if (!rows && !factors) continue;
        if (!take_in(t, t->gradients + at, p->offset - at, &square)) return false;
        if (rows && !take_in(t, rows->values, rows->used * rows->width, &square)) return false;
        if (factors && !glia__factors_finite(&f, t->gradients + p->offset, t->runner.threads)) return false;
        at = p->offset + p->elems;
    }
    if (!take_in(t, t->gradients + at, t->model->trained_elems - at, &square)) return false;
    t->norm = sqrt(square);
    return true;
}

glia_status glia_trainer_backward(glia_trainer *t, const float *inputs, const void *targets, int64_t count,
                                  double *loss, glia_error *err) {
    double found = 0;
    t->backward = false;
    GLIA_TRY(check_batch(t, inputs, targets, count, err));
    GLIA_TRY(run_batch(t, GLIA_RUN_TRAIN, inputs, targets, count, &found, err));
    if (loss) *loss = found;
    if (!isfinite(found) || !gradient_is_finite(t)) return not_finite(t, inputs, targets, count, found, err);
    t->backward = true;
    return GLIA_OK;
}

void glia_trainer_set_learning_rate(glia_trainer *t, double rate) {
    t->settings.learning_rate = rate;
}

/* Updates up to `end`; what follows begins there. */
static void update_to(const glia_trainer *t, glia_optimizer_step *step, int64_t end) {
    step->end = end;
    glia__optimizer_run(t->optimizer, *step, t->runner.threads);
    step->begin = end;
}

static bool decays(const glia_trainer *t, const glia_param *p) {
    return t->settings.decay_vectors != GLIA_NO || glia_value_shape(p->value).rank > 1;
}

/* Parameters lie in the order of the block: one stretch for all that follow each other with the same rate and decay. */
static void update_all(const glia_trainer *t, glia_optimizer_step step) {
    glia_optimizer_options settings = t->settings;
    double rate = 1, decay = settings.weight_decay;
    glia_factors f;
    step.options = &settings;
    for (size_t i = 0; i < t->model->n_params; i++) {
        const glia_param *p = &t->model->params[i];
        const double own_decay = decays(t, p) ? t->settings.weight_decay : 0;
        if (p->trained && (p->rate != rate || own_decay != decay)) {
            update_to(t, &step, p->offset);
            rate = p->rate;
            settings.learning_rate = t->settings.learning_rate * rate;
            settings.weight_decay = decay = own_decay;
        }
        const glia_rows *rows = glia__runner_rows(&t->runner, i);
        if (!rows && !glia__runner_factors(&t->runner, i, &f)) continue;
        update_to(t, &step, p->offset);
        step.end = p->offset + p->elems;
        if (rows)
            glia__table_rows_update(rows, t->optimizer, step, t->runner.threads);
        else
            glia__factors_update(&f, t->optimizer, step, t->runner.threads);
        step.begin = step.end;
    }
    update_to(t, &step, t->model->trained_elems);
}

glia_status glia_trainer_update(glia_trainer *t, glia_error *err) {
    if (!t->backward)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "there is no gradient to update with; call "
                              "glia_trainer_backward before each glia_trainer_update");
    glia_optimizer_step step = {.params = t->model->block,
                                .gradients = t->gradients,
                                .moments = {t->moments[0], t->moments[1]},
                                .number = ++t->step,
                                .gradient_scale = glia__clip_scale(&t->settings, t->norm)};
    update_all(t, step);
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
    glia_factors f;
    if (glia__runner_factors(&t->runner, param, &f))
        glia__factors_expand(&f, t->gradients + p->offset, t->runner.threads);
    const glia_rows *rows = glia__runner_rows(&t->runner, param);
    if (rows) glia__table_rows_expand(rows, t->gradients + p->offset);
    return glia_tensor_wrap(t->gradients + p->offset, GLIA_F32, glia_value_shape(p->value));
}

void glia_trainer_reset_states(glia_trainer *t) {
    for (int i = 0; i < 2; i++) glia__carry_reset(&t->runner.carried[i]);
}

glia_tensor glia_trainer_predictions(const glia_trainer *t) {
    if (!t->piece || !t->predictions) return glia__runner_predictions(&t->runner);
    glia_shape shape = glia_value_shape(t->model->output);
    shape.dim[0] = t->count;
    return glia_tensor_wrap(t->predictions, GLIA_F32, shape);
}
