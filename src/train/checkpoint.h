/* checkpoint.h: everything that a training needs to go on as if nothing had happened, in one safetensors file. */
#ifndef GLIA_TRAIN_CHECKPOINT_H
#define GLIA_TRAIN_CHECKPOINT_H

#include "train/metrics.h"
#include "train/trainer.h"

/* Where a training is. */
typedef struct glia_fit_state {
    int64_t epoch;          /* epochs completed */
    int64_t batch;          /* batches done of the epoch after them */
    glia_metrics_sums sums; /* of those batches */
    double best;            /* value of the monitor */
    int64_t best_epoch;     /* 0: none yet */
    int64_t waited;         /* validations without improvement */
} glia_fit_state;

/* A setting of a training, as its checkpoint has it. What the saved state belongs to must be the same when the training
 * goes on: the optimiser, the order of the examples. Others, such as a learning rate, may change. */
typedef struct glia_fit_setting {
    const char *name;
    char value[64];
    bool may_change;
} glia_fit_setting;

/* Writes DIR/last.safetensors: weights, moments ("optimizer.m.dense.weight"), and as metadata the state, the
 * settings and the model's layers. Atomic: a crash leaves the old file or the new one. */
GLIA_MUST_CHECK glia_status glia__checkpoint_write(const char *dir, const glia_trainer *trainer,
                                                   const glia_fit_state *state,
                                                   const glia_fit_setting *settings, size_t count,
                                                   glia_error *err);
/* Reads it back. Refuses, with nothing changed, a checkpoint of another model or other settings, naming the first
 * difference. Settings that changed, and may, are told to `logger` with both values. */
GLIA_MUST_CHECK glia_status glia__checkpoint_read(const char *dir, glia_trainer *trainer,
                                                  glia_fit_state *state, const glia_fit_setting *settings,
                                                  size_t count, const glia_logger *logger, glia_error *err);

/* DIR/metrics.jsonl: one JSON object a line, one line an epoch. */
/* Keeps the whole lines of epochs 1 … `epochs` (0: an empty file); what is damaged goes. */
GLIA_MUST_CHECK glia_status glia__history_cut(const char *dir, int64_t epochs,
                                              const glia_allocator *allocator, glia_error *err);
/* Appends the line of an epoch and syncs it to the disk. */
GLIA_MUST_CHECK glia_status glia__history_append(const char *dir, const glia_epoch *epoch, int64_t step,
                                                 const glia_allocator *allocator, glia_error *err);

#endif
