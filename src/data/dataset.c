/* dataset.c: data sets: opening, sharing, transforming and gathering batches. */

#include "data/dataset.h"

#include <math.h>
#include <stdio.h>

#include "core/isa.h"

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the data set");
}

void glia__table_free(glia_table *table) {
    glia_tensor_free(&table->inputs);
    glia_tensor_free(&table->targets);
    glia_tensor_free(&table->weights);
    glia_tensor_free(&table->windows.inputs);
    glia_tensor_free(&table->windows.targets);
    if (table->tokens != GLIA_TOKENS_NONE) glia__vocabulary_free(&table->vocabulary);
    glia__arena_free(&table->arena);
    *table = (glia_table){0};
}

bool glia__table_name_classes(glia_table *table, const glia_listing *folders) {
    table->class_names = glia__arena_alloc(&table->arena, folders->count * sizeof *table->class_names);
    for (size_t i = 0; i < folders->count && table->class_names; i++)
        if (!(table->class_names[i] = glia__arena_strdup(&table->arena, folders->names[i]))) return false;
    return table->class_names != NULL;
}

glia_status glia__table_set_labels(glia_table *table, const glia_tensor *labels,
                                   const glia_allocator *allocator, glia_error *err) {
    enum { MOST_CLASSES = 1 << 24 };
    int64_t n = glia_shape_elems(&labels->shape), most = 0;
    GLIA_TRY(glia_tensor_new(&table->targets, GLIA_I64, labels->shape, allocator, err));
    int64_t *to = table->targets.data;
    for (int64_t i = 0; i < n; i++) {
        /* i64 does not fit into the double that glia_tensor_get gives */
        to[i] = labels->dtype == GLIA_I64 ? ((const int64_t *)labels->data)[i]
                                          : (int64_t)glia_tensor_get(labels, i);
        most = GLIA_MAX(most, GLIA_MIN(to[i], MOST_CLASSES - 1) + 1);
    }
    if (!table->classes) table->classes = most;
    return GLIA_OK;
}

static void release(glia_shared_table *shared) {
    if (!shared || --shared->references > 0) return;
    glia__table_free(&shared->table);
    glia__free(shared->allocator, shared, sizeof *shared);
}

void glia_dataset_free(glia_dataset *dataset) {
    if (!dataset) return;
    const glia_allocator *a = dataset->allocator;
    if (dataset->map) {
        glia__free(a, dataset->map, (size_t)dataset->shared->table.vocabulary.count * sizeof *dataset->map);
        glia__vocabulary_free(&dataset->words);
    }
    release(dataset->shared);
    glia__free(a, dataset->order, (size_t)dataset->info.count * sizeof(int64_t));
    glia__free(a, dataset->mean, (size_t)dataset->channels * sizeof(float));
    glia__free(a, dataset->std, (size_t)dataset->channels * sizeof(float));
    glia__free(a, dataset->fill, (size_t)dataset->input_elems * sizeof(float));
    glia__free(a, dataset->weights, (size_t)dataset->info.count * sizeof(float));
    glia__free(a, (char *)dataset->info.name, dataset->info.name ? strlen(dataset->info.name) + 1 : 0);
    glia__free(a, dataset, sizeof *dataset);
}

const glia_dataset_info *glia_dataset_get_info(const glia_dataset *dataset) {
    return &dataset->info;
}

/* --- making ---------------------------------------------------------------------------------------------- */

static char *copy_text(const glia_allocator *allocator, const char *text) {
    char *copy = glia__alloc(allocator, strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

static glia_shape example_shape(const glia_tensor *tensor) {
    glia_shape shape = {.rank = GLIA_MAX(tensor->shape.rank - 1, 0)};
    for (int i = 0; i < shape.rank; i++) shape.dim[i] = tensor->shape.dim[i + 1];
    return shape;
}

static glia_dataset_info info_of(const glia_table *table) {
    glia_dataset_info info = {.count = table->inputs.shape.dim[0],
                              .input_shape = example_shape(&table->inputs),
                              .scale = table->default_scale,
                              .channel_axis = table->channel_axis,
                              .season = table->windows.season,
                              .input_arrays = table->input_arrays,
                              .target_arrays = table->target_arrays,
                              .n_input_arrays = table->n_input_arrays,
                              .n_target_arrays = table->n_target_arrays,
                              .in_place_of = table->in_place_of,
                              .class_names = (const char *const *)table->class_names,
                              .feature_names = (const char *const *)table->feature_names};
    if (!table->targets.data) return info;
    bool classes = table->targets.dtype == GLIA_I64;
    info.target = classes ? GLIA_TARGET_CLASS : GLIA_TARGET_VALUES;
    info.target_shape = example_shape(&table->targets);
    info.classes = classes ? table->classes : 0;
    info.ignores = table->ignores;
    return info;
}

/* A data set that sees `shared` (reference taken over, released on failure). */
static glia_status make(glia_dataset **out, glia_shared_table *shared, const char *name, glia_error *err) {
    glia_dataset *d = glia__calloc(shared->allocator, 1, sizeof *d);
    if (!d) {
        release(shared);
        return out_of_memory(err);
    }
    d->shared = shared;
    d->allocator = shared->allocator;
    d->info = info_of(&shared->table);
    d->input_elems = glia_shape_elems(&d->info.input_shape);
    d->target_elems = glia_shape_elems(&d->info.target_shape);
    d->input_step = shared->table.windows.input_step ? shared->table.windows.input_step : d->input_elems;
    d->target_step = shared->table.windows.target_step ? shared->table.windows.target_step : d->target_elems;
    d->info.name = copy_text(d->allocator, name);
    if (!d->info.name) {
        glia_dataset_free(d);
        return out_of_memory(err);
    }
    *out = d;
    return GLIA_OK;
}

/* --- numbers of the table as floats -------------------------------------------------------------------------- */

/* Pictures are u8: a table of 256 numbers would be no faster than this loop of vectors. */
GLIA_CPU_CLONES(void, convert_bytes,
                (const uint8_t *restrict from, int64_t count, float scale, float *restrict to),
                (from, count, scale, to)) {
    for (int64_t i = 0; i < count; i++) to[i] = (float)from[i] * scale;
}

static void convert(const glia_tensor *x, int64_t first, int64_t count, float scale, float *to) {
    if (x->dtype == GLIA_U8) {
        convert_bytes((const uint8_t *)x->data + first, count, scale, to);
    } else if (x->dtype == GLIA_F32) {
        const float *from = (const float *)x->data + first;
        for (int64_t i = 0; i < count; i++) to[i] = from[i] * scale;
    } else {
        for (int64_t i = 0; i < count; i++) to[i] = (float)glia_tensor_get(x, first + i) * scale;
    }
}

/* Example `n` as it is after scaling, with what was missing filled in. */
static void convert_example(const glia_dataset *d, int64_t n, float *to) {
    float scale = (float)d->info.scale;
    const glia_tensor *x = &d->shared->table.inputs;
    const int64_t first = glia__dataset_row(d, n) * d->input_step;
    if (d->map) {
        const int32_t *words = (const int32_t *)x->data + first;
        for (int64_t i = 0; i < d->input_elems; i++) to[i] = (float)d->map[words[i]];
        return;
    }
    convert(x, first, d->input_elems, scale, to);
    for (int64_t i = 0; d->fill && i < d->input_elems; i++)
        if (isnan(to[i])) to[i] = d->fill[i] * scale;
}

static glia_channels channels_of(const glia_dataset *d) {
    return glia__channels(&d->info.input_shape, d->info.channel_axis);
}

/* Mean and standard deviation of every channel, added up in double. `room`: what one example needs. */
static void add_up(const glia_dataset *d, float *room, double *mean, double *deviation) {
    const glia_channels k = channels_of(d);
    double numbers = (double)d->info.count * (double)(k.outer * k.inner);
    for (int pass = 0; pass < 2; pass++) { /* the second: distances from the means */
        double *sums = pass ? deviation : mean;
        for (int64_t n = 0; n < d->info.count; n++) {
            convert_example(d, n, room);
            for (int64_t oc = 0; oc < k.outer * k.count; oc++) {
                const float *x = room + oc * k.inner;
                const int64_t c = oc % k.count;
                double sum = 0;
                for (int64_t i = 0; i < k.inner; i++)
                    sum += pass ? ((double)x[i] - mean[c]) * ((double)x[i] - mean[c]) : (double)x[i];
                sums[c] += sum;
            }
        }
        for (int64_t c = 0; c < k.count; c++) sums[c] = pass ? sqrt(sums[c] / numbers) : sums[c] / numbers;
    }
}

glia_status glia__dataset_normalize(glia_dataset *d, glia_error *err) {
    size_t n = (size_t)channels_of(d).count;
    double *sums = glia__calloc(d->allocator, 2 * n, sizeof *sums); /* means, deviations */
    float *room = glia__alloc(d->allocator, ((size_t)d->input_elems + 2 * n) * sizeof *room);
    glia_status status = sums && room ? GLIA_OK : out_of_memory(err);
    if (status == GLIA_OK) {
        float *mean = room + d->input_elems, *std = mean + n;
        add_up(d, room, sums, sums + n);
        for (size_t c = 0; c < n; c++) {
            mean[c] = (float)sums[c];
            std[c] = sums[n + c] > 1e-12 ? (float)sums[n + c] : 1; /* a constant column stays constant */
        }
        status = glia_dataset_set_transform(d, d->info.scale, mean, std, err);
    }
    glia__free(d->allocator, sums, 2 * n * sizeof *sums);
    glia__free(d->allocator, room, ((size_t)d->input_elems + 2 * n) * sizeof *room);
    return status;
}

/* The labels must be classes: whatever reads them later may index by them. Where an example has several, some may be
 * ignored. */
static glia_status check_labels(glia_table *table, const char *name, glia_error *err) {
    const int64_t *labels = table->targets.data, n = glia_shape_elems(&table->targets.shape);
    const bool several = table->targets.shape.rank > 1;
    for (int64_t i = 0; i < n; i++) {
        if (labels[i] >= 0 && labels[i] < table->classes) continue;
        table->ignores |= several && labels[i] == GLIA_IGNORED;
        if (several && labels[i] == GLIA_IGNORED) continue;
        return glia_error_set(err, GLIA_BAD_DATA, "%s: label %lld of example %lld is out of range 0 … %lld",
                              name, (long long)labels[i], (long long)(i * table->targets.shape.dim[0] / n),
                              (long long)table->classes - 1);
    }
    return GLIA_OK;
}

/* Targets for every example. */
static glia_status check_table(glia_table *table, const char *name, glia_error *err) {
    int64_t count = table->inputs.shape.rank < 1 ? 0 : table->inputs.shape.dim[0];
    if (count == 0) return glia_error_set(err, GLIA_BAD_DATA, "%s: the data set is empty", name);
    if (glia_shape_elems(&table->inputs.shape) == 0)
        return glia_error_set(err, GLIA_BAD_DATA, "%s: its %lld examples hold no numbers", name,
                              (long long)count);
    if (table->targets.data && table->targets.shape.dim[0] != count)
        return glia_error_set(err, GLIA_BAD_DATA, "%s: %lld inputs but %lld targets", name, (long long)count,
                              (long long)table->targets.shape.dim[0]);
    if (table->targets.data && glia_shape_elems(&table->targets.shape) == 0)
        return glia_error_set(err, GLIA_BAD_DATA, "%s: its %lld examples have targets of no numbers", name,
                              (long long)count);
    const bool classes = table->targets.data && table->targets.dtype == GLIA_I64;
    return classes && !table->predicts_tokens ? check_labels(table, name, err) : GLIA_OK;
}

glia_status glia__dataset_new(glia_dataset **out, glia_table *table, const char *name,
                              const glia_dataset_options *options, glia_error *err) {
    *out = NULL;
    glia_status status = check_table(table, name, err);
    glia_shared_table *shared =
        status == GLIA_OK ? glia__calloc(options->allocator, 1, sizeof *shared) : NULL;
    if (!shared) {
        glia__table_free(table);
        return status == GLIA_OK ? out_of_memory(err) : status;
    }
    *shared = (glia_shared_table){*table, 1, options->allocator};
    *table = (glia_table){0};
    glia_dataset *d;
    GLIA_TRY(make(&d, shared, shared->table.name ? shared->table.name : name, err));
    if (options->scale != 0) d->info.scale = options->scale;
    if (d->shared->table.may_miss)
        status = glia_dataset_set_fill(d, options->n_fill == d->input_elems ? options->fill : NULL, err);
    if (status == GLIA_OK) status = glia_dataset_set_weights(d, d->shared->table.weights.data, err);
    if (status == GLIA_OK) status = glia_dataset_set_vocabulary(d, NULL, 0, err);
    if (status == GLIA_OK && options->normalize == GLIA_YES) status = glia__dataset_normalize(d, err);
    if (status == GLIA_OK)
        *out = d;
    else
        glia_dataset_free(d);
    return status;
}

glia_status glia_dataset_wrap(glia_dataset **out, const glia_tensor *inputs, const glia_tensor *targets,
                              int64_t classes, glia_error *err) {
    *out = NULL;
    if (!inputs || !inputs->data || inputs->shape.rank < 1)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "a data set needs inputs of at least one dimension");
    if (targets && !targets->data)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "the targets have no data; pass NULL for none");
    glia_table table = {.inputs = *inputs, .default_scale = 1, .classes = classes};
    glia__arena_init(&table.arena, NULL);
    table.inputs.owner = NULL;
    if (targets && targets->dtype == GLIA_F32) {
        table.targets = *targets;
        table.targets.owner = NULL;
    } else if (targets && glia_dtype_is_float(targets->dtype)) {
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "expected targets of f32 or class numbers, found %s",
                              glia_dtype_name(targets->dtype));
    } else if (targets) {
        GLIA_TRY(glia__table_set_labels(&table, targets, NULL, err));
    }
    glia_dataset_options options = {0};
    return glia__dataset_new(out, &table, "array", &options, err);
}

static const glia_reader *find_reader(const char *source, size_t length) {
    for (size_t i = 0; i < glia__readers_count; i++) {
        const char *name = glia__readers[i]->name;
        if (strlen(name) == length && strncmp(source, name, length) == 0) return glia__readers[i];
    }
    return NULL;
}

static glia_status unknown_source(const char *source, glia_error *err) {
    const char *names[64];
    char word[64], hint[256] = "";
    size_t count = 0, used = 0;
    for (; count < glia__readers_count && count < 64; count++) names[count] = glia__readers[count]->name;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(source, ":"), source);
    const char *nearest = glia__nearest_word(word, names, count);
    for (size_t i = 0; i < count && used < sizeof hint; i++)
        used += (size_t)snprintf(hint + used, sizeof hint - used, "%s%s", i ? ", " : "", names[i]);
    const char *dot = strrchr(word, '.');
    if (dot && (strcmp(dot, ".csv") == 0 || strcmp(dot, ".npy") == 0))
        return glia_error_set(err, GLIA_NOT_FOUND, "unknown data source '%s'; for that file write %s:%s",
                              word, dot + 1, source);
    if (nearest)
        return glia_error_set(err, GLIA_NOT_FOUND, "unknown data source '%s' (did you mean %s?)", word,
                              nearest);
    return glia_error_set(err, GLIA_NOT_FOUND, "unknown data source '%s' (known: %s)", word, hint);
}

glia_status glia_dataset_open_with(glia_dataset **out, const char *source, glia_dataset_options options,
                                   glia_error *err) {
    *out = NULL;
    size_t length = strcspn(source, ":");
    const glia_reader *reader = find_reader(source, length);
    if (!reader) return unknown_source(source, err);
    glia_table table = {.default_scale = 1};
    glia__arena_init(&table.arena, options.allocator);
    glia_status status = reader->read(&table, source[length] ? source + length + 1 : "", &options, err);
    if (status != GLIA_OK) {
        glia__table_free(&table);
        return status;
    }
    return glia__dataset_new(out, &table, source, &options, err);
}

glia_dataset *glia_dataset_open(const char *source, glia_error *err) {
    glia_dataset *dataset = NULL;
    glia_status status = glia_dataset_open_with(&dataset, source, (glia_dataset_options){0}, err);
    return status == GLIA_OK ? dataset : NULL;
}

/* --- parts and transforms ---------------------------------------------------------------------------------- */

static glia_status take_weights(glia_dataset *part, const glia_dataset *whole, const int64_t *order,
                                glia_error *err) {
    part->weights = glia__alloc(part->allocator, (size_t)part->info.count * sizeof(float));
    if (!part->weights) return out_of_memory(err);
    for (int64_t i = 0; i < part->info.count; i++) part->weights[i] = whole->weights[order[i]];
    part->info.weighted = true;
    return GLIA_OK;
}

glia_status glia_dataset_set_weights(glia_dataset *d, const float *weights, glia_error *err) {
    const size_t bytes = (size_t)d->info.count * sizeof(float);
    for (int64_t i = 0; weights && i < d->info.count; i++)
        if (!(weights[i] >= 0 && isfinite(weights[i])))
            return glia_error_set(err, GLIA_BAD_DATA,
                                  "weight %g of example %lld: expected a number of at least 0",
                                  (double)weights[i], (long long)i);
    float *copy = weights ? glia__alloc(d->allocator, bytes) : NULL;
    if (weights && !copy) return out_of_memory(err);
    if (copy) memcpy(copy, weights, bytes);
    glia__free(d->allocator, d->weights, bytes);
    d->weights = copy;
    d->info.weighted = copy != NULL;
    return GLIA_OK;
}

glia_status glia_dataset_take(glia_dataset **out, const glia_dataset *dataset, const int64_t *order,
                              int64_t count, glia_error *err) {
    *out = NULL;
    for (int64_t i = 0; i < count; i++)
        if (order[i] < 0 || order[i] >= dataset->info.count)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT, "example %lld is out of range 0 … %lld",
                                  (long long)order[i], (long long)dataset->info.count - 1);
    glia_dataset *part;
    dataset->shared->references++;
    GLIA_TRY(make(&part, dataset->shared, dataset->info.name, err));
    part->info.count = count;
    part->order = glia__alloc(part->allocator, (size_t)count * sizeof(int64_t));
    glia_status status = part->order ? GLIA_OK : out_of_memory(err);
    for (int64_t i = 0; i < count && status == GLIA_OK; i++)
        part->order[i] = glia__dataset_row(dataset, order[i]);
    if (status == GLIA_OK)
        status = glia_dataset_set_transform(part, dataset->info.scale, dataset->mean, dataset->std, err);
    if (status == GLIA_OK && dataset->fill) status = glia_dataset_set_fill(part, dataset->fill, err);
    if (status == GLIA_OK && dataset->weights) status = take_weights(part, dataset, order, err);
    if (status == GLIA_OK && dataset->map)
        status = glia_dataset_set_vocabulary(part, dataset->words.words, dataset->words.count, err);
    if (status == GLIA_OK)
        *out = part;
    else
        glia_dataset_free(part);
    return status;
}

glia_status glia_dataset_set_transform(glia_dataset *dataset, double scale, const float *mean,
                                       const float *std, glia_error *err) {
    const int64_t channels = channels_of(dataset).count;
    size_t bytes = (size_t)channels * sizeof(float);
    if (!dataset->channels && (mean || std)) {
        float *new_mean = glia__calloc(dataset->allocator, (size_t)channels, sizeof(float));
        float *new_std = glia__calloc(dataset->allocator, (size_t)channels, sizeof(float));
        if (!new_mean || !new_std) {
            glia__free(dataset->allocator, new_mean, bytes);
            glia__free(dataset->allocator, new_std, bytes);
            return out_of_memory(err);
        }
        dataset->mean = new_mean;
        dataset->std = new_std;
        dataset->channels = channels;
    }
    for (int64_t c = 0; c < dataset->channels; c++) dataset->std[c] = 1;
    if (dataset->mean) memset(dataset->mean, 0, bytes);
    if (mean) memcpy(dataset->mean, mean, bytes);
    if (std) memcpy(dataset->std, std, bytes);
    dataset->info.scale = scale;
    dataset->info.mean = mean || std ? dataset->mean : NULL;
    dataset->info.std = mean || std ? dataset->std : NULL;
    return GLIA_OK;
}

/* The mean of what is known of each feature; 0 where nothing is. */
static void measure_fill(const glia_dataset *d, float *fill) {
    const float *x = d->shared->table.inputs.data;
    for (int64_t c = 0; c < d->input_elems; c++) {
        double sum = 0, known = 0;
        for (int64_t n = 0; n < d->info.count; n++) {
            double value = (double)x[glia__dataset_row(d, n) * d->input_elems + c];
            if (isnan(value)) continue;
            sum += value;
            known++;
        }
        fill[c] = known > 0 ? (float)(sum / known) : 0;
    }
}

glia_status glia_dataset_set_fill(glia_dataset *dataset, const float *fill, glia_error *err) {
    size_t bytes = (size_t)dataset->input_elems * sizeof(float);
    if (!dataset->shared->table.may_miss) return GLIA_OK;
    if (!dataset->fill) dataset->fill = glia__alloc(dataset->allocator, bytes);
    if (!dataset->fill) return out_of_memory(err);
    if (fill)
        memmove(dataset->fill, fill, bytes);
    else
        measure_fill(dataset, dataset->fill);
    dataset->info.fill = dataset->fill;
    return GLIA_OK;
}

/* --- gathering ---------------------------------------------------------------------------------------------- */

static void normalize(const glia_dataset *d, float *x) {
    const glia_channels k = channels_of(d);
    for (int64_t oc = 0; oc < k.outer * k.count; oc++, x += k.inner) {
        const float mean = d->info.mean[oc % k.count], factor = 1 / d->info.std[oc % k.count];
        for (int64_t i = 0; i < k.inner; i++) x[i] = (x[i] - mean) * factor;
    }
}

/* Examples lie anywhere in memory: the next is fetched while one is converted. */
static void prefetch(const glia_dataset *d, int64_t n) {
    const glia_tensor *x = &d->shared->table.inputs;
    const size_t size = glia_dtype_bytes(x->dtype), bytes = (size_t)d->input_elems * size;
    const char *row = (const char *)x->data + (size_t)(glia__dataset_row(d, n) * d->input_step) * size;
    for (size_t i = 0; i < bytes && i < 4096; i += 64) __builtin_prefetch(row + i);
}

/* Targets that are words of the table, as numbers of the vocabulary. */
static void number_words(const glia_dataset *d, int64_t *targets) {
    for (int64_t i = 0; i < d->target_elems; i++) targets[i] = d->map[targets[i]];
}

glia_status glia_dataset_gather(const glia_dataset *d, const int64_t *order, int64_t count, float *inputs,
                                void *targets, glia_error *err) {
    const glia_table *table = &d->shared->table;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = order ? order[i] : i;
        if (at < 0 || at >= d->info.count)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT, "example %lld is out of range 0 … %lld",
                                  (long long)at, (long long)d->info.count - 1);
        int64_t row = glia__dataset_row(d, at);
        int64_t next = i + 1 < count && order ? order[i + 1] : at;
        if (next >= 0 && next < d->info.count) prefetch(d, next);
        convert_example(d, at, inputs + i * d->input_elems);
        if (d->info.mean) normalize(d, inputs + i * d->input_elems);
        if (!targets || !table->targets.data) continue;
        const size_t bytes = glia__dataset_target_bytes(d), size = glia_dtype_bytes(table->targets.dtype);
        memcpy((char *)targets + (size_t)i * bytes,
               (const char *)table->targets.data + (size_t)(row * d->target_step) * size, bytes);
        if (table->predicts_tokens) number_words(d, (int64_t *)targets + i * d->target_elems);
    }
    return GLIA_OK;
}

bool glia__dataset_naive(const glia_dataset *d, int64_t n, float *out) {
    const glia_table *table = &d->shared->table;
    const int64_t season = table->windows.season;
    const float *series = table->windows.targets.data;
    if (!season || !series) return false;
    const int64_t first = (const float *)table->targets.data - series;
    const int64_t start = first + glia__dataset_row(d, n) * d->target_step;
    for (int64_t h = 0; h < d->target_elems; h++) {
        const int64_t at =
            start + h - (h / season + 1) * season; /* the last that is known of that season's place */
        if (at < 0) return false;
        out[h] = series[at];
    }
    return true;
}
