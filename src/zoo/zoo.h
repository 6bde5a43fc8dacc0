/* zoo.h: what the networks of src/zoo share. Each is one GLIA_LAYER block with `network` set, made of the layers that a
 * program in C would use; layers are called as in torchvision, so that weights from there are found by name. */
#ifndef GLIA_ZOO_ZOO_H
#define GLIA_ZOO_ZOO_H

#include "train/layer_fields.h"
#include "train/model.h"

/* Layers are called "name.…" until glia_scope_end. */
void glia__zoo_begin(glia_value *x, const char *format, ...) GLIA_PRINTF(2, 3);

/* A convolution without bias, called `conv` and padded so that steps of 1 keep the size, and batch normalisation with an
 * activation (NULL: none), called `norm`. */
glia_value *glia__zoo_conv_norm(glia_value *x, const char *conv, const char *norm, int64_t filters,
                                int64_t kernel, int64_t stride, int64_t groups, const char *activation);

int64_t glia__zoo_channels(const glia_value *x);
/* Whether an example is an image, else an error. */
bool glia__zoo_image(const glia_layer_build *b);

#define GLIA_ZOO_COUNT(type, member, initial_text, text)                                                    \
    {                                                                                                       \
        .name = #member, .kind = GLIA_FIELD_INT, .offset = offsetof(type, member), .initial = initial_text, \
        .doc = text, .min = 1, .max = 1 << 24                                                               \
    }
#define GLIA_ZOO_CLASSES(type)                                                                           \
    {                                                                                                    \
        .name = "classes", .kind = GLIA_FIELD_INT, .offset = offsetof(type, classes), .initial = "1000", \
        .doc = "numbers in the result, before a softmax", .min = 1, .max = 1 << 24                       \
    }

#endif
