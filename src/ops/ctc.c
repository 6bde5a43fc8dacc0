/* ctc.c: the loss of a sequence of labels whose places are not known (connectionist temporal classification): the sum over
 * all ways to place them, by the forward and backward recursions in logarithms of double.
 *
 * Between the labels, before and after them a blank may stand: l' = blank, l_1, blank, l_2 … blank. α_t(s) is the logarithm of
 * the probability of all ways that emit l'_0 … l'_s in the first t + 1 steps, β_t(s) that of all that emit the rest from step t
 * on, step t included in both. */

#include <math.h>

#include "glia/ops.h"
#include "graph/op.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_ctc_attrs {
    int64_t blank;           /* the class that is no label; default 0 */
    glia_bool zero_infinity; /* what no way leads to counts 0 instead of infinity; default no */
} glia_ctc_attrs;
/* −log p(labels | softmax(logits)), a number for each example: logits [N, T, C]; labels i64 or i32 [N, S], each sequence ends at
 * S or before the first negative number; lengths i64 or i32 [N], NULL: every example has T steps. Where the labels do not fit
 * into the steps (one each, and a blank between equal ones) it is infinite, or 0, and so its gradient is 0 (Graves et al.,
 * Connectionist Temporal Classification, 2006; as PyTorch's ctc_loss of log_softmax(logits) without reduction). */
GLIA_API glia_value *glia_op_ctc(glia_value *logits, glia_value *labels, glia_value *lengths,
                                 glia_ctc_attrs attrs);
#endif /* GLIA_OPS_HEADER */

/* One example. */
typedef struct path {
    const void *x; /* [steps, classes] of f32 or f64 */
    bool wide;
    int64_t steps, classes, blank, count; /* count: labels */
    const void *labels;
    bool long_labels;
    double *log_sums; /* [steps]: log Σ exp of each row */
} path;

static bool is_index(glia_dtype dtype) {
    return dtype == GLIA_I64 || dtype == GLIA_I32;
}
static int64_t index_at(const void *data, bool wide, int64_t i) {
    return wide ? ((const int64_t *)data)[i] : ((const int32_t *)data)[i];
}

static glia_status ctc_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                             glia_error *err) {
    const glia_ctc_attrs *a = attrs;
    const glia_shape *x = &in[0].shape, *labels = &in[1].shape;
    const bool has_lengths = n_in > 2 && in[2].shape.rank >= 0;
    char have[160], of_labels[160];
    GLIA_TRY(glia__check_float(&in[0], err));
    bool fits = x->rank == 3 && labels->rank == 2 && is_index(in[1].dtype) && labels->dim[0] == x->dim[0];
    if (fits && has_lengths)
        fits = is_index(in[2].dtype) && in[2].shape.rank == 1 && in[2].shape.dim[0] == x->dim[0];
    if (!fits)
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "ctc expects logits [N, steps, classes], labels i64 [N, …] and lengths i64 [N], found "
            "%s and %s",
            glia__type_text(&in[0], have, sizeof have), glia__type_text(&in[1], of_labels, sizeof of_labels));
    if (a->blank >= x->dim[2])
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "ctc: blank is class %lld of %lld",
                              (long long)a->blank, (long long)x->dim[2]);
    out[0] = (glia_type){.dtype = in[0].dtype, .shape = GLIA_SHAPE(x->dim[0])};
    return GLIA_OK;
}

/* --- one example ---------------------------------------------------------------------------------------------- */

/* Example n, checked: data may hold anything. `room` has a number for every step. */
static glia_status path_of(const glia_call *c, int64_t n, double *room, path *out) {
    const glia_view *x = &c->in[0], *labels = &c->in[1];
    const int64_t steps = x->shape.dim[1], classes = x->shape.dim[2], most = labels->shape.dim[1];
    const size_t size = glia_dtype_bytes(x->dtype);
    *out = (path){.x = (const char *)x->data + (size_t)(n * steps * classes) * size,
                  .wide = x->dtype == GLIA_F64,
                  .steps = steps,
                  .classes = classes,
                  .blank = ((const glia_ctc_attrs *)c->attrs)->blank,
                  .labels = (const char *)labels->data + (size_t)(n * most) * glia_dtype_bytes(labels->dtype),
                  .long_labels = labels->dtype == GLIA_I64,
                  .log_sums = room};
    if (c->n_in > 2 && c->in[2].data) out->steps = index_at(c->in[2].data, c->in[2].dtype == GLIA_I64, n);
    if (out->steps < 0 || out->steps > steps)
        return glia_error_set(c->err, GLIA_BAD_DATA, "length %lld of example %lld is out of range 0 … %lld",
                              (long long)out->steps, (long long)(c->first_row + n), (long long)steps);
    for (; out->count < most; out->count++) {
        const int64_t label = index_at(out->labels, out->long_labels, out->count);
        if (label < 0) break;
        if (label < classes && label != out->blank) continue;
        return glia_error_set(c->err, GLIA_BAD_DATA, "label %lld of example %lld is %s", (long long)label,
                              (long long)(c->first_row + n),
                              label == out->blank ? "the blank" : "no class of the logits");
    }
    return GLIA_OK;
}

static double logit(const path *p, int64_t t, int64_t k) {
    const int64_t i = t * p->classes + k;
    return p->wide ? ((const double *)p->x)[i] : (double)((const float *)p->x)[i];
}

/* l'_s */
static int64_t symbol(const path *p, int64_t s) {
    return s % 2 ? index_at(p->labels, p->long_labels, s / 2) : p->blank;
}

/* Whether the blank before symbol s may be left out: not between equal labels. */
static bool may_skip(const path *p, int64_t s) {
    return s % 2 && s > 1 && symbol(p, s) != symbol(p, s - 2);
}

static double log_add(double a, double b) {
    const double most = fmax(a, b);
    return most == -INFINITY ? most : most + log1p(exp(-fabs(a - b)));
}

static void sum_rows(const path *p) {
    for (int64_t t = 0; t < p->steps; t++) {
        double most = -INFINITY, sum = 0;
        for (int64_t k = 0; k < p->classes; k++) most = fmax(most, logit(p, t, k));
        for (int64_t k = 0; k < p->classes; k++) sum += exp(logit(p, t, k) - most);
        p->log_sums[t] = most + log(sum);
    }
}

static double log_p(const path *p, int64_t t, int64_t k) {
    return logit(p, t, k) - p->log_sums[t];
}

/* α of step t to `to` [2·count + 1]; `before`: that of the step before, NULL for step 0. */
static void alpha_step(const path *p, int64_t t, const double *before, double *to) {
    for (int64_t s = 0; s <= 2 * p->count; s++) {
        double sum = s < 2 && !before ? 0 : -INFINITY;
        if (before) sum = before[s];
        if (before && s > 0) sum = log_add(sum, before[s - 1]);
        if (before && may_skip(p, s)) sum = log_add(sum, before[s - 2]);
        to[s] = sum + log_p(p, t, symbol(p, s));
    }
}

/* β of step t; `after`: that of the next, NULL for the last. */
static void beta_step(const path *p, int64_t t, const double *after, double *to) {
    const int64_t last = 2 * p->count;
    for (int64_t s = 0; s <= last; s++) {
        double sum = s > last - 2 && !after ? 0 : -INFINITY;
        if (after) sum = after[s];
        if (after && s < last) sum = log_add(sum, after[s + 1]);
        if (after && s + 2 <= last && may_skip(p, s + 2)) sum = log_add(sum, after[s + 2]);
        to[s] = sum + log_p(p, t, symbol(p, s));
    }
}

/* log p(labels), with α of all steps (`keep`) or only of the last two in `alpha`. */
static double log_total(const path *p, double *alpha, bool keep) {
    const int64_t width = 2 * p->count + 1;
    const double *before = NULL;
    if (p->steps == 0) return p->count ? -INFINITY : 0;
    for (int64_t t = 0; t < p->steps; t++) {
        double *to = alpha + (keep ? t : t % 2) * width;
        alpha_step(p, t, before, to);
        before = to;
    }
    return p->count ? log_add(before[width - 1], before[width - 2]) : before[0];
}

/* --- the op --------------------------------------------------------------------------------------------------- */

static int64_t symbols_of(const glia_type *in) {
    return 2 * in[1].shape.dim[1] + 1;
}

static size_t ctc_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return (size_t)(in[0].shape.dim[1] + 2 * symbols_of(in)) * sizeof(double);
}

static glia_status ctc_ref(const glia_call *c) {
    double *log_sums = c->workspace, *alpha = log_sums + c->in[0].shape.dim[1];
    const glia_ctc_attrs *a = c->attrs;
    for (int64_t n = 0; n < c->in[0].shape.dim[0]; n++) {
        path p;
        GLIA_TRY(path_of(c, n, log_sums, &p));
        sum_rows(&p);
        double loss = -log_total(&p, alpha, false);
        if (loss == INFINITY && a->zero_infinity == GLIA_YES) loss = 0;
        GLIA_FOR_FLOAT(c->out[0].dtype, { ((T *)c->out[0].data)[n] = (T)loss; });
    }
    return GLIA_OK;
}

static void ctc_grad(glia_gradient *g) {
    glia_value *in[] = {g->x[0], g->x[1], g->dy[0], g->n_in > 2 ? g->x[2] : NULL};
    if (g->needed[0]) g->dx[0] = glia_graph_apply(g->graph, "ctc_backward", in, in[3] ? 4 : 3, g->attrs);
}

static double ctc_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    const double steps = (double)(in[0].shape.dim[0] * in[0].shape.dim[1]);
    return steps * (20 * (double)in[0].shape.dim[2] + 60 * (double)symbols_of(in));
}

#define CTC_FIELDS                                                                                      \
    .attrs = GLIA_FIELDS({.name = "blank",                                                              \
                          .kind = GLIA_FIELD_INT,                                                       \
                          .offset = offsetof(glia_ctc_attrs, blank),                                    \
                          .initial = "0",                                                               \
                          .max = 1 << 30,                                                               \
                          .doc = "the class that is no label"},                                         \
                         {.name = "zero_infinity",                                                      \
                          .kind = GLIA_FIELD_BOOL,                                                      \
                          .offset = offsetof(glia_ctc_attrs, zero_infinity),                            \
                          .initial = "no",                                                              \
                          .doc = "labels that do not fit into the steps count 0 instead of infinity"}), \
    .attrs_size = sizeof(glia_ctc_attrs)

GLIA_OP(ctc) = {
    .name = "ctc",
    .version = 1,
    .doc = "−log of the probability of the labels, wherever they stand in the steps",
    .source = "Graves et al., Connectionist Temporal Classification, 2006",
    .min_inputs = 2,
    .max_inputs = 3,
    .traits = GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_C,
    .infer = ctc_infer,
    .grad = ctc_grad,
    .ref = ctc_ref,
    .workspace = ctc_workspace,
    .rows = glia__rows_all,
    .flops = ctc_flops,
    CTC_FIELDS,
    .cases = GLIA_CASES(
        {.inputs = "3x6x4 3x2:i64<3", .attrs = "blank=3 zero_infinity=yes"},
        {.inputs = "4x5x3 4x3:i32<2", .attrs = "blank=2 zero_infinity=yes"},
        {.inputs = "4x7x5 4x3:i64<4 4:i64<8", .attrs = "blank=4 zero_infinity=yes"},
        {.inputs = "2x3x4 2x0:i64<3", .attrs = "blank=3"}, {.inputs = "1x9x2 1x1:i64<1", .attrs = "blank=1"},
        {.inputs = "3x6x4 2x2:i64<3", .expect_error = "ctc expects logits [N, steps, classes]"},
        {.inputs = "3x6x4 3x2:i64<3 2:i64<3", .expect_error = "and lengths i64 [N]"},
        {.inputs = "3x6x4 3x2:i64<3", .attrs = "blank=4", .expect_error = "blank is class 4 of 4"}),
};

glia_value *glia_op_ctc(glia_value *logits, glia_value *labels, glia_value *lengths, glia_ctc_attrs attrs) {
    glia_value *in[] = {logits, labels, lengths};
    return glia_graph_apply(glia_value_graph(logits ? logits : labels), "ctc", in, lengths ? 3 : 2, &attrs);
}

/* --- backward ------------------------------------------------------------------------------------------------- */

/* Inputs: logits, labels, the gradient of the losses [N], lengths. */
static glia_status backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    glia_type forward[3] = {in[0], in[1], {.shape = {.rank = -1}}}, loss;
    char text[160];
    if (n_in > 3) forward[2] = in[3];
    GLIA_TRY(ctc_infer(forward, 3, attrs, &loss, err));
    out[0] = in[0];
    if (in[2].dtype == loss.dtype && glia_shape_equal(&in[2].shape, &loss.shape)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "the gradient of ctc has a number an example, found %s",
                          glia__type_text(&in[2], text, sizeof text));
}

static size_t backward_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    const int64_t steps = in[0].shape.dim[1];
    return (size_t)(steps + in[0].shape.dim[2] + (steps + 2) * symbols_of(in)) * sizeof(double);
}

/* At step t: softmax less the share of ways that emit class k then; to `share` [classes]. */
static void slope_step(const path *p, int64_t t, const double *alpha, const double *beta, double total,
                       double *share) {
    for (int64_t k = 0; k < p->classes; k++) share[k] = exp(log_p(p, t, k));
    for (int64_t s = 0; s <= 2 * p->count; s++) {
        const int64_t k = symbol(p, s);
        share[k] -= exp(alpha[s] + beta[s] - log_p(p, t, k) - total);
    }
}

static glia_status backward_ref(const glia_call *c) {
    const int64_t steps = c->in[0].shape.dim[1], classes = c->in[0].shape.dim[2];
    double *log_sums = c->workspace, *share = log_sums + steps, *beta = share + classes;
    glia_call forward = *c;
    const glia_view in[] = {c->in[0], c->in[1], c->n_in > 3 ? c->in[3] : (glia_view){0}};
    forward.in = in;
    forward.n_in = 3;
    memset(c->out[0].data, 0, (size_t)glia_shape_elems(&c->out[0].shape) * glia_dtype_bytes(c->out[0].dtype));
    for (int64_t n = 0; n < c->in[0].shape.dim[0]; n++) {
        path p;
        GLIA_TRY(path_of(&forward, n, log_sums, &p));
        const int64_t width = 2 * p.count + 1;
        double *alpha = beta + 2 * width, *after = NULL;
        sum_rows(&p);
        const double total = log_total(&p, alpha, true);
        for (int64_t t = p.steps - 1; t >= 0 && total > -INFINITY; t--) {
            double *now = beta + (t % 2) * width;
            beta_step(&p, t, after, now);
            slope_step(&p, t, alpha + t * width, now, total, share);
            GLIA_FOR_FLOAT(c->out[0].dtype, {
                const double scale = (double)((const T *)c->in[2].data)[n];
                T *dx = (T *)c->out[0].data + (n * steps + t) * classes;
                for (int64_t k = 0; k < classes; k++) dx[k] = (T)(scale * share[k]);
            });
            after = now;
        }
    }
    return GLIA_OK;
}

GLIA_OP(ctc_backward) = {
    .name = "ctc_backward",
    .version = 1,
    .doc = "d(ctc)/dlogits of logits, labels, the gradient of the losses and lengths",
    .min_inputs = 3,
    .max_inputs = 4,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,
    .infer = backward_infer,
    .ref = backward_ref,
    .workspace = backward_workspace,
    .rows = glia__rows_all,
    .flops = ctc_flops,
    CTC_FIELDS,
    .cases = GLIA_CASES(
        {.inputs = "3x6x4 3x2:i64<3 3", .attrs = "blank=3"},
        {.inputs = "4x7x5 4x3:i64<4 4 4:i64<8", .attrs = "blank=4 zero_infinity=yes"},
        {.inputs = "3x6x4 3x2:i64<3 2", .attrs = "blank=3", .expect_error = "a number an example"}),
};
