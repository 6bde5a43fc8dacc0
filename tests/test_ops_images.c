/* test_ops_images.c: transposed and 3-D convolutions, pools over volumes, sampling, resizing and einsum on numbers worked out
 * elsewhere: PyTorch 2.13 in f64. */

#include "op_values.h"

/* 0·k, 1·k, 2·k … modulo m, less o. */
static glia_value *pattern(glia_graph *g, glia_dtype dtype, glia_shape shape, int k, int m, int o) {
    double numbers[512];
    for (int64_t i = 0; i < glia_shape_elems(&shape); i++) numbers[i] = (double)(i * k % m - o);
    return array(g, dtype, shape, numbers);
}

/* y, and the gradients of Σ y·r by a and b. */
static void check(int line, glia_value *y, glia_value *a, glia_value *b, const double *ys, const double *da,
                  const double *db) {
    const glia_shape shape = glia_value_shape(y), as = glia_value_shape(a), bs = glia_value_shape(b);
    glia_value *product = glia_op_mul(y, pattern(glia_value_graph(y), glia_value_dtype(y), shape, 3, 5, 2));
    check_values("y", line, y, ys, glia_shape_elems(&shape), 1e-6);
    check_values("da", line, gradient(product, a), da, glia_shape_elems(&as), 1e-6);
    check_values("db", line, gradient(product, b), db, glia_shape_elems(&bs), 1e-6);
}

/* In f64 by ref, in f32 by what the planner chooses (oneDNN). */
TEST(transposed) {
    for (int dtype = GLIA_F32; dtype <= GLIA_F64; dtype++) {
        glia_graph *g = glia_graph_new(NULL);
        glia_value *x = pattern(g, dtype, D(1, 2, 2, 3), 7, 11, 5),
                   *w = pattern(g, dtype, D(2, 2, 3, 2), 5, 7, 3);
        check(
            __LINE__,
            glia_op_conv_transpose2d(
                x, w, NULL,
                (glia_conv_transpose2d_attrs){
                    {.strides = {2, 2}, .padding = 2, .pads = {1, 1, 1, 1}, .groups = 1, .dilation = {1, 1}},
                    {1, 0}}),
            x, w,
            NUMBERS(18, 0, -4, 12, -6, 2, 5, -2, -4, 3, -4, 15, -1, 3, 3, -9, -12, 4, 0, 0, -27, -8, 2, -16,
                    -9, 3, 3, -1, 15, -4, 3, -4),
            NUMBERS(-2, -10, -7, 7, 10, -9, -7, -10, -2, 4, -6, 5),
            NUMBERS(1, 1, -5, 16, 6, -3, -5, -11, -1, 0, -5, 16, 7, -1, -13, 0, 12, -3, -11, -5, 7, 3, -13,
                    0));
        x = pattern(g, dtype, D(1, 4, 2, 2), 7, 11, 5), w = pattern(g, dtype, D(4, 1, 2, 2), 5, 7, 3);
        check(__LINE__,
              glia_op_conv_transpose2d(x, w, NULL,
                                       (glia_conv_transpose2d_attrs){
                                           .conv = {.strides = {1, 2}, .dilation = {2, 1}, .groups = 2}}),
              x, w,
              NUMBERS(18, -9, -15, 1, 18, 0, -15, 10, -1, 7, 3, 5, -4, -8, 0, -10, -6, -2, 4, 2, 3, -5, -9,
                      -1, 2, -8, 0, 5, -13, 7, 7, -13),
              NUMBERS(8, 5, -8, -1, -7, -2, -7, 8, -4, -1, -8, 5, -2, -3, -9, 5),
              NUMBERS(13, -2, -12, -12, 1, -13, 4, 5, 9, -7, 11, 0, -13, 5, 6, -1));
        glia_graph_free(g);
    }
}

TEST(volumes) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = pattern(g, GLIA_F64, D(1, 2, 2, 2, 3), 7, 11, 5),
               *w = pattern(g, GLIA_F64, D(2, 2, 2, 1, 2), 5, 7, 3);
    check(__LINE__,
          glia_op_conv3d(x, w, NULL,
                         (glia_conv3d_attrs){.strides = {2, 1, 1}, .padding = 2, .pads = {1, 0, 0, 1, 0, 0}}),
          x, w, NUMBERS(0, -9, 6, -3, -16, -17, -19, -20, 6, 6, -16, 6, 12, -7, 10, -9),
          NUMBERS(-4, 10, -2, 4, -6, -1, -2, 10, -4, -3, 1, -2, -4, 9, -3, 7, -6, -4, -1, -3, -4, 3, -4, 1),
          NUMBERS(4, 12, 9, -13, 12, -13, -13, 20, -2, 2, -19, -1, 2, 6, -1, 6));
    check(__LINE__,
          glia_op_conv_transpose3d(x, w, NULL, (glia_conv_transpose3d_attrs){.conv = {.strides = {1, 2, 1}}}),
          x, w,
          NUMBERS(19, -20, 20, -4, 0, 0, 0, 0, -13, 1, 19, -6, -16, 20, -2, 11, 0, 0, 0, 0, -13, -2, -2, 8, 0,
                  0, -18, 17, 0, 0, 0, 0, 2, 1, -17, 16, -13, -3, 3, -7, 0, 0, 0, 0, 16, 4, -1, -7, 11, 23,
                  -28, 9, 0, 0, 0, 0, 0, -9, -27, 10, -4, 0, -13, 18, 0, 0, 0, 0, 0, 5, -8, 19),
          NUMBERS(4, 0, 16, -8, -12, 4, 16, -8, -12, 4, 0, 16, 0, -9, 2, 8, -1, 0, 2, 8, -1, 0, -9, 2),
          NUMBERS(24, -6, -6, 4, -6, -6, 4, -16, -30, 26, -13, -7, 26, -13, -7, 24));
    glia_value *deep = pattern(g, GLIA_F64, D(1, 1, 2, 4, 4), 7, 11, 5);
    glia_value *largest = glia_op_max_pool3d(
        deep, (glia_pool3d_attrs){.size = {1, 2, 2}, .strides = {1, 1, 1}, .dilation = {1, 2, 1}});
    GIVES(largest, 3, 3, 5, 2, 5, 5, 5, 5, 1, 4, 0, 3);
    GIVES(gradient(glia_op_mul(largest, pattern(g, GLIA_F64, D(1, 1, 2, 2, 3), 3, 5, 2)), deep), 0, 0, 0, -1,
          0, 0, 0, 0, 0, -1, 0, 0, 2, 0, -2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, -2, 0, 1);
    glia_graph_free(g);
}

TEST(samples) {
    static const struct {
        glia_grid_sample_attrs attrs;
        double y[4], dx[12], dgrid[8];
    } expected[] = {
        {{0, 0, GLIA_NO},
         {0, -1.43, 0, -1.4475},
         {0, 0, 0, 0, 0.855, 0.095, 0, 0, 0.945, 0.105, 0.455, 0.195},
         {0, 0, -5.2, 3.3, 0, 0, 7.1, -11.7}},
        {{0, 1, GLIA_NO},
         {-0.8, -2.2, 0.2, -1.4475},
         {-0.6, 0, 0, 0, -0.545, 0.095, 0, 0, 0.945, -0.195, 0, 0.3},
         {0, -18, -8, 0, 8, 0, 7.1, -11.7}},
        {{0, 2, GLIA_YES},
         {-1.01, -0.9, 1.09, -0.8175},
         {-0.22, -0.18, 0, 0, -0.165, -0.345, -0.3, 0.01, 0.385, 0.175, 0.55, 0.09},
         {-5.4, -2.1, -6, -5, -3.9, -1.15, -0.45, -0.1}},
        {{1, 0, GLIA_NO}, {0, -1, 0, -4}, {0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0}, {0}},
        {{1, 1, GLIA_NO}, {1, -1, -1, -4}, {0, 0, 0, 0, -2, 0, 0, 0, 2, 0, 0, 0}, {0}},
        {{1, 2, GLIA_YES}, {1, -1, 4, 1}, {0, 0, 0, 0, 0, 0, -1, 0, 0, 0, 1, 0}, {0}},
        {{2, 0, GLIA_NO},
         {0.02180925, -2.57850673, -0.095877, -1.47884894},
         {-0.134264619, -0.0157690723, 0.00119933789, 0, 1.19861147, 0.111755686, -0.0997605762,
          -0.0361831641, 1.2075007, 0.0606337207, 0.728006357, 0.241905305},
         {0.67851, 1.34227125, -8.01710813, 4.80799266, -1.33974, -0.11984625, 1.63770855, -19.7327872}},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        glia_graph *g = glia_graph_new(NULL);
        glia_value *x = pattern(g, GLIA_F64, D(1, 1, 3, 4), 7, 11, 5);
        glia_value *grid = F64(g, D(1, 2, 2, 2), -1.3, -0.2, 0.4, 0.9, 0.1, 1.6, -0.7, 0.35);
        check(__LINE__, glia_op_grid_sample(x, grid, expected[i].attrs), x, grid, expected[i].y,
              expected[i].dx, expected[i].dgrid);
        glia_graph_free(g);
    }
}

TEST(sizes) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = pattern(g, GLIA_F64, D(5), 7, 11, 5);
#define RESIZED(...) glia_op_resize(x, (glia_resize_attrs){__VA_ARGS__})
#define SLOPE(y, n)  gradient(glia_op_mul(y, pattern(g, GLIA_F64, D(n), 3, 5, 2)), x)
    GIVES(RESIZED(.size = 8, .mode = 1), -5, -1.9375, 1.75, -0.75, 0.1875, 4.5625, 2.75, 1);
    GIVES(SLOPE(RESIZED(.size = 8, .mode = 1), 8), -1.4375, 0.125, 1.1875, -1.4375, -0.4375);
    GIVES(RESIZED(.size = 8, .mode = 1, .coordinates = 2), -5, -1, 10 / 7.0, -6 / 7.0, 0, 4, 23 / 7.0, 1);
    GIVES(RESIZED(.size = 3, .mode = 2), -139 / 54.0, -2, 143 / 54.0);
    GIVES(SLOPE(RESIZED(.size = 3, .mode = 2), 3), -37 / 27.0, -20 / 27.0, 7 / 6.0, -10 / 27.0, -37 / 54.0);
    GIVES(RESIZED(.size = 3, .mode = 1, .antialias = GLIA_YES, .exclude_outside = GLIA_YES), -2, 4 / 9.0,
          19 / 7.0);
    GIVES(RESIZED(.size = 3, .mode = 3), -1.5, 5 / 3.0, 3);
    GIVES(SLOPE(RESIZED(.size = 3, .mode = 3), 3), -1, -2 / 3.0, 1 / 3.0, -1 / 6.0, -0.5);
    GIVES(RESIZED(.size = 10), -5, -5, 2, 2, -2, -2, 5, 5, 1, 1);
    glia_graph_free(g);
}

TEST(sums_of_products) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *a = F64(g, D(2, 3), 1, 2, 3, 4, 5, 6), *b = F64(g, D(3, 2), 1, 0, 2, -1, 0, 3);
    glia_value *ab[] = {a, b}, *square = F64(g, D(2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8);
    GIVES(glia_op_einsum(ab, 2, (glia_einsum_attrs){"ij,jk->ik"}), 5, 7, 14, 13);
    GIVES(glia_op_einsum(ab, 2, (glia_einsum_attrs){"ij,jk"}), 5, 7, 14, 13);
    GIVES(glia_op_einsum(ab, 2, (glia_einsum_attrs){"ij, ji ->"}), 18);
    GIVES(glia_op_einsum(&a, 1, (glia_einsum_attrs){"ij->ji"}), 1, 4, 2, 5, 3, 6);
    GIVES(glia_op_einsum(&square, 1, (glia_einsum_attrs){"...ii->...i"}), 1, 4, 5, 8);
    GIVES(gradient(glia_op_einsum(ab, 2, (glia_einsum_attrs){"ij,jk->ik"}), a), 1, 1, 3, 1, 1, 3);
    glia_graph_free(g);
}

TEST_MAIN(TEST_ENTRY(transposed), TEST_ENTRY(volumes), TEST_ENTRY(samples), TEST_ENTRY(sizes),
          TEST_ENTRY(sums_of_products))
