/* dnnl_version.h: what differs between the C APIs of oneDNN 2.x and 3.x, and nothing else: memory descriptors (a struct;
 * then a handle), how a primitive is described (through an operation descriptor; then at once), and post-operations.
 * Included by dnnl_api.c only. */
#ifndef GLIA_DNNL_VERSION_H
#define GLIA_DNNL_VERSION_H

#include <oneapi/dnnl/dnnl.h>

#include "kernels/dnnl/dnnl_api.h"

#if DNNL_VERSION_MAJOR != 2 && DNNL_VERSION_MAJOR != 3
#error "written for oneDNN 2.x and 3.x; configure with -DGLIA_WITH_ONEDNN=OFF to build without it"
#endif

/* A memory descriptor that someone else owns, NULL for an absent array; and one of our own, all zero at first. */
#if DNNL_VERSION_MAJOR == 2
typedef const dnnl_memory_desc_t *memory_desc;
#else
typedef const_dnnl_memory_desc_t memory_desc;
#endif
typedef struct own_desc {
    bool made;
    dnnl_memory_desc_t desc;
} own_desc;

/* What a convolution is made of. oneDNN counts dilation from 0. */
typedef struct convolution_args {
    memory_desc md[GLIA_DNNL_ROLES];
    dnnl_dims_t strides, dilates, begin, end;
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t hint; /* backward: the forward convolution */
} convolution_args;

#if DNNL_VERSION_MAJOR == 2

static inline memory_desc borrow(const own_desc *own) {
    return own->made ? &own->desc : NULL;
}

static inline void free_desc(own_desc *own) {
    own->made = false;
}

static inline dnnl_status_t desc_by_strides(own_desc *own, int rank, const dnnl_dims_t dims,
                                            dnnl_data_type_t dtype, const dnnl_dims_t strides) {
    dnnl_status_t status = dnnl_memory_desc_init_by_strides(&own->desc, rank, dims, dtype, strides);
    own->made = status == dnnl_success;
    return status;
}

static inline dnnl_status_t desc_by_tag(own_desc *own, int rank, const dnnl_dims_t dims,
                                        dnnl_data_type_t dtype, dnnl_format_tag_t tag) {
    dnnl_status_t status = dnnl_memory_desc_init_by_tag(&own->desc, rank, dims, dtype, tag);
    own->made = status == dnnl_success;
    return status;
}

static inline dnnl_status_t describe_convolution(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                                 glia_dnnl_kind kind, const convolution_args *a) {
    dnnl_convolution_desc_t op;
    memory_desc src = a->md[GLIA_DNNL_SRC], weights = a->md[GLIA_DNNL_WEIGHTS];
    memory_desc bias = a->md[GLIA_DNNL_BIAS], dst = a->md[GLIA_DNNL_DST];
    dnnl_status_t status;
    if (kind == GLIA_DNNL_CONVOLUTION_BACKWARD_DATA)
        status = dnnl_dilated_convolution_backward_data_desc_init(
            &op, dnnl_convolution_direct, src, weights, dst, a->strides, a->dilates, a->begin, a->end);
    else if (kind == GLIA_DNNL_CONVOLUTION_BACKWARD_WEIGHTS)
        status = dnnl_dilated_convolution_backward_weights_desc_init(
            &op, dnnl_convolution_direct, src, weights, bias, dst, a->strides, a->dilates, a->begin, a->end);
    else
        status = dnnl_dilated_convolution_forward_desc_init(&op, dnnl_forward_training,
                                                            dnnl_convolution_direct, src, weights, bias, dst,
                                                            a->strides, a->dilates, a->begin, a->end);
    return status == dnnl_success ? dnnl_primitive_desc_create(out, &op, a->attr, engine, a->hint) : status;
}

static inline dnnl_status_t describe_matmul(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                            const memory_desc md[GLIA_DNNL_ROLES],
                                            dnnl_primitive_attr_t attr) {
    dnnl_matmul_desc_t op;
    dnnl_status_t status = dnnl_matmul_desc_init(&op, md[GLIA_DNNL_SRC], md[GLIA_DNNL_WEIGHTS],
                                                 md[GLIA_DNNL_BIAS], md[GLIA_DNNL_DST]);
    return status == dnnl_success ? dnnl_primitive_desc_create(out, &op, attr, engine, NULL) : status;
}

static inline dnnl_status_t append_eltwise(dnnl_post_ops_t operations, dnnl_alg_kind_t kind) {
    return dnnl_post_ops_append_eltwise(operations, 1, kind, 0, 0);
}

#else /* 3.x */

static inline memory_desc borrow(const own_desc *own) {
    return own->made ? own->desc : NULL;
}

static inline void free_desc(own_desc *own) {
    if (own->made) dnnl_memory_desc_destroy(own->desc);
    own->made = false;
}

static inline dnnl_status_t desc_by_strides(own_desc *own, int rank, const dnnl_dims_t dims,
                                            dnnl_data_type_t dtype, const dnnl_dims_t strides) {
    dnnl_status_t status = dnnl_memory_desc_create_with_strides(&own->desc, rank, dims, dtype, strides);
    own->made = status == dnnl_success;
    return status;
}

static inline dnnl_status_t desc_by_tag(own_desc *own, int rank, const dnnl_dims_t dims,
                                        dnnl_data_type_t dtype, dnnl_format_tag_t tag) {
    dnnl_status_t status = dnnl_memory_desc_create_with_tag(&own->desc, rank, dims, dtype, tag);
    own->made = status == dnnl_success;
    return status;
}

static inline dnnl_status_t describe_convolution(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                                 glia_dnnl_kind kind, const convolution_args *a) {
    memory_desc src = a->md[GLIA_DNNL_SRC], weights = a->md[GLIA_DNNL_WEIGHTS];
    memory_desc bias = a->md[GLIA_DNNL_BIAS], dst = a->md[GLIA_DNNL_DST];
    if (kind == GLIA_DNNL_CONVOLUTION_BACKWARD_DATA)
        return dnnl_convolution_backward_data_primitive_desc_create(out, engine, dnnl_convolution_direct, src,
                                                                    weights, dst, a->strides, a->dilates,
                                                                    a->begin, a->end, a->hint, a->attr);
    if (kind == GLIA_DNNL_CONVOLUTION_BACKWARD_WEIGHTS)
        return dnnl_convolution_backward_weights_primitive_desc_create(
            out, engine, dnnl_convolution_direct, src, weights, bias, dst, a->strides, a->dilates, a->begin,
            a->end, a->hint, a->attr);
    return dnnl_convolution_forward_primitive_desc_create(out, engine, dnnl_forward_training,
                                                          dnnl_convolution_direct, src, weights, bias, dst,
                                                          a->strides, a->dilates, a->begin, a->end, a->attr);
}

static inline dnnl_status_t describe_matmul(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                            const memory_desc md[GLIA_DNNL_ROLES],
                                            dnnl_primitive_attr_t attr) {
    return dnnl_matmul_primitive_desc_create(out, engine, md[GLIA_DNNL_SRC], md[GLIA_DNNL_WEIGHTS],
                                             md[GLIA_DNNL_BIAS], md[GLIA_DNNL_DST], attr);
}

static inline dnnl_status_t append_eltwise(dnnl_post_ops_t operations, dnnl_alg_kind_t kind) {
    return dnnl_post_ops_append_eltwise(operations, kind, 0, 0);
}

#endif
#endif
