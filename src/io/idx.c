/* idx.c: the IDX format of MNIST: 00 00 TT ND, ND big-endian u32 sizes, big-endian data; plain or gzip.
 * Format: http://yann.lecun.com/exdb/mnist/ ("the IDX file format"). */
#include <inttypes.h>

#include "glia/io.h"
#include "io/stream.h"

typedef struct idx_type {
    unsigned char code;
    unsigned char bytes; /* of one element in the file */
    glia_dtype dtype;    /* as which it is read */
} idx_type;

static const idx_type types[] = {
    {0x08, 1, GLIA_U8},  {0x09, 1, GLIA_I32}, {0x0B, 2, GLIA_I32},
    {0x0C, 4, GLIA_I32}, {0x0D, 4, GLIA_F32}, {0x0E, 8, GLIA_F64},
};

static uint32_t big_endian_32(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static glia_status read_exactly(glia_stream *stream, const char *path, unsigned char *data, size_t bytes,
                                glia_error *err) {
    size_t got;
    GLIA_TRY(glia__stream_read(stream, data, bytes, &got, err));
    if (got == bytes) return GLIA_OK;
    return glia__file_error(err, GLIA_BAD_FORMAT, path,
                            "truncated: expected %zu more bytes of the IDX header, found %zu", bytes, got);
}

static glia_status read_header(glia_stream *stream, const char *path, const idx_type **type,
                               glia_shape *shape, glia_error *err) {
    unsigned char magic[4], sizes[4 * GLIA_MAX_RANK];
    GLIA_TRY(read_exactly(stream, path, magic, sizeof magic, err));
    *type = NULL;
    for (size_t i = 0; i < GLIA_COUNT(types); i++)
        if (types[i].code == magic[2]) *type = &types[i];
    if (magic[0] != 0 || magic[1] != 0 || !*type)
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "not an IDX file: expected it to begin with 00 00 and a type (08 09 0b 0c 0d "
                                "0e), found %02x %02x %02x %02x",
                                magic[0], magic[1], magic[2], magic[3]);
    if (magic[3] < 1 || magic[3] > GLIA_MAX_RANK)
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "expected an IDX file of 1 to %d dimensions, found %d", GLIA_MAX_RANK,
                                magic[3]);
    *shape = (glia_shape){.rank = magic[3]};
    GLIA_TRY(read_exactly(stream, path, sizes, 4 * (size_t)shape->rank, err));
    for (int i = 0; i < shape->rank; i++) shape->dim[i] = big_endian_32(sizes + 4 * i);
    return GLIA_OK;
}

/* In place; the compilers make byte swaps of these. */
static void swap_in_place(void *data, int64_t count, int bytes) {
    unsigned char *p = data;
    for (int64_t i = 0; i < count; i++, p += bytes)
        for (int j = 0; j < bytes / 2; j++) {
            unsigned char kept = p[j];
            p[j] = p[bytes - 1 - j];
            p[bytes - 1 - j] = kept;
        }
}

static void widen(int32_t *out, const unsigned char *in, int64_t count, int bytes) {
    for (int64_t i = 0; i < count; i++)
        out[i] = bytes == 1 ? (int8_t)in[i] : (int16_t)(uint16_t)(in[2 * i] << 8 | in[2 * i + 1]);
}

/* `raw` is `bytes` bytes as the file has them; moves to `out`, or is freed. */
static glia_status to_tensor(glia_tensor *out, const idx_type *type, glia_shape shape, void *raw,
                             size_t bytes, const glia_allocator *allocator, glia_error *err) {
    int64_t elems = glia_shape_elems(&shape);
    if (type->bytes == glia_dtype_bytes(type->dtype)) {
        uint16_t probe = 1;
        if (*(unsigned char *)&probe == 1) swap_in_place(raw, elems, type->bytes);
        *out = glia_tensor_wrap(raw, type->dtype, shape);
        out->owner = allocator ? allocator : glia_allocator_default();
        return GLIA_OK;
    }
    glia_status status = glia_tensor_new(out, type->dtype, shape, allocator, err);
    if (status == GLIA_OK) widen(out->data, raw, elems, type->bytes);
    glia__free(allocator, raw, bytes);
    return status;
}

static glia_status read_stream(glia_tensor *out, glia_stream *stream, const char *path, int64_t limit,
                               const glia_allocator *allocator, glia_error *err) {
    const idx_type *type;
    glia_shape shape;
    GLIA_TRY(read_header(stream, path, &type, &shape, err));
    bool whole = limit <= 0 || limit >= shape.dim[0];
    if (!whole) shape.dim[0] = limit;
    int64_t elems = glia_shape_elems(&shape);
    if (elems < 0 || elems > PTRDIFF_MAX / 8)
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "the IDX header promises more bytes than fit in memory");
    size_t bytes = (size_t)elems * type->bytes;
    void *raw;
    GLIA_TRY(glia__stream_array(stream, 4 + 4 * (size_t)shape.rank, bytes, whole, &raw, err));
    return to_tensor(out, type, shape, raw, bytes, allocator, err);
}

glia_status glia_idx_read(glia_tensor *out, const char *path, int64_t limit, const glia_allocator *allocator,
                          glia_error *err) {
    *out = (glia_tensor){0};
    glia_stream *stream;
    GLIA_TRY(glia__stream_open(&stream, path, allocator, err));
    glia_status status = read_stream(out, stream, path, limit, allocator, err);
    glia__stream_close(stream);
    return status;
}
