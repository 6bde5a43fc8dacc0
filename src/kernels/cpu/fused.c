/* fused.c: the members of a fused elementwise op tile by tile: what lies between them never leaves L1. */

#include "ops/fused.h"
#include "core/mem.h"
#include "kernels/kernel.h"

enum { TILE = 4096 }; /* elements: 2048 and 16384 were 10 % slower, 1024 40 % */

typedef struct fused_state {
    const glia_allocator *allocator;
    glia_fused fused;
} fused_state;

static bool supports(const glia_kernel_query *q, const char **why_not) {
    (void)q, (void)why_not;
    return true;
}

static glia_status init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs, glia_error *err) {
    fused_state *s = glia__alloc(q->allocator, sizeof *s);
    glia_type out;
    if (!s) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    s->allocator = q->allocator;
    *state = s; /* freed by fini, whatever comes */
    GLIA_TRY(glia__fused_read(&s->fused, ((const glia__fused_attrs *)q->attrs)->members, q->in, q->n_in, &out,
                              err));
    needs->workspace_bytes = glia__fused_workspace(&s->fused, TILE);
    return GLIA_OK;
}

static glia_status run(void *state, const glia_call *call) {
    return glia__fused_run(&((fused_state *)state)->fused, call, TILE);
}

static void fini(void *state) {
    fused_state *s = state;
    glia__free(s->allocator, s, sizeof *s);
}

GLIA_KERNEL(cpu_fused_elementwise) = {.name = "cpu_fused_elementwise",
                                      .op = "fused_elementwise",
                                      .priority = 10, /* see the pass fuse_elementwise */
                                      .supports = supports,
                                      .init = init,
                                      .run = run,
                                      .fini = fini};
