/* test_ops_values.c: unary, binary, comparison, reduction, softmax, random and cast ops against values known from
 * elsewhere (NumPy, SciPy, or by hand). The op engine checks that an op agrees with itself; this, that it is right. */

#include "op_values.h"

#include "graph/op.h"

/* --- unary ------------------------------------------------------------------------------------------------ */

TEST(unary) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(5), -3, -0.5, 0, 0.25, 2), *p = F64(g, D(3), 0.25, 1, 4);
    GIVES(glia_op_neg(x), 3, 0.5, 0, -0.25, -2);
    GIVES(glia_op_abs(x), 3, 0.5, 0, 0.25, 2);
    GIVES(glia_op_sign(x), -1, -1, 0, 1, 1);
    GIVES(glia_op_square(x), 9, 0.25, 0, 0.0625, 4);
    GIVES(glia_op_sqrt(p), 0.5, 1, 2);
    GIVES(glia_op_rsqrt(p), 2, 1, 0.5);
    GIVES(glia_op_reciprocal(p), 4, 1, 0.25);
    GIVES(glia_op_exp(x), 0.0497870683679, 0.606530659713, 1, 1.28402541669, 7.38905609893);
    GIVES(glia_op_log(p), -1.38629436112, 0, 1.38629436112);
    GIVES(glia_op_log1p(p), 0.223143551314, 0.69314718056, 1.60943791243);
    GIVES(glia_op_expm1(x), -0.950212932, -0.39346934, 0, 0.284025417, 6.3890561);
    GIVES(glia_op_sin(x), -0.141120008, -0.479425539, 0, 0.247403959, 0.909297427);
    GIVES(glia_op_cos(x), -0.989992497, 0.877582562, 1, 0.968912422, -0.416146837);
    GIVES(glia_op_erf(x), -0.99997791, -0.520499878, 0, 0.27632639, 0.995322265);
    glia_value *r = F64(g, D(7), -2.5, -1.2, -0.5, 0.5, 1.5, 2.5, 2.6);
    GIVES(glia_op_floor(r), -3, -2, -1, 0, 1, 2, 2);
    GIVES(glia_op_ceil(r), -2, -1, 0, 1, 2, 3, 3);
    GIVES(glia_op_round(r), -2, -1, 0, 0, 2, 2, 3);
    GIVES(gradient(glia_op_floor(r), r), 0, 0, 0, 0, 0, 0, 0);
    GIVES(gradient(glia_op_abs(x), x), -1, -1, 0, 1, 1);
    GIVES(gradient(glia_op_sqrt(p), p), 1, 0.5, 0.25);
    glia_graph_free(g);
}

TEST(activations) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(5), -3, -0.5, 0, 0.25, 2);
    GIVES(glia_op_relu(x), 0, 0, 0, 0.25, 2);
    GIVES(glia_op_leaky_relu(x, (glia_leaky_relu_attrs){0}), -0.03, -0.005, 0, 0.25, 2);
    GIVES(glia_op_leaky_relu(x, (glia_leaky_relu_attrs){.slope = 0.5}), -1.5, -0.25, 0, 0.25, 2);
    GIVES(glia_op_sigmoid(x), 0.0474258732, 0.377540669, 0.5, 0.562176501, 0.880797078);
    GIVES(glia_op_tanh(x), -0.995054754, -0.462117157, 0, 0.244918662, 0.96402758);
    GIVES(glia_op_softplus(x), 0.0485873516, 0.474076984, 0.693147181, 0.82593942, 2.12692801);
    GIVES(glia_op_silu(x), -0.14227762, -0.188770334, 0, 0.140544125, 1.76159416);
    GIVES(glia_op_elu(x, (glia_elu_attrs){0}), -0.950212932, -0.39346934, 0, 0.25, 2);
    GIVES(glia_op_selu(x), -1.67056873, -0.691758188, 0, 0.262675247, 2.10140197);
    GIVES(glia_op_gelu(x, (glia_gelu_attrs){0}), -0.00404969409, -0.154268769, 0, 0.149676581, 1.95449974);
    GIVES(glia_op_gelu(x, (glia_gelu_attrs){1}), -0.00363739208, -0.15428599, 0, 0.149675351, 1.95459769);
    GIVES(glia_op_softsign(x), -0.75, -1 / 3.0, 0, 0.2, 2 / 3.0);
    GIVES(glia_op_hard_sigmoid(x, (glia_hard_sigmoid_attrs){0}), 0, 0.4, 0.5, 0.55, 0.9);
    GIVES(glia_op_clip(x, (glia_clip_attrs){-1, 1}), -1, -0.5, 0, 0.25, 1);
    GIVES(glia_op_clip(x, (glia_clip_attrs){0, INFINITY}), 0, 0, 0, 0.25, 2);
    GIVES(gradient(glia_op_relu(x), x), 0, 0, 0, 1, 1);
    GIVES(gradient(glia_op_clip(x, (glia_clip_attrs){-0.5, 1}), x), 0, 1, 1, 1, 0); /* passes at a bound */
    GIVES(gradient(glia_op_sigmoid(x), x), 0.0451766597, 0.235003712, 0.25, 0.246134083, 0.104993585);
    glia_graph_free(g);
}

/* Slopes by finite differences in NumPy: 1e-8 is what they are good for. */
TEST(activation_slopes) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(5), -3, -0.5, 0, 0.25, 2);
    GIVES(gradient(glia_op_gelu(x, (glia_gelu_attrs){0}), x), -0.0119456472, 0.132504875, 0.5, 0.695373355,
          1.0852318);
    GIVES(gradient(glia_op_gelu(x, (glia_gelu_attrs){1}), x), -0.0115841666, 0.132630096, 0.5, 0.695354095,
          1.08609926);
    GIVES(gradient(glia_op_silu(x), x), -0.088104106, 0.260038813, 0.5, 0.623710022, 1.09078425);
    GIVES(gradient(glia_op_softplus(x), x), 0.0474258732, 0.377540669, 0.5, 0.562176501, 0.880797078);
    GIVES(gradient(glia_op_elu(x, (glia_elu_attrs){.alpha = 2}), x), 0.0995741367, 1.21306132, 2, 1, 1);
    glia_graph_free(g);
}

/* Far out: no overflow, no cancellation, and NaN is passed on. */
TEST(unary_extremes) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F32(g, D(6), -1000, -80, -30, 30, 1000, NAN);
    GIVES_F32(glia_op_softplus(x), 0, 1.80485139e-35, 9.35762297e-14, 30, 1000, NAN);
    GIVES_F32(glia_op_sigmoid(x), 0, 1.80485139e-35, 9.35762297e-14, 1, 1, NAN);
    GIVES_F32(glia_op_relu(x), 0, 0, 0, 30, 1000, NAN);
    GIVES_F32(glia_op_clip(x, (glia_clip_attrs){-90, 90}), -90, -80, -30, 30, 90, NAN);
    GIVES_F32(glia_op_sign(x), -1, -1, -1, 1, 1, NAN);
    GIVES_F32(glia_op_gelu(x, (glia_gelu_attrs){1}), 0, 0, 0, 30, 1000, NAN);
    GIVES_F32(gradient(glia_op_gelu(x, (glia_gelu_attrs){1}), x), 0, 0, 0, 1, 1, NAN);
    GIVES_F32(gradient(glia_op_silu(x), x), 0, 0, -2.71371066e-12, 1, 1, NAN);
    /* relative: log1p and erfc keep what 1 + small would lose */
    glia_value *tail = glia_op_mul(glia_op_gelu(F32(g, D(1), -6), (glia_gelu_attrs){0}), F32(g, D(1), 1e9));
    check_values("gelu(-6)", __LINE__, tail, NUMBERS(-5.91952587), 1, 1e-5);
    glia_value *left = glia_op_mul(glia_op_softplus(F32(g, D(1), -30)), F32(g, D(1), 1e13));
    GIVES_F32(left, 0.935762297);
    glia_graph_free(g);
}

/* --- binary ----------------------------------------------------------------------------------------------- */

TEST(binary) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *a = F64(g, D(2, 2), 5, -5, 5, -5.5), *b = F64(g, D(2, 2), 3, 3, -3, 2);
    GIVES(glia_op_add(a, b), 8, -2, 2, -3.5);
    GIVES(glia_op_sub(a, b), 2, -8, 8, -7.5);
    GIVES(glia_op_mul(a, b), 15, -15, -15, -11);
    GIVES(glia_op_div(a, b), 5 / 3.0, -5 / 3.0, -5 / 3.0, -2.75);
    GIVES(glia_op_pow(a, b), 125, -125, 0.008, 30.25);
    GIVES(glia_op_mod(a, b), 2, 1, -1, 0.5);
    GIVES(glia_op_maximum(a, b), 5, 3, 5, 2);
    GIVES(glia_op_minimum(a, b), 3, -5, -3, -5.5);
    glia_value *n = F64(g, D(3), NAN, 1, NAN), *m = F64(g, D(3), 1, NAN, NAN);
    GIVES(glia_op_maximum(n, m), NAN, NAN, NAN);
    GIVES(glia_op_minimum(n, m), NAN, NAN, NAN);
    glia_value *i = I32(g, D(4), 7, -7, 7, 5), *j = I32(g, D(4), 3, 3, -3, 0);
    GIVES(glia_op_mod(i, j), 1, 2, -2, 0);
    glia_value *big = I32(g, D(1), 2147483647);
    GIVES(glia_op_add(big, I32(g, D(1), 1)), -2147483648.0);
    GIVES(glia_op_mul(I64(g, D(2), 3000000000, -4), I64(g, D(2), 3, 5)), 9e9, -20);
    glia_graph_free(g);
}

TEST(broadcasting) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *m = F64(g, D(2, 3), 1, 2, 3, 4, 5, 6), *row = F64(g, D(3), 10, 20, 30),
               *column = F64(g, D(2, 1), 100, 200), *one = F64(g, D(1, 1, 1), 7);
    GIVES(glia_op_add(m, row), 11, 22, 33, 14, 25, 36);
    GIVES(glia_op_add(row, m), 11, 22, 33, 14, 25, 36);
    GIVES(glia_op_add(m, column), 101, 102, 103, 204, 205, 206);
    GIVES(glia_op_sub(column, row), 90, 80, 70, 190, 180, 170);
    GIVES(glia_op_add(m, one), 8, 9, 10, 11, 12, 13);
    glia_value *images = F64(g, D(2, 2, 1, 2), 1, 2, 3, 4, 5, 6, 7, 8), *channel = F64(g, D(2, 1, 1), 10, 20);
    GIVES(glia_op_mul(images, channel), 10, 20, 60, 80, 50, 60, 140, 160);
    GIVES(gradient(glia_op_mul(images, channel), channel), 14, 22);
    GIVES(gradient(glia_op_mul(m, row), row), 5, 7, 9);
    GIVES(gradient(glia_op_sub(m, column), column), -3, -3);
    GIVES(gradient(glia_op_div(m, one), one), -21 / 49.0);
    glia_graph_free(g);
}

/* Ties share evenly; pow at the edges is finite. */
TEST(binary_gradients) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *a = F64(g, D(3), 1, 2, 3), *b = F64(g, D(3), 2, 2, 2);
    GIVES(gradient(glia_op_maximum(a, b), a), 0, 0.5, 1);
    GIVES(gradient(glia_op_maximum(a, b), b), 1, 0.5, 0);
    GIVES(gradient(glia_op_minimum(a, b), a), 1, 0.5, 0);
    GIVES(gradient(glia_op_minimum(a, b), b), 0, 0.5, 1);
    glia_value *base = F64(g, D(4), 0, 0, -2, 2), *power = F64(g, D(4), 0, 2, 3, 3);
    GIVES(gradient(glia_op_pow(base, power), base), 0, 0, 12, 12);
    GIVES(gradient(glia_op_pow(base, power), power), 0, 0, 0, 8 * 0.69314718056);
    glia_graph_free(g);
}

TEST(symbolic_batch) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = glia_graph_input(g, "x", GLIA_F32, D(GLIA_DIM_BATCH, 3));
    glia_value *bias = F32(g, D(3), 1, 2, 3), *scale = glia_op_mean(x, KEPT(0));
    glia_value *y = glia_op_mul(glia_op_add(x, bias), scale);
    glia_shape shape = glia_value_shape(y);
    CHECK_INT(shape.dim[0], GLIA_DIM_BATCH);
    CHECK_INT(shape.dim[1], 3);
    glia_value *loss = glia_op_mean(glia_op_square(glia_op_mean(y, AXES(1))), ALL), *dx = NULL;
    glia_error err = {0};
    CHECK_OK(glia_graph_gradients(g, loss, &x, 1, &dx, &err), &err);
    shape = glia_value_shape(dx);
    CHECK_INT(shape.dim[0], GLIA_DIM_BATCH);
    /* Against central differences, for a batch of 4. */
    glia_value *outputs[] = {loss, dx};
    glia_program *p = NULL;
    CHECK_OK(glia_program_new(&p, g, outputs, 2, (glia_program_options){.dims = {4}, .threads = 1}, &err),
             &err);
    float data[12];
    for (int i = 0; i < 12; i++) data[i] = (float)(i * 7 % 5) / 4 - 0.3f;
    CHECK_OK(glia_program_bind(p, x, data, &err), &err);
    CHECK_OK(glia_program_run(p, 0, &err), &err);
    float slopes[12];
    glia_tensor out = glia_program_output(p, dx);
    memcpy(slopes, out.data, sizeof slopes);
    for (int i = 0; i < 12; i++) {
        const float kept = data[i], step = 1.0f / 64;
        double side[2];
        for (int s = 0; s < 2; s++) {
            data[i] = kept + (s ? step : -step);
            CHECK_OK(glia_program_run(p, 0, &err), &err);
            out = glia_program_output(p, loss);
            side[s] = glia_tensor_get(&out, 0);
        }
        data[i] = kept;
        CHECK_NEAR(slopes[i], (side[1] - side[0]) * 32, 1e-3);
    }
    glia_program_free(p);
    glia_graph_free(g);
}

TEST(comparisons_and_choice) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *a = F32(g, D(4), 1, 2, 3, NAN), *b = F32(g, D(1), 2);
    GIVES(glia_op_equal(a, b), 0, 1, 0, 0);
    GIVES(glia_op_not_equal(a, b), 1, 0, 1, 1);
    GIVES(glia_op_less(a, b), 1, 0, 0, 0);
    GIVES(glia_op_less_equal(a, b), 1, 1, 0, 0);
    GIVES(glia_op_greater(a, b), 0, 0, 1, 0);
    GIVES(glia_op_greater_equal(a, b), 0, 1, 1, 0);
    glia_value *low = glia_op_less(a, b), *same = glia_op_equal(a, b);
    GIVES(glia_op_logical_or(low, same), 1, 1, 0, 0);
    GIVES(glia_op_logical_and(low, glia_op_logical_not(same)), 1, 0, 0, 0);
    CHECK(glia_value_dtype(low) == GLIA_BOOL);
    glia_value *x = F32(g, D(4), 10, 20, 30, 40), *y = F32(g, D(2, 1), -1, -2);
    GIVES(glia_op_where(low, x, y), 10, -1, -1, -1, 10, -2, -2, -2);
    GIVES(gradient(glia_op_where(low, x, y), x), 2, 0, 0, 0);
    GIVES(gradient(glia_op_where(low, x, y), y), 3, 3);
    glia_graph_free(g);
}

/* --- reductions ------------------------------------------------------------------------------------------- */

TEST(reductions) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(2, 3, 2), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    GIVES(glia_op_sum(x, ALL), 78);
    GIVES(glia_op_sum(x, AXES(0)), 8, 10, 12, 14, 16, 18);
    GIVES(glia_op_sum(x, AXES(1)), 9, 12, 27, 30);
    GIVES(glia_op_sum(x, AXES(-1)), 3, 7, 11, 15, 19, 23);
    GIVES(glia_op_sum(x, AXES(0, 2)), 18, 26, 34);
    GIVES(glia_op_sum(x, KEPT(2, 0)), 18, 26, 34);
    CHECK_INT(glia_value_shape(glia_op_sum(x, KEPT(2, 0))).rank, 3);
    GIVES(glia_op_mean(x, AXES(0, 2)), 4.5, 6.5, 8.5);
    GIVES(glia_op_max(x, AXES(1)), 5, 6, 11, 12);
    GIVES(glia_op_min(x, AXES(0, 1)), 1, 2);
    GIVES(glia_op_prod(x, AXES(2)), 2, 12, 30, 56, 90, 132);
    glia_value *n = F64(g, D(3), 1, NAN, 3);
    GIVES(glia_op_max(n, ALL), NAN);
    GIVES(glia_op_min(n, ALL), NAN);
    GIVES(glia_op_argmax(n, ARG_ALL), 1);
    glia_value *i = I32(g, D(2, 2), 2147483647, 1, -3, 4);
    GIVES(glia_op_sum(i, AXES(1)), -2147483648.0, 1);
    GIVES(glia_op_max(i, AXES(0)), 2147483647, 4);
    glia_value *t = F64(g, D(2, 3), 1, 5, 5, 9, 2, 9);
    GIVES(glia_op_argmax(t, ARG_AXIS(1)), 1, 0);
    GIVES(glia_op_argmax(t, ARG_AXIS(0)), 1, 0, 1);
    GIVES(glia_op_argmin(t, ARG_AXIS(1)), 0, 1);
    GIVES(glia_op_argmax(t, ARG_ALL), 3);
    CHECK(glia_value_dtype(glia_op_argmax(t, ARG_ALL)) == GLIA_I64);
    glia_value *none = array(g, GLIA_F64, D(0, 2), NULL);
    GIVES(glia_op_sum(none, AXES(0)), 0, 0);
    GIVES(glia_op_prod(none, AXES(0)), 1, 1);
    GIVES(glia_op_mean(none, AXES(0)), NAN, NAN);
    GIVES(glia_op_max(none, AXES(0)), -INFINITY, -INFINITY);
    glia_graph_free(g);
}

TEST(reduction_gradients) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(2, 3), 1, 5, 5, 9, 2, 3), *w = F64(g, D(2), 1, 10);
    GIVES(gradient(glia_op_mul(glia_op_sum(x, AXES(1)), w), x), 1, 1, 1, 10, 10, 10);
    GIVES(gradient(glia_op_mul(glia_op_mean(x, AXES(1)), w), x), 1 / 3.0, 1 / 3.0, 1 / 3.0, 10 / 3.0,
          10 / 3.0, 10 / 3.0);
    GIVES(gradient(glia_op_mul(glia_op_max(x, AXES(1)), w), x), 0, 0.5, 0.5, 10, 0, 0);
    GIVES(gradient(glia_op_min(x, KEPT(0)), x), 1, 0, 0, 0, 1, 1);
    glia_value *z = F64(g, D(3, 3), 2, 3, 4, 2, 0, 4, 0, 0, 4);
    GIVES(gradient(glia_op_prod(z, AXES(1)), z), 12, 8, 6, 0, 8, 0, 0, 0, 0);
    glia_graph_free(g);
}

/* A million times 0.1f: added one after the other in f32 it would be 100958.3. */
TEST(sums_are_accurate) {
    enum { N = 1000000 };
    float *data = malloc(N * sizeof *data);
    for (int i = 0; i < N; i++) data[i] = 0.1f;
    glia_graph *g = glia_graph_new(NULL);
    for (int first = 0; first < 2; first++) {
        glia_tensor t = glia_tensor_wrap(data, GLIA_F32, first ? D(N / 4, 4) : D(4, N / 4));
        glia_value *x = glia_graph_const(g, &t);
        const double quarter = (double)(float)(0.1f * (double)(N / 4));
        GIVES(glia_op_sum(x, AXES(first ? 0 : 1)), quarter, quarter, quarter, quarter);
    }
    glia_graph_free(g);
    free(data);
}

/* Every shape of tile and rest: columns beyond a tile of 256, rows beyond the lanes. */
TEST(reductions_of_many_sizes) {
    static const int64_t sizes[] = {1, 2, 15, 16, 17, 255, 256, 257, 600};
    glia_graph *g = glia_graph_new(NULL);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t t = 0; t < sizeof sizes / sizeof *sizes; t++) {
            const int64_t rows = sizes[s], columns = sizes[t];
            double *x = malloc((size_t)(rows * columns) * 8);
            double *down = calloc((size_t)columns, 8), *right = calloc((size_t)rows, 8);
            for (int64_t i = 0; i < rows * columns; i++) {
                x[i] = (double)(i * 37 % 101);
                down[i % columns] += x[i];
                right[i / columns] += x[i];
            }
            glia_value *v = array(g, GLIA_F64, D(rows, columns), x);
            check_values("sum over rows", (int)rows, glia_op_sum(v, AXES(0)), down, columns, 1e-12);
            check_values("sum over columns", (int)columns, glia_op_sum(v, AXES(1)), right, rows, 1e-12);
            free(x);
            free(down);
            free(right);
        }
    glia_graph_free(g);
}

/* --- softmax, dropout, cast ------------------------------------------------------------------------------- */

TEST(softmax) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(2, 3), 1, 2, 3, 0, 0, 1000), *w = F64(g, D(2, 3), 1, 0, 0, 0, 1, 0);
    GIVES(glia_op_softmax(x, -1), 0.0900305732, 0.244728471, 0.665240956, 0, 0, 1);
    GIVES(glia_op_softmax(x, 0), 0.731058579, 0.880797078, 0, 0.268941421, 0.119202922, 1);
    GIVES(glia_op_log_softmax(x, 1), -2.40760596, -1.40760596, -0.407605964, -1000, -1000, 0);
    /* s₀(1 − s₀), −s₀s₁, −s₀s₂ */
    GIVES(gradient(glia_op_mul(glia_op_softmax(x, 1), w), x), 0.0819250691, -0.0220330447, -0.0598920245, 0,
          0, 0);
    GIVES(gradient(glia_op_mul(glia_op_log_softmax(x, 1), w), x), 1 - 0.0900305732, -0.244728471,
          -0.665240956, 0, 1, -1);
    glia_graph_free(g);
}

/* The share of zeros, the scale, the same mask for the gradient, another one for another stream and step. */
TEST(dropout) {
    enum { N = 40000 };
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_value *x = glia_graph_input(g, "x", GLIA_F32, D(GLIA_DIM_BATCH, 8));
    glia_value *a = glia_op_dropout(x, (glia_dropout_attrs){.rate = 0.3}),
               *b = glia_op_dropout(x, (glia_dropout_attrs){.rate = 0.3}), *dx = gradient(a, x);
    glia_value *outputs[] = {a, b, dx};
    float *ones = malloc(N * sizeof *ones), *first = malloc(N * sizeof *first);
    for (int i = 0; i < N; i++) ones[i] = 1;
    for (int threads = 1; threads <= 3; threads += 2) {
        glia_program *p = NULL;
        glia_program_options options = {.dims = {N / 8}, .threads = threads, .training = GLIA_YES, .seed = 5};
        CHECK_OK(glia_program_new(&p, g, outputs, 3, options, &err), &err);
        CHECK_OK(glia_program_bind(p, x, ones, &err), &err);
        CHECK_OK(glia_program_run(p, 11, &err), &err);
        const float *ya = glia_program_output(p, a).data, *yb = glia_program_output(p, b).data;
        int zeros = 0, both = 0;
        for (int i = 0; i < N; i++) {
            zeros += ya[i] == 0;
            both += ya[i] == 0 && yb[i] == 0;
            if (ya[i] != 0) CHECK_NEAR(ya[i], 1 / 0.7, 1e-6);
        }
        CHECK_NEAR(zeros / (double)N, 0.3, 0.01);
        CHECK_NEAR(both / (double)N, 0.09, 0.01);
        CHECK(memcmp(ya, glia_program_output(p, dx).data, N * sizeof *ya) == 0);
        if (threads == 1)
            memcpy(first, ya, N * sizeof *first);
        else
            CHECK(memcmp(first, ya, N * sizeof *first) == 0); /* whatever the cut */
        CHECK_OK(glia_program_run(p, 12, &err), &err);
        CHECK(memcmp(first, glia_program_output(p, a).data, N * sizeof *first) != 0);
        glia_program_free(p);
    }
    /* Not training: nothing happens. */
    glia_program *p = NULL;
    CHECK_OK(glia_program_new(&p, g, &a, 1, (glia_program_options){.dims = {N / 8}}, &err), &err);
    CHECK_OK(glia_program_bind(p, x, ones, &err), &err);
    CHECK_OK(glia_program_run(p, 0, &err), &err);
    CHECK(memcmp(ones, glia_program_output(p, a).data, N * sizeof *ones) == 0);
    glia_program_free(p);
    free(ones);
    free(first);
    glia_graph_free(g);
}

/* A batch that is run in two pieces meets the numbers of the whole. */
TEST(random_numbers_of_pieces) {
    enum { N = 6, C = 5, W = 3, ELEMS = N * C * W };
    static const char *const ops[][2] = {{"dropout", "rate=0.5 stream=4"},
                                         {"shared_dropout", "rate=0.5 dims=2 stream=4"},
                                         {"shared_dropout", "rate=0.5 dims=1 stream=4"},
                                         {"alpha_dropout", "rate=0.5 stream=4"},
                                         {"gaussian_noise", "deviation=1 stream=4"}};
    float ones[ELEMS], whole[ELEMS], pieces[ELEMS];
    for (int i = 0; i < ELEMS; i++) ones[i] = 1;
    for (size_t k = 0; k < GLIA_COUNT(ops); k++) {
        glia_graph *g = glia_graph_new(NULL);
        glia_value *x = glia_graph_input(g, "x", GLIA_F32, D(GLIA_DIM_BATCH, C, W)),
                   *y = glia_graph_apply_text(g, ops[k][0], &x, 1, ops[k][1]);
        for (int64_t piece = 0; piece < 3; piece++) { /* all; the first two examples; the others */
            const int64_t first = piece == 2 ? 2 : 0, count = piece ? piece * 2 : N;
            glia_error err = {0};
            glia_program *p = NULL;
            const glia_program_options options = {
                .dims = {count}, .threads = 2, .training = GLIA_YES, .seed = 5};
            CHECK_OK(glia_program_new(&p, g, &y, 1, options, &err), &err);
            CHECK_OK(glia_program_bind(p, x, ones, &err), &err);
            glia_program_set_first(p, first);
            CHECK_OK(glia_program_run(p, 11, &err), &err);
            memcpy(piece ? pieces + first * C * W : whole, glia_program_output(p, y).data,
                   (size_t)(count * C * W) * sizeof(float));
            glia_program_free(p);
        }
        CHECK(memcmp(whole, pieces, sizeof whole) == 0);
        glia_graph_free(g);
    }
}

TEST(cast) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(8), -1.7, 1.7, 300, -300, 1e30, -1e30, NAN, 0);
    GIVES(glia_op_cast(x, GLIA_I32), -1, 1, 300, -300, 2147483647, -2147483648.0, 0, 0);
    GIVES(glia_op_cast(x, GLIA_I64), -1, 1, 300, -300, 9223372036854775807.0, -9223372036854775808.0, 0, 0);
    GIVES(glia_op_cast(x, GLIA_U8), 0, 1, 255, 0, 255, 0, 0, 0);
    GIVES(glia_op_cast(x, GLIA_BOOL), 1, 1, 1, 1, 1, 1, 1, 0);
    GIVES_F32(glia_op_cast(x, GLIA_F32), -1.7, 1.7, 300, -300, 1e30, -1e30, NAN, 0);
    GIVES(glia_op_cast(glia_op_cast(x, GLIA_BF16), GLIA_F32), -1.703125, 1.703125, 300, -300,
          1.00025555174e30, -1.00025555174e30, NAN, 0);
    glia_value *i = I64(g, D(3), 257, -1, 0);
    GIVES(glia_op_cast(i, GLIA_U8), 1, 255, 0);
    GIVES(glia_op_cast(i, GLIA_BOOL), 1, 1, 0);
    GIVES(glia_op_cast(i, GLIA_F64), 257, -1, 0);
    GIVES(gradient(glia_op_cast(F32(g, D(2), 1, 2), GLIA_F64), x), 0, 0, 0, 0, 0, 0, 0, 0);
    glia_value *f = F32(g, D(2), 1, 2);
    GIVES(gradient(glia_op_square(glia_op_cast(f, GLIA_F64)), f), 2, 4);
    glia_graph_free(g);
}

/* What the C exporter is to print: C99 with <tgmath.h>, not what macros made of it. */
TEST(expressions_are_plain) {
    for (size_t i = 0; i < glia__ops_count; i++) {
        const char *text = glia__ops[i]->c_expr;
        if (text && (strstr(text, "__") || strstr(text, "_Generic")))
            printf("%s: \"%s\"\n", glia__ops[i]->name, text), test_failures++;
        test_checks++;
    }
    CHECK_STR(glia__op_find("silu_backward")->c_expr, "x / (1 + exp(-y)) * (1 + y / (1 + exp(y)))");
}

/* Floats against the C library's doubles, over the whole range: see mathf.h. */
TEST(float_functions) {
    static const struct {
        const char *op;
        double (*exact)(double);
    } functions[] = {{"exp", exp}, {"expm1", expm1}, {"log1p", log1p}, {"tanh", tanh}};
    enum { STEP = 65521, N = (int)(0x100000000 / STEP) };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    for (uint32_t i = 0; i < N; i++) memcpy(&x[i], &(uint32_t){i * STEP}, sizeof *x);
    for (size_t f = 0; f < 4; f++) {
        glia_view in = {x, GLIA_F32, D(N)}, out = {y, GLIA_F32, D(N)};
        glia_call call = {.in = &in, .out = &out, .n_in = 1, .n_out = 1};
        CHECK(glia__op_find(functions[f].op)->ref(&call) == GLIA_OK);
        double worst = 0;
        int differ = 0; /* in being NaN or infinite */
        for (int i = 0; i < N; i++) {
            const double exact = functions[f].exact((double)x[i]);
            const float rounded = (float)exact;
            differ += isnan(rounded) != isnan(y[i]) || isinf(rounded) != isinf(y[i]);
            if (!isfinite(rounded) || !isfinite(y[i])) continue;
            const double ulp = fmax(fabs(rounded) - nextafterf(fabsf(rounded), 0), 0x1p-149);
            worst = fmax(worst, fabs((double)y[i] - exact) / ulp);
        }
        CHECK_INT(differ, 0);
        CHECK(worst < 3);
        if (!(worst < 3)) printf("  %s: %.2f units in the last place\n", functions[f].op, worst);
    }
    free(x);
    free(y);
}

/* Mistakes of a caller are told with both shapes or dtypes; NULL goes through. */
TEST(mistakes) {
    glia_error err = {0};
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = glia_graph_input(g, "x", GLIA_F32, D(GLIA_DIM_BATCH, 10));
    CHECK(glia_op_add(x, F32(g, D(3), 1, 2, 3)) == NULL);
    CHECK(glia_op_relu(glia_op_add(NULL, x)) == NULL);
    CHECK_ERR(glia_graph_status(g, &err), GLIA_BAD_SHAPE, &err, "add: shapes N×10 and 3 do not broadcast");
    glia_graph_free(g);
    g = glia_graph_new(NULL);
    CHECK(glia_op_sigmoid(I64(g, D(2), 1, 2)) == NULL);
    CHECK_ERR(glia_graph_status(g, &err), GLIA_BAD_SHAPE, &err, "sigmoid: expected f32 or f64, found i64 2");
    glia_graph_free(g);
    g = glia_graph_new(NULL);
    CHECK(glia_op_dropout(F32(g, D(2), 1, 2), (glia_dropout_attrs){.rate = 1}) == NULL);
    CHECK_ERR(glia_graph_status(g, &err), GLIA_INVALID_ARGUMENT, &err, "rate");
    glia_graph_free(g);
    CHECK(glia_op_relu(NULL) == NULL);
    CHECK(glia_op_softmax(NULL, -1) == NULL);
    CHECK(glia_op_dropout(NULL, (glia_dropout_attrs){.rate = 0.5}) == NULL);
}

TEST_MAIN(TEST_ENTRY(unary), TEST_ENTRY(activations), TEST_ENTRY(activation_slopes),
          TEST_ENTRY(unary_extremes), TEST_ENTRY(binary), TEST_ENTRY(broadcasting),
          TEST_ENTRY(binary_gradients), TEST_ENTRY(symbolic_batch), TEST_ENTRY(comparisons_and_choice),
          TEST_ENTRY(reductions), TEST_ENTRY(reduction_gradients), TEST_ENTRY(sums_are_accurate),
          TEST_ENTRY(reductions_of_many_sizes), TEST_ENTRY(softmax), TEST_ENTRY(dropout),
          TEST_ENTRY(random_numbers_of_pieces), TEST_ENTRY(cast), TEST_ENTRY(expressions_are_plain),
          TEST_ENTRY(float_functions), TEST_ENTRY(mistakes))
