/* read_attention.c: Attention, as our op where it says no more than that, else of products, softmax and masks; and
 * RotaryEmbedding. */

#include "onnx/read.h"

/* --- attention ------------------------------------------------------------------------------------------------ */

enum { Q, K, V, MASK, PAST_KEY, PAST_VALUE, LENGTHS }; /* inputs */
enum { Y, PRESENT_KEY, PRESENT_VALUE, SCORES };        /* outputs */
enum { SCALED, SOFTCAPPED, WITH_BIAS, AFTER_SOFTMAX }; /* which scores SCORES are */

typedef struct attention {
    glia_onnx_read *r;
    glia_value *q, *k, *v; /* [B, heads, sequence, head] */
    int64_t queries, keys; /* lengths; negative: open */
    glia_value *bias;      /* added to the scores, broadcasts to [B, heads, queries, keys]; NULL: nothing */
} attention;

static glia_value *permuted(glia_value *x, int64_t a, int64_t b, int64_t c, int64_t d) {
    return glia_op_transpose(x, (glia_transpose_attrs){.perm = {4, {a, b, c, d}}});
}

/* [B, S, heads·size] → [B, heads, S, size]. */
static glia_value *split_heads(glia_onnx_read *r, glia_value *x, int64_t heads) {
    const glia_shape shape = glia_value_shape(x);
    if (!x || shape.rank == 4) return x;
    if (shape.rank != 3 || heads < 1 || shape.dim[2] < 0 || shape.dim[2] % heads)
        return glia__onnx_refuse(r, "its inputs do not fit the number of heads");
    const glia_reshape_attrs to = {
        {4, {0, shape.dim[1] < 0 ? 0 : shape.dim[1], heads, shape.dim[2] / heads}}};
    return permuted(glia_op_reshape(x, to), 0, 2, 1, 3);
}

static glia_value *prolonged(glia_onnx_read *r, int past, glia_value *now) {
    if (!glia__onnx_has(r, past)) return now;
    return glia_op_concat((glia_value *[]){glia__onnx_in(r, past), now}, 2, (glia_concat_attrs){.axis = 2});
}

static glia_value *minus_infinity_unless(const attention *a, glia_value *allowed) {
    const glia_dtype dtype = glia_value_dtype(a->q);
    return glia_op_where(allowed, glia_graph_scalar(a->r->graph, dtype, 0),
                         glia_graph_scalar(a->r->graph, dtype, -INFINITY));
}

static void add_bias(attention *a, glia_value *bias) {
    a->bias = a->bias ? glia_op_add(a->bias, bias) : bias;
}

/* A mask may be shorter than the keys: the rest is forbidden. */
static void add_mask(attention *a) {
    glia_onnx_read *r = a->r;
    glia_value *mask = glia__onnx_in(r, MASK);
    if (!mask) return;
    glia_shape rest = glia_value_shape(mask);
    const glia_dtype dtype = glia_value_dtype(mask);
    const int64_t have = rest.rank ? rest.dim[rest.rank - 1] : -1;
    if (have >= 0 && have < a->keys) {
        rest.dim[rest.rank - 1] = a->keys - have;
        double storage = 0;
        glia_tensor never = glia_tensor_wrap(&storage, dtype, (glia_shape){0});
        glia_tensor_set(&never, 0, dtype == GLIA_BOOL ? 0 : -INFINITY);
        glia_value *parts[] = {mask, glia__onnx_filled(r, dtype, &rest, &storage)};
        mask = glia_op_concat(parts, 2, (glia_concat_attrs){.axis = rest.rank - 1});
    }
    add_bias(a, dtype == GLIA_BOOL ? minus_infinity_unless(a, mask) : mask);
}

/* j − i for query i and key j, [queries, keys]. */
static glia_value *distances(const attention *a) {
    const glia_shape rows = {2, {a->queries, 1}}, columns = {1, {a->keys}};
    if (a->queries < 0 || a->keys < 0)
        return glia__onnx_refuse(a->r,
                                 "a mask by position needs lengths that are known when the model is read");
    return glia_op_sub(glia__onnx_count(a->r, &columns), glia__onnx_count(a->r, &rows));
}

/* Where the queries begin among the keys: a number for each example, [B, 1, 1, 1], or one for all. */
static glia_value *frontier(const attention *a) {
    glia_onnx_read *r = a->r;
    if (glia__onnx_has(r, LENGTHS)) {
        glia_value *lengths =
            glia_op_unsqueeze(glia__onnx_in(r, LENGTHS), (glia_squeeze_attrs){{3, {1, 2, 3}}});
        return glia_op_sub(lengths, glia__number(lengths, (double)a->queries));
    }
    glia_type past = {.shape = {.rank = 0}};
    if (glia__onnx_has(r, PAST_KEY) && !glia__onnx_type_in(r, PAST_KEY, &past)) return NULL;
    return glia_graph_scalar(r->graph, GLIA_I64, past.shape.rank == 4 ? (double)past.shape.dim[2] : 0);
}

/* Key j is seen by query i when left ≤ j − i − frontier ≤ right; NULL bounds: all. */
static void add_window(attention *a, int64_t left, int64_t right) {
    if (left < 0 && right < 0) return;
    glia_value *at = glia_op_sub(distances(a), frontier(a)), *allowed = NULL;
    if (right >= 0) allowed = glia_op_less_equal(at, glia__number(at, (double)right));
    if (left >= 0) {
        glia_value *near = glia_op_greater_equal(at, glia__number(at, -(double)left));
        allowed = allowed ? glia_op_logical_and(allowed, near) : near;
    }
    add_bias(a, minus_infinity_unless(a, allowed));
}

static void add_lengths(attention *a) {
    glia_onnx_read *r = a->r;
    const glia_shape columns = {1, {a->keys}};
    if (!glia__onnx_has(r, LENGTHS)) return;
    glia_value *lengths = glia_op_unsqueeze(glia__onnx_in(r, LENGTHS), (glia_squeeze_attrs){{3, {1, 2, 3}}});
    add_bias(a, minus_infinity_unless(a, glia_op_less(glia__onnx_count(r, &columns), lengths)));
}

/* Each head of keys and values serves several of queries: [B, heads, S, size] → [B, heads·times, S, size]. */
static glia_value *repeated(glia_value *x, int64_t times) {
    const glia_shape shape = glia_value_shape(x);
    glia_value *parts[GLIA_MAX_INPUTS];
    if (times == 1) return x;
    glia_value *each = glia_op_unsqueeze(x, (glia_squeeze_attrs){{1, {2}}});
    for (int i = 0; i < times; i++) parts[i] = each;
    each = glia_op_concat(parts, (int)times, (glia_concat_attrs){.axis = 2});
    return glia_op_reshape(each,
                           (glia_reshape_attrs){{4, {0, shape.dim[1] * times, shape.dim[2], shape.dim[3]}}});
}

/* softmax(scores + bias); rows in which everything is forbidden are zero. */
static glia_value *weights(const attention *a, glia_value *biased) {
    glia_value *p = glia_op_softmax(biased, -1);
    if (!a->bias) return p;
    glia_value *best = glia_op_max(a->bias, (glia_reduce_attrs){.axes = {1, {-1}}, .keep_dims = GLIA_YES});
    glia_value *none = glia_op_equal(best, glia__number(best, -INFINITY));
    return glia_op_where(none, glia__number(p, 0), p);
}

static bool prepare(attention *a) {
    glia_onnx_read *r = a->r;
    const int64_t q_heads = glia__onnx_int(r, "q_num_heads", 0),
                  kv_heads = glia__onnx_int(r, "kv_num_heads", 0);
    a->q = split_heads(r, glia__onnx_in(r, Q), q_heads);
    a->k = prolonged(r, PAST_KEY, split_heads(r, glia__onnx_in(r, K), kv_heads));
    a->v = prolonged(r, PAST_VALUE, split_heads(r, glia__onnx_in(r, V), kv_heads));
    if (!a->q || !a->k || !a->v) return false;
    if (r->n_out > PRESENT_KEY) r->out[PRESENT_KEY] = a->k;
    if (r->n_out > PRESENT_VALUE) r->out[PRESENT_VALUE] = a->v;
    const glia_shape q = glia_value_shape(a->q), k = glia_value_shape(a->k);
    a->queries = q.dim[2];
    a->keys = k.dim[2];
    const int64_t times = k.dim[1] > 0 ? q.dim[1] / k.dim[1] : 1;
    if (times < 1 || times > GLIA_MAX_INPUTS || times * k.dim[1] != q.dim[1]) {
        (void)glia__onnx_refuse(r, "%lld heads of queries for %lld of keys are not supported",
                                (long long)q.dim[1], (long long)k.dim[1]);
        return false;
    }
    a->k = repeated(a->k, times);
    a->v = repeated(a->v, times);
    return true;
}

/* What our op says: heads side by side in one array, one result, no past. NULL: more than that. */
static glia_value *as_one_op(glia_onnx_read *r, bool causal, double scale) {
    glia_value *in[MASK + 1];
    const int absent[] = {PAST_KEY, PAST_VALUE, LENGTHS};
    for (size_t i = 0; i < GLIA_COUNT(absent); i++)
        if (glia__onnx_has(r, absent[i])) return NULL;
    for (int i = Q; i <= MASK; i++) in[i] = glia__onnx_in(r, i);
    if (r->n_out > 1 || !in[Q] || !in[K] || !in[V] || glia_value_shape(in[Q]).rank != 3) return NULL;
    if (in[MASK]) { /* a shorter one forbids the rest */
        const glia_shape mask = glia_value_shape(in[MASK]), keys = glia_value_shape(in[K]);
        const int64_t have = mask.rank ? mask.dim[mask.rank - 1] : 1;
        if (mask.rank > 4 || keys.rank != 3 || have != keys.dim[1]) return NULL;
    }
    return glia_op_attention(in[Q], in[K], in[V], in[MASK], NULL,
                             (glia_attention_attrs){.heads = glia__onnx_int(r, "q_num_heads", 0),
                                                    .key_value_heads = glia__onnx_int(r, "kv_num_heads", 0),
                                                    .causal = causal ? GLIA_YES : GLIA_NO,
                                                    .scale = scale});
}

static void read_attention(glia_onnx_read *r) {
    attention a = {.r = r};
    const bool causal = glia__onnx_int(r, "is_causal", 0) != 0;
    const int64_t left = glia__onnx_int(r, "left_window_size", -1),
                  right = glia__onnx_int(r, "right_window_size", -1);
    const int64_t mode = glia__onnx_int(r, "qk_matmul_output_mode", SCALED);
    const double cap = glia__onnx_float(r, "softcap", 0);
    glia__onnx_ignore(r, "softmax_precision"); /* of ours, which sums in f32 at least */
    if (left < 0 && right < 0 && cap == 0 &&
        (r->out[Y] = as_one_op(r, causal, glia__onnx_float(r, "scale", 0))))
        return;
    if (!prepare(&a)) return;
    const double size = (double)glia_value_shape(a.q).dim[3],
                 scale = glia__onnx_float(r, "scale", 1 / sqrt(size));
    add_mask(&a);
    if (causal) add_window(&a, -1, 0);
    add_window(&a, left, right);
    add_lengths(&a);
    glia_value *scores =
        glia__scaled(glia_op_matmul(a.q, a.k, (glia_matmul_attrs){GLIA_NO, GLIA_YES}), scale);
    if (cap > 0) scores = glia__scaled(glia_op_tanh(glia__scaled(scores, 1 / cap)), cap);
    glia_value *biased = a.bias ? glia_op_add(scores, a.bias) : scores, *p = weights(&a, biased);
    if (r->n_out > SCORES) r->out[SCORES] = mode == WITH_BIAS ? biased : mode == AFTER_SOFTMAX ? p : scores;
    glia_value *y = glia_op_matmul(p, a.v, (glia_matmul_attrs){GLIA_NO, GLIA_NO});
    glia_type q;
    if (glia__onnx_type_in(r, Q, &q) && q.shape.rank == 3) { /* heads side by side again */
        const glia_shape shape = glia_value_shape(y);
        y = glia_op_reshape(
            permuted(y, 0, 2, 1, 3),
            (glia_reshape_attrs){{3, {0, a.queries < 0 ? 0 : a.queries, shape.dim[1] * shape.dim[3]}}});
    }
    r->out[Y] = y;
}
GLIA_ONNX(attention) = {
    .op_type = "Attention", .since = 23, .min_inputs = 3, .max_inputs = 7, .read = read_attention};

/* --- rotary embedding ---------------------------------------------------------------------------------------- */

/* The cosines or sines of every position, [B, S, pairs], or [S, pairs] for all examples. */
static glia_value *angles(glia_onnx_read *r, int cache, int64_t pairs) {
    glia_value *x = glia__onnx_in(r, cache);
    const glia_shape shape = glia_value_shape(x);
    if (x && (shape.rank < 1 || shape.dim[shape.rank - 1] != pairs))
        return glia__onnx_refuse(r, "its input %d does not fit heads of which %lld numbers are turned", cache,
                                 (long long)(2 * pairs));
    return glia__onnx_has(r, 3) ? glia_op_gather(x, glia__onnx_in(r, 3), (glia_gather_attrs){.axis = 0}) : x;
}

static void read_rotary_embedding(glia_onnx_read *r) {
    const bool neighbours = glia__onnx_int(r, "interleaved", 0) != 0;
    const int64_t wanted = glia__onnx_int(r, "rotary_embedding_dim", 0);
    int64_t heads = glia__onnx_int(r, "num_heads", 0);
    glia_value *x = glia__onnx_in(r, 0);
    if (!x) return;
    const glia_shape shape = glia_value_shape(x);
    const bool flat = shape.rank == 3;
    if (!flat && shape.rank == 4) heads = shape.dim[1];
    if ((!flat && shape.rank != 4) || heads < 1 || (flat && shape.dim[2] % heads)) {
        (void)glia__onnx_refuse(r, "its input does not fit the number of heads");
        return;
    }
    const int64_t size = flat ? shape.dim[2] / heads : shape.dim[3], turning = wanted ? wanted : size;
    if (turning < 2 || turning > size || turning % 2) {
        (void)glia__onnx_refuse(r, "rotary_embedding_dim %lld is not supported", (long long)turning);
        return;
    }
    if (!flat) /* heads side by side */
        x = glia_op_reshape(permuted(x, 0, 2, 1, 3), (glia_reshape_attrs){{3, {0, 0, heads * size}}});
    glia_value *cosines = angles(r, 1, turning / 2), *sines = angles(r, 2, turning / 2);
    if (!cosines || !sines) return;
    const glia_rotary_embedding_attrs attrs = {.heads = heads,
                                               .interleaved = neighbours ? GLIA_YES : GLIA_NO};
    glia_value *y = glia_op_rotary_embedding(x, cosines, sines, attrs);
    r->out[0] =
        flat ? y : permuted(glia_op_reshape(y, (glia_reshape_attrs){{4, {0, 0, heads, size}}}), 0, 2, 1, 3);
}
GLIA_ONNX(rotary_embedding) = {.op_type = "RotaryEmbedding",
                               .since = 23,
                               .min_inputs = 3,
                               .max_inputs = 4,
                               .read = read_rotary_embedding};
