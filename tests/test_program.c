/* test_program.c: planning and running: memory reuse, splits over workers, bindings, errors, allocations. */

#include "test.h"

#include "failing_allocator.h"
#include "glia/graph.h"
#include "glia/program.h"

static glia_value *apply1(const char *op, glia_value *x) {
    return glia_graph_apply(glia_value_graph(x), op, &x, 1, NULL);
}
static glia_value *apply2(const char *op, glia_value *a, glia_value *b) {
    return glia_graph_apply(glia_value_graph(a ? a : b), op, (glia_value *[]){a, b}, 2, NULL);
}

/* y = a chain of ops over [N, 64] with branches, so that buffers die at different times; softmax, so that they stay many calls. */
static glia_value *chain(glia_graph *g, glia_value **x) {
    *x = glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH, 64));
    glia_value *a = apply1("tanh", *x), *b = apply2("mul", a, *x), *c = apply1("exp", b);
    for (int i = 0; i < 6; i++) c = apply2("add", apply1("softmax", c), i % 2 ? a : b);
    return apply2("sub", c, a);
}

static void run_chain(glia_program_options options, float *x, float *y, glia_program_info *info) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_value *in, *out = chain(g, &in);
    glia_program *p = NULL;
    options.dims[0] = 512;
    CHECK_OK(glia_program_new(&p, g, &out, 1, options, &err), &err);
    CHECK_OK(glia_program_bind(p, in, x, &err), &err);
    CHECK_OK(glia_program_run(p, 1, &err), &err);
    CHECK_OK(glia_program_run(p, 2, &err), &err); /* a second run starts from dirty memory */
    memcpy(y, glia_program_output(p, out).data, 512 * 64 * sizeof(float));
    if (info) *info = glia_program_get_info(p);
    glia_program_free(p);
    glia_graph_free(g);
}

TEST(reuse_and_threads_change_no_bit) {
    enum { BYTES = 512 * 64 * sizeof(float) };
    float *x = malloc(BYTES), *plain = malloc(BYTES), *planned = malloc(BYTES);
    for (int i = 0; i < 512 * 64; i++) x[i] = (float)(i % 97) / 50.0f - 1;
    glia_program_info info;
    run_chain((glia_program_options){.threads = 1, .reuse_memory = GLIA_NO, .reference = GLIA_YES}, x, plain,
              NULL);
    for (int threads = 1; threads <= 5; threads++) {
        memset(planned, 0, BYTES);
        run_chain((glia_program_options){.threads = threads}, x, planned, &info);
        CHECK(memcmp(plain, planned, BYTES) == 0);
    }
    CHECK(info.block_bytes <= 4 * BYTES); /* a, b, c and one temporary are alive at once */
    CHECK(info.unplanned_bytes >= info.block_bytes);
    CHECK(info.calls > 10 && info.flops > 0);
    free(x);
    free(plain);
    free(planned);
}

TEST(bindings) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_value *x = glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH, 2));
    glia_value *y = apply1("neg", x), *z = apply1("abs", y);
    glia_value *outputs[] = {y, z, x};
    glia_program *p = NULL;
    CHECK_ERR(glia_program_new(&p, g, outputs, 3, (glia_program_options){0}, &err), GLIA_INVALID_ARGUMENT,
              &err, "'x' has a dimension N (batch) that is not bound");
    CHECK(p == NULL);
    CHECK_OK(glia_program_new(&p, g, outputs, 3, (glia_program_options){.dims = {2}}, &err), &err);
    CHECK_ERR(glia_program_run(p, 0, &err), GLIA_INVALID_ARGUMENT, &err, "'x' is not bound to data");
    float xs[4] = {1, 2, 3, -4}, ys[4] = {0}, xcopy[4] = {0};
    CHECK_OK(glia_program_bind(p, x, xs, &err), &err);
    CHECK_OK(glia_program_bind(p, y, ys, &err), &err);
    CHECK_OK(glia_program_run(p, 0, &err), &err);
    const float *zs = glia_program_output(p, z).data;
    CHECK_NEAR(ys[0], -1, 0);
    CHECK_NEAR(ys[3], 4, 0);
    CHECK_NEAR(zs[1], 2, 0);
    CHECK_NEAR(zs[3], 4, 0);
    CHECK(glia_program_output(p, x).data == xs);
    float xs2[4] = {9, 8, 7, 6};
    CHECK_OK(glia_program_bind(p, x, xs2, &err), &err);
    CHECK_OK(glia_program_bind(p, y, NULL, &err), &err); /* back to the block */
    CHECK_OK(glia_program_run(p, 0, &err), &err);
    CHECK_NEAR(((const float *)glia_program_output(p, y).data)[0], -9, 0);
    CHECK_NEAR(ys[0], -1, 0);
    (void)xcopy;
    glia_value *inner = apply1("exp", z);
    CHECK_ERR(glia_program_bind(p, inner, ys, &err), GLIA_INVALID_ARGUMENT, &err, "neither an input");
    glia_program_free(p);
    glia_graph_free(g);
}

TEST(nothing_is_allocated_in_a_run) {
    failing_allocator memory = {.allocator = {failing_alloc, failing_free, &memory}};
    glia_graph *g = glia_graph_new(&memory.allocator);
    glia_error err = {0};
    glia_value *in, *out = chain(g, &in);
    glia_program *p = NULL;
    float x[8 * 64] = {0};
    CHECK_OK(glia_program_new(&p, g, &out, 1,
                              (glia_program_options){.dims = {8}, .allocator = &memory.allocator}, &err),
             &err);
    CHECK_OK(glia_program_bind(p, in, x, &err), &err);
    long before = memory.count;
    for (uint64_t i = 0; i < 3; i++) CHECK_OK(glia_program_run(p, i, &err), &err);
    CHECK_INT(memory.count, before);
    glia_program_free(p);
    glia_graph_free(g);
    CHECK_INT(memory.live_blocks, 0);
}

/* y = x · wᵀ, with as many rows as asked for; oneDNN packs the weights where it is there. */
static glia_program *product(glia_graph *g, int64_t rows, const glia_program *shares, float *w, float *x,
                             glia_value **y) {
    glia_error err = {0};
    glia_value *in = glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH, 128));
    glia_value *weights = glia_graph_param(g, "w", GLIA_F32, GLIA_SHAPE(128, 128));
    *y = apply1("neg", apply2("linear", in, weights));
    glia_program *p = NULL;
    glia_program_options options = {
        .dims = {rows}, .threads = 2, .fixed_params = GLIA_YES, .shares_block = shares};
    CHECK_OK(glia_program_new(&p, g, y, 1, options, &err), &err);
    CHECK_OK(glia_program_bind(p, in, x, &err), &err);
    CHECK_OK(glia_program_bind(p, weights, w, &err), &err);
    return p;
}

TEST(programs_that_share_a_block_take_turns) {
    enum { ROWS = 64 };
    static float w[2][128 * 128], x[ROWS * 128], alone[2][2 * ROWS * 128];
    glia_graph *g[2] = {glia_graph_new(NULL), glia_graph_new(NULL)};
    glia_value *y[2];
    glia_error err = {0};
    for (int i = 0; i < 128 * 128; i++) w[0][i] = (float)(i % 13) - 6, w[1][i] = (float)(i % 7) - 3;
    for (int i = 0; i < ROWS * 128; i++) x[i] = (float)(i % 5) - 2;
    for (int i = 0; i < 2; i++) {
        glia_graph *own = glia_graph_new(NULL);
        glia_program *p = product(own, i ? ROWS : ROWS / 4, NULL, w[i], x, &y[i]);
        CHECK_OK(glia_program_run(p, 0, &err), &err);
        glia_tensor out = glia_program_output(p, y[i]);
        memcpy(alone[i], out.data, glia_tensor_bytes(&out));
        glia_program_free(p);
        glia_graph_free(own);
    }
    glia_program *p[2];
    p[0] = product(g[0], ROWS / 4, NULL, w[0], x, &y[0]);
    CHECK_OK(glia_program_run(p[0], 0, &err), &err);
    p[1] = product(g[1], ROWS, p[0], w[1], x, &y[1]); /* needs more: the block moves */
    for (int turn = 0; turn < 6; turn++) {
        const int i = turn % 3 == 1; /* twice the same, too */
        CHECK_OK(glia_program_run(p[i], 0, &err), &err);
        glia_tensor out = glia_program_output(p[i], y[i]);
        CHECK(memcmp(alone[i], out.data, glia_tensor_bytes(&out)) == 0);
    }
    glia_program_free(p[0]); /* the other goes on */
    CHECK_OK(glia_program_run(p[1], 0, &err), &err);
    glia_tensor out = glia_program_output(p[1], y[1]);
    CHECK(memcmp(alone[1], out.data, glia_tensor_bytes(&out)) == 0);
    glia_program_free(p[1]);
    for (int i = 0; i < 2; i++) glia_graph_free(g[i]);
}

TEST(programs_without_memory_and_outputs_without_a_place) {
    failing_allocator memory = {.allocator = {failing_alloc, failing_free, &memory}};
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_value *in, *out = chain(g, &in);
    glia_program *p = NULL;
    static float x[512 * 64], y[512 * 64];
    glia_program_options options = {.dims = {512}, .plan_only = GLIA_YES, .allocator = &memory.allocator};
    CHECK_OK(glia_program_new(&p, g, &out, 1, options, &err), &err);
    const size_t bytes = glia_program_get_info(p).block_bytes;
    CHECK(memory.peak_bytes < (long)bytes);
    CHECK_OK(glia_program_bind(p, in, x, &err), &err);
    CHECK_ERR(glia_program_run(p, 0, &err), GLIA_INVALID_ARGUMENT, &err, "plan_only");
    glia_program_free(p);
    options = (glia_program_options){.dims = {512}, .bound_outputs = 1};
    CHECK_OK(glia_program_new(&p, g, &out, 1, options, &err), &err);
    CHECK(glia_program_get_info(p).block_bytes < bytes);
    CHECK_OK(glia_program_bind(p, in, x, &err), &err);
    CHECK_ERR(glia_program_run(p, 0, &err), GLIA_INVALID_ARGUMENT, &err, "is not bound to data");
    CHECK_OK(glia_program_bind(p, out, y, &err), &err);
    CHECK_OK(glia_program_run(p, 0, &err), &err);
    CHECK(glia_program_output(p, out).data == y);
    CHECK(y[0] != 0);
    glia_program_free(p);
    glia_graph_free(g);
    CHECK_INT(memory.live_blocks, 0);
}

TEST(first_bad_node_is_named) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_value *x = glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(4));
    glia_graph_set_scope(g, "root");
    glia_value *y = apply1("exp", apply1("sqrt", apply1("neg", x)));
    glia_program *p = NULL;
    float xs[] = {-1, -4, 9, -1};
    CHECK_OK(glia_program_new(&p, g, &y, 1, (glia_program_options){.check_finite = GLIA_YES}, &err), &err);
    CHECK_OK(glia_program_bind(p, x, xs, &err), &err);
    CHECK_ERR(glia_program_run(p, 1, &err), GLIA_NOT_FINITE, &err, "'root.sqrt' (4) holds");
    xs[0] = INFINITY;
    CHECK_ERR(glia_program_run(p, 1, &err), GLIA_NOT_FINITE, &err, "input 'x' (4) holds inf at element 0");
    glia_program_free(p);
    glia_graph_free(g);
}

TEST(every_allocation_may_fail) {
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_graph *g = glia_graph_new(&memory.allocator);
        glia_status status = GLIA_OUT_OF_MEMORY;
        glia_program *p = NULL;
        if (g) {
            glia_value *x = glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH, 4));
            glia_value *w = glia_graph_param(g, "w", GLIA_F32, GLIA_SHAPE(4));
            glia_value *y = apply1("tanh", x ? apply2("mul", x, w) : NULL);
            status = glia_graph_status(g, &err);
            if (status == GLIA_OK)
                status = glia_program_new(
                    &p, g, &y, 1, (glia_program_options){.dims = {3}, .allocator = &memory.allocator}, &err);
        }
        CHECK_FAILED_ONCE(memory, status);
        glia_program_free(p);
        glia_graph_free(g);
    }
}

TEST(a_program_can_be_printed) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    char text[8192];
    glia_value *in, *out = chain(g, &in);
    glia_program *p = NULL;
    CHECK_OK(glia_program_new(&p, g, &out, 1, (glia_program_options){.dims = {4096}, .threads = 2}, &err),
             &err);
    FILE *file = tmpfile();
    glia_program_print(p, file);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    CHECK_HAS(text, "4096×64 → f32 4096×64");
    CHECK_HAS(text, "rows 16×256");
    CHECK_HAS(text, "without reuse");
    glia_program_free(p);
    glia_graph_free(g);
}

TEST(a_program_tells_its_calls_and_their_times) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_value *in, *out = chain(g, &in);
    glia_program *p = NULL;
    float *data = calloc(4096 * 64, sizeof *data);
    glia_program_options options = {.dims = {4096}, .threads = 2, .profile = GLIA_YES};
    CHECK_OK(glia_program_new(&p, g, &out, 1, options, &err), &err);
    CHECK_OK(glia_program_bind(p, in, data, &err), &err);
    CHECK(glia_program_get_info(p).measured == 0);
    for (uint64_t step = 1; step <= 3; step++) CHECK_OK(glia_program_run(p, step, &err), &err);
    const glia_program_info info = glia_program_get_info(p);
    double predicted = 0, measured = 0, flops = 0;
    int64_t next = 0;
    for (int64_t i = 0; i < info.segments; i++) {
        const glia_program_segment s = glia_program_get_segment(p, i);
        CHECK(s.first == next && s.end > s.first && s.workers >= 1 && s.chunks >= 1);
        CHECK(s.rows <= s.chunk * s.chunks && s.rows > s.chunk * (s.chunks - 1));
        next = s.end;
        predicted += s.predicted;
        measured += s.measured;
        for (int64_t c = s.first; c < s.end; c++) {
            const glia_program_call call = glia_program_get_call(p, c);
            glia_dtype dtype;
            glia_shape shape;
            CHECK(call.predicted > 0 && call.measured > 0 && call.measured <= 1.01 * s.measured);
            CHECK(glia_program_operand(p, c, call.inputs, &dtype, &shape) && dtype == GLIA_F32);
            CHECK(shape.rank == 2 && shape.dim[0] == 4096 && shape.dim[1] == 64);
            flops += call.flops;
        }
    }
    CHECK(next == info.calls && flops == info.flops && info.threads == 2);
    CHECK(predicted > 0.99 * info.predicted && predicted < 1.01 * info.predicted);
    CHECK(measured > 0 && measured <= info.measured);
    glia_program_free(p);
    glia_graph_free(g);
    free(data);
}

TEST_MAIN(TEST_ENTRY(reuse_and_threads_change_no_bit), TEST_ENTRY(bindings),
          TEST_ENTRY(nothing_is_allocated_in_a_run), TEST_ENTRY(programs_that_share_a_block_take_turns),
          TEST_ENTRY(programs_without_memory_and_outputs_without_a_place),
          TEST_ENTRY(first_bad_node_is_named), TEST_ENTRY(every_allocation_may_fail),
          TEST_ENTRY(a_program_can_be_printed), TEST_ENTRY(a_program_tells_its_calls_and_their_times))
