/* conv.c: oneDNN's convolutions: forward, and backward by data and by weights. */
#include "glia/ops.h"
#include "kernels/dnnl/dnnl_api.h"
#include "ops/activation.h"
#include "ops/window.h"

/* Zeros after the last element that a direction needs; begin + end make `out` come out right. */
static int64_t pad_after(const glia_window *w) {
    int64_t reach = (w->size - 1) * w->dilation + 1;
    return GLIA_MAX(0, (w->out - 1) * w->stride + reach - w->in - w->pad);
}

static glia_dnnl_array array_of(const glia_type *type) {
    glia_dnnl_array array = {.rank = type->shape.rank, .any_layout = true};
    for (int i = 0; i < array.rank; i++) array.dim[i] = type->shape.dim[i];
    return array;
}

/* [O, C/groups, kh, kw] → [groups, O/groups, C/groups, kh, kw]: the same memory. */
static glia_dnnl_array grouped(const glia_type *weights, int64_t groups) {
    glia_dnnl_array array = array_of(weights);
    if (groups == 1) return array;
    array.rank = 5;
    array.dim[0] = groups;
    array.dim[1] = weights->shape.dim[0] / groups;
    for (int i = 1; i < 4; i++) array.dim[i + 1] = weights->shape.dim[i];
    return array;
}

/* The same for all three directions: x, w and y are the types of the forward convolution. */
static bool convolution_spec(const glia_kernel_query *query, glia_dnnl_kind kind, const glia_type *x,
                             const glia_type *w, const glia_type *bias, const glia_type *y,
                             glia_dnnl_spec *spec, const char **why_not) {
    const glia_conv2d_attrs *a = query->attrs;
    if (!glia__dnnl_takes_types(query, why_not)) return false;
    *why_not = "channels last";
    if (a->channels_last == GLIA_YES) return false;
    *why_not = "has an activation";
    if (a->activation != GLIA_FUSED_NONE) return false;
    *spec = (glia_dnnl_spec){.kind = kind, .threads = query->threads};
    for (int d = 0; d < 2; d++) {
        glia_window window = {.in = x->shape.dim[2 + d],
                              .size = w->shape.dim[2 + d],
                              .stride = a->strides[d],
                              .dilation = a->dilation[d]};
        *why_not = "the window does not fit"; /* cannot be: inference fitted it */
        if (glia__window_fit(&window, a->padding, a->pads[d], a->pads[d + 2], "conv2d", "image", NULL) !=
            GLIA_OK)
            return false;
        spec->strides[d] = window.stride;
        spec->dilation[d] = window.dilation;
        spec->pads[d] = window.pad;
        spec->pads[d + 2] = pad_after(&window);
    }
    spec->arrays[GLIA_DNNL_SRC] = array_of(x);
    spec->arrays[GLIA_DNNL_WEIGHTS] = grouped(w, a->groups);
    spec->arrays[GLIA_DNNL_DST] = array_of(y);
    if (bias && bias->shape.rank >= 0) spec->arrays[GLIA_DNNL_BIAS] = array_of(bias);
    return true;
}

/* --- forward: x, w, bias → y ----------------------------------------------------------------------------- */

static bool forward_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, const char **why_not) {
    return convolution_spec(q, GLIA_DNNL_CONVOLUTION, &q->in[0], &q->in[1], q->n_in > 2 ? &q->in[2] : NULL,
                            &q->out[0], spec, why_not);
}

GLIA_DNNL_PLANNING(forward)

static glia_status forward_run(void *state, const glia_call *c) {
    void *data[GLIA_DNNL_ROLES] = {[GLIA_DNNL_SRC] = c->in[0].data,
                                   [GLIA_DNNL_WEIGHTS] = c->in[1].data,
                                   [GLIA_DNNL_BIAS] = c->n_in > 2 ? c->in[2].data : NULL,
                                   [GLIA_DNNL_DST] = c->out[0].data};
    return glia__dnnl_run(state, data, c->workspace, c->err);
}

GLIA_KERNEL(dnnl_conv2d) = {
    .name = "dnnl_conv2d",
    .op = "conv2d",
    .priority = 50,
    .own_threads = true,
    .supports = forward_supports,
    .init = forward_init,
    .run = forward_run,
    .fini = glia__dnnl_free,
};

/* --- backward by data: w, dy, (x) → dx ------------------------------------------------------------------- */

static bool backward_data_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, const char **why_not) {
    return convolution_spec(q, GLIA_DNNL_CONVOLUTION_BACKWARD_DATA, &q->in[2], &q->in[0], NULL, &q->in[1],
                            spec, why_not);
}

GLIA_DNNL_PLANNING(backward_data)

static glia_status backward_data_run(void *state, const glia_call *c) {
    void *data[GLIA_DNNL_ROLES] = {[GLIA_DNNL_SRC] = c->out[0].data,
                                   [GLIA_DNNL_WEIGHTS] = c->in[0].data,
                                   [GLIA_DNNL_DST] = c->in[1].data};
    return glia__dnnl_run(state, data, c->workspace, c->err);
}

GLIA_KERNEL(dnnl_conv2d_backward_data) = {
    .name = "dnnl_conv2d_backward_data",
    .op = "conv2d_backward_data",
    .priority = 50,
    .own_threads = true,
    .supports = backward_data_supports,
    .init = backward_data_init,
    .run = backward_data_run,
    .fini = glia__dnnl_free,
};

/* --- backward by weights: x, dy, (w) → dw, db ---------------------------------------------------------------- */

static bool backward_weights_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, const char **why_not) {
    return convolution_spec(q, GLIA_DNNL_CONVOLUTION_BACKWARD_WEIGHTS, &q->in[0], &q->in[2], NULL, &q->in[1],
                            spec, why_not);
}

GLIA_DNNL_PLANNING(backward_weights)

/* db[o] = Σ dy. Not left to oneDNN, whose sum depends on the number of threads. Sixteen lanes let the compiler use
 * vectors. */
static void sum_dy(const glia_view *dy_view, float *db) {
    enum { LANES = 16 };
    const int64_t *d = dy_view->shape.dim, plane = d[2] * d[3];
    const float *dy = dy_view->data;
    for (int64_t o = 0; o < d[1]; o++) {
        double sum = 0;
        for (int64_t n = 0; n < d[0]; n++) {
            const float *row = dy + (n * d[1] + o) * plane;
            float lanes[LANES] = {0};
            int64_t i = 0;
            for (; i + LANES <= plane; i += LANES)
                for (int l = 0; l < LANES; l++) lanes[l] += row[i + l];
            for (; i < plane; i++) sum += (double)row[i];
            for (int l = 0; l < LANES; l++) sum += (double)lanes[l];
        }
        db[o] = (float)sum;
    }
}

static glia_status backward_weights_run(void *state, const glia_call *c) {
    void *data[GLIA_DNNL_ROLES] = {[GLIA_DNNL_SRC] = c->in[0].data,
                                   [GLIA_DNNL_WEIGHTS] = c->out[0].data,
                                   [GLIA_DNNL_DST] = c->in[1].data};
    sum_dy(&c->in[1], c->out[1].data);
    return glia__dnnl_run(state, data, c->workspace, c->err);
}

GLIA_KERNEL(dnnl_conv2d_backward_weights) = {
    .name = "dnnl_conv2d_backward_weights",
    .op = "conv2d_backward_weights",
    .priority = 50,
    .own_threads = true,
    .supports = backward_weights_supports,
    .init = backward_weights_init,
    .run = backward_weights_run,
    .fini = glia__dnnl_free,
};
