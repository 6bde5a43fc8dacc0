/* export.h (internal): models and runs as exporters want them. */
#ifndef GLIA_RECIPE_EXPORT_H
#define GLIA_RECIPE_EXPORT_H

#include "io/export.h"
#include "recipe/recipe.h"

typedef struct glia_export_model {
    glia_export model;
    glia_value **inputs, **outputs; /* the model's, then states of stateful layers */
    glia_key_value facts[12 + GLIA_MOST_ORIGIN];
    glia_arena arena;
} glia_export_model;

/* Borrows the model, or the run, with its weights. The struct must stay where it is; free it when done, after failures
 * too. A model knows neither preprocessing nor classes; a run knows all of it. */
GLIA_MUST_CHECK glia_status glia__export_of_model(glia_export_model *e, const glia_model *model,
                                                  glia_error *err);
GLIA_MUST_CHECK glia_status glia__export_of_run(glia_export_model *e, const glia_run *run, glia_error *err);
void glia__export_free(glia_export_model *e); /* {0} allowed */
/* Whether the model, trained or not, can be written in that format: it is, to a folder that is removed again, and checked. */
GLIA_MUST_CHECK glia_status glia__export_try(const glia_model *model, const char *format, const char *options,
                                             glia_export_result *result, glia_error *err);

#endif
