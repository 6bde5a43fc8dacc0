/* layer_fields.h: fields of options that several files of layers have, and their padding by word. */
#ifndef GLIA_TRAIN_LAYER_FIELDS_H
#define GLIA_TRAIN_LAYER_FIELDS_H

#include "train/layer.h"

/* One number for each side of a window, or one for all. */
#define GLIA_SIDES_FIELD(type, member, sides, initial_text, low, high, text)                                 \
    {                                                                                                        \
        .name = #member, .kind = GLIA_FIELD_INTS, .offset = offsetof(type, member), .initial = initial_text, \
        .doc = text, .count = sides, .min = low, .max = high                                                 \
    }
#define GLIA_COUNT_FIELD(type, member, initial_text, text)                                                  \
    {                                                                                                       \
        .name = #member, .kind = GLIA_FIELD_INT, .offset = offsetof(type, member), .initial = initial_text, \
        .doc = text, .min = 1, .max = 1 << 20                                                               \
    }
#define GLIA_TEXT_FIELD(type, member, initial_text, text)                             \
    {                                                                                 \
        .name = #member, .kind = GLIA_FIELD_STRING, .offset = offsetof(type, member), \
        .initial = initial_text, .doc = text                                          \
    }

/* The ops' padding (0 valid, 1 same) by its word; false with an error in the graph when there is none. */
bool glia__layer_padding(const glia_layer_build *b, const char *word, int *out);

#endif
