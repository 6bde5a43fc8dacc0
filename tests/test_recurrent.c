/* test_recurrent.c: rnn, lstm and gru against PyTorch's numbers (data/recurrent.txt, made by tools/parity/recurrent.py,
 * which says how inputs and weights are made), and as layers. */

#include "op_values.h"

#include "glia/glia.h"
#include "shape_text.h"

enum { N = 3, STEPS = 4, IN = 2, H = 3, MOST = 256 };

static glia_value *wave(glia_graph *g, double (*function)(double), glia_shape shape, double step,
                        double shift, double scale) {
    double numbers[MOST];
    for (int64_t i = 0; i < glia_shape_elems(&shape); i++)
        numbers[i] = scale * function(step * (double)i + shift);
    return array(g, GLIA_F64, shape, numbers);
}

/* Reads the next words of the fixture: a name, and as many numbers as the value has. */
static void expect(FILE *file, const char *name, glia_value *value) {
    char word[64];
    double numbers[MOST];
    glia_shape shape = glia_value_shape(value);
    const int64_t count = glia_shape_elems(&shape);
    CHECK_INT(fscanf(file, " %63s", word), 1);
    CHECK_STR(word, name);
    for (int64_t i = 0; i < count; i++) CHECK_INT(fscanf(file, "%lf", &numbers[i]), 1);
    check_values(name, __LINE__, value, numbers, count, 1e-9);
}

static void check_case(FILE *file, const char *name,
                       glia_value *(*op)(glia_recurrent_inputs, glia_recurrent_attrs), int gates,
                       int activation) {
    static const char *const names[] = {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"};
    glia_graph *g = glia_graph_new(NULL);
    glia_value *x = wave(g, sin, D(N, STEPS, IN), 0.7, 0, 1), *y[2], *params[8], *gradients[9];
    glia_value *lengths = I64(g, D(N), 4, 2, 3);
    char word[64];
    glia_error err = {0};
    CHECK_INT(fscanf(file, " case %63s", word), 1);
    CHECK_STR(word, name);
    for (int d = 0; d < 2; d++) {
        glia_value **p = params + 4 * d;
        for (int k = 0; k < 4; k++) {
            const glia_shape shape = k == 0 ? D(gates * H, IN) : k == 1 ? D(gates * H, H) : D(gates * H);
            p[k] = wave(g, sin, shape, 1, 4 * d + k, 0.5);
        }
        y[d] = op((glia_recurrent_inputs){.x = x,
                                          .w = p[0],
                                          .r = p[1],
                                          .b = glia_op_concat(p + 2, 2, (glia_concat_attrs){.axis = 0}),
                                          .lengths = lengths},
                  (glia_recurrent_attrs){.reverse = d ? GLIA_YES : GLIA_NO, .activation = activation});
    }
    glia_value *both = glia_op_concat(y, 2, (glia_concat_attrs){.axis = 2});
    glia_value *last =
        glia_op_concat((glia_value *[]){glia_value_sibling(y[0], 1), glia_value_sibling(y[1], 1)}, 2,
                       (glia_concat_attrs){.axis = 0});
    glia_value *loss =
        glia_op_add(glia_op_sum(glia_op_mul(both, wave(g, sin, glia_value_shape(both), 1, 0, 1)), ALL),
                    glia_op_sum(glia_op_mul(last, wave(g, cos, glia_value_shape(last), 1, 0, 1)), ALL));
    glia_value *wrt[9] = {x};
    memcpy(wrt + 1, params, sizeof params);
    CHECK_OK(glia_graph_gradients(g, loss, wrt, 9, gradients, &err), &err);
    expect(file, "y", both);
    expect(file, "last", last);
    expect(file, "dx", gradients[0]);
    for (int k = 0; k < 8; k++) {
        snprintf(word, sizeof word, "%s%s", names[k % 4], k < 4 ? "" : "_reverse");
        expect(file, word, gradients[1 + k]);
    }
    glia_graph_free(g);
}

TEST(numbers_of_pytorch) {
    char path[1024], line[256];
    snprintf(path, sizeof path, "%s/tests/data/recurrent.txt",
             getenv("GLIA_SOURCE_DIR") ? getenv("GLIA_SOURCE_DIR") : ".");
    FILE *file = fopen(path, "r");
    CHECK(file && fgets(line, sizeof line, file));
    if (!file) return;
    check_case(file, "rnn", glia_op_rnn, 1, 0);
    check_case(file, "rnn_relu", glia_op_rnn, 1, 1);
    check_case(file, "lstm", glia_op_lstm, 4, 0);
    check_case(file, "gru", glia_op_gru, 3, 0);
    fclose(file);
}

/* What lies behind a sequence's end is not read, and a length out of range is an error. */
TEST(lengths) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_program *program = NULL;
    glia_value *x = F64(g, D(1, 3, 1), 1, 2, NAN), *w = F64(g, D(1, 1), 0.5), *r = F64(g, D(1, 1), 0.25);
    glia_recurrent_inputs in = {.x = x, .w = w, .r = r, .lengths = I64(g, D(1), 2)};
    glia_recurrent_attrs relu = {.activation = 1}, back = {.activation = 1, .reverse = GLIA_YES};
    GIVES(glia_op_rnn(in, relu), 0.5, 1.125, 0);
    GIVES(glia_value_sibling(glia_op_rnn(in, relu), 1), 1.125);
    GIVES(glia_op_rnn(in, back), 0.75, 1, 0);
    in.lengths = I64(g, D(1), 4);
    glia_value *y = glia_op_rnn(in, relu);
    glia_status status = glia_program_new(&program, g, &y, 1,
                                          (glia_program_options){.threads = 1, .training = GLIA_YES}, &err);
    if (status == GLIA_OK) status = glia_program_run(program, 0, &err);
    CHECK_ERR(status, GLIA_BAD_DATA, &err, "rnn: length 4 of sequence 0 is out of range 0 … 3");
    glia_program_free(program);
    glia_graph_free(g);
}

TEST(layers) {
    glia_error err = {0};
    glia_model *m = glia_model_new("sequences");
    glia_value *x = glia_input(m, "x", .shape = {7, 4});
    glia_value *lengths = glia_input(m, "lengths", .dtype = GLIA_I64);
    CHECK_STR(shape_of(glia_rnn(x, .units = 5)), "N×5");
    CHECK_INT(glia_model_param_count(m), 5 * 4 + 5 * 5 + 2 * 5);
    CHECK_STR(shape_of(glia_lstm(x, .units = 5, .return_sequences = GLIA_YES)), "N×7×5");
    CHECK_STR(shape_of(glia_model_param_value(m, 4)), "20×4");
    CHECK_STR(glia_value_name(glia_model_param_value(m, 5)), "lstm.weight_hh");
    CHECK_STR(shape_of(glia_gru(x, .units = 5, .bidirectional = GLIA_YES)), "N×10");
    CHECK_STR(shape_of(glia_layer(m, "gru", "both", &x, 1, "units=3 return_sequences=yes bidirectional=yes")),
              "N×7×6");
    CHECK_STR(shape_of(glia_rnn(x, .units = 2, .lengths = lengths, .name = "short")), "N×2");
    CHECK_OK(glia_model_status(m, &err), &err);
    glia_model_free(m);
}

/* An LSTM learns whether the first step of a sequence was high: it must carry that to the last. */
TEST(learns) {
    enum { ROWS = 32, LONG = 6 };
    static float in[ROWS * LONG];
    static int64_t labels[ROWS];
    glia_error err = {0};
    glia_dataset *data = NULL;
    glia_model *m = glia_model_new("memory");
    glia_value *x = glia_input(m, "x", .shape = {LONG, 1});
    glia_model_set_output(m, glia_dense(glia_lstm(x, .units = 8), .units = 2));
    for (int i = 0; i < ROWS; i++) {
        labels[i] = i % 2;
        for (int t = 0; t < LONG; t++) in[i * LONG + t] = (float)(t ? sin(3.1 * i + t) : i % 2);
    }
    glia_tensor inputs = glia_tensor_wrap(in, GLIA_F32, GLIA_SHAPE(ROWS, LONG, 1)),
                targets = glia_tensor_wrap(labels, GLIA_I64, GLIA_SHAPE(ROWS));
    CHECK_OK(glia_dataset_wrap(&data, &inputs, &targets, 2, &err), &err);
    CHECK_OK(glia_fit(m, data, .epochs = 60, .batch_size = 8, .seed = 3,
                      .optimizer = glia_adam(.learning_rate = 0.02), .error = &err),
             &err);
    glia_report r = glia_evaluate(m, data, .error = &err);
    CHECK_OK(err.status, &err);
    CHECK_NEAR(r.accuracy, 1, 1e-9);
    glia_dataset_free(data);
    glia_model_free(m);
}

#define BAD(part, build)                                                   \
    do {                                                                   \
        glia_error err = {0};                                              \
        glia_model *m = glia_model_new("bad");                             \
        glia_value *row = glia_input(m, "row", .shape = {12});             \
        glia_value *words = glia_input(m, "words", .shape = {7, 4});       \
        (void)row, (void)words;                                            \
        CHECK(!(build));                                                   \
        CHECK_ERR(glia_model_status(m, &err), GLIA_BAD_SHAPE, &err, part); \
        glia_model_free(m);                                                \
    } while (0)

TEST(messages) {
    BAD("lstm 'lstm' expects a sequence of vectors per example (steps×numbers), got 12",
        glia_lstm(row, .units = 3));
    BAD("gru 'gru' expects lengths of i64 N, found f32 N×12", glia_gru(words, .units = 3, .lengths = row));
}

TEST_MAIN(TEST_ENTRY(numbers_of_pytorch), TEST_ENTRY(lengths), TEST_ENTRY(layers), TEST_ENTRY(learns),
          TEST_ENTRY(messages))
