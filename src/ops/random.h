/* random.h: what ops that draw numbers share. Numbers follow from the seed, the step, the op's stream and a place, so that a
 * gradient finds those of its forward pass again, and neither a cut of the batch nor the number of threads matters. */
#ifndef GLIA_OPS_RANDOM_H
#define GLIA_OPS_RANDOM_H

#include "core/isa.h"
#include "graph/op.h"

/* One stream for each (op, step): the finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
static inline glia_random glia__mask_numbers(const glia_step *step, int64_t stream) {
    uint64_t z = (uint64_t)stream * 0x9E3779B97F4A7C15u + step->number;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (glia_random){step->seed, z ^ z >> 31};
}

/* Outside of training nothing is drawn. */
static inline bool glia__random_sleeps(const glia_call *c) {
    return !c->step || !c->step->training;
}

/* Random words below it are this share of all. */
static inline uint32_t glia__share_of_words(double rate) {
    return (uint32_t)(rate * 4294967296.0);
}

/* A stream that no other op of the graph has, unless one is wanted. */
static inline int64_t glia__own_stream(const glia_value *x, int64_t wanted) {
    return wanted || !x ? wanted : glia_graph_node_count(glia_value_graph(x)) + 1;
}

/* Words of 16 blocks from `first` on, side by side so that the compiler may use vectors: word w of block first + b is
 * words[16·w + b]. The same numbers as of glia_random_block. */
enum { GLIA_RANDOM_LANES = 16, GLIA_RANDOM_TILE = 4 * GLIA_RANDOM_LANES };
GLIA_CPU_INLINE void glia__random_tile(glia_random random, uint64_t first, uint32_t *restrict words) {
    uint32_t key0 = (uint32_t)random.seed, key1 = (uint32_t)(random.seed >> 32);
    uint32_t c0[GLIA_RANDOM_LANES], c1[GLIA_RANDOM_LANES], c2[GLIA_RANDOM_LANES], c3[GLIA_RANDOM_LANES];
    for (int b = 0; b < GLIA_RANDOM_LANES; b++) {
        c0[b] = (uint32_t)(first + (uint64_t)b);
        c1[b] = (uint32_t)((first + (uint64_t)b) >> 32);
        c2[b] = (uint32_t)random.stream;
        c3[b] = (uint32_t)(random.stream >> 32);
    }
    for (int round = 0; round < 10; round++) { /* Philox4x32-10, as in core/random.c */
        for (int b = 0; b < GLIA_RANDOM_LANES; b++) {
            const uint64_t p0 = (uint64_t)0xD2511F53u * c0[b], p1 = (uint64_t)0xCD9E8D57u * c2[b];
            c0[b] = (uint32_t)(p1 >> 32) ^ c1[b] ^ key0;
            c1[b] = (uint32_t)p1;
            c2[b] = (uint32_t)(p0 >> 32) ^ c3[b] ^ key1;
            c3[b] = (uint32_t)p0;
        }
        key0 += 0x9E3779B9u; /* golden ratio */
        key1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    memcpy(words, c0, sizeof c0);
    memcpy(words + GLIA_RANDOM_LANES, c1, sizeof c1);
    memcpy(words + 2 * GLIA_RANDOM_LANES, c2, sizeof c2);
    memcpy(words + 3 * GLIA_RANDOM_LANES, c3, sizeof c3);
}

#endif
