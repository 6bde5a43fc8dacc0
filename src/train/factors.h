/* factors.h: gradients that are products of few rows, dyᵀ·x, as those of a large dense layer in a small batch. The product is
 * much larger than its factors and is read once, by the optimiser: so it is made in pieces that stay in the cache, and never
 * written to memory. VGG16, batch 8: 0.5 GB a step that are neither written, checked nor read. */
#ifndef GLIA_TRAIN_FACTORS_H
#define GLIA_TRAIN_FACTORS_H

#include "train/optimizer.h"

enum { GLIA_FACTOR_ROWS = 16 /* at most */ };

typedef struct glia_factors {
    const float *x, *dy; /* [rows, in], [rows, out]; the gradient is [out, in] */
    int64_t rows, in, out;
} glia_factors;

/* Updates the parameter whose elements are step.begin … step.end-1; the same bits for any number of threads. */
void glia__factors_update(const glia_factors *f, const glia_optimizer *optimizer, glia_optimizer_step step,
                          int threads);
/* The product itself. */
void glia__factors_expand(const glia_factors *f, float *product, int threads);
/* Whether no element of the product can be NaN or infinite; `product` has room for it, and is used in doubt. */
bool glia__factors_finite(const glia_factors *f, float *product, int threads);
/* to[o] = Σ dy[row][o]. */
void glia__factors_sum(const glia_factors *f, float *to);

#endif
