/* run.h (internal): a run directory on disk. */
#ifndef GLIA_RECIPE_RUN_H
#define GLIA_RECIPE_RUN_H

#include <stdio.h>

#include "recipe/recipe.h"

typedef struct glia_run_dir {
    char path[1024];
    bool resuming;
    FILE *log;                 /* log.txt, locked while the training runs */
    glia_text early;           /* its lines until it can be opened */
    char substitute[128];      /* resuming: what the run to continue was trained on, as config.yaml says */
    const glia_logger *logger; /* of the caller */
    glia_logger tee;           /* to both; valid while the struct stays where it is */
} glia_run_dir;

/* Chooses the folder and decides whether it may be used: new or empty, or replaced (force), or continued
 * (resume, only when its config.yaml says the same model and data). Writes nothing. */
GLIA_MUST_CHECK glia_status glia__run_dir_choose(glia_run_dir *dir, const glia_recipe *recipe,
                                                 const glia_run_options *options, glia_error *err);
/* Makes the folder, takes its lock, removes the files of a run that is replaced, opens the log, copies the files that
 * layers name (which the recipe then names from here), writes config.yaml. */
GLIA_MUST_CHECK glia_status glia__run_dir_create(glia_run_dir *dir, glia_recipe *recipe, glia_error *err);
void glia__run_dir_close(glia_run_dir *dir);
/* An error that says why, unless `path` is a run directory. */
GLIA_MUST_CHECK glia_status glia__run_check(const char *path, glia_error *err);
/* The file of a run's weights: the best, or the last. */
GLIA_MUST_CHECK glia_status glia__run_weights(const char *path, char *out, size_t capacity, glia_error *err);
/* glia_run_open with overrides of its config.yaml. */
GLIA_MUST_CHECK glia_status glia__run_open_with(glia_run *run, const char *path, const char *const *overrides,
                                                size_t count, const glia_allocator *allocator,
                                                glia_error *err);
/* Fills what the recipe's section `trained` says of a run. */
void glia__run_take_trained(glia_run *run);
/* "path/name" to out. */
const char *glia__run_file(const char *dir, const char *name, char *out, size_t capacity);

#endif
