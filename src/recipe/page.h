/* page.h (internal): what a training remembers for its report, and the report. */
#ifndef GLIA_RECIPE_PAGE_H
#define GLIA_RECIPE_PAGE_H

#include "recipe/run.h"

enum { GLIA_HISTORY_CURVES = 4, GLIA_MISTAKES = 48 };

/* Figures of every epoch from 1 to `epochs`; NaN where there was none. */
typedef struct glia_history {
    const glia_allocator *allocator;
    double *curve[GLIA_HISTORY_CURVES]; /* loss, val_loss, accuracy, val_accuracy: [capacity] */
    int64_t epochs, capacity;
    int64_t best_epoch; /* 0: none */
    double seconds;     /* of all epochs */
} glia_history;

/* Reads RUN/metrics.jsonl: all epochs, of all sessions. What cannot be read is left out. */
void glia__history_load(glia_history *history, const char *dir);
void glia__history_free(glia_history *history);

/* A wrong prediction: of a class, or far from what was measured. */
typedef struct glia_mistake {
    int64_t example, label, predicted_class;
    double measured, predicted;
    double weight; /* probability of the wrong class, or size of the error */
} glia_mistake;

/* The wrong predictions that the model was surest of, or the largest errors, filled while it is evaluated. */
typedef struct glia_mistakes {
    int64_t classes;
    int count;
    glia_mistake worst[GLIA_MISTAKES]; /* worst first */
    float *measured, *predicted;       /* regression: [capacity], NULL for classes */
    int64_t points, capacity;
    int64_t width; /* numbers that the model gives for an example */
} glia_mistakes;

/* glia_evaluate's on_batch; `ctx` is a glia_mistakes. */
void glia__mistakes_collect(void *ctx, const glia_batch *batch, const float *predictions);

/* "55,000" */
const char *glia__count_text(int64_t count, char *out, size_t capacity);

/* Everything the page is made of; all borrowed. */
typedef struct glia_page_source {
    const glia_recipe *recipe;
    glia_model *model;
    const glia_run_result *result;
    const glia_dataset *train, *evaluated; /* evaluated may be NULL */
    const glia_history *history;
    const glia_mistakes *mistakes;
    const glia_metrics *metrics; /* or NULL */
} glia_page_source;

/* Writes RUN/report.html. */
GLIA_MUST_CHECK glia_status glia__page_write(const glia_page_source *source, glia_error *err);

#endif
