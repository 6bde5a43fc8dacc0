/* initializers.c: how weights begin. The families are Keras's, defaults and truncation included; every number
 * depends on (seed, parameter's name, index) only, so neither threads nor the order of layers matter. */

#include <math.h>
#include <stdio.h>

#include "core/mem.h"
#include "core/threads.h"
#include "train/initializer.h"

/* Which fan divides the variance of a "scaling" initialiser. */
typedef enum fan { FAN_NONE, FAN_IN, FAN_AVERAGE } fan;

struct glia_initializer_kind {
    const char *name;
    glia_distribution draw;
    fan fan;
    double scale;   /* scaling ones: variance = scale / fan */
    double initial; /* the others: default of the argument; NaN: required or not taken */
    bool takes_argument;
};

/* Glorot and Bengio, AISTATS 2010; He et al., ICCV 2015; LeCun et al., "Efficient BackProp", 1998. */
static const struct glia_initializer_kind kinds[] = {
    {"glorot_uniform", GLIA_DRAW_UNIFORM, FAN_AVERAGE, 1, NAN, false},
    {"glorot_normal", GLIA_DRAW_TRUNCATED_NORMAL, FAN_AVERAGE, 1, NAN, false},
    {"he_uniform", GLIA_DRAW_UNIFORM, FAN_IN, 2, NAN, false},
    {"he_normal", GLIA_DRAW_TRUNCATED_NORMAL, FAN_IN, 2, NAN, false},
    {"lecun_uniform", GLIA_DRAW_UNIFORM, FAN_IN, 1, NAN, false},
    {"lecun_normal", GLIA_DRAW_TRUNCATED_NORMAL, FAN_IN, 1, NAN, false},
    {"uniform", GLIA_DRAW_UNIFORM, FAN_NONE, 0, 0.05, true},
    {"normal", GLIA_DRAW_NORMAL, FAN_NONE, 0, 0.05, true},
    {"truncated_normal", GLIA_DRAW_TRUNCATED_NORMAL, FAN_NONE, 0, 0.05, true},
    {"zeros", GLIA_DRAW_CONSTANT, FAN_NONE, 0, 0, false},
    {"ones", GLIA_DRAW_CONSTANT, FAN_NONE, 0, 1, false},
    {"constant", GLIA_DRAW_CONSTANT, FAN_NONE, 0, NAN, true},
};

static const struct glia_initializer_kind *find_kind(const char *name) {
    for (size_t i = 0; i < GLIA_COUNT(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}

static glia_status unknown_kind(const char *name, glia_error *err) {
    const char *words[GLIA_COUNT(kinds)];
    for (size_t i = 0; i < GLIA_COUNT(kinds); i++) words[i] = kinds[i].name;
    const char *nearest = glia__nearest_word(name, words, GLIA_COUNT(kinds));
    if (nearest)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "unknown initializer '%s' (did you mean '%s'?)",
                              name, nearest);
    return glia_error_set(
        err, GLIA_INVALID_ARGUMENT,
        "unknown initializer '%s' (known: glorot, he, lecun with _uniform or _normal; uniform, "
        "normal, truncated_normal, zeros, ones, constant:X)",
        name);
}

glia_status glia__initializer_parse(const char *text, glia_initializer *out, glia_error *err) {
    char name[64];
    size_t length = strcspn(text, ":");
    snprintf(name, sizeof name, "%.*s", (int)GLIA_MIN(length, sizeof name - 1), text);
    const struct glia_initializer_kind *kind = find_kind(name);
    if (!kind) return unknown_kind(name, err);
    double argument = kind->initial;
    if (text[length] == ':') {
        if (!kind->takes_argument)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "initializer '%s' takes no number, found '%.60s'", name, text);
        if (!glia__parse_double(text + length + 1, &argument) || (kind->draw && argument < 0))
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "initializer '%s:' expects a number%s, found '%.60s'", name,
                                  kind->draw ? " of at least 0" : "", text + length + 1);
    } else if (kind->takes_argument && isnan(argument)) {
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "initializer '%s' needs a number: %s:0.1", name,
                              name);
    }
    *out = (glia_initializer){kind, argument};
    return GLIA_OK;
}

/* The half width of a uniform, or the standard deviation of a normal distribution. */
static double spread_of(const glia_initializer *initializer, int64_t fan_in, int64_t fan_out) {
    const struct glia_initializer_kind *kind = initializer->kind;
    if (kind->fan == FAN_NONE) return initializer->argument;
    double n = kind->fan == FAN_IN ? (double)fan_in : ((double)fan_in + (double)fan_out) / 2;
    double variance = kind->scale / GLIA_MAX(n, 1.0);
    return kind->draw == GLIA_DRAW_UNIFORM ? sqrt(3 * variance) : sqrt(variance);
}

typedef struct fill_job {
    glia_distribution draw;
    double spread;
    glia_random random;
    float *data;
    int64_t count;
} fill_job;

/* A normal number within two deviations: a draw falls outside with probability 0.0455, sixteen in a row with
 * 3e-22. */
static double truncated_normal(glia_random random, uint64_t index) {
    double x = 0;
    for (uint64_t attempt = 0; attempt < 16; attempt++) {
        x = glia_random_normal(random, index * 16 + attempt);
        if (fabs(x) <= 2) return x;
    }
    return x > 0 ? 2 : -2;
}

static void fill_part(void *ctx, int part, int parts) {
    const fill_job *job = ctx;
    const double truncated_deviation = 0.87962566103423978; /* of a standard normal cut at ±2 */
    int64_t begin, end;
    glia__part_range(job->count, part, parts, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        double x = 0;
        switch (job->draw) {
        case GLIA_DRAW_CONSTANT:
            x = job->spread;
            break;
        case GLIA_DRAW_UNIFORM:
            x = job->spread * (2 * (double)glia_random_uniform(job->random, (uint64_t)i) - 1);
            break;
        case GLIA_DRAW_NORMAL:
            x = job->spread * glia_random_normal(job->random, (uint64_t)i);
            break;
        case GLIA_DRAW_TRUNCATED_NORMAL:
            x = job->spread / truncated_deviation * truncated_normal(job->random, (uint64_t)i);
            break;
        }
        job->data[i] = (float)x;
    }
}

void glia__initializer_fill(const glia_initializer *initializer, int64_t fan_in, int64_t fan_out,
                            glia_random random, float *data, int64_t count) {
    fill_job job = {initializer->kind->draw, spread_of(initializer, fan_in, fan_out), random, data, count};
    int64_t parts = GLIA_MIN(count / 16384 + 1, glia__thread_cores());
    glia__parallel((int)parts, fill_part, &job);
}
