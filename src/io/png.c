/* png.c: pictures, through libpng's simplified interface, which neither jumps nor exits. */

#include "glia/io.h"
#include "io/stream.h"

#ifdef GLIA_HAVE_PNG
#include <png.h>

enum { MOST_SIDE = 16384 };

glia_status glia_png_read(glia_tensor *out, const char *path, int channels, const glia_allocator *allocator,
                          glia_error *err) {
    *out = (glia_tensor){0};
    if (channels != 1 && channels != 3)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "a picture has 1 or 3 channels, not %d", channels);
    png_image image = {.version = PNG_IMAGE_VERSION};
    FILE *file = fopen(path, "rb"); /* libpng's own message would not say which file */
    if (!file) return glia__file_error(err, GLIA_NOT_FOUND, path, "cannot open the picture");
    static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    unsigned char start[sizeof signature];
    glia_status status = GLIA_OK;
    unsigned char *pixels = NULL;
    size_t bytes = 0;
    if (fread(start, 1, sizeof start, file) != sizeof start || memcmp(start, signature, sizeof start) != 0) {
        fclose(file);
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "not a PNG picture, whatever its name: it does not begin with \\x89PNG");
    }
    rewind(file);
    if (!png_image_begin_read_from_stdio(&image, file)) {
        status = glia__file_error(err, GLIA_BAD_FORMAT, path, "not a PNG picture: %s", image.message);
    } else if (image.width > MOST_SIDE || image.height > MOST_SIDE) {
        status = glia__file_error(err, GLIA_BAD_FORMAT, path, "a picture of %u×%u; %d×%d at most",
                                  image.width, image.height, MOST_SIDE, MOST_SIDE);
    } else {
        int64_t h = image.height, w = image.width;
        image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
        bytes = (size_t)(h * w * channels);
        pixels = glia__alloc(allocator, bytes);
        png_color black = {0, 0, 0};
        status = pixels ? glia_tensor_new(out, GLIA_U8, GLIA_SHAPE(channels, h, w), allocator, err)
                        : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for a picture");
        if (status == GLIA_OK && !png_image_finish_read(&image, &black, pixels, 0, NULL))
            status = glia__file_error(err, GLIA_BAD_FORMAT, path, "damaged PNG picture: %s", image.message);
        for (int64_t i = 0; status == GLIA_OK && i < h * w; i++)
            for (int c = 0; c < channels; c++)
                ((uint8_t *)out->data)[c * h * w + i] = pixels[i * channels + c];
    }
    glia__free(allocator, pixels, bytes);
    png_image_free(&image);
    fclose(file);
    if (status != GLIA_OK) glia_tensor_free(out);
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
