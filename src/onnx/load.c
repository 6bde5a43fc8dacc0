/* load.c: opens an ONNX file: the tables of its messages, and what must hold of them before anything is built. */

#include <stdio.h>
#include <stdlib.h>

#include "onnx/proto.h"

/* --- tables ---------------------------------------------------------------------------------------------- */

#define AT(type, member) offsetof(type, member)
#define FIELD(n, k, type, member) \
    .number = (n), .kind = GLIA_WIRE_##k, .offset = AT(type, member), .name = #member
#define COUNTED(n, k, type, member, counter) FIELD(n, k, type, member), .count = AT(type, counter)

static const glia_wire_message pair_opset = {
    "OperatorSetIdProto", sizeof(glia_onnx_pair),
    (const glia_wire_field[]){{FIELD(GLIA_ONNX_OPSET_DOMAIN, TEXT, glia_onnx_pair, key)},
                              {FIELD(GLIA_ONNX_OPSET_VERSION, INT, glia_onnx_pair, number)},
                              {0}}};
static const glia_wire_message pair_text = {
    "StringStringEntryProto", sizeof(glia_onnx_pair),
    (const glia_wire_field[]){{FIELD(GLIA_ONNX_METADATA_KEY, TEXT, glia_onnx_pair, key)},
                              {FIELD(GLIA_ONNX_METADATA_VALUE, TEXT, glia_onnx_pair, text)},
                              {0}}};

#define T glia_onnx_tensor
static const glia_wire_message tensor_proto = {
    "TensorProto", sizeof(T),
    (const glia_wire_field[]){
        {COUNTED(GLIA_ONNX_TENSOR_DIMS, INTS, T, dims, n_dims)},
        {FIELD(GLIA_ONNX_TENSOR_DATA_TYPE, INT, T, data_type)},
        {COUNTED(GLIA_ONNX_TENSOR_FLOAT_DATA, FIXED32, T, floats, floats_bytes)},
        {COUNTED(GLIA_ONNX_TENSOR_INT32_DATA, INTS, T, int32s, n_int32s)},
        {FIELD(GLIA_ONNX_TENSOR_STRING_DATA, SEEN, T, texts)},
        {COUNTED(GLIA_ONNX_TENSOR_INT64_DATA, INTS, T, int64s, n_int64s)},
        {FIELD(GLIA_ONNX_TENSOR_NAME, TEXT, T, name)},
        {COUNTED(GLIA_ONNX_TENSOR_RAW_DATA, DATA, T, raw, raw_bytes)},
        {COUNTED(GLIA_ONNX_TENSOR_DOUBLE_DATA, FIXED64, T, doubles, doubles_bytes)},
        {COUNTED(GLIA_ONNX_TENSOR_UINT64_DATA, INTS, T, uint64s, n_uint64s)},
        {COUNTED(GLIA_ONNX_TENSOR_EXTERNAL_DATA, MESSAGES, T, external, n_external), .message = &pair_text},
        {FIELD(GLIA_ONNX_TENSOR_DATA_LOCATION, INT, T, location)},
        {0}}};
#undef T

#define T glia_onnx_attr
static const glia_wire_message attribute_proto = {
    "AttributeProto", sizeof(T),
    (const glia_wire_field[]){{FIELD(GLIA_ONNX_ATTR_NAME, TEXT, T, name)},
                              {FIELD(GLIA_ONNX_ATTR_F, FLOAT, T, f)},
                              {FIELD(GLIA_ONNX_ATTR_I, INT, T, i)},
                              {COUNTED(GLIA_ONNX_ATTR_S, DATA, T, s, s_bytes)},
                              {FIELD(GLIA_ONNX_ATTR_T, MESSAGE, T, tensor), .message = &tensor_proto},
                              {FIELD(GLIA_ONNX_ATTR_G, SEEN, T, graph)},
                              {COUNTED(GLIA_ONNX_ATTR_FLOATS, FIXED32, T, floats, floats_bytes)},
                              {COUNTED(GLIA_ONNX_ATTR_INTS, INTS, T, ints, n_ints)},
                              {COUNTED(GLIA_ONNX_ATTR_STRINGS, TEXTS, T, strings, n_strings)},
                              {FIELD(GLIA_ONNX_ATTR_TYPE, INT, T, type)},
                              {0}}};
#undef T

#define T glia_onnx_node
static const glia_wire_message node_proto = {
    "NodeProto", sizeof(T),
    (const glia_wire_field[]){
        {COUNTED(GLIA_ONNX_NODE_INPUT, TEXTS, T, inputs, n_inputs)},
        {COUNTED(GLIA_ONNX_NODE_OUTPUT, TEXTS, T, outputs, n_outputs)},
        {FIELD(GLIA_ONNX_NODE_NAME, TEXT, T, name)},
        {FIELD(GLIA_ONNX_NODE_OP_TYPE, TEXT, T, op_type)},
        {COUNTED(GLIA_ONNX_NODE_ATTRIBUTE, MESSAGES, T, attrs, n_attrs), .message = &attribute_proto},
        {FIELD(GLIA_ONNX_NODE_DOMAIN, TEXT, T, domain)},
        {0}}};
#undef T

static const glia_wire_message dim_proto = {
    "TensorShapeProto.Dimension", sizeof(glia_onnx_dim),
    (const glia_wire_field[]){{COUNTED(GLIA_ONNX_DIM_VALUE, INT, glia_onnx_dim, value, has_value)},
                              {FIELD(GLIA_ONNX_DIM_PARAM, TEXT, glia_onnx_dim, param)},
                              {0}}};
static const glia_wire_message shape_proto = {
    "TensorShapeProto", sizeof(glia_onnx_dims),
    (const glia_wire_field[]){
        {COUNTED(GLIA_ONNX_SHAPE_DIM, MESSAGES, glia_onnx_dims, dims, n_dims), .message = &dim_proto}, {0}}};
static const glia_wire_message tensor_type_proto = {
    "TypeProto.Tensor", sizeof(glia_onnx_tensor_type),
    (const glia_wire_field[]){
        {FIELD(GLIA_ONNX_TENSOR_TYPE_ELEM, INT, glia_onnx_tensor_type, elem_type)},
        {FIELD(GLIA_ONNX_TENSOR_TYPE_SHAPE, MESSAGE, glia_onnx_tensor_type, shape), .message = &shape_proto},
        {0}}};
static const glia_wire_message type_proto = {
    "TypeProto", sizeof(glia_onnx_type),
    (const glia_wire_field[]){
        {FIELD(GLIA_ONNX_TYPE_TENSOR, MESSAGE, glia_onnx_type, tensor), .message = &tensor_type_proto}, {0}}};
static const glia_wire_message value_proto = {
    "ValueInfoProto", sizeof(glia_onnx_value),
    (const glia_wire_field[]){
        {FIELD(GLIA_ONNX_VALUE_NAME, TEXT, glia_onnx_value, name)},
        {FIELD(GLIA_ONNX_VALUE_TYPE, MESSAGE, glia_onnx_value, type), .message = &type_proto},
        {0}}};

#define T glia_onnx_graph
static const glia_wire_message graph_proto = {
    "GraphProto", sizeof(T),
    (const glia_wire_field[]){
        {COUNTED(GLIA_ONNX_GRAPH_NODE, MESSAGES, T, nodes, n_nodes), .message = &node_proto},
        {FIELD(GLIA_ONNX_GRAPH_NAME, TEXT, T, name)},
        {COUNTED(GLIA_ONNX_GRAPH_INITIALIZER, MESSAGES, T, initializers, n_initializers),
         .message = &tensor_proto},
        {COUNTED(GLIA_ONNX_GRAPH_INPUT, MESSAGES, T, inputs, n_inputs), .message = &value_proto},
        {COUNTED(GLIA_ONNX_GRAPH_OUTPUT, MESSAGES, T, outputs, n_outputs), .message = &value_proto},
        {FIELD(GLIA_ONNX_GRAPH_SPARSE_INITIALIZER, SEEN, T, sparse)},
        {0}}};
#undef T

#define T glia_onnx_model
static const glia_wire_message model_proto = {
    "ModelProto", sizeof(T),
    (const glia_wire_field[]){
        {FIELD(GLIA_ONNX_MODEL_IR_VERSION, INT, T, ir_version)},
        {FIELD(GLIA_ONNX_MODEL_PRODUCER_NAME, TEXT, T, producer)},
        {FIELD(GLIA_ONNX_MODEL_PRODUCER_VERSION, TEXT, T, producer_version)},
        {FIELD(GLIA_ONNX_MODEL_GRAPH, MESSAGE, T, graph), .message = &graph_proto},
        {COUNTED(GLIA_ONNX_MODEL_OPSET_IMPORT, MESSAGES, T, opsets, n_opsets), .message = &pair_opset},
        {COUNTED(GLIA_ONNX_MODEL_METADATA, MESSAGES, T, metadata, n_metadata), .message = &pair_text},
        {FIELD(GLIA_ONNX_MODEL_FUNCTIONS, SEEN, T, functions)},
        {0}}};
#undef T

/* --- opening --------------------------------------------------------------------------------------------- */

static glia_status bad(const glia_onnx *file, glia_error *err, const char *what) {
    (void)glia_error_set(err, GLIA_BAD_FORMAT, "%s", what);
    glia_error_at(err, file->path, 0, 0);
    return GLIA_BAD_FORMAT;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the initialisers, sorted, to be searched. */
static const char **sorted_initializers(glia_onnx *file) {
    const glia_onnx_graph *graph = file->model.graph;
    const char **names = glia__arena_alloc(&file->arena, (graph->n_initializers + 1) * sizeof *names);
    for (size_t i = 0; names && i < graph->n_initializers; i++) names[i] = graph->initializers[i].name;
    if (names) qsort(names, graph->n_initializers, sizeof *names, by_name);
    return names;
}

/* Every name is there; initialisers that are listed as inputs, as all were before IR 4, are none. */
static glia_status check_names(glia_onnx *file, glia_error *err) {
    const glia_onnx_graph *graph = file->model.graph;
    for (size_t i = 0; i < graph->n_initializers; i++)
        if (!graph->initializers[i].name || !*graph->initializers[i].name)
            return bad(file, err, "an initializer has no name");
    for (size_t i = 0; i < graph->n_nodes; i++)
        if (!graph->nodes[i].op_type) return bad(file, err, "a node has no op_type");
    for (size_t i = 0; i < graph->n_outputs; i++)
        if (!graph->outputs[i].name) return bad(file, err, "an output has no name");
    file->inputs = glia__arena_alloc(&file->arena, (graph->n_inputs + 1) * sizeof *file->inputs);
    const char **initializers = sorted_initializers(file);
    if (!file->inputs || !initializers) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; i < graph->n_inputs; i++) {
        if (!graph->inputs[i].name) return bad(file, err, "an input has no name");
        if (!bsearch(&graph->inputs[i].name, initializers, graph->n_initializers, sizeof *initializers,
                     by_name))
            file->inputs[file->n_inputs++] = &graph->inputs[i];
    }
    return GLIA_OK;
}

static glia_status check_model(glia_onnx *file, glia_error *err) {
    const glia_onnx_model *model = &file->model;
    if (!model->graph) return bad(file, err, "the file holds no graph: it is no ONNX model");
    if (model->ir_version < 1) return bad(file, err, "the file has no ir_version: it is no ONNX model");
    for (size_t i = 0; i < model->n_opsets; i++) {
        const glia_onnx_pair *opset = &model->opsets[i];
        if (!opset->key || !*opset->key || strcmp(opset->key, "ai.onnx") == 0) file->opset = opset->number;
    }
    return check_names(file, err);
}

static glia_status new_file(glia_onnx **out, const char *path, const glia_allocator *allocator,
                            glia_error *err) {
    *out = NULL;
    glia_onnx *file = glia__calloc(allocator, 1, sizeof *file);
    if (!file) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    file->allocator = allocator;
    glia__arena_init(&file->arena, allocator);
    file->path = glia__arena_strdup(&file->arena, path);
    glia_status status = file->path ? glia__map_open(&file->map, path, err)
                                    : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (status != GLIA_OK)
        glia_onnx_close(file);
    else
        *out = file;
    return status;
}

static glia_status read_file(glia_onnx *file, const glia_wire_message *message, void *object,
                             glia_error *err) {
    const glia_wire_reader reader = {.file = file->map.data,
                                     .arena = &file->arena,
                                     .budget = ((size_t)1 << 20) + 24 * file->map.bytes,
                                     .path = file->path,
                                     .err = err};
    return glia__wire_read(&reader, message, file->map.data, file->map.bytes, object);
}

glia_status glia_onnx_open(glia_onnx **out, const char *path, const glia_allocator *allocator,
                           glia_error *err) {
    glia_onnx *file;
    *out = NULL;
    GLIA_TRY(new_file(&file, path, allocator, err));
    glia_status status = read_file(file, &model_proto, &file->model, err);
    if (status == GLIA_OK) status = check_model(file, err);
    if (status != GLIA_OK)
        glia_onnx_close(file);
    else
        *out = file;
    return status;
}

glia_status glia__onnx_open_tensor(glia_onnx **out, const char *path, glia_onnx_tensor *tensor,
                                   glia_error *err) {
    glia_onnx *file;
    *out = NULL;
    GLIA_TRY(new_file(&file, path, NULL, err));
    glia_status status = read_file(file, &tensor_proto, tensor, err);
    if (status == GLIA_OK) status = glia__onnx_tensor_check(file, tensor, err);
    if (status != GLIA_OK)
        glia_onnx_close(file);
    else
        *out = file;
    return status;
}
