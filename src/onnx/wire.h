/* wire.h: the field numbers of onnx.proto (IR versions 7 to 13) and the wire types of protobuf, for reader and writer.
 * Source: onnx.in.proto of ONNX 1.16 to 1.22; protobuf's encoding: protobuf.dev/programming-guides/encoding. */
#ifndef GLIA_ONNX_WIRE_H
#define GLIA_ONNX_WIRE_H

/* A field begins with the varint (number << 3 | wire type). */
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

enum {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER_NAME = 2,
    MODEL_PRODUCER_VERSION = 3,
    MODEL_DOMAIN = 4,
    MODEL_VERSION = 5,
    MODEL_DOC = 6,
    MODEL_GRAPH = 7,
    MODEL_OPSET_IMPORT = 8,
    MODEL_METADATA = 14,
    MODEL_TRAINING_INFO = 20,
    MODEL_FUNCTIONS = 25
};
enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 }; /* StringStringEntryProto */
enum {
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_DOC = 10,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    GRAPH_VALUE_INFO = 13,
    GRAPH_QUANTIZATION = 14,
    GRAPH_SPARSE_INITIALIZER = 15
};
enum {
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP_TYPE = 4,
    NODE_ATTRIBUTE = 5,
    NODE_DOC = 6,
    NODE_DOMAIN = 7
};
enum {
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_F = 2, /* fixed32 */
    ATTRIBUTE_I = 3,
    ATTRIBUTE_S = 4,
    ATTRIBUTE_T = 5,
    ATTRIBUTE_G = 6,
    ATTRIBUTE_FLOATS = 7, /* not packed in files of the C++ library; readers take both */
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_STRINGS = 9,
    ATTRIBUTE_TYPE = 20,
    ATTRIBUTE_REF_NAME = 21
};
enum { /* AttributeProto.type */
       ATTRIBUTE_IS_FLOAT = 1,
       ATTRIBUTE_IS_INT = 2,
       ATTRIBUTE_IS_STRING = 3,
       ATTRIBUTE_IS_TENSOR = 4,
       ATTRIBUTE_IS_GRAPH = 5,
       ATTRIBUTE_IS_FLOATS = 6,
       ATTRIBUTE_IS_INTS = 7,
       ATTRIBUTE_IS_STRINGS = 8
};
enum {
    TENSOR_DIMS = 1,
    TENSOR_DATA_TYPE = 2,
    TENSOR_SEGMENT = 3,
    TENSOR_FLOAT_DATA = 4,
    TENSOR_INT32_DATA = 5, /* also bool, u8, i8, u16, i16, and the bits of f16 and bf16 */
    TENSOR_STRING_DATA = 6,
    TENSOR_INT64_DATA = 7,
    TENSOR_NAME = 8,
    TENSOR_RAW_DATA = 9,
    TENSOR_DOUBLE_DATA = 10,
    TENSOR_UINT64_DATA = 11,
    TENSOR_EXTERNAL_DATA = 13, /* entries location, offset, length, checksum */
    TENSOR_DATA_LOCATION = 14  /* 0: here, 1: external */
};
enum { /* TensorProto.DataType */
       ONNX_UNDEFINED = 0,
       ONNX_FLOAT = 1,
       ONNX_UINT8 = 2,
       ONNX_INT8 = 3,
       ONNX_UINT16 = 4,
       ONNX_INT16 = 5,
       ONNX_INT32 = 6,
       ONNX_INT64 = 7,
       ONNX_STRING = 8,
       ONNX_BOOL = 9,
       ONNX_FLOAT16 = 10,
       ONNX_DOUBLE = 11,
       ONNX_UINT32 = 12,
       ONNX_UINT64 = 13,
       ONNX_BFLOAT16 = 16
};
enum { VALUE_NAME = 1, VALUE_TYPE = 2 };              /* ValueInfoProto */
enum { TYPE_TENSOR = 1 };                             /* TypeProto */
enum { TYPE_TENSOR_ELEM = 1, TYPE_TENSOR_SHAPE = 2 }; /* TypeProto.Tensor */
enum { SHAPE_DIM = 1 };                               /* TensorShapeProto */
enum { DIM_VALUE = 1, DIM_PARAM = 2 };                /* TensorShapeProto.Dimension */

#endif
