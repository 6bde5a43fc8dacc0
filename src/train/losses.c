/* losses.c: one block a loss. The mathematics is in src/ops/loss.c. */

#include "glia/ops.h"
#include "train/loss.h"

static glia_value *build_softmax_cross_entropy(glia_value *prediction, glia_value *target, bool each) {
    return glia_op_softmax_cross_entropy(prediction, target,
                                         (glia_softmax_cross_entropy_attrs){.reduction = each});
}

GLIA_LOSS(softmax_cross_entropy) = {
    .name = "softmax_cross_entropy",
    .doc = "−log softmax(prediction)[class], for classes; predictions are logits",
    .classes = true,
    .wrong = "softmax sigmoid",
    .hint = "it applies softmax itself, so training is slow and stays poor",
    .build = build_softmax_cross_entropy,
};

static glia_value *build_categorical_cross_entropy(glia_value *prediction, glia_value *target, bool each) {
    const glia_shape shape = glia_value_shape(prediction);
    if (!each) return glia_op_categorical_cross_entropy(prediction, target);
    glia_value *hot = glia_op_one_hot(target, (glia_one_hot_attrs){.depth = shape.dim[shape.rank - 1]});
    glia_value *log_p = glia_op_log(glia_op_clip(prediction, (glia_clip_attrs){.min = 1e-7, .max = 1}));
    return glia_op_neg(glia_op_sum(glia_op_mul(hot, log_p), (glia_reduce_attrs){.axes = {1, {-1}}}));
}

GLIA_LOSS(categorical_cross_entropy) = {
    .name = "categorical_cross_entropy",
    .doc = "−log prediction[class], for classes; predictions are probabilities (end the model with softmax)",
    .classes = true,
    .missing = "softmax",
    .build = build_categorical_cross_entropy,
};

static glia_value *build_sigmoid_cross_entropy(glia_value *prediction, glia_value *target, bool each) {
    (void)each;
    return glia_op_sigmoid_cross_entropy(prediction, target);
}

GLIA_LOSS(sigmoid_cross_entropy) = {
    .name = "sigmoid_cross_entropy",
    .doc = "−y·log σ(prediction) − (1−y)·log(1−σ(prediction)), for yes or no; predictions are logits",
    .wrong = "sigmoid softmax",
    .hint = "it applies sigmoid itself, so training is slow and stays poor",
    .build = build_sigmoid_cross_entropy,
};

static glia_value *build_mse(glia_value *prediction, glia_value *target, bool each) {
    (void)each;
    return glia_op_mse(prediction, target);
}

GLIA_LOSS(mse) = {
    .name = "mse",
    .doc = "mean of (prediction − target)², for numbers",
    .build = build_mse,
};

static glia_value *build_half_mse(glia_value *prediction, glia_value *target, bool each) {
    (void)each;
    return glia_op_half_mse(prediction, target);
}

GLIA_LOSS(half_mse) = {
    .name = "half_mse",
    .doc = "mean of ½(prediction − target)², for numbers",
    .build = build_half_mse,
};

static glia_value *build_mae(glia_value *prediction, glia_value *target, bool each) {
    (void)each;
    return glia_op_mae(prediction, target);
}

GLIA_LOSS(mae) = {
    .name = "mae",
    .doc = "mean of |prediction − target|, for numbers",
    .build = build_mae,
};

static glia_value *build_huber(glia_value *prediction, glia_value *target, bool each) {
    (void)each;
    return glia_op_huber(prediction, target, (glia_huber_attrs){.delta = 1});
}

GLIA_LOSS(huber) = {
    .name = "huber",
    .doc = "mean of ½d² for |d| ≤ 1, |d| − ½ above, d = prediction − target; for numbers with outliers",
    .build = build_huber,
};
