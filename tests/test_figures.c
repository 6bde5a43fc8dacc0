/* test_figures.c: figures of predictions against their definitions by numpy, with ties among the scores; areas under curves at
 * their edges; figures by name, and as what early stopping watches. tools/parity/metrics.py made the numbers and says how
 * scores and classes begin. */

#include "test.h"

#include "core/mem.h"
#include "toy.h"
#include "train/auc.h"
#include "train/metrics.h"

enum { COUNT = 60, MOST = 4 * COUNT };

static float score_of(int64_t i) {
    return (float)(rint(4 * sin(1.3 * (double)i)) / 2);
}

static int64_t class_of(int64_t i, int64_t classes) {
    return (5 * i + i * i / 7) % classes;
}

/* The report of a case: classes 1, 4, or 0 for numbers. */
static glia_report report_of(int64_t classes) {
    static float scores[MOST], numbers[MOST];
    static int64_t labels[COUNT];
    glia_error err = {0};
    const int64_t width = classes ? classes : 2;
    for (int64_t i = 0; i < COUNT * width; i++) {
        scores[i] = score_of(i);
        numbers[i] = (float)(cos((double)i) + (double)scores[i] / 3);
    }
    for (int64_t i = 0; i < COUNT; i++) labels[i] = class_of(i, classes > 1 ? classes : 2);
    glia_metrics *m = glia_metrics_new(classes, classes ? 0 : width, 0, NULL);
    glia__metrics_set_layout(m, (glia_metrics_layout){.logits = true,
                                                      .probabilities = true,
                                                      .scores = classes > 0,
                                                      .ignored = GLIA_IGNORED,
                                                      .pitch = width});
    for (int64_t i = 0; i < COUNT; i += 20) { /* in three batches */
        const void *targets = classes ? (const void *)(labels + i) : numbers + i * width;
        CHECK_OK(glia_metrics_add(m, scores + i * width, targets, 20, 0, &err), &err);
    }
    glia_report r = glia_metrics_report(m);
    glia_metrics_free(m);
    return r;
}

TEST(figures_by_their_definitions) {
    char path[1024], line[256], name[32];
    double expected;
    int figures = 0;
    const char *root = getenv("GLIA_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/tests/data/metrics.txt", root ? root : ".");
    FILE *file = fopen(path, "r");
    CHECK(file);
    glia_report r = glia__report_empty();
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "case %31s", name) == 1)
            r = report_of(strcmp(name, "one_unit") == 0 ? 1 : strcmp(name, "four_classes") == 0 ? 4 : 0);
        else if (sscanf(line, "%31s %lf", name, &expected) == 2 && name[0] != '#') {
            CHECK_NEAR(glia_report_figure(&r, name), expected, 1e-6 * fmax(1, fabs(expected)));
            figures++;
        }
    }
    CHECK_INT(figures, 24);
    if (file) fclose(file);
}

#define AREAS(roc_auc, pr_auc, ...)                                             \
    do {                                                                        \
        glia_scored scored[] = {__VA_ARGS__};                                   \
        glia_areas areas = glia__areas(scored, (int64_t)GLIA_COUNT(scored));    \
        CHECK((isnan(areas.roc) && isnan(roc_auc)) || areas.roc == (roc_auc));  \
        CHECK_NEAR(isnan(areas.precision_recall) ? -1 : areas.precision_recall, \
                   isnan((double)(pr_auc)) ? -1 : (double)(pr_auc), 1e-15);     \
    } while (0)

TEST(areas_at_their_edges) {
    AREAS(1.0, 1.0, {2, true}, {1, false});
    AREAS(0.0, 0.5, {1, true}, {2, false});
    AREAS(0.5, 0.5, {1, true}, {1, false});
    AREAS(NAN, 1.0, {1, true}, {2, true});
    AREAS(NAN, NAN, {1, false}, {2, false});
    AREAS(0.75, 5.0 / 6, {4, true}, {3, false}, {2, true},
          {1, false}); /* 1 and 2 of 3, each half of recall */
}

TEST(figures_by_name) {
    glia_report r = glia__report_empty();
    r.mcc = 0.25;
    CHECK_NEAR(glia_report_figure(&r, "mcc"), 0.25, 0);
    CHECK(isnan(glia_report_figure(&r, "rmse")) && isnan(glia_report_figure(&r, "nothing")));
    CHECK(isnan(glia_report_figure(&r, NULL)) && isnan(glia_report_figure(NULL, "mcc")));
}

TEST(early_stopping_watches_any_figure) {
    toy train, rest;
    glia_error err = {0};
    toy_open(&train, 120, 1, false);
    toy_open(&rest, 60, 2, false);
    const char *const names[] = {"val_roc_auc", "val_mcc", "val_log_loss"};
    for (size_t i = 0; i < GLIA_COUNT(names); i++) {
        glia_model *m = toy_model(TOY_CLASSES, NULL);
        CHECK_OK(glia_fit(m, train.data, .epochs = 20, .optimizer = glia_adam(.learning_rate = 0.01),
                          .validation = rest.data, .early_stopping = {.patience = 3, .monitor = names[i]},
                          .error = &err),
                 &err);
        glia_report r = glia_evaluate(m, rest.data, .error = &err);
        CHECK(r.roc_auc > 0.6 && r.pr_auc > 0.4 && r.log_loss > 0);
        CHECK_NEAR(r.log_loss, r.loss, 1e-5);
        r = glia_evaluate(m, rest.data, .auc = GLIA_NO, .error = &err);
        CHECK(isnan(r.roc_auc) && r.log_loss > 0);
        glia_model_free(m);
    }
    glia_model *m = toy_model(TOY_CLASSES, NULL);
    CHECK_ERR(glia_fit(m, train.data, .early_stopping = {.monitor = "val_rmse"}, .error = &err),
              GLIA_INVALID_ARGUMENT, &err, "monitors val_rmse, but the data has classes");
    err = (glia_error){0};
    CHECK_ERR(glia_fit(m, train.data, .early_stopping = {.monitor = "val_roc_acu"}, .error = &err),
              GLIA_INVALID_ARGUMENT, &err, "found 'val_roc_acu' (did you mean 'val_roc_auc'?)");
    glia_model_free(m);
    glia_dataset_free(train.data);
    glia_dataset_free(rest.data);
}

TEST_MAIN(TEST_ENTRY(figures_by_their_definitions), TEST_ENTRY(areas_at_their_edges),
          TEST_ENTRY(figures_by_name), TEST_ENTRY(early_stopping_watches_any_figure))
