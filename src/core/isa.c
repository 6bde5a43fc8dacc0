/* isa.c: see isa.h. */
#include "core/isa.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifdef GLIA_CPU_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static const char *const names[] = {"baseline", "avx2", "avx512", "amx"};

const char *glia__isa_name(glia_isa isa) {
    return names[isa];
}

/* The processor has tiles of bf16, and the system lets this process use them: their 8 KiB are saved for those only who
 * have asked. */
static bool have_amx(void) {
#ifdef GLIA_CPU_AMX
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, AVX512_BF16 = 1 << 5 };
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 }; /* of the kernel's asm/prctl.h, since 5.16 */
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & AMX_BF16) || !(d & AMX_TILE)) return false;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & AVX512_BF16)) return false;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
#else
    return false;
#endif
}

glia_isa glia__isa_widest(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
        return GLIA_ISA_BASELINE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return have_amx() ? GLIA_ISA_AMX : GLIA_ISA_AVX512;
    return GLIA_ISA_AVX2;
#else
    return GLIA_ISA_BASELINE;
#endif
}

enum { UNKNOWN = -1, FORCED = 8 };

/* The choice, with FORCED when the variable made it. Threads that come here at the same time find the same; the first
 * one's word stands, so that it can never change while programs run. */
static int chosen(void) {
    static atomic_int choice = UNKNOWN;
    int known = atomic_load_explicit(&choice, memory_order_relaxed);
    if (known != UNKNOWN) return known;
    int found = glia__isa_widest();
    const char *wish = getenv("GLIA_ISA");
    for (int isa = 0; wish && isa <= GLIA_ISA_AMX; isa++)
        if (strcmp(wish, names[isa]) == 0) found = (isa < found ? isa : found) | FORCED;
    return atomic_compare_exchange_strong(&choice, &known, found) ? found : known;
}

glia_isa glia__isa(void) {
    return (glia_isa)(chosen() & ~FORCED);
}

bool glia__isa_forced(void) {
    return (chosen() & FORCED) != 0;
}
