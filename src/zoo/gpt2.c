/* gpt2.c: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, and its tokens' table used twice. Layers
 * are called as in the transformers library. */

#include <math.h>
#include <stdio.h>

#include "glia/ops.h"
#include "train/layers_attention.h"
#include "train/layers_position.h"
#include "zoo/zoo.h"

typedef struct gpt2_options {
    int64_t vocabulary, length, layers, heads, width;
    double dropout, attention_dropout;
    int positions;
} gpt2_options;

enum { LEARNED, ROTARY }; /* positions */

static glia_value *dropped(const gpt2_options *o, glia_value *x) {
    return o->dropout > 0 ? glia_op_dropout(x, (glia_dropout_attrs){.rate = o->dropout}) : x;
}

static glia_value *dense(glia_value *x, int64_t units, const char *initializer, const char *name) {
    return glia_dense(x, .units = units, .kernel_initializer = initializer, .name = name);
}

/* What is added to the stream begins smaller, as there are 2·layers of it. */
static const char *residual_initializer(const glia_layer_build *b, const gpt2_options *o) {
    return glia__arena_printf(&b->model->arena, "normal:%g", 0.02 / sqrt(2 * (double)o->layers));
}

static glia_value *block(const glia_layer_build *b, const gpt2_options *o, glia_value *x) {
    const char *small = residual_initializer(b, o);
    glia_value *y = glia_layer_norm(x, .name = "ln_1");
    glia_scope_begin(b->model, "attn");
    y = dense(y, 3 * o->width, "normal:0.02", "c_attn");
    if (o->positions == ROTARY)
        y = glia__layer_rotary(b, y, 3 * o->heads, 2 * o->heads, &(glia_rotary_options){.base = 10000});
    y = glia_op_attention(
        y, NULL, NULL, NULL, NULL,
        (glia_attention_attrs){.heads = o->heads, .causal = GLIA_YES, .dropout = o->attention_dropout});
    x = glia_op_add(x, dropped(o, dense(y, o->width, small, "c_proj")));
    glia_scope_end(b->model);
    y = glia_layer_norm(x, .name = "ln_2");
    glia_scope_begin(b->model, "mlp");
    y = dense(y, 4 * o->width, "normal:0.02", "c_fc");
    y = glia_op_gelu(y, (glia_gelu_attrs){.approximate = 1});
    x = glia_op_add(x, dropped(o, dense(y, o->width, small, "c_proj")));
    glia_scope_end(b->model);
    return x;
}

static glia_value *build_gpt2(const glia_layer_build *b, const void *options) {
    const gpt2_options *o = options;
    const glia_shape shape = glia_value_shape(b->inputs[0]);
    char text[96];
    if (shape.rank != 2)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "expects numbers of tokens, [steps] per example, got %s",
                                glia__example_text(b->inputs[0], text, sizeof text));
    if (o->width % o->heads)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "has %lld heads, which do not divide the width of %lld",
                                (long long)o->heads, (long long)o->width);
    glia_value *x = glia_embedding(b->inputs[0], .vocabulary = o->vocabulary, .units = o->width,
                                   .initializer = "normal:0.02", .name = "wte");
    glia_value *table = x ? x->node->inputs[0] : NULL; /* wte.weight */
    char positions[64];
    snprintf(positions, sizeof positions, "length=%lld", (long long)o->length);
    if (o->positions == LEARNED) x = glia_layer(b->model, "positional_embedding", "wpe", &x, 1, positions);
    x = dropped(o, x);
    for (int64_t i = 0; i < o->layers && x; i++) {
        glia__zoo_begin(x, "h.%lld", (long long)i);
        x = block(b, o, x);
        glia_scope_end(b->model);
    }
    return glia_op_linear(glia_layer_norm(x, .name = "ln_f"), table, NULL, (glia_linear_attrs){0});
}

GLIA_LAYER(gpt2) = {
    .name = "gpt2",
    .doc = "GPT-2, a language model: i64 [N, T] → [N, T, vocabulary], the logits of the next token after "
           "each; weights as in "
           "transformers (h.0.attn.c_attn.weight, those of dense layers turned), that of the last layer is "
           "wte.weight",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(GLIA_ZOO_COUNT(gpt2_options, vocabulary, "50257", "tokens that there are"),
                          GLIA_ZOO_COUNT(gpt2_options, length, "1024",
                                         "positions: steps of a sequence at most"),
                          GLIA_ZOO_COUNT(gpt2_options, layers, "12", "blocks of attention and dense layers"),
                          GLIA_ZOO_COUNT(gpt2_options, heads, "12", "of attention; they divide the width"),
                          GLIA_ZOO_COUNT(gpt2_options, width, "768", "numbers of a step"),
                          {.name = "dropout",
                           .kind = GLIA_FIELD_FLOAT,
                           .offset = offsetof(gpt2_options, dropout),
                           .initial = "0",
                           .doc = "share that is dropped of what is added, while training",
                           .min = 0,
                           .max = 0.99},
                          GLIA_ATTENTION_DROPOUT_FIELD(gpt2_options),
                          {.name = "positions",
                           .kind = GLIA_FIELD_CHOICE,
                           .offset = offsetof(gpt2_options, positions),
                           .initial = "learned",
                           .choices = "learned|rotary",
                           .doc = "learned, as published: wpe.weight; rotary: queries and keys are turned "
                                  "by angles that grow with the step, and length does not matter"}),
    .options_size = sizeof(gpt2_options),
    .network = true,
    .build = build_gpt2,
};
