/* arrange.c: trilu (one half of matrices) and reverse_sequence (the beginning of each sequence turned round). */

#include "glia/ops.h"
#include "graph/op.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_trilu_attrs {
    glia_bool upper; /* keep the upper half; default yes */
    int64_t k; /* first (upper) or last (lower) diagonal that is kept: 0 the main one, above it positive */
} glia_trilu_attrs;
/* The upper or lower half of each matrix (the last two dimensions), zeros elsewhere. */
GLIA_API glia_value *glia_op_trilu(glia_value *x, glia_trilu_attrs attrs);

typedef struct glia_reverse_sequence_attrs {
    glia_bool time_first; /* x is [time, batch, …]; default no: [batch, time, …] */
} glia_reverse_sequence_attrs;
/* The first lengths[n] (i64 or i32) elements of sequence n in reverse order; the rest stays. */
GLIA_API glia_value *glia_op_reverse_sequence(glia_value *x, glia_value *lengths,
                                              glia_reverse_sequence_attrs attrs);
#endif /* GLIA_OPS_HEADER */

/* --- trilu ----------------------------------------------------------------------------------------------- */

static glia_status trilu_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                               glia_error *err) {
    (void)n_in, (void)attrs;
    char text[160];
    out[0] = in[0];
    if (in[0].shape.rank >= 2) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "trilu expects matrices, found %s",
                          glia__type_text(&in[0], text, sizeof text));
}

static glia_status trilu_ref(const glia_call *c) {
    const glia_trilu_attrs *a = c->attrs;
    const glia_shape *shape = &c->out[0].shape;
    const int64_t rows = shape->dim[shape->rank - 2], columns = shape->dim[shape->rank - 1];
    const size_t size = glia_dtype_bytes(c->out[0].dtype), line = (size_t)columns * size;
    const int64_t lines = columns ? glia_shape_elems(shape) / columns : 0;
    const char *x = c->in[0].data;
    char *y = c->out[0].data;
    for (int64_t i = 0; i < lines; i++, x += line, y += line) {
        /* Columns before `edge` are the lower part. */
        const int64_t diagonal = i % rows + a->k + (a->upper == GLIA_NO ? 1 : 0);
        const size_t edge = (size_t)GLIA_MIN(GLIA_MAX(diagonal, 0), columns) * size;
        if (y != x) memcpy(y, x, line);
        if (a->upper == GLIA_NO)
            memset(y + edge, 0, line - edge);
        else
            memset(y, 0, edge);
    }
    return GLIA_OK;
}

static void trilu_grad(glia_gradient *g) {
    g->dx[0] = glia_graph_apply(g->graph, "trilu", &g->dy[0], 1, g->attrs);
}

/* Whole matrices. */
static uint32_t trilu_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)n_in, (void)attrs;
    return in[0].shape.rank > 2 ? 1 : 0;
}

static void trilu_to_onnx(glia_to_onnx *w) {
    const glia_trilu_attrs *a = w->node->attrs;
    if (w->opset < 14) {
        glia__to_onnx_refuse(w, "ONNX has it since opset 14 (--opset 14)");
        return;
    }
    GLIA_TO_ONNX(w, w->y[0], "Trilu", w->x[0], glia__to_onnx_number(w, GLIA_I64, (double)a->k));
    glia__to_onnx_int(w, "upper", a->upper != GLIA_NO);
}

GLIA_OP(trilu) = {
    .name = "trilu",
    .version = 1,
    .doc = "y[…, i, j] = x[…, i, j] where j − i ≥ k (upper) or ≤ k (lower), 0 elsewhere",
    .source = "ONNX Trilu; NumPy's triu and tril",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_INPLACE,
    .attrs = GLIA_FIELDS({.name = "upper",
                          .kind = GLIA_FIELD_BOOL,
                          .offset = offsetof(glia_trilu_attrs, upper),
                          .initial = "yes",
                          .doc = "which half is kept"},
                         {.name = "k",
                          .kind = GLIA_FIELD_INT,
                          .offset = offsetof(glia_trilu_attrs, k),
                          .initial = "0",
                          .min = -(1 << 30),
                          .max = 1 << 30,
                          .doc = "the diagonal where that half begins"}),
    .attrs_size = sizeof(glia_trilu_attrs),
    .infer = trilu_infer,
    .grad = trilu_grad,
    .ref = trilu_ref,
    .rows = trilu_rows,
    .flops = glia__no_flops,
    .onnx = "Trilu",
    .onnx_since = 14,
    .onnx_write = trilu_to_onnx,
    .emit_c = glia__emit_trilu,
    .cases = GLIA_CASES({.inputs = "4x5"}, {.inputs = "4x5", .attrs = "upper=no"},
                        {.inputs = "2x3x3", .attrs = "k=1"}, {.inputs = "5x3", .attrs = "upper=no k=-2"},
                        {.inputs = "3x4", .attrs = "k=-9"}, {.inputs = "3x4", .attrs = "upper=no k=-9"},
                        {.inputs = "3x3:i64<9", .attrs = "k=2"}, {.inputs = "2x3:bool"}, {.inputs = "2x0x3"},
                        {.inputs = "2x3x0"},
                        {.inputs = "5", .expect_error = "expects matrices, found f32 5"}),
};

glia_value *glia_op_trilu(glia_value *x, glia_trilu_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "trilu", &x, 1, &attrs);
}

/* --- reverse_sequence ------------------------------------------------------------------------------------ */

static glia_status reverse_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    (void)n_in;
    const bool time_first = ((const glia_reverse_sequence_attrs *)attrs)->time_first == GLIA_YES;
    char a[160], b[160];
    if (in[0].shape.rank < 2 || in[1].shape.rank != 1 || !glia__is_index(in[1].dtype) ||
        in[1].shape.dim[0] != in[0].shape.dim[time_first ? 1 : 0])
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "reverse_sequence expects %s and i64 or i32 lengths of the batch, found %s and %s",
            time_first ? "[time, batch, …]" : "[batch, time, …]", glia__type_text(&in[0], a, sizeof a),
            glia__type_text(&in[1], b, sizeof b));
    out[0] = in[0];
    return GLIA_OK;
}

static glia_status reverse_ref(const glia_call *c) {
    const bool time_first = ((const glia_reverse_sequence_attrs *)c->attrs)->time_first == GLIA_YES;
    const glia_shape *shape = &c->in[0].shape;
    const int64_t batch = shape->dim[time_first ? 1 : 0], time = shape->dim[time_first ? 0 : 1];
    const int64_t example_step = time_first ? 1 : time, time_step = time_first ? batch : 1;
    size_t size = glia_dtype_bytes(c->in[0].dtype);
    for (int d = 2; d < shape->rank; d++) size *= (size_t)shape->dim[d];
    const char *x = c->in[0].data;
    char *y = c->out[0].data;
    for (int64_t n = 0; n < batch; n++) {
        const int64_t length = glia__index_at(&c->in[1], n);
        if (length < 0 || length > time)
            return glia_error_set(c->err, GLIA_BAD_DATA,
                                  "length %lld of sequence %lld is out of range 0 … %lld", (long long)length,
                                  (long long)(c->first_row + n), (long long)time);
        for (int64_t t = 0; t < time && size; t++) {
            const int64_t from = t < length ? length - 1 - t : t;
            memcpy(y + (size_t)(n * example_step + t * time_step) * size,
                   x + (size_t)(n * example_step + from * time_step) * size, size);
        }
    }
    return GLIA_OK;
}

/* Turned round twice it is as before. */
static void reverse_grad(glia_gradient *g) {
    g->dx[0] =
        glia_graph_apply(g->graph, "reverse_sequence", (glia_value *[]){g->dy[0], g->x[1]}, 2, g->attrs);
}

static uint32_t reverse_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)in, (void)n_in;
    return ((const glia_reverse_sequence_attrs *)attrs)->time_first == GLIA_YES ? 0 : 3;
}

static void reverse_to_onnx(glia_to_onnx *w) {
    const bool time_first = ((const glia_reverse_sequence_attrs *)w->node->attrs)->time_first == GLIA_YES;
    GLIA_TO_ONNX(w, w->y[0], "ReverseSequence", w->x[0], glia__to_onnx_i64(w, 1));
    glia__to_onnx_int(w, "batch_axis", time_first);
    glia__to_onnx_int(w, "time_axis", !time_first);
}

GLIA_OP(reverse_sequence) = {
    .name = "reverse_sequence",
    .version = 1,
    .doc = "y[n, t] = x[n, lengths[n] − 1 − t] where t < lengths[n], x[n, t] elsewhere",
    .source = "ONNX ReverseSequence",
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = GLIA_FIELDS({.name = "time_first",
                          .kind = GLIA_FIELD_BOOL,
                          .offset = offsetof(glia_reverse_sequence_attrs, time_first),
                          .initial = "no",
                          .doc = "x is [time, batch, …], not [batch, time, …]"}),
    .attrs_size = sizeof(glia_reverse_sequence_attrs),
    .infer = reverse_infer,
    .grad = reverse_grad,
    .ref = reverse_ref,
    .rows = reverse_rows,
    .flops = glia__no_flops,
    .onnx = "ReverseSequence",
    .onnx_since = 10,
    .onnx_write = reverse_to_onnx,
    .emit_c = glia__emit_reverse_sequence,
    .cases = GLIA_CASES(
        {.inputs = "4x5 4:i64<6"}, {.inputs = "5x4x2 4:i32<6", .attrs = "time_first=yes"},
        {.inputs = "3x4x2:i64<9 3:i64<5"}, {.inputs = "0x5 0:i64<5"}, {.inputs = "4x5:bool 4:i64<6"},
        {.inputs = "4x5 5:i64<4", .expect_error = "expects [batch, time, …]"},
        {.inputs = "4x5 4", .expect_error = "i64 or i32 lengths"},
        {.inputs = "4x5 4:i64<5", .attrs = "time_first=yes", .expect_error = "[time, batch, …]"}),
};

glia_value *glia_op_reverse_sequence(glia_value *x, glia_value *lengths, glia_reverse_sequence_attrs attrs) {
    glia_value *in[] = {x, lengths};
    return glia_graph_apply(glia_value_graph(x ? x : lengths), "reverse_sequence", in, 2, &attrs);
}
