/* machine.c: what this machine can do at best: multiply-adds with everything in registers, and reading memory. Each
 * figure is the best of a few short measurements, all threads at once. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

/* A round of work of one thread: what it computes or reads, in FLOPs or bytes. */
typedef double (*bench_work)(float *memory, size_t bytes);

enum { FMA_ROUNDS = 4000000 };

/* For each width of vectors: ten independent multiply-adds, enough to hide their latency, few enough for the registers
 * of AVX2; and a sum over memory. */
#define BENCH_KERNELS(name, bytes_of_vector, ...)                                                     \
    typedef float name##_vector __attribute__((vector_size(bytes_of_vector)));                        \
    __VA_ARGS__ static double name##_fma(float *memory, size_t bytes) {                               \
        name##_vector m = {0}, c = m, a0 = m, a1 = m, a2 = m, a3 = m, a4 = m, a5 = m, a6 = m, a7 = m, \
                      a8 = m, a9 = m;                                                                 \
        m += memory[0], c += memory[1];                                                               \
        for (int i = 0; i < FMA_ROUNDS; i++) {                                                        \
            a0 = a0 * m + c, a1 = a1 * m + c, a2 = a2 * m + c, a3 = a3 * m + c, a4 = a4 * m + c;      \
            a5 = a5 * m + c, a6 = a6 * m + c, a7 = a7 * m + c, a8 = a8 * m + c, a9 = a9 * m + c;      \
        }                                                                                             \
        a0 += a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9;                                             \
        memory[2] = a0[0];                                                                            \
        (void)bytes;                                                                                  \
        return 2.0 * 10 * FMA_ROUNDS * (bytes_of_vector / sizeof(float));                             \
    }                                                                                                 \
    __VA_ARGS__ static double name##_read(float *memory, size_t bytes) {                              \
        const name##_vector *v = (const name##_vector *)memory;                                       \
        name##_vector a0 = {0}, a1 = a0, a2 = a0, a3 = a0;                                            \
        size_t n = bytes / sizeof *v, rounds = (size_t)1 + ((size_t)1 << 27) / bytes;                 \
        for (size_t r = 0; r < rounds; r++) {                                                         \
            for (size_t i = 0; i + 4 <= n; i += 4)                                                    \
                a0 += v[i], a1 += v[i + 1], a2 += v[i + 2], a3 += v[i + 3];                           \
            __asm__ volatile("" ::: "memory");                                                        \
        }                                                                                             \
        a0 += a1 + a2 + a3;                                                                           \
        memory[2] = a0[0];                                                                            \
        return (double)bytes * (double)rounds;                                                        \
    }

BENCH_KERNELS(plain, 16, )
#if defined(__x86_64__)
BENCH_KERNELS(avx2, 32, __attribute__((target("avx2,fma"))))
BENCH_KERNELS(avx512, 64, __attribute__((target("avx512f"))))
#endif

/* --- bf16 on AMX tiles ------------------------------------------------------------------------------------ */

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { AMX_ROUNDS = 400000 };

/* The processor has bf16 tiles, and the kernel lets this process use them. */
static bool has_amx(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    unsigned a, b, c, d = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1)) return false;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

/* Four independent 16×16 sums, each of products of 16×32 and 32×16. */
__attribute__((target("amx-tile,amx-bf16"))) static double amx_bf16(float *memory, size_t bytes) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) config.row_bytes[i] = 64, config.rows[i] = 16;
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, memory, 64);
    _tile_loadd(5, memory, 64);
    _tile_loadd(6, memory, 64);
    _tile_loadd(7, memory, 64);
    for (int i = 0; i < AMX_ROUNDS; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, memory, 64);
    _tile_release();
    (void)bytes;
    return 4.0 * AMX_ROUNDS * 2 * 16 * 16 * 32;
}
#else
static bool has_amx(void) {
    return false;
}
static double amx_bf16(float *memory, size_t bytes) {
    (void)memory, (void)bytes;
    return 0;
}
#endif

/* --- on all threads at once ------------------------------------------------------------------------------- */

typedef struct worker {
    bench_work work;
    float *memory;
    size_t bytes;
    double done, seconds;
    pthread_barrier_t *start;
    pthread_t thread;
} worker;

enum { TRIES = 12 };

static void *run_worker(void *ctx) {
    worker *w = ctx;
    pthread_barrier_wait(w->start);
    double start = bench_now();
    w->done = w->work(w->memory, w->bytes);
    w->seconds = bench_now() - start;
    return NULL;
}

/* Work a second of all threads together, in units of 10^9: the best of TRIES. */
static double best_rate(bench_work work, int threads, size_t bytes) {
    pthread_barrier_t start;
    worker *workers = calloc((size_t)threads, sizeof *workers);
    double best = 0;
    if (!workers || pthread_barrier_init(&start, NULL, (unsigned)threads)) exit(1);
    for (int i = 0; i < threads; i++) {
        workers[i] = (worker){.work = work, .bytes = bytes, .start = &start};
        workers[i].memory = aligned_alloc(4096, bytes);
        if (!workers[i].memory) exit(1);
        (void)madvise(workers[i].memory, bytes, MADV_HUGEPAGE);
        memset(workers[i].memory, 0, bytes);
    }
    for (int try = 0; try < TRIES; try++) {
        double rate = 0;
        for (int i = 0; i < threads; i++)
            if (pthread_create(&workers[i].thread, NULL, run_worker, &workers[i])) exit(1);
        for (int i = 0; i < threads; i++) pthread_join(workers[i].thread, NULL);
        for (int i = 0; i < threads; i++) rate += workers[i].done / workers[i].seconds;
        if (rate > best) best = rate;
    }
    for (int i = 0; i < threads; i++) free(workers[i].memory);
    pthread_barrier_destroy(&start);
    free(workers);
    return best / 1e9;
}

bench_machine bench_measure_machine(int threads) {
    bench_work fma = plain_fma, read = plain_read;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) fma = avx2_fma, read = avx2_read;
    if (__builtin_cpu_supports("avx512f")) fma = avx512_fma, read = avx512_read;
#endif
    size_t part = ((size_t)512 << 20) / (size_t)threads & ~(size_t)4095;
    return (bench_machine){.f32_gflops = best_rate(fma, threads, 1 << 12),
                           .bf16_gflops = has_amx() ? best_rate(amx_bf16, threads, 1 << 12) : 0,
                           .memory_gbs = best_rate(read, threads, part),
                           .cache_gbs = best_rate(read, threads, 512 << 10)};
}
