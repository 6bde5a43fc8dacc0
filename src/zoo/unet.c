/* unet.c: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015; padded and
 * normalised, and called, as in github.com/milesial/Pytorch-UNet. */

#include <stdio.h>

#include "zoo/zoo.h"

typedef struct unet_options {
    int64_t classes, width, depth;
} unet_options;

enum { MOST_DEPTH = 6 };

static glia_value *double_conv(glia_value *x, const char *name, int64_t filters) {
    glia__zoo_begin(x, "%s.double_conv", name);
    x = glia__zoo_conv_norm(x, "0", "1", filters, 3, 1, 1, "relu");
    x = glia__zoo_conv_norm(x, "3", "4", filters, 3, 1, 1, "relu");
    glia_scope_end(glia__model_of(x));
    return x;
}

/* Down: half the sides, twice the filters. */
static glia_value *contract(glia_value *x, int level, int64_t filters) {
    glia__zoo_begin(x, "down%d", level);
    x = glia_max_pool2d(x);
    x = double_conv(x, "maxpool_conv.1", filters);
    glia_scope_end(glia__model_of(x));
    return x;
}

/* Up again: beside what the same level had on the way down. */
static glia_value *expand(glia_value *x, glia_value *skip, int level, int64_t filters) {
    char options[80];
    glia__zoo_begin(x, "up%d", level);
    snprintf(options, sizeof options, "filters=%lld kernel=2 strides=2", (long long)filters);
    x = glia_layer(NULL, "conv2d_transpose", "up", &x, 1, options);
    x = glia_concat((glia_value *[]){skip, x}, 2, 0);
    x = double_conv(x, "conv", filters);
    glia_scope_end(glia__model_of(x));
    return x;
}

static glia_value *build_unet(const glia_layer_build *b, const void *options) {
    const unet_options *o = options;
    const glia_shape shape = glia_value_shape(b->inputs[0]);
    const int64_t part = INT64_C(1) << o->depth;
    char text[96];
    glia_value *skip[MOST_DEPTH];
    if (!glia__zoo_image(b)) return NULL;
    if (shape.dim[2] % part || shape.dim[3] % part)
        return glia__layer_fail(
            b, GLIA_BAD_SHAPE, "halves its images %lld times, but %s does not divide by %lld",
            (long long)o->depth, glia__example_text(b->inputs[0], text, sizeof text), (long long)part);
    glia_value *x = double_conv(b->inputs[0], "inc", o->width);
    for (int level = 0; level < o->depth; level++) {
        skip[level] = x;
        x = contract(x, level + 1, o->width << (level + 1));
    }
    for (int level = (int)o->depth - 1; level >= 0; level--)
        x = expand(x, skip[level], (int)o->depth - level, o->width << level);
    return glia_conv2d(x, .filters = o->classes, .kernel = {1, 1}, .name = "outc.conv");
}

GLIA_LAYER(unet) = {
    .name = "unet",
    .doc = "convolutions down and up again, each level beside itself: [N, C, H, W] → [N, classes, H, W]; H "
           "and W "
           "divide by 2^depth; weights as in Pytorch-UNet (inc.double_conv.0.weight)",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS({.name = "classes",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(unet_options, classes),
                           .initial = "2",
                           .doc = "numbers for each pixel, before a softmax",
                           .min = 1,
                           .max = 1 << 20},
                          {.name = "width",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(unet_options, width),
                           .initial = "64",
                           .doc = "filters of the first level; twice as many at each one below",
                           .min = 1,
                           .max = 1 << 12},
                          {.name = "depth",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(unet_options, depth),
                           .initial = "4",
                           .doc = "times that images are halved",
                           .min = 1,
                           .max = MOST_DEPTH}),
    .options_size = sizeof(unet_options),
    .shorthand = "classes",
    .network = true,
    .build = build_unet,
};
