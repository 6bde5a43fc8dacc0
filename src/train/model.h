/* model.h (internal): the structs behind glia/model.h. */
#ifndef GLIA_TRAIN_MODEL_H
#define GLIA_TRAIN_MODEL_H

#include "glia/io.h"
#include "graph/graph.h"
#include "train/initializer.h"
#include "train/layer.h"

enum { GLIA_MODEL_INPUTS = 16 };

/* An array of weights, or of state: a part of the model's block. */
typedef struct glia_param {
    glia_value *value;
    bool trained;       /* by gradients; else it is state, such as running statistics */
    bool sparse;        /* rows that a batch does not read are not updated, whatever the optimiser does */
    double rate;        /* times the optimiser's learning rate */
    glia_value *update; /* state: what it becomes after a training step; NULL: it stays */
    glia_initializer initializer;
    int64_t fan_in, fan_out;
    const void *given; /* f32 numbers to begin with, perhaps unaligned; NULL: the initialiser draws them */
    const struct glia_onnx *file; /* that holds them */
    int64_t offset,
        elems; /* floats; offset is a multiple of 16 (64 bytes), -1 before the block has a place for it */
} glia_param;

/* What holds for the layers that are made now: a layer makes those inside it in a scope of its own. */
typedef struct glia_scope {
    const char *names; /* the graph's scope */
    bool frozen;       /* parameters are not trained */
    double rate;       /* times the optimiser's learning rate */
    /* Parameters are those of another layer: a name that begins with `from` is the one that begins with `to`. */
    const char *from, *to;
    const struct glia_scope *outer;
} glia_scope;

/* A layer that was applied, with those made of others, which are not listed. */
typedef struct glia_applied {
    const char *name;
    const char *names; /* of the layers in it begin so: its name, or its surroundings' */
    const glia_layer_def *def;
    const void *options;
    const struct glia_applied *before;
} glia_applied;

/* A value of sequences with padding behind them. */
typedef struct glia_padded {
    const glia_value *value;
    glia_value *lengths;
    const struct glia_padded *before;
} glia_padded;

/* Scores of labels at steps, [N, T, C], that the layer ctc compares with labels. */
typedef struct glia_aligned {
    const glia_value *loss, *logits, *labels,
        *lengths; /* lengths: how many steps count; NULL: not said, or all */
    int64_t blank;
    const struct glia_aligned *before;
} glia_aligned;

/* What a model gives of several things, and what is minimised: of model files with `losses`. */
typedef struct glia_model_part {
    const char *name; /* of the layer */
    glia_value *value;
    const char *loss;   /* as in glia_fit_options; NULL: by the targets */
    const char *target; /* the array of its targets; NULL: its numbers themselves are minimised */
    double weight;      /* of its loss in the sum; 0: it has none */
    bool shown;         /* in the output */
    int64_t at, elems;  /* its numbers of an example of the output; at -1: not shown */
} glia_model_part;

/* A result of a layer besides the one that it returned. */
typedef struct glia_result {
    const char *layer, *name;
    glia_value *value;
    const struct glia_result *before;
} glia_result;

struct glia_model {
    const glia_allocator *allocator;
    glia_arena arena; /* names and options */
    glia_graph *graph;
    const char *name;
    glia_value *inputs[GLIA_MODEL_INPUTS];
    int n_inputs;
    glia_value *output;
    const glia_value
        *averaged; /* what the last layer gave, where the output is a mean of that and more; or NULL */
    glia_param *params;
    size_t n_params, capacity_params;
    const glia_scope *scope;     /* NULL: the model itself */
    const glia_applied *applied; /* the last one */
    const glia_padded *padded;   /* the last one */
    const glia_result *results;  /* the last one */
    glia_memories carried;       /* states of stateful layers: [N, numbers], f32 */
    glia_layer_info *layers;
    size_t n_layers, capacity_layers;
    struct glia_loss_head *heads; /* losses behind the output, made on demand; see loss.h */
    int n_targets;
    const glia_aligned *aligned;
    glia_model_part *parts; /* NULL: one output with one loss */
    int n_parts;
    struct glia_onnx **files; /* kept open for the sake of parameters */
    size_t n_files;
    int64_t block_elems;   /* all parameters with the padding between them, which stays zero */
    int64_t trained_elems; /* those that are trained come first, so that the optimiser takes one piece */
    float *block;          /* NULL before initialize; 64-byte aligned */
    size_t block_bytes;    /* allocated */
};

/* Opens a scope: names NULL or "" are those of the surroundings; false when out of memory. */
bool glia__scope_open(glia_model *model, const char *names, const glia_scope_options *options,
                      const char *from, const char *to);
/* Closes all scopes that were opened after `scope` was the current one. */
void glia__scope_back(glia_model *model, const glia_scope *scope);
/* The layer of that whole name, or NULL. */
const glia_applied *glia__applied_find(const glia_model *model, const char *name);
/* The whole name of the parameter that stands for the one of whole name `name`, in `out`; NULL: it is its own. */
const char *glia__scope_shared(const glia_model *model, const char *name, char *out, size_t capacity);
/* Applies a layer again, with the weights that it has. */
glia_value *glia__layer_share(glia_model *model, const glia_applied *of, const char *name,
                              glia_value *const *inputs, int count);
/* Whether layers made now have parameters that are not trained. */
bool glia__model_frozen(const glia_model *model);
/* Whether the block is there and holds every parameter (layers may have been added since). */
bool glia__model_has_weights(const glia_model *model);
/* Allocates the block (zeroed) unless it is there already for exactly these parameters. */
GLIA_MUST_CHECK glia_status glia__model_allocate(glia_model *model, glia_error *err);
/* A parameter (or state, when not `trained`) that begins as `data`, of f32, which lie in `file`. */
glia_value *glia__model_param_given(glia_model *model, const char *name, const glia_tensor *data,
                                    const struct glia_onnx *file, bool trained);
/* Marks a parameter, a table that is looked up, as sparse. */
void glia__model_set_sparse(glia_model *model, const glia_value *param);
/* The first sparse parameter that is trained; NULL: none. */
const glia_param *glia__model_sparse(const glia_model *model);
/* The model closes the file when it is freed; false when out of memory. */
bool glia__model_keep_file(glia_model *model, struct glia_onnx *file);
/* Gives the model several outputs and losses (copied but for the names): its output becomes the shown ones, one behind the
 * other, [N, all]. */
GLIA_MUST_CHECK glia_status glia__model_set_parts(glia_model *model, const glia_model_part *parts, int count,
                                                  glia_error *err);
/* Notes what a layer ctc compares; and the note whose scores or loss `value` is, NULL: none. */
void glia__model_align(glia_model *model, glia_aligned aligned);
const glia_aligned *glia__model_aligned(const glia_model *model, const glia_value *value);
/* Whether the output depends on input `i`. */
GLIA_MUST_CHECK glia_status glia__model_needs_input(const glia_model *model, int i, bool *out,
                                                    glia_error *err);
/* GLIA_OK when the model has no builder error, an input and an output. */
GLIA_MUST_CHECK glia_status glia__model_ready(const glia_model *model, glia_error *err);
/* The same, and it has weights. */
GLIA_MUST_CHECK glia_status glia__model_with_weights(const glia_model *model, glia_error *err);
/* Copies the weights of an open safetensors file (`path` is for messages) to `block`, laid out as the
 * model's. All or nothing; the error names what is missing, left over or of another shape. */
GLIA_MUST_CHECK glia_status glia__model_read_block(const glia_model *model, const glia_safetensors *file,
                                                   const char *path, float *block, glia_error *err);

#endif
