/* window.h: sliding windows over images, shared by convolutions and pools. */
#ifndef GLIA_OPS_WINDOW_H
#define GLIA_OPS_WINDOW_H

#include "graph/op.h"

typedef enum glia_padding { GLIA_PADDING_VALID, GLIA_PADDING_SAME, GLIA_PADDING_EXPLICIT } glia_padding;

/* One direction of a window, with every number known. */
typedef struct glia_window {
    int64_t in, out, size, stride, dilation, pad; /* pad: before the first element */
} glia_window;

/* One number for each dimension of images, which lie as [N, C, H, W] or, with channels last, as [N, H, W, C]. */
typedef struct glia_nchw {
    int64_t n, c, h, w;
} glia_nchw;

static inline glia_nchw glia__nchw_sizes(const glia_shape *shape, bool channels_last) {
    const int64_t *d = shape->dim;
    return channels_last ? (glia_nchw){d[0], d[3], d[1], d[2]} : (glia_nchw){d[0], d[1], d[2], d[3]};
}

static inline glia_shape glia__nchw_shape(glia_nchw size, bool channels_last) {
    if (channels_last) return (glia_shape){.rank = 4, .dim = {size.n, size.h, size.w, size.c}};
    return (glia_shape){.rank = 4, .dim = {size.n, size.c, size.h, size.w}};
}

/* How far apart neighbours are, in elements. */
static inline glia_nchw glia__nchw_steps(glia_nchw size, bool channels_last) {
    if (channels_last) return (glia_nchw){size.h * size.w * size.c, 1, size.w * size.c, size.c};
    return (glia_nchw){size.c * size.h * size.w, size.h * size.w, size.w, 1};
}

/* For messages. */
static inline const char *glia__nchw_text(bool channels_last) {
    return channels_last ? "[N, H, W, C]" : "[N, C, H, W]";
}

#define GLIA_CHANNELS_LAST_FIELD(attrs)                                                             \
    {                                                                                               \
        .name = "channels_last", .kind = GLIA_FIELD_BOOL, .offset = offsetof(attrs, channels_last), \
        .initial = "no", .doc = "images lie as [N, H, W, C], not as [N, C, H, W]"                   \
    }

/* Fills `w` from its in, size, stride, dilation and the padding; `op` and `what` ("height") are for messages. 'same'
 * pads as Keras and ONNX's SAME_UPPER do: ⌈in/stride⌉ results, the odd zero at the end. */
glia_status glia__window_fit(glia_window *w, int padding, int64_t pad_begin, int64_t pad_end, const char *op,
                             const char *what, glia_error *err);

/* What a transposed convolution makes of `in` elements: w->out of those it has, and output_padding `more` at the end. The
 * window is that of the convolution that leads back; explicit pads are cut off. */
glia_status glia__window_enlarge(glia_window *w, int padding, int64_t pad_begin, int64_t pad_end,
                                 int64_t more, const char *op, const char *what, glia_error *err);

/* How a window slides over images, for ONNX. */
typedef struct glia_sliding {
    int sides;                                       /* 1, 2 or 3 */
    const int64_t *size, *strides, *dilation, *pads; /* strides of 0: the size; dilation NULL: 1 */
    int padding;
    bool channels_last, transposed;
} glia_sliding;
/* The attributes of it of the node added last: explicit pads, which every engine reads alike, whatever the padding was
 * called. The sizes are those of input 0 and output 0. */
void glia__to_onnx_sliding(glia_to_onnx *w, const glia_sliding *s);

/* Where in the input a tap of the window at `place` lies. */
static inline int64_t glia__window_at(const glia_window *w, int64_t place, int64_t tap) {
    return place * w->stride + tap * w->dilation - w->pad;
}

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
