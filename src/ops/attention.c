/* attention.c: scaled dot-product attention and its gradient. What is kept for the gradient is one number a row, the log of
 * the sum of exponentials; memory grows with the length of the sequences, not with its square. */

#include <math.h>

#include "graph/to_onnx.h"
#include "ops/attention.h"
#include "ops/emit.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_attention_attrs {
    int64_t heads;           /* of the queries; required */
    int64_t key_value_heads; /* which divide them: each serves as many heads of queries; zero means `heads` */
    glia_bool causal;        /* query i sees keys 0 … i */
    double scale;            /* of the products; zero means 1/√size, that of a head */
    glia_bool packed;        /* set by glia_op_attention: q holds k and v too */
    double dropout;          /* share of the weights that is set to 0 in training, 0 ≤ dropout < 1 */
    int64_t stream;          /* of dropout: which random numbers; 0: those of no other op in the graph */
} glia_attention_attrs;
/* y = softmax(scale·q·kᵀ + mask)·v for each head: q [N, T, heads·size], k [N, S, key_value_heads·size], v [N, S,
 * key_value_heads·size'] → [N, T, heads·size']. k and v NULL: q holds all three side by side, [N, T, (heads +
 * 2·key_value_heads)·size]. `mask`, NULL or an array that broadcasts to [N, heads, T, S]: of numbers, which are added, or of
 * bool, which says what is seen. `lengths`, NULL or i64 or i32 [N]: keys from there on are not seen. A query that sees
 * nothing gives zeros. In training the softmax's results are dropped, and those that stay divided by 1 − dropout. bf16
 * beside a mask of f32. glia_value_sibling(y, 1) is the log of the sum of exponentials, [N, heads,
 * T]; gradients do not go through it. */
GLIA_API glia_value *glia_op_attention(glia_value *q, glia_value *k, glia_value *v, glia_value *mask,
                                       glia_value *lengths, glia_attention_attrs attrs);
#endif /* GLIA_OPS_HEADER */

static int64_t kv_heads_of(const glia_attention_attrs *a) {
    return a->key_value_heads ? a->key_value_heads : a->heads;
}

static bool has(const glia_type *in, int n_in, int i) {
    return i < n_in && in[i].shape.rank >= 0;
}

glia_attention glia__attention_of(const glia_type *in, int n_in, const void *attrs) {
    const glia_attention_attrs *o = attrs;
    const bool packed = o->packed == GLIA_YES;
    const glia_shape *q = &in[GLIA_ATT_Q].shape, *k = packed ? q : &in[GLIA_ATT_K].shape,
                     *v = packed ? q : &in[GLIA_ATT_V].shape;
    glia_attention a = {.n = q->dim[0],
                        .queries = q->dim[1],
                        .keys = k->dim[1],
                        .heads = o->heads,
                        .kv_heads = kv_heads_of(o),
                        .causal = o->causal == GLIA_YES,
                        .packed = packed};
    const int64_t size = q->dim[2] / (packed ? a.heads + 2 * a.kv_heads : a.heads);
    a.q = (glia_attention_rows){0, q->dim[2], q->dim[1] * q->dim[2], size};
    a.k = (glia_attention_rows){packed ? a.heads * size : 0, k->dim[2], k->dim[1] * k->dim[2], size};
    a.v = (glia_attention_rows){packed ? (a.heads + a.kv_heads) * size : 0, v->dim[2], v->dim[1] * v->dim[2],
                                packed ? size : v->dim[2] / a.kv_heads};
    a.y = (glia_attention_rows){0, a.heads * a.v.size, a.queries * a.heads * a.v.size, a.v.size};
    a.scale = o->scale != 0 ? o->scale : 1 / sqrt((double)GLIA_MAX(size, (int64_t)1));
    if (!has(in, n_in, GLIA_ATT_MASK)) return a;
    const glia_shape *mask = &in[GLIA_ATT_MASK].shape;
    int64_t step = 1;
    for (int d = 3, from = mask->rank - 1; from >= 0; step *= mask->dim[from], d--, from--)
        a.mask_step[d] = mask->dim[from] > 1 ? step : 0;
    return a;
}

glia_attention glia__attention_of_call(const glia_call *c) {
    glia_type in[GLIA_ATT_LENGTHS + 1];
    const int count = GLIA_MIN(c->n_in, (int)GLIA_ATT_LENGTHS + 1);
    for (int i = 0; i < count; i++) {
        in[i] = glia__view_type(&c->in[i]);
        if (!c->in[i].data && !c->in[i].shape.rank) in[i].shape.rank = -1;
    }
    return glia__attention_of(in, count, c->attrs);
}

glia_status glia__attention_check(const glia_call *c, const glia_attention *a) {
    const glia_view *lengths = glia__attention_input(c, GLIA_ATT_LENGTHS);
    for (int64_t n = 0; n < a->n && lengths; n++) {
        const int64_t length = glia__attention_length(lengths, n, a->keys);
        if (length < 0 || length > a->keys)
            return glia_error_set(c->err, GLIA_BAD_DATA,
                                  "attention: length %lld of example %lld is out of range 0 … %lld",
                                  (long long)length, (long long)(n + c->first_row), (long long)a->keys);
    }
    return GLIA_OK;
}

/* --- shapes ------------------------------------------------------------------------------------------------- */

static glia_status check_rows(const glia_type *in, int i, const char *what, int64_t heads, glia_error *err) {
    static const char *const names[] = {"q", "k", "v"};
    char text[160];
    const glia_type *x = &in[i];
    GLIA_TRY(glia__check_float_or_bf16(x, err));
    GLIA_TRY(glia__check_same_dtype(&in[GLIA_ATT_Q], x, err));
    if (x->shape.rank != 3 || x->shape.dim[2] < 0)
        return glia_error_set(err, GLIA_BAD_SHAPE, "attention expects %s as [N, T, heads·size], found %s",
                              names[i], glia__type_text(x, text, sizeof text));
    if (x->shape.dim[2] % heads)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "attention: %lld %s do not divide the %lld numbers of %s %s", (long long)heads,
                              what, (long long)x->shape.dim[2], names[i],
                              glia__type_text(x, text, sizeof text));
    if (x->shape.dim[0] != in[GLIA_ATT_Q].shape.dim[0])
        return glia_error_set(err, GLIA_BAD_SHAPE, "attention: %s %s is of another number of examples than q",
                              names[i], glia__type_text(x, text, sizeof text));
    return GLIA_OK;
}

static glia_status check_separate(const glia_type *in, int64_t heads, int64_t kv_heads, glia_error *err) {
    char tk[160], tv[160];
    GLIA_TRY(check_rows(in, GLIA_ATT_Q, "heads", heads, err));
    GLIA_TRY(check_rows(in, GLIA_ATT_K, "key_value_heads", kv_heads, err));
    GLIA_TRY(check_rows(in, GLIA_ATT_V, "key_value_heads", kv_heads, err));
    const glia_shape *q = &in[GLIA_ATT_Q].shape, *k = &in[GLIA_ATT_K].shape, *v = &in[GLIA_ATT_V].shape;
    if (q->dim[2] / heads != k->dim[2] / kv_heads)
        return glia_error_set(err, GLIA_BAD_SHAPE, "attention: heads of %lld numbers in q, of %lld in k",
                              (long long)(q->dim[2] / heads), (long long)(k->dim[2] / kv_heads));
    if (k->dim[1] != v->dim[1])
        return glia_error_set(err, GLIA_BAD_SHAPE, "attention: k %s and v %s differ in length",
                              glia__type_text(&in[GLIA_ATT_K], tk, sizeof tk),
                              glia__type_text(&in[GLIA_ATT_V], tv, sizeof tv));
    return GLIA_OK;
}

static glia_status check_mask(const glia_type *q, const glia_type *mask, const glia_shape *scores,
                              glia_error *err) {
    char tm[160], ts[128];
    glia_shape both;
    if (mask->dtype != GLIA_BOOL) GLIA_TRY(glia__check_param_dtype(q, mask, err));
    if (mask->shape.rank <= 4 && glia__shape_broadcast(&mask->shape, scores, &both) &&
        glia_shape_equal(&both, scores))
        return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "attention: a mask for %s, [N, heads, T, S], cannot be %s",
                          glia_shape_text(scores, ts, sizeof ts), glia__type_text(mask, tm, sizeof tm));
}

static glia_status check_lengths(const glia_type *lengths, int64_t n, glia_error *err) {
    char text[160];
    const bool whole = lengths->dtype == GLIA_I64 || lengths->dtype == GLIA_I32;
    if (whole && lengths->shape.rank == 1 && lengths->shape.dim[0] == n) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "attention expects lengths as i64 or i32 [N], found %s",
                          glia__type_text(lengths, text, sizeof text));
}

static glia_status attention_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                   glia_error *err) {
    const glia_attention_attrs *o = attrs;
    const int64_t kv = kv_heads_of(o);
    if (o->heads < 1 || kv < 1 || o->heads % kv)
        return glia_error_set(err, GLIA_BAD_SHAPE, "attention: %lld key_value_heads do not divide %lld heads",
                              (long long)kv, (long long)o->heads);
    const bool k = has(in, n_in, GLIA_ATT_K), v = has(in, n_in, GLIA_ATT_V), packed = o->packed == GLIA_YES;
    if (k == packed || v == packed)
        return glia_error_set(err, GLIA_BAD_SHAPE, "attention takes q, k and v, or q alone that is packed");
    if (packed)
        GLIA_TRY(check_rows(in, GLIA_ATT_Q, "heads of queries, keys and values", o->heads + 2 * kv, err));
    else
        GLIA_TRY(check_separate(in, o->heads, kv, err));
    const glia_attention a = glia__attention_of(in, n_in, attrs);
    const glia_shape scores = GLIA_SHAPE(a.n, a.heads, a.queries, a.keys);
    if (has(in, n_in, GLIA_ATT_MASK)) GLIA_TRY(check_mask(&in[GLIA_ATT_Q], &in[GLIA_ATT_MASK], &scores, err));
    if (has(in, n_in, GLIA_ATT_LENGTHS)) GLIA_TRY(check_lengths(&in[GLIA_ATT_LENGTHS], a.n, err));
    out[0] = (glia_type){in[GLIA_ATT_Q].dtype, GLIA_SHAPE(a.n, a.queries, a.heads * a.v.size)};
    out[1] = (glia_type){glia__param_dtype(in[GLIA_ATT_Q].dtype), GLIA_SHAPE(a.n, a.heads, a.queries)};
    return GLIA_OK;
}

/* Examples are independent. A mask may be one for all of them. */
static uint32_t attention_rows(const glia_type *in, int n_in, const void *attrs) {
    uint32_t rows = 0;
    (void)attrs;
    for (int i = 0; i < n_in; i++) {
        const bool shared = i == GLIA_ATT_MASK && (in[i].shape.rank < 4 || in[i].shape.dim[0] == 1);
        if (has(in, n_in, i) && !shared) rows |= 1u << i;
    }
    return rows;
}

/* Of `products` of rows with all keys; the causal ones see half of them. */
static double products_flops(const glia_type *in, const glia_type *lse, const void *attrs, double products) {
    const glia_attention_attrs *o = attrs;
    const bool packed = o->packed == GLIA_YES;
    const int64_t kv = kv_heads_of(o), keys = in[packed ? GLIA_ATT_Q : GLIA_ATT_K].shape.dim[1];
    const double size = (double)(in[GLIA_ATT_Q].shape.dim[2] / (packed ? o->heads + 2 * kv : o->heads));
    return products * 2 * size * (double)keys * (double)glia_shape_elems(&lse->shape) *
           (o->causal == GLIA_YES ? 0.5 : 1);
}

static double attention_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    return products_flops(in, &out[1], attrs, 2);
}

/* --- forward -------------------------------------------------------------------------------------------------- */

/* One row of scores: a query with all keys, what it does not see −∞. Doubles, as all sums here. */
typedef struct scores_row {
    const glia_call *c;
    const glia_attention *a;
    int64_t n, head, i;
    double *score;
} scores_row;

static double mask_number(const glia_view *mask, int64_t at) {
    if (mask->dtype == GLIA_BOOL) return ((const uint8_t *)mask->data)[at] ? 0 : (double)-INFINITY;
    return mask->dtype == GLIA_F64 ? ((const double *)mask->data)[at]
                                   : (double)((const float *)mask->data)[at];
}

static int64_t mask_place(const scores_row *r, int64_t j) {
    const int64_t *step = r->a->mask_step;
    return r->n * step[0] + r->head * step[1] + r->i * step[2] + j * step[3];
}

/* Fills the row and returns how many keys may be seen at all. */
static int64_t make_scores(const scores_row *r) {
    const glia_attention *a = r->a;
    const glia_view *mask = glia__attention_input(r->c, GLIA_ATT_MASK);
    int64_t seen = glia__attention_length(glia__attention_input(r->c, GLIA_ATT_LENGTHS), r->n, a->keys);
    if (a->causal) seen = GLIA_MIN(seen, r->i + 1);
    const int64_t group = a->heads / a->kv_heads;
    GLIA_FOR_FLOAT(r->c->in[GLIA_ATT_Q].dtype, {
        const T *q = (const T *)r->c->in[GLIA_ATT_Q].data + glia__attention_at(&a->q, r->n, r->i, r->head);
        const T *keys = r->c->in[a->packed ? GLIA_ATT_Q : GLIA_ATT_K].data;
        for (int64_t j = 0; j < seen; j++) {
            const T *k = keys + glia__attention_at(&a->k, r->n, j, r->head / group);
            double sum = 0;
            for (int64_t d = 0; d < a->q.size; d++) sum += (double)q[d] * (double)k[d];
            r->score[j] = sum * a->scale + (mask ? mask_number(mask, mask_place(r, j)) : 0);
        }
    });
    return seen;
}

/* What weights j of the row are multiplied by: 0 or 1/(1 − dropout). `words` are those of the last tile. */
static double kept(const scores_row *r, const glia_attention_dropout *d, int64_t j, uint32_t *words) {
    if (!d->dropped) return 1;
    if (j % GLIA_RANDOM_TILE == 0)
        glia__random_tile(d->random, glia__attention_tile(d, r->a, r->n, r->head, r->i, j), words);
    return words[j % GLIA_RANDOM_TILE] < d->dropped ? 0 : (double)d->scale;
}

static glia_status forward_loops(const glia_call *c) {
    const glia_attention a = glia__attention_of_call(c);
    const glia_attention_dropout drop = glia__attention_dropout_of(c);
    uint32_t words[GLIA_RANDOM_TILE];
    const int64_t rows = a.n * a.heads * a.queries, group = a.heads / a.kv_heads;
    GLIA_TRY(glia__attention_check(c, &a));
    GLIA_FOR_FLOAT(c->in[GLIA_ATT_Q].dtype, {
        const T *values = c->in[a.packed ? GLIA_ATT_Q : GLIA_ATT_V].data;
        for (int64_t row = 0; row < rows; row++) {
            scores_row r = {
                c, &a, row / (a.heads * a.queries), row / a.queries % a.heads, row % a.queries, c->workspace};
            const int64_t seen = make_scores(&r);
            T *y = (T *)c->out[0].data + glia__attention_at(&a.y, r.n, r.i, r.head);
            double most = (double)-INFINITY;
            double sum = 0;
            for (int64_t j = 0; j < seen; j++) most = r.score[j] > most ? r.score[j] : most;
            const bool none = most == (double)-INFINITY;
            for (int64_t j = 0; j < seen; j++) sum += r.score[j] = none ? 0 : exp(r.score[j] - most);
            for (int64_t j = 0; j < seen; j++) r.score[j] *= kept(&r, &drop, j, words);
            for (int64_t d = 0; d < a.v.size; d++) {
                double total = 0;
                for (int64_t j = 0; j < seen; j++)
                    total +=
                        r.score[j] * (double)values[glia__attention_at(&a.v, r.n, j, r.head / group) + d];
                y[d] = none ? 0 : (T)(total / sum);
            }
            ((T *)c->out[1].data)[row] = (T)(none ? most : most + log(sum));
        }
    });
    return GLIA_OK;
}

static glia_status attention_ref(const glia_call *c) {
    return glia__run_widened(c, 0, forward_loops);
}

static size_t rows_workspace(const glia_type *in, const glia_type *out, const void *attrs, int n_out) {
    const bool packed = ((const glia_attention_attrs *)attrs)->packed == GLIA_YES;
    const glia_type *k = &in[packed ? GLIA_ATT_Q : GLIA_ATT_K];
    size_t bytes = (size_t)k->shape.dim[1] * sizeof(double);
    for (int i = 0; i <= (packed ? GLIA_ATT_Q : GLIA_ATT_V); i++) bytes += glia__widened_bytes(&in[i]);
    for (int o = 0; o < n_out; o++) bytes += glia__widened_bytes(&out[o]);
    return bytes;
}

static size_t attention_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    return rows_workspace(in, out, attrs, 1);
}

static void attention_grad(glia_gradient *g) {
    glia_value *in[GLIA_ATT_BACK_COUNT] = {NULL};
    glia_attention_backward_attrs attrs = {*(const glia_attention_attrs *)g->attrs, GLIA_NO};
    for (int i = 0; i < g->n_in; i++) in[i] = g->x[i];
    if (g->n_in > GLIA_ATT_MASK && in[GLIA_ATT_MASK] && g->needed[GLIA_ATT_MASK] &&
        glia_value_dtype(in[GLIA_ATT_MASK]) != GLIA_BOOL)
        attrs.mask_gradient = GLIA_YES;
    in[GLIA_ATT_Y] = g->y[0];
    in[GLIA_ATT_LSE] = g->y[1];
    in[GLIA_ATT_DY] = g->dy[0];
    glia_value *dq = glia_graph_apply(g->graph, "attention_backward", in, GLIA_ATT_BACK_COUNT, &attrs);
    for (int i = 0; i < g->n_in && i <= GLIA_ATT_V; i++)
        if (g->x[i]) g->dx[i] = glia_value_sibling(dq, i);
    if (attrs.mask_gradient == GLIA_YES) g->dx[GLIA_ATT_MASK] = glia_value_sibling(dq, 3);
}

#define ATTENTION_FIELDS                                                                            \
    {.name = "heads",                                                                               \
     .kind = GLIA_FIELD_INT,                                                                        \
     .offset = offsetof(glia_attention_attrs, heads),                                               \
     .min = 1,                                                                                      \
     .max = 1 << 20,                                                                                \
     .doc = "heads of the queries"},                                                                \
        {.name = "key_value_heads",                                                                 \
         .kind = GLIA_FIELD_INT,                                                                    \
         .offset = offsetof(glia_attention_attrs, key_value_heads),                                 \
         .initial = "0",                                                                            \
         .min = 0,                                                                                  \
         .max = 1 << 20,                                                                            \
         .doc = "of keys and values: each serves as many heads of queries; 0: as many as those"},   \
        {.name = "causal",                                                                          \
         .kind = GLIA_FIELD_BOOL,                                                                   \
         .offset = offsetof(glia_attention_attrs, causal),                                          \
         .initial = "no",                                                                           \
         .doc = "query i sees keys 0 … i"},                                                         \
        {.name = "scale",                                                                           \
         .kind = GLIA_FIELD_FLOAT,                                                                  \
         .offset = offsetof(glia_attention_attrs, scale),                                           \
         .initial = "0",                                                                            \
         .doc = "of the products; 0: 1/√size, that of a head"},                                     \
        {.name = "packed",                                                                          \
         .kind = GLIA_FIELD_BOOL,                                                                   \
         .offset = offsetof(glia_attention_attrs, packed),                                          \
         .initial = "no",                                                                           \
         .doc = "q holds queries, keys and values side by side"},                                   \
        {.name = "dropout",                                                                         \
         .kind = GLIA_FIELD_FLOAT,                                                                  \
         .offset = offsetof(glia_attention_attrs, dropout),                                         \
         .initial = "0",                                                                            \
         .min = 0,                                                                                  \
         .max = 0.999999,                                                                           \
         .doc = "share of the weights that is set to 0 in training"},                               \
    {                                                                                               \
        .name = "stream", .kind = GLIA_FIELD_INT, .offset = offsetof(glia_attention_attrs, stream), \
        .initial = "0", .doc = "which random numbers"                                               \
    }

GLIA_OP(attention) = {
    .name = "attention",
    .version = 1,
    .doc = "y = softmax(scale·q·kᵀ + mask)·v for each head, of inputs q, k, v, mask and lengths; q alone "
           "holds all three; dropout: of the softmax, in training",
    .source = "Vaswani et al., arXiv:1706.03762, 2017; in linear memory: Dao et al., arXiv:2205.14135, 2022",
    .min_inputs = 1,
    .max_inputs = 5,
    .n_outputs = 2,
    .traits = GLIA_TRAIT_RANDOM,
    .no_gradient = 1 << 1,
    .attrs = GLIA_FIELDS(ATTENTION_FIELDS),
    .attrs_size = sizeof(glia_attention_attrs),
    .infer = attention_infer,
    .grad = attention_grad,
    .step = glia__attention_go_on,
    .ref = attention_ref,
    .workspace = attention_workspace,
    .rows = attention_rows,
    .flops = attention_flops,
    .onnx = "Attention",
    .onnx_since = 23,
    .onnx_write = glia__attention_to_onnx,
    .emit_c = glia__emit_attention,
    .cases = GLIA_CASES(
        {.inputs = "2x5x6 2x5x6 2x5x6", .attrs = "heads=2"},
        {.inputs = "2x5x18", .attrs = "heads=2 causal=yes packed=yes"},
        {.inputs = "2x4x8 2x6x4 2x6x6", .attrs = "heads=4 key_value_heads=2 scale=0.5"},
        {.inputs = "1x5x16", .attrs = "heads=4 key_value_heads=2 causal=yes packed=yes"},
        {.inputs = "2x3x4 2x5x4 2x5x4 3x5", .attrs = "heads=2"},
        {.inputs = "2x3x4 2x5x4 2x5x4 2x1x3x5", .attrs = "heads=2"},
        {.inputs = "2x3x4 2x3x4 2x3x4 2x1x3:bool", .attrs = "heads=2 causal=yes"},
        {.inputs = "3x4x12 - - 3x2x4x4:bool 3:i64<5", .attrs = "heads=2 packed=yes"},
        {.inputs = "3x4x12 - - - 3:i32<5", .attrs = "heads=2 causal=yes packed=yes"},
        {.inputs = "2x70x48", .attrs = "heads=1 causal=yes packed=yes"},
        {.inputs = "1x130x40 1x75x20 1x75x14 75", .attrs = "heads=2 key_value_heads=1"},
        {.inputs = "2x70x96:bf16", .attrs = "heads=2 causal=yes packed=yes"},
        {.inputs = "2x9x8:bf16 2x7x8:bf16 2x7x8:bf16 9x7:f32<5", .attrs = "heads=2", .tolerance = 1e-2},
        {.inputs = "5x5x6 5x5x6 5x5x6", .attrs = "heads=2 dropout=0.5 stream=1"},
        {.inputs = "3x4x12 - - 4x4:bool 3:i64<5",
         .attrs = "heads=2 causal=yes packed=yes dropout=0.2 stream=2"},
        {.inputs = "2x130x40 2x75x20 2x75x14 75", .attrs = "heads=2 key_value_heads=1 dropout=0.1 stream=3"},
        {.inputs = "2x70x96:bf16", .attrs = "heads=2 causal=yes packed=yes dropout=0.3"},
        {.inputs = "0x5x6 0x5x6 0x5x6", .attrs = "heads=2 dropout=0.5"},
        {.inputs = "2x0x6", .attrs = "heads=1 packed=yes dropout=0.5"},
        {.inputs = "2x5x6 2x0x6 2x0x6", .attrs = "heads=2"},
        {.inputs = "2x5x6",
         .attrs = "heads=4 key_value_heads=3 packed=yes",
         .expect_error = "3 key_value_heads do not divide 4 heads"},
        {.inputs = "2x5x7 2x5x6 2x5x6",
         .attrs = "heads=2",
         .expect_error = "2 heads do not divide the 7 numbers of q"},
        {.inputs = "2x5x8",
         .attrs = "heads=1 packed=yes",
         .expect_error = "3 heads of queries, keys and values do not divide"},
        {.inputs = "2x5x6 2x4x8 2x4x6",
         .attrs = "heads=2",
         .expect_error = "heads of 3 numbers in q, of 4 in k"},
        {.inputs = "2x5x6 2x4x6 2x5x6", .attrs = "heads=2", .expect_error = "differ in length"},
        {.inputs = "2x5x6 2x4x6",
         .attrs = "heads=2",
         .expect_error = "takes q, k and v, or q alone that is packed"},
        {.inputs = "2x5x6 1x4x6 1x4x6", .attrs = "heads=2", .expect_error = "another number of examples"},
        {.inputs = "5x6",
         .attrs = "heads=2 packed=yes",
         .expect_error = "q as [N, T, heads·size], found f32 5×6"},
        {.inputs = "2x5x6 - - 4x5", .attrs = "heads=1 packed=yes", .expect_error = "a mask for 2×1×5×5"},
        {.inputs = "2x5x6 - - - 5:i64<5",
         .attrs = "heads=1 packed=yes",
         .expect_error = "expects lengths as i64 or i32 [N]"},
        {.inputs = "2x5x6", .attrs = "heads=1 packed=yes dropout=1", .expect_error = "dropout"}),
};

glia_value *glia_op_attention(glia_value *q, glia_value *k, glia_value *v, glia_value *mask,
                              glia_value *lengths, glia_attention_attrs attrs) {
    glia_value *in[] = {q, k, v, mask, lengths};
    attrs.packed = k || v ? GLIA_NO : GLIA_YES;
    if (attrs.dropout > 0) attrs.stream = glia__own_stream(q, attrs.stream);
    const int count = lengths ? 5 : mask ? 4 : v ? 3 : k ? 2 : 1;
    return glia_graph_apply(glia_value_graph(q), "attention", in, count, &attrs);
}

/* --- backward ------------------------------------------------------------------------------------------------ */

/* Outputs dq, dk, dv and that of the mask; what is not there or not wanted has no elements. */
static glia_status backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    glia_type forward[2];
    char found[160], expected[160];
    if (n_in < GLIA_ATT_BACK_COUNT || in[GLIA_ATT_DY].shape.rank < 0)
        return glia_error_set(err, GLIA_BAD_SHAPE, "attention_backward takes %d inputs", GLIA_ATT_BACK_COUNT);
    GLIA_TRY(attention_infer(in, GLIA_ATT_LENGTHS + 1, attrs, forward, err));
    for (int i = GLIA_ATT_Y; i < GLIA_ATT_BACK_COUNT; i++) {
        const glia_type *want = &forward[i == GLIA_ATT_LSE];
        if (in[i].dtype == want->dtype && glia_shape_equal(&in[i].shape, &want->shape)) continue;
        return glia_error_set(err, GLIA_BAD_SHAPE, "attention_backward expected %s, found %s",
                              glia__type_text(want, expected, sizeof expected),
                              glia__type_text(&in[i], found, sizeof found));
    }
    const glia_dtype params = glia__param_dtype(in[GLIA_ATT_Q].dtype);
    const glia_shape nothing = GLIA_SHAPE(in[GLIA_ATT_Q].shape.dim[0], 0);
    for (int i = GLIA_ATT_Q; i <= GLIA_ATT_V; i++)
        out[i] = in[i].shape.rank >= 0 ? in[i] : (glia_type){in[GLIA_ATT_Q].dtype, nothing};
    out[3] = (glia_type){params, nothing};
    if (((const glia_attention_backward_attrs *)attrs)->mask_gradient != GLIA_YES) return GLIA_OK;
    if (in[GLIA_ATT_MASK].shape.rank < 0 || in[GLIA_ATT_MASK].dtype == GLIA_BOOL)
        return glia_error_set(err, GLIA_BAD_SHAPE, "attention_backward: there is no mask of numbers");
    out[3] = in[GLIA_ATT_MASK];
    return GLIA_OK;
}

/* With p = exp(score − lse), what is kept of it m, dp = m∘(dy·vᵀ) and δ = Σ dy·y: dv = (m∘p)ᵀ·dy, ds = p∘(dp − δ),
 * dq = scale·ds·k, dk = scale·dsᵀ·q. */
static glia_status backward_loops(const glia_call *c) {
    const glia_attention a = glia__attention_of_call(c);
    const glia_attention_dropout drop = glia__attention_dropout_of(c);
    uint32_t words[GLIA_RANDOM_TILE];
    const int64_t rows = a.n * a.heads * a.queries, group = a.heads / a.kv_heads;
    const bool masked = glia_shape_elems(&c->out[3].shape) > 0;
    GLIA_TRY(glia__attention_check(c, &a));
    for (int o = 0; o < 4; o++)
        if (c->out[o].data)
            memset(c->out[o].data, 0,
                   (size_t)glia_shape_elems(&c->out[o].shape) * glia_dtype_bytes(c->out[o].dtype));
    GLIA_FOR_FLOAT(c->in[GLIA_ATT_Q].dtype, {
        const T *queries = c->in[GLIA_ATT_Q].data;
        const T *keys = c->in[a.packed ? GLIA_ATT_Q : GLIA_ATT_K].data;
        const T *values = c->in[a.packed ? GLIA_ATT_Q : GLIA_ATT_V].data;
        T *dqs = c->out[0].data;
        T *dks = c->out[a.packed ? 0 : 1].data;
        T *dvs = c->out[a.packed ? 0 : 2].data;
        for (int64_t row = 0; row < rows; row++) {
            scores_row r = {
                c, &a, row / (a.heads * a.queries), row / a.queries % a.heads, row % a.queries, c->workspace};
            const int64_t seen = make_scores(&r);
            const int64_t at = glia__attention_at(&a.y, r.n, r.i, r.head);
            const int64_t at_q = glia__attention_at(&a.q, r.n, r.i, r.head);
            const T *y = (const T *)c->in[GLIA_ATT_Y].data + at;
            const T *dy = (const T *)c->in[GLIA_ATT_DY].data + at;
            const double lse = (double)((const T *)c->in[GLIA_ATT_LSE].data)[row];
            double delta = 0;
            for (int64_t d = 0; d < a.v.size; d++) delta += (double)dy[d] * (double)y[d];
            for (int64_t j = 0; j < seen; j++) {
                const int64_t at_k = glia__attention_at(&a.k, r.n, j, r.head / group);
                const int64_t at_v = glia__attention_at(&a.v, r.n, j, r.head / group);
                const double p = r.score[j] == (double)-INFINITY ? 0 : exp(r.score[j] - lse);
                const double m = kept(&r, &drop, j, words);
                double dp = 0;
                for (int64_t d = 0; d < a.v.size; d++) {
                    dp += m * (double)dy[d] * (double)values[at_v + d];
                    dvs[at_v + d] += (T)(m * p * (double)dy[d]);
                }
                const double ds = p * (dp - delta);
                if (masked) ((T *)c->out[3].data)[mask_place(&r, j)] += (T)ds;
                for (int64_t d = 0; d < a.q.size; d++) {
                    dqs[at_q + d] += (T)(ds * a.scale * (double)keys[at_k + d]);
                    dks[at_k + d] += (T)(ds * a.scale * (double)queries[at_q + d]);
                }
            }
        }
    });
    return GLIA_OK;
}

static glia_status backward_ref(const glia_call *c) {
    return glia__run_widened(c, 0, backward_loops);
}

static size_t backward_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    return rows_workspace(in, out, attrs, 4) + glia__widened_bytes(&in[GLIA_ATT_Y]) +
           glia__widened_bytes(&in[GLIA_ATT_DY]);
}

/* The gradient of a mask that examples share is a sum over them. */
static uint32_t backward_rows(const glia_type *in, int n_in, const void *attrs) {
    const uint32_t rows = attention_rows(in, n_in, attrs);
    const bool mask_gradient = ((const glia_attention_backward_attrs *)attrs)->mask_gradient == GLIA_YES;
    return mask_gradient && !(rows >> GLIA_ATT_MASK & 1) ? 0 : rows;
}

static double backward_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out;
    return products_flops(in, &in[GLIA_ATT_LSE], attrs, 5);
}

GLIA_OP(attention_backward) = {
    .name = "attention_backward",
    .version = 1,
    .doc = "d(attention)/d(q, k, v, mask): inputs those of attention, its results, and dy",
    .min_inputs = 1,
    .max_inputs = GLIA_ATT_BACK_COUNT,
    .n_outputs = 4,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT | GLIA_TRAIT_RANDOM,
    .attrs = GLIA_FIELDS(ATTENTION_FIELDS, {.name = "mask_gradient",
                                            .kind = GLIA_FIELD_BOOL,
                                            .offset = offsetof(glia_attention_backward_attrs, mask_gradient),
                                            .initial = "no",
                                            .doc = "whether that of the mask is wanted"}),
    .attrs_size = sizeof(glia_attention_backward_attrs),
    .infer = backward_infer,
    .ref = backward_ref,
    .workspace = backward_workspace,
    .rows = backward_rows,
    .flops = backward_flops,
    .cases = GLIA_CASES(
        {.inputs = "2x5x6 2x5x6 2x5x6 - - 2x5x6 2x2x5:above 2x5x6", .attrs = "heads=2"},
        {.inputs = "2x5x18 - - - - 2x5x6 2x2x5:above 2x5x6", .attrs = "heads=2 causal=yes packed=yes"},
        {.inputs = "2x4x8 2x6x4 2x6x6 - - 2x4x12 2x4x4:above 2x4x12", .attrs = "heads=4 key_value_heads=2"},
        {.inputs = "2x3x4 2x5x4 2x5x4 3x5 - 2x3x4 2x2x3:above 2x3x4", .attrs = "heads=2 mask_gradient=yes"},
        {.inputs = "3x4x12 - - 3x2x4x4:bool 3:i64<5 3x4x4 3x2x4:above 3x4x4", .attrs = "heads=2 packed=yes"},
        {.inputs = "2x70x48 - - - - 2x70x16 2x1x70:above 2x70x16",
         .attrs = "heads=1 scale=0.02 causal=yes packed=yes"},
        {.inputs = "1x66x40 1x75x20 1x75x14 75 1:i64<70 1x66x28 1x2x66:above 1x66x28",
         .attrs = "heads=2 key_value_heads=1 scale=0.01"},
        {.inputs = "2x70x96:bf16 - - - - 2x70x32:bf16 2x2x70:f32<5 2x70x32:bf16",
         .attrs = "heads=2 causal=yes packed=yes",
         .tolerance = 1e-2},
        {.inputs = "5x5x6 5x5x6 5x5x6 - - 5x5x6 5x2x5:above 5x5x6", .attrs = "heads=2 scale=0.1 dropout=0.5"},
        {.inputs = "2x3x4 2x5x4 2x5x4 3x5 - 2x3x4 2x2x3:above 2x3x4",
         .attrs = "heads=2 mask_gradient=yes dropout=0.4 stream=2"},
        {.inputs = "2x66x40 2x75x20 2x75x14 75 2:i64<70 2x66x28 2x2x66:above 2x66x28",
         .attrs = "heads=2 key_value_heads=1 scale=0.01 dropout=0.1 stream=3"},
        {.inputs = "2x70x96:bf16 - - - - 2x70x32:bf16 2x2x70:f32<5 2x70x32:bf16",
         .attrs = "heads=2 causal=yes packed=yes dropout=0.3",
         .tolerance = 1e-2},
        {.inputs = "0x5x6 0x5x6 0x5x6 - - 0x5x6 0x2x5 0x5x6", .attrs = "heads=2 dropout=0.5"},
        {.inputs = "2x5x6 2x5x6 2x5x6 - - 2x5x6 2x5 2x5x6",
         .attrs = "heads=2",
         .expect_error = "expected f32 2×2×5, found f32 2×5"},
        {.inputs = "2x5x6 2x5x6 2x5x6 - - 2x5x6 2x2x5 2x5x6",
         .attrs = "heads=2 mask_gradient=yes",
         .expect_error = "there is no mask of numbers"}),
};
