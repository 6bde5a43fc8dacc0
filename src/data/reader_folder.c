/* reader_folder.c: pictures in one folder a class, on disk or in a tar archive.
 *
 * Two walks over the same files: the first finds the classes and counts, the second decodes to an array of just that
 * size. Classes are numbered in the order of their names. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/file.h"
#include "data/reader.h"
#include "glia/io.h"
#include "io/tar.h"

enum { MOST_FILE = 64 << 20 };

typedef struct gathering {
    const glia_dataset_options *options;
    const glia_allocator *allocator;
    glia_table *table;
    const char *source;
    char **classes; /* names, in the table's arena */
    size_t n_classes, capacity;
    size_t last; /* class of the last picture: the next one is usually of the same */
    int64_t found, wanted, walked, filled;
    char first[300]; /* the picture that says size and colours */
} gathering;

/* The bytes of the picture at hand: a file on disk, or the entry of an archive. */
typedef struct picture {
    const char *folder, *name; /* name: for messages */
    glia_tar *tar;
    uint64_t bytes;
} picture;

typedef glia_status (*visitor)(gathering *g, const picture *p, glia_error *err);

static glia_status out_of_memory(const gathering *g, glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the pictures of %s", g->source);
}

/* "…/x.jpg": by the ending, since folders also hold thumbnails and lists. Hidden files are none. */
static bool is_picture(const char *path) {
    static const char *const endings[] = {".png", ".jpg", ".jpeg"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    for (size_t i = 0; i < GLIA_COUNT(endings) && dot && name[0] != '.'; i++)
        if (strcasecmp(dot, endings[i]) == 0) return true;
    return false;
}

/* --- walking a folder ------------------------------------------------------------------------------------- */

typedef struct listing {
    glia_arena arena;
    char **names;
    size_t count, capacity;
} listing;

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_name(char ***names, size_t *count, size_t *capacity, const char *name, glia_arena *arena,
                     const glia_allocator *allocator) {
    if (*count == *capacity) {
        size_t wanted = *capacity ? 2 * *capacity : 64;
        char **grown = glia__grow(allocator, *names, *capacity, wanted, sizeof **names);
        if (!grown) return false;
        *names = grown;
        *capacity = wanted;
    }
    return ((*names)[(*count)++] = glia__arena_strdup(arena, name)) != NULL;
}

static void free_listing(const gathering *g, listing *l) {
    glia__free(g->allocator, l->names, l->capacity * sizeof *l->names);
    glia__arena_free(&l->arena);
}

/* The names in a folder, sorted: their order on disk is nobody's choice. */
static glia_status list_folder(const gathering *g, const char *path, listing *l, glia_error *err) {
    *l = (listing){.names = NULL};
    glia__arena_init(&l->arena, g->allocator);
    DIR *dir = opendir(path);
    if (!dir) return glia_error_set(err, GLIA_IO, "cannot read the folder %s: %s", path, strerror(errno));
    bool room = true;
    for (struct dirent *entry; room && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            room = add_name(&l->names, &l->count, &l->capacity, entry->d_name, &l->arena, g->allocator);
    closedir(dir);
    if (!room) return out_of_memory(g, err);
    if (l->count) qsort(l->names, l->count, sizeof *l->names, by_name);
    return GLIA_OK;
}

static glia_status walk_class(gathering *g, const char *folder, visitor visit, glia_error *err) {
    char path[1400];
    listing files;
    snprintf(path, sizeof path, "%.1000s/%.260s", g->source, folder);
    size_t length = strlen(path);
    glia_status status = list_folder(g, path, &files, err);
    for (size_t i = 0; i < files.count && status == GLIA_OK; i++) {
        if (!is_picture(files.names[i])) continue;
        snprintf(path + length, sizeof path - length, "/%.100s", files.names[i]);
        status = visit(g, &(picture){.folder = folder, .name = path}, err);
    }
    free_listing(g, &files);
    return status;
}

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static glia_status walk_folder(gathering *g, visitor visit, glia_error *err) {
    char path[1400];
    listing folders;
    glia_status status = list_folder(g, g->source, &folders, err);
    for (size_t i = 0; i < folders.count && status == GLIA_OK; i++) {
        snprintf(path, sizeof path, "%.1000s/%.260s", g->source, folders.names[i]);
        if (is_folder(path)) status = walk_class(g, folders.names[i], visit, err);
    }
    free_listing(g, &folders);
    return status;
}

/* --- walking an archive ----------------------------------------------------------------------------------- */

/* The last folder of "test/cat/1.jpg", "cat", to `out`; false when there is none. */
static bool folder_of(const char *name, char *out, size_t capacity) {
    const char *end = strrchr(name, '/'), *start = end;
    if (!end) return false;
    while (start > name && start[-1] != '/') start--;
    size_t length = (size_t)(end - start);
    if (length == 0 || length >= capacity || (length == 1 && *start == '.')) return false;
    memcpy(out, start, length);
    out[length] = 0;
    return true;
}

static glia_status walk_archive(gathering *g, visitor visit, glia_error *err) {
    char folder[256], name[1400];
    glia_tar *tar;
    glia_tar_entry entry;
    GLIA_TRY(glia__tar_open(&tar, g->source, g->allocator, err));
    glia_status status;
    while ((status = glia__tar_next(tar, &entry, err)) == GLIA_OK && entry.name) {
        if (!entry.file || !is_picture(entry.name) || !folder_of(entry.name, folder, sizeof folder)) continue;
        snprintf(name, sizeof name, "%.1000s: %.380s", g->source, entry.name);
        picture p = {.folder = folder, .name = name, .tar = tar, .bytes = entry.bytes};
        if ((status = visit(g, &p, err)) != GLIA_OK) break;
    }
    glia__tar_close(tar);
    return status;
}

/* --- the two walks ---------------------------------------------------------------------------------------- */

/* The number of a class by its folder; n_classes when it is new. */
static size_t find_class(gathering *g, const char *folder) {
    if (g->last < g->n_classes && strcmp(g->classes[g->last], folder) == 0) return g->last;
    for (g->last = 0; g->last < g->n_classes && strcmp(g->classes[g->last], folder) != 0;) g->last++;
    return g->last;
}

static glia_status count(gathering *g, const picture *p, glia_error *err) {
    g->found++;
    if (find_class(g, p->folder) < g->n_classes) return GLIA_OK;
    if (add_name(&g->classes, &g->n_classes, &g->capacity, p->folder, &g->table->arena, g->allocator))
        return GLIA_OK;
    return out_of_memory(g, err);
}

static glia_status decode(const gathering *g, const picture *p, int channels, glia_tensor *out,
                          glia_error *err) {
    if (!p->tar) return glia_picture_read(out, p->name, channels, g->allocator, err);
    if (p->bytes > MOST_FILE)
        return glia_error_set(err, GLIA_BAD_FORMAT, "%s: expected a picture of at most 64 MB", p->name);
    void *data = glia__alloc(g->allocator, (size_t)p->bytes);
    if (!data) return out_of_memory(g, err);
    glia_status status = glia__tar_read(p->tar, data, (size_t)p->bytes, err);
    if (status == GLIA_OK)
        status = glia_picture_decode(out, data, (size_t)p->bytes, p->name, channels, g->allocator, err);
    glia__free(g->allocator, data, (size_t)p->bytes);
    return status;
}

/* The first picture gives size and colours; the arrays are made for all of its kind. */
static glia_status begin(gathering *g, const picture *p, const glia_tensor *image, glia_error *err) {
    const int64_t *d = image->shape.dim;
    snprintf(g->first, sizeof g->first, "%s", p->name);
    GLIA_TRY(glia_tensor_new(&g->table->inputs, GLIA_U8, GLIA_SHAPE(g->wanted, d[0], d[1], d[2]),
                             g->allocator, err));
    return glia_tensor_new(&g->table->targets, GLIA_I64, GLIA_SHAPE(g->wanted), g->allocator, err);
}

static glia_status take(gathering *g, const picture *p, const glia_tensor *image, glia_error *err) {
    if (!g->filled) GLIA_TRY(begin(g, p, image, err));
    const int64_t *want = g->table->inputs.shape.dim + 1, *have = image->shape.dim;
    if (want[1] != have[1] || want[2] != have[2])
        return glia_error_set(err, GLIA_BAD_DATA,
                              "%s is a picture of %lld×%lld, but %s one of %lld×%lld; all must have one size",
                              p->name, (long long)have[1], (long long)have[2], g->first, (long long)want[1],
                              (long long)want[2]);
    if (want[0] < have[0])
        return glia_error_set(err, GLIA_BAD_DATA, "%s is in colours, but %s is grey; all must be of one kind",
                              p->name, g->first);
    int64_t plane = have[1] * have[2];
    uint8_t *to = (uint8_t *)g->table->inputs.data + g->filled * want[0] * plane;
    for (int64_t c = 0; c < want[0]; c++) /* a grey one among colours: the same in each */
        memcpy(to + c * plane, (const uint8_t *)image->data + (have[0] == want[0] ? c * plane : 0),
               (size_t)plane);
    ((int64_t *)g->table->targets.data)[g->filled++] = (int64_t)find_class(g, p->folder);
    return GLIA_OK;
}

/* With a limit, pictures are taken in equal distances, so that every class keeps its share. */
static glia_status fill(gathering *g, const picture *p, glia_error *err) {
    double share = (double)g->wanted / (double)g->found;
    int64_t walked = g->walked++;
    if (g->filled == g->wanted || (int64_t)((double)(walked + 1) * share + 1e-9) <= g->filled) return GLIA_OK;
    if (find_class(g, p->folder) == g->n_classes)
        return glia_error_set(err, GLIA_IO, "%s appeared while %s was read", p->name, g->source);
    glia_tensor image;
    GLIA_TRY(decode(g, p, 0, &image, err));
    glia_status status = take(g, p, &image, err);
    glia_tensor_free(&image);
    return status;
}

static glia_status gather(gathering *g, glia_error *err) {
    glia_status (*walk)(gathering *, visitor, glia_error *) =
        is_folder(g->source) ? walk_folder : walk_archive;
    GLIA_TRY(walk(g, count, err));
    if (!g->found)
        return glia_error_set(
            err, GLIA_BAD_DATA,
            "%s holds no pictures: expected a folder for each class, with files .png, .jpg or .jpeg",
            g->source);
    qsort(g->classes, g->n_classes, sizeof *g->classes, by_name);
    g->last = g->n_classes;
    int64_t limit = g->options->limit;
    g->wanted = limit > 0 ? GLIA_MIN(limit, g->found) : g->found;
    GLIA_TRY(walk(g, fill, err));
    if (g->filled < g->wanted) return glia_error_set(err, GLIA_IO, "%s changed while it was read", g->source);
    g->table->classes = (int64_t)g->n_classes;
    g->table->default_scale = 1.0 / 255;
    g->table->class_names = glia__arena_copy(&g->table->arena, g->classes, g->n_classes * sizeof *g->classes);
    return g->table->class_names ? GLIA_OK : out_of_memory(g, err);
}

glia_status glia__table_read_folder(glia_table *table, const char *source,
                                    const glia_dataset_options *options, glia_error *err) {
    gathering g = {.options = options, .allocator = options->allocator, .table = table, .source = source};
    glia_status status = gather(&g, err);
    glia__free(g.allocator, g.classes, g.capacity * sizeof *g.classes);
    return status;
}

GLIA_READER(folder) = {
    .name = "folder",
    .doc = "PNG and JPEG pictures of one size, in a folder a class, or such folders in a .tar or .tar.gz",
    .example = "folder:pictures/train",
    .read = glia__table_read_folder};
