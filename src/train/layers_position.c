/* layers_position.c: what tells a network where in a sequence it is. */

#include <math.h>

#include "glia/ops.h"
#include "train/layers_position.h"
#include "train/model.h"

typedef struct position_options {
    int64_t length;
    int kind; /* 0 learned, 1 sinusoidal */
    const char *initializer;
} position_options;

/* sin(t·10000^(−2i/C)) in place 2i of row t, the cosine behind it. */
static glia_value *waves(const glia_layer_build *b, int64_t steps, int64_t width) {
    float *table = glia__arena_alloc(&b->model->arena, (size_t)(steps * width) * sizeof *table);
    if (!table) return glia_graph_fail(b->graph, GLIA_OUT_OF_MEMORY, b->name, "out of memory");
    for (int64_t t = 0; t < steps; t++)
        for (int64_t c = 0; c < width; c++) {
            const double angle = (double)t * pow(10000, -(double)(c / 2 * 2) / (double)width);
            table[t * width + c] = (float)(c % 2 ? cos(angle) : sin(angle));
        }
    const glia_tensor wrapped = glia_tensor_wrap(table, GLIA_F32, GLIA_SHAPE(steps, width));
    return glia_graph_const(b->graph, &wrapped);
}

/* Whether it is [N, T, C] with known sizes; else an error. */
static bool is_sequence(const glia_layer_build *b, const glia_value *x) {
    const glia_shape shape = glia_value_shape(x);
    char text[96];
    if (shape.rank == 3 && shape.dim[1] >= 1 && shape.dim[2] >= 1) return true;
    (void)glia__layer_fail(b, GLIA_BAD_SHAPE,
                           "expects a sequence of vectors per example (steps×width), got %s",
                           glia__example_text(x, text, sizeof text));
    return false;
}

static glia_value *build_positions(const glia_layer_build *b, const void *options) {
    const position_options *o = options;
    glia_value *x = b->inputs[0];
    const glia_shape shape = glia_value_shape(x);
    if (!is_sequence(b, x)) return NULL;
    const int64_t steps = shape.dim[1], width = shape.dim[2];
    if (o->kind) return glia_op_add(x, waves(b, steps, width));
    const int64_t length = o->length ? o->length : steps;
    if (steps > length)
        return glia__layer_fail(
            b, GLIA_BAD_SHAPE,
            "has %lld positions, but a sequence has %lld steps; give it a length of at least %lld",
            (long long)length, (long long)steps, (long long)steps);
    glia_value *weight =
        glia_model_param(b->model, "weight", GLIA_SHAPE(length, width), o->initializer, length, width);
    if (steps < length)
        weight = glia_op_slice(weight, (glia_slice_attrs){.axis = 0, .start = 0, .end = steps, .step = 1});
    return glia_op_add(x, weight);
}

GLIA_LAYER(positional_embedding) = {
    .name = "positional_embedding",
    .doc = "y = x + W[t] for step t: [N, T, C] → same; weight [length, C], or sines and cosines of t "
           "(Vaswani et al., "
           "arXiv:1706.03762)",
    .min_inputs = 1,
    .max_inputs = 1,
    .keeps_steps = true,
    .fields = GLIA_FIELDS({.name = "length",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(position_options, length),
                           .initial = "0",
                           .doc = "positions that are learned, as many as steps or more; 0: as many as steps",
                           .min = 0,
                           .max = 1 << 24},
                          {.name = "kind",
                           .kind = GLIA_FIELD_CHOICE,
                           .offset = offsetof(position_options, kind),
                           .initial = "learned",
                           .choices = "learned|sinusoidal",
                           .doc = "a weight, or fixed waves of sines and cosines"},
                          {.name = "initializer",
                           .kind = GLIA_FIELD_STRING,
                           .offset = offsetof(position_options, initializer),
                           .initial = "normal:0.02",
                           .doc = "how the weight begins"}),
    .options_size = sizeof(position_options),
    .shorthand = "length",
    .build = build_positions,
};

/* --- rotary ---------------------------------------------------------------------------------------------------- */

/* A constant of the graph with these numbers: layers of one kind share theirs. */
static glia_value *constant_of(glia_graph *graph, const glia_tensor *numbers, const char *name) {
    for (size_t i = 0; i < graph->n_values; i++) {
        const glia_type *type = &graph->values[i]->type;
        if (graph->values[i]->kind == GLIA_VALUE_CONST && type->dtype == numbers->dtype &&
            glia_shape_equal(&type->shape, &numbers->shape) &&
            memcmp(graph->values[i]->data, numbers->data, glia_tensor_bytes(numbers)) == 0)
            return graph->values[i];
    }
    glia_value *value = glia_graph_const(graph, numbers);
    if (value) value->name = name; /* files that are exported have it */
    return value;
}

/* Cosines and sines of t·base^(−2i/size), [steps, pairs] each. */
static bool make_angles(const glia_layer_build *b, int64_t steps, int64_t pairs, double base,
                        glia_value *out[2]) {
    const int64_t count = steps * pairs;
    const size_t bytes = (size_t)(2 * count) * sizeof(float);
    float *numbers = glia__alloc(b->model->allocator, bytes);
    if (!numbers) {
        (void)glia_graph_fail(b->graph, GLIA_OUT_OF_MEMORY, b->name, "out of memory");
        return false;
    }
    for (int64_t k = 0; k < count; k++) {
        const double angle = (double)(k / pairs) * pow(base, -(double)(k % pairs) / (double)pairs);
        numbers[k] = (float)cos(angle);
        numbers[count + k] = (float)sin(angle);
    }
    for (int i = 0; i < 2; i++) {
        const glia_tensor wrapped = glia_tensor_wrap(numbers + i * count, GLIA_F32, GLIA_SHAPE(steps, pairs));
        out[i] = constant_of(b->graph, &wrapped, i ? "rotary.sines" : "rotary.cosines");
    }
    glia__free(b->model->allocator, numbers, bytes);
    return out[0] && out[1];
}

glia_value *glia__layer_rotary(const glia_layer_build *b, glia_value *x, int64_t heads, int64_t turned,
                               const glia_rotary_options *o) {
    const glia_shape shape = glia_value_shape(x);
    glia_value *angles[2];
    if (!x || !is_sequence(b, x)) return NULL;
    const int64_t size = shape.dim[2] / heads, turning = o->size ? o->size : size;
    if (turning % 2)
        return glia__layer_fail(b, GLIA_BAD_SHAPE,
                                "turns pairs of numbers, but %lld of a head are to be turned; that must be "
                                "an even number",
                                (long long)turning);
    if (turning > size)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "turns %lld numbers of a head, which has %lld",
                                (long long)turning, (long long)size);
    if (!make_angles(b, shape.dim[1], turning / 2, o->base, angles)) return NULL;
    return glia_op_rotary_embedding(
        x, angles[0], angles[1],
        (glia_rotary_embedding_attrs){.heads = heads, .turned_heads = turned, .interleaved = o->interleaved});
}

typedef struct rotary_layer_options {
    int64_t heads;
    glia_rotary_options rotary;
} rotary_layer_options;

static glia_value *build_rotary(const glia_layer_build *b, const void *options) {
    const rotary_layer_options *o = options;
    glia_value *x = b->inputs[0];
    if (!is_sequence(b, x)) return NULL;
    const int64_t width = glia_value_shape(x).dim[2];
    if (width % o->heads)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "has %lld heads, which do not divide the width of %lld",
                                (long long)o->heads, (long long)width);
    return glia__layer_rotary(b, x, o->heads, o->heads, &o->rotary);
}

GLIA_LAYER(rotary_embedding) = {
    .name = "rotary_embedding",
    .doc =
        "pairs (a, b) of numbers of each head turned by the angle φ of step t and pair i, t·base^(−2i/size): "
        "(a·cos φ − b·sin φ, b·cos φ + a·sin φ): [N, T, C] → same (Su et al., arXiv:2104.09864); of queries "
        "and keys, so that "
        "their products depend on how far apart steps are: see positions of multi_head_attention",
    .min_inputs = 1,
    .max_inputs = 1,
    .keeps_steps = true,
    .fields = GLIA_FIELDS({.name = "heads",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(rotary_layer_options, heads),
                           .initial = "1",
                           .doc = "side by side; they divide the width",
                           .min = 1,
                           .max = 1 << 16},
                          GLIA_ROTARY_FIELDS(rotary_layer_options, rotary, "")),
    .options_size = sizeof(rotary_layer_options),
    .shorthand = "heads",
    .build = build_rotary,
};
