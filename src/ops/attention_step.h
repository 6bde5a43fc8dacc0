/* attention_step.h: what the loops of attention_step and its kernel share. */
#ifndef GLIA_OPS_ATTENTION_STEP_H
#define GLIA_OPS_ATTENTION_STEP_H

#include "graph/op.h"

enum { /* inputs */
       GLIA_STEP_Q,
       GLIA_STEP_K,
       GLIA_STEP_V,
       GLIA_STEP_PAST_K,
       GLIA_STEP_PAST_V,
       GLIA_STEP_POSITIONS,
       GLIA_STEP_COUNT
};

typedef struct glia_attention_step_attrs {
    int64_t heads, key_value_heads;
    double scale;
} glia_attention_step_attrs;

typedef struct glia_attention_step {
    int64_t n, steps, past, most; /* past: steps before these, of which there is room for `most` */
    int64_t heads, group;         /* group: heads of queries for one of keys and values */
    int64_t size, v_size;         /* of a head */
    int64_t k_step, v_step;       /* of a step */
    double scale;
} glia_attention_step;

/* Shapes must be known and fit; `past` is not known yet. */
glia_attention_step glia__attention_step_of(const glia_type *in, const void *attrs);
/* Fails when the positions are out of range. */
glia_status glia__attention_step_of_call(const glia_call *c, glia_attention_step *a);

#endif
