/* read_window.c: see read_window.h; and the convolutions. */

#include "onnx/read_window.h"

bool glia__onnx_window_list(glia_onnx_read *r, const char *name, int dims, int64_t *out) {
    int count = dims;
    return glia__onnx_int_list(r, name, out + 3 - dims, dims, &count);
}

bool glia__onnx_window(glia_onnx_read *r, const glia_shape *x, const glia_shape *weights,
                       glia_onnx_window *w) {
    enum { MOST = 1 << 20 };
    *w = (glia_onnx_window){
        .dims = x->rank - 2, .kernel = {1, 1, 1}, .strides = {1, 1, 1}, .dilations = {1, 1, 1}};
    if (w->dims < 1 || w->dims > 3 || (weights && weights->rank != x->rank)) {
        (void)glia__onnx_refuse(r, weights && weights->rank != x->rank
                                       ? "its weights do not fit its images"
                                       : "only images of 1 to 3 dimensions are supported");
        return false;
    }
    for (int d = 0; d < w->dims && weights; d++) w->kernel[3 - w->dims + d] = weights->dim[2 + d];
    (void)glia__onnx_window_list(r, "kernel_shape", w->dims, w->kernel);
    (void)glia__onnx_window_list(r, "strides", w->dims, w->strides);
    (void)glia__onnx_window_list(r, "dilations", w->dims, w->dilations);
    int64_t list[6];
    int count = 2 * w->dims;
    if (glia__onnx_int_list(r, "pads", list, 6, &count))
        for (int d = 0; d < w->dims; d++) {
            w->pads[3 - w->dims + d] = list[d];
            w->pads[6 - w->dims + d] = list[w->dims + d];
        }
    for (int d = 0; d < 3; d++)
        if (w->kernel[d] < 1 || w->strides[d] < 1 || w->dilations[d] < 1 || w->kernel[d] > MOST ||
            w->strides[d] > MOST || w->dilations[d] > MOST)
            (void)glia__onnx_refuse(r, "kernel, strides or dilations are out of range");
    for (int i = 0; i < 6; i++)
        if (w->pads[i] < 0 || w->pads[i] > MOST) (void)glia__onnx_refuse(r, "pads are out of range");
    w->automatic = glia__onnx_choice(r, "auto_pad", "NOTSET|VALID|SAME_UPPER|SAME_LOWER", 0);
    if (w->automatic == GLIA_ONNX_PAD_VALID) memset(w->pads, 0, sizeof w->pads);
    return !r->refused;
}

bool glia__onnx_window_pad(glia_onnx_read *r, const glia_shape *x, glia_onnx_window *w) {
    for (int d = 3 - w->dims; d < 3 && w->automatic >= GLIA_ONNX_PAD_UPPER; d++) {
        const int64_t in = x->dim[x->rank - 3 + d], reach = (w->kernel[d] - 1) * w->dilations[d] + 1;
        if (in < 0) {
            (void)glia__onnx_refuse(r, "auto_pad of an open dimension is not supported");
            return false;
        }
        const int64_t out = (in + w->strides[d] - 1) / w->strides[d];
        const int64_t total = GLIA_MAX(0, (out - 1) * w->strides[d] + reach - in);
        w->pads[d] = w->automatic == GLIA_ONNX_PAD_UPPER ? total / 2 : total - total / 2;
        w->pads[3 + d] = total - w->pads[d];
    }
    return true;
}

static glia_squeeze_attrs front(int count) {
    glia_squeeze_attrs a = {.axes = {.rank = count}};
    for (int i = 0; i < count; i++) a.axes.dim[i] = 2 + i;
    return a;
}

glia_value *glia__onnx_inflate(glia_value *x, int dims, int wanted) {
    return dims < wanted ? glia_op_unsqueeze(x, front(wanted - dims)) : x;
}

glia_value *glia__onnx_deflate(glia_value *x, int dims, int wanted) {
    return dims < wanted ? glia_op_squeeze(x, front(wanted - dims)) : x;
}

/* --- convolutions ---------------------------------------------------------------------------------------------------- */

/* The attributes of ops in two and three dimensions. */
static glia_conv2d_attrs flat(const glia_onnx_window *w, int64_t groups) {
    return (glia_conv2d_attrs){.strides = {w->strides[1], w->strides[2]},
                               .dilation = {w->dilations[1], w->dilations[2]},
                               .padding = 2,
                               .pads = {w->pads[1], w->pads[2], w->pads[4], w->pads[5]},
                               .groups = groups};
}

static glia_conv3d_attrs deep(const glia_onnx_window *w, int64_t groups) {
    glia_conv3d_attrs a = {.padding = 2, .groups = groups};
    memcpy(a.strides, w->strides, sizeof a.strides);
    memcpy(a.dilation, w->dilations, sizeof a.dilation);
    memcpy(a.pads, w->pads, sizeof a.pads);
    return a;
}

glia_value *glia__onnx_convolution(glia_onnx_read *r, glia_value *x, glia_value *w, glia_value *b) {
    glia_onnx_window v;
    if (!x || !w) return NULL;
    const glia_shape image = glia_value_shape(x), weights = glia_value_shape(w);
    const int64_t groups = glia__onnx_int(r, "group", 1);
    if (!glia__onnx_window(r, &image, &weights, &v) || !glia__onnx_window_pad(r, &image, &v)) return NULL;
    if (v.dims == 3) return glia_op_conv3d(x, w, b, deep(&v, groups));
    glia_value *y = glia_op_conv2d(glia__onnx_inflate(x, v.dims, 2), glia__onnx_inflate(w, v.dims, 2), b,
                                   flat(&v, groups));
    return glia__onnx_deflate(y, v.dims, 2);
}

static void read_conv(glia_onnx_read *r) {
    r->out[0] = glia__onnx_convolution(r, glia__onnx_in(r, 0), glia__onnx_in(r, 1), glia__onnx_in(r, 2));
}
GLIA_ONNX(conv) = {.op_type = "Conv", .min_inputs = 2, .max_inputs = 3, .read = read_conv};

/* Pads from a wanted size; what is missing even without any is more at the end. */
static bool pads_for_size(glia_onnx_read *r, const glia_shape *x, glia_onnx_window *w, int64_t *more) {
    int64_t wanted[3] = {0};
    const bool given = glia__onnx_window_list(r, "output_shape", w->dims, wanted);
    for (int d = 3 - w->dims; d < 3 && (given || w->automatic >= GLIA_ONNX_PAD_UPPER); d++) {
        const int64_t in = x->dim[x->rank - 3 + d], reach = (w->kernel[d] - 1) * w->dilations[d] + 1;
        if (in < 0) {
            (void)glia__onnx_refuse(r, "a wanted size of an open dimension is not supported");
            return false;
        }
        const int64_t out = given ? wanted[d] : in * w->strides[d];
        const int64_t total = w->strides[d] * (in - 1) + more[d] + reach - out, half = total / 2;
        if (total < 0) more[d] -= total;
        w->pads[d] = total < 0 ? 0 : w->automatic == GLIA_ONNX_PAD_UPPER ? half : total - half;
        w->pads[3 + d] = total < 0 ? 0 : total - w->pads[d];
    }
    return !r->refused;
}

static void read_conv_transpose(glia_onnx_read *r) {
    glia_onnx_window v;
    int64_t more[3] = {0};
    glia_value *x = glia__onnx_in(r, 0), *w = glia__onnx_in(r, 1), *b = glia__onnx_in(r, 2);
    if (!x || !w) return;
    const glia_shape image = glia_value_shape(x), weights = glia_value_shape(w);
    const int64_t groups = glia__onnx_int(r, "group", 1);
    if (!glia__onnx_window(r, &image, &weights, &v)) return;
    (void)glia__onnx_window_list(r, "output_padding", v.dims, more);
    if (!pads_for_size(r, &image, &v, more)) return;
    if (v.dims == 3) {
        glia_conv_transpose3d_attrs a = {.conv = deep(&v, groups)};
        memcpy(a.output_padding, more, sizeof a.output_padding);
        r->out[0] = glia_op_conv_transpose3d(x, w, b, a);
        return;
    }
    const glia_conv_transpose2d_attrs a = {flat(&v, groups), {more[1], more[2]}};
    r->out[0] = glia__onnx_deflate(
        glia_op_conv_transpose2d(glia__onnx_inflate(x, v.dims, 2), glia__onnx_inflate(w, v.dims, 2), b, a),
        v.dims, 2);
}
GLIA_ONNX(conv_transpose) = {
    .op_type = "ConvTranspose", .min_inputs = 2, .max_inputs = 3, .read = read_conv_transpose};

/* Blocks of pixels added up where they belong: a transposed convolution that puts number k of a block at its place k. */
static void read_col2im(glia_onnx_read *r) {
    glia_shape image, block;
    glia_type type;
    if (!glia__onnx_type_in(r, 0, &type) || !glia__onnx_dims_in(r, 1, &image) ||
        !glia__onnx_dims_in(r, 2, &block))
        return;
    const int dims = image.rank;
    int64_t taps = 1, more[3] = {0};
    if (type.shape.rank != 3 || dims < 2 || dims > 3 || block.rank != dims) {
        (void)glia__onnx_refuse(r, "expected blocks [N, C·block, count] of images of 2 or 3 dimensions");
        return;
    }
    glia_shape like = {.rank = 2 + dims, .dim = {1, 1}};
    glia_shape blocks = {.rank = 2 + dims, .dim = {0, 0}}, kernel = {.rank = 2 + dims, .dim = {0, 1}};
    for (int d = 0; d < dims; d++) like.dim[2 + d] = image.dim[d];
    glia_onnx_window w;
    if (!glia__onnx_window(r, &like, NULL, &w)) return;
    for (int d = 0; d < dims; d++) {
        const int at = 3 - dims + d;
        const int64_t reach = (block.dim[d] - 1) * w.dilations[at] + 1;
        const int64_t room = image.dim[d] + w.pads[at] + w.pads[3 + at] - reach;
        if (block.dim[d] < 1 || block.dim[d] > 1 << 10 || room < 0 || taps > 1 << 16) {
            (void)glia__onnx_refuse(r, "its blocks do not fit its image");
            return;
        }
        taps *= kernel.dim[2 + d] = block.dim[d];
        blocks.dim[2 + d] = room / w.strides[at] + 1;
        more[at] = room % w.strides[at];
    }
    const int64_t channels = type.shape.dim[1] / taps, filters = channels * taps;
    if (channels < 1 || filters != type.shape.dim[1] || filters > (1 << 24) / taps) {
        (void)glia__onnx_refuse(r, "its blocks do not fit its channels");
        return;
    }
    kernel.dim[0] = filters;
    float *numbers = glia__arena_alloc(&r->graph->arena, (size_t)(filters * taps) * sizeof *numbers);
    if (!numbers) {
        (void)glia__onnx_refuse(r, "out of memory");
        return;
    }
    for (int64_t i = 0; i < filters * taps; i++) numbers[i] = i % taps == i / taps % taps ? 1 : 0;
    glia_value *x = glia_op_reshape(glia__onnx_in(r, 0), (glia_reshape_attrs){blocks});
    glia_value *one = glia_op_cast(glia__onnx_const(r, GLIA_F32, &kernel, numbers), type.dtype);
    glia_conv_transpose3d_attrs a = {.conv = deep(&w, channels)};
    memcpy(a.output_padding, more, sizeof more);
    r->out[0] =
        dims == 3 ? glia_op_conv_transpose3d(x, one, NULL, a)
                  : glia_op_conv_transpose2d(
                        x, one, NULL, (glia_conv_transpose2d_attrs){flat(&w, channels), {more[1], more[2]}});
}
GLIA_ONNX(col2im) = {.op_type = "Col2Im", .min_inputs = 3, .max_inputs = 3, .read = read_col2im};
