/* names_tables.c: the conventions. Ours are PyTorch's but for the names of layers. */
#include "train/names.h"

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define ROW(kind, here, there, ...) \
    { .layer = kind, .ours = here, .theirs = there, __VA_ARGS__ }
#define ROWS(...)                          \
    (const glia_names_row[]) {             \
        __VA_ARGS__, ROW(NULL, NULL, NULL) \
    }

/* PyTorch numbers the layers of a stack, of which one is one here; its cells have no numbers. */
#define TORCH_RECURRENT(kind)                                                        \
    ROW(kind, "weight_ih", "weight_ih_l0"), ROW(kind, "weight_ih", "weight_ih"),     \
        ROW(kind, "weight_hh", "weight_hh_l0"), ROW(kind, "weight_hh", "weight_hh"), \
        ROW(kind, "bias_ih", "bias_ih_l0"), ROW(kind, "bias_ih", "bias_ih"),         \
        ROW(kind, "bias_hh", "bias_hh_l0"), ROW(kind, "bias_hh", "bias_hh"),         \
        ROW(kind, "weight_ih_reverse", "weight_ih_l0_reverse"),                      \
        ROW(kind, "weight_hh_reverse", "weight_hh_l0_reverse"),                      \
        ROW(kind, "bias_ih_reverse", "bias_ih_l0_reverse"),                          \
        ROW(kind, "bias_hh_reverse", "bias_hh_l0_reverse")

#define KERAS_CONV(kind, order)                                                                 \
    ROW(kind, "weight", "kernel", .axes = order), ROW(kind, "weight", "vars/0", .axes = order), \
        ROW(kind, "bias", "bias"), ROW(kind, "bias", "vars/1")
/* One direction of a recurrent layer of Keras: kernel, recurrent kernel, biases, by name and by number. lstm and rnn have the
 * sum of both biases there; gru both, and z before r. */
#define KERAS_WEIGHTS(kind, which, pattern, ...)                                         \
    ROW(kind, "weight_ih" which, "kernel", .where = pattern, __VA_ARGS__),               \
        ROW(kind, "weight_ih" which, "vars/0", .where = pattern, __VA_ARGS__),           \
        ROW(kind, "weight_hh" which, "recurrent_kernel", .where = pattern, __VA_ARGS__), \
        ROW(kind, "weight_hh" which, "vars/1", .where = pattern, __VA_ARGS__)
#define KERAS_BIASES(kind, which, pattern, first, second, ...)                               \
    ROW(kind, "bias_ih" which, "bias", .where = pattern, .share = first, __VA_ARGS__),       \
        ROW(kind, "bias_ih" which, "vars/2", .where = pattern, .share = first, __VA_ARGS__), \
        ROW(kind, "bias_hh" which, "bias", .where = pattern, .share = second, __VA_ARGS__),  \
        ROW(kind, "bias_hh" which, "vars/2", .where = pattern, .share = second, __VA_ARGS__)
#define KERAS_SUMMED(kind, which, pattern)                \
    KERAS_WEIGHTS(kind, which, pattern, .axes = "oi:io"), \
        KERAS_BIASES(kind, which, pattern, GLIA_NAMES_OWN, GLIA_NAMES_ZERO, .axes = "o:o")
#define KERAS_GRU(which, pattern)                                                               \
    KERAS_WEIGHTS("gru", which, pattern, .axes = "gi:ig", .gates = "rzn:zrn"),                  \
        KERAS_BIASES("gru", which, pattern, GLIA_NAMES_FIRST, GLIA_NAMES_SECOND, .axes = "g:g", \
                     .gates = "rzn:zrn")
#define FORWARD  "!*backward*"
#define BACKWARD "*backward*"

GLIA_NAMES(glia) = {
    .name = "glia",
    .doc = "Glia's own: conv2d_1.weight",
    .separator = '.',
    .ignored = TEXTS("optimizer.*", "carried.*"),
};

/* torch.save of a module that was compiled or run on several devices has a prefix. */
GLIA_NAMES(pytorch) = {
    .name = "pytorch",
    .order = 1,
    .doc = "PyTorch's modules: features.0.weight; layers here are called as there, with _ for every dot",
    .separator = '.',
    .prefixes = TEXTS("module.", "_orig_mod.", "model.", "transformer."),
    .ignored = TEXTS("*.num_batches_tracked", "lm_head.weight"),
    .rows = ROWS(TORCH_RECURRENT("rnn"), TORCH_RECURRENT("lstm"), TORCH_RECURRENT("gru")),
};

/* Names and layouts of the transformers library. GPT-2 keeps its dense layers as convolutions of width 1, with the axes the
 * other way round; its masks are no weights, and its last layer has those of the first. BERT comes with the head that it was
 * trained with. */
GLIA_NAMES(huggingface) = {
    .name = "huggingface",
    .order = 2,
    .doc = "Hugging Face's transformers: transformer.h.0.attn.c_attn.weight; those of GPT-2 are turned",
    .separator = '.',
    .prefixes = TEXTS("transformer.", "bert.", "model."),
    .ignored = TEXTS("*.attn.bias", "*.attn.masked_bias", "*.num_batches_tracked", "*.position_ids",
                     "lm_head.weight", "*pooler.*", "cls.*"),
    .rows = ROWS(ROW("dense", "weight", "weight", .axes = "oi:io", .where = "*c_attn"),
                 ROW("dense", "weight", "weight", .axes = "oi:io", .where = "*c_proj"),
                 ROW("dense", "weight", "weight", .axes = "oi:io", .where = "*c_fc"),
                 ROW("dense", "weight", "weight"), ROW("layer_norm", "weight", "weight"),
                 ROW("layer_norm", "weight", "gamma"), ROW("layer_norm", "bias", "bias"),
                 ROW("layer_norm", "bias", "beta")),
};

/* Keras 2 calls arrays by name, Keras 3 by number in a layer's list of variables. Pictures have their channels last there. */
GLIA_NAMES(keras) = {
    .name = "keras",
    .order = 3,
    .doc = "Keras 2 and 3: conv2d_1/kernel:0, layers/conv2d_1/vars/0",
    .separator = '/',
    .suffix = ":0",
    .prefixes = TEXTS("model_weights/", "layers/", "_layer_checkpoint_dependencies/"),
    .ignored = TEXTS("optimizer*", "*seed_generator*", "metrics/*", "vars/*"),
    .kinds = TEXTS("batch_norm", "batch_normalization", "layer_norm", "layer_normalization", "rnn",
                   "simple_rnn"),
    .any_part = true,
    .channels_last = true,
    .rows = ROWS(
        ROW("dense", "weight", "kernel", .axes = "oi:io"), ROW("dense", "weight", "vars/0", .axes = "oi:io"),
        ROW("dense", "bias", "bias"), ROW("dense", "bias", "vars/1"), KERAS_CONV("conv2d", "oihw:hwio"),
        KERAS_CONV("conv1d", "oiw:wio"), KERAS_CONV("conv3d", "oidhw:dhwio"),
        KERAS_CONV("conv2d_transpose", "iohw:hwoi"), KERAS_CONV("conv1d_transpose", "iow:woi"),
        KERAS_CONV("conv3d_transpose", "iodhw:dhwoi"), ROW("batch_norm", "weight", "gamma", .axes = "i:i"),
        ROW("batch_norm", "weight", "vars/0", .axes = "i:i"),
        ROW("batch_norm", "bias", "beta", .axes = "i:i"), ROW("batch_norm", "bias", "vars/1", .axes = "i:i"),
        ROW("batch_norm", "running_mean", "moving_mean", .axes = "i:i"),
        ROW("batch_norm", "running_mean", "vars/2", .axes = "i:i"),
        ROW("batch_norm", "running_var", "moving_variance", .axes = "i:i"),
        ROW("batch_norm", "running_var", "vars/3", .axes = "i:i"),
        ROW("layer_norm", "weight", "gamma", .axes = "i:i"),
        ROW("layer_norm", "weight", "vars/0", .axes = "i:i"),
        ROW("layer_norm", "bias", "beta", .axes = "i:i"), ROW("layer_norm", "bias", "vars/1", .axes = "i:i"),
        ROW("embedding", "weight", "embeddings"), ROW("embedding", "weight", "vars/0"),
        KERAS_SUMMED("lstm", "", FORWARD), KERAS_SUMMED("lstm", "_reverse", BACKWARD),
        KERAS_SUMMED("rnn", "", FORWARD), KERAS_SUMMED("rnn", "_reverse", BACKWARD), KERAS_GRU("", FORWARD),
        KERAS_GRU("_reverse", BACKWARD)),
};
