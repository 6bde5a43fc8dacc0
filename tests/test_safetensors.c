/* Weights in safetensors files: written, read, and every way in which a file can be wrong. */
#include "test.h"

#include "failing_allocator.h"
#include "glia/io.h"
#include "glia/tensor.h"
#include "scratch.h"

static bool built_without(void) {
    glia_error err = {0};
    glia_safetensors *file;
    glia_status status = glia_safetensors_open(&file, "none", NULL, &err);
    return status == GLIA_UNSUPPORTED;
}
static const char no_jansson[] = "this build has no jansson";

/* A file of this header, and so many bytes of data. */
static const char *put(const char *header, size_t data_bytes) {
    static unsigned char file[4096];
    size_t length = strlen(header);
    for (int i = 0; i < 8; i++) file[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data_bytes; i++) file[8 + length + i] = (unsigned char)i;
    return scratch_put("w.safetensors", file, 8 + length + data_bytes);
}

static void check_refused(const char *path, glia_status expected, const char *message) {
    glia_error err = {0};
    glia_safetensors *file;
    glia_status status = glia_safetensors_open(&file, path, NULL, &err);
    CHECK_STR(err.file, path);
    CHECK_ERR(status, expected, &err, message);
    CHECK(file == NULL);
    if (status == GLIA_OK) glia_safetensors_close(file);
}

TEST(written_and_read) {
    if (built_without()) SKIP(no_jansson);
    static uint8_t bytes[3] = {1, 2, 3};
    static float floats[6] = {1, 2, 3, 4, 5, 6};
    static int64_t wide[2] = {-1, INT64_MAX};
    static uint16_t halves[2] = {0x3F80, 0xC000};
    const glia_named_tensor tensors[] = {
        {"bytes", glia_tensor_wrap(bytes, GLIA_U8, GLIA_SHAPE(3))},
        {"a \"quoted\"\n naïve name", glia_tensor_wrap(floats, GLIA_F32, GLIA_SHAPE(2, 3))},
        {"wide", glia_tensor_wrap(wide, GLIA_I64, GLIA_SHAPE(2))},
        {"nothing", glia_tensor_wrap(NULL, GLIA_F64, GLIA_SHAPE(0, 4))},
        {"scalar", glia_tensor_wrap(floats, GLIA_F32, (glia_shape){0})},
        {"halves", glia_tensor_wrap(halves, GLIA_BF16, GLIA_SHAPE(2, 1))}};
    const size_t count = sizeof tensors / sizeof *tensors;
    const glia_key_value metadata[] = {{"epoch", "7"}, {"note", "ü"}};
    scratch_make();
    glia_error err = {0};
    const char *path = scratch_path("w.safetensors");
    CHECK_OK(glia_safetensors_write(path, tensors, count, metadata, 2, &err), &err);
    CHECK_OK(glia_safetensors_write(scratch_path("again"), tensors, count, metadata, 2, &err), &err);
    struct stat a, b;
    CHECK(stat(path, &a) == 0 && stat(scratch_path("again"), &b) == 0 && a.st_size == b.st_size);
    glia_safetensors *file;
    CHECK_OK(glia_safetensors_open(&file, path, NULL, &err), &err);
    CHECK_INT(glia_safetensors_count(file), count);
    for (size_t i = 0; i < count; i++) {
        glia_tensor t;
        CHECK_STR(glia_safetensors_name(file, i), tensors[i].name); /* in the writer's order */
        CHECK_OK(glia_safetensors_get(file, tensors[i].name, &t, &err), &err);
        CHECK_INT(t.dtype, tensors[i].tensor.dtype);
        CHECK(glia_shape_equal(&t.shape, &tensors[i].tensor.shape));
        size_t n = glia_tensor_bytes(&t);
        CHECK(n == 0 || memcmp(t.data, tensors[i].tensor.data, n) == 0);
        CHECK((uintptr_t)t.data % glia_dtype_bytes(t.dtype) == 0);
    }
    CHECK(glia_safetensors_name(file, count) == NULL);
    CHECK_STR(glia_safetensors_metadata(file, "epoch"), "7");
    CHECK_STR(glia_safetensors_metadata(file, "note"), "ü");
    CHECK_STR(glia_safetensors_metadata(file, "format"), "pt");
    CHECK(glia_safetensors_metadata(file, "none") == NULL);
    glia_tensor t;
    CHECK_ERR(glia_safetensors_get(file, "byte", &t, &err), GLIA_NOT_FOUND, &err,
              "there is no tensor 'byte' among its 6");
    glia_safetensors_close(file);
    glia_safetensors_close(NULL);
    scratch_remove();
}

TEST(not_written) {
    static float numbers[4];
    const glia_tensor good = glia_tensor_wrap(numbers, GLIA_F32, GLIA_SHAPE(4));
    const struct {
        glia_named_tensor tensors[2];
        glia_key_value metadata;
        const char *message;
    } cases[] = {
        {{{"a", good}, {"a", good}}, {"k", "v"}, "two tensors are called 'a'"},
        {{{"a", good}, {"b", good}}, {"format", "v"}, "two metadata are called 'format'"},
        {{{"a", good}, {"__metadata__", good}}, {"k", "v"}, "a tensor needs a name, other than __metadata__"},
        {{{"a", good}, {"b", glia_tensor_wrap(NULL, GLIA_F32, GLIA_SHAPE(4))}},
         {"k", "v"},
         "tensor 'b' has no data"},
        {{{"a", good}, {"b", glia_tensor_wrap(numbers, GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH))}},
         {"k", "v"},
         "tensor 'b' has no known dtype and shape"},
    };
    scratch_make();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        glia_error err = {0};
        CHECK_ERR(glia_safetensors_write(scratch_path("w"), cases[i].tensors, 2, &cases[i].metadata, 1, &err),
                  GLIA_INVALID_ARGUMENT, &err, cases[i].message);
        CHECK(access(scratch_path("w"), F_OK) != 0);
    }
    const glia_named_tensor one = {"a", good};
    glia_error err = {0};
    CHECK_ERR(glia_safetensors_write(scratch_path("no/w"), &one, 1, NULL, 0, &err), GLIA_NOT_FOUND, &err,
              "No such file");
    scratch_remove();
}

#define TENSOR(name, dtype, shape, begin, end) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

TEST(refused) {
    if (built_without()) SKIP(no_jansson);
    static const struct {
        const char *header;
        size_t data;
        glia_status status;
        const char *message;
    } cases[] = {
        {"{" TENSOR("a", "F32", "[2]", 0, 8) "," TENSOR("b", "F32", "[2]", 12, 20) "}", 20, GLIA_BAD_FORMAT,
         "hole in the data: expected tensor 'b' to begin at byte 8, found 12"},
        {"{" TENSOR("a", "F32", "[2]", 4, 12) "}", 12, GLIA_BAD_FORMAT,
         "hole in the data: expected tensor 'a' to begin "
         "at byte 0, found 4"},
        {"{" TENSOR("a", "F32", "[2]", 0, 8) "," TENSOR("b", "F32", "[2]", 4, 12) "}", 12, GLIA_BAD_FORMAT,
         "tensors 'a' and 'b' overlap: expected 'b' to begin at byte 8, found 4"},
        {"{" TENSOR("a", "F32", "[2]", 0, 8) "," TENSOR("b", "F32", "[2]", 0, 8) "}", 8, GLIA_BAD_FORMAT,
         "overlap"},
        {"{" TENSOR("a", "F32", "[2]", 0, 8) "}", 9, GLIA_BAD_FORMAT,
         "expected 8 bytes of data for 1 tensors, found 9"},
        {"{" TENSOR("a", "F32", "[2]", 0, 8) "}", 7, GLIA_BAD_FORMAT,
         "tensor 'a' ends at byte 8 of the data, which has only 7 bytes (truncated?)"},
        {"{" TENSOR("a", "F32", "[3]", 0, 8) "}", 8, GLIA_BAD_FORMAT,
         "tensor 'a': its shape 3 of f32 needs 12 bytes, found 8"},
        {"{" TENSOR("a", "F16", "[4]", 0, 8) "}", 8, GLIA_UNSUPPORTED,
         "tensor 'a': Glia has no arrays of dtype F16"},
        {"{" TENSOR("a", "f32", "[2]", 0, 8) "}", 8, GLIA_BAD_FORMAT,
         "expected a dtype such as F32, found 'f32'"},
        {"{" TENSOR("a", "F32", "[-2]", 0, 8) "}", 8, GLIA_BAD_FORMAT,
         "expected non-negative integers in its shape"},
        {"{" TENSOR("a", "F32", "[2.0]", 0, 8) "}", 8, GLIA_BAD_FORMAT,
         "expected non-negative integers in its shape"},
        {"{" TENSOR("a", "F32", "2", 0, 8) "}", 8, GLIA_BAD_FORMAT,
         "expected as shape an array of at most 8 integers"},
        {"{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,2]", 0, 8) "}", 8, GLIA_BAD_FORMAT,
         "an array of at most 8 integers"},
        {"{" TENSOR("a", "F32", "[4611686018427387904,8]", 0, 8) "}", 8, GLIA_BAD_FORMAT,
         "more elements than fit in memory"},
        {"{" TENSOR("a", "F64", "[2305843009213693952]", 0, 0) "}", 0, GLIA_BAD_FORMAT,
         "more elements than fit in memory"},
        {"{" TENSOR("a", "F32", "[2]", 8, 0) "}", 8, GLIA_BAD_FORMAT, "expected data_offsets [BEGIN, END]"},
        {"{" TENSOR("a", "F32", "[2]", -8, 0) "}", 8, GLIA_BAD_FORMAT, "expected data_offsets [BEGIN, END]"},
        {"{" TENSOR("a", "F32", "[2]", 0, 99999999999999999999) "}", 8, GLIA_BAD_FORMAT, "not valid JSON"},
        {"{" TENSOR("a", "F32", "[2]", 0, 8) "," TENSOR("a", "F32", "[2]", 0, 8) "}", 8, GLIA_BAD_FORMAT,
         "the header is not valid JSON: duplicate object key"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, GLIA_BAD_FORMAT,
         "an object of dtype, shape and data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8, GLIA_BAD_FORMAT,
         "an object of dtype, shape and data_offsets"},
        {"{\"a\":7}", 0, GLIA_BAD_FORMAT, "an object of dtype, shape and data_offsets"},
        {"{\"__metadata__\":{\"k\":1}}", 0, GLIA_BAD_FORMAT, "__metadata__: expected a string for 'k'"},
        {"{\"__metadata__\":[]}", 0, GLIA_BAD_FORMAT, "__metadata__: expected an object of strings"},
        {"{\"a\":", 0, GLIA_BAD_FORMAT, "the header is not valid JSON: "},
        {"{} {}", 0, GLIA_BAD_FORMAT, "the header is not valid JSON: end of file expected"},
        {"[]", 0, GLIA_BAD_FORMAT, "expected a header that begins with '{'"},
        {" {}", 0, GLIA_BAD_FORMAT, "expected a header that begins with '{'"},
        {"", 0, GLIA_BAD_FORMAT, "expected a header that begins with '{'"},
    };
    scratch_make();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(put(cases[i].header, cases[i].data), cases[i].status, cases[i].message);
    const char *path = scratch_put("w.safetensors", "\2\0\0\0\0\0\0", 7);
    check_refused(path, GLIA_BAD_FORMAT, "expected at least 8 bytes, found 7");
    check_refused(scratch_put("w.safetensors", "\x40\0\0\0\0\0\0\0{}", 10), GLIA_BAD_FORMAT,
                  "truncated: the header has 64 bytes, but only 2 follow");
    check_refused(scratch_put("w.safetensors", "\1\xE1\xF5\5\0\0\0\0{}", 10), GLIA_BAD_FORMAT,
                  "expected a header of at most 100000000 bytes, found 100000001");
    check_refused(scratch_put("w.safetensors", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10), GLIA_BAD_FORMAT,
                  "found 18446744073709551615");
    glia_error err = {0};
    glia_safetensors *file;
    CHECK_ERR(glia_safetensors_open(&file, scratch_path("none"), NULL, &err), GLIA_NOT_FOUND, &err,
              "none: No such file");
    CHECK_ERR(glia_safetensors_open(&file, scratch, NULL, &err), GLIA_IO, &err,
              "expected a file, found a folder");
    scratch_remove();
}

TEST(accepted) {
    if (built_without()) SKIP(no_jansson);
    scratch_make();
    glia_error err = {0};
    glia_safetensors *file;
    glia_tensor t;
    /* Spaces behind, any order of the tensors, nothing at all. */
    CHECK_OK(glia_safetensors_open(
                 &file, put("{" TENSOR("b", "U8", "[3]", 2, 5) "," TENSOR("a", "U8", "[2]", 0, 2) "}   ", 5),
                 NULL, &err),
             &err);
    CHECK_OK(glia_safetensors_get(file, "b", &t, &err), &err);
    CHECK_INT(glia_tensor_get(&t, 0), 2);
    glia_safetensors_close(file);
    CHECK_OK(glia_safetensors_open(&file, put("{}", 0), NULL, &err), &err);
    CHECK_INT(glia_safetensors_count(file), 0);
    CHECK_ERR(glia_safetensors_get(file, "a", &t, &err), GLIA_NOT_FOUND, &err,
              "there is no tensor 'a' among its 0");
    glia_safetensors_close(file);
    scratch_remove();
}

/* An allocator in whose first block for the file's data somebody else cuts the file short. */
typedef struct cutting {
    glia_allocator allocator;
    const char *path;
    size_t data_bytes;
} cutting;

static void *cutting_alloc(void *ctx, size_t bytes, size_t align) {
    const cutting *c = ctx;
    if (bytes == c->data_bytes) CHECK(truncate(c->path, 200) == 0);
    return aligned_alloc(align, (bytes + align - 1) / align * align);
}

static void cutting_free(void *ctx, void *ptr, size_t bytes) {
    (void)ctx, (void)bytes;
    free(ptr);
}

TEST(cut_short_by_others) {
    if (built_without()) SKIP(no_jansson);
    scratch_make();
    glia_error err = {0};
    glia_safetensors *file;
    glia_tensor t;
    static const char header[] = "{" TENSOR("a", "U8", "[2000]", 0, 2000) "}";
    const char *path = put(header, 2000);
    CHECK_OK(glia_safetensors_open(&file, path, NULL, &err), &err);
    CHECK(truncate(path, 0) == 0); /* after opening: what was read is there */
    CHECK_OK(glia_safetensors_get(file, "a", &t, &err), &err);
    CHECK_INT(glia_tensor_get(&t, 1999), 1999 % 256);
    glia_safetensors_close(file);
    cutting c = {.path = put(header, 2000), .data_bytes = 2000};
    c.allocator = (glia_allocator){cutting_alloc, cutting_free, &c};
    glia_status status = glia_safetensors_open(&file, c.path, &c.allocator, &err);
    CHECK_ERR(status, GLIA_BAD_FORMAT, &err,
              "truncated while it was read: it had 2067 bytes, now it ends after 200");
    CHECK(file == NULL);
    scratch_remove();
}

TEST(memory) {
    if (built_without()) SKIP(no_jansson);
    scratch_make();
    const char *path = put("{\"__metadata__\":{\"k\":\"v\"}," TENSOR("a", "F32", "[2]", 0, 8) "}", 8);
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_safetensors *file;
        glia_status status = glia_safetensors_open(&file, path, &memory.allocator, &err);
        CHECK_FAILED_ONCE(memory, status);
        if (status != GLIA_OK) CHECK_HAS(err.message, "w.safetensors");
        glia_safetensors_close(file);
    }
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(written_and_read), TEST_ENTRY(not_written), TEST_ENTRY(refused), TEST_ENTRY(accepted),
          TEST_ENTRY(cut_short_by_others), TEST_ENTRY(memory))
