/* memory.c: the memory of a training is known before it begins: blocks of the parameters' size, batches gathered ahead, and one
 * block for the programs, which are planned without it. When a limit is given, batches are run in pieces that fit. */

#include "train/memory.h"

#include "train/metrics.h"

static int64_t example_elems(const glia_value *value) {
    const glia_shape shape = glia_value_shape(value);
    int64_t elems = 1;
    for (int i = 1; i < shape.rank; i++) elems *= shape.dim[i];
    return elems;
}

int64_t glia__output_elems(const glia_model *model) {
    return example_elems(model->output);
}

size_t glia__input_bytes(const glia_model *model) {
    int64_t elems = 0;
    for (int i = 0; i < model->n_inputs; i++) elems += example_elems(model->inputs[i]);
    return (size_t)elems * sizeof(float);
}

size_t glia__target_bytes(const glia_loss_head *head) {
    const size_t size = head->target_type.kind == GLIA_TARGET_CLASS ? sizeof(int64_t) : sizeof(float);
    return (size_t)glia_shape_elems(&head->target_type.shape) * size;
}

/* --- programs ---------------------------------------------------------------------------------------------- */

enum { KERNEL_BYTES = 1024 /* about what the state of a kernel takes */ };

/* Adds what programs for `count` examples need, in pieces of at most `piece`. */
static glia_status plan_count(glia_runner *r, glia_run_mode mode, int64_t count, int64_t piece, size_t *block,
                              size_t *plans, glia_error *err) {
    const int64_t sizes[] = {GLIA_MIN(piece, count), count > piece ? count % piece : 0};
    for (int i = 0; i < 2; i++) {
        glia_program_info info;
        if (!sizes[i]) continue;
        GLIA_TRY(glia__runner_plan(r, mode, sizes[i], &info, err));
        *block = GLIA_MAX(*block, info.block_bytes);
        *plans += info.plan_bytes + (size_t)info.calls * KERNEL_BYTES;
    }
    return GLIA_OK;
}

/* All batches of an epoch: whole ones and the last, smaller one. */
static glia_status plan_epoch(glia_runner *r, glia_run_mode mode, int64_t examples, int64_t batch,
                              int64_t piece, size_t *block, size_t *plans, glia_error *err) {
    *block = 0;
    if (examples >= batch) GLIA_TRY(plan_count(r, mode, batch, piece, block, plans, err));
    if (examples % batch) GLIA_TRY(plan_count(r, mode, examples % batch, piece, block, plans, err));
    return GLIA_OK;
}

static int64_t count_of(const glia_dataset *data, int64_t otherwise) {
    return data ? glia_dataset_get_info(data)->count : otherwise;
}

/* --- everything --------------------------------------------------------------------------------------------- */

/* Two batches, one in use and one to come, and the order of the examples. */
static size_t loader_bytes(const glia_runner *r, const glia_dataset *data, int64_t batch) {
    const int64_t count = count_of(data, 0);
    const size_t weight = r->head->weights ? sizeof(float) : 0;
    const size_t example = glia__input_bytes(r->model) + glia__target_bytes(r->head) + weight;
    return data ? 2 * (size_t)GLIA_MIN(batch, count) * example + (size_t)count * sizeof(int64_t) : 0;
}

static void add_up(glia_fit_memory *m) {
    m->total = m->weights + m->gradients + m->batches + m->block + m->others;
}

/* `blocks`: of training and of evaluation, of which the larger counts. */
static glia_status add_parts(glia_runner *r, const glia_memory_use *use, glia_fit_memory *m, size_t blocks[2],
                             glia_error *err) {
    const glia_model *model = r->model;
    const size_t weights = (size_t)model->block_elems * sizeof(float);
    const size_t metrics = glia__metrics_bytes(r->head->target_type.classes);
    const bool pieces = m->piece < use->batch_size;
    const int moments = use->optimizer ? use->optimizer->n_moments : 0;
    m->weights = weights * (size_t)(1 + use->copies);
    m->gradients = use->optimizer ? weights * (size_t)(1 + moments + pieces) +
                                        glia__runner_factor_bytes(r, use->batch_size) +
                                        glia__runner_row_bytes(r, use->batch_size)
                                  : 0;
    m->batches = loader_bytes(r, use->train, use->batch_size) +
                 loader_bytes(r, use->validation, m->validation_piece) +
                 (pieces ? (size_t)(use->batch_size * glia__output_elems(model)) * sizeof(float) : 0);
    m->others = glia__arena_bytes(&model->arena) + glia__arena_bytes(&model->graph->arena) + 2 * metrics;
    blocks[0] = blocks[1] = 0;
    if (use->optimizer)
        GLIA_TRY(plan_epoch(r, GLIA_RUN_TRAIN, count_of(use->train, use->batch_size), use->batch_size,
                            m->piece, &blocks[0], &m->others, err));
    if (use->validation)
        GLIA_TRY(plan_epoch(r, GLIA_RUN_LOSS, count_of(use->validation, 0), m->validation_piece,
                            m->validation_piece, &blocks[1], &m->others, err));
    m->block = GLIA_MAX(blocks[0], blocks[1]);
    add_up(m);
    return GLIA_OK;
}

/* What is needed with the pieces of `m`, whose gradients are added up and stay neither factors nor rows. */
static glia_status measure(glia_runner *r, const glia_memory_use *use, glia_fit_memory *m, size_t blocks[2],
                           glia_error *err) {
    const bool factors = r->factors, rows = r->rows, whole = m->piece == use->batch_size;
    r->factors = factors && whole;
    r->rows = rows && whole;
    glia_status status = add_parts(r, use, m, blocks, err);
    r->factors = factors;
    r->rows = rows;
    return status;
}

/* --- the limit ----------------------------------------------------------------------------------------------- */

/* State that follows from the whole batch, such as running statistics, or a table of which a step updates the rows of the whole
 * batch; NULL: none. */
static const glia_param *state_of_batch(const glia_model *model) {
    for (size_t i = 0; i < model->n_params; i++)
        if (model->params[i].update) return &model->params[i];
    return glia__model_sparse(model);
}

static glia_status refuse(const glia_runner *r, const glia_memory_use *use, const glia_fit_memory *m,
                          glia_error *err) {
    const glia_param *state = use->optimizer ? state_of_batch(r->model) : NULL;
    char why[200];
    if (state && m->piece > 1)
        snprintf(why, sizeof why,
                 "'%.60s' follows from whole batches, which are not cut for that: choose a smaller "
                 "batch_size or a "
                 "higher limit",
                 glia_value_name(state->value));
    else
        snprintf(why, sizeof why,
                 "even with one example at a time: choose a higher limit, a smaller %s or network",
                 use->optimizer ? "batch_size, an optimizer with fewer moments," : "batch_size");
    return glia_error_set(
        err, GLIA_OUT_OF_MEMORY,
        "%s needs at least %.1f MB (weights %.1f, gradients and optimizer %.1f, batches %.1f, "
        "activations %.1f, others %.1f), but memory_limit is %.1f MB; %s",
        use->optimizer ? "training" : "evaluation", (double)m->total / 1e6, (double)m->weights / 1e6,
        (double)m->gradients / 1e6, (double)m->batches / 1e6, (double)m->block / 1e6, (double)m->others / 1e6,
        (double)use->limit / 1e6, why);
}

/* Halves the pieces of what needs more; false when there is nothing left to halve. */
static bool halve(const glia_runner *r, const glia_memory_use *use, const size_t blocks[2],
                  glia_fit_memory *m) {
    const bool training = use->optimizer && m->piece > 1 && !state_of_batch(r->model);
    const bool validation = use->validation && m->validation_piece > 1;
    if (!training && !validation) return false;
    int64_t *piece = training && (!validation || blocks[0] >= blocks[1]) ? &m->piece : &m->validation_piece;
    *piece = (*piece + 1) / 2;
    return true;
}

glia_status glia__memory_plan(glia_runner *r, const glia_memory_use *use, glia_fit_memory *m,
                              glia_error *err) {
    size_t blocks[2];
    *m = (glia_fit_memory){.piece = use->batch_size,
                           .validation_piece = GLIA_MIN(use->validation_batch, count_of(use->validation, 1))};
    GLIA_TRY(measure(r, use, m, blocks, err));
    while (use->limit && m->total > (size_t)use->limit) {
        if (!halve(r, use, blocks, m)) return refuse(r, use, m, err);
        GLIA_TRY(measure(r, use, m, blocks, err));
    }
    return GLIA_OK;
}
