/* step.c: a graph over whole sequences as one that takes some steps at a time; see step.h. */
#include "graph/step.h"

#include <stdio.h>

#include "glia/ops.h"

typedef struct walk {
    glia_steps *steps;
    const glia_graph *from;
    const glia_value *input;
    const glia_memories *states;
    bool *goes;     /* by value of `from`: [N, T, …], of which some steps are there */
    bool *is_state; /* by value of `from`: what a run begins with, and slices of it */
} walk;

/* --- for ops -------------------------------------------------------------------------------------------- */

static void same(glia_stepping *s, glia_value *const *inputs) {
    const glia_node *node = s->node;
    glia_value *y = glia_graph_apply(s->steps->graph, node->op->name, inputs, node->n_inputs, node->attrs);
    for (int o = 0; o < node->n_outputs; o++) s->y[o] = glia_value_sibling(y, o);
}

void glia__step_same(glia_stepping *s) {
    same(s, s->x);
}

void glia__step_vectors(glia_stepping *s, int64_t axis) {
    int first;
    const bool resolved = glia__axis_resolve(axis, s->node->inputs[0]->type.shape.rank, &first);
    for (int i = 0; i < s->node->n_inputs; i++)
        if (s->goes[i] != (i == 0)) return;
    if (resolved && first >= 2) same(s, s->x);
}

glia_value *glia__step_memory(glia_stepping *s, glia_dtype dtype, glia_shape shape, bool grows) {
    char name[32];
    glia_steps *steps = s->steps;
    snprintf(name, sizeof name, "memory.%zu", steps->memories.count);
    glia_value *before = glia_graph_input(steps->graph, name, dtype, shape);
    if (!before) return NULL;
    steps->memories.list[steps->memories.count++] = (glia_memory){.before = before, .grows = grows};
    steps->limited |= grows;
    return before;
}

void glia__step_keep(glia_stepping *s, const glia_value *before, glia_value *after) {
    const glia_memories *memories = &s->steps->memories;
    for (size_t i = 0; i < memories->count; i++)
        if (memories->list[i].before == before) memories->list[i].after = after;
}

bool glia__step_is_state(glia_stepping *s, int i) {
    s->unasked -= s->states[i];
    return s->states[i];
}

/* Of what does not go over the steps but has a row for each (positions), those of these steps. */
static glia_value *rows_of(const glia_stepping *s, int i) {
    const glia_shape *x = &s->node->inputs[i]->type.shape, *y = &s->node->outputs[0].type.shape;
    const int axis = x->rank - y->rank + 1;
    if (axis < 0 || x->dim[axis] == 1) return s->x[i];
    s->steps->limited = true;
    return glia_op_gather(s->x[i], s->steps->positions, (glia_gather_attrs){.axis = axis});
}

static void step_elementwise(glia_stepping *s) {
    const glia_node *node = s->node;
    glia_value *inputs[GLIA_MAX_INPUTS];
    for (int i = 0; i < node->n_inputs; i++) {
        if (s->goes[i] && node->inputs[i]->type.shape.rank != node->outputs[0].type.shape.rank) return;
        inputs[i] = s->goes[i] || !s->x[i] ? s->x[i] : rows_of(s, i);
    }
    same(s, inputs);
}

/* --- the walk ------------------------------------------------------------------------------------------- */

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
}

static bool begins_as(const glia_memories *states, const glia_value *x) {
    for (size_t i = 0; i < states->count; i++)
        if (states->list[i].before == x) return true;
    return false;
}

static glia_status copy_sources(walk *w, const glia_node *node, glia_error *err) {
    glia_value **stand_ins = w->steps->stand_ins;
    for (int i = 0; i < node->n_inputs; i++) {
        const glia_value *x = node->inputs[i];
        if (!x || x->node || stand_ins[x->id] || w->is_state[x->id]) continue;
        w->is_state[x->id] = begins_as(w->states, x);
        if (w->is_state[x->id]) continue;
        if (x->kind == GLIA_VALUE_INPUT)
            return glia_error_set(err, GLIA_UNSUPPORTED, "'%s' is a second input", x->name);
        stand_ins[x->id] = glia__graph_copy_source(w->steps->graph, x, x->type.shape);
        if (!stand_ins[x->id]) return out_of_memory(err);
        stand_ins[x->id]->borrowed = true;
    }
    return GLIA_OK;
}

static glia_status cannot(const glia_node *node, const char *why, glia_error *err) {
    return glia_error_set(err, GLIA_UNSUPPORTED, "'%s' (%s) %s", node->name, node->op->name,
                          why ? why : "needs the whole sequence");
}

/* Everything that goes is [N, T, …] there and [N, steps, …] here. */
static bool is_stepped(const glia_value *whole, const glia_value *y, int64_t length) {
    const glia_shape *a = &whole->type.shape, *b = &y->type.shape;
    return a->rank >= 2 && a->dim[1] == length && b->rank == a->rank && b->dim[1] == GLIA_DIM_TIME;
}

static void apply(glia_stepping *s, bool any) {
    const glia_node *node = s->node;
    if (node->op->traits & GLIA_TRAIT_TRAINING_ONLY)
        s->y[0] = s->x[0];
    else if (!any)
        glia__step_same(s);
    else if (node->op->step)
        node->op->step(s);
    else if (node->op->traits & GLIA_TRAIT_ELEMENTWISE)
        step_elementwise(s);
}

static glia_status step_node(walk *w, const glia_node *node, glia_error *err) {
    glia_steps *steps = w->steps;
    glia_value *x[GLIA_MAX_INPUTS];
    bool goes[GLIA_MAX_INPUTS], is_state[GLIA_MAX_INPUTS], any = false;
    int states = 0;
    GLIA_TRY(copy_sources(w, node, err));
    for (int i = 0; i < node->n_inputs; i++) {
        const glia_value *input = node->inputs[i];
        x[i] = input ? steps->stand_ins[input->id] : NULL;
        goes[i] = input && w->goes[input->id];
        is_state[i] = input && w->is_state[input->id];
        any |= goes[i];
        states += is_state[i];
        if (input && !x[i] && !is_state[i]) return cannot(node, NULL, err); /* .step left it out */
    }
    if (states && states == node->n_inputs) {
        for (int o = 0; o < node->n_outputs; o++) w->is_state[node->outputs[o].id] = true;
        return GLIA_OK;
    }
    glia_stepping s = {
        .steps = steps, .node = node, .x = x, .goes = goes, .states = is_state, .unasked = states};
    if (any || !states) apply(&s, any);
    if (s.unasked) return cannot(node, "takes the state that a batch begins with", err);
    GLIA_TRY(glia_graph_status(steps->graph, err));
    if (!s.y[0]) return cannot(node, s.why, err);
    for (int o = 0; o < node->n_outputs; o++) {
        const glia_value *whole = &node->outputs[o];
        w->goes[whole->id] = any;
        if (!any || (s.y[o] && is_stepped(whole, s.y[o], w->input->type.shape.dim[1])))
            steps->stand_ins[whole->id] = s.y[o];
    }
    return GLIA_OK;
}

static glia_status prepare(walk *w, glia_error *err) {
    glia_steps *steps = w->steps;
    glia_shape shape = w->input->type.shape;
    glia_arena *arena = &steps->graph->arena;
    steps->stand_ins = glia__arena_alloc(arena, (w->from->n_values + 1) * sizeof *steps->stand_ins);
    steps->memories.list =
        glia__arena_alloc(arena, (2 * w->from->n_nodes + 1) * sizeof *steps->memories.list);
    w->goes = glia__arena_alloc(arena, (w->from->n_values + 1) * sizeof *w->goes);
    w->is_state = glia__arena_alloc(arena, (w->from->n_values + 1) * sizeof *w->is_state);
    if (!steps->stand_ins || !steps->memories.list || !w->goes || !w->is_state) return out_of_memory(err);
    if (shape.rank < 2 || shape.dim[1] < 1)
        return glia_error_set(err, GLIA_UNSUPPORTED, "the input has no steps");
    shape.dim[1] = GLIA_DIM_TIME;
    steps->input = glia_graph_input(steps->graph, w->input->name, w->input->type.dtype, shape);
    steps->positions = glia_graph_input(steps->graph, "step.positions", GLIA_I64, GLIA_SHAPE(GLIA_DIM_TIME));
    steps->stand_ins[w->input->id] = steps->input;
    w->goes[w->input->id] = true;
    return glia_graph_status(steps->graph, err);
}

static glia_status walk_nodes(walk *w, const glia_value *output, glia_error *err) {
    bool *needed = glia__arena_alloc(&w->steps->graph->arena, w->from->n_nodes + 1);
    if (!needed) return out_of_memory(err);
    glia__graph_mark(w->from, (glia_value *const *)&output, 1, needed);
    for (size_t n = 0; n < w->from->n_nodes; n++)
        if (needed[n]) GLIA_TRY(step_node(w, w->from->nodes[n], err));
    w->steps->output = w->steps->stand_ins[output->id];
    if (!w->goes[output->id] || !w->steps->output)
        return glia_error_set(err, GLIA_UNSUPPORTED, "the output has no steps");
    return GLIA_OK;
}

glia_status glia__steps_new(glia_steps *steps, const glia_value *input, const glia_value *output,
                            const glia_memories *states, const glia_allocator *allocator, glia_error *err) {
    *steps = (glia_steps){.graph = glia_graph_new(allocator)};
    if (!steps->graph) return out_of_memory(err);
    walk w = {.steps = steps, .from = input->graph, .input = input, .states = states};
    glia_status status = prepare(&w, err);
    if (status == GLIA_OK) status = walk_nodes(&w, output, err);
    if (status != GLIA_OK) glia__steps_deinit(steps);
    return status;
}

void glia__steps_deinit(glia_steps *steps) {
    glia_graph_free(steps->graph);
    *steps = (glia_steps){.graph = NULL};
}
