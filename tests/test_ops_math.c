/* test_ops_math.c: element-wise ops, reductions and scans against values of NumPy 2 and of the articles that define
 * them. */

#include "op_values.h"

TEST(angles) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(3), -0.5, 0, 0.75), *above = F64(g, D(2), 1, 3);
    GIVES(glia_op_tan(x), -0.5463024898437905, 0, 0.9315964599440725);
    GIVES(glia_op_asin(x), -0.5235987755982989, 0, 0.848062078981481);
    GIVES(glia_op_acos(x), 2.0943951023931957, 1.5707963267948966, 0.7227342478134157);
    GIVES(glia_op_atan(x), -0.4636476090008061, 0, 0.6435011087932844);
    GIVES(glia_op_sinh(x), -0.5210953054937474, 0, 0.82231673193583);
    GIVES(glia_op_cosh(x), 1.1276259652063807, 1, 1.2946832846768448);
    GIVES(glia_op_asinh(x), -0.48121182505960347, 0, 0.6931471805599453);
    GIVES(glia_op_acosh(above), 0, 1.762747174039086);
    GIVES(glia_op_atanh(x), -0.5493061443340549, 0, 0.9729550745276566);
    GIVES(glia_op_acosh(F64(g, D(2), 0.5, NAN)), NAN, NAN);
    glia_graph_free(g);
}

/* The kinks of PyTorch 2: hardshrink and softshrink, hardswish, threshold. */
TEST(rare_activations) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(5), -4, -0.5, 0, 0.25, 2);
    GIVES(glia_op_mish(x), -0.072591740792, -0.220743774652, 0, 0.169572409664, 1.943958959534);
    GIVES(glia_op_hard_swish(x), 0, -0.208333333333, 0, 0.135416666667, 1.66666666667);
    GIVES(glia_op_log_sigmoid(x), -4.01814992792, -0.974076984180, -0.693147180560, -0.575939419879,
          -0.126928011043);
    GIVES(glia_op_celu(x, (glia_celu_attrs){.alpha = 2}), -1.72932943353, -0.442398433857, 0, 0.25, 2);
    GIVES(glia_op_thresholded_relu(x, (glia_thresholded_relu_attrs){.alpha = 0.25}), 0, 0, 0, 0, 2);
    GIVES(glia_op_shrink(x, (glia_shrink_attrs){.lambd = 0.5}), -4, 0, 0, 0, 2);
    GIVES(glia_op_shrink(x, (glia_shrink_attrs){.lambd = 0.3, .bias = 0.3}), -3.7, -0.2, 0, 0, 1.7);
    GIVES(glia_op_prelu(x, F64(g, D(5), 1, 2, 3, 4, 5)), -4, -1, 0, 0.25, 2);
    glia_value *far = F32(g, D(5), -1000, 1000, -INFINITY, INFINITY, NAN);
    GIVES_F32(glia_op_log_sigmoid(far), -1000, 0, -INFINITY, 0, NAN);
    GIVES_F32(glia_op_hard_swish(far), 0, 1000, 0, INFINITY, NAN);
    GIVES_F32(glia_op_shrink(far, (glia_shrink_attrs){.lambd = 0.5}), -1000, 1000, -INFINITY, INFINITY, NAN);
    glia_graph_free(g);
}

TEST(whole_numbers) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *a = I32(g, D(6), 7, -7, 7, -7, 5, INT32_MIN), *b = I32(g, D(6), 3, 3, -3, -3, 0, -1);
    GIVES(glia_op_trunc_div(a, b), 2, -2, -2, 2, 0, INT32_MIN);
    GIVES(glia_op_fmod(a, b), 1, -1, 1, -1, 0, 0);
    GIVES(glia_op_mod(a, b), 1, 2, -2, -1, 0, 0);
    GIVES(glia_op_fmod(F64(g, D(3), 5.5, -5.5, 5.5), F64(g, D(3), 2, 2, -2)), 1.5, -1.5, 1.5);
    GIVES(glia_op_pow(I64(g, D(5), 3, -2, 2, -1, 0), I64(g, D(5), 4, 3, -1, -3, 0)), 81, -8, 0, -1, 1);
    glia_value *x = I32(g, D(3), 12, -1, 6), *y = I32(g, D(3), 10, 3, 0);
    GIVES(glia_op_bitwise_and(x, y), 8, 3, 0);
    GIVES(glia_op_bitwise_or(x, y), 14, -1, 6);
    GIVES(glia_op_bitwise_xor(x, y), 6, -4, 6);
    GIVES(glia_op_bitwise_not(x), -13, 0, -7);
    glia_bit_shift_attrs left = {0}, right = {1};
    GIVES(glia_op_bit_shift(I32(g, D(3), 1, 3, 1), I32(g, D(3), 4, 31, 32), left), 16, INT32_MIN, 0);
    GIVES(glia_op_bit_shift(I32(g, D(3), 16, -1, 1), I32(g, D(3), 4, 28, -1), right), 1, -1, 0);
    GIVES(glia_op_bit_shift(I64(g, D(4), -8, -1, 4, -3), I64(g, D(4), 1, 99, 64, -1), right), -4, -1, 0, -1);
    glia_graph_free(g);
}

TEST(predicates) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F32(g, D(5), NAN, INFINITY, -INFINITY, 0, 3e38);
    GIVES(glia_op_is_nan(x), 1, 0, 0, 0, 0);
    GIVES(glia_op_is_inf(x, (glia_is_inf_attrs){0}), 0, 1, 1, 0, 0);
    GIVES(glia_op_is_inf(x, (glia_is_inf_attrs){.detect_negative = GLIA_NO}), 0, 1, 0, 0, 0);
    GIVES(glia_op_is_inf(x, (glia_is_inf_attrs){.detect_positive = GLIA_NO}), 0, 0, 1, 0, 0);
    glia_value *p = glia_op_is_nan(F32(g, D(4), NAN, NAN, 0, 0)),
               *q = glia_op_is_nan(F32(g, D(4), NAN, 0, NAN, 0));
    GIVES(glia_op_logical_xor(p, q), 0, 1, 1, 0);
    glia_graph_free(g);
}

TEST(norms) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(2, 2), 3, -4, 0, 0), *none = F64(g, D(0, 2), 0);
    GIVES(glia_op_l1_norm(x, AXES(1)), 7, 0);
    GIVES(glia_op_l2_norm(x, AXES(1)), 5, 0);
    GIVES(gradient(glia_op_l2_norm(x, AXES(1)), x), 0.6, -0.8, 0, 0);
    GIVES(glia_op_sum_square(x, KEPT(0)), 9, 16);
    GIVES(glia_op_log_sum(F64(g, D(3), 1, 2, 4), ALL), 1.9459101490553132);
    GIVES(glia_op_log_sum_exp(F64(g, D(2), 1000, 1000), ALL), 1000.6931471805599);
    GIVES(glia_op_log_sum_exp(F64(g, D(3), -INFINITY, 2, -INFINITY), ALL), 2);
    GIVES(glia_op_log_sum_exp(F64(g, D(2), -INFINITY, -INFINITY), ALL), -INFINITY);
    GIVES(glia_op_log_sum_exp(F64(g, D(2, 2), INFINITY, INFINITY, NAN, 1), AXES(1)), INFINITY, NAN);
    GIVES(glia_op_l1_norm(none, AXES(0)), 0, 0);
    GIVES(glia_op_log_sum_exp(none, AXES(0)), -INFINITY, -INFINITY);
    glia_value *tie = F64(g, D(4), 1, 3, 3, 2);
    GIVES(glia_op_argmax(tie, (glia_arg_attrs){.select_last = GLIA_YES}), 2);
    GIVES(glia_op_argmin(F64(g, D(3), 1, NAN, NAN), (glia_arg_attrs){.select_last = GLIA_YES}), 2);
    glia_graph_free(g);
}

TEST(scans) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(2, 3), 1, 2, 3, 4, 5, 6);
    GIVES(glia_op_cumsum(x, (glia_cumsum_attrs){.axis = 1}), 1, 3, 6, 4, 9, 15);
    GIVES(glia_op_cumsum(x, (glia_cumsum_attrs){.axis = 0}), 1, 2, 3, 5, 7, 9);
    GIVES(glia_op_cumsum(x, (glia_cumsum_attrs){.axis = 1, .exclusive = GLIA_YES}), 0, 1, 3, 0, 4, 9);
    GIVES(glia_op_cumsum(x, (glia_cumsum_attrs){.axis = 1, .reverse = GLIA_YES}), 6, 5, 3, 15, 11, 6);
    GIVES(glia_op_cumsum(x, (glia_cumsum_attrs){.axis = -1, .exclusive = GLIA_YES, .reverse = GLIA_YES}), 5,
          3, 0, 11, 6, 0);
    GIVES(glia_op_hardmax(F64(g, D(2, 3), 1, 3, 3, 2, 1, 0), -1), 0, 1, 0, 1, 0, 0);
    glia_graph_free(g);
}

TEST_MAIN(TEST_ENTRY(angles), TEST_ENTRY(rare_activations), TEST_ENTRY(whole_numbers), TEST_ENTRY(predicates),
          TEST_ENTRY(norms), TEST_ENTRY(scans))
