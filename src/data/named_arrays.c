/* named_arrays.c: several arrays of an archive as one input and one target: an example has their numbers one behind the
 * other. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/reader.h"
#include "glia/weights.h"

/* One side: inputs, or targets. */
typedef struct side {
    const char *what; /* "input" or "target" */
    glia_array_info *arrays;
    glia_tensor *tensors; /* of the file */
    int count;
    int64_t elems; /* of an example */
} side;

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the data set");
}

static bool is_whole(glia_dtype dtype) {
    return !glia_dtype_is_float(dtype);
}

static glia_status find_array(const glia_weights *file, const char *path, const char *name, const char *what,
                              glia_tensor *out, glia_error *err) {
    char list[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < glia_weights_count(file); i++) {
        *out = glia_weights_tensor(file, i);
        if (strcmp(glia_weights_name(file, i), name) == 0) return GLIA_OK;
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                                     glia_weights_name(file, i));
    }
    return glia_error_set(err, GLIA_NOT_FOUND,
                          "%.200s holds no array '%.60s' for the %s of that name; it holds %s", path, name,
                          what, *list ? list : "none");
}

/* Numbers must be finite, and whole ones must survive as f32. */
static glia_status check_numbers(const glia_tensor *x, const char *path, glia_array_info *info,
                                 glia_error *err) {
    const double most = 1 << 24;
    const int64_t count = glia_shape_elems(&x->shape), rows = x->shape.dim[0];
    for (int64_t i = 0; i < count; i++) {
        const double value = glia_tensor_get(x, i);
        if (isfinite(value) && (!info->whole || fabs(value) <= most)) {
            if (info->whole && value >= (double)info->classes) info->classes = (int64_t)value + 1;
            continue;
        }
        return glia_error_set(err, GLIA_BAD_DATA,
                              "%.200s: array '%.60s', example %lld: %g is no number to train on", path,
                              info->name, (long long)(i / GLIA_MAX(count / rows, 1)), value);
    }
    return GLIA_OK;
}

static glia_status add_array(side *s, const glia_weights *file, const char *path, const char *name,
                             int64_t *rows, glia_error *err) {
    glia_array_info *info = &s->arrays[s->count];
    glia_tensor *x = &s->tensors[s->count];
    GLIA_TRY(find_array(file, path, name, s->what, x, err));
    if (x->shape.rank < 1 || x->shape.dim[0] < 1)
        return glia_error_set(err, GLIA_BAD_DATA, "%.200s: array '%.60s' has no examples", path, name);
    if (!*rows) *rows = x->shape.dim[0];
    if (x->shape.dim[0] != *rows)
        return glia_error_set(err, GLIA_BAD_DATA,
                              "%.200s: array '%.60s' has %lld examples, the others have %lld", path, name,
                              (long long)x->shape.dim[0], (long long)*rows);
    *info = (glia_array_info){.name = name, .whole = is_whole(x->dtype), .shape.rank = x->shape.rank - 1};
    memcpy(info->shape.dim, x->shape.dim + 1, (size_t)info->shape.rank * sizeof info->shape.dim[0]);
    s->elems += glia_shape_elems(&info->shape);
    s->count++;
    return check_numbers(x, path, info, err);
}

/* "image,meta" */
static glia_status read_side(glia_table *out, side *s, const char *names, const glia_weights *file,
                             const char *path, int64_t *rows, glia_error *err) {
    size_t most = 1;
    for (const char *c = names; *c; c++) most += *c == ',';
    s->arrays = glia__arena_alloc(&out->arena, most * sizeof *s->arrays);
    s->tensors = glia__arena_alloc(&out->arena, most * sizeof *s->tensors);
    if (!s->arrays || !s->tensors) return out_of_memory(err);
    for (const char *at = names; *at;) {
        const size_t length = strcspn(at, ",");
        const char *name = glia__arena_printf(&out->arena, "%.*s", (int)length, at);
        if (!name) return out_of_memory(err);
        GLIA_TRY(add_array(s, file, path, name, rows, err));
        at += length + (at[length] == ',');
    }
    return GLIA_OK;
}

static glia_status lay_out(glia_tensor *to, const side *s, int64_t rows, const glia_allocator *allocator,
                           glia_error *err) {
    const int64_t width = GLIA_MAX(s->elems, 1);
    GLIA_TRY(glia_tensor_new(to, GLIA_F32, GLIA_SHAPE(rows, width), allocator, err));
    memset(to->data, 0, glia_tensor_bytes(to));
    float *place = to->data;
    for (int k = 0; k < s->count; k++) {
        const int64_t elems = glia_shape_elems(&s->arrays[k].shape);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < elems; i++)
                place[r * width + i] = (float)glia_tensor_get(&s->tensors[k], r * elems + i);
        place += elems;
    }
    return GLIA_OK;
}

static glia_status read_all(glia_table *out, const glia_weights *file, const char *path,
                            const glia_dataset_options *options, glia_error *err) {
    side inputs = {.what = "input"}, targets = {.what = "target"};
    int64_t rows = 0;
    GLIA_TRY(read_side(out, &inputs, options->inputs, file, path, &rows, err));
    if (options->targets) GLIA_TRY(read_side(out, &targets, options->targets, file, path, &rows, err));
    if (options->limit > 0) rows = GLIA_MIN(rows, options->limit);
    GLIA_TRY(lay_out(&out->inputs, &inputs, rows, options->allocator, err));
    out->input_arrays = inputs.arrays;
    out->n_input_arrays = inputs.count;
    out->target_arrays = targets.arrays;
    out->n_target_arrays = targets.count;
    /* Where no loss compares with a target, there is one that nobody looks at. */
    return options->targets ? lay_out(&out->targets, &targets, rows, options->allocator, err) : GLIA_OK;
}

glia_status glia__table_read_named(glia_table *out, const char *path, const glia_dataset_options *options,
                                   glia_error *err) {
    glia_weights *file;
    GLIA_TRY(glia_weights_open(&file, path, options->allocator, err));
    const glia_status status = read_all(out, file, path, options, err);
    glia_weights_close(file);
    return status;
}
