/* optimizer.h: what an optimiser is: one GLIA_OPTIMIZER block in src/train/optimizers.c. Parameters,
 * gradients and moments are each one contiguous block of f32, so that a step is one loop. */
#ifndef GLIA_TRAIN_OPTIMIZER_H
#define GLIA_TRAIN_OPTIMIZER_H

#include "core/field.h"
#include "glia/train.h"

typedef struct glia_optimizer_step {
    const glia_optimizer_options *options; /* resolved */
    float *params;
    const float *gradients;
    float *moments[2];    /* zero before the first step; only the first n_moments are there */
    int64_t begin, end;   /* elements to update */
    int64_t number;       /* 1 for the first step */
    float gradient_scale; /* from clipping; 1 otherwise */
} glia_optimizer_step;

typedef struct glia_optimizer {
    const char *name, *doc;   /* doc: the update formula */
    const char *source;       /* the article */
    const glia_field *fields; /* of glia_optimizer_options: those it uses, with its defaults */
    int n_moments;
    const char *moment_names[2]; /* in checkpoints: "m", "v" */
    bool
        still; /* without weight decay an element whose gradient is 0 stays as it is, and so do its moments */
    void (*update)(const glia_optimizer_step *step);
} glia_optimizer;

#define GLIA_OPTIMIZER(optimizer_name) const glia_optimizer glia__optimizer_##optimizer_name

extern const glia_optimizer *const glia__optimizers[];
extern const size_t glia__optimizers_count;
const glia_optimizer *glia__optimizer_find(const char *name);

/* Finds the optimiser (NULL or "": adam) and fills its defaults and checks its settings in `options`. */
GLIA_MUST_CHECK glia_status glia__optimizer_resolve(glia_optimizer_options *options,
                                                    const glia_optimizer **out, glia_error *err);
/* Runs `update` on the step's elements, split among the cores; the result does not depend on how. */
void glia__optimizer_run(const glia_optimizer *optimizer, glia_optimizer_step step, int threads);
/* Threads that are worth their waking for so many elements; `threads` 0: one for each core. */
int glia__optimizer_parts(int64_t count, int threads);
/* The Euclidean norm of x[0 … count-1], summed in double in an order that does not depend on `threads`; NaN
 * or infinite exactly when an element is. */
double glia__norm(const float *x, int64_t count, int threads);
/* The largest |x[i]|, 0 for none; infinite or NaN when an element is. */
float glia__largest(const float *x, int64_t count, int threads);
/* to += scale·from, element by element. */
void glia__add_scaled(float *to, const float *from, float scale, int64_t count, int threads);
/* What a gradient of Euclidean norm `norm` is multiplied by: 1, or less to obey clip_norm. */
float glia__clip_scale(const glia_optimizer_options *options, double norm);

#endif
