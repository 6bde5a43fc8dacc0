/* window.c: how many places a sliding window has. */

#include "ops/window.h"

glia_status glia__window_fit(glia_window *w, int padding, int64_t pad_begin, int64_t pad_end, const char *op,
                             const char *what, glia_error *err) {
    enum { MOST = 1 << 30 }; /* keeps every sum below far from overflow */
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
