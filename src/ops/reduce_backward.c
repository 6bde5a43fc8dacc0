/* reduce_backward.c: gradients of max, min and prod, which look at the input again. Inputs: dy and y (shape
 * of the result), x. */

#include "ops/broadcast.h"
#include "ops/reduction.h"

static glia_status backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    const glia__like_attrs *a = attrs;
    glia_shape full;
    (void)n_in;
    GLIA_TRY(glia__check_float(&in[2], err));
    for (int i = 0; i < 2; i++) {
        GLIA_TRY(glia__check_same_dtype(&in[i], &in[2], err));
        GLIA_TRY(glia__like_shape(&in[i].shape, &in[2].shape, &a->axes, &full, err));
    }
    if (!glia_shape_equal(&in[0].shape, &in[1].shape)) {
        char dy[128], y[128];
        return glia_error_set(err, GLIA_BAD_SHAPE, "dy %s and y %s differ",
                              glia_shape_text(&in[0].shape, dy, sizeof dy),
                              glia_shape_text(&in[1].shape, y, sizeof y));
    }
    out[0] = in[2];
    return GLIA_OK;
}

/* All inputs have dimension 0 when the small ones do not lack it. */
static uint32_t backward_rows(const glia_type *in, int n_in, const void *attrs) {
    const glia__like_attrs *a = attrs;
    (void)n_in;
    for (int i = 0; i < a->axes.rank; i++)
        if (a->axes.dim[i] == 0) return 0;
    if (in[0].shape.rank == 0 || in[0].shape.rank + a->axes.rank != in[2].shape.rank) return 0;
    return in[0].shape.dim[0] == in[2].shape.dim[0] ? 7 : 0;
}

/* Two numbers for each result. */
static size_t backward_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return 2 * sizeof(double) * (size_t)glia_shape_elems(&in[0].shape);
}

/* The two passes over x, in each of which small arrays broadcast beside it: `gather` collects from x, which
 * stands in the place of an output, to small arrays, which stand in the place of inputs; then `spread` writes
 * dx. */
typedef struct passes {
    glia__broadcast_row *gather, *spread;
} passes;

/* Small arrays: two of doubles in the workspace, `first` and `second`, and y. */
static glia_status run_passes(const glia_call *c, const passes *rows, bool with_y, double first,
                              double second, void (*between)(const glia_call *c, int64_t n)) {
    const glia__like_attrs *a = c->attrs;
    const glia_view *x = &c->in[2];
    glia_shape full;
    GLIA_TRY(glia__like_shape(&c->in[0].shape, &x->shape, &a->axes, &full, c->err));
    int64_t n = glia_shape_elems(&c->in[0].shape);
    double *work = c->workspace;
    for (int64_t i = 0; i < n; i++) {
        work[i] = first;
        work[n + i] = second;
    }
    glia_view y = {c->in[1].data, x->dtype, full}, work_0 = {work, GLIA_F64, full},
              work_1 = {work + n, GLIA_F64, full}, x_as_output = *x;
    glia_call gather = {.in = (glia_view[]){with_y ? y : work_1, work_0}, .n_in = 2, .out = &x_as_output};
    glia__broadcast_run(&gather, rows->gather);
    between(c, n);
    glia_call spread = {.in = (glia_view[]){*x, with_y ? y : work_1, work_0}, .n_in = 3, .out = c->out};
    glia__broadcast_run(&spread, rows->spread);
    return GLIA_OK;
}

static double number_at(const glia_view *view, int64_t i) {
    return view->dtype == GLIA_F64 ? ((const double *)view->data)[i] : ((const float *)view->data)[i];
}

/* --- max and min: dy goes to the places that hold the result, in even parts --------------------------------
 */

#define EXTREME_ROWS(type)                                                                         \
    static void count_##type(void *x_, const void *const *in, const int64_t *step, int64_t n) {    \
        const type *x = x_, *y = in[0];                                                            \
        double *count = (double *)in[1];                                                           \
        for (int64_t i = 0; i < n; i++) count[i * step[1]] += x[i] == y[i * step[0]];              \
    }                                                                                              \
    static void extreme_##type(void *dx_, const void *const *in, const int64_t *step, int64_t n) { \
        const type *x = in[0], *y = in[1];                                                         \
        const double *share = in[2];                                                               \
        type *dx = dx_;                                                                            \
        for (int64_t i = 0; i < n; i++)                                                            \
            dx[i] = x[i * step[0]] == y[i * step[1]] ? (type)share[i * step[2]] : 0;               \
    }
EXTREME_ROWS(float)
EXTREME_ROWS(double)

static void divide_by_count(const glia_call *c, int64_t n) {
    double *count = c->workspace;
    for (int64_t i = 0; i < n; i++) count[i] = number_at(&c->in[0], i) / count[i];
}

static glia_status extreme_backward_ref(const glia_call *c) {
    static const passes f32 = {count_float, extreme_float}, f64 = {count_double, extreme_double};
    return run_passes(c, c->out[0].dtype == GLIA_F64 ? &f64 : &f32, true, 0, 0, divide_by_count);
}

#define BACKWARD_BLOCK                                                                                       \
    .version = 1, .min_inputs = 3, .max_inputs = 3,                                                          \
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT, .attrs = glia__like_fields, \
    .attrs_size = sizeof(glia__like_attrs), .infer = backward_infer, .rows = backward_rows,                  \
    .workspace = backward_workspace
#define BACKWARD_CASES                                                                                    \
    .cases = GLIA_CASES({.inputs = "4 4 4x5", .attrs = "axes=1"}, {.inputs = "4x1 4x1 4x5"},              \
                        {.inputs = "5 5 4x5", .attrs = "axes=0"}, {.inputs = "scalar scalar 2x3"},        \
                        {.inputs = "3 3 2x3x4", .attrs = "axes=0,2"}, {.inputs = "scalar scalar scalar"}, \
                        {.inputs = "0 0 3x0", .attrs = "axes=0"}, {.inputs = "5 5 5x5"},                  \
                        {.inputs = "4 4 4x5", .expect_error = "4 does not broadcast to 4×5"},             \
                        {.inputs = "4 1 4x5", .attrs = "axes=1", .expect_error = "dy 4 and y 1 differ"},  \
                        {.inputs = "4 4 4:i64<9", .expect_error = "expected f32 or f64, found i64 4"})

GLIA_OP(extreme_backward) = {
    .name = "extreme_backward",
    .doc = "dx = dy where x = y, shared evenly among ties, else 0",
    BACKWARD_BLOCK,
    .ref = extreme_backward_ref,
    BACKWARD_CASES,
};

/* --- prod: dy times the product of all other elements, also when some are zero
 * ------------------------------ */

#define PROD_ROWS(type)                                                                            \
    static void multiply_##type(void *x_, const void *const *in, const int64_t *step, int64_t n) { \
        const type *x = x_;                                                                        \
        double *zeros = (double *)in[0], *product = (double *)in[1];                               \
        for (int64_t i = 0; i < n; i++) {                                                          \
            zeros[i * step[0]] += x[i] == 0;                                                       \
            if (x[i] != 0) product[i * step[1]] *= (double)x[i];                                   \
        }                                                                                          \
    }                                                                                              \
    static void prod_##type(void *dx_, const void *const *in, const int64_t *step, int64_t n) {    \
        const type *xs = in[0];                                                                    \
        const double *zeros = in[1], *product = in[2];                                             \
        type *dx = dx_;                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const double x = (double)xs[i * step[0]], others = product[i * step[2]];               \
            const double missing = zeros[i * step[1]] - (x == 0); /* zeros among the others */     \
            dx[i] = (type)(missing > 0 ? 0 : x == 0 ? others : others / x);                        \
        }                                                                                          \
    }
PROD_ROWS(float)
PROD_ROWS(double)

static void times_dy(const glia_call *c, int64_t n) {
    double *product = c->workspace;
    for (int64_t i = 0; i < n; i++) product[i] *= number_at(&c->in[0], i);
}

static glia_status prod_backward_ref(const glia_call *c) {
    static const passes f32 = {multiply_float, prod_float}, f64 = {multiply_double, prod_double};
    return run_passes(c, c->out[0].dtype == GLIA_F64 ? &f64 : &f32, false, 1, 0, times_dy);
}

GLIA_OP(prod_backward) = {
    .name = "prod_backward",
    .doc = "dx = dy · (product of the other elements)",
    BACKWARD_BLOCK,
    .ref = prod_backward_ref,
    BACKWARD_CASES,
};
