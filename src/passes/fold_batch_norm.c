/* fold_batch_norm.c: in inference batch normalisation is a factor and a shift for each channel, which the convolution or
 * dense layer before it can do itself: w·f and (b − μ)·f + bias, with f = scale/√(σ² + ε). They are computed of parameters
 * alone, so a program whose parameters are fixed computes them once. */

#include "glia/ops.h"
#include "ops/riders.h"
#include "passes/pass.h"

enum { SKIPPED = 1, FOLDED };

enum { X, SCALE, BIAS, MEAN, VAR }; /* inputs of batch_norm; of the op before: x, w, b */

static bool has_attribute(const glia_node *node, const char *name, int value) {
    const glia_field *field = node->op->attrs ? glia__field_find(node->op->attrs, name) : NULL;
    const int found = field ? *(const int *)(const void *)((const char *)node->attrs + field->offset) : 0;
    return found == value;
}

/* Channels lie in the same dimension. */
static bool same_layout(const glia_node *a, const glia_node *b) {
    return has_attribute(a, "channels_last", GLIA_YES) == has_attribute(b, "channels_last", GLIA_YES);
}

/* The batch_norm that `node` can do, or NULL: its only reader, without anybody who wants its statistics. */
static const glia_node *rider(const glia_rewrite *r, const glia_node *node) {
    if (!glia__node_is(node, "conv2d") && !glia__node_is(node, "linear")) return NULL;
    if (glia__node_is(node, "linear") && node->outputs[0].type.shape.rank != 2)
        return NULL;                                 /* channels are not last */
    if (node->n_inputs > GLIA_RESIDUAL) return NULL; /* it is added after the product */
    const glia_node *norm = glia__only_reader(r, &node->outputs[0], "batch_norm");
    if (!norm || norm->inputs[X] != &node->outputs[0] || !has_attribute(node, "activation", 0)) return NULL;
    if (glia__node_is(node, "conv2d") && !same_layout(node, norm)) return NULL;
    for (int o = 1; o < norm->n_outputs; o++)
        if (r->n_readers[norm->outputs[o].id] || r->is_output[norm->outputs[o].id]) return NULL;
    for (int i = SCALE; i <= VAR; i++)
        if (!r->fixed[norm->inputs[i]->id]) return NULL;
    for (int i = 1; i < node->n_inputs; i++)
        if (node->inputs[i] && !r->fixed[node->inputs[i]->id]) return NULL;
    return norm;
}

static void begin(glia_rewrite *r) {
    if (r->options->training || !r->options->fixed_params) return;
    for (size_t n = 0; n < r->from->n_nodes; n++) {
        const glia_node *norm = r->needed[n] ? rider(r, r->from->nodes[n]) : NULL;
        if (!norm) continue;
        r->roles[n] = SKIPPED;
        r->roles[norm->id] = FOLDED;
        r->partner[norm->id] = r->from->nodes[n];
    }
}

/* scale/√(σ² + ε) */
static glia_value *factor_of(glia_rewrite *r, const glia_node *norm) {
    const glia_batch_norm_attrs *a = norm->attrs;
    glia_value *var = glia__rewrite_value(r, norm->inputs[VAR]);
    glia_value *inverse = glia_op_rsqrt(glia_op_add(var, glia__number(var, a->epsilon)));
    return glia_op_mul(glia__rewrite_value(r, norm->inputs[SCALE]), inverse);
}

/* Weights [O, …] times a factor for each of dimension 0. */
static glia_value *scaled_rows(glia_value *w, glia_value *factor) {
    glia_reshape_attrs column = {.shape = glia_value_shape(w)};
    for (int d = 1; d < column.shape.rank; d++) column.shape.dim[d] = 1;
    return glia_op_mul(w, glia_op_reshape(factor, column));
}

static void fold(glia_rewrite *r, const glia_node *norm) {
    const glia_node *node = r->partner[norm->id];
    glia_graph_set_scope(r->to, norm->name);
    glia_value *factor = factor_of(r, norm), *mean = glia__rewrite_value(r, norm->inputs[MEAN]);
    glia_value *b = node->n_inputs > 2 ? glia__rewrite_value(r, node->inputs[2]) : NULL;
    glia_value *from_mean = b ? glia_op_sub(b, mean) : glia_op_neg(mean);
    glia_value *inputs[] = {
        glia__rewrite_value(r, node->inputs[0]), scaled_rows(glia__rewrite_value(r, node->inputs[1]), factor),
        glia_op_add(glia_op_mul(from_mean, factor), glia__rewrite_value(r, norm->inputs[BIAS]))};
    glia_value *y = glia__rewrite_apply(r, node, node->op->name, inputs, 3, node->attrs);
    if (y && !has_attribute(norm, "activation", 0)) y = glia__rewrite_apply(r, norm, "relu", &y, 1, NULL);
    r->map[norm->outputs[0].id] = y;
    r->to->scope = "";
}

static bool rewrite_node(glia_rewrite *r, const glia_node *node) {
    if (r->roles[node->id] == FOLDED) fold(r, node);
    return r->roles[node->id] != 0;
}

GLIA_PASS(fold_batch_norm) = {
    .name = "fold_batch_norm",
    .doc = "in inference, batch_norm is done by the weights of the convolution or dense layer before it",
    .order = 5,
    .for_c = true,
    .begin = begin,
    .node = rewrite_node,
};
