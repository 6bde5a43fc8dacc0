/* weights_npz.c: NumPy's NPZ: a zip archive with an NPY array a member. */
#include "io/npy.h"
#include "io/weights.h"
#include "io/zip.h"

/* An array, and the member whose bytes it may borrow. */
typedef struct block {
    const glia_allocator *allocator;
    void *data;
    size_t bytes;
} block;

static void free_block(void *object) {
    block *b = object;
    glia__free(b->allocator, b->data, b->bytes);
}

/* "dense.weight.npy" is the array "dense.weight"; other members are none. */
static const char *array_name(glia_weights *w, const char *member) {
    size_t length = strlen(member);
    bool array = length > 4 && strcmp(member + length - 4, ".npy") == 0;
    return glia__arena_printf(&w->arena, "%.*s", array ? (int)(length - 4) : 0, member);
}

static glia_status read_member(glia_weights *w, const glia_zip *zip, const glia_zip_member *member,
                               glia_error *err) {
    const glia_allocator *allocator = w->arena.allocator;
    const char *name = array_name(w, member->name);
    block *b = glia__arena_alloc(&w->arena, sizeof *b);
    glia_tensor tensor;
    if (!name || !b) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", w->path);
    if (!*name) return GLIA_OK;
    *b = (block){.allocator = allocator, .bytes = (size_t)member->bytes};
    GLIA_TRY(glia__zip_read(zip, member, &b->data, err));
    GLIA_TRY(glia__weights_keep(w, b, free_block, err));
    glia_error inner = {0};
    glia_status status = glia__npy_decode(&tensor, b->data, b->bytes, member->name, allocator, &inner);
    if (status == GLIA_OK) return glia__weights_add(w, name, tensor, err);
    glia_tensor_free(&tensor);
    return glia__file_error(err, status, w->path, "%.100s: %s", member->name, inner.message);
}

static glia_status read_npz(glia_weights *w, const char *path, glia_error *err) {
    glia_zip *zip;
    GLIA_TRY(glia__zip_open(&zip, path, w->arena.allocator, err));
    glia_status status = GLIA_OK;
    for (size_t i = 0; i < glia__zip_count(zip) && status == GLIA_OK; i++)
        status = read_member(w, zip, glia__zip_member(zip, i), err);
    glia__zip_close(zip);
    return status;
}

static glia_status write_array(glia_zip_writer *zip, const glia_named_tensor *t, glia_error *err) {
    char header[GLIA_NPY_HEADER];
    size_t bytes = 0;
    GLIA_TRY(glia__npy_header(&t->tensor, t->name, header, &bytes, err));
    glia_text name;
    glia__text_init(&name, NULL);
    glia__text_printf(&name, "%s.npy", t->name);
    glia_status status = name.failed ? glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory")
                                     : glia__zip_add(zip, name.data, header, bytes, t->tensor.data,
                                                     glia_tensor_bytes(&t->tensor), err);
    glia__text_free(&name);
    return status;
}

static glia_status write_npz(const char *path, const glia_named_tensor *tensors, size_t count,
                             const glia_key_value *metadata, size_t metadata_count, glia_error *err) {
    (void)metadata, (void)metadata_count; /* there is no place for it */
    glia_zip_writer zip;
    glia_status status = glia__zip_begin(&zip, path, err);
    for (size_t i = 0; i < count && status == GLIA_OK; i++) status = write_array(&zip, &tensors[i], err);
    if (status == GLIA_OK) status = glia__zip_finish(&zip, err);
    glia__zip_abandon(&zip);
    return status;
}

GLIA_WEIGHTS(npz) = {
    .name = "npz",
    .doc = "NumPy's archive of arrays: every array with its name, no metadata",
    .endings = {".npz"},
    .read = read_npz,
    .write = write_npz,
};
