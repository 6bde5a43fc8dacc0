/* layers_resize.c: layers that change the sides of images: upsample2d, pad2d, pixel_shuffle. */

#include "glia/ops.h"
#include "train/layer_fields.h"

static bool check_image(const glia_layer_build *b) {
    const glia_shape shape = glia_value_shape(b->inputs[0]);
    char text[96];
    if (shape.rank == 4 && shape.dim[2] > 0 && shape.dim[3] > 0) return true;
    (void)glia__layer_fail(b, GLIA_BAD_SHAPE,
                           "expects a 3-D input per example (channels×height×width), got %s",
                           glia__example_text(b->inputs[0], text, sizeof text));
    return false;
}

/* --- upsample2d -------------------------------------------------------------------------------------------------- */

typedef struct upsample_options {
    int64_t factor[2];
    int mode;
} upsample_options;

static glia_value *build_upsample2d(const glia_layer_build *b, const void *options) {
    enum { MOST_SIDE = 1 << 24 };
    const upsample_options *o = options;
    if (!check_image(b)) return NULL;
    const glia_shape shape = glia_value_shape(b->inputs[0]);
    if (shape.dim[2] > MOST_SIDE / o->factor[0] || shape.dim[3] > MOST_SIDE / o->factor[1])
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "has a factor of %lld×%lld, which is too large",
                                (long long)o->factor[0], (long long)o->factor[1]);
    return glia_op_resize2d(b->inputs[0], shape.dim[2] * o->factor[0], shape.dim[3] * o->factor[1],
                            (glia_resize_attrs){.mode = o->mode});
}

GLIA_LAYER(upsample2d) = {
    .name = "upsample2d",
    .doc = "[N, C, H, W] → [N, C, H·factor, W·factor]",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(GLIA_SIDES_FIELD(upsample_options, factor, 2, "2", 1, 1 << 12,
                                           "how many times as high and as wide"),
                          {.name = "mode",
                           .kind = GLIA_FIELD_CHOICE,
                           .offset = offsetof(upsample_options, mode),
                           .initial = "nearest",
                           .choices = "nearest|linear|cubic",
                           .doc = "how new pixels are made: linear in both directions is bilinear"}),
    .options_size = sizeof(upsample_options),
    .shorthand = "factor",
    .build = build_upsample2d,
};

/* --- pad2d --------------------------------------------------------------------------------------------------------- */

typedef struct pad_options {
    int64_t pads[4]; /* top, left, bottom, right */
    int mode;
    double value;
} pad_options;

static glia_value *build_pad2d(const glia_layer_build *b, const void *options) {
    const pad_options *o = options;
    glia_value *x = b->inputs[0];
    if (!check_image(b)) return NULL;
    for (int d = 0; d < 2; d++)
        if (o->pads[d] || o->pads[2 + d])
            x = glia_op_pad(x, (glia_pad_attrs){.axis = 2 + d,
                                                .begin = o->pads[d],
                                                .end = o->pads[2 + d],
                                                .mode = o->mode,
                                                .value = o->value});
    return x;
}

GLIA_LAYER(pad2d) = {
    .name = "pad2d",
    .doc = "[N, C, H, W] → [N, C, top + H + bottom, left + W + right]",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(
        GLIA_SIDES_FIELD(pad_options, pads, 4, NULL, 0, 1 << 20, "pixels at the top, left, bottom, right"),
        {.name = "mode",
         .kind = GLIA_FIELD_CHOICE,
         .offset = offsetof(pad_options, mode),
         .initial = "constant",
         .choices = "constant|reflect|edge|wrap",
         .doc = "what they are: `value`, the image mirrored at its border, the border, the other end"},
        {.name = "value",
         .kind = GLIA_FIELD_FLOAT,
         .offset = offsetof(pad_options, value),
         .initial = "0",
         .doc = "of mode constant"}),
    .options_size = sizeof(pad_options),
    .shorthand = "pads",
    .build = build_pad2d,
};

/* --- pixel_shuffle --------------------------------------------------------------------------------------------------- */

typedef struct shuffle_options {
    int64_t factor;
} shuffle_options;

static glia_value *build_pixel_shuffle(const glia_layer_build *b, const void *options) {
    const shuffle_options *o = options;
    if (!check_image(b)) return NULL;
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
