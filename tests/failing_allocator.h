/* failing_allocator.h: an allocator whose n-th allocation fails, and that knows what is still alive.
 *
 *     FOR_EACH_FAILURE(memory) {
 *         glia_error err = {0};
 *         glia_status status = make_thing(&thing, &memory.allocator, &err);
 *         CHECK_FAILED_ONCE(memory, status);
 *         if (status == GLIA_OK) thing_free(thing);
 *     }
 *
 * The body runs with the first allocation failing, then the second, and so on, and last with none failing.
 * After every run, whatever is still alive is a leak, and a free with another size than its allocation's is a
 * failure. Include after test.h. Safe with threads. */
#ifndef GLIA_FAILING_ALLOCATOR_H
#define GLIA_FAILING_ALLOCATOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "glia/alloc.h"

typedef struct failing_allocator {
    glia_allocator allocator; /* pass &memory.allocator */
    long fail_at;             /* the allocation that fails, from 1; 0: none */
    atomic_long count;        /* allocations asked for */
    atomic_long live_bytes, live_blocks, peak_bytes;
    atomic_int wrong_frees; /* frees with another size than the allocation's */
    bool started;
} failing_allocator;

/* Lies before every block. */
typedef struct failing_header {
    void *start;
    size_t bytes;
} failing_header;

static inline void *failing_alloc(void *ctx, size_t bytes, size_t align) {
    failing_allocator *a = ctx;
    if (atomic_fetch_add(&a->count, 1) + 1 == a->fail_at) return NULL;
    if (align < 16) align = 16;
    char *start = malloc(bytes + sizeof(failing_header) + align);
    if (!start) return NULL;
    uintptr_t at = (uintptr_t)start + sizeof(failing_header);
    char *block = start + sizeof(failing_header) + (align - at % align) % align;
    ((failing_header *)block)[-1] = (failing_header){start, bytes};
    memset(block, 0xA5, bytes); /* nobody may count on zeros */
    const long live = atomic_fetch_add(&a->live_bytes, (long)bytes) + (long)bytes;
    for (long peak = atomic_load(&a->peak_bytes); live > peak;)
        if (atomic_compare_exchange_weak(&a->peak_bytes, &peak, live)) break;
    atomic_fetch_add(&a->live_blocks, 1);
    return block;
}

static inline void failing_free(void *ctx, void *ptr, size_t bytes) {
    failing_allocator *a = ctx;
    failing_header header = ((failing_header *)ptr)[-1];
    if (header.bytes != bytes) {
        printf("  freed %zu bytes that were allocated as %zu\n", bytes, header.bytes);
        atomic_fetch_add(&a->wrong_frees, 1);
    }
    memset(ptr, 0x5A, header.bytes);
    atomic_fetch_sub(&a->live_bytes, (long)header.bytes);
    atomic_fetch_sub(&a->live_blocks, 1);
    free(header.start);
}

/* Whether the allocation that was to fail came, in this run. */
static inline bool failing_failed(failing_allocator *a) {
    return a->fail_at > 0 && atomic_load(&a->count) >= a->fail_at;
}

/* Checks the run that ended, and makes the allocator ready for the next. False after the run without a
 * failure. */
static inline bool failing_next(failing_allocator *a) {
    enum { MOST_RUNS = 100000 };
    if (a->started) {
        CHECK_INT(atomic_load(&a->live_bytes), 0);
        CHECK_INT(atomic_load(&a->live_blocks), 0);
        CHECK_INT(atomic_load(&a->wrong_frees), 0);
        if (!failing_failed(a)) return false;
        CHECK(a->fail_at < MOST_RUNS);
        if (a->fail_at >= MOST_RUNS) return false;
    }
    a->started = true;
    a->allocator = (glia_allocator){failing_alloc, failing_free, a};
    a->fail_at++;
    atomic_store(&a->count, 0);
    atomic_store(&a->live_bytes, 0);
    atomic_store(&a->live_blocks, 0);
    atomic_store(&a->wrong_frees, 0);
    return true;
}

#define FOR_EACH_FAILURE(memory) for (failing_allocator memory = {.started = false}; failing_next(&(memory));)

/* The function failed for want of memory exactly when an allocation failed. */
#define CHECK_FAILED_ONCE(memory, status) \
    CHECK_STR(glia_status_name(status), failing_failed(&(memory)) ? "OUT_OF_MEMORY" : "OK")

#endif
