/* map.c: files as memory. */
#define _DEFAULT_SOURCE

#include "core/map.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static glia_status fail(glia_error *err, const char *path, int number) {
    glia_status status = number == ENOENT ? GLIA_NOT_FOUND : GLIA_IO;
    (void)glia_error_set(err, status, "cannot read %s: %s", path, strerror(number));
    glia_error_at(err, path, 0, 0);
    return status;
}

static glia_status map_descriptor(glia_map *map, const char *path, glia_error *err) {
    struct stat info;
    if (fstat(map->descriptor, &info) != 0) return fail(err, path, errno);
    if (!S_ISREG(info.st_mode)) return fail(err, path, S_ISDIR(info.st_mode) ? EISDIR : EINVAL);
    if ((uintmax_t)info.st_size > SIZE_MAX) return fail(err, path, EFBIG);
    if (info.st_size == 0) return GLIA_OK;
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, map->descriptor, 0);
    if (data == MAP_FAILED) return fail(err, path, errno);
    map->data = data;
    map->bytes = (size_t)info.st_size;
    return GLIA_OK;
}

glia_status glia__map_open(glia_map *map, const char *path, glia_error *err) {
    *map = (glia_map){.data = (const unsigned char *)""};
    map->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us up */
    if (map->descriptor < 0) {
        *map = (glia_map){0};
        return fail(err, path, errno);
    }
    glia_status status = map_descriptor(map, path, err);
    if (status != GLIA_OK) glia__map_close(map);
    return status;
}

bool glia__map_holds(const glia_map *map, const void *data, size_t bytes) {
    const uintptr_t begin = (uintptr_t)map->data, at = (uintptr_t)data;
    return map->bytes && at >= begin && at - begin <= map->bytes && map->bytes - (at - begin) >= bytes;
}

void glia__map_copy(const glia_map *map, const void *data, size_t bytes, void *to) {
    const off_t offset = (off_t)((const unsigned char *)data - map->data);
    size_t done = 0;
    while (done < bytes) {
        const ssize_t count = pread(map->descriptor, (char *)to + done, bytes - done, offset + (off_t)done);
        if (count <= 0) break;
        done += (size_t)count;
    }
    if (done < bytes) memcpy((char *)to + done, (const char *)data + done, bytes - done);
}

void glia__map_close(glia_map *map) {
    if (map->bytes) munmap((void *)(uintptr_t)map->data, map->bytes);
    if (map->data) close(map->descriptor);
    *map = (glia_map){0};
}
