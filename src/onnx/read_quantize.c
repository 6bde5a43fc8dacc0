/* read_quantize.c: numbers as u8 and back: QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear. Other types of 8 bits are
 * none of Glia's. */

#include "onnx/read.h"

/* Scale or zero point as it stands beside x: one number, or one for each entry of the axis. */
static glia_value *beside(glia_onnx_read *r, glia_value *x, glia_value *param, int64_t wanted) {
    if (!x || !param) return NULL;
    const glia_shape shape = glia_value_shape(x), given = glia_value_shape(param);
    int axis;
    glia_shape each = {.rank = shape.rank};
    if (given.rank == 0 || (given.rank == 1 && given.dim[0] == 1)) return param;
    if (given.rank != 1 || !glia__axis_resolve(wanted, shape.rank, &axis) || given.dim[0] != shape.dim[axis])
        return glia__onnx_refuse(
            r, "blocks of a scale are not supported: one for all, or one for each entry of an axis");
    for (int d = 0; d < shape.rank; d++) each.dim[d] = d == axis ? given.dim[0] : 1;
    return glia_op_reshape(param, (glia_reshape_attrs){.shape = each});
}

/* round(x/scale) + zero, kept within 0 … 255. */
static glia_value *quantized(glia_value *x, glia_value *scale, glia_value *zero) {
    glia_value *y = glia_op_round(glia_op_div(x, scale));
    if (zero) y = glia_op_add(y, zero);
    return glia_op_cast(glia_op_clip(y, (glia_clip_attrs){.min = 0, .max = 255}), GLIA_U8);
}

/* All attributes but the axis are about types and blocks that are refused. */
static int64_t read_axis(glia_onnx_read *r) {
    const int64_t axis = glia__onnx_int(r, "axis", 1), type = glia__onnx_int(r, "output_dtype", GLIA_ONNX_U8);
    glia__onnx_ignore(r, "saturate");
    glia__onnx_ignore(r, "precision");
    if (glia__onnx_int(r, "block_size", 0) != 0) (void)glia__onnx_refuse(r, "blocks are not supported");
    if (type != 0 && type != GLIA_ONNX_U8)
        (void)glia__onnx_refuse(r, "results of other types than uint8 are not supported");
    return axis;
}

static void read_quantize(glia_onnx_read *r) {
    const int64_t axis = read_axis(r);
    glia_value *x = glia__onnx_in(r, 0), *zero = glia__onnx_in(r, 2);
    glia_value *scale = beside(r, x, glia__onnx_in(r, 1), axis);
    if (!scale || r->refused) return;
    const glia_dtype dtype = glia_value_dtype(x);
    if (!glia_dtype_is_float(dtype) || (zero && glia_value_dtype(zero) != GLIA_U8)) {
        (void)glia__onnx_refuse(r, "only floats to uint8 are supported");
        return;
    }
    zero = zero ? glia_op_cast(beside(r, x, zero, axis), dtype) : NULL;
    if (!r->refused) r->out[0] = quantized(x, scale, zero);
}
GLIA_ONNX(quantize_linear) = {
    .op_type = "QuantizeLinear", .since = 10, .min_inputs = 2, .max_inputs = 3, .read = read_quantize};

static void read_dequantize(glia_onnx_read *r) {
    const int64_t axis = glia__onnx_int(r, "axis", 1);
    if (glia__onnx_int(r, "block_size", 0) != 0 || glia__onnx_int(r, "output_dtype", 0) != 0)
        (void)glia__onnx_refuse(r, "blocks and an output_dtype are not supported");
    glia_value *x = glia__onnx_in(r, 0), *zero = beside(r, x, glia__onnx_in(r, 2), axis);
    glia_value *scale = beside(r, x, glia__onnx_in(r, 1), axis);
    if (!scale || r->refused) return;
    const glia_dtype dtype = glia_value_dtype(scale);
    glia_value *y = glia_op_cast(x, dtype);
    if (zero) y = glia_op_sub(y, glia_op_cast(zero, dtype));
    r->out[0] = glia_op_mul(y, scale);
}
GLIA_ONNX(dequantize_linear) = {
    .op_type = "DequantizeLinear", .since = 10, .min_inputs = 2, .max_inputs = 3, .read = read_dequantize};

/* scale = (max − min)/255 of a range with 0 in it, zero = the number that 0 becomes. */
static void read_dynamic_quantize(glia_onnx_read *r) {
    const glia_reduce_attrs all = {.keep_dims = GLIA_NO};
    glia_value *x = glia__onnx_in(r, 0);
    if (!x) return;
    glia_value *none = glia__number(x, 0);
    glia_value *low = glia_op_minimum(glia_op_min(x, all), none),
               *high = glia_op_maximum(glia_op_max(x, all), none);
    glia_value *scale = glia_op_div(glia_op_sub(high, low), glia__number(x, 255));
    glia_value *zero = quantized(glia_op_neg(low), scale, NULL);
    r->out[0] = quantized(x, scale, glia_op_cast(zero, glia_value_dtype(x)));
    if (r->n_out > 1) r->out[1] = scale;
    if (r->n_out > 2) r->out[2] = zero;
}
GLIA_ONNX(dynamic_quantize_linear) = {.op_type = "DynamicQuantizeLinear",
                                      .since = 11,
                                      .min_inputs = 1,
                                      .max_inputs = 1,
                                      .read = read_dynamic_quantize};
