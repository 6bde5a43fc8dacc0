/* random.h: counter-based random numbers: a number depends on (seed, stream, index) and on nothing else, so
 * it is the same for any number of threads and any order of use. */
#ifndef GLIA_RANDOM_H
#define GLIA_RANDOM_H

#include <stdint.h>

#include "glia/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * `stream` separates uses: a parameter's name hash, a layer, an epoch. */
typedef struct glia_random {
    uint64_t seed;
    uint64_t stream;
} glia_random;

/* Four 32-bit words of block `block`. */
GLIA_API void glia_random_block(glia_random random, uint64_t block, uint32_t out[4]);
GLIA_API uint64_t glia_random_u64(glia_random random, uint64_t index);
/* Uniform in [0, 1), 24 random bits. */
GLIA_API float glia_random_uniform(glia_random random, uint64_t index);
/* Standard normal (Box–Muller on block `index`). */
GLIA_API double glia_random_normal(glia_random random, uint64_t index);
/* Uniform integer in [0, bound), bound > 0, without modulo bias beyond 2^-64. */
GLIA_API uint64_t glia_random_below(glia_random random, uint64_t index, uint64_t bound);
/* Fills `order` with a permutation of 0 … n-1 (Fisher–Yates). */
GLIA_API void glia_random_permutation(glia_random random, int64_t *order, int64_t n);
/* 64-bit hash of text (FNV-1a), to make stream numbers from names. */
GLIA_API uint64_t glia_random_stream(const char *name);

#ifdef __cplusplus
}
#endif
#endif
