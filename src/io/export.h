/* export.h: what an exporter is, and what it gets. One GLIA_EXPORTER block in one file, in src/io, src/onnx or src/emit,
 * is one format that a trained model can be written in; the build finds it, and `glia export --format NAME` knows it.
 *
 * Exporters work on graphs: they know nothing of runs, layers or model files. */
#ifndef GLIA_IO_EXPORT_H
#define GLIA_IO_EXPORT_H

#include "glia/io.h"
#include "graph/graph.h"

/* An array of weights and where it lies. */
typedef struct glia_export_param {
    const glia_value *value; /* of the graph */
    const void *data;        /* dense, of the value's type */
} glia_export_param;

/* A trained model. Everything is borrowed. */
typedef struct glia_export {
    const char *name;
    const glia_graph *graph; /* may hold more than the outputs need, such as losses and gradients */
    glia_value *const *inputs;
    glia_value *const *outputs;
    int n_inputs, n_outputs;
    const glia_export_param *params;
    size_t n_params;
    /* How raw data become input 0: (raw · scale − mean[c]) / std[c], c along dimension 1 + channel_axis; NULL: no
     * mean, no std. */
    double scale;
    const float *mean, *std;
    int channel_axis;
    int64_t classes;           /* 0: the outputs are numbers */
    const char *const *labels; /* names of the classes, or NULL */
    const char *
        to_probability; /* the op that makes probabilities of output 0 ("softmax", "sigmoid"); NULL: none is wanted */
    const glia_key_value *facts; /* where the model comes from: "seed", "data", … */
    size_t n_facts;
    const glia_allocator *allocator;
} glia_export;

typedef struct glia_exporter {
    const char *name;          /* of --format: "onnx" */
    const char *extension;     /* ".onnx" */
    const char *doc;           /* one line: what the file is for */
    const glia_field *options; /* NULL: none. Names of one kind (with or without a value) in all formats */
    size_t options_size;
    /* Writes `path`, and files beside it, with glia__writer (core/file.h), so that old files stay whole on failure; says
     * with glia__export_wrote and glia__export_figure what was written. `options`: options_size bytes. */
    glia_status (*write)(const glia_export *model, const void *options, const char *path,
                         glia_export_result *result, glia_error *err);
    /* Reads, or runs, what `write` made with the same arguments; result->check says what it was compared with. An error: it is
     * not what the model is, or cannot be checked. */
    glia_status (*check)(const glia_export *model, const void *options, const char *path,
                         glia_export_result *result, glia_error *err);
} glia_exporter;

#define GLIA_EXPORTER(exporter_name) const glia_exporter glia__exporter_##exporter_name
extern const glia_exporter *const glia__exporters[]; /* ends with NULL */
extern const size_t glia__exporters_count;

/* The exporter called `name`; NULL or "": the one whose extension `path` has. The error lists or suggests. */
GLIA_MUST_CHECK glia_status glia__exporter_find(const glia_exporter **out, const char *name, const char *path,
                                                glia_error *err);
/* Writes `model` with that exporter. `options`: as text, "opset=18", or NULL. `result` may be NULL. */
GLIA_MUST_CHECK glia_status glia__export_write(const glia_export *model, const glia_exporter *exporter,
                                               const char *options, const char *path,
                                               glia_export_result *result, glia_error *err);
/* Checks what glia__export_write wrote with the same arguments, and adds to its result what was found. */
GLIA_MUST_CHECK glia_status glia__export_check(const glia_export *model, const glia_exporter *exporter,
                                               const char *options, const char *path,
                                               glia_export_result *result, glia_error *err);
/* For exporters: notes a file that now lies there, and a figure worth telling ("opset"; `unit` "" or "bytes", static). */
void glia__export_wrote(glia_export_result *result, const char *path, int64_t bytes);
void glia__export_figure(glia_export_result *result, const char *name, double value, const char *unit);

/* The graph that computes the outputs in inference, and nothing more: without dropout and the like, parameters with their
 * data (value->data, borrowed), dimensions still symbolic. */
typedef struct glia_inference {
    glia_graph *graph;
    glia_value *inputs[GLIA_MAX_INPUTS];
    glia_value *outputs[GLIA_MAX_OUTPUTS];
    int n_inputs, n_outputs;
} glia_inference;

/* `preprocess`: input 0 takes raw data, and the graph begins with what is done to them; `probabilities`: it ends with
 * what makes probabilities of output 0. Both as the model says, which may be nothing. Free it when done. */
GLIA_MUST_CHECK glia_status glia__inference_new(glia_inference *out, const glia_export *model,
                                                bool preprocess, bool probabilities, glia_error *err);
void glia__inference_free(glia_inference *inference); /* {0} allowed */

#endif
