/* test_bad_models.c: model files whose layers do not fit each other or their data: each is refused with the line of the file, the
 * layer's name, and what was expected and found; and batches whose numbers are out of range, named by the layer that met them. */
#include "test.h"

#include "glia/glia.h"
#include "recipe/recipe.h"

static const char file[] = "bad.yaml";

typedef struct bad_model {
    const char *layers;   /* the list of `model`, from line 3 on */
    const char *expected; /* the error as it is printed begins so, or contains it */
    glia_shape shape;     /* of an example */
} bad_model;

static void check_refused(const bad_model *bad) {
    char text[2000], line[900];
    glia_recipe *r = NULL;
    glia_model *m = NULL;
    glia_error err = {0};
    snprintf(text, sizeof text, "data: {source: mnist}\nmodel:\n%s", bad->layers);
    if (glia__recipe_parse(&r, file, text, strlen(text), NULL, 0, NULL, &err) == GLIA_OK)
        CHECK(glia_recipe_model(r, bad->shape, 0, &m, NULL, &err) != GLIA_OK);
    CHECK_HAS(glia_error_text(&err, line, sizeof line), bad->expected);
    glia_model_free(m);
    glia_recipe_free(r);
}

#define REFUSED(shape, expected, layers) check_refused(&(bad_model){layers, expected, shape})
#define IMAGE                            GLIA_SHAPE(3, 8, 8)
#define VECTOR                           GLIA_SHAPE(10)
#define STEPS                            GLIA_SHAPE(5, 6)
#define TOKENS                           GLIA_SHAPE(5)

/* --- names, and what stands before what -------------------------------------------------------------------------- */

TEST(names_and_order) {
    REFUSED(VECTOR, "bad.yaml:4:", "  - dense: {units: 3, name: a}\n  - dense: {units: 3, name: a}\n");
    REFUSED(VECTOR, "'a' is already the name of the dense layer in line 3",
            "  - dense: {units: 3, name: a}\n  - dense: {units: 3, name: a}\n");
    REFUSED(VECTOR,
            "bad.yaml:3:", "  - dense: {units: 3, name: a, inputs: b}\n  - dense: {units: 3, name: b}\n");
    REFUSED(VECTOR, "inputs: layer 'b' stands later, on line 4; a layer's inputs come before it",
            "  - dense: {units: 3, name: a, inputs: b}\n  - dense: {units: 3, name: b, inputs: a}\n");
    REFUSED(VECTOR, "inputs: layer 'relu_1' stands later, on line 5; a layer's inputs come before it",
            "  - relu\n  - dense: {units: 3, inputs: relu_1}\n  - relu\n");
    REFUSED(VECTOR, "inputs: layer 'dense_2' stands later, on line 6; a layer's inputs come before it",
            "  - dense: {units: 3, inputs: dense_2}\n  - dense: {units: 3, name: dense_1}\n"
            "  - dense: {units: 3, name: last}\n  - dense: 3\n");
    REFUSED(VECTOR, "unknown input 'dense_3' (did you mean dense",
            "  - dense: 3\n  - dense: {units: 3, inputs: dense_3}\n  - dense: 3\n");
    REFUSED(VECTOR,
            "share: layer 'b' stands later, on line 4; the layer whose weights are shared comes first",
            "  - dense: {share: b}\n  - dense: {units: 10, name: b}\n");
    REFUSED(VECTOR, "inputs: 'a' does not stand before this layer",
            "  - dense: {units: 3, name: a, inputs: a}\n");
    REFUSED(VECTOR, "bad.yaml:3:", "  - add: {inputs: [input, z]}\n");
    REFUSED(VECTOR, "share: 'a' is a layer dense, this one is layer_norm",
            "  - dense: {units: 10, name: a}\n  - layer_norm: {share: a}\n");
    REFUSED(VECTOR, "inputs: 'values' has 2 results, numbered from 0; found 'values.5'",
            "  - top_k: {k: 2, name: values}\n  - dense: {units: 3, inputs: values.5}\n");
    REFUSED(VECTOR, "inputs: 'a' has 1 result, numbered from 0; found 'a.1'",
            "  - dense: {units: 3, name: a}\n  - dense: {units: 3, inputs: a.1}\n");
    REFUSED(VECTOR, "bad.yaml:3:", "  - add\n");
    REFUSED(VECTOR, "add expects at least 2 inputs, found 1; write inputs: [a, b]", "  - add\n");
    REFUSED(VECTOR, "dense expects at most 1 input, found 2",
            "  - dense: {units: 3, inputs: [input, input]}\n");
    REFUSED(VECTOR, "(did you mean dense?)", "  - dens: 3\n");
    REFUSED(VECTOR, "dense needs 'units'", "  - dense\n");
}

/* --- shapes, layer by layer -------------------------------------------------------------------------------------- */

TEST(shapes) {
    static const bad_model models[] = {
        {"  - dense: {units: 3, name: x}\n",
         "bad.yaml:3:5: dense 'x' expects a vector per example",
         {3, {3, 8, 8}}},
        {"  - conv1d: {filters: 2, kernel: 3, name: x}\n",
         "conv1d 'x' expects a 2-D input per example",
         {1, {10}}},
        {"  - conv1d: {filters: 2, kernel: 9, name: x}\n", "'x", {2, {5, 6}}},
        {"  - conv2d: {filters: 2, kernel: 3, name: x}\n",
         "conv2d 'x' expects a 3-D input per example",
         {1, {10}}},
        {"  - conv2d: {filters: 2, kernel: 9, name: x}\n",
         "conv2d 'x' has a kernel of 9×9, larger than its input of 8×8",
         {3, {3, 8, 8}}},
        {"  - conv2d: {filters: 4, kernel: 3, groups: 2, name: x}\n",
         "conv2d 'x' has groups: 2, which must divide both its 3",
         {3, {3, 8, 8}}},
        {"  - conv3d: {filters: 2, kernel: 3, name: x}\n",
         "conv3d 'x' expects a 4-D input per example",
         {1, {10}}},
        {"  - conv1d_transpose: {filters: 2, kernel: 3, name: x}\n",
         "conv1d_transpose 'x' expects a 2-D input",
         {1, {10}}},
        {"  - conv2d_transpose: {filters: 2, kernel: 3, name: x}\n",
         "conv2d_transpose 'x' expects a 3-D input",
         {1, {10}}},
        {"  - conv3d_transpose: {filters: 2, kernel: 3, name: x}\n",
         "conv3d_transpose 'x' expects a 4-D input",
         {1, {10}}},
        {"  - depthwise_conv2d: {kernel: 3, name: x}\n",
         "depthwise_conv2d 'x' expects a 3-D input",
         {1, {10}}},
        {"  - separable_conv2d: {filters: 2, kernel: 3, name: x}\n",
         "separable_conv2d 'x' expects a 3-D input",
         {1, {10}}},
        {"  - max_pool1d: {name: x}\n", "max_pool1d 'x' expects a 2-D input", {1, {10}}},
        {"  - max_pool2d: {size: 9, name: x}\n",
         "max_pool2d 'x' has a window of 9×9, larger than its input",
         {3, {3, 8, 8}}},
        {"  - average_pool3d: {name: x}\n", "average_pool3d 'x' expects a 4-D input", {1, {10}}},
        {"  - global_average_pool2d: {name: x}\n",
         "global_average_pool2d 'x' expects a 3-D input",
         {1, {10}}},
        {"  - global_max_pool3d: {name: x}\n", "global_max_pool3d 'x' expects a 4-D input", {1, {10}}},
        {"  - adaptive_average_pool2d: {size: 3, name: x}\n",
         "adaptive_average_pool2d 'x' expects a 3-D input",
         {1, {10}}},
        {"  - upsample2d: {name: x}\n", "upsample2d 'x' expects a 3-D input", {1, {10}}},
        {"  - resize2d: {size: 3, name: x}\n", "resize2d 'x' expects a 3-D input", {1, {10}}},
        {"  - pad2d: {pads: 1, name: x}\n", "pad2d 'x' expects a 3-D input", {1, {10}}},
        {"  - pixel_shuffle: {factor: 2, name: x}\n", "'x", {3, {3, 8, 8}}},
        {"  - batch_norm: {name: x}\n", "batch_norm 'x'", {0, {0}}},
        {"  - group_norm: {groups: 2, name: x}\n", "group_norm 'x'", {3, {3, 8, 8}}},
        {"  - layer_norm: {dims: 3, name: x}\n", "layer_norm 'x'", {1, {10}}},
        {"  - rms_norm: {dims: 3, name: x}\n", "rms_norm 'x'", {1, {10}}},
        {"  - embedding: {vocabulary: 9, units: 4, mask_zero: yes, name: x}\n",
         "embedding 'x' masks sequences [N, T] only",
         {2, {5, 6}}},
        {"  - positional_embedding: {length: 3, name: x}\n",
         "positional_embedding 'x' has 3 positions, but a sequence has 5 steps",
         {2, {5, 6}}},
        {"  - positional_embedding: {name: x}\n",
         "positional_embedding 'x' expects a sequence of vectors",
         {1, {10}}},
        {"  - lstm: {units: 3, name: x}\n",
         "lstm 'x' expects a sequence of vectors per example (steps×numbers), got 10",
         {1, {10}}},
        {"  - gru: {units: 3, name: x}\n", "gru 'x' expects a sequence of vectors", {3, {3, 8, 8}}},
        {"  - rnn: {units: 3, inputs: [input, input], name: x}\n", "rnn 'x'", {2, {5, 6}}},
        {"  - multi_head_attention: {heads: 4, name: x}\n",
         "multi_head_attention 'x' has 4 heads, which do not divide the width of 6",
         {2, {5, 6}}},
        {"  - multi_head_attention: {heads: 2, name: x}\n",
         "multi_head_attention 'x' expects a sequence of vectors",
         {1, {10}}},
        {"  - multi_head_attention: {heads: 2, positions: rotary, name: x}\n",
         "multi_head_attention 'x' turns pairs of numbers, but 3 of a head",
         {2, {5, 6}}},
        {"  - rotary_embedding: {heads: 4, name: x}\n",
         "rotary_embedding 'x' has 4 heads, which do not divide the width of 6",
         {2, {5, 6}}},
        {"  - transformer_encoder: {heads: 4, name: x}\n", "'x", {2, {5, 6}}},
        {"  - transformer_decoder: {heads: 4, name: x}\n", "'x", {2, {5, 6}}},
        {"  - gpt2: {vocabulary: 9, length: 3, layers: 1, heads: 2, width: 8, name: x}\n",
         "3 positions, but a sequence has 5 steps",
         {1, {5}}},
        {"  - gpt2: {heads: 3, width: 8, name: x}\n",
         "gpt2 'x' has 3 heads, which do not divide the width of 8",
         {1, {5}}},
        {"  - bert: {vocabulary: 9, length: 3, layers: 1, heads: 2, width: 8, name: x}\n", "'x", {1, {5}}},
        {"  - vit: {patch: 3, name: x}\n",
         "vit 'x' cuts images in patches of 3×3, which do not fill 3×8×8",
         {3, {3, 8, 8}}},
        {"  - unet: {depth: 4, name: x}\n",
         "unet 'x' halves its images 4 times, but 3×8×8 does not divide by 16",
         {3, {3, 8, 8}}},
        {"  - resnet: {depth: 19, name: x}\n",
         "resnet 'x' has depth 18, 34, 50, 101 or 152, not 19",
         {3, {3, 8, 8}}},
        {"  - vgg: {depth: 12, name: x}\n", "vgg 'x' has depth 11, 13, 16 or 19, not 12", {3, {3, 8, 8}}},
        {"  - text_classifier: {name: x}\n", "text_classifier 'x' expects numbers of tokens", {2, {5, 6}}},
        {"  - language_model: {name: x}\n", "language_model 'x' expects numbers of tokens", {2, {5, 6}}},
        {"  - reshape: {shape: [3, 3], name: x}\n",
         "reshape 'x' cannot make 3×3 of 10: the numbers of elements differ",
         {1, {10}}},
        {"  - glu: {name: x}\n", "glu 'x' halves an axis of 7 numbers", {1, {7}}},
        {"  - spatial_dropout: {name: x}\n", "spatial_dropout 'x' drops whole channels", {1, {10}}},
        {"  - dense: {units: 4, activation: rulu, name: x}\n",
         "dense 'x' has an unknown activation 'rulu' (did you mean 'relu'?)",
         {1, {10}}},
        {"  - dense: {units: 4, kernel_initializer: hee, name: x}\n", "'x", {1, {10}}},
        {"  - cumsum: {axis: 5, name: x}\n", "cumsum 'x'", {1, {10}}},
        {"  - matmul: {inputs: [input, input], name: x}\n", "matmul 'x'", {2, {5, 6}}},
        {"  - gather: {inputs: [input, input], name: x}\n", "gather 'x'", {2, {5, 6}}},
        {"  - einsum: {equation: 'ij,jk->ik', inputs: [input, input], name: x}\n", "einsum 'x'", {2, {5, 6}}},
        {"  - dense: {units: 10, name: a}\n  - concat: {axis: 3, inputs: [a, input], name: x}\n",
         "bad.yaml:4:5: concat 'x' joins along axis 3, but an example has axes 0 to 0",
         {1, {10}}},
        {"  - dense: {units: 3, name: a}\n  - add: {inputs: [a, input], name: x}\n",
         "add 'x' cannot merge inputs of shapes N×3 and N×10",
         {1, {10}}},
        {"  - dense: {units: 3, name: a}\n  - dot: {inputs: [a, input], name: x}\n",
         "dot 'x' expects two vectors of one length",
         {1, {10}}},
    };
    for (size_t i = 0; i < GLIA_COUNT(models); i++) {
        const int before = test_failures;
        check_refused(&models[i]);
        bad_model place = models[i]; /* the line and the layer's name are there in every case */
        place.expected = i + 3 < GLIA_COUNT(models) ? "bad.yaml:3:5: " : "bad.yaml:4:5: ";
        check_refused(&place);
        place.expected = "'x";
        check_refused(&place);
        if (test_failures > before) printf("  %s", models[i].layers);
    }
}

/* --- empty sequences --------------------------------------------------------------------------------------------- */

TEST(empty_sequences) {
    static const char *const layers[] = {"  - lstm: {units: 3, name: x}\n",
                                         "  - gru: {units: 3, bidirectional: yes, name: x}\n",
                                         "  - rnn: {units: 3, name: x}\n",
                                         "  - multi_head_attention: {heads: 2, name: x}\n",
                                         "  - transformer_encoder: {heads: 2, name: x}\n",
                                         "  - positional_embedding: {name: x}\n"};
    for (size_t i = 0; i < GLIA_COUNT(layers); i++) { /* nothing is left of a sequence of five steps */
        const int before = test_failures;
        char text[300];
        snprintf(text, sizeof text, "  - slice: {axis: 1, start: 5}\n%s", layers[i]);
        check_refused(&(bad_model){text, "bad.yaml:4:5: ", STEPS});
        check_refused(&(bad_model){text, "'x", STEPS});
        check_refused(&(bad_model){text, "got 0×6", STEPS});
        if (test_failures > before) printf("  %s", layers[i]);
    }
}

/* --- numbers out of range, while it runs ------------------------------------------------------------------------- */

/* One example through the model of a file. */
static void check_run(const char *layers, glia_shape shape, const float *x, const char *node,
                      const char *expected) {
    char text[2000];
    glia_recipe *r = NULL;
    glia_model *m = NULL;
    glia_error err = {0};
    snprintf(text, sizeof text, "data: {source: mnist}\nmodel:\n%s", layers);
    CHECK_OK(glia__recipe_parse(&r, file, text, strlen(text), NULL, 0, NULL, &err), &err);
    if (r) CHECK_OK(glia_recipe_model(r, shape, 0, &m, NULL, &err), &err);
    if (m) CHECK_OK(glia_model_initialize(m, 1, &err), &err);
    if (m) {
        glia_shape in = glia_value_shape(glia_model_input(m, 0)),
                   out = glia_value_shape(glia_model_output(m));
        float y[400];
        in.dim[0] = out.dim[0] = 1;
        CHECK(glia_shape_elems(&out) <= 400);
        glia_tensor a = glia_tensor_wrap((void *)(uintptr_t)x, GLIA_F32, in),
                    b = glia_tensor_wrap(y, GLIA_F32, out);
        CHECK(glia_predict(m, &a, false, &b, &err) == GLIA_BAD_DATA);
        CHECK_HAS(err.message, expected);
        CHECK_HAS(err.node, node);
    }
    glia_model_free(m);
    glia_recipe_free(r);
}

TEST(numbers_out_of_range) {
    const float nine[5] = {0, 1, 9, 3, 4}, negative[5] = {0, 1, 2, -3, 4}, three[3] = {1, 7, 2};
    check_run("  - embedding: {vocabulary: 9, units: 4, name: words}\n  - lstm: 3\n", TOKENS, nine, "words",
              "index 9 at position 2 is out of range 0 … 8");
    check_run("  - embedding: {vocabulary: 9, units: 4, name: words}\n  - lstm: 3\n", TOKENS, negative,
              "words", "index -3 at position 3 is out of range 0 … 8");
    check_run("  - gpt2: {vocabulary: 9, length: 5, layers: 1, heads: 2, width: 4, name: net}\n", TOKENS,
              nine, "net.wte", "index 9 at position 2 is out of range 0 … 8");
    check_run("  - cast: {to: i64, name: whole}\n  - one_hot: {depth: 5, name: places}\n", GLIA_SHAPE(3),
              three, "places", "index 7 at position 1 is out of range 0 … 4");
    check_run("  - cast: {to: i64, name: lengths}\n  - slice: {axis: 1, start: 1, end: 2, name: one}\n"
              "  - reshape: {shape: [3, 1], inputs: input, name: steps}\n"
              "  - squeeze: {axes: 1, inputs: one, name: flat}\n"
              "  - lstm: {units: 3, inputs: [steps, flat], name: reader}\n",
              GLIA_SHAPE(3), three, "reader", "length 7 of sequence 0 is out of range 1 … 3");
}

TEST_MAIN(TEST_ENTRY(names_and_order), TEST_ENTRY(shapes), TEST_ENTRY(empty_sequences),
          TEST_ENTRY(numbers_out_of_range))
