/* auc.c: areas under curves of scores, exactly: by sorting, with equal scores as one step. */

#include "train/auc.h"

#include <math.h>
#include <stdlib.h>

static int by_score(const void *a, const void *b) {
    const float x = ((const glia_scored *)a)->score, y = ((const glia_scored *)b)->score;
    return (x < y) - (x > y); /* the highest first */
}

/* Each distinct score is a threshold: what has it is added at once. Between thresholds the ROC curve is a straight line, and
 * precision counts where recall rises (average precision). */
glia_areas glia__areas(glia_scored *scored, int64_t count) {
    double positives = 0, hits = 0, roc = 0, precision = 0;
    for (int64_t i = 0; i < count; i++) positives += scored[i].positive;
    const double negatives = (double)count - positives;
    qsort(scored, (size_t)count, sizeof *scored, by_score);
    for (int64_t i = 0, end; i < count; i = end) {
        double more = 0;
        for (end = i; end < count && scored[end].score == scored[i].score; end++)
            more += scored[end].positive;
        if (end == i) end++; /* NaN, which equals nothing */
        const double wrong = (double)(end - i) - more;
        roc += wrong * (hits + more / 2);
        hits += more;
        precision += more * hits / (double)end;
    }
    return (glia_areas){.roc = positives > 0 && negatives > 0 ? roc / (positives * negatives) : NAN,
                        .precision_recall = positives > 0 ? precision / positives : NAN};
}
