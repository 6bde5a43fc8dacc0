/* gather.c: ops that select by index: gather (rows of a table: embeddings) and one_hot. */

#include "glia/ops.h"
#include "graph/step.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/lines.h"
#include "ops/row_parts.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_gather_attrs {
    int64_t axis;       /* negative: from the end */
    glia_bool from_end; /* negative indices count from the end; default no */
} glia_gather_attrs;
/* y = x with dimension `axis` replaced by the dimensions of `indices` (i64 or i32): an embedding is gather(table,
 * words). An index out of range is an error when it runs; so is a negative one without from_end. */
GLIA_API glia_value *glia_op_gather(glia_value *x, glia_value *indices, glia_gather_attrs attrs);

typedef struct glia_one_hot_attrs {
    int64_t depth;  /* size of the new last dimension, required */
    double off, on; /* what it holds elsewhere, and at the index; both 0: 0 and 1 */
} glia_one_hot_attrs;
/* [...] i64 or i32 → [..., depth] f32. */
GLIA_API glia_value *glia_op_one_hot(glia_value *indices, glia_one_hot_attrs attrs);
#endif /* GLIA_OPS_HEADER */

static glia_status read_index(const glia_call *c, const glia_view *indices, int64_t at, int64_t bound,
                              int64_t *out) {
    *out = glia__index_at(indices, at);
    if (*out >= 0 && *out < bound) return GLIA_OK;
    return glia_error_set(c->err, GLIA_BAD_DATA, "index %lld at position %lld is out of range 0 … %lld",
                          (long long)*out, (long long)at, (long long)bound - 1);
}

/* The same for a gather: negative indices may count from the end. */
static glia_status gather_index(const glia_call *c, int64_t at, int64_t bound, int64_t *out) {
    const glia_view *indices = &c->in[1];
    const int64_t index = glia__index_at(indices, at);
    *out = index + bound;
    if (index < 0 && *out >= 0 && ((const glia_gather_attrs *)c->attrs)->from_end == GLIA_YES) return GLIA_OK;
    return read_index(c, indices, at, bound, out);
}

static glia_status gather_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    (void)n_in;
    const glia_shape *x = &in[0].shape, *indices = &in[1].shape;
    int axis;
    GLIA_TRY(glia__check_indices(&in[1], "gather", err));
    GLIA_TRY(glia__find_axis(((const glia_gather_attrs *)attrs)->axis, x, "gather", &axis, err));
    if (x->rank - 1 + indices->rank > GLIA_MAX_RANK)
        return glia_error_set(err, GLIA_BAD_SHAPE, "gather: more than %d dimensions", GLIA_MAX_RANK);
    out[0] = (glia_type){.dtype = in[0].dtype};
    glia_shape *y = &out[0].shape;
    for (int i = 0; i < axis; i++) y->dim[y->rank++] = x->dim[i];
    for (int i = 0; i < indices->rank; i++) y->dim[y->rank++] = indices->dim[i];
    for (int i = axis + 1; i < x->rank; i++) y->dim[y->rank++] = x->dim[i];
    return GLIA_OK;
}

static glia_status gather_ref(const glia_call *c) {
    const glia_lines l = glia__lines_of(&c->in[0].shape, ((const glia_gather_attrs *)c->attrs)->axis);
    const int64_t count = glia_shape_elems(&c->in[1].shape);
    size_t size = (size_t)l.inner * glia_dtype_bytes(c->out[0].dtype);
    const char *x = c->in[0].data;
    char *y = c->out[0].data;
    for (int64_t o = 0; o < l.outer; o++)
        for (int64_t i = 0; i < count; i++, y += size) {
            int64_t index;
            GLIA_TRY(gather_index(c, i, l.n, &index));
            if (size) memcpy(y, x + (size_t)(o * l.n + index) * size, size);
        }
    return GLIA_OK;
}

static void gather_grad(glia_gradient *g) {
    glia_value *in[] = {g->x[0], g->x[1], g->dy[0]};
    g->dx[0] = glia_graph_apply(g->graph, "gather_backward", in, 3, g->attrs);
}

/* An embedding of what goes over the steps. */
static void gather_step(glia_stepping *s) {
    if (!s->goes[0] && ((const glia_gather_attrs *)s->node->attrs)->axis == 0) glia__step_same(s);
}

/* Of the table as much as the result holds. */
static double gather_bytes(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return (double)(glia__type_bytes(&in[1]) + 2 * glia__type_bytes(&out[0]));
}

#define GATHER_FIELDS                                                   \
    GLIA_FIELDS({.name = "axis",                                        \
                 .kind = GLIA_FIELD_INT,                                \
                 .offset = offsetof(glia_gather_attrs, axis),           \
                 .initial = "0",                                        \
                 .doc = "dimension of x that the indices choose from"}, \
                {.name = "from_end",                                    \
                 .kind = GLIA_FIELD_BOOL,                               \
                 .offset = offsetof(glia_gather_attrs, from_end),       \
                 .initial = "no",                                       \
                 .doc = "negative indices count from the end"})

/* ONNX counts negative indices from the end, which without from_end are an error here. */
static void gather_to_onnx(glia_to_onnx *w) {
    GLIA_TO_ONNX(w, w->y[0], "Gather", w->x[0], w->x[1]);
    glia__to_onnx_int(w, "axis", ((const glia_gather_attrs *)w->node->attrs)->axis);
}

GLIA_OP(gather) = {
    .name = "gather",
    .version = 1,
    .doc = "y[…, i, …] = x[…, indices[i], …] along an axis",
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = GATHER_FIELDS,
    .attrs_size = sizeof(glia_gather_attrs),
    .infer = gather_infer,
    .grad = gather_grad,
    .step = gather_step,
    .ref = gather_ref,
    .flops = glia__no_flops,
    .bytes = gather_bytes,
    .onnx = "Gather",
    .onnx_since = 13,
    .onnx_write = gather_to_onnx,
    .emit_c = glia__emit_gather,
    .cases = GLIA_CASES(
        {.inputs = "5x3 4:i64<5"}, {.inputs = "5x3 2x2:i32<5"}, {.inputs = "5 scalar:i64<5"},
        {.inputs = "2x5x3 4:i64<5", .attrs = "axis=1"}, {.inputs = "2x5 3:i64<5", .attrs = "axis=-1"},
        {.inputs = "5x3 0:i64<5"}, {.inputs = "5x3 4:i32<5", .attrs = "from_end=yes"},
        {.inputs = "5x3 4", .expect_error = "expects indices of i64 or i32"},
        {.inputs = "5x3 4:i64<5", .attrs = "axis=2", .expect_error = "axis 2 is out of range"}),
};

glia_value *glia_op_gather(glia_value *x, glia_value *indices, glia_gather_attrs attrs) {
    glia_value *in[] = {x, indices};
    return glia_graph_apply(glia_value_graph(x ? x : indices), "gather", in, 2, &attrs);
}

static glia_status gather_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                         glia_error *err) {
    glia_type y;
    GLIA_TRY(glia__check_float(&in[0], err));
    GLIA_TRY(gather_infer(in, n_in, attrs, &y, err));
    GLIA_TRY(glia__check_gradient(&y, &in[2], "gather", err));
    out[0] = in[0];
    return GLIA_OK;
}

/* Adds dy to the result in the order of the indices, so that repeated ones always give the same bits. */
static glia_status add_rows(const glia_call *c) {
    const glia_lines l = glia__lines_of(&c->in[0].shape, ((const glia_gather_attrs *)c->attrs)->axis);
    const int64_t count = glia_shape_elems(&c->in[1].shape);
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *dy = c->in[2].data;
        T *dx = c->out[0].data;
        for (int64_t o = 0; o < l.outer; o++)
            for (int64_t i = 0; i < count; i++, dy += l.inner) {
                int64_t index;
                GLIA_TRY(gather_index(c, i, l.n, &index));
                T *to = dx + (o * l.n + index) * l.inner;
                for (int64_t k = 0; k < l.inner; k++) to[k] += dy[k];
            }
    });
    return GLIA_OK;
}

static size_t result_bytes(const glia_call *c) {
    return (size_t)glia_shape_elems(&c->out[0].shape) * glia_dtype_bytes(c->out[0].dtype);
}

static glia_status gather_backward_ref(const glia_call *c) {
    memset(c->out[0].data, 0, result_bytes(c));
    return add_rows(c);
}

static void gather_backward_grad(glia_gradient *g) {
    glia_value *in[] = {g->dy[0], g->x[1]};
    if (g->needed[2]) g->dx[2] = glia_graph_apply(g->graph, "gather", in, 2, g->attrs);
}

#define GATHERED_CASES                                                                              \
    GLIA_CASES({.inputs = "5x3 4:i64<5 4x3"}, {.inputs = "2x5x3 4:i64<2 2x4x3", .attrs = "axis=1"}, \
               {.inputs = "3x2 0:i64<3 0x2"},                                                       \
               {.inputs = "5x3 4:i64<5 5x3", .expect_error = "cannot be f32 5×3"})

GLIA_OP(gather_backward) = {
    .name = "gather_backward",
    .version = 1,
    .doc = "d(gather)/dx of x, of which only the shape matters, indices and dy: dy added up "
           "at the indices",
    .min_inputs = 3,
    .max_inputs = 3,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 1,
    .attrs = GATHER_FIELDS,
    .attrs_size = sizeof(glia_gather_attrs),
    .infer = gather_backward_infer,
    .grad = gather_backward_grad,
    .ref = gather_backward_ref,
    .onto = "gather_accumulate",
    .cases = GATHERED_CASES,
};

static glia_status gather_accumulate_ref(const glia_call *c) {
    if (c->out[0].data != c->in[0].data) memcpy(c->out[0].data, c->in[0].data, result_bytes(c));
    return add_rows(c);
}

/* In place: rows of dy are read, and as many of the table read and written. */
static double gather_accumulate_bytes(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out;
    (void)attrs;
    return (double)(glia__type_bytes(&in[1]) + 3 * glia__type_bytes(&in[2]));
}

static double gather_accumulate_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out;
    (void)attrs;
    return (double)glia_shape_elems(&in[2].shape);
}

GLIA_OP(gather_accumulate) = {
    .name = "gather_accumulate",
    .version = 1,
    .doc =
        "y = x, indices and dy: x with dy added up at the indices, in its place where nobody else reads it",
    .min_inputs = 3,
    .max_inputs = 3,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_INPLACE | GLIA_TRAIT_NO_GRADIENT,
    .attrs = GATHER_FIELDS,
    .attrs_size = sizeof(glia_gather_attrs),
    .infer = gather_backward_infer,
    .ref = gather_accumulate_ref,
    .flops = gather_accumulate_flops,
    .bytes = gather_accumulate_bytes,
    .cases = GATHERED_CASES,
};

extern GLIA_OP(add);

/* Gradients of a table that is used several times are added up two by two. */
static bool find_row_parts(const glia_value *gradient, const glia_node **parts, int most, int *count) {
    const glia_node *node = gradient->node;
    if (node && node->op == &glia__op_add)
        return find_row_parts(node->inputs[0], parts, most, count) &&
               find_row_parts(node->inputs[1], parts, most, count);
    const glia_gather_attrs *a = node && node->op == &glia__op_gather_backward ? node->attrs : NULL;
    if (!a || a->axis != 0 || a->from_end == GLIA_YES || *count == most) return false;
    parts[(*count)++] = node;
    return true;
}

int glia__row_parts(const glia_value *gradient, const glia_node **parts, int most) {
    int count = 0;
    return gradient && find_row_parts(gradient, parts, most, &count) ? count : 0;
}

/* --- one_hot --------------------------------------------------------------------------------------------- */

static glia_status one_hot_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    (void)n_in;
    GLIA_TRY(glia__check_indices(&in[0], "one_hot", err));
    if (in[0].shape.rank == GLIA_MAX_RANK)
        return glia_error_set(err, GLIA_BAD_SHAPE, "one_hot: more than %d dimensions", GLIA_MAX_RANK);
    out[0] = (glia_type){GLIA_F32, in[0].shape};
    out[0].shape.dim[out[0].shape.rank++] = ((const glia_one_hot_attrs *)attrs)->depth;
    return GLIA_OK;
}

static glia_status one_hot_ref(const glia_call *c) {
    const glia_one_hot_attrs *a = c->attrs;
    int64_t count = glia_shape_elems(&c->in[0].shape);
    bool plain = a->off == 0 && a->on == 0;
    float *y = c->out[0].data;
    for (int64_t i = 0; i < count; i++, y += a->depth) {
        int64_t index;
        GLIA_TRY(read_index(c, &c->in[0], i, a->depth, &index));
        for (int64_t k = 0; k < a->depth; k++) y[k] = (float)a->off;
        y[index] = plain ? 1.0f : (float)a->on;
    }
    return GLIA_OK;
}

static void one_hot_to_onnx(glia_to_onnx *w) {
    const glia_one_hot_attrs *a = w->node->attrs;
    const float values[] = {(float)a->off, (float)a->on};
    const char *depth = glia__to_onnx_number(w, GLIA_I64, (double)a->depth);
    const char *off_on = glia__to_onnx_array(w, GLIA_F32, GLIA_SHAPE(2), values);
    GLIA_TO_ONNX(w, w->y[0], "OneHot", glia__to_onnx_i64(w, 0), depth, off_on);
}

GLIA_OP(one_hot) = {
    .name = "one_hot",
    .version = 1,
    .doc = "y[…, k] = on where k = indices[…], off elsewhere",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_NO_GRADIENT,
    .attrs = GLIA_FIELDS({.name = "depth",
                          .kind = GLIA_FIELD_INT,
                          .offset = offsetof(glia_one_hot_attrs, depth),
                          .min = 1,
                          .max = 1 << 30,
                          .doc = "size of the new last dimension"},
                         {.name = "off",
                          .kind = GLIA_FIELD_FLOAT,
                          .offset = offsetof(glia_one_hot_attrs, off),
                          .initial = "0",
                          .doc = "value elsewhere"},
                         {.name = "on",
                          .kind = GLIA_FIELD_FLOAT,
                          .offset = offsetof(glia_one_hot_attrs, on),
                          .initial = "1",
                          .doc = "value at the index"}),
    .attrs_size = sizeof(glia_one_hot_attrs),
    .infer = one_hot_infer,
    .ref = one_hot_ref,
    .flops = glia__no_flops,
    .onnx = "OneHot",
    .onnx_since = 11,
    .onnx_write = one_hot_to_onnx,
    .emit_c = glia__emit_one_hot,
    .cases = GLIA_CASES({.inputs = "4:i64<3", .attrs = "depth=3"},
                        {.inputs = "2x2:i32<5", .attrs = "depth=5 off=0.1 on=0.9"},
                        {.inputs = "0:i64<3", .attrs = "depth=3"},
                        {.inputs = "4", .attrs = "depth=3", .expect_error = "expects indices of i64 or i32"}),
};

glia_value *glia_op_one_hot(glia_value *indices, glia_one_hot_attrs attrs) {
    return glia_graph_apply(glia_value_graph(indices), "one_hot", &indices, 1, &attrs);
}
