/* test_graph.c: building graphs, the sticky error, gradients as nodes, printers. */

#include "test.h"

#include "glia/graph.h"
#include "glia/program.h"

static glia_value *apply1(glia_graph *g, const char *op, glia_value *x) {
    return glia_graph_apply(g, op, &x, 1, NULL);
}
static glia_value *apply2(glia_graph *g, const char *op, glia_value *a, glia_value *b) {
    return glia_graph_apply(g, op, (glia_value *[]){a, b}, 2, NULL);
}

TEST(shapes_are_inferred_with_symbolic_batch) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH, 3));
    glia_value *b = glia_graph_param(g, "b", GLIA_F32, GLIA_SHAPE(3));
    glia_value *y = apply1(g, "relu", apply2(g, "add", x, b));
    char text[64];
    glia_shape shape = glia_value_shape(y);
    CHECK_STR(glia_shape_text(&shape, text, sizeof text), "N×3");
    CHECK_STR(glia_value_op(y), "relu");
    CHECK_INT(glia_graph_node_count(g), 2);
    CHECK_INT(glia_value_get_kind(x), GLIA_VALUE_INPUT);
    CHECK_STR(glia_value_name(b), "b");
    glia_graph_free(g);
}

TEST(first_error_sticks) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_value *x = glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(2, 3));
    glia_value *y = glia_graph_input(g, "y", GLIA_F32, GLIA_SHAPE(4, 3));
    glia_graph_set_scope(g, "block1");
    glia_value *bad = apply2(g, "add", x, y);
    CHECK(bad == NULL);
    glia_graph_set_scope(g, "block2");
    CHECK(apply1(g, "relu", bad) == NULL);
    CHECK(apply1(g, "no_such_op", x) == NULL);
    CHECK_STR(glia_status_name(glia_graph_status(g, &err)), "BAD_SHAPE");
    CHECK_HAS(err.message, "2×3");
    CHECK_HAS(err.message, "4×3");
    CHECK_STR(err.node, "block1");
    glia_graph_free(g);
}

/* One graph for each mistake: what the message must name. */
static void check_mistake(void (*mistake)(glia_graph *, glia_value *), glia_status status, const char *part) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    mistake(g, glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(2, 3)));
    CHECK_ERR(glia_graph_status(g, &err), status, &err, part);
    glia_graph_free(g);
}
static void unknown_op(glia_graph *g, glia_value *x) {
    apply1(g, "frobnicate", x);
}
static void too_many(glia_graph *g, glia_value *x) {
    glia_graph_apply(g, "relu", (glia_value *[]){x, x}, 2, NULL);
}
static void missing(glia_graph *g, glia_value *x) {
    apply2(g, "add", x, NULL);
}
static void name_twice(glia_graph *g, glia_value *x) {
    (void)x;
    glia_graph_param(g, "x", GLIA_F32, GLIA_SHAPE(1));
}
static void symbolic_param(glia_graph *g, glia_value *x) {
    (void)x;
    glia_graph_param(g, "w", GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH, 2));
}
static void bad_attrs(glia_graph *g, glia_value *x) {
    glia_graph_apply_text(g, "sum", &x, 1, "axis=1");
}
static void no_attrs(glia_graph *g, glia_value *x) {
    glia_graph_apply_text(g, "relu", &x, 1, "slope=1");
}
static void foreign(glia_graph *g, glia_value *x) {
    glia_graph *other = glia_graph_new(NULL);
    apply2(g, "add", x, glia_graph_input(other, "z", GLIA_F32, GLIA_SHAPE(2, 3)));
    glia_graph_free(other);
}

TEST(mistakes_are_named) {
    check_mistake(unknown_op, GLIA_NOT_FOUND, "unknown op 'frobnicate'");
    check_mistake(too_many, GLIA_INVALID_ARGUMENT, "relu takes 1 inputs, got 2");
    check_mistake(missing, GLIA_INVALID_ARGUMENT, "input 1 of add is missing");
    check_mistake(name_twice, GLIA_INVALID_ARGUMENT, "'x' is used twice");
    check_mistake(symbolic_param, GLIA_BAD_SHAPE, "parameter 'w'");
    check_mistake(bad_attrs, GLIA_INVALID_ARGUMENT, "did you mean 'axes'");
    check_mistake(no_attrs, GLIA_INVALID_ARGUMENT, "relu has no attributes");
    check_mistake(foreign, GLIA_INVALID_ARGUMENT, "another graph");
}

TEST(null_everywhere_is_harmless) {
    CHECK(glia_graph_input(NULL, "x", GLIA_F32, GLIA_SHAPE(1)) == NULL);
    CHECK(apply1(NULL, "relu", NULL) == NULL);
    CHECK(glia_value_graph(NULL) == NULL);
    CHECK_STR(glia_value_name(NULL), "");
    CHECK(glia_value_sibling(NULL, 0) == NULL);
    CHECK(glia_graph_status(NULL, NULL) != GLIA_OK);
    glia_graph_set_scope(NULL, "x");
    glia_graph_free(NULL);
}

/* d/dw of sum(relu(x·w + w)) with one w used twice: gradients add up. */
TEST(gradients_add_over_uses) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_value *x = glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(3));
    glia_value *w = glia_graph_param(g, "w", GLIA_F32, GLIA_SHAPE(3));
    glia_value *unused = glia_graph_param(g, "unused", GLIA_F32, GLIA_SHAPE(2));
    glia_value *loss = apply1(g, "sum", apply1(g, "relu", apply2(g, "add", apply2(g, "mul", x, w), w)));
    glia_value *wrt[] = {w, unused}, *dw[2];
    CHECK_OK(glia_graph_gradients(g, loss, wrt, 2, dw, &err), &err);
    glia_program *p;
    CHECK_OK(glia_program_new(&p, g, dw, 2, (glia_program_options){.threads = 1}, &err), &err);
    float xs[] = {1, 2, -3}, ws[] = {1, -1, 1}, us[2] = {5, 5};
    CHECK_OK(glia_program_bind(p, x, xs, &err), &err);
    CHECK_OK(glia_program_bind(p, w, ws, &err), &err);
    CHECK_OK(glia_program_bind(p, unused, us, &err), &err);
    CHECK_OK(glia_program_run(p, 1, &err), &err);
    const float *d = glia_program_output(p, dw[0]).data, *zero = glia_program_output(p, dw[1]).data;
    CHECK_NEAR(d[0], 2, 0); /* x + 1, where x·w + w > 0 */
    CHECK_NEAR(d[1], 0, 0);
    CHECK_NEAR(d[2], 0, 0);
    CHECK_NEAR(zero[0], 0, 0);
    glia_program_free(p);
    glia_graph_free(g);
}

TEST(gradient_mistakes) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_value *x = glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(3)), *dx;
    glia_value *i = glia_graph_input(g, "i", GLIA_I64, GLIA_SHAPE(3));
    CHECK_ERR(glia_graph_gradients(g, apply1(g, "relu", x), &x, 1, &dx, &err), GLIA_BAD_SHAPE, &err,
              "reduce it first");
    CHECK_ERR(glia_graph_gradients(g, apply1(g, "sum", x), &i, 1, &dx, &err), GLIA_INVALID_ARGUMENT, &err,
              "value 0");
    CHECK_ERR(glia_graph_gradients(g, NULL, &x, 1, &dx, &err), GLIA_INVALID_ARGUMENT, &err, "the loss");
    glia_graph_free(g);
}

static void printed(void (*print)(const glia_graph *, glia_value *const *, int, FILE *), const glia_graph *g,
                    char *out, size_t capacity) {
    FILE *file = tmpfile();
    print(g, NULL, 0, file);
    rewind(file);
    out[fread(out, 1, capacity - 1, file)] = 0;
    fclose(file);
}

TEST(printers) {
    glia_graph *g = glia_graph_new(NULL);
    char text[4096];
    glia_value *x = glia_graph_input(g, "pixels \"quoted\"", GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH, 4));
    glia_graph_set_scope(g, "head");
    glia_graph_apply_text(g, "sum", &x, 1, "axes=1");
    printed(glia_graph_print, g, text, sizeof text);
    CHECK_HAS(text, "input pixels");
    CHECK_HAS(text, "f32 N×4");
    CHECK_HAS(text, "= sum(");
    CHECK_HAS(text, "axes=1");
    CHECK_HAS(text, "# head.sum");
    printed(glia_graph_print_dot, g, text, sizeof text);
    CHECK_HAS(text, "digraph");
    CHECK_HAS(text, "pixels \\\"quoted\\\"");
    glia_graph_free(g);
}

TEST_MAIN(TEST_ENTRY(shapes_are_inferred_with_symbolic_batch), TEST_ENTRY(first_error_sticks),
          TEST_ENTRY(mistakes_are_named), TEST_ENTRY(null_everywhere_is_harmless),
          TEST_ENTRY(gradients_add_over_uses), TEST_ENTRY(gradient_mistakes), TEST_ENTRY(printers))
