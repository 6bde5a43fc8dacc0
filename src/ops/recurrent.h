/* recurrent.h: what rnn, lstm and gru share: their dimensions, and loops over sequences (recurrent_loops.h).
 *
 * All sequences of a batch take a step together, so that a step is one product of [N, H] and the recurrent weights. With
 * lengths, a sequence that has ended keeps its state, and its results after the end are 0; read in reverse it begins at its
 * own end. */
#ifndef GLIA_OPS_RECURRENT_H
#define GLIA_OPS_RECURRENT_H

#include "glia/ops.h"
#include "graph/op.h"

typedef enum glia_cell_kind { GLIA_CELL_RNN, GLIA_CELL_LSTM, GLIA_CELL_GRU } glia_cell_kind;

/* Gates in PyTorch's order. `saved`: numbers a step and unit that the gradient needs, activated gates first. */
typedef struct glia_cell {
    glia_cell_kind kind;
    const char *name, *backward; /* ops */
    int gates, saved;
} glia_cell;

extern const glia_cell glia__cell_rnn, glia__cell_lstm, glia__cell_gru;

/* Inputs of the forward ops; c0 is lstm's alone. */
enum { GLIA_REC_X, GLIA_REC_W, GLIA_REC_R, GLIA_REC_B, GLIA_REC_LENGTHS, GLIA_REC_H0, GLIA_REC_C0 };
/* Outputs: y, the last h, lstm: the last c; then, lstm and gru, what is saved. */
enum { GLIA_REC_Y, GLIA_REC_HN, GLIA_REC_CN };
/* Inputs of the backward ops, and their outputs: the gradients of the sums, of h0; the state before each step; lstm: the
 * gradient of c0; gru: that of the sums by the state, which are not the same there. */
enum {
    GLIA_BACK_R,
    GLIA_BACK_Y,
    GLIA_BACK_SAVED,
    GLIA_BACK_LENGTHS,
    GLIA_BACK_H0,
    GLIA_BACK_C0,
    GLIA_BACK_DY,
    GLIA_BACK_DHN,
    GLIA_BACK_DCN
};
enum { GLIA_BACK_DA, GLIA_BACK_DH0, GLIA_BACK_BEFORE, GLIA_BACK_EXTRA };

/* One call, with its arrays as they are given; absent ones are NULL. */
typedef struct glia_recurrent {
    const glia_cell *cell;
    int64_t n, steps, in, hidden, width; /* width: gates · hidden */
    bool reverse, reset_after, relu;
    int least;         /* that a length may be: 0 or 1 */
    glia_view lengths; /* data NULL: all have `steps` */
    const void *x, *w, *r, *b, *h0, *c0;
    const void *y, *saved, *dy; /* for gradients */
} glia_recurrent;

/* n elements as zeros, or copied. No array, of no element, is none to memset and memcpy. */
#define GLIA_REC_CLEAR(x, n)                                    \
    do {                                                        \
        if ((n) > 0) memset((x), 0, (size_t)(n) * sizeof *(x)); \
    } while (0)
#define GLIA_REC_COPY(to, from, n)                                     \
    do {                                                               \
        if ((n) > 0) memcpy((to), (from), (size_t)(n) * sizeof *(to)); \
    } while (0)

/* The forward op in ONNX. */
void glia__recurrent_to_onnx(glia_to_onnx *w, const glia_cell *cell);

/* Input `i` of a call, or an absent one. */
static inline glia_view glia__recurrent_input(const glia_call *c, int i) {
    return i < c->n_in ? c->in[i] : (glia_view){.data = NULL};
}

/* What follows from the attributes and the dimensions of y or x [N, T, …]. */
glia_recurrent glia__recurrent_of(const glia_cell *cell, const glia_call *c, const glia_shape *sequences,
                                  int64_t hidden, int lengths);
/* Fails when a length is out of range. */
glia_status glia__recurrent_check(const glia_recurrent *p, const glia_call *c);
/* Where sequence i is at its step s: an index of [N, T]; −1 after its end. */
int64_t glia__recurrent_place(const glia_recurrent *p, int64_t i, int64_t s);
/* Whether input i, if it is there, has this type; `what` for the message. */
glia_status glia__recurrent_expect(const glia_cell *cell, const glia_type *in, int n_in, int i,
                                   const char *what, glia_dtype dtype, glia_shape shape, glia_error *err);
/* Whether the lengths, if they are there, are whole numbers [N]. */
glia_status glia__recurrent_expect_lengths(const glia_cell *cell, const glia_type *in, int n_in, int i,
                                           int64_t n, glia_error *err);
/* Bits of the inputs `first` … `last` that are there. */
uint32_t glia__recurrent_present(const glia_type *in, int n_in, int first, int last);
extern const glia_field glia__rnn_fields[], glia__lstm_fields[], glia__gru_fields[];

#endif
