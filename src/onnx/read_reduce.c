/* read_reduce.c: reductions. Axes are an attribute, and an input from opset 13 (ReduceSum) or 18 (the others) on. */

#include "onnx/read.h"

typedef glia_value *reduce_op(glia_value *x, glia_reduce_attrs attrs);

/* Axes and keepdims; *nothing when no axes mean that nothing is reduced. */
static bool reduction(glia_onnx_read *r, int since, glia_reduce_attrs *a, bool *nothing) {
    const bool given = r->opset < since ? glia__onnx_has_attr(r, "axes") : glia__onnx_has(r, 1);
    *a = (glia_reduce_attrs){.keep_dims = glia__onnx_int(r, "keepdims", 1) ? GLIA_YES : GLIA_NO};
    if (given && !glia__onnx_dims_of(r, "axes", since, 1, &a->axes)) return false;
    *nothing = r->opset >= since && glia__onnx_int(r, "noop_with_empty_axes", 0) && a->axes.rank == 0;
    return true;
}

/* Without axes to reduce each element is a set of its own. */
static void read_reduction(glia_onnx_read *r, reduce_op *op, int since) {
    glia_reduce_attrs a;
    bool nothing;
    glia_value *x = glia__onnx_in(r, 0);
    if (!x || !reduction(r, since, &a, &nothing)) return;
    const glia_shape shape = glia_value_shape(x);
    if (glia__onnx_carried_in(r, 0) &&
        glia_shape_elems(&shape) == 0) { /* whose largest is the least of the narrow type */
        (void)glia__onnx_refuse(r, "nothing to reduce of a narrow type is not supported");
        return;
    }
    const int rank = shape.rank;
    if (rank == 0) a.axes.rank = 0;
    if (nothing) {
        a = (glia_reduce_attrs){.axes = {1, {rank}}};
        x = glia_op_unsqueeze(x, (glia_squeeze_attrs){.axes = a.axes});
    }
    const bool is_bool = glia_value_dtype(x) == GLIA_BOOL; /* any and all, of max and min */
    glia_value *y = op(is_bool ? glia_op_cast(x, GLIA_U8) : x, a);
    r->out[0] = is_bool ? glia_op_cast(y, GLIA_BOOL) : y;
}

#define REDUCE_ONNX(block, type, first, op)       \
    static void read_##block(glia_onnx_read *r) { \
        read_reduction(r, op, first);             \
    }                                             \
    GLIA_ONNX(block) = {.op_type = type, .min_inputs = 1, .max_inputs = 2, .read = read_##block}

REDUCE_ONNX(reduce_sum, "ReduceSum", 13, glia_op_sum);
REDUCE_ONNX(reduce_mean, "ReduceMean", 18, glia_op_mean);
REDUCE_ONNX(reduce_max, "ReduceMax", 18, glia_op_max);
REDUCE_ONNX(reduce_min, "ReduceMin", 18, glia_op_min);
REDUCE_ONNX(reduce_prod, "ReduceProd", 18, glia_op_prod);
REDUCE_ONNX(reduce_l1, "ReduceL1", 18, glia_op_l1_norm);
REDUCE_ONNX(reduce_l2, "ReduceL2", 18, glia_op_l2_norm);
REDUCE_ONNX(reduce_log_sum, "ReduceLogSum", 18, glia_op_log_sum);
REDUCE_ONNX(reduce_log_sum_exp, "ReduceLogSumExp", 18, glia_op_log_sum_exp);
REDUCE_ONNX(reduce_sum_square, "ReduceSumSquare", 18, glia_op_sum_square);

static void read_arg(glia_onnx_read *r, glia_value *(*op)(glia_value *x, glia_arg_attrs attrs)) {
    const glia_arg_attrs a = {
        .axes = {1, {glia__onnx_int(r, "axis", 0)}},
        .keep_dims = glia__onnx_int(r, "keepdims", 1) ? GLIA_YES : GLIA_NO,
        .select_last = glia__onnx_int(r, "select_last_index", 0) ? GLIA_YES : GLIA_NO,
    };
    r->out[0] = op(glia__onnx_in(r, 0), a);
}
static void read_arg_max(glia_onnx_read *r) {
    read_arg(r, glia_op_argmax);
}
static void read_arg_min(glia_onnx_read *r) {
    read_arg(r, glia_op_argmin);
}
GLIA_ONNX(arg_max) = {
    .op_type = "ArgMax", .min_inputs = 1, .max_inputs = 1, .own_types = 1, .read = read_arg_max};
GLIA_ONNX(arg_min) = {
    .op_type = "ArgMin", .min_inputs = 1, .max_inputs = 1, .own_types = 1, .read = read_arg_min};

static void read_cumsum(glia_onnx_read *r) {
    double axis;
    if (!glia__onnx_number_in(r, 1, &axis)) return;
    const glia_cumsum_attrs a = {.axis = (int64_t)axis,
                                 .exclusive = glia__onnx_int(r, "exclusive", 0) ? GLIA_YES : GLIA_NO,
                                 .reverse = glia__onnx_int(r, "reverse", 0) ? GLIA_YES : GLIA_NO};
    r->out[0] = glia_op_cumsum(glia__onnx_in(r, 0), a);
}
GLIA_ONNX(cumsum) = {.op_type = "CumSum", .since = 11, .min_inputs = 2, .max_inputs = 2, .read = read_cumsum};

/* Before opset 13 the dimensions from `axis` (1) on were one; with the last axis that is the same. */
static void read_softmax_of(glia_onnx_read *r, glia_value *(*op)(glia_value *x, int64_t axis)) {
    const int64_t wanted = glia__onnx_int(r, "axis", r->opset < 13 ? 1 : -1);
    glia_value *x = glia__onnx_in(r, 0);
    int axis;
    if (!x) return;
    const glia_shape shape = glia_value_shape(x);
    if (!glia__axis_resolve(wanted, shape.rank, &axis)) {
        (void)glia__onnx_refuse(r, "axis %lld is out of range", (long long)wanted);
        return;
    }
    bool last = true; /* nothing but ones after it */
    for (int i = axis + 1; i < shape.rank; i++) last = last && shape.dim[i] == 1;
    if (r->opset >= 13 || last) {
        r->out[0] = op(x, wanted);
        return;
    }
    glia_value *flat = glia_op_flatten(x, (glia_flatten_attrs){.axis = axis});
    glia_value *y[] = {op(flat, 1), x};
    r->out[0] = glia_graph_apply(r->graph, "reshape_like", y, 2, NULL);
}
static void read_softmax(glia_onnx_read *r) {
    read_softmax_of(r, glia_op_softmax);
}
static void read_log_softmax(glia_onnx_read *r) {
    read_softmax_of(r, glia_op_log_softmax);
}
GLIA_ONNX(softmax) = {.op_type = "Softmax", .min_inputs = 1, .max_inputs = 1, .read = read_softmax};
GLIA_ONNX(log_softmax) = {
    .op_type = "LogSoftmax", .min_inputs = 1, .max_inputs = 1, .read = read_log_softmax};
