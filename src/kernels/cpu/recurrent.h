/* recurrent.h: what the kernels of recurrent layers share. Sequences are independent: a worker takes some of a batch through
 * all steps by itself, PANEL_ROWS at a time, without waiting for another. The weights stay in its cache.
 *
 * Units are computed in groups of 16. Behind the last unit are others, up to a whole group, whose weights are 0; then their
 * state is 0 as well. They are not written to arrays of the call. */
#ifndef GLIA_KERNELS_RECURRENT_H
#define GLIA_KERNELS_RECURRENT_H

#include "kernels/cpu/element.h"
#include "kernels/cpu/panels.h"
#include "kernels/kernel.h"
#include "ops/mathf.h"
#include "ops/recurrent.h"

/* What follows from the types of a call. */
typedef struct glia_recurrent_plan {
    const glia_allocator *allocator;
    const glia_cell *cell;
    int64_t n, steps, hidden, units; /* units: hidden up to whole groups */
    bool bf16;
    bool pack_first;      /* weights are no parameters: they are packed in each run */
    int parts;            /* bf16 that make a number: glia_panels */
    int threads, workers; /* workers: of a run */
} glia_recurrent_plan;

/* `sequences`: the type of y or x, `weights`: bits of the inputs that are packed. False: the kernels do not take it. */
bool glia__recurrent_plan(glia_recurrent_plan *p, const glia_kernel_query *q, const glia_cell *cell,
                          const glia_type *sequences, int64_t hidden, uint32_t weights, const char **why_not);

/* Space in a worker's memory: returns where it begins. */
static inline size_t glia__recurrent_take(size_t *bytes, size_t wanted) {
    const size_t at = *bytes;
    *bytes += (wanted + 63) & ~(size_t)63;
    return at;
}

/* Packs a matrix. `fill` gives the rows from step · PANEL_STEP on of a panel; the block holds zeros before. */
typedef void glia_fill(const void *ctx, int64_t panel, int64_t step, float *block);
void glia__recurrent_pack(const glia_panels *p, const void *ctx, glia_fill *fill, void *packed, int threads);

/* A group of 16 units, of which the first n are there. */
GLIA_CPU_INLINE void load_group(const void *x, int64_t at, int64_t n, const bool bf16, float *to) {
    if (n >= PANEL_GROUP) {
        glia__load_16(x, at, to, bf16);
        return;
    }
    for (int k = 0; k < PANEL_GROUP; k++) to[k] = 0;
    for (int64_t k = 0; k < n; k++) to[k] = glia__load(x, at + k, bf16);
}

GLIA_CPU_INLINE void store_group(void *y, int64_t at, int64_t n, const bool bf16, const float *from) {
    if (n >= PANEL_GROUP)
        glia__store_16(y, at, from, bf16);
    else
        for (int64_t k = 0; k < n; k++) glia__store(y, at + k, from[k], bf16);
}

/* A row of n numbers as floats, and back; and as row i of `rows`, for which `scratch` takes n floats. */
void glia__recurrent_read(const void *x, int64_t at, int64_t n, bool bf16, float *to);
void glia__recurrent_write(void *y, int64_t at, int64_t n, bool bf16, const float *from);
void glia__recurrent_put(const glia_rows *rows, int64_t i, const void *x, int64_t at, int64_t n, bool bf16,
                         float *scratch);

#endif
