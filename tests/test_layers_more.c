/* test_layers_more.c: merges, gates, noise, pools to a wanted size, transposed lines and volumes, and ops as layers: shapes,
 * values by hand, what they do while training only, and what they say when something does not fit. */

#include "test.h"

#include "glia/glia.h"
#include "glia/recipe.h"
#include "shape_text.h"

/* --- shapes ------------------------------------------------------------------------------------------------------ */

TEST(shapes) {
    glia_error err = {0};
    glia_model *m = glia_model_new("shapes");
    glia_value *line = glia_input(m, "line", .shape = {4, 9});
    glia_value *image = glia_input(m, "image", .shape = {4, 9, 7});
    glia_value *volume = glia_input(m, "volume", .shape = {2, 5, 6, 7});
    glia_value *row = glia_input(m, "row", .shape = {12});
    CHECK_STR(shape_of(glia_apply(line, "global_max_pool1d", NULL)), "N×4");
    CHECK_STR(shape_of(glia_apply(line, "global_average_pool1d", NULL)), "N×4");
    CHECK_STR(shape_of(glia_apply(volume, "global_max_pool3d", NULL)), "N×2");
    CHECK_STR(shape_of(glia_apply(volume, "global_average_pool3d", NULL)), "N×2");
    CHECK_STR(shape_of(glia_apply(line, "adaptive_max_pool1d", "4")), "N×4×4");
    CHECK_STR(shape_of(glia_apply(line, "adaptive_average_pool1d", "4")), "N×4×4");
    CHECK_STR(shape_of(glia_apply(image, "adaptive_max_pool2d", "4,20")), "N×4×4×20");
    CHECK_STR(shape_of(glia_apply(image, "adaptive_average_pool2d", "4,5")), "N×4×4×5");
    CHECK_STR(shape_of(glia_apply(volume, "adaptive_max_pool3d", "2")), "N×2×2×2×2");
    CHECK_STR(shape_of(glia_apply(volume, "adaptive_average_pool3d", "2,3,7")), "N×2×2×3×7");
    CHECK_STR(shape_of(glia_apply(line, "conv1d_transpose", "filters=6 kernel=3 strides=2 groups=2")),
              "N×6×19");
    CHECK_STR(shape_of(glia_apply(line, "conv1d_transpose", "filters=6 kernel=3 strides=2 padding=same")),
              "N×6×18");
    CHECK_STR(shape_of(glia_apply(volume, "conv3d_transpose", "filters=3 kernel=2 strides=1,2,3")),
              "N×3×6×12×20");
    CHECK_STR(shape_of(glia_apply(line, "upsample1d", "3")), "N×4×27");
    CHECK_STR(shape_of(glia_apply(volume, "upsample3d", "1,2,3")), "N×2×5×12×21");
    CHECK_STR(shape_of(glia_apply(image, "resize2d", "size=5,20 mode=linear align_corners=yes")), "N×4×5×20");
    CHECK_STR(shape_of(glia_apply(line, "pad1d", "pads=1,2 mode=reflect")), "N×4×12");
    CHECK_STR(shape_of(glia_apply(volume, "pad3d", "pads=1,0,0,0,2,3")), "N×2×6×8×10");
    CHECK_STR(shape_of(glia_apply(image, "glu", "0")), "N×2×9×7");
    CHECK_STR(shape_of(glia_apply(row, "swiglu", NULL)), "N×6");
    CHECK_STR(shape_of(glia_apply(image, "prelu", NULL)), "N×4×9×7");
    CHECK_STR(shape_of(glia_apply(row, "prelu", "shared=yes")), "N×12");
    CHECK_STR(shape_of(glia_layer(m, "stack", NULL, (glia_value *[]){row, row, row}, 3, "axis=1")), "N×12×3");
    CHECK_STR(shape_of(glia_layer(m, "dot", NULL, (glia_value *[]){row, row}, 2, NULL)), "N×1");
    CHECK_STR(shape_of(glia_layer(m, "dot", NULL, (glia_value *[]){line, line}, 2, "normalize=yes")),
              "N×4×4");
    CHECK_STR(shape_of(glia_layer(m, "average", NULL, (glia_value *[]){row, row}, 2, NULL)), "N×12");
    CHECK_STR(shape_of(glia_apply(image, "spatial_dropout", "0.3")), "N×4×9×7");
    CHECK_STR(shape_of(glia_apply(image, "stochastic_depth", "0.3")), "N×4×9×7");
    CHECK_STR(shape_of(glia_apply(row, "alpha_dropout", "0.3")), "N×12");
    CHECK_STR(shape_of(glia_apply(row, "gaussian_noise", "0.3")), "N×12");
    CHECK_STR(shape_of(glia_apply(line, "cumsum", "axis=2")), "N×4×9");
    CHECK_STR(shape_of(glia_apply(line, "transpose", "perm=0,2,1")), "N×9×4");
    CHECK_STR(shape_of(glia_apply(line, "unsqueeze", "axes=1")), "N×1×4×9");
    CHECK_STR(shape_of(glia_layer(m, "matmul", NULL, (glia_value *[]){line, line}, 2, "transpose_b=yes")),
              "N×4×4");
    CHECK_OK(glia_model_status(m, &err), &err);
    glia_model_free(m);
}

/* --- values ------------------------------------------------------------------------------------------------------ */

/* What the layer `kind` makes of `count` inputs of one shape; the numbers of the first example. */
static void check_layer(const char *kind, const char *options, int inputs, glia_shape shape, const float *in,
                        const double *expected, int count, int line) {
    glia_error err = {0};
    glia_model *m = glia_model_new("values");
    glia_value *x[4] = {NULL};
    char name[8];
    const int64_t elems = glia_shape_elems(&shape);
    for (int i = 0; i < inputs; i++) {
        snprintf(name, sizeof name, "x%d", i);
        glia_input_options o = {.dtype = GLIA_F32};
        for (int d = 0; d < shape.rank; d++) o.shape[d] = shape.dim[d];
        x[i] = glia_input_with(m, name, o);
    }
    glia_value *y = glia_layer(m, kind, NULL, x, inputs, options);
    glia_program *p = NULL;
    glia_status status = glia_model_status(m, &err);
    if (status == GLIA_OK) status = glia_model_initialize(m, 1, &err);
    if (status == GLIA_OK)
        status = glia_program_new(&p, glia_value_graph(y), &y, 1,
                                  (glia_program_options){.dims = {1}, .threads = 1}, &err);
    for (int i = 0; i < inputs && status == GLIA_OK; i++)
        status = glia_program_bind(p, x[i], (void *)(uintptr_t)(in + i * elems), &err);
    for (size_t i = 0; i < glia_model_params(m) && status == GLIA_OK; i++)
        status = glia_program_bind(p, glia_model_param_value(m, i), glia_model_param_data(m, i).data, &err);
    if (status == GLIA_OK) status = glia_program_run(p, 1, &err);
    CHECK_OK(status, &err);
    glia_tensor out = status == GLIA_OK ? glia_program_output(p, y) : (glia_tensor){0};
    CHECK_INT(glia_shape_elems(&out.shape), count);
    for (int i = 0; status == GLIA_OK && i < count && i < glia_shape_elems(&out.shape); i++)
        if (!(fabs(glia_tensor_get(&out, i) - expected[i]) <= 1e-5)) {
            test_failures++;
            printf("  line %d: %s element %d is %.8g, expected %.8g\n", line, kind, i,
                   glia_tensor_get(&out, i), expected[i]);
        }
    glia_program_free(p);
    glia_model_free(m);
}
#define FLOATS(...) ((const float[]){__VA_ARGS__})
#define GIVES(kind, options, inputs, shape, in, ...)                             \
    check_layer(kind, options, inputs, shape, in, (const double[]){__VA_ARGS__}, \
                (int)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)), __LINE__)

TEST(values) {
    const float *seven = FLOATS(1, 5, 2, -3, 4, 0, 7), *two = FLOATS(1, 2, 3, 4, 5, 7, 9, 11);
    GIVES("adaptive_max_pool1d", "3", 1, GLIA_SHAPE(1, 7), seven, 5, 4, 7);
    GIVES("adaptive_average_pool1d", "3", 1, GLIA_SHAPE(1, 7), seven, 8.0 / 3, 1, 11.0 / 3);
    GIVES("global_max_pool1d", NULL, 1, GLIA_SHAPE(1, 7), seven, 7);
    GIVES("global_average_pool1d", NULL, 1, GLIA_SHAPE(1, 7), seven, 16.0 / 7);
    GIVES("pad1d", "pads=2,1 mode=reflect", 1, GLIA_SHAPE(1, 4), two, 3, 2, 1, 2, 3, 4, 3);
    GIVES("upsample1d", "2", 1, GLIA_SHAPE(1, 3), two, 1, 1, 2, 2, 3, 3);
    GIVES("resize2d", "size=1,5 mode=linear align_corners=yes", 1, GLIA_SHAPE(1, 1, 3), FLOATS(0, 2, 6), 0, 1,
          2, 4, 6);
    GIVES("glu", NULL, 1, GLIA_SHAPE(4), FLOATS(1, -2, 0, 2), 0.5, -2 / (1 + exp(-2)));
    GIVES("swiglu", NULL, 1, GLIA_SHAPE(4), FLOATS(1, -2, 3, 2), 3 / (1 + exp(-1)), -4 / (1 + exp(2)));
    GIVES("prelu", NULL, 1, GLIA_SHAPE(2, 2), FLOATS(1, -2, -4, 3), 1, -0.5, -1, 3);
    GIVES("subtract", NULL, 2, GLIA_SHAPE(4), two, -4, -5, -6, -7);
    GIVES("average", NULL, 2, GLIA_SHAPE(4), two, 3, 4.5, 6, 7.5);
    GIVES("maximum", NULL, 2, GLIA_SHAPE(2), FLOATS(1, 5, 3, 2), 3, 5);
    GIVES("minimum", NULL, 2, GLIA_SHAPE(2), FLOATS(1, 5, 3, 2), 1, 2);
    GIVES("dot", NULL, 2, GLIA_SHAPE(4), two, 5 + 14 + 27 + 44);
    GIVES("dot", "normalize=yes", 2, GLIA_SHAPE(2), FLOATS(3, 4, 4, 3), 24.0 / 25);
    GIVES("dot", NULL, 2, GLIA_SHAPE(2, 2), two, 1 * 5 + 2 * 7, 1 * 9 + 2 * 11, 3 * 5 + 4 * 7,
          3 * 9 + 4 * 11);
    GIVES("stack", "axis=1", 2, GLIA_SHAPE(2), FLOATS(1, 2, 3, 4), 1, 3, 2, 4);
    GIVES("cumsum", "axis=1", 1, GLIA_SHAPE(4), two, 1, 3, 6, 10);
    GIVES("conv1d_transpose", "filters=1 kernel=2 strides=2 kernel_initializer=ones use_bias=no", 1,
          GLIA_SHAPE(1, 3), two, 1, 1, 2, 2, 3, 3);
    for (int i = 0; i < 4; i++) /* outside of training each of them is its input */
        GIVES(((const char *[]){"spatial_dropout", "stochastic_depth", "alpha_dropout", "gaussian_noise"})[i],
              "0.5", 1, GLIA_SHAPE(1, 2, 2), two, 1, 2, 3, 4);
}

/* More parts than an op joins at once. */
TEST(many_parts) {
    enum { N = 700, PARTS = 250 };
    float x[N];
    double expected[PARTS];
    for (int i = 0; i < N; i++) x[i] = (float)(i * 7919 % 1009);
    for (int i = 0; i < PARTS; i++) {
        expected[i] = -1;
        for (int k = i * N / PARTS; k < ((i + 1) * N + PARTS - 1) / PARTS; k++)
            expected[i] = fmax(expected[i], (double)x[k]);
    }
    check_layer("adaptive_max_pool1d", "250", 1, GLIA_SHAPE(1, N), x, expected, PARTS, __LINE__);
}

/* --- while training ---------------------------------------------------------------------------------------------- */

enum { EXAMPLES = 64, CHANNELS = 30, SIDE = 20 };

/* What the layer gives for [EXAMPLES, CHANNELS, SIDE] in training. */
static void train_run(const char *kind, const char *options, const float *x, float *y) {
    glia_error err = {0};
    glia_model *m = glia_model_new("noise");
    glia_value *in = glia_input(m, "x", .shape = {CHANNELS, SIDE});
    glia_value *out = glia_apply(in, kind, options);
    glia_program *p = NULL;
    const glia_program_options o = {.dims = {EXAMPLES}, .threads = 2, .training = GLIA_YES, .seed = 3};
    CHECK_OK(glia_program_new(&p, glia_value_graph(in), &out, 1, o, &err), &err);
    CHECK_OK(glia_program_bind(p, in, (void *)(uintptr_t)x, &err), &err);
    CHECK_OK(glia_program_run(p, 1, &err), &err);
    memcpy(y, glia_program_output(p, out).data, sizeof(float) * EXAMPLES * CHANNELS * SIDE);
    glia_program_free(p);
    glia_model_free(m);
}

TEST(noise_works_while_training) {
    static float x[EXAMPLES * CHANNELS * SIDE], y[EXAMPLES * CHANNELS * SIDE];
    const int n = EXAMPLES * CHANNELS * SIDE;
    const glia_random random = {1, 2};
    for (int i = 0; i < n; i++) x[i] = (float)glia_random_normal(random, (uint64_t)i);
    const struct {
        const char *kind, *options;
        int group;
        double rate;
    } cases[] = {{"spatial_dropout", "0.3", SIDE, 0.3}, {"stochastic_depth", "0.25", CHANNELS * SIDE, 0.25}};
    for (size_t k = 0; k < 2; k++) { /* whole groups are 0, all others are scaled */
        int dropped = 0;
        train_run(cases[k].kind, cases[k].options, x, y);
        for (int g = 0; g < n / cases[k].group; g++) {
            const float *from = x + g * cases[k].group, *to = y + g * cases[k].group;
            const bool zero = to[0] == 0;
            dropped += zero;
            for (int i = 0; i < cases[k].group; i++)
                if (fabs((double)to[i] - (zero ? 0 : (double)from[i] / (1 - cases[k].rate))) > 1e-5)
                    test_failures++;
        }
        CHECK_NEAR((double)dropped / (n / cases[k].group), cases[k].rate, k ? 0.2 : 0.05);
    }
    const char *const others[] = {"alpha_dropout", "gaussian_noise"};
    const double variance[] = {1, 1.25};
    for (int k = 0; k < 2; k++) { /* mean and variance */
        double sum = 0, square = 0;
        train_run(others[k], k ? "0.5" : "0.2", x, y);
        for (int i = 0; i < n; i++) sum += (double)y[i], square += (double)y[i] * (double)y[i];
        CHECK_NEAR(sum / n, 0, 0.03);
        CHECK_NEAR(square / n, variance[k], 0.05);
    }
}

/* --- messages ---------------------------------------------------------------------------------------------------- */

#define BAD(status, part, build)                                        \
    do {                                                                \
        glia_error err = {0};                                           \
        glia_model *m = glia_model_new("bad");                          \
        glia_value *image = glia_input(m, "image", .shape = {3, 9, 9}); \
        glia_value *row = glia_input(m, "row", .shape = {11});          \
        (void)image, (void)row;                                         \
        CHECK(!(build));                                                \
        CHECK_ERR(glia_model_status(m, &err), status, &err, part);      \
        glia_model_free(m);                                             \
    } while (0)

TEST(messages) {
    glia_value *two[2] = {NULL, NULL};
    BAD(GLIA_BAD_SHAPE, "glu 'glu' halves an axis of 11 numbers, of examples of 11; it must be even",
        glia_apply(row, "glu", NULL));
    BAD(GLIA_BAD_SHAPE, "swiglu 'swiglu' halves axis 3, but an example of 3×9×9 has axes 0 to 2",
        glia_apply(image, "swiglu", "3"));
    BAD(GLIA_BAD_SHAPE,
        "spatial_dropout 'spatial_dropout' drops whole channels of [N, C, …], but an example is 11",
        glia_apply(row, "spatial_dropout", NULL));
    BAD(GLIA_BAD_SHAPE,
        "adaptive_max_pool1d 'adaptive_max_pool1d' expects a 2-D input per example (channels×length), got 11",
        glia_apply(row, "adaptive_max_pool1d", "3"));
    BAD(GLIA_BAD_SHAPE, "conv3d_transpose 'conv3d_transpose' expects a 4-D input per example",
        glia_apply(image, "conv3d_transpose", "filters=3 kernel=2"));
    BAD(GLIA_BAD_SHAPE,
        "upsample1d 'upsample1d' expects a 2-D input per example (channels×length), got 3×9×9",
        glia_apply(image, "upsample1d", NULL));
    BAD(GLIA_INVALID_ARGUMENT, "gaussian_noise: deviation:", glia_apply(row, "gaussian_noise", "-1"));
    BAD(GLIA_BAD_SHAPE,
        "dot 'score' expects two vectors of one length, or two sequences of them, got 11 and 3×9×9",
        (two[0] = row, two[1] = image, glia_layer(m, "dot", "score", two, 2, NULL)));
    BAD(GLIA_BAD_SHAPE, "subtract 'subtract' cannot merge inputs of shapes N×11 and N×3×9×9",
        (two[0] = row, two[1] = image, glia_layer(m, "subtract", NULL, two, 2, NULL)));
    BAD(GLIA_BAD_SHAPE, "stack 'stack' joins along axis 4, but an example has axes 0 to 1",
        (two[0] = two[1] = row, glia_layer(m, "stack", NULL, two, 2, "axis=4")));
}

TEST_MAIN(TEST_ENTRY(shapes), TEST_ENTRY(values), TEST_ENTRY(many_parts),
          TEST_ENTRY(noise_works_while_training), TEST_ENTRY(messages))
