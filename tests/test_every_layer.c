/* test_every_layer.c: every layer and every loss is built, trained for a step and freed while its n-th allocation fails, for every
 * n. A layer that is not listed here fails. */

#include "test.h"

#include "failing_allocator.h"
#include "glia/glia.h"
#include "train/layer.h"
#include "train/loss.h"

typedef struct example {
    const char *kind, *options;
    const char *inputs; /* shapes of an example, "3x8x8 4:i64"; several: with spaces */
} example;

static const example layers[] = {
    {"activation", "tanh", "5"},
    {"adaptive_average_pool1d", "3", "2x7"},
    {"adaptive_average_pool2d", "3", "2x7x7"},
    {"adaptive_average_pool3d", "2", "1x4x5x4"},
    {"adaptive_max_pool1d", "3", "2x7"},
    {"adaptive_max_pool2d", "3", "2x7x7"},
    {"adaptive_max_pool3d", "2", "1x4x5x4"},
    {"add", NULL, "5 5"},
    {"alpha_dropout", "0.3", "5"},
    {"average", NULL, "5 5"},
    {"average_pool1d", NULL, "2x6"},
    {"average_pool2d", NULL, "2x6x6"},
    {"average_pool3d", NULL, "1x4x4x4"},
    {"batch_norm", NULL, "3x4x4"},
    {"bert", "vocabulary=9 length=6 layers=1 heads=2 width=8 classes=2", "5:i64 5:i64 :i64"},
    {"bpr", NULL, "5 5"},
    {"concat", NULL, "2x3 4x3"},
    {"contrastive", "2", "4 4 1"},
    {"conv1d", "filters=3 kernel=3", "2x6"},
    {"conv1d_transpose", "filters=3 kernel=3 strides=2", "2x6"},
    {"conv2d", "filters=3 kernel=3 activation=relu", "2x6x6"},
    {"conv2d_transpose", "filters=3 kernel=3 strides=2", "2x6x6"},
    {"conv3d", "filters=2 kernel=2", "1x4x4x4"},
    {"conv3d_transpose", "filters=2 kernel=2", "1x3x3x3"},
    {"ctc", "blank=1", "5x3 2:i64"},
    {"denormalize", NULL, "5"},
    {"dense", "3", "5"},
    {"depthwise_conv2d", "kernel=3 multiplier=2", "2x6x6"},
    {"distance", NULL, "4 4"},
    {"dot", NULL, "4 4"},
    {"dropout", "0.3", "5"},
    {"embedding", "vocabulary=20 units=4 mask_zero=yes", "6"},
    {"flatten", NULL, "2x3"},
    {"gaussian_noise", "0.3", "5"},
    {"global_average_pool1d", NULL, "2x6"},
    {"global_average_pool2d", NULL, "2x6x6"},
    {"global_average_pool3d", NULL, "2x3x3x3"},
    {"global_max_pool1d", NULL, "2x6"},
    {"global_max_pool2d", NULL, "2x6x6"},
    {"global_max_pool3d", NULL, "2x3x3x3"},
    {"glu", NULL, "6"},
    {"gpt2", "vocabulary=9 length=6 layers=1 heads=2 width=8 dropout=0.1", "5:i64"},
    {"group_norm", "2", "4x3x3"},
    {"gru", "units=4 bidirectional=yes", "5x3 :i64"},
    {"gru_cell", "units=4", "5 4"},
    {"info_nce", NULL, "4 4"},
    {"instance_norm", NULL, "4x3x3"},
    {"language_model", "vocabulary=9 width=4 units=5 layers=2 dropout=0.2", "4:i64"},
    {"layer_norm", NULL, "3x5"},
    {"lenet", "3", "1x28x28"},
    {"lstm", "units=4 return_sequences=yes", "5x3"},
    {"lstm", "units=4 layers=2 dropout=0.2 stateful=yes use_bias=no", "5x3"},
    {"lstm", "units=4 reverse=yes", "5x3 4 4"},
    {"lstm_cell", "units=4", "5 4 4"},
    {"max_pool1d", NULL, "2x6"},
    {"max_pool2d", NULL, "2x6x6"},
    {"max_pool3d", NULL, "1x4x4x4"},
    {"maximum", NULL, "5 5"},
    {"minimum", NULL, "5 5"},
    {"mlp", "units=4 classes=2", "2x3"},
    {"mobilenet_v2", "classes=2 width=0.2", "3x32x32"},
    {"multi_head_attention", "heads=2 causal=yes", "5x8"},
    {"multi_head_attention", "heads=2 positions=rotary attention_dropout=0.2", "5x8"},
    {"multiply", NULL, "5 5"},
    {"normalize", NULL, "3x4"},
    {"pad1d", "pads=1,2", "2x6"},
    {"pad2d", "pads=1", "2x6x6"},
    {"pad3d", "pads=1", "1x3x3x3"},
    {"pixel_shuffle", NULL, "4x3x3"},
    {"positional_embedding", "length=9", "5x4"},
    {"prelu", NULL, "3x4"},
    {"relu6", NULL, "5"},
    {"reshape", "shape=3,-1", "6"},
    {"resize2d", "size=5 mode=linear", "2x6x6"},
    {"resnet", "depth=18 classes=2 stem=cifar", "3x8x8"},
    {"rms_norm", NULL, "3x5"},
    {"rnn", "units=4", "5x3"},
    {"rnn_cell", "units=4", "5"},
    {"rotary_embedding", "2", "5x8"},
    {"separable_conv2d", "filters=3 kernel=3", "2x6x6"},
    {"seq2seq", "vocabulary=9 width=4 units=4", "5:i64 3:i64 :i64"},
    {"spatial_dropout", "0.3", "3x4"},
    {"stack", NULL, "5 5"},
    {"stochastic_depth", "0.3", "3x4"},
    {"subtract", NULL, "5 5"},
    {"swiglu", NULL, "6"},
    {"text_classifier", "vocabulary=9 width=4 units=4 bidirectional=yes", "5:i64 :i64"},
    {"transformer", "vocabulary=9 width=8 layers=1 heads=2 units=8", "5:i64 3:i64 :i64"},
    {"transformer_decoder", "heads=2 norm=pre activation=swiglu", "4x8 5x8"},
    {"transformer_encoder", "heads=2 causal=yes dropout=0.1", "5x8"},
    {"triplet", NULL, "4 4 4"},
    {"tutorial_cnn", "filters=2 classes=2", "1x6x6"},
    {"unet", "width=2 depth=1", "1x8x8"},
    {"upsample1d", NULL, "2x3"},
    {"upsample2d", "factor=2 mode=linear", "2x3x3"},
    {"upsample3d", NULL, "1x2x2x2"},
    {"vgg", "depth=11 classes=2 units=4 pool=1 batch_norm=yes", "3x32x32"},
    {"vit", "patch=4 width=8 layers=1 heads=2 units=8 classes=2", "3x8x8"},
};

/* Its weights are those of a file, see test_onnx.c. */
static const char *const elsewhere[] = {"onnx"};

static const example *find_example(const char *kind) {
    for (size_t i = 0; i < GLIA_COUNT(layers); i++)
        if (strcmp(layers[i].kind, kind) == 0) return &layers[i];
    return NULL;
}

TEST(every_layer_is_listed) {
    for (size_t i = 0; i < glia__layers_count; i++) {
        bool other = find_example(glia__layers[i]->name) != NULL;
        for (size_t k = 0; k < GLIA_COUNT(elsewhere); k++)
            other |= strcmp(elsewhere[k], glia__layers[i]->name) == 0;
        if (!other) printf("  %s\n", glia__layers[i]->name);
        CHECK(other);
    }
}

/* "5x3:i64": an input of the model. */
static glia_value *add_input(glia_model *m, const char *word, int number) {
    glia_input_options o = {.dtype = strstr(word, ":i64") ? GLIA_I64 : GLIA_F32};
    char name[8];
    int rank = 0;
    snprintf(name, sizeof name, "x%d", number);
    for (const char *c = word; *c && *c != ':';) {
        char *end;
        o.shape[rank++] = strtol(c, &end, 10);
        c = *end == 'x' ? end + 1 : end;
    }
    if (rank) return glia_input_with(m, name, o);
    return glia_graph_input(glia_model_graph(m), name, o.dtype,
                            GLIA_SHAPE(GLIA_DIM_BATCH)); /* a number an example */
}

/* The layer, the mean of its squares, its gradients, and a program of all: everything that a training step needs. */
static glia_status build(const example *e, const glia_allocator *allocator, glia_error *err) {
    glia_model *m = glia_model_new_with("every", allocator);
    if (!m) return GLIA_OUT_OF_MEMORY;
    glia_value *inputs[4], *wrt[300], *outputs[301], *gradients[300];
    char words[80], *rest = words;
    int count = 0, n = 0;
    snprintf(words, sizeof words, "%s", e->inputs);
    for (char *word; (word = strtok_r(rest, " ", &rest)); count++) inputs[count] = add_input(m, word, count);
    glia_value *y = glia_layer(m, e->kind, NULL, inputs, count, e->options);
    glia_value *loss = y ? glia_op_mean(glia_op_square(y), (glia_reduce_attrs){.keep_dims = GLIA_NO}) : NULL;
    glia_status status = glia_model_status(m, err);
    for (size_t i = 0; status == GLIA_OK && i < glia_model_params(m) && n < 300; i++)
        if (glia_model_param_trained(m, i)) wrt[n++] = glia_model_param_value(m, i);
    outputs[0] = loss;
    if (status == GLIA_OK && n)
        status = glia_graph_gradients(glia_value_graph(y), loss, wrt, n, gradients, err);
    for (int i = 0; i < n; i++) outputs[1 + i] = gradients[i];
    const glia_program_options o = {
        .dims = {2}, .threads = 1, .training = GLIA_YES, .plan_only = GLIA_YES, .allocator = allocator};
    glia_program *p = NULL;
    if (status == GLIA_OK) status = glia_program_new(&p, glia_value_graph(y), outputs, 1 + n, o, err);
    glia_program_free(p);
    glia_model_free(m);
    return status;
}

/* Large networks allocate thousands of times; of theirs every one up to a hundred fails, then some. */
static bool is_next(failing_allocator *memory) {
    if (!failing_next(memory)) return false;
    if (memory->fail_at > 100) memory->fail_at += memory->fail_at / 5;
    return true;
}

TEST(every_allocation_of_layers_may_fail) {
    for (size_t i = 0; i < GLIA_COUNT(layers); i++) {
        const int before = test_failures;
        for (failing_allocator memory = {.started = false}; is_next(&memory);) {
            glia_error err = {0};
            const glia_status status = build(&layers[i], &memory.allocator, &err);
            CHECK_FAILED_ONCE(memory, status);
            if (status == GLIA_OUT_OF_MEMORY && *err.message) CHECK_HAS(err.message, "out of memory");
            if (status != GLIA_OK && status != GLIA_OUT_OF_MEMORY)
                printf("  %s: %s\n", layers[i].kind, err.message);
            if (test_failures > before + 3) break;
        }
        if (test_failures > before) printf("  %s\n", layers[i].kind);
    }
}

/* --- losses ------------------------------------------------------------------------------------------------------ */

/* A dense layer and the loss: a step of training. */
static glia_status train(const glia_loss *loss, const glia_allocator *allocator, glia_error *err) {
    static const float x[2 * 5] = {1, 2, 3, 4, 5, -1, 0, 1, 0.5f, 2},
                             values[2 * 4] = {0.2f, 0.5f, 0.1f, 0.7f, 0.3f, 0.3f, 0.2f, 0.2f};
    static const int64_t classes[2] = {1, 0};
    glia_model *m = glia_model_new_with("losses", allocator);
    if (!m) return GLIA_OUT_OF_MEMORY;
    glia_trainer *t = NULL;
    glia_value *y = glia_dense(glia_input(m, "x", .shape = {5}), .units = 4);
    if (loss->missing) y = glia_activation(y, loss->missing);
    glia_model_set_output(m, y);
    glia_fit_options options = {.loss = loss->name, .threads = 1};
    const int64_t width = loss->twice ? 2 : 4;
    glia_status status = loss->classes
                             ? glia_trainer_new(&t, m, GLIA_TARGET_CLASS, (glia_shape){0}, options, err)
                             : glia_trainer_new(&t, m, GLIA_TARGET_VALUES, GLIA_SHAPE(width), options, err);
    if (status == GLIA_OK)
        status = glia_trainer_backward(t, x, loss->classes ? (const void *)classes : values, 2, NULL, err);
    if (status == GLIA_OK) status = glia_trainer_update(t, err);
    glia_trainer_free(t);
    glia_model_free(m);
    return status;
}

TEST(every_allocation_of_losses_may_fail) {
    for (size_t i = 0; i < glia__losses_count; i++) {
        const int before = test_failures;
        FOR_EACH_FAILURE(memory) {
            glia_error err = {0};
            const glia_status status = train(glia__losses[i], &memory.allocator, &err);
            CHECK_FAILED_ONCE(memory, status);
            if (status != GLIA_OK && status != GLIA_OUT_OF_MEMORY) printf("  %s\n", err.message);
            if (test_failures > before + 3) break;
        }
        if (test_failures > before) printf("  %s\n", glia__losses[i]->name);
    }
}

TEST_MAIN(TEST_ENTRY(every_layer_is_listed), TEST_ENTRY(every_allocation_of_layers_may_fail),
          TEST_ENTRY(every_allocation_of_losses_may_fail))
