/* mobilenet.c: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018;
 * as in torchvision. */

#include "zoo/zoo.h"

typedef struct mobilenet_options {
    int64_t classes;
    double width, dropout;
} mobilenet_options;

/* Times by which a block widens its input, channels, blocks, the first one's step. */
static const struct {
    int64_t times, filters;
    int blocks;
    int64_t stride;
} stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
              {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

/* The multiple of 8 nearest to `channels`, but not below nine tenths of them. */
static int64_t round_channels(double channels) {
    int64_t rounded = GLIA_MAX(8, (int64_t)(channels + 4) / 8 * 8);
    return (double)rounded < 0.9 * channels ? rounded + 8 : rounded;
}

static glia_value *conv_norm_relu6(glia_value *x, const char *conv, const char *norm, int64_t filters,
                                   int64_t kernel, int64_t stride, int64_t groups) {
    x = glia__zoo_conv_norm(x, conv, norm, filters, kernel, stride, groups, NULL);
    return glia_apply(x, "relu6", NULL);
}

/* An inverted residual: widen, convolve each channel by itself, narrow again without activation. */
static glia_value *block(glia_value *x, int64_t times, int64_t filters, int64_t stride) {
    const int64_t in = glia__zoo_channels(x), wide = times * in;
    glia_value *y = x;
    if (times > 1) {
        y = conv_norm_relu6(y, "conv.0.0", "conv.0.1", wide, 1, 1, 1);
        y = conv_norm_relu6(y, "conv.1.0", "conv.1.1", wide, 3, stride, wide);
        y = glia__zoo_conv_norm(y, "conv.2", "conv.3", filters, 1, 1, 1, NULL);
    } else {
        y = conv_norm_relu6(y, "conv.0.0", "conv.0.1", wide, 3, stride, wide);
        y = glia__zoo_conv_norm(y, "conv.1", "conv.2", filters, 1, 1, 1, NULL);
    }
    return stride == 1 && in == filters ? glia_add(x, y) : y;
}

static glia_value *build_mobilenet(const glia_layer_build *b, const void *options) {
    const mobilenet_options *o = options;
    int number = 1;
    if (!glia__zoo_image(b)) return NULL;
    glia_value *x =
        conv_norm_relu6(b->inputs[0], "features.0.0", "features.0.1", round_channels(32 * o->width), 3, 2, 1);
    for (size_t s = 0; s < GLIA_COUNT(stages); s++)
        for (int i = 0; i < stages[s].blocks; i++) {
            glia__zoo_begin(x, "features.%d", number++);
            x = block(x, stages[s].times, round_channels((double)stages[s].filters * o->width),
                      i ? 1 : stages[s].stride);
            glia_scope_end(b->model);
        }
    x = conv_norm_relu6(x, "features.18.0", "features.18.1", round_channels(1280 * GLIA_MAX(1, o->width)), 1,
                        1, 1);
    x = glia_dropout(glia_global_average_pool2d(x), o->dropout);
    return glia_dense(x, .units = o->classes, .name = "classifier.1");
}

GLIA_LAYER(mobilenet_v2) = {
    .name = "mobilenet_v2",
    .doc = "inverted residuals of depthwise convolutions: [N, C, H, W] → [N, classes]; weights as in "
           "torchvision "
           "(features.0.0.weight)",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(GLIA_ZOO_CLASSES(mobilenet_options),
                          {.name = "width",
                           .kind = GLIA_FIELD_FLOAT,
                           .offset = offsetof(mobilenet_options, width),
                           .initial = "1",
                           .doc = "times as many channels",
                           .min = 0.1,
                           .max = 10},
                          {.name = "dropout",
                           .kind = GLIA_FIELD_FLOAT,
                           .offset = offsetof(mobilenet_options, dropout),
                           .initial = "0.2",
                           .doc = "share that is dropped before the dense layer",
                           .min = 0,
                           .max = 0.99}),
    .options_size = sizeof(mobilenet_options),
    .shorthand = "classes",
    .network = true,
    .build = build_mobilenet,
};
