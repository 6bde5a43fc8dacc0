/* recurrent_backward.c: back through the steps of rnn, lstm and gru: the cells of a step give the gradients of its sums, and
 * their product with the weights that of the state before. */

#include "kernels/cpu/recurrent.h"

#include "core/threads.h"

typedef struct backward {
    glia_recurrent_plan p;
    glia_panels r; /* inner: gate · units + unit */
    /* In a worker's memory: rows for products, gradients of the state [panels][PANEL_ROWS][columns], of the cell and what goes
     * past the weights [PANEL_ROWS][units]; a row of the sums' gradients. */
    size_t at_rows, at_dh, at_dc, at_past, at_sums, worker_bytes;
} backward;

/* --- which calls, and their memory --------------------------------------------------------------------------- */

static bool fit(const glia_kernel_query *q, const glia_cell *cell, backward *b, const char **why_not) {
    const glia_type *y = &q->in[GLIA_BACK_Y];
    *b = (backward){.worker_bytes = 0};
    if (!glia__recurrent_plan(&b->p, q, cell, y, y->shape.dim[2], 1u << GLIA_BACK_R, why_not)) return false;
    const int64_t groups = b->p.units / PANEL_GROUP, wide = GLIA_MIN(groups, (int64_t)PANEL_MOST_GROUPS);
    b->r = glia__panels_of(b->p.parts, cell->gates * b->p.units, wide, (groups + wide - 1) / wide);
    return true;
}

static void plan_memory(backward *b) {
    const size_t units = (size_t)b->p.units, state = PANEL_ROWS * units * sizeof(float);
    const size_t columns = (size_t)(b->r.count * b->r.groups * PANEL_GROUP);
    size_t *bytes = &b->worker_bytes;
    b->at_rows = glia__recurrent_take(bytes, glia__rows_bytes(&b->r, PANEL_ROWS));
    b->at_dh = glia__recurrent_take(bytes, PANEL_ROWS * columns * sizeof(float));
    b->at_dc = glia__recurrent_take(bytes, state);
    b->at_past = glia__recurrent_take(bytes, state);
    b->at_sums = glia__recurrent_take(bytes, 4 * units * sizeof(float));
}

static size_t packed_bytes(const backward *b) {
    return (size_t)b->r.count * b->r.bytes;
}

static glia_status init(const glia_kernel_query *q, const glia_cell *cell, void **state,
                        glia_kernel_needs *needs, glia_error *err) {
    const char *why_not = NULL;
    backward *b = glia__alloc(q->allocator, sizeof *b);
    if (!b) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (!fit(q, cell, b, &why_not)) {
        glia__free(q->allocator, b, sizeof *b);
        return glia_error_set(err, GLIA_UNSUPPORTED, "%s: %s", q->op->name, why_not);
    }
    plan_memory(b);
    needs->workspace_bytes = (size_t)b->p.workers * b->worker_bytes;
    *(b->p.pack_first ? &needs->workspace_bytes : &needs->packed_bytes) += packed_bytes(b);
    *state = b;
    return GLIA_OK;
}

static void fini(void *state) {
    backward *b = state;
    glia__free(b->p.allocator, b, sizeof *b);
}

/* --- weights ------------------------------------------------------------------------------------------------- */

typedef struct weights {
    const backward *b;
    const float *data;
} weights;

/* Row k of the matrix is gate k / units, unit k % units. */
static void fill(const void *ctx, int64_t panel, int64_t step, float *block) {
    const weights *w = ctx;
    const glia_recurrent_plan *p = &w->b->p;
    const int64_t columns = w->b->r.groups * PANEL_GROUP, n = GLIA_MIN(p->hidden - panel * columns, columns);
    for (int64_t k = 0; k < PANEL_STEP; k++) {
        const int64_t row = step * PANEL_STEP + k, gate = row / p->units, unit = row % p->units;
        if (gate < p->cell->gates && unit < p->hidden && n > 0)
            memcpy(block + k * columns, w->data + (gate * p->hidden + unit) * p->hidden + panel * columns,
                   (size_t)n * sizeof *block);
    }
}

static glia_status pack_to(const backward *b, const glia_call *c, char *packed) {
    const weights w = {b, c->in[GLIA_BACK_R].data};
    glia__recurrent_pack(&b->r, &w, fill, packed, b->p.threads);
    return GLIA_OK;
}

static glia_status pack(void *state, const glia_call *c) {
    const backward *b = state;
    return b->p.pack_first ? GLIA_OK : pack_to(b, c, c->packed);
}

/* --- cells --------------------------------------------------------------------------------------------------- */

/* A row of one step: all units of one sequence. Units are in groups, as for products; those of arrays of the call are not. */
typedef struct cells {
    int64_t place, before, hidden, units; /* before: the place of the step before, −1: there is none */
    const float *dh;                      /* of group g at dh + g / groups · panel + g % groups · 16 */
    int64_t groups, panel;
    const void *y, *saved, *dy,
        *first_state; /* first_state [H]: lstm: c0, else h0, of this sequence; or NULL */
    float *dc, *past; /* [units] */
    float *sums;      /* [gates][units]; gru: and n's by the input behind them */
    bool bf16, relu;
} cells;

/* The gradient of the state after the step: of 16 units. */
GLIA_CPU_INLINE void load_dh(const cells *t, int64_t unit, const bool bf16, float *dh) {
    const int64_t group = unit / PANEL_GROUP;
    const float *from = t->dh + group / t->groups * t->panel + group % t->groups * PANEL_GROUP;
    float dy[PANEL_GROUP] = {0};
    if (t->dy) load_group(t->dy, t->place * t->hidden + unit, t->hidden - unit, bf16, dy);
    for (int k = 0; k < PANEL_GROUP; k++) dh[k] = from[k] + dy[k];
}

/* What was saved as number `which` of `of`. */
GLIA_CPU_INLINE void load_saved(const cells *t, int64_t place, int which, int of, int64_t unit,
                                const bool bf16, float *to) {
    load_group(t->saved, (place * of + which) * t->hidden + unit, t->hidden - unit, bf16, to);
}

/* 1 − tanh² as 4e/(1 + e)², e = exp(−2|c|), does not cancel. */
GLIA_CPU_INLINE void lstm_group(const cells *t, int64_t u, const bool bf16) {
    float s[5][PANEL_GROUP], before[PANEL_GROUP] = {0}, dh[PANEL_GROUP];
    float *dc = t->dc + u, *di = t->sums + u, *df = di + t->units, *dz = df + t->units, *doo = dz + t->units;
    for (int g = 0; g < 5; g++) load_saved(t, t->place, g, 5, u, bf16, s[g]);
    load_dh(t, u, bf16, dh);
    if (t->before >= 0)
        load_saved(t, t->before, 4, 5, u, bf16, before);
    else if (t->first_state)
        load_group(t->first_state, u, t->hidden - u, bf16, before);
    for (int k = 0; k < PANEL_GROUP; k++) {
        const float i = s[0][k], f = s[1][k], z = s[2][k], o = s[3][k], c = s[4][k];
        const float e = exp(-2 * fabs(c)), inverse = 1 / (1 + e), slope = 4 * e * inverse * inverse;
        const float tanh_c = copysign((1 - e) * inverse, c), d = dc[k] + dh[k] * o * slope;
        di[k] = d * z * i * (1 - i);
        df[k] = d * before[k] * f * (1 - f);
        dz[k] = d * i * (1 - z * z);
        doo[k] = dh[k] * tanh_c * o * (1 - o);
        dc[k] = d * f;
    }
}

GLIA_CPU_INLINE void gru_group(const cells *t, int64_t u, const bool bf16) {
    float s[4][PANEL_GROUP], before[PANEL_GROUP] = {0}, dh[PANEL_GROUP];
    float *dr = t->sums + u, *dz = dr + t->units, *dn_state = dz + t->units, *dn = dn_state + t->units;
    float *past = t->past + u;
    for (int g = 0; g < 4; g++) load_saved(t, t->place, g, 4, u, bf16, s[g]);
    load_dh(t, u, bf16, dh);
    if (t->before >= 0)
        load_group(t->y, t->before * t->hidden + u, t->hidden - u, bf16, before);
    else if (t->first_state)
        load_group(t->first_state, u, t->hidden - u, bf16, before);
    for (int k = 0; k < PANEL_GROUP; k++) {
        const float r = s[0][k], z = s[1][k], n = s[2][k], all = dh[k] + past[k];
        const float d = all * (1 - z) * (1 - n * n);
        dr[k] = d * s[3][k] * r * (1 - r);
        dz[k] = all * (before[k] - n) * z * (1 - z);
        dn_state[k] = d * r;
        dn[k] = d;
        past[k] = all * z;
    }
}

GLIA_CPU_INLINE void rnn_group(const cells *t, int64_t u, const bool bf16) {
    float y[PANEL_GROUP], dh[PANEL_GROUP];
    load_group(t->y, t->place * t->hidden + u, t->hidden - u, bf16, y);
    load_dh(t, u, bf16, dh);
    for (int k = 0; k < PANEL_GROUP; k++)
        t->sums[u + k] = t->relu ? (y[k] > 0 ? dh[k] : 0) : dh[k] * (1 - y[k] * y[k]);
}

#define ROW(name, group)                                    \
    GLIA_CPU_CLONES(void, name, (const cells *t), (t)) {    \
        for (int64_t u = 0; u < t->units; u += PANEL_GROUP) \
            if (t->bf16)                                    \
                group(t, u, true);                          \
            else                                            \
                group(t, u, false);                         \
    }
ROW(lstm_cells, lstm_group)
ROW(gru_cells, gru_group)
ROW(rnn_cells, rnn_group)

/* --- some sequences through all steps ------------------------------------------------------------------------ */

/* One run. */
typedef struct backward_run {
    const backward *b;
    glia_recurrent of;
    const char *packed;
    char *memory; /* of the workers */
    const void *dhn, *dcn;
    void *da, *dar, *dh0, *dc0, *before;
} backward_run;

/* A worker at work on `rows` sequences from `first` on. */
typedef struct stretch {
    const backward_run *run;
    int64_t first, rows;
    glia_rows sums;
    float *dh, *dc, *past, *row;
} stretch;

static void *number_at(const void *x, int64_t at, bool bf16) {
    return x ? (char *)x + (size_t)at * (bf16 ? sizeof(uint16_t) : sizeof(float)) : NULL;
}

/* A row of the gradient of the state, between its place in the panels' sums and [units]. */
static void move_dh(const stretch *t, int64_t i, float *row, bool in) {
    const backward *b = t->run->b;
    const int64_t columns = b->r.groups * PANEL_GROUP;
    for (int64_t u = 0; u < b->p.units; u += PANEL_GROUP) {
        float *dh = t->dh + (u / columns * PANEL_ROWS + i) * columns + u % columns;
        memcpy(in ? dh : row + u, in ? row + u : dh, PANEL_GROUP * sizeof(float));
    }
}

/* The gradients of the last state, at a sequence's last step. */
static void begin_row(const stretch *t, int64_t i) {
    const backward_run *run = t->run;
    const glia_recurrent_plan *p = &run->b->p;
    const int64_t at = (t->first + i) * p->hidden;
    float *dc = t->dc + i * p->units;
    memset(t->row, 0, (size_t)p->units * sizeof(float));
    memset(dc, 0, (size_t)p->units * sizeof(float));
    memset(t->past + i * p->units, 0, (size_t)p->units * sizeof(float));
    if (run->dhn) glia__recurrent_read(run->dhn, at, p->hidden, p->bf16, t->row);
    if (run->dcn) glia__recurrent_read(run->dcn, at, p->hidden, p->bf16, dc);
    move_dh(t, i, t->row, true);
}

/* t->row: what the cells gave for the sums of row i at `place`. */
static void write_sums(const stretch *t, int64_t i, int64_t place) {
    const backward_run *run = t->run;
    const glia_recurrent_plan *p = &run->b->p;
    const int gates = p->cell->gates;
    const int64_t at = place * gates * p->hidden;
    glia__rows_put(&t->sums, i, 0, t->row, gates * p->units);
    for (int g = 0; g < gates; g++) {
        const bool apart = run->dar && g == gates - 1; /* gru's n */
        const float *from = t->row + g * p->units;
        glia__recurrent_write(run->da, at + g * p->hidden, p->hidden, p->bf16, from + (apart ? p->units : 0));
        if (run->dar) glia__recurrent_write(run->dar, at + g * p->hidden, p->hidden, p->bf16, from);
    }
}

static void clear_at(void *x, int64_t row, int64_t n, bool bf16) {
    if (x) memset(number_at(x, row * n, bf16), 0, (size_t)n * (bf16 ? sizeof(uint16_t) : sizeof(float)));
}

/* Behind a sequence's end. */
static void clear_row(const stretch *t, int64_t place) {
    const backward_run *run = t->run;
    const glia_recurrent_plan *p = &run->b->p;
    clear_at(run->da, place, p->cell->gates * p->hidden, p->bf16);
    clear_at(run->dar, place, p->cell->gates * p->hidden, p->bf16);
    clear_at(run->before, place, p->hidden, p->bf16);
}

/* The state before a step, as the weights saw it. */
static void write_before(const stretch *t, int64_t place, const void *state) {
    const backward_run *run = t->run;
    const glia_recurrent_plan *p = &run->b->p;
    const size_t bytes = (size_t)p->hidden * (p->bf16 ? sizeof(uint16_t) : sizeof(float));
    void *to = number_at(run->before, place * p->hidden, p->bf16);
    if (state)
        memcpy(to, state, bytes);
    else
        memset(to, 0, bytes);
}

static void step_row(const stretch *t, int64_t i, int64_t s) {
    const backward_run *run = t->run;
    const glia_recurrent_plan *p = &run->b->p;
    const int64_t columns = run->b->r.groups * PANEL_GROUP, sequence = t->first + i;
    const int64_t place = glia__recurrent_place(&run->of, sequence, s);
    if (place < 0) {
        clear_row(t, sequence * p->steps + s);
        return;
    }
    if (s + 1 == p->steps || glia__recurrent_place(&run->of, sequence, s + 1) < 0) begin_row(t, i);
    const bool lstm = p->cell->kind == GLIA_CELL_LSTM;
    const void *h0 = number_at(run->of.h0, sequence * p->hidden, p->bf16);
    const void *c0 = number_at(run->of.c0, sequence * p->hidden, p->bf16);
    const cells k = {.place = place,
                     .before = s > 0 ? glia__recurrent_place(&run->of, sequence, s - 1) : -1,
                     .hidden = p->hidden,
                     .units = p->units,
                     .dh = t->dh + i * columns,
                     .groups = run->b->r.groups,
                     .panel = PANEL_ROWS * columns,
                     .y = run->of.y,
                     .saved = run->of.saved,
                     .dy = run->of.dy,
                     .first_state = lstm ? c0 : h0,
                     .dc = t->dc + i * p->units,
                     .past = t->past + i * p->units,
                     .sums = t->row,
                     .bf16 = p->bf16,
                     .relu = run->of.relu};
    if (lstm)
        lstm_cells(&k);
    else if (p->cell->kind == GLIA_CELL_GRU)
        gru_cells(&k);
    else
        rnn_cells(&k);
    write_sums(t, i, place);
    write_before(t, place, k.before >= 0 ? number_at(run->of.y, k.before * p->hidden, p->bf16) : h0);
}

/* The gradient of the state before the first step. */
static void finish_row(const stretch *t, int64_t i) {
    const backward_run *run = t->run;
    const glia_recurrent_plan *p = &run->b->p;
    const int64_t sequence = t->first + i;
    if (glia__recurrent_place(&run->of, sequence, 0) < 0) begin_row(t, i);
    move_dh(t, i, t->row, false);
    for (int64_t k = 0; k < p->units; k++) t->row[k] += t->past[i * p->units + k];
    glia__recurrent_write(run->dh0, sequence * p->hidden, p->hidden, p->bf16, t->row);
    if (run->dc0)
        glia__recurrent_write(run->dc0, sequence * p->hidden, p->hidden, p->bf16, t->dc + i * p->units);
}

static void run_part(void *ctx, int part, int parts) {
    const backward_run *run = ctx;
    const backward *b = run->b;
    char *memory = run->memory + (size_t)part * b->worker_bytes;
    stretch t = {.run = run,
                 .sums = glia__rows_in(&b->r, PANEL_ROWS, memory + b->at_rows),
                 .dh = (float *)(memory + b->at_dh),
                 .dc = (float *)(memory + b->at_dc),
                 .past = (float *)(memory + b->at_past),
                 .row = (float *)(memory + b->at_sums)};
    const int64_t columns = b->r.groups * PANEL_GROUP;
    int64_t last;
    glia__part_range(b->p.n, part, parts, &t.first, &last);
    glia__panel_begin(&b->r);
    for (; t.first < last; t.first += PANEL_ROWS) {
        t.rows = GLIA_MIN(last - t.first, (int64_t)PANEL_ROWS);
        for (int64_t s = b->p.steps - 1; s >= 0; s--) {
            for (int64_t i = 0; i < t.rows; i++) step_row(&t, i, s);
            for (int64_t panel = 0; panel < b->r.count; panel++)
                glia__panel_multiply(&b->r, run->packed + (size_t)panel * b->r.bytes, &t.sums, 0, t.rows,
                                     NULL, t.dh + panel * PANEL_ROWS * columns);
        }
        for (int64_t i = 0; i < t.rows; i++) finish_row(&t, i);
    }
    glia__panel_end(&b->r);
}

static glia_status run(void *state, const glia_call *c) {
    const backward *b = state;
    const bool lstm = b->p.cell->kind == GLIA_CELL_LSTM, gru = b->p.cell->kind == GLIA_CELL_GRU;
    backward_run run = {
        .b = b,
        .of = glia__recurrent_of(b->p.cell, c, &c->in[GLIA_BACK_Y].shape, b->p.hidden, GLIA_BACK_LENGTHS),
        .packed = c->packed,
        .memory = c->workspace,
        .dhn = glia__recurrent_input(c, GLIA_BACK_DHN).data,
        .dcn = lstm ? glia__recurrent_input(c, GLIA_BACK_DCN).data : NULL,
        .da = c->out[GLIA_BACK_DA].data,
        .dar = gru ? c->out[GLIA_BACK_EXTRA].data : NULL,
        .dh0 = c->out[GLIA_BACK_DH0].data,
        .dc0 = lstm ? c->out[GLIA_BACK_EXTRA].data : NULL,
        .before = c->out[GLIA_BACK_BEFORE].data};
    GLIA_TRY(glia__recurrent_check(&run.of, c));
    run.of.y = c->in[GLIA_BACK_Y].data;
    run.of.saved = glia__recurrent_input(c, GLIA_BACK_SAVED).data;
    run.of.dy = glia__recurrent_input(c, GLIA_BACK_DY).data;
    run.of.h0 = glia__recurrent_input(c, GLIA_BACK_H0).data;
    run.of.c0 = glia__recurrent_input(c, GLIA_BACK_C0).data;
    if (b->p.pack_first) {
        char *packed = run.memory + (size_t)b->p.workers * b->worker_bytes;
        GLIA_TRY(pack_to(b, c, packed));
        run.packed = packed;
    }
    glia__parallel(b->p.workers, run_part, &run);
    return GLIA_OK;
}

#define PLANNING(op, cell)                                                                           \
    static bool op##_supports(const glia_kernel_query *q, const char **why_not) {                    \
        backward b;                                                                                  \
        return fit(q, &glia__cell_##cell, &b, why_not);                                              \
    }                                                                                                \
    static glia_status op##_init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs, \
                                 glia_error *err) {                                                  \
        return init(q, &glia__cell_##cell, state, needs, err);                                       \
    }
PLANNING(rnn_backward, rnn)
PLANNING(lstm_backward, lstm)
PLANNING(gru_backward, gru)

GLIA_KERNEL(cpu_rnn_backward) = {.name = "cpu_rnn_backward",
                                 .op = "rnn_backward",
                                 .priority = 50,
                                 .own_threads = true,
                                 .supports = rnn_backward_supports,
                                 .init = rnn_backward_init,
                                 .pack = pack,
                                 .run = run,
                                 .fini = fini};

GLIA_KERNEL(cpu_lstm_backward) = {.name = "cpu_lstm_backward",
                                  .op = "lstm_backward",
                                  .priority = 50,
                                  .own_threads = true,
                                  .supports = lstm_backward_supports,
                                  .init = lstm_backward_init,
                                  .pack = pack,
                                  .run = run,
                                  .fini = fini};

GLIA_KERNEL(cpu_gru_backward) = {.name = "cpu_gru_backward",
                                 .op = "gru_backward",
                                 .priority = 50,
                                 .own_threads = true,
                                 .supports = gru_backward_supports,
                                 .init = gru_backward_init,
                                 .pack = pack,
                                 .run = run,
                                 .fini = fini};
