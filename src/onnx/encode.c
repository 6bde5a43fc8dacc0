/* encode.c: the lists of a model as the bytes of protobuf, which are the same for the same lists.
 *
 * A message inside a message is preceded by its length. Messages are made from the inside out, in small buffers; the
 * data of arrays, which may be gigabytes, are counted but never copied. */
#include <inttypes.h>
#include <stdio.h>

#include "glia/version.h"
#include "onnx/proto.h"
#include "onnx/write.h"

/* --- protobuf --------------------------------------------------------------------------------------------- */

static void put_varint(glia_text *out, uint64_t value) {
    unsigned char bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (unsigned char)((value & 127) | (value > 127 ? 128 : 0));
    } while (value >>= 7);
    glia__text_add_bytes(out, bytes, count);
}

static void put_tag(glia_text *out, int field, int wire) {
    put_varint(out, (uint64_t)field << 3 | (uint64_t)wire);
}

static void put_int(glia_text *out, int field, int64_t value) {
    put_tag(out, field, GLIA_WIRE_VARINT);
    put_varint(out, (uint64_t)value);
}

static void put_bytes(glia_text *out, int field, const void *data, size_t bytes) {
    put_tag(out, field, GLIA_WIRE_BYTES);
    put_varint(out, bytes);
    glia__text_add_bytes(out, data, bytes);
}

static void put_string(glia_text *out, int field, const char *text) {
    put_bytes(out, field, text, strlen(text));
}

static void put_float(glia_text *out, int field, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const unsigned char bytes[] = {(unsigned char)bits, (unsigned char)(bits >> 8),
                                   (unsigned char)(bits >> 16), (unsigned char)(bits >> 24)};
    put_tag(out, field, GLIA_WIRE_I32);
    glia__text_add_bytes(out, bytes, sizeof bytes);
}

/* A message, made in `inner`, as a field of `out`; frees it. */
static void put_message(glia_text *out, int field, glia_text *inner) {
    put_bytes(out, field, inner->data, inner->length);
    out->failed |= inner->failed;
    glia__text_free(inner);
}

static glia_text message(const glia_text *like) {
    glia_text text;
    glia__text_init(&text, like->allocator);
    return text;
}

/* --- messages of ONNX ------------------------------------------------------------------------------------- */

static void put_attribute(glia_text *out, const glia_to_onnx_attr *a) {
    static const int types[] = {[GLIA_TO_INT] = GLIA_ONNX_INT,       [GLIA_TO_FLOAT] = GLIA_ONNX_FLOAT,
                                [GLIA_TO_TEXT] = GLIA_ONNX_STRING,   [GLIA_TO_INTS] = GLIA_ONNX_INTS,
                                [GLIA_TO_FLOATS] = GLIA_ONNX_FLOATS, [GLIA_TO_TEXTS] = GLIA_ONNX_STRINGS,
                                [GLIA_TO_DTYPE] = GLIA_ONNX_INT};
    glia_text m = message(out);
    put_string(&m, GLIA_ONNX_ATTR_NAME, a->name);
    if (a->kind == GLIA_TO_INT) put_int(&m, GLIA_ONNX_ATTR_I, a->value.i);
    if (a->kind == GLIA_TO_DTYPE)
        put_int(&m, GLIA_ONNX_ATTR_I, glia__onnx_dtype_number((glia_dtype)a->value.i));
    if (a->kind == GLIA_TO_FLOAT) put_float(&m, GLIA_ONNX_ATTR_F, a->value.f);
    if (a->kind == GLIA_TO_TEXT) put_string(&m, GLIA_ONNX_ATTR_S, a->value.text);
    if (a->kind == GLIA_TO_TEXTS) put_string(&m, GLIA_ONNX_ATTR_STRINGS, a->value.text);
    for (int i = 0; i < a->count && a->kind == GLIA_TO_INTS; i++)
        put_int(&m, GLIA_ONNX_ATTR_INTS, a->value.ints[i]);
    for (int i = 0; i < a->count && a->kind == GLIA_TO_FLOATS; i++)
        put_float(&m, GLIA_ONNX_ATTR_FLOATS, a->value.floats[i]);
    put_int(&m, GLIA_ONNX_ATTR_TYPE, types[a->kind]);
    put_message(out, GLIA_ONNX_NODE_ATTRIBUTE, &m);
}

static void put_node(glia_text *out, const glia_to_onnx_node *node) {
    glia_text m = message(out);
    for (int i = 0; i < node->n_inputs; i++) put_string(&m, GLIA_ONNX_NODE_INPUT, node->inputs[i]);
    for (int o = 0; o < node->n_outputs; o++) put_string(&m, GLIA_ONNX_NODE_OUTPUT, node->outputs[o]);
    put_string(&m, GLIA_ONNX_NODE_NAME, node->name);
    put_string(&m, GLIA_ONNX_NODE_OP_TYPE, node->type);
    for (const glia_to_onnx_attr *a = node->attrs; a; a = a->next) put_attribute(&m, a);
    put_message(out, GLIA_ONNX_GRAPH_NODE, &m);
}

/* The name of a dimension that is known only at run time. */
static void put_symbol(glia_text *out, int64_t dim) {
    char text[16];
    if (dim == GLIA_DIM_BATCH || dim == GLIA_DIM_TIME)
        snprintf(text, sizeof text, dim == GLIA_DIM_BATCH ? "N" : "T");
    else
        snprintf(text, sizeof text, "D%d", (int)-dim);
    put_string(out, GLIA_ONNX_DIM_PARAM, text);
}

static void put_value_info(glia_text *out, int field, const char *name, const glia_type *type) {
    glia_text m = message(out), outer = message(out), tensor = message(out), shape = message(out);
    for (int i = 0; i < type->shape.rank; i++) {
        glia_text dim = message(out);
        if (type->shape.dim[i] < 0)
            put_symbol(&dim, type->shape.dim[i]);
        else
            put_int(&dim, GLIA_ONNX_DIM_VALUE, type->shape.dim[i]);
        put_message(&shape, GLIA_ONNX_SHAPE_DIM, &dim);
    }
    put_int(&tensor, GLIA_ONNX_TENSOR_TYPE_ELEM, glia__onnx_dtype_number(type->dtype));
    put_message(&tensor, GLIA_ONNX_TENSOR_TYPE_SHAPE, &shape);
    put_message(&outer, GLIA_ONNX_TYPE_TENSOR, &tensor);
    put_string(&m, GLIA_ONNX_VALUE_NAME, name);
    put_message(&m, GLIA_ONNX_VALUE_TYPE, &outer);
    put_message(out, field, &m);
}

static void put_entry(glia_text *out, int field, const char *key, const char *value) {
    glia_text m = message(out);
    put_string(&m, GLIA_ONNX_METADATA_KEY, key);
    put_string(&m, GLIA_ONNX_METADATA_VALUE, value);
    put_message(out, field, &m);
}

/* --- arrays ----------------------------------------------------------------------------------------------- */

static uint64_t array_bytes(const glia_to_onnx_array *array) {
    return (uint64_t)glia_shape_elems(&array->shape) * glia_dtype_bytes(array->dtype);
}

bool glia__onnx_is_external(const glia_to_onnx_array *array, uint64_t threshold) {
    return threshold && array_bytes(array) >= threshold;
}

/* Everything of a TensorProto but the data, which come after it: begin with the fields, end with the tag and length
 * of raw_data. */
static void put_array_head(glia_text *out, const glia_to_onnx_array *array) {
    for (int i = 0; i < array->shape.rank; i++) put_int(out, GLIA_ONNX_TENSOR_DIMS, array->shape.dim[i]);
    put_int(out, GLIA_ONNX_TENSOR_DATA_TYPE, glia__onnx_dtype_number(array->dtype));
    put_string(out, GLIA_ONNX_TENSOR_NAME, array->name);
}

static void put_external(glia_text *out, const char *location, uint64_t offset, uint64_t bytes) {
    char number[24];
    put_entry(out, GLIA_ONNX_TENSOR_EXTERNAL_DATA, "location", location);
    snprintf(number, sizeof number, "%" PRIu64, offset);
    put_entry(out, GLIA_ONNX_TENSOR_EXTERNAL_DATA, "offset", number);
    snprintf(number, sizeof number, "%" PRIu64, bytes);
    put_entry(out, GLIA_ONNX_TENSOR_EXTERNAL_DATA, "length", number);
    put_int(out, GLIA_ONNX_TENSOR_DATA_LOCATION, GLIA_ONNX_LOCATION_EXTERNAL);
}

/* --- the file --------------------------------------------------------------------------------------------- */

typedef struct encoding {
    glia_onnx_bytes *bytes;
    glia_arena *arena;
    bool failed;
} encoding;

static void add_piece(encoding *e, const void *data, uint64_t bytes) {
    glia_onnx_bytes *b = e->bytes;
    if (b->n_pieces == b->capacity) {
        const size_t capacity = b->capacity ? 2 * b->capacity : 64;
        glia_onnx_piece *grown = glia__arena_alloc(e->arena, capacity * sizeof *grown);
        e->failed |= !grown;
        if (!grown) return;
        if (b->n_pieces) memcpy(grown, b->pieces, b->n_pieces * sizeof *grown);
        b->pieces = grown;
        b->capacity = capacity;
    }
    b->pieces[b->n_pieces++] = (glia_onnx_piece){data, (size_t)bytes};
    b->total += bytes;
}

/* The text that was added since the last piece becomes one. */
static void end_text(encoding *e, size_t *begin) {
    const size_t length = e->bytes->text.length;
    if (length > *begin) add_piece(e, NULL, length - *begin);
    *begin = length;
}

/* One array; `begin` is where the text begins that is no piece yet. Little-endian machines only, as everywhere. */
static void put_array(encoding *e, const glia_to_onnx_array *array, uint64_t threshold, const char *location,
                      size_t *begin) {
    glia_text *out = &e->bytes->text, head = message(out);
    const uint64_t bytes = array_bytes(array);
    put_array_head(&head, array);
    if (glia__onnx_is_external(array, threshold)) {
        const uint64_t offset = glia__onnx_aligned(e->bytes->external);
        put_external(&head, location, offset, bytes);
        e->bytes->external = offset + bytes;
        put_message(out, GLIA_ONNX_GRAPH_INITIALIZER, &head);
        return;
    }
    put_tag(&head, GLIA_ONNX_TENSOR_RAW_DATA, GLIA_WIRE_BYTES);
    put_varint(&head, bytes);
    put_tag(out, GLIA_ONNX_GRAPH_INITIALIZER, GLIA_WIRE_BYTES);
    put_varint(out, head.length + bytes);
    glia__text_add_bytes(out, head.data, head.length);
    out->failed |= head.failed;
    glia__text_free(&head);
    end_text(e, begin);
    if (bytes) add_piece(e, array->data, bytes);
}

/* The graph, without the tag and length before it. */
static void put_graph(encoding *e, const glia_onnx_out *model, uint64_t threshold, const char *location) {
    glia_text *out = &e->bytes->text;
    size_t begin = 0;
    for (const glia_to_onnx_node *n = model->lists.nodes; n; n = n->next) put_node(out, n);
    put_string(out, GLIA_ONNX_GRAPH_NAME, model->name);
    for (const glia_to_onnx_array *a = model->lists.arrays; a; a = a->next)
        put_array(e, a, threshold, location, &begin);
    const glia_inference *f = model->inference;
    for (int i = 0; i < f->n_inputs; i++)
        put_value_info(out, GLIA_ONNX_GRAPH_INPUT, model->inputs[i], &f->inputs[i]->type);
    for (int o = 0; o < f->n_outputs; o++)
        put_value_info(out, GLIA_ONNX_GRAPH_OUTPUT, model->outputs[o], &f->outputs[o]->type);
    end_text(e, &begin);
}

/* The IR version of the release that brought the opset. */
static int ir_version(int opset) {
    return opset < 15 ? 7 : opset < 19 ? 8 : opset < 21 ? 9 : opset < 23 ? 10 : 11;
}

/* What stands before the graph in the file. */
static void put_head(glia_text *out, const glia_onnx_out *model) {
    glia_text opset = message(out);
    put_int(out, GLIA_ONNX_MODEL_IR_VERSION, ir_version(model->lists.opset));
    put_string(out, GLIA_ONNX_MODEL_PRODUCER_NAME, "glia");
    put_string(out, GLIA_ONNX_MODEL_PRODUCER_VERSION, glia_version());
    put_int(&opset, GLIA_ONNX_OPSET_VERSION, model->lists.opset);
    put_message(out, GLIA_ONNX_MODEL_OPSET_IMPORT, &opset);
    for (size_t i = 0; i < model->n_metadata; i++)
        put_entry(out, GLIA_ONNX_MODEL_METADATA, model->metadata[i].key, model->metadata[i].value);
}

glia_status glia__onnx_encode(glia_onnx_bytes *bytes, const glia_onnx_out *model, uint64_t threshold,
                              const char *location, glia_arena *arena, glia_error *err) {
    *bytes = (glia_onnx_bytes){.total = 0};
    glia__text_init(&bytes->text, arena->allocator);
    encoding e = {bytes, arena, false};
    glia_text head = message(&bytes->text);
    add_piece(&e, NULL, 0); /* the head, whose last number is the length of what follows */
    put_graph(&e, model, threshold, location);
    put_head(&head, model);
    put_tag(&head, GLIA_ONNX_MODEL_GRAPH, GLIA_WIRE_BYTES);
    put_varint(&head, bytes->total);
    void *own = glia__arena_copy(arena, head.data, head.length);
    if (!e.failed) bytes->pieces[0] = (glia_onnx_piece){own, head.length};
    bytes->total += head.length;
    e.failed |= head.failed || bytes->text.failed || !own;
    glia__text_free(&head);
    return e.failed ? glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory") : GLIA_OK;
}
