/* stepper.h: a language model that goes on token by token with what it remembers: keys and values, or the states of
 * recurrent layers. */
#ifndef GLIA_TRAIN_STEPPER_H
#define GLIA_TRAIN_STEPPER_H

#include "glia/program.h"
#include "graph/step.h"
#include "train/carry.h"
#include "train/model.h"

/* Tokens of a prompt in one run: as many as products of few rows take, which read the weights where they lie. */
enum { GLIA_STEPPER_SEVERAL = 8 };

typedef struct glia_stepper {
    const glia_model *model;
    glia_steps steps;
    glia_program *programs[2]; /* for one token, and for several of a prompt */
    glia_carry carry;          /* of the tokens seen, one row; `past`: how many */
    _Alignas(64) char tokens[GLIA_STEPPER_SEVERAL * sizeof(int64_t)]; /* of a run, as the input takes them */
    int64_t positions[GLIA_STEPPER_SEVERAL];
} glia_stepper;

/* GLIA_UNSUPPORTED when the model must see the whole text each time. */
GLIA_MUST_CHECK glia_status glia__stepper_new(glia_stepper *s, const glia_model *model, int threads,
                                              glia_precision precision, glia_error *err);
/* Sees `count` ≥ 1 more tokens; *logits, those of the token after them, are valid until the next call. */
GLIA_MUST_CHECK glia_status glia__stepper_take(glia_stepper *s, const float *tokens, int64_t count,
                                               const float **logits, glia_error *err);
void glia__stepper_deinit(glia_stepper *s); /* {0} allowed */

#endif
