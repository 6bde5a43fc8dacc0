/* layers_noise.c: layers that work while training only, beside dropout: each is its input otherwise, and where it is frozen. */

#include "glia/ops.h"
#include "train/model.h"

typedef struct noise_options {
    double rate; /* gaussian_noise: the deviation */
} noise_options;

static bool is_nothing(const glia_layer_build *b, const noise_options *o) {
    return o->rate == 0 || glia__model_frozen(b->model);
}

static glia_value *build_spatial_dropout(const glia_layer_build *b, const void *options) {
    const noise_options *o = options;
    char text[96];
    if (glia_value_shape(b->inputs[0]).rank < 3)
        return glia__layer_fail(b, GLIA_BAD_SHAPE,
                                "drops whole channels of [N, C, …], but an example is %s; use dropout",
                                glia__example_text(b->inputs[0], text, sizeof text));
    if (is_nothing(b, o)) return b->inputs[0];
    return glia_op_shared_dropout(b->inputs[0], (glia_shared_dropout_attrs){.rate = o->rate, .dims = 2});
}

static glia_value *build_stochastic_depth(const glia_layer_build *b, const void *options) {
    const noise_options *o = options;
    if (is_nothing(b, o)) return b->inputs[0];
    return glia_op_shared_dropout(b->inputs[0], (glia_shared_dropout_attrs){.rate = o->rate, .dims = 1});
}

static glia_value *build_alpha_dropout(const glia_layer_build *b, const void *options) {
    const noise_options *o = options;
    if (is_nothing(b, o)) return b->inputs[0];
    return glia_op_alpha_dropout(b->inputs[0], (glia_dropout_attrs){.rate = o->rate});
}

static glia_value *build_gaussian_noise(const glia_layer_build *b, const void *options) {
    const noise_options *o = options;
    if (is_nothing(b, o)) return b->inputs[0];
    return glia_op_gaussian_noise(b->inputs[0], (glia_gaussian_noise_attrs){.deviation = o->rate});
}

#define NOISE_LAYER(layer, text, option, default_, most, meaning)                           \
    {                                                                                       \
        .name = #layer, .doc = text, .min_inputs = 1, .max_inputs = 1, .keeps_steps = true, \
        .fields = GLIA_FIELDS({.name = option,                                              \
                               .kind = GLIA_FIELD_FLOAT,                                    \
                               .offset = offsetof(noise_options, rate),                     \
                               .initial = default_,                                         \
                               .doc = meaning,                                              \
                               .min = 0,                                                    \
                               .max = most}),                                               \
        .options_size = sizeof(noise_options), .shorthand = option, .build = build_##layer  \
    }

GLIA_LAYER(spatial_dropout) = NOISE_LAYER(spatial_dropout,
                                          "[N, C, …] → same: while training, drops each channel of an "
                                          "example, whole, with probability rate and scales the "
                                          "others by 1/(1 − rate) (Tompson et al., CVPR 2015)",
                                          "rate", "0.5", 0.99,
                                          "share of the channels that is dropped, 0 to 0.99");
GLIA_LAYER(stochastic_depth) =
    NOISE_LAYER(stochastic_depth,
                "[N, …] → same, for a branch before it is added: while training, drops it for an example, "
                "whole, with probability "
                "rate and scales it by 1/(1 − rate) for others (Huang et al., ECCV 2016)",
                "rate", "0.2", 0.99, "share of the examples whose branch is dropped, 0 to 0.99");
GLIA_LAYER(alpha_dropout) =
    NOISE_LAYER(alpha_dropout,
                "while training, sets each element to −1.7581 with probability rate, then scales and shifts "
                "all so that mean 0 and "
                "variance 1 stay: for networks with selu (Klambauer et al., NeurIPS 2017)",
                "rate", "0.1", 0.99, "share of the elements that is set, 0 to 0.99");
GLIA_LAYER(gaussian_noise) = NOISE_LAYER(gaussian_noise,
                                         "y = x + deviation·n while training, with normal numbers n",
                                         "deviation", "0.1", 1e6, "standard deviation of what is added");
