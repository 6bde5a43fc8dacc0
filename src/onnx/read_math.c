/* read_math.c: operators that compute place by place, or along an axis, where ONNX says otherwise than Glia's ops. */

#include "onnx/read.h"

static bool is_whole(glia_value *x) {
    return x && !glia_dtype_is_float(glia_value_dtype(x));
}

/* Of whole numbers too. */
static void read_neg(glia_onnx_read *r) {
    glia_value *x = glia__onnx_in(r, 0);
    r->out[0] = is_whole(x) ? glia_op_sub(glia__number(x, 0), x) : glia_op_neg(x);
}
GLIA_ONNX(neg) = {.op_type = "Neg", .min_inputs = 1, .max_inputs = 1, .read = read_neg};

static void read_abs(glia_onnx_read *r) {
    glia_value *x = glia__onnx_in(r, 0);
    r->out[0] = is_whole(x) ? glia_op_maximum(x, glia_op_sub(glia__number(x, 0), x)) : glia_op_abs(x);
}
GLIA_ONNX(abs) = {.op_type = "Abs", .min_inputs = 1, .max_inputs = 1, .read = read_abs};

/* The usual numbers are those of the op. */
static void read_selu(glia_onnx_read *r) {
    const double alpha = glia__onnx_float(r, "alpha", 1.6732632423543772),
                 gamma = glia__onnx_float(r, "gamma", 1.0507009873554805);
    glia_value *x = glia__onnx_in(r, 0);
    if (fabs(alpha - 1.6732632423543772) < 1e-6 && fabs(gamma - 1.0507009873554805) < 1e-6)
        r->out[0] = glia_op_selu(x);
    else
        r->out[0] = glia__scaled(glia_op_elu(x, (glia_elu_attrs){.alpha = alpha}), gamma);
}
GLIA_ONNX(selu) = {.op_type = "Selu", .min_inputs = 1, .max_inputs = 1, .read = read_selu};

static glia_value *swish(glia_onnx_read *r) {
    const double alpha = glia__onnx_float(r, "alpha", 1);
    glia_value *x = glia__onnx_in(r, 0);
    if (!x) return NULL;
    return alpha == 1 ? glia_op_silu(x) : glia_op_mul(x, glia_op_sigmoid(glia__scaled(x, alpha)));
}

static void read_swish(glia_onnx_read *r) {
    r->out[0] = swish(r);
}
static void read_swiglu(glia_onnx_read *r) {
    r->out[0] = glia_op_mul(swish(r), glia__onnx_in(r, 1));
}
GLIA_ONNX(swiglu) = {.op_type = "SwiGLU", .since = 28, .min_inputs = 2, .max_inputs = 2, .read = read_swiglu};
GLIA_ONNX(swish) = {.op_type = "Swish", .since = 24, .min_inputs = 1, .max_inputs = 1, .read = read_swish};

/* Before opset 13 the dimensions from `axis` (1) on were one. */
static void read_hardmax(glia_onnx_read *r) {
    const int64_t axis = glia__onnx_int(r, "axis", r->opset < 13 ? 1 : -1);
    glia_value *x = glia__onnx_in(r, 0);
    if (r->opset >= 13) {
        r->out[0] = glia_op_hardmax(x, axis);
        return;
    }
    glia_value *y[] = {glia_op_hardmax(glia_op_flatten(x, (glia_flatten_attrs){.axis = axis}), 1), x};
    r->out[0] = glia_graph_apply(r->graph, "reshape_like", y, 2, NULL);
}
GLIA_ONNX(hardmax) = {.op_type = "Hardmax", .min_inputs = 1, .max_inputs = 1, .read = read_hardmax};

/* x·(bias + alpha/size · Σ x² over `size` channels around)^−beta: the sum is a mean of squares, zeros counted. */
static void read_lrn(glia_onnx_read *r) {
    const double alpha = glia__onnx_float(r, "alpha", 1e-4), beta = glia__onnx_float(r, "beta", 0.75);
    const double bias = glia__onnx_float(r, "bias", 1);
    const int64_t size = glia__onnx_int(r, "size", 0);
    glia_value *x = glia__onnx_in(r, 0);
    if (!x || r->refused) return;
    const glia_shape shape = glia_value_shape(x);
    if (shape.rank < 3 || size < 1) {
        (void)glia__onnx_refuse(r,
                                "expected channels with dimensions of their own, and a size of at least 1");
        return;
    }
    glia_value *squares = glia_op_mul(x, x);
    squares = glia_op_pad(squares, (glia_pad_attrs){.axis = 1, .begin = (size - 1) / 2, .end = size / 2});
    squares = glia_op_reshape(squares,
                              (glia_reshape_attrs){.shape = GLIA_SHAPE(0, 1, shape.dim[1] + size - 1, -1)});
    const glia_pool2d_attrs window = {.size = {size, 1}, .strides = {1, 1}};
    glia_value *y[] = {glia_op_average_pool2d(squares, window), x};
    glia_value *mean = glia_graph_apply(r->graph, "reshape_like", y, 2, NULL);
    glia_value *bottom = glia_op_add(glia__scaled(mean, alpha), glia__number(x, bias));
    r->out[0] = glia_op_mul(x, glia_op_pow(bottom, glia__number(x, -beta)));
}
GLIA_ONNX(lrn) = {.op_type = "LRN", .min_inputs = 1, .max_inputs = 1, .read = read_lrn};
