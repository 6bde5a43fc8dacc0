/* pool.c: pooling over images: what max_pool2d and average_pool2d share, and global_average_pool2d. */

#include "ops/pool.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"

#ifdef GLIA_OPS_HEADER
/* Zero means default: strides = size, padding valid, channels first. */
typedef struct glia_pool2d_attrs {
    int64_t size[2], strides[2]; /* height, width */
    int padding;                 /* 0 valid, 1 same, 2 explicit: `pads` */
    int64_t pads[4];             /* top, left, bottom, right */
    glia_bool channels_last;     /* images lie as [N, H, W, C] */
} glia_pool2d_attrs;
/* [N, C, H, W] → [N, C, H', W']: the largest of each window; padding never wins. */
GLIA_API glia_value *glia_op_max_pool2d(glia_value *x, glia_pool2d_attrs attrs);
/* The mean of each window; padding does not count. */
GLIA_API glia_value *glia_op_average_pool2d(glia_value *x, glia_pool2d_attrs attrs);

typedef struct glia_global_average_pool2d_attrs {
    glia_bool channels_last; /* images lie as [N, H, W, C]; default no */
} glia_global_average_pool2d_attrs;
/* [N, C, H, W] → [N, C]: the mean of each channel. */
GLIA_API glia_value *glia_op_global_average_pool2d(glia_value *x, glia_global_average_pool2d_attrs attrs);
#endif /* GLIA_OPS_HEADER */

glia_status glia__pool_fit(glia_pool *p, const glia_type *x, const glia_pool2d_attrs *a, const char *op,
                           glia_error *err) {
    char text[160];
    const bool last = a->channels_last == GLIA_YES;
    GLIA_TRY(glia__check_float_or_bf16(x, err));
    if (x->shape.rank != 4)
        return glia_error_set(err, GLIA_BAD_SHAPE, "%s expects images %s, found %s", op,
                              glia__nchw_text(last), glia__type_text(x, text, sizeof text));
    const glia_nchw size = glia__nchw_sizes(&x->shape, last);
    *p = (glia_pool){.n = size.n, .c = size.c};
    p->h = (glia_window){.in = size.h, .size = a->size[0], .dilation = 1};
    p->w = (glia_window){.in = size.w, .size = a->size[1], .dilation = 1};
    p->h.stride = a->strides[0] ? a->strides[0] : a->size[0];
    p->w.stride = a->strides[1] ? a->strides[1] : a->size[1];
    for (int i = 0; i < 4; i++)
        if (a->padding == GLIA_PADDING_EXPLICIT && a->pads[i] >= a->size[i % 2])
            return glia_error_set(
                err, GLIA_INVALID_ARGUMENT,
                "%s: a pad of %lld is not smaller than the window's %lld; some windows would be empty", op,
                (long long)a->pads[i], (long long)a->size[i % 2]);
    GLIA_TRY(glia__window_fit(&p->h, a->padding, a->pads[0], a->pads[2], op, "height", err));
    GLIA_TRY(glia__window_fit(&p->w, a->padding, a->pads[1], a->pads[3], op, "width", err));
    if ((p->h.in == 0 && p->h.out > 0) || (p->w.in == 0 && p->w.out > 0))
        return glia_error_set(err, GLIA_BAD_SHAPE, "%s: some windows would be empty: no pixels in %s", op,
                              glia__type_text(x, text, sizeof text));
    p->x = glia__nchw_steps(size, last);
    p->y = glia__nchw_steps((glia_nchw){size.n, size.c, p->h.out, p->w.out}, last);
    return GLIA_OK;
}

glia_status glia__pool_infer(const char *op, const glia_type *in, const void *attrs, glia_type *out,
                             glia_error *err) {
    glia_pool p;
    GLIA_TRY(glia__pool_fit(&p, &in[0], attrs, op, err));
    const glia_nchw size = {p.n, p.c, p.h.out, p.w.out};
    const bool last = ((const glia_pool2d_attrs *)attrs)->channels_last == GLIA_YES;
    out[0] = (glia_type){in[0].dtype, glia__nchw_shape(size, last)};
    return GLIA_OK;
}

glia_status glia__pool_backward_infer(const char *op, const glia_type *in, const void *attrs, glia_type *out,
                                      glia_error *err) {
    glia_type y;
    GLIA_TRY(glia__pool_infer(op, in, attrs, &y, err));
    GLIA_TRY(glia__check_gradient(&y, &in[1], op, err));
    out[0] = in[0];
    return GLIA_OK;
}

double glia__pool_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia_pool2d_attrs *a = attrs;
    (void)in;
    return (double)glia_shape_elems(&out[0].shape) * (double)(a->size[0] * a->size[1]);
}

double glia__pool_backward_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out;
    return glia__pool_flops(in, &in[1], attrs);
}

size_t glia__pool_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[0]) + glia__widened_bytes(&out[0]);
}

size_t glia__pool_backward_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    return glia__pool_workspace(in, out, attrs) + glia__widened_bytes(&in[1]);
}

void glia__pool_to_onnx(glia_to_onnx *w, const char *type, const char *attribute, int64_t value) {
    const glia_pool2d_attrs *a = w->node->attrs;
    const bool last = a->channels_last == GLIA_YES;
    const char *x = last ? glia__to_onnx_channels_first(w, NULL, w->x[0], 4) : w->x[0];
    const char *y = GLIA_TO_ONNX(w, last ? NULL : w->y[0], type, x);
    glia__to_onnx_int(w, attribute, value);
    glia__to_onnx_sliding(w, &(glia_sliding){2, a->size, a->strides, NULL, a->pads, a->padding, last, false});
    if (last) glia__to_onnx_channels_last(w, w->y[0], y, 4);
}

/* --- global average -------------------------------------------------------------------------------------- */

static bool is_last(const void *attrs) {
    return ((const glia_global_average_pool2d_attrs *)attrs)->channels_last == GLIA_YES;
}

static glia_status global_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    (void)n_in;
    char text[160];
    GLIA_TRY(glia__check_float_or_bf16(&in[0], err));
    const glia_nchw size = glia__nchw_sizes(&in[0].shape, is_last(attrs));
    if (in[0].shape.rank != 4 || size.h == 0 || size.w == 0)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "global_average_pool2d expects images %s of at least one pixel, found %s",
                              glia__nchw_text(is_last(attrs)), glia__type_text(&in[0], text, sizeof text));
    out[0] = (glia_type){in[0].dtype, {.rank = 2, .dim = {size.n, size.c}}};
    return GLIA_OK;
}

static glia_status global_loops(const glia_call *call) {
    const glia_nchw size = glia__nchw_sizes(&call->in[0].shape, is_last(call->attrs));
    const glia_nchw step = glia__nchw_steps(size, is_last(call->attrs));
    const int64_t pixels = size.h * size.w;
    GLIA_FOR_FLOAT(call->out[0].dtype, {
        const T *x = call->in[0].data;
        T *y = call->out[0].data;
        for (int64_t n = 0; n < size.n; n++)
            for (int64_t c = 0; c < size.c; c++) {
                double sum = 0;
                for (int64_t i = 0; i < pixels; i++) sum += (double)x[n * step.n + c * step.c + i * step.w];
                y[n * size.c + c] = (T)(sum / (double)pixels);
            }
    });
    return GLIA_OK;
}

static glia_status global_ref(const glia_call *c) {
    return glia__run_widened(c, 0, global_loops);
}

/* Every pixel has the same share of its channel's gradient. */
static void global_grad(glia_gradient *g) {
    glia_value *inputs[] = {g->dy[0], g->x[0]};
    g->dx[0] = glia_graph_apply_text(g->graph, "broadcast_like", inputs, 2,
                                     is_last(g->attrs) ? "axes=1,2 mean=yes" : "axes=2,3 mean=yes");
}

static double global_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return (double)glia_shape_elems(&in[0].shape);
}

/* ONNX keeps height and width as dimensions of 1. */
static void global_to_onnx(glia_to_onnx *w) {
    const char *x = w->x[0];
    if (is_last(w->node->attrs)) x = glia__to_onnx_channels_first(w, NULL, x, 4);
    GLIA_TO_ONNX(w, w->y[0], "Flatten", GLIA_TO_ONNX(w, NULL, "GlobalAveragePool", x));
    glia__to_onnx_int(w, "axis", 1);
}

GLIA_OP(global_average_pool2d) = {
    .name = "global_average_pool2d",
    .version = 1,
    .doc = "y[n,c] = mean of x[n,c,:,:]",
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = GLIA_FIELDS(GLIA_CHANNELS_LAST_FIELD(glia_global_average_pool2d_attrs)),
    .attrs_size = sizeof(glia_global_average_pool2d_attrs),
    .images = GLIA_IMAGES(1, 0),
    .infer = global_infer,
    .grad = global_grad,
    .ref = global_ref,
    .workspace = glia__pool_workspace,
    .rows = glia__rows_first,
    .flops = global_flops,
    .onnx = "GlobalAveragePool",
    .onnx_since = 1,
    .onnx_write = global_to_onnx,
    .emit_c = glia__emit_global_average_pool2d,
    .cases = GLIA_CASES({.inputs = "2x3x4x5"}, {.inputs = "1x1x1x1"}, {.inputs = "0x3x4x5"},
                        {.inputs = "2x4x5x3", .attrs = "channels_last=yes"},
                        {.inputs = "3x4x5x150:bf16", .attrs = "channels_last=yes"},
                        {.inputs = "2x3x4x5:bf16"},
                        {.inputs = "2x3x4", .expect_error = "expects images [N, C, H, W]"}),
};

glia_value *glia_op_global_average_pool2d(glia_value *x, glia_global_average_pool2d_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "global_average_pool2d", &x, 1, &attrs);
}
