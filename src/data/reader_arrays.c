/* reader_arrays.c: data sets of arrays: IDX and NPY files, "inputs,targets". */

#include <math.h>
#include <stdio.h>

#include "data/reader.h"
#include "glia/io.h"

/* Cuts "a,b" in two; b is "" when there is no comma. */
static glia_status two_paths(const char *source, const char *word, char *a, char *b, size_t capacity,
                             glia_error *err) {
    const char *comma = strchr(source, ',');
    size_t length = comma ? (size_t)(comma - source) : strlen(source);
    if (!length || length >= capacity || strlen(source) - length >= capacity)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "expected %s:inputs,targets, found '%s:%s'", word,
                              word, source);
    snprintf(a, capacity, "%.*s", (int)length, source);
    snprintf(b, capacity, "%s", comma ? comma + 1 : "");
    return GLIA_OK;
}

/* Integer labels become i64 classes; floats stay values. */
static glia_status to_targets(glia_table *table, glia_tensor *raw, const char *path,
                              const glia_dataset_options *options, glia_error *err) {
    if (glia_dtype_is_float(raw->dtype)) {
        GLIA_TRY(glia_tensor_new(&table->targets, GLIA_F32, raw->shape, options->allocator, err));
        int64_t n = glia_shape_elems(&raw->shape);
        for (int64_t i = 0; i < n; i++) glia_tensor_set(&table->targets, i, glia_tensor_get(raw, i));
        return GLIA_OK;
    }
    if (raw->shape.rank != 1)
        return glia_error_set(err, GLIA_BAD_DATA, "%s: expected one label an example, found %d dimensions",
                              path, raw->shape.rank);
    return glia__table_set_labels(table, raw, options->allocator, err);
}

/* Grey pictures [n, h, w] become [n, 1, h, w]: the channel comes first everywhere. */
static void add_channel(glia_tensor *inputs) {
    glia_shape *s = &inputs->shape;
    if (inputs->dtype != GLIA_U8 || s->rank != 3) return;
    *s = (glia_shape){.rank = 4, .dim = {s->dim[0], 1, s->dim[1], s->dim[2]}};
}

/* The first element that is no finite number of f32, or -1. */
static int64_t find_not_finite(const glia_tensor *t) {
    int64_t n = glia_shape_elems(&t->shape);
    const float *x = t->dtype == GLIA_F32 ? t->data : NULL; /* usually, and then quickly */
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x ? x[i] : (float)glia_tensor_get(t, i))) return i;
    return -1;
}

/* One NaN would make every weight NaN, and nobody would know where it came from. */
static glia_status check_finite(const glia_tensor *t, const char *path, glia_error *err) {
    int64_t at = glia_dtype_is_float(t->dtype) ? find_not_finite(t) : -1;
    if (at < 0) return GLIA_OK;
    int64_t example = at / (glia_shape_elems(&t->shape) / t->shape.dim[0]);
    return glia_error_set(err, GLIA_BAD_DATA,
                          "%s: example %lld holds %g; a network needs finite numbers of f32", path,
                          (long long)example, glia_tensor_get(t, at));
}

static glia_status finish(glia_table *table, glia_tensor *labels, const char *inputs, const char *targets,
                          const glia_dataset_options *options, glia_error *err) {
    if (labels->data && labels->shape.dim[0] != table->inputs.shape.dim[0])
        return glia_error_set(err, GLIA_BAD_DATA, "%s holds %lld inputs, but %s holds %lld targets", inputs,
                              (long long)table->inputs.shape.dim[0], targets,
                              (long long)labels->shape.dim[0]);
    GLIA_TRY(check_finite(&table->inputs, inputs, err));
    if (labels->data) GLIA_TRY(check_finite(labels, targets, err));
    table->default_scale = table->inputs.dtype == GLIA_U8 ? 1.0 / 255 : 1;
    add_channel(&table->inputs);
    return labels->data ? to_targets(table, labels, targets, options, err) : GLIA_OK;
}

glia_status glia__table_read_idx(glia_table *out, const char *inputs, const char *targets,
                                 const glia_dataset_options *options, glia_error *err) {
    glia_tensor labels = {0};
    GLIA_TRY(glia_idx_read(&out->inputs, inputs, options->limit, options->allocator, err));
    if (*targets) GLIA_TRY(glia_idx_read(&labels, targets, options->limit, options->allocator, err));
    glia_status status = finish(out, &labels, inputs, targets, options, err);
    glia_tensor_free(&labels);
    return status;
}

static glia_status read_idx(glia_table *out, const char *source, const glia_dataset_options *options,
                            glia_error *err) {
    char inputs[1024], targets[1024];
    GLIA_TRY(two_paths(source, "idx", inputs, targets, sizeof inputs, err));
    return glia__table_read_idx(out, inputs, targets, options, err);
}

GLIA_READER(idx) = {.name = "idx",
                    .doc = "IDX files of MNIST's format, plain or gzip: inputs, targets",
                    .example = "idx:train-images.gz,train-labels.gz",
                    .files = {"images", "labels"},
                    .read = read_idx};

/* An array of examples, at most `limit` of them (0: all). */
static glia_status read_npy_rows(glia_tensor *out, const char *path, const glia_dataset_options *options,
                                 glia_error *err) {
    glia_tensor all, first, kept;
    GLIA_TRY(glia_npy_read(&all, path, options->allocator, err));
    if (all.shape.rank < 1 || options->limit <= 0 || options->limit >= all.shape.dim[0]) {
        *out = all;
        return GLIA_OK;
    }
    glia_status status = glia_tensor_rows(&first, &all, 0, options->limit, err);
    if (status == GLIA_OK) status = glia_tensor_new(&kept, all.dtype, first.shape, options->allocator, err);
    if (status == GLIA_OK) {
        memcpy(kept.data, first.data, glia_tensor_bytes(&kept));
        *out = kept;
    }
    glia_tensor_free(&all);
    return status;
}

static glia_status read_npy(glia_table *out, const char *source, const glia_dataset_options *options,
                            glia_error *err) {
    char inputs[1024], targets[1024];
    glia_tensor labels = {0};
    GLIA_TRY(two_paths(source, "npy", inputs, targets, sizeof inputs, err));
    GLIA_TRY(read_npy_rows(&out->inputs, inputs, options, err));
    if (out->inputs.shape.rank < 1)
        return glia_error_set(err, GLIA_BAD_DATA, "%s: expected an array [examples, …], found a scalar",
                              inputs);
    if (*targets) GLIA_TRY(read_npy_rows(&labels, targets, options, err));
    glia_status status = finish(out, &labels, inputs, targets, options, err);
    glia_tensor_free(&labels);
    return status;
}

GLIA_READER(npy) = {.name = "npy",
                    .doc = "NumPy arrays: inputs [examples, …], targets (may be left out)",
                    .example = "npy:inputs.npy,targets.npy",
                    .files = {"inputs", "targets"},
                    .read = read_npy};
