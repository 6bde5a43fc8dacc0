/* vgg.c: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015; as in
 * torchvision, whose pool before the classifier brings any image to 7×7. */

#include <stdio.h>

#include "zoo/zoo.h"

typedef struct vgg_options {
    int64_t depth, classes, units, pool;
    glia_bool batch_norm;
    double dropout;
} vgg_options;

/* Convolutions of 64, 128, 256, 512 and 512 filters, a pool after each group. */
static const struct {
    int64_t depth;
    int convs[5];
} nets[] = {{11, {1, 1, 2, 2, 2}}, {13, {2, 2, 2, 2, 2}}, {16, {2, 2, 3, 3, 3}}, {19, {2, 2, 4, 4, 4}}};

static const char *numbered(char *out, size_t capacity, const char *part, int number) {
    snprintf(out, capacity, "%s.%d", part, number);
    return out;
}

/* Layers are numbered as in a sequence of modules in which activations and pools count. */
static glia_value *features(glia_value *x, const vgg_options *o, const int *convs) {
    char name[32], norm[32];
    int number = 0;
    for (int group = 0; group < 5; group++) {
        const int64_t filters = GLIA_MIN(INT64_C(64) << group, 512);
        for (int i = 0; i < convs[group]; i++) {
            const bool normalised = o->batch_norm == GLIA_YES;
            x = glia_conv2d(x, .filters = filters, .kernel = {3, 3}, .padding = "same",
                            .activation = normalised ? NULL : "relu", .kernel_initializer = "he_normal",
                            .name = numbered(name, sizeof name, "features", number));
            if (normalised)
                x = glia_batch_norm(x, .activation = "relu",
                                    .name = numbered(norm, sizeof norm, "features", number + 1));
            number += normalised ? 3 : 2;
        }
        x = glia_max_pool2d(x, .name = numbered(name, sizeof name, "features", number++));
    }
    return x;
}

static glia_value *build_vgg(const glia_layer_build *b, const void *options) {
    const vgg_options *o = options;
    char size[32];
    size_t net = 0;
    while (net < GLIA_COUNT(nets) && nets[net].depth != o->depth) net++;
    if (net == GLIA_COUNT(nets))
        return glia__layer_fail(b, GLIA_INVALID_ARGUMENT, "has depth 11, 13, 16 or 19, not %lld",
                                (long long)o->depth);
    if (!glia__zoo_image(b)) return NULL;
    glia_value *x = features(b->inputs[0], o, nets[net].convs);
    glia_shape shape = glia_value_shape(x);
    if (x && o->pool && (shape.dim[2] != o->pool || shape.dim[3] != o->pool)) {
        snprintf(size, sizeof size, "size=%lld", (long long)o->pool);
        x = glia_apply(x, "adaptive_average_pool2d", size);
    }
    x = glia_flatten(x);
    for (int i = 0; i < 2; i++) {
        x = glia_dense(x, .units = o->units, .activation = "relu",
                       .name = i ? "classifier.3" : "classifier.0");
        x = glia_dropout(x, o->dropout);
    }
    return glia_dense(x, .units = o->classes, .name = "classifier.6");
}

GLIA_LAYER(vgg) = {
    .name = "vgg",
    .doc =
        "3×3 convolutions in five groups and three dense layers: [N, C, H, W] → [N, classes]; weights as in "
        "torchvision (features.0.weight)",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS({.name = "depth",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(vgg_options, depth),
                           .initial = "16",
                           .doc = "11, 13, 16 or 19",
                           .min = 11,
                           .max = 19},
                          GLIA_ZOO_CLASSES(vgg_options),
                          {.name = "batch_norm",
                           .kind = GLIA_FIELD_BOOL,
                           .offset = offsetof(vgg_options, batch_norm),
                           .initial = "no",
                           .doc = "whether each convolution is normalised"},
                          {.name = "units",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(vgg_options, units),
                           .initial = "4096",
                           .doc = "of the two dense layers between",
                           .min = 1,
                           .max = 1 << 20},
                          {.name = "pool",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(vgg_options, pool),
                           .initial = "7",
                           .doc = "side to which images are averaged before the dense layers; 0: as they are",
                           .min = 0,
                           .max = 1 << 10},
                          {.name = "dropout",
                           .kind = GLIA_FIELD_FLOAT,
                           .offset = offsetof(vgg_options, dropout),
                           .initial = "0.5",
                           .doc = "share that is dropped behind each of them",
                           .min = 0,
                           .max = 0.99}),
    .options_size = sizeof(vgg_options),
    .shorthand = "depth",
    .network = true,
    .build = build_vgg,
};
