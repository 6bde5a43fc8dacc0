/* png.c: pictures, through libpng's simplified interface, which neither jumps nor exits. */

#include "io/picture.h"
#include "io/stream.h"

#ifdef GLIA_HAVE_PNG
#include <errno.h>
#include <png.h>
#include <sys/stat.h>

enum { MOST_SIDE = GLIA_PICTURE_SIDE, MOST_PACKED = 1032 };

/* libpng's own message would not say which file, nor that it is no picture at all. */
static glia_status open_picture(FILE **file, int64_t *bytes, const char *path, glia_error *err) {
    static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    unsigned char start[sizeof signature];
    struct stat info = {0};
    *file = fopen(path, "rbe");
    if (!*file)
        return glia_error_set(err, errno == ENOENT ? GLIA_NOT_FOUND : GLIA_IO, "cannot open %s: %s", path,
                              strerror(errno));
    if (fstat(fileno(*file), &info) == 0 && S_ISDIR(info.st_mode))
        return glia_error_set(err, GLIA_IO, "cannot read %s: it is a folder, expected a file", path);
    if (fread(start, 1, sizeof start, *file) != sizeof start || memcmp(start, signature, sizeof start) != 0)
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "not a PNG picture, whatever its name: it does not begin with \\x89PNG");
    *bytes = S_ISREG(info.st_mode) ? (int64_t)info.st_size : INT64_MAX / MOST_PACKED;
    rewind(*file);
    return GLIA_OK;
}

/* What the header promises must be possible before we allocate it: deflate packs no better than 1032 to 1, and a
 * pixel has one bit at least. */
static glia_status check_size(const png_image *image, int64_t file_bytes, const char *path, glia_error *err) {
    int64_t h = image->height, w = image->width;
    if (w > MOST_SIDE || h > MOST_SIDE)
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "expected a picture of at most %d×%d, found %lld×%lld", MOST_SIDE, MOST_SIDE,
                                (long long)w, (long long)h);
    if (w * h / 8 > file_bytes * MOST_PACKED)
        return glia__file_error(
            err, GLIA_BAD_FORMAT, path,
            "truncated: %lld bytes cannot hold the %lld×%lld pixels that the header promises",
            (long long)file_bytes, (long long)w, (long long)h);
    return GLIA_OK;
}

/* Decodes to `pixels`, [h, w, channels], then puts the channels first. */
static glia_status read_pixels(glia_tensor *out, png_image *image, int channels, const char *path,
                               const glia_allocator *allocator, glia_error *err) {
    int64_t h = image->height, w = image->width;
    if (!channels) channels = image->format & PNG_FORMAT_FLAG_COLOR ? 3 : 1;
    size_t bytes = (size_t)(h * w * channels);
    unsigned char *pixels = glia__alloc(allocator, bytes);
    if (!pixels) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the picture %s", path);
    image->format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    png_color black = {0, 0, 0};
    glia_status status = GLIA_OK;
    if (!png_image_finish_read(image, &black, pixels, 0, NULL))
        status = glia__file_error(err, GLIA_BAD_FORMAT, path, "damaged PNG picture: %s", image->message);
    if (status == GLIA_OK) status = glia_tensor_new(out, GLIA_U8, GLIA_SHAPE(channels, h, w), allocator, err);
    for (int64_t i = 0; status == GLIA_OK && i < h * w; i++)
        for (int c = 0; c < channels; c++) ((uint8_t *)out->data)[c * h * w + i] = pixels[i * channels + c];
    glia__free(allocator, pixels, bytes);
    return status;
}

glia_status glia_png_read(glia_tensor *out, const char *path, int channels, const glia_allocator *allocator,
                          glia_error *err) {
    *out = (glia_tensor){0};
    if (channels != 1 && channels != 3)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "a picture has 1 or 3 channels, not %d", channels);
    png_image image = {.version = PNG_IMAGE_VERSION};
    FILE *file;
    int64_t file_bytes = 0;
    glia_status status = open_picture(&file, &file_bytes, path, err);
    if (status == GLIA_OK && !png_image_begin_read_from_stdio(&image, file))
        status = glia__file_error(err, GLIA_BAD_FORMAT, path, "damaged PNG picture: %s", image.message);
    if (status == GLIA_OK) status = check_size(&image, file_bytes, path, err);
    if (status == GLIA_OK) status = read_pixels(out, &image, channels, path, allocator, err);
    png_image_free(&image);
    if (file) fclose(file);
    return status;
}

glia_status glia__png_decode(glia_tensor *out, const void *data, size_t bytes, const char *name, int channels,
                             const glia_allocator *allocator, glia_error *err) {
    png_image image = {.version = PNG_IMAGE_VERSION};
    glia_status status = GLIA_OK;
    *out = (glia_tensor){0};
    if (!png_image_begin_read_from_memory(&image, data, bytes))
        status = glia__file_error(err, GLIA_BAD_FORMAT, name, "damaged PNG picture: %s", image.message);
    if (status == GLIA_OK) status = check_size(&image, (int64_t)bytes, name, err);
    if (status == GLIA_OK) status = read_pixels(out, &image, channels, name, allocator, err);
    png_image_free(&image);
    return status;
}

glia_status glia_png_encode(const glia_tensor *picture, unsigned char **data, size_t *bytes,
                            const glia_allocator *allocator, glia_error *err) {
    const int64_t *d = picture->shape.dim;
    if (picture->dtype != GLIA_U8 || picture->shape.rank != 3 || (d[0] != 1 && d[0] != 3) || d[1] < 1 ||
        d[2] < 1 || d[1] > MOST_SIDE || d[2] > MOST_SIDE)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "a picture is u8 [1 or 3, height, width]");
    int64_t area = d[1] * d[2];
    size_t raw = (size_t)(area * d[0]);
    unsigned char *pixels = glia__alloc(allocator, raw);
    if (!pixels) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for a picture");
    for (int64_t i = 0; i < area; i++)
        for (int64_t c = 0; c < d[0]; c++)
            pixels[i * d[0] + c] = ((const uint8_t *)picture->data)[c * area + i];
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)d[2],
                       .height = (png_uint_32)d[1],
                       .format = d[0] == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    png_alloc_size_t most = PNG_IMAGE_PNG_SIZE_MAX(image), size = most;
    unsigned char *encoded = glia__alloc(allocator, most);
    glia_status status = GLIA_OK;
    if (!encoded)
        status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for a picture");
    else if (!png_image_write_to_memory(&image, encoded, &size, 0, pixels, 0, NULL))
        status = glia_error_set(err, GLIA_INTERNAL, "libpng: %s", image.message);
    glia__free(allocator, pixels, raw);
    if (status == GLIA_OK) { /* exactly as large as told: the caller frees by that size */
        *data = glia__alloc(allocator, size);
        *bytes = size;
        if (*data) memcpy(*data, encoded, size);
        if (!*data) status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for a picture");
    }
    glia__free(allocator, encoded, most);
    return status;
}

#else

glia_status glia__png_decode(glia_tensor *out, const void *data, size_t bytes, const char *name, int channels,
                             const glia_allocator *allocator, glia_error *err) {
    (void)data, (void)bytes;
    return glia_png_read(out, name, channels, allocator, err);
}

glia_status glia_png_read(glia_tensor *out, const char *path, int channels, const glia_allocator *allocator,
                          glia_error *err) {
    (void)channels, (void)allocator;
    *out = (glia_tensor){0};
    return glia__file_error(err, GLIA_UNSUPPORTED, path,
                            "this build has no libpng: it cannot read PNG pictures");
}

glia_status glia_png_encode(const glia_tensor *picture, unsigned char **data, size_t *bytes,
                            const glia_allocator *allocator, glia_error *err) {
    (void)picture, (void)allocator;
    *data = NULL;
    *bytes = 0;
    return glia_error_set(err, GLIA_UNSUPPORTED, "this build has no libpng: it cannot write PNG pictures");
}

#endif
