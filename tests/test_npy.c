/* NumPy's arrays: written, read, and what is refused. */
#include "test.h"

#include "failing_allocator.h"
#include "glia/data.h"
#include "glia/io.h"
#include "glia/tensor.h"
#include "scratch.h"

/* An NPY file of this header; sizes of versions 2 and 3 take four bytes. */
static size_t make(unsigned char *out, int version, const char *header, const void *data, size_t bytes) {
    size_t length = strlen(header), prefix = version == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (unsigned char)version, out[7] = 0;
    for (size_t i = 8; i < prefix; i++) out[i] = (unsigned char)(length >> 8 * (i - 8));
    memcpy(out + prefix, header, length);
    memcpy(out + prefix + length, data, bytes);
    return prefix + length + bytes;
}

static const char *put(int version, const char *header, const void *data, size_t bytes) {
    static unsigned char file[1 << 12];
    return scratch_put("a.npy", file, make(file, version, header, data, bytes));
}

static void check_refused(const char *path, glia_status expected, const char *message) {
    glia_error err = {0};
    glia_tensor t;
    glia_status status = glia_npy_read(&t, path, NULL, &err);
    CHECK_STR(err.file, path);
    CHECK_ERR(status, expected, &err, message);
    CHECK(t.data == NULL);
    glia_tensor_free(&t);
}

TEST(written_and_read) {
    scratch_make();
    glia_error err = {0};
    for (int dtype = 0; dtype < GLIA_DTYPE_COUNT; dtype++) {
        glia_tensor a, b;
        const char *path = scratch_path("w.npy");
        CHECK_OK(glia_tensor_new(&a, (glia_dtype)dtype, GLIA_SHAPE(2, 3), NULL, &err), &err);
        for (int i = 0; i < 6; i++) glia_tensor_set(&a, i, dtype == GLIA_BOOL ? i % 2 : i + 1);
        if (dtype == GLIA_BF16) {
            CHECK_ERR(glia_npy_write(path, &a, &err), GLIA_UNSUPPORTED, &err,
                      "w.npy: NPY has no dtype bf16; cast to f32 first");
        } else {
            CHECK_OK(glia_npy_write(path, &a, &err), &err);
            CHECK_OK(glia_npy_read(&b, path, NULL, &err), &err);
            CHECK_INT(b.dtype, dtype);
            CHECK(glia_shape_equal(&a.shape, &b.shape));
            CHECK(memcmp(a.data, b.data, glia_tensor_bytes(&a)) == 0);
            glia_tensor_free(&b);
        }
        glia_tensor_free(&a);
    }
    scratch_remove();
}

/* The longest shape that there is must still have a header that ends: read back the same. */
TEST(shapes) {
    static const glia_shape shapes[] = {
        {0},
        {1, {5}},
        {3, {2, 0, 4}},
        {8, {0, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}}};
    scratch_make();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        glia_error err = {0};
        double numbers[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        glia_tensor a = glia_tensor_wrap(numbers, GLIA_F64, shapes[i]), b;
        CHECK_OK(glia_npy_write(scratch_path("s.npy"), &a, &err), &err);
        CHECK_OK(glia_npy_read(&b, scratch_path("s.npy"), NULL, &err), &err);
        CHECK(glia_shape_equal(&a.shape, &b.shape));
        glia_tensor_free(&b);
    }
    scratch_remove();
}

TEST(orders_and_versions) {
    static const float columns[] = {1, 4, 2, 5, 3, 6}; /* [[1 2 3] [4 5 6]] by columns */
    scratch_make();
    for (int version = 1; version <= 3; version++) {
        glia_error err = {0};
        glia_tensor t;
        const char *path =
            put(version, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", columns, 24);
        CHECK_OK(glia_npy_read(&t, path, NULL, &err), &err);
        for (int i = 0; i < 6; i++) CHECK_NEAR(glia_tensor_get(&t, i), i + 1, 0);
        glia_tensor_free(&t);
    }
    scratch_remove();
}

#define HEADER(descr, shape) "{'descr': " descr ", 'fortran_order': False, 'shape': " shape ", }\n"

TEST(refused) {
    static const float data[6] = {1, 2, 3, 4, 5, 6};
    scratch_make();
    check_refused(scratch_text("a.npy", ""), GLIA_BAD_FORMAT,
                  "not an NPY file: it does not begin with \\x93NUMPY");
    check_refused(scratch_text("a.npy", "NUMPY and more text"), GLIA_BAD_FORMAT, "not an NPY file");
    check_refused(scratch_put("a.npy", "\x93NUMPY\1\0\x40", 9), GLIA_BAD_FORMAT, "not an NPY file");
    check_refused(put(4, HEADER("'<f4'", "(6,)"), data, 24), GLIA_UNSUPPORTED, "NPY version 4 is not known");
    check_refused(put(1, HEADER("'<f4'", "(6,)"), data, 23), GLIA_BAD_FORMAT,
                  "truncated: the header promises 24 bytes of data, found 23");
    check_refused(put(1, HEADER("'<f4'", "(5,)"), data, 24), GLIA_BAD_FORMAT,
                  "too long: the header promises 20 bytes of data, found more");
    check_refused(put(1, HEADER("'<f2'", "(6,)"), data, 12), GLIA_UNSUPPORTED,
                  "NPY dtype '<f2' is not supported");
    check_refused(put(1, HEADER("'>f4'", "(6,)"), data, 24), GLIA_UNSUPPORTED,
                  "NPY dtype '>f4' is not supported");
    check_refused(put(1, HEADER("[('a', '<f4')]", "(6,)"), data, 24), GLIA_BAD_FORMAT, "names no dtype");
    check_refused(put(1, "{'shape': (6,), }\n", data, 24), GLIA_BAD_FORMAT, "names no dtype ('descr')");
    check_refused(put(1, "{'descr': '<f4', }\n", data, 24), GLIA_BAD_FORMAT, "the NPY header has no shape");
    check_refused(put(1, HEADER("'<f4'", "(6"), data, 24), GLIA_BAD_FORMAT, "shape is malformed");
    check_refused(put(1, "{'descr': '<f4', 'shape': (6,", data, 0), GLIA_BAD_FORMAT, "shape does not end");
    check_refused(put(1, HEADER("'<f4'", "(-6,)"), data, 24), GLIA_BAD_FORMAT, "shape is malformed");
    check_refused(put(1, HEADER("'<f4'", "(six,)"), data, 24), GLIA_BAD_FORMAT, "shape is malformed");
    check_refused(put(1, HEADER("'<f4'", "(1,1,1,1,1,1,1,1,6)"), data, 24), GLIA_BAD_FORMAT,
                  "more than 8 dimensions");
    check_refused(put(1, HEADER("'<f4'", "(4294967296, 4294967296)"), data, 24), GLIA_BAD_FORMAT,
                  "promises more bytes than fit in memory");
    check_refused(put(1, HEADER("'<f4'", "(99999999999999999999,)"), data, 24), GLIA_BAD_FORMAT,
                  "promises more bytes than fit in memory");
    check_refused(put(1, HEADER("'<f4'", "(100000000000,)"), data, 24), GLIA_BAD_FORMAT,
                  "truncated: the header promises 400000000000 bytes of data, found 24");
    check_refused(scratch_put("a.npy", "\x93NUMPY\2\0\xFF\xFF\xFF\xFFxxxx", 16), GLIA_BAD_FORMAT,
                  "an NPY header of 4294967295 bytes; 65535 at most");
    check_refused(scratch_put("a.npy", "\x93NUMPY\1\0\x40\0{'descr", 17), GLIA_BAD_FORMAT,
                  "the NPY header promises 64 bytes, found 7");
    glia_error err = {0};
    glia_tensor t;
    CHECK_ERR(glia_npy_read(&t, scratch_path("none.npy"), NULL, &err), GLIA_NOT_FOUND, &err,
              "none.npy: No such file");
    scratch_remove();
}

TEST(as_data_set) {
    float x[] = {1, 2, 3, 4, 5, 6}, scalar = 1;
    int64_t y[] = {0, 1, 1}, far[] = {0, INT64_MAX, 1};
    double values[] = {0.5, 1.5, 2.5};
    scratch_make();
    glia_error err = {0};
    const glia_tensor files[] = {
        glia_tensor_wrap(x, GLIA_F32, GLIA_SHAPE(3, 2)), glia_tensor_wrap(y, GLIA_I64, GLIA_SHAPE(3)),
        glia_tensor_wrap(far, GLIA_I64, GLIA_SHAPE(3)), glia_tensor_wrap(values, GLIA_F64, GLIA_SHAPE(3)),
        glia_tensor_wrap(&scalar, GLIA_F32, (glia_shape){0})};
    static const char *const names[] = {"x", "y", "far", "values", "scalar"};
    for (int i = 0; i < 5; i++) CHECK_OK(glia_npy_write(scratch_path(names[i]), &files[i], &err), &err);
    char source[1100];
    glia_dataset *d;
    snprintf(source, sizeof source, "npy:%s,%s", scratch_path("x"), scratch_path("y"));
    CHECK_OK(glia_dataset_open_with(&d, source, (glia_dataset_options){.limit = 2}, &err), &err);
    CHECK_INT(glia_dataset_get_info(d)->count, 2); /* no more than asked for */
    CHECK_INT(glia_dataset_get_info(d)->classes, 2);
    float got[4];
    int64_t labels[2];
    CHECK_OK(glia_dataset_gather(d, NULL, 2, got, labels, &err), &err);
    CHECK(memcmp(got, x, sizeof got) == 0 && labels[1] == 1);
    glia_dataset_free(d);
    snprintf(source, sizeof source, "npy:%s,%s", scratch_path("x"), scratch_path("values"));
    CHECK_OK(glia_dataset_open_with(&d, source, (glia_dataset_options){0}, &err), &err);
    CHECK_INT(glia_dataset_get_info(d)->target, GLIA_TARGET_VALUES);
    glia_dataset_free(d);
    snprintf(source, sizeof source, "npy:%s,%s", scratch_path("x"), scratch_path("far"));
    CHECK_ERR(glia_dataset_open_with(&d, source, (glia_dataset_options){0}, &err), GLIA_BAD_DATA, &err,
              "label 9223372036854775807 of example 1 is out of range 0 … 16777215");
    x[5] = INFINITY;
    values[1] = -1e39; /* beyond f32, to which it is read */
    CHECK_OK(glia_npy_write(scratch_path("inf"), &files[0], &err), &err);
    CHECK_OK(glia_npy_write(scratch_path("far_values"), &files[3], &err), &err);
    snprintf(source, sizeof source, "npy:%s", scratch_path("inf"));
    CHECK_ERR(glia_dataset_open_with(&d, source, (glia_dataset_options){0}, &err), GLIA_BAD_DATA, &err,
              "inf: example 2 holds inf; a network needs finite numbers");
    snprintf(source, sizeof source, "npy:%s,%s", scratch_path("x"), scratch_path("far_values"));
    CHECK_ERR(glia_dataset_open_with(&d, source, (glia_dataset_options){0}, &err), GLIA_BAD_DATA, &err,
              "far_values: example 1 holds -1e+39; a network needs finite numbers of f32");
    snprintf(source, sizeof source, "npy:%s,%s", scratch_path("x"), scratch_path("scalar"));
    CHECK_ERR(glia_dataset_open_with(&d, source, (glia_dataset_options){0}, &err), GLIA_BAD_DATA, &err,
              "scalar holds 0 targets");
    snprintf(source, sizeof source, "npy:%s", scratch_path("scalar"));
    CHECK_ERR(glia_dataset_open_with(&d, source, (glia_dataset_options){0}, &err), GLIA_BAD_DATA, &err,
              "scalar: expected an array [examples, …], found a scalar");
    CHECK_ERR(glia_dataset_open_with(&d, "npy:", (glia_dataset_options){0}, &err), GLIA_INVALID_ARGUMENT,
              &err, "expected npy:inputs,targets, found 'npy:'");
    scratch_remove();
}

TEST(memory) {
    static const float data[6] = {1, 2, 3, 4, 5, 6};
    scratch_make();
    const char *path = put(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", data, 24);
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_tensor t;
        glia_status status = glia_npy_read(&t, path, &memory.allocator, &err);
        CHECK_FAILED_ONCE(memory, status);
        if (status != GLIA_OK) CHECK_HAS(err.message, "out of memory");
        glia_tensor_free(&t);
    }
    char source[600];
    snprintf(source, sizeof source, "npy:%s", path);
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_dataset *d;
        glia_dataset_options options = {.limit = 1, .normalize = GLIA_YES, .allocator = &memory.allocator};
        CHECK_FAILED_ONCE(memory, glia_dataset_open_with(&d, source, options, &err));
        glia_dataset_free(d);
    }
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(written_and_read), TEST_ENTRY(shapes), TEST_ENTRY(orders_and_versions),
          TEST_ENTRY(refused), TEST_ENTRY(as_data_set), TEST_ENTRY(memory))
