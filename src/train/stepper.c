/* stepper.c: runs the graph of steps (graph/step.h) of a language model, a token or a few at a time. */
#include "train/stepper.h"

static int64_t tokens_of(int program) {
    return program ? GLIA_STEPPER_SEVERAL : 1;
}

static glia_status bind(glia_stepper *s, glia_program *program, glia_error *err) {
    GLIA_TRY(glia__carry_bind(&s->carry, &s->steps.memories, program, 0, false, err));
    GLIA_TRY(glia_program_bind(program, s->steps.input, s->tokens, err));
    GLIA_TRY(glia_program_bind(program, s->steps.positions, s->positions, err));
    for (size_t i = 0; i < s->model->n_params; i++) {
        const glia_param *p = &s->model->params[i];
        const glia_value *stand_in = s->steps.stand_ins[p->value->id];
        if (stand_in) GLIA_TRY(glia_program_bind(program, stand_in, s->model->block + p->offset, err));
    }
    return GLIA_OK;
}

static glia_status make_program(glia_stepper *s, int which, glia_program_options options, glia_error *err) {
    const glia_steps *steps = &s->steps;
    const int count = 1 + (int)steps->memories.count;
    const size_t bytes = (size_t)count * sizeof(glia_value *);
    glia_value **outputs = glia__alloc(s->model->allocator, bytes);
    if (!outputs) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    outputs[0] = steps->output;
    for (int i = 1; i < count; i++) outputs[i] = steps->memories.list[i - 1].after;
    options.dims[0] = 1;
    options.dims[1] = tokens_of(which);
    options.shares_block = s->programs[0];
    glia_status status = glia_program_new(&s->programs[which], steps->graph, outputs, count, options, err);
    glia__free(s->model->allocator, outputs, bytes);
    return status == GLIA_OK ? bind(s, s->programs[which], err) : status;
}

static glia_status prepare(glia_stepper *s, glia_program_options options, glia_error *err) {
    const glia_model *m = s->model;
    GLIA_TRY(glia__steps_new(&s->steps, m->inputs[0], m->output, &m->carried, m->allocator, err));
    GLIA_TRY(glia__carry_reserve(&s->carry, &s->steps.memories, 1, m->allocator, err));
    for (int which = 0; which < 2; which++) GLIA_TRY(make_program(s, which, options, err));
    return GLIA_OK;
}

glia_status glia__stepper_new(glia_stepper *s, const glia_model *model, int threads, glia_precision precision,
                              glia_error *err) {
    *s = (glia_stepper){.model = model};
    glia_status status = prepare(s,
                                 (glia_program_options){.threads = threads,
                                                        .precision = precision,
                                                        .fixed_params = GLIA_YES,
                                                        .allocator = model->allocator},
                                 err);
    if (status != GLIA_OK) glia__stepper_deinit(s);
    return status;
}

static glia_status run(glia_stepper *s, int which, const float *tokens, const float **logits,
                       glia_error *err) {
    const int64_t count = tokens_of(which);
    glia_tensor input = glia_tensor_wrap(s->tokens, s->steps.input->type.dtype, GLIA_SHAPE(count));
    for (int64_t i = 0; i < count; i++) {
        glia_tensor_set(&input, i, tokens[i]);
        s->positions[i] = s->carry.past + i;
    }
    GLIA_TRY(glia_program_run(s->programs[which], 0, err));
    glia__carry_keep(&s->carry, &s->steps.memories, s->programs[which], 0, 1, count);
    s->carry.past += count;
    const glia_tensor output = glia_program_output(s->programs[which], s->steps.output);
    *logits = (const float *)output.data + (count - 1) * output.shape.dim[2];
    return GLIA_OK;
}

glia_status glia__stepper_take(glia_stepper *s, const float *tokens, int64_t count, const float **logits,
                               glia_error *err) {
    while (count > 0) {
        const int which = count >= GLIA_STEPPER_SEVERAL;
        GLIA_TRY(run(s, which, tokens, logits, err));
        tokens += tokens_of(which);
        count -= tokens_of(which);
    }
    return GLIA_OK;
}

void glia__stepper_deinit(glia_stepper *s) {
    for (int which = 1; which >= 0; which--) glia_program_free(s->programs[which]);
    glia__steps_deinit(&s->steps);
    glia__carry_free(&s->carry);
    *s = (glia_stepper){.model = NULL};
}
