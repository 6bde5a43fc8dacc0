/* conv_pool_filters.h: the gradient by weights of conv_pool.c with AVX-512: a vector holds 16 filters at one window of the
 * pool. Every filter picks what its winner saw from the four places of the window, which lie side by side in memory as
 * a quad for each pixel: one permutation and one multiplication for each tap, where masks for the places need four. */

#define FILTERS GLIA_CPU_AVX512 static inline __attribute__((always_inline))

enum {
    WIDE = 16,
    GROUP = 2 * WIDE, /* filters worked on together */
    BLOCK = 48        /* windows turned together, or up to twice as many: they stay in the first cache */
};

/* The quads of one image: what the four places of a window see through tap (i, j) is the quad of the pixel at (i, j) from
 * the window's first. */
typedef struct quads {
    float *pixels,
        *data; /* the image with its padding: [channels][rows + 1][pitch]; [channels][rows][pitch][4] */
    int64_t channels, rows, pitch;
} quads;

/* `count` windows from window `first` of an image on, each with `filters` neighbouring filters. */
typedef struct windows {
    const float *dy;
    const uint8_t *winner;
    int64_t step; /* from window to window */
    int64_t first, count, width, filters;
} windows;

GLIA_CPU_AVX512 static void make_quads(const quads *q) {
    const __m512i order = _mm512_setr_epi32(0, 1, 16, 17, 1, 2, 17, 18, 2, 3, 18, 19, 3, 4, 19, 20);
    for (int64_t c = 0; c < q->channels; c++)
        for (int64_t row = 0; row < q->rows; row++) {
            const float *above = q->pixels + (c * (q->rows + 1) + row) * q->pitch, *below = above + q->pitch;
            float *to = q->data + (c * q->rows + row) * q->pitch * 4;
            for (int64_t w = 0; w < q->pitch; w += 4)
                _mm512_store_ps(to + 4 * w, _mm512_permutex2var_ps(_mm512_loadu_ps(above + w), order,
                                                                   _mm512_loadu_ps(below + w)));
        }
}

/* 16 filters, `step` apart, of 16 windows: [filters][windows] → [windows][GROUP]. */
FILTERS void turn_floats(const float *from, int64_t step, float *to) {
    for (int four = 0; four < WIDE; four += 4) {
        __m512 z[4]; /* filters r, r + 4, … of four windows */
        for (int r = 0; r < 4; r++) {
            const float *at = from + r * step + four;
            z[r] = _mm512_castps128_ps512(_mm_loadu_ps(at));
            z[r] = _mm512_insertf32x4(z[r], _mm_loadu_ps(at + 4 * step), 1);
            z[r] = _mm512_insertf32x4(z[r], _mm_loadu_ps(at + 8 * step), 2);
            z[r] = _mm512_insertf32x4(z[r], _mm_loadu_ps(at + 12 * step), 3);
        }
        const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(z[0], z[1]));
        const __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(z[0], z[1]));
        const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(z[2], z[3]));
        const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(z[2], z[3]));
        float *out = to + four * GROUP;
        _mm512_store_pd(out, _mm512_unpacklo_pd(a, c));
        _mm512_store_pd(out + GROUP, _mm512_unpackhi_pd(a, c));
        _mm512_store_pd(out + 2 * GROUP, _mm512_unpacklo_pd(b, d));
        _mm512_store_pd(out + 3 * GROUP, _mm512_unpackhi_pd(b, d));
    }
}

FILTERS void turn_bytes(const uint8_t *from, int64_t step, uint8_t *to) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i z[4];
    for (int r = 0; r < 4; r++) {
        const uint8_t *at = from + r * step;
        z[r] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)at));
        z[r] = _mm512_inserti32x4(z[r], _mm_loadu_si128((const __m128i *)(at + 4 * step)), 1);
        z[r] = _mm512_inserti32x4(z[r], _mm_loadu_si128((const __m128i *)(at + 8 * step)), 2);
        z[r] = _mm512_inserti32x4(z[r], _mm_loadu_si128((const __m128i *)(at + 12 * step)), 3);
    }
    const __m512i a = _mm512_unpacklo_epi8(z[0], z[1]), b = _mm512_unpackhi_epi8(z[0], z[1]);
    const __m512i c = _mm512_unpacklo_epi8(z[2], z[3]), d = _mm512_unpackhi_epi8(z[2], z[3]);
    const __m512i fours[4] = {_mm512_unpacklo_epi16(a, c), _mm512_unpackhi_epi16(a, c),
                              _mm512_unpacklo_epi16(b, d), _mm512_unpackhi_epi16(b, d)};
    for (int k = 0; k < 4; k++) {
        const __m512i four = _mm512_permutexvar_epi32(order, fours[k]);
        uint8_t *out = to + 4 * k * GROUP;
        _mm_store_si128((__m128i *)out, _mm512_castsi512_si128(four));
        _mm_store_si128((__m128i *)(out + GROUP), _mm512_extracti32x4_epi32(four, 1));
        _mm_store_si128((__m128i *)(out + 2 * GROUP), _mm512_extracti32x4_epi32(four, 2));
        _mm_store_si128((__m128i *)(out + 3 * GROUP), _mm512_extracti32x4_epi32(four, 3));
    }
}

/* Turns `count` windows of planes of `places`. The last ones are turned again with those before. */
GLIA_CPU_AVX512 static void turn(const float *dy, const uint8_t *winner, int64_t places, int64_t count,
                                 int64_t filters, float *to, uint8_t *to_winner) {
    int64_t o = 0;
    for (; o + WIDE <= filters && count >= WIDE; o += WIDE)
        for (int64_t i = 0; i < count; i += WIDE) {
            const int64_t at = GLIA_MIN(i, count - WIDE);
            turn_floats(dy + o * places + at, places, to + at * GROUP + o);
            turn_bytes(winner + o * places + at, places, to_winner + at * GROUP + o);
        }
    for (; o < filters; o++)
        for (int64_t i = 0; i < count; i++) {
            to[i * GROUP + o] = dy[o * places + i];
            to_winner[i * GROUP + o] = winner[o * places + i];
        }
}

/* Adds the sums over the windows for `rows`×`kw` taps from `at` on to sums [rows·kw][step]; and those of dy to `bias`,
 * unless it is NULL. */
FILTERS void add_taps(const windows *g, const quads *q, const float *at, const int vectors, const int rows,
                      const int kw, int64_t step, float *sums, float *bias) {
    enum { MOST = 9 };
    __m512 own[MOST][2], own_bias[2];
    __mmask16 there[2];
    for (int v = 0; v < vectors; v++) {
        own_bias[v] = _mm512_setzero_ps();
        there[v] = (__mmask16)_bzhi_u32(0xffff, (uint32_t)GLIA_MIN(g->filters - v * WIDE, WIDE));
        for (int t = 0; t < rows * kw; t++) own[t][v] = _mm512_setzero_ps();
    }
    int64_t h = g->first / g->width, w = g->first % g->width;
    for (int64_t n = 0; n < g->count; n++) {
        const float *quad = at + (2 * h * q->pitch + 2 * w) * 4, *dy = g->dy + n * g->step;
        const uint8_t *winner = g->winner + n * g->step;
        if (++w == g->width) w = 0, h++;
        __m512 d[2];
        __m512i place[2];
        for (int v = 0; v < vectors; v++) {
            const __m128i won = _mm_maskz_loadu_epi8(there[v], winner + v * WIDE);
            const __mmask16 some = _mm_mask_cmplt_epu8_mask(there[v], won, _mm_set1_epi8(4));
            d[v] = _mm512_maskz_loadu_ps(some, dy + v * WIDE);
            place[v] = _mm512_cvtepu8_epi32(won);
            own_bias[v] = _mm512_add_ps(own_bias[v], d[v]);
        }
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < kw; j++) {
            const __m512 seen = _mm512_broadcast_f32x4(_mm_load_ps(quad + (i * q->pitch + j) * 4));
            for (int v = 0; v < vectors; v++)
                own[i * kw + j][v] =
                    _mm512_fmadd_ps(_mm512_permutevar_ps(seen, place[v]), d[v], own[i * kw + j][v]);
        }
    }
    for (int v = 0; v < vectors; v++) {
        for (int t = 0; t < rows * kw; t++) {
            float *to = sums + t * step + v * WIDE;
            _mm512_store_ps(to, _mm512_add_ps(_mm512_load_ps(to), own[t][v]));
        }
        if (bias)
            _mm512_store_ps(bias + v * WIDE, _mm512_add_ps(_mm512_load_ps(bias + v * WIDE), own_bias[v]));
    }
}

/* The sums over the windows for up to GROUP filters, added to sums [channels · kh · kw + 1][step], the bias's last. */
GLIA_CPU_AVX512 static void add_windows(const windows *g, const quads *q, int64_t kh, int64_t kw,
                                        int64_t step, float *sums) {
    float *bias = sums + q->channels * kh * kw * step;
    for (int64_t c = 0; c < q->channels; c++) {
        const float *data = q->data + c * q->rows * q->pitch * 4;
        if (kh == 3 && kw == 3) {
            if (g->filters > WIDE)
                add_taps(g, q, data, 2, 3, 3, step, sums, bias);
            else
                add_taps(g, q, data, 1, 3, 3, step, sums, bias);
            sums += 9 * step;
            bias = NULL;
            continue;
        }
        for (int64_t i = 0; i < kh; i++, data += q->pitch * 4, sums += kw * step, bias = NULL) switch (kw) {
            case 1:
                add_taps(g, q, data, 2, 1, 1, step, sums, bias);
                break;
            case 2:
                add_taps(g, q, data, 2, 1, 2, step, sums, bias);
                break;
            case 3:
                add_taps(g, q, data, 2, 1, 3, step, sums, bias);
                break;
            case 4:
                add_taps(g, q, data, 2, 1, 4, step, sums, bias);
                break;
            default:
                add_taps(g, q, data, 2, 1, 5, step, sums, bias);
                break;
            }
    }
}

/* Memory of the gradient, in floats from a multiple of 16 on. */
typedef struct filters_work {
    quads quads;
    int64_t step; /* of sums: all filters */
    size_t at_quads, at_dy, at_winner, at_sums, total;
} filters_work;

static filters_work plan_filters(const glia_conv_pool *v) {
    const int64_t c = v->conv.c;
    const int64_t rows = 2 * v->pool.h.out + v->conv.h.size - 2;
    const int64_t pitch = (2 * v->pool.w.out + v->conv.w.size - 1 + 3) / 4 * 4;
    filters_work k = {.quads = {.channels = c, .rows = rows, .pitch = pitch},
                      .step = (v->conv.o + GROUP - 1) / GROUP * GROUP};
    k.at_quads = (size_t)(c * (rows + 1) * pitch + 2 * WIDE) / WIDE * WIDE;
    k.at_dy = k.at_quads + (size_t)(c * rows * pitch * 4 + WIDE);
    k.at_dy = k.at_dy / WIDE * WIDE;
    k.at_winner = k.at_dy + 2 * BLOCK * GROUP;
    k.at_sums = k.at_winner + 2 * BLOCK * GROUP / 4;
    k.total = k.at_sums + (size_t)((c * v->conv.h.size * v->conv.w.size + 1) * k.step);
    return k;
}

static size_t filters_memory(const glia_conv_pool *v) {
    return plan_filters(v).total;
}

static void copy_pixels(const glia_conv *f, const float *image, const quads *q) {
    const int64_t rows = GLIA_MIN(f->h.in, q->rows + 1 - f->h.pad),
                  count = GLIA_MIN(f->w.in, q->pitch - f->w.pad);
    for (int64_t c = 0; c < f->c; c++)
        for (int64_t h = 0; h < rows; h++) {
            const float *from = image + c * f->x.c + h * f->x.h;
            float *to = q->pixels + (c * (q->rows + 1) + h + f->h.pad) * q->pitch + f->w.pad;
            if (f->x.w == 1)
                memcpy(to, from, (size_t)count * sizeof *to);
            else
                for (int64_t w = 0; w < count; w++) to[w] = from[w * f->x.w];
        }
}

static void backward_by_filters(const glia_conv_pool *v, bool last, const glia_call *call) {
    const glia_conv *f = &v->conv;
    filters_work k = plan_filters(v);
    float *memory = call->workspace, *turned = memory + k.at_dy, *sums = memory + k.at_sums;
    uint8_t *turned_winner = (uint8_t *)(memory + k.at_winner);
    const int64_t places = v->pool.h.out * v->pool.w.out, taps = f->c * f->h.size * f->w.size;
    k.quads.pixels = memory;
    k.quads.data = memory + k.at_quads;
    memset(memory, 0, k.at_quads * sizeof(float));
    memset(sums, 0, (k.total - k.at_sums) * sizeof(float));
    for (int64_t n = 0; n < f->n; n++) {
        copy_pixels(f, (const float *)call->in[0].data + n * f->x.n, &k.quads);
        make_quads(&k.quads);
        for (int64_t o = 0; o < f->o; o += GROUP)
            for (int64_t from = 0, count; from < places; from += count) {
                count = last || places - from < 2 * BLOCK ? places - from : BLOCK;
                const int64_t at = n * f->o * places + (last ? from * f->o + o : o * places + from);
                windows g = {.dy = (const float *)call->in[1].data + at,
                             .winner = (const uint8_t *)call->in[2].data + at,
                             .step = f->o,
                             .first = from,
                             .count = count,
                             .width = v->pool.w.out,
                             .filters = GLIA_MIN(f->o - o, GROUP)};
                if (!last) {
                    turn(g.dy, g.winner, places, count, g.filters, turned, turned_winner);
                    g.dy = turned, g.winner = turned_winner, g.step = GROUP;
                }
                add_windows(&g, &k.quads, f->h.size, f->w.size, k.step, sums + o);
            }
    }
    float *dw = call->out[0].data, *db = call->out[1].data;
    for (int64_t o = 0; o < f->o; o++) {
        for (int64_t t = 0; t < taps; t++) dw[o * taps + t] = sums[t * k.step + o];
        db[o] = sums[taps * k.step + o];
    }
}

#undef FILTERS
