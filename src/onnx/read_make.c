/* read_make.c: operators that make arrays of numbers known when the model is read, or by them. */

#include "onnx/carried.h"

/* Numbers start, start + delta, … of the type, which the limit ends. */
static void read_range(glia_onnx_read *r) {
    glia_tensor parts[3];
    double v[3];
    for (int i = 0; i < 3; i++)
        if (!glia__onnx_tensor_in(r, i, &parts[i]) || !glia__onnx_number_in(r, i, &v[i])) return;
    const glia_dtype dtype = parts[0].dtype;
    const double count = v[2] != 0 ? ceil((v[1] - v[0]) / v[2]) : -1;
    if (v[2] == 0 || !(count < 1 << 24)) {
        (void)glia__onnx_refuse(r, "a range of so many numbers is not supported");
        return;
    }
    glia_tensor y;
    glia_error err = {0};
    const glia_shape shape = {1, {(int64_t)GLIA_MAX(count, 0)}};
    if (glia_tensor_new(&y, dtype, shape, r->graph->allocator, &err) != GLIA_OK) {
        (void)glia__onnx_refuse(r, "%s", err.message);
        return;
    }
    for (int64_t i = 0; i < shape.dim[0]; i++) glia_tensor_set(&y, i, v[0] + (double)i * v[2]);
    r->out[0] = glia__onnx_const(r, dtype, &shape, y.data);
    glia_tensor_free(&y);
}
GLIA_ONNX(range) = {.op_type = "Range", .since = 11, .min_inputs = 3, .max_inputs = 3, .read = read_range};

/* --- by index ---------------------------------------------------------------------------------------------------- */

/* The op counts from 0, makes f32, and a last dimension; ONNX counts from the end too, takes indices out of range for
 * none, and says the type. */
static void read_one_hot(glia_onnx_read *r) {
    double depth;
    glia_tensor values;
    const int64_t axis = glia__onnx_int(r, "axis", -1);
    if (!glia__onnx_number_in(r, 1, &depth) || !glia__onnx_tensor_in(r, 2, &values)) return;
    glia_value *at = glia_op_cast(glia__onnx_in(r, 0), GLIA_I64);
    if (!at) return;
    const int rank = glia_value_shape(at).rank;
    int place;
    if (!glia__axis_resolve(axis, rank + 1, &place) || depth < 1 || glia_shape_elems(&values.shape) != 2) {
        (void)glia__onnx_refuse(r, "this axis, depth or pair of values is not supported");
        return;
    }
    const glia_shape classes = {1, {(int64_t)depth}}, one = {0};
    at = glia_op_where(glia_op_less(at, glia__number(at, 0)), glia_op_add(at, glia__number(at, depth)), at);
    glia_value *hot =
        glia_op_equal(glia_op_unsqueeze(at, (glia_squeeze_attrs){{1, {-1}}}), glia__onnx_count(r, &classes));
    const size_t size = glia_dtype_bytes(values.dtype);
    glia_value *off = glia__onnx_const(r, values.dtype, &one, values.data);
    glia_value *on = glia__onnx_const(r, values.dtype, &one, (const char *)values.data + size);
    glia_value *y = glia_op_where(hot, on, off);
    glia_transpose_attrs a = {.perm = {.rank = rank + 1}};
    for (int d = 0; d <= rank; d++) a.perm.dim[d] = d == place ? rank : d < place ? d : d - 1;
    r->out[0] = place == rank ? y : glia_op_transpose(y, a);
    glia__onnx_say_type(r, 0, glia__onnx_carried_in(r, 2));
}
GLIA_ONNX(one_hot) = {
    .op_type = "OneHot", .since = 9, .min_inputs = 3, .max_inputs = 3, .own_types = 1, .read = read_one_hot};

/* Ones on the diagonal k. */
static void read_eye_like(glia_onnx_read *r) {
    glia_type x;
    if (!glia__onnx_type_in(r, 0, &x)) return;
    const int64_t to = glia__onnx_int(r, "dtype", 0), k = glia__onnx_int(r, "k", 0);
    const int64_t type = to ? to : glia__onnx_number_type(r, 0);
    if (glia__onnx_dtype(type) == GLIA_DTYPE_COUNT || x.shape.rank != 2 || !glia_shape_is_known(&x.shape)) {
        (void)glia__onnx_refuse(r, "this type, or size, is not supported");
        return;
    }
    const glia_shape rows = {2, {x.shape.dim[0], 1}}, columns = {1, {x.shape.dim[1]}};
    glia_value *distance = glia_op_sub(glia__onnx_count(r, &columns), glia__onnx_count(r, &rows));
    r->out[0] = glia__onnx_cast(glia_op_equal(distance, glia__number(distance, (double)k)), type, true);
    glia__onnx_say_type(r, 0, type);
}
GLIA_ONNX(eye_like) = {.op_type = "EyeLike",
                       .since = 9,
                       .min_inputs = 1,
                       .max_inputs = 1,
                       .own_types = 1,
                       .read = read_eye_like};
