/* monitor.h: the figure that says which epoch of a training is the best. */
#ifndef GLIA_TRAIN_MONITOR_H
#define GLIA_TRAIN_MONITOR_H

#include "train/loss.h"
#include "train/metrics.h"
#include "train/model.h"

typedef struct glia_monitor {
    const glia_figure *figure;
    const char *part; /* of which of several losses; NULL: of all together, or there is one */
    char name[120];   /* "f1", "kind.accuracy" */
    char shown[120];  /* "val_f1", "kind.val_accuracy" */
} glia_monitor;

/* By its name: "val_accuracy" or "accuracy", of one of several losses "kind.val_accuracy"; NULL or "": the loss. Without
 * `validated` data the training figure of that name. */
GLIA_MUST_CHECK glia_status glia__monitor_choose(glia_monitor *out, const char *name, const glia_model *model,
                                                 const glia_target *target, bool validated, glia_error *err);
/* Its value, once data were added to the metrics. */
double glia__monitor_value(const glia_monitor *monitor, const glia_metrics *metrics);

#endif
