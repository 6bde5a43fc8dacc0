/* softmax.c: softmax and log_softmax along one axis, and their backward ops. */

#include "graph/step.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/lines.h"
#include "ops/rows.h"

#ifdef GLIA_OPS_HEADER
/* e^(x − max) / Σ e^(x − max) along `axis` (negative: from the end; −1 is usual). f32 or f64, same shape. */
GLIA_API glia_value *glia_op_softmax(glia_value *x, int64_t axis);
/* ln softmax(x), without the underflow of taking the logarithm afterwards. */
GLIA_API glia_value *glia_op_log_softmax(glia_value *x, int64_t axis);
#endif /* GLIA_OPS_HEADER */

typedef struct softmax_attrs {
    int64_t axis;
} softmax_attrs;

static glia_lines split_at_axis(const glia_shape *shape, const void *attrs) {
    return glia__lines_of(shape, ((const softmax_attrs *)attrs)->axis);
}

/* A row of n elements next to each other: y from a, and from b in backward ops. y may be a. */
typedef void row_function(void *y, const void *a, const void *b, int64_t n);

/* Lines that do not lie in a row pass through the workspace. */
static size_t softmax_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)in;
    const glia_lines l = split_at_axis(&out[0].shape, attrs);
    return l.inner > 1 ? 3 * (size_t)l.n * glia_dtype_bytes(out[0].dtype) : 0;
}

#define COPY_LINE(to, to_step, from, from_step) \
    for (int64_t k = 0; k < l.n; k++) (to)[k * (to_step)] = (from)[k * (from_step)]

static void run_lines(const glia_call *c, row_function *f32, row_function *f64) {
    const glia_lines l = split_at_axis(&c->out[0].shape, c->attrs);
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        row_function *row = sizeof(T) == sizeof(double) ? f64 : f32;
        const T *a = c->in[0].data;
        const T *b = c->n_in > 1 ? c->in[1].data : a;
        T *y = c->out[0].data;
        T *line = c->workspace;
        for (int64_t i = 0; i < l.outer * l.inner && l.n > 0; i++) {
            const int64_t at = glia__line_at(&l, i);
            if (l.inner == 1) {
                row(y + at, a + at, b + at, l.n);
                continue;
            }
            COPY_LINE(line, 1, a + at, l.inner);
            COPY_LINE(line + l.n, 1, b + at, l.inner);
            row(line + 2 * l.n, line, line + l.n, l.n);
            COPY_LINE(y + at, l.inner, line + 2 * l.n, 1);
        }
    });
}

/* Defines op_ref by what happens to a row: y[n] from a[n] and b[n]. */
#define ROW_REF(op, ...)                               \
    ROW(GLIA_CPU_CLONES, op##_f32, float, __VA_ARGS__) \
    ROW(GLIA_CPU_PLAIN, op##_f64, double, __VA_ARGS__) \
    static glia_status op##_ref(const glia_call *c) {  \
        run_lines(c, op##_f32, op##_f64);              \
        return GLIA_OK;                                \
    }
#define ROW(function, name, type, ...)                                                             \
    function(void, name, (void *y_, const void *a_, const void *b_, int64_t n), (y_, a_, b_, n)) { \
        typedef type T;                                                                            \
        const T *a = a_, *b = b_;                                                                  \
        T *y = y_;                                                                                 \
        (void)b;                                                                                   \
        __VA_ARGS__                                                                                \
    }

/* A line of −inf only, or with +inf, gives NaN. */
ROW_REF(softmax, {
    const T scale = (T)(1 / glia__row_exp(y, a, glia__row_max(a, n), n));
    for (int64_t k = 0; k < n; k++) y[k] *= scale;
})

ROW_REF(log_softmax, {
    const T top = glia__row_max(a, n);
    const T shift = (T)log(glia__row_exp((T *)NULL, a, top, n));
    for (int64_t k = 0; k < n; k++) y[k] = a[k] - top - shift;
})

ROW_REF(softmax_backward, {
    double dot;
    GLIA_ROW_SUM(dot, n, a[k] * b[k]);
    for (int64_t k = 0; k < n; k++) y[k] = b[k] * (a[k] - (T)dot);
})

ROW_REF(log_softmax_backward, {
    double total;
    GLIA_ROW_SUM(total, n, a[k]);
    for (int64_t k = 0; k < n; k++) y[k] = a[k] - exp(b[k]) * (T)total;
})

/* --- in C ------------------------------------------------------------------------------------------------- */

/* The largest of every line, then Σ e^(x − m), which the result's own places keep where `keeps`; in between the loops of
 * the line are closed, and open for the last step. */
static void emit_sum(glia_c *c, const glia_c_call *call, bool keeps) {
    const glia_lines l = split_at_axis(&call->out[0].type.shape, call->attrs);
    const char *x = call->in[0].name;
    const long long step = (long long)l.inner;
    glia__c_need(c, GLIA_C_EXP);
    glia__c_for(c, "n", l.outer);
    glia__c_for(c, "i", l.inner);
    glia__c_line(c, "const int p = n * %lld + i;", (long long)(l.n * l.inner));
    glia__c_line(c, "float m = %s[p];", x);
    glia__c_line(c, "double s = 0;");
    glia__c_for(c, "k", l.n);
    glia__c_line(c, "const float v = %s[p + k * %lld];", x, step);
    glia__c_line(c, "if (v > m || v != v) m = v;");
    glia__c_end(c);
    glia__c_for(c, "k", l.n);
    glia__c_line(c, "const float e = %s_exp(%s[p + k * %lld] - m);", c->prefix, x, step);
    if (keeps) glia__c_line(c, "%s[p + k * %lld] = e;", call->out[0].name, step);
    glia__c_line(c, "s += (double)e;");
    glia__c_end(c);
}

static void emit_results(glia_c *c, const glia_c_call *call, const char *array, const char *rest) {
    const glia_lines l = split_at_axis(&call->out[0].type.shape, call->attrs);
    char at[64], value[128];
    snprintf(at, sizeof at, "p + k * %lld", (long long)l.inner);
    snprintf(value, sizeof value, "%s[%s] %s", array, at, rest);
    glia__c_for(c, "k", l.n);
    glia__c_store(c, call, at, value);
    for (int i = 0; i < 3; i++) glia__c_end(c);
}

GLIA_EMIT(softmax) {
    emit_sum(c, call, true);
    glia__c_line(c, "const float scale = (float)(1 / s);");
    emit_results(c, call, call->out[0].name, "* scale");
    return GLIA_OK;
}

GLIA_EMIT(log_softmax) {
    emit_sum(c, call, false);
    glia__c_need(c, GLIA_C_MATH);
    glia__c_line(c, "const float shift = (float)log(s);");
    emit_results(c, call, call->in[0].name, "- m - shift");
    return GLIA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- */

static glia_status softmax_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    const softmax_attrs *a = attrs;
    char text[160], other[160];
    GLIA_TRY(glia__check_float(&in[0], err));
    GLIA_TRY(glia__check_axis(&in[0].shape, a->axis, err));
    if (n_in == 2 && (in[0].dtype != in[1].dtype || !glia_shape_equal(&in[0].shape, &in[1].shape)))
        return glia_error_set(err, GLIA_BAD_SHAPE, "dy %s and y %s differ",
                              glia__type_text(&in[0], text, sizeof text),
                              glia__type_text(&in[1], other, sizeof other));
    out[0] = in[0];
    return GLIA_OK;
}

/* Rows are independent unless dimension 0 is the axis. */
static uint32_t softmax_rows(const glia_type *in, int n_in, const void *attrs) {
    const uint32_t all = glia__rows_all(in, n_in, attrs);
    return glia__rows_unless_first(((const softmax_attrs *)attrs)->axis, in[0].shape.rank, all);
}

/* An exponential counts as ten operations. */
static double softmax_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)in, (void)attrs;
    return 14.0 * (double)glia_shape_elems(&out[0].shape);
}

static double softmax_backward_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)in, (void)attrs;
    return 4.0 * (double)glia_shape_elems(&out[0].shape);
}

static glia_value *backward(const char *op, const glia_gradient *g, glia_value *y) {
    return glia_graph_apply(g->graph, op, (glia_value *[]){g->dy[0], y}, 2, g->attrs);
}

static void softmax_grad(glia_gradient *g) {
    g->dx[0] = backward("softmax_backward", g, g->y[0]);
}

static void log_softmax_grad(glia_gradient *g) {
    g->dx[0] = backward("log_softmax_backward", g, g->y[0]);
}

/* Σ along the axis, kept as a dimension of 1. */
static glia_value *sum_line(const glia_gradient *g, glia_value *x) {
    if (glia_value_shape(x).rank == 0) return x;
    glia_reduce_attrs sum = {.keep_dims = GLIA_YES};
    sum.axes = GLIA_SHAPE(((const softmax_attrs *)g->attrs)->axis);
    return glia_op_sum(x, sum);
}

/* dx = y(dy − Σ dy·y). With e for the gradient of dx: d(dy) = y(e − Σ e·y), the same op;
 * dy = e(dy − Σ dy·y) − dy Σ e·y. */
static void softmax_backward_grad(glia_gradient *g) {
    glia_value *e = g->dy[0], *dy = g->x[0], *y = g->x[1];
    if (g->needed[0]) g->dx[0] = backward("softmax_backward", g, y);
    if (g->needed[1]) {
        glia_value *first = glia_op_mul(e, glia_op_sub(dy, sum_line(g, glia_op_mul(dy, y))));
        g->dx[1] = glia_op_sub(first, glia_op_mul(dy, sum_line(g, glia_op_mul(e, y))));
    }
}

/* dx = dy − eʸ Σ dy. With e for the gradient of dx: d(dy) = e − Σ e·eʸ; d(y) = −e·eʸ Σ dy. */
static void log_softmax_backward_grad(glia_gradient *g) {
    glia_value *e = g->dy[0], *dy = g->x[0], *weighted = glia_op_mul(e, glia_op_exp(g->x[1]));
    if (g->needed[0]) g->dx[0] = glia_op_sub(e, sum_line(g, weighted));
    if (g->needed[1]) g->dx[1] = glia_op_neg(glia_op_mul(weighted, sum_line(g, dy)));
}

static void softmax_step(glia_stepping *s) {
    glia__step_vectors(s, ((const softmax_attrs *)s->node->attrs)->axis);
}

static const glia_field softmax_fields[] = {
    {.name = "axis",
     .kind = GLIA_FIELD_INT,
     .offset = offsetof(softmax_attrs, axis),
     .initial = "-1",
     .doc = "dimension that sums to 1; negative ones count from the end"},
    {.name = NULL}};

#define SOFTMAX_OP(op, inputs_, flops_rule, ...)        \
    GLIA_OP(op) = {.name = #op,                         \
                   .version = 1,                        \
                   .min_inputs = inputs_,               \
                   .max_inputs = inputs_,               \
                   .attrs = softmax_fields,             \
                   .attrs_size = sizeof(softmax_attrs), \
                   .infer = softmax_infer,              \
                   .grad = op##_grad,                   \
                   .ref = op##_ref,                     \
                   .workspace = softmax_workspace,      \
                   .rows = softmax_rows,                \
                   .flops = flops_rule,                 \
                   __VA_ARGS__}
#define FORWARD                                                                                            \
    .traits = GLIA_TRAIT_INPLACE | GLIA_TRAIT_ACTIVATION,                                                  \
    .cases =                                                                                               \
        GLIA_CASES({.inputs = "4x5"}, {.inputs = "4x5", .attrs = "axis=0"},                                \
                   {.inputs = "2x3x4", .attrs = "axis=1"}, {.inputs = "2x3x4", .attrs = "axis=-3"},        \
                   {.inputs = "3x300"}, {.inputs = "2x40x3", .attrs = "axis=1"}, {.inputs = "3x1"},        \
                   {.inputs = "7"}, {.inputs = "scalar"}, {.inputs = "0x3"}, {.inputs = "3x0"},            \
                   {.inputs = "4x5", .attrs = "axis=2", .expect_error = "axis 2 is out of range for 4×5"}, \
                   {.inputs = "3:i64<9", .expect_error = "expected f32 or f64, found i64 3"})
#define BACKWARD(kind)                                                                               \
    .traits = GLIA_TRAIT_INPLACE | GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,                         \
    .cases = GLIA_CASES({.inputs = "4x5 4x5:" kind}, {.inputs = "4x5 4x5:" kind, .attrs = "axis=0"}, \
                        {.inputs = "2x3x4 2x3x4:" kind, .attrs = "axis=1"},                          \
                        {.inputs = "scalar scalar:" kind}, {.inputs = "0x3 0x3"},                    \
                        {.inputs = "4x5 5", .expect_error = "dy f32 4×5 and y f32 5 differ"})

/* ONNX's has no axis to take in a scalar. */
static void softmax_to_onnx(glia_to_onnx *w) {
    if (w->node->inputs[0]->type.shape.rank) {
        glia__to_onnx_same(w);
        return;
    }
    const char *axes = glia__to_onnx_list(w, (const int64_t[]){0}, 1);
    const char *row = GLIA_TO_ONNX(w, NULL, "Unsqueeze", w->x[0], axes);
    row = GLIA_TO_ONNX(w, NULL, w->node->op->onnx, row);
    glia__to_onnx_int(w, "axis", -1);
    GLIA_TO_ONNX(w, w->y[0], "Squeeze", row, axes);
}

SOFTMAX_OP(softmax, 1, softmax_flops, .doc = "y = eˣ / Σ eˣ along an axis", .step = softmax_step,
           .onnx = "Softmax", .onnx_since = 13, .onnx_write = softmax_to_onnx, .emit_c = glia__emit_softmax,
           FORWARD);
SOFTMAX_OP(log_softmax, 1, softmax_flops, .doc = "y = x − ln Σ eˣ along an axis", .step = softmax_step,
           .onnx = "LogSoftmax", .onnx_since = 13, .onnx_write = softmax_to_onnx,
           .emit_c = glia__emit_log_softmax, FORWARD);
SOFTMAX_OP(softmax_backward, 2, softmax_backward_flops, .doc = "dx = y·(dy − Σ dy·y)", BACKWARD("unit"));
SOFTMAX_OP(log_softmax_backward, 2, softmax_flops, .doc = "dx = dy − eʸ·Σ dy", BACKWARD("away"));

glia_value *glia_op_softmax(glia_value *x, int64_t axis) {
    return glia_graph_apply(glia_value_graph(x), "softmax", &x, 1, &(softmax_attrs){axis});
}

glia_value *glia_op_log_softmax(glia_value *x, int64_t axis) {
    return glia_graph_apply(glia_value_graph(x), "log_softmax", &x, 1, &(softmax_attrs){axis});
}
