/* test_kernel_threads.c: kernels that share their work among threads by themselves (own_threads) give the same bits with
 * any number of them, and what ref gives. The cases are large enough that they are really shared; those of the ops'
 * blocks are not. Parameters beside bf16 are whole numbers, which kernels may round to bf16 without loss. */

#include "op_engine.h"

#include "core/isa.h"
#include "kernels/kernel.h"

static const struct {
    const char *op;
    glia_case example;
} cases[] = {
    {"attention_step", {"2x5x192 2x5x192 2x5x192 2x300x192 2x300x192 5:i64<301", "heads=3", 1e-4, NULL}},
    {"conv2d", {"3x3x19x21 40x3x3x3 40", "padding=same", 1e-4, NULL}},
    {"conv2d", {"2x32x14x14 64x32x3x3 64", "padding=same activation=relu", 1e-4, NULL}},
    {"conv2d", {"2x14x14x32 64x32x3x3 64", "padding=same activation=relu channels_last=yes", 1e-4, NULL}},
    {"conv2d", {"1x7x7x256 96x256x3x3 96", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d", {"3x15x15x64 32x64x1x1", "strides=2 channels_last=yes", 1e-4, NULL}},
    {"conv2d", {"2x256x28x28 128x256x1x1 128", "strides=2", 1e-4, NULL}},
    {"conv2d", {"2x12x12x64 64x1x3x3 64", "groups=64 padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d",
     {"2x14x14x32:bf16 64x32x3x3:f32<5 64:f32<5", "padding=same activation=relu channels_last=yes", 1e-2,
      NULL}},
    {"conv2d", {"3x28x28x3:bf16 64x3x3x3:f32<5 64:f32<5", "padding=same channels_last=yes", 1e-2, NULL}},
    {"conv2d", {"9x2x2x128 144x128x3x3 144", "padding=same activation=relu channels_last=yes", 1e-4, NULL}},
    {"conv2d", {"21x4x4x128:bf16 160x128x3x3:f32<5 160:f32<5", "padding=same channels_last=yes", 1e-2, NULL}},
    {"conv2d", {"96x4x3x128:bf16 160x128x3x3:f32<5 160:f32<5", "padding=same channels_last=yes", 1e-2, NULL}},
    {"conv2d", {"7x5x3x128:bf16 128x128x2x4:f32<5", "padding=same channels_last=yes", 1e-2, NULL}},
    {"conv2d_backward_data", {"64x32x3x3 2x64x14x14 2x32x14x14", "padding=same", 1e-4, NULL}},
    {"conv2d_backward_data",
     {"64x32x3x3 2x14x14x64 2x14x14x32", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_data", {"96x256x3x3 1x7x7x96 1x7x7x256", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_data", {"32x64x1x1 3x8x8x32 3x15x15x64", "strides=2 channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_data",
     {"64x32x3x3:f32<5 2x14x14x64:bf16 2x14x14x32:bf16", "padding=same channels_last=yes", 1e-2, NULL}},
    {"conv2d_backward_data",
     {"160x128x3x3:f32<5 41x4x4x160:bf16 41x4x4x128:bf16", "padding=same channels_last=yes", 1e-2, NULL}},
    {"conv2d_backward_data",
     {"160x128x3x3:f32<5 96x4x3x160:bf16 96x4x3x128:bf16", "padding=same channels_last=yes", 1e-2, NULL}},
    {"conv_transpose2d", {"2x64x14x14 64x32x3x3", "strides=2", 1e-4, NULL}},
    {"conv_transpose2d", {"2x14x14x64 64x32x2x2", "strides=2 channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights", {"3x3x19x21 3x40x19x21 40x3x3x3", "padding=same", 1e-4, NULL}},
    {"conv2d_backward_weights", {"4x32x14x14 4x100x14x14 100x32x3x3", "padding=same", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"4x14x14x32 4x14x14x100 100x32x3x3", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights", {"3x15x15x64 3x8x8x64 64x64x1x1", "strides=2 channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"5x12x12x64 5x12x12x64 64x1x3x3", "groups=64 padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"4x14x14x32:bf16 4x14x14x100:bf16 100x32x3x3:f32<5", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"3x28x28x3:bf16 3x28x28x64:bf16 64x3x3x3:f32<5", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"9x2x2x128 9x2x2x144 144x128x3x3", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"41x4x4x128:bf16 41x4x4x160:bf16 160x128x3x3:f32<5", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"1x70x61x128:bf16 1x70x61x96:bf16 96x128x3x3:f32<5", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"3x9x13x40:bf16 3x11x14x72:bf16 72x40x3x4:f32<5", "padding=explicit pads=1,3,3,1 channels_last=yes",
      1e-4, NULL}},
    {"conv2d_backward_weights",
     {"32x4x4x128:bf16 32x4x4x96:bf16 96x128x3x3:f32<5", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"64x8x5x32:bf16 64x8x5x40:bf16 40x32x4x2:f32<5", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"96x1x2x40:bf16 96x1x2x40:bf16 40x40x3x3:f32<5", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"5x9x9x48:bf16 5x7x5x80:bf16 80x48x2x3:f32<5", "dilation=2 channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"5x9x9x70:bf16 5x9x9x33:bf16 33x70x1x1:f32<5", "channels_last=yes", 1e-4, NULL}},
    {"conv2d_backward_weights",
     {"7x5x3x128:bf16 7x5x3x128:bf16 128x128x2x4:f32<5", "padding=same channels_last=yes", 1e-4, NULL}},
    {"conv2d", {"3x13x18x48 64x48x3x3 64", "padding=same activation=relu channels_last=yes", 1e-3, NULL}},
    {"conv2d", {"7x9x12x32 96x32x3x3 - 7x7x10x96", "channels_last=yes", 1e-3, NULL}},
    {"conv2d_backward_data",
     {"48x64x3x3 3x13x18x48 3x13x18x64", "padding=same channels_last=yes", 1e-3, NULL}},
    {"conv2d_backward_data", {"96x32x3x3 7x7x10x96 7x9x12x32", "channels_last=yes", 1e-3, NULL}},
    {"conv2d_backward_weights",
     {"3x13x18x48 3x13x18x64 64x48x3x3", "padding=same channels_last=yes", 1e-3, NULL}},
    {"conv2d_backward_weights", {"40x9x12x32 40x7x10x96 96x32x3x3", "channels_last=yes", 1e-3, NULL}},
    {"matmul", {"16x4096 4096x16", "", 1e-3, NULL}},
    {"matmul", {"4096x16 4096x40", "transpose_a=yes", 1e-3, NULL}},
    {"matmul", {"200x300 310x300", "transpose_b=yes", 1e-4, NULL}},
    {"matmul", {"300x200 310x300", "transpose_a=yes transpose_b=yes", 1e-4, NULL}},
    {"matmul", {"6x90x80 6x80x100", "", 1e-4, NULL}},
    {"matmul", {"6x90x80 80x100", "", 1e-4, NULL}},
    {"matmul", {"8x4096:bf16 4096x1000:f32<5", "", 1e-2, NULL}},
    {"matmul", {"200x300:bf16 310x300:bf16", "transpose_b=yes", 1e-2, NULL}},
    {"matmul", {"6x90x80:bf16 6x80x100:bf16", "", 1e-2, NULL}},
    {"linear", {"128x784 512x784 512", "activation=relu", 1e-4, NULL}},
    {"linear", {"8x4096 1000x4096 1000", "", 1e-3, NULL}},
    {"linear", {"300x1500 10x1500 10", "", 1e-4, NULL}},
    {"linear", {"8x4096:bf16 1000x4096:f32<5 1000:f32<5", "activation=relu", 1e-2, NULL}},
    {"linear", {"128x784:bf16 512x784:f32<5 512:f32<5", "", 1e-2, NULL}},
    {"linear", {"2x4096 1000x4096 1000", "", 1e-4, NULL}},
    {"linear", {"7x512 301x512 301 7x301", "activation=relu", 1e-4, NULL}},
    {"linear", {"5x515:bf16 301x515:f32<5 301:f32<5 5x301:bf16", "", 1e-2, NULL}},
    {"linear", {"4x32x200 300x200 300", "", 1e-4, NULL}},
    {"linear_backward_weights", {"128x784 128x512", NULL, 1e-4, NULL}},
    {"linear_backward_weights", {"4x32x200 4x32x300", NULL, 1e-4, NULL}},
    {"linear_backward_weights", {"500x1500 500x10", NULL, 1e-4, NULL}},
    {"linear_backward_weights", {"100x1000:bf16 100x150:bf16", NULL, 1e-4, NULL}},
    {"linear_backward_weights", {"8x1000:bf16 8x1500:bf16", NULL, 1e-4, NULL}},
    {"linear_backward_weights", {"300x40 300x200", NULL, 1e-4, NULL}},
    {"linear_backward_weights", {"130x530:bf16 130x130:bf16", NULL, 1e-4, NULL}},
    {"rnn", {"70x5x20 70x20 70x70 140", "reverse=yes", 1e-4, NULL}},
    {"lstm", {"70x5x40 132x40 132x33 264 70:i64<6 70x33 70x33", "", 1e-4, NULL}},
    {"lstm", {"19x5x40 132x40 132x33 264", "", 1e-4, NULL}},
    {"lstm", {"70x3x40:bf16 132x40:f32<2 132x33:f32<2 264:f32<2", "", 5e-2, NULL}},
    {"rnn", {"70x2x20:bf16 33x20:f32<2 33x33:f32<2", "activation=tanh", 5e-2, NULL}},
    {"gru", {"70x2x40:bf16 99x40:f32<2 99x33:f32<2", "", 5e-2, NULL}},
    {"gru", {"70x5x40 99x40 99x33 198 70:i32<6 70x33", "", 1e-4, NULL}},
    {"rnn_backward", {"70x70 70x5x70:unit - 70:i64<6 70x70 - 70x5x70", "reverse=yes", 1e-3, NULL}},
    {"lstm_backward",
     {"132x33 70x5x33 70x5x165:unit 70:i64<6 70x33 70x33 70x5x33 70x33 70x33", "", 1e-3, NULL}},
    {"lstm_backward", {"132x33:f32<2 70x1x33:bf16 70x1x165:bf16 - - - 70x1x33:bf16", "", 1e-1, NULL}},
    {"gru_backward", {"99x33 70x5x33 70x5x132:unit 70:i64<6 70x33 - 70x5x33 70x33", "", 1e-3, NULL}},
    {"batch_norm", {"8x14x14x100 100 100 100 100:pos", "channels_last=yes activation=relu", 1e-4, NULL}},
    {"batch_norm", {"8x14x14x64:bf16 64:f32<5 64:f32<5 64:f32<5 64:f32<5", "channels_last=yes", 1e-2, NULL}},
    {"batch_norm_backward",
     {"8x14x14x100 8x14x14x100 100 100 100 100:pos", "channels_last=yes activation=relu", 1e-4, NULL}},
    {"batch_norm_backward",
     {"8x14x14x64:bf16 8x14x14x64:bf16 64:f32<5 64:f32<5 64:f32<5 64:f32<5", "channels_last=yes", 1e-2,
      NULL}},
    {"layer_norm_backward", {"300x200 300x200 300x1:pos 300x1 200", NULL, 1e-4, NULL}},
    {"attention", {"3x100x96", "heads=2 causal=yes packed=yes", 1e-4, NULL}},
    {"attention", {"2x70x48:bf16 2x130x24:bf16 2x130x24:bf16", "heads=4 key_value_heads=2", 1e-2, NULL}},
    {"attention_backward",
     {"2x100x96 - - - - 2x100x32 2x2x100:above 2x100x32", "heads=2 causal=yes packed=yes", 1e-3, NULL}},
    {"attention", {"3x100x96", "heads=2 causal=yes packed=yes dropout=0.3 stream=5", 1e-4, NULL}},
    {"attention_backward",
     {"2x100x96 - - - - 2x100x32 2x2x100:above 2x100x32",
      "heads=2 causal=yes packed=yes dropout=0.3 stream=5", 1e-3, NULL}},
    {"layer_norm_backward",
     {"200x7x64:bf16 200x7x64:bf16 200x7x1:f32<5 200x7x1:f32<5 64:f32<5", NULL, 1e-2, NULL}},
};

static int shared[256]; /* by kernel: cases that it took */

/* How a kernel may be asked: it may pack parameters, for one run in training. */
typedef struct setting {
    uint32_t params;
    bool training;
} setting;

/* Runs the kernel with `threads`; false when it does not take the case. */
static bool run_with(op_test *t, const glia_kernel *kernel, int threads, setting how, glia_view *out) {
    made_kernel made = {.kernel = kernel};
    glia_error err = {0};
    const char *why_not = NULL;
    glia_kernel_query query = {.op = t->op,
                               .attrs = t->attrs,
                               .in = t->in.types,
                               .out = t->out,
                               .n_in = t->in.count,
                               .n_out = op_outputs(t->op),
                               .params = how.params,
                               .threads = threads,
                               .training = how.training};
    if (!kernel->supports(&query, &why_not)) return false;
    make_outputs(t->op, t->out, out);
    glia_status status = kernel->init ? kernel->init(&query, &made.state, &made.needs, &err) : GLIA_OK;
    if (made.needs.packed_bytes && !kernel->pack)
        status = glia_error_set(&err, GLIA_INTERNAL, "wants packed parameters, but has no pack");
    if (status == GLIA_OK) status = run_views(t->op, t->in.views, t->in.count, out, t->attrs, 0, &err, &made);
    if (status != GLIA_OK) report(t, kernel->name, err.message);
    if (!canaries_live(t->op, out)) report(t, kernel->name, "wrote behind an output");
    if (kernel->fini && made.state) kernel->fini(made.state);
    return true;
}

static void compare(op_test *t, size_t number, setting how, const glia_view *expected) {
    static const int more[] = {2, 3, 4, 24};
    const glia_kernel *kernel = glia__kernels[number];
    glia_view one[GLIA_MAX_OUTPUTS], many[GLIA_MAX_OUTPUTS];
    char message[128];
    if (!run_with(t, kernel, 1, how, one)) return;
    shared[number]++;
    for (int o = 0; o < op_outputs(t->op); o++)
        if (!views_near(&one[o], &expected[o], t->example->tolerance, message, sizeof message))
            report(t, kernel->name, message);
    for (size_t i = 0; i < GLIA_COUNT(more); i++) {
        const int threads = more[i];
        test_checks++;
        if (!run_with(t, kernel, threads, how, many)) {
            report(t, kernel->name, "takes the case with one thread only");
            continue;
        }
        for (int o = 0; o < op_outputs(t->op); o++)
            if (memcmp(one[o].data, many[o].data, view_bytes(&one[o])) != 0)
                report(t, kernel->name, "other bits with more threads");
        free_outputs(t->op, many);
    }
    free_outputs(t->op, one);
}

static void check_threads(op_test *t) {
    glia_view expected[GLIA_MAX_OUTPUTS];
    if (!run_ref(t, expected)) return;
    for (size_t i = 0; i < glia__kernels_count; i++) {
        if (strcmp(glia__kernels[i]->op, t->op->name) != 0 || !glia__kernels[i]->own_threads) continue;
        compare(t, i, (setting){0, true}, expected);
        compare(t, i, (setting){UINT32_MAX, false}, expected);
        compare(t, i, (setting){UINT32_MAX, true}, expected);
    }
    free_outputs(t->op, expected);
}

TEST(bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < GLIA_COUNT(cases); i++) {
        const glia_op *op = glia__op_find(cases[i].op);
        CHECK(op != NULL);
        if (op) visit_case(op, &cases[i].example, false, GLIA_F32, check_threads);
    }
    for (size_t i = 0; i < glia__kernels_count; i++) {
        if (!glia__kernels[i]->own_threads) continue;
        if (!shared[i]) printf("  no case here suits %s\n", glia__kernels[i]->name);
        CHECK(shared[i] > 0 || glia__isa_forced()); /* kernels for bf16 alone want a newer one */
    }
}

TEST_MAIN(TEST_ENTRY(bits_do_not_depend_on_threads))
