/* fuse_conv_pool.c: conv2d → relu → max_pool2d become one op where a kernel of ours has it, which is where the channels are
 * few: the convolution's result, by far the largest array of such a layer, is never written. In training the three
 * backward nodes become one too, which visits only the winners of the pool; that is possible where nobody wants the
 * gradient by the images, as in first layers. */

#include "ops/conv_pool.h"
#include "ops/riders.h"
#include "passes/pass.h"

enum { SKIPPED = 1, FUSED_FORWARD, FUSED_BACKWARD };

/* The nodes of the pattern; the backward ones are NULL when there are none. */
typedef struct pattern {
    const glia_node *conv, *relu, *pool, *pool_backward, *relu_backward, *weights;
} pattern;

static void fill_attrs(const pattern *p, glia__conv_pool_attrs *out) {
    const glia_pool2d_attrs *pool = p->pool->attrs;
    *out = (glia__conv_pool_attrs){.conv = *(const glia_conv2d_attrs *)p->conv->attrs,
                                   .pool_size = {pool->size[0], pool->size[1]},
                                   .pool_strides = {pool->strides[0], pool->strides[1]}};
}

/* The backward half: every reader of relu's result beside the pool belongs to it. */
static bool find_backward(const glia_rewrite *r, pattern *p) {
    const glia_value *y = &p->relu->outputs[0];
    if (r->n_readers[y->id] == 1) return true;
    p->pool_backward = glia__reader(r, y, "max_pool2d_backward");
    p->relu_backward = glia__reader(r, y, "relu_backward");
    if (r->n_readers[y->id] != 3 || !p->pool_backward || !p->relu_backward) return false;
    if (p->pool_backward->inputs[0] != y || p->relu_backward->inputs[1] != y) return false;
    if (!glia__fields_equal(p->pool->op->attrs, p->pool->attrs, p->pool_backward->attrs)) return false;
    if (glia__only_reader(r, &p->pool_backward->outputs[0], "relu_backward") != p->relu_backward)
        return false;
    p->weights = glia__only_reader(r, &p->relu_backward->outputs[0], "conv2d_backward_weights");
    return p->weights && p->weights->inputs[0] == p->conv->inputs[0] &&
           glia__fields_equal(p->conv->op->attrs, p->conv->attrs, p->weights->attrs);
}

static bool find_pattern(const glia_rewrite *r, const glia_node *conv, pattern *p) {
    *p = (pattern){.conv = conv};
    if (!glia__node_is(conv, "conv2d") || conv->n_inputs > GLIA_RESIDUAL) return false;
    if (((const glia_conv2d_attrs *)conv->attrs)->activation) return false;
    p->relu = glia__only_reader(r, &conv->outputs[0], "relu");
    if (!p->relu || r->is_output[p->relu->outputs[0].id]) return false;
    p->pool = glia__reader(r, &p->relu->outputs[0], "max_pool2d");
    return p->pool && ((const glia_pool2d_attrs *)p->pool->attrs)->padding == GLIA_PADDING_VALID &&
           find_backward(r, p);
}

static glia_type type_of(const glia_value *value) {
    return value ? value->type : (glia_type){.shape = {.rank = -1}};
}

/* In C, where all places of a window are computed at once: of windows that are small, and do not overlap, so that nothing is
 * computed twice. */
static bool has_own_places(const glia_node *pool) {
    const glia_pool2d_attrs *a = pool->attrs;
    return (!a->strides[0] || a->strides[0] >= a->size[0]) &&
           (!a->strides[1] || a->strides[1] >= a->size[1]) && a->size[0] * a->size[1] <= 9;
}

/* Whether our kernels take both halves. */
static bool is_worth_it(const glia_rewrite *r, const pattern *p) {
    glia__conv_pool_attrs attrs;
    if (r->options->c) return has_own_places(p->pool);
    const glia_value *const *in = (const glia_value *const *)p->conv->inputs;
    glia_type y = p->pool->outputs[0].type, winner = {GLIA_U8, y.shape};
    glia_type forward[] = {in[0]->type, in[1]->type, type_of(p->conv->n_inputs > 2 ? in[2] : NULL)};
    fill_attrs(p, &attrs);
    if (!glia__find_kernel(r, "conv2d_relu_max_pool2d", forward, p->conv->n_inputs, (glia_type[]){y, winner},
                           2, &attrs))
        return false;
    if (!p->weights) return true;
    glia_type backward[] = {in[0]->type, y, winner, in[1]->type};
    glia_type gradients[] = {p->weights->outputs[0].type, p->weights->outputs[1].type};
    return glia__find_kernel(r, "conv2d_relu_max_pool2d_backward_weights", backward, 4, gradients, 2, &attrs);
}

static void begin(glia_rewrite *r) {
    for (size_t n = 0; n < r->from->n_nodes; n++) {
        pattern p;
        if (!r->needed[n] || !find_pattern(r, r->from->nodes[n], &p) || !is_worth_it(r, &p)) continue;
        r->roles[p.conv->id] = r->roles[p.relu->id] = SKIPPED;
        r->roles[p.pool->id] = FUSED_FORWARD;
        r->partner[p.pool->id] = p.conv;
        if (!p.weights) continue;
        r->roles[p.pool_backward->id] = r->roles[p.relu_backward->id] = SKIPPED;
        r->roles[p.weights->id] = FUSED_BACKWARD;
        r->partner[p.weights->id] = p.conv;
    }
}

static void fuse_forward(glia_rewrite *r, const glia_node *pool, const pattern *p) {
    glia__conv_pool_attrs attrs;
    glia_value *inputs[3] = {NULL};
    for (int i = 0; i < p->conv->n_inputs; i++) inputs[i] = glia__rewrite_value(r, p->conv->inputs[i]);
    fill_attrs(p, &attrs);
    r->map[pool->outputs[0].id] =
        glia__rewrite_apply(r, p->conv, "conv2d_relu_max_pool2d", inputs, p->conv->n_inputs, &attrs);
}

static void fuse_backward(glia_rewrite *r, const glia_node *weights, const pattern *p) {
    glia__conv_pool_attrs attrs;
    glia_value *y = glia__rewrite_value(r, &p->pool->outputs[0]);
    glia_value *inputs[4] = {glia__rewrite_value(r, weights->inputs[0]),
                             glia__rewrite_value(r, p->pool_backward->inputs[1]), glia_value_sibling(y, 1),
                             glia__rewrite_value(r, weights->inputs[2])};
    fill_attrs(p, &attrs);
    glia_value *dw =
        glia__rewrite_apply(r, weights, "conv2d_relu_max_pool2d_backward_weights", inputs, 4, &attrs);
    r->map[weights->outputs[0].id] = dw;
    r->map[weights->outputs[1].id] = glia_value_sibling(dw, 1);
}

static bool rewrite_node(glia_rewrite *r, const glia_node *node) {
    pattern p;
    const int role = r->roles[node->id];
    if (role == FUSED_FORWARD || role == FUSED_BACKWARD) (void)find_pattern(r, r->partner[node->id], &p);
    if (role == FUSED_FORWARD) fuse_forward(r, node, &p);
    if (role == FUSED_BACKWARD) fuse_backward(r, node, &p);
    return role != 0;
}

GLIA_PASS(fuse_conv_pool) = {
    .name = "fuse_conv_pool",
    .doc = "conv2d, relu and max_pool2d in one where the channels are few, with their gradient",
    .order = 10,
    .for_c = true,
    .begin = begin,
    .node = rewrite_node,
};
