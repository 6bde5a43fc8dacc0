/* window.h: sliding windows over images, shared by convolutions and pools. */
#ifndef GLIA_OPS_WINDOW_H
#define GLIA_OPS_WINDOW_H

#include "graph/op.h"

typedef enum glia_padding { GLIA_PADDING_VALID, GLIA_PADDING_SAME, GLIA_PADDING_EXPLICIT } glia_padding;

/* One direction of a window, with every number known. */
typedef struct glia_window {
    int64_t in, out, size, stride, dilation, pad; /* pad: before the first element */
} glia_window;

/* Fills `w` from its in, size, stride, dilation and the padding; `op` and `what` ("height") are for messages. 'same'
 * pads as Keras and ONNX's SAME_UPPER do: ⌈in/stride⌉ results, the odd zero at the end. */
glia_status glia__window_fit(glia_window *w, int padding, int64_t pad_begin, int64_t pad_end, const char *op,
                             const char *what, glia_error *err);

/* The outputs whose tap at `offset` (tap · dilation − pad) falls inside the input: [*begin, *end). */
static inline void glia__window_inside(const glia_window *w, int64_t tap, int64_t *begin, int64_t *end) {
    int64_t offset = tap * w->dilation - w->pad;
    *begin = offset >= 0 ? 0 : (-offset + w->stride - 1) / w->stride;
    int64_t last = w->in - 1 - offset;
    *end = last < 0 ? 0 : last / w->stride + 1;
    if (*end > w->out) *end = w->out;
    if (*begin > *end) *begin = *end;
}

#endif
