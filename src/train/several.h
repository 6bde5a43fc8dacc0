/* several.h: batches of several arrays, which lie one behind the other in each example, for models of several inputs, outputs
 * and losses. */
#ifndef GLIA_TRAIN_SEVERAL_H
#define GLIA_TRAIN_SEVERAL_H

#include "train/runner.h"

/* Room for what a batch becomes. */
GLIA_MUST_CHECK glia_status glia__runner_reserve(glia_runner *runner, size_t bytes, glia_error *err);
/* Binds the inputs of a batch, and the targets of its losses (NULL: none is wanted), each as an array of its own. */
GLIA_MUST_CHECK glia_status glia__several_bind(glia_runner *runner, glia_program *program,
                                               const float *inputs, const void *targets, int64_t count,
                                               glia_error *err);
/* Number `i` of a row as an element of an array. */
void glia__several_take(const float *rows, int64_t pitch, int64_t elems, int64_t count, glia_dtype dtype,
                        void *to);

#endif
