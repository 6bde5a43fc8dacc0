/* layers_resize.c: layers that change the sides of lines, images and volumes: upsample, resize, pad, pixel_shuffle. */

#include "glia/ops.h"
#include "train/layer_fields.h"

enum { MOST_SIDE = 1 << 24 };

static bool check_sides(const glia_layer_build *b, int dims) {
    static const char *const shapes[] = {"", "channels×length", "channels×height×width",
                                         "channels×depth×height×width"};
    const glia_shape shape = glia_value_shape(b->inputs[0]);
    bool fits = shape.rank == dims + 2;
    char text[96];
    for (int d = 2; d < shape.rank; d++) fits &= shape.dim[d] > 0;
    if (!fits)
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "expects a %d-D input per example (%s), got %s", dims + 1,
                               shapes[dims], glia__example_text(b->inputs[0], text, sizeof text));
    return fits;
}

/* --- upsample and resize -------------------------------------------------------------------------------------------- */

typedef struct resize_options {
    int64_t factor[3]; /* or the size itself */
    int mode;
    glia_bool align_corners;
} resize_options;

static glia_value *resize(const glia_layer_build *b, const resize_options *o, int dims, bool factors) {
    glia_value *x = b->inputs[0];
    if (!check_sides(b, dims)) return NULL;
    for (int d = 0; d < dims && x; d++) {
        const int64_t side = glia_value_shape(x).dim[2 + d];
        if (factors && side > MOST_SIDE / o->factor[d])
            return glia__layer_fail(b, GLIA_BAD_SHAPE,
                                    "has a factor of %lld for a side of %lld, which is too large",
                                    (long long)o->factor[d], (long long)side);
        const int64_t size = factors ? side * o->factor[d] : o->factor[d];
        if (size == side) continue;
        x = glia_op_resize(x, (glia_resize_attrs){.axis = 2 + d,
                                                  .size = size,
                                                  .mode = o->mode,
                                                  .coordinates = o->align_corners == GLIA_YES ? 2 : 0});
    }
    return x;
}

static glia_value *build_upsample1d(const glia_layer_build *b, const void *options) {
    return resize(b, options, 1, true);
}
static glia_value *build_upsample2d(const glia_layer_build *b, const void *options) {
    return resize(b, options, 2, true);
}
static glia_value *build_upsample3d(const glia_layer_build *b, const void *options) {
    return resize(b, options, 3, true);
}
static glia_value *build_resize2d(const glia_layer_build *b, const void *options) {
    return resize(b, options, 2, false);
}

#define MODE_FIELD                                                                           \
    {                                                                                        \
        .name = "mode", .kind = GLIA_FIELD_CHOICE, .offset = offsetof(resize_options, mode), \
        .initial = "nearest", .choices = "nearest|linear|cubic",                             \
        .doc = "how new elements are made: linear in two directions is bilinear"             \
    }
#define UPSAMPLE_LAYER(layer, sides, text)                                                     \
    {                                                                                          \
        .name = #layer, .doc = text, .min_inputs = 1, .max_inputs = 1,                         \
        .fields = GLIA_FIELDS(GLIA_SIDES_FIELD(resize_options, factor, sides, "2", 1, 1 << 12, \
                                               "how many times as long each side becomes"),    \
                              MODE_FIELD),                                                     \
        .options_size = sizeof(resize_options), .shorthand = "factor", .build = build_##layer  \
    }

GLIA_LAYER(upsample1d) = UPSAMPLE_LAYER(upsample1d, 1, "[N, C, L] → [N, C, L·factor]");
GLIA_LAYER(upsample2d) = UPSAMPLE_LAYER(upsample2d, 2, "[N, C, H, W] → [N, C, H·factor, W·factor]");
GLIA_LAYER(upsample3d) = UPSAMPLE_LAYER(upsample3d, 3,
                                        "[N, C, D, H, W] → [N, C, D·factor, H·factor, W·factor]");

GLIA_LAYER(resize2d) = {
    .name = "resize2d",
    .doc = "[N, C, H, W] → [N, C, height, width], as interpolate of PyTorch",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS({.name = "size",
                           .kind = GLIA_FIELD_INTS,
                           .offset = offsetof(resize_options, factor),
                           .doc = "height and width of the result",
                           .count = 2,
                           .min = 1,
                           .max = MOST_SIDE},
                          MODE_FIELD,
                          {.name = "align_corners",
                           .kind = GLIA_FIELD_BOOL,
                           .offset = offsetof(resize_options, align_corners),
                           .initial = "no",
                           .doc = "corners keep their values; else pixels are areas"}),
    .options_size = sizeof(resize_options),
    .shorthand = "size",
    .build = build_resize2d,
};

/* --- pad ------------------------------------------------------------------------------------------------------------- */

typedef struct pad_options {
    int64_t pads[6]; /* before each side, then behind each */
    int mode;
    double value;
} pad_options;

static glia_value *pad(const glia_layer_build *b, const pad_options *o, int dims) {
    glia_value *x = b->inputs[0];
    if (!check_sides(b, dims)) return NULL;
    for (int d = 0; d < dims; d++)
        if (o->pads[d] || o->pads[dims + d])
            x = glia_op_pad(x, (glia_pad_attrs){.axis = 2 + d,
                                                .begin = o->pads[d],
                                                .end = o->pads[dims + d],
                                                .mode = o->mode,
                                                .value = o->value});
    return x;
}

static glia_value *build_pad1d(const glia_layer_build *b, const void *options) {
    return pad(b, options, 1);
}
static glia_value *build_pad2d(const glia_layer_build *b, const void *options) {
    return pad(b, options, 2);
}
static glia_value *build_pad3d(const glia_layer_build *b, const void *options) {
    return pad(b, options, 3);
}

#define PAD_LAYER(layer, sides, where, text)                                                                \
    {                                                                                                       \
        .name = #layer, .doc = text, .min_inputs = 1, .max_inputs = 1,                                      \
        .fields = GLIA_FIELDS(                                                                              \
            GLIA_SIDES_FIELD(pad_options, pads, 2 * sides, NULL, 0, 1 << 20, "elements " where),            \
            {.name = "mode",                                                                                \
             .kind = GLIA_FIELD_CHOICE,                                                                     \
             .offset = offsetof(pad_options, mode),                                                         \
             .initial = "constant",                                                                         \
             .choices = "constant|reflect|edge|wrap",                                                       \
             .doc = "what they are: `value`, the input mirrored at its border, the border, the other end"}, \
            {.name = "value",                                                                               \
             .kind = GLIA_FIELD_FLOAT,                                                                      \
             .offset = offsetof(pad_options, value),                                                        \
             .initial = "0",                                                                                \
             .doc = "of mode constant"}),                                                                   \
        .options_size = sizeof(pad_options), .shorthand = "pads", .build = build_##layer                    \
    }

GLIA_LAYER(pad1d) = PAD_LAYER(pad1d, 1, "before and behind", "[N, C, L] → [N, C, before + L + behind]");
GLIA_LAYER(pad2d) = PAD_LAYER(pad2d, 2, "at the top, left, bottom, right",
                              "[N, C, H, W] → [N, C, top + H + bottom, left + W + right]");
GLIA_LAYER(pad3d) =
    PAD_LAYER(pad3d, 3, "at the front, top, left, back, bottom, right",
              "[N, C, D, H, W] → [N, C, front + D + back, top + H + bottom, left + W + right]");

/* --- pixel_shuffle --------------------------------------------------------------------------------------------------- */

typedef struct shuffle_options {
    int64_t factor;
} shuffle_options;

static glia_value *build_pixel_shuffle(const glia_layer_build *b, const void *options) {
    const shuffle_options *o = options;
    if (!check_sides(b, 2)) return NULL;
    return glia_op_depth_to_space(
        b->inputs[0], (glia_depth_to_space_attrs){.block = o->factor, .channels_outer = GLIA_YES});
}

GLIA_LAYER(pixel_shuffle) = {
    .name = "pixel_shuffle",
    .doc = "[N, C·factor², H, W] → [N, C, H·factor, W·factor]: channels become pixels",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS({.name = "factor",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(shuffle_options, factor),
                           .initial = "2",
                           .doc = "how many times as high and as wide",
                           .min = 1,
                           .max = 1 << 12}),
    .options_size = sizeof(shuffle_options),
    .shorthand = "factor",
    .build = build_pixel_shuffle,
};
