/* move.c: ops that move data: transpose, concat, slice. They work on any dtype, by element size. */

#include <stdio.h>

#include "glia/ops.h"
#include "graph/op.h"
#include "graph/step.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/lines.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_transpose_attrs {
    glia_shape perm; /* result dimension i is dimension perm[i] of x; none: reversed */
} glia_transpose_attrs;
GLIA_API glia_value *glia_op_transpose(glia_value *x, glia_transpose_attrs attrs);

typedef struct glia_concat_attrs {
    int64_t axis; /* negative: from the end */
} glia_concat_attrs;
/* Joins 1 … 16 arrays that agree in every other dimension. */
GLIA_API glia_value *glia_op_concat(glia_value *const *values, int count, glia_concat_attrs attrs);

typedef struct glia_slice_attrs {
    int64_t axis, start, end, step; /* of one dimension; negative start, end count from the end; step 0: 1 */
} glia_slice_attrs;
/* Elements start, start + step, … before end of one dimension; start and end are clamped, as in ONNX. With a negative
 * step it walks down to the one after end: start −1, end INT64_MIN and step −1 turn the dimension round. */
GLIA_API glia_value *glia_op_slice(glia_value *x, glia_slice_attrs attrs);
#endif /* GLIA_OPS_HEADER */

#define AXIS_FIELD(type, text) \
    { .name = "axis", .kind = GLIA_FIELD_INT, .offset = offsetof(type, axis), .initial = "0", .doc = text }
#define INT_FIELD(type, field, default_, text)                                                        \
    {                                                                                                 \
        .name = #field, .kind = GLIA_FIELD_INT, .offset = offsetof(type, field), .initial = default_, \
        .doc = text                                                                                   \
    }

/* --- transpose ------------------------------------------------------------------------------------------- */

static glia_status resolve_perm(const glia_shape *perm, int rank, int *out, glia_error *err) {
    bool seen[GLIA_MAX_RANK] = {false};
    if (perm->rank != 0 && perm->rank != rank)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "transpose: perm names %d of %d dimensions",
                              perm->rank, rank);
    for (int i = 0; i < rank; i++) {
        int64_t axis = perm->rank ? perm->dim[i] : rank - 1 - i;
        if (axis < 0 || axis >= rank || seen[axis])
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "transpose: perm must hold each of 0 … %d once, found %lld", rank - 1,
                                  (long long)axis);
        seen[axis] = true;
        out[i] = (int)axis;
    }
    return GLIA_OK;
}

static glia_status transpose_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                   glia_error *err) {
    (void)n_in;
    int perm[GLIA_MAX_RANK];
    const glia_shape *x = &in[0].shape;
    GLIA_TRY(resolve_perm(&((const glia_transpose_attrs *)attrs)->perm, x->rank, perm, err));
    out[0] = (glia_type){in[0].dtype, {.rank = x->rank}};
    for (int i = 0; i < x->rank; i++) out[0].shape.dim[i] = x->dim[perm[i]];
    return GLIA_OK;
}

/* to[r·to_step + c] = from[r + c·from_step]: tiles, so that a cache line that was fetched is used before it is lost. */
#define TILES(type)                                                                                        \
    static void tiles_##type(void *to_, const void *from_, int64_t rows, int64_t to_step, int64_t columns, \
                             int64_t from_step) {                                                          \
        enum { TILE = 64 / sizeof(type) };                                                                 \
        for (int64_t r = 0; r < rows; r += TILE)                                                           \
            for (int64_t c = 0; c < columns; c += TILE) {                                                  \
                type *to = (type *)to_ + r * to_step + c;                                                  \
                const type *from = (const type *)from_ + r + c * from_step;                                \
                const int64_t n_rows = GLIA_MIN(rows - r, TILE), n_columns = GLIA_MIN(columns - c, TILE);  \
                for (int64_t i = 0; i < n_rows; i++)                                                       \
                    for (int64_t j = 0; j < n_columns; j++) to[i * to_step + j] = from[i + j * from_step]; \
            }                                                                                              \
    }
TILES(uint8_t)
TILES(uint16_t)
TILES(uint32_t)
TILES(uint64_t)

/* The dimensions of the result, last first: without those of 1, neighbours of x that stay neighbours merged; and the
 * steps in x and y. */
typedef struct moved {
    int rank;
    int64_t dim[GLIA_MAX_RANK], from[GLIA_MAX_RANK], to[GLIA_MAX_RANK];
} moved;

static moved merge_dims(const glia_shape *x, const int *perm) {
    moved m = {.rank = 0};
    int64_t step[GLIA_MAX_RANK], at = 1, to = 1;
    for (int d = x->rank - 1; d >= 0; at *= x->dim[d--]) step[d] = at;
    for (int d = x->rank - 1; d >= 0; to *= x->dim[perm[d--]]) {
        const int64_t dim = x->dim[perm[d]], from = step[perm[d]];
        if (dim == 1) continue;
        if (m.rank && from == m.from[m.rank - 1] * m.dim[m.rank - 1]) {
            m.dim[m.rank - 1] *= dim;
            continue;
        }
        m.dim[m.rank] = dim, m.from[m.rank] = from, m.to[m.rank++] = to;
    }
    if (m.rank == 0) m = (moved){1, {1}, {1}, {1}};
    return m;
}

/* Rows of x that stay rows are copied whole; otherwise dimension 0 of `m`, a row of y, and the one that is a row of x
 * make a matrix that is transposed in tiles. */
static glia_status transpose_ref(const glia_call *c) {
    int perm[GLIA_MAX_RANK], row = 0;
    int64_t index[GLIA_MAX_RANK] = {0}, from = 0, to = 0, places = 1;
    GLIA_TRY(
        resolve_perm(&((const glia_transpose_attrs *)c->attrs)->perm, c->in[0].shape.rank, perm, c->err));
    const moved m = merge_dims(&c->in[0].shape, perm);
    const size_t size = glia_dtype_bytes(c->out[0].dtype);
    if (glia_shape_elems(&c->out[0].shape) == 0) return GLIA_OK;
    while (m.from[row] != 1) row++;
    for (int d = 1; d < m.rank; d++) places *= d == row ? 1 : m.dim[d];
    for (int64_t place = 0; place < places; place++) {
        void *y = (char *)c->out[0].data + (size_t)to * size;
        const void *x = (const char *)c->in[0].data + (size_t)from * size;
        if (row == 0)
            memcpy(y, x, (size_t)m.dim[0] * size);
        else
            (size == 1   ? tiles_uint8_t
             : size == 2 ? tiles_uint16_t
             : size == 4 ? tiles_uint32_t
                         : tiles_uint64_t)(y, x, m.dim[row], m.to[row], m.dim[0], m.from[0]);
        for (int d = 1; d < m.rank; d++) {
            if (d == row) continue;
            from += m.from[d], to += m.to[d];
            if (++index[d] < m.dim[d]) break;
            from -= m.from[d] * m.dim[d], to -= m.to[d] * m.dim[d];
            index[d] = 0;
        }
    }
    return GLIA_OK;
}

static uint32_t transpose_rows(const glia_type *in, int n_in, const void *attrs) {
    int perm[GLIA_MAX_RANK];
    (void)n_in;
    bool known =
        resolve_perm(&((const glia_transpose_attrs *)attrs)->perm, in[0].shape.rank, perm, NULL) == GLIA_OK;
    return known && in[0].shape.rank > 0 && perm[0] == 0 ? 1 : 0;
}

static void transpose_grad(glia_gradient *g) {
    int perm[GLIA_MAX_RANK], rank = glia_value_shape(g->x[0]).rank;
    glia_transpose_attrs inverse = {.perm = {.rank = rank}};
    if (resolve_perm(&((const glia_transpose_attrs *)g->attrs)->perm, rank, perm, NULL) != GLIA_OK) return;
    for (int i = 0; i < rank; i++) inverse.perm.dim[perm[i]] = i;
    g->dx[0] = glia_op_transpose(g->dy[0], inverse);
}

GLIA_OP(transpose) = {
    .name = "transpose",
    .version = 1,
    .doc = "y[i_perm] = x[i]: dimensions in another order",
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = GLIA_FIELDS({.name = "perm",
                          .kind = GLIA_FIELD_DIMS,
                          .offset = offsetof(glia_transpose_attrs, perm),
                          .initial = "",
                          .doc = "order of the dimensions; none: reversed"}),
    .attrs_size = sizeof(glia_transpose_attrs),
    .infer = transpose_infer,
    .grad = transpose_grad,
    .ref = transpose_ref,
    .rows = transpose_rows,
    .flops = glia__no_flops,
    .emit_c = glia__emit_transpose,
    .onnx = "Transpose",
    .onnx_since = 1,
    .cases = GLIA_CASES({.inputs = "3x4"}, {.inputs = "2x3x4", .attrs = "perm=1,2,0"}, {.inputs = "5"},
                        {.inputs = "scalar"}, {.inputs = "2x3x4x5", .attrs = "perm=0,2,3,1"},
                        {.inputs = "3x35x18", .attrs = "perm=0,2,1"},
                        {.inputs = "2x3x4x5", .attrs = "perm=2,0,3,1"},
                        {.inputs = "2x3x1x5", .attrs = "perm=1,0,2,3"}, {.inputs = "9x66:u8<9"},
                        {.inputs = "3x40:i64<9"}, {.inputs = "0x3"}, {.inputs = "3x2:u8<9"},
                        {.inputs = "2x3", .attrs = "perm=0,0", .expect_error = "each of 0 … 1 once"},
                        {.inputs = "2x3", .attrs = "perm=0", .expect_error = "perm names 1 of 2"}),
};

glia_value *glia_op_transpose(glia_value *x, glia_transpose_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "transpose", &x, 1, &attrs);
}

/* --- concat ---------------------------------------------------------------------------------------------- */

static glia_status concat_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    int axis;
    char a[160], b[160];
    GLIA_TRY(glia__find_axis(((const glia_concat_attrs *)attrs)->axis, &in[0].shape, "concat", &axis, err));
    glia_type y = in[0];
    for (int i = 1; i < n_in; i++) {
        glia_shape other = in[i].shape;
        bool fits = other.rank == y.shape.rank && in[i].dtype == y.dtype && other.dim[axis] >= 0 &&
                    y.shape.dim[axis] >= 0;
        int64_t sum = fits ? y.shape.dim[axis] + other.dim[axis] : 0;
        if (fits) other.dim[axis] = y.shape.dim[axis];
        if (!fits || !glia_shape_equal(&other, &y.shape))
            return glia_error_set(err, GLIA_BAD_SHAPE,
                                  "concat: inputs must agree but for dimension %d, found %s and %s", axis,
                                  glia__type_text(&in[0], a, sizeof a), glia__type_text(&in[i], b, sizeof b));
        y.shape.dim[axis] = sum;
    }
    out[0] = y;
    return GLIA_OK;
}

static glia_status concat_ref(const glia_call *c) {
    const int64_t axis = ((const glia_concat_attrs *)c->attrs)->axis;
    const glia_lines y = glia__lines_of(&c->out[0].shape, axis);
    size_t size = glia_dtype_bytes(c->out[0].dtype) * (size_t)y.inner;
    char *to = c->out[0].data;
    for (int64_t o = 0; o < y.outer; o++)
        for (int i = 0; i < c->n_in; i++) {
            size_t bytes = (size_t)glia__lines_of(&c->in[i].shape, axis).n * size;
            if (bytes) memcpy(to, (const char *)c->in[i].data + (size_t)o * bytes, bytes);
            to += bytes;
        }
    return GLIA_OK;
}

static void concat_grad(glia_gradient *g) {
    int axis;
    glia_shape shape = glia_value_shape(g->x[0]);
    if (!glia__axis_resolve(((const glia_concat_attrs *)g->attrs)->axis, shape.rank, &axis)) return;
    if (g->n_in == 1) { /* perhaps along a symbolic dimension */
        g->dx[0] = g->dy[0];
        return;
    }
    int64_t start = 0;
    for (int i = 0; i < g->n_in; i++) {
        int64_t end = start + glia_value_shape(g->x[i]).dim[axis];
        if (g->needed[i])
            g->dx[i] = glia_op_slice(g->dy[0],
                                     (glia_slice_attrs){.axis = axis, .start = start, .end = end, .step = 1});
        start = end;
    }
}

static uint32_t concat_rows(const glia_type *in, int n_in, const void *attrs) {
    return glia__rows_unless_first(((const glia_concat_attrs *)attrs)->axis, in[0].shape.rank,
                                   (1u << n_in) - 1);
}

GLIA_OP(concat) = {
    .name = "concat",
    .version = 1,
    .doc = "y = the inputs one after the other along an axis",
    .min_inputs = 1,
    .max_inputs = GLIA_MAX_INPUTS,
    .attrs = GLIA_FIELDS(AXIS_FIELD(glia_concat_attrs, "dimension along which they are joined")),
    .attrs_size = sizeof(glia_concat_attrs),
    .infer = concat_infer,
    .grad = concat_grad,
    .ref = concat_ref,
    .rows = concat_rows,
    .flops = glia__no_flops,
    .onnx = "Concat",
    .onnx_since = 13,
    .emit_c = glia__emit_concat,
    .cases = GLIA_CASES({.inputs = "2x3 4x3"}, {.inputs = "2x3 2x1 2x2", .attrs = "axis=-1"}, {.inputs = "5"},
                        {.inputs = "2x3x2 2x1x2", .attrs = "axis=1"}, {.inputs = "0x3 2x3"},
                        {.inputs = "3:i64<9 2:i64<9"},
                        {.inputs = "2x3 2x4", .expect_error = "must agree but for dimension 0"},
                        {.inputs = "2x3 2x3", .attrs = "axis=2", .expect_error = "axis 2 is out of range"}),
};

glia_value *glia_op_concat(glia_value *const *values, int count, glia_concat_attrs attrs) {
    glia_graph *graph = NULL;
    for (int i = 0; i < count && !graph; i++) graph = glia_value_graph(values[i]);
    return glia_graph_apply(graph, "concat", values, count, &attrs);
}

/* --- slice ----------------------------------------------------------------------------------------------- */

typedef struct slice {
    int64_t start, count, step;
} slice;

/* Clamped as ONNX does: walking down, the place before the first element is a possible end. */
static slice slice_of(const glia_slice_attrs *a, int64_t dim) {
    slice s = {.step = a->step ? a->step : 1};
    int64_t begin = a->start < 0 ? a->start + dim : a->start, end = a->end < 0 ? a->end + dim : a->end;
    const int64_t low = s.step < 0 ? -1 : 0, high = s.step < 0 ? dim - 1 : dim;
    begin = GLIA_MIN(GLIA_MAX(begin, 0), high);
    end = GLIA_MIN(GLIA_MAX(end, low), high);
    s.start = begin;
    if (s.step > 0 && end > begin) s.count = (end - begin + s.step - 1) / s.step;
    if (s.step < 0 && end < begin) s.count = (begin - end - s.step - 1) / -s.step;
    return s;
}

static glia_status slice_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                               glia_error *err) {
    (void)n_in;
    const glia_slice_attrs *a = attrs;
    int axis;
    GLIA_TRY(glia__find_axis(a->axis, &in[0].shape, "slice", &axis, err));
    if (in[0].shape.dim[axis] < 0)
        return glia_error_set(err, GLIA_BAD_SHAPE, "slice: dimension %d is symbolic; slice another one",
                              axis);
    out[0] = in[0];
    out[0].shape.dim[axis] = slice_of(a, in[0].shape.dim[axis]).count;
    return GLIA_OK;
}

static glia_status slice_ref(const glia_call *c) {
    const glia_slice_attrs *a = c->attrs;
    const glia_lines l = glia__lines_of(&c->in[0].shape, a->axis);
    const slice s = slice_of(a, l.n);
    size_t size = glia_dtype_bytes(c->out[0].dtype) * (size_t)l.inner;
    const char *x = c->in[0].data;
    char *to = c->out[0].data;
    int64_t run = s.step == 1 ? GLIA_MAX(s.count, 1) : 1; /* elements in a row */
    for (int64_t o = 0; o < l.outer && size; o++)
        for (int64_t i = 0; i < s.count; i += run, to += (size_t)run * size)
            memcpy(to, x + (size_t)(o * l.n + s.start + i * s.step) * size, (size_t)run * size);
    return GLIA_OK;
}

static void slice_grad(glia_gradient *g) {
    g->dx[0] = glia_graph_apply(g->graph, "slice_backward", (glia_value *[]){g->x[0], g->dy[0]}, 2, g->attrs);
}

static uint32_t slice_rows(const glia_type *in, int n_in, const void *attrs) {
    return glia__rows_unless_first(((const glia_slice_attrs *)attrs)->axis, in[0].shape.rank,
                                   (1u << n_in) - 1);
}

#define SLICE_FIELDS                                                                              \
    GLIA_FIELDS(AXIS_FIELD(glia_slice_attrs, "dimension that is cut"),                            \
                INT_FIELD(glia_slice_attrs, start, "0", "first element; negative: from the end"), \
                INT_FIELD(glia_slice_attrs, end, "9223372036854775807",                           \
                          "one past the last; negative: from the end"),                           \
                {.name = "step",                                                                  \
                 .kind = GLIA_FIELD_INT,                                                          \
                 .offset = offsetof(glia_slice_attrs, step),                                      \
                 .initial = "1",                                                                  \
                 .min = -(1 << 30),                                                               \
                 .max = 1 << 30,                                                                  \
                 .doc = "take every step-th element; negative: walk down from start"})

static void slice_step(glia_stepping *s) {
    glia__step_vectors(s, ((const glia_slice_attrs *)s->node->attrs)->axis);
}

static void slice_to_onnx(glia_to_onnx *w) {
    const glia_slice_attrs *a = w->node->attrs;
    const int64_t step = a->step ? a->step : 1;
    GLIA_TO_ONNX(w, w->y[0], "Slice", w->x[0], glia__to_onnx_list(w, &a->start, 1),
                 glia__to_onnx_list(w, &a->end, 1), glia__to_onnx_list(w, &a->axis, 1),
                 glia__to_onnx_list(w, &step, 1));
}

GLIA_OP(slice) = {
    .name = "slice",
    .version = 1,
    .doc = "y = x[…, start:end:step, …] along an axis",
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = SLICE_FIELDS,
    .attrs_size = sizeof(glia_slice_attrs),
    .infer = slice_infer,
    .grad = slice_grad,
    .step = slice_step,
    .ref = slice_ref,
    .rows = slice_rows,
    .flops = glia__no_flops,
    .onnx = "Slice",
    .onnx_since = 13,
    .onnx_write = slice_to_onnx,
    .emit_c = glia__emit_slice,
    .cases =
        GLIA_CASES({.inputs = "5x3", .attrs = "start=1 end=4"}, {.inputs = "2x7x2", .attrs = "axis=1 step=3"},
                   {.inputs = "2x7", .attrs = "axis=-1 start=-3"}, {.inputs = "6", .attrs = "start=5 end=2"},
                   {.inputs = "6", .attrs = "start=1 end=-1 step=2"}, {.inputs = "6:i32<9", .attrs = "end=3"},
                   {.inputs = "5x3", .attrs = "start=-1 end=-9223372036854775808 step=-1"},
                   {.inputs = "2x8", .attrs = "axis=1 start=6 end=-7 step=-2"},
                   {.inputs = "6", .attrs = "start=2 end=4 step=-1"},
                   {.inputs = "0x2", .attrs = "start=-1 end=-9 step=-1"},
                   {.inputs = "6", .attrs = "axis=1", .expect_error = "axis 1 is out of range"}),
};

glia_value *glia_op_slice(glia_value *x, glia_slice_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "slice", &x, 1, &attrs);
}

static glia_status slice_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                        glia_error *err) {
    glia_type y;
    GLIA_TRY(slice_infer(in, n_in, attrs, &y, err));
    GLIA_TRY(glia__check_gradient(&y, &in[1], "slice", err));
    out[0] = in[0];
    return GLIA_OK;
}

static glia_status slice_backward_ref(const glia_call *c) {
    const glia_slice_attrs *a = c->attrs;
    const glia_lines l = glia__lines_of(&c->out[0].shape, a->axis);
    const slice s = slice_of(a, l.n);
    size_t size = glia_dtype_bytes(c->out[0].dtype) * (size_t)l.inner;
    const char *from = c->in[1].data;
    char *x = c->out[0].data;
    int64_t run = s.step == 1 ? GLIA_MAX(s.count, 1) : 1;
    memset(x, 0, (size_t)(l.outer * l.n) * size);
    for (int64_t o = 0; o < l.outer && size; o++)
        for (int64_t i = 0; i < s.count; i += run, from += (size_t)run * size)
            memcpy(x + (size_t)(o * l.n + s.start + i * s.step) * size, from, (size_t)run * size);
    return GLIA_OK;
}

static void slice_backward_grad(glia_gradient *g) {
    if (g->needed[1]) g->dx[1] = glia_graph_apply(g->graph, "slice", &g->dy[0], 1, g->attrs);
}

GLIA_OP(slice_backward) = {
    .name = "slice_backward",
    .version = 1,
    .doc = "d(slice)/dx of x, of which only the shape matters, and dy: zeros around dy",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 1,
    .attrs = SLICE_FIELDS,
    .attrs_size = sizeof(glia_slice_attrs),
    .infer = slice_backward_infer,
    .grad = slice_backward_grad,
    .ref = slice_backward_ref,
    .rows = slice_rows,
    .flops = glia__no_flops,
    .cases = GLIA_CASES({.inputs = "5x3 3x3", .attrs = "start=1 end=4"},
                        {.inputs = "2x7x2 2x3x2", .attrs = "axis=1 step=3"},
                        {.inputs = "2x8 2x3", .attrs = "axis=1 start=6 end=0 step=-2"},
                        {.inputs = "5x3 4x3", .attrs = "start=1 end=4", .expect_error = "cannot be f32 4×3"}),
};
