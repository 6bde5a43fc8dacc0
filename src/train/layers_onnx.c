/* layers_onnx.c: the network of an ONNX file as a layer: with its weights, to be run, trained, cut and built upon. */

#include <stdio.h>

#include "onnx/proto.h"
#include "train/model.h"

typedef struct onnx_options {
    const char *file, *output;
    glia_bool trainable;
} onnx_options;

/* Where the parameters of the file go. */
typedef struct destination {
    const glia_layer_build *b;
    const glia_onnx *file;
    bool frozen;
} destination;

static bool taken(const glia_graph *graph, const char *name) {
    for (size_t i = 0; i < graph->n_values; i++)
        if (!graph->values[i]->node && strcmp(graph->values[i]->name, name) == 0) return true;
    return false;
}

/* Names stay those of the file, so that its weights are found again; the layer's name goes before those that another
 * layer has. */
static glia_value *make_param(void *ctx, const char *name, const glia_tensor *data, bool trained) {
    const destination *to = ctx;
    glia_graph *graph = to->b->graph;
    const char *scope = graph->scope;
    graph->scope = taken(graph, name) ? to->b->name : "";
    glia_value *value = glia__model_param_given(to->b->model, name, data, to->file, trained && !to->frozen);
    graph->scope = scope;
    return value;
}

static void set_update(void *ctx, glia_value *state, glia_value *update) {
    const destination *to = ctx;
    glia_model_set_update(to->b->model, state, update);
}

/* Inputs are the file's, but that their batch may be open where the file's is fixed to one. */
static bool inputs_fit(const glia_layer_build *b, glia_onnx *file) {
    char have[128], want[128];
    for (int i = 0; i < b->n_inputs || glia_onnx_input(file, (size_t)i); i++) {
        glia_error err = {0};
        glia_dtype dtype;
        glia_shape shape;
        if (i >= b->n_inputs || !glia_onnx_input(file, (size_t)i)) {
            if (glia__onnx_check_operators(file, &err) != GLIA_OK) { /* with those no other input helps */
                (void)glia__layer_fail(b, err.status, ": %s", err.message);
                return false;
            }
            (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "has %d inputs, but its file takes %zu", b->n_inputs,
                                   file->n_inputs);
            return false;
        }
        if (glia_onnx_input_type(file, (size_t)i, &dtype, &shape, &err) != GLIA_OK) {
            (void)glia__layer_fail(b, err.status, ": %s", err.message);
            return false;
        }
        const glia_shape x = glia_value_shape(b->inputs[i]);
        bool fits = x.rank == shape.rank && glia_value_dtype(b->inputs[i]) == dtype;
        for (int d = 0; d < x.rank && fits; d++)
            fits = shape.dim[d] < 0 || x.dim[d] == shape.dim[d] || (d == 0 && shape.dim[d] == 1);
        if (fits) continue;
        (void)glia__layer_fail(b, GLIA_BAD_SHAPE, "gets %s %s as '%s', its file wants %s %s",
                               glia_dtype_name(glia_value_dtype(b->inputs[i])),
                               glia_shape_text(&x, have, sizeof have), glia_onnx_input(file, (size_t)i),
                               glia_dtype_name(dtype), glia_shape_text(&shape, want, sizeof want));
        return false;
    }
    return true;
}

static glia_value *build_file(const glia_layer_build *b, const onnx_options *o, glia_onnx *file) {
    glia_error err = {0};
    glia_value *y = NULL;
    if (!inputs_fit(b, file)) return NULL;
    destination to = {b, file, o->trainable == GLIA_NO};
    const bool cut = o->output && *o->output;
    if (!cut && glia_onnx_output(file, 1))
        return glia__layer_fail(
            b, GLIA_INVALID_ARGUMENT,
            ": its file has several outputs, the first are '%.60s' and '%.60s'; name one as `output` "
            "(model.onnx.output=NAME on the command line)",
            glia_onnx_output(file, 0), glia_onnx_output(file, 1));
    const glia_onnx_options options = {.inputs = b->inputs,
                                       .n_inputs = (size_t)b->n_inputs,
                                       .outputs = &o->output,
                                       .n_outputs = cut,
                                       .parameters = {.ctx = &to, .make = make_param, .update = set_update},
                                       .frozen = to.frozen ? GLIA_YES : GLIA_NO};
    if (glia_onnx_build(file, b->graph, options, &y, 1, &err) == GLIA_OK) return y;
    glia_error_clear(&b->graph->error); /* to say it with the layer's name */
    return glia__layer_fail(b, err.status, ": %s", err.message);
}

static glia_value *build_onnx(const glia_layer_build *b, const void *options) {
    const onnx_options *o = options;
    glia_error err = {0};
    glia_onnx *file;
    if (glia_onnx_open(&file, o->file, b->model->allocator, &err) != GLIA_OK)
        return glia__layer_fail(b, err.status, ": %s", err.message);
    if (!glia__model_keep_file(b->model, file)) { /* the weights stay there until the model is initialised */
        glia_onnx_close(file);
        return glia_graph_fail(b->graph, GLIA_OUT_OF_MEMORY, b->name, "out of memory");
    }
    return build_file(b, o, file);
}

GLIA_LAYER(onnx) = {
    .name = "onnx",
    .doc = "the network of an ONNX file, with its weights: [N, …] → what the file says",
    .min_inputs = 1,
    .max_inputs = 16,
    .fields = GLIA_FIELDS({.name = "file",
                           .kind = GLIA_FIELD_STRING,
                           .offset = offsetof(onnx_options, file),
                           .doc = "the .onnx file"},
                          {.name = "output",
                           .kind = GLIA_FIELD_STRING,
                           .offset = offsetof(onnx_options, output),
                           .initial = "",
                           .doc = "the tensor of the file to end at; default its only output"},
                          {.name = "trainable",
                           .kind = GLIA_FIELD_BOOL,
                           .offset = offsetof(onnx_options, trainable),
                           .initial = "yes",
                           .doc = "no: its weights stay as they are, and it works as outside of training"}),
    .options_size = sizeof(onnx_options),
    .shorthand = "file",
    .file = "file",
    .copy = glia__onnx_copy,
    .build = build_onnx,
};
