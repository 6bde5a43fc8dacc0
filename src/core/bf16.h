/* bf16.h: bf16 to f32 and back, inlined, so that loops over them become vector code. */
#ifndef GLIA_CORE_BF16_H
#define GLIA_CORE_BF16_H

#include <stdint.h>
#include <string.h>

#include "core/isa.h"

GLIA_CPU_INLINE float glia__bf16_widen(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Rounds to nearest even; a NaN stays one: it becomes quiet, so that the upper half is a NaN too. */
GLIA_CPU_INLINE uint16_t glia__bf16_round(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = bits + 0x7FFF + (bits >> 16 & 1);
    return (uint16_t)((x != x ? bits | 0x400000 : rounded) >> 16);
}

#endif
