/* pool_max.c: max pooling and its backward op. */

#include "ops/emit.h"
#include "ops/pool.h"

/* The window of nearly every network, f32 with channels first, in loops that the compiler turns to vectors: short ones,
 * since rows are short (wider ones were slower at 26×26). */
static bool is_two_by_two(const glia_pool *p, glia_dtype dtype) {
    return dtype == GLIA_F32 && p->x.w == 1 && p->h.size == 2 && p->w.size == 2 && p->h.stride == 2 &&
           p->w.stride == 2 && !p->h.pad && !p->w.pad && p->h.out * 2 <= p->h.in && p->w.out * 2 <= p->w.in;
}

static void max_two(const glia_pool *p, const float *restrict x, float *restrict y) {
    const int64_t planes = p->n * p->c;
    for (int64_t plane = 0; plane < planes; plane++)
        for (int64_t h = 0; h < p->h.out; h++) {
            const float *a = x + (plane * p->h.in + 2 * h) * p->w.in, *b = a + p->w.in;
            float *to = y + (plane * p->h.out + h) * p->w.out;
            for (int64_t w = 0; w < p->w.out; w++) {
                const float a0 = a[2 * w], a1 = a[2 * w + 1], b0 = b[2 * w], b1 = b[2 * w + 1];
                const float top = glia__pool_choose(glia__pool_mask(GLIA_POOL_BEATS(a1, a0)), a1, a0),
                            low = glia__pool_choose(glia__pool_mask(GLIA_POOL_BEATS(b1, b0)), b1, b0);
                to[w] = glia__pool_choose(glia__pool_mask(GLIA_POOL_BEATS(low, top)), low, top);
            }
        }
}

static void max_two_backward(const glia_pool *p, const float *restrict x, const float *restrict dy, bool relu,
                             float *restrict dx) {
    const int64_t planes = p->n * p->c;
    const uint32_t minded = glia__pool_mask(relu);
    for (int64_t plane = 0; plane < planes; plane++) {
        float *image = dx + plane * p->h.in * p->w.in;
        if (p->w.in % 2 || p->h.in % 2) memset(image, 0, (size_t)(p->h.in * p->w.in) * sizeof(float));
        for (int64_t h = 0; h < p->h.out; h++) {
            const float *a = x + (plane * p->h.in + 2 * h) * p->w.in, *b = a + p->w.in;
            const float *from = dy + (plane * p->h.out + h) * p->w.out;
            float *da = image + 2 * h * p->w.in, *db = da + p->w.in;
            for (int64_t w = 0; w < p->w.out; w++) {
                const float a0 = a[2 * w], a1 = a[2 * w + 1], b0 = b[2 * w], b1 = b[2 * w + 1];
                const uint32_t right_a = glia__pool_mask(GLIA_POOL_BEATS(a1, a0)),
                               right_b = glia__pool_mask(GLIA_POOL_BEATS(b1, b0));
                const float top = glia__pool_choose(right_a, a1, a0),
                            low = glia__pool_choose(right_b, b1, b0);
                const uint32_t down = glia__pool_mask(GLIA_POOL_BEATS(low, top));
                const uint32_t lost = glia__pool_mask(glia__pool_choose(down, low, top) <= 0) & minded;
                const float d = glia__pool_keep(~lost, from[w]);
                da[2 * w] = glia__pool_keep(~(down | right_a), d);
                da[2 * w + 1] = glia__pool_keep(~down & right_a, d);
                db[2 * w] = glia__pool_keep(down & ~right_b, d);
                db[2 * w + 1] = glia__pool_keep(down & right_b, d);
            }
        }
    }
}

static glia_status max_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                             glia_error *err) {
    (void)n_in;
    return glia__pool_infer("max_pool2d", in, attrs, out, err);
}

/* Index of the winner of one window. */
#define FIND_WINNER(x, p)                                       \
    int64_t best = plane + h0 * (p).x.h + w0 * (p).x.w;         \
    for (int64_t i = h0; i < h1; i++)                           \
        for (int64_t j = w0; j < w1; j++) {                     \
            int64_t at = plane + i * (p).x.h + j * (p).x.w;     \
            if (GLIA_POOL_BEATS((x)[at], (x)[best])) best = at; \
        }

static glia_status max_loops(const glia_call *call) {
    glia_pool p;
    glia_type tx = glia__view_type(&call->in[0]);
    GLIA_TRY(glia__pool_fit(&p, &tx, call->attrs, "max_pool2d", call->err));
    if (is_two_by_two(&p, tx.dtype)) {
        max_two(&p, call->in[0].data, call->out[0].data);
        return GLIA_OK;
    }
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = call->in[0].data;
        T *y = call->out[0].data;
        GLIA_FOR_WINDOWS(p, {
            FIND_WINNER(x, p)
            y[to] = x[best];
        })
    });
    return GLIA_OK;
}

static glia_status max_ref(const glia_call *c) {
    return glia__run_widened(c, 0, max_loops);
}

static void max_grad(glia_gradient *g) {
    glia_value *inputs[] = {g->x[0], g->dy[0]};
    glia__max_pool2d_backward_attrs attrs = {.pool = *(const glia_pool2d_attrs *)g->attrs};
    g->dx[0] = glia_graph_apply(g->graph, "max_pool2d_backward", inputs, 2, &attrs);
}

static void max_to_onnx(glia_to_onnx *w) {
    glia__pool_to_onnx(w, "MaxPool", "ceil_mode", 0);
}

GLIA_OP(max_pool2d) = {
    .name = "max_pool2d",
    .version = 1,
    .doc = "y = the largest number of each window",
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = GLIA_FIELDS(GLIA_POOL_FIELDS),
    .attrs_size = sizeof(glia_pool2d_attrs),
    .images = GLIA_IMAGES(1, 1),
    .infer = max_infer,
    .grad = max_grad,
    .ref = max_ref,
    .workspace = glia__pool_workspace,
    .rows = glia__rows_first,
    .flops = glia__pool_flops,
    .onnx = "MaxPool",
    .onnx_since = 12,
    .onnx_write = max_to_onnx,
    .emit_c = glia__emit_max_pool2d,
    .cases = GLIA_CASES(
        {.inputs = "2x3x6x8:distinct"}, {.inputs = "2x3x7x5:distinct"},
        {.inputs = "1x2x7x7:distinct", .attrs = "size=3 strides=2"},
        {.inputs = "1x2x5x6:distinct", .attrs = "size=3,2 strides=1,2 padding=same"},
        {.inputs = "1x2x5x6:distinct", .attrs = "size=2 strides=1 padding=explicit pads=1,0,0,1"},
        {.inputs = "2x6x8x3:distinct", .attrs = "channels_last=yes"},
        {.inputs = "1x5x6x2:distinct", .attrs = "channels_last=yes size=3,2 strides=1,2 padding=same"},
        {.inputs = "3x6x8x37:distinct", .attrs = "channels_last=yes"},
        {.inputs = "2x7x5x130:bf16", .attrs = "channels_last=yes size=3 strides=2"},
        {.inputs = "3x4x6x32:bf16", .attrs = "channels_last=yes"}, {.inputs = "2x3x6x8:bf16"},
        {.inputs = "0x2x4x4:distinct"}, {.inputs = "1x1x2x2:distinct"},
        {.inputs = "2x3x1x8", .expect_error = "larger than the padded height of 1"},
        {.inputs = "2x3x8", .expect_error = "expects images [N, C, H, W]"},
        {.inputs = "2x3x8", .attrs = "channels_last=yes", .expect_error = "expects images [N, H, W, C]"},
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
    return glia__pool_backward_infer("max_pool2d", in, attrs, out, err);
}

static glia_status max_backward_loops(const glia_call *call) {
    glia_pool p;
    glia_type tx = glia__view_type(&call->in[0]);
    const glia__max_pool2d_backward_attrs *a = call->attrs;
    const bool relu = a->relu == GLIA_YES;
    GLIA_TRY(glia__pool_fit(&p, &tx, &a->pool, "max_pool2d", call->err));
    if (is_two_by_two(&p, tx.dtype)) {
        max_two_backward(&p, call->in[0].data, call->in[1].data, relu, call->out[0].data);
        return GLIA_OK;
    }
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = call->in[0].data;
        const T *dy = call->in[1].data;
        T *dx = call->out[0].data;
        memset(dx, 0, (size_t)glia_shape_elems(&tx.shape) * sizeof(T));
        GLIA_FOR_WINDOWS(p, {
            FIND_WINNER(x, p)
            if (!(relu && x[best] <= 0)) dx[best] += dy[to];
        })
    });
    return GLIA_OK;
}

static glia_status max_backward_ref(const glia_call *c) {
    return glia__run_widened(c, 0, max_backward_loops);
}

GLIA_OP(max_pool2d_backward) = {
    .name = "max_pool2d_backward",
    .version = 1,
    .doc = "d(max_pool2d)/dx of inputs x and dy: dy goes to the first largest number of each window",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,
    .attrs = GLIA_FIELDS(GLIA_POOL_FIELDS,
                         {.name = "relu",
                          .kind = GLIA_FIELD_BOOL,
                          .offset = offsetof(glia__max_pool2d_backward_attrs, relu),
                          .initial = "no",
                          .doc = "x is the result of a relu: no gradient where the largest is not positive"}),
    .attrs_size = sizeof(glia__max_pool2d_backward_attrs),
    .images = GLIA_IMAGES(3, 1),
    .infer = max_backward_infer,
    .ref = max_backward_ref,
    .workspace = glia__pool_backward_workspace,
    .rows = glia__rows_all,
    .flops = glia__pool_backward_flops,
    .cases = GLIA_CASES(
        {.inputs = "2x3x6x8 2x3x3x4"}, {.inputs = "2x3x7x5 2x3x3x2"},
        {.inputs = "1x2x7x7 1x2x3x3", .attrs = "size=3 strides=2"},
        {.inputs = "1x2x5x6 1x2x5x3", .attrs = "size=3,2 strides=1,2 padding=same"},
        {.inputs = "2x6x8x3 2x3x4x3", .attrs = "channels_last=yes"},
        {.inputs = "1x5x6x2 1x5x3x2", .attrs = "channels_last=yes size=3,2 strides=1,2 padding=same"},
        {.inputs = "2x3x7x5 2x3x3x2", .attrs = "relu=yes"},
        {.inputs = "2x6x5x3 2x3x2x3", .attrs = "relu=yes channels_last=yes"},
        {.inputs = "2x3x6x8:bf16 2x3x3x4:bf16", .attrs = "relu=yes"},
        {.inputs = "3x6x8x37 3x3x4x37", .attrs = "relu=yes channels_last=yes"},
        {.inputs = "2x7x5x130 2x3x2x130", .attrs = "relu=yes channels_last=yes size=3 strides=2"},
        {.inputs = "2x9x6x20 2x3x2x20", .attrs = "channels_last=yes size=3"},
        {.inputs = "3x5x6x33:bf16 3x2x3x33:bf16", .attrs = "relu=yes channels_last=yes"},
        {.inputs = "2x9x6x20:bf16 2x3x2x20:bf16", .attrs = "channels_last=yes size=3"},
        {.inputs = "2x3x6x8 2x3x6x8", .expect_error = "cannot be f32 2×3×6×8"}),
};
