/* read_make.c: operators that make arrays of numbers known when the model is read, or by them. */

#include "onnx/read.h"

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

/* --- expand ---------------------------------------------------------------------------------------------------- */

/* The shape that x and the wanted one broadcast to. */
static bool expanded_shape(glia_onnx_read *r, const glia_type *x, glia_shape *out) {
    glia_onnx_ints to;
    glia_shape wanted;
    if (!glia__onnx_ints_in(r, 1, &to)) {
        if (!glia__onnx_dims_in(r, 1, &wanted)) return false;
        (void)glia__onnx_refuse(r, "its shape is not a list of whole numbers");
        return false;
    }
    wanted = (glia_shape){.rank = to.count};
    for (int i = 0; i < to.count && i < GLIA_MAX_RANK; i++) {
        wanted.dim[i] = to.at[i].value;
        if (to.at[i].kind == GLIA_ONNX_INT_UNKNOWN ||
            (to.at[i].kind == GLIA_ONNX_INT_KNOWN && to.at[i].value < 0))
            wanted.rank = -1;
    }
    if (wanted.rank < 0 || to.count > GLIA_MAX_RANK || !glia__shape_broadcast(&x->shape, &wanted, out)) {
        (void)glia__onnx_refuse(r, "its shape is not one that its input broadcasts to");
        return false;
    }
    return true;
}

static void read_expand(glia_onnx_read *r) {
    glia_type x;
    glia_shape to;
    const unsigned char one = 1;
    if (!glia__onnx_type_in(r, 0, &x) || !expanded_shape(r, &x, &to)) return;
    if (glia_shape_equal(&to, &x.shape)) {
        r->out[0] = glia__onnx_in(r, 0);
    } else if (glia_shape_is_known(&to)) {
        glia_value *in[] = {glia__onnx_in(r, 0), glia__onnx_filled(r, GLIA_BOOL, &to, &one)};
        r->out[0] = glia_graph_apply(r->graph, "broadcast_like", in, 2, NULL);
    } else {
        (void)glia__onnx_refuse(r, "to repeat along a dimension that is not known yet is not supported");
    }
}
GLIA_ONNX(expand) = {.op_type = "Expand", .since = 8, .min_inputs = 2, .max_inputs = 2, .read = read_expand};

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
}
GLIA_ONNX(one_hot) = {
    .op_type = "OneHot", .since = 9, .min_inputs = 3, .max_inputs = 3, .read = read_one_hot};

/* What lies above the diagonal k, or below it, becomes 0. */
static void read_trilu(glia_onnx_read *r) {
    double k = 0;
    glia_value *x = glia__onnx_in(r, 0);
    const bool upper = glia__onnx_int(r, "upper", 1) != 0;
    if (!x || (glia__onnx_has(r, 1) && !glia__onnx_number_in(r, 1, &k))) return;
    const glia_shape shape = glia_value_shape(x);
    if (shape.rank < 2 || shape.dim[shape.rank - 1] < 0 || shape.dim[shape.rank - 2] < 0) {
        (void)glia__onnx_refuse(r, "expected matrices of known size");
        return;
    }
    const glia_shape rows = {2, {shape.dim[shape.rank - 2], 1}}, columns = {1, {shape.dim[shape.rank - 1]}};
    glia_value *distance = glia_op_sub(glia__onnx_count(r, &columns), glia__onnx_count(r, &rows));
    glia_value *bound = glia_graph_scalar(r->graph, GLIA_I64, k);
    glia_value *kept = upper ? glia_op_greater_equal(distance, bound) : glia_op_less_equal(distance, bound);
    r->out[0] = glia_op_where(kept, x, glia__number(x, 0));
}
GLIA_ONNX(trilu) = {.op_type = "Trilu", .since = 14, .min_inputs = 1, .max_inputs = 2, .read = read_trilu};

static void read_eye_like(glia_onnx_read *r) {
    glia_type x;
    if (!glia__onnx_type_in(r, 0, &x)) return;
    const int64_t to = glia__onnx_int(r, "dtype", 0), k = glia__onnx_int(r, "k", 0);
    const glia_dtype dtype = to ? glia__onnx_dtype(to) : x.dtype;
    if (dtype == GLIA_DTYPE_COUNT || x.shape.rank != 2 || !glia_shape_is_known(&x.shape)) {
        (void)glia__onnx_refuse(r, "this type, or size, is not supported");
        return;
    }
    const glia_shape rows = {2, {x.shape.dim[0], 1}}, columns = {1, {x.shape.dim[1]}};
    glia_value *distance = glia_op_sub(glia__onnx_count(r, &columns), glia__onnx_count(r, &rows));
    r->out[0] = glia_op_cast(glia_op_equal(distance, glia__number(distance, (double)k)), dtype);
}
GLIA_ONNX(eye_like) = {
    .op_type = "EyeLike", .since = 9, .min_inputs = 1, .max_inputs = 1, .read = read_eye_like};

/* --- tile, and blocks of images ------------------------------------------------------------------------------------ */

static void read_tile(glia_onnx_read *r) {
    glia_shape times;
    glia_value *y = glia__onnx_in(r, 0);
    if (!y || !glia__onnx_dims_in(r, 1, &times)) return;
    if (times.rank != glia_value_shape(y).rank)
        (void)glia__onnx_refuse(r, "repeats do not fit the dimensions");
    for (int d = 0; d < times.rank && !r->refused; d++) {
        glia_value *parts[GLIA_MAX_INPUTS];
        if (times.dim[d] < 1 || times.dim[d] > GLIA_MAX_INPUTS) {
            (void)glia__onnx_refuse(r, "%lld repeats are not supported", (long long)times.dim[d]);
            return;
        }
        for (int i = 0; i < times.dim[d]; i++) parts[i] = y;
        if (times.dim[d] > 1) y = glia_op_concat(parts, (int)times.dim[d], (glia_concat_attrs){.axis = d});
    }
    r->out[0] = y;
}
GLIA_ONNX(tile) = {.op_type = "Tile", .min_inputs = 2, .max_inputs = 2, .read = read_tile};

/* Reshaped to six dimensions, reordered, reshaped to four. */
static void move_blocks(glia_onnx_read *r, const int64_t *six, const int64_t *perm, const int64_t *four) {
    glia_shape a = {6, {0}}, b = {4, {0}}, order = {6, {0}};
    memcpy(a.dim, six, 6 * sizeof *six);
    memcpy(order.dim, perm, 6 * sizeof *perm);
    memcpy(b.dim, four, 4 * sizeof *four);
    glia_value *x = glia_op_transpose(glia_op_reshape(glia__onnx_in(r, 0), (glia_reshape_attrs){a}),
                                      (glia_transpose_attrs){order});
    r->out[0] = glia_op_reshape(x, (glia_reshape_attrs){b});
}

/* Images [N, C, H, W] of known C, H, W, and the block's size. */
static bool blocks(glia_onnx_read *r, glia_shape *x, int64_t *size) {
    glia_type type;
    *size = glia__onnx_int(r, "blocksize", 0);
    if (!glia__onnx_type_in(r, 0, &type)) return false;
    *x = type.shape;
    if (*size > 0 && *size < 1 << 16 && x->rank == 4 && x->dim[1] > 0 && x->dim[2] > 0 && x->dim[3] > 0)
        return true;
    (void)glia__onnx_refuse(r, "expected images of known size, and a blocksize");
    return false;
}

static void read_depth_to_space(glia_onnx_read *r) {
    glia_shape x;
    int64_t b;
    const bool column_row = glia__onnx_choice(r, "mode", "DCR|CRD", 0) == 1;
    if (!blocks(r, &x, &b) || r->refused) return;
    const int64_t c = x.dim[1] / (b * b), h = x.dim[2], w = x.dim[3];
    if (column_row)
        move_blocks(r, (int64_t[]){0, c, b, b, h, w}, (int64_t[]){0, 1, 4, 2, 5, 3},
                    (int64_t[]){0, c, h * b, w * b});
    else
        move_blocks(r, (int64_t[]){0, b, b, c, h, w}, (int64_t[]){0, 3, 4, 1, 5, 2},
                    (int64_t[]){0, c, h * b, w * b});
}
GLIA_ONNX(depth_to_space) = {
    .op_type = "DepthToSpace", .min_inputs = 1, .max_inputs = 1, .read = read_depth_to_space};

static void read_space_to_depth(glia_onnx_read *r) {
    glia_shape x;
    int64_t b;
    const bool column_row = glia__onnx_choice(r, "mode", "DCR|CRD", 0) == 1;
    if (!blocks(r, &x, &b) || r->refused) return;
    const int64_t c = x.dim[1], h = x.dim[2] / b, w = x.dim[3] / b;
    const int64_t order[2][6] = {{0, 3, 5, 1, 2, 4}, {0, 1, 3, 5, 2, 4}};
    move_blocks(r, (int64_t[]){0, c, h, b, w, b}, order[column_row], (int64_t[]){0, c * b * b, h, w});
}
GLIA_ONNX(space_to_depth) = {
    .op_type = "SpaceToDepth", .min_inputs = 1, .max_inputs = 1, .read = read_space_to_depth};
