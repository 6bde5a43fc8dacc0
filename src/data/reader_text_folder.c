/* reader_text_folder.c: texts with labels, one a file, in one folder a class. Classes are numbered in the order of their names. */

#include <stdio.h>

#include "data/listing.h"
#include "data/reader.h"
#include "io/stream.h"

typedef struct gathering {
    const glia_dataset_options *options;
    glia_table *table;
    const char *source;
    glia_listing classes; /* names of folders */
    int64_t found, wanted, walked, filled;
} gathering;

typedef glia_status (*visitor)(gathering *g, int64_t class_number, const char *path, glia_error *err);

static glia_status out_of_memory(const gathering *g, glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the texts of %s", g->source);
}

static glia_status walk_class(gathering *g, size_t number, visitor visit, glia_error *err) {
    char path[1400];
    glia_listing files;
    snprintf(path, sizeof path, "%.1000s/%.260s", g->source, g->classes.names[number]);
    const size_t length = strlen(path);
    glia_status status = glia__listing_read(&files, path, g->options->allocator, err);
    for (size_t i = 0; i < files.count && status == GLIA_OK; i++) {
        snprintf(path + length, sizeof path - length, "/%.100s", files.names[i]);
        if (!glia__is_folder(path)) status = visit(g, (int64_t)number, path, err);
    }
    glia__listing_free(&files);
    return status;
}

static glia_status walk(gathering *g, visitor visit, glia_error *err) {
    for (size_t i = 0; i < g->classes.count; i++) GLIA_TRY(walk_class(g, i, visit, err));
    return GLIA_OK;
}

static glia_status holds_files(const gathering *g, const char *folder, bool *out, glia_error *err) {
    char path[1700];
    glia_listing files;
    glia_status status = glia__listing_read(&files, folder, g->options->allocator, err);
    for (size_t i = 0; i < files.count && !*out; i++) {
        snprintf(path, sizeof path, "%.1300s/%.300s", folder, files.names[i]);
        *out = !glia__is_folder(path);
    }
    glia__listing_free(&files);
    return status;
}

/* Folders with files in them; files beside them are no classes. */
static glia_status find_classes(gathering *g, glia_error *err) {
    char path[1400];
    glia_listing all;
    glia_status status = glia__listing_read(&all, g->source, g->options->allocator, err);
    for (size_t i = 0; i < all.count && status == GLIA_OK; i++) {
        snprintf(path, sizeof path, "%.1000s/%.260s", g->source, all.names[i]);
        bool class_of_texts = false;
        if (glia__is_folder(path)) status = holds_files(g, path, &class_of_texts, err);
        if (class_of_texts && !glia__listing_add(&g->classes, all.names[i])) status = out_of_memory(g, err);
    }
    glia__listing_free(&all);
    return status;
}

static glia_status count(gathering *g, int64_t number, const char *path, glia_error *err) {
    (void)number, (void)path, (void)err;
    g->found++;
    return GLIA_OK;
}

static glia_status number_file(gathering *g, const char *path, int32_t *row, glia_error *err) {
    char *text;
    size_t capacity, bytes;
    glia_status status = glia__stream_text(path, g->options->allocator, &text, &capacity, &bytes, err);
    if (status == GLIA_OK) status = glia__text_check(path, text, bytes, 1, err);
    if (status == GLIA_OK) {
        const bool marked = bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
        status = glia__text_number(marked ? text + 3 : text, text + bytes, &g->table->vocabulary, row,
                                   g->table->inputs.shape.dim[1], err);
    }
    glia__free(g->options->allocator, text, capacity);
    return status;
}

/* With a limit, texts are taken in equal distances, so that every class keeps its share. */
static glia_status fill(gathering *g, int64_t number, const char *path, glia_error *err) {
    const double share = (double)g->wanted / (double)g->found;
    const int64_t walked = g->walked++;
    if (g->filled == g->wanted || (int64_t)((double)(walked + 1) * share + 1e-9) <= g->filled) return GLIA_OK;
    const int64_t length = g->table->inputs.shape.dim[1];
    GLIA_TRY(number_file(g, path, (int32_t *)g->table->inputs.data + g->filled * length, err));
    ((int64_t *)g->table->targets.data)[g->filled++] = number;
    return GLIA_OK;
}

static glia_status gather(gathering *g, glia_error *err) {
    const glia_allocator *allocator = g->options->allocator;
    glia_table *t = g->table;
    const int64_t length = g->options->text.length ? g->options->text.length : 64, limit = g->options->limit;
    GLIA_TRY(find_classes(g, err));
    GLIA_TRY(walk(g, count, err));
    if (!g->found)
        return glia_error_set(err, GLIA_BAD_DATA,
                              "%s holds no texts: expected a folder for each class, with a file a text",
                              g->source);
    g->wanted = limit > 0 ? GLIA_MIN(limit, g->found) : g->found;
    GLIA_TRY(glia__table_begin_tokens(t, true, g->options, err));
    GLIA_TRY(glia_tensor_new(&t->inputs, GLIA_I32, GLIA_SHAPE(g->wanted, length), allocator, err));
    GLIA_TRY(glia_tensor_new(&t->targets, GLIA_I64, GLIA_SHAPE(g->wanted), allocator, err));
    GLIA_TRY(walk(g, fill, err));
    if (g->filled < g->wanted) return glia_error_set(err, GLIA_IO, "%s changed while it was read", g->source);
    t->classes = (int64_t)g->classes.count;
    return glia__table_name_classes(t, &g->classes) ? GLIA_OK : out_of_memory(g, err);
}

static glia_status read_text_folder(glia_table *table, const char *source,
                                    const glia_dataset_options *options, glia_error *err) {
    if (!*source)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "expected text_folder:FOLDER, found no folder");
    GLIA_TRY(glia__text_options_check(&options->text, err));
    gathering g = {.options = options, .table = table, .source = source};
    glia__arena_init(&g.classes.arena, options->allocator);
    const glia_status status = gather(&g, err);
    glia__listing_free(&g.classes);
    return status;
}

GLIA_READER(text_folder) = {
    .name = "text_folder",
    .doc = "texts in UTF-8, plain or gzip, one a file, in a folder a class, each cut in words",
    .example = "text_folder:reviews/train",
    .read = read_text_folder};
