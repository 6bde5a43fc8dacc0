/* conv_pool.h: what the loops of conv_pool_lanes.h work on. */
#ifndef GLIA_CPU_CONV_POOL_H
#define GLIA_CPU_CONV_POOL_H

#include <stdint.h>

/* One image, cut in four phases a channel: the even and the odd columns of the even and the odd rows, each with the zeros
 * of the padding around it. What the convolution's place (2h + a, 2w + b) sees through its tap (i, j) is element
 * (h + (a + i)/2, w + (b + j)/2) of phase ((a + i)%2, (b + j)%2): neighbouring windows of the pool lie side by side. */
typedef struct conv_pool_phases {
    const float *data; /* [channels][2][2][rows][pitch], and some floats to read behind */
    int64_t channels, rows, pitch;
} conv_pool_phases;

/* The results of one image as planes [filters][height][width]. Of y and dy, `room` elements may be touched: rows are
 * written and read in whole vectors, beyond their end, but never beyond the last plane. */
typedef struct conv_pool_planes {
    int64_t filters, height, width, room;
    int64_t kernel_height, kernel_width;
} conv_pool_planes;

/* weights [filters][channels][kernel_height][kernel_width], bias [filters] or NULL. */
typedef void conv_pool_forward(const conv_pool_planes *p, const conv_pool_phases *x, const float *weights,
                               const float *bias, float *y, uint8_t *winner);
/* Adds to sums [filters · channels · kernel_height · kernel_width + filters][lanes]: of dw and then of db. */
typedef void conv_pool_backward(const conv_pool_planes *p, const conv_pool_phases *x, const float *dy,
                                const uint8_t *winner, float *sums);

#endif
