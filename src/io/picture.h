/* picture.h (internal): the decoders behind glia_picture_decode. Each takes a whole file in memory; `name` is for messages;
 * channels 1, 3, or 0: as the picture has it. */
#ifndef GLIA_IO_PICTURE_H
#define GLIA_IO_PICTURE_H

#include "glia/io.h"

enum { GLIA_PICTURE_SIDE = 16384 }; /* pixels at most */

GLIA_MUST_CHECK glia_status glia__png_decode(glia_tensor *out, const void *data, size_t bytes,
                                             const char *name, int channels, const glia_allocator *allocator,
                                             glia_error *err);
GLIA_MUST_CHECK glia_status glia__jpeg_decode(glia_tensor *out, const void *data, size_t bytes,
                                              const char *name, int channels, const glia_allocator *allocator,
                                              glia_error *err);

#endif
