/* fuse_residual.c: an addition rides on the convolution or product that makes one of its two terms, as in residual
 * networks: y = x·w + b + r is written once, by the kernel, instead of written, read and written again. */

#include "ops/riders.h"
#include "passes/pass.h"

enum { LATER = 1, TAKES_RESIDUAL };

/* Input `i` of `add` when it is a product that may take the other input as its residual; else NULL. Nobody else may read
 * it, nor may an activation stand between the two. */
static const glia_node *product(const glia_rewrite *r, const glia_node *add, int i) {
    const glia_value *term = add->inputs[i];
    const glia_node *node = term->node;
    const glia_type *y = &add->outputs[0].type;
    if (!node || !(node->op->traits & GLIA_TRAIT_RESIDUAL) || node->n_inputs > GLIA_RESIDUAL) return NULL;
    const glia_field *activation = glia__field_find(node->op->attrs, "activation");
    if (*(const int *)(const void *)((const char *)node->attrs + activation->offset)) return NULL;
    if (glia__only_reader(r, term, "add") != add || r->roles[node->id]) return NULL;
    for (int k = 0; k < 2; k++)
        if (add->inputs[k]->type.dtype != y->dtype ||
            !glia_shape_equal(&add->inputs[k]->type.shape, &y->shape))
            return NULL;
    return node;
}

/* The inputs of `node` with `residual` at its place. Returns their number. */
static int with_residual(const glia_node *node, glia_value *residual, glia_value **inputs) {
    for (int i = 0; i < GLIA_RESIDUAL; i++) inputs[i] = i < node->n_inputs ? node->inputs[i] : NULL;
    inputs[GLIA_RESIDUAL] = residual;
    return GLIA_RESIDUAL + 1;
}

static bool has_kernel(const glia_rewrite *r, const glia_node *node, glia_value *residual) {
    glia_value *inputs[GLIA_MAX_INPUTS];
    glia_type in[GLIA_MAX_INPUTS];
    const int n = with_residual(node, residual, inputs);
    for (int i = 0; i < n; i++) in[i] = inputs[i] ? inputs[i]->type : (glia_type){.shape = {.rank = -1}};
    return glia__find_kernel(r, node->op->name, in, n, &node->outputs[0].type, 1, node->attrs);
}

/* Of two products the later one takes the other as its residual. */
static void begin(glia_rewrite *r) {
    for (size_t n = 0; n < r->from->n_nodes; n++) {
        const glia_node *add = r->from->nodes[n], *best = NULL;
        if (!r->needed[n] || !glia__node_is(add, "add") || add->inputs[0] == add->inputs[1]) continue;
        for (int i = 0; i < 2; i++) {
            const glia_node *node = product(r, add, i);
            if (node && (!best || node->id > best->id) && has_kernel(r, node, add->inputs[1 - i]))
                best = node;
        }
        if (!best) continue;
        r->roles[best->id] = LATER;
        r->roles[n] = TAKES_RESIDUAL;
        r->partner[n] = best;
    }
}

/* The product moves to where both terms are known. */
static bool rewrite_node(glia_rewrite *r, const glia_node *node) {
    if (r->roles[node->id] != TAKES_RESIDUAL) return r->roles[node->id] == LATER;
    const glia_node *base = r->partner[node->id];
    glia_value *inputs[GLIA_MAX_INPUTS], *residual = node->inputs[node->inputs[0]->node == base];
    const int n = with_residual(base, residual, inputs);
    for (int i = 0; i < n; i++) inputs[i] = glia__rewrite_value(r, inputs[i]);
    r->map[node->outputs[0].id] = glia__rewrite_apply(r, base, base->op->name, inputs, n, base->attrs);
    return true;
}

GLIA_PASS(fuse_residual) = {
    .name = "fuse_residual",
    .doc = "an addition rides on the convolution or dense layer that makes one of its terms",
    .order = 42,
    .begin = begin,
    .node = rewrite_node,
};
