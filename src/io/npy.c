/* npy.c: NumPy's NPY format, versions 1 to 3: magic, a header that is a Python dictionary, the data.
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */

#include <stdio.h>
#include <stdlib.h>

#include "core/file.h"
#include "glia/io.h"
#include "io/stream.h"

enum { MOST_HEADER = 1 << 16 };

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

static glia_status read_header(glia_stream *stream, const char *path, char *header, size_t *bytes,
                               glia_error *err) {
    unsigned char start[12];
    size_t got, prefix = 10;
    GLIA_TRY(glia__stream_read(stream, start, prefix, &got, err));
    if (got < prefix || memcmp(start, "\x93NUMPY", 6) != 0)
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "not an NPY file: it does not begin with \\x93NUMPY");
    if (start[6] < 1 || start[6] > 3)
        return glia__file_error(err, GLIA_UNSUPPORTED, path, "NPY version %d is not known (1 to 3 are)",
                                start[6]);
    size_t length = (size_t)start[8] | (size_t)start[9] << 8;
    if (start[6] > 1) {
        GLIA_TRY(glia__stream_read(stream, start + 10, 2, &got, err));
        if (got == 2) length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
        prefix = 12;
    }
    if (length >= MOST_HEADER)
        return glia__file_error(err, GLIA_BAD_FORMAT, path, "an NPY header of %zu bytes; %d at most", length,
                                MOST_HEADER - 1);
    GLIA_TRY(glia__stream_read(stream, header, length, &got, err));
    if (got < length)
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "truncated: the NPY header promises %zu bytes, found %zu", length, got);
    header[length] = 0;
    *bytes = prefix + length;
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
    glia_dtype dtype = GLIA_F32;
    glia_shape shape;
    void *data;
    GLIA_TRY(read_header(stream, path, header, &header_bytes, err));
    GLIA_TRY(parse_dtype(header, path, &dtype, err));
    GLIA_TRY(parse_shape(header, path, &shape, err));
    int64_t elems = glia_shape_elems(&shape);
    if (elems < 0 || elems > PTRDIFF_MAX / 16)
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "the NPY header promises more bytes than fit in memory");
    GLIA_TRY(glia__stream_array(stream, header_bytes, (uint64_t)elems * glia_dtype_bytes(dtype), true, &data,
                                err));
    *out = glia_tensor_wrap(data, dtype, shape);
    out->owner = allocator ? allocator : glia_allocator_default();
    const char *order = value_of(header, "'fortran_order'");
    return order && *order == 'T' && shape.rank > 1 ? to_c_order(out, allocator, err) : GLIA_OK;
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

glia_status glia_npy_write(const char *path, const glia_tensor *tensor, glia_error *err) {
    char header[384], shape[22 * GLIA_MAX_RANK] = "";
    size_t used = 0;
    if (!*descrs[tensor->dtype])
        return glia_error_set(err, GLIA_UNSUPPORTED, "%s: NPY has no dtype %s; cast to f32 first", path,
                              glia_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->shape.rank; i++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%lld%s", (long long)tensor->shape.dim[i],
                                 tensor->shape.rank == 1      ? ","
                                 : i + 1 < tensor->shape.rank ? ", "
                                                              : "");
    int length = snprintf(header, sizeof header,
                          "\x93NUMPY%c%c%c%c{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", 1, 1,
                          1, 1, descrs[tensor->dtype], shape);
    size_t total = ((size_t)length + 1 + 63) / 64 * 64;
    memset(header + length, ' ', total - (size_t)length);
    header[total - 1] = '\n';
    header[7] = 0;
    header[8] = (char)((total - 10) & 0xff);
    header[9] = (char)((total - 10) >> 8);
    glia_writer writer = {0};
    GLIA_TRY(glia__writer_open(&writer, path, err));
    glia_status status = glia__writer_put(&writer, header, total, err);
    if (status == GLIA_OK) status = glia__writer_put(&writer, tensor->data, glia_tensor_bytes(tensor), err);
    if (status == GLIA_OK) status = glia__writer_commit(&writer, err);
    glia__writer_abandon(&writer);
    return status;
}
