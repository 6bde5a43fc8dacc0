/* test_run.c: a whole run through the library: trained, opened, used; and want of memory at any moment of it. */
#include "test.h"

#include <unistd.h>

#include "core/file.h"
#include "failing_allocator.h"
#include "recipe/recipe.h"

static char folder[128], model_file[160], table[160], images[160], labels[160], run_dir[160];

/* A folder of this test's own, with a model file and a table for it: two columns, and which is larger, or by how much. */
static void make_files(const char *model, const char *data) {
    char text[4000];
    size_t used = 0;
    glia_error err = {0};
    snprintf(folder, sizeof folder, "%s/glia_test_run_%ld", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (long)getpid());
    snprintf(model_file, sizeof model_file, "%s/model.yaml", folder);
    snprintf(table, sizeof table, "%s/table.csv", folder);
    snprintf(run_dir, sizeof run_dir, "%s/run", folder);
    CHECK_OK(glia__make_folders(folder, &err), &err);
    for (int i = 0; i < 24; i++) {
        int a = i % 5, b = i % 7;
        if (strstr(data, "values"))
            used += (size_t)snprintf(text + used, sizeof text - used, "%d,%d,%d\n", a, b, a - b);
        else
            used += (size_t)snprintf(text + used, sizeof text - used, "%d,%d,%s\n", a, b,
                                     a > b ? "left" : "right");
    }
    CHECK_OK(glia__file_write(table, text, used, &err), &err);
    used = (size_t)snprintf(text, sizeof text, "data: {source: \"csv:%s\"%s}\n%s", table, data, model);
    CHECK_OK(glia__file_write(model_file, text, used, &err), &err);
}

/* Pictures in which nothing can be learnt, so that there are mistakes to show. */
static void make_pictures(const char *model) {
    enum { COUNT = 24, SIDE = 4 };
    unsigned char image_bytes[16 + COUNT * SIDE * SIDE] = {0, 0, 8, 3,    0, 0, 0, COUNT,
                                                           0, 0, 0, SIDE, 0, 0, 0, SIDE};
    unsigned char label_bytes[8 + COUNT] = {0, 0, 8, 1, 0, 0, 0, COUNT};
    char text[800];
    glia_error err = {0};
    make_files(model, "");
    snprintf(images, sizeof images, "%s/images.idx", folder);
    snprintf(labels, sizeof labels, "%s/labels.idx", folder);
    for (int i = 0; i < COUNT; i++) label_bytes[8 + i] = (unsigned char)(i % 2);
    for (int i = 0; i < COUNT * SIDE * SIDE; i++)
        image_bytes[16 + i] = (unsigned char)(i % (SIDE * SIDE) * 16);
    CHECK_OK(glia__file_write(images, image_bytes, sizeof image_bytes, &err), &err);
    CHECK_OK(glia__file_write(labels, label_bytes, sizeof label_bytes, &err), &err);
    int used = snprintf(text, sizeof text, "data: {source: \"idx:%s,%s\", split: {test: 8}}\n%s", images,
                        labels, model);
    CHECK_OK(glia__file_write(model_file, text, (size_t)used, &err), &err);
}

static void remove_files(void) {
    static const char *const files[] = {"last.safetensors", "best.safetensors", "metrics.jsonl",
                                        "report.html",      "log.txt",          "config.yaml"};
    char path[256];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", run_dir, files[i]);
        unlink(path);
    }
    rmdir(run_dir);
    unlink(table);
    unlink(images);
    unlink(labels);
    unlink(model_file);
    CHECK_INT(rmdir(folder), 0); /* nothing else was left behind */
}

#define CLASSES                                                                                       \
    "model: [{dense: {units: 4, activation: relu}}, {dense: 2}]\ntrain: {epochs: 2, batch_size: 8}\n" \
    "optimizer: {adam: {learning_rate: 0.1}}\n"
#define NUMBERS "model: [{dense: {units: 4, activation: relu}}, {dense: 1}]\ntrain: {epochs: 1}\n"

static glia_status train(const glia_allocator *allocator, bool resume, glia_run_result *result,
                         glia_error *err) {
    glia_recipe *recipe;
    GLIA_TRY(glia_recipe_load(&recipe, model_file, NULL, 0, allocator, err));
    glia_status status = glia_recipe_train(
        recipe, (glia_run_options){.dir = run_dir, .resume = resume, .force = !resume, .error = err}, result);
    glia_recipe_free(recipe);
    return status;
}

static glia_status use(const glia_allocator *allocator, glia_error *err) {
    glia_run run;
    glia_tensor inputs = {.data = NULL};
    float p[24][2];
    GLIA_TRY(glia_run_open(&run, run_dir, allocator, err));
    glia_status status = glia_run_read(&run, table, false, &inputs, NULL, err);
    glia_tensor outputs = glia_tensor_wrap(p, GLIA_F32, GLIA_SHAPE(24, 2));
    if (status == GLIA_OK) status = glia_predict(run.model, &inputs, true, &outputs, err);
    for (int i = 0; i < 24 && status == GLIA_OK; i++) CHECK_NEAR(p[i][0] + p[i][1], 1, 1e-6);
    glia_tensor_free(&inputs);
    glia_run_close(&run);
    return status;
}

TEST(train_and_use) {
    glia_error err = {0};
    glia_run_result result;
    make_files(CLASSES, ", split: {validation: 4, test: 4}");
    CHECK_OK(train(NULL, false, &result, &err), &err);
    CHECK_STR(result.dir, run_dir);
    CHECK_INT(result.epochs, 2);
    CHECK_STR(result.evaluated, "test");
    CHECK_INT(result.report.examples, 4);
    CHECK_OK(use(NULL, &err), &err);
    CHECK_OK(train(NULL, true, &result, &err), &err); /* nothing is left to train */
    CHECK_INT(result.epochs, 2);
    remove_files();
}

/* What the run says of its 24 pictures, or of their mirror images, in its own pixels. */
static void predict_pictures(glia_run *run, bool mirrored, float p[24][2]) {
    glia_error err = {0};
    glia_tensor inputs, outputs = glia_tensor_wrap(p, GLIA_F32, GLIA_SHAPE(24, 2));
    CHECK_OK(glia_run_read(run, images, false, &inputs, NULL, &err), &err);
    for (float *row = inputs.data; mirrored && row < (float *)inputs.data + 24 * 4 * 4; row += 4)
        for (int x = 0; x < 2; x++) {
            const float left = row[x];
            row[x] = row[3 - x];
            row[3 - x] = left;
        }
    CHECK_OK(glia_predict(run->model, &inputs, false, &outputs, &err), &err);
    glia_tensor_free(&inputs);
}

/* With a shared layer, a state and a network without a name. */
TEST(test_time_augmentation) {
    glia_error err = {0};
    glia_run_result result;
    glia_run run;
    float plain[24][2], mirrored[24][2], mean[24][2];
    make_pictures(
        "model: [conv2d: {filters: 1, kernel: 3, padding: same, name: a}, conv2d: {share: a}, batch_norm, "
        "flatten, {dense: {units: 2, activation: softmax}}]\ntrain: {epochs: 1}\n");
    CHECK_OK(train(NULL, false, &result, &err), &err);
    CHECK_OK(glia_run_open(&run, run_dir, NULL, &err), &err);
    predict_pictures(&run, false, plain);
    predict_pictures(&run, true, mirrored);
    const int64_t params = glia_model_param_count(run.model);
    CHECK_OK(glia_run_average_mirrored(&run, &err), &err);
    CHECK_OK(glia_run_average_mirrored(&run, &err), &err); /* again: nothing more */
    CHECK_INT(glia_model_param_count(run.model), params);
    predict_pictures(&run, false, mean);
    for (int i = 0; i < 24; i++)
        for (int c = 0; c < 2; c++) CHECK_NEAR(mean[i][c], (plain[i][c] + mirrored[i][c]) / 2, 1e-5);
    CHECK(fabsf(plain[1][0] - mirrored[1][0]) > 1e-4f);
    glia_run_close(&run);
    remove_files();
}

TEST(test_time_augmentation_refused) {
    glia_error err = {0};
    glia_run_result result;
    glia_run run;
    make_files(CLASSES, "");
    CHECK_OK(train(NULL, false, &result, &err), &err);
    CHECK_OK(glia_run_open(&run, run_dir, NULL, &err), &err);
    CHECK_ERR(glia_run_average_mirrored(&run, &err), GLIA_UNSUPPORTED, &err, "expected a model of pictures");
    glia_run_close(&run);
    remove_files();
}

/* What is missing at prediction becomes what it became in training: the mean of the training table, which after the
 * normalisation is 0, not that of the few rows to predict. */
TEST(missing_values) {
    static const char rows[] = "1,10,left\n?,20,right\n2,10,left\n6,20,right\n",
                      few[] = "?,20,left\n100,,right\n";
    glia_error err = {0};
    glia_run_result result;
    glia_run run;
    glia_tensor inputs;
    make_files(CLASSES, ", missing: mean, normalize: yes");
    CHECK_OK(glia__file_write(table, rows, sizeof rows - 1, &err), &err);
    CHECK_OK(train(NULL, false, &result, &err), &err);
    CHECK_OK(glia__file_write(table, few, sizeof few - 1, &err), &err);
    CHECK_OK(glia_run_open(&run, run_dir, NULL, &err), &err);
    CHECK_OK(glia_run_read(&run, table, false, &inputs, NULL, &err), &err);
    const float *x = inputs.data;
    CHECK_NEAR(x[0], 0, 1e-6); /* the mean of 1 2 6 */
    CHECK_NEAR(x[1], 1, 1e-6); /* 15 ± 5 */
    CHECK_NEAR(x[3], 0, 1e-6);
    glia_tensor_free(&inputs);
    glia_run_close(&run);
    remove_files();
}

/* Rows of the gap table: a value that is missing in every third, and the number of the row. */
enum { GAP_ROWS = 60 };
static bool gap_at(int64_t row) {
    return row % 3 == 0;
}
static void write_gap_table(int factor) {
    char text[4000];
    size_t used = 0;
    glia_error err = {0};
    for (int i = 0; i < GAP_ROWS; i++) {
        char value[32] = "?";
        if (!gap_at(i)) snprintf(value, sizeof value, "%d", factor * i * i);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s,%d,%s\n", value, i, i % 2 ? "a" : "b");
    }
    CHECK_OK(glia__file_write(table, text, used, &err), &err);
}

/* The number of the row, from its normalised second feature. */
static int64_t row_of(const glia_dataset_info *info, const float *x) {
    return (int64_t)(x[1] * info->std[1] + info->mean[1] + 0.5f);
}

static double training_mean(const glia_dataset_info *info, const float *x) {
    double sum = 0, known = 0;
    for (int64_t i = 0; i < info->count; i++) {
        int64_t row = row_of(info, x + 2 * i);
        if (gap_at(row)) continue;
        sum += (double)(row * row);
        known++;
    }
    return sum / known;
}

/* What fills in missing values, and the normalisation, are measured on the training rows alone, saved with the run, and
 * used for whatever the table holds later. */
TEST(training_rows_only) {
    glia_error err = {0};
    glia_run_result result;
    glia_run run;
    glia_recipe *recipe;
    glia_dataset *part[3];
    float x[2 * GAP_ROWS];
    make_files(CLASSES, ", missing: mean, normalize: yes, split: {validation: 14, test: 16}");
    write_gap_table(1);
    CHECK_OK(train(NULL, false, &result, &err), &err);
    CHECK_OK(glia_recipe_load(&recipe, model_file, NULL, 0, NULL, &err), &err);
    CHECK_OK(glia_run_open(&run, run_dir, NULL, &err), &err);
    CHECK_OK(glia_recipe_data(recipe, &part[0], &part[1], &part[2], NULL, &err), &err);
    const glia_dataset_info *info = glia_dataset_get_info(part[0]);
    CHECK_OK(glia_dataset_gather(part[0], NULL, info->count, x, NULL, &err), &err);
    double fill = training_mean(info, x), sums[2] = {0, 0};
    for (int64_t i = 0; i < 2 * info->count; i++) sums[i % 2] += (double)x[i];
    CHECK_NEAR(sums[0], 0, 1e-4); /* normalised: only the training rows have the mean 0 */
    CHECK_NEAR(sums[1], 0, 1e-4);
    CHECK_INT(run.recipe->trained.n_fill, 2);
    for (int p = 0; p < 3; p++) {
        const glia_dataset_info *other = glia_dataset_get_info(part[p]);
        CHECK_NEAR(other->fill[0], fill, 1e-3);
        CHECK(other->fill[0] == run.recipe->trained.fill[0] && other->mean[0] == run.mean[0]);
        CHECK_OK(glia_dataset_gather(part[p], NULL, other->count, x, NULL, &err), &err);
        int gaps = 0;
        for (int64_t i = 0; i < other->count; i++) {
            if (!gap_at(row_of(other, x + 2 * i))) continue;
            CHECK_NEAR(x[2 * i], (other->fill[0] - other->mean[0]) / other->std[0], 1e-4);
            gaps++;
        }
        CHECK(gaps > 0);
        glia_dataset_free(part[p]);
    }
    glia_recipe_free(recipe);
    /* The table becomes another one: a run keeps what it was trained with, a new training does not. */
    write_gap_table(1000);
    CHECK_OK(glia_recipe_data(run.recipe, NULL, NULL, &part[2], NULL, &err), &err);
    CHECK(glia_dataset_get_info(part[2])->fill[0] == run.recipe->trained.fill[0]);
    glia_dataset_free(part[2]);
    CHECK_OK(glia_recipe_train(run.recipe, (glia_run_options){.dir = run_dir, .force = true, .error = &err},
                               &result),
             &err);
    CHECK_NEAR(run.recipe->trained.fill[0], 1000 * fill, 10);
    glia_run_close(&run);
    remove_files();
}

/* Whatever allocation fails: no leak, no crash, and a run that was there can still be used. The report does without
 * what it has no memory for, so that a training may succeed all the same. */
static void fail_everywhere(void) {
    glia_error err = {0};
    glia_run_result result;
    CHECK_OK(train(NULL, false, &result, &err), &err);
    long runs = 0;
    FOR_EACH_FAILURE(memory) {
        glia_error e = {0};
        glia_status status = train(&memory.allocator, true, &result, &e);
        CHECK(status == GLIA_OK || (status == GLIA_OUT_OF_MEMORY && failing_failed(&memory)));
        if (status != GLIA_OK) CHECK_HAS(e.message, "memory");
        runs++;
    }
    CHECK(runs > 100);
    CHECK_OK(train(NULL, true, &result, &err), &err);
    remove_files();
}

TEST(out_of_memory_classes) {
    make_files(CLASSES, ", normalize: yes, missing: mean, split: {validation: 4, test: 4}");
    fail_everywhere();
}

TEST(out_of_memory_numbers) {
    make_files(NUMBERS, ", target: values, split: {test: 4}");
    fail_everywhere();
}

TEST(out_of_memory_pictures) {
    make_pictures("model: [flatten, {dense: 2}]\ntrain: {epochs: 1}\n");
    fail_everywhere();
}

TEST(out_of_memory_while_used) {
    glia_error err = {0};
    glia_run_result result;
    make_files(CLASSES, ", normalize: yes");
    CHECK_OK(train(NULL, false, &result, &err), &err);
    FOR_EACH_FAILURE(memory) {
        glia_error e = {0};
        glia_status status = use(&memory.allocator, &e);
        CHECK_FAILED_ONCE(memory, status);
    }
    remove_files();
}

#ifdef GLIA_HAVE_YAML
TEST_MAIN(TEST_ENTRY(train_and_use), TEST_ENTRY(test_time_augmentation),
          TEST_ENTRY(test_time_augmentation_refused), TEST_ENTRY(missing_values),
          TEST_ENTRY(training_rows_only), TEST_ENTRY(out_of_memory_classes),
          TEST_ENTRY(out_of_memory_numbers), TEST_ENTRY(out_of_memory_pictures),
          TEST_ENTRY(out_of_memory_while_used))
#else
int main(void) {
    printf("skipped: this build has no libyaml, so it reads no model files\n");
    return 77;
}
#endif
