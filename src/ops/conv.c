/* conv.c: 2-D convolution (cross-correlation, as everywhere in the field) and its two backward ops. */

#include "glia/ops.h"
#include "ops/window.h"

#ifdef GLIA_OPS_HEADER
/* Zero means default: strides 1, dilation 1, groups 1, padding valid. */
typedef struct glia_conv2d_attrs {
    int64_t strides[2], dilation[2]; /* height, width */
    int padding;                     /* 0 valid, 1 same, 2 explicit: `pads` */
    int64_t pads[4];                 /* top, left, bottom, right */
    int64_t groups;
} glia_conv2d_attrs;
/* x [N, C, H, W], w [O, C/groups, kh, kw], b [O] or NULL → [N, O, H', W']. */
GLIA_API glia_value *glia_op_conv2d(glia_value *x, glia_value *w, glia_value *b, glia_conv2d_attrs attrs);
#endif /* GLIA_OPS_HEADER */

/* Everything the loops need. */
typedef struct conv {
    glia_window h, w;
    int64_t n, c, o, groups, c_group, o_group;
} conv;

#define CONV_FIELDS                                                                          \
    GLIA_FIELDS({.name = "strides",                                                          \
                 .kind = GLIA_FIELD_INTS,                                                    \
                 .offset = offsetof(glia_conv2d_attrs, strides),                             \
                 .count = 2,                                                                 \
                 .initial = "1",                                                             \
                 .min = 1,                                                                   \
                 .max = 1 << 20,                                                             \
                 .doc = "steps of the window: height, width"},                               \
                {.name = "dilation",                                                         \
                 .kind = GLIA_FIELD_INTS,                                                    \
                 .offset = offsetof(glia_conv2d_attrs, dilation),                            \
                 .count = 2,                                                                 \
                 .initial = "1",                                                             \
                 .min = 1,                                                                   \
                 .max = 1 << 20,                                                             \
                 .doc = "distance of the kernel's taps: height, width",                      \
                 .onnx = "dilations"},                                                       \
                {.name = "padding",                                                          \
                 .kind = GLIA_FIELD_CHOICE,                                                  \
                 .offset = offsetof(glia_conv2d_attrs, padding),                             \
                 .initial = "valid",                                                         \
                 .choices = "valid|same|explicit",                                           \
                 .doc = "zeros around the image: none, as many as keep its size, or `pads`", \
                 .onnx = "auto_pad"},                                                        \
                {.name = "pads",                                                             \
                 .kind = GLIA_FIELD_INTS,                                                    \
                 .offset = offsetof(glia_conv2d_attrs, pads),                                \
                 .count = 4,                                                                 \
                 .initial = "0",                                                             \
                 .doc = "explicit padding: top, left, bottom, right"},                       \
                {.name = "groups",                                                           \
                 .kind = GLIA_FIELD_INT,                                                     \
                 .offset = offsetof(glia_conv2d_attrs, groups),                              \
                 .initial = "1",                                                             \
                 .min = 1,                                                                   \
                 .max = 1 << 24,                                                             \
                 .doc = "channels are convolved in so many separate groups",                 \
                 .onnx = "group"})

/* Checks x and w and fits the windows. */
static glia_status conv_fit(conv *v, const glia_type *x, const glia_type *w, const glia_conv2d_attrs *a,
                            glia_error *err) {
    char tx[160], tw[160];
    glia__type_text(x, tx, sizeof tx);
    glia__type_text(w, tw, sizeof tw);
    const int64_t *xd = x->shape.dim, *wd = w->shape.dim;
    if (x->shape.rank != 4 || w->shape.rank != 4)
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "conv2d expects images [N, C, H, W] and weights [O, C/groups, kh, kw], found %s and %s", tx, tw);
    GLIA_TRY(glia__check_float(x, err));
    GLIA_TRY(glia__check_same_dtype(x, w, err));
    *v = (conv){.n = xd[0], .c = xd[1], .o = wd[0], .groups = a->groups};
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
    v->h = (glia_window){.in = xd[2], .size = wd[2], .stride = a->strides[0], .dilation = a->dilation[0]};
    v->w = (glia_window){.in = xd[3], .size = wd[3], .stride = a->strides[1], .dilation = a->dilation[1]};
    GLIA_TRY(glia__window_fit(&v->h, a->padding, a->pads[0], a->pads[2], "conv2d", "height", err));
    return glia__window_fit(&v->w, a->padding, a->pads[1], a->pads[3], "conv2d", "width", err);
}

static double conv_flops(const glia_type *y, const glia_type *w) {
    return 2.0 * (double)glia_shape_elems(&y->shape) *
           (double)(w->shape.dim[1] * w->shape.dim[2] * w->shape.dim[3]);
}

/* Calls `body(x_plane_index, y_plane_index, w_index)` loops; shared by the three directions: for every image,
 * output channel, input channel and tap, the rows of x and y that meet. */
#define FOR_CONV_ROWS(v, ...)                                                                       \
    for (int64_t n = 0; n < (v).n; n++)                                                             \
        for (int64_t o = 0; o < (v).o; o++)                                                         \
            for (int64_t ci = 0; ci < (v).c_group; ci++)                                            \
                for (int64_t kh = 0; kh < (v).h.size; kh++)                                         \
                    for (int64_t kw = 0; kw < (v).w.size; kw++) {                                   \
                        int64_t h0, h1, w0, w1, c = o / (v).o_group * (v).c_group + ci;             \
                        int64_t tap = ((o * (v).c_group + ci) * (v).h.size + kh) * (v).w.size + kw; \
                        glia__window_inside(&(v).h, kh, &h0, &h1);                                  \
                        glia__window_inside(&(v).w, kw, &w0, &w1);                                  \
                        for (int64_t h = h0; h < h1; h++) {                                         \
                            int64_t ih = h * (v).h.stride + kh * (v).h.dilation - (v).h.pad;        \
                            int64_t iw = w0 * (v).w.stride + kw * (v).w.dilation - (v).w.pad;       \
                            int64_t xi = ((n * (v).c + c) * (v).h.in + ih) * (v).w.in + iw;         \
                            int64_t yi = ((n * (v).o + o) * (v).h.out + h) * (v).w.out + w0;        \
                            int64_t count = w1 - w0, stride = (v).w.stride;                         \
                            __VA_ARGS__                                                             \
                        }                                                                           \
                    }

static glia_type view_type(const glia_view *view) {
    return (glia_type){view->dtype, view->shape};
}

/* --- forward --------------------------------------------------------------------------------------------- */

static glia_status conv2d_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    conv v;
    char text[160];
    GLIA_TRY(conv_fit(&v, &in[0], &in[1], attrs, err));
    if (n_in > 2 && in[2].shape.rank >= 0) {
        GLIA_TRY(glia__check_same_dtype(&in[0], &in[2], err));
        if (in[2].shape.rank != 1 || in[2].shape.dim[0] != v.o)
            return glia_error_set(err, GLIA_BAD_SHAPE, "conv2d: expected a bias of %lld numbers, found %s",
                                  (long long)v.o, glia__type_text(&in[2], text, sizeof text));
    }
    out[0] = (glia_type){in[0].dtype, {.rank = 4, .dim = {v.n, v.o, v.h.out, v.w.out}}};
    return GLIA_OK;
}

static glia_status conv2d_ref(const glia_call *c_) {
    conv v;
    glia_type tx = view_type(&c_->in[0]), tw = view_type(&c_->in[1]);
    GLIA_TRY(conv_fit(&v, &tx, &tw, c_->attrs, c_->err));
    int64_t plane = v.h.out * v.w.out;
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = c_->in[0].data;
        const T *w = c_->in[1].data;
        const T *b = c_->n_in > 2 ? c_->in[2].data : NULL;
        T *y = c_->out[0].data;
        for (int64_t i = 0; i < v.n * v.o; i++)
            for (int64_t k = 0; k < plane; k++) y[i * plane + k] = b ? b[i % v.o] : 0;
        FOR_CONV_ROWS(v, {
            T weight = w[tap];
            if (stride == 1)
                for (int64_t k = 0; k < count; k++) y[yi + k] += weight * x[xi + k];
            else
                for (int64_t k = 0; k < count; k++) y[yi + k] += weight * x[xi + k * stride];
        })
    });
    return GLIA_OK;
}

static void conv2d_grad(glia_gradient *g) {
    glia_value *x = g->x[0], *w = g->x[1], *dy = g->dy[0];
    if (g->needed[0])
        g->dx[0] =
            glia_graph_apply(g->graph, "conv2d_backward_data", (glia_value *[]){w, dy, x}, 3, g->attrs);
    if (g->needed[1])
        g->dx[1] =
            glia_graph_apply(g->graph, "conv2d_backward_weights", (glia_value *[]){x, dy, w}, 3, g->attrs);
    if (g->n_in > 2 && g->needed[2]) g->dx[2] = glia_graph_apply_text(g->graph, "sum", &dy, 1, "axes=0,2,3");
}

static double conv2d_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return conv_flops(&out[0], &in[1]);
}

GLIA_OP(conv2d) = {
    .name = "conv2d",
    .version = 1,
    .doc = "y[n,o,h,w] = b[o] + Σ x[n,c,h·s+i·d−p,w·s+j·d−p]·w[o,c,i,j]",
    .min_inputs = 2,
    .max_inputs = 3,
    .attrs = CONV_FIELDS,
    .attrs_size = sizeof(glia_conv2d_attrs),
    .infer = conv2d_infer,
    .grad = conv2d_grad,
    .ref = conv2d_ref,
    .rows = glia__rows_first,
    .flops = conv2d_flops,
    .onnx = "Conv",
    .onnx_since = 11,
    .cases = GLIA_CASES(
        {.inputs = "2x3x7x6 4x3x3x3 4"}, {.inputs = "2x1x5x5 3x1x3x3"}, {.inputs = "1x2x4x4 1x2x1x1 1"},
        {.inputs = "2x2x7x8 3x2x3x3 3", .attrs = "padding=same"},
        {.inputs = "2x2x7x8 3x2x2x4", .attrs = "padding=same strides=2,3"},
        {.inputs = "1x2x9x9 2x2x3x2 2", .attrs = "strides=2 dilation=2,3"},
        {.inputs = "1x2x5x6 2x2x3x3", .attrs = "padding=explicit pads=1,0,2,3"},
        {.inputs = "2x4x5x5 6x2x3x3 6", .attrs = "groups=2"},
        {.inputs = "2x4x5x5 4x1x3x3", .attrs = "groups=4 padding=same"}, {.inputs = "0x3x7x6 4x3x3x3 4"},
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

/* --- backward -------------------------------------------------------------------------------------------- */

/* Checks that dy is what conv2d of x and w gives. */
static glia_status backward_fit(conv *v, const glia_type *x, const glia_type *w, const glia_type *dy,
                                const void *attrs, glia_error *err) {
    GLIA_TRY(conv_fit(v, x, w, attrs, err));
    glia_shape y = {.rank = 4, .dim = {v->n, v->o, v->h.out, v->w.out}};
    char a[128], b[160];
    if (glia_shape_equal(&y, &dy->shape) && dy->dtype == x->dtype) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "the gradient of a convolution to %s %s cannot be %s",
                          glia_dtype_name(x->dtype), glia_shape_text(&y, a, sizeof a),
                          glia__type_text(dy, b, sizeof b));
}

static glia_status backward_data_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                       glia_error *err) {
    (void)n_in;
    conv v;
    GLIA_TRY(backward_fit(&v, &in[2], &in[0], &in[1], attrs, err));
    out[0] = in[2];
    return GLIA_OK;
}

static glia_status backward_data_ref(const glia_call *c_) {
    conv v;
    glia_type tx = view_type(&c_->out[0]), tw = view_type(&c_->in[0]);
    GLIA_TRY(conv_fit(&v, &tx, &tw, c_->attrs, c_->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *w = c_->in[0].data;
        const T *dy = c_->in[1].data;
        T *dx = c_->out[0].data;
        memset(dx, 0, (size_t)glia_shape_elems(&tx.shape) * sizeof(T));
        FOR_CONV_ROWS(v, {
            T weight = w[tap];
            if (stride == 1)
                for (int64_t k = 0; k < count; k++) dx[xi + k] += weight * dy[yi + k];
            else
                for (int64_t k = 0; k < count; k++) dx[xi + k * stride] += weight * dy[yi + k];
        })
    });
    return GLIA_OK;
}

/* dx = A(w)ᵀ·dy is linear in both: its gradient by dy is the convolution, by w the weight gradient. */
static void backward_data_grad(glia_gradient *g) {
    glia_value *w = g->x[0], *dy = g->x[1], *ddx = g->dy[0];
    if (g->needed[0])
        g->dx[0] =
            glia_graph_apply(g->graph, "conv2d_backward_weights", (glia_value *[]){ddx, dy, w}, 3, g->attrs);
    if (g->needed[1]) g->dx[1] = glia_graph_apply(g->graph, "conv2d", (glia_value *[]){ddx, w}, 2, g->attrs);
}

/* dy and the image whose shape is wanted are cut together. */
static uint32_t backward_data_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)in, (void)n_in, (void)attrs;
    return 2 | 4;
}

static double backward_data_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return conv_flops(&in[1], &in[0]);
}

GLIA_OP(conv2d_backward_data) = {
    .name = "conv2d_backward_data",
    .version = 1,
    .doc = "d(conv2d)/dx: inputs w, dy and x, of which only the shape matters",
    .min_inputs = 3,
    .max_inputs = 3,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 4,
    .attrs = CONV_FIELDS,
    .attrs_size = sizeof(glia_conv2d_attrs),
    .infer = backward_data_infer,
    .grad = backward_data_grad,
    .ref = backward_data_ref,
    .rows = backward_data_rows,
    .flops = backward_data_flops,
    .cases = GLIA_CASES({.inputs = "4x3x3x3 2x4x5x4 2x3x7x6"},
                        {.inputs = "3x2x2x4 2x3x4x3 2x2x7x8", .attrs = "padding=same strides=2,3"},
                        {.inputs = "6x2x3x3 2x6x3x3 2x4x5x5", .attrs = "groups=2"},
                        {.inputs = "2x2x3x2 1x2x3x3 1x2x9x9", .attrs = "strides=2 dilation=2,3"},
                        {.inputs = "4x3x3x3 2x4x5x5 2x3x7x6", .expect_error = "cannot be f32 2×4×5×5"}),
};

static glia_status backward_weights_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                          glia_error *err) {
    (void)n_in;
    conv v;
    GLIA_TRY(backward_fit(&v, &in[0], &in[2], &in[1], attrs, err));
    out[0] = in[2];
    return GLIA_OK;
}

static glia_status backward_weights_ref(const glia_call *c_) {
    conv v;
    glia_type tx = view_type(&c_->in[0]), tw = view_type(&c_->out[0]);
    GLIA_TRY(conv_fit(&v, &tx, &tw, c_->attrs, c_->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = c_->in[0].data;
        const T *dy = c_->in[1].data;
        T *dw = c_->out[0].data;
        memset(dw, 0, (size_t)glia_shape_elems(&tw.shape) * sizeof(T));
        FOR_CONV_ROWS(v, {
            T lanes[8] = {0}; /* partial sums, so that the compiler may use vectors */
            int64_t k = 0;
            for (; stride == 1 && k + 8 <= count; k += 8)
                for (int l = 0; l < 8; l++) lanes[l] += x[xi + k + l] * dy[yi + k + l];
            for (; k < count; k++) lanes[0] += x[xi + k * stride] * dy[yi + k];
            T sum = 0;
            for (int l = 0; l < 8; l++) sum += lanes[l];
            dw[tap] += sum;
        })
    });
    return GLIA_OK;
}

static void backward_weights_grad(glia_gradient *g) {
    glia_value *x = g->x[0], *dy = g->x[1], *ddw = g->dy[0];
    if (g->needed[0])
        g->dx[0] =
            glia_graph_apply(g->graph, "conv2d_backward_data", (glia_value *[]){ddw, dy, x}, 3, g->attrs);
    if (g->needed[1]) g->dx[1] = glia_graph_apply(g->graph, "conv2d", (glia_value *[]){x, ddw}, 2, g->attrs);
}

static double backward_weights_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return conv_flops(&in[1], &out[0]);
}

GLIA_OP(conv2d_backward_weights) = {
    .name = "conv2d_backward_weights",
    .version = 1,
    .doc = "d(conv2d)/dw: inputs x, dy and w, of which only the shape matters",
    .min_inputs = 3,
    .max_inputs = 3,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 4,
    .attrs = CONV_FIELDS,
    .attrs_size = sizeof(glia_conv2d_attrs),
    .infer = backward_weights_infer,
    .grad = backward_weights_grad,
    .ref = backward_weights_ref,
    .flops = backward_weights_flops,
    .cases = GLIA_CASES({.inputs = "2x3x7x6 2x4x5x4 4x3x3x3"},
                        {.inputs = "2x2x7x8 2x3x4x3 3x2x2x4", .attrs = "padding=same strides=2,3"},
                        {.inputs = "2x4x5x5 2x6x3x3 6x2x3x3", .attrs = "groups=2"},
                        {.inputs = "1x2x9x9 1x2x3x3 2x2x3x2", .attrs = "strides=2 dilation=2,3"},
                        {.inputs = "2x3x7x6 2x4x5x5 4x3x3x3", .expect_error = "cannot be f32 2×4×5×5"}),
};
