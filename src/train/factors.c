/* factors.c: see factors.h. */

#include "train/factors.h"

#include <float.h>

#include "core/isa.h"
#include "core/threads.h"

enum {
    COLUMNS = 2048, /* of a piece: x's part of it, 64 KB for 8 rows, serves GROUP rows of the product */
    GROUP = 16,
    AT_ONCE = 4 /* rows of x added in one pass over a piece */
};

/* g[i] = Σ_row dy[row][out]·x[row][column + i], added in the order of rows. */
GLIA_CPU_CLONES(void, make_piece,
                (const glia_factors *f, int64_t out, int64_t column, int64_t count, float *restrict g),
                (f, out, column, count, g)) {
    memset(g, 0, (size_t)count * sizeof *g);
    for (int64_t row = 0; row < f->rows; row += AT_ONCE) {
        float factor[AT_ONCE] = {0};
        const float *from[AT_ONCE];
        for (int k = 0; k < AT_ONCE; k++) {
            const int64_t there = GLIA_MIN(row + k, f->rows - 1);
            from[k] = f->x + there * f->in + column;
            if (row + k < f->rows) factor[k] = f->dy[there * f->out + out];
        }
        const float *x0 = from[0], *x1 = from[1], *x2 = from[2], *x3 = from[3];
        for (int64_t i = 0; i < count; i++)
            g[i] = g[i] + factor[0] * x0[i] + factor[1] * x1[i] + factor[2] * x2[i] + factor[3] * x3[i];
    }
}

typedef struct factors_job {
    const glia_factors *factors;
    const glia_optimizer *optimizer; /* NULL: the product is wanted */
    glia_optimizer_step step;
    float *product;
} factors_job;

static void update_piece(const factors_job *job, int64_t out, int64_t column, int64_t count) {
    float gradient[COLUMNS];
    glia_optimizer_step step = job->step;
    const int64_t at = step.begin + out * job->factors->in + column;
    make_piece(job->factors, out, column, count, gradient);
    step.params += at;
    step.gradients = gradient;
    for (int i = 0; i < job->optimizer->n_moments; i++) step.moments[i] += at;
    step.begin = 0;
    step.end = count;
    job->optimizer->update(&step);
}

static void factors_part(void *ctx, int part, int parts) {
    const factors_job *job = ctx;
    const glia_factors *f = job->factors;
    int64_t begin, end;
    glia__part_range(f->out, part, parts, &begin, &end);
    for (int64_t group = begin; group < end; group += GROUP)
        for (int64_t column = 0; column < f->in; column += COLUMNS)
            for (int64_t out = group; out < GLIA_MIN(group + GROUP, end); out++) {
                const int64_t count = GLIA_MIN(f->in - column, (int64_t)COLUMNS);
                if (job->optimizer)
                    update_piece(job, out, column, count);
                else
                    make_piece(f, out, column, count, job->product + out * f->in + column);
            }
}

void glia__factors_update(const glia_factors *f, const glia_optimizer *optimizer, glia_optimizer_step step,
                          int threads) {
    factors_job job = {.factors = f, .optimizer = optimizer, .step = step};
    glia__parallel(glia__optimizer_parts(f->in * f->out, threads), factors_part, &job);
}

void glia__factors_expand(const glia_factors *f, float *product, int threads) {
    factors_job job = {.factors = f, .product = product};
    glia__parallel(glia__optimizer_parts(f->in * f->out, threads), factors_part, &job);
}

bool glia__factors_finite(const glia_factors *f, float *product, int threads) {
    const double x = glia__largest(f->x, f->rows * f->in, threads);
    const double dy = glia__largest(f->dy, f->rows * f->out, threads);
    if (x * dy * (double)f->rows <= FLT_MAX / 2) return true;
    if (!(x <= FLT_MAX && dy <= FLT_MAX)) return false;
    glia__factors_expand(f, product, threads);
    return glia__largest(product, f->in * f->out, threads) <= FLT_MAX;
}

void glia__factors_sum(const glia_factors *f, float *to) {
    memset(to, 0, (size_t)f->out * sizeof *to);
    for (int64_t row = 0; row < f->rows; row++)
        for (int64_t o = 0; o < f->out; o++) to[o] += f->dy[row * f->out + o];
}
