/* stepper.c: runs the graph of steps (graph/step.h) of a language model, a token or a few at a time. */
#include "train/stepper.h"

/* Tokens of a prompt in one run: as many as products of few rows take, which read the weights where they lie. */
enum { SEVERAL = 8 };

static int64_t tokens_of(int program) {
    return program ? SEVERAL : 1;
}

/* Bytes of one row of a memory that grows, or of another as a whole. */
static size_t part_bytes(const glia_memory *m) {
    const glia_shape *shape = &m->before->type.shape;
    size_t bytes = glia_dtype_bytes(m->before->type.dtype);
    for (int d = m->grows ? 2 : 1; d < shape->rank; d++) bytes *= (size_t)shape->dim[d];
    return bytes;
}

static size_t memory_bytes(const glia_memory *m) {
    const size_t bytes = part_bytes(m) * (m->grows ? (size_t)m->before->type.shape.dim[1] : 1);
    return (bytes + 63) / 64 * 64;
}

static glia_status bind(glia_stepper *s, glia_program *program, glia_error *err) {
    char *at = s->memory;
    for (int i = 0; i < s->steps.n_memories; at += memory_bytes(&s->steps.memories[i++]))
        GLIA_TRY(glia_program_bind(program, s->steps.memories[i].before, at, err));
    GLIA_TRY(glia_program_bind(program, s->steps.input, at, err));
    GLIA_TRY(glia_program_bind(program, s->steps.positions, at + SEVERAL * sizeof(int64_t), err));
    for (size_t i = 0; i < s->model->n_params; i++) {
        const glia_param *p = &s->model->params[i];
        const glia_value *stand_in = s->steps.stand_ins[p->value->id];
        if (stand_in) GLIA_TRY(glia_program_bind(program, stand_in, s->model->block + p->offset, err));
    }
    return GLIA_OK;
}

static glia_status make_program(glia_stepper *s, int which, glia_program_options options, glia_error *err) {
    const glia_steps *steps = &s->steps;
    const size_t bytes = (size_t)(1 + steps->n_memories) * sizeof(glia_value *);
    glia_value **outputs = glia__alloc(s->model->allocator, bytes);
    if (!outputs) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    outputs[0] = steps->output;
    for (int i = 0; i < steps->n_memories; i++) outputs[1 + i] = steps->memories[i].after;
    options.dims[0] = 1;
    options.dims[1] = tokens_of(which);
    options.shares_block = s->programs[0];
    glia_status status =
        glia_program_new(&s->programs[which], steps->graph, outputs, 1 + steps->n_memories, options, err);
    glia__free(s->model->allocator, outputs, bytes);
    return status == GLIA_OK ? bind(s, s->programs[which], err) : status;
}

static glia_status prepare(glia_stepper *s, glia_program_options options, glia_error *err) {
    GLIA_TRY(glia__steps_new(&s->steps, s->model->inputs[0], s->model->output, s->model->allocator, err));
    s->bytes = 2 * SEVERAL * sizeof(int64_t);
    for (int i = 0; i < s->steps.n_memories; i++) s->bytes += memory_bytes(&s->steps.memories[i]);
    s->memory = glia__alloc_aligned(s->model->allocator, s->bytes, 64);
    if (!s->memory) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    memset(s->memory, 0, s->bytes);
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

static void remember(glia_stepper *s, const glia_program *program, int64_t count) {
    char *at = s->memory;
    for (int i = 0; i < s->steps.n_memories; at += memory_bytes(&s->steps.memories[i++])) {
        const glia_memory *m = &s->steps.memories[i];
        const size_t part = part_bytes(m);
        const void *after = glia_program_output(program, m->after).data;
        if (m->grows)
            memcpy(at + (size_t)s->past * part, after, (size_t)count * part);
        else
            memcpy(at, after, part);
    }
}

static glia_status run(glia_stepper *s, int which, const float *tokens, const float **logits,
                       glia_error *err) {
    const int64_t count = tokens_of(which);
    int64_t *positions = (int64_t *)(void *)(s->memory + s->bytes) - SEVERAL, *room = positions - SEVERAL;
    glia_tensor input = glia_tensor_wrap(room, s->steps.input->type.dtype, GLIA_SHAPE(count));
    for (int64_t i = 0; i < count; i++) {
        glia_tensor_set(&input, i, tokens[i]);
        positions[i] = s->past + i;
    }
    GLIA_TRY(glia_program_run(s->programs[which], 0, err));
    remember(s, s->programs[which], count);
    s->past += count;
    const glia_tensor output = glia_program_output(s->programs[which], s->steps.output);
    *logits = (const float *)output.data + (count - 1) * output.shape.dim[2];
    return GLIA_OK;
}

glia_status glia__stepper_take(glia_stepper *s, const float *tokens, int64_t count, const float **logits,
                               glia_error *err) {
    while (count > 0) {
        const int which = count >= SEVERAL;
        GLIA_TRY(run(s, which, tokens, logits, err));
        tokens += tokens_of(which);
        count -= tokens_of(which);
    }
    return GLIA_OK;
}

void glia__stepper_deinit(glia_stepper *s) {
    for (int which = 1; which >= 0; which--) glia_program_free(s->programs[which]);
    glia__steps_deinit(&s->steps);
    if (s->model) glia__free(s->model->allocator, s->memory, s->bytes);
    *s = (glia_stepper){.model = NULL};
}
