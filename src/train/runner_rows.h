/* runner_rows.h (for runner.c): tables whose gradient a training program gives as rows; see rows.h. */
#ifndef GLIA_TRAIN_RUNNER_ROWS_H
#define GLIA_TRAIN_RUNNER_ROWS_H

#include "train/runner.h"

enum { GLIA_ROW_PARTS = 8 /* readings of one table that are told apart */ };

/* The nodes whose sum the gradient of `param` is, when it stays rows in batches of `count`; 0: it does not. */
int glia__runner_row_parts(const glia_runner *r, size_t param, int64_t count, const glia_node **parts);
/* Whether `value` is what some table's gradient is made of. */
bool glia__runner_row_value(const glia_runner *r, const glia_value *value, int64_t count);
/* Binds what those of `param` are made of to memory of the runner. */
GLIA_MUST_CHECK glia_status glia__runner_bind_rows(glia_runner *r, size_t param, int64_t count,
                                                   glia_program *program, glia_error *err);
/* After a run: adds up the rows of all tables. */
void glia__runner_collect_rows(glia_runner *r, int64_t count);
void glia__runner_free_rows(glia_runner *r);

#endif
