/* strips.c: convolutions of small images, laid side by side. oneDNN goes through an image row by row, and a row of 4 pixels
 * fills a quarter of a matrix register. So many small images, channels last, are copied beside each other to wide ones,
 * with as many zeros between two as the window reaches over an edge; oneDNN convolves those, and the results are
 * copied back, without what lies between.
 *
 *     image 0 · image 1 · image 2 ·       one strip: P pixels for each image, the last of them zeros (·)
 *
 * Each kernel here hands the strips to one of conv.c, which shares the work among threads. */
#include "core/threads.h"
#include "glia/ops.h"
#include "kernels/dnnl/dnnl_api.h"
#include "ops/conv.h"

/* How the images of one call lie side by side; the same for x and dy, which are equally wide. */
typedef struct layout {
    int64_t images, strips, per_strip; /* the last strip may have free places, which are zeros */
    int64_t width, pitch;              /* pixels from image to image */
} layout;

typedef struct strips {
    const glia_allocator *allocator;
    const glia_kernel *kernel; /* that convolves the strips */
    void *state;
    layout layout;
    int threads;
    /* Inputs, then outputs: the types of the strips, and where they are in the workspace behind the kernel's. */
    glia_type types[GLIA_MAX_INPUTS + GLIA_MAX_OUTPUTS];
    size_t offset[GLIA_MAX_INPUTS + GLIA_MAX_OUTPUTS];
    uint32_t in_images, out_images, shape_only; /* bits */
} strips;

static uint32_t in_images(const glia_kernel_query *q) {
    return q->op->images & (((uint32_t)1 << q->n_in) - 1);
}
static uint32_t out_images(const glia_op *op) {
    return op->images >> GLIA_MAX_INPUTS;
}

/* --- which calls, and how they lie ----------------------------------------------------------------------- */

/* What differs between the three directions. */
typedef struct direction {
    const glia_kernel *kernel;       /* that convolves the strips */
    int x, w;                        /* inputs that are the images and the weights, or lie as they do */
    int64_t widest_f32, widest_bf16; /* images for which strips are faster */
} direction;

/* Pixels that the window reaches over the left or the right edge. */
static int64_t overhang(const glia_window *window) {
    return GLIA_MAX(window->pad, (window->size - 1) * window->dilation - window->pad);
}

/* Strips as wide as oneDNN likes them: it is slower below some 100 pixels, and crashes on rows of 512 pixels in its
 * gradient of weights in bf16. That also wants pairs of pixels. */
static layout lay_out(int64_t images, const glia_window *window) {
    enum { WIDEST = 160 };
    layout l = {.images = images, .width = window->in, .pitch = window->in + overhang(window)};
    int64_t most = 2;
    while (2 * most * l.pitch <= WIDEST) most *= 2;
    l.strips = (images + most - 1) / most;
    l.per_strip = ((images + l.strips - 1) / l.strips + 1) & ~(int64_t)1;
    return l;
}

static bool lay_out_call(const glia_kernel_query *q, const direction *d, layout *l, const char **why_not) {
    enum { LEAST_IMAGES = 4, LEAST_CHANNELS = 128 };
    const glia_conv2d_attrs *a = q->attrs;
    const glia_type *x = &q->in[d->x];
    glia_conv v;
    if (!glia__dnnl_takes_types(q, why_not)) return false;
    if (glia__conv_fit(&v, x, &q->in[d->w], a, NULL) != GLIA_OK)
        *why_not = "the window does not fit"; /* cannot be: inference fitted it */
    else if (a->channels_last != GLIA_YES)
        *why_not = "channels first";
    else if (v.groups > 1 || v.c < LEAST_CHANNELS || v.o < LEAST_CHANNELS)
        *why_not = "groups, or fewer than 128 channels";
    else if (v.w.stride > 1 || v.w.out != v.w.in || v.w.size < 2)
        *why_not = "the result is not as wide as the image, or the window only one pixel";
    else if (v.w.in > (x->dtype == GLIA_BF16 ? d->widest_bf16 : d->widest_f32))
        *why_not = "images as wide as these are faster one by one";
    else if (overhang(&v.w) > v.w.in)
        *why_not = "more zeros would stand between images than pixels in them";
    else if (v.n < LEAST_IMAGES)
        *why_not = "fewer than 4 images";
    else {
        *l = lay_out(v.n, &v.w);
        return true;
    }
    return false;
}

/* What the kernel that convolves strips is asked. */
static glia_kernel_query strips_query(const glia_kernel_query *q, const layout *l, glia_type *types) {
    glia_kernel_query inner = *q;
    for (int i = 0; i < q->n_in + q->n_out; i++) {
        const bool out = i >= q->n_in;
        const uint32_t images = out ? out_images(q->op) >> (i - q->n_in) : in_images(q) >> i;
        types[i] = out ? q->out[i - q->n_in] : q->in[i];
        if (!(images & 1)) continue;
        types[i].shape.dim[0] = l->strips;
        types[i].shape.dim[2] = l->per_strip * l->pitch;
    }
    inner.in = types;
    inner.out = types + q->n_in;
    inner.params &= ~in_images(q);
    return inner;
}

static bool strips_support(const glia_kernel_query *q, const direction *d, const char **why_not) {
    glia_type types[GLIA_MAX_INPUTS + GLIA_MAX_OUTPUTS];
    layout l;
    if (!lay_out_call(q, d, &l, why_not)) return false;
    const glia_kernel_query inner = strips_query(q, &l, types);
    return d->kernel->supports(&inner, why_not);
}

/* --- the state ------------------------------------------------------------------------------------------- */

static void strips_fini(void *state) {
    strips *s = state;
    if (!s) return;
    s->kernel->fini(s->state);
    glia__free(s->allocator, s, sizeof *s);
}

/* Room for the strips, behind the kernel's workspace. */
static void reserve_strips(strips *s, const glia_kernel_query *q, glia_kernel_needs *needs) {
    const uint32_t images = (s->in_images & ~s->shape_only) | s->out_images << q->n_in;
    for (int i = 0; i < q->n_in + q->n_out; i++) {
        if (!(images >> i & 1)) continue;
        const size_t bytes =
            (size_t)glia_shape_elems(&s->types[i].shape) * glia_dtype_bytes(s->types[i].dtype);
        needs->workspace_bytes = (needs->workspace_bytes + 63) & ~(size_t)63;
        s->offset[i] = needs->workspace_bytes;
        needs->workspace_bytes += bytes;
    }
}

static glia_status strips_new(const glia_kernel_query *q, const direction *d, void **state,
                              glia_kernel_needs *needs, glia_error *err) {
    const char *why_not = NULL;
    strips *s = glia__calloc(q->allocator, 1, sizeof *s);
    *state = NULL;
    if (!s) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    s->allocator = q->allocator;
    s->kernel = d->kernel;
    s->threads = q->threads;
    s->in_images = in_images(q);
    s->out_images = out_images(q->op);
    s->shape_only = q->op->shape_only;
    glia_status status = GLIA_OK;
    if (!lay_out_call(q, d, &s->layout, &why_not))
        status = glia_error_set(err, GLIA_UNSUPPORTED, "%s: %s", q->op->name, why_not);
    if (status == GLIA_OK) {
        const glia_kernel_query inner = strips_query(q, &s->layout, s->types);
        status = d->kernel->init(&inner, &s->state, needs, err);
    }
    if (status != GLIA_OK) {
        strips_fini(s);
        return status;
    }
    reserve_strips(s, q, needs);
    *state = s;
    return GLIA_OK;
}

/* --- running --------------------------------------------------------------------------------------------- */

typedef struct copy_job {
    const layout *layout;
    char *images, *strips;
    int64_t rows;       /* of an image */
    size_t pixel_bytes; /* all channels */
    bool back;          /* to the images */
} copy_job;

/* One row of a strip: a row of each of its images, and zeros. */
static void copy_row(const copy_job *j, int64_t strip, int64_t row) {
    const layout *l = j->layout;
    const size_t bytes = (size_t)l->width * j->pixel_bytes, pitch = (size_t)l->pitch * j->pixel_bytes;
    char *place = j->strips + (size_t)((strip * j->rows + row) * l->per_strip) * pitch;
    for (int64_t i = 0; i < l->per_strip; i++, place += pitch) {
        const int64_t image = strip * l->per_strip + i;
        if (image >= l->images) {
            if (!j->back) memset(place, 0, pitch);
            continue;
        }
        char *pixels = j->images + (size_t)(image * j->rows + row) * bytes;
        if (j->back) {
            memcpy(pixels, place, bytes);
        } else {
            memcpy(place, pixels, bytes);
            memset(place + bytes, 0, pitch - bytes);
        }
    }
}

static void copy_rows(void *ctx, int thread, int threads) {
    const copy_job *j = ctx;
    int64_t begin, end;
    glia__part_range(j->layout->strips * j->rows, thread, threads, &begin, &end);
    for (int64_t at = begin; at < end; at++) copy_row(j, at / j->rows, at % j->rows);
}

/* Copies an array of images to its strips, or back. */
static void copy(const strips *s, const glia_view *images, void *to, bool back) {
    const int64_t *dim = images->shape.dim;
    copy_job job = {.layout = &s->layout,
                    .images = images->data,
                    .strips = to,
                    .rows = dim[1],
                    .pixel_bytes = (size_t)dim[3] * glia_dtype_bytes(images->dtype),
                    .back = back};
    glia__parallel(s->threads, copy_rows, &job);
}

static glia_status strips_pack(void *state, const glia_call *call) {
    const strips *s = state;
    return s->kernel->pack(s->state, call);
}

static glia_status strips_run(void *state, const glia_call *call) {
    const strips *s = state;
    glia_view in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS];
    glia_call inner = *call;
    for (int i = 0; i < call->n_in; i++) {
        in[i] = call->in[i];
        if (!(s->in_images >> i & 1)) continue;
        in[i].shape = s->types[i].shape;
        if (s->shape_only >> i & 1) continue;
        in[i].data = (char *)call->workspace + s->offset[i];
        copy(s, &call->in[i], in[i].data, false);
    }
    for (int o = 0; o < call->n_out; o++) {
        out[o] = call->out[o];
        if (!(s->out_images >> o & 1)) continue;
        out[o].shape = s->types[call->n_in + o].shape;
        out[o].data = (char *)call->workspace + s->offset[call->n_in + o];
    }
    inner.in = in;
    inner.out = out;
    GLIA_TRY(s->kernel->run(s->state, &inner));
    for (int o = 0; o < call->n_out; o++)
        if (s->out_images >> o & 1) copy(s, &call->out[o], out[o].data, true);
    return GLIA_OK;
}

/* --- the kernels ----------------------------------------------------------------------------------------- */

/* Makes PREFIX_supports and PREFIX_init from the direction that follows; NAME is the kernel that convolves the strips. */
#define STRIPS_PLANNING(prefix, name, ...)                                                                   \
    extern const glia_kernel glia__kernel_##name;                                                            \
    static const direction prefix##_direction = {&glia__kernel_##name, __VA_ARGS__};                         \
    static bool prefix##_supports(const glia_kernel_query *query, const char **why_not) {                    \
        return strips_support(query, &prefix##_direction, why_not);                                          \
    }                                                                                                        \
    static glia_status prefix##_init(const glia_kernel_query *query, void **state, glia_kernel_needs *needs, \
                                     glia_error *err) {                                                      \
        return strips_new(query, &prefix##_direction, state, needs, err);                                    \
    }

/* On two cores with AMX, batch 128, both with their copies; the layer's C×O, and H×W:
 *     bf16  512×512 4×4 11 → 4.1 ms, 2×2 8.7 → 1.3, 256×256 8×8 3.3 → 3.6 (batch 32 of 512×512 7×7: 3.8 → 2.7)
 *     f32   512×512 4×4 37 → 26 ms, 2×2 24 → 6.0, 256×256 5×5 9.7 → 9.2 */
STRIPS_PLANNING(forward, dnnl_conv2d, .x = 0, .w = 1, .widest_f32 = 4, .widest_bf16 = 7)

GLIA_KERNEL(dnnl_conv2d_strips) = {
    .name = "dnnl_conv2d_strips",
    .op = "conv2d",
    .priority = 55,
    .own_threads = true,
    .supports = forward_supports,
    .init = forward_init,
    .pack = strips_pack,
    .run = strips_run,
    .fini = strips_fini,
};

/* As above:
 *     bf16  512×512 4×4 14.7 → 4.1 ms, 2×2 10.9 → 1.6, 256×256 8×8 4.3 → 3.5, batch 32 of 10×10 equal
 *     f32   512×512 4×4 22 → 27 ms, 2×2 5.4 → 6.4: declined */
STRIPS_PLANNING(backward_data, dnnl_conv2d_backward_data, .x = 2, .w = 0, .widest_f32 = 0, .widest_bf16 = 8)

GLIA_KERNEL(dnnl_conv2d_backward_data_strips) = {
    .name = "dnnl_conv2d_backward_data_strips",
    .op = "conv2d_backward_data",
    .priority = 55,
    .own_threads = true,
    .supports = backward_data_supports,
    .init = backward_data_init,
    .pack = strips_pack,
    .run = strips_run,
    .fini = strips_fini,
};

/* As above:
 *     bf16  512×512 4×4 32 → 6.8 ms, 2×2 26 → 2.4, 256×256 8×8 9.4 → 6.8,
 *           batch 8 of 512×512 14×14 6.5 → 4.7, 128×128 16×16 8.2 → 14
 *     f32   512×512 4×4 36 → 32 ms, 2×2 22.5 → 8.7, 256×256 5×5 10.7 → 12.2 */
STRIPS_PLANNING(backward_weights, dnnl_conv2d_backward_weights, .x = 0, .w = 2, .widest_f32 = 4,
                .widest_bf16 = 14)

GLIA_KERNEL(dnnl_conv2d_backward_weights_strips) = {
    .name = "dnnl_conv2d_backward_weights_strips",
    .op = "conv2d_backward_weights",
    .priority = 55,
    .own_threads = true,
    .supports = backward_weights_supports,
    .init = backward_weights_init,
    .pack = strips_pack,
    .run = strips_run,
    .fini = strips_fini,
};
