/* narrow.h: types of numbers that are narrower than those of Glia's arrays. An array of a wider type (f32, i32 or i64) carries their
 * numbers exactly; the op `narrow` makes any number one of theirs. */
#ifndef GLIA_OPS_NARROW_H
#define GLIA_OPS_NARROW_H

#include "glia/tensor.h"

/* Whole numbers: X(code, name, ONNX's number, first opset, bits, least, most, carrier). In two's complement; others wrap. */
#define GLIA_NARROW_WHOLE_LIST(X)                 \
    X(I8, "i8", 3, 13, 8, -128, 127, I32)         \
    X(U16, "u16", 4, 13, 16, 0, 65535, I32)       \
    X(I16, "i16", 5, 13, 16, -32768, 32767, I32)  \
    X(U32, "u32", 12, 13, 32, 0, 4294967295, I64) \
    X(U4, "u4", 21, 21, 4, 0, 15, I32)            \
    X(I4, "i4", 22, 21, 4, -8, 7, I32)            \
    X(U2, "u2", 25, 25, 2, 0, 3, I32)             \
    X(I2, "i2", 26, 25, 2, -2, 1, I32)

/* Floats: X(code, name, ONNX's number, first opset, bits, bits of the fraction, exponent of the least normal number, most, what is
 * beyond: IEEE: infinity and NaN; FN: one NaN, of all bits; FNUZ: one NaN, in the place of −0; FINITE: nothing). */
#define GLIA_NARROW_FLOAT_LIST(X)                                   \
    X(F32, "f32", 1, 13, 32, 23, -126, 3.4028234663852886e38, IEEE) \
    X(F16, "f16", 10, 13, 16, 10, -14, 65504, IEEE)                 \
    X(F8E4M3FN, "f8e4m3fn", 17, 19, 8, 3, -6, 448, FN)              \
    X(F8E4M3FNUZ, "f8e4m3fnuz", 18, 19, 8, 3, -7, 240, FNUZ)        \
    X(F8E5M2, "f8e5m2", 19, 19, 8, 2, -14, 57344, IEEE)             \
    X(F8E5M2FNUZ, "f8e5m2fnuz", 20, 19, 8, 2, -15, 57344, FNUZ)     \
    X(F4E2M1, "f4e2m1", 23, 23, 4, 1, 0, 6, FINITE)

/* In the order of both lists, so that a choice of the op is a type. */
typedef enum glia_narrow {
#define GLIA_NARROW_WHOLE_ENUM(code, name, onnx, since, bits, least, most, carrier) GLIA_NARROW_##code,
#define GLIA_NARROW_FLOAT_ENUM(code, name, onnx, since, bits, fraction, lowest, most, beyond) \
    GLIA_NARROW_##code,
    GLIA_NARROW_WHOLE_LIST(GLIA_NARROW_WHOLE_ENUM) GLIA_NARROW_FLOAT_LIST(GLIA_NARROW_FLOAT_ENUM)
#undef GLIA_NARROW_WHOLE_ENUM
#undef GLIA_NARROW_FLOAT_ENUM
        GLIA_NARROW_COUNT
} glia_narrow;

typedef enum glia_narrow_beyond {
    GLIA_NARROW_IEEE,
    GLIA_NARROW_FN,
    GLIA_NARROW_FNUZ,
    GLIA_NARROW_FINITE
} glia_narrow_beyond;

typedef struct glia_narrow_type {
    const char *name;
    int onnx, onnx_since, bits;
    bool is_float;
    glia_dtype carrier;
    double least, most;
    int fraction, lowest; /* floats */
    glia_narrow_beyond beyond;
} glia_narrow_type;

extern const glia_narrow_type glia__narrow_types[GLIA_NARROW_COUNT];

/* The number that these bits are. */
double glia__narrow_decode(glia_narrow type, uint32_t bits);

#endif
