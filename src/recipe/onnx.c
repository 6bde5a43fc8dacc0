/* onnx.c: a model file for an ONNX file: its network as the one layer, what it says of its input, and in its metadata of
 * classes and of raw data. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"
#include "data/channels.h"
#include "glia/onnx.h"
#include "recipe/import.h"
#include "recipe/yaml.h"

bool glia__names_onnx(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && strcmp(dot, ".onnx") == 0;
}

/* The shape of one example, from the file's first input: what follows the batch. */
static glia_status example_of(const glia_onnx *file, const char *path, glia_shape *out, glia_error *err) {
    glia_dtype dtype;
    glia_shape shape;
    char text[128];
    GLIA_TRY(glia_onnx_input_type(file, 0, &dtype, &shape, err));
    *out = (glia_shape){.rank = GLIA_MAX(shape.rank - 1, 0)};
    for (int d = 1; d < shape.rank; d++) {
        out->dim[d - 1] = shape.dim[d];
        if (shape.dim[d] <= 0)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "%.300s leaves its input open: %s; --input says the shape of one example",
                                  path, glia_shape_text(&shape, text, sizeof text));
    }
    if (out->rank) return GLIA_OK;
    return glia_error_set(err, GLIA_UNSUPPORTED, "%.300s: its input is no batch of examples, but %s", path,
                          glia_shape_text(&shape, text, sizeof text));
}

static void add_recipe(const glia_onnx *file, const char *path, const glia_shape *input, glia_text *out) {
    const char *target = glia_onnx_metadata(file, "target");
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(base, "."), base);
    glia__text_add(out, "name: ");
    glia__yaml_quote(out, *name ? name : "model");
    glia__text_add(out, "\nmodel: {onnx: {file: ");
    glia__yaml_quote(out, path);
    glia__text_add(out, target && strcmp(target, "values") == 0 ? "}}\nloss: mse" : "}}");
    glia__text_add(out, "\ntrained: {input_shape: [");
    for (int d = 0; d < input->rank; d++)
        glia__text_printf(out, "%s%lld", d ? ", " : "", (long long)input->dim[d]);
    glia__text_add(out, "]}\n");
}

glia_status glia__onnx_recipe(glia_recipe **out, const char *path, const glia_shape *input,
                              const char *const *overrides, size_t count, glia_error *err) {
    glia_shape shape = *input;
    glia_text text;
    glia_onnx *file;
    char *whole = realpath(path, NULL);
    *out = NULL;
    if (!whole) return glia_error_set(err, GLIA_NOT_FOUND, "there is no file %.300s", path);
    glia__text_init(&text, NULL);
    glia_status status = glia_onnx_open(&file, whole, NULL, err);
    if (status == GLIA_OK) {
        status = shape.rank ? GLIA_OK : example_of(file, path, &shape, err);
        add_recipe(file, whole, &shape, &text);
        glia_onnx_close(file);
    }
    free(whole);
    if (status == GLIA_OK && text.failed) status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (status == GLIA_OK)
        status = glia__recipe_parse(out, path, text.data, text.length, overrides, count, NULL, err);
    glia__text_free(&text);
    return status;
}

/* --- metadata -------------------------------------------------------------------------------------------------- */

/* A value of the metadata, which is JSON and so YAML too; NULL: there is none, or it is something else. */
static const glia_yaml *metadata(glia_recipe *recipe, const glia_onnx *file, const char *key,
                                 glia_yaml_kind kind) {
    glia_error err = {0};
    glia_yaml *node;
    const char *text = glia_onnx_metadata(file, key);
    if (!text || glia__yaml_parse(&node, &recipe->arena, text, strlen(text), key, &err) != GLIA_OK)
        return NULL;
    return node->kind == kind ? node : NULL;
}

/* The names of the classes of what the model gives: [N, classes], [N, positions, classes] or, of pictures, [N, classes,
 * height, width]. False: there are not as many. */
static bool take_labels(glia_recipe *recipe, const glia_yaml *labels) {
    glia_recipe_trained *t = &recipe->trained;
    const glia_shape given = t->target_shape;
    const int at = given.rank > 2 ? 0 : given.rank - 1;
    if (t->classes ? t->classes != labels->count : given.rank < 2 || given.dim[at] != labels->count)
        return false;
    const char **names = glia__arena_alloc(&recipe->arena, (size_t)labels->count * sizeof *names);
    if (!names) return false;
    int64_t count = 0;
    for (const glia_yaml *n = labels->first; n; n = n->next) names[count++] = n->text;
    t->class_names = names;
    t->n_class_names = count;
    if (t->classes) return true;
    t->classes = count;
    t->target = GLIA_TARGET_CLASS;
    t->target_shape = (glia_shape){0};
    for (int d = 0; d < given.rank; d++)
        if (d != at) t->target_shape.dim[t->target_shape.rank++] = given.dim[d];
    return true;
}

/* A number for each of the channels, or nothing; false: it is neither. */
static bool take_channels(glia_recipe *recipe, const glia_yaml *list, int64_t channels, double least,
                          float **out, int64_t *count) {
    const glia_field number = {.name = "number", .kind = GLIA_FIELD_FLOAT, .min = least, .max = 1e30};
    double value;
    if (!list) return true;
    if (list->kind != GLIA_YAML_LIST || list->count != channels) return false;
    float *numbers = glia__arena_alloc(&recipe->arena, (size_t)list->count * sizeof *numbers);
    if (!numbers) return false;
    *count = 0;
    for (const glia_yaml *n = list->first; n; n = n->next) {
        glia_error err = {0};
        if (glia__recipe_field(n, &number, &value, &recipe->arena, &err) != GLIA_OK) return false;
        numbers[(*count)++] = (float)value;
    }
    *out = numbers;
    return true;
}

/* {"scale": …, "mean": […], "std": […], "axis": …}; false when it cannot be followed. */
static bool take_preprocessing(glia_recipe *recipe, const glia_yaml *map) {
    static const glia_field scale = {.name = "scale", .kind = GLIA_FIELD_FLOAT, .min = -1e30, .max = 1e30};
    static const glia_field axis = {
        .name = "axis", .kind = GLIA_FIELD_INT, .min = 1, .max = GLIA_MAX_RANK - 1};
    glia_recipe_trained t = recipe->trained;
    const glia_yaml *given = glia__yaml_get(map, "scale"), *along = glia__yaml_get(map, "axis");
    glia_error err = {0};
    int64_t dimension = 1 + t.channel_axis;
    t.mean = t.std = NULL;
    t.n_mean = t.n_std = 0;
    if (given && glia__recipe_field(given, &scale, &t.scale, &recipe->arena, &err) != GLIA_OK) return false;
    if (along && glia__recipe_field(along, &axis, &dimension, &recipe->arena, &err) != GLIA_OK) return false;
    if (dimension > t.input_shape.rank) return false;
    t.channel_axis = dimension - 1;
    const int64_t channels = glia__channels(&t.input_shape, (int)t.channel_axis).count;
    if (!take_channels(recipe, glia__yaml_get(map, "mean"), channels, -1e30, &t.mean, &t.n_mean) ||
        !take_channels(recipe, glia__yaml_get(map, "std"), channels, 1e-30, &t.std, &t.n_std))
        return false;
    recipe->trained = t;
    return true;
}

/* Everything else is where the model comes from: it is kept for the next export. */
static bool take_origin(glia_recipe *recipe, const glia_onnx *file) {
    static const char *const used[] = {"labels", "preprocessing", "target"};
    glia_recipe_trained *t = &recipe->trained;
    size_t count = 0;
    const char *key;
    while (glia_onnx_metadata_key(file, count)) count++;
    t->origin = glia__arena_alloc(&recipe->arena, (count + 1) * sizeof *t->origin);
    t->n_origin = 0;
    if (!t->origin) return false;
    for (size_t i = 0; (key = glia_onnx_metadata_key(file, i)); i++) {
        bool taken = !*key || strchr(key, '=');
        for (size_t u = 0; u < GLIA_COUNT(used); u++) taken |= strcmp(key, used[u]) == 0;
        if (taken || t->n_origin == GLIA_MOST_ORIGIN) continue;
        t->origin[t->n_origin] =
            glia__arena_printf(&recipe->arena, "%s=%s", key, glia_onnx_metadata(file, key));
        if (!t->origin[t->n_origin++]) return false;
    }
    return true;
}

glia_status glia__onnx_learn(glia_recipe *recipe, const char *path, const glia_logger *logger,
                             glia_error *err) {
    glia_onnx *file;
    GLIA_TRY(glia_onnx_open(&file, path, NULL, err));
    const glia_yaml *labels = metadata(recipe, file, "labels", GLIA_YAML_LIST);
    const glia_yaml *raw = metadata(recipe, file, "preprocessing", GLIA_YAML_MAP);
    if (labels && !recipe->trained.n_class_names && !take_labels(recipe, labels))
        glia__log(logger, GLIA_LOG_WARNING,
                  "%s names %d classes, but its network gives another number of them", path, labels->count);
    const bool asked = recipe->data.scale != 0 || recipe->data.normalize == GLIA_YES;
    if (raw && !asked && !take_preprocessing(recipe, raw))
        glia__log(logger, GLIA_LOG_WARNING,
                  "%s: its preprocessing is not for inputs of this shape; inputs stay as they are", path);
    const bool kept = take_origin(recipe, file);
    glia_onnx_close(file);
    return kept ? glia__recipe_resolve(recipe, err)
                : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
}
