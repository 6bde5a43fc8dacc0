/* each_isa.h: includes the file that LOOPS names once for each instruction set, with these defined: V, a vector of floats, and
 * VECTOR_BYTES, its size; NAME, which makes a function's name of its own; TARGET, what the compiler may use. GLIA_CPU_DISPATCH
 * then chooses among the functions. No guard: a kernel includes it once, after what its loops call. */

#define V            glia_f32x4
#define VECTOR_BYTES 16
#define NAME(name)   name##_baseline
#define TARGET
#include LOOPS
#undef V
#undef VECTOR_BYTES
#undef NAME
#undef TARGET

#ifdef GLIA_CPU_AVX2
#define V            glia_f32x8
#define VECTOR_BYTES 32
#define NAME(name)   name##_avx2
#define TARGET       GLIA_CPU_AVX2
#include LOOPS
#undef V
#undef VECTOR_BYTES
#undef NAME
#undef TARGET

#define V            glia_f32x16
#define VECTOR_BYTES 64
#define NAME(name)   name##_avx512
#define TARGET       GLIA_CPU_AVX512
#include LOOPS
#undef V
#undef VECTOR_BYTES
#undef NAME
#undef TARGET
#endif

#undef LOOPS
