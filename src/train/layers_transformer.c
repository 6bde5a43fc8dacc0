/* layers_transformer.c: Transformer encoder and decoder (Vaswani et al., arXiv:1706.03762; norms first: Xiong et al.,
 * arXiv:2002.04745; SwiGLU: Shazeer, arXiv:2002.05202). Layers are called as in PyTorch's TransformerEncoder and
 * TransformerDecoder. */

#include <stdio.h>

#include "glia/ops.h"
#include "train/layers_attention.h"
#include "train/layers_position.h"
#include "train/model.h"

typedef struct transformer_options {
    int64_t layers, heads, key_value_heads, units;
    int norm, activation;
    double dropout, attention_dropout, epsilon;
    glia_bool causal, use_bias;
    int positions; /* of a sequence looking at itself */
    glia_rotary_options rotary;
} transformer_options;

enum { POST, PRE };                     /* norm */
enum { GELU, GELU_TANH, RELU, SWIGLU }; /* activation */

typedef struct transformer {
    const glia_layer_build *b;
    const transformer_options *o;
    glia_attention_inputs in;
    bool decoder;
} transformer;

static glia_value *dropped(const transformer *t, glia_value *x) {
    return t->o->dropout > 0 ? glia_op_dropout(x, (glia_dropout_attrs){.rate = t->o->dropout}) : x;
}

static glia_value *normed(const transformer *t, glia_value *x, const char *name) {
    return glia_layer_norm(x, .epsilon = t->o->epsilon, .name = name);
}

/* `memory` NULL: x with itself. `others`: the mask and the lengths are about what is looked at. */
static glia_value *attended(const transformer *t, glia_value *x, glia_value *memory, bool others, bool causal,
                            const char *name) {
    glia_value *inputs[4] = {x};
    const bool rotary = !memory && t->o->positions == GLIA_POSITIONS_ROTARY;
    char options[320];
    int count = 1;
    if (memory) inputs[count++] = memory;
    if (others && t->in.mask) inputs[count++] = t->in.mask;
    if (others && t->in.lengths) inputs[count++] = t->in.lengths;
    snprintf(options, sizeof options,
             "heads=%lld key_value_heads=%lld causal=%s use_bias=%s attention_dropout=%.17g positions=%s "
             "rotary_base=%.17g rotary_size=%lld rotary_interleaved=%s",
             (long long)t->o->heads, (long long)t->o->key_value_heads, causal ? "yes" : "no",
             t->o->use_bias == GLIA_NO ? "no" : "yes", t->o->attention_dropout, rotary ? "rotary" : "none",
             t->o->rotary.base, (long long)t->o->rotary.size,
             t->o->rotary.interleaved == GLIA_YES ? "yes" : "no");
    return dropped(t, glia_layer(t->b->model, "multi_head_attention", name, inputs, count, options));
}

static glia_value *fed_forward(const transformer *t, glia_value *x) {
    const transformer_options *o = t->o;
    const int64_t width = glia_value_shape(x).dim[2], units = o->units ? o->units : 4 * width;
    glia_value *y = glia_dense(x, .units = units, .use_bias = o->use_bias, .name = "linear1");
    if (o->activation == SWIGLU)
        y = glia_op_mul(glia_op_silu(y),
                        glia_dense(x, .units = units, .use_bias = o->use_bias, .name = "linear3"));
    else if (o->activation == RELU)
        y = glia_op_relu(y);
    else
        y = glia_op_gelu(y, (glia_gelu_attrs){.approximate = o->activation == GELU_TANH});
    return dropped(t, glia_dense(dropped(t, y), .units = width, .use_bias = o->use_bias, .name = "linear2"));
}

/* x + f(norm(x)), or norm(x + f(x)): what f gets of x, and what becomes of both. */
static glia_value *before(const transformer *t, glia_value *x, const char *norm) {
    return t->o->norm == PRE ? normed(t, x, norm) : x;
}

static glia_value *after(const transformer *t, glia_value *x, glia_value *y, const char *norm) {
    glia_value *sum = glia_op_add(x, y);
    return t->o->norm == PRE ? sum : normed(t, sum, norm);
}

static glia_value *block(const transformer *t, glia_value *x) {
    const bool cross = t->in.memory != NULL, causal = t->decoder || t->o->causal == GLIA_YES;
    const char *last = cross ? "norm3" : "norm2";
    glia_value *y = attended(t, before(t, x, "norm1"), NULL, !cross, causal, "self_attn");
    x = after(t, x, y, "norm1");
    if (cross) {
        y = attended(t, before(t, x, "norm2"), t->in.memory, true, false, "multihead_attn");
        x = after(t, x, y, "norm2");
    }
    return after(t, x, fed_forward(t, before(t, x, last)), last);
}

static glia_value *build(const glia_layer_build *b, const transformer_options *o, bool decoder) {
    transformer t = {.b = b, .o = o, .decoder = decoder};
    char name[32];
    if (!glia__attention_inputs(b, &t.in)) return NULL;
    if (t.in.memory && !decoder)
        return glia__layer_fail(b, GLIA_INVALID_ARGUMENT,
                                "looks at its own sequence only; a transformer_decoder takes two");
    glia_value *x = t.in.x;
    for (int64_t i = 0; i < o->layers; i++) {
        snprintf(name, sizeof name, "layers.%lld", (long long)i);
        glia_scope_begin(b->model, name);
        x = block(&t, x);
        glia_scope_end(b->model);
        if (!x) return NULL;
    }
    return o->norm == PRE ? normed(&t, x, "norm") : x;
}

static glia_value *build_encoder(const glia_layer_build *b, const void *options) {
    return build(b, options, false);
}

static glia_value *build_decoder(const glia_layer_build *b, const void *options) {
    return build(b, options, true);
}

#define COUNT_FIELD(member, initial_text, low, text)                                              \
    {                                                                                             \
        .name = #member, .kind = GLIA_FIELD_INT, .offset = offsetof(transformer_options, member), \
        .initial = initial_text, .doc = text, .min = low, .max = 1 << 24                          \
    }
#define TRANSFORMER_FIELDS                                                                               \
    COUNT_FIELD(layers, "1", 1, "blocks one after the other"),                                           \
        COUNT_FIELD(heads, NULL, 1, "of attention; they divide the width"),                              \
        COUNT_FIELD(key_value_heads, "0", 0, "heads of keys and values; 0: as many as heads"),           \
        COUNT_FIELD(units, "0", 0, "between the two dense layers of a block; 0: four times the width"),  \
        {.name = "norm",                                                                                 \
         .kind = GLIA_FIELD_CHOICE,                                                                      \
         .offset = offsetof(transformer_options, norm),                                                  \
         .initial = "post",                                                                              \
         .choices = "post|pre",                                                                          \
         .doc = "layer normalisation after each sum, as first published, or before attention and dense " \
                "layers"},                                                                               \
        {.name = "activation",                                                                           \
         .kind = GLIA_FIELD_CHOICE,                                                                      \
         .offset = offsetof(transformer_options, activation),                                            \
         .initial = "gelu",                                                                              \
         .choices = "gelu|gelu_tanh|relu|swiglu",                                                        \
         .doc = "between the dense layers; swiglu has a third one: silu(linear1)·linear3"},              \
        {.name = "dropout",                                                                              \
         .kind = GLIA_FIELD_FLOAT,                                                                       \
         .offset = offsetof(transformer_options, dropout),                                               \
         .initial = "0",                                                                                 \
         .doc = "share that is dropped of what is added, while training",                                \
         .min = 0,                                                                                       \
         .max = 0.99},                                                                                   \
        GLIA_ATTENTION_DROPOUT_FIELD(transformer_options),                                               \
        {.name = "epsilon",                                                                              \
         .kind = GLIA_FIELD_FLOAT,                                                                       \
         .offset = offsetof(transformer_options, epsilon),                                               \
         .initial = "1e-5",                                                                              \
         .doc = "of the normalisations",                                                                 \
         .min = 1e-12,                                                                                   \
         .max = 1},                                                                                      \
        {.name = "use_bias",                                                                             \
         .kind = GLIA_FIELD_BOOL,                                                                        \
         .offset = offsetof(transformer_options, use_bias),                                              \
         .initial = "yes",                                                                               \
         .doc = "whether dense layers and attention add biases"},                                        \
        GLIA_POSITIONS_FIELDS(transformer_options)

GLIA_LAYER(transformer_encoder) = {
    .name = "transformer_encoder",
    .doc =
        "blocks of self-attention and two dense layers, each added to its input: [N, T, C] → same; a second "
        "input says "
        "which steps are seen: bool [N, T], or lengths, i64 [N]. Weights as in PyTorch: "
        "layers.0.self_attn.in_proj_weight, "
        "layers.0.linear1.weight, layers.0.norm1.weight …; with norm: pre a last normalisation, norm.weight",
    .min_inputs = 1,
    .max_inputs = 3,
    .keeps_steps = true,
    .fields = GLIA_FIELDS(TRANSFORMER_FIELDS, {.name = "causal",
                                               .kind = GLIA_FIELD_BOOL,
                                               .offset = offsetof(transformer_options, causal),
                                               .initial = "no",
                                               .doc = "each step sees itself and those before"}),
    .options_size = sizeof(transformer_options),
    .build = build_encoder,
};

GLIA_LAYER(transformer_decoder) = {
    .name = "transformer_decoder",
    .doc = "blocks of causal self-attention, attention to a second input where there is one, [N, S, C'], and "
           "two dense layers, "
           "each added to its input: [N, T, C] → same; a further input says which steps of the second are "
           "seen. Weights as in "
           "PyTorch: layers.0.self_attn, layers.0.multihead_attn, layers.0.linear1 …",
    .min_inputs = 1,
    .max_inputs = 4,
    .keeps_steps = true,
    .fields = GLIA_FIELDS(TRANSFORMER_FIELDS),
    .options_size = sizeof(transformer_options),
    .build = build_decoder,
};
