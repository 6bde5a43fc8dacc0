/* recurrent_common.c: see recurrent.h. */

#include "kernels/cpu/recurrent.h"

#include "core/threads.h"

/* With few rows the time goes to reading weights, and floats are the smallest exact numbers: µs on one core, 256 · 1024, 32
 * rows: floats 73, three bf16 45; 16 rows: 40 and 30; one row: 6 and 28. */
static int parts_for(int64_t rows, bool bf16) {
    enum { FEW = 16 };
    return bf16 || rows >= FEW ? glia__panel_parts(bf16) : 0;
}

bool glia__recurrent_plan(glia_recurrent_plan *p, const glia_kernel_query *q, const glia_cell *cell,
                          const glia_type *sequences, int64_t hidden, uint32_t weights,
                          const char **why_not) {
    enum { ROWS_A_WORKER = 16 };
    const glia_shape *s = &sequences->shape;
    const bool bf16 = sequences->dtype == GLIA_BF16;
    *why_not = "takes f32 or bf16 only";
    if (sequences->dtype != GLIA_F32 && !bf16) return false;
    *why_not = "bf16 without AMX";
    if (bf16 && !glia__panel_parts(true)) return false;
    *why_not = "an array has no elements";
    if (s->dim[0] < 1 || s->dim[1] < 1 || s->dim[2] < 1 || hidden < 1) return false;
    *why_not = "reset_after=no";
    if (cell->kind == GLIA_CELL_GRU && ((const glia_recurrent_attrs *)q->attrs)->reset_after == GLIA_NO)
        return false;
    *p = (glia_recurrent_plan){.allocator = q->allocator,
                               .cell = cell,
                               .n = s->dim[0],
                               .steps = s->dim[1],
                               .hidden = hidden,
                               .units = (hidden + PANEL_GROUP - 1) / PANEL_GROUP * PANEL_GROUP,
                               .bf16 = bf16,
                               .pack_first = (q->params & weights) != weights,
                               .parts = parts_for(s->dim[0], bf16),
                               .threads = q->threads};
    p->workers = (int)GLIA_MAX(1, GLIA_MIN((int64_t)q->threads, p->n / ROWS_A_WORKER));
    return true;
}

/* --- packing ------------------------------------------------------------------------------------------------ */

typedef struct packing {
    const glia_panels *p;
    const void *ctx;
    glia_fill *fill;
    char *packed;
} packing;

static void pack_panels(void *ctx, int part, int parts) {
    const packing *job = ctx;
    const glia_panels *p = job->p;
    float block[PANEL_STEP * PANEL_GROUP * PANEL_MOST_GROUPS];
    int64_t begin, end;
    glia__part_range(p->count, part, parts, &begin, &end);
    for (int64_t panel = begin; panel < end; panel++)
        for (int64_t step = 0; step < p->steps; step++) {
            memset(block, 0, sizeof block);
            job->fill(job->ctx, panel, step, block);
            glia__panel_pack(p, job->packed + (size_t)panel * p->bytes, step, block);
        }
}

void glia__recurrent_pack(const glia_panels *p, const void *ctx, glia_fill *fill, void *packed, int threads) {
    enum { WORTH_A_THREAD = 1 << 15 };
    const int64_t elems = p->count * p->groups * PANEL_GROUP * p->inner;
    const int64_t parts = GLIA_MIN(elems / WORTH_A_THREAD + 1, (int64_t)threads);
    glia__parallel((int)parts, pack_panels, &(packing){p, ctx, fill, packed});
}

/* --- rows --------------------------------------------------------------------------------------------------- */

GLIA_CPU_CLONES(void, read_row, (const void *x, int64_t at, int64_t n, float *restrict to), (x, at, n, to)) {
    for (int64_t k = 0; k < n; k++) to[k] = glia__load(x, at + k, true);
}

GLIA_CPU_CLONES(void, write_row, (void *restrict y, int64_t at, int64_t n, const float *from),
                (y, at, n, from)) {
    for (int64_t k = 0; k < n; k++) glia__store(y, at + k, from[k], true);
}

void glia__recurrent_read(const void *x, int64_t at, int64_t n, bool bf16, float *to) {
    if (bf16)
        read_row(x, at, n, to);
    else
        memcpy(to, (const float *)x + at, (size_t)n * sizeof *to);
}

void glia__recurrent_write(void *y, int64_t at, int64_t n, bool bf16, const float *from) {
    if (bf16)
        write_row(y, at, n, from);
    else
        memcpy((float *)y + at, from, (size_t)n * sizeof *from);
}

void glia__recurrent_put(const glia_rows *rows, int64_t i, const void *x, int64_t at, int64_t n, bool bf16,
                         float *scratch) {
    if (bf16 && rows->parts == 1) {
        memcpy((uint16_t *)rows->data + i * rows->stride, (const uint16_t *)x + at, (size_t)n * 2);
    } else if (bf16) {
        read_row(x, at, n, scratch);
        glia__rows_put(rows, i, 0, scratch, n);
    } else {
        glia__rows_put(rows, i, 0, (const float *)x + at, n);
    }
}
