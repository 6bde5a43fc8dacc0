/* element.h: an element of an array of f32 or bf16 as a float, for kernels that take both. */
#ifndef GLIA_KERNELS_CPU_ELEMENT_H
#define GLIA_KERNELS_CPU_ELEMENT_H

#include <stdint.h>
#include <string.h>

#include "kernels/cpu/vectors.h"

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

/* Sixteen elements at once, which compilers do not make of the loop. */
typedef uint32_t glia_u32x16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t glia_u16x16 __attribute__((vector_size(32), aligned(2), may_alias));

GLIA_CPU_INLINE void glia__load_16(const void *x, int64_t i, float *to, const bool bf16) {
    if (bf16)
        *(glia_u32x16 *)to =
            __builtin_convertvector(*(const glia_u16x16 *)((const uint16_t *)x + i), glia_u32x16) << 16;
    else
        *(glia_f32x16 *)to = *(const glia_f32x16 *)((const float *)x + i);
}

GLIA_CPU_INLINE void glia__store_16(void *y, int64_t i, const float *from, const bool bf16) {
    if (!bf16) {
        *(glia_f32x16 *)((float *)y + i) = *(const glia_f32x16 *)from;
        return;
    }
    const glia_f32x16 value = *(const glia_f32x16 *)from;
    const glia_u32x16 bits = (glia_u32x16)value, nan = (glia_u32x16)(value != value);
    const glia_u32x16 rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    *(glia_u16x16 *)((uint16_t *)y + i) =
        __builtin_convertvector((nan & (bits >> 16 | 0x40)) | (~nan & rounded), glia_u16x16);
}

#endif
