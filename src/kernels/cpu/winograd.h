/* winograd.h: 3×3 convolutions of f32 by minimal filtering, F(4×4, 3×3): a tile of 4×4 results costs 36 multiplications a
 * channel instead of 144 (Lavin and Gray 2015, arXiv:1509.09308). A patch of 6×6 pixels is seen at 36 points; at each point
 * the channels of all tiles make one matrix product with the weights seen there:
 *
 *     y = Aᵀ·[(G·w·Gᵀ) ⊙ (Bᵀ·x·B)]·A
 *
 * The points are products of 0, ±5/8, ±3/2 and ∞, whose rounding errors were the least among the pairs tried: 0.8e-6 (root
 * of the mean square, results of size 1, 256 channels) where the usual ±1, ±2 give 1.8e-6.
 *
 * An infinite or not-a-number pixel spoils the tiles that see it, where direct sums would spoil fewer results.
 *
 * Arrays seen at points lie as [point][block of 16 channels][tile][16], so that the products read one stream. */
#ifndef GLIA_KERNELS_CPU_WINOGRAD_H
#define GLIA_KERNELS_CPU_WINOGRAD_H

#include "kernels/kernel.h"
#include "ops/conv.h"

enum {
    WINOGRAD_TILE = 4,  /* results in a row of a tile */
    WINOGRAD_PATCH = 6, /* pixels in a row of its patch */
    WINOGRAD_POINTS = 36,
    WINOGRAD_BLOCK = 16, /* channels that lie beside each other */
    WINOGRAD_PANEL = 32, /* and of the results in the weights */
    WINOGRAD_ROWS = 12   /* tiles of a product come in multiples of it */
};

/* Images with channels last, cut in tiles: patches begin `pad` pixels above and left of their tile. */
typedef struct glia_winograd_images {
    const float *zeros; /* `channels` of them: what lies beside an image */
    int64_t count, height, width, channels;
    int64_t down, across; /* tiles of an image */
    int64_t pad_h, pad_w;
} glia_winograd_images;

/* What is done to results on their way to memory; each may be NULL. */
typedef struct glia_winograd_finish {
    const float *bias, *residual;
    bool relu;
} glia_winograd_finish;

/* Floats from one point to the next, in an array of `tiles` tiles: no multiple of a page, whose lines would share their
 * place in the first cache. */
static inline int64_t glia__winograd_plane(int64_t tiles, int64_t channels) {
    return tiles * channels + WINOGRAD_BLOCK;
}

/* Bᵀ·x·B of tiles [first, first + count), whose number may pass the last: then zeros. `room`: tiles that `to` holds. */
void glia__winograd_spread(const glia_winograd_images *images, const float *x, int64_t first, int64_t count,
                           int64_t room, float *to);
/* A·dy·Aᵀ of tiles of results, for gradients by weights; adds dy to bias[channels]. */
void glia__winograd_spread_gradients(const glia_winograd_images *images, const float *dy, int64_t first,
                                     int64_t count, int64_t room, float *to, float *bias);
/* At each point: to[tile][o] = Σ_c from[tile][c]·weights[c][o], for `tiles` (a multiple of WINOGRAD_ROWS) tiles. */
void glia__winograd_multiply(const float *from, const float *weights, int64_t tiles, int64_t channels,
                             int64_t outs, float *to);
/* At one point, for one panel of results: weights[c][panel] (+)= Σ_tile x[tile][c]·dy[tile][panel]. */
void glia__winograd_add_products(const float *x, const float *dy, int64_t tiles, int64_t channels, bool add,
                                 float *weights);
/* y = Aᵀ·from·A of tiles [first, first + count), finished; `room` as above. `images` are those of the results. */
void glia__winograd_gather(const glia_winograd_images *images, const float *from, int64_t first,
                           int64_t count, int64_t room, const glia_winograd_finish *finish, float *y);

/* Weights in memory: a filter of nine taps for each result and channel. */
typedef struct glia_winograd_filters {
    int64_t outs, channels;
    int64_t out_step, channel_step; /* floats */
    bool turned;                    /* by 180°, for gradients by data */
} glia_winograd_filters;

/* Floats of the weights at all points. */
static inline int64_t glia__winograd_weights(int64_t channels, int64_t outs) {
    return WINOGRAD_POINTS * channels * outs;
}
/* G·w·Gᵀ as [point][panel][channel][32], of panels [begin, end). */
void glia__winograd_pack(const glia_winograd_filters *f, const float *w, int64_t begin, int64_t end,
                         float *to);
/* Gᵀ·from·G, the way back for gradients. */
void glia__winograd_unpack(const glia_winograd_filters *f, const float *from, int64_t begin, int64_t end,
                           float *dw);

/* A convolution, or its gradient by weights, cut in tiles. */
typedef struct glia_winograd_cut {
    glia_winograd_images from, to; /* images read, and those of the results or of their gradients */
    glia_winograd_filters filters;
    int64_t tiles;
} glia_winograd_cut;
/* Whether the convolution has the shape for it, and enough tiles to be worth it; else why not. `turned`: its gradient by
 * data, which is read from dy and written to dx. */
bool glia__winograd_cut(glia_winograd_cut *cut, const glia_conv *v, const glia_conv2d_attrs *a, bool turned,
                        const char **why_not);

#endif
