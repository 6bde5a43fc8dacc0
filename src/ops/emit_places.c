/* emit_places.c: elements and slices that indices point at, in C: gather_elements, gather_nd and their counterparts. */

#include <stdio.h>

#include "glia/ops.h"
#include "ops/emit.h"
#include "ops/places.h"

/* at += index · step, with the index checked. */
static void add_coordinate(glia_c *c, const glia_c_array *indices, const char *where, int64_t bound,
                           int64_t step) {
    glia__c_line(c, "{");
    glia__emit_index(c, indices, where, bound, true);
    glia__c_line(c, "at += (int)index * %lld;", (long long)step);
    glia__c_line(c, "}");
}

/* Opens loops over the places, and says how many: `at` is where the place is in the array of shape `x`, `row` its number. */
static int open_places(glia_c *c, const glia_c_call *call, const glia_places *p, const glia_shape *x) {
    const glia_c_array *indices = &call->in[1];
    const glia_shape *own = &indices->type.shape;
    int64_t step[GLIA_MAX_RANK], own_step[GLIA_MAX_RANK], batch = 1;
    char text[200], variable[8];
    glia__c_steps(x, step);
    if (p->elements) {
        glia__c_steps(own, own_step);
        for (int d = 0; d < own->rank; d++) {
            snprintf(variable, sizeof variable, "i%d", d);
            glia__c_for(c, variable, own->dim[d]);
        }
        const int64_t along = step[p->axis];
        step[p->axis] = 0;
        glia__c_line(c, "const int row = %s;", glia__c_index(own->rank, "i", own_step, 0, text, sizeof text));
        glia__c_line(c, "int at = %s;", glia__c_index(own->rank, "i", step, 0, text, sizeof text));
        add_coordinate(c, indices, "row", x->dim[p->axis], along);
        return own->rank;
    }
    for (int d = 0; d < p->batch_dims; d++) batch *= x->dim[d];
    glia__c_for(c, "n", batch);
    glia__c_for(c, "i", p->count / batch);
    glia__c_line(c, "const int row = n * %lld + i;", (long long)(p->count / batch));
    glia__c_line(c, "int at = n * %lld;", p->batch_dims ? (long long)step[p->batch_dims - 1] : 0LL);
    for (int64_t i = 0; i < p->depth; i++) {
        const int d = p->batch_dims + (int)i;
        snprintf(text, sizeof text, "row * %lld + %lld", (long long)p->depth, (long long)i);
        add_coordinate(c, indices, text, x->dim[d], step[d]);
    }
    return 2;
}

static glia_status emit_gather(glia_c *c, const glia_c_call *call, const glia_places *p) {
    char to[64], value[64];
    const int loops = open_places(c, call, p, &call->in[0].type.shape);
    glia__c_for(c, "k", p->run);
    snprintf(to, sizeof to, "row * %lld + k", (long long)p->run);
    snprintf(value, sizeof value, "%s[at + k]", call->in[0].name);
    glia__c_store(c, call, to, value);
    for (int i = 0; i <= loops; i++) glia__c_end(c);
    return GLIA_OK;
}

GLIA_EMIT(gather_elements) {
    glia_places p;
    const int64_t axis = ((const glia_gather_elements_attrs *)call->attrs)->axis;
    GLIA_TRY(
        glia__places_elements(&p, &call->in[0].type, &call->in[1].type, axis, "gather_elements", call->err));
    return emit_gather(c, call, &p);
}

GLIA_EMIT(gather_nd) {
    glia_places p;
    const int64_t batch_dims = ((const glia_gather_nd_attrs *)call->attrs)->batch_dims;
    GLIA_TRY(glia__places_nd(&p, &call->in[0].type, &call->in[1].type, batch_dims, "gather_nd", call->err));
    return emit_gather(c, call, &p);
}

/* What y[at + k] becomes; whole numbers wrap. */
static void combine(glia_c *c, const glia_c_call *call, int reduction, const char *y, const char *u) {
    enum { REPLACE, ADD, MUL, MAX, MIN };
    static const char *const wide[GLIA_DTYPE_COUNT] = {[GLIA_I32] = "(uint32_t)", [GLIA_I64] = "(uint64_t)"};
    const glia_dtype dtype = call->out[0].type.dtype;
    const char *type = glia__c_type(dtype), *as = wide[dtype] ? wide[dtype] : "";
    if (reduction == REPLACE)
        glia__c_line(c, "%s = %s;", y, u);
    else if (reduction == ADD || reduction == MUL)
        glia__c_line(c, "%s = (%s)(%s%s %c %s%s);", y, type, as, y, reduction == ADD ? '+' : '*', as, u);
    else
        glia__c_line(c, "if (%s %c %s) %s = %s;", u, reduction == MAX ? '>' : '<', y, y, u);
}

/* y is the copy that is changed; riders come last, over all of it. */
static glia_status emit_scatter(glia_c *c, const glia_c_call *call, const glia_places *p, int reduction) {
    const glia_shape *shape = &call->out[0].type.shape;
    const long long elems = (long long)glia_shape_elems(shape);
    const char *name = call->out[0].name;
    char y[64], u[64];
    glia__c_line(c, "for (int i = 0; i < %lld; i++) %s[i] = %s[i];", elems, name, call->in[0].name);
    const int loops = open_places(c, call, p, shape);
    glia__c_for(c, "k", p->run);
    snprintf(y, sizeof y, "%s[at + k]", name);
    snprintf(u, sizeof u, "%s[row * %lld + k]", call->in[2].name, (long long)p->run);
    combine(c, call, reduction, y, u);
    for (int i = 0; i <= loops; i++) glia__c_end(c);
    if (!c->n_riders) return GLIA_OK;
    glia__c_for(c, "i", elems);
    snprintf(y, sizeof y, "%s[i]", name);
    glia__c_store(c, call, "i", y);
    glia__c_end(c);
    return GLIA_OK;
}

GLIA_EMIT(scatter_elements) {
    const glia_scatter_elements_attrs *a = call->attrs;
    glia_places p;
    GLIA_TRY(glia__places_elements(&p, &call->in[0].type, &call->in[1].type, a->axis, "scatter_elements",
                                   call->err));
    return emit_scatter(c, call, &p, a->reduction);
}

GLIA_EMIT(scatter_nd) {
    glia_places p;
    GLIA_TRY(glia__places_nd(&p, &call->in[0].type, &call->in[1].type, 0, "scatter_nd", call->err));
    return emit_scatter(c, call, &p, ((const glia_scatter_nd_attrs *)call->attrs)->reduction);
}
