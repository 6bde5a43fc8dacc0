/* read_recurrent.c: RNN, LSTM and GRU. ONNX has the steps first ([T, N, in]; layout 0), both directions in one operator, and
 * gates in another order than Glia. */

#include "onnx/read.h"

typedef glia_value *recurrent_op(glia_recurrent_inputs inputs, glia_recurrent_attrs attrs);

/* `order`: where each of Glia's gates is among ONNX's. */
typedef struct recurrent {
    recurrent_op *op;
    int gates, order[4];
    const char *activations[3]; /* the usual ones of one direction; n_activations of them */
    size_t n_activations;
} recurrent;

enum { X, W, R, B, LENGTHS, H0, C0, PEEPHOLES };

static glia_value *part(glia_value *x, int64_t axis, int64_t start, int64_t end) {
    return glia_op_slice(x, (glia_slice_attrs){.axis = axis, .start = start, .end = end, .step = 1});
}

/* Entry d along an axis, which goes. */
static glia_value *entry(glia_value *x, int64_t axis, int64_t d) {
    if (!x) return NULL;
    if (glia_value_shape(x).dim[axis] != 1) x = part(x, axis, d, d + 1);
    return glia__onnx_squeezed(x, (glia_squeeze_attrs){.axes = GLIA_SHAPE(axis)});
}

/* Blocks of rows, one a gate, in Glia's order; a bias has them twice. */
static glia_value *reordered(const recurrent *c, glia_value *x, int sets) {
    glia_value *blocks[8];
    if (!x) return NULL;
    const int64_t rows = glia_value_shape(x).dim[0] / (c->gates * sets);
    if (c->gates == 1) return x;
    for (int i = 0; i < c->gates * sets; i++) {
        const int64_t at = i / c->gates * c->gates + c->order[i % c->gates];
        blocks[i] = part(x, 0, at * rows, (at + 1) * rows);
    }
    return glia_op_concat(blocks, c->gates * sets, (glia_concat_attrs){.axis = 0});
}

/* Weights, or biases in two `sets`, of direction d. */
static glia_value *gates_of(const recurrent *c, glia_value *x, int64_t d, int sets) {
    glia_value *own = glia__onnx_gates_undone(x, c->order, c->gates);
    return own ? own : reordered(c, entry(x, 0, d), sets);
}

/* What Glia's ops do not have: other functions, peepholes, clipping, coupled gates. *relu: RNN's may be that. */
static bool usual(glia_onnx_read *r, const recurrent *c, bool *relu) {
    const glia_onnx_attr *names = glia__onnx_attr(r, "activations");
    *relu = c->gates == 1 && names && names->n_strings > 0 && strcmp(names->strings[0], "Relu") == 0;
    for (size_t i = 0; names && i < names->n_strings; i++) {
        const char *wanted = *relu ? "Relu" : c->activations[i % c->n_activations];
        if (strcmp(names->strings[i], wanted) != 0)
            (void)glia__onnx_refuse(r, "the activation %s is not supported, only %s", names->strings[i],
                                    wanted);
    }
    if (glia__onnx_has_attr(r, "clip") || glia__onnx_int(r, "input_forget", 0) ||
        glia__onnx_has(r, PEEPHOLES))
        (void)glia__onnx_refuse(r, "clip, input_forget and peepholes are not supported");
    return !r->refused;
}

/* Results of all directions side by side, at an axis of their own. */
static glia_value *joined(glia_value *const *parts, int count, int64_t axis) {
    glia_value *wide[2];
    for (int d = 0; d < count; d++)
        wide[d] = glia_op_unsqueeze(parts[d], (glia_squeeze_attrs){.axes = GLIA_SHAPE(axis)});
    return count > 1 ? glia_op_concat(wide, count, (glia_concat_attrs){.axis = axis}) : wide[0];
}

static void read_recurrent(glia_onnx_read *r, const recurrent *c) {
    enum { FORWARD, REVERSE, BOTH };
    const glia_transpose_attrs turned = {.perm = GLIA_SHAPE(1, 0, 2)}; /* steps first, or examples */
    const int direction = glia__onnx_choice(r, "direction", "forward|reverse|bidirectional", FORWARD);
    const int count = direction == BOTH ? 2 : 1;
    const bool batch_first = glia__onnx_int(r, "layout", 0) != 0;
    const bool after = glia__onnx_int(r, "linear_before_reset", 0) != 0;
    glia__onnx_ignore(r, "hidden_size"); /* the weights say it */
    glia_value *x = glia__onnx_in(r, X), *w = glia__onnx_in(r, W), *rec = glia__onnx_in(r, R);
    glia_value *b = glia__onnx_in(r, B), *h0 = glia__onnx_in(r, H0), *c0 = glia__onnx_in(r, C0);
    glia_value *y[2], *h[2], *cell[2];
    bool relu;
    if (!x || !w || !rec || r->refused || !usual(r, c, &relu)) return;
    const glia_shape sw = glia_value_shape(w);
    if (glia_value_shape(x).rank != 3 || sw.rank != 3 || glia_value_shape(rec).rank != 3 ||
        sw.dim[0] != count) {
        (void)glia__onnx_refuse(
            r, "its inputs do not have the dimensions of sequences and of weights of %d direction%s", count,
            count > 1 ? "s" : "");
        return;
    }
    if (!batch_first) x = glia__onnx_transposed(x, turned);
    for (int d = 0; d < count; d++) {
        const glia_recurrent_inputs in = {.x = x,
                                          .w = gates_of(c, w, d, 1),
                                          .r = gates_of(c, rec, d, 1),
                                          .b = gates_of(c, b, d, 2),
                                          .lengths = glia__onnx_in(r, LENGTHS),
                                          .h0 = entry(h0, batch_first, d),
                                          .c0 = entry(c0, batch_first, d)};
        y[d] =
            c->op(in, (glia_recurrent_attrs){.reverse = d == 1 || direction == REVERSE ? GLIA_YES : GLIA_NO,
                                             .reset_after = after ? GLIA_YES : GLIA_NO,
                                             .activation = relu});
        if (!y[d]) return;
        h[d] = glia_value_sibling(y[d], 1);
        cell[d] = glia_value_sibling(y[d], 2);
        if (!batch_first) y[d] = glia_op_transpose(y[d], turned);
    }
    r->out[0] = joined(y, count, batch_first ? 2 : 1);
    if (r->n_out > 1) r->out[1] = joined(h, count, batch_first);
    if (r->n_out > 2) r->out[2] = joined(cell, count, batch_first);
}

static void read_rnn(glia_onnx_read *r) {
    static const recurrent rnn = {glia_op_rnn, 1, {0}, {"Tanh"}, 1};
    read_recurrent(r, &rnn);
}
GLIA_ONNX(rnn) = {.op_type = "RNN", .min_inputs = 3, .max_inputs = 6, .read = read_rnn};

/* i, o, f, c. */
static void read_lstm(glia_onnx_read *r) {
    static const recurrent lstm = {glia_op_lstm, 4, {0, 2, 3, 1}, {"Sigmoid", "Tanh", "Tanh"}, 3};
    read_recurrent(r, &lstm);
}
GLIA_ONNX(lstm) = {.op_type = "LSTM", .min_inputs = 3, .max_inputs = 8, .read = read_lstm};

/* z, r, h. */
static void read_gru(glia_onnx_read *r) {
    static const recurrent gru = {glia_op_gru, 3, {1, 0, 2}, {"Sigmoid", "Tanh"}, 2};
    read_recurrent(r, &gru);
}
GLIA_ONNX(gru) = {.op_type = "GRU", .min_inputs = 3, .max_inputs = 6, .read = read_gru};
