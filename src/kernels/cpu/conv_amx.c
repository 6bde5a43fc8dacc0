/* conv_amx.c: convolutions of small images in bf16 and their gradients by data, on tiles (AMX), with steps of 1.
 *
 * Images are piled: the first pixels of some images lie behind each other, then their second ones, and so on. 16 places are
 * then the same pixel of 16 images, a tap of the window is another pixel of theirs, and taps beyond an edge are left out:
 *
 *     y[pixel][image][o] = Σ_tap Σ_c x[pixel of the tap][image][c] · w[tap][c][o]
 *
 * A block of images is copied to planes of 32 channels: there 16 places are a tile. The block stays in the core's second
 * cache while all weights pass it, a chunk for 32 results and some channels at a time, which stays in the first. The gradient
 * by data is a convolution too: of dy, with every filter turned by 180° and results and channels changing places.
 *
 * Large images on a line, as in conv_amx_weights.c, were tried: no faster than oneDNN, which is near the tiles' limit there. */
#include "core/threads.h"
#include "kernels/cpu/amx.h"
#include "kernels/kernel.h"
#include "ops/conv.h"
#include "ops/riders.h"

#ifdef GLIA_CPU_AMX

enum {
    PART = TILE_PAIR,            /* places, channels and results that are taken at once */
    STEP_BYTES = 2 * TILE_BYTES, /* weights of a tap for 32 channels and 32 results */
    SUMS = 4 * TILE * TILE,      /* results of 32 places */
    MOST_TAPS = 16,
    CHUNK_STEPS = 18,        /* 36 KB of weights */
    WIDEST = 8,              /* pixels of a row; beyond it the block would not fit */
    BLOCK_BYTES = 640 << 10, /* of x; more of the second cache than that the other arrays leave … */
    MOST_BYTES = 1100 << 10  /* … where 32 images do not take more */
};

typedef struct convolution {
    const glia_allocator *allocator;
    int threads;
    int in, weights, bias, residual; /* inputs of the call; -1: there is none */
    bool relu, turned;
    bool packed; /* weights are made tiles before the run; in training they change from run to run */
    int64_t count, height, width, channels; /* of x */
    int64_t out_height, out_width, outs;
    int64_t out_step, in_step; /* from the weights of one result, or channel, to those of the next */
    int64_t pile;              /* images of a block */
    int taps;
    struct {
        int64_t h, w; /* rows and columns away */
    } tap[MOST_TAPS];
    int64_t c_blocks, o_blocks, chunk; /* chunk: of c_blocks */
    int64_t blocks, places;            /* of images; results of a block */
    int64_t plane; /* places of a plane of x, and one that keeps planes apart in the first cache */
    int parts;     /* of the results, where blocks are few */
    size_t at_sums, at_to, thread_bytes, at_weights; /* in the workspace */
} convolution;

/* --- what it takes, and how it is cut ---------------------------------------------------------------------- */

static int64_t blocks_of(int64_t count, int64_t size) {
    return (count + size - 1) / size;
}

/* 32 images or more a block, as many as the second cache holds. */
static bool choose_pile(convolution *c) {
    const int64_t bytes = c->height * c->width * c->c_blocks * PART * PART * (int64_t)sizeof(uint16_t);
    if (c->count % PART || c->out_width > WIDEST || bytes > MOST_BYTES) return false;
    const int64_t share = blocks_of(c->count / PART, c->threads);
    c->pile = GLIA_MIN(GLIA_MAX(BLOCK_BYTES / bytes, 1), share) * PART;
    c->blocks = blocks_of(c->count, c->pile);
    c->places = c->out_height * c->out_width * c->pile;
    c->plane = c->height * c->width * c->pile + 1;
    return true;
}

static size_t rounded(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

static size_t weight_bytes(const convolution *c) {
    return (size_t)(c->o_blocks * c->c_blocks * c->taps) * STEP_BYTES;
}

/* How blocks and parts are cut does not change the order of any sum, so that it may depend on the threads. */
static size_t plan(convolution *c) {
    c->chunk = GLIA_MAX(CHUNK_STEPS / c->taps, 1);
    c->parts = (int)(c->blocks < c->threads ? GLIA_MIN(c->threads, c->o_blocks) : 1);
    c->at_sums = (size_t)(c->c_blocks * c->plane) * PART * sizeof(uint16_t);
    c->at_to = c->at_sums + (size_t)(c->places / PART) * SUMS * sizeof(float);
    c->thread_bytes = rounded(c->at_to + (size_t)c->places * sizeof(int64_t));
    c->at_weights = (size_t)c->threads * c->thread_bytes;
    return c->at_weights + (c->packed ? 0 : weight_bytes(c));
}

/* `v` is what inference fitted; `turned`: from its results to its images. */
static bool fit(convolution *c, const glia_kernel_query *q, const glia_conv *v, const char **why_not) {
    const int64_t pad_h = c->turned ? (v->h.size - 1) * v->h.dilation - v->h.pad : v->h.pad,
                  pad_w = c->turned ? (v->w.size - 1) * v->w.dilation - v->w.pad : v->w.pad;
    const glia_window *h = &v->h, *w = &v->w;
    c->allocator = q->allocator;
    c->threads = GLIA_MAX(q->threads, 1);
    c->packed = (q->params >> c->weights & 1) && !q->training;
    c->count = v->n;
    c->height = c->turned ? h->out : h->in, c->width = c->turned ? w->out : w->in;
    c->out_height = c->turned ? h->in : h->out, c->out_width = c->turned ? w->in : w->out;
    c->channels = c->turned ? v->o : v->c, c->outs = c->turned ? v->c : v->o;
    c->out_step = h->size * w->size * (c->turned ? 1 : v->c);
    c->in_step = h->size * w->size * (c->turned ? v->c : 1);
    c->c_blocks = blocks_of(c->channels, PART), c->o_blocks = blocks_of(c->outs, PART);
    *why_not = "groups, or steps of more than 1";
    if (v->groups > 1 || h->stride > 1 || w->stride > 1) return false;
    *why_not = "fewer than 16 channels or filters, or a window of more than 16 taps";
    if (v->c < TILE || v->o < TILE || h->size * w->size > MOST_TAPS) return false;
    *why_not = "no elements";
    if (v->n * h->in * w->in * h->out * w->out == 0) return false;
    for (int64_t i = 0; i < h->size; i++)
        for (int64_t k = 0; k < w->size; k++) {
            c->tap[c->taps].h = i * h->dilation - pad_h;
            c->tap[c->taps++].w = k * w->dilation - pad_w;
        }
    *why_not = "images are not small, or not a multiple of 32";
    return choose_pile(c);
}

static bool fit_types(const glia_kernel_query *q, int x, const char **why_not) {
    *why_not = "the processor has no AMX, or GLIA_ISA forbids it";
    if (glia__isa() < GLIA_ISA_AMX) return false;
    *why_not = "takes bf16 with channels last only";
    return q->in[x].dtype == GLIA_BF16 && ((const glia_conv2d_attrs *)q->attrs)->channels_last == GLIA_YES;
}

static glia_status make(const glia_kernel_query *q, const convolution *fitted, void **state,
                        glia_kernel_needs *needs, glia_error *err) {
    convolution *c = glia__alloc(q->allocator, sizeof *c);
    if (!c) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    *c = *fitted;
    needs->workspace_bytes = plan(c);
    if (c->packed) needs->packed_bytes = weight_bytes(c);
    *state = c;
    return GLIA_OK;
}

static void fini(void *state) {
    convolution *c = state;
    glia__free(c->allocator, c, sizeof *c);
}

/* --- weights to tiles -------------------------------------------------------------------------------------- */

/* Columns to rows, of 16×16 numbers of 32 bits. */
GLIA_CPU_AMX GLIA_CPU_INLINE void transpose(__m512i v[TILE]) {
    __m512i t[TILE];
    for (int i = 0; i < TILE; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < TILE; i += 4)
        for (int k = 0; k < 2; k++) {
            v[i + 2 * k] = _mm512_unpacklo_epi64(t[i + k], t[i + k + 2]);
            v[i + 2 * k + 1] = _mm512_unpackhi_epi64(t[i + k], t[i + k + 2]);
        }
    for (int i = 0; i < TILE; i += 8)
        for (int k = 0; k < 4; k++) {
            t[i + k] = _mm512_shuffle_i32x4(v[i + k], v[i + k + 4], 0x88);
            t[i + k + 4] = _mm512_shuffle_i32x4(v[i + k], v[i + k + 4], 0xDD);
        }
    for (int k = 0; k < 8; k++) {
        v[k] = _mm512_shuffle_i32x4(t[k], t[k + 8], 0x88);
        v[k + 8] = _mm512_shuffle_i32x4(t[k], t[k + 8], 0xDD);
    }
}

/* All taps of two channels for 16 results from `out` on: of each tap a row of a tile, which holds pairs of channels. */
GLIA_CPU_AMX static void pack_pair(const convolution *c, const float *w, int64_t out, int64_t channel,
                                   char *to) {
    static const uint16_t pairs[PART] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                         8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __mmask16 taps = (__mmask16)((1u << c->taps) - 1);
    const __m512i order = _mm512_loadu_si512(pairs);
    __m512i row[TILE];
    for (int i = 0; i < TILE; i++) {
        const float *at = w + (out + i) * c->out_step + channel * c->in_step;
        const bool there = out + i < c->outs;
        const __m512 a = _mm512_maskz_loadu_ps(there && channel < c->channels ? taps : 0, at),
                     b = _mm512_maskz_loadu_ps(there && channel + 1 < c->channels ? taps : 0,
                                               at + c->in_step);
        row[i] = _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(b, a));
    }
    transpose(row);
    for (int t = 0; t < c->taps; t++)
        _mm512_store_si512(to + (c->turned ? c->taps - 1 - t : t) * STEP_BYTES, row[t]);
}

typedef struct job {
    const convolution *c;
    const float *w, *bias;
    const uint16_t *x, *residual;
    char *memory, *tiles; /* tiles: of weights, [32 results][32 channels][tap][16 results] */
    const char *weights;
    uint16_t *y;
} job;

static void pack_part(void *ctx, int part, int parts) {
    const job *j = ctx;
    const convolution *c = j->c;
    int64_t begin, end;
    glia__part_range(c->o_blocks * c->c_blocks, part, parts, &begin, &end);
    for (int64_t block = begin; block < end; block++)
        for (int pair = 0; pair < TILE; pair++)
            for (int half = 0; half < 2; half++)
                pack_pair(c, j->w, block / c->c_blocks * PART + half * TILE,
                          block % c->c_blocks * PART + 2 * pair,
                          j->tiles + block * c->taps * STEP_BYTES + half * TILE_BYTES + pair * 64);
}

static glia_status pack(void *state, const glia_call *call) {
    const convolution *c = state;
    job j = {.c = c, .w = call->in[c->weights].data, .tiles = call->packed};
    if (c->packed) glia__parallel(c->threads, pack_part, &j);
    return GLIA_OK;
}

/* --- images to planes, and where results go ------------------------------------------------------------------ */

static __mmask32 mask_of(int64_t left) {
    return left >= PART ? ~(__mmask32)0 : ((__mmask32)1 << left) - 1;
}

/* A pixel's channels to its place in every plane; NULL: zeros. */
GLIA_CPU_AMX GLIA_CPU_INLINE void place_pixel(const convolution *c, const uint16_t *pixel, char *to) {
    for (int64_t b = 0; b < c->c_blocks; b++, to += c->plane * 64)
        _mm512_store_si512(to,
                           pixel ? _mm512_maskz_loadu_epi16(mask_of(c->channels - b * PART), pixel + b * PART)
                                 : _mm512_setzero_si512());
}

/* The block's part of x, and where its results go: numbers from the beginning of y, -1 where there is none. */
GLIA_CPU_AMX static void open_block(const job *j, int64_t block, char *x, int64_t *to) {
    const convolution *c = j->c;
    const int64_t first = block * c->pile, pixels = c->height * c->width,
                  results = c->out_height * c->out_width;
    for (int64_t i = 0; i < c->pile; i++) {
        const bool there = first + i < c->count;
        for (int64_t p = 0; p < pixels; p++)
            place_pixel(c, there ? j->x + ((first + i) * pixels + p) * c->channels : NULL,
                        x + (p * c->pile + i) * 64);
        for (int64_t p = 0; p < results; p++)
            to[p * c->pile + i] = there ? ((first + i) * results + p) * c->outs : -1;
    }
}

/* --- products ---------------------------------------------------------------------------------------------- */

/* What the window sees from 32 places: where in a plane, and of which tap. */
typedef struct sight {
    int count;
    int64_t at[MOST_TAPS], tap[MOST_TAPS]; /* bytes */
} sight;

static void look(const convolution *c, int64_t place, sight *s) {
    const int64_t pixel = place / c->pile, image = place % c->pile;
    s->count = 0;
    for (int t = 0; t < c->taps; t++) {
        const int64_t h = pixel / c->out_width + c->tap[t].h, w = pixel % c->out_width + c->tap[t].w;
        if (h < 0 || h >= c->height || w < 0 || w >= c->width) continue;
        s->at[s->count] = 64 * ((h * c->width + w) * c->pile + image);
        s->tap[s->count++] = (int64_t)t * STEP_BYTES;
    }
}

/* sums[32 places][32 results] (+)= what `steps` blocks of channels give; a tile of sums is [16][16]. */
GLIA_CPU_AMX static void multiply(const convolution *c, const sight *s, const char *x, const char *weights,
                                  int64_t steps, float *sums, bool add) {
    amx_load_sums(sums, add);
    for (int64_t b = 0; b < steps; b++, x += c->plane * 64, weights += c->taps * STEP_BYTES)
        for (int k = 0; k < s->count; k++) amx_step(x + s->at[k], weights + s->tap[k], 64, TILE_BYTES);
    amx_store_sums(sums);
    atomic_signal_fence(memory_order_seq_cst); /* nor that they are stored to it */
}

GLIA_CPU_AMX GLIA_CPU_INLINE __m512 widened(__m256i half) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* Bias, residual and activation; then results go to where they belong. */
GLIA_CPU_AMX static void finish(const job *j, const float *sums, const int64_t *to, int64_t out) {
    const __mmask32 mask = mask_of(j->c->outs - out);
    const __mmask16 low = (__mmask16)mask, high = (__mmask16)(mask >> TILE);
    const __m512 zero = _mm512_setzero_ps();
    const __m512 bias_low = j->bias ? _mm512_maskz_loadu_ps(low, j->bias + out) : zero,
                 bias_high = j->bias ? _mm512_maskz_loadu_ps(high, j->bias + out + TILE) : zero;
    for (int r = 0; r < PART; r++) {
        if (to[r] < 0) continue;
        const float *row = sums + r / TILE * 2 * TILE * TILE + r % TILE * TILE;
        __m512 a = _mm512_add_ps(_mm512_load_ps(row), bias_low),
               b = _mm512_add_ps(_mm512_load_ps(row + TILE * TILE), bias_high);
        if (j->residual) {
            const __m512i more = _mm512_maskz_loadu_epi16(mask, j->residual + to[r] + out);
            a = _mm512_add_ps(a, widened(_mm512_castsi512_si256(more)));
            b = _mm512_add_ps(b, widened(_mm512_extracti64x4_epi64(more, 1)));
        }
        if (j->c->relu) a = _mm512_max_ps(zero, a), b = _mm512_max_ps(zero, b); /* NaN stays */
        _mm512_mask_storeu_epi16(j->y + to[r] + out, mask, (__m512i)_mm512_cvtne2ps_pbh(b, a));
    }
}

/* 32 results of a whole block. */
GLIA_CPU_AMX static void run_results(const job *j, const char *x, float *sums, const int64_t *to, int64_t o) {
    const convolution *c = j->c;
    const int64_t subs = c->places / PART;
    for (int64_t b = 0; b < c->c_blocks; b += c->chunk) {
        const int64_t steps = GLIA_MIN(c->chunk, c->c_blocks - b);
        const char *weights = j->weights + (o * c->c_blocks + b) * c->taps * STEP_BYTES,
                   *next = weights + steps * c->taps * STEP_BYTES;
        const int64_t share = (steps * c->taps * STEP_BYTES / subs + 63) / 64 * 64;
        for (int64_t s = 0; s < subs; s++) {
            sight seen;
            look(c, s * PART, &seen);
            for (int64_t at = s * share; at < (s + 1) * share; at += 64) _mm_prefetch(next + at, _MM_HINT_T1);
            multiply(c, &seen, x + b * c->plane * 64, weights, steps, sums + s * SUMS, b > 0);
            if (b + steps == c->c_blocks) finish(j, sums + s * SUMS, to + s * PART, o * PART);
        }
    }
}

GLIA_CPU_AMX static void run_tasks(void *ctx, int thread, int threads) {
    const job *j = ctx;
    const convolution *c = j->c;
    char *x = j->memory + (size_t)thread * c->thread_bytes;
    float *sums = (float *)(x + c->at_sums);
    int64_t *to = (int64_t *)(x + c->at_to), opened = -1;
    amx_begin();
    for (int64_t task = thread; task < c->blocks * c->parts; task += threads) {
        const int64_t block = task / c->parts;
        int64_t begin, end;
        glia__part_range(c->o_blocks, (int)(task % c->parts), c->parts, &begin, &end);
        if (block != opened) open_block(j, opened = block, x, to);
        for (int64_t o = begin; o < end; o++) run_results(j, x, sums, to, o);
    }
    amx_end();
}

static const void *input(const glia_call *call, int number) {
    return number >= 0 && number < call->n_in ? call->in[number].data : NULL;
}

static glia_status run(void *state, const glia_call *call) {
    const convolution *c = state;
    job j = {.c = c,
             .w = call->in[c->weights].data,
             .bias = input(call, c->bias),
             .x = call->in[c->in].data,
             .residual = input(call, c->residual),
             .memory = call->workspace,
             .weights = call->packed,
             .y = call->out[0].data};
    if (!c->packed) {
        j.weights = j.tiles = j.memory + c->at_weights;
        glia__parallel(c->threads, pack_part, &j);
    }
    glia__parallel(c->threads, run_tasks, &j);
    return GLIA_OK;
}

/* --- forward: x, w, bias, residual → y ----------------------------------------------------------------------- */

static bool fit_forward(const glia_kernel_query *q, convolution *c, const char **why_not) {
    const glia_conv2d_attrs *a = q->attrs;
    glia_conv v;
    *c = (convolution){
        .weights = 1, .bias = 2, .residual = GLIA_RESIDUAL, .relu = a->activation == GLIA_FUSED_RELU};
    if (!fit_types(q, 0, why_not)) return false;
    *why_not = "the window does not fit"; /* cannot be: inference fitted it */
    return glia__conv_fit(&v, &q->in[0], &q->in[1], a, NULL) == GLIA_OK && fit(c, q, &v, why_not);
}

static bool forward_supports(const glia_kernel_query *q, const char **why_not) {
    convolution c;
    return fit_forward(q, &c, why_not);
}

/* --- backward by data: w, dy, (x) → dx ----------------------------------------------------------------------- */

static bool fit_backward(const glia_kernel_query *q, convolution *c, const char **why_not) {
    glia_conv v;
    *c = (convolution){.in = 1, .weights = 0, .bias = -1, .residual = -1, .turned = true};
    if (!fit_types(q, 1, why_not)) return false;
    *why_not = "the window does not fit"; /* cannot be: inference fitted it */
    return glia__conv_fit(&v, &q->in[2], &q->in[0], q->attrs, NULL) == GLIA_OK && fit(c, q, &v, why_not);
}

static bool backward_supports(const glia_kernel_query *q, const char **why_not) {
    convolution c;
    return fit_backward(q, &c, why_not);
}

static glia_status forward_init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs,
                                glia_error *err) {
    convolution c;
    const char *why_not = NULL;
    if (!fit_forward(q, &c, &why_not)) return glia_error_set(err, GLIA_UNSUPPORTED, "conv2d: %s", why_not);
    return make(q, &c, state, needs, err);
}

static glia_status backward_init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs,
                                 glia_error *err) {
    convolution c;
    const char *why_not = NULL;
    if (!fit_backward(q, &c, &why_not))
        return glia_error_set(err, GLIA_UNSUPPORTED, "conv2d_backward_data: %s", why_not);
    return make(q, &c, state, needs, err);
}

#else

static bool forward_supports(const glia_kernel_query *q, const char **why_not) {
    (void)q;
    *why_not = "built for other processors";
    return false;
}

static bool backward_supports(const glia_kernel_query *q, const char **why_not) {
    return forward_supports(q, why_not);
}

#endif

GLIA_KERNEL(cpu_conv2d_amx) = {
    .name = "cpu_conv2d_amx",
    .op = "conv2d",
    /* ms, two cores, batch 128, with the packing of weights, oneDNN (on strips) without: 512 · 512 at 4² 3.5 and 4.0, at 2² 1.2
     * and 1.3; 256 · 256 at 8² 3.7 and 3.3. With both directions a step of VGG16 on 32² takes 127 ms, before 141; of
     * ResNet-18 276 and 289. */
    .priority = 65,
    .own_threads = true,
    .gflops = 1300,
    .supports = forward_supports,
#ifdef GLIA_CPU_AMX
    .init = forward_init,
    .pack = pack,
    .run = run,
    .fini = fini,
#endif
};

GLIA_KERNEL(cpu_conv2d_backward_data_amx) = {
    .name = "cpu_conv2d_backward_data_amx",
    .op = "conv2d_backward_data",
    .priority = 65, /* the same: 3.6 and 4.2, 1.4 and 1.8; 3.4 and 3.6 */
    .own_threads = true,
    .gflops = 1300,
    .supports = backward_supports,
#ifdef GLIA_CPU_AMX
    .init = backward_init,
    .pack = pack,
    .run = run,
    .fini = fini,
#endif
};
