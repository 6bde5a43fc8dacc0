/* rehearsal.c: see rehearsal.h. */

#include "train/rehearsal.h"

#include "train/memory.h"

#include "core/clock.h"
#include "train/optimizer.h"

glia_status glia__rehearsal_plan(glia_rehearsal *r, glia_model *model, const glia_target *target,
                                 const glia_fit_options *options, glia_run_mode mode, int64_t count,
                                 glia_error *err) {
    const glia_optimizer *optimizer;
    glia_optimizer_options settings = options->optimizer;
    glia_loss_head *head = NULL;
    *r = (glia_rehearsal){.mode = mode, .count = count};
    GLIA_TRY(glia__model_ready(model, err));
    if (mode != GLIA_RUN_PREDICT) GLIA_TRY(glia__loss_head(&head, model, options->loss, target, err));
    if (mode == GLIA_RUN_TRAIN) GLIA_TRY(glia__loss_gradients(model, head, err));
    GLIA_TRY(glia__optimizer_resolve(&settings, &optimizer, err));
    r->runner = (glia_runner){.model = model,
                              .head = head,
                              .threads = options->threads,
                              .precision = options->precision,
                              .seed = options->seed,
                              .factors = mode == GLIA_RUN_TRAIN && settings.clip_norm == 0,
                              .rows = mode == GLIA_RUN_TRAIN,
                              .still = optimizer->still && settings.weight_decay == 0};
    const size_t blocks = mode == GLIA_RUN_TRAIN ? 2 + (size_t)optimizer->n_moments : 1;
    r->state_bytes = blocks * (size_t)model->block_elems * sizeof(float);
    return glia__runner_program(&r->runner, mode, count, &r->program, err);
}

/* --- on made-up data -------------------------------------------------------------------------------------- */

static int64_t elems_of_example(const glia_value *value) {
    glia_shape shape = glia_value_shape(value);
    int64_t elems = 1;
    for (int d = 1; d < shape.rank; d++) elems *= shape.dim[d];
    return elems;
}

/* Numbers in [0, 1): they may also stand for whole numbers, which every embedding knows. */
static void make_inputs(glia_rehearsal *r) {
    const glia_random random = {r->runner.seed, glia_random_stream("rehearsal.inputs")};
    for (size_t i = 0; i < r->input_bytes / sizeof(float); i++) r->inputs[i] = glia_random_uniform(random, i);
}

static void make_targets(glia_rehearsal *r) {
    const glia_random random = {r->runner.seed, glia_random_stream("rehearsal.targets")};
    const glia_loss_head *head = r->runner.head;
    const glia_class_layout *layout = &head->layout;
    if (head->n_parts) { /* whatever they are: a class or a number */
        memset(r->targets, 0, r->target_bytes);
        return;
    }
    if (head->target_type.kind == GLIA_TARGET_CLASS)
        for (int64_t i = 0; i < r->count * layout->positions; i++)
            ((int64_t *)r->targets)[i] =
                (int64_t)glia_random_below(random, (uint64_t)i, (uint64_t)GLIA_MAX(layout->units, 2));
    else
        for (int64_t i = 0; i < r->count * elems_of_example(head->prediction); i++)
            ((float *)r->targets)[i] = (float)glia_random_normal(random, (uint64_t)i);
}

/* Weights, gradients and a batch, once. */
static glia_status make_data(glia_rehearsal *r, glia_error *err) {
    glia_model *model = r->runner.model;
    const glia_allocator *allocator = model->allocator;
    if (!glia__model_has_weights(model)) GLIA_TRY(glia_model_initialize(model, r->runner.seed, err));
    if (!r->inputs) {
        r->input_bytes = (size_t)r->count * glia__input_bytes(model);
        r->inputs = glia__alloc_aligned(allocator, r->input_bytes, 64);
        if (r->inputs) make_inputs(r);
    }
    if (!r->targets && r->runner.head) {
        r->target_bytes = (size_t)r->count * glia__target_bytes(r->runner.head);
        r->targets = glia__alloc_aligned(allocator, r->target_bytes, 64);
        if (r->targets) make_targets(r);
    }
    if (!r->gradients && r->mode == GLIA_RUN_TRAIN) {
        r->gradient_bytes = (size_t)model->block_elems * sizeof(float);
        r->runner.gradients = r->gradients = glia__alloc_pages(allocator, r->gradient_bytes);
    }
    if (!r->inputs || (!r->targets && r->runner.head) || (!r->gradients && r->mode == GLIA_RUN_TRAIN))
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for a batch of %lld made-up examples",
                              (long long)r->count);
    return glia__runner_bind(&r->runner, r->mode, r->program, r->inputs, r->targets, r->count, err);
}

glia_status glia__rehearsal_run(glia_rehearsal *r, int64_t runs, glia_error *err) {
    enum { LEAST = 3 };
    const double enough = 2; /* seconds */
    GLIA_TRY(make_data(r, err));
    const double start = glia__now_seconds();
    for (int64_t i = 0; runs ? i < runs : i < LEAST || glia__now_seconds() - start < enough; i++)
        GLIA_TRY(glia_program_run(r->program, (uint64_t)i + 1, err));
    return GLIA_OK;
}

void glia__rehearsal_deinit(glia_rehearsal *r) {
    const glia_allocator *allocator = r->runner.model ? r->runner.model->allocator : NULL;
    glia_program_free(r->program);
    glia__free(allocator, r->inputs, r->input_bytes);
    glia__free(allocator, r->targets, r->target_bytes);
    glia__free(allocator, r->gradients, r->gradient_bytes);
    glia__runner_deinit(&r->runner);
    *r = (glia_rehearsal){.program = NULL};
}
