/* layers_recurrent.c: layers that read sequences step by step, rnn, lstm and gru, and their cells, which take one step. */

#include <math.h>
#include <stdio.h>

#include "glia/ops.h"
#include "train/model.h"

typedef glia_value *recurrent_op(glia_recurrent_inputs inputs, glia_recurrent_attrs attrs);

/* What tells rnn, lstm and gru apart. */
typedef struct family {
    recurrent_op *op;
    int gates, states; /* states: h, and of lstm c */
} family;

static const family rnn = {glia_op_rnn, 1, 1}, lstm = {glia_op_lstm, 4, 2}, gru = {glia_op_gru, 3, 1};
static const char *const state_names[] = {"h", "c"};

/* A layer while it is built. States are [N, directions · units of every layer], those of the first layer first. */
typedef struct recurrent {
    const glia_layer_build *b;
    const glia_recurrent_options *o;
    const family *f;
    glia_value *lengths;
    bool padding; /* the lengths are what padding leaves, which may be nothing */
    glia_value *first[2], *last[2];
    int64_t state; /* numbers in a state */
} recurrent;

/* --- inputs ------------------------------------------------------------------------------------------------ */

static bool whole_number(const glia_value *x) {
    return glia_value_dtype(x) == GLIA_I64 || glia_value_dtype(x) == GLIA_I32;
}

static bool is_state(const recurrent *r, const glia_value *x) {
    const glia_shape shape = glia_value_shape(x), of = glia_value_shape(r->b->inputs[0]);
    return glia_value_dtype(x) == GLIA_F32 && shape.rank == 2 && shape.dim[0] == of.dim[0] &&
           shape.dim[1] == r->state;
}

/* The inputs behind the first: lengths, where sequences have any, then the states that the layer begins with. */
static bool find_inputs(recurrent *r, bool lengths) {
    const glia_layer_build *b = r->b;
    char text[96];
    int states = 0;
    for (int i = 1; i < b->n_inputs; i++) {
        glia_value *x = b->inputs[i];
        const glia_shape shape = glia_value_shape(x), of = glia_value_shape(b->inputs[0]);
        const char *type = glia_dtype_name(glia_value_dtype(x));
        const char *found = shape.rank > 0 && shape.dim[0] != of.dim[0]
                                ? "another batch"
                                : glia__example_text(x, text, sizeof text);
        if (lengths && !states && !r->lengths && (whole_number(x) || x == r->o->lengths)) {
            if (whole_number(x) && shape.rank == 1 && shape.dim[0] == of.dim[0]) {
                r->lengths = x;
                continue;
            }
            (void)glia__layer_fail(b, GLIA_BAD_SHAPE,
                                   "expects lengths as one whole number (i64) per sequence, got %s of %s",
                                   type, found);
            return false;
        }
        if (states == r->f->states) {
            (void)glia__layer_fail(b, GLIA_INVALID_ARGUMENT,
                                   "has no use for its input %d, %s of %s per example: it takes %s%s%s",
                                   i + 1, type, found, lengths ? "sequences, lengths (i64) and " : "x and ",
                                   "a state h", r->f->states > 1 ? " and c" : "");
            return false;
        }
        if (!is_state(r, x)) {
            (void)glia__layer_fail(b, GLIA_BAD_SHAPE,
                                   "expects a state %s of %lld numbers (f32) per example, got %s of %s",
                                   state_names[states], (long long)r->state, type, found);
            return false;
        }
        r->first[states++] = x;
    }
    return true;
}

/* --- one layer in one direction ------------------------------------------------------------------------------ */

/* Parameters are named as PyTorch's, without the number of the layer where there is but one. */
static bool make_params(const recurrent *r, int64_t in, int layer, bool reverse, glia_recurrent_inputs *out) {
    const glia_recurrent_options *o = r->o;
    const int64_t width = r->f->gates * o->units;
    const int count = o->use_bias == GLIA_NO ? 2 : 4;
    const struct {
        const char *name;
        glia_shape shape;
    } wanted[] = {{"weight_ih", GLIA_SHAPE(width, in)},
                  {"weight_hh", GLIA_SHAPE(width, o->units)},
                  {"bias_ih", GLIA_SHAPE(width)},
                  {"bias_hh", GLIA_SHAPE(width)}};
    char name[48], number[24] = "", begin[32];
    glia_value *params[4];
    if (o->layers > 1) snprintf(number, sizeof number, "_l%d", layer);
    snprintf(begin, sizeof begin, "uniform:%.9g", 1 / sqrt((double)o->units));
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s%s%s", wanted[i].name, number, reverse ? "_reverse" : "");
        params[i] = glia_model_param(r->b->model, name, wanted[i].shape, begin, in, o->units);
        if (!params[i]) return false;
    }
    out->w = params[0];
    out->r = params[1];
    out->b = count > 2 ? glia_op_concat(&params[2], 2, (glia_concat_attrs){.axis = 0}) : NULL;
    return true;
}

static glia_value *joined(glia_value *a, glia_value *b) {
    if (!a || !b) return a ? a : b;
    glia_value *both[] = {a, b};
    return glia_op_concat(both, 2, (glia_concat_attrs){.axis = glia_value_shape(a).rank - 1});
}

/* The states after every step; the last ones are joined to r->last. */
static glia_value *add_direction(recurrent *r, glia_value *x, int layer, bool second) {
    const glia_recurrent_options *o = r->o;
    const int64_t at = (layer * (o->bidirectional == GLIA_YES ? 2 : 1) + second) * o->units;
    glia_recurrent_inputs in = {.x = x, .lengths = r->lengths};
    glia_value **first[] = {&in.h0, &in.c0};
    for (int k = 0; k < r->f->states; k++)
        if (r->first[k])
            *first[k] = r->state == o->units
                            ? r->first[k]
                            : glia_op_slice(r->first[k],
                                            (glia_slice_attrs){.axis = 1, .start = at, .end = at + o->units});
    if (!make_params(r, glia_value_shape(x).dim[2], layer, second, &in)) return NULL;
    glia_value *y =
        r->f->op(in, (glia_recurrent_attrs){.reverse = second || o->reverse == GLIA_YES ? GLIA_YES : GLIA_NO,
                                            .reset_after = GLIA_YES,
                                            .activation = o->activation,
                                            .allow_empty = r->padding ? GLIA_YES : GLIA_NO});
    for (int k = 0; k < r->f->states; k++) r->last[k] = joined(r->last[k], glia_value_sibling(y, 1 + k));
    return y;
}

/* The states that the layer ends with are results that others can read: "encoder.h", "encoder.c". */
static void give_states(const recurrent *r) {
    for (int k = 0; k < r->f->states; k++) glia__layer_set_result(r->b, state_names[k], r->last[k]);
}

/* --- layers -------------------------------------------------------------------------------------------------- */

static bool check_sequences(const recurrent *r) {
    const glia_shape shape = glia_value_shape(r->b->inputs[0]);
    char text[96];
    if (shape.rank != 3 || shape.dim[2] < 1)
        (void)glia__layer_fail(r->b, GLIA_BAD_SHAPE,
                               "expects a sequence of vectors per example (steps×numbers), got %s",
                               glia__example_text(r->b->inputs[0], text, sizeof text));
    else if (shape.dim[1] == 0)
        (void)glia__layer_fail(r->b, GLIA_BAD_SHAPE, "expects sequences of at least one step, got %s",
                               glia__example_text(r->b->inputs[0], text, sizeof text));
    else if (r->o->stateful == GLIA_YES && (r->o->reverse == GLIA_YES || r->o->bidirectional == GLIA_YES))
        (void)glia__layer_fail(r->b, GLIA_INVALID_ARGUMENT,
                               "is stateful: it reads forward, as the next batch comes later");
    else if (r->o->reverse == GLIA_YES && r->o->bidirectional == GLIA_YES)
        (void)glia__layer_fail(r->b, GLIA_INVALID_ARGUMENT,
                               "reads in both directions when it is bidirectional; leave reverse out");
    else
        return true;
    return false;
}

/* A stateful layer begins with what it ended with. */
static bool make_sources(recurrent *r) {
    for (int k = 0; k < r->f->states && r->o->stateful == GLIA_YES; k++) {
        if (r->first[k])
            (void)glia__layer_fail(
                r->b, GLIA_INVALID_ARGUMENT,
                "is stateful: it begins with the state that it ended with, and takes none");
        else
            r->first[k] = glia__layer_state_source(r->b, state_names[k], r->state);
        if (glia_graph_status(r->b->graph, NULL) != GLIA_OK) return false;
    }
    return true;
}

static glia_value *build_layers(const glia_layer_build *b, const void *options, const family *f) {
    const glia_recurrent_options *o = options;
    const bool both = o->bidirectional == GLIA_YES;
    recurrent r = {.b = b, .o = o, .f = f, .state = o->layers * (both ? 2 : 1) * o->units};
    glia_value *x = b->inputs[0], *last = NULL;
    if (!check_sequences(&r) || !find_inputs(&r, true) || !make_sources(&r)) return NULL;
    if (!r.lengths) {
        r.lengths = glia__layer_lengths(b, x);
        r.padding = r.lengths != NULL;
    }
    for (int layer = 0; layer < o->layers && x; layer++) {
        if (layer && o->dropout > 0) x = glia_op_dropout(x, (glia_dropout_attrs){.rate = o->dropout});
        glia_value *forward = add_direction(&r, x, layer, false);
        glia_value *backward = both && forward ? add_direction(&r, x, layer, true) : NULL;
        if (!forward || (both && !backward)) return NULL;
        x = joined(forward, backward);
        last = joined(glia_value_sibling(forward, 1), backward ? glia_value_sibling(backward, 1) : NULL);
    }
    give_states(&r);
    for (int k = 0; k < f->states && o->stateful == GLIA_YES; k++)
        glia__layer_carry(b, r.first[k], r.last[k]);
    return o->return_sequences == GLIA_YES ? x : last;
}

/* One step: a sequence of one. */
static glia_value *build_cell(const glia_layer_build *b, const void *options, const family *f) {
    const glia_recurrent_options *o = options;
    const glia_shape shape = glia_value_shape(b->inputs[0]);
    recurrent r = {.b = b, .o = o, .f = f, .state = o->units};
    char text[96];
    if (shape.rank != 2 || shape.dim[1] < 1)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "expects a vector per example (numbers), got %s",
                                glia__example_text(b->inputs[0], text, sizeof text));
    if (!find_inputs(&r, false)) return NULL;
    glia_value *x = glia_op_unsqueeze(b->inputs[0], (glia_squeeze_attrs){.axes = GLIA_SHAPE(1)});
    if (!add_direction(&r, x, 0, false)) return NULL;
    give_states(&r);
    return r.last[0];
}

#define BUILD(f)                                                                          \
    static glia_value *build_##f(const glia_layer_build *b, const void *options) {        \
        return build_layers(b, options, &f);                                              \
    }                                                                                     \
    static glia_value *build_##f##_cell(const glia_layer_build *b, const void *options) { \
        return build_cell(b, options, &f);                                                \
    }
BUILD(rnn)
BUILD(lstm)
BUILD(gru)

#define BOOL_FIELD(member, initial_text, text)                                                        \
    {                                                                                                 \
        .name = #member, .kind = GLIA_FIELD_BOOL, .offset = offsetof(glia_recurrent_options, member), \
        .initial = initial_text, .doc = text                                                          \
    }
#define UNITS_FIELD                                                                                 \
    {                                                                                               \
        .name = "units", .kind = GLIA_FIELD_INT, .offset = offsetof(glia_recurrent_options, units), \
        .doc = "numbers in the state, H", .min = 1, .max = 1 << 20                                  \
    }
#define BIAS_FIELD BOOL_FIELD(use_bias, "yes", "whether biases are added")
#define ACTIVATION_FIELD                                                                                   \
    {                                                                                                      \
        .name = "activation", .kind = GLIA_FIELD_CHOICE,                                                   \
        .offset = offsetof(glia_recurrent_options, activation), .initial = "tanh", .choices = "tanh|relu", \
        .doc = "of the new state"                                                                          \
    }
#define LAYER_FIELDS                                                                                       \
    UNITS_FIELD,                                                                                           \
        {.name = "layers",                                                                                 \
         .kind = GLIA_FIELD_INT,                                                                           \
         .offset = offsetof(glia_recurrent_options, layers),                                               \
         .initial = "1",                                                                                   \
         .doc = "one on top of the other: each reads the states of the one before after every step",       \
         .min = 1,                                                                                         \
         .max = 64},                                                                                       \
        {.name = "dropout",                                                                                \
         .kind = GLIA_FIELD_FLOAT,                                                                         \
         .offset = offsetof(glia_recurrent_options, dropout),                                              \
         .initial = "0",                                                                                   \
         .doc = "share that is dropped between layers while training",                                     \
         .min = 0,                                                                                         \
         .max = 0.99},                                                                                     \
        BOOL_FIELD(return_sequences, "no",                                                                 \
                   "the state after every step, [N, T, H], instead of the last, [N, H]"),                  \
        BOOL_FIELD(bidirectional, "no",                                                                    \
                   "a second state goes from the last step to the first; both side by side: 2·H numbers"), \
        BOOL_FIELD(reverse, "no", "from the last step to the first; states stay at their steps"),          \
        BIAS_FIELD, BOOL_FIELD(stateful, "no", STATEFUL)
#define STATEFUL                                                                                        \
    "a batch begins with the state that the one before ended with, row by row; epochs and evaluations " \
    "begin with 0. Examples then come in order, cut in as many stretches as a batch has rows; with "    \
    "train.shuffle: no as they are. They are to follow one another: the stride of a series is its length"

#define PARAMETERS                                                                                      \
    "weight_ih [gates·H, in], weight_hh [gates·H, H], bias_ih and bias_hh [gates·H], the same with " \
    "_reverse, and of several layers with _l0, _l1 …; all begin uniform in ±1/√H. "
#define FURTHER_INPUTS                                                                                    \
    "Further inputs: lengths, whole numbers [N] from 1 to T, which end sequences early, as padding does " \
    "that an embedding masks; then the state that it begins with (else 0), "

static const glia_field rnn_fields[] = {LAYER_FIELDS, ACTIVATION_FIELD, {.name = NULL}};
static const glia_field gated_fields[] = {LAYER_FIELDS, {.name = NULL}};
static const glia_field rnn_cell_fields[] = {UNITS_FIELD, BIAS_FIELD, ACTIVATION_FIELD, {.name = NULL}};
static const glia_field cell_fields[] = {UNITS_FIELD, BIAS_FIELD, {.name = NULL}};

#define RECURRENT_LAYER(layer, steps_, fields_, results_, inputs_, doc_)                          \
    {                                                                                             \
        .name = #layer, .doc = doc_, .min_inputs = 1, .max_inputs = inputs_, .results = results_, \
        .keeps_steps = steps_, .fields = fields_, .options_size = sizeof(glia_recurrent_options), \
        .shorthand = "units", .build = build_##layer                                              \
    }

GLIA_LAYER(rnn) = RECURRENT_LAYER(
    rnn, true, rnn_fields, "h", 3,
    "h ← tanh(x·Wᵀ + h·Rᵀ + b) over the steps of a sequence: [N, T, in] → [N, H]; " PARAMETERS FURTHER_INPUTS
    "h [N, H·directions·layers]");
GLIA_LAYER(lstm) = RECURRENT_LAYER(
    lstm, true, gated_fields, "h|c", 4,
    "c ← σ(f)·c + σ(i)·tanh(g), h ← σ(o)·tanh(c) over the steps of a sequence: [N, T, in] → [N, H]; gates i, "
    "f, g, o = x·Wᵀ + h·Rᵀ + b; " PARAMETERS FURTHER_INPUTS "h, and c, [N, H·directions·layers]");
GLIA_LAYER(gru) = RECURRENT_LAYER(
    gru, true, gated_fields, "h", 3,
    "h ← (1 − z)·n + z·h over the steps of a sequence: [N, T, in] → [N, H]; gates r, z = σ(x·Wᵀ + h·Rᵀ + b), "
    "n = tanh(x·Wᵀ + b + r·(h·Rᵀ + b)); " PARAMETERS FURTHER_INPUTS "h [N, H·directions·layers]");
GLIA_LAYER(rnn_cell) = RECURRENT_LAYER(
    rnn_cell, false, rnn_cell_fields, "h", 2,
    "one step of rnn: x [N, in] and the state h [N, H] (without one: 0) → the next h; parameters as rnn's. "
    "Further steps with the same weights: `share`");
GLIA_LAYER(lstm_cell) = RECURRENT_LAYER(
    lstm_cell, false, cell_fields, "h|c", 3,
    "one step of lstm: x [N, in] and the state h, c [N, H] (without one: 0) → the next h; parameters as "
    "lstm's. Further steps with the same weights: `share`");
GLIA_LAYER(gru_cell) = RECURRENT_LAYER(
    gru_cell, false, cell_fields, "h", 2,
    "one step of gru: x [N, in] and the state h [N, H] (without one: 0) → the next h; parameters as gru's. "
    "Further steps with the same weights: `share`");

/* --- from C -------------------------------------------------------------------------------------------------- */

static glia_value *apply(const glia_layer_def *def, glia_value *x, const glia_recurrent_options *o) {
    glia_value *inputs[4] = {x}, *const further[] = {o->lengths, o->h, o->c};
    int count = 1;
    if (o->c && !o->h)
        return glia_graph_fail(glia_value_graph(x), GLIA_INVALID_ARGUMENT, o->name,
                               "%s: a state that begins with c begins with h too", def->name);
    for (int i = 0; i < 3; i++)
        if (further[i]) inputs[count++] = further[i];
    return glia__layer_apply(NULL, def, o->name, inputs, count, o, false);
}

#define FROM_C(layer)                                                          \
    glia_value *glia_##layer##_with(glia_value *x, glia_recurrent_options o) { \
        return apply(&glia__layer_def_##layer, x, &o);                         \
    }
FROM_C(rnn)
FROM_C(lstm)
FROM_C(gru)
FROM_C(rnn_cell)
FROM_C(lstm_cell)
FROM_C(gru_cell)
