/* losses_more.c: losses for rare classes, areas of pictures, distributions, counts, and directions. They are made of ops in
 * src/ops/loss_composed.c. */

#include "glia/ops.h"
#include "train/loss.h"

#define SETTING(type, member, default_text, low, high, words)                        \
    {                                                                                \
        .name = #member, .kind = GLIA_FIELD_FLOAT, .offset = offsetof(type, member), \
        .initial = default_text, .min = low, .max = high, .doc = words               \
    }
#define LOGITS(what) \
    .wrong = "softmax sigmoid", .hint = "it applies " what " itself, so training is slow and stays poor"

static glia_value *build_focal(const glia_loss_build *b) {
    return glia_op_focal(b->prediction, b->target, *(const glia_focal_attrs *)b->options);
}

GLIA_LOSS(focal) = {
    .name = "focal",
    .doc = "mean of α_t·(1 − p_t)^γ·(−log p_t), p_t = σ(prediction) where the class is, 1 − σ elsewhere; for "
           "classes of "
           "which some are rare; predictions are logits",
    .source = "Lin et al., Focal Loss for Dense Object Detection, 2017",
    LOGITS("sigmoid"),
    .fields = GLIA_FIELDS(SETTING(glia_focal_attrs, gamma, "2", 1e-6, 100,
                                  "γ: how much less what is easy counts"),
                          SETTING(glia_focal_attrs, alpha, "0.25", -1, 1,
                                  "α: weight of the class, 1 − α that of the others; -1: both weigh 1")),
    .options_size = sizeof(glia_focal_attrs),
    .build = build_focal,
};

#define SMOOTH SETTING(glia_overlap_attrs, smooth, "1", 1e-12, 1e12, "s: for classes that are nowhere")

static glia_value *build_dice(const glia_loss_build *b) {
    return glia_op_dice(b->prediction, b->target, *(const glia_overlap_attrs *)b->options);
}

GLIA_LOSS(dice) = {
    .name = "dice",
    .doc = "mean over examples and classes of 1 − (2·Σ p·y + s)/(Σ p + Σ y + s), sums over positions, p by "
           "softmax, or by "
           "sigmoid where there is one unit; for areas; predictions are logits",
    .source = "Milletari et al., V-Net, 2016",
    .whole = true,
    LOGITS("softmax"),
    .fields = GLIA_FIELDS(SMOOTH),
    .options_size = sizeof(glia_overlap_attrs),
    .build = build_dice,
};

static glia_value *build_jaccard(const glia_loss_build *b) {
    return glia_op_jaccard(b->prediction, b->target, *(const glia_overlap_attrs *)b->options);
}

GLIA_LOSS(jaccard) = {
    .name = "jaccard",
    .doc = "mean over examples and classes of 1 − (Σ p·y + s)/(Σ p + Σ y − Σ p·y + s), as dice: 1 − "
           "intersection over "
           "union",
    .source = "Rahman and Wang, Optimizing Intersection-Over-Union, 2016",
    .whole = true,
    LOGITS("softmax"),
    .fields = GLIA_FIELDS(SMOOTH),
    .options_size = sizeof(glia_overlap_attrs),
    .build = build_jaccard,
};

static glia_value *build_kl_divergence(const glia_loss_build *b) {
    return glia_op_kl_divergence(b->prediction, b->target);
}

GLIA_LOSS(kl_divergence) = {
    .name = "kl_divergence",
    .doc = "mean over examples of Σ y·(log y − log softmax(prediction)); targets are probabilities, "
           "predictions logits",
    .source = "Kullback and Leibler, On Information and Sufficiency, 1951",
    LOGITS("softmax"),
    .build = build_kl_divergence,
};

static glia_value *build_poisson(const glia_loss_build *b) {
    return glia_op_poisson(b->prediction, b->target);
}

GLIA_LOSS(poisson) = {
    .name = "poisson",
    .doc = "mean of e^prediction − target·prediction, for counts; predictions are logarithms of their means",
    .build = build_poisson,
};

/* The second half are logarithms, since a variance is above 0. */
static glia_value *build_gaussian_nll(const glia_loss_build *b) {
    const glia_shape shape = glia_value_shape(b->prediction);
    const int64_t half = shape.dim[shape.rank - 1] / 2, sizes[] = {half, half};
    glia_value *halves[2];
    glia_op_split(b->prediction, -1, sizes, 2, halves);
    return glia_op_gaussian_nll(halves[0], glia_op_exp(halves[1]), b->target);
}

GLIA_LOSS(gaussian_nll) = {
    .name = "gaussian_nll",
    .doc = "mean of ½(log v + (h − target)²/v), for numbers and how sure the network is of them: of 2·k "
           "units the first k are "
           "h, the others log v",
    .source =
        "Nix and Weigend, Estimating the Mean and Variance of the Target Probability Distribution, 1994",
    .twice = "logarithms of variances",
    .build = build_gaussian_nll,
};

static glia_value *build_hinge(const glia_loss_build *b) {
    return glia_op_hinge(b->prediction, b->target);
}

GLIA_LOSS(hinge) = {
    .name = "hinge",
    .doc = "mean of max(0, 1 − prediction) where the class is, of max(0, 1 + prediction) elsewhere; "
           "predictions are scores",
    .wrong = "softmax sigmoid",
    .hint = "a score needs no bounds",
    .build = build_hinge,
};

static glia_value *build_cosine(const glia_loss_build *b) {
    return glia_op_cosine_distance(b->prediction, b->target);
}

GLIA_LOSS(cosine) = {
    .name = "cosine",
    .doc = "mean over examples of 1 − prediction·target/(|prediction|·|target|), for directions",
    .build = build_cosine,
};
