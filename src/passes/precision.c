/* precision.c: bf16 mixed precision, when the program asks for it. Convolutions and matrix products that have a kernel for it
 * read and write bf16, and what lies between them follows: elementwise ops, pools, changes of shape. Parameters, their
 * gradients, losses and every sum stay f32. Every value may have two forms, f32 and bf16; a form that is missing is made by a
 * cast when somebody wants it.
 *
 * bf16 pays through the matrix units (AMX: 2 – 4.8 TFLOP/s on VGG16's convolutions where f32 gives 0.4) and by moving half
 * the bytes. */

#include "glia/ops.h"
#include "passes/pass.h"

/* Work for each element moved from which the casts pay. */
static const double LEAST_FLOPS_AN_ELEMENT = 50;

/* The bf16 forms, by value of `from`. */
static glia_value **forms(const glia_rewrite *r) {
    return r->notes;
}

static void begin(glia_rewrite *r) {
    if (!r->options->bf16) return;
    r->notes = glia__arena_alloc(&r->arena, (r->from->n_values + 1) * sizeof(glia_value *));
    if (!r->notes)
        glia_graph_fail(r->to, GLIA_OUT_OF_MEMORY, NULL, "out of memory while planning the program");
}

static glia_value *cast(glia_rewrite *r, const glia_value *like, glia_value *x, glia_dtype dtype) {
    if (!x) return NULL;
    glia_graph_set_scope(r->to, like->name);
    glia_value *y = glia_op_cast(x, dtype);
    r->to->scope = "";
    return y;
}

static glia_value *full(glia_rewrite *r, const glia_value *value) {
    if (!value) return NULL;
    if (!r->map[value->id]) r->map[value->id] = cast(r, value, forms(r)[value->id], GLIA_F32);
    return r->map[value->id];
}

static glia_value *half(glia_rewrite *r, const glia_value *value) {
    glia_value **form = &forms(r)[value->id];
    if (!*form) *form = cast(r, value, r->map[value->id], GLIA_BF16);
    return *form;
}

/* Whether an input carries activations or their gradients: f32, and neither a parameter nor made of parameters alone. Of
 * an op that knows images, only those: what else it reads are statistics. */
static bool carries_activations(const glia_rewrite *r, const glia_node *node, int input) {
    const glia_value *value = node->inputs[input];
    if (!value || value->type.dtype != GLIA_F32 || r->fixed[value->id]) return false;
    return !node->op->images || (node->op->images >> input & 1);
}

/* The types of a node that runs in bf16; false when its op does not. */
static bool types_in_half(const glia_rewrite *r, const glia_node *node, glia_type *in, glia_type *out) {
    bool any = false;
    for (int i = 0; i < GLIA_MAX_INPUTS; i++) {
        const glia_value *x = i < node->n_inputs ? node->inputs[i] : NULL;
        in[i] = x ? x->type : (glia_type){.shape = {.rank = -1}};
        if (i >= node->n_inputs || !carries_activations(r, node, i)) continue;
        in[i].dtype = GLIA_BF16;
        any = true;
    }
    for (int o = 0; o < GLIA_MAX_OUTPUTS; o++) out[o] = (glia_type){0};
    return any && node->op->infer(in, node->n_inputs, node->attrs, out, NULL) == GLIA_OK;
}

/* Elements that a run moves. Parameters are packed once where they do not change. */
static double moved_elems(const glia_rewrite *r, const glia_node *node) {
    double elems = 0;
    for (int o = 0; o < node->n_outputs; o++) elems += (double)glia_shape_elems(&node->outputs[o].type.shape);
    for (int i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] && (r->options->training || carries_activations(r, node, i)))
            elems += (double)glia_shape_elems(&node->inputs[i]->type.shape);
    return elems;
}

static bool is_worth_it(const glia_rewrite *r, const glia_node *node, const glia_type *in,
                        const glia_type *out) {
    const glia_op *op = node->op;
    return op->flops && op->flops(in, out, node->attrs) > LEAST_FLOPS_AN_ELEMENT * moved_elems(r, node) &&
           glia__find_kernel(r, op->name, in, node->n_inputs, out, node->n_outputs, node->attrs);
}

/* An op between those that are worth it, one of whose inputs is there in bf16. */
static bool follows(const glia_rewrite *r, const glia_node *node, const glia_type *out) {
    const glia_op *op = node->op;
    const bool between = (op->traits & (GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_ALIAS)) || op->images;
    for (int i = 0; i < node->n_inputs && between && out[0].dtype == GLIA_BF16; i++)
        if (carries_activations(r, node, i) && forms(r)[node->inputs[i]->id]) return true;
    return false;
}

static void apply_half(glia_rewrite *r, const glia_node *node) {
    glia_value *inputs[GLIA_MAX_INPUTS];
    for (int i = 0; i < node->n_inputs; i++) {
        const glia_value *x = node->inputs[i];
        inputs[i] = carries_activations(r, node, i) ? half(r, x) : full(r, x);
    }
    glia_value *y = glia__rewrite_apply(r, node, node->op->name, inputs, node->n_inputs, node->attrs);
    for (int o = 0; y && o < node->n_outputs; o++) {
        glia_value *result = glia_value_sibling(y, o);
        (result->type.dtype == GLIA_BF16 ? forms(r) : r->map)[node->outputs[o].id] = result;
    }
}

static bool rewrite_node(glia_rewrite *r, const glia_node *node) {
    if (!r->notes) return false;
    glia_type in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS];
    if (types_in_half(r, node, in, out) && (is_worth_it(r, node, in, out) || follows(r, node, out))) {
        apply_half(r, node);
    } else {
        for (int i = 0; i < node->n_inputs; i++) (void)full(r, node->inputs[i]);
        glia__rewrite_copy(r, node);
    }
    for (int o = 0; o < node->n_outputs; o++)
        if (r->is_output[node->outputs[o].id]) (void)full(r, &node->outputs[o]);
    return true;
}

GLIA_PASS(precision) = {
    .name = "precision",
    .doc = "bf16 between convolutions and matrix products, f32 elsewhere, when the program asks for it",
    .order = 30,
    .begin = begin,
    .node = rewrite_node,
};
