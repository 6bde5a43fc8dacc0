/* safetensors_write.c: writing weights as safetensors files: same input, same bytes. */
#include <inttypes.h>
#include <stdlib.h>

#include "core/file.h"
#include "glia/io.h"
#include "io/stream.h"

static const char *dtype_text(glia_dtype dtype) {
    static const char *const names[] = {
#define DTYPE_SAFETENSORS(code, name, bytes, safetensors, npy) safetensors,
        GLIA_DTYPE_LIST(DTYPE_SAFETENSORS)
#undef DTYPE_SAFETENSORS
    };
    return names[dtype];
}

static glia_status check_tensor(const char *path, const glia_named_tensor *t, glia_error *err) {
    const glia_tensor *tensor = &t->tensor;
    if (!t->name || strcmp(t->name, "__metadata__") == 0)
        return glia__file_error(err, GLIA_INVALID_ARGUMENT, path, "a tensor needs a name, other than %s",
                                "__metadata__");
    if (glia_dtype_bytes(tensor->dtype) == 0 || glia_shape_elems(&tensor->shape) < 0)
        return glia__file_error(err, GLIA_INVALID_ARGUMENT, path, "tensor '%s' has no known dtype and shape",
                                t->name);
    if (!tensor->data && glia_tensor_bytes(tensor) > 0)
        return glia__file_error(err, GLIA_INVALID_ARGUMENT, path, "tensor '%s' has no data", t->name);
    return GLIA_OK;
}

static int compare_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts `names` to find one that is there twice. */
static glia_status check_unique(const char *path, const char *what, const char **names, size_t count,
                                glia_error *err) {
    qsort(names, count, sizeof *names, compare_text);
    for (size_t i = 1; i < count; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            return glia__file_error(err, GLIA_INVALID_ARGUMENT, path, "two %s are called '%s'", what,
                                    names[i]);
    return GLIA_OK;
}

static glia_status check_input(const char *path, const glia_named_tensor *tensors, size_t count,
                               const glia_key_value *metadata, size_t metadata_count, glia_error *err) {
    for (size_t i = 0; i < count; i++) GLIA_TRY(check_tensor(path, &tensors[i], err));
    size_t most = GLIA_MAX(count, metadata_count + 1);
    const char **names = glia__calloc(NULL, most, sizeof *names);
    if (!names) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory writing %s", path);
    for (size_t i = 0; i < count; i++) names[i] = tensors[i].name;
    glia_status status = check_unique(path, "tensors", names, count, err);
    if (status == GLIA_OK) {
        for (size_t i = 0; i < metadata_count; i++) names[i] = metadata[i].key;
        names[metadata_count] = "format"; /* ours */
        status = check_unique(path, "metadata", names, metadata_count + 1, err);
    }
    glia__free(NULL, names, most * sizeof *names);
    return status;
}

/* Data lie by the size of their elements, largest first, so that every tensor is aligned for its dtype; the
 * header keeps the caller's order. */
static const size_t sizes[] = {8, 4, 2, 1};

static void add_header(glia_text *text, const glia_named_tensor *tensors, size_t count,
                       const glia_key_value *metadata, size_t metadata_count) {
    uint64_t next[GLIA_COUNT(sizes)] = {0}; /* where the next tensor of each size begins */
    for (size_t s = 0; s + 1 < GLIA_COUNT(sizes); s++) {
        next[s + 1] = next[s];
        for (size_t i = 0; i < count; i++)
            if (glia_dtype_bytes(tensors[i].tensor.dtype) == sizes[s])
                next[s + 1] += glia_tensor_bytes(&tensors[i].tensor);
    }
    glia__text_add(text, "{\"__metadata__\":{\"format\":\"pt\"");
    for (size_t i = 0; i < metadata_count; i++) {
        glia__text_add(text, ",");
        glia__text_add_json(text, metadata[i].key);
        glia__text_add(text, ":");
        glia__text_add_json(text, metadata[i].value);
    }
    glia__text_add(text, "}");
    for (size_t i = 0; i < count; i++) {
        const glia_tensor *t = &tensors[i].tensor;
        size_t s = 0;
        while (sizes[s] != glia_dtype_bytes(t->dtype)) s++;
        glia__text_add(text, ",");
        glia__text_add_json(text, tensors[i].name);
        glia__text_printf(text, ":{\"dtype\":\"%s\",\"shape\":[", dtype_text(t->dtype));
        for (int d = 0; d < t->shape.rank; d++)
            glia__text_printf(text, "%s%" PRId64, d ? "," : "", t->shape.dim[d]);
        uint64_t end = next[s] + glia_tensor_bytes(t);
        glia__text_printf(text, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", next[s], end);
        next[s] = end;
    }
    glia__text_add(text, "}");
    while (text->length % 8 && !text->failed) glia__text_add(text, " "); /* the data begin 8-byte aligned */
}

static glia_status write_all(glia_writer *writer, const glia_text *header, const glia_named_tensor *tensors,
                             size_t count, glia_error *err) {
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)header->length >> (8 * i));
    GLIA_TRY(glia__writer_put(writer, length, sizeof length, err));
    GLIA_TRY(glia__writer_put(writer, header->data, header->length, err));
    for (size_t s = 0; s < GLIA_COUNT(sizes); s++)
        for (size_t i = 0; i < count; i++) {
            const glia_tensor *t = &tensors[i].tensor;
            if (glia_dtype_bytes(t->dtype) == sizes[s])
                GLIA_TRY(glia__writer_put(writer, t->data, glia_tensor_bytes(t), err));
        }
    return GLIA_OK;
}

glia_status glia_safetensors_write(const char *path, const glia_named_tensor *tensors, size_t count,
                                   const glia_key_value *metadata, size_t metadata_count, glia_error *err) {
    GLIA_TRY(check_input(path, tensors, count, metadata, metadata_count, err));
    glia_text header;
    glia__text_init(&header, NULL);
    add_header(&header, tensors, count, metadata, metadata_count);
    glia_writer writer = {0};
    glia_status status = header.failed
                             ? glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory writing %s", path)
                             : glia__writer_open(&writer, path, err);
    if (status == GLIA_OK) status = write_all(&writer, &header, tensors, count, err);
    if (status == GLIA_OK)
        status = glia__writer_commit(&writer, err);
    else
        glia__writer_abandon(&writer);
    glia__text_free(&header);
    return status;
}
