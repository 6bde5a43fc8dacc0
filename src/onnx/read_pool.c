/* read_pool.c: pools. What max_pool2d and average_pool2d do not do (dilation, volumes, whole numbers, the places of the
 * largest) their siblings over volumes do. */

#include "onnx/read_window.h"

/* Rounding up is rounding down with as much more padding at the end as the last window needs. A window that would begin
 * in that padding is none. */
static bool round_up(glia_onnx_read *r, const glia_shape *x, glia_onnx_window *w) {
    if (!glia__onnx_int(r, "ceil_mode", 0) || w->automatic != GLIA_ONNX_PAD_SET) return true;
    for (int d = 3 - w->dims; d < 3; d++) {
        const int64_t in = x->dim[x->rank - 3 + d], reach = (w->kernel[d] - 1) * w->dilations[d] + 1;
        if (in < 0) {
            (void)glia__onnx_refuse(r, "ceil_mode of an open dimension is not supported");
            return false;
        }
        const int64_t padded = in + w->pads[d] + w->pads[3 + d];
        if (padded < reach) continue;
        int64_t out = (padded - reach + w->strides[d] - 1) / w->strides[d] + 1;
        if ((out - 1) * w->strides[d] >= in + w->pads[d]) out--;
        w->pads[3 + d] = GLIA_MAX(w->pads[3 + d], (out - 1) * w->strides[d] + reach - in - w->pads[d]);
    }
    return true;
}

/* Reads the window; `written`: its padding before rounding up. */
static bool pool_window(glia_onnx_read *r, const glia_shape *x, glia_onnx_window *w, int64_t *written) {
    if (!glia__onnx_has_attr(r, "kernel_shape")) (void)glia__onnx_refuse(r, "it has no kernel_shape");
    if (r->refused || !glia__onnx_window(r, x, NULL, w) || !glia__onnx_window_pad(r, x, w)) return false;
    memcpy(written, w->pads, sizeof w->pads);
    return round_up(r, x, w);
}

static bool is_plain(const glia_onnx_window *w) {
    return w->dims < 3 && w->dilations[1] == 1 && w->dilations[2] == 1;
}

static glia_pool2d_attrs flat(const glia_onnx_window *w) {
    return (glia_pool2d_attrs){.size = {w->kernel[1], w->kernel[2]},
                               .strides = {w->strides[1], w->strides[2]},
                               .padding = 2,
                               .pads = {w->pads[1], w->pads[2], w->pads[4], w->pads[5]}};
}

static glia_pool3d_attrs deep(const glia_onnx_window *w) {
    glia_pool3d_attrs a = {.padding = 2};
    memcpy(a.size, w->kernel, sizeof a.size);
    memcpy(a.strides, w->strides, sizeof a.strides);
    memcpy(a.dilation, w->dilations, sizeof a.dilation);
    memcpy(a.pads, w->pads, sizeof a.pads);
    return a;
}

static void read_max_pool(glia_onnx_read *r) {
    glia_onnx_window w;
    int64_t written[6];
    glia_value *x = glia__onnx_in(r, 0);
    if (!x) return;
    const glia_shape image = glia_value_shape(x);
    const bool by_columns = glia__onnx_int(r, "storage_order", 0) != 0;
    if (!pool_window(r, &image, &w, written)) return;
    if (by_columns && r->n_out > 1) {
        (void)glia__onnx_refuse(r, "indices that count by columns are not supported");
        return;
    }
    const glia_dtype dtype = glia_value_dtype(x);
    if (is_plain(&w) && r->n_out == 1 && glia_dtype_is_float(dtype)) {
        r->out[0] =
            glia__onnx_deflate(glia_op_max_pool2d(glia__onnx_inflate(x, w.dims, 2), flat(&w)), w.dims, 2);
        return;
    }
    glia_value *y = glia_op_max_pool3d(glia__onnx_inflate(x, w.dims, 3), deep(&w));
    r->out[0] = glia__onnx_deflate(y, w.dims, 3);
    if (r->n_out > 1) r->out[1] = glia__onnx_deflate(glia_value_sibling(y, 1), w.dims, 3);
}
GLIA_ONNX(max_pool) = {
    .op_type = "MaxPool", .min_inputs = 1, .max_inputs = 1, .own_types = 2, .read = read_max_pool};

/* Zeros around x, as many as `pads` says, so that they count; what rounding up added stays with the window. */
static glia_value *pad_with_zeros(glia_value *x, glia_onnx_window *w, const int64_t *pads) {
    for (int d = 3 - w->dims; d < 3; d++) {
        if (pads[d] || pads[3 + d])
            x = glia_op_pad(x, (glia_pad_attrs){.axis = d - 3, .begin = pads[d], .end = pads[3 + d]});
        w->pads[d] -= pads[d];
        w->pads[3 + d] -= pads[3 + d];
    }
    return x;
}

static glia_value *average(glia_value *x, const glia_onnx_window *w) {
    return is_plain(w)
               ? glia__onnx_deflate(glia_op_average_pool2d(glia__onnx_inflate(x, w->dims, 2), flat(w)),
                                    w->dims, 2)
               : glia__onnx_deflate(glia_op_average_pool3d(glia__onnx_inflate(x, w->dims, 3), deep(w)),
                                    w->dims, 3);
}

static void read_average_pool(glia_onnx_read *r) {
    glia_onnx_window w;
    int64_t written[6];
    glia_value *x = glia__onnx_in(r, 0);
    if (!x) return;
    const glia_shape image = glia_value_shape(x);
    const bool counted = glia__onnx_int(r, "count_include_pad", 0) != 0;
    if (!pool_window(r, &image, &w, written)) return;
    if (counted) x = pad_with_zeros(x, &w, written);
    r->out[0] = average(x, &w);
}
GLIA_ONNX(average_pool) = {
    .op_type = "AveragePool", .min_inputs = 1, .max_inputs = 1, .read = read_average_pool};

static glia_value *to_power(glia_value *x, double p) {
    return p == 1     ? x
           : p == 2   ? glia_op_square(x)
           : p == 0.5 ? glia_op_sqrt(x)
                      : glia_op_pow(x, glia__number(x, p));
}

/* (Σ |x|^p)^(1/p): a mean with the padding counted, times the size of the window. */
static void read_lp_pool(glia_onnx_read *r) {
    glia_onnx_window w;
    int64_t written[6];
    glia_value *x = glia__onnx_in(r, 0);
    if (!x) return;
    const glia_shape image = glia_value_shape(x);
    const double p = (double)glia__onnx_int(r, "p", 2);
    if (!pool_window(r, &image, &w, written)) return;
    if (p < 1) {
        (void)glia__onnx_refuse(r, "p must be at least 1");
        return;
    }
    memcpy(written, w.pads, sizeof written);
    x = pad_with_zeros(to_power(glia_op_abs(x), p), &w, written);
    const double size = (double)w.kernel[0] * (double)w.kernel[1] * (double)w.kernel[2];
    r->out[0] = to_power(glia__scaled(average(x, &w), size), 1 / p);
}
GLIA_ONNX(lp_pool) = {.op_type = "LpPool", .min_inputs = 1, .max_inputs = 1, .read = read_lp_pool};

/* Everything after the channels. */
static bool spatial_axes(glia_onnx_read *r, const glia_value *x, glia_reduce_attrs *a) {
    const int rank = glia_value_shape(x).rank;
    *a = (glia_reduce_attrs){.keep_dims = GLIA_YES};
    if (rank < 3) (void)glia__onnx_refuse(r, "expected images [N, C, …]");
    for (int d = 2; d < rank; d++) a->axes.dim[a->axes.rank++] = d;
    return !r->refused;
}

static void read_global_average_pool(glia_onnx_read *r) {
    glia_value *x = glia__onnx_in(r, 0);
    glia_reduce_attrs a;
    if (!x || !spatial_axes(r, x, &a)) return;
    if (a.axes.rank != 2) {
        r->out[0] = glia_op_mean(x, a);
        return;
    }
    x = glia_op_global_average_pool2d(x, (glia_global_average_pool2d_attrs){GLIA_DEFAULT});
    r->out[0] = glia_op_unsqueeze(x, (glia_squeeze_attrs){a.axes});
}
static void read_global_max_pool(glia_onnx_read *r) {
    glia_value *x = glia__onnx_in(r, 0);
    glia_reduce_attrs a;
    if (x && spatial_axes(r, x, &a)) r->out[0] = glia_op_max(x, a);
}
static void read_global_lp_pool(glia_onnx_read *r) {
    glia_value *x = glia__onnx_in(r, 0);
    const double p = (double)glia__onnx_int(r, "p", 2);
    glia_reduce_attrs a;
    if (p < 1) (void)glia__onnx_refuse(r, "p must be at least 1");
    if (x && spatial_axes(r, x, &a)) r->out[0] = to_power(glia_op_sum(to_power(glia_op_abs(x), p), a), 1 / p);
}
GLIA_ONNX(global_average_pool) = {
    .op_type = "GlobalAveragePool", .min_inputs = 1, .max_inputs = 1, .read = read_global_average_pool};
GLIA_ONNX(global_max_pool) = {
    .op_type = "GlobalMaxPool", .min_inputs = 1, .max_inputs = 1, .read = read_global_max_pool};
GLIA_ONNX(global_lp_pool) = {
    .op_type = "GlobalLpPool", .min_inputs = 1, .max_inputs = 1, .read = read_global_lp_pool};

/* Numbers back at the places they were the largest of; the rest is zeros. */
static void read_max_unpool(glia_onnx_read *r) {
    glia_onnx_window w;
    glia_value *x = glia__onnx_in(r, 0), *indices = glia__onnx_in(r, 1);
    if (!x || !indices) return;
    const glia_shape small = glia_value_shape(x);
    glia_shape large = small, wanted;
    if (!glia__onnx_window(r, &small, NULL, &w)) return;
    for (int d = 0; d < w.dims; d++) {
        const int at = 3 - w.dims + d;
        large.dim[2 + d] =
            (small.dim[2 + d] - 1) * w.strides[at] + w.kernel[at] - w.pads[at] - w.pads[3 + at];
    }
    wanted = large;
    if (glia__onnx_has(r, 2) && !glia__onnx_dims_in(r, 2, &wanted)) return;
    const int64_t elems = glia_shape_elems(&large);
    if (glia_shape_elems(&small) < 0 || elems < 1 || wanted.rank != large.rank) {
        (void)glia__onnx_refuse(r, "its sizes are open, or do not fit");
        return;
    }
    const double zero = 0;
    const float narrow = 0;
    const glia_shape line = {1, {elems}};
    const bool wide = glia_value_dtype(x) == GLIA_F64;
    const glia_reshape_attrs flat_line = {{1, {-1}}};
    glia_value *zeros = glia__onnx_filled(r, wide ? GLIA_F64 : GLIA_F32, &line,
                                          wide ? (const void *)&zero : (const void *)&narrow);
    glia_value *y =
        glia_op_scatter_elements(zeros, glia_op_reshape(indices, flat_line), glia_op_reshape(x, flat_line),
                                 (glia_scatter_elements_attrs){.axis = 0});
    y = glia_op_reshape(y, (glia_reshape_attrs){large});
    for (int d = 0; d < large.rank; d++) {
        if (wanted.dim[d] == large.dim[d]) continue;
        if (wanted.dim[d] < large.dim[d])
            y = glia_op_slice(y, (glia_slice_attrs){.axis = d, .end = wanted.dim[d], .step = 1});
        else
            y = glia_op_pad(y, (glia_pad_attrs){.axis = d, .end = wanted.dim[d] - large.dim[d]});
    }
    r->out[0] = y;
}
GLIA_ONNX(max_unpool) = {.op_type = "MaxUnpool", .min_inputs = 2, .max_inputs = 3, .read = read_max_unpool};
