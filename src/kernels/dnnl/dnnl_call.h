/* dnnl_call.h: one oneDNN primitive as a kernel's state: its layouts, the reorders between them and the graph's plain
 * arrays, and all memory in the plan's workspace. */
#ifndef GLIA_KERNELS_DNNL_CALL_H
#define GLIA_KERNELS_DNNL_CALL_H

#include <oneapi/dnnl/dnnl.h>

#include "kernels/kernel.h"

/* One argument of the primitive, and which view of the call it is. */
typedef struct glia_dnnl_argument {
    int id; /* DNNL_ARG_… */
    bool is_output;
    int index;                /* of call->in or call->out */
    dnnl_memory_desc_t plain; /* how the graph's array lies */
} glia_dnnl_argument;

enum { GLIA_DNNL_MOST_ARGUMENTS = 4 };

/* A float array described by dims and strides (NULL: C order). */
glia_status glia__dnnl_plain(dnnl_memory_desc_t *out, int rank, const int64_t *dims, const int64_t *strides,
                             glia_error *err);
/* The same dims in whatever layout the primitive likes best. */
glia_status glia__dnnl_any(dnnl_memory_desc_t *out, int rank, const int64_t *dims, glia_error *err);

/* Makes a kernel state that runs the primitive of operation descriptor `op_desc`; `hint` is the forward
 * descriptor that a backward one refers to (NULL: none). Freed by glia__dnnl_fini. */
glia_status glia__dnnl_new(void **state, size_t *workspace_bytes, const_dnnl_op_desc_t op_desc,
                           const_dnnl_op_desc_t hint, const glia_dnnl_argument *arguments, int count,
                           int threads, glia_error *err);
glia_status glia__dnnl_run(void *state, const glia_call *call);
void glia__dnnl_fini(void *state);

/* GLIA_OK, or an error that names what failed and oneDNN's status. */
glia_status glia__dnnl_check(dnnl_status_t status, const char *what, glia_error *err);

/* What every oneDNN kernel demands: f32 in and out, nothing empty. */
bool glia__dnnl_supports(const glia_kernel_query *query, const char **why_not);

#endif
