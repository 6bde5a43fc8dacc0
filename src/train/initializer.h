/* initializer.h: how weights begin. */
#ifndef GLIA_TRAIN_INITIALIZER_H
#define GLIA_TRAIN_INITIALIZER_H

#include "glia/random.h"
#include "glia/status.h"

typedef enum glia_distribution {
    GLIA_DRAW_CONSTANT,
    GLIA_DRAW_UNIFORM,         /* in [-spread, spread) */
    GLIA_DRAW_NORMAL,          /* standard deviation `spread` */
    GLIA_DRAW_TRUNCATED_NORMAL /* normal, redrawn beyond two deviations; `spread` is that of the result */
} glia_distribution;

typedef struct glia_initializer {
    const struct glia_initializer_kind *kind;
    double argument; /* of "constant:0.1"; the kind's default otherwise */
} glia_initializer;

/* Reads "he_normal" or "uniform:0.05". Errors name the nearest word. */
GLIA_MUST_CHECK glia_status glia__initializer_parse(const char *text, glia_initializer *out, glia_error *err);
/* Fills data[0 … count-1]; number i depends on (random, i) only. */
void glia__initializer_fill(const glia_initializer *initializer, int64_t fan_in, int64_t fan_out,
                            glia_random random, float *data, int64_t count);

#endif
