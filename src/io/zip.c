/* zip.c: reading zip archives. The directory at the end of the file is what counts: the headers before the members are
 * only skipped, as their sizes may be left open. */
#include "io/zip.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/crc.h"

enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    MOST_COMMENT = 0xFFFF,
    MOST_DIRECTORY = 1 << 26,
    PACKS_AT_MOST = 1032, /* deflate makes of one byte no more than so many */
};

struct glia_zip {
    glia_arena arena;
    const char *path; /* borrowed */
    int fd;
    uint64_t file_bytes;
    glia_zip_member *members;
    const glia_zip_member **by_name; /* sorted */
    size_t count;
};

#define FAIL(zip, status, ...) glia__file_error(err, status, (zip)->path, __VA_ARGS__)

static uint64_t number(const unsigned char *bytes, int count) {
    uint64_t n = 0;
    for (int i = count; i-- > 0;) n = n << 8 | bytes[i];
    return n;
}

static glia_status read_at(const glia_zip *zip, uint64_t at, void *to, size_t bytes, glia_error *err) {
    for (size_t used = 0; used < bytes;) {
        ssize_t got = pread(zip->fd, (char *)to + used, bytes - used, (off_t)(at + used));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return glia_error_set(err, GLIA_IO, "cannot read %s: %s", zip->path, strerror(errno));
        if (got == 0)
            return FAIL(zip, GLIA_BAD_FORMAT, "truncated zip archive: it ends at byte %" PRIu64, at + used);
        used += (size_t)got;
    }
    return GLIA_OK;
}

/* --- the end record ------------------------------------------------------------------------------------ */

typedef struct directory {
    uint64_t count, bytes, offset;
} directory;

/* The last signature in the file's tail whose comment reaches the end of the file, or -1. */
static long find_end(const unsigned char *tail, size_t bytes) {
    for (long at = (long)bytes - END_BYTES; at >= 0; at--)
        if (memcmp(tail + at, "PK\5\6", 4) == 0 &&
            (size_t)at + END_BYTES + number(tail + at + 20, 2) == bytes)
            return at;
    return -1;
}

/* Archives with large numbers keep them in a second record, which a third one before the end points to. */
static glia_status read_end64(const glia_zip *zip, uint64_t end, directory *d, glia_error *err) {
    unsigned char locator[LOCATOR_BYTES], record[END64_BYTES];
    if (end < LOCATOR_BYTES) return FAIL(zip, GLIA_BAD_FORMAT, "damaged zip archive: no zip64 record");
    GLIA_TRY(read_at(zip, end - LOCATOR_BYTES, locator, sizeof locator, err));
    uint64_t at = number(locator + 8, 8);
    if (memcmp(locator, "PK\6\7", 4) != 0 || at > end || end - at < END64_BYTES)
        return FAIL(zip, GLIA_BAD_FORMAT, "damaged zip archive: its zip64 record is missing");
    GLIA_TRY(read_at(zip, at, record, sizeof record, err));
    if (memcmp(record, "PK\6\6", 4) != 0)
        return FAIL(zip, GLIA_BAD_FORMAT, "damaged zip archive: its zip64 record is missing");
    *d = (directory){number(record + 32, 8), number(record + 40, 8), number(record + 48, 8)};
    return GLIA_OK;
}

static glia_status read_end(const glia_zip *zip, directory *d, glia_error *err) {
    size_t bytes = (size_t)GLIA_MIN(zip->file_bytes, (uint64_t)(END_BYTES + MOST_COMMENT));
    unsigned char *tail = glia__alloc(zip->arena.allocator, bytes);
    if (!tail) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", zip->path);
    glia_status status = read_at(zip, zip->file_bytes - bytes, tail, bytes, err);
    long at = status == GLIA_OK ? find_end(tail, bytes) : 0;
    if (at < 0)
        status = FAIL(zip, GLIA_BAD_FORMAT, "not a zip archive, or a truncated one: its end is missing");
    if (status == GLIA_OK) {
        const unsigned char *end = tail + at;
        *d = (directory){number(end + 10, 2), number(end + 12, 4), number(end + 16, 4)};
        if (d->count == 0xFFFF || d->bytes == 0xFFFFFFFF || d->offset == 0xFFFFFFFF)
            status = read_end64(zip, zip->file_bytes - bytes + (uint64_t)at, d, err);
    }
    glia__free(zip->arena.allocator, tail, bytes);
    return status;
}

/* --- the directory ------------------------------------------------------------------------------------- */

/* Sizes of 2^32 − 1 stand for larger ones, which follow in the extra field 1, in this order. */
static bool read_extra(glia_zip_member *m, const unsigned char *extra, size_t bytes) {
    uint64_t *wanted[3];
    int count = 0;
    if (m->bytes == 0xFFFFFFFF) wanted[count++] = &m->bytes;
    if (m->packed == 0xFFFFFFFF) wanted[count++] = &m->packed;
    if (m->offset == 0xFFFFFFFF) wanted[count++] = &m->offset;
    while (count && bytes >= 4) {
        size_t length = (size_t)number(extra + 2, 2);
        if (length > bytes - 4) return false;
        if (number(extra, 2) == 1) {
            if (length < (size_t)count * 8) return false;
            for (int i = 0; i < count; i++) *wanted[i] = number(extra + 4 + 8 * i, 8);
            return true;
        }
        extra += 4 + length;
        bytes -= 4 + length;
    }
    return count == 0;
}

static glia_status check_member(const glia_zip *zip, const glia_zip_member *m, unsigned flags,
                                unsigned method, glia_error *err) {
    if (flags & 1)
        return FAIL(zip, GLIA_UNSUPPORTED, "member '%.100s' is encrypted; unpack the archive first", m->name);
    if (method != 0 && method != 8)
        return FAIL(zip, GLIA_UNSUPPORTED,
                    "member '%.100s' is packed by method %u; only stored and deflated members can be read",
                    m->name, method);
    if (m->offset > zip->file_bytes || m->packed > zip->file_bytes - m->offset)
        return FAIL(zip, GLIA_BAD_FORMAT, "truncated zip archive: member '%.100s' lies beyond its end",
                    m->name);
    if (m->deflated ? m->bytes / PACKS_AT_MOST > m->packed : m->bytes != m->packed)
        return FAIL(zip, GLIA_BAD_FORMAT,
                    "damaged zip archive: member '%.100s' promises %" PRIu64 " bytes, packed in %" PRIu64,
                    m->name, m->bytes, m->packed);
    return GLIA_OK;
}

/* One entry at `at`, of which `left` bytes of the directory are left; *used is its length. */
static glia_status read_entry(glia_zip *zip, const unsigned char *at, size_t left, size_t *used,
                              glia_error *err) {
    if (left < ENTRY_BYTES || memcmp(at, "PK\1\2", 4) != 0)
        return FAIL(zip, GLIA_BAD_FORMAT, "damaged zip archive: entry %zu of its directory is none",
                    zip->count);
    size_t name = (size_t)number(at + 28, 2), extra = (size_t)number(at + 30, 2);
    *used = ENTRY_BYTES + name + extra + (size_t)number(at + 32, 2);
    if (*used > left || memchr(at + ENTRY_BYTES, 0, name))
        return FAIL(zip, GLIA_BAD_FORMAT, "damaged zip archive: entry %zu of its directory is cut",
                    zip->count);
    glia_zip_member *m = &zip->members[zip->count];
    unsigned flags = (unsigned)number(at + 8, 2), method = (unsigned)number(at + 10, 2);
    *m = (glia_zip_member){
        .name = glia__arena_printf(&zip->arena, "%.*s", (int)name, (const char *)at + ENTRY_BYTES),
        .crc = (uint32_t)number(at + 16, 4),
        .packed = number(at + 20, 4),
        .bytes = number(at + 24, 4),
        .offset = number(at + 42, 4),
        .deflated = method == 8};
    if (!m->name) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", zip->path);
    if (!read_extra(m, at + ENTRY_BYTES + name, extra))
        return FAIL(zip, GLIA_BAD_FORMAT, "damaged zip archive: the sizes of '%.100s' are missing", m->name);
    zip->by_name[zip->count++] = m;
    return check_member(zip, m, flags, method, err);
}

static int compare_names(const void *a, const void *b) {
    return strcmp((*(const glia_zip_member *const *)a)->name, (*(const glia_zip_member *const *)b)->name);
}

/* Members that share bytes, as bombs have them, take more than the file. */
static glia_status check_all(glia_zip *zip, glia_error *err) {
    uint64_t sum = 0;
    for (size_t i = 0; i < zip->count; i++) sum += zip->members[i].packed;
    if (sum > zip->file_bytes) return FAIL(zip, GLIA_BAD_FORMAT, "damaged zip archive: its members overlap");
    if (zip->count) qsort(zip->by_name, zip->count, sizeof *zip->by_name, compare_names);
    for (size_t i = 1; i < zip->count; i++)
        if (strcmp(zip->by_name[i - 1]->name, zip->by_name[i]->name) == 0)
            return FAIL(zip, GLIA_BAD_FORMAT, "two members are called '%.100s'", zip->by_name[i]->name);
    return GLIA_OK;
}

static glia_status read_entries(glia_zip *zip, const directory *d, const unsigned char *bytes,
                                glia_error *err) {
    zip->members = glia__arena_alloc(&zip->arena, (size_t)d->count * sizeof *zip->members);
    zip->by_name = glia__arena_alloc(&zip->arena, (size_t)d->count * sizeof *zip->by_name);
    if (!zip->members || !zip->by_name)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", zip->path);
    for (size_t at = 0, used = 0; zip->count < d->count; at += used)
        GLIA_TRY(read_entry(zip, bytes + at, (size_t)d->bytes - at, &used, err));
    return check_all(zip, err);
}

static glia_status read_directory(glia_zip *zip, glia_error *err) {
    directory d = {0};
    off_t size = lseek(zip->fd, 0, SEEK_END);
    if (size < 0) return glia_error_set(err, GLIA_IO, "cannot read %s: %s", zip->path, strerror(errno));
    zip->file_bytes = (uint64_t)size;
    GLIA_TRY(read_end(zip, &d, err));
    if (d.offset > zip->file_bytes || d.bytes > zip->file_bytes - d.offset || d.bytes > MOST_DIRECTORY ||
        d.count > d.bytes / ENTRY_BYTES)
        return FAIL(zip, GLIA_BAD_FORMAT,
                    "damaged zip archive: a directory of %" PRIu64 " entries in %" PRIu64
                    " bytes from byte %" PRIu64 " on does not fit",
                    d.count, d.bytes, d.offset);
    unsigned char *bytes = glia__alloc(zip->arena.allocator, (size_t)d.bytes);
    if (!bytes) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", zip->path);
    glia_status status = read_at(zip, d.offset, bytes, (size_t)d.bytes, err);
    if (status == GLIA_OK) status = read_entries(zip, &d, bytes, err);
    glia__free(zip->arena.allocator, bytes, (size_t)d.bytes);
    return status;
}

/* --- the face ------------------------------------------------------------------------------------------ */

glia_status glia__zip_open(glia_zip **out, const char *path, const glia_allocator *allocator,
                           glia_error *err) {
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return glia_error_set(err, errno == ENOENT ? GLIA_NOT_FOUND : GLIA_IO, "cannot open %s: %s", path,
                              strerror(errno));
    glia_zip *zip = glia__calloc(allocator, 1, sizeof *zip);
    if (!zip) {
        close(fd);
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
    }
    glia__arena_init(&zip->arena, allocator);
    zip->path = path;
    zip->fd = fd;
    glia_status status = read_directory(zip, err);
    if (status == GLIA_OK)
        *out = zip;
    else
        glia__zip_close(zip);
    return status;
}

void glia__zip_close(glia_zip *zip) {
    if (!zip) return;
    const glia_allocator *allocator = zip->arena.allocator;
    close(zip->fd);
    glia__arena_free(&zip->arena);
    glia__free(allocator, zip, sizeof *zip);
}

size_t glia__zip_count(const glia_zip *zip) {
    return zip->count;
}

const glia_zip_member *glia__zip_member(const glia_zip *zip, size_t index) {
    return index < zip->count ? &zip->members[index] : NULL;
}

const glia_zip_member *glia__zip_find(const glia_zip *zip, const char *name) {
    const glia_zip_member key = {.name = name}, *wanted = &key;
    const glia_zip_member **found =
        zip->count ? bsearch(&wanted, zip->by_name, zip->count, sizeof wanted, compare_names) : NULL;
    return found ? *found : NULL;
}

/* Where the member's bytes begin: behind its own header, whose texts may differ from the directory's. */
static glia_status find_bytes(const glia_zip *zip, const glia_zip_member *m, uint64_t *at, glia_error *err) {
    unsigned char header[LOCAL_BYTES];
    GLIA_TRY(read_at(zip, m->offset, header, sizeof header, err));
    if (memcmp(header, "PK\3\4", 4) != 0)
        return FAIL(zip, GLIA_BAD_FORMAT, "damaged zip archive: no member begins where '%.100s' should",
                    m->name);
    *at = m->offset + LOCAL_BYTES + number(header + 26, 2) + number(header + 28, 2);
    return GLIA_OK;
}

glia_status glia__zip_read(const glia_zip *zip, const glia_zip_member *m, void **data, glia_error *err) {
    glia_stream *stream;
    uint64_t at = 0;
    *data = NULL;
    GLIA_TRY(find_bytes(zip, m, &at, err));
    GLIA_TRY(
        glia__stream_open_part(&stream, zip->path, at, m->packed, m->deflated, zip->arena.allocator, err));
    glia_status status = glia__stream_array(stream, 0, m->bytes, true, data, err);
    glia__stream_close(stream);
    GLIA_TRY(status);
    uint32_t crc = glia__crc32(0, *data, (size_t)m->bytes);
    if (crc == m->crc) return GLIA_OK;
    glia__free(zip->arena.allocator, *data, (size_t)m->bytes);
    *data = NULL;
    return FAIL(zip, GLIA_BAD_FORMAT,
                "damaged: member '%.100s' has checksum %08" PRIx32 ", expected %08" PRIx32, m->name, crc,
                m->crc);
}
