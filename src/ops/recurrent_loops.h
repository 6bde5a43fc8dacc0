/* recurrent_loops.h: the loops of recurrent.c for one type, included once for float and once for double. T is the type,
 * NAME makes names, MATMUL is glia__matmul of the type. No guard: it is included twice. */

static inline T NAME(sigmoid)(T x) {
    return 1 / (1 + exp(-x));
}

/* --- forward: one sequence, one step ------------------------------------------------------------------------ */

/* `g` are the sums by the input, `hr` by the state, without its bias `rb`; h is the state, before and after. */
static void NAME(rnn_step)(const glia_recurrent *p, const T *g, const T *hr, const T *rb, T *h) {
    for (int64_t k = 0; k < p->hidden; k++) {
        const T sum = g[k] + hr[k] + (rb ? rb[k] : 0);
        h[k] = p->relu ? (sum < 0 ? 0 : sum) : tanh(sum);
    }
}

static void NAME(lstm_step)(const glia_recurrent *p, const T *g, const T *hr, const T *rb, T *h, T *c,
                            T *saved) {
    const int64_t hidden = p->hidden;
    for (int64_t k = 0; k < hidden; k++) {
        T sum[4];
        for (int gate = 0; gate < 4; gate++) {
            const int64_t at = gate * hidden + k;
            sum[gate] = g[at] + hr[at] + (rb ? rb[at] : 0);
        }
        const T i = NAME(sigmoid)(sum[0]), f = NAME(sigmoid)(sum[1]), z = tanh(sum[2]),
                o = NAME(sigmoid)(sum[3]);
        c[k] = f * c[k] + i * z;
        h[k] = o * tanh(c[k]);
        saved[k] = i;
        saved[hidden + k] = f;
        saved[2 * hidden + k] = z;
        saved[3 * hidden + k] = o;
        saved[4 * hidden + k] = c[k];
    }
}

/* The gates r and z, and in `rh` what the weights of n see: with reset_after h itself, else r·h. */
static void NAME(gru_gates)(const glia_recurrent *p, const T *g, const T *hr, const T *rb, const T *h,
                            T *saved, T *rh) {
    const int64_t hidden = p->hidden;
    for (int64_t k = 0; k < hidden; k++) {
        const T r = NAME(sigmoid)(g[k] + hr[k] + (rb ? rb[k] : 0));
        saved[k] = r;
        saved[hidden + k] = NAME(sigmoid)(g[hidden + k] + hr[hidden + k] + (rb ? rb[hidden + k] : 0));
        rh[k] = p->reset_after ? h[k] : r * h[k];
    }
}

/* `hr` are the sums of n's weights and `rh`. */
static void NAME(gru_step)(const glia_recurrent *p, const T *g, const T *hr, const T *rb, T *h, T *saved) {
    const int64_t hidden = p->hidden;
    for (int64_t k = 0; k < hidden; k++) {
        const T r = saved[k], z = saved[hidden + k], sum = hr[k] + (rb ? rb[2 * hidden + k] : 0);
        const T n = tanh(g[2 * hidden + k] + (p->reset_after ? r * sum : sum));
        saved[2 * hidden + k] = n;
        saved[3 * hidden + k] = sum;
        h[k] = (1 - z) * n + z * h[k];
    }
}

/* --- forward: all -------------------------------------------------------------------------------------------- */

/* work: [N·T, width] sums by the input, [N, width] by the state, gru: [N, H] what n sees and [N, H] its sums. */
static void NAME(forward)(const glia_recurrent *p, T *y, T *h, T *c, T *saved, T *work) {
    const int64_t hidden = p->hidden, width = p->width, per_step = (int64_t)p->cell->saved * hidden;
    const bool gru = p->cell->kind == GLIA_CELL_GRU;
    const T *b = p->b, *rb = b ? b + width : NULL;
    T *g = work, *hr = g + p->n * p->steps * width, *rh = hr + p->n * width, *nr = rh + p->n * hidden;
    MATMUL(p->x, p->w, g, p->n * p->steps, width, p->in, false, true);
    for (int64_t i = 0; b && i < p->n * p->steps * width; i++) g[i] += b[i % width];
    for (int64_t i = 0; i < p->n * hidden; i++) h[i] = p->h0 ? ((const T *)p->h0)[i] : 0;
    for (int64_t i = 0; c && i < p->n * hidden; i++) c[i] = p->c0 ? ((const T *)p->c0)[i] : 0;
    GLIA_REC_CLEAR(y, p->n * p->steps * hidden);
    GLIA_REC_CLEAR(saved, p->n * p->steps * per_step);
    for (int64_t s = 0; s < p->steps; s++) {
        const int64_t by_state = gru ? 2 * hidden : width;
        MATMUL(h, p->r, hr, p->n, by_state, hidden, false, true);
        for (int64_t i = 0; i < p->n && gru; i++) {
            const int64_t at = glia__recurrent_place(p, i, s);
            if (at >= 0) NAME(gru_gates)
            (p, g + at * width, hr + i * by_state, rb, h + i * hidden, saved + at * per_step,
             rh + i * hidden);
            else GLIA_REC_CLEAR(rh + i * hidden, hidden);
        }
        if (gru) MATMUL(rh, (const T *)p->r + by_state * hidden, nr, p->n, hidden, hidden, false, true);
        for (int64_t i = 0; i < p->n; i++) {
            const int64_t at = glia__recurrent_place(p, i, s);
            T *state = h + i * hidden;
            if (at < 0) continue;
            if (gru)
                NAME(gru_step)(p, g + at * width, nr + i * hidden, rb, state, saved + at * per_step);
            else if (c)
                NAME(lstm_step)
            (p, g + at * width, hr + i * width, rb, state, c + i * hidden, saved + at * per_step);
            else NAME(rnn_step)(p, g + at * width, hr + i * width, rb, state);
            GLIA_REC_COPY(y + at * hidden, state, hidden);
        }
    }
}
