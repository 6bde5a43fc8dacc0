/* trainer.h (internal): the struct behind glia_trainer. */
#ifndef GLIA_TRAIN_TRAINER_H
#define GLIA_TRAIN_TRAINER_H

#include "train/memory.h"

struct glia_trainer {
    const glia_allocator *allocator;
    glia_model *model;
    glia_runner runner;
    const glia_optimizer *optimizer;
    glia_optimizer_options settings; /* resolved */
    float *gradients,
        *moments[2]; /* each laid out as the model's block; those that the optimiser needs. Behind
                                      * the gradients stand the new values of the model's state */
    size_t block_bytes;
    /* When memory is limited, batches are run in pieces of so many examples; 0: whole. `part` has a piece's gradients, laid out
     * as the others, `predictions` those of the whole batch. */
    int64_t piece;
    float *part, *predictions;
    double weight;                   /* of the last batch: glia__loss_weight */
    const float *weights;            /* of the examples of the next batch, where the loss takes weights */
    int64_t predictions_room, count; /* examples; of the last batch */
    glia_fit_memory memory;          /* as planned; all 0 without a limit */
    int64_t step;                    /* updates so far */
    double norm;                     /* of the last gradient, before clipping */
    bool backward;                   /* gradients of a batch are there */
};

/* Checks that the model takes examples of `shape`. */
GLIA_MUST_CHECK glia_status glia__model_check_input(const glia_model *model, const glia_shape *shape,
                                                    glia_error *err);
/* glia_trainer_new that knows the number of classes, and for memory_limit what else there is. */
GLIA_MUST_CHECK glia_status glia__trainer_new(glia_trainer **out, glia_model *model,
                                              const glia_target *target, const glia_fit_options *options,
                                              const glia_memory_use *use, glia_error *err);

#endif
