/* alloc.h: where memory comes from. Every `new` takes an allocator; NULL means the C library's. */
#ifndef GLIA_ALLOC_H
#define GLIA_ALLOC_H

#include <stddef.h>

#include "glia/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's allocator. `alloc` returns `bytes` bytes aligned to `align` (a power of two) or NULL; `free`
 * takes what `alloc` gave, never NULL. Both may be called from several threads at once. */
typedef struct glia_allocator {
    void *(*alloc)(void *ctx, size_t bytes, size_t align);
    void (*free)(void *ctx, void *ptr, size_t bytes);
    void *ctx;
} glia_allocator;

/* malloc-like allocator of the process; never NULL. */
GLIA_API const glia_allocator *glia_allocator_default(void);

#ifdef __cplusplus
}
#endif
#endif
