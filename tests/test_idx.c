/* IDX files, plain and gzip: what is read, and what is refused. */
#include "test.h"

#include "failing_allocator.h"
#include "glia/data.h"
#include "glia/io.h"
#include "glia/tensor.h"
#include "scratch.h"

/* Three pictures of 2×2, and their labels. */
static const unsigned char pictures[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2,  0,  0,
                                         0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 2, 0, 1};

static void check_refused(const char *name, const void *data, size_t bytes, const char *message) {
    glia_error err = {0};
    glia_tensor t;
    const char *path = scratch_put(name, data, bytes);
    glia_status status = glia_idx_read(&t, path, 0, NULL, &err);
    if (status == GLIA_UNSUPPORTED) SKIP("this build has no zlib");
    CHECK_STR(err.file, path);
    CHECK_ERR(status, GLIA_BAD_FORMAT, &err, message);
    CHECK(t.data == NULL);
    glia_tensor_free(&t);
}

TEST(values) {
    scratch_make();
    glia_error err = {0};
    glia_tensor t;
    CHECK_OK(glia_idx_read(&t, scratch_put("p", pictures, sizeof pictures), 0, NULL, &err), &err);
    glia_shape shape = GLIA_SHAPE(3, 2, 2);
    CHECK(glia_shape_equal(&t.shape, &shape));
    CHECK_INT(t.dtype, GLIA_U8);
    CHECK(memcmp(t.data, pictures + 16, 12) == 0);
    glia_tensor_free(&t);
    CHECK_OK(glia_idx_read(&t, scratch_path("p"), 2, NULL, &err), &err); /* the first two */
    CHECK_INT(t.shape.dim[0], 2);
    CHECK_INT(glia_tensor_get(&t, 7), 8);
    glia_tensor_free(&t);
    CHECK_OK(glia_idx_read(&t, scratch_path("p"), 4, NULL, &err), &err); /* there are only three */
    CHECK_INT(t.shape.dim[0], 3);
    glia_tensor_free(&t);
    scratch_remove();
}

TEST(dtypes) {
    static const struct {
        unsigned char bytes[16];
        size_t count;
        glia_dtype dtype;
        double first, second;
    } cases[] = {
        {{0, 0, 0x08, 1, 0, 0, 0, 2, 255, 1}, 10, GLIA_U8, 255, 1},
        {{0, 0, 0x09, 1, 0, 0, 0, 2, 255, 1}, 10, GLIA_I32, -1, 1},
        {{0, 0, 0x0B, 1, 0, 0, 0, 2, 0xFF, 0xFE, 1, 2}, 12, GLIA_I32, -2, 258},
        {{0, 0, 0x0C, 1, 0, 0, 0, 2, 0xFF, 0xFF, 0xFF, 0xFD, 0, 0, 1, 0}, 16, GLIA_I32, -3, 256},
        {{0, 0, 0x0D, 1, 0, 0, 0, 2, 0x3F, 0xC0, 0, 0, 0xC0, 0, 0, 0}, 16, GLIA_F32, 1.5, -2},
        {{0, 0, 0x0E, 1, 0, 0, 0, 1, 0x3F, 0xF8, 0, 0, 0, 0, 0, 0}, 16, GLIA_F64, 1.5, NAN},
    };
    scratch_make();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        glia_error err = {0};
        glia_tensor t;
        CHECK_OK(glia_idx_read(&t, scratch_put("t", cases[i].bytes, cases[i].count), 0, NULL, &err), &err);
        CHECK_INT(t.dtype, cases[i].dtype);
        CHECK_NEAR(glia_tensor_get(&t, 0), cases[i].first, 0);
        if (!isnan(cases[i].second)) CHECK_NEAR(glia_tensor_get(&t, 1), cases[i].second, 0);
        glia_tensor_free(&t);
    }
    scratch_remove();
}

TEST(refused) {
    scratch_make();
    unsigned char bytes[64];
    memcpy(bytes, pictures, sizeof pictures);
    check_refused("empty", "", 0, "truncated: expected 4 more bytes of the IDX header, found 0");
    check_refused("cut_magic", bytes, 3, "expected 4 more bytes of the IDX header, found 3");
    check_refused("cut_header", bytes, 14, "expected 12 more bytes of the IDX header, found 10");
    check_refused("cut_data", bytes, sizeof pictures - 1, "the header promises 12 bytes of data, found 11");
    check_refused("longer", bytes, sizeof pictures + 1, "the header promises 12 bytes of data, found more");
    glia_error err = {0};
    glia_tensor t;
    for (int limit = 2; limit <= 4; limit++) { /* who wants all of it looks at its end */
        glia_status status = glia_idx_read(&t, scratch_path("longer"), limit, NULL, &err);
        CHECK_INT(status, limit < 3 ? GLIA_OK : GLIA_BAD_FORMAT);
        glia_error_clear(&err);
        glia_tensor_free(&t);
    }
    bytes[7] = 4; /* one picture more than there is */
    check_refused("count", bytes, sizeof pictures, "the header promises 16 bytes of data, found 12");
    memset(bytes + 4, 0xFF, 12); /* 2^96 bytes */
    check_refused("absurd", bytes, sizeof pictures, "promises more bytes than fit in memory");
    memset(bytes + 4, 0, 12);
    memset(bytes + 4, 0xFF, 4); /* 2^32 pictures of nothing, and twelve bytes */
    check_refused("nothing", bytes, sizeof pictures, "the header promises 0 bytes of data, found more");
    bytes[3] = 0;
    check_refused("rank0", bytes, sizeof pictures, "expected an IDX file of 1 to 8 dimensions, found 0");
    bytes[3] = 9;
    check_refused("rank9", bytes, sizeof pictures, "expected an IDX file of 1 to 8 dimensions, found 9");
    bytes[2] = 7;
    check_refused("type", bytes, sizeof pictures,
                  "expected it to begin with 00 00 and a type (08 09 0b 0c 0d 0e), "
                  "found 00 00 07 09");
    check_refused("text", "P5 28 28 255", 12, "not an IDX file");
    CHECK_ERR(glia_idx_read(&t, scratch_path("none"), 0, NULL, &err), GLIA_NOT_FOUND, &err,
              "none: No such file or directory");
    CHECK_ERR(glia_idx_read(&t, scratch, 0, NULL, &err), GLIA_IO, &err, "it is a folder, expected a file");
    scratch_remove();
}

TEST(gzip) {
    scratch_make();
    unsigned char packed[128], two[256];
    size_t n = scratch_gzip(packed, pictures, sizeof pictures);
    glia_error err = {0};
    glia_tensor t;
    glia_status status = glia_idx_read(&t, scratch_put("p.gz", packed, n), 0, NULL, &err);
    if (status == GLIA_UNSUPPORTED) {
        CHECK_HAS(err.message, "this build has no zlib");
        scratch_remove();
        SKIP("this build has no zlib");
    }
    CHECK_OK(status, &err);
    CHECK(t.data && memcmp(t.data, pictures + 16, 12) == 0);
    glia_tensor_free(&t);

    size_t half = scratch_gzip(two, pictures, 20); /* as `cat a.gz b.gz` makes it */
    size_t whole = half + scratch_gzip(two + half, pictures + 20, sizeof pictures - 20);
    CHECK_OK(glia_idx_read(&t, scratch_put("two.gz", two, whole), 0, NULL, &err), &err);
    CHECK(t.data && memcmp(t.data, pictures + 16, 12) == 0);
    glia_tensor_free(&t);

    check_refused("cut.gz", packed, n - 12, "truncated gzip file: it ends in the middle of its data");
    check_refused("cut_end.gz", packed, n - 1, "truncated gzip file");
    check_refused("cut_start.gz", packed, 6, "truncated gzip file");
    memcpy(packed + n, "more", 4);
    check_refused("trailing.gz", packed, n + 4, "bytes after the end of the gzip data");
    packed[n - 5] ^= 1; /* the checksum */
    check_refused("crc.gz", packed, n, "damaged gzip data: incorrect data check");
    packed[10] = 7; /* no such kind of block */
    check_refused("block.gz", packed, n, "damaged gzip data: invalid block type");
    n = scratch_gzip(packed, pictures, sizeof pictures - 1);
    check_refused("short.gz", packed, n, "the header promises 12 bytes of data, found 11");
    memcpy(two, pictures, sizeof pictures);
    n = scratch_gzip(packed, two, sizeof pictures + 1);
    check_refused("long.gz", packed, n, "the header promises 12 bytes of data, found more");
    scratch_remove();
}

static glia_status open_pair(const void *x, size_t x_bytes, const void *y, size_t y_bytes, glia_dataset **out,
                             glia_error *err) {
    char source[1100];
    snprintf(source, sizeof source, "idx:%s,%s", scratch_put("x", x, x_bytes), scratch_put("y", y, y_bytes));
    return glia_dataset_open_with(out, source, (glia_dataset_options){0}, err);
}

TEST(as_data_set) {
    scratch_make();
    glia_error err = {0};
    glia_dataset *d;
    CHECK_OK(open_pair(pictures, sizeof pictures, labels, sizeof labels, &d, &err), &err);
    const glia_dataset_info *info = glia_dataset_get_info(d);
    glia_shape shape = GLIA_SHAPE(1, 2, 2); /* grey pictures have one channel */
    CHECK(glia_shape_equal(&info->input_shape, &shape));
    CHECK_INT(info->count, 3);
    CHECK_INT(info->classes, 3);
    CHECK_NEAR(info->scale, 1.0 / 255, 1e-12);
    float x[4];
    int64_t y, last = 2;
    CHECK_OK(glia_dataset_gather(d, &last, 1, x, &y, &err), &err);
    CHECK_NEAR(x[3], 1, 1e-7);
    CHECK_INT(y, 1);
    glia_dataset_free(d);

    static const unsigned char two[] = {0, 0, 8, 1, 0, 0, 0, 2, 2, 0},
                               negative[] = {0, 0, 9, 1, 0, 0, 0, 3, 2, 255, 1};
    static const unsigned char none[] = {0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2};
    static const unsigned char hollow[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2};
    static const unsigned char no_labels[] = {0, 0, 8, 1, 0, 0, 0, 0};
    static const unsigned char huge[] = {0, 0, 12,   1,    0,    0,    0, 3, 0, 0,
                                         0, 1, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0};
    CHECK_ERR(open_pair(pictures, sizeof pictures, two, sizeof two, &d, &err), GLIA_BAD_DATA, &err,
              "x holds 3 inputs, but ");
    CHECK_ERR(open_pair(pictures, sizeof pictures, two, sizeof two, &d, &err), GLIA_BAD_DATA, &err,
              "y holds 2 targets");
    CHECK_ERR(open_pair(pictures, sizeof pictures, negative, sizeof negative, &d, &err), GLIA_BAD_DATA, &err,
              "label -1 of example 1 is out of range 0 … 2");
    CHECK_ERR(open_pair(pictures, sizeof pictures, huge, sizeof huge, &d, &err), GLIA_BAD_DATA, &err,
              "label 2147483647 of example 1 is out of range 0 … 16777215");
    CHECK_OK(open_pair(pictures, sizeof pictures, pictures, sizeof pictures, &d, &err), &err); /* masks */
    CHECK_INT(glia_dataset_get_info(d)->target_shape.rank, 2);
    glia_dataset_free(d);
    CHECK_ERR(open_pair(none, sizeof none, no_labels, sizeof no_labels, &d, &err), GLIA_BAD_DATA, &err,
              "the data set is empty");
    CHECK_ERR(open_pair(hollow, sizeof hollow, labels, sizeof labels, &d, &err), GLIA_BAD_DATA, &err,
              "its 3 examples hold no numbers");
    CHECK(d == NULL);
    scratch_remove();
}

TEST(memory) {
    scratch_make();
    static const unsigned char wide[] = {0, 0, 0x0B, 1, 0, 0, 0, 2, 0xFF, 0xFE, 1, 2}; /* i16, widened */
    unsigned char packed[64];
    size_t n = scratch_gzip(packed, pictures, sizeof pictures);
    const char *paths[] = {scratch_put("p", pictures, sizeof pictures), scratch_put("w", wide, sizeof wide),
                           scratch_put("p.gz", packed, n)};
    for (int i = 0; i < 3; i++) {
        FOR_EACH_FAILURE(memory) {
            glia_error err = {0};
            glia_tensor t;
            glia_status status = glia_idx_read(&t, paths[i], 0, &memory.allocator, &err);
            if (status == GLIA_UNSUPPORTED) continue; /* no zlib */
            CHECK_FAILED_ONCE(memory, status);
            if (status != GLIA_OK) CHECK_HAS(err.message, "out of memory");
            glia_tensor_free(&t);
        }
    }
    char source[1100];
    scratch_put("l", labels, sizeof labels);
    snprintf(source, sizeof source, "idx:%s,%s", scratch_path("p"), scratch_path("l"));
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_dataset *d;
        glia_status status = glia_dataset_open_with(
            &d, source, (glia_dataset_options){.normalize = GLIA_YES, .allocator = &memory.allocator}, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_dataset_free(d);
    }
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(values), TEST_ENTRY(dtypes), TEST_ENTRY(refused), TEST_ENTRY(gzip),
          TEST_ENTRY(as_data_set), TEST_ENTRY(memory))
