/* read_state.c: operators that go along a sequence and keep a state from step to step. */

#include "onnx/read.h"

/* Dimension `axis` of x as it is known; −1, and refused, when it is open. */
static int64_t length_of(glia_onnx_read *r, glia_value *x, int64_t wanted, int *axis) {
    const glia_shape shape = glia_value_shape(x);
    if (glia__axis_resolve(wanted, shape.rank, axis) && shape.dim[*axis] >= 0) return shape.dim[*axis];
    (void)glia__onnx_refuse(r, "expected an axis of a known length, found axis %lld", (long long)wanted);
    return -1;
}

/* --- products ------------------------------------------------------------------------------------------------------ */

/* x moved up by `by` places, with ones before it. */
static glia_value *moved_up(glia_value *x, int axis, int64_t length, int64_t by) {
    x = glia_op_slice(x, (glia_slice_attrs){.axis = axis, .end = length - by});
    return glia_op_pad(x, (glia_pad_attrs){.axis = axis, .begin = by, .value = 1});
}

/* By doubling: after k steps each number is the product of 2ᵏ, itself the last. */
static void read_cumprod(glia_onnx_read *r) {
    double wanted;
    int axis;
    const bool exclusive = glia__onnx_int(r, "exclusive", 0) != 0,
               reverse = glia__onnx_int(r, "reverse", 0) != 0;
    glia_value *y = glia__onnx_in(r, 0);
    if (!y || !glia__onnx_number_in(r, 1, &wanted)) return;
    const int64_t length = length_of(r, y, (int64_t)wanted, &axis);
    const glia_slice_attrs round = {.axis = axis, .start = -1, .end = INT64_MIN, .step = -1};
    if (reverse) y = glia_op_slice(y, round);
    if (exclusive && length > 0) y = moved_up(y, axis, length, 1);
    for (int64_t by = 1; by < length && y; by *= 2) y = glia_op_mul(y, moved_up(y, axis, length, by));
    r->out[0] = reverse ? glia_op_slice(y, round) : y;
}
GLIA_ONNX(cumprod) = {
    .op_type = "CumProd", .since = 26, .min_inputs = 2, .max_inputs = 2, .read = read_cumprod};

/* --- caches ---------------------------------------------------------------------------------------------------------- */

/* The update lies at places counted along the axis, from where each example of the batch says. */
static void read_tensor_scatter(glia_onnx_read *r) {
    int axis;
    const int64_t wanted = glia__onnx_int(r, "axis", -2);
    const int mode = glia__onnx_choice(r, "mode", "linear|circular", 0);
    glia_value *x = glia__onnx_in(r, 0), *update = glia__onnx_in(r, 1), *start = glia__onnx_in(r, 2);
    if (!x || !update || r->refused) return;
    const int64_t places = length_of(r, x, wanted, &axis);
    const glia_shape shape = glia_value_shape(update);
    if (r->refused || axis == 0 || shape.rank != glia_value_shape(x).rank || !glia_shape_is_known(&shape)) {
        (void)glia__onnx_refuse(
            r, "expected a cache and an update of known, equal shapes but for an axis that is not 0");
        return;
    }
    glia_shape along = {.rank = shape.rank}, batch = {.rank = shape.rank};
    for (int d = 0; d < shape.rank; d++) along.dim[d] = batch.dim[d] = 1;
    along.dim[axis] = shape.dim[axis];
    batch.dim[0] = shape.dim[0];
    glia_value *at = glia__onnx_count(r, &along);
    if (start)
        at = glia_op_add(at, glia_op_reshape(glia_op_cast(start, GLIA_I64), (glia_reshape_attrs){batch}));
    if (mode == 1) at = glia_op_mod(at, glia__number(at, (double)places));
    at = glia_op_expand(at, (glia_reshape_attrs){shape});
    r->out[0] = glia_op_scatter_elements(x, at, update, (glia_scatter_elements_attrs){.axis = axis});
}
GLIA_ONNX(tensor_scatter) = {
    .op_type = "TensorScatter", .since = 24, .min_inputs = 2, .max_inputs = 3, .read = read_tensor_scatter};

/* --- convolution of what was before ------------------------------------------------------------------------------------- */

/* Each channel by itself, over the k − 1 numbers before and the one that is there. */
static void read_causal_conv(glia_onnx_read *r) {
    const int activation = glia__onnx_choice(r, "activation", "none|silu|swish", 0);
    glia_value *x = glia__onnx_in(r, 0), *w = glia__onnx_in(r, 1), *past = glia__onnx_in(r, 3);
    if (!x || !w || r->refused) return;
    const glia_shape image = glia_value_shape(x), weights = glia_value_shape(w);
    if (image.rank != 3 || weights.rank != 3 || weights.dim[1] != 1 || weights.dim[2] < 1) {
        (void)glia__onnx_refuse(r, "expected images [N, C, length] and weights [C, 1, k]");
        return;
    }
    const int64_t before = weights.dim[2] - 1;
    const glia_squeeze_attrs flat = {.axes = {1, {2}}};
    if (past && before > 0)
        x = glia_op_concat((glia_value *[]){past, x}, 2, (glia_concat_attrs){.axis = 2});
    else if (before > 0)
        x = glia_op_pad(x, (glia_pad_attrs){.axis = 2, .begin = before});
    const glia_conv2d_attrs a = {.groups = image.dim[1]};
    glia_value *y =
        glia_op_conv2d(glia_op_unsqueeze(x, flat), glia_op_unsqueeze(w, flat), glia__onnx_in(r, 2), a);
    y = glia_op_squeeze(y, flat);
    r->out[0] = activation ? glia_op_silu(y) : y;
    const glia_slice_attrs last = {.axis = 2, .start = before ? -before : 0, .end = before ? INT64_MAX : 0};
    if (r->n_out > 1) r->out[1] = glia_op_slice(x, last);
}
GLIA_ONNX(causal_conv) = {.op_type = "CausalConvWithState",
                          .since = 27,
                          .min_inputs = 2,
                          .max_inputs = 4,
                          .read = read_causal_conv};

/* --- linear attention ----------------------------------------------------------------------------------------------------- */

enum { MOST_STEPS = 256 }; /* each is written out */

typedef struct attention {
    glia_value *query, *key, *value, *decay, *beta;
    glia_value *state;     /* [batch, heads, d_k, d_v]; NULL: zero */
    int64_t heads, shared; /* heads of keys, and how many of the queries share each */
    double scale;
} attention;

/* Step t of x [batch, steps, heads·…] as [batch, heads, a, b], of which one is −1: what is left. NULL for NULL. */
static glia_value *step_of(glia_value *x, int64_t t, int64_t heads, int64_t a, int64_t b) {
    if (!x) return NULL;
    x = glia_op_slice(x, (glia_slice_attrs){.axis = 1, .start = t, .end = t + 1});
    return glia_op_reshape(x, (glia_reshape_attrs){.shape = GLIA_SHAPE(0, heads, a, b)});
}

/* S ← e^g·S; S ← S + k·(β·(v − kᵀS)) or S + k·v; the result is scale·qᵀS as [batch, 1, heads·d_v]. */
static glia_value *attend(attention *a, int64_t t) {
    glia_value *key = step_of(a->key, t, a->heads, -1, 1), *add = step_of(a->value, t, a->heads, 1, -1);
    glia_value *decay = step_of(a->decay, t, a->heads, -1, 1);
    if (a->state && decay) a->state = glia_op_mul(a->state, glia_op_exp(decay));
    if (a->beta) {
        const int64_t heads = glia_value_shape(a->beta).dim[2]; /* or one rate for all */
        const glia_matmul_attrs across = {.transpose_a = GLIA_YES};
        if (a->state) add = glia_op_sub(add, glia_op_matmul(key, a->state, across));
        add = glia_op_mul(add, step_of(a->beta, t, heads, 1, 1));
    }
    add = glia_op_mul(key, add);
    a->state = a->state ? glia_op_add(a->state, add) : add;
    glia_value *query = step_of(a->query, t, a->heads, a->shared, -1);
    glia_value *y = glia__scaled(glia_op_matmul(query, a->state, (glia_matmul_attrs){0}), a->scale);
    return glia_op_reshape(y, (glia_reshape_attrs){.shape = GLIA_SHAPE(0, 1, -1)});
}

/* Any number of arrays along axis 1; a concat takes 16. */
static glia_value *joined(glia_value **parts, int64_t count) {
    enum { MOST = 16 };
    while (count > 1) {
        int64_t made = 0;
        for (int64_t i = 0; i < count; i += MOST) {
            const int n = (int)GLIA_MIN(count - i, (int64_t)MOST);
            parts[made++] = n == 1 ? parts[i] : glia_op_concat(parts + i, n, (glia_concat_attrs){.axis = 1});
        }
        count = made;
    }
    return parts[0];
}

/* What the rule asks for is there, and the shapes are known. */
static bool attention_fits(glia_onnx_read *r, attention *a, int rule, int64_t query_heads) {
    if (!a->query || !a->key || !a->value || r->refused) return false;
    const glia_shape q = glia_value_shape(a->query);
    const bool complete = (!(rule & 1) || a->decay) && (!(rule & 2) || a->beta);
    if (!complete || q.rank != 3 || a->heads < 1 || query_heads < a->heads || query_heads % a->heads ||
        q.dim[2] < 1 || q.dim[2] % query_heads) {
        (void)glia__onnx_refuse(r, "its inputs, heads or dimensions do not fit its rule");
        return false;
    }
    if (q.dim[1] < 1 || q.dim[1] > MOST_STEPS) {
        (void)glia__onnx_refuse(r, "its steps are written out: expected 1 to %d, known when it is read",
                                MOST_STEPS);
        return false;
    }
    if (a->scale == 0) a->scale = 1 / sqrt((double)(q.dim[2] / query_heads));
    a->shared = query_heads / a->heads;
    if (!(rule & 1)) a->decay = NULL;
    if (!(rule & 2)) a->beta = NULL;
    return true;
}

static void read_linear_attention(glia_onnx_read *r) {
    glia_value *steps[MOST_STEPS];
    const int rule = glia__onnx_choice(r, "update_rule", "linear|gated|delta|gated_delta", 3);
    const int64_t query_heads = glia__onnx_int(r, "q_num_heads", 0);
    glia__onnx_ignore(r, "chunk_size"); /* a hint */
    attention a = {.query = glia__onnx_in(r, 0),
                   .key = glia__onnx_in(r, 1),
                   .value = glia__onnx_in(r, 2),
                   .state = glia__onnx_in(r, 3),
                   .decay = glia__onnx_in(r, 4),
                   .beta = glia__onnx_in(r, 5),
                   .heads = glia__onnx_int(r, "kv_num_heads", 0),
                   .scale = glia__onnx_float(r, "scale", 0)};
    if (!attention_fits(r, &a, rule, query_heads)) return;
    const int64_t count = glia_value_shape(a.query).dim[1];
    for (int64_t t = 0; t < count; t++) steps[t] = attend(&a, t);
    r->out[0] = joined(steps, count);
    if (r->n_out > 1) r->out[1] = a.state;
}
GLIA_ONNX(linear_attention) = {.op_type = "LinearAttention",
                               .since = 27,
                               .min_inputs = 3,
                               .max_inputs = 6,
                               .read = read_linear_attention};
