/* one_to_one.c: operators that are ops of Glia's with the same attributes: read by the op's own block. */

#include "onnx/read.h"

const glia_op *glia__onnx_find_op(const char *op_type, int64_t opset) {
    for (size_t i = 0; i < glia__ops_count; i++) {
        const glia_op *op = glia__ops[i];
        if (op->onnx && strcmp(op->onnx, op_type) == 0 && opset >= op->onnx_since &&
            !(op->traits & GLIA_TRAIT_INTERNAL))
            return op;
    }
    return NULL;
}

static void set_ints(glia_onnx_read *r, const glia_field *field, const char *name, char *place) {
    if (field->kind == GLIA_FIELD_DIMS) {
        glia_shape dims;
        if (glia__onnx_dims(r, name, &dims)) memcpy(place, &dims, sizeof dims);
    } else {
        int count = field->count;
        (void)glia__onnx_int_list(r, name, (int64_t *)(void *)place, count, &count);
    }
}

/* Sets the field from the node's attribute, if it is there. */
static void set_field(glia_onnx_read *r, const glia_field *field, void *attrs) {
    const char *name = field->onnx ? field->onnx : field->name;
    char *place = (char *)attrs + field->offset;
    if (!glia__onnx_has_attr(r, name)) return;
    switch (field->kind) {
    case GLIA_FIELD_INT:
        *(int64_t *)(void *)place = glia__onnx_int(r, name, 0);
        break;
    case GLIA_FIELD_FLOAT:
        *(double *)(void *)place = glia__onnx_float(r, name, 0);
        break;
    case GLIA_FIELD_BOOL:
        *(glia_bool *)(void *)place = glia__onnx_int(r, name, 0) ? GLIA_YES : GLIA_NO;
        break;
    case GLIA_FIELD_CHOICE:
        *(int *)(void *)place = glia__onnx_choice(r, name, field->choices, 0);
        break;
    case GLIA_FIELD_INTS:
    case GLIA_FIELD_DIMS:
        set_ints(r, field, name, place);
        break;
    default:
        break; /* stays unasked, and is refused */
    }
}

void glia__onnx_one_to_one(glia_onnx_read *r, glia_value *const *inputs, int count) {
    const glia_op *op = glia__onnx_find_op(r->node->op_type, r->opset);
    glia_value *own[GLIA_MAX_INPUTS];
    if (!op) {
        (void)glia__onnx_refuse(r, "the operator is not supported in this opset");
        return;
    }
    const int n_out = op->n_outputs ? op->n_outputs : 1;
    if (!inputs) {
        if (r->n_in > GLIA_MAX_INPUTS) {
            (void)glia__onnx_refuse(r, "it has %d inputs; expected at most %d", r->n_in, GLIA_MAX_INPUTS);
            return;
        }
        for (count = 0; count < r->n_in; count++) own[count] = glia__onnx_in(r, count);
        inputs = own;
    }
    void *attrs = op->attrs ? glia__arena_alloc(&r->graph->arena, op->attrs_size) : NULL;
    if (op->attrs && !attrs) {
        (void)glia__onnx_refuse(r, "out of memory");
        return;
    }
    if (op->attrs) glia__fields_init(op->attrs, attrs);
    for (const glia_field *f = op->attrs; f && f->name; f++) set_field(r, f, attrs);
    if (r->refused) return;
    glia_value *y = glia_graph_apply(r->graph, op->name, inputs, count, attrs);
    for (int k = 0; k < r->n_out && k < n_out; k++) r->out[k] = glia_value_sibling(y, k);
}
