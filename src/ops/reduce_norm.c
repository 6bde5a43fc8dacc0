/* reduce_norm.c: sums of a function of the elements over any axes: norms, and logarithms of sums.
 *
 * As in reduce.c, floats are added in double, in several lanes, and rounded once. */

#include <math.h>

#include "ops/reducer.h"

#ifdef GLIA_OPS_HEADER
/* Over any axes of f32 or f64. Of nothing: 0, and −∞ for the logarithms. */
GLIA_API glia_value *glia_op_l1_norm(glia_value *x, glia_reduce_attrs attrs); /* Σ |x| */
GLIA_API glia_value *glia_op_l2_norm(glia_value *x, glia_reduce_attrs attrs); /* √Σ x²; gradient 0 at 0 */
GLIA_API glia_value *glia_op_sum_square(glia_value *x, glia_reduce_attrs attrs); /* Σ x² */
GLIA_API glia_value *glia_op_log_sum(glia_value *x, glia_reduce_attrs attrs);    /* ln Σ x */
GLIA_API glia_value *glia_op_log_sum_exp(glia_value *x,
                                         glia_reduce_attrs attrs); /* ln Σ eˣ, without overflow */
#endif                                                             /* GLIA_OPS_HEADER */

#define REDUCERS(op, next, last)                                                 \
    GLIA_REDUCER(GLIA_CPU_CLONES, op##_f32, float, double, 0, next, a + x, last) \
    GLIA_REDUCER(GLIA_CPU_PLAIN, op##_f64, double, double, 0, next, a + x, last)
REDUCERS(l1_norm, a + fabs(x), a)
REDUCERS(l2_norm, a + x * x, sqrt(a))
REDUCERS(sum_square, a + x * x, a)
REDUCERS(log_sum, a + x, log(a))

/* ln Σ eˣ = max + ln sum, where sum = Σ e^(x − max) of the largest so far. */
typedef struct exp_sum {
    double max, sum;
} exp_sum;

static void exp_sum_start(void *acc_, int64_t n) {
    exp_sum *acc = acc_;
    for (int64_t i = 0; i < n; i++) acc[i] = (exp_sum){-INFINITY, 0};
}

/* Equal ones add 1 without a difference, which would be NaN of infinities. */
static inline void exp_sum_take(exp_sum *a, double x) {
    if (x > a->max) {
        a->sum = a->sum * exp(a->max - x) + 1;
        a->max = x;
    } else {
        a->sum += x == a->max ? 1 : exp(x - a->max);
    }
}

#define EXP_SUM(type)                                                                           \
    static void exp_sum_across_##type(void *acc, const void *x_, int64_t n, int64_t index) {    \
        const type *x = x_;                                                                     \
        (void)index;                                                                            \
        for (int64_t i = 0; i < n; i++) exp_sum_take((exp_sum *)acc + i, (double)x[i]);         \
    }                                                                                           \
    static void exp_sum_along_##type(void *acc, const void *x_, int64_t n, int64_t index) {     \
        const type *x = x_;                                                                     \
        (void)index;                                                                            \
        for (int64_t i = 0; i < n; i++) exp_sum_take(acc, (double)x[i]);                        \
    }                                                                                           \
    static void exp_sum_finish_##type(void *out_, const void *acc_, int64_t n, int64_t count) { \
        const exp_sum *acc = acc_;                                                              \
        type *out = out_;                                                                       \
        (void)count;                                                                            \
        for (int64_t i = 0; i < n; i++) out[i] = (type)(acc[i].max + log(acc[i].sum));          \
    }
EXP_SUM(float)
EXP_SUM(double)
static const glia_reducer log_sum_exp_f32 = {sizeof(exp_sum), exp_sum_start, exp_sum_across_float,
                                             exp_sum_along_float, exp_sum_finish_float};
static const glia_reducer log_sum_exp_f64 = {sizeof(exp_sum), exp_sum_start, exp_sum_across_double,
                                             exp_sum_along_double, exp_sum_finish_double};

/* A result, or its gradient, back at every place that it came from. */
static glia_value *spread(const glia_gradient *g, glia_value *small) {
    return glia__reduce_spread(g, small, false);
}

static glia_value *times(glia_value *a, glia_value *b) {
    return glia__apply2("mul", a, b);
}

static void l1_norm_grad(glia_gradient *g) {
    g->dx[0] = times(spread(g, g->dy[0]), glia__apply1("sign", g->x[0]));
}

static void l2_norm_grad(glia_gradient *g) {
    glia_value *y = g->y[0], *zero = glia__number(y, 0);
    glia_value *share =
        glia__apply3("where", glia__apply2("equal", y, zero), zero, glia__apply2("div", g->dy[0], y));
    g->dx[0] = times(spread(g, share), g->x[0]);
}

static void sum_square_grad(glia_gradient *g) {
    g->dx[0] = times(spread(g, glia__scaled(g->dy[0], 2)), g->x[0]);
}

/* dy/Σ x = dy·e⁻ʸ */
static void log_sum_grad(glia_gradient *g) {
    g->dx[0] = spread(g, times(g->dy[0], glia__apply1("exp", glia__apply1("neg", g->y[0]))));
}

static void log_sum_exp_grad(glia_gradient *g) {
    glia_value *share = glia__apply1("exp", glia__apply2("sub", g->x[0], spread(g, g->y[0])));
    g->dx[0] = times(spread(g, g->dy[0]), share);
}

#define CASES(kind)                                                                                          \
    .cases = GLIA_CASES(                                                                                     \
        {.inputs = "4x5:" kind}, {.inputs = "4x5:" kind, .attrs = "axes=0"},                                 \
        {.inputs = "4x5:" kind, .attrs = "axes=1 keep_dims=yes"},                                            \
        {.inputs = "3x37:" kind, .attrs = "axes=-1"}, {.inputs = "3x270:" kind, .attrs = "axes=0"},          \
        {.inputs = "2x3x4x5:" kind, .attrs = "axes=0,2,3"},                                                  \
        {.inputs = "2x3x4:" kind, .attrs = "axes=-3,-1"}, {.inputs = "1:" kind}, {.inputs = "scalar:" kind}, \
        {.inputs = "3x0:" kind, .attrs = "axes=0"},                                                          \
        {.inputs = "4x5", .attrs = "axes=2", .expect_error = "axis 2 is out of range for 2 dimensions"},     \
        {.inputs = "3:i64<9", .expect_error = "expected f32 or f64, found i64 3"})

static void norm_to_onnx(glia_to_onnx *w) {
    glia__reduce_to_onnx(w, 18);
}

#define NORM_OP(op, ...)                                                                   \
    GLIA_REDUCE_OP(op, c->in[0].dtype == GLIA_F64 ? &op##_f64 : &op##_f32,                 \
                   .infer = glia__reduce_infer_float, .grad = op##_grad, .onnx_since = 13, \
                   .onnx_write = norm_to_onnx, __VA_ARGS__)

NORM_OP(l1_norm, .doc = "y = Σ |x|", .onnx = "ReduceL1", CASES("away"));
NORM_OP(l2_norm, .doc = "y = √Σ x²; gradient 0 at 0", .onnx = "ReduceL2", CASES("pos"));
NORM_OP(sum_square, .doc = "y = Σ x²", .onnx = "ReduceSumSquare", CASES("away"));
NORM_OP(log_sum, .doc = "y = ln Σ x", .onnx = "ReduceLogSum", CASES("pos"));
NORM_OP(log_sum_exp, .doc = "y = ln Σ eˣ", .onnx = "ReduceLogSumExp", CASES("away"));
