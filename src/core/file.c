/* file.c: whole files in, and out atomically. */
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static glia_status system_error(glia_error *err, const char *action, const char *path) {
    int code = errno ? errno : EIO;
    return glia_error_set(err, code == ENOENT ? GLIA_NOT_FOUND : GLIA_IO, "cannot %s %s: %s", action, path,
                          strerror(code));
}

/* --- reading ----------------------------------------------------------------------------------------------
 */

typedef struct glia_buffer {
    char *data;
    size_t bytes, capacity;
} glia_buffer;

/* Reads to the end, whatever the size that was expected: a pipe has none, and a file may grow meanwhile. */
static glia_status read_all(FILE *stream, const char *path, size_t limit, const glia_allocator *allocator,
                            glia_buffer *buffer, glia_error *err) {
    for (;;) {
        if (buffer->bytes + 1 >= buffer->capacity) {
            size_t capacity = buffer->capacity + buffer->capacity / 2 + 64;
            char *data = glia__grow(allocator, buffer->data, buffer->capacity, capacity, 1);
            if (!data) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
            buffer->data = data;
            buffer->capacity = capacity;
        }
        errno = 0;
        size_t got = fread(buffer->data + buffer->bytes, 1, buffer->capacity - 1 - buffer->bytes, stream);
        buffer->bytes += got;
        if (buffer->bytes > limit)
            return glia_error_set(err, GLIA_BAD_FORMAT, "%s: expected at most %zu bytes, found more", path,
                                  limit);
        if (got == 0) return ferror(stream) ? system_error(err, "read", path) : GLIA_OK;
    }
}

static glia_status read_stream(FILE *stream, const char *path, size_t limit, const glia_allocator *allocator,
                               glia_buffer *buffer, glia_error *err) {
    struct stat info;
    if (fstat(fileno(stream), &info) != 0) return system_error(err, "read", path);
    if (S_ISDIR(info.st_mode))
        return glia_error_set(err, GLIA_IO, "cannot read %s: it is a folder, expected a file", path);
    if (S_ISREG(info.st_mode) && (uint64_t)info.st_size > limit)
        return glia_error_set(err, GLIA_BAD_FORMAT, "%s: expected at most %zu bytes, found %lld", path, limit,
                              (long long)info.st_size);
    size_t expected =
        S_ISREG(info.st_mode) ? (size_t)info.st_size + 2 : 4096; /* 2: zero byte and end of file */
    buffer->data = glia__alloc(allocator, expected);
    if (!buffer->data) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
    buffer->capacity = expected;
    GLIA_TRY(read_all(stream, path, limit, allocator, buffer, err));
    /* The caller frees bytes + 1. */
    char *exact = glia__grow(allocator, buffer->data, buffer->capacity, buffer->bytes + 1, 1);
    if (!exact) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
    buffer->data = exact;
    buffer->capacity = buffer->bytes + 1;
    exact[buffer->bytes] = '\0';
    return GLIA_OK;
}

glia_status glia__file_read(const char *path, size_t limit, const glia_allocator *allocator, char **data,
                            size_t *bytes, glia_error *err) {
    *data = NULL;
    *bytes = 0;
    FILE *stream = fopen(path, "rbe");
    if (!stream) return system_error(err, "open", path);
    glia_buffer buffer = {0};
    glia_status status = read_stream(stream, path, limit, allocator, &buffer, err);
    fclose(stream);
    if (status != GLIA_OK) {
        glia__free(allocator, buffer.data, buffer.capacity);
        return status;
    }
    *data = buffer.data;
    *bytes = buffer.bytes;
    return GLIA_OK;
}

/* --- writing ----------------------------------------------------------------------------------------------
 */

/* Renaming over a device or a folder would do harm or fail late. */
static glia_status check_target(const char *path, glia_error *err) {
    struct stat info;
    if (stat(path, &info) != 0 || S_ISREG(info.st_mode)) return GLIA_OK;
    return glia_error_set(err, GLIA_IO, "cannot write %s: it is a %s, expected a file", path,
                          S_ISDIR(info.st_mode) ? "folder" : "device or pipe");
}

glia_status glia__writer_open(glia_writer *writer, const char *path, glia_error *err) {
    enum { ATTEMPTS = 100 }; /* other writers of this process, and what a killed one left */
    *writer = (glia_writer){0};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof writer->path)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "expected the name of a file of 1 to %zu bytes, found %zu",
                              sizeof writer->path - 1, length);
    GLIA_TRY(check_target(path, err));
    memcpy(writer->path, path, length + 1);
    int fd = -1;
    for (int i = 0; fd < 0 && i < ATTEMPTS; i++) {
        int n = snprintf(writer->temporary, sizeof writer->temporary, "%s.tmp-%ld", path, (long)getpid());
        if (i > 0) snprintf(writer->temporary + n, sizeof writer->temporary - (size_t)n, "-%d", i);
        fd = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST) break;
    }
    if (fd >= 0) writer->stream = fdopen(fd, "wb");
    if (writer->stream) return GLIA_OK;
    glia_status status = system_error(err, "write", path);
    if (fd >= 0) {
        close(fd);
        unlink(writer->temporary);
    }
    writer->temporary[0] = '\0';
    return status;
}

glia_status glia__writer_put(glia_writer *writer, const void *data, size_t bytes, glia_error *err) {
    errno = 0;
    if (bytes == 0 || fwrite(data, 1, bytes, writer->stream) == bytes) return GLIA_OK;
    return system_error(err, "write", writer->path);
}

/* A rename survives a crash only when the folder has been synced too. Best effort: the file is in place. */
static void sync_folder(const char *path) {
    char folder[sizeof(((glia_writer *)0)->path)];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? GLIA_MAX((size_t)(slash - path), (size_t)1) : 1;
    memcpy(folder, slash ? path : ".", length);
    folder[length] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

glia_status glia__writer_commit(glia_writer *writer, glia_error *err) {
    FILE *stream = writer->stream;
    errno = 0;
    bool written = !ferror(stream) && fflush(stream) == 0;
    if (written && fsync(fileno(stream)) != 0) written = errno == EINVAL; /* a file system without fsync */
    int code = errno;
    writer->stream = NULL;
    if (fclose(stream) != 0 && written) {
        written = false;
        code = errno;
    }
    if (written && rename(writer->temporary, writer->path) != 0) {
        written = false;
        code = errno;
    }
    if (!written) {
        errno = code;
        glia_status status = system_error(err, "write", writer->path);
        glia__writer_abandon(writer);
        return status;
    }
    writer->temporary[0] = '\0';
    sync_folder(writer->path);
    return GLIA_OK;
}

void glia__writer_abandon(glia_writer *writer) {
    if (writer->stream) fclose(writer->stream);
    if (writer->temporary[0]) unlink(writer->temporary);
    writer->stream = NULL;
    writer->temporary[0] = '\0';
}

glia_status glia__file_write(const char *path, const void *data, size_t bytes, glia_error *err) {
    glia_writer writer;
    GLIA_TRY(glia__writer_open(&writer, path, err));
    glia_status status = glia__writer_put(&writer, data, bytes, err);
    if (status == GLIA_OK) return glia__writer_commit(&writer, err);
    glia__writer_abandon(&writer);
    return status;
}

static glia_status copy_stream(FILE *from, const char *path, glia_writer *to, glia_error *err) {
    char buffer[1 << 16];
    for (;;) {
        errno = 0;
        const size_t got = fread(buffer, 1, sizeof buffer, from);
        if (!got) return ferror(from) ? system_error(err, "read", path) : GLIA_OK;
        GLIA_TRY(glia__writer_put(to, buffer, got, err));
    }
}

glia_status glia__file_copy(const char *from, const char *to, glia_error *err) {
    glia_writer writer = {.stream = NULL};
    FILE *stream = fopen(from, "rbe");
    if (!stream) return system_error(err, "open", from);
    glia_status status = glia__writer_open(&writer, to, err);
    if (status == GLIA_OK) status = copy_stream(stream, from, &writer, err);
    fclose(stream);
    if (status == GLIA_OK) return glia__writer_commit(&writer, err);
    glia__writer_abandon(&writer);
    return status;
}

glia_status glia__file_rename(const char *from, const char *path, glia_error *err) {
    if (rename(from, path) != 0) return system_error(err, "write", path);
    sync_folder(path);
    return GLIA_OK;
}

glia_status glia__make_folders(const char *path, glia_error *err) {
    char part[sizeof(((glia_writer *)0)->path)];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "expected the name of a folder of 1 to %zu bytes, found %zu", sizeof part - 1,
                              length);
    memcpy(part, path, length + 1);
    for (char *c = part + 1;; c++) {
        if (*c != '/' && *c != '\0') continue;
        char kept = *c;
        *c = '\0';
        struct stat info;
        if (mkdir(part, 0777) != 0) {
            int code = errno;
            if (stat(part, &info) != 0) {
                errno = code;
                return system_error(err, "make folder", part);
            }
            if (!S_ISDIR(info.st_mode))
                return glia_error_set(err, GLIA_IO, "cannot make folder %s: %s is a file", path, part);
        }
        if (!kept) return GLIA_OK;
        *c = kept;
    }
}
