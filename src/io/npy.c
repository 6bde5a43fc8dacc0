/* npy.c: NumPy's NPY format, versions 1 to 3: magic, a header that is a Python dictionary, the data.
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/file.h"
#include "io/npy.h"
#include "io/stream.h"

enum { MOST_HEADER = 1 << 16 };

typedef struct npy_array {
    glia_dtype dtype;
    glia_shape shape;
    uint64_t bytes;
    bool column_major;
} npy_array;

#define NPY_DESCR(code, name, bytes, safetensors, npy) npy,
static const char *const descrs[] = {GLIA_DTYPE_LIST(NPY_DESCR)};
#undef NPY_DESCR

/* The text after 'key': in the header, or NULL. */
static const char *value_of(const char *header, const char *key) {
    const char *at = strstr(header, key);
    if (!at) return NULL;
    at += strlen(key);
    while (*at == ' ' || *at == ':') at++;
    return at;
}

static glia_status parse_dtype(const char *header, const char *path, glia_dtype *dtype, glia_error *err) {
    const char *at = value_of(header, "'descr'");
    char descr[16] = "";
    if (at && (*at == '\'' || *at == '"'))
        snprintf(descr, sizeof descr, "%.*s", (int)strcspn(at + 1, "'\""), at + 1);
    if (!*descr)
        return glia__file_error(err, GLIA_BAD_FORMAT, path, "the NPY header names no dtype ('descr')");
    for (size_t i = 0; i < GLIA_COUNT(descrs); i++)
        if (strcmp(descr, descrs[i]) == 0) {
            *dtype = (glia_dtype)i;
            return GLIA_OK;
        }
    return glia__file_error(
        err, GLIA_UNSUPPORTED, path,
        "NPY dtype '%s' is not supported (expected <f4, <f8, <i4, <i8, |u1 or |b1); convert it "
        "with astype",
        descr);
}

static glia_status parse_shape(const char *header, const char *path, glia_shape *shape, glia_error *err) {
    const char *at = value_of(header, "'shape'");
    *shape = (glia_shape){0};
    if (!at || *at != '(') return glia__file_error(err, GLIA_BAD_FORMAT, path, "the NPY header has no shape");
    at++;
    while (*at && *at != ')') {
        char *end;
        long long dim = strtoll(at, &end, 10);
        if (end == at || dim < 0 || shape->rank == GLIA_MAX_RANK)
            return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                    "the NPY header's shape is malformed or has more than %d dimensions",
                                    GLIA_MAX_RANK);
        shape->dim[shape->rank++] = dim;
        at = end + strspn(end, " L");
        if (*at == ',')
            at += 1 + strspn(at + 1, " ");
        else if (*at != ')')
            break;
    }
    return *at == ')' ? GLIA_OK
                      : glia__file_error(err, GLIA_BAD_FORMAT, path, "the NPY header's shape does not end");
}

enum { SHORT_PREFIX = 10, LONG_PREFIX = 12 }; /* magic, version, length of the header in 2 or 4 bytes */

/* Checks magic and version; gives how many bytes lie before the header. */
static glia_status check_start(const unsigned char *start, size_t got, const char *path, size_t *prefix,
                               glia_error *err) {
    if (got < SHORT_PREFIX || memcmp(start, "\x93NUMPY", 6) != 0)
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "not an NPY file: it does not begin with \\x93NUMPY");
    if (start[6] < 1 || start[6] > 3)
        return glia__file_error(err, GLIA_UNSUPPORTED, path, "NPY version %d is not known (1 to 3 are)",
                                start[6]);
    *prefix = start[6] > 1 ? LONG_PREFIX : SHORT_PREFIX;
    return GLIA_OK;
}

/* The length of the header, from the bytes before it, of which `got` are there. */
static glia_status header_length(const unsigned char *start, size_t prefix, size_t got, const char *path,
                                 size_t *length, glia_error *err) {
    *length = (size_t)start[8] | (size_t)start[9] << 8;
    if (prefix == LONG_PREFIX && got >= prefix) *length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    if (*length >= MOST_HEADER)
        return glia__file_error(err, GLIA_BAD_FORMAT, path, "an NPY header of %zu bytes; %d at most", *length,
                                MOST_HEADER - 1);
    return GLIA_OK;
}

static glia_status header_cut(const char *path, size_t length, size_t got, glia_error *err) {
    return glia__file_error(err, GLIA_BAD_FORMAT, path,
                            "truncated: the NPY header promises %zu bytes, found %zu", length, got);
}

static glia_status read_header(glia_stream *stream, const char *path, char *header, size_t *bytes,
                               glia_error *err) {
    unsigned char start[LONG_PREFIX] = {0};
    size_t got, prefix = 0, length = 0, more = 0;
    GLIA_TRY(glia__stream_read(stream, start, SHORT_PREFIX, &got, err));
    GLIA_TRY(check_start(start, got, path, &prefix, err));
    if (prefix > got) GLIA_TRY(glia__stream_read(stream, start + got, prefix - got, &more, err));
    GLIA_TRY(header_length(start, prefix, got + more, path, &length, err));
    GLIA_TRY(glia__stream_read(stream, header, length, &got, err));
    if (got < length) return header_cut(path, length, got, err);
    header[length] = 0;
    *bytes = prefix + length;
    return GLIA_OK;
}

/* The same of an array in memory. */
static glia_status copy_header(const unsigned char *data, size_t bytes, const char *path, char *header,
                               size_t *used, glia_error *err) {
    size_t prefix = 0, length = 0;
    GLIA_TRY(check_start(data, bytes, path, &prefix, err));
    if (bytes < prefix) return header_cut(path, prefix, bytes, err);
    GLIA_TRY(header_length(data, prefix, bytes, path, &length, err));
    if (length > bytes - prefix) return header_cut(path, length, bytes - prefix, err);
    memcpy(header, data + prefix, length);
    header[length] = 0;
    *used = prefix + length;
    return GLIA_OK;
}

/* What the header says of the array. */
static glia_status parse_header(const char *header, const char *path, npy_array *array, glia_error *err) {
    GLIA_TRY(parse_dtype(header, path, &array->dtype, err));
    GLIA_TRY(parse_shape(header, path, &array->shape, err));
    int64_t elems = glia_shape_elems(&array->shape);
    if (elems < 0 || elems > PTRDIFF_MAX / 16)
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "the NPY header promises more bytes than fit in memory");
    array->bytes = (uint64_t)elems * glia_dtype_bytes(array->dtype);
    const char *order = value_of(header, "'fortran_order'");
    array->column_major = order && *order == 'T' && array->shape.rank > 1;
    return GLIA_OK;
}

/* Column-major order is row-major order of the reversed shape, transposed. */
static glia_status to_c_order(glia_tensor *t, const glia_allocator *allocator, glia_error *err) {
    glia_tensor out;
    GLIA_TRY(glia_tensor_new(&out, t->dtype, t->shape, allocator, err));
    int64_t n = glia_shape_elems(&t->shape), index[GLIA_MAX_RANK] = {0};
    size_t size = glia_dtype_bytes(t->dtype);
    for (int64_t to = 0; to < n; to++) {
        int64_t from = 0, stride = 1;
        for (int d = 0; d < t->shape.rank; d++) {
            from += index[d] * stride;
            stride *= t->shape.dim[d];
        }
        memcpy((char *)out.data + (size_t)to * size, (const char *)t->data + (size_t)from * size, size);
        for (int d = t->shape.rank - 1; d >= 0 && ++index[d] == t->shape.dim[d]; d--) index[d] = 0;
    }
    glia_tensor_free(t);
    *t = out;
    return GLIA_OK;
}

static glia_status read_stream(glia_tensor *out, glia_stream *stream, const char *path, char *header,
                               const glia_allocator *allocator, glia_error *err) {
    size_t header_bytes = 0;
    npy_array array = {.dtype = GLIA_F32};
    void *data;
    GLIA_TRY(read_header(stream, path, header, &header_bytes, err));
    GLIA_TRY(parse_header(header, path, &array, err));
    GLIA_TRY(glia__stream_array(stream, header_bytes, array.bytes, true, &data, err));
    *out = glia_tensor_wrap(data, array.dtype, array.shape);
    out->owner = allocator ? allocator : glia_allocator_default();
    return array.column_major ? to_c_order(out, allocator, err) : GLIA_OK;
}

glia_status glia_npy_read(glia_tensor *out, const char *path, const glia_allocator *allocator,
                          glia_error *err) {
    *out = (glia_tensor){0};
    glia_stream *stream;
    char *header = glia__alloc(allocator, MOST_HEADER);
    if (!header) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while reading an NPY file");
    glia_status status = glia__stream_open(&stream, path, allocator, err);
    if (status == GLIA_OK) {
        status = read_stream(out, stream, path, header, allocator, err);
        glia__stream_close(stream);
    }
    glia__free(allocator, header, MOST_HEADER);
    if (status != GLIA_OK) glia_tensor_free(out);
    return status;
}

static glia_status decode(glia_tensor *out, unsigned char *data, size_t bytes, const char *name, char *header,
                          const glia_allocator *allocator, glia_error *err) {
    size_t used = 0;
    npy_array array = {.dtype = GLIA_F32};
    GLIA_TRY(copy_header(data, bytes, name, header, &used, err));
    GLIA_TRY(parse_header(header, name, &array, err));
    if (array.bytes != bytes - used)
        return glia__file_error(err, GLIA_BAD_FORMAT, name,
                                "the NPY header promises %" PRIu64 " bytes of data, found %zu", array.bytes,
                                bytes - used);
    *out = glia_tensor_wrap(data + used, array.dtype, array.shape);
    return array.column_major ? to_c_order(out, allocator, err) : GLIA_OK;
}

glia_status glia__npy_decode(glia_tensor *out, void *data, size_t bytes, const char *name,
                             const glia_allocator *allocator, glia_error *err) {
    *out = (glia_tensor){0};
    char *header = glia__alloc(allocator, MOST_HEADER);
    if (!header) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while reading an NPY array");
    glia_status status = decode(out, data, bytes, name, header, allocator, err);
    glia__free(allocator, header, MOST_HEADER);
    return status;
}

glia_status glia__npy_header(const glia_tensor *tensor, const char *path, char header[GLIA_NPY_HEADER],
                             size_t *bytes, glia_error *err) {
    char shape[22 * GLIA_MAX_RANK] = "";
    size_t used = 0;
    if (!*descrs[tensor->dtype])
        return glia_error_set(err, GLIA_UNSUPPORTED, "%s: NPY has no dtype %s; cast to f32 first", path,
                              glia_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->shape.rank; i++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%lld%s", (long long)tensor->shape.dim[i],
                                 tensor->shape.rank == 1      ? ","
                                 : i + 1 < tensor->shape.rank ? ", "
                                                              : "");
    int length = snprintf(header, GLIA_NPY_HEADER,
                          "\x93NUMPY%c%c%c%c{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", 1, 1,
                          1, 1, descrs[tensor->dtype], shape);
    size_t total = ((size_t)length + 1 + 63) / 64 * 64;
    memset(header + length, ' ', total - (size_t)length);
    header[total - 1] = '\n';
    header[7] = 0;
    header[8] = (char)((total - 10) & 0xff);
    header[9] = (char)((total - 10) >> 8);
    *bytes = total;
    return GLIA_OK;
}

glia_status glia_npy_write(const char *path, const glia_tensor *tensor, glia_error *err) {
    char header[GLIA_NPY_HEADER];
    size_t bytes = 0;
    GLIA_TRY(glia__npy_header(tensor, path, header, &bytes, err));
    glia_writer writer = {0};
    GLIA_TRY(glia__writer_open(&writer, path, err));
    glia_status status = glia__writer_put(&writer, header, bytes, err);
    if (status == GLIA_OK) status = glia__writer_put(&writer, tensor->data, glia_tensor_bytes(tensor), err);
    if (status == GLIA_OK) status = glia__writer_commit(&writer, err);
    glia__writer_abandon(&writer);
    return status;
}
