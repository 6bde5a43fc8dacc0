/* unroll.h: for loops over registers, which must be gone before registers are given out. */
#ifndef GLIA_KERNELS_CPU_UNROLL_H
#define GLIA_KERNELS_CPU_UNROLL_H

#ifdef __clang__
#define GLIA_UNROLL _Pragma("unroll")
#else
#define GLIA_UNROLL _Pragma("GCC unroll 16")
#endif

#endif
