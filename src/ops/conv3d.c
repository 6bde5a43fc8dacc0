/* conv3d.c: convolution over volumes, its gradients, and its transpose, by plain loops. Lines are images of height 1 and go to
 * conv2d, which has kernels. */

#include "glia/ops.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/window.h"

#ifdef GLIA_OPS_HEADER
/* Zero means default: strides 1, dilation 1, groups 1, padding valid. */
typedef struct glia_conv3d_attrs {
    int64_t strides[3], dilation[3]; /* depth, height, width */
    int padding;                     /* 0 valid, 1 same, 2 explicit: `pads` */
    int64_t pads[6];                 /* front, top, left, back, bottom, right */
    int64_t groups;
} glia_conv3d_attrs;
/* x [N, C, D, H, W], w [O, C/groups, kd, kh, kw], b [O] or NULL → [N, O, D', H', W']. */
GLIA_API glia_value *glia_op_conv3d(glia_value *x, glia_value *w, glia_value *b, glia_conv3d_attrs attrs);

typedef struct glia_conv_transpose3d_attrs {
    glia_conv3d_attrs conv; /* of the convolution that leads back, as for conv_transpose2d */
    int64_t output_padding[3];
} glia_conv_transpose3d_attrs;
/* x [N, C, D, H, W], w [C, O/groups, kd, kh, kw], b [O] or NULL. */
GLIA_API glia_value *glia_op_conv_transpose3d(glia_value *x, glia_value *w, glia_value *b,
                                              glia_conv_transpose3d_attrs attrs);
#endif /* GLIA_OPS_HEADER */

typedef struct conv {
    glia_window w[3];
    int64_t n, c, o, c_group, o_group;
} conv;

static const char *const sides[] = {"depth", "height", "width"};

static glia_status conv_fit(conv *v, const glia_type *x, const glia_type *w, const glia_conv3d_attrs *a,
                            glia_error *err) {
    char tx[160], tw[160];
    glia__type_text(x, tx, sizeof tx);
    glia__type_text(w, tw, sizeof tw);
    if (x->shape.rank != 5 || w->shape.rank != 5)
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "conv3d expects volumes [N, C, D, H, W] and weights [O, C/groups, kd, kh, kw], found %s and %s",
            tx, tw);
    GLIA_TRY(glia__check_float(x, err));
    GLIA_TRY(glia__check_same_dtype(x, w, err));
    const int64_t *xd = x->shape.dim, *wd = w->shape.dim;
    *v = (conv){.n = xd[0], .c = xd[1], .o = wd[0]};
    if (v->o < 1 || v->c < 1 || v->c % a->groups || v->o % a->groups || wd[1] != v->c / a->groups)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "conv3d: weights for %lld channels in %lld groups, found %s and %s",
                              (long long)wd[1], (long long)a->groups, tx, tw);
    v->c_group = v->c / a->groups;
    v->o_group = v->o / a->groups;
    for (int d = 0; d < 3; d++) {
        v->w[d] = (glia_window){
            .in = xd[2 + d], .size = wd[2 + d], .stride = a->strides[d], .dilation = a->dilation[d]};
        GLIA_TRY(glia__window_fit(&v->w[d], a->padding, a->pads[d], a->pads[3 + d], "conv3d", sides[d], err));
    }
    return GLIA_OK;
}

static glia_shape conv_shape(const conv *v) {
    return (glia_shape){.rank = 5, .dim = {v->n, v->o, v->w[0].out, v->w[1].out, v->w[2].out}};
}

/* For every image, output channel, input channel and tap: the rows of x and y that meet. `count` elements from xi, x_step
 * apart, and from yi on go with the weight at `tap`. */
#define FOR_ROWS(v, ...)                                                                                     \
    for (int64_t plane_ = 0; plane_ < (v).n * (v).o; plane_++)                                               \
        for (int64_t ci_ = 0; ci_ < (v).c_group; ci_++)                                                      \
            for (int64_t kd_ = 0; kd_ < (v).w[0].size; kd_++)                                                \
                for (int64_t kh_ = 0; kh_ < (v).w[1].size; kh_++)                                            \
                    for (int64_t kw_ = 0; kw_ < (v).w[2].size; kw_++) {                                      \
                        const int64_t o_ = plane_ % (v).o, c_ = o_ / (v).o_group * (v).c_group + ci_;        \
                        const int64_t tap =                                                                  \
                            (((o_ * (v).c_group + ci_) * (v).w[0].size + kd_) * (v).w[1].size + kh_) *       \
                                (v).w[2].size +                                                              \
                            kw_;                                                                             \
                        const int64_t x_step = (v).w[2].stride;                                              \
                        int64_t d0_, d1_, h0_, h1_, w0_, w1_;                                                \
                        glia__window_inside(&(v).w[0], kd_, &d0_, &d1_);                                     \
                        glia__window_inside(&(v).w[1], kh_, &h0_, &h1_);                                     \
                        glia__window_inside(&(v).w[2], kw_, &w0_, &w1_);                                     \
                        const int64_t volume_ = plane_ / (v).o * (v).c + c_, count = w1_ - w0_;              \
                        for (int64_t d_ = d0_; d_ < d1_; d_++)                                               \
                            for (int64_t h_ = h0_; h_ < h1_; h_++) {                                         \
                                const int64_t id_ = glia__window_at(&(v).w[0], d_, kd_);                     \
                                const int64_t ih_ = glia__window_at(&(v).w[1], h_, kh_);                     \
                                const int64_t xi =                                                           \
                                    ((volume_ * (v).w[0].in + id_) * (v).w[1].in + ih_) * (v).w[2].in +      \
                                    glia__window_at(&(v).w[2], w0_, kw_);                                    \
                                const int64_t yi =                                                           \
                                    ((plane_ * (v).w[0].out + d_) * (v).w[1].out + h_) * (v).w[2].out + w0_; \
                                __VA_ARGS__                                                                  \
                            }                                                                                \
                    }

static double flops_of(const glia_type *y, const glia_type *w) {
    const int64_t *d = w->shape.dim;
    return 2.0 * (double)glia_shape_elems(&y->shape) * (double)(d[1] * d[2] * d[3] * d[4]);
}

#define SIDES_FIELD(field, text, ...)                                                                      \
    {                                                                                                      \
        .name = #field, .kind = GLIA_FIELD_INTS, .offset = offsetof(glia_conv3d_attrs, field), .count = 3, \
        .initial = "1", .min = 1, .max = 1 << 20, .doc = text, __VA_ARGS__                                 \
    }
#define CONV_FIELDS                                                                                  \
    SIDES_FIELD(strides, "steps of the window: depth, height, width", .onnx = NULL),                 \
        SIDES_FIELD(dilation, "distance of the kernel's taps", .onnx = "dilations"),                 \
        {.name = "padding",                                                                          \
         .kind = GLIA_FIELD_CHOICE,                                                                  \
         .offset = offsetof(glia_conv3d_attrs, padding),                                             \
         .initial = "valid",                                                                         \
         .choices = "valid|same|explicit",                                                           \
         .doc = "zeros around the volume: none, as many as keep its size, or `pads`",                \
         .onnx = "auto_pad"},                                                                        \
        {.name = "pads",                                                                             \
         .kind = GLIA_FIELD_INTS,                                                                    \
         .offset = offsetof(glia_conv3d_attrs, pads),                                                \
         .count = 6,                                                                                 \
         .initial = "0",                                                                             \
         .min = 0,                                                                                   \
         .max = 1 << 30,                                                                             \
         .doc = "explicit padding: front, top, left, back, bottom, right"},                          \
    {                                                                                                \
        .name = "groups", .kind = GLIA_FIELD_INT, .offset = offsetof(glia_conv3d_attrs, groups),     \
        .initial = "1", .min = 1, .max = 1 << 24, .doc = "channels are convolved in so many groups", \
        .onnx = "group"                                                                              \
    }

/* --- forward --------------------------------------------------------------------------------------------- */

static glia_status conv3d_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    (void)n_in;
    conv v;
    GLIA_TRY(conv_fit(&v, &in[0], &in[1], attrs, err));
    out[0] = (glia_type){in[0].dtype, conv_shape(&v)};
    return GLIA_OK;
}

static glia_status conv3d_ref(const glia_call *c) {
    const glia_type tx = glia__view_type(&c->in[0]), tw = glia__view_type(&c->in[1]);
    conv v;
    GLIA_TRY(conv_fit(&v, &tx, &tw, c->attrs, c->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = c->in[0].data;
        const T *w = c->in[1].data;
        T *y = c->out[0].data;
        memset(y, 0, (size_t)glia_shape_elems(&c->out[0].shape) * sizeof(T));
        FOR_ROWS(v, {
            const T weight = w[tap];
            for (int64_t k = 0; k < count; k++) y[yi + k] += weight * x[xi + k * x_step];
        })
    });
    return GLIA_OK;
}

static void conv3d_grad(glia_gradient *g) {
    glia_value *x = g->x[0], *w = g->x[1], *dy = g->dy[0];
    if (g->needed[0])
        g->dx[0] =
            glia_graph_apply(g->graph, "conv3d_backward_data", (glia_value *[]){w, dy, x}, 3, g->attrs);
    if (g->needed[1])
        g->dx[1] =
            glia_graph_apply(g->graph, "conv3d_backward_weights", (glia_value *[]){x, dy, w}, 3, g->attrs);
}

static double conv3d_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return flops_of(&out[0], &in[1]);
}

static void conv3d_to_onnx(glia_to_onnx *w) {
    const glia_conv3d_attrs *a = w->node->attrs;
    GLIA_TO_ONNX(w, w->y[0], "Conv", w->x[0], w->x[1], w->x[2]);
    glia__to_onnx_int(w, "group", a->groups);
    glia__to_onnx_sliding(w, &(glia_sliding){3, w->node->inputs[1]->type.shape.dim + 2, a->strides,
                                             a->dilation, a->pads, a->padding, false, false});
}

GLIA_OP(conv3d) = {
    .name = "conv3d",
    .version = 1,
    .doc = "y[n,o,d,h,w] = Σ x[n,c,d·s+i·e−p,h·s+j·e−p,w·s+k·e−p]·w[o,c,i,j,k], e the dilation",
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = GLIA_FIELDS(CONV_FIELDS),
    .attrs_size = sizeof(glia_conv3d_attrs),
    .infer = conv3d_infer,
    .grad = conv3d_grad,
    .ref = conv3d_ref,
    .rows = glia__rows_first,
    .flops = conv3d_flops,
    .onnx = "Conv",
    .onnx_since = 11,
    .onnx_write = conv3d_to_onnx,
    .emit_c = glia__emit_conv3d,
    .cases =
        GLIA_CASES({.inputs = "2x2x4x5x4 3x2x2x3x2"},
                   {.inputs = "1x2x4x5x6 2x2x3x3x3", .attrs = "padding=same strides=2"},
                   {.inputs = "1x2x5x5x5 2x2x2x2x2", .attrs = "dilation=2,1,2 strides=1,2,1"},
                   {.inputs = "1x4x3x4x4 4x2x2x2x2", .attrs = "groups=2"},
                   {.inputs = "1x1x3x4x4 2x1x2x2x2", .attrs = "padding=explicit pads=1,0,1,0,2,0"},
                   {.inputs = "0x2x4x5x4 3x2x2x3x2"},
                   {.inputs = "2x2x4x5 3x2x2x3", .expect_error = "expects volumes [N, C, D, H, W]"},
                   {.inputs = "2x3x4x5x4 3x2x2x3x2", .expect_error = "weights for 2 channels in 1 groups"},
                   {.inputs = "2x2x1x5x4 3x2x2x3x2", .expect_error = "larger than the padded depth of 1"}),
};

/* [O] beside volumes. */
static glia_value *with_bias(glia_value *y, glia_value *b) {
    return b ? glia_op_add(y, glia_op_unsqueeze(b, (glia_squeeze_attrs){.axes = GLIA_SHAPE(1, 2, 3)})) : y;
}

glia_value *glia_op_conv3d(glia_value *x, glia_value *w, glia_value *b, glia_conv3d_attrs attrs) {
    glia_value *in[] = {x, w};
    return with_bias(glia_graph_apply(glia_value_graph(x ? x : w), "conv3d", in, 2, &attrs), b);
}

/* --- gradients --------------------------------------------------------------------------------------------- */

/* Checks that dy is what conv3d of x and w gives. */
static glia_status backward_fit(const glia_type *x, const glia_type *w, const glia_type *dy,
                                const void *attrs, glia_error *err) {
    conv v;
    GLIA_TRY(conv_fit(&v, x, w, attrs, err));
    const glia_type y = {x->dtype, conv_shape(&v)};
    return glia__check_gradient(&y, dy, "conv3d", err);
}

static glia_status data_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                              glia_error *err) {
    (void)n_in;
    out[0] = in[2];
    return backward_fit(&in[2], &in[0], &in[1], attrs, err);
}

/* dx of w and dy. */
static glia_status data_run(const glia_call *c, const glia_view *w_view, const glia_view *dy_view,
                            const glia_conv3d_attrs *a) {
    const glia_type tx = glia__view_type(&c->out[0]), tw = glia__view_type(w_view);
    conv v;
    GLIA_TRY(conv_fit(&v, &tx, &tw, a, c->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *w = w_view->data;
        const T *dy = dy_view->data;
        T *dx = c->out[0].data;
        memset(dx, 0, (size_t)glia_shape_elems(&tx.shape) * sizeof(T));
        FOR_ROWS(v, {
            const T weight = w[tap];
            for (int64_t k = 0; k < count; k++) dx[xi + k * x_step] += weight * dy[yi + k];
        })
    });
    return GLIA_OK;
}

static glia_status data_ref(const glia_call *c) {
    return data_run(c, &c->in[0], &c->in[1], c->attrs);
}

/* dx is linear in w and dy. */
static void data_grad(glia_gradient *g) {
    glia_value *w = g->x[0], *dy = g->x[1], *ddx = g->dy[0];
    if (g->needed[0])
        g->dx[0] =
            glia_graph_apply(g->graph, "conv3d_backward_weights", (glia_value *[]){ddx, dy, w}, 3, g->attrs);
    if (g->needed[1]) g->dx[1] = glia_graph_apply(g->graph, "conv3d", (glia_value *[]){ddx, w}, 2, g->attrs);
}

static uint32_t data_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)in, (void)n_in, (void)attrs;
    return 2 | 4;
}

static double data_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return flops_of(&in[1], &in[0]);
}

GLIA_OP(conv3d_backward_data) = {
    .name = "conv3d_backward_data",
    .version = 1,
    .doc = "d(conv3d)/dx: inputs w, dy and x, of which only the shape matters",
    .min_inputs = 3,
    .max_inputs = 3,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 4,
    .attrs = GLIA_FIELDS(CONV_FIELDS),
    .attrs_size = sizeof(glia_conv3d_attrs),
    .infer = data_infer,
    .grad = data_grad,
    .ref = data_ref,
    .rows = data_rows,
    .flops = data_flops,
    .cases = GLIA_CASES({.inputs = "3x2x2x3x2 2x3x3x3x3 2x2x4x5x4"},
                        {.inputs = "4x2x2x2x2 1x4x2x3x3 1x4x3x4x4", .attrs = "groups=2"},
                        {.inputs = "3x2x2x3x2 2x3x3x3x2 2x2x4x5x4",
                         .expect_error = "cannot be f32 2×3×3×3×2"}),
};

static glia_status weights_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    (void)n_in;
    out[0] = in[2];
    return backward_fit(&in[0], &in[2], &in[1], attrs, err);
}

static glia_status weights_ref(const glia_call *c) {
    const glia_type tx = glia__view_type(&c->in[0]), tw = glia__view_type(&c->out[0]);
    conv v;
    GLIA_TRY(conv_fit(&v, &tx, &tw, c->attrs, c->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = c->in[0].data;
        const T *dy = c->in[1].data;
        T *dw = c->out[0].data;
        memset(dw, 0, (size_t)glia_shape_elems(&tw.shape) * sizeof(T));
        FOR_ROWS(v, {
            T sum = 0;
            for (int64_t k = 0; k < count; k++) sum += x[xi + k * x_step] * dy[yi + k];
            dw[tap] += sum;
        })
    });
    return GLIA_OK;
}

/* dw is linear in x and dy. */
static void weights_grad(glia_gradient *g) {
    glia_value *x = g->x[0], *dy = g->x[1], *ddw = g->dy[0];
    if (g->needed[0])
        g->dx[0] =
            glia_graph_apply(g->graph, "conv3d_backward_data", (glia_value *[]){ddw, dy, x}, 3, g->attrs);
    if (g->needed[1]) g->dx[1] = glia_graph_apply(g->graph, "conv3d", (glia_value *[]){x, ddw}, 2, g->attrs);
}

static uint32_t weights_sums(const glia_type *in, int n_in, const void *attrs) {
    (void)in, (void)n_in, (void)attrs;
    return 1 | 2;
}

static double weights_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return flops_of(&in[1], &out[0]);
}

GLIA_OP(conv3d_backward_weights) = {
    .name = "conv3d_backward_weights",
    .version = 1,
    .doc = "d(conv3d)/dw: inputs x, dy and w, of which only the shape matters",
    .min_inputs = 3,
    .max_inputs = 3,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 4,
    .attrs = GLIA_FIELDS(CONV_FIELDS),
    .attrs_size = sizeof(glia_conv3d_attrs),
    .infer = weights_infer,
    .grad = weights_grad,
    .ref = weights_ref,
    .sums = weights_sums,
    .flops = weights_flops,
    .cases = GLIA_CASES({.inputs = "2x2x4x5x4 2x3x3x3x3 3x2x2x3x2"},
                        {.inputs = "3x4x3x4x4 3x4x2x3x3 4x2x2x2x2", .attrs = "groups=2"},
                        {.inputs = "2x2x4x5x4 2x3x3x3x2 3x2x2x3x2",
                         .expect_error = "cannot be f32 2×3×3×3×2"}),
};

/* --- transposed ---------------------------------------------------------------------------------------------- */

static glia_status transpose_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                   glia_error *err) {
    (void)n_in;
    enum { MOST = 1 << 30 };
    const glia_conv_transpose3d_attrs *a = attrs;
    const glia_shape *x = &in[0].shape, *w = &in[1].shape;
    char tx[160], tw[160];
    glia__type_text(&in[0], tx, sizeof tx);
    glia__type_text(&in[1], tw, sizeof tw);
    if (x->rank != 5 || w->rank != 5 || w->dim[0] != x->dim[1] || w->dim[1] < 1 ||
        w->dim[1] > MOST / a->conv.groups)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "conv_transpose3d expects volumes [N, C, D, H, W] and weights [C, O/groups, "
                              "kd, kh, kw], found %s "
                              "and %s",
                              tx, tw);
    out[0] = (glia_type){in[0].dtype, *x};
    out[0].shape.dim[1] = w->dim[1] * a->conv.groups;
    for (int d = 0; d < 3; d++) {
        glia_window v = {.in = x->dim[2 + d],
                         .size = w->dim[2 + d],
                         .stride = a->conv.strides[d],
                         .dilation = a->conv.dilation[d]};
        GLIA_TRY(glia__window_enlarge(&v, a->conv.padding, a->conv.pads[d], a->conv.pads[3 + d],
                                      a->output_padding[d], "conv_transpose3d", sides[d], err));
        out[0].shape.dim[2 + d] = v.out;
    }
    conv back;
    return conv_fit(&back, &out[0], &in[1], &a->conv, err);
}

static glia_status transpose_ref(const glia_call *c) {
    return data_run(c, &c->in[1], &c->in[0], &((const glia_conv_transpose3d_attrs *)c->attrs)->conv);
}

static void transpose_grad(glia_gradient *g) {
    const glia_conv3d_attrs *a = &((const glia_conv_transpose3d_attrs *)g->attrs)->conv;
    glia_value *x = g->x[0], *w = g->x[1], *dy = g->dy[0];
    if (g->needed[0]) g->dx[0] = glia_graph_apply(g->graph, "conv3d", (glia_value *[]){dy, w}, 2, a);
    if (g->needed[1])
        g->dx[1] = glia_graph_apply(g->graph, "conv3d_backward_weights", (glia_value *[]){dy, x, w}, 3, a);
}

static double transpose_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return flops_of(&in[0], &in[1]);
}

static void conv_transpose3d_to_onnx(glia_to_onnx *w) {
    const glia_conv3d_attrs *a = &((const glia_conv_transpose3d_attrs *)w->node->attrs)->conv;
    GLIA_TO_ONNX(w, w->y[0], "ConvTranspose", w->x[0], w->x[1], w->x[2]);
    glia__to_onnx_int(w, "group", a->groups);
    glia__to_onnx_sliding(w, &(glia_sliding){3, w->node->inputs[1]->type.shape.dim + 2, a->strides,
                                             a->dilation, a->pads, a->padding, false, true});
}

GLIA_OP(conv_transpose3d) = {
    .name = "conv_transpose3d",
    .version = 1,
    .doc = "the gradient of conv3d by its volumes, as an op: x spread by the strides and convolved",
    .source = "Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016)",
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = GLIA_FIELDS(CONV_FIELDS, {.name = "output_padding",
                                       .kind = GLIA_FIELD_INTS,
                                       .offset = offsetof(glia_conv_transpose3d_attrs, output_padding),
                                       .count = 3,
                                       .initial = "0",
                                       .min = 0,
                                       .max = 1 << 20,
                                       .doc = "planes, rows and columns more at the end"}),
    .attrs_size = sizeof(glia_conv_transpose3d_attrs),
    .infer = transpose_infer,
    .grad = transpose_grad,
    .ref = transpose_ref,
    .rows = glia__rows_first,
    .flops = transpose_flops,
    .onnx = "ConvTranspose",
    .onnx_since = 11,
    .onnx_write = conv_transpose3d_to_onnx,
    .emit_c = glia__emit_conv_transpose3d,
    .cases = GLIA_CASES(
        {.inputs = "2x2x3x2x3 2x3x2x2x2"}, {.inputs = "1x2x2x3x2 2x2x3x2x2", .attrs = "strides=2"},
        {.inputs = "1x2x2x2x2 2x1x3x3x3", .attrs = "strides=2 padding=explicit pads=1 output_padding=1"},
        {.inputs = "1x2x2x2x2 2x2x3x3x3", .attrs = "strides=2 padding=same"},
        {.inputs = "1x4x2x2x2 4x1x2x2x2", .attrs = "groups=2"}, {.inputs = "0x2x3x2x3 2x3x2x2x2"},
        {.inputs = "2x3x3x2x3 2x3x2x2x2", .expect_error = "weights [C, O/groups, kd, kh, kw]"},
        {.inputs = "2x2x3x2x3 2x3x2x2x2",
         .attrs = "output_padding=1",
         .expect_error = "less than the stride"},
        {.inputs = "1x2x1x1x1 2x3x2x2x2", .attrs = "padding=explicit pads=1", .expect_error = "cut off"}),
};

glia_value *glia_op_conv_transpose3d(glia_value *x, glia_value *w, glia_value *b,
                                     glia_conv_transpose3d_attrs attrs) {
    glia_value *in[] = {x, w};
    return with_bias(glia_graph_apply(glia_value_graph(x ? x : w), "conv_transpose3d", in, 2, &attrs), b);
}
