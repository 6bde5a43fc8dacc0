/* reduction.c: see reduction.h. */

#include <stdio.h>

#include "ops/reduction.h"

/* Loops over some of the dimensions, the last fastest. */
typedef struct odometer {
    int rank;
    int64_t dim[GLIA_MAX_RANK], step[GLIA_MAX_RANK], at[GLIA_MAX_RANK];
    int64_t offset; /* in elements */
} odometer;

static void add_dim(odometer *o, int64_t dim, int64_t step) {
    o->dim[o->rank] = dim;
    o->step[o->rank++] = step;
}

/* Moves on; false, back at the start, after the last place. */
static bool advance(odometer *o) {
    for (int d = o->rank - 1; d >= 0; d--) {
        o->offset += o->step[d];
        if (++o->at[d] < o->dim[d]) return true;
        o->offset -= o->step[d] * o->dim[d];
        o->at[d] = 0;
    }
    return false;
}

/* Kept and reduced loops; dimensions of 1 are left out, neighbours of one kind merged. */
typedef struct loops {
    odometer kept, summed;
    int64_t tile, tile_step; /* the last kept dimension */
    int64_t run;             /* elements in a row that go to one result; 0: results lie in a row */
    int64_t count;
} loops;

static loops plan_loops(const glia_shape *shape, const bool *reduced) {
    struct {
        int64_t dim, step;
        bool reduced;
    } merged[GLIA_MAX_RANK];
    int n = 0; /* from the last dimension outwards */
    int64_t step = 1;
    loops plan = {.count = 1};
    for (int axis = shape->rank - 1; axis >= 0; step *= shape->dim[axis--]) {
        if (reduced[axis]) plan.count *= shape->dim[axis];
        if (shape->dim[axis] == 1) continue;
        if (n && merged[n - 1].reduced == reduced[axis]) {
            merged[n - 1].dim *= shape->dim[axis];
            continue;
        }
        merged[n].dim = shape->dim[axis];
        merged[n].step = step;
        merged[n++].reduced = reduced[axis];
    }
    for (int i = n - 1; i >= 0; i--) {
        if (!merged[i].reduced)
            add_dim(&plan.kept, merged[i].dim, merged[i].step);
        else if (i > 0)
            add_dim(&plan.summed, merged[i].dim, merged[i].step);
        else
            plan.run = merged[i].dim;
    }
    if (plan.kept.rank == 0) add_dim(&plan.kept, 1, 1);
    plan.kept.rank--;
    plan.tile = plan.kept.dim[plan.kept.rank];
    plan.tile_step = plan.kept.step[plan.kept.rank];
    return plan;
}

/* Results first … first+n-1 of a tile row. */
static void reduce_tile(const glia_reducer *r, loops *plan, void *acc, const char *x, size_t x_bytes,
                        int64_t n) {
    int64_t index = 0;
    do {
        const char *from = x + plan->summed.offset * (int64_t)x_bytes;
        if (plan->run == 0) {
            r->across(acc, from, n, index++);
            continue;
        }
        for (int64_t i = 0; i < n; i++)
            r->along((char *)acc + i * (int64_t)r->acc_bytes, from + i * plan->tile_step * (int64_t)x_bytes,
                     plan->run, index);
        index += plan->run;
    } while (advance(&plan->summed));
}

void glia__reduce_run(const glia_reducer *r, const glia_view *in, const bool *reduced, glia_view *out) {
    /* 8-byte units align every accumulator. */
    uint64_t acc[GLIA_REDUCE_TILE * GLIA_REDUCE_ACC_BYTES / sizeof(uint64_t)];
    size_t x_bytes = glia_dtype_bytes(in->dtype), y_bytes = glia_dtype_bytes(out->dtype);
    if (glia_shape_elems(&out->shape) == 0) return;
    loops plan = plan_loops(&in->shape, reduced);
    const char *x = in->data;
    char *y = out->data;
    do {
        for (int64_t first = 0; first < plan.tile; first += GLIA_REDUCE_TILE) {
            int64_t n = GLIA_MIN(plan.tile - first, (int64_t)GLIA_REDUCE_TILE);
            int64_t offset = plan.kept.offset + first * plan.tile_step;
            r->start(acc, n);
            if (plan.count > 0) reduce_tile(r, &plan, acc, x + offset * (int64_t)x_bytes, x_bytes, n);
            r->finish(y, acc, n, plan.count);
            y += n * (int64_t)y_bytes;
        }
    } while (advance(&plan.kept));
}

glia_status glia__reduce_axes(const glia_shape *axes, int rank, bool *reduced, glia_error *err) {
    for (int d = 0; d < rank; d++) reduced[d] = axes->rank == 0;
    for (int i = 0; i < axes->rank; i++) {
        int axis;
        if (!glia__axis_resolve(axes->dim[i], rank, &axis))
            return glia_error_set(err, GLIA_BAD_SHAPE, "axis %lld is out of range for %d dimension%s",
                                  (long long)axes->dim[i], rank, rank == 1 ? "" : "s");
        if (reduced[axis])
            return glia_error_set(err, GLIA_BAD_SHAPE, "axis %lld is named twice", (long long)axes->dim[i]);
        reduced[axis] = true;
    }
    return GLIA_OK;
}

glia_shape glia__reduce_shape(const glia_shape *in, const bool *reduced, bool keep_dims) {
    glia_shape out = {0};
    for (int d = 0; d < in->rank; d++) {
        if (!reduced[d])
            out.dim[out.rank++] = in->dim[d];
        else if (keep_dims)
            out.dim[out.rank++] = 1;
    }
    return out;
}

glia_shape glia__reduce_list(const bool *reduced, int rank) {
    glia_shape list = {0};
    for (int d = 0; d < rank; d++)
        if (reduced[d]) list.dim[list.rank++] = d;
    return list;
}
