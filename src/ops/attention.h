/* attention.h: what the loops of attention, its gradient, its exporters and its kernels share.
 *
 * Arrays lie as dense layers make them, [N, T, heads·size]: the heads of one step side by side. So nothing is transposed on
 * the way in or out, and q, k and v may even be three parts of the rows of one array, as one dense layer gives them. */
#ifndef GLIA_OPS_ATTENTION_H
#define GLIA_OPS_ATTENTION_H

#include "glia/ops.h"
#include "graph/op.h"
#include "ops/random.h"

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

/* Dropout of the weights. Which of them stay follows from their place alone, so that the gradient finds the same ones and no
 * matrix is kept: key k of a row meets a word of the row's tile k / 64 (glia__random_tile). */
typedef struct glia_attention_dropout {
    glia_random random;
    uint32_t dropped; /* weights whose words are below; 0: none */
    float scale;      /* of those that stay */
    int64_t first;    /* example 0 of this call in the whole batch */
} glia_attention_dropout;

static inline glia_attention_dropout glia__attention_dropout_of(const glia_call *c) {
    const glia_attention_attrs *a = c->attrs; /* backward's begin with them */
    const int64_t elems = glia_shape_elems(&c->out[0].shape);
    if (glia__random_sleeps(c) || a->dropout <= 0) return (glia_attention_dropout){.scale = 1};
    return (glia_attention_dropout){.random = glia__mask_numbers(c->step, a->stream),
                                    .dropped = glia__share_of_words(a->dropout),
                                    .scale = (float)(1 / (1 - a->dropout)),
                                    .first = elems ? c->first_elem / (elems / c->out[0].shape.dim[0]) : 0};
}

/* The first block of the words of keys key … key + 63, for glia__random_tile; `key` is a multiple of 64. */
static inline uint64_t glia__attention_tile(const glia_attention_dropout *d, const glia_attention *a,
                                            int64_t n, int64_t head, int64_t query, int64_t key) {
    const uint64_t tiles = (uint64_t)((a->keys + GLIA_RANDOM_TILE - 1) / GLIA_RANDOM_TILE);
    const uint64_t row = (uint64_t)(((d->first + n) * a->heads + head) * a->queries + query);
    return (row * tiles + (uint64_t)key / GLIA_RANDOM_TILE) * GLIA_RANDOM_LANES;
}

/* The op's .step: attention_step, which is given the keys and values of the steps before. */
void glia__attention_go_on(glia_stepping *s);
/* The op's .onnx_write. */
void glia__attention_to_onnx(glia_to_onnx *w);
/* Fails when a length is out of range. */
glia_status glia__attention_check(const glia_call *c, const glia_attention *a);

#endif
