/* write.c: walks an inference graph and lets every op say what it is in ONNX. */
#include "onnx/write.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct walk {
    glia_onnx_out *out;
    const char **names; /* by value; NULL: none yet */
    bool *read;         /* by value: somebody needs it */
} walk;

/* What was read from a file is called as it was there. */
static const char *name_of(const glia_value *value) {
    return value->file_name ? value->file_name : value->name;
}

/* Inputs and outputs first: they keep their names when others want them too. */
static void name_ends(walk *k) {
    glia_to_onnx *w = &k->out->lists;
    const glia_inference *f = k->out->inference;
    char text[32];
    for (int i = 0; i < f->n_inputs; i++) {
        k->out->inputs[i] = glia__to_onnx_name(w, name_of(f->inputs[i]));
        k->names[f->inputs[i]->id] = k->out->inputs[i];
    }
    for (int o = 0; o < f->n_outputs; o++) {
        snprintf(text, sizeof text, o ? "output_%d" : "output", o + 1);
        const char *given = f->outputs[o]->node ? f->outputs[o]->file_name : NULL;
        k->out->outputs[o] = glia__to_onnx_name(w, given ? given : text);
        k->read[f->outputs[o]->id] = true;
        /* A source, or a value that is an output twice, is passed on by a node of its own at the end. */
        if (f->outputs[o]->node && !k->names[f->outputs[o]->id])
            k->names[f->outputs[o]->id] = k->out->outputs[o];
    }
}

/* Parameters keep their names, so they come before the nodes. Only those that are read. */
static void add_arrays(walk *k) {
    const glia_graph *graph = k->out->inference->graph;
    for (int pass = 0; pass < 2; pass++)
        for (size_t v = 0; v < graph->n_values; v++) {
            const glia_value *value = graph->values[v];
            const bool constant = value->kind == GLIA_VALUE_CONST;
            if (!k->read[v] || value->node || value->kind == GLIA_VALUE_INPUT || constant != (pass == 1))
                continue;
            k->names[v] = glia__to_onnx_name(&k->out->lists, name_of(value));
            glia__to_onnx_borrow(&k->out->lists, k->names[v], &value->type, value->data, constant);
        }
}

static const char *output_name(walk *k, const glia_value *value) {
    char text[512];
    if (!k->read[value->id]) return "";
    if (k->names[value->id]) return k->names[value->id];
    if (value->file_name || !value->index)
        return k->names[value->id] = glia__to_onnx_name(&k->out->lists, name_of(value));
    snprintf(text, sizeof text, "%.480s.%d", value->name, value->index);
    return k->names[value->id] = glia__to_onnx_name(&k->out->lists, text);
}

static glia_status add_node(walk *k, const glia_node *node) {
    glia_to_onnx *w = &k->out->lists;
    w->node = node;
    for (int i = 0; i < GLIA_MAX_INPUTS; i++)
        w->x[i] = i < node->n_inputs && node->inputs[i] ? k->names[node->inputs[i]->id] : "";
    for (int o = 0; o < GLIA_MAX_OUTPUTS; o++)
        w->y[o] = o < node->n_outputs ? output_name(k, &node->outputs[o]) : "";
    glia__to_onnx_op(w);
    return w->status;
}

static glia_status add_all(walk *k) {
    glia_to_onnx *w = &k->out->lists;
    const glia_inference *f = k->out->inference;
    for (size_t n = 0; n < f->graph->n_nodes; n++)
        for (int i = 0; i < f->graph->nodes[n]->n_inputs; i++)
            if (f->graph->nodes[n]->inputs[i]) k->read[f->graph->nodes[n]->inputs[i]->id] = true;
    name_ends(k);
    add_arrays(k);
    for (size_t n = 0; n < f->graph->n_nodes && w->status == GLIA_OK; n++)
        GLIA_TRY(add_node(k, f->graph->nodes[n]));
    for (int o = 0; o < f->n_outputs; o++) {
        const char *name = k->names[f->outputs[o]->id];
        if (name != k->out->outputs[o]) GLIA_TO_ONNX(w, k->out->outputs[o], "Identity", name);
    }
    return w->status;
}

/* --- order of the arrays ----------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    const glia_to_onnx_array *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static void append(glia_to_onnx *w, glia_to_onnx_array *array) {
    array->next = NULL;
    if (w->last_array)
        w->last_array->next = array;
    else
        w->arrays = array;
    w->last_array = array;
}

/* Puts the arrays in the order in which nodes read them, whatever made them: then a file that is read and written again has
 * them in the same one. */
static glia_status sort_arrays(glia_to_onnx *w) {
    size_t count = 0, at = 0;
    for (glia_to_onnx_array *a = w->arrays; a; a = a->next) count++;
    glia_to_onnx_array **all = glia__arena_alloc(w->arena, (count + 1) * sizeof *all);
    bool *placed = glia__arena_alloc(w->arena, count + 1);
    if (!all || !placed) return glia_error_set(w->err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (glia_to_onnx_array *a = w->arrays; a; a = a->next) all[at++] = a;
    qsort(all, count, sizeof *all, by_name);
    w->arrays = w->last_array = NULL;
    for (const glia_to_onnx_node *n = w->nodes; n; n = n->next)
        for (int i = 0; i < n->n_inputs; i++) {
            const glia_to_onnx_array key = {.name = n->inputs[i]}, *const wanted = &key;
            glia_to_onnx_array **found = bsearch(&wanted, all, count, sizeof *all, by_name);
            if (!found || placed[found - all]) continue;
            placed[found - all] = true;
            append(w, *found);
        }
    return GLIA_OK;
}

glia_status glia__onnx_lists(glia_onnx_out *out, const glia_inference *inference, int opset,
                             glia_arena *arena, glia_error *err) {
    *out = (glia_onnx_out){
        .lists = {.opset = opset, .arena = arena, .err = err}, .inference = inference, .name = "model"};
    const size_t values = inference->graph->n_values + 1;
    walk k = {out, glia__arena_alloc(arena, values * sizeof *k.names), glia__arena_alloc(arena, values)};
    if (!k.names || !k.read) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    GLIA_TRY(add_all(&k));
    return sort_arrays(&out->lists);
}
