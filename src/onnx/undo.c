/* undo.c: ops that undo what the op before them did are left out as they are read. ONNX wants dimensions elsewhere than Glia
 * does (steps first, height and width of 1 after a global pool), so that what Glia wrote is full of them: without them it is
 * read as what it was, and written again as the same file. */

#include "onnx/read.h"

/* The node that made the value, when it is this op. */
static const glia_node *made_by(const glia_value *x, const char *op) {
    return x && x->node && strcmp(x->node->op->name, op) == 0 ? x->node : NULL;
}

glia_value *glia__onnx_transposed(glia_value *x, glia_transpose_attrs a) {
    const glia_node *before = made_by(x, "transpose");
    const glia_shape *first = before ? &((const glia_transpose_attrs *)before->attrs)->perm : NULL;
    bool undone = before && a.perm.rank > 0 && first->rank == a.perm.rank;
    for (int i = 0; undone && i < a.perm.rank; i++)
        undone = a.perm.dim[i] >= 0 && a.perm.dim[i] < first->rank && first->dim[a.perm.dim[i]] == i;
    return undone ? before->inputs[0] : glia_op_transpose(x, a);
}

static bool same_axes(const glia_shape *a, const glia_shape *b, int rank) {
    bool same = a->rank == b->rank;
    for (int i = 0; i < a->rank && same; i++) {
        int x = -1, y = -2;
        same = glia__axis_resolve(a->dim[i], rank, &x) && glia__axis_resolve(b->dim[i], rank, &y) && x == y;
    }
    return same;
}

glia_value *glia__onnx_squeezed(glia_value *x, glia_squeeze_attrs a) {
    const glia_node *before = made_by(x, "unsqueeze");
    const glia_squeeze_attrs *added = before ? before->attrs : NULL;
    return added && same_axes(&a.axes, &added->axes, x->type.shape.rank) ? before->inputs[0]
                                                                         : glia_op_squeeze(x, a);
}

glia_value *glia__onnx_flattened(glia_value *x, glia_flatten_attrs a) {
    const glia_node *before = made_by(x, "unsqueeze");
    const glia_squeeze_attrs *added = before ? before->attrs : NULL;
    bool last = before && a.axis == 1 && before->inputs[0]->type.shape.rank == 2;
    for (int i = 0; last && i < added->axes.rank; i++) last = added->axes.dim[i] == 2 + i;
    return last ? before->inputs[0] : glia_op_flatten(x, a);
}

/* The shape is x's behind a first dimension of 1. */
static bool is_one_of(const glia_shape *whole, const glia_shape *x) {
    bool same = whole->rank == x->rank + 1 && whole->dim[0] == 1;
    for (int i = 0; i < x->rank && same; i++) same = whole->dim[i + 1] == x->dim[i];
    return same;
}

/* Entry k of the constant is `order`'s inverse at k. */
static bool is_inverse(const glia_value *constant, const int *order, int count) {
    bool same = constant->kind == GLIA_VALUE_CONST && constant->type.dtype == GLIA_I64 &&
                glia_shape_elems(&constant->type.shape) == count;
    for (int k = 0; k < count && same; k++) {
        const int64_t at = ((const int64_t *)constant->data)[k];
        same = at >= 0 && at < count && order[at] == k;
    }
    return same;
}

glia_value *glia__onnx_gates_undone(glia_value *x, const int *order, int gates) {
    const glia_node *node = made_by(x, "reshape");
    if (!node) return NULL;
    if (gates > 1) {
        const glia_node *gather = made_by(node->inputs[0], "gather");
        if (!gather || ((const glia_gather_attrs *)gather->attrs)->axis != 1 ||
            !is_inverse(gather->inputs[1], order, gates))
            return NULL;
        node = made_by(gather->inputs[0], "reshape");
        if (!node || node->outputs[0].type.shape.rank != 3 || node->outputs[0].type.shape.dim[1] != gates)
            return NULL;
    }
    return is_one_of(&x->type.shape, &node->inputs[0]->type.shape) ? node->inputs[0] : NULL;
}
