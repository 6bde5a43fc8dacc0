/* runner.c: programs of a model by batch size and purpose. */

#include "train/runner.h"

#include <math.h>

#include "train/runner_rows.h"
#include "train/several.h"

/* What a training run computes for a parameter: its gradient, or for state its new value (NULL: none). */
static glia_value *computed_for(const glia_runner *r, size_t param) {
    const glia_param *p = &r->model->params[param];
    return p->trained ? r->head->gradients[param] : p->update;
}

/* --- gradients that stay factors ---------------------------------------------------------------------------- */

/* The node that makes the gradient of `param` as a product with its sums, when it is large. */
static const glia_node *outer_of(const glia_runner *r, size_t param) {
    enum { LARGE = 1 << 20 }; /* elements: 4 MB. Smaller ones stay in a cache until they are read */
    const glia_value *gradient = r->model->params[param].trained ? r->head->gradients[param] : NULL;
    const glia_node *node = gradient ? gradient->node : NULL;
    const bool outer = node && node->op->traits & GLIA_TRAIT_OUTER && node->inputs[0]->type.shape.rank == 2;
    return outer && glia_shape_elems(&node->outputs[0].type.shape) >= LARGE ? node : NULL;
}

/* Values that the program is to give: neither twice nor, as sources and predictions are, in other ways. */
static bool may_be_factors(const glia_runner *r, size_t param, const glia_node *node, int64_t count) {
    for (int i = 0; i < 2; i++)
        if (!node->inputs[i]->node || node->inputs[i] == r->head->prediction ||
            glia__runner_row_value(r, node->inputs[i], count))
            return false;
    for (size_t p = 0; p < param; p++) {
        const glia_node *other = outer_of(r, p);
        for (int i = 0; other && other != node && i < 4; i++)
            if (other->inputs[i / 2] == node->inputs[i % 2]) return false;
    }
    return true;
}

/* The node whose inputs stand for the gradient of `param`: as factors, or as rows to be added up (a bias). */
static const glia_node *factored(const glia_runner *r, size_t param, int64_t count) {
    if (!r->factors || count > GLIA_FACTOR_ROWS) return NULL;
    const glia_node *node = outer_of(r, param);
    for (size_t p = 0; node && p < r->model->n_params; p++) /* somebody wants the product */
        if (r->model->params[p].trained && r->head->gradients[p] == &node->outputs[0])
            return may_be_factors(r, p, node, count) ? node : NULL;
    return NULL;
}

static bool is_product(const glia_runner *r, size_t param, const glia_node *node) {
    return node && r->head->gradients[param] == &node->outputs[0];
}

/* Floats of the factors of one gradient: each begins on a cache line. */
static int64_t factor_floats(const glia_node *node, int input) {
    const int64_t columns = node->outputs[0].type.shape.dim[input ? 0 : 1];
    return (GLIA_FACTOR_ROWS * columns + 15) / 16 * 16;
}

size_t glia__runner_factor_bytes(const glia_runner *r, int64_t count) {
    int64_t floats = 0;
    for (size_t p = 0; p < r->model->n_params; p++) {
        const glia_node *node = factored(r, p, count);
        if (is_product(r, p, node)) floats += factor_floats(node, 0) + factor_floats(node, 1);
    }
    return (size_t)floats * sizeof(float);
}

/* Where input `input` of the node goes; the factors lie in the order of the parameters. */
static float *factor_place(const glia_runner *r, const glia_node *node, int input, int64_t count) {
    float *place = r->factor_memory;
    for (size_t p = 0; p < r->model->n_params; p++) {
        const glia_node *other = factored(r, p, count);
        if (!is_product(r, p, other)) continue;
        if (other == node) break;
        place += factor_floats(other, 0) + factor_floats(other, 1);
    }
    return input ? place + factor_floats(node, 0) : place;
}

static glia_status bind_factors(glia_runner *r, const glia_node *node, int64_t count, glia_program *program,
                                glia_error *err) {
    if (!r->factor_memory) {
        const size_t bytes = glia__runner_factor_bytes(r, count);
        r->factor_memory = glia__alloc_aligned(r->model->allocator, bytes, 64);
        if (!r->factor_memory) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
        r->factor_bytes = bytes;
    }
    for (int i = 0; i < 2; i++)
        GLIA_TRY(glia_program_bind(program, node->inputs[i], factor_place(r, node, i, count), err));
    return GLIA_OK;
}

bool glia__runner_factors(const glia_runner *r, size_t param, glia_factors *f) {
    const glia_node *node = factored(r, param, r->trained_count);
    if (!is_product(r, param, node) || !r->factor_memory) return false;
    const glia_shape *product = &node->outputs[0].type.shape;
    *f = (glia_factors){.x = factor_place(r, node, 0, r->trained_count),
                        .dy = factor_place(r, node, 1, r->trained_count),
                        .rows = r->trained_count,
                        .in = product->dim[1],
                        .out = product->dim[0]};
    return true;
}

/* Gradients of biases beside such products. */
static void add_up_biases(const glia_runner *r, int64_t count) {
    for (size_t p = 0; p < r->model->n_params; p++) {
        const glia_node *node = factored(r, p, count);
        if (!node || is_product(r, p, node)) continue;
        const glia_factors f = {
            .dy = factor_place(r, node, 1, count), .rows = count, .out = r->model->params[p].elems};
        glia__factors_sum(&f, r->gradients + r->model->params[p].offset);
    }
}

/* --- programs ------------------------------------------------------------------------------------------------ */

/* All programs of a runner share one block, since one runs at a time. */
static const glia_program *any_program(const glia_runner *r) {
    for (int i = 0; i < GLIA_RUNNER_PROGRAMS; i++)
        if (r->programs[i].program) return r->programs[i].program;
    return NULL;
}

/* What a program is made for beside its mode. */
typedef enum program_use { FOR_BATCHES, TO_CHECK, TO_PLAN, TO_PROFILE } program_use;

/* Tables may have readings in common. What the batch gives needs no place. */
static void add_once(glia_value **outputs, int from, int *count, glia_value *value) {
    for (int i = from; i < *count; i++)
        if (outputs[i] == value) return;
    if (value->node) outputs[(*count)++] = value;
}

static glia_status make_program(glia_runner *r, glia_run_mode mode, int64_t count, program_use use,
                                glia_program **out, glia_error *err) {
    glia_model *model = r->model;
    const glia_node *parts[GLIA_ROW_PARTS];
    size_t most = 2 + (r->head ? (size_t)r->head->n_parts : 0) + model->carried.count +
                  2 * (1 + GLIA_ROW_PARTS) * model->n_params;
    int n = 1;
    glia_value **outputs = glia__alloc(model->allocator, most * sizeof *outputs);
    if (!outputs) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    outputs[0] = r->head ? r->head->prediction : model->output;
    if (mode != GLIA_RUN_PREDICT) outputs[n++] = r->head->value;
    for (size_t i = 0; i < model->carried.count; i++) add_once(outputs, 0, &n, model->carried.list[i].after);
    for (int i = 0; mode == GLIA_RUN_LOSS && i < r->head->n_parts; i++)
        add_once(outputs, 1, &n, r->head->parts[i].value);
    const int own = n;
    for (size_t i = 0; i < model->n_params && mode == GLIA_RUN_TRAIN; i++) {
        const glia_node *node = factored(r, i, count);
        for (int k = 0; k < 2 && is_product(r, i, node); k++) outputs[n++] = node->inputs[k];
        const int n_parts = glia__runner_row_parts(r, i, count, parts);
        for (int k = 0; k < 2 * n_parts; k++) add_once(outputs, own, &n, parts[k / 2]->inputs[1 + k % 2]);
        if (!node && !n_parts && computed_for(r, i)) outputs[n++] = computed_for(r, i);
    }
    glia_program_options options = {.dims = {count},
                                    .threads = r->threads,
                                    .precision = r->precision,
                                    .training = mode == GLIA_RUN_TRAIN ? GLIA_YES : GLIA_NO,
                                    .fixed_params = mode == GLIA_RUN_TRAIN ? GLIA_NO : GLIA_YES,
                                    .check_finite = use == TO_CHECK ? GLIA_YES : GLIA_NO,
                                    .plan_only = use == TO_PLAN ? GLIA_YES : GLIA_NO,
                                    .profile = use == TO_PROFILE ? GLIA_YES : GLIA_NO,
                                    .seed = r->seed,
                                    .bound_outputs = n - own,
                                    .shares_block = any_program(r),
                                    .allocator = model->allocator};
    glia_status status = glia_program_new(out, model->graph, outputs, n, options, err);
    glia__free(model->allocator, outputs, most * sizeof *outputs);
    return status;
}

static glia_status bind_params(glia_runner *r, glia_run_mode mode, int64_t count, glia_program *program,
                               glia_error *err) {
    for (size_t i = 0; i < r->model->n_params; i++) {
        const glia_param *p = &r->model->params[i];
        GLIA_TRY(glia_program_bind(program, p->value, r->model->block + p->offset, err));
        if (mode != GLIA_RUN_TRAIN) continue;
        const glia_node *node = factored(r, i, count);
        const glia_node *parts[GLIA_ROW_PARTS];
        const bool rows = glia__runner_row_parts(r, i, count, parts) > 0;
        if (is_product(r, i, node)) GLIA_TRY(bind_factors(r, node, count, program, err));
        if (rows) GLIA_TRY(glia__runner_bind_rows(r, i, count, program, err));
        if (!node && !rows && computed_for(r, i))
            GLIA_TRY(glia_program_bind(program, computed_for(r, i), r->gradients + p->offset, err));
    }
    return GLIA_OK;
}

/* The program for `count` examples: one that is there, or a new one in the oldest one's place. */
static glia_status get_program(glia_runner *r, glia_run_mode mode, int64_t count, glia_program **out,
                               glia_error *err) {
    int slot = -1;
    for (int i = 0; i < GLIA_RUNNER_PROGRAMS; i++)
        if (r->programs[i].program && r->programs[i].mode == mode && r->programs[i].count == count) slot = i;
    if (slot < 0) {
        glia_program *program;
        GLIA_TRY(make_program(r, mode, count, FOR_BATCHES, &program, err));
        slot = r->next;
        r->next = (r->next + 1) % GLIA_RUNNER_PROGRAMS;
        if (r->last == r->programs[slot].program) r->last = NULL;
        glia_program_free(r->programs[slot].program);
        r->programs[slot].program = program;
        r->programs[slot].mode = mode;
        r->programs[slot].count = count;
        r->programs[slot].bound = NULL;
    }
    *out = r->programs[slot].program;
    if (r->programs[slot].bound == r->model->block && r->model->block) return GLIA_OK;
    GLIA_TRY(bind_params(r, mode, count, *out, err));
    r->programs[slot].bound = r->model->block;
    return GLIA_OK;
}

glia_status glia__runner_reserve(glia_runner *r, size_t bytes, glia_error *err) {
    if (bytes <= r->whole_bytes) return GLIA_OK;
    void *whole = glia__alloc_aligned(r->model->allocator, bytes, 64);
    if (!whole) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for a batch");
    glia__free(r->model->allocator, r->whole, r->whole_bytes);
    r->whole = whole;
    r->whole_bytes = bytes;
    return GLIA_OK;
}

/* The batch in the dtype of the model's input: as it is, or as whole numbers. */
static glia_status convert_inputs(glia_runner *r, const float *inputs, int64_t count, const void **out,
                                  glia_error *err) {
    glia_value *input = glia_model_input(r->model, 0);
    glia_dtype dtype = glia_value_dtype(input);
    glia_shape shape = glia_value_shape(input);
    *out = inputs;
    if (dtype == GLIA_F32) return GLIA_OK;
    if (dtype != GLIA_I64 && dtype != GLIA_I32)
        return glia_error_set(err, GLIA_UNSUPPORTED, "input '%s' is %s; batches can be f32, i64 or i32",
                              glia_value_name(input), glia_dtype_name(dtype));
    shape.dim[0] = count;
    int64_t n = glia_shape_elems(&shape);
    size_t bytes = (size_t)n * glia_dtype_bytes(dtype);
    GLIA_TRY(glia__runner_reserve(r, bytes, err));
    for (int64_t i = 0; i < n; i++)
        if (dtype == GLIA_I64)
            ((int64_t *)r->whole)[i] = llrintf(inputs[i]);
        else
            ((int32_t *)r->whole)[i] = (int32_t)llrintf(inputs[i]);
    *out = r->whole;
    return GLIA_OK;
}

/* A program reads its inputs only. */
static glia_status bind_batch(glia_runner *r, glia_program *program, const float *inputs, const void *targets,
                              int64_t count, glia_error *err) {
    const void *converted;
    if (r->model->n_parts) return glia__several_bind(r, program, inputs, targets, count, err);
    GLIA_TRY(convert_inputs(r, inputs, count, &converted, err));
    GLIA_TRY(glia_program_bind(program, glia_model_input(r->model, 0), (void *)(uintptr_t)converted, err));
    if (!targets) return GLIA_OK;
    if (r->head->weights)
        GLIA_TRY(glia_program_bind(program, r->head->weights, (void *)(uintptr_t)r->weights, err));
    return glia_program_bind(program, r->head->target, (void *)(uintptr_t)targets, err);
}

static glia_carry *carry_of(glia_runner *r, glia_run_mode mode) {
    return &r->carried[mode != GLIA_RUN_TRAIN];
}

/* A batch, or with `again` the last one once more, begins with what the one before ended with. */
static glia_status bind_states(glia_runner *r, glia_run_mode mode, glia_program *program, int64_t count,
                               bool again, glia_error *err) {
    glia_carry *c = carry_of(r, mode);
    const glia_memories *states = &r->model->carried;
    if (!states->count) return GLIA_OK;
    GLIA_TRY(glia__carry_reserve(c, states, r->first_example + count, r->model->allocator, err));
    if (!r->first_example && !again) GLIA_TRY(glia__carry_mark(c, err));
    return glia__carry_bind(c, states, program, r->first_example, again, err);
}

glia_status glia__runner_run(glia_runner *r, glia_run_mode mode, const float *inputs, const void *targets,
                             int64_t count, int64_t step, double *loss, glia_error *err) {
    glia_program *program;
    GLIA_TRY(get_program(r, mode, count, &program, err));
    GLIA_TRY(bind_batch(r, program, inputs, mode == GLIA_RUN_PREDICT ? NULL : targets, count, err));
    GLIA_TRY(bind_states(r, mode, program, count, false, err));
    glia_program_set_first(program, r->first_example);
    GLIA_TRY(glia_program_run(program, (uint64_t)step, err));
    glia__carry_keep(carry_of(r, mode), &r->model->carried, program, r->first_example, count, 0);
    r->last = program;
    if (mode == GLIA_RUN_TRAIN) {
        r->trained_count = count;
        add_up_biases(r, count);
        glia__runner_collect_rows(r, count);
    }
    if (loss && mode != GLIA_RUN_PREDICT) {
        glia_tensor value = glia_program_output(program, r->head->value);
        *loss = glia_tensor_get(&value, 0);
    }
    return GLIA_OK;
}

glia_status glia__runner_program(glia_runner *r, glia_run_mode mode, int64_t count, glia_program **out,
                                 glia_error *err) {
    return make_program(r, mode, count, TO_PROFILE, out, err);
}

glia_status glia__runner_bind(glia_runner *r, glia_run_mode mode, glia_program *program, const float *inputs,
                              const void *targets, int64_t count, glia_error *err) {
    GLIA_TRY(bind_params(r, mode, count, program, err));
    GLIA_TRY(bind_states(r, mode, program, count, true, err));
    return bind_batch(r, program, inputs, mode == GLIA_RUN_PREDICT ? NULL : targets, count, err);
}

glia_status glia__runner_find_bad_node(glia_runner *r, const float *inputs, const void *targets,
                                       int64_t count, int64_t step, glia_error *err) {
    glia_program *program;
    GLIA_TRY(make_program(r, GLIA_RUN_TRAIN, count, TO_CHECK, &program, err));
    glia_status status = glia__runner_bind(r, GLIA_RUN_TRAIN, program, inputs, targets, count, err);
    glia_program_set_first(program, r->first_example);
    if (status == GLIA_OK) status = glia_program_run(program, (uint64_t)step, err);
    glia_program_free(program);
    if (status != GLIA_OK) return status;
    return glia_error_set(err, GLIA_NOT_FINITE, "a sum of gradients became NaN or infinite");
}

void glia__runner_params_changed(glia_runner *r) {
    for (int i = 0; i < GLIA_RUNNER_PROGRAMS; i++) r->programs[i].bound = NULL;
}

glia_tensor glia__runner_predictions(const glia_runner *r) {
    if (!r->last) return (glia_tensor){0};
    return glia_program_output(r->last, r->head ? r->head->prediction : r->model->output);
}

double glia__runner_part_loss(const glia_runner *r, int part) {
    const glia_tensor value = glia_program_output(r->last, r->head->parts[part].value);
    return glia_tensor_get(&value, 0);
}

glia_status glia__runner_plan(glia_runner *r, glia_run_mode mode, int64_t count, glia_program_info *info,
                              glia_error *err) {
    glia_program *program;
    GLIA_TRY(make_program(r, mode, count, TO_PLAN, &program, err));
    *info = glia_program_get_info(program);
    glia_program_free(program);
    return GLIA_OK;
}

void glia__runner_reset_states(glia_runner *r) {
    glia__carry_reset(carry_of(r, GLIA_RUN_PREDICT));
}

void glia__runner_deinit(glia_runner *r) {
    for (int i = 0; i < GLIA_RUNNER_PROGRAMS; i++) glia_program_free(r->programs[i].program);
    if (r->model) {
        glia__free(r->model->allocator, r->whole, r->whole_bytes);
        glia__free(r->model->allocator, r->factor_memory, r->factor_bytes);
        glia__runner_free_rows(r);
        for (int i = 0; i < 2; i++) glia__carry_free(&r->carried[i]);
    }
    *r = (glia_runner){.model = NULL};
}
