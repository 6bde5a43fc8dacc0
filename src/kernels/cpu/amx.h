/* amx.h: products of tiles. A tile is a register of 16 rows of 64 bytes; one instruction multiplies 16 rows of 16 pairs of
 * bf16 by 16 pairs of rows, and adds the results to a tile of 16×16 f32. Only for functions with GLIA_CPU_AMX, where
 * glia__isa() is at least GLIA_ISA_AMX. */
#ifndef GLIA_KERNELS_AMX_H
#define GLIA_KERNELS_AMX_H

#include "core/isa.h"

#ifdef GLIA_CPU_AMX
#include <immintrin.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { TILE = 16, TILE_BYTES = 1024, TILE_PAIR = 2 * TILE };

/* All eight tiles whole. Other libraries leave their own shapes behind: every stretch of work begins so. */
GLIA_CPU_AMX static inline void amx_begin(void) {
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } whole = {.palette = 1,
               .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
               .rows = {TILE, TILE, TILE, TILE, TILE, TILE, TILE, TILE}};
    _tile_loadconfig(&whole);
}

GLIA_CPU_AMX static inline void amx_end(void) {
    _tile_release();
}

/* What amx_multiply goes through: `rows` stretches of steps. A step of `a` is two tiles of 16 rows of 16 pairs; a step of `b`
 * 16 rows, `b_row` bytes apart, of 32 pairs, one for each column. */
typedef struct amx_operands {
    const char *a, *b;
    int64_t b_row, steps, rows, row_steps; /* row_steps: from one stretch to the next */
} amx_operands;

/* Tiles 0 … 3 become the sums of 32 rows by 32 columns, [2][2][16][16], or zeros. */
GLIA_CPU_AMX static inline void amx_load_sums(const float *sums, bool add) {
    enum { T = TILE_BYTES / sizeof(float) };
    atomic_signal_fence(memory_order_seq_cst); /* gcc 12 does not know that tiles are loaded from memory */
    if (!add) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        return;
    }
    _tile_loadd(0, sums, 64);
    _tile_loadd(1, sums + T, 64);
    _tile_loadd(2, sums + 2 * T, 64);
    _tile_loadd(3, sums + 3 * T, 64);
}

GLIA_CPU_AMX static inline void amx_store_sums(float *sums) {
    enum { T = TILE_BYTES / sizeof(float) };
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + T, 64);
    _tile_stored(2, sums + 2 * T, 64);
    _tile_stored(3, sums + 3 * T, 64);
}

/* Adds a[2]·b[2] to them: two tiles of 16 rows of 16 pairs, on end, and two whose rows are `b_row` bytes apart, the second
 * `b_next` bytes behind the first. */
GLIA_CPU_AMX GLIA_CPU_INLINE void amx_step(const char *a, const char *b, int64_t b_row, int64_t b_next) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, b_row);
    _tile_loadd(7, b + b_next, b_row);
    _tile_loadd(5, a + TILE_BYTES, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

/* sums[2][2] (+)= Σ a[step][2] · b[step]: 32 rows by 32 columns. Sums are tiles. */
GLIA_CPU_AMX static inline void amx_multiply(const amx_operands *o, float *sums, bool add) {
    amx_load_sums(sums, add);
    for (int64_t r = 0; r < o->rows; r++) {
        const char *a = o->a + r * o->row_steps * 2 * TILE_BYTES,
                   *b = o->b + r * o->row_steps * TILE * o->b_row;
        for (int64_t s = 0; s < o->steps; s++, a += 2 * TILE_BYTES, b += TILE * o->b_row)
            amx_step(a, b, o->b_row, 64);
    }
    amx_store_sums(sums);
}

/* Numbers as sums of one or of three bf16: a tile for each part, `part` bytes from one another. A product has two tiles of each
 * side, `other` bytes apart; rows of `a` are `row` bytes apart, those of `b` 64. */
typedef struct amx_sums {
    int64_t row, other, part;
} amx_sums;

/* Tiles 0 and 1 (+)= a·b for both tiles of b, and 2 and 3 for the second of a, if there are two (`tall`, `wide`). Products of
 * parts that together are below the last part of a number are left out. From one product to the next only one side is loaded
 * anew. */
GLIA_CPU_AMX __attribute__((always_inline)) static inline void
amx_multiply_sums(const char *a, const amx_sums *of_a, const char *b, const amx_sums *of_b, const int parts,
                  const bool tall, const bool wide) {
#define LOAD_A(p)                                                              \
    do {                                                                       \
        _tile_loadd(4, a + (p)*of_a->part, of_a->row);                         \
        if (tall) _tile_loadd(5, a + (p)*of_a->part + of_a->other, of_a->row); \
    } while (0)
#define LOAD_B(p)                                                       \
    do {                                                                \
        _tile_loadd(6, b + (p)*of_b->part, 64);                         \
        if (wide) _tile_loadd(7, b + (p)*of_b->part + of_b->other, 64); \
    } while (0)
#define MULTIPLY()                                 \
    do {                                           \
        _tile_dpbf16ps(0, 4, 6);                   \
        if (wide) _tile_dpbf16ps(1, 4, 7);         \
        if (tall) _tile_dpbf16ps(2, 5, 6);         \
        if (tall && wide) _tile_dpbf16ps(3, 5, 7); \
    } while (0)
    LOAD_A(0);
    if (parts > 1) {
        LOAD_B(2);
        MULTIPLY();
        LOAD_B(1);
        MULTIPLY();
        LOAD_A(1);
        MULTIPLY();
        LOAD_B(0);
        MULTIPLY();
        LOAD_A(2);
        MULTIPLY();
        LOAD_A(0);
    } else {
        LOAD_B(0);
    }
    MULTIPLY();
#undef LOAD_A
#undef LOAD_B
#undef MULTIPLY
}

#endif
#endif
