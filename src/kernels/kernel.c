/* kernel.c: which kernel runs a call. */

#include "kernels/kernel.h"

/* The best kernel of `op` below `ceiling` in (priority, position) order; `position` is updated. */
static const glia_kernel *next_kernel(const char *op, int *priority, size_t *position) {
    const glia_kernel *best = NULL;
    size_t best_at = 0;
    for (size_t i = 0; i < glia__kernels_count; i++) {
        const glia_kernel *kernel = glia__kernels[i];
        if (strcmp(kernel->op, op) != 0) continue;
        bool later = kernel->priority < *priority || (kernel->priority == *priority && i > *position);
        if (later && (!best || kernel->priority > best->priority)) {
            best = kernel;
            best_at = i;
        }
    }
    if (best) {
        *priority = best->priority;
        *position = best_at;
    }
    return best;
}

const glia_kernel *glia__kernel_choose(const glia_kernel_query *query, FILE *trace) {
    int priority = INT32_MAX;
    size_t position = 0;
    const glia_kernel *kernel;
    while ((kernel = next_kernel(query->op->name, &priority, &position))) {
        const char *why_not = "no reason given";
        bool yes = kernel->supports(query, &why_not);
        if (trace && yes) fprintf(trace, "glia: %s: kernel %s\n", query->op->name, kernel->name);
        if (yes) return kernel;
        if (trace) fprintf(trace, "glia: %s: not %s: %s\n", query->op->name, kernel->name, why_not);
    }
    if (trace) fprintf(trace, "glia: %s: reference\n", query->op->name);
    return NULL;
}
