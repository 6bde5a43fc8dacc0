/* proto.h: an ONNX file in memory: the messages of onnx.proto that Glia looks at, as structs in an arena. Names are
 * copied; the numbers of tensors stay where they are, in the mapped file or in the files beside it. */
#ifndef GLIA_ONNX_PROTO_H
#define GLIA_ONNX_PROTO_H

#include "core/map.h"
#include "glia/onnx.h"
#include "onnx/wire_read.h"

typedef struct glia_onnx_pair { /* OperatorSetIdProto has a number, StringStringEntryProto a text */
    const char *key, *text;
    int64_t number;
} glia_onnx_pair;

typedef struct glia_onnx_tensor {
    const char *name; /* NULL: none */
    int64_t *dims;
    size_t n_dims;
    int64_t data_type, location;
    /* As the file has them: one of these, or external. */
    const void *raw, *floats, *doubles;
    size_t raw_bytes, floats_bytes, doubles_bytes;
    int64_t *int32s, *int64s, *uint64s;
    size_t n_int32s, n_int64s, n_uint64s;
    bool texts;
    glia_onnx_pair *external;
    size_t n_external;
    /* As they are used, once glia__onnx_tensor_check has passed. `data` may be unaligned: copy with memcpy. */
    bool checked;
    glia_dtype dtype; /* or that carries the type; GLIA_DTYPE_COUNT: none does, and then there is no data */
    glia_shape shape;
    const void *data;
    size_t bytes;
} glia_onnx_tensor;

typedef struct glia_onnx_attr {
    const char *name;
    int64_t type, i;
    float f;
    const void *s; /* no zero at its end */
    size_t s_bytes;
    glia_onnx_tensor *tensor;
    bool graph; /* a body of control flow, which is not read */
    const void *floats;
    size_t floats_bytes;
    int64_t *ints;
    size_t n_ints;
    const char **strings;
    size_t n_strings;
} glia_onnx_attr;

typedef struct glia_onnx_node {
    const char *name, *op_type, *domain; /* NULL: absent */
    const char **inputs, **outputs;      /* "": left out */
    size_t n_inputs, n_outputs;
    glia_onnx_attr *attrs;
    size_t n_attrs;
} glia_onnx_node;

typedef struct glia_onnx_dim {
    int64_t value;
    size_t has_value; /* 1: also when it is 0 */
    const char *param;
} glia_onnx_dim;

typedef struct glia_onnx_dims {
    glia_onnx_dim *dims;
    size_t n_dims;
} glia_onnx_dims;

typedef struct glia_onnx_tensor_type {
    int64_t elem_type;
    glia_onnx_dims *shape; /* NULL: the rank is unknown */
} glia_onnx_tensor_type;

typedef struct glia_onnx_type {
    glia_onnx_tensor_type *tensor; /* NULL: a sequence, a map, … */
} glia_onnx_type;

typedef struct glia_onnx_value {
    const char *name;
    glia_onnx_type *type;
} glia_onnx_value;

typedef struct glia_onnx_graph {
    const char *name;
    glia_onnx_node *nodes;
    size_t n_nodes;
    glia_onnx_tensor *initializers;
    size_t n_initializers;
    glia_onnx_value *inputs, *outputs;
    size_t n_inputs, n_outputs;
    bool sparse;
} glia_onnx_graph;

typedef struct glia_onnx_model {
    int64_t ir_version;
    const char *producer, *producer_version;
    glia_onnx_graph *graph;
    glia_onnx_pair *opsets, *metadata;
    size_t n_opsets, n_metadata;
    bool functions;
} glia_onnx_model;

struct glia_onnx {
    const glia_allocator *allocator;
    glia_arena arena;
    char *path;
    glia_map map;
    struct glia_onnx_external *external; /* files beside it, mapped when first asked for */
    glia_onnx_model model;
    int64_t opset;                  /* of ai.onnx; 0: none imported */
    const glia_onnx_value **inputs; /* those that are no initialisers */
    size_t n_inputs;
};

/* Checks type, dimensions and data of a tensor against each other and fills the last fields. External files are mapped.
 */
GLIA_MUST_CHECK glia_status glia__onnx_tensor_check(glia_onnx *file, glia_onnx_tensor *tensor,
                                                    glia_error *err);
/* Copies the data of a tensor, from its file if it lies in one. */
void glia__onnx_data_copy(const glia_onnx *file, const void *data, size_t bytes, void *to);
/* A TensorProto alone, as node tests store their data; the tensor borrows from `file`, which is closed as ever. */
GLIA_MUST_CHECK glia_status glia__onnx_open_tensor(glia_onnx **file, const char *path,
                                                   glia_onnx_tensor *tensor, glia_error *err);
/* Opens the files beside the model in which its tensors have data; then their names, NULL past the last. */
GLIA_MUST_CHECK glia_status glia__onnx_find_external(glia_onnx *file, glia_error *err);
const char *glia__onnx_external(const glia_onnx *file, size_t index);
/* Copies the model at `path` to `folder`, which is made, under its own name, with the files that have its data. */
GLIA_MUST_CHECK glia_status glia__onnx_copy(const char *path, const char *folder, glia_error *err);
/* Refuses all operators of the file that are not read at all, whatever is fed to it. */
GLIA_MUST_CHECK glia_status glia__onnx_check_operators(glia_onnx *file, glia_error *err);
const char *glia__onnx_dtype_name(int64_t data_type); /* "float16"; "?" */
int glia__onnx_dtype_number(glia_dtype dtype);        /* its TensorProto.DataType */
glia_dtype glia__onnx_dtype(int64_t data_type);       /* or its carrier; GLIA_DTYPE_COUNT: none */

#endif
