/* conv_amx_line.c: which gradients conv_amx_weights.c takes, and how their line is cut. */
#include "kernels/cpu/conv_amx_line.h"

#include "ops/conv.h"

#ifdef GLIA_CPU_AMX

static int64_t blocks_of(int64_t channels) {
    return (channels + PART - 1) / PART;
}

int64_t glia__line_floor(int64_t a, int64_t b) {
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

int64_t glia__line_side(int64_t side, int64_t stride, int64_t first) {
    return (side - first + stride - 1) / stride;
}

/* Rows, or columns, from one image to the next so that no tap of a result falls on another image. */
static int64_t pitch_of(const glia_window *w) {
    const int64_t before = -glia__line_floor(-w->pad, w->stride);
    const int64_t after = w->out - 1 + glia__line_floor((w->size - 1) * w->dilation - w->pad, w->stride);
    return GLIA_MAX(GLIA_MAX(glia__line_side(w->in, w->stride, 0) + before, after + 1), w->out);
}

/* Taps of a phase by rows of the window, and in them by parity: neighbours in this order find the same pairs in the cache. */
static void order_phase(gradient *g, const glia_conv *v, line_phase *p) {
    const int64_t pixel = g->pile ? g->pile * PART : 1;
    for (int64_t h = 0; h < v->h.size; h++)
        for (int parity = 0; parity < 2; parity++)
            for (int64_t w = 0; w < v->w.size; w++) {
                const int64_t down = h * v->h.dilation - v->h.pad, right = w * v->w.dilation - v->w.pad;
                const int64_t dh = glia__line_floor(down, v->h.stride),
                              dw = glia__line_floor(right, v->w.stride);
                if (down - dh * v->h.stride != p->h || right - dw * v->w.stride != p->w) continue;
                const int64_t distance = (dh * g->pitch + dw) * pixel;
                if (!p->taps) p->first = distance;
                if ((distance - p->first) % 2 != parity) continue;
                g->tap[p->tap + p->taps++] = (line_tap){
                    .distance = distance - p->first, .h = dh, .w = dw, .number = (int)(h * v->w.size + w)};
                g->reach = GLIA_MAX(g->reach, distance - p->first);
            }
}

static void order_taps(gradient *g, const glia_conv *v) {
    for (int64_t h = 0; h < v->h.stride; h++)
        for (int64_t w = 0; w < v->w.stride; w++) {
            line_phase p = {.h = h, .w = w, .tap = g->taps};
            order_phase(g, v, &p);
            if (p.taps) g->phase[g->phases++] = p;
            g->taps += p.taps;
        }
}

/* The greatest common divisor. */
static int common(int a, int b) {
    return b ? common(b, a % b) : a;
}

/* Lanes follow from the shapes alone; parts from the threads, since the bits do not depend on them. */
static void cut(gradient *g) {
    const int64_t weights = g->dy.channels * g->x.channels * g->taps;
    const int64_t elems = g->dy.count * (g->dy.height * g->dy.width * g->dy.channels +
                                         g->x.height * g->x.width * g->x.channels);
    const int64_t places = (g->dy.count * g->rows - (g->rows - g->dy.height)) * g->pitch;
    g->steps = (places + PART - 1) / PART;
    g->unit = g->pile ? g->pile * g->pitch : 1;
    const int64_t units = g->steps / g->unit;
    g->lanes = 1;
    while (g->lanes < MOST_LANES && 2 * g->lanes <= elems / (8 * weights) && 2 * g->lanes <= units)
        g->lanes *= 2;
    g->blocks = (g->steps + MOST_STEPS - 1) / MOST_STEPS;
    g->blocks = GLIA_MIN((g->blocks + g->lanes - 1) / g->lanes, units / g->lanes) * g->lanes;
    g->whole = g->blocks == 1 && g->phases == 1;
    g->o_blocks = blocks_of(g->dy.channels);
    g->c_blocks = blocks_of(g->x.channels);
    g->parts = (int)GLIA_MIN(g->threads / common(g->threads, g->lanes), g->o_blocks);
}

/* Of the line, by index of the block. */
void glia__line_block(const gradient *g, int64_t block, int64_t *begin, int64_t *end) {
    glia__part_range(g->steps / g->unit, (int)block, (int)g->blocks, begin, end);
    *begin *= g->unit;
    *end *= g->unit;
}

static size_t rounded(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

size_t glia__line_memory(gradient *g) {
    const int64_t steps = (g->steps / g->unit + g->blocks - 1) / g->blocks * g->unit;
    const int64_t o_blocks = (g->o_blocks + g->parts - 1) / g->parts;
    g->pair_rows = steps * TILE + (g->reach + 1) / 2;
    g->at_x = (size_t)(o_blocks * steps * 2 * TILE_BYTES);
    g->at_sums = g->at_x + (size_t)((g->pile ? 1 : 2) * g->pair_rows * 2 * 64);
    g->thread_bytes = g->at_sums + (g->whole ? (size_t)g->taps * TILES * sizeof(float) : 0);
    g->lane_floats = g->whole ? 0 : (size_t)(g->o_blocks * g->c_blocks * g->taps * TILES);
    g->at_zeros = (size_t)g->threads * g->thread_bytes;
    g->at_bias =
        g->at_zeros + rounded((size_t)(GLIA_MAX(g->o_blocks, g->c_blocks) * PART) * sizeof(uint16_t));
    g->at_lanes = g->at_bias + (size_t)g->lanes * (size_t)g->o_blocks * PART * TILE * sizeof(float);
    return g->at_lanes + (size_t)g->lanes * g->lane_floats * sizeof(float);
}

/* Whether images are so small, and so many, that the zeros between them cost more than the way from image to image. */
static bool piled(const glia_conv *v) {
    enum { WIDEST = 8 }; /* batch 128, one core, on a line → piled: 8×8 10.6 → 8.2 ms, 16×16 9.6 → 11 */
    const int64_t reach = (v->h.size - 1) * v->h.dilation * v->w.out + (v->w.size - 1) * v->w.dilation;
    return v->n % PART == 0 && v->w.out <= WIDEST && v->h.in == v->h.out * v->h.stride &&
           v->w.in == v->w.out * v->w.stride && v->n / PART * v->w.out <= MOST_STEPS &&
           reach * v->n <= MOST_REACH;
}

bool glia__line_fit(const glia_kernel_query *q, gradient *g, const char **why_not) {
    const glia_conv2d_attrs *a = q->attrs;
    glia_conv v;
    *why_not = "the processor has no AMX, or GLIA_ISA forbids it";
    if (glia__isa() < GLIA_ISA_AMX) return false;
    *why_not = "takes bf16 with channels last only";
    if (q->in[0].dtype != GLIA_BF16 || a->channels_last != GLIA_YES) return false;
    *why_not = "the window does not fit"; /* cannot be: inference fitted it */
    if (glia__conv_fit(&v, &q->in[0], &q->in[2], a, NULL) != GLIA_OK) return false;
    *why_not = "groups or large strides";
    if (v.groups > 1 || v.h.stride > 4 || v.w.stride > 4) return false;
    *why_not = "no elements";
    if (v.n * v.h.in * v.w.in * v.h.out * v.w.out == 0) return false;
    *g = (gradient){.allocator = q->allocator,
                    .threads = GLIA_MAX(q->threads, 1),
                    .x = {.count = v.n,
                          .height = v.h.in,
                          .width = v.w.in,
                          .channels = v.c,
                          .image = v.h.in * v.w.in * v.c,
                          .row = v.h.stride * v.w.in * v.c,
                          .column = v.w.stride * v.c},
                    .dy = {.count = v.n,
                           .height = v.h.out,
                           .width = v.w.out,
                           .channels = v.o,
                           .image = v.h.out * v.w.out * v.o,
                           .row = v.w.out * v.o,
                           .column = v.o},
                    .stride_h = v.h.stride,
                    .stride_w = v.w.stride,
                    .pitch = pitch_of(&v.w),
                    .rows = pitch_of(&v.h)};
    if (piled(&v)) {
        g->pile = v.n / PART;
        g->pitch = v.w.out;
        g->rows = v.h.out;
    }
    *why_not = "fewer than 16 filters, or a window of more than 64 taps";
    if (v.o < TILE || v.h.size * v.w.size > MOST_TAPS) return false;
    order_taps(g, &v);
    *why_not = "the window reaches far";
    if (g->reach > MOST_REACH) return false;
    *why_not = "three zeros or more between the images for each pixel";
    if (g->pitch * g->rows >= 4 * v.h.out * v.w.out) return false;
    cut(g);
    return true;
}

#endif
