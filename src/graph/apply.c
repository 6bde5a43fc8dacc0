/* apply.c: the one way a node enters a graph: check the inputs, infer the types, add. */

#include <stdio.h>

#include "graph/graph.h"

static glia_value *out_of_memory(glia_graph *graph) {
    return glia_graph_fail(graph, GLIA_OUT_OF_MEMORY, NULL, "out of memory while building the graph");
}

/* Inputs: the right number, of one graph, and none that an earlier failure left NULL (unless optional). */
static bool inputs_fit(glia_graph *graph, const glia_op *op, glia_value *const *inputs, int count) {
    if (count < op->min_inputs || count > op->max_inputs) {
        char range[32];
        snprintf(range, sizeof range, op->min_inputs == op->max_inputs ? "%d" : "%d to %d", op->min_inputs,
                 op->max_inputs);
        glia_graph_fail(graph, GLIA_INVALID_ARGUMENT, NULL, "%s takes %s inputs, got %d", op->name, range,
                        count);
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (!inputs[i] && i < op->min_inputs) {
            glia_graph_fail(graph, GLIA_INVALID_ARGUMENT, NULL, "input %d of %s is missing (NULL)", i,
                            op->name);
            return false;
        }
        if (inputs[i] && inputs[i]->graph != graph) {
            glia_graph_fail(graph, GLIA_INVALID_ARGUMENT, NULL, "input %d of %s belongs to another graph", i,
                            op->name);
            return false;
        }
    }
    return true;
}

/* Copies the attributes to the arena with defaults filled in, strings included. */
static const void *copy_attrs(glia_graph *graph, const glia_op *op, const void *attrs) {
    static const char none;
    if (!op->attrs) return &none;
    char *copy = glia__arena_alloc(&graph->arena, op->attrs_size);
    if (!copy) return NULL;
    if (attrs) {
        memcpy(copy, attrs, op->attrs_size);
        glia__fields_fill_illegal(op->attrs, copy);
    } else {
        glia__fields_init(op->attrs, copy);
    }
    for (const glia_field *f = op->attrs; f->name; f++) {
        const char **text = (const char **)(void *)(copy + f->offset);
        if (f->kind != GLIA_FIELD_STRING || !*text) continue;
        *text = glia__arena_strdup(&graph->arena, *text);
        if (!*text) return NULL;
    }
    return copy;
}

/* "scope.op", or "op", or "op_12" when the scope has one already: names are for people, ids are for code. */
static const char *node_name(glia_graph *graph, const glia_op *op) {
    if (*graph->scope) return glia__arena_printf(&graph->arena, "%s.%s", graph->scope, op->name);
    return glia__arena_printf(&graph->arena, "%s_%zu", op->name, graph->n_nodes);
}

static bool infer(glia_graph *graph, const glia_op *op, glia_value *const *inputs, int count,
                  const void *attrs, glia_type *out) {
    glia_type in[GLIA_MAX_INPUTS];
    for (int i = 0; i < GLIA_MAX_INPUTS; i++)
        in[i] = i < count && inputs[i] ? inputs[i]->type : (glia_type){.shape = {.rank = -1}};
    glia_error err = {0};
    glia_status status = glia__fields_check(op->attrs, attrs, &err);
    if (status == GLIA_OK) status = op->infer(in, count, attrs, out, &err);
    for (int o = 0; o < (op->n_outputs ? op->n_outputs : 1) && status == GLIA_OK; o++)
        if (glia__shape_is_absurd(&out[o].shape))
            status = glia_error_set(&err, GLIA_BAD_SHAPE, "the result has too many elements");
    if (status == GLIA_OK) return true;
    bool prefixed = strncmp(err.message, op->name, strlen(op->name)) == 0;
    glia_graph_fail(graph, status, NULL, "%s%s%s", prefixed ? "" : op->name, prefixed ? "" : ": ",
                    err.message);
    return false;
}

/* Adds the node and its output values. */
static glia_value *add_node(glia_graph *graph, const glia_op *op, glia_value *const *inputs, int count,
                            const void *attrs, const glia_type *types) {
    glia_arena *arena = &graph->arena;
    int n_outputs = op->n_outputs ? op->n_outputs : 1;
    glia_node *node = glia__arena_alloc(arena, sizeof *node);
    glia_value **copy = glia__arena_alloc(arena, ((size_t)count + 1) * sizeof *copy);
    glia_value *outputs = glia__arena_alloc(arena, (size_t)n_outputs * sizeof *outputs);
    const char *name = node_name(graph, op);
    if (!node || !copy || !outputs || !name) return out_of_memory(graph);
    if (count) memcpy(copy, inputs, (size_t)count * sizeof *copy);
    *node = (glia_node){.op = op,
                        .name = name,
                        .attrs = attrs,
                        .n_inputs = count,
                        .n_outputs = n_outputs,
                        .inputs = copy,
                        .outputs = outputs};
    if (!glia__graph_add_node(graph, node)) return out_of_memory(graph);
    for (int i = 0; i < n_outputs; i++) {
        outputs[i] =
            (glia_value){.kind = GLIA_VALUE_NODE, .type = types[i], .name = name, .node = node, .index = i};
        if (!glia__graph_add_value(graph, &outputs[i])) {
            graph->n_nodes--; /* a node without all its values must not be seen */
            return out_of_memory(graph);
        }
    }
    return &outputs[0];
}

static glia_value *apply(glia_graph *graph, const glia_op *op, glia_value *const *inputs, int count,
                         const void *attrs) {
    if (!inputs_fit(graph, op, inputs, count)) return NULL;
    const void *own = copy_attrs(graph, op, attrs);
    if (!own) return out_of_memory(graph);
    glia_type types[GLIA_MAX_OUTPUTS] = {{0}};
    if (!infer(graph, op, inputs, count, own, types)) return NULL;
    return add_node(graph, op, inputs, count, own, types);
}

static const glia_op *find(glia_graph *graph, const char *name) {
    const glia_op *op = name ? glia__op_find(name) : NULL;
    if (!op) glia_graph_fail(graph, GLIA_NOT_FOUND, NULL, "unknown op '%s'", name ? name : "(null)");
    return op;
}

glia_value *glia_graph_apply(glia_graph *graph, const char *name, glia_value *const *inputs, int count,
                             const void *attrs) {
    if (!graph || graph->error.status != GLIA_OK) return NULL;
    const glia_op *op = find(graph, name);
    return op ? apply(graph, op, inputs, count, attrs) : NULL;
}

glia_value *glia_graph_apply_text(glia_graph *graph, const char *name, glia_value *const *inputs, int count,
                                  const char *text) {
    if (!graph || graph->error.status != GLIA_OK) return NULL;
    const glia_op *op = find(graph, name);
    if (!op) return NULL;
    void *attrs = NULL;
    if (op->attrs) {
        attrs = glia__arena_alloc(&graph->arena, op->attrs_size);
        if (!attrs) return out_of_memory(graph);
        glia_error err = {0};
        glia_status status = glia__fields_parse(op->attrs, attrs, text, &graph->arena, &err);
        if (status != GLIA_OK) return glia_graph_fail(graph, status, NULL, "%s: %s", op->name, err.message);
    } else if (text && *text) {
        return glia_graph_fail(graph, GLIA_INVALID_ARGUMENT, NULL, "%s has no attributes, got '%s'", op->name,
                               text);
    }
    return apply(graph, op, inputs, count, attrs);
}
