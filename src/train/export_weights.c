/* export_weights.c: the weights alone, as another framework calls and lays them out. */
#include <stdio.h>
#include <sys/stat.h>

#include "io/export.h"
#include "io/weights.h"
#include "train/model.h"
#include "train/names.h"

extern GLIA_WEIGHTS(npz);

typedef glia_status write_function(const char *path, const glia_named_tensor *tensors, size_t count,
                                   const glia_key_value *metadata, size_t metadata_count, glia_error *err);

typedef struct weights_options {
    const char *names;
} weights_options;

static const glia_field weights_fields[] = {
    {.name = "names",
     .kind = GLIA_FIELD_STRING,
     .offset = offsetof(weights_options, names),
     .initial = "glia",
     .doc = "how arrays are called and laid out: glia, huggingface, keras or pytorch"},
    {.name = NULL}};

/* Parameter `index` as the convention has it: its own data, or a copy that is laid out anew. */
static glia_status lay_out(const glia_export *e, size_t index, const glia_names *names, glia_arena *arena,
                           glia_named_tensor *out, glia_error *err) {
    glia_names_param p = glia__names_param(e->graph, e->params[index].value);
    const glia_names_row *row;
    glia_layout layout;
    glia_text name;
    glia__text_init(&name, e->allocator);
    glia__names_write(names, &p, &name, &row);
    out->name = name.failed ? NULL : glia__arena_strdup(arena, name.data);
    glia__text_free(&name);
    if (!out->name) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (row && row->share)
        return glia_error_set(err, GLIA_UNSUPPORTED,
                              "'%.100s' has no array of its own in %s; layers of %s are only read from there",
                              p.full, names->name, p.kind);
    if (!glia__layout_make(names, &p, row, &layout))
        return glia_error_set(err, GLIA_UNSUPPORTED, "%s cannot hold '%.100s'", names->name, p.full);
    const glia_type type = e->params[index].value->type;
    out->tensor = glia_tensor_wrap((void *)(uintptr_t)e->params[index].data, type.dtype, type.shape);
    if (layout.copies) return GLIA_OK;
    if (type.dtype != GLIA_F32)
        return glia_error_set(err, GLIA_UNSUPPORTED, "'%.100s' is %s; only f32 can be laid out as %s does",
                              p.full, glia_dtype_name(type.dtype), names->name);
    GLIA_TRY(glia_tensor_new(&out->tensor, GLIA_F32, layout.theirs, e->allocator, err));
    glia__layout_write(&layout, e->params[index].data, out->tensor.data);
    return GLIA_OK;
}

static void free_tensors(const glia_export *e, glia_named_tensor *tensors) {
    for (size_t i = 0; tensors && i < e->n_params; i++) glia_tensor_free(&tensors[i].tensor);
}

/* All parameters, in the arena; free them, after failures too. */
static glia_status lay_out_all(const glia_export *e, const void *options, glia_arena *arena,
                               glia_named_tensor **tensors, glia_error *err) {
    const glia_names *names = glia__names_find(((const weights_options *)options)->names, err);
    if (!names) return GLIA_INVALID_ARGUMENT;
    *tensors = glia__arena_alloc(arena, (e->n_params + 1) * sizeof **tensors);
    if (!*tensors) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; i < e->n_params; i++) GLIA_TRY(lay_out(e, i, names, arena, &(*tensors)[i], err));
    return GLIA_OK;
}

static glia_status write_weights(const glia_export *e, const void *options, const char *path,
                                 write_function *write, glia_export_result *result, glia_error *err) {
    glia_arena arena;
    glia_named_tensor *tensors = NULL;
    glia__arena_init(&arena, e->allocator);
    glia_status status = lay_out_all(e, options, &arena, &tensors, err);
    if (status == GLIA_OK) status = write(path, tensors, e->n_params, e->facts, e->n_facts, err);
    free_tensors(e, tensors);
    glia__arena_free(&arena);
    struct stat st;
    if (status == GLIA_OK) glia__export_wrote(result, path, stat(path, &st) == 0 ? (int64_t)st.st_size : 0);
    glia__export_figure(result, "arrays", (double)e->n_params, "");
    return status;
}

static glia_status compare_array(const glia_weights *file, const glia_named_tensor *wanted, const char *path,
                                 glia_error *err) {
    for (size_t i = 0; i < glia_weights_count(file); i++) {
        if (strcmp(glia_weights_name(file, i), wanted->name) != 0) continue;
        const glia_tensor found = glia_weights_tensor(file, i), *want = &wanted->tensor;
        if (found.dtype == want->dtype && glia_shape_equal(&found.shape, &want->shape) &&
            memcmp(found.data, want->data, glia_tensor_bytes(want)) == 0)
            return GLIA_OK;
    }
    return glia_error_set(err, GLIA_BAD_DATA, "%.300s has no array '%.100s' like the model's", path,
                          wanted->name);
}

/* Names, types, shapes and every bit. */
static glia_status check_weights(const glia_export *e, const void *options, const char *path,
                                 glia_export_result *result, glia_error *err) {
    glia_arena arena;
    glia_weights *file = NULL;
    glia_named_tensor *tensors = NULL;
    glia__arena_init(&arena, e->allocator);
    glia_status status = lay_out_all(e, options, &arena, &tensors, err);
    if (status == GLIA_OK) status = glia_weights_open(&file, path, e->allocator, err);
    for (size_t i = 0; i < e->n_params && status == GLIA_OK; i++)
        status = compare_array(file, &tensors[i], path, err);
    glia_weights_close(file);
    free_tensors(e, tensors);
    glia__arena_free(&arena);
    if (status == GLIA_OK)
        snprintf(result->check, sizeof result->check, "read back, %zu arrays are equal", e->n_params);
    return status;
}

static glia_status write_safetensors(const glia_export *model, const void *options, const char *path,
                                     glia_export_result *result, glia_error *err) {
    return write_weights(model, options, path, glia_safetensors_write, result, err);
}

static glia_status write_npz(const glia_export *model, const void *options, const char *path,
                             glia_export_result *result, glia_error *err) {
    return write_weights(model, options, path, glia__weights_format_npz.write, result, err);
}

GLIA_EXPORTER(safetensors) = {
    .name = "safetensors",
    .extension = ".safetensors",
    .doc = "the weights alone, for Python and others",
    .options = weights_fields,
    .options_size = sizeof(weights_options),
    .write = write_safetensors,
    .check = check_weights,
};

GLIA_EXPORTER(npz) = {
    .name = "npz",
    .extension = ".npz",
    .doc = "the weights alone, for NumPy",
    .options = weights_fields,
    .options_size = sizeof(weights_options),
    .write = write_npz,
    .check = check_weights,
};
