/* emit_move.c: ops that move elements, in C: loops over boxes. */

#include <stdio.h>

#include "glia/ops.h"
#include "ops/emit.h"

/* A box over all of `shape`, read and written with the steps of `from` and `to`. */
static glia_c_box box_of(const glia_shape *shape, const glia_shape *from, const glia_shape *to) {
    glia_c_box box = {.rank = shape->rank};
    for (int d = 0; d < shape->rank; d++) box.dim[d] = shape->dim[d];
    glia__c_steps(from, box.from_step);
    glia__c_steps(to, box.to_step);
    return box;
}

GLIA_EMIT(transpose) {
    const glia_shape *perm = &((const glia_transpose_attrs *)call->attrs)->perm,
                     *y = &call->out[0].type.shape;
    glia_c_box box = box_of(y, y, y);
    int64_t step[GLIA_MAX_RANK];
    glia__c_steps(&call->in[0].type.shape, step);
    for (int d = 0; d < y->rank; d++) box.from_step[d] = step[perm->rank ? perm->dim[d] : y->rank - 1 - d];
    glia__c_copy(c, call, box, call->in[0].name, NULL);
    return GLIA_OK;
}

GLIA_EMIT(concat) {
    const glia_shape *y = &call->out[0].type.shape;
    int axis = 0;
    int64_t at = 0;
    (void)glia__axis_resolve(((const glia_concat_attrs *)call->attrs)->axis, y->rank, &axis);
    for (int i = 0; i < call->n_in; i++) {
        const glia_shape *x = &call->in[i].type.shape;
        glia_c_box box = box_of(x, x, y);
        box.to = at * box.to_step[axis];
        at += x->dim[axis];
        glia__c_copy(c, call, box, call->in[i].name, NULL);
    }
    return GLIA_OK;
}

GLIA_EMIT(slice) {
    const glia_slice_attrs *a = call->attrs;
    const glia_shape *x = &call->in[0].type.shape, *y = &call->out[0].type.shape;
    glia_c_box box = box_of(y, x, y);
    int axis = 0;
    (void)glia__axis_resolve(a->axis, x->rank, &axis);
    const int64_t step = a->step ? a->step : 1, dim = x->dim[axis];
    const int64_t start = a->start < 0 ? a->start + dim : a->start;
    box.from = GLIA_MIN(GLIA_MAX(start, 0), step < 0 ? dim - 1 : dim) * box.from_step[axis];
    box.from_step[axis] *= step;
    glia__c_copy(c, call, box, call->in[0].name, NULL);
    return GLIA_OK;
}

/* Where in x an element beside it is found: "at" is its place in x, which may lie outside. */
static void fold_place(glia_c *c, int mode, long long dim) {
    enum { CONSTANT, REFLECT, EDGE };
    const long long period = mode == REFLECT ? 2 * (dim - 1) : dim;
    if (mode == EDGE || period == 0) {
        glia__c_line(c, "at = at < 0 ? 0 : at < %lld ? at : %lld;", dim, dim - 1);
        return;
    }
    glia__c_line(c, "at = (at %% %lld + %lld) %% %lld;", period, period, period);
    if (mode == REFLECT) glia__c_line(c, "at = at < %lld ? at : %lld - at;", dim, period);
}

GLIA_EMIT(pad) {
    const glia_pad_attrs *a = call->attrs;
    const glia_shape *x = &call->in[0].type.shape;
    int64_t outer = 1, inner = 1;
    int axis = 0;
    char to[96], element[160];
    glia_text value;
    (void)glia__axis_resolve(a->axis, x->rank, &axis);
    for (int d = 0; d < axis; d++) outer *= x->dim[d];
    for (int d = axis + 1; d < x->rank; d++) inner *= x->dim[d];
    const long long dim = x->dim[axis], padded = dim + a->begin + a->end;
    snprintf(element, sizeof element, "%s[(n * %lld + at) * %lld + k]", call->in[0].name, dim,
             (long long)inner);
    glia__text_init(&value, c->arena->allocator);
    glia__c_for(c, "n", outer);
    glia__c_for(c, "i", padded);
    if (a->mode == 0) {
        glia__c_line(c, "const int at = i - %lld;", (long long)a->begin);
        glia__text_printf(&value, "at >= 0 && at < %lld ? %s : ", dim, element);
        glia__c_number(&value, call->out[0].type.dtype, a->value);
        if (glia__c_number_needs_math(a->value)) glia__c_need(c, GLIA_C_MATH);
    } else {
        glia__c_line(c, "int at = i - %lld;", (long long)a->begin);
        fold_place(c, a->mode, dim);
        glia__text_add(&value, element);
    }
    glia__c_for(c, "k", inner);
    snprintf(to, sizeof to, "(n * %lld + i) * %lld + k", padded, (long long)inner);
    glia__c_store(c, call, to, value.data);
    for (int i = 0; i < 3; i++) glia__c_end(c);
    c->text->failed |= value.failed;
    glia__text_free(&value);
    return GLIA_OK;
}

GLIA_EMIT(expand) {
    const glia_shape *x = &call->in[0].type.shape, *y = &call->out[0].type.shape;
    glia_c_box box = box_of(y, y, y);
    int64_t step[GLIA_MAX_RANK];
    glia__c_steps(x, step);
    for (int d = 0, from = x->rank - y->rank; d < y->rank; d++, from++)
        box.from_step[d] = from < 0 || x->dim[from] == 1 ? 0 : step[from];
    glia__c_copy(c, call, box, call->in[0].name, NULL);
    return GLIA_OK;
}

/* One box for all the copies of each dimension in turn would need twice the dimensions: places are taken modulo. */
GLIA_EMIT(tile) {
    const glia_shape *x = &call->in[0].type.shape, *y = &call->out[0].type.shape;
    int64_t from[GLIA_MAX_RANK], to[GLIA_MAX_RANK];
    char at[200], source[200], value[260], variable[8];
    glia__c_steps(x, from);
    glia__c_steps(y, to);
    for (int d = 0; d < y->rank; d++) {
        snprintf(variable, sizeof variable, "i%d", d);
        glia__c_for(c, variable, y->dim[d]);
        glia__c_line(c, "const int j%d = i%d %% %lld;", d, d, (long long)x->dim[d]);
    }
    snprintf(value, sizeof value, "%s[%s]", call->in[0].name,
             glia__c_index(x->rank, "j", from, 0, source, sizeof source));
    glia__c_store(c, call, glia__c_index(y->rank, "i", to, 0, at, sizeof at), value);
    for (int d = 0; d < y->rank; d++) glia__c_end(c);
    return GLIA_OK;
}

GLIA_EMIT(trilu) {
    const glia_trilu_attrs *a = call->attrs;
    const glia_shape *y = &call->out[0].type.shape;
    const long long rows = y->dim[y->rank - 2], columns = y->dim[y->rank - 1];
    char value[160], to[96];
    glia__c_for(c, "n", glia_shape_elems(y) / (rows * columns));
    glia__c_for(c, "i", rows);
    glia__c_for(c, "j", columns);
    snprintf(to, sizeof to, "(n * %lld + i) * %lld + j", rows, columns);
    snprintf(value, sizeof value, "j %s i + %lld ? %s[%s] : 0",
             a->upper == GLIA_NO ? "<=" : ">=", (long long)a->k, call->in[0].name, to);
    glia__c_store(c, call, to, value);
    for (int i = 0; i < 3; i++) glia__c_end(c);
    return GLIA_OK;
}

GLIA_EMIT(reverse_sequence) {
    const bool time_first = ((const glia_reverse_sequence_attrs *)call->attrs)->time_first == GLIA_YES;
    const glia_shape *x = &call->in[0].type.shape;
    const long long batch = x->dim[time_first ? 1 : 0], time = x->dim[time_first ? 0 : 1];
    const long long example_step = time_first ? 1 : time, time_step = time_first ? batch : 1;
    const char *lengths = call->in[1].name;
    long long inner = 1;
    char text[160], value[200];
    for (int d = 2; d < x->rank; d++) inner *= x->dim[d];
    glia__c_for(c, "n", batch);
    snprintf(text, sizeof text, "%s[n] < 0 || %s[n] > %lld", lengths, lengths, time);
    glia__c_fail_if(c, text);
    glia__c_for(c, "i", time);
    glia__c_line(c, "const int from = i < %s[n] ? (int)%s[n] - 1 - i : i;", lengths, lengths);
    glia__c_for(c, "k", inner);
    snprintf(value, sizeof value, "%s[(n * %lld + from * %lld) * %lld + k]", call->in[0].name, example_step,
             time_step, inner);
    snprintf(text, sizeof text, "(n * %lld + i * %lld) * %lld + k", example_step, time_step, inner);
    glia__c_store(c, call, text, value);
    for (int i = 0; i < 3; i++) glia__c_end(c);
    return GLIA_OK;
}

/* --- by index -------------------------------------------------------------------------------------------- */

void glia__emit_index(glia_c *c, const glia_c_array *indices, const char *at, int64_t bound, bool from_end) {
    char out_of_range[64];
    glia__c_line(c, "%s%s index = %s[%s];", from_end ? "" : "const ", glia__c_type(indices->type.dtype),
                 indices->name, at);
    if (from_end) glia__c_line(c, "if (index < 0) index += %lld;", (long long)bound);
    snprintf(out_of_range, sizeof out_of_range, "index < 0 || index >= %lld", (long long)bound);
    glia__c_fail_if(c, out_of_range);
}

GLIA_EMIT(gather) {
    const glia_shape *x = &call->in[0].type.shape;
    const int64_t count = glia_shape_elems(&call->in[1].type.shape);
    int64_t outer = 1, inner = 1;
    int axis = 0;
    char to[96], value[200];
    (void)glia__axis_resolve(((const glia_gather_attrs *)call->attrs)->axis, x->rank, &axis);
    for (int d = 0; d < axis; d++) outer *= x->dim[d];
    for (int d = axis + 1; d < x->rank; d++) inner *= x->dim[d];
    glia__c_for(c, "n", outer);
    glia__c_for(c, "i", count);
    glia__emit_index(c, &call->in[1], "i", x->dim[axis],
                     ((const glia_gather_attrs *)call->attrs)->from_end == GLIA_YES);
    glia__c_for(c, "k", inner);
    snprintf(to, sizeof to, "(n * %lld + i) * %lld + k", (long long)count, (long long)inner);
    snprintf(value, sizeof value, "%s[(n * %lld + (int)index) * %lld + k]", call->in[0].name,
             (long long)x->dim[axis], (long long)inner);
    glia__c_store(c, call, to, value);
    for (int i = 0; i < 3; i++) glia__c_end(c);
    return GLIA_OK;
}

GLIA_EMIT(one_hot) {
    const glia_one_hot_attrs *a = call->attrs;
    const bool plain = a->off == 0 && a->on == 0;
    glia_text value;
    char to[64];
    glia__text_init(&value, c->arena->allocator);
    glia__text_add(&value, "k == index ? ");
    glia__c_number(&value, GLIA_F32, plain ? 1 : a->on);
    glia__text_add(&value, " : ");
    glia__c_number(&value, GLIA_F32, a->off);
    glia__c_for(c, "i", glia_shape_elems(&call->in[0].type.shape));
    glia__emit_index(c, &call->in[0], "i", a->depth, false);
    glia__c_for(c, "k", a->depth);
    snprintf(to, sizeof to, "i * %lld + k", (long long)a->depth);
    glia__c_store(c, call, to, value.data);
    glia__c_end(c);
    glia__c_end(c);
    c->text->failed |= value.failed;
    glia__text_free(&value);
    return GLIA_OK;
}
