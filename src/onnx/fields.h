/* fields.h: the numbers of onnx.proto (IR version 13, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto) that
 * Glia reads or writes, and the wire types of protobuf. The reader and the writer share them. */
#ifndef GLIA_ONNX_FIELDS_H
#define GLIA_ONNX_FIELDS_H

/* Wire types of https://protobuf.dev/programming-guides/encoding. Groups (3 and 4) are not used by ONNX. */
enum { GLIA_WIRE_VARINT = 0, GLIA_WIRE_I64 = 1, GLIA_WIRE_BYTES = 2, GLIA_WIRE_I32 = 5 };

enum { /* ModelProto */
       GLIA_ONNX_MODEL_IR_VERSION = 1,
       GLIA_ONNX_MODEL_PRODUCER_NAME = 2,
       GLIA_ONNX_MODEL_PRODUCER_VERSION = 3,
       GLIA_ONNX_MODEL_DOMAIN = 4,
       GLIA_ONNX_MODEL_VERSION = 5,
       GLIA_ONNX_MODEL_DOC = 6,
       GLIA_ONNX_MODEL_GRAPH = 7,
       GLIA_ONNX_MODEL_OPSET_IMPORT = 8,
       GLIA_ONNX_MODEL_METADATA = 14,
       GLIA_ONNX_MODEL_FUNCTIONS = 25
};
enum { GLIA_ONNX_OPSET_DOMAIN = 1, GLIA_ONNX_OPSET_VERSION = 2 };  /* OperatorSetIdProto */
enum { GLIA_ONNX_METADATA_KEY = 1, GLIA_ONNX_METADATA_VALUE = 2 }; /* StringStringEntryProto */
enum {                                                             /* GraphProto */
       GLIA_ONNX_GRAPH_NODE = 1,
       GLIA_ONNX_GRAPH_NAME = 2,
       GLIA_ONNX_GRAPH_INITIALIZER = 5,
       GLIA_ONNX_GRAPH_DOC = 10,
       GLIA_ONNX_GRAPH_INPUT = 11,
       GLIA_ONNX_GRAPH_OUTPUT = 12,
       GLIA_ONNX_GRAPH_VALUE_INFO = 13,
       GLIA_ONNX_GRAPH_SPARSE_INITIALIZER = 15
};
enum { /* NodeProto */
       GLIA_ONNX_NODE_INPUT = 1,
       GLIA_ONNX_NODE_OUTPUT = 2,
       GLIA_ONNX_NODE_NAME = 3,
       GLIA_ONNX_NODE_OP_TYPE = 4,
       GLIA_ONNX_NODE_ATTRIBUTE = 5,
       GLIA_ONNX_NODE_DOC = 6,
       GLIA_ONNX_NODE_DOMAIN = 7
};
enum { /* AttributeProto */
       GLIA_ONNX_ATTR_NAME = 1,
       GLIA_ONNX_ATTR_F = 2,
       GLIA_ONNX_ATTR_I = 3,
       GLIA_ONNX_ATTR_S = 4,
       GLIA_ONNX_ATTR_T = 5,
       GLIA_ONNX_ATTR_G = 6,
       GLIA_ONNX_ATTR_FLOATS = 7,
       GLIA_ONNX_ATTR_INTS = 8,
       GLIA_ONNX_ATTR_STRINGS = 9,
       GLIA_ONNX_ATTR_TYPE = 20
};
typedef enum glia_onnx_attr_type { /* AttributeProto.AttributeType */
                                   GLIA_ONNX_FLOAT = 1,
                                   GLIA_ONNX_INT = 2,
                                   GLIA_ONNX_STRING = 3,
                                   GLIA_ONNX_TENSOR = 4,
                                   GLIA_ONNX_GRAPH = 5,
                                   GLIA_ONNX_FLOATS = 6,
                                   GLIA_ONNX_INTS = 7,
                                   GLIA_ONNX_STRINGS = 8
} glia_onnx_attr_type;

enum { /* TensorProto */
       GLIA_ONNX_TENSOR_DIMS = 1,
       GLIA_ONNX_TENSOR_DATA_TYPE = 2,
       GLIA_ONNX_TENSOR_FLOAT_DATA = 4,
       GLIA_ONNX_TENSOR_INT32_DATA = 5,
       GLIA_ONNX_TENSOR_STRING_DATA = 6,
       GLIA_ONNX_TENSOR_INT64_DATA = 7,
       GLIA_ONNX_TENSOR_NAME = 8,
       GLIA_ONNX_TENSOR_RAW_DATA = 9,
       GLIA_ONNX_TENSOR_DOUBLE_DATA = 10,
       GLIA_ONNX_TENSOR_UINT64_DATA = 11,
       GLIA_ONNX_TENSOR_EXTERNAL_DATA = 13, /* StringStringEntryProto: location, offset, length */
       GLIA_ONNX_TENSOR_DATA_LOCATION = 14
};
enum { GLIA_ONNX_LOCATION_DEFAULT = 0, GLIA_ONNX_LOCATION_EXTERNAL = 1 };
/* TensorProto.DataType: X(code, number, name, Glia's dtype or GLIA_DTYPE_COUNT when it has none; some of those are carried by
 * wider ones: onnx/carried.c). */
#define GLIA_ONNX_DTYPE_LIST(X)                           \
    X(F32, 1, "float", GLIA_F32)                          \
    X(U8, 2, "uint8", GLIA_U8)                            \
    X(I8, 3, "int8", GLIA_DTYPE_COUNT)                    \
    X(U16, 4, "uint16", GLIA_DTYPE_COUNT)                 \
    X(I16, 5, "int16", GLIA_DTYPE_COUNT)                  \
    X(I32, 6, "int32", GLIA_I32)                          \
    X(I64, 7, "int64", GLIA_I64)                          \
    X(TEXT, 8, "string", GLIA_DTYPE_COUNT)                \
    X(BOOL, 9, "bool", GLIA_BOOL)                         \
    X(F16, 10, "float16", GLIA_DTYPE_COUNT)               \
    X(F64, 11, "double", GLIA_F64)                        \
    X(U32, 12, "uint32", GLIA_DTYPE_COUNT)                \
    X(U64, 13, "uint64", GLIA_DTYPE_COUNT)                \
    X(C64, 14, "complex64", GLIA_DTYPE_COUNT)             \
    X(C128, 15, "complex128", GLIA_DTYPE_COUNT)           \
    X(BF16, 16, "bfloat16", GLIA_BF16)                    \
    X(F8E4M3FN, 17, "float8e4m3fn", GLIA_DTYPE_COUNT)     \
    X(F8E4M3FNUZ, 18, "float8e4m3fnuz", GLIA_DTYPE_COUNT) \
    X(F8E5M2, 19, "float8e5m2", GLIA_DTYPE_COUNT)         \
    X(F8E5M2FNUZ, 20, "float8e5m2fnuz", GLIA_DTYPE_COUNT) \
    X(U4, 21, "uint4", GLIA_DTYPE_COUNT)                  \
    X(I4, 22, "int4", GLIA_DTYPE_COUNT)                   \
    X(F4E2M1, 23, "float4e2m1", GLIA_DTYPE_COUNT)         \
    X(F8E8M0, 24, "float8e8m0", GLIA_DTYPE_COUNT)         \
    X(U2, 25, "uint2", GLIA_DTYPE_COUNT)                  \
    X(I2, 26, "int2", GLIA_DTYPE_COUNT)
enum {
#define GLIA_ONNX_DTYPE_ENUM(code, number, name, dtype) GLIA_ONNX_##code = (number),
    GLIA_ONNX_DTYPE_LIST(GLIA_ONNX_DTYPE_ENUM)
#undef GLIA_ONNX_DTYPE_ENUM
};

enum { GLIA_ONNX_VALUE_NAME = 1, GLIA_ONNX_VALUE_TYPE = 2, GLIA_ONNX_VALUE_DOC = 3 }; /* ValueInfoProto */
enum { GLIA_ONNX_TYPE_TENSOR = 1 }; /* TypeProto: the others are sequences, maps and the like */
enum { GLIA_ONNX_TENSOR_TYPE_ELEM = 1, GLIA_ONNX_TENSOR_TYPE_SHAPE = 2 }; /* TypeProto.Tensor */
enum { GLIA_ONNX_SHAPE_DIM = 1 };                                         /* TensorShapeProto */
enum { GLIA_ONNX_DIM_VALUE = 1, GLIA_ONNX_DIM_PARAM = 2 };                /* TensorShapeProto.Dimension */

#endif
