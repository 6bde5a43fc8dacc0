/* bert.c: Devlin, Chang, Lee, Toutanova, "BERT", arXiv:1810.04805. Layers are called as in the transformers library. */

#include <stdio.h>

#include "glia/ops.h"
#include "train/layers_attention.h"
#include "zoo/zoo.h"

typedef struct bert_options {
    int64_t vocabulary, length, types, layers, heads, width, units, classes;
    double dropout, attention_dropout;
} bert_options;

static const double EPSILON = 1e-12;

static glia_value *dropped(const bert_options *o, glia_value *x) {
    return o->dropout > 0 ? glia_op_dropout(x, (glia_dropout_attrs){.rate = o->dropout}) : x;
}

static glia_value *dense(glia_value *x, int64_t units, const char *name) {
    return glia_dense(x, .units = units, .kernel_initializer = "truncated_normal:0.02", .name = name);
}

/* Inputs: tokens; then, by their types, kinds of tokens, and what is seen. */
typedef struct bert_inputs {
    glia_value *tokens, *types, *mask, *lengths;
} bert_inputs;

static bool find_inputs(const glia_layer_build *b, bert_inputs *in) {
    char text[96];
    *in = (bert_inputs){.tokens = b->inputs[0]};
    for (int i = 0; i < b->n_inputs; i++) {
        glia_value *x = b->inputs[i], **place = NULL;
        const int rank = glia_value_shape(x).rank;
        const bool whole = glia_value_dtype(x) == GLIA_I64 || glia_value_dtype(x) == GLIA_I32;
        const bool given_as_f32 =
            !i && glia_value_dtype(x) == GLIA_F32; /* as data sets give numbers of tokens */
        if ((whole || given_as_f32) && rank == 2) place = i ? &in->types : &in->tokens;
        if (i && whole && rank == 1) place = &in->lengths;
        if (i && glia_value_dtype(x) == GLIA_BOOL && rank == 2) place = &in->mask;
        if (place && (!*place || !i)) {
            *place = x;
            continue;
        }
        (void)glia__layer_fail(
            b, GLIA_BAD_SHAPE,
            "cannot use its input %d, %s of %s per example; it takes numbers of tokens [steps], perhaps "
            "their kinds, and lengths of i64 or a mask of bool",
            i + 1, glia_dtype_name(glia_value_dtype(x)), glia__example_text(x, text, sizeof text));
        return false;
    }
    return true;
}

/* Without kinds all tokens are of the first. */
static glia_value *embedded(const glia_layer_build *b, const bert_options *o, const bert_inputs *in) {
    char positions[64];
    glia_scope_begin(b->model, "embeddings");
    glia_value *x = glia_embedding(in->tokens, .vocabulary = o->vocabulary, .units = o->width,
                                   .initializer = "truncated_normal:0.02", .name = "word_embeddings");
    snprintf(positions, sizeof positions, "length=%lld initializer=truncated_normal:0.02",
             (long long)o->length);
    x = glia_layer(b->model, "positional_embedding", "position_embeddings", &x, 1, positions);
    if (in->types) {
        x = glia_op_add(x, glia_embedding(in->types, .vocabulary = o->types, .units = o->width,
                                          .initializer = "truncated_normal:0.02",
                                          .name = "token_type_embeddings"));
    } else {
        glia_value *kinds =
            glia_model_param(b->model, "token_type_embeddings.weight", GLIA_SHAPE(o->types, o->width),
                             "truncated_normal:0.02", o->types, o->width);
        x = glia_op_add(x,
                        glia_op_slice(kinds, (glia_slice_attrs){.axis = 0, .start = 0, .end = 1, .step = 1}));
    }
    x = dropped(o, glia_layer_norm(x, .epsilon = EPSILON, .name = "LayerNorm"));
    glia_scope_end(b->model);
    return x;
}

static glia_value *attended(const glia_layer_build *b, const bert_options *o, const bert_inputs *in,
                            glia_value *x) {
    glia_value *mask =
        in->mask ? glia_op_unsqueeze(in->mask, (glia_squeeze_attrs){.axes = {.rank = 2, .dim = {1, 2}}})
                 : NULL;
    glia_scope_begin(b->model, "attention.self");
    glia_value *q = dense(x, o->width, "query"), *k = dense(x, o->width, "key"),
               *v = dense(x, o->width, "value");
    glia_value *y =
        glia_op_attention(q, k, v, mask, in->lengths,
                          (glia_attention_attrs){.heads = o->heads, .dropout = o->attention_dropout});
    glia_scope_end(b->model);
    return y;
}

/* norm(x + W·y), called `name`. */
static glia_value *added(const glia_layer_build *b, const bert_options *o, glia_value *x, glia_value *y,
                         const char *name) {
    glia_scope_begin(b->model, name);
    y = dropped(o, dense(y, o->width, "dense"));
    y = glia_layer_norm(glia_op_add(x, y), .epsilon = EPSILON, .name = "LayerNorm");
    glia_scope_end(b->model);
    return y;
}

static glia_value *block(const glia_layer_build *b, const bert_options *o, const bert_inputs *in,
                         glia_value *x) {
    x = added(b, o, x, attended(b, o, in, x), "attention.output");
    glia_scope_begin(b->model, "intermediate");
    glia_value *y = glia_op_gelu(dense(x, o->units ? o->units : 4 * o->width, "dense"), (glia_gelu_attrs){0});
    glia_scope_end(b->model);
    return added(b, o, x, y, "output");
}

/* The first step, which stands for the whole. */
static glia_value *pooled(const glia_layer_build *b, const bert_options *o, glia_value *x) {
    x = glia_op_slice(x, (glia_slice_attrs){.axis = 1, .start = 0, .end = 1, .step = 1});
    x = glia_op_squeeze(x, (glia_squeeze_attrs){.axes = {.rank = 1, .dim = {1}}});
    glia_scope_begin(b->model, "pooler");
    x = glia_op_tanh(dense(x, o->width, "dense"));
    glia_scope_end(b->model);
    return dense(dropped(o, x), o->classes, "classifier");
}

static glia_value *build_bert(const glia_layer_build *b, const void *options) {
    const bert_options *o = options;
    bert_inputs in;
    if (!find_inputs(b, &in)) return NULL;
    if (o->width % o->heads)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "has %lld heads, which do not divide the width of %lld",
                                (long long)o->heads, (long long)o->width);
    glia_value *x = embedded(b, o, &in);
    for (int64_t i = 0; i < o->layers && x; i++) {
        glia__zoo_begin(x, "encoder.layer.%lld", (long long)i);
        x = block(b, o, &in, x);
        glia_scope_end(b->model);
    }
    return x && o->classes ? pooled(b, o, x) : x;
}

GLIA_LAYER(bert) = {
    .name = "bert",
    .doc = "BERT, an encoder of text: i64 [N, T] → [N, T, width], or with classes [N, classes]; further "
           "inputs: kinds of tokens, "
           "i64 [N, T], and lengths, i64 [N], or a mask, bool [N, T]; weights as in transformers "
           "(encoder.layer.0.attention.self.query.weight)",
    .min_inputs = 1,
    .max_inputs = 4,
    .fields = GLIA_FIELDS(GLIA_ZOO_COUNT(bert_options, vocabulary, "30522", "tokens that there are"),
                          GLIA_ZOO_COUNT(bert_options, length, "512",
                                         "positions: steps of a sequence at most"),
                          GLIA_ZOO_COUNT(bert_options, types, "2", "kinds of tokens"),
                          GLIA_ZOO_COUNT(bert_options, layers, "12", "blocks of attention and dense layers"),
                          GLIA_ZOO_COUNT(bert_options, heads, "12", "of attention; they divide the width"),
                          GLIA_ZOO_COUNT(bert_options, width, "768", "numbers of a step"),
                          {.name = "units",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(bert_options, units),
                           .initial = "0",
                           .doc = "between the dense layers of a block; 0: four times the width",
                           .min = 0,
                           .max = 1 << 24},
                          {.name = "classes",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(bert_options, classes),
                           .initial = "0",
                           .doc = "numbers in the result, of the first step; 0: the steps themselves",
                           .min = 0,
                           .max = 1 << 24},
                          {.name = "dropout",
                           .kind = GLIA_FIELD_FLOAT,
                           .offset = offsetof(bert_options, dropout),
                           .initial = "0",
                           .doc = "share that is dropped of what is added, while training",
                           .min = 0,
                           .max = 0.99},
                          GLIA_ATTENTION_DROPOUT_FIELD(bert_options)),
    .options_size = sizeof(bert_options),
    .network = true,
    .build = build_bert,
};
