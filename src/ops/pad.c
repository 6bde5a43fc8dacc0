/* pad.c: more elements before and after along one dimension: a number, or elements of x mirrored, repeated or wrapped
 * round. Several dimensions are several pads. */

#include "glia/ops.h"
#include "graph/op.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/lines.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_pad_attrs {
    int64_t axis, begin, end; /* so many elements before and after, in one dimension */
    int mode;     /* 0 constant, 1 reflect (without the border), 2 edge (the border again), 3 wrap (round) */
    double value; /* of mode constant */
} glia_pad_attrs;
GLIA_API glia_value *glia_op_pad(glia_value *x, glia_pad_attrs attrs);
#endif /* GLIA_OPS_HEADER */

enum { CONSTANT, REFLECT, EDGE, WRAP };

typedef struct padding {
    glia_lines x; /* along the padded dimension */
    int axis, mode;
    int64_t begin, padded;
} padding;

static glia_status pad_fit(padding *p, const glia_pad_attrs *a, const glia_shape *x, glia_error *err) {
    char text[128];
    GLIA_TRY(glia__find_axis(a->axis, x, "pad", &p->axis, err));
    p->x = glia__lines_of(x, p->axis);
    if (p->x.n < 0)
        return glia_error_set(err, GLIA_BAD_SHAPE, "pad: dimension %d is symbolic; pad another one", p->axis);
    if (p->x.n == 0 && a->mode != CONSTANT && a->begin + a->end > 0)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "pad: dimension %d of %s is empty: nothing to pad with; use mode constant",
                              p->axis, glia_shape_text(x, text, sizeof text));
    p->mode = a->mode;
    p->begin = a->begin;
    p->padded = p->x.n + a->begin + a->end;
    return GLIA_OK;
}

/* The element of x that element i of the result repeats; -1: the constant. */
static int64_t pad_source(const padding *p, int64_t i) {
    const int64_t at = i - p->begin, period = p->mode == WRAP ? p->x.n : 2 * (p->x.n - 1);
    if (at >= 0 && at < p->x.n) return at;
    if (p->mode == CONSTANT) return -1;
    if (p->mode == EDGE || period == 0) return at < 0 ? 0 : p->x.n - 1;
    const int64_t phase = (at % period + period) % period;
    return phase < p->x.n ? phase : period - phase;
}

static glia_status pad_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                             glia_error *err) {
    (void)n_in;
    padding p;
    GLIA_TRY(pad_fit(&p, attrs, &in[0].shape, err));
    out[0] = in[0];
    out[0].shape.dim[p.axis] = p.padded;
    return GLIA_OK;
}

/* `count` elements that hold the constant. */
static void fill(char *to, int64_t count, glia_dtype dtype, double value) {
    const size_t size = glia_dtype_bytes(dtype);
    if (count <= 0) return;
    glia_tensor first = glia_tensor_wrap(to, dtype, GLIA_SHAPE(1));
    glia_tensor_set(&first, 0, value);
    for (int64_t i = 1; i < count; i++) memcpy(to + (size_t)i * size, to, size);
}

static glia_status pad_ref(const glia_call *c) {
    const glia_pad_attrs *a = c->attrs;
    padding p;
    GLIA_TRY(pad_fit(&p, a, &c->in[0].shape, c->err));
    const size_t size = glia_dtype_bytes(c->out[0].dtype) * (size_t)p.x.inner;
    const char *x = c->in[0].data;
    char *y = c->out[0].data;
    for (int64_t o = 0; o < p.x.outer && size; o++, x += (size_t)p.x.n * size, y += (size_t)p.padded * size) {
        if (p.x.n) memcpy(y + (size_t)p.begin * size, x, (size_t)p.x.n * size);
        if (p.mode == CONSTANT) {
            fill(y, p.begin * p.x.inner, c->out[0].dtype, a->value);
            fill(y + (size_t)(p.begin + p.x.n) * size, a->end * p.x.inner, c->out[0].dtype, a->value);
            continue;
        }
        for (int64_t i = 0; i < p.padded; i++) {
            if (i == p.begin) i += p.x.n;
            if (i < p.padded) memcpy(y + (size_t)i * size, x + (size_t)pad_source(&p, i) * size, size);
        }
    }
    return GLIA_OK;
}

static void pad_grad(glia_gradient *g) {
    const glia_pad_attrs *a = g->attrs;
    const glia_shape x = glia_value_shape(g->x[0]);
    int axis;
    if (!glia__axis_resolve(a->axis, x.rank, &axis)) return;
    if (a->mode == CONSTANT)
        g->dx[0] = glia_op_slice(
            g->dy[0],
            (glia_slice_attrs){.axis = axis, .start = a->begin, .end = a->begin + x.dim[axis], .step = 1});
    else
        g->dx[0] =
            glia_graph_apply(g->graph, "pad_backward", (glia_value *[]){g->x[0], g->dy[0]}, 2, g->attrs);
}

static uint32_t pad_rows(const glia_type *in, int n_in, const void *attrs) {
    return glia__rows_unless_first(((const glia_pad_attrs *)attrs)->axis, in[0].shape.rank, (1u << n_in) - 1);
}

#define COUNT_FIELD(field, text)                                                                           \
    {                                                                                                      \
        .name = #field, .kind = GLIA_FIELD_INT, .offset = offsetof(glia_pad_attrs, field), .initial = "0", \
        .min = 0, .max = 1 << 30, .doc = text                                                              \
    }
#define PAD_FIELDS                                                                                      \
    GLIA_FIELDS({.name = "axis",                                                                        \
                 .kind = GLIA_FIELD_INT,                                                                \
                 .offset = offsetof(glia_pad_attrs, axis),                                              \
                 .initial = "0",                                                                        \
                 .doc = "dimension that grows"},                                                        \
                COUNT_FIELD(begin, "elements before"), COUNT_FIELD(end, "elements after"),              \
                {.name = "mode",                                                                        \
                 .kind = GLIA_FIELD_CHOICE,                                                             \
                 .offset = offsetof(glia_pad_attrs, mode),                                              \
                 .initial = "constant",                                                                 \
                 .choices = "constant|reflect|edge|wrap",                                               \
                 .doc = "what they are: `value`, x mirrored at its border, the border, the other end"}, \
                {.name = "value",                                                                       \
                 .kind = GLIA_FIELD_FLOAT,                                                              \
                 .offset = offsetof(glia_pad_attrs, value),                                             \
                 .initial = "0",                                                                        \
                 .doc = "of mode constant"})

static void pad_to_onnx(glia_to_onnx *w) {
    const glia_pad_attrs *a = w->node->attrs;
    const glia_type *x = &w->node->inputs[0]->type;
    int64_t pads[2 * GLIA_MAX_RANK] = {0};
    int axis;
    if (a->mode == WRAP && w->opset < 19)
        glia__to_onnx_refuse(w, "mode wrap: ONNX has it since opset 19 (--opset 19)");
    if (w->status != GLIA_OK || !glia__axis_resolve(a->axis, x->shape.rank, &axis)) return;
    pads[axis] = a->begin;
    pads[x->shape.rank + axis] = a->end;
    GLIA_TO_ONNX(w, w->y[0], "Pad", w->x[0], glia__to_onnx_list(w, pads, 2 * x->shape.rank),
                 a->mode != CONSTANT ? "" : glia__to_onnx_number(w, x->dtype, a->value));
    glia__to_onnx_choice(w, "mode", "mode");
}

GLIA_OP(pad) = {
    .name = "pad",
    .version = 1,
    .doc = "y = x with more elements before and after along an axis",
    .source = "ONNX Pad; NumPy's pad",
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = PAD_FIELDS,
    .attrs_size = sizeof(glia_pad_attrs),
    .infer = pad_infer,
    .grad = pad_grad,
    .ref = pad_ref,
    .rows = pad_rows,
    .flops = glia__no_flops,
    .onnx = "Pad",
    .onnx_since = 13,
    .onnx_write = pad_to_onnx,
    .emit_c = glia__emit_pad,
    .cases = GLIA_CASES(
        {.inputs = "2x3", .attrs = "begin=1 end=2"}, {.inputs = "2x3x2", .attrs = "axis=1 end=1 value=-2"},
        {.inputs = "3:i64<9", .attrs = "begin=2 value=-3"}, {.inputs = "0x2", .attrs = "begin=1"},
        {.inputs = "3x4x2", .attrs = "axis=1 begin=2 end=3 mode=reflect"},
        {.inputs = "2x3", .attrs = "axis=1 begin=5 end=4 mode=reflect"},
        {.inputs = "1x2", .attrs = "begin=2 end=1 mode=reflect"},
        {.inputs = "3x4", .attrs = "axis=-1 begin=1 end=6 mode=edge"},
        {.inputs = "3x4", .attrs = "begin=4 end=2 mode=wrap"},
        {.inputs = "4:u8<9", .attrs = "begin=2 mode=wrap"}, {.inputs = "3:bool", .attrs = "end=2 mode=edge"},
        {.inputs = "0x2", .attrs = "begin=1 mode=edge", .expect_error = "nothing to pad with"},
        {.inputs = "2x3", .attrs = "axis=4", .expect_error = "axis 4 is out of range"}),
};

glia_value *glia_op_pad(glia_value *x, glia_pad_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "pad", &x, 1, &attrs);
}

/* --- the gradient of the modes that repeat x --------------------------------------------------------------- */

static glia_status pad_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                      glia_error *err) {
    glia_type y;
    GLIA_TRY(glia__check_float(&in[0], err));
    GLIA_TRY(pad_infer(in, n_in, attrs, &y, err));
    GLIA_TRY(glia__check_gradient(&y, &in[1], "pad", err));
    out[0] = in[0];
    return GLIA_OK;
}

static glia_status pad_backward_ref(const glia_call *c) {
    padding p;
    GLIA_TRY(pad_fit(&p, c->attrs, &c->out[0].shape, c->err));
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *dy = c->in[1].data;
        T *dx = c->out[0].data;
        memset(dx, 0, (size_t)glia_shape_elems(&c->out[0].shape) * sizeof(T));
        for (int64_t o = 0; o < p.x.outer; o++, dx += p.x.n * p.x.inner)
            for (int64_t i = 0; i < p.padded; i++, dy += p.x.inner) {
                const int64_t from = pad_source(&p, i);
                if (from < 0) continue;
                for (int64_t k = 0; k < p.x.inner; k++) dx[from * p.x.inner + k] += dy[k];
            }
    });
    return GLIA_OK;
}

/* Linear: its gradient by dy is a pad, whose constant is 0. */
static void pad_backward_grad(glia_gradient *g) {
    glia_pad_attrs attrs = *(const glia_pad_attrs *)g->attrs;
    attrs.value = 0;
    if (g->needed[1]) g->dx[1] = glia_op_pad(g->dy[0], attrs);
}

GLIA_OP(pad_backward) = {
    .name = "pad_backward",
    .version = 1,
    .doc = "d(pad)/dx of x, of which only the shape matters, and dy: dy added up where it came from",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 1,
    .attrs = PAD_FIELDS,
    .attrs_size = sizeof(glia_pad_attrs),
    .infer = pad_backward_infer,
    .grad = pad_backward_grad,
    .ref = pad_backward_ref,
    .rows = pad_rows,
    .cases = GLIA_CASES({.inputs = "3x4x2 3x9x2", .attrs = "axis=1 begin=2 end=3 mode=reflect"},
                        {.inputs = "3x4 3x11", .attrs = "axis=-1 begin=1 end=6 mode=edge"},
                        {.inputs = "3x4 9x4", .attrs = "begin=4 end=2 mode=wrap"},
                        {.inputs = "2x3 5x3", .attrs = "begin=1 end=2"},
                        {.inputs = "2x3 2x3", .attrs = "end=1", .expect_error = "cannot be f32 2×3"}),
};
