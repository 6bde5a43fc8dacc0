/* test_schedule.c: learning-rate schedules: PyTorch's numbers, and trainings that use them. */

#include "test.h"

#include "core/mem.h"
#include "scratch.h"
#include "toy.h"

enum { STEPS = 4, EPOCHS = 5 };

/* Printed by tools/parity/schedules.py, with torch 2.13.0: the factor of every step. */
static const struct {
    glia_schedule_options options;
    double factors[STEPS * EPOCHS];
} cases[] = {
    {{.kind = "step", .step_epochs = 2, .gamma = 0.5},
     {1, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25}},
    {{.kind = "linear", .final = 0.1}, {1,    0.955, 0.91, 0.865, 0.82, 0.775, 0.73, 0.685, 0.64, 0.595,
                                        0.55, 0.505, 0.46, 0.415, 0.37, 0.325, 0.28, 0.235, 0.19, 0.145}},
    {{.kind = "cosine"},
     {1,
      0.9938441703,
      0.9755282581,
      0.9455032621,
      0.9045084972,
      0.8535533906,
      0.7938926261,
      0.7269952499,
      0.6545084972,
      0.5782172325,
      0.5,
      0.4217827675,
      0.3454915028,
      0.2730047501,
      0.2061073739,
      0.1464466094,
      0.09549150281,
      0.05449673791,
      0.02447174185,
      0.006155829702}},
    {{.kind = "cosine", .final = 0.25, .warmup = 1.5},
     {0.1666666667,
      0.3333333333,
      0.5,
      0.6666666667,
      0.8333333333,
      1,
      1,
      0.9905979671,
      0.9628633255,
      0.9181868059,
      0.8588086757,
      0.7877064022,
      0.7084453502,
      0.625,
      0.5415546498,
      0.4622935978,
      0.3911913243,
      0.3318131941,
      0.2871366745,
      0.2594020329}},
    {{.kind = "linear", .warmup = 1},
     {0.25,  0.5,    0.75, 1,      1,     0.9375, 0.875, 0.8125, 0.75,  0.6875,
      0.625, 0.5625, 0.5,  0.4375, 0.375, 0.3125, 0.25,  0.1875, 0.125, 0.0625}},
};

TEST(factors_of_pytorch) {
    for (size_t i = 0; i < GLIA_COUNT(cases); i++)
        for (int64_t step = 0; step < STEPS * EPOCHS; step++)
            CHECK_NEAR(glia_schedule_factor(cases[i].options, step, STEPS, EPOCHS), cases[i].factors[step],
                       1e-9);
    glia_schedule_options constant = {0};
    CHECK_NEAR(glia_schedule_factor(constant, 7, STEPS, EPOCHS), 1, 0);
    constant.warmup = EPOCHS; /* nothing but warm-up */
    CHECK_NEAR(glia_schedule_factor(constant, 9, STEPS, EPOCHS), 0.5, 0);
    CHECK_NEAR(glia_schedule_factor(constant, 1000, STEPS, EPOCHS), 1, 0);
    glia_schedule_options cosine = {.kind = "cosine"};
    CHECK_NEAR(glia_schedule_factor(cosine, 1000, STEPS, EPOCHS), 0, 1e-15); /* past the end */
    CHECK(isnan(glia_schedule_factor((glia_schedule_options){.kind = "sine"}, 0, STEPS, EPOCHS)));
    CHECK(isnan(glia_schedule_factor(cosine, 0, 0, EPOCHS)));
}

/* A trainer whose rate is set by hand does what fit does. */
TEST(fit_obeys) {
    toy t;
    glia_error err = {0};
    glia_trainer *trainer;
    glia_loader *loader;
    glia_batch batch;
    toy_open(&t, 90, 1, false);
    glia_model *fitted = toy_model(TOY_CLASSES, NULL), *by_hand = toy_model(TOY_CLASSES, NULL),
               *constant = toy_model(TOY_CLASSES, NULL);
    glia_fit_options o = {.optimizer = glia_momentum(.learning_rate = 0.2),
                          .schedule = {.kind = "linear", .warmup = 1, .final = 0.1},
                          .epochs = 3,
                          .batch_size = 20,
                          .seed = 4,
                          .error = &err};
    CHECK_OK(glia_fit_with(fitted, t.data, o), &err);
    CHECK_OK(glia_trainer_new(&trainer, by_hand, GLIA_TARGET_CLASS, (glia_shape){0}, o, &err), &err);
    CHECK_OK(glia_loader_new(&loader, t.data,
                             (glia_loader_options){.batch_size = 20, .shuffle = GLIA_YES, .seed = 4}, &err),
             &err);
    for (int64_t epoch = 0, step = 0; epoch < 3; epoch++) {
        CHECK_OK(glia_loader_start(loader, epoch, &err), &err);
        for (;; step++) {
            CHECK_OK(glia_loader_next(loader, &batch, &err), &err);
            if (!batch.count) break;
            CHECK_OK(glia_trainer_backward(trainer, batch.inputs, batch.targets, batch.count, NULL, &err),
                     &err);
            glia_trainer_set_learning_rate(trainer, 0.2 * glia_schedule_factor(o.schedule, step, 5, 3));
            CHECK_OK(glia_trainer_update(trainer, &err), &err);
        }
    }
    CHECK(toy_same_weights(fitted, by_hand));
    o.schedule.kind = NULL;
    CHECK_OK(glia_fit_with(constant, t.data, o), &err);
    CHECK(!toy_same_weights(fitted, constant));
    glia_loader_free(loader);
    glia_trainer_free(trainer);
    glia_model_free(fitted), glia_model_free(by_hand), glia_model_free(constant);
    glia_dataset_free(t.data);
}

static int stop_at(void *ctx, const glia_epoch *epoch) {
    return epoch->epoch == *(int *)ctx;
}

/* Stopped and resumed: the same bits, in the warm-up and behind it. */
TEST(resumed) {
    toy t;
    glia_error err = {0};
    scratch_make();
    toy_open(&t, 100, 1, false);
    for (int stop = 1; stop < 4; stop++) {
        glia_model *whole = toy_model(TOY_CLASSES, NULL), *parts = toy_model(TOY_CLASSES, NULL);
        glia_fit_options o = {.schedule = {.kind = "cosine", .warmup = 1.5},
                              .epochs = 4,
                              .batch_size = 30,
                              .seed = 5,
                              .error = &err};
        CHECK_OK(glia_fit_with(whole, t.data, o), &err);
        o.run_dir = scratch;
        o.on_epoch = stop_at;
        o.ctx = &stop;
        CHECK_OK(glia_fit_with(parts, t.data, o), &err);
        o.on_epoch = NULL;
        o.resume = GLIA_YES;
        CHECK_OK(glia_fit_with(parts, t.data, o), &err);
        CHECK(toy_same_weights(whole, parts));
        glia_model_free(whole), glia_model_free(parts);
    }
    glia_dataset_free(t.data);
    scratch_remove();
}

TEST(messages) {
    toy t;
    glia_error err = {0};
    toy_open(&t, 30, 1, false);
    glia_model *m = toy_model(TOY_CLASSES, NULL);
    CHECK_ERR(glia_fit(m, t.data, .schedule = {.kind = "cosin"}, .error = &err), GLIA_INVALID_ARGUMENT, &err,
              "unknown schedule 'cosin' (did you mean 'cosine'?)");
    CHECK_ERR(glia_fit(m, t.data, .schedule = {.kind = "step", .gamma = 2}, .error = &err),
              GLIA_INVALID_ARGUMENT, &err, "schedule step: gamma: expected a number from 1e-09 to 1");
    CHECK_ERR(glia_fit(m, t.data, .epochs = 3, .schedule = {.warmup = 4}, .error = &err),
              GLIA_INVALID_ARGUMENT, &err,
              "schedule constant: the warm-up takes 4 epochs, but the training only 3");
    glia_model_free(m);
    glia_dataset_free(t.data);
}

TEST_MAIN(TEST_ENTRY(factors_of_pytorch), TEST_ENTRY(fit_obeys), TEST_ENTRY(resumed), TEST_ENTRY(messages))
