/* read_quantize.c: numbers as narrow types and back: QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear. */

#include "onnx/carried.h"

/* One number for each block of an axis, as it stands beside x: each as often as its block is long. */
static glia_value *spread(glia_onnx_read *r, glia_value *param, int axis, int64_t length, int64_t block) {
    const glia_shape shape = {1, {length}};
    glia_value *at = glia__onnx_count(r, &shape);
    if (!at) return NULL;
    at = glia_op_trunc_div(at, glia__number(at, (double)block));
    return glia_op_gather(param, at, (glia_gather_attrs){.axis = axis});
}

/* Scale or zero point as it stands beside x: one number, one for each entry of the axis, or one for each block of it. */
static glia_value *beside(glia_onnx_read *r, glia_value *x, glia_value *param, int64_t wanted,
                          int64_t block) {
    if (!x || !param) return NULL;
    const glia_shape shape = glia_value_shape(x), given = glia_value_shape(param);
    int axis;
    glia_shape each = {.rank = shape.rank};
    if (given.rank == 0 || (given.rank == 1 && given.dim[0] == 1 && !block)) return param;
    if (!glia__axis_resolve(wanted, shape.rank, &axis))
        return glia__onnx_refuse(r, "an axis of %lld is out of range", (long long)wanted);
    const int64_t length = shape.dim[axis];
    if (block > 0 && given.rank == shape.rank && length >= 0 &&
        given.dim[axis] == (length + block - 1) / block)
        return spread(r, param, axis, length, block);
    if (block || given.rank != 1 || given.dim[0] != length)
        return glia__onnx_refuse(
            r, "expected a scale for all, for each entry of an axis, or for each block of it");
    for (int d = 0; d < shape.rank; d++) each.dim[d] = d == axis ? given.dim[0] : 1;
    return glia_op_reshape(param, (glia_reshape_attrs){.shape = each});
}

/* What the node says of its scale. */
typedef struct scales {
    int64_t axis, block, type; /* of results: 0: not said */
} scales;

static scales read_scales(glia_onnx_read *r) {
    glia__onnx_ignore(r, "precision"); /* of the division, which is in f32 at least */
    return (scales){.axis = glia__onnx_int(r, "axis", 1),
                    .block = glia__onnx_int(r, "block_size", 0),
                    .type = glia__onnx_int(r, "output_dtype", 0)};
}

/* Floats of 16 bits as f32, others as they are. */
static glia_value *computed(glia_value *x) {
    return x && glia_value_dtype(x) == GLIA_F64 ? x : glia_op_cast(x, GLIA_F32);
}

glia_value *glia__onnx_quantized(glia_value *y, glia_value *zero, int64_t type, bool saturate) {
    const glia_narrow_type *narrow = glia__onnx_narrow(type);
    if (!narrow || !narrow->is_float) y = glia_op_round(y);
    if (zero) y = glia_op_add(y, glia_op_cast(zero, glia_value_dtype(y)));
    if (narrow && !narrow->is_float)
        y = glia_op_clip(y, (glia_clip_attrs){.min = narrow->least, .max = narrow->most});
    return glia__onnx_cast(y, type, saturate); /* to u8 that is within the range as well */
}

static void read_quantize(glia_onnx_read *r) {
    const scales s = read_scales(r);
    const bool saturate = glia__onnx_int(r, "saturate", 1) != 0;
    glia_value *x = computed(glia__onnx_in(r, 0)), *zero = beside(r, x, glia__onnx_in(r, 2), s.axis, s.block);
    glia_value *scale = computed(beside(r, x, glia__onnx_in(r, 1), s.axis, s.block));
    const int64_t type = zero ? glia__onnx_number_type(r, 2) : s.type ? s.type : GLIA_ONNX_U8;
    if (!scale || r->refused) return;
    if (type != GLIA_ONNX_U8 && !glia__onnx_narrow(type)) {
        (void)glia__onnx_refuse(r, "results of the type %s are not supported", glia__onnx_dtype_name(type));
        return;
    }
    r->out[0] = glia__onnx_quantized(glia_op_div(x, scale), zero, type, saturate);
    glia__onnx_say_type(r, 0, type);
}
GLIA_ONNX(quantize_linear) = {.op_type = "QuantizeLinear",
                              .since = 10,
                              .min_inputs = 2,
                              .max_inputs = 3,
                              .own_types = 1,
                              .read = read_quantize};

/* The result is of the scale's type, unless it is said. */
static void read_dequantize(glia_onnx_read *r) {
    const scales s = read_scales(r);
    const int64_t type = s.type ? s.type : glia__onnx_number_type(r, 1);
    glia_value *x = glia__onnx_in(r, 0), *zero = beside(r, x, glia__onnx_in(r, 2), s.axis, s.block);
    glia_value *scale = computed(beside(r, x, glia__onnx_in(r, 1), s.axis, s.block));
    if (!scale || r->refused) return;
    const glia_dtype dtype = glia_value_dtype(scale);
    glia_value *y = glia_op_cast(x, dtype);
    if (zero) y = glia_op_sub(y, glia_op_cast(zero, dtype));
    y = glia_op_mul(y, scale);
    r->out[0] = glia__onnx_dtype(type) == dtype ? y : glia_op_cast(y, glia__onnx_dtype(type));
    glia__onnx_say_type(r, 0, type);
}
GLIA_ONNX(dequantize_linear) = {.op_type = "DequantizeLinear",
                                .since = 10,
                                .min_inputs = 2,
                                .max_inputs = 3,
                                .own_types = 1,
                                .read = read_dequantize};

/* scale = (max − min)/255 of a range with 0 in it, zero = the number that 0 becomes. */
static void read_dynamic_quantize(glia_onnx_read *r) {
    const glia_reduce_attrs all = {.keep_dims = GLIA_NO};
    glia_value *x = glia__onnx_in(r, 0);
    if (!x) return;
    glia_value *none = glia__number(x, 0);
    glia_value *low = glia_op_minimum(glia_op_min(x, all), none),
               *high = glia_op_maximum(glia_op_max(x, all), none);
    glia_value *scale = glia_op_div(glia_op_sub(high, low), glia__number(x, 255));
    glia_value *zero = glia__onnx_quantized(glia_op_div(glia_op_neg(low), scale), NULL, GLIA_ONNX_U8, true);
    r->out[0] = glia__onnx_quantized(glia_op_div(x, scale), zero, GLIA_ONNX_U8, true);
    if (r->n_out > 1) r->out[1] = scale;
    if (r->n_out > 2) r->out[2] = zero;
}
GLIA_ONNX(dynamic_quantize_linear) = {.op_type = "DynamicQuantizeLinear",
                                      .since = 11,
                                      .min_inputs = 1,
                                      .max_inputs = 1,
                                      .own_types = 7,
                                      .read = read_dynamic_quantize};
