/* test_passes.c: every pass by itself: a small graph planned with all passes computes what it computes by ref, and what the pass
 * should make, or should leave alone, is there. */

#include "op_values.h"

#include "failing_allocator.h"
#include "glia/random.h"
#include "kernels/kernel.h"
#include "ops/conv.h"

static glia_value *numbers(glia_graph *g, glia_shape shape, uint64_t stream) {
    static double values[1 << 16];
    const glia_random random = {.seed = 7, .stream = stream};
    for (int64_t i = 0; i < glia_shape_elems(&shape); i++)
        values[i] = glia_random_normal(random, (uint64_t)i);
    return array(g, GLIA_F32, shape, values);
}

/* The program as it is printed. */
static const char *printed(const glia_program *program) {
    static char text[1 << 16];
    FILE *out = fmemopen(text, sizeof text, "w");
    glia_program_print(program, out);
    fclose(out);
    return text;
}

static void check_near(const glia_program *found, const glia_program *wanted, const glia_value *value,
                       double tolerance) {
    glia_tensor a = glia_program_output(found, value), b = glia_program_output(wanted, value);
    double worst = 0;
    CHECK(glia_shape_equal(&a.shape, &b.shape) && a.dtype == b.dtype);
    for (int64_t i = 0; i < glia_shape_elems(&b.shape); i++) {
        const double exact = glia_tensor_get(&b, i);
        worst = fmax(worst, fabs(glia_tensor_get(&a, i) - exact) / (1 + fabs(exact)));
    }
    CHECK_NEAR(worst, 0, tolerance);
}

/* Plans the outputs with passes and without, and compares. The program with passes stays the caller's. */
static glia_program *compare(const glia_graph *g, glia_value *const *outputs, int count,
                             glia_program_options options, double tolerance) {
    glia_error err = {0};
    glia_program *fast = NULL, *plain = NULL;
    options.threads = 2;
    CHECK_OK(glia_program_new(&fast, g, outputs, count, options, &err), &err);
    options.reference = GLIA_YES;
    options.precision = GLIA_PRECISION_F32;
    CHECK_OK(glia_program_new(&plain, g, outputs, count, options, &err), &err);
    if (fast && plain) {
        CHECK_OK(glia_program_run(fast, 1, &err), &err);
        CHECK_OK(glia_program_run(plain, 1, &err), &err);
        for (int i = 0; i < count; i++) check_near(fast, plain, outputs[i], tolerance);
    }
    glia_program_free(plain);
    return fast;
}

static void check_has(glia_program *program, const char *part, bool there) {
    if (!program) return;
    const char *text = printed(program);
    test_checks++;
    if ((strstr(text, part) != NULL) == there) return;
    test_failures++;
    printf("'%s' is %s:\n%s", part, there ? "missing" : "there", text);
}

/* Compares, looks for `part`, and frees. */
static void expect(glia_graph *g, glia_value *const *outputs, int count, glia_program_options options,
                   const char *part, bool there) {
    glia_program *program =
        compare(g, outputs, count, options, options.precision == GLIA_PRECISION_BF16 ? 0.05 : 2e-5);
    check_has(program, part, there);
    glia_program_free(program);
}

static const glia_conv2d_attrs SAME = {.padding = GLIA_PADDING_SAME};
static const glia_pool2d_attrs HALVE = {.size = {2, 2}};
static const glia_program_options INFERENCE = {0}, TRAINING = {.training = GLIA_YES};

/* --- fuse_elementwise ------------------------------------------------------------------------------------- */

TEST(elementwise_chain) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = numbers(g, D(30, 100), 1), *z = numbers(g, D(30, 100), 2);
    glia_value *y =
        glia_op_leaky_relu(glia_op_add(glia_op_mul(x, z), x), (glia_leaky_relu_attrs){.slope = 0.3});
    y = glia_op_sub(glia_op_clip(y, (glia_clip_attrs){-1, 2}), glia_graph_scalar(g, GLIA_F32, 0.5));
    expect(g, &y, 1, INFERENCE, ": mul+add+leaky_relu+clip+sub", true);
    expect(g, &y, 1, INFERENCE, "1 calls", true);
    glia_graph_free(g);
}

/* Both ways from a value to the end are in the group; other dtypes too; input 0 is read by the last member again. */
TEST(elementwise_dag) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = glia_op_transpose(numbers(g, D(70, 90), 1), (glia_transpose_attrs){.perm = {2, {1, 0}}});
    glia_value *s = glia_op_sigmoid(x), *t = glia_op_square(s);
    glia_value *y = glia_op_where(glia_op_greater(x, t), glia_op_add(s, t), glia_op_mul(s, x));
    y = glia_op_sub(glia_op_cast(glia_op_cast(y, GLIA_F64), GLIA_F32), x);
    expect(g, &y, 1, INFERENCE, "+where+cast+cast+sub", true);
    glia_graph_free(g);
}

TEST(elementwise_stops) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = numbers(g, D(20, 30), 1), *row = numbers(g, D(30), 2);
    glia_value *a = glia_op_exp(x), *b = glia_op_tanh(a), *c = glia_op_neg(b);
    expect(g, (glia_value *[]){a, c}, 2, INFERENCE, ": tanh+neg", true); /* a is an output */
    glia_value *sum = glia_op_sum(b, ALL);                               /* b is read elsewhere */
    expect(g, (glia_value *[]){sum, c}, 2, INFERENCE, ": exp+tanh", true);
    expect(g, (glia_value *[]){sum, c}, 2, INFERENCE, "+neg", false);
    glia_value *d = glia_op_add(glia_op_square(x), row); /* not flat */
    expect(g, &d, 1, INFERENCE, "fused", false);
    glia_value *e = glia_op_dropout(glia_op_square(x), (glia_dropout_attrs){.rate = 0.5});
    expect(g, &e, 1, TRAINING, "fused", false); /* random numbers belong to places */
    glia_graph_free(g);
}

/* More members and more inputs than one op holds: several. */
TEST(elementwise_many) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = numbers(g, D(40, 60), 0), *y = x;
    for (uint64_t i = 0; i < 40; i++) y = glia_op_tanh(glia_op_add(y, i < 20 ? numbers(g, D(40, 60), i) : x));
    expect(g, &y, 1, INFERENCE, "cpu_fused_elementwise", true);
    glia_graph_free(g);
}

TEST(elementwise_half) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = numbers(g, D(40, 64), 1), *w = numbers(g, D(64, 64), 2);
    glia_value *y = glia_op_relu(glia_op_matmul(x, w, (glia_matmul_attrs){0}));
    y = glia_op_cast(glia_op_mul(glia_op_cast(y, GLIA_BF16), glia_op_cast(x, GLIA_BF16)), GLIA_F32);
    glia_program *program = compare(g, &y, 1, INFERENCE, 2e-2);
    check_has(program, "+cast+mul+cast", true);
    glia_program_free(program);
    glia_graph_free(g);
}

/* Planning fails as often as there are allocations, and leaves nothing. */
TEST(elementwise_memory) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = numbers(g, D(40, 60), 1), *y = glia_op_relu(glia_op_mul(x, glia_op_tanh(x)));
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_program *program = NULL;
        glia_program_options options = {.threads = 1, .allocator = &memory.allocator};
        glia_status status = glia_program_new(&program, g, &y, 1, options, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_program_free(program);
    }
    glia_graph_free(g);
}

/* --- fuse_activation, fuse_conv_pool, channels_last, precision -------------------------------------------- */

TEST(activation) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = numbers(g, D(8, 20), 1), *w = numbers(g, D(12, 20), 2), *b = numbers(g, D(12), 3);
    glia_value *z = glia_op_linear(x, w, b, (glia_linear_attrs){0}), *y = glia_op_relu(z);
    expect(g, &y, 1, INFERENCE, "relu", false);
    expect(g, (glia_value *[]){z, y}, 2, INFERENCE, "relu", true); /* what the relu hides is wanted */
    glia_value *other = glia_op_sum(z, ALL);
    expect(g, (glia_value *[]){other, y}, 2, INFERENCE, "relu", true);
    glia_graph_free(g);
}

/* Whether some kernel here takes four such inputs. */
static bool takes_residual(const char *op, const glia_type *in, const glia_type *out, const void *attrs) {
    const glia_kernel_query query = {
        .op = glia__op_find(op), .attrs = attrs, .in = in, .out = out, .n_in = 4, .n_out = 1, .threads = 2};
    return glia__kernel_choose(&query, NULL) != NULL;
}

/* An addition rides on the later of two products, with the relu behind it. */
TEST(residual) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = numbers(g, D(2, 32, 20, 20), 1), *w = numbers(g, D(32, 32, 3, 3), 2);
    glia_value *first = glia_op_conv2d(x, w, NULL, SAME),
               *second = glia_op_conv2d(glia_op_tanh(x), w, NULL, SAME);
    glia_value *y = glia_op_relu(glia_op_add(first, second));
    const glia_type image = {GLIA_F32, D(2, 20, 20, 32)}, none = {.shape = {.rank = -1}};
    const glia_conv2d_attrs last = {.strides = {1, 1},
                                    .dilation = {1, 1},
                                    .padding = GLIA_PADDING_SAME,
                                    .groups = 1,
                                    .channels_last = GLIA_YES};
    const bool rides = takes_residual(
        "conv2d", (glia_type[]){image, {GLIA_F32, D(32, 32, 3, 3)}, none, image}, &image, &last);
    glia_program *program = compare(g, &y, 1, INFERENCE, 2e-4); /* minimal filtering rounds more */
    check_has(program, " add_3  ", !rides);
    check_has(program, " relu_4  ", !rides);
    glia_program_free(program);
    program = compare(g, (glia_value *[]){first, second, y}, 3, INFERENCE, 2e-4);
    check_has(program, "relu_4: add+relu", true); /* both are wanted as they are */
    glia_program_free(program);
    const glia_type wide = {GLIA_F32, D(24, 40)}, out = {GLIA_F32, D(24, 32)};
    const bool dense_rides =
        takes_residual("linear", (glia_type[]){wide, {GLIA_F32, D(32, 40)}, {GLIA_F32, D(32)}, out}, &out,
                       &(glia_linear_attrs){0});
    glia_value *v = numbers(g, D(24, 40), 3), *u = numbers(g, D(32, 40), 4), *z = numbers(g, D(24, 32), 5);
    glia_value *dense = glia_op_add(z, glia_op_linear(v, u, numbers(g, D(32), 6), (glia_linear_attrs){0}));
    expect(g, &dense, 1, INFERENCE, " add", !dense_rides);
    glia_graph_free(g);
}

/* A table that words are looked up in and that is the last layer too. */
TEST(accumulate) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_value *table = numbers(g, D(50, 8), 1), *gradient;
    glia_value *words = array(g, GLIA_I64, D(6), (double[]){3, 49, 3, 0, 7, 3});
    glia_value *h = glia_op_gather(table, words, (glia_gather_attrs){0});
    glia_value *y = glia_op_linear(glia_op_tanh(h), table, NULL, (glia_linear_attrs){0});
    CHECK_OK(glia_graph_gradients(g, glia_op_sum(glia_op_square(y), ALL), &table, 1, &gradient, &err), &err);
    expect(g, &gradient, 1, TRAINING, "10 calls", true); /* no addition among them */
    glia_value *in[] = {table, words, h};
    glia_value *rows = glia_graph_apply(g, "gather_backward", in, 3, NULL), *other = glia_op_square(table);
    glia_value *sum = glia_op_add(other, rows);
    expect(g, (glia_value *[]){sum, other}, 2, TRAINING, "3 calls", true); /* not in place: both are wanted */
    expect(g, (glia_value *[]){sum, rows}, 2, TRAINING, ": square+add", true); /* wanted as it is */
    glia_graph_free(g);
}

TEST(conv_pool) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_value *x = numbers(g, D(4, 1, 28, 28), 1), *w = numbers(g, D(16, 1, 3, 3), 2), *gradients[1];
    glia_value *conv = glia_op_conv2d(x, w, numbers(g, D(16), 3), SAME), *relu = glia_op_relu(conv);
    glia_value *y = glia_op_max_pool2d(relu, HALVE), *loss = glia_op_sum(glia_op_square(y), ALL);
    CHECK_OK(glia_graph_gradients(g, loss, &w, 1, gradients, &err), &err);
    expect(g, (glia_value *[]){y, gradients[0]}, 2, TRAINING, "cpu_conv_pool_backward", true);
    expect(g, (glia_value *[]){y, relu}, 2, TRAINING, "conv_pool", false); /* relu is an output */
    glia_graph_free(g);
}

/* A net that has kernels for images with channels last, where there are such kernels. */
TEST(channels_last) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = numbers(g, D(2, 16, 20, 20), 1);
    glia_value *h = glia_op_relu(glia_op_conv2d(x, numbers(g, D(32, 16, 3, 3), 2), NULL, SAME));
    h = glia_op_mul(h, glia_graph_scalar(g, GLIA_F32, 0.01)); /* follows */
    h = glia_op_tanh(glia_op_conv2d(h, numbers(g, D(24, 32, 3, 3), 3), NULL, SAME));
    glia_value *y = glia_op_max_pool2d(h, HALVE);
    glia_program *program = compare(g, &y, 1, INFERENCE, 2e-5);
    const char *text = printed(program), *second = strstr(text, "transpose");
    if (second) second = strstr(second + 1, "transpose");
    CHECK(!second || !strstr(second + 1, "transpose")); /* only at both ends */
    glia_program_free(program);
    glia_graph_free(g);
}

TEST(precision) {
    glia_graph *g = glia_graph_new(NULL);
    const glia_program_options half = {.precision = GLIA_PRECISION_BF16};
    glia_value *x = numbers(g, D(2, 16, 20, 20), 1);
    glia_value *w = glia_op_mul(numbers(g, D(32, 16, 3, 3), 2), glia_graph_scalar(g, GLIA_F32, 0.05));
    glia_value *y = glia_op_tanh(glia_op_conv2d(x, w, NULL, SAME));
    glia_program *program = compare(g, &y, 1, half, 0.05);
    CHECK_INT(glia_program_output(program, y).dtype, GLIA_F32);
    glia_program_free(program);
    glia_graph_free(g);
}

/* --- fold_batch_norm, and calls that run once ------------------------------------------------------------- */

enum { VARIANCE = 6 }; /* the stream of variances: positive */
static const glia_program_options FIXED = {.fixed_params = GLIA_YES};

/* A parameter with a tensor of its own. */
typedef struct table {
    glia_value *value;
    float data[2048];
} table;

static glia_value *parameter(glia_graph *g, table *t, const char *name, glia_shape shape, uint64_t stream) {
    const glia_random random = {.seed = 9, .stream = stream};
    t->value = glia_graph_param(g, name, GLIA_F32, shape);
    for (int64_t i = 0; i < glia_shape_elems(&shape); i++)
        t->data[i] = (float)glia_random_normal(random, (uint64_t)i) * 0.3F + 0.2F;
    if (stream == VARIANCE)
        for (int64_t i = 0; i < glia_shape_elems(&shape); i++) t->data[i] = fabsf(t->data[i]) + 0.1F;
    return t->value;
}

typedef struct net {
    glia_graph *graph;
    glia_value *x, *before, *y;
    table tables[6]; /* w, b, scale, bias, mean, var */
} net;

static void make_net(net *n, bool dense, bool biased, glia_batch_norm_attrs attrs) {
    glia_graph *g = n->graph = glia_graph_new(NULL);
    table *t = n->tables;
    t[1].value = NULL;
    n->x = dense ? numbers(g, D(5, 16), 1) : numbers(g, D(2, 8, 9, 11), 1);
    glia_value *w = parameter(g, &t[0], "w", dense ? D(12, 16) : D(12, 8, 3, 3), 1);
    glia_value *b = biased ? parameter(g, &t[1], "b", D(12), 2) : NULL;
    n->before = dense ? glia_op_linear(n->x, w, b, (glia_linear_attrs){0}) : glia_op_conv2d(n->x, w, b, SAME);
    n->y = glia_op_batch_norm(n->before, parameter(g, &t[2], "scale", D(12), 3),
                              parameter(g, &t[3], "bias", D(12), 4), parameter(g, &t[4], "mean", D(12), 5),
                              parameter(g, &t[5], "var", D(12), VARIANCE), attrs);
}

static void bind_net(const net *n, glia_program *program) {
    glia_error err = {0};
    for (int i = 0; i < 6 && program; i++)
        if (n->tables[i].value)
            CHECK_OK(
                glia_program_bind(program, n->tables[i].value, (void *)(uintptr_t)n->tables[i].data, &err),
                &err);
}

static glia_program *plan_net(const net *n, glia_value *const *outputs, int count,
                              glia_program_options options) {
    glia_error err = {0};
    glia_program *program = NULL;
    CHECK_OK(glia_program_new(&program, n->graph, outputs, count, options, &err), &err);
    bind_net(n, program);
    return program;
}

static void run(glia_program *program) {
    glia_error err = {0};
    CHECK_OK(glia_program_run(program, 1, &err), &err);
}

TEST(batch_norm_folded) {
    for (int kind = 0; kind < 8; kind++) {
        static net n;
        make_net(&n, kind & 1, kind & 2, (glia_batch_norm_attrs){.activation = kind >> 2, .epsilon = 1e-3});
        glia_program *folded = plan_net(&n, &n.y, 1, FIXED), *plain = plan_net(&n, &n.y, 1, INFERENCE);
        check_has(folded, "batch_norm_1 ", false);
        check_has(folded, " once", true);
        check_has(plain, " once", false);
        run(folded);
        run(plain);
        check_near(folded, plain, n.y, 1e-5);
        glia_program_free(plain);
        glia_program_free(folded);
        glia_graph_free(n.graph);
    }
}

/* Weights that are computed of parameters stay f32 in bf16 programs, as parameters do. */
TEST(batch_norm_folded_in_half) {
    static net n;
    const glia_program_options half = {.fixed_params = GLIA_YES, .precision = GLIA_PRECISION_BF16};
    make_net(&n, false, true, (glia_batch_norm_attrs){0});
    glia_program *folded = plan_net(&n, &n.y, 1, half), *plain = plan_net(&n, &n.y, 1, INFERENCE);
    check_has(folded, "batch_norm_1 ", false);
    run(folded);
    run(plain);
    check_near(folded, plain, n.y, 0.05);
    glia_program_free(plain);
    glia_program_free(folded);
    glia_graph_free(n.graph);
}

TEST(batch_norm_stays) {
    static net n;
    make_net(&n, false, true, (glia_batch_norm_attrs){0});
    glia_value *both[] = {n.y, n.before}, *statistics[] = {n.y, glia_value_sibling(n.y, 1)};
    const glia_program_options training = {.training = GLIA_YES, .fixed_params = GLIA_YES};
    struct {
        glia_value **outputs;
        int count;
        glia_program_options options;
    } cases[] = {{&n.y, 1, INFERENCE}, {&n.y, 1, training}, {both, 2, FIXED}, {statistics, 2, FIXED}};
    for (size_t i = 0; i < GLIA_COUNT(cases); i++) {
        glia_program *program = plan_net(&n, cases[i].outputs, cases[i].count, cases[i].options);
        check_has(program, "batch_norm_1 ", true);
        run(program);
        glia_program_free(program);
    }
    glia_graph_free(n.graph);
}

/* What depends on parameters alone is computed once, and again when they are bound again. */
TEST(prologue_runs_when_bound) {
    static net n;
    make_net(&n, true, true, (glia_batch_norm_attrs){0});
    glia_program *program = plan_net(&n, &n.y, 1, FIXED), *fresh;
    float before[5 * 12];
    const glia_tensor found = glia_program_output(program, n.y);
    run(program);
    memcpy(before, found.data, sizeof before);
    for (int i = 0; i < 12; i++) n.tables[2].data[i] *= 2; /* nobody is told */
    run(program);
    CHECK(memcmp(before, glia_program_output(program, n.y).data, sizeof before) == 0);
    bind_net(&n, program);
    run(program);
    fresh = plan_net(&n, &n.y, 1, INFERENCE);
    run(fresh);
    check_near(program, fresh, n.y, 1e-5);
    CHECK(memcmp(before, glia_program_output(program, n.y).data, sizeof before) != 0);
    glia_program_free(fresh);
    glia_program_free(program);
    glia_graph_free(n.graph);
}

/* A result that the caller wants is computed in every run: it may be moved from one to the next. */
TEST(prologue_leaves_outputs) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    float w[4] = {1, 2, 3, 4}, place[4] = {0};
    glia_value *p = glia_graph_param(g, "p", GLIA_F32, D(4)), *square = glia_op_square(p);
    glia_value *y = glia_op_add(glia_op_exp(square), numbers(g, D(4), 1));
    glia_program *program = NULL;
    CHECK_OK(glia_program_new(&program, g, (glia_value *[]){square, y}, 2, FIXED, &err), &err);
    CHECK_OK(glia_program_bind(program, p, w, &err), &err);
    run(program);
    CHECK_OK(glia_program_bind(program, square, place, &err), &err);
    run(program);
    CHECK_NEAR(place[3], 16, 0);
    glia_program_free(program);
    glia_graph_free(g);
}

TEST(fold_memory) {
    static net n;
    make_net(&n, false, true, (glia_batch_norm_attrs){0});
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_program *program = NULL;
        glia_program_options options = {
            .threads = 1, .fixed_params = GLIA_YES, .allocator = &memory.allocator};
        glia_status status = glia_program_new(&program, n.graph, &n.y, 1, options, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_program_free(program);
    }
    glia_graph_free(n.graph);
}

TEST_MAIN(TEST_ENTRY(elementwise_chain), TEST_ENTRY(elementwise_dag), TEST_ENTRY(elementwise_stops),
          TEST_ENTRY(elementwise_many), TEST_ENTRY(elementwise_half), TEST_ENTRY(elementwise_memory),
          TEST_ENTRY(activation), TEST_ENTRY(residual), TEST_ENTRY(accumulate), TEST_ENTRY(conv_pool),
          TEST_ENTRY(channels_last), TEST_ENTRY(precision), TEST_ENTRY(batch_norm_folded),
          TEST_ENTRY(batch_norm_folded_in_half), TEST_ENTRY(batch_norm_stays),
          TEST_ENTRY(prologue_runs_when_bound), TEST_ENTRY(prologue_leaves_outputs), TEST_ENTRY(fold_memory))
