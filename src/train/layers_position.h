/* layers_position.h: rotary positions, for the layers that attend (Su et al., arXiv:2104.09864). */
#ifndef GLIA_TRAIN_LAYERS_POSITION_H
#define GLIA_TRAIN_LAYERS_POSITION_H

#include "train/layer.h"

typedef struct glia_rotary_options {
    int64_t size; /* numbers of a head that are turned; 0: all */
    double base;  /* pair i of step t is turned by t·base^(−2i/size) */
    glia_bool interleaved;
} glia_rotary_options;

/* x [N, T, heads·…] with the first `turned` heads turned; NULL, with an error that names the layer, when they cannot be. */
glia_value *glia__layer_rotary(const glia_layer_build *b, glia_value *x, int64_t heads, int64_t turned,
                               const glia_rotary_options *o);

/* Fields of a glia_rotary_options in `member` of the layer's options, called `prefix`size and so on. */
#define GLIA_ROTARY_FIELDS(type, member, prefix)                                                             \
    {.name = prefix "base",                                                                                  \
     .kind = GLIA_FIELD_FLOAT,                                                                               \
     .offset = offsetof(type, member.base),                                                                  \
     .initial = "10000",                                                                                     \
     .doc = "pair i of step t is turned by t·base^(−2i/size)",                                               \
     .min = 1,                                                                                               \
     .max = 1e12},                                                                                           \
        {.name = prefix "size",                                                                              \
         .kind = GLIA_FIELD_INT,                                                                             \
         .offset = offsetof(type, member.size),                                                              \
         .initial = "0",                                                                                     \
         .doc = "numbers of a head that are turned, an even number; 0: all",                                 \
         .min = 0,                                                                                           \
         .max = 1 << 16},                                                                                    \
    {                                                                                                        \
        .name = prefix "interleaved", .kind = GLIA_FIELD_BOOL, .offset = offsetof(type, member.interleaved), \
        .initial = "no", .doc = "pairs are neighbours; else one number of the first half, one of the second" \
    }
/* For layers that attend; `positions` is an int of the options. */
enum { GLIA_POSITIONS_NONE, GLIA_POSITIONS_ROTARY };
#define GLIA_POSITIONS_FIELDS(type)                                                   \
    {.name = "positions",                                                             \
     .kind = GLIA_FIELD_CHOICE,                                                       \
     .offset = offsetof(type, positions),                                             \
     .initial = "none",                                                               \
     .choices = "none|rotary",                                                        \
     .doc = "rotary: queries and keys are turned by angles that grow with the step"}, \
        GLIA_ROTARY_FIELDS(type, rotary, "rotary_")

#endif
