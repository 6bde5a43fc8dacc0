/* graph.c: the graph's memory, its sticky error, sources and look-ups. */

#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>

glia_graph *glia_graph_new(const glia_allocator *allocator) {
    glia_graph *graph = glia__calloc(allocator, 1, sizeof *graph);
    if (!graph) return NULL;
    graph->allocator = allocator;
    graph->scope = "";
    glia__arena_init(&graph->arena, allocator);
    return graph;
}

void glia_graph_free(glia_graph *graph) {
    if (!graph) return;
    const glia_allocator *allocator = graph->allocator;
    glia__arena_free(&graph->arena);
    glia__free(allocator, graph->nodes, graph->capacity_nodes * sizeof *graph->nodes);
    glia__free(allocator, graph->values, graph->capacity_values * sizeof *graph->values);
    glia__free(allocator, graph, sizeof *graph);
}

glia_status glia_graph_status(const glia_graph *graph, glia_error *err) {
    if (!graph) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory: there is no graph");
    if (graph->error.status != GLIA_OK && err && err->status == GLIA_OK) *err = graph->error;
    return graph->error.status;
}

glia_value *glia_graph_fail(glia_graph *graph, glia_status status, const char *node, const char *format,
                            ...) {
    if (!graph || graph->error.status != GLIA_OK) return NULL;
    char message[sizeof graph->error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    (void)glia_error_set(&graph->error, status, "%s", message);
    if (!node) node = graph->scope;
    snprintf(graph->error.node, sizeof graph->error.node, "%s", node);
    return NULL;
}

static glia_value *out_of_memory(glia_graph *graph) {
    return glia_graph_fail(graph, GLIA_OUT_OF_MEMORY, NULL, "out of memory while building the graph");
}

void glia_graph_set_scope(glia_graph *graph, const char *scope) {
    if (!graph) return;
    char *copy = scope && *scope ? glia__arena_strdup(&graph->arena, scope) : "";
    if (!copy) {
        out_of_memory(graph);
        return;
    }
    graph->scope = copy;
}

/* Doubles an array of pointers when it is full. */
static bool reserve(const glia_allocator *allocator, void **array, size_t count, size_t *capacity) {
    if (count < *capacity) return true;
    size_t wanted = *capacity ? 2 * *capacity : 32;
    void *grown = glia__grow(allocator, *array, *capacity, wanted, sizeof(void *));
    if (!grown) return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

bool glia__graph_add_value(glia_graph *graph, glia_value *value) {
    if (!reserve(graph->allocator, (void **)&graph->values, graph->n_values, &graph->capacity_values))
        return false;
    value->graph = graph;
    value->id = (int64_t)graph->n_values;
    graph->values[graph->n_values++] = value;
    return true;
}

bool glia__graph_add_node(glia_graph *graph, glia_node *node) {
    if (!reserve(graph->allocator, (void **)&graph->nodes, graph->n_nodes, &graph->capacity_nodes))
        return false;
    node->id = (int64_t)graph->n_nodes;
    graph->nodes[graph->n_nodes++] = node;
    return true;
}

bool glia__shape_is_absurd(const glia_shape *shape) {
    glia_shape known = *shape;
    for (int i = 0; i < known.rank; i++)
        if (known.dim[i] <= 0) known.dim[i] = 1;
    int64_t elems = glia_shape_elems(&known);
    return elems < 0 || elems > INT64_MAX / 1024;
}

static glia_value *new_source(glia_graph *graph, glia_value_kind kind, const char *name, glia_dtype dtype,
                              glia_shape shape) {
    glia_value *value = glia__arena_alloc(&graph->arena, sizeof *value);
    if (!value) return out_of_memory(graph);
    value->kind = kind;
    value->type = (glia_type){dtype, shape};
    value->name = glia__arena_strdup(&graph->arena, name);
    if (!value->name || !glia__graph_add_value(graph, value)) return out_of_memory(graph);
    return value;
}

static glia_value *add_source(glia_graph *graph, glia_value_kind kind, const char *name, glia_dtype dtype,
                              glia_shape shape) {
    if (!graph || graph->error.status != GLIA_OK) return NULL;
    if (shape.rank < 0 || shape.rank > GLIA_MAX_RANK)
        return glia_graph_fail(graph, GLIA_BAD_SHAPE, name, "'%s' has more than %d dimensions", name,
                               GLIA_MAX_RANK);
    for (int i = 0; i < shape.rank; i++)
        if (shape.dim[i] < -GLIA_DIM_SYMBOLS)
            return glia_graph_fail(graph, GLIA_BAD_SHAPE, name,
                                   "dimension %d of '%s' is %lld; expected 0 or more", i, name,
                                   (long long)shape.dim[i]);
    if (glia__shape_is_absurd(&shape))
        return glia_graph_fail(graph, GLIA_BAD_SHAPE, name, "'%s' has too many elements", name);
    if (kind != GLIA_VALUE_CONST)
        for (size_t i = 0; i < graph->n_values; i++)
            if (!graph->values[i]->node && strcmp(graph->values[i]->name, name) == 0)
                return glia_graph_fail(graph, GLIA_INVALID_ARGUMENT, name, "the name '%s' is used twice",
                                       name);
    return new_source(graph, kind, name, dtype, shape);
}

glia_value *glia_graph_input(glia_graph *graph, const char *name, glia_dtype dtype, glia_shape shape) {
    return add_source(graph, GLIA_VALUE_INPUT, name ? name : "input", dtype, shape);
}

glia_value *glia_graph_param(glia_graph *graph, const char *name, glia_dtype dtype, glia_shape shape) {
    if (graph && !glia_shape_is_known(&shape))
        return glia_graph_fail(graph, GLIA_BAD_SHAPE, name, "parameter '%s' cannot have a symbolic dimension",
                               name ? name : "");
    return add_source(graph, GLIA_VALUE_PARAM, name ? name : "param", dtype, shape);
}

glia_value *glia_graph_const(glia_graph *graph, const glia_tensor *data) {
    if (!graph || !data) return NULL;
    if (glia_shape_elems(&data->shape) < 0)
        return glia_graph_fail(graph, GLIA_BAD_SHAPE, NULL,
                               "a constant needs a shape without symbolic dimensions");
    glia_value *value = add_source(graph, GLIA_VALUE_CONST, "const", data->dtype, data->shape);
    if (!value) return NULL;
    size_t bytes = glia_tensor_bytes(data);
    void *copy = glia__arena_alloc(&graph->arena, bytes ? bytes : 1);
    if (!copy) return out_of_memory(graph);
    if (bytes) memcpy(copy, data->data, bytes);
    value->data = copy;
    return value;
}

bool glia__graph_takes_whole(const glia_graph *graph, const glia_value *input) {
    bool any = !glia_dtype_is_float(input->type.dtype);
    for (size_t n = 0; n < graph->n_nodes; n++)
        for (int i = 0; i < graph->nodes[n]->n_inputs; i++) {
            if (graph->nodes[n]->inputs[i] != input) continue;
            if (glia_dtype_is_float(graph->nodes[n]->outputs[0].type.dtype))
                return !glia_dtype_is_float(input->type.dtype);
            any = true;
        }
    return any;
}

glia_value *glia__graph_copy_source(glia_graph *graph, const glia_value *source, glia_shape shape) {
    glia_value *value = new_source(graph, source->kind, source->name, source->type.dtype, shape);
    if (value) value->data = source->data;
    return value;
}

glia_value *glia_graph_scalar(glia_graph *graph, glia_dtype dtype, double number) {
    if (!graph) return NULL;
    double storage = 0; /* wide enough for every dtype */
    glia_tensor scalar = glia_tensor_wrap(&storage, dtype, (glia_shape){0});
    glia_tensor_set(&scalar, 0, number);
    return glia_graph_const(graph, &scalar);
}

glia_graph *glia__graph_of(glia_value *const *inputs, int count) {
    for (int i = 0; i < count; i++)
        if (inputs[i]) return inputs[i]->graph;
    return NULL;
}

void glia__graph_mark(const glia_graph *graph, glia_value *const *outputs, int count, bool *marks) {
    for (size_t i = 0; i < graph->n_nodes; i++) marks[i] = false;
    for (int i = 0; i < count; i++)
        if (outputs[i] && outputs[i]->node) marks[outputs[i]->node->id] = true;
    /* Inputs of a node always come before it, so one pass from the end is enough. */
    for (size_t i = graph->n_nodes; i-- > 0;) {
        if (!marks[i]) continue;
        const glia_node *node = graph->nodes[i];
        for (int k = 0; k < node->n_inputs; k++)
            if (node->inputs[k] && node->inputs[k]->node) marks[node->inputs[k]->node->id] = true;
    }
}

glia_value *glia_value_sibling(glia_value *value, int index) {
    if (!value || !value->node || index < 0 || index >= value->node->n_outputs) return NULL;
    return &value->node->outputs[index];
}

glia_graph *glia_value_graph(const glia_value *value) {
    return value ? value->graph : NULL;
}
glia_value_kind glia_value_get_kind(const glia_value *value) {
    return value ? value->kind : GLIA_VALUE_CONST;
}
const char *glia_value_name(const glia_value *value) {
    return value ? value->name : "";
}
glia_dtype glia_value_dtype(const glia_value *value) {
    return value ? value->type.dtype : GLIA_F32;
}
glia_shape glia_value_shape(const glia_value *value) {
    return value ? value->type.shape : (glia_shape){.rank = -1};
}
const char *glia_value_op(const glia_value *value) {
    return value && value->node ? value->node->op->name : "";
}
int64_t glia_graph_node_count(const glia_graph *graph) {
    return graph ? (int64_t)graph->n_nodes : 0;
}
