/* test_rotary.c: rotary positions against their formula, in attention, and in a network like LLaMA from a model file. */
#include "test.h"

#include "glia/glia.h"
#include "graph/graph.h"
#include "recipe/recipe.h"

enum { BATCH = 2, STEPS = 7 };

static void fill(float *x, int64_t n, uint64_t seed) {
    for (int64_t i = 0; i < n; i++) x[i] = (float)glia_random_normal((glia_random){seed, 1}, (uint64_t)i);
}

/* Outputs of the model for inputs [BATCH, STEPS, width]; false when there are none. */
static bool run(glia_model *m, const float *x, float *y, int64_t elems) {
    glia_error err = {0};
    glia_program *p = NULL;
    glia_value *output = glia_model_output(m);
    glia_status status = glia_model_status(m, &err);
    if (status == GLIA_OK)
        status = glia_program_new(&p, glia_model_graph(m), &output, 1,
                                  (glia_program_options){.dims = {BATCH}, .threads = 2}, &err);
    if (status == GLIA_OK) status = glia_program_bind(p, glia_model_input(m, 0), (void *)(uintptr_t)x, &err);
    for (size_t i = 0; i < glia_model_params(m) && status == GLIA_OK; i++)
        status = glia_program_bind(p, glia_model_param_value(m, i), glia_model_param_data(m, i).data, &err);
    if (status == GLIA_OK) status = glia_program_run(p, 0, &err);
    CHECK_OK(status, &err);
    if (status == GLIA_OK) {
        const glia_tensor found = glia_program_output(p, output);
        CHECK_INT(glia_shape_elems(&found.shape), elems);
        memcpy(y, found.data, (size_t)elems * sizeof *y);
    }
    glia_program_free(p);
    return status == GLIA_OK;
}

/* --- the formula -------------------------------------------------------------------------------------------------- */

typedef struct turning {
    const char *options;
    int heads, size, turned; /* numbers of a head, and of them those that are turned */
    double base;
    bool neighbours;
} turning;

/* The numbers of one head at step t. */
static void turn(const turning *o, int64_t t, float *x) {
    for (int i = 0; i < o->turned / 2; i++) {
        const int first = o->neighbours ? 2 * i : i, second = o->neighbours ? 2 * i + 1 : i + o->turned / 2;
        const double angle = (double)t / pow(o->base, 2.0 * i / o->turned), a = (double)x[first],
                     b = (double)x[second];
        x[first] = (float)(a * cos(angle) - b * sin(angle));
        x[second] = (float)(a * sin(angle) + b * cos(angle));
    }
}

TEST(the_formula) {
    static const turning cases[] = {{NULL, 1, 12, 12, 10000, false},
                                    {"2", 2, 6, 6, 10000, false},
                                    {"heads=3 interleaved=yes", 3, 4, 4, 10000, true},
                                    {"heads=2 size=4 base=500", 2, 6, 4, 500, false},
                                    {"size=10 base=100 interleaved=yes", 1, 12, 10, 100, true}};
    enum { WIDTH = 12, ELEMS = BATCH * STEPS * WIDTH };
    float x[ELEMS], y[ELEMS], expected[ELEMS];
    fill(x, ELEMS, 3);
    for (size_t i = 0; i < GLIA_COUNT(cases); i++) {
        const turning *o = &cases[i];
        glia_model *m = glia_model_new("formula");
        glia_value *in = glia_input(m, "x", .shape = {STEPS, WIDTH});
        glia_model_set_output(m, glia_apply(in, "rotary_embedding", o->options));
        memcpy(expected, x, sizeof x);
        for (int64_t row = 0; row < BATCH * STEPS; row++)
            for (int h = 0; h < o->heads; h++) turn(o, row % STEPS, expected + row * WIDTH + h * o->size);
        if (run(m, x, y, ELEMS))
            for (int k = 0; k < ELEMS; k++) CHECK_NEAR(y[k], expected[k], 1e-6);
        glia_model_free(m);
    }
}

/* What makes them positions of attention: the product of two turned vectors depends on how far apart they are. */
TEST(products_depend_on_the_distance) {
    enum { WIDTH = 8, ELEMS = BATCH * STEPS * WIDTH };
    float x[ELEMS], y[ELEMS];
    float vectors[BATCH][WIDTH]; /* each example has one, in every step */
    fill(vectors[0], BATCH * WIDTH, 5);
    for (int row = 0; row < BATCH * STEPS; row++)
        memcpy(x + row * WIDTH, vectors[row / STEPS], sizeof vectors[0]);
    glia_model *m = glia_model_new("distance");
    glia_value *in = glia_input(m, "x", .shape = {STEPS, WIDTH});
    glia_model_set_output(m, glia_apply(in, "rotary_embedding", "2"));
    if (run(m, x, y, ELEMS))
        for (int distance = 0; distance < STEPS; distance++) {
            double products[STEPS] = {0};
            for (int t = 0; t + distance < STEPS; t++)
                for (int d = 0; d < WIDTH; d++)
                    products[t] += (double)y[(t + distance) * WIDTH + d] * (double)y[(STEPS + t) * WIDTH + d];
            for (int t = 1; t + distance < STEPS; t++) CHECK_NEAR(products[t], products[0], 1e-5);
        }
    glia_model_free(m);
}

/* --- attention ----------------------------------------------------------------------------------------------------- */

enum { HEADS = 4, KEY_HEADS = 2, SIZE = 6, WIDTH = 10, ALL = (HEADS + 2 * KEY_HEADS) * SIZE };

/* out = W·x, [rows, in] by a weight [units, in]. */
static void multiply(const float *weight, const float *x, float *out, int units, int in) {
    for (int u = 0; u < units; u++) {
        double sum = 0;
        for (int k = 0; k < in; k++) sum += (double)weight[u * in + k] * (double)x[k];
        out[u] = (float)sum;
    }
}

/* Causal attention of one example, by the definition. */
static void attend(const turning *o, const float *in_proj, const float *out_proj, const float *x, float *y) {
    float rows[STEPS][ALL], heads[HEADS * SIZE];
    for (int t = 0; t < STEPS; t++) {
        multiply(in_proj, x + t * WIDTH, rows[t], ALL, WIDTH);
        for (int h = 0; h < HEADS + KEY_HEADS; h++) turn(o, t, rows[t] + h * SIZE);
    }
    for (int t = 0; t < STEPS; t++) {
        for (int h = 0; h < HEADS; h++) {
            const int from = HEADS + h / (HEADS / KEY_HEADS);
            double share[STEPS];
            double sum = 0;
            for (int s = 0; s <= t; s++) {
                double score = 0;
                for (int d = 0; d < SIZE; d++)
                    score += (double)rows[t][h * SIZE + d] * (double)rows[s][from * SIZE + d];
                sum += share[s] = exp(score / sqrt(SIZE));
            }
            for (int d = 0; d < SIZE; d++) {
                double total = 0;
                for (int s = 0; s <= t; s++)
                    total += share[s] / sum * (double)rows[s][(from + KEY_HEADS) * SIZE + d];
                heads[h * SIZE + d] = (float)total;
            }
        }
        multiply(out_proj, heads, y + t * WIDTH, WIDTH, HEADS * SIZE);
    }
}

TEST(queries_and_keys_are_turned) {
    static const turning cases[] = {
        {"positions=rotary", 0, SIZE, SIZE, 10000, false},
        {"positions=rotary rotary_base=100 rotary_size=4 rotary_interleaved=yes", 0, SIZE, 4, 100, true}};
    enum { ELEMS = BATCH * STEPS * WIDTH };
    float x[ELEMS], y[ELEMS], expected[ELEMS];
    fill(x, ELEMS, 8);
    for (size_t i = 0; i < GLIA_COUNT(cases); i++) {
        glia_error err = {0};
        char options[200];
        snprintf(options, sizeof options, "heads=4 key_value_heads=2 head_size=6 causal=yes use_bias=no %s",
                 cases[i].options);
        glia_model *m = glia_model_new("attention");
        glia_value *in = glia_input(m, "x", .shape = {STEPS, WIDTH});
        glia_model_set_output(m, glia_layer(m, "multi_head_attention", "a", &in, 1, options));
        CHECK_OK(glia_model_initialize(m, 4, &err), &err);
        const float *in_proj = glia_model_get_param(m, "a.in_proj_weight").data,
                    *out_proj = glia_model_get_param(m, "a.out_proj.weight").data;
        for (int n = 0; n < BATCH; n++)
            attend(&cases[i], in_proj, out_proj, x + n * STEPS * WIDTH, expected + n * STEPS * WIDTH);
        if (run(m, x, y, ELEMS))
            for (int k = 0; k < ELEMS; k++) CHECK_NEAR(y[k], expected[k], 1e-5);
        glia_model_free(m);
    }
}

/* Layers with the same angles share them. */
TEST(angles_are_kept_once) {
    glia_model *m = glia_model_new("shared");
    glia_value *x = glia_input(m, "x", .shape = {STEPS, 8});
    x = glia_apply(x, "transformer_encoder", "layers=3 heads=2 positions=rotary");
    glia_model_set_output(m,
                          glia_apply(x, "multi_head_attention", "heads=2 positions=rotary rotary_base=99"));
    glia_error err = {0};
    int constants = 0;
    CHECK_OK(glia_model_status(m, &err), &err);
    const glia_graph *g = glia_model_graph(m);
    for (size_t i = 0; i < g->n_values; i++)
        constants += g->values[i]->kind == GLIA_VALUE_CONST && g->values[i]->type.shape.rank == 2;
    CHECK_INT(constants, 4);
    glia_model_free(m);
}

/* --- a network like LLaMA -------------------------------------------------------------------------------------------- */

enum { COUNT = 64, LENGTH = 8, WORDS = 5, BACK = 2 };

/* Random words, and at each step the word two steps before it: only who knows positions can tell. */
static glia_dataset *words_before(float (*x)[LENGTH], int64_t (*y)[LENGTH]) {
    glia_error err = {0};
    glia_dataset *data = NULL;
    for (int64_t i = 0; i < COUNT; i++)
        for (int64_t t = 0; t < LENGTH; t++) {
            x[i][t] = (float)glia_random_below((glia_random){9, 1}, (uint64_t)(i * LENGTH + t), WORDS);
            y[i][t] = t < BACK ? GLIA_IGNORED : (int64_t)x[i][t - BACK];
        }
    glia_tensor tx = glia_tensor_wrap(x, GLIA_F32, GLIA_SHAPE(COUNT, LENGTH)),
                ty = glia_tensor_wrap(y, GLIA_I64, GLIA_SHAPE(COUNT, LENGTH));
    CHECK_OK(glia_dataset_wrap(&data, &tx, &ty, WORDS, &err), &err);
    return data;
}

static glia_model *llama(const char *positions) {
    static const char format[] =
        "data: {source: mnist}\n"
        "model:\n  - embedding: {vocabulary: 5, units: 16}\n  - block\n  - rms_norm\n"
        "  - dense: {units: 5, use_bias: no}\n"
        "blocks:\n  block:\n"
        "    - rms_norm\n"
        "    - multi_head_attention: {heads: 4, key_value_heads: 2, causal: yes, use_bias: no, "
        "positions: %s}\n"
        "    - add: {inputs: [multi_head_attention, input], name: attended}\n"
        "    - rms_norm: {name: norm}\n"
        "    - dense: {units: 32, use_bias: no}\n"
        "    - swiglu\n"
        "    - dense: {units: 16, use_bias: no, name: down}\n"
        "    - add: {inputs: [down, attended]}\n";
    char text[1200];
    glia_error err = {0};
    glia_recipe *r = NULL;
    glia_model *m = NULL;
    snprintf(text, sizeof text, format, positions);
    CHECK_OK(glia__recipe_parse(&r, "llama.yaml", text, strlen(text), NULL, 0, NULL, &err), &err);
    if (r) CHECK_OK(glia_recipe_model(r, GLIA_SHAPE(LENGTH), WORDS, &m, NULL, &err), &err);
    glia_recipe_free(r);
    return m;
}

static double accuracy_with(const char *positions, glia_dataset *data) {
    glia_error err = {0};
    glia_model *m = llama(positions);
    CHECK_OK(glia_fit(m, data, .epochs = 30, .batch_size = 16, .seed = 1, .threads = 1,
                      .optimizer = glia_adam(.learning_rate = 0.01), .error = &err),
             &err);
    const double accuracy = glia_evaluate(m, data, .error = &err).accuracy;
    glia_model_free(m);
    return accuracy;
}

TEST(a_small_llama_learns) {
    static float x[COUNT][LENGTH];
    static int64_t y[COUNT][LENGTH];
    glia_dataset *data = words_before(x, y);
    const double rotary = accuracy_with("rotary", data), none = accuracy_with("none", data);
    CHECK(rotary > 0.95 && none < 0.8);
    glia_dataset_free(data);
}

/* --- messages -------------------------------------------------------------------------------------------------------- */

/* `build` fails with an error that contains `part`. */
#define BAD(part, build)                                                          \
    do {                                                                          \
        glia_error err = {0};                                                     \
        glia_model *m = glia_model_new("bad");                                    \
        glia_value *x = glia_input(m, "x", .shape = {5, 6});                      \
        glia_value *row = glia_input(m, "row", .shape = {6});                     \
        glia_value *tokens = glia_input(m, "t", .shape = {5}, .dtype = GLIA_I64); \
        (void)x, (void)row, (void)tokens;                                         \
        CHECK(!(build));                                                          \
        CHECK(glia_model_status(m, &err) != GLIA_OK);                             \
        CHECK_HAS(err.message, part);                                             \
        glia_model_free(m);                                                       \
    } while (0)

TEST(messages) {
    BAD("rotary_embedding 'rotary_embedding' turns pairs of numbers, but 3 of a head are to be turned",
        glia_apply(x, "rotary_embedding", "2"));
    BAD("'rotary_embedding' has 4 heads, which do not divide the width of 6",
        glia_apply(x, "rotary_embedding", "4"));
    BAD("turns 4 numbers of a head, which has 2", glia_apply(x, "rotary_embedding", "heads=3 size=4"));
    BAD("expects a sequence of vectors per example (steps×width), got 6",
        glia_apply(row, "rotary_embedding", NULL));
    BAD("multi_head_attention 'a' turns pairs of numbers, but 3 of a head",
        glia_layer(m, "multi_head_attention", "a", &x, 1, "heads=2 positions=rotary"));
    BAD("multi_head_attention 'a' looks at another sequence; rotary positions are those of one",
        glia_layer(m, "multi_head_attention", "a", (glia_value *[]){x, x}, 2, "heads=3 positions=rotary"));
    BAD("self_attn' turns pairs of numbers, but 3 of a head",
        glia_apply(x, "transformer_encoder", "heads=2 positions=rotary"));
    BAD("gpt2 'gpt2' turns pairs of numbers, but 3 of a head",
        glia_apply(tokens, "gpt2", "heads=2 width=6 positions=rotary"));
}

TEST_MAIN(TEST_ENTRY(the_formula), TEST_ENTRY(products_depend_on_the_distance),
          TEST_ENTRY(queries_and_keys_are_turned), TEST_ENTRY(angles_are_kept_once),
          TEST_ENTRY(a_small_llama_learns), TEST_ENTRY(messages))
