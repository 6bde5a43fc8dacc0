/* metrics.h (internal): what evaluate and fit need beyond glia/train.h. */
#ifndef GLIA_TRAIN_METRICS_H
#define GLIA_TRAIN_METRICS_H

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "glia/train.h"

/* How predictions lie and are read. */
typedef struct glia_metrics_layout {
    float threshold;    /* one unit (classes 1): above it is class 1; 0 for logits, 0.5 for probabilities */
    bool logits;        /* are given, not probabilities */
    bool probabilities; /* also log_loss */
    bool scores;        /* also the areas under curves: every score is kept */
    bool classes_first; /* an example is [classes, positions], not [positions, classes] */
    int64_t ignored;    /* a class that counts for nothing, as GLIA_IGNORED always does */
    int64_t pitch;      /* numbers from one example to the next, of which the first are compared */
} glia_metrics_layout;
void glia__metrics_set_layout(glia_metrics *metrics, glia_metrics_layout layout);
/* One of several losses, and figures of its output beside targets of its own. */
typedef struct glia_metrics_part {
    const char *name;
    glia_metrics *metrics;            /* NULL: the loss is all that there is to say */
    int64_t prediction_at, target_at; /* its numbers of an example */
    int64_t target_elems;
    bool classes;
    double loss, examples;       /* the sum of its losses, and of how many examples; 0: not known */
    double label_errors, labels; /* of sequences of labels; labels 0: it has none */
} glia_metrics_part;
/* Room for `count` parts, to be filled; NULL: out of memory. Their metrics are freed with these. */
glia_metrics_part *glia__metrics_set_parts(glia_metrics *metrics, int count);
const glia_metrics_part *glia__metrics_parts(const glia_metrics *metrics, int *count);
/* The mean loss of part `part` in a batch. */
void glia__metrics_add_part_loss(glia_metrics *metrics, int part, double loss, int64_t count);
void glia__metrics_add_labels(glia_metrics *metrics, int part, int64_t errors, int64_t labels);
glia_report glia__metrics_part_report(const glia_metrics_part *part);
/* glia_metrics_add of a mean loss that was taken over `weight`: the positions that are not ignored. */
GLIA_MUST_CHECK glia_status glia__metrics_add(glia_metrics *metrics, const float *predictions,
                                              const void *targets, int64_t count, double loss, double weight,
                                              glia_error *err);
/* The forecast `naive` of an example beside the model's: what the seasonal-naive figures are made of. */
void glia__metrics_add_naive(glia_metrics *metrics, const float *predictions, const float *targets,
                             const float *naive);
/* Room for one, [outputs]; NULL: targets are classes. */
float *glia__metrics_naive_room(glia_metrics *metrics);
/* About what metrics of so many classes allocate. */
size_t glia__metrics_bytes(int64_t classes);
/* Of so many scores the areas are computed unasked. */
enum { GLIA_METRICS_SCORES = 4000000 };

/* A figure of glia_report by its name. */
typedef struct glia_figure {
    const char *name;  /* the word of the model file: "f1" */
    const char *label; /* "macro F1" */
    const char *doc;
    size_t offset;                           /* of a double in glia_report */
    bool regression, classification, higher; /* higher: is better */
} glia_figure;
extern const glia_figure glia__figures[]; /* ends with name NULL */
const glia_figure *glia__figure_find(const char *name);
double glia__figure_of(const glia_figure *figure, const glia_report *report);

/* A report of which nothing is known. */
glia_report glia__report_empty(void);
/* The share of right answers so far (NaN for regression) and the mean loss. */
double glia__metrics_accuracy(const glia_metrics *metrics);
double glia__metrics_loss(const glia_metrics *metrics);
int64_t glia__metrics_count(const glia_metrics *metrics); /* examples so far */
/* What accuracy and mean loss need, out of and into metrics (after a reset): for resuming within an epoch. */
typedef struct glia_metrics_sums {
    int64_t examples, known, right; /* known: positions that are not ignored */
    double loss, weight;            /* the mean loss is loss / weight */
} glia_metrics_sums;
glia_metrics_sums glia__metrics_save(const glia_metrics *metrics);
void glia__metrics_restore(glia_metrics *metrics, glia_metrics_sums sums);

#endif
