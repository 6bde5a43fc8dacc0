/* program.h: a graph planned for fixed dimensions: kernels chosen, one block of memory laid out, nothing
 * allocated while it runs. */
#ifndef GLIA_PROGRAM_H
#define GLIA_PROGRAM_H

#include <stdio.h>

#include "glia/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct glia_program_options {
    int reserved_;
    int64_t dims[GLIA_DIM_SYMBOLS]; /* dims[0] binds GLIA_DIM_BATCH, dims[1] GLIA_DIM_TIME, … */
    int threads;                    /* workers; 0: every core */
    glia_precision precision;       /* of what lies between convolutions and matrix products */
    glia_bool training;             /* default no: dropout and the like are identities */
    glia_bool reference;            /* run .ref kernels only (tests) */
    glia_bool reuse_memory;         /* default yes; no: every value keeps its own memory (tests, debugging) */
    glia_bool fixed_params;         /* parameters change only when bound again: kernels pack them once */
    glia_bool check_finite;         /* stop at the first node that makes NaN or infinity; slow */
    glia_bool profile;              /* keep the times of calls and segments; GLIA_TRACE=1 does so too */
    uint64_t seed;                  /* of random ops */
    int bound_outputs;   /* so many, the last, get no place in the block: they are bound before a run */
    glia_bool plan_only; /* without memory: to be asked and printed, not run */
    /* A program whose block this one uses too, so that both need only as much as the larger: one of them may run at a
     * time, and what one left in the block (outputs that are not bound) is gone when the other runs. NULL: none. */
    const glia_program *shares_block;
    const glia_allocator *allocator;
} glia_program_options;

/* Plans the nodes that `outputs` need. The graph must outlive the program and may grow meanwhile. */
GLIA_API GLIA_MUST_CHECK glia_status glia_program_new(glia_program **out, const glia_graph *graph,
                                                      glia_value *const *outputs, int count,
                                                      glia_program_options options, glia_error *err);
GLIA_API void glia_program_free(glia_program *program);

/* Says where a source's data lies (an input or parameter, dense, of the planned type; borrowed until the next
 * bind), or where an output is to be written. Inputs must be bound before a run; outputs need not be. */
GLIA_API GLIA_MUST_CHECK glia_status glia_program_bind(glia_program *program, const glia_value *value,
                                                       void *data, glia_error *err);
/* From the next run on, the batch is a piece of a larger one that begins at its example `first`: masks of dropout are
 * those of the larger batch. */
GLIA_API void glia_program_set_first(glia_program *program, int64_t first);
/* Runs everything. `step` numbers training steps (dropout masks depend on it). Errors in the data (an index
 * out of range) name the node. No allocation. Not for two threads at once on one program. */
GLIA_API GLIA_MUST_CHECK glia_status glia_program_run(glia_program *program, uint64_t step, glia_error *err);
/* Where an output lies after a run; valid until the next run or free. Data NULL if `value` is no output. */
GLIA_API glia_tensor glia_program_output(const glia_program *program, const glia_value *value);

/* --- what it is ------------------------------------------------------------------------------------------ */

typedef struct glia_program_info {
    size_t block_bytes;     /* the planned block: activations, gradients, workspaces, packed parameters */
    size_t unplanned_bytes; /* what it would be without reuse */
    size_t plan_bytes;      /* of the plan itself: calls, buffers, the rewritten graph */
    size_t packed_bytes;    /* of the block: parameters in the layouts of their kernels */
    double flops, bytes; /* of one run: floating-point operations, and bytes that its calls read and write */
    int64_t calls;       /* kernel calls in a run */
    int64_t segments;    /* calls that are cut together, see glia_program_segment */
    int threads;
    double predicted; /* seconds of a run by the planner's model */
    double measured;  /* seconds of the fastest run; 0 before the first, or without options.profile */
} glia_program_info;
GLIA_API glia_program_info glia_program_get_info(const glia_program *program);

/* One kernel call. Texts belong to the program. */
typedef struct glia_program_call {
    const char *name;     /* of the node: "conv2d.conv2d" */
    const char *op;       /* what it computes */
    const char *kernel;   /* what computes it; "ref": the op's plain loops */
    const char *channels; /* where its images have their channels, "first" or "last"; "": not about images */
    int inputs, outputs;  /* operands, see glia_program_operand */
    double flops, bytes;  /* of a run, all chunks together; bytes: every operand once */
    size_t packed_bytes;  /* its parameters in the kernel's layout */
    double predicted;     /* seconds of a run, by the planner's model, with the workers of its segment */
    double measured;      /* the same in the fastest run; 0 where glia_program_info.measured is */
} glia_program_call;
GLIA_API glia_program_call glia_program_get_call(const glia_program *program, int64_t call);
/* Type of operand `index` of a call, the inputs first; false for an input that is left out. */
GLIA_API bool glia_program_operand(const glia_program *program, int64_t call, int index, glia_dtype *dtype,
                                   glia_shape *shape);

/* Calls first … end − 1, which run together: the rows are cut in chunks, and a worker takes a chunk through all of them
 * before the next. One chunk: whole arrays, with threads inside the kernel where it has them. */
typedef struct glia_program_segment {
    int64_t first, end;
    int64_t rows, chunk, chunks; /* chunk: rows of one; the last may have fewer */
    int lanes;                   /* sums over rows (gradients of parameters) are kept apart in so many */
    int workers;                 /* that take lanes; one chunk: threads inside the kernel */
    size_t worker_bytes;         /* memory of one worker, part of the block */
    double predicted, measured;  /* seconds, as of a call */
} glia_program_segment;
GLIA_API glia_program_segment glia_program_get_segment(const glia_program *program, int64_t segment);
/* All of this as text. */
GLIA_API void glia_program_print(const glia_program *program, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
