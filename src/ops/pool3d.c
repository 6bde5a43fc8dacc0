/* pool3d.c: pools over volumes [N, C, D, H, W], with dilation, and the places of the largest. Images and lines that want these
 * are volumes with sides of 1; without, max_pool2d and average_pool2d are faster. */

#include "glia/ops.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/window.h"

#ifdef GLIA_OPS_HEADER
/* Zero means default: strides = size, dilation 1, padding valid. */
typedef struct glia_pool3d_attrs {
    int64_t size[3], strides[3], dilation[3]; /* depth, height, width */
    int padding;                              /* 0 valid, 1 same, 2 explicit: `pads` */
    int64_t pads[6];                          /* front, top, left, back, bottom, right */
} glia_pool3d_attrs;
/* [N, C, D, H, W] → [N, C, D', H', W']: the largest of each window; padding never wins. The second result, i64, is where it
 * was in all of x: glia_value_sibling(y, 1). */
GLIA_API glia_value *glia_op_max_pool3d(glia_value *x, glia_pool3d_attrs attrs);
/* The mean of each window; padding does not count. */
GLIA_API glia_value *glia_op_average_pool3d(glia_value *x, glia_pool3d_attrs attrs);
#endif /* GLIA_OPS_HEADER */

typedef struct pool {
    glia_window w[3];
    int64_t planes, volume; /* images times channels, and elements of x in each */
} pool;

/* Whether every window meets an element: with dilation its taps may step over all of them. */
static bool windows_meet(const glia_window *w) {
    int64_t met = 0; /* outputs before it have met one */
    for (int64_t tap = 0; tap < w->size && met < w->out; tap++) {
        int64_t begin, end;
        glia__window_inside(w, w->size - 1 - tap, &begin, &end);
        if (begin <= met && end > met) met = end;
    }
    return met >= w->out;
}

static glia_status pool_fit(pool *p, const glia_type *x, const glia_pool3d_attrs *a, const char *op,
                            glia_error *err) {
    static const char *const sides[] = {"depth", "height", "width"};
    enum { MOST_OUT = 1 << 24 };
    char text[160];
    glia__type_text(x, text, sizeof text);
    if (x->shape.rank != 5)
        return glia_error_set(err, GLIA_BAD_SHAPE, "%s expects volumes [N, C, D, H, W], found %s", op, text);
    *p = (pool){.planes = x->shape.dim[0] * x->shape.dim[1], .volume = 1};
    for (int d = 0; d < 3; d++) {
        glia_window *w = &p->w[d];
        *w = (glia_window){.in = x->shape.dim[2 + d], .size = a->size[d], .dilation = a->dilation[d]};
        w->stride = a->strides[d] ? a->strides[d] : a->size[d];
        GLIA_TRY(glia__window_fit(w, a->padding, a->pads[d], a->pads[3 + d], op, sides[d], err));
        if (w->out > MOST_OUT || !windows_meet(w))
            return glia_error_set(err, GLIA_BAD_SHAPE, "%s: some windows would be empty along the %s of %s",
                                  op, sides[d], text);
        p->volume *= w->in;
    }
    return GLIA_OK;
}

static glia_shape pool_shape(const pool *p, const glia_shape *x) {
    return (glia_shape){.rank = 5, .dim = {x->dim[0], x->dim[1], p->w[0].out, p->w[1].out, p->w[2].out}};
}

/* For every window: `to` counts them, `first` is the flat index of the first element of its volume in x. */
#define FOR_WINDOWS(p, ...)                                           \
    for (int64_t plane_ = 0, to = 0; plane_ < (p).planes; plane_++)   \
        for (int64_t d_ = 0; d_ < (p).w[0].out; d_++)                 \
            for (int64_t h_ = 0; h_ < (p).w[1].out; h_++)             \
                for (int64_t w_ = 0; w_ < (p).w[2].out; w_++, to++) { \
                    const int64_t first = plane_ * (p).volume;        \
                    __VA_ARGS__                                       \
                }

/* In it, for every element of x in the window: `from`, its flat index. */
#define FOR_TAPS(p, ...)                                                                            \
    for (int64_t i_ = 0; i_ < (p).w[0].size; i_++) {                                                \
        const int64_t depth_ = glia__window_at(&(p).w[0], d_, i_);                                  \
        if (depth_ < 0 || depth_ >= (p).w[0].in) continue;                                          \
        for (int64_t j_ = 0; j_ < (p).w[1].size; j_++) {                                            \
            const int64_t row_ = glia__window_at(&(p).w[1], h_, j_);                                \
            if (row_ < 0 || row_ >= (p).w[1].in) continue;                                          \
            for (int64_t k_ = 0; k_ < (p).w[2].size; k_++) {                                        \
                const int64_t column_ = glia__window_at(&(p).w[2], w_, k_);                         \
                if (column_ < 0 || column_ >= (p).w[2].in) continue;                                \
                const int64_t from = first + (depth_ * (p).w[1].in + row_) * (p).w[2].in + column_; \
                __VA_ARGS__                                                                         \
            }                                                                                       \
        }                                                                                           \
    }

static double pool_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia_pool3d_attrs *a = attrs;
    (void)in;
    return (double)glia_shape_elems(&out[0].shape) * (double)a->size[0] * (double)a->size[1] *
           (double)a->size[2];
}

#define SIDES_FIELD(field, default_, low, text, ...)                                                       \
    {                                                                                                      \
        .name = #field, .kind = GLIA_FIELD_INTS, .offset = offsetof(glia_pool3d_attrs, field), .count = 3, \
        .initial = default_, .min = low, .max = 1 << 20, .doc = text, __VA_ARGS__                          \
    }
static const glia_field pool_fields[] = {
    SIDES_FIELD(size, "2", 1, "depth, height and width of the window", .onnx = "kernel_shape"),
    SIDES_FIELD(strides, "0", 0, "steps of the window; 0: its size", .onnx = NULL),
    SIDES_FIELD(dilation, "1", 1, "distance of the window's taps", .onnx = "dilations"),
    {.name = "padding",
     .kind = GLIA_FIELD_CHOICE,
     .offset = offsetof(glia_pool3d_attrs, padding),
     .initial = "valid",
     .choices = "valid|same|explicit",
     .doc = "padding around the volume: none, as for ⌈in/stride⌉ results, or `pads`",
     .onnx = "auto_pad"},
    {.name = "pads",
     .kind = GLIA_FIELD_INTS,
     .offset = offsetof(glia_pool3d_attrs, pads),
     .count = 6,
     .initial = "0",
     .doc = "explicit padding: front, top, left, back, bottom, right"},
    {.name = NULL}};

/* --- the largest ------------------------------------------------------------------------------------------- */

static glia_status max_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                             glia_error *err) {
    (void)n_in;
    pool p;
    GLIA_TRY(glia__check_number(&in[0], err));
    GLIA_TRY(pool_fit(&p, &in[0], attrs, "max_pool3d", err));
    out[0] = (glia_type){in[0].dtype, pool_shape(&p, &in[0].shape)};
    out[1] = (glia_type){GLIA_I64, out[0].shape};
    return GLIA_OK;
}

/* The first of equals wins, and what is no number beats all, as in max_pool2d. */
static glia_status max_ref(const glia_call *c) {
    const glia_type tx = glia__view_type(&c->in[0]);
    pool p;
    GLIA_TRY(pool_fit(&p, &tx, c->attrs, "max_pool3d", c->err));
    int64_t *indices = c->out[1].data;
    const int64_t before = c->first_row * tx.shape.dim[1] * p.volume;
    GLIA_FOR_NUMBER(tx.dtype, {
        const T *x = c->in[0].data;
        T *y = c->out[0].data;
        FOR_WINDOWS(p, {
            int64_t best = -1;
            FOR_TAPS(p, {
                if (best < 0 || x[from] > x[best] || (x[from] != x[from] && x[best] == x[best])) best = from;
            })
            y[to] = x[best];
            indices[to] = before + best;
        })
    });
    return GLIA_OK;
}

static void max_grad(glia_gradient *g) {
    glia_value *in[] = {g->x[0], g->y[1], g->dy[0]};
    if (g->dy[0]) g->dx[0] = glia_graph_apply(g->graph, "max_pool3d_backward", in, 3, NULL);
}

static void max_pool3d_to_onnx(glia_to_onnx *w) {
    const glia_pool3d_attrs *a = w->node->attrs;
    const glia_dtype dtype = w->node->inputs[0]->type.dtype;
    if (!glia_dtype_is_float(dtype) && dtype != GLIA_U8)
        glia__to_onnx_refuse(w, "ONNX has no pools of %s", glia_dtype_name(dtype));
    GLIA_TO_ONNX(w, w->y[0], "MaxPool", w->x[0]);
    if (*w->y[1]) glia__to_onnx_output(w, w->y[1]);
    glia__to_onnx_sliding(
        w, &(glia_sliding){3, a->size, a->strides, a->dilation, a->pads, a->padding, false, false});
}

GLIA_OP(max_pool3d) = {
    .name = "max_pool3d",
    .version = 1,
    .doc = "y = the largest number of each window; indices: where it is",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 2,
    .no_gradient = 2,
    .attrs = pool_fields,
    .attrs_size = sizeof(glia_pool3d_attrs),
    .infer = max_infer,
    .grad = max_grad,
    .ref = max_ref,
    .rows = glia__rows_first,
    .flops = pool_flops,
    .onnx = "MaxPool",
    .onnx_since = 12,
    .onnx_write = max_pool3d_to_onnx,
    .emit_c = glia__emit_max_pool3d,
    .cases = GLIA_CASES(
        {.inputs = "2x2x4x4x6:distinct"}, {.inputs = "1x2x5x4x5:distinct", .attrs = "size=2,3,2 strides=1"},
        {.inputs = "2x1x3x6x6:distinct", .attrs = "size=2,2,3 strides=1,2,1 dilation=1,2,2"},
        {.inputs = "1x1x4x5x5:distinct", .attrs = "size=3 strides=2 padding=same"},
        {.inputs = "1x1x3x4x4:distinct", .attrs = "size=2 strides=1 padding=explicit pads=1,0,1,0,1,0"},
        {.inputs = "1x1x2x4x4:u8<9"}, {.inputs = "1x1x2x4x4:i64<9"}, {.inputs = "0x2x4x4x4:distinct"},
        {.inputs = "2x2x4x4", .expect_error = "expects volumes [N, C, D, H, W]"},
        {.inputs = "1x1x1x4x4", .expect_error = "larger than the padded depth of 1"},
        {.inputs = "1x1x2x4x4",
         .attrs = "padding=explicit pads=2,0,0,0,0,0",
         .expect_error = "would be empty"},
        {.inputs = "1x1x2x4x4:bool", .expect_error = "cast it first"}),
};

glia_value *glia_op_max_pool3d(glia_value *x, glia_pool3d_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "max_pool3d", &x, 1, &attrs);
}

static glia_status max_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                      glia_error *err) {
    (void)n_in, (void)attrs;
    char a[160], b[160];
    GLIA_TRY(glia__check_float(&in[0], err));
    if (in[1].dtype != GLIA_I64 || in[2].dtype != in[0].dtype ||
        !glia_shape_equal(&in[1].shape, &in[2].shape))
        return glia_error_set(err, GLIA_BAD_SHAPE, "max_pool3d: the gradient at %s cannot be %s",
                              glia__type_text(&in[1], a, sizeof a), glia__type_text(&in[2], b, sizeof b));
    out[0] = in[0];
    return GLIA_OK;
}

static glia_status max_backward_ref(const glia_call *c) {
    const int64_t elems = glia_shape_elems(&c->out[0].shape), count = glia_shape_elems(&c->in[2].shape);
    const int64_t *indices = c->in[1].data;
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *dy = c->in[2].data;
        T *dx = c->out[0].data;
        memset(dx, 0, (size_t)elems * sizeof(T));
        for (int64_t i = 0; i < count; i++) {
            if (indices[i] < 0 || indices[i] >= elems)
                return glia_error_set(c->err, GLIA_BAD_DATA, "index %lld at position %lld is out of range",
                                      (long long)indices[i], (long long)i);
            dx[indices[i]] += dy[i];
        }
    });
    return GLIA_OK;
}

GLIA_OP(max_pool3d_backward) = {
    .name = "max_pool3d_backward",
    .version = 1,
    .doc = "d(max_pool3d)/dx of x, of which only the shape matters, the indices and dy",
    .min_inputs = 3,
    .max_inputs = 3,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,
    .shape_only = 1,
    .infer = max_backward_infer,
    .ref = max_backward_ref,
    .cases = GLIA_CASES({.inputs = "1x2x2x2x4 1x2x1x1x2:i64<32 1x2x1x1x2"},
                        {.inputs = "0x2x2x2x4 0x2x1x1x2:i64<9 0x2x1x1x2"},
                        {.inputs = "1x2x2x2x4 1x2x1x1x2:i64<32 1x2x1x1x1", .expect_error = "cannot be f32"}),
};

/* --- means --------------------------------------------------------------------------------------------------- */

static glia_status average_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    (void)n_in;
    pool p;
    GLIA_TRY(glia__check_float(&in[0], err));
    GLIA_TRY(pool_fit(&p, &in[0], attrs, "average_pool3d", err));
    out[0] = (glia_type){in[0].dtype, pool_shape(&p, &in[0].shape)};
    return GLIA_OK;
}

static glia_status average_ref(const glia_call *c) {
    const glia_type tx = glia__view_type(&c->in[0]);
    pool p;
    GLIA_TRY(pool_fit(&p, &tx, c->attrs, "average_pool3d", c->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = c->in[0].data;
        T *y = c->out[0].data;
        FOR_WINDOWS(p, {
            double sum = 0;
            int64_t count = 0;
            FOR_TAPS(p, {
                sum += (double)x[from];
                count++;
            })
            y[to] = (T)(sum / (double)count);
        })
    });
    return GLIA_OK;
}

static void average_grad(glia_gradient *g) {
    g->dx[0] = glia_graph_apply(g->graph, "average_pool3d_backward", (glia_value *[]){g->x[0], g->dy[0]}, 2,
                                g->attrs);
}

static void average_pool3d_to_onnx(glia_to_onnx *w) {
    const glia_pool3d_attrs *a = w->node->attrs;
    const bool dilated = a->dilation[0] > 1 || a->dilation[1] > 1 || a->dilation[2] > 1;
    if (dilated && w->opset < 19) {
        glia__to_onnx_refuse(w, "with a dilation ONNX has it since opset 19 (--opset 19)");
        return;
    }
    GLIA_TO_ONNX(w, w->y[0], "AveragePool", w->x[0]);
    glia__to_onnx_int(w, "count_include_pad", 0);
    glia__to_onnx_sliding(
        w, &(glia_sliding){3, a->size, a->strides, a->dilation, a->pads, a->padding, false, false});
}

GLIA_OP(average_pool3d) = {
    .name = "average_pool3d",
    .version = 1,
    .doc = "y = the mean of each window; padding does not count",
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = pool_fields,
    .attrs_size = sizeof(glia_pool3d_attrs),
    .infer = average_infer,
    .grad = average_grad,
    .ref = average_ref,
    .rows = glia__rows_first,
    .flops = pool_flops,
    .onnx = "AveragePool",
    .onnx_since = 19,
    .onnx_write = average_pool3d_to_onnx,
    .emit_c = glia__emit_average_pool3d,
    .cases = GLIA_CASES({.inputs = "2x2x4x4x6"}, {.inputs = "1x2x5x4x5", .attrs = "size=2,3,2 strides=1"},
                        {.inputs = "2x1x3x6x6", .attrs = "size=2,2,3 strides=1,2,1 dilation=1,2,2"},
                        {.inputs = "1x1x4x5x5", .attrs = "size=3 strides=2 padding=same"},
                        {.inputs = "0x2x4x4x4"},
                        {.inputs = "2x2x4x4", .expect_error = "expects volumes [N, C, D, H, W]"}),
};

glia_value *glia_op_average_pool3d(glia_value *x, glia_pool3d_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "average_pool3d", &x, 1, &attrs);
}

static glia_status average_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                          glia_error *err) {
    glia_type y;
    GLIA_TRY(average_infer(in, n_in, attrs, &y, err));
    GLIA_TRY(glia__check_gradient(&y, &in[1], "average_pool3d", err));
    out[0] = in[0];
    return GLIA_OK;
}

static glia_status average_backward_ref(const glia_call *c) {
    const glia_type tx = glia__view_type(&c->out[0]);
    pool p;
    GLIA_TRY(pool_fit(&p, &tx, c->attrs, "average_pool3d", c->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *dy = c->in[1].data;
        T *dx = c->out[0].data;
        memset(dx, 0, (size_t)glia_shape_elems(&tx.shape) * sizeof(T));
        FOR_WINDOWS(p, {
            int64_t count = 0;
            FOR_TAPS(p, {
                (void)from;
                count++;
            })
            const T share = dy[to] / (T)count;
            FOR_TAPS(p, { dx[from] += share; })
        })
    });
    return GLIA_OK;
}

/* Linear: its gradient by dy is the pool itself. */
static void average_backward_grad(glia_gradient *g) {
    if (g->needed[1]) g->dx[1] = glia_graph_apply(g->graph, "average_pool3d", &g->dy[0], 1, g->attrs);
}

GLIA_OP(average_pool3d_backward) = {
    .name = "average_pool3d_backward",
    .version = 1,
    .doc = "d(average_pool3d)/dx of x, of which only the shape matters, and dy",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 1,
    .attrs = pool_fields,
    .attrs_size = sizeof(glia_pool3d_attrs),
    .infer = average_backward_infer,
    .grad = average_backward_grad,
    .ref = average_backward_ref,
    .rows = glia__rows_all,
    .flops = pool_flops,
    .cases = GLIA_CASES({.inputs = "2x2x4x4x6 2x2x2x2x3"},
                        {.inputs = "1x1x4x5x5 1x1x2x3x3", .attrs = "size=3 strides=2 padding=same"},
                        {.inputs = "2x2x4x4x6 2x2x2x2x2", .expect_error = "cannot be f32 2×2×2×2×2"}),
};
