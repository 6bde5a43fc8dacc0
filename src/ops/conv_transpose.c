/* conv_transpose.c: transposed 2-D convolution, which enlarges images: the gradient of a convolution by its images, used as
 * an op of its own. */

#include "graph/to_onnx.h"
#include "ops/conv.h"
#include "ops/emit.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
/* Of the convolution that leads back: its strides spread the pixels of x, its padding is cut off the result. Padding
 * 'same': results of in·stride. Zero means default, as for conv2d; no activation. */
typedef struct glia_conv_transpose2d_attrs {
    glia_conv2d_attrs conv;
    int64_t output_padding[2]; /* rows and columns more at the end, less than the strides */
} glia_conv_transpose2d_attrs;
/* x [N, C, H, W], w [C, O/groups, kh, kw], b [O] or NULL → [N, O, (H−1)·stride + reach − pads + output_padding, …]. */
GLIA_API glia_value *glia_op_conv_transpose2d(glia_value *x, glia_value *w, glia_value *b,
                                              glia_conv_transpose2d_attrs attrs);
/* The same for lines: x [N, C, L], w [C, O/groups, k]; of the attributes those of the width count. */
GLIA_API glia_value *glia_op_conv_transpose1d(glia_value *x, glia_value *w, glia_value *b,
                                              glia_conv_transpose2d_attrs attrs);
#endif /* GLIA_OPS_HEADER */

/* One direction of the result. */
static glia_status enlarge(const glia_conv_transpose2d_attrs *a, int d, int64_t in, int64_t size,
                           int64_t *out, glia_error *err) {
    glia_window w = {.in = in, .size = size, .stride = a->conv.strides[d], .dilation = a->conv.dilation[d]};
    const glia_status status =
        glia__window_enlarge(&w, a->conv.padding, a->conv.pads[d], a->conv.pads[d + 2], a->output_padding[d],
                             "conv_transpose2d", d ? "width" : "height", err);
    *out = w.out;
    return status;
}

/* The type of the result, and that the convolution leads back. */
static glia_status transpose_fit(const glia_type *x, const glia_type *w, const glia_conv_transpose2d_attrs *a,
                                 glia_type *y, glia_error *err) {
    const bool last = a->conv.channels_last == GLIA_YES;
    char tx[160], tw[160];
    glia__type_text(x, tx, sizeof tx);
    glia__type_text(w, tw, sizeof tw);
    if (x->shape.rank != 4 || w->shape.rank != 4)
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "conv_transpose2d expects images %s and weights [C, O/groups, kh, kw], found %s and %s",
            glia__nchw_text(last), tx, tw);
    GLIA_TRY(glia__check_float_or_bf16(x, err));
    const int64_t *wd = w->shape.dim;
    const glia_nchw in = glia__nchw_sizes(&x->shape, last);
    glia_nchw out = {.n = in.n};
    if (wd[0] != in.c || wd[1] < 1 || wd[1] > INT64_MAX / a->conv.groups)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "conv_transpose2d: weights for %lld channels, found %lld (%s and %s)",
                              (long long)wd[0], (long long)in.c, tx, tw);
    out.c = wd[1] * a->conv.groups;
    GLIA_TRY(enlarge(a, 0, in.h, wd[2], &out.h, err));
    GLIA_TRY(enlarge(a, 1, in.w, wd[3], &out.w, err));
    *y = (glia_type){x->dtype, glia__nchw_shape(out, last)};
    glia_conv back;
    return glia__conv_fit(&back, y, w, &a->conv, err);
}

static glia_status transpose_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                   glia_error *err) {
    (void)n_in;
    return transpose_fit(&in[0], &in[1], attrs, &out[0], err);
}

static glia_status transpose_loops(const glia_call *c) {
    const glia_view in[] = {c->in[1], c->in[0]};
    glia_call back = *c;
    back.in = in;
    back.attrs = &((const glia_conv_transpose2d_attrs *)c->attrs)->conv;
    return glia__conv_backward_data_loops(&back);
}

static glia_status transpose_ref(const glia_call *c) {
    return glia__run_widened(c, 0, transpose_loops);
}

static size_t transpose_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[0]) + glia__widened_bytes(&out[0]);
}

/* y = A(w)ᵀ·x, where A is the convolution: ⟨dy, y⟩ = ⟨A(w)·dy, x⟩. */
static void transpose_grad(glia_gradient *g) {
    const glia_conv2d_attrs *conv = &((const glia_conv_transpose2d_attrs *)g->attrs)->conv;
    glia_value *x = g->x[0], *w = g->x[1], *dy = g->dy[0];
    if (g->needed[0]) g->dx[0] = glia_graph_apply(g->graph, "conv2d", (glia_value *[]){dy, w}, 2, conv);
    if (g->needed[1])
        g->dx[1] = glia_graph_apply(g->graph, "conv2d_backward_weights", (glia_value *[]){dy, x, w}, 3, conv);
}

static double transpose_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return glia__conv_flops(&in[0], &in[1]);
}

static void conv_transpose2d_to_onnx(glia_to_onnx *w) {
    const glia_conv2d_attrs *a = &((const glia_conv_transpose2d_attrs *)w->node->attrs)->conv;
    const bool last = a->channels_last == GLIA_YES;
    const char *x = last ? glia__to_onnx_channels_first(w, NULL, w->x[0], 4) : w->x[0];
    const char *y = GLIA_TO_ONNX(w, last ? NULL : w->y[0], "ConvTranspose", x, w->x[1], w->x[2]);
    glia__to_onnx_int(w, "group", a->groups);
    glia__to_onnx_sliding(w, &(glia_sliding){2, w->node->inputs[1]->type.shape.dim + 2, a->strides,
                                             a->dilation, a->pads, a->padding, last, true});
    if (last) glia__to_onnx_channels_last(w, w->y[0], y, 4);
}

GLIA_OP(conv_transpose2d) = {
    .name = "conv_transpose2d",
    .version = 1,
    .doc = "y[n,o,h·s+i·d−p,w·s+j·d−p] = Σ x[n,c,h,w]·w[c,o,i,j]",
    .source = "Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016)",
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = GLIA_FIELDS(GLIA_CONV_FIELDS, {.name = "output_padding",
                                            .kind = GLIA_FIELD_INTS,
                                            .offset = offsetof(glia_conv_transpose2d_attrs, output_padding),
                                            .count = 2,
                                            .initial = "0",
                                            .min = 0,
                                            .max = 1 << 20,
                                            .doc = "rows and columns more at the end"}),
    .attrs_size = sizeof(glia_conv_transpose2d_attrs),
    .images = GLIA_IMAGES(1, 1),
    .infer = transpose_infer,
    .grad = transpose_grad,
    .ref = transpose_ref,
    .workspace = transpose_workspace,
    .rows = glia__rows_first,
    .flops = transpose_flops,
    .onnx = "ConvTranspose",
    .onnx_since = 11,
    .onnx_write = conv_transpose2d_to_onnx,
    .emit_c = glia__emit_conv_transpose2d,
    .cases = GLIA_CASES(
        {.inputs = "2x3x4x5 3x2x3x3"}, {.inputs = "1x2x3x3 2x3x2x2", .attrs = "strides=2"},
        {.inputs = "2x2x3x4 2x3x3x2", .attrs = "strides=2,3 output_padding=1,2"},
        {.inputs = "1x2x3x4 2x2x3x3", .attrs = "strides=2 padding=same"},
        {.inputs = "1x2x4x4 2x3x3x3", .attrs = "strides=2 padding=explicit pads=1,0,0,1 output_padding=1"},
        {.inputs = "1x2x4x3 2x1x2x3", .attrs = "dilation=2,1"},
        {.inputs = "2x4x3x3 4x3x3x3", .attrs = "groups=2 strides=2"}, {.inputs = "0x3x4x5 3x2x3x3"},
        {.inputs = "2x4x5x3 3x2x3x3", .attrs = "channels_last=yes strides=2"},
        {.inputs = "2x3x4x5:bf16 3x2x3x3:f32<5", .attrs = "strides=2"},
        {.inputs = "2x3x4x5 4x2x3x3", .expect_error = "weights for 4 channels, found 3"},
        {.inputs = "2x3x4x5 3x2x3x3", .attrs = "groups=2", .expect_error = "cannot be cut in 2 groups"},
        {.inputs = "2x3x4 3x2x3x3", .expect_error = "expects images [N, C, H, W]"},
        {.inputs = "2x3x4x5 3x2x3x3",
         .attrs = "output_padding=1",
         .expect_error = "less than the stride of 1"},
        {.inputs = "2x3x1x1 3x2x2x2",
         .attrs = "padding=explicit pads=2",
         .expect_error = "cannot be cut off a result of 2"},
        {.inputs = "2x3x0x5 3x2x3x3", .expect_error = "must be known and at least 1"}),
};

glia_value *glia_op_conv_transpose2d(glia_value *x, glia_value *w, glia_value *b,
                                     glia_conv_transpose2d_attrs attrs) {
    glia_value *in[] = {x, w};
    glia_value *y = glia_graph_apply(glia_value_graph(x ? x : w), "conv_transpose2d", in, 2, &attrs);
    if (!b) return y;
    if (attrs.conv.channels_last != GLIA_YES)
        b = glia_op_unsqueeze(b, (glia_squeeze_attrs){.axes = GLIA_SHAPE(1, 2)});
    return glia_op_add(y, b);
}

glia_value *glia_op_conv_transpose1d(glia_value *x, glia_value *w, glia_value *b,
                                     glia_conv_transpose2d_attrs attrs) {
    const glia_squeeze_attrs height = {.axes = GLIA_SHAPE(2)};
    attrs.conv.strides[0] = attrs.conv.dilation[0] = 1;
    attrs.conv.pads[0] = attrs.conv.pads[2] = attrs.output_padding[0] = 0;
    x = glia_op_unsqueeze(x, height);
    return glia_op_squeeze(glia_op_conv_transpose2d(x, glia_op_unsqueeze(w, height), b, attrs), height);
}
