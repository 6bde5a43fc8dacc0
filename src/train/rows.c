/* rows.c: see rows.h. */

#include "train/rows.h"

#include "core/threads.h"

/* --- memory ------------------------------------------------------------------------------------------------------ */

static size_t line_of(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

size_t glia__table_rows_bytes(int64_t readings, int64_t width) {
    const size_t n = (size_t)readings;
    return line_of(n * (size_t)width * sizeof(float)) + 2 * line_of(n * sizeof(uint64_t)) +
           2 * line_of((n + 1) * sizeof(int64_t));
}

glia_status glia__table_rows_reserve(glia_rows *rows, int64_t readings, const glia_allocator *allocator,
                                     glia_error *err) {
    if (readings <= rows->room && rows->memory) return GLIA_OK;
    const size_t bytes = glia__table_rows_bytes(readings, rows->width), n = (size_t)readings;
    char *memory = glia__alloc_aligned(allocator, bytes, 64);
    if (!memory) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia__free(allocator, rows->memory, rows->bytes);
    rows->memory = memory;
    rows->bytes = bytes;
    rows->room = readings;
    rows->used = 0;
    rows->values = (float *)(void *)memory;
    memory += line_of(n * (size_t)rows->width * sizeof(float));
    rows->keys = (uint64_t *)(void *)memory;
    memory += line_of(n * sizeof(uint64_t));
    rows->spare = (uint64_t *)(void *)memory;
    memory += line_of(n * sizeof(uint64_t));
    rows->row = (int64_t *)(void *)memory;
    memory += line_of((n + 1) * sizeof(int64_t));
    rows->first = (int64_t *)(void *)memory;
    return GLIA_OK;
}

void glia__table_rows_free(glia_rows *rows, const glia_allocator *allocator) {
    glia__free(allocator, rows->memory, rows->bytes);
    *rows = (glia_rows){0};
}

/* --- collecting -------------------------------------------------------------------------------------------------- */

/* A key: the row in the upper half, the place among all readings in the lower. A layer's table has at most 2^30 rows. */
enum { PLACE_BITS = 32, DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

static int64_t row_of(uint64_t key) {
    return (int64_t)(key >> PLACE_BITS);
}

/* By one digit of the row; what has the same digit stays in its order. */
static void sort_by_digit(const uint64_t *from, uint64_t *to, int64_t count, int shift) {
    int64_t begins[DIGITS + 1] = {0};
    for (int64_t i = 0; i < count; i++) begins[(from[i] >> shift) % DIGITS + 1]++;
    for (int d = 0; d < DIGITS; d++) begins[d + 1] += begins[d];
    for (int64_t i = 0; i < count; i++) to[begins[(from[i] >> shift) % DIGITS]++] = from[i];
}

static void sort_keys(glia_rows *r, int64_t count) {
    for (int shift = 0; (r->table_rows - 1) >> shift > 0; shift += DIGIT_BITS) {
        sort_by_digit(r->keys, r->spare, count, PLACE_BITS + shift);
        uint64_t *sorted = r->spare;
        r->spare = r->keys;
        r->keys = sorted;
    }
}

static int64_t make_keys(glia_rows *r, const glia_row_part *parts, int count) {
    int64_t n = 0;
    for (int p = 0; p < count; p++)
        for (int64_t i = 0; i < parts[p].count; i++, n++) {
            const int64_t row = parts[p].dtype == GLIA_I64 ? ((const int64_t *)parts[p].indices)[i]
                                                           : ((const int32_t *)parts[p].indices)[i];
            r->keys[n] = (uint64_t)row << PLACE_BITS | (uint64_t)n;
        }
    return n;
}

typedef struct collecting {
    glia_rows *rows;
    const glia_row_part *parts;
} collecting;

static const float *reading_at(const collecting *c, uint64_t key) {
    int64_t place = (int64_t)(uint32_t)key;
    const glia_row_part *part = c->parts;
    for (; place >= part->count; part++) place -= part->count;
    return part->dy + place * c->rows->width;
}

static void add_rows(void *ctx, int part, int parts) {
    const collecting *c = ctx;
    const glia_rows *r = c->rows;
    int64_t begin, end;
    glia__part_range(r->used, part, parts, &begin, &end);
    for (int64_t u = begin; u < end; u++) {
        float *restrict to = r->values + u * r->width;
        memcpy(to, reading_at(c, r->keys[r->first[u]]), (size_t)r->width * sizeof *to);
        for (int64_t k = r->first[u] + 1; k < r->first[u + 1]; k++) {
            const float *restrict from = reading_at(c, r->keys[k]);
            for (int64_t i = 0; i < r->width; i++) to[i] += from[i];
        }
    }
}

void glia__table_rows_collect(glia_rows *r, const glia_row_part *parts, int count, int threads) {
    const int64_t n = make_keys(r, parts, count);
    sort_keys(r, n);
    r->used = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i && row_of(r->keys[i]) == row_of(r->keys[i - 1])) continue;
        r->row[r->used] = row_of(r->keys[i]);
        r->first[r->used++] = i;
    }
    r->first[r->used] = n;
    collecting c = {r, parts};
    glia__parallel(glia__optimizer_parts(n * r->width, threads), add_rows, &c);
}

/* --- updating ---------------------------------------------------------------------------------------------------- */

enum {
    TILE = 4096 /* numbers of one call of the optimiser: with the moments they stay in the nearest cache */
};

typedef struct updating {
    const glia_rows *rows;
    const glia_optimizer *optimizer;
    glia_optimizer_step step;
} updating;

/* Rows first … first + count − 1, columns from `column` on, side by side in `tile`, or back from there. */
static void move_tile(const glia_rows *r, float *table, float *tile, int64_t first, int64_t count,
                      int64_t column, int64_t columns, bool back) {
    for (int64_t i = 0; i < count; i++) {
        float *there = table + r->row[first + i] * r->width + column, *here = tile + i * columns;
        memcpy(back ? there : here, back ? here : there, (size_t)columns * sizeof *here);
    }
}

static void update_tile(const updating *u, int64_t first, int64_t count, int64_t column, int64_t columns) {
    float params[TILE], moments[2][TILE], gradients[TILE];
    const glia_rows *r = u->rows;
    glia_optimizer_step step = u->step;
    const int n_moments = u->optimizer->n_moments;
    for (int64_t i = 0; i < count; i++)
        memcpy(gradients + i * columns, r->values + (first + i) * r->width + column,
               (size_t)columns * sizeof *gradients);
    for (int m = 0; m <= n_moments; m++)
        move_tile(r, (m ? u->step.moments[m - 1] : u->step.params) + u->step.begin,
                  m ? moments[m - 1] : params, first, count, column, columns, false);
    step.params = params;
    step.gradients = gradients;
    for (int m = 0; m < n_moments; m++) step.moments[m] = moments[m];
    step.begin = 0;
    step.end = count * columns;
    u->optimizer->update(&step);
    for (int m = 0; m <= n_moments; m++)
        move_tile(r, (m ? u->step.moments[m - 1] : u->step.params) + u->step.begin,
                  m ? moments[m - 1] : params, first, count, column, columns, true);
}

static void update_rows(void *ctx, int part, int parts) {
    const updating *u = ctx;
    const int64_t width = u->rows->width, columns = GLIA_MIN(width, (int64_t)TILE), at_once = TILE / columns;
    int64_t begin, end;
    glia__part_range(u->rows->used, part, parts, &begin, &end);
    for (int64_t row = begin; row < end; row += at_once)
        for (int64_t column = 0; column < width; column += columns)
            update_tile(u, row, GLIA_MIN(at_once, end - row), column, GLIA_MIN(columns, width - column));
}

void glia__table_rows_update(const glia_rows *r, const glia_optimizer *optimizer, glia_optimizer_step step,
                             int threads) {
    updating u = {r, optimizer, step};
    glia__parallel(glia__optimizer_parts(r->used * r->width, threads), update_rows, &u);
}

void glia__table_rows_expand(const glia_rows *r, float *gradient) {
    memset(gradient, 0, (size_t)(r->table_rows * r->width) * sizeof *gradient);
    for (int64_t u = 0; u < r->used; u++)
        memcpy(gradient + r->row[u] * r->width, r->values + u * r->width,
               (size_t)r->width * sizeof *gradient);
}
