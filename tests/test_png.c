/* Pictures: encoded, read as grey and as colours, and what is refused. */
#include "test.h"

#include "failing_allocator.h"
#include "glia/io.h"
#include "glia/tensor.h"
#include "scratch.h"

static const char no_png[] = "this build has no libpng";

static bool built_without(void) {
    glia_error err = {0};
    glia_tensor t;
    return glia_png_read(&t, "none.png", 1, NULL, &err) == GLIA_UNSUPPORTED;
}

static const char *put_picture(const uint8_t *pixels, int64_t channels, int64_t h, int64_t w) {
    glia_error err = {0};
    unsigned char *data = NULL;
    size_t bytes = 0;
    glia_tensor t = glia_tensor_wrap((void *)pixels, GLIA_U8, GLIA_SHAPE(channels, h, w));
    CHECK_OK(glia_png_encode(&t, &data, &bytes, NULL, &err), &err);
    const char *path = scratch_put("p.png", data, bytes);
    const glia_allocator *a = glia_allocator_default();
    if (data) a->free(a->ctx, data, bytes);
    return path;
}

/* A grey picture of 8 bits with this header, whose one row of data is as given. */
static size_t make(unsigned char *out, uint32_t width, uint32_t height, const unsigned char *data,
                   size_t bytes) {
    static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    unsigned char header[13] = {0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0};
    for (int i = 0; i < 4; i++) {
        header[i] = (unsigned char)(width >> (24 - 8 * i));
        header[4 + i] = (unsigned char)(height >> (24 - 8 * i));
    }
    const struct {
        const char *type;
        const unsigned char *data;
        size_t bytes;
    } chunks[] = {{"IHDR", header, sizeof header}, {"IDAT", data, bytes}, {"IEND", data, 0}};
    memcpy(out, signature, 8);
    size_t at = 8;
    for (size_t c = 0; c < 3; c++) {
        size_t n = chunks[c].bytes;
        for (int i = 0; i < 4; i++) out[at + (size_t)i] = (unsigned char)(n >> (24 - 8 * i));
        memcpy(out + at + 4, chunks[c].type, 4);
        if (n) memcpy(out + at + 8, chunks[c].data, n);
        uint32_t crc = scratch_crc(out + at + 4, n + 4);
        for (int i = 0; i < 4; i++) out[at + 8 + n + (size_t)i] = (unsigned char)(crc >> (24 - 8 * i));
        at += n + 12;
    }
    return at;
}

/* zlib data of the row 0 (no filter), 7, 9: one stored block. */
static const unsigned char row[] = {0x78, 1, 1, 3, 0, 0xFC, 0xFF, 0, 7, 9, 0, 0x1A, 0, 0x11};

static void check_refused(const char *path, glia_status expected, const char *message) {
    glia_error err = {0};
    glia_tensor t;
    CHECK_ERR(glia_png_read(&t, path, 1, NULL, &err), expected, &err, message);
    CHECK(t.data == NULL);
    glia_tensor_free(&t);
}

TEST(written_and_read) {
    if (built_without()) SKIP(no_png);
    static const uint8_t grey[] = {0, 50, 100, 150, 200, 255};
    static const uint8_t colour[] = {255, 0, 10, /* red */ 0, 255, 10, /* green */ 0, 0, 10 /* blue */};
    scratch_make();
    glia_error err = {0};
    glia_tensor t;
    glia_shape small = GLIA_SHAPE(1, 2, 3), wide = GLIA_SHAPE(3, 1, 3);
    CHECK_OK(glia_png_read(&t, put_picture(grey, 1, 2, 3), 1, NULL, &err), &err);
    CHECK(glia_shape_equal(&t.shape, &small));
    CHECK(memcmp(t.data, grey, 6) == 0);
    glia_tensor_free(&t);
    CHECK_OK(glia_png_read(&t, scratch_path("p.png"), 3, NULL, &err),
             &err); /* grey is as much of each colour */
    CHECK(memcmp(t.data, grey, 6) == 0 && memcmp((uint8_t *)t.data + 12, grey, 6) == 0);
    glia_tensor_free(&t);
    CHECK_OK(glia_png_read(&t, put_picture(colour, 3, 1, 3), 3, NULL, &err), &err);
    CHECK(glia_shape_equal(&t.shape, &wide));
    CHECK(memcmp(t.data, colour, 9) == 0);
    glia_tensor_free(&t);
    CHECK_OK(glia_png_read(&t, scratch_path("p.png"), 1, NULL, &err), &err);
    CHECK_INT(glia_tensor_get(&t, 2), 10);
    CHECK(glia_tensor_get(&t, 1) > glia_tensor_get(&t, 0)); /* green is brighter than red */
    glia_tensor_free(&t);
    unsigned char file[256];
    CHECK_OK(glia_png_read(&t, scratch_put("m.png", file, make(file, 2, 1, row, sizeof row)), 1, NULL, &err),
             &err);
    CHECK(glia_tensor_get(&t, 0) == 7 && glia_tensor_get(&t, 1) == 9);
    glia_tensor_free(&t);
    scratch_remove();
}

/* The seeds of the fuzzer: palettes, 16 bits, 1 bit, alpha. */
TEST(kinds) {
    if (built_without()) SKIP(no_png);
    static const char *const names[] = {"bits", "grey", "grey16", "grey_alpha", "palette", "rgb", "rgba"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        glia_error err = {0};
        glia_tensor t;
        snprintf(path, sizeof path, "%s/tests/data/fuzz/png/%s.png", getenv("GLIA_SOURCE_DIR"), names[i]);
        CHECK_OK(glia_png_read(&t, path, 3, NULL, &err), &err);
        CHECK_INT(t.shape.dim[0], 3);
        glia_tensor_free(&t);
    }
}

TEST(refused) {
    if (built_without()) SKIP(no_png);
    unsigned char file[256];
    size_t n = make(file, 2, 1, row, sizeof row);
    scratch_make();
    check_refused(scratch_text("a.png", ""), GLIA_BAD_FORMAT, "not a PNG picture, whatever its name");
    check_refused(scratch_text("a.png", "\xFF\xD8\xFF\xE0 JFIF"), GLIA_BAD_FORMAT,
                  "does not begin with \\x89PNG");
    check_refused(scratch_put("a.png", file, 8), GLIA_BAD_FORMAT, "damaged PNG picture: ");
    check_refused(scratch_put("a.png", file, 20), GLIA_BAD_FORMAT, "damaged PNG picture: ");
    check_refused(scratch_put("a.png", file, n - 16), GLIA_BAD_FORMAT, "damaged PNG picture: ");
    check_refused(scratch_path("none.png"), GLIA_NOT_FOUND, "none.png: No such file");
    check_refused(scratch, GLIA_IO, "it is a folder, expected a file");
    file[20] ^= 1; /* the width, without its checksum */
    check_refused(scratch_put("a.png", file, n), GLIA_BAD_FORMAT, "damaged PNG picture: ");
    n = make(file, 2, 2, row, sizeof row);
    check_refused(scratch_put("a.png", file, n), GLIA_BAD_FORMAT, "damaged PNG picture: ");
    n = make(file, 0, 1, row, sizeof row);
    check_refused(scratch_put("a.png", file, n), GLIA_BAD_FORMAT, "damaged PNG picture: ");
    n = make(file, 16384, 16384, row, sizeof row);
    check_refused(scratch_put("a.png", file, n), GLIA_BAD_FORMAT,
                  "truncated: 71 bytes cannot hold the 16384×16384 pixels that the header promises");
    n = make(file, 16385, 1, row, sizeof row);
    check_refused(scratch_put("a.png", file, n), GLIA_BAD_FORMAT,
                  "expected a picture of at most 16384×16384, found 16385×1");
    n = make(file, 0x7FFFFFFF, 0x7FFFFFFF, row, sizeof row);
    glia_error err = {0};
    glia_tensor t;
    CHECK(glia_png_read(&t, scratch_put("a.png", file, n), 1, NULL, &err) == GLIA_BAD_FORMAT);
    CHECK_STR(err.file, scratch_path("a.png"));
    glia_error_clear(&err);
    CHECK_ERR(glia_png_read(&t, scratch_path("a.png"), 2, NULL, &err), GLIA_INVALID_ARGUMENT, &err,
              "a picture has 1 or 3 channels, not 2");
    scratch_remove();
}

TEST(not_encoded) {
    if (built_without()) SKIP(no_png);
    static uint8_t pixels[16];
    const glia_tensor bad[] = {glia_tensor_wrap(pixels, GLIA_F32, GLIA_SHAPE(1, 2, 2)),
                               glia_tensor_wrap(pixels, GLIA_U8, GLIA_SHAPE(2, 2, 2)),
                               glia_tensor_wrap(pixels, GLIA_U8, GLIA_SHAPE(1, 0, 2)),
                               glia_tensor_wrap(pixels, GLIA_U8, GLIA_SHAPE(2, 2))};
    for (int i = 0; i < 4; i++) {
        glia_error err = {0};
        unsigned char *data;
        size_t bytes;
        CHECK_ERR(glia_png_encode(&bad[i], &data, &bytes, NULL, &err), GLIA_INVALID_ARGUMENT, &err,
                  "a picture is u8 [1 or 3, height, width]");
    }
}

TEST(memory) {
    if (built_without()) SKIP(no_png);
    static const uint8_t colour[] = {255, 0, 10, 0, 255, 10, 0, 0, 10};
    scratch_make();
    const char *path = put_picture(colour, 3, 1, 3);
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_tensor t;
        glia_status status = glia_png_read(&t, path, 3, &memory.allocator, &err);
        CHECK_FAILED_ONCE(memory, status);
        if (status != GLIA_OK) CHECK_HAS(err.message, "out of memory");
        glia_tensor_free(&t);
    }
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        unsigned char *data = NULL;
        size_t bytes = 0;
        glia_tensor t = glia_tensor_wrap((void *)colour, GLIA_U8, GLIA_SHAPE(3, 1, 3));
        glia_status status = glia_png_encode(&t, &data, &bytes, &memory.allocator, &err);
        CHECK_FAILED_ONCE(memory, status);
        if (status == GLIA_OK) memory.allocator.free(memory.allocator.ctx, data, bytes);
    }
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(written_and_read), TEST_ENTRY(kinds), TEST_ENTRY(refused), TEST_ENTRY(not_encoded),
          TEST_ENTRY(memory))
