/* riders.h: what may ride on a convolution or a dense layer's product, so that its result passes memory once: the
 * residual, an array like the result that is added to it (input 3, optional), and then an activation (an attribute). */
#ifndef GLIA_OPS_RIDERS_H
#define GLIA_OPS_RIDERS_H

#include "graph/op.h"

typedef enum glia_fused { GLIA_FUSED_NONE, GLIA_FUSED_RELU } glia_fused; /* attribute `activation` */

#define GLIA_FUSED_FIELD(attrs)                                                                 \
    {                                                                                           \
        .name = "activation", .kind = GLIA_FIELD_CHOICE, .offset = offsetof(attrs, activation), \
        .initial = "none", .choices = "none|relu", .doc = "applied to the result"               \
    }

enum { GLIA_RESIDUAL = 3 }; /* the input */

static inline bool glia__has_residual(const glia_type *in, int n_in) {
    return n_in > GLIA_RESIDUAL && in[GLIA_RESIDUAL].shape.rank >= 0;
}
/* Inference: a residual must have the type of the result. */
glia_status glia__check_residual(const glia_type *in, int n_in, const glia_type *out, glia_error *err);
/* Cut along dimension 0: input 0, and the residual where there is one. */
uint32_t glia__rows_first_and_residual(const glia_type *in, int n_in, const void *attrs);
/* The same in ONNX, of a product called `y`; nothing when nothing rides. */
void glia__to_onnx_riders(glia_to_onnx *w, const char *y, bool relu);
/* Loops of a ref, at their end: adds the residual to out[0] and applies the activation. */
void glia__finish_product(const glia_call *call, int activation);

/* The gradient of what the activation was applied to, which is also that of the residual. */
static inline glia_value *glia__fused_gradient(const glia_gradient *g, int activation) {
    return activation == GLIA_FUSED_RELU ? glia__apply2("relu_backward", g->dy[0], g->y[0]) : g->dy[0];
}

#endif
