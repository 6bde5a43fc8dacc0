/* read_loss.c: the two losses of ONNX over classes. */

#include "onnx/read.h"

/* [N, C, d…] with the classes last: [N, d…, C]. */
static glia_value *classes_last(glia_value *x) {
    glia_transpose_attrs a = {.perm = glia_value_shape(x)};
    const int rank = a.perm.rank;
    for (int d = 0; d < rank; d++) a.perm.dim[d] = d == rank - 1 ? 1 : d == 0 ? 0 : d + 1;
    return rank > 2 ? glia_op_transpose(x, a) : x;
}

/* −Σ over classes of log_p·weight where the class is the label; labels to ignore count for nothing. The mean is by the
 * sum of the weights. */
static glia_value *loss_of(glia_onnx_read *r, glia_value *log_p) {
    enum { NONE, SUM, MEAN };
    glia_value *labels = glia__onnx_in(r, 1), *weights = glia__onnx_in(r, 2);
    const int reduction = glia__onnx_choice(r, "reduction", "none|sum|mean", MEAN);
    const bool ignores = glia__onnx_has_attr(r, "ignore_index");
    const double ignored = (double)glia__onnx_int(r, "ignore_index", 0);
    if (!log_p || !labels || r->refused) return NULL;
    const glia_shape shape = glia_value_shape(log_p);
    const glia_dtype dtype = glia_value_dtype(log_p);
    if (shape.rank < 2 || shape.dim[1] < 1) return glia__onnx_refuse(r, "expected scores [N, C, …]");
    glia_value *counts = ignores ? glia_op_not_equal(labels, glia__number(labels, ignored)) : NULL;
    if (counts) labels = glia_op_where(counts, labels, glia__number(labels, 0));
    glia_value *hot =
        glia_op_cast(glia_op_one_hot(labels, (glia_one_hot_attrs){.depth = shape.dim[1]}), dtype);
    if (weights) hot = glia_op_mul(hot, weights);
    if (counts) {
        glia_value *column = glia_op_unsqueeze(glia_op_cast(counts, dtype), (glia_squeeze_attrs){{1, {-1}}});
        hot = glia_op_mul(hot, column);
    }
    const glia_reduce_attrs over_classes = {.axes = {1, {-1}}, .keep_dims = GLIA_NO},
                            all = {.keep_dims = GLIA_NO};
    glia_value *terms = glia_op_mul(classes_last(log_p), hot);
    if (reduction == NONE) return glia_op_neg(glia_op_sum(terms, over_classes));
    glia_value *sum = glia_op_neg(glia_op_sum(terms, all));
    return reduction == SUM ? sum : glia_op_div(sum, glia_op_sum(hot, all));
}

static void read_nll_loss(glia_onnx_read *r) {
    r->out[0] = loss_of(r, glia__onnx_in(r, 0));
}
GLIA_ONNX(nll_loss) = {.op_type = "NegativeLogLikelihoodLoss",
                       .since = 12,
                       .min_inputs = 2,
                       .max_inputs = 3,
                       .read = read_nll_loss};

static void read_cross_entropy(glia_onnx_read *r) {
    glia_value *log_p = glia_op_log_softmax(glia__onnx_in(r, 0), 1);
    r->out[0] = loss_of(r, log_p);
    if (r->n_out > 1) r->out[1] = log_p;
}
GLIA_ONNX(cross_entropy) = {.op_type = "SoftmaxCrossEntropyLoss",
                            .since = 12,
                            .min_inputs = 2,
                            .max_inputs = 3,
                            .read = read_cross_entropy};
