/* layers_recurrent.c: layers that read sequences step by step: rnn, lstm, gru. */

#include <math.h>
#include <stdio.h>

#include "glia/ops.h"
#include "train/layer.h"

typedef glia_value *recurrent_op(glia_recurrent_inputs inputs, glia_recurrent_attrs attrs);

/* One direction: its parameters, named as PyTorch's but for the number of a stack's layer, and the op. */
static glia_value *build_direction(const glia_layer_build *b, const glia_recurrent_options *o,
                                   recurrent_op *op, int64_t gates, bool reverse) {
    glia_value *x = b->inputs[0];
    const int64_t in = glia_value_shape(x).dim[2], width = gates * o->units;
    char name[32], begin[32];
    glia_value *params[4];
    const struct {
        const char *name;
        glia_shape shape;
    } wanted[] = {{"weight_ih", GLIA_SHAPE(width, in)},
                  {"weight_hh", GLIA_SHAPE(width, o->units)},
                  {"bias_ih", GLIA_SHAPE(width)},
                  {"bias_hh", GLIA_SHAPE(width)}};
    snprintf(begin, sizeof begin, "uniform:%.9g", 1 / sqrt((double)o->units));
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", wanted[i].name, reverse ? "_reverse" : "");
        params[i] = glia_model_param(b->model, name, wanted[i].shape, begin, in, o->units);
        if (!params[i]) return NULL;
    }
    glia_recurrent_inputs inputs = {.x = x,
                                    .w = params[0],
                                    .r = params[1],
                                    .b = glia_op_concat(&params[2], 2, (glia_concat_attrs){.axis = 0}),
                                    .lengths = b->n_inputs > 1 ? b->inputs[1] : glia__layer_lengths(b, x)};
    glia_recurrent_attrs attrs = {
        .reverse = reverse ? GLIA_YES : GLIA_NO, .reset_after = GLIA_YES, .activation = o->activation};
    glia_value *y = op(inputs, attrs);
    return o->return_sequences == GLIA_YES ? y : glia_value_sibling(y, 1);
}

static glia_value *build_recurrent(const glia_layer_build *b, const glia_recurrent_options *o,
                                   recurrent_op *op, int64_t gates) {
    const glia_shape shape = glia_value_shape(b->inputs[0]);
    char text[96];
    if (shape.rank != 3 || shape.dim[1] == 0 || shape.dim[2] < 1)
        return glia__layer_fail(b, GLIA_BAD_SHAPE,
                                "expects a sequence of vectors per example (steps×numbers), got %s",
                                glia__example_text(b->inputs[0], text, sizeof text));
    glia_value *forward = build_direction(b, o, op, gates, false);
    if (!forward || o->bidirectional != GLIA_YES) return forward;
    glia_value *both[] = {forward, build_direction(b, o, op, gates, true)};
    return both[1] ? glia_op_concat(both, 2, (glia_concat_attrs){.axis = glia_value_shape(forward).rank - 1})
                   : NULL;
}

static glia_value *build_rnn(const glia_layer_build *b, const void *options) {
    return build_recurrent(b, options, glia_op_rnn, 1);
}

static glia_value *build_lstm(const glia_layer_build *b, const void *options) {
    return build_recurrent(b, options, glia_op_lstm, 4);
}

static glia_value *build_gru(const glia_layer_build *b, const void *options) {
    return build_recurrent(b, options, glia_op_gru, 3);
}

/* clang-format off */
#define COMMON_FIELDS                                                                               \
    {.name = "units",                                                                               \
     .kind = GLIA_FIELD_INT,                                                                        \
     .offset = offsetof(glia_recurrent_options, units),                                             \
     .doc = "numbers in the state, H",                                                              \
     .min = 1,                                                                                      \
     .max = 1 << 20},                                                                               \
    {.name = "return_sequences",                                                                    \
     .kind = GLIA_FIELD_BOOL,                                                                       \
     .offset = offsetof(glia_recurrent_options, return_sequences),                                  \
     .initial = "no",                                                                               \
     .doc = "the state after every step, [N, T, H], instead of the last, [N, H]"},                  \
    {.name = "bidirectional",                                                                       \
     .kind = GLIA_FIELD_BOOL,                                                                       \
     .offset = offsetof(glia_recurrent_options, bidirectional),                                     \
     .initial = "no",                                                                               \
     .doc = "a second state goes from the last step to the first; both side by side: 2·H numbers"}
/* clang-format on */
static const glia_field rnn_fields[] = {COMMON_FIELDS,
                                        {.name = "activation",
                                         .kind = GLIA_FIELD_CHOICE,
                                         .offset = offsetof(glia_recurrent_options, activation),
                                         .initial = "tanh",
                                         .choices = "tanh|relu",
                                         .doc = "of the new state"},
                                        {.name = NULL}};
static const glia_field gated_fields[] = {COMMON_FIELDS, {.name = NULL}};

#define PARAMETERS                                                                                            \
    "weight_ih [gates·H, in], weight_hh [gates·H, H], bias_ih and bias_hh [gates·H], and the same with "   \
    "_reverse; "                                                                                              \
    "all begin uniform in ±1/√H. A second input, lengths [N], ends sequences early, as padding does that " \
    "an "                                                                                                     \
    "embedding masks"

GLIA_LAYER(rnn) = {
    .name = "rnn",
    .doc = "h ← tanh(x·Wᵀ + h·Rᵀ + b) over the steps of a sequence: [N, T, in] → [N, H]; " PARAMETERS,
    .min_inputs = 1,
    .max_inputs = 2,
    .keeps_steps = true,
    .fields = rnn_fields,
    .options_size = sizeof(glia_recurrent_options),
    .shorthand = "units",
    .build = build_rnn,
};

GLIA_LAYER(lstm) = {
    .name = "lstm",
    .doc = "c ← σ(f)·c + σ(i)·tanh(g), h ← σ(o)·tanh(c) over the steps of a sequence: [N, T, in] → [N, H]; "
           "gates i, f, "
           "g, o = x·Wᵀ + h·Rᵀ + b; " PARAMETERS,
    .min_inputs = 1,
    .max_inputs = 2,
    .keeps_steps = true,
    .fields = gated_fields,
    .options_size = sizeof(glia_recurrent_options),
    .shorthand = "units",
    .build = build_lstm,
};

GLIA_LAYER(gru) = {
    .name = "gru",
    .doc = "h ← (1 − z)·n + z·h over the steps of a sequence: [N, T, in] → [N, H]; gates r, z = σ(x·Wᵀ + "
           "h·Rᵀ + b), n = "
           "tanh(x·Wᵀ + b + r·(h·Rᵀ + b)); " PARAMETERS,
    .min_inputs = 1,
    .max_inputs = 2,
    .keeps_steps = true,
    .fields = gated_fields,
    .options_size = sizeof(glia_recurrent_options),
    .shorthand = "units",
    .build = build_gru,
};

static glia_value *apply(const glia_layer_def *def, glia_value *x, glia_recurrent_options options) {
    glia_value *inputs[] = {x, options.lengths};
    return glia__layer_apply(NULL, def, options.name, inputs, options.lengths ? 2 : 1, &options, false);
}

glia_value *glia_rnn_with(glia_value *x, glia_recurrent_options options) {
    return apply(&glia__layer_def_rnn, x, options);
}

glia_value *glia_lstm_with(glia_value *x, glia_recurrent_options options) {
    return apply(&glia__layer_def_lstm, x, options);
}

glia_value *glia_gru_with(glia_value *x, glia_recurrent_options options) {
    return apply(&glia__layer_def_gru, x, options);
}
