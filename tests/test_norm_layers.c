/* test_norm_layers.c: normalisation of each example by itself, as ops and as layers, against PyTorch 2.13. */

#include "op_values.h"

#include "glia/glia.h"

/* d(Σ y·w)/dx for weights that are all different. */
static glia_value *weighted(glia_value *y, glia_value *x) {
    glia_value *w = F64(glia_value_graph(y), D(2, 4), 1, 2, 3, 4, 5, 6, 7, 8);
    return gradient(glia_op_mul(y, w), x);
}

TEST(ops) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(2, 4), 1, 2, 4, 8, -1, 0.5, 3, -2), *scale = F64(g, D(4), 1, 2, 0.5, -1),
               *bias = F64(g, D(4), 0.1, 0.2, 0.3, 0.4);
    const glia_layer_norm_attrs attrs = {.axis = -1};
    glia_value *y = glia_op_layer_norm(x, scale, bias, attrs);
    GIVES(y, -0.925754575496, -1.105505823359, 0.346625207977, -1.185257071221, -0.497350138361,
          0.598233425574, 1.063280732350, 1.528328039126);
    GIVES(weighted(y, x), -0.801141394783, 0.660051603473, 0.411923457541, -0.270833666231, 2.087652323829,
          4.348405949328, -2.591725673608, -3.844332599549);
    GIVES(weighted(y, scale), -4.012505267302, -0.110805546637, 10.965681500766, -2.685596028126);
    GIVES(weighted(y, bias), 6, 8, 10, 12);
    y = glia_op_rms_norm(x, scale, attrs);
    GIVES(y, 0.216930406776, 0.867721627105, 0.433860813552, -1.735443254210, -0.529812199230, 0.529812199230,
          0.794718298846, 1.059624398461);
    GIVES(weighted(y, x), 0.260316467714, 0.954493748981, 0.498939853917, -0.520633139599, 3.671502721147,
          5.846525528268, -1.212982477676, -2.193614143855);
    GIVES(weighted(y, scale), -2.432130589376, 2.457158224796, 13.729221065154, -1.535222170849);
    glia_graph_free(g);
}

/* Equal numbers give 0, however large: nothing of a rounded mean is left. */
TEST(constant_rows) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = glia_op_mul(F32(g, D(1, 5), 1, 1, 1, 1, 1), F32(g, D(1), 12345.678));
    GIVES_F32(glia_op_layer_norm(x, NULL, NULL, (glia_layer_norm_attrs){.axis = -1}), 0, 0, 0, 0, 0);
    glia_graph_free(g);
}

static void run_layer(glia_value *(*build)(glia_value *), const float *expected, size_t params) {
    glia_error err = {0};
    glia_model *m = glia_model_new("norm");
    glia_value *x = glia_input(m, "x", .shape = {4, 2});
    glia_model_set_output(m, build(x));
    CHECK_OK(glia_model_initialize(m, 0, &err), &err);
    CHECK_INT(glia_model_param_count(m), params);
    float in[8], out[8];
    for (int i = 0; i < 8; i++) in[i] = (float)(i * i);
    const glia_shape shape = GLIA_SHAPE(1, 4, 2);
    glia_tensor from = glia_tensor_wrap(in, GLIA_F32, shape), to = glia_tensor_wrap(out, GLIA_F32, shape);
    CHECK_OK(glia_predict(m, &from, false, &to, &err), &err);
    for (int i = 0; i < 8; i++) CHECK_NEAR(out[i], expected[i], 2e-6);
    glia_model_free(m);
}

static glia_value *two_groups(glia_value *x) {
    return glia_group_norm(x, .groups = 2);
}

static glia_value *instances(glia_value *x) {
    return glia_instance_norm(x);
}

static glia_value *layers(glia_value *x) {
    return glia_layer_norm(x);
}

TEST(layers) {
    run_layer(two_groups,
              (const float[]){-0.999999523f, -0.714285374f, 0.142857075f, 1.571427822f, -1.256183267f,
                              -0.526786566f, 0.364698380f, 1.418271542f},
              8);
    const float each[] = {-0.999979973f, 0.999979973f, -0.999999285f, 0.999999106f,
                          -0.999999762f, 0.999999702f, -1.0f,         0.999999642f};
    run_layer(instances, each, 8);
    run_layer(layers, each, 4); /* rows of two: the same numbers, other parameters */
}

#define BAD(part, build)                                                   \
    do {                                                                   \
        glia_error err = {0};                                              \
        glia_model *m = glia_model_new("bad");                             \
        glia_value *image = glia_input(m, "image", .shape = {6, 9, 9});    \
        glia_value *row = glia_input(m, "row", .shape = {12});             \
        (void)image, (void)row;                                            \
        CHECK(!(build));                                                   \
        CHECK_ERR(glia_model_status(m, &err), GLIA_BAD_SHAPE, &err, part); \
        glia_model_free(m);                                                \
    } while (0)

TEST(messages) {
    BAD("layer_norm 'layer_norm' normalises 4 dimensions, but an example is 6×9×9",
        glia_layer_norm(image, .dims = 4));
    BAD("rms_norm 'rms_norm' normalises 2 dimensions, but an example is 12", glia_rms_norm(row, .dims = 2));
    BAD("group_norm 'group_norm' has 4 groups, which do not divide 6 channels",
        glia_group_norm(image, .groups = 4));
    BAD("instance_norm 'instance_norm' expects channels with at least one dimension each",
        glia_instance_norm(row));
}

TEST_MAIN(TEST_ENTRY(ops), TEST_ENTRY(constant_rows), TEST_ENTRY(layers), TEST_ENTRY(messages))
