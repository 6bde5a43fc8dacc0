/* test_fit.c: training as a whole: it learns, it repeats itself, it stops well, and it says what is wrong. */

#include "test.h"

#include "failing_allocator.h"
#include "toy.h"
#include "train/loss.h"

TEST(learns_classes) {
    glia_error err = {0};
    toy train, test;
    toy_open(&train, 300, 1, false);
    toy_open(&test, 200, 2, false);
    glia_model *m = toy_model(TOY_CLASSES, NULL);
    CHECK_OK(
        glia_fit(m, train.data, .epochs = 30, .optimizer = glia_adam(.learning_rate = 0.01), .error = &err),
        &err);
    glia_report r = glia_evaluate(m, test.data, .batch_size = 64, .error = &err);
    CHECK_OK(err.status, &err);
    CHECK_INT(r.examples, 200);
    CHECK(r.accuracy > 0.65 && r.loss < 0.8); /* the clouds overlap: the best possible is about 0.79 */
    CHECK_NEAR(r.top_k, 1, 0);
    glia_model_free(m);
    glia_dataset_free(train.data);
    glia_dataset_free(test.data);
}

TEST(learns_numbers) {
    glia_error err = {0};
    toy train;
    toy_open(&train, 300, 3, true);
    glia_model *m = glia_model_new("line");
    glia_value *x = glia_input(m, "x", .shape = {TOY_WIDTH});
    glia_model_set_output(m, glia_dense(x, .units = 1));
    CHECK_OK(
        glia_fit(m, train.data, .epochs = 60, .optimizer = glia_sgd(.learning_rate = 0.05), .error = &err),
        &err);
    glia_report r = glia_evaluate(m, train.data, .error = &err);
    CHECK(r.r2 > 0.9999 && isnan(r.accuracy));
    glia_tensor w = glia_model_get_param(m, "dense.weight"), b = glia_model_get_param(m, "dense.bias");
    for (int k = 0; k < TOY_WIDTH; k++) CHECK_NEAR(glia_tensor_get(&w, k), k - 2, 0.02);
    CHECK_NEAR(glia_tensor_get(&b, 0), 0.5, 0.02);
    glia_model_free(m);
    glia_dataset_free(train.data);
}

/* One unit, yes or no: sigmoid_cross_entropy by default, and mse on classes by one_hot or 0 and 1. */
TEST(losses_fit_targets) {
    static float x[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    static int64_t y[4] = {0, 1, 1, 0};
    glia_tensor tx = glia_tensor_wrap(x, GLIA_F32, GLIA_SHAPE(4, 2)),
                ty = glia_tensor_wrap(y, GLIA_I64, GLIA_SHAPE(4));
    glia_dataset *data;
    glia_error err = {0};
    CHECK_OK(glia_dataset_wrap(&data, &tx, &ty, 2, &err), &err);
    const struct {
        int64_t units;
        const char *loss, *last;
    } cases[] = {{1, NULL, NULL},
                 {2, NULL, NULL},
                 {2, "mse", NULL},
                 {1, "mse", "sigmoid"},
                 {2, "sigmoid_cross_entropy", NULL},
                 {2, "categorical_cross_entropy", "softmax"},
                 {1, "huber", NULL},
                 {1, "mae", NULL},
                 {2, "half_mse", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        glia_model *m = glia_model_new("xor");
        glia_value *v = glia_dense(glia_input(m, "x", .shape = {2}), .units = 16, .activation = "tanh");
        glia_model_set_output(m, glia_dense(v, .units = cases[i].units, .activation = cases[i].last));
        CHECK_OK(glia_fit(m, data, .loss = cases[i].loss, .epochs = 500, .seed = 4, .batch_size = 4,
                          .optimizer = glia_adam(.learning_rate = 0.03), .error = &err),
                 &err);
        glia_report r = glia_evaluate(m, data, .loss = cases[i].loss, .error = &err);
        CHECK_OK(err.status, &err);
        CHECK_NEAR(r.accuracy, 1, 0);
        if (r.accuracy != 1)
            printf("  units %d loss %s\n", (int)cases[i].units, cases[i].loss ? cases[i].loss : "default");
        CHECK_INT(r.classes, 2);
        glia_model_free(m);
    }
    glia_dataset_free(data);
}

TEST(same_seed_same_bits) {
    glia_error err = {0};
    toy train;
    toy_open(&train, 100, 1, false);
    glia_model *m[3];
    for (int i = 0; i < 3; i++) {
        m[i] = toy_model(TOY_CLASSES, NULL);
        CHECK_OK(glia_fit(m[i], train.data, .epochs = 3, .batch_size = 16, .threads = 2,
                          .seed = i == 2 ? 8 : 7, .error = &err),
                 &err);
    }
    CHECK(toy_same_weights(m[0], m[1]));
    CHECK(!toy_same_weights(m[0], m[2]));
    for (int i = 0; i < 3; i++) glia_model_free(m[i]);
    glia_dataset_free(train.data);
}

/* What the callbacks of a training saw. */
typedef struct witness {
    glia_model *model;
    float best_weights[8 * TOY_WIDTH];
    double best_loss, last_loss;
    int64_t epochs, best_epoch, batches, batches_of_epoch;
    volatile sig_atomic_t stop;
    int64_t stop_at, end_at;
    char warning[600];
} witness;

static int see_epoch(void *ctx, const glia_epoch *e) {
    witness *w = ctx;
    w->epochs = e->epoch;
    w->last_loss = e->validated ? e->validation.loss : e->loss;
    if (e->best) {
        glia_tensor t = glia_model_get_param(w->model, "hidden.weight");
        memcpy(w->best_weights, t.data, sizeof w->best_weights);
        w->best_epoch = e->epoch;
        w->best_loss = w->last_loss;
    }
    return w->end_at == e->epoch;
}

static void see_batch(void *ctx, const glia_progress *p) {
    witness *w = ctx;
    w->batches++;
    w->batches_of_epoch = p->batches;
    CHECK(p->batch >= 1 && p->batch <= p->batches && isfinite(p->loss));
    if (w->batches == w->stop_at) w->stop = 1;
}

static void see_line(void *ctx, glia_log_level level, const char *text) {
    witness *w = ctx;
    if (level == GLIA_LOG_WARNING) snprintf(w->warning, sizeof w->warning, "%s", text);
}

TEST(early_stopping_restores_the_best) {
    glia_error err = {0};
    toy train, validation;
    toy_open(&train, 60, 1, false);
    toy_open(&validation, 90, 2, false);
    witness w = {.model = toy_model(TOY_CLASSES, NULL)};
    CHECK_OK(glia_fit(w.model, train.data, .epochs = 400, .optimizer = glia_adam(.learning_rate = 0.05),
                      .validation = validation.data, .early_stopping = {.patience = 5}, .on_epoch = see_epoch,
                      .ctx = &w, .error = &err),
             &err);
    CHECK(w.epochs < 400 && w.epochs == w.best_epoch + 5 && w.last_loss > w.best_loss);
    glia_tensor t = glia_model_get_param(w.model, "hidden.weight");
    CHECK(memcmp(t.data, w.best_weights, sizeof w.best_weights) == 0);
    glia_report r = glia_evaluate(w.model, validation.data, .error = &err);
    CHECK_NEAR(r.loss, w.best_loss, 1e-5);
    glia_model_free(w.model);
    glia_dataset_free(train.data);
    glia_dataset_free(validation.data);
}

/* Without validation data the training loss is watched; it need not get worse to run out of patience. */
TEST(early_stopping_without_validation) {
    glia_error err = {0};
    toy train;
    toy_open(&train, 60, 1, false);
    witness w = {.model = toy_model(TOY_CLASSES, NULL)};
    CHECK_OK(glia_fit(w.model, train.data, .epochs = 100,
                      .early_stopping = {.patience = 2, .min_delta = 1000}, .on_epoch = see_epoch, .ctx = &w,
                      .error = &err),
             &err);
    CHECK_INT(w.epochs, 3);
    CHECK_INT(w.best_epoch, 1);
    glia_model_free(w.model);
    glia_dataset_free(train.data);
}

TEST(batches_and_callbacks) {
    glia_error err = {0};
    toy train;
    toy_open(&train, 50, 1, false);
    const struct { int64_t size, batches; } cases[] = {{7, 8}, {50, 1}, {1000, 1}, {1, 50}};
    for (size_t i = 0; i < 4; i++) {
        witness w = {.model = toy_model(TOY_CLASSES, NULL), .end_at = 2};
        CHECK_OK(glia_fit(w.model, train.data, .epochs = 9, .batch_size = cases[i].size,
                          .on_epoch = see_epoch, .on_batch = see_batch, .ctx = &w, .error = &err),
                 &err);
        CHECK_INT(w.epochs, 2); /* the callback ended it */
        CHECK_INT(w.batches, 2 * cases[i].batches);
        CHECK_INT(w.batches_of_epoch, cases[i].batches);
        glia_model_free(w.model);
    }
    glia_dataset_free(train.data);
}

TEST(stop_flag) {
    glia_error err = {0};
    toy train;
    toy_open(&train, 50, 1, false);
    witness w = {.model = toy_model(TOY_CLASSES, NULL), .stop_at = 8};
    CHECK_ERR(glia_fit(w.model, train.data, .epochs = 9, .batch_size = 10, .on_batch = see_batch,
                       .stop = &w.stop, .ctx = &w, .error = &err),
              GLIA_INTERRUPTED, &err, "interrupted in epoch 2 after batch 3 of 5");
    CHECK_INT(w.batches, 8);
    glia_model_free(w.model);
    glia_dataset_free(train.data);
}

TEST(not_finite) {
    glia_error err = {0};
    toy train;
    toy_open(&train, 50, 1, true);
    glia_model *m = toy_model(1, NULL), *fresh = toy_model(1, NULL);
    CHECK_OK(glia_model_initialize(m, 1, &err), &err);
    CHECK_OK(glia_model_initialize(fresh, 1, &err), &err);
    glia_status status = glia_fit(m, train.data, .batch_size = 10,
                                  .optimizer = glia_sgd(.learning_rate = 1e25), .error = &err);
    CHECK_STR(glia_status_name(status), "NOT_FINITE");
    CHECK_HAS(err.message, "epoch 1, batch 2 of 5, step 2: the loss became NaN or infinite");
    CHECK_HAS(err.message, "lower the learning rate");
    CHECK_HAS(err.message, "the model has the last good weights, of epoch 0");
    CHECK(*err.node);
    CHECK_HAS(err.message, err.node);
    CHECK(toy_same_weights(m, fresh));
    glia_error_clear(&err);
    train.x[33][2] = NAN;
    CHECK_ERR(
        glia_fit(m, train.data, .batch_size = 10, .shuffle = GLIA_NO, .error = &err), GLIA_NOT_FINITE, &err,
        "batch 4 of 5, step 4: the loss became NaN or infinite: input 'x' (10×6) holds nan at element 20");
    glia_model_free(m);
    glia_model_free(fresh);
    glia_dataset_free(train.data);
}

#define FIT_FAILS(status, part, model, data, ...)                                                 \
    do {                                                                                          \
        glia_error fit_err = {0};                                                                 \
        CHECK_ERR(glia_fit(model, data, .error = &fit_err, __VA_ARGS__), status, &fit_err, part); \
    } while (0)

TEST(wrong_use) {
    toy train, numbers;
    toy_open(&train, 50, 1, false);
    toy_open(&numbers, 50, 1, true);
    glia_dataset *none = NULL;
    glia_error err = {0};
    CHECK_OK(glia_dataset_take(&none, train.data, NULL, 0, &err), &err);
    glia_model *m = toy_model(5, NULL), *empty = glia_model_new("empty"), *three = toy_model(3, NULL);
    FIT_FAILS(GLIA_BAD_SHAPE,
              "the last layer, dense 'head', gives 5 numbers, but the data has 3 classes; end with dense: 3",
              m, train.data, .epochs = 1);
    FIT_FAILS(GLIA_BAD_SHAPE, "dense 'head', gives 5 per example, but the data's targets are a single number",
              m, numbers.data, .epochs = 1);
    FIT_FAILS(GLIA_BAD_SHAPE, "loss softmax_cross_entropy needs classes as targets", three, numbers.data,
              .loss = "softmax_cross_entropy");
    FIT_FAILS(GLIA_INVALID_ARGUMENT, "unknown loss 'mes' (did you mean 'mse'?)", three, train.data,
              .loss = "mes");
    FIT_FAILS(GLIA_INVALID_ARGUMENT, "unknown optimizer 'sgdd' (did you mean 'sgd'?)", three, train.data,
              .optimizer = {.name = "sgdd"});
    FIT_FAILS(GLIA_INVALID_ARGUMENT, "has no input; call glia_input", empty, train.data, .epochs = 1);
    FIT_FAILS(GLIA_BAD_DATA, "is empty: it has no examples", three, none, .epochs = 1);
    FIT_FAILS(GLIA_INVALID_ARGUMENT, "epochs: expected at least 1, found -2", three, train.data,
              .epochs = -2);
    FIT_FAILS(GLIA_INVALID_ARGUMENT, "found 'val_los' (did you mean 'val_loss'?)", three, train.data,
              .early_stopping = {.monitor = "val_los"});
    FIT_FAILS(GLIA_INVALID_ARGUMENT, "monitors val_accuracy, but the data has no classes", three,
              numbers.data, .early_stopping = {.monitor = "val_accuracy"});
    FIT_FAILS(GLIA_INVALID_ARGUMENT, "monitors val_f1, but there is no validation data", three, train.data,
              .early_stopping = {.monitor = "val_f1"});
    FIT_FAILS(GLIA_BAD_DATA, "targets of another kind", three, train.data, .validation = numbers.data);
    FIT_FAILS(GLIA_INVALID_ARGUMENT, "resume needs a run_dir", three, train.data, .resume = GLIA_YES);
    /* None of this spoiled the model. */
    CHECK_OK(glia_fit(three, train.data, .epochs = 1, .error = &err), &err);
    glia_model *image = glia_model_new("image");
    glia_value *x = glia_input(image, "image", .shape = {1, 2, 3});
    glia_model_set_output(image, glia_dense(glia_flatten(x), .units = 3));
    FIT_FAILS(GLIA_BAD_SHAPE, "input 'image' of the model takes examples of 1×2×3, the data has 6", image,
              train.data, .epochs = 1);
    glia_model_free(m);
    glia_model_free(three);
    glia_model_free(empty);
    glia_model_free(image);
    glia_dataset_free(train.data);
    glia_dataset_free(numbers.data);
    glia_dataset_free(none);
}

/* The mistake of many a tutorial: softmax, then a loss that applies it again. */
TEST(softmax_before_logits) {
    glia_error err = {0};
    toy train;
    toy_open(&train, 30, 1, false);
    char text[600];
    witness w = {0};
    glia_logger logger = {.line = see_line, .ctx = &w};
    glia_model *m = glia_model_new("listing");
    glia_value *x = glia_input(m, "x", .shape = {TOY_WIDTH});
    glia_model_set_output(m, glia_dense(x, .units = 3, .activation = "softmax", .name = "head"));
    CHECK_OK(glia_fit(m, train.data, .loss = "softmax_cross_entropy", .logger = &logger, .error = &err),
             &err);
    CHECK_STR(w.warning,
              "the last layer, dense 'head', ends in softmax, but softmax_cross_entropy expects logits: it "
              "applies softmax itself, so training is slow and stays poor; remove activation: softmax, or "
              "write loss: categorical_cross_entropy");
    CHECK(!glia__loss_warning(m, "categorical_cross_entropy", text, sizeof text));
    CHECK(!glia__loss_warning(m, "mse", text, sizeof text));
    glia_model_free(m);

    m = glia_model_new("layer");
    x = glia_input(m, "x", .shape = {TOY_WIDTH});
    x = glia_dense(x, .units = 3);
    glia_model_set_output(m, x);
    CHECK(!glia__loss_warning(m, "softmax_cross_entropy", text, sizeof text));
    CHECK_HAS(glia__loss_warning(m, "categorical_cross_entropy", text, sizeof text),
              "dense 'dense', does not end in softmax, but categorical_cross_entropy expects probabilities");
    glia_model_set_output(m, glia_softmax(x));
    CHECK_HAS(glia__loss_warning(m, "softmax_cross_entropy", text, sizeof text),
              "the last layer, softmax 'softmax', ends in softmax");
    CHECK_HAS(text, "remove the layer softmax");
    glia_model_free(m);
    glia_dataset_free(train.data);
}

/* The loop by hand; a gradient against central differences of the loss. */
TEST(trainer) {
    glia_error err = {0};
    toy train;
    toy_open(&train, 20, 1, false);
    glia_model *m = glia_model_new("hand");
    glia_value *x = glia_input(m, "x", .shape = {TOY_WIDTH});
    glia_model_set_output(m, glia_dense(glia_dense(x, .units = 4, .activation = "tanh"), .units = 3));
    glia_trainer *t = NULL;
    CHECK_OK(glia_trainer_new(&t, m, GLIA_TARGET_CLASS, (glia_shape){0},
                              (glia_fit_options){.optimizer = glia_sgd(.learning_rate = 0.5)}, &err),
             &err);
    double loss, before, up, down;
    CHECK_ERR(glia_trainer_update(t, &err), GLIA_INVALID_ARGUMENT, &err, "call glia_trainer_backward before");
    CHECK_OK(glia_trainer_backward(t, train.x[0], train.classes, 20, &before, &err), &err);
    for (size_t p = 0; p < glia_model_params(m); p++) {
        glia_tensor weight = glia_model_param_data(m, p), gradient = glia_trainer_gradient(t, p);
        float *w = weight.data, kept = w[1];
        double expected = glia_tensor_get(&gradient, 1);
        w[1] = kept + 0x1p-7f;
        CHECK_OK(glia_trainer_forward(t, train.x[0], train.classes, 20, &up, &err), &err);
        w[1] = kept - 0x1p-7f;
        CHECK_OK(glia_trainer_forward(t, train.x[0], train.classes, 20, &down, &err), &err);
        w[1] = kept;
        CHECK_NEAR((up - down) / 0x1p-6, expected, 1e-4);
    }
    CHECK_OK(glia_trainer_backward(t, train.x[0], train.classes, 20, &loss, &err), &err);
    CHECK_NEAR(loss, before, 0);
    CHECK_OK(glia_trainer_update(t, &err), &err);
    CHECK_OK(glia_trainer_forward(t, train.x[0], train.classes, 20, &loss, &err), &err);
    CHECK(loss < before);
    glia_tensor predictions = glia_trainer_predictions(t);
    CHECK(predictions.data && predictions.shape.rank == 2 && predictions.shape.dim[1] == 3);
    CHECK_ERR(glia_trainer_backward(t, NULL, NULL, 20, &loss, &err), GLIA_INVALID_ARGUMENT, &err,
              "needs inputs");
    glia_trainer_free(t);
    glia_model_free(m);
    glia_dataset_free(train.data);
}

TEST(predict) {
    glia_error err = {0};
    glia_model *m = glia_model_new("p");
    glia_value *x = glia_input(m, "x", .shape = {2});
    glia_model_set_output(m, glia_dense(x, .units = 2, .use_bias = GLIA_NO));
    static float in[600][2], out[600][2];
    for (int i = 0; i < 600; i++) in[i][0] = (float)i / 100, in[i][1] = 1;
    glia_tensor tx = glia_tensor_wrap(in, GLIA_F32, GLIA_SHAPE(600, 2)),
                ty = glia_tensor_wrap(out, GLIA_F32, GLIA_SHAPE(600, 2));
    CHECK_ERR(glia_predict(m, &tx, false, &ty, &err), GLIA_INVALID_ARGUMENT, &err, "has no weights yet");
    CHECK_OK(glia_model_initialize(m, 0, &err), &err);
    memcpy(glia_model_get_param(m, "dense.weight").data, (float[]){1, 0, 0, 2}, 16);
    CHECK_OK(glia_predict(m, &tx, false, &ty, &err), &err);
    CHECK_NEAR(out[599][0], 5.99, 1e-5);
    CHECK_NEAR(out[300][1], 2, 0);
    CHECK_OK(glia_predict(m, &tx, true, &ty, &err), &err);
    CHECK_NEAR(out[599][0], 1 / (1 + exp(2 - 5.99)), 1e-6);
    CHECK_NEAR(out[0][0] + out[0][1], 1, 1e-6);
    ty.shape.dim[1] = 1;
    CHECK_ERR(glia_predict(m, &tx, true, &ty, &err), GLIA_BAD_SHAPE, &err,
              "the result needs an f32 array of 600×2");
    glia_model_free(m);
}

/* Whole numbers as inputs: an embedding learns which words mean yes. */
TEST(embedding) {
    static float x[40][3];
    static int64_t y[40];
    glia_error err = {0};
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 3; k++) x[i][k] = (float)((i * 7 + k * 5) % 11);
        y[i] = (i * 7) % 11 > 5;
    }
    glia_tensor tx = glia_tensor_wrap(x, GLIA_F32, GLIA_SHAPE(40, 3)),
                ty = glia_tensor_wrap(y, GLIA_I64, GLIA_SHAPE(40));
    glia_dataset *data;
    CHECK_OK(glia_dataset_wrap(&data, &tx, &ty, 2, &err), &err);
    glia_model *m = glia_model_new("words");
    glia_value *v = glia_input(m, "words", .shape = {3}, .dtype = GLIA_I64);
    v = glia_embedding(v, .vocabulary = 11, .units = 4);
    glia_model_set_output(m, glia_dense(glia_flatten(v), .units = 2));
    CHECK_OK(glia_fit(m, data, .epochs = 60, .optimizer = glia_adam(.learning_rate = 0.05), .error = &err),
             &err);
    CHECK_NEAR(glia_evaluate(m, data, .error = &err).accuracy, 1, 0);
    x[39][0] = 11;
    glia_report r = glia_evaluate(m, data, .error = &err);
    CHECK(err.status != GLIA_OK && r.examples == 0 && isnan(r.accuracy));
    CHECK_HAS(err.message, "11");
    glia_model_free(m);
    glia_dataset_free(data);
}

TEST(out_of_memory) {
    toy train;
    toy_open(&train, 12, 1, false);
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_model *m = toy_model(TOY_CLASSES, &memory.allocator);
        glia_status status = glia_model_status(m, &err);
        if (status == GLIA_OK)
            status = glia_fit(m, train.data, .epochs = 2, .batch_size = 8, .validation = train.data,
                              .threads = 1, .early_stopping = {.patience = 1}, .error = &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_model_free(m);
    }
    glia_dataset_free(train.data);
}

TEST_MAIN(TEST_ENTRY(learns_classes), TEST_ENTRY(learns_numbers), TEST_ENTRY(losses_fit_targets),
          TEST_ENTRY(same_seed_same_bits), TEST_ENTRY(early_stopping_restores_the_best),
          TEST_ENTRY(early_stopping_without_validation), TEST_ENTRY(batches_and_callbacks),
          TEST_ENTRY(stop_flag), TEST_ENTRY(not_finite), TEST_ENTRY(wrong_use),
          TEST_ENTRY(softmax_before_logits), TEST_ENTRY(trainer), TEST_ENTRY(predict), TEST_ENTRY(embedding),
          TEST_ENTRY(out_of_memory))
