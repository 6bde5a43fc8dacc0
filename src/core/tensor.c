/* tensor.c: dtypes, shapes and host arrays. */
#include "glia/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "core/bf16.h"
#include "core/mem.h"

/* --- dtypes -----------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
#define DTYPE_ROW(code, name, bytes, safetensors, npy) {name, bytes},
    GLIA_DTYPE_LIST(DTYPE_ROW)
#undef DTYPE_ROW
};

static bool known(glia_dtype dtype) {
    return (unsigned)dtype < GLIA_DTYPE_COUNT;
}

const char *glia_dtype_name(glia_dtype dtype) {
    return known(dtype) ? dtypes[dtype].name : "?";
}

size_t glia_dtype_bytes(glia_dtype dtype) {
    return known(dtype) ? dtypes[dtype].bytes : 0;
}

bool glia_dtype_parse(const char *name, glia_dtype *out) {
    for (int i = 0; name && i < GLIA_DTYPE_COUNT; i++) {
        if (strcmp(name, dtypes[i].name) != 0) continue;
        *out = (glia_dtype)i;
        return true;
    }
    return false;
}

bool glia_dtype_is_float(glia_dtype dtype) {
    return dtype == GLIA_F32 || dtype == GLIA_F64 || dtype == GLIA_BF16;
}

uint16_t glia_bf16_from_f32(float x) {
    return glia__bf16_round(x);
}

float glia_bf16_to_f32(uint16_t x) {
    return glia__bf16_widen(x);
}

/* --- shapes -----------------------------------------------------------------------------------------------
 */

glia_shape glia_shape_of(const int64_t *dims, size_t rank) {
    if (rank > GLIA_MAX_RANK) return (glia_shape){.rank = -1};
    glia_shape shape = {.rank = (int32_t)rank};
    for (size_t i = 0; i < rank; i++) shape.dim[i] = dims[i];
    return shape;
}

int64_t glia_shape_elems(const glia_shape *shape) {
    if (!glia_shape_is_known(shape)) return -1;
    int64_t elems = 1;
    for (int32_t i = 0; i < shape->rank; i++)
        if (shape->dim[i] == 0) return 0;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (elems > INT64_MAX / shape->dim[i]) return -1;
        elems *= shape->dim[i];
    }
    return elems;
}

bool glia_shape_equal(const glia_shape *a, const glia_shape *b) {
    if (a->rank != b->rank) return false;
    for (int32_t i = 0; i < a->rank && i < GLIA_MAX_RANK; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

bool glia_shape_is_known(const glia_shape *shape) {
    if (shape->rank < 0 || shape->rank > GLIA_MAX_RANK) return false;
    for (int32_t i = 0; i < shape->rank; i++)
        if (shape->dim[i] < 0) return false;
    return true;
}

const char *glia_shape_text(const glia_shape *shape, char *out, size_t capacity) {
    if (!out || capacity == 0) return "";
    if (shape->rank < 0 || shape->rank > GLIA_MAX_RANK)
        snprintf(out, capacity, "invalid shape");
    else if (shape->rank == 0)
        snprintf(out, capacity, "scalar");
    else
        out[0] = '\0';
    size_t used = 0;
    for (int32_t i = 0; i < shape->rank && shape->rank <= GLIA_MAX_RANK; i++) {
        char dim[24];
        if (shape->dim[i] == GLIA_DIM_BATCH)
            snprintf(dim, sizeof dim, "N");
        else if (shape->dim[i] == GLIA_DIM_TIME)
            snprintf(dim, sizeof dim, "T");
        else if (shape->dim[i] < 0)
            snprintf(dim, sizeof dim, "D%" PRIu64, -(uint64_t)shape->dim[i]);
        else
            snprintf(dim, sizeof dim, "%" PRId64, shape->dim[i]);
        size_t length = strlen(dim) + (i ? strlen("×") : 0);
        if (used + length >= capacity) break; /* whole dimensions only */
        used += (size_t)snprintf(out + used, capacity - used, "%s%s", i ? "×" : "", dim);
    }
    return out;
}

/* --- arrays -----------------------------------------------------------------------------------------------
 */

enum { DATA_ALIGN = 64 }; /* a cache line, and the widest vector */

glia_status glia_tensor_new(glia_tensor *out, glia_dtype dtype, glia_shape shape,
                            const glia_allocator *allocator, glia_error *err) {
    char text[128];
    *out = (glia_tensor){.dtype = dtype, .shape = shape};
    int64_t elems = glia_shape_elems(&shape);
    if (!known(dtype)) return glia_error_set(err, GLIA_INVALID_ARGUMENT, "unknown dtype %d", (int)dtype);
    if (elems < 0 || (uint64_t)elems > PTRDIFF_MAX / glia_dtype_bytes(dtype))
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "expected the shape of an array: known dimensions that fit in memory, found %s",
                              glia_shape_text(&shape, text, sizeof text));
    size_t bytes = (size_t)elems * glia_dtype_bytes(dtype);
    if (!allocator) allocator = glia_allocator_default();
    out->data = glia__alloc_aligned(allocator, bytes, DATA_ALIGN);
    if (!out->data)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory: %zu bytes for %s %s", bytes,
                              glia_dtype_name(dtype), glia_shape_text(&shape, text, sizeof text));
    memset(out->data, 0, bytes);
    out->owner = allocator;
    return GLIA_OK;
}

glia_tensor glia_tensor_wrap(void *data, glia_dtype dtype, glia_shape shape) {
    return (glia_tensor){.dtype = dtype, .shape = shape, .data = data};
}

glia_status glia_tensor_rows(glia_tensor *out, const glia_tensor *tensor, int64_t first, int64_t count,
                             glia_error *err) {
    char text[128];
    const glia_shape *shape = &tensor->shape;
    if (shape->rank < 1 || glia_shape_elems(shape) < 0)
        return glia_error_set(err, GLIA_BAD_SHAPE, "expected an array with rows, found shape %s",
                              glia_shape_text(shape, text, sizeof text));
    if (first < 0 || count < 0 || first > shape->dim[0] || count > shape->dim[0] - first)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "expected rows within the %" PRId64 " of shape %s, found %" PRId64
                              " rows from row %" PRId64,
                              shape->dim[0], glia_shape_text(shape, text, sizeof text), count, first);
    glia_tensor view = glia_tensor_wrap(NULL, tensor->dtype, *shape);
    view.shape.dim[0] = 1;
    size_t row_bytes = glia_tensor_bytes(&view);
    view.shape.dim[0] = count;
    if (tensor->data) view.data = (char *)tensor->data + (size_t)first * row_bytes;
    *out = view;
    return GLIA_OK;
}

glia_status glia_tensor_reshape(glia_tensor *out, const glia_tensor *tensor, glia_shape shape,
                                glia_error *err) {
    char from[128], to[128];
    int64_t elems = glia_shape_elems(&shape);
    if (elems < 0 || elems != glia_shape_elems(&tensor->shape))
        return glia_error_set(err, GLIA_BAD_SHAPE, "cannot see shape %s as %s: not as many elements",
                              glia_shape_text(&tensor->shape, from, sizeof from),
                              glia_shape_text(&shape, to, sizeof to));
    *out = glia_tensor_wrap(tensor->data, tensor->dtype, shape);
    return GLIA_OK;
}

size_t glia_tensor_bytes(const glia_tensor *tensor) {
    int64_t elems = glia_shape_elems(&tensor->shape);
    return elems < 0 ? 0 : (size_t)elems * glia_dtype_bytes(tensor->dtype);
}

double glia_tensor_get(const glia_tensor *tensor, int64_t index) {
    if (!tensor->data || index < 0 || index >= glia_shape_elems(&tensor->shape)) return NAN;
    switch (tensor->dtype) {
    case GLIA_F32:
        return ((const float *)tensor->data)[index];
    case GLIA_F64:
        return ((const double *)tensor->data)[index];
    case GLIA_BF16:
        return glia_bf16_to_f32(((const uint16_t *)tensor->data)[index]);
    case GLIA_I32:
        return ((const int32_t *)tensor->data)[index];
    case GLIA_I64:
        return (double)((const int64_t *)tensor->data)[index];
    case GLIA_U8:
    case GLIA_BOOL:
        return ((const uint8_t *)tensor->data)[index];
    default:
        return NAN;
    }
}

/* Truncated towards zero and kept within [low, high]; NaN is 0. In C an overflow here would be undefined. */
static int64_t to_integer(double value, int64_t low, int64_t high) {
    if (isnan(value)) return 0;
    if (value <= (double)low) return low;
    if (value >= (double)high) return high;
    return (int64_t)value;
}

void glia_tensor_set(glia_tensor *tensor, int64_t index, double value) {
    if (!tensor->data || index < 0 || index >= glia_shape_elems(&tensor->shape)) return;
    switch (tensor->dtype) {
    case GLIA_F32:
        ((float *)tensor->data)[index] = (float)value;
        break;
    case GLIA_F64:
        ((double *)tensor->data)[index] = value;
        break;
    case GLIA_BF16:
        ((uint16_t *)tensor->data)[index] = glia_bf16_from_f32((float)value);
        break;
    case GLIA_I32:
        ((int32_t *)tensor->data)[index] = (int32_t)to_integer(value, INT32_MIN, INT32_MAX);
        break;
    case GLIA_I64:
        ((int64_t *)tensor->data)[index] = to_integer(value, INT64_MIN, INT64_MAX);
        break;
    case GLIA_U8:
        ((uint8_t *)tensor->data)[index] = (uint8_t)to_integer(value, 0, UINT8_MAX);
        break;
    case GLIA_BOOL:
        ((uint8_t *)tensor->data)[index] = value != 0;
        break;
    default:
        break;
    }
}

void glia_tensor_free(glia_tensor *tensor) {
    if (!tensor) return;
    if (tensor->owner) glia__free(tensor->owner, tensor->data, glia_tensor_bytes(tensor));
    tensor->data = NULL;
    tensor->owner = NULL;
}
