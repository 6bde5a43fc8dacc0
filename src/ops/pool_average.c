/* pool_average.c: average pooling and its backward op. */

#include "ops/emit.h"
#include "ops/pool.h"

static glia_status average_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    (void)n_in;
    return glia__pool_infer("average_pool2d", in, attrs, out, err);
}

static glia_status average_loops(const glia_call *call) {
    glia_pool p;
    glia_type tx = glia__view_type(&call->in[0]);
    GLIA_TRY(glia__pool_fit(&p, &tx, call->attrs, "average_pool2d", call->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = call->in[0].data;
        T *y = call->out[0].data;
        GLIA_FOR_WINDOWS(p, {
            T sum = 0;
            for (int64_t i = h0; i < h1; i++)
                for (int64_t j = w0; j < w1; j++) sum += x[plane + i * p.x.h + j * p.x.w];
            y[to] = sum / (T)((h1 - h0) * (w1 - w0));
        })
    });
    return GLIA_OK;
}

static glia_status average_ref(const glia_call *c) {
    return glia__run_widened(c, 0, average_loops);
}

static void average_grad(glia_gradient *g) {
    g->dx[0] = glia_graph_apply(g->graph, "average_pool2d_backward", (glia_value *[]){g->x[0], g->dy[0]}, 2,
                                g->attrs);
}

static void average_to_onnx(glia_to_onnx *w) {
    glia__pool_to_onnx(w, "AveragePool", "count_include_pad", 0);
}

GLIA_OP(average_pool2d) = {
    .name = "average_pool2d",
    .version = 1,
    .doc = "y = the mean of each window; padding does not count",
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = GLIA_FIELDS(GLIA_POOL_FIELDS),
    .attrs_size = sizeof(glia_pool2d_attrs),
    .images = GLIA_IMAGES(1, 1),
    .infer = average_infer,
    .grad = average_grad,
    .ref = average_ref,
    .workspace = glia__pool_workspace,
    .rows = glia__rows_first,
    .flops = glia__pool_flops,
    .onnx = "AveragePool",
    .onnx_since = 11,
    .onnx_write = average_to_onnx,
    .emit_c = glia__emit_average_pool2d,
    .cases = GLIA_CASES({.inputs = "2x3x6x8"}, {.inputs = "1x2x7x7", .attrs = "size=3 strides=2"},
                        {.inputs = "1x2x5x6", .attrs = "size=3,2 strides=1,2 padding=same"},
                        {.inputs = "1x2x5x6", .attrs = "size=2 strides=1 padding=explicit pads=1,0,0,1"},
                        {.inputs = "2x6x8x3", .attrs = "channels_last=yes"},
                        {.inputs = "1x5x6x2", .attrs = "channels_last=yes size=3,2 strides=1,2 padding=same"},
                        {.inputs = "2x6x7x130", .attrs = "channels_last=yes"},
                        {.inputs = "3x6x7x35:bf16", .attrs = "channels_last=yes size=3"},
                        {.inputs = "2x3x6x8:bf16"}, {.inputs = "0x2x4x4"},
                        {.inputs = "2x3x1x8", .expect_error = "larger than the padded height of 1"}),
};

glia_value *glia_op_average_pool2d(glia_value *x, glia_pool2d_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "average_pool2d", &x, 1, &attrs);
}

static glia_status average_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                          glia_error *err) {
    (void)n_in;
    return glia__pool_backward_infer("average_pool2d", in, attrs, out, err);
}

static glia_status average_backward_loops(const glia_call *call) {
    glia_pool p;
    glia_type tx = glia__view_type(&call->out[0]);
    GLIA_TRY(glia__pool_fit(&p, &tx, call->attrs, "average_pool2d", call->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *dy = call->in[1].data;
        T *dx = call->out[0].data;
        memset(dx, 0, (size_t)glia_shape_elems(&tx.shape) * sizeof(T));
        GLIA_FOR_WINDOWS(p, {
            T share = dy[to] / (T)((h1 - h0) * (w1 - w0));
            for (int64_t i = h0; i < h1; i++)
                for (int64_t j = w0; j < w1; j++) dx[plane + i * p.x.h + j * p.x.w] += share;
        })
    });
    return GLIA_OK;
}

static glia_status average_backward_ref(const glia_call *c) {
    return glia__run_widened(c, 1, average_backward_loops);
}

static size_t average_backward_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    return glia__pool_workspace(&in[1], out, attrs);
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
    .attrs = GLIA_FIELDS(GLIA_POOL_FIELDS),
    .attrs_size = sizeof(glia_pool2d_attrs),
    .images = GLIA_IMAGES(3, 1),
    .infer = average_backward_infer,
    .grad = average_backward_grad,
    .ref = average_backward_ref,
    .workspace = average_backward_workspace,
    .rows = glia__rows_all,
    .flops = glia__pool_backward_flops,
    .cases = GLIA_CASES({.inputs = "2x3x6x8 2x3x3x4"},
                        {.inputs = "1x2x5x6 1x2x5x3", .attrs = "size=3,2 strides=1,2 padding=same"},
                        {.inputs = "1x5x6x2 1x5x3x2",
                         .attrs = "channels_last=yes size=3,2 strides=1,2 padding=same"},
                        {.inputs = "2x6x8x37 2x3x4x37", .attrs = "channels_last=yes"},
                        {.inputs = "3x6x7x35:bf16 3x2x2x35:bf16", .attrs = "channels_last=yes size=3"},
                        {.inputs = "2x3x6x8:bf16 2x3x3x4:bf16"},
                        {.inputs = "2x3x6x8 2x3x6x8", .expect_error = "cannot be f32 2×3×6×8"}),
};
