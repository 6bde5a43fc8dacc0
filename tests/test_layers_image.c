/* test_layers_image.c: layers of lines, images and volumes beside conv2d and its pools: shapes, parameters, values that are
 * sums (weights of ones), messages; each in a training step. */

#include "test.h"

#include "glia/glia.h"
#include "shape_text.h"

TEST(shapes) {
    static const struct {
        const char *kind, *options, *shape;
        int sides;
        int64_t params;
    } expected[] = {
        {"conv1d", "filters=6 kernel=3", "N×6×6", 1, 6 * 4 * 3 + 6},
        {"conv1d", "filters=6 kernel=3 strides=2 padding=same groups=2 use_bias=no", "N×6×4", 1, 6 * 2 * 3},
        {"conv1d", "filters=2 kernel=2 dilation=3", "N×2×5", 1, 2 * 4 * 2 + 2},
        {"conv3d", "filters=5 kernel=3,2,1", "N×5×4×5×8", 3, 5 * 4 * 6 + 5},
        {"conv3d", "filters=4 kernel=3 padding=same strides=2 groups=2", "N×4×3×3×4", 3, 4 * 2 * 27 + 4},
        {"conv2d_transpose", "filters=6 kernel=3,2 strides=2", "N×6×13×16", 2, 4 * 6 * 6 + 6},
        {"conv2d_transpose", "filters=6 kernel=3 strides=2 padding=same groups=2", "N×6×12×16", 2,
         4 * 3 * 9 + 6},
        {"depthwise_conv2d", "kernel=3 multiplier=2", "N×8×4×6", 2, 8 * 9 + 8},
        {"separable_conv2d", "filters=5 kernel=3 padding=same strides=2", "N×5×3×4", 2, 4 * 9 + 5 * 4 + 5},
        {"max_pool1d", "2", "N×4×4", 1, 0},
        {"average_pool1d", "size=3 strides=1 padding=same", "N×4×8", 1, 0},
        {"max_pool3d", "2", "N×4×3×3×4", 3, 0},
        {"average_pool3d", "size=3,2,2", "N×4×2×3×4", 3, 0},
        {"global_max_pool2d", NULL, "N×4", 2, 0},
        {"adaptive_average_pool2d", "4,3", "N×4×4×3", 2, 0},
        {"upsample2d", "2,3", "N×4×12×24", 2, 0},
        {"upsample2d", "factor=2 mode=linear", "N×4×12×16", 2, 0},
        {"pad2d", "1,2,3,4", "N×4×10×14", 2, 0},
        {"pad2d", "pads=2 mode=reflect", "N×4×10×12", 2, 0},
        {"pixel_shuffle", "2", "N×1×12×16", 2, 0},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        glia_error err = {0};
        glia_model *m = glia_model_new("shapes");
        glia_value *line = glia_input(m, "line", .shape = {4, 8});
        glia_value *image = glia_input(m, "image", .shape = {4, 6, 8});
        glia_value *volume = glia_input(m, "volume", .shape = {4, 6, 6, 8});
        glia_value *x = expected[i].sides == 1 ? line : expected[i].sides == 2 ? image : volume;
        glia_value *y = glia_layer(m, expected[i].kind, NULL, &x, 1, expected[i].options);
        CHECK_OK(glia_model_status(m, &err), &err);
        CHECK_STR(shape_of(y), expected[i].shape);
        CHECK_INT(glia_model_param_count(m), expected[i].params);
        glia_model_free(m);
    }
}

/* A layer whose weights are ones, on 1, 2, 3, … */
static void check_values(int line, const char *kind, const char *options, glia_shape example,
                         const float *expected) {
    glia_error err = {0};
    glia_model *m = glia_model_new("values");
    glia_input_options shape = {0};
    float x[64], y[256];
    for (int d = 0; d < example.rank; d++) shape.shape[d] = example.dim[d];
    glia_value *in = glia_input_with(m, "x", shape);
    glia_value *out = glia_layer(m, kind, NULL, &in, 1, options);
    glia_model_set_output(m, out);
    CHECK_OK(glia_model_initialize(m, 0, &err), &err);
    const int64_t count = glia_shape_elems(&example);
    for (int64_t i = 0; i < count; i++) x[i] = (float)(i + 1);
    glia_shape in_shape = glia_value_shape(in), out_shape = glia_value_shape(out);
    in_shape.dim[0] = out_shape.dim[0] = 1;
    glia_tensor from = glia_tensor_wrap(x, GLIA_F32, in_shape), to = glia_tensor_wrap(y, GLIA_F32, out_shape);
    CHECK_OK(glia_predict(m, &from, false, &to, &err), &err);
    for (int64_t i = 0; i < glia_shape_elems(&out_shape); i++) {
        test_checks++;
        if (fabsf(y[i] - expected[i]) <= 1e-5f) continue;
        test_failures++;
        printf("line %d: %s: element %lld is %g, expected %g\n", line, kind, (long long)i, (double)y[i],
               (double)expected[i]);
    }
    glia_model_free(m);
}
#define VALUES(kind, options, example, ...) \
    check_values(__LINE__, kind, options, example, (const float[]){__VA_ARGS__})

TEST(values) {
    const glia_shape line = GLIA_SHAPE(1, 5), image = GLIA_SHAPE(1, 2, 3), deep = GLIA_SHAPE(4, 1, 2);
    VALUES("conv1d", "filters=1 kernel=3 kernel_initializer=ones", line, 6, 9, 12);
    VALUES("conv1d", "filters=1 kernel=3 padding=same kernel_initializer=ones", line, 3, 6, 9, 12, 9);
    VALUES("conv3d", "filters=1 kernel=2,1,2 kernel_initializer=ones", GLIA_SHAPE(1, 2, 2, 2), 14, 22);
    VALUES("conv2d_transpose", "filters=1 kernel=1,2 strides=1,2 kernel_initializer=ones", image, 1, 1, 2, 2,
           3, 3, 4, 4, 5, 5, 6, 6);
    VALUES("depthwise_conv2d", "kernel=1,2 kernel_initializer=ones", deep, 3, 7, 11, 15);
    VALUES("separable_conv2d", "filters=1 kernel=1,2 kernel_initializer=ones", deep, 36);
    VALUES("max_pool1d", "2", line, 2, 4);
    VALUES("average_pool1d", "2", line, 1.5f, 3.5f);
    VALUES("max_pool3d", "size=1,1,2", GLIA_SHAPE(1, 1, 2, 2), 2, 4);
    VALUES("average_pool3d", "size=1,2,1", GLIA_SHAPE(1, 1, 2, 2), 2, 3);
    VALUES("global_max_pool2d", NULL, deep, 2, 4, 6, 8);
    VALUES("adaptive_average_pool2d", "1,2", image, 3, 4);
    VALUES("upsample2d", "1,2", image, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6);
    VALUES("upsample2d", "factor=1,2 mode=linear", GLIA_SHAPE(1, 1, 3), 1, 1.25f, 1.75f, 2.25f, 2.75f, 3);
    VALUES("pad2d", "pads=0,1,0,1 mode=reflect", image, 2, 1, 2, 3, 2, 5, 4, 5, 6, 5);
    VALUES("pad2d", "pads=1,0,0,0 value=9", image, 9, 9, 9, 1, 2, 3, 4, 5, 6);
    VALUES("pixel_shuffle", "2", deep, 1, 3, 2, 4, 5, 7, 6, 8);
}

TEST(messages) {
    static const struct {
        const char *kind, *options, *says;
    } bad[] = {
        {"conv1d", "filters=3 kernel=3",
         "conv1d 'conv1d' expects a 2-D input per example (channels×length), got 3×9×9"},
        {"conv3d", "filters=3 kernel=3", "expects a 4-D input per example (channels×depth×height×width)"},
        {"conv2d_transpose", "filters=4 kernel=3 groups=2",
         "must divide both its 3 input channels and its 4 filters"},
        {"conv2d_transpose", "kernel=3", "filters: required but not given"},
        {"depthwise_conv2d", "kernel=10", "larger than the padded height of 9"},
        {"separable_conv2d", "filters=4 kernel=3 padding=sane",
         "padding: expected valid, same or a number for each side (as in PyTorch), found 'sane'"},
        {"max_pool1d", "2", "expects a 2-D input per example"},
        {"adaptive_average_pool2d", NULL, "size: required but not given"},
        {"upsample2d", "factor=2 mode=linaer", "did you mean 'linear'?"},
        {"pad2d", "pads=-1", "pads: expected 4 integers from 0"},
        {"pixel_shuffle", "2", "channels can be divided by the square of 2"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        glia_error err = {0};
        glia_model *m = glia_model_new("bad");
        glia_value *image = glia_input(m, "image", .shape = {3, 9, 9});
        CHECK(!glia_layer(m, bad[i].kind, NULL, &image, 1, bad[i].options));
        CHECK(glia_model_status(m, &err) != GLIA_OK);
        CHECK_HAS(err.message, bad[i].says);
        glia_model_free(m);
    }
}

TEST_MAIN(TEST_ENTRY(shapes), TEST_ENTRY(values), TEST_ENTRY(messages))
