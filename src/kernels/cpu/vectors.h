/* vectors.h: for loops that are written in vectors of floats and built for each instruction set by each_isa.h. */
#ifndef GLIA_KERNELS_CPU_VECTORS_H
#define GLIA_KERNELS_CPU_VECTORS_H

#include "core/isa.h"

/* Floats in memory, at any address. */
typedef float glia_f32x4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float glia_f32x8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float glia_f32x16 __attribute__((vector_size(64), aligned(4), may_alias));

/* Loops over registers must be gone before registers are given out. */
#ifdef __clang__
#define GLIA_UNROLL _Pragma("unroll")
#else
#define GLIA_UNROLL _Pragma("GCC unroll 16")
#endif

#endif
