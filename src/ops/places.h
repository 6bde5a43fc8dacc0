/* places.h: where in an array the indices of gather_elements, gather_nd, scatter_elements and scatter_nd point. */
#ifndef GLIA_OPS_PLACES_H
#define GLIA_OPS_PLACES_H

#include "graph/op.h"

/* Each index of the `elements` kind is one place: coordinates of its own in the array, but for the one along `axis`, which
 * it holds. Each row of the other kind holds the first coordinates of a place, behind `batch_dims` that both arrays share;
 * what lies there is the rest of the dimensions, `run` elements. */
typedef struct glia_places {
    bool elements;
    int axis, batch_dims;
    int64_t count, run, depth; /* places, elements in a row at each, coordinates in a row of indices */
} glia_places;

/* Checks the types, and fits the places of one kind; counts are good when every dimension is known. */
glia_status glia__places_elements(glia_places *p, const glia_type *x, const glia_type *indices, int64_t axis,
                                  const char *op, glia_error *err);
glia_status glia__places_nd(glia_places *p, const glia_type *x, const glia_type *indices, int64_t batch_dims,
                            const char *op, glia_error *err);
/* The shape of what lies at the places: indices' for elements, indices' without the last and the rest of x for the other
 * kind; false when that has too many dimensions. */
bool glia__places_shape(const glia_places *p, const glia_shape *x, const glia_shape *indices,
                        glia_shape *out);
/* Bytes of workspace for the offsets. */
size_t glia__places_bytes(const glia_places *p);
/* The offset in elements of every place in an array of shape `x`; GLIA_BAD_DATA when an index is out of range. Negative
 * ones count from the end. */
glia_status glia__places_find(const glia_places *p, const glia_shape *x, const glia_view *indices,
                              int64_t *offsets, glia_error *err);

#endif
