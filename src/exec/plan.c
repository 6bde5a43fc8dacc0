/* plan.c: from graph to calls: what reads and writes what, when a value dies, what may be computed in place. */

#include "exec/program.h"

/* What planning knows and running does not need. */
typedef struct planning {
    bool *needed;      /* by node */
    int64_t *last_use; /* by buffer: id of the last node that reads it */
    bool *is_output;   /* by buffer */
    bool *prologue;    /* by node */
} planning;

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while planning the program");
}

int glia__program_add_buffer(glia_program *program, glia_buffer buffer) {
    program->buffers[program->n_buffers] = buffer;
    return program->n_buffers++;
}

/* Sources get their buffer when first met. */
static void meet_value(glia_program *program, const glia_value *value) {
    int *buffer = &program->buffer_of[value->id];
    if (*buffer >= 0) return;
    bool is_const = value->kind == GLIA_VALUE_CONST;
    *buffer = glia__program_add_buffer(program,
                                       (glia_buffer){.place = is_const ? GLIA_PLACE_CONST : GLIA_PLACE_BOUND,
                                                     .bytes = glia__type_bytes(&value->type),
                                                     .address = (void *)(uintptr_t)value->data,
                                                     .source = value});
}

/* Whether a node only gives input 0 another name or shape. */
static bool is_view(const glia_node *node) {
    return (node->op->traits & GLIA_TRAIT_ALIAS) != 0;
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
    return !program->buffers[buffer].kept && program->buffers[buffer].place == GLIA_PLACE_BLOCK &&
           !p->is_output[buffer] && p->last_use[buffer] == node->id && x->type.dtype == y->type.dtype &&
           glia_shape_equal(&x->type.shape, &y->type.shape);
}

/* First pass: buffers, so that the last use of each is known before memory is shared. */
static void pass_buffers(glia_program *program, planning *p) {
    for (size_t n = 0; n < program->graph->n_nodes; n++) {
        const glia_node *node = program->graph->nodes[n];
        if (!p->needed[n]) continue;
        for (int i = 0; i < node->n_inputs; i++) {
            if (!node->inputs[i]) continue;
            meet_value(program, node->inputs[i]);
            if (reads_data(node, i)) p->last_use[program->buffer_of[node->inputs[i]->id]] = node->id;
        }
        for (int o = 0; o < node->n_outputs; o++) {
            const glia_value *value = &node->outputs[o];
            program->buffer_of[value->id] =
                o == 0 && is_view(node)
                    ? program->buffer_of[node->inputs[0]->id]
                    : glia__program_add_buffer(program,
                                               (glia_buffer){.bytes = glia__type_bytes(&value->type)});
        }
    }
}

/* Outputs may be sources too. */
static void mark_outputs(glia_program *program, planning *p, glia_value *const *outputs, int count) {
    for (int i = 0; i < count; i++) {
        meet_value(program, outputs[i]);
        p->is_output[program->buffer_of[outputs[i]->id]] = true;
    }
}

/* Every value of buffer `from` lies in buffer `to` from now on. */
static void merge_buffers(glia_program *program, planning *p, int from, int to) {
    for (size_t v = 0; v < program->graph->n_values; v++)
        if (program->buffer_of[v] == from) program->buffer_of[v] = to;
    p->last_use[to] = GLIA_MAX(p->last_use[to], p->last_use[from]);
    p->is_output[to] |= p->is_output[from];
    program->buffers[from].bytes = 0;
}

static void extend_life(glia_buffer *buffer, int64_t call) {
    buffer->first = GLIA_MIN(buffer->first, call);
    buffer->last = GLIA_MAX(buffer->last, call);
}

/* A node that reads nothing but parameters, constants and what the prologue made, and whose results the caller does not want. */
static bool is_prologue(const glia_program *program, const planning *p, const glia_node *node) {
    bool any = false;
    if (node->op->traits & GLIA_TRAIT_RANDOM) return false;
    for (int i = 0; i < node->n_inputs; i++) {
        if (!node->inputs[i]) continue;
        const glia_buffer *x = &program->buffers[program->buffer_of[node->inputs[i]->id]];
        if (!x->kept && (!x->source || x->source->kind == GLIA_VALUE_INPUT)) return false;
        any = true;
    }
    for (int o = 0; o < node->n_outputs; o++)
        if (p->is_output[program->buffer_of[node->outputs[o].id]]) return false;
    return any;
}

/* Only where parameters are fixed; and not where every node is to be seen at work. */
static void find_prologue(glia_program *program, planning *p) {
    const glia_program_options *o = &program->options;
    const bool plain = o->reference == GLIA_YES || o->check_finite == GLIA_YES;
    for (size_t n = 0; n < program->graph->n_nodes && o->fixed_params == GLIA_YES && !plain; n++) {
        const glia_node *node = program->graph->nodes[n];
        if (!p->needed[n] || is_view(node) || !is_prologue(program, p, node)) continue;
        p->prologue[n] = true;
        for (int k = 0; k < node->n_outputs; k++)
            program->buffers[program->buffer_of[node->outputs[k].id]].kept = true;
    }
}

static glia_status add_call(glia_program *program, const glia_node *node, glia_error *err) {
    glia_planned_call *call = &program->calls[program->n_calls];
    size_t n = (size_t)(node->n_inputs + node->n_outputs);
    *call = (glia_planned_call){.node = node, .workspace = -1, .packed = -1, .lanes = -1, .sum = -1};
    call->views = glia__arena_alloc(&program->arena, n * sizeof *call->views);
    call->buffers = glia__arena_alloc(&program->arena, n * sizeof *call->buffers);
    if (!call->views || !call->buffers) return out_of_memory(err);
    for (int i = 0; i < (int)n; i++) {
        const glia_value *value = i < node->n_inputs ? node->inputs[i] : &node->outputs[i - node->n_inputs];
        call->buffers[i] = value ? program->buffer_of[value->id] : -1;
        if (!value) continue;
        call->views[i] = (glia_view){.dtype = value->type.dtype, .shape = value->type.shape};
        if (i < node->n_inputs && !reads_data(node, i)) continue;
        call->bytes += (double)glia__type_bytes(&value->type);
        extend_life(&program->buffers[call->buffers[i]], program->n_calls);
    }
    program->n_calls++; /* from here on glia_program_free releases the kernel's states */
    return GLIA_OK;
}

/* Calls in order, of the prologue or of every run, sharing memory in place. */
static glia_status add_calls(glia_program *program, planning *p, bool prologue, glia_error *err) {
    for (size_t n = 0; n < program->graph->n_nodes; n++) {
        const glia_node *node = program->graph->nodes[n];
        if (!p->needed[n] || is_view(node) || p->prologue[n] != prologue) continue;
        if (can_reuse_input(program, p, node))
            merge_buffers(program, p, program->buffer_of[node->outputs[0].id],
                          program->buffer_of[node->inputs[0]->id]);
        GLIA_TRY(add_call(program, node, err));
    }
    return GLIA_OK;
}

/* Second pass. What the prologue makes and runs read lives for good. */
static glia_status pass_calls(glia_program *program, planning *p, glia_error *err) {
    for (int i = 0; i < program->n_buffers; i++) {
        program->buffers[i].first = INT64_MAX;
        program->buffers[i].last = -1;
    }
    GLIA_TRY(add_calls(program, p, true, err));
    program->n_prologue = program->n_calls;
    GLIA_TRY(add_calls(program, p, false, err));
    for (int i = 0; i < program->n_buffers; i++)
        if (program->buffers[i].kept && program->buffers[i].last >= program->n_prologue)
            program->buffers[i].last = INT64_MAX;
    return GLIA_OK;
}

static void finish_outputs(glia_program *program, glia_value *const *outputs, int count) {
    program->n_outputs = count;
    for (int i = 0; i < count; i++) {
        const glia_value *value = program->stand_ins[outputs[i]->id];
        int buffer = program->buffer_of[value->id];
        program->outputs[i] =
            (glia_planned_output){.value = outputs[i], .buffer = buffer, .type = value->type};
        extend_life(&program->buffers[buffer], program->n_calls); /* alive after the last call */
    }
}

static glia_status allocate(glia_program *program, planning *p, glia_value *const *outputs, int count,
                            glia_error *err) {
    enum { BUFFERS_OF_A_CALL = 5 }; /* workspace, packed, lanes, sum, and its segment's memory */
    const glia_graph *graph = program->graph;
    glia_arena *arena = &program->arena;
    size_t n_calls = 0;
    p->needed = glia__arena_alloc(arena, graph->n_nodes + 1);
    if (!p->needed) return out_of_memory(err);
    glia__graph_mark(graph, outputs, count, p->needed);
    for (size_t n = 0; n < graph->n_nodes; n++) n_calls += p->needed[n];
    size_t most_buffers = graph->n_values + BUFFERS_OF_A_CALL * n_calls + 1;
    program->buffer_of = glia__arena_alloc(arena, (graph->n_values + 1) * sizeof(int));
    program->calls = glia__arena_alloc(arena, (n_calls + 1) * sizeof(glia_planned_call));
    program->segments = glia__arena_alloc(arena, (n_calls + 1) * sizeof(glia_segment));
    program->buffers = glia__arena_alloc(arena, most_buffers * sizeof(glia_buffer));
    program->outputs = glia__arena_alloc(arena, ((size_t)count + 1) * sizeof(glia_planned_output));
    p->last_use = glia__arena_alloc(arena, most_buffers * sizeof(int64_t));
    p->is_output = glia__arena_alloc(arena, most_buffers * sizeof(bool));
    p->prologue = glia__arena_alloc(arena, graph->n_nodes + 1);
    if (!program->buffer_of || !program->calls || !program->segments || !program->buffers ||
        !program->outputs || !p->last_use || !p->is_output || !p->prologue)
        return out_of_memory(err);
    for (size_t i = 0; i < graph->n_values; i++) program->buffer_of[i] = -1;
    for (size_t i = 0; i < most_buffers; i++) p->last_use[i] = -1;
    return GLIA_OK;
}

glia_status glia__program_plan(glia_program *program, glia_value *const *outputs, int count,
                               glia_error *err) {
    planning p = {0};
    const size_t bytes = ((size_t)count + 1) * sizeof(glia_value *);
    glia_value **now = glia__arena_alloc(&program->arena, bytes);
    if (!now) return out_of_memory(err);
    for (int i = 0; i < count; i++) now[i] = program->stand_ins[outputs[i]->id];
    GLIA_TRY(allocate(program, &p, now, count, err));
    pass_buffers(program, &p);
    mark_outputs(program, &p, now, count);
    find_prologue(program, &p);
    GLIA_TRY(pass_calls(program, &p, err));
    finish_outputs(program, outputs, count);
    return GLIA_OK;
}
