/* test_stateful.c: recurrent layers that go on from batch to batch: in predictions one step at a time, in training with its
 * checkpoints, in what is exported. */

#include "test.h"

#include <math.h>
#include <signal.h>
#include <unistd.h>

#include "glia/glia.h"
#include "recipe/export.h"

enum { ROWS = 3, STEPS = 8, IN = 2, UNITS = 5, OUT = 2 };

/* `steps` steps at a time. */
static glia_model *make(const char *cell, int64_t steps, bool stateful) {
    char options[120];
    glia_error err = {0};
    glia_model *m = glia_model_new("goes on");
    glia_value *x = glia_input(m, "x", .shape = {steps, IN});
    snprintf(options, sizeof options, "units=%d layers=2 return_sequences=yes stateful=%s", UNITS,
             stateful ? "yes" : "no");
    glia_model_set_output(m, glia_dense(glia_layer(m, cell, "net", &x, 1, options), .units = OUT));
    CHECK_OK(glia_model_initialize(m, 5, &err), &err); /* weights follow from their names: the same for all */
    return m;
}

/* Steps [from, from + steps) of every row. */
static void cut(const float *x, int width, int64_t from, int64_t steps, float *out) {
    for (int r = 0; r < ROWS; r++)
        memcpy(out + r * steps * width, x + (r * STEPS + from) * width,
               (size_t)(steps * width) * sizeof *out);
}

static void fill(float *x) {
    for (int i = 0; i < ROWS * STEPS * IN; i++) x[i] = (float)sin(1.3 * i);
}

/* What the network says to all steps at once. */
static void at_once(const char *cell, const float *x, float *y) {
    glia_error err = {0};
    glia_model *m = make(cell, STEPS, false);
    glia_tensor in = glia_tensor_wrap((void *)(uintptr_t)x, GLIA_F32, GLIA_SHAPE(ROWS, STEPS, IN)),
                out = glia_tensor_wrap(y, GLIA_F32, GLIA_SHAPE(ROWS, STEPS, OUT));
    CHECK_OK(glia_predict(m, &in, false, &out, &err), &err);
    glia_model_free(m);
}

TEST(step_by_step) {
    static const char *const cells[] = {"rnn", "lstm", "gru"};
    float x[ROWS * STEPS * IN], y[ROWS * STEPS * OUT], part[ROWS * STEPS * OUT], seen[ROWS * 2 * IN];
    glia_error err = {0};
    fill(x);
    for (int c = 0; c < 3; c++)
        for (int64_t steps = 1; steps <= 2; steps++) {
            glia_model *m = make(cells[c], steps, true);
            glia_predictor *p = NULL;
            at_once(cells[c], x, y);
            CHECK_OK(glia_predictor_new(&p, m, 1, &err), &err);
            for (int again = 0; again < 2; again++) {
                for (int64_t t = 0; t < STEPS; t += steps) {
                    glia_tensor in = glia_tensor_wrap(seen, GLIA_F32, GLIA_SHAPE(ROWS, steps, IN)),
                                out = glia_tensor_wrap(part, GLIA_F32, GLIA_SHAPE(ROWS, steps, OUT));
                    cut(x, IN, t, steps, seen);
                    CHECK_OK(glia_predictor_run(p, &in, false, &out, &err), &err);
                    for (int64_t i = 0; i < ROWS * steps * OUT; i++) {
                        const int64_t row = i / (steps * OUT), at = t + i / OUT % steps;
                        CHECK_NEAR(part[i], y[(row * STEPS + at) * OUT + i % OUT], 1e-6);
                    }
                }
                glia_predictor_reset_states(p);
            }
            glia_predictor_free(p);
            glia_model_free(m);
        }
}

/* Training goes on from batch to batch, until it is told to begin anew; a forward in between changes nothing. */
TEST(trainer) {
    float x[ROWS * STEPS * IN], y[ROWS * STEPS * OUT], seen[ROWS * STEPS / 2 * IN];
    float targets[ROWS * STEPS / 2 * OUT] = {0};
    const int64_t half = STEPS / 2;
    glia_error err = {0};
    glia_trainer *t = NULL;
    glia_model *m = make("lstm", half, true);
    fill(x);
    at_once("lstm", x, y);
    CHECK_OK(glia_trainer_new(&t, m, GLIA_TARGET_VALUES, GLIA_SHAPE(half, OUT),
                              (glia_fit_options){.threads = 1, .loss = "mse"}, &err),
             &err);
    for (int again = 0; again < 2 && t; again++) {
        for (int part = 0; part < 2; part++) {
            double loss, forward;
            cut(x, IN, part * half, half, seen);
            if (!part) CHECK_OK(glia_trainer_forward(t, seen, targets, ROWS, &forward, &err), &err);
            CHECK_OK(glia_trainer_backward(t, seen, targets, ROWS, &loss, &err), &err);
            if (!part) CHECK_NEAR(loss, forward, 1e-6);
            const float *found = glia_trainer_predictions(t).data;
            for (int64_t i = 0; i < ROWS * half * OUT; i++) {
                const int64_t row = i / (half * OUT), at = part * half + i / OUT % half;
                CHECK_NEAR(found[i], y[(row * STEPS + at) * OUT + i % OUT], 1e-6);
            }
        }
        glia_trainer_reset_states(t);
    }
    glia_trainer_free(t);
    glia_model_free(m);
}

/* --- fit ------------------------------------------------------------------------------------------------------ */

enum { EXAMPLES = 22, BATCH = 4, EPOCHS = 3, BATCHES = 6 /* 5 full ones and one of two rows */ };

static void remove_run(const char *dir) {
    static const char *const names[] = {"last.safetensors", "best.safetensors", "metrics.jsonl"};
    char path[256];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

typedef struct pauses {
    volatile sig_atomic_t stop;
    int64_t batches, stop_at;
} pauses;

static void count_batch(void *ctx, const glia_progress *progress) {
    pauses *p = ctx;
    (void)progress;
    if (++p->batches == p->stop_at) p->stop = 1;
}

/* A wave as windows of two steps, one after another; each is to tell what the wave was three steps earlier. */
static glia_dataset *waves(float *x, float *y) {
    glia_error err = {0};
    glia_dataset *data = NULL;
    for (int i = 0; i < EXAMPLES * 2; i++)
        for (int k = 0; k < 2; k++) {
            x[i * 2 + k] = (float)sin(0.9 * i + k);
            y[i * 2 + k] = (float)sin(0.9 * (i - 3) + k);
        }
    glia_tensor in = glia_tensor_wrap(x, GLIA_F32, GLIA_SHAPE(EXAMPLES, 2, 2)),
                out = glia_tensor_wrap(y, GLIA_F32, GLIA_SHAPE(EXAMPLES, 2, 2));
    CHECK_OK(glia_dataset_wrap(&data, &in, &out, 0, &err), &err);
    return data;
}

static glia_status train(glia_model *m, const glia_dataset *data, const char *dir, bool resume,
                         int64_t stop_at, int64_t memory_limit, glia_error *err) {
    pauses p = {.stop_at = stop_at};
    return glia_fit(m, data, .epochs = EPOCHS, .batch_size = BATCH, .threads = 1, .loss = "mse",
                    .optimizer = glia_adam(.learning_rate = 0.01), .run_dir = dir, .validation = data,
                    .resume = resume ? GLIA_YES : GLIA_NO, .memory_limit = memory_limit, .stop = &p.stop,
                    .on_batch = count_batch, .ctx = &p, .error = err);
}

static double furthest(const glia_model *a, const glia_model *b) {
    double most = 0;
    for (size_t p = 0; p < glia_model_params(a); p++) {
        const glia_tensor x = glia_model_param_data(a, p), y = glia_model_param_data(b, p);
        for (int64_t i = 0; i < glia_shape_elems(&x.shape); i++)
            most = fmax(most, fabs(glia_tensor_get(&x, i) - glia_tensor_get(&y, i)));
    }
    return most;
}

/* fit does what the loop by hand does on stretches; stopped anywhere and resumed, it ends with the same bits. */
TEST(fit) {
    static const int64_t stops[] = {1, 3, BATCHES, BATCHES + 5};
    static float x[EXAMPLES * 4], y[EXAMPLES * 4];
    glia_error err = {0};
    glia_dataset *data = waves(x, y);
    glia_model *whole = make("gru", 2, true), *hand = make("gru", 2, true);
    CHECK_OK(train(whole, data, NULL, false, 0, 0, &err), &err);
    glia_trainer *t = NULL;
    CHECK_OK(glia_trainer_new(&t, hand, GLIA_TARGET_VALUES, GLIA_SHAPE(2, 2),
                              (glia_fit_options){
                                  .threads = 1, .loss = "mse", .optimizer = glia_adam(.learning_rate = 0.01)},
                              &err),
             &err);
    for (int step = 0; step < EPOCHS * BATCHES; step++) {
        float in[BATCH * 4], out[BATCH * 4];
        const int batch = step % BATCHES, rows = batch < BATCHES - 1 ? BATCH : EXAMPLES % BATCH;
        double loss;
        if (!batch) glia_trainer_reset_states(t);
        for (int r = 0; r < rows; r++) { /* stretches of 6, 6, 5 and 5 */
            const int example = r * 5 + (r < 2 ? r : 2) + batch;
            memcpy(in + r * 4, x + example * 4, 4 * sizeof *in);
            memcpy(out + r * 4, y + example * 4, 4 * sizeof *out);
        }
        CHECK_OK(glia_trainer_backward(t, in, out, rows, &loss, &err), &err);
        CHECK_OK(glia_trainer_update(t, &err), &err);
    }
    CHECK_NEAR(furthest(whole, hand), 0, 0);
    glia_trainer_free(t);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        glia_model *first = make("gru", 2, true), *second = make("gru", 2, true);
        CHECK_ERR(train(first, data, "stateful_run", false, stops[i], 0, &err), GLIA_INTERRUPTED, &err,
                  "resume");
        CHECK_OK(train(second, data, "stateful_run", true, 0, 0, &err), &err);
        CHECK_NEAR(furthest(whole, second), 0, 0);
        glia_model_free(first);
        glia_model_free(second);
    }
    remove_run("stateful_run");
    glia_model_free(hand);
    glia_model_free(whole);
    glia_dataset_free(data);
}

/* Every evaluation begins with 0, after training as after another. */
TEST(evaluations_begin_anew) {
    static float x[EXAMPLES * 4], y[EXAMPLES * 4];
    glia_error err = {0};
    glia_dataset *data = waves(x, y);
    glia_model *m = make("gru", 2, true);
    CHECK_OK(glia_fit(m, data, .epochs = 5, .batch_size = BATCH, .threads = 1, .loss = "mse", .error = &err),
             &err);
    const glia_report a = glia_evaluate(m, data, .loss = "mse", .batch_size = 4, .threads = 1, .error = &err),
                      b = glia_evaluate(m, data, .loss = "mse", .batch_size = 4, .threads = 1, .error = &err);
    CHECK_OK(err.status, &err);
    CHECK(isfinite(a.loss) && a.loss == b.loss);
    glia_model_free(m);
    glia_dataset_free(data);
}

/* --- exports and refusals --------------------------------------------------------------------------------------- */

/* States are inputs and outputs of what is exported. */
TEST(exported) {
    glia_error err = {0};
    glia_export_model e;
    glia_inference f;
    glia_model *m = make("lstm", 1, true);
    CHECK_OK(glia__export_of_model(&e, m, &err), &err);
    CHECK_OK(glia__inference_new(&f, &e.model, true, true, &err), &err);
    CHECK_INT(f.n_inputs, 3);
    CHECK_INT(f.n_outputs, 3);
    CHECK_STR(glia_value_name(f.inputs[1]), "net.h");
    CHECK_STR(glia_value_name(f.inputs[2]), "net.c");
    for (int i = 1; i < 3; i++) {
        const glia_shape in = glia_value_shape(f.inputs[i]), out = glia_value_shape(f.outputs[i]);
        CHECK(glia_shape_equal(&in, &out) && in.dim[1] == 2 * UNITS);
    }
    glia__inference_free(&f);
    glia__export_free(&e);
    glia_model_free(m);
}

#define BAD(part, build)                                                          \
    do {                                                                          \
        glia_error err = {0};                                                     \
        glia_model *m = glia_model_new("bad");                                    \
        glia_value *x = glia_input(m, "x", .shape = {7, 4});                      \
        glia_value *h = glia_input(m, "h", .shape = {3});                         \
        (void)h;                                                                  \
        CHECK(!(build));                                                          \
        CHECK_ERR(glia_model_status(m, &err), GLIA_INVALID_ARGUMENT, &err, part); \
        glia_model_free(m);                                                       \
    } while (0)

TEST(messages) {
    BAD("gru 'net' is stateful: it reads forward",
        glia_gru(x, .units = 3, .stateful = GLIA_YES, .bidirectional = GLIA_YES, .name = "net"));
    BAD("rnn 'rnn' is stateful: it reads forward",
        glia_rnn(x, .units = 3, .stateful = GLIA_YES, .reverse = GLIA_YES));
    BAD("lstm 'lstm' is stateful: it begins with the state that it ended with, and takes none",
        glia_lstm(x, .units = 3, .stateful = GLIA_YES, .h = h));
    glia_error err = {0};
    glia_objective *o = NULL;
    glia_model *m = make("rnn", 2, true);
    CHECK_ERR(glia_objective_new(&o, m, (glia_objective_options){.threads = 1}, &err), GLIA_UNSUPPORTED, &err,
              "has stateful layers");
    glia_model_free(m);
}

TEST_MAIN(TEST_ENTRY(step_by_step), TEST_ENTRY(trainer), TEST_ENTRY(fit), TEST_ENTRY(evaluations_begin_anew),
          TEST_ENTRY(exported), TEST_ENTRY(messages))
