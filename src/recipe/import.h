/* import.h: weights that others trained, to a run directory. */
#ifndef GLIA_RECIPE_IMPORT_H
#define GLIA_RECIPE_IMPORT_H

#include "glia/weights.h"
#include "recipe/recipe.h"

typedef struct glia_recipe_import {
    const char *model; /* a model file, or a run; NULL: what the file of weights says of its model */
    const char *const *overrides; /* "data.source=mnist" */
    size_t n_overrides;
    const char *weights; /* a file of weights */
    glia_import_options options;
    glia_shape input;     /* of one example; rank 0: the run's, or the data's */
    glia_run_options run; /* dir NULL: runs/NAME-imported */
} glia_recipe_import;

/* Builds the model and loads the weights: a run that is nowhere on disk. *report is to be freed; it is there as soon as file
 * and model could be compared. */
GLIA_MUST_CHECK glia_status glia__recipe_import_open(const glia_recipe_import *request, glia_run *run,
                                                     glia_import_report **report, glia_error *err);
/* The same, and writes the run, which predicts, evaluates and exports. `dir` (1024 bytes) becomes its folder. */
GLIA_MUST_CHECK glia_status glia__recipe_import(const glia_recipe_import *request,
                                                glia_import_report **report, char *dir, glia_error *err);

/* Whether the name is that of an ONNX file. */
bool glia__names_onnx(const char *path);
/* The model file that stands for an ONNX file: its network is the one layer. `input`: shape of one example, rank 0: as the
 * file has it. What the model gives is learnt by glia__recipe_learn_shape, or from data. */
GLIA_MUST_CHECK glia_status glia__onnx_recipe(glia_recipe **out, const char *path, const glia_shape *input,
                                              const char *const *overrides, size_t count, glia_error *err);
/* Notes in the recipe, after that, what the file's metadata say of classes and raw data; what the caller set himself stays. */
GLIA_MUST_CHECK glia_status glia__onnx_learn(glia_recipe *recipe, const char *path, const glia_logger *logger,
                                             glia_error *err);
/* Notes in the recipe what data would tell, from the shape of one example alone. */
GLIA_MUST_CHECK glia_status glia__recipe_learn_shape(glia_recipe *recipe, glia_shape input, glia_error *err);

/* The model file that stands for a Keras model, from its `model_config`. `counted`: layers are called by class and number, as
 * the arrays of .keras files are, not by their names. `data`: data will say what goes in; else the config does. GLIA_UNSUPPORTED, naming the layer, for what is no plain sequence of known layers. */
GLIA_MUST_CHECK glia_status glia__keras_recipe(const char *config, const char *name, bool counted, bool data,
                                               glia_text *out, glia_error *err);

#endif
