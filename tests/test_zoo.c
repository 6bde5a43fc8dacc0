/* test_zoo.c: the networks of the zoo: as many parameters as published, called as there. */

#include "test.h"

#include <math.h>

#include "failing_allocator.h"
#include "glia/glia.h"
#include "train/layer.h"

/* Parameters that are trained: running statistics do not count in what is published. */
static int64_t trained(const glia_model *m) {
    int64_t count = 0;
    for (size_t i = 0; i < glia_model_params(m); i++) {
        glia_shape shape = glia_value_shape(glia_model_param_value(m, i));
        if (glia_model_param_trained(m, i)) count += glia_shape_elems(&shape);
    }
    return count;
}

static glia_model *net(const char *kind, const char *options, int64_t side, const glia_allocator *allocator) {
    glia_model *m = glia_model_new_with("net", allocator);
    glia_model_set_output(m, glia_apply(glia_input(m, "image", .shape = {3, side, side}), kind, options));
    return m;
}

/* Counts of torchvision's models, and of Pytorch-UNet; they need no memory until the model is initialised. */
TEST(parameter_counts) {
    static const struct {
        const char *kind, *options;
        int64_t side, params;
        const char *first, *last; /* parameters */
    } nets[] = {
        {"resnet", "18", 224, 11689512, "conv1.weight", "fc.bias"},
        {"resnet", "34", 224, 21797672, "conv1.weight", "fc.bias"},
        {"resnet", "50", 224, 25557032, "conv1.weight", "fc.bias"},
        {"resnet", "101", 224, 44549160, "conv1.weight", "fc.bias"},
        {"resnet", "152", 224, 60192808, "conv1.weight", "fc.bias"},
        {"resnet", "depth=18 classes=10 stem=cifar", 32, 11173962, "conv1.weight", "fc.bias"},
        {"vgg", "11", 224, 132863336, "features.0.weight", "classifier.6.bias"},
        {"vgg", "13", 224, 133047848, "features.0.weight", "classifier.6.bias"},
        {"vgg", "16", 224, 138357544, "features.0.weight", "classifier.6.bias"},
        {"vgg", "19", 224, 143667240, "features.0.weight", "classifier.6.bias"},
        {"vgg", "depth=16 batch_norm=yes", 224, 138365992, "features.0.weight", "classifier.6.bias"},
        {"vgg", "16", 32, 138357544, "features.0.weight", "classifier.6.bias"},
        {"mobilenet_v2", "", 224, 3504872, "features.0.0.weight", "classifier.1.bias"},
        {"vit", "", 224, 86567656, "conv_proj.weight", "heads.head.bias"},
        {"vit", "patch=32", 224, 88224232, "conv_proj.weight", "heads.head.bias"},
        {"vit", "width=1024 layers=24 heads=16 units=4096", 224, 304326632, "conv_proj.weight",
         "heads.head.bias"},
        {"unet", "", 64, 31037698, "inc.double_conv.0.weight", "outc.conv.bias"},
    };
    for (size_t i = 0; i < GLIA_COUNT(nets); i++) {
        glia_error err = {0};
        glia_model *m = net(nets[i].kind, nets[i].options, nets[i].side, NULL);
        CHECK_OK(glia_model_status(m, &err), &err);
        CHECK_INT(trained(m), nets[i].params);
        size_t count = glia_model_params(m);
        CHECK_STR(count ? glia_value_name(glia_model_param_value(m, 0)) : "", nets[i].first);
        CHECK_STR(count ? glia_value_name(glia_model_param_value(m, count - 1)) : "", nets[i].last);
        glia_model_free(m);
    }
}

/* Of grey pictures: LeNet-5 as everybody counts it, Keras' mnist_mlp, and the network of the tutorial. */
TEST(classics) {
    static const struct {
        const char *kind, *options;
        int64_t side, params;
        const char *first, *last;
    } nets[] = {
        {"lenet", "", 28, 61706, "c1.weight", "output.bias"},
        {"lenet", "", 32, 61706, "c1.weight", "output.bias"},
        {"lenet", "classes=3 activation=relu", 28, 61706 - 7 * 85, "c1.weight", "output.bias"},
        {"mlp", "", 28, 669706, "hidden.0.weight", "head.bias"},
        {"mlp", "layers=0", 28, 7850, "head.weight", "head.bias"},
        {"tutorial_cnn", "", 28, 54410, "conv2d.weight", "dense.bias"},
    };
    for (size_t i = 0; i < GLIA_COUNT(nets); i++) {
        glia_error err = {0};
        glia_model *m = glia_model_new("grey");
        glia_value *x = glia_input(m, "image", .shape = {1, nets[i].side, nets[i].side});
        glia_model_set_output(m, glia_apply(x, nets[i].kind, nets[i].options));
        CHECK_OK(glia_model_status(m, &err), &err);
        CHECK_INT(trained(m), nets[i].params);
        const size_t count = glia_model_params(m);
        CHECK_STR(count ? glia_value_name(glia_model_param_value(m, 0)) : "", nets[i].first);
        CHECK_STR(count ? glia_value_name(glia_model_param_value(m, count - 1)) : "", nets[i].last);
        glia_model_free(m);
    }
}

/* Networks of text: 45,675,496 is what six blocks of each kind, two tables and a dense layer have. */
TEST(text) {
    static const struct {
        const char *kind, *options;
        int inputs;
        int64_t params, shape[3]; /* of the output */
    } nets[] = {
        {"text_classifier",
         "vocabulary=100 width=8 units=6 classes=3",
         1,
         800 + 4 * 6 * (8 + 6 + 2) + 21,
         {3}},
        {"text_classifier",
         "vocabulary=100 width=8 units=6 cell=gru layers=2 bidirectional=yes",
         2,
         800 + 2 * 3 * 6 * (8 + 6 + 2) + 2 * 3 * 6 * (12 + 6 + 2) + 26,
         {2}},
        {"language_model",
         "vocabulary=50 width=8 units=6 layers=2",
         1,
         400 + 4 * 6 * (16 + 14) + 350,
         {7, 50}},
        {"seq2seq",
         "vocabulary=50 target_vocabulary=40 width=8 units=6",
         2,
         400 + 320 + 3 * 4 * 6 * 16 + 72 + 78 + 280,
         {7, 40}},
        {"transformer", "vocabulary=1000", 2, 45675496, {7, 1000}},
    };
    for (size_t i = 0; i < GLIA_COUNT(nets); i++) {
        glia_error err = {0};
        glia_model *m = glia_model_new("text");
        glia_value *inputs[] = {glia_input(m, "tokens", .shape = {7}, .dtype = GLIA_I64),
                                i == 1 ? glia_input(m, "lengths", .dtype = GLIA_I64)
                                       : glia_input(m, "target", .shape = {7}, .dtype = GLIA_I64)};
        glia_value *y = glia_layer(m, nets[i].kind, NULL, inputs, nets[i].inputs, nets[i].options);
        CHECK_OK(glia_model_status(m, &err), &err);
        CHECK_INT(trained(m), nets[i].params);
        const glia_shape shape = glia_value_shape(y);
        for (int d = 1; d < shape.rank; d++) CHECK_INT(shape.dim[d], nets[i].shape[d - 1]);
        glia_model_free(m);
        m = glia_model_new("picture");
        inputs[0] = inputs[1] = glia_input(m, "image", .shape = {3, 8, 8});
        CHECK(!glia_layer(m, nets[i].kind, NULL, inputs, nets[i].inputs, nets[i].options));
        CHECK_ERR(glia_model_status(m, &err), GLIA_BAD_SHAPE, &err,
                  "expects numbers of tokens, [steps] per example");
        glia_model_free(m);
    }
}

/* Translation is learned: the target is the source turned round. */
TEST(translation) {
    enum { BATCH = 16, STEPS = 5, TOKENS = 6 };
    static const char *const nets[][2] = {{"seq2seq", "vocabulary=7 width=12 units=24"},
                                          {"transformer", "vocabulary=7 width=24 layers=1 heads=2 units=48"}};
    int64_t source[BATCH * STEPS], before[BATCH * STEPS], target[BATCH * STEPS], lengths[BATCH];
    for (int n = 0; n < BATCH; n++) {
        lengths[n] = STEPS;
        for (int t = 0; t < STEPS; t++) source[n * STEPS + t] = (n * 5 + t * t + n * t) % TOKENS;
        for (int t = 0; t < STEPS; t++) {
            target[n * STEPS + t] = source[n * STEPS + STEPS - 1 - t];
            before[n * STEPS + t] = t ? target[n * STEPS + t - 1] : TOKENS;
        }
    }
    for (size_t i = 0; i < GLIA_COUNT(nets); i++) {
        glia_error err = {0};
        glia_objective *o = NULL;
        double loss = 0, first = 0;
        glia_model *m = glia_model_new("translation");
        glia_value *inputs[] = {glia_input(m, "source", .shape = {STEPS}, .dtype = GLIA_I64),
                                glia_input(m, "before", .shape = {STEPS}, .dtype = GLIA_I64),
                                glia_input(m, "lengths", .dtype = GLIA_I64)};
        glia_value *y = glia_layer(m, nets[i][0], NULL, inputs, 3, nets[i][1]);
        const glia_shape shape = GLIA_SHAPE(BATCH, STEPS);
        const glia_named_tensor arrays[] = {
            {"source", glia_tensor_wrap(source, GLIA_I64, shape)},
            {"before", glia_tensor_wrap(before, GLIA_I64, shape)},
            {"lengths", glia_tensor_wrap(lengths, GLIA_I64, GLIA_SHAPE(BATCH))},
            {"target", glia_tensor_wrap(target, GLIA_I64, shape)}};
        const glia_objective_options options = {.optimizer = glia_adam(.learning_rate = 0.01)};
        const glia_objective_loss_options classes = {.classes = TOKENS + 1, .targets = GLIA_SHAPE(STEPS)};
        CHECK_OK(glia_objective_new(&o, m, options, &err), &err);
        CHECK_OK(glia_objective_add(o, y, "target", classes, &err), &err);
        for (int k = 0; k < 150; k++) {
            CHECK_OK(glia_objective_step(o, arrays, 4, &loss, &err), &err);
            if (!k) first = loss;
        }
        CHECK(first > 1 && loss < 0.2 * first);
        glia_objective_free(o);
        glia_model_free(m);
    }
}

static bool has_param(const glia_model *m, const char *name) {
    for (size_t i = 0; i < glia_model_params(m); i++)
        if (strcmp(glia_value_name(glia_model_param_value(m, i)), name) == 0) return true;
    return false;
}

TEST(names) {
    glia_error err = {0};
    glia_model *m = net("resnet", "50", 64, NULL);
    CHECK(has_param(m, "layer4.2.conv3.weight") && has_param(m, "layer1.0.downsample.1.running_var"));
    CHECK(!has_param(m, "layer1.1.downsample.0.weight"));
    glia_value *input = glia_model_input(m, 0);
    glia_layer(m, "resnet", "second", &input, 1, "18"); /* a name goes before */
    CHECK(has_param(m, "second.layer1.0.conv1.weight"));
    CHECK_OK(glia_model_status(m, &err), &err);
    glia_model_free(m);
    m = net("mobilenet_v2", "", 64, NULL);
    CHECK(has_param(m, "features.1.conv.0.0.weight") && has_param(m, "features.1.conv.1.weight"));
    CHECK(has_param(m, "features.17.conv.2.weight") && has_param(m, "features.17.conv.3.running_mean"));
    glia_model_free(m);
}

TEST(messages) {
    static const struct {
        const char *kind, *options, *part;
    } bad[] = {
        {"resnet", "20", "resnet 'resnet' has depth 18, 34, 50, 101 or 152, not 20"},
        {"vgg", "18", "vgg 'vgg' has depth 11, 13, 16 or 19, not 18"},
        {"resnet", "stem=small", "stem"},
        {"mobilenet_v2", "width=0", "width"},
        {"vit", "patch=20", "vit 'vit' cuts images in patches of 20×20, which do not fill 3×32×32"},
        {"vit", "heads=7", "has 7 heads, which do not divide the width of 768"},
        {"unet", "depth=6", "unet 'unet' halves its images 6 times, but 3×32×32 does not divide by 64"}};
    for (size_t i = 0; i < GLIA_COUNT(bad); i++) {
        glia_error err = {0};
        glia_model *m = net(bad[i].kind, bad[i].options, 32, NULL);
        CHECK(glia_model_status(m, &err) != GLIA_OK);
        CHECK_HAS(err.message, bad[i].part);
        glia_model_free(m);
    }
    for (glia_layer_def def, *d = &def, *end = NULL; d != end; d = end)
        for (size_t i = 0; glia__layer_def_at(i, &def); i++) {
            glia_error err = {0};
            if (!def.network || strstr(def.doc, "[N, C, H, W]") == NULL) continue;
            glia_model *m = glia_model_new("row");
            glia_apply(glia_input(m, "row", .shape = {12}), def.name, "");
            CHECK_ERR(glia_model_status(m, &err), GLIA_BAD_SHAPE, &err,
                      "expects a 3-D input per example (channels×height×width), got 12");
            glia_model_free(m);
        }
}

/* --- layers in layers --------------------------------------------------------------------------------------- */

TEST(scopes) {
    glia_error err = {0};
    glia_model *m = glia_model_new("scopes");
    glia_value *x = glia_input(m, "x", .shape = {4});
    glia_scope_begin(m, "encoder");
    x = glia_dense(x, .units = 4, .name = "first");
    glia_scope_begin(m, "inner", .trainable = GLIA_NO);
    x = glia_dense(x, .units = 4);
    x = glia_batch_norm(x);
    glia_scope_end(m);
    x = glia_dense(x, .units = 4);
    glia_scope_end(m);
    x = glia_dense(x, .units = 4);
    glia_model_set_output(m, x);
    CHECK_OK(glia_model_status(m, &err), &err);
    static const char *const names[] = {"encoder.first", "encoder.inner.dense", "encoder.inner.batch_norm",
                                        "encoder.dense", "dense"};
    CHECK_INT(glia_model_layers(m), 5);
    for (size_t i = 0; i < 5; i++) CHECK_STR(glia_model_layer(m, i).name, names[i]);
    for (size_t i = 0; i < glia_model_params(m); i++) {
        bool frozen = strncmp(glia_value_name(glia_model_param_value(m, i)), "encoder.inner.", 14) == 0;
        CHECK(glia_model_param_trained(m, i) == !frozen);
    }
    glia_scope_end(m);
    CHECK_ERR(glia_model_status(m, &err), GLIA_INVALID_ARGUMENT, &err, "without a glia_scope_begin");
    glia_model_free(m);
}

/* One step of plain descent goes as far as the scale says. */
TEST(learning_rate_scales) {
    glia_error err = {0};
    glia_trainer *t = NULL;
    glia_model *m = glia_model_new("rates");
    glia_value *x = glia_input(m, "x", .shape = {2});
    glia_scope_begin(m, NULL, .learning_rate_scale = 0.5);
    glia_value *half = glia_dense(x, .units = 1, .name = "half");
    glia_scope_begin(m, "deep", .learning_rate_scale = 4);
    glia_value *twice = glia_dense(x, .units = 1, .name = "twice");
    glia_scope_end(m);
    glia_scope_end(m);
    glia_value *once = glia_dense(x, .units = 1, .name = "once");
    glia_model_set_output(m, glia_concat((glia_value *[]){half, twice, once}, 3, 0));
    glia_fit_options options = {.loss = "mse", .optimizer = glia_sgd(.learning_rate = 0.1)};
    CHECK_OK(glia_model_initialize(m, 1, &err), &err);
    CHECK_OK(glia_trainer_new(&t, m, GLIA_TARGET_VALUES, GLIA_SHAPE(3), options, &err), &err);
    float before[6];
    for (int i = 0; i < 6; i++) before[i] = ((float *)glia_model_param_data(m, (size_t)i).data)[0];
    CHECK_OK(glia_trainer_backward(t, (float[]){1, 2}, (float[]){3, 4, 5}, 1, NULL, &err), &err);
    CHECK_OK(glia_trainer_update(t, &err), &err);
    static const double scales[] = {0.5, 0.5, 2, 2, 1, 1};
    for (size_t i = 0; i < 6; i++) {
        const double g = (double)((float *)glia_trainer_gradient(t, i).data)[0];
        const double moved = (double)before[i] - (double)((float *)glia_model_param_data(m, i).data)[0];
        CHECK(fabs(g) > 1e-3);
        CHECK_NEAR(moved, 0.1 * scales[i] * g, 1e-6);
    }
    glia_trainer_free(t);
    glia_model_free(m);
}

/* Weights used twice: no parameters of its own, and the sum of both gradients. */
TEST(shared) {
    glia_error err = {0};
    glia_model *m = glia_model_new("shared");
    glia_value *a = glia_input(m, "a", .shape = {3}), *b = glia_input(m, "b", .shape = {3});
    glia_value *left = glia_dense(a, .units = 2, .name = "encoder");
    glia_value *right = glia_share("encoder", "again", &b, 1);
    glia_value *sum = glia_op_sum(glia_add(left, right),
                                  (glia_reduce_attrs){.axes = GLIA_SHAPE(0, 1), .keep_dims = GLIA_NO});
    CHECK_OK(glia_model_status(m, &err), &err);
    CHECK_INT(glia_model_params(m), 2);
    glia_value *weight = glia_model_param_value(m, 0), *gradient;
    CHECK_OK(glia_graph_gradients(glia_model_graph(m), sum, (glia_value *[]){weight}, 1, &gradient, &err),
             &err);
    CHECK(gradient != NULL);
    glia_value *wide = glia_input(m, "wide", .shape = {5});
    CHECK(!glia_share("encoder", NULL, &wide, 1));
    CHECK_ERR(glia_model_status(m, &err), GLIA_BAD_SHAPE, &err,
              "'dense.weight' of shape 2×5 cannot share 'encoder.weight' of shape 2×3");
    glia_model_free(m);
    m = glia_model_new("none");
    a = glia_input(m, "a", .shape = {3});
    CHECK(!glia_share("encoder", NULL, &a, 1));
    CHECK_ERR(glia_model_status(m, &err), GLIA_NOT_FOUND, &err,
              "there is no layer 'encoder' before this one");
    glia_model_free(m);
}

TEST(out_of_memory) {
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_model *m = net("mobilenet_v2", "classes=3", 16, &memory.allocator);
        glia_status status = m ? glia_model_status(m, &err) : GLIA_OUT_OF_MEMORY;
        CHECK_FAILED_ONCE(memory, status);
        glia_model_free(m);
    }
}

TEST_MAIN(TEST_ENTRY(parameter_counts), TEST_ENTRY(classics), TEST_ENTRY(text), TEST_ENTRY(translation),
          TEST_ENTRY(names), TEST_ENTRY(messages), TEST_ENTRY(scopes), TEST_ENTRY(learning_rate_scales),
          TEST_ENTRY(shared), TEST_ENTRY(out_of_memory))
