/* layers_pool.c: pools beside max_pool2d and average_pool2d: of lines and volumes, over whole images, to a wanted size. */

#include "glia/ops.h"
#include "train/layer_fields.h"

enum { MOST_SIDE = 1 << 20 };

typedef struct pool_options {
    int64_t size[3], strides[3];
    const char *padding;
} pool_options;

static bool check_input(const glia_layer_build *b, int dims) {
    static const char *const shapes[] = {"", "channels×length", "channels×height×width",
                                         "channels×depth×height×width"};
    char text[96];
    if (glia_value_shape(b->inputs[0]).rank == dims + 2) return true;
    (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "expects a %d-D input per example (%s), got %s", dims + 1,
                           shapes[dims], glia__example_text(b->inputs[0], text, sizeof text));
    return false;
}

/* A line is an image of height 1. */
static glia_value *pool_line(const glia_layer_build *b, const pool_options *o,
                             glia_value *(*pool)(glia_value *x, glia_pool2d_attrs attrs)) {
    const glia_squeeze_attrs height = {.axes = GLIA_SHAPE(2)};
    glia_pool2d_attrs attrs = {.size = {1, o->size[0]}, .strides = {1, o->strides[0]}};
    int64_t pads[2] = {0};
    if (!check_input(b, 1) || !glia__layer_padding(b, o->padding, 1, &attrs.padding, pads)) return NULL;
    attrs.pads[1] = pads[0];
    attrs.pads[3] = pads[1];
    return glia_op_squeeze(pool(glia_op_unsqueeze(b->inputs[0], height), attrs), height);
}

static glia_value *build_max_pool1d(const glia_layer_build *b, const void *options) {
    return pool_line(b, options, glia_op_max_pool2d);
}

static glia_value *build_average_pool1d(const glia_layer_build *b, const void *options) {
    return pool_line(b, options, glia_op_average_pool2d);
}

static glia_value *pool_volume(const glia_layer_build *b, const pool_options *o,
                               glia_value *(*pool)(glia_value *x, glia_pool3d_attrs attrs)) {
    glia_pool3d_attrs attrs = {.padding = 0};
    if (!check_input(b, 3) || !glia__layer_padding(b, o->padding, 3, &attrs.padding, attrs.pads)) return NULL;
    for (int d = 0; d < 3; d++) {
        attrs.size[d] = o->size[d];
        attrs.strides[d] = o->strides[d];
    }
    return pool(b->inputs[0], attrs);
}

static glia_value *build_max_pool3d(const glia_layer_build *b, const void *options) {
    return pool_volume(b, options, glia_op_max_pool3d);
}

static glia_value *build_average_pool3d(const glia_layer_build *b, const void *options) {
    return pool_volume(b, options, glia_op_average_pool3d);
}

#define POOL_FIELDS(sides, words)                                                                       \
    GLIA_FIELDS(GLIA_SIDES_FIELD(pool_options, size, sides, "2", 1, MOST_SIDE, words " of the window"), \
                GLIA_SIDES_FIELD(pool_options, strides, sides, "0", 0, MOST_SIDE,                       \
                                 "steps of the window; default: its size"),                             \
                GLIA_TEXT_FIELD(pool_options, padding, "valid", GLIA_PADDING_DOC))
#define POOL_LAYER(layer, sides, words, text)                                                               \
    {                                                                                                       \
        .name = #layer, .doc = text, .min_inputs = 1, .max_inputs = 1, .fields = POOL_FIELDS(sides, words), \
        .options_size = sizeof(pool_options), .shorthand = "size", .build = build_##layer                   \
    }

GLIA_LAYER(max_pool1d) = POOL_LAYER(max_pool1d, 1, "length",
                                    "[N, C, L] → [N, C, L']: the largest of each window");
GLIA_LAYER(average_pool1d) = POOL_LAYER(
    average_pool1d, 1, "length", "[N, C, L] → [N, C, L']: the mean of each window; padding does not count");
GLIA_LAYER(max_pool3d) = POOL_LAYER(max_pool3d, 3, "depth, height and width",
                                    "[N, C, D, H, W] → [N, C, D', H', W']: the largest of each window");
GLIA_LAYER(average_pool3d) =
    POOL_LAYER(average_pool3d, 3, "depth, height and width",
               "[N, C, D, H, W] → [N, C, D', H', W']: the mean of each window; padding does not count");

/* --- whole images ---------------------------------------------------------------------------------------------- */

static glia_value *build_global_max_pool2d(const glia_layer_build *b, const void *options) {
    (void)options;
    return check_input(b, 2) ? glia_op_max(b->inputs[0], (glia_reduce_attrs){.axes = GLIA_SHAPE(2, 3),
                                                                             .keep_dims = GLIA_NO})
                             : NULL;
}

GLIA_LAYER(global_max_pool2d) = {
    .name = "global_max_pool2d",
    .doc = "[N, C, H, W] → [N, C]: the largest number of each channel",
    .min_inputs = 1,
    .max_inputs = 1,
    .build = build_global_max_pool2d,
};

static glia_value *build_adaptive_average_pool2d(const glia_layer_build *b, const void *options) {
    const pool_options *o = options;
    return check_input(b, 2) ? glia_op_adaptive_average_pool2d(b->inputs[0], o->size[0], o->size[1]) : NULL;
}

GLIA_LAYER(adaptive_average_pool2d) = {
    .name = "adaptive_average_pool2d",
    .doc = "[N, C, H, W] → [N, C, height, width]: means of parts as equal as can be",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(GLIA_SIDES_FIELD(pool_options, size, 2, NULL, 1, MOST_SIDE,
                                           "height and width of the result")),
    .options_size = sizeof(pool_options),
    .shorthand = "size",
    .build = build_adaptive_average_pool2d,
};
