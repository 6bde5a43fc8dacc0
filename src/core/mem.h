/* mem.h: allocation helpers, the arena and the growing text buffer. */
#ifndef GLIA_CORE_MEM_H
#define GLIA_CORE_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "glia/alloc.h"

#define GLIA_TRY(expr)                                            \
    do {                                                          \
        glia_status glia_try_status_ = (expr);                    \
        if (glia_try_status_ != GLIA_OK) return glia_try_status_; \
    } while (0)

#define GLIA_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define GLIA_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define GLIA_MAX(a, b)    ((a) > (b) ? (a) : (b))

/* Asserts are for our own bugs; they vanish in release builds. */
#ifdef NDEBUG
#define GLIA_ASSERT(x) ((void)0)
#else
#include <assert.h>
#define GLIA_ASSERT(x) assert(x)
#endif

/* NULL when out of memory or when count * size overflows. Zero bytes give a valid pointer. `a` NULL =
 * default. */
void *glia__alloc(const glia_allocator *a, size_t bytes);
void *glia__alloc_aligned(const glia_allocator *a, size_t bytes, size_t align);
/* For arrays that are walked through again and again: from 2 MB on, on huge pages where the system gives them (fewer misses
 * of the TLB, and 512 times fewer page faults), else on whole pages. Freed as all others. */
void *glia__alloc_pages(const glia_allocator *a, size_t bytes);
void *glia__calloc(const glia_allocator *a, size_t count, size_t size); /* zeroed */
void glia__free(const glia_allocator *a, void *ptr, size_t bytes);      /* NULL allowed */
/* Grows an array of `old_count` items to `new_count` (copying), or returns NULL and leaves the old one. */
void *glia__grow(const glia_allocator *a, void *ptr, size_t old_count, size_t new_count, size_t size);

/* An arena: many small objects, one lifetime. Chunks grow; nothing is freed before glia__arena_free. */
typedef struct glia_arena {
    const glia_allocator *allocator;
    struct glia_arena_chunk *chunks;
    size_t used; /* bytes handed out */
} glia_arena;

void glia__arena_init(glia_arena *arena, const glia_allocator *allocator);
void *glia__arena_alloc(glia_arena *arena, size_t bytes); /* zeroed, 16-byte aligned; NULL = out of memory */
void *glia__arena_copy(glia_arena *arena, const void *data, size_t bytes);
char *glia__arena_strdup(glia_arena *arena, const char *text);
char *glia__arena_printf(glia_arena *arena, const char *format, ...) GLIA_PRINTF(2, 3);
size_t glia__arena_bytes(const glia_arena *arena); /* that it has from its allocator */
void glia__arena_free(glia_arena *arena);

/* Text that grows. After a failed allocation `failed` is true and further appends do nothing, so that one
 * check at the end is enough. */
typedef struct glia_text {
    const glia_allocator *allocator;
    char *data; /* terminated; "" before the first append once initialised */
    size_t length, capacity;
    bool failed;
} glia_text;

void glia__text_init(glia_text *text, const glia_allocator *allocator);
void glia__text_add(glia_text *text, const char *string);
void glia__text_add_bytes(glia_text *text, const void *bytes, size_t count);
void glia__text_printf(glia_text *text, const char *format, ...) GLIA_PRINTF(2, 3);
void glia__text_vprintf(glia_text *text, const char *format, va_list args);
/* Appends `string` quoted and escaped as a JSON string. Invalid UTF-8 becomes U+FFFD. */
void glia__text_add_json(glia_text *text, const char *string);
/* Appends `string` escaped for HTML text and quoted attributes; NULL is nothing. Invalid UTF-8 and control
 * characters become U+FFFD. */
void glia__text_add_html(glia_text *text, const char *string);
/* Appends a double with as few digits as read back equal; NaN and infinities as null. */
void glia__text_add_number(glia_text *text, double value);
void glia__text_free(glia_text *text);

/* Bytes of the valid UTF-8 character at `text`, or 0: no overlong forms, surrogates, or values above 10FFFF. */
int glia__utf8_bytes(const char *text);
/* The code point, where YAML and JSON readers may not take the character as it is (controls, ends of lines, byte order marks);
 * else 0. */
unsigned glia__utf8_special(const char *text);

/* Strict numbers: the whole text, decimal, no spaces, not beyond the type's range (nor NaN or infinite);
 * whatever the locale, the decimal point is ".". False, with *out untouched, otherwise. */
bool glia__parse_int(const char *text, int64_t *out);
bool glia__parse_double(const char *text, double *out);

/* The nearest of `words` to `word` (edit distance, at most a third of its length wrong), or NULL. */
const char *glia__nearest_word(const char *word, const char *const *words, size_t count);

#endif
