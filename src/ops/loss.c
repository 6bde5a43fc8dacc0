/* loss.c: losses: scalars, the mean over the batch (classes) or over all elements (pairs of arrays), summed in double
 * so that the result does not depend on the order of magnitude of the batch. Each has one backward op. */

#include "graph/to_onnx.h"
#include "ops/rows.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_softmax_cross_entropy_attrs {
    double label_smoothing; /* ε: targets become (1 − ε)·target + ε/C; default 0 */
    int reduction;          /* 0: the mean over all positions; 1: none, a number for each */
} glia_softmax_cross_entropy_attrs;
/* −Σ_c target[n,c]·log softmax(logits)[n,c], the mean over all positions n or one number for each; logits [N, …, C]; target
 * i64 or i32 [N, …] (class numbers), or [N, …, C] of the logits' dtype (probabilities). */
GLIA_API glia_value *glia_op_softmax_cross_entropy(glia_value *logits, glia_value *target,
                                                   glia_softmax_cross_entropy_attrs attrs);
/* −log p[n, target[n]], the mean over all positions n, p clamped to 1e-7 … 1 (Keras): p [N, …, C] probabilities, target i64
 * or i32 [N, …]. */
GLIA_API glia_value *glia_op_categorical_cross_entropy(glia_value *probabilities, glia_value *target);
/* Means over all elements of a function of prediction h and target y, both of one shape: */
GLIA_API glia_value *glia_op_mse(glia_value *h, glia_value *y);      /* (h − y)² */
GLIA_API glia_value *glia_op_half_mse(glia_value *h, glia_value *y); /* ½(h − y)² */
GLIA_API glia_value *glia_op_mae(glia_value *h, glia_value *y);      /* |h − y| */
/* −y·log σ(h) − (1 − y)·log(1 − σ(h)), y in [0, 1]. */
GLIA_API glia_value *glia_op_sigmoid_cross_entropy(glia_value *h, glia_value *y);
typedef struct glia_huber_attrs {
    double delta; /* quadratic below, linear above; 0: 1 */
    int reduction; /* 0: the mean over all elements; 1: none, a number for each, which the other losses of pairs take as text
                    * ("reduction=none") */
} glia_huber_attrs;
/* ½d² for |d| ≤ δ, δ(|d| − ½δ) above, d = h − y. */
GLIA_API glia_value *glia_op_huber(glia_value *h, glia_value *y, glia_huber_attrs attrs);
#endif /* GLIA_OPS_HEADER */

#define BACKWARD_TRAITS (GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT)

/* --- cross-entropy over classes --------------------------------------------------------------------------- */

static glia_status classes_infer(const glia_type *in, const char *op, bool dense_allowed, glia_error *err) {
    char a[160], b[160];
    const glia_shape *x = &in[0].shape, *t = &in[1].shape;
    GLIA_TRY(glia__check_float(&in[0], err));
    glia_shape positions = *x;
    positions.rank = GLIA_MAX(x->rank - 1, 0);
    bool classes = glia__is_index(in[1].dtype) && glia_shape_equal(&positions, t);
    bool dense = dense_allowed && in[1].dtype == in[0].dtype && glia_shape_equal(x, t);
    if (x->rank >= 2 && x->dim[x->rank - 1] > 0 && (classes || dense)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE,
                          "%s expects predictions [N, …, classes] and targets i64 [N, …]%s, found %s and %s",
                          op, dense_allowed ? " or [N, …, classes]" : "",
                          glia__type_text(&in[0], a, sizeof a), glia__type_text(&in[1], b, sizeof b));
}

static bool is_mean(const void *attrs) {
    return ((const glia_softmax_cross_entropy_attrs *)attrs)->reduction == 0;
}

static glia_status softmax_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    (void)n_in;
    GLIA_TRY(classes_infer(in, "softmax_cross_entropy", true, err));
    out[0] = (glia_type){.dtype = in[0].dtype};
    if (is_mean(attrs)) return GLIA_OK;
    out[0].shape = in[0].shape;
    out[0].shape.rank--;
    return GLIA_OK;
}

static int64_t last_dim(const glia_shape *shape) {
    return shape->dim[shape->rank - 1];
}

/* The class of row n, checked: data may hold anything. */
static glia_status class_of(const glia_call *c, int64_t n, int64_t classes, int64_t *out) {
    const glia_view *t = &c->in[1];
    *out = glia__index_at(t, n);
    if (*out >= 0 && *out < classes) return GLIA_OK;
    return glia_error_set(
        c->err, GLIA_BAD_DATA,
        "label %lld of example %lld in the batch is out of range 0 … %lld (the last layer has %lld "
        "outputs)",
        (long long)*out,
        (long long)(c->first_row + n * t->shape.dim[0] / GLIA_MAX(glia_shape_elems(&t->shape), 1)),
        (long long)classes - 1, (long long)classes);
}

/* Positions in the whole batch, at least 1. */
static double batch_of(const glia_call *c) {
    return (double)GLIA_MAX(glia__whole_elems(c, 0) / last_dim(&c->in[0].shape), 1);
}

/* log Σ exp of a row, shifted by its maximum. */
#define LOG_SUM_EXP(function, T)                                         \
    function(double, log_sum_exp_##T, (const T *x, int64_t n), (x, n)) { \
        const T most = glia__row_max(x, n);                              \
        return (double)most + log(glia__row_exp((T *)NULL, x, most, n)); \
    }
LOG_SUM_EXP(GLIA_CPU_CLONES, float)
LOG_SUM_EXP(GLIA_CPU_PLAIN, double)
#define ROW_LOG_SUM(row, n) _Generic(*(row), float : log_sum_exp_float, default : log_sum_exp_double)(row, n)

/* to = mass·softmax(row). */
#define SCALED_SOFTMAX(function, T)                                                                      \
    function(void, scaled_softmax_##T, (T * to, const T *x, double mass, int64_t n), (to, x, mass, n)) { \
        const T scale = (T)(mass / glia__row_exp(to, x, glia__row_max(x, n), n));                        \
        for (int64_t k = 0; k < n; k++) to[k] *= scale;                                                  \
    }
SCALED_SOFTMAX(GLIA_CPU_CLONES, float)
SCALED_SOFTMAX(GLIA_CPU_PLAIN, double)
#define ROW_SOFTMAX(to, row, mass, n) \
    _Generic(*(row), float : scaled_softmax_float, default : scaled_softmax_double)(to, row, mass, n)

#define ROW_MEAN(function, T)                                         \
    function(double, row_mean_##T, (const T *x, int64_t n), (x, n)) { \
        double total;                                                 \
        GLIA_ROW_SUM(total, n, x[k]);                                 \
        return total / (double)n;                                     \
    }
ROW_MEAN(GLIA_CPU_CLONES, float)
ROW_MEAN(GLIA_CPU_PLAIN, double)
#define ROW_MEAN_OF(row, n) _Generic(*(row), float : row_mean_float, default : row_mean_double)(row, n)

/* With smoothing ε a class k of probability t has (1 − ε)·t + ε/C: of the loss Σ t·(log Σ exp x − x_k). */
static glia_status softmax_ref(const glia_call *c) {
    const glia_softmax_cross_entropy_attrs *a = c->attrs;
    const int64_t classes = last_dim(&c->in[0].shape), rows = glia_shape_elems(&c->in[0].shape) / classes;
    const bool dense = !glia__is_index(c->in[1].dtype);
    const double kept = 1 - a->label_smoothing, spread = a->label_smoothing / (double)classes;
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *x = c->in[0].data;
        const T *target = c->in[1].data;
        T *y = c->out[0].data;
        double total = 0;
        for (int64_t n = 0; n < rows; n++) {
            const T *row = x + n * classes;
            double norm = ROW_LOG_SUM(row, classes), loss = 0;
            int64_t k = 0;
            if (dense) {
                for (; k < classes; k++)
                    loss += (kept * (double)target[n * classes + k] + spread) * (norm - (double)row[k]);
            } else {
                GLIA_TRY(class_of(c, n, classes, &k));
                loss = norm - kept * (double)row[k];
                if (spread > 0) loss -= a->label_smoothing * ROW_MEAN_OF(row, classes);
            }
            if (a->reduction) y[n] = (T)loss;
            total += loss;
        }
        if (!a->reduction) *y = (T)(rows ? total / batch_of(c) : 0);
    });
    return GLIA_OK;
}

/* By dense targets (for distillation): −(1 − ε)·log softmax·dy; where dy is of the mean over N positions, 1/N of it: the mean
 * over N·C shares is taken C times. */
static glia_value *dense_target_gradient(const glia_gradient *g) {
    const glia_softmax_cross_entropy_attrs *a = g->attrs;
    const double kept = 1 - a->label_smoothing;
    const glia_shape shape = glia_value_shape(g->x[0]);
    const int64_t classes = last_dim(&shape);
    glia_value *log_p = glia__apply1("log_softmax", g->x[0]);
    if (a->reduction)
        return glia__apply2("mul", log_p,
                            glia_graph_apply_text(g->graph, "unsqueeze",
                                                  (glia_value *[]){glia__scaled(g->dy[0], -kept)}, 1,
                                                  "axes=-1"));
    if (classes < 0)
        return glia_graph_fail(g->graph, GLIA_UNSUPPORTED, NULL,
                               "the gradient of softmax_cross_entropy by its targets needs a known number of "
                               "classes");
    glia_value *inputs[] = {glia__scaled(g->dy[0], -kept * (double)classes), g->x[0]};
    return glia__apply2("mul", log_p,
                        glia_graph_apply_text(g->graph, "broadcast_like", inputs, 2, "mean=yes"));
}

static void softmax_grad(glia_gradient *g) {
    glia_value *in[] = {g->x[0], g->x[1], g->dy[0]};
    if (g->needed[0])
        g->dx[0] = glia_graph_apply(g->graph, "softmax_cross_entropy_backward", in, 3, g->attrs);
    if (g->needed[1]) g->dx[1] = dense_target_gradient(g);
}

static double classes_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return 4.0 * (double)glia_shape_elems(&in[0].shape);
}

/* Predictions [N, …, C] as [N, C, …]. */
static const char *classes_first_to_onnx(glia_to_onnx *w) {
    const int rank = w->node->inputs[0]->type.shape.rank;
    return rank > 2 ? glia__to_onnx_channels_first(w, NULL, w->x[0], rank) : w->x[0];
}

/* The loss of class numbers, without smoothing; classes are dimension 1 in ONNX. */
static const char *labels_to_onnx(glia_to_onnx *w, const char *out) {
    const char *x = classes_first_to_onnx(w);
    const char *y = GLIA_TO_ONNX(w, out, "SoftmaxCrossEntropyLoss", x, w->x[1]);
    if (!is_mean(w->node->attrs)) glia__to_onnx_text(w, "reduction", "none");
    return y;
}

/* −Σ over the last dimension of `terms`, times `factor`; and their mean over all positions. */
static const char *negative_sum_to_onnx(glia_to_onnx *w, const char *out, const char *terms, double factor) {
    const bool mean = is_mean(w->node->attrs);
    const glia_dtype dtype = w->node->inputs[0]->type.dtype;
    const char *y =
        GLIA_TO_ONNX(w, NULL, "ReduceSum", terms, glia__to_onnx_list(w, (const int64_t[]){-1}, 1));
    glia__to_onnx_int(w, "keepdims", 0);
    y = GLIA_TO_ONNX(w, mean ? NULL : out, "Mul", y, glia__to_onnx_number(w, dtype, -factor));
    if (!mean) return y;
    y = GLIA_TO_ONNX(w, out, "ReduceMean", y);
    glia__to_onnx_int(w, "keepdims", 0);
    return y;
}

/* Smoothing, and targets that are probabilities, ONNX does not know: −Σ target·log softmax(x). */
static void softmax_cross_entropy_to_onnx(glia_to_onnx *w) {
    const glia_softmax_cross_entropy_attrs *a = w->node->attrs;
    const glia_type *x = &w->node->inputs[0]->type;
    const double smoothing = a->label_smoothing, spread = smoothing / (double)last_dim(&x->shape);
    const bool dense = glia_dtype_is_float(w->node->inputs[1]->type.dtype);
    if (!dense && smoothing == 0) {
        labels_to_onnx(w, w->y[0]);
        return;
    }
    const char *log_p = GLIA_TO_ONNX(w, NULL, "LogSoftmax", w->x[0]);
    glia__to_onnx_int(w, "axis", -1);
    if (!dense) {
        const char *of_labels = GLIA_TO_ONNX(w, NULL, "Mul", labels_to_onnx(w, NULL),
                                             glia__to_onnx_number(w, x->dtype, 1 - smoothing));
        GLIA_TO_ONNX(w, w->y[0], "Add", of_labels, negative_sum_to_onnx(w, NULL, log_p, spread));
        return;
    }
    const char *t = w->x[1];
    if (smoothing > 0) {
        t = GLIA_TO_ONNX(w, NULL, "Mul", t, glia__to_onnx_number(w, x->dtype, 1 - smoothing));
        t = GLIA_TO_ONNX(w, NULL, "Add", t, glia__to_onnx_number(w, x->dtype, spread));
    }
    negative_sum_to_onnx(w, w->y[0], GLIA_TO_ONNX(w, NULL, "Mul", log_p, t), 1);
}

/* Without reduction the rows stay; with it they are added up. */
static uint32_t softmax_rows(const glia_type *in, int n_in, const void *attrs) {
    return is_mean(attrs) ? 0 : glia__rows_pair(in, n_in, attrs);
}
static uint32_t softmax_sums(const glia_type *in, int n_in, const void *attrs) {
    return is_mean(attrs) ? glia__rows_pair(in, n_in, attrs) : 0;
}

#define SOFTMAX_FIELDS                                                                           \
    .attrs = GLIA_FIELDS({.name = "label_smoothing",                                             \
                          .kind = GLIA_FIELD_FLOAT,                                              \
                          .offset = offsetof(glia_softmax_cross_entropy_attrs, label_smoothing), \
                          .initial = "0",                                                        \
                          .max = 0.999999,                                                       \
                          .doc = "ε: targets become (1 − ε)·target + ε/C"},                      \
                         {.name = "reduction",                                                   \
                          .kind = GLIA_FIELD_CHOICE,                                             \
                          .offset = offsetof(glia_softmax_cross_entropy_attrs, reduction),       \
                          .initial = "mean",                                                     \
                          .choices = "mean|none",                                                \
                          .doc = "mean over all positions, or none: a number for each"}),        \
    .attrs_size = sizeof(glia_softmax_cross_entropy_attrs)

GLIA_OP(softmax_cross_entropy) = {
    .name = "softmax_cross_entropy",
    .version = 1,
    .doc = "mean over all positions of −Σ target·log softmax(logits)",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_NO_C,
    .infer = softmax_infer,
    .grad = softmax_grad,
    .ref = softmax_ref,
    .rows = softmax_rows,
    .sums = softmax_sums,
    SOFTMAX_FIELDS,
    .flops = classes_flops,
    .onnx = "SoftmaxCrossEntropyLoss",
    .onnx_since = 13,
    .onnx_write = softmax_cross_entropy_to_onnx,
    .cases = GLIA_CASES({.inputs = "4x5 4:i64<5"}, {.inputs = "3x7 3:i32<7"}, {.inputs = "1x1 1:i64<1"},
                        {.inputs = "4x5 4x5:unit"}, {.inputs = "3x4x5 3x4:i64<5"},
                        {.inputs = "2x3x4x40 2x3x4:i32<40", .attrs = "label_smoothing=0.1"},
                        {.inputs = "4x5 4:i64<5", .attrs = "reduction=none label_smoothing=0.2"},
                        {.inputs = "3x4x5 3x4:i64<5", .attrs = "reduction=none"},
                        {.inputs = "3x2x5 3x2x5:unit", .attrs = "reduction=none label_smoothing=0.1"},
                        {.inputs = "4x5 4x5:unit", .attrs = "label_smoothing=0.3"},
                        {.inputs = "4x5 4:i64<5", .attrs = "label_smoothing=1", .expect_error = "0.999999"},
                        {.inputs = "4x5 3:i64<5", .expect_error = "targets i64 [N, …] or [N, …, classes]"},
                        {.inputs = "4x5x2 4:i64<5", .expect_error = "found f32 4×5×2 and i64 4"},
                        {.inputs = "4x5 4x6", .expect_error = "softmax_cross_entropy expects"}),
};

glia_value *glia_op_softmax_cross_entropy(glia_value *logits, glia_value *target,
                                          glia_softmax_cross_entropy_attrs attrs) {
    glia_value *in[] = {logits, target};
    return glia_graph_apply(glia_value_graph(logits ? logits : target), "softmax_cross_entropy", in, 2,
                            &attrs);
}

static glia_status backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    (void)n_in, (void)attrs;
    char text[160];
    if (in[2].shape.rank != 0 || in[2].dtype != in[0].dtype)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "the gradient of a loss is a scalar of its dtype, found %s",
                              glia__type_text(&in[2], text, sizeof text));
    out[0] = in[0];
    return GLIA_OK;
}

static glia_status softmax_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                          glia_error *err) {
    GLIA_TRY(classes_infer(in, "softmax_cross_entropy", true, err));
    if (is_mean(attrs)) return backward_infer(in, n_in, attrs, out, err);
    glia_shape positions = in[0].shape;
    char text[160];
    positions.rank--;
    out[0] = in[0];
    if (in[2].dtype == in[0].dtype && glia_shape_equal(&in[2].shape, &positions)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE,
                          "the gradient of losses that are not reduced has a number a position, found %s",
                          glia__type_text(&in[2], text, sizeof text));
}

/* dlogits = dloss/N · (softmax(logits)·Σ target − target), with targets as smoothing leaves them. */
static glia_status softmax_backward_ref(const glia_call *c) {
    const glia_softmax_cross_entropy_attrs *a = c->attrs;
    const int64_t classes = last_dim(&c->in[0].shape), rows = glia_shape_elems(&c->in[0].shape) / classes;
    const bool dense = !glia__is_index(c->in[1].dtype);
    const double kept = 1 - a->label_smoothing, spread = a->label_smoothing / (double)classes;
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *x = c->in[0].data;
        const T *target = c->in[1].data;
        const T *dy = c->in[2].data;
        T *dx = c->out[0].data;
        for (int64_t n = 0; n < rows; n++) {
            const double scale = a->reduction ? (double)dy[n] : (double)*dy / batch_of(c);
            const T *row = x + n * classes;
            T *to = dx + n * classes;
            double mass = dense ? a->label_smoothing : 1;
            for (int64_t k = 0; dense && k < classes; k++) mass += kept * (double)target[n * classes + k];
            ROW_SOFTMAX(to, row, scale * mass, classes);
            int64_t k = 0;
            if (dense) {
                for (; k < classes; k++)
                    to[k] -= (T)(scale * (kept * (double)target[n * classes + k] + spread));
                continue;
            }
            GLIA_TRY(class_of(c, n, classes, &k));
            to[k] -= (T)(scale * kept);
            const T share = (T)(scale * spread);
            for (k = 0; spread > 0 && k < classes; k++) to[k] -= share;
        }
    });
    return GLIA_OK;
}

static uint32_t softmax_backward_rows(const glia_type *in, int n_in, const void *attrs) {
    const uint32_t pair = glia__rows_pair(in, n_in, attrs);
    return pair && !is_mean(attrs) ? pair | 4 : pair;
}

GLIA_OP(softmax_cross_entropy_backward) = {
    .name = "softmax_cross_entropy_backward",
    .version = 1,
    .doc = "d(softmax_cross_entropy)/dlogits of logits, target and the gradient of the loss",
    .min_inputs = 3,
    .max_inputs = 3,
    .traits = BACKWARD_TRAITS,
    .infer = softmax_backward_infer,
    .ref = softmax_backward_ref,
    .rows = softmax_backward_rows,
    SOFTMAX_FIELDS,
    .flops = classes_flops,
    .cases = GLIA_CASES({.inputs = "4x5 4:i64<5 scalar"}, {.inputs = "4x5 4x5:unit scalar"},
                        {.inputs = "3x4x5 3x4:i64<5 scalar", .attrs = "label_smoothing=0.1"},
                        {.inputs = "3x4x5 3x4:i64<5 3x4", .attrs = "reduction=none label_smoothing=0.1"},
                        {.inputs = "3x4x5 3x4x5:unit 3x4", .attrs = "reduction=none label_smoothing=0.1"},
                        {.inputs = "4x5 4:i64<5 scalar",
                         .attrs = "reduction=none",
                         .expect_error = "has a number a position"},
                        {.inputs = "4x5 4:i64<5 2", .expect_error = "is a scalar"}),
};

/* --- cross-entropy of probabilities ----------------------------------------------------------------------- */

static const double LEAST_PROBABILITY = 1e-7; /* Keras's epsilon */

static glia_status categorical_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                     glia_error *err) {
    (void)n_in, (void)attrs;
    GLIA_TRY(classes_infer(in, "categorical_cross_entropy", false, err));
    out[0] = (glia_type){.dtype = in[0].dtype};
    return GLIA_OK;
}

static glia_status categorical_ref(const glia_call *c) {
    const int64_t classes = last_dim(&c->in[0].shape), rows = glia_shape_elems(&c->in[0].shape) / classes;
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *p = c->in[0].data;
        double total = 0;
        for (int64_t n = 0; n < rows; n++) {
            int64_t k;
            GLIA_TRY(class_of(c, n, classes, &k));
            double chosen = (double)p[n * classes + k];
            if (chosen < LEAST_PROBABILITY) chosen = LEAST_PROBABILITY;
            total -= log(chosen > 1 ? 1 : chosen);
        }
        *(T *)c->out[0].data = (T)(rows ? total / batch_of(c) : 0);
    });
    return GLIA_OK;
}

static void categorical_grad(glia_gradient *g) {
    g->dx[0] = glia__apply3("categorical_cross_entropy_backward", g->x[0], g->x[1], g->dy[0]);
}

static void categorical_to_onnx(glia_to_onnx *w) {
    const char *log_p = GLIA_TO_ONNX(w, NULL, "Log", classes_first_to_onnx(w));
    GLIA_TO_ONNX(w, w->y[0], "NegativeLogLikelihoodLoss", log_p, w->x[1]);
}

GLIA_OP(categorical_cross_entropy) = {
    .name = "categorical_cross_entropy",
    .version = 1,
    .doc = "mean over all positions of −log p[target]",
    .source = "Keras, SparseCategoricalCrossentropy(from_logits=False)",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_NO_C,
    .infer = categorical_infer,
    .grad = categorical_grad,
    .ref = categorical_ref,
    .sums = glia__rows_pair,
    .flops = classes_flops,
    .onnx_write = categorical_to_onnx,
    .cases = GLIA_CASES({.inputs = "4x5:unit 4:i64<5"}, {.inputs = "3x2:unit 3:i32<2"},
                        {.inputs = "3x4x5:unit 3x4:i64<5"},
                        {.inputs = "4x5 4x5", .expect_error = "categorical_cross_entropy expects"}),
};

glia_value *glia_op_categorical_cross_entropy(glia_value *probabilities, glia_value *target) {
    return glia__apply2("categorical_cross_entropy", probabilities, target);
}

static glia_status categorical_backward_infer(const glia_type *in, int n_in, const void *attrs,
                                              glia_type *out, glia_error *err) {
    GLIA_TRY(classes_infer(in, "categorical_cross_entropy", false, err));
    return backward_infer(in, n_in, attrs, out, err);
}

static glia_status categorical_backward_ref(const glia_call *c) {
    const int64_t classes = last_dim(&c->in[0].shape), rows = glia_shape_elems(&c->in[0].shape) / classes;
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *p = c->in[0].data;
        T *dp = c->out[0].data;
        double scale = (double)*(const T *)c->in[2].data / batch_of(c);
        memset(dp, 0, (size_t)(rows * classes) * sizeof(T));
        for (int64_t n = 0; n < rows; n++) {
            int64_t k;
            GLIA_TRY(class_of(c, n, classes, &k));
            double chosen = (double)p[n * classes + k];
            bool clamped = chosen < LEAST_PROBABILITY || chosen > 1;
            dp[n * classes + k] = clamped ? 0 : (T)(-scale / chosen);
        }
    });
    return GLIA_OK;
}

GLIA_OP(categorical_cross_entropy_backward) = {
    .name = "categorical_cross_entropy_backward",
    .version = 1,
    .doc = "d(categorical_cross_entropy)/dp of p, target and the gradient of the loss",
    .min_inputs = 3,
    .max_inputs = 3,
    .traits = BACKWARD_TRAITS,
    .infer = categorical_backward_infer,
    .ref = categorical_backward_ref,
    .rows = glia__rows_pair,
    .flops = classes_flops,
    .cases = GLIA_CASES({.inputs = "4x5:unit 4:i64<5 scalar"}, {.inputs = "3x4x5:unit 3x4:i64<5 scalar"},
                        {.inputs = "4x5:unit 4:i64<5 2", .expect_error = "is a scalar"}),
};
