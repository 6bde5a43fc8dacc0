/* widen.h: bf16 for ops whose loops know f32 and f64: their ref computes on f32 copies in its workspace, and rounds the
 * results once. */
#ifndef GLIA_OPS_WIDEN_H
#define GLIA_OPS_WIDEN_H

#include "graph/op.h"

/* The workspace that one array needs: 0 unless it is bf16. An op's workspace is the sum over its arrays with data. */
size_t glia__widened_bytes(const glia_type *type);
/* n elements of bf16 as f32, and rounded back. */
void glia__widen(const uint16_t *from, float *to, int64_t n);
void glia__narrow(const float *from, uint16_t *to, int64_t n);
/* Runs `loops` on the call, with f32 copies where it has bf16, and what is left of the workspace. Inputs whose bit is
 * set in `shape_only` have no data. */
glia_status glia__run_widened(const glia_call *call, uint32_t shape_only,
                              glia_status (*loops)(const glia_call *));

/* The same for ops that work element by element on arrays of one shape: tile by tile, so that the copies stay in the
 * nearest cache, and the workspace is that of a tile (glia__tiled_bytes, added up). `loops` may look at first_elem. */
size_t glia__tiled_bytes(const glia_type *type);
glia_status glia__run_tiled(const glia_call *call, glia_status (*loops)(const glia_call *));
/* Rules of ops of one input that run so: f32, f64 or bf16 in, the same out. */
glia_status glia__tiled_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                              glia_error *err);
size_t glia__tiled_workspace(const glia_type *in, const glia_type *out, const void *attrs);

#endif
