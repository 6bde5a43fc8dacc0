/* zip_write.c: archives of stored members, and their checksum. Dates are the format's earliest, so that the same arrays give the same
 * bytes. */
#include <inttypes.h>

#include "io/crc.h"
#include "io/zip.h"

#ifdef GLIA_HAVE_ZLIB
#include <zlib.h>
#endif

enum { EARLIEST = 0x21, VERSION = 20, UTF8_NAMES = 1 << 11 };

uint32_t glia__crc32(uint32_t crc, const void *data, size_t bytes) {
    const unsigned char *at = data;
#ifdef GLIA_HAVE_ZLIB
    enum { ONE_CALL = 1 << 30 }; /* zlib counts in unsigned int */
    for (size_t step; bytes; at += step, bytes -= step) {
        step = GLIA_MIN(bytes, (size_t)ONE_CALL);
        crc = (uint32_t)crc32(crc, at, (uInt)step);
    }
    return crc;
#else
    crc = ~crc;
    for (; bytes; at++, bytes--) {
        crc ^= *at;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
#endif
}

static unsigned char *put(unsigned char *to, uint64_t number, int bytes) {
    for (int i = 0; i < bytes; i++) *to++ = (unsigned char)(number >> 8 * i);
    return to;
}

glia_status glia__zip_begin(glia_zip_writer *zip, const char *path, glia_error *err) {
    *zip = (glia_zip_writer){.at = 0};
    glia__text_init(&zip->directory, NULL);
    return glia__writer_open(&zip->file, path, err);
}

/* What the header before a member and its entry in the directory have in common: 26 bytes. */
static unsigned char *put_facts(unsigned char *to, uint32_t crc, uint64_t bytes, size_t name) {
    to = put(to, VERSION, 2);
    to = put(to, UTF8_NAMES, 2);
    to = put(to, 0, 2); /* stored */
    to = put(to, 0, 2);
    to = put(to, EARLIEST, 2);
    to = put(to, crc, 4);
    to = put(to, bytes, 4);
    to = put(to, bytes, 4);
    to = put(to, name, 2);
    return put(to, 0, 2);
}

glia_status glia__zip_add(glia_zip_writer *zip, const char *name, const void *head, size_t head_bytes,
                          const void *data, size_t data_bytes, glia_error *err) {
    unsigned char local[32], entry[48], *end = local;
    size_t length = strlen(name);
    uint64_t bytes = (uint64_t)head_bytes + data_bytes, next = zip->at + 30 + length + bytes;
    if (length > 0xFFFF || next >= 0xFFFFFFFF || zip->count >= 0xFFFE)
        return glia__file_error(
            err, GLIA_UNSUPPORTED, zip->file.path,
            "a zip archive holds less than 4 GB and 65,535 arrays; write safetensors instead");
    uint32_t crc = glia__crc32(glia__crc32(0, head, head_bytes), data, data_bytes);
    end = put_facts(put(end, 0x04034B50, 4), crc, bytes, length);
    GLIA_TRY(glia__writer_put(&zip->file, local, (size_t)(end - local), err));
    GLIA_TRY(glia__writer_put(&zip->file, name, length, err));
    GLIA_TRY(glia__writer_put(&zip->file, head, head_bytes, err));
    GLIA_TRY(glia__writer_put(&zip->file, data, data_bytes, err));
    end = put_facts(put(put(entry, 0x02014B50, 4), VERSION, 2), crc, bytes, length);
    end = put(put(end, 0, 6), 0, 4); /* comment, disk, attributes */
    end = put(end, zip->at, 4);
    glia__text_add_bytes(&zip->directory, entry, (size_t)(end - entry));
    glia__text_add_bytes(&zip->directory, name, length);
    zip->at = next;
    zip->count++;
    return GLIA_OK;
}

glia_status glia__zip_finish(glia_zip_writer *zip, glia_error *err) {
    unsigned char record[22], *end = put(record, 0x06054B50, 4);
    const glia_text *directory = &zip->directory;
    if (directory->failed)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory writing %s", zip->file.path);
    end = put(end, 0, 4);
    end = put(end, zip->count, 2);
    end = put(end, zip->count, 2);
    end = put(end, directory->length, 4);
    end = put(end, zip->at, 4);
    end = put(end, 0, 2);
    GLIA_TRY(glia__writer_put(&zip->file, directory->data, directory->length, err));
    GLIA_TRY(glia__writer_put(&zip->file, record, (size_t)(end - record), err));
    return glia__writer_commit(&zip->file, err);
}

void glia__zip_abandon(glia_zip_writer *zip) {
    glia__writer_abandon(&zip->file);
    glia__text_free(&zip->directory);
}
