/* isa.h: loops compiled once for each instruction set, and the choice among them at run time.
 *
 * The loops are plain C. GLIA_CPU_CLONES compiles one body several times, so that the compiler may use the vector
 * registers that a processor has; the rest of the library is built for the oldest processor. Results of different
 * instruction sets differ in their last bits (AVX2 and AVX-512 multiply and add in one step). */
#ifndef GLIA_CORE_ISA_H
#define GLIA_CORE_ISA_H

#include <stdbool.h>

/* Each has what those before it have. AMX: tiles of bf16, with AVX-512 and its bf16 instructions around them. */
typedef enum glia_isa { GLIA_ISA_BASELINE, GLIA_ISA_AVX2, GLIA_ISA_AVX512, GLIA_ISA_AMX } glia_isa;

/* What this processor has, and what the environment variable GLIA_ISA lowers it to: baseline, avx2, avx512 or amx. The
 * variable is read once, at the first call; another word in it changes nothing. */
glia_isa glia__isa(void);
glia_isa glia__isa_widest(void);
bool glia__isa_forced(void); /* GLIA_ISA holds one of the words: libraries shall obey too */
const char *glia__isa_name(glia_isa isa);

/* In the place of a function's head: defines a static function whose body is compiled for each instruction set.
 *     GLIA_CPU_CLONES(float, sum, (const float *x, int64_t n), (x, n)) { … }
 * What the body calls in its loops must be inlined into each clone: macros, or functions with GLIA_CPU_INLINE. */
#define GLIA_CPU_INLINE static inline __attribute__((always_inline))

/* The same written as an ordinary function: for macros that define both kinds. */
#define GLIA_CPU_PLAIN(type, name, params, args) static type name params

#if defined(__x86_64__) || defined(__i386__)
#define GLIA_CPU_AVX2   __attribute__((target("avx2,fma,bmi2")))
#define GLIA_CPU_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,bmi2")))
#define GLIA_CPU_CLONES(type, name, params, args)      \
    GLIA_CPU_INLINE type name##_body params;           \
    static type name##_baseline params {               \
        return name##_body args;                       \
    }                                                  \
    GLIA_CPU_AVX2 static type name##_avx2 params {     \
        return name##_body args;                       \
    }                                                  \
    GLIA_CPU_AVX512 static type name##_avx512 params { \
        return name##_body args;                       \
    }                                                  \
    GLIA_CPU_DISPATCH(type, name, params, args)        \
    GLIA_CPU_INLINE type name##_body params
/* Defines `name` by name_baseline, name_avx2 and name_avx512. */
#define GLIA_CPU_DISPATCH(type, name, params, args) \
    static type name params {                       \
        switch (glia__isa()) {                      \
        case GLIA_ISA_AMX:                          \
        case GLIA_ISA_AVX512:                       \
            return name##_avx512 args;              \
        case GLIA_ISA_AVX2:                         \
            return name##_avx2 args;                \
        default:                                    \
            return name##_baseline args;            \
        }                                           \
    }
#else
#define GLIA_CPU_DISPATCH(type, name, params, args) \
    static type name params {                       \
        return name##_baseline args;                \
    }
#define GLIA_CPU_CLONES GLIA_CPU_PLAIN
#endif

/* Defined where tiles can be used at all; see kernels/cpu/amx.h. */
#if defined(__x86_64__) && defined(__linux__)
#define GLIA_CPU_AMX \
    __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,bmi2")))
#endif

#endif
