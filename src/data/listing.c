/* listing.c: the names in a folder. */

#include "data/listing.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool glia__listing_add(glia_listing *l, const char *name) {
    if (l->count == l->capacity) {
        size_t wanted = l->capacity ? 2 * l->capacity : 64;
        char **grown = glia__grow(l->arena.allocator, l->names, l->capacity, wanted, sizeof *grown);
        if (!grown) return false;
        l->names = grown;
        l->capacity = wanted;
    }
    return (l->names[l->count++] = glia__arena_strdup(&l->arena, name)) != NULL;
}

void glia__listing_sort(glia_listing *l) {
    if (l->count) qsort(l->names, l->count, sizeof *l->names, by_name);
}

void glia__listing_free(glia_listing *l) {
    glia__free(l->arena.allocator, l->names, l->capacity * sizeof *l->names);
    glia__arena_free(&l->arena);
    l->names = NULL;
    l->count = l->capacity = 0;
}

glia_status glia__listing_read(glia_listing *out, const char *folder, const glia_allocator *allocator,
                               glia_error *err) {
    *out = (glia_listing){.names = NULL};
    glia__arena_init(&out->arena, allocator);
    DIR *dir = opendir(folder);
    if (!dir) return glia_error_set(err, GLIA_IO, "cannot read the folder %s: %s", folder, strerror(errno));
    bool room = true;
    for (struct dirent *entry; room && (entry = readdir(dir));)
        if (entry->d_name[0] != '.') room = glia__listing_add(out, entry->d_name);
    closedir(dir);
    if (!room) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the files of %s", folder);
    glia__listing_sort(out);
    return GLIA_OK;
}

bool glia__is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}
