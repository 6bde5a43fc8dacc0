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
    int threads; /* workers that the kernel may use inside one call */
    bool training;
    const glia_allocator *allocator; /* of the program: what init allocates comes from here */
} glia_kernel_query;

typedef struct glia_kernel {
    const char *name;
    const char *op;
    int priority;     /* higher is tried first; the comment beside it holds the figure that justifies it */
    bool own_threads; /* true: uses query->threads workers itself; false: the executor splits rows */
    bool (*supports)(const glia_kernel_query *query, const char **why_not);
    /* Makes the state of one node of one program (NULL: stateless) and says how much workspace one run needs
     * (every worker's part of a split run has its own). *state and *workspace_bytes are zero before. */
    glia_status (*init)(const glia_kernel_query *query, void **state, size_t *workspace_bytes,
                        glia_error *err);
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
