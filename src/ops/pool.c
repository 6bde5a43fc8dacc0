/* pool.c: max and average pooling over images [N, C, H, W], and their backward ops. */

#include <math.h>

#include "glia/ops.h"
#include "ops/window.h"

#ifdef GLIA_OPS_HEADER
/* Zero means default: strides = size, padding valid. */
typedef struct glia_pool2d_attrs {
    int64_t size[2], strides[2]; /* height, width */
    int padding;                 /* 0 valid, 1 same, 2 explicit: `pads` */
    int64_t pads[4];             /* top, left, bottom, right */
} glia_pool2d_attrs;
/* [N, C, H, W] → [N, C, H', W']: the largest of each window; padding never wins. */
GLIA_API glia_value *glia_op_max_pool2d(glia_value *x, glia_pool2d_attrs attrs);
/* The mean of each window; padding does not count. */
GLIA_API glia_value *glia_op_average_pool2d(glia_value *x, glia_pool2d_attrs attrs);
/* [N, C, H, W] → [N, C]: the mean of each channel. */
GLIA_API glia_value *glia_op_global_average_pool2d(glia_value *x);
#endif /* GLIA_OPS_HEADER */

#define POOL_FIELDS                                                                              \
    GLIA_FIELDS({.name = "size",                                                                 \
                 .kind = GLIA_FIELD_INTS,                                                        \
                 .offset = offsetof(glia_pool2d_attrs, size),                                    \
                 .count = 2,                                                                     \
                 .initial = "2",                                                                 \
                 .min = 1,                                                                       \
                 .max = 1 << 20,                                                                 \
                 .doc = "height and width of the window",                                        \
                 .onnx = "kernel_shape"},                                                        \
                {.name = "strides",                                                              \
                 .kind = GLIA_FIELD_INTS,                                                        \
                 .offset = offsetof(glia_pool2d_attrs, strides),                                 \
                 .count = 2,                                                                     \
                 .initial = "0",                                                                 \
                 .min = 0,                                                                       \
                 .max = 1 << 20,                                                                 \
                 .doc = "steps of the window; 0: its size"},                                     \
                {.name = "padding",                                                              \
                 .kind = GLIA_FIELD_CHOICE,                                                      \
                 .offset = offsetof(glia_pool2d_attrs, padding),                                 \
                 .initial = "valid",                                                             \
                 .choices = "valid|same|explicit",                                               \
                 .doc = "padding around the image: none, as for ⌈in/stride⌉ results, or `pads`", \
                 .onnx = "auto_pad"},                                                            \
                {.name = "pads",                                                                 \
                 .kind = GLIA_FIELD_INTS,                                                        \
                 .offset = offsetof(glia_pool2d_attrs, pads),                                    \
                 .count = 4,                                                                     \
                 .initial = "0",                                                                 \
                 .doc = "explicit padding: top, left, bottom, right"})

typedef struct pool {
    glia_window h, w;
    int64_t planes; /* N·C */
} pool;

static glia_status pool_fit(pool *p, const glia_type *x, const glia_pool2d_attrs *a, const char *op,
                            glia_error *err) {
    char text[160];
    GLIA_TRY(glia__check_float(x, err));
    if (x->shape.rank != 4)
        return glia_error_set(err, GLIA_BAD_SHAPE, "%s expects images [N, C, H, W], found %s", op,
                              glia__type_text(x, text, sizeof text));
    p->planes = x->shape.dim[0] * x->shape.dim[1];
    p->h = (glia_window){.in = x->shape.dim[2], .size = a->size[0], .dilation = 1};
    p->w = (glia_window){.in = x->shape.dim[3], .size = a->size[1], .dilation = 1};
    p->h.stride = a->strides[0] ? a->strides[0] : a->size[0];
    p->w.stride = a->strides[1] ? a->strides[1] : a->size[1];
    for (int i = 0; i < 4; i++)
        if (a->padding == GLIA_PADDING_EXPLICIT && a->pads[i] >= a->size[i % 2])
            return glia_error_set(
                err, GLIA_INVALID_ARGUMENT,
                "%s: a pad of %lld is not smaller than the window's %lld; some windows would be empty", op,
                (long long)a->pads[i], (long long)a->size[i % 2]);
    GLIA_TRY(glia__window_fit(&p->h, a->padding, a->pads[0], a->pads[2], op, "height", err));
    GLIA_TRY(glia__window_fit(&p->w, a->padding, a->pads[1], a->pads[3], op, "width", err));
    if ((p->h.in == 0 && p->h.out > 0) || (p->w.in == 0 && p->w.out > 0))
        return glia_error_set(err, GLIA_BAD_SHAPE, "%s: some windows would be empty: no pixels in %s", op,
                              glia__type_text(x, text, sizeof text));
    return GLIA_OK;
}

static glia_status pool_infer(const char *op, const glia_type *in, const void *attrs, glia_type *out,
                              glia_error *err) {
    pool p;
    GLIA_TRY(pool_fit(&p, &in[0], attrs, op, err));
    const int64_t *d = in[0].shape.dim;
    out[0] = (glia_type){in[0].dtype, {.rank = 4, .dim = {d[0], d[1], p.h.out, p.w.out}}};
    return GLIA_OK;
}

/* x and dy of a backward op. */
static glia_status pool_backward_infer(const char *op, const glia_type *in, const void *attrs, glia_type *out,
                                       glia_error *err) {
    glia_type y;
    char a[160], b[160];
    GLIA_TRY(pool_infer(op, in, attrs, &y, err));
    if (!glia_shape_equal(&y.shape, &in[1].shape) || y.dtype != in[1].dtype)
        return glia_error_set(err, GLIA_BAD_SHAPE, "%s: the gradient of %s cannot be %s", op,
                              glia__type_text(&y, a, sizeof a), glia__type_text(&in[1], b, sizeof b));
    out[0] = in[0];
    return GLIA_OK;
}

static double pool_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia_pool2d_attrs *a = attrs;
    (void)in;
    return (double)glia_shape_elems(&out[0].shape) * (double)(a->size[0] * a->size[1]);
}

static double pool_backward_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out;
    return pool_flops(in, &in[1], attrs);
}

/* The part of window `at` that lies in the input: [*begin, *end). */
static void window_span(const glia_window *w, int64_t at, int64_t *begin, int64_t *end) {
    int64_t start = at * w->stride - w->pad;
    *begin = GLIA_MAX(start, 0);
    *end = GLIA_MIN(start + w->size, w->in);
}

static glia_type view_type(const glia_view *view) {
    return (glia_type){view->dtype, view->shape};
}

/* Runs the block for every plane and window, with its span in h0 … h1, w0 … w1. */
#define FOR_WINDOWS(p, ...)                                                           \
    for (int64_t plane = 0; plane < (p).planes; plane++)                              \
        for (int64_t h = 0; h < (p).h.out; h++)                                       \
            for (int64_t w = 0; w < (p).w.out; w++) {                                 \
                int64_t h0, h1, w0, w1, to = (plane * (p).h.out + h) * (p).w.out + w; \
                window_span(&(p).h, h, &h0, &h1);                                     \
                window_span(&(p).w, w, &w0, &w1);                                     \
                __VA_ARGS__                                                           \
            }

/* --- max ------------------------------------------------------------------------------------------------- */

/* Later beats earlier when it is larger, or not a number: PyTorch's rule, the first of equals wins. */
#define BEATS(later, earlier) (((later) > (earlier)) | ((later) != (later)))

/* The window of nearly every network, in loops that the compiler turns to vectors. */
static bool is_two_by_two(const pool *p) {
    return p->h.size == 2 && p->w.size == 2 && p->h.stride == 2 && p->w.stride == 2 && !p->h.pad &&
           !p->w.pad && p->h.out * 2 <= p->h.in && p->w.out * 2 <= p->w.in;
}

#define TWO_BY_TWO(T)                                                                                  \
    static void max_two_##T(const pool *p, const T *restrict x, T *restrict y) {                       \
        for (int64_t plane = 0; plane < p->planes; plane++)                                            \
            for (int64_t h = 0; h < p->h.out; h++) {                                                   \
                const T *a = x + (plane * p->h.in + 2 * h) * p->w.in, *b = a + p->w.in;                \
                T *to = y + (plane * p->h.out + h) * p->w.out;                                         \
                for (int64_t w = 0; w < p->w.out; w++) {                                               \
                    T a0 = a[2 * w], a1 = a[2 * w + 1], b0 = b[2 * w], b1 = b[2 * w + 1];              \
                    T top = BEATS(a1, a0) ? a1 : a0, low = BEATS(b1, b0) ? b1 : b0;                    \
                    to[w] = BEATS(low, top) ? low : top;                                               \
                }                                                                                      \
            }                                                                                          \
    }                                                                                                  \
    static void max_two_backward_##T(const pool *p, const T *restrict x, const T *restrict dy,         \
                                     T *restrict dx) {                                                 \
        for (int64_t plane = 0; plane < p->planes; plane++) {                                          \
            T *image = dx + plane * p->h.in * p->w.in;                                                 \
            if (p->w.in % 2 || p->h.in % 2) memset(image, 0, (size_t)(p->h.in * p->w.in) * sizeof(T)); \
            for (int64_t h = 0; h < p->h.out; h++) {                                                   \
                const T *a = x + (plane * p->h.in + 2 * h) * p->w.in, *b = a + p->w.in;                \
                const T *from = dy + (plane * p->h.out + h) * p->w.out;                                \
                T *da = image + 2 * h * p->w.in, *db = da + p->w.in;                                   \
                for (int64_t w = 0; w < p->w.out; w++) {                                               \
                    T a0 = a[2 * w], a1 = a[2 * w + 1], b0 = b[2 * w], b1 = b[2 * w + 1], d = from[w]; \
                    bool right_a = BEATS(a1, a0), right_b = BEATS(b1, b0);                             \
                    T top = right_a ? a1 : a0, low = right_b ? b1 : b0;                                \
                    T up = BEATS(low, top) ? 0 : d, down = BEATS(low, top) ? d : 0;                    \
                    da[2 * w] = right_a ? 0 : up;                                                      \
                    da[2 * w + 1] = right_a ? up : 0;                                                  \
                    db[2 * w] = right_b ? 0 : down;                                                    \
                    db[2 * w + 1] = right_b ? down : 0;                                                \
                }                                                                                      \
            }                                                                                          \
        }                                                                                              \
    }
TWO_BY_TWO(float)
TWO_BY_TWO(double)

static glia_status max_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                             glia_error *err) {
    (void)n_in;
    return pool_infer("max_pool2d", in, attrs, out, err);
}

/* Index of the winner of one window. */
#define FIND_WINNER(x, p)                                       \
    int64_t best = (plane * (p).h.in + h0) * (p).w.in + w0;     \
    for (int64_t i = h0; i < h1; i++)                           \
        for (int64_t j = w0; j < w1; j++) {                     \
            int64_t at = (plane * (p).h.in + i) * (p).w.in + j; \
            if (BEATS((x)[at], (x)[best])) best = at;           \
        }

static glia_status max_ref(const glia_call *c) {
    pool p;
    glia_type tx = view_type(&c->in[0]);
    GLIA_TRY(pool_fit(&p, &tx, c->attrs, "max_pool2d", c->err));
    if (is_two_by_two(&p)) {
        if (tx.dtype == GLIA_F64)
            max_two_double(&p, c->in[0].data, c->out[0].data);
        else
            max_two_float(&p, c->in[0].data, c->out[0].data);
        return GLIA_OK;
    }
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = c->in[0].data;
        T *y = c->out[0].data;
        FOR_WINDOWS(p, {
            FIND_WINNER(x, p)
            y[to] = x[best];
        })
    });
    return GLIA_OK;
}

static void max_grad(glia_gradient *g) {
    g->dx[0] =
        glia_graph_apply(g->graph, "max_pool2d_backward", (glia_value *[]){g->x[0], g->dy[0]}, 2, g->attrs);
}

GLIA_OP(max_pool2d) = {
    .name = "max_pool2d",
    .version = 1,
    .doc = "y = the largest number of each window",
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = POOL_FIELDS,
    .attrs_size = sizeof(glia_pool2d_attrs),
    .infer = max_infer,
    .grad = max_grad,
    .ref = max_ref,
    .rows = glia__rows_first,
    .flops = pool_flops,
    .onnx = "MaxPool",
    .onnx_since = 12,
    .cases = GLIA_CASES({.inputs = "2x3x6x8:distinct"}, {.inputs = "2x3x7x5:distinct"},
                        {.inputs = "1x2x7x7:distinct", .attrs = "size=3 strides=2"},
                        {.inputs = "1x2x5x6:distinct", .attrs = "size=3,2 strides=1,2 padding=same"},
                        {.inputs = "1x2x5x6:distinct",
                         .attrs = "size=2 strides=1 padding=explicit pads=1,0,0,1"},
                        {.inputs = "0x2x4x4:distinct"}, {.inputs = "1x1x2x2:distinct"},
                        {.inputs = "2x3x1x8", .expect_error = "larger than the padded height of 1"},
                        {.inputs = "2x3x8", .expect_error = "expects images [N, C, H, W]"},
                        {.inputs = "1x1x4x4",
                         .attrs = "padding=explicit pads=2,0,0,0",
                         .expect_error = "some windows would be empty"},
                        {.inputs = "1x1x0x4",
                         .attrs = "padding=explicit pads=1,0,1,0",
                         .expect_error = "some windows would be empty"}),
};

glia_value *glia_op_max_pool2d(glia_value *x, glia_pool2d_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "max_pool2d", &x, 1, &attrs);
}

static glia_status max_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                      glia_error *err) {
    (void)n_in;
    return pool_backward_infer("max_pool2d", in, attrs, out, err);
}

static glia_status max_backward_ref(const glia_call *c) {
    pool p;
    glia_type tx = view_type(&c->in[0]);
    GLIA_TRY(pool_fit(&p, &tx, c->attrs, "max_pool2d", c->err));
    if (is_two_by_two(&p)) {
        if (tx.dtype == GLIA_F64)
            max_two_backward_double(&p, c->in[0].data, c->in[1].data, c->out[0].data);
        else
            max_two_backward_float(&p, c->in[0].data, c->in[1].data, c->out[0].data);
        return GLIA_OK;
    }
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = c->in[0].data;
        const T *dy = c->in[1].data;
        T *dx = c->out[0].data;
        memset(dx, 0, (size_t)glia_shape_elems(&tx.shape) * sizeof(T));
        FOR_WINDOWS(p, {
            FIND_WINNER(x, p)
            dx[best] += dy[to];
        })
    });
    return GLIA_OK;
}

GLIA_OP(max_pool2d_backward) = {
    .name = "max_pool2d_backward",
    .version = 1,
    .doc = "d(max_pool2d)/dx of inputs x and dy: dy goes to the first largest number of each window",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,
    .attrs = POOL_FIELDS,
    .attrs_size = sizeof(glia_pool2d_attrs),
    .infer = max_backward_infer,
    .ref = max_backward_ref,
    .rows = glia__rows_all,
    .flops = pool_backward_flops,
    .cases = GLIA_CASES({.inputs = "2x3x6x8 2x3x3x4"}, {.inputs = "2x3x7x5 2x3x3x2"},
                        {.inputs = "1x2x7x7 1x2x3x3", .attrs = "size=3 strides=2"},
                        {.inputs = "1x2x5x6 1x2x5x3", .attrs = "size=3,2 strides=1,2 padding=same"},
                        {.inputs = "2x3x6x8 2x3x6x8", .expect_error = "cannot be f32 2×3×6×8"}),
};

/* --- average --------------------------------------------------------------------------------------------- */

static glia_status average_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    (void)n_in;
    return pool_infer("average_pool2d", in, attrs, out, err);
}

static glia_status average_ref(const glia_call *c) {
    pool p;
    glia_type tx = view_type(&c->in[0]);
    GLIA_TRY(pool_fit(&p, &tx, c->attrs, "average_pool2d", c->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = c->in[0].data;
        T *y = c->out[0].data;
        FOR_WINDOWS(p, {
            T sum = 0;
            for (int64_t i = h0; i < h1; i++)
                for (int64_t j = w0; j < w1; j++) sum += x[(plane * p.h.in + i) * p.w.in + j];
            y[to] = sum / (T)((h1 - h0) * (w1 - w0));
        })
    });
    return GLIA_OK;
}

static void average_grad(glia_gradient *g) {
    g->dx[0] = glia_graph_apply(g->graph, "average_pool2d_backward", (glia_value *[]){g->x[0], g->dy[0]}, 2,
                                g->attrs);
}

GLIA_OP(average_pool2d) = {
    .name = "average_pool2d",
    .version = 1,
    .doc = "y = the mean of each window; padding does not count",
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = POOL_FIELDS,
    .attrs_size = sizeof(glia_pool2d_attrs),
    .infer = average_infer,
    .grad = average_grad,
    .ref = average_ref,
    .rows = glia__rows_first,
    .flops = pool_flops,
    .onnx = "AveragePool",
    .onnx_since = 11,
    .cases = GLIA_CASES({.inputs = "2x3x6x8"}, {.inputs = "1x2x7x7", .attrs = "size=3 strides=2"},
                        {.inputs = "1x2x5x6", .attrs = "size=3,2 strides=1,2 padding=same"},
                        {.inputs = "1x2x5x6", .attrs = "size=2 strides=1 padding=explicit pads=1,0,0,1"},
                        {.inputs = "0x2x4x4"},
                        {.inputs = "2x3x1x8", .expect_error = "larger than the padded height of 1"}),
};

glia_value *glia_op_average_pool2d(glia_value *x, glia_pool2d_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "average_pool2d", &x, 1, &attrs);
}

static glia_status average_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                          glia_error *err) {
    (void)n_in;
    return pool_backward_infer("average_pool2d", in, attrs, out, err);
}

static glia_status average_backward_ref(const glia_call *c) {
    pool p;
    glia_type tx = view_type(&c->out[0]);
    GLIA_TRY(pool_fit(&p, &tx, c->attrs, "average_pool2d", c->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *dy = c->in[1].data;
        T *dx = c->out[0].data;
        memset(dx, 0, (size_t)glia_shape_elems(&tx.shape) * sizeof(T));
        FOR_WINDOWS(p, {
            T share = dy[to] / (T)((h1 - h0) * (w1 - w0));
            for (int64_t i = h0; i < h1; i++)
                for (int64_t j = w0; j < w1; j++) dx[(plane * p.h.in + i) * p.w.in + j] += share;
        })
    });
    return GLIA_OK;
}

/* Linear: its gradient by dy is the pool itself. */
static void average_backward_grad(glia_gradient *g) {
    if (g->needed[1]) g->dx[1] = glia_graph_apply(g->graph, "average_pool2d", &g->dy[0], 1, g->attrs);
}

GLIA_OP(average_pool2d_backward) = {
    .name = "average_pool2d_backward",
    .version = 1,
    .doc = "d(average_pool2d)/dx of inputs x, of which only the shape matters, and dy",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 1,
    .attrs = POOL_FIELDS,
    .attrs_size = sizeof(glia_pool2d_attrs),
    .infer = average_backward_infer,
    .grad = average_backward_grad,
    .ref = average_backward_ref,
    .rows = glia__rows_all,
    .flops = pool_backward_flops,
    .cases = GLIA_CASES({.inputs = "2x3x6x8 2x3x3x4"},
                        {.inputs = "1x2x5x6 1x2x5x3", .attrs = "size=3,2 strides=1,2 padding=same"},
                        {.inputs = "2x3x6x8 2x3x6x8", .expect_error = "cannot be f32 2×3×6×8"}),
};

/* --- global average -------------------------------------------------------------------------------------- */

static glia_status global_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    (void)n_in, (void)attrs;
    char text[160];
    GLIA_TRY(glia__check_float(&in[0], err));
    const int64_t *d = in[0].shape.dim;
    if (in[0].shape.rank != 4 || d[2] == 0 || d[3] == 0)
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "global_average_pool2d expects images [N, C, H, W] of at least one pixel, found %s",
            glia__type_text(&in[0], text, sizeof text));
    out[0] = (glia_type){in[0].dtype, {.rank = 2, .dim = {d[0], d[1]}}};
    return GLIA_OK;
}

static glia_status global_ref(const glia_call *c) {
    const int64_t *d = c->in[0].shape.dim;
    int64_t pixels = d[2] * d[3];
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *x = c->in[0].data;
        T *y = c->out[0].data;
        for (int64_t plane = 0; plane < d[0] * d[1]; plane++) {
            double sum = 0;
            for (int64_t i = 0; i < pixels; i++) sum += (double)x[plane * pixels + i];
            y[plane] = (T)(sum / (double)pixels);
        }
    });
    return GLIA_OK;
}

/* Every pixel has the same share of its channel's gradient. */
static void global_grad(glia_gradient *g) {
    glia_value *inputs[] = {g->dy[0], g->x[0]};
    g->dx[0] = glia_graph_apply_text(g->graph, "broadcast_like", inputs, 2, "axes=2,3 mean=yes");
}

static double global_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return (double)glia_shape_elems(&in[0].shape);
}

GLIA_OP(global_average_pool2d) = {
    .name = "global_average_pool2d",
    .version = 1,
    .doc = "y[n,c] = mean of x[n,c,:,:]",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = global_infer,
    .grad = global_grad,
    .ref = global_ref,
    .rows = glia__rows_first,
    .flops = global_flops,
    .onnx = "GlobalAveragePool",
    .onnx_since = 1,
    .cases = GLIA_CASES({.inputs = "2x3x4x5"}, {.inputs = "1x1x1x1"}, {.inputs = "0x3x4x5"},
                        {.inputs = "2x3x4", .expect_error = "expects images [N, C, H, W]"}),
};

glia_value *glia_op_global_average_pool2d(glia_value *x) {
    return glia_graph_apply(glia_value_graph(x), "global_average_pool2d", &x, 1, NULL);
}
