/* recurrent_back.h: the loops of recurrent_backward.c for one type, included once for float and once for double, as
 * recurrent_loops.h. */

/* --- backward: one sequence, one step ------------------------------------------------------------------------ */

/* dh: the gradient of the state after the step; dg gets that of the sums. */
static void NAME(rnn_back)(const glia_recurrent *p, const T *y, const T *dh, T *dg) {
    for (int64_t k = 0; k < p->hidden; k++)
        dg[k] = p->relu ? (y[k] > 0 ? dh[k] : 0) : dh[k] * (1 - y[k] * y[k]);
}

/* dc: the gradient of the cell after the step, then before it; `before` is the cell before it, or NULL for 0. */
static void NAME(lstm_back)(const glia_recurrent *p, const T *saved, const T *before, const T *dh, T *dc,
                            T *dg) {
    const int64_t hidden = p->hidden;
    for (int64_t k = 0; k < hidden; k++) {
        const T i = saved[k], f = saved[hidden + k], z = saved[2 * hidden + k], o = saved[3 * hidden + k];
        /* 1 − tanh², which for large numbers is nothing but rounding of tanh. */
        const T now = saved[4 * hidden + k], e = exp(-2 * fabs(now)), slope = 4 * e / ((1 + e) * (1 + e));
        const T t = tanh(now), d = dc[k] + dh[k] * o * slope;
        dg[k] = d * z * i * (1 - i);
        dg[hidden + k] = before ? d * before[k] * f * (1 - f) : 0;
        dg[2 * hidden + k] = d * i * (1 - z * z);
        dg[3 * hidden + k] = dh[k] * t * o * (1 - o);
        dc[k] = d * f;
    }
}

/* The gradients of z's and n's sums. */
static void NAME(gru_back)(const glia_recurrent *p, const T *saved, const T *before, const T *dh, T *dg) {
    const int64_t hidden = p->hidden;
    for (int64_t k = 0; k < hidden; k++) {
        const T z = saved[hidden + k], n = saved[2 * hidden + k];
        dg[hidden + k] = dh[k] * ((before ? before[k] : 0) - n) * z * (1 - z);
        dg[2 * hidden + k] = dh[k] * (1 - z) * (1 - n * n);
    }
}

/* The gradient of r's sum, from that of what r multiplies: `product`, which is n's sum by the state or h. */
static void NAME(gru_back_reset)(const glia_recurrent *p, const T *saved, const T *product, const T *dproduct,
                                 T *dg) {
    for (int64_t k = 0; k < p->hidden; k++)
        dg[k] = dproduct[k] * (product ? product[k] : 0) * saved[k] * (1 - saved[k]);
}

/* --- backward: all ------------------------------------------------------------------------------------------- */

/* Results of a backward call, and its memory. */
typedef struct NAME(back) {
    T *dh, *dc;   /* [N, H]: gradients of the state, from the last step to the first; dc NULL but for lstm */
    T *da, *dar;  /* [N·T, width]: of the sums by the input; gru: by the state, which differ for n alone */
    T *before;    /* [N·T, H]: the state before each step */
    T *row, *sum; /* [N, width], [N, H]: of one step */
} NAME(back);

/* The state before step s of sequence i; NULL: 0. */
static const T *NAME(before)(const glia_recurrent *p, int64_t i, int64_t s) {
    if (s > 0) return (const T *)p->y + glia__recurrent_place(p, i, s - 1) * p->hidden;
    return p->h0 ? (const T *)p->h0 + i * p->hidden : NULL;
}

static const T *NAME(cell_before)(const glia_recurrent *p, int64_t i, int64_t s) {
    const int64_t per_step = (int64_t)p->cell->saved * p->hidden;
    if (s > 0) return (const T *)p->saved + glia__recurrent_place(p, i, s - 1) * per_step + 4 * p->hidden;
    return p->c0 ? (const T *)p->c0 + i * p->hidden : NULL;
}

/* dh of step s becomes that of the step before. rnn and lstm. */
static void NAME(step_back)(const glia_recurrent *p, const NAME(back) * b, int64_t s) {
    const int64_t hidden = p->hidden, width = p->width, per_step = (int64_t)p->cell->saved * hidden;
    const T *dy = p->dy;
    GLIA_REC_CLEAR(b->row, p->n * width);
    for (int64_t i = 0; i < p->n; i++) {
        const int64_t at = glia__recurrent_place(p, i, s);
        T *dh = b->dh + i * hidden, *row = b->row + i * width;
        if (at < 0) continue;
        for (int64_t k = 0; dy && k < hidden; k++) dh[k] += dy[at * hidden + k];
        if (b->dc) NAME(lstm_back)
        (p, (const T *)p->saved + at * per_step, NAME(cell_before)(p, i, s), dh, b->dc + i * hidden, row);
        else NAME(rnn_back)(p, (const T *)p->y + at * hidden, dh, row);
        GLIA_REC_COPY(b->da + at * width, row, width);
    }
    MATMUL(b->row, p->r, b->sum, p->n, hidden, width, false, false);
    for (int64_t i = 0; i < p->n; i++)
        if (glia__recurrent_place(p, i, s) >= 0)
            GLIA_REC_COPY(b->dh + i * hidden, b->sum + i * hidden, hidden);
}

/* The same for gru. n sees r·(h·Rᵀ + rb) with reset_after, else (r·h)·Rᵀ + rb. */
static void NAME(gru_step_back)(const glia_recurrent *p, const NAME(back) * b, int64_t s) {
    const int64_t hidden = p->hidden, width = p->width, per_step = (int64_t)p->cell->saved * hidden;
    const T *dy = p->dy;
    const T *weights_n = (const T *)p->r + 2 * hidden * hidden;
    T *dn = b->row; /* [N, H]: of what the weights of n give */
    GLIA_REC_CLEAR(b->row, p->n * width);
    for (int64_t i = 0; i < p->n; i++) {
        const int64_t at = glia__recurrent_place(p, i, s);
        if (at < 0) continue;
        const T *saved = (const T *)p->saved + at * per_step, *before = NAME(before)(p, i, s);
        T *dh = b->dh + i * hidden, *da = b->da + at * width, *dar = b->dar + at * width;
        for (int64_t k = 0; dy && k < hidden; k++) dh[k] += dy[at * hidden + k];
        NAME(gru_back)(p, saved, before, dh, da);
        if (p->reset_after) NAME(gru_back_reset)(p, saved, saved + 3 * hidden, da + 2 * hidden, da);
        GLIA_REC_COPY(dar, da, width);
        for (int64_t k = 0; k < hidden; k++) {
            dn[i * hidden + k] = da[2 * hidden + k] * (p->reset_after ? saved[k] : 1);
            dar[2 * hidden + k] = dn[i * hidden + k];
        }
    }
    MATMUL(dn, weights_n, b->sum, p->n, hidden, hidden, false, false);
    for (int64_t i = 0; i < p->n; i++) {
        const int64_t at = glia__recurrent_place(p, i, s);
        if (at < 0) continue;
        const T *saved = (const T *)p->saved + at * per_step, *before = NAME(before)(p, i, s),
                *sum = b->sum + i * hidden;
        T *dh = b->dh + i * hidden, *da = b->da + at * width, *dar = b->dar + at * width;
        if (!p->reset_after) {
            NAME(gru_back_reset)(p, saved, before, sum, da);
            GLIA_REC_COPY(dar, da, hidden);
        }
        for (int64_t k = 0; k < hidden; k++)
            dh[k] = dh[k] * saved[hidden + k] + sum[k] * (p->reset_after ? 1 : saved[k]);
    }
    /* What comes through r and z, whose weights are the first 2H rows. */
    GLIA_REC_CLEAR(b->row, p->n * width);
    for (int64_t i = 0; i < p->n; i++) {
        const int64_t at = glia__recurrent_place(p, i, s);
        if (at >= 0) GLIA_REC_COPY(b->row + i * 2 * hidden, b->da + at * width, 2 * hidden);
    }
    MATMUL(b->row, p->r, b->sum, p->n, hidden, 2 * hidden, false, false);
    for (int64_t i = 0; i < p->n * hidden; i++) b->dh[i] += b->sum[i];
}

/* What the weights of the state saw: [N·T, H], 0 behind a sequence's end. */
static void NAME(list_before)(const glia_recurrent *p, T *to) {
    const int64_t hidden = p->hidden;
    GLIA_REC_CLEAR(to, p->n * p->steps * hidden);
    for (int64_t i = 0; i < p->n; i++)
        for (int64_t s = 0; s < p->steps; s++) {
            const int64_t at = glia__recurrent_place(p, i, s);
            const T *before = at >= 0 ? NAME(before)(p, i, s) : NULL;
            if (before) GLIA_REC_COPY(to + at * hidden, before, hidden);
        }
}

/* dh and dc hold the gradients of the last state before. */
static void NAME(backward)(const glia_recurrent *p, const NAME(back) * b) {
    const int64_t sums = p->n * p->steps * p->width;
    const bool gru = p->cell->kind == GLIA_CELL_GRU;
    GLIA_REC_CLEAR(b->da, sums);
    if (gru) GLIA_REC_CLEAR(b->dar, sums);
    for (int64_t s = p->steps - 1; s >= 0; s--) gru ? NAME(gru_step_back)(p, b, s) : NAME(step_back)(p, b, s);
    NAME(list_before)(p, b->before);
}
