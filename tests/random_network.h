/* random_network.h: random networks: layers of ops with parameters of random sizes over a common batch, in chains and
 * branches that meet again, with weights that are used twice, and losses. Where random_graph.h meets every op in every
 * setting of its cases, these meet what the passes look for and the executor cuts: convolutions, pools, norms, recurrent
 * layers and attention after one another. Everything follows from the seed. */
#ifndef GLIA_TESTS_RANDOM_NETWORK_H
#define GLIA_TESTS_RANDOM_NETWORK_H

#include "random_graph.h"

enum { MOST_ELEMS = 40000 };

/* From `low` to `high`. */
static inline int64_t between(random_graph *r, int64_t low, int64_t high) {
    return low + (int64_t)throw_dice(r, (uint64_t)(high - low + 1));
}

static inline bool perhaps(random_graph *r, uint64_t one_in) {
    return !throw_dice(r, one_in);
}

/* Numbers of a size that keeps what goes through them about as large as it was; sometimes those of another layer. */
static inline glia_value *weights(random_graph *r, glia_shape shape, int64_t fan_in) {
    char name[16];
    for (int i = 0; i < r->n_fed && perhaps(r, 2); i++)
        if (r->fed[i]->kind == GLIA_VALUE_PARAM && glia_shape_equal(&r->fed[i]->type.shape, &shape))
            return r->fed[i];
    if (r->n_fed == MOST_FED) return NULL;
    snprintf(name, sizeof name, "w%d", r->n_fed);
    glia_value *value = glia_graph_param(r->graph, name, r->floats, shape);
    glia_view view = {.dtype = r->floats, .shape = shape};
    fill_view(&view, "", 0, throw_dice(r, 1u << 30));
    glia_tensor tensor = glia_tensor_wrap(view.data, view.dtype, view.shape);
    const int64_t elems = glia_shape_elems(&shape);
    for (int64_t i = 0; i < elems; i++)
        glia_tensor_set(&tensor, i, glia_tensor_get(&tensor, i) / sqrt((double)fan_in));
    keep_data(r, value, view.data);
    return r->fed[r->n_fed++] = value;
}

/* 0.3 … 2.5, as variances and scales are. */
static inline glia_value *positive(random_graph *r, int64_t count) {
    return new_input(r, &(glia_type){r->floats, GLIA_SHAPE(count)}, "pos", 0);
}

static inline glia_value *make(random_graph *r, const char *op, const char *attrs, int count,
                               glia_value *const *inputs) {
    for (int i = 0; i < count; i++)
        if (!inputs[i] && i < 2) return NULL; /* no room for another parameter */
    while (count && !inputs[count - 1]) count--;
    return glia_graph_apply_text(r->graph, op, inputs, count, attrs);
}
#define MAKE(op, attrs, ...) \
    make(r, op, attrs, (int)GLIA_COUNT(((glia_value *[]){__VA_ARGS__})), (glia_value *[]){__VA_ARGS__})

static inline int64_t dim_of(const glia_value *x, int d) {
    return x->type.shape.dim[d];
}

static inline glia_value *add_activation(random_graph *r, glia_value *x) {
    static const char *const names[] = {"relu", "relu", "relu", "tanh",      "sigmoid",
                                        "gelu", "silu", "elu",  "leaky_relu"};
    return MAKE(names[throw_dice(r, GLIA_COUNT(names))], NULL, x);
}

/* --- layers over images [N, C, H, W] --------------------------------------------------------------------------- */

static inline glia_value *add_conv(random_graph *r, glia_value *x) {
    const int64_t channels = dim_of(x, 1), k = between(r, 1, 4), dilation = perhaps(r, 5) ? 2 : 1;
    const int64_t groups = perhaps(r, 4) ? channels : 1, extent = (k - 1) * dilation + 1;
    const int64_t filters = groups * (groups > 1 ? between(r, 1, 2) : between(r, 1, perhaps(r, 3) ? 33 : 6));
    const bool fits = extent <= dim_of(x, 2) && extent <= dim_of(x, 3);
    char attrs[160];
    snprintf(attrs, sizeof attrs, "strides=%d,%d dilation=%d groups=%d padding=%s", (int)between(r, 1, 2),
             (int)between(r, 1, 2), (int)dilation, (int)groups, fits && perhaps(r, 2) ? "valid" : "same");
    glia_value *w = weights(r, GLIA_SHAPE(filters, channels / groups, k, k), channels / groups * k * k);
    return MAKE("conv2d", attrs, x, w, perhaps(r, 3) ? NULL : weights(r, GLIA_SHAPE(filters), 1));
}

static inline glia_value *add_conv_transpose(random_graph *r, glia_value *x) {
    const int64_t channels = dim_of(x, 1), k = between(r, 1, 3), filters = between(r, 1, 5);
    char attrs[64];
    snprintf(attrs, sizeof attrs, "strides=%d", (int)between(r, 1, 2));
    return MAKE("conv_transpose2d", attrs, x,
                weights(r, GLIA_SHAPE(channels, filters, k, k), channels * k * k));
}

static inline glia_value *add_pool(random_graph *r, glia_value *x) {
    const int64_t size = between(r, 1, 3);
    const bool fits = size <= dim_of(x, 2) && size <= dim_of(x, 3);
    char attrs[96];
    snprintf(attrs, sizeof attrs, "size=%d strides=%d padding=%s", (int)size, (int)between(r, 1, 3),
             fits && !perhaps(r, 3) ? "valid" : "same");
    return MAKE(perhaps(r, 3) ? "average_pool2d" : "max_pool2d", attrs, x);
}

/* [N, C, …]. Of two or three numbers nothing but rounding would be left when they are normalised. */
static inline glia_value *add_batch_norm(random_graph *r, glia_value *x) {
    const int64_t channels = dim_of(x, 1);
    if (glia_shape_elems(&x->type.shape) < 6 * channels) return add_activation(r, x);
    const glia_shape shape = GLIA_SHAPE(channels);
    glia_value *mean = weights(r, shape, 4);
    return MAKE("batch_norm", perhaps(r, 4) ? "activation=relu" : NULL, x, weights(r, shape, 1),
                weights(r, shape, 1), mean, positive(r, channels));
}

static inline glia_value *add_gate(random_graph *r, glia_value *x) {
    glia_value *mean = MAKE("mean", "axes=2,3 keep_dims=yes", x);
    return MAKE("mul", NULL, x, MAKE("sigmoid", NULL, mean));
}

static inline glia_value *add_image_layer(random_graph *r, glia_value *x) {
    switch (throw_dice(r, 12)) {
    case 0:
        return MAKE("global_average_pool2d", NULL, x);
    case 1:
        return MAKE("flatten", NULL, x);
    case 2:
        return add_pool(r, x);
    case 3:
        return add_batch_norm(r, x);
    case 4:
        return MAKE("pad", perhaps(r, 2) ? "axis=2 begin=1 end=2" : "axis=3 begin=1 mode=edge", x);
    case 5:
        return add_conv_transpose(r, x);
    case 6:
        return add_gate(r, x);
    case 7:
        return MAKE("transpose", perhaps(r, 2) ? "perm=0,2,3,1" : "perm=0,3,1,2", x);
    case 8:
        return MAKE("resize", perhaps(r, 2) ? "axis=2 size=7" : "axis=3 size=6 mode=linear", x);
    default:
        return add_conv(r, x);
    }
}

/* --- layers over sequences [N, T, F] ---------------------------------------------------------------------------- */

static inline glia_value *add_linear(random_graph *r, glia_value *x) {
    const int64_t in = dim_of(x, x->type.shape.rank - 1), units = between(r, 1, perhaps(r, 3) ? 80 : 12);
    return MAKE("linear", NULL, x, weights(r, GLIA_SHAPE(units, in), in),
                perhaps(r, 3) ? NULL : weights(r, GLIA_SHAPE(units), 1));
}

static inline glia_value *lengths_of(random_graph *r, const glia_value *x) {
    const int64_t steps = dim_of(x, 1);
    if (steps < 2 || !perhaps(r, 3)) return NULL;
    return new_input(r, &(glia_type){GLIA_I64, GLIA_SHAPE(dim_of(x, 0))}, "i64", steps + 1);
}

static inline glia_value *add_recurrent(random_graph *r, glia_value *x) {
    static const struct {
        const char *op;
        int gates;
    } cells[] = {{"rnn", 1}, {"gru", 3}, {"lstm", 4}};
    const int cell = (int)throw_dice(r, 3), gates = cells[cell].gates;
    const int64_t in = dim_of(x, 2), units = between(r, 1, perhaps(r, 4) ? 40 : 7);
    glia_value *lengths = lengths_of(r, x);
    glia_value *bias = lengths || perhaps(r, 2) ? weights(r, GLIA_SHAPE(2 * gates * units), 2) : NULL;
    glia_value *y = MAKE(cells[cell].op, perhaps(r, 3) ? "reverse=yes" : NULL, x,
                         weights(r, GLIA_SHAPE(gates * units, in), in),
                         weights(r, GLIA_SHAPE(gates * units, units), units), bias, lengths);
    return y && perhaps(r, 3) ? glia_value_sibling(y, 1) : y; /* the last state */
}

static inline glia_value *add_attention(random_graph *r, glia_value *x) {
    const int64_t width = dim_of(x, 2);
    const bool causal = perhaps(r, 2), drops = perhaps(r, 3);
    char attrs[96];
    snprintf(attrs, sizeof attrs, "heads=%d causal=%s dropout=%s stream=%d", width % 2 ? 1 : 2,
             causal ? "yes" : "no", drops ? "0.3" : "0", r->n_fed);
    return MAKE("attention", attrs, x, x, x, NULL, lengths_of(r, x));
}

static inline glia_value *add_norm(random_graph *r, glia_value *x) {
    const int64_t width = dim_of(x, x->type.shape.rank - 1);
    if (width < 6) return add_activation(r, x);
    if (perhaps(r, 3)) return MAKE("rms_norm", NULL, x, weights(r, GLIA_SHAPE(width), 1));
    return MAKE("layer_norm", NULL, x, weights(r, GLIA_SHAPE(width), 1), weights(r, GLIA_SHAPE(width), 1));
}

static inline glia_value *add_sequence_layer(random_graph *r, glia_value *x) {
    switch (throw_dice(r, 10)) {
    case 0:
        return MAKE("transpose", "perm=0,2,1", x);
    case 1:
        return MAKE("mean", "axes=1", x);
    case 2:
        return MAKE("flatten", NULL, x);
    case 3:
        return MAKE("slice", "axis=1 start=-1", x);
    case 4:
        return add_recurrent(r, x);
    case 5:
        return add_attention(r, x);
    case 6:
        return add_norm(r, x);
    case 7:
        return MAKE("softmax", NULL, x);
    default:
        return add_linear(r, x);
    }
}

/* --- layers over vectors [N, F], and what goes for all ---------------------------------------------------------- */

static inline glia_value *add_vector_layer(random_graph *r, glia_value *x) {
    const int64_t width = dim_of(x, 1);
    char attrs[64];
    snprintf(attrs, sizeof attrs, "shape=0,%d,%d", (int)(width % 3 ? 1 : 3),
             (int)(width % 3 ? width : width / 3));
    switch (throw_dice(r, 8)) {
    case 0:
        return MAKE("reshape", attrs, x);
    case 1:
        return add_batch_norm(r, x);
    case 2:
        return add_norm(r, x);
    case 3:
        return MAKE("log_softmax", NULL, x);
    default:
        return add_linear(r, x);
    }
}

/* Two branches of one shape, or that differ in dimension 1 only, become one. */
static inline glia_value *add_merge(random_graph *r, glia_value *x) {
    static const char *const names[] = {"add", "add", "mul", "sub", "maximum"};
    for (int i = 0, from = (int)throw_dice(r, (uint64_t)r->n_pool); i < r->n_pool; i++) {
        glia_value *y = r->pool[(from + i) % r->n_pool];
        glia_shape shape = y->type.shape;
        if (y == x || y->type.dtype != r->floats) continue;
        if (glia_shape_equal(&shape, &x->type.shape) && !perhaps(r, 4))
            return MAKE(names[throw_dice(r, GLIA_COUNT(names))], NULL, x, y);
        if (shape.rank < 2 || shape.rank != x->type.shape.rank) continue;
        shape.dim[1] = dim_of(x, 1);
        if (glia_shape_equal(&shape, &x->type.shape)) return MAKE("concat", "axis=1", x, y);
    }
    return MAKE("dropout", "rate=0.3", x);
}

static inline glia_value *add_loss(random_graph *r, glia_value *x) {
    if (x->type.shape.rank != 2 || perhaps(r, 2)) return MAKE("mse", NULL, x, new_input(r, &x->type, "", 0));
    glia_value *target = new_input(r, &(glia_type){GLIA_I64, GLIA_SHAPE(dim_of(x, 0))}, "i64", dim_of(x, 1));
    return MAKE("softmax_cross_entropy", NULL, x, target);
}

static inline glia_value *add_input(random_graph *r, int64_t batch) {
    glia_type type = {r->floats, GLIA_SHAPE(batch, between(r, 1, 20))};
    const uint64_t kind = throw_dice(r, 6);
    if (kind == 0) return new_input(r, &type, "", 0);
    if (kind == 1) { /* tokens */
        const int64_t vocabulary = between(r, 2, 30), width = between(r, 1, 10);
        glia_value *table = weights(r, GLIA_SHAPE(vocabulary, width), 1);
        glia_value *tokens =
            new_input(r, &(glia_type){GLIA_I64, GLIA_SHAPE(batch, between(r, 1, 9))}, "i64", vocabulary);
        return MAKE("gather", NULL, table, tokens);
    }
    type.shape = GLIA_SHAPE(batch, between(r, 1, 9), between(r, 1, 12));
    if (kind > 2)
        type.shape =
            GLIA_SHAPE(batch, between(r, 1, perhaps(r, 4) ? 17 : 4), between(r, 2, 12), between(r, 2, 12));
    return new_input(r, &type, "", 0);
}

static inline bool grow_network(random_graph *r, int64_t batch) {
    glia_value *x = NULL, *y;
    const uint64_t back = throw_dice(r, 4) ? 1 : 1 + throw_dice(r, 6); /* mostly after the last one */
    if (r->n_pool >= (int)back) x = r->pool[r->n_pool - (int)back];
    const int rank = x ? x->type.shape.rank : 0;
    if (rank < 2 || perhaps(r, 25))
        y = add_input(r, batch);
    else if (perhaps(r, 4))
        y = add_activation(r, x);
    else if (perhaps(r, 5))
        y = add_merge(r, x);
    else if (perhaps(r, 12))
        y = add_loss(r, x);
    else
        y = rank == 4 ? add_image_layer(r, x) : rank == 3 ? add_sequence_layer(r, x) : add_vector_layer(r, x);
    if (glia_graph_status(r->graph, NULL) != GLIA_OK || !evaluate_new(r)) return false;
    const bool fits = y && glia_shape_elems(&y->type.shape) <= (r->large ? 8 : 1) * (int64_t)MOST_ELEMS;
    if (fits && in_range(r, y, "", 0) && r->n_pool < MOST_POOL) r->pool[r->n_pool++] = y;
    return true;
}

/* The first `steps` layers of the network of a seed. Never fails but by a defect; ask glia_graph_status why. */
static inline bool random_network_init(random_graph *r, uint64_t seed, glia_dtype floats, bool large,
                                       uint64_t steps) {
    static const int64_t batches[] = {1, 2, 3, 5, 8, 17, 32, 64};
    *r = (random_graph){.graph = glia_graph_new(NULL),
                        .floats = floats,
                        .large = large,
                        .dice = {.seed = seed, .stream = 78}};
    const int64_t batch = large ? between(r, 60, 300) : batches[throw_dice(r, GLIA_COUNT(batches))];
    const uint64_t all = 3 + throw_dice(r, 35);
    for (uint64_t i = 0; i < all && i < steps; i++)
        if (!grow_network(r, batch)) return false;
    return true;
}

#endif
