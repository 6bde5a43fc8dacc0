/* recurrent_backward.c: the gradients of rnn, lstm and gru: of what a sequence reads, by going back through its steps
 * (sequences are independent), and of the weights, which are sums over all sequences. */

#include "ops/expr.h"
#include "ops/matmul.h"
#include "ops/recurrent.h"

#define T          float
#define NAME(name) name##_f32
#define MATMUL     glia__matmul_float
#include "ops/recurrent_back.h"
#undef T
#undef NAME
#undef MATMUL
#define T          double
#define NAME(name) name##_f64
#define MATMUL     glia__matmul_double
#include "ops/recurrent_back.h"

#define EXPECT(i, what, ...) \
    GLIA_TRY(glia__recurrent_expect(cell, in, n_in, i, what, dtype, GLIA_SHAPE(__VA_ARGS__), err))

/* --- of x, of the sums, of the first state -------------------------------------------------------------------- */

enum { DX, DA, DH0, EXTRA }; /* outputs; EXTRA: lstm's dc0, gru's gradient of the sums by the state */

static glia_status infer_back(const glia_cell *cell, const glia_type *in, int n_in, glia_type *out,
                              glia_error *err) {
    const glia_type *y = &in[GLIA_BACK_Y], *w = &in[GLIA_BACK_W];
    char ty[160], tw[160];
    GLIA_TRY(glia__check_float(y, err));
    if (y->shape.rank != 3 || w->shape.rank != 2 || y->shape.dim[2] < 0 ||
        (cell->saved && !glia__recurrent_present(in, n_in, GLIA_BACK_SAVED, GLIA_BACK_SAVED)))
        return glia_error_set(err, GLIA_BAD_SHAPE, "%s expects y [N, T, H] and w [%d·H, in], found %s and %s",
                              cell->backward, cell->gates, glia__type_text(y, ty, sizeof ty),
                              glia__type_text(w, tw, sizeof tw));
    const glia_dtype dtype = y->dtype;
    const int64_t n = y->shape.dim[0], steps = y->shape.dim[1], hidden = y->shape.dim[2];
    const int64_t width = cell->gates * hidden;
    EXPECT(GLIA_BACK_W, "weights", width, w->shape.dim[1]);
    EXPECT(GLIA_BACK_R, "recurrent weights", width, hidden);
    EXPECT(GLIA_BACK_H0, "h0", n, hidden);
    EXPECT(GLIA_BACK_C0, "c0", n, hidden);
    if (cell->saved) EXPECT(GLIA_BACK_SAVED, "what was saved", n, steps, cell->saved * hidden);
    EXPECT(GLIA_BACK_DY, "dy", n, steps, hidden);
    EXPECT(GLIA_BACK_DHN, "the gradient of h", n, hidden);
    EXPECT(GLIA_BACK_DCN, "the gradient of c", n, hidden);
    GLIA_TRY(glia__recurrent_expect_lengths(cell, in, n_in, GLIA_BACK_LENGTHS, n, err));
    out[DX] = (glia_type){dtype, GLIA_SHAPE(n, steps, w->shape.dim[1])};
    out[DA] = (glia_type){dtype, GLIA_SHAPE(n, steps, width)};
    out[DH0] = (glia_type){dtype, GLIA_SHAPE(n, hidden)};
    if (cell->kind != GLIA_CELL_RNN) out[EXTRA] = cell->kind == GLIA_CELL_LSTM ? out[DH0] : out[DA];
    return GLIA_OK;
}

/* The gradient of the last state, where the loss uses it, becomes that of the first. */
static void begin(const glia_view *last, glia_view *state) {
    const size_t bytes = (size_t)glia_shape_elems(&state->shape) * glia_dtype_bytes(state->dtype);
    if (bytes && last->data)
        memcpy(state->data, last->data, bytes);
    else if (bytes)
        memset(state->data, 0, bytes);
}

static glia_status run_back(const glia_cell *cell, const glia_call *c) {
    const glia_view *y = &c->in[GLIA_BACK_Y];
    glia_recurrent p = glia__recurrent_of(cell, c, &y->shape, y->shape.dim[2], GLIA_BACK_LENGTHS);
    const bool lstm = cell->kind == GLIA_CELL_LSTM, gru = cell->kind == GLIA_CELL_GRU;
    GLIA_TRY(glia__recurrent_check(&p, c));
    p.in = c->in[GLIA_BACK_W].shape.dim[1];
    p.w = c->in[GLIA_BACK_W].data;
    p.r = c->in[GLIA_BACK_R].data;
    p.h0 = glia__recurrent_input(c, GLIA_BACK_H0).data;
    p.c0 = glia__recurrent_input(c, GLIA_BACK_C0).data;
    p.y = y->data;
    p.saved = glia__recurrent_input(c, GLIA_BACK_SAVED).data;
    p.dy = glia__recurrent_input(c, GLIA_BACK_DY).data;
    const glia_view dhn = glia__recurrent_input(c, GLIA_BACK_DHN),
                    dcn = glia__recurrent_input(c, GLIA_BACK_DCN);
    begin(&dhn, &c->out[DH0]);
    if (lstm) begin(&dcn, &c->out[EXTRA]);
    void *da = c->out[DA].data, *dc = lstm ? c->out[EXTRA].data : NULL,
         *dar = gru ? c->out[EXTRA].data : NULL;
    if (y->dtype == GLIA_F64) {
        double *row = c->workspace;
        const back_f64 b = {c->out[DH0].data, dc, da, dar, row, row + p.n * p.width};
        backward_f64(&p, &b, c->out[DX].data);
    } else {
        float *row = c->workspace;
        const back_f32 b = {c->out[DH0].data, dc, da, dar, row, row + p.n * p.width};
        backward_f32(&p, &b, c->out[DX].data);
    }
    return GLIA_OK;
}

static size_t back_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia_shape *y = &in[GLIA_BACK_Y].shape;
    (void)attrs;
    return (size_t)y->dim[0] * (size_t)(out[DA].shape.dim[2] + y->dim[2]) * glia_dtype_bytes(out[DA].dtype);
}

static uint32_t back_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)attrs;
    return glia__recurrent_present(in, n_in, GLIA_BACK_Y, GLIA_BACK_DCN);
}

static double back_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia_shape *w = &in[GLIA_BACK_W].shape, *y = &in[GLIA_BACK_Y].shape;
    (void)out, (void)attrs;
    return 2.0 * (double)(y->dim[0] * y->dim[1]) * (double)w->dim[0] * (double)(w->dim[1] + y->dim[2]);
}

/* --- of the weights ------------------------------------------------------------------------------------------- */

static glia_status infer_weights(const glia_cell *cell, const glia_type *in, int n_in, glia_type *out,
                                 glia_error *err) {
    const glia_type *x = &in[GLIA_WEIGHTS_X], *y = &in[GLIA_WEIGHTS_Y];
    char tx[160], ty[160];
    GLIA_TRY(glia__check_float(x, err));
    if (x->shape.rank != 3 || y->shape.rank != 3 || y->shape.dim[2] < 0 ||
        (cell->saved && !glia__recurrent_present(in, n_in, GLIA_WEIGHTS_SAVED, GLIA_WEIGHTS_SAVED)))
        return glia_error_set(err, GLIA_BAD_SHAPE, "%s expects x [N, T, in] and y [N, T, H], found %s and %s",
                              cell->backward_weights, glia__type_text(x, tx, sizeof tx),
                              glia__type_text(y, ty, sizeof ty));
    const glia_dtype dtype = x->dtype;
    const int64_t n = x->shape.dim[0], steps = x->shape.dim[1], hidden = y->shape.dim[2];
    const int64_t width = cell->gates * hidden;
    EXPECT(GLIA_WEIGHTS_Y, "y", n, steps, hidden);
    EXPECT(GLIA_WEIGHTS_H0, "h0", n, hidden);
    if (cell->saved) EXPECT(GLIA_WEIGHTS_SAVED, "what was saved", n, steps, cell->saved * hidden);
    EXPECT(GLIA_WEIGHTS_DA, "gradients of sums", n, steps, width);
    EXPECT(GLIA_WEIGHTS_DAR, "gradients of sums by the state", n, steps, width);
    GLIA_TRY(glia__recurrent_expect_lengths(cell, in, n_in, GLIA_WEIGHTS_LENGTHS, n, err));
    out[0] = (glia_type){dtype, GLIA_SHAPE(width, x->shape.dim[2])};
    out[1] = (glia_type){dtype, GLIA_SHAPE(width, hidden)};
    out[2] = (glia_type){dtype, GLIA_SHAPE(2 * width)};
    return GLIA_OK;
}

static glia_status run_weights(const glia_cell *cell, const glia_call *c) {
    const glia_view *x = &c->in[GLIA_WEIGHTS_X], *y = &c->in[GLIA_WEIGHTS_Y];
    glia_recurrent p = glia__recurrent_of(cell, c, &y->shape, y->shape.dim[2], GLIA_WEIGHTS_LENGTHS);
    GLIA_TRY(glia__recurrent_check(&p, c));
    p.in = x->shape.dim[2];
    p.x = x->data;
    p.h0 = glia__recurrent_input(c, GLIA_WEIGHTS_H0).data;
    p.y = y->data;
    p.saved = glia__recurrent_input(c, GLIA_WEIGHTS_SAVED).data;
    const void *da = c->in[GLIA_WEIGHTS_DA].data, *dar = glia__recurrent_input(c, GLIA_WEIGHTS_DAR).data;
    if (!dar) dar = da;
    if (x->dtype == GLIA_F64)
        weights_f64(&p, da, dar, c->out[0].data, c->out[1].data, c->out[2].data, c->workspace);
    else
        weights_f32(&p, da, dar, c->out[0].data, c->out[1].data, c->out[2].data, c->workspace);
    return GLIA_OK;
}

/* What gru's n saw: one state. */
static size_t weights_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)in, (void)attrs;
    return (size_t)out[1].shape.dim[1] * glia_dtype_bytes(out[1].dtype);
}

static uint32_t weights_sums(const glia_type *in, int n_in, const void *attrs) {
    (void)attrs;
    return glia__recurrent_present(in, n_in, GLIA_WEIGHTS_X, GLIA_WEIGHTS_DAR);
}

static double weights_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia_shape *x = &in[GLIA_WEIGHTS_X].shape, *r = &out[1].shape;
    (void)attrs;
    return 2.0 * (double)(x->dim[0] * x->dim[1]) * (double)r->dim[0] * (double)(x->dim[2] + r->dim[1]);
}

/* --- blocks --------------------------------------------------------------------------------------------------- */

#define BLOCK(op, cell_, infer_, run_, ...)                                                         \
    static glia_status op##_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out, \
                                  glia_error *err) {                                                \
        (void)attrs;                                                                                \
        return infer_(&glia__cell_##cell_, in, n_in, out, err);                                     \
    }                                                                                               \
    static glia_status op##_ref(const glia_call *c) {                                               \
        return run_(&glia__cell_##cell_, c);                                                        \
    }                                                                                               \
    GLIA_OP(op) = {.name = #op,                                                                     \
                   .version = 1,                                                                    \
                   .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,     \
                   .attrs = glia__##cell_##_fields,                                                 \
                   .attrs_size = sizeof(glia_recurrent_attrs),                                      \
                   .infer = op##_infer,                                                             \
                   .ref = op##_ref,                                                                 \
                   __VA_ARGS__}
#define BACKWARD_OP(op, cell_, outputs_, ...)                                                                \
    BLOCK(op, cell_, infer_back, run_back, .doc = "d(" #cell_ ")/d(x, sums, h0, …), back through the steps", \
          .min_inputs = GLIA_BACK_Y + 1, .max_inputs = GLIA_BACK_DCN + 1, .n_outputs = outputs_,             \
          .workspace = back_workspace, .rows = back_rows, .flops = back_flops,                               \
          .cases = GLIA_CASES(__VA_ARGS__))
#define WEIGHTS_OP(op, cell_, ...)                                                               \
    BLOCK(op, cell_, infer_weights, run_weights,                                                 \
          .doc = "d(" #cell_ ")/d(w, r, b) from the gradients of the sums",                      \
          .min_inputs = GLIA_WEIGHTS_DA + 1, .max_inputs = GLIA_WEIGHTS_DAR + 1, .n_outputs = 3, \
          .workspace = weights_workspace, .sums = weights_sums, .flops = weights_flops,          \
          .cases = GLIA_CASES(__VA_ARGS__))

BACKWARD_OP(rnn_backward, rnn, 3, {.inputs = "5x3 5x5 2x4x5 - - - - 2x4x5"},
            {.inputs = "5x3 5x5 3x4x5 - 3:i64<5 3x5 - - 3x5", .attrs = "reverse=yes"},
            {.inputs = "5x3 5x5 2x4x5 - - - - 2x4x5", .attrs = "activation=relu"},
            {.inputs = "5x3 5x5 2x5", .expect_error = "rnn_backward expects y [N, T, H]"});
WEIGHTS_OP(rnn_backward_weights, rnn, {.inputs = "2x4x3 2x4x5 2x4x5"},
           {.inputs = "3x4x2 3x4x5 3x4x5 - 3:i64<5 3x5", .attrs = "reverse=yes"},
           {.inputs = "2x4x3 2x5 2x4x5", .expect_error = "rnn_backward_weights expects x"});
BACKWARD_OP(lstm_backward, lstm, 4, {.inputs = "20x3 20x5 2x4x5 2x4x25 - - - 2x4x5"},
            {.inputs = "20x3 20x5 3x4x5 3x4x25 3:i64<5 3x5 3x5 3x4x5 3x5 3x5", .attrs = "reverse=yes"},
            {.inputs = "20x3 20x5 2x4x5 2x4x20", .expect_error = "expects what was saved of"});
WEIGHTS_OP(lstm_backward_weights, lstm, {.inputs = "2x4x3 2x4x5 2x4x20 2x4x25"},
           {.inputs = "3x4x2 3x4x5 3x4x20 3x4x25 3:i64<5 3x5", .attrs = "reverse=yes"},
           {.inputs = "2x4x3 2x4x5 2x4x15 2x4x25", .expect_error = "expects gradients of sums of"});
BACKWARD_OP(gru_backward, gru, 4, {.inputs = "15x3 15x5 2x4x5 2x4x20 - - - 2x4x5"},
            {.inputs = "15x3 15x5 3x4x5 3x4x20 3:i64<5 3x5 - 3x4x5 3x5", .attrs = "reverse=yes"},
            {.inputs = "15x3 15x5 3x4x5 3x4x20 3:i64<5 3x5 - 3x4x5 3x5", .attrs = "reset_after=no"},
            {.inputs = "15x3 15x5 2x4x5 2x4x25", .expect_error = "expects what was saved of"});
WEIGHTS_OP(gru_backward_weights, gru, {.inputs = "2x4x3 2x4x5 2x4x15 2x4x20 - - 2x4x15"},
           {.inputs = "3x4x2 3x4x5 3x4x15 3x4x20 3:i64<5 3x5 3x4x15", .attrs = "reset_after=no"},
           {.inputs = "2x4x3 2x4x5 2x4x15 2x4x20 - - 2x4x10",
            .expect_error = "expects gradients of sums by the state of"});
