/* cut.c: how a call may be cut along dimension 0, by what its op says, and what a chunk of it looks like. */

#include "exec/program.h"

/* An elementwise op: the inputs that have the output's rows. Flat when all may be seen as one dimension. */
static glia_cut elementwise_cut(const glia_node *node) {
    const glia_shape *out = &node->outputs[0].type.shape;
    glia_cut cut = {.flat = true};
    for (int i = 0; i < node->n_inputs; i++) {
        if (!node->inputs[i]) continue;
        const glia_shape *in = &node->inputs[i]->type.shape;
        if (glia_shape_elems(in) == 1) continue;
        if (!glia_shape_equal(in, out)) cut.flat = false;
        if (in->rank == out->rank && out->rank > 0 && in->dim[0] == out->dim[0]) cut.inputs |= 1u << i;
    }
    cut.rows = cut.flat        ? (glia_shape_elems(out) + GLIA_FLAT_ROW - 1) / GLIA_FLAT_ROW
               : out->rank > 0 ? out->dim[0]
                               : 0;
    return cut;
}

/* Dimension 0 of the first input that is cut. */
static int64_t rows_of(const glia_node *node, uint32_t inputs) {
    for (int i = 0; i < node->n_inputs; i++)
        if (inputs >> i & 1) return node->inputs[i]->type.shape.dim[0];
    return 0;
}

glia_cut glia__call_cut(const glia_node *node) {
    const glia_op *op = node->op;
    if (op->traits & GLIA_TRAIT_ELEMENTWISE) return elementwise_cut(node);
    glia_type in[GLIA_MAX_INPUTS];
    for (int i = 0; i < GLIA_MAX_INPUTS; i++)
        in[i] = i < node->n_inputs && node->inputs[i] ? node->inputs[i]->type
                                                      : (glia_type){.shape = {.rank = -1}};
    glia_cut cut = {.inputs = op->rows ? op->rows(in, node->n_inputs, node->attrs) : 0};
    if (!cut.inputs && op->sums) {
        cut.inputs = op->sums(in, node->n_inputs, node->attrs);
        cut.sums = cut.inputs != 0;
    }
    cut.rows = rows_of(node, cut.inputs);
    return cut;
}

static bool is_cut(const glia_planned_call *call, int operand) {
    const int n_in = call->node->n_inputs;
    return operand < n_in ? call->cut.inputs >> operand & 1 : !call->cut.sums;
}

void glia__cut_types(const glia_planned_call *call, int64_t chunk, glia_type *types) {
    for (int i = 0; i < call->node->n_inputs + call->node->n_outputs; i++) {
        types[i] = (glia_type){call->views[i].dtype, call->views[i].shape};
        if (call->buffers[i] < 0)
            types[i].shape.rank = -1;
        else if (is_cut(call, i) && call->cut.rows && !call->cut.flat)
            types[i].shape.dim[0] = chunk;
    }
}

void glia__cut_view(const glia_planned_call *call, int operand, int64_t begin, int64_t end, glia_view *view) {
    if (!is_cut(call, operand)) return;
    int64_t stride = 1;
    if (call->cut.flat) {
        const int64_t elems = glia_shape_elems(&view->shape);
        begin = GLIA_MIN(begin * GLIA_FLAT_ROW, elems);
        end = GLIA_MIN(end * GLIA_FLAT_ROW, elems);
        view->shape.rank = 1;
    } else {
        for (int d = 1; d < view->shape.rank; d++) stride *= view->shape.dim[d];
    }
    view->shape.dim[0] = end - begin;
    if (view->data)
        view->data = (char *)view->data + (size_t)(begin * stride) * glia_dtype_bytes(view->dtype);
}
