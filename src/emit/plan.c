/* plan.c: from a graph to functions and arrays. What depends on constants alone is computed here and now; reshapes are other
 * names of the same array; element-wise nodes ride on the node that makes what only they read. */

#include "emit/emit.h"
#include "exec/program.h"
#include "passes/pass.h"

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while writing C");
}

const glia_value *glia__emit_root(const glia_value *value) {
    while (value->node && !value->data && (value->node->op->traits & GLIA_TRAIT_ALIAS))
        value = value->node->inputs[0];
    return value;
}

/* --- constants ------------------------------------------------------------------------------------------- */

static bool is_known(const glia_node *node) {
    if (node->n_inputs == 0 || (node->op->traits & (GLIA_TRAIT_RANDOM | GLIA_TRAIT_ALIAS))) return false;
    for (int i = 0; i < node->n_inputs; i++) {
        const bool shape_only = node->op->shape_only >> i & 1;
        if (node->inputs[i] && !shape_only && !glia__emit_root(node->inputs[i])->data) return false;
    }
    return true;
}

/* Runs the node's ref; its outputs become constants. */
static glia_status compute(emit_plan *p, const glia_node *node, glia_error *err) {
    glia_view in[GLIA_MAX_INPUTS] = {0}, out[GLIA_MAX_OUTPUTS];
    glia_type types[GLIA_MAX_INPUTS + GLIA_MAX_OUTPUTS];
    const glia_step step = {.training = false};
    for (int i = 0; i < node->n_inputs; i++) {
        const glia_value *x = node->inputs[i];
        if (!x) continue;
        types[i] = x->type;
        in[i] = (glia_view){(void *)(uintptr_t)glia__emit_root(x)->data, x->type.dtype, x->type.shape};
    }
    for (int o = 0; o < node->n_outputs; o++) {
        const glia_type *type = &node->outputs[o].type;
        const size_t bytes = (size_t)glia_shape_elems(&type->shape) * glia_dtype_bytes(type->dtype);
        types[GLIA_MAX_INPUTS + o] = *type;
        out[o] = (glia_view){glia__arena_alloc(&p->arena, bytes + 1), type->dtype, type->shape};
        if (!out[o].data) return out_of_memory(err);
    }
    const size_t workspace =
        node->op->workspace ? node->op->workspace(types, types + GLIA_MAX_INPUTS, node->attrs) : 0;
    void *memory = glia__alloc_aligned(p->arena.allocator, workspace + 1, 64);
    if (!memory) return out_of_memory(err);
    const glia_status status = node->op->ref(&(glia_call){.attrs = node->attrs,
                                                          .in = in,
                                                          .out = out,
                                                          .n_in = node->n_inputs,
                                                          .n_out = node->n_outputs,
                                                          .workspace = memory,
                                                          .step = &step,
                                                          .node = node->name,
                                                          .err = err});
    glia__free(p->arena.allocator, memory, workspace + 1);
    for (int o = 0; o < node->n_outputs && status == GLIA_OK; o++) node->outputs[o].data = out[o].data;
    return status;
}

/* --- functions ------------------------------------------------------------------------------------------- */

/* Readers of each array, by value id of its root: nodes, not counting reshapes; an output is one reader more. */
typedef struct readers {
    int *count;
    const glia_node **only;
    bool *done; /* by node: known, or rides on another */
    bool *needed;
    bool *ready; /* by value: there when the function at hand begins */
} readers;

static bool open_readers(emit_plan *p, readers *r) {
    const size_t values = p->graph->n_values + 1, nodes = p->graph->n_nodes + 1;
    r->count = glia__arena_alloc(&p->arena, values * sizeof *r->count);
    r->only = glia__arena_alloc(&p->arena, values * sizeof *r->only);
    r->ready = glia__arena_alloc(&p->arena, values * sizeof *r->ready);
    r->done = glia__arena_alloc(&p->arena, nodes * sizeof *r->done);
    r->needed = glia__arena_alloc(&p->arena, nodes * sizeof *r->needed);
    return r->count && r->only && r->ready && r->done && r->needed;
}

static void count_readers(const emit_plan *p, readers *r) {
    for (size_t n = 0; n < p->graph->n_nodes; n++) {
        const glia_node *node = p->graph->nodes[n];
        if (!r->needed[n] || r->done[n] || (node->op->traits & GLIA_TRAIT_ALIAS)) continue;
        for (int i = 0; i < node->n_inputs; i++) {
            if (!node->inputs[i]) continue;
            const int64_t id = glia__emit_root(node->inputs[i])->id;
            if (r->only[id] == node) continue;
            r->count[id]++;
            r->only[id] = node;
        }
    }
    for (int o = 0; o < p->n_outputs; o++) r->count[glia__emit_root(p->outputs[o])->id] += 2;
}

static bool has_expression(const glia_node *node) {
    glia_type in[GLIA_MAX_INPUTS] = {{0}};
    if (!(node->op->traits & GLIA_TRAIT_ELEMENTWISE) || node->n_outputs != 1 || node->n_inputs > 3)
        return false;
    for (int i = 0; i < node->n_inputs; i++)
        if (!node->inputs[i])
            return false;
        else
            in[i] = node->inputs[i]->type;
    return glia__c_expr_text(node->op, in, &node->outputs[0].type, node->attrs) != NULL;
}

/* The node that may ride behind `value`: it alone reads it, keeps its size and type, and what else it reads is there. */
static const glia_node *rider_of(const readers *r, const glia_value *value) {
    const glia_node *node = r->count[value->id] == 1 ? r->only[value->id] : NULL;
    if (!node || !has_expression(node)) return NULL;
    const glia_type *y = &node->outputs[0].type;
    const int64_t elems = glia_shape_elems(&y->shape);
    if (y->dtype != value->type.dtype || elems != glia_shape_elems(&value->type.shape)) return NULL;
    for (int i = 0; i < node->n_inputs; i++) {
        const glia_value *x = glia__emit_root(node->inputs[i]);
        const int64_t size = glia_shape_elems(&x->type.shape);
        if (x == value) continue;
        if ((size != elems && size != 1) || !(x->data || r->ready[x->id])) return NULL;
    }
    return node;
}

static void add_function(emit_plan *p, readers *r, const glia_node *node) {
    emit_function *f = &p->functions[p->n_functions++];
    *f = (emit_function){.node = node, .result = &node->outputs[0]};
    const glia_node *rider;
    while (f->n_riders < EMIT_RIDERS && (rider = rider_of(r, f->result))) {
        f->riders[f->n_riders++] = rider;
        f->result = &rider->outputs[0];
        r->done[rider->id] = true;
    }
    for (int o = 0; o < node->n_outputs; o++) r->ready[node->outputs[o].id] = true;
    r->ready[f->result->id] = true;
}

static glia_status list_functions(emit_plan *p, glia_error *err) {
    readers r;
    p->functions = glia__arena_alloc(&p->arena, (p->graph->n_nodes + 1) * sizeof *p->functions);
    if (!open_readers(p, &r) || !p->functions) return out_of_memory(err);
    glia__graph_mark(p->graph, p->outputs, p->n_outputs, r.needed);
    for (size_t n = 0; n < p->graph->n_nodes; n++) {
        const glia_node *node = p->graph->nodes[n];
        if (!r.needed[n] || !is_known(node)) continue;
        GLIA_TRY(compute(p, node, err));
        r.done[n] = true;
    }
    count_readers(p, &r);
    for (int i = 0; i < p->n_inputs; i++) r.ready[p->inputs[i]->id] = true;
    for (size_t n = 0; n < p->graph->n_nodes; n++) {
        const glia_node *node = p->graph->nodes[n];
        if (r.needed[n] && !r.done[n] && !(node->op->traits & GLIA_TRAIT_ALIAS)) add_function(p, &r, node);
    }
    return GLIA_OK;
}

/* --- arrays ---------------------------------------------------------------------------------------------- */

static int add_array(emit_plan *p, const glia_value *value, const char *label) {
    emit_array *array = &p->arrays[p->n_arrays];
    *array = (emit_array){.data = value->data,
                          .type = value->type,
                          .elems = glia_shape_elems(&value->type.shape),
                          .label = label,
                          .input = -1,
                          .output = -1,
                          .first = -1,
                          .last = -1};
    p->array_of[value->id] = p->n_arrays;
    return p->n_arrays++;
}

/* Room for every value, for constants in another order, and for what is a function's alone. */
static glia_status list_arrays(emit_plan *p, glia_error *err) {
    const size_t values = p->graph->n_values + 1;
    const size_t most = values + p->graph->n_nodes * (GLIA_MAX_INPUTS + GLIA_C_OWN);
    p->arrays = glia__arena_alloc(&p->arena, most * sizeof *p->arrays);
    p->array_of = glia__arena_alloc(&p->arena, values * sizeof *p->array_of);
    p->copied = glia__arena_alloc(&p->arena, (size_t)(p->n_outputs + 1) * sizeof *p->copied);
    if (!p->arrays || !p->array_of || !p->copied) return out_of_memory(err);
    for (size_t v = 0; v < values; v++) p->array_of[v] = -1;
    for (int i = 0; i < p->n_inputs; i++) p->arrays[add_array(p, p->inputs[i], "")].input = i;
    for (size_t v = 0; v < p->graph->n_values; v++) {
        const glia_value *value = p->graph->values[v];
        if (p->array_of[v] < 0 && glia__emit_root(value) == value) add_array(p, value, value->name);
    }
    for (int o = 0; o < p->n_outputs; o++) {
        const int array = p->array_of[glia__emit_root(p->outputs[o])->id];
        emit_array *a = &p->arrays[array];
        p->copied[o] = a->data || a->input >= 0 || a->output >= 0 ? array : -1;
        if (p->copied[o] < 0) a->output = o;
    }
    return GLIA_OK;
}

/* --- the graph ------------------------------------------------------------------------------------------- */

/* A copy with its dimensions known, without dropout, and with what passes make smaller. */
static glia_status bind(emit_plan *p, const glia_graph *graph, glia_value *const *inputs,
                        glia_value *const *outputs, glia_error *err) {
    glia_pass_options options = {
        .fixed_params = true, .c = true, .threads = 1, .allocator = p->arena.allocator};
    glia_value **map = glia__arena_alloc(&p->arena, (graph->n_values + 1) * sizeof *map);
    p->inputs = glia__arena_alloc(&p->arena, (size_t)(p->n_inputs + 1) * sizeof *p->inputs);
    p->outputs = glia__arena_alloc(&p->arena, (size_t)(p->n_outputs + 1) * sizeof *p->outputs);
    if (!map || !p->inputs || !p->outputs) return out_of_memory(err);
    memcpy(options.dims, p->options->dims, sizeof options.dims);
    GLIA_TRY(glia__rewrite_all(&p->graph, map, graph->n_values, graph, outputs, p->n_outputs, &options, false,
                               err));
    for (int o = 0; o < p->n_outputs; o++) p->outputs[o] = map[outputs[o]->id];
    for (int i = 0; i < p->n_inputs; i++) {
        p->inputs[i] = map[inputs[i]->id];
        if (!p->inputs[i])
            return glia_error_set(err, GLIA_INVALID_ARGUMENT, "input '%s' is not read by the model",
                                  inputs[i]->name);
    }
    return GLIA_OK;
}

glia_status glia__emit_plan(emit_plan *p, const glia_graph *graph, glia_value *const *inputs, int n_inputs,
                            glia_value *const *outputs, int n_outputs, glia_error *err) {
    p->n_inputs = n_inputs;
    p->n_outputs = n_outputs;
    GLIA_TRY(bind(p, graph, inputs, outputs, err));
    GLIA_TRY(list_functions(p, err));
    return list_arrays(p, err);
}

void glia__emit_plan_free(emit_plan *p) {
    glia__text_free(&p->code);
    glia_graph_free(p->graph);
    glia__arena_free(&p->arena);
}

/* --- places ---------------------------------------------------------------------------------------------- */

/* The arena has a part for each dtype, so that no memory is ever two types. */
static glia_status place_part(emit_plan *p, glia_dtype dtype, glia_buffer *buffers, int *order, int *placed,
                              glia_error *err) {
    int count = 0;
    for (int a = 0; a < p->n_arrays; a++) {
        const emit_array *array = &p->arrays[a];
        buffers[a] = (glia_buffer){.bytes = (size_t)array->elems * glia_dtype_bytes(array->type.dtype),
                                   .first = array->first,
                                   .last = array->last};
        if (array->in_arena && array->type.dtype == dtype) order[count++] = a;
        if (buffers[a].bytes > INT32_MAX)
            return glia_error_set(err, GLIA_UNSUPPORTED, "'%s' is larger than 2 GB", array->label);
    }
    enum { ALIGNMENT = 16 };
    p->part_bytes[dtype] = glia__place_buffers(buffers, order, placed, count, ALIGNMENT);
    for (int i = 0; i < count; i++) p->arrays[order[i]].offset = buffers[order[i]].offset;
    return GLIA_OK;
}

glia_status glia__emit_place(emit_plan *p, glia_error *err) {
    const size_t n = (size_t)p->n_arrays + 1;
    glia_buffer *buffers = glia__arena_alloc(&p->arena, n * sizeof *buffers);
    int *order = glia__arena_alloc(&p->arena, n * sizeof *order);
    int *placed = glia__arena_alloc(&p->arena, n * sizeof *placed);
    if (!buffers || !order || !placed) return out_of_memory(err);
    for (int dtype = 0; dtype < GLIA_DTYPE_COUNT; dtype++)
        GLIA_TRY(place_part(p, (glia_dtype)dtype, buffers, order, placed, err));
    return GLIA_OK;
}
