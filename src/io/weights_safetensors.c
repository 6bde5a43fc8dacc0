/* weights_safetensors.c: safetensors files, alone or in parts that an index lists. */
#include <stdlib.h>

#include "core/file.h"
#include "io/stream.h"
#include "io/weights.h"

#ifdef GLIA_HAVE_JSON
#include <jansson.h>
#endif

static void release(void *object) {
    glia_safetensors_close(object);
}

static glia_status read_safetensors(glia_weights *w, const char *path, glia_error *err) {
    glia_safetensors *file;
    GLIA_TRY(glia_safetensors_open(&file, path, w->arena.allocator, err));
    GLIA_TRY(glia__weights_keep(w, file, release, err));
    const char *format = glia_safetensors_metadata(file, "format");
    const char *model = glia_safetensors_metadata(file, "model");
    if (format) GLIA_TRY(glia__weights_add_metadata(w, "format", format, err));
    if (model) GLIA_TRY(glia__weights_add_metadata(w, "model", model, err));
    for (size_t i = 0; i < glia_safetensors_count(file); i++) {
        const char *name = glia_safetensors_name(file, i);
        glia_tensor tensor;
        GLIA_TRY(glia_safetensors_get(file, name, &tensor, err));
        GLIA_TRY(glia__weights_add(w, name, tensor, err));
    }
    return GLIA_OK;
}

GLIA_WEIGHTS(safetensors) = {
    .name = "safetensors",
    .doc = "named arrays and a few texts; what Hugging Face's libraries read and write",
    .endings = {".safetensors"},
    .read = read_safetensors,
    .write = glia_safetensors_write,
};

/* --- in parts ------------------------------------------------------------------------------------------ */

#ifdef GLIA_HAVE_JSON

enum { INDEX_LIMIT = 100000000, MOST_PARTS = 4096 };

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Reads one part, a file beside the index; a name that leads elsewhere is not followed. */
static glia_status read_part(glia_weights *w, const char *path, const char *part, glia_error *err) {
    const char *slash = strrchr(path, '/');
    if (strchr(part, '/') || !*part || part[0] == '.')
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "expected names of files in the folder of the index, found '%.100s'", part);
    const char *file =
        glia__arena_printf(&w->arena, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, part);
    if (!file) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
    return read_safetensors(w, file, err);
}

/* Every array that the index lists must be in one of the parts. */
static glia_status check_listed(const glia_weights *w, const char *path, const json_t *map, glia_error *err) {
    size_t bytes = w->count * sizeof(char *);
    const char **names = glia__alloc(w->arena.allocator, bytes);
    if (!names) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
    for (size_t i = 0; i < w->count; i++) names[i] = w->tensors[i].name;
    qsort(names, w->count, sizeof *names, compare_texts);
    glia_status status = GLIA_OK;
    for (size_t i = 1; i < w->count && status == GLIA_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            status = glia__file_error(err, GLIA_BAD_FORMAT, path, "array '%.100s' is in two parts", names[i]);
    for (void *at = json_object_iter((json_t *)map); at && status == GLIA_OK;
         at = json_object_iter_next((json_t *)map, at)) {
        const char *name = json_object_iter_key(at);
        if (!bsearch(&name, names, w->count, sizeof *names, compare_texts))
            status = glia__file_error(err, GLIA_BAD_FORMAT, path,
                                      "the index lists '%.100s', but no part has it", name);
    }
    glia__free(w->arena.allocator, names, bytes);
    return status;
}

static glia_status read_parts(glia_weights *w, const char *path, const json_t *root, glia_error *err) {
    const json_t *map = json_object_get(root, "weight_map");
    const char *parts[MOST_PARTS], *name;
    size_t count = 0;
    const json_t *value;
    if (!json_is_object(map))
        return glia__file_error(err, GLIA_BAD_FORMAT, path,
                                "not an index of safetensors: expected an object 'weight_map'");
    json_object_foreach((json_t *)map, name, value) {
        const char *part = json_string_value(value);
        if (!part)
            return glia__file_error(err, GLIA_BAD_FORMAT, path, "expected the name of a file for '%.100s'",
                                    name);
        size_t known = 0;
        while (known < count && strcmp(parts[known], part) != 0) known++;
        if (known < count) continue;
        if (count == MOST_PARTS)
            return glia__file_error(err, GLIA_BAD_FORMAT, path, "more than %d parts", MOST_PARTS);
        parts[count++] = part;
    }
    qsort(parts, count, sizeof *parts, compare_texts);
    for (size_t i = 0; i < count; i++) GLIA_TRY(read_part(w, path, parts[i], err));
    return check_listed(w, path, map, err);
}

static glia_status read_index(glia_weights *w, const char *path, glia_error *err) {
    char *text;
    size_t bytes;
    json_error_t problem;
    GLIA_TRY(glia__file_read(path, INDEX_LIMIT, w->arena.allocator, &text, &bytes, err));
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &problem);
    glia__free(w->arena.allocator, text, bytes + 1);
    if (!root && json_error_code(&problem) == json_error_out_of_memory)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
    if (!root)
        return glia__file_error(err, GLIA_BAD_FORMAT, path, "not valid JSON: %s (line %d)", problem.text,
                                problem.line);
    glia_status status = read_parts(w, path, root, err);
    json_decref(root);
    return status;
}

#else

static glia_status read_index(glia_weights *w, const char *path, glia_error *err) {
    (void)w;
    return glia__file_error(err, GLIA_UNSUPPORTED, path,
                            "this build has no jansson: cannot read the index of safetensors files");
}

#endif

GLIA_WEIGHTS(safetensors_index) = {
    .name = "safetensors index",
    .doc = "the index of a safetensors file in parts, which lie beside it",
    .endings = {".safetensors.index.json"},
    .read = read_index,
};
