/* conv_amx_weights.c: the gradient by weights of convolutions in bf16, on tiles (AMX).
 *
 * All images lie on one line of pixels, with as many zeros between two rows, and between two images, as the window reaches
 * over an edge. Then a tap of the window is a distance on the line, and the gradient by its weights is one long product:
 *
 *     dw[o][c][tap] = Σ_q dy[q][o] · x[q + distance(tap)][c]        q: places on the line
 *
 * With strides of s, x is s² images, of every s-th row and column each: its phases. A tap belongs to one of them, and is a
 * distance on its line.
 *
 * Where images are small and many, that would be many zeros: then the line goes through the first pixels of all images, then
 * their second ones, and so on ("piled"). A tap is a distance again, and what it would take from beyond an edge is left out.
 *
 * Tiles want pairs of neighbours on the line. dy is transposed, for blocks of 32 of its channels: a row of a tile is 32
 * places of one channel. x is paired twice, from even places on and from odd ones, so that every distance finds its pairs
 * beside each other. Both are made for a block of the line, which stays in the core's cache. */
#include "glia/ops.h"
#include "kernels/cpu/conv_amx_line.h"

#ifdef GLIA_CPU_AMX

static bool supports(const glia_kernel_query *q, const char **why_not) {
    gradient g;
    return glia__line_fit(q, &g, why_not);
}

static glia_status init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs, glia_error *err) {
    const char *why_not = NULL;
    gradient *g = glia__alloc(q->allocator, sizeof *g);
    if (!g) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (!glia__line_fit(q, g, &why_not)) {
        glia__free(q->allocator, g, sizeof *g);
        return glia_error_set(err, GLIA_UNSUPPORTED, "%s: %s", q->op->name, why_not);
    }
    needs->workspace_bytes = glia__line_memory(g);
    *state = g;
    return GLIA_OK;
}

static void fini(void *state) {
    gradient *g = state;
    glia__free(g->allocator, g, sizeof *g);
}

/* --- arrays on the line ---------------------------------------------------------------------------------- */

/* The phase of x as images of their own. */
static images phase_images(const gradient *g, const line_phase *p) {
    images i = g->x;
    i.data += p->h * i.width * i.channels + p->w * i.channels;
    i.height = glia__line_side(i.height, g->stride_h, p->h);
    i.width = glia__line_side(i.width, g->stride_w, p->w);
    return i;
}

/* find_pixels where all images lie behind each other. */
static void find_piled(const images *i, int64_t place, int count, const uint16_t **pixel) {
    int64_t number = glia__line_floor(place, i->count), n = place - number * i->count;
    for (int at = 0; at < count; number++, n = 0) {
        const bool inside = number >= 0 && number < i->height * i->width;
        const uint16_t *data = i->zeros;
        if (inside) data = i->data + number / i->width * i->row + number % i->width * i->column;
        for (; at < count && n < i->count; at++, n++) pixel[at] = inside ? data + n * i->image : data;
    }
}

/* Where the pixels of `count` places from `place` on are; zeros between the images, before and behind them. */
static void find_pixels(const gradient *g, const images *i, int64_t place, int count,
                        const uint16_t **pixel) {
    int at = 0;
    if (g->pile) {
        find_piled(i, place, count, pixel);
        return;
    }
    for (; at < count && place + at < 0; at++) pixel[at] = i->zeros;
    const int64_t row = (place + at) / g->pitch;
    int64_t w = (place + at) % g->pitch, h = row % g->rows, n = row / g->rows;
    for (; at < count; at++) {
        const bool inside = w < i->width && h < i->height && n < i->count;
        pixel[at] = inside ? i->data + n * i->image + h * i->row + w * i->column : i->zeros;
        if (++w < g->pitch) continue;
        w = 0;
        if (++h < g->rows) continue;
        h = 0;
        n++;
    }
}

/* Those of the 32 channels from `first` on that there are. */
static __mmask32 channel_mask(const images *i, int64_t first) {
    const int64_t left = i->channels - first;
    return left >= PART ? ~(__mmask32)0 : ((__mmask32)1 << left) - 1;
}

/* Pairs of x from `place` on, of 32 channels: rows of 2×16 pairs, first those that begin at even places. In each 16 bytes of
 * channels the first four go to the first tile, the others to the second. */
GLIA_CPU_AMX static void pair_x(const gradient *g, const images *x, int64_t place, int64_t rows,
                                int64_t first, char *to) {
    const __mmask32 mask = channel_mask(x, first);
    const uint16_t *pixel[2 * PART + 1]; /* of this step and the next */
    char *odd = to + g->pair_rows * 2 * 64;
    find_pixels(g, x, place, PART, pixel + PART);
    for (int64_t r = 0; r < rows; r++, to += 2 * 64, odd += 2 * 64) {
        const int64_t at = r % (PART / 2);
        if (at == 0) {
            memcpy(pixel, pixel + PART, PART * sizeof *pixel);
            find_pixels(g, x, place + 2 * r + PART, PART + 1, pixel + PART);
        }
        _mm_prefetch((const char *)(pixel[2 * at + PART] + first), _MM_HINT_T0);
        _mm_prefetch((const char *)(pixel[2 * at + PART + 1] + first), _MM_HINT_T0);
        const __m512i a = _mm512_maskz_loadu_epi16(mask, pixel[2 * at] + first),
                      b = _mm512_maskz_loadu_epi16(mask, pixel[2 * at + 1] + first),
                      c = _mm512_maskz_loadu_epi16(mask, pixel[2 * at + 2] + first);
        _mm512_store_si512(to, _mm512_unpacklo_epi16(a, b));
        _mm512_store_si512(to + 64, _mm512_unpackhi_epi16(a, b));
        if (g->pile) continue; /* all distances are even */
        _mm512_store_si512(odd, _mm512_unpacklo_epi16(b, c));
        _mm512_store_si512(odd + 64, _mm512_unpackhi_epi16(b, c));
    }
}

/* Eight channels of 32 places: 16 bytes of each place, transposed within each quarter of the registers. */
GLIA_CPU_AMX GLIA_CPU_INLINE void transpose_eight(const uint16_t *const *pixel, int64_t first,
                                                  __m512i to[8]) {
    __m512i p[8], t[8], u[8];
#define QUARTER(i, q)                                              \
    _mm512_mask_broadcast_i32x4(p[i], (__mmask16)(0xF << 4 * (q)), \
                                _mm_loadu_si128((const __m128i *)(pixel[8 * (q) + (i)] + first)))
    for (int i = 0; i < 8; i++) {
        p[i] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(pixel[i] + first)));
        p[i] = QUARTER(i, 1);
        p[i] = QUARTER(i, 2);
        p[i] = QUARTER(i, 3);
    }
#undef QUARTER
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm512_unpacklo_epi16(p[2 * i], p[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi16(p[2 * i], p[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++) {
            u[4 * i + 2 * k] = _mm512_unpacklo_epi32(t[4 * i + k], t[4 * i + k + 2]);
            u[4 * i + 2 * k + 1] = _mm512_unpackhi_epi32(t[4 * i + k], t[4 * i + k + 2]);
        }
    for (int i = 0; i < 4; i++) {
        to[2 * i] = _mm512_unpacklo_epi64(u[i], u[i + 4]);
        to[2 * i + 1] = _mm512_unpackhi_epi64(u[i], u[i + 4]);
    }
}

/* 32 channels of 32 places, as two tiles; adds them to the sums of the channels. */
GLIA_CPU_AMX static void transpose_step(const uint16_t *const *pixel, int64_t first, char *tiles,
                                        float *sums) {
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3F80);
    for (int c = 0; c < PART; c += 8) {
        __m512i channel[8];
        transpose_eight(pixel, first + c, channel);
        for (int i = 0; i < 8; i++, tiles += 64, sums += TILE) {
            _mm512_store_si512(tiles, channel[i]);
            _mm512_store_ps(sums, _mm512_dpbf16_ps(_mm512_load_ps(sums), (__m512bh)channel[i], ones));
        }
    }
}

/* The last channels, with zeros behind them. */
GLIA_CPU_AMX static void transpose_rest(const images *i, const uint16_t *const *pixel, int64_t first,
                                        char *tiles, float *sums) {
    _Alignas(64) uint16_t copy[PART][PART];
    const uint16_t *at[PART];
    for (int p = 0; p < PART; p++) {
        at[p] = copy[p];
        _mm512_store_si512(copy[p], _mm512_maskz_loadu_epi16(channel_mask(i, first), pixel[p] + first));
    }
    transpose_step(at, 0, tiles, sums);
}

/* Tiles of dy in steps [begin, end), of the blocks of channels [o, o_end): [block][step][2]. */
GLIA_CPU_AMX static void transpose_dy(const gradient *g, int64_t begin, int64_t end, int64_t o, int64_t o_end,
                                      char *tiles, float *sums) {
    const uint16_t *pixel[PART], *next[PART];
    find_pixels(g, &g->dy, begin * PART, PART, next);
    for (int64_t step = begin; step < end; step++) {
        memcpy(pixel, next, sizeof pixel);
        find_pixels(g, &g->dy, (step + 1) * PART, PART, next);
        for (int64_t b = o; b < o_end; b++) {
            for (int p = 0; p < PART; p++) _mm_prefetch((const char *)(next[p] + b * PART), _MM_HINT_T0);
            char *to = tiles + ((b - o) * (end - begin) + step - begin) * 2 * TILE_BYTES;
            if ((b + 1) * PART <= g->dy.channels)
                transpose_step(pixel, b * PART, to, sums + b * PART * TILE);
            else
                transpose_rest(&g->dy, pixel, b * PART, to, sums + b * PART * TILE);
        }
    }
}

/* --- products -------------------------------------------------------------------------------------------- */

/* Brings the part that belongs to tap `number` of the `bytes` from `data` on to the core's cache. */
GLIA_CPU_AMX GLIA_CPU_INLINE void prefetch_share(const gradient *g, const char *data, int64_t bytes,
                                                 int number) {
    const int64_t share = (bytes + g->taps - 1) / g->taps;
    for (int64_t at = share * number; at < share * (number + 1); at += 64)
        _mm_prefetch(data + at, _MM_HINT_T1);
}

/* All taps of a phase, of a block of channels of each, over `steps` of the line. Meanwhile the next steps of dy come, and the next
 * block's sums. */
GLIA_CPU_AMX static void multiply_line(const gradient *g, const line_phase *p, const char *dy, const char *x,
                                       int64_t steps, float *sums, const float *next, bool add) {
    for (int64_t s = 0; s < steps; s += STEPS)
        for (int t = p->tap; t < p->tap + p->taps; t++) {
            prefetch_share(g, dy + (s + STEPS) * 2 * TILE_BYTES, STEPS * 2 * TILE_BYTES, t);
            if (next && s + STEPS >= steps)
                prefetch_share(g, (const char *)next, g->taps * TILES * (int64_t)sizeof(float), t);
            const int64_t distance = g->tap[t].distance;
            const int64_t row = distance % 2 * g->pair_rows + distance / 2 + s * TILE;
            const amx_operands o = {.a = dy + s * 2 * TILE_BYTES,
                                    .b = x + row * 2 * 64,
                                    .b_row = 2 * 64,
                                    .steps = GLIA_MIN(STEPS, steps - s),
                                    .rows = 1};
            amx_multiply(&o, sums + g->tap[t].number * TILES, add || s > 0);
        }
}

/* The same where images are piled, over rows [begin, end) of them: only pixels whose taps are inside. */
GLIA_CPU_AMX static void multiply_piled(const gradient *g, const line_phase *p, const char *dy, const char *x,
                                        int64_t begin, int64_t end, float *sums, const float *next,
                                        bool add) {
    for (int t = p->tap; t < p->tap + p->taps; t++) {
        const line_tap *at = &g->tap[t];
        const int64_t h = GLIA_MAX(begin, -at->h), h_end = GLIA_MIN(end, g->rows - at->h);
        const int64_t w = GLIA_MAX(0, -at->w), w_end = GLIA_MIN(g->pitch, g->pitch - at->w);
        const int64_t step = ((h - begin) * g->pitch + w) * g->pile;
        const bool some = h < h_end && w < w_end;
        const amx_operands o = {.a = dy + step * 2 * TILE_BYTES,
                                .b = x + (at->distance / 2 + step * TILE) * 2 * 64,
                                .b_row = 2 * 64,
                                .steps = (w_end - w) * g->pile,
                                .rows = some ? h_end - h : 0,
                                .row_steps = g->unit};
        if (next) prefetch_share(g, (const char *)next, g->taps * TILES * (int64_t)sizeof(float), t);
        amx_multiply(&o, sums + at->number * TILES, add);
    }
}

/* Sums of one row of a tile: 4 channels of x in each quarter of a register, for all taps, to where the weights are. */
GLIA_CPU_AMX GLIA_CPU_INLINE void store_row(const float *sums, int64_t taps, float *dw) {
    for (int64_t t = 0;; t += 4) {
        if (t + 4 > taps) t = taps - 4; /* the last ones again */
        const __m512 a = _mm512_load_ps(sums + t * TILES), b = _mm512_load_ps(sums + (t + 1) * TILES),
                     c = _mm512_load_ps(sums + (t + 2) * TILES), d = _mm512_load_ps(sums + (t + 3) * TILES);
        const __m512d ab = _mm512_castps_pd(_mm512_unpacklo_ps(a, b)),
                      AB = _mm512_castps_pd(_mm512_unpackhi_ps(a, b)),
                      cd = _mm512_castps_pd(_mm512_unpacklo_ps(c, d)),
                      CD = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
        const __m512 column[4] = {
            _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)),
            _mm512_castpd_ps(_mm512_unpacklo_pd(AB, CD)), _mm512_castpd_ps(_mm512_unpackhi_pd(AB, CD))};
        for (int i = 0; i < 4; i++) {
            _mm_storeu_ps(dw + i * taps + t, _mm512_castps512_ps128(column[i]));
            _mm_storeu_ps(dw + (8 + i) * taps + t, _mm512_extractf32x4_ps(column[i], 1));
            _mm_storeu_ps(dw + (16 + i) * taps + t, _mm512_extractf32x4_ps(column[i], 2));
            _mm_storeu_ps(dw + (24 + i) * taps + t, _mm512_extractf32x4_ps(column[i], 3));
        }
        if (t + 4 >= taps) return;
    }
}

/* Where the sums of a block of channels go in dw[o][c][tap]. */
GLIA_CPU_AMX static void store_weights(const gradient *g, int64_t o_block, int64_t c_block, const float *sums,
                                       float *dw) {
    const int64_t taps = g->taps, outs = g->dy.channels, ins = g->x.channels;
    const int64_t o_end = GLIA_MIN((o_block + 1) * PART, outs), c = c_block * PART;
    for (int64_t o = o_block * PART; o < o_end; o++) {
        const float *row = sums + o / TILE % 2 * 2 * TILE * TILE + o % TILE * TILE;
        float *to = dw + (o * ins + c) * taps;
        if (taps >= 4 && c + PART <= ins) {
            store_row(row, taps, to);
            store_row(row + TILE * TILE, taps, to + 4 * taps);
            continue;
        }
        for (int64_t k = 0; k < GLIA_MIN(PART, ins - c); k++)
            for (int64_t t = 0; t < taps; t++)
                to[k * taps + t] = row[t * TILES + k / 4 % 2 * TILE * TILE + k / 8 * 4 + k % 4];
    }
}

/* --- a run ----------------------------------------------------------------------------------------------- */

typedef struct job {
    gradient g; /* with data */
    char *memory;
    float *dw, *db;
} job;

static float *lane_sums(const job *j, int64_t lane, int64_t o_block, int64_t c_block) {
    const gradient *g = &j->g;
    return (float *)(j->memory + g->at_lanes) + (size_t)lane * g->lane_floats +
           (o_block * g->c_blocks + c_block) * g->taps * TILES;
}

static float *bias_sums(const job *j, int64_t lane) {
    return (float *)(j->memory + j->g.at_bias) + lane * j->g.o_blocks * PART * TILE;
}

/* One block of the line for blocks [o, o_end) of the channels of dy, and all of x. */
GLIA_CPU_AMX static void run_block(const job *j, char *memory, int64_t lane, int64_t block, int64_t o,
                                   int64_t o_end) {
    const gradient *g = &j->g;
    int64_t begin, end;
    glia__line_block(g, block, &begin, &end);
    const int64_t steps = end - begin;
    char *dy = memory, *x = memory + g->at_x;
    transpose_dy(g, begin, end, o, o_end, dy, bias_sums(j, lane));
    for (int64_t c = 0; c < g->c_blocks; c++)
        for (int k = 0; k < g->phases; k++) {
            const line_phase *p = &g->phase[k];
            const images phase_x = phase_images(g, p);
            pair_x(g, &phase_x, begin * PART + p->first, g->pair_rows, c * PART, x);
            for (int64_t b = o; b < o_end; b++) {
                float *sums = g->whole ? (float *)(memory + g->at_sums) : lane_sums(j, lane, b, c);
                const bool add = block != lane * g->blocks / g->lanes;
                const float *next = g->whole || b + 1 == o_end ? NULL : lane_sums(j, lane, b + 1, c);
                const char *tiles = dy + (b - o) * steps * 2 * TILE_BYTES;
                if (g->pile)
                    multiply_piled(g, p, tiles, x, begin / g->unit, end / g->unit, sums, next, add);
                else
                    multiply_line(g, p, tiles, x, steps, sums, next, add);
                if (g->whole) store_weights(g, b, c, sums, j->dw);
            }
        }
}

GLIA_CPU_AMX static void run_tasks(void *ctx, int thread, int threads) {
    const job *j = ctx;
    const gradient *g = &j->g;
    amx_begin();
    for (int64_t task = thread; task < (int64_t)g->lanes * g->parts; task += threads) {
        const int64_t lane = task / g->parts, blocks = g->blocks / g->lanes;
        int64_t o, o_end;
        glia__part_range(g->o_blocks, (int)(task % g->parts), g->parts, &o, &o_end);
        memset(bias_sums(j, lane) + o * PART * TILE, 0, (size_t)((o_end - o) * PART * TILE) * sizeof(float));
        for (int64_t b = 0; b < blocks; b++)
            run_block(j, j->memory + (size_t)thread * g->thread_bytes, lane, lane * blocks + b, o, o_end);
    }
    amx_end();
}

/* Adds up the lanes, in their order. */
static void add_lanes(const job *j, int64_t o_block, int64_t c_block) {
    float *total = lane_sums(j, 0, o_block, c_block);
    for (int lane = 1; lane < j->g.lanes; lane++) {
        const float *sums = lane_sums(j, lane, o_block, c_block);
        for (int64_t i = 0; i < (int64_t)j->g.taps * TILES; i++) total[i] += sums[i];
    }
}

static void finish(void *ctx, int part, int parts) {
    const job *j = ctx;
    const gradient *g = &j->g;
    int64_t begin, end;
    glia__part_range(g->o_blocks, part, parts, &begin, &end);
    for (int64_t o = begin; o < end; o++)
        for (int64_t c = 0; c < g->c_blocks && !g->whole; c++) {
            add_lanes(j, o, c);
            store_weights(g, o, c, lane_sums(j, 0, o, c), j->dw);
        }
    for (int64_t o = begin * PART; o < GLIA_MIN(end * PART, g->dy.channels); o++) {
        double sum = 0;
        for (int lane = 0; lane < g->lanes; lane++)
            for (int i = 0; i < TILE; i++) sum += (double)bias_sums(j, lane)[o * TILE + i];
        j->db[o] = (float)sum;
    }
}

static glia_status run(void *state, const glia_call *call) {
    const gradient *g = state;
    job j = {.g = *g, .memory = call->workspace, .dw = call->out[0].data, .db = call->out[1].data};
    uint16_t *zeros = (uint16_t *)(j.memory + g->at_zeros);
    memset(zeros, 0, g->at_bias - g->at_zeros);
    j.g.x.data = call->in[0].data;
    j.g.dy.data = call->in[1].data;
    j.g.x.zeros = j.g.dy.zeros = zeros;
    glia__parallel(g->threads, run_tasks, &j);
    glia__parallel(g->threads, finish, &j);
    return GLIA_OK;
}

#else

static bool supports(const glia_kernel_query *q, const char **why_not) {
    (void)q;
    *why_not = "built for other processors";
    return false;
}

#endif

GLIA_KERNEL(cpu_conv2d_backward_weights_amx) = {
    .name = "cpu_conv2d_backward_weights_amx",
    .op = "conv2d_backward_weights",
    /* Two cores, bf16, ms of the faster of oneDNN's two ways → of this; batch 8: 512×512 14×14 5.3 → 3.0, 28×28 18 → 12,
     * 256×256 56×56 17 → 12, 128×128 112×112 25 → 13, 64×64 224×224 33 → 18, 3×64 10 → 8.6; 1×1 256×512 28×28 2.3 → 1.7;
     * 5×5 64×64 28×28 1.1 → 0.6; batch 128: 512×512 2×2 2.4 → 0.8, 4×4 7.2 → 3.1, 256×256 8×8 7.4 → 4.0, 128×128 16×16
     * 7.9 → 4.1; batch 32: 32×32 8×8 0.12 → 0.05; steps of 2, batch 128: 64×128 32×32 10.1 → 3.8, 128×256 16×16 13.4 → 3.0,
     * 256×512 8×8 28 → 2.8, 1×1 6.1 → 0.6 */
    .priority = 60,
    .own_threads = true,
    .gflops = 1150,
    .supports = supports,
#ifdef GLIA_CPU_AMX
    .init = init,
    .run = run,
    .fini = fini,
#endif
};
