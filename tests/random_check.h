/* random_check.h: what is checked of a random graph, whoever made it: the graph and its gradients, planned and run in every
 * way, against the plain evaluation of random_graph.h; and gradients against central differences. A graph that fails is cut
 * down to the fewest steps of its growth that still fail, and what leads to the wrong value is printed.
 *
 * GLIA_RANDOM_GRAPHS=20000 runs so many, GLIA_RANDOM_SECONDS=60 for so long, GLIA_RANDOM_SEED=17 starts elsewhere (a failure
 * prints its seed). */
#ifndef GLIA_TESTS_RANDOM_CHECK_H
#define GLIA_TESTS_RANDOM_CHECK_H

#include "random_graph.h"

#include "core/clock.h"

enum { MOST_OUTPUTS = MOST_POOL + MOST_FED, ALL_STEPS = 1 << 20 };

/* Grows the first steps of a seed's graph. */
typedef bool graph_maker(random_graph *r, uint64_t seed, glia_dtype floats, bool large, uint64_t steps);

/* What a program should give, and how far rounding in its kernels may move it. That is found by experiment: the graph is
 * evaluated again with noise on every result that is rounded otherwise. */
typedef struct oracle {
    bool training, half;     /* half: in mixed precision */
    void *data[MOST_VALUES]; /* by value id, from plain evaluation */
    double *slack[MOST_VALUES];
    int trials, most_trials;
    bool
        shaky; /* noise moves an index out of its range: rounding decides what happens, and nothing can be compared */
    bool unsure[MOST_VALUES]; /* what follows from states that are rounded at every step */
} oracle;

typedef struct graph_test {
    random_graph r;
    uint64_t seed;
    bool failed, loud;
    glia_value *wrt[MOST_FED], *gradients[MOST_FED], *loss;
    int n_wrt;
    size_t forward_nodes;
    glia_value *outputs[MOST_OUTPUTS];
    int n_outputs;
    oracle *oracle;
} graph_test;

/* Prints the first failure, when it is the one to be seen, with what leads to `value` (NULL: everything). */
static inline void fail(graph_test *t, const glia_value *value, const char *what, const char *detail) {
    if (t->loud && !t->failed) {
        glia_value *one = (glia_value *)(uintptr_t)value;
        test_failures++;
        printf("  seed %llu (%s): %s: %s\n", (unsigned long long)t->seed, glia_dtype_name(t->r.floats), what,
               detail);
        glia_graph_print(t->r.graph, value ? &one : t->outputs, value ? 1 : t->n_outputs, stdout);
    }
    t->failed = true;
}

/* A graph with a loss and its gradients by every input of floats, and what of it is to be looked at. */
static inline bool open_graph(graph_test *t, graph_maker *maker, uint64_t seed, glia_dtype floats, bool large,
                              uint64_t steps, bool loud) {
    random_graph *r = &t->r;
    glia_error err = {0};
    *t = (graph_test){.seed = seed, .loud = loud};
    bool fine = maker(r, seed, floats, large, steps);
    t->loss = fine ? random_loss(r) : NULL;
    t->forward_nodes = r->graph->n_nodes;
    for (int i = 0; i < r->n_fed; i++)
        if (r->fed[i]->type.dtype == floats) t->wrt[t->n_wrt++] = r->fed[i];
    if (fine && t->loss)
        fine = glia_graph_gradients(r->graph, t->loss, t->wrt, t->n_wrt, t->gradients, &err) == GLIA_OK;
    if (!fine || !evaluate_new(r)) {
        if (glia_graph_status(r->graph, &err) == GLIA_OK && !*err.message)
            glia_error_set(&err, GLIA_INTERNAL, "a ref failed");
        fail(t, NULL, "the graph could not be built", err.message);
        return false;
    }
    if (t->loss) t->outputs[t->n_outputs++] = t->loss;
    for (int i = 0; i < r->n_pool; i++)
        if (!throw_dice(r, 5)) t->outputs[t->n_outputs++] = r->pool[i];
    return true;
}

/* --- oracles ---------------------------------------------------------------------------------------------------- */

/* Whether a value of the oracle's run is looked at: gradients are in training only. */
static inline int outputs_of(graph_test *t, const oracle *o, glia_value **out) {
    int n = 0;
    for (int i = 0; i < t->n_outputs; i++) out[n++] = t->outputs[i];
    for (int i = 0; i < t->n_wrt && t->loss && o->training; i++) out[n++] = t->gradients[i];
    return n;
}

/* Evaluates the nodes that the oracle's outputs need, into `data`, where the inputs are. */
static inline bool evaluate_all(const graph_test *t, const oracle *o, void **data,
                                void (*noise)(const graph_test *, const oracle *, const glia_node *,
                                              void **)) {
    const glia_graph *graph = t->r.graph;
    const size_t nodes = o->training ? graph->n_nodes : t->forward_nodes;
    for (size_t n = 0; n < nodes; n++) {
        if (evaluate_node(graph->nodes[n], data, o->training, NULL) != GLIA_OK) return false;
        if (noise) noise(t, o, graph->nodes[n], data);
    }
    return true;
}

static inline void free_nodes(const graph_test *t, void **data) {
    for (size_t n = 0; n < t->r.graph->n_nodes; n++)
        for (int o = 0; o < t->r.graph->nodes[n]->n_outputs; o++) {
            free(data[t->r.graph->nodes[n]->outputs[o].id]);
            data[t->r.graph->nodes[n]->outputs[o].id] = NULL;
        }
}

static inline bool has_kernel(const glia_op *op) {
    if (op->sums) return true; /* which the executor may add up in pieces */
    for (size_t i = 0; i < glia__kernels_count; i++)
        if (strcmp(glia__kernels[i]->op, op->name) == 0) return true;
    return false;
}

/* f32 moved by up to `relative` of themselves, and `common` of the largest. */
static inline void shake(float *y, int64_t elems, double relative, double common, glia_random random,
                         uint64_t place) {
    float most = 0;
    for (int64_t i = 0; i < elems; i++) most = fmaxf(most, fabsf(y[i]));
    for (int64_t i = 0; i < elems; i++) {
        const double side = 2 * (double)glia_random_uniform(random, place + (uint64_t)i) - 1;
        y[i] = (float)(y[i] + side * (relative * fabs((double)y[i]) + common * (double)most));
    }
}

static inline glia_random noise_of(const graph_test *t, const oracle *o) {
    return (glia_random){.seed = t->seed, .stream = 5 + (uint64_t)o->trials};
}

/* How far a result may be moved: by `relative` of itself, and by `common` of the largest. Kernels, and sums in lanes, add in
 * another order: a few units in the last place of the largest terms. Where that explains too little, every value is moved by its
 * last bit: what a norm does to numbers that are nearly equal shows only so. In mixed precision every result may be rounded to the 8
 * bits of bf16, here to 7, so that what lies near a corner is seen on both sides of it. */
typedef struct noise_size {
    double relative, common;
} noise_size;

static inline noise_size size_of_noise(const oracle *o, const glia_node *node) {
    if (o->half) return (noise_size){0x1p-8, node ? 0x1p-12 : 0};
    return (noise_size){o->trials < 2 ? 0 : 0x1p-23, node && has_kernel(node->op) ? 5e-7 : 0};
}

static inline void add_noise(const graph_test *t, const oracle *o, const glia_node *node, void **data) {
    const noise_size size = size_of_noise(o, node);
    for (int k = 0; k < node->n_outputs; k++) {
        const glia_value *y = &node->outputs[k];
        if (y->type.dtype == GLIA_F32)
            shake(data[y->id], glia_shape_elems(&y->type.shape), size.relative, size.common, noise_of(t, o),
                  (uint64_t)y->id << 24);
    }
}

static inline void noisy_inputs(const graph_test *t, const oracle *o, void **noisy) {
    const noise_size size = size_of_noise(o, NULL);
    for (int i = 0; i < t->r.n_fed; i++) {
        const glia_value *x = t->r.fed[i];
        const glia_view view = {.data = t->r.data[x->id], .dtype = x->type.dtype, .shape = x->type.shape};
        noisy[x->id] = malloc(view_bytes(&view) + 1);
        memcpy(noisy[x->id], view.data, view_bytes(&view));
        if (view.dtype == GLIA_F32)
            shake(noisy[x->id], glia_shape_elems(&view.shape), size.relative, size.common, noise_of(t, o),
                  (uint64_t)x->id << 24);
    }
}

/* What the noise did to one value, as slack for every element of it. */
static inline void widen_slack(oracle *o, const glia_value *value, void *found) {
    const glia_shape shape = value->type.shape;
    const int64_t elems = glia_shape_elems(&shape);
    glia_tensor a = glia_tensor_wrap(o->data[value->id], value->type.dtype, shape), b = a;
    double most = 0, apart = 0, **slack = &o->slack[value->id];
    b.data = found;
    if (!*slack) *slack = calloc((size_t)elems + 1, sizeof **slack);
    for (int64_t k = 0; k < elems; k++) {
        const double p = glia_tensor_get(&a, k), q = glia_tensor_get(&b, k);
        if (isfinite(p)) most = fmax(most, fabs(p));
        if (p == q || (isnan(p) && isnan(q))) continue;
        apart = isfinite(p) && isfinite(q) ? fmax(apart, fabs(p - q)) : (double)INFINITY;
    }
    const double unit = o->half ? 0x1p-8 : value->type.dtype == GLIA_BF16 ? 0x1p-7 : 1e-6;
    const double rest = 1e-8; /* of terms that cancel */
    const double most_apart =
        (o->half ? 0.1 : 1e-3) * most; /* beyond, rounding decides what comes out: nothing to compare */
    const double found_slack =
        apart > most_apart + rest ? (double)INFINITY : unit * most + (o->half ? 4 : 30) * apart + rest;
    for (int64_t k = 0; k < elems; k++) (*slack)[k] = fmax((*slack)[k], found_slack);
}

static inline void try_noise(graph_test *t, oracle *o) {
    glia_value *outputs[MOST_OUTPUTS];
    const int n = outputs_of(t, o, outputs);
    void **noisy = calloc(MOST_VALUES, sizeof *noisy);
    noisy_inputs(t, o, noisy);
    o->shaky |= !evaluate_all(t, o, noisy, add_noise);
    for (int i = 0; i < n && !o->shaky; i++)
        if (outputs[i]->node) widen_slack(o, outputs[i], noisy[outputs[i]->id]);
    free_nodes(t, noisy);
    for (int i = 0; i < t->r.n_fed; i++) free(noisy[t->r.fed[i]->id]);
    free(noisy);
    o->trials++;
}

/* What lies near a corner (of relu, of the largest of two) is moved by few of the trials: more of them before a difference is
 * called a failure. False when there were enough. */
static inline bool try_more_noise(graph_test *t, oracle *o) {
    if (o->trials >= o->most_trials || o->shaky) return false;
    for (int i = GLIA_MAX(o->trials, 2); i > 0 && !o->shaky; i--) try_noise(t, o);
    return true;
}

/* Whether a node's states are rounded to bf16 at every step: noise on its results says nothing of what that grows to. They and
 * what is made of them are not compared here; the tests of ops compare these kernels. */
static inline bool rounds_inside(const glia_node *node) {
    const bool steps = strncmp(node->op->name, "rnn", 3) == 0 || strncmp(node->op->name, "lstm", 4) == 0 ||
                       strncmp(node->op->name, "gru", 3) == 0;
    return steps && node->inputs[0]->type.dtype == GLIA_BF16;
}

static inline void mark_unsure(const graph_test *t, oracle *o) {
    for (size_t n = 0; n < t->r.graph->n_nodes; n++) {
        const glia_node *node = t->r.graph->nodes[n];
        bool unsure = rounds_inside(node);
        for (int i = 0; i < node->n_inputs; i++) unsure |= node->inputs[i] && o->unsure[node->inputs[i]->id];
        for (int k = 0; k < node->n_outputs; k++) o->unsure[node->outputs[k].id] = unsure;
    }
}

static inline oracle *open_oracle(graph_test *t, bool training, bool half) {
    oracle *o = t->oracle = calloc(1, sizeof *o);
    o->training = training, o->half = half, o->most_trials = half ? 1024 : 64;
    mark_unsure(t, o);
    for (int i = 0; i < t->r.n_fed; i++) o->data[t->r.fed[i]->id] = t->r.data[t->r.fed[i]->id];
    if (!evaluate_all(t, o, o->data, NULL)) fail(t, NULL, "plain evaluation", "a ref failed");
    try_more_noise(t, o);
    return o;
}

static inline void close_oracle(graph_test *t) {
    if (!t->oracle) return;
    free_nodes(t, t->oracle->data);
    for (int i = 0; i < MOST_VALUES; i++) free(t->oracle->slack[i]);
    free(t->oracle);
    t->oracle = NULL;
}

static inline void close_graph(graph_test *t) {
    close_oracle(t);
    random_graph_deinit(&t->r);
}

/* --- programs --------------------------------------------------------------------------------------------------- */

/* Compares one output with the plain evaluation: the same bits (but which NaN), or within its slack. */
static inline bool same(const oracle *o, const glia_value *value, const void *found, bool exact,
                        char *message, size_t capacity) {
    const void *plain = o->data[value->id] ? o->data[value->id] : value->data;
    const glia_view wanted = {(void *)(uintptr_t)plain, value->type.dtype, value->type.shape};
    const double *slack = o->slack[value->id];
    glia_tensor a = glia_tensor_wrap((void *)(uintptr_t)found, wanted.dtype, wanted.shape),
                b = glia_tensor_wrap(wanted.data, wanted.dtype, wanted.shape);
    if (memcmp(found, wanted.data, view_bytes(&wanted)) == 0) return true;
    const int64_t elems = glia_shape_elems(&wanted.shape);
    for (int64_t i = 0; i < elems; i++) {
        double p = glia_tensor_get(&a, i), q = glia_tensor_get(&b, i);
        if ((p == q && signbit(p) == signbit(q)) || (isnan(p) && isnan(q))) continue;
        if (!exact && slack && (fabs(p - q) <= slack[i] || slack[i] == (double)INFINITY)) continue;
        snprintf(message, capacity, "'%s' element %lld is %.9g, expected %.9g ± %.2g", glia_value_name(value),
                 (long long)i, p, q, exact || !slack ? 0 : slack[i]);
        return false;
    }
    return true;
}

static inline bool check_output(graph_test *t, const glia_value *value, const void *found, bool exact,
                                const char *what) {
    char message[256];
    test_checks++;
    if (!exact && t->oracle->unsure[value->id]) return true;
    do
        if (same(t->oracle, value, found, exact, message, sizeof message)) return true;
    while (!exact && try_more_noise(t, t->oracle));
    if (!exact && t->oracle->shaky) return true;
    fail(t, value, what, message);
    return false;
}

/* Runs a program twice (the second time on used memory), half of its outputs in memory of the caller. */
static inline void check_program(graph_test *t, glia_program_options options, const char *what) {
    glia_program *p = NULL;
    glia_error err = {0};
    glia_value *outputs[MOST_OUTPUTS];
    void *own[MOST_OUTPUTS] = {NULL};
    const int n = outputs_of(t, t->oracle, outputs);
    options.training = t->oracle->training ? GLIA_YES : GLIA_NO;
    options.fixed_params = t->oracle->training ? GLIA_NO : GLIA_YES;
    options.precision = t->oracle->half ? GLIA_PRECISION_BF16 : GLIA_PRECISION_F32;
    options.seed = 5; /* as in run_step */
    glia_status status = glia_program_new(&p, t->r.graph, outputs, n, options, &err);
    for (int i = 0; i < t->r.n_fed && status == GLIA_OK; i++)
        status = glia_program_bind(p, t->r.fed[i], t->r.data[t->r.fed[i]->id], &err);
    for (int i = 0; i < n && status == GLIA_OK; i++) {
        const glia_view view = {.dtype = outputs[i]->type.dtype, .shape = outputs[i]->type.shape};
        bool again = false;
        for (int k = 0; k < i; k++) again |= outputs[k] == outputs[i];
        if (again || outputs[i]->kind != GLIA_VALUE_NODE || throw_dice(&t->r, 2)) continue;
        own[i] = malloc(view_bytes(&view) + 1);
        status = glia_program_bind(p, outputs[i], own[i], &err);
    }
    for (int run = 0; run < 2 && status == GLIA_OK && !t->failed; run++) {
        status = glia_program_run(p, 3, &err);
        for (int i = 0; i < n && status == GLIA_OK; i++) {
            const void *found = glia_program_output(p, outputs[i]).data;
            if (own[i] && found != own[i]) fail(t, outputs[i], what, "an output is not where it was bound");
            if (!check_output(t, outputs[i], found, options.reference == GLIA_YES, what)) break;
        }
    }
    if (status != GLIA_OK) fail(t, NULL, what, err.message);
    glia_program_free(p);
    for (int i = 0; i < n; i++) free(own[i]);
}

/* In every way, of which each has an oracle of its own: for training, for prediction, in mixed precision. */
static inline void check_programs(graph_test *t) {
    static const struct {
        bool training, half, reference;
        int threads;
        glia_bool reuse;
        const char *what;
    } ways[] = {
        {true, false, true, 1, GLIA_DEFAULT, "training, reference"},
        {true, false, true, 3, GLIA_DEFAULT, "training, reference, 3 threads"},
        {true, false, false, 1, GLIA_DEFAULT, "training, kernels"},
        {true, false, false, 2, GLIA_DEFAULT, "training, kernels, 2 threads"},
        {true, false, false, 3, GLIA_NO, "training, kernels, 3 threads, without reuse"},
        {false, false, true, 1, GLIA_DEFAULT, "prediction, reference"},
        {false, false, false, 1, GLIA_DEFAULT, "prediction, kernels"},
        {false, false, false, 2, GLIA_DEFAULT, "prediction, kernels, 2 threads"},
        {true, true, false, 1, GLIA_DEFAULT, "training, bf16"},
        {true, true, false, 2, GLIA_DEFAULT, "training, bf16, 2 threads"},
        {false, true, false, 2, GLIA_DEFAULT, "prediction, bf16, 2 threads"},
    };
    for (size_t i = 0; i < GLIA_COUNT(ways) && !t->failed; i++) {
        if (!t->oracle || t->oracle->training != ways[i].training || t->oracle->half != ways[i].half) {
            close_oracle(t);
            open_oracle(t, ways[i].training, ways[i].half);
        }
        if (t->failed) break;
        if (t->oracle->shaky && !ways[i].reference) continue;
        check_program(t,
                      (glia_program_options){.threads = ways[i].threads,
                                             .reuse_memory = ways[i].reuse,
                                             .reference = ways[i].reference ? GLIA_YES : GLIA_NO},
                      ways[i].what);
    }
}

static inline bool programs_fail(graph_maker *maker, uint64_t seed, uint64_t steps, bool loud) {
    graph_test *t = malloc(sizeof *t);
    if (open_graph(t, maker, seed, GLIA_F32, seed % 4 == 0, steps, loud) && t->n_outputs) check_programs(t);
    const bool failed = t->failed;
    close_graph(t);
    free(t);
    return failed;
}

/* --- gradients against differences ------------------------------------------------------------------------------ */

typedef struct line { /* through an input, in a random direction */
    glia_program *program;
    const glia_value *loss;
    double *x, *direction, *start;
    int64_t elems;
} line;

static inline double loss_on(const line *l, double step) {
    for (int64_t i = 0; i < l->elems; i++) l->x[i] = l->start[i] + step * l->direction[i];
    glia_status status = glia_program_run(l->program, 3, NULL);
    double loss = status == GLIA_OK ? *(double *)glia_program_output(l->program, l->loss).data : (double)NAN;
    memcpy(l->x, l->start, (size_t)l->elems * sizeof *l->x);
    return loss;
}

/* The slope is right when the central difference of some step says so: a large step meets kinks, a small one
 * rounding. */
static inline bool slope_fits(const line *l, double slope, double *difference) {
    for (double h = 1e-3; h > 1e-7; h /= 10) {
        double near = loss_on(l, h) - loss_on(l, -h), far = loss_on(l, 2 * h) - loss_on(l, -2 * h);
        *difference = (8 * near - far) / (12 * h);
        if (fabs(*difference - slope) <= 1e-5 * (1e-3 + fabs(slope)) + 1e-9) return true;
    }
    return false;
}

static inline void check_slopes(graph_test *t, glia_program *p) {
    for (int w = 0; w < t->n_wrt; w++) {
        const glia_view x = view_of(&t->r, t->wrt[w]);
        const double *gradient = view_of(&t->r, t->gradients[w]).data;
        int64_t elems = glia_shape_elems(&x.shape);
        glia_view direction = {.dtype = GLIA_F64, .shape = x.shape}, start = direction;
        fill_view(&direction, "", 0, throw_dice(&t->r, 1u << 30));
        fill_view(&start, "", 0, 0);
        memcpy(start.data, x.data, (size_t)elems * sizeof(double));
        const line l = {p, t->loss, x.data, direction.data, start.data, elems};
        double slope = 0, difference = 0;
        for (int64_t i = 0; i < elems; i++) slope += gradient[i] * l.direction[i];
        test_checks++;
        if (!slope_fits(&l, slope, &difference)) {
            char message[160];
            snprintf(message, sizeof message, "by '%s': %.9g, central difference %.9g",
                     glia_value_name(t->wrt[w]), slope, difference);
            fail(t, t->loss, "gradient", message);
        }
        free(direction.data);
        free(start.data);
    }
}

static inline bool slopes_fail(graph_maker *maker, uint64_t seed, uint64_t steps, bool loud) {
    graph_test *t = malloc(sizeof *t);
    glia_error err = {0};
    if (open_graph(t, maker, seed, GLIA_F64, false, steps, loud) && t->loss) {
        glia_program *p = NULL;
        glia_program_options options = {.threads = 1, .training = GLIA_YES, .seed = 5, .reference = GLIA_YES};
        glia_status status = glia_program_new(&p, t->r.graph, &t->loss, 1, options, &err);
        for (int i = 0; i < t->r.n_fed && status == GLIA_OK; i++)
            status = glia_program_bind(p, t->r.fed[i], t->r.data[t->r.fed[i]->id], &err);
        if (status == GLIA_OK)
            check_slopes(t, p);
        else
            fail(t, NULL, "the forward program", err.message);
        glia_program_free(p);
    }
    const bool failed = t->failed;
    close_graph(t);
    free(t);
    return failed;
}

/* --- many of them ----------------------------------------------------------------------------------------------- */

typedef bool seed_check(graph_maker *maker, uint64_t seed, uint64_t steps, bool loud);

/* A seed that fails is grown step by step until it does. */
static inline void check_seed(seed_check *fails, graph_maker *maker, uint64_t seed) {
    if (!fails(maker, seed, ALL_STEPS, false)) return;
    for (uint64_t steps = 1;; steps++) {
        const bool last = steps > 200;
        if (!last && !fails(maker, seed, steps, false)) continue;
        printf("  the first %d steps of its growth\n", last ? 0 : (int)steps);
        fails(maker, seed, last ? ALL_STEPS : steps, true);
        return;
    }
}

static inline uint64_t number_from(const char *variable, uint64_t otherwise) {
    const char *text = getenv(variable);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static inline void check_seeds(seed_check *fails, graph_maker *maker, uint64_t count) {
    const uint64_t first = number_from("GLIA_RANDOM_SEED", 1),
                   seconds = number_from("GLIA_RANDOM_SECONDS", 0);
    const double end = glia__now_seconds() + (double)seconds;
    uint64_t seed = first;
    count = number_from("GLIA_RANDOM_GRAPHS", count);
    for (; test_failures < 20 && (seconds ? glia__now_seconds() < end : seed < first + count); seed++)
        check_seed(fails, maker, seed);
    if (seconds)
        printf("  %llu graphs from seed %llu\n", (unsigned long long)(seed - first),
               (unsigned long long)first);
}

#endif
