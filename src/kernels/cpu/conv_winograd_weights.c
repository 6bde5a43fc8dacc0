/* conv_winograd_weights.c: the gradient by weights of 3×3 convolutions of f32, by minimal filtering (see winograd.h).
 *
 * At each point the gradient is a product too, of the images and of dy as they are seen there, over all tiles: the transpose
 * of what the convolution does. Tiles are taken in slices, whose points stay in a cache. Small gradients are made in eight
 * lanes, each of a part of the tiles, by one thread alone; then lanes are added up. For large ones threads first share a
 * slice's tiles, then the points and panels of the gradient. Both ways every sum is made in an order that follows from the
 * shapes alone. */
#include "core/threads.h"
#include "kernels/cpu/winograd.h"

enum {
    SLICE_FLOATS = 1 << 19, /* of points, for x and dy together: half of them would do for the second cache */
    LANES = 8,
    LANE_FLOATS = 1 << 18 /* of a gradient that is made in lanes */
};

typedef struct gradient {
    const glia_allocator *allocator;
    int threads;
    glia_winograd_cut cut;                       /* from x to dy */
    bool apart;                                  /* in lanes */
    int64_t slice;                               /* tiles of a slice, at most */
    int64_t at_dy, slice_floats;                 /* memory of a slice's points */
    int64_t at_slices, at_sums, at_bias, floats; /* in the workspace */
    int64_t sums;                                /* floats of the gradient at all points */
} gradient;

static bool fit(const glia_kernel_query *q, gradient *g, const char **why_not) {
    glia_conv v;
    *why_not = "takes f32 only";
    if (q->in[0].dtype != GLIA_F32 || q->in[2].dtype != GLIA_F32) return false;
    *why_not = "the window does not fit"; /* cannot be: inference fitted it */
    if (glia__conv_fit(&v, &q->in[0], &q->in[2], q->attrs, NULL) != GLIA_OK) return false;
    *g = (gradient){.allocator = q->allocator, .threads = GLIA_MAX(q->threads, 1)};
    return glia__winograd_cut(&g->cut, &v, q->attrs, false, why_not);
}

/* All but the number of memories for slices follows from the shapes alone. */
static void plan(gradient *g) {
    const int64_t channels = g->cut.from.channels, outs = g->cut.to.channels;
    const int64_t most = GLIA_MAX(SLICE_FLOATS / (WINOGRAD_POINTS * (channels + outs)), 96);
    g->sums = glia__winograd_weights(channels, outs);
    g->apart = g->sums <= LANE_FLOATS;
    g->slice = GLIA_MIN(most, g->apart ? (g->cut.tiles + LANES - 1) / LANES : g->cut.tiles);
    g->at_dy = WINOGRAD_POINTS * glia__winograd_plane(g->slice, channels);
    g->slice_floats = g->at_dy + WINOGRAD_POINTS * glia__winograd_plane(g->slice, outs);
    g->at_slices = GLIA_MAX(channels, outs); /* behind the zeros */
    g->at_sums = g->at_slices + (g->apart ? GLIA_MIN(g->threads, LANES) : 1) * g->slice_floats;
    g->at_bias = g->at_sums + (g->apart ? LANES : 1) * g->sums;
    g->floats = g->at_bias + LANES * outs;
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
    plan(g);
    needs->workspace_bytes = (size_t)g->floats * sizeof(float);
    *state = g;
    return GLIA_OK;
}

static void fini(void *state) {
    gradient *g = state;
    glia__free(g->allocator, g, sizeof *g);
}

/* --- runs ------------------------------------------------------------------------------------------------ */

typedef struct job {
    const gradient *g;
    glia_winograd_images x_images, dy_images;
    const float *x, *dy;
    float *slices, *sums, *bias, *dw; /* bias: of every lane, or eighth of a slice */
    int64_t first, count;             /* the slice that threads share */
} job;

/* A slice of tiles, seen at points. */
typedef struct slice {
    int64_t first, count;
    float *x, *dy;
} slice;

static slice slice_in(const job *j, int memory, int64_t first, int64_t count) {
    float *x = j->slices + memory * j->g->slice_floats;
    return (slice){first, count, x, x + j->g->at_dy};
}

/* Tiles [from, to) of the slice. */
static void spread(const job *j, const slice *s, int64_t from, int64_t to, float *bias) {
    glia__winograd_spread(&j->x_images, j->x, s->first + from, to - from, s->count,
                          s->x + from * WINOGRAD_BLOCK);
    glia__winograd_spread_gradients(&j->dy_images, j->dy, s->first + from, to - from, s->count,
                                    s->dy + from * WINOGRAD_BLOCK, bias);
}

/* Panels, counted through all points. */
static int64_t panels(const gradient *g) {
    return WINOGRAD_POINTS * (g->cut.to.channels / WINOGRAD_PANEL);
}

static void multiply(const job *j, const slice *s, int64_t begin, int64_t end, bool add, float *sums) {
    const int64_t channels = j->g->cut.from.channels, outs = j->g->cut.to.channels,
                  a_point = outs / WINOGRAD_PANEL;
    for (int64_t i = begin; i < end; i++) {
        const float *x = s->x + i / a_point * glia__winograd_plane(s->count, channels),
                    *dy = s->dy + i / a_point * glia__winograd_plane(s->count, outs) +
                          i % a_point * WINOGRAD_PANEL * s->count;
        glia__winograd_add_products(x, dy, s->count, channels, add, sums + i * channels * WINOGRAD_PANEL);
    }
}

static void lanes_part(void *ctx, int part, int parts) {
    const job *j = ctx;
    int64_t begin, end, lane_begin, lane_end;
    glia__part_range(LANES, part, parts, &begin, &end);
    for (int64_t lane = begin; lane < end; lane++) {
        float *sums = j->sums + lane * j->g->sums;
        glia__part_range(j->g->cut.tiles, (int)lane, LANES, &lane_begin, &lane_end);
        if (lane_begin == lane_end) memset(sums, 0, (size_t)j->g->sums * sizeof *sums);
        for (int64_t first = lane_begin; first < lane_end; first += j->g->slice) {
            const slice s = slice_in(j, part, first, GLIA_MIN(j->g->slice, lane_end - first));
            spread(j, &s, 0, s.count, j->bias + lane * j->g->cut.to.channels);
            multiply(j, &s, 0, panels(j->g), first > lane_begin, sums);
        }
    }
}

static void add_lanes_part(void *ctx, int part, int parts) {
    const job *j = ctx;
    int64_t begin, end;
    glia__part_range(j->g->sums, part, parts, &begin, &end);
    for (int lane = 1; lane < LANES; lane++)
        for (int64_t i = begin; i < end; i++) j->sums[i] += j->sums[lane * j->g->sums + i];
}

static void spread_part(void *ctx, int part, int parts) {
    const job *j = ctx;
    const slice s = slice_in(j, 0, j->first, j->count);
    int64_t begin, end;
    glia__part_range(LANES, part, parts, &begin, &end);
    for (int64_t eighth = begin; eighth < end; eighth++) {
        int64_t from, to;
        glia__part_range(s.count, (int)eighth, LANES, &from, &to);
        spread(j, &s, from, to, j->bias + eighth * j->g->cut.to.channels);
    }
}

static void multiply_part(void *ctx, int part, int parts) {
    const job *j = ctx;
    const slice s = slice_in(j, 0, j->first, j->count);
    int64_t begin, end;
    glia__part_range(panels(j->g), part, parts, &begin, &end);
    multiply(j, &s, begin, end, j->first > 0, j->sums);
}

static void unpack_part(void *ctx, int part, int parts) {
    const job *j = ctx;
    int64_t begin, end;
    glia__part_range(j->g->cut.filters.outs / WINOGRAD_PANEL, part, parts, &begin, &end);
    glia__winograd_unpack(&j->g->cut.filters, j->sums, begin, end, j->dw);
}

static void add_bias(const job *j, float *db) {
    for (int64_t o = 0; o < j->g->cut.to.channels; o++) {
        double sum = 0;
        for (int lane = 0; lane < LANES; lane++) sum += (double)j->bias[lane * j->g->cut.to.channels + o];
        db[o] = (float)sum;
    }
}

static glia_status run(void *state, const glia_call *call) {
    const gradient *g = state;
    float *room = call->workspace;
    job j = {.g = g,
             .x_images = g->cut.from,
             .dy_images = g->cut.to,
             .x = call->in[0].data,
             .dy = call->in[1].data,
             .slices = room + g->at_slices,
             .sums = room + g->at_sums,
             .bias = room + g->at_bias,
             .dw = call->out[0].data};
    j.x_images.zeros = j.dy_images.zeros = memset(room, 0, (size_t)g->at_slices * sizeof(float));
    memset(j.bias, 0, (size_t)(LANES * g->cut.to.channels) * sizeof(float));
    if (g->apart) {
        glia__parallel(GLIA_MIN(g->threads, LANES), lanes_part, &j);
        glia__parallel(g->threads, add_lanes_part, &j);
    }
    for (; !g->apart && j.first < g->cut.tiles; j.first += j.count) {
        j.count = GLIA_MIN(g->slice, g->cut.tiles - j.first);
        glia__parallel(g->threads, spread_part, &j);
        glia__parallel(g->threads, multiply_part, &j);
    }
    glia__parallel(g->threads, unpack_part, &j);
    add_bias(&j, call->out[1].data);
    return GLIA_OK;
}

GLIA_KERNEL(cpu_conv2d_winograd_weights) = {
    .name = "cpu_conv2d_winograd_weights",
    .op = "conv2d_backward_weights",
    .priority = 70, /* ms, two cores, batch 8: 256 · 256 at 56² 29, oneDNN 88; 512 · 512 at 14² 11 and 20 */
    .own_threads = true,
    .gflops = 350,
    .supports = supports,
    .init = init,
    .run = run,
    .fini = fini,
};
