/* onnx.h: ONNX files: what they hold, and their graphs as graphs of Glia's. */
#ifndef GLIA_ONNX_H
#define GLIA_ONNX_H

#include "glia/log.h"
#include "glia/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct glia_onnx glia_onnx; /* an opened file */

/* Opens a model and checks its structure; the file is mapped, not copied, and must stay as it is until it is closed.
 * External data are looked for in the model's folder, and nowhere else. Close when done. */
GLIA_API GLIA_MUST_CHECK glia_status glia_onnx_open(glia_onnx **out, const char *path,
                                                    const glia_allocator *allocator, glia_error *err);
GLIA_API void glia_onnx_close(glia_onnx *file); /* NULL allowed */

/* What the file says of itself. Texts belong to the file; "" where it says nothing. */
GLIA_API int64_t glia_onnx_opset(const glia_onnx *file); /* of ai.onnx */
GLIA_API const char *glia_onnx_producer(const glia_onnx *file);
GLIA_API const char *glia_onnx_metadata(const glia_onnx *file, const char *key);  /* NULL: it is not there */
GLIA_API const char *glia_onnx_metadata_key(const glia_onnx *file, size_t index); /* NULL past the last */
GLIA_API size_t glia_onnx_nodes(const glia_onnx *file);
GLIA_API const char *glia_onnx_operator(const glia_onnx *file, size_t node); /* "Conv"; NULL past the last */
/* Inputs that must be fed (initialisers are none), and outputs, by their names; NULL past the last. */
GLIA_API const char *glia_onnx_input(const glia_onnx *file, size_t index);
GLIA_API const char *glia_onnx_output(const glia_onnx *file, size_t index);
/* Type of an input. Dimensions that the file leaves open are symbols: equal names give equal symbols, and that of the
 * first dimension of the first input is GLIA_DIM_BATCH. GLIA_UNSUPPORTED: a type or a number of symbols that Glia does
 * not have. */
GLIA_API GLIA_MUST_CHECK glia_status glia_onnx_input_type(const glia_onnx *file, size_t index,
                                                          glia_dtype *dtype, glia_shape *shape,
                                                          glia_error *err);

/* Where parameters come to live: makes a value for the tensor called `name` in the file, whose numbers (which may lie
 * unaligned) stay while the file is open. `trained` false: running statistics. */
typedef struct glia_onnx_parameters {
    void *ctx;
    glia_value *(*make)(void *ctx, const char *name, const glia_tensor *data, bool trained);
    /* After a training step `state`, made with trained false, becomes `update`. NULL: it stays. */
    void (*update)(void *ctx, glia_value *state, glia_value *update);
} glia_onnx_parameters;

typedef struct glia_onnx_options {
    int reserved_;
    /* Values for the file's first inputs; those without are new inputs of the graph, called as in the file. */
    glia_value *const *inputs;
    size_t n_inputs;
    /* What the file's first inputs will be fed with, where it is known (else data NULL): shapes, axes and the like, which
     * Glia's ops have as attributes, may then be inputs of the file. */
    const glia_tensor *known;
    size_t n_known;
    /* Names of tensors to end at; none: the outputs of the file. What they do not need is not built. */
    const char *const *outputs;
    size_t n_outputs;
    glia_bool frozen;                /* as outside of training, always: default no */
    glia_onnx_parameters parameters; /* make NULL: float initialisers are constants */
    const glia_logger *logger;       /* gets a line for everything that is refused */
} glia_onnx_options;

/* Adds the file's nodes to `graph` and gives the values of options.outputs (or of all outputs of the file, in order) in
 * `outputs`, which has room for `capacity` of them. Nodes whose inputs are constants are computed now. The file may be
 * closed afterwards. Everything that is not supported is refused together: the message names each operator, a node
 * of it and the opset. */
GLIA_API GLIA_MUST_CHECK glia_status glia_onnx_build(glia_onnx *file, glia_graph *graph,
                                                     glia_onnx_options options, glia_value **outputs,
                                                     size_t capacity, glia_error *err);

#ifdef __cplusplus
}
#endif
#endif
