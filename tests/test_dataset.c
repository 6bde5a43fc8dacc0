/* Data sets: wrapping, parts, splits, transforms, named sets. */
#include "test.h"

#include "data/dataset.h"
#include "failing_allocator.h"
#include "glia/data.h"
#include "glia/random.h"
#include "scratch.h"

enum { MOST = 1000 };
static float numbers[MOST]; /* example i is the number i */
static int64_t labels[MOST];

/* `count` examples, of which example i has class i % classes but every tenth class 0. */
static glia_dataset *open_numbers(int64_t count, int64_t classes) {
    glia_error err = {0};
    glia_dataset *d = NULL;
    for (int64_t i = 0; i < count; i++) {
        numbers[i] = (float)i;
        labels[i] = i % 10 ? i % classes : 0;
    }
    glia_tensor x = glia_tensor_wrap(numbers, GLIA_F32, GLIA_SHAPE(count, 1));
    glia_tensor y = glia_tensor_wrap(labels, GLIA_I64, GLIA_SHAPE(count));
    CHECK_OK(glia_dataset_wrap(&d, &x, &y, classes, &err), &err);
    return d;
}

static int64_t count_of(const glia_dataset *d) {
    return glia_dataset_get_info(d)->count;
}

/* Adds to `seen` which examples `d` holds, and to `classes` how many of each class. */
static void look(const glia_dataset *d, int *seen, int64_t *classes) {
    static float x[MOST];
    static int64_t y[MOST];
    glia_error err = {0};
    CHECK_OK(glia_dataset_gather(d, NULL, count_of(d), x, y, &err), &err);
    for (int64_t i = 0; i < count_of(d); i++) {
        seen[(int)x[i]]++;
        if (classes) classes[y[i]]++;
        CHECK_INT(y[i], labels[(int)x[i]]); /* inputs and targets stay together */
    }
}

static glia_status split(const glia_dataset *d, double second, bool stratified, uint64_t seed,
                         glia_dataset **rest, glia_dataset **part, glia_error *err) {
    return glia_dataset_split(rest, part, d, second, stratified, seed, err);
}

TEST(split_sizes) {
    static const struct {
        double second;
        int64_t part;
    } cases[] = {{0.1, 100}, {0.25, 250},   {1, 1},      {300, 300},
                 {999, 999}, {0.9994, 999}, {0.0005, 1}, {0.1234, 123}};
    glia_dataset *d = open_numbers(1000, 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int stratified = 0; stratified < 2; stratified++) {
            glia_error err = {0};
            glia_dataset *rest, *part;
            int seen[MOST] = {0}, once = 0;
            CHECK_OK(split(d, cases[i].second, stratified, 5, &rest, &part, &err), &err);
            CHECK_INT(count_of(part), cases[i].part);
            CHECK_INT(count_of(rest), 1000 - cases[i].part);
            look(rest, seen, NULL);
            look(part, seen, NULL);
            for (int k = 0; k < 1000; k++) once += seen[k] == 1; /* every example is in one of the two */
            CHECK_INT(once, 1000);
            glia_dataset_free(rest);
            glia_dataset_free(part);
        }
    glia_dataset_free(d);
}

TEST(split_refused) {
    static const struct {
        double second;
        const char *message;
    } cases[] = {{0, "a part must be a fraction above 0 or a count, found 0"},
                 {-1, "found -1"},
                 {NAN, "nan"},
                 {10, "cannot split 10 of 10 examples off; some must stay on both sides"},
                 {1e300, "cannot split 9000000000000000 of 10"},
                 {0.01, "cannot split 0 of 10"},
                 {0.99, "cannot split 10 of 10"}};
    glia_dataset *d = open_numbers(10, 2), *rest, *part;
    glia_error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_ERR(split(d, cases[i].second, false, 1, &rest, &part, &err), GLIA_INVALID_ARGUMENT, &err,
                  cases[i].message);
        CHECK(!rest && !part);
    }
    glia_dataset_free(d);
    glia_tensor x = glia_tensor_wrap(numbers, GLIA_F32, GLIA_SHAPE(10, 1));
    CHECK_OK(glia_dataset_wrap(&d, &x, &x, 0, &err), &err);
    CHECK_ERR(split(d, 0.5, true, 1, &rest, &part, &err), GLIA_INVALID_ARGUMENT, &err,
              "a stratified split needs classes as targets");
    glia_dataset_free(d);
}

TEST(split_stratified) {
    glia_error err = {0};
    for (int64_t classes = 2; classes <= 7; classes++) {
        glia_dataset *d = open_numbers(997, classes), *rest, *part;
        int64_t all[7] = {0}, some[7] = {0};
        int seen[MOST] = {0};
        look(d, seen, all);
        CHECK_OK(split(d, 0.15, true, 9, &rest, &part, &err), &err);
        look(part, seen, some);
        for (int64_t c = 0; c < classes; c++) CHECK(fabs((double)some[c] - (double)all[c] * 150 / 997) < 1);
        CHECK_INT(count_of(part), 150);
        glia_dataset_free(rest);
        glia_dataset_free(part);
        glia_dataset_free(d);
    }
    glia_dataset *d = open_numbers(3, 3), *rest, *part; /* no class has a whole example to give */
    CHECK_OK(split(d, 1, true, 1, &rest, &part, &err), &err);
    CHECK_INT(count_of(part), 1);
    glia_dataset_free(rest);
    glia_dataset_free(part);
    glia_dataset_free(d);
}

TEST(split_by_seed) {
    glia_error err = {0};
    glia_dataset *d = open_numbers(200, 4);
    for (int stratified = 0; stratified < 2; stratified++) {
        int chosen[3][MOST] = {{0}};
        static const uint64_t seeds[] = {1, 1, 2};
        for (int i = 0; i < 3; i++) {
            glia_dataset *rest, *part;
            CHECK_OK(split(d, 50, stratified, seeds[i], &rest, &part, &err), &err);
            look(part, chosen[i], NULL);
            glia_dataset_free(rest);
            glia_dataset_free(part);
        }
        CHECK(memcmp(chosen[0], chosen[1], sizeof *chosen) == 0);
        CHECK(memcmp(chosen[0], chosen[2], sizeof *chosen) != 0);
        int first = 0; /* drawn, not cut off at an end */
        for (int k = 0; k < 50; k++) first += chosen[0][k];
        CHECK(first > 3 && first < 30);
    }
    glia_dataset_free(d);
}

TEST(parts) {
    glia_error err = {0};
    static const int64_t order[] = {7, 3, 7};
    glia_dataset *d = open_numbers(10, 2), *part, *deeper, *none;
    CHECK_OK(glia_dataset_take(&part, d, order, 3, &err), &err);
    CHECK_OK(glia_dataset_take(&deeper, part, (const int64_t[]){1, 0}, 2, &err), &err);
    CHECK_ERR(glia_dataset_take(&none, part, (const int64_t[]){3}, 1, &err), GLIA_INVALID_ARGUMENT, &err,
              "example 3 is out of range 0 … 2");
    CHECK(none == NULL);
    glia_dataset_free(d); /* a part keeps the data alive */
    glia_dataset_free(part);
    float x[2];
    int64_t y[2];
    CHECK_OK(glia_dataset_gather(deeper, NULL, 2, x, y, &err), &err);
    CHECK(x[0] == 3 && x[1] == 7 && y[0] == 1);
    CHECK_ERR(glia_dataset_gather(deeper, (const int64_t[]){-1}, 1, x, y, &err), GLIA_INVALID_ARGUMENT, &err,
              "example -1 is out of range 0 … 1");
    glia_dataset_free(deeper);
}

TEST(wrapped) {
    glia_error err = {0};
    glia_dataset *d;
    float x[6] = {0}, values[3] = {0};
    double doubles[3] = {0};
    int32_t narrow[3] = {0, 4, 1};
    int64_t far[3] = {0, INT64_MAX, 1}, negative[3] = {0, 1, -1};
    glia_tensor inputs = glia_tensor_wrap(x, GLIA_F32, GLIA_SHAPE(3, 2)), targets;
    glia_tensor empty = glia_tensor_wrap(x, GLIA_F32, GLIA_SHAPE(0, 2));
    glia_tensor hollow = glia_tensor_wrap(x, GLIA_F32, GLIA_SHAPE(3, 0));
    glia_tensor scalar = glia_tensor_wrap(x, GLIA_F32, (glia_shape){0});
    targets = glia_tensor_wrap(narrow, GLIA_I32, GLIA_SHAPE(3));
    CHECK_OK(glia_dataset_wrap(&d, &inputs, &targets, 0, &err), &err);
    CHECK_INT(glia_dataset_get_info(d)->classes, 5); /* the largest label plus one */
    glia_dataset_free(d);
    CHECK_ERR(glia_dataset_wrap(&d, &inputs, &targets, 4, &err), GLIA_BAD_DATA, &err,
              "label 4 of example 1 is out of range 0 … 3");
    targets = glia_tensor_wrap(negative, GLIA_I64, GLIA_SHAPE(3));
    CHECK_ERR(glia_dataset_wrap(&d, &inputs, &targets, 0, &err), GLIA_BAD_DATA, &err,
              "label -1 of example 2 is out of range 0 … 1");
    targets = glia_tensor_wrap(far, GLIA_I64, GLIA_SHAPE(3));
    CHECK_ERR(glia_dataset_wrap(&d, &inputs, &targets, 0, &err), GLIA_BAD_DATA, &err,
              "label 9223372036854775807 of example 1 is out of range 0 … 16777215");
    targets = glia_tensor_wrap(values, GLIA_F32, GLIA_SHAPE(2));
    CHECK_ERR(glia_dataset_wrap(&d, &inputs, &targets, 0, &err), GLIA_BAD_DATA, &err,
              "3 inputs but 2 targets");
    targets = glia_tensor_wrap(doubles, GLIA_F64, GLIA_SHAPE(3));
    CHECK_ERR(glia_dataset_wrap(&d, &inputs, &targets, 0, &err), GLIA_INVALID_ARGUMENT, &err,
              "expected targets of f32 or class numbers, found f64");
    targets.data = NULL;
    CHECK_ERR(glia_dataset_wrap(&d, &inputs, &targets, 0, &err), GLIA_INVALID_ARGUMENT, &err,
              "targets have no data");
    CHECK_ERR(glia_dataset_wrap(&d, &empty, NULL, 0, &err), GLIA_BAD_DATA, &err, "the data set is empty");
    CHECK_ERR(glia_dataset_wrap(&d, &hollow, NULL, 0, &err), GLIA_BAD_DATA, &err,
              "its 3 examples hold no numbers");
    CHECK_ERR(glia_dataset_wrap(&d, &scalar, NULL, 0, &err), GLIA_INVALID_ARGUMENT, &err,
              "at least one dimension");
    CHECK(d == NULL);
}

TEST(transforms) {
    glia_error err = {0};
    glia_dataset *d, *part;
    uint8_t bytes[2][2][2] = {{{0, 10}, {5, 5}},
                              {{20, 30}, {5, 5}}}; /* two examples, two channels, two numbers */
    float x[8], mean[2] = {1, 2}, std[2] = {2, 4};
    glia_tensor inputs = glia_tensor_wrap(bytes, GLIA_U8, GLIA_SHAPE(2, 2, 2));
    CHECK_OK(glia_dataset_wrap(&d, &inputs, NULL, 0, &err), &err);
    CHECK_OK(glia_dataset_set_transform(d, 0.5, mean, std, &err), &err);
    CHECK_OK(glia_dataset_gather(d, NULL, 2, x, NULL, &err), &err);
    static const float expected[] = {-0.5f, 2, 0.125f, 0.125f, 4.5f, 7, 0.125f, 0.125f};
    for (int i = 0; i < 8; i++) CHECK_NEAR(x[i], expected[i], 1e-6);
    CHECK_OK(glia_dataset_take(&part, d, (const int64_t[]){1}, 1, &err), &err); /* parts keep it */
    CHECK_OK(glia_dataset_set_transform(d, 1, NULL, NULL, &err), &err);
    CHECK_OK(glia_dataset_gather(d, NULL, 1, x, NULL, &err), &err);
    CHECK_NEAR(x[1], 10, 0);
    CHECK_OK(glia_dataset_gather(part, NULL, 1, x, NULL, &err), &err);
    CHECK_NEAR(x[1], 7, 1e-6);
    glia_dataset_free(part);
    glia_dataset_free(d);
}

TEST(normalized) {
    scratch_make();
    glia_error err = {0};
    glia_dataset *d;
    char source[600];
    float x[8];
    snprintf(source, sizeof source, "csv:%s", scratch_text("t.csv", "1,7\n2,7\n3,7\n6,7\n"));
    CHECK_OK(glia_dataset_open_with(&d, source,
                                    (glia_dataset_options){.label = "none", .normalize = GLIA_YES}, &err),
             &err);
    const glia_dataset_info *info = glia_dataset_get_info(d);
    CHECK_NEAR(info->mean[0], 3, 1e-6);
    CHECK_NEAR(info->std[0], sqrt(14.0 / 4), 1e-6);
    CHECK_NEAR(info->std[1], 1, 0); /* a constant column is not divided by zero */
    CHECK_OK(glia_dataset_gather(d, NULL, 4, x, NULL, &err), &err);
    CHECK_NEAR(x[6], 3 / sqrt(3.5), 1e-6);
    CHECK_NEAR(x[7], 0, 0);
    glia_dataset_free(d);
    scratch_remove();
}

TEST(sources) {
    glia_error err = {0};
    glia_dataset *d;
    const glia_dataset_options options = {.download = GLIA_NO, .data_dir = "/nonexistent"};
    CHECK_ERR(glia_dataset_open_with(&d, "mnits:train", options, &err), GLIA_NOT_FOUND, &err,
              "unknown data source 'mnits' (did you mean mnist?)");
    CHECK_ERR(glia_dataset_open_with(&d, "table.csv", options, &err), GLIA_NOT_FOUND, &err,
              "for that file write csv:table.csv");
    CHECK_ERR(glia_dataset_open_with(&d, "zzz:1", options, &err), GLIA_NOT_FOUND, &err, "(known: ");
    CHECK_ERR(glia_dataset_open_with(&d, "mnist:valid", options, &err), GLIA_NOT_FOUND, &err,
              "mnist has no part 'valid' (known: train test)");
    CHECK_ERR(glia_dataset_open_with(&d, "csv:", options, &err), GLIA_INVALID_ARGUMENT, &err,
              "expected csv:FILE");
    CHECK(glia_dataset_open("csv:/nonexistent/t.csv", &err) == NULL);
    CHECK_HAS(err.message, "/nonexistent/t.csv: No such file");
    glia_error_clear(&err);
    char where[64];
    CHECK_ERR(
        glia_dataset_fetch("fashion", options, where, sizeof where, &err), GLIA_NOT_FOUND, &err,
        "unknown data set 'fashion' (known: mnist, fashion_mnist, cifar10, cifar10-jpeg, tinyshakespeare)");
    CHECK_STR(glia_dataset_list(0)->name, "mnist");
    CHECK(glia_dataset_list(99) == NULL);
}

/* A small "mnist" in a folder whose name has a comma. */
static void put_small_mnist(const char *folder, unsigned char last_label) {
    static const char *const names[] = {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                                        "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"};
    const unsigned char pictures[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9};
    const unsigned char classes[] = {0, 0, 8, 1, 0, 0, 0, 2, 3, last_label};
    mkdir(scratch_path(folder), 0777);
    for (int i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        scratch_put(name, i % 2 ? classes : pictures, i % 2 ? sizeof classes : sizeof pictures);
    }
}

static void remove_small_mnist(const char *folder) {
    char outer[sizeof scratch];
    memcpy(outer, scratch, sizeof scratch);
    snprintf(scratch, sizeof scratch, "%.60s/%s", outer, folder);
    scratch_remove();
    memcpy(scratch, outer, sizeof scratch);
}

TEST(named) {
    scratch_make();
    glia_error err = {0};
    glia_dataset *d;
    char data_dir[256];
    mkdir(scratch_path("a,b"), 0777);
    snprintf(data_dir, sizeof data_dir, "%s/a,b", scratch);
    put_small_mnist("a,b/mnist", 9);
    glia_dataset_options options = {.data_dir = data_dir, .download = GLIA_NO};
    CHECK_OK(glia_dataset_open_with(&d, "mnist:train", options, &err), &err);
    CHECK_INT(glia_dataset_get_info(d)->count, 2);
    CHECK_INT(glia_dataset_get_info(d)->classes, 10); /* all of the set's, not those that occur */
    CHECK_STR(glia_dataset_get_info(d)->name, "mnist:train");
    CHECK_STR(glia_dataset_get_info(d)->class_names[9], "9");
    glia_dataset_free(d);
    FOR_EACH_FAILURE(memory) {
        glia_error failure = {0};
        options.allocator = &memory.allocator;
        CHECK_FAILED_ONCE(memory, glia_dataset_open_with(&d, "mnist:test", options, &failure));
        glia_dataset_free(d);
    }
    put_small_mnist("a,b/mnist", 10);
    options.allocator = NULL;
    CHECK_ERR(glia_dataset_open_with(&d, "mnist:train", options, &err), GLIA_BAD_DATA, &err,
              "label 10 of example 1 is out of range 0 … 9");
    remove_small_mnist("a,b/mnist");
    rmdir(scratch_path("a,b"));
    scratch_remove();
}

/* The real files, against what is known of them. */
TEST(mnist) {
    const char *folder = getenv("GLIA_DATA");
    char path[600];
    snprintf(path, sizeof path, "%s/mnist/train-images-idx3-ubyte.gz", folder ? folder : "");
    if (!folder || access(path, R_OK) != 0) SKIP("GLIA_DATA names no folder with mnist");
    glia_error err = {0};
    glia_dataset *d;
    static const int64_t counts[] = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};
    int64_t found[10] = {0}, first[] = {5, 0, 4, 1, 9};
    CHECK_OK(glia_dataset_open_with(&d, "mnist:train", (glia_dataset_options){.normalize = GLIA_YES}, &err),
             &err);
    const glia_dataset_info *info = glia_dataset_get_info(d);
    CHECK_INT(info->count, 60000);
    CHECK_NEAR(info->mean[0], 0.1307, 5e-5);
    CHECK_NEAR(info->std[0], 0.3081, 5e-5);
    for (int64_t i = 0; i < info->count; i++) {
        static float x[28 * 28];
        int64_t y;
        CHECK_OK(glia_dataset_gather(d, &i, 1, x, &y, &err), &err);
        found[y]++;
        if (i < 5) CHECK_INT(y, first[i]);
    }
    for (int i = 0; i < 10; i++) CHECK_INT(found[i], counts[i]);
    glia_dataset_free(d);
}

static void keep_line(void *ctx, glia_log_level level, const char *line) {
    if (level == GLIA_LOG_WARNING) snprintf(ctx, 512, "%s", line);
}

/* Without a network the set of garments stands in for the digits, and says so. */
TEST(substitute) {
    scratch_make();
    glia_error err = {0};
    glia_dataset *d;
    char data_dir[256], warning[512] = "";
    const glia_logger logger = {.line = keep_line, .ctx = warning};
    snprintf(data_dir, sizeof data_dir, "%s", scratch);
    setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
    put_small_mnist("fashion_mnist", 9);
    glia_dataset_options options = {.data_dir = data_dir, .download = GLIA_NO, .logger = &logger};
    CHECK_OK(glia_dataset_open_with(&d, "mnist:test", options, &err), &err);
    CHECK_STR(glia_dataset_get_info(d)->name, "fashion_mnist:test");
    CHECK_STR(glia_dataset_get_info(d)->class_names[9], "Ankle boot");
    CHECK_HAS(warning, "mnist is not in $GLIA_DATA nor in the cache; using fashion_mnist from ");
    CHECK_HAS(warning, "in place of mnist");
    CHECK_INT(err.status, GLIA_OK);
    glia_dataset_free(d);
    remove_small_mnist("fashion_mnist");
    unsetenv("XDG_CACHE_HOME");
    scratch_remove();
}

TEST(memory) {
    scratch_make();
    char source[600];
    snprintf(source, sizeof source, "csv:%s", scratch_text("t.csv", "1,a\n2,b\n3,a\n6,b\n"));
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_dataset *d, *rest = NULL, *part = NULL;
        glia_dataset_options options = {.normalize = GLIA_YES, .allocator = &memory.allocator};
        glia_status status = glia_dataset_open_with(&d, source, options, &err);
        if (status == GLIA_OK) status = glia_dataset_split(&rest, &part, d, 2, true, 1, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_dataset_free(part);
        glia_dataset_free(rest);
        glia_dataset_free(d);
    }
    /* A transform that could not be set leaves the old one, and can be set again. */
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_dataset *d;
        float mean[1] = {1}, std[1] = {2};
        glia_status status =
            glia_dataset_open_with(&d, source, (glia_dataset_options){.allocator = &memory.allocator}, &err);
        if (status == GLIA_OK) {
            status = glia_dataset_set_transform(d, 1, mean, std, &err);
            if (status != GLIA_OK) CHECK(glia_dataset_get_info(d)->mean == NULL);
            glia_error_clear(&err);
            CHECK_OK(glia_dataset_set_transform(d, 1, mean, std, &err), &err);
        }
        CHECK_FAILED_ONCE(memory, status);
        glia_dataset_free(d);
    }
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(split_sizes), TEST_ENTRY(split_refused), TEST_ENTRY(split_stratified),
          TEST_ENTRY(split_by_seed), TEST_ENTRY(parts), TEST_ENTRY(wrapped), TEST_ENTRY(transforms),
          TEST_ENTRY(normalized), TEST_ENTRY(sources), TEST_ENTRY(named), TEST_ENTRY(substitute),
          TEST_ENTRY(mnist), TEST_ENTRY(memory))
