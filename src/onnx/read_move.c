/* read_move.c: operators that repeat, pad and arrange data, or choose it by index; and einsum. */

#include "onnx/read.h"

static bool find_axis(glia_onnx_read *r, int64_t wanted, int rank, int *axis) {
    if (glia__axis_resolve(wanted, rank, axis)) return true;
    (void)glia__onnx_refuse(r, "axis %lld is out of range", (long long)wanted);
    return false;
}

/* Whole number k of a known tensor. */
static int64_t whole(const glia_tensor *t, int64_t k) {
    return t->dtype == GLIA_I64 ? ((const int64_t *)t->data)[k] : (int64_t)glia_tensor_get(t, k);
}

/* --- larger arrays ----------------------------------------------------------------------------------------------- */

/* A symbol is kept where x has it, counted from the end. */
static void read_expand(glia_onnx_read *r) {
    glia_onnx_ints to;
    glia_type x;
    glia_reshape_attrs a = {{0}};
    if (!glia__onnx_type_in(r, 0, &x)) return;
    if (!glia__onnx_ints_in(r, 1, &to) || to.rank != 1 || to.count > GLIA_MAX_RANK) {
        (void)glia__onnx_refuse(r, "its shape is not known, or no list of up to %d numbers", GLIA_MAX_RANK);
        return;
    }
    a.shape.rank = to.count;
    for (int i = 0; i < to.count; i++) {
        const int own = x.shape.rank - to.count + i;
        const bool kept =
            own >= 0 && to.at[i].kind == GLIA_ONNX_INT_SYMBOL && x.shape.dim[own] == to.at[i].value;
        if (to.at[i].kind != GLIA_ONNX_INT_KNOWN && !kept)
            (void)glia__onnx_refuse(r, "dimension %d of its shape is known only when the model runs", i);
        a.shape.dim[i] = kept ? 1 : to.at[i].value;
    }
    if (!r->refused) r->out[0] = glia_op_expand(glia__onnx_in(r, 0), a);
}
GLIA_ONNX(expand) = {.op_type = "Expand", .min_inputs = 2, .max_inputs = 2, .read = read_expand};

static void read_tile(glia_onnx_read *r) {
    glia_tile_attrs a;
    if (glia__onnx_dims_in(r, 1, &a.repeats)) r->out[0] = glia_op_tile(glia__onnx_in(r, 0), a);
}
GLIA_ONNX(tile) = {.op_type = "Tile", .min_inputs = 2, .max_inputs = 2, .read = read_tile};

typedef struct pads {
    int mode, count;
    double value;
    int64_t begin[GLIA_MAX_RANK], end[GLIA_MAX_RANK];
    int axis[GLIA_MAX_RANK];
} pads;

/* Opsets before 11 have attributes, later ones inputs; axes from 18 on. */
static bool read_pads(glia_onnx_read *r, int rank, pads *p) {
    int64_t list[2 * GLIA_MAX_RANK];
    int count = 0;
    glia_shape axes = {.rank = rank};
    glia_tensor known;
    for (int i = 0; i < rank; i++) axes.dim[i] = i;
    *p = (pads){.mode = glia__onnx_choice(r, "mode", "constant|reflect|edge|wrap", 0)};
    if (r->opset < 11) {
        count = -1;
        if (!glia__onnx_int_list(r, "pads", list, 2 * GLIA_MAX_RANK, &count)) count = 0;
        p->value = glia__onnx_float(r, "value", 0);
    } else {
        if (!glia__onnx_tensor_in(r, 1, &known)) return false;
        count = (int)GLIA_MIN(glia_shape_elems(&known.shape), 2 * GLIA_MAX_RANK);
        for (int k = 0; k < count; k++) list[k] = whole(&known, k);
        if (glia__onnx_has(r, 2) && !glia__onnx_number_in(r, 2, &p->value)) return false;
        if (glia__onnx_has(r, 3) && !glia__onnx_dims_in(r, 3, &axes)) return false;
    }
    if (r->refused) return false;
    if (count != 2 * axes.rank) {
        (void)glia__onnx_refuse(r, "it has %d pads for %d dimensions", count, axes.rank);
        return false;
    }
    p->count = axes.rank;
    for (int i = 0; i < axes.rank; i++) {
        if (!find_axis(r, axes.dim[i], rank, &p->axis[i])) return false;
        p->begin[i] = list[i];
        p->end[i] = list[axes.rank + i];
    }
    return true;
}

/* Negative pads cut. */
static void read_pad(glia_onnx_read *r) {
    glia_value *x = glia__onnx_in(r, 0);
    pads p;
    if (!x || !read_pads(r, glia_value_shape(x).rank, &p)) return;
    for (int i = 0; i < p.count; i++) {
        const int64_t begin = p.begin[i], end = p.end[i];
        if (begin < 0 || end < 0)
            x = glia_op_slice(x, (glia_slice_attrs){.axis = p.axis[i],
                                                    .start = begin < 0 ? -begin : 0,
                                                    .end = end < 0 ? end : INT64_MAX,
                                                    .step = 1});
        if (begin > 0 || end > 0)
            x = glia_op_pad(x, (glia_pad_attrs){.axis = p.axis[i],
                                                .begin = GLIA_MAX(begin, 0),
                                                .end = GLIA_MAX(end, 0),
                                                .mode = p.mode,
                                                .value = p.value});
    }
    r->out[0] = x;
}
GLIA_ONNX(pad) = {.op_type = "Pad", .min_inputs = 1, .max_inputs = 4, .read = read_pad};

/* Both from the middle: cut what is longer, pad what is shorter. */
static void read_center_crop_pad(glia_onnx_read *r) {
    glia_value *x = glia__onnx_in(r, 0);
    glia_shape to, axes;
    if (!x || !glia__onnx_dims_in(r, 1, &to)) return;
    const glia_shape shape = glia_value_shape(x);
    if (!glia__onnx_dims(r, "axes", &axes)) {
        axes.rank = shape.rank;
        for (int i = 0; i < shape.rank; i++) axes.dim[i] = i;
    }
    if (axes.rank != to.rank) (void)glia__onnx_refuse(r, "axes and sizes are not of the same number");
    for (int i = 0; i < to.rank && !r->refused; i++) {
        int axis;
        if (!find_axis(r, axes.dim[i], shape.rank, &axis)) return;
        const int64_t more = to.dim[i] - shape.dim[axis];
        if (shape.dim[axis] < 0 || to.dim[i] < 0)
            (void)glia__onnx_refuse(r, "dimension %d is open, or its wanted size negative", axis);
        else if (more > 0)
            x = glia_op_pad(x, (glia_pad_attrs){.axis = axis, .begin = more / 2, .end = more - more / 2});
        else if (more < 0)
            x = glia_op_slice(x,
                              (glia_slice_attrs){
                                  .axis = axis, .start = -more / 2, .end = -more / 2 + to.dim[i], .step = 1});
    }
    r->out[0] = x;
}
GLIA_ONNX(center_crop_pad) = {
    .op_type = "CenterCropPad", .min_inputs = 2, .max_inputs = 2, .read = read_center_crop_pad};

/* --- other orders -------------------------------------------------------------------------------------------------- */

static void read_trilu(glia_onnx_read *r) {
    double k = 0;
    if (glia__onnx_has(r, 1) && !glia__onnx_number_in(r, 1, &k)) return;
    const glia_trilu_attrs a = {glia__onnx_int(r, "upper", 1) ? GLIA_YES : GLIA_NO,
                                (int64_t)GLIA_MAX(GLIA_MIN(k, 1 << 30), -(1 << 30))};
    r->out[0] = glia_op_trilu(glia__onnx_in(r, 0), a);
}
GLIA_ONNX(trilu) = {.op_type = "Trilu", .min_inputs = 1, .max_inputs = 2, .read = read_trilu};

static void read_reverse_sequence(glia_onnx_read *r) {
    const int64_t batch = glia__onnx_int(r, "batch_axis", 1), time = glia__onnx_int(r, "time_axis", 0);
    if (batch + time != 1 || batch * time != 0)
        (void)glia__onnx_refuse(r, "batch_axis and time_axis must be 0 and 1");
    else
        r->out[0] = glia_op_reverse_sequence(glia__onnx_in(r, 0), glia__onnx_in(r, 1),
                                             (glia_reverse_sequence_attrs){time == 0 ? GLIA_YES : GLIA_NO});
}
GLIA_ONNX(reverse_sequence) = {
    .op_type = "ReverseSequence", .min_inputs = 2, .max_inputs = 2, .read = read_reverse_sequence};

static void read_depth_to_space(glia_onnx_read *r) {
    const int mode = glia__onnx_choice(r, "mode", "DCR|CRD", 0);
    r->out[0] = glia_op_depth_to_space(
        glia__onnx_in(r, 0),
        (glia_depth_to_space_attrs){glia__onnx_int(r, "blocksize", 0), mode == 1 ? GLIA_YES : GLIA_NO});
}
GLIA_ONNX(depth_to_space) = {
    .op_type = "DepthToSpace", .min_inputs = 1, .max_inputs = 1, .read = read_depth_to_space};

static void read_space_to_depth(glia_onnx_read *r) {
    const int mode = glia__onnx_choice(r, "mode", "DCR|CRD", 0);
    r->out[0] = glia_op_space_to_depth(
        glia__onnx_in(r, 0),
        (glia_depth_to_space_attrs){glia__onnx_int(r, "blocksize", 0), mode == 1 ? GLIA_YES : GLIA_NO});
}
GLIA_ONNX(space_to_depth) = {
    .op_type = "SpaceToDepth", .min_inputs = 1, .max_inputs = 1, .read = read_space_to_depth};

/* --- by index --------------------------------------------------------------------------------------------------------- */

static void read_top_k(glia_onnx_read *r) {
    double k = 0;
    if (r->opset < 10)
        k = (double)glia__onnx_int(r, "k", 0);
    else if (!glia__onnx_number_in(r, 1, &k))
        return;
    const glia_top_k_attrs a = {.k = (int64_t)GLIA_MIN(k, 1e15),
                                .axis = glia__onnx_int(r, "axis", -1),
                                .smallest = glia__onnx_int(r, "largest", 1) ? GLIA_NO : GLIA_YES};
    (void)glia__onnx_int(r, "sorted", 1); /* they always are */
    r->out[0] = glia_op_top_k(glia__onnx_in(r, 0), a);
    if (r->n_out > 1) r->out[1] = glia_value_sibling(r->out[0], 1);
}
GLIA_ONNX(top_k) = {.op_type = "TopK", .min_inputs = 1, .max_inputs = 2, .own_types = 2, .read = read_top_k};

/* The places where a known condition holds, as indices of a gather. */
static void read_compress(glia_onnx_read *r) {
    glia_value *x = glia__onnx_in(r, 0);
    glia_tensor condition;
    int axis = 0;
    if (!x || !glia__onnx_tensor_in(r, 1, &condition)) return;
    if (!glia__onnx_has_attr(r, "axis"))
        x = glia_op_reshape(x, (glia_reshape_attrs){{1, {-1}}});
    else if (!find_axis(r, glia__onnx_int(r, "axis", 0), glia_value_shape(x).rank, &axis))
        return;
    const int64_t count = glia_shape_elems(&condition.shape);
    glia_shape chosen = {1, {0}};
    int64_t *at = glia__arena_alloc(&r->graph->arena, (size_t)(count + 1) * sizeof *at);
    if (!at) {
        (void)glia__onnx_refuse(r, "out of memory");
        return;
    }
    for (int64_t i = 0; i < count; i++)
        if (glia_tensor_get(&condition, i) != 0) at[chosen.dim[0]++] = i;
    r->out[0] =
        glia_op_gather(x, glia__onnx_const(r, GLIA_I64, &chosen, at), (glia_gather_attrs){.axis = axis});
}
GLIA_ONNX(compress) = {.op_type = "Compress", .min_inputs = 2, .max_inputs = 2, .read = read_compress};

/* What ScatterElements was called in opsets 9 and 10. */
static void read_scatter(glia_onnx_read *r) {
    r->out[0] = glia_op_scatter_elements(glia__onnx_in(r, 0), glia__onnx_in(r, 1), glia__onnx_in(r, 2),
                                         (glia_scatter_elements_attrs){.axis = glia__onnx_int(r, "axis", 0)});
}
GLIA_ONNX(scatter) = {.op_type = "Scatter", .min_inputs = 3, .max_inputs = 3, .read = read_scatter};

/* --- sums of products ---------------------------------------------------------------------------------------------- */

static const glia_onnx_attr *equation_of(glia_onnx_read *r) {
    const glia_onnx_attr *equation = glia__onnx_attr(r, "equation");
    if (!equation || !equation->s) (void)glia__onnx_refuse(r, "it has no equation");
    return r->refused ? NULL : equation;
}

static void read_einsum(glia_onnx_read *r) {
    const glia_onnx_attr *equation = equation_of(r);
    glia_value *in[GLIA_MAX_INPUTS];
    bool half = false; /* computed in f32 */
    if (!equation) return;
    char *text = glia__arena_alloc(&r->graph->arena, equation->s_bytes + 1);
    if (!text || r->n_in > GLIA_MAX_INPUTS) {
        (void)glia__onnx_refuse(r, "%s", text ? "too many inputs" : "out of memory");
        return;
    }
    memcpy(text, equation->s, equation->s_bytes);
    text[equation->s_bytes] = '\0';
    for (int i = 0; i < r->n_in; i++) {
        in[i] = glia__onnx_in(r, i);
        half = half || glia_value_dtype(in[i]) == GLIA_BF16;
    }
    for (int i = 0; i < r->n_in && half; i++) in[i] = glia_op_cast(in[i], GLIA_F32);
    glia_value *y = glia_op_einsum(in, r->n_in, (glia_einsum_attrs){text});
    r->out[0] = half ? glia_op_cast(y, GLIA_BF16) : y;
}
GLIA_ONNX(einsum) = {
    .op_type = "Einsum", .min_inputs = 1, .max_inputs = GLIA_MAX_INPUTS, .read = read_einsum};
