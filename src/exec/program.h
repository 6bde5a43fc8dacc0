/* program.h (internal): a planned graph. Passes rewrite the graph; plan.c turns it into calls and buffers; segment.c cuts the
 * calls in segments, chunks and lanes, and chooses kernels, by the costs of cost.c; memory.c lays out one block. run.c runs
 * it, print.c tells about it. */
#ifndef GLIA_EXEC_PROGRAM_H
#define GLIA_EXEC_PROGRAM_H

#include "glia/program.h"
#include "graph/graph.h"
#include "kernels/kernel.h"

enum {
    GLIA_MOST_THREADS = 256,
    GLIA_MOST_LANES = 16,
    GLIA_FLAT_ROW = 16 /* elements: a cache line of f32 */
};

/* Where a value's bytes are. Values that are views of each other share a buffer. */
typedef enum glia_place {
    GLIA_PLACE_BLOCK,  /* at `offset` of the block */
    GLIA_PLACE_WORKER, /* at `offset` of every worker's part of its segment's memory: a chunk at a time */
    GLIA_PLACE_BOUND, /* at `address`: an input or parameter of the caller, or an output that it wants there */
    GLIA_PLACE_CONST  /* at `address`, in the graph */
} glia_place;

typedef struct glia_buffer {
    glia_place place;
    size_t bytes, offset;
    void *address;
    int64_t first, last;      /* first call that writes it, last call that reads it */
    const glia_value *source; /* inputs and parameters: which, for messages */
    bool kept;                /* made by the prologue, for as long as the program lives */
} glia_buffer;

/* How one call may be cut along dimension 0. */
typedef struct glia_cut {
    int64_t rows;    /* 0: not at all */
    uint32_t inputs; /* bit i: input i is cut; the others are seen whole by every chunk */
    bool flat;       /* rows are GLIA_FLAT_ROW elements, of all inputs that are cut and of the output */
    bool sums;       /* the outputs are sums over the rows; else they are cut as well */
} glia_cut;

typedef struct glia_planned_call {
    const glia_node *node;
    const glia_kernel *kernels[2]; /* NULL: the op's ref; for whole chunks, and for the last, smaller one */
    void **states;                 /* of the kernels: [worker][2] */
    glia_view *views; /* n_inputs + n_outputs whole arrays; rank 0 and no data for an absent input */
    int *buffers;     /* the same; -1 for an absent input */
    glia_cut cut;
    int workspace;  /* buffer, -1 for none; in the worker's memory */
    int packed;     /* buffer, -1 for none: one for each kind of chunk */
    int lanes, sum; /* buffers of a call that sums: the lanes but the first, one chunk's outputs; -1: none */
    size_t packed_bytes; /* for one kind of chunk */
    double flops, bytes;
    double gflops;    /* of the kernel that would take the whole call; 0: see glia_kernel */
    double predicted; /* seconds on one core, by cost.c, as the call is run */
    double *seconds;  /* by worker, of this run */
    double measured;  /* seconds of all workers in the fastest run */
} glia_planned_call;

/* Calls that run together. The rows are cut in chunks; a worker takes a chunk through all the calls before the next. Chunks
 * belong to lanes: sums are kept apart by lane and added up in the order of lanes. Chunks and lanes follow from
 * shapes alone, so results do not depend on the number of workers. One chunk: the calls see whole arrays, and kernels
 * use all threads. */
typedef struct glia_segment {
    int64_t first, end; /* calls */
    int64_t rows, chunk, chunks;
    int lanes, workers;
    int memory; /* buffer: the workers' memory, worker_bytes each; -1: none */
    size_t worker_bytes;
    double seconds, measured; /* of this run, of the fastest */
} glia_segment;

/* The memory of one program, or of several that take turns. */
typedef struct glia_block {
    const glia_allocator *allocator;
    int programs; /* that hold it */
    char *data;
    size_t bytes;
    const glia_program *last; /* that ran in it: what it packed is still there */
} glia_block;

typedef struct glia_planned_output {
    const glia_value *value; /* the user's */
    int buffer;
    glia_type type;
    bool outside;  /* it has no place in the block */
    void *copy_to; /* bound, but its buffer is not free to move (a view of an input): copied after the run */
} glia_planned_output;

struct glia_program {
    const glia_allocator *allocator;
    glia_arena arena; /* everything below but the graph, the memory and the kernels' states */
    const glia_graph *user_graph;
    glia_graph *graph;      /* what the passes made of it */
    glia_value **stand_ins; /* by the user's value id: the value of `graph`; NULL: none */
    size_t n_user_values;
    glia_program_options options;
    glia_planned_call *calls;
    int64_t n_calls;
    int64_t
        n_prologue; /* the first calls: computed of parameters alone, run only when these may have changed */
    glia_segment *segments;
    int64_t n_segments;
    glia_buffer *buffers;
    int n_buffers;
    int *buffer_of; /* by value id of `graph`; -1: not in this program */
    glia_planned_output *outputs;
    int n_outputs;
    glia_block *memory; /* NULL: plan_only */
    char *block;        /* where the memory was when addresses were resolved */
    size_t block_bytes, unplanned_bytes;
    glia_error *worker_errors;
    bool resolved;         /* views hold addresses */
    bool packed;           /* the prologue's results and the kernels' copies are of the parameters of now */
    bool trace;            /* GLIA_TRACE=1: tell what was chosen, and the times at the end */
    int64_t first_example; /* of the batch in a larger one */
    bool profile;          /* take times */
    double measured;       /* seconds of the fastest run */
    int64_t runs;
};

enum { GLIA_BLOCK_ALIGNMENT = 64 };
/* What an array takes in the block: planning and running must agree. */
static inline size_t glia__padded(size_t bytes) {
    return (bytes + GLIA_BLOCK_ALIGNMENT - 1) & ~(size_t)(GLIA_BLOCK_ALIGNMENT - 1);
}

/* plan.c: calls, and a buffer for every value. */
glia_status glia__program_plan(glia_program *program, glia_value *const *outputs, int count, glia_error *err);
int glia__program_add_buffer(glia_program *program, glia_buffer buffer);
/* segment.c: segments, kernels and their memory. */
glia_status glia__program_segment(glia_program *program, glia_error *err);
/* cut.c: how calls may be cut, and what a chunk of them looks like. */
glia_cut glia__call_cut(const glia_node *node);
void glia__cut_types(const glia_planned_call *call, int64_t chunk, glia_type *types);
void glia__cut_view(const glia_planned_call *call, int operand, int64_t begin, int64_t end, glia_view *view);
/* memory.c: gives buffers order[0 … count − 1] offsets, multiples of `unit`, so that those that live at the same time
 * (first … last) do not overlap; the bytes that all of them need. `placed`: room for `count`; `order` is sorted. */
size_t glia__place_buffers(glia_buffer *buffers, int *order, int *placed, int count, size_t unit);
/* Offsets of buffers that live at most as long as their first … last say; the bytes that all of them need. */
glia_status glia__plan_offsets(glia_program *program, const int *buffers, int count, size_t *bytes,
                               glia_error *err);
glia_status glia__program_place(glia_program *program, glia_error *err);
/* Makes the program's memory as large as it needs; nothing is allocated when it is. */
glia_status glia__block_reserve(glia_program *program, glia_error *err);
void glia__block_release(glia_program *program);
/* run.c */
glia_status glia__program_pack(const glia_program *program, const glia_step *step, glia_error *err);
glia_status glia__program_run_segment(glia_program *program, const glia_segment *segment,
                                      const glia_step *step, glia_error *err);
void *glia__buffer_address(const glia_program *program, int buffer);

#endif
