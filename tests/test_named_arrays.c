/* Several arrays of an archive as rows of one input and one target; a run of two losses through the library. */
#include "test.h"

#include "core/file.h"
#include "data/dataset.h"
#include "failing_allocator.h"
#include "recipe/recipe.h"
#include "scratch.h"

enum { ROWS = 12 };

/* a [12, 2], b i64 [12], steps [12, 2, 3], y [12, 1], kind i64 [12]; few [3, 2], scalar. */
static const char *write_arrays(void) {
    static float a[ROWS][2], y[ROWS][1], steps[ROWS][2][3];
    static int64_t b[ROWS], kind[ROWS];
    static char path[512];
    glia_error err = {0};
    for (int i = 0; i < ROWS; i++) {
        a[i][0] = (float)i;
        a[i][1] = (float)-i;
        b[i] = i % 4;
        y[i][0] = (float)(i % 4) - 1;
        kind[i] = i % 4 > 1;
        for (int k = 0; k < 6; k++) steps[i][k / 3][k % 3] = (float)(10 * (k % 3) + i);
    }
    static int64_t large[ROWS] = {1 << 25};
    const glia_named_tensor arrays[] = {{"a", glia_tensor_wrap(a, GLIA_F32, GLIA_SHAPE(ROWS, 2))},
                                        {"b", glia_tensor_wrap(b, GLIA_I64, GLIA_SHAPE(ROWS))},
                                        {"steps", glia_tensor_wrap(steps, GLIA_F32, GLIA_SHAPE(ROWS, 2, 3))},
                                        {"y", glia_tensor_wrap(y, GLIA_F32, GLIA_SHAPE(ROWS, 1))},
                                        {"kind", glia_tensor_wrap(kind, GLIA_I64, GLIA_SHAPE(ROWS))},
                                        {"large", glia_tensor_wrap(large, GLIA_I64, GLIA_SHAPE(ROWS))},
                                        {"few", glia_tensor_wrap(a, GLIA_F32, GLIA_SHAPE(3, 2))},
                                        {"scalar", glia_tensor_wrap(y, GLIA_F32, (glia_shape){.rank = 0})}};
    snprintf(path, sizeof path, "%s", scratch_path("arrays.safetensors"));
    CHECK_OK(glia_safetensors_write(path, arrays, GLIA_COUNT(arrays), NULL, 0, &err), &err);
    return path;
}

static glia_status open_arrays(glia_dataset **d, const char *path, const char *inputs, const char *targets,
                               const glia_allocator *allocator, glia_error *err) {
    char source[600];
    snprintf(source, sizeof source, "npz:%s", path);
    return glia_dataset_open_with(
        d, source, (glia_dataset_options){.inputs = inputs, .targets = targets, .allocator = allocator}, err);
}

TEST(rows) {
    scratch_make();
    glia_dataset *d = NULL;
    glia_error err = {0};
    CHECK_OK(open_arrays(&d, write_arrays(), "b,a", "y,kind", NULL, &err), &err);
    const glia_dataset_info *info = glia_dataset_get_info(d);
    CHECK_INT(info->count, ROWS);
    CHECK_INT(info->n_input_arrays, 2);
    CHECK_STR(info->input_arrays[0].name, "b");
    CHECK(info->input_arrays[0].whole && !info->input_arrays[1].whole);
    CHECK_INT(info->target_arrays[1].classes, 2);
    CHECK_INT(info->input_shape.dim[0], 3);
    float x[3], y[2];
    const int64_t i = 7;
    CHECK_OK(glia_dataset_gather(d, &i, 1, x, y, &err), &err);
    CHECK(x[0] == 3 && x[1] == 7 && x[2] == -7);
    CHECK(y[0] == 2 && y[1] == 1);
    glia_dataset_free(d);
    scratch_remove();
}

TEST(refusals) {
    static const struct {
        const char *inputs, *targets, *message;
    } cases[] = {{"a,c", "y", "holds no array 'c' for the input of that name; it holds a"},
                 {"a,few", "y", "array 'few' has 3 examples, the others have 12"},
                 {"scalar", "y", "array 'scalar' has no examples"},
                 {"a", "large", "array 'large', example 0: 3.35544e+07 is no number to train on"},
                 {"a", "z", "holds no array 'z' for the target of that name"}};
    scratch_make();
    const char *path = write_arrays();
    for (size_t i = 0; i < GLIA_COUNT(cases); i++) {
        glia_dataset *d;
        glia_error err = {0};
        CHECK(open_arrays(&d, path, cases[i].inputs, cases[i].targets, NULL, &err) != GLIA_OK);
        CHECK_HAS(err.message, cases[i].message);
    }
    scratch_remove();
}

TEST(memory) {
    scratch_make();
    const char *path = write_arrays();
    FOR_EACH_FAILURE(memory) {
        glia_dataset *d = NULL;
        glia_error err = {0};
        const glia_status status = open_arrays(&d, path, "a,b", "y,kind", &memory.allocator, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_dataset_free(d);
    }
    scratch_remove();
}

static const char two_losses_file[] = "inputs: {a: [2], b: {dtype: i64}}\n"
                                      "model:\n"
                                      "  - embedding: {vocabulary: 4, units: 3, inputs: b}\n"
                                      "  - concat: {inputs: [a, embedding]}\n"
                                      "  - dense: {units: 8, activation: relu, name: body}\n"
                                      "  - dense: {units: 1, name: y}\n"
                                      "  - dense: {units: 2, name: kind, inputs: body}\n"
                                      "losses: {y: {loss: mse, weight: 2}, kind: softmax_cross_entropy}\n"
                                      "optimizer: {adam: {learning_rate: 0.05}}\n"
                                      "train: {epochs: 1, batch_size: 4}\n";

/* A recipe with the data at `path`, its model, and what that learns of the units. */
static glia_status fit(const char *model_file, const char *path, const glia_allocator *allocator,
                       void (*look)(const glia_model *), glia_report *report, glia_error *err) {
    char text[2000];
    glia_recipe *recipe = NULL;
    glia_dataset *train = NULL;
    glia_model *model = NULL;
    const size_t bytes =
        (size_t)snprintf(text, sizeof text, "data: {source: {npz: %s}}\n%s", path, model_file);
    glia_status status = glia__recipe_parse(&recipe, "m.yaml", text, bytes, NULL, 0, allocator, err);
    if (status == GLIA_OK) status = glia_recipe_data(recipe, &train, NULL, NULL, NULL, err);
    if (status == GLIA_OK)
        status = glia_recipe_model(recipe, glia_dataset_get_info(train)->input_shape, 0, &model, NULL, err);
    if (status == GLIA_OK) status = glia__recipe_learn_units(recipe, model, train, err);
    if (status == GLIA_OK && look) look(model);
    if (status == GLIA_OK) {
        glia_fit_options o = glia_recipe_fit_options(recipe);
        o.epochs = allocator ? 1 : 60;
        o.error = err;
        o.threads = 1;
        status = glia_fit_with(model, train, o);
    }
    if (status == GLIA_OK) {
        *report = glia_evaluate(model, train, .error = err, .threads = 1);
        status = err->status;
    }
    glia_model_free(model);
    glia_dataset_free(train);
    glia_recipe_free(recipe);
    return status;
}

/* Both losses fall, by their weights: 2·mse + cross-entropy. */
TEST(two_losses) {
    scratch_make();
    glia_error err = {0};
    glia_report report = {0};
    CHECK_OK(fit(two_losses_file, write_arrays(), NULL, NULL, &report, &err), &err);
    CHECK(report.loss < 0.1);
    scratch_remove();
}

/* Each input has its own; `b` is scaled, and y comes back in its unit. */
static const char units_file[] = "inputs: {a: {shape: [2], normalize: yes}, b: {scale: 1/4}, steps: {shape: "
                                 "[2, 3], normalize: yes, axis: -1}}\n"
                                 "model:\n"
                                 "  - reshape: {shape: [1], inputs: b}\n"
                                 "  - flatten: {inputs: steps}\n"
                                 "  - concat: {inputs: [a, reshape, flatten]}\n"
                                 "  - dense: {units: 8, activation: relu}\n"
                                 "  - dense: 1\n"
                                 "  - denormalize: {name: y}\n"
                                 "losses: {y: mse}\n"
                                 "optimizer: {adam: {learning_rate: 0.05}}\n"
                                 "train: {epochs: 1, batch_size: 4}\n";

static void check_state(const glia_model *m, const char *name, const double *wanted, int64_t count) {
    const glia_tensor x = glia_model_get_param(m, name);
    CHECK_INT(x.data ? glia_shape_elems(&x.shape) : 0, count);
    for (int64_t i = 0; x.data && i < count; i++) CHECK_NEAR(glia_tensor_get(&x, i), wanted[i], 1e-5);
}

static void look_at_units(const glia_model *m) {
    const double deviation = sqrt(143.0 / 12);
    check_state(m, "a.normalize.mean", (const double[]){5.5, -5.5}, 2);
    check_state(m, "a.normalize.deviation", (const double[]){deviation, deviation}, 2);
    check_state(m, "steps.normalize.mean", (const double[]){5.5, 15.5, 25.5}, 3);
    check_state(m, "steps.normalize.deviation", (const double[]){deviation, deviation, deviation}, 3);
    check_state(m, "y.mean", (const double[]){0.5}, 1);
    check_state(m, "y.deviation", (const double[]){sqrt(1.25)}, 1);
    CHECK(!glia_model_get_param(m, "b.normalize.mean").data);
}

TEST(units) {
    scratch_make();
    glia_error err = {0};
    glia_report report = {0};
    CHECK_OK(fit(units_file, write_arrays(), NULL, look_at_units, &report, &err), &err);
    CHECK(report.loss < 0.1);
    scratch_remove();
}

TEST(want_of_memory) {
    scratch_make();
    const char *path = write_arrays();
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_report report;
        const glia_status status = fit(two_losses_file, path, &memory.allocator, NULL, &report, &err);
        CHECK_FAILED_ONCE(memory, status);
    }
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_report report;
        const glia_status status = fit(units_file, path, &memory.allocator, NULL, &report, &err);
        CHECK_FAILED_ONCE(memory, status);
    }
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(rows), TEST_ENTRY(refusals), TEST_ENTRY(memory), TEST_ENTRY(two_losses),
          TEST_ENTRY(units), TEST_ENTRY(want_of_memory))
