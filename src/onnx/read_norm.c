/* read_norm.c: normalisations over the last or the image dimensions, of means and square roots. */

#include "onnx/read.h"

/* Dimensions first … rank − 1. */
static glia_reduce_attrs from(int first, int rank) {
    glia_reduce_attrs a = {.keep_dims = GLIA_YES};
    for (int d = first; d < rank; d++) a.axes.dim[a.axes.rank++] = d;
    return a;
}

static glia_value *square(glia_value *x) {
    return glia_op_mul(x, x);
}

/* 1/√(mean of x² + ε). */
static glia_value *inverse_deviation(glia_value *x, glia_reduce_attrs over, double epsilon) {
    glia_value *variance = glia_op_mean(square(x), over);
    return glia_op_rsqrt(glia_op_add(variance, glia__number(variance, epsilon)));
}

static bool axis_of(glia_onnx_read *r, glia_value *x, int64_t wanted, int *axis) {
    const int rank = glia_value_shape(x).rank;
    if (x && glia__axis_resolve(wanted, rank, axis)) return true;
    if (x) (void)glia__onnx_refuse(r, "axis %lld is out of range", (long long)wanted);
    return false;
}

/* Whether a parameter has the dimensions from the axis on, as the ops want it; ONNX lets it broadcast. */
static bool fits(glia_value *x, int axis, glia_value *param) {
    if (!param || glia_value_dtype(param) != glia_value_dtype(x)) return false;
    const glia_shape shape = glia_value_shape(x), own = glia_value_shape(param);
    if (own.rank != shape.rank - axis) return false;
    for (int d = 0; d < own.rank; d++)
        if (own.dim[d] != shape.dim[axis + d]) return false;
    return true;
}

/* A scale that ONNX asks for, but that scales nothing. */
static bool only_ones(const glia_value *scale) {
    bool ones = scale && scale->kind == GLIA_VALUE_CONST && scale->type.dtype == GLIA_F32;
    for (int64_t i = 0; ones && i < glia_shape_elems(&scale->type.shape); i++)
        ones = ((const float *)scale->data)[i] == 1;
    return ones;
}

static void read_layer_normalization(glia_onnx_read *r) {
    int axis;
    const double epsilon = glia__onnx_float(r, "epsilon", 1e-5);
    const int64_t wanted = glia__onnx_int(r, "axis", -1);
    glia__onnx_ignore(r, "stash_type"); /* of what f16 and bf16 are computed in */
    glia_value *x = glia__onnx_in(r, 0);
    if (!axis_of(r, x, wanted, &axis)) return;
    glia_value *scale = glia__onnx_in(r, 1), *bias = glia__onnx_in(r, 2);
    if (fits(x, axis, scale) && (!bias || fits(x, axis, bias))) {
        if (!bias && only_ones(scale)) scale = NULL;
        glia_value *whole =
            glia_op_layer_norm(x, scale, bias, (glia_layer_norm_attrs){.axis = wanted, .epsilon = epsilon});
        for (int k = 0; k < r->n_out && k < 3; k++) r->out[k] = glia_value_sibling(whole, k);
        return;
    }
    const glia_reduce_attrs over = from(axis, glia_value_shape(x).rank);
    glia_value *mean = glia_op_mean(x, over), *centred = glia_op_sub(x, mean);
    glia_value *inverse = inverse_deviation(centred, over, epsilon);
    glia_value *y = glia_op_mul(glia_op_mul(centred, inverse), scale);
    r->out[0] = bias ? glia_op_add(y, bias) : y;
    if (r->n_out > 1) r->out[1] = mean;
    if (r->n_out > 2) r->out[2] = inverse;
}
GLIA_ONNX(layer_normalization) = {.op_type = "LayerNormalization",
                                  .own_types = 6,
                                  .since = 17,
                                  .min_inputs = 2,
                                  .max_inputs = 3,
                                  .read = read_layer_normalization};

static void read_rms_normalization(glia_onnx_read *r) {
    int axis;
    const double epsilon = glia__onnx_float(r, "epsilon", 1e-5);
    const int64_t wanted = glia__onnx_int(r, "axis", -1);
    glia__onnx_ignore(r, "stash_type");
    glia_value *x = glia__onnx_in(r, 0);
    if (!axis_of(r, x, wanted, &axis)) return;
    glia_value *scale = glia__onnx_in(r, 1);
    if (fits(x, axis, scale)) {
        r->out[0] = glia_op_rms_norm(x, scale, (glia_layer_norm_attrs){.axis = wanted, .epsilon = epsilon});
        return;
    }
    glia_value *inverse = inverse_deviation(x, from(axis, glia_value_shape(x).rank), epsilon);
    r->out[0] = glia_op_mul(glia_op_mul(x, inverse), scale);
}
GLIA_ONNX(rms_normalization) = {.op_type = "RMSNormalization",
                                .since = 23,
                                .min_inputs = 2,
                                .max_inputs = 2,
                                .read = read_rms_normalization};

/* Numbers a channel beside [N, C, …]. */
static glia_value *beside(glia_value *x, glia_value *numbers) {
    const glia_reduce_attrs axes = from(1, glia_value_shape(x).rank - 1);
    return axes.axes.rank ? glia_op_unsqueeze(numbers, (glia_squeeze_attrs){axes.axes}) : numbers;
}

static glia_value *normalised(glia_value *x, glia_reduce_attrs over, double epsilon) {
    glia_value *centred = glia_op_sub(x, glia_op_mean(x, over));
    return glia_op_mul(centred, inverse_deviation(centred, over, epsilon));
}

static void read_instance_normalization(glia_onnx_read *r) {
    const double epsilon = glia__onnx_float(r, "epsilon", 1e-5);
    glia_value *x = glia__onnx_in(r, 0), *scale = glia__onnx_in(r, 1), *bias = glia__onnx_in(r, 2);
    const int rank = glia_value_shape(x).rank;
    if (x && rank < 3) (void)glia__onnx_refuse(r, "expected images [N, C, …]");
    if (!x || r->refused) return;
    glia_value *y = normalised(x, from(2, rank), epsilon);
    r->out[0] = glia_op_add(glia_op_mul(y, beside(x, scale)), beside(x, bias));
}
GLIA_ONNX(instance_normalization) = {.op_type = "InstanceNormalization",
                                     .min_inputs = 3,
                                     .max_inputs = 3,
                                     .read = read_instance_normalization};

static void read_group_normalization(glia_onnx_read *r) {
    const double epsilon = glia__onnx_float(r, "epsilon", 1e-5);
    const int64_t groups = glia__onnx_int(r, "num_groups", 1);
    glia__onnx_ignore(r, "stash_type");
    glia_value *x = glia__onnx_in(r, 0), *scale = glia__onnx_in(r, 1), *bias = glia__onnx_in(r, 2);
    if (!x) return;
    const glia_shape shape = glia_value_shape(x);
    glia_shape flat = {.rank = 3, .dim = {0, groups, 1}}, whole = shape;
    bool known = shape.rank >= 3 && groups > 0;
    for (int d = 1; d < shape.rank && known; d++) {
        known = shape.dim[d] >= 0;
        flat.dim[2] *= GLIA_MAX(shape.dim[d], 1);
    }
    if (!known || shape.dim[1] % groups) {
        (void)glia__onnx_refuse(r, "%lld groups of these channels are not supported", (long long)groups);
        return;
    }
    flat.dim[2] /= groups;
    whole.dim[0] = 0;
    glia_value *y = normalised(glia_op_reshape(x, (glia_reshape_attrs){flat}), from(2, 3), epsilon);
    y = glia_op_reshape(y, (glia_reshape_attrs){whole});
    r->out[0] = glia_op_add(glia_op_mul(y, beside(x, scale)), beside(x, bias));
}
GLIA_ONNX(group_normalization) = {.op_type = "GroupNormalization",
                                  .since = 21,
                                  .min_inputs = 3,
                                  .max_inputs = 3,
                                  .read = read_group_normalization};

static void read_mean_variance_normalization(glia_onnx_read *r) {
    glia_reduce_attrs over = {.axes = {3, {0, 2, 3}}, .keep_dims = GLIA_YES};
    if (glia__onnx_has_attr(r, "axes")) (void)glia__onnx_dims(r, "axes", &over.axes);
    r->out[0] = normalised(glia__onnx_in(r, 0), over, 1e-9);
}
GLIA_ONNX(mean_variance_normalization) = {.op_type = "MeanVarianceNormalization",
                                          .since = 9,
                                          .min_inputs = 1,
                                          .max_inputs = 1,
                                          .read = read_mean_variance_normalization};

/* Where the norm is 0, so is the result. */
static void read_lp_normalization(glia_onnx_read *r) {
    const int64_t p = glia__onnx_int(r, "p", 2);
    const glia_reduce_attrs over = {.axes = {1, {glia__onnx_int(r, "axis", -1)}}, .keep_dims = GLIA_YES};
    glia_value *x = glia__onnx_in(r, 0);
    if (p != 1 && p != 2) (void)glia__onnx_refuse(r, "p %lld is not supported", (long long)p);
    if (!x || r->refused) return;
    glia_value *norm =
        p == 1 ? glia_op_sum(glia_op_abs(x), over) : glia_op_sqrt(glia_op_sum(square(x), over));
    glia_value *none = glia_op_equal(norm, glia__number(norm, 0));
    r->out[0] = glia_op_div(x, glia_op_where(none, glia__number(norm, 1), norm));
}
GLIA_ONNX(lp_normalization) = {
    .op_type = "LpNormalization", .min_inputs = 1, .max_inputs = 1, .read = read_lp_normalization};
