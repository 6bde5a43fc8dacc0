/* channels_last.c: images lie as [N, H, W, C] where kernels are faster so: vectors run over channels, which are many
 * and contiguous. Every value may have two forms in the new graph, the plain one and the one with channels last; a form
 * that is missing is made by a transpose when somebody wants it. So transposes stand only where the two meet, and each is
 * made once.
 *
 * Measured on VGG16's convolutions (batch 8, oneDNN 2.6, AVX-512, two threads): forward and by data as fast as oneDNN's
 * own blocked layout (537 and 585 ms against 540 and 582), by weights 10 % slower (691 against 628 ms), bf16 the same; the
 * plain layout is 2 to 4 times slower. One layout that all ops share needs no other reorders. */

#include "passes/pass.h"

/* Work for each element read or written from which the layout pays for a transpose. */
static const double LEAST_FLOPS_AN_ELEMENT = 20;

/* The forms with channels last, by value of `from`, behind the nodes' roles. */
static glia_value **forms(const glia_rewrite *r) {
    return r->notes;
}

static void begin(glia_rewrite *r) {
    r->notes = glia__arena_alloc(&r->arena, (r->from->n_values + 1) * sizeof(glia_value *));
    if (!r->notes)
        glia_graph_fail(r->to, GLIA_OUT_OF_MEMORY, NULL, "out of memory while planning the program");
}

static glia_value *transposed(glia_rewrite *r, const glia_value *like, glia_value *x, const char *perm) {
    static const char *const names[] = {"input", "parameter", "constant"};
    glia_graph *to = r->to;
    if (!x) return NULL;
    glia_graph_set_scope(to, like->node ? like->node->name : names[like->kind]);
    glia_value *y = glia_graph_apply_text(to, "transpose", &x, 1, perm);
    to->scope = "";
    return y;
}

static glia_value *plain(glia_rewrite *r, const glia_value *value) {
    if (!value) return NULL;
    if (!r->map[value->id]) r->map[value->id] = transposed(r, value, forms(r)[value->id], "perm=0,3,1,2");
    return r->map[value->id];
}

static glia_value *channels_last(glia_rewrite *r, const glia_value *value) {
    glia_value **form = &forms(r)[value->id];
    if (!*form) *form = transposed(r, value, r->map[value->id], "perm=0,2,3,1");
    return *form;
}

/* Whether the value lies with channels last only, or must be made anyway. */
static bool has_form(const glia_rewrite *r, const glia_value *value) {
    return forms(r)[value->id] != NULL;
}

static glia_shape moved(const glia_shape *s) {
    return (glia_shape){.rank = 4, .dim = {s->dim[0], s->dim[2], s->dim[3], s->dim[1]}};
}

/* --- ops that know images --------------------------------------------------------------------------------- */

enum { MOST_ATTRS = 512 };

static bool is_image(const glia_node *node, int operand) {
    int bit = operand < node->n_inputs ? operand : operand - node->n_inputs + GLIA_MAX_INPUTS;
    return node->op->images >> bit & 1;
}

/* The attributes of `node` with channels last. */
static void changed_attrs(const glia_node *node, char *attrs) {
    GLIA_ASSERT(node->op->attrs_size <= MOST_ATTRS);
    memcpy(attrs, node->attrs, node->op->attrs_size);
    const glia_field *field = glia__field_find(node->op->attrs, "channels_last");
    *(glia_bool *)(void *)(attrs + field->offset) = GLIA_YES;
}

static bool is_first(const glia_node *node) {
    const glia_field *field = glia__field_find(node->op->attrs, "channels_last");
    return *(const glia_bool *)(const void *)((const char *)node->attrs + field->offset) != GLIA_YES;
}

/* Whether the result of a node is read by nodes that know images. */
static bool meets_images(const glia_rewrite *r, const glia_node *node) {
    const int64_t id = node->outputs[0].id;
    for (int i = 0; i < r->n_readers[id]; i++)
        if (r->readers[r->first_reader[id] + i]->op->images) return true;
    return false;
}

/* Whether the node runs with channels last: a kernel takes it so, and an input lies so already or the work is worth it. */
static bool wants_channels_last(const glia_rewrite *r, const glia_node *node) {
    glia_type types[GLIA_MAX_INPUTS + GLIA_MAX_OUTPUTS];
    _Alignas(16) char attrs[MOST_ATTRS];
    const glia_op *op = node->op;
    bool there = false;
    double elems = 0;
    for (int i = 0; i < node->n_inputs + node->n_outputs; i++) {
        const glia_value *value = i < node->n_inputs ? node->inputs[i] : &node->outputs[i - node->n_inputs];
        types[i] = value ? value->type : (glia_type){.shape = {.rank = -1}};
        if (!value || !is_image(node, i)) continue;
        if (value->type.shape.rank != 4) return false; /* what normalises images takes tables, too */
        elems += (double)glia_shape_elems(&value->type.shape);
        there |= i < node->n_inputs && has_form(r, value);
        types[i].shape = moved(&types[i].shape);
    }
    changed_attrs(node, attrs);
    const glia_type *out = types + node->n_inputs;
    const glia_kernel *kernel =
        glia__find_kernel(r, op->name, types, node->n_inputs, out, node->n_outputs, attrs);
    if (!kernel || there) return kernel != NULL;
    if (kernel->any_layout) return meets_images(r, node);
    return (op->flops && op->flops(types, out, attrs) > LEAST_FLOPS_AN_ELEMENT * elems);
}

static void apply_channels_last(glia_rewrite *r, const glia_node *node) {
    glia_value *inputs[GLIA_MAX_INPUTS];
    _Alignas(16) char attrs[MOST_ATTRS];
    for (int i = 0; i < node->n_inputs; i++)
        inputs[i] = !node->inputs[i]    ? NULL
                    : is_image(node, i) ? channels_last(r, node->inputs[i])
                                        : plain(r, node->inputs[i]);
    changed_attrs(node, attrs);
    glia_value *y = glia__rewrite_apply(r, node, node->op->name, inputs, node->n_inputs, attrs);
    for (int o = 0; y && o < node->n_outputs; o++) {
        const bool image = is_image(node, node->n_inputs + o);
        (image ? forms(r) : r->map)[node->outputs[o].id] = glia_value_sibling(y, o);
    }
}

/* --- elementwise ops follow their inputs ------------------------------------------------------------------ */

static bool follows(const glia_rewrite *r, const glia_node *node) {
    const glia_shape *out = &node->outputs[0].type.shape;
    bool there = false;
    if (!(node->op->traits & GLIA_TRAIT_ELEMENTWISE) || out->rank != 4) return false;
    if (node->op->traits & GLIA_TRAIT_RANDOM) return false; /* its numbers belong to places */
    for (int i = 0; i < node->n_inputs; i++) {
        if (!node->inputs[i] || glia_shape_elems(&node->inputs[i]->type.shape) == 1) continue;
        if (!glia_shape_equal(&node->inputs[i]->type.shape, out)) return false;
        there |= has_form(r, node->inputs[i]);
    }
    return there;
}

static void apply_following(glia_rewrite *r, const glia_node *node) {
    glia_value *inputs[GLIA_MAX_INPUTS];
    for (int i = 0; i < node->n_inputs; i++) {
        const glia_value *x = node->inputs[i];
        inputs[i] = x && glia_shape_elems(&x->type.shape) > 1 ? channels_last(r, x) : plain(r, x);
    }
    forms(r)[node->outputs[0].id] =
        glia__rewrite_apply(r, node, node->op->name, inputs, node->n_inputs, node->attrs);
}

static bool rewrite_node(glia_rewrite *r, const glia_node *node) {
    if (!r->notes) return true; /* out of memory, which the graph knows */
    if (node->op->images && is_first(node) && wants_channels_last(r, node)) {
        apply_channels_last(r, node);
    } else if (follows(r, node)) {
        apply_following(r, node);
    } else {
        for (int i = 0; i < node->n_inputs; i++) (void)plain(r, node->inputs[i]);
        glia__rewrite_copy(r, node);
    }
    for (int o = 0; o < node->n_outputs; o++)
        if (r->is_output[node->outputs[o].id]) (void)plain(r, &node->outputs[o]);
    return true;
}

GLIA_PASS(channels_last) = {
    .name = "channels_last",
    .doc =
        "images with channels last where kernels are faster so; transposes only where the two layouts meet",
    .order = 40,
    .begin = begin,
    .node = rewrite_node,
};
