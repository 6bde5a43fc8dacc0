/* listing.h: the names in a folder. */
#ifndef GLIA_DATA_LISTING_H
#define GLIA_DATA_LISTING_H

#include "core/mem.h"
#include "glia/status.h"

typedef struct glia_listing {
    glia_arena arena;
    char **names;
    size_t count, capacity;
} glia_listing;

/* All but hidden ones, sorted: their order on disk is nobody's choice. Free it, on failure too. */
GLIA_MUST_CHECK glia_status glia__listing_read(glia_listing *out, const char *folder,
                                               const glia_allocator *allocator, glia_error *err);
/* False when out of memory. The name is copied to the listing's arena. */
bool glia__listing_add(glia_listing *listing, const char *name);
void glia__listing_sort(glia_listing *listing);
void glia__listing_free(glia_listing *listing);
bool glia__is_folder(const char *path);

#endif
