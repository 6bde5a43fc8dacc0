/* classic.c: the networks that one begins with: dense layers alone (Rumelhart, Hinton, Williams, 1986), LeNet-5 (LeCun, Bottou,
 * Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998), and one convolution with a dense layer. */

#include <stdio.h>

#include "zoo/zoo.h"

/* --- dense layers ------------------------------------------------------------------------------------------- */

typedef struct mlp_options {
    int64_t units, layers, classes;
    const char *activation;
    double dropout;
} mlp_options;

static glia_value *build_mlp(const glia_layer_build *b, const void *options) {
    const mlp_options *o = options;
    glia_value *x = b->inputs[0];
    char name[32];
    if (glia_value_shape(x).rank > 2) x = glia_flatten(x);
    for (int64_t i = 0; i < o->layers; i++) {
        snprintf(name, sizeof name, "hidden.%lld", (long long)i);
        x = glia_dense(x, .units = o->units, .activation = o->activation, .name = name);
        if (o->dropout > 0) x = glia_dropout(x, o->dropout);
    }
    return glia_dense(x, .units = o->classes, .name = "head");
}

GLIA_LAYER(mlp) = {
    .name = "mlp",
    .doc = "a multi-layer perceptron, dense layers one after the other: [N, …] → [N, classes]; of 28×28 "
           "inputs it has 669,706 "
           "parameters, as Keras' mnist_mlp",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(GLIA_ZOO_COUNT(mlp_options, units, "512", "of each layer before the last"),
                          {.name = "layers",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(mlp_options, layers),
                           .initial = "2",
                           .doc = "before the last",
                           .min = 0,
                           .max = 1000},
                          GLIA_ZOO_COUNT(mlp_options, classes, "10",
                                         "numbers in the result, before a softmax"),
                          {.name = "activation",
                           .kind = GLIA_FIELD_STRING,
                           .offset = offsetof(mlp_options, activation),
                           .initial = "relu",
                           .doc = "of the layers before the last"},
                          {.name = "dropout",
                           .kind = GLIA_FIELD_FLOAT,
                           .offset = offsetof(mlp_options, dropout),
                           .initial = "0.2",
                           .doc = "share that is dropped behind each of them",
                           .min = 0,
                           .max = 0.99}),
    .options_size = sizeof(mlp_options),
    .network = true,
    .build = build_mlp,
};

/* --- LeNet-5 ------------------------------------------------------------------------------------------------ */

typedef struct lenet_options {
    int64_t classes;
    const char *activation;
} lenet_options;

/* Its images are 32×32; those of MNIST, 28×28, get two zeros around them. */
static glia_value *build_lenet(const glia_layer_build *b, const void *options) {
    const lenet_options *o = options;
    glia_value *x = b->inputs[0];
    if (!glia__zoo_image(b)) return NULL;
    const char *padding = glia_value_shape(x).dim[2] < 32 ? "2" : "valid";
    x = glia_conv2d(x, .filters = 6, .kernel = {5, 5}, .padding = padding, .activation = o->activation,
                    .name = "c1");
    x = glia_average_pool2d(x, .size = {2, 2}, .name = "s2");
    x = glia_conv2d(x, .filters = 16, .kernel = {5, 5}, .activation = o->activation, .name = "c3");
    x = glia_average_pool2d(x, .size = {2, 2}, .name = "s4");
    x = glia_flatten(x);
    x = glia_dense(x, .units = 120, .activation = o->activation, .name = "c5");
    x = glia_dense(x, .units = 84, .activation = o->activation, .name = "f6");
    return glia_dense(x, .units = o->classes, .name = "output");
}

GLIA_LAYER(lenet) = {
    .name = "lenet",
    .doc = "LeNet-5, two convolutions of 5×5 with average pools and three dense layers: [N, C, H, W] → [N, "
           "classes]; of "
           "1×28×28 or 1×32×32 it has 61,706 parameters. Each map of c3 sees all of s2, and a dense layer "
           "takes the place "
           "of the radial basis functions",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(GLIA_ZOO_COUNT(lenet_options, classes, "10",
                                         "numbers in the result, before a softmax"),
                          {.name = "activation",
                           .kind = GLIA_FIELD_STRING,
                           .offset = offsetof(lenet_options, activation),
                           .initial = "tanh",
                           .doc = "of all layers but the last"}),
    .options_size = sizeof(lenet_options),
    .shorthand = "classes",
    .network = true,
    .build = build_lenet,
};

/* --- the tutorial's ------------------------------------------------------------------------------------------ */

typedef struct tutorial_options {
    int64_t filters, classes;
} tutorial_options;

static glia_value *build_tutorial(const glia_layer_build *b, const void *options) {
    const tutorial_options *o = options;
    glia_value *x = b->inputs[0];
    if (!glia__zoo_image(b)) return NULL;
    x = glia_conv2d(x, .filters = o->filters, .kernel = {3, 3}, .activation = "relu", .name = "conv2d");
    x = glia_max_pool2d(x, .size = {2, 2}, .name = "max_pool2d");
    return glia_dense(glia_flatten(x), .units = o->classes, .name = "dense");
}

GLIA_LAYER(tutorial_cnn) = {
    .name = "tutorial_cnn",
    .doc = "the network of the classic tutorial, one convolution of 3×3, one pool and one dense layer: [N, "
           "C, H, W] → [N, "
           "classes]; of 1×28×28 it has 54,410 parameters",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(GLIA_ZOO_COUNT(tutorial_options, filters, "32", "of the convolution"),
                          GLIA_ZOO_COUNT(tutorial_options, classes, "10",
                                         "numbers in the result, before a softmax")),
    .options_size = sizeof(tutorial_options),
    .shorthand = "classes",
    .network = true,
    .build = build_tutorial,
};
