/* losses.c: one block a loss that counts every class or number by itself. The mathematics is in src/ops/loss*.c. */

#include "glia/ops.h"
#include "graph/op.h"
#include "train/loss.h"

/* --- class numbers ---------------------------------------------------------------------------------------- */

/* Begins as glia_class_loss_options. */
typedef struct softmax_options {
    glia_class_loss_options of_classes;
    double label_smoothing;
} softmax_options;

#define CLASS_FIELDS                                                                                      \
    {.name = "ignore_index",                                                                              \
     .kind = GLIA_FIELD_INT,                                                                              \
     .offset = offsetof(glia_class_loss_options, ignore_index),                                           \
     .initial = "-100",                                                                                   \
     .min = -100,                                                                                         \
     .max = 1 << 30,                                                                                      \
     .doc = "a class that counts for nothing, as -100 always does: 0, where that fills up"},              \
    {                                                                                                     \
        .name = "class_weights", .kind = GLIA_FIELD_STRING,                                               \
        .offset = offsetof(glia_class_loss_options, class_weights), .initial = "", .list = true,          \
        .doc = "how much each class counts, as a list of numbers; the mean is by the sum of what counted" \
    }

static const glia_reduce_attrs over_classes = {.axes = {1, {-1}}, .keep_dims = GLIA_NO};

static glia_value *weight_of_target(const glia_loss_build *b) {
    return glia_op_gather(b->class_weights, b->target, (glia_gather_attrs){.axis = 0});
}

/* With weights w, smoothing spreads over the classes as PyTorch does: (1 − ε)·w_y·(−log p_y) + ε/C·Σ w_c·(−log p_c). */
static glia_value *build_softmax_cross_entropy(const glia_loss_build *b) {
    const softmax_options *o = b->options;
    const double smoothing = o->label_smoothing;
    glia_softmax_cross_entropy_attrs attrs = {.label_smoothing = smoothing, .reduction = b->each};
    if (!b->class_weights) return glia_op_softmax_cross_entropy(b->prediction, b->target, attrs);
    attrs.label_smoothing = 0;
    glia_value *entropy = glia_op_softmax_cross_entropy(b->prediction, b->target, attrs);
    glia_value *loss = glia_op_mul(entropy, weight_of_target(b));
    if (smoothing == 0) return loss;
    const glia_shape shape = glia_value_shape(b->prediction);
    glia_value *log_p = glia_op_log_softmax(b->prediction, -1);
    glia_value *spread = glia_op_sum(glia_op_mul(log_p, b->class_weights), over_classes);
    return glia_op_add(glia__scaled(loss, 1 - smoothing),
                       glia__scaled(spread, -smoothing / (double)shape.dim[shape.rank - 1]));
}

GLIA_LOSS(softmax_cross_entropy) = {
    .name = "softmax_cross_entropy",
    .doc = "−log softmax(prediction)[class], for classes; predictions are logits",
    .classes = true,
    .wrong = "softmax sigmoid",
    .hint = "it applies softmax itself, so training is slow and stays poor",
    .fields = GLIA_FIELDS({.name = "label_smoothing",
                           .kind = GLIA_FIELD_FLOAT,
                           .offset = offsetof(softmax_options, label_smoothing),
                           .initial = "0",
                           .max = 0.999999,
                           .doc = "ε: of C classes the true one has 1 − ε + ε/C, each other ε/C"},
                          CLASS_FIELDS),
    .options_size = sizeof(softmax_options),
    .build = build_softmax_cross_entropy,
};

static glia_value *build_categorical_cross_entropy(const glia_loss_build *b) {
    const glia_shape shape = glia_value_shape(b->prediction);
    if (!b->each) return glia_op_categorical_cross_entropy(b->prediction, b->target);
    glia_value *hot = glia_op_one_hot(b->target, (glia_one_hot_attrs){.depth = shape.dim[shape.rank - 1]});
    glia_value *log_p = glia_op_log(glia_op_clip(b->prediction, (glia_clip_attrs){.min = 1e-7, .max = 1}));
    if (b->class_weights) hot = glia_op_mul(hot, b->class_weights);
    return glia_op_neg(glia_op_sum(glia_op_mul(hot, log_p), over_classes));
}

GLIA_LOSS(categorical_cross_entropy) = {
    .name = "categorical_cross_entropy",
    .doc = "−log prediction[class], for classes; predictions are probabilities (end the model with softmax)",
    .classes = true,
    .missing = "softmax",
    .fields = GLIA_FIELDS(CLASS_FIELDS),
    .options_size = sizeof(glia_class_loss_options),
    .build = build_categorical_cross_entropy,
};

/* --- numbers, one by one ---------------------------------------------------------------------------------- */

static glia_value *build_pair(const glia_loss_build *b, const char *op) {
    glia_value *in[] = {b->prediction, b->target};
    return glia_graph_apply_text(glia_value_graph(b->prediction), op, in, 2, b->each ? "reduction=none" : "");
}

static glia_value *build_sigmoid_cross_entropy(const glia_loss_build *b) {
    return build_pair(b, "sigmoid_cross_entropy");
}

GLIA_LOSS(sigmoid_cross_entropy) = {
    .name = "sigmoid_cross_entropy",
    .doc = "−y·log σ(prediction) − (1−y)·log(1−σ(prediction)), for yes or no; predictions are logits",
    .wrong = "sigmoid softmax",
    .hint = "it applies sigmoid itself, so training is slow and stays poor",
    .build = build_sigmoid_cross_entropy,
};

static glia_value *build_mse(const glia_loss_build *b) {
    return build_pair(b, "mse");
}

GLIA_LOSS(mse) = {
    .name = "mse",
    .doc = "mean of (prediction − target)², for numbers",
    .build = build_mse,
};

static glia_value *build_half_mse(const glia_loss_build *b) {
    return build_pair(b, "half_mse");
}

GLIA_LOSS(half_mse) = {
    .name = "half_mse",
    .doc = "mean of ½(prediction − target)², for numbers",
    .build = build_half_mse,
};

static glia_value *build_mae(const glia_loss_build *b) {
    return build_pair(b, "mae");
}

GLIA_LOSS(mae) = {
    .name = "mae",
    .doc = "mean of |prediction − target|, for numbers",
    .build = build_mae,
};

static glia_value *build_huber(const glia_loss_build *b) {
    glia_huber_attrs attrs = *(const glia_huber_attrs *)b->options;
    attrs.reduction = b->each;
    return glia_op_huber(b->prediction, b->target, attrs);
}

GLIA_LOSS(huber) = {
    .name = "huber",
    .doc = "mean of ½d² for |d| ≤ δ, δ(|d| − ½δ) above, d = prediction − target; for numbers with outliers",
    .source = "Huber, Robust Estimation of a Location Parameter, 1964",
    .fields = GLIA_FIELDS({.name = "delta",
                           .kind = GLIA_FIELD_FLOAT,
                           .offset = offsetof(glia_huber_attrs, delta),
                           .initial = "1",
                           .min = 1e-12,
                           .max = 1e12,
                           .doc = "δ: where it turns from quadratic to linear"}),
    .options_size = sizeof(glia_huber_attrs),
    .build = build_huber,
};
