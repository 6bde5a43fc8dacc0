/* fold.c: nodes whose inputs are constants are computed when the file is read, by the plain loops of their ops. */

#include "onnx/read.h"

/* Constants only, and no more memory than is left. Ops that differ from run to run are none to fold. */
static bool foldable(const glia_node *node, size_t budget) {
    if (node->op->traits & (GLIA_TRAIT_RANDOM | GLIA_TRAIT_TRAINING_ONLY)) return false;
    for (int i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] && node->inputs[i]->kind != GLIA_VALUE_CONST) return false;
    for (int o = 0; o < node->n_outputs; o++) {
        const glia_type *type = &node->outputs[o].type;
        const int64_t elems = glia_shape_elems(&type->shape);
        if (elems < 0 || (size_t)elems > budget / glia_dtype_bytes(type->dtype)) return false;
        budget -= (size_t)elems * glia_dtype_bytes(type->dtype);
    }
    return true;
}

typedef struct fold_call {
    glia_view in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS];
    glia_type in_types[GLIA_MAX_INPUTS], out_types[GLIA_MAX_OUTPUTS];
} fold_call;

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while computing constants");
}

static glia_status run(const glia_node *node, fold_call *f, const glia_allocator *allocator,
                       glia_error *err) {
    static const glia_step step = {.seed = 0};
    const glia_op *op = node->op;
    const size_t bytes = op->workspace ? op->workspace(f->in_types, f->out_types, node->attrs) : 0;
    void *workspace = bytes ? glia__alloc_aligned(allocator, bytes, 64) : NULL;
    if (bytes && !workspace) return out_of_memory(err);
    const glia_call call = {.attrs = node->attrs,
                            .in = f->in,
                            .out = f->out,
                            .n_in = node->n_inputs,
                            .n_out = node->n_outputs,
                            .workspace = workspace,
                            .step = &step,
                            .node = node->name,
                            .err = err};
    glia_status status = op->ref(&call);
    glia__free(allocator, workspace, bytes);
    return status;
}

/* Computes the node; its values become constants where they are, so that who holds them need not be told. */
static glia_status fold_node(glia_graph *graph, glia_node *node, size_t *budget, glia_error *err) {
    fold_call f = {0};
    for (int i = 0; i < node->n_inputs; i++) {
        const glia_value *x = node->inputs[i];
        f.in_types[i] = x ? x->type : (glia_type){.shape = {.rank = -1}};
        if (x) f.in[i] = (glia_view){(void *)(uintptr_t)x->data, x->type.dtype, x->type.shape};
    }
    for (int o = 0; o < node->n_outputs; o++) {
        const glia_type type = node->outputs[o].type;
        const size_t bytes = (size_t)glia_shape_elems(&type.shape) * glia_dtype_bytes(type.dtype);
        f.out_types[o] = type;
        f.out[o] = (glia_view){glia__arena_alloc(&graph->arena, bytes + 1), type.dtype, type.shape};
        if (!f.out[o].data) return out_of_memory(err);
        *budget -= GLIA_MIN(bytes, *budget);
    }
    GLIA_TRY(run(node, &f, graph->allocator, err));
    for (int o = 0; o < node->n_outputs; o++) {
        node->outputs[o].kind = GLIA_VALUE_CONST;
        node->outputs[o].data = f.out[o].data;
        node->outputs[o].node = NULL;
    }
    return GLIA_OK;
}

glia_status glia__onnx_fold(glia_graph *graph, size_t first, size_t *budget, glia_error *err) {
    size_t kept = first;
    glia_status status = GLIA_OK;
    for (size_t i = first; i < graph->n_nodes; i++) {
        glia_node *node = graph->nodes[i];
        if (status == GLIA_OK && foldable(node, *budget)) {
            status = fold_node(graph, node, budget, err);
            if (status == GLIA_OK) continue;
        }
        node->id = (int64_t)kept;
        graph->nodes[kept++] = node;
    }
    graph->n_nodes = kept;
    return status;
}
