/* conv_pool.h: what the ops of convolution, relu and max pooling in one share with their kernels. */
#ifndef GLIA_OPS_CONV_POOL_H
#define GLIA_OPS_CONV_POOL_H

#include "ops/conv.h"
#include "ops/pool.h"

enum { GLIA_NO_WINNER = 255 }; /* the relu clipped the largest of the window */

/* Attributes of both ops. */
typedef struct glia__conv_pool_attrs {
    glia_conv2d_attrs conv;
    int64_t pool_size[2], pool_strides[2]; /* height, width; strides 0: the size */
} glia__conv_pool_attrs;

typedef struct glia_conv_pool {
    glia_conv conv;
    glia_pool pool; /* over the convolution's result, which is never in memory: pool.x is of no use */
} glia_conv_pool;

/* Checks x and w, fits the windows, and tells the type of y. */
glia_status glia__conv_pool_fit(glia_conv_pool *v, const glia_type *x, const glia_type *w,
                                const glia__conv_pool_attrs *a, glia_type *y, glia_error *err);

#endif
