/* figures.c: the table of figures: what glia_report holds, by name. */

#include "train/metrics.h"

#define FIGURE(figure, text, words, kinds, up)                                                 \
    {                                                                                          \
        .name = #figure, .label = text, .doc = words, .offset = offsetof(glia_report, figure), \
        .regression = (kinds)&2, .classification = (kinds)&1, .higher = up                     \
    }
const glia_figure glia__figures[] = {
    FIGURE(loss, "loss", "mean loss of an example", 3, false),
    FIGURE(accuracy, "accuracy", "share of examples whose most probable class is the true one", 1, true),
    FIGURE(top_k, "top-5 accuracy", "share whose true class is among the 5 most probable", 1, true),
    FIGURE(balanced_accuracy, "balanced accuracy", "mean over classes of the share found of each", 1, true),
    FIGURE(precision, "macro precision", "true positives / predicted, mean over classes", 1, true),
    FIGURE(recall, "macro recall", "true positives / true, mean over classes", 1, true),
    FIGURE(f1, "macro F1", "2·precision·recall / (precision + recall), mean over classes", 1, true),
    FIGURE(precision_micro, "micro precision", "precision over all examples", 1, true),
    FIGURE(recall_micro, "micro recall", "recall over all examples", 1, true),
    FIGURE(f1_micro, "micro F1", "F1 over all examples", 1, true),
    FIGURE(precision_weighted, "weighted precision", "precision, classes weighted by their examples", 1,
           true),
    FIGURE(recall_weighted, "weighted recall", "recall, classes weighted by their examples", 1, true),
    FIGURE(f1_weighted, "weighted F1", "F1, classes weighted by their examples", 1, true),
    FIGURE(mcc, "MCC",
           "Matthews' correlation of true and predicted classes: 1 all right, 0 no better than chance", 1,
           true),
    FIGURE(mean_iou, "mean IoU", "true positives / (true or predicted), mean over the classes that occur", 1,
           true),
    FIGURE(dice, "dice", "2·true positives / (true + predicted), mean over the classes that occur", 1, true),
    FIGURE(log_loss, "log loss", "mean of −log of the true class's probability", 1, false),
    FIGURE(perplexity, "perplexity", "e to the power of log_loss: for language models", 1, false),
    FIGURE(
        roc_auc, "ROC AUC",
        "area under the ROC curve: of class 1 of two, else the mean over classes of each against the others",
        1, true),
    FIGURE(pr_auc, "PR AUC", "average precision: the area under precision over recall; of classes as roc_auc",
           1, true),
    FIGURE(mae, "mean absolute error", "mean of |prediction − target|", 2, false),
    FIGURE(rmse, "root mean squared error", "√ mean of (prediction − target)²", 2, false),
    FIGURE(mape, "mean absolute percentage error", "mean of |prediction − target| / |target|", 2, false),
    FIGURE(r2, "R²", "share of the targets' variance that is explained", 2, true),
    FIGURE(naive_mae, "seasonal-naive error",
           "of a series: mae of the forecast that repeats the last season (data.series.season)", 2, false),
    FIGURE(mae_to_naive, "error / seasonal-naive",
           "mae / naive_mae: below 1 is better than to repeat the season", 2, false),
    FIGURE(label_error_rate, "label error rate",
           "of the layer ctc: labels to be put in, left out or changed, by the number of true ones", 0,
           false),
    {.name = NULL},
};

const glia_figure *glia__figure_find(const char *name) {
    for (const glia_figure *f = glia__figures; f->name; f++)
        if (strcmp(f->name, name) == 0) return f;
    return NULL;
}

double glia__figure_of(const glia_figure *figure, const glia_report *report) {
    return *(const double *)((const char *)report + figure->offset);
}

double glia_report_figure(const glia_report *report, const char *name) {
    const glia_figure *figure = name ? glia__figure_find(name) : NULL;
    return figure && report ? glia__figure_of(figure, report) : NAN;
}
