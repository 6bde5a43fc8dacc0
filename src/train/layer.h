/* layer.h: what a layer is. A layer composes ops and parameters; one GLIA_LAYER block in src/train/layers_*.c
 * gives its builder from C, its place in the model file, its documentation and its checks. */
#ifndef GLIA_TRAIN_LAYER_H
#define GLIA_TRAIN_LAYER_H

#include "core/field.h"
#include "glia/model.h"
#include "graph/op.h"

/* What build gets. Inputs are never NULL; their count is within the definition's bounds. */
typedef struct glia_layer_build {
    glia_model *model;
    glia_graph *graph; /* its scope is the layer's: parameters and layers made in it are called after it */
    glia_value *const *inputs;
    int n_inputs;
    const char *name; /* "conv2d_1"; in a layer made of layers: "encoder.conv2d_1" */
    const struct glia_layer_def *def;
} glia_layer_build;

typedef struct glia_layer_def {
    const char *name; /* "conv2d": the word of the model file */
    const char *doc;  /* formula and shapes, one or two lines */
    int min_inputs, max_inputs;
    const char *results;      /* besides the one that build returns, by name: "h|c"; NULL: none */
    const glia_field *fields; /* options; NULL: none. A `name` field is not listed here: every layer has it */
    size_t options_size;
    bool loss;        /* its numbers are to be minimised; what a user of the model wants is its first input */
    bool keeps_steps; /* of sequences [N, T, …]: step t of the result is about step t of the first input */
    const char *shorthand; /* the field that `- dense: 10` sets; NULL: none */
    const char *file; /* the field that names a file, which is looked for beside the model file; NULL: none */
    /* Copies that file, and what belongs to it, to a folder, under its own name: runs keep theirs. */
    glia_status (*copy)(const char *path, const char *folder, glia_error *err);
    /* A whole network of src/zoo. When the model gives it no name, its layers lie in the model itself, so that weights are
     * called as where the network comes from: "layer1.0.conv1.weight". */
    bool network;
    /* Options are resolved: defaults filled, bounds checked. Errors: glia__layer_fail. */
    glia_value *(*build)(const glia_layer_build *b, const void *options);
    const glia_op *op; /* set when the definition stands for an op, see below */
} glia_layer_def;

#define GLIA_LAYER(layer_name) const glia_layer_def glia__layer_def_##layer_name

extern const glia_layer_def *const glia__layers[];
extern const size_t glia__layers_count;

/* Every public op that no layer is called after is a layer too, of its own name, with the op's attributes as its options: axes are
 * those of whole arrays, 0 is the batch. So definitions are handed out by value: number `index` of all, GLIA_LAYER blocks
 * first; false past the last. */
bool glia__layer_def_at(size_t index, glia_layer_def *out);
bool glia__layer_def_find(const char *name, glia_layer_def *out);
/* The layer whose name is most like `name`, or NULL. */
const char *glia__layer_nearest(const char *name);

/* Applies a layer: names it ("kind", "kind_1", … when `name` is NULL), checks inputs and options, builds, and
 * lists it in the model. `options` is the definition's struct (zero means default when `resolved` is false).
 * NULL on failure; the model then holds the error with the layer's name. */
glia_value *glia__layer_apply(glia_model *model, const glia_layer_def *def, const char *name,
                              glia_value *const *inputs, int count, const void *options, bool resolved);
/* The model that owns `value`'s graph, or NULL. */
glia_model *glia__model_of(const glia_value *value);

/* --- for the build functions ------------------------------------------------------------------------------
 */

/* Records "dense 'head' <message>" (no space before a message that starts with a colon); returns NULL. */
glia_value *glia__layer_fail(const glia_layer_build *b, glia_status status, const char *format, ...)
    GLIA_PRINTF(3, 4);
/* How many of a sequence's steps each example has, i64 [N]: what follows is padding. NULL: all. It goes with the value
 * through layers that keep the steps (`keeps_steps`). */
glia_value *glia__layer_lengths(const glia_layer_build *b, const glia_value *x);
void glia__layer_set_lengths(const glia_layer_build *b, const glia_value *x, glia_value *lengths);
/* A result of the layer besides the one that it returns; `name` is among the definition's `results`. NULL has left its error
 * in the graph. */
void glia__layer_set_result(const glia_layer_build *b, const char *name, glia_value *value);
/* A source of the graph, f32 [N, numbers], that begins as 0 and in every later batch is what `last` (of its type) was at the
 * end of the one before; `name` is "h". */
glia_value *glia__layer_state_source(const glia_layer_build *b, const char *name, int64_t numbers);
void glia__layer_carry(const glia_layer_build *b, glia_value *first, glia_value *last);
/* The input's shape without the batch dimension, as "13×13×32" to `out`; returns `out`. */
const char *glia__example_text(const glia_value *x, char *out, size_t capacity);
/* Applies an activation by name; NULL or "" or "linear": x itself. Unknown names are the layer's error. */
glia_value *glia__layer_activate(const glia_layer_build *b, glia_value *x, const char *name);

#endif
