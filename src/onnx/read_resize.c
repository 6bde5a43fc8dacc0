/* read_resize.c: Resize and Pad: one step for each dimension that changes. */

#include "onnx/read.h"

/* A list of the file as numbers, one for each of the dimensions `axes`; false when it is not there. */
static bool numbers_in(glia_onnx_read *r, int i, const glia_shape *axes, int each, double *out) {
    glia_tensor list;
    if (!glia__onnx_has(r, i) || !glia__onnx_tensor_in(r, i, &list)) return false;
    const int64_t count = glia_shape_elems(&list.shape);
    if (count == 0) return false;
    if (count != (int64_t)axes->rank * each) {
        (void)glia__onnx_refuse(r, "input %d has %lld numbers for %d dimensions", i, (long long)count,
                                axes->rank);
        return false;
    }
    for (int64_t k = 0; k < count; k++) out[k] = glia_tensor_get(&list, k);
    return true;
}

/* Negative axes count from the end; none: all. */
static bool resolve_axes(glia_onnx_read *r, glia_shape *axes, int rank) {
    if (!axes->rank)
        for (axes->rank = 0; axes->rank < rank; axes->rank++) axes->dim[axes->rank] = axes->rank;
    for (int i = 0; i < axes->rank; i++) {
        int axis;
        if (!glia__axis_resolve(axes->dim[i], rank, &axis)) {
            (void)glia__onnx_refuse(r, "axis %lld is out of range", (long long)axes->dim[i]);
            return false;
        }
        axes->dim[i] = axis;
    }
    return true;
}

/* Sizes that keep the proportions: those of the side that limits, for the others too. */
static void keep_proportions(const glia_shape *x, const glia_shape *axes, int policy, double *sizes,
                             double *scales) {
    double scale = policy == 1 ? INFINITY : 0;
    for (int i = 0; i < axes->rank; i++) {
        const double s = sizes[i] / (double)x->dim[axes->dim[i]];
        scale = policy == 1 ? fmin(scale, s) : fmax(scale, s);
    }
    for (int i = 0; i < axes->rank; i++) {
        sizes[i] = floor(scale * (double)x->dim[axes->dim[i]] + 0.5);
        scales[i] = scale;
    }
}

static void read_resize(glia_onnx_read *r) {
    glia_shape axes = {0};
    double scales[GLIA_MAX_RANK] = {0}, sizes[GLIA_MAX_RANK], roi[2 * GLIA_MAX_RANK] = {0};
    const bool old = r->opset < 11; /* scales are input 1, coordinates asymmetric */
    const glia_resize_attrs a = {
        .mode = glia__onnx_choice(r, "mode", "nearest|linear|cubic", 0),
        .coordinates =
            glia__onnx_choice(r, "coordinate_transformation_mode",
                              "half_pixel|asymmetric|align_corners|pytorch_half_pixel|half_pixel_symmetric|"
                              "tf_half_pixel_for_nn|tf_crop_and_resize",
                              old ? 1 : 0),
        .rounding = glia__onnx_choice(r, "nearest_mode", "round_prefer_floor|round_prefer_ceil|floor|ceil",
                                      old ? 2 : 0),
        .cubic_a = glia__onnx_float(r, "cubic_coeff_a", -0.75),
        .exclude_outside = glia__onnx_int(r, "exclude_outside", 0) ? GLIA_YES : GLIA_NO,
        .antialias = glia__onnx_int(r, "antialias", 0) ? GLIA_YES : GLIA_NO,
        .outside = glia__onnx_float(r, "extrapolation_value", 0)};
    const int policy = glia__onnx_choice(r, "keep_aspect_ratio_policy", "stretch|not_larger|not_smaller", 0);
    if (glia__onnx_has_attr(r, "axes")) (void)glia__onnx_dims(r, "axes", &axes);
    glia_value *y = glia__onnx_in(r, 0);
    if (!y || r->refused) return;
    const glia_shape x = glia_value_shape(y);
    if (!resolve_axes(r, &axes, x.rank)) return;
    (void)numbers_in(r, old ? -1 : 1, &axes, 2, roi);
    const bool scaled = numbers_in(r, old ? 1 : 2, &axes, 1, scales);
    const bool sized = !scaled && numbers_in(r, old ? -1 : 3, &axes, 1, sizes);
    if (r->refused) return;
    if (sized && policy) keep_proportions(&x, &axes, policy, sizes, scales);
    for (int i = 0; i < axes.rank && (scaled || sized); i++) {
        glia_resize_attrs step = a;
        const int64_t dim = x.dim[axes.dim[i]];
        step.axis = axes.dim[i];
        if (dim < 0 && scaled && scales[i] == 1) continue; /* the batch */
        if (dim < 0) (void)glia__onnx_refuse(r, "to resize an open dimension is not supported");
        step.from = roi[i];
        step.to = roi[axes.rank + i];
        step.scale = scales[i];
        const double crop = a.coordinates == 6 && scaled ? step.to - step.from : 1;
        step.size = (int64_t)(sized ? sizes[i] : floor((double)dim * crop * scales[i]));
        if (r->refused) return;
        if (step.size != dim || a.coordinates == 6) y = glia_op_resize(y, step);
    }
    if (!scaled && !sized)
        (void)glia__onnx_refuse(r, "it has neither scales nor sizes");
    else
        r->out[0] = y;
}
GLIA_ONNX(resize) = {.op_type = "Resize", .since = 10, .min_inputs = 1, .max_inputs = 4, .read = read_resize};

/* --- pad ---------------------------------------------------------------------------------------------------------- */

/* What is cut off (negative pads) is a slice. */
static glia_value *pad_one(glia_value *x, int axis, int64_t begin, int64_t end, int mode, double value) {
    if (begin < 0 || end < 0)
        x = glia_op_slice(
            x, (glia_slice_attrs){
                   .axis = axis, .start = GLIA_MAX(-begin, 0), .end = end < 0 ? end : INT64_MAX, .step = 1});
    const glia_pad_attrs a = {axis, GLIA_MAX(begin, 0), GLIA_MAX(end, 0), mode, value};
    return a.begin || a.end ? glia_op_pad(x, a) : x;
}

static void read_pad(glia_onnx_read *r) {
    double pads[2 * GLIA_MAX_RANK], value = 0;
    glia_shape axes = {0};
    glia_value *x = glia__onnx_in(r, 0);
    const int mode = glia__onnx_choice(r, "mode", "constant|reflect|edge|wrap", 0);
    if (!x || r->refused) return;
    const int rank = glia_value_shape(x).rank;
    if (glia__onnx_has(r, 3) && !glia__onnx_dims_in(r, 3, &axes)) return;
    if (!resolve_axes(r, &axes, rank)) return;
    if (r->opset < 11) {
        int64_t list[2 * GLIA_MAX_RANK];
        int count = 2 * rank;
        if (!glia__onnx_int_list(r, "pads", list, count, &count))
            (void)glia__onnx_refuse(r, "it has no pads");
        for (int i = 0; i < count && !r->refused; i++) pads[i] = (double)list[i];
        value = glia__onnx_float(r, "value", 0);
    } else {
        if (!numbers_in(r, 1, &axes, 2, pads)) (void)glia__onnx_refuse(r, "it has no pads");
        if (glia__onnx_has(r, 2) && !glia__onnx_number_in(r, 2, &value)) return;
    }
    for (int i = 0; i < axes.rank && !r->refused; i++)
        x = pad_one(x, (int)axes.dim[i], (int64_t)pads[i], (int64_t)pads[axes.rank + i], mode, value);
    r->out[0] = x;
}
GLIA_ONNX(pad) = {.op_type = "Pad", .min_inputs = 1, .max_inputs = 4, .read = read_pad};
