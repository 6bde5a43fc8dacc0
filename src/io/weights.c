/* weights.c: files of named arrays, by their GLIA_WEIGHTS blocks. */
#include "io/weights.h"

#include <stdio.h>

#include "io/stream.h"

static bool ends_with(const char *path, const char *ending) {
    size_t a = strlen(path), b = strlen(ending);
    return a > b && strcmp(path + a - b, ending) == 0;
}

const glia_weights_format *glia__weights_format_of(const char *path) {
    const glia_weights_format *best = NULL;
    size_t length = 0;
    for (size_t i = 0; i < glia__weights_formats_count; i++)
        for (size_t k = 0; k < GLIA_COUNT(best->endings) && glia__weights_formats[i]->endings[k]; k++) {
            const char *ending = glia__weights_formats[i]->endings[k];
            if (strlen(ending) <= length || !ends_with(path, ending)) continue;
            best = glia__weights_formats[i];
            length = strlen(ending);
        }
    return best;
}

bool glia__weights_pickled(const char *path) {
    static const char *const endings[] = {".pt", ".pth", ".ckpt"};
    for (size_t i = 0; i < GLIA_COUNT(endings); i++)
        if (ends_with(path, endings[i])) return true;
    return false;
}

/* "…; expected .h5, .npz, …" */
static glia_status unknown_format(const char *path, bool writing, glia_error *err) {
    char list[160] = "";
    size_t used = 0;
    for (size_t i = 0; i < glia__weights_formats_count; i++) {
        const glia_weights_format *f = glia__weights_formats[i];
        for (size_t k = 0; k < GLIA_COUNT(f->endings) && f->endings[k] && used < sizeof list; k++)
            if (f->write || !writing)
                used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                                         f->endings[k]);
    }
    if (glia__weights_pickled(path))
        return glia__file_error(err, GLIA_UNSUPPORTED, path,
                                "PyTorch's own files are programs in Python, which Glia does not run; there: "
                                "safetensors.torch.save_file(model.state_dict(), \"model.safetensors\")");
    return glia__file_error(err, GLIA_UNSUPPORTED, path,
                            "the ending does not say in which format to %s weights; expected one of %s",
                            writing ? "write" : "read", list);
}

/* --- filling ------------------------------------------------------------------------------------------- */

static glia_status out_of_memory(const glia_weights *w, glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", w->path);
}

/* Makes room for one more in an array of the weights; gives it back, moved or not, or NULL. */
static void *reserve(const glia_weights *w, void *array, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) return array;
    size_t wanted = *capacity ? 2 * *capacity : 16;
    void *grown = glia__grow(w->arena.allocator, array, *capacity, wanted, size);
    if (grown) *capacity = wanted;
    return grown;
}

glia_status glia__weights_add(glia_weights *w, const char *name, glia_tensor tensor, glia_error *err) {
    const char *copy = glia__arena_strdup(&w->arena, name);
    void *grown = reserve(w, w->tensors, w->count, &w->capacity, sizeof *w->tensors);
    if (grown) w->tensors = grown;
    if (!copy || !grown) {
        glia_tensor_free(&tensor);
        return out_of_memory(w, err);
    }
    w->tensors[w->count++] = (glia_named_tensor){copy, tensor};
    return GLIA_OK;
}

glia_status glia__weights_add_metadata(glia_weights *w, const char *key, const char *value, glia_error *err) {
    void *grown = reserve(w, w->metadata, w->metadata_count, &w->metadata_capacity, sizeof *w->metadata);
    if (!grown) return out_of_memory(w, err);
    w->metadata = grown;
    glia_key_value pair = {glia__arena_strdup(&w->arena, key), glia__arena_strdup(&w->arena, value)};
    if (!pair.key || !pair.value) return out_of_memory(w, err);
    w->metadata[w->metadata_count++] = pair;
    return GLIA_OK;
}

glia_status glia__weights_keep(glia_weights *w, void *object, void (*release)(void *object),
                               glia_error *err) {
    void *grown = reserve(w, w->kept, w->kept_count, &w->kept_capacity, sizeof *w->kept);
    if (!grown) {
        release(object);
        return out_of_memory(w, err);
    }
    w->kept = grown;
    w->kept[w->kept_count++] = (glia_weights_kept){object, release};
    return GLIA_OK;
}

/* --- the face ------------------------------------------------------------------------------------------ */

glia_status glia_weights_open(glia_weights **out, const char *path, const glia_allocator *allocator,
                              glia_error *err) {
    *out = NULL;
    const glia_weights_format *format = glia__weights_format_of(path);
    if (!format) return unknown_format(path, false, err);
    glia_weights *w = glia__calloc(allocator, 1, sizeof *w);
    if (!w) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
    glia__arena_init(&w->arena, allocator);
    w->path = glia__arena_strdup(&w->arena, path);
    glia_status status =
        w->path ? format->read(w, w->path, err) : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (status == GLIA_OK)
        *out = w;
    else
        glia_weights_close(w);
    return status;
}

void glia_weights_close(glia_weights *w) {
    if (!w) return;
    const glia_allocator *allocator = w->arena.allocator;
    for (size_t i = 0; i < w->count; i++) glia_tensor_free(&w->tensors[i].tensor);
    for (size_t i = 0; i < w->kept_count; i++) w->kept[i].release(w->kept[i].object);
    glia__free(allocator, w->tensors, w->capacity * sizeof *w->tensors);
    glia__free(allocator, w->metadata, w->metadata_capacity * sizeof *w->metadata);
    glia__free(allocator, w->kept, w->kept_capacity * sizeof *w->kept);
    glia__arena_free(&w->arena);
    glia__free(allocator, w, sizeof *w);
}

size_t glia_weights_count(const glia_weights *w) {
    return w->count;
}

const char *glia_weights_name(const glia_weights *w, size_t index) {
    return index < w->count ? w->tensors[index].name : NULL;
}

glia_tensor glia_weights_tensor(const glia_weights *w, size_t index) {
    if (index >= w->count) return (glia_tensor){0};
    glia_tensor borrowed = w->tensors[index].tensor;
    borrowed.owner = NULL;
    return borrowed;
}

const char *glia_weights_metadata(const glia_weights *w, const char *key) {
    for (size_t i = 0; i < w->metadata_count; i++)
        if (strcmp(w->metadata[i].key, key) == 0) return w->metadata[i].value;
    return NULL;
}

glia_status glia_weights_write(const char *path, const glia_named_tensor *tensors, size_t count,
                               const glia_key_value *metadata, size_t metadata_count, glia_error *err) {
    const glia_weights_format *format = glia__weights_format_of(path);
    if (!format || !format->write) return unknown_format(path, true, err);
    return format->write(path, tensors, count, metadata, metadata_count, err);
}
