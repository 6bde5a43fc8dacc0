/* loss_composed.c: losses made of other ops, which give them their gradients. Each gives a number for every element, position
 * or example, as it says; their mean is glia_op_mean(x, (glia_reduce_attrs){0}). */

#include "glia/ops.h"
#include "graph/op.h"

#ifdef GLIA_OPS_HEADER
/* Losses made of other ops: a number for every element, position or example; glia_op_mean gives their mean. h are logits
 * unless it says otherwise; y is 0 … 1 and has the shape of h. */

typedef struct glia_focal_attrs {
    double gamma; /* how much less what is easy counts; 0: 2 */
    double alpha; /* weight of y = 1, 1 − α that of y = 0; 0: 0.25; below 0: none */
} glia_focal_attrs;
/* α_t·(1 − p_t)^γ·(−log p_t), p_t = σ(h) where y is 1, else 1 − σ(h), for each element (Lin et al., Focal Loss for Dense
 * Object Detection, 2017; as torchvision's sigmoid_focal_loss). */
GLIA_API glia_value *glia_op_focal(glia_value *h, glia_value *y, glia_focal_attrs attrs);

typedef struct glia_overlap_attrs {
    double smooth; /* added above and below, for classes that are nowhere; 0: 1 */
} glia_overlap_attrs;
/* [N, …, C] → [N, C], by the probabilities p (softmax over the last dimension; σ when it is 1) and sums over …: */
/* 1 − (2·Σ p·y + s)/(Σ p + Σ y + s) (Milletari et al., V-Net, 2016). */
GLIA_API glia_value *glia_op_dice(glia_value *h, glia_value *y, glia_overlap_attrs attrs);
/* 1 − (Σ p·y + s)/(Σ p + Σ y − Σ p·y + s): 1 − intersection over union. */
GLIA_API glia_value *glia_op_jaccard(glia_value *h, glia_value *y, glia_overlap_attrs attrs);

/* Σ_c y·(log y − log softmax(h)) over the last dimension, which goes: Kullback and Leibler's divergence. */
GLIA_API glia_value *glia_op_kl_divergence(glia_value *h, glia_value *y);
/* e^h − y·h for each element: h is the logarithm of the mean of a count y. */
GLIA_API glia_value *glia_op_poisson(glia_value *h, glia_value *y);
/* ½·(log v + (h − y)²/v) for each element: h and v > 0 are mean and variance of y. */
GLIA_API glia_value *glia_op_gaussian_nll(glia_value *h, glia_value *variance, glia_value *y);
/* max(0, 1 − (2y − 1)·h) for each element: h is a score, y is 0 or 1. */
GLIA_API glia_value *glia_op_hinge(glia_value *h, glia_value *y);
/* 1 − a·b/(|a|·|b|) over the last dimension, which goes. */
GLIA_API glia_value *glia_op_cosine_distance(glia_value *a, glia_value *b);

/* Losses of examples by their embeddings [N, D]: [N]. */
typedef struct glia_margin_attrs {
    double margin; /* 0: 1 */
} glia_margin_attrs;
/* max(0, |anchor − same| − |anchor − other| + margin) (Schroff et al., FaceNet, 2015; as PyTorch's TripletMarginLoss). */
GLIA_API glia_value *glia_op_triplet(glia_value *anchor, glia_value *same, glia_value *other,
                                     glia_margin_attrs attrs);
/* ½·(y·d² + (1 − y)·max(0, margin − d)²), d = |a − b|, y [N] is 1 for pairs that belong together (Hadsell et al., 2006). */
GLIA_API glia_value *glia_op_contrastive(glia_value *a, glia_value *b, glia_value *y,
                                         glia_margin_attrs attrs);
typedef struct glia_info_nce_attrs {
    double temperature; /* τ; 0: 0.1 */
} glia_info_nce_attrs;
/* −log(e^(s_nn)/Σ_m e^(s_nm)), s_nm = cos(query n, key m)/τ: key n belongs to query n, the other keys of the batch do not
 * (van den Oord et al., 2018; Chen et al., SimCLR, 2020). */
GLIA_API glia_value *glia_op_info_nce(glia_value *queries, glia_value *keys, glia_info_nce_attrs attrs);
/* −log σ(liked − other) for each element: scores of what was chosen and of what was not (Rendle et al., BPR, 2009). */
GLIA_API glia_value *glia_op_bpr(glia_value *liked, glia_value *other);
#endif /* GLIA_OPS_HEADER */

/* What they share: equal shapes, since ops would broadcast; false with an error in the graph. */
static bool fit(const char *loss, glia_value *a, glia_value *b, int least_rank) {
    const glia_shape x = glia_value_shape(a), y = glia_value_shape(b);
    char text[128], other[128];
    if (!a || !b) return false;
    if (glia_shape_equal(&x, &y) && x.rank >= least_rank) return true;
    (void)glia_graph_fail(glia_value_graph(a), GLIA_BAD_SHAPE, NULL,
                          "%s expects two arrays of one shape, of at least %d dimensions, found %s and %s",
                          loss, least_rank, glia_shape_text(&x, text, sizeof text),
                          glia_shape_text(&y, other, sizeof other));
    return false;
}

static const glia_reduce_attrs over_last = {.axes = {1, {-1}}, .keep_dims = GLIA_NO};
static const glia_reduce_attrs over_last_kept = {.axes = {1, {-1}}, .keep_dims = GLIA_YES};

static glia_value *plus(glia_value *x, double number) {
    return x ? glia_op_add(x, glia__number(x, number)) : NULL;
}
/* number − x. */
static glia_value *minus(double number, glia_value *x) {
    return x ? glia_op_sub(glia__number(x, number), x) : NULL;
}
static glia_value *above_zero(glia_value *x) {
    return glia_op_relu(x);
}
static double or_default(double value, double otherwise) {
    return value == 0 ? otherwise : value;
}

/* --- element by element --------------------------------------------------------------------------------------- */

glia_value *glia_op_focal(glia_value *h, glia_value *y, glia_focal_attrs attrs) {
    const double alpha = or_default(attrs.alpha, 0.25);
    if (!fit("focal", h, y, 0)) return NULL;
    glia_value *p = glia_op_sigmoid(h), *py = glia_op_mul(p, y);
    glia_value *wrong = glia_op_sub(glia_op_add(p, y), glia__scaled(py, 2)); /* 1 − p_t */
    glia_value *entropy = glia_op_sub(glia_op_softplus(h), glia_op_mul(h, y));
    glia_value *loss = glia_op_mul(glia_op_pow(wrong, glia__number(h, or_default(attrs.gamma, 2))), entropy);
    return alpha < 0 ? loss : glia_op_mul(loss, plus(glia__scaled(y, 2 * alpha - 1), 1 - alpha));
}

glia_value *glia_op_poisson(glia_value *h, glia_value *y) {
    return fit("poisson", h, y, 0) ? glia_op_sub(glia_op_exp(h), glia_op_mul(h, y)) : NULL;
}

glia_value *glia_op_gaussian_nll(glia_value *h, glia_value *variance, glia_value *y) {
    if (!fit("gaussian_nll", h, y, 0) || !fit("gaussian_nll", h, variance, 0)) return NULL;
    glia_value *distance = glia_op_div(glia_op_square(glia_op_sub(h, y)), variance);
    return glia__scaled(glia_op_add(glia_op_log(variance), distance), 0.5);
}

glia_value *glia_op_hinge(glia_value *h, glia_value *y) {
    if (!fit("hinge", h, y, 0)) return NULL;
    return above_zero(minus(1, glia_op_mul(plus(glia__scaled(y, 2), -1), h)));
}

glia_value *glia_op_bpr(glia_value *liked, glia_value *other) {
    return fit("bpr", liked, other, 0) ? glia_op_softplus(glia_op_sub(other, liked)) : NULL;
}

/* --- over classes --------------------------------------------------------------------------------------------- */

/* y·log y is 0 where y is. */
glia_value *glia_op_kl_divergence(glia_value *h, glia_value *y) {
    const double least = 1e-37;
    if (!fit("kl_divergence", h, y, 1)) return NULL;
    glia_value *log_y = glia_op_log(glia_op_maximum(y, glia__number(y, least)));
    return glia_op_sum(glia_op_mul(y, glia_op_sub(log_y, glia_op_log_softmax(h, -1))), over_last);
}

/* [N, …, C] → [N, C]: Σ over the positions. */
static glia_value *over_positions(glia_value *x) {
    glia_reduce_attrs a = {.axes = {.rank = glia_value_shape(x).rank - 2}, .keep_dims = GLIA_NO};
    for (int i = 0; i < a.axes.rank; i++) a.axes.dim[i] = i + 1;
    return a.axes.rank > 0 ? glia_op_sum(x, a) : x;
}

/* Σ p·y, and Σ p + Σ y. */
static bool overlap(const char *loss, glia_value *h, glia_value *y, glia_value **both, glia_value **all) {
    const glia_shape shape = glia_value_shape(h);
    if (!fit(loss, h, y, 2)) return false;
    glia_value *p = shape.dim[shape.rank - 1] == 1 ? glia_op_sigmoid(h) : glia_op_softmax(h, -1);
    *both = over_positions(glia_op_mul(p, y));
    *all = over_positions(glia_op_add(p, y));
    return true;
}

glia_value *glia_op_dice(glia_value *h, glia_value *y, glia_overlap_attrs attrs) {
    const double smooth = or_default(attrs.smooth, 1);
    glia_value *both, *all;
    if (!overlap("dice", h, y, &both, &all)) return NULL;
    return minus(1, glia_op_div(plus(glia__scaled(both, 2), smooth), plus(all, smooth)));
}

glia_value *glia_op_jaccard(glia_value *h, glia_value *y, glia_overlap_attrs attrs) {
    const double smooth = or_default(attrs.smooth, 1);
    glia_value *both, *all;
    if (!overlap("jaccard", h, y, &both, &all)) return NULL;
    return minus(1, glia_op_div(plus(both, smooth), plus(glia_op_sub(all, both), smooth)));
}

/* --- of embeddings -------------------------------------------------------------------------------------------- */

/* x/|x| over the last dimension; 0 stays 0. */
static glia_value *unit(glia_value *x) {
    const double least = 1e-16;
    glia_value *square = glia_op_sum(glia_op_square(x), over_last_kept);
    return glia_op_mul(x, glia_op_rsqrt(glia_op_maximum(square, glia__number(x, least))));
}

glia_value *glia_op_cosine_distance(glia_value *a, glia_value *b) {
    if (!fit("cosine_distance", a, b, 1)) return NULL;
    return minus(1, glia_op_sum(glia_op_mul(unit(a), unit(b)), over_last));
}

/* |a − b + 1e-6|, as in PyTorch: a slope there is even where a is b. */
static glia_value *distance(glia_value *a, glia_value *b) {
    return glia_op_sqrt(glia_op_sum(glia_op_square(plus(glia_op_sub(a, b), 1e-6)), over_last));
}

glia_value *glia_op_triplet(glia_value *anchor, glia_value *same, glia_value *other,
                            glia_margin_attrs attrs) {
    if (!fit("triplet", anchor, same, 1) || !fit("triplet", anchor, other, 1)) return NULL;
    glia_value *gap = glia_op_sub(distance(anchor, same), distance(anchor, other));
    return above_zero(plus(gap, or_default(attrs.margin, 1)));
}

glia_value *glia_op_contrastive(glia_value *a, glia_value *b, glia_value *y, glia_margin_attrs attrs) {
    if (!fit("contrastive", a, b, 1) || !y) return NULL;
    glia_value *d = distance(a, b);
    if (!fit("contrastive", d, y, 0)) return NULL;
    glia_value *far = glia_op_square(above_zero(minus(or_default(attrs.margin, 1), d)));
    return glia__scaled(glia_op_add(glia_op_mul(y, glia_op_square(d)), glia_op_mul(minus(1, y), far)), 0.5);
}

glia_value *glia_op_info_nce(glia_value *queries, glia_value *keys, glia_info_nce_attrs attrs) {
    if (!fit("info_nce", queries, keys, 2)) return NULL;
    const double scale = 1 / or_default(attrs.temperature, 0.1);
    glia_value *q = glia__scaled(unit(queries), scale), *k = unit(keys);
    glia_value *scores = glia_op_matmul(q, k, (glia_matmul_attrs){.transpose_b = GLIA_YES});
    return glia_op_sub(glia_op_log_sum_exp(scores, over_last), glia_op_sum(glia_op_mul(q, k), over_last));
}
