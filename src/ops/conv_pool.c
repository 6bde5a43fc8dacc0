/* conv_pool.c: convolution, relu and max pooling in one, and its gradient by weights and bias. For first layers with few
 * channels, where writing and reading the convolution's result costs more than computing it. Passes make these ops
 * where nobody wants the gradient by x. */

#include "ops/conv_pool.h"

#include "ops/emit.h"
#include "ops/widen.h"

#define CONV_POOL_FIELDS                                                  \
    GLIA_FIELDS(GLIA_CONV_FIELDS,                                         \
                {.name = "pool_size",                                     \
                 .kind = GLIA_FIELD_INTS,                                 \
                 .offset = offsetof(glia__conv_pool_attrs, pool_size),    \
                 .count = 2,                                              \
                 .initial = "2",                                          \
                 .min = 1,                                                \
                 .max = 255,                                              \
                 .doc = "height and width of the pool's window"},         \
                {.name = "pool_strides",                                  \
                 .kind = GLIA_FIELD_INTS,                                 \
                 .offset = offsetof(glia__conv_pool_attrs, pool_strides), \
                 .count = 2,                                              \
                 .initial = "0",                                          \
                 .min = 0,                                                \
                 .max = 1 << 20,                                          \
                 .doc = "steps of the pool's window; 0: its size"})

glia_status glia__conv_pool_fit(glia_conv_pool *v, const glia_type *x, const glia_type *w,
                                const glia__conv_pool_attrs *a, glia_type *y, glia_error *err) {
    const glia_pool2d_attrs pool = {.size = {a->pool_size[0], a->pool_size[1]},
                                    .strides = {a->pool_strides[0], a->pool_strides[1]},
                                    .channels_last = a->conv.channels_last};
    if (pool.size[0] * pool.size[1] > GLIA_NO_WINNER)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "conv2d_relu_max_pool2d: a pool of %lld×%lld has more than %d places",
                              (long long)pool.size[0], (long long)pool.size[1], GLIA_NO_WINNER);
    GLIA_TRY(glia__conv_fit(&v->conv, x, w, &a->conv, err));
    glia_type full = glia__conv_result(&v->conv, x->dtype, &a->conv);
    GLIA_TRY(glia__pool_fit(&v->pool, &full, &pool, "conv2d_relu_max_pool2d", err));
    return glia__pool_infer("conv2d_relu_max_pool2d", &full, &pool, y, err);
}

/* --- forward: x, w, b → y, winner ------------------------------------------------------------------------ */

static glia_status forward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    glia_conv_pool v;
    char text[160];
    GLIA_TRY(glia__conv_pool_fit(&v, &in[0], &in[1], attrs, &out[0], err));
    if (n_in > 2 && in[2].shape.rank >= 0) {
        GLIA_TRY(glia__check_param_dtype(&in[0], &in[2], err));
        if (in[2].shape.rank != 1 || in[2].shape.dim[0] != v.conv.o)
            return glia_error_set(err, GLIA_BAD_SHAPE,
                                  "conv2d_relu_max_pool2d: expected a bias of %lld numbers, found %s",
                                  (long long)v.conv.o, glia__type_text(&in[2], text, sizeof text));
    }
    out[1] = (glia_type){GLIA_U8, out[0].shape};
    return GLIA_OK;
}

/* Runs the block for each tap of the filters of output channel `o` that meets the image at the convolution's
 * place: x[xi] goes with the weight at `tap`. */
#define FOR_TAPS(v, n, o, place_h, place_w, ...)                                              \
    for (int64_t ci = 0; ci < (v).c_group; ci++)                                              \
        for (int64_t i = 0; i < (v).h.size; i++)                                              \
            for (int64_t j = 0; j < (v).w.size; j++) {                                        \
                int64_t ih = (place_h) * (v).h.stride + i * (v).h.dilation - (v).h.pad;       \
                int64_t iw = (place_w) * (v).w.stride + j * (v).w.dilation - (v).w.pad;       \
                int64_t channel = (o) / (v).o_group * (v).c_group + ci;                       \
                int64_t xi = (n) * (v).x.n + channel * (v).x.c + ih * (v).x.h + iw * (v).x.w; \
                int64_t tap = (((o) * (v).c_group + ci) * (v).h.size + i) * (v).w.size + j;   \
                if (ih >= 0 && ih < (v).h.in && iw >= 0 && iw < (v).w.in) __VA_ARGS__         \
            }

/* Runs the block for each result, at y[at], of the pool's windows. */
#define FOR_RESULTS(p, ...)                                                               \
    for (int64_t n = 0; n < (p).n; n++)                                                   \
        for (int64_t o = 0; o < (p).c; o++)                                               \
            for (int64_t ph = 0; ph < (p).h.out; ph++)                                    \
                for (int64_t pw = 0; pw < (p).w.out; pw++) {                              \
                    int64_t at = n * (p).y.n + o * (p).y.c + ph * (p).y.h + pw * (p).y.w; \
                    __VA_ARGS__                                                           \
                }

/* Later beats earlier when it is larger, or not a number, as in max_pool2d. */
static glia_status forward_loops(const glia_call *call) {
    glia_conv_pool v;
    glia_type tx = glia__view_type(&call->in[0]), tw = glia__view_type(&call->in[1]), ty;
    GLIA_TRY(glia__conv_pool_fit(&v, &tx, &tw, call->attrs, &ty, call->err));
    const glia_conv f = v.conv;
    const glia_pool p = v.pool;
    uint8_t *winner = call->out[1].data;
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = call->in[0].data;
        const T *w = call->in[1].data;
        const T *b = call->n_in > 2 ? call->in[2].data : NULL;
        T *y = call->out[0].data;
        FOR_RESULTS(p, {
            T best = 0;
            winner[at] = 0;
            for (int64_t k = 0; k < p.h.size * p.w.size; k++) {
                int64_t ch = ph * p.h.stride + k / p.w.size;
                int64_t cw = pw * p.w.stride + k % p.w.size;
                T sum = b ? b[o] : 0;
                FOR_TAPS(f, n, o, ch, cw, { sum += w[tap] * x[xi]; })
                if (k && !(sum > best || sum != sum)) continue;
                best = sum;
                winner[at] = (uint8_t)k;
            }
            if (best <= 0) winner[at] = GLIA_NO_WINNER;
            y[at] = best <= 0 ? 0 : best;
        })
    });
    return GLIA_OK;
}

static glia_status forward_ref(const glia_call *c) {
    return glia__run_widened(c, 0, forward_loops);
}

static size_t forward_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[0]) + glia__widened_bytes(&out[0]);
}

static double taps(const glia_type *w) {
    return (double)(w->shape.dim[1] * w->shape.dim[2] * w->shape.dim[3]);
}

static double forward_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia__conv_pool_attrs *a = attrs;
    double places = (double)(a->pool_size[0] * a->pool_size[1]);
    return (double)glia_shape_elems(&out[0].shape) * places * (2 * taps(&in[1]) + 1);
}

GLIA_OP(conv2d_relu_max_pool2d) = {
    .name = "conv2d_relu_max_pool2d",
    .version = 1,
    .doc = "y = max_pool2d(relu(conv2d(x, w, b))), and the place in its window of each result's first "
           "largest number, 255 "
           "where the relu clipped it",
    .min_inputs = 2,
    .max_inputs = 3,
    .n_outputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,
    .attrs = CONV_POOL_FIELDS,
    .attrs_size = sizeof(glia__conv_pool_attrs),
    .images = GLIA_IMAGES(1, 3),
    .infer = forward_infer,
    .ref = forward_ref,
    .workspace = forward_workspace,
    .rows = glia__rows_first,
    .flops = forward_flops,
    .emit_c = glia__emit_conv_pool,
    .cases = GLIA_CASES(
        {.inputs = "3x1x9x9 8x1x3x3 8"}, {.inputs = "2x3x12x40 5x3x3x3", .attrs = "padding=same"},
        {.inputs = "2x1x28x28 16x1x3x3 16"}, {.inputs = "2x9x11x3 6x3x3x3 6", .attrs = "channels_last=yes"},
        {.inputs = "2x2x14x13 4x2x5x5 4"}, {.inputs = "1x4x8x9 3x4x2x3 3", .attrs = "padding=same"},
        {.inputs = "2x1x12x11 4x1x3x3", .attrs = "padding=explicit pads=2,0,1,3"},
        {.inputs = "1x4x9x9 4x2x3x3 4",
         .attrs = "groups=2 dilation=2 strides=1,2 pool_size=3,2 pool_strides=1"},
        {.inputs = "0x1x9x9 8x1x3x3 8"}, {.inputs = "2x1x9x9:bf16 8x1x3x3:f32<5 8:f32<5"},
        {.inputs = "3x1x9x9 8x1x3x3 9", .expect_error = "expected a bias of 8 numbers"},
        {.inputs = "3x1x9x9 8x1x3x3",
         .attrs = "pool_size=16,16",
         .expect_error = "a pool of 16×16 has more than 255 places"},
        {.inputs = "3x1x9x9 8x1x9x9", .expect_error = "larger than the padded height of 1"},
        {.inputs = "3x1x9x9 8x2x3x3", .expect_error = "weights for 2 channels, found 1"}),
};

/* --- backward by weights: x, dy, winner, w → dw, db ------------------------------------------------------ */

static glia_status backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    (void)n_in;
    glia_conv_pool v;
    glia_type y;
    char a[160], b[160];
    GLIA_TRY(glia__conv_pool_fit(&v, &in[0], &in[3], attrs, &y, err));
    GLIA_TRY(glia__check_gradient(&y, &in[1], "conv2d_relu_max_pool2d", err));
    y.dtype = GLIA_U8;
    if (!glia_shape_equal(&y.shape, &in[2].shape) || y.dtype != in[2].dtype)
        return glia_error_set(err, GLIA_BAD_SHAPE, "conv2d_relu_max_pool2d: the winners %s cannot be %s",
                              glia__type_text(&y, a, sizeof a), glia__type_text(&in[2], b, sizeof b));
    out[0] = in[3];
    out[1] = (glia_type){in[3].dtype, {.rank = 1, .dim = {v.conv.o}}};
    return GLIA_OK;
}

/* Sums in double: there are many terms. */
static glia_status backward_loops(const glia_call *call) {
    glia_conv_pool v;
    glia_type tx = glia__view_type(&call->in[0]), tw = glia__view_type(&call->out[0]), ty;
    GLIA_TRY(glia__conv_pool_fit(&v, &tx, &tw, call->attrs, &ty, call->err));
    const glia_conv f = v.conv;
    const glia_pool p = v.pool;
    const uint8_t *winner = call->in[2].data;
    const int64_t weights = glia_shape_elems(&tw.shape);
    double *sums = call->workspace, *bias_sums = sums + weights;
    memset(sums, 0, (size_t)(weights + f.o) * sizeof *sums);
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *x = call->in[0].data;
        const T *dy = call->in[1].data;
        FOR_RESULTS(p, {
            if (winner[at] >= p.h.size * p.w.size) continue;
            int64_t ch = ph * p.h.stride + winner[at] / p.w.size;
            int64_t cw = pw * p.w.stride + winner[at] % p.w.size;
            bias_sums[o] += (double)dy[at];
            FOR_TAPS(f, n, o, ch, cw, { sums[tap] += (double)dy[at] * (double)x[xi]; })
        })
        T *dw = call->out[0].data;
        T *db = call->out[1].data;
        for (int64_t i = 0; i < weights; i++) dw[i] = (T)sums[i];
        for (int64_t o = 0; o < f.o; o++) db[o] = (T)bias_sums[o];
    });
    return GLIA_OK;
}

static glia_status backward_ref(const glia_call *c) {
    return glia__run_widened(c, 8, backward_loops);
}

static size_t backward_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    const int64_t sums = glia_shape_elems(&out[0].shape) + glia_shape_elems(&out[1].shape);
    return glia__widened_bytes(&in[0]) + glia__widened_bytes(&in[1]) + (size_t)sums * sizeof(double);
}

/* x, dy and the winners: gradients of parts of a batch add up. */
static uint32_t backward_sums(const glia_type *in, int n_in, const void *attrs) {
    (void)in, (void)n_in, (void)attrs;
    return 1 | 2 | 4;
}

static double backward_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return (double)glia_shape_elems(&in[1].shape) * (2 * taps(&out[0]) + 1);
}

GLIA_OP(conv2d_relu_max_pool2d_backward_weights) = {
    .name = "conv2d_relu_max_pool2d_backward_weights",
    .version = 1,
    .doc =
        "d(conv2d_relu_max_pool2d)/dw and /db: inputs x, dy, winner and w, of which only the shape matters",
    .min_inputs = 4,
    .max_inputs = 4,
    .n_outputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,
    .shape_only = 8,
    .attrs = CONV_POOL_FIELDS,
    .attrs_size = sizeof(glia__conv_pool_attrs),
    .images = GLIA_IMAGES(7, 0),
    .infer = backward_infer,
    .ref = backward_ref,
    .workspace = backward_workspace,
    .sums = backward_sums,
    .flops = backward_flops,
    .cases = GLIA_CASES({.inputs = "3x1x9x9 3x8x3x3 3x8x3x3:u8<5 8x1x3x3"},
                        {.inputs = "2x3x12x40 2x5x6x20 2x5x6x20:u8<5 5x3x3x3", .attrs = "padding=same"},
                        {.inputs = "2x1x28x28 2x16x13x13 2x16x13x13:u8<4 16x1x3x3"},
                        {.inputs = "1x1x14x13 1x37x6x5 1x37x6x5:u8<5 37x1x3x3"},
                        {.inputs = "1x12x13x2 1x5x5x35 1x5x5x35:u8<5 35x2x3x3", .attrs = "channels_last=yes"},
                        {.inputs = "2x9x11x3 2x3x4x6 2x3x4x6:u8<4 6x3x3x3", .attrs = "channels_last=yes"},
                        {.inputs = "2x2x14x13 2x4x5x4 2x4x5x4:u8<4 4x2x5x5"},
                        {.inputs = "1x4x8x9 1x3x4x4 1x3x4x4:u8<5 3x4x2x3", .attrs = "padding=same"},
                        {.inputs = "1x4x9x9 1x4x3x2 1x4x3x2:u8<6 4x2x3x3",
                         .attrs = "groups=2 dilation=2 strides=1,2 pool_size=3,2 pool_strides=1"},
                        {.inputs = "2x1x9x9:bf16 2x8x3x3:bf16 2x8x3x3:u8<5 8x1x3x3:f32<5"},
                        {.inputs = "3x1x9x9 3x8x4x3 3x8x3x3:u8<5 8x1x3x3",
                         .expect_error = "cannot be f32 3×8×4×3"},
                        {.inputs = "3x1x9x9 3x8x3x3 3x8x3x3 8x1x3x3",
                         .expect_error = "the winners u8 3×8×3×3 cannot be f32"}),
};
