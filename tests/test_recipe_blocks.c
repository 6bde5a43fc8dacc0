/* test_recipe_blocks.c: blocks, shared weights, frozen layers and networks of the zoo in a model file. */
#include "test.h"

#include "failing_allocator.h"
#include "recipe/recipe.h"

static const char file[] = "test_recipe_blocks.yaml";

static glia_status load(glia_recipe **recipe, const char *text, const glia_allocator *allocator,
                        glia_error *err) {
    return glia__recipe_parse(recipe, file, text, strlen(text), NULL, 0, allocator, err);
}

#define DATA "data: {source: mnist}\n"

static glia_model *build(const char *text, char *resolved, size_t capacity) {
    glia_recipe *r = NULL;
    glia_model *m = NULL;
    glia_error err = {0};
    CHECK_OK(load(&r, text, NULL, &err), &err);
    if (!r) return NULL;
    CHECK_OK(glia_recipe_model(r, GLIA_SHAPE(1, 8, 8), 10, &m, NULL, &err), &err);
    if (resolved) snprintf(resolved, capacity, "%s", glia_recipe_resolved(r));
    glia_recipe_free(r);
    return m;
}

/* The error line of a file that is refused, when it is read or when it is built. */
static void refused(const char *text, const char *expected) {
    glia_recipe *r = NULL;
    glia_model *m = NULL;
    glia_error err = {0};
    char line[900];
    if (load(&r, text, NULL, &err) == GLIA_OK)
        CHECK(glia_recipe_model(r, GLIA_SHAPE(1, 8, 8), 10, &m, NULL, &err) != GLIA_OK);
    CHECK_HAS(glia_error_text(&err, line, sizeof line), expected);
    glia_model_free(m);
    glia_recipe_free(r);
}

static bool has(const glia_model *m, const char *param, bool trained) {
    for (size_t i = 0; i < glia_model_params(m); i++)
        if (strcmp(glia_value_name(glia_model_param_value(m, i)), param) == 0)
            return glia_model_param_trained(m, i) == trained;
    return false;
}

static const char residual[] = DATA
    "model:\n  - conv2d: {filters: 4, kernel: 3, padding: 1}\n  - residual: 2\n  - residual: {name: last}\n"
    "  - flatten\n  - dense: 10\n"
    "blocks:\n"
    "  half:\n    - conv2d: {filters: 4, kernel: 3, padding: same}\n    - batch_norm\n"
    "  residual:\n    - half: {name: first}\n    - relu\n    - half\n    - add: {inputs: [half, input]}\n";

TEST(blocks) {
    char text[4000];
    glia_model *m = build(residual, text, sizeof text);
    CHECK(has(m, "residual.0.first.conv2d.weight", true) && has(m, "residual.1.half.conv2d.bias", true));
    CHECK(has(m, "last.first.batch_norm.weight", true) && has(m, "last.half.batch_norm.running_mean", false));
    CHECK_INT(glia_model_param_count(m), 4 * 9 + 4 + 6 * (4 * 4 * 9 + 4 + 4 * 4) + 256 * 10 + 10);
    glia_model *again = build(text, NULL, 0);
    CHECK_INT(again ? glia_model_params(again) : 0, glia_model_params(m));
    CHECK(has(again, "residual.1.half.conv2d.bias", true));
    glia_model_free(m);
    glia_model_free(again);
}

TEST(block_refusals) {
    refused(DATA "blocks:\n  a: [a]\nmodel: [a]\n", ":3:7: block 'a' is made of itself");
    refused(DATA "blocks:\n  a:\n    - relu\n    - b: 2\n  b: [a]\nmodel: [a]\n",
            ":5:7: block 'a' uses block 'b', which stands later");
    refused(DATA "blocks:\n  dense: [relu]\nmodel: [dense: 3]\n",
            ":3:3: blocks: 'dense' is the name of a layer");
    refused(DATA "blocks:\n  a b: [relu]\nmodel: [relu]\n",
            ":3:3: blocks: expected a name of up to 48 letters");
    refused(DATA "blocks:\n  a: relu\nmodel: [a]\n", ":3:3: a: expected a list of layers");
    refused(DATA "blocks: [relu]\nmodel: [relu]\n", ":2:1: blocks: expected settings as a mapping");
    refused(DATA "blocks:\n  stem: [relu]\nmodel: [stom]\n",
            ":4:9: unknown layer 'stom' (did you mean stem?)");
    refused(DATA "blocks:\n  a: [relu, relu: {inputs: b}]\nmodel: [a]\n", "unknown input 'b'");
    refused(DATA "blocks:\n  a: [onnx: x.onnx]\nmodel: [a]\n", "a layer with a file cannot stand in a block");
    refused(DATA "blocks:\n  a: [relu]\nmodel: [a: 0]\n",
            ":4:12: repeat: expected an integer from 1 to 1000");
    /* The place is that of the layer in the block. */
    refused(DATA "blocks:\n  a:\n    - relu\n    - dense: 3\nmodel:\n  - a: {name: x}\n",
            ":5:7: dense 'x.dense' expects a vector per example");
}

TEST(shared) {
    char text[3000];
    glia_model *shared = build(DATA "blocks:\n  two:\n    - dense: 16\n    - relu\n"
                                    "model:\n  - flatten\n  - dense: {units: 16, name: first}\n  - two\n"
                                    "  - two: {share: two, name: again}\n  - dense: 16\n"
                                    "  - dense: {share: dense}\n  - dense: 10\n",
                               text, sizeof text);
    CHECK_INT(glia_model_param_count(shared), 64 * 16 + 16 + 2 * (16 * 16 + 16) + 16 * 10 + 10);
    CHECK(has(shared, "two.dense.weight", true) && !has(shared, "again.dense.weight", true));
    CHECK_HAS(text, "- two: {share: two, name: again}");
    CHECK_HAS(text, "- dense: {share: dense, name: dense_1}");
    glia_model_free(shared);
    refused(DATA "model: [flatten, dense: {share: encoder}]\n", "unknown layer 'encoder'");
    refused(DATA "model: [flatten, dense: {share: later}, dense: {units: 10, name: later}]\n",
            "share: layer 'later' stands later, on line 2; the layer whose weights are shared");
    refused(DATA "model: [flatten, dense: {share: flatten}]\n",
            "share: 'flatten' is a layer flatten, this one is dense");
    refused(DATA "model: [flatten, dense: {units: 10, name: a}, dense: {share: a, units: 3}]\n",
            "units: a layer with `share` has the settings of 'a'");
    refused(DATA "model:\n  - flatten\n  - dense: {units: 10, name: a}\n  - dense: {share: a}\n",
            ":5:5: dense 'dense': 'dense.weight' of shape 10×10 cannot share 'a.weight' of shape 10×64");
}

TEST(frozen) {
    char text[3000];
    glia_model *m =
        build(DATA "model:\n  - conv2d: {filters: 3, kernel: 3}\n"
                   "  - resnet: {depth: 18, classes: 8, stem: cifar, trainable: no}\n  - dense: 10\n",
              text, sizeof text);
    CHECK(has(m, "conv1.weight", false) && has(m, "layer4.1.bn2.bias", false) &&
          has(m, "dense.weight", true));
    CHECK(has(m, "conv2d.weight", true));
    CHECK_HAS(text, "- resnet: {depth: 18, classes: 8, stem: cifar, trainable: no}\n");
    glia_model *again = build(text, NULL, 0);
    CHECK(has(again, "conv1.weight", false));
    glia_model_free(m);
    glia_model_free(again);
    m = build(DATA "model:\n  - resnet: {depth: 18, classes: 8, stem: cifar, name: body}\n  - dense: 10\n",
              NULL, 0);
    CHECK(has(m, "body.layer4.1.bn2.bias", true));
    glia_model_free(m);
    m = build(DATA "model: [flatten, dense: {units: 10, learning_rate_scale: 0.1}]\n", text, sizeof text);
    CHECK_HAS(text, "learning_rate_scale: 0.1, name: dense}");
    glia_model_free(m);
    refused(DATA "model: [flatten, dense: {units: 10, learning_rate_scale: -1}]\n",
            "learning_rate_scale: expected");
    refused(DATA "model: [flatten, dense: {units: 10, trainable: perhaps}]\n",
            "trainable: expected yes or no");
}

TEST(out_of_memory) {
    FOR_EACH_FAILURE(memory) {
        glia_recipe *r = NULL;
        glia_model *m = NULL;
        glia_error err = {0};
        glia_status status = load(&r, residual, &memory.allocator, &err);
        if (status == GLIA_OK) status = glia_recipe_model(r, GLIA_SHAPE(1, 8, 8), 10, &m, NULL, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_model_free(m);
        glia_recipe_free(r);
    }
}

/* The states that a recurrent layer ends with are inputs of later ones. */
TEST(results) {
    char text[4000];
    glia_model *m = build(DATA "model:\n"
                               "  - flatten\n  - reshape: [8, 8]\n"
                               "  - lstm: {units: 5, layers: 2, return_sequences: yes, name: encoder}\n"
                               "  - gru: {units: 5, reverse: yes, return_sequences: yes, inputs: reshape}\n"
                               "  - lstm: {units: 10, inputs: [gru, encoder.h, encoder.c], name: decoder}\n"
                               "  - dense: {units: 10, inputs: decoder.c}\n",
                          text, sizeof text);
    CHECK(has(m, "encoder.weight_hh_l1", true) && has(m, "decoder.weight_ih", true));
    CHECK_HAS(text, "inputs: [gru, encoder.h, encoder.c]");
    glia_model_free(m);
    refused(DATA "model: [reshape: [8, 8], gru: {units: 5, name: a}, dense: {units: 10, inputs: a.c}]\n",
            "inputs: 'a' has no result 'c'; besides the usual one it has h");
    refused(DATA "model: [flatten, dense: {units: 10, inputs: flatten.h}]\n",
            "inputs: 'flatten' has no result 'h'");
    refused(DATA "model: [reshape: [8, 8], lstm: {units: 5, name: a}, dense: {units: 10, inputs: b.h}]\n",
            "unknown input 'b'");
    refused(DATA
            "model: [reshape: [8, 8], gru: {units: 5, name: a}, lstm: {units: 4, inputs: [reshape, a.h]}]\n",
            "lstm 'lstm' expects a state h of 4 numbers (f32) per example, got f32 of 5");
}

TEST_MAIN(TEST_ENTRY(results), TEST_ENTRY(blocks), TEST_ENTRY(block_refusals), TEST_ENTRY(shared),
          TEST_ENTRY(frozen), TEST_ENTRY(out_of_memory))
