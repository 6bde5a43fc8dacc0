/* recurrent.c: simple recurrent networks, LSTM and GRU over whole sequences. Their gradients are in
 * recurrent_backward.c. */

#include "ops/recurrent.h"

#include "graph/step.h"
#include "ops/emit.h"
#include "ops/expr.h"
#include "ops/matmul.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
/* x [N, T, in]; w [gates·H, in], r [gates·H, H] and b [2·gates·H] (those of w, then those of r) in PyTorch's order of
 * gates: lstm i, f, g, o; gru r, z, n; rnn has one. b may be NULL. lengths [N], i64 or i32, up to T, or NULL: what lies
 * behind is not read, and results there are 0. h0, c0 [N, H]: how the state begins, or NULL: 0. */
typedef struct glia_recurrent_inputs {
    glia_value *x, *w, *r, *b, *lengths, *h0, *c0;
} glia_recurrent_inputs;
typedef struct glia_recurrent_attrs {
    glia_bool reverse; /* from the last step to the first; default no */
    glia_bool
        reset_after; /* gru: n = tanh(x·Wᵀ + r·(h·Rᵀ + b)), as cuDNN and PyTorch; no: (r·h)·Rᵀ. Default yes */
    int activation;        /* rnn: 0 tanh, 1 relu */
    glia_bool allow_empty; /* lengths may be 0: such a sequence keeps its first state. Default yes */
} glia_recurrent_attrs;
/* y [N, T, H]: the state h after every step. glia_value_sibling(y, 1): the last h [N, H]; of lstm (y, 2): the last c. */
GLIA_API glia_value *glia_op_rnn(glia_recurrent_inputs inputs, glia_recurrent_attrs attrs);
GLIA_API glia_value *glia_op_lstm(glia_recurrent_inputs inputs, glia_recurrent_attrs attrs);
GLIA_API glia_value *glia_op_gru(glia_recurrent_inputs inputs, glia_recurrent_attrs attrs);
#endif /* GLIA_OPS_HEADER */

#define T          float
#define NAME(name) name##_f32
#define MATMUL     glia__matmul_float
#include "ops/recurrent_loops.h"
#undef T
#undef NAME
#undef MATMUL
#define T          double
#define NAME(name) name##_f64
#define MATMUL     glia__matmul_double
#include "ops/recurrent_loops.h"

const glia_cell glia__cell_rnn = {GLIA_CELL_RNN, "rnn", "rnn_backward", 1, 0};
const glia_cell glia__cell_lstm = {GLIA_CELL_LSTM, "lstm", "lstm_backward", 4, 5};
const glia_cell glia__cell_gru = {GLIA_CELL_GRU, "gru", "gru_backward", 3, 4};

/* --- what all ops of the family ask ------------------------------------------------------------------------- */

glia_recurrent glia__recurrent_of(const glia_cell *cell, const glia_call *c, const glia_shape *sequences,
                                  int64_t hidden, int lengths) {
    const glia_recurrent_attrs *a = c->attrs;
    return (glia_recurrent){.cell = cell,
                            .n = sequences->dim[0],
                            .steps = sequences->dim[1],
                            .hidden = hidden,
                            .width = cell->gates * hidden,
                            .reverse = a->reverse == GLIA_YES,
                            .reset_after = a->reset_after != GLIA_NO,
                            .relu = a->activation == 1,
                            .least = a->allow_empty == GLIA_NO,
                            .lengths = glia__recurrent_input(c, lengths)};
}

static int64_t length_of(const glia_recurrent *p, int64_t i) {
    if (!p->lengths.data) return p->steps;
    return glia__index_at(&p->lengths, i);
}

glia_status glia__recurrent_check(const glia_recurrent *p, const glia_call *c) {
    for (int64_t i = 0; i < p->n; i++) {
        const int64_t length = length_of(p, i);
        if (length < p->least || length > p->steps)
            return glia_error_set(c->err, GLIA_BAD_DATA,
                                  "%s '%s': length %lld of sequence %lld is out of range %d … %lld",
                                  p->cell->name, c->node ? c->node : "", (long long)length,
                                  (long long)(c->first_row + i), p->least, (long long)p->steps);
    }
    return GLIA_OK;
}

int64_t glia__recurrent_place(const glia_recurrent *p, int64_t i, int64_t s) {
    const int64_t length = length_of(p, i);
    if (s >= length) return -1;
    return i * p->steps + (p->reverse ? length - 1 - s : s);
}

glia_status glia__recurrent_expect(const glia_cell *cell, const glia_type *in, int n_in, int i,
                                   const char *what, glia_dtype dtype, glia_shape shape, glia_error *err) {
    char wanted[160], found[160];
    const glia_type type = {dtype, shape};
    if (i >= n_in || in[i].shape.rank < 0) return GLIA_OK;
    if (in[i].dtype == dtype && glia_shape_equal(&in[i].shape, &shape)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "%s expects %s of %s, found %s", cell->name, what,
                          glia__type_text(&type, wanted, sizeof wanted),
                          glia__type_text(&in[i], found, sizeof found));
}

glia_status glia__recurrent_expect_lengths(const glia_cell *cell, const glia_type *in, int n_in, int i,
                                           int64_t n, glia_error *err) {
    const bool narrow = i < n_in && in[i].dtype == GLIA_I32;
    return glia__recurrent_expect(cell, in, n_in, i, "lengths", narrow ? GLIA_I32 : GLIA_I64, GLIA_SHAPE(n),
                                  err);
}

uint32_t glia__recurrent_present(const glia_type *in, int n_in, int first, int last) {
    uint32_t bits = 0;
    for (int i = first; i <= last && i < n_in; i++)
        if (in[i].shape.rank >= 0) bits |= 1u << i;
    return bits;
}

/* --- forward ------------------------------------------------------------------------------------------------ */

static glia_status infer_of(const glia_cell *cell, const glia_type *in, int n_in, glia_type *out,
                            glia_error *err) {
    char x[160], r[160];
    GLIA_TRY(glia__check_float_or_bf16(&in[GLIA_REC_X], err));
    const glia_shape *sx = &in[GLIA_REC_X].shape, *sr = &in[GLIA_REC_R].shape;
    const glia_dtype dtype = in[GLIA_REC_X].dtype, of_params = glia__param_dtype(dtype);
    const int64_t hidden = sr->rank == 2 ? sr->dim[1] : -1;
    if (sx->rank != 3 || hidden < 0)
        return glia_error_set(err, GLIA_BAD_SHAPE, "%s expects x [N, T, in] and r [%d·H, H], found %s and %s",
                              cell->name, cell->gates, glia__type_text(&in[GLIA_REC_X], x, sizeof x),
                              glia__type_text(&in[GLIA_REC_R], r, sizeof r));
    const int64_t n = sx->dim[0], width = cell->gates * hidden;
#define EXPECT(i, what, dtype, ...) \
    GLIA_TRY(glia__recurrent_expect(cell, in, n_in, i, what, dtype, GLIA_SHAPE(__VA_ARGS__), err))
    EXPECT(GLIA_REC_R, "recurrent weights", of_params, width, hidden);
    EXPECT(GLIA_REC_W, "weights", of_params, width, sx->dim[2]);
    EXPECT(GLIA_REC_B, "a bias", of_params, 2 * width);
    EXPECT(GLIA_REC_H0, "h0", dtype, n, hidden);
    EXPECT(GLIA_REC_C0, "c0", dtype, n, hidden);
#undef EXPECT
    GLIA_TRY(glia__recurrent_expect_lengths(cell, in, n_in, GLIA_REC_LENGTHS, n, err));
    const bool lstm = cell->kind == GLIA_CELL_LSTM;
    out[GLIA_REC_Y] = (glia_type){dtype, GLIA_SHAPE(n, sx->dim[1], hidden)};
    out[GLIA_REC_HN] = (glia_type){dtype, GLIA_SHAPE(n, hidden)};
    if (lstm) out[GLIA_REC_CN] = out[GLIA_REC_HN];
    if (cell->saved)
        out[GLIA_REC_CN + lstm] = (glia_type){dtype, GLIA_SHAPE(n, sx->dim[1], cell->saved * hidden)};
    return GLIA_OK;
}

static glia_status run(const glia_cell *cell, const glia_call *c) {
    glia_recurrent p = glia__recurrent_of(cell, c, &c->in[GLIA_REC_X].shape, c->out[GLIA_REC_HN].shape.dim[1],
                                          GLIA_REC_LENGTHS);
    const bool lstm = cell->kind == GLIA_CELL_LSTM;
    GLIA_TRY(glia__recurrent_check(&p, c));
    p.in = c->in[GLIA_REC_X].shape.dim[2];
    p.x = c->in[GLIA_REC_X].data;
    p.w = c->in[GLIA_REC_W].data;
    p.r = c->in[GLIA_REC_R].data;
    p.b = glia__recurrent_input(c, GLIA_REC_B).data;
    p.h0 = glia__recurrent_input(c, GLIA_REC_H0).data;
    p.c0 = glia__recurrent_input(c, GLIA_REC_C0).data;
    void *y = c->out[GLIA_REC_Y].data, *h = c->out[GLIA_REC_HN].data;
    void *cn = lstm ? c->out[GLIA_REC_CN].data : NULL;
    void *saved = cell->saved ? c->out[GLIA_REC_CN + lstm].data : NULL;
    if (c->out[GLIA_REC_Y].dtype == GLIA_F64)
        forward_f64(&p, y, h, cn, saved, c->workspace);
    else
        forward_f32(&p, y, h, cn, saved, c->workspace);
    return GLIA_OK;
}

/* Sums of all steps by the input; of one by the state; gru: what n sees, and its sums. And f32 copies of bf16. */
static size_t workspace_of(const glia_cell *cell, const glia_type *in, const glia_type *out) {
    const glia_shape *y = &out[GLIA_REC_Y].shape;
    const size_t n = (size_t)y->dim[0], steps = (size_t)y->dim[1], hidden = (size_t)y->dim[2];
    size_t bytes = n * hidden * ((size_t)cell->gates * (steps + 1) + 2) *
                   glia_dtype_bytes(glia__param_dtype(out[GLIA_REC_Y].dtype));
    for (int i = 0; i <= GLIA_REC_C0; i++) bytes += glia__widened_bytes(&in[i]);
    for (int o = 0; o < GLIA_REC_CN + (cell->kind == GLIA_CELL_LSTM) + (cell->saved > 0); o++)
        bytes += glia__widened_bytes(&out[o]);
    return bytes;
}

static uint32_t forward_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)attrs;
    return 1u << GLIA_REC_X | glia__recurrent_present(in, n_in, GLIA_REC_LENGTHS, GLIA_REC_C0);
}

static double forward_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia_shape *w = &in[GLIA_REC_W].shape, *y = &out[GLIA_REC_Y].shape;
    (void)attrs;
    return 2.0 * (double)(y->dim[0] * y->dim[1]) * (double)w->dim[0] * (double)(w->dim[1] + y->dim[2]);
}

/* --- gradients ------------------------------------------------------------------------------------------------ */

static glia_value *last_slice(glia_value *x, int64_t start, int64_t end) {
    return glia_op_slice(x, (glia_slice_attrs){.axis = -1, .start = start, .end = end});
}

/* Without reset_after n's weights see r·h, the others h. */
static glia_value *reset_first(glia_value *da, glia_value *before, glia_value *saved, int64_t hidden) {
    glia_value *seen = glia_op_mul(last_slice(saved, 0, hidden), before);
    glia_value *parts[] = {
        glia__apply2("linear_backward_weights", before, last_slice(da, 0, 2 * hidden)),
        glia__apply2("linear_backward_weights", seen, last_slice(da, 2 * hidden, 3 * hidden))};
    return glia_op_concat(parts, 2, (glia_concat_attrs){.axis = 0});
}

/* From the gradients of the sums (`back`: what the backward op gave) those of w, r and b, which are products with all that
 * the weights saw. */
static void grad_of_weights(const glia_cell *cell, glia_gradient *g, glia_value *back, glia_value *saved) {
    const bool gru = cell->kind == GLIA_CELL_GRU;
    const bool reset_after = ((const glia_recurrent_attrs *)g->attrs)->reset_after != GLIA_NO;
    const bool bias = g->n_in > GLIA_REC_B && g->needed[GLIA_REC_B];
    const int64_t hidden = glia_value_shape(g->x[GLIA_REC_R]).dim[1];
    glia_value *da = back, *before = glia_value_sibling(back, GLIA_BACK_BEFORE);
    glia_value *dar = gru && reset_after ? glia_value_sibling(back, GLIA_BACK_EXTRA) : da;
    glia_value *db[2] = {NULL};
    if (g->needed[GLIA_REC_W] || bias) {
        glia_value *dw = glia__apply2("linear_backward_weights", g->x[GLIA_REC_X], da);
        g->dx[GLIA_REC_W] = dw;
        db[0] = db[1] = glia_value_sibling(dw, 1);
    }
    if (g->needed[GLIA_REC_R] || (bias && dar != da)) {
        glia_value *dr = gru && !reset_after ? reset_first(da, before, saved, hidden)
                                             : glia__apply2("linear_backward_weights", before, dar);
        g->dx[GLIA_REC_R] = dr;
        if (dar != da) db[1] = glia_value_sibling(dr, 1);
    }
    if (bias) g->dx[GLIA_REC_B] = glia_op_concat(db, 2, (glia_concat_attrs){.axis = 0});
}

static void grad_of(const glia_cell *cell, glia_gradient *g) {
    const bool lstm = cell->kind == GLIA_CELL_LSTM;
    glia_value *x[GLIA_REC_C0 + 1] = {NULL};
    for (int i = 0; i < g->n_in; i++) x[i] = g->x[i];
    glia_value *saved = cell->saved ? g->y[GLIA_REC_CN + lstm] : NULL;
    glia_value *in[] = {x[GLIA_REC_R],       g->y[GLIA_REC_Y],   saved,
                        x[GLIA_REC_LENGTHS], x[GLIA_REC_H0],     x[GLIA_REC_C0],
                        g->dy[GLIA_REC_Y],   g->dy[GLIA_REC_HN], lstm ? g->dy[GLIA_REC_CN] : NULL};
    glia_value *back = glia_graph_apply(g->graph, cell->backward, in, GLIA_BACK_DCN + 1, g->attrs);
    if (g->needed[GLIA_REC_X])
        g->dx[GLIA_REC_X] = glia_op_matmul(back, x[GLIA_REC_W], (glia_matmul_attrs){GLIA_NO, GLIA_NO});
    grad_of_weights(cell, g, back, saved);
    if (g->n_in > GLIA_REC_H0) g->dx[GLIA_REC_H0] = glia_value_sibling(back, GLIA_BACK_DH0);
    if (g->n_in > GLIA_REC_C0) g->dx[GLIA_REC_C0] = glia_value_sibling(back, GLIA_BACK_EXTRA);
}

/* --- step by step --------------------------------------------------------------------------------------------- */

/* The state after some steps is how it begins for the next. */
static void step_of(const glia_cell *cell, glia_stepping *s) {
    const int states = cell->kind == GLIA_CELL_LSTM ? 2 : 1;
    const glia_node *node = s->node;
    glia_value *in[GLIA_REC_C0 + 1] = {NULL};
    const bool reverse = ((const glia_recurrent_attrs *)node->attrs)->reverse == GLIA_YES;
    if (reverse) s->why = "reads from the last step to the first";
    for (int i = 0; i < node->n_inputs; i++) {
        if (i >= GLIA_REC_H0 && glia__step_is_state(s, i)) continue;
        if (i >= GLIA_REC_LENGTHS && s->x[i])
            s->why =
                i == GLIA_REC_LENGTHS ? "ends sequences at their lengths" : "is given a state to begin with";
        if (s->x[i] && (i == GLIA_REC_X) != s->goes[i]) return;
        in[i] = s->x[i];
    }
    if (s->why) return;
    const glia_type *last = &node->outputs[GLIA_REC_HN].type;
    for (int i = 0; i < states; i++)
        in[GLIA_REC_H0 + i] = glia__step_memory(s, last->dtype, last->shape, false);
    s->y[GLIA_REC_Y] = glia_graph_apply(s->steps->graph, cell->name, in, GLIA_REC_H0 + states, node->attrs);
    for (int i = 0; i < states; i++)
        glia__step_keep(s, in[GLIA_REC_H0 + i], glia_value_sibling(s->y[GLIA_REC_Y], GLIA_REC_HN + i));
}

#define REVERSE_FIELD                                                                                  \
    {                                                                                                  \
        .name = "reverse", .kind = GLIA_FIELD_BOOL, .offset = offsetof(glia_recurrent_attrs, reverse), \
        .initial = "no", .doc = "from the last step to the first"                                      \
    }
#define EMPTY_FIELD                                                                                        \
    {                                                                                                      \
        .name = "allow_empty", .kind = GLIA_FIELD_BOOL,                                                    \
        .offset = offsetof(glia_recurrent_attrs, allow_empty), .initial = "yes", .doc = "lengths may be 0" \
    }
const glia_field glia__lstm_fields[] = {REVERSE_FIELD, EMPTY_FIELD, {.name = NULL}};
const glia_field glia__rnn_fields[] = {REVERSE_FIELD,
                                       EMPTY_FIELD,
                                       {.name = "activation",
                                        .kind = GLIA_FIELD_CHOICE,
                                        .offset = offsetof(glia_recurrent_attrs, activation),
                                        .initial = "tanh",
                                        .choices = "tanh|relu",
                                        .doc = "of the new state"},
                                       {.name = NULL}};
const glia_field glia__gru_fields[] = {
    REVERSE_FIELD,
    EMPTY_FIELD,
    {.name = "reset_after",
     .kind = GLIA_FIELD_BOOL,
     .offset = offsetof(glia_recurrent_attrs, reset_after),
     .initial = "yes",
     .doc = "r multiplies what the recurrent weights give, not what they see"},
    {.name = NULL}};

#define RECURRENT_OP(op, inputs_, ...)                                                              \
    static glia_status op##_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out, \
                                  glia_error *err) {                                                \
        (void)attrs;                                                                                \
        return infer_of(&glia__cell_##op, in, n_in, out, err);                                      \
    }                                                                                               \
    static void op##_grad(glia_gradient *g) {                                                       \
        grad_of(&glia__cell_##op, g);                                                               \
    }                                                                                               \
    static void op##_step(glia_stepping *s) {                                                       \
        step_of(&glia__cell_##op, s);                                                               \
    }                                                                                               \
    static glia_status op##_loops(const glia_call *c) {                                             \
        return run(&glia__cell_##op, c);                                                            \
    }                                                                                               \
    static glia_status op##_ref(const glia_call *c) {                                               \
        return glia__run_widened(c, 0, op##_loops);                                                 \
    }                                                                                               \
    static size_t op##_workspace(const glia_type *in, const glia_type *out, const void *attrs) {    \
        (void)attrs;                                                                                \
        return workspace_of(&glia__cell_##op, in, out);                                             \
    }                                                                                               \
    static void op##_to_onnx(glia_to_onnx *w) {                                                     \
        glia__recurrent_to_onnx(w, &glia__cell_##op);                                               \
    }                                                                                               \
    glia_value *glia_op_##op(glia_recurrent_inputs i, glia_recurrent_attrs attrs) {                 \
        glia_value *in[] = {i.x, i.w, i.r, i.b, i.lengths, i.h0, i.c0};                             \
        return glia_graph_apply(glia_value_graph(i.x), #op, in, inputs_, &attrs);                   \
    }                                                                                               \
    GLIA_OP(op) = {.name = #op,                                                                     \
                   .version = 1,                                                                    \
                   .min_inputs = 3,                                                                 \
                   .max_inputs = inputs_,                                                           \
                   .onnx_since = 7,                                                                 \
                   .onnx_write = op##_to_onnx,                                                      \
                   .attrs = glia__##op##_fields,                                                    \
                   .attrs_size = sizeof(glia_recurrent_attrs),                                      \
                   .infer = op##_infer,                                                             \
                   .grad = op##_grad,                                                               \
                   .step = op##_step,                                                               \
                   .ref = op##_ref,                                                                 \
                   .workspace = op##_workspace,                                                     \
                   .rows = forward_rows,                                                            \
                   .flops = forward_flops,                                                          \
                   .emit_c = glia__emit_##op,                                                       \
                   __VA_ARGS__}

#define ERRORS(gates)                                                                                     \
    {.inputs = "2x3 " gates "x3 " gates "x2", .expect_error = "expects x [N, T, in]"}, {                  \
        .inputs = "2x3x3:i64<9 " gates "x3 " gates "x2", .expect_error = "expected f32 or f64, found i64" \
    }

/* Weights beside bf16 are 0 here: kernels round the state to bf16 before each product, ref does not, and long chains of steps
 * part. tests/test_kernel_threads.c compares bf16 products.
 *
 * A block's name stands on its first line. */
/* clang-format off */
RECURRENT_OP(rnn, 6, .onnx = "RNN", .n_outputs = 2, .doc = "h ← tanh(x·Wᵀ + h·Rᵀ + b) over the steps of a sequence, or relu",
             .source = "Elman, Cognitive Science 14, 1990",
             .cases = GLIA_CASES(
                 {.inputs = "2x4x3 5x3 5x5 10"}, {.inputs = "2x4x3 5x3 5x5", .attrs = "allow_empty=no"},
                 {.inputs = "3x4x2 5x2 5x5 10 3:i64<5 3x5", .attrs = "reverse=yes"},
                 {.inputs = "3x4x2 5x2 5x5 10 3:i32<5", .attrs = "activation=relu"},
                 {.inputs = "0x4x3 5x3 5x5 10"}, {.inputs = "35x3x9 70x9 70x70 140", .tolerance = 1e-4},
                 {.inputs = "3x4x9:bf16 20x9:f32<1 20x20:f32<1 40:f32<2", .tolerance = 1e-2},
                 {.inputs = "2x4x3 5x3 5x5 5", .expect_error = "rnn expects a bias of f32 10, found f32 5"},
                 {.inputs = "2x4x3 5x2 5x5", .expect_error = "rnn expects weights of f32 5×3"}, ERRORS("2")));

RECURRENT_OP(lstm, 7, .onnx = "LSTM", .n_outputs = 4, .no_gradient = 1 << 3,
    .doc = "c ← σ(f)·c + σ(i)·tanh(g), h ← σ(o)·tanh(c), with i, f, g, o = x·Wᵀ + h·Rᵀ + b",
    .source =
        "Hochreiter, Schmidhuber, Neural Computation 9, 1997; with the forget gate of Gers et al., 2000",
    .cases = GLIA_CASES({.inputs = "2x4x3 20x3 20x5 40"}, {.inputs = "2x4x3 8x3 8x2"},
                        {.inputs = "3x4x2 20x2 20x5 40 3:i64<5 3x5 3x5", .attrs = "reverse=yes"},
                        {.inputs = "3x4x2 20x2 20x5 40 3:i32<5 - 3x5"}, {.inputs = "0x4x3 8x3 8x2"},
                        {.inputs = "35x3x40 132x40 132x33 264", .tolerance = 1e-4},
                        {.inputs = "3x4x9:bf16 68x9:f32<1 68x17:f32<1 136:f32<2", .tolerance = 1e-2},
                        {.inputs = "2x4x3 20x3 20x5 40 - 2x4", .expect_error = "lstm expects h0 of f32 2×5"},
                        {.inputs = "2x4x3 10x3 10x5",
                         .expect_error = "lstm expects recurrent weights of f32 20×5"},
                        ERRORS("8")));

RECURRENT_OP(gru, 6, .onnx = "GRU", .n_outputs = 3, .no_gradient = 1 << 2,
             .doc = "h ← (1 − z)·n + z·h, r, z = σ(x·Wᵀ + h·Rᵀ + b), n = tanh(x·Wᵀ + b + r·(h·Rᵀ + b))",
             .source = "Cho et al., EMNLP 2014",
             .cases = GLIA_CASES(
                 {.inputs = "2x4x3 15x3 15x5 30"}, {.inputs = "2x4x3 6x3 6x2"},
                 {.inputs = "2x4x3 15x3 15x5 30", .attrs = "reset_after=no"},
                 {.inputs = "3x4x2 15x2 15x5 30 3:i64<5 3x5", .attrs = "reverse=yes"},
                 {.inputs = "3x4x2 15x2 15x5 30 3:i64<5 3x5", .attrs = "reverse=yes reset_after=no"},
                 {.inputs = "0x4x3 6x3 6x2"}, {.inputs = "35x3x9 51x9 51x17 102", .tolerance = 1e-4},
                 {.inputs = "3x4x9:bf16 51x9:f32<1 51x17:f32<1 102:f32<2", .tolerance = 1e-2},
                 {.inputs = "2x4x3 15x3 15x5 30 3:i64<5", .expect_error = "gru expects lengths of i64 2"},
                 ERRORS("6")));
/* clang-format on */
