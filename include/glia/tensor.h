/* tensor.h: dtypes, shapes and host arrays. Arrays are dense and in C order (last dimension contiguous). */
#ifndef GLIA_TENSOR_H
#define GLIA_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "glia/alloc.h"
#include "glia/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(code, name, bytes, safetensors name, NPY descr). NPY has no bf16. */
#define GLIA_DTYPE_LIST(X)         \
    X(F32, "f32", 4, "F32", "<f4") \
    X(F64, "f64", 8, "F64", "<f8") \
    X(BF16, "bf16", 2, "BF16", "") \
    X(I32, "i32", 4, "I32", "<i4") \
    X(I64, "i64", 8, "I64", "<i8") \
    X(U8, "u8", 1, "U8", "|u1")    \
    X(BOOL, "bool", 1, "BOOL", "|b1")

typedef enum glia_dtype {
#define GLIA_DTYPE_ENUM(code, name, bytes, safetensors, npy) GLIA_##code,
    GLIA_DTYPE_LIST(GLIA_DTYPE_ENUM)
#undef GLIA_DTYPE_ENUM
        GLIA_DTYPE_COUNT
} glia_dtype;

GLIA_API const char *glia_dtype_name(glia_dtype dtype); /* "f32"; "?" when unknown */
GLIA_API size_t glia_dtype_bytes(glia_dtype dtype);     /* bytes of one element; 0 when unknown */
GLIA_API bool glia_dtype_parse(const char *name, glia_dtype *out);
GLIA_API bool glia_dtype_is_float(glia_dtype dtype);

/* bf16 is the upper half of an f32; conversion rounds to nearest even and keeps NaN a NaN. */
GLIA_API uint16_t glia_bf16_from_f32(float x);
GLIA_API float glia_bf16_to_f32(uint16_t x);

enum { GLIA_MAX_RANK = 8 };

/* Dimensions that are known only when a program is planned are negative. A graph may name more of them. */
enum { GLIA_DIM_BATCH = -1, GLIA_DIM_TIME = -2, GLIA_DIM_SYMBOLS = 8 };

/* dim[0] is the outermost. rank 0 is a scalar. Unused entries are 0. */
typedef struct glia_shape {
    int32_t rank;
    int64_t dim[GLIA_MAX_RANK];
} glia_shape;

#ifdef __cplusplus /* which has no compound literals */
#define GLIA_SHAPE(...)                                 \
    ([&] {                                              \
        const int64_t dims_[] = {__VA_ARGS__};          \
        return glia_shape_of(dims_, sizeof(dims_) / 8); \
    }())
#else
#define GLIA_SHAPE(...) glia_shape_of((const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / 8)
#endif

GLIA_API glia_shape glia_shape_of(const int64_t *dims,
                                  size_t rank); /* rank above GLIA_MAX_RANK gives rank -1 */
/* Elements, or -1 when a dimension is symbolic, a rank is out of range or the product overflows. */
GLIA_API int64_t glia_shape_elems(const glia_shape *shape);
GLIA_API bool glia_shape_equal(const glia_shape *a, const glia_shape *b);
GLIA_API bool glia_shape_is_known(const glia_shape *shape); /* no symbolic dimension */
/* "N×1×28×28" (UTF-8; N, T for symbols, "scalar" for rank 0) to `out`; returns `out`. */
GLIA_API const char *glia_shape_text(const glia_shape *shape, char *out, size_t capacity);

/* A host array. `owner` says who frees `data`; a view keeps nothing alive. */
typedef struct glia_tensor {
    glia_dtype dtype;
    glia_shape shape;
    void *data;
    const glia_allocator *owner; /* NULL: data is borrowed */
} glia_tensor;

/* A new zeroed array, 64-byte aligned; the caller frees it with glia_tensor_free. */
GLIA_API GLIA_MUST_CHECK glia_status glia_tensor_new(glia_tensor *out, glia_dtype dtype, glia_shape shape,
                                                     const glia_allocator *allocator, glia_error *err);
/* Borrows `data`, which must hold the whole array and outlive the tensor. */
GLIA_API glia_tensor glia_tensor_wrap(void *data, glia_dtype dtype, glia_shape shape);
/* Borrows rows first … first+count-1 of dimension 0. */
GLIA_API GLIA_MUST_CHECK glia_status glia_tensor_rows(glia_tensor *out, const glia_tensor *tensor,
                                                      int64_t first, int64_t count, glia_error *err);
/* The same data seen with another shape of as many elements; borrows. */
GLIA_API GLIA_MUST_CHECK glia_status glia_tensor_reshape(glia_tensor *out, const glia_tensor *tensor,
                                                         glia_shape shape, glia_error *err);
GLIA_API size_t glia_tensor_bytes(const glia_tensor *tensor);
/* Element `index` (flat, C order) as a double, and back (rounded or truncated to the dtype). */
GLIA_API double glia_tensor_get(const glia_tensor *tensor, int64_t index);
GLIA_API void glia_tensor_set(glia_tensor *tensor, int64_t index, double value);
GLIA_API void glia_tensor_free(glia_tensor *tensor); /* NULL and borrowed tensors allowed */

#ifdef __cplusplus
}
#endif
#endif
