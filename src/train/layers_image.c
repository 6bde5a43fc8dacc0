/* layers_image.c: layers with a window over images [N, channels, height, width]. */

#include <stdlib.h>

#include "glia/ops.h"
#include "ops/window.h"
#include "train/layer_fields.h"

enum { MOST_PIXELS = 1 << 20 }; /* a window or a stride longer than this is a mistake */

/* "1" or "1,2": a number for each side, or one for all. */
static bool parse_pads(const char *text, int sides, int64_t *pads) {
    char *end;
    for (int d = 0; d < sides; d++) {
        pads[d] = d && !*text ? pads[0] : strtol(text, &end, 10);
        if (pads[d] < 0 || pads[d] > MOST_PIXELS) return false;
        if (d && !*text) continue;
        if (end == text || (*end && *end != ',')) return false;
        text = *end && d + 1 < sides ? end + 1 : end;
    }
    for (int d = 0; d < sides; d++) pads[sides + d] = pads[d];
    return !*text;
}

bool glia__layer_padding(const glia_layer_build *b, const char *word, int sides, int *padding,
                         int64_t *pads) {
    static const char *const words[] = {"valid", "same"}; /* index: the ops' attribute */
    for (int i = 0; i < (int)GLIA_COUNT(words); i++) {
        if (strcmp(word, words[i]) != 0) continue;
        *padding = i;
        return true;
    }
    *padding = GLIA_PADDING_EXPLICIT;
    if (parse_pads(word, sides, pads)) return true;
    (void)glia__layer_fail(
        b, GLIA_INVALID_ARGUMENT,
        ": padding: expected valid, same or a number for each side (as in PyTorch), found '%s'", word);
    return false;
}

/* An image, at least as large as the window unless it is padded. `extent`: height and width of the window. */
static bool check_image(const glia_layer_build *b, const char *what, const int64_t *extent, int padding) {
    glia_shape shape = glia_value_shape(b->inputs[0]);
    char text[96];
    if (shape.rank != 4) {
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE,
                               "expects a 3-D input per example (channels×height×width), got %s",
                               glia__example_text(b->inputs[0], text, sizeof text));
        return false;
    }
    if (!extent || padding != 0 || (extent[0] <= shape.dim[2] && extent[1] <= shape.dim[3])) return true;
    (void)glia__layer_fail(
        b, GLIA_BAD_SHAPE,
        "has a %s of %lld×%lld, larger than its input of %lld×%lld; make it smaller or write "
        "padding: same",
        what, (long long)extent[0], (long long)extent[1], (long long)shape.dim[2], (long long)shape.dim[3]);
    return false;
}

#define PAIR_FIELD(type, member, initial_text, low, text) \
    GLIA_SIDES_FIELD(type, member, 2, initial_text, low, MOST_PIXELS, text)

/* --- conv2d ----------------------------------------------------------------------------------------------- */

static glia_value *build_conv2d(const glia_layer_build *b, const void *options) {
    const glia_conv2d_options *o = options;
    glia_value *x = b->inputs[0], *bias = NULL;
    const int64_t *k = o->kernel;
    int64_t extent[2] = {(k[0] - 1) * o->dilation[0] + 1, (k[1] - 1) * o->dilation[1] + 1};
    glia_conv2d_attrs attrs = {.strides = {o->strides[0], o->strides[1]},
                               .dilation = {o->dilation[0], o->dilation[1]},
                               .groups = o->groups};
    if (!glia__layer_padding(b, o->padding, 2, &attrs.padding, attrs.pads) ||
        !check_image(b, "kernel", extent, attrs.padding))
        return NULL;
    int64_t channels = glia_value_shape(x).dim[1];
    if (channels % o->groups || o->filters % o->groups)
        return glia__layer_fail(
            b, GLIA_BAD_SHAPE,
            "has groups: %lld, which must divide both its %lld input channels and its %lld filters",
            (long long)o->groups, (long long)channels, (long long)o->filters);
    int64_t window = k[0] * k[1], in = channels / o->groups;
    glia_value *weight = glia_model_param(b->model, "weight", GLIA_SHAPE(o->filters, in, k[0], k[1]),
                                          o->kernel_initializer, in * window, o->filters * window);
    if (o->use_bias != GLIA_NO)
        bias = glia_model_param(b->model, "bias", GLIA_SHAPE(o->filters), o->bias_initializer, in * window,
                                o->filters * window);
    if (!weight || (o->use_bias != GLIA_NO && !bias)) return NULL;
    return glia__layer_activate(b, glia_op_conv2d(x, weight, bias, attrs), o->activation);
}

GLIA_LAYER(conv2d) = {
    .name = "conv2d",
    .doc = "[N, C, H, W] → [N, filters, H', W']; weight [filters, C/groups, kh, kw], bias [filters]",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(
        {.name = "filters",
         .kind = GLIA_FIELD_INT,
         .offset = offsetof(glia_conv2d_options, filters),
         .doc = "channels of the result",
         .min = 1,
         .max = 1 << 20},
        PAIR_FIELD(glia_conv2d_options, kernel, NULL, 1, "height and width of the window"),
        PAIR_FIELD(glia_conv2d_options, strides, "1", 1, "steps of the window"),
        PAIR_FIELD(glia_conv2d_options, dilation, "1", 1, "distance of the window's places"),
        {.name = "groups",
         .kind = GLIA_FIELD_INT,
         .offset = offsetof(glia_conv2d_options, groups),
         .initial = "1",
         .doc = "groups of channels that do not see each other",
         .min = 1,
         .max = 1 << 20},
        GLIA_TEXT_FIELD(glia_conv2d_options, padding, "valid", GLIA_PADDING_DOC),
        GLIA_TEXT_FIELD(glia_conv2d_options, activation, "",
                        "what is applied to the result: relu, …; default none"),
        {.name = "use_bias",
         .kind = GLIA_FIELD_BOOL,
         .offset = offsetof(glia_conv2d_options, use_bias),
         .initial = "yes",
         .doc = "whether a bias is added"},
        GLIA_TEXT_FIELD(glia_conv2d_options, kernel_initializer, "glorot_uniform", "how the weight begins"),
        GLIA_TEXT_FIELD(glia_conv2d_options, bias_initializer, "zeros", "how the bias begins")),
    .options_size = sizeof(glia_conv2d_options),
    .build = build_conv2d,
};

glia_value *glia_conv2d_with(glia_value *x, glia_conv2d_options options) {
    return glia__layer_apply(NULL, &glia__layer_def_conv2d, options.name, &x, 1, &options, false);
}

/* --- pools ------------------------------------------------------------------------------------------------ */

static bool pool_attrs(const glia_layer_build *b, const glia_pool2d_options *o, glia_pool2d_attrs *attrs) {
    *attrs = (glia_pool2d_attrs){.size = {o->size[0], o->size[1]}};
    for (int i = 0; i < 2; i++) attrs->strides[i] = o->strides[i] ? o->strides[i] : o->size[i];
    return glia__layer_padding(b, o->padding, 2, &attrs->padding, attrs->pads) &&
           check_image(b, "window", o->size, attrs->padding);
}

static glia_value *build_max_pool2d(const glia_layer_build *b, const void *options) {
    glia_pool2d_attrs attrs;
    return pool_attrs(b, options, &attrs) ? glia_op_max_pool2d(b->inputs[0], attrs) : NULL;
}

static glia_value *build_average_pool2d(const glia_layer_build *b, const void *options) {
    glia_pool2d_attrs attrs;
    return pool_attrs(b, options, &attrs) ? glia_op_average_pool2d(b->inputs[0], attrs) : NULL;
}

#define POOL_FIELDS                                                                                         \
    GLIA_FIELDS(PAIR_FIELD(glia_pool2d_options, size, "2", 1, "height and width of the window"),            \
                PAIR_FIELD(glia_pool2d_options, strides, "0", 0, "steps of the window; default: its size"), \
                GLIA_TEXT_FIELD(glia_pool2d_options, padding, "valid", GLIA_PADDING_DOC))

GLIA_LAYER(max_pool2d) = {
    .name = "max_pool2d",
    .doc = "[N, C, H, W] → [N, C, H', W']: the largest of each window",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = POOL_FIELDS,
    .options_size = sizeof(glia_pool2d_options),
    .shorthand = "size",
    .build = build_max_pool2d,
};

GLIA_LAYER(average_pool2d) = {
    .name = "average_pool2d",
    .doc = "[N, C, H, W] → [N, C, H', W']: the mean of each window; padding does not count",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = POOL_FIELDS,
    .options_size = sizeof(glia_pool2d_options),
    .shorthand = "size",
    .build = build_average_pool2d,
};

glia_value *glia_max_pool2d_with(glia_value *x, glia_pool2d_options options) {
    return glia__layer_apply(NULL, &glia__layer_def_max_pool2d, options.name, &x, 1, &options, false);
}

glia_value *glia_average_pool2d_with(glia_value *x, glia_pool2d_options options) {
    return glia__layer_apply(NULL, &glia__layer_def_average_pool2d, options.name, &x, 1, &options, false);
}

static glia_value *build_global_average_pool2d(const glia_layer_build *b, const void *options) {
    (void)options;
    return check_image(b, "window", NULL, 0)
               ? glia_op_global_average_pool2d(b->inputs[0], (glia_global_average_pool2d_attrs){GLIA_DEFAULT})
               : NULL;
}

GLIA_LAYER(global_average_pool2d) = {
    .name = "global_average_pool2d",
    .doc = "[N, C, H, W] → [N, C]: the mean of each channel",
    .min_inputs = 1,
    .max_inputs = 1,
    .build = build_global_average_pool2d,
};

glia_value *glia_global_average_pool2d(glia_value *x) {
    return glia__layer_apply(NULL, &glia__layer_def_global_average_pool2d, NULL, &x, 1, NULL, false);
}
