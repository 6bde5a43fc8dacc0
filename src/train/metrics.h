/* metrics.h (internal): what evaluate and fit need beyond glia/train.h. */
#ifndef GLIA_TRAIN_METRICS_H
#define GLIA_TRAIN_METRICS_H

#include "glia/train.h"

/* One unit (classes 1): a prediction above `threshold` is class 1. 0 for logits, the default; 0.5 for
 * probabilities. */
void glia__metrics_set_threshold(glia_metrics *metrics, float threshold);
/* A report of which nothing is known. */
glia_report glia__report_empty(void);
/* The share of right answers so far (NaN for regression) and the mean loss. */
double glia__metrics_accuracy(const glia_metrics *metrics);
double glia__metrics_loss(const glia_metrics *metrics);
int64_t glia__metrics_count(const glia_metrics *metrics); /* examples so far */
/* What accuracy and mean loss need, out of and into metrics (after a reset): for resuming within an epoch. */
void glia__metrics_save(const glia_metrics *metrics, int64_t *examples, int64_t *right, double *loss_sum);
void glia__metrics_restore(glia_metrics *metrics, int64_t examples, int64_t right, double loss_sum);

#endif
