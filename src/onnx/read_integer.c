/* read_integer.c: products of quantised numbers. Sums of whole numbers are exact in f64, as their convolutions and matrix products
 * are computed here. */

#include "onnx/carried.h"
#include "onnx/read_window.h"

/* One number for all, or those of dimension `at` of an array of `rank` (negative: from the end). Arrays of the rank stay. */
static glia_value *beside(glia_value *param, int rank, int at) {
    if (!param || glia_value_shape(param).rank != 1 || rank < 2) return param;
    glia_reshape_attrs a = {.shape = {.rank = rank}};
    for (int d = 0; d < rank; d++) a.shape.dim[d] = 1;
    a.shape.dim[at < 0 ? rank + at : at] = glia_value_shape(param).dim[0];
    return glia_op_reshape(param, a);
}

/* x − zero in f64. The zero is one number, or lies along dimension `at`. */
static glia_value *centred(glia_value *x, glia_value *zero, int at) {
    if (!x) return NULL;
    const glia_shape shape = glia_value_shape(x);
    x = glia_op_cast(x, GLIA_F64);
    if (!zero) return x;
    return glia_op_sub(x, glia_op_cast(beside(zero, shape.rank, at), GLIA_F64));
}

/* Without the point, and wrapped, as sums of 32 bits are. */
static glia_value *as_i32(glia_value *y) {
    return glia_op_cast(glia_op_cast(y, GLIA_I64), GLIA_I32);
}

static glia_value *product(glia_onnx_read *r, int a, int a_zero, int b, int b_zero) {
    glia_value *x = glia__onnx_in(r, a), *y = glia__onnx_in(r, b);
    if (!x || !y) return NULL;
    x = centred(x, glia__onnx_in(r, a_zero), -2);
    y = centred(y, glia__onnx_in(r, b_zero), -1);
    return glia_op_matmul(x, y, (glia_matmul_attrs){0});
}

static void read_matmul_integer(glia_onnx_read *r) {
    r->out[0] = as_i32(product(r, 0, 2, 1, 3));
}
GLIA_ONNX(matmul_integer) = {.op_type = "MatMulInteger",
                             .since = 10,
                             .min_inputs = 2,
                             .max_inputs = 4,
                             .own_types = 1,
                             .read = read_matmul_integer};

static void read_conv_integer(glia_onnx_read *r) {
    glia_value *x = centred(glia__onnx_in(r, 0), glia__onnx_in(r, 2), 1);
    glia_value *w = centred(glia__onnx_in(r, 1), glia__onnx_in(r, 3), 0);
    r->out[0] = as_i32(glia__onnx_convolution(r, x, w, NULL));
}
GLIA_ONNX(conv_integer) = {.op_type = "ConvInteger",
                           .since = 10,
                           .min_inputs = 2,
                           .max_inputs = 4,
                           .own_types = 1,
                           .read = read_conv_integer};

/* y·(scale of a · scale of b / scale of the result), quantised as the zero point of the result is. Scales lie as zero points do. */
static void requantize(glia_onnx_read *r, glia_value *y, glia_value *a_scale, glia_value *b_scale,
                       int scale) {
    const int64_t type = glia__onnx_number_type(r, scale + 1);
    glia_value *to = glia__onnx_in(r, scale), *zero = glia__onnx_in(r, scale + 1);
    if (!y || !a_scale || !b_scale || !to || !zero) return;
    glia_value *ratio =
        glia_op_div(glia_op_mul(glia_op_cast(a_scale, GLIA_F64), glia_op_cast(b_scale, GLIA_F64)),
                    glia_op_cast(to, GLIA_F64));
    r->out[0] = glia__onnx_quantized(glia_op_mul(y, ratio), zero, type, true);
    glia__onnx_say_type(r, 0, type);
}

static void read_qlinear_matmul(glia_onnx_read *r) {
    glia_value *y = product(r, 0, 2, 3, 5), *a = glia__onnx_in(r, 1), *b = glia__onnx_in(r, 4);
    if (!y || !a || !b) return;
    const int rank = glia_value_shape(y).rank;
    requantize(r, y, beside(a, rank, -2), beside(b, rank, -1), 6);
}
GLIA_ONNX(qlinear_matmul) = {.op_type = "QLinearMatMul",
                             .since = 10,
                             .min_inputs = 8,
                             .max_inputs = 8,
                             .own_types = 1,
                             .read = read_qlinear_matmul};

/* The bias is a whole number of products of both scales: it is added before they are. */
static void read_qlinear_conv(glia_onnx_read *r) {
    glia_value *x = centred(glia__onnx_in(r, 0), glia__onnx_in(r, 2), 1);
    glia_value *w = centred(glia__onnx_in(r, 3), glia__onnx_in(r, 5), 0), *bias = glia__onnx_in(r, 8);
    glia_value *scale = glia__onnx_in(r, 1), *w_scale = glia__onnx_in(r, 4);
    if (!x || !w || !scale || !w_scale) return;
    glia_value *y = glia__onnx_convolution(r, x, w, bias ? glia_op_cast(bias, GLIA_F64) : NULL);
    if (!y) return;
    requantize(r, y, scale, beside(w_scale, glia_value_shape(y).rank, 1), 6);
}
GLIA_ONNX(qlinear_conv) = {.op_type = "QLinearConv",
                           .since = 10,
                           .min_inputs = 8,
                           .max_inputs = 9,
                           .own_types = 1,
                           .read = read_qlinear_conv};
