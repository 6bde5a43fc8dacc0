/* scan.c: running sums, and the place of the largest, along one axis. */

#include "graph/to_onnx.h"
#include "ops/lines.h"

#include "glia/ops.h"
#include "ops/emit.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_cumsum_attrs {
    int64_t axis;        /* negative ones count from the end */
    glia_bool exclusive; /* an element is not in its own sum; default no */
    glia_bool reverse;   /* sums from the end; default no */
} glia_cumsum_attrs;
/* Running sums along an axis of f32, f64, i32, i64 or u8; whole numbers wrap. */
GLIA_API glia_value *glia_op_cumsum(glia_value *x, glia_cumsum_attrs attrs);
/* 1 at the first largest along the axis, 0 elsewhere; f32 or f64. */
GLIA_API glia_value *glia_op_hardmax(glia_value *x, int64_t axis);
#endif /* GLIA_OPS_HEADER */

/* --- cumsum ----------------------------------------------------------------------------------------------- */

/* One line. Floats are added in double. */
#define CUMSUM(name, type, sum_type)                                                              \
    static void name(const glia_lines *l, const glia_cumsum_attrs *a, const void *x_, void *y_) { \
        const bool exclusive = a->exclusive == GLIA_YES, reverse = a->reverse == GLIA_YES;        \
        const int64_t step = reverse ? -l->inner : l->inner;                                      \
        for (int64_t i = 0; i < l->outer * l->inner; i++) {                                       \
            const int64_t at = glia__line_at(l, i) + (reverse ? (l->n - 1) * l->inner : 0);       \
            const type *x = (const type *)x_ + at;                                                \
            type *y = (type *)y_ + at;                                                            \
            sum_type sum = 0;                                                                     \
            for (int64_t k = 0; k < l->n; k++) {                                                  \
                const sum_type with = (sum_type)(sum + x[k * step]);                              \
                y[k * step] = (type)(exclusive ? sum : with);                                     \
                sum = with;                                                                       \
            }                                                                                     \
        }                                                                                         \
    }
CUMSUM(cumsum_f32, float, double)
CUMSUM(cumsum_f64, double, double)
CUMSUM(cumsum_4, uint32_t, uint32_t)
CUMSUM(cumsum_8, uint64_t, uint64_t)
CUMSUM(cumsum_1, uint8_t, uint8_t)

static glia_status cumsum_ref(const glia_call *c) {
    const glia_cumsum_attrs *a = c->attrs;
    const glia_lines l = glia__lines_of(&c->in[0].shape, a->axis);
    const void *x = c->in[0].data;
    void *y = c->out[0].data;
    if (l.n == 0) return GLIA_OK;
    switch (c->in[0].dtype) {
    case GLIA_F64:
        cumsum_f64(&l, a, x, y);
        break;
    case GLIA_I32:
        cumsum_4(&l, a, x, y);
        break;
    case GLIA_I64:
        cumsum_8(&l, a, x, y);
        break;
    case GLIA_U8:
        cumsum_1(&l, a, x, y);
        break;
    default:
        cumsum_f32(&l, a, x, y);
        break;
    }
    return GLIA_OK;
}

static glia_status cumsum_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    (void)n_in;
    GLIA_TRY(glia__check_number(&in[0], err));
    GLIA_TRY(glia__check_axis(&in[0].shape, ((const glia_cumsum_attrs *)attrs)->axis, err));
    out[0] = in[0];
    return GLIA_OK;
}

static uint32_t cumsum_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)n_in;
    return glia__rows_unless_first(((const glia_cumsum_attrs *)attrs)->axis, in[0].shape.rank, 1);
}

/* An element is in the sums that come after it. */
static void cumsum_grad(glia_gradient *g) {
    glia_cumsum_attrs back = *(const glia_cumsum_attrs *)g->attrs;
    back.reverse = back.reverse == GLIA_YES ? GLIA_NO : GLIA_YES;
    g->dx[0] = glia_op_cumsum(g->dy[0], back);
}

/* ONNX sums no u8, and nothing that has no axis. */
static void cumsum_to_onnx(glia_to_onnx *w) {
    const glia_cumsum_attrs *a = w->node->attrs;
    const bool narrow = w->node->inputs[0]->type.dtype == GLIA_U8;
    const char *x = w->x[0];
    if (!w->node->inputs[0]->type.shape.rank) {
        glia__to_onnx_refuse(w, "ONNX has it of no scalar");
        return;
    }
    if (narrow) {
        x = GLIA_TO_ONNX(w, NULL, "Cast", x);
        glia__to_onnx_dtype(w, "to", GLIA_I32);
    }
    const char *y = GLIA_TO_ONNX(w, narrow ? NULL : w->y[0], "CumSum", x,
                                 glia__to_onnx_number(w, GLIA_I64, (double)a->axis));
    glia__to_onnx_int(w, "exclusive", a->exclusive == GLIA_YES);
    glia__to_onnx_int(w, "reverse", a->reverse == GLIA_YES);
    if (narrow) {
        GLIA_TO_ONNX(w, w->y[0], "Cast", y);
        glia__to_onnx_dtype(w, "to", GLIA_U8);
    }
}

GLIA_OP(cumsum) = {
    .name = "cumsum",
    .version = 1,
    .doc = "yₖ = x₀ + … + xₖ along an axis",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_INPLACE,
    .onnx = "CumSum",
    .onnx_since = 11,
    .onnx_write = cumsum_to_onnx,
    .attrs = GLIA_FIELDS({.name = "axis",
                          .kind = GLIA_FIELD_INT,
                          .offset = offsetof(glia_cumsum_attrs, axis),
                          .initial = "-1",
                          .doc = "dimension to go along; negative ones count from the end"},
                         {.name = "exclusive",
                          .kind = GLIA_FIELD_BOOL,
                          .offset = offsetof(glia_cumsum_attrs, exclusive),
                          .initial = "no",
                          .doc = "leave an element out of its own sum"},
                         {.name = "reverse",
                          .kind = GLIA_FIELD_BOOL,
                          .offset = offsetof(glia_cumsum_attrs, reverse),
                          .initial = "no",
                          .doc = "begin at the end"}),
    .attrs_size = sizeof(glia_cumsum_attrs),
    .infer = cumsum_infer,
    .grad = cumsum_grad,
    .ref = cumsum_ref,
    .rows = cumsum_rows,
    .emit_c = glia__emit_cumsum,
    .cases = GLIA_CASES(
        {.inputs = "4x5"}, {.inputs = "4x5", .attrs = "axis=0"},
        {.inputs = "2x3x4", .attrs = "axis=1 exclusive=yes"},
        {.inputs = "2x3x4", .attrs = "axis=-2 reverse=yes"},
        {.inputs = "7", .attrs = "exclusive=yes reverse=yes"}, {.inputs = "scalar"}, {.inputs = "0x3"},
        {.inputs = "3x0"}, {.inputs = "3x7:i64<9"}, {.inputs = "3x7:i32<9"}, {.inputs = "9:u8<9"},
        {.inputs = "4x5", .attrs = "axis=2", .expect_error = "axis 2 is out of range for 4×5"},
        {.inputs = "3:bool", .expect_error = "found bool 3; cast it first"}),
};

glia_value *glia_op_cumsum(glia_value *x, glia_cumsum_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "cumsum", &x, 1, &attrs);
}

/* --- hardmax ---------------------------------------------------------------------------------------------- */

typedef struct hardmax_attrs {
    int64_t axis;
} hardmax_attrs;

static glia_status hardmax_ref(const glia_call *c) {
    const glia_lines l = glia__lines_of(&c->in[0].shape, ((const hardmax_attrs *)c->attrs)->axis);
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        for (int64_t i = 0; i < l.outer * l.inner && l.n > 0; i++) {
            const int64_t at = glia__line_at(&l, i);
            const T *x = (const T *)c->in[0].data + at;
            T *y = (T *)c->out[0].data + at;
            int64_t best = 0;
            for (int64_t k = 1; k < l.n; k++)
                if (x[k * l.inner] > x[best * l.inner]) best = k;
            for (int64_t k = 0; k < l.n; k++) y[k * l.inner] = k == best;
        }
    });
    return GLIA_OK;
}

static glia_status hardmax_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    GLIA_TRY(glia__infer_same(in, n_in, attrs, out, err));
    return glia__check_axis(&in[0].shape, ((const hardmax_attrs *)attrs)->axis, err);
}

static uint32_t hardmax_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)n_in;
    return glia__rows_unless_first(((const hardmax_attrs *)attrs)->axis, in[0].shape.rank, 1);
}

/* The gradient of a step function: zero wherever it exists. */
static void hardmax_grad(glia_gradient *g) {
    (void)g;
}

static void hardmax_to_onnx(glia_to_onnx *w) {
    if (!w->node->inputs[0]->type.shape.rank)
        glia__to_onnx_refuse(w, "ONNX has it of no scalar");
    else
        glia__to_onnx_same(w);
}

GLIA_OP(hardmax) = {
    .name = "hardmax",
    .version = 1,
    .doc = "y = 1 at the first largest x along an axis, else 0; gradient 0",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_INPLACE,
    .attrs = GLIA_FIELDS({.name = "axis",
                          .kind = GLIA_FIELD_INT,
                          .offset = offsetof(hardmax_attrs, axis),
                          .initial = "-1",
                          .doc = "dimension to look along; negative ones count from the end"}),
    .attrs_size = sizeof(hardmax_attrs),
    .infer = hardmax_infer,
    .grad = hardmax_grad,
    .ref = hardmax_ref,
    .rows = hardmax_rows,
    .emit_c = glia__emit_hardmax,
    .onnx = "Hardmax",
    .onnx_since = 13,
    .onnx_write = hardmax_to_onnx,
    .cases =
        GLIA_CASES({.inputs = "4x5:distinct"}, {.inputs = "4x5:distinct", .attrs = "axis=0"},
                   {.inputs = "2x3x4:distinct", .attrs = "axis=-2"}, {.inputs = "3x7:f32<3"},
                   {.inputs = "scalar"}, {.inputs = "0x3"}, {.inputs = "3x0"},
                   {.inputs = "4x5", .attrs = "axis=2", .expect_error = "axis 2 is out of range for 4×5"},
                   {.inputs = "3:i64<9", .expect_error = "expected f32 or f64, found i64 3"}),
};

glia_value *glia_op_hardmax(glia_value *x, int64_t axis) {
    return glia_graph_apply(glia_value_graph(x), "hardmax", &x, 1, &(hardmax_attrs){axis});
}
