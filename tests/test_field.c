/* Fields: parsing, defaults, bounds, printing and comparing, with the messages of everything refused. */
#include "test.h"

#include "core/field.h"
#include "failing_allocator.h"
#include "glia/types.h"

typedef struct options {
    int64_t units;
    double rate, scale;
    glia_bool bias;
    const char *name;
    int padding;
    int64_t kernel[2];
    glia_shape shape;
    int64_t memory;
} options;

static const glia_field *const fields = GLIA_FIELDS(
    {.name = "units",
     .kind = GLIA_FIELD_INT,
     .offset = offsetof(options, units),
     .min = 1,
     .max = 4096,
     .doc = "how many outputs"},
    {.name = "rate",
     .kind = GLIA_FIELD_FLOAT,
     .offset = offsetof(options, rate),
     .initial = "0.5",
     .min = 0,
     .max = 1},
    {.name = "scale", .kind = GLIA_FIELD_FLOAT, .offset = offsetof(options, scale), .initial = "1/255"},
    {.name = "bias", .kind = GLIA_FIELD_BOOL, .offset = offsetof(options, bias), .initial = "yes"},
    {.name = "name", .kind = GLIA_FIELD_STRING, .offset = offsetof(options, name), .initial = ""},
    {.name = "padding",
     .kind = GLIA_FIELD_CHOICE,
     .offset = offsetof(options, padding),
     .initial = "same",
     .choices = "valid|same|explicit"},
    {.name = "kernel",
     .kind = GLIA_FIELD_INTS,
     .offset = offsetof(options, kernel),
     .initial = "3",
     .count = 2,
     .min = 1,
     .max = 1e18},
    {.name = "shape", .kind = GLIA_FIELD_DIMS, .offset = offsetof(options, shape), .initial = ""},
    {.name = "memory", .kind = GLIA_FIELD_BYTES, .offset = offsetof(options, memory), .initial = "0"});

static glia_status parse(options *o, const char *text, glia_error *err) {
    return glia__fields_parse(fields, o, text, NULL, err);
}

TEST(defaults) {
    options o;
    memset(&o, 0xEE, sizeof o);
    glia__fields_init(fields, &o);
    CHECK_INT(o.units, 0); /* required: zero */
    CHECK_NEAR(o.rate, 0.5, 0);
    CHECK_NEAR(o.scale, 1.0 / 255, 0);
    CHECK_INT(o.bias, GLIA_YES);
    CHECK_STR(o.name, "");
    CHECK_INT(o.padding, 1);
    CHECK_INT(o.kernel[0] * 10 + o.kernel[1], 33);
    CHECK_INT(o.shape.rank, 0);
    options p = {.units = 7, .bias = GLIA_NO, .kernel = {5, 0}};
    glia__fields_fill(fields, &p);
    CHECK_INT(p.units, 7);
    CHECK_INT(p.bias, GLIA_NO);
    CHECK_NEAR(p.rate, 0.5, 0);
    CHECK_INT(p.kernel[0] * 10 + p.kernel[1], 50); /* given, if not wholly */
}

TEST(fill_illegal) {
    options o = {.bias = GLIA_NO};
    glia__fields_fill_illegal(fields, &o);
    CHECK_NEAR(o.rate, 0, 0); /* zero is a rate, and a choice */
    CHECK_INT(o.padding, 0);
    CHECK_INT(o.kernel[0], 3); /* no kernel is zero */
    CHECK_STR(o.name, "");
    CHECK_INT(o.bias, GLIA_NO);
    o.bias = GLIA_DEFAULT;
    glia__fields_fill_illegal(fields, &o);
    CHECK_INT(o.bias, GLIA_YES);
}

TEST(parse_all) {
    options o;
    glia_error err = {0};
    CHECK_OK(parse(&o,
                   "units=10 rate=1/4 scale=-2e-3  bias=false\tname=\"a \\\"b\\\" c\" padding=explicit "
                   "kernel=3,5 shape=1,-28,28\n",
                   &err),
             &err);
    CHECK_INT(o.units, 10);
    CHECK_NEAR(o.rate, 0.25, 0);
    CHECK_NEAR(o.scale, -2e-3, 0);
    CHECK_INT(o.bias, GLIA_NO);
    CHECK_INT(o.padding, 2);
    CHECK_INT(o.kernel[1], 5);
    glia_shape shape = GLIA_SHAPE(1, -28, 28);
    CHECK(glia_shape_equal(&o.shape, &shape));
    CHECK_OK(parse(&o, "units=1 rate=0 scale=inf", &err), &err);
    CHECK(isinf(o.scale));
}

TEST(bytes) {
    static const struct {
        const char *text, *printed;
        int64_t bytes;
    } cases[] = {{"80MB", "80MB", 80000000},
                 {"1.5GB", "1500MB", 1500000000},
                 {"1.5GiB", "1536MiB", 1610612736},
                 {"\"2 KB\"", "2KB", 2000},
                 {"4096", "4KiB", 4096},
                 {"123", "123", 123},
                 {"7B", "7", 7},
                 {"0", "0", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        options o;
        glia_error err = {0};
        char text[64];
        glia_text printed;
        snprintf(text, sizeof text, "units=1 memory=%s", cases[i].text);
        CHECK_OK(parse(&o, text, &err), &err);
        CHECK_INT(o.memory, cases[i].bytes);
        glia__text_init(&printed, NULL);
        glia__field_print(glia__field_find(fields, "memory"), &o, &printed);
        CHECK_STR(printed.data, cases[i].printed);
        glia__text_free(&printed);
    }
}

TEST(refused) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"units=0", "units: expected an integer from 1 to 4096, found '0'"},
        {"units=4097", "from 1 to 4096, found '4097'"},
        {"units=1.5", "expected an integer"},
        {"units=99999999999999999999", "found '99999999999999999999'"},
        {"units=", "found ''"},
        {"units=7x", "found '7x'"},
        {"units=1 rate=nan", "rate: expected a number from 0 to 1, found 'nan'"},
        {"units=1 rate=2", "found '2'"},
        {"units=1 rate=inf", "found 'inf'"},
        {"units=1 rate=1/0", "found '1/0'"},
        {"units=1 rate=1/2/3", "found '1/2/3'"},
        {"units=1 scale=1e999", "scale: expected a number, found '1e999'"},
        {"units=1 scale=0x10", "found '0x10'"},
        {"units=1 bias=maybe", "bias: expected yes or no, found 'maybe'"},
        {"units=1 padding=sane",
         "padding: expected valid, same or explicit, found 'sane' (did you mean 'same'?)"},
        {"units=1 padding=sam", "did you mean 'same'"},
        {"units=1 padding=|", "expected valid, same or explicit, found '|'"},
        {"units=1 kernel=3,3,3", "kernel: expected 2 integers of at least 1, or one for all, found '3,3,3'"},
        {"units=1 kernel=0", "found '0'"},
        {"units=1 kernel=3,", "found '3,'"},
        {"units=1 kernel=", "found ''"},
        {"units=1 shape=1,2,3,4,5,6,7,8,9", "shape: expected up to 8 integers with commas between them"},
        {"units=1 shape=1,,2", "found '1,,2'"},
        {"units=1 memory=80mb", "memory: expected a number of bytes such as 80MB or 1.5GB, found '80mb'"},
        {"units=1 memory=MB", "found 'MB'"},
        {"units=1 memory=-1MB", "found '-1MB'"},
        {"units=1 memory=1.2.3MB", "found '1.2.3MB'"},
        {"units=1 memory=9999999TB", "found '9999999TB'"},
        {"units=1 unit=2", "unknown name 'unit' (did you mean 'units'?)"},
        {"units=1 colour=2", "(known: units, rate, scale, bias, name, padding, kernel, shape, memory)"},
        {"units=1 units=2", "units: expected once, found twice"},
        {"units=1 alone", "expected name=value, found 'alone'"},
        {"=1", "expected name=value, found '=1'"},
        {"units=1 name=\"open", "quotes closed"},
        {"rate=0.5", "units: required but not given (how many outputs)"},
        {NULL, "units: required but not given"},
    };
    for (size_t i = 0; i < GLIA_COUNT(cases); i++) {
        options o;
        glia_error err = {0};
        CHECK_ERR(parse(&o, cases[i].text, &err), GLIA_INVALID_ARGUMENT, &err, cases[i].message);
    }
    char word[2000] = "units=1 name=";
    memset(word + strlen(word), 'x', sizeof word - strlen(word) - 1);
    word[sizeof word - 1] = '\0';
    options o;
    glia_error err = {0};
    CHECK_ERR(parse(&o, word, &err), GLIA_INVALID_ARGUMENT, &err, "at most 1023 characters");
}

TEST(failed_parse_changes_nothing) {
    options o = {.units = 3, .kernel = {1, 2}}, before = o;
    glia_error err = {0};
    const char *bad[] = {"units", "9999", "kernel", "7,x", "shape", "1,x", "rate", "5", "padding", "none"};
    for (size_t i = 0; i < GLIA_COUNT(bad); i += 2) {
        const glia_field *field = glia__field_find(fields, bad[i]);
        CHECK(glia__field_parse(field, &o, bad[i + 1], NULL, &err) != GLIA_OK);
        glia_error_clear(&err);
    }
    CHECK(glia__fields_equal(fields, &o, &before));
}

TEST(check) {
    options o;
    glia_error err = {0};
    CHECK_OK(parse(&o, "units=10", &err), &err);
    CHECK_OK(glia__fields_check(fields, &o, &err), &err);
    o.rate = NAN;
    CHECK_ERR(glia__fields_check(fields, &o, &err), GLIA_INVALID_ARGUMENT, &err,
              "rate: expected a number from 0 to 1, found 'nan'");
    o.rate = 1;
    o.padding = 3;
    CHECK_ERR(glia__fields_check(fields, &o, &err), GLIA_INVALID_ARGUMENT, &err, "found '3'");
    o.padding = 0;
    o.kernel[1] = -2;
    CHECK_ERR(glia__fields_check(fields, &o, &err), GLIA_INVALID_ARGUMENT, &err, "found '3,-2'");
    o.kernel[1] = 2;
    o.shape.rank = 9;
    CHECK(glia__fields_check(fields, &o, NULL) == GLIA_INVALID_ARGUMENT);
    CHECK_ERR(glia__fields_check(fields, &o, &err), GLIA_INVALID_ARGUMENT, &err, "found '9 dimensions'");
    o.shape.rank = 0;
    o.units = 0;
    CHECK_ERR(glia__fields_check(fields, &o, &err), GLIA_INVALID_ARGUMENT, &err, "units: required");
}

static void check_print(const options *o, bool all, const char *expected) {
    glia_text text;
    glia__text_init(&text, NULL);
    glia__fields_print(fields, o, all, &text);
    CHECK_STR(text.data, expected);
    glia__text_free(&text);
}

TEST(print) {
    options o;
    glia_error err = {0};
    CHECK_OK(parse(&o, "units=10", &err), &err);
    check_print(&o, false, "units=10");
    check_print(
        &o, true,
        "units=10 rate=0.5 scale=0.00392156862745098 bias=yes name= padding=same kernel=3,3 shape= memory=0");
    o.kernel[1] = 5;
    o.name = "a \"b\\";
    o.shape = GLIA_SHAPE(1, 28);
    o.bias = GLIA_NO;
    check_print(&o, false, "units=10 bias=no name=\"a \\\"b\\\\\" kernel=3,5 shape=1,28");
    o.name = NULL;
    o.scale = -INFINITY;
    check_print(&o, false, "units=10 scale=-inf bias=no kernel=3,5 shape=1,28");
}

TEST(print_reads_back) {
    const char *texts[] = {"units=1", "units=4096 rate=1/3 scale=1e-300 bias=no name=\"x y\" kernel=7,1",
                           "units=2 padding=valid shape=3,-1 scale=inf name=\"tab\tq\\\"\""};
    for (size_t i = 0; i < GLIA_COUNT(texts); i++) {
        for (int all = 0; all < 2; all++) {
            options first, second;
            glia_error err = {0};
            glia_arena arena;
            glia_text text;
            glia__arena_init(&arena, NULL);
            glia__text_init(&text, NULL);
            CHECK_OK(glia__fields_parse(fields, &first, texts[i], &arena, &err), &err);
            glia__fields_print(fields, &first, all, &text);
            CHECK_OK(glia__fields_parse(fields, &second, text.data, &arena, &err), &err);
            CHECK(glia__fields_equal(fields, &first, &second));
            glia__text_free(&text);
            glia__arena_free(&arena);
        }
    }
}

TEST(equal) {
    options a, b;
    glia__fields_init(fields, &a);
    glia__fields_init(fields, &b);
    CHECK(glia__fields_equal(fields, &a, &b));
    char name[] = "n";
    a.name = "n";
    b.name = name; /* by content */
    a.scale = b.scale = NAN;
    CHECK(glia__fields_equal(fields, &a, &b));
    b.name = NULL;
    CHECK(!glia__fields_equal(fields, &a, &b));
    b.name = "n";
    b.kernel[1]++;
    CHECK(!glia__fields_equal(fields, &a, &b));
}

TEST(memory) {
    FOR_EACH_FAILURE(memory) {
        options o;
        glia_error err = {0};
        glia_arena arena;
        char text[] = "units=3 name=kept";
        glia__arena_init(&arena, &memory.allocator);
        glia_status status = glia__fields_parse(fields, &o, text, &arena, &err);
        CHECK_FAILED_ONCE(memory, status);
        memset(text, 'z', sizeof text);
        if (status == GLIA_OK) CHECK_STR(o.name, "kept");
        glia__arena_free(&arena);
    }
}

TEST(no_fields) {
    char hint[64];
    int nothing = 0;
    glia_error err = {0};
    CHECK_OK(glia__fields_parse(NULL, &nothing, "", NULL, &err), &err);
    CHECK_ERR(glia__fields_parse(NULL, &nothing, "a=1", NULL, &err), GLIA_INVALID_ARGUMENT, &err,
              "unknown name 'a' (there are none)");
    CHECK_OK(glia__fields_check(NULL, &nothing, &err), &err);
    CHECK(glia__fields_equal(NULL, &nothing, &nothing));
    CHECK(glia__field_find(fields, NULL) == NULL);
    glia__field_hint(fields, "colour", hint, 16); /* cut, and terminated */
    CHECK_INT(strlen(hint), 15);
}

TEST_MAIN(TEST_ENTRY(defaults), TEST_ENTRY(fill_illegal), TEST_ENTRY(parse_all), TEST_ENTRY(bytes),
          TEST_ENTRY(refused), TEST_ENTRY(failed_parse_changes_nothing), TEST_ENTRY(check), TEST_ENTRY(print),
          TEST_ENTRY(print_reads_back), TEST_ENTRY(equal), TEST_ENTRY(memory), TEST_ENTRY(no_fields))
