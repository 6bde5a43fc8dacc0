/* rotary.h: what the loops of rotary_embedding and its C share. */
#ifndef GLIA_OPS_ROTARY_H
#define GLIA_OPS_ROTARY_H

#include "graph/op.h"

enum { GLIA_ROTARY_X, GLIA_ROTARY_COSINES, GLIA_ROTARY_SINES, GLIA_ROTARY_COUNT }; /* inputs */

typedef struct glia_rotary {
    int64_t n, steps, heads, turned,
        size;                  /* of `heads` heads of `size` numbers the first `turned` are turned */
    int64_t half, step, apart; /* pair i of a head: numbers i·step and i·step + apart */
    bool of_examples;          /* each example has its own angles */
    bool back;                 /* by the negative angle */
} glia_rotary;

/* Shapes must be known and fit. */
glia_rotary glia__rotary_of(const glia_type *in, const void *attrs);

#endif
