/* plan.c: from graph to calls: binds symbolic dimensions, drops what does nothing, chooses kernels, and gives
 * every value a buffer. */

#include <stdio.h>

#include "exec/program.h"

/* What planning knows and running does not need. */
typedef struct planning {
    bool *needed;      /* by node */
    int64_t *last_use; /* by buffer: id of the last node that reads it */
    bool *is_output;   /* by buffer */
    size_t n_nodes;
} planning;

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while planning the program");
}

static glia_status bind_source(const glia_program *program, const glia_value *value, glia_type *out,
                               glia_error *err) {
    *out = value->type;
    for (int i = 0; i < out->shape.rank; i++) {
        int64_t dim = out->shape.dim[i];
        if (dim >= 0) continue;
        int64_t bound = program->options.dims[-dim - 1];
        if (bound < 1)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "'%s' has a dimension %s that is not bound; set options.dims[%lld]",
                                  value->name,
                                  dim == GLIA_DIM_BATCH  ? "N (batch)"
                                  : dim == GLIA_DIM_TIME ? "T (time)"
                                                         : "by symbol",
                                  (long long)(-dim - 1));
        out->shape.dim[i] = bound;
    }
    if (glia_shape_elems(&out->shape) < 0)
        return glia_error_set(err, GLIA_BAD_SHAPE, "'%s' has too many elements", value->name);
    return GLIA_OK;
}

static size_t type_bytes(const glia_type *type) {
    return (size_t)glia_shape_elems(&type->shape) * glia_dtype_bytes(type->dtype);
}

static int add_buffer(glia_program *program, glia_buffer buffer) {
    program->buffers[program->n_buffers] = buffer;
    return program->n_buffers++;
}

/* Sources get their type and buffer when first met. */
static glia_status meet_value(glia_program *program, const glia_value *value, glia_error *err) {
    int *buffer = &program->buffer_of[value->id];
    if (*buffer >= 0) return GLIA_OK;
    GLIA_TRY(bind_source(program, value, &program->type_of[value->id], err));
    bool is_const = value->kind == GLIA_VALUE_CONST;
    *buffer = add_buffer(program, (glia_buffer){.place = is_const ? GLIA_PLACE_CONST : GLIA_PLACE_BOUND,
                                                .bytes = type_bytes(&program->type_of[value->id]),
                                                .address = (void *)value->data,
                                                .source = value});
    return GLIA_OK;
}

/* Whether a node only gives input 0 another name or shape in this program. */
static bool is_view(const glia_program *program, const glia_node *node) {
    bool asleep = (node->op->traits & GLIA_TRAIT_TRAINING_ONLY) && program->options.training != GLIA_YES;
    return asleep || (node->op->traits & GLIA_TRAIT_ALIAS);
}

static bool reads_data(const glia_node *node, int input) {
    return node->inputs[input] && !(node->op->shape_only >> input & 1);
}

/* Output 0 may take over input 0's memory: it dies here, nobody outside holds it, and the types agree. */
static bool can_reuse_input(const glia_program *program, const planning *p, const glia_node *node) {
    if (!(node->op->traits & GLIA_TRAIT_INPLACE) || program->options.reuse_memory == GLIA_NO) return false;
    const glia_value *x = node->inputs[0], *y = &node->outputs[0];
    if (!x) return false;
    int buffer = program->buffer_of[x->id];
    const glia_type *xt = &program->type_of[x->id], *yt = &program->type_of[y->id];
    return program->buffers[buffer].place == GLIA_PLACE_BLOCK && !p->is_output[buffer] &&
           p->last_use[buffer] == node->id && xt->dtype == yt->dtype &&
           glia_shape_equal(&xt->shape, &yt->shape);
}

/* Types of the outputs, now that every dimension is known. */
static glia_status infer_node(glia_program *program, const glia_node *node, glia_error *err) {
    glia_type in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS] = {{0}};
    for (int i = 0; i < GLIA_MAX_INPUTS; i++)
        in[i] = i < node->n_inputs && node->inputs[i] ? program->type_of[node->inputs[i]->id]
                                                      : (glia_type){.shape = {.rank = -1}};
    glia_error inner = {0};
    glia_status status = node->op->infer(in, node->n_inputs, node->attrs, out, &inner);
    for (int o = 0; o < node->n_outputs && status == GLIA_OK; o++) {
        if (glia_shape_elems(&out[o].shape) < 0)
            status = glia_error_set(&inner, GLIA_BAD_SHAPE, "the result has too many elements");
        program->type_of[node->outputs[o].id] = out[o];
    }
    if (status == GLIA_OK) return GLIA_OK;
    if (err && err->status == GLIA_OK) snprintf(err->node, sizeof err->node, "%s", node->name);
    return glia_error_set(err, status, "%s: %s", node->name, inner.message);
}

/* First pass: types and buffers, so that the last use of every buffer is known before memory is shared. */
static glia_status pass_types(glia_program *program, planning *p, glia_error *err) {
    for (size_t n = 0; n < p->n_nodes; n++) {
        const glia_node *node = program->graph->nodes[n];
        if (!p->needed[n]) continue;
        for (int i = 0; i < node->n_inputs; i++) {
            if (!node->inputs[i]) continue;
            GLIA_TRY(meet_value(program, node->inputs[i], err));
            if (reads_data(node, i)) p->last_use[program->buffer_of[node->inputs[i]->id]] = node->id;
        }
        GLIA_TRY(infer_node(program, node, err));
        for (int o = 0; o < node->n_outputs; o++) {
            const glia_value *value = &node->outputs[o];
            size_t bytes = type_bytes(&program->type_of[value->id]);
            program->buffer_of[value->id] = o == 0 && is_view(program, node)
                                                ? program->buffer_of[node->inputs[0]->id]
                                                : add_buffer(program, (glia_buffer){.bytes = bytes});
        }
    }
    return GLIA_OK;
}

/* Outputs may be sources too. */
static glia_status mark_outputs(glia_program *program, planning *p, glia_value *const *outputs, int count,
                                glia_error *err) {
    for (int i = 0; i < count; i++) {
        GLIA_TRY(meet_value(program, outputs[i], err));
        p->is_output[program->buffer_of[outputs[i]->id]] = true;
    }
    return GLIA_OK;
}

/* Every value of buffer `from` lies in buffer `to` from now on. */
static void merge_buffers(glia_program *program, planning *p, int from, int to) {
    for (size_t v = 0; v < program->n_values; v++)
        if (program->buffer_of[v] == from) program->buffer_of[v] = to;
    p->last_use[to] = GLIA_MAX(p->last_use[to], p->last_use[from]);
    p->is_output[to] |= p->is_output[from];
    program->buffers[from].bytes = 0;
}

static void extend_life(glia_buffer *buffer, int64_t call) {
    buffer->first = GLIA_MIN(buffer->first, call);
    buffer->last = GLIA_MAX(buffer->last, call);
}

static glia_status add_call(glia_program *program, const glia_node *node, glia_error *err) {
    glia_planned_call *call = &program->calls[program->n_calls];
    size_t n = (size_t)(node->n_inputs + node->n_outputs);
    *call = (glia_planned_call){.node = node, .workspace = -1, .packed = -1, .parts = 1};
    call->types = glia__arena_alloc(&program->arena, n * sizeof *call->types);
    call->views = glia__arena_alloc(&program->arena, n * sizeof *call->views);
    call->buffers = glia__arena_alloc(&program->arena, n * sizeof *call->buffers);
    if (!call->types || !call->views || !call->buffers) return out_of_memory(err);
    for (int i = 0; i < (int)n; i++) {
        const glia_value *value = i < node->n_inputs ? node->inputs[i] : &node->outputs[i - node->n_inputs];
        call->buffers[i] = value ? program->buffer_of[value->id] : -1;
        call->types[i] = value ? program->type_of[value->id] : (glia_type){.shape = {.rank = -1}};
        call->views[i].dtype = call->types[i].dtype;
        if (value) call->views[i].shape = call->types[i].shape;
        if (value && (i >= node->n_inputs || reads_data(node, i)))
            extend_life(&program->buffers[call->buffers[i]], program->n_calls);
    }
    const glia_type *out = call->types + node->n_inputs;
    call->flops = node->op->flops ? node->op->flops(call->types, out, node->attrs)
                                  : (double)glia_shape_elems(&out[0].shape);
    program->n_calls++; /* from here on glia_program_free releases the kernel's state */
    return GLIA_OK;
}

/* Inputs that are parameters, as they are or seen in another shape. */
static uint32_t params_of(const glia_program *program, const glia_node *node) {
    uint32_t params = 0;
    for (int i = 0; i < node->n_inputs; i++) {
        if (!node->inputs[i]) continue;
        const glia_value *source = program->buffers[program->buffer_of[node->inputs[i]->id]].source;
        if (source && source->kind == GLIA_VALUE_PARAM) params |= 1u << i;
    }
    return params;
}

/* Memory of one call: workspace while it runs, packed parameters for as long as the program lives. */
static void add_needs(glia_program *program, glia_planned_call *call, size_t packed_bytes) {
    int64_t now = call - program->calls;
    if (call->workspace_bytes) {
        call->workspace_bytes = (call->workspace_bytes + 63) & ~(size_t)63;
        call->workspace = add_buffer(
            program,
            (glia_buffer){.bytes = call->workspace_bytes * (size_t)call->parts, .first = now, .last = now});
    }
    if (packed_bytes)
        call->packed =
            add_buffer(program, (glia_buffer){.bytes = packed_bytes, .first = 0, .last = INT64_MAX});
}

static glia_status choose_kernel(glia_program *program, glia_planned_call *call, glia_error *err) {
    const glia_node *node = call->node;
    glia_kernel_query query = {.op = node->op,
                               .attrs = node->attrs,
                               .in = call->types,
                               .out = call->types + node->n_inputs,
                               .n_in = node->n_inputs,
                               .n_out = node->n_outputs,
                               .params = params_of(program, node),
                               .threads = program->options.threads,
                               .training = program->options.training == GLIA_YES,
                               .allocator = program->allocator};
    if (program->options.reference != GLIA_YES)
        call->kernel = glia__kernel_choose(&query, program->trace ? stderr : NULL);
    glia_kernel_needs needs = {0};
    if (call->kernel && call->kernel->init)
        GLIA_TRY(call->kernel->init(&query, &call->state, &needs, err));
    else if (!call->kernel && node->op->workspace)
        needs.workspace_bytes = node->op->workspace(query.in, query.out, node->attrs);
    call->workspace_bytes = needs.workspace_bytes;
    glia__program_split(program, call);
    add_needs(program, call, needs.packed_bytes);
    return GLIA_OK;
}

/* Second pass: calls in order, sharing memory in place, with kernels. */
static glia_status pass_calls(glia_program *program, planning *p, glia_error *err) {
    for (int i = 0; i < program->n_buffers; i++) {
        program->buffers[i].first = INT64_MAX;
        program->buffers[i].last = -1;
    }
    for (size_t n = 0; n < p->n_nodes; n++) {
        const glia_node *node = program->graph->nodes[n];
        if (!p->needed[n] || is_view(program, node)) continue;
        if (can_reuse_input(program, p, node))
            merge_buffers(program, p, program->buffer_of[node->outputs[0].id],
                          program->buffer_of[node->inputs[0]->id]);
        GLIA_TRY(add_call(program, node, err));
        GLIA_TRY(choose_kernel(program, &program->calls[program->n_calls - 1], err));
    }
    return GLIA_OK;
}

static void finish_outputs(glia_program *program, glia_value *const *outputs, int count) {
    program->n_outputs = count;
    for (int i = 0; i < count; i++) {
        int buffer = program->buffer_of[outputs[i]->id];
        program->outputs[i] = (glia_planned_output){
            .value = outputs[i], .buffer = buffer, .type = program->type_of[outputs[i]->id]};
        extend_life(&program->buffers[buffer], program->n_calls); /* alive after the last call */
    }
}

static glia_status allocate(glia_program *program, planning *p, glia_value *const *outputs, int count,
                            glia_error *err) {
    const glia_graph *graph = program->graph;
    glia_arena *arena = &program->arena;
    size_t n_calls = 0;
    p->n_nodes = graph->n_nodes;
    p->needed = glia__arena_alloc(arena, p->n_nodes + 1);
    if (!p->needed) return out_of_memory(err);
    glia__graph_mark(graph, outputs, count, p->needed);
    for (size_t n = 0; n < p->n_nodes; n++) n_calls += p->needed[n];
    program->n_values = graph->n_values;
    size_t most_buffers = program->n_values + 2 * n_calls + 1; /* one a value, two a call: see add_needs */
    program->buffer_of = glia__arena_alloc(arena, (program->n_values + 1) * sizeof(int));
    program->type_of = glia__arena_alloc(arena, (program->n_values + 1) * sizeof(glia_type));
    program->calls = glia__arena_alloc(arena, (n_calls + 1) * sizeof(glia_planned_call));
    program->buffers = glia__arena_alloc(arena, most_buffers * sizeof(glia_buffer));
    program->outputs = glia__arena_alloc(arena, ((size_t)count + 1) * sizeof(glia_planned_output));
    p->last_use = glia__arena_alloc(arena, most_buffers * sizeof(int64_t));
    p->is_output = glia__arena_alloc(arena, most_buffers * sizeof(bool));
    if (!program->buffer_of || !program->type_of || !program->calls || !program->buffers ||
        !program->outputs || !p->last_use || !p->is_output)
        return out_of_memory(err);
    for (size_t i = 0; i < program->n_values; i++) program->buffer_of[i] = -1;
    for (size_t i = 0; i < most_buffers; i++) p->last_use[i] = -1;
    return GLIA_OK;
}

glia_status glia__program_plan(glia_program *program, glia_value *const *outputs, int count,
                               glia_error *err) {
    planning p = {0};
    GLIA_TRY(allocate(program, &p, outputs, count, err));
    GLIA_TRY(pass_types(program, &p, err));
    GLIA_TRY(mark_outputs(program, &p, outputs, count, err));
    GLIA_TRY(pass_calls(program, &p, err));
    finish_outputs(program, outputs, count);
    return GLIA_OK;
}
