/* conv_backward.c: the gradients of 2-D convolution: by the images, and by weights and bias. */

#include "ops/conv.h"
#include "ops/widen.h"

/* Checks that dy is what conv2d of x and w gives. */
static glia_status backward_fit(glia_conv *v, const glia_type *x, const glia_type *w, const glia_type *dy,
                                const void *attrs, glia_error *err) {
    GLIA_TRY(glia__conv_fit(v, x, w, attrs, err));
    const glia_type y = glia__conv_result(v, x->dtype, attrs);
    return glia__check_gradient(&y, dy, "conv2d", err);
}

static glia_status backward_data_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                       glia_error *err) {
    (void)n_in;
    glia_conv v;
    GLIA_TRY(backward_fit(&v, &in[2], &in[0], &in[1], attrs, err));
    out[0] = in[2];
    return GLIA_OK;
}

glia_status glia__conv_backward_data_loops(const glia_call *c_) {
    glia_conv v;
    glia_type tx = glia__view_type(&c_->out[0]), tw = glia__view_type(&c_->in[0]);
    GLIA_TRY(glia__conv_fit(&v, &tx, &tw, c_->attrs, c_->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *w = c_->in[0].data;
        const T *dy = c_->in[1].data;
        T *dx = c_->out[0].data;
        memset(dx, 0, (size_t)glia_shape_elems(&tx.shape) * sizeof(T));
        GLIA_FOR_CONV_ROWS(v, {
            T weight = w[tap];
            if (x_step == 1 && y_step == 1)
                for (int64_t k = 0; k < count; k++) dx[xi + k] += weight * dy[yi + k];
            else
                for (int64_t k = 0; k < count; k++) dx[xi + k * x_step] += weight * dy[yi + k * y_step];
        })
    });
    return GLIA_OK;
}

static glia_status backward_data_ref(const glia_call *c) {
    return glia__run_widened(c, 4, glia__conv_backward_data_loops);
}

static size_t backward_data_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[1]) + glia__widened_bytes(&out[0]);
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
    return glia__conv_flops(&in[1], &in[0]);
}

GLIA_OP(conv2d_backward_data) = {
    .name = "conv2d_backward_data",
    .version = 1,
    .doc = "d(conv2d)/dx: inputs w, dy and x, of which only the shape matters",
    .min_inputs = 3,
    .max_inputs = 3,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 4,
    .attrs = GLIA_FIELDS(GLIA_CONV_FIELDS),
    .attrs_size = sizeof(glia_conv2d_attrs),
    .images = GLIA_IMAGES(6, 1),
    .infer = backward_data_infer,
    .grad = backward_data_grad,
    .ref = backward_data_ref,
    .workspace = backward_data_workspace,
    .rows = backward_data_rows,
    .flops = backward_data_flops,
    .cases = GLIA_CASES({.inputs = "4x3x3x3 2x4x5x4 2x3x7x6"},
                        {.inputs = "3x2x2x4 2x3x4x3 2x2x7x8", .attrs = "padding=same strides=2,3"},
                        {.inputs = "6x2x3x3 2x6x3x3 2x4x5x5", .attrs = "groups=2"},
                        {.inputs = "2x2x3x2 1x2x3x3 1x2x9x9", .attrs = "strides=2 dilation=2,3"},
                        {.inputs = "4x3x3x3 2x5x4x4 2x7x6x3", .attrs = "channels_last=yes"},
                        {.inputs = "6x2x3x2 2x4x3x6 2x7x8x4",
                         .attrs = "channels_last=yes groups=2 padding=same strides=2,3"},
                        {.inputs = "32x32x3x2 5x3x2x32 5x3x2x32",
                         .attrs = "channels_last=yes padding=same",
                         .tolerance = 1e-4},
                        {.inputs = "128x128x1x2:f32<5 4x1x2x128:bf16 4x1x2x128:bf16",
                         .attrs = "channels_last=yes padding=same"},
                        {.inputs = "16x32x3x3 2x5x4x16 2x5x4x32",
                         .attrs = "channels_last=yes padding=same",
                         .tolerance = 1e-4},
                        {.inputs = "4x3x3x3:f32<5 2x4x5x4:bf16 2x3x7x6:bf16"},
                        {.inputs = "40x33x3x2:f32<5 32x3x5x40:bf16 32x3x4x33:bf16",
                         .attrs = "channels_last=yes padding=explicit pads=2,0,0,2",
                         .tolerance = 1e-2},
                        {.inputs = "64x40x3x3:f32<5 64x2x2x64:bf16 64x2x2x40:bf16",
                         .attrs = "channels_last=yes padding=same",
                         .tolerance = 1e-2},
                        {.inputs = "4x3x3x3 2x4x5x4:bf16 2x3x7x6", .expect_error = "cannot be bf16 2×4×5×4"},
                        {.inputs = "4x3x3x3 2x4x5x5 2x3x7x6", .expect_error = "cannot be f32 2×4×5×5"}),
};

static glia_status backward_weights_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                          glia_error *err) {
    (void)n_in;
    glia_conv v;
    GLIA_TRY(backward_fit(&v, &in[0], &in[2], &in[1], attrs, err));
    out[0] = in[2];
    out[1] = (glia_type){in[2].dtype, {.rank = 1, .dim = {v.o}}};
    return GLIA_OK;
}

/* db[o] = Σ dy over the images and their pixels, in double: there are many. */
static void sum_dy(const glia_conv *v, const glia_view *dy_view, void *db_) {
    GLIA_FOR_FLOAT(dy_view->dtype, {
        const T *dy = dy_view->data;
        T *db = db_;
        for (int64_t o = 0; o < v->o; o++) {
            double sum = 0;
            for (int64_t n = 0; n < v->n; n++)
                for (int64_t i = 0; i < v->h.out * v->w.out; i++)
                    sum += (double)dy[n * v->y.n + o * v->y.c + i * v->y.w];
            db[o] = (T)sum;
        }
    });
}

static glia_status backward_weights_loops(const glia_call *c_) {
    glia_conv v;
    glia_type tx = glia__view_type(&c_->in[0]), tw = glia__view_type(&c_->out[0]);
    GLIA_TRY(glia__conv_fit(&v, &tx, &tw, c_->attrs, c_->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = c_->in[0].data;
        const T *dy = c_->in[1].data;
        T *dw = c_->out[0].data;
        memset(dw, 0, (size_t)glia_shape_elems(&tw.shape) * sizeof(T));
        GLIA_FOR_CONV_ROWS(v, {
            T lanes[8] = {0}; /* partial sums, so that the compiler may use vectors */
            int64_t k = 0;
            for (; x_step == 1 && y_step == 1 && k + 8 <= count; k += 8)
                for (int l = 0; l < 8; l++) lanes[l] += x[xi + k + l] * dy[yi + k + l];
            for (; k < count; k++) lanes[0] += x[xi + k * x_step] * dy[yi + k * y_step];
            T sum = 0;
            for (int l = 0; l < 8; l++) sum += lanes[l];
            dw[tap] += sum;
        })
    });
    sum_dy(&v, &c_->in[1], c_->out[1].data);
    return GLIA_OK;
}

static glia_status backward_weights_ref(const glia_call *c) {
    return glia__run_widened(c, 4, backward_weights_loops);
}

static size_t backward_weights_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return glia__widened_bytes(&in[0]) + glia__widened_bytes(&in[1]);
}

/* Both results are linear in x and dy: ⟨ddw, dw⟩ + ⟨ddb, db⟩ = ⟨conv2d(x, ddw) + ddb, dy⟩. */
static void backward_weights_grad(glia_gradient *g) {
    const glia_conv2d_attrs *a = g->attrs;
    glia_value *x = g->x[0], *dy = g->x[1], *ddw = g->dy[0], *ddb = g->dy[1];
    if (g->needed[0] && ddw)
        g->dx[0] =
            glia_graph_apply(g->graph, "conv2d_backward_data", (glia_value *[]){ddw, dy, x}, 3, g->attrs);
    if (!g->needed[1]) return;
    if (ddw)
        g->dx[1] = glia_graph_apply(g->graph, "conv2d", (glia_value *[]){x, ddw, ddb}, ddb ? 3 : 2, g->attrs);
    else
        g->dx[1] = glia_graph_apply_text(g->graph, "broadcast_like", (glia_value *[]){ddb, dy}, 2,
                                         a->channels_last == GLIA_YES ? "axes=0,1,2" : "axes=0,2,3");
}

/* x and dy: gradients of parts of a batch add up. */
static uint32_t backward_weights_sums(const glia_type *in, int n_in, const void *attrs) {
    (void)in, (void)n_in, (void)attrs;
    return 1 | 2;
}

static double backward_weights_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__conv_flops(&in[1], &out[0]);
}

GLIA_OP(conv2d_backward_weights) = {
    .name = "conv2d_backward_weights",
    .version = 1,
    .doc = "d(conv2d)/dw and d(conv2d)/db: inputs x, dy and w, of which only the shape matters",
    .min_inputs = 3,
    .max_inputs = 3,
    .n_outputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 4,
    .attrs = GLIA_FIELDS(GLIA_CONV_FIELDS),
    .attrs_size = sizeof(glia_conv2d_attrs),
    .images = GLIA_IMAGES(3, 0),
    .infer = backward_weights_infer,
    .grad = backward_weights_grad,
    .ref = backward_weights_ref,
    .workspace = backward_weights_workspace,
    .sums = backward_weights_sums,
    .flops = backward_weights_flops,
    .cases = GLIA_CASES(
        {.inputs = "2x3x7x6 2x4x5x4 4x3x3x3"},
        {.inputs = "2x2x7x8 2x3x4x3 3x2x2x4", .attrs = "padding=same strides=2,3"},
        {.inputs = "2x4x5x5 2x6x3x3 6x2x3x3", .attrs = "groups=2"},
        {.inputs = "1x2x9x9 1x2x3x3 2x2x3x2", .attrs = "strides=2 dilation=2,3"},
        {.inputs = "5x7x6x3 5x5x4x4 4x3x3x3", .attrs = "channels_last=yes"},
        {.inputs = "2x7x8x4 2x4x3x6 6x2x3x2", .attrs = "channels_last=yes groups=2 padding=same strides=2,3"},
        {.inputs = "5x1x2x128 5x1x2x128 128x128x1x2", .attrs = "channels_last=yes padding=same"},
        {.inputs = "4x1x2x128:bf16 4x1x2x128:bf16 128x128x1x2:f32<5",
         .attrs = "channels_last=yes padding=same"},
        {.inputs = "2x7x6x16 2x5x4x32 32x16x3x3", .attrs = "channels_last=yes", .tolerance = 1e-3},
        {.inputs = "2x3x7x6:bf16 2x4x5x4:bf16 4x3x3x3:f32<5"},
        {.inputs = "2x5x3x9:bf16 2x5x3x12:bf16 12x9x3x3:f32<5", .attrs = "channels_last=yes padding=same"},
        {.inputs = "2x5x7x9:bf16 2x3x3x20:bf16 20x9x3x3:f32<5",
         .attrs = "channels_last=yes padding=explicit pads=1 strides=2,3"},
        {.inputs = "32x8x8x5:bf16 32x4x4x16:bf16 16x5x3x3:f32<5",
         .attrs = "channels_last=yes padding=explicit pads=1 strides=2"},
        {.inputs = "3x6x6x33:bf16 3x3x3x16:bf16 16x33x1x1:f32<5", .attrs = "channels_last=yes strides=2"},
        {.inputs = "2x3x7x6 2x4x5x5 4x3x3x3", .expect_error = "cannot be f32 2×4×5×5"}),
};
