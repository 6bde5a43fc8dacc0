/* recurrent_onnx.c: rnn, lstm and gru in ONNX, which has the steps first, a dimension of directions, and gates in another
 * order. */

#include "graph/to_onnx.h"
#include "ops/recurrent.h"

enum { MOST_GATES = 4 };

/* Which of Glia's gates each of ONNX's is. */
static const int64_t orders[][MOST_GATES] = {
    [GLIA_CELL_RNN] = {0}, [GLIA_CELL_LSTM] = {0, 3, 1, 2}, [GLIA_CELL_GRU] = {1, 0, 2}};

/* Weights, or biases in two `sets`, as those of one direction. */
static const char *gates(glia_to_onnx *w, const glia_cell *cell, int i, int sets) {
    if (!*w->x[i]) return "";
    const glia_shape *shape = &w->node->inputs[i]->type.shape;
    const int64_t rows = shape->dim[0] / (sets * cell->gates) * (shape->rank > 1 ? shape->dim[1] : 1);
    const int64_t blocks[] = {sets, cell->gates, rows};
    const int64_t whole[] = {1, shape->dim[0], shape->rank > 1 ? shape->dim[1] : 1};
    const char *x = w->x[i];
    if (cell->gates > 1) {
        x = GLIA_TO_ONNX(w, NULL, "Reshape", x, glia__to_onnx_list(w, blocks, 3));
        x = GLIA_TO_ONNX(w, NULL, "Gather", x, glia__to_onnx_list(w, orders[cell->kind], cell->gates));
        glia__to_onnx_int(w, "axis", 1);
    }
    return GLIA_TO_ONNX(w, NULL, "Reshape", x, glia__to_onnx_list(w, whole, shape->rank + 1));
}

/* A state [N, H] as that of one direction. */
static const char *state(glia_to_onnx *w, int i) {
    const int64_t first = 0;
    return *w->x[i] ? GLIA_TO_ONNX(w, NULL, "Unsqueeze", w->x[i], glia__to_onnx_list(w, &first, 1)) : "";
}

static const char *lengths(glia_to_onnx *w) {
    if (!*w->x[GLIA_REC_LENGTHS] || w->node->inputs[GLIA_REC_LENGTHS]->type.dtype == GLIA_I32)
        return w->x[GLIA_REC_LENGTHS];
    const char *y = GLIA_TO_ONNX(w, NULL, "Cast", w->x[GLIA_REC_LENGTHS]);
    glia__to_onnx_dtype(w, "to", GLIA_I32);
    return y;
}

static void add_attributes(glia_to_onnx *w, const glia_cell *cell) {
    const glia_recurrent_attrs *a = w->node->attrs;
    glia__to_onnx_int(w, "hidden_size", w->node->outputs[GLIA_REC_HN].type.shape.dim[1]);
    if (a->reverse == GLIA_YES) glia__to_onnx_text(w, "direction", "reverse");
    if (cell->kind == GLIA_CELL_GRU) glia__to_onnx_int(w, "linear_before_reset", a->reset_after != GLIA_NO);
    if (cell->kind == GLIA_CELL_RNN && a->activation) glia__to_onnx_texts(w, "activations", "Relu");
}

void glia__recurrent_to_onnx(glia_to_onnx *w, const glia_cell *cell) {
    static const char *const parts[] = {"", "Y_h", "Y_c"};
    static const int64_t steps_first[] = {1, 0, 2}, direction[] = {0, 1};
    const int results = cell->kind == GLIA_CELL_LSTM ? 3 : 2;
    const char *last[3] = {"", "", ""};
    if (*w->y[results]) {
        glia__to_onnx_refuse(w, "what is kept for its gradient is no result");
        return;
    }
    const char *counts = lengths(w); /* first, as it is when it is read as an op of its own */
    const char *x = glia__to_onnx_transpose(w, NULL, w->x[GLIA_REC_X], steps_first, 3);
    const char *weights = gates(w, cell, GLIA_REC_W, 1), *recurrent = gates(w, cell, GLIA_REC_R, 1);
    const char *bias = gates(w, cell, GLIA_REC_B, 2);
    const char *h0 = state(w, GLIA_REC_H0), *c0 = state(w, GLIA_REC_C0);
    const char *y = GLIA_TO_ONNX(w, NULL, w->node->op->onnx, x, weights, recurrent, bias, counts, h0, c0);
    for (int o = 1; o < results; o++) {
        if (*w->y[o]) last[o] = glia__to_onnx_part(w, parts[o]);
        if (*w->y[1] || *w->y[2]) glia__to_onnx_output(w, last[o]);
    }
    add_attributes(w, cell);
    if (*w->y[0]) {
        y = GLIA_TO_ONNX(w, NULL, "Squeeze", y, glia__to_onnx_list(w, &direction[1], 1));
        glia__to_onnx_transpose(w, w->y[0], y, steps_first, 3);
    }
    for (int o = 1; o < results; o++)
        if (*w->y[o]) GLIA_TO_ONNX(w, w->y[o], "Squeeze", last[o], glia__to_onnx_list(w, direction, 1));
}
