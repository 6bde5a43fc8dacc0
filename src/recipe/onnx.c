/* onnx.c: a model file for an ONNX file: its network as the one layer, and what it says of its input. */
#include <stdio.h>
#include <stdlib.h>

#include "glia/onnx.h"
#include "recipe/import.h"

bool glia__names_onnx(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && strcmp(dot, ".onnx") == 0;
}

/* The shape of one example, from the file's first input: what follows the batch. */
static glia_status example_of(const char *path, glia_shape *out, glia_error *err) {
    glia_onnx *file;
    glia_dtype dtype;
    glia_shape shape;
    char text[128];
    GLIA_TRY(glia_onnx_open(&file, path, NULL, err));
    glia_status status = glia_onnx_input_type(file, 0, &dtype, &shape, err);
    glia_onnx_close(file);
    GLIA_TRY(status);
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

static void add_recipe(const char *path, const glia_shape *input, glia_text *out) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(base, "."), base);
    glia__text_add(out, "name: ");
    glia__yaml_quote(out, *name ? name : "model");
    glia__text_add(out, "\nmodel: {onnx: {file: ");
    glia__yaml_quote(out, path);
    glia__text_add(out, "}}\ntrained: {input_shape: [");
    for (int d = 0; d < input->rank; d++)
        glia__text_printf(out, "%s%lld", d ? ", " : "", (long long)input->dim[d]);
    glia__text_add(out, "]}\n");
}

glia_status glia__onnx_recipe(glia_recipe **out, const char *path, const glia_shape *input,
                              const char *const *overrides, size_t count, glia_error *err) {
    glia_shape shape = *input;
    glia_text text;
    char *whole = realpath(path, NULL);
    *out = NULL;
    if (!whole) return glia_error_set(err, GLIA_NOT_FOUND, "there is no file %.300s", path);
    glia_status status = shape.rank ? GLIA_OK : example_of(whole, &shape, err);
    glia__text_init(&text, NULL);
    add_recipe(whole, &shape, &text);
    free(whole);
    if (status == GLIA_OK && text.failed) status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (status == GLIA_OK)
        status = glia__recipe_parse(out, path, text.data, text.length, overrides, count, NULL, err);
    glia__text_free(&text);
    return status;
}
