/* tar.h: the files of a tar archive, plain or gzip, one after the other in memory; nothing is written to disk. */
#ifndef GLIA_IO_TAR_H
#define GLIA_IO_TAR_H

#include "io/stream.h"

typedef struct glia_tar glia_tar;

typedef struct glia_tar_entry {
    const char *name; /* "test/cat/0001.jpg", valid until the next entry; NULL at the end of the archive */
    uint64_t bytes;
    bool file; /* a regular file; else a folder, a link, … */
} glia_tar_entry;

/* Reads ustar, GNU and pax archives. `path` is borrowed. */
GLIA_MUST_CHECK glia_status glia__tar_open(glia_tar **out, const char *path, const glia_allocator *allocator,
                                           glia_error *err);
void glia__tar_close(glia_tar *tar); /* NULL allowed */
/* The next entry; what was not read of the last one is skipped. GLIA_BAD_FORMAT for what is no archive, or cut. */
GLIA_MUST_CHECK glia_status glia__tar_next(glia_tar *tar, glia_tar_entry *entry, glia_error *err);
/* Reads the entry's next `bytes` bytes, of those that are left. */
GLIA_MUST_CHECK glia_status glia__tar_read(glia_tar *tar, void *data, size_t bytes, glia_error *err);

#endif
