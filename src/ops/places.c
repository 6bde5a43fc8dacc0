/* places.c: see places.h. */

#include "ops/places.h"

glia_status glia__places_elements(glia_places *p, const glia_type *x, const glia_type *indices, int64_t axis,
                                  const char *op, glia_error *err) {
    const glia_shape *shape = &x->shape, *own = &indices->shape;
    char a[128], b[128];
    GLIA_TRY(glia__check_indices(indices, op, err));
    *p = (glia_places){.elements = true, .run = 1, .depth = 1};
    GLIA_TRY(glia__find_axis(axis, shape, op, &p->axis, err));
    bool fits = own->rank == shape->rank;
    for (int d = 0; d < shape->rank && fits; d++) {
        const bool known = own->dim[d] >= 0 && shape->dim[d] >= 0;
        fits = d == p->axis || (known ? own->dim[d] <= shape->dim[d] : own->dim[d] == shape->dim[d]);
    }
    if (!fits)
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "%s: indices %s must have the dimensions of %s, or smaller ones; only dimension %d is free", op,
            glia_shape_text(own, b, sizeof b), glia_shape_text(shape, a, sizeof a), p->axis);
    p->count = glia_shape_elems(own);
    return GLIA_OK;
}

glia_status glia__places_nd(glia_places *p, const glia_type *x, const glia_type *indices, int64_t batch_dims,
                            const char *op, glia_error *err) {
    const glia_shape *shape = &x->shape, *own = &indices->shape;
    char a[128], b[128];
    GLIA_TRY(glia__check_indices(indices, op, err));
    glia_shape_text(shape, a, sizeof a);
    glia_shape_text(own, b, sizeof b);
    if (batch_dims < 0 || batch_dims >= own->rank || batch_dims >= shape->rank)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "%s: batch_dims of %lld must be below the dimensions of %s and of indices %s",
                              op, (long long)batch_dims, a, b);
    *p = (glia_places){.batch_dims = (int)batch_dims, .run = 1, .depth = own->dim[own->rank - 1]};
    if (p->depth < 1 || p->depth > shape->rank - batch_dims)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "%s: rows of indices %s must hold from 1 to %d coordinates in %s", op, b,
                              shape->rank - (int)batch_dims, a);
    for (int d = 0; d < batch_dims; d++)
        if (own->dim[d] != shape->dim[d])
            return glia_error_set(err, GLIA_BAD_SHAPE, "%s: dimension %d of %s and of indices %s differs", op,
                                  d, a, b);
    for (int d = (int)(batch_dims + p->depth); d < shape->rank; d++) p->run *= shape->dim[d];
    p->count = glia_shape_elems(own) / p->depth;
    return GLIA_OK;
}

bool glia__places_shape(const glia_places *p, const glia_shape *x, const glia_shape *indices,
                        glia_shape *out) {
    glia_shape y = *indices;
    if (!p->elements) {
        y.rank--;
        for (int d = p->batch_dims + (int)p->depth; d < x->rank; d++) {
            if (y.rank == GLIA_MAX_RANK) return false;
            y.dim[y.rank++] = x->dim[d];
        }
    }
    *out = y;
    return true;
}

size_t glia__places_bytes(const glia_places *p) {
    return (size_t)GLIA_MAX(p->count, 0) * sizeof(int64_t);
}

/* One index, with negative ones taken from the end. */
static glia_status read(const glia_view *indices, int64_t at, int64_t bound, int64_t *out, glia_error *err) {
    const int64_t index = glia__index_at(indices, at);
    *out = index < 0 ? index + bound : index;
    if (*out >= 0 && *out < bound) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_DATA, "index %lld at position %lld is out of range %lld … %lld",
                          (long long)index, (long long)at, -(long long)bound, (long long)bound - 1);
}

glia_status glia__places_find(const glia_places *p, const glia_shape *x, const glia_view *indices,
                              int64_t *offsets, glia_error *err) {
    int64_t step[GLIA_MAX_RANK], at = 1, index, per_batch = p->count;
    for (int d = x->rank - 1; d >= 0; at *= x->dim[d--]) step[d] = at;
    for (int d = 0; d < p->batch_dims; d++) per_batch = x->dim[d] ? per_batch / x->dim[d] : 0;
    for (int64_t k = 0; k < p->count; k++) {
        int64_t offset = 0, rest = k;
        if (p->elements) {
            for (int d = x->rank - 1; d >= 0; rest /= indices->shape.dim[d--])
                if (d != p->axis) offset += rest % indices->shape.dim[d] * step[d];
            GLIA_TRY(read(indices, k, x->dim[p->axis], &index, err));
            offsets[k] = offset + index * step[p->axis];
            continue;
        }
        if (p->batch_dims) offset = k / per_batch * step[p->batch_dims - 1];
        for (int64_t i = 0; i < p->depth; i++) {
            const int d = p->batch_dims + (int)i;
            GLIA_TRY(read(indices, k * p->depth + i, x->dim[d], &index, err));
            offset += index * step[d];
        }
        offsets[k] = offset;
    }
    return GLIA_OK;
}
