/* test_ops_corners.c: ops where their domains end (NaN, infinity, zero, ties, indices out of range), and convolutions, pools
 * and losses on numbers worked out elsewhere: PyTorch 2.13 in f64, unless said otherwise. */

#include "op_values.h"

#define INF INFINITY

/* Runs the graph for `value` and gives how that ended. */
static glia_status run_for(glia_value *value, glia_error *err) {
    glia_program *program = NULL;
    glia_program_options options = {.threads = 1, .training = GLIA_YES};
    glia_status status = glia_program_new(&program, glia_value_graph(value), &value, 1, options, err);
    if (status == GLIA_OK) status = glia_program_run(program, 0, err);
    glia_program_free(program);
    return status;
}

/* 0·k, 1·k, 2·k … modulo m, less o: small whole numbers whose sums are exact in f32 too. */
static glia_value *pattern(glia_graph *g, glia_dtype dtype, glia_shape shape, int k, int m, int o) {
    double numbers[512];
    for (int64_t i = 0; i < glia_shape_elems(&shape); i++) numbers[i] = (double)(i * k % m - o);
    return array(g, dtype, shape, numbers);
}

/* --- elementwise ------------------------------------------------------------------------------------------ */

TEST(pow_at_its_edges) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *a = F64(g, D(9), 0, 0, 0, -2, -2, 0, NAN, 1, INF),
               *b = F64(g, D(9), 0, 2, -1, 3, 0.5, 0.5, 0, NAN, -1);
    GIVES(glia_op_pow(a, b), 1, 0, INF, -8, NAN, 0, 1, 1, 0);
    GIVES(gradient(glia_op_pow(a, b), a), 0, 0, -INF, 12, NAN, INF, 0, NAN, 0);
    /* By the power: ours is 0 wherever the base is not positive; PyTorch gives −inf at 0⁻¹ and NaN below 0. */
    GIVES(gradient(glia_op_pow(a, b), b), 0, 0, 0, 0, 0, 0, 0, 0, NAN);
    glia_graph_free(g);
}

TEST(nan_passes_and_ties_share) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *a = F64(g, D(6), 1, 2, NAN, 1, INF, -0.0), *b = F64(g, D(6), 1, 1, 1, NAN, INF, 0.0);
    GIVES(glia_op_maximum(a, b), 1, 2, NAN, NAN, INF, 0);
    GIVES(glia_op_minimum(a, b), 1, 1, NAN, NAN, INF, 0);
    glia_value *x = F64(g, D(5), NAN, -0.0, 0, INF, -INF);
    GIVES(glia_op_relu(x), NAN, 0, 0, INF, 0);
    GIVES(glia_op_clip(x, (glia_clip_attrs){-1, 1}), NAN, 0, 0, 1, -1);
    GIVES(glia_op_leaky_relu(x, (glia_leaky_relu_attrs){0}), NAN, 0, 0, INF, -INF);
    GIVES(glia_op_elu(x, (glia_elu_attrs){0}), NAN, 0, 0, INF, -1);
    GIVES(glia_op_sigmoid(x), NAN, 0.5, 0.5, 1, 0);
    GIVES(glia_op_tanh(x), NAN, 0, 0, 1, -1);
    GIVES(glia_op_softplus(x), NAN, 0.69314718056, 0.69314718056, INF, 0);
    glia_value *m = F64(g, D(2, 3), 3, 1, 3, 3, NAN, 3);
    GIVES(glia_op_max(m, AXES(1)), 3, NAN);
    glia_value *tied = F64(g, D(3), 3, 1, 3);
    GIVES(gradient(glia_op_max(tied, ALL), tied), 0.5, 0, 0.5);
    GIVES(glia_op_argmax(m, ARG_AXIS(1)), 0, 1);
    GIVES(glia_op_argmin(m, ARG_AXIS(1)), 1, 1);
    GIVES(glia_op_argmax(F64(g, D(4), 1, 3, 3, 2), ARG_ALL), 1);
    GIVES(glia_op_argmax(F64(g, D(3), NAN, 3, NAN), ARG_ALL), 0);
    glia_graph_free(g);
}

TEST(functions_at_their_edges) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(4), 0, -1, INF, NAN);
    GIVES(glia_op_sqrt(x), 0, NAN, INF, NAN);
    GIVES(gradient(glia_op_sqrt(x), x), INF, NAN, 0, NAN);
    GIVES(glia_op_log(x), -INF, NAN, INF, NAN);
    GIVES(gradient(glia_op_log(x), x), INF, -1, 0, NAN);
    GIVES(glia_op_reciprocal(F64(g, D(3), 0, -0.0, INF)), INF, -INF, 0);
    GIVES(glia_op_log1p(F64(g, D(3), -1, -2, 1e-20)), -INF, NAN, 1e-20);
    GIVES(glia_op_expm1(F64(g, D(3), 1e-20, -1000, 1000)), 1e-20, -1, INF);
    GIVES(glia_op_erf(F64(g, D(3), INF, -INF, NAN)), 1, -1, NAN);
    glia_value *z = F64(g, D(4), 0, -0.0, -INF, 2);
    GIVES(gradient(glia_op_abs(z), z), 0, 0, -1, 1);
    GIVES(gradient(glia_op_sign(z), z), 0, 0, 0, 0);
    glia_value *a = F64(g, D(8), 5, -5, 5, -5, NAN, INF, 5, 5), *b = F64(g, D(8), 3, 3, -3, -3, 1, 1, INF, 0);
    GIVES(glia_op_mod(a, b), 2, 1, -1, -2, NAN, NAN, 5, NAN);
    glia_value *p = F64(g, D(2), 5, -5), *q = F64(g, D(2), -3, -3);
    GIVES(gradient(glia_op_mod(p, q), p), 1, 1);
    GIVES(gradient(glia_op_mod(p, q), q), 2, -1);
    glia_value *u = array(g, GLIA_U8, D(3), NUMBERS(250, 3, 7)),
               *v = array(g, GLIA_U8, D(3), NUMBERS(10, 5, 0));
    GIVES(glia_op_add(u, v), 4, 8, 7);
    GIVES(glia_op_sub(u, v), 240, 254, 7);
    GIVES(glia_op_mod(u, v), 0, 3, 0);
    GIVES(glia_op_sum(u, ALL), 4); /* wraps, in its own dtype; NumPy and PyTorch widen */
    glia_graph_free(g);
}

TEST(casts_at_their_edges) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(6), 3.4e39, 1e-50, 1.00390625, 1.01171875, 3.3895e38, 3.4e38);
    GIVES(glia_op_cast(glia_op_cast(x, GLIA_F32), GLIA_F64), INF, 0, 1.00390625, 1.01171875,
          (double)3.3895e38f, (double)3.4e38f);
    GIVES(glia_op_cast(glia_op_cast(x, GLIA_BF16), GLIA_F32), INF, 0, 1, 1.015625, 3.3895313892515355e+38,
          INF);
    /* Kept within the range; NaN is 0. In C and so in NumPy and PyTorch this is undefined. */
    glia_value *y = F64(g, D(5), 255.9, -0.9, 2147483647.5, INF, NAN);
    GIVES(glia_op_cast(y, GLIA_U8), 255, 0, 255, 255, 0);
    GIVES(glia_op_cast(y, GLIA_I32), 255, 0, 2147483647, 2147483647, 0);
    GIVES(glia_op_cast(I32(g, D(2), 300, -1), GLIA_U8), 44, 255);
    GIVES(glia_op_cast(I64(g, D(2), 4294967297, -1), GLIA_I32), 1, -1);
    glia_graph_free(g);
}

/* Ranks 0 and 8, sizes 1 and 0 against each other, both ways. */
TEST(broadcasting_at_its_edges) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *tall = F64(g, D(2, 1, 1, 1, 1, 1, 1, 2), 1, 2, 3, 4),
               *scalar = array(g, GLIA_F64, (glia_shape){0}, NUMBERS(10)),
               *middle = F64(g, D(3, 1, 1), 100, 200, 300);
    GIVES(glia_op_add(tall, scalar), 11, 12, 13, 14);
    GIVES(glia_op_add(tall, middle), 101, 102, 201, 202, 301, 302, 103, 104, 203, 204, 303, 304);
    GIVES(gradient(glia_op_mul(tall, middle), middle), 10, 10, 10);
    GIVES(gradient(glia_op_mul(tall, middle), tall), 600, 600, 600, 600);
    GIVES(gradient(glia_op_mul(scalar, tall), scalar), 10);
    glia_value *none = array(g, GLIA_F64, D(0, 1), NULL), *row = F64(g, D(3), 1, 2, 3);
    glia_shape shape = glia_value_shape(glia_op_add(none, row));
    CHECK(shape.rank == 2 && shape.dim[0] == 0 && shape.dim[1] == 3);
    GIVES(gradient(glia_op_add(none, row), row), 0, 0, 0);
    glia_error err = {0};
    CHECK(glia_op_add(array(g, GLIA_F64, D(0), NULL), row) == NULL);
    CHECK_ERR(glia_graph_status(g, &err), GLIA_BAD_SHAPE, &err, "shapes 0 and 3 do not broadcast");
    glia_graph_free(g);
}

/* --- softmax and losses ----------------------------------------------------------------------------------- */

static glia_value *cross_entropy(glia_value *x, glia_value *target) {
    return glia_op_softmax_cross_entropy(x, target, (glia_softmax_cross_entropy_attrs){0});
}

TEST(softmax_at_its_edges) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(5, 3), 1e4, 1e4, -1e4, -INF, 0, 1, -INF, -INF, -INF, INF, 0, 0, NAN, 0, 1);
    GIVES(glia_op_softmax(x, -1), 0.5, 0.5, 0, 0, 0.26894142137, 0.731058578630, NAN, NAN, NAN, NAN, NAN, NAN,
          NAN, NAN, NAN);
    GIVES(glia_op_log_softmax(x, -1), -0.69314718056, -0.69314718056, -20000.69314718056, -INF,
          -1.31326168752, -0.313261687518, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN);
    glia_value *y = F64(g, D(2, 3), 1e4, 1e4, -1e4, -INF, 0, 1), *w = F64(g, D(2, 3), 1, 2, 3, 1, 2, 3);
    GIVES(gradient(glia_op_mul(glia_op_softmax(y, -1), w), y), -0.25, 0.25, 0, 0, -0.196611933241,
          0.196611933241);
    glia_value *f = F32(g, D(1, 3), 3e38, -3e38, 0);
    GIVES(glia_op_softmax(f, -1), 1, 0, 0);
    glia_graph_free(g);
}

TEST(cross_entropy_on_known_numbers) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *far = F64(g, D(2, 3), 1e4, 1e4, -1e4, -INF, 0, 1);
    glia_value *near = cross_entropy(far, I64(g, D(2), 0, 1));
    GIVES(near, 1.003204434039084);
    GIVES(gradient(near, far), -0.25, 0.25, 0, 0, -0.365529288315, 0.365529288315);
    glia_value *wrong = cross_entropy(far, I32(g, D(2), 2, 1));
    GIVES(wrong, 10001.003204434039);
    GIVES(gradient(wrong, far), 0.25, 0.25, -0.5, 0, -0.365529288315, 0.365529288315);
    GIVES(cross_entropy(far, I64(g, D(2), 0, 0)), INF); /* a class of probability 0 */
    glia_value *x = F64(g, D(2, 3), 1, 2, 4, 0, 3, -1), *t = F64(g, D(2, 3), 0.5, 0.25, 0.25, 1, 0, 1);
    glia_value *dense = cross_entropy(x, t);
    check_values("dense", __LINE__, dense, NUMBERS(4.650806914), 1, 1e-8);
    check_values("dense dx", __LINE__, gradient(dense, x),
                 NUMBERS(-0.228995, -0.0679024, 0.296897, -0.453387, 0.93624, -0.482852), 6, 1e-6);
    check_values("dense dt", __LINE__, gradient(dense, t),
                 NUMBERS(1.58492, 1.08492, 0.084923, 1.53294, 0.032942, 2.03294), 6, 1e-5);
    glia_value *h = F64(g, D(3), 2, -1, 0.5), *y = F64(g, D(3), 1, 0, 0.3);
    glia_value *sigmoid = glia_op_sigmoid_cross_entropy(h, y);
    GIVES(sigmoid, 0.4214222276);
    GIVES(gradient(sigmoid, h), -0.0397343073, 0.0896471405, 0.107486444);
    GIVES(gradient(sigmoid, y), -0.666666667, 0.333333333, -0.166666667);
    glia_value *out = F64(g, D(5), 1000, 1000, -1000, -1000, 0), *truth = F64(g, D(5), 0, 1, 1, 0, 0.3);
    GIVES(glia_op_sigmoid_cross_entropy(out, truth), (1000 + 0 + 1000 + 0 + 0.69314718056) / 5);
    glia_value *zero = F64(g, D(5), 0, 0, 0, 0, 0), *d = F64(g, D(5), -1, 1, 0.5, -2, 0);
    glia_value *huber = glia_op_huber(d, zero, (glia_huber_attrs){0});
    GIVES(huber, (0.5 + 0.5 + 0.125 + 1.5) / 5);
    GIVES(gradient(huber, d), -0.2, 0.2, 0.1, -0.2, 0);
    GIVES(gradient(glia_op_mae(d, zero), d), -0.2, 0.2, 0.2, -0.2, 0);
    glia_graph_free(g);
}

/* --- indices out of range: an error that says which, never a crash ---------------------------------------- */

TEST(indices_out_of_range) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(2, 3), 1, 2, 3, 4, 5, 6);
    const struct {
        glia_value *value;
        const char *says;
    } wrong[] = {
        {cross_entropy(x, I64(g, D(2), 0, 3)), "label 3 of example 1 in the batch is out of range 0 … 2"},
        {cross_entropy(x, I64(g, D(2), -1, 0)), "label -1 of example 0"},
        {cross_entropy(x, I32(g, D(2), 0, 2147483647)), "label 2147483647 of example 1"},
        {glia_op_categorical_cross_entropy(x, I64(g, D(2), 0, 3)), "label 3 of example 1"},
        {gradient(cross_entropy(x, I64(g, D(2), 0, 3)), x), "label 3 of example 1"},
        {gradient(glia_op_categorical_cross_entropy(x, I64(g, D(2), 5, 0)), x), "label 5 of example 0"},
        {glia_op_gather(x, I64(g, D(3), 0, 1, 2), (glia_gather_attrs){0}),
         "index 2 at position 2 is out of range 0 … 1"},
        {glia_op_gather(x, I64(g, D(1), -1), (glia_gather_attrs){.axis = 1}),
         "index -1 at position 0 is out of range 0 … 2"},
        {glia_op_one_hot(I64(g, D(2), 1, 4), (glia_one_hot_attrs){.depth = 4}),
         "index 4 at position 1 is out of range 0 … 3"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        glia_error err = {0};
        CHECK_ERR(run_for(wrong[i].value, &err), GLIA_BAD_DATA, &err, wrong[i].says);
    }
    glia_graph_free(g);
}

/* --- images ----------------------------------------------------------------------------------------------- */

/* y, and the gradients of Σ y·r by x and w. In f64 by ref, in f32 by what the planner chooses (oneDNN). */
static void check_conv(int line, glia_shape xs, glia_shape ws, const double *bias, glia_conv2d_attrs attrs,
                       const double *y, const double *dx, const double *dw) {
    for (int dtype = GLIA_F32; dtype <= GLIA_F64; dtype++) {
        glia_graph *g = glia_graph_new(NULL);
        glia_value *x = pattern(g, dtype, xs, 7, 11, 5), *w = pattern(g, dtype, ws, 5, 7, 3);
        glia_value *b = bias ? array(g, dtype, D(ws.dim[0]), bias) : NULL;
        glia_value *found = glia_op_conv2d(x, w, b, attrs);
        glia_shape shape = glia_value_shape(found);
        glia_value *r = pattern(g, dtype, shape, 3, 5, 2), *product = glia_op_mul(found, r);
        check_values("conv2d", line, found, y, glia_shape_elems(&shape), 1e-6);
        check_values("conv2d dx", line, gradient(product, x), dx, glia_shape_elems(&xs), 1e-6);
        check_values("conv2d dw", line, gradient(product, w), dw, glia_shape_elems(&ws), 1e-6);
        glia_graph_free(g);
    }
}

TEST(convolutions) {
    check_conv(
        __LINE__, D(1, 2, 5, 6), D(2, 2, 3, 2), NUMBERS(10, -20),
        (glia_conv2d_attrs){.strides = {2, 3}, .dilation = {1, 2}},
        NUMBERS(36, 36, 25, -8, -56, -44, -30, -18),
        NUMBERS(6, 0, -4, -5, 0, 4, 0, 0, 4, 6, 0, -6, -2, 0, -5, -4, 0, 10, -3, 0, 4, 3, 0, -6, -3, 0, -3, 6,
                0, 4, 2, 0, 6, -7, 0, -5, -4, 0, 0, 4, 0, 6, 8, 0, -2, -11, 0, -4, -3, 0, -3, 5, 0, 3, 4, 0,
                -3, -6, 0, 6),
        NUMBERS(15, 4, -7, 4, -7, -7, 4, 15, -7, 4, -7, 15, -9, 7, -5, 11, -1, -7, 11, -6, -7, 9, -3, -9));
    check_conv(__LINE__, D(1, 2, 5, 6), D(2, 2, 3, 2), NULL,
               (glia_conv2d_attrs){.strides = {2, 2}, .padding = 2, .pads = {1, 0, 2, 1}},
               NUMBERS(-7, -3, -10, -25, -3, -3, -12, -5, 24, 24, 20, 5, 20, -16, -8, 36, 11, -36),
               NUMBERS(0, 4, 6, -6, -3, 4, -13, 3, 5, 3, 3, -7, 3, -6, -6, 4, 0, 4, 1, 8, 4, -7, -13, 3, 6,
                       -6, -3, 4, 3, -6, -4, 0, 4, 6, -3, -3, -1, -13, 0, 5, 6, 3, 5, 3, -2, -6, -4, 0, -13,
                       1, 8, 4, -1, -13, 4, 6, -3, -3, 5, 3),
               NUMBERS(-3, 11, 22, 0, -1, -4, -1, 13, 22, -22, -3, -6, -4, 11, 14, -22, 13, -9, -5, 10, -10,
                       20, 13, -9));
    check_conv(__LINE__, D(1, 1, 3, 4), D(1, 1, 2, 2), NULL,
               (glia_conv2d_attrs){.padding = 1}, /* same: one more after */
               NUMBERS(25, -18, 16, -15, -15, 19, -2, 0, 18, -11, -7, 15),
               NUMBERS(6, -7, 5, -8, 0, 10, -9, 7, -6, 4, 10, -9), NUMBERS(23, -3, -11, 7));
    check_conv(__LINE__, D(1, 4, 3, 3), D(4, 2, 2, 2), NULL, (glia_conv2d_attrs){.groups = 2},
               NUMBERS(29, -25, -1, -11, -23, 13, -3, 0, -17, -17, -6, 16, 3, 0, -6, 13),
               NUMBERS(6, -11, 2, 5, -2, -4, -2, 7, -7, -6, -1, 3, 0, 14, -4, -2, 6, -8, 2, -11, 6, 5, 13,
                       -10, -6, -1, 3, 1, -14, 4, 6, 13, -11, -4, 2, 4),
               NUMBERS(9, -13, -13, -13, -13, 9, -13, 20, 0, 8, 2, 10, 6, 3, 8, -17, -3, 4, 7, -19, 5, 1, 4,
                       0, 2, 6, -19, 7, 5, -2, 6, -1));
    check_conv(__LINE__, D(1, 4, 3, 3), D(4, 1, 2, 2), NULL, (glia_conv2d_attrs){.groups = 4},
               NUMBERS(17, -4, -13, -1, 12, -21, 12, -10, -13, 8, 17, -17, 11, -7, 12, -6),
               NUMBERS(6, -7, 2, 3, -4, 2, 0, 2, -4, 0, -6, -2, 3, 0, 5, -1, -2, 3, 4, 0, 0, -8, 8, 0, 4, -8,
                       3, -1, 3, -2, 3, -10, 6, 0, 6, -4),
               NUMBERS(9, -13, -13, -13, 6, 3, 8, -17, -3, 4, 7, -19, 5, -2, 6, -1));
}

TEST(pools) {
    glia_graph *g = glia_graph_new(NULL);
    const glia_pool2d_attrs around = {.size = {2, 2}, .strides = {1, 1}, .padding = 2, .pads = {1, 1, 1, 1}};
    const glia_pool2d_attrs same = {.size = {2, 2}, .strides = {2, 2}, .padding = 1},
                            plain = {.size = {2, 2}};
    glia_value *x = F64(g, D(1, 1, 3, 3), 1, 2, 3, 4, 5, 6, 7, 8, 9);
    /* Padding does not count (count_include_pad=False), as in Keras and ONNX. */
    GIVES(glia_op_average_pool2d(x, around), 1, 1.5, 2.5, 3, 2.5, 3, 4, 4.5, 5.5, 6, 7, 7.5, 7, 7.5, 8.5, 9);
    GIVES(glia_op_average_pool2d(x, same), 3, 4.5, 7.5, 9);
    GIVES(gradient(glia_op_average_pool2d(x, same), x), 0.25, 0.25, 0.5, 0.25, 0.25, 0.5, 0.5, 0.5, 1);
    GIVES(glia_op_max_pool2d(x, same), 5, 6, 8, 9);
    GIVES(glia_op_max_pool2d(glia_op_neg(x), around), -1, -1, -2, -3, -1, -1, -2, -3, -4, -4, -5, -6, -7, -7,
          -8, -9); /* a pad never wins */
    glia_value *n = F64(g, D(1, 1, 2, 4), 1, NAN, 3, 3, 3, 2, 3, 3);
    GIVES(glia_op_max_pool2d(n, plain), NAN, 3);
    GIVES(gradient(glia_op_max_pool2d(n, plain), n), 0, 1, 1, 0, 0, 0, 0, 0); /* the first of equals */
    const glia_pool2d_attrs general = {
        .size = {2, 2}, .strides = {2, 2}, .padding = 2}; /* by the general loops */
    GIVES(glia_op_max_pool2d(n, general), NAN, 3);
    GIVES(gradient(glia_op_max_pool2d(n, general), n), 0, 1, 1, 0, 0, 0, 0, 0);
    GIVES(glia_op_global_average_pool2d(F64(g, D(1, 2, 1, 2), 1, 2, 3, 6),
                                        (glia_global_average_pool2d_attrs){GLIA_DEFAULT}),
          1.5, 4.5);
    glia_graph_free(g);
}

TEST_MAIN(TEST_ENTRY(pow_at_its_edges), TEST_ENTRY(nan_passes_and_ties_share),
          TEST_ENTRY(functions_at_their_edges), TEST_ENTRY(casts_at_their_edges),
          TEST_ENTRY(broadcasting_at_its_edges), TEST_ENTRY(softmax_at_its_edges),
          TEST_ENTRY(cross_entropy_on_known_numbers), TEST_ENTRY(indices_out_of_range),
          TEST_ENTRY(convolutions), TEST_ENTRY(pools))
