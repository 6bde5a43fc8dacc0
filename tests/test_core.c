/* The ground floor: errors, memory, text, dtypes, shapes, tensors, random numbers, log, version. */
#include "test.h"

#include "core/isa.h"
#include "core/log.h"
#include "core/mem.h"
#include "failing_allocator.h"
#include "glia/random.h"
#include "glia/tensor.h"
#include "glia/version.h"

/* --- errors -----------------------------------------------------------------------------------------------
 */

TEST(status_names) {
    CHECK_STR(glia_status_name(GLIA_OK), "OK");
    CHECK_STR(glia_status_name(GLIA_INTERNAL), "INTERNAL");
    CHECK_STR(glia_status_message(GLIA_NOT_FOUND), "not found");
    CHECK_STR(glia_status_name((glia_status)99), "UNKNOWN");
    CHECK_STR(glia_status_message((glia_status)-1), "unknown status");
}

TEST(error_first_wins) {
    glia_error err = {0};
    CHECK_INT(glia_error_set(&err, GLIA_IO, "disk %d", 7), GLIA_IO);
    CHECK_INT(glia_error_set(&err, GLIA_INTERNAL, "later"), GLIA_INTERNAL);
    CHECK_STR(err.message, "disk 7");
    CHECK_INT(err.status, GLIA_IO);
    glia_error_clear(&err);
    CHECK_INT(err.status, GLIA_OK);
    CHECK_STR(err.message, "");
    CHECK_INT(glia_error_set(NULL, GLIA_IO, "nobody listens"), GLIA_IO);
    CHECK_INT(glia_error_set(&err, GLIA_OK, "no error"), GLIA_OK);
    CHECK_STR(err.message, "");
    glia_error_set(&err, GLIA_OUT_OF_MEMORY, NULL);
    CHECK_STR(err.message, "out of memory");
}

TEST(error_text) {
    char text[256];
    glia_error err = {0};
    glia_error_at(&err, "early.yaml", 1, 1); /* no error yet: no place */
    CHECK_STR(err.file, "");
    glia_error_set(&err, GLIA_BAD_FORMAT, "expected a number");
    CHECK_STR(glia_error_text(&err, text, sizeof text), "expected a number");
    glia_error_at(&err, NULL, 4, 4);
    CHECK_INT(err.line, 0);
    glia_error_at(&err, "model.yaml", 3, 7);
    glia_error_at(&err, "other.yaml", 9, 9); /* has a place already */
    CHECK_STR(glia_error_text(&err, text, sizeof text), "model.yaml:3:7: expected a number");
    snprintf(err.node, sizeof err.node, "conv1");
    CHECK_STR(glia_error_text(&err, text, sizeof text), "model.yaml:3:7: conv1: expected a number");
    err.line = 0;
    err.offset = 16;
    CHECK_STR(glia_error_text(&err, text, sizeof text), "model.yaml: at byte 16: conv1: expected a number");
    CHECK_STR(glia_error_text(&err, text, 6), "model");
    CHECK_STR(glia_error_text(NULL, text, sizeof text), "");
}

TEST(error_long_text) {
    char path[400], text[16];
    memset(path, 'a', sizeof path);
    memcpy(path + 390, "/end.yaml", 10);
    glia_error err = {0};
    /* 511 bytes would end within the last é. */
    char message[600];
    memset(message, 'x', 510);
    memcpy(message + 510, "éé", sizeof "éé");
    glia_error_set(&err, GLIA_IO, "%s", message);
    CHECK_INT(strlen(err.message), 510);
    glia_error_at(&err, path, 1, 0);
    CHECK_INT(strlen(err.file), sizeof err.file - 1);
    CHECK(strncmp(err.file, "...a", 4) == 0);
    CHECK_HAS(err.file, "/end.yaml");
    glia_error short_err = {.status = GLIA_IO, .message = "ab×cd"};
    CHECK_STR(glia_error_text(&short_err, text, 4), "ab"); /* not half a × */
    CHECK_STR(glia_error_text(&short_err, text, 5), "ab×");
}

/* --- memory -----------------------------------------------------------------------------------------------
 */

TEST(allocation) {
    CHECK(glia__alloc(NULL, SIZE_MAX) == NULL);
    CHECK(glia__calloc(NULL, SIZE_MAX / 2, 4) == NULL);
    CHECK(glia__grow(NULL, NULL, 0, SIZE_MAX / 2, 4) == NULL);
    void *nothing = glia__alloc(NULL, 0);
    CHECK(nothing != NULL);
    glia__free(NULL, nothing, 0);
    glia__free(NULL, NULL, 5);
    for (size_t align = 16; align <= 4096; align *= 2) {
        void *p = glia__alloc_aligned(NULL, 100, align);
        CHECK(p && (uintptr_t)p % align == 0);
        glia__free(NULL, p, 100);
    }
}

TEST(grow) {
    FOR_EACH_FAILURE(memory) {
        const glia_allocator *a = &memory.allocator;
        int *items = glia__calloc(a, 4, sizeof *items);
        if (!items) continue;
        CHECK_INT(items[3], 0);
        items[3] = 42;
        int *more = glia__grow(a, items, 4, 100, sizeof *items);
        size_t count = more ? 100 : 4; /* after a failure the old array is still there */
        if (more) items = more;
        CHECK_INT(items[3], 42);
        glia__free(a, items, count * sizeof *items);
    }
}

TEST(arena) {
    FOR_EACH_FAILURE(memory) {
        glia_arena arena;
        bool good = true;
        glia__arena_init(&arena, &memory.allocator);
        for (size_t bytes = 0; bytes < 3000 && good; bytes += 37) {
            unsigned char *p = glia__arena_alloc(&arena, bytes);
            good = p != NULL;
            if (!p) break;
            CHECK_INT((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < bytes; i++)
                if (p[i]) good = false;
            memset(p, 0xFF, bytes);
        }
        if (good) good = glia__arena_alloc(&arena, 3 << 20) != NULL; /* more than a chunk ever has */
        const char *copy = good ? glia__arena_strdup(&arena, "Grüße") : NULL;
        const char *printed = copy ? glia__arena_printf(&arena, "%s-%d", copy, 7) : NULL;
        if (printed) CHECK_STR(printed, "Grüße-7");
        CHECK_INT(printed != NULL, !failing_failed(&memory));
        CHECK(glia__arena_alloc(&arena, SIZE_MAX - 8) == NULL);
        glia__arena_free(&arena);
        glia__arena_free(&arena); /* twice is safe */
    }
}

/* --- text -------------------------------------------------------------------------------------------------
 */

TEST(text) {
    FOR_EACH_FAILURE(memory) {
        glia_text text;
        glia__text_init(&text, &memory.allocator);
        CHECK_STR(text.data, "");
        glia__text_add(&text, "a");
        glia__text_add(&text, NULL);
        glia__text_add_bytes(&text, "bcd", 2);
        glia__text_printf(&text, "%0200d", 5);
        if (!text.failed) {
            CHECK_INT(text.length, 203);
            CHECK_INT(strlen(text.data), 203);
            CHECK(strncmp(text.data, "abc000", 6) == 0);
        }
        CHECK_INT(text.failed, failing_failed(&memory));
        glia__text_free(&text);
        CHECK_STR(text.data, "");
    }
}

TEST(text_json) {
    glia_text text;
    glia__text_init(&text, NULL);
    glia__text_add_json(&text, "a\"b\\c\n\t\x01 é\xFF\xC3 \xED\xA0\x80 \xF0\x9F\x98\x80");
    CHECK_STR(text.data, "\"a\\\"b\\\\c\\n\\t\\u0001 é\uFFFD\uFFFD \uFFFD\uFFFD\uFFFD \xF0\x9F\x98\x80\"");
    glia__text_free(&text);
}

TEST(text_html) {
    glia_text text;
    glia__text_init(&text, NULL);
    glia__text_add_html(&text, "<a b=\"c\">&'é\n\x01\xC3");
    glia__text_add_html(&text, NULL);
    CHECK_STR(text.data, "&lt;a b=&quot;c&quot;&gt;&amp;&#39;é\n\uFFFD\uFFFD");
    glia__text_free(&text);
}

static void check_number(double value, const char *expected) {
    glia_text text;
    glia__text_init(&text, NULL);
    glia__text_add_number(&text, value);
    CHECK_STR(text.data, expected);
    glia__text_free(&text);
}

TEST(text_numbers) {
    check_number(0.1, "0.1");
    check_number(1, "1");
    check_number(-0.0, "-0");
    check_number(1.0 / 3, "0.3333333333333333");
    check_number(1e300, "1e+300");
    check_number(5000, "5000"); /* as people write it */
    check_number(-20, "-20");
    check_number(1e15, "1e+15");
    check_number(123456789, "123456789");
    check_number(NAN, "null");
    check_number(-INFINITY, "null");
    int64_t i = 5;
    double d = 5;
    CHECK(glia__parse_int("-9223372036854775808", &i) && i == INT64_MIN);
    CHECK(glia__parse_double("-1.5e-3", &d) && d == -1.5e-3);
    const char *bad[] = {"", " 1", "1 ", "0x10", "1.5.2", "nan", "inf", "1e999", "--1", "e5", "."};
    for (size_t k = 0; k < GLIA_COUNT(bad); k++) {
        CHECK(!glia__parse_int(bad[k], &i));
        CHECK(!glia__parse_double(bad[k], &d));
    }
    CHECK(!glia__parse_int("9223372036854775808", &i) && !glia__parse_int("1.0", &i));
    CHECK(!glia__parse_int(NULL, &i) && !glia__parse_double(NULL, &d));
    CHECK(i == INT64_MIN && d == -1.5e-3); /* untouched */
}

TEST(nearest_word) {
    const char *words[] = {"conv2d", "dense", "max_pool2d", "relu", NULL, ""};
    CHECK_STR(glia__nearest_word("conv2", words, 6), "conv2d");
    CHECK_STR(glia__nearest_word("Dense", words, 6), "dense");
    CHECK_STR(glia__nearest_word("dnese", words, 6), "dense");
    CHECK_STR(glia__nearest_word("max-pool", words, 6) ? "some" : "none", "some");
    CHECK(glia__nearest_word("transformer", words, 6) == NULL);
    CHECK(glia__nearest_word("x", words, 6) == NULL);
    CHECK(glia__nearest_word("", words, 6) == NULL);
    CHECK(glia__nearest_word(NULL, words, 6) == NULL);
    CHECK(glia__nearest_word("relu", words, 0) == NULL);
    char longer[200];
    memset(longer, 'r', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    CHECK(glia__nearest_word(longer, words, 6) == NULL);
}

/* --- dtypes, shapes, tensors ------------------------------------------------------------------------------
 */

TEST(dtypes) {
    for (int i = 0; i < GLIA_DTYPE_COUNT; i++) {
        glia_dtype parsed = GLIA_DTYPE_COUNT;
        CHECK(glia_dtype_parse(glia_dtype_name((glia_dtype)i), &parsed));
        CHECK_INT(parsed, i);
        CHECK(glia_dtype_bytes((glia_dtype)i) > 0);
    }
    glia_dtype untouched = GLIA_I64;
    CHECK(!glia_dtype_parse("f16", &untouched) && !glia_dtype_parse(NULL, &untouched));
    CHECK_INT(untouched, GLIA_I64);
    CHECK_STR(glia_dtype_name(GLIA_DTYPE_COUNT), "?");
    CHECK_INT(glia_dtype_bytes((glia_dtype)-1), 0);
    CHECK(glia_dtype_is_float(GLIA_BF16) && !glia_dtype_is_float(GLIA_I64));
}

TEST(bf16) {
    CHECK_INT(glia_bf16_from_f32(1.0f), 0x3F80);
    CHECK_INT(glia_bf16_from_f32(0x1.01p0f), 0x3F80);       /* halfway: to even, down */
    CHECK_INT(glia_bf16_from_f32(0x1.03p0f), 0x3F82);       /* halfway: to even, up */
    CHECK_INT(glia_bf16_from_f32(0x1.010002p0f), 0x3F81);   /* above halfway */
    CHECK_INT(glia_bf16_from_f32(0x1.fffffep127f), 0x7F80); /* the largest f32 rounds to infinity */
    CHECK_INT(glia_bf16_from_f32(-INFINITY), 0xFF80);
    union {
        uint32_t bits;
        float value;
    } nan = {.bits = 0x7F800001}; /* all set bits are in the lower half */
    CHECK(isnan(glia_bf16_to_f32(glia_bf16_from_f32(nan.value))));
    for (uint32_t h = 0; h < 0x10000; h++) {
        float x = glia_bf16_to_f32((uint16_t)h);
        if (x == x && glia_bf16_from_f32(x) != h) CHECK_INT(glia_bf16_from_f32(x), h);
    }
}

TEST(shapes) {
    char text[64];
    glia_shape shape = GLIA_SHAPE(GLIA_DIM_BATCH, 1, 28, 28), scalar = {0};
    CHECK_STR(glia_shape_text(&shape, text, sizeof text), "N×1×28×28");
    CHECK_INT(glia_shape_elems(&shape), -1);
    CHECK(!glia_shape_is_known(&shape));
    shape.dim[0] = 2;
    CHECK_INT(glia_shape_elems(&shape), 2 * 28 * 28);
    CHECK_STR(glia_shape_text(&shape, text, 6), "2×1"); /* whole dimensions only */
    CHECK_STR(glia_shape_text(&scalar, text, sizeof text), "scalar");
    CHECK_INT(glia_shape_elems(&scalar), 1);
    glia_shape named = GLIA_SHAPE(GLIA_DIM_TIME, -3);
    CHECK_STR(glia_shape_text(&named, text, sizeof text), "T×D3");
    glia_shape huge = GLIA_SHAPE(INT64_MAX, 2), none = GLIA_SHAPE(INT64_MAX, INT64_MAX, 0);
    CHECK_INT(glia_shape_elems(&huge), -1);
    CHECK_INT(glia_shape_elems(&none), 0);
    CHECK(!glia_shape_equal(&huge, &none) && glia_shape_equal(&huge, &huge));
    int64_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    glia_shape bad = glia_shape_of(nine, 9);
    CHECK_INT(bad.rank, -1);
    CHECK_INT(glia_shape_elems(&bad), -1);
    CHECK_STR(glia_shape_text(&bad, text, sizeof text), "invalid shape");
    bad.rank = 100;
    CHECK_INT(glia_shape_elems(&bad), -1);
    CHECK_STR(glia_shape_text(&bad, text, sizeof text), "invalid shape");
}

TEST(tensor_new) {
    FOR_EACH_FAILURE(memory) {
        glia_tensor t;
        glia_error err = {0};
        glia_status status = glia_tensor_new(&t, GLIA_F32, GLIA_SHAPE(3, 5), &memory.allocator, &err);
        CHECK_FAILED_ONCE(memory, status);
        if (status == GLIA_OK) {
            CHECK_INT((uintptr_t)t.data % 64, 0);
            CHECK_INT(glia_tensor_bytes(&t), 60);
            for (int i = 0; i < 15; i++) CHECK_NEAR(glia_tensor_get(&t, i), 0, 0);
        } else {
            CHECK_STR(err.message, "out of memory: 60 bytes for f32 3×5");
            CHECK(t.data == NULL);
        }
        glia_tensor_free(&t);
        glia_tensor_free(&t);
    }
    glia_tensor t;
    glia_error err = {0};
    CHECK_ERR(glia_tensor_new(&t, GLIA_F32, GLIA_SHAPE(-1, 5), NULL, &err), GLIA_BAD_SHAPE, &err, "N×5");
    CHECK_ERR(glia_tensor_new(&t, GLIA_F64, GLIA_SHAPE(INT64_MAX), NULL, &err), GLIA_BAD_SHAPE, &err,
              "known dimensions");
    CHECK_ERR(glia_tensor_new(&t, GLIA_DTYPE_COUNT, GLIA_SHAPE(1), NULL, &err), GLIA_INVALID_ARGUMENT, &err,
              "unknown dtype");
    glia_tensor_free(&t);
    glia_tensor_free(NULL);
    CHECK_OK(glia_tensor_new(&t, GLIA_I64, GLIA_SHAPE(0, 4), NULL, &err), &err);
    CHECK_INT(glia_tensor_bytes(&t), 0);
    glia_tensor_free(&t);
}

TEST(tensor_values) {
    struct {
        glia_dtype dtype;
        double in, out;
    } cases[] = {
        {GLIA_F32, 0.1, 0.1f}, {GLIA_F64, 0.1, 0.1},        {GLIA_BF16, 1.01, 1.0078125},
        {GLIA_I32, -3.9, -3},  {GLIA_I32, 1e30, INT32_MAX}, {GLIA_I64, -1e30, (double)INT64_MIN},
        {GLIA_I64, NAN, 0},    {GLIA_U8, 300, 255},         {GLIA_U8, -5, 0},
        {GLIA_BOOL, 7, 1},
    };
    for (size_t i = 0; i < GLIA_COUNT(cases); i++) {
        glia_tensor t;
        glia_error err = {0};
        CHECK_OK(glia_tensor_new(&t, cases[i].dtype, GLIA_SHAPE(3), NULL, &err), &err);
        glia_tensor_set(&t, 1, cases[i].in);
        CHECK_NEAR(glia_tensor_get(&t, 1), cases[i].out, 0);
        CHECK_NEAR(glia_tensor_get(&t, 0) + glia_tensor_get(&t, 2), 0, 0); /* neighbours untouched */
        glia_tensor_set(&t, 3, 1);
        glia_tensor_set(&t, -1, 1);
        CHECK(isnan(glia_tensor_get(&t, 3)) && isnan(glia_tensor_get(&t, -1)));
        glia_tensor_free(&t);
    }
}

TEST(tensor_views) {
    float data[12];
    for (int i = 0; i < 12; i++) data[i] = (float)i;
    glia_tensor t = glia_tensor_wrap(data, GLIA_F32, GLIA_SHAPE(4, 3)), view;
    glia_error err = {0};
    CHECK_OK(glia_tensor_rows(&view, &t, 1, 2, &err), &err);
    CHECK_INT(view.shape.dim[0], 2);
    CHECK_NEAR(glia_tensor_get(&view, 0), 3, 0);
    glia_tensor_free(&view); /* borrowed: frees nothing */
    CHECK_OK(glia_tensor_rows(&view, &t, 4, 0, &err), &err);
    CHECK_ERR(glia_tensor_rows(&view, &t, 3, 2, &err), GLIA_INVALID_ARGUMENT, &err,
              "within the 4 of shape 4×3");
    CHECK_ERR(glia_tensor_rows(&view, &t, -1, 2, &err), GLIA_INVALID_ARGUMENT, &err, "from row -1");
    CHECK_ERR(glia_tensor_rows(&view, &t, 1, INT64_MAX, &err), GLIA_INVALID_ARGUMENT, &err, "within");
    CHECK_OK(glia_tensor_reshape(&view, &t, GLIA_SHAPE(2, 6), &err), &err);
    CHECK_NEAR(glia_tensor_get(&view, 11), 11, 0);
    CHECK_ERR(glia_tensor_reshape(&view, &t, GLIA_SHAPE(5, 2), &err), GLIA_BAD_SHAPE, &err,
              "cannot see shape 4×3 as 5×2");
    glia_tensor scalar = glia_tensor_wrap(data, GLIA_F32, (glia_shape){0});
    CHECK_ERR(glia_tensor_rows(&view, &scalar, 0, 1, &err), GLIA_BAD_SHAPE, &err, "scalar");
}

/* --- random numbers ---------------------------------------------------------------------------------------
 */

TEST(random_known_answers) {
    /* kat_vectors of Random123 1.09, "philox4x32 10": the digits of nothing, of all ones, and of pi. */
    static const struct {
        glia_random random;
        uint64_t block;
        uint32_t words[4];
    } vectors[] = {
        {{0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{UINT64_MAX, UINT64_MAX}, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x299f31d0a4093822, 0x0370734413198a2e},
         0x85a308d3243f6a88,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < GLIA_COUNT(vectors); i++) {
        uint32_t words[4];
        glia_random_block(vectors[i].random, vectors[i].block, words);
        for (int w = 0; w < 4; w++) CHECK_INT(words[w], vectors[i].words[w]);
    }
}

TEST(random_distributions) {
    enum { N = 100000 };
    glia_random random = {7, glia_random_stream("weights")};
    double sum = 0, square = 0, normal = 0, normal2 = 0, normal4 = 0;
    for (uint64_t i = 0; i < N; i++) {
        double u = glia_random_uniform(random, i), z = glia_random_normal(random, i);
        if (!(u >= 0 && u < 1)) CHECK(u >= 0 && u < 1);
        sum += u;
        square += u * u;
        normal += z;
        normal2 += z * z;
        normal4 += z * z * z * z;
    }
    /* Within five standard errors. */
    CHECK_NEAR(sum / N, 0.5, 5 * sqrt(1.0 / 12 / N));
    CHECK_NEAR(square / N, 1.0 / 3, 5 * sqrt(4.0 / 45 / N));
    CHECK_NEAR(normal / N, 0, 5 * sqrt(1.0 / N));
    CHECK_NEAR(normal2 / N, 1, 5 * sqrt(2.0 / N));
    CHECK_NEAR(normal4 / N, 3, 5 * sqrt(96.0 / N));
}

TEST(random_independence) {
    glia_random a = {1, 1}, b = {1, 2}, c = {2, 1};
    CHECK(glia_random_u64(a, 0) != glia_random_u64(b, 0));
    CHECK(glia_random_u64(a, 0) != glia_random_u64(c, 0));
    CHECK(glia_random_u64(a, 0) != glia_random_u64(a, 1));
    CHECK(glia_random_u64(a, 1) == glia_random_u64(a, 1));
    CHECK(glia_random_stream("a") == 0xAF63DC4C8601EC8Cu); /* published FNV-1a vector */
    CHECK(glia_random_stream("") == 0xCBF29CE484222325u);
}

TEST(random_below) {
    glia_random random = {3, 4};
    int counts[7] = {0};
    for (uint64_t i = 0; i < 7000; i++) {
        uint64_t k = glia_random_below(random, i, 7);
        CHECK(k < 7);
        counts[k]++;
    }
    double chi2 = 0;
    for (int k = 0; k < 7; k++) chi2 += (counts[k] - 1000.0) * (counts[k] - 1000.0) / 1000;
    CHECK(chi2 < 22.5); /* 99.9 % of 6 degrees of freedom */
    CHECK_INT(glia_random_below(random, 5, 1), 0);
    uint64_t u = glia_random_u64(random, 9);
    CHECK(glia_random_below(random, 9, 1ull << 63) == u >> 1);
    CHECK(glia_random_below(random, 9, UINT64_MAX) == u - 1 || glia_random_below(random, 9, UINT64_MAX) == u);
}

TEST(random_permutation) {
    enum { N = 1000 };
    int64_t order[N], again[N];
    bool seen[N] = {false};
    glia_random random = {5, 6};
    glia_random_permutation(random, order, N);
    glia_random_permutation(random, again, N);
    CHECK(memcmp(order, again, sizeof order) == 0);
    int fixed = 0;
    for (int i = 0; i < N; i++) {
        CHECK(order[i] >= 0 && order[i] < N && !seen[order[i]]);
        seen[order[i]] = true;
        fixed += order[i] == i;
    }
    CHECK(fixed < 10); /* about one is expected */
    glia_random_permutation(random, order, 0);
    CHECK_INT(order[0], again[0]);
    /* All six orders of three are as frequent. */
    int counts[27] = {0};
    for (uint64_t seed = 0; seed < 6000; seed++) {
        glia_random_permutation((glia_random){seed, 0}, order, 3);
        counts[order[0] * 9 + order[1] * 3 + order[2]]++;
    }
    const int codes[] = {5, 7, 11, 15, 19, 21};
    for (int i = 0; i < 6; i++) CHECK_NEAR(counts[codes[i]], 1000, 150);
}

/* --- log and version --------------------------------------------------------------------------------------
 */

static char logged[4096];
static int log_lines;

static void keep_line(void *ctx, glia_log_level level, const char *text) {
    snprintf(logged, sizeof logged, "%s%d %s", (const char *)ctx, (int)level, text);
    log_lines++;
}

TEST(log) {
    glia_logger logger = {keep_line, "level ", GLIA_LOG_INFO};
    glia__log(NULL, GLIA_LOG_ERROR, "nobody");
    glia__log(&(glia_logger){0}, GLIA_LOG_ERROR, "nobody");
    glia__log(&logger, GLIA_LOG_DEBUG, "dropped");
    CHECK_INT(log_lines, 0);
    glia__log(&logger, GLIA_LOG_WARNING, "%d of %s", 3, "four");
    CHECK_STR(logged, "level 2 3 of four");
    glia__log(&logger, GLIA_LOG_INFO, "%03000d", 1);
    CHECK_HAS(logged, "000...");
    CHECK_INT(log_lines, 2);
}

TEST(version) {
    char expected[32];
    snprintf(expected, sizeof expected, "%d.%d.%d", GLIA_VERSION_MAJOR, GLIA_VERSION_MINOR,
             GLIA_VERSION_PATCH);
    CHECK_STR(glia_version(), expected);
    glia_build_info info = glia_get_build_info();
    CHECK(info.cores >= 1);
    CHECK(info.compiler && info.isa && info.isa_widest && info.onednn && info.png && info.zlib && info.yaml &&
          info.json && info.curl);
#ifdef GLIA_HAVE_OPENMP
    CHECK_STR(info.threads, "openmp");
#else
    CHECK_STR(info.threads, "pthreads");
#endif
}

GLIA_CPU_CLONES(int, doubled, (int x), (x)) {
    return 2 * x;
}

TEST(isa) {
    CHECK(glia__isa() <= glia__isa_widest());
    CHECK_STR(glia_get_build_info().isa, glia__isa_name(glia__isa()));
    if (!glia__isa_forced()) CHECK_INT(glia__isa(), glia__isa_widest());
    CHECK_INT(doubled(21), 42);
}

TEST_MAIN(TEST_ENTRY(status_names), TEST_ENTRY(error_first_wins), TEST_ENTRY(error_text),
          TEST_ENTRY(error_long_text), TEST_ENTRY(allocation), TEST_ENTRY(grow), TEST_ENTRY(arena),
          TEST_ENTRY(text), TEST_ENTRY(text_json), TEST_ENTRY(text_html), TEST_ENTRY(text_numbers),
          TEST_ENTRY(nearest_word), TEST_ENTRY(dtypes), TEST_ENTRY(bf16), TEST_ENTRY(shapes),
          TEST_ENTRY(tensor_new), TEST_ENTRY(tensor_values), TEST_ENTRY(tensor_views),
          TEST_ENTRY(random_known_answers), TEST_ENTRY(random_distributions), TEST_ENTRY(random_independence),
          TEST_ENTRY(random_below), TEST_ENTRY(random_permutation), TEST_ENTRY(log), TEST_ENTRY(version),
          TEST_ENTRY(isa))
