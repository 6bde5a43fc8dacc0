/* random_graph.h: makes random graphs of the registry's ops from their own test cases, and evaluates them node by node
 * with nothing but each op's ref: every value in memory of its own. What a planned program gives is compared with that.
 *
 * An op's inputs are earlier values wherever they can be made to fit: cut or padded to the shape that the case
 * asks for, squashed into its range. Everything follows from the seed. */
#ifndef GLIA_TESTS_RANDOM_GRAPH_H
#define GLIA_TESTS_RANDOM_GRAPH_H

#include "op_case.h"

#include "glia/ops.h"
#include "glia/program.h"
#include "graph/graph.h"
#include "kernels/kernel.h"

enum { MOST_VALUES = 8192, MOST_POOL = 256, MOST_FED = 128 };

typedef struct random_graph {
    glia_graph *graph;
    glia_dtype floats; /* f32 or f64 */
    bool large;        /* sometimes stretches dimension 0, so that calls are shared between workers */
    glia_random dice;
    uint64_t thrown;
    size_t evaluated;                            /* nodes */
    void *data[MOST_VALUES];                     /* by value id; of inputs and nodes our own */
    glia_value *pool[MOST_POOL], *fed[MOST_FED]; /* values fit to be used; inputs */
    int n_pool, n_fed;
} random_graph;

static inline uint64_t throw_dice(random_graph *r, uint64_t sides) {
    return glia_random_below(r->dice, r->thrown++, sides);
}

static inline glia_view view_of(const random_graph *r, const glia_value *value) {
    return (glia_view){r->data[value->id], value->type.dtype, value->type.shape};
}

static inline void keep_data(random_graph *r, const glia_value *value, void *data) {
    if (value->id >= MOST_VALUES) abort();
    r->data[value->id] = data;
}

/* --- evaluation ------------------------------------------------------------------------------------------- */

/* Outside of training dropout and the like give their input. */
static inline glia_status evaluate_node(const glia_node *node, void **data, bool training, glia_error *err) {
    glia_view in[GLIA_MAX_INPUTS] = {{0}}, out[GLIA_MAX_OUTPUTS];
    glia_type types[GLIA_MAX_OUTPUTS];
    for (int i = 0; i < node->n_inputs; i++) {
        if (!node->inputs[i]) continue;
        const glia_value *x = node->inputs[i];
        in[i] = (glia_view){data[x->id] ? data[x->id] : (void *)x->data, x->type.dtype, x->type.shape};
    }
    for (int o = 0; o < node->n_outputs; o++) types[o] = node->outputs[o].type;
    make_outputs(node->op, types, out);
    for (int o = 0; o < node->n_outputs; o++) data[node->outputs[o].id] = out[o].data;
    if (!training && (node->op->traits & GLIA_TRAIT_TRAINING_ONLY)) {
        memcpy(out[0].data, in[0].data, view_bytes(&out[0]));
        return GLIA_OK;
    }
    return run_step(node->op, in, node->n_inputs, out, node->attrs, NULL, training, err, NULL);
}

/* Evaluates the nodes that are new. */
static inline bool evaluate_new(random_graph *r) {
    bool fine = true;
    for (; r->evaluated < r->graph->n_nodes && fine; r->evaluated++) {
        const glia_node *node = r->graph->nodes[r->evaluated];
        for (int o = 0; o < node->n_outputs; o++) keep_data(r, &node->outputs[o], NULL);
        glia_error err = {0};
        fine = evaluate_node(node, r->data, true, &err) == GLIA_OK;
        if (!fine) printf("  %s: %s\n", node->name, err.message);
    }
    return fine;
}

/* --- values that fit -------------------------------------------------------------------------------------- */

static inline bool in_range(const random_graph *r, const glia_value *value, const char *kind, int64_t bound) {
    glia_view view = view_of(r, value);
    glia_tensor tensor = glia_tensor_wrap(view.data, view.dtype, view.shape);
    double low = -20, high = 20;
    if (bound) low = 0, high = (double)bound - 1;
    if (strcmp(kind, "pos") == 0) low = 0.3, high = 2.5;
    if (strcmp(kind, "above") == 0) low = 1.05, high = 3;
    if (strcmp(kind, "unit") == 0) low = 0.02, high = 0.98;
    const int64_t elems = glia_shape_elems(&view.shape);
    for (int64_t i = 0; i < elems; i++)
        if (!(glia_tensor_get(&tensor, i) >= low && glia_tensor_get(&tensor, i) <= high)) return false;
    return true;
}

static inline glia_value *new_input(random_graph *r, const glia_type *type, const char *kind, int64_t bound) {
    char name[16];
    if (r->n_fed == MOST_FED) return NULL;
    snprintf(name, sizeof name, "x%d", r->n_fed);
    glia_value *value = glia_graph_input(r->graph, name, type->dtype, type->shape);
    glia_view view = {.dtype = type->dtype, .shape = type->shape};
    fill_view(&view, kind, bound, throw_dice(r, 1u << 30));
    keep_data(r, value, view.data);
    return r->fed[r->n_fed++] = value;
}

static inline glia_value *scaled_sum(glia_value *x, double factor, double shift) {
    glia_dtype dtype = glia_value_dtype(x);
    glia_graph *graph = glia_value_graph(x);
    return glia_op_add(glia_op_mul(x, glia_graph_scalar(graph, dtype, factor)),
                       glia_graph_scalar(graph, dtype, shift));
}

/* `x` in the range of `kind`, whatever it was. */
static inline glia_value *squashed(random_graph *r, glia_value *x, const char *kind) {
    if (!evaluate_new(r) || in_range(r, x, kind, 0)) return x;
    if (strcmp(kind, "pos") == 0) return scaled_sum(glia_op_sigmoid(x), 1.5, 0.5);
    if (strcmp(kind, "above") == 0) return scaled_sum(glia_op_sigmoid(x), 1.5, 1.2);
    if (strcmp(kind, "unit") == 0) return scaled_sum(glia_op_sigmoid(x), 0.9, 0.05);
    return scaled_sum(glia_op_tanh(x), 2, 0.1);
}

/* `x` cut or padded to `shape`. */
static inline glia_value *reshaped(glia_value *x, const glia_shape *shape) {
    int64_t wanted = glia_shape_elems(shape);
    glia_shape have_shape = glia_value_shape(x);
    int64_t have = glia_shape_elems(&have_shape);
    char attrs[160] = "shape=-1";
    x = glia_graph_apply_text(glia_value_graph(x), "reshape", &x, 1, attrs);
    snprintf(attrs, sizeof attrs, "end=%lld", (long long)llabs(wanted - have));
    if (have > wanted) snprintf(attrs, sizeof attrs, "end=%lld", (long long)wanted);
    if (have != wanted)
        x = glia_graph_apply_text(glia_value_graph(x), have > wanted ? "slice" : "pad", &x, 1, attrs);
    if (shape->rank == 0) return glia_op_sum(x, (glia_reduce_attrs){{0}, GLIA_NO});
    int at = snprintf(attrs, sizeof attrs, "shape=");
    for (int d = 0; d < shape->rank; d++)
        at +=
            snprintf(attrs + at, sizeof attrs - (size_t)at, "%s%lld", d ? "," : "", (long long)shape->dim[d]);
    return glia_graph_apply_text(glia_value_graph(x), "reshape", &x, 1, attrs);
}

/* A value of this type: an earlier one as it is, or made to fit, or a new input. */
static inline glia_value *find_value(random_graph *r, const glia_type *type, const char *kind,
                                     int64_t bound) {
    int64_t elems = glia_shape_elems(&type->shape);
    if (r->n_pool && throw_dice(r, 4)) /* as it is: from a random place on */
        for (int i = 0, from = (int)throw_dice(r, (uint64_t)r->n_pool); i < r->n_pool; i++) {
            glia_value *x = r->pool[(from + i) % r->n_pool];
            if (x->type.dtype == type->dtype && glia_shape_equal(&x->type.shape, &type->shape) &&
                in_range(r, x, kind, bound))
                return x;
        }
    if (r->n_pool && elems && type->dtype == r->floats && throw_dice(r, 4)) {
        glia_value *x = r->pool[throw_dice(r, (uint64_t)r->n_pool)];
        int64_t have = glia_shape_elems(&x->type.shape);
        if (x->type.dtype == r->floats && have > 0 && have <= 50 * elems)
            return squashed(r, reshaped(x, &type->shape), kind);
    }
    return new_input(r, type, kind, bound);
}

/* --- growth ----------------------------------------------------------------------------------------------- */

/* Makes dimension 0 so large that the executor shares the call between workers, where rows are independent. */
static inline void stretch(const glia_op *op, glia_type *types, int count, const void *attrs) {
    glia_type out[GLIA_MAX_OUTPUTS] = {{0}};
    if (op->infer(types, count, attrs, out, NULL) != GLIA_OK || out[0].shape.rank == 0) return;
    bool elementwise = op->traits & GLIA_TRAIT_ELEMENTWISE;
    uint32_t cut = !elementwise && op->rows ? op->rows(types, count, attrs) : 0;
    int64_t rows = out[0].shape.dim[0], elems = glia_shape_elems(&out[0].shape);
    for (int i = 0; elementwise && i < count; i++)
        if (types[i].shape.rank == out[0].shape.rank && types[i].shape.dim[0] == rows) cut |= 1u << i;
    if (!cut || elems == 0 || elems > 1000) return;
    for (int i = 0; i < count; i++)
        if (cut >> i & 1) types[i].shape.dim[0] *= 110000 / elems;
}

/* Any op, but those that have kernels more often. */
static inline const glia_op *random_op(random_graph *r) {
    if (glia__kernels_count && !throw_dice(r, 8))
        return glia__op_find(glia__kernels[throw_dice(r, glia__kernels_count)]->op);
    return glia__ops[throw_dice(r, glia__ops_count)];
}

/* Applies an op to the inputs of one of its cases. False when that failed. */
static inline bool grow(random_graph *r) {
    const glia_op *op = random_op(r);
    int n_cases = 0, count = 0;
    while (op->cases[n_cases].inputs) n_cases++;
    const glia_case *example = &op->cases[throw_dice(r, (uint64_t)n_cases)];
    if ((op->traits & GLIA_TRAIT_INTERNAL) || example->expect_error) return true;
    if (r->floats == GLIA_F64 && strcmp(op->name, "narrow") == 0)
        return true; /* gradient 1 is no slope of steps */
    char words[256], kinds[GLIA_MAX_INPUTS][32], *rest = words;
    int64_t bounds[GLIA_MAX_INPUTS];
    glia_type types[GLIA_MAX_INPUTS];
    snprintf(words, sizeof words, "%s", example->inputs);
    for (char *word; (word = strtok_r(rest, " ", &rest)); count++)
        if (!parse_word(word, r->floats, &types[count], kinds[count], sizeof kinds[count], &bounds[count]))
            return false;
    for (int i = count; i < GLIA_MAX_INPUTS; i++) types[i] = (glia_type){.shape.rank = -1};
    glia_arena arena;
    glia__arena_init(&arena, NULL);
    void *attrs = op->attrs ? glia__arena_alloc(&arena, op->attrs_size) : NULL;
    if (attrs && glia__fields_parse(op->attrs, attrs, example->attrs, &arena, NULL) != GLIA_OK) return false;
    if (r->large && !throw_dice(r, 8)) stretch(op, types, count, attrs);
    glia__arena_free(&arena);
    glia_value *inputs[GLIA_MAX_INPUTS] = {NULL};
    for (int i = 0; i < count; i++)
        if (types[i].shape.rank >= 0) inputs[i] = find_value(r, &types[i], kinds[i], bounds[i]);
    glia_value *y = glia_graph_apply_text(r->graph, op->name, inputs, count, example->attrs);
    if (!y || !evaluate_new(r)) return false;
    if (in_range(r, y, "", 0) && r->n_pool < MOST_POOL) r->pool[r->n_pool++] = y;
    return true;
}

/* The first `steps` ops of the graph of a seed. Never fails but by a defect; ask glia_graph_status why. */
static inline bool random_graph_init(random_graph *r, uint64_t seed, glia_dtype floats, bool large,
                                     uint64_t steps) {
    *r = (random_graph){.graph = glia_graph_new(NULL),
                        .floats = floats,
                        .large = large,
                        .dice = {.seed = seed, .stream = 77}};
    uint64_t tries = 8 + throw_dice(r, 80);
    for (uint64_t i = 0; i < tries && i < steps; i++)
        if (!grow(r)) return false;
    return true;
}

static inline void random_graph_deinit(random_graph *r) {
    for (size_t i = 0; i < MOST_VALUES; i++) free(r->data[i]);
    glia_graph_free(r->graph);
}

/* A scalar that depends on some of the values, on every element of them differently; NULL when there is none. */
static inline glia_value *random_loss(random_graph *r) {
    glia_value *loss = NULL;
    for (int i = 0, terms = 0; i < r->n_pool && terms < 5; i++) {
        glia_value *y = r->pool[r->n_pool - 1 - i];
        if (y->type.dtype != r->floats || glia_shape_elems(&y->type.shape) == 0) continue;
        if (i && !throw_dice(r, 3)) continue;
        glia_view weights = {.dtype = y->type.dtype, .shape = y->type.shape};
        fill_view(&weights, "", 0, throw_dice(r, 1u << 30));
        glia_tensor tensor = glia_tensor_wrap(weights.data, weights.dtype, weights.shape);
        glia_value *term = glia_op_mean(glia_op_mul(y, glia_graph_const(r->graph, &tensor)),
                                        (glia_reduce_attrs){{0}, GLIA_NO});
        free(weights.data);
        loss = loss ? glia_op_add(loss, term) : term;
        terms++;
    }
    return loss;
}

#endif
