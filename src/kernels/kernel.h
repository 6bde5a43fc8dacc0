/* kernel.h: a faster way to compute an op than its .ref. Found by the build like ops; tried in order of
 * priority; the first that supports the call wins; .ref is always last. */
#ifndef GLIA_KERNEL_H
#define GLIA_KERNEL_H

#include <stdio.h>

#include "graph/op.h"

/* What a kernel is asked about: all shapes are known. */
typedef struct glia_kernel_query {
    const glia_op *op;
    const void *attrs;
    const glia_type *in, *out;
    int n_in, n_out;
    uint32_t params; /* bit i: input i is a parameter, which changes only between runs */
    int threads;     /* workers that the kernel may use inside one call */
    bool training;
    const glia_allocator *allocator; /* of the program: what init allocates comes from here */
} glia_kernel_query;

/* Memory that the program's block holds for one call; both are 64-byte aligned. */
typedef struct glia_kernel_needs {
    size_t workspace_bytes; /* during a run; every worker's part of a split run has its own */
    size_t packed_bytes;    /* from one pack to the next: parameters in the kernel's own layout */
} glia_kernel_needs;

typedef struct glia_kernel {
    const char *name;
    const char *op;
    int priority; /* higher is tried first; the comment beside it holds the figure that justifies it */
    /* true: uses query->threads workers itself, with the same bits for any number of them, which a case in
     * tests/test_kernel_threads.c must show; false: the executor splits rows */
    bool own_threads;
    double gflops;   /* GFLOP/s of one core, for plans; 0: as products usually reach (src/exec/cost.c) */
    bool any_layout; /* images with channels first cost it no more than with channels last */
    bool (*supports)(const glia_kernel_query *query, const char **why_not);
    /* Makes the state of one node of one program (NULL: stateless) and says what memory it needs. *state and
     * *needs are zero before. */
    glia_status (*init)(const glia_kernel_query *query, void **state, glia_kernel_needs *needs,
                        glia_error *err);
    /* Copies parameters (inputs of query->params) to call->packed, in the layout that run wants. Called before a run
     * whenever they may have changed; only those inputs have data then. NULL: run takes them as they are. */
    glia_status (*pack)(void *state, const glia_call *call);
    /* Allocates nothing. May be called from one thread at a time for one state, unless own_threads is false.
     */
    glia_status (*run)(void *state, const glia_call *call);
    void (*fini)(void *state);
} glia_kernel;

#define GLIA_KERNEL(kernel_name) const glia_kernel glia__kernel_##kernel_name

/* The generated registry. */
extern const glia_kernel *const glia__kernels[];
extern const size_t glia__kernels_count;

/* The kernel of highest priority that supports the query, or NULL: use .ref. Tells `trace` (NULL: nobody)
 * what was chosen and why the others declined. */
const glia_kernel *glia__kernel_choose(const glia_kernel_query *query, FILE *trace);

#endif
