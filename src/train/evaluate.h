/* evaluate.h (internal): running a data set through a model; shared by fit and evaluate. */
#ifndef GLIA_TRAIN_EVALUATE_H
#define GLIA_TRAIN_EVALUATE_H

#include "train/metrics.h"
#include "train/runner.h"

/* Checks that `data` has examples, fits the model's input and has targets like `target` (NULL: any). `what` names
 * it in messages: "training data". */
GLIA_MUST_CHECK glia_status glia__check_data(const glia_model *model, const glia_dataset *data,
                                             const char *what, glia_error *err);
/* What metrics are to tell beside accuracy and the like. */
typedef struct glia_metrics_wish {
    int top_k;
    bool probabilities, scores;
} glia_metrics_wish;
/* Metrics that suit the model's output, loss and targets; NULL when out of memory. */
glia_metrics *glia__metrics_for(const glia_model *model, const glia_loss_head *head, glia_metrics_wish wish);
/* Batches for a model on so many threads (0: all cores) are gathered by a thread of their own if it finds a core, else by
 * those of the model, between its runs: a thread too many makes the others wait. */
void glia__share_cores(glia_loader_options *options, int threads);
/* The examples of `data` in their order. */
GLIA_MUST_CHECK glia_status glia__evaluation_loader(glia_loader **out, const glia_model *model,
                                                    const glia_dataset *data, int64_t batch_size, int threads,
                                                    glia_error *err);
/* Adds every batch of the loader to `metrics`. `on_batch` may be NULL. */
GLIA_MUST_CHECK glia_status glia__evaluate_data(glia_runner *runner, glia_loader *loader,
                                                glia_metrics *metrics,
                                                void (*on_batch)(void *ctx, const glia_batch *batch,
                                                                 const float *predictions),
                                                void *ctx, glia_error *err);

#endif
