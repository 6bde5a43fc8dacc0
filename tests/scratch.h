/* scratch.h: a folder for a test's files, and files made of bytes. Include after test.h. */
#ifndef GLIA_SCRATCH_H
#define GLIA_SCRATCH_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[128];

static inline void scratch_make(void) {
    snprintf(scratch, sizeof scratch, "%s/glia_test_XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    CHECK(mkdtemp(scratch) != NULL);
}

/* "name" in the folder; valid for seven more calls. */
static inline const char *scratch_path(const char *name) {
    static char paths[8][512];
    static int next;
    next = (next + 1) % 8;
    snprintf(paths[next], sizeof paths[next], "%s/%s", scratch, name);
    return paths[next];
}

/* Removes the folder and its files; a file that is not wanted to be there is a failure of the test. */
static inline void scratch_remove(void) {
    DIR *dir = opendir(scratch);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.') unlink(scratch_path(entry->d_name));
    if (dir) closedir(dir);
    CHECK(rmdir(scratch) == 0);
}

static inline const char *scratch_put(const char *name, const void *data, size_t bytes) {
    const char *path = scratch_path(name);
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(data, 1, bytes, file) == bytes);
    if (file) CHECK(fclose(file) == 0);
    return path;
}

static inline const char *scratch_text(const char *name, const char *text) {
    return scratch_put(name, text, strlen(text));
}

/* CRC-32 as gzip and PNG have it. */
static inline uint32_t scratch_crc(const unsigned char *data, size_t bytes) {
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

/* A gzip member that holds `bytes` (at most 65535) as they are; `out` needs 23 more. Gives its size. */
static inline size_t scratch_gzip(unsigned char *out, const void *data, size_t bytes) {
    static const unsigned char start[10] = {0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3};
    uint32_t crc = scratch_crc(data, bytes), size = (uint32_t)bytes;
    memcpy(out, start, 10);
    out[10] = 1; /* the last block, stored */
    out[11] = (unsigned char)bytes, out[12] = (unsigned char)(bytes >> 8);
    out[13] = (unsigned char)~out[11], out[14] = (unsigned char)~out[12];
    memcpy(out + 15, data, bytes);
    for (int i = 0; i < 4; i++) {
        out[15 + bytes + (size_t)i] = (unsigned char)(crc >> 8 * i);
        out[19 + bytes + (size_t)i] = (unsigned char)(size >> 8 * i);
    }
    return bytes + 23;
}

#endif
