/* random.c: ops that draw numbers. */

#include <math.h>

#include "ops/expr.h"
#include "ops/random.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_dropout_attrs {
    double rate;    /* share of elements set to 0, 0 ≤ rate < 1 */
    int64_t stream; /* which random numbers; 0: those of no other dropout in the graph */
} glia_dropout_attrs;
/* In training: 0 with probability `rate`, else x/(1 − rate), so that the mean stays. Otherwise x. f32, f64 or
 * bf16. */
GLIA_API glia_value *glia_op_dropout(glia_value *x, glia_dropout_attrs attrs);

typedef struct glia_shared_dropout_attrs {
    double rate;    /* share of the arrays set to 0, 0 ≤ rate < 1 */
    int64_t dims;   /* leading dimensions of which every place has a draw of its own; default 2 */
    int64_t stream; /* as of dropout */
} glia_shared_dropout_attrs;
/* The same for arrays as wholes: x [N, C, …] loses whole channels of an example with dims 2 (spatial dropout), whole examples
 * with dims 1 (stochastic depth). */
GLIA_API glia_value *glia_op_shared_dropout(glia_value *x, glia_shared_dropout_attrs attrs);
/* In training: α' = −1.7581 with probability `rate`, else x; then a·… + b, which leaves mean 0 and variance 1 as they were, as
 * selu makes them. Otherwise x. */
GLIA_API glia_value *glia_op_alpha_dropout(glia_value *x, glia_dropout_attrs attrs);

typedef struct glia_gaussian_noise_attrs {
    double deviation;
    int64_t stream; /* as of dropout */
} glia_gaussian_noise_attrs;
/* In training: x + deviation·normal numbers. Otherwise x. */
GLIA_API glia_value *glia_op_gaussian_noise(glia_value *x, glia_gaussian_noise_attrs attrs);
#endif /* GLIA_OPS_HEADER */

static glia_status copy_input(const glia_call *c) {
    const size_t bytes = (size_t)glia_shape_elems(&c->out[0].shape) * glia_dtype_bytes(c->out[0].dtype);
    if (bytes && c->out[0].data != c->in[0].data) memcpy(c->out[0].data, c->in[0].data, bytes);
    return GLIA_OK;
}

/* Element `i` of the whole output meets word i mod 4 of block i/4, so a cut of the batch changes nothing. */
static glia_status dropout_loops(const glia_call *c) {
    enum { CHUNK = 256 };
    const glia_dropout_attrs *a = c->attrs;
    const int64_t n = glia_shape_elems(&c->out[0].shape), first = c->first_elem;
    if (glia__random_sleeps(c) || a->rate <= 0) return copy_input(c);
    const glia_random random = glia__mask_numbers(c->step, a->stream);
    const uint32_t dropped = glia__share_of_words(a->rate);
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *x = c->in[0].data;
        T *y = c->out[0].data;
        const T scale = (T)(1 / (1 - a->rate));
        for (int64_t at = 0; at < n; at += CHUNK) { /* numbers first, then a loop without branches */
            uint32_t words[CHUNK + 4];
            const int64_t skip = (first + at) % 4, count = GLIA_MIN(n - at, (int64_t)CHUNK);
            for (int64_t w = 0; w < skip + count; w += 4)
                glia_random_block(random, (uint64_t)(first + at + w) / 4, words + w);
            for (int64_t i = 0; i < count; i++)
                y[at + i] = x[at + i] * (words[skip + i] < dropped ? 0 : scale);
        }
    });
    return GLIA_OK;
}

static glia_status dropout_ref(const glia_call *c) {
    return glia__run_tiled(c, dropout_loops);
}

static glia_status dropout_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                 glia_error *err) {
    (void)n_in, (void)attrs;
    GLIA_TRY(glia__check_float_or_bf16(&in[0], err));
    out[0] = in[0];
    return GLIA_OK;
}

static size_t dropout_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__tiled_bytes(&in[0]) + glia__tiled_bytes(&out[0]);
}

/* Linear in x: the same mask falls on dy. */
static void dropout_grad(glia_gradient *g) {
    g->dx[0] = glia_graph_apply(g->graph, "dropout", g->dy, 1, g->attrs);
}

static double dropout_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)in, (void)attrs;
    return 10.0 * (double)glia_shape_elems(&out[0].shape);
}

#define RATE_FIELD(type, text)                                                                               \
    {                                                                                                        \
        .name = "rate", .kind = GLIA_FIELD_FLOAT, .offset = offsetof(type, rate), .min = 0, .max = 0.999999, \
        .doc = text                                                                                          \
    }
#define STREAM_FIELD(type)                                                                          \
    {                                                                                               \
        .name = "stream", .kind = GLIA_FIELD_INT, .offset = offsetof(type, stream), .initial = "0", \
        .doc = "which random numbers"                                                               \
    }
/* Of ops that draw for each element. */
#define ELEMENT_TRAITS \
    GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE | GLIA_TRAIT_TRAINING_ONLY | GLIA_TRAIT_RANDOM
#define ELEMENT_NOISE \
    .min_inputs = 1, .max_inputs = 1, .infer = dropout_infer, .workspace = dropout_workspace, .c_expr = "x"

GLIA_OP(dropout) = {
    .name = "dropout",
    .version = 1,
    .doc = "in training y = 0 with probability rate, else x/(1 − rate); otherwise y = x",
    .source = "Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, JMLR 2014",
    .traits = ELEMENT_TRAITS,
    ELEMENT_NOISE,
    .attrs = GLIA_FIELDS(RATE_FIELD(glia_dropout_attrs, "share of elements set to 0"),
                         STREAM_FIELD(glia_dropout_attrs)),
    .attrs_size = sizeof(glia_dropout_attrs),
    .grad = dropout_grad,
    .ref = dropout_ref,
    .flops = dropout_flops,
    .onnx = "Dropout",
    .onnx_since = 13,
    .cases = GLIA_CASES(
        {.inputs = "4x5", .attrs = "rate=0.5 stream=1"}, {.inputs = "2x3x7", .attrs = "rate=0.1 stream=2"},
        {.inputs = "9", .attrs = "rate=0"}, {.inputs = "4x5:bf16", .attrs = "rate=0.5 stream=1"},
        {.inputs = "scalar", .attrs = "rate=0.3"}, {.inputs = "0x3", .attrs = "rate=0.3"},
        {.inputs = "3:i64<9", .attrs = "rate=0.5", .expect_error = "expected f32 or f64, found i64 3"}),
};

glia_value *glia_op_dropout(glia_value *x, glia_dropout_attrs attrs) {
    attrs.stream = glia__own_stream(x, attrs.stream);
    return glia_graph_apply(glia_value_graph(x), "dropout", &x, 1, &attrs);
}

/* --- arrays as wholes ---------------------------------------------------------------------------------------------- */

static glia_status shared_dropout_loops(const glia_call *c) {
    const glia_shared_dropout_attrs *a = c->attrs;
    const glia_shape *shape = &c->out[0].shape;
    if (glia__random_sleeps(c) || a->rate <= 0) return copy_input(c);
    int64_t draws = 1, elems = 1;
    for (int d = 0; d < shape->rank; d++) *(d < a->dims ? &draws : &elems) *= shape->dim[d];
    const int64_t first = elems ? c->first_elem / elems : 0;
    const glia_random random = glia__mask_numbers(c->step, a->stream);
    const uint32_t dropped = glia__share_of_words(a->rate);
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *x = c->in[0].data;
        T *y = c->out[0].data;
        for (int64_t draw = 0; draw < draws; draw++, x += elems, y += elems) {
            uint32_t words[4];
            glia_random_block(random, (uint64_t)(first + draw) / 4, words);
            const T scale = words[(first + draw) % 4] < dropped ? 0 : (T)(1 / (1 - a->rate));
            for (int64_t i = 0; i < elems; i++) y[i] = x[i] * scale;
        }
    });
    return GLIA_OK;
}

static glia_status shared_dropout_ref(const glia_call *c) {
    return glia__run_widened(c, 0, shared_dropout_loops);
}

static size_t shared_dropout_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[0]) + glia__widened_bytes(&out[0]);
}

static void shared_dropout_grad(glia_gradient *g) {
    g->dx[0] = glia_graph_apply(g->graph, "shared_dropout", g->dy, 1, g->attrs);
}

GLIA_OP(shared_dropout) = {
    .name = "shared_dropout",
    .version = 1,
    .doc = "dropout of whole arrays: one draw for each place of the first `dims` dimensions",
    .source = "Tompson et al., CVPR 2015 (channels); Huang et al., ECCV 2016 (examples)",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_INPLACE | GLIA_TRAIT_TRAINING_ONLY | GLIA_TRAIT_RANDOM | GLIA_TRAIT_NO_ONNX |
              GLIA_TRAIT_NO_C,
    .attrs = GLIA_FIELDS(RATE_FIELD(glia_shared_dropout_attrs, "share of the arrays set to 0"),
                         {.name = "dims",
                          .kind = GLIA_FIELD_INT,
                          .offset = offsetof(glia_shared_dropout_attrs, dims),
                          .initial = "2",
                          .min = 1,
                          .max = GLIA_MAX_RANK,
                          .doc = "leading dimensions of which every place has a draw of its own"},
                         STREAM_FIELD(glia_shared_dropout_attrs)),
    .attrs_size = sizeof(glia_shared_dropout_attrs),
    .infer = dropout_infer,
    .grad = shared_dropout_grad,
    .ref = shared_dropout_ref,
    .workspace = shared_dropout_workspace,
    .rows = glia__rows_first,
    .cases = GLIA_CASES(
        {.inputs = "4x5x3", .attrs = "rate=0.5 stream=1"}, {.inputs = "9x3x7", .attrs = "rate=0.3 dims=1"},
        {.inputs = "3x2x2x4", .attrs = "rate=0.5 dims=3 stream=5"}, {.inputs = "9", .attrs = "rate=0.5"},
        {.inputs = "4x5x2:bf16", .attrs = "rate=0.5"}, {.inputs = "scalar", .attrs = "rate=0.3"},
        {.inputs = "0x3x2", .attrs = "rate=0.3"}, {.inputs = "4x5", .attrs = "rate=0"},
        {.inputs = "3:i64<9", .attrs = "rate=0.5", .expect_error = "expected f32 or f64, found i64 3"}),
};

glia_value *glia_op_shared_dropout(glia_value *x, glia_shared_dropout_attrs attrs) {
    attrs.stream = glia__own_stream(x, attrs.stream);
    return glia_graph_apply(glia_value_graph(x), "shared_dropout", &x, 1, &attrs);
}

/* --- alpha dropout ------------------------------------------------------------------------------------------------- */

static const double DROPPED = -1.7580993408473766; /* −λ·α of selu, where it ends at −∞ */

/* What brings variance 1 back; the mean then needs −a·rate·DROPPED. */
static double alpha_factor(double rate) {
    return 1 / sqrt((1 - rate) * (1 + rate * DROPPED * DROPPED));
}

/* The words, and so the places, are those of dropout with the same stream. */
static glia_status alpha_dropout_loops(const glia_call *c) {
    const glia_dropout_attrs *at = c->attrs;
    const int64_t n = glia_shape_elems(&c->out[0].shape), first = c->first_elem;
    if (glia__random_sleeps(c) || at->rate <= 0) return copy_input(c);
    const glia_random random = glia__mask_numbers(c->step, at->stream);
    const uint32_t dropped = glia__share_of_words(at->rate);
    const double a = alpha_factor(at->rate), b = -a * at->rate * DROPPED;
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *x = c->in[0].data;
        T *y = c->out[0].data;
        uint32_t words[4];
        for (int64_t i = 0; i < n; i++) {
            if (i == 0 || (first + i) % 4 == 0) glia_random_block(random, (uint64_t)(first + i) / 4, words);
            y[i] = (T)a * (words[(first + i) % 4] < dropped ? (T)DROPPED : x[i]) + (T)b;
        }
    });
    return GLIA_OK;
}

static glia_status alpha_dropout_ref(const glia_call *c) {
    return glia__run_tiled(c, alpha_dropout_loops);
}

/* a where x was kept: dropout's own factor is 1/(1 − rate). */
static void alpha_dropout_grad(glia_gradient *g) {
    const double rate = ((const glia_dropout_attrs *)g->attrs)->rate;
    glia_value *kept = glia_graph_apply(g->graph, "dropout", g->dy, 1, g->attrs);
    g->dx[0] = rate > 0 ? glia__scaled(kept, alpha_factor(rate) * (1 - rate)) : g->dy[0];
}

GLIA_OP(alpha_dropout) = {
    .name = "alpha_dropout",
    .version = 1,
    .doc =
        "in training y = a·x + b, or a·α' + b with probability rate, with α' = −1.7581, so that mean 0 and "
        "variance 1 stay; otherwise y = x",
    .source = "Klambauer, Unterthiner, Mayr, Hochreiter, NeurIPS 2017",
    .traits = ELEMENT_TRAITS | GLIA_TRAIT_NO_ONNX,
    ELEMENT_NOISE,
    .attrs = GLIA_FIELDS(RATE_FIELD(glia_dropout_attrs, "share of elements set to α'"),
                         STREAM_FIELD(glia_dropout_attrs)),
    .attrs_size = sizeof(glia_dropout_attrs),
    .grad = alpha_dropout_grad,
    .ref = alpha_dropout_ref,
    .flops = dropout_flops,
    .cases = GLIA_CASES(
        {.inputs = "4x5", .attrs = "rate=0.5 stream=1"}, {.inputs = "2x3x7", .attrs = "rate=0.1 stream=2"},
        {.inputs = "9", .attrs = "rate=0"}, {.inputs = "4x5:bf16", .attrs = "rate=0.5 stream=1"},
        {.inputs = "scalar", .attrs = "rate=0.3"}, {.inputs = "0x3", .attrs = "rate=0.3"},
        {.inputs = "3:i64<9", .attrs = "rate=0.5", .expect_error = "expected f32 or f64, found i64 3"}),
};

glia_value *glia_op_alpha_dropout(glia_value *x, glia_dropout_attrs attrs) {
    attrs.stream = glia__own_stream(x, attrs.stream);
    return glia_graph_apply(glia_value_graph(x), "alpha_dropout", &x, 1, &attrs);
}

/* --- noise --------------------------------------------------------------------------------------------------------- */

static glia_status gaussian_noise_loops(const glia_call *c) {
    const glia_gaussian_noise_attrs *a = c->attrs;
    const int64_t n = glia_shape_elems(&c->out[0].shape);
    if (glia__random_sleeps(c) || a->deviation <= 0) return copy_input(c);
    const glia_random random = glia__mask_numbers(c->step, a->stream);
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *x = c->in[0].data;
        T *y = c->out[0].data;
        for (int64_t i = 0; i < n; i++)
            y[i] = x[i] + (T)(a->deviation * glia_random_normal(random, (uint64_t)(c->first_elem + i)));
    });
    return GLIA_OK;
}

static glia_status gaussian_noise_ref(const glia_call *c) {
    return glia__run_tiled(c, gaussian_noise_loops);
}

static void gaussian_noise_grad(glia_gradient *g) {
    g->dx[0] = g->dy[0];
}

static double gaussian_noise_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)in, (void)attrs;
    return 100.0 * (double)glia_shape_elems(&out[0].shape);
}

GLIA_OP(gaussian_noise) = {
    .name = "gaussian_noise",
    .version = 1,
    .doc = "in training y = x + deviation·n, n normal; otherwise y = x",
    .source = "Sietsma, Dow, Neural Networks 4, 1991",
    .traits = ELEMENT_TRAITS | GLIA_TRAIT_NO_ONNX,
    ELEMENT_NOISE,
    .attrs = GLIA_FIELDS({.name = "deviation",
                          .kind = GLIA_FIELD_FLOAT,
                          .offset = offsetof(glia_gaussian_noise_attrs, deviation),
                          .min = 0,
                          .max = 1e6,
                          .doc = "standard deviation of what is added"},
                         STREAM_FIELD(glia_gaussian_noise_attrs)),
    .attrs_size = sizeof(glia_gaussian_noise_attrs),
    .grad = gaussian_noise_grad,
    .ref = gaussian_noise_ref,
    .flops = gaussian_noise_flops,
    .cases = GLIA_CASES(
        {.inputs = "4x5", .attrs = "deviation=0.5 stream=1"}, {.inputs = "2x3x7", .attrs = "deviation=2"},
        {.inputs = "9", .attrs = "deviation=0"}, {.inputs = "4x5:bf16", .attrs = "deviation=0.5"},
        {.inputs = "scalar", .attrs = "deviation=0.3"}, {.inputs = "0x3", .attrs = "deviation=0.3"},
        {.inputs = "3:i64<9", .attrs = "deviation=1", .expect_error = "expected f32 or f64, found i64 3"}),
};

glia_value *glia_op_gaussian_noise(glia_value *x, glia_gaussian_noise_attrs attrs) {
    attrs.stream = glia__own_stream(x, attrs.stream);
    return glia_graph_apply(glia_value_graph(x), "gaussian_noise", &x, 1, &attrs);
}
