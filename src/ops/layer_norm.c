/* layer_norm.c: normalisation of each example by itself: layer_norm, rms_norm, and the backward op of both. Group and
 * instance normalisation are layer_norm of another shape (src/train/layers_norm.c). */

#include <math.h>

#include "glia/ops.h"
#include "graph/step.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_layer_norm_attrs {
    int64_t
        axis; /* the first of the dimensions that are normalised together; negative ones count from the end */
    double epsilon; /* added to the variance; zero means 1e-5 */
} glia_layer_norm_attrs;
/* (x − μ) / √(σ² + ε) · scale + bias, μ and σ² over the dimensions from `axis` on; scale and bias have those dimensions;
 * both may be NULL, or the bias alone. f32 or f64; x bf16 with scale and bias f32. glia_value_sibling(y, 1) is μ,
 * (y, 2) 1/√(σ² + ε), with those dimensions as 1; gradients do not go through them. */
GLIA_API glia_value *glia_op_layer_norm(glia_value *x, glia_value *scale, glia_value *bias,
                                        glia_layer_norm_attrs attrs);
/* x / √(mean of x² + ε) · scale; scale may be NULL. glia_value_sibling(y, 1) is 1/√(mean of x² + ε). */
GLIA_API glia_value *glia_op_rms_norm(glia_value *x, glia_value *scale, glia_layer_norm_attrs attrs);
#endif /* GLIA_OPS_HEADER */

enum { X, SCALE, BIAS }; /* inputs; the outputs are y, μ (layer_norm only), and the inverse deviation */

#define NORM_FIELDS                                                              \
    GLIA_FIELDS({.name = "axis",                                                 \
                 .kind = GLIA_FIELD_INT,                                         \
                 .offset = offsetof(glia_layer_norm_attrs, axis),                \
                 .initial = "-1",                                                \
                 .doc = "first of the dimensions that are normalised together"}, \
                {.name = "epsilon",                                              \
                 .kind = GLIA_FIELD_FLOAT,                                       \
                 .offset = offsetof(glia_layer_norm_attrs, epsilon),             \
                 .initial = "1e-5",                                              \
                 .min = 1e-30,                                                   \
                 .max = 1e30,                                                    \
                 .doc = "added to the variance"})

static bool has(const glia_type *in, int n_in, int i) {
    return i < n_in && in[i].shape.rank >= 0;
}

/* The dimensions from the axis on, and x's with a 1 in their place. */
static glia_status split(const glia_type *x, const void *attrs, glia_shape *normalised, glia_shape *kept,
                         glia_error *err) {
    const int64_t wanted = ((const glia_layer_norm_attrs *)attrs)->axis;
    int axis;
    char text[160];
    GLIA_TRY(glia__check_float_or_bf16(x, err));
    if (!glia__axis_resolve(wanted, x->shape.rank, &axis))
        return glia_error_set(err, GLIA_BAD_SHAPE, "axis %lld is out of range for %s", (long long)wanted,
                              glia__type_text(x, text, sizeof text));
    *kept = x->shape;
    *normalised = (glia_shape){.rank = x->shape.rank - axis};
    for (int d = axis; d < x->shape.rank; d++) {
        normalised->dim[d - axis] = x->shape.dim[d];
        kept->dim[d] = 1;
    }
    return GLIA_OK;
}

/* Whether a parameter, or the statistics, have the shape that they must have. */
static glia_status check_shape(const glia_type *x, const glia_type *other, const glia_shape *expected,
                               glia_error *err) {
    char tx[160], tp[160], te[128];
    GLIA_TRY(glia__check_param_dtype(x, other, err));
    if (glia_shape_equal(&other->shape, expected)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "normalising %s: expected %s, found %s",
                          glia__type_text(x, tx, sizeof tx), glia_shape_text(expected, te, sizeof te),
                          glia__type_text(other, tp, sizeof tp));
}

static glia_status infer_of(const glia_type *in, int n_in, const void *attrs, int statistics, glia_type *out,
                            glia_error *err) {
    glia_shape normalised, kept;
    GLIA_TRY(split(&in[X], attrs, &normalised, &kept, err));
    for (int i = SCALE; i < n_in; i++)
        if (has(in, n_in, i)) GLIA_TRY(check_shape(&in[X], &in[i], &normalised, err));
    if (has(in, n_in, BIAS) && !has(in, n_in, SCALE))
        return glia_error_set(err, GLIA_BAD_SHAPE, "a bias needs a scale");
    out[0] = in[X];
    for (int o = 1; o <= statistics; o++) out[o] = (glia_type){glia__param_dtype(in[X].dtype), kept};
    return GLIA_OK;
}

static glia_status layer_norm_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                    glia_error *err) {
    return infer_of(in, n_in, attrs, 2, out, err);
}

static glia_status rms_norm_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    return infer_of(in, n_in, attrs, 1, out, err);
}

/* Elements that are normalised together. */
static int64_t row_length(const glia_shape *x, const void *attrs) {
    int64_t n = 1;
    int axis;
    if (!glia__axis_resolve(((const glia_layer_norm_attrs *)attrs)->axis, x->rank, &axis)) return 1;
    for (int d = axis; d < x->rank; d++) n *= x->dim[d];
    return n;
}

/* --- forward ---------------------------------------------------------------------------------------------- */

/* `mean` NULL: the root of the mean square only. */
#define ROW_LOOPS(T)                                                                                  \
    static void normalize_##T(const T *x, const T *scale, const T *bias, T *y, T *mean, T *inverse,   \
                              int64_t n, double epsilon) {                                            \
        double sum = 0, squares = 0;                                                                  \
        for (int64_t k = 0; k < n && mean; k++) sum += (double)x[k];                                  \
        const double middle = n > 0 ? sum / (double)n : 0;                                            \
        for (int64_t k = 0; k < n; k++) squares += ((double)x[k] - middle) * ((double)x[k] - middle); \
        const double r = 1 / sqrt((n > 0 ? squares / (double)n : 0) + epsilon);                       \
        if (mean) *mean = (T)middle;                                                                  \
        *inverse = (T)r;                                                                              \
        for (int64_t k = 0; k < n; k++)                                                               \
            y[k] = (T)(((double)x[k] - middle) * r * (double)(scale ? scale[k] : 1) +                 \
                       (double)(bias ? bias[k] : 0));                                                 \
    }
ROW_LOOPS(float)
ROW_LOOPS(double)
#define normalize(x, ...) _Generic(*(x), float : normalize_float, default : normalize_double)(x, __VA_ARGS__)

static glia_status forward_loops(const glia_call *c) {
    const double epsilon = ((const glia_layer_norm_attrs *)c->attrs)->epsilon;
    const int64_t n = row_length(&c->in[X].shape, c->attrs);
    const glia_view *mean = c->n_out == 3 ? &c->out[1] : NULL, *inverse = &c->out[c->n_out - 1];
    const int64_t rows = glia_shape_elems(&inverse->shape);
    GLIA_FOR_FLOAT(c->in[X].dtype, {
        const T *x = c->in[X].data;
        const T *scale = c->n_in > SCALE ? c->in[SCALE].data : NULL;
        const T *bias = c->n_in > BIAS ? c->in[BIAS].data : NULL;
        for (int64_t i = 0; i < rows; i++)
            normalize(x + i * n, scale, bias, (T *)c->out[0].data + i * n, mean ? (T *)mean->data + i : NULL,
                      (T *)inverse->data + i, n, epsilon);
    });
    return GLIA_OK;
}

static glia_status forward_ref(const glia_call *c) {
    return glia__run_widened(c, 0, forward_loops);
}

static size_t forward_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[X]) + glia__widened_bytes(&out[0]);
}

/* Rows are independent unless dimension 0 is normalised. */
static uint32_t forward_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)n_in;
    return glia__rows_unless_first(((const glia_layer_norm_attrs *)attrs)->axis, in[X].shape.rank, 1u << X);
}

static double forward_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return 7 * (double)glia_shape_elems(&in[X].shape);
}

static void gradient_of(glia_gradient *g, glia_value *mean, glia_value *inverse) {
    glia_value *scale = g->n_in > SCALE ? g->x[SCALE] : NULL;
    glia_value *in[] = {g->x[X], g->dy[0], inverse, mean, scale};
    glia_value *dx = glia_graph_apply(g->graph, "layer_norm_backward", in, 5, g->attrs);
    for (int i = X; i < g->n_in && i <= BIAS; i++) g->dx[i] = glia_value_sibling(dx, i);
}

static void layer_norm_grad(glia_gradient *g) {
    gradient_of(g, g->y[1], g->y[2]);
}

static void rms_norm_grad(glia_gradient *g) {
    gradient_of(g, NULL, g->y[1]);
}

static void norm_step(glia_stepping *s) {
    glia__step_vectors(s, ((const glia_layer_norm_attrs *)s->node->attrs)->axis);
}

#define NORM_OP(op, ...)                                        \
    GLIA_OP(op) = {.name = #op,                                 \
                   .version = 1,                                \
                   .min_inputs = 1,                             \
                   .attrs = NORM_FIELDS,                        \
                   .attrs_size = sizeof(glia_layer_norm_attrs), \
                   .infer = op##_infer,                         \
                   .grad = op##_grad,                           \
                   .step = norm_step,                           \
                   .ref = forward_ref,                          \
                   .workspace = forward_workspace,              \
                   .rows = forward_rows,                        \
                   .flops = forward_flops,                      \
                   .emit_c = glia__emit_##op,                   \
                   __VA_ARGS__}

/* Ones in the shape of what is normalised together, for which ONNX asks. */
static const char *ones(glia_to_onnx *w) {
    const glia_type *x = &w->node->inputs[X]->type;
    glia_shape normalised, kept;
    w->status = split(x, w->node->attrs, &normalised, &kept, w->err);
    const char *one = glia__to_onnx_number(w, x->dtype, 1);
    return w->status == GLIA_OK
               ? GLIA_TO_ONNX(w, NULL, "Expand", one, glia__to_onnx_list(w, normalised.dim, normalised.rank))
               : "";
}

static void layer_norm_to_onnx(glia_to_onnx *w) {
    if (!*w->x[SCALE]) w->x[SCALE] = ones(w);
    glia__to_onnx_same(w);
}

/* ONNX has it since opset 23 only, and without the inverse deviation. */
static void rms_norm_to_onnx(glia_to_onnx *w) {
    const glia_layer_norm_attrs *a = w->node->attrs;
    const glia_type *x = &w->node->inputs[X]->type;
    glia_shape normalised, kept;
    int64_t axes[GLIA_MAX_RANK];
    w->status = split(x, a, &normalised, &kept, w->err);
    if (w->status != GLIA_OK) return;
    for (int i = 0; i < normalised.rank; i++) axes[i] = x->shape.rank - normalised.rank + i;
    const bool by_input = w->opset >= 18;
    const char *y = GLIA_TO_ONNX(w, NULL, "Mul", w->x[X], w->x[X]);
    y = GLIA_TO_ONNX(w, NULL, "ReduceMean", y, by_input ? glia__to_onnx_list(w, axes, normalised.rank) : "");
    if (!by_input) glia__to_onnx_ints(w, "axes", axes, normalised.rank);
    glia__to_onnx_int(w, "keepdims", 1);
    y = GLIA_TO_ONNX(w, NULL, "Add", y, glia__to_onnx_number(w, x->dtype, a->epsilon));
    y = GLIA_TO_ONNX(w, *w->y[1] ? w->y[1] : NULL, "Reciprocal", GLIA_TO_ONNX(w, NULL, "Sqrt", y));
    y = GLIA_TO_ONNX(w, *w->x[SCALE] ? NULL : w->y[0], "Mul", w->x[X], y);
    if (*w->x[SCALE]) GLIA_TO_ONNX(w, w->y[0], "Mul", y, w->x[SCALE]);
}

NORM_OP(layer_norm, .max_inputs = 3, .n_outputs = 3, .no_gradient = 1 << 1 | 1 << 2,
        .doc = "y = (x − μ)/√(σ² + ε)·scale + bias, μ and σ² over the dimensions from `axis` on",
        .source = "Ba, Kiros, Hinton, arXiv:1607.06450, 2016", .onnx = "LayerNormalization", .onnx_since = 17,
        .onnx_write = layer_norm_to_onnx,
        .cases = GLIA_CASES(
            {.inputs = "4x5 5 5"}, {.inputs = "4x5 5"}, {.inputs = "4x5"}, {.inputs = "3x70 70 70"},
            {.inputs = "2x3x4 4 4", .attrs = "epsilon=0.1"}, {.inputs = "2x3x4 3x4 3x4", .attrs = "axis=1"},
            {.inputs = "2x3x4 2x3x4 2x3x4", .attrs = "axis=0"}, {.inputs = "2x3x4 3x4", .attrs = "axis=-2"},
            {.inputs = "0x3 3 3"}, {.inputs = "6 6 6"}, {.inputs = "4x40:bf16 40:f32<5 40:f32<5"},
            {.inputs = "4x5:bf16"},
            {.inputs = "4x5 4 4", .expect_error = "normalising f32 4×5: expected 5, found f32 4"},
            {.inputs = "4x5 - 5", .expect_error = "a bias needs a scale"},
            {.inputs = "4x5 5 5", .attrs = "axis=2", .expect_error = "axis 2 is out of range for f32 4×5"},
            {.inputs = "4x5:i64<9 5 5", .expect_error = "expected f32 or f64, found i64 4×5"}));

NORM_OP(rms_norm, .max_inputs = 2, .n_outputs = 2, .no_gradient = 1 << 1,
        .doc = "y = x/√(mean x² + ε)·scale, the mean over the dimensions from `axis` on",
        .source = "Zhang, Sennrich, NeurIPS 2019", .onnx = "RMSNormalization", .onnx_since = 23,
        .onnx_write = rms_norm_to_onnx,
        .cases = GLIA_CASES({.inputs = "4x5 5"}, {.inputs = "4x5"}, {.inputs = "3x70 70"},
                            {.inputs = "2x3x4 3x4", .attrs = "axis=1 epsilon=0.1"},
                            {.inputs = "2x3x4 2x3x4", .attrs = "axis=0"}, {.inputs = "0x3 3"},
                            {.inputs = "4x40:bf16 40:f32<5"},
                            {.inputs = "4x5 4",
                             .expect_error = "normalising f32 4×5: expected 5, found f32 4"},
                            {.inputs = "4x5:i64<9 5", .expect_error = "expected f32 or f64, found i64 4×5"}));

glia_value *glia_op_layer_norm(glia_value *x, glia_value *scale, glia_value *bias,
                               glia_layer_norm_attrs attrs) {
    glia_value *in[] = {x, scale, bias};
    return glia_graph_apply(glia_value_graph(x), "layer_norm", in, bias ? 3 : scale ? 2 : 1, &attrs);
}

glia_value *glia_op_rms_norm(glia_value *x, glia_value *scale, glia_layer_norm_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "rms_norm", (glia_value *[]){x, scale}, scale ? 2 : 1,
                            &attrs);
}

/* --- backward --------------------------------------------------------------------------------------------- */

enum { B_X, B_DY, B_INVERSE, B_MEAN, B_SCALE }; /* inputs; without a mean: of rms_norm */

/* Without a scale its gradient, and the bias's, are empty. */
static glia_status backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    glia_shape normalised, kept;
    char x[160], dy[160];
    GLIA_TRY(split(&in[B_X], attrs, &normalised, &kept, err));
    if (!glia_shape_equal(&in[B_X].shape, &in[B_DY].shape) || in[B_X].dtype != in[B_DY].dtype)
        return glia_error_set(err, GLIA_BAD_SHAPE, "the gradient of normalised %s cannot be %s",
                              glia__type_text(&in[B_X], x, sizeof x),
                              glia__type_text(&in[B_DY], dy, sizeof dy));
    GLIA_TRY(check_shape(&in[B_X], &in[B_INVERSE], &kept, err));
    if (has(in, n_in, B_MEAN)) GLIA_TRY(check_shape(&in[B_X], &in[B_MEAN], &kept, err));
    if (has(in, n_in, B_SCALE)) GLIA_TRY(check_shape(&in[B_X], &in[B_SCALE], &normalised, err));
    out[0] = in[B_X];
    const glia_shape params = has(in, n_in, B_SCALE) ? normalised : (glia_shape){.rank = 1};
    out[1] = out[2] = (glia_type){glia__param_dtype(in[B_X].dtype), params};
    return GLIA_OK;
}

/* With x̂ = (x − μ)·r and g = dy·scale: dx = r·(g − mean g − x̂·mean(g·x̂)); without μ: r·(g − x̂·mean(g·x̂)).
 * dscale = Σ dy·x̂ and dbias = Σ dy over the rows. */
static glia_status backward_loops(const glia_call *c) {
    const int64_t n = row_length(&c->in[B_X].shape, c->attrs);
    const int64_t rows = glia_shape_elems(&c->in[B_INVERSE].shape);
    GLIA_FOR_FLOAT(c->in[B_X].dtype, {
        const T *means = c->n_in > B_MEAN ? c->in[B_MEAN].data : NULL;
        const T *scale = c->n_in > B_SCALE ? c->in[B_SCALE].data : NULL;
        for (int64_t i = 0; i < rows; i++) {
            const T *x = (const T *)c->in[B_X].data + i * n;
            const T *dy = (const T *)c->in[B_DY].data + i * n;
            T *dx = (T *)c->out[0].data + i * n;
            const T r = ((const T *)c->in[B_INVERSE].data)[i];
            const T mean = means ? means[i] : 0;
            double sum = 0, product = 0;
            for (int64_t k = 0; k < n; k++) {
                const double g = (double)dy[k] * (double)(scale ? scale[k] : 1);
                sum += means ? g : 0;
                product += g * (double)((x[k] - mean) * r);
            }
            for (int64_t k = 0; k < n; k++) {
                const double g = (double)dy[k] * (double)(scale ? scale[k] : 1);
                const double share = sum / (double)n + (double)((x[k] - mean) * r) * product / (double)n;
                dx[k] = (T)((double)r * (g - share));
            }
        }
        for (int64_t k = 0; scale && k < n; k++) {
            double dscale = 0, dbias = 0;
            for (int64_t i = 0; i < rows; i++) {
                const T x = ((const T *)c->in[B_X].data)[i * n + k];
                const T dy = ((const T *)c->in[B_DY].data)[i * n + k];
                const T mean = means ? means[i] : 0;
                dscale += (double)dy * (double)((x - mean) * ((const T *)c->in[B_INVERSE].data)[i]);
                dbias += (double)dy;
            }
            ((T *)c->out[1].data)[k] = (T)dscale;
            ((T *)c->out[2].data)[k] = (T)dbias;
        }
    });
    return GLIA_OK;
}

static glia_status backward_ref(const glia_call *c) {
    return glia__run_widened(c, 0, backward_loops);
}

static size_t backward_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[B_X]) + glia__widened_bytes(&in[B_DY]) + glia__widened_bytes(&out[0]);
}

static double backward_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return 14 * (double)glia_shape_elems(&in[B_X].shape);
}

GLIA_OP(layer_norm_backward) = {
    .name = "layer_norm_backward",
    .version = 1,
    .doc = "d(layer_norm)/d(x, scale, bias), without a mean d(rms_norm): inputs x, dy, 1/√(σ² + ε), and "
           "perhaps μ "
           "and the scale",
    .min_inputs = 3,
    .max_inputs = 5,
    .n_outputs = 3,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,
    .attrs = NORM_FIELDS,
    .attrs_size = sizeof(glia_layer_norm_attrs),
    .infer = backward_infer,
    .ref = backward_ref,
    .workspace = backward_workspace,
    .flops = backward_flops,
    .cases = GLIA_CASES({.inputs = "4x5 4x5 4x1:pos 4x1 5"}, {.inputs = "4x5 4x5 4x1:pos 4x1"},
                        {.inputs = "4x5 4x5 4x1:pos - 5"}, {.inputs = "4x5 4x5 4x1:pos"},
                        {.inputs = "3x70 3x70 3x1:pos 3x1 70"},
                        {.inputs = "2x3x4 2x3x4 2x1x1:pos 2x1x1 3x4", .attrs = "axis=1"},
                        {.inputs = "40x33 40x33 40x1:pos 40x1 33"}, {.inputs = "0x3 0x3 0x1 0x1 3"},
                        {.inputs = "4x40:bf16 4x40:bf16 4x1:f32<5 4x1:f32<5 40:f32<5"},
                        {.inputs = "4x5 4x6 4x1 4x1 5", .expect_error = "cannot be f32 4×6"},
                        {.inputs = "4x5 4x5 4 4x1 5", .expect_error = "expected 4×1, found f32 4"}),
};
