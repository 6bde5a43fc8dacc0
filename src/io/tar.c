/* tar.c: reading tar archives (POSIX.1-2001, pax; GNU's long names). A header is a block of 512 bytes: texts padded with
 * zeros, numbers in octal, a checksum; the file's bytes follow, padded to whole blocks. Two blocks of zeros end it. */

#include "io/tar.h"

enum { BLOCK = 512, MOST_NAME = 4096 };

struct glia_tar {
    const glia_allocator *allocator;
    glia_stream *stream;
    const char *path;
    uint64_t at;      /* bytes of the archive read */
    uint64_t left;    /* of the entry's data */
    unsigned padding; /* behind it */
    char name[MOST_NAME + 1];
    bool named; /* by a header before the entry's own */
};

glia_status glia__tar_open(glia_tar **out, const char *path, const glia_allocator *allocator,
                           glia_error *err) {
    *out = NULL;
    glia_tar *tar = glia__calloc(allocator, 1, sizeof *tar);
    if (!tar) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    tar->allocator = allocator;
    tar->path = path;
    glia_status status = glia__stream_open(&tar->stream, path, allocator, err);
    if (status == GLIA_OK)
        *out = tar;
    else
        glia__tar_close(tar);
    return status;
}

void glia__tar_close(glia_tar *tar) {
    if (!tar) return;
    glia__stream_close(tar->stream);
    glia__free(tar->allocator, tar, sizeof *tar);
}

static glia_status damaged(const glia_tar *tar, const char *what, glia_error *err) {
    return glia__file_error(err, GLIA_BAD_FORMAT, tar->path, "damaged tar archive: %s before byte %llu", what,
                            (unsigned long long)tar->at);
}

static glia_status read_all(glia_tar *tar, void *data, size_t bytes, glia_error *err) {
    size_t got;
    GLIA_TRY(glia__stream_read(tar->stream, data, bytes, &got, err));
    tar->at += got;
    return got == bytes ? GLIA_OK : damaged(tar, "it ends within an entry,", err);
}

static glia_status skip(glia_tar *tar, uint64_t bytes, glia_error *err) {
    char nothing[4096];
    for (uint64_t step; bytes; bytes -= step) {
        step = GLIA_MIN(bytes, sizeof nothing);
        GLIA_TRY(read_all(tar, nothing, (size_t)step, err));
    }
    return GLIA_OK;
}

/* Octal digits with spaces or zeros around; or, with the first bit set, a binary number (GNU). False when neither. */
static bool read_number(const unsigned char *field, size_t length, uint64_t *out) {
    size_t i = 0;
    *out = 0;
    if (field[0] & 0x80) {
        if (field[0] != 0x80) return false; /* negative, or beyond 64 bits */
        for (i = 1; i < length; i++) {
            if (*out >> 55) return false;
            *out = *out << 8 | field[i];
        }
        return true;
    }
    while (i < length && field[i] == ' ') i++;
    for (; i < length && field[i] >= '0' && field[i] <= '7'; i++) {
        if (*out >> 60) return false;
        *out = *out << 3 | (uint64_t)(field[i] - '0');
    }
    return i == length || field[i] == ' ' || field[i] == 0;
}

static bool checksum_is_right(const unsigned char *block) {
    uint64_t sum = 0, written;
    for (int i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : block[i];
    return read_number(block + 148, 8, &written) && sum == written;
}

static bool is_zero(const unsigned char *block) {
    for (int i = 0; i < BLOCK; i++)
        if (block[i]) return false;
    return true;
}

/* "prefix/name" of the header. */
static void read_name(glia_tar *tar, const unsigned char *block) {
    bool ustar = memcmp(block + 257, "ustar", 6) == 0;
    size_t prefix = ustar ? strnlen((const char *)block + 345, 155) : 0,
           name = strnlen((const char *)block, 100);
    memcpy(tar->name, block + 345, prefix);
    if (prefix) tar->name[prefix++] = '/';
    memcpy(tar->name + prefix, block, name);
    tar->name[prefix + name] = 0;
}

/* "27 path=…\n" of pax: length of the whole record, space, key, value. */
static glia_status find_path(glia_tar *tar, const char *text, size_t bytes, glia_error *err) {
    for (size_t at = 0; at < bytes;) {
        size_t length = 0, digits = 0;
        for (; at + digits < bytes && text[at + digits] >= '0' && text[at + digits] <= '9' && digits < 9;
             digits++)
            length = 10 * length + (size_t)(text[at + digits] - '0');
        if (!digits || length < digits + 2 || length > bytes - at || text[at + digits] != ' ')
            return damaged(tar, "a pax record of an impossible length", err);
        const char *record = text + at + digits + 1;
        size_t record_bytes = length - digits - 2; /* without the newline */
        if (record_bytes > 5 && memcmp(record, "path=", 5) == 0) {
            if (record_bytes - 5 > MOST_NAME) return damaged(tar, "a name of more than 4096 bytes", err);
            memcpy(tar->name, record + 5, record_bytes - 5);
            tar->name[record_bytes - 5] = 0;
            tar->named = true;
        }
        at += length;
    }
    return GLIA_OK;
}

/* The data of a header that names the next entry: the name itself (GNU), or pax records. */
static glia_status read_long_name(glia_tar *tar, bool pax, glia_error *err) {
    char text[4 * MOST_NAME];
    size_t bytes = (size_t)GLIA_MIN(tar->left, sizeof text);
    if (bytes < tar->left) return damaged(tar, "a name of more than 4096 bytes", err);
    GLIA_TRY(read_all(tar, text, bytes, err));
    tar->left = 0;
    if (pax) return find_path(tar, text, bytes, err);
    size_t length = strnlen(text, bytes);
    if (length > MOST_NAME) return damaged(tar, "a name of more than 4096 bytes", err);
    memcpy(tar->name, text, length);
    tar->name[length] = 0;
    tar->named = true;
    return GLIA_OK;
}

glia_status glia__tar_next(glia_tar *tar, glia_tar_entry *entry, glia_error *err) {
    unsigned char block[BLOCK];
    size_t got;
    *entry = (glia_tar_entry){.name = NULL};
    for (tar->named = false;;) {
        GLIA_TRY(skip(tar, tar->left, err));
        GLIA_TRY(skip(tar, tar->padding, err));
        tar->left = tar->padding = 0;
        GLIA_TRY(glia__stream_read(tar->stream, block, BLOCK, &got, err));
        tar->at += got;
        if (got == 0 || (got == BLOCK && is_zero(block)))
            return GLIA_OK; /* some end without the two blocks */
        if (got < BLOCK || !checksum_is_right(block) || !read_number(block + 124, 12, &tar->left))
            return damaged(
                tar, tar->at <= BLOCK ? "it is none, or its first header is wrong," : "a wrong header", err);
        char type = (char)block[156];
        bool data = type == 0 || type == '0' || type == '7' || type == 'L' || type == 'K' || type == 'x' ||
                    type == 'g';
        if (!data) tar->left = 0; /* the size of a link is that of its target */
        tar->padding = (unsigned)((BLOCK - tar->left % BLOCK) % BLOCK);
        if (type == 'L' || type == 'x') {
            GLIA_TRY(read_long_name(tar, type == 'x', err));
        } else if (type != 'K' && type != 'g') {
            if (!tar->named) read_name(tar, block);
            *entry = (glia_tar_entry){tar->name, tar->left, type == 0 || type == '0' || type == '7'};
            return GLIA_OK;
        }
    }
}

glia_status glia__tar_read(glia_tar *tar, void *data, size_t bytes, glia_error *err) {
    if (bytes > tar->left) return damaged(tar, "more was asked for than the entry holds", err);
    tar->left -= bytes;
    return read_all(tar, data, bytes, err);
}
