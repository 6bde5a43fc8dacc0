/* stream.c: plain and gzip files as a stream of bytes. */
#include "io/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef GLIA_HAVE_ZLIB
#include <zlib.h>
#endif

enum { BUFFER_BYTES = 1 << 16, ALIGN = 64 };

struct glia_stream {
    const glia_allocator *allocator;
    const char *path;
    int fd;
    int64_t file_bytes; /* of the file on disk, or of the part; -1 when unknown (a pipe) */
    bool part;          /* no more than `left` bytes may be read of the file */
    uint64_t left;
    bool packed, ended; /* packed: gzip, or a part that is deflated */
#ifdef GLIA_HAVE_ZLIB
    z_stream inflate;
    bool member_ended;
#endif
    size_t begin, end; /* unread part of buffer */
    unsigned char buffer[BUFFER_BYTES];
};

glia_status glia__file_error(glia_error *err, glia_status status, const char *path, const char *format, ...) {
    char text[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    glia_error_set(err, status, "%s", text);
    glia_error_at(err, path, 0, 0);
    return status;
}

/* --- blocks that know their size ----------------------------------------------------------------------- */

enum { SIZED_HEADER = 16 };

void *glia__alloc_sized(const glia_allocator *allocator, size_t bytes) {
    if (bytes > PTRDIFF_MAX - SIZED_HEADER) return NULL;
    char *block = glia__alloc(allocator, bytes + SIZED_HEADER);
    if (!block) return NULL;
    memcpy(block, &bytes, sizeof bytes);
    return block + SIZED_HEADER;
}

void glia__free_sized(const glia_allocator *allocator, void *ptr) {
    if (!ptr) return;
    char *block = (char *)ptr - SIZED_HEADER;
    size_t bytes;
    memcpy(&bytes, block, sizeof bytes);
    glia__free(allocator, block, bytes + SIZED_HEADER);
}

/* --- bytes of the file --------------------------------------------------------------------------------- */

static glia_status read_file(glia_stream *s, void *data, size_t bytes, size_t *got, glia_error *err) {
    ssize_t n;
    if (s->part) bytes = (size_t)GLIA_MIN((uint64_t)bytes, s->left);
    do n = read(s->fd, data, bytes);
    while (n < 0 && errno == EINTR);
    if (n < 0) return glia_error_set(err, GLIA_IO, "cannot read %s: %s", s->path, strerror(errno));
    if (s->part) s->left -= (uint64_t)n;
    *got = (size_t)n;
    return GLIA_OK;
}

/* Makes the buffer hold unread bytes, unless the file is at its end. */
static glia_status fill(glia_stream *s, glia_error *err) {
    if (s->begin < s->end || s->ended) return GLIA_OK;
    size_t got = 0;
    GLIA_TRY(read_file(s, s->buffer, sizeof s->buffer, &got, err));
    s->begin = 0;
    s->end = got;
    s->ended = got == 0;
    return GLIA_OK;
}

static glia_status read_plain(glia_stream *s, unsigned char *data, size_t bytes, size_t *got,
                              glia_error *err) {
    while (*got < bytes) {
        size_t want = bytes - *got, n = 0;
        if (s->begin == s->end && want >= sizeof s->buffer) { /* large reads need no copy */
            GLIA_TRY(read_file(s, data + *got, want, &n, err));
            if (n == 0) return GLIA_OK;
        } else {
            GLIA_TRY(fill(s, err));
            n = GLIA_MIN(want, s->end - s->begin);
            if (n == 0) return GLIA_OK;
            memcpy(data + *got, s->buffer + s->begin, n);
            s->begin += n;
        }
        *got += n;
    }
    return GLIA_OK;
}

/* --- gzip and deflate ---------------------------------------------------------------------------------- */

#ifdef GLIA_HAVE_ZLIB

static voidpf zlib_alloc(voidpf ctx, uInt items, uInt size) {
    return glia__alloc_sized(ctx, (size_t)items * size);
}

static void zlib_free(voidpf ctx, voidpf ptr) {
    glia__free_sized(ctx, ptr);
}

static glia_status unpack_begin(glia_stream *s, glia_error *err) {
    enum { GZIP_ONLY = 16 + MAX_WBITS, NO_HEADER = -MAX_WBITS };
    s->inflate = (z_stream){.zalloc = zlib_alloc, .zfree = zlib_free, .opaque = (voidpf)s->allocator};
    int code = inflateInit2(&s->inflate, s->part ? NO_HEADER : GZIP_ONLY);
    s->packed = code == Z_OK;
    if (code == Z_OK) return GLIA_OK;
    if (code == Z_MEM_ERROR) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for zlib");
    return glia__file_error(err, GLIA_UNSUPPORTED, s->path, "zlib does not start: %s", zError(code));
}

/* After a member ends, the file ends or another member begins (as `cat a.gz b.gz` makes). */
static glia_status next_member(glia_stream *s, bool *more, glia_error *err) {
    GLIA_TRY(fill(s, err));
    *more = s->begin < s->end;
    if (!*more) return GLIA_OK;
    if (s->part || s->buffer[s->begin] != 0x1F)
        return glia__file_error(err, GLIA_BAD_FORMAT, s->path, "bytes after the end of the %s data",
                                s->part ? "deflated" : "gzip");
    inflateReset(&s->inflate);
    s->member_ended = false;
    return GLIA_OK;
}

static glia_status unpack_failed(glia_stream *s, int code, glia_error *err) {
    if (code == Z_MEM_ERROR) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for zlib");
    return glia__file_error(err, GLIA_BAD_FORMAT, s->path, "damaged %s data: %s",
                            s->part ? "deflate" : "gzip", s->inflate.msg ? s->inflate.msg : zError(code));
}

static glia_status read_packed(glia_stream *s, unsigned char *data, size_t bytes, size_t *got,
                               glia_error *err) {
    enum { ONE_CALL = 1 << 30 }; /* zlib counts in unsigned int */
    while (*got < bytes) {
        if (s->member_ended) {
            bool more;
            GLIA_TRY(next_member(s, &more, err));
            if (!more) return GLIA_OK;
        }
        GLIA_TRY(fill(s, err));
        if (s->begin == s->end)
            return glia__file_error(err, GLIA_BAD_FORMAT, s->path,
                                    "truncated %s: it ends in the middle of its data",
                                    s->part ? "part" : "gzip file");
        size_t room = GLIA_MIN(bytes - *got, (size_t)ONE_CALL);
        s->inflate.next_in = s->buffer + s->begin;
        s->inflate.avail_in = (uInt)(s->end - s->begin);
        s->inflate.next_out = data + *got;
        s->inflate.avail_out = (uInt)room;
        int code = inflate(&s->inflate, Z_NO_FLUSH);
        s->begin = s->end - s->inflate.avail_in;
        *got += room - s->inflate.avail_out;
        if (code == Z_STREAM_END)
            s->member_ended = true;
        else if (code != Z_OK && code != Z_BUF_ERROR)
            return unpack_failed(s, code, err);
    }
    return GLIA_OK;
}

#else

static glia_status unpack_begin(glia_stream *s, glia_error *err) {
    return glia__file_error(err, GLIA_UNSUPPORTED, s->path,
                            s->part
                                ? "this build has no zlib: cannot read what is compressed"
                                : "this build has no zlib: cannot read gzip files (run gunzip on it first)");
}

static glia_status read_packed(glia_stream *s, unsigned char *data, size_t bytes, size_t *got,
                               glia_error *err) {
    (void)data, (void)bytes, (void)got;
    return unpack_begin(s, err);
}

#endif

/* --- the stream ---------------------------------------------------------------------------------------- */

static glia_status check_kind(glia_stream *s, glia_error *err) {
    struct stat info;
    if (fstat(s->fd, &info) != 0)
        return glia_error_set(err, GLIA_IO, "cannot read %s: %s", s->path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return glia_error_set(err, GLIA_IO, "cannot read %s: it is a folder, expected a file", s->path);
    s->file_bytes = S_ISREG(info.st_mode) ? (int64_t)info.st_size : -1;
    return GLIA_OK;
}

static glia_status whole_begin(glia_stream *s, glia_error *err) {
    GLIA_TRY(fill(s, err));
    bool gzip = s->end >= 2 && s->buffer[0] == 0x1F && s->buffer[1] == 0x8B;
    return gzip ? unpack_begin(s, err) : GLIA_OK;
}

static glia_status part_begin(glia_stream *s, uint64_t offset, uint64_t bytes, bool deflated,
                              glia_error *err) {
    uint64_t all = s->file_bytes > 0 ? (uint64_t)s->file_bytes : 0;
    if (offset > all || bytes > all - offset)
        return glia__file_error(err, GLIA_BAD_FORMAT, s->path,
                                "expected %" PRIu64 " bytes from byte %" PRIu64
                                " on, but the file has %" PRIu64,
                                bytes, offset, all);
    if (lseek(s->fd, (off_t)offset, SEEK_SET) < 0)
        return glia_error_set(err, GLIA_IO, "cannot read %s: %s", s->path, strerror(errno));
    s->part = true;
    s->left = bytes;
    s->file_bytes = (int64_t)bytes;
    return deflated ? unpack_begin(s, err) : GLIA_OK;
}

/* A stream whose file is open and known to be no folder. */
static glia_status open_file(glia_stream **out, const char *path, const glia_allocator *allocator,
                             glia_error *err) {
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return glia_error_set(err, errno == ENOENT ? GLIA_NOT_FOUND : GLIA_IO, "cannot open %s: %s", path,
                              strerror(errno));
    glia_stream *s = glia__alloc(allocator, sizeof *s);
    if (!s) {
        close(fd);
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
    }
    memset(s, 0, offsetof(glia_stream, buffer));
    s->allocator = allocator;
    s->path = path;
    s->fd = fd;
    *out = s;
    return check_kind(s, err);
}

/* Hands out a stream that began well, or closes it. */
static glia_status opened(glia_stream **out, glia_status status) {
    if (status == GLIA_OK) return GLIA_OK;
    glia__stream_close(*out);
    *out = NULL;
    return status;
}

glia_status glia__stream_open(glia_stream **out, const char *path, const glia_allocator *allocator,
                              glia_error *err) {
    glia_status status = open_file(out, path, allocator, err);
    if (status == GLIA_OK) status = whole_begin(*out, err);
    return opened(out, status);
}

glia_status glia__stream_open_part(glia_stream **out, const char *path, uint64_t offset, uint64_t bytes,
                                   bool deflated, const glia_allocator *allocator, glia_error *err) {
    glia_status status = open_file(out, path, allocator, err);
    if (status == GLIA_OK) status = part_begin(*out, offset, bytes, deflated, err);
    return opened(out, status);
}

void glia__stream_close(glia_stream *s) {
    if (!s) return;
#ifdef GLIA_HAVE_ZLIB
    if (s->packed) inflateEnd(&s->inflate);
#endif
    close(s->fd);
    glia__free(s->allocator, s, sizeof *s);
}

glia_status glia__stream_read(glia_stream *s, void *data, size_t bytes, size_t *got, glia_error *err) {
    *got = 0;
    return s->packed ? read_packed(s, data, bytes, got, err) : read_plain(s, data, bytes, got, err);
}

glia_status glia__stream_text(const char *path, const glia_allocator *allocator, char **text,
                              size_t *capacity, size_t *used, glia_error *err) {
    glia_stream *stream;
    *text = NULL;
    *capacity = *used = 0;
    GLIA_TRY(glia__stream_open(&stream, path, allocator, err));
    glia_status status = GLIA_OK;
    for (size_t got = 1; got && status == GLIA_OK; *used += got) {
        if (*used + 1 >= *capacity) {
            const size_t wanted = *capacity ? 2 * *capacity : 1 << 16;
            char *grown = glia__grow(allocator, *text, *capacity, wanted, 1);
            if (!grown) {
                status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while reading a text");
                break;
            }
            *text = grown;
            *capacity = wanted;
        }
        got = 0;
        status = glia__stream_read(stream, *text + *used, *capacity - *used - 1, &got, err);
    }
    glia__stream_close(stream);
    if (status != GLIA_OK) return status;
    (*text)[*used] = 0;
    if (strlen(*text) == *used) return GLIA_OK;
    return glia__file_error(err, GLIA_BAD_FORMAT, path, "not a text file: it holds a zero byte at %zu",
                            strlen(*text));
}

int64_t glia__stream_size(const glia_stream *s) {
    return s->packed ? -1 : s->file_bytes;
}

/* --- arrays -------------------------------------------------------------------------------------------- */

static glia_status too_short(glia_stream *s, uint64_t expected, uint64_t found, glia_error *err) {
    return glia__file_error(err, GLIA_BAD_FORMAT, s->path,
                            "truncated: the header promises %" PRIu64 " bytes of data, found %" PRIu64,
                            expected, found);
}

static glia_status too_long(glia_stream *s, uint64_t expected, glia_error *err) {
    return glia__file_error(
        err, GLIA_BAD_FORMAT, s->path,
        "too long: the header promises %" PRIu64 " bytes of data, found more (a wrong count?)", expected);
}

/* What to allocate first. Real data seldom packs better than 8 to 1; data that does pays a few copies. */
static size_t first_capacity(const glia_stream *s, uint64_t bytes) {
    uint64_t guess = 1 << 20;
    if (s->file_bytes > 0) guess = GLIA_MAX(guess, (uint64_t)s->file_bytes * 8);
    return (size_t)GLIA_MIN(guess, bytes);
}

static glia_status read_growing(glia_stream *s, uint64_t bytes, char **data, size_t *capacity,
                                glia_error *err) {
    for (size_t used = 0, got;; used += got) {
        if (used == *capacity) {
            if (used == bytes && *data) return GLIA_OK;
            size_t more = *data ? (size_t)GLIA_MIN((uint64_t)used * 2, bytes) : first_capacity(s, bytes);
            char *bigger = glia__alloc_aligned(s->allocator, more, ALIGN);
            if (!bigger)
                return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory: %zu bytes of %s", more,
                                      s->path);
            if (used) memcpy(bigger, *data, used);
            glia__free(s->allocator, *data, *capacity);
            *data = bigger;
            *capacity = more;
        }
        GLIA_TRY(glia__stream_read(s, *data + used, *capacity - used, &got, err));
        if (got < *capacity - used) return too_short(s, bytes, used + got, err);
    }
}

/* Reading to the very end of gzip data also checks its checksum. */
static glia_status expect_end(glia_stream *s, uint64_t bytes, glia_error *err) {
    char next;
    size_t got;
    GLIA_TRY(glia__stream_read(s, &next, 1, &got, err));
    return got ? too_long(s, bytes, err) : GLIA_OK;
}

glia_status glia__stream_array(glia_stream *s, size_t header, uint64_t bytes, bool whole, void **data,
                               glia_error *err) {
    *data = NULL;
    int64_t size = glia__stream_size(s);
    if (bytes > PTRDIFF_MAX) return too_short(s, bytes, size > 0 ? (uint64_t)size - header : 0, err);
    if (size >= 0 && (uint64_t)size < header + bytes)
        return too_short(s, bytes, (uint64_t)size - GLIA_MIN((uint64_t)size, header), err);
    if (whole && size >= 0 && (uint64_t)size > header + bytes) return too_long(s, bytes, err);
    char *read = NULL;
    size_t capacity = 0;
    glia_status status = read_growing(s, bytes, &read, &capacity, err);
    if (status == GLIA_OK && whole) status = expect_end(s, bytes, err);
    if (status == GLIA_OK)
        *data = read;
    else
        glia__free(s->allocator, read, capacity);
    return status;
}
