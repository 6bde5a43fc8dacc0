/* conv.h: what the ops of 2-D convolution share: attributes, checks, and the loops of their refs. */
#ifndef GLIA_OPS_CONV_H
#define GLIA_OPS_CONV_H

#include "glia/ops.h"
#include "ops/window.h"

/* Everything the loops need. */
typedef struct glia_conv {
    glia_window h, w;
    int64_t n, c, o, groups, c_group, o_group;
    glia_nchw x, y; /* steps between neighbours */
} glia_conv;

/* The attributes of all directions. */
#define GLIA_CONV_FIELDS                                                             \
    {.name = "strides",                                                              \
     .kind = GLIA_FIELD_INTS,                                                        \
     .offset = offsetof(glia_conv2d_attrs, strides),                                 \
     .count = 2,                                                                     \
     .initial = "1",                                                                 \
     .min = 1,                                                                       \
     .max = 1 << 20,                                                                 \
     .doc = "steps of the window: height, width"},                                   \
        {.name = "dilation",                                                         \
         .kind = GLIA_FIELD_INTS,                                                    \
         .offset = offsetof(glia_conv2d_attrs, dilation),                            \
         .count = 2,                                                                 \
         .initial = "1",                                                             \
         .min = 1,                                                                   \
         .max = 1 << 20,                                                             \
         .doc = "distance of the kernel's taps: height, width",                      \
         .onnx = "dilations"},                                                       \
        {.name = "padding",                                                          \
         .kind = GLIA_FIELD_CHOICE,                                                  \
         .offset = offsetof(glia_conv2d_attrs, padding),                             \
         .initial = "valid",                                                         \
         .choices = "valid|same|explicit",                                           \
         .doc = "zeros around the image: none, as many as keep its size, or `pads`", \
         .onnx = "auto_pad"},                                                        \
        {.name = "pads",                                                             \
         .kind = GLIA_FIELD_INTS,                                                    \
         .offset = offsetof(glia_conv2d_attrs, pads),                                \
         .count = 4,                                                                 \
         .initial = "0",                                                             \
         .doc = "explicit padding: top, left, bottom, right"},                       \
        {.name = "groups",                                                           \
         .kind = GLIA_FIELD_INT,                                                     \
         .offset = offsetof(glia_conv2d_attrs, groups),                              \
         .initial = "1",                                                             \
         .min = 1,                                                                   \
         .max = 1 << 24,                                                             \
         .doc = "channels are convolved in so many separate groups",                 \
         .onnx = "group"},                                                           \
        GLIA_CHANNELS_LAST_FIELD(glia_conv2d_attrs)

/* Checks x and w and fits the windows. */
glia_status glia__conv_fit(glia_conv *v, const glia_type *x, const glia_type *w, const glia_conv2d_attrs *a,
                           glia_error *err);
/* The type of the result. */
glia_type glia__conv_result(const glia_conv *v, glia_dtype dtype, const glia_conv2d_attrs *a);
double glia__conv_flops(const glia_type *y, const glia_type *w);
/* The loops of conv2d_backward_data in f32 or f64: inputs w and dy, output dx. */
glia_status glia__conv_backward_data_loops(const glia_call *c);

/* For every image, output channel, input channel and tap: the rows of x and y that meet. `count` elements from xi and
 * from yi, x_step and y_step apart, go with the weight at `tap`. */
#define GLIA_FOR_CONV_ROWS(v, ...)                                                                  \
    for (int64_t n = 0; n < (v).n; n++)                                                             \
        for (int64_t o = 0; o < (v).o; o++)                                                         \
            for (int64_t ci = 0; ci < (v).c_group; ci++)                                            \
                for (int64_t kh = 0; kh < (v).h.size; kh++)                                         \
                    for (int64_t kw = 0; kw < (v).w.size; kw++) {                                   \
                        int64_t h0, h1, w0, w1, c = o / (v).o_group * (v).c_group + ci;             \
                        int64_t tap = ((o * (v).c_group + ci) * (v).h.size + kh) * (v).w.size + kw; \
                        int64_t x_step = (v).w.stride * (v).x.w, y_step = (v).y.w;                  \
                        glia__window_inside(&(v).h, kh, &h0, &h1);                                  \
                        glia__window_inside(&(v).w, kw, &w0, &w1);                                  \
                        for (int64_t h = h0; h < h1; h++) {                                         \
                            int64_t ih = h * (v).h.stride + kh * (v).h.dilation - (v).h.pad;        \
                            int64_t iw = w0 * (v).w.stride + kw * (v).w.dilation - (v).w.pad;       \
                            int64_t xi = n * (v).x.n + c * (v).x.c + ih * (v).x.h + iw * (v).x.w;   \
                            int64_t yi = n * (v).y.n + o * (v).y.c + h * (v).y.h + w0 * (v).y.w;    \
                            int64_t count = w1 - w0;                                                \
                            __VA_ARGS__                                                             \
                        }                                                                           \
                    }

#endif
