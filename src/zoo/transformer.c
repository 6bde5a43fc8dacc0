/* transformer.c: Vaswani et al., "Attention Is All You Need", NeurIPS 2017: encoder and decoder. */

#include <math.h>
#include <stdio.h>

#include "glia/ops.h"
#include "train/layers_attention.h"
#include "zoo/zoo.h"

typedef struct transformer_options {
    int64_t vocabulary, target_vocabulary, width, layers, heads, units;
    double dropout, attention_dropout;
} transformer_options;

/* Tokens as vectors, times √width, and where they are. */
static glia_value *embed(const transformer_options *o, glia_value *x, int64_t vocabulary, const char *name) {
    x = glia_embedding(x, .vocabulary = vocabulary, .units = o->width, .initializer = "normal:0.02",
                       .name = name);
    x = x ? glia_op_mul(x, glia__number(x, sqrt((double)o->width))) : NULL;
    return glia_dropout(glia_apply(x, "positional_embedding", "kind=sinusoidal"), o->dropout);
}

static glia_value *build_transformer(const glia_layer_build *b, const void *options) {
    const transformer_options *o = options;
    const int64_t targets = o->target_vocabulary ? o->target_vocabulary : o->vocabulary;
    char text[200];
    for (int i = 0; i < 2; i++)
        if (glia_value_shape(b->inputs[i]).rank != 2)
            return glia__layer_fail(b, GLIA_BAD_SHAPE,
                                    "expects numbers of tokens, [steps] per example, got %s",
                                    glia__example_text(b->inputs[i], text, sizeof text));
    snprintf(text, sizeof text,
             "layers=%lld heads=%lld units=%lld dropout=%.17g attention_dropout=%.17g activation=relu",
             (long long)o->layers, (long long)o->heads, (long long)o->units, o->dropout,
             o->attention_dropout);
    glia_value *source[] = {embed(o, b->inputs[0], o->vocabulary, "source"), NULL};
    if (b->n_inputs > 2) source[1] = b->inputs[2];
    glia_value *memory =
        glia_layer(b->model, "transformer_encoder", "encoder", source, source[1] ? 2 : 1, text);
    glia_value *target[] = {embed(o, b->inputs[1], targets, "target"), memory, source[1]};
    glia_value *x = glia_layer(b->model, "transformer_decoder", "decoder", target, source[1] ? 3 : 2, text);
    return glia_dense(x, .units = targets, .name = "generator");
}

GLIA_LAYER(transformer) = {
    .name = "transformer",
    .doc = "translation: tokens i64 [N, S], and those of the target before each, i64 [N, T] → [N, T, "
           "vocabulary]; a third "
           "input, i64 [N] or bool [N, S], says what of each source is seen; blocks called as in PyTorch "
           "(encoder.layers.0.linear1.weight)",
    .min_inputs = 2,
    .max_inputs = 3,
    .fields = GLIA_FIELDS(
        GLIA_ZOO_COUNT(transformer_options, vocabulary, "10000", "tokens that there are"),
        {.name = "target_vocabulary",
         .kind = GLIA_FIELD_INT,
         .offset = offsetof(transformer_options, target_vocabulary),
         .initial = "0",
         .doc = "tokens of the target; 0: as many",
         .min = 0,
         .max = 1 << 24},
        GLIA_ZOO_COUNT(transformer_options, width, "512", "numbers of a token"),
        GLIA_ZOO_COUNT(transformer_options, layers, "6", "blocks of the encoder, and of the decoder"),
        GLIA_ZOO_COUNT(transformer_options, heads, "8", "of attention; they divide the width"),
        GLIA_ZOO_COUNT(transformer_options, units, "2048", "between the two dense layers of a block"),
        {.name = "dropout",
         .kind = GLIA_FIELD_FLOAT,
         .offset = offsetof(transformer_options, dropout),
         .initial = "0",
         .doc = "share that is dropped of what is added, while training",
         .min = 0,
         .max = 0.99},
        GLIA_ATTENTION_DROPOUT_FIELD(transformer_options)),
    .options_size = sizeof(transformer_options),
    .network = true,
    .build = build_transformer,
};
