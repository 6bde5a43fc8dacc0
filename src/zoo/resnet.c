/* resnet.c: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016; as in torchvision: the step of
 * a bottleneck lies in its 3×3 convolution. */

#include "zoo/zoo.h"

typedef struct resnet_options {
    int64_t depth, classes;
    int stem;
} resnet_options;

/* Blocks in each of the four stages. */
static const struct {
    int64_t depth;
    int blocks[4];
    bool bottleneck;
} nets[] = {{18, {2, 2, 2, 2}, false},
            {34, {3, 4, 6, 3}, false},
            {50, {3, 4, 6, 3}, true},
            {101, {3, 4, 23, 3}, true},
            {152, {3, 8, 36, 3}, true}};

/* What the block adds its result to. */
static glia_value *shortcut(glia_value *x, int64_t filters, int64_t stride) {
    if (stride == 1 && glia__zoo_channels(x) == filters) return x;
    return glia__zoo_conv_norm(x, "downsample.0", "downsample.1", filters, 1, stride, 1, NULL);
}

static glia_value *basic(glia_value *x, int64_t width, int64_t stride) {
    glia_value *y = glia__zoo_conv_norm(x, "conv1", "bn1", width, 3, stride, 1, "relu");
    y = glia__zoo_conv_norm(y, "conv2", "bn2", width, 3, 1, 1, NULL);
    return glia_relu(glia_add(y, shortcut(x, width, stride)));
}

static glia_value *bottleneck(glia_value *x, int64_t width, int64_t stride) {
    glia_value *y = glia__zoo_conv_norm(x, "conv1", "bn1", width, 1, 1, 1, "relu");
    y = glia__zoo_conv_norm(y, "conv2", "bn2", width, 3, stride, 1, "relu");
    y = glia__zoo_conv_norm(y, "conv3", "bn3", 4 * width, 1, 1, 1, NULL);
    return glia_relu(glia_add(y, shortcut(x, 4 * width, stride)));
}

static glia_value *build_resnet(const glia_layer_build *b, const void *options) {
    const resnet_options *o = options;
    const bool small = o->stem == 1;
    glia_value *x = b->inputs[0];
    size_t net = 0;
    while (net < GLIA_COUNT(nets) && nets[net].depth != o->depth) net++;
    if (net == GLIA_COUNT(nets))
        return glia__layer_fail(b, GLIA_INVALID_ARGUMENT, "has depth 18, 34, 50, 101 or 152, not %lld",
                                (long long)o->depth);
    if (!glia__zoo_image(b)) return NULL;
    x = glia__zoo_conv_norm(x, "conv1", "bn1", 64, small ? 3 : 7, small ? 1 : 2, 1, "relu");
    if (!small) x = glia_max_pool2d(x, .size = {3, 3}, .strides = {2, 2}, .padding = "1", .name = "maxpool");
    for (int stage = 0; stage < 4; stage++)
        for (int i = 0; i < nets[net].blocks[stage]; i++) {
            const int64_t width = INT64_C(64) << stage, stride = stage > 0 && i == 0 ? 2 : 1;
            glia__zoo_begin(x, "layer%d.%d", stage + 1, i);
            x = nets[net].bottleneck ? bottleneck(x, width, stride) : basic(x, width, stride);
            glia_scope_end(b->model);
        }
    return glia_dense(glia_global_average_pool2d(x), .units = o->classes, .name = "fc");
}

GLIA_LAYER(resnet) = {
    .name = "resnet",
    .doc = "the residual network of that depth: [N, C, H, W] → [N, classes]; weights as in torchvision "
           "(layer1.0.conv1.weight)",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields =
        GLIA_FIELDS({.name = "depth",
                     .kind = GLIA_FIELD_INT,
                     .offset = offsetof(resnet_options, depth),
                     .initial = "18",
                     .doc = "18, 34, 50, 101 or 152",
                     .min = 18,
                     .max = 152},
                    GLIA_ZOO_CLASSES(resnet_options),
                    {.name = "stem",
                     .kind = GLIA_FIELD_CHOICE,
                     .offset = offsetof(resnet_options, stem),
                     .initial = "imagenet",
                     .choices = "imagenet|cifar",
                     .doc = "imagenet: 7×7 with steps of 2 and a max pool; cifar: 3×3 with steps of 1, for "
                            "small images"}),
    .options_size = sizeof(resnet_options),
    .shorthand = "depth",
    .network = true,
    .build = build_resnet,
};
