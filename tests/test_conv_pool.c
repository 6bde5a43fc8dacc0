/* test_conv_pool.c: convolution, relu and max pooling in one compute what the three ops compute. */

#include "op_values.h"

#include "glia/random.h"
#include "ops/conv_pool.h"

static glia_value *numbers(glia_graph *g, glia_shape shape, uint64_t stream) {
    double values[20000];
    const glia_random random = {.seed = 5, .stream = stream};
    for (int64_t i = 0; i < glia_shape_elems(&shape); i++)
        values[i] = glia_random_normal(random, (uint64_t)i);
    return array(g, GLIA_F32, shape, values);
}

static void check_near(const glia_program *program, const glia_value *found, const glia_value *wanted) {
    glia_tensor a = glia_program_output(program, found), b = glia_program_output(program, wanted);
    double worst = 0;
    CHECK(glia_shape_equal(&a.shape, &b.shape));
    for (int64_t i = 0; i < glia_shape_elems(&a.shape); i++) {
        double exact = glia_tensor_get(&b, i);
        worst = fmax(worst, fabs(glia_tensor_get(&a, i) - exact) / (1 + fabs(exact)));
    }
    CHECK_NEAR(worst, 0, 2e-5);
}

static void compare(glia_shape images, glia_shape weights, glia__conv_pool_attrs attrs, glia_bool reference) {
    glia_error err = {0};
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = numbers(g, images, 1), *w = numbers(g, weights, 2);
    glia_value *b = numbers(g, GLIA_SHAPE(weights.dim[0]), 3), *gradients[2];
    glia_pool2d_attrs pool = {.size = {2, 2}, .channels_last = attrs.conv.channels_last};
    glia_value *y = glia_op_max_pool2d(glia_op_relu(glia_op_conv2d(x, w, b, attrs.conv)), pool);
    glia_value *dy = numbers(g, glia_value_shape(y), 4);
    glia_value *loss = glia_op_sum(glia_op_mul(y, dy), ALL);
    CHECK_OK(glia_graph_gradients(g, loss, (glia_value *[]){w, b}, 2, gradients, &err), &err);
    glia_value *in[] = {x, w, b};
    glia_value *fused = glia_graph_apply(g, "conv2d_relu_max_pool2d", in, 3, &attrs);
    glia_value *back[] = {x, dy, glia_value_sibling(fused, 1), w};
    glia_value *dw = glia_graph_apply(g, "conv2d_relu_max_pool2d_backward_weights", back, 4, &attrs);
    glia_value *outputs[] = {y, gradients[0], gradients[1], fused, dw, glia_value_sibling(dw, 1)};
    glia_program *program = NULL;
    glia_program_options options = {.threads = 2, .training = GLIA_YES, .reference = reference};
    CHECK_OK(glia_program_new(&program, g, outputs, 6, options, &err), &err);
    CHECK_OK(glia_program_run(program, 1, &err), &err);
    for (int i = 0; i < 3; i++) check_near(program, outputs[3 + i], outputs[i]);
    glia_program_free(program);
    glia_graph_free(g);
}

static void compare_both(glia_shape images, glia_shape weights, glia__conv_pool_attrs attrs) {
    attrs.pool_size[0] = attrs.pool_size[1] = 2;
    attrs.conv.groups = 1;
    for (int i = 0; i < 2; i++) attrs.conv.strides[i] = attrs.conv.dilation[i] = 1;
    compare(images, weights, attrs, GLIA_YES);
    compare(images, weights, attrs, GLIA_NO);
}

TEST(fused_is_composed) {
    const glia__conv_pool_attrs valid = {.pool_size = {2, 2}}, same = {.conv.padding = GLIA_PADDING_SAME},
                                last = {.conv.channels_last = GLIA_YES};
    compare_both(D(5, 1, 28, 28), D(20, 1, 3, 3), valid);
    compare_both(D(2, 3, 19, 37), D(7, 3, 3, 3), same);
    compare_both(D(2, 13, 15, 3), D(6, 3, 5, 5), last);
    compare_both(D(1, 4, 9, 11), D(3, 4, 2, 3), same);
}

/* What is not a number wins, and numbers too large to be multiplied are treated as ref treats them. */
TEST(fused_keeps_nan) {
    glia_error err = {0};
    glia_graph *g = glia_graph_new(NULL);
    double pixels[36] = {[7] = NAN, [30] = 1e30};
    glia_value *x = array(g, GLIA_F32, D(1, 1, 6, 6), pixels), *w = numbers(g, D(3, 1, 3, 3), 2);
    glia__conv_pool_attrs attrs = {.conv = {.strides = {1, 1}, .dilation = {1, 1}, .groups = 1},
                                   .pool_size = {2, 2}};
    glia_value *y = glia_graph_apply(g, "conv2d_relu_max_pool2d", (glia_value *[]){x, w}, 2, &attrs);
    glia_program *program = NULL;
    CHECK_OK(glia_program_new(&program, g, &y, 1, (glia_program_options){.threads = 1}, &err), &err);
    CHECK_OK(glia_program_run(program, 1, &err), &err);
    glia_tensor found = glia_program_output(program, y);
    for (int64_t o = 0; o < 3; o++) {
        CHECK(isnan(glia_tensor_get(&found, o * 4)));
        CHECK(!isnan(glia_tensor_get(&found, o * 4 + 3)));
    }
    glia_program_free(program);
    glia_graph_free(g);
}

TEST_MAIN(TEST_ENTRY(fused_is_composed), TEST_ENTRY(fused_keeps_nan))
