/* read_network.c: products, batch normalisation. */

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

/* The statistics of the batch, whatever the model is used for, and what becomes of the running ones. */
static void read_batch_statistics(glia_onnx_read *r) {
    const double epsilon = glia__onnx_float(r, "epsilon", 1e-5), kept = glia__onnx_float(r, "momentum", 0.9);
    glia_value *x = glia__onnx_in(r, 0), *mean = glia__onnx_in(r, 3), *var = glia__onnx_in(r, 4);
    if (!x || !mean || !var) return;
    glia_reduce_attrs over = {.axes = {1, {0}}, .keep_dims = GLIA_NO};
    for (int d = 2; d < glia_value_shape(x).rank; d++) over.axes.dim[over.axes.rank++] = d;
    glia_value *now = glia_op_mean(x, over), *centred = glia_op_sub(x, beside(x, now));
    glia_value *spread = glia_op_mean(glia_op_mul(centred, centred), over);
    r->out[0] = normalised(r, now, spread, epsilon);
    if (r->n_out > 1) r->out[1] = glia_op_add(glia__scaled(mean, kept), glia__scaled(now, 1 - kept));
    if (r->n_out > 2) r->out[2] = glia_op_add(glia__scaled(var, kept), glia__scaled(spread, 1 - kept));
}

/* Mean and variance are state: Glia's training moves them as any batch normalisation's. */
static void read_batch_normalization(glia_onnx_read *r) {
    if (r->opset < 9 && !glia__onnx_int(r, "spatial", 1)) {
        (void)glia__onnx_refuse(r, "spatial 0 is not supported");
        return;
    }
    if (r->opset >= 14 && glia__onnx_int(r, "training_mode", 0)) {
        read_batch_statistics(r);
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
