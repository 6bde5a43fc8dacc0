/* test_metrics.c: figures against values worked out by hand; conventions are scikit-learn's. */

#include "test.h"

#include "failing_allocator.h"
#include "glia/train.h"

/* Six examples of three classes. Predicted 0 2 1 0 0 1, true 0 1 2 0 1 2: the textbook example of
 * sklearn.metrics.precision_score, whose documentation gives macro 0.22, micro 0.33, weighted 0.22. */
static const float three_classes[6][3] = {{3, 1, 0}, {0, 1, 2}, {0, 5, 4}, {1, 0, 0}, {2, 1, 0}, {0, 1, 0}};
static const int64_t three_targets[6] = {0, 1, 2, 0, 1, 2};

TEST(classes) {
    glia_error err = {0};
    glia_metrics *m = glia_metrics_new(3, 0, 2, NULL);
    CHECK_OK(glia_metrics_add(m, &three_classes[0][0], three_targets, 2, 3.0, &err), &err);
    CHECK_OK(glia_metrics_add(m, &three_classes[2][0], three_targets + 2, 4, 9.0, &err), &err);
    glia_report r = glia_metrics_report(m);
    CHECK_INT(r.examples, 6);
    CHECK_NEAR(r.loss, 2.0, 1e-15);
    CHECK_NEAR(r.accuracy, 2.0 / 6, 1e-15);
    CHECK_NEAR(r.precision, (2.0 / 3 + 0 + 0) / 3, 1e-15);
    CHECK_NEAR(r.recall, (1.0 + 0 + 0) / 3, 1e-15);
    CHECK_NEAR(r.f1, 0.8 / 3, 1e-15);
    CHECK_NEAR(r.precision_micro, 2.0 / 6, 1e-15);
    CHECK_NEAR(r.recall_micro, 2.0 / 6, 1e-15);
    CHECK_NEAR(r.f1_micro, 2.0 / 6, 1e-15);
    CHECK_NEAR(r.precision_weighted, 2.0 / 3 * 2 / 6, 1e-15);
    CHECK_NEAR(r.recall_weighted, 2.0 / 6, 1e-15);
    CHECK_NEAR(r.f1_weighted, 0.8 * 2 / 6, 1e-15);
    CHECK_NEAR(r.of_class[0].precision, 2.0 / 3, 1e-15);
    CHECK_NEAR(r.of_class[0].recall, 1, 1e-15);
    CHECK_NEAR(r.of_class[0].f1, 0.8, 1e-15);
    CHECK_INT(r.of_class[2].support, 2);
    /* Among the two most probable: all but the last, where classes 0 and 2 tie and the smaller number wins.
     */
    CHECK_NEAR(r.top_k, 5.0 / 6, 1e-15);
    CHECK(isnan(r.mae) && isnan(r.r2));
    static const int64_t confusion[9] = {2, 0, 0, 1, 0, 1, 0, 2, 0};
    for (int i = 0; i < 9; i++) CHECK_INT(glia_metrics_confusion(m)[i], confusion[i]);
    glia_metrics_reset(m);
    r = glia_metrics_report(m);
    CHECK(r.examples == 0 && isnan(r.accuracy));
    glia_metrics_free(m);
}

TEST(weights_by_support) {
    /* True 0 0 0 1, predicted 0 0 1 1: unequal supports tell macro from weighted. */
    static const float x[4][2] = {{1, 0}, {1, 0}, {0, 1}, {0, 1}};
    static const int64_t y[4] = {0, 0, 0, 1};
    glia_error err = {0};
    glia_metrics *m = glia_metrics_new(2, 0, 1, NULL);
    CHECK_OK(glia_metrics_add(m, &x[0][0], y, 4, 0, &err), &err);
    glia_report r = glia_metrics_report(m);
    CHECK_NEAR(r.precision, (1.0 + 0.5) / 2, 1e-15);
    CHECK_NEAR(r.precision_weighted, 1.0 * 0.75 + 0.5 * 0.25, 1e-15);
    CHECK_NEAR(r.recall, (2.0 / 3 + 1) / 2, 1e-15);
    CHECK_NEAR(r.f1, (0.8 + 2.0 / 3) / 2, 1e-15);
    CHECK_NEAR(r.f1_weighted, 0.8 * 0.75 + 2.0 / 3 * 0.25, 1e-15);
    CHECK_NEAR(r.top_k, 0.75, 1e-15);
    glia_metrics_free(m);
}

TEST(one_logit) {
    static const float x[4] = {-1, 2, 0, 3};
    static const int64_t y[4] = {0, 1, 1, 0};
    glia_error err = {0};
    glia_metrics *m = glia_metrics_new(1, 0, 0, NULL);
    CHECK_OK(glia_metrics_add(m, x, y, 4, 0, &err), &err);
    glia_report r = glia_metrics_report(m);
    CHECK_INT(r.classes, 2);
    CHECK_NEAR(r.accuracy, 0.5, 1e-15);
    CHECK_INT(glia_metrics_confusion(m)[1 * 2 + 0], 1);
    glia_metrics_free(m);
}

TEST(regression) {
    /* The example of sklearn.metrics.r2_score: MAE 0.5, MSE 0.375, R² 0.9486081370449679. */
    static const float y[4] = {3, -0.5f, 2, 7}, x[4] = {2.5f, 0, 2, 8};
    glia_error err = {0};
    glia_metrics *m = glia_metrics_new(0, 1, 0, NULL);
    CHECK_OK(glia_metrics_add(m, x, y, 1, 0.25, &err), &err);
    CHECK_OK(glia_metrics_add(m, x + 1, y + 1, 3, 1.25, &err), &err);
    glia_report r = glia_metrics_report(m);
    CHECK_NEAR(r.mae, 0.5, 1e-12);
    CHECK_NEAR(r.rmse, sqrt(0.375), 1e-12);
    CHECK_NEAR(r.r2, 0.9486081370449679, 1e-12);
    CHECK_NEAR(r.loss, 0.375, 1e-12);
    CHECK(isnan(r.accuracy) && !glia_metrics_confusion(m));
    glia_metrics_free(m);
}

TEST(regression_of_two_outputs) {
    /* sklearn: r2_score([[0.5, 1], [-1, 1], [7, -6]], [[0, 2], [-1, 2], [8, -5]]) = 0.9367005816286
     * (uniform). */
    static const float y[6] = {0.5f, 1, -1, 1, 7, -6}, x[6] = {0, 2, -1, 2, 8, -5};
    glia_error err = {0};
    glia_metrics *m = glia_metrics_new(0, 2, 0, NULL);
    CHECK_OK(glia_metrics_add(m, x, y, 3, 0, &err), &err);
    glia_report r = glia_metrics_report(m);
    CHECK_NEAR(r.r2, (1 - 1.25 / (50.25 - 6.5 * 6.5 / 3) + 1 - 3.0 / (38 - 16.0 / 3)) / 2, 1e-12);
    CHECK_NEAR(r.mae, 0.75, 1e-12);
    glia_metrics_free(m);
}

TEST(bad_targets) {
    static const float x[3] = {0, 0, 0};
    static const int64_t y[1] = {3};
    glia_error err = {0};
    glia_metrics *m = glia_metrics_new(3, 0, 0, NULL);
    CHECK_ERR(glia_metrics_add(m, x, y, 1, 0, &err), GLIA_BAD_DATA, &err, "is class 3; expected 0 to 2");
    CHECK_INT(glia_metrics_report(m).examples, 0);
    glia_metrics_free(m);
    CHECK(!glia_metrics_new(-1, 0, 0, NULL));
    CHECK(!glia_metrics_new(0, 0, 0, NULL));
    glia_metrics_free(NULL);
}

TEST(out_of_memory) {
    FOR_EACH_FAILURE(memory) {
        glia_metrics *m = glia_metrics_new(10, 0, 0, &memory.allocator);
        CHECK_FAILED_ONCE(memory, m ? GLIA_OK : GLIA_OUT_OF_MEMORY);
        glia_metrics_free(m);
    }
}

TEST_MAIN(TEST_ENTRY(classes), TEST_ENTRY(weights_by_support), TEST_ENTRY(one_logit), TEST_ENTRY(regression),
          TEST_ENTRY(regression_of_two_outputs), TEST_ENTRY(bad_targets), TEST_ENTRY(out_of_memory))
