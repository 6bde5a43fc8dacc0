/* read_network.c: products, convolutions, pools, batch normalisation. */

#include "onnx/read.h"

/* --- products ------------------------------------------------------------------------------------------------------ */

/* One dimension becomes a row (a) or a column (b), which is taken out of the result again. */
static void read_matmul(glia_onnx_read *r) {
    glia_value *a = glia__onnx_in(r, 0), *b = glia__onnx_in(r, 1);
    if (!a || !b) return;
    const bool row = glia_value_shape(a).rank == 1, column = glia_value_shape(b).rank == 1;
    if (row) a = glia_op_unsqueeze(a, (glia_squeeze_attrs){.axes = {1, {0}}});
    if (column) b = glia_op_unsqueeze(b, (glia_squeeze_attrs){.axes = {1, {1}}});
    glia_value *y = glia_op_matmul(a, b, (glia_matmul_attrs){GLIA_NO, GLIA_NO});
    if (column) y = glia_op_squeeze(y, (glia_squeeze_attrs){.axes = {1, {-1}}});
    if (row) y = glia_op_squeeze(y, (glia_squeeze_attrs){.axes = {1, {column ? -1 : -2}}});
    r->out[0] = y;
}
GLIA_ONNX(matmul) = {.op_type = "MatMul", .min_inputs = 2, .max_inputs = 2, .read = read_matmul};

/* y = α·a·b + β·c; with b transposed and nothing else, a dense layer. */
static void read_gemm(glia_onnx_read *r) {
    const double alpha = glia__onnx_float(r, "alpha", 1), beta = glia__onnx_float(r, "beta", 1);
    const glia_bool transpose_a = glia__onnx_int(r, "transA", 0) ? GLIA_YES : GLIA_NO;
    const glia_bool transpose_b = glia__onnx_int(r, "transB", 0) ? GLIA_YES : GLIA_NO;
    glia_value *a = glia__onnx_in(r, 0), *b = glia__onnx_in(r, 1), *c = glia__onnx_in(r, 2);
    if (!a || !b) return;
    const glia_shape units = glia_value_shape(b), bias = glia_value_shape(c);
    const bool fits = !c || (bias.rank == 1 && units.rank == 2 && bias.dim[0] == units.dim[0]);
    if (transpose_a == GLIA_NO && transpose_b == GLIA_YES && alpha == 1 && beta == 1 && fits) {
        r->out[0] = glia_op_linear(a, b, c, (glia_linear_attrs){0});
        return;
    }
    glia_value *y = glia_op_matmul(a, b, (glia_matmul_attrs){transpose_a, transpose_b});
    if (alpha != 1) y = glia__scaled(y, alpha);
    if (c) y = glia_op_add(y, beta != 1 ? glia__scaled(c, beta) : c);
    r->out[0] = y;
}
GLIA_ONNX(gemm) = {.op_type = "Gemm", .min_inputs = 2, .max_inputs = 3, .read = read_gemm};

/* --- windows over images --------------------------------------------------------------------------------------------- */

/* What Conv and the pools share, for one dimension (which becomes a height of 1) or two. */
typedef struct window {
    int dims;
    int64_t kernel[2], strides[2], dilations[2], pads[4]; /* top, left, bottom, right */
    int padding;                                          /* as the ops have it: valid, same, explicit */
} window;

/* Reads a list of one number for each dimension, or two: the beginnings, then the ends. */
static void read_pairs(glia_onnx_read *r, const char *name, int dims, int each, int64_t *out) {
    int64_t list[4];
    int count = dims * each;
    if (!glia__onnx_int_list(r, name, list, 4, &count)) return;
    for (int e = 0; e < each; e++)
        for (int d = 0; d < dims; d++) out[2 * e + 2 - dims + d] = list[e * dims + d];
}

/* ⌈in/stride⌉ results with the odd zero at the beginning: SAME_LOWER as explicit padding. */
static void lower(glia_onnx_read *r, window *w, const glia_shape *x) {
    for (int d = 2 - w->dims; d < 2; d++) {
        const int64_t in = x->dim[x->rank - 2 + d], reach = (w->kernel[d] - 1) * w->dilations[d] + 1;
        if (in < 0) {
            (void)glia__onnx_refuse(r, "auto_pad SAME_LOWER of an open dimension is not supported");
            return;
        }
        const int64_t out = (in + w->strides[d] - 1) / w->strides[d];
        const int64_t total = GLIA_MAX(0, (out - 1) * w->strides[d] + reach - in);
        w->pads[d] = total - total / 2;
        w->pads[2 + d] = total / 2;
    }
    w->padding = 2;
}

/* `kernel`: of the weights, or NULL: an attribute. */
static bool read_window(glia_onnx_read *r, const glia_shape *x, const glia_shape *weights, window *w) {
    enum { NOT_SET, VALID, UPPER, LOWER };
    *w = (window){.dims = x->rank - 2, .kernel = {1, 1}, .strides = {1, 1}, .dilations = {1, 1}};
    if (w->dims < 1 || w->dims > 2) {
        (void)glia__onnx_refuse(r, "%d dimensions of an image are not supported, only 1 and 2", w->dims);
        return false;
    }
    for (int d = 0; d < w->dims && weights; d++) w->kernel[2 - w->dims + d] = weights->dim[2 + d];
    read_pairs(r, "kernel_shape", w->dims, 1, w->kernel);
    read_pairs(r, "strides", w->dims, 1, w->strides);
    read_pairs(r, "dilations", w->dims, 1, w->dilations);
    read_pairs(r, "pads", w->dims, 2, w->pads);
    for (int d = 0; d < 2; d++)
        if (w->kernel[d] < 1 || w->strides[d] < 1 || w->dilations[d] < 1 || w->kernel[d] > 1 << 20 ||
            w->strides[d] > 1 << 20 || w->dilations[d] > 1 << 20)
            (void)glia__onnx_refuse(r, "kernel, strides or dilations are out of range");
    const int pad = glia__onnx_choice(r, "auto_pad", "NOTSET|VALID|SAME_UPPER|SAME_LOWER", NOT_SET);
    w->padding = pad == UPPER ? 1 : pad == VALID ? 0 : 2;
    if (pad == LOWER && !r->refused) lower(r, w, x);
    return !r->refused;
}

/* [N, C, L] as an image of height 1, and back. */
static glia_value *as_image(glia_value *x, int dims) {
    return dims == 1 ? glia_op_unsqueeze(x, (glia_squeeze_attrs){.axes = {1, {2}}}) : x;
}
static glia_value *as_line(glia_value *x, int dims) {
    return dims == 1 ? glia_op_squeeze(x, (glia_squeeze_attrs){.axes = {1, {2}}}) : x;
}

static void read_conv(glia_onnx_read *r) {
    window v;
    glia_value *x = glia__onnx_in(r, 0), *w = glia__onnx_in(r, 1), *b = glia__onnx_in(r, 2);
    if (!x || !w) return;
    const glia_shape image = glia_value_shape(x), weights = glia_value_shape(w);
    if (weights.rank != image.rank) (void)glia__onnx_refuse(r, "its weights do not fit its images");
    if (r->refused || !read_window(r, &image, &weights, &v)) return;
    glia_conv2d_attrs a = {.strides = {v.strides[0], v.strides[1]},
                           .dilation = {v.dilations[0], v.dilations[1]},
                           .padding = v.padding,
                           .groups = glia__onnx_int(r, "group", 1)};
    memcpy(a.pads, v.pads, sizeof a.pads);
    r->out[0] = as_line(glia_op_conv2d(as_image(x, v.dims), as_image(w, v.dims), b, a), v.dims);
}
GLIA_ONNX(conv) = {.op_type = "Conv", .min_inputs = 2, .max_inputs = 3, .read = read_conv};

/* The padding that gives this size of the result, or more of it at the end. */
static void pad_to(glia_onnx_read *r, window *w, const glia_shape *x, const int64_t *wanted, bool upper,
                   int64_t *more) {
    for (int d = 2 - w->dims; d < 2; d++) {
        const int64_t in = x->dim[x->rank - 2 + d], reach = (w->kernel[d] - 1) * w->dilations[d] + 1;
        if (in < 0) {
            (void)glia__onnx_refuse(r, "a size of the result is not supported for an open dimension");
            return;
        }
        const int64_t size = wanted ? wanted[d] : in * w->strides[d];
        int64_t total = w->strides[d] * (in - 1) + more[d] + reach - size;
        if (total < 0) {
            more[d] -= total;
            total = 0;
        }
        w->pads[d] = upper ? total / 2 : total - total / 2;
        w->pads[2 + d] = total - w->pads[d];
    }
    w->padding = 2;
}

static void read_conv_transpose(glia_onnx_read *r) {
    enum { NOT_SET, VALID, UPPER, LOWER };
    window v;
    int64_t more[2] = {0}, wanted[2];
    glia_value *x = glia__onnx_in(r, 0), *w = glia__onnx_in(r, 1), *b = glia__onnx_in(r, 2);
    if (!x || !w) return;
    const glia_shape image = glia_value_shape(x), weights = glia_value_shape(w);
    const int pad = glia__onnx_choice(r, "auto_pad", "NOTSET|VALID|SAME_UPPER|SAME_LOWER", NOT_SET);
    if (weights.rank != image.rank) (void)glia__onnx_refuse(r, "its weights do not fit its images");
    if (r->refused || !read_window(r, &image, &weights, &v)) return;
    read_pairs(r, "output_padding", v.dims, 1, more);
    const bool sized = glia__onnx_has_attr(r, "output_shape");
    read_pairs(r, "output_shape", v.dims, 1, wanted);
    v.padding = 2;
    if (sized || pad == UPPER || pad == LOWER)
        pad_to(r, &v, &image, sized ? wanted : NULL, pad == UPPER, more);
    if (r->refused) return;
    glia_conv_transpose2d_attrs a = {.conv = {.strides = {v.strides[0], v.strides[1]},
                                              .dilation = {v.dilations[0], v.dilations[1]},
                                              .padding = v.padding,
                                              .groups = glia__onnx_int(r, "group", 1)},
                                     .output_padding = {more[0], more[1]}};
    memcpy(a.conv.pads, v.pads, sizeof a.conv.pads);
    r->out[0] = as_line(glia_op_conv_transpose2d(as_image(x, v.dims), as_image(w, v.dims), b, a), v.dims);
}
GLIA_ONNX(conv_transpose) = {
    .op_type = "ConvTranspose", .min_inputs = 2, .max_inputs = 3, .read = read_conv_transpose};

/* Rounding up is rounding down with as much more padding at the end as the last window needs. A window that would begin
 * in that padding is none. */
static bool round_up(glia_onnx_read *r, window *w, const glia_shape *x) {
    if (!glia__onnx_int(r, "ceil_mode", 0) || w->padding == 1) return true;
    for (int d = 2 - w->dims; d < 2; d++) {
        const int64_t in = x->dim[x->rank - 2 + d], reach = (w->kernel[d] - 1) * w->dilations[d] + 1;
        if (in < 0) {
            (void)glia__onnx_refuse(r, "ceil_mode of an open dimension is not supported");
            return false;
        }
        const int64_t padded = in + w->pads[d] + w->pads[2 + d];
        if (padded < reach) continue;
        int64_t out = (padded - reach + w->strides[d] - 1) / w->strides[d] + 1;
        if ((out - 1) * w->strides[d] >= in + w->pads[d]) out--;
        w->pads[2 + d] = GLIA_MAX(w->pads[2 + d], (out - 1) * w->strides[d] + reach - in - w->pads[d]);
    }
    w->padding = 2;
    return true;
}

static bool padded(const window *w) {
    return w->padding == 1 || w->pads[0] || w->pads[1] || w->pads[2] || w->pads[3];
}

static bool pool_attrs(glia_onnx_read *r, const glia_shape *x, window *w, glia_pool2d_attrs *a) {
    if (!glia__onnx_has_attr(r, "kernel_shape")) (void)glia__onnx_refuse(r, "it has no kernel_shape");
    if (r->refused || !read_window(r, x, NULL, w) || !round_up(r, w, x)) return false;
    if (w->dilations[0] != 1 || w->dilations[1] != 1)
        (void)glia__onnx_refuse(r, "dilations are not supported");
    *a = (glia_pool2d_attrs){.size = {w->kernel[0], w->kernel[1]},
                             .strides = {w->strides[0], w->strides[1]},
                             .padding = w->padding};
    memcpy(a->pads, w->pads, sizeof a->pads);
    return !r->refused;
}

static void read_max_pool(glia_onnx_read *r) {
    window w;
    glia_pool2d_attrs a;
    glia_value *x = glia__onnx_in(r, 0);
    if (!x) return;
    const glia_shape image = glia_value_shape(x);
    (void)glia__onnx_int(r, "storage_order", 0); /* of the indices, which are not supported */
    if (pool_attrs(r, &image, &w, &a))
        r->out[0] = as_line(glia_op_max_pool2d(as_image(x, w.dims), a), w.dims);
}
GLIA_ONNX(max_pool) = {.op_type = "MaxPool", .min_inputs = 1, .max_inputs = 1, .read = read_max_pool};

static void read_average_pool(glia_onnx_read *r) {
    window w;
    glia_pool2d_attrs a;
    glia_value *x = glia__onnx_in(r, 0);
    if (!x) return;
    const glia_shape image = glia_value_shape(x);
    const bool counted = glia__onnx_int(r, "count_include_pad", 0) != 0;
    if (!pool_attrs(r, &image, &w, &a)) return;
    if (counted && padded(&w))
        (void)glia__onnx_refuse(r, "count_include_pad is not supported");
    else
        r->out[0] = as_line(glia_op_average_pool2d(as_image(x, w.dims), a), w.dims);
}
GLIA_ONNX(average_pool) = {
    .op_type = "AveragePool", .min_inputs = 1, .max_inputs = 1, .read = read_average_pool};

/* Over everything after the channels. */
static void global_pool(glia_onnx_read *r, glia_value *(*op)(glia_value *x, glia_reduce_attrs attrs)) {
    glia_value *x = glia__onnx_in(r, 0);
    glia_reduce_attrs a = {.keep_dims = GLIA_YES};
    const int rank = glia_value_shape(x).rank;
    if (x && rank < 3) (void)glia__onnx_refuse(r, "expected images [N, C, …]");
    if (!x || r->refused) return;
    for (int d = 2; d < rank; d++) a.axes.dim[a.axes.rank++] = d;
    r->out[0] = op(x, a);
}
static void read_global_average_pool(glia_onnx_read *r) {
    global_pool(r, glia_op_mean);
}
static void read_global_max_pool(glia_onnx_read *r) {
    global_pool(r, glia_op_max);
}
GLIA_ONNX(global_average_pool) = {
    .op_type = "GlobalAveragePool", .min_inputs = 1, .max_inputs = 1, .read = read_global_average_pool};
GLIA_ONNX(global_max_pool) = {
    .op_type = "GlobalMaxPool", .min_inputs = 1, .max_inputs = 1, .read = read_global_max_pool};

/* --- batch normalisation ---------------------------------------------------------------------------------------------- */

/* Numbers a channel beside [N, C, …]. */
static glia_value *beside(glia_value *x, glia_value *numbers) {
    glia_squeeze_attrs a = {0};
    for (int d = 1; d < glia_value_shape(x).rank - 1; d++) a.axes.dim[a.axes.rank++] = d;
    return a.axes.rank ? glia_op_unsqueeze(numbers, a) : numbers;
}

/* x·w + (bias − mean·w), w = scale / √(var + ε): the batch's statistics play no part. */
static glia_value *normalised(glia_onnx_read *r, glia_value *mean, glia_value *var, double epsilon) {
    glia_value *x = glia__onnx_in(r, 0);
    glia_value *w =
        glia_op_mul(glia__onnx_in(r, 1), glia_op_rsqrt(glia_op_add(var, glia__number(var, epsilon))));
    glia_value *shift = glia_op_sub(glia__onnx_in(r, 2), glia_op_mul(mean, w));
    return glia_op_add(glia_op_mul(x, beside(x, w)), beside(x, shift));
}

/* Mean and variance are state: Glia's training moves them as any batch normalisation's. */
static void read_batch_normalization(glia_onnx_read *r) {
    if (glia__onnx_int(r, "training_mode", 0) || (r->opset < 9 && !glia__onnx_int(r, "spatial", 1))) {
        (void)glia__onnx_refuse(r, "training_mode and spatial 0 are not supported");
        return;
    }
    glia__onnx_ignore(r, "spatial");
    glia_value *mean = glia__onnx_state_in(r, 3), *var = glia__onnx_state_in(r, 4);
    const glia_batch_norm_attrs a = {.epsilon = glia__onnx_float(r, "epsilon", 1e-5),
                                     .momentum = glia__onnx_float(r, "momentum", 0.9)};
    if (glia__onnx_frozen(r)) {
        r->out[0] = normalised(r, mean, var, a.epsilon);
        return;
    }
    glia_value *y =
        glia_op_batch_norm(glia__onnx_in(r, 0), glia__onnx_in(r, 1), glia__onnx_in(r, 2), mean, var, a);
    glia__onnx_update(r, mean, glia_value_sibling(y, 1));
    glia__onnx_update(r, var, glia_value_sibling(y, 2));
    r->out[0] = y;
}
GLIA_ONNX(batch_normalization) = {
    .op_type = "BatchNormalization", .min_inputs = 5, .max_inputs = 5, .read = read_batch_normalization};
