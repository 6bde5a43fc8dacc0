/* file.h: reading whole files within a bound, and writing so that a crash leaves the old file or the new one.
 */
#ifndef GLIA_CORE_FILE_H
#define GLIA_CORE_FILE_H

#include <stdio.h>

#include "core/mem.h"
#include "glia/status.h"

/* Reads all of `path` (at most `limit` bytes) to a new buffer with a zero byte after it; free with glia__free
 * (bytes + 1). Gives GLIA_NOT_FOUND when absent, GLIA_IO or GLIA_BAD_FORMAT (too large) otherwise. */
GLIA_MUST_CHECK glia_status glia__file_read(const char *path, size_t limit, const glia_allocator *allocator,
                                            char **data, size_t *bytes, glia_error *err);

/* A file being written beside its target. Nothing is visible at `path` until commit. */
typedef struct glia_writer {
    FILE *stream;
    char path[1024], temporary[1056];
} glia_writer;

/* Opens `path`.tmp-PID for writing. */
GLIA_MUST_CHECK glia_status glia__writer_open(glia_writer *writer, const char *path, glia_error *err);
/* fwrite that reports a full disk. */
GLIA_MUST_CHECK glia_status glia__writer_put(glia_writer *writer, const void *data, size_t bytes,
                                             glia_error *err);
/* Flushes, syncs, renames over `path`, syncs the folder. On any failure the target is untouched. */
GLIA_MUST_CHECK glia_status glia__writer_commit(glia_writer *writer, glia_error *err);
/* Removes the temporary file. Safe after commit and on a writer of {0}. */
void glia__writer_abandon(glia_writer *writer);
/* Renames a file that has been synced to `path` in the same folder, replacing what is there, and syncs the folder. */
GLIA_MUST_CHECK glia_status glia__file_rename(const char *from, const char *path, glia_error *err);
/* open, put, commit. */
GLIA_MUST_CHECK glia_status glia__file_write(const char *path, const void *data, size_t bytes,
                                             glia_error *err);
/* Copies a file as glia__file_write writes one, through a small buffer. */
GLIA_MUST_CHECK glia_status glia__file_copy(const char *from, const char *to, glia_error *err);
/* mkdir -p. */
GLIA_MUST_CHECK glia_status glia__make_folders(const char *path, glia_error *err);

#endif
