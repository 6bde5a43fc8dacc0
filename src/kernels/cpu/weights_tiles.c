/* weights_tiles.c: the gradient by the weights of a linear map, dw = dyᵀ·x and db = Σ dy, on tiles (AMX). A float is the sum of
 * three bf16, and six of their nine products give what floats give: see panels.h.
 *
 * Tiles want pairs of neighbouring rows: those of x lie beside each other, those of dy are turned so that a row of a tile is
 * one output. Both are made for a block of rows, and stay in the core's cache. Workers share the outputs: the order of
 * additions depends on the rows alone. */
#include "core/threads.h"
#include "kernels/cpu/amx.h"
#include "kernels/kernel.h"

#ifdef GLIA_CPU_AMX

/* Registers are arrays whose indices must be known. */
#ifdef __clang__
#define GLIA_UNROLL _Pragma("unroll")
#else
#define GLIA_UNROLL _Pragma("GCC unroll 32")
#endif

enum {
    STEP = TILE_PAIR,  /* rows of a product of tiles */
    BLOCK = TILE_PAIR, /* outputs, or inputs, that are multiplied at once */
    MOST_CHUNK = 16,   /* blocks of inputs that are made ready together */
    BLOCK_STEPS = 8,   /* of a block of rows, of floats; */
    BLOCK_STEPS_BF16 = 16,
    MOST_PARTS = 3
};

typedef struct gradient {
    const glia_allocator *allocator;
    int64_t rows, in, out;
    bool bf16;
    int parts, workers;
    int64_t block_steps, chunk; /* chunk: blocks of inputs */
    size_t worker_bytes;
} gradient;

static bool fit(const glia_kernel_query *q, gradient *g, const char **why_not) {
    enum { FEW_ROWS = 128, NARROW = 32, OUTS_A_WORKER = 64 };
    const glia_type *x = &q->in[0];
    *why_not = "the processor has no AMX, or GLIA_ISA forbids it";
    if (glia__isa() < GLIA_ISA_AMX) return false;
    *why_not = "takes f32 or bf16 only";
    if (x->dtype != GLIA_F32 && x->dtype != GLIA_BF16) return false;
    *g = (gradient){.allocator = q->allocator,
                    .in = x->shape.dim[x->shape.rank - 1],
                    .out = q->out[1].shape.dim[0],
                    .bf16 = x->dtype == GLIA_BF16};
    g->rows = g->in > 0 ? glia_shape_elems(&x->shape) / g->in : 0;
    *why_not = "fewer than 128 rows, or 32 inputs or outputs";
    if (g->rows < FEW_ROWS || g->in < NARROW || g->out < NARROW) return false;
    g->parts = g->bf16 ? 1 : MOST_PARTS;
    g->workers = (int)GLIA_MAX(1, GLIA_MIN((int64_t)q->threads, g->out / OUTS_A_WORKER));
    g->block_steps = g->bf16 ? BLOCK_STEPS_BF16 : BLOCK_STEPS;
    g->chunk = GLIA_MIN((g->in + BLOCK - 1) / BLOCK, (int64_t)MOST_CHUNK);
    g->worker_bytes = (size_t)(g->block_steps * (g->chunk + 1) * g->parts) * 2 * TILE_BYTES;
    return true;
}

static bool supports(const glia_kernel_query *q, const char **why_not) {
    gradient g;
    return fit(q, &g, why_not);
}

static glia_status init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs, glia_error *err) {
    const char *why_not = NULL;
    gradient *g = glia__alloc(q->allocator, sizeof *g);
    if (!g) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (!fit(q, g, &why_not)) {
        glia__free(q->allocator, g, sizeof *g);
        return glia_error_set(err, GLIA_UNSUPPORTED, "%s: %s", q->op->name, why_not);
    }
    needs->workspace_bytes = (size_t)g->workers * g->worker_bytes;
    *state = g;
    return GLIA_OK;
}

static void fini(void *state) {
    gradient *g = state;
    glia__free(g->allocator, g, sizeof *g);
}

/* --- tiles from arrays --------------------------------------------------------------------------------------- */

/* 16 columns of an array of `rows` rows. */
typedef struct columns {
    const char *data;
    int64_t rows, width; /* of the array */
    bool bf16;
    int parts;
    __mmask16 mask;
} columns;

static columns columns_of(const void *data, int64_t rows, int64_t width, int64_t first, const gradient *g) {
    const int64_t left = width - first;
    return (columns){.data = (const char *)data + (size_t)first * (g->bf16 ? 2 : 4),
                     .rows = rows,
                     .width = width,
                     .bf16 = g->bf16,
                     .parts = g->parts,
                     .mask = left >= TILE ? 0xFFFF
                             : left > 0   ? (__mmask16)((1u << left) - 1)
                                          : 0};
}

/* Row r as floats. */
GLIA_CPU_AMX GLIA_CPU_INLINE __m512 row_of(const columns *c, int64_t r, const bool bf16) {
    if (r >= c->rows) return _mm512_setzero_ps();
    if (!bf16) return _mm512_maskz_loadu_ps(c->mask, (const float *)c->data + r * c->width);
    const __m256i halves = _mm256_maskz_loadu_epi16(c->mask, (const uint16_t *)c->data + r * c->width);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/* The pairs of one part of STEP rows, and what is left of the rows. */
GLIA_CPU_AMX GLIA_CPU_INLINE void take_pairs(__m512 left[STEP], __m512i pairs[TILE], const bool last) {
    const __m512i high = _mm512_set1_epi32((int)0xFFFF0000);
    GLIA_UNROLL for (int p = 0; p < TILE; p++) {
        /* both rounded to bf16, which stands in the upper half of a float */
        const __m512i a =
            _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(left[2 * p])), 16);
        const __m512i b =
            _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(left[2 * p + 1])), 16);
        pairs[p] = _mm512_or_si512(_mm512_srli_epi32(a, 16), _mm512_and_si512(b, high));
        if (last) continue;
        left[2 * p] = _mm512_sub_ps(left[2 * p], _mm512_castsi512_ps(a));
        left[2 * p + 1] = _mm512_sub_ps(left[2 * p + 1], _mm512_castsi512_ps(b));
    }
}

/* Rows become columns. */
GLIA_CPU_AMX GLIA_CPU_INLINE void turn(__m512i r[TILE]) {
    __m512i s[TILE], t[TILE];
    GLIA_UNROLL for (int i = 0; i < TILE; i += 2) {
        s[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        s[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    GLIA_UNROLL for (int i = 0; i < TILE; i += 4) {
        t[i] = _mm512_unpacklo_epi64(s[i], s[i + 2]);
        t[i + 1] = _mm512_unpackhi_epi64(s[i], s[i + 2]);
        t[i + 2] = _mm512_unpacklo_epi64(s[i + 1], s[i + 3]);
        t[i + 3] = _mm512_unpackhi_epi64(s[i + 1], s[i + 3]);
    }
    GLIA_UNROLL for (int i = 0; i < 4; i++) {
        const __m512i a = _mm512_shuffle_i32x4(t[i], t[i + 4], 0x88),
                      b = _mm512_shuffle_i32x4(t[i], t[i + 4], 0xDD);
        const __m512i c = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0x88),
                      d = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0xDD);
        r[i] = _mm512_shuffle_i32x4(a, c, 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(a, c, 0xDD);
        r[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(b, d, 0xDD);
    }
}

/* STEP rows from `row` on as a tile for each part, `apart` bytes from one another; `sums` NULL, or gets the rows added. */
GLIA_CPU_AMX GLIA_CPU_INLINE void make_tiles(const columns *c, int64_t row, char *to, int64_t apart,
                                             __m512 *sums, const bool turned, const bool bf16) {
    __m512 left[STEP];
    __m512i pairs[TILE];
    GLIA_UNROLL for (int r = 0; r < STEP; r++) left[r] = row_of(c, row + r, bf16);
    if (sums) GLIA_UNROLL for (int r = 0; r < STEP; r++) *sums = _mm512_add_ps(*sums, left[r]);
    for (int part = 0; part < (bf16 ? 1 : MOST_PARTS); part++, to += apart) {
        take_pairs(left, pairs, bf16 || part == MOST_PARTS - 1);
        if (turned) turn(pairs);
        GLIA_UNROLL for (int p = 0; p < TILE; p++) _mm512_store_si512(to + p * 64, pairs[p]);
    }
}

/* A block of columns: [step][part][2 halves] tiles, a step `step_bytes` from the next. */
GLIA_CPU_AMX static void make_x(const gradient *g, const void *x, int64_t row, int64_t steps, int64_t first,
                                char *to, int64_t step_bytes) {
    for (int half = 0; half < 2; half++) {
        const columns c = columns_of(x, g->rows, g->in, first + half * TILE, g);
        char *tile = to + half * TILE_BYTES;
        for (int64_t s = 0; s < steps; s++, tile += step_bytes)
            if (g->bf16)
                make_tiles(&c, row + s * STEP, tile, 2 * TILE_BYTES, NULL, false, true);
            else
                make_tiles(&c, row + s * STEP, tile, 2 * TILE_BYTES, NULL, false, false);
    }
}

/* The same of dy, turned; db gets the sums of the rows if it is there. */
GLIA_CPU_AMX static void make_dy(const gradient *g, const void *dy, int64_t row, int64_t steps, int64_t first,
                                 char *to, float *db) {
    for (int half = 0; half < 2; half++) {
        const columns c = columns_of(dy, g->rows, g->out, first + half * TILE, g);
        char *tile = to + half * TILE_BYTES;
        __m512 sums = _mm512_setzero_ps();
        for (int64_t s = 0; s < steps; s++, tile += g->parts * 2 * TILE_BYTES)
            if (g->bf16)
                make_tiles(&c, row + s * STEP, tile, 2 * TILE_BYTES, &sums, true, true);
            else
                make_tiles(&c, row + s * STEP, tile, 2 * TILE_BYTES, &sums, true, false);
        if (!db || !c.mask) continue;
        float *to_db = db + first + half * TILE;
        const __m512 before = row ? _mm512_maskz_loadu_ps(c.mask, to_db) : _mm512_setzero_ps();
        _mm512_mask_storeu_ps(to_db, c.mask, _mm512_add_ps(before, sums));
    }
}

/* --- products ------------------------------------------------------------------------------------------------ */

/* sums[32][32], rows `width` apart, (+)= Σ a[step]·b[step]. */
GLIA_CPU_AMX static void multiply(const gradient *g, const char *a, const char *b, int64_t b_step,
                                  int64_t steps, float *sums, int64_t width, bool add) {
    const int64_t row = width * 4;
    float *below = sums + TILE * width;
    atomic_signal_fence(memory_order_seq_cst); /* gcc 12 does not know that tiles are loaded from memory */
    if (add) {
        _tile_loadd(0, sums, row);
        _tile_loadd(1, sums + TILE, row);
        _tile_loadd(2, below, row);
        _tile_loadd(3, below + TILE, row);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    static const amx_sums sides = {64, TILE_BYTES, 2 * TILE_BYTES};
    if (g->parts > 1)
        for (int64_t s = 0; s < steps; s++, a += MOST_PARTS * 2 * TILE_BYTES, b += b_step)
            amx_multiply_sums(a, &sides, b, &sides, MOST_PARTS, true, true);
    else
        for (int64_t s = 0; s < steps; s++, a += 2 * TILE_BYTES, b += b_step)
            amx_multiply_sums(a, &sides, b, &sides, 1, true, true);
    _tile_stored(0, sums, row);
    _tile_stored(1, sums + TILE, row);
    _tile_stored(2, below, row);
    _tile_stored(3, below + TILE, row);
    atomic_signal_fence(memory_order_seq_cst);
}

/* A block of dw at [out][in]; where it reaches over the edge, by way of a copy. */
GLIA_CPU_AMX static void add_block(const gradient *g, const char *a, const char *b, int64_t b_step,
                                   int64_t steps, int64_t out, int64_t in, float *dw, bool add) {
    float copy[BLOCK * BLOCK];
    const int64_t outs = GLIA_MIN(g->out - out, (int64_t)BLOCK), ins = GLIA_MIN(g->in - in, (int64_t)BLOCK);
    float *to = dw + out * g->in + in;
    if (outs == BLOCK && ins == BLOCK) {
        multiply(g, a, b, b_step, steps, to, g->in, add);
        return;
    }
    for (int64_t o = 0; o < outs && add; o++)
        memcpy(copy + o * BLOCK, to + o * g->in, (size_t)ins * sizeof *copy);
    multiply(g, a, b, b_step, steps, copy, BLOCK, add);
    for (int64_t o = 0; o < outs; o++) memcpy(to + o * g->in, copy + o * BLOCK, (size_t)ins * sizeof *copy);
}

typedef struct gradient_run {
    const gradient *g;
    const glia_call *c;
} gradient_run;

GLIA_CPU_AMX static void run_part(void *ctx, int part, int parts) {
    const gradient_run *run = ctx;
    const gradient *g = run->g;
    const int64_t step_bytes = g->chunk * g->parts * 2 * TILE_BYTES, block_bytes = g->parts * 2 * TILE_BYTES;
    char *x = (char *)run->c->workspace + (size_t)part * g->worker_bytes,
         *dy = x + g->block_steps * step_bytes;
    int64_t begin, end;
    glia__part_range((g->out + BLOCK - 1) / BLOCK, part, parts, &begin, &end);
    amx_begin();
    for (int64_t in = 0; in < g->in; in += g->chunk * BLOCK)
        for (int64_t row = 0; row < g->rows; row += g->block_steps * STEP) {
            const int64_t left = (g->rows - row + STEP - 1) / STEP, steps = GLIA_MIN(left, g->block_steps);
            const int64_t blocks = GLIA_MIN((g->in - in + BLOCK - 1) / BLOCK, g->chunk);
            for (int64_t b = 0; b < blocks; b++)
                make_x(g, run->c->in[0].data, row, steps, in + b * BLOCK, x + b * block_bytes, step_bytes);
            for (int64_t o = begin; o < end; o++) {
                make_dy(g, run->c->in[1].data, row, steps, o * BLOCK, dy, in ? NULL : run->c->out[1].data);
                for (int64_t b = 0; b < blocks; b++)
                    add_block(g, dy, x + b * block_bytes, step_bytes, steps, o * BLOCK, in + b * BLOCK,
                              run->c->out[0].data, row > 0);
            }
        }
    amx_end();
}

static glia_status run(void *state, const glia_call *c) {
    const gradient *g = state;
    glia__parallel(g->workers, run_part, &(gradient_run){g, c});
    return GLIA_OK;
}

GLIA_KERNEL(cpu_linear_backward_weights_tiles) = {
    .name = "cpu_linear_backward_weights_tiles",
    .op = "linear_backward_weights",
    .priority = 55,
    .own_threads = true,
    .supports = supports,
    .init = init,
    .run = run,
    .fini = fini,
};

#endif
