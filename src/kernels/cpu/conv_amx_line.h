/* conv_amx_line.h: how conv_amx_weights.c lays images on a line, and cuts it; see there. */
#ifndef GLIA_KERNELS_CONV_AMX_LINE_H
#define GLIA_KERNELS_CONV_AMX_LINE_H

#include "core/threads.h"
#include "kernels/cpu/amx.h"
#include "kernels/kernel.h"

#ifdef GLIA_CPU_AMX

enum {
    PART = TILE_PAIR, /* places of a step, channels of a block */
    MOST_STEPS = 128, /* of the line in a block */
    STEPS = 8,        /* of a block before the next tap: 16 KiB of dy stay in the first cache */
    MOST_LANES = 8,   /* parts of the line whose sums are added up */
    MOST_TAPS = 64,
    MOST_PHASES = 16,       /* strides of 4 */
    MOST_REACH = 8192,      /* distance between the first tap and the last */
    TILES = 4 * TILE * TILE /* sums of a tap for a block of channels of each */
};

/* One of the arrays on the line. */
typedef struct images {
    const uint16_t *data, *zeros;
    int64_t count, height, width, channels;
    int64_t image, row, column; /* numbers from one to the next */
} images;

typedef struct line_tap {
    int64_t distance; /* from the first of its phase */
    int64_t h, w;     /* rows and columns away */
    int number;       /* in the order of the weights */
} line_tap;

/* Every stride-th row and column of x, from (h, w) on, and the taps that fall on it. */
typedef struct line_phase {
    int64_t h, w, first; /* distance of its first tap */
    int tap, taps;
} line_phase;

typedef struct gradient {
    const glia_allocator *allocator;
    int threads;
    images x, dy;
    int64_t pile;        /* steps of one pixel of all images; 0: image after image */
    int64_t pitch, rows; /* pixels from row to row; rows from image to image */
    int64_t reach;       /* from the first tap of a phase to its last, at most */
    int64_t stride_h, stride_w;
    int taps, phases;
    line_tap tap[MOST_TAPS]; /* phase by phase */
    line_phase phase[MOST_PHASES];
    int64_t steps, unit, blocks; /* of the line; steps that no cut may part */
    int lanes, parts;            /* of the line, and of the channels of dy: a task each */
    bool whole;                  /* the line is one block: results are final at once */
    int64_t o_blocks, c_blocks;
    int64_t pair_rows; /* of a block of x, for each parity */
    /* In the workspace: of each thread, then of all. */
    size_t at_x, at_sums, thread_bytes, at_zeros, at_bias, at_lanes, lane_floats;
} gradient;

/* Rows, or columns, of the phase from `first` on. */
int64_t glia__line_side(int64_t side, int64_t stride, int64_t first);
/* a / b, rounded down. */
int64_t glia__line_floor(int64_t a, int64_t b);
/* Whether a call is one for it, with a reason when it is not. */
bool glia__line_fit(const glia_kernel_query *q, gradient *g, const char **why_not);
/* Fills in where what lies in the workspace; gives its bytes. */
size_t glia__line_memory(gradient *g);
/* Steps of a block of the line. */
void glia__line_block(const gradient *g, int64_t block, int64_t *begin, int64_t *end);

#endif
#endif
