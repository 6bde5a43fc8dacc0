/* layers_losses.c: losses of several things that the model says, or is told, as layers: their numbers, one an example, are
 * minimised themselves (`losses: {NAME: mean}`). What only they look at, labels and lengths, are inputs of the model. */

#include "glia/ops.h"
#include "train/model.h"

/* --- of embeddings ------------------------------------------------------------------------------------------ */

typedef struct margin_options {
    double margin;
} margin_options;

#define MARGIN_FIELDS(words)                                           \
    .fields = GLIA_FIELDS({.name = "margin",                           \
                           .kind = GLIA_FIELD_FLOAT,                   \
                           .offset = offsetof(margin_options, margin), \
                           .initial = "1",                             \
                           .doc = words,                               \
                           .min = 1e-6,                                \
                           .max = 1e6}),                               \
    .options_size = sizeof(margin_options), .shorthand = "margin"

/* [N] or [N, 1] → f32 [N]. */
static glia_value *one_each(const glia_layer_build *b, glia_value *x, const char *what) {
    const glia_shape shape = glia_value_shape(x);
    char text[96];
    if (shape.rank == 2 && shape.dim[1] == 1)
        x = glia_op_squeeze(x, (glia_squeeze_attrs){{1, {1}}});
    else if (shape.rank != 1)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "expects as %s one number per example, got %s", what,
                                glia__example_text(x, text, sizeof text));
    return glia_value_dtype(x) == GLIA_F32 ? x : glia_op_cast(x, GLIA_F32);
}

static glia_value *build_contrastive(const glia_layer_build *b, const void *options) {
    glia_value *same = one_each(b, b->inputs[2], "its third input");
    return glia_op_contrastive(b->inputs[0], b->inputs[1], same,
                               (glia_margin_attrs){((const margin_options *)options)->margin});
}

GLIA_LAYER(contrastive) = {
    .name = "contrastive",
    .doc = "a loss of pairs: a, b [N, D], y [N] → [N]: ½·(y·d² + (1 − y)·max(0, margin − d)²), d = |a − b|; "
           "y is 1 for "
           "pairs that belong together, else 0 (Hadsell, Chopra and LeCun, 2006)",
    .loss = true,
    .min_inputs = 3,
    .max_inputs = 3,
    MARGIN_FIELDS("how far apart pairs should be that do not belong together"),
    .build = build_contrastive,
};

static glia_value *build_triplet(const glia_layer_build *b, const void *options) {
    return glia_op_triplet(b->inputs[0], b->inputs[1], b->inputs[2],
                           (glia_margin_attrs){((const margin_options *)options)->margin});
}

GLIA_LAYER(triplet) = {
    .name = "triplet",
    .doc = "a loss of anchor, same, other [N, D] → [N]: max(0, |anchor − same| − |anchor − other| + margin) "
           "(Schroff, "
           "Kalenichenko and Philbin, FaceNet, 2015)",
    .loss = true,
    .min_inputs = 3,
    .max_inputs = 3,
    MARGIN_FIELDS("how much nearer the same should be than the other"),
    .build = build_triplet,
};

typedef struct info_nce_options {
    double temperature;
} info_nce_options;

static glia_value *build_info_nce(const glia_layer_build *b, const void *options) {
    return glia_op_info_nce(b->inputs[0], b->inputs[1],
                            (glia_info_nce_attrs){((const info_nce_options *)options)->temperature});
}

GLIA_LAYER(info_nce) = {
    .name = "info_nce",
    .doc = "a loss of queries, keys [N, D] → [N]: −log(e^s_nn / Σ_m e^s_nm), s_nm = cos(query n, key "
           "m)/temperature: key n "
           "belongs to query n, the others of the batch do not (van den Oord et al., 2018; Chen et al., "
           "SimCLR, 2020)",
    .loss = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .fields = GLIA_FIELDS({.name = "temperature",
                           .kind = GLIA_FIELD_FLOAT,
                           .offset = offsetof(info_nce_options, temperature),
                           .initial = "0.1",
                           .doc = "the smaller, the more the nearest keys count",
                           .min = 1e-6,
                           .max = 1e6}),
    .options_size = sizeof(info_nce_options),
    .shorthand = "temperature",
    .build = build_info_nce,
};

/* Two embeddings, and how far they are apart: what a siamese network is asked for. */
static glia_value *build_distance(const glia_layer_build *b, const void *options) {
    (void)options;
    const glia_shape x = glia_value_shape(b->inputs[0]), y = glia_value_shape(b->inputs[1]);
    char have[96], other[96];
    if (x.rank != 2 || !glia_shape_equal(&x, &y))
        return glia__layer_fail(b, GLIA_BAD_SHAPE,
                                "expects two vectors of one length per example, got %s and %s",
                                glia__example_text(b->inputs[0], have, sizeof have),
                                glia__example_text(b->inputs[1], other, sizeof other));
    glia_value *square = glia_op_square(glia_op_sub(b->inputs[0], b->inputs[1]));
    return glia_op_sqrt(glia_op_sum(square, (glia_reduce_attrs){.axes = {1, {-1}}, .keep_dims = GLIA_YES}));
}

GLIA_LAYER(distance) = {
    .name = "distance",
    .doc = "how far two embeddings are apart: a, b [N, D] → [N, 1]: |a − b|",
    .min_inputs = 2,
    .max_inputs = 2,
    .build = build_distance,
};

/* --- of scores ---------------------------------------------------------------------------------------------- */

static glia_value *build_bpr(const glia_layer_build *b, const void *options) {
    (void)options;
    return glia_op_bpr(b->inputs[0], b->inputs[1]);
}

GLIA_LAYER(bpr) = {
    .name = "bpr",
    .doc = "a loss of the scores of what was chosen and of what was not, [N, …] both → [N, …]: −log σ(liked "
           "− other) "
           "(Rendle et al., BPR, 2009)",
    .loss = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .build = build_bpr,
};

/* --- of sequences ------------------------------------------------------------------------------------------- */

typedef struct ctc_options {
    int64_t blank;
    glia_bool zero_infinity;
} ctc_options;

static glia_value *whole(glia_value *x) {
    const glia_dtype dtype = glia_value_dtype(x);
    return dtype == GLIA_I64 || dtype == GLIA_I32 ? x : glia_op_cast(x, GLIA_I64);
}

static glia_value *build_ctc(const glia_layer_build *b, const void *options) {
    const ctc_options *o = options;
    glia_value *lengths =
        b->n_inputs > 2 ? whole(one_each(b, b->inputs[2], "lengths")) : glia__layer_lengths(b, b->inputs[0]);
    if (b->n_inputs > 2 && !lengths) return NULL;
    glia_value *loss = glia_op_ctc(b->inputs[0], whole(b->inputs[1]), lengths,
                                   (glia_ctc_attrs){.blank = o->blank, .zero_infinity = o->zero_infinity});
    if (loss)
        glia__model_align(b->model, (glia_aligned){.loss = loss,
                                                   .logits = b->inputs[0],
                                                   .labels = b->inputs[1],
                                                   .lengths = b->n_inputs > 2 ? b->inputs[2] : NULL,
                                                   .blank = o->blank});
    return loss;
}

GLIA_LAYER(ctc) = {
    .name = "ctc",
    .doc =
        "a loss of sequences of labels whose places are not known: logits [N, T, C], labels [N, S], perhaps "
        "lengths [N] → "
        "[N]: −log p(labels | softmax(logits)), over all ways to place them. Labels end at S or before the "
        "first "
        "negative number; lengths are steps of the logits that count (Graves et al., Connectionist Temporal "
        "Classification, 2006)",
    .loss = true,
    .min_inputs = 2,
    .max_inputs = 3,
    .fields = GLIA_FIELDS({.name = "blank",
                           .kind = GLIA_FIELD_INT,
                           .offset = offsetof(ctc_options, blank),
                           .initial = "0",
                           .doc = "the class that is no label",
                           .min = 0,
                           .max = 1 << 24},
                          {.name = "zero_infinity",
                           .kind = GLIA_FIELD_BOOL,
                           .offset = offsetof(ctc_options, zero_infinity),
                           .initial = "no",
                           .doc = "labels that do not fit into the steps count 0, not infinitely much"}),
    .options_size = sizeof(ctc_options),
    .build = build_ctc,
};
