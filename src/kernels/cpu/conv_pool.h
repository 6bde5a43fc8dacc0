/* conv_pool.h: what the loops of conv_pool_lanes.h work on. */
#ifndef GLIA_CPU_CONV_POOL_H
#define GLIA_CPU_CONV_POOL_H

#include <stdint.h>

/* One image with the zeros of the padding around it, the even columns of each row first, then the odd ones: what neighbours
 * of the pool's windows see through a tap lies side by side. */
typedef struct conv_pool_image {
    const float *data; /* [channels][rows][2][pitch], and some floats to read behind */
    int64_t channels, rows, pitch;
} conv_pool_image;

/* The results of one image as planes [filters][height][width], and how many of y or dy there are from here on: vectors may
 * reach behind a row, but not behind the end. */
typedef struct conv_pool_planes {
    int64_t filters, height, width, room;
    int64_t kernel_height, kernel_width;
} conv_pool_planes;

/* weights [filters][channels][kernel_height][kernel_width], bias [filters] or NULL. */
typedef void conv_pool_forward(const conv_pool_planes *p, const conv_pool_image *x, const float *weights,
                               const float *bias, float *y, uint8_t *winner);
/* Adds to sums [filters · channels · kernel_height · kernel_width + filters][lanes]: of dw and then of db. */
typedef void conv_pool_backward(const conv_pool_planes *p, const conv_pool_image *x, const float *dy,
                                const uint8_t *winner, float *sums);

#endif
