/* test_attention_dropout.c: dropout of the weights of attention: which are dropped, and that nothing but seed, step and place
 * decides it. */
#include "test.h"

#include "glia/glia.h"
#include "glia/ops.h"
#include "glia/program.h"
#include "graph/graph.h"
#include "ops/random.h"

enum { N = 4, T = 70, S = 100, HEADS = 2, SIZE = 6, ELEMS = N * T * HEADS * S };

/* Attention whose results are its weights: all are 1/S, since queries are 0, and values are a unit matrix. */
typedef struct bare {
    glia_graph *graph;
    glia_value *q, *k, *v, *y;
    float *zeros, *unit;
} bare;

static void bare_open(bare *b, double dropout, int64_t stream) {
    b->graph = glia_graph_new(NULL);
    b->q = glia_graph_input(b->graph, "q", GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH, T, HEADS * SIZE));
    b->k = glia_graph_input(b->graph, "k", GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH, S, SIZE));
    b->v = glia_graph_input(b->graph, "v", GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH, S, S));
    b->y = glia_op_attention(
        b->q, b->k, b->v, NULL, NULL,
        (glia_attention_attrs){.heads = HEADS, .key_value_heads = 1, .dropout = dropout, .stream = stream});
    b->zeros = calloc(N * S * HEADS * SIZE, sizeof *b->zeros);
    b->unit = calloc(N * S * S, sizeof *b->unit);
    for (int64_t i = 0; i < N * S; i++) b->unit[i * S + i % S] = 1;
}

static void bare_close(bare *b) {
    glia_graph_free(b->graph);
    free(b->zeros);
    free(b->unit);
}

/* The weights of `count` examples, of which the first is number `first` of a larger batch. */
static void weights(bare *b, glia_program_options options, int64_t first, int64_t count, uint64_t step,
                    float *out) {
    glia_error err = {0};
    glia_program *p = NULL;
    options.dims[0] = count;
    options.seed = 5;
    glia_status status = glia_program_new(&p, b->graph, &b->y, 1, options, &err);
    if (status == GLIA_OK) status = glia_program_bind(p, b->q, b->zeros, &err);
    if (status == GLIA_OK) status = glia_program_bind(p, b->k, b->zeros, &err);
    if (status == GLIA_OK) status = glia_program_bind(p, b->v, b->unit, &err);
    if (status == GLIA_OK) glia_program_set_first(p, first);
    if (status == GLIA_OK) status = glia_program_run(p, step, &err);
    CHECK_OK(status, &err);
    if (status == GLIA_OK)
        memcpy(out, glia_program_output(p, b->y).data, (size_t)(count * T * HEADS * S) * sizeof *out);
    glia_program_free(p);
}

/* Places where both are 0, and whether all others are `value`. */
static int zeros_of_both(const float *a, const float *b, double value) {
    int both = 0;
    for (int i = 0; i < ELEMS; i++) {
        both += a[i] == 0 && b[i] == 0;
        if (a[i] != 0) CHECK_NEAR(a[i], value, 1e-6);
    }
    return both;
}

TEST(weights_are_dropped_by_place_alone) {
    static float a[ELEMS], b[ELEMS];
    const glia_program_options training = {.threads = 1, .training = GLIA_YES};
    glia_program_options other = training;
    bare dropped, sibling;
    bare_open(&dropped, 0.3, 7);
    bare_open(&sibling, 0.3, 8);
    weights(&dropped, training, 0, N, 3, a);
    CHECK_NEAR(zeros_of_both(a, a, 1 / (S * 0.7)) / (double)ELEMS, 0.3, 0.01);
    other.threads = 3;
    weights(&dropped, other, 0, N, 3, b);
    CHECK(memcmp(a, b, sizeof a) == 0);
    other.reference = GLIA_YES; /* the plain loops drop the same */
    weights(&dropped, other, 0, N, 3, b);
    CHECK_INT(zeros_of_both(b, a, 1 / (S * 0.7)), zeros_of_both(a, a, 1 / (S * 0.7)));
    weights(&dropped, training, 2, N - 2, 3, b); /* the last two, run by themselves */
    CHECK(memcmp(a + 2 * T * HEADS * S, b, sizeof a / N * (N - 2)) == 0);
    weights(&dropped, training, 0, N, 4, b);
    CHECK_NEAR(zeros_of_both(a, b, 1 / (S * 0.7)) / (double)ELEMS, 0.09, 0.01);
    weights(&sibling, training, 0, N, 3, b);
    CHECK_NEAR(zeros_of_both(a, b, 1 / (S * 0.7)) / (double)ELEMS, 0.09, 0.01);
    other.training = GLIA_NO;
    for (int reference = 0; reference < 2; reference++) {
        other.reference = reference ? GLIA_YES : GLIA_NO;
        weights(&dropped, other, 0, N, 3, b);
        CHECK_INT(zeros_of_both(b, b, 1.0 / S), 0);
    }
    bare_close(&dropped);
    bare_close(&sibling);
}

/* Many blocks at once are the blocks one by one. */
TEST(words) {
    const glia_random random = {0x123456789ABCDEFu, 0xFEDCBA987654321u};
    const uint64_t first = 0xFFFFFFFAu; /* the upper half of the counter changes on the way */
    uint32_t tile[GLIA_RANDOM_TILE], block[4];
    glia__random_tile(random, first, tile);
    for (int b = 0; b < GLIA_RANDOM_LANES; b++) {
        glia_random_block(random, first + (uint64_t)b, block);
        for (int w = 0; w < 4; w++) CHECK(tile[w * GLIA_RANDOM_LANES + b] == block[w]);
    }
}

/* Rows, heads and tiles of keys have masks of their own. */
TEST(no_two_rows_are_alike) {
    static float a[ELEMS];
    bare dropped;
    bare_open(&dropped, 0.5, 0);
    weights(&dropped, (glia_program_options){.training = GLIA_YES}, 0, N, 0, a);
    for (int64_t row = 1; row < N * T * HEADS; row++) CHECK(memcmp(a, a + row * S, S * sizeof *a) != 0);
    for (int64_t row = 0; row < N * T * HEADS; row++)
        CHECK(memcmp(a + row * S, a + row * S + 64, (S - 64) * sizeof *a) != 0);
    bare_close(&dropped);
}

static int64_t stream_of(const glia_value *y) {
    return y ? ((const glia_attention_attrs *)y->node->attrs)->stream : -1;
}

/* Two in one graph draw differently; a stream that is wanted is kept. */
TEST(streams) {
    glia_graph *g = glia_graph_new(NULL);
    glia_value *q = glia_graph_input(g, "q", GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH, 5, 12));
    glia_attention_attrs attrs = {.heads = 2, .dropout = 0.1};
    const int64_t first = stream_of(glia_op_attention(q, NULL, NULL, NULL, NULL, attrs)),
                  second = stream_of(glia_op_attention(q, NULL, NULL, NULL, NULL, attrs));
    CHECK(first > 0 && second > 0 && first != second);
    attrs.stream = 9;
    CHECK_INT(stream_of(glia_op_attention(q, NULL, NULL, NULL, NULL, attrs)), 9);
    glia_graph_free(g);
}

/* Layers hand the share on. */
TEST(layers) {
    static const char *const layers[][2] = {
        {"multi_head_attention", "heads=2 attention_dropout=0.5"},
        {"transformer_encoder", "heads=2 units=8 attention_dropout=0.5"},
        {"transformer_decoder", "heads=2 units=8 attention_dropout=0.5"},
        {"gpt2", "vocabulary=9 length=6 layers=1 heads=2 width=8 attention_dropout=0.5"},
        {"bert", "vocabulary=9 length=6 layers=1 heads=2 width=8 attention_dropout=0.5"}};
    for (size_t i = 0; i < GLIA_COUNT(layers); i++) {
        glia_model *m = glia_model_new("layers");
        const bool tokens = i > 2;
        glia_value *x = tokens ? glia_input(m, "x", .shape = {5}, .dtype = GLIA_I64)
                               : glia_input(m, "x", .shape = {5, 8});
        glia_error err = {0};
        int found = 0;
        glia_model_set_output(m, glia_apply(x, layers[i][0], layers[i][1]));
        CHECK_OK(glia_model_status(m, &err), &err);
        const glia_graph *g = glia_model_graph(m);
        for (size_t n = 0; n < g->n_nodes; n++)
            if (strcmp(g->nodes[n]->op->name, "attention") == 0)
                found += ((const glia_attention_attrs *)g->nodes[n]->attrs)->dropout == 0.5;
        CHECK_INT(found, 1);
        glia_model_free(m);
    }
}

/* Forward and backward keep nothing of the size of a matrix of queries and keys. */
TEST(memory_grows_with_the_length) {
    size_t bytes[2];
    for (int64_t k = 0; k < 2; k++) {
        glia_error err = {0};
        glia_program *p = NULL;
        glia_graph *g = glia_graph_new(NULL);
        glia_value *q = glia_graph_input(g, "q", GLIA_F32, GLIA_SHAPE(1, k ? 2048 : 1024, 96)), *dq = NULL;
        glia_value *y =
            glia_op_attention(q, NULL, NULL, NULL, NULL, (glia_attention_attrs){.heads = 2, .dropout = 0.1});
        glia_value *loss = glia_op_sum(glia_op_square(y), (glia_reduce_attrs){.keep_dims = GLIA_NO});
        CHECK_OK(glia_graph_gradients(g, loss, &q, 1, &dq, &err), &err);
        const glia_program_options options = {.threads = 2, .training = GLIA_YES, .plan_only = GLIA_YES};
        CHECK_OK(glia_program_new(&p, g, &dq, 1, options, &err), &err);
        bytes[k] = p ? glia_program_get_info(p).block_bytes : 0;
        glia_program_free(p);
        glia_graph_free(g);
    }
    CHECK(bytes[0] > 0 && bytes[1] < 2.2 * (double)bytes[0]);
    CHECK(bytes[1] < 2048 * 2048 * sizeof(float)); /* one such matrix */
}

TEST_MAIN(TEST_ENTRY(weights_are_dropped_by_place_alone), TEST_ENTRY(words),
          TEST_ENTRY(no_two_rows_are_alike), TEST_ENTRY(streams), TEST_ENTRY(layers),
          TEST_ENTRY(memory_grows_with_the_length))
