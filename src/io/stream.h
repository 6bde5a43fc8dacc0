/* stream.h: bytes of a file, plain or gzip (told by its first bytes), with memory that follows the data: a
 * header that promises more than the file holds makes us allocate no more than the file can fill. */
#ifndef GLIA_IO_STREAM_H
#define GLIA_IO_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mem.h"
#include "glia/status.h"
#include "glia/tensor.h"

typedef struct glia_stream glia_stream;

/* GLIA_NOT_FOUND when absent, GLIA_UNSUPPORTED for gzip in a build without zlib. `path` is borrowed. */
GLIA_MUST_CHECK glia_status glia__stream_open(glia_stream **out, const char *path,
                                              const glia_allocator *allocator, glia_error *err);
/* A part of a file, as archives have them: `bytes` bytes from `offset` on, which must be there; `deflated`: raw deflate
 * data (RFC 1951), else as they are. */
GLIA_MUST_CHECK glia_status glia__stream_open_part(glia_stream **out, const char *path, uint64_t offset,
                                                   uint64_t bytes, bool deflated,
                                                   const glia_allocator *allocator, glia_error *err);
void glia__stream_close(glia_stream *stream); /* NULL allowed */
/* Fills `data`; *got is less than `bytes` only at the end of the file. */
GLIA_MUST_CHECK glia_status glia__stream_read(glia_stream *stream, void *data, size_t bytes, size_t *got,
                                              glia_error *err);
/* Reads a whole text file, plain or gzip, to *text: `used` bytes of UTF-8 or other and a zero behind them; *capacity is what
 * to free it with, on failure too. A file that holds a zero byte is no text. */
GLIA_MUST_CHECK glia_status glia__stream_text(const char *path, const glia_allocator *allocator, char **text,
                                              size_t *capacity, size_t *used, glia_error *err);
/* Bytes in the file or part when that is known before reading (plain ones), else -1. */
int64_t glia__stream_size(const glia_stream *stream);

/* Reads an array's `bytes` bytes of data, which begin after a header of `header` bytes that has been read, to
 * *data: 64-byte aligned, to be freed as `bytes` bytes of the stream's allocator. `whole`: nothing may
 * follow. GLIA_BAD_FORMAT, with what was promised and found, when the file holds less (or more). */
GLIA_MUST_CHECK glia_status glia__stream_array(glia_stream *stream, size_t header, uint64_t bytes, bool whole,
                                               void **data, glia_error *err);

/* glia_error_set, and glia_error_at with the file. */
glia_status glia__file_error(glia_error *err, glia_status status, const char *path, const char *format, ...)
    GLIA_PRINTF(4, 5);

/* Hooks for C libraries that free without telling the size: the size lies before the block. The context is
 * the allocator (NULL: default). */
void *glia__alloc_sized(const glia_allocator *allocator, size_t bytes);
void glia__free_sized(const glia_allocator *allocator, void *ptr);

#endif
