/* recurrent.c: text by recurrent layers: the classifier and the language model of PyTorch's examples (Mikolov et al., 2010;
 * Zaremba, Sutskever, Vinyals, arXiv:1409.2329), and translation with attention (Luong, Pham, Manning, EMNLP 2015). */

#include <stdio.h>

#include "glia/ops.h"
#include "zoo/zoo.h"

typedef struct text_options {
    int64_t vocabulary, target_vocabulary, width, units, layers, classes;
    int cell;
    glia_bool bidirectional;
    double dropout;
} text_options;

static bool is_text(const glia_layer_build *b, int input) {
    const glia_shape shape = glia_value_shape(b->inputs[input]);
    char text[96];
    if (shape.rank == 2) return true;
    (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "expects numbers of tokens, [steps] per example, got %s",
                           glia__example_text(b->inputs[input], text, sizeof text));
    return false;
}

/* Recurrent layers one after the other; the last gives its states after every step if `sequence`, else its last. */
static glia_value *recur(const text_options *o, glia_value *x, glia_value *lengths, bool sequence, bool both,
                         const char *name) {
    char full[40];
    for (int64_t i = 0; i < o->layers; i++) {
        const glia_bool all = sequence || i + 1 < o->layers ? GLIA_YES : GLIA_NO;
        const glia_bool bidirectional = both ? GLIA_YES : GLIA_NO;
        snprintf(full, sizeof full, "%s.%lld", name, (long long)i);
        if (o->cell)
            x = glia_gru(x, .units = o->units, .return_sequences = all, .bidirectional = bidirectional,
                         .lengths = lengths, .name = full);
        else
            x = glia_lstm(x, .units = o->units, .return_sequences = all, .bidirectional = bidirectional,
                          .lengths = lengths, .name = full);
        x = glia_dropout(x, o->dropout);
    }
    return x;
}

static glia_value *embed(const text_options *o, glia_value *x, int64_t vocabulary, const char *name) {
    return glia_dropout(glia_embedding(x, .vocabulary = vocabulary, .units = o->width, .name = name),
                        o->dropout);
}

/* The second input of a network, where there is one: lengths. */
static glia_value *input_at(const glia_layer_build *b, int index) {
    return index < b->n_inputs ? b->inputs[index] : NULL;
}

static glia_value *build_classifier(const glia_layer_build *b, const void *options) {
    const text_options *o = options;
    if (!is_text(b, 0)) return NULL;
    glia_value *x = embed(o, b->inputs[0], o->vocabulary, "embedding");
    x = recur(o, x, input_at(b, 1), false, o->bidirectional == GLIA_YES, "rnn");
    return glia_dense(x, .units = o->classes, .name = "fc");
}

static glia_value *build_language_model(const glia_layer_build *b, const void *options) {
    const text_options *o = options;
    if (!is_text(b, 0)) return NULL;
    glia_value *x = embed(o, b->inputs[0], o->vocabulary, "encoder");
    x = recur(o, x, NULL, true, false, "rnn");
    return glia_dense(x, .units = o->vocabulary, .name = "decoder");
}

/* What the target has been so far looks at the source: attention by the states' products. */
static glia_value *build_seq2seq(const glia_layer_build *b, const void *options) {
    const text_options *o = options;
    if (!is_text(b, 0) || !is_text(b, 1)) return NULL;
    glia_value *lengths = input_at(b, 2);
    glia_value *source = embed(o, b->inputs[0], o->vocabulary, "source");
    source = recur(o, source, lengths, true, true, "encoder");
    source = glia_dense(source, .units = o->units, .use_bias = GLIA_NO, .name = "bridge");
    glia_value *x =
        embed(o, b->inputs[1], o->target_vocabulary ? o->target_vocabulary : o->vocabulary, "target");
    x = recur(o, x, NULL, true, false, "decoder");
    glia_value *seen =
        glia_op_attention(x, source, source, NULL, lengths, (glia_attention_attrs){.heads = 1});
    x = glia_concat((glia_value *[]){x, seen}, 2, -1);
    x = glia_dropout(glia_dense(x, .units = o->units, .activation = "tanh", .name = "merge"), o->dropout);
    return glia_dense(x, .units = o->target_vocabulary ? o->target_vocabulary : o->vocabulary,
                      .name = "output");
}

#define VOCABULARY GLIA_ZOO_COUNT(text_options, vocabulary, "10000", "tokens that there are")
#define COMMON                                                                                  \
    GLIA_ZOO_COUNT(text_options, width, "128", "numbers of a token"),                           \
        GLIA_ZOO_COUNT(text_options, units, "256", "of a recurrent layer"),                     \
        GLIA_ZOO_COUNT(text_options, layers, "1", "recurrent layers one after the other"),      \
        {.name = "cell",                                                                        \
         .kind = GLIA_FIELD_CHOICE,                                                             \
         .offset = offsetof(text_options, cell),                                                \
         .initial = "lstm",                                                                     \
         .choices = "lstm|gru",                                                                 \
         .doc = "which recurrent layer"},                                                       \
    {                                                                                           \
        .name = "dropout", .kind = GLIA_FIELD_FLOAT, .offset = offsetof(text_options, dropout), \
        .initial = "0", .doc = "share that is dropped between layers", .min = 0, .max = 0.99    \
    }

GLIA_LAYER(text_classifier) = {
    .name = "text_classifier",
    .doc = "embedding, LSTM or GRU, dense layer: i64 [N, T] → [N, classes]; a second input, i64 [N], says "
           "how long "
           "each text is",
    .min_inputs = 1,
    .max_inputs = 2,
    .fields = GLIA_FIELDS(VOCABULARY,
                          GLIA_ZOO_COUNT(text_options, classes, "2",
                                         "numbers in the result, before a softmax"),
                          COMMON,
                          {.name = "bidirectional",
                           .kind = GLIA_FIELD_BOOL,
                           .offset = offsetof(text_options, bidirectional),
                           .initial = "no",
                           .doc = "whether texts are read backwards too"}),
    .options_size = sizeof(text_options),
    .network = true,
    .build = build_classifier,
};

GLIA_LAYER(language_model) = {
    .name = "language_model",
    .doc = "embedding, LSTM or GRU, dense layer: i64 [N, T] → [N, T, vocabulary], the logits of the next "
           "token after "
           "each; weights as in PyTorch's word_language_model (encoder.weight, decoder.weight)",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields = GLIA_FIELDS(VOCABULARY, COMMON),
    .options_size = sizeof(text_options),
    .network = true,
    .build = build_language_model,
};

GLIA_LAYER(seq2seq) = {
    .name = "seq2seq",
    .doc = "translation: tokens i64 [N, S], and those of the target before each, i64 [N, T] → [N, T, "
           "vocabulary]; a "
           "bidirectional encoder, and a decoder that attends to it; a third input, i64 [N], says how long "
           "each source is",
    .min_inputs = 2,
    .max_inputs = 3,
    .fields = GLIA_FIELDS(VOCABULARY,
                          {.name = "target_vocabulary",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(text_options, target_vocabulary),
                           .initial = "0",
                           .doc = "tokens of the target; 0: as many",
                           .min = 0,
                           .max = 1 << 24},
                          COMMON),
    .options_size = sizeof(text_options),
    .network = true,
    .build = build_seq2seq,
};
