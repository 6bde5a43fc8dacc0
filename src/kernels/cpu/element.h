/* element.h: an element of an array of f32 or bf16 as a float, for kernels that take both. */
#ifndef GLIA_KERNELS_CPU_ELEMENT_H
#define GLIA_KERNELS_CPU_ELEMENT_H

#include <stdint.h>
#include <string.h>

#include "core/isa.h"

GLIA_CPU_INLINE float glia__load(const void *x, int64_t i, const bool bf16) {
    float value;
    if (!bf16) return ((const float *)x)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)x)[i] << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Rounds to the nearest even, as glia_bf16_from_f32. */
GLIA_CPU_INLINE void glia__store(void *y, int64_t i, float value, const bool bf16) {
    uint32_t bits;
    if (!bf16) {
        ((float *)y)[i] = value;
        return;
    }
    memcpy(&bits, &value, sizeof bits);
    const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16, nan = bits >> 16 | 0x40;
    ((uint16_t *)y)[i] = (uint16_t)(value != value ? nan : rounded);
}

#endif
