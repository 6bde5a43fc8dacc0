/* picture.c: pictures of any kind that Glia reads, told by their first bytes. */

#include "io/picture.h"

#include "core/file.h"
#include "io/stream.h"

glia_status glia_picture_decode(glia_tensor *out, const void *data, size_t bytes, const char *name,
                                int channels, const glia_allocator *allocator, glia_error *err) {
    static const struct {
        const char *start;
        size_t length;
        glia_status (*decode)(glia_tensor *, const void *, size_t, const char *, int, const glia_allocator *,
                              glia_error *);
    } kinds[] = {{"\x89PNG\r\n\x1a\n", 8, glia__png_decode}, {"\xFF\xD8\xFF", 3, glia__jpeg_decode}};
    *out = (glia_tensor){0};
    if (channels != 0 && channels != 1 && channels != 3)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "a picture has 1 or 3 channels, not %d", channels);
    for (size_t i = 0; i < GLIA_COUNT(kinds); i++)
        if (bytes >= kinds[i].length && memcmp(data, kinds[i].start, kinds[i].length) == 0)
            return kinds[i].decode(out, data, bytes, name, channels, allocator, err);
    return glia__file_error(
        err, GLIA_BAD_FORMAT, name,
        "neither a PNG nor a JPEG picture, whatever its name: it begins with other bytes");
}

glia_status glia_picture_read(glia_tensor *out, const char *path, int channels,
                              const glia_allocator *allocator, glia_error *err) {
    char *data;
    size_t bytes;
    *out = (glia_tensor){0};
    GLIA_TRY(glia__file_read(path, (size_t)1 << 30, allocator, &data, &bytes, err));
    glia_status status = glia_picture_decode(out, data, bytes, path, channels, allocator, err);
    glia__free(allocator, data, bytes + 1);
    return status;
}
