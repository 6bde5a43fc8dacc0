/* JPEG pictures: what is read as grey and as colours, and what is refused. The stored pictures (tests/data/fuzz/jpeg) are
 * 16 pixels wide and 12 high: red grows by 12 a column, green by 12 a row; blue falls by 5 for each. */
#include "test.h"

#include "failing_allocator.h"
#include "glia/io.h"
#include "glia/tensor.h"
#include "scratch.h"

static unsigned char bytes[4096];

static size_t load(const char *name) {
    char path[1024];
    const char *root = getenv("GLIA_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/tests/data/fuzz/jpeg/%s", root ? root : ".", name);
    FILE *file = fopen(path, "rb");
    CHECK(file);
    if (!file) return 0;
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return size;
}

static bool built_without(void) {
    glia_error err = {0};
    glia_tensor t;
    size_t size = load("grey.jpg");
    bool without = glia_picture_decode(&t, bytes, size, "grey.jpg", 1, NULL, &err) == GLIA_UNSUPPORTED;
    if (without) CHECK_HAS(err.message, "this build has no libjpeg");
    glia_tensor_free(&t);
    return without;
}

static void check_pixels(const glia_tensor *t, int tolerance) {
    const uint8_t *p = t->data;
    const int64_t h = t->shape.dim[1], w = t->shape.dim[2];
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++) {
            const double expected[] = {20.0 + 12 * (double)x, 20.0 + 12 * (double)y,
                                       200.0 - 5 * (double)(x + y)};
            for (int64_t c = 0; c < t->shape.dim[0]; c++)
                CHECK_NEAR(p[(c * h + y) * w + x], expected[c], tolerance);
        }
}

TEST(pixels) {
    static const struct {
        const char *name;
        int channels, tolerance;
        int64_t c, h, w;
    } cases[] = {{"grey.jpg", 0, 6, 1, 12, 16},
                 {"grey.jpg", 1, 6, 1, 12, 16},
                 {"rgb.jpg", 0, 8, 3, 12, 16},
                 {"progressive.jpg", 3, 8, 3, 12, 16},
                 {"rgb_420.jpg", 3, 40, 3, 9, 17}};
    if (built_without()) SKIP("no libjpeg");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        glia_error err = {0};
        glia_tensor t;
        size_t size = load(cases[i].name);
        CHECK_OK(glia_picture_decode(&t, bytes, size, cases[i].name, cases[i].channels, NULL, &err), &err);
        CHECK(t.dtype == GLIA_U8 && t.shape.rank == 3);
        CHECK_INT(t.shape.dim[0], cases[i].c);
        CHECK_INT(t.shape.dim[1], cases[i].h);
        CHECK_INT(t.shape.dim[2], cases[i].w);
        check_pixels(&t, cases[i].tolerance);
        glia_tensor_free(&t);
    }
}

/* Grey as three equal channels, colours as their brightness. */
TEST(channels) {
    glia_error err = {0};
    glia_tensor t;
    if (built_without()) SKIP("no libjpeg");
    size_t size = load("grey.jpg");
    CHECK_OK(glia_picture_decode(&t, bytes, size, "p", 3, NULL, &err), &err);
    CHECK_INT(t.shape.dim[0], 3);
    CHECK(memcmp(t.data, (uint8_t *)t.data + 192, 192) == 0 &&
          memcmp(t.data, (uint8_t *)t.data + 384, 192) == 0);
    glia_tensor_free(&t);
    size = load("rgb.jpg");
    CHECK_OK(glia_picture_decode(&t, bytes, size, "p", 1, NULL, &err), &err);
    CHECK_INT(t.shape.dim[0], 1);
    CHECK_NEAR(((uint8_t *)t.data)[5 * 16 + 3], 0.299 * 56 + 0.587 * 80 + 0.114 * 160, 8);
    glia_tensor_free(&t);
}

static void check_refused(const void *data, size_t size, int channels, glia_status status, const char *part) {
    glia_error err = {0};
    glia_tensor t;
    CHECK_ERR(glia_picture_decode(&t, data, size, "p.jpg", channels, NULL, &err), status, &err, part);
    CHECK(!t.data);
}

TEST(refused) {
    static const unsigned char start[] = {0xFF, 0xD8, 0xFF, 0xE0};
    if (built_without()) SKIP("no libjpeg");
    size_t size = load("rgb.jpg");
    check_refused(bytes, size, 2, GLIA_INVALID_ARGUMENT, "a picture has 1 or 3 channels, not 2");
    check_refused("GIF89a", 6, 0, GLIA_BAD_FORMAT, "neither a PNG nor a JPEG picture");
    check_refused("", 0, 0, GLIA_BAD_FORMAT, "neither a PNG nor a JPEG picture");
    check_refused(start, sizeof start, 0, GLIA_BAD_FORMAT, "damaged JPEG picture: Premature end");
    for (size_t cut = 3; cut + 2 < size; cut += 7) /* anywhere, also among the pixels */
        check_refused(bytes, cut, 3, GLIA_BAD_FORMAT, "damaged JPEG picture");
    size = load("cmyk.jpg");
    check_refused(bytes, size, 3, GLIA_BAD_FORMAT, "damaged JPEG picture: Unsupported color conversion");
    size = load("grey.jpg");
    for (size_t i = 0; i + 8 < size; i++) /* the frame header: FF C0, length, bits, height, width */
        if (bytes[i] == 0xFF && bytes[i + 1] == 0xC0) {
            bytes[i + 5] = 0x30, bytes[i + 7] = 0x30; /* 12300 × 12304 */
            check_refused(bytes, size, 0, GLIA_BAD_FORMAT, "cannot hold the 12304×12300 pixels");
            bytes[i + 5] = 0xFF;
            check_refused(bytes, size, 0, GLIA_BAD_FORMAT, "expected a picture of at most 16384×16384");
            bytes[i + 5] = bytes[i + 6] = 0;
            check_refused(bytes, size, 0, GLIA_BAD_FORMAT, "damaged JPEG picture");
        }
}

/* A progressive picture repeats its scans as often as it likes: not with us. */
TEST(many_scans) {
    static unsigned char many[1 << 20];
    size_t size = load("progressive.jpg"), first = 0, at;
    if (built_without()) SKIP("no libjpeg");
    size = load("progressive.jpg");
    for (size_t i = 0; i + 1 < size && !first; i++)
        if (bytes[i] == 0xFF && bytes[i + 1] == 0xDA) first = i;
    size_t end = size - 2, scans = end - first;
    memcpy(many, bytes, first);
    for (at = first; at + scans + 2 < sizeof many && at < 200 * scans; at += scans)
        memcpy(many + at, bytes + first, scans);
    memcpy(many + at, bytes + end, 2);
    check_refused(many, at + 2, 0, GLIA_BAD_FORMAT, "damaged JPEG picture");
}

TEST(from_disk) {
    glia_error err = {0};
    glia_tensor t;
    if (built_without()) SKIP("no libjpeg");
    scratch_make();
    size_t size = load("rgb.jpg");
    const char *path = scratch_put("p.jpg", bytes, size);
    CHECK_OK(glia_picture_read(&t, path, 3, NULL, &err), &err);
    check_pixels(&t, 8);
    glia_tensor_free(&t);
    CHECK_ERR(glia_picture_read(&t, scratch_path("none.jpg"), 3, NULL, &err), GLIA_NOT_FOUND, &err,
              "none.jpg");
    scratch_remove();
}

TEST(memory) {
    if (built_without()) SKIP("no libjpeg");
    size_t size = load("rgb.jpg");
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_tensor t;
        glia_status status = glia_picture_decode(&t, bytes, size, "p.jpg", 3, &memory.allocator, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_tensor_free(&t);
    }
}

TEST_MAIN(TEST_ENTRY(pixels), TEST_ENTRY(channels), TEST_ENTRY(refused), TEST_ENTRY(many_scans),
          TEST_ENTRY(from_disk), TEST_ENTRY(memory))
