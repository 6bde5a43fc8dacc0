/* random.c: ops that draw numbers. */

#include "ops/expr.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_dropout_attrs {
    double rate;    /* share of elements set to 0, 0 ≤ rate < 1 */
    int64_t stream; /* which random numbers; 0: those of no other dropout in the graph */
} glia_dropout_attrs;
/* In training: 0 with probability `rate`, else x/(1 − rate), so that the mean stays. Otherwise x. f32, f64 or
 * bf16. */
GLIA_API glia_value *glia_op_dropout(glia_value *x, glia_dropout_attrs attrs);
#endif /* GLIA_OPS_HEADER */

/* One stream for each (dropout, step): the finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
static glia_random mask_numbers(const glia_step *step, int64_t stream) {
    uint64_t z = (uint64_t)stream * 0x9E3779B97F4A7C15u + step->number;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (glia_random){step->seed, z ^ z >> 31};
}

/* Element `i` of the whole output meets word i mod 4 of block i/4, so a cut of the batch changes nothing. */
static glia_status dropout_loops(const glia_call *c) {
    enum { CHUNK = 256 };
    const glia_dropout_attrs *a = c->attrs;
    const int64_t n = glia_shape_elems(&c->out[0].shape), first = c->first_elem;
    if (!c->step || !c->step->training || a->rate <= 0) {
        if (n > 0 && c->out[0].data != c->in[0].data)
            memcpy(c->out[0].data, c->in[0].data, (size_t)n * glia_dtype_bytes(c->out[0].dtype));
        return GLIA_OK;
    }
    const glia_random random = mask_numbers(c->step, a->stream);
    const uint32_t dropped = (uint32_t)(a->rate * 4294967296.0); /* words below it */
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

GLIA_OP(dropout) = {
    .name = "dropout",
    .version = 1,
    .doc = "in training y = 0 with probability rate, else x/(1 − rate); otherwise y = x",
    .source = "Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, JMLR 2014",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE | GLIA_TRAIT_TRAINING_ONLY | GLIA_TRAIT_RANDOM,
    .attrs = GLIA_FIELDS({.name = "rate",
                          .kind = GLIA_FIELD_FLOAT,
                          .offset = offsetof(glia_dropout_attrs, rate),
                          .min = 0,
                          .max = 0.999999,
                          .doc = "share of elements set to 0"},
                         {.name = "stream",
                          .kind = GLIA_FIELD_INT,
                          .offset = offsetof(glia_dropout_attrs, stream),
                          .initial = "0",
                          .doc = "which random numbers"}),
    .attrs_size = sizeof(glia_dropout_attrs),
    .infer = dropout_infer,
    .grad = dropout_grad,
    .ref = dropout_ref,
    .workspace = dropout_workspace,
    .flops = dropout_flops,
    .onnx = "Dropout",
    .onnx_since = 13,
    .c_expr = "x",
    .cases = GLIA_CASES(
        {.inputs = "4x5", .attrs = "rate=0.5 stream=1"}, {.inputs = "2x3x7", .attrs = "rate=0.1 stream=2"},
        {.inputs = "9", .attrs = "rate=0"}, {.inputs = "4x5:bf16", .attrs = "rate=0.5 stream=1"},
        {.inputs = "scalar", .attrs = "rate=0.3"}, {.inputs = "0x3", .attrs = "rate=0.3"},
        {.inputs = "3:i64<9", .attrs = "rate=0.5", .expect_error = "expected f32 or f64, found i64 3"}),
};

glia_value *glia_op_dropout(glia_value *x, glia_dropout_attrs attrs) {
    glia_graph *graph = glia_value_graph(x);
    if (graph && attrs.stream == 0) attrs.stream = glia_graph_node_count(graph) + 1;
    return glia_graph_apply(graph, "dropout", &x, 1, &attrs);
}
