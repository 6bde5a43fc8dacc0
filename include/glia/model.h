/* model.h: networks built of layers. A model owns a graph, its parameters and a list of its layers.
 *
 * Layer functions take options by name, zero means the default of Keras:
 *     x = glia_conv2d(x, .filters = 32, .kernel = {3, 3}, .activation = "relu");
 * Arrays are channels first: an image is {channels, height, width}; the batch dimension is implied. */
#ifndef GLIA_MODEL_H
#define GLIA_MODEL_H

#include "glia/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NULL when out of memory. Free with glia_model_free. Copies `name`. */
GLIA_API glia_model *glia_model_new(const char *name);
GLIA_API glia_model *glia_model_new_with(const char *name, const glia_allocator *allocator);
GLIA_API void glia_model_free(glia_model *model);
GLIA_API glia_graph *glia_model_graph(glia_model *model);
GLIA_API const char *glia_model_name(const glia_model *model);
/* The first error of any builder call. */
GLIA_API GLIA_MUST_CHECK glia_status glia_model_status(const glia_model *model, glia_error *err);
GLIA_API void glia_model_set_output(glia_model *model, glia_value *output);
GLIA_API glia_value *glia_model_output(const glia_model *model);
GLIA_API glia_value *glia_model_input(const glia_model *model, int index); /* NULL past the last */

typedef struct glia_input_options {
    int reserved_;
    int64_t shape[GLIA_MAX_RANK]; /* of one example, ends at the first 0: {1, 28, 28} */
    glia_dtype dtype;             /* default f32 */
} glia_input_options;
GLIA_API glia_value *glia_input_with(glia_model *model, const char *name, glia_input_options options);
#define glia_input(model, name, ...) \
    glia_input_with(model, name, GLIA_OPTIONS(glia_input_options, __VA_ARGS__))

/* --- layers -------------------------------------------------------------------------------------------- */
/* Weights are initialised by name: "glorot_uniform" (default), "glorot_normal", "he_uniform", "he_normal",
 * "lecun_uniform", "lecun_normal", "uniform", "normal", "truncated_normal", "zeros", "ones", or "constant:0.1",
 * "uniform:0.05". The scaling normal ones are truncated at two deviations, as in Keras. */

typedef struct glia_dense_options {
    int reserved_;
    int64_t units;                                     /* required, 1 … 2^24 */
    const char *activation;                            /* "relu", "softmax", …; default none */
    glia_bool use_bias;                                /* default yes */
    const char *kernel_initializer, *bias_initializer; /* defaults glorot_uniform, zeros */
    const char *name;                                  /* default "dense", "dense_1", … */
} glia_dense_options;
/* y = activation(x·Wᵀ + b): [N, in] → [N, units], or for every step of sequences [N, T, in] → [N, T, units]; weight
 * [units, in], bias [units]. */
GLIA_API glia_value *glia_dense_with(glia_value *x, glia_dense_options options);
#define glia_dense(x, ...) glia_dense_with(x, GLIA_OPTIONS(glia_dense_options, __VA_ARGS__))

typedef struct glia_conv2d_options {
    int reserved_;
    int64_t filters;     /* required, 1 … 2^20 */
    int64_t kernel[2];   /* required: height, width */
    int64_t strides[2];  /* default 1, 1 */
    int64_t dilation[2]; /* default 1, 1 */
    int64_t groups;      /* default 1 */
    const char *padding; /* "valid" (default), "same", or zeros before and after each side: "1", "1,2" */
    const char *activation;
    glia_bool use_bias;
    const char *kernel_initializer, *bias_initializer;
    const char *name;
} glia_conv2d_options;
/* [N, C, H, W] → [N, filters, H', W']; weight [filters, C/groups, kh, kw], bias [filters]. */
GLIA_API glia_value *glia_conv2d_with(glia_value *x, glia_conv2d_options options);
#define glia_conv2d(x, ...) glia_conv2d_with(x, GLIA_OPTIONS(glia_conv2d_options, __VA_ARGS__))

typedef struct glia_pool2d_options {
    int reserved_;
    int64_t size[2];     /* default 2, 2 */
    int64_t strides[2];  /* default: size */
    const char *padding; /* "valid" (default), "same", or zeros before and after each side: "1", "1,2" */
    const char *name;
} glia_pool2d_options;
GLIA_API glia_value *glia_max_pool2d_with(glia_value *x, glia_pool2d_options options);
GLIA_API glia_value *glia_average_pool2d_with(glia_value *x, glia_pool2d_options options);
#define glia_max_pool2d(x, ...) glia_max_pool2d_with(x, GLIA_OPTIONS(glia_pool2d_options, __VA_ARGS__))
#define glia_average_pool2d(x, ...) \
    glia_average_pool2d_with(x, GLIA_OPTIONS(glia_pool2d_options, __VA_ARGS__))
typedef struct glia_batch_norm_options {
    int reserved_;
    double momentum; /* share of the running statistics that a step keeps; default 0.9 (PyTorch's 0.1) */
    double epsilon;  /* added to the variance; default 1e-5 */
    const char *activation; /* default none */
    const char *name;
} glia_batch_norm_options;
/* [N, C, …] → same: each channel is brought to mean 0 and variance 1 over the batch, then y = activation(x·weight +
 * bias); outside of training with the running mean and variance instead. weight, bias, running_mean, running_var [C],
 * the last two state. */
GLIA_API glia_value *glia_batch_norm_with(glia_value *x, glia_batch_norm_options options);
#define glia_batch_norm(x, ...) glia_batch_norm_with(x, GLIA_OPTIONS(glia_batch_norm_options, __VA_ARGS__))
typedef struct glia_layer_norm_options {
    int reserved_;
    int64_t dims;   /* how many of the last dimensions are normalised together; default 1 */
    double epsilon; /* added to the variance; default 1e-5 */
    const char *name;
} glia_layer_norm_options;
/* [N, …] → same: mean 0 and variance 1 over the last `dims` dimensions, then y·weight + bias, which have those
 * dimensions. */
GLIA_API glia_value *glia_layer_norm_with(glia_value *x, glia_layer_norm_options options);
#define glia_layer_norm(x, ...) glia_layer_norm_with(x, GLIA_OPTIONS(glia_layer_norm_options, __VA_ARGS__))
/* The same without mean and bias: x / √(mean of x² + ε)·weight. */
GLIA_API glia_value *glia_rms_norm_with(glia_value *x, glia_layer_norm_options options);
#define glia_rms_norm(x, ...) glia_rms_norm_with(x, GLIA_OPTIONS(glia_layer_norm_options, __VA_ARGS__))
typedef struct glia_group_norm_options {
    int reserved_;
    int64_t groups; /* which divide the channels; glia_instance_norm: one a channel */
    double epsilon; /* added to the variance; default 1e-5 */
    const char *name;
} glia_group_norm_options;
/* [N, C, …] → same: mean 0 and variance 1 over each group of channels of an example, then y·weight + bias for each
 * channel. weight, bias [C]. */
GLIA_API glia_value *glia_group_norm_with(glia_value *x, glia_group_norm_options options);
#define glia_group_norm(x, ...) glia_group_norm_with(x, GLIA_OPTIONS(glia_group_norm_options, __VA_ARGS__))
GLIA_API glia_value *glia_instance_norm_with(glia_value *x, glia_group_norm_options options);
#define glia_instance_norm(x, ...) \
    glia_instance_norm_with(x, GLIA_OPTIONS(glia_group_norm_options, __VA_ARGS__))
typedef struct glia_recurrent_options {
    int reserved_;
    int64_t units;
    int64_t layers;             /* one on top of the other; default 1 */
    double dropout;             /* share that is dropped between layers while training; default 0 */
    glia_bool return_sequences; /* the state after every step; default no: the last one */
    glia_bool bidirectional;    /* a second one from the last step to the first, side by side; default no */
    glia_bool reverse;          /* from the last step to the first; default no */
    glia_bool use_bias;         /* default yes */
    /* A batch begins with the state that the one before ended with, row by row; an epoch and an evaluation begin with 0, and
     * glia_predict does with every example. fit then takes the examples in their order, cut in as many stretches as a batch
     * has rows; with shuffle = GLIA_NO as they are: row i of a batch after row i of the one before. */
    glia_bool stateful;
    int activation;      /* rnn: 0 tanh, 1 relu */
    glia_value *lengths; /* [N], i64: steps of each sequence, 1 … T; default: all */
    /* The state before the first step, [N, units·directions·layers]: those of layer 0, forward before backward, then of
     * layer 1 …; default 0. c: lstm's. */
    glia_value *h, *c;
    const char *name;
} glia_recurrent_options;
/* [N, T, in] → [N, units], or [N, T, units] with return_sequences; twice the units when bidirectional. weight_ih [gates·
 * units, in], weight_hh [gates·units, units], bias_ih, bias_hh [gates·units], as PyTorch's (lstm i, f, g, o; gru r, z, n),
 * the same with _reverse, and with _l0, _l1 … when there are several layers. The state after the last step, as h and c are,
 * is glia_layer_result(model, name, "h") and, of lstm, "c". */
GLIA_API glia_value *glia_rnn_with(glia_value *x, glia_recurrent_options options);
#define glia_rnn(x, ...) glia_rnn_with(x, GLIA_OPTIONS(glia_recurrent_options, __VA_ARGS__))
GLIA_API glia_value *glia_lstm_with(glia_value *x, glia_recurrent_options options);
#define glia_lstm(x, ...) glia_lstm_with(x, GLIA_OPTIONS(glia_recurrent_options, __VA_ARGS__))
GLIA_API glia_value *glia_gru_with(glia_value *x, glia_recurrent_options options);
#define glia_gru(x, ...) glia_gru_with(x, GLIA_OPTIONS(glia_recurrent_options, __VA_ARGS__))
/* One step: x [N, in] and the state h, of lstm also c, [N, units] → the next h; lstm's next c is glia_layer_result(model,
 * name, "c"). Parameters as above; glia_share takes further steps with the same ones. Of the options units, use_bias,
 * activation, h, c and name count. */
GLIA_API glia_value *glia_rnn_cell_with(glia_value *x, glia_recurrent_options options);
#define glia_rnn_cell(x, ...) glia_rnn_cell_with(x, GLIA_OPTIONS(glia_recurrent_options, __VA_ARGS__))
GLIA_API glia_value *glia_lstm_cell_with(glia_value *x, glia_recurrent_options options);
#define glia_lstm_cell(x, ...) glia_lstm_cell_with(x, GLIA_OPTIONS(glia_recurrent_options, __VA_ARGS__))
GLIA_API glia_value *glia_gru_cell_with(glia_value *x, glia_recurrent_options options);
#define glia_gru_cell(x, ...) glia_gru_cell_with(x, GLIA_OPTIONS(glia_recurrent_options, __VA_ARGS__))
/* [N, C, H, W] → [N, C]: mean over H and W. */
GLIA_API glia_value *glia_global_average_pool2d(glia_value *x);
/* [N, …] → [N, product]. */
GLIA_API glia_value *glia_flatten(glia_value *x);
/* [N, …] → [N, shape…]; `shape` ends at the first 0, one entry may be -1. */
GLIA_API glia_value *glia_reshape(glia_value *x, const int64_t *shape, int rank);
/* y = x·deviation + mean: from numbers about 0 to the unit of the targets. Both are states of one number each (0 and 1 to
 * begin with), which glia train measures on the targets of the training part; from C they are set through
 * glia_model_get_param(model, "denormalize.mean"). */
GLIA_API glia_value *glia_denormalize(glia_value *x);
/* Drops each element with probability `rate` while training and scales the others by 1/(1 − rate). */
GLIA_API glia_value *glia_dropout(glia_value *x, double rate);
/* Any op with the trait ACTIVATION, by name. */
GLIA_API glia_value *glia_activation(glia_value *x, const char *name);
GLIA_API glia_value *glia_relu(glia_value *x);
GLIA_API glia_value *glia_softmax(glia_value *x); /* over the last dimension */

typedef struct glia_embedding_options {
    int reserved_;
    int64_t vocabulary;      /* required: rows of the table */
    int64_t units;           /* required: columns of the table */
    const char *initializer; /* default uniform:0.05 */
    glia_bool
        mask_zero; /* x [N, T]: 0 is padding behind a sequence, which recurrent layers leave out; default no */
    /* yes: a step updates only the rows that its batch uses, and their moments, under every optimiser, as SparseAdam of PyTorch
     * does; other rows stay as they are, where momentum or adam would have moved them on. weight_decay must be 0. Default no: with
     * sgd and adagrad, which move no others, work and result of large tables are the same without. */
    glia_bool sparse;
    const char *name;
} glia_embedding_options;
/* i64 [N, …] → [N, …, units]; weight [vocabulary, units]. */
GLIA_API glia_value *glia_embedding_with(glia_value *x, glia_embedding_options options);
#define glia_embedding(x, ...) glia_embedding_with(x, GLIA_OPTIONS(glia_embedding_options, __VA_ARGS__))

/* Merges of branches. Shapes must agree (add, multiply) or agree except along `axis` of an example (concat).
 */
GLIA_API glia_value *glia_add(glia_value *a, glia_value *b);
GLIA_API glia_value *glia_multiply(glia_value *a, glia_value *b);
GLIA_API glia_value *glia_concat(glia_value *const *values, int count, int axis);

/* Adds a layer by its name in a model file ("conv2d", or an activation: "relu"), with options as text ("filters=32
 * kernel=3"; where a layer has a main option, "10" is enough for dense). `name` NULL: chosen. */
GLIA_API glia_value *glia_layer(glia_model *model, const char *kind, const char *name,
                                glia_value *const *inputs, int count, const char *options);

/* The same for one input and a name that is chosen: glia_apply(x, "conv1d", "filters=32 kernel=3"). Every layer that a
 * model file knows, and every network of the zoo, can be had so: glia_apply(x, "resnet", "depth=18 classes=10"). */
GLIA_API glia_value *glia_apply(glia_value *x, const char *kind, const char *options);

/* Applies the layer called `layer`, whatever it is made of, to other inputs, with the weights that it has: their
 * gradients add up. `name` NULL: chosen. Running statistics follow the first of the two. */
GLIA_API glia_value *glia_share(const char *layer, const char *name, glia_value *const *inputs, int count);

/* What the layer called `layer` gives besides the value that was returned: of recurrent layers "h" and "c". */
GLIA_API glia_value *glia_layer_result(glia_model *model, const char *layer, const char *result);

/* Layers and parameters made between begin and end are called "name.…", as in PyTorch's modules; scopes may lie in each
 * other. With `name` NULL they are called as ever. */
typedef struct glia_scope_options {
    int reserved_;
    glia_bool
        trainable; /* no: their parameters stay as they are, and batch normalisation works as outside of training */
    double learning_rate_scale; /* their rate is so many times the optimiser's; default 1 */
} glia_scope_options;
GLIA_API void glia_scope_begin_with(glia_model *model, const char *name, glia_scope_options options);
#define glia_scope_begin(model, name, ...) \
    glia_scope_begin_with(model, name, GLIA_OPTIONS(glia_scope_options, __VA_ARGS__))
GLIA_API void glia_scope_end(glia_model *model);

/* --- parameters ---------------------------------------------------------------------------------------- */

/* A parameter, named with the graph's scope before `name` ("block.weight"), f32, with its initialiser; for layers
 * written by hand. */
GLIA_API glia_value *glia_model_param(glia_model *model, const char *name, glia_shape shape,
                                      const char *initializer, int64_t fan_in, int64_t fan_out);
/* State: a parameter that no gradient moves, such as running statistics. It is saved with the others. */
GLIA_API glia_value *glia_model_state(glia_model *model, const char *name, glia_shape shape,
                                      const char *initializer);
/* After every training step `state` becomes what the step computed for `update`, a value of the same type. */
GLIA_API void glia_model_set_update(glia_model *model, const glia_value *state, glia_value *update);
/* Allocates (one contiguous block) and initialises every parameter from `seed`. Called by fit when needed. A
 * second call draws again. */
GLIA_API GLIA_MUST_CHECK glia_status glia_model_initialize(glia_model *model, uint64_t seed, glia_error *err);
GLIA_API int64_t glia_model_param_count(const glia_model *model); /* numbers in all parameters, state too */
GLIA_API size_t glia_model_params(const glia_model *model);       /* parameters (arrays) */
/* Parameter `index` in order of creation: the value, and its data in the model's block (data NULL before
 * initialize). */
GLIA_API glia_value *glia_model_param_value(const glia_model *model, size_t index);
GLIA_API glia_tensor glia_model_param_data(const glia_model *model, size_t index);
GLIA_API bool glia_model_param_trained(const glia_model *model, size_t index); /* false: state */
/* By name: "dense.weight"; data NULL when there is none. */
GLIA_API glia_tensor glia_model_get_param(const glia_model *model, const char *name);

/* Weights as safetensors. `load` demands that names and shapes are exactly the model's, and changes nothing
 * otherwise; the error lists what is missing, left over or of another shape. */
GLIA_API GLIA_MUST_CHECK glia_status glia_model_save_weights(const glia_model *model, const char *path,
                                                             glia_error *err);
GLIA_API GLIA_MUST_CHECK glia_status glia_model_load_weights(glia_model *model, const char *path,
                                                             glia_error *err);

typedef struct glia_layer_info {
    const char *name, *kind;
    glia_shape output_shape; /* with the batch dimension */
    int64_t params;
    double flops; /* forward, one example */
} glia_layer_info;
GLIA_API size_t glia_model_layers(const glia_model *model);
GLIA_API glia_layer_info glia_model_layer(const glia_model *model, size_t index);

#ifdef __cplusplus
}
#endif
#endif
