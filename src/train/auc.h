/* auc.h (internal): areas under the curves of a yes-or-no decision by its score. */
#ifndef GLIA_TRAIN_AUC_H
#define GLIA_TRAIN_AUC_H

#include <stdbool.h>
#include <stdint.h>

typedef struct glia_scored {
    float score;
    bool positive;
} glia_scored;

/* NaN where positives (or for `roc` negatives) are missing. */
typedef struct glia_areas {
    double roc; /* the share of pairs of a positive and a negative that are ordered rightly, ties half */
    double precision_recall; /* average precision: Σ precision · rise of recall */
} glia_areas;

/* Sorts `scored`. */
glia_areas glia__areas(glia_scored *scored, int64_t count);

#endif
