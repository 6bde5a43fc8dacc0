/* zip.h: the members of a zip archive (stored or deflated), read whole, and archives of stored members written.
 * Format: PKWARE's APPNOTE.TXT; archives above 4 GB (zip64) are read, not written. */
#ifndef GLIA_IO_ZIP_H
#define GLIA_IO_ZIP_H

#include "core/file.h"
#include "io/stream.h"

typedef struct glia_zip glia_zip;

typedef struct glia_zip_member {
    const char *name; /* "dense.weight.npy" */
    uint64_t bytes;   /* unpacked, as the archive promises; at most what its packed bytes can hold */
    uint64_t packed, offset;
    uint32_t crc;
    bool deflated;
} glia_zip_member;

/* Reads the archive's directory and checks it: every member lies within the file, no two have one name, and together
 * they take no more than the file. */
GLIA_MUST_CHECK glia_status glia__zip_open(glia_zip **out, const char *path, const glia_allocator *allocator,
                                           glia_error *err);
void glia__zip_close(glia_zip *zip); /* NULL allowed */
size_t glia__zip_count(const glia_zip *zip);
const glia_zip_member *glia__zip_member(const glia_zip *zip, size_t index);   /* in the directory's order */
const glia_zip_member *glia__zip_find(const glia_zip *zip, const char *name); /* NULL: there is none */
/* Unpacks a member to *data, 64-byte aligned, to be freed as `member->bytes` bytes of the archive's allocator. Its
 * checksum is verified. */
GLIA_MUST_CHECK glia_status glia__zip_read(const glia_zip *zip, const glia_zip_member *member, void **data,
                                           glia_error *err);

/* An archive being written; nothing is visible at its path before finish. */
typedef struct glia_zip_writer {
    glia_writer file;
    glia_text directory;
    uint64_t at;
    size_t count;
} glia_zip_writer;

GLIA_MUST_CHECK glia_status glia__zip_begin(glia_zip_writer *zip, const char *path, glia_error *err);
/* Adds a member made of two pieces; the second may be empty. Same calls, same bytes. */
GLIA_MUST_CHECK glia_status glia__zip_add(glia_zip_writer *zip, const char *name, const void *head,
                                          size_t head_bytes, const void *data, size_t data_bytes,
                                          glia_error *err);
GLIA_MUST_CHECK glia_status glia__zip_finish(glia_zip_writer *zip, glia_error *err);
/* Removes what was written and frees; safe after finish. */
void glia__zip_abandon(glia_zip_writer *zip);

#endif
