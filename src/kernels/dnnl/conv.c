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

/* [O, C/groups, kh, kw] → [groups, O/groups, C/groups, kh, kw]: the same memory. */
static void group(glia_dnnl_array *weights, int64_t groups) {
    if (groups == 1) return;
    for (int i = 4; i > 0; i--) {
        weights->dim[i] = weights->dim[i - 1];
        weights->stride[i] = weights->stride[i - 1];
    }
    weights->rank = 5;
    weights->dim[0] = groups;
    weights->dim[1] /= groups;
    weights->stride[0] = weights->stride[1] * weights->dim[1];
}

/* What all three directions share, once their arrays are in place. */
static bool fit(const glia_kernel_query *query, glia_dnnl_spec *spec, const char **why_not) {
    const glia_conv2d_attrs *a = query->attrs;
    glia_dnnl_array *x = &spec->arrays[GLIA_DNNL_SRC], *w = &spec->arrays[GLIA_DNNL_WEIGHTS];
    *why_not = "channels last";
    if (a->channels_last == GLIA_YES) return false;
    *why_not = "has an activation";
    if (a->activation != GLIA_FUSED_NONE) return false;
    spec->threads = query->threads;
    for (int d = 0; d < 2; d++) {
        glia_window window = {
            .in = x->dim[2 + d], .size = w->dim[2 + d], .stride = a->strides[d], .dilation = a->dilation[d]};
        *why_not = "the window does not fit"; /* cannot be: inference fitted it */
        if (glia__window_fit(&window, a->padding, a->pads[d], a->pads[d + 2], "conv2d", "image", NULL) !=
            GLIA_OK)
            return false;
        spec->strides[d] = window.stride;
        spec->dilation[d] = window.dilation;
        spec->pads[d] = window.pad;
        spec->pads[d + 2] = pad_after(&window);
    }
    group(w, a->groups);
    for (int role = 0; role < GLIA_DNNL_ROLES; role++) spec->arrays[role].any_layout = role != GLIA_DNNL_BIAS;
    return true;
}

/* --- forward: x, w, bias → y ----------------------------------------------------------------------------- */

static bool forward_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, const char **why_not) {
    if (!glia__dnnl_takes_types(q, why_not)) return false;
    *spec = (glia_dnnl_spec){.kind = GLIA_DNNL_CONVOLUTION,
                             .arrays = {[GLIA_DNNL_SRC] = glia__dnnl_input(q, 0),
                                        [GLIA_DNNL_WEIGHTS] = glia__dnnl_input(q, 1),
                                        [GLIA_DNNL_BIAS] = glia__dnnl_input(q, 2),
                                        [GLIA_DNNL_DST] = glia__dnnl_output(q, 0)}};
    return fit(q, spec, why_not);
}

GLIA_DNNL_PLANNING(forward)

GLIA_KERNEL(dnnl_conv2d) = {
    .name = "dnnl_conv2d",
    .op = "conv2d",
    .priority = 50,
    .own_threads = true,
    .supports = forward_supports,
    .init = forward_init,
    .pack = glia__dnnl_pack,
    .run = glia__dnnl_run,
    .fini = glia__dnnl_free,
};

/* --- backward by data: w, dy, (x) → dx ------------------------------------------------------------------- */

static bool backward_data_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, const char **why_not) {
    if (!glia__dnnl_takes_types(q, why_not)) return false;
    *spec = (glia_dnnl_spec){.kind = GLIA_DNNL_CONVOLUTION_BACKWARD_DATA,
                             .arrays = {[GLIA_DNNL_SRC] = glia__dnnl_output(q, 0),
                                        [GLIA_DNNL_WEIGHTS] = glia__dnnl_input(q, 0),
                                        [GLIA_DNNL_DST] = glia__dnnl_input(q, 1)}};
    return fit(q, spec, why_not);
}

GLIA_DNNL_PLANNING(backward_data)

GLIA_KERNEL(dnnl_conv2d_backward_data) = {
    .name = "dnnl_conv2d_backward_data",
    .op = "conv2d_backward_data",
    .priority = 50,
    .own_threads = true,
    .supports = backward_data_supports,
    .init = backward_data_init,
    .pack = glia__dnnl_pack,
    .run = glia__dnnl_run,
    .fini = glia__dnnl_free,
};

/* --- backward by weights: x, dy, (w) → dw ---------------------------------------------------------------- */

static bool backward_weights_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, const char **why_not) {
    if (!glia__dnnl_takes_types(q, why_not)) return false;
    *spec = (glia_dnnl_spec){.kind = GLIA_DNNL_CONVOLUTION_BACKWARD_WEIGHTS,
                             .arrays = {[GLIA_DNNL_SRC] = glia__dnnl_input(q, 0),
                                        [GLIA_DNNL_WEIGHTS] = glia__dnnl_output(q, 0),
                                        [GLIA_DNNL_BIAS] = glia__dnnl_output(q, 1),
                                        [GLIA_DNNL_DST] = glia__dnnl_input(q, 1)}};
    return fit(q, spec, why_not);
}

GLIA_DNNL_PLANNING(backward_weights)

GLIA_KERNEL(dnnl_conv2d_backward_weights) = {
    .name = "dnnl_conv2d_backward_weights",
    .op = "conv2d_backward_weights",
    .priority = 50,
    .own_threads = false, /* oneDNN adds over threads: the executor cuts the batch instead */
    .supports = backward_weights_supports,
    .init = backward_weights_init,
    .run = glia__dnnl_run,
    .fini = glia__dnnl_free,
};
