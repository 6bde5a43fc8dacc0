/* memory.h (internal): what a training or an evaluation needs, and how far batches are cut to obey a limit. */
#ifndef GLIA_TRAIN_MEMORY_H
#define GLIA_TRAIN_MEMORY_H

#include "train/optimizer.h"
#include "train/runner.h"

/* What memory is wanted for. */
typedef struct glia_memory_use {
    const glia_optimizer *optimizer;        /* NULL: nothing is trained */
    const glia_dataset *train, *validation; /* NULL: none, or batches that come from elsewhere */
    int64_t batch_size, validation_batch;
    int copies;    /* of the weights, beside the model's own */
    int64_t limit; /* bytes; 0: none */
} glia_memory_use;

/* Plans programs, without their memory, for batches and for smaller and smaller pieces of them until all fits the limit.
 * GLIA_OUT_OF_MEMORY, with the figure, when nothing does. Only the runner's model, head, threads, precision and seed
 * matter. */
GLIA_MUST_CHECK glia_status glia__memory_plan(glia_runner *runner, const glia_memory_use *use,
                                              glia_fit_memory *out, glia_error *err);
/* Numbers of an example of the predictions, and bytes of an example of all inputs and of the target. */
int64_t glia__output_elems(const glia_model *model);
size_t glia__input_bytes(const glia_model *model);
size_t glia__target_bytes(const glia_loss_head *head);

#endif
