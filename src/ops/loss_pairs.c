/* loss_pairs.c: losses that compare a prediction h with a target y element by element: the mean over all elements of
 * f(h, y). One macro line gives the op, its backward op and the builder. */

#include "ops/rows.h"

/* All have the attributes of huber, most of them without delta. */
static bool is_mean(const void *attrs) {
    return ((const glia_huber_attrs *)attrs)->reduction == 0;
}

static glia_status pair_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                              glia_error *err) {
    (void)n_in;
    char a[160], b[160];
    GLIA_TRY(glia__check_float(&in[0], err));
    if (in[0].dtype != in[1].dtype || !glia_shape_equal(&in[0].shape, &in[1].shape))
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "a prediction and its target must have one shape and dtype, found %s and %s",
                              glia__type_text(&in[0], a, sizeof a), glia__type_text(&in[1], b, sizeof b));
    out[0] = is_mean(attrs) ? (glia_type){.dtype = in[0].dtype} : in[0];
    return GLIA_OK;
}

static glia_status pair_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                       glia_error *err) {
    char text[160];
    GLIA_TRY(pair_infer(in, n_in, attrs, out, err));
    const glia_type loss = out[0];
    out[0] = in[0];
    if (in[2].dtype == loss.dtype && glia_shape_equal(&in[2].shape, &loss.shape)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "the gradient of a loss %s, found %s",
                          is_mean(attrs) ? "is a scalar of its dtype" : "that is not reduced has its shape",
                          glia__type_text(&in[2], text, sizeof text));
}

static uint32_t pair_rows(const glia_type *in, int n_in, const void *attrs) {
    return is_mean(attrs) ? 0 : glia__rows_pair(in, n_in, attrs);
}
static uint32_t pair_sums(const glia_type *in, int n_in, const void *attrs) {
    return is_mean(attrs) ? glia__rows_pair(in, n_in, attrs) : 0;
}
static uint32_t pair_backward_rows(const glia_type *in, int n_in, const void *attrs) {
    const uint32_t pair = glia__rows_pair(in, n_in, attrs);
    return pair && !is_mean(attrs) ? pair | 4 : pair;
}

static double pair_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return 4.0 * (double)glia_shape_elems(&in[0].shape);
}

/* What the expressions may use: h and y, d = h − y, and the attribute in `delta`. */
static double delta_of(const glia_call *c) {
    return ((const glia_huber_attrs *)c->attrs)->delta;
}

#define PAIR_REF(op_name, DELTA, VALUE, SLOPE)                                                       \
    PAIR_LOOPS(GLIA_CPU_CLONES, op_name, float, VALUE, SLOPE)                                        \
    PAIR_LOOPS(GLIA_CPU_PLAIN, op_name, double, VALUE, SLOPE)                                        \
    static glia_status op_name##_ref(const glia_call *c) {                                           \
        const int64_t n = glia_shape_elems(&c->in[0].shape);                                         \
        const double delta = DELTA, whole = (double)GLIA_MAX(glia__whole_elems(c, 0), 1);            \
        if (!is_mean(c->attrs) && c->out[0].dtype == GLIA_F64)                                       \
            op_name##_each_double(c, delta);                                                         \
        else if (!is_mean(c->attrs))                                                                 \
            op_name##_each_float(c, (float)delta);                                                   \
        else if (c->out[0].dtype == GLIA_F64)                                                        \
            *(double *)c->out[0].data =                                                              \
                op_name##_sum_double(c->in[0].data, c->in[1].data, n, delta) / whole;                \
        else                                                                                         \
            *(float *)c->out[0].data =                                                               \
                (float)(op_name##_sum_float(c->in[0].data, c->in[1].data, n, (float)delta) / whole); \
        return GLIA_OK;                                                                              \
    }                                                                                                \
    static glia_status op_name##_backward_ref(const glia_call *c) {                                  \
        const double delta = DELTA;                                                                  \
        if (c->out[0].dtype == GLIA_F64)                                                             \
            op_name##_slopes_double(c, delta);                                                       \
        else                                                                                         \
            op_name##_slopes_float(c, (float)delta);                                                 \
        return GLIA_OK;                                                                              \
    }                                                                                                \
    static void op_name##_grad(glia_gradient *g) {                                                   \
        glia_value *in[] = {g->x[0], g->x[1], g->dy[0]};                                             \
        glia_value *dh = glia_graph_apply(g->graph, #op_name "_backward", in, 3, g->attrs);          \
        if (g->needed[0]) g->dx[0] = dh;                                                             \
        if (g->needed[1]) g->dx[1] = op_name##_target_gradient(g, dh);                               \
    }
#define PAIR_LOOPS(function, op_name, T, VALUE, SLOPE)                                                    \
    GLIA_CPU_INLINE T op_name##_value_##T(T h, T y, T delta) {                                            \
        const T d = h - y;                                                                                \
        (void)d, (void)delta;                                                                             \
        return (T)(VALUE);                                                                                \
    }                                                                                                     \
    GLIA_CPU_INLINE T op_name##_slope_##T(T h, T y, T delta) {                                            \
        const T d = h - y;                                                                                \
        (void)d, (void)delta;                                                                             \
        return (T)(SLOPE);                                                                                \
    }                                                                                                     \
    function(double, op_name##_sum_##T, (const T *h, const T *y, int64_t n, T delta), (h, y, n, delta)) { \
        double total;                                                                                     \
        GLIA_ROW_SUM(total, n, op_name##_value_##T(h[k], y[k], delta));                                   \
        return total;                                                                                     \
    }                                                                                                     \
    function(void, op_name##_slopes_##T, (const glia_call *c, T delta), (c, delta)) {                     \
        const int64_t n = glia_shape_elems(&c->in[0].shape);                                              \
        const T *h = c->in[0].data, *y = c->in[1].data;                                                   \
        const T *dy = c->in[2].data;                                                                      \
        const T scale = *dy / (T)GLIA_MAX(glia__whole_elems(c, 0), 1);                                    \
        T *dh = c->out[0].data;                                                                           \
        if (is_mean(c->attrs))                                                                            \
            for (int64_t i = 0; i < n; i++) dh[i] = scale * op_name##_slope_##T(h[i], y[i], delta);       \
        else                                                                                              \
            for (int64_t i = 0; i < n; i++) dh[i] = dy[i] * op_name##_slope_##T(h[i], y[i], delta);       \
    }                                                                                                     \
    function(void, op_name##_each_##T, (const glia_call *c, T delta), (c, delta)) {                       \
        const int64_t n = glia_shape_elems(&c->in[0].shape);                                              \
        const T *h = c->in[0].data, *y = c->in[1].data;                                                   \
        T *each = c->out[0].data;                                                                         \
        for (int64_t i = 0; i < n; i++) each[i] = op_name##_value_##T(h[i], y[i], delta);                 \
    }

static glia_value *opposite(glia_gradient *g, glia_value *dh) {
    (void)g;
    return glia__apply1("neg", dh);
}
#define mse_target_gradient      opposite
#define half_mse_target_gradient opposite
#define mae_target_gradient      opposite
#define huber_target_gradient    opposite

/* d/dy of −y·log σ(h) − (1−y)·log(1−σ(h)) is −h, over the count. */
static glia_value *sigmoid_cross_entropy_target_gradient(glia_gradient *g, glia_value *dh) {
    (void)dh;
    glia_value *inputs[] = {g->dy[0], g->x[0]};
    if (!is_mean(g->attrs)) return glia__apply1("neg", glia__apply2("mul", g->x[0], g->dy[0]));
    glia_value *share = glia_graph_apply_text(g->graph, "broadcast_like", inputs, 2, "mean=yes");
    return glia__apply1("neg", glia__apply2("mul", g->x[0], share));
}

#define PAIR_CASES(kind)                                                            \
    GLIA_CASES({.inputs = "4x5" kind " 4x5:unit"}, {.inputs = "7" kind " 7:unit"},  \
               {.inputs = "scalar scalar"}, {.inputs = "2x3x4" kind " 2x3x4:unit"}, \
               {.inputs = "2x3x4" kind " 2x3x4:unit", .attrs = "reduction=none"},   \
               {.inputs = "4x5 4x6", .expect_error = "must have one shape and dtype"})

#define PAIR_BLOCKS .version = 1, .flops = pair_flops, .attrs_size = sizeof(glia_huber_attrs)

#define REDUCTION_FIELD                                                                                  \
    {                                                                                                    \
        .name = "reduction", .kind = GLIA_FIELD_CHOICE, .offset = offsetof(glia_huber_attrs, reduction), \
        .initial = "mean", .choices = "mean|none",                                                       \
        .doc = "mean over all elements, or none: a number for each"                                      \
    }
#define PAIR_FIELDS .attrs = GLIA_FIELDS(REDUCTION_FIELD)

/* The backward op of a loss; its block stands beside the loss's. */
#define PAIR_BACKWARD(op_name)                                                                            \
    PAIR_BLOCKS,                                                                                          \
        .name = #op_name "_backward", .min_inputs = 3, .max_inputs = 3,                                   \
        .doc = "d(" #op_name ")/dh of h, y and the gradient of the loss",                                 \
        .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,                      \
        .infer = pair_backward_infer, .ref = op_name##_backward_ref, .rows = pair_backward_rows,          \
        .cases = GLIA_CASES(                                                                              \
            {.inputs = "4x5 4x5:unit scalar"}, {.inputs = "4x5 4x5:unit 4x5", .attrs = "reduction=none"}, \
            {.inputs = "4x5 4x5 4", .attrs = "reduction=none", .expect_error = "has its shape"},          \
            {.inputs = "4x5 4x5 2", .expect_error = "is a scalar"})

#define PAIR_LOSS(op_name, formula, kind)                                                            \
    PAIR_BLOCKS, .name = #op_name, .doc = formula, .min_inputs = 2, .max_inputs = 2,                 \
                 .traits = GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_C, .infer = pair_infer,                \
                 .grad = op_name##_grad, .ref = op_name##_ref, .rows = pair_rows, .sums = pair_sums, \
                 .cases = PAIR_CASES(kind)

PAIR_REF(mse, 0, d *d, 2 * d)
GLIA_OP(mse) = {PAIR_LOSS(mse, "mean of (h − y)²", ""), PAIR_FIELDS};
GLIA_OP(mse_backward) = {PAIR_BACKWARD(mse), PAIR_FIELDS};
glia_value *glia_op_mse(glia_value *h, glia_value *y) {
    return glia__apply2("mse", h, y);
}

PAIR_REF(half_mse, 0, 0.5 * d * d, d)
GLIA_OP(half_mse) = {PAIR_LOSS(half_mse, "mean of ½(h − y)²", ""), PAIR_FIELDS};
GLIA_OP(half_mse_backward) = {PAIR_BACKWARD(half_mse), PAIR_FIELDS};
glia_value *glia_op_half_mse(glia_value *h, glia_value *y) {
    return glia__apply2("half_mse", h, y);
}

PAIR_REF(mae, 0, fabs(d), (d > 0) - (d < 0))
GLIA_OP(mae) = {PAIR_LOSS(mae, "mean of |h − y|", ":away"), PAIR_FIELDS};
GLIA_OP(mae_backward) = {PAIR_BACKWARD(mae), PAIR_FIELDS};
glia_value *glia_op_mae(glia_value *h, glia_value *y) {
    return glia__apply2("mae", h, y);
}

/* max(h, 0) − h·y + log(1 + e^−|h|): no overflow for any h. */
PAIR_REF(sigmoid_cross_entropy, 0, (h > 0 ? h : 0) - h * y + log1p(exp(-fabs(h))), 1 / (1 + exp(-h)) - y)
GLIA_OP(sigmoid_cross_entropy) = {
    PAIR_LOSS(sigmoid_cross_entropy, "mean of −y·log σ(h) − (1 − y)·log(1 − σ(h))", ""), PAIR_FIELDS};
GLIA_OP(sigmoid_cross_entropy_backward) = {PAIR_BACKWARD(sigmoid_cross_entropy), PAIR_FIELDS};
glia_value *glia_op_sigmoid_cross_entropy(glia_value *h, glia_value *y) {
    return glia__apply2("sigmoid_cross_entropy", h, y);
}

#define HUBER_FIELDS                                                               \
    .attrs = GLIA_FIELDS({.name = "delta",                                         \
                          .kind = GLIA_FIELD_FLOAT,                                \
                          .offset = offsetof(glia_huber_attrs, delta),             \
                          .initial = "1",                                          \
                          .min = 1e-12,                                            \
                          .max = 1e12,                                             \
                          .doc = "where the loss turns from quadratic to linear"}, \
                         REDUCTION_FIELD)

PAIR_REF(huber, delta_of(c), fabs(d) <= delta ? 0.5 * d * d : delta * (fabs(d) - 0.5 * delta),
         d > delta    ? delta
         : d < -delta ? -delta
                      : d)
GLIA_OP(huber) = {PAIR_LOSS(huber, "mean of ½d² for |d| ≤ δ, δ(|d| − ½δ) above, d = h − y", ""),
                  .source = "Huber, Robust Estimation of a Location Parameter, 1964", HUBER_FIELDS};
GLIA_OP(huber_backward) = {PAIR_BACKWARD(huber), HUBER_FIELDS};
glia_value *glia_op_huber(glia_value *h, glia_value *y, glia_huber_attrs attrs) {
    glia_value *in[] = {h, y};
    return glia_graph_apply(glia_value_graph(h ? h : y), "huber", in, 2, &attrs);
}
