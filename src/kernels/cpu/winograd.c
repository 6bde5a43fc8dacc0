/* winograd.c: to the 36 points and back, and the products between; see winograd.h. */

#include "kernels/cpu/winograd.h"

#include "core/isa.h"
#include "kernels/cpu/vectors.h"

enum {
    TILE = WINOGRAD_TILE,
    PATCH = WINOGRAD_PATCH,
    BLOCK = WINOGRAD_BLOCK,
    PANEL = WINOGRAD_PANEL,
};

/* The points ±A and ±B, exact in few bits, and their squares. */
#define A  0.625F
#define B  1.5F
#define A2 (A * A)
#define B2 (B * B)

/* --- where tiles are ------------------------------------------------------------------------------------- */

/* A tile of results. */
typedef struct tile_place {
    int64_t begin; /* floats to its first pixel */
    int64_t row_step, pixel_step;
    int height, width; /* of what lies inside the image; 0: there is no such tile */
} tile_place;

static tile_place find_tile(const glia_winograd_images *i, int64_t tile) {
    const int64_t w = tile % i->across * TILE, row = tile / i->across, h = row % i->down * TILE,
                  n = row / i->down;
    tile_place p = {.pixel_step = i->channels, .row_step = i->width * i->channels};
    if (n >= i->count) return p;
    p.begin = ((n * i->height + h) * i->width + w) * i->channels;
    p.height = (int)GLIA_MIN(TILE, i->height - h);
    p.width = (int)GLIA_MIN(TILE, i->width - w);
    return p;
}

/* The size × size pixels of a tile's patch; zeros where there are none. */
static void find_pixels(const glia_winograd_images *i, const float *x, int64_t tile, int size,
                        const float **pixel) {
    const int64_t left = tile % i->across * TILE - i->pad_w, line = tile / i->across,
                  top = line % i->down * TILE - i->pad_h, n = line / i->down;
    for (int row = 0; row < size; row++)
        for (int column = 0; column < size; column++) {
            const int64_t h = top + row, w = left + column;
            const bool inside = n < i->count && h >= 0 && h < i->height && w >= 0 && w < i->width;
            *pixel++ = inside ? x + ((n * i->height + h) * i->width + w) * i->channels : i->zeros;
        }
}

/* --- for each instruction set ---------------------------------------------------------------------------- */

#define LOOPS "kernels/cpu/winograd_loops.h"
#include "kernels/cpu/each_isa.h"

GLIA_CPU_DISPATCH(void, spread,
                  (const glia_winograd_images *images, const float *x, int64_t first, int64_t count,
                   int64_t room, float *to),
                  (images, x, first, count, room, to))
GLIA_CPU_DISPATCH(void, spread_gradients,
                  (const glia_winograd_images *images, const float *dy, int64_t first, int64_t count,
                   int64_t room, float *to, float *bias),
                  (images, dy, first, count, room, to, bias))
GLIA_CPU_DISPATCH(void, gather,
                  (const glia_winograd_images *images, const float *from, int64_t first, int64_t count,
                   int64_t room, const glia_winograd_finish *finish, float *y),
                  (images, from, first, count, room, finish, y))
GLIA_CPU_DISPATCH(void, multiply,
                  (const float *from, const float *weights, int64_t tiles, int64_t channels, int64_t outs,
                   float *to),
                  (from, weights, tiles, channels, outs, to))
GLIA_CPU_DISPATCH(void, add_products,
                  (const float *x, const float *dy, int64_t tiles, int64_t channels, bool add,
                   float *weights),
                  (x, dy, tiles, channels, add, weights))

void glia__winograd_spread(const glia_winograd_images *images, const float *x, int64_t first, int64_t count,
                           int64_t room, float *to) {
    spread(images, x, first, count, room, to);
}

void glia__winograd_spread_gradients(const glia_winograd_images *images, const float *dy, int64_t first,
                                     int64_t count, int64_t room, float *to, float *bias) {
    spread_gradients(images, dy, first, count, room, to, bias);
}

void glia__winograd_multiply(const float *from, const float *weights, int64_t tiles, int64_t channels,
                             int64_t outs, float *to) {
    multiply(from, weights, tiles, channels, outs, to);
}

void glia__winograd_add_products(const float *x, const float *dy, int64_t tiles, int64_t channels, bool add,
                                 float *weights) {
    add_products(x, dy, tiles, channels, add, weights);
}

void glia__winograd_gather(const glia_winograd_images *images, const float *from, int64_t first,
                           int64_t count, int64_t room, const glia_winograd_finish *finish, float *y) {
    gather(images, from, first, count, room, finish, y);
}

/* --- weights --------------------------------------------------------------------------------------------- */

/* G: each point's powers, divided by its distances from the others. */
#define NA (2 * A2 * (A2 - B2))
#define NB (2 * B2 * (B2 - A2))
static const float seen_from[PATCH][3] = {{1 / (A2 * B2), 0, 0},      {1 / NA, A / NA, A2 / NA},
                                          {1 / NA, -A / NA, A2 / NA}, {1 / NB, B / NB, B2 / NB},
                                          {1 / NB, -B / NB, B2 / NB}, {0, 0, 1}};

/* A channel's nine taps for the 32 results of a panel. */
typedef struct taps {
    float at[9][PANEL];
} taps;

GLIA_CPU_CLONES(void, pack_channel, (const taps *w, float *to, int64_t plane), (w, to, plane)) {
    float half[PATCH][3][PANEL];
    for (int i = 0; i < PATCH; i++)
        for (int j = 0; j < 3; j++)
            for (int o = 0; o < PANEL; o++)
                half[i][j][o] = seen_from[i][0] * w->at[j][o] + seen_from[i][1] * w->at[3 + j][o] +
                                seen_from[i][2] * w->at[6 + j][o];
    for (int i = 0; i < PATCH; i++)
        for (int j = 0; j < PATCH; j++, to += plane)
            for (int o = 0; o < PANEL; o++)
                to[o] = seen_from[j][0] * half[i][0][o] + seen_from[j][1] * half[i][1][o] +
                        seen_from[j][2] * half[i][2][o];
}

GLIA_CPU_CLONES(void, unpack_channel, (const float *from, int64_t plane, taps *w), (from, plane, w)) {
    float half[3][PATCH][PANEL];
    memset(half, 0, sizeof half);
    memset(w, 0, sizeof *w);
    for (int i = 0; i < PATCH; i++)
        for (int j = 0; j < PATCH; j++, from += plane)
            for (int tap = 0; tap < 3; tap++)
                for (int o = 0; o < PANEL; o++) half[tap][j][o] += seen_from[i][tap] * from[o];
    for (int down = 0; down < 3; down++)
        for (int j = 0; j < PATCH; j++)
            for (int across = 0; across < 3; across++)
                for (int o = 0; o < PANEL; o++)
                    w->at[3 * down + across][o] += seen_from[j][across] * half[down][j][o];
}

void glia__winograd_pack(const glia_winograd_filters *f, const float *w, int64_t begin, int64_t end,
                         float *to) {
    for (int64_t panel = begin; panel < end; panel++)
        for (int64_t c = 0; c < f->channels; c++) {
            taps t;
            for (int o = 0; o < PANEL; o++) {
                const float *filter = w + (panel * PANEL + o) * f->out_step + c * f->channel_step;
                for (int tap = 0; tap < 9; tap++) t.at[tap][o] = filter[f->turned ? 8 - tap : tap];
            }
            pack_channel(&t, to + (panel * f->channels + c) * PANEL, f->outs * f->channels);
        }
}

void glia__winograd_unpack(const glia_winograd_filters *f, const float *from, int64_t begin, int64_t end,
                           float *dw) {
    for (int64_t panel = begin; panel < end; panel++)
        for (int64_t c = 0; c < f->channels; c++) {
            taps t;
            unpack_channel(from + (panel * f->channels + c) * PANEL, f->outs * f->channels, &t);
            for (int o = 0; o < PANEL; o++) {
                float *filter = dw + (panel * PANEL + o) * f->out_step + c * f->channel_step;
                for (int tap = 0; tap < 9; tap++) filter[tap] = t.at[tap][o];
            }
        }
}

/* --- which convolutions ---------------------------------------------------------------------------------- */

static bool fits(const glia_conv *v, const glia_conv2d_attrs *a, int64_t channels, int64_t outs,
                 const char **why_not) {
    *why_not = "takes images with channels last only";
    if (a->channels_last != GLIA_YES) return false;
    *why_not = "takes windows of 3×3 with strides of 1 only, without groups or dilation";
    for (int i = 0; i < 2; i++) {
        const glia_window *w = i ? &v->w : &v->h;
        if (w->size != 3 || w->stride != 1 || w->dilation != 1) return false;
    }
    if (v->groups != 1) return false;
    *why_not = "takes channels in multiples of 16, and 32 of the results, only";
    return channels % BLOCK == 0 && outs % PANEL == 0;
}

/* Few tiles do not repay seeing the weights at 36 points (32 with 512 channels: 5.5 ms, oneDNN 4.7) unless these are few too,
 * nor do tiles of which more than half lies outside. */
static bool worth(const glia_winograd_cut *cut) {
    enum { LEAST_TILES = 48, FEW_WEIGHTS = 32 * 32 };
    const glia_winograd_images *to = &cut->to;
    const bool few_weights = cut->from.channels * to->channels <= FEW_WEIGHTS;
    return cut->tiles >= (few_weights ? 1 : LEAST_TILES) &&
           2 * to->height * to->width >= to->down * to->across * TILE * TILE;
}

bool glia__winograd_cut(glia_winograd_cut *cut, const glia_conv *v, const glia_conv2d_attrs *a, bool turned,
                        const char **why_not) {
    const int64_t filter = v->c * 9;
    glia_winograd_images x = {.count = v->n, .height = v->h.in, .width = v->w.in, .channels = v->c},
                         y = {.count = v->n, .height = v->h.out, .width = v->w.out, .channels = v->o};
    *cut = (glia_winograd_cut){.from = turned ? y : x, .to = turned ? x : y};
    cut->from.pad_h = turned ? 2 - v->h.pad : v->h.pad;
    cut->from.pad_w = turned ? 2 - v->w.pad : v->w.pad;
    cut->to.down = cut->from.down = (cut->to.height + TILE - 1) / TILE;
    cut->to.across = cut->from.across = (cut->to.width + TILE - 1) / TILE;
    cut->tiles = v->n * cut->to.down * cut->to.across;
    cut->filters = (glia_winograd_filters){.outs = cut->to.channels,
                                           .channels = cut->from.channels,
                                           .out_step = turned ? 9 : filter,
                                           .channel_step = turned ? filter : 9,
                                           .turned = turned};
    if (!fits(v, a, cut->from.channels, cut->to.channels, why_not)) return false;
    *why_not = "fewer than 48 tiles of 4×4, or small ones";
    return worth(cut);
}
