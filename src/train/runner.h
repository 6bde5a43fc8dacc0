/* runner.h: a model's programs, one for each batch size and purpose seen, kept for reuse. */
#ifndef GLIA_TRAIN_RUNNER_H
#define GLIA_TRAIN_RUNNER_H

#include "glia/program.h"
#include "train/carry.h"
#include "train/factors.h"
#include "train/loss.h"
#include "train/model.h"
#include "train/rows.h"

/* What a program computes. */
typedef enum glia_run_mode {
    GLIA_RUN_PREDICT, /* the model's output */
    GLIA_RUN_LOSS,    /* and the mean loss of the batch */
    GLIA_RUN_TRAIN    /* and the gradients, with dropout and the like at work */
} glia_run_mode;

/* Full and last partial batch of training and of validation, and some to spare. */
enum { GLIA_RUNNER_PROGRAMS = 6 };

/* Where a program leaves a value that is wanted besides the gradients. */
typedef struct glia_runner_place {
    const glia_value *value;
    void *data;
    size_t bytes;
} glia_runner_place;

typedef struct glia_runner {
    glia_model *model;
    glia_loss_head *head; /* NULL: predictions only */
    int threads;
    glia_precision precision;
    uint64_t seed;
    /* What GLIA_RUN_TRAIN computes, laid out as the model's block: gradients, then the new values of state. Borrowed. */
    float *gradients;
    int64_t first_example; /* of what is run next, in a larger batch */
    const float *weights;  /* of its examples, where the loss takes weights */
    /* Large gradients that are products of few rows are left as their factors, which glia__runner_factors gives: the
     * parameter's place in `gradients` stays as it is. */
    bool factors;
    float *factor_memory; /* NULL before it is needed */
    size_t factor_bytes;
    /* Gradients of tables are left as the rows that the batch used, which glia__runner_rows gives: of those marked as sparse;
     * and, where the optimiser leaves elements without a gradient as they are (`still`), of all large ones. */
    bool rows, still;
    glia_rows *tables; /* by parameter; NULL before one is needed */
    glia_runner_place *places;
    size_t n_tables, n_places;
    glia_carry carried[2]; /* states of stateful layers: of GLIA_RUN_TRAIN, and of all other runs */
    int64_t trained_count; /* examples of the last GLIA_RUN_TRAIN */
    struct {
        glia_program *program;
        glia_run_mode mode;
        int64_t count;
        const float *bound; /* the block that the parameters are bound to */
    } programs[GLIA_RUNNER_PROGRAMS];
    int next; /* whose place a new program takes */
    const glia_program *last;
    void *whole; /* inputs as whole numbers, or several inputs and targets each by itself: see several.h */
    size_t whole_bytes;
} glia_runner;

/* One batch through the model. `targets` NULL for GLIA_RUN_PREDICT; `loss` may be NULL. Pointers need to live for
 * the call only. `step` numbers training steps. */
GLIA_MUST_CHECK glia_status glia__runner_run(glia_runner *runner, glia_run_mode mode, const float *inputs,
                                             const void *targets, int64_t count, int64_t step, double *loss,
                                             glia_error *err);
/* Runs the batch again, checking every node, and gives the error that names the first bad one. Never GLIA_OK. */
GLIA_MUST_CHECK glia_status glia__runner_find_bad_node(glia_runner *runner, const float *inputs,
                                                       const void *targets, int64_t count, int64_t step,
                                                       glia_error *err);
/* The program that a run would use, with its times kept, for who wants to look at it: the caller frees it. The model
 * needs no weights, nor the runner gradients, until it is bound. */
GLIA_MUST_CHECK glia_status glia__runner_program(glia_runner *runner, glia_run_mode mode, int64_t count,
                                                 glia_program **out, glia_error *err);
/* Binds such a program to the model's weights, the runner's gradients and a batch, which must live until it has run. */
GLIA_MUST_CHECK glia_status glia__runner_bind(glia_runner *runner, glia_run_mode mode, glia_program *program,
                                              const float *inputs, const void *targets, int64_t count,
                                              glia_error *err);
/* To be called when the weights were written, before runs other than GLIA_RUN_TRAIN. */
void glia__runner_params_changed(glia_runner *runner);
/* Whether the last GLIA_RUN_TRAIN left a parameter's gradient as its factors, and which. Valid until the next one. */
bool glia__runner_factors(const glia_runner *runner, size_t param, glia_factors *factors);
/* The same for rows of a table; NULL: its gradient is whole. */
const glia_rows *glia__runner_rows(const glia_runner *runner, size_t param);
/* Refuses sparse tables whose gradient is not made of rows, or that weight decay would move. */
GLIA_MUST_CHECK glia_status glia__runner_check_rows(const glia_runner *runner,
                                                    const glia_optimizer_options *settings, glia_error *err);
size_t glia__runner_row_bytes(const glia_runner *runner, int64_t count);
/* Bytes that factors of batches of `count` take. */
size_t glia__runner_factor_bytes(const glia_runner *runner, int64_t count);
/* What the last run predicted: [count, …]; valid until the next run. */
glia_tensor glia__runner_predictions(const glia_runner *runner);
/* The mean loss of part `part` of the head in the last GLIA_RUN_LOSS. */
double glia__runner_part_loss(const glia_runner *runner, int part);
/* What a program for `count` examples would need; nothing is kept. */
GLIA_MUST_CHECK glia_status glia__runner_plan(glia_runner *runner, glia_run_mode mode, int64_t count,
                                              glia_program_info *info, glia_error *err);
/* Stateful layers begin with 0 in the next run that does not train. */
void glia__runner_reset_states(glia_runner *runner);
void glia__runner_deinit(glia_runner *runner);

#endif
