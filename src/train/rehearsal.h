/* rehearsal.h: the program that training, evaluating or predicting with a model would run, to look at it and to time it on
 * made-up data. */
#ifndef GLIA_TRAIN_REHEARSAL_H
#define GLIA_TRAIN_REHEARSAL_H

#include "glia/train.h"
#include "train/runner.h"

typedef struct glia_rehearsal {
    glia_program *program;
    glia_runner runner;
    glia_run_mode mode;
    int64_t count;             /* examples of a batch */
    size_t state_bytes;        /* weights, and for training gradients, moments and new values of state */
    float *inputs, *gradients; /* NULL before the first run, as the targets */
    void *targets;             /* i64 or f32 */
    size_t input_bytes, target_bytes; /* allocated, as gradient_bytes */
    size_t gradient_bytes;
} glia_rehearsal;

/* Plans the program for batches of `count`. Of the options loss, optimizer, seed, threads and precision count. Needs no
 * weights and makes none. Free with glia__rehearsal_deinit, also after a failure. */
GLIA_MUST_CHECK glia_status glia__rehearsal_plan(glia_rehearsal *rehearsal, glia_model *model,
                                                 const glia_target *target, const glia_fit_options *options,
                                                 glia_run_mode mode, int64_t count, glia_error *err);
/* Runs the program `runs` times, 0: as often as goes into two seconds, at least three times, on data made from the seed.
 * A model without weights gets its first ones. */
GLIA_MUST_CHECK glia_status glia__rehearsal_run(glia_rehearsal *rehearsal, int64_t runs, glia_error *err);
void glia__rehearsal_deinit(glia_rehearsal *rehearsal);

#endif
