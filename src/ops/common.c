/* common.c: what op families share: finding an op, shape rules, and shorthand for gradient rules. */

#include <stdio.h>

#include "graph/op.h"

const glia_op *glia__op_find(const char *name) {
    if (!name) return NULL;
    size_t low = 0, high = glia__ops_count; /* the registry is sorted by strcmp */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, glia__ops[middle]->name);
        if (order == 0) return glia__ops[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *glia__type_text(const glia_type *type, char *out, size_t capacity) {
    char shape[128];
    glia_shape_text(&type->shape, shape, sizeof shape);
    snprintf(out, capacity, "%s %s", glia_dtype_name(type->dtype), shape);
    return out;
}

glia_status glia__check_float(const glia_type *type, glia_error *err) {
    if (type->dtype == GLIA_F32 || type->dtype == GLIA_F64) return GLIA_OK;
    char text[160];
    return glia_error_set(err, GLIA_BAD_SHAPE, "expected f32 or f64, found %s; cast it first",
                          glia__type_text(type, text, sizeof text));
}

glia_status glia__check_float_or_bf16(const glia_type *type, glia_error *err) {
    return type->dtype == GLIA_BF16 ? GLIA_OK : glia__check_float(type, err);
}

glia_dtype glia__param_dtype(glia_dtype x) {
    return x == GLIA_BF16 ? GLIA_F32 : x;
}

glia_status glia__check_param_dtype(const glia_type *x, const glia_type *param, glia_error *err) {
    if (param->dtype == glia__param_dtype(x->dtype)) return GLIA_OK;
    if (x->dtype != GLIA_BF16) return glia__check_same_dtype(x, param, err);
    char text[160];
    return glia_error_set(err, GLIA_BAD_SHAPE, "parameters stay f32 beside bf16, found %s; cast it first",
                          glia__type_text(param, text, sizeof text));
}

glia_status glia__check_number(const glia_type *type, glia_error *err) {
    if (type->dtype != GLIA_BOOL && type->dtype != GLIA_BF16) return GLIA_OK;
    char text[160];
    return glia_error_set(err, GLIA_BAD_SHAPE, "expected f32, f64, i32, i64 or u8, found %s; cast it first",
                          glia__type_text(type, text, sizeof text));
}

glia_status glia__check_same_dtype(const glia_type *a, const glia_type *b, glia_error *err) {
    if (a->dtype == b->dtype) return GLIA_OK;
    char text_a[160], text_b[160];
    return glia_error_set(err, GLIA_BAD_SHAPE, "dtypes differ: %s and %s; cast one of them",
                          glia__type_text(a, text_a, sizeof text_a),
                          glia__type_text(b, text_b, sizeof text_b));
}

glia_status glia__check_indices(const glia_type *indices, const char *op, glia_error *err) {
    char text[160];
    if (glia__is_index(indices->dtype)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "%s expects indices of i64 or i32, found %s", op,
                          glia__type_text(indices, text, sizeof text));
}

glia_status glia__check_gradient(const glia_type *y, const glia_type *dy, const char *op, glia_error *err) {
    if (glia_shape_equal(&y->shape, &dy->shape) && y->dtype == dy->dtype) return GLIA_OK;
    char a[160], b[160];
    return glia_error_set(err, GLIA_BAD_SHAPE, "%s: the gradient of %s cannot be %s", op,
                          glia__type_text(y, a, sizeof a), glia__type_text(dy, b, sizeof b));
}

glia_status glia__infer_same(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                             glia_error *err) {
    (void)n_in, (void)attrs;
    GLIA_TRY(glia__check_float(&in[0], err));
    out[0] = in[0];
    return GLIA_OK;
}

/* NumPy's rule: dimensions are matched from the last; equal ones (symbols too) match, 1 stretches. */
bool glia__shape_broadcast(const glia_shape *a, const glia_shape *b, glia_shape *out) {
    glia_shape r = {.rank = GLIA_MAX(a->rank, b->rank)};
    for (int i = 1; i <= r.rank; i++) {
        int64_t da = i <= a->rank ? a->dim[a->rank - i] : 1;
        int64_t db = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (da != db && da != 1 && db != 1) return false;
        r.dim[r.rank - i] = da == 1 ? db : da;
    }
    *out = r;
    return true;
}

glia_status glia__infer_broadcast(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    (void)attrs;
    glia_type result = in[0];
    for (int i = 0; i < n_in; i++) {
        GLIA_TRY(glia__check_number(&in[i], err));
        GLIA_TRY(glia__check_same_dtype(&in[0], &in[i], err));
        GLIA_TRY(glia__check_broadcast(&result.shape, &in[i].shape, &result.shape, err));
    }
    out[0] = result;
    return GLIA_OK;
}

glia_status glia__check_broadcast(const glia_shape *a, const glia_shape *b, glia_shape *out,
                                  glia_error *err) {
    if (glia__shape_broadcast(a, b, out)) return GLIA_OK;
    char text_a[128], text_b[128];
    return glia_error_set(err, GLIA_BAD_SHAPE,
                          "shapes %s and %s do not broadcast: from the last dimension on, each pair must be "
                          "equal or hold a 1",
                          glia_shape_text(a, text_a, sizeof text_a),
                          glia_shape_text(b, text_b, sizeof text_b));
}

uint32_t glia__rows_first(const glia_type *in, int n_in, const void *attrs) {
    (void)n_in, (void)attrs;
    return in[0].shape.rank > 0 ? 1u : 0u;
}

uint32_t glia__rows_pair(const glia_type *in, int n_in, const void *attrs) {
    (void)n_in, (void)attrs;
    return in[0].shape.rank > 0 && in[1].shape.rank > 0 ? 3 : 0;
}

int64_t glia__whole_elems(const glia_call *call, int i) {
    glia_shape shape = call->in[i].shape;
    if (call->whole_rows && shape.rank > 0) shape.dim[0] = call->whole_rows;
    return glia_shape_elems(&shape);
}

uint32_t glia__rows_all(const glia_type *in, int n_in, const void *attrs) {
    (void)attrs;
    uint32_t rows = 0;
    for (int i = 0; i < n_in; i++) {
        if (in[i].shape.rank < 0) continue; /* absent */
        if (in[i].shape.rank == 0 || in[i].shape.dim[0] != in[0].shape.dim[0]) return 0;
        rows |= 1u << i;
    }
    return rows;
}

uint32_t glia__rows_unless_first(int64_t axis, int rank, uint32_t cut) {
    int resolved;
    return glia__axis_resolve(axis, rank, &resolved) && resolved > 0 ? cut : 0;
}

double glia__no_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)in, (void)out, (void)attrs;
    return 0;
}

bool glia__axis_resolve(int64_t axis, int rank, int *out) {
    if (axis < -rank || axis >= rank) return false;
    *out = (int)(axis < 0 ? axis + rank : axis);
    return true;
}

glia_status glia__find_axis(int64_t axis, const glia_shape *shape, const char *op, int *out,
                            glia_error *err) {
    char text[128];
    if (glia__axis_resolve(axis, shape->rank, out)) return GLIA_OK;
    return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s: axis %lld is out of range for %s", op,
                          (long long)axis, glia_shape_text(shape, text, sizeof text));
}

glia_value *glia__apply1(const char *op, glia_value *a) {
    return glia_graph_apply(glia_value_graph(a), op, &a, 1, NULL);
}

glia_value *glia__apply2(const char *op, glia_value *a, glia_value *b) {
    glia_value *inputs[] = {a, b};
    return glia_graph_apply(glia_value_graph(a ? a : b), op, inputs, 2, NULL);
}

glia_value *glia__apply3(const char *op, glia_value *a, glia_value *b, glia_value *c) {
    glia_value *inputs[] = {a, b, c};
    return glia_graph_apply(glia_value_graph(a ? a : b ? b : c), op, inputs, 3, NULL);
}

glia_value *glia__number(glia_value *like, double number) {
    return glia_graph_scalar(glia_value_graph(like), glia_value_dtype(like), number);
}

glia_value *glia__scaled(glia_value *value, double number) {
    return glia__apply2("mul", value, glia__number(value, number));
}

static bool same_shape(const glia_value *a, const glia_value *b) {
    glia_shape shape_a = glia_value_shape(a), shape_b = glia_value_shape(b);
    return glia_shape_equal(&shape_a, &shape_b);
}

glia_value *glia__sum_to(glia_value *value, glia_value *like) {
    if (value && like && same_shape(value, like)) return value;
    return glia__apply2("sum_to_like", value, like);
}

glia_value *glia__broadcast_to(glia_value *value, glia_value *like) {
    if (value && like && same_shape(value, like)) return value;
    return glia__apply2("broadcast_like", value, like);
}
