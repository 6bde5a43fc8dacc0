/* threads.h: data-parallel loops on the one thread pool of the process.
 *
 * With OpenMP (always so when oneDNN is linked, which brings its runtime) the pool is OpenMP's; without it, a
 * small pthread pool of our own. There are never two pools. */
#ifndef GLIA_CORE_THREADS_H
#define GLIA_CORE_THREADS_H

#include <stdint.h>

/* Cores that this process may use (affinity mask), at least 1. */
int glia__thread_cores(void);

/* Calls body(ctx, part, parts) once for each part 0 … parts-1 at the same time, and returns when all are
 * done. parts < 1 counts as 1. The calling thread takes part. Calls from inside a body run one after the
 * other. */
void glia__parallel(int parts, void (*body)(void *ctx, int part, int parts), void *ctx);

/* The range [*begin, *end) of `total` items that `part` of `parts` takes: contiguous, differs by at most one.
 */
static inline void glia__part_range(int64_t total, int part, int parts, int64_t *begin, int64_t *end) {
    int64_t base = total / parts, rest = total % parts;
    *begin = base * part + (part < rest ? part : rest);
    *end = *begin + base + (part < rest ? 1 : 0);
}

#endif
