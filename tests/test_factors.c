/* test_factors.c: gradients that stay factors: the product in pieces is the product, and a training with them is the training
 * without. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "train/factors.h"
#include "train/model.h"

enum { IN = 2500, OUT = 37, SIZE = IN * OUT };

static float x[GLIA_FACTOR_ROWS * IN], dy[GLIA_FACTOR_ROWS * OUT], product[SIZE], theta[3][SIZE],
    moment[3][SIZE];

static glia_factors make_factors(int64_t rows) {
    for (int64_t i = 0; i < rows * IN; i++) x[i] = (float)(i * 7 % 23) - 11;
    for (int64_t i = 0; i < rows * OUT; i++) dy[i] = ((float)(i * 5 % 17) - 8) / 64;
    return (glia_factors){.x = x, .dy = dy, .rows = rows, .in = IN, .out = OUT};
}

/* Terms are whole multiples of 1/64, so sums are exact in any order. */
TEST(product) {
    static const int64_t rows[] = {1, 3, 8, GLIA_FACTOR_ROWS};
    for (size_t k = 0; k < GLIA_COUNT(rows); k++) {
        const glia_factors f = make_factors(rows[k]);
        float sums[OUT];
        glia__factors_expand(&f, product, 2);
        glia__factors_sum(&f, sums);
        for (int o = 0; o < OUT; o++) {
            float sum = 0;
            for (int64_t r = 0; r < rows[k]; r++) sum += dy[r * OUT + o];
            CHECK_NEAR(sums[o], sum, 0);
            for (int i = 0; i < IN; i++) {
                float expected = 0;
                for (int64_t r = 0; r < rows[k]; r++) expected += dy[r * OUT + o] * x[r * IN + i];
                if (product[o * IN + i] != expected) CHECK_NEAR(product[o * IN + i], expected, 0);
            }
        }
    }
}

TEST(update) {
    const glia_factors f = make_factors(8);
    glia_optimizer_options options = {.name = "momentum", .weight_decay = 0.01};
    const glia_optimizer *optimizer;
    glia_error err = {0};
    CHECK_OK(glia__optimizer_resolve(&options, &optimizer, &err), &err);
    glia__factors_expand(&f, product, 1);
    for (int way = 0; way < 3; way++) {
        for (int i = 0; i < SIZE; i++) theta[way][i] = (float)(i % 77) / 77, moment[way][i] = 0;
        for (int64_t t = 1; t <= 2; t++) {
            glia_optimizer_step step = {&options, theta[way], product, {moment[way], NULL}, 0, SIZE, t, 1};
            if (way == 0) glia__optimizer_run(optimizer, step, 1);
            if (way > 0) glia__factors_update(&f, optimizer, step, way == 1 ? 1 : 5);
        }
    }
    CHECK(memcmp(theta[0], theta[1], sizeof theta[0]) == 0);
    CHECK(memcmp(theta[0], theta[2], sizeof theta[0]) == 0);
    CHECK(memcmp(moment[0], moment[2], sizeof moment[0]) == 0);
}

TEST(finite) {
    glia_factors f = make_factors(4);
    CHECK(glia__factors_finite(&f, product, 1));
    x[3] = 1e30f; /* in doubt, but the products are small enough */
    for (int i = 0; i < OUT; i++) dy[i] = i ? 0 : 1e-30f;
    dy[OUT] = 1e20f, x[IN] = 1;
    CHECK(glia__factors_finite(&f, product, 1));
    dy[0] = 1e10f;
    CHECK(!glia__factors_finite(&f, product, 1));
    f = make_factors(4);
    x[IN] = INFINITY;
    CHECK(!glia__factors_finite(&f, product, 1));
    f = make_factors(4);
    dy[5] = NAN;
    CHECK(!glia__factors_finite(&f, product, 1));
}

/* A layer of 1.1 million weights, whose gradient stays factors unless its norm is wanted. */
enum { WIDE = 1100, UNITS = 1000, BATCH = 6 };

static void train(double clip_norm, int threads, int64_t count, float *out, float *gradient) {
    static float inputs[17 * WIDE];
    static int64_t classes[17];
    glia_error err = {0};
    glia_model *m = glia_model_new("wide");
    glia_value *h = glia_input(m, "x", .shape = {WIDE});
    h = glia_dense(h, .units = WIDE, .activation = "relu");
    h = glia_dense(h, .units = UNITS, .activation = "relu");
    glia_model_set_output(m, glia_dense(h, .units = 3));
    for (int i = 0; i < 17 * WIDE; i++) inputs[i] = (float)(i * 31 % 101) / 101;
    for (int i = 0; i < 17; i++) classes[i] = i % 3;
    glia_trainer *t = NULL;
    CHECK_OK(glia_trainer_new(&t, m, GLIA_TARGET_CLASS, (glia_shape){0},
                              (glia_fit_options){.optimizer = {.name = "adam", .clip_norm = clip_norm},
                                                 .threads = threads,
                                                 .seed = 3},
                              &err),
             &err);
    if (!t) return;
    for (int step = 0; step < 3; step++) {
        double loss;
        CHECK_OK(glia_trainer_backward(t, inputs, classes, step == 1 ? BATCH : count, &loss, &err), &err);
        if (step < 2) CHECK_OK(glia_trainer_update(t, &err), &err);
    }
    memcpy(out, glia_model_param_data(m, 2).data, WIDE * UNITS * sizeof *out);
    memcpy(gradient, glia_trainer_gradient(t, 2).data, WIDE * UNITS * sizeof *out);
    memcpy(gradient + WIDE * UNITS, glia_trainer_gradient(t, 3).data, UNITS * sizeof *out);
    glia_trainer_free(t);
    glia_model_free(m);
}

TEST(training) {
    enum { WEIGHTS = WIDE * UNITS, ALL = WEIGHTS + UNITS };
    float *w[3], *g[3];
    for (int i = 0; i < 3; i++) w[i] = malloc(WEIGHTS * sizeof(float)), g[i] = malloc(ALL * sizeof(float));
    static const int64_t counts[] = {8, 17};
    for (size_t k = 0; k < GLIA_COUNT(counts); k++) {
        train(1e30, 1, counts[k], w[0], g[0]);
        train(0, 1, counts[k], w[1], g[1]);
        train(0, 2, counts[k], w[2], g[2]);
        CHECK(memcmp(w[1], w[2], WEIGHTS * sizeof(float)) == 0);
        CHECK(memcmp(g[1], g[2], ALL * sizeof(float)) == 0);
        double worst = 0, apart = 0, largest = 0;
        for (int i = 0; i < WEIGHTS; i++) worst = fmax(worst, fabs(w[0][i] - w[1][i]));
        for (int i = 0; i < ALL; i++) apart = fmax(apart, fabs(g[0][i] - g[1][i]));
        for (int i = 0; i < ALL; i++) largest = fmax(largest, fabs(g[0][i]));
        CHECK_NEAR(worst, 0, 5e-5);
        CHECK_NEAR(apart / largest, 0, 1e-4);
        CHECK(largest > 0);
    }
    for (int i = 0; i < 3; i++) free(w[i]), free(g[i]);
}

TEST_MAIN(TEST_ENTRY(product), TEST_ENTRY(update), TEST_ENTRY(finite), TEST_ENTRY(training))
