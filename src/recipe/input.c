/* input.c: files that people want predictions for, as a run's model expects them. */
#include <math.h>
#include <stdio.h>

#include "core/log.h"
#include "data/channels.h"
#include "glia/weights.h"
#include "recipe/text.h"
#include "train/model.h"

static bool ends_with(const char *path, const char *ending) {
    size_t a = strlen(path), b = strlen(ending);
    return a >= b && strcmp(path + a - b, ending) == 0;
}

static glia_shape batch_shape(const glia_run *run, int64_t count) {
    glia_shape shape = {.rank = run->input_shape.rank + 1, .dim = {count}};
    for (int i = 0; i < run->input_shape.rank; i++) shape.dim[i + 1] = run->input_shape.dim[i];
    return shape;
}

/* --- pictures ------------------------------------------------------------------------------------------ */

/* One line of `n` values with distance `stride` to `m` values: a triangle as wide as the larger of the two
 * pixels, that is linear interpolation when it grows and a weighted mean of the area when it shrinks. */
static void resample_line(const float *in, int64_t n, float *out, int64_t m, int64_t stride) {
    double ratio = (double)n / (double)m, radius = GLIA_MAX(ratio, 1.0);
    for (int64_t j = 0; j < m; j++) {
        double center = ((double)j + 0.5) * ratio - 0.5, sum = 0, weights = 0;
        int64_t first = GLIA_MAX((int64_t)ceil(center - radius), 0);
        int64_t last = GLIA_MIN((int64_t)floor(center + radius), n - 1);
        for (int64_t i = first; i <= last; i++) {
            double w = 1 - fabs((double)i - center) / radius;
            sum += w * (double)in[i * stride];
            weights += w;
        }
        out[j * stride] = (float)(weights > 0 ? sum / weights : (double)in[GLIA_MIN(j, n - 1) * stride]);
    }
}

/* u8 [C, H, W] to f32 [C, h, w]: columns first, then rows, in a buffer of [max(H, h), max(W, w)]. */
static glia_status resample(const glia_tensor *image, float *out, int64_t h, int64_t w,
                            const glia_allocator *allocator, glia_error *err) {
    int64_t rows = image->shape.dim[1], columns = image->shape.dim[2], width = GLIA_MAX(columns, w);
    size_t bytes = (size_t)(GLIA_MAX(rows, h) * width) * sizeof(float);
    float *a = glia__alloc(allocator, bytes), *b = glia__alloc(allocator, bytes);
    if (!a || !b) {
        glia__free(allocator, a, bytes);
        glia__free(allocator, b, bytes);
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    }
    const uint8_t *pixels = image->data;
    for (int64_t c = 0; c < image->shape.dim[0]; c++, pixels += rows * columns, out += h * w) {
        for (int64_t y = 0; y < rows; y++)
            for (int64_t x = 0; x < columns; x++) a[y * width + x] = (float)pixels[y * columns + x];
        for (int64_t x = 0; x < columns; x++) resample_line(a + x, rows, b + x, h, width);
        for (int64_t y = 0; y < h; y++) resample_line(b + y * width, columns, a + y * width, w, 1);
        for (int64_t y = 0; y < h; y++) memcpy(out + y * w, a + y * width, (size_t)w * sizeof(float));
    }
    glia__free(allocator, a, bytes);
    glia__free(allocator, b, bytes);
    return GLIA_OK;
}

static glia_status read_picture(const glia_run *run, const char *path, glia_tensor *out,
                                const glia_logger *logger, glia_error *err) {
    const glia_allocator *allocator = run->recipe->arena.allocator;
    const glia_shape *want = &run->input_shape;
    glia_tensor image;
    char text[96];
    if (want->rank != 3 || (want->dim[0] != 1 && want->dim[0] != 3))
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "%.200s is a picture, but the model expects examples of %s", path,
                              glia_shape_text(want, text, sizeof text));
    GLIA_TRY(glia_picture_read(&image, path, (int)want->dim[0], allocator, err));
    glia_status status = glia_tensor_new(out, GLIA_F32, batch_shape(run, 1), allocator, err);
    if (status == GLIA_OK) status = resample(&image, out->data, want->dim[1], want->dim[2], allocator, err);
    if (status == GLIA_OK && !glia_shape_equal(&image.shape, want))
        glia__log(logger, GLIA_LOG_INFO, "%s: %lld×%lld pixels, resampled to %lld×%lld", path,
                  (long long)image.shape.dim[1], (long long)image.shape.dim[2], (long long)want->dim[1],
                  (long long)want->dim[2]);
    if (status != GLIA_OK) glia_tensor_free(out);
    glia_tensor_free(&image);
    return status;
}

/* --- arrays -------------------------------------------------------------------------------------------- */

/* How many examples an array holds: [count, …] with as many numbers an example as the model's input, or one
 * example alone; -1 when it does not fit. */
static int64_t examples_in(const glia_run *run, const glia_tensor *array) {
    int64_t elems = glia_shape_elems(&array->shape), one = glia_shape_elems(&run->input_shape);
    if (glia_shape_equal(&array->shape, &run->input_shape)) return 1;
    if (array->shape.rank > 1 && array->shape.dim[0] > 0 && elems == array->shape.dim[0] * one)
        return array->shape.dim[0];
    return elems == one ? 1 : -1;
}

/* The first array of an archive that holds examples of the model, else its first. */
static glia_status read_npz(const glia_run *run, const char *path, glia_tensor *out, glia_error *err) {
    glia_weights *file;
    GLIA_TRY(glia_weights_open(&file, path, run->recipe->arena.allocator, err));
    size_t count = glia_weights_count(file), fits = 0;
    for (size_t i = count; i-- > 0;) {
        glia_tensor array = glia_weights_tensor(file, i);
        if (examples_in(run, &array) > 0) fits = i;
    }
    glia_tensor array = glia_weights_tensor(file, fits);
    glia_status status =
        count ? glia_tensor_new(out, array.dtype, array.shape, run->recipe->arena.allocator, err)
              : glia_error_set(err, GLIA_BAD_DATA, "%.200s holds no array", path);
    if (status == GLIA_OK && glia_tensor_bytes(out)) memcpy(out->data, array.data, glia_tensor_bytes(out));
    glia_weights_close(file);
    return status;
}

static glia_status read_array(const glia_run *run, const char *path, glia_tensor *out, glia_error *err) {
    const glia_allocator *allocator = run->recipe->arena.allocator;
    glia_tensor array;
    char found[96], wanted[96];
    GLIA_TRY(ends_with(path, ".npy")   ? glia_npy_read(&array, path, allocator, err)
             : ends_with(path, ".npz") ? read_npz(run, path, &array, err)
                                       : glia_idx_read(&array, path, 0, allocator, err));
    int64_t count = examples_in(run, &array);
    glia_status status = GLIA_OK;
    if (count < 0) {
        glia_shape batch = batch_shape(run, GLIA_DIM_BATCH);
        status = glia_error_set(err, GLIA_BAD_SHAPE, "%.200s holds %s; the model expects %s (N examples)",
                                path, glia_shape_text(&array.shape, found, sizeof found),
                                glia_shape_text(&batch, wanted, sizeof wanted));
    }
    if (status == GLIA_OK) status = glia_tensor_new(out, GLIA_F32, batch_shape(run, count), allocator, err);
    float *numbers = out->data;
    for (int64_t i = 0, n = status == GLIA_OK ? glia_shape_elems(&array.shape) : 0; i < n; i++)
        numbers[i] = (float)glia_tensor_get(&array, i);
    glia_tensor_free(&array);
    return status;
}

/* --- tables -------------------------------------------------------------------------------------------- */

static bool is_series(const glia_run *run) {
    return strncmp(run->recipe->data.source, "series:", 7) == 0;
}

static glia_status open_table(const glia_run *run, const char *path, const char *label, const char *weight,
                              glia_dataset **out, glia_error *err) {
    glia_text source;
    glia__text_init(&source, run->recipe->arena.allocator);
    glia__text_printf(&source, "%s:%s", is_series(run) ? "series" : "csv", path);
    glia_status status = GLIA_OUT_OF_MEMORY;
    if (source.failed)
        glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    else
        status = glia_dataset_open_with(
            out, source.data,
            (glia_dataset_options){.label = label,
                                   .weight = weight,
                                   .target = run->target == GLIA_TARGET_VALUES ? "values" : "class",
                                   .missing = glia__recipe_missing(run->recipe),
                                   .series = glia__recipe_series_options(run->recipe),
                                   .fill = run->recipe->trained.fill,
                                   .n_fill = run->recipe->trained.n_fill,
                                   .scale = 1,
                                   .allocator = run->recipe->arena.allocator},
            err);
    glia__text_free(&source);
    return status;
}

/* With the columns of target and weight as in training, or without one of them, or both. */
static glia_status read_table(const glia_run *run, const char *path, glia_tensor *out, glia_error *err) {
    const char *const labels[] = {run->recipe->data.label, "none"}, *const weights[] = {
                                                                        run->recipe->data.weight, ""};
    glia_dataset *table = NULL;
    const glia_dataset_info *info = NULL;
    for (int way = *weights[0] ? 0 : 2; way < 4; way++) {
        const bool last = way == 3;
        glia_error refusal = {0}; /* a column may be missing: what else is wrong shows at last */
        glia_dataset_free(table);
        table = NULL;
        glia_status opened =
            open_table(run, path, labels[way % 2], weights[way / 2], &table, last ? err : &refusal);
        if (opened == GLIA_OUT_OF_MEMORY && !last) glia_error_set(err, opened, "%s", refusal.message);
        if (opened == GLIA_OUT_OF_MEMORY || (last && opened != GLIA_OK)) return opened;
        info = table ? glia_dataset_get_info(table) : NULL;
        if (info && glia_shape_equal(&info->input_shape, &run->input_shape)) break;
    }
    glia_status status = GLIA_OK;
    if (!glia_shape_equal(&info->input_shape, &run->input_shape))
        status = glia_error_set(err, GLIA_BAD_SHAPE,
                                "%.200s has %lld columns; the model expects %lld, or one more for the target",
                                path, (long long)glia_shape_elems(&info->input_shape),
                                (long long)glia_shape_elems(&run->input_shape));
    if (status == GLIA_OK)
        status =
            glia_tensor_new(out, GLIA_F32, batch_shape(run, info->count), run->recipe->arena.allocator, err);
    if (status == GLIA_OK) {
        status = glia_dataset_gather(table, NULL, info->count, out->data, NULL, err);
        if (status != GLIA_OK) glia_tensor_free(out);
    }
    glia_dataset_free(table);
    return status;
}

/* The last steps of a series, behind which the forecast begins. What is to be predicted need be no column. */
static glia_status read_series(const glia_run *run, const char *path, glia_tensor *out, glia_error *err) {
    char found[96], wanted[96];
    glia_dataset *series;
    GLIA_TRY(open_table(run, path, "none", "", &series, err));
    const glia_dataset_info *info = glia_dataset_get_info(series);
    const int64_t last = info->count - 1;
    glia_status status = GLIA_OK;
    if (!glia_shape_equal(&info->input_shape, &run->input_shape))
        status = glia_error_set(err, GLIA_BAD_SHAPE, "%.200s holds examples of %s; the model expects %s",
                                path, glia_shape_text(&info->input_shape, found, sizeof found),
                                glia_shape_text(&run->input_shape, wanted, sizeof wanted));
    if (status == GLIA_OK)
        status = glia_tensor_new(out, GLIA_F32, batch_shape(run, 1), run->recipe->arena.allocator, err);
    if (status == GLIA_OK) {
        status = glia_dataset_gather(series, &last, 1, out->data, NULL, err);
        if (status != GLIA_OK) glia_tensor_free(out);
    }
    glia_dataset_free(series);
    return status;
}

/* A network answers nonsense to a NaN without a word. */
static glia_status check_finite(const glia_tensor *inputs, const char *path, glia_error *err) {
    const float *x = inputs->data;
    int64_t count = glia_shape_elems(&inputs->shape), one = count / GLIA_MAX(inputs->shape.dim[0], 1);
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(x[i]))
            return glia_error_set(err, GLIA_BAD_DATA,
                                  "%.200s: example %lld holds %g; a network needs finite numbers", path,
                                  (long long)(i / one), (double)x[i]);
    return GLIA_OK;
}

/* input = (raw · scale − mean[channel]) / std[channel] */
static void transform(const glia_run *run, bool invert, glia_tensor *inputs) {
    const glia_channels of = glia__channels(&run->input_shape, run->channel_axis);
    float *x = inputs->data;
    for (int64_t i = 0; i < inputs->shape.dim[0] * of.outer; i++)
        for (int64_t c = 0; c < of.count; c++)
            for (int64_t k = 0; k < of.inner; k++, x++) {
                double value = (invert ? 255 - (double)*x : (double)*x) * run->scale;
                if (run->mean) value -= (double)run->mean[c];
                if (run->std) value /= (double)run->std[c];
                *x = (float)value;
            }
}

/* --- several arrays ------------------------------------------------------------------------------------- */

/* The names of the inputs that the file has, or that cannot be missing; where[i]: its place among them, -1: missing. */
static glia_status there(const glia_run *run, const char *path, int *where, glia_text *names,
                         glia_error *err) {
    const glia_recipe *recipe = run->recipe;
    glia_weights *file;
    GLIA_TRY(glia_weights_open(&file, path, recipe->arena.allocator, err));
    glia_status status = GLIA_OK;
    int count = 0;
    for (int i = 0; i < recipe->n_inputs && status == GLIA_OK; i++) {
        bool wanted = false;
        status = glia__model_needs_input(run->model, i, &wanted, err);
        for (size_t k = 0; k < glia_weights_count(file) && !wanted; k++)
            wanted = strcmp(glia_weights_name(file, k), recipe->inputs[i].name) == 0;
        where[i] = wanted ? count++ : -1;
        if (wanted) glia__text_printf(names, "%s%s", names->length ? "," : "", recipe->inputs[i].name);
    }
    glia_weights_close(file);
    if (status == GLIA_OK && names->failed) status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    return status;
}

/* The arrays that are there, each to its place in the rows. */
static glia_status spread(const glia_run *run, const glia_dataset *data, const int *where, glia_tensor *out,
                          glia_error *err) {
    const glia_dataset_info *info = glia_dataset_get_info(data);
    const int64_t from = glia_shape_elems(&info->input_shape), to = run->input_shape.dim[0];
    const size_t bytes = (size_t)(info->count * from) * sizeof(float);
    const glia_allocator *allocator = run->recipe->arena.allocator;
    float *rows = glia__alloc(allocator, bytes);
    if (!rows) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia_status status = glia_dataset_gather(data, NULL, info->count, rows, NULL, err);
    if (status == GLIA_OK)
        status = glia_tensor_new(out, GLIA_F32, GLIA_SHAPE(info->count, to), allocator, err);
    if (status == GLIA_OK) memset(out->data, 0, glia_tensor_bytes(out));
    int64_t at = 0, taken = 0;
    for (int i = 0; i < run->recipe->n_inputs && status == GLIA_OK; i++) {
        const int64_t elems = glia_shape_elems(&run->recipe->inputs[i].shape);
        for (int64_t n = 0; where[i] >= 0 && n < info->count; n++)
            memcpy((float *)out->data + n * to + at, rows + n * from + taken, (size_t)elems * sizeof(float));
        at += elems;
        taken += where[i] >= 0 ? elems : 0;
    }
    glia__free(allocator, rows, bytes);
    return status;
}

static glia_status check_shapes(const glia_run *run, const glia_dataset_info *info, const int *where,
                                const char *path, glia_error *err) {
    char found[96], wanted[96];
    for (int i = 0; i < run->recipe->n_inputs; i++) {
        const glia_shape *want = &run->recipe->inputs[i].shape,
                         *have = where[i] < 0 ? want : &info->input_arrays[where[i]].shape;
        if (glia_shape_elems(want) != glia_shape_elems(have))
            return glia_error_set(err, GLIA_BAD_SHAPE,
                                  "%.200s: array '%s' holds examples of %s; the model expects %s", path,
                                  run->recipe->inputs[i].name, glia_shape_text(have, found, sizeof found),
                                  glia_shape_text(want, wanted, sizeof wanted));
    }
    return GLIA_OK;
}

static glia_status read_several(const glia_run *run, const char *path, glia_tensor *out, glia_error *err) {
    int where[GLIA_RECIPE_PARTS];
    glia_dataset *data = NULL;
    glia_text names, source;
    glia__text_init(&names, run->recipe->arena.allocator);
    glia__text_init(&source, run->recipe->arena.allocator);
    glia__text_printf(&source, "npz:%s", path);
    glia_status status = there(run, path, where, &names, err);
    if (status == GLIA_OK)
        status = glia_dataset_open_with(&data, source.failed ? "" : source.data,
                                        (glia_dataset_options){.inputs = names.data,
                                                               .scale = 1,
                                                               .allocator = run->recipe->arena.allocator},
                                        err);
    if (status == GLIA_OK) status = check_shapes(run, glia_dataset_get_info(data), where, path, err);
    if (status == GLIA_OK) status = spread(run, data, where, out, err);
    glia_dataset_free(data);
    glia__text_free(&names);
    glia__text_free(&source);
    return status;
}

glia_status glia_run_read(const glia_run *run, const char *path, bool invert, glia_tensor *out,
                          const glia_logger *logger, glia_error *err) {
    *out = (glia_tensor){.data = NULL};
    if (glia__run_tokens(run) != GLIA_TOKENS_NONE) return glia__run_read_texts(run, path, out, err);
    if (run->recipe->n_inputs)
        GLIA_TRY(read_several(run, path, out, err));
    else if (ends_with(path, ".png") || ends_with(path, ".jpg") || ends_with(path, ".jpeg"))
        GLIA_TRY(read_picture(run, path, out, logger, err));
    else if (is_series(run) && ends_with(path, ".csv"))
        GLIA_TRY(read_series(run, path, out, err));
    else if (ends_with(path, ".csv"))
        GLIA_TRY(read_table(run, path, out, err));
    else
        GLIA_TRY(read_array(run, path, out, err));
    transform(run, invert, out);
    glia_status status = check_finite(out, path, err);
    if (status != GLIA_OK) glia_tensor_free(out);
    return status;
}
