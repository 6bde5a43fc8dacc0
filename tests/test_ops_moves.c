/* test_ops_moves.c: ops that move data and choose by index on numbers known from elsewhere: NumPy, and the examples of the
 * ONNX standard. */

#include "op_values.h"

static glia_value *count_up(glia_graph *g, glia_shape shape) {
    double numbers[256];
    for (int64_t i = 0; i < glia_shape_elems(&shape); i++) numbers[i] = (double)i;
    return array(g, GLIA_F64, shape, numbers);
}

TEST(slices) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = count_up(g, D(7));
    GIVES(glia_op_slice(x, (glia_slice_attrs){.start = -1, .end = INT64_MIN, .step = -1}), 6, 5, 4, 3, 2, 1,
          0);
    GIVES(glia_op_slice(x, (glia_slice_attrs){.start = 5, .end = 0, .step = -2}), 5, 3, 1);
    GIVES(glia_op_slice(x, (glia_slice_attrs){.start = 99, .end = -4, .step = -1}), 6, 5, 4);
    GIVES(glia_op_slice(x, (glia_slice_attrs){.start = -99, .end = -99, .step = -1}), 0);
    GIVES(glia_op_slice(x, (glia_slice_attrs){.start = 1, .end = INT64_MAX, .step = 3}), 1, 4);
    glia_value *pieces[3];
    CHECK(glia_op_split(x, 0, (const int64_t[]){2, 0, 5}, 3, pieces) == pieces[0]);
    GIVES(pieces[0], 0, 1);
    CHECK_INT(glia_value_shape(pieces[1]).dim[0], 0);
    GIVES(pieces[2], 2, 3, 4, 5, 6);
    GIVES(glia_op_stack((glia_value *[]){pieces[0], F64(g, D(2), 8, 9)}, 2, -1), 0, 8, 1, 9);
    GIVES(gradient(glia_op_mul(pieces[2], pieces[2]), x), 0, 0, 4, 6, 8, 10, 12);
    glia_graph_free(g);
}

TEST(wrong_splits) {
    const struct {
        int64_t axis, sizes[2];
        const char *says;
    } wrong[] = {{0, {3, 3}, "the sizes of the 2 pieces do not add up to dimension 0 of 7"},
                 {0, {8, -1}, "do not add up"},
                 {2, {3, 4}, "axis 2 is out of range for 7"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        glia_graph *g = glia_graph_new(NULL);
        glia_value *pieces[2];
        glia_error err = {0};
        CHECK(glia_op_split(count_up(g, D(7)), wrong[i].axis, wrong[i].sizes, 2, pieces) == NULL);
        CHECK_ERR(glia_graph_status(g, &err), wrong[i].axis ? GLIA_INVALID_ARGUMENT : GLIA_BAD_SHAPE, &err,
                  wrong[i].says);
        glia_graph_free(g);
    }
}

TEST(pads) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(3), 1, 2, 3);
#define PADDED(...) glia_op_pad(x, (glia_pad_attrs){__VA_ARGS__})
    GIVES(PADDED(.begin = 1, .end = 2, .value = 9), 9, 1, 2, 3, 9, 9);
    GIVES(PADDED(.begin = 2, .end = 2, .mode = 1), 3, 2, 1, 2, 3, 2, 1);
    GIVES(PADDED(.begin = 5, .end = 6, .mode = 1), 2, 1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3, 2, 1);
    GIVES(PADDED(.begin = 2, .end = 1, .mode = 2), 1, 1, 1, 2, 3, 3);
    GIVES(PADDED(.begin = 2, .end = 4, .mode = 3), 2, 3, 1, 2, 3, 1, 2, 3, 1);
    GIVES(gradient(PADDED(.begin = 2, .end = 2, .mode = 1), x), 2, 3, 2);
    GIVES(gradient(PADDED(.begin = 2, .end = 1, .mode = 2), x), 3, 1, 2);
    glia_graph_free(g);
}

TEST(repeats) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(2, 2), 1, 2, 3, 4);
    GIVES(glia_op_tile(x, (glia_tile_attrs){GLIA_SHAPE(2, 1)}), 1, 2, 3, 4, 1, 2, 3, 4);
    GIVES(glia_op_tile(x, (glia_tile_attrs){GLIA_SHAPE(1, 2)}), 1, 2, 1, 2, 3, 4, 3, 4);
    GIVES(glia_op_expand(F64(g, D(2, 1), 5, 6), (glia_reshape_attrs){GLIA_SHAPE(2, 1, 3)}), 5, 5, 5, 6, 6, 6,
          5, 5, 5, 6, 6, 6);
    glia_graph_free(g);
}

TEST(arranges) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(3, 3), 1, 2, 3, 4, 5, 6, 7, 8, 9);
    GIVES(glia_op_trilu(x, (glia_trilu_attrs){GLIA_DEFAULT, 0}), 1, 2, 3, 0, 5, 6, 0, 0, 9);
    GIVES(glia_op_trilu(x, (glia_trilu_attrs){GLIA_YES, 1}), 0, 2, 3, 0, 0, 6, 0, 0, 0);
    GIVES(glia_op_trilu(x, (glia_trilu_attrs){GLIA_NO, -1}), 0, 0, 0, 4, 0, 0, 7, 8, 0);
    GIVES(glia_op_reverse_sequence(x, I64(g, D(3), 1, 2, 3), (glia_reverse_sequence_attrs){GLIA_NO}), 1, 2, 3,
          5, 4, 6, 9, 8, 7);
    GIVES(glia_op_reverse_sequence(x, I64(g, D(3), 1, 2, 3), (glia_reverse_sequence_attrs){GLIA_YES}), 1, 5,
          9, 4, 2, 6, 7, 8, 3);
    /* The examples of ONNX's DepthToSpace: DCR and CRD. */
    double numbers[8 * 6];
    for (int c = 0; c < 8; c++)
        for (int i = 0; i < 6; i++) numbers[c * 6 + i] = 9 * c + i;
    glia_value *deep = array(g, GLIA_F64, D(1, 8, 2, 3), numbers);
    glia_value *dcr = glia_op_depth_to_space(deep, (glia_depth_to_space_attrs){.block = 2}),
               *crd = glia_op_depth_to_space(
                   deep, (glia_depth_to_space_attrs){.block = 2, .channels_outer = GLIA_YES});
    GIVES(dcr, 0, 18, 1, 19, 2, 20, 36, 54, 37, 55, 38, 56, 3, 21, 4, 22, 5, 23, 39, 57, 40, 58, 41, 59, 9,
          27, 10, 28, 11, 29, 45, 63, 46, 64, 47, 65, 12, 30, 13, 31, 14, 32, 48, 66, 49, 67, 50, 68);
    GIVES(crd, 0, 9, 1, 10, 2, 11, 18, 27, 19, 28, 20, 29, 3, 12, 4, 13, 5, 14, 21, 30, 22, 31, 23, 32, 36,
          45, 37, 46, 38, 47, 54, 63, 55, 64, 56, 65, 39, 48, 40, 49, 41, 50, 57, 66, 58, 67, 59, 68);
    check_values("space_to_depth", __LINE__,
                 glia_op_space_to_depth(dcr, (glia_depth_to_space_attrs){.block = 2}), numbers, 48, 0);
    check_values(
        "space_to_depth", __LINE__,
        glia_op_space_to_depth(crd, (glia_depth_to_space_attrs){.block = 2, .channels_outer = GLIA_YES}),
        numbers, 48, 0);
    CHECK(glia_op_depth_to_space(deep, (glia_depth_to_space_attrs){.block = 3}) == NULL);
    glia_error err = {0};
    CHECK_ERR(glia_graph_status(g, &err), GLIA_BAD_SHAPE, &err, "channels can be divided by the square of 3");
    glia_graph_free(g);
}

TEST(gathers) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(3, 3), 1, 2, 3, 4, 5, 6, 7, 8, 9);
    GIVES(glia_op_gather_elements(x, I64(g, D(2, 3), 1, 2, 0, 2, 0, 0), (glia_gather_elements_attrs){0}), 4,
          8, 3, 7, 2, 3);
    GIVES(glia_op_gather_elements(x, I64(g, D(2, 3), -1, -2, 0, -2, 0, 0), (glia_gather_elements_attrs){0}),
          7, 5, 3, 4, 2, 3);
    GIVES(glia_op_gather(x, I64(g, D(2), -1, 0), (glia_gather_attrs){.axis = 1, .from_end = GLIA_YES}), 3, 1,
          6, 4, 9, 7);
    glia_value *cube = F64(g, D(2, 2, 2), 0, 1, 2, 3, 4, 5, 6, 7);
    GIVES(glia_op_gather_nd(cube, I64(g, D(2, 1, 2), 0, 1, 1, 0), (glia_gather_nd_attrs){0}), 2, 3, 4, 5);
    GIVES(glia_op_gather_nd(cube, I64(g, D(2, 1), 1, 0), (glia_gather_nd_attrs){1}), 2, 3, 4, 5);
    GIVES(glia_op_gather_nd(cube, I64(g, D(1, 3), -1, -2, 1), (glia_gather_nd_attrs){0}), 5);
    glia_graph_free(g);
}

TEST(scatters) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *zeros = F64(g, D(3, 3), 0, 0, 0, 0, 0, 0, 0, 0, 0);
    glia_value *indices = I64(g, D(2, 3), 1, 0, 2, 0, 2, 1);
    glia_value *updates = F64(g, D(2, 3), 1.0, 1.1, 1.2, 2.0, 2.1, 2.2);
    GIVES(glia_op_scatter_elements(zeros, indices, updates, (glia_scatter_elements_attrs){.axis = 0}), 2.0,
          1.1, 0, 1.0, 0, 2.2, 0, 2.1, 1.2);
    glia_value *row = F64(g, D(1, 5), 1, 2, 3, 4, 5), *twice = I64(g, D(1, 2), 1, 1),
               *two = F64(g, D(1, 2), 1.1, 2.1);
    GIVES(glia_op_scatter_elements(row, twice, two, (glia_scatter_elements_attrs){.axis = 1}), 1, 2.1, 3, 4,
          5);
    GIVES(glia_op_scatter_elements(row, twice, two, (glia_scatter_elements_attrs){.axis = 1, .reduction = 1}),
          1, 5.2, 3, 4, 5);
    GIVES(glia_op_scatter_elements(row, twice, two, (glia_scatter_elements_attrs){.axis = 1, .reduction = 2}),
          1, 4.62, 3, 4, 5);
    GIVES(glia_op_scatter_elements(row, twice, two, (glia_scatter_elements_attrs){.axis = 1, .reduction = 3}),
          1, 2.1, 3, 4, 5);
    GIVES(glia_op_scatter_elements(row, twice, two, (glia_scatter_elements_attrs){.axis = 1, .reduction = 4}),
          1, 1.1, 3, 4, 5);
    glia_value *x = F64(g, D(8), 1, 2, 3, 4, 5, 6, 7, 8);
    GIVES(glia_op_scatter_nd(x, I64(g, D(4, 1), 4, 3, 1, 7), F64(g, D(4), 9, 10, 11, 12),
                             (glia_scatter_nd_attrs){0}),
          1, 11, 3, 10, 9, 6, 7, 12);
    /* A product with a zero among its factors has a gradient there. */
    glia_value *factors = F64(g, D(3), 0, 2, 3), *one = F64(g, D(1), 5);
    GIVES(gradient(glia_op_scatter_nd(one, I64(g, D(3, 1), 0, 0, 0), factors, (glia_scatter_nd_attrs){2}),
                   factors),
          30, 0, 0);
    glia_graph_free(g);
}

TEST(largest) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(2, 5), 3, 1, 3, NAN, 2, 0, -1, 5, 5, 4);
    glia_value *y = glia_op_top_k(x, (glia_top_k_attrs){.k = 3, .axis = 1}),
               *low = glia_op_top_k(x, (glia_top_k_attrs){.k = 2, .axis = -1, .smallest = GLIA_YES});
    GIVES(y, NAN, 3, 3, 5, 5, 4);
    GIVES(glia_value_sibling(y, 1), 3, 0, 2, 2, 3, 4);
    GIVES(low, 1, 2, -1, 0);
    GIVES(glia_value_sibling(low, 1), 1, 4, 1, 0);
    glia_value *column = glia_op_top_k(x, (glia_top_k_attrs){.k = 1, .axis = 0});
    GIVES(column, 3, 1, 5, NAN, 4);
    GIVES(glia_value_sibling(column, 1), 0, 0, 1, 0, 1);
    GIVES(gradient(low, x), 0, 1, 0, 0, 1, 1, 1, 0, 0, 0);
    glia_graph_free(g);
}

static glia_status run_for(glia_value *value, glia_error *err) {
    glia_program *program = NULL;
    glia_program_options options = {.threads = 1};
    glia_status status = glia_program_new(&program, glia_value_graph(value), &value, 1, options, err);
    if (status == GLIA_OK) status = glia_program_run(program, 0, err);
    glia_program_free(program);
    return status;
}

TEST(indices_out_of_range) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = F64(g, D(2, 3), 1, 2, 3, 4, 5, 6);
    const struct {
        glia_value *value;
        const char *says;
    } wrong[] = {
        {glia_op_gather_elements(x, I64(g, D(1, 3), 0, -3, 0), (glia_gather_elements_attrs){0}),
         "index -3 at position 1 is out of range -2 … 1"},
        {glia_op_gather_nd(x, I64(g, D(1, 2), 1, 3), (glia_gather_nd_attrs){0}),
         "index 3 at position 1 is out of range -3 … 2"},
        {glia_op_gather(x, I64(g, D(1), -4), (glia_gather_attrs){.axis = 1, .from_end = GLIA_YES}),
         "index -4 at position 0 is out of range"},
        {glia_op_scatter_nd(x, I64(g, D(1, 1), 2), F64(g, D(1, 3), 1, 2, 3), (glia_scatter_nd_attrs){0}),
         "index 2 at position 0 is out of range -2 … 1"},
        {glia_op_reverse_sequence(x, I64(g, D(2), 3, 4), (glia_reverse_sequence_attrs){GLIA_NO}),
         "length 4 of sequence 1 is out of range 0 … 3"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        glia_error err = {0};
        CHECK_ERR(run_for(wrong[i].value, &err), GLIA_BAD_DATA, &err, wrong[i].says);
    }
    glia_graph_free(g);
}

TEST_MAIN(TEST_ENTRY(slices), TEST_ENTRY(wrong_splits), TEST_ENTRY(pads), TEST_ENTRY(repeats),
          TEST_ENTRY(arranges), TEST_ENTRY(gathers), TEST_ENTRY(scatters), TEST_ENTRY(largest),
          TEST_ENTRY(indices_out_of_range))
