/* io.h: file formats of arrays, weights and pictures. Readers check every field against the file's size
 * before they allocate; writers replace files atomically. */
#ifndef GLIA_IO_H
#define GLIA_IO_H

#include "glia/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- safetensors: https://github.com/huggingface/safetensors -------------------------------------------- */

typedef struct glia_safetensors glia_safetensors; /* a file read into memory */

/* Opens and checks strictly: header size, JSON, no duplicate names, known dtypes, no holes, no overlaps, no
 * bytes left over. Dtypes that Glia has no arrays for are an error naming the tensor. The file may change or go
 * afterwards: all of it has been read. Close when done. */
GLIA_API GLIA_MUST_CHECK glia_status glia_safetensors_open(glia_safetensors **out, const char *path,
                                                           const glia_allocator *allocator, glia_error *err);
GLIA_API void glia_safetensors_close(glia_safetensors *file);
GLIA_API size_t glia_safetensors_count(const glia_safetensors *file);
GLIA_API const char *glia_safetensors_name(const glia_safetensors *file, size_t index); /* in file order */
/* Borrows the bytes until the file is closed (read-only, may be unaligned: copy with memcpy); GLIA_NOT_FOUND
 * when there is none. */
GLIA_API GLIA_MUST_CHECK glia_status glia_safetensors_get(const glia_safetensors *file, const char *name,
                                                          glia_tensor *out, glia_error *err);
/* The string kept under `key` in __metadata__, or NULL. */
GLIA_API const char *glia_safetensors_metadata(const glia_safetensors *file, const char *key);

typedef struct glia_named_tensor {
    const char *name;
    glia_tensor tensor;
} glia_named_tensor;

typedef struct glia_key_value {
    const char *key, *value;
} glia_key_value;

/* Writes tensors in the given order with sorted-as-given metadata ({"format": "pt"} is always added). Same
 * input, same bytes. */
GLIA_API GLIA_MUST_CHECK glia_status glia_safetensors_write(const char *path,
                                                            const glia_named_tensor *tensors, size_t count,
                                                            const glia_key_value *metadata,
                                                            size_t metadata_count, glia_error *err);

/* --- what exporting a model gives ------------------------------------------------------------------------ */

typedef struct glia_export_result {
    const char *format; /* "onnx" */
    struct {
        char path[1024];
        int64_t bytes;
    } files[4];
    int n_files;
    struct {
        const char *name, *unit; /* unit: "" for plain numbers, "bytes" */
        double value;
    } figures[12]; /* of the format, worth knowing */
    int n_figures;
    char check[200];   /* what a check found; "": there was none */
    double difference; /* the largest between what was written and Glia, relative to 1 + |number| */
} glia_export_result;

/* --- NumPy's NPY ---------------------------------------------------------------------------------------- */

/* Reads little-endian C- or Fortran-order arrays of Glia's dtypes (i8, i16, f16 … are an error naming the
 * dtype); versions 1, 2, 3. Free the tensor. */
GLIA_API GLIA_MUST_CHECK glia_status glia_npy_read(glia_tensor *out, const char *path,
                                                   const glia_allocator *allocator, glia_error *err);
GLIA_API GLIA_MUST_CHECK glia_status glia_npy_write(const char *path, const glia_tensor *tensor,
                                                    glia_error *err);

/* --- IDX, plain or gzip -------------------------------------------------------------------------------- */

/* Reads u8, i32 (i8 and i16 are widened to it), f32 and f64; at most `limit` entries of dimension 0 (0: all).
 */
GLIA_API GLIA_MUST_CHECK glia_status glia_idx_read(glia_tensor *out, const char *path, int64_t limit,
                                                   const glia_allocator *allocator, glia_error *err);

/* --- PNG (when the build has libpng) ------------------------------------------------------------------- */

/* Reads to u8 [channels, height, width] with channels 1 (grey) or 3 (RGB); alpha is blended on black. */
GLIA_API GLIA_MUST_CHECK glia_status glia_png_read(glia_tensor *out, const char *path, int channels,
                                                   const glia_allocator *allocator, glia_error *err);
/* Encodes u8 [1 or 3, height, width] to memory; the caller frees with the allocator (*bytes). */
GLIA_API GLIA_MUST_CHECK glia_status glia_png_encode(const glia_tensor *image, unsigned char **data,
                                                     size_t *bytes, const glia_allocator *allocator,
                                                     glia_error *err);

/* --- pictures ------------------------------------------------------------------------------------------- */

/* Reads a PNG or JPEG picture, told by its first bytes, to u8 [channels, height, width] with channels 1 (grey), 3 (RGB) or
 * 0: as the picture is. GLIA_UNSUPPORTED when the build lacks the library. Free the tensor. */
GLIA_API GLIA_MUST_CHECK glia_status glia_picture_read(glia_tensor *out, const char *path, int channels,
                                                       const glia_allocator *allocator, glia_error *err);
/* The same for the bytes of a file in memory, called `name` in messages. */
GLIA_API GLIA_MUST_CHECK glia_status glia_picture_decode(glia_tensor *out, const void *data, size_t bytes,
                                                         const char *name, int channels,
                                                         const glia_allocator *allocator, glia_error *err);

#ifdef __cplusplus
}
#endif
#endif
