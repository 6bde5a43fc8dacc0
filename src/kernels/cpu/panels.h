/* panels.h: products of a few rows with a matrix that is used again and again: the weights of recurrent layers, once a
 * step. The matrix lies in panels of some columns, ready to be multiplied; the rows in an array that is made anew each time.
 *
 * Numbers are floats, or, for tiles (AMX), sums of one or three bf16. A float is the sum of three: 24 bits of mantissa are
 * three times 8. Six of the nine products of such sums, those above 2⁻²⁴, give what a product of floats gives, at three times
 * the speed of AVX-512. */
#ifndef GLIA_KERNELS_PANELS_H
#define GLIA_KERNELS_PANELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PANEL_GROUP = 16, /* columns of panels come in groups; also what fits a row of a tile */
    PANEL_STEP = 32,  /* rows of the matrix that are packed at a time */
    PANEL_ROWS = 32,  /* of a product: two tiles */
    PANEL_MOST_GROUPS = 4
};

/* A matrix [inner][columns]; behind its rows are zeros up to a whole step. */
typedef struct glia_panels {
    int parts; /* bf16 that make a number; 0: floats */
    int64_t inner, steps, groups, count;
    size_t bytes; /* of a panel */
} glia_panels;

/* Rows to multiply: number k of row i at i·stride + k, its parts `part` elements from one another. */
typedef struct glia_rows {
    void *data;
    int parts;
    int64_t stride, part;
} glia_rows;

glia_panels glia__panels_of(int parts, int64_t inner, int64_t groups, int64_t count);
/* block[PANEL_STEP][groups·16]: rows of the matrix from step · PANEL_STEP on. */
void glia__panel_pack(const glia_panels *p, void *panel, int64_t step, const float *block);

/* The parts that suit this processor for numbers that lie in memory as f32 or bf16. */
int glia__panel_parts(bool bf16);
/* `count` rows of `inner` numbers for the panels, made in `memory`, all zeros; and their bytes, a multiple of 64. */
size_t glia__rows_bytes(const glia_panels *p, int64_t count);
glia_rows glia__rows_in(const glia_panels *p, int64_t count, void *memory);
/* Row i from number k on, a multiple of 16: n numbers. */
void glia__rows_put(const glia_rows *rows, int64_t i, int64_t k, const float *from, int64_t n);

/* Before products on tiles, in each thread, and after. */
void glia__panel_begin(const glia_panels *p);
void glia__panel_end(const glia_panels *p);
/* sums[count][groups·16] = rows[first …]·panel + bias; count ≤ PANEL_ROWS. bias NULL: 0. There is memory for PANEL_ROWS rows
 * of sums, and as many rows from `first` on. */
void glia__panel_multiply(const glia_panels *p, const void *panel, const glia_rows *rows, int64_t first,
                          int64_t count, const float *bias, float *sums);

#endif
