/* conv_winograd.c: 3×3 convolutions of f32, and their gradients by data, by minimal filtering (see winograd.h).
 *
 * The gradient by data is a convolution too: of dy, with every filter turned by 180° and results and channels changing
 * places. Threads take blocks of tiles, each of which goes all the way in the thread's own memory: patches to points,
 * products, points to results. Blocks are small enough for the core's cache, or large enough that the weights, which every
 * block reads once, are read seldom. */
#include "core/threads.h"
#include "kernels/cpu/winograd.h"
#include "ops/riders.h"

enum {
    FEW_TILES = 48, /* of a block: what its points take, and the weights, should stay in the second cache … */
    MANY_TILES = 192,      /* … or else the weights are read seldom */
    CACHE_FLOATS = 1 << 18 /* of weights */
};

typedef struct convolution {
    const glia_allocator *allocator;
    int threads;
    glia_winograd_cut cut;
    bool packed,
        relu; /* packed: weights are seen at points before the run; in training they change from run to run */
    int in, weights, bias, residual;          /* inputs of the call; -1: there is none */
    int64_t room, blocks;                     /* tiles of a block, with what fills its product up; blocks */
    int64_t at_to, thread_floats, at_weights; /* in the workspace: floats */
} convolution;

static bool only_f32(const glia_kernel_query *q, const char **why_not) {
    *why_not = "takes f32 only";
    for (int i = 0; i < q->n_in; i++)
        if (q->in[i].shape.rank >= 0 && q->in[i].dtype != GLIA_F32) return false;
    return true;
}

static bool fit(const glia_kernel_query *q, convolution *c, const glia_conv *v, bool turned,
                const char **why_not) {
    c->allocator = q->allocator;
    c->threads = GLIA_MAX(q->threads, 1);
    c->packed = (q->params >> c->weights & 1) && !q->training;
    return only_f32(q, why_not) && glia__winograd_cut(&c->cut, v, q->attrs, turned, why_not);
}

/* Results do not depend on how tiles are cut, so that the cut may depend on the threads. */
static size_t plan(convolution *c) {
    const int64_t channels = c->cut.from.channels, outs = c->cut.to.channels;
    const bool small = channels * outs * WINOGRAD_POINTS <= CACHE_FLOATS;
    int64_t most = small ? FEW_TILES : MANY_TILES;
    most = GLIA_MIN(most, (c->cut.tiles + c->threads - 1) / c->threads);
    c->blocks = (c->cut.tiles + most - 1) / most;
    const int64_t most_tiles = (c->cut.tiles + c->blocks - 1) / c->blocks;
    c->room = (most_tiles + WINOGRAD_ROWS - 1) / WINOGRAD_ROWS * WINOGRAD_ROWS;
    c->at_to = WINOGRAD_POINTS * glia__winograd_plane(c->room, channels);
    c->thread_floats = c->at_to + WINOGRAD_POINTS * glia__winograd_plane(c->room, outs);
    c->at_weights = channels + c->threads * c->thread_floats; /* behind the zeros */
    return (size_t)(c->at_weights + (c->packed ? 0 : glia__winograd_weights(channels, outs))) * sizeof(float);
}

static glia_status make(const glia_kernel_query *q, const convolution *fitted, void **state,
                        glia_kernel_needs *needs, glia_error *err) {
    convolution *c = glia__alloc(q->allocator, sizeof *c);
    if (!c) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    *c = *fitted;
    needs->workspace_bytes = plan(c);
    if (c->packed)
        needs->packed_bytes =
            (size_t)glia__winograd_weights(c->cut.from.channels, c->cut.to.channels) * sizeof(float);
    *state = c;
    return GLIA_OK;
}

static void fini(void *state) {
    convolution *c = state;
    glia__free(c->allocator, c, sizeof *c);
}

/* --- runs ------------------------------------------------------------------------------------------------ */

typedef struct job {
    const convolution *c;
    const float *x, *w, *weights;
    float *seen_weights, *workspace, *y;
    glia_winograd_images images;
    glia_winograd_finish finish;
} job;

static void pack_part(void *ctx, int part, int parts) {
    const job *j = ctx;
    int64_t begin, end;
    glia__part_range(j->c->cut.to.channels / WINOGRAD_PANEL, part, parts, &begin, &end);
    glia__winograd_pack(&j->c->cut.filters, j->w, begin, end, j->seen_weights);
}

static void run_part(void *ctx, int part, int parts) {
    const job *j = ctx;
    const convolution *c = j->c;
    float *from = j->workspace + part * c->thread_floats, *to = from + c->at_to;
    int64_t begin, end;
    glia__part_range(c->blocks, part, parts, &begin, &end);
    for (int64_t block = begin; block < end; block++) {
        int64_t first, last;
        glia__part_range(c->cut.tiles, (int)block, (int)c->blocks, &first, &last);
        glia__winograd_spread(&j->images, j->x, first, c->room, c->room, from);
        glia__winograd_multiply(from, j->weights, c->room, c->cut.from.channels, c->cut.to.channels, to);
        glia__winograd_gather(&c->cut.to, to, first, last - first, c->room, &j->finish, j->y);
    }
}

static glia_status pack(void *state, const glia_call *call) {
    const convolution *c = state;
    job j = {.c = c, .w = call->in[c->weights].data, .seen_weights = call->packed};
    if (c->packed) glia__parallel(c->threads, pack_part, &j);
    return GLIA_OK;
}

static const float *input(const glia_call *call, int number) {
    return number >= 0 && number < call->n_in ? call->in[number].data : NULL;
}

static glia_status run(void *state, const glia_call *call) {
    const convolution *c = state;
    float *zeros = call->workspace;
    job j = {.c = c,
             .x = call->in[c->in].data,
             .w = call->in[c->weights].data,
             .weights = call->packed,
             .workspace = zeros + c->cut.from.channels,
             .y = call->out[0].data,
             .images = c->cut.from,
             .finish = {input(call, c->bias), input(call, c->residual), c->relu}};
    j.images.zeros = memset(zeros, 0, (size_t)c->cut.from.channels * sizeof(float));
    if (!c->packed) {
        j.weights = j.seen_weights = zeros + c->at_weights;
        glia__parallel(c->threads, pack_part, &j);
    }
    glia__parallel((int)GLIA_MIN(c->threads, c->blocks), run_part, &j);
    return GLIA_OK;
}

/* --- forward: x, w, bias, residual → y -------------------------------------------------------------------- */

static bool fit_forward(const glia_kernel_query *q, convolution *c, const char **why_not) {
    const glia_conv2d_attrs *a = q->attrs;
    glia_conv v;
    *c = (convolution){
        .weights = 1, .bias = 2, .residual = GLIA_RESIDUAL, .relu = a->activation == GLIA_FUSED_RELU};
    *why_not = "the window does not fit"; /* cannot be: inference fitted it */
    if (glia__conv_fit(&v, &q->in[0], &q->in[1], a, NULL) != GLIA_OK) return false;
    return fit(q, c, &v, false, why_not);
}

static bool forward_supports(const glia_kernel_query *q, const char **why_not) {
    convolution c;
    return fit_forward(q, &c, why_not);
}

static glia_status forward_init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs,
                                glia_error *err) {
    convolution c;
    const char *why_not = NULL;
    if (!fit_forward(q, &c, &why_not)) return glia_error_set(err, GLIA_UNSUPPORTED, "conv2d: %s", why_not);
    return make(q, &c, state, needs, err);
}

GLIA_KERNEL(cpu_conv2d_winograd) = {
    .name = "cpu_conv2d_winograd",
    .op = "conv2d",
    .priority =
        70, /* ms, two cores, batch 8: 64 · 64 at 224² 31, oneDNN 75; 256 · 256 at 56² 31 and 72; 512 · 512 at 14² 11 and 17 */
    .own_threads = true,
    .gflops = 350,
    .supports = forward_supports,
    .init = forward_init,
    .pack = pack,
    .run = run,
    .fini = fini,
};

/* --- backward by data: w, dy, (x) → dx ------------------------------------------------------------------- */

static bool fit_backward(const glia_kernel_query *q, convolution *c, const char **why_not) {
    glia_conv v;
    *c = (convolution){.in = 1, .weights = 0, .bias = -1, .residual = -1};
    *why_not = "the window does not fit"; /* cannot be: inference fitted it */
    if (glia__conv_fit(&v, &q->in[2], &q->in[0], q->attrs, NULL) != GLIA_OK) return false;
    return fit(q, c, &v, true, why_not);
}

static bool backward_supports(const glia_kernel_query *q, const char **why_not) {
    convolution c;
    return fit_backward(q, &c, why_not);
}

static glia_status backward_init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs,
                                 glia_error *err) {
    convolution c;
    const char *why_not = NULL;
    if (!fit_backward(q, &c, &why_not))
        return glia_error_set(err, GLIA_UNSUPPORTED, "conv2d_backward_data: %s", why_not);
    return make(q, &c, state, needs, err);
}

GLIA_KERNEL(cpu_conv2d_winograd_backward_data) = {
    .name = "cpu_conv2d_winograd_backward_data",
    .op = "conv2d_backward_data",
    .priority = 70, /* the same: 32, oneDNN 75; 31 and 82; 11.5 and 17 */
    .own_threads = true,
    .gflops = 350,
    .supports = backward_supports,
    .init = backward_init,
    .pack = pack,
    .run = run,
    .fini = fini,
};
