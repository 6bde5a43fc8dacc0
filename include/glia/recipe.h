/* recipe.h: the model file (YAML) and the run directory that training it leaves. */
#ifndef GLIA_RECIPE_H
#define GLIA_RECIPE_H

#include "glia/io.h"
#include "glia/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A parsed model file: data, model, loss, optimizer, metrics, train. docs/model-file.md lists every key. */
typedef struct glia_recipe glia_recipe;

/* Reads and checks the whole file. `overrides` are "train.epochs=3" words, applied before checking. Errors
 * carry file, line and column. Free with glia_recipe_free. */
GLIA_API GLIA_MUST_CHECK glia_status glia_recipe_load(glia_recipe **out, const char *path,
                                                      const char *const *overrides, size_t count,
                                                      const glia_allocator *allocator, glia_error *err);
GLIA_API void glia_recipe_free(glia_recipe *recipe);
/* The file's name without its ending, or its key `name`. */
GLIA_API const char *glia_recipe_name(const glia_recipe *recipe);
/* The file with every default written out, which reads back the same; valid while the recipe lives. */
GLIA_API const char *glia_recipe_resolved(const glia_recipe *recipe);
/* Opens the data: *validation NULL when the file asks for none, *test NULL when the source has none. NULL
 * pointers: that part is not wanted. The caller frees them. */
GLIA_API GLIA_MUST_CHECK glia_status glia_recipe_data(const glia_recipe *recipe, glia_dataset **train,
                                                      glia_dataset **validation, glia_dataset **test,
                                                      const glia_logger *logger, glia_error *err);
/* Builds the model for examples of `input_shape`; `classes` (0: unknown) is used only to check the last
 * layer. The caller frees it. Warnings (a layer that nothing uses) go to `logger`. */
GLIA_API GLIA_MUST_CHECK glia_status glia_recipe_model(const glia_recipe *recipe, glia_shape input_shape,
                                                       int64_t classes, glia_model **out,
                                                       const glia_logger *logger, glia_error *err);
/* Loss, optimiser and training settings. Strings belong to the recipe. */
GLIA_API glia_fit_options glia_recipe_fit_options(const glia_recipe *recipe);

/* --- training to a run directory ------------------------------------------------------------------------ */

/* RUN/config.yaml (the resolved file and what was known about the data), last.safetensors, best.safetensors,
 * metrics.jsonl, log.txt, report.html. Files are replaced atomically. */
typedef struct glia_run_options {
    int reserved_;
    const char *dir;                   /* default runs/NAME-SEED */
    bool resume;                       /* continue the run in `dir`; refuses a run of another model */
    bool force;                        /* replace a run that is there; default: refuse */
    bool progress;                     /* a progress bar or a line an epoch on stderr */
    const volatile sig_atomic_t *stop; /* becomes non-zero (a signal handler): save and stop */
    const glia_logger *logger;         /* also receives what goes to log.txt */
    glia_error *error;
} glia_run_options;

typedef struct glia_run_result {
    char dir[1024];
    int64_t epochs;        /* finished, of all sessions */
    int64_t best_epoch;    /* 0: no validation */
    const char *evaluated; /* "test" or "validation": what `report` is about; NULL: nothing to evaluate on */
    glia_report report;    /* of the best weights (the last, without validation) */
    /* Of several outputs, those that are compared with targets; names belong to the recipe. */
    struct {
        const char *name;
        glia_report report;
    } parts[16];
    int n_parts;
} glia_run_result;

/* Opens the data, trains, evaluates the best weights and writes the report. Gives GLIA_INTERRUPTED after a
 * stop, with the state saved for `resume`. */
GLIA_API GLIA_MUST_CHECK glia_status glia_recipe_train(glia_recipe *recipe, glia_run_options options,
                                                       glia_run_result *result);

/* A run on disk, opened to evaluate or predict: its model with the best weights (the last when there are no
 * best). Input shape, classes, class names and the input transform are those of training. No data is read. */
typedef struct glia_run {
    glia_recipe *recipe;
    glia_model *model;
    glia_shape input_shape; /* of one example */
    glia_target_kind target;
    glia_shape target_shape;        /* of one example; with classes: its positions, each of a class */
    int64_t classes;                /* 0 for regression */
    const char *const *class_names; /* or NULL */
    double scale;                   /* input = (raw · scale − mean[channel]) / std[channel] */
    const float *mean, *std;        /* per channel, or NULL */
    int channel_axis;               /* dimension of an example that channels lie along */
} glia_run;
GLIA_API GLIA_MUST_CHECK glia_status glia_run_open(glia_run *run, const char *path,
                                                   const glia_allocator *allocator, glia_error *err);
/* Test-time augmentation, for models that give pictures one class: from here on the run's model gives the mean of what it
 * says of a picture and of its mirror image, as logits where the model gives logits. It takes twice the time and memory; called again, it changes nothing. */
GLIA_API GLIA_MUST_CHECK glia_status glia_run_average_mirrored(glia_run *run, glia_error *err);
GLIA_API void glia_run_close(glia_run *run); /* {0} allowed */
/* Reads examples to predict from a picture (.png), arrays (.npy, .npz, IDX) or a table (.csv, with or without the
 * target column; of a series its last steps, to predict what follows) to a new f32 [count, input_shape…], transformed as in training; the caller frees it.
 * Pictures become grey or colour as the model wants, and are resampled to its size (`logger` is told).
 * `invert`: u8 values v become 255 − v, for dark ink on white paper where training had light on dark. */
GLIA_API GLIA_MUST_CHECK glia_status glia_run_read(const glia_run *run, const char *path, bool invert,
                                                   glia_tensor *out, const glia_logger *logger,
                                                   glia_error *err);

/* Writes the run's model for another program. `format`: "onnx", … (`glia export --help` lists them); NULL: by the ending
 * of `path`. `options`: those of the format as text, "opset=18", or NULL. `path` NULL: NAME and the format's extension in
 * the current folder. `result` (NULL allowed) gets what was written. */
GLIA_API GLIA_MUST_CHECK glia_status glia_run_export(const glia_run *run, const char *format,
                                                     const char *options, const char *path,
                                                     glia_export_result *result, glia_error *err);
/* Checks what glia_run_export wrote with the same arguments, and adds to its result what was found: an ONNX file is read and run
 * on made-up examples, a C file compiled (by CC, else cc) with its self-test, arrays of weights are compared. An error: the file
 * is not what the model is, or cannot be checked. */
GLIA_API GLIA_MUST_CHECK glia_status glia_run_export_check(const glia_run *run, const char *format,
                                                           const char *options, const char *path,
                                                           glia_export_result *result, glia_error *err);

#ifdef __cplusplus
}
#endif
#endif
