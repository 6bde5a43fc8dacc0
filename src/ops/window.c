/* window.c: how many places a sliding window has. */

#include "ops/window.h"

#include "graph/to_onnx.h"

enum { MOST = 1 << 30 }; /* keeps every sum below far from overflow */

glia_status glia__window_fit(glia_window *w, int padding, int64_t pad_begin, int64_t pad_end, const char *op,
                             const char *what, glia_error *err) {
    if (w->in < 0)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "%s: the %s of the image must be known when the graph is built", op, what);
    if (w->size < 1 || w->stride < 1 || w->dilation < 1 || w->size > MOST || w->stride > MOST ||
        w->dilation > MOST)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "%s: window, stride and dilation must be from 1 to %d, found %lld, %lld, %lld",
                              op, MOST, (long long)w->size, (long long)w->stride, (long long)w->dilation);
    int64_t reach = (w->size - 1) * w->dilation + 1, total = 0;
    w->pad = 0;
    if (padding == GLIA_PADDING_SAME) {
        w->out = (w->in + w->stride - 1) / w->stride;
        total = GLIA_MAX(0, (w->out - 1) * w->stride + reach - w->in);
        w->pad = total / 2;
        return GLIA_OK;
    }
    if (padding == GLIA_PADDING_EXPLICIT) {
        if (pad_begin < 0 || pad_end < 0 || pad_begin > MOST || pad_end > MOST)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "%s: pads must not be negative, found %lld and %lld", op,
                                  (long long)pad_begin, (long long)pad_end);
        w->pad = pad_begin;
        total = pad_begin + pad_end;
    }
    if (reach > w->in + total)
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "%s: a window of %lld is larger than the padded %s of %lld; use a smaller window or "
            "padding same",
            op, (long long)reach, what, (long long)(w->in + total));
    w->out = (w->in + total - reach) / w->stride + 1;
    return GLIA_OK;
}

glia_status glia__window_enlarge(glia_window *w, int padding, int64_t pad_begin, int64_t pad_end,
                                 int64_t more, const char *op, const char *what, glia_error *err) {
    const int64_t pads[] = {pad_begin, pad_end};
    if (w->in < 1 || w->in > MOST || w->size < 1 || w->size > MOST)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "%s: the %s must be known and at least 1, found %lld, with a window of %lld",
                              op, what, (long long)w->in, (long long)w->size);
    if (more < 0 || more >= w->stride)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "%s: output_padding of %lld must be less than the stride of %lld", op,
                              (long long)more, (long long)w->stride);
    if (padding == GLIA_PADDING_SAME) {
        w->out = w->in * w->stride;
        return GLIA_OK;
    }
    w->out = (w->in - 1) * w->stride + (w->size - 1) * w->dilation + 1 + more;
    for (int end = 0; end < 2 && padding == GLIA_PADDING_EXPLICIT; end++) {
        if (pads[end] < 0 || pads[end] >= w->out)
            return glia_error_set(err, GLIA_BAD_SHAPE, "%s: pads of %lld cannot be cut off a result of %lld",
                                  op, (long long)pads[end], (long long)w->out);
        w->out -= pads[end];
    }
    return GLIA_OK;
}

void glia__to_onnx_sliding(glia_to_onnx *w, const glia_sliding *s) {
    int64_t pads[6] = {0}, strides[3], dilation[3], more[3] = {0};
    bool dilated = false, longer = false;
    const int n = s->sides, first = s->channels_last ? 1 : 2;
    for (int d = 0; d < n && w->status == GLIA_OK; d++) {
        strides[d] = s->strides[d] ? s->strides[d] : s->size[d];
        dilation[d] = s->dilation ? s->dilation[d] : 1;
        int64_t large = w->node->inputs[0]->type.shape.dim[first + d];
        int64_t small = w->node->outputs[0].type.shape.dim[first + d];
        if (s->transposed) {
            const int64_t swap = large;
            large = small;
            small = swap;
        }
        glia_window v = {.in = large, .size = s->size[d], .stride = strides[d], .dilation = dilation[d]};
        w->status =
            glia__window_fit(&v, s->padding, s->pads[d], s->pads[n + d], w->node->op->name, "side", w->err);
        const int64_t covered = (small - 1) * strides[d] + (s->size[d] - 1) * dilation[d] + 1;
        const int64_t after = covered - v.pad - large; /* negative: what no window covers */
        pads[d] = v.pad;
        pads[n + d] = GLIA_MAX(after, 0);
        more[d] = GLIA_MAX(-after, 0);
        dilated |= dilation[d] != 1;
        longer |= more[d] != 0;
    }
    if (dilated) glia__to_onnx_ints(w, "dilations", dilation, n);
    glia__to_onnx_ints(w, "kernel_shape", s->size, n);
    if (s->transposed && longer) glia__to_onnx_ints(w, "output_padding", more, n);
    glia__to_onnx_ints(w, "pads", pads, 2 * n);
    glia__to_onnx_ints(w, "strides", strides, n);
}
