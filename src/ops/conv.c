/* conv.c: 2-D convolution (cross-correlation, as everywhere in the field). */

#include "ops/conv.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/riders.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
/* Zero means default: strides 1, dilation 1, groups 1, padding valid, channels first, no activation. */
typedef struct glia_conv2d_attrs {
    int64_t strides[2], dilation[2]; /* height, width */
    int padding;                     /* 0 valid, 1 same, 2 explicit: `pads` */
    int64_t pads[4];                 /* top, left, bottom, right */
    int64_t groups;
    glia_bool channels_last; /* images lie as [N, H, W, C] */
    int activation;          /* of the result: 0 none, 1 relu */
} glia_conv2d_attrs;
/* x [N, C, H, W], w [O, C/groups, kh, kw], b [O] or NULL → [N, O, H', W']. When x is bf16, so is the result, and w and b
 * are f32. A fourth input, of the result's type, is added before the activation: the pass fuse_residual gives it. */
GLIA_API glia_value *glia_op_conv2d(glia_value *x, glia_value *w, glia_value *b, glia_conv2d_attrs attrs);
#endif /* GLIA_OPS_HEADER */

glia_status glia__conv_fit(glia_conv *v, const glia_type *x, const glia_type *w, const glia_conv2d_attrs *a,
                           glia_error *err) {
    char tx[160], tw[160];
    glia__type_text(x, tx, sizeof tx);
    glia__type_text(w, tw, sizeof tw);
    const bool last = a->channels_last == GLIA_YES;
    if (x->shape.rank != 4 || w->shape.rank != 4)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "conv2d expects images %s and weights [O, C/groups, kh, kw], found %s and %s",
                              glia__nchw_text(last), tx, tw);
    GLIA_TRY(glia__check_float_or_bf16(x, err));
    GLIA_TRY(glia__check_param_dtype(x, w, err));
    const int64_t *wd = w->shape.dim;
    const glia_nchw size = glia__nchw_sizes(&x->shape, last);
    *v = (glia_conv){.n = size.n, .c = size.c, .o = wd[0], .groups = a->groups};
    if (v->o < 1 || v->c < 1 || v->c % v->groups || v->o % v->groups)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "conv2d: %lld channels in and %lld filters cannot be cut in %lld groups",
                              (long long)v->c, (long long)v->o, (long long)v->groups);
    v->c_group = v->c / v->groups;
    v->o_group = v->o / v->groups;
    if (wd[1] != v->c_group)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "conv2d: weights for %lld channels, found %lld (%s and %s)", (long long)wd[1],
                              (long long)v->c_group, tx, tw);
    v->h = (glia_window){.in = size.h, .size = wd[2], .stride = a->strides[0], .dilation = a->dilation[0]};
    v->w = (glia_window){.in = size.w, .size = wd[3], .stride = a->strides[1], .dilation = a->dilation[1]};
    GLIA_TRY(glia__window_fit(&v->h, a->padding, a->pads[0], a->pads[2], "conv2d", "height", err));
    GLIA_TRY(glia__window_fit(&v->w, a->padding, a->pads[1], a->pads[3], "conv2d", "width", err));
    v->x = glia__nchw_steps(size, last);
    v->y = glia__nchw_steps((glia_nchw){v->n, v->o, v->h.out, v->w.out}, last);
    return GLIA_OK;
}

glia_type glia__conv_result(const glia_conv *v, glia_dtype dtype, const glia_conv2d_attrs *a) {
    const glia_nchw size = {v->n, v->o, v->h.out, v->w.out};
    return (glia_type){dtype, glia__nchw_shape(size, a->channels_last == GLIA_YES)};
}

double glia__conv_flops(const glia_type *y, const glia_type *w) {
    return 2.0 * (double)glia_shape_elems(&y->shape) *
           (double)(w->shape.dim[1] * w->shape.dim[2] * w->shape.dim[3]);
}

/* --- forward --------------------------------------------------------------------------------------------- */

static glia_status conv2d_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    glia_conv v;
    char text[160];
    GLIA_TRY(glia__conv_fit(&v, &in[0], &in[1], attrs, err));
    if (n_in > 2 && in[2].shape.rank >= 0) {
        GLIA_TRY(glia__check_param_dtype(&in[0], &in[2], err));
        if (in[2].shape.rank != 1 || in[2].shape.dim[0] != v.o)
            return glia_error_set(err, GLIA_BAD_SHAPE, "conv2d: expected a bias of %lld numbers, found %s",
                                  (long long)v.o, glia__type_text(&in[2], text, sizeof text));
    }
    out[0] = glia__conv_result(&v, in[0].dtype, attrs);
    return glia__check_residual(in, n_in, &out[0], err);
}

static glia_status conv2d_loops(const glia_call *c_) {
    glia_conv v;
    glia_type tx = glia__view_type(&c_->in[0]), tw = glia__view_type(&c_->in[1]);
    GLIA_TRY(glia__conv_fit(&v, &tx, &tw, c_->attrs, c_->err));
    const glia_conv2d_attrs *a = c_->attrs;
    const int64_t total = glia_shape_elems(&c_->out[0].shape);
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = c_->in[0].data;
        const T *w = c_->in[1].data;
        const T *b = c_->n_in > 2 ? c_->in[2].data : NULL;
        T *y = c_->out[0].data;
        for (int64_t i = 0; i < total; i++) y[i] = b ? b[i / v.y.c % v.o] : 0;
        GLIA_FOR_CONV_ROWS(v, {
            T weight = w[tap];
            if (x_step == 1 && y_step == 1)
                for (int64_t k = 0; k < count; k++) y[yi + k] += weight * x[xi + k];
            else
                for (int64_t k = 0; k < count; k++) y[yi + k * y_step] += weight * x[xi + k * x_step];
        })
    });
    glia__finish_product(c_, a->activation);
    return GLIA_OK;
}

static glia_status conv2d_ref(const glia_call *c) {
    return glia__run_widened(c, 0, conv2d_loops);
}

static size_t conv2d_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[0]) + 2 * glia__widened_bytes(&out[0]); /* and perhaps a residual */
}

/* The backward ops get dy as it is before the activation. */
static void conv2d_grad(glia_gradient *g) {
    glia_conv2d_attrs attrs = *(const glia_conv2d_attrs *)g->attrs;
    glia_value *x = g->x[0], *w = g->x[1], *dy = glia__fused_gradient(g, attrs.activation);
    attrs.activation = GLIA_FUSED_NONE;
    if (g->n_in > GLIA_RESIDUAL) g->dx[GLIA_RESIDUAL] = dy;
    if (g->needed[0])
        g->dx[0] = glia_graph_apply(g->graph, "conv2d_backward_data", (glia_value *[]){w, dy, x}, 3, &attrs);
    if (!g->needed[1] && !(g->n_in > 2 && g->needed[2])) return;
    g->dx[1] = glia_graph_apply(g->graph, "conv2d_backward_weights", (glia_value *[]){x, dy, w}, 3, &attrs);
    if (g->n_in > 2) g->dx[2] = glia_value_sibling(g->dx[1], 1);
}

static double conv2d_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__conv_flops(&out[0], &in[1]);
}

static void conv2d_to_onnx(glia_to_onnx *w) {
    const glia_conv2d_attrs *a = w->node->attrs;
    const bool last = a->channels_last == GLIA_YES, relu = a->activation == GLIA_FUSED_RELU,
               plain = !*w->x[3];
    const char *x = last ? glia__to_onnx_channels_first(w, NULL, w->x[0], 4) : w->x[0];
    const char *y = GLIA_TO_ONNX(w, relu || last || !plain ? NULL : w->y[0], "Conv", x, w->x[1], w->x[2]);
    glia__to_onnx_int(w, "group", a->groups);
    glia__to_onnx_sliding(w, &(glia_sliding){2, w->node->inputs[1]->type.shape.dim + 2, a->strides,
                                             a->dilation, a->pads, a->padding, last, false});
    if (last) y = glia__to_onnx_channels_last(w, relu || !plain ? NULL : w->y[0], y, 4);
    glia__to_onnx_riders(w, y, relu);
}

GLIA_OP(conv2d) = {
    .name = "conv2d",
    .version = 1,
    .doc = "y[n,o,h,w] = b[o] + Σ x[n,c,h·s+i·d−p,w·s+j·d−p]·w[o,c,i,j]",
    .min_inputs = 2,
    .max_inputs = 4,
    .traits = GLIA_TRAIT_RESIDUAL,
    .attrs = GLIA_FIELDS(GLIA_CONV_FIELDS, GLIA_FUSED_FIELD(glia_conv2d_attrs)),
    .attrs_size = sizeof(glia_conv2d_attrs),
    .images = GLIA_IMAGES(1 | 1 << GLIA_RESIDUAL, 1),
    .infer = conv2d_infer,
    .grad = conv2d_grad,
    .ref = conv2d_ref,
    .workspace = conv2d_workspace,
    .rows = glia__rows_first_and_residual,
    .flops = conv2d_flops,
    .onnx = "Conv",
    .onnx_since = 11,
    .onnx_write = conv2d_to_onnx,
    .emit_c = glia__emit_conv2d,
    .cases = GLIA_CASES(
        {.inputs = "2x3x7x6 4x3x3x3 4"}, {.inputs = "2x1x5x5 3x1x3x3"}, {.inputs = "1x2x4x4 1x2x1x1 1"},
        {.inputs = "2x2x7x8 3x2x3x3 3", .attrs = "padding=same"},
        {.inputs = "2x2x7x8 3x2x2x4", .attrs = "padding=same strides=2,3"},
        {.inputs = "1x2x9x9 2x2x3x2 2", .attrs = "strides=2 dilation=2,3"},
        {.inputs = "1x2x5x6 2x2x3x3", .attrs = "padding=explicit pads=1,0,2,3"},
        {.inputs = "2x4x5x5 6x2x3x3 6", .attrs = "groups=2"},
        {.inputs = "2x4x5x5 4x1x3x3", .attrs = "groups=4 padding=same"}, {.inputs = "0x3x7x6 4x3x3x3 4"},
        {.inputs = "2x7x6x3 4x3x3x3 4", .attrs = "channels_last=yes"},
        {.inputs = "2x7x8x4 6x2x3x2", .attrs = "channels_last=yes groups=2 padding=same strides=2,3"},
        {.inputs = "5x1x2x128 128x128x1x2 128", .attrs = "activation=relu channels_last=yes padding=same"},
        {.inputs = "4x1x2x128:bf16 128x128x1x2:f32<5 128:f32<5", .attrs = "channels_last=yes padding=same"},
        {.inputs = "2x7x6x16 32x16x3x3 32 2x5x4x32",
         .attrs = "activation=relu channels_last=yes",
         .tolerance = 1e-4},
        {.inputs = "2x3x7x6 4x3x3x3 4", .attrs = "activation=relu"},
        {.inputs = "2x3x7x6 4x3x3x3 4 2x4x5x4", .attrs = "activation=relu"},
        {.inputs = "2x7x6x3 4x3x3x3 - 2x5x4x4", .attrs = "channels_last=yes"},
        {.inputs = "5x1x2x128 128x128x1x2 128 5x1x2x128",
         .attrs = "activation=relu channels_last=yes padding=same",
         .tolerance = 1e-4},
        {.inputs = "2x7x6x3:bf16 4x3x3x3:f32<5 4:f32<5 2x7x6x4:bf16",
         .attrs = "channels_last=yes padding=same activation=relu"},
        {.inputs = "32x3x4x40:bf16 33x40x3x2:f32<5 33:f32<5 32x3x4x33:bf16",
         .attrs = "channels_last=yes padding=same activation=relu",
         .tolerance = 1e-2},
        {.inputs = "32x4x2x16:bf16 70x16x2x2:f32<5",
         .attrs = "channels_last=yes padding=explicit pads=2,0,1,1 dilation=2",
         .tolerance = 1e-2},
        {.inputs = "64x2x2x64:bf16 40x64x3x3:f32<5 40:f32<5",
         .attrs = "channels_last=yes padding=same",
         .tolerance = 1e-2},
        {.inputs = "2x3x7x6 4x3x3x3 4 2x4x7x6", .expect_error = "expected a residual f32 2×4×5×4"},
        {.inputs = "2x7x6x3 4x3x3x3", .attrs = "activation=relu channels_last=yes padding=same"},
        {.inputs = "2x3x7x6:bf16 4x3x3x3:f32<5 4:f32<5"},
        {.inputs = "2x7x6x3:bf16 4x3x3x3:f32<5", .attrs = "activation=relu channels_last=yes"},
        {.inputs = "2x3x7x6:bf16 4x3x3x3:bf16", .expect_error = "parameters stay f32 beside bf16"},
        {.inputs = "7x6x3 4x3x3x3",
         .attrs = "channels_last=yes",
         .expect_error = "expects images [N, H, W, C]"},
        {.inputs = "2x3x7x6 4x3x9x3", .expect_error = "larger than the padded height of 7"},
        {.inputs = "2x3x7x6 4x2x3x3", .expect_error = "weights for 2 channels, found 3"},
        {.inputs = "2x3x7x6 4x3x3x3 5", .expect_error = "expected a bias of 4 numbers"},
        {.inputs = "2x3x7x6 4x3x3x3", .attrs = "groups=2", .expect_error = "cannot be cut in 2 groups"},
        {.inputs = "3x7x6 4x3x3x3", .expect_error = "expects images [N, C, H, W]"}),
};

glia_value *glia_op_conv2d(glia_value *x, glia_value *w, glia_value *b, glia_conv2d_attrs attrs) {
    glia_value *in[] = {x, w, b};
    return glia_graph_apply(glia_value_graph(x ? x : w), "conv2d", in, b ? 3 : 2, &attrs);
}
