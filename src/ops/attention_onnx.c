/* attention_onnx.c: attention in ONNX. Its own operator since opset 23, where no query can be left without keys (ONNX does
 * not say what that gives); else products and softmax. */

#include <math.h>

#include "graph/to_onnx.h"
#include "ops/attention.h"

typedef struct writer {
    glia_to_onnx *w;
    glia_attention a;
    glia_dtype dtype;
    const char *q, *k, *v; /* [N, T, heads·size] */
    const char *mask;      /* of numbers, "": none */
    const char *allowed;   /* of bool, broadcasts to [N, heads, T, S]; NULL: all is seen */
} writer;

/* Columns [begin, begin + count) of q. */
static const char *part(glia_to_onnx *w, int64_t begin, int64_t count) {
    return GLIA_TO_ONNX(w, NULL, "Slice", w->x[GLIA_ATT_Q], glia__to_onnx_list(w, &begin, 1),
                        glia__to_onnx_list(w, (const int64_t[]){begin + count}, 1),
                        glia__to_onnx_list(w, (const int64_t[]){2}, 1),
                        glia__to_onnx_list(w, (const int64_t[]){1}, 1));
}

static void *room(glia_to_onnx *w, int64_t count, size_t bytes) {
    void *memory = glia__arena_alloc(w->arena, (size_t)GLIA_MAX(count, (int64_t)1) * bytes);
    if (!memory && w->status == GLIA_OK)
        w->status = glia_error_set(w->err, GLIA_OUT_OF_MEMORY, "out of memory");
    return memory;
}

/* 0, 1, …, count − 1. */
static const char *positions(glia_to_onnx *w, int64_t count) {
    int64_t *numbers = room(w, count, sizeof *numbers);
    for (int64_t i = 0; numbers && i < count; i++) numbers[i] = i;
    return numbers ? glia__to_onnx_list(w, numbers, (int)count) : "";
}

/* [T, S]: the keys up to the query. As an array, since who reads the file would make one of it. */
static const char *up_to_now(glia_to_onnx *w, int64_t queries, int64_t keys) {
    unsigned char *seen = room(w, queries * keys, 1);
    for (int64_t i = 0; seen && i < queries * keys; i++) seen[i] = i % keys <= i / keys;
    return seen ? glia__to_onnx_array(w, GLIA_BOOL, GLIA_SHAPE(queries, keys), seen) : "";
}

static void allow(writer *p, const char *allowed) {
    p->allowed = p->allowed ? GLIA_TO_ONNX(p->w, NULL, "And", p->allowed, allowed) : allowed;
}

/* What may be seen, as far as it is not said by causality alone. */
static void allow_masked(writer *p) {
    glia_to_onnx *w = p->w;
    const bool of_bool = *w->x[GLIA_ATT_MASK] && w->node->inputs[GLIA_ATT_MASK]->type.dtype == GLIA_BOOL;
    p->mask = of_bool ? "" : w->x[GLIA_ATT_MASK];
    if (of_bool) allow(p, w->x[GLIA_ATT_MASK]);
    if (!*w->x[GLIA_ATT_LENGTHS]) return;
    const char *lengths = GLIA_TO_ONNX(w, NULL, "Unsqueeze", glia__to_onnx_i64(w, GLIA_ATT_LENGTHS),
                                       glia__to_onnx_list(w, (const int64_t[]){1, 2, 3}, 3));
    allow(p, GLIA_TO_ONNX(w, NULL, "Less", positions(w, p->a.keys), lengths));
}

static const char *reshaped(glia_to_onnx *w, const char *out, const char *x, const int64_t *dims, int rank) {
    return GLIA_TO_ONNX(w, out, "Reshape", x, glia__to_onnx_list(w, dims, rank));
}

/* [N, T, heads·size] → [N, heads, T, size], or [N, heads, size, T]; each head `times` times. */
static const char *by_head(const writer *p, const char *x, int64_t heads, int64_t size, int64_t times,
                           bool turned) {
    glia_to_onnx *w = p->w;
    const int64_t dims[] = {0, 0, heads, size}, perm[] = {0, 2, turned ? 3 : 1, turned ? 1 : 3};
    x = glia__to_onnx_transpose(w, NULL, reshaped(w, NULL, x, dims, 4), perm, 4);
    if (times == 1) return x;
    int64_t *from = room(w, heads * times, sizeof *from);
    if (!from) return "";
    for (int64_t i = 0; i < heads * times; i++) from[i] = i / times;
    x = GLIA_TO_ONNX(w, NULL, "Gather", x, glia__to_onnx_list(w, from, (int)(heads * times)));
    glia__to_onnx_int(w, "axis", 1);
    return x;
}

/* [N, heads, T, S], what is not seen −∞. */
static const char *scores(writer *p) {
    glia_to_onnx *w = p->w;
    const glia_attention *a = &p->a;
    if (a->causal) allow(p, up_to_now(w, a->queries, a->keys));
    const char *q = by_head(p, p->q, a->heads, a->q.size, 1, false);
    const char *k = by_head(p, p->k, a->kv_heads, a->k.size, a->heads / a->kv_heads, true);
    q = GLIA_TO_ONNX(w, NULL, "Mul", q, glia__to_onnx_number(w, p->dtype, a->scale));
    const char *s = GLIA_TO_ONNX(w, NULL, "MatMul", q, k);
    if (*p->mask) s = GLIA_TO_ONNX(w, NULL, "Add", s, p->mask);
    if (p->allowed)
        s = GLIA_TO_ONNX(w, NULL, "Where", p->allowed, s, glia__to_onnx_number(w, p->dtype, -INFINITY));
    return s;
}

static void write_products(const writer *p, const char *s) {
    glia_to_onnx *w = p->w;
    const glia_attention *a = &p->a;
    const char *y = GLIA_TO_ONNX(w, NULL, "Softmax", s);
    glia__to_onnx_int(w, "axis", -1);
    if (p->allowed) /* what sees nothing: zeros */
        y = GLIA_TO_ONNX(w, NULL, "Where", p->allowed, y, glia__to_onnx_number(w, p->dtype, 0));
    y = GLIA_TO_ONNX(w, NULL, "MatMul", y,
                     by_head(p, p->v, a->kv_heads, a->v.size, a->heads / a->kv_heads, false));
    y = glia__to_onnx_transpose(w, NULL, y, (const int64_t[]){0, 2, 1, 3}, 4);
    reshaped(w, w->y[0], y, (const int64_t[]){0, 0, a->heads * a->v.size}, 3);
}

static void write_operator(const writer *p) {
    glia_to_onnx *w = p->w;
    GLIA_TO_ONNX(w, w->y[0], "Attention", p->q, p->k, p->v, p->mask);
    glia__to_onnx_int(w, "q_num_heads", p->a.heads);
    glia__to_onnx_int(w, "kv_num_heads", p->a.kv_heads);
    if (p->a.causal) glia__to_onnx_int(w, "is_causal", 1);
    glia__to_onnx_float(w, "scale", p->a.scale);
}

static void write_log_sum(glia_to_onnx *w, const char *s) {
    const int64_t last = -1;
    GLIA_TO_ONNX(w, w->y[1], "ReduceLogSumExp", s, w->opset >= 18 ? glia__to_onnx_list(w, &last, 1) : "");
    if (w->opset < 18) glia__to_onnx_ints(w, "axes", &last, 1);
    glia__to_onnx_int(w, "keepdims", 0);
}

void glia__attention_to_onnx(glia_to_onnx *w) {
    enum { OPERATOR_SINCE = 23 };
    glia_type in[GLIA_ATT_LENGTHS + 1];
    for (int i = 0; i <= GLIA_ATT_LENGTHS; i++) {
        const glia_value *x = i < w->node->n_inputs ? w->node->inputs[i] : NULL;
        in[i] = x ? x->type : (glia_type){.shape = {.rank = -1}};
    }
    writer p = {
        .w = w, .a = glia__attention_of(in, GLIA_ATT_LENGTHS + 1, w->node->attrs), .dtype = in[0].dtype};
    const glia_attention *a = &p.a;
    if (a->queries < 0 || a->keys < 0) {
        glia__to_onnx_refuse(w, "the length of its sequences is open");
        return;
    }
    if (!a->queries || !a->keys) {
        glia__to_onnx_refuse(w, "a sequence is empty");
        return;
    }
    p.q = a->packed ? part(w, 0, a->heads * a->q.size) : w->x[GLIA_ATT_Q];
    p.k = a->packed ? part(w, a->k.at, a->kv_heads * a->k.size) : w->x[GLIA_ATT_K];
    p.v = a->packed ? part(w, a->v.at, a->kv_heads * a->v.size) : w->x[GLIA_ATT_V];
    allow_masked(&p);
    const bool as_one = w->opset >= OPERATOR_SINCE && !p.allowed;
    const char *s = !as_one || *w->y[1] ? scores(&p) : NULL;
    if (as_one)
        write_operator(&p);
    else
        write_products(&p, s);
    if (*w->y[1]) write_log_sum(w, s);
}
