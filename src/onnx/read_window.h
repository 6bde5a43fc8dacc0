/* read_window.h: the windows of convolutions and pools, as ONNX writes them. */
#ifndef GLIA_ONNX_READ_WINDOW_H
#define GLIA_ONNX_READ_WINDOW_H

#include "onnx/read.h"

/* One to three dimensions, the last of these arrays' places; those in front have a window of 1. Padding is explicit. */
typedef struct glia_onnx_window {
    int dims;
    int64_t kernel[3], strides[3], dilations[3], pads[6]; /* pads: the beginnings, then the ends */
    enum { GLIA_ONNX_PAD_SET, GLIA_ONNX_PAD_VALID, GLIA_ONNX_PAD_UPPER, GLIA_ONNX_PAD_LOWER } automatic;
} glia_onnx_window;

/* Reads kernel_shape (or takes it from the shape of `weights`), strides, dilations, pads and auto_pad, which is left to the
 * caller; false when refused. */
bool glia__onnx_window(glia_onnx_read *r, const glia_shape *x, const glia_shape *weights,
                       glia_onnx_window *w);
/* What auto_pad means for windows over `x`: ⌈in/stride⌉ results. */
bool glia__onnx_window_pad(glia_onnx_read *r, const glia_shape *x, glia_onnx_window *w);
/* A list of one number a dimension, into the last of `out`'s 3 places; false when absent. */
bool glia__onnx_window_list(glia_onnx_read *r, const char *name, int dims, int64_t *out);
/* x with dimensions of 1 before its last ones, so that there are `wanted` beside the first two, and back. */
glia_value *glia__onnx_inflate(glia_value *x, int dims, int wanted);
glia_value *glia__onnx_deflate(glia_value *x, int dims, int wanted);
/* x, w and b (or NULL) convolved as the node says; NULL when refused. */
glia_value *glia__onnx_convolution(glia_onnx_read *r, glia_value *x, glia_value *w, glia_value *b);

#endif
