/* norm.c: batch normalisation and its backward op. */

#include <math.h>
#include <stdio.h>

#include "glia/ops.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
/* Zero means default: epsilon 1e-5, momentum 0.9, no activation. */
typedef struct glia_batch_norm_attrs {
    glia_bool channels_last; /* in the last dimension, as [N, H, W, C]; default no: in dimension 1 */
    double epsilon;          /* added to the variance */
    double momentum; /* share of the running statistics that a training step keeps (1 − PyTorch's momentum) */
    int activation; /* 0 none, 1 relu: applied to the result */
} glia_batch_norm_attrs;
/* x [N, C, …], scale, bias, mean, var [C] → same as x: (x − μ) / √(σ² + ε) · scale + bias for each channel. In a
 * training run μ and σ² are those of the batch; else they are `mean` and `var`, the running statistics.
 * glia_value_sibling(y, 1) and (y, 2) are the running statistics after this run: moved towards the batch's (variance
 * over n − 1) in training, else as they were. Gradients do not go through them. */
GLIA_API glia_value *glia_op_batch_norm(glia_value *x, glia_value *scale, glia_value *bias, glia_value *mean,
                                        glia_value *var, glia_batch_norm_attrs attrs);
#endif /* GLIA_OPS_HEADER */

#define NORM_FIELDS                                                                    \
    GLIA_FIELDS({.name = "channels_last",                                              \
                 .kind = GLIA_FIELD_BOOL,                                              \
                 .offset = offsetof(glia_batch_norm_attrs, channels_last),             \
                 .initial = "no",                                                      \
                 .doc = "channels lie in the last dimension, else in dimension 1"},    \
                {.name = "epsilon",                                                    \
                 .kind = GLIA_FIELD_FLOAT,                                             \
                 .offset = offsetof(glia_batch_norm_attrs, epsilon),                   \
                 .initial = "1e-5",                                                    \
                 .min = 1e-30,                                                         \
                 .max = 1e30,                                                          \
                 .doc = "added to the variance"},                                      \
                {.name = "momentum",                                                   \
                 .kind = GLIA_FIELD_FLOAT,                                             \
                 .offset = offsetof(glia_batch_norm_attrs, momentum),                  \
                 .initial = "0.9",                                                     \
                 .min = 1e-30,                                                         \
                 .max = 1,                                                             \
                 .doc = "share of the running statistics that a training step keeps"}, \
                {.name = "activation",                                                 \
                 .kind = GLIA_FIELD_CHOICE,                                            \
                 .offset = offsetof(glia_batch_norm_attrs, activation),                \
                 .initial = "none",                                                    \
                 .choices = "none|relu",                                               \
                 .doc = "applied to the result"})

/* x as outer × channels × inner. */
typedef struct norm {
    int64_t outer, channels, inner;
} norm;

static int channel_axis(const glia_shape *x, const glia_batch_norm_attrs *a) {
    return a->channels_last == GLIA_YES ? x->rank - 1 : 1;
}

static norm norm_of(const glia_shape *x, const glia_batch_norm_attrs *a) {
    const int axis = channel_axis(x, a);
    norm v = {1, x->dim[axis], 1};
    for (int d = 0; d < axis; d++) v.outer *= x->dim[d];
    for (int d = axis + 1; d < x->rank; d++) v.inner *= x->dim[d];
    return v;
}

/* Checks x, and that inputs `first` … `last` hold one number a channel. */
static glia_status norm_check(const glia_type *in, int first, int last, const glia_batch_norm_attrs *a,
                              glia_error *err) {
    char x[160], other[160];
    glia__type_text(&in[0], x, sizeof x);
    GLIA_TRY(glia__check_float_or_bf16(&in[0], err));
    if (in[0].shape.rank < 2)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "batch_norm expects examples with channels [N, C, …], found %s", x);
    const int64_t channels = in[0].shape.dim[channel_axis(&in[0].shape, a)];
    for (int i = first; i <= last; i++) {
        GLIA_TRY(glia__check_param_dtype(&in[0], &in[i], err));
        if (in[i].shape.rank != 1 || in[i].shape.dim[0] != channels)
            return glia_error_set(err, GLIA_BAD_SHAPE,
                                  "batch_norm of %s: expected one number a channel, found %s", x,
                                  glia__type_text(&in[i], other, sizeof other));
    }
    return GLIA_OK;
}

/* Runs a statement for every index k of the elements of channel c. */
#define EACH_OF_CHANNEL(v, c, statement)                                                               \
    for (int64_t o_ = 0; o_ < (v).outer; o_++)                                                         \
        for (int64_t k = (o_ * (v).channels + (c)) * (v).inner, end_ = k + (v).inner; k < end_; k++) { \
            statement;                                                                                 \
        }

/* --- forward --------------------------------------------------------------------------------------------- */

enum { X, SCALE, BIAS, MEAN, VAR };                     /* inputs */
enum { Y, NEW_MEAN, NEW_VAR, USED_MEAN, USED_INVERSE }; /* outputs; the last two are for the gradient */

static glia_status batch_norm_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                    glia_error *err) {
    (void)n_in;
    GLIA_TRY(norm_check(in, SCALE, VAR, attrs, err));
    out[Y] = in[X];
    for (int o = NEW_MEAN; o <= USED_INVERSE; o++) out[o] = in[SCALE];
    return GLIA_OK;
}

static glia_status batch_norm_loops(const glia_call *call) {
    const glia_batch_norm_attrs *a = call->attrs;
    const norm v = norm_of(&call->in[X].shape, a);
    const double n = (double)(v.outer * v.inner);
    GLIA_FOR_FLOAT(call->in[X].dtype, {
        const T *x = call->in[X].data;
        T *y = call->out[Y].data;
        for (int64_t c = 0; c < v.channels; c++) {
            double mean = ((const T *)call->in[MEAN].data)[c], var = ((const T *)call->in[VAR].data)[c];
            double new_mean = mean, new_var = var;
            if (call->step->training && n > 0) {
                double sum = 0, squares = 0;
                EACH_OF_CHANNEL(v, c, sum += x[k])
                mean = sum / n;
                EACH_OF_CHANNEL(v, c, squares += (x[k] - mean) * (x[k] - mean))
                var = squares / n;
                new_mean = a->momentum * new_mean + (1 - a->momentum) * mean;
                new_var = a->momentum * new_var + (1 - a->momentum) * squares / (n > 1 ? n - 1 : 1);
            }
            const double inverse = 1 / sqrt(var + a->epsilon);
            ((T *)call->out[NEW_MEAN].data)[c] = (T)new_mean;
            ((T *)call->out[NEW_VAR].data)[c] = (T)new_var;
            ((T *)call->out[USED_MEAN].data)[c] = (T)mean;
            ((T *)call->out[USED_INVERSE].data)[c] = (T)inverse;
            const T m = (T)mean, factor = (T)inverse * ((const T *)call->in[SCALE].data)[c];
            const T bias = ((const T *)call->in[BIAS].data)[c];
            EACH_OF_CHANNEL(v, c, {
                const T z = (x[k] - m) * factor + bias;
                y[k] = a->activation && z < 0 ? 0 : z; /* NaN stays */
            })
        }
    });
    return GLIA_OK;
}

static glia_status batch_norm_ref(const glia_call *call) {
    return glia__run_widened(call, 0, batch_norm_loops);
}

/* x and y; the others are f32 at least. */
static size_t batch_norm_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[X]) + glia__widened_bytes(&out[Y]);
}

static void batch_norm_grad(glia_gradient *g) {
    glia_value *in[] = {g->x[X], g->dy[Y], g->x[SCALE], g->x[BIAS], g->y[USED_MEAN], g->y[USED_INVERSE]};
    glia_value *dx = glia_graph_apply(g->graph, "batch_norm_backward", in, 6, g->attrs);
    for (int i = X; i <= BIAS; i++) g->dx[i] = glia_value_sibling(dx, i);
}

/* Two sums, and one multiplication and addition. */
static double batch_norm_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return 6 * (double)glia_shape_elems(&in[0].shape);
}

/* In inference the statistics are those that came in. */
static void batch_norm_to_onnx(glia_to_onnx *w) {
    const glia_batch_norm_attrs *a = w->node->attrs;
    const glia_type *x = &w->node->inputs[X]->type;
    const bool last = a->channels_last == GLIA_YES && x->shape.rank > 2, relu = a->activation != 0;
    const char *in = last ? glia__to_onnx_channels_first(w, NULL, w->x[X], x->shape.rank) : w->x[X];
    const char *y = GLIA_TO_ONNX(w, relu || last ? NULL : w->y[Y], "BatchNormalization", in, w->x[SCALE],
                                 w->x[BIAS], w->x[MEAN], w->x[VAR]);
    glia__to_onnx_float(w, "epsilon", a->epsilon);
    glia__to_onnx_float(w, "momentum", a->momentum);
    if (w->opset >= 14) glia__to_onnx_int(w, "training_mode", 0);
    if (relu) y = GLIA_TO_ONNX(w, last ? NULL : w->y[Y], "Relu", y);
    if (last) glia__to_onnx_channels_last(w, w->y[Y], y, x->shape.rank);
    if (*w->y[NEW_MEAN]) GLIA_TO_ONNX(w, w->y[NEW_MEAN], "Identity", w->x[MEAN]);
    if (*w->y[NEW_VAR]) GLIA_TO_ONNX(w, w->y[NEW_VAR], "Identity", w->x[VAR]);
    if (*w->y[USED_MEAN]) GLIA_TO_ONNX(w, w->y[USED_MEAN], "Identity", w->x[MEAN]);
    if (*w->y[USED_INVERSE]) {
        const char *var =
            GLIA_TO_ONNX(w, NULL, "Add", w->x[VAR], glia__to_onnx_number(w, x->dtype, a->epsilon));
        GLIA_TO_ONNX(w, w->y[USED_INVERSE], "Reciprocal", GLIA_TO_ONNX(w, NULL, "Sqrt", var));
    }
}

GLIA_OP(batch_norm) = {
    .name = "batch_norm",
    .version = 1,
    .doc =
        "y = (x − μ) / √(σ² + ε)·scale + bias for each channel; μ, σ² of the batch in training, else running",
    .source = "Ioffe, Szegedy, arXiv:1502.03167, 2015",
    .min_inputs = 5,
    .max_inputs = 5,
    .n_outputs = 5,
    .no_gradient = 1 << NEW_MEAN | 1 << NEW_VAR | 1 << USED_MEAN | 1 << USED_INVERSE,
    .attrs = NORM_FIELDS,
    .attrs_size = sizeof(glia_batch_norm_attrs),
    .images = GLIA_IMAGES(1 << X, 1 << Y),
    .infer = batch_norm_infer,
    .grad = batch_norm_grad,
    .ref = batch_norm_ref,
    .workspace = batch_norm_workspace,
    .flops = batch_norm_flops,
    .onnx = "BatchNormalization",
    .onnx_since = 15,
    .onnx_write = batch_norm_to_onnx,
    .emit_c = glia__emit_batch_norm,
    .cases = GLIA_CASES(
        {.inputs = "6x4 4 4 4 4:pos"}, {.inputs = "4x3x5x2 3 3 3 3:pos"},
        {.inputs = "4x3x5x2 3 3 3 3:pos", .attrs = "activation=relu"},
        {.inputs = "3x2x5x20 20 20 20 20:pos", .attrs = "channels_last=yes epsilon=0.01 momentum=0.5"},
        {.inputs = "5x40 40 40 40 40:pos", .attrs = "activation=relu"},
        {.inputs = "9x4x6x7 7 7 7 7:pos", .attrs = "channels_last=yes activation=relu"},
        {.inputs = "4x3x5 3 3 3 3:pos"}, {.inputs = "7x5x4x70 70 70 70 70:pos", .attrs = "channels_last=yes"},
        {.inputs = "0x3 3 3 3 3:pos"}, {.inputs = "4x3x5x2:bf16 3:f32<5 3:f32<5 3:f32<5 3:f32<5"},
        {.inputs = "9x4x6x20:bf16 20:f32<5 20:f32<5 20:f32<5 20:f32<5",
         .attrs = "channels_last=yes activation=relu"},
        {.inputs = "6x4:bf16 4:bf16 4:bf16 4:bf16 4:bf16", .expect_error = "parameters stay f32 beside bf16"},
        {.inputs = "6x4 4 4 4 5", .expect_error = "expected one number a channel"},
        {.inputs = "6 6 6 6 6", .expect_error = "expects examples with channels [N, C, …], found f32 6"},
        {.inputs = "6x4:i64<9 4 4 4 4", .expect_error = "expected f32 or f64"}),
};

glia_value *glia_op_batch_norm(glia_value *x, glia_value *scale, glia_value *bias, glia_value *mean,
                               glia_value *var, glia_batch_norm_attrs attrs) {
    glia_value *in[] = {x, scale, bias, mean, var};
    return glia_graph_apply(glia_value_graph(x), "batch_norm", in, 5, &attrs);
}

/* --- backward -------------------------------------------------------------------------------------------- */

enum { B_X, B_DY, B_SCALE, B_BIAS, B_MEAN, B_INVERSE }; /* inputs */

static glia_status backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    (void)n_in;
    GLIA_TRY(norm_check(in, B_SCALE, B_INVERSE, attrs, err));
    GLIA_TRY(glia__check_gradient(&in[B_X], &in[B_DY], "batch_norm", err));
    out[0] = in[B_X];
    out[1] = out[2] = in[B_SCALE];
    return GLIA_OK;
}

/* With x̂ = (x − μ)·inverse and g = dy where relu let y pass: dbias = Σ g, dscale = Σ g·x̂, and in training, where μ and
 * the variance depend on x: dx = scale·inverse·(g − (dbias + x̂·dscale)/n). The sign of y is found again from x: that
 * costs less than to read y. */
static glia_status backward_loops(const glia_call *call) {
    const glia_batch_norm_attrs *a = call->attrs;
    const norm v = norm_of(&call->in[B_X].shape, a);
    const double n = (double)(v.outer * v.inner);
    const bool depends = call->step->training && n > 0;
    GLIA_FOR_FLOAT(call->in[B_X].dtype, {
        const T *x = call->in[B_X].data;
        const T *dy = call->in[B_DY].data;
        T *dx = call->out[0].data;
        for (int64_t c = 0; c < v.channels; c++) {
            const T mean = ((const T *)call->in[B_MEAN].data)[c];
            const T inverse = ((const T *)call->in[B_INVERSE].data)[c];
            const T factor = inverse * ((const T *)call->in[B_SCALE].data)[c];
            const T bias = ((const T *)call->in[B_BIAS].data)[c];
            double sum = 0, product = 0;
            EACH_OF_CHANNEL(v, c, {
                const bool passes = !a->activation || (x[k] - mean) * factor + bias > 0;
                sum += passes ? dy[k] : 0;
                product += passes ? (double)dy[k] * (x[k] - mean) : 0;
            })
            ((T *)call->out[1].data)[c] = (T)(product * inverse);
            ((T *)call->out[2].data)[c] = (T)sum;
            const T shift = depends ? (T)(sum / n) : 0;
            const T slope = depends ? (T)(product * inverse * inverse / n) : 0;
            EACH_OF_CHANNEL(v, c, {
                const bool passes = !a->activation || (x[k] - mean) * factor + bias > 0;
                dx[k] = factor * ((passes ? dy[k] : 0) - shift - (x[k] - mean) * slope);
            })
        }
    });
    return GLIA_OK;
}

static glia_status backward_ref(const glia_call *call) {
    return glia__run_widened(call, 0, backward_loops);
}

static size_t backward_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[B_X]) + glia__widened_bytes(&in[B_DY]) + glia__widened_bytes(&out[0]);
}

static double backward_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return 8 * (double)glia_shape_elems(&in[0].shape);
}

GLIA_OP(batch_norm_backward) = {
    .name = "batch_norm_backward",
    .version = 1,
    .doc = "d(batch_norm)/d(x, scale, bias): inputs x, dy, scale, bias, and the mean and 1/√(σ² + ε) that "
           "were used",
    .min_inputs = 6,
    .max_inputs = 6,
    .n_outputs = 3,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,
    .attrs = NORM_FIELDS,
    .attrs_size = sizeof(glia_batch_norm_attrs),
    .images = GLIA_IMAGES(1 << B_X | 1 << B_DY, 1),
    .infer = backward_infer,
    .ref = backward_ref,
    .workspace = backward_workspace,
    .flops = backward_flops,
    .cases = GLIA_CASES(
        {.inputs = "6x4 6x4 4 4 4 4:pos"}, {.inputs = "4x3x5x2 4x3x5x2 3 3 3 3:pos"},
        {.inputs = "4x3x5x2 4x3x5x2 3 3 3 3:pos", .attrs = "activation=relu"},
        {.inputs = "3x2x5x20 3x2x5x20 20 20 20 20:pos", .attrs = "channels_last=yes"},
        {.inputs = "9x4x6x7 9x4x6x7 7 7 7 7:pos", .attrs = "channels_last=yes activation=relu"},
        {.inputs = "5x40 5x40 40 40 40 40:pos", .attrs = "activation=relu"},
        {.inputs = "7x5x4x70 7x5x4x70 70 70 70 70:pos", .attrs = "channels_last=yes activation=relu"},
        {.inputs = "4x3x5x2:bf16 4x3x5x2:bf16 3:f32<5 3:f32<5 3:f32<5 3:f32<5"},
        {.inputs = "9x4x6x20:bf16 9x4x6x20:bf16 20:f32<5 20:f32<5 20:f32<5 20:f32<5",
         .attrs = "channels_last=yes activation=relu"},
        {.inputs = "6x4 6x5 4 4 4 4", .expect_error = "cannot be f32 6×5"}),
};
