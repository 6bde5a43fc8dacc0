/* layers_attention.h: the inputs of layers that attend. */
#ifndef GLIA_TRAIN_LAYERS_ATTENTION_H
#define GLIA_TRAIN_LAYERS_ATTENTION_H

#include "train/layer.h"

/* A layer's inputs are known by their types: NULL where there is none. */
typedef struct glia_attention_inputs {
    glia_value *x;       /* [N, T, C] */
    glia_value *memory;  /* another sequence that is looked at, [N, S, C'] */
    glia_value *mask;    /* what is seen of the keys: bool [N, S], [N, T, S] or [N, heads, T, S] */
    glia_value *lengths; /* of the keys, i64 or i32 [N] */
} glia_attention_inputs;

/* False, with an error that names the layer, when they do not suit. */
bool glia__attention_inputs(const glia_layer_build *b, glia_attention_inputs *out);

#define GLIA_ATTENTION_DROPOUT_FIELD(type)                                                                  \
    {                                                                                                       \
        .name = "attention_dropout", .kind = GLIA_FIELD_FLOAT, .offset = offsetof(type, attention_dropout), \
        .initial = "0", .min = 0, .max = 0.99,                                                              \
        .doc = "share of the weights of attention, after the softmax, that is dropped while training"       \
    }

#endif
