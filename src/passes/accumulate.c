/* accumulate.c: where a gradient that is zero but for some rows is added to another, its rows are added to that one: as with
 * the word table of a language model that is its last layer too. What has a zero for most of its elements is never made. */

#include "passes/pass.h"

enum { GONE = 1, ACCUMULATES };

/* What makes term `i` of an addition, if it could add to the other term instead. */
static const glia_node *sparse_term(const glia_rewrite *r, const glia_node *add, int i) {
    const glia_value *term = add->inputs[i], *other = add->inputs[1 - i];
    const glia_node *node = term->node;
    if (!node || !node->op->onto || r->roles[node->id] || glia__only_reader(r, term, "add") != add)
        return NULL;
    return other->type.dtype == term->type.dtype && glia_shape_equal(&other->type.shape, &term->type.shape)
               ? node
               : NULL;
}

static void begin(glia_rewrite *r) {
    for (size_t n = 0; n < r->from->n_nodes; n++) {
        const glia_node *add = r->from->nodes[n], *node = NULL;
        if (!r->needed[n] || !glia__node_is(add, "add")) continue;
        for (int i = 0; i < 2 && !node; i++) node = sparse_term(r, add, i);
        if (!node) continue;
        r->roles[node->id] = GONE;
        r->roles[n] = ACCUMULATES;
        r->partner[n] = node;
    }
}

static bool rewrite_node(glia_rewrite *r, const glia_node *node) {
    if (r->roles[node->id] != ACCUMULATES) return r->roles[node->id] == GONE;
    const glia_node *sparse = r->partner[node->id];
    const glia_value *other = node->inputs[node->inputs[0]->node == sparse];
    glia_value *inputs[GLIA_MAX_INPUTS];
    for (int i = 0; i < sparse->n_inputs; i++)
        inputs[i] = glia__rewrite_value(r, i ? sparse->inputs[i] : other);
    r->map[node->outputs[0].id] =
        glia__rewrite_apply(r, sparse, sparse->op->onto, inputs, sparse->n_inputs, sparse->attrs);
    return true;
}

GLIA_PASS(accumulate) = {
    .name = "accumulate",
    .doc = "rows of a gradient are added to the gradient that it would be added to",
    .order = 35,
    .begin = begin,
    .node = rewrite_node,
};
