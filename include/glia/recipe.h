/* recipe.h: the model file (YAML) and the run directory that training it leaves. */
#ifndef GLIA_RECIPE_H
#define GLIA_RECIPE_H

#include "glia/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A parsed model file: data, model, loss, optimizer, metrics, train. */
typedef struct glia_recipe glia_recipe;

/* Reads and checks the whole file. `overrides` are "train.epochs=3" words, applied before checking. Errors
 * carry file, line and column. Free with glia_recipe_free. */
GLIA_API GLIA_MUST_CHECK glia_status glia_recipe_load(glia_recipe **out, const char *path,
                                                      const char *const *overrides, size_t count,
                                                      const glia_allocator *allocator, glia_error *err);
GLIA_API void glia_recipe_free(glia_recipe *recipe);
GLIA_API const char *glia_recipe_name(const glia_recipe *recipe); /* file name without its ending */
/* The file with every default written out; valid while the recipe lives. */
GLIA_API const char *glia_recipe_resolved(const glia_recipe *recipe);
/* Opens the data: *validation NULL when the file asks for none, *test NULL when the source has none. NULL
 * pointers: that part is not wanted. The caller frees them. */
GLIA_API GLIA_MUST_CHECK glia_status glia_recipe_data(const glia_recipe *recipe, glia_dataset **train,
                                                      glia_dataset **validation, glia_dataset **test,
                                                      const glia_logger *logger, glia_error *err);
/* Builds the model for examples of `input_shape`; `classes` (0: unknown) is used only to check the last
 * layer. The caller frees it. Warnings (softmax before a loss on logits) go to `logger`. */
GLIA_API GLIA_MUST_CHECK glia_status glia_recipe_model(const glia_recipe *recipe, glia_shape input_shape,
                                                       int64_t classes, glia_model **out,
                                                       const glia_logger *logger, glia_error *err);
/* Loss, optimiser and training settings. Strings belong to the recipe. */
GLIA_API glia_fit_options glia_recipe_fit_options(const glia_recipe *recipe);

/* A finished or running training on disk: RUN/config.yaml, last.safetensors, best.safetensors, metrics.jsonl,
 * log.txt, report.html. Opens its recipe and builds its model with the best weights (the last when there are
 * no best). Input shape, classes, class names and the input transform are those of training. */
typedef struct glia_run {
    glia_recipe *recipe;
    glia_model *model;
    glia_shape input_shape;
    int64_t classes;
    const char *const *class_names; /* or NULL */
    double scale;
    const float *mean, *std; /* per channel, or NULL */
    struct glia_run_private *private_;
} glia_run;
GLIA_API GLIA_MUST_CHECK glia_status glia_run_open(glia_run *run, const char *path,
                                                   const glia_allocator *allocator, glia_error *err);
GLIA_API void glia_run_close(glia_run *run);

#ifdef __cplusplus
}
#endif
#endif
