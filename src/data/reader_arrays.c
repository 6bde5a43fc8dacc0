/* reader_arrays.c: data sets of arrays: IDX and NPY files, "inputs,targets". */

#include <math.h>
#include <stdio.h>

#include "data/reader.h"
#include "io/weights.h"

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

/* Integer labels become i64 classes, of examples ([n] or, as in Keras, [n, 1]) or of positions; floats stay values. */
static glia_status to_targets(glia_table *table, glia_tensor *raw, const char *path,
                              const glia_dataset_options *options, glia_error *err) {
    if (glia_dtype_is_float(raw->dtype)) {
        GLIA_TRY(glia_tensor_new(&table->targets, GLIA_F32, raw->shape, options->allocator, err));
        int64_t n = glia_shape_elems(&raw->shape);
        for (int64_t i = 0; i < n; i++) glia_tensor_set(&table->targets, i, glia_tensor_get(raw, i));
        return GLIA_OK;
    }
    if (raw->shape.rank < 1)
        return glia_error_set(err, GLIA_BAD_DATA, "%s: expected labels [examples, …], found a scalar", path);
    if (raw->shape.rank == 2 && raw->shape.dim[1] == 1) raw->shape.rank = 1;
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

/* --- NPZ ------------------------------------------------------------------------------------------------ */

/* How inputs and targets are called when nobody says: first those of Keras's own data sets. */
static const char *const usual_names[][2] = {{"x_train", "y_train"}, {"x", "y"},           {"X", "y"},
                                             {"inputs", "targets"},  {"images", "labels"}, {"data", "labels"},
                                             {"arr_0", "arr_1"}};

/* The place of the array called `name`, or -1. */
static int64_t find_array(const glia_weights *file, const char *name) {
    for (size_t i = 0; i < glia_weights_count(file); i++)
        if (strcmp(glia_weights_name(file, i), name) == 0) return (int64_t)i;
    return -1;
}

static glia_status no_array(const glia_weights *file, const char *path, const char *name, glia_error *err) {
    char list[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < glia_weights_count(file) && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                                 glia_weights_name(file, i));
    return glia_error_set(err, GLIA_NOT_FOUND, "%.200s holds no array '%.60s'; it holds %s", path, name,
                          *list ? list : "none");
}

/* A copy of the first `limit` rows (0: all) of an array of the file. */
static glia_status copy_rows(glia_tensor *out, const glia_weights *file, size_t index,
                             const glia_dataset_options *options, glia_error *err) {
    glia_tensor all = glia_weights_tensor(file, index);
    glia_shape shape = all.shape;
    if (shape.rank > 0 && options->limit > 0) shape.dim[0] = GLIA_MIN(shape.dim[0], options->limit);
    GLIA_TRY(glia_tensor_new(out, all.dtype, shape, options->allocator, err));
    if (glia_tensor_bytes(out)) memcpy(out->data, all.data, glia_tensor_bytes(out));
    return GLIA_OK;
}

static glia_status read_arrays(glia_table *out, glia_tensor *labels, const glia_weights *file,
                               const char *path, const char *inputs, const char *targets,
                               const glia_dataset_options *options, glia_error *err) {
    for (size_t i = 0; i < GLIA_COUNT(usual_names) && !*inputs; i++)
        if (find_array(file, usual_names[i][0]) >= 0) {
            inputs = usual_names[i][0];
            targets = find_array(file, usual_names[i][1]) >= 0 ? usual_names[i][1] : "";
        }
    int64_t x = find_array(file, inputs), y = *targets ? find_array(file, targets) : 0;
    if (x < 0 || y < 0) return no_array(file, path, x < 0 ? (*inputs ? inputs : "x") : targets, err);
    GLIA_TRY(copy_rows(&out->inputs, file, (size_t)x, options, err));
    if (out->inputs.shape.rank < 1)
        return glia_error_set(err, GLIA_BAD_DATA, "%.200s: '%.60s' is a scalar; expected [examples, …]", path,
                              inputs);
    if (*targets) GLIA_TRY(copy_rows(labels, file, (size_t)y, options, err));
    return finish(out, labels, path, path, options, err);
}

static glia_status read_npz(glia_table *out, const char *source, const glia_dataset_options *options,
                            glia_error *err) {
    char path[1024], arrays[1024], inputs[1024] = "", targets[1024] = "";
    glia_tensor labels = {0};
    glia_weights *file;
    GLIA_TRY(two_paths(source, "npz", path, arrays, sizeof path, err));
    if (options->inputs && *options->inputs) return glia__table_read_named(out, path, options, err);
    if (*arrays) GLIA_TRY(two_paths(arrays, "npz", inputs, targets, sizeof inputs, err));
    GLIA_TRY(glia_weights_open(&file, path, options->allocator, err));
    glia_status status = read_arrays(out, &labels, file, path, inputs, targets, options, err);
    glia_tensor_free(&labels);
    glia_weights_close(file);
    return status;
}

GLIA_READER(npz) = {
    .name = "npz",
    .doc = "NumPy's archive of arrays: the file, the names of the arrays of inputs and targets "
           "(default: x_train and y_train, x and y, …)",
    .example = "npz:mnist.npz,x_test,y_test",
    .files = {"file", "inputs", "targets"},
    .read = read_npz};
