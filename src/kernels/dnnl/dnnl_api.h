/* dnnl_api.h: the few primitives of oneDNN that Glia's kernels use, in Glia's words. dnnl_api.c is the only file that
 * speaks to oneDNN. */
#ifndef GLIA_DNNL_API_H
#define GLIA_DNNL_API_H

#include "kernels/kernel.h"

typedef enum glia_dnnl_kind {
    GLIA_DNNL_CONVOLUTION,                  /* src, weights, bias, residual → dst */
    GLIA_DNNL_CONVOLUTION_BACKWARD_DATA,    /* dst, weights → src */
    GLIA_DNNL_CONVOLUTION_BACKWARD_WEIGHTS, /* dst, src → weights, bias */
    GLIA_DNNL_MATMUL,                       /* src, weights, bias, residual → dst */
    GLIA_DNNL_KINDS
} glia_dnnl_kind;

typedef enum glia_dnnl_role {
    GLIA_DNNL_SRC,
    GLIA_DNNL_WEIGHTS,
    GLIA_DNNL_BIAS,
    GLIA_DNNL_DST,
    GLIA_DNNL_RESIDUAL, /* like dst, in its layout; added before the relu */
    GLIA_DNNL_ROLES
} glia_dnnl_role;

enum { GLIA_DNNL_MAX_RANK = GLIA_MAX_RANK + 1 }; /* grouped weights have one more */

/* The layout that a primitive is asked for; from and to another than the graph's the array is reordered. */
typedef enum glia_dnnl_layout {
    GLIA_DNNL_AS_IT_LIES,
    GLIA_DNNL_ANY,  /* what the primitive likes best */
    GLIA_DNNL_DENSE /* dimensions in the order in which they lie, without gaps between them: of a part */
} glia_dnnl_layout;

/* An input or output of the call as oneDNN sees it: its dimensions in oneDNN's order, and where they lie. */
typedef struct glia_dnnl_array {
    int rank; /* 0: absent */
    int64_t dim[GLIA_DNNL_MAX_RANK], stride[GLIA_DNNL_MAX_RANK];
    glia_dtype dtype;  /* in the graph's memory */
    glia_dtype inside; /* in the primitive; another dtype is converted to or from it */
    glia_dnnl_layout layout;
    bool parameter; /* what is reordered or converted stays so until the next pack */
    bool output;
    int index;     /* of the call's inputs or outputs */
    int64_t first; /* element where the array begins */
} glia_dnnl_array;

typedef struct glia_dnnl_spec {
    glia_dnnl_kind kind;
    glia_dnnl_array arrays[GLIA_DNNL_ROLES];
    int64_t strides[2], dilation[2], pads[4]; /* convolutions: height, width; top, left, bottom, right */
    bool relu;                                /* of the result */
    int threads;
} glia_dnnl_spec;

/* How a primitive is cut in parts, each a primitive for one thread: the dimension of each array, -1 where every part sees
 * the whole. oneDNN shares sums between its threads in ways that depend on their number; results of parts do not. */
typedef struct glia_dnnl_cut {
    int dim[GLIA_DNNL_ROLES];
    int64_t width; /* of a part; the last may be narrower */
    bool sums;     /* the results of the parts are added up; else each has its place in the whole */
} glia_dnnl_cut;

/* The array of an input or output, in C order; absent when the input is. */
glia_dnnl_array glia__dnnl_input(const glia_kernel_query *query, int index);
glia_dnnl_array glia__dnnl_output(const glia_kernel_query *query, int index);
/* The same memory with its last two dimensions swapped. */
void glia__dnnl_transpose(glia_dnnl_array *array);

/* Whether oneDNN has more than its reference for this; else says why not. */
bool glia__dnnl_offers(const glia_dnnl_spec *spec, const char **why_not);
/* Makes the state of a kernel: the primitive and the reorders around it. */
glia_status glia__dnnl_new(void **state, const glia_dnnl_spec *spec, const glia_allocator *allocator,
                           glia_kernel_needs *needs, glia_error *err);
/* The .pack, .run and .fini of every kernel of this folder. */
glia_status glia__dnnl_pack(void *state, const glia_call *call);
glia_status glia__dnnl_run(void *state, const glia_call *call);
void glia__dnnl_free(void *state); /* NULL allowed */

/* The same in parts, which the threads share (parts.c). */
bool glia__dnnl_parts_offer(const glia_dnnl_spec *spec, const glia_dnnl_cut *cut, const char **why_not);
glia_status glia__dnnl_parts_new(void **state, const glia_dnnl_spec *spec, const glia_dnnl_cut *cut,
                                 const glia_allocator *allocator, glia_kernel_needs *needs, glia_error *err);
glia_status glia__dnnl_parts_pack(void *state, const glia_call *call);
glia_status glia__dnnl_parts_run(void *state, const glia_call *call);
void glia__dnnl_parts_free(void *state); /* NULL allowed */

/* What all kernels of this folder decline: other dtypes than f32, arrays without elements. */
bool glia__dnnl_takes_types(const glia_kernel_query *query, const char **why_not);

/* Makes PREFIX_supports and PREFIX_init of a kernel from its PREFIX_spec, which turns a query to a spec or says why it
 * cannot. */
#define GLIA_DNNL_PLANNING(prefix)                                                                           \
    static bool prefix##_supports(const glia_kernel_query *query, const char **why_not) {                    \
        glia_dnnl_spec spec;                                                                                 \
        return prefix##_spec(query, &spec, why_not) && glia__dnnl_offers(&spec, why_not);                    \
    }                                                                                                        \
    static glia_status prefix##_init(const glia_kernel_query *query, void **state, glia_kernel_needs *needs, \
                                     glia_error *err) {                                                      \
        glia_dnnl_spec spec;                                                                                 \
        const char *why_not = NULL;                                                                          \
        if (!prefix##_spec(query, &spec, &why_not))                                                          \
            return glia_error_set(err, GLIA_UNSUPPORTED, "%s: oneDNN: %s", query->op->name, why_not);        \
        return glia__dnnl_new(state, &spec, query->allocator, needs, err);                                   \
    }

/* The same for a kernel in parts, whose PREFIX_spec also says how it is cut. */
#define GLIA_DNNL_PLANNING_PARTS(prefix)                                                                     \
    static bool prefix##_supports(const glia_kernel_query *query, const char **why_not) {                    \
        glia_dnnl_spec spec;                                                                                 \
        glia_dnnl_cut cut;                                                                                   \
        return prefix##_spec(query, &spec, &cut, why_not) && glia__dnnl_parts_offer(&spec, &cut, why_not);   \
    }                                                                                                        \
    static glia_status prefix##_init(const glia_kernel_query *query, void **state, glia_kernel_needs *needs, \
                                     glia_error *err) {                                                      \
        glia_dnnl_spec spec;                                                                                 \
        glia_dnnl_cut cut;                                                                                   \
        const char *why_not = NULL;                                                                          \
        if (!prefix##_spec(query, &spec, &cut, &why_not))                                                    \
            return glia_error_set(err, GLIA_UNSUPPORTED, "%s: oneDNN: %s", query->op->name, why_not);        \
        return glia__dnnl_parts_new(state, &spec, &cut, query->allocator, needs, err);                       \
    }

#endif
