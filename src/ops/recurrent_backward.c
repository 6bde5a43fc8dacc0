/* recurrent_backward.c: the gradients of rnn, lstm and gru, by going back through the steps. Sequences are independent. The
 * ops give the gradients of the sums; those of x and of the weights are products of these (recurrent.c). */

#include "ops/expr.h"
#include "ops/matmul.h"
#include "ops/recurrent.h"
#include "ops/widen.h"

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

#define EXPECT(i, what, dtype, ...) \
    GLIA_TRY(glia__recurrent_expect(cell, in, n_in, i, what, dtype, GLIA_SHAPE(__VA_ARGS__), err))

static glia_status infer_back(const glia_cell *cell, const glia_type *in, int n_in, glia_type *out,
                              glia_error *err) {
    const glia_type *y = &in[GLIA_BACK_Y];
    char ty[160];
    GLIA_TRY(glia__check_float_or_bf16(y, err));
    if (y->shape.rank != 3 || y->shape.dim[2] < 0 ||
        (cell->saved && !glia__recurrent_present(in, n_in, GLIA_BACK_SAVED, GLIA_BACK_SAVED)))
        return glia_error_set(err, GLIA_BAD_SHAPE, "%s expects y [N, T, H] and what was saved, found %s",
                              cell->backward, glia__type_text(y, ty, sizeof ty));
    const glia_dtype dtype = y->dtype;
    const int64_t n = y->shape.dim[0], steps = y->shape.dim[1], hidden = y->shape.dim[2];
    const int64_t width = cell->gates * hidden;
    EXPECT(GLIA_BACK_R, "recurrent weights", glia__param_dtype(dtype), width, hidden);
    EXPECT(GLIA_BACK_H0, "h0", dtype, n, hidden);
    EXPECT(GLIA_BACK_C0, "c0", dtype, n, hidden);
    if (cell->saved) EXPECT(GLIA_BACK_SAVED, "what was saved", dtype, n, steps, cell->saved * hidden);
    EXPECT(GLIA_BACK_DY, "dy", dtype, n, steps, hidden);
    EXPECT(GLIA_BACK_DHN, "the gradient of h", dtype, n, hidden);
    EXPECT(GLIA_BACK_DCN, "the gradient of c", dtype, n, hidden);
    GLIA_TRY(glia__recurrent_expect_lengths(cell, in, n_in, GLIA_BACK_LENGTHS, n, err));
    out[GLIA_BACK_DA] = (glia_type){dtype, GLIA_SHAPE(n, steps, width)};
    out[GLIA_BACK_DH0] = (glia_type){dtype, GLIA_SHAPE(n, hidden)};
    out[GLIA_BACK_BEFORE] = *y;
    if (cell->kind == GLIA_CELL_LSTM) out[GLIA_BACK_EXTRA] = out[GLIA_BACK_DH0];
    if (cell->kind == GLIA_CELL_GRU) out[GLIA_BACK_EXTRA] = out[GLIA_BACK_DA];
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
    p.r = c->in[GLIA_BACK_R].data;
    p.h0 = glia__recurrent_input(c, GLIA_BACK_H0).data;
    p.c0 = glia__recurrent_input(c, GLIA_BACK_C0).data;
    p.y = y->data;
    p.saved = glia__recurrent_input(c, GLIA_BACK_SAVED).data;
    p.dy = glia__recurrent_input(c, GLIA_BACK_DY).data;
    const glia_view dhn = glia__recurrent_input(c, GLIA_BACK_DHN),
                    dcn = glia__recurrent_input(c, GLIA_BACK_DCN);
    begin(&dhn, &c->out[GLIA_BACK_DH0]);
    if (lstm) begin(&dcn, &c->out[GLIA_BACK_EXTRA]);
    void *da = c->out[GLIA_BACK_DA].data, *dc = lstm ? c->out[GLIA_BACK_EXTRA].data : NULL,
         *dar = gru ? c->out[GLIA_BACK_EXTRA].data : NULL, *dh = c->out[GLIA_BACK_DH0].data,
         *before = c->out[GLIA_BACK_BEFORE].data;
    if (y->dtype == GLIA_F64) {
        double *row = c->workspace;
        backward_f64(&p, &(back_f64){dh, dc, da, dar, before, row, row + p.n * p.width});
    } else {
        float *row = c->workspace;
        backward_f32(&p, &(back_f32){dh, dc, da, dar, before, row, row + p.n * p.width});
    }
    return GLIA_OK;
}

/* The gradients of the sums of one step, and of the state; and f32 copies of all that is bf16. */
static size_t workspace_of(const glia_cell *cell, const glia_type *in, const glia_type *out) {
    const glia_shape *y = &in[GLIA_BACK_Y].shape;
    const glia_dtype dtype = glia__param_dtype(in[GLIA_BACK_Y].dtype);
    size_t bytes = (size_t)y->dim[0] * (size_t)((cell->gates + 1) * y->dim[2]) * glia_dtype_bytes(dtype);
    for (int i = 0; i <= GLIA_BACK_DCN; i++) bytes += glia__widened_bytes(&in[i]);
    for (int o = 0; o < GLIA_BACK_EXTRA + (cell->kind != GLIA_CELL_RNN); o++)
        bytes += glia__widened_bytes(&out[o]);
    return bytes;
}

static uint32_t back_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)attrs;
    return glia__recurrent_present(in, n_in, GLIA_BACK_Y, GLIA_BACK_DCN);
}

static double back_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia_shape *r = &in[GLIA_BACK_R].shape, *y = &in[GLIA_BACK_Y].shape;
    (void)out, (void)attrs;
    return 2.0 * (double)(y->dim[0] * y->dim[1]) * (double)r->dim[0] * (double)r->dim[1];
}

#define BACKWARD_OP(op, cell_, outputs_, ...)                                                                \
    static glia_status op##_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,          \
                                  glia_error *err) {                                                         \
        (void)attrs;                                                                                         \
        return infer_back(&glia__cell_##cell_, in, n_in, out, err);                                          \
    }                                                                                                        \
    static glia_status op##_loops(const glia_call *c) {                                                      \
        return run_back(&glia__cell_##cell_, c);                                                             \
    }                                                                                                        \
    static glia_status op##_ref(const glia_call *c) {                                                        \
        return glia__run_widened(c, 0, op##_loops);                                                          \
    }                                                                                                        \
    static size_t op##_workspace(const glia_type *in, const glia_type *out, const void *attrs) {             \
        (void)attrs;                                                                                         \
        return workspace_of(&glia__cell_##cell_, in, out);                                                   \
    }                                                                                                        \
    GLIA_OP(op) = {.name = #op,                                                                              \
                   .version = 1,                                                                             \
                   .doc = "d(" #cell_ ")/d(sums, h0, …), back through the steps, and the state before each", \
                   .min_inputs = GLIA_BACK_Y + 1,                                                            \
                   .max_inputs = GLIA_BACK_DCN + 1,                                                          \
                   .n_outputs = outputs_,                                                                    \
                   .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,              \
                   .attrs = glia__##cell_##_fields,                                                          \
                   .attrs_size = sizeof(glia_recurrent_attrs),                                               \
                   .infer = op##_infer,                                                                      \
                   .ref = op##_ref,                                                                          \
                   .workspace = op##_workspace,                                                              \
                   .rows = back_rows,                                                                        \
                   .flops = back_flops,                                                                      \
                   .cases = GLIA_CASES(__VA_ARGS__)}

BACKWARD_OP(rnn_backward, rnn, 3, {.inputs = "5x5 2x4x5 - - - - 2x4x5"},
            {.inputs = "5x5 3x4x5 - 3:i64<5 3x5 - - 3x5", .attrs = "reverse=yes"},
            {.inputs = "5x5 2x4x5 - - - - 2x4x5", .attrs = "activation=relu"},
            {.inputs = "8x8:f32<2 3x2x8:bf16 - - - - 3x2x8:bf16",
             .attrs = "activation=relu",
             .tolerance = 5e-2},
            {.inputs = "5x5 2x5", .expect_error = "rnn_backward expects y [N, T, H]"});
BACKWARD_OP(lstm_backward, lstm, 4, {.inputs = "20x5 2x4x5 2x4x25:unit - - - 2x4x5"},
            {.inputs = "20x5 3x4x5 3x4x25 3:i64<5 3x5 3x5 3x4x5 3x5 3x5", .attrs = "reverse=yes"},
            {.inputs = "132x33 35x3x33 35x3x165:unit - - - 35x3x33", .tolerance = 1e-4},
            {.inputs = "68x17:f32<1 3x2x17:bf16 3x2x85:bf16 - - - 3x2x17:bf16", .tolerance = 2e-2},
            {.inputs = "20x5 2x4x5 2x4x20", .expect_error = "expects what was saved of"});
BACKWARD_OP(gru_backward, gru, 4, {.inputs = "15x5 2x4x5 2x4x20:unit - - - 2x4x5"},
            {.inputs = "15x5 3x4x5 3x4x20 3:i64<5 3x5 - 3x4x5 3x5", .attrs = "reverse=yes"},
            {.inputs = "15x5 3x4x5 3x4x20 3:i64<5 3x5 - 3x4x5 3x5", .attrs = "reset_after=no"},
            {.inputs = "51x17 35x1x17 35x1x68:unit - - - 35x1x17", .tolerance = 1e-4},
            {.inputs = "51x17:f32<1 3x2x17:bf16 3x2x68:bf16 - - - 3x2x17:bf16", .tolerance = 2e-2},
            {.inputs = "15x5 2x4x5 2x4x25", .expect_error = "expects what was saved of"});
