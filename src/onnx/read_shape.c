/* read_shape.c: operators that move or rename dimensions. */

#include "onnx/read.h"

/* --- sizes: shapes.c reads them, wherever they can be known ------------------------------------------------- */

static void read_unknown(glia_onnx_read *r) {
    (void)glia__onnx_refuse(r, "the size of its input is known only when the model runs");
}
GLIA_ONNX(shape) = {.op_type = "Shape", .min_inputs = 1, .max_inputs = 1, .read = read_unknown};
GLIA_ONNX(size) = {.op_type = "Size", .min_inputs = 1, .max_inputs = 1, .read = read_unknown};

/* --- reshape --------------------------------------------------------------------------------------------------- */

/* A symbol of the wanted shape is kept when it stands where x has it; else it is what -1 takes, as is what nobody knows.
 */
static bool wanted_shape(glia_onnx_read *r, const glia_type *x, const glia_onnx_ints *to, glia_shape *out) {
    int open = 0;
    *out = (glia_shape){.rank = to->count};
    if (to->rank > 1 || to->count > GLIA_MAX_RANK) {
        (void)glia__onnx_refuse(r, "a shape of more than %d dimensions is not supported", GLIA_MAX_RANK);
        return false;
    }
    for (int i = 0; i < to->count; i++) {
        const glia_onnx_int n = to->at[i];
        const bool batch = i == 0 && x->shape.rank > 0 && x->shape.dim[0] == GLIA_DIM_BATCH &&
                           n.kind == GLIA_ONNX_INT_KNOWN && n.value == 1 && glia__onnx_opened_batch(r);
        const bool kept =
            batch || (n.kind == GLIA_ONNX_INT_SYMBOL && i < x->shape.rank && x->shape.dim[i] == n.value);
        out->dim[i] = kept ? 0 : n.kind == GLIA_ONNX_INT_KNOWN ? n.value : -1;
        open += out->dim[i] == -1;
    }
    if (open > 1)
        (void)glia__onnx_refuse(r, "the shape depends on more than one dimension that is not known yet");
    return open <= 1;
}

static void read_reshape(glia_onnx_read *r) {
    glia_onnx_ints to;
    glia_type x;
    glia_shape shape, known;
    const bool zero_is_zero = glia__onnx_int(r, "allowzero", 0) != 0;
    if (!glia__onnx_type_in(r, 0, &x)) return;
    if (!glia__onnx_ints_in(r, 1, &to)) {
        if (glia__onnx_dims_in(r, 1, &known))
            (void)glia__onnx_refuse(r, "its shape is not a list of whole numbers");
        return;
    }
    if (!wanted_shape(r, &x, &to, &shape)) return;
    bool empty = false;
    for (int i = 0; i < shape.rank && zero_is_zero; i++)
        empty = empty || (to.at[i].kind == GLIA_ONNX_INT_KNOWN && to.at[i].value == 0 &&
                          !(i < x.shape.rank && x.shape.dim[i] == 0));
    if (empty)
        (void)glia__onnx_refuse(r, "allowzero with a dimension of 0 is not supported");
    else
        r->out[0] = glia_op_reshape(glia__onnx_in(r, 0), (glia_reshape_attrs){shape});
}
GLIA_ONNX(reshape) = {.op_type = "Reshape", .min_inputs = 2, .max_inputs = 2, .read = read_reshape};

static void read_squeeze(glia_onnx_read *r) {
    glia_squeeze_attrs a = {0};
    if (r->opset < 13 || glia__onnx_has(r, 1)) (void)glia__onnx_dims_of(r, "axes", 13, 1, &a.axes);
    if (!r->refused) r->out[0] = glia__onnx_squeezed(glia__onnx_in(r, 0), a);
}
GLIA_ONNX(squeeze) = {.op_type = "Squeeze", .min_inputs = 1, .max_inputs = 2, .read = read_squeeze};

static void read_unsqueeze(glia_onnx_read *r) {
    glia_squeeze_attrs a;
    if (!glia__onnx_dims_of(r, "axes", 13, 1, &a.axes))
        (void)glia__onnx_refuse(r, "it has no axes");
    else
        r->out[0] = glia_op_unsqueeze(glia__onnx_in(r, 0), a);
}
GLIA_ONNX(unsqueeze) = {.op_type = "Unsqueeze", .min_inputs = 1, .max_inputs = 2, .read = read_unsqueeze};

static void read_transpose(glia_onnx_read *r) {
    glia_transpose_attrs a = {.perm = {0}}; /* none: the dimensions turned round */
    (void)glia__onnx_dims(r, "perm", &a.perm);
    if (!r->refused) r->out[0] = glia__onnx_transposed(glia__onnx_in(r, 0), a);
}
GLIA_ONNX(transpose) = {.op_type = "Transpose", .min_inputs = 1, .max_inputs = 1, .read = read_transpose};

static void read_flatten(glia_onnx_read *r) {
    const glia_flatten_attrs a = {.axis = glia__onnx_int(r, "axis", 1)};
    r->out[0] = glia__onnx_flattened(glia__onnx_in(r, 0), a);
}
GLIA_ONNX(flatten) = {.op_type = "Flatten", .min_inputs = 1, .max_inputs = 1, .read = read_flatten};

/* --- pieces ------------------------------------------------------------------------------------------------------ */

static void read_concat(glia_onnx_read *r) {
    glia_value *parts[GLIA_MAX_INPUTS];
    const glia_concat_attrs a = {.axis = glia__onnx_int(r, "axis", 1)};
    int count = 0;
    for (int i = 0; i < r->n_in; i++) {
        if (count == GLIA_MAX_INPUTS) {
            parts[0] = glia_op_concat(parts, count, a);
            count = 1;
        }
        parts[count++] = glia__onnx_in(r, i);
    }
    r->out[0] = glia_op_concat(parts, count, a);
}
GLIA_ONNX(concat) = {.op_type = "Concat", .min_inputs = 1, .max_inputs = 1 << 20, .read = read_concat};

static glia_value *slice_one(glia_onnx_read *r, glia_value *x, int64_t axis, int64_t start, int64_t end,
                             int64_t step) {
    int at;
    if (!x) return NULL;
    const glia_shape shape = glia_value_shape(x);
    if (!glia__axis_resolve(axis, shape.rank, &at))
        return glia__onnx_refuse(r, "axis %lld is out of range", (long long)axis);
    if (start == 0 && end >= INT32_MAX && step == 1) return x; /* all of it, however long */
    return glia_op_slice(
        x, (glia_slice_attrs){.axis = axis,
                              .start = start,
                              .end = end,
                              .step = GLIA_MAX(GLIA_MIN(step, INT64_C(1) << 30), -(INT64_C(1) << 30))});
}

static void read_slice(glia_onnx_read *r) {
    glia_shape starts, ends, axes = {0}, steps = {0};
    const bool inputs = r->opset >= 10;
    if (!glia__onnx_dims_of(r, "starts", 10, 1, &starts) || !glia__onnx_dims_of(r, "ends", 10, 2, &ends)) {
        (void)glia__onnx_refuse(r, "it has no starts and ends");
        return;
    }
    const bool has_axes = inputs ? glia__onnx_has(r, 3) : glia__onnx_has_attr(r, "axes");
    if (has_axes && !glia__onnx_dims_of(r, "axes", 10, 3, &axes)) return;
    if (inputs && glia__onnx_has(r, 4) && !glia__onnx_dims_in(r, 4, &steps)) return;
    if (ends.rank != starts.rank || (has_axes && axes.rank != starts.rank) ||
        (steps.rank && steps.rank != starts.rank)) {
        (void)glia__onnx_refuse(r, "starts, ends, axes and steps are not of the same number");
        return;
    }
    glia_value *y = glia__onnx_in(r, 0);
    for (int i = 0; i < starts.rank; i++) {
        const int64_t step = steps.rank ? steps.dim[i] : 1;
        if (step == 0)
            (void)glia__onnx_refuse(r, "a step of 0");
        else
            y = slice_one(r, y, has_axes ? axes.dim[i] : i, starts.dim[i], ends.dim[i], step);
    }
    r->out[0] = y;
}
GLIA_ONNX(slice) = {.op_type = "Slice", .min_inputs = 1, .max_inputs = 5, .read = read_slice};

/* Sizes of the pieces: given, or as even as they go, the last the smallest. */
static bool split_sizes(glia_onnx_read *r, int64_t dim, glia_shape *sizes) {
    const bool given = r->opset < 13 ? glia__onnx_has_attr(r, "split") : glia__onnx_has(r, 1);
    const int64_t count = glia__onnx_int(r, "num_outputs", r->n_out);
    if (given) return glia__onnx_dims_of(r, "split", 13, 1, sizes);
    if (count != r->n_out || count > GLIA_MAX_RANK || dim < 0) {
        (void)glia__onnx_refuse(r, "a split in %lld is not supported here", (long long)count);
        return false;
    }
    const int64_t each = (dim + count - 1) / count;
    *sizes = (glia_shape){.rank = (int32_t)count};
    for (int i = 0; i < count; i++) sizes->dim[i] = GLIA_MAX(0, GLIA_MIN(each, dim - i * each));
    return true;
}

static void read_split(glia_onnx_read *r) {
    int axis;
    glia_type type;
    glia_shape sizes;
    const int64_t wanted = glia__onnx_int(r, "axis", 0);
    if (!glia__onnx_type_in(r, 0, &type)) return;
    if (!glia__axis_resolve(wanted, type.shape.rank, &axis)) {
        (void)glia__onnx_refuse(r, "axis %lld is out of range", (long long)wanted);
        return;
    }
    if (!split_sizes(r, type.shape.dim[axis], &sizes)) return;
    if (sizes.rank != r->n_out)
        (void)glia__onnx_refuse(r, "it has %d outputs for %d sizes", r->n_out, sizes.rank);
    int64_t start = 0;
    for (int i = 0; i < sizes.rank && !r->refused; start += sizes.dim[i], i++)
        r->out[i] = glia_op_slice(
            glia__onnx_in(r, 0),
            (glia_slice_attrs){.axis = axis, .start = start, .end = start + sizes.dim[i], .step = 1});
}
GLIA_ONNX(split) = {.op_type = "Split", .min_inputs = 1, .max_inputs = 2, .read = read_split};

/* --- gather -------------------------------------------------------------------------------------------------------- */

static void read_gather(glia_onnx_read *r) {
    const int64_t axis = glia__onnx_int(r, "axis", 0);
    glia_value *x = glia__onnx_in(r, 0), *indices = glia__onnx_in(r, 1);
    r->out[0] = glia_op_gather(x, indices, (glia_gather_attrs){.axis = axis, .from_end = GLIA_YES});
}
GLIA_ONNX(gather) = {.op_type = "Gather", .min_inputs = 2, .max_inputs = 2, .read = read_gather};
