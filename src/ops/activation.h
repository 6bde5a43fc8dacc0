/* activation.h: the activation that a convolution or a dense layer's product may carry, so that its result passes
 * memory once. */
#ifndef GLIA_OPS_ACTIVATION_H
#define GLIA_OPS_ACTIVATION_H

#include "graph/op.h"

typedef enum glia_fused { GLIA_FUSED_NONE, GLIA_FUSED_RELU } glia_fused; /* attribute `activation` */

#define GLIA_FUSED_FIELD(attrs)                                                                 \
    {                                                                                           \
        .name = "activation", .kind = GLIA_FIELD_CHOICE, .offset = offsetof(attrs, activation), \
        .initial = "none", .choices = "none|relu", .doc = "applied to the result"               \
    }

/* The gradient of what the activation was applied to. */
static inline glia_value *glia__fused_gradient(const glia_gradient *g, int activation) {
    return activation == GLIA_FUSED_RELU ? glia__apply2("relu_backward", g->dy[0], g->y[0]) : g->dy[0];
}

#endif
