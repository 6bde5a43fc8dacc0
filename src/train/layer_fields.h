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

#define GLIA_PADDING_DOC "valid, same, or zeros before and after each side as in PyTorch: 1 or 1,2"

/* The ops' padding and pads by its word or numbers, for windows of so many sides; false with an error in the graph when
 * it is none. */
bool glia__layer_padding(const glia_layer_build *b, const char *word, int sides, int *padding, int64_t *pads);

#endif
