/* program.c: the life of a program: planned, bound, run, printed, freed. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/threads.h"
#include "exec/program.h"
#include "passes/pass.h"

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while planning the program");
}

/* The graph through the passes. Checks of every node, and reference runs, want the nodes as they are. */
static glia_status rewrite(glia_program *program, glia_value *const *outputs, int count, glia_error *err) {
    const glia_program_options *o = &program->options;
    glia_pass_options options = {.training = o->training == GLIA_YES,
                                 .bf16 = o->precision == GLIA_PRECISION_BF16,
                                 .fixed_params = o->fixed_params == GLIA_YES,
                                 .threads = o->threads,
                                 .allocator = program->allocator};
    memcpy(options.dims, o->dims, sizeof options.dims);
    program->n_user_values = program->user_graph->n_values;
    program->stand_ins =
        glia__arena_alloc(&program->arena, (program->n_user_values + 1) * sizeof(glia_value *));
    if (!program->stand_ins) return out_of_memory(err);
    bool plain = o->reference == GLIA_YES || o->check_finite == GLIA_YES;
    return glia__rewrite_all(&program->graph, program->stand_ins, program->n_user_values, program->user_graph,
                             outputs, count, &options, plain, err);
}

/* Whether the buffer may simply be moved to the caller's memory: no other output lies in it. */
static bool may_move(const glia_program *program, const glia_planned_output *output) {
    if (program->buffers[output->buffer].source) return false;
    for (int i = 0; i < program->n_outputs; i++)
        if (&program->outputs[i] != output && program->outputs[i].buffer == output->buffer) return false;
    return true;
}

/* Outputs that the caller will give memory for need none in the block. */
static void leave_out_bound(glia_program *program) {
    for (int i = GLIA_MAX(program->n_outputs - program->options.bound_outputs, 0); i < program->n_outputs;
         i++) {
        glia_planned_output *output = &program->outputs[i];
        output->outside = may_move(program, output);
        if (output->outside) program->buffers[output->buffer].place = GLIA_PLACE_BOUND;
    }
}

static glia_status build(glia_program *program, glia_value *const *outputs, int count, glia_error *err) {
    program->worker_errors =
        glia__arena_alloc(&program->arena, (size_t)program->options.threads * sizeof(glia_error));
    if (!program->worker_errors) return out_of_memory(err);
    GLIA_TRY(rewrite(program, outputs, count, err));
    GLIA_TRY(glia__program_plan(program, outputs, count, err));
    leave_out_bound(program);
    GLIA_TRY(glia__program_segment(program, err));
    return glia__program_place(program, err);
}

glia_status glia_program_new(glia_program **out, const glia_graph *graph, glia_value *const *outputs,
                             int count, glia_program_options options, glia_error *err) {
    *out = NULL;
    GLIA_TRY(glia_graph_status(graph, err));
    for (int i = 0; i < count; i++)
        if (!outputs[i] || outputs[i]->graph != graph)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT, "output %d is not a value of this graph", i);
    glia_program *program = glia__calloc(options.allocator, 1, sizeof *program);
    if (!program) return out_of_memory(err);
    glia__arena_init(&program->arena, options.allocator);
    if (options.threads <= 0) options.threads = glia__thread_cores();
    options.threads = GLIA_MIN(options.threads, GLIA_MOST_THREADS);
    program->allocator = options.allocator;
    program->user_graph = graph;
    program->options = options;
    program->trace = getenv("GLIA_TRACE") && *getenv("GLIA_TRACE") == '1';
    program->profile = program->trace || options.profile == GLIA_YES;
    glia_status status = build(program, outputs, count, err);
    if (status != GLIA_OK) {
        glia_program_free(program);
        return status;
    }
    *out = program;
    return GLIA_OK;
}

static void free_states(const glia_program *program, const glia_segment *s) {
    for (int64_t c = s->first; c < s->end; c++) {
        const glia_planned_call *call = &program->calls[c];
        for (int i = 0; i < 2 * s->workers && call->states; i++)
            if (call->states[i] && call->kernels[i % 2]->fini) call->kernels[i % 2]->fini(call->states[i]);
    }
}

void glia_program_free(glia_program *program) {
    if (!program) return;
    if (program->trace && program->runs) glia_program_print(program, stderr);
    const glia_allocator *allocator = program->allocator;
    for (int64_t i = 0; i < program->n_segments; i++) free_states(program, &program->segments[i]);
    glia__block_release(program);
    glia_graph_free(program->graph);
    glia__arena_free(&program->arena);
    glia__free(allocator, program, sizeof *program);
}

static glia_planned_output *find_output(const glia_program *program, const glia_value *value) {
    for (int i = 0; i < program->n_outputs; i++)
        if (program->outputs[i].value == value) return &program->outputs[i];
    return NULL;
}

glia_status glia_program_bind(glia_program *program, const glia_value *value, void *data, glia_error *err) {
    if (!value || value->graph != program->user_graph)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "the value to bind is not of this program's graph");
    bool is_source = value->kind == GLIA_VALUE_INPUT || value->kind == GLIA_VALUE_PARAM;
    const glia_value *here =
        value->id < (int64_t)program->n_user_values ? program->stand_ins[value->id] : NULL;
    int buffer = here ? program->buffer_of[here->id] : -1;
    if (is_source) {
        if (buffer < 0) return GLIA_OK; /* nothing in this program depends on it */
        program->buffers[buffer].address = data;
        program->resolved = false;
        if (value->kind == GLIA_VALUE_PARAM) program->packed = false;
        return GLIA_OK;
    }
    glia_planned_output *output = find_output(program, value);
    if (!output)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "'%s' is neither an input, a parameter nor an output of the program",
                              value->name);
    if (may_move(program, output)) {
        program->buffers[buffer].place = data || output->outside ? GLIA_PLACE_BOUND : GLIA_PLACE_BLOCK;
        program->buffers[buffer].address = data;
    } else {
        output->copy_to = data;
    }
    program->resolved = false;
    return GLIA_OK;
}

/* The input, parameter or output that lies in a buffer outside the block. */
static const char *bound_name(const glia_program *program, int buffer) {
    const glia_value *value = program->buffers[buffer].source;
    for (int i = 0; i < program->n_outputs && !value; i++)
        if (program->outputs[i].buffer == buffer) value = program->outputs[i].value;
    return glia_value_name(value);
}

/* Writes addresses to every view, once after each change of bindings or of the block's place. */
static glia_status resolve(glia_program *program, glia_error *err) {
    program->block = program->memory->data;
    for (int i = 0; i < program->n_buffers; i++) {
        const glia_buffer *buffer = &program->buffers[i];
        if (buffer->place == GLIA_PLACE_BOUND && !buffer->address && buffer->bytes && buffer->last >= 0)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT, "'%s' is not bound to data",
                                  bound_name(program, i));
    }
    for (int64_t c = 0; c < program->n_calls; c++) {
        glia_planned_call *call = &program->calls[c];
        for (int i = 0; i < call->node->n_inputs + call->node->n_outputs; i++)
            call->views[i].data = glia__buffer_address(program, call->buffers[i]);
    }
    program->resolved = true;
    return GLIA_OK;
}

/* --- running -------------------------------------------------------------------------------------------- */

static int64_t first_not_finite(const glia_view *view) {
    if (view->dtype != GLIA_F32 && view->dtype != GLIA_F64) return -1;
    glia_tensor tensor = glia_tensor_wrap(view->data, view->dtype, view->shape);
    int64_t n = glia_shape_elems(&view->shape);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(glia_tensor_get(&tensor, i))) return i;
    return -1;
}

static glia_status not_finite(const glia_view *view, int64_t at, const char *what, const char *name,
                              glia_error *err) {
    glia_tensor tensor = glia_tensor_wrap(view->data, view->dtype, view->shape);
    char shape[128];
    if (err && err->status == GLIA_OK) snprintf(err->node, sizeof err->node, "%s", name);
    return glia_error_set(err, GLIA_NOT_FINITE, "%s '%s' (%s) holds %g at element %lld", what, name,
                          glia_shape_text(&view->shape, shape, sizeof shape), glia_tensor_get(&tensor, at),
                          (long long)at);
}

/* The inputs of a call first: a bad source is named before the node that it spoils. */
static glia_status check_views(const glia_planned_call *call, bool inputs, glia_error *err) {
    const glia_node *node = call->node;
    int begin = inputs ? 0 : node->n_inputs, end = inputs ? node->n_inputs : node->n_inputs + node->n_outputs;
    for (int i = begin; i < end; i++) {
        const glia_value *value = inputs ? node->inputs[i] : NULL;
        if (inputs && (!value || value->node || (node->op->shape_only >> i & 1))) continue;
        int64_t at = first_not_finite(&call->views[i]);
        if (at < 0) continue;
        if (!inputs) return not_finite(&call->views[i], at, "the result of", node->name, err);
        return not_finite(&call->views[i], at, value->kind == GLIA_VALUE_PARAM ? "parameter" : "input",
                          value->name, err);
    }
    return GLIA_OK;
}

#ifndef NDEBUG
/* Dead memory becomes NaN in debug builds, so that a planner bug becomes a failing test. */
static void poison_dead(const glia_program *program, const glia_segment *s) {
    if (program->options.reuse_memory == GLIA_NO) return;
    for (int i = 0; i < program->n_buffers; i++) {
        const glia_buffer *buffer = &program->buffers[i];
        if (buffer->place == GLIA_PLACE_BLOCK && buffer->last >= s->first && buffer->last < s->end)
            memset(program->block + buffer->offset, 0xff, buffer->bytes);
    }
}
#endif

/* When every node is checked, segments are single calls. */
static glia_status run_segment(glia_program *program, glia_segment *s, const glia_step *step,
                               glia_error *err) {
    const glia_planned_call *call = &program->calls[s->first];
    bool check = program->options.check_finite == GLIA_YES;
    if (check) GLIA_TRY(check_views(call, true, err));
    const double start = program->profile ? glia__now_seconds() : 0;
    GLIA_TRY(glia__program_run_segment(program, s, step, err));
    if (program->profile) s->seconds = glia__now_seconds() - start;
    if (check) GLIA_TRY(check_views(call, false, err));
#ifndef NDEBUG
    poison_dead(program, s);
#endif
    return GLIA_OK;
}

void glia_program_set_first(glia_program *program, int64_t first) {
    program->first_example = first;
}

/* The block may have grown, and another program may have used it, since this one ran last. */
static glia_status take_block(glia_program *program, glia_error *err) {
    if (!program->memory)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "the program was made with plan_only: it has no memory");
    GLIA_TRY(glia__block_reserve(program, err));
    if (program->block != program->memory->data) program->resolved = false;
    if (program->memory->last != program) program->packed = false;
    program->memory->last = program;
    return GLIA_OK;
}

/* The segments of the prologue, or all others. */
static glia_status run_segments(glia_program *program, bool prologue, const glia_step *step,
                                glia_error *err) {
    for (int64_t i = 0; i < program->n_segments; i++) {
        glia_segment *s = &program->segments[i];
        if ((s->first < program->n_prologue) == prologue) GLIA_TRY(run_segment(program, s, step, err));
    }
    return GLIA_OK;
}

/* The times of the fastest run are kept: those of one run, so that they add up. */
static void keep_times(glia_program *program, double seconds) {
    const bool fastest = program->runs == 0 || seconds < program->measured;
    if (fastest) program->measured = seconds;
    for (int64_t i = 0; i < program->n_segments; i++) {
        glia_segment *s = &program->segments[i];
        if (fastest) s->measured = s->seconds;
        for (int64_t c = s->first; c < s->end; c++) {
            glia_planned_call *call = &program->calls[c];
            if (fastest) call->measured = 0;
            for (int w = 0; w < s->workers; w++) {
                if (fastest) call->measured += call->seconds[w];
                call->seconds[w] = 0;
            }
        }
    }
}

glia_status glia_program_run(glia_program *program, uint64_t number, glia_error *err) {
    const double start = program->profile ? glia__now_seconds() : 0;
    GLIA_TRY(take_block(program, err));
    if (!program->resolved) GLIA_TRY(resolve(program, err));
    glia_step step = {.seed = program->options.seed,
                      .number = number,
                      .first_example = program->first_example,
                      .training = program->options.training == GLIA_YES};
    if (!program->packed) {
        GLIA_TRY(run_segments(program, true, &step, err));
        GLIA_TRY(glia__program_pack(program, &step, err));
    }
    program->packed = program->options.fixed_params == GLIA_YES;
    GLIA_TRY(run_segments(program, false, &step, err));
    for (int i = 0; i < program->n_outputs; i++) {
        const glia_planned_output *output = &program->outputs[i];
        if (output->copy_to)
            memcpy(output->copy_to, glia__buffer_address(program, output->buffer),
                   program->buffers[output->buffer].bytes);
    }
    if (program->profile) keep_times(program, glia__now_seconds() - start);
    program->runs++;
    return GLIA_OK;
}

glia_tensor glia_program_output(const glia_program *program, const glia_value *value) {
    const glia_planned_output *output = find_output(program, value);
    if (!output) return (glia_tensor){0};
    void *data = output->copy_to ? output->copy_to : glia__buffer_address(program, output->buffer);
    return glia_tensor_wrap(data, output->type.dtype, output->type.shape);
}
