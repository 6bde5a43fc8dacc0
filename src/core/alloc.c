/* alloc.c: the default allocator, the helpers that accept NULL and check for overflow, and the arena. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/mem.h"

static void *default_alloc(void *ctx, size_t bytes, size_t align) {
    (void)ctx;
    if (bytes > PTRDIFF_MAX) return NULL;
    if (align <= _Alignof(max_align_t)) return malloc(bytes);
    void *ptr = NULL;
    return posix_memalign(&ptr, align, bytes) == 0 ? ptr : NULL;
}

static void default_free(void *ctx, void *ptr, size_t bytes) {
    (void)ctx;
    (void)bytes;
    free(ptr);
}

const glia_allocator *glia_allocator_default(void) {
    static const glia_allocator allocator = {default_alloc, default_free, NULL};
    return &allocator;
}

static const glia_allocator *or_default(const glia_allocator *a) {
    return a ? a : glia_allocator_default();
}

void *glia__alloc(const glia_allocator *a, size_t bytes) {
    return glia__alloc_aligned(a, bytes, _Alignof(max_align_t));
}

void *glia__alloc_aligned(const glia_allocator *a, size_t bytes, size_t align) {
    GLIA_ASSERT(align && (align & (align - 1)) == 0);
    a = or_default(a);
    return a->alloc(a->ctx, bytes ? bytes : 1, align); /* zero bytes give a pointer too */
}

void *glia__alloc_pages(const glia_allocator *a, size_t bytes) {
    enum { PAGE = 4096, HUGE_PAGE = 2 << 20 };
    const bool huge = bytes >= HUGE_PAGE;
    void *ptr = glia__alloc_aligned(a, bytes, huge ? HUGE_PAGE : PAGE);
    if (ptr && huge) (void)madvise(ptr, bytes, MADV_HUGEPAGE); /* a wish only */
    return ptr;
}

void *glia__calloc(const glia_allocator *a, size_t count, size_t size) {
    if (size && count > SIZE_MAX / size) return NULL;
    void *ptr = glia__alloc(a, count * size);
    if (ptr) memset(ptr, 0, count * size);
    return ptr;
}

void glia__free(const glia_allocator *a, void *ptr, size_t bytes) {
    if (!ptr) return;
    a = or_default(a);
    a->free(a->ctx, ptr, bytes ? bytes : 1); /* what glia__alloc_aligned asked for */
}

void *glia__grow(const glia_allocator *a, void *ptr, size_t old_count, size_t new_count, size_t size) {
    if (size && new_count > SIZE_MAX / size) return NULL;
    void *bigger = glia__alloc(a, new_count * size);
    if (!bigger) return NULL;
    if (ptr && old_count) memcpy(bigger, ptr, GLIA_MIN(old_count, new_count) * size);
    glia__free(a, ptr, old_count * size);
    return bigger;
}

/* --- arena ------------------------------------------------------------------------------------------------
 */

enum { ARENA_ALIGN = 16, ARENA_FIRST_CHUNK = 4096, ARENA_LARGEST_CHUNK = 1 << 20 };

typedef struct glia_arena_chunk {
    struct glia_arena_chunk *next;
    size_t bytes; /* of the whole chunk, this header included */
    size_t used;
} glia_arena_chunk;

static size_t align_up(size_t bytes) {
    return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

void glia__arena_init(glia_arena *arena, const glia_allocator *allocator) {
    *arena = (glia_arena){.allocator = or_default(allocator)};
}

/* Chunks double, so that a big graph costs few allocations; a large object gets a chunk that fits. */
static glia_arena_chunk *add_chunk(glia_arena *arena, size_t bytes) {
    size_t header = align_up(sizeof(glia_arena_chunk));
    size_t size = arena->chunks ? GLIA_MIN(arena->chunks->bytes * 2, (size_t)ARENA_LARGEST_CHUNK)
                                : (size_t)ARENA_FIRST_CHUNK;
    size = GLIA_MAX(size, header + bytes);
    glia_arena_chunk *chunk = glia__alloc_aligned(arena->allocator, size, ARENA_ALIGN);
    if (!chunk) return NULL;
    *chunk = (glia_arena_chunk){.next = arena->chunks, .bytes = size, .used = header};
    arena->chunks = chunk;
    return chunk;
}

void *glia__arena_alloc(glia_arena *arena, size_t bytes) {
    if (bytes > PTRDIFF_MAX / 2) return NULL;
    bytes = align_up(GLIA_MAX(bytes, (size_t)1));
    glia_arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->bytes - chunk->used < bytes) chunk = add_chunk(arena, bytes);
    if (!chunk) return NULL;
    void *ptr = (char *)chunk + chunk->used;
    chunk->used += bytes;
    arena->used += bytes;
    memset(ptr, 0, bytes);
    return ptr;
}

void *glia__arena_copy(glia_arena *arena, const void *data, size_t bytes) {
    void *copy = glia__arena_alloc(arena, bytes);
    if (copy && bytes) memcpy(copy, data, bytes);
    return copy;
}

char *glia__arena_strdup(glia_arena *arena, const char *text) {
    return text ? glia__arena_copy(arena, text, strlen(text) + 1) : NULL;
}

char *glia__arena_printf(glia_arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : glia__arena_alloc(arena, (size_t)length + 1);
    if (!text) return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

size_t glia__arena_bytes(const glia_arena *arena) {
    size_t bytes = 0;
    for (const glia_arena_chunk *chunk = arena->chunks; chunk; chunk = chunk->next) bytes += chunk->bytes;
    return bytes;
}

void glia__arena_free(glia_arena *arena) {
    for (glia_arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        glia__free(arena->allocator, chunk, chunk->bytes);
    }
    arena->chunks = NULL;
    arena->used = 0;
}
