/* test_generate.c: language models that go on with a text: step by step, with keys, values and states kept, they say what they
 * say of the whole text. */

#include "test.h"

#include "failing_allocator.h"
#include "glia/glia.h"
#include "train/stepper.h"

enum { LENGTH = 24, VOCABULARY = 37, MOST = 64 };

/* Weights large enough that what was before matters. */
static void sharpen(glia_model *m) {
    for (size_t p = 1; p < glia_model_params(m); p++) { /* but tokens, which the output of gpt2 is too */
        glia_tensor w = glia_model_param_data(m, p);
        const int64_t n = glia_shape_elems(&w.shape);
        for (int64_t i = 0; i < n && w.shape.rank > 1; i++) ((float *)w.data)[i] *= 8;
    }
}

/* A block like LLaMA's: RMS norms first, SwiGLU, no biases; attention with `options`. */
static glia_value *llama(glia_value *x, const char *options) {
    glia_value *y = glia_apply(glia_apply(x, "rms_norm", NULL), "multi_head_attention", options);
    x = glia_op_add(x, y);
    y = glia_dense(glia_apply(x, "rms_norm", NULL), .units = 48, .use_bias = GLIA_NO);
    return glia_op_add(x, glia_dense(glia_apply(y, "swiglu", NULL), .units = 16, .use_bias = GLIA_NO));
}

#define STATEFUL "units=16 stateful=yes return_sequences=yes"

/* Tokens → logits, by a network of the zoo or by layers around `kind`. */
static glia_model *language(const char *kind, const char *options, const glia_allocator *allocator) {
    glia_model *m = glia_model_new_with("language", allocator);
    glia_value *x = glia_input(m, "tokens", .shape = {LENGTH}, .dtype = GLIA_I64);
    if (strcmp(kind, "gpt2") == 0 || strcmp(kind, "language_model") == 0) {
        x = glia_apply(x, kind, options);
    } else {
        x = glia_embedding(x, .vocabulary = VOCABULARY, .units = 16);
        if (strcmp(kind, "llama") == 0)
            x = glia_apply(llama(llama(x, options), options), "rms_norm", NULL);
        else if (strstr(kind, "transformer") && !strstr(options, "rotary"))
            x = glia_apply(glia_apply(x, "positional_embedding", "kind=sinusoidal"), kind, options);
        else
            x = glia_apply(x, kind, options);
        if (strcmp(kind, "cumsum") == 0) x = glia_apply(x, "lstm", STATEFUL);
        x = glia_dense(x, .units = VOCABULARY);
    }
    glia_model_set_output(m, x);
    return m;
}

typedef enum manner {
    STEPS,      /* goes on step by step */
    WINDOW,     /* does, for as many tokens as a window has */
    WHOLE,      /* sees the whole window for every token */
    NOT_CAUSAL, /* does, and it makes no sense */
} manner;

static const struct {
    const char *kind, *options;
    manner manner;
    const char *why; /* it does not go by steps */
} models[] = {
    {"gpt2", "vocabulary=37 length=32 layers=2 heads=2 width=16", WINDOW, NULL},
    {"transformer_encoder", "layers=2 heads=4 key_value_heads=2 norm=pre activation=swiglu causal=yes",
     WINDOW, NULL},
    {"transformer_decoder", "layers=2 heads=2 activation=relu", WINDOW, NULL},
    {"multi_head_attention", "heads=2 causal=yes", WINDOW, NULL},
    {"multi_head_attention", "heads=2 causal=yes positions=rotary rotary_size=6", WINDOW, NULL},
    {"transformer_encoder", "layers=2 heads=2 norm=pre causal=yes positions=rotary rotary_interleaved=yes",
     WINDOW, NULL},
    {"llama", "heads=4 key_value_heads=2 causal=yes use_bias=no positions=rotary", WINDOW, NULL},
    {"gpt2", "vocabulary=37 length=32 layers=2 heads=2 width=16 positions=rotary", WINDOW, NULL},
    {"language_model", "vocabulary=37 width=8 units=16 layers=2", STEPS, NULL},
    {"language_model", "vocabulary=37 width=8 units=16 cell=gru", STEPS, NULL},
    {"rnn", "units=16 return_sequences=yes", STEPS, NULL},
    {"lstm", "units=16 layers=3 dropout=0.2 use_bias=no return_sequences=yes", STEPS, NULL},
    {"lstm", "units=8 layers=2 stateful=yes return_sequences=yes", STEPS, NULL},
    {"gru", "units=8 layers=2 stateful=yes use_bias=no return_sequences=yes", STEPS, NULL},
    {"rnn", "units=24 stateful=yes return_sequences=yes", STEPS, NULL}, /* units: T */
    {"cumsum", "axis=1", WHOLE, "(cumsum) needs the whole sequence"},
    {"transformer_encoder", "layers=1 heads=2", NOT_CAUSAL, "(attention) needs the whole sequence"},
    {"lstm", "units=16 return_sequences=yes bidirectional=yes", NOT_CAUSAL,
     "(lstm) reads from the last step to the first"},
    {"gru", "units=16 layers=2 return_sequences=yes reverse=yes", NOT_CAUSAL,
     "(gru) reads from the last step to the first"},
};

/* What the model says after tokens[0 … count − 1], seen as a whole. */
static void whole(glia_model *m, const float *tokens, int64_t count, float *logits) {
    glia_error err = {0};
    glia_tensor in, out;
    CHECK_OK(glia_tensor_new(&in, GLIA_F32, GLIA_SHAPE(1, LENGTH), NULL, &err), &err);
    CHECK_OK(glia_tensor_new(&out, GLIA_F32, GLIA_SHAPE(1, LENGTH, VOCABULARY), NULL, &err), &err);
    memcpy(in.data, tokens, (size_t)count * sizeof *tokens);
    CHECK_OK(glia_predict(m, &in, false, &out, &err), &err);
    memcpy(logits, (const float *)out.data + (count - 1) * VOCABULARY, VOCABULARY * sizeof(float));
    glia_tensor_free(&in);
    glia_tensor_free(&out);
}

TEST(steps_say_what_the_whole_says) {
    for (size_t i = 0; i < GLIA_COUNT(models); i++) {
        glia_error err = {0};
        glia_stepper s;
        float tokens[LENGTH], expected[VOCABULARY];
        glia_model *m = language(models[i].kind, models[i].options, NULL);
        CHECK_OK(glia_model_initialize(m, 3, &err), &err);
        sharpen(m);
        for (int t = 0; t < LENGTH; t++) tokens[t] = (float)(t * 11 % VOCABULARY);
        const glia_status status = glia__stepper_new(&s, m, 2, GLIA_PRECISION_F32, &err);
        if (models[i].why)
            CHECK_ERR(status, GLIA_UNSUPPORTED, &err, models[i].why);
        else
            CHECK_OK(status, &err);
        CHECK(models[i].why || s.steps.limited == (models[i].manner == WINDOW));
        for (int64_t seen = 0, count = 11; status == GLIA_OK && seen < LENGTH; count = 1) {
            const float *logits;
            CHECK_OK(glia__stepper_take(&s, tokens + seen, count, &logits, &err), &err);
            seen += count;
            whole(m, tokens, seen, expected);
            for (int k = 0; k < VOCABULARY; k++) CHECK_NEAR(logits[k], expected[k], 1e-4);
        }
        glia__stepper_deinit(&s);
        glia_model_free(m);
    }
}

typedef struct text {
    int64_t tokens[MOST];
    int count;
} text;

static bool add(void *ctx, int64_t token) {
    text *t = ctx;
    t->tokens[t->count++] = token;
    return t->count < MOST;
}

static void keep_line(void *ctx, glia_log_level level, const char *line) {
    (void)level;
    snprintf(ctx, 200, "%s", line);
}

/* Greedy, by whole windows alone; recurrent models remember more than a window, so only a window is compared there. Models that
 * do not go by steps say so. */
TEST(tokens_are_the_same) {
    const int64_t prompt[] = {5, 1, 4, 1, 5, 9, 2, 6, 5, 3};
    enum { PROMPT = GLIA_COUNT(prompt) };
    for (size_t i = 0; models[i].manner != NOT_CAUSAL; i++) {
        char said[200] = "";
        const glia_logger logger = {.line = keep_line, .ctx = said, .level = GLIA_LOG_INFO};
        glia_error err = {0};
        text t = {.count = PROMPT};
        float window[LENGTH], logits[VOCABULARY];
        glia_model *m = language(models[i].kind, models[i].options, NULL);
        CHECK_OK(glia_model_initialize(m, 3, &err), &err);
        sharpen(m);
        memcpy(t.tokens, prompt, sizeof prompt);
        CHECK_OK(glia_generate(m, prompt, PROMPT, .tokens = 40, .top_k = 1, .on_token = add, .ctx = &t,
                               .logger = &logger, .error = &err),
                 &err);
        CHECK_INT(t.count, PROMPT + 40);
        CHECK_HAS(said, models[i].why ? models[i].why : "");
        CHECK(models[i].why || !*said);
        const int end = models[i].manner == STEPS ? LENGTH : t.count;
        int different = 0;
        for (int at = PROMPT; at < end; at++) {
            const int first = at > LENGTH ? at - LENGTH : 0;
            int best = 0;
            for (int k = first; k < at; k++) window[k - first] = (float)t.tokens[k];
            whole(m, window, at - first, logits);
            for (int k = 1; k < VOCABULARY; k++)
                if (logits[k] > logits[best]) best = k;
            CHECK_INT(t.tokens[at], best);
            different += t.tokens[at] != t.tokens[at - 1];
        }
        CHECK(different > 5);
        glia_model_free(m);
    }
}

/* Tokens are drawn as often as they are probable, and only from the most probable. */
TEST(draws) {
    glia_error err = {0};
    glia_model *m = language(models[0].kind, models[0].options, NULL);
    CHECK_OK(glia_model_initialize(m, 3, &err), &err);
    float logits[VOCABULARY];
    int drawn[VOCABULARY] = {0};
    double sum = 0;
    whole(m, (const float[]){7}, 1, logits);
    for (uint64_t seed = 0; seed < 300; seed++) {
        text t = {.count = 0};
        CHECK_OK(glia_generate(m, (const int64_t[]){7}, 1, .tokens = 1, .top_k = 5, .seed = seed,
                               .on_token = add, .ctx = &t, .error = &err),
                 &err);
        drawn[t.tokens[0]]++;
    }
    for (int k = 0, above; k < VOCABULARY; k++) {
        above = 0;
        for (int other = 0; other < VOCABULARY; other++) above += logits[other] > logits[k];
        CHECK((drawn[k] > 0) == (above < 5));
        if (above < 5) sum += exp((double)logits[k]);
    }
    for (int k = 0; k < VOCABULARY; k++)
        if (drawn[k]) CHECK_NEAR(drawn[k] / 300.0, exp((double)logits[k]) / sum, 0.12);
    glia_model_free(m);
}

TEST(when_memory_is_short) {
    const int64_t prompt[] = {1, 2, 3};
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        text t = {.count = 0};
        glia_model *m =
            language("gpt2", "vocabulary=37 length=24 layers=1 heads=2 width=8", &memory.allocator);
        glia_status status = glia_model_status(m, &err);
        if (status == GLIA_OK) status = glia_model_initialize(m, 3, &err);
        if (status == GLIA_OK)
            status = glia_generate(m, prompt, 3, .tokens = 23, .threads = 1, .on_token = add, .ctx = &t,
                                   .error = &err);
        CHECK_FAILED_ONCE(memory, status);
        CHECK(status != GLIA_OK || t.count == 23);
        glia_model_free(m);
    }
}

TEST_MAIN(TEST_ENTRY(steps_say_what_the_whole_says), TEST_ENTRY(tokens_are_the_same), TEST_ENTRY(draws),
          TEST_ENTRY(when_memory_is_short))
