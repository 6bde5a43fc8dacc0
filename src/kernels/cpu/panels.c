/* panels.c: see panels.h. */

#include "kernels/cpu/panels.h"

#include <string.h>

#include "core/mem.h"
#include "kernels/cpu/amx.h"
#include "kernels/cpu/element.h"
#include "kernels/cpu/vectors.h"

#define LOOPS "kernels/cpu/panel_floats.h"
#include "kernels/cpu/each_isa.h"

GLIA_CPU_DISPATCH(void, multiply,
                  (const glia_panels *p, const float *panel, const float *a, int64_t a_stride, int64_t count,
                   const float *bias, float *sums),
                  (p, panel, a, a_stride, count, bias, sums))

/* --- layouts ---------------------------------------------------------------------------------------------- */

/* bf16: [step][part][group] tiles of 16 pairs of rows by 16 columns. */
enum { PAIRS = PANEL_STEP / 2, TILE_ELEMS = PANEL_STEP * PANEL_GROUP };

glia_panels glia__panels_of(int parts, int64_t inner, int64_t groups, int64_t count) {
    const int64_t steps = (inner + PANEL_STEP - 1) / PANEL_STEP;
    const int64_t elems = steps * PANEL_STEP * groups * PANEL_GROUP;
    return (glia_panels){.parts = parts,
                         .inner = inner,
                         .steps = steps,
                         .groups = groups,
                         .count = count,
                         .bytes = (size_t)elems * (parts ? (size_t)parts * sizeof(uint16_t) : sizeof(float))};
}

int glia__panel_parts(bool bf16) {
#ifdef GLIA_CPU_AMX
    if (glia__isa() >= GLIA_ISA_AMX) return bf16 ? 1 : 3;
#endif
    (void)bf16;
    return 0;
}

#ifdef GLIA_CPU_AMX

/* The next part of what is left of 16 numbers, and what then is left. */
GLIA_CPU_AMX GLIA_CPU_INLINE void take_part(__m512 *left, uint16_t *to) {
    const __m256i part = (__m256i)_mm512_cvtneps_pbh(*left);
    _mm256_storeu_si256((__m256i *)to, part);
    *left = _mm512_sub_ps(*left, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(part), 16)));
}

GLIA_CPU_AMX static void pack_parts(const glia_panels *p, uint16_t *to, const float *block) {
    const int64_t columns = p->groups * PANEL_GROUP;
    for (int64_t g = 0; g < p->groups; g++)
        for (int64_t pair = 0; pair < PAIRS; pair++) {
            float left[2 * PANEL_GROUP] __attribute__((aligned(64)));
            for (int c = 0; c < PANEL_GROUP; c++) {
                left[2 * c] = block[2 * pair * columns + g * PANEL_GROUP + c];
                left[2 * c + 1] = block[(2 * pair + 1) * columns + g * PANEL_GROUP + c];
            }
            __m512 first = _mm512_load_ps(left), second = _mm512_load_ps(left + PANEL_GROUP);
            for (int part = 0; part < p->parts; part++) {
                uint16_t *pairs = to + (part * p->groups + g) * TILE_ELEMS + pair * 2 * PANEL_GROUP;
                take_part(&first, pairs);
                take_part(&second, pairs + PANEL_GROUP);
            }
        }
}

/* Behind n there is room for whole groups: rows have whole steps. */
GLIA_CPU_AMX static void put_parts(const glia_rows *rows, uint16_t *to, const float *from, int64_t n) {
    for (int64_t k = 0; k < n; k += PANEL_GROUP) {
        const __mmask16 mask = n - k >= PANEL_GROUP ? 0xFFFF : (__mmask16)((1u << (n - k)) - 1);
        __m512 left = _mm512_maskz_loadu_ps(mask, from + k);
        for (int part = 0; part < rows->parts; part++) take_part(&left, to + part * rows->part + k);
    }
}
#endif

void glia__panel_pack(const glia_panels *p, void *panel, int64_t step, const float *block) {
    const int64_t elems = PANEL_STEP * p->groups * PANEL_GROUP;
#ifdef GLIA_CPU_AMX
    if (p->parts) {
        pack_parts(p, (uint16_t *)panel + step * p->parts * elems, block);
        return;
    }
#endif
    memcpy((float *)panel + step * elems, block, (size_t)elems * sizeof(float));
}

/* 64 bytes more than the numbers take, so that rows of powers of two do not meet in the same lines of the cache. */
static int64_t stride_of(const glia_panels *p) {
    return p->steps * PANEL_STEP + PANEL_STEP;
}

size_t glia__rows_bytes(const glia_panels *p, int64_t count) {
    const size_t number = p->parts ? (size_t)p->parts * sizeof(uint16_t) : sizeof(float);
    return (size_t)(stride_of(p) * count) * number;
}

glia_rows glia__rows_in(const glia_panels *p, int64_t count, void *memory) {
    memset(memory, 0, glia__rows_bytes(p, count));
    return (glia_rows){
        .data = memory, .parts = p->parts, .stride = stride_of(p), .part = stride_of(p) * count};
}

void glia__rows_put(const glia_rows *rows, int64_t i, int64_t k, const float *from, int64_t n) {
    const int64_t at = i * rows->stride + k;
#ifdef GLIA_CPU_AMX
    if (rows->parts) {
        put_parts(rows, (uint16_t *)rows->data + at, from, n);
        return;
    }
#endif
    memcpy((float *)rows->data + at, from, (size_t)n * sizeof *from);
}

/* --- on tiles --------------------------------------------------------------------------------------------- */

#ifdef GLIA_CPU_AMX

/* One or two tiles of rows (`tall`) by one or two groups of columns (`wide`). */
GLIA_CPU_AMX __attribute__((always_inline)) static inline void
tiles(const glia_panels *p, const uint16_t *panel, const glia_rows *rows, int64_t first, const float *bias,
      float *sums, const int parts, const bool tall, const bool wide) {
    const int64_t columns = p->groups * PANEL_GROUP, half = TILE * columns, row = columns * 4;
    const amx_sums of_a = {rows->stride * 2, TILE * rows->stride * 2, rows->part * 2},
                   of_b = {64, TILE_BYTES, p->groups * TILE_BYTES};
    const char *a = (const char *)rows->data + first * of_a.row, *b = (const char *)panel;
    static const float zeros[2 * PANEL_GROUP];
    const float *begin = bias ? bias : zeros;
    atomic_signal_fence(memory_order_seq_cst); /* gcc 12 does not know that tiles are loaded from memory */
    _tile_loadd(0, begin, 0);
    if (wide) _tile_loadd(1, begin + PANEL_GROUP, 0);
    if (tall) _tile_loadd(2, begin, 0);
    if (tall && wide) _tile_loadd(3, begin + PANEL_GROUP, 0);
    for (int64_t s = 0; s < p->steps; s++, a += 2 * PANEL_STEP, b += parts * of_b.part)
        amx_multiply_sums(a, &of_a, b, &of_b, parts, tall, wide);
    _tile_stored(0, sums, row);
    if (wide) _tile_stored(1, sums + PANEL_GROUP, row);
    if (tall) _tile_stored(2, sums + half, row);
    if (tall && wide) _tile_stored(3, sums + half + PANEL_GROUP, row);
    atomic_signal_fence(memory_order_seq_cst);
}

GLIA_CPU_AMX __attribute__((always_inline)) static inline void
multiply_parts(const glia_panels *p, const uint16_t *panel, const glia_rows *rows, int64_t first,
               int64_t count, const float *bias, float *sums, const int parts) {
    for (int64_t g = 0; g < p->groups; g += 2) {
        const uint16_t *from = panel + g * TILE_ELEMS;
        const float *begin = bias ? bias + g * PANEL_GROUP : NULL;
        float *to = sums + g * PANEL_GROUP;
        const bool wide = p->groups - g > 1;
        if (count > TILE && wide)
            tiles(p, from, rows, first, begin, to, parts, true, true);
        else if (count > TILE)
            tiles(p, from, rows, first, begin, to, parts, true, false);
        else if (wide)
            tiles(p, from, rows, first, begin, to, parts, false, true);
        else
            tiles(p, from, rows, first, begin, to, parts, false, false);
    }
}

GLIA_CPU_AMX static void multiply_tiles(const glia_panels *p, const uint16_t *panel, const glia_rows *rows,
                                        int64_t first, int64_t count, const float *bias, float *sums) {
    if (p->parts > 1)
        multiply_parts(p, panel, rows, first, count, bias, sums, 3);
    else
        multiply_parts(p, panel, rows, first, count, bias, sums, 1);
}

GLIA_CPU_AMX static void tiles_begin(void) {
    amx_begin();
}

GLIA_CPU_AMX static void tiles_end(void) {
    amx_end();
}
#endif

/* --- both ------------------------------------------------------------------------------------------------- */

void glia__panel_begin(const glia_panels *p) {
#ifdef GLIA_CPU_AMX
    if (p->parts) tiles_begin();
#endif
    (void)p;
}

void glia__panel_end(const glia_panels *p) {
#ifdef GLIA_CPU_AMX
    if (p->parts) tiles_end();
#endif
    (void)p;
}

void glia__panel_multiply(const glia_panels *p, const void *panel, const glia_rows *rows, int64_t first,
                          int64_t count, const float *bias, float *sums) {
#ifdef GLIA_CPU_AMX
    if (p->parts) {
        multiply_tiles(p, panel, rows, first, count, bias, sums);
        return;
    }
#endif
    multiply(p, panel, (const float *)rows->data + first * rows->stride, rows->stride, count, bias, sums);
}
