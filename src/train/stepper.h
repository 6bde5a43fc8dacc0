/* stepper.h: a language model that goes on token by token with what it remembers: keys and values, or the states of
 * recurrent layers. */
#ifndef GLIA_TRAIN_STEPPER_H
#define GLIA_TRAIN_STEPPER_H

#include "glia/program.h"
#include "graph/step.h"
#include "train/model.h"

typedef struct glia_stepper {
    const glia_model *model;
    glia_steps steps;
    glia_program *programs[2]; /* for one token, and for several of a prompt */
    char *
        memory; /* what the graph's memories hold, one after the other; then the tokens and their positions */
    size_t bytes;
    int64_t past; /* tokens seen */
} glia_stepper;

/* GLIA_UNSUPPORTED when the model must see the whole text each time. */
GLIA_MUST_CHECK glia_status glia__stepper_new(glia_stepper *s, const glia_model *model, int threads,
                                              glia_precision precision, glia_error *err);
/* Sees `count` ≥ 1 more tokens; *logits, those of the token after them, are valid until the next call. */
GLIA_MUST_CHECK glia_status glia__stepper_take(glia_stepper *s, const float *tokens, int64_t count,
                                               const float **logits, glia_error *err);
void glia__stepper_deinit(glia_stepper *s); /* {0} allowed */

#endif
