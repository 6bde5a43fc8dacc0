/* layers_gate.c: activations that are more than a function of one number: prelu, with a slope that is learned, and gates. */

#include "glia/ops.h"
#include "train/layer_fields.h"
#include "train/model.h"

/* --- prelu --------------------------------------------------------------------------------------------------------- */

typedef struct prelu_options {
    glia_bool shared;
    const char *initializer;
} prelu_options;

static glia_value *build_prelu(const glia_layer_build *b, const void *options) {
    const prelu_options *o = options;
    const glia_shape x = glia_value_shape(b->inputs[0]);
    if (x.rank < 2) return glia__layer_fail(b, GLIA_BAD_SHAPE, "expects examples with channels [N, C, …]");
    const int64_t slopes = o->shared == GLIA_YES ? 1 : x.dim[1];
    glia_value *weight = glia_model_param(b->model, "weight", GLIA_SHAPE(slopes), o->initializer, 1, 1);
    glia_reshape_attrs wide = {.shape = {.rank = x.rank - 1, .dim = {slopes}}};
    for (int d = 1; d < wide.shape.rank; d++) wide.shape.dim[d] = 1;
    if (!weight) return NULL;
    return glia_op_prelu(b->inputs[0], x.rank > 2 ? glia_op_reshape(weight, wide) : weight);
}

GLIA_LAYER(prelu) = {
    .name = "prelu",
    .doc = "[N, C, …] → same: y = x where x > 0, else weight·x; weight [C], or [1] (He et al., ICCV 2015)",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS({.name = "shared",
                           .kind = GLIA_FIELD_BOOL,
                           .offset = offsetof(prelu_options, shared),
                           .initial = "no",
                           .doc = "one slope for all channels"},
                          GLIA_TEXT_FIELD(prelu_options, initializer, "constant:0.25",
                                          "how the slope begins")),
    .options_size = sizeof(prelu_options),
    .build = build_prelu,
};

/* --- gates --------------------------------------------------------------------------------------------------------- */

typedef struct gate_options {
    int64_t axis;
} gate_options;

/* The two halves of the input along an axis of the example; false with an error in the graph. */
static bool halves_of(const glia_layer_build *b, const gate_options *o, glia_value **halves) {
    const glia_shape shape = glia_value_shape(b->inputs[0]);
    const int rank = shape.rank - 1;
    int axis;
    char text[96];
    if (!glia__axis_resolve(o->axis, rank, &axis)) {
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "halves axis %lld, but an example of %s has axes 0 to %d",
                               (long long)o->axis, glia__example_text(b->inputs[0], text, sizeof text),
                               rank - 1);
        return false;
    }
    axis++; /* behind that of the batch */
    const int64_t half = shape.dim[axis] / 2;
    if (shape.dim[axis] % 2) {
        (void)glia__layer_fail(
            b, GLIA_BAD_SHAPE, "halves an axis of %lld numbers, of examples of %s; it must be even",
            (long long)shape.dim[axis], glia__example_text(b->inputs[0], text, sizeof text));
        return false;
    }
    return glia_op_split(b->inputs[0], axis, (int64_t[]){half, half}, 2, halves) != NULL;
}

static glia_value *build_glu(const glia_layer_build *b, const void *options) {
    glia_value *halves[2];
    return halves_of(b, options, halves) ? glia_op_mul(halves[0], glia_op_sigmoid(halves[1])) : NULL;
}

static glia_value *build_swiglu(const glia_layer_build *b, const void *options) {
    glia_value *halves[2];
    return halves_of(b, options, halves) ? glia_op_mul(glia_op_silu(halves[0]), halves[1]) : NULL;
}

#define GATE_LAYER(layer, text)                                                                       \
    {                                                                                                 \
        .name = #layer, .doc = text, .min_inputs = 1, .max_inputs = 1, .keeps_steps = true,           \
        .fields = GLIA_FIELDS(                                                                        \
            {.name = "axis",                                                                          \
             .kind = GLIA_FIELD_INT,                                                                  \
             .offset = offsetof(gate_options, axis),                                                  \
             .initial = "-1",                                                                         \
             .doc = "of an example, which is halved; 0: channels; negative ones count from the last", \
             .min = -GLIA_MAX_RANK,                                                                   \
             .max = GLIA_MAX_RANK}),                                                                  \
        .options_size = sizeof(gate_options), .shorthand = "axis", .build = build_##layer             \
    }

GLIA_LAYER(glu) = GATE_LAYER(
    glu,
    "y = a·sigmoid(b), a and b the halves of x along an axis: 2·n → n numbers (Dauphin et al., ICML 2017)");
GLIA_LAYER(swiglu) = GATE_LAYER(
    swiglu,
    "y = silu(a)·b, a and b the halves of x along an axis: 2·n → n numbers (Shazeer, arXiv:2002.05202)");
