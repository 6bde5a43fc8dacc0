/* weights.h: files of named arrays, whatever their format, and weights that other frameworks have named and laid out. */
#ifndef GLIA_WEIGHTS_H
#define GLIA_WEIGHTS_H

#include "glia/io.h"
#include "glia/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- files ---------------------------------------------------------------------------------------------- */

typedef struct glia_weights glia_weights; /* a file, or several that belong together, read into memory */

/* Opens a file by its ending: .safetensors, .safetensors.index.json (the index of a file in parts), .npz, .h5, .keras;
 * docs/formats.md lists them. Close when done. */
GLIA_API GLIA_MUST_CHECK glia_status glia_weights_open(glia_weights **out, const char *path,
                                                       const glia_allocator *allocator, glia_error *err);
GLIA_API void glia_weights_close(glia_weights *weights); /* NULL allowed */
GLIA_API size_t glia_weights_count(const glia_weights *weights);
/* Array `index`, in the file's order: its name, and its data, borrowed until close (read-only, may be unaligned). */
GLIA_API const char *glia_weights_name(const glia_weights *weights, size_t index);
GLIA_API glia_tensor glia_weights_tensor(const glia_weights *weights, size_t index);
/* The text that the file keeps under `key` beside its arrays, or NULL. */
GLIA_API const char *glia_weights_metadata(const glia_weights *weights, const char *key);
/* Writes arrays in the format that the ending of `path` names. Formats without a place for metadata leave it out. */
GLIA_API GLIA_MUST_CHECK glia_status glia_weights_write(const char *path, const glia_named_tensor *tensors,
                                                        size_t count, const glia_key_value *metadata,
                                                        size_t metadata_count, glia_error *err);

/* --- names of other frameworks -------------------------------------------------------------------------- */

/* How weights are called and laid out: "glia", "huggingface", "keras", "pytorch"; number `index`, NULL past the last. */
GLIA_API const char *glia_names_list(size_t index, const char **doc);

typedef enum glia_import_state {
    GLIA_IMPORT_LOADED,     /* the parameter `ours` became what the file calls `theirs` */
    GLIA_IMPORT_MISSING,    /* the file has nothing for the parameter `ours` */
    GLIA_IMPORT_MISSHAPED,  /* it has, of another shape */
    GLIA_IMPORT_UNEXPECTED, /* the file's array `theirs` is none of the model's */
    GLIA_IMPORT_IGNORED /* … and known to be of no use to it: counters, masks, moments of an optimiser */
} glia_import_state;

typedef struct glia_import_entry {
    glia_import_state state;
    const char *ours, *theirs;           /* NULL: none */
    glia_shape ours_shape, theirs_shape; /* as each has it */
    const char *change;                  /* what was done to the data: "hwio → oihw"; "" for a copy */
} glia_import_entry;

typedef struct glia_import_report {
    const char *names; /* the convention that was used; "order" */
    size_t count, loaded, missing, misshaped, unexpected, ignored;
    const glia_import_entry
        *entries; /* the model's parameters in their order, then what is left of the file */
} glia_import_report;

typedef struct glia_import_options {
    int reserved_;
    const char
        *names; /* a convention of glia_names_list; "auto" (default): the one that fits most arrays; "order":
                        * arrays go to parameters in the order of both, where shapes fit, whatever they are called */
    bool
        partial; /* parameters that are missing or of another shape keep what they hold; else that is an error */
} glia_import_options;

/* Loads a model's parameters from a file of weights. *report (NULL: not wanted) is filled whenever the file could be
 * compared, also when the call then fails, and is to be freed. Without `partial` nothing changes unless every
 * parameter is found. A model without weights is initialised first. */
GLIA_API GLIA_MUST_CHECK glia_status glia_model_import_with(glia_model *model, const glia_weights *weights,
                                                            glia_import_options options,
                                                            glia_import_report **report, glia_error *err);
#define glia_model_import(model, weights, report, err, ...) \
    glia_model_import_with(model, weights, GLIA_OPTIONS(glia_import_options, __VA_ARGS__), report, err)
GLIA_API void glia_import_report_free(glia_import_report *report); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif
