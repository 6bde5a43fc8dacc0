/* program.h (internal): a planned graph. Three steps make it: plan.c binds dimensions and chooses kernels,
 * split.c decides how each call is shared between workers, memory.c lays out one block. run.c runs it. */
#ifndef GLIA_EXEC_PROGRAM_H
#define GLIA_EXEC_PROGRAM_H

#include "glia/program.h"
#include "graph/graph.h"
#include "kernels/kernel.h"

enum { GLIA_MOST_THREADS = 256 };

/* Where a value's bytes are. Values that are views of each other share a buffer. */
typedef enum glia_place {
    GLIA_PLACE_BLOCK, /* at `offset` of the block */
    GLIA_PLACE_BOUND, /* at `address`: an input or parameter of the caller, or an output that it wants there
                       */
    GLIA_PLACE_CONST  /* at `address`, in the graph */
} glia_place;

typedef struct glia_buffer {
    glia_place place;
    size_t bytes, offset;
    void *address;
    int64_t first, last;      /* first call that writes it, last call that reads it */
    const glia_value *source; /* inputs and parameters: which, for messages */
} glia_buffer;

/* How a call is shared between workers. */
typedef enum glia_split { GLIA_SPLIT_NONE, GLIA_SPLIT_FLAT, GLIA_SPLIT_ROWS } glia_split;

typedef struct glia_planned_call {
    const glia_node *node;
    const glia_kernel *kernel; /* NULL: the op's ref */
    void *state;
    glia_type *types;       /* n_inputs + n_outputs, dims known; rank -1 for an absent input */
    glia_view *views;       /* the same, with addresses */
    int *buffers;           /* the same; -1 for an absent input */
    int workspace, packed;  /* buffers, -1 for none */
    size_t workspace_bytes; /* for each part */
    glia_split split;
    uint32_t cut; /* inputs that are cut */
    int parts;
    double flops, seconds;
} glia_planned_call;

typedef struct glia_planned_output {
    const glia_value *value;
    int buffer;
    glia_type type;
    void *copy_to; /* bound, but its buffer is not free to move (a view of an input): copied after the run */
} glia_planned_output;

struct glia_program {
    const glia_allocator *allocator;
    glia_arena arena; /* everything below but the block and the kernels' states */
    const glia_graph *graph;
    glia_program_options options;
    glia_planned_call *calls;
    int64_t n_calls;
    glia_buffer *buffers;
    int n_buffers;
    int *buffer_of; /* by value id; -1: not in this program */
    glia_type *type_of;
    size_t n_values;
    glia_planned_output *outputs;
    int n_outputs;
    char *block;
    size_t block_bytes, unplanned_bytes;
    glia_error *part_errors; /* one for each worker but the first */
    bool resolved;           /* views hold addresses */
    bool packed;             /* the kernels' copies of the parameters are those of now */
    bool trace;              /* GLIA_TRACE=1: tell what was chosen, and the times at the end */
    int64_t runs;
};

/* plan.c: calls, types, kernels; a buffer for every value. */
glia_status glia__program_plan(glia_program *program, glia_value *const *outputs, int count, glia_error *err);
/* split.c: parts of one call, packing its parameters, and running it in parts. */
void glia__program_split(const glia_program *program, glia_planned_call *call);
glia_status glia__program_pack(const glia_program *program, const glia_planned_call *call,
                               const glia_step *step, glia_error *err);
glia_status glia__program_call(const glia_program *program, const glia_planned_call *call,
                               const glia_step *step, glia_error *err);
/* memory.c: offsets and the block. */
glia_status glia__program_place(glia_program *program, glia_error *err);

#endif
