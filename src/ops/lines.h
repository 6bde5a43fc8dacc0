/* lines.h: an array as lines along one of its axes. */
#ifndef GLIA_OPS_LINES_H
#define GLIA_OPS_LINES_H

#include "graph/op.h"

/* The array as outer × n × inner, n along the axis: line i begins at glia__line_at and goes in steps of `inner`. */
typedef struct glia_lines {
    int64_t outer, n, inner;
} glia_lines;

/* A scalar, and an axis that it does not have, give one line of one element. */
static inline glia_lines glia__lines_of(const glia_shape *shape, int64_t along) {
    glia_lines l = {1, 1, 1};
    int axis = 0;
    if (shape->rank == 0 || !glia__axis_resolve(along, shape->rank, &axis)) return l;
    for (int d = 0; d < axis; d++) l.outer *= shape->dim[d];
    l.n = shape->dim[axis];
    for (int d = axis + 1; d < shape->rank; d++) l.inner *= shape->dim[d];
    return l;
}

static inline int64_t glia__line_at(const glia_lines *l, int64_t i) {
    return i / l->inner * l->n * l->inner + i % l->inner;
}

/* Whether the array has the axis; a scalar has 0 and −1. */
static inline glia_status glia__check_axis(const glia_shape *shape, int64_t along, glia_error *err) {
    int axis;
    char text[128];
    if (glia__axis_resolve(along, GLIA_MAX(shape->rank, 1), &axis)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "axis %lld is out of range for %s", (long long)along,
                          glia_shape_text(shape, text, sizeof text));
}

#endif
