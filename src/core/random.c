/* random.c: Philox4x32-10 and what is drawn from it. Key = seed; counter = block (low half), stream (high
 * half). */
#include "glia/random.h"

#include <math.h>

void glia_random_block(glia_random random, uint64_t block, uint32_t out[4]) {
    uint32_t key0 = (uint32_t)random.seed, key1 = (uint32_t)(random.seed >> 32);
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32);
    uint32_t c2 = (uint32_t)random.stream, c3 = (uint32_t)(random.stream >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ key0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ key1;
        c3 = (uint32_t)p0;
        key0 += 0x9E3779B9u; /* golden ratio */
        key1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static uint64_t join(uint32_t low, uint32_t high) {
    return (uint64_t)high << 32 | low;
}

uint64_t glia_random_u64(glia_random random, uint64_t index) {
    uint32_t words[4];
    glia_random_block(random, index / 2, words);
    return index % 2 ? join(words[2], words[3]) : join(words[0], words[1]);
}

float glia_random_uniform(glia_random random, uint64_t index) {
    uint32_t words[4];
    glia_random_block(random, index / 4, words);
    return (float)(words[index % 4] >> 8) * 0x1p-24f;
}

double glia_random_normal(glia_random random, uint64_t index) {
    uint32_t words[4];
    glia_random_block(random, index, words);
    /* u in (0, 1], so that the logarithm is finite; v in [0, 1). 53 bits each. */
    double u = ((double)(join(words[0], words[1]) >> 11) + 1.0) * 0x1p-53;
    double v = (double)(join(words[2], words[3]) >> 11) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v);
}

/* The upper 64 bits of a·b. */
static uint64_t multiply_high(uint64_t a, uint64_t b) {
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t middle = a1 * b0 + ((a0 * b0) >> 32);
    uint64_t carry = a0 * b1 + (uint32_t)middle;
    return a1 * b1 + (middle >> 32) + (carry >> 32);
}

uint64_t glia_random_below(glia_random random, uint64_t index, uint64_t bound) {
    return multiply_high(glia_random_u64(random, index), bound); /* floor(u·bound / 2^64) */
}

void glia_random_permutation(glia_random random, int64_t *order, int64_t n) {
    /* The inside-out form: fills and shuffles in one pass. */
    for (int64_t i = 0; i < n; i++) {
        int64_t j = (int64_t)glia_random_below(random, (uint64_t)i, (uint64_t)i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

uint64_t glia_random_stream(const char *name) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (const unsigned char *c = (const unsigned char *)(name ? name : ""); *c; c++)
        hash = (hash ^ *c) * 0x100000001B3u;
    return hash;
}
