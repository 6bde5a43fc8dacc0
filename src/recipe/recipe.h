/* recipe.h (internal): the model file after reading, and the tables that describe it.
 *
 * One table of keys drives reading, defaults, checks, the resolved file and docs/model-file.md. Layers,
 * optimisers and losses come from their own blocks: a new one needs no line here. */
#ifndef GLIA_RECIPE_INTERNAL_H
#define GLIA_RECIPE_INTERNAL_H

#include "core/field.h"
#include "glia/recipe.h"
#include "recipe/yaml.h"
#include "train/layer.h"
#include "train/metrics.h"
#include "train/optimizer.h"

enum { GLIA_RECIPE_METRICS = 32, GLIA_RECIPE_LAYERS = 10000 };

/* One layer of the file. */
typedef struct glia_recipe_layer {
    const glia_layer_def *def;
    const char *name;
    bool unnamed;               /* the model is not told the name: a network that the file does not name */
    const char *inputs[16];     /* names of earlier layers, or "input" */
    int n_inputs;               /* 0: the layer before */
    void *options;              /* def->options_size bytes, defaults written */
    glia_bool trainable;        /* no: the parameters of this layer stay as they are */
    double learning_rate_scale; /* 0: not given */
    const char *share;          /* the earlier layer whose weights it has; NULL: it has its own */
    const glia_yaml *at;        /* for messages: its key, or the word */
    bool used;                  /* by a later layer, or as the output */
} glia_recipe_layer;

/* Layers one after the other: the model's, or those of a block. */
typedef struct glia_recipe_list {
    const char *name;    /* of the block; the model's: "model" */
    const glia_yaml *at; /* the list */
    glia_recipe_layer *layers;
    int n_layers;
} glia_recipe_list;

/* What training knew about the data; only in the config.yaml of a run. */
enum { GLIA_MOST_ORIGIN = 32 };

typedef struct glia_recipe_trained {
    const char *version;    /* of Glia; "": the file is no run's */
    const char *substitute; /* "fashion_mnist in place of mnist", or "" */
    glia_shape input_shape; /* rank 0: not known */
    int64_t classes;
    int target; /* index in "none|class|values" = glia_target_kind */
    glia_shape target_shape;
    const char **class_names;
    int64_t n_class_names;
    const char **vocabulary; /* the tokens that inputs are numbers of */
    int64_t n_vocabulary;
    const char **origin; /* "seed=7": what the imported file says of itself */
    int64_t n_origin;
    double scale;
    int64_t channel_axis;
    float *mean, *std, *fill; /* fill: what missing values of a table became */
    int64_t n_mean, n_std, n_fill;
} glia_recipe_trained;

enum { GLIA_RECIPE_PARTS = 16 }; /* inputs, losses, outputs */

/* One of several inputs: an array of the data. */
typedef struct glia_recipe_input {
    const char *name;
    glia_shape shape;    /* of one example */
    int dtype;           /* index in "f32|i64|i32" */
    double scale;        /* of f32; 1: none */
    glia_bool normalize; /* by its means and deviations over the training part */
    int64_t axis;        /* that its channels lie along */
    const glia_yaml *at;
} glia_recipe_input;

/* One of several losses: of the layer of that name. */
typedef struct glia_recipe_loss {
    const char *layer;
    const char *loss;   /* a name, with its settings; "mean": of the layer's numbers themselves */
    const char *target; /* array of the data; NULL for mean */
    double weight;
    const glia_yaml *at;
} glia_recipe_loss;

struct glia_recipe {
    glia_arena arena;
    const char *path, *folder; /* folder: of the file, "." when it has none */
    glia_yaml *root;
    const char *name;
    struct {
        const char *source, *validation, *test; /* "" when absent */
        double scale;
        glia_bool normalize;
        const char *label, *weight; /* weight: "" when there is none */
        int target;                 /* class|values */
        int missing;                /* error|mean|previous */
        int64_t limit;
        struct {
            int tokens; /* characters|words */
            const char *column;
            int64_t length, stride, vocabulary, min_count;
        } text;
        struct {
            const char *features;
            int64_t length, horizon, stride, season;
        } series;
        struct {
            double validation, test;
            glia_bool stratified;
        } split;
        struct {
            int flip; /* none|horizontal */
            int64_t crop, cutout;
        } augment;
    } data;
    glia_recipe_list model;
    glia_recipe_list *blocks; /* a block is made of layers and of earlier blocks */
    int n_blocks;
    glia_recipe_input inputs[GLIA_RECIPE_PARTS]; /* none: there is one, called "input" */
    int n_inputs;
    glia_recipe_loss losses[GLIA_RECIPE_PARTS]; /* none: `loss` is that of the last layer */
    int n_losses;
    const char *outputs[GLIA_RECIPE_PARTS]; /* layers that the model gives; none: those with losses */
    const glia_yaml *outputs_at[GLIA_RECIPE_PARTS];
    int n_outputs;
    const char *input_names,
        *target_names; /* arrays of the data, with commas between them; NULL: one of each */
    const char *loss;  /* "auto" or a name, with its settings: "focal gamma=3" */
    const glia_optimizer *optimizer;
    glia_optimizer_options optimizer_options;
    const glia_figure *metrics[GLIA_RECIPE_METRICS]; /* none: by the kind of target */
    int n_metrics;
    struct {
        int64_t epochs, batch_size, steps_per_epoch, validate_every, seed, threads, memory_limit;
        const char *initial_weights; /* a file or a run; "" */
        glia_bool shuffle;
        int precision; /* f32|bf16 */
        glia_schedule_options schedule;
        int schedule_kind; /* index in GLIA_SCHEDULES */
        struct {
            int64_t patience;
            double min_delta;
            const char *monitor; /* "val_loss", or of one of several outputs "kind.val_accuracy" */
        } early_stopping;
    } train;
    glia_recipe_trained trained;
    const char *resolved;
};

/* --- the tables --- */

typedef struct glia_recipe_key glia_recipe_key;

/* A key is a plain field of glia_recipe, or a section of more keys, or has functions of its own. */
struct glia_recipe_key {
    glia_field field; /* name, doc, default as text; kind and offset for plain fields */
    const glia_recipe_key *section;
    glia_status (*read)(glia_recipe *recipe, const glia_yaml *node, const glia_field *field, glia_error *err);
    void (*print)(const glia_recipe *recipe, const glia_field *field, int indent, glia_text *out);
    bool hidden; /* not for people: `trained` */
};

extern const glia_recipe_key glia__recipe_root[]; /* ends with field.name NULL */
extern const glia_recipe_key glia__recipe_data_keys[];

/* --- reading values (recipe.c) --- */

/* glia_recipe_load of a text; `path` is what messages call it and where relative names begin. */
GLIA_MUST_CHECK glia_status glia__recipe_parse(glia_recipe **out, const char *path, const char *text,
                                               size_t bytes, const char *const *overrides, size_t count,
                                               const glia_allocator *allocator, glia_error *err);

/* Reads a plain field of any struct from a node. */
glia_status glia__recipe_field(const glia_yaml *node, const glia_field *field, void *object,
                               glia_arena *arena, glia_error *err);
/* Reads a mapping of plain fields over what `object` holds; a key called in `skip` (may be NULL) is left. */
glia_status glia__recipe_fields(const glia_yaml *map, const glia_field *fields, void *object,
                                const char *what, const char *const *skip, glia_arena *arena,
                                glia_error *err);
/* "unknown WHAT 'word' (did you mean …?)", or with the list of all words, at the node's key. */
glia_status glia__recipe_unknown(const glia_yaml *node, const char *what, const char *word,
                                 const char *const *words, size_t count, glia_error *err);

/* An error unless the node is a mapping or empty. */
glia_status glia__recipe_expect_map(const glia_yaml *node, const char *name, glia_error *err);

/* The kind of target that the loss wants, when there is no data to ask. */
glia_target_kind glia__recipe_target(const glia_recipe *recipe);

/* --- the sections with functions of their own --- */

/* The defaults of loss, optimizer and metrics. */
glia_status glia__recipe_settings_init(glia_recipe *recipe, glia_error *err);
glia_status glia__recipe_read_source(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                     glia_error *err);
void glia__recipe_print_source(const glia_recipe *recipe, const glia_field *field, int indent,
                               glia_text *out);
glia_status glia__recipe_read_layers(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                     glia_error *err);
void glia__recipe_print_layers(const glia_recipe *recipe, const glia_field *field, int indent,
                               glia_text *out);

/* Reads, prints and builds one list. Errors of building go to the model's graph, with their place in the file. */
GLIA_MUST_CHECK glia_status glia__recipe_read_list(glia_recipe *recipe, glia_recipe_list *list,
                                                   const glia_yaml *node, glia_error *err);
void glia__recipe_print_list(const glia_recipe_list *list, int indent, glia_text *out);
/* `inputs`: the block's, or those of the model in their order. `outputs` (NULL allowed) gets what each layer gives. */
glia_value *glia__recipe_build_list(const glia_recipe_list *list, glia_model *model,
                                    glia_value *const *inputs, int n_inputs, glia_value **outputs);
/* Gives an error of the graph a place in the file, unless it has one; `node` is what it is about. */
void glia__recipe_place_error(const glia_yaml *at, const char *node, glia_model *model);
glia_recipe_layer *glia__recipe_find_layer(const glia_recipe_list *list, const char *name);
/* `NAME.1` is the second result of an operation that has several, `NAME.h` one that a layer calls so. The name to `layer`; what
 * follows the dot, or NULL, is returned. */
const char *glia__recipe_split_result(const char *text, char *layer, size_t capacity);

/* Several inputs, outputs and losses (several.c). */
glia_status glia__recipe_read_inputs(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                     glia_error *err);
void glia__recipe_print_inputs(const glia_recipe *recipe, const glia_field *field, int indent,
                               glia_text *out);
glia_status glia__recipe_read_losses(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                     glia_error *err);
void glia__recipe_print_losses(const glia_recipe *recipe, const glia_field *field, int indent,
                               glia_text *out);
glia_status glia__recipe_read_outputs(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                      glia_error *err);
void glia__recipe_print_outputs(const glia_recipe *recipe, const glia_field *field, int indent,
                                glia_text *out);
bool glia__recipe_is_input(const glia_recipe *recipe, const char *name);
/* When everything was read: one of several losses that is to be monitored must be there. */
GLIA_MUST_CHECK glia_status glia__recipe_check_monitor(const glia_recipe *recipe, glia_error *err);
/* When everything was read: layers that are named must be there, inputs and losses come together. */
GLIA_MUST_CHECK glia_status glia__recipe_check_several(glia_recipe *recipe, glia_error *err);
/* The arrays that were read must be those of the file. */
GLIA_MUST_CHECK glia_status glia__recipe_check_arrays(const glia_recipe *recipe,
                                                      const glia_dataset_info *info, glia_error *err);
/* Adds the inputs to a model: `values` gets them as layers see them, scaled. Then, with what the layers gave, its outputs and
 * losses. */
void glia__recipe_add_inputs(const glia_recipe *recipe, glia_model *model, glia_value **values);
GLIA_MUST_CHECK glia_status glia__recipe_set_parts(const glia_recipe *recipe, glia_model *model,
                                                   glia_value *const *layers, glia_error *err);
/* A loss of the file as text, and back: `name: softmax_cross_entropy`, or with settings below. */
GLIA_MUST_CHECK glia_status glia__recipe_read_loss(glia_recipe *recipe, const glia_yaml *node,
                                                   const char *name, const char **out, glia_error *err);
void glia__recipe_print_loss(const glia_recipe *recipe, const char *loss, const char *name, int indent,
                             glia_text *out);
/* The section of blocks (blocks.c), and the layer that a block is: false when there is none of that name. */
glia_status glia__recipe_read_blocks(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                     glia_error *err);
void glia__recipe_print_blocks(const glia_recipe *recipe, const glia_field *field, int indent,
                               glia_text *out);
bool glia__recipe_block_def(const glia_recipe *recipe, const char *name, glia_layer_def *out);
/* Fills the options of a layer that is a block. */
void glia__recipe_block_init(const glia_recipe *recipe, const glia_layer_def *def, void *options);

/* The file that a layer names, where its options have it; NULL: none. */
const char **glia__recipe_layer_file(const glia_recipe_layer *layer);
/* Looks for a file beside the model file, in the current folder and in that of data sets; *out is its whole path. */
GLIA_MUST_CHECK glia_status glia__recipe_find_file(glia_recipe *recipe, const char *name, const char **out,
                                                   glia_error *err);
/* Runs keep the files of their layers, so that they may be moved: copies them to `dir`, and the recipe names them from
 * there. */
#define GLIA_RECIPE_LAYER_FILES "layers"
GLIA_MUST_CHECK glia_status glia__recipe_keep_files(glia_recipe *recipe, const char *dir, glia_error *err);

/* Prints `name: value` of a field as YAML, without indentation or newline. Unset texts print nothing and give
 * false. */
bool glia__recipe_print_field(const glia_field *field, const void *object, glia_text *out);
/* The whole file with every default; with `trained` when the recipe knows its data. */
void glia__recipe_print(const glia_recipe *recipe, glia_text *out);
/* Prints again after the recipe changed. */
GLIA_MUST_CHECK glia_status glia__recipe_resolve(glia_recipe *recipe, glia_error *err);
/* Every key, layer, loss and optimiser as Markdown: docs/model-file.md. */
void glia__recipe_document(glia_text *out);

/* "fashion_mnist in place of mnist" when another set was read than the source names; else "". */
const char *glia__recipe_substitute(const glia_dataset_info *info, char *out, size_t capacity);
/* Who trained on a substitute goes on with it, and the other way round: the classes mean other things. `trained_on` is
 * what glia__recipe_substitute gave then. */
GLIA_MUST_CHECK glia_status glia__recipe_check_substitute(const char *trained_on,
                                                          const glia_dataset_info *info, glia_error *err);
glia_text_options glia__recipe_text_options(const glia_recipe *recipe);
glia_series_options glia__recipe_series_options(const glia_recipe *recipe);
const char *glia__recipe_missing(const glia_recipe *recipe); /* as in glia_dataset_options */
/* A model that normalizes inputs, or denormalizes, gets weights, and in them means and deviations of the training part. */
GLIA_MUST_CHECK glia_status glia__recipe_learn_units(const glia_recipe *recipe, glia_model *model,
                                                     const glia_dataset *train, glia_error *err);
/* Copies what `info` says to recipe->trained. */
GLIA_MUST_CHECK glia_status glia__recipe_learn(glia_recipe *recipe, const glia_dataset_info *info,
                                               glia_error *err);

#endif
