/* top_k.c: the k largest or smallest elements along an axis, and where they are. */

#include "glia/ops.h"
#include "graph/op.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/lines.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_top_k_attrs {
    int64_t k;          /* how many, required */
    int64_t axis;       /* negative: from the end; 0 is the first dimension */
    glia_bool smallest; /* the smallest, not the largest */
} glia_top_k_attrs;
/* The k largest, in falling order (the smallest in rising order); of equals the first comes first, and NaN counts as
 * the largest. Their indices (i64) along the axis are the second result: glia_value_sibling(y, 1). */
GLIA_API glia_value *glia_op_top_k(glia_value *x, glia_top_k_attrs attrs);
#endif /* GLIA_OPS_HEADER */

static glia_status top_k_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                               glia_error *err) {
    (void)n_in;
    const glia_top_k_attrs *a = attrs;
    char text[128];
    int axis;
    GLIA_TRY(glia__check_number(&in[0], err));
    glia_shape_text(&in[0].shape, text, sizeof text);
    GLIA_TRY(glia__find_axis(a->axis, &in[0].shape, "top_k", &axis, err));
    if (in[0].shape.dim[axis] < 0)
        return glia_error_set(err, GLIA_BAD_SHAPE, "top_k: dimension %d is symbolic; choose another one",
                              axis);
    if (a->k > in[0].shape.dim[axis])
        return glia_error_set(err, GLIA_BAD_SHAPE, "top_k: %lld elements wanted along axis %d of %s",
                              (long long)a->k, axis, text);
    out[0] = in[0];
    out[0].shape.dim[axis] = a->k;
    out[1] = (glia_type){GLIA_I64, out[0].shape};
    return GLIA_OK;
}

/* Keeps the best so far in a heap of k with the worst on top, then takes them out from the worst on: n·log k. */
#define TOP_K(type, smaller_is_nan_aware)                                                                    \
    static inline bool worse_##type(const type *x, int64_t step, int64_t a, int64_t b, bool smallest) {      \
        const type p = x[a * step], q = x[b * step];                                                         \
        const bool less = smaller_is_nan_aware(p, q), more = smaller_is_nan_aware(q, p);                     \
        return less == more ? a > b : less != smallest;                                                      \
    }                                                                                                        \
    static void sink_##type(const type *x, int64_t step, int64_t *heap, int64_t k, int64_t at,               \
                            bool smallest) {                                                                 \
        for (int64_t child; (child = 2 * at + 1) < k; at = child) {                                          \
            if (child + 1 < k && worse_##type(x, step, heap[child + 1], heap[child], smallest)) child++;     \
            if (!worse_##type(x, step, heap[child], heap[at], smallest)) return;                             \
            const int64_t other = heap[at];                                                                  \
            heap[at] = heap[child];                                                                          \
            heap[child] = other;                                                                             \
        }                                                                                                    \
    }                                                                                                        \
    static void top_##type(const void *x_, int64_t n, int64_t step, int64_t k, bool smallest, int64_t *heap, \
                           void *y_, int64_t *indices) {                                                     \
        const type *x = x_;                                                                                  \
        type *y = y_;                                                                                        \
        for (int64_t i = 0; i < k; i++) heap[i] = i;                                                         \
        for (int64_t i = k / 2 - 1; i >= 0; i--) sink_##type(x, step, heap, k, i, smallest);                 \
        for (int64_t i = k; i < n && k > 0; i++) {                                                           \
            if (!worse_##type(x, step, heap[0], i, smallest)) continue;                                      \
            heap[0] = i;                                                                                     \
            sink_##type(x, step, heap, k, 0, smallest);                                                      \
        }                                                                                                    \
        for (int64_t left = k; left > 0; left--) {                                                           \
            indices[(left - 1) * step] = heap[0];                                                            \
            y[(left - 1) * step] = x[heap[0] * step];                                                        \
            heap[0] = heap[left - 1];                                                                        \
            sink_##type(x, step, heap, left - 1, 0, smallest);                                               \
        }                                                                                                    \
    }
#define LESS(p, q)       ((p) < (q))
#define LESS_FLOAT(p, q) ((p) < (q) || ((q) != (q) && (p) == (p)))
TOP_K(float, LESS_FLOAT)
TOP_K(double, LESS_FLOAT)
TOP_K(int32_t, LESS)
TOP_K(int64_t, LESS)
TOP_K(uint8_t, LESS)

static glia_status top_k_ref(const glia_call *c) {
    static void (*const top[GLIA_DTYPE_COUNT])(const void *, int64_t, int64_t, int64_t, bool, int64_t *,
                                               void *, int64_t *) = {[GLIA_F32] = top_float,
                                                                     [GLIA_F64] = top_double,
                                                                     [GLIA_I32] = top_int32_t,
                                                                     [GLIA_I64] = top_int64_t,
                                                                     [GLIA_U8] = top_uint8_t};
    const glia_top_k_attrs *a = c->attrs;
    const glia_lines x = glia__lines_of(&c->in[0].shape, a->axis), y = {x.outer, a->k, x.inner};
    const size_t size = glia_dtype_bytes(c->in[0].dtype);
    int64_t *indices = c->out[1].data;
    for (int64_t i = 0; i < x.outer * x.inner; i++) {
        const int64_t from = glia__line_at(&x, i), to = glia__line_at(&y, i);
        top[c->in[0].dtype]((const char *)c->in[0].data + (size_t)from * size, x.n, x.inner, a->k,
                            a->smallest == GLIA_YES, c->workspace, (char *)c->out[0].data + (size_t)to * size,
                            indices + to);
    }
    return GLIA_OK;
}

static size_t top_k_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)in, (void)out;
    return (size_t)((const glia_top_k_attrs *)attrs)->k * sizeof(int64_t);
}

/* What was taken goes back to where it was. */
static void top_k_grad(glia_gradient *g) {
    const glia_gather_elements_attrs attrs = {.axis = ((const glia_top_k_attrs *)g->attrs)->axis};
    glia_value *in[] = {g->x[0], g->y[1], g->dy[0]};
    if (g->dy[0]) g->dx[0] = glia_graph_apply(g->graph, "gather_elements_backward", in, 3, &attrs);
}

static uint32_t top_k_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)n_in;
    return glia__rows_unless_first(((const glia_top_k_attrs *)attrs)->axis, in[0].shape.rank, 1);
}

static void top_k_to_onnx(glia_to_onnx *w) {
    const glia_top_k_attrs *a = w->node->attrs;
    GLIA_TO_ONNX(w, w->y[0], "TopK", w->x[0], glia__to_onnx_list(w, &a->k, 1));
    glia__to_onnx_output(w, w->y[1]);
    glia__to_onnx_int(w, "axis", a->axis);
    glia__to_onnx_int(w, "largest", a->smallest != GLIA_YES);
    glia__to_onnx_int(w, "sorted", 1);
}

GLIA_OP(top_k) = {
    .name = "top_k",
    .version = 1,
    .doc = "y, indices = the k largest x along an axis, in falling order, and where they are",
    .source = "ONNX TopK; PyTorch's topk",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 2,
    .no_gradient = 2,
    .attrs = GLIA_FIELDS({.name = "k",
                          .kind = GLIA_FIELD_INT,
                          .offset = offsetof(glia_top_k_attrs, k),
                          .min = 0,
                          .max = 1e15,
                          .doc = "how many"},
                         {.name = "axis",
                          .kind = GLIA_FIELD_INT,
                          .offset = offsetof(glia_top_k_attrs, axis),
                          .initial = "-1",
                          .doc = "dimension along which they are compared"},
                         {.name = "smallest",
                          .kind = GLIA_FIELD_BOOL,
                          .offset = offsetof(glia_top_k_attrs, smallest),
                          .initial = "no",
                          .doc = "the smallest in rising order"}),
    .attrs_size = sizeof(glia_top_k_attrs),
    .infer = top_k_infer,
    .grad = top_k_grad,
    .ref = top_k_ref,
    .workspace = top_k_workspace,
    .rows = top_k_rows,
    .onnx = "TopK",
    .onnx_since = 11,
    .onnx_write = top_k_to_onnx,
    .emit_c = glia__emit_top_k,
    .cases = GLIA_CASES(
        {.inputs = "4x7:distinct", .attrs = "k=3"}, {.inputs = "4x7:distinct", .attrs = "k=2 axis=0"},
        {.inputs = "2x5x3:distinct", .attrs = "k=5 axis=1 smallest=yes"},
        {.inputs = "3x20:distinct", .attrs = "k=1"}, {.inputs = "9:i64<3", .attrs = "k=4"},
        {.inputs = "9:u8<3", .attrs = "k=4 smallest=yes"}, {.inputs = "9:i32<3", .attrs = "k=9"},
        {.inputs = "2x3", .attrs = "k=0"}, {.inputs = "0x3", .attrs = "k=2"},
        {.inputs = "4x3", .attrs = "k=4", .expect_error = "4 elements wanted along axis 1 of 4×3"},
        {.inputs = "4x3", .attrs = "k=1 axis=2", .expect_error = "axis 2 is out of range"},
        {.inputs = "4:bool", .attrs = "k=1", .expect_error = "cast it first"}),
};

glia_value *glia_op_top_k(glia_value *x, glia_top_k_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "top_k", &x, 1, &attrs);
}
