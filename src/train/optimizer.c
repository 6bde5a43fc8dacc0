/* optimizer.c: finding, checking and running optimisers, and the norm of a gradient. */

#include "train/optimizer.h"

#include <math.h>

#include "core/isa.h"
#include "core/threads.h"

const glia_optimizer *glia__optimizer_find(const char *name) {
    for (size_t i = 0; name && i < glia__optimizers_count; i++)
        if (strcmp(glia__optimizers[i]->name, name) == 0) return glia__optimizers[i];
    return NULL;
}

static glia_status unknown(const char *name, glia_error *err) {
    enum { MOST = 64 };
    const char *names[MOST];
    size_t count = GLIA_MIN(glia__optimizers_count, (size_t)MOST);
    for (size_t i = 0; i < count; i++) names[i] = glia__optimizers[i]->name;
    const char *nearest = glia__nearest_word(name, names, count);
    return glia_error_set(err, GLIA_INVALID_ARGUMENT, "unknown optimizer '%s'%s%s%s", name,
                          nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "");
}

glia_status glia__optimizer_resolve(glia_optimizer_options *options, const glia_optimizer **out,
                                    glia_error *err) {
    const char *name = options->name && *options->name ? options->name : "adam";
    glia_error inner = {0};
    *out = glia__optimizer_find(name);
    if (!*out) return unknown(name, err);
    options->name = (*out)->name;
    glia__fields_fill((*out)->fields, options);
    if (glia__fields_check((*out)->fields, options, &inner) != GLIA_OK)
        return glia_error_set(err, inner.status, "optimizer %s: %s", name, inner.message);
    return GLIA_OK;
}

typedef struct update_job {
    const glia_optimizer *optimizer;
    glia_optimizer_step step;
} update_job;

static void update_part(void *ctx, int part, int parts) {
    const update_job *job = ctx;
    glia_optimizer_step step = job->step;
    int64_t begin, end;
    const int64_t first = step.begin, count = step.end - first;
    glia__part_range((count + 15) / 16, part, parts, &begin, &end); /* whole cache lines */
    step.begin = first + begin * 16;
    step.end = first + GLIA_MIN(end * 16, count);
    job->optimizer->update(&step);
}

/* Fewer elements than this are not worth waking a thread. */
enum { WORTH_A_THREAD = 1 << 15 };

int glia__optimizer_parts(int64_t count, int threads) {
    int64_t useful = count / WORTH_A_THREAD + 1;
    if (threads < 1) threads = glia__thread_cores();
    return (int)GLIA_MIN(useful, threads);
}

void glia__optimizer_run(const glia_optimizer *optimizer, glia_optimizer_step step, int threads) {
    update_job job = {optimizer, step};
    glia__parallel(glia__optimizer_parts(step.end - step.begin, threads), update_part, &job);
}

/* The norm is summed in blocks of fixed bounds, so that the order of additions is always the same. */
enum { NORM_BLOCKS = 64 };

typedef struct norm_job {
    const float *x;
    int64_t count;
    double sums[NORM_BLOCKS];
} norm_job;

GLIA_CPU_CLONES(double, sum_of_squares, (const float *x, int64_t count), (x, count)) {
    double lanes[8] = {0}, sum = 0; /* eight at once, for the vector unit */
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; k++) lanes[k] += (double)x[i + k] * (double)x[i + k];
    for (; i < count; i++) sum += (double)x[i] * (double)x[i];
    for (int k = 0; k < 8; k++) sum += lanes[k];
    return sum;
}

static void norm_part(void *ctx, int part, int parts) {
    norm_job *job = ctx;
    for (int block = part; block < NORM_BLOCKS; block += parts) {
        int64_t begin, end;
        glia__part_range(job->count, block, NORM_BLOCKS, &begin, &end);
        job->sums[block] = sum_of_squares(job->x + begin, end - begin);
    }
}

double glia__norm(const float *x, int64_t count, int threads) {
    norm_job job = {.x = x, .count = count};
    double sum = 0;
    glia__parallel(glia__optimizer_parts(count, threads), norm_part, &job);
    for (int i = 0; i < NORM_BLOCKS; i++) sum += job.sums[i];
    return sqrt(sum);
}

/* Of numbers without their sign, as whole numbers: infinity and NaN are the largest of all. */
GLIA_CPU_CLONES(uint32_t, largest_bits, (const float *x, int64_t count), (x, count)) {
    uint32_t most = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    return most;
}

typedef struct largest_job {
    const float *x;
    int64_t count;
    uint32_t found[NORM_BLOCKS];
} largest_job;

static void largest_part(void *ctx, int part, int parts) {
    largest_job *job = ctx;
    for (int block = part; block < NORM_BLOCKS; block += parts) {
        int64_t begin, end;
        glia__part_range(job->count, block, NORM_BLOCKS, &begin, &end);
        job->found[block] = largest_bits(job->x + begin, end - begin);
    }
}

float glia__largest(const float *x, int64_t count, int threads) {
    largest_job job = {.x = x, .count = count};
    uint32_t most = 0;
    float value;
    glia__parallel(glia__optimizer_parts(count, threads), largest_part, &job);
    for (int i = 0; i < NORM_BLOCKS; i++) most = GLIA_MAX(most, job.found[i]);
    memcpy(&value, &most, sizeof value);
    return value;
}

typedef struct add_job {
    float *to;
    const float *from;
    float scale;
    int64_t count;
} add_job;

GLIA_CPU_CLONES(void, add_scaled,
                (float *restrict to, const float *restrict from, float scale, int64_t count),
                (to, from, scale, count)) {
    for (int64_t i = 0; i < count; i++) to[i] += scale * from[i];
}

static void add_part(void *ctx, int part, int parts) {
    const add_job *job = ctx;
    int64_t begin, end;
    glia__part_range(job->count, part, parts, &begin, &end);
    add_scaled(job->to + begin, job->from + begin, job->scale, end - begin);
}

void glia__add_scaled(float *to, const float *from, float scale, int64_t count, int threads) {
    add_job job = {to, from, scale, count};
    glia__parallel(glia__optimizer_parts(count, threads), add_part, &job);
}

float glia__clip_scale(const glia_optimizer_options *options, double norm) {
    double limit = options->clip_norm;
    return limit > 0 && norm > limit ? (float)(limit / (norm + 1e-6))
                                     : 1.0f; /* as clip_grad_norm_ of PyTorch */
}
