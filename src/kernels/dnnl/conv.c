/* conv.c: oneDNN's convolutions: forward, and backward by data and by weights. Images in planes (NCHW) are reordered to
 * oneDNN's blocked layout and back in every run; channels-last ones are taken as they lie. */
#include "core/isa.h"
#include "glia/ops.h"
#include "kernels/dnnl/dnnl_api.h"
#include "ops/riders.h"
#include "ops/window.h"

/* Zeros after the last element that a direction needs; begin + end make `out` come out right. */
static int64_t pad_after(const glia_window *w) {
    int64_t reach = (w->size - 1) * w->dilation + 1;
    return GLIA_MAX(0, (w->out - 1) * w->stride + reach - w->in - w->pad);
}

/* oneDNN names dimensions in the order N, C, H, W, wherever they lie. */
static void set_images(glia_dnnl_array *images, bool channels_last) {
    const glia_dnnl_array lie = *images;
    images->layout = channels_last ? GLIA_DNNL_AS_IT_LIES : GLIA_DNNL_ANY;
    for (int i = 1; i < 4 && channels_last; i++) {
        int from = i == 1 ? 3 : i - 1;
        images->dim[i] = lie.dim[from];
        images->stride[i] = lie.stride[from];
    }
}

/* [O, C/groups, kh, kw] → [groups, O/groups, C/groups, kh, kw]: the same memory. */
static void set_weights(glia_dnnl_array *weights, int64_t groups) {
    weights->layout = GLIA_DNNL_ANY;
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

/* oneDNN's 1×1 convolutions of images in blocks add up channels in an order that depends on the number of threads (seen
 * with 24); others of these two kinds never do. */
static int steady_threads(const glia_kernel_query *query, const glia_dnnl_spec *spec, bool channels_last) {
    const int64_t *window = spec->arrays[GLIA_DNNL_WEIGHTS].dim + 2;
    return window[0] * window[1] == 1 && !channels_last ? 1 : query->threads;
}

/* What all three directions share, once their arrays are in place. */
static bool fit(const glia_kernel_query *query, glia_dnnl_spec *spec, const char **why_not) {
    const glia_conv2d_attrs *a = query->attrs;
    const bool channels_last = a->channels_last == GLIA_YES;
    glia_dnnl_array *x = &spec->arrays[GLIA_DNNL_SRC], *w = &spec->arrays[GLIA_DNNL_WEIGHTS];
    set_images(x, channels_last);
    set_images(&spec->arrays[GLIA_DNNL_DST], channels_last);
    if (spec->arrays[GLIA_DNNL_RESIDUAL].rank) {
        *why_not =
            "a residual of images with channels first"; /* it would have to be in blocks, as the result is */
        if (!channels_last) return false;
        *why_not = "a residual: oneDNN 2.6's code for SSE4.1 adds the wrong elements of it";
        if (glia__isa() < GLIA_ISA_AVX2) return false;
        set_images(&spec->arrays[GLIA_DNNL_RESIDUAL], true);
    }
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
    spec->threads = steady_threads(query, spec, channels_last);
    set_weights(w, a->groups);
    return true;
}

/* --- forward: x, w, bias → y ----------------------------------------------------------------------------- */

static bool forward_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, const char **why_not) {
    if (!glia__dnnl_takes_types(q, why_not)) return false;
    *spec = (glia_dnnl_spec){.kind = GLIA_DNNL_CONVOLUTION,
                             .relu = ((const glia_conv2d_attrs *)q->attrs)->activation == GLIA_FUSED_RELU,
                             .arrays = {[GLIA_DNNL_SRC] = glia__dnnl_input(q, 0),
                                        [GLIA_DNNL_WEIGHTS] = glia__dnnl_input(q, 1),
                                        [GLIA_DNNL_BIAS] = glia__dnnl_input(q, 2),
                                        [GLIA_DNNL_DST] = glia__dnnl_output(q, 0),
                                        [GLIA_DNNL_RESIDUAL] = glia__dnnl_input(q, GLIA_RESIDUAL)}};
    spec->arrays[GLIA_DNNL_WEIGHTS].inside = spec->arrays[GLIA_DNNL_SRC].dtype;
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
    spec->arrays[GLIA_DNNL_WEIGHTS].inside = spec->arrays[GLIA_DNNL_SRC].dtype;
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

/* --- transposed: x, w → y, the same computation with other names ------------------------------------------ */

static bool transpose_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, const char **why_not) {
    if (!glia__dnnl_takes_types(q, why_not)) return false;
    *spec = (glia_dnnl_spec){.kind = GLIA_DNNL_CONVOLUTION_BACKWARD_DATA,
                             .arrays = {[GLIA_DNNL_SRC] = glia__dnnl_output(q, 0),
                                        [GLIA_DNNL_WEIGHTS] = glia__dnnl_input(q, 1),
                                        [GLIA_DNNL_DST] = glia__dnnl_input(q, 0)}};
    spec->arrays[GLIA_DNNL_WEIGHTS].inside = spec->arrays[GLIA_DNNL_SRC].dtype;
    return fit(q, spec, why_not); /* the attributes begin with those of the convolution */
}

GLIA_DNNL_PLANNING(transpose)

GLIA_KERNEL(dnnl_conv_transpose2d) = {
    .name = "dnnl_conv_transpose2d",
    .op = "conv_transpose2d",
    .priority = 50,
    .own_threads = true,
    .supports = transpose_supports,
    .init = transpose_init,
    .pack = glia__dnnl_pack,
    .run = glia__dnnl_run,
    .fini = glia__dnnl_free,
};

/* --- backward by weights: x, dy, (w) → dw, db ------------------------------------------------------------ */

static int64_t elems(const glia_dnnl_array *array) {
    int64_t product = 1;
    for (int i = 0; i < array->rank; i++) product *= array->dim[i];
    return product;
}

/* Parts of the batch whose results are added up, where these are small beside the images. Else two parts of the output
 * channels, each of which sees all of x, and a copy of its channels of dy: on VGG16's convolutions of 28×28 in bf16, batch 8,
 * two parts took 5 to 8 % more time of the cores than oneDNN's uncut primitive, four 15 to 17 %. */
static void cut_gradient(const glia_kernel_query *query, glia_dnnl_spec *spec, glia_dnnl_cut *cut) {
    enum { MOST_SUMS = 8, LEAST_CHANNELS = 32 };
    const glia_conv2d_attrs *a = query->attrs;
    glia_dnnl_array *x = &spec->arrays[GLIA_DNNL_SRC], *dy = &spec->arrays[GLIA_DNNL_DST];
    int64_t images = dy->dim[0], channels = dy->dim[1];
    int64_t sums = (elems(x) + elems(dy)) / (8 * elems(&spec->arrays[GLIA_DNNL_WEIGHTS]));
    sums = GLIA_MIN(GLIA_MIN(sums, MOST_SUMS), images);
    if (sums > 1) {
        *cut = (glia_dnnl_cut){.dim = {[GLIA_DNNL_WEIGHTS] = -1, [GLIA_DNNL_BIAS] = -1},
                               .width = (images + sums - 1) / sums,
                               .sums = true};
        return;
    }
    const bool apart = a->groups == 1 && channels >= 2 * LEAST_CHANNELS;
    *cut = (glia_dnnl_cut){.dim = {[GLIA_DNNL_SRC] = -1, [GLIA_DNNL_DST] = 1},
                           .width = apart ? ((channels + 1) / 2 + 15) & ~15 : channels};
    if (apart && a->channels_last == GLIA_YES) dy->layout = GLIA_DNNL_DENSE;
}

static bool backward_weights_spec(const glia_kernel_query *q, glia_dnnl_spec *spec, glia_dnnl_cut *cut,
                                  const char **why_not) {
    enum { WIDEST_BF16 = 448 }; /* oneDNN 2.6's code for AMX reads out of bounds from 480 on */
    if (!glia__dnnl_takes_types(q, why_not)) return false;
    const glia_conv2d_attrs *a = q->attrs;
    *why_not = "wide images in bf16 crash oneDNN 2.6";
    if (q->in[0].dtype == GLIA_BF16 &&
        glia__nchw_sizes(&q->in[0].shape, a->channels_last == GLIA_YES).w > WIDEST_BF16)
        return false;
    *spec = (glia_dnnl_spec){.kind = GLIA_DNNL_CONVOLUTION_BACKWARD_WEIGHTS,
                             .arrays = {[GLIA_DNNL_SRC] = glia__dnnl_input(q, 0),
                                        [GLIA_DNNL_WEIGHTS] = glia__dnnl_output(q, 0),
                                        [GLIA_DNNL_BIAS] = glia__dnnl_output(q, 1),
                                        [GLIA_DNNL_DST] = glia__dnnl_input(q, 1)}};
    if (!fit(q, spec, why_not)) return false;
    spec->threads = q->threads;
    cut_gradient(q, spec, cut);
    return true;
}

GLIA_DNNL_PLANNING_PARTS(backward_weights)

GLIA_KERNEL(dnnl_conv2d_backward_weights) = {
    .name = "dnnl_conv2d_backward_weights",
    .op = "conv2d_backward_weights",
    .priority = 50,
    .own_threads = true,
    .supports = backward_weights_supports,
    .init = backward_weights_init,
    .pack = glia__dnnl_parts_pack, /* x or dy may be a parameter */
    .run = glia__dnnl_parts_run,
    .fini = glia__dnnl_parts_free,
};
