/* test_layers.c: what layers build, what they compute, and what they say when something does not fit. */

#include "test.h"

#include "failing_allocator.h"
#include "glia/glia.h"
#include "shape_text.h"
#include "train/layer.h"

/* The tutorial network. */
static glia_model *digits(const glia_allocator *allocator) {
    glia_model *m = glia_model_new_with("digits", allocator);
    glia_value *x = glia_input(m, "image", .shape = {1, 28, 28});
    x = glia_conv2d(x, .filters = 32, .kernel = {3, 3}, .activation = "relu");
    x = glia_max_pool2d(x, .size = {2, 2});
    x = glia_dense(glia_flatten(x), .units = 10);
    glia_model_set_output(m, x);
    return m;
}

TEST(summary) {
    glia_error err = {0};
    glia_model *m = digits(NULL);
    CHECK_OK(glia_model_status(m, &err), &err);
    CHECK_INT(glia_model_layers(m), 4);
    CHECK_INT(glia_model_param_count(m), 32 * 9 + 32 + 5408 * 10 + 10);
    CHECK_STR(shape_of(glia_model_output(m)), "N×10");
    const struct {
        const char *kind;
        int64_t params;
        double least, most; /* FLOPs: two a multiplication with its addition, and a few for bias and relu */
    } expected[] = {{"conv2d", 320, 2.0 * 9 * 32 * 676, 2.3 * 9 * 32 * 676},
                    {"max_pool2d", 0, 3 * 5408, 4 * 5408},
                    {"flatten", 0, 0, 0},
                    {"dense", 54090, 2.0 * 54080, 2.0 * 54080 + 20}};
    for (size_t i = 0; i < 4; i++) {
        glia_layer_info layer = glia_model_layer(m, i);
        CHECK_STR(layer.kind, expected[i].kind);
        CHECK_STR(layer.name, expected[i].kind);
        CHECK_INT(layer.params, expected[i].params);
        CHECK(layer.flops >= expected[i].least && layer.flops <= expected[i].most);
    }
    CHECK_STR(glia_value_name(glia_model_param_value(m, 0)), "conv2d.weight");
    glia_model_free(m);
}

/* Every layer that has no other test, by its shape. */
TEST(shapes) {
    glia_error err = {0};
    glia_model *m = glia_model_new("shapes");
    glia_value *image = glia_input(m, "image", .shape = {4, 9, 7});
    glia_value *words = glia_input(m, "words", .shape = {6}, .dtype = GLIA_I64);
    glia_value *same = glia_conv2d(image, .filters = 8, .kernel = {3, 3}, .padding = "same", .groups = 2);
    CHECK_STR(shape_of(same), "N×8×9×7");
    CHECK_STR(shape_of(glia_model_param_value(m, 0)), "8×2×3×3");
    CHECK_STR(shape_of(glia_conv2d(image, .filters = 5, .kernel = {3, 2}, .strides = {2, 1})), "N×5×4×6");
    CHECK_STR(shape_of(glia_conv2d(image, .filters = 5, .kernel = {3, 3}, .dilation = {2, 3})), "N×5×5×1");
    CHECK_STR(shape_of(glia_max_pool2d(image, .size = {3, 3}, .strides = {2, 2})), "N×4×4×3");
    CHECK_STR(shape_of(glia_average_pool2d(image)), "N×4×4×3");
    CHECK_STR(shape_of(glia_global_average_pool2d(image)), "N×4");
    CHECK_STR(shape_of(glia_batch_norm(image)), "N×4×9×7");
    CHECK_STR(shape_of(glia_batch_norm(glia_flatten(image))), "N×252");
    CHECK_STR(shape_of(glia_flatten(image)), "N×252");
    CHECK_STR(shape_of(glia_reshape(image, (int64_t[]){63, -1}, 2)), "N×63×4");
    CHECK_STR(shape_of(glia_dropout(image, 0.3)), "N×4×9×7");
    CHECK_STR(shape_of(glia_embedding(words, .vocabulary = 100, .units = 16)), "N×6×16");
    CHECK_STR(shape_of(glia_add(image, glia_relu(image))), "N×4×9×7");
    CHECK_STR(shape_of(glia_multiply(image, glia_activation(image, "tanh"))), "N×4×9×7");
    CHECK_STR(shape_of(glia_concat((glia_value *[]){image, same}, 2, 0)), "N×12×9×7");
    CHECK_STR(shape_of(glia_layer(m, "leaky_relu", NULL, &image, 1, "slope=0.2")), "N×4×9×7");
    CHECK_STR(shape_of(glia_layer(m, "max_pool2d", "half", &image, 1, "2")), "N×4×4×3");
    CHECK_OK(glia_model_status(m, &err), &err);
    glia_model_free(m);
}

static void run(glia_model *m, const float *in, int64_t count, float *out) {
    glia_error err = {0};
    glia_shape in_shape = glia_value_shape(glia_model_input(m, 0)),
               out_shape = glia_value_shape(glia_model_output(m));
    in_shape.dim[0] = out_shape.dim[0] = count;
    glia_tensor x = glia_tensor_wrap((void *)(uintptr_t)in, GLIA_F32, in_shape);
    glia_tensor y = glia_tensor_wrap(out, GLIA_F32, out_shape);
    CHECK_OK(glia_predict(m, &x, false, &y, &err), &err);
}

TEST(values) {
    glia_error err = {0};
    glia_model *m = glia_model_new("values");
    glia_value *x = glia_input(m, "x", .shape = {2});
    glia_value *left = glia_dense(x, .units = 2, .activation = "relu", .name = "left");
    glia_value *right =
        glia_dense(x, .units = 2, .use_bias = GLIA_NO, .kernel_initializer = "ones", .name = "right");
    glia_model_set_output(m, glia_concat((glia_value *[]){left, right}, 2, -1));
    CHECK_OK(glia_model_initialize(m, 0, &err), &err);
    memcpy(glia_model_get_param(m, "left.weight").data, (float[]){1, 2, -3, 4}, 16);
    memcpy(glia_model_get_param(m, "left.bias").data, (float[]){0.5f, -20}, 8);
    CHECK(!glia_model_get_param(m, "right.bias").data);
    float y[8];
    run(m, (float[]){1, 2, 3, -1}, 2, y);
    static const float expected[8] = {5.5f, 0, 3, 3, 1.5f, 0, 2, 2};
    for (int i = 0; i < 8; i++) CHECK_NEAR(y[i], expected[i], 1e-6);
    glia_model_free(m);
}

/* Builds one bad thing; checks status and message. */
#define BAD(status, part, build)                                        \
    do {                                                                \
        glia_error err = {0};                                           \
        glia_model *m = glia_model_new("bad");                          \
        glia_value *image = glia_input(m, "image", .shape = {3, 9, 9}); \
        glia_value *row = glia_input(m, "row", .shape = {12});          \
        (void)image, (void)row;                                         \
        CHECK(!(build));                                                \
        CHECK_ERR(glia_model_status(m, &err), status, &err, part);      \
        glia_model_free(m);                                             \
    } while (0)

TEST(messages) {
    BAD(GLIA_BAD_SHAPE,
        "dense 'head' expects a vector per example, or a sequence of them, got 3×9×9; add a flatten layer "
        "before it",
        glia_dense(image, .units = 3, .name = "head"));
    BAD(GLIA_INVALID_ARGUMENT, "dense 'dense': units: required but not given", glia_dense(row));
    BAD(GLIA_INVALID_ARGUMENT, "dense 'dense': units: expected an integer from 1 to 16777216",
        glia_dense(row, .units = 1000000000000));
    BAD(GLIA_INVALID_ARGUMENT, "conv2d 'c': filters: expected an integer from 1 to 1048576",
        glia_conv2d(image, .filters = -2, .kernel = {3, 3}, .name = "c"));
    BAD(GLIA_BAD_SHAPE, "conv2d 'conv2d' has a kernel of 11×3, larger than its input of 9×9",
        glia_conv2d(image, .filters = 2, .kernel = {11, 3}));
    BAD(GLIA_BAD_SHAPE, "max_pool2d 'max_pool2d' has a window of 10×10, larger than its input of 9×9",
        glia_max_pool2d(image, .size = {10, 10}));
    BAD(GLIA_BAD_SHAPE, "conv2d 'conv2d' expects a 3-D input per example (channels×height×width), got 12",
        glia_conv2d(row, .filters = 2, .kernel = {3, 3}));
    BAD(GLIA_BAD_SHAPE, "groups: 2, which must divide both its 3 input channels and its 4 filters",
        glia_conv2d(image, .filters = 4, .kernel = {3, 3}, .groups = 2));
    BAD(GLIA_INVALID_ARGUMENT,
        "conv2d 'conv2d': padding: expected valid, same or a number for each side (as in PyTorch), found "
        "'sane'",
        glia_conv2d(image, .filters = 4, .kernel = {3, 3}, .padding = "sane"));
    BAD(GLIA_INVALID_ARGUMENT, "dense 'dense' has an unknown activation 'rleu' (did you mean 'relu'?)",
        glia_dense(row, .units = 3, .activation = "rleu"));
    BAD(GLIA_INVALID_ARGUMENT, "unknown initializer 'he_nromal' (did you mean 'he_normal'?)",
        glia_dense(row, .units = 3, .kernel_initializer = "he_nromal"));
    BAD(GLIA_INVALID_ARGUMENT, "dropout 'dropout': rate: expected a number from 0 to 0.99",
        glia_dropout(row, 1.5));
    BAD(GLIA_BAD_SHAPE, "batch_norm 'batch_norm' expects at least one dimension per example",
        glia_batch_norm(glia_input(m, "single")));
    BAD(GLIA_INVALID_ARGUMENT, "has an unknown activation 'relo' (did you mean 'relu'?)",
        glia_batch_norm(row, .activation = "relo"));
    BAD(GLIA_INVALID_ARGUMENT, "momentum", glia_batch_norm(row, .momentum = 1.5));
    BAD(GLIA_BAD_SHAPE, "add 'add' cannot merge inputs of shapes N×3×9×9 and N×12", glia_add(image, row));
    BAD(GLIA_BAD_SHAPE, "reshape 'reshape' cannot make 5×2 of 12", glia_reshape(row, (int64_t[]){5, 2}, 2));
    BAD(GLIA_BAD_SHAPE, "embedding 'embedding' expects whole numbers (i64 or f32), got bool",
        glia_embedding(glia_op_not_equal(row, row), .vocabulary = 5, .units = 2));
    BAD(GLIA_BAD_SHAPE, "embedding 'embedding' masks sequences [N, T] only",
        glia_embedding(image, .vocabulary = 5, .units = 2, .mask_zero = GLIA_YES));
    BAD(GLIA_INVALID_ARGUMENT, "unknown layer 'con2d' (did you mean 'conv2d'?)",
        glia_layer(m, "con2d", NULL, &image, 1, NULL));
    BAD(GLIA_INVALID_ARGUMENT, "dense 'out': unknown name 'unit' (did you mean 'units'?)",
        glia_layer(m, "dense", "out", &row, 1, "unit=3"));
    BAD(GLIA_INVALID_ARGUMENT, "add 'sum' takes at least 2 inputs, got 1",
        glia_layer(m, "add", "sum", &row, 1, NULL));
    BAD(GLIA_INVALID_ARGUMENT, "dense 'a' has a name that another layer has",
        glia_dense(glia_dense(row, .units = 2, .name = "a"), .units = 2, .name = "a"));
    BAD(GLIA_INVALID_ARGUMENT, "needs a name of 1 to 60 characters without quotes and spaces",
        glia_dense(row, .units = 2, .name = "a..b"));
}

/* The first error stays, and nothing after it crashes. */
TEST(first_error_wins) {
    glia_error err = {0};
    glia_model *m = glia_model_new("bad");
    glia_value *x = glia_input(m, "x", .shape = {3});
    x = glia_dense(x, .units = 0);
    x = glia_conv2d(glia_relu(x), .filters = 3);
    glia_model_set_output(m, x);
    CHECK(glia_model_initialize(m, 0, NULL) == GLIA_INVALID_ARGUMENT);
    CHECK_ERR(glia_model_status(m, &err), GLIA_INVALID_ARGUMENT, &err, "dense 'dense': units: required");
    glia_model_free(m);
    CHECK(!glia_dense(NULL, .units = 3) && !glia_add(NULL, NULL) && !glia_input(NULL, "x", .shape = {1}));
    CHECK(glia_model_status(NULL, NULL) == GLIA_OUT_OF_MEMORY);
    glia_model_free(NULL);
}

/* Every layer has its documentation, and every field too. */
TEST(documented) {
    glia_layer_def def;
    int activations = 0;
    for (size_t i = 0; glia__layer_def_at(i, &def); i++) {
        CHECK(def.doc && *def.doc && def.build && def.min_inputs >= 1 && def.max_inputs >= def.min_inputs);
        for (const glia_field *f = def.fields; f && f->name; f++) CHECK(f->doc && *f->doc);
        if (def.shorthand) CHECK(glia__field_find(def.fields, def.shorthand));
        activations += def.op && (def.op->traits & GLIA_TRAIT_ACTIVATION);
    }
    CHECK(activations >= 8);
    CHECK(glia__layer_def_find("relu", &def) && def.op);
    CHECK(glia__layer_def_find("matmul", &def) && def.op && def.min_inputs == 2);
    CHECK(!glia__layer_def_find("relu_backward", &def));
}

TEST(weights_on_disk) {
    glia_error err = {0};
    char path[64] = "test_layers.safetensors";
    glia_model *m = digits(NULL), *again = digits(NULL), *other = glia_model_new("other");
    CHECK_ERR(glia_model_save_weights(m, path, &err), GLIA_INVALID_ARGUMENT, &err, "has no weights yet");
    CHECK_OK(glia_model_initialize(m, 3, &err), &err);
    CHECK_OK(glia_model_save_weights(m, path, &err), &err);
    CHECK_OK(glia_model_load_weights(again, path, &err), &err);
    for (size_t i = 0; i < glia_model_params(m); i++) {
        glia_tensor a = glia_model_param_data(m, i), b = glia_model_param_data(again, i);
        CHECK(b.data && memcmp(a.data, b.data, glia_tensor_bytes(&a)) == 0);
    }
    glia_value *x = glia_input(other, "x", .shape = {4});
    x = glia_dense(x, .units = 5);
    glia_model_set_output(other, x);
    CHECK_ERR(glia_model_load_weights(other, path, &err), GLIA_BAD_SHAPE, &err,
              "is not of this model: 'dense.weight' is f32 10×5408 there, the model needs f32 5×4");
    CHECK(!glia_model_get_param(other, "dense.weight").data);
    x = glia_dense(x, .units = 2, .name = "more");
    CHECK_ERR(glia_model_load_weights(again, "no/such/file", &err), GLIA_NOT_FOUND, &err, "no/such/file");
    glia_model_free(m);
    glia_model_free(again);
    glia_model_free(other);
    remove(path);
}

TEST(left_over_and_missing) {
    glia_error err = {0};
    const char *path = "test_layers_2.safetensors";
    glia_model *m[2];
    for (int i = 0; i < 2; i++) {
        m[i] = glia_model_new("m");
        glia_value *x = glia_input(m[i], "x", .shape = {4});
        glia_model_set_output(
            m[i], glia_dense(glia_dense(x, .units = 4, .name = "a"), .units = 4, .name = i ? "b" : "c"));
        CHECK_OK(glia_model_initialize(m[i], 1, &err), &err);
    }
    CHECK_OK(glia_model_save_weights(m[0], path, &err), &err);
    CHECK_ERR(glia_model_load_weights(m[1], path, &err), GLIA_BAD_SHAPE, &err,
              "2 parameters are missing ('b.weight'), 2 are left over ('c.weight')");
    glia_model_free(m[0]);
    glia_model_free(m[1]);
    remove(path);
}

TEST(out_of_memory) {
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_model *m = digits(&memory.allocator);
        glia_status status = glia_model_initialize(m, 1, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_model_free(m);
    }
}

TEST_MAIN(TEST_ENTRY(summary), TEST_ENTRY(shapes), TEST_ENTRY(values), TEST_ENTRY(messages),
          TEST_ENTRY(first_error_wins), TEST_ENTRY(documented), TEST_ENTRY(weights_on_disk),
          TEST_ENTRY(left_over_and_missing), TEST_ENTRY(out_of_memory))
