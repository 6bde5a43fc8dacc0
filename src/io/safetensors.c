/* safetensors.c: reading weights from safetensors files, with strict checks.
 * Format: https://github.com/huggingface/safetensors ("Format"): u64 N | N bytes of JSON | data. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "glia/io.h"
#include "io/stream.h"

#ifdef GLIA_HAVE_JSON
#include <jansson.h>
#endif

typedef struct entry {
    const char *name;
    glia_dtype dtype;
    glia_shape shape;
    uint64_t begin, end; /* in the data */
} entry;

struct glia_safetensors {
    glia_arena arena; /* everything below */
    const char *path;
    void *map; /* the whole file */
    size_t map_bytes;
    const unsigned char *data; /* after the header */
    uint64_t data_bytes;
    entry *entries; /* in the header's order */
    size_t count;
    const entry **by_name; /* sorted */
    glia_key_value *metadata;
    size_t metadata_count;
};

#ifdef GLIA_HAVE_JSON

#define FAIL(file, status, ...) glia__file_error(err, status, (file)->path, __VA_ARGS__)

enum { HEADER_LIMIT = 100000000, LENGTH_BYTES = 8 };

static glia_status out_of_memory(const glia_safetensors *file, glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", file->path);
}

/* --- mapping and length -----------------------------------------------------------------------------------
 */

static glia_status map_file(glia_safetensors *file, int fd, glia_error *err) {
    struct stat info;
    if (fstat(fd, &info) != 0)
        return glia_error_set(err, GLIA_IO, "cannot read %s: %s", file->path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return glia_error_set(err, GLIA_IO, "cannot read %s: expected a file, found a folder or device",
                              file->path);
    if (info.st_size < LENGTH_BYTES)
        return FAIL(file, GLIA_BAD_FORMAT, "not a safetensors file: expected at least %d bytes, found %lld",
                    LENGTH_BYTES, (long long)info.st_size);
    void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return glia_error_set(err, errno == ENOMEM ? GLIA_OUT_OF_MEMORY : GLIA_IO, "cannot map %s: %s",
                              file->path, strerror(errno));
    file->map = map;
    file->map_bytes = (size_t)info.st_size;
    return GLIA_OK;
}

/* Finds header and data. */
static glia_status cut_header(glia_safetensors *file, size_t *header_bytes, glia_error *err) {
    const unsigned char *bytes = file->map;
    uint64_t length = 0;
    for (int i = 0; i < LENGTH_BYTES; i++) length |= (uint64_t)bytes[i] << (8 * i);
    if (length > HEADER_LIMIT)
        return FAIL(file, GLIA_BAD_FORMAT,
                    "not a safetensors file: expected a header of at most %d bytes, found %" PRIu64,
                    HEADER_LIMIT, length);
    if (length > file->map_bytes - LENGTH_BYTES)
        return FAIL(file, GLIA_BAD_FORMAT, "truncated: the header has %" PRIu64 " bytes, but only %zu follow",
                    length, file->map_bytes - LENGTH_BYTES);
    if (length == 0 || bytes[LENGTH_BYTES] != '{')
        return FAIL(file, GLIA_BAD_FORMAT, "not a safetensors file: expected a header that begins with '{'");
    *header_bytes = (size_t)length;
    file->data = bytes + LENGTH_BYTES + length;
    file->data_bytes = file->map_bytes - LENGTH_BYTES - length;
    return GLIA_OK;
}

/* --- the header -------------------------------------------------------------------------------------------
 */

/* The format's dtypes that Glia has no arrays for. */
static bool is_foreign_dtype(const char *name) {
    static const char *const foreign[] = {"F4",          "F6_E2M3", "F6_E3M2", "I8",  "F8_E5M2",
                                          "F8_E4M3",     "U16",     "F8_E8M0", "F16", "F8_E4M3FNUZ",
                                          "F8_E5M2FNUZ", "I16",     "U32",     "U64", "C64"};
    for (size_t i = 0; i < GLIA_COUNT(foreign); i++)
        if (strcmp(name, foreign[i]) == 0) return true;
    return false;
}

static glia_status parse_dtype(const glia_safetensors *file, entry *e, const json_t *json, glia_error *err) {
    static const char *const names[] = {
#define DTYPE_SAFETENSORS(code, name, bytes, safetensors, npy) safetensors,
        GLIA_DTYPE_LIST(DTYPE_SAFETENSORS)
#undef DTYPE_SAFETENSORS
    };
    const char *name = json_string_value(json);
    if (!name) return FAIL(file, GLIA_BAD_FORMAT, "tensor '%s': expected a string as dtype", e->name);
    for (int i = 0; i < GLIA_DTYPE_COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            e->dtype = (glia_dtype)i;
            return GLIA_OK;
        }
    if (is_foreign_dtype(name))
        return FAIL(file, GLIA_UNSUPPORTED,
                    "tensor '%s': Glia has no arrays of dtype %s (only F32 F64 BF16 I32 I64 U8 BOOL)",
                    e->name, name);
    return FAIL(file, GLIA_BAD_FORMAT, "tensor '%s': expected a dtype such as F32, found '%.40s'", e->name,
                name);
}

static glia_status parse_shape(const glia_safetensors *file, entry *e, const json_t *json, glia_error *err) {
    if (!json_is_array(json) || json_array_size(json) > GLIA_MAX_RANK)
        return FAIL(file, GLIA_BAD_FORMAT, "tensor '%s': expected as shape an array of at most %d integers",
                    e->name, GLIA_MAX_RANK);
    e->shape.rank = (int32_t)json_array_size(json);
    for (int i = 0; i < e->shape.rank; i++) {
        const json_t *dim = json_array_get(json, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return FAIL(file, GLIA_BAD_FORMAT, "tensor '%s': expected non-negative integers in its shape",
                        e->name);
        e->shape.dim[i] = json_integer_value(dim);
    }
    int64_t elems = glia_shape_elems(&e->shape);
    if (elems < 0 || (uint64_t)elems > PTRDIFF_MAX / glia_dtype_bytes(e->dtype))
        return FAIL(file, GLIA_BAD_FORMAT, "tensor '%s': its shape has more elements than fit in memory",
                    e->name);
    return GLIA_OK;
}

static glia_status parse_offsets(const glia_safetensors *file, entry *e, const json_t *json,
                                 glia_error *err) {
    const json_t *begin = json_array_get(json, 0), *end = json_array_get(json, 1);
    if (json_array_size(json) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return FAIL(file, GLIA_BAD_FORMAT, "tensor '%s': expected data_offsets [BEGIN, END]", e->name);
    e->begin = (uint64_t)json_integer_value(begin);
    e->end = (uint64_t)json_integer_value(end);
    if (e->end > file->data_bytes)
        return FAIL(file, GLIA_BAD_FORMAT,
                    "tensor '%s' ends at byte %" PRIu64 " of the data, which has only %" PRIu64
                    " bytes (truncated?)",
                    e->name, e->end, file->data_bytes);
    uint64_t bytes = (uint64_t)glia_shape_elems(&e->shape) * glia_dtype_bytes(e->dtype);
    char text[128];
    if (e->end - e->begin != bytes)
        return FAIL(file, GLIA_BAD_FORMAT,
                    "tensor '%s': its shape %s of %s needs %" PRIu64 " bytes, found %" PRIu64, e->name,
                    glia_shape_text(&e->shape, text, sizeof text), glia_dtype_name(e->dtype), bytes,
                    e->end - e->begin);
    return GLIA_OK;
}

static glia_status parse_entry(const glia_safetensors *file, entry *e, json_t *json, glia_error *err) {
    json_t *dtype = json_object_get(json, "dtype"), *shape = json_object_get(json, "shape"),
           *offsets = json_object_get(json, "data_offsets");
    if (!dtype || !shape || !offsets || json_object_size(json) != 3)
        return FAIL(file, GLIA_BAD_FORMAT, "tensor '%s': expected an object of dtype, shape and data_offsets",
                    e->name);
    GLIA_TRY(parse_dtype(file, e, dtype, err));
    GLIA_TRY(parse_shape(file, e, shape, err));
    return parse_offsets(file, e, offsets, err);
}

static glia_status parse_metadata(glia_safetensors *file, json_t *json, glia_error *err) {
    if (!json_is_object(json))
        return FAIL(file, GLIA_BAD_FORMAT, "__metadata__: expected an object of strings");
    file->metadata = glia__arena_alloc(&file->arena, json_object_size(json) * sizeof *file->metadata);
    if (!file->metadata) return out_of_memory(file, err);
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value) {
        if (!json_is_string(value))
            return FAIL(file, GLIA_BAD_FORMAT, "__metadata__: expected a string for '%.64s'", key);
        glia_key_value *pair = &file->metadata[file->metadata_count++];
        pair->key = glia__arena_strdup(&file->arena, key);
        pair->value = glia__arena_strdup(&file->arena, json_string_value(value));
        if (!pair->key || !pair->value) return out_of_memory(file, err);
    }
    return GLIA_OK;
}

static glia_status parse_header(glia_safetensors *file, json_t *root, glia_error *err) {
    size_t most = json_object_size(root);
    file->entries = glia__arena_alloc(&file->arena, most * sizeof *file->entries);
    file->by_name = glia__arena_alloc(&file->arena, most * sizeof *file->by_name);
    if (!file->entries || !file->by_name) return out_of_memory(file, err);
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) {
        if (strcmp(key, "__metadata__") == 0) {
            GLIA_TRY(parse_metadata(file, value, err));
            continue;
        }
        entry *e = &file->entries[file->count];
        file->by_name[file->count++] = e;
        e->name = glia__arena_strdup(&file->arena, key);
        if (!e->name) return out_of_memory(file, err);
        GLIA_TRY(parse_entry(file, e, value, err));
    }
    return GLIA_OK;
}

/* --- checks over all tensors ------------------------------------------------------------------------------
 */

static int compare_names(const void *a, const void *b) {
    return strcmp((*(const entry *const *)a)->name, (*(const entry *const *)b)->name);
}

static int compare_offsets(const void *a, const void *b) {
    const entry *x = *(const entry *const *)a, *y = *(const entry *const *)b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end != y->end ? (x->end < y->end ? -1 : 1) : 0;
}

/* The tensors, sorted by place, must follow each other without holes or overlaps to the end of the data. */
static glia_status check_coverage(glia_safetensors *file, glia_error *err) {
    qsort(file->by_name, file->count, sizeof(*file->by_name), compare_offsets);
    uint64_t at = 0;
    const char *before = NULL;
    for (size_t i = 0; i < file->count; i++) {
        const entry *e = file->by_name[i];
        if (e->begin < at)
            return FAIL(file, GLIA_BAD_FORMAT,
                        "tensors '%s' and '%s' overlap: expected '%s' to begin at byte %" PRIu64
                        ", found %" PRIu64,
                        before, e->name, e->name, at, e->begin);
        if (e->begin > at)
            return FAIL(file, GLIA_BAD_FORMAT,
                        "hole in the data: expected tensor '%s' to begin at byte %" PRIu64 ", found %" PRIu64,
                        e->name, at, e->begin);
        at = e->end;
        before = e->name;
    }
    if (at != file->data_bytes)
        return FAIL(file, GLIA_BAD_FORMAT,
                    "expected %" PRIu64 " bytes of data for %zu tensors, found %" PRIu64, at, file->count,
                    file->data_bytes);
    qsort(file->by_name, file->count, sizeof(*file->by_name), compare_names);
    return GLIA_OK;
}

static glia_status read_header(glia_safetensors *file, glia_error *err) {
    size_t header_bytes = 0;
    GLIA_TRY(cut_header(file, &header_bytes, err));
    json_error_t problem;
    json_t *root =
        json_loadb((const char *)file->map + LENGTH_BYTES, header_bytes, JSON_REJECT_DUPLICATES, &problem);
    if (!root && json_error_code(&problem) == json_error_out_of_memory) return out_of_memory(file, err);
    if (!root)
        return FAIL(file, GLIA_BAD_FORMAT, "the header is not valid JSON: %s (byte %d)", problem.text,
                    problem.position + LENGTH_BYTES);
    glia_status status = parse_header(file, root, err);
    json_decref(root);
    return status == GLIA_OK ? check_coverage(file, err) : status;
}

/* --- opening ----------------------------------------------------------------------------------------------
 */

glia_status glia_safetensors_open(glia_safetensors **out, const char *path, const glia_allocator *allocator,
                                  glia_error *err) {
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return glia_error_set(err, errno == ENOENT ? GLIA_NOT_FOUND : GLIA_IO, "cannot open %s: %s", path,
                              strerror(errno));
    glia_arena arena;
    glia__arena_init(&arena, allocator);
    glia_safetensors *file = glia__arena_alloc(&arena, sizeof *file);
    if (!file) {
        close(fd);
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
    }
    file->arena = arena;
    file->path = path; /* replaced by a copy below */
    glia_status status = map_file(file, fd, err);
    close(fd);
    if (status == GLIA_OK) status = read_header(file, err);
    if (status == GLIA_OK) {
        file->path = glia__arena_strdup(&file->arena, path);
        if (!file->path) status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
    }
    if (status == GLIA_OK)
        *out = file;
    else
        glia_safetensors_close(file);
    return status;
}

#else

glia_status glia_safetensors_open(glia_safetensors **out, const char *path, const glia_allocator *allocator,
                                  glia_error *err) {
    (void)allocator;
    *out = NULL;
    return glia__file_error(err, GLIA_UNSUPPORTED, path,
                            "this build has no jansson: cannot read safetensors files");
}

#endif

void glia_safetensors_close(glia_safetensors *file) {
    if (!file) return;
    if (file->map) munmap(file->map, file->map_bytes);
    glia_arena arena = file->arena; /* it holds `file` itself */
    glia__arena_free(&arena);
}

/* --- what is in it ----------------------------------------------------------------------------------------
 */

size_t glia_safetensors_count(const glia_safetensors *file) {
    return file->count;
}

const char *glia_safetensors_name(const glia_safetensors *file, size_t index) {
    return index < file->count ? file->entries[index].name : NULL;
}

static int compare_name_entry(const void *name, const void *e) {
    return strcmp(name, (*(const entry *const *)e)->name);
}

glia_status glia_safetensors_get(const glia_safetensors *file, const char *name, glia_tensor *out,
                                 glia_error *err) {
    *out = (glia_tensor){0};
    const entry *const *found = file->count == 0 ? NULL
                                                 : bsearch(name, file->by_name, file->count,
                                                           sizeof(*file->by_name), compare_name_entry);
    if (!found)
        return glia__file_error(err, GLIA_NOT_FOUND, file->path, "there is no tensor '%s' among its %zu",
                                name, file->count);
    const entry *e = *found;
    *out = glia_tensor_wrap((void *)(file->data + e->begin), e->dtype, e->shape);
    return GLIA_OK;
}

const char *glia_safetensors_metadata(const glia_safetensors *file, const char *key) {
    for (size_t i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, key) == 0) return file->metadata[i].value;
    return NULL;
}
