/* test_transformer.c: attention layers, Transformers and the networks made of them: shapes, parameters, messages, and what must
 * hold of their numbers whatever the weights are. Beside PyTorch: test_parity_transformers.sh. */
#include "test.h"

#include "glia/glia.h"

static glia_tensor run(glia_model *m, glia_program **program, const void *const *inputs, int64_t batch,
                       glia_error *err) {
    glia_value *output = glia_model_output(m);
    glia_status status = glia_model_initialize(m, 7, err);
    if (status == GLIA_OK)
        status = glia_program_new(program, glia_model_graph(m), &output, 1,
                                  (glia_program_options){.dims = {batch}}, err);
    for (size_t i = 0; i < glia_model_params(m) && status == GLIA_OK; i++)
        status =
            glia_program_bind(*program, glia_model_param_value(m, i), glia_model_param_data(m, i).data, err);
    for (int i = 0; inputs[i] && status == GLIA_OK; i++)
        status = glia_program_bind(*program, glia_model_input(m, i), (void *)inputs[i], err);
    if (status == GLIA_OK) status = glia_program_run(*program, 0, err);
    CHECK_OK(status, err);
    return status == GLIA_OK ? glia_program_output(*program, output) : (glia_tensor){0};
}

static void fill(float *x, int64_t n, uint64_t seed) {
    const glia_random random = {seed, 1};
    for (int64_t i = 0; i < n; i++) x[i] = (float)glia_random_normal(random, (uint64_t)i);
}

TEST(published_sizes) {
    static const struct {
        const char *kind, *options;
        int64_t params;
    } nets[] = {{"gpt2", "", 124439808},
                {"gpt2", "layers=24 heads=16 width=1024", 354823168},
                {"gpt2", "vocabulary=65 length=64 layers=4 heads=4 width=128", 809856},
                {"bert", "classes=2", 109483778},
                {"bert", "vocabulary=100 length=16 layers=1 heads=2 width=8 units=16",
                 800 + 128 + 16 + 16 + 4 * 72 + 16 + 144 + 136 + 16}};
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        glia_error err = {0};
        glia_model *m = glia_model_new("net");
        glia_value *x = glia_input(m, "tokens", .shape = {16}, .dtype = GLIA_I64);
        glia_model_set_output(m, glia_apply(x, nets[i].kind, nets[i].options));
        CHECK_OK(glia_model_status(m, &err), &err);
        CHECK_INT(glia_model_param_count(m), nets[i].params);
        glia_model_free(m);
    }
}

TEST(names) {
    glia_error err = {0};
    glia_model *m = glia_model_new("names");
    glia_value *x = glia_input(m, "x", .shape = {5, 8}), *memory = glia_input(m, "memory", .shape = {3, 8});
    glia_value *ids = glia_input(m, "ids", .shape = {4}, .dtype = GLIA_I64);
    x = glia_layer(m, "transformer_encoder", "encoder", &x, 1, "layers=2 heads=2 activation=swiglu norm=pre");
    x = glia_layer(m, "transformer_decoder", "decoder", (glia_value *[]){x, memory}, 2, "heads=2 units=16");
    (void)glia_apply(ids, "gpt2", "vocabulary=9 layers=1 heads=2 width=4");
    glia_model_set_output(m, x);
    CHECK_OK(glia_model_status(m, &err), &err);
    static const char *const names[] = {"encoder.layers.1.self_attn.in_proj_weight",
                                        "encoder.layers.1.self_attn.out_proj.bias",
                                        "encoder.layers.0.linear3.weight",
                                        "encoder.norm.weight",
                                        "decoder.layers.0.multihead_attn.in_proj_bias",
                                        "decoder.layers.0.norm3.bias",
                                        "wte.weight",
                                        "wpe.weight",
                                        "h.0.attn.c_attn.weight",
                                        "h.0.mlp.c_proj.bias",
                                        "ln_f.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool found = false;
        for (size_t p = 0; p < glia_model_params(m); p++)
            found |= strcmp(glia_value_name(glia_model_param_value(m, p)), names[i]) == 0;
        if (!found) printf("no parameter '%s'\n", names[i]);
        CHECK(found);
    }
    glia_model_free(m);
}

/* A causal model's answer to a step does not depend on what comes later. */
TEST(the_future_is_not_seen) {
    enum { N = 2, T = 6, V = 11 };
    glia_error err = {0};
    glia_program *program = NULL;
    int64_t tokens[N * T];
    float before[N * T * V];
    for (int i = 0; i < N * T; i++) tokens[i] = i * 5 % V;
    for (int turn = 0; turn < 2; turn++) {
        glia_model *m = glia_model_new("gpt");
        glia_value *x = glia_input(m, "tokens", .shape = {T}, .dtype = GLIA_I64);
        glia_model_set_output(m, glia_apply(x, "gpt2", "vocabulary=11 length=8 layers=2 heads=2 width=12"));
        if (turn) tokens[T - 1] = tokens[2 * T - 1] = 0, tokens[T - 2] = 1;
        glia_tensor y = run(m, &program, (const void *[]){tokens, NULL}, N, &err);
        CHECK(y.data != NULL);
        if (turn) {
            CHECK(memcmp(y.data, before, sizeof(float) * (T - 2) * V) == 0);
            CHECK(memcmp((float *)y.data + (T - 2) * V, before + (T - 2) * V, sizeof(float) * V) != 0);
        } else {
            memcpy(before, y.data, sizeof before);
        }
        glia_program_free(program);
        glia_model_free(m);
    }
}

/* A sequence among longer ones, with its length or a mask, gives what it gives by itself. */
TEST(padding_is_not_seen) {
    enum { T = 6, SHORT = 4, C = 8 };
    float x[2 * T * C], alone[SHORT * C];
    const int64_t lengths[] = {T, SHORT};
    uint8_t seen[2 * T];
    glia_error err = {0};
    fill(x, 2 * T * C, 3);
    for (int i = 0; i < 2 * T; i++) seen[i] = i < T + SHORT;
    for (int way = 0; way < 3; way++) {
        glia_model *m = glia_model_new("padded");
        glia_program *program = NULL;
        glia_value *in[2] = {glia_input(m, "x", .shape = {way ? T : SHORT, C})};
        if (way == 1) in[1] = glia_input(m, "lengths", .dtype = GLIA_I64);
        if (way == 2) in[1] = glia_input(m, "seen", .shape = {T}, .dtype = GLIA_BOOL);
        glia_model_set_output(
            m, glia_layer(m, "transformer_encoder", NULL, in, way ? 2 : 1, "layers=2 heads=2"));
        const void *inputs[] = {way ? x : x + T * C,
                                way == 1   ? (const void *)lengths
                                : way == 2 ? seen
                                           : NULL,
                                NULL};
        glia_tensor y = run(m, &program, inputs, way ? 2 : 1, &err);
        if (y.data && !way) memcpy(alone, y.data, sizeof alone);
        for (int i = 0; y.data && way && i < SHORT * C; i++)
            CHECK_NEAR(((float *)y.data)[T * C + i], alone[i], 1e-5);
        glia_program_free(program);
        glia_model_free(m);
    }
}

/* An embedding with mask_zero tells the layers behind it, whatever stands between, how long the sequences go. */
TEST(padding_of_an_embedding_is_not_seen) {
    enum { T = 6, SHORT = 4, C = 8 };
    static const char *const kinds[] = {"transformer_encoder", "transformer_decoder", "multi_head_attention"};
    const int64_t tokens[2 * T] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 0, 0};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        float alone[SHORT * C];
        for (int way = 0; way < 2; way++) {
            glia_error err = {0};
            glia_program *program = NULL;
            glia_model *m = glia_model_new("padded");
            glia_value *x = glia_input(m, "tokens", .shape = {way ? T : SHORT}, .dtype = GLIA_I64);
            x = glia_embedding(x, .vocabulary = 10, .units = C, .mask_zero = GLIA_YES);
            x = glia_layer_norm(glia_apply(x, "positional_embedding", "kind=sinusoidal"));
            glia_model_set_output(m, glia_apply(x, kinds[k], "heads=2"));
            glia_tensor y =
                run(m, &program, (const void *[]){way ? tokens : tokens + T, NULL}, 1 + way, &err);
            if (y.data && !way) memcpy(alone, y.data, sizeof alone);
            for (int i = 0; y.data && way && i < SHORT * C; i++)
                CHECK_NEAR(((float *)y.data)[T * C + i], alone[i], 1e-5);
            glia_program_free(program);
            glia_model_free(m);
        }
    }
}

#define PAIR(a, b) ((glia_value *[]){(a), (b)})
/* `build` fails with an error that contains `part`. */
#define BAD(part, build)                                                         \
    do {                                                                         \
        glia_error err = {0};                                                    \
        glia_model *m = glia_model_new("bad");                                   \
        glia_value *x = glia_input(m, "x", .shape = {5, 6});                     \
        glia_value *ids = glia_input(m, "ids", .shape = {5}, .dtype = GLIA_I64); \
        (void)x, (void)ids;                                                      \
        CHECK(!(build));                                                         \
        CHECK(glia_model_status(m, &err) != GLIA_OK);                            \
        CHECK_HAS(err.message, part);                                            \
        glia_model_free(m);                                                      \
    } while (0)

TEST(messages) {
    BAD("multi_head_attention 'multi_head_attention' has 4 heads, which do not divide the width of 6",
        glia_apply(x, "multi_head_attention", "4"));
    BAD("has 3 heads, which 2 key_value_heads do not divide",
        glia_apply(x, "multi_head_attention", "heads=3 key_value_heads=2"));
    BAD("expects a sequence of vectors per example (steps×width), got 5",
        glia_layer(m, "multi_head_attention", "a", &ids, 1, "heads=1"));
    BAD("'a' cannot use its input 2, i64 of 5 per example",
        glia_layer(m, "multi_head_attention", "a", PAIR(x, ids), 2, "heads=1"));
    BAD("looks at another sequence, which cannot be causal",
        glia_layer(m, "multi_head_attention", "a", PAIR(x, x), 2, "heads=1 causal=yes"));
    BAD("positional_embedding 'p' has 4 positions, but a sequence has 5 steps",
        glia_layer(m, "positional_embedding", "p", &x, 1, "4"));
    BAD("positional_embedding 'wpe' has 4 positions, but a sequence has 5 steps",
        glia_apply(ids, "gpt2", "length=4"));
    BAD("gpt2 'gpt2' expects numbers of tokens, [steps] per example, got 5×6", glia_apply(x, "gpt2", ""));
    BAD("gpt2 'gpt2' has 5 heads, which do not divide the width of 768", glia_apply(ids, "gpt2", "heads=5"));
    BAD("transformer_encoder 'e' looks at its own sequence only",
        glia_layer(m, "transformer_encoder", "e", PAIR(x, x), 2, "heads=1"));
    BAD("bert 'bert' cannot use its input 1, f32 of 5×6 per example", glia_apply(x, "bert", ""));
}

TEST_MAIN(TEST_ENTRY(published_sizes), TEST_ENTRY(names), TEST_ENTRY(the_future_is_not_seen),
          TEST_ENTRY(padding_is_not_seen), TEST_ENTRY(padding_of_an_embedding_is_not_seen),
          TEST_ENTRY(messages))
