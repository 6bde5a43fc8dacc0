/* test_batch_norm.c: batch normalisation in a network: PyTorch's numbers (data/batch_norm_steps.txt, made by
 * tools/parity/batch_norm.py, which says how inputs and weights are made), and running statistics as state. */

#include "test.h"

#include "core/mem.h"
#include "op_values.h"
#include "scratch.h"
#include "toy.h"

enum { PIXELS = 2 * 4 * 4 };

static glia_model *network(void) {
    glia_model *m = glia_model_new("norms");
    glia_value *x = glia_input(m, "image", .shape = {2, 4, 4});
    x = glia_conv2d(x, .filters = 3, .kernel = {3, 3}, .use_bias = GLIA_NO);
    x = glia_batch_norm(x, .activation = "relu");
    x = glia_dense(glia_flatten(x), .units = 5);
    x = glia_batch_norm(x, .momentum = 0.7, .epsilon = 1e-3, .activation = "tanh");
    glia_model_set_output(m, glia_dense(x, .units = 3));
    return m;
}

static int64_t fill_batch(int t, int64_t rows, float *x, int64_t *y) {
    for (int64_t i = 0; i < rows * PIXELS; i++) x[i] = (float)sin(0.3 * (double)i + t);
    for (int64_t i = 0; i < rows; i++) y[i] = (i + t) % 3;
    return rows;
}

static void fill_weights(glia_model *m) {
    int k = 0;
    for (size_t i = 0; i < glia_model_params(m); i++) {
        glia_tensor p = glia_model_param_data(m, i);
        if (!glia_model_param_trained(m, i)) continue;
        for (int64_t e = 0; e < glia_shape_elems(&p.shape); e++)
            glia_tensor_set(&p, e, (float)(sin((double)(e + k)) / 2));
        k++;
    }
}

/* Reads the next words of the fixture: a name, and `count` numbers that must be those of `data`. */
static void expect(FILE *file, const char *name, const float *data, int64_t count) {
    char word[64];
    double number;
    CHECK_INT(fscanf(file, " %63s", word), 1);
    CHECK_STR(word, name);
    for (int64_t i = 0; i < count; i++) {
        CHECK_INT(fscanf(file, "%lf", &number), 1);
        CHECK_NEAR(data[i], number, 1e-4 * fmax(1, fabs(number))); /* each step amplifies roundings of f32 */
    }
}

TEST(steps_of_pytorch) {
    static const int64_t sizes[] = {8, 8, 5, 8, 8, 5};
    static const char *const names[] = {
        "0.weight", "1.weight", "1.bias",         "1.running_mean", "1.running_var", "4.weight", "4.bias",
        "5.weight", "5.bias",   "5.running_mean", "5.running_var",  "7.weight",      "7.bias"};
    char path[1024], line[256];
    const char *root = getenv("GLIA_SOURCE_DIR");
    glia_error err = {0};
    glia_trainer *trainer;
    float x[8 * PIXELS], logits[6];
    int64_t y[8];
    snprintf(path, sizeof path, "%s/tests/data/batch_norm_steps.txt", root ? root : ".");
    FILE *file = fopen(path, "r");
    CHECK(file && fgets(line, sizeof line, file));
    if (!file) return;
    glia_model *m = network();
    CHECK_OK(glia_model_initialize(m, 0, &err), &err);
    fill_weights(m);
    glia_fit_options options = {.optimizer = glia_nesterov(.learning_rate = 0.1, .weight_decay = 0.05),
                                .loss = "softmax_cross_entropy"};
    CHECK_OK(glia_trainer_new(&trainer, m, GLIA_TARGET_CLASS, (glia_shape){0}, options, &err), &err);
    for (int t = 1; t <= 6; t++) {
        double loss;
        int64_t rows = fill_batch(t, sizes[t - 1], x, y);
        CHECK_OK(glia_trainer_backward(trainer, x, y, rows, &loss, &err), &err);
        CHECK_OK(glia_trainer_update(trainer, &err), &err);
        expect(file, "loss", &(float){(float)loss}, 1);
    }
    CHECK_INT(glia_model_params(m), GLIA_COUNT(names));
    for (size_t i = 0; i < GLIA_COUNT(names); i++) {
        glia_tensor p = glia_model_param_data(m, i);
        expect(file, names[i], p.data, glia_shape_elems(&p.shape));
    }
    fill_batch(99, 2, x, y);
    glia_tensor in = glia_tensor_wrap(x, GLIA_F32, GLIA_SHAPE(2, 2, 4, 4));
    glia_tensor out = glia_tensor_wrap(logits, GLIA_F32, GLIA_SHAPE(2, 3));
    CHECK_OK(glia_predict(m, &in, false, &out, &err), &err);
    expect(file, "logits", logits, 6);
    fclose(file);
    glia_trainer_free(trainer);
    glia_model_free(m);
}

/* State moves with the update only, has no gradient, and no weight decay touches it. */
TEST(state) {
    glia_error err = {0};
    glia_trainer *trainer;
    float x[8 * PIXELS];
    int64_t y[8];
    double loss;
    glia_model *m = network();
    CHECK_OK(glia_trainer_new(&trainer, m, GLIA_TARGET_CLASS, (glia_shape){0},
                              (glia_fit_options){.optimizer = glia_sgd(.weight_decay = 0.5)}, &err),
             &err);
    CHECK_STR(glia_value_name(glia_model_param_value(m, 3)), "batch_norm.running_mean");
    CHECK(!glia_model_param_trained(m, 3) && glia_model_param_trained(m, 1));
    CHECK(!glia_model_param_trained(m, 99));
    float *mean = glia_model_param_data(m, 3).data,
          *var = glia_model_get_param(m, "batch_norm.running_var").data;
    int64_t rows = fill_batch(1, 8, x, y);
    CHECK_OK(glia_trainer_backward(trainer, x, y, rows, &loss, &err), &err);
    CHECK(mean[0] == 0 && var[0] == 1);
    CHECK(glia_trainer_gradient(trainer, 1).data && !glia_trainer_gradient(trainer, 3).data);
    CHECK_OK(glia_trainer_forward(trainer, x, y, rows, &loss, &err), &err); /* another program in between */
    CHECK_OK(glia_trainer_update(trainer, &err), &err);
    CHECK(mean[0] != 0 && fabsf(mean[0]) < 0.1f && var[0] >= 0.9f && var[0] != 1);
    float before = mean[0];
    CHECK_OK(glia_trainer_forward(trainer, x, y, rows, &loss, &err), &err);
    CHECK(mean[0] == before);
    glia_trainer_free(trainer);
    glia_model_free(m);
}

/* What the builders of state refuse. */
TEST(bad_state) {
    glia_error err = {0};
    glia_model *m = glia_model_new("m");
    glia_value *weight = glia_model_param(m, "w", GLIA_SHAPE(3), "zeros", 1, 1);
    glia_value *state = glia_model_state(m, "s", GLIA_SHAPE(3), "zeros");
    glia_model_set_update(m, state, weight);
    glia_model_set_update(m, state, NULL);
    CHECK_OK(glia_model_status(m, &err), &err);
    glia_model_set_update(m, weight, state);
    CHECK_ERR(glia_model_status(m, &err), GLIA_INVALID_ARGUMENT, &err, "'w' is no state of model 'm'");
    glia_model_free(m);
    err = (glia_error){0};
    m = glia_model_new("m");
    state = glia_model_state(m, "s", GLIA_SHAPE(3), "zeros");
    glia_model_set_update(m, state, glia_model_param(m, "w", GLIA_SHAPE(4), "zeros", 1, 1));
    CHECK_ERR(glia_model_status(m, &err), GLIA_BAD_SHAPE, &err, "the update of 's' must be of its type");
    glia_model_free(m);
}

/* Layers that join when there are weights already: their parameters have no data before the next initialisation. */
TEST(later_layers) {
    glia_error err = {0};
    glia_model *m = glia_model_new("m");
    glia_value *x = glia_input(m, "x", .shape = {4});
    x = glia_batch_norm(x);
    glia_model_set_output(m, x);
    CHECK_OK(glia_model_initialize(m, 0, &err), &err);
    CHECK(glia_model_get_param(m, "batch_norm.running_var").data);
    glia_model_set_output(m, glia_dense(x, .units = 2));
    CHECK(glia_model_get_param(m, "batch_norm.running_var").data);
    CHECK(!glia_model_get_param(m, "dense.weight").data);
    CHECK_OK(glia_model_initialize(m, 0, &err), &err);
    CHECK_NEAR(*(float *)glia_model_get_param(m, "batch_norm.running_var").data, 1, 0);
    CHECK(glia_model_get_param(m, "dense.weight").data);
    glia_model_free(m);
}

static glia_model *toy_norm(void) {
    glia_model *m = glia_model_new("toy");
    glia_value *x = glia_input(m, "x", .shape = {TOY_WIDTH});
    x = glia_batch_norm(glia_dense(x, .units = 8), .activation = "relu");
    glia_model_set_output(m, glia_dense(x, .units = TOY_CLASSES));
    return m;
}

static int stop_at(void *ctx, const glia_epoch *epoch) {
    return epoch->epoch == *(int *)ctx;
}

/* Stopped and resumed, and a loaded file: the running statistics are there, bit for bit. */
TEST(resumed) {
    toy t;
    glia_error err = {0};
    scratch_make();
    toy_open(&t, 200, 1, false);
    glia_model *whole = toy_norm(), *parts = toy_norm(), *loaded = toy_norm();
    glia_fit_options options = {.optimizer = glia_adam(.learning_rate = 0.02),
                                .epochs = 6,
                                .batch_size = 33,
                                .seed = 5,
                                .error = &err};
    CHECK_OK(glia_fit_with(whole, t.data, options), &err);
    options.run_dir = scratch;
    options.on_epoch = stop_at;
    options.ctx = &(int){2};
    CHECK_OK(glia_fit_with(parts, t.data, options), &err);
    options.on_epoch = NULL;
    options.resume = GLIA_YES;
    CHECK_OK(glia_fit_with(parts, t.data, options), &err);
    CHECK(toy_same_weights(whole, parts));
    CHECK_OK(glia_model_load_weights(loaded, scratch_path("last.safetensors"), &err), &err);
    CHECK(toy_same_weights(whole, loaded));
    CHECK(glia_evaluate(whole, t.data).accuracy > 0.65);
    glia_model_free(whole), glia_model_free(parts), glia_model_free(loaded);
    glia_dataset_free(t.data);
    scratch_remove();
}

/* The gradient outside of training, where μ and σ² are constants. */
TEST(gradient_outside_of_training) {
    glia_error err = {0};
    glia_graph *g = glia_graph_new(NULL);
    glia_program *program;
    glia_value *x = F64(g, D(2, 2), 1, 2, 3, -4), *scale = F64(g, D(2), 2, 3), *bias = F64(g, D(2), 0.5, 0);
    glia_value *y = glia_op_batch_norm(x, scale, bias, F64(g, D(2), 1, 1), F64(g, D(2), 4, 0.25),
                                       (glia_batch_norm_attrs){.epsilon = 1e-30, .activation = 1});
    glia_value *outputs[] = {y, glia_value_sibling(y, 1), gradient(y, x), gradient(y, scale),
                             gradient(y, bias)};
    CHECK_OK(glia_program_new(&program, g, outputs, 5, (glia_program_options){.threads = 1}, &err), &err);
    CHECK_OK(glia_program_run(program, 0, &err), &err);
    static const double expected[5][4] = {{0.5, 6, 2.5, 0}, {1, 1}, {1, 6, 1, 0}, {0 + 1, 2}, {2, 1}};
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < (i == 0 || i == 2 ? 4 : 2); k++) {
            glia_tensor out = glia_program_output(program, outputs[i]);
            CHECK_NEAR(glia_tensor_get(&out, k), expected[i][k], 1e-12);
        }
    glia_program_free(program);
    glia_graph_free(g);
}

/* One example a channel, and none: no division by zero. */
TEST(few_examples) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *two = F64(g, D(2), 1, 1), *zero = F64(g, D(2), 0, 0);
    glia_value *y =
        glia_op_batch_norm(F64(g, D(1, 2), 5, -7), two, zero, zero, two, (glia_batch_norm_attrs){0});
    GIVES(y, 0, 0);
    GIVES(glia_value_sibling(y, 1), 0.5, -0.7);
    GIVES(glia_value_sibling(y, 2), 0.9, 0.9);
    GIVES(gradient(y, two), 0, 0);
    glia_graph_free(g);
}

/* Columns of mean 100 and deviation 1, more rows than are summed at once: the kernel keeps its digits, and any number of
 * threads gives the same bits. */
enum { ROWS = 3001, COLUMNS = 70 };
TEST(many_rows) {
    static float x[ROWS * COLUMNS], results[2][3][ROWS * COLUMNS];
    glia_error err = {0};
    glia_graph *g = glia_graph_new(NULL);
    glia_tensor ones, zeros;
    CHECK_OK(glia_tensor_new(&ones, GLIA_F32, GLIA_SHAPE(COLUMNS), NULL, &err), &err);
    CHECK_OK(glia_tensor_new(&zeros, GLIA_F32, GLIA_SHAPE(COLUMNS), NULL, &err), &err);
    for (int64_t i = 0; i < COLUMNS; i++) glia_tensor_set(&ones, i, 1);
    for (int64_t i = 0; i < ROWS * COLUMNS; i++)
        x[i] = 100 + (float)glia_random_normal((glia_random){1, 2}, (uint64_t)i);
    glia_value *in = glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(ROWS, COLUMNS));
    glia_value *one = glia_graph_const(g, &ones), *zero = glia_graph_const(g, &zeros);
    glia_value *y = glia_op_batch_norm(in, one, zero, zero, one, (glia_batch_norm_attrs){.epsilon = 1e-12});
    glia_value *dx = gradient(glia_op_mul(y, glia_op_mul(y, y)), in);
    glia_value *outputs[] = {y, dx, glia_value_sibling(y, 2)};
    const int64_t elems[] = {ROWS * COLUMNS, ROWS * COLUMNS, COLUMNS};
    for (int way = 0; way < 2; way++) {
        glia_program *program;
        glia_program_options options = {.threads = way ? 3 : 1, .training = GLIA_YES};
        CHECK_OK(glia_program_new(&program, g, outputs, 3, options, &err), &err);
        CHECK_OK(glia_program_bind(program, in, x, &err), &err);
        CHECK_OK(glia_program_run(program, 0, &err), &err);
        for (int i = 0; i < 3; i++)
            memcpy(results[way][i], glia_program_output(program, outputs[i]).data,
                   (size_t)elems[i] * sizeof(float));
        glia_program_free(program);
    }
    CHECK(memcmp(results[0], results[1], sizeof results[0]) == 0);
    for (int c = 0; c < COLUMNS;
         c += 23) { /* in double: μ and σ², and dx of Σ y³ = (3y² − 3 − 3y·mean(y³))/σ */
        double mean = 0, squares = 0, cubes = 0;
        for (int r = 0; r < ROWS; r++) mean += (double)x[r * COLUMNS + c] / ROWS;
        for (int r = 0; r < ROWS; r++) squares += pow((double)x[r * COLUMNS + c] - mean, 2);
        const double sigma = sqrt(squares / ROWS);
        for (int r = 0; r < ROWS; r++) cubes += pow(((double)x[r * COLUMNS + c] - mean) / sigma, 3) / ROWS;
        CHECK_NEAR(results[0][2][c], 0.9 + 0.1 * squares / (ROWS - 1), 1e-6);
        for (int r = 0; r < ROWS; r += 100) {
            const double z = ((double)x[r * COLUMNS + c] - mean) / sigma;
            CHECK_NEAR(results[0][0][r * COLUMNS + c], z, 1e-5);
            CHECK_NEAR(results[0][1][r * COLUMNS + c], 3 * (z * z - 1 - z * cubes) / sigma, 2e-4);
        }
    }
    glia_tensor_free(&ones), glia_tensor_free(&zeros);
    glia_graph_free(g);
}

TEST_MAIN(TEST_ENTRY(many_rows), TEST_ENTRY(steps_of_pytorch), TEST_ENTRY(state), TEST_ENTRY(bad_state),
          TEST_ENTRY(later_layers), TEST_ENTRY(resumed), TEST_ENTRY(gradient_outside_of_training),
          TEST_ENTRY(few_examples))
