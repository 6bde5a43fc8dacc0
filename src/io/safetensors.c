/* safetensors.c: reading weights from safetensors files, with strict checks.
 * Format: https://github.com/huggingface/safetensors ("Format"): u64 N | N bytes of JSON | data. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
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
    int fd;              /* while opening */
    uint64_t file_bytes; /* when it was opened */
    unsigned char *data; /* after the header: `data_bytes` bytes */
    uint64_t data_bytes;
    entry *entries; /* in the header's order */
    size_t count;
    const entry **by_name; /* sorted */
    glia_key_value *metadata;
    size_t metadata_count;
};

#ifdef GLIA_HAVE_JSON

#define FAIL(file, status, ...) glia__file_error(err, status, (file)->path, __VA_ARGS__)

enum { HEADER_LIMIT = 100000000, LENGTH_BYTES = 8, DATA_ALIGN = 64 };

static glia_status out_of_memory(const glia_safetensors *file, glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", file->path);
}

/* --- reading and length -----------------------------------------------------------------------------------
 *
 * Everything is read into memory rather than mapped: a file that another process cuts short later does no harm.
 */

static glia_status measure_file(glia_safetensors *file, glia_error *err) {
    struct stat info;
    if (fstat(file->fd, &info) != 0)
        return glia_error_set(err, GLIA_IO, "cannot read %s: %s", file->path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return glia_error_set(err, GLIA_IO, "cannot read %s: expected a file, found a folder or device",
                              file->path);
    if (info.st_size < LENGTH_BYTES)
        return FAIL(file, GLIA_BAD_FORMAT, "not a safetensors file: expected at least %d bytes, found %lld",
                    LENGTH_BYTES, (long long)info.st_size);
    file->file_bytes = (uint64_t)info.st_size;
    return GLIA_OK;
}

/* Reads all of `bytes` bytes, which lie at `at`. */
static glia_status read_bytes(const glia_safetensors *file, uint64_t at, void *to, size_t bytes,
                              glia_error *err) {
    for (size_t used = 0; used < bytes;) {
        ssize_t got = pread(file->fd, (char *)to + used, bytes - used, (off_t)(at + used));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return glia_error_set(err, GLIA_IO, "cannot read %s: %s", file->path, strerror(errno));
        if (got == 0)
            return FAIL(file, GLIA_BAD_FORMAT,
                        "truncated while it was read: it had %" PRIu64 " bytes, now it ends after %" PRIu64,
                        file->file_bytes, at + used);
        used += (size_t)got;
    }
    return GLIA_OK;
}

static glia_status measure_header(glia_safetensors *file, size_t *header_bytes, glia_error *err) {
    unsigned char bytes[LENGTH_BYTES];
    uint64_t length = 0, follow = file->file_bytes - LENGTH_BYTES;
    GLIA_TRY(read_bytes(file, 0, bytes, LENGTH_BYTES, err));
    for (int i = 0; i < LENGTH_BYTES; i++) length |= (uint64_t)bytes[i] << (8 * i);
    if (length > HEADER_LIMIT)
        return FAIL(file, GLIA_BAD_FORMAT,
                    "not a safetensors file: expected a header of at most %d bytes, found %" PRIu64,
                    HEADER_LIMIT, length);
    if (length > follow)
        return FAIL(file, GLIA_BAD_FORMAT,
                    "truncated: the header has %" PRIu64 " bytes, but only %" PRIu64 " follow", length,
                    follow);
    *header_bytes = (size_t)length;
    file->data_bytes = follow - length;
    return GLIA_OK;
}

static glia_status read_data(glia_safetensors *file, glia_error *err) {
    if (file->data_bytes <= PTRDIFF_MAX)
        file->data = glia__alloc_aligned(file->arena.allocator, (size_t)file->data_bytes, DATA_ALIGN);
    if (!file->data)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory: %" PRIu64 " bytes of %s",
                              file->data_bytes, file->path);
    return read_bytes(file, file->file_bytes - file->data_bytes, file->data, (size_t)file->data_bytes, err);
}

/* --- the header ---------------------------------------------------------------------------------------- */

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

/* --- checks over all tensors --------------------------------------------------------------------------- */

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

static glia_status parse_text(glia_safetensors *file, const char *text, size_t bytes, glia_error *err) {
    if (bytes == 0 || text[0] != '{')
        return FAIL(file, GLIA_BAD_FORMAT, "not a safetensors file: expected a header that begins with '{'");
    json_error_t problem;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &problem);
    if (!root && json_error_code(&problem) == json_error_out_of_memory) return out_of_memory(file, err);
    if (!root)
        return FAIL(file, GLIA_BAD_FORMAT, "the header is not valid JSON: %s (byte %d)", problem.text,
                    problem.position + LENGTH_BYTES);
    glia_status status = parse_header(file, root, err);
    json_decref(root);
    return status == GLIA_OK ? check_coverage(file, err) : status;
}

static glia_status read_header(glia_safetensors *file, glia_error *err) {
    size_t bytes = 0;
    GLIA_TRY(measure_file(file, err));
    GLIA_TRY(measure_header(file, &bytes, err));
    char *text = glia__alloc(file->arena.allocator, bytes);
    if (!text) return out_of_memory(file, err);
    glia_status status = read_bytes(file, LENGTH_BYTES, text, bytes, err);
    if (status == GLIA_OK) status = parse_text(file, text, bytes, err);
    glia__free(file->arena.allocator, text, bytes);
    return status;
}

/* --- opening ------------------------------------------------------------------------------------------- */

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
    file->fd = fd;
    glia_status status = read_header(file, err);
    if (status == GLIA_OK) status = read_data(file, err);
    close(fd);
    file->fd = -1;
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
    glia__free(file->arena.allocator, file->data, (size_t)file->data_bytes);
    glia_arena arena = file->arena; /* it holds `file` itself */
    glia__arena_free(&arena);
}

/* --- what is in it ------------------------------------------------------------------------------------- */

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
    *out = glia_tensor_wrap(file->data + e->begin, e->dtype, e->shape);
    return GLIA_OK;
}

const char *glia_safetensors_metadata(const glia_safetensors *file, const char *key) {
    for (size_t i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, key) == 0) return file->metadata[i].value;
    return NULL;
}
