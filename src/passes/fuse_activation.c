/* fuse_activation.c: a relu rides on the op before it, which has the attribute `activation`: its result never makes a
 * journey to memory of its own. Its gradient rides on that of max pooling, which looks at the relu's result anyway. */

#include "glia/ops.h"
#include "passes/pass.h"

enum { SKIPPED = 1, TAKES_RELU, TAKES_GRADIENT };

static const glia_field *attribute(const glia_node *node, const char *name) {
    return node->op->attrs ? glia__field_find(node->op->attrs, name) : NULL;
}

/* The relu that may ride on `node`, or NULL. */
static const glia_node *rider(const glia_rewrite *r, const glia_node *node) {
    const glia_field *activation = attribute(node, "activation");
    if (!activation || activation->kind != GLIA_FIELD_CHOICE) return NULL;
    if (*(const int *)((const char *)node->attrs + activation->offset)) return NULL; /* it has one */
    return glia__only_reader(r, &node->outputs[0], "relu");
}

/* relu_backward(max_pool2d_backward(y, dy), y), y the result of a relu. */
static const glia_node *gradient_rider(const glia_rewrite *r, const glia_node *node) {
    if (!glia__node_is(node, "max_pool2d_backward") || !glia__node_is(node->inputs[0]->node, "relu"))
        return NULL;
    const glia_node *relu = glia__only_reader(r, &node->outputs[0], "relu_backward");
    return relu && relu->inputs[0] == &node->outputs[0] && relu->inputs[1] == node->inputs[0] ? relu : NULL;
}

static void begin(glia_rewrite *r) {
    for (size_t n = 0; n < r->from->n_nodes; n++) {
        const glia_node *node = r->from->nodes[n];
        if (!r->needed[n]) continue;
        const glia_node *relu = rider(r, node), *gradient = gradient_rider(r, node);
        if (!relu && !gradient) continue;
        r->roles[n] = relu ? TAKES_RELU : TAKES_GRADIENT;
        r->partner[n] = relu ? relu : gradient;
        r->roles[r->partner[n]->id] = SKIPPED;
    }
}

/* `node` with one attribute changed; what stands for its partner's result is its own. */
static void apply_changed(glia_rewrite *r, const glia_node *node, const char *name, int value) {
    enum { MOST_BYTES = 512 };
    _Alignas(16) char attrs[MOST_BYTES];
    glia_value *inputs[GLIA_MAX_INPUTS];
    GLIA_ASSERT(node->op->attrs_size <= MOST_BYTES);
    memcpy(attrs, node->attrs, node->op->attrs_size);
    *(int *)(void *)(attrs + attribute(node, name)->offset) = value; /* a choice or a glia_bool */
    for (int i = 0; i < node->n_inputs; i++) inputs[i] = glia__rewrite_value(r, node->inputs[i]);
    glia_value *y = glia__rewrite_apply(r, node, node->op->name, inputs, node->n_inputs, attrs);
    r->map[r->partner[node->id]->outputs[0].id] = y;
    for (int o = 1; y && o < node->n_outputs; o++) r->map[node->outputs[o].id] = glia_value_sibling(y, o);
}

static bool rewrite_node(glia_rewrite *r, const glia_node *node) {
    const int role = r->roles[node->id];
    if (role == TAKES_RELU) apply_changed(r, node, "activation", 1);
    if (role == TAKES_GRADIENT) apply_changed(r, node, "relu", GLIA_YES);
    return role != 0;
}

GLIA_PASS(fuse_activation) = {
    .name = "fuse_activation",
    .doc = "relu rides on the op before it, and its gradient on that of max pooling",
    .order = 44,
    .begin = begin,
    .node = rewrite_node,
};
