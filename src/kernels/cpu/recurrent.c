/* recurrent.c: rnn, lstm and gru over whole sequences: for some steps at once the products of what they read and the weights,
 * then step by step those of the state, panel by panel, with the cells of the panel's units while its sums are near. */

#include "kernels/cpu/recurrent.h"

#include "core/threads.h"

enum { AHEAD = 64 /* rows whose sums by the input are made at once */ };

typedef struct forward {
    glia_recurrent_plan p;
    int64_t in, sub; /* sub: groups of units in a panel, one if cells have several gates */
    glia_panels w, r;
    /* In a worker's memory: rows for products; sums by the input [panels][AHEAD][columns], by the state [PANEL_ROWS][columns];
     * state and cell [PANEL_ROWS][units]; biases of both sums, by panels; a row. */
    size_t at_x, at_state, at_sums_x, at_sums, at_h, at_c, at_bias, at_row, worker_bytes;
} forward;

/* --- which calls, and their memory --------------------------------------------------------------------------- */

static bool fit(const glia_kernel_query *q, const glia_cell *cell, forward *f, const char **why_not) {
    const int64_t hidden = q->in[GLIA_REC_R].shape.dim[1];
    *f = (forward){.in = q->in[GLIA_REC_X].shape.dim[2]};
    if (!glia__recurrent_plan(&f->p, q, cell, &q->in[GLIA_REC_X], hidden, 1u << GLIA_REC_W | 1u << GLIA_REC_R,
                              why_not))
        return false;
    const int64_t groups = f->p.units / PANEL_GROUP;
    f->sub = cell->gates > 1 ? 1 : GLIA_MIN(groups, (int64_t)PANEL_MOST_GROUPS);
    const int64_t panels = (groups + f->sub - 1) / f->sub;
    f->w = glia__panels_of(f->p.parts, f->in, cell->gates * f->sub, panels);
    f->r = glia__panels_of(f->p.parts, hidden, cell->gates * f->sub, panels);
    return true;
}

static void plan_memory(forward *f) {
    const size_t columns = (size_t)(f->r.groups * PANEL_GROUP), all = columns * (size_t)f->r.count;
    const size_t state = (size_t)(PANEL_ROWS * f->sub * f->r.count * PANEL_GROUP) * sizeof(float);
    size_t *bytes = &f->worker_bytes;
    f->at_x = glia__recurrent_take(bytes, glia__rows_bytes(&f->w, AHEAD));
    f->at_state = glia__recurrent_take(bytes, glia__rows_bytes(&f->r, PANEL_ROWS));
    f->at_sums_x = glia__recurrent_take(bytes, all * AHEAD * sizeof(float));
    f->at_sums = glia__recurrent_take(bytes, columns * PANEL_ROWS * sizeof(float));
    f->at_h = glia__recurrent_take(bytes, state);
    f->at_c = glia__recurrent_take(bytes, state);
    f->at_bias = glia__recurrent_take(bytes, 2 * all * sizeof(float));
    f->at_row = glia__recurrent_take(bytes, (size_t)f->in * sizeof(float));
}

static size_t packed_bytes(const forward *f) {
    return (size_t)f->w.count * (f->w.bytes + f->r.bytes);
}

static glia_status init(const glia_kernel_query *q, const glia_cell *cell, void **state,
                        glia_kernel_needs *needs, glia_error *err) {
    const char *why_not = NULL;
    forward *f = glia__alloc(q->allocator, sizeof *f);
    if (!f) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (!fit(q, cell, f, &why_not)) {
        glia__free(q->allocator, f, sizeof *f);
        return glia_error_set(err, GLIA_UNSUPPORTED, "%s: %s", q->op->name, why_not);
    }
    plan_memory(f);
    needs->workspace_bytes = (size_t)f->p.workers * f->worker_bytes;
    *(f->p.pack_first ? &needs->workspace_bytes : &needs->packed_bytes) += packed_bytes(f);
    *state = f;
    return GLIA_OK;
}

static void fini(void *state) {
    forward *f = state;
    glia__free(f->p.allocator, f, sizeof *f);
}

/* --- weights ------------------------------------------------------------------------------------------------- */

/* The row of the weights that a panel's column is; −1: a unit that is not there. */
static int64_t row_of(const forward *f, int64_t panel, int64_t column) {
    const int64_t group = column / PANEL_GROUP, gate = group / f->sub;
    const int64_t unit = (panel * f->sub + group % f->sub) * PANEL_GROUP + column % PANEL_GROUP;
    return unit < f->p.hidden ? gate * f->p.hidden + unit : -1;
}

typedef struct weights {
    const forward *f;
    const float *data;
    int64_t width;
} weights;

/* Columns are rows of the weights. */
static void fill(const void *ctx, int64_t panel, int64_t step, float *block) {
    const weights *w = ctx;
    const int64_t columns = w->f->r.groups * PANEL_GROUP, first = step * PANEL_STEP;
    const int64_t n = GLIA_MIN(w->width - first, (int64_t)PANEL_STEP);
    for (int64_t c = 0; c < columns; c++) {
        const int64_t row = row_of(w->f, panel, c);
        for (int64_t k = 0; k < n && row >= 0; k++)
            block[k * columns + c] = w->data[row * w->width + first + k];
    }
}

static glia_status pack_to(const forward *f, const glia_call *c, char *packed) {
    const weights w = {f, c->in[GLIA_REC_W].data, f->in}, r = {f, c->in[GLIA_REC_R].data, f->p.hidden};
    glia__recurrent_pack(&f->w, &w, fill, packed, f->p.threads);
    glia__recurrent_pack(&f->r, &r, fill, packed + (size_t)f->w.count * f->w.bytes, f->p.threads);
    return GLIA_OK;
}

static glia_status pack(void *state, const glia_call *c) {
    const forward *f = state;
    return f->p.pack_first ? GLIA_OK : pack_to(f, c, c->packed);
}

/* Biases of the sums by the input and by the state. Both are added to the first, but for n of gru. */
static void spread_bias(const forward *f, const float *b, float *by_input, float *by_state) {
    const int64_t columns = f->r.groups * PANEL_GROUP, width = f->p.cell->gates * f->p.hidden;
    const bool gru = f->p.cell->kind == GLIA_CELL_GRU;
    for (int64_t c = 0; c < f->r.count * columns; c++) {
        const int64_t row = row_of(f, c / columns, c % columns);
        const bool apart = gru && row >= 2 * f->p.hidden;
        by_input[c] = by_state[c] = 0;
        if (row < 0 || !b) continue;
        by_input[c] = b[row] + (apart ? 0 : b[width + row]);
        by_state[c] = apart ? b[width + row] : 0;
    }
}

/* --- cells --------------------------------------------------------------------------------------------------- */

/* The rows of one step in one panel. */
typedef struct cells {
    const float *by_input, *by_state; /* sums [rows][columns] */
    int64_t rows, columns, first;     /* first: unit */
    const int64_t *place;             /* by row: where it is in [N·T], or −1: ended */
    int64_t hidden, stride;           /* of h and c */
    float *h, *c;
    void *saved;
    bool bf16;
} cells;

GLIA_CPU_INLINE float sigmoid(float x) {
    return 1 / (1 + exp(-x));
}

GLIA_CPU_INLINE void lstm_row(const cells *t, int64_t i, const bool bf16) {
    const float *x = t->by_input + i * t->columns, *s = t->by_state + i * t->columns;
    float *restrict h = t->h + i * t->stride + t->first, *restrict c = t->c + i * t->stride + t->first;
    float gate[5][PANEL_GROUP] __attribute__((aligned(64)));
    for (int k = 0; k < PANEL_GROUP; k++) {
        const float in = sigmoid(x[k] + s[k]), forget = sigmoid(x[16 + k] + s[16 + k]);
        const float z = tanh(x[32 + k] + s[32 + k]), out = sigmoid(x[48 + k] + s[48 + k]);
        const float now = forget * c[k] + in * z;
        gate[0][k] = in;
        gate[1][k] = forget;
        gate[2][k] = z;
        gate[3][k] = out;
        gate[4][k] = c[k] = now;
        h[k] = out * tanh(now);
    }
    for (int g = 0; g < 5; g++)
        store_group(t->saved, (t->place[i] * 5 + g) * t->hidden + t->first, t->hidden - t->first, bf16,
                    gate[g]);
}

GLIA_CPU_INLINE void gru_row(const cells *t, int64_t i, const bool bf16) {
    const float *x = t->by_input + i * t->columns, *s = t->by_state + i * t->columns;
    float *restrict h = t->h + i * t->stride + t->first;
    float gate[4][PANEL_GROUP] __attribute__((aligned(64)));
    for (int k = 0; k < PANEL_GROUP; k++) {
        const float r = sigmoid(x[k] + s[k]), z = sigmoid(x[16 + k] + s[16 + k]);
        const float n = tanh(x[32 + k] + r * s[32 + k]);
        gate[0][k] = r;
        gate[1][k] = z;
        gate[2][k] = n;
        gate[3][k] = s[32 + k];
        h[k] = (1 - z) * n + z * h[k];
    }
    for (int g = 0; g < 4; g++)
        store_group(t->saved, (t->place[i] * 4 + g) * t->hidden + t->first, t->hidden - t->first, bf16,
                    gate[g]);
}

#define CELLS(name, row)                                 \
    GLIA_CPU_CLONES(void, name, (const cells *t), (t)) { \
        for (int64_t i = 0; i < t->rows; i++) {          \
            if (t->place[i] < 0) continue;               \
            if (t->bf16)                                 \
                row(t, i, true);                         \
            else                                         \
                row(t, i, false);                        \
        }                                                \
    }
CELLS(lstm_cells, lstm_row)
CELLS(gru_cells, gru_row)

GLIA_CPU_CLONES(void, rnn_cells, (const cells *t, bool relu), (t, relu)) {
    for (int64_t i = 0; i < t->rows; i++) {
        const float *x = t->by_input + i * t->columns, *s = t->by_state + i * t->columns;
        float *h = t->h + i * t->stride + t->first;
        if (t->place[i] < 0) continue;
        if (relu)
            for (int64_t k = 0; k < t->columns; k++) h[k] = x[k] + s[k] < 0 ? 0 : x[k] + s[k];
        else
            for (int64_t k = 0; k < t->columns; k++) h[k] = tanh(x[k] + s[k]);
    }
}

/* --- some sequences through all steps ------------------------------------------------------------------------ */

/* One run. */
typedef struct forward_run {
    const forward *f;
    glia_recurrent of;
    const glia_call *c;
    const char *packed;
    char *memory; /* of the workers */
    void *y, *hn, *cn, *saved;
} forward_run;

/* A worker at work on `rows` sequences from `first` on. */
typedef struct stretch {
    const forward_run *run;
    int64_t first, rows;
    glia_rows x, state;
    float *sums_x, *sums, *h, *c, *bias_x, *bias_state, *row;
    int64_t place[PANEL_ROWS];
} stretch;

static int64_t state_stride(const forward *f) {
    return f->r.count * f->sub * PANEL_GROUP;
}

static void clear_at(void *x, int64_t at, int64_t n, bool bf16) {
    const size_t bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    memset((char *)x + (size_t)at * bytes, 0, (size_t)n * bytes);
}

static void begin(stretch *t, const forward_run *run, char *memory) {
    const forward *f = run->f;
    const int64_t stride = state_stride(f);
    const float *b = glia__recurrent_input(run->c, GLIA_REC_B).data;
    *t = (stretch){.run = run,
                   .x = glia__rows_in(&f->w, AHEAD, memory + f->at_x),
                   .state = glia__rows_in(&f->r, PANEL_ROWS, memory + f->at_state),
                   .sums_x = (float *)(memory + f->at_sums_x),
                   .sums = (float *)(memory + f->at_sums),
                   .h = (float *)(memory + f->at_h),
                   .c = (float *)(memory + f->at_c),
                   .bias_x = (float *)(memory + f->at_bias),
                   .row = (float *)(memory + f->at_row)};
    t->bias_state = t->bias_x + f->r.count * f->r.groups * PANEL_GROUP;
    memset(t->h, 0, (size_t)(PANEL_ROWS * stride) * sizeof(float));
    memset(t->c, 0, (size_t)(PANEL_ROWS * stride) * sizeof(float));
    spread_bias(f, b, t->bias_x, t->bias_state);
}

/* The state before the first step. */
static void begin_rows(stretch *t, int64_t first, int64_t rows) {
    const forward_run *run = t->run;
    const glia_recurrent_plan *p = &run->f->p;
    const int64_t stride = state_stride(run->f);
    t->first = first;
    t->rows = rows;
    for (int64_t i = 0; i < rows; i++) {
        float *h = t->h + i * stride, *c = t->c + i * stride;
        memset(h, 0, (size_t)stride * sizeof *h);
        memset(c, 0, (size_t)stride * sizeof *c);
        if (run->of.h0) glia__recurrent_read(run->of.h0, (first + i) * p->hidden, p->hidden, p->bf16, h);
        if (run->of.c0) glia__recurrent_read(run->of.c0, (first + i) * p->hidden, p->hidden, p->bf16, c);
        glia__rows_put(&t->state, i, 0, h, p->units);
    }
}

/* Sums by the input for steps [from, end). */
static void sums_by_input(stretch *t, int64_t from, int64_t end) {
    const forward_run *run = t->run;
    const forward *f = run->f;
    const int64_t columns = f->w.groups * PANEL_GROUP, rows = t->rows * (end - from);
    for (int64_t s = from; s < end; s++)
        for (int64_t i = 0; i < t->rows; i++) {
            const int64_t at = glia__recurrent_place(&run->of, t->first + i, s);
            if (at >= 0)
                glia__recurrent_put(&t->x, (s - from) * t->rows + i, run->of.x, at * f->in, f->in, f->p.bf16,
                                    t->row);
        }
    for (int64_t panel = 0; panel < f->w.count; panel++)
        for (int64_t row = 0; row < rows; row += PANEL_ROWS)
            glia__panel_multiply(&f->w, run->packed + (size_t)panel * f->w.bytes, &t->x, row,
                                 GLIA_MIN(rows - row, (int64_t)PANEL_ROWS), t->bias_x + panel * columns,
                                 t->sums_x + (panel * AHEAD + row) * columns);
}

/* The state after a step goes to y, and to the next product. */
static void finish_step(stretch *t, int64_t s) {
    const forward_run *run = t->run;
    const glia_recurrent_plan *p = &run->f->p;
    for (int64_t i = 0; i < t->rows; i++) {
        const float *h = t->h + i * state_stride(run->f);
        if (t->place[i] >= 0) {
            glia__recurrent_write(run->y, t->place[i] * p->hidden, p->hidden, p->bf16, h);
            glia__rows_put(&t->state, i, 0, h, p->units);
            continue;
        }
        const int64_t behind = (t->first + i) * p->steps + s, saved = p->cell->saved * p->hidden;
        clear_at(run->y, behind * p->hidden, p->hidden, p->bf16);
        if (saved) clear_at(run->saved, behind * saved, saved, p->bf16);
    }
}

/* `x`: the step's first row of sums by the input. */
static void step(stretch *t, int64_t s, int64_t x) {
    const forward_run *run = t->run;
    const forward *f = run->f;
    const int64_t columns = f->r.groups * PANEL_GROUP;
    const char *packed = run->packed + (size_t)f->w.count * f->w.bytes;
    for (int64_t i = 0; i < t->rows; i++) t->place[i] = glia__recurrent_place(&run->of, t->first + i, s);
    cells k = {.by_state = t->sums,
               .rows = t->rows,
               .columns = columns,
               .place = t->place,
               .hidden = f->p.hidden,
               .stride = state_stride(f),
               .h = t->h,
               .c = t->c,
               .saved = run->saved,
               .bf16 = f->p.bf16};
    for (int64_t panel = 0; panel < f->r.count; panel++) {
        glia__panel_multiply(&f->r, packed + (size_t)panel * f->r.bytes, &t->state, 0, t->rows,
                             t->bias_state + panel * columns, t->sums);
        k.by_input = t->sums_x + (panel * AHEAD + x) * columns;
        k.first = panel * f->sub * PANEL_GROUP;
        if (f->p.cell->kind == GLIA_CELL_LSTM)
            lstm_cells(&k);
        else if (f->p.cell->kind == GLIA_CELL_GRU)
            gru_cells(&k);
        else
            rnn_cells(&k, run->of.relu);
    }
    finish_step(t, s);
}

static void run_part(void *ctx, int part, int parts) {
    const forward_run *run = ctx;
    const forward *f = run->f;
    const glia_recurrent_plan *p = &f->p;
    stretch t;
    int64_t first, last;
    glia__part_range(p->n, part, parts, &first, &last);
    begin(&t, run, run->memory + (size_t)part * f->worker_bytes);
    glia__panel_begin(&f->r);
    for (; first < last; first += PANEL_ROWS) {
        begin_rows(&t, first, GLIA_MIN(last - first, (int64_t)PANEL_ROWS));
        const int64_t ahead = AHEAD / t.rows;
        for (int64_t s = 0; s < p->steps; s++) {
            if (s % ahead == 0) sums_by_input(&t, s, GLIA_MIN(s + ahead, p->steps));
            step(&t, s, s % ahead * t.rows);
        }
        for (int64_t i = 0; i < t.rows; i++) {
            const int64_t to = (t.first + i) * p->hidden, from = i * state_stride(f);
            glia__recurrent_write(run->hn, to, p->hidden, p->bf16, t.h + from);
            if (run->cn) glia__recurrent_write(run->cn, to, p->hidden, p->bf16, t.c + from);
        }
    }
    glia__panel_end(&f->r);
}

static glia_status run(void *state, const glia_call *c) {
    const forward *f = state;
    const bool lstm = f->p.cell->kind == GLIA_CELL_LSTM;
    forward_run run = {
        .f = f,
        .of = glia__recurrent_of(f->p.cell, c, &c->in[GLIA_REC_X].shape, f->p.hidden, GLIA_REC_LENGTHS),
        .c = c,
        .packed = c->packed,
        .memory = c->workspace,
        .y = c->out[GLIA_REC_Y].data,
        .hn = c->out[GLIA_REC_HN].data,
        .cn = lstm ? c->out[GLIA_REC_CN].data : NULL,
        .saved = f->p.cell->saved ? c->out[GLIA_REC_CN + lstm].data : NULL};
    GLIA_TRY(glia__recurrent_check(&run.of, c));
    run.of.x = c->in[GLIA_REC_X].data;
    run.of.h0 = glia__recurrent_input(c, GLIA_REC_H0).data;
    run.of.c0 = glia__recurrent_input(c, GLIA_REC_C0).data;
    if (f->p.pack_first) {
        char *packed = run.memory + (size_t)f->p.workers * f->worker_bytes;
        GLIA_TRY(pack_to(f, c, packed));
        run.packed = packed;
    }
    glia__parallel(f->p.workers, run_part, &run);
    return GLIA_OK;
}

#define PLANNING(cell)                                                                                 \
    static bool cell##_supports(const glia_kernel_query *q, const char **why_not) {                    \
        forward f;                                                                                     \
        return fit(q, &glia__cell_##cell, &f, why_not);                                                \
    }                                                                                                  \
    static glia_status cell##_init(const glia_kernel_query *q, void **state, glia_kernel_needs *needs, \
                                   glia_error *err) {                                                  \
        return init(q, &glia__cell_##cell, state, needs, err);                                         \
    }
PLANNING(rnn)
PLANNING(lstm)
PLANNING(gru)

GLIA_KERNEL(cpu_rnn) = {.name = "cpu_rnn",
                        .op = "rnn",
                        .priority = 50,
                        .own_threads = true,
                        .supports = rnn_supports,
                        .init = rnn_init,
                        .pack = pack,
                        .run = run,
                        .fini = fini};

GLIA_KERNEL(cpu_lstm) = {.name = "cpu_lstm",
                         .op = "lstm",
                         .priority = 50,
                         .own_threads = true,
                         .supports = lstm_supports,
                         .init = lstm_init,
                         .pack = pack,
                         .run = run,
                         .fini = fini};

GLIA_KERNEL(cpu_gru) = {.name = "cpu_gru",
                        .op = "gru",
                        .priority = 50,
                        .own_threads = true,
                        .supports = gru_supports,
                        .init = gru_init,
                        .pack = pack,
                        .run = run,
                        .fini = fini};
