/* conv.c: convolutions through oneDNN, in the layout that it likes best, reordered from and to plain arrays. */

#include "glia/ops.h"
#include "kernels/dnnl/dnnl_call.h"
#include "ops/window.h"

/* Numbers and descriptors of one convolution. */
typedef struct conv_desc {
    dnnl_memory_desc_t x, w, b, y; /* layouts of oneDNN's choice */
    dnnl_memory_desc_t plain_x, plain_w, plain_b, plain_y;
    dnnl_dims_t strides, dilates, pad_begin, pad_end;
} conv_desc;

static int64_t pad_after(const glia_window *w) {
    int64_t reach = (w->size - 1) * w->dilation + 1;
    return GLIA_MAX(0, (w->out - 1) * w->stride + reach - w->in - w->pad);
}

static glia_status describe(conv_desc *d, const glia_type *x, const glia_type *w, const glia_type *y,
                            const glia_conv2d_attrs *a, glia_error *err) {
    const int64_t *xd = x->shape.dim, *wd = w->shape.dim;
    int64_t g = a->groups, grouped[DNNL_MAX_NDIMS] = {g, wd[0] / g, wd[1], wd[2], wd[3]};
    int w_rank = g > 1 ? 5 : 4;
    const int64_t *w_dims = g > 1 ? grouped : wd;
    glia_window windows[] = {
        {.in = xd[2], .size = wd[2], .stride = a->strides[0], .dilation = a->dilation[0]},
        {.in = xd[3], .size = wd[3], .stride = a->strides[1], .dilation = a->dilation[1]}};
    for (int i = 0; i < 2; i++) {
        GLIA_TRY(
            glia__window_fit(&windows[i], a->padding, a->pads[i], a->pads[i + 2], "conv2d", "image", err));
        d->strides[i] = windows[i].stride;
        d->dilates[i] = windows[i].dilation - 1;
        d->pad_begin[i] = windows[i].pad;
        d->pad_end[i] = pad_after(&windows[i]);
    }
    GLIA_TRY(glia__dnnl_plain(&d->plain_x, 4, xd, NULL, err));
    GLIA_TRY(glia__dnnl_plain(&d->plain_w, w_rank, w_dims, NULL, err));
    GLIA_TRY(glia__dnnl_plain(&d->plain_b, 1, wd, NULL, err));
    GLIA_TRY(glia__dnnl_plain(&d->plain_y, 4, y->shape.dim, NULL, err));
    GLIA_TRY(glia__dnnl_any(&d->x, 4, xd, err));
    GLIA_TRY(glia__dnnl_any(&d->w, w_rank, w_dims, err));
    GLIA_TRY(glia__dnnl_any(&d->b, 1, wd, err));
    return glia__dnnl_any(&d->y, 4, y->shape.dim, err);
}

static glia_status forward_desc(dnnl_convolution_desc_t *out, const conv_desc *d, bool bias, bool training,
                                glia_error *err) {
    return glia__dnnl_check(dnnl_dilated_convolution_forward_desc_init(
                                out, training ? dnnl_forward_training : dnnl_forward_inference,
                                dnnl_convolution_direct, &d->x, &d->w, bias ? &d->b : NULL, &d->y, d->strides,
                                d->dilates, d->pad_begin, d->pad_end),
                            "describing a convolution", err);
}

static glia_status forward_init(const glia_kernel_query *q, void **state, size_t *workspace,
                                glia_error *err) {
    conv_desc d;
    dnnl_convolution_desc_t forward;
    bool bias = q->n_in > 2 && q->in[2].shape.rank > 0;
    GLIA_TRY(describe(&d, &q->in[0], &q->in[1], &q->out[0], q->attrs, err));
    GLIA_TRY(forward_desc(&forward, &d, bias, q->training, err));
    glia_dnnl_argument arguments[] = {{DNNL_ARG_SRC, false, 0, d.plain_x},
                                      {DNNL_ARG_WEIGHTS, false, 1, d.plain_w},
                                      {DNNL_ARG_DST, true, 0, d.plain_y},
                                      {DNNL_ARG_BIAS, false, 2, d.plain_b}};
    return glia__dnnl_new(state, workspace, &forward, NULL, arguments, bias ? 4 : 3, q->threads, err);
}

static glia_status backward_data_init(const glia_kernel_query *q, void **state, size_t *workspace,
                                      glia_error *err) {
    conv_desc d;
    dnnl_convolution_desc_t forward, backward;
    GLIA_TRY(describe(&d, &q->out[0], &q->in[0], &q->in[1], q->attrs, err));
    GLIA_TRY(forward_desc(&forward, &d, false, true, err));
    GLIA_TRY(glia__dnnl_check(
        dnnl_dilated_convolution_backward_data_desc_init(&backward, dnnl_convolution_direct, &d.x, &d.w, &d.y,
                                                         d.strides, d.dilates, d.pad_begin, d.pad_end),
        "describing a convolution's data gradient", err));
    glia_dnnl_argument arguments[] = {{DNNL_ARG_WEIGHTS, false, 0, d.plain_w},
                                      {DNNL_ARG_DIFF_DST, false, 1, d.plain_y},
                                      {DNNL_ARG_DIFF_SRC, true, 0, d.plain_x}};
    return glia__dnnl_new(state, workspace, &backward, &forward, arguments, 3, q->threads, err);
}

static glia_status backward_weights_init(const glia_kernel_query *q, void **state, size_t *workspace,
                                         glia_error *err) {
    conv_desc d;
    dnnl_convolution_desc_t forward, backward;
    GLIA_TRY(describe(&d, &q->in[0], &q->out[0], &q->in[1], q->attrs, err));
    GLIA_TRY(forward_desc(&forward, &d, false, true, err));
    GLIA_TRY(glia__dnnl_check(dnnl_dilated_convolution_backward_weights_desc_init(
                                  &backward, dnnl_convolution_direct, &d.x, &d.w, NULL, &d.y, d.strides,
                                  d.dilates, d.pad_begin, d.pad_end),
                              "describing a convolution's weight gradient", err));
    glia_dnnl_argument arguments[] = {{DNNL_ARG_SRC, false, 0, d.plain_x},
                                      {DNNL_ARG_DIFF_DST, false, 1, d.plain_y},
                                      {DNNL_ARG_DIFF_WEIGHTS, true, 0, d.plain_w}};
    return glia__dnnl_new(state, workspace, &backward, &forward, arguments, 3, q->threads, err);
}

GLIA_KERNEL(dnnl_conv2d) = {.name = "dnnl_conv2d",
                            .op = "conv2d",
                            .priority = 50,
                            .own_threads = true,
                            .supports = glia__dnnl_supports,
                            .init = forward_init,
                            .run = glia__dnnl_run,
                            .fini = glia__dnnl_fini};

GLIA_KERNEL(dnnl_conv2d_backward_data) = {.name = "dnnl_conv2d_backward_data",
                                          .op = "conv2d_backward_data",
                                          .priority = 50,
                                          .own_threads = true,
                                          .supports = glia__dnnl_supports,
                                          .init = backward_data_init,
                                          .run = glia__dnnl_run,
                                          .fini = glia__dnnl_fini};

GLIA_KERNEL(dnnl_conv2d_backward_weights) = {.name = "dnnl_conv2d_backward_weights",
                                             .op = "conv2d_backward_weights",
                                             .priority = 50,
                                             .own_threads = true,
                                             .supports = glia__dnnl_supports,
                                             .init = backward_weights_init,
                                             .run = glia__dnnl_run,
                                             .fini = glia__dnnl_fini};
