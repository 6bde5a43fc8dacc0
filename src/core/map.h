/* map.h: a file seen as memory, read-only. Nothing is copied: pages come from the disk's cache when they are touched. */
#ifndef GLIA_CORE_MAP_H
#define GLIA_CORE_MAP_H

#include "core/mem.h"
#include "glia/status.h"

typedef struct glia_map {
    const unsigned char *data; /* "" for an empty file */
    size_t bytes;
    int descriptor; /* of the open file; -1: none */
} glia_map;

/* Maps all of `path`, a regular file. Who shortens the file meanwhile ends the process that reads it, as everywhere:
 * files are replaced by renaming. Free with glia__map_close. */
GLIA_MUST_CHECK glia_status glia__map_open(glia_map *map, const char *path, glia_error *err);
/* Whether data[0 … bytes) lie in the map. */
bool glia__map_holds(const glia_map *map, const void *data, size_t bytes);
/* Copies bytes of the map, read from the file itself: the mapped pages stay out of memory, so that large arrays are not
 * there twice. */
void glia__map_copy(const glia_map *map, const void *data, size_t bytes, void *to);
void glia__map_close(glia_map *map); /* {0} allowed, and a map that could not be opened */

#endif
