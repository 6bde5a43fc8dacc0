/* jpeg.c: JPEG pictures, through libjpeg (libjpeg-turbo). Its errors end the process unless they are caught: ours jump
 * back, and nothing is printed. */

#include "io/picture.h"
#include "io/stream.h"

#ifdef GLIA_HAVE_JPEG
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

enum {
    MOST_PACKED =
        1024, /* pixels a byte: each 8×8 block has a bit at least, so 512 is the most that files reach */
    MOST_SCANS = 100 /* of a progressive picture, of which a small file may promise thousands */
};

typedef struct decoding {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    glia_status status;
    char message[JMSG_LENGTH_MAX];
    unsigned char *row; /* one row of the picture */
} decoding;

static void fail(j_common_ptr jpeg) {
    decoding *d = jpeg->client_data;
    jpeg->err->format_message(jpeg, d->message);
    d->status = jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? GLIA_OUT_OF_MEMORY : GLIA_BAD_FORMAT;
    longjmp(d->failed, 1);
}

/* What libjpeg would only warn of is a picture with made-up parts. Bytes between markers, which some cameras leave, are
 * harmless. */
static void hear(j_common_ptr jpeg, int level) {
    if (level < 0 && jpeg->err->msg_code != JWRN_EXTRANEOUS_DATA) fail(jpeg);
}

static void watch_scans(j_common_ptr jpeg) {
    decoding *d = jpeg->client_data;
    if (d->jpeg.input_scan_number <= MOST_SCANS) return;
    snprintf(d->message, sizeof d->message, "more than %d scans", MOST_SCANS);
    d->status = GLIA_BAD_FORMAT;
    longjmp(d->failed, 1);
}

/* The header, and what it promises. */
static glia_status begin(decoding *d, const void *data, size_t bytes, const char *name, int channels,
                         glia_error *err) {
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    jpeg_mem_src(jpeg, data, (unsigned long)bytes);
    (void)jpeg_read_header(jpeg, TRUE);
    int64_t h = jpeg->image_height, w = jpeg->image_width;
    if (w > GLIA_PICTURE_SIDE || h > GLIA_PICTURE_SIDE)
        return glia__file_error(err, GLIA_BAD_FORMAT, name,
                                "expected a picture of at most %d×%d, found %lld×%lld", GLIA_PICTURE_SIDE,
                                GLIA_PICTURE_SIDE, (long long)w, (long long)h);
    if (w * h > (int64_t)bytes * MOST_PACKED)
        return glia__file_error(
            err, GLIA_BAD_FORMAT, name,
            "truncated: %zu bytes cannot hold the %lld×%lld pixels that the header promises", bytes,
            (long long)w, (long long)h);
    if (!channels) channels = jpeg->num_components == 1 ? 1 : 3;
    jpeg->out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg->dct_method = JDCT_ISLOW; /* the exact one: the same pixels on every machine */
    return GLIA_OK;
}

/* Decodes row by row and puts the channels first. */
static glia_status read_pixels(decoding *d, glia_tensor *out, const char *name,
                               const glia_allocator *allocator, glia_error *err) {
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    (void)jpeg_start_decompress(jpeg);
    const int64_t h = jpeg->output_height, w = jpeg->output_width, channels = jpeg->output_components;
    if (glia_tensor_new(out, GLIA_U8, GLIA_SHAPE(channels, h, w), allocator, NULL) != GLIA_OK)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the picture %s", name);
    d->row = (*jpeg->mem->alloc_large)((j_common_ptr)jpeg, JPOOL_IMAGE, (size_t)(w * channels)); /* or fail */
    for (int64_t y = 0; y < h; y++) {
        (void)jpeg_read_scanlines(jpeg, &d->row, 1);
        for (int64_t c = 0; c < channels; c++)
            for (int64_t x = 0; x < w; x++)
                ((uint8_t *)out->data)[(c * h + y) * w + x] = d->row[x * channels + c];
    }
    (void)jpeg_finish_decompress(jpeg);
    return GLIA_OK;
}

/* `d` is the caller's: what happened to it before a jump back is then certain. */
static glia_status decode(decoding *d, glia_tensor *out, const void *data, size_t bytes, const char *name,
                          int channels, const glia_allocator *allocator, glia_error *err) {
    if (setjmp(d->failed)) {
        if (d->status == GLIA_OUT_OF_MEMORY)
            return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the picture %s", name);
        return glia__file_error(err, d->status, name, "damaged JPEG picture: %s", d->message);
    }
    jpeg_create_decompress(&d->jpeg);
    d->jpeg.progress = &d->progress;
    GLIA_TRY(begin(d, data, bytes, name, channels, err));
    return read_pixels(d, out, name, allocator, err);
}

glia_status glia__jpeg_decode(glia_tensor *out, const void *data, size_t bytes, const char *name,
                              int channels, const glia_allocator *allocator, glia_error *err) {
    decoding d = {.status = GLIA_OK};
    *out = (glia_tensor){0};
    d.jpeg.err = jpeg_std_error(&d.errors);
    d.errors.error_exit = fail;
    d.errors.emit_message = hear;
    d.progress.progress_monitor = watch_scans;
    d.jpeg.client_data = &d; /* creating keeps it */
    glia_status status = decode(&d, out, data, bytes, name, channels, allocator, err);
    jpeg_destroy_decompress(&d.jpeg);
    if (status != GLIA_OK) glia_tensor_free(out);
    return status;
}

#else

glia_status glia__jpeg_decode(glia_tensor *out, const void *data, size_t bytes, const char *name,
                              int channels, const glia_allocator *allocator, glia_error *err) {
    (void)data, (void)bytes, (void)channels, (void)allocator;
    *out = (glia_tensor){0};
    return glia__file_error(err, GLIA_UNSUPPORTED, name,
                            "this build has no libjpeg: it cannot read JPEG pictures");
}

#endif
