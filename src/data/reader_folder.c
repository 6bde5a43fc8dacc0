/* reader_folder.c: pictures in one folder a class, on disk or in a tar archive.
 *
 * Two walks over the same files: the first finds the classes and counts, the second decodes to an array of just that
 * size. Classes are numbered in the order of their names. */

#include <stdio.h>
#include <strings.h>

#include "core/file.h"
#include "data/listing.h"
#include "data/reader.h"
#include "glia/io.h"
#include "io/tar.h"

enum { MOST_FILE = 64 << 20 };

typedef struct gathering {
    const glia_dataset_options *options;
    const glia_allocator *allocator;
    glia_table *table;
    const char *source;
    glia_listing classes; /* names of folders */
    size_t last;          /* class of the last picture: the next one is usually of the same */
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

static glia_status walk_class(gathering *g, const char *folder, visitor visit, glia_error *err) {
    char path[1400];
    glia_listing files;
    snprintf(path, sizeof path, "%.1000s/%.260s", g->source, folder);
    size_t length = strlen(path);
    glia_status status = glia__listing_read(&files, path, g->allocator, err);
    for (size_t i = 0; i < files.count && status == GLIA_OK; i++) {
        if (!is_picture(files.names[i])) continue;
        snprintf(path + length, sizeof path - length, "/%.100s", files.names[i]);
        status = visit(g, &(picture){.folder = folder, .name = path}, err);
    }
    glia__listing_free(&files);
    return status;
}

static glia_status walk_folder(gathering *g, visitor visit, glia_error *err) {
    char path[1400];
    glia_listing folders;
    glia_status status = glia__listing_read(&folders, g->source, g->allocator, err);
    for (size_t i = 0; i < folders.count && status == GLIA_OK; i++) {
        snprintf(path, sizeof path, "%.1000s/%.260s", g->source, folders.names[i]);
        if (glia__is_folder(path)) status = walk_class(g, folders.names[i], visit, err);
    }
    glia__listing_free(&folders);
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
    if (g->last < g->classes.count && strcmp(g->classes.names[g->last], folder) == 0) return g->last;
    for (g->last = 0; g->last < g->classes.count && strcmp(g->classes.names[g->last], folder) != 0;)
        g->last++;
    return g->last;
}

static glia_status count(gathering *g, const picture *p, glia_error *err) {
    g->found++;
    if (find_class(g, p->folder) < g->classes.count) return GLIA_OK;
    return glia__listing_add(&g->classes, p->folder) ? GLIA_OK : out_of_memory(g, err);
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
    if (find_class(g, p->folder) == g->classes.count)
        return glia_error_set(err, GLIA_IO, "%s appeared while %s was read", p->name, g->source);
    glia_tensor image;
    GLIA_TRY(decode(g, p, 0, &image, err));
    glia_status status = take(g, p, &image, err);
    glia_tensor_free(&image);
    return status;
}

static glia_status gather(gathering *g, glia_error *err) {
    glia_status (*walk)(gathering *, visitor, glia_error *) =
        glia__is_folder(g->source) ? walk_folder : walk_archive;
    GLIA_TRY(walk(g, count, err));
    if (!g->found)
        return glia_error_set(
            err, GLIA_BAD_DATA,
            "%s holds no pictures: expected a folder for each class, with files .png, .jpg or .jpeg",
            g->source);
    glia__listing_sort(&g->classes);
    g->last = g->classes.count;
    int64_t limit = g->options->limit;
    g->wanted = limit > 0 ? GLIA_MIN(limit, g->found) : g->found;
    GLIA_TRY(walk(g, fill, err));
    if (g->filled < g->wanted) return glia_error_set(err, GLIA_IO, "%s changed while it was read", g->source);
    g->table->classes = (int64_t)g->classes.count;
    g->table->default_scale = 1.0 / 255;
    return glia__table_name_classes(g->table, &g->classes) ? GLIA_OK : out_of_memory(g, err);
}

glia_status glia__table_read_folder(glia_table *table, const char *source,
                                    const glia_dataset_options *options, glia_error *err) {
    gathering g = {.options = options, .allocator = options->allocator, .table = table, .source = source};
    glia__arena_init(&g.classes.arena, options->allocator);
    glia_status status = gather(&g, err);
    glia__listing_free(&g.classes);
    return status;
}

GLIA_READER(folder) = {
    .name = "folder",
    .doc = "PNG and JPEG pictures of one size, in a folder a class, or such folders in a .tar or .tar.gz",
    .example = "folder:pictures/train",
    .read = glia__table_read_folder};
