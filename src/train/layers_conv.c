/* layers_conv.c: convolutions beside conv2d: of lines and volumes, transposed, and channel by channel. */

#include "glia/ops.h"
#include "train/layer_fields.h"

enum { MOST_SIDE = 1 << 20 };

/* The options of all of them; a layer without one has no field for it. */
typedef struct conv_options {
    int64_t filters, kernel[3], strides[3], dilation[3], groups, multiplier;
    const char *padding, *activation, *kernel_initializer, *bias_initializer;
    glia_bool use_bias;
} conv_options;

/* The dimensions of an example behind its channels, and their number; false with an error in the graph. */
static bool check_input(const glia_layer_build *b, int dims, int64_t *channels) {
    static const char *const shapes[] = {"", "channels×length", "channels×height×width",
                                         "channels×depth×height×width"};
    const glia_shape shape = glia_value_shape(b->inputs[0]);
    char text[96];
    *channels = shape.rank == dims + 2 ? shape.dim[1] : 0;
    if (shape.rank == dims + 2) return true;
    (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "expects a %d-D input per example (%s), got %s", dims + 1,
                           shapes[dims], glia__example_text(b->inputs[0], text, sizeof text));
    return false;
}

static bool check_groups(const glia_layer_build *b, int64_t groups, int64_t channels, int64_t filters) {
    if (channels % groups == 0 && filters % groups == 0) return true;
    (void)glia__layer_fail(
        b, GLIA_BAD_SHAPE,
        "has groups: %lld, which must divide both its %lld input channels and its %lld filters",
        (long long)groups, (long long)channels, (long long)filters);
    return false;
}

/* The parameter, or NULL; `first` and `second` are its first dimensions, the rest the kernel's. */
static glia_value *weight_of(const glia_layer_build *b, const conv_options *o, const char *name, int dims,
                             int64_t first, int64_t second, int64_t fan_in, int64_t fan_out) {
    glia_shape shape = {.rank = 2 + dims, .dim = {first, second}};
    int64_t window = 1;
    for (int d = 0; d < dims; d++) window *= shape.dim[2 + d] = o->kernel[d];
    return glia_model_param(b->model, name, shape, o->kernel_initializer, fan_in * window, fan_out * window);
}

/* NULL where there is none; false when it could not be made. */
static bool bias_of(const glia_layer_build *b, const conv_options *o, int64_t filters, glia_value **bias) {
    *bias = NULL;
    if (o->use_bias == GLIA_NO) return true;
    *bias = glia_model_param(b->model, "bias", GLIA_SHAPE(filters), o->bias_initializer, filters, filters);
    return *bias != NULL;
}

/* What every convolution of groups begins with: `pads` of its sides, the parameters. False with an error in the graph. */
static bool prepare(const glia_layer_build *b, const conv_options *o, int dims, bool transposed, int *padding,
                    int64_t *pads, glia_value **weight, glia_value **bias) {
    int64_t channels;
    if (!check_input(b, dims, &channels) || !check_groups(b, o->groups, channels, o->filters) ||
        !glia__layer_padding(b, o->padding, dims, padding, pads))
        return false;
    const int64_t in = channels / o->groups, out = o->filters / o->groups;
    *weight = transposed ? weight_of(b, o, "weight", dims, channels, out, in, out)
                         : weight_of(b, o, "weight", dims, o->filters, in, in, o->filters);
    return *weight && bias_of(b, o, o->filters, bias);
}

/* --- lines and volumes --------------------------------------------------------------------------------------- */

static glia_value *build_conv1d(const glia_layer_build *b, const void *options) {
    const conv_options *o = options;
    const glia_squeeze_attrs height = {.axes = GLIA_SHAPE(2)};
    glia_conv2d_attrs attrs = {
        .strides = {1, o->strides[0]}, .dilation = {1, o->dilation[0]}, .groups = o->groups};
    glia_value *bias, *weight;
    int64_t pads[2] = {0};
    if (!prepare(b, o, 1, false, &attrs.padding, pads, &weight, &bias)) return NULL;
    attrs.pads[1] = pads[0];
    attrs.pads[3] = pads[1];
    glia_value *y = glia_op_conv2d(glia_op_unsqueeze(b->inputs[0], height), glia_op_unsqueeze(weight, height),
                                   bias, attrs);
    return glia__layer_activate(b, glia_op_squeeze(y, height), o->activation);
}

static void set_steps(const conv_options *o, glia_conv3d_attrs *attrs) {
    for (int d = 0; d < 3; d++) {
        attrs->strides[d] = o->strides[d];
        attrs->dilation[d] = o->dilation[d];
    }
}

static glia_value *build_conv3d(const glia_layer_build *b, const void *options) {
    const conv_options *o = options;
    glia_conv3d_attrs attrs = {.groups = o->groups};
    glia_value *bias, *weight;
    if (!prepare(b, o, 3, false, &attrs.padding, attrs.pads, &weight, &bias)) return NULL;
    set_steps(o, &attrs);
    return glia__layer_activate(b, glia_op_conv3d(b->inputs[0], weight, bias, attrs), o->activation);
}

#define KERNEL_FIELDS(sides, words)                                                               \
    GLIA_SIDES_FIELD(conv_options, kernel, sides, NULL, 1, MOST_SIDE, words " of the window"),    \
        GLIA_SIDES_FIELD(conv_options, strides, sides, "1", 1, MOST_SIDE, "steps of the window"), \
        GLIA_SIDES_FIELD(conv_options, dilation, sides, "1", 1, MOST_SIDE,                        \
                         "distance of the window's places")
#define FILTERS_FIELD GLIA_COUNT_FIELD(conv_options, filters, NULL, "channels of the result")
#define GROUPS_FIELD \
    GLIA_COUNT_FIELD(conv_options, groups, "1", "groups of channels that do not see each other")
#define REST_FIELDS                                                                                   \
    GLIA_TEXT_FIELD(conv_options, padding, "valid", GLIA_PADDING_DOC),                                \
        GLIA_TEXT_FIELD(conv_options, activation, "",                                                 \
                        "what is applied to the result: relu, …; default none"),                      \
        {.name = "use_bias",                                                                          \
         .kind = GLIA_FIELD_BOOL,                                                                     \
         .offset = offsetof(conv_options, use_bias),                                                  \
         .initial = "yes",                                                                            \
         .doc = "whether a bias is added"},                                                           \
        GLIA_TEXT_FIELD(conv_options, kernel_initializer, "glorot_uniform", "how the weight begins"), \
        GLIA_TEXT_FIELD(conv_options, bias_initializer, "zeros", "how the bias begins")

GLIA_LAYER(conv1d) = {
    .name = "conv1d",
    .doc = "[N, C, L] → [N, filters, L']; weight [filters, C/groups, k], bias [filters]",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(FILTERS_FIELD, KERNEL_FIELDS(1, "length"), GROUPS_FIELD, REST_FIELDS),
    .options_size = sizeof(conv_options),
    .build = build_conv1d,
};

GLIA_LAYER(conv3d) = {
    .name = "conv3d",
    .doc =
        "[N, C, D, H, W] → [N, filters, D', H', W']; weight [filters, C/groups, kd, kh, kw], bias [filters]",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(FILTERS_FIELD, KERNEL_FIELDS(3, "depth, height and width"), GROUPS_FIELD,
                          REST_FIELDS),
    .options_size = sizeof(conv_options),
    .build = build_conv3d,
};

/* --- transposed ------------------------------------------------------------------------------------------------ */

static glia_value *build_conv2d_transpose(const glia_layer_build *b, const void *options) {
    const conv_options *o = options;
    glia_conv_transpose2d_attrs attrs = {.conv = {.strides = {o->strides[0], o->strides[1]},
                                                  .dilation = {o->dilation[0], o->dilation[1]},
                                                  .groups = o->groups}};
    glia_value *bias, *weight;
    if (!prepare(b, o, 2, true, &attrs.conv.padding, attrs.conv.pads, &weight, &bias)) return NULL;
    return glia__layer_activate(b, glia_op_conv_transpose2d(b->inputs[0], weight, bias, attrs),
                                o->activation);
}

GLIA_LAYER(conv2d_transpose) = {
    .name = "conv2d_transpose",
    .doc = "[N, C, H, W] → [N, filters, (H−1)·stride + kh, …]; padding same: H·stride; weight [C, "
           "filters/groups, "
           "kh, kw], bias [filters]",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(FILTERS_FIELD, KERNEL_FIELDS(2, "height and width"), GROUPS_FIELD, REST_FIELDS),
    .options_size = sizeof(conv_options),
    .build = build_conv2d_transpose,
};

static glia_value *build_conv1d_transpose(const glia_layer_build *b, const void *options) {
    const conv_options *o = options;
    glia_conv_transpose2d_attrs attrs = {
        .conv = {.strides = {1, o->strides[0]}, .dilation = {1, o->dilation[0]}, .groups = o->groups}};
    glia_value *bias, *weight;
    int64_t pads[2] = {0};
    if (!prepare(b, o, 1, true, &attrs.conv.padding, pads, &weight, &bias)) return NULL;
    attrs.conv.pads[1] = pads[0];
    attrs.conv.pads[3] = pads[1];
    return glia__layer_activate(b, glia_op_conv_transpose1d(b->inputs[0], weight, bias, attrs),
                                o->activation);
}

static glia_value *build_conv3d_transpose(const glia_layer_build *b, const void *options) {
    const conv_options *o = options;
    glia_conv_transpose3d_attrs attrs = {.conv = {.groups = o->groups}};
    glia_value *bias, *weight;
    if (!prepare(b, o, 3, true, &attrs.conv.padding, attrs.conv.pads, &weight, &bias)) return NULL;
    set_steps(o, &attrs.conv);
    return glia__layer_activate(b, glia_op_conv_transpose3d(b->inputs[0], weight, bias, attrs),
                                o->activation);
}

GLIA_LAYER(conv1d_transpose) = {
    .name = "conv1d_transpose",
    .doc =
        "[N, C, L] → [N, filters, (L−1)·stride + k]; padding same: L·stride; weight [C, filters/groups, k], "
        "bias [filters]",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(FILTERS_FIELD, KERNEL_FIELDS(1, "length"), GROUPS_FIELD, REST_FIELDS),
    .options_size = sizeof(conv_options),
    .build = build_conv1d_transpose,
};

GLIA_LAYER(conv3d_transpose) = {
    .name = "conv3d_transpose",
    .doc = "[N, C, D, H, W] → [N, filters, (D−1)·stride + kd, …]; padding same: D·stride; weight [C, "
           "filters/groups, "
           "kd, kh, kw], bias [filters]",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(FILTERS_FIELD, KERNEL_FIELDS(3, "depth, height and width"), GROUPS_FIELD,
                          REST_FIELDS),
    .options_size = sizeof(conv_options),
    .build = build_conv3d_transpose,
};

/* --- channel by channel ------------------------------------------------------------------------------------------ */

/* Each channel with filters of its own. */
static glia_value *by_channel(const glia_layer_build *b, const conv_options *o, const char *name,
                              glia_value *bias, int64_t channels) {
    glia_conv2d_attrs attrs = {.strides = {o->strides[0], o->strides[1]},
                               .dilation = {o->dilation[0], o->dilation[1]},
                               .groups = channels};
    if (!glia__layer_padding(b, o->padding, 2, &attrs.padding, attrs.pads)) return NULL;
    glia_value *weight = weight_of(b, o, name, 2, channels * o->multiplier, 1, 1, o->multiplier);
    return weight ? glia_op_conv2d(b->inputs[0], weight, bias, attrs) : NULL;
}

static glia_value *build_depthwise(const glia_layer_build *b, const void *options) {
    const conv_options *o = options;
    glia_value *bias;
    int64_t channels;
    if (!check_input(b, 2, &channels) || !bias_of(b, o, channels * o->multiplier, &bias)) return NULL;
    return glia__layer_activate(b, by_channel(b, o, "weight", bias, channels), o->activation);
}

static glia_value *build_separable(const glia_layer_build *b, const void *options) {
    const conv_options *o = options;
    glia_value *bias;
    int64_t channels;
    if (!check_input(b, 2, &channels)) return NULL;
    glia_value *y = by_channel(b, o, "depthwise", NULL, channels);
    const int64_t between = channels * o->multiplier;
    glia_value *mix = glia_model_param(b->model, "pointwise", GLIA_SHAPE(o->filters, between, 1, 1),
                                       o->kernel_initializer, between, o->filters);
    if (!y || !mix || !bias_of(b, o, o->filters, &bias)) return NULL;
    return glia__layer_activate(b, glia_op_conv2d(y, mix, bias, (glia_conv2d_attrs){0}), o->activation);
}

#define MULTIPLIER_FIELD GLIA_COUNT_FIELD(conv_options, multiplier, "1", "filters for each channel")

GLIA_LAYER(depthwise_conv2d) = {
    .name = "depthwise_conv2d",
    .doc = "[N, C, H, W] → [N, C·multiplier, H', W'], each channel for itself; weight [C·multiplier, 1, kh, "
           "kw], "
           "bias [C·multiplier]",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(KERNEL_FIELDS(2, "height and width"), MULTIPLIER_FIELD, REST_FIELDS),
    .options_size = sizeof(conv_options),
    .build = build_depthwise,
};

GLIA_LAYER(separable_conv2d) = {
    .name = "separable_conv2d",
    .doc = "a depthwise_conv2d without bias, then a convolution of 1×1 to filters; depthwise [C·multiplier, "
           "1, kh, "
           "kw], pointwise [filters, C·multiplier, 1, 1], bias [filters]",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(FILTERS_FIELD, KERNEL_FIELDS(2, "height and width"), MULTIPLIER_FIELD, REST_FIELDS),
    .options_size = sizeof(conv_options),
    .build = build_separable,
};
