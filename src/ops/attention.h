/* attention.h: what the loops of attention, its gradient, its exporters and its kernels share.
 *
 * Arrays lie as dense layers make them, [N, T, heads·size]: the heads of one step side by side. So nothing is transposed on
 * the way in or out, and q, k and v may even be three parts of the rows of one array, as one dense layer gives them. */
#ifndef GLIA_OPS_ATTENTION_H
#define GLIA_OPS_ATTENTION_H

#include "glia/ops.h"
#include "graph/op.h"

enum { GLIA_ATT_Q, GLIA_ATT_K, GLIA_ATT_V, GLIA_ATT_MASK, GLIA_ATT_LENGTHS }; /* inputs of both */
enum {
    GLIA_ATT_Y = GLIA_ATT_LENGTHS + 1,
    GLIA_ATT_LSE,
    GLIA_ATT_DY,
    GLIA_ATT_BACK_COUNT
}; /* and of backward */

/* Attributes of attention_backward: those of attention first. */
typedef struct glia_attention_backward_attrs {
    glia_attention_attrs forward;
    glia_bool mask_gradient; /* whether that of the mask is wanted */
} glia_attention_backward_attrs;

/* Where the rows of one array lie: row t of head h of example n at n·example + t·step + at + h·size. */
typedef struct glia_attention_rows {
    int64_t at, step, example, size;
} glia_attention_rows;

typedef struct glia_attention {
    int64_t n, queries, keys, heads, kv_heads;
    double scale;
    bool causal, packed;
    glia_attention_rows q, k, v, y;
    int64_t mask_step[4]; /* of [N, heads, queries, keys]; 0 where the mask has one for all */
} glia_attention;

/* Shapes must be known and fit. */
glia_attention glia__attention_of(const glia_type *in, int n_in, const void *attrs);
glia_attention glia__attention_of_call(const glia_call *c);

static inline int64_t glia__attention_at(const glia_attention_rows *rows, int64_t n, int64_t t,
                                         int64_t head) {
    return n * rows->example + t * rows->step + rows->at + head * rows->size;
}

/* Keys of example n: the rest is padding. */
static inline int64_t glia__attention_length(const glia_view *lengths, int64_t n, int64_t keys) {
    if (!lengths || !lengths->data) return keys;
    return lengths->dtype == GLIA_I32 ? ((const int32_t *)lengths->data)[n]
                                      : ((const int64_t *)lengths->data)[n];
}

/* Input i, or NULL when it is absent. */
static inline const glia_view *glia__attention_input(const glia_call *c, int i) {
    return i < c->n_in && c->in[i].data ? &c->in[i] : NULL;
}

/* The op's .step: attention_step, which is given the keys and values of the steps before. */
void glia__attention_go_on(glia_stepping *s);
/* The op's .onnx_write. */
void glia__attention_to_onnx(glia_to_onnx *w);
/* Fails when a length is out of range. */
glia_status glia__attention_check(const glia_call *c, const glia_attention *a);

#endif
