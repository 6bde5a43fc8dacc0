/* onnx_bytes.h: ONNX files made byte by byte, well or badly, for tests. */
#ifndef GLIA_TESTS_ONNX_BYTES_H
#define GLIA_TESTS_ONNX_BYTES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/fields.h"

typedef struct buffer {
    unsigned char data[1 << 16];
    size_t count;
} buffer;

static inline void put_raw(buffer *b, const void *data, size_t count) {
    if (b->count + count > sizeof b->data) abort();
    memcpy(b->data + b->count, data, count);
    b->count += count;
}

static inline void put_varint(buffer *b, uint64_t value) {
    for (; value >= 0x80; value >>= 7) put_raw(b, &(unsigned char){(unsigned char)(value | 0x80)}, 1);
    put_raw(b, &(unsigned char){(unsigned char)value}, 1);
}

static inline void put_int(buffer *b, int field, int64_t value) {
    put_varint(b, (uint64_t)field << 3 | GLIA_WIRE_VARINT);
    put_varint(b, (uint64_t)value);
}

static inline void put_data(buffer *b, int field, const void *data, size_t count) {
    put_varint(b, (uint64_t)field << 3 | GLIA_WIRE_BYTES);
    put_varint(b, count);
    put_raw(b, data, count);
}

static inline void put_text(buffer *b, int field, const char *text) {
    put_data(b, field, text, strlen(text));
}

static inline void put_message(buffer *b, int field, const buffer *message) {
    put_data(b, field, message->data, message->count);
}

/* An input or output; dimensions of -1 are open, all of one name. */
static inline void put_value(buffer *graph, int field, const char *name, int dtype, const int64_t *dims,
                             int rank) {
    static buffer value, type, tensor, shape, dim;
    value.count = type.count = tensor.count = shape.count = 0;
    for (int i = 0; i < rank; i++) {
        dim.count = 0;
        if (dims[i] < 0)
            put_text(&dim, GLIA_ONNX_DIM_PARAM, "N");
        else
            put_int(&dim, GLIA_ONNX_DIM_VALUE, dims[i]);
        put_message(&shape, GLIA_ONNX_SHAPE_DIM, &dim);
    }
    put_int(&tensor, GLIA_ONNX_TENSOR_TYPE_ELEM, dtype);
    put_message(&tensor, GLIA_ONNX_TENSOR_TYPE_SHAPE, &shape);
    put_message(&type, GLIA_ONNX_TYPE_TENSOR, &tensor);
    put_text(&value, GLIA_ONNX_VALUE_NAME, name);
    put_message(&value, GLIA_ONNX_VALUE_TYPE, &type);
    put_message(graph, field, &value);
}

static inline void put_tensor_head(buffer *tensor, const char *name, int dtype, const int64_t *dims,
                                   int rank) {
    tensor->count = 0;
    for (int i = 0; i < rank; i++) put_int(tensor, GLIA_ONNX_TENSOR_DIMS, dims[i]);
    put_int(tensor, GLIA_ONNX_TENSOR_DATA_TYPE, dtype);
    put_text(tensor, GLIA_ONNX_TENSOR_NAME, name);
}

static inline void put_initializer(buffer *graph, const char *name, int dtype, const int64_t *dims, int rank,
                                   const void *data, size_t count) {
    static buffer tensor;
    put_tensor_head(&tensor, name, dtype, dims, rank);
    put_data(&tensor, GLIA_ONNX_TENSOR_RAW_DATA, data, count);
    put_message(graph, GLIA_ONNX_GRAPH_INITIALIZER, &tensor);
}

/* A node: names are words of a text, "-" one that is left out. `attrs`: encoded AttributeProto fields, or NULL. */
static inline void put_node(buffer *graph, const char *op, const char *inputs, const char *outputs,
                            const buffer *attr) {
    static buffer node;
    node.count = 0;
    for (int out = 0; out < 2; out++) {
        char words[256];
        snprintf(words, sizeof words, "%s", out ? outputs : inputs);
        for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
            put_text(&node, out ? GLIA_ONNX_NODE_OUTPUT : GLIA_ONNX_NODE_INPUT,
                     strcmp(word, "-") == 0 ? "" : word);
    }
    put_text(&node, GLIA_ONNX_NODE_OP_TYPE, op);
    if (attr) put_message(&node, GLIA_ONNX_NODE_ATTRIBUTE, attr);
    put_message(graph, GLIA_ONNX_GRAPH_NODE, &node);
}

static inline const buffer *int_attr(const char *name, int64_t value) {
    static buffer attr;
    attr.count = 0;
    put_text(&attr, GLIA_ONNX_ATTR_NAME, name);
    put_int(&attr, GLIA_ONNX_ATTR_TYPE, GLIA_ONNX_INT);
    put_int(&attr, GLIA_ONNX_ATTR_I, value);
    return &attr;
}

static inline void put_model(buffer *model, const buffer *graph, int64_t opset) {
    buffer *import = calloc(1, sizeof *import);
    model->count = 0;
    put_int(model, GLIA_ONNX_MODEL_IR_VERSION, 8);
    put_int(import, GLIA_ONNX_OPSET_VERSION, opset);
    put_message(model, GLIA_ONNX_MODEL_OPSET_IMPORT, import);
    put_message(model, GLIA_ONNX_MODEL_GRAPH, graph);
    free(import);
}

#endif
