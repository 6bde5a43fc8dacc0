/* test_positions.c: classes of positions (tokens, pixels): data, loss, figures, predictions; positions that are ignored;
 * batches run in pieces. */

#include <math.h>

#include "test.h"

#include "glia/glia.h"

enum { COUNT = 90, LENGTH = 16, WORDS = 7 };

/* Sequences of words whose successors are to be told: word w is followed by 3·w + 1, modulo WORDS. */
typedef struct sequences {
    float x[COUNT][LENGTH];
    int64_t y[COUNT][LENGTH];
    glia_dataset *data;
} sequences;

/* `ignored`: every third position is to be ignored in odd examples. */
static void sequences_open(sequences *s, bool ignored) {
    glia_error err = {0};
    for (int64_t i = 0; i < COUNT; i++)
        for (int64_t t = 0; t < LENGTH; t++) {
            const int64_t word =
                (int64_t)glia_random_below((glia_random){5, 1}, (uint64_t)(i * LENGTH + t), WORDS);
            s->x[i][t] = (float)word;
            s->y[i][t] = ignored && i % 2 && t % 3 == 0 ? GLIA_IGNORED : (3 * word + 1) % WORDS;
        }
    glia_tensor x = glia_tensor_wrap(s->x, GLIA_F32, GLIA_SHAPE(COUNT, LENGTH));
    glia_tensor y = glia_tensor_wrap(s->y, GLIA_I64, GLIA_SHAPE(COUNT, LENGTH));
    CHECK_OK(glia_dataset_wrap(&s->data, &x, &y, WORDS, &err), &err);
}

/* Scores of the next word by a table: [N, LENGTH, WORDS]. */
static glia_model *table_model(void) {
    glia_model *m = glia_model_new("table");
    glia_value *x = glia_input(m, "words", .shape = {LENGTH}, .dtype = GLIA_I64);
    glia_model_set_output(m, glia_embedding(x, .vocabulary = WORDS, .units = WORDS, .name = "table"));
    return m;
}

/* Mean −log softmax and right answers over the positions that count, by hand. */
static void by_hand(const sequences *s, const float *table, double *loss, double *accuracy) {
    double count = 0;
    *loss = *accuracy = 0;
    for (int64_t i = 0; i < COUNT * LENGTH; i++) {
        const float *row = table + (int64_t)s->x[i / LENGTH][i % LENGTH] * WORDS;
        const int64_t target = s->y[i / LENGTH][i % LENGTH];
        double sum = 0;
        int64_t best = 0;
        if (target == GLIA_IGNORED) continue;
        for (int64_t c = 0; c < WORDS; c++) {
            sum += exp((double)row[c]);
            if (row[c] > row[best]) best = c;
        }
        *loss += log(sum) - (double)row[target];
        *accuracy += best == target;
        count++;
    }
    *loss /= count;
    *accuracy /= count;
}

TEST(words_learn_their_successors) {
    for (int ignored = 0; ignored < 2; ignored++) {
        static sequences s;
        glia_error err = {0};
        double loss, accuracy;
        sequences_open(&s, ignored);
        const glia_dataset_info *info = glia_dataset_get_info(s.data);
        CHECK(info->target == GLIA_TARGET_CLASS && info->target_shape.rank == 1);
        CHECK(info->target_shape.dim[0] == LENGTH && info->ignores == ignored);
        glia_model *m = table_model();
        CHECK_OK(glia_fit(m, s.data, .epochs = 1, .seed = 3, .validation = s.data, .error = &err), &err);
        glia_report r = glia_evaluate(m, s.data, .batch_size = 32, .error = &err);
        by_hand(&s, glia_model_param_data(m, 0).data, &loss, &accuracy);
        CHECK_NEAR(r.loss, loss, 1e-5);
        CHECK_NEAR(r.accuracy, accuracy, 1e-12);
        CHECK_NEAR(r.perplexity, exp(loss), 1e-4);
        CHECK_INT(r.examples, COUNT);
        CHECK_OK(
            glia_fit(m, s.data, .epochs = 30, .optimizer = glia_adam(.learning_rate = 0.1), .error = &err),
            &err);
        r = glia_evaluate(m, s.data, .error = &err);
        CHECK_NEAR(r.accuracy, 1, 0);
        CHECK(r.loss < 0.1);
        glia_model_free(m);
        glia_dataset_free(s.data);
    }
}

TEST(pieces_count_by_their_known_positions) {
    static sequences s;
    glia_error err = {0};
    glia_fit_memory plan, limited;
    double losses[2];
    sequences_open(&s, true);
    for (int pieces = 0; pieces < 2; pieces++) {
        glia_model *m = table_model();
        glia_fit_options o = {.epochs = 3, .batch_size = 64, .seed = 2, .error = &err};
        if (!pieces) CHECK_OK(glia_fit_plan(m, s.data, o, &plan), &err);
        if (pieces) o.memory_limit = (int64_t)(plan.total - plan.block / 2);
        CHECK_OK(glia_fit_plan(m, s.data, o, &limited), &err);
        CHECK(pieces ? limited.piece < 64 : limited.piece == 64);
        CHECK_OK(glia_fit_with(m, s.data, o), &err);
        losses[pieces] = glia_evaluate(m, s.data, .error = &err).loss;
        glia_model_free(m);
    }
    CHECK_NEAR(losses[0], losses[1], 1e-5);
    glia_dataset_free(s.data);
}

/* Pictures [2, 4, 5] whose pixels are of the class of their larger channel; class scores come first, as channels do. */
TEST(pixels_have_classes_too) {
    enum { SIDE = 4, WIDTH = 5, PIXELS = SIDE * WIDTH };
    static float x[COUNT][2][PIXELS], p[COUNT][2][PIXELS];
    static int64_t y[COUNT][PIXELS];
    glia_error err = {0};
    glia_dataset *data;
    for (int64_t i = 0; i < COUNT; i++)
        for (int64_t k = 0; k < PIXELS; k++) {
            for (int64_t c = 0; c < 2; c++)
                x[i][c][k] =
                    (float)glia_random_normal((glia_random){1, (uint64_t)c}, (uint64_t)(i * PIXELS + k));
            y[i][k] = x[i][1][k] > x[i][0][k];
        }
    glia_tensor inputs = glia_tensor_wrap(x, GLIA_F32, GLIA_SHAPE(COUNT, 2, SIDE, WIDTH));
    glia_tensor targets = glia_tensor_wrap(y, GLIA_I64, GLIA_SHAPE(COUNT, SIDE, WIDTH));
    glia_tensor found = glia_tensor_wrap(p, GLIA_F32, GLIA_SHAPE(COUNT, 2, SIDE, WIDTH));
    CHECK_OK(glia_dataset_wrap(&data, &inputs, &targets, 2, &err), &err);
    const char *const losses[] = {"softmax_cross_entropy", "sigmoid_cross_entropy"};
    for (int i = 0; i < 2; i++) {
        glia_model *m = glia_model_new("pixels");
        glia_value *image = glia_input(m, "x", .shape = {2, SIDE, WIDTH});
        glia_model_set_output(m, glia_conv2d(image, .filters = 2, .kernel = {1, 1}));
        CHECK_OK(glia_fit(m, data, .loss = losses[i], .epochs = 40,
                          .optimizer = glia_adam(.learning_rate = 0.05), .error = &err),
                 &err);
        CHECK(glia_evaluate(m, data, .error = &err).accuracy > 0.97);
        CHECK_OK(glia_predict(m, &inputs, true, &found, &err), &err);
        CHECK_NEAR((double)p[3][0][7] + (double)p[3][1][7], 1, 1e-5);
        CHECK((p[3][1][7] > 0.5f) == (y[3][7] == 1));
        glia_model_free(m);
    }
    glia_dataset_free(data);
}

TEST(what_does_not_fit_is_told) {
    static sequences s;
    glia_error err = {0};
    glia_dataset *rest, *part;
    sequences_open(&s, true);
    glia_model *m = glia_model_new("wrong");
    glia_value *x = glia_input(m, "words", .shape = {LENGTH});
    glia_model_set_output(m, glia_dense(x, .units = WORDS, .name = "head"));
    CHECK_ERR(
        glia_fit(m, s.data, .error = &err), GLIA_BAD_SHAPE, &err,
        "dense 'head', gives 7 per example, but the targets are classes of 16 positions; end with one number "
        "a class for each of them");
    glia_model_free(m);
    m = table_model();
    err = (glia_error){0};
    CHECK_ERR(glia_fit(m, s.data, .loss = "dice", .error = &err), GLIA_UNSUPPORTED, &err,
              "counts every position, but some targets are to be ignored (-100)");
    CHECK_OK(glia_fit(m, s.data, .loss = "sigmoid_cross_entropy", .error = &err), &err);
    err = (glia_error){0};
    CHECK_ERR(glia_dataset_split(&rest, &part, s.data, 0.5, true, 0, &err), GLIA_INVALID_ARGUMENT, &err,
              "needs one class an example, the data has 16");
    glia_dataset_free(s.data);
    s.y[4][2] = -1;
    glia_tensor inputs = glia_tensor_wrap(s.x, GLIA_F32, GLIA_SHAPE(COUNT, LENGTH));
    glia_tensor targets = glia_tensor_wrap(s.y, GLIA_I64, GLIA_SHAPE(COUNT, LENGTH));
    err = (glia_error){0};
    CHECK_ERR(glia_dataset_wrap(&s.data, &inputs, &targets, WORDS, &err), GLIA_BAD_DATA, &err,
              "label -1 of example 4 is out of range 0 … 6");
    glia_model_free(m);
}

/* An example of weight 2 counts as two of them, one of weight 0 as none: in the loss, its gradient, in pieces too. */
TEST(examples_have_weights) {
    enum { TWICE = 30 };
    static sequences s;
    static float weights[COUNT];
    static int64_t order[COUNT + TWICE];
    glia_error err = {0};
    glia_dataset *part;
    sequences_open(&s, true);
    int64_t count = 0;
    for (int64_t i = 0; i < COUNT; i++) {
        weights[i] = i < TWICE ? 2 : i < COUNT - TWICE ? 1 : 0;
        for (int k = 0; k < (int)weights[i]; k++) order[count++] = i;
    }
    CHECK_OK(glia_dataset_take(&part, s.data, order, count, &err), &err);
    CHECK_OK(glia_dataset_set_weights(s.data, weights, &err), &err);
    double losses[3];
    float tables[3][WORDS * WORDS];
    for (int way = 0; way < 3; way++) { /* repeated, weighted, weighted in pieces */
        const glia_dataset *data = way ? s.data : part;
        glia_fit_memory plan;
        glia_model *m = table_model();
        glia_fit_options o = {.batch_size = 200, .shuffle = GLIA_NO, .seed = 3, .error = &err};
        o.optimizer = glia_sgd(.learning_rate = 1);
        CHECK_OK(glia_fit_plan(m, data, o, &plan), &err);
        if (way == 2) o.memory_limit = (int64_t)(plan.total - plan.block / 2);
        CHECK_OK(glia_fit_with(m, data, o), &err);
        losses[way] = glia_evaluate(m, data, .batch_size = 32, .error = &err).loss;
        memcpy(tables[way], glia_model_param_data(m, 0).data, sizeof tables[way]);
        glia_model_free(m);
    }
    for (int way = 1; way < 3; way++) {
        CHECK_NEAR(losses[way], losses[0], 1e-5);
        for (int k = 0; k < WORDS * WORDS; k++)
            CHECK_NEAR((double)tables[way][k], (double)tables[0][k], 1e-6);
    }
    weights[7] = -1;
    CHECK_ERR(glia_dataset_set_weights(s.data, weights, &err), GLIA_BAD_DATA, &err,
              "weight -1 of example 7: expected a number of at least 0");
    glia_dataset_free(part);
    CHECK_OK(glia_dataset_take(&part, s.data, order, 5, &err), &err);
    CHECK(glia_dataset_get_info(part)->weighted);
    glia_dataset_free(part);
    glia_dataset_free(s.data);
}

/* Numbers as targets have weights as well. */
TEST(examples_of_numbers_have_weights) {
    static float x[40][2], y[40], weights[40];
    glia_error err = {0};
    glia_dataset *data;
    for (int i = 0; i < 40; i++) {
        x[i][0] = (float)i / 40, x[i][1] = 1;
        y[i] = i % 2 ? x[i][0] : 5; /* those that are wrong count for nothing */
        weights[i] = (float)(i % 2);
    }
    glia_tensor inputs = glia_tensor_wrap(x, GLIA_F32, GLIA_SHAPE(40, 2));
    glia_tensor targets = glia_tensor_wrap(y, GLIA_F32, GLIA_SHAPE(40));
    CHECK_OK(glia_dataset_wrap(&data, &inputs, &targets, 0, &err), &err);
    CHECK_OK(glia_dataset_set_weights(data, weights, &err), &err);
    const char *const losses[] = {"mse", "huber", "cosine"};
    for (int i = 0; i < 3; i++) {
        glia_model *m = glia_model_new("line");
        glia_model_set_output(m, glia_dense(glia_input(m, "x", .shape = {2}), .units = 1));
        CHECK_OK(glia_fit(m, data, .loss = losses[i], .epochs = 200, .batch_size = 8,
                          .optimizer = glia_adam(.learning_rate = 0.05), .error = &err),
                 &err);
        CHECK(i == 2 || glia_evaluate(m, data, .loss = losses[i], .error = &err).loss < 1e-3);
        glia_model_free(m);
    }
    glia_dataset_free(data);
}

TEST_MAIN(TEST_ENTRY(examples_have_weights), TEST_ENTRY(examples_of_numbers_have_weights),
          TEST_ENTRY(words_learn_their_successors), TEST_ENTRY(pieces_count_by_their_known_positions),
          TEST_ENTRY(pixels_have_classes_too), TEST_ENTRY(what_does_not_fit_is_told))
