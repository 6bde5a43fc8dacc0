/* report.h: one self-contained HTML page about a training: no network, no script, light and dark, readable on a
 * phone. The caller fills a struct of plain data; every part may be left out (zero), and its section is then
 * not there. Strings are UTF-8 and are escaped here; nothing is kept after the call.
 *
 *     glia_report_curve curves[] = {{"Loss", "training", train_loss}, {"Loss", "validation", val_loss}};
 *     glia_report_page page = {.title = "mnist_cnn-7", .epochs = 10, .best_epoch = 9,
 *                              .curves = curves, .curve_count = 2,
 *                              .confusion = glia_metrics_confusion(metrics), .classes = 10};
 *     GLIA_TRY(glia__report_write("runs/mnist_cnn-7/report.html", &page, err)); */
#ifndef GLIA_REPORT_REPORT_H
#define GLIA_REPORT_REPORT_H

#include "core/mem.h"
#include "glia/model.h"

/* A name with its value as it shall be read: "test accuracy", "0.9842". NULL values are left out. */
typedef struct glia_report_fact {
    const char *name, *value;
} glia_report_fact;

/* One line of a chart; curves with the same chart are drawn together. `values` has one number an epoch, NaN
 * where it was not measured. */
typedef struct glia_report_curve {
    const char *chart; /* "Loss" */
    const char *name;  /* "validation" */
    const double *values;
} glia_report_curve;

/* An example that the model got wrong. */
typedef struct glia_report_mistake {
    glia_tensor image;        /* u8 [1 or 3, height, width]; data NULL: no picture */
    int64_t label, predicted; /* classes */
    double probability;       /* of `predicted`, 0 … 1; NaN: not shown */
    /* For data that are no pictures: the example in words, "petal 5.1, sepal 1.5", or NULL. */
    const char *input;
} glia_report_mistake;

/* A prediction that is far off. */
typedef struct glia_report_error {
    double measured, predicted;
    const char *input; /* as above */
} glia_report_error;

typedef struct glia_report_page {
    const char *title;    /* "mnist_cnn-7" */
    const char *subtitle; /* a sentence: what was trained on what */
    const char *command;  /* the command that made the run */

    const glia_report_fact *figures; /* headline figures: test accuracy, macro F1 … */
    size_t figure_count;
    const glia_report_fact *facts; /* data set, model, seed, best epoch, time, threads, version … */
    size_t fact_count;

    size_t epochs;     /* values of every curve */
    size_t best_epoch; /* from 1; 0: not marked */
    const glia_report_curve *curves;
    size_t curve_count;

    /* Classification: counts [classes, classes], the true class by row. Precision, recall and F1 are computed
     * from it as glia_report (train.h) defines them. */
    const int64_t *confusion;
    int64_t classes;
    const char *const *class_names; /* or NULL: numbers */

    /* Regression: `points` pairs of what was measured and what was predicted. */
    const float *measured, *predicted;
    size_t points;

    const glia_report_error *errors; /* the largest first */
    size_t error_count;

    const glia_report_mistake *mistakes; /* the worst first */
    size_t mistake_count;

    const glia_layer_info *layers; /* in order */
    size_t layer_count;

    const glia_allocator *allocator; /* for the page while it is made; NULL: the default */
} glia_report_page;

/* Writes the page to `path`, atomically. GLIA_OUT_OF_MEMORY, GLIA_IO, or the error of an image that is not u8
 * [1 or 3, height, width]. A build without libpng leaves the pictures out, and the page says so. */
GLIA_MUST_CHECK glia_status glia__report_write(const char *path, const glia_report_page *page,
                                               glia_error *err);

#endif
