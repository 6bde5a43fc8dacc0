/* layers_position.c: what tells a network where in a sequence it is. */

#include <math.h>

#include "glia/ops.h"
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

static glia_value *build_positions(const glia_layer_build *b, const void *options) {
    const position_options *o = options;
    glia_value *x = b->inputs[0];
    const glia_shape shape = glia_value_shape(x);
    char text[96];
    if (shape.rank != 3 || shape.dim[1] < 1 || shape.dim[2] < 1)
        return glia__layer_fail(b, GLIA_BAD_SHAPE,
                                "expects a sequence of vectors per example (steps×width), got %s",
                                glia__example_text(x, text, sizeof text));
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
