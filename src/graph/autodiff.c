/* autodiff.c: reverse-mode differentiation. Walks the nodes that lie between `wrt` and the loss from the last
 * to the first and asks each op for its rule; gradients are ordinary nodes. */

#include "graph/graph.h"

typedef struct differentiation {
    glia_graph *graph;
    glia_value **gradients; /* by value id, for the values that existed at the start */
    bool *needs;            /* by value id: depends on some wrt */
    size_t n_values;
} differentiation;

/* Values that depend on a wrt: only those carry gradients. */
static void mark_dependents(differentiation *d, glia_value *const *wrt, int count, size_t n_nodes) {
    for (int i = 0; i < count; i++) d->needs[wrt[i]->id] = true;
    for (size_t n = 0; n < n_nodes; n++) {
        const glia_node *node = d->graph->nodes[n];
        bool any = false;
        for (int i = 0; i < node->n_inputs; i++)
            any |= node->inputs[i] && d->needs[node->inputs[i]->id] && !(node->op->shape_only >> i & 1);
        for (int o = 0; o < node->n_outputs; o++)
            d->needs[node->outputs[o].id] |=
                any && !(node->op->no_gradient >> o & 1) && glia_dtype_is_float(node->outputs[o].type.dtype);
    }
}

static void accumulate(differentiation *d, const glia_value *value, glia_value *gradient) {
    if (!gradient) return;
    glia_value **slot = &d->gradients[value->id];
    *slot = *slot ? glia__apply2("add", *slot, gradient) : gradient;
}

/* Asks one node's rule for the gradients of its inputs. */
static void differentiate_node(differentiation *d, const glia_node *node) {
    glia_value *dy[GLIA_MAX_OUTPUTS] = {NULL}, *y[GLIA_MAX_OUTPUTS] = {NULL}, *dx[GLIA_MAX_INPUTS] = {NULL};
    bool needed[GLIA_MAX_INPUTS] = {false}, any_dy = false, any_needed = false;
    for (int o = 0; o < node->n_outputs; o++) {
        y[o] = &node->outputs[o];
        dy[o] = d->gradients[y[o]->id];
        any_dy |= dy[o] != NULL;
    }
    for (int i = 0; i < node->n_inputs; i++) {
        needed[i] = node->inputs[i] && d->needs[node->inputs[i]->id] && !(node->op->shape_only >> i & 1);
        any_needed |= needed[i];
    }
    if (!any_dy || !any_needed) return;
    if (!node->op->grad) {
        glia_graph_fail(d->graph, GLIA_UNSUPPORTED, node->name, "the gradient of %s is not defined",
                        node->op->name);
        return;
    }
    glia_gradient g = {.graph = d->graph,
                       .x = node->inputs,
                       .y = y,
                       .dy = dy,
                       .needed = needed,
                       .n_in = node->n_inputs,
                       .n_out = node->n_outputs,
                       .attrs = node->attrs,
                       .dx = dx};
    node->op->grad(&g);
    for (int i = 0; i < node->n_inputs; i++)
        if (needed[i]) accumulate(d, node->inputs[i], dx[i]);
}

/* Zeros of the type of `value`, for a wrt that the loss does not use. */
static glia_value *zeros_of(glia_graph *graph, glia_value *value) {
    glia_value *zero = glia_graph_scalar(graph, value->type.dtype, 0);
    return glia__apply2("broadcast_like", zero, value);
}

static glia_status differentiate(differentiation *d, glia_value *loss, glia_value *const *wrt, int count,
                                 glia_value **gradients, glia_error *err) {
    glia_graph *graph = d->graph;
    size_t n_nodes = graph->n_nodes;
    mark_dependents(d, wrt, count, n_nodes);
    const char *scope = graph->scope;
    d->gradients[loss->id] = glia_graph_scalar(graph, loss->type.dtype, 1);
    for (size_t n = n_nodes; n-- > 0 && graph->error.status == GLIA_OK;) {
        const glia_node *node = graph->nodes[n];
        graph->scope = node->name; /* so that a gradient is named after the node it belongs to */
        differentiate_node(d, node);
    }
    for (int i = 0; i < count && graph->error.status == GLIA_OK; i++) {
        glia_value *gradient = d->gradients[wrt[i]->id];
        gradients[i] = gradient ? gradient : zeros_of(graph, wrt[i]);
    }
    graph->scope = scope;
    return glia_graph_status(graph, err);
}

glia_status glia_graph_gradients(glia_graph *graph, glia_value *loss, glia_value *const *wrt, int count,
                                 glia_value **gradients, glia_error *err) {
    GLIA_TRY(glia_graph_status(graph, err));
    if (!loss || loss->graph != graph)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "the loss is not a value of this graph");
    if (loss->type.shape.rank != 0 || !glia_dtype_is_float(loss->type.dtype)) {
        char text[128];
        return glia_error_set(
            err, GLIA_BAD_SHAPE, "the loss must be a floating-point scalar, got %s %s; reduce it first",
            glia_dtype_name(loss->type.dtype), glia_shape_text(&loss->type.shape, text, sizeof text));
    }
    for (int i = 0; i < count; i++)
        if (!wrt[i] || wrt[i]->graph != graph || !glia_dtype_is_float(wrt[i]->type.dtype))
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "value %d to differentiate by is not a floating-point value of this graph",
                                  i);
    differentiation d = {.graph = graph, .n_values = graph->n_values};
    d.gradients = glia__calloc(graph->allocator, d.n_values, sizeof(glia_value *));
    d.needs = glia__calloc(graph->allocator, d.n_values, sizeof(bool));
    glia_status status = d.gradients && d.needs ? differentiate(&d, loss, wrt, count, gradients, err)
                                                : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia__free(graph->allocator, d.gradients, d.n_values * sizeof(glia_value *));
    glia__free(graph->allocator, d.needs, d.n_values * sizeof(bool));
    return status;
}
