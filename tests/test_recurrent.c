/* test_recurrent.c: rnn, lstm and gru against PyTorch's numbers (data/recurrent.txt, made by tools/parity/recurrent.py,
 * which says how inputs and weights are made), and as layers. */

#include "op_values.h"

#include "glia/glia.h"
#include "shape_text.h"

enum { N = 3, STEPS = 4, IN = 2, H = 3, MOST = 256 };

static glia_value *wave(glia_graph *g, glia_dtype dtype, double (*function)(double), glia_shape shape,
                        double step, double shift, double scale) {
    double numbers[MOST];
    for (int64_t i = 0; i < glia_shape_elems(&shape); i++)
        numbers[i] = scale * function(step * (double)i + shift);
    return array(g, dtype, shape, numbers);
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
    glia_value *x = wave(g, GLIA_F64, sin, D(N, STEPS, IN), 0.7, 0, 1), *y[2], *params[8], *gradients[9];
    glia_value *lengths = I64(g, D(N), 4, 2, 3);
    char word[64];
    glia_error err = {0};
    CHECK_INT(fscanf(file, " case %63s", word), 1);
    CHECK_STR(word, name);
    for (int d = 0; d < 2; d++) {
        glia_value **p = params + 4 * d;
        for (int k = 0; k < 4; k++) {
            const glia_shape shape = k == 0 ? D(gates * H, IN) : k == 1 ? D(gates * H, H) : D(gates * H);
            p[k] = wave(g, GLIA_F64, sin, shape, 1, 4 * d + k, 0.5);
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
    glia_value *loss = glia_op_add(
        glia_op_sum(glia_op_mul(both, wave(g, GLIA_F64, sin, glia_value_shape(both), 1, 0, 1)), ALL),
        glia_op_sum(glia_op_mul(last, wave(g, GLIA_F64, cos, glia_value_shape(last), 1, 0, 1)), ALL));
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
    CHECK_ERR(status, GLIA_BAD_DATA, &err, "length 4 of sequence 0 is out of range 0 … 3");
    glia_program_free(program);
    glia_graph_free(g);
}

/* In a layer no sequence may be empty, and the message tells which layer it is: where a kernel runs, and without. */
TEST(lengths_of_layers) {
    static glia_value *(*const layers[])(glia_value *, glia_recurrent_options) = {
        glia_rnn_with, glia_lstm_with, glia_gru_with};
    static const char *const kinds[] = {"rnn", "lstm", "gru"};
    static const int lengths[] = {0, -1, 5};
    for (int i = 0; i < 18; i++) {
        glia_error err = {0};
        glia_program *program = NULL;
        glia_model *m = glia_model_new("lengths");
        glia_graph *g = glia_model_graph(m);
        float params[4 * 9] = {0};
        char message[100];
        const int length = lengths[i / 3 % 3];
        const glia_recurrent_options o = {.units = 3, .name = "words", .lengths = I64(g, D(2), 4, length)};
        glia_value *y = layers[i % 3](wave(g, GLIA_F32, sin, D(2, 4, IN), 1, 0, 1), o);
        CHECK_OK(glia_program_new(
                     &program, g, &y, 1,
                     (glia_program_options){.threads = 1, .reference = i < 9 ? GLIA_NO : GLIA_YES}, &err),
                 &err);
        for (size_t k = 0; k < glia_model_params(m); k++)
            CHECK_OK(glia_program_bind(program, glia_model_param_value(m, k), params, &err), &err);
        snprintf(message, sizeof message, "%s 'words.%s': length %d of sequence 1 is out of range 1 … 4",
                 kinds[i % 3], kinds[i % 3], length);
        CHECK_ERR(glia_program_run(program, 0, &err), GLIA_BAD_DATA, &err, message);
        glia_program_free(program);
        glia_model_free(m);
    }
}

/* --- layers --------------------------------------------------------------------------------------------------- */

/* Runs the model's graph for some values, its parameter k being sin(i + k) / 2; frees the program in the end. */
typedef struct weighted {
    glia_program *program;
    float *params;
} weighted;

static weighted run_weighted(glia_model *m, glia_value *const *values, int count, bool training) {
    weighted w = {.params = malloc(4096 * sizeof(float))};
    float *to = w.params;
    glia_error err = {0};
    CHECK_OK(glia_program_new(&w.program, glia_model_graph(m), values, count,
                              (glia_program_options){.threads = 1, .training = training ? GLIA_YES : GLIA_NO},
                              &err),
             &err);
    for (size_t k = 0; k < glia_model_params(m); k++) {
        glia_value *p = glia_model_param_value(m, k);
        const glia_shape shape = glia_value_shape(p);
        for (int64_t i = 0; i < glia_shape_elems(&shape); i++)
            to[i] = (float)(sin((double)i + (double)k) / 2);
        glia_status status =
            glia_program_bind(w.program, p, to, NULL); /* not there: a value does not need it */
        CHECK(status == GLIA_OK || status == GLIA_NOT_FOUND || status == GLIA_INVALID_ARGUMENT);
        to += glia_shape_elems(&shape);
    }
    CHECK_OK(glia_program_run(w.program, 1, &err), &err);
    return w;
}

static void free_weighted(weighted *w) {
    glia_program_free(w->program);
    free(w->params);
}

static void expect_output(FILE *file, const char *name, const weighted *w, const glia_value *value) {
    char word[64];
    const glia_tensor out = glia_program_output(w->program, value);
    CHECK_INT(fscanf(file, " %63s", word), 1);
    CHECK_STR(word, name);
    for (int64_t i = 0; i < glia_shape_elems(&out.shape); i++) {
        double wanted = NAN;
        CHECK_INT(fscanf(file, "%lf", &wanted), 1);
        CHECK_NEAR(glia_tensor_get(&out, i), wanted, 2e-6 * fmax(1, fabs(wanted)));
    }
}

/* Two layers in both directions that begin with given states. */
static void check_stack(FILE *file, const char *kind, int states) {
    enum { PARAMS = 16, STATE = 4 * H };
    glia_model *m = glia_model_new(kind);
    glia_graph *g = glia_model_graph(m);
    glia_value *in[4] = {wave(g, GLIA_F32, sin, D(N, STEPS, IN), 0.7, 0, 1), I64(g, D(N), 4, 2, 3),
                         wave(g, GLIA_F32, cos, D(N, STATE), 1, 0, 0.5),
                         wave(g, GLIA_F32, sin, D(N, STATE), 1, 0, 0.5)};
    double (*const waves[])(double) = {cos, sin};
    char word[64];
    glia_error err = {0};
    CHECK_INT(fscanf(file, " stack %63s", word), 1);
    CHECK_STR(word, kind);
    glia_value *y =
        glia_layer(m, kind, "net", in, 2 + states, "units=3 layers=2 bidirectional=yes return_sequences=yes");
    CHECK_OK(glia_model_status(m, &err), &err);
    CHECK_INT(glia_model_params(m), PARAMS);
    CHECK_STR(glia_value_name(glia_model_param_value(m, 4)), "net.weight_ih_l0_reverse");
    CHECK_STR(glia_value_name(glia_model_param_value(m, 11)), "net.bias_hh_l1");
    glia_value *values[1 + 2 + 3 + PARAMS] = {y}, *wrt[3 + PARAMS] = {in[0]};
    glia_value *loss = glia_op_sum(glia_op_mul(y, wave(g, GLIA_F32, sin, glia_value_shape(y), 1, 0, 1)), ALL);
    for (int k = 0; k < states; k++) {
        values[1 + k] = glia_layer_result(m, "net", k ? "c" : "h");
        wrt[1 + k] = in[2 + k];
        glia_value *weights = wave(g, GLIA_F32, waves[k], D(N, STATE), 1, 0, 1);
        loss = glia_op_add(loss, glia_op_sum(glia_op_mul(values[1 + k], weights), ALL));
    }
    for (int k = 0; k < PARAMS; k++) wrt[1 + states + k] = glia_model_param_value(m, (size_t)k);
    const int n = 1 + states + PARAMS;
    CHECK_OK(glia_graph_gradients(g, loss, wrt, n, values + 1 + states, &err), &err);
    weighted w = run_weighted(m, values, 1 + states + n, true);
    expect_output(file, "y", &w, y);
    for (int k = 0; k < states; k++) expect_output(file, k ? "c" : "h", &w, values[1 + k]);
    expect_output(file, "dx", &w, values[1 + states]);
    for (int k = 0; k < states; k++) expect_output(file, k ? "dc" : "dh", &w, values[2 + states + k]);
    for (int k = 0; k < PARAMS; k++)
        expect_output(file, strrchr(glia_value_name(wrt[1 + states + k]), '.') + 1, &w,
                      values[2 + 2 * states + k]);
    free_weighted(&w);
    glia_model_free(m);
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
    check_stack(file, "rnn", 1);
    check_stack(file, "lstm", 2);
    check_stack(file, "gru", 1);
    fclose(file);
}

/* Cells with shared weights, step by step, give what the layer gives at once. */
TEST(cells) {
    static const char *const kinds[] = {"rnn", "lstm", "gru"};
    for (int k = 0; k < 3; k++) {
        char cell[16], name[16];
        glia_error err = {0};
        glia_model *m = glia_model_new("cells");
        glia_graph *g = glia_model_graph(m);
        glia_value *x = wave(g, GLIA_F32, sin, D(N, STEPS, IN), 0.7, 0, 1);
        glia_value *h = wave(g, GLIA_F32, cos, D(N, H), 1, 0, 0.5),
                   *c = wave(g, GLIA_F32, sin, D(N, H), 1, 0, 0.5);
        glia_value *in[] = {x, h, c}, *values[2 * STEPS + 2];
        const int states = k == 1 ? 2 : 1;
        snprintf(cell, sizeof cell, "%s_cell", kinds[k]);
        for (int t = 0; t < STEPS; t++) {
            glia_value *step = glia_op_slice(x, (glia_slice_attrs){.axis = 1, .start = t, .end = t + 1});
            glia_value *now[] = {glia_op_squeeze(step, (glia_squeeze_attrs){.axes = D(1)}), h, c};
            snprintf(name, sizeof name, "step%d", t);
            h = t ? glia_share("step0", name, now, 1 + states)
                  : glia_layer(m, cell, name, now, 1 + states, "units=3");
            if (states == 2) c = glia_layer_result(m, name, "c");
            values[t] = h;
        }
        CHECK_INT(glia_model_params(m), 4);
        glia_recurrent_inputs all = {
            .x = x, .w = glia_model_param_value(m, 0), .r = glia_model_param_value(m, 1), .h0 = in[1]};
        glia_value *b[] = {glia_model_param_value(m, 2), glia_model_param_value(m, 3)};
        if (states == 2) all.c0 = in[2];
        all.b = glia_op_concat(b, 2, (glia_concat_attrs){.axis = 0});
        glia_value *y = k == 0   ? glia_op_rnn(all, (glia_recurrent_attrs){.activation = 0})
                        : k == 1 ? glia_op_lstm(all, (glia_recurrent_attrs){.activation = 0})
                                 : glia_op_gru(all, (glia_recurrent_attrs){.activation = 0});
        values[STEPS] = y;
        values[STEPS + 1] = states == 2 ? c : h;
        CHECK_OK(glia_model_status(m, &err), &err);
        weighted w = run_weighted(m, values, STEPS + 1 + (states == 2), false);
        const glia_tensor whole = glia_program_output(w.program, y);
        for (int t = 0; t < STEPS; t++) {
            const glia_tensor step = glia_program_output(w.program, values[t]);
            for (int64_t i = 0; i < N * H; i++)
                CHECK_NEAR(glia_tensor_get(&step, i),
                           glia_tensor_get(&whole, (i / H * STEPS + t) * H + i % H), 1e-6);
        }
        free_weighted(&w);
        glia_model_free(m);
    }
}

/* Dropout is between the layers, and only in training; without biases there are none. */
TEST(dropout_between_layers) {
    glia_error err = {0};
    glia_model *m = glia_model_new("dropout");
    glia_value *x = wave(glia_model_graph(m), GLIA_F32, sin, D(N, STEPS, IN), 0.7, 0, 1);
    glia_value *y = glia_gru(x, .units = 3, .layers = 2, .dropout = 0.5, .use_bias = GLIA_NO, .name = "net");
    CHECK_OK(glia_model_status(m, &err), &err);
    CHECK_INT(glia_model_params(m), 4);
    glia_value *plain = glia_share("net", "again", &x, 1), *values[] = {y, plain};
    weighted w = run_weighted(m, values, 2, false), t = run_weighted(m, values, 2, true);
    const glia_tensor a = glia_program_output(w.program, y), b = glia_program_output(t.program, y),
                      c = glia_program_output(w.program, plain);
    bool differs = false;
    for (int64_t i = 0; i < N * 3; i++) {
        CHECK_NEAR(glia_tensor_get(&a, i), glia_tensor_get(&c, i), 0);
        differs |= glia_tensor_get(&a, i) != glia_tensor_get(&b, i);
    }
    CHECK(differs);
    free_weighted(&w);
    free_weighted(&t);
    glia_model_free(m);
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

#define BAD(part, build) BAD_AS(GLIA_BAD_SHAPE, part, build)
#define BAD_AS(status, part, build)                                  \
    do {                                                             \
        glia_error err = {0};                                        \
        glia_model *m = glia_model_new("bad");                       \
        glia_value *row = glia_input(m, "row", .shape = {12});       \
        glia_value *words = glia_input(m, "words", .shape = {7, 4}); \
        (void)row, (void)words;                                      \
        CHECK(!(build));                                             \
        CHECK_ERR(glia_model_status(m, &err), status, &err, part);   \
        glia_model_free(m);                                          \
    } while (0)

TEST(messages) {
    BAD("lstm 'lstm' expects a sequence of vectors per example (steps×numbers), got 12",
        glia_lstm(row, .units = 3));
    BAD("gru 'gru' expects lengths as one whole number (i64) per sequence, got f32 of 12",
        glia_gru(words, .units = 3, .lengths = row));
    BAD("gru 'gru' expects lengths as one whole number (i64) per sequence, got i64 of another batch",
        glia_gru(words, .units = 3, .lengths = I64(glia_model_graph(m), D(3), 1, 2, 3)));
    BAD("rnn 'rnn' expects sequences of at least one step, got 0×4",
        glia_rnn(glia_op_slice(words, (glia_slice_attrs){.axis = 1, .start = 0, .end = 0}), .units = 3));
    BAD("rnn 'first' expects a state h of 3 numbers (f32) per example, got f32 of another batch",
        glia_rnn(words, .units = 3, .name = "first",
                 .h = wave(glia_model_graph(m), GLIA_F32, sin, D(2, 3), 1, 0, 1)));
    BAD("lstm 'net' expects a state c of 3 numbers (f32) per example, got i64 of 3",
        glia_lstm(words, .units = 3, .h = glia_dense(row, .units = 3), .name = "net",
                  .c = glia_input(m, "whole", .shape = {3}, .dtype = GLIA_I64)));
    BAD("lstm 'net' expects a state h of 3 numbers (f32) per example, got f32 of 12",
        glia_lstm(words, .units = 3, .h = row, .name = "net"));
    BAD("gru 'gru' expects a state h of 12 numbers (f32) per example, got f32 of 7×4",
        glia_gru(words, .units = 3, .layers = 2, .bidirectional = GLIA_YES, .h = words));
    BAD("lstm_cell 'lstm_cell' expects a state c of 12 numbers (f32) per example, got f32 of 5",
        glia_lstm_cell(row, .units = 12, .h = row, .c = glia_dense(row, .units = 5)));
    BAD("gru_cell 'gru_cell' expects a vector per example (numbers), got 7×4",
        glia_gru_cell(words, .units = 3));
    BAD_AS(GLIA_INVALID_ARGUMENT, "gru 'gru' has no use for its input 3",
           glia_gru(words, .units = 12, .h = row, .c = row));
    BAD_AS(GLIA_INVALID_ARGUMENT, "lstm: a state that begins with c begins with h too",
           glia_lstm(words, .units = 12, .c = row));
    BAD_AS(GLIA_INVALID_ARGUMENT,
           "rnn 'rnn' reads in both directions when it is bidirectional; leave reverse out",
           glia_rnn(words, .units = 3, .bidirectional = GLIA_YES, .reverse = GLIA_YES));
    BAD_AS(GLIA_NOT_FOUND, "rnn 'net' has no result 'c'; it has h",
           glia_rnn(words, .units = 3, .name = "net") && glia_layer_result(m, "net", "c"));
    BAD_AS(GLIA_NOT_FOUND, "there is no layer 'other'", glia_layer_result(m, "other", "h"));
}

TEST_MAIN(TEST_ENTRY(numbers_of_pytorch), TEST_ENTRY(lengths), TEST_ENTRY(lengths_of_layers),
          TEST_ENTRY(cells), TEST_ENTRY(dropout_between_layers), TEST_ENTRY(layers), TEST_ENTRY(learns),
          TEST_ENTRY(messages))
