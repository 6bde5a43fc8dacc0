/* layers_pool.c: pools beside max_pool2d and average_pool2d: of lines and volumes, over whole images, to a wanted size. */

#include "glia/ops.h"
#include "ops/resize.h"
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

/* Over all that follows the channels. */
static glia_value *pool_all(const glia_layer_build *b, int dims, bool largest) {
    glia_reduce_attrs attrs = {.axes = {.rank = dims, .dim = {2, 3, 4}}, .keep_dims = GLIA_NO};
    if (!check_input(b, dims)) return NULL;
    return largest ? glia_op_max(b->inputs[0], attrs) : glia_op_mean(b->inputs[0], attrs);
}

#define GLOBAL_LAYER(layer, dims, largest, text)                                       \
    static glia_value *build_##layer(const glia_layer_build *b, const void *options) { \
        (void)options;                                                                 \
        return pool_all(b, dims, largest);                                             \
    }                                                                                  \
    GLIA_LAYER(layer) = {                                                              \
        .name = #layer, .doc = text, .min_inputs = 1, .max_inputs = 1, .build = build_##layer}

GLOBAL_LAYER(global_max_pool1d, 1, true, "[N, C, L] → [N, C]: the largest number of each channel");
GLOBAL_LAYER(global_max_pool2d, 2, true, "[N, C, H, W] → [N, C]: the largest number of each channel");
GLOBAL_LAYER(global_max_pool3d, 3, true, "[N, C, D, H, W] → [N, C]: the largest number of each channel");
GLOBAL_LAYER(global_average_pool1d, 1, false, "[N, C, L] → [N, C]: the mean of each channel");
GLOBAL_LAYER(global_average_pool3d, 3, false, "[N, C, D, H, W] → [N, C]: the mean of each channel");

/* --- to a wanted size ------------------------------------------------------------------------------------------- */

static glia_value *average_axis(glia_value *x, int axis, int64_t size) {
    return glia_op_resize(x, (glia_resize_attrs){.axis = axis, .size = size, .mode = GLIA_RESIZE_AVERAGE});
}

/* Part i of `size` is what lies from ⌊i·n/size⌋ to ⌈(i + 1)·n/size⌉, as in PyTorch: parts may share a border. */
static glia_value *largest_of_parts(glia_value *x, int axis, int64_t first, int64_t count, int64_t size) {
    enum { AT_ONCE = GLIA_MAX_INPUTS };
    glia_value *parts[AT_ONCE];
    int64_t each = 1;
    const int64_t n = glia_value_shape(x).dim[axis];
    while (each * AT_ONCE < count) each *= AT_ONCE; /* more than an op joins: by groups */
    int joined = 0;
    for (int64_t i = 0; i < count; i += each, joined++) {
        const int64_t begin = (first + i) * n / size, end = ((first + i + 1) * n + size - 1) / size;
        if (count > 1) {
            parts[joined] = largest_of_parts(x, axis, first + i, GLIA_MIN(each, count - i), size);
            continue;
        }
        x = glia_op_slice(x, (glia_slice_attrs){.axis = axis, .start = begin, .end = end, .step = 1});
        return glia_op_max(x, (glia_reduce_attrs){.axes = GLIA_SHAPE(axis), .keep_dims = GLIA_YES});
    }
    return joined == 1 ? parts[0] : glia_op_concat(parts, joined, (glia_concat_attrs){.axis = axis});
}

static glia_value *largest_axis(glia_value *x, int axis, int64_t size) {
    return largest_of_parts(x, axis, 0, size, size);
}

/* One axis after the other: the largest of the largest, and means of means, since parts have the same shape in all rows. */
static glia_value *pool_to(const glia_layer_build *b, const pool_options *o, int dims,
                           glia_value *(*pool)(glia_value *x, int axis, int64_t size)) {
    glia_value *x = b->inputs[0];
    if (!check_input(b, dims)) return NULL;
    for (int d = 0; d < dims && x; d++)
        if (glia_value_shape(x).dim[2 + d] != o->size[d]) x = pool(x, 2 + d, o->size[d]);
    return x;
}

#define ADAPTIVE_LAYER(layer, dims, most, pool, words, text)                                             \
    static glia_value *build_##layer(const glia_layer_build *b, const void *options) {                   \
        return pool_to(b, options, dims, pool);                                                          \
    }                                                                                                    \
    GLIA_LAYER(layer) = {.name = #layer,                                                                 \
                         .doc = text,                                                                    \
                         .min_inputs = 1,                                                                \
                         .max_inputs = 1,                                                                \
                         .fields = GLIA_FIELDS(GLIA_SIDES_FIELD(pool_options, size, dims, NULL, 1, most, \
                                                                words " of the result")),                \
                         .options_size = sizeof(pool_options),                                           \
                         .shorthand = "size",                                                            \
                         .build = build_##layer}

enum { MOST_PARTS = 256 };

ADAPTIVE_LAYER(adaptive_average_pool1d, 1, MOST_SIDE, average_axis, "length",
               "[N, C, L] → [N, C, length]: means of parts as equal as can be");
ADAPTIVE_LAYER(adaptive_average_pool2d, 2, MOST_SIDE, average_axis, "height and width",
               "[N, C, H, W] → [N, C, height, width]: means of parts as equal as can be");
ADAPTIVE_LAYER(adaptive_average_pool3d, 3, MOST_SIDE, average_axis, "depth, height and width",
               "[N, C, D, H, W] → [N, C, depth, height, width]: means of parts as equal as can be");
ADAPTIVE_LAYER(adaptive_max_pool1d, 1, MOST_PARTS, largest_axis, "length",
               "[N, C, L] → [N, C, length]: the largest of parts as equal as can be");
ADAPTIVE_LAYER(adaptive_max_pool2d, 2, MOST_PARTS, largest_axis, "height and width",
               "[N, C, H, W] → [N, C, height, width]: the largest of parts as equal as can be");
ADAPTIVE_LAYER(adaptive_max_pool3d, 3, MOST_PARTS, largest_axis, "depth, height and width",
               "[N, C, D, H, W] → [N, C, depth, height, width]: the largest of parts as equal as can be");
