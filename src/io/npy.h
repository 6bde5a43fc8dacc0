/* npy.h: NPY arrays in memory, for archives of them. */
#ifndef GLIA_IO_NPY_H
#define GLIA_IO_NPY_H

#include "core/mem.h"
#include "glia/io.h"

enum { GLIA_NPY_HEADER = 384 };

/* Reads the array in `data` (`bytes` bytes, all of them); *out borrows it, but for column-major arrays, which are copied
 * to C order: free the tensor in any case. `name` is for messages. */
GLIA_MUST_CHECK glia_status glia__npy_decode(glia_tensor *out, void *data, size_t bytes, const char *name,
                                             const glia_allocator *allocator, glia_error *err);
/* What stands before the data of `tensor`; a multiple of 64 bytes. */
GLIA_MUST_CHECK glia_status glia__npy_header(const glia_tensor *tensor, const char *path,
                                             char header[GLIA_NPY_HEADER], size_t *bytes, glia_error *err);

#endif
