/* resize.h: how elements along a dimension are made of others when it gets another size. */
#ifndef GLIA_OPS_RESIZE_H
#define GLIA_OPS_RESIZE_H

#include "glia/ops.h"
#include "graph/op.h"

enum { GLIA_RESIZE_NEAREST, GLIA_RESIZE_LINEAR, GLIA_RESIZE_CUBIC, GLIA_RESIZE_AVERAGE }; /* modes */

/* The dimension in its place, and how new elements are made of old ones. */
typedef struct glia_resizing {
    const glia_resize_attrs *a;
    int axis;
    int64_t outer, inner, in, out;
    double scale;
    int most; /* elements of x that one of the result is made of, at most */
} glia_resizing;

/* One new element: the sum of x[index]·weight; none when it lies outside. */
typedef struct glia_taps {
    int64_t *index;
    double *weight;
    int count;
} glia_taps;

glia_status glia__resize_fit(glia_resizing *r, const glia_resize_attrs *a, const glia_shape *x,
                             glia_error *err);
/* What element i of the result is made of; `t` has room for r->most. */
void glia__resize_taps(const glia_resizing *r, int64_t i, glia_taps *t);

#endif
