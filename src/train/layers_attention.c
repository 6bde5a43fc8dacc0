/* layers_attention.c: multi-head attention, of a sequence with itself or with another one. Parameters are called and laid out
 * as those of PyTorch's MultiheadAttention. */

#include <string.h>

#include "glia/ops.h"
#include "train/layers_attention.h"
#include "train/layers_position.h"
#include "train/model.h"

typedef struct attention_options {
    int64_t heads, key_value_heads, head_size;
    double dropout, attention_dropout;
    glia_bool causal, use_bias;
    int positions;
    glia_rotary_options rotary;
} attention_options;

/* --- what may be seen ------------------------------------------------------------------------------------------- */

bool glia__attention_inputs(const glia_layer_build *b, glia_attention_inputs *out) {
    char text[96];
    *out = (glia_attention_inputs){.x = b->inputs[0]};
    const glia_shape shape = glia_value_shape(out->x);
    if (shape.rank != 3 || shape.dim[1] == 0 || shape.dim[2] < 1) {
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE,
                               "expects a sequence of vectors per example (steps×width), got %s",
                               glia__example_text(out->x, text, sizeof text));
        return false;
    }
    for (int i = 1; i < b->n_inputs; i++) {
        glia_value *x = b->inputs[i], **place = NULL;
        const glia_dtype dtype = glia_value_dtype(x);
        const int rank = glia_value_shape(x).rank;
        if (dtype == GLIA_BOOL && rank >= 2 && rank <= 4) place = &out->mask;
        if ((dtype == GLIA_I64 || dtype == GLIA_I32) && rank == 1) place = &out->lengths;
        if (dtype == GLIA_F32 && rank == 3 && i == 1) place = &out->memory;
        if (!place || *place) {
            (void)glia__layer_fail(
                b, GLIA_BAD_SHAPE,
                "cannot use its input %d, %s of %s per example; it takes a sequence, perhaps another "
                "one to look at, and a mask of bool or lengths of i64",
                i + 1, glia_dtype_name(dtype), glia__example_text(x, text, sizeof text));
            return false;
        }
        *place = x;
    }
    /* What is behind a sequence is not looked at, where its layers know how long it goes. */
    if (!out->mask && !out->lengths)
        out->lengths = glia__layer_lengths(b, out->memory ? out->memory : out->x);
    return true;
}

/* A mask of keys [N, S], or of queries and keys [N, T, S], for all heads. */
static glia_value *for_all_heads(glia_value *mask) {
    const int rank = mask ? glia_value_shape(mask).rank : 4;
    if (rank == 4) return mask;
    return glia_op_unsqueeze(mask, (glia_squeeze_attrs){.axes = {.rank = 4 - rank, .dim = {1, 2}}});
}

/* --- the layer --------------------------------------------------------------------------------------------------- */

typedef struct widths {
    int64_t in, size, queries, keys; /* of a step, of a head, of all heads */
} widths;

static bool find_widths(const glia_layer_build *b, const attention_options *o, int64_t in, widths *out) {
    const int64_t kv = o->key_value_heads ? o->key_value_heads : o->heads;
    *out = (widths){.in = in};
    if (o->heads % kv)
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "has %lld heads, which %lld key_value_heads do not divide",
                               (long long)o->heads, (long long)kv);
    else if (!o->head_size && in % o->heads)
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE,
                               "has %lld heads, which do not divide the width of %lld; give a head_size",
                               (long long)o->heads, (long long)in);
    else
        out->size = o->head_size ? o->head_size : in / o->heads;
    if (glia_graph_status(b->graph, NULL) != GLIA_OK) return false;
    out->queries = o->heads * out->size;
    out->keys = kv * out->size;
    return true;
}

static glia_value *rows(glia_value *array, int64_t begin, int64_t count) {
    return array ? glia_op_slice(
                       array, (glia_slice_attrs){.axis = 0, .start = begin, .end = begin + count, .step = 1})
                 : NULL;
}

static glia_value *product(glia_value *x, glia_value *weight, glia_value *bias) {
    return glia_op_linear(x, weight, bias, (glia_linear_attrs){0});
}

/* q, k and v of two sequences; where both are equally wide, their weights lie in one array, as for one sequence. */
static bool project(const glia_layer_build *b, const widths *w, const glia_attention_inputs *in,
                    glia_value *bias, glia_value **q, glia_value **k, glia_value **v) {
    const int64_t width = glia_value_shape(in->memory).dim[2];
    glia_value *weights[3];
    if (width == w->in) {
        glia_value *all =
            glia_model_param(b->model, "in_proj_weight", GLIA_SHAPE(w->queries + 2 * w->keys, w->in),
                             "glorot_uniform", w->in, w->queries + 2 * w->keys);
        weights[0] = rows(all, 0, w->queries);
        weights[1] = rows(all, w->queries, w->keys);
        weights[2] = rows(all, w->queries + w->keys, w->keys);
    } else {
        weights[0] = glia_model_param(b->model, "q_proj_weight", GLIA_SHAPE(w->queries, w->in),
                                      "glorot_uniform", w->in, w->queries);
        weights[1] = glia_model_param(b->model, "k_proj_weight", GLIA_SHAPE(w->keys, width), "glorot_uniform",
                                      width, w->keys);
        weights[2] = glia_model_param(b->model, "v_proj_weight", GLIA_SHAPE(w->keys, width), "glorot_uniform",
                                      width, w->keys);
    }
    *q = product(in->x, weights[0], rows(bias, 0, w->queries));
    *k = product(in->memory, weights[1], rows(bias, w->queries, w->keys));
    *v = product(in->memory, weights[2], rows(bias, w->queries + w->keys, w->keys));
    return *q && *k && *v;
}

static glia_value *build_attention(const glia_layer_build *b, const void *options) {
    const attention_options *o = options;
    glia_attention_inputs in;
    widths w;
    if (!glia__attention_inputs(b, &in) || !find_widths(b, o, glia_value_shape(in.x).dim[2], &w)) return NULL;
    if (in.memory && o->causal == GLIA_YES)
        return glia__layer_fail(b, GLIA_INVALID_ARGUMENT,
                                "looks at another sequence, which cannot be causal");
    if (in.memory && o->positions == GLIA_POSITIONS_ROTARY)
        return glia__layer_fail(b, GLIA_INVALID_ARGUMENT,
                                "looks at another sequence; rotary positions are those of one");
    const int64_t all = w.queries + 2 * w.keys;
    const bool biased = o->use_bias != GLIA_NO;
    glia_value *bias =
        biased ? glia_model_param(b->model, "in_proj_bias", GLIA_SHAPE(all), "zeros", w.in, all) : NULL;
    glia_value *q, *k = NULL, *v = NULL;
    if (in.memory) {
        if (!project(b, &w, &in, bias, &q, &k, &v)) return NULL;
    } else {
        q = product(
            in.x,
            glia_model_param(b->model, "in_proj_weight", GLIA_SHAPE(all, w.in), "glorot_uniform", w.in, all),
            bias);
        const int64_t turned = (w.queries + w.keys) / w.size;
        if (o->positions == GLIA_POSITIONS_ROTARY)
            q = glia__layer_rotary(b, q, all / w.size, turned, &o->rotary);
    }
    glia_value *y = glia_op_attention(q, k, v, for_all_heads(in.mask), in.lengths,
                                      (glia_attention_attrs){.heads = o->heads,
                                                             .key_value_heads = o->key_value_heads,
                                                             .causal = o->causal,
                                                             .dropout = o->attention_dropout});
    y = glia_dense(y, .units = w.in, .use_bias = o->use_bias, .name = "out_proj");
    return o->dropout > 0 ? glia_op_dropout(y, (glia_dropout_attrs){.rate = o->dropout}) : y;
}

GLIA_LAYER(multi_head_attention) = {
    .name = "multi_head_attention",
    .doc =
        "softmax(q·kᵀ/√size)·v of each head, side by side and multiplied by a matrix: [N, T, C] → [N, T, C], "
        "of a sequence "
        "with itself, or with a second input [N, S, C']; a further input says which of the keys are seen: "
        "bool [N, S] or "
        "[N, T, S], or lengths, i64 [N] (default: those of the embedding's mask_zero). in_proj_weight "
        "[(heads + 2·key_value_heads)·size, C], in_proj_bias, "
        "out_proj.weight, out_proj.bias, as in PyTorch (Vaswani et al., arXiv:1706.03762)",
    .min_inputs = 1,
    .max_inputs = 4,
    .keeps_steps = true,
    .fields = GLIA_FIELDS(
        {.name = "heads",
         .kind = GLIA_FIELD_INT,
         .offset = offsetof(attention_options, heads),
         .doc = "how many look at the sequence, each its own way",
         .min = 1,
         .max = 1 << 16},
        {.name = "key_value_heads",
         .kind = GLIA_FIELD_INT,
         .offset = offsetof(attention_options, key_value_heads),
         .initial = "0",
         .doc = "heads of keys and values, each for as many heads of queries; 0: as many as those",
         .min = 0,
         .max = 1 << 16},
        {.name = "head_size",
         .kind = GLIA_FIELD_INT,
         .offset = offsetof(attention_options, head_size),
         .initial = "0",
         .doc = "numbers of a head; 0: the width divided by the heads",
         .min = 0,
         .max = 1 << 16},
        {.name = "causal",
         .kind = GLIA_FIELD_BOOL,
         .offset = offsetof(attention_options, causal),
         .initial = "no",
         .doc = "each step sees itself and those before"},
        {.name = "dropout",
         .kind = GLIA_FIELD_FLOAT,
         .offset = offsetof(attention_options, dropout),
         .initial = "0",
         .doc = "share of the result that is dropped while training, 0 to 0.99",
         .min = 0,
         .max = 0.99},
        GLIA_ATTENTION_DROPOUT_FIELD(attention_options),
        {.name = "use_bias",
         .kind = GLIA_FIELD_BOOL,
         .offset = offsetof(attention_options, use_bias),
         .initial = "yes",
         .doc = "whether biases are added"},
        GLIA_POSITIONS_FIELDS(attention_options)),
    .options_size = sizeof(attention_options),
    .shorthand = "heads",
    .build = build_attention,
};
