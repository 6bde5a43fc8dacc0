/* test_random_graphs.c: random graphs and their gradients, planned and run in every way, against the plain evaluation of
 * random_graph.h; gradients against central differences.
 *
 * GLIA_RANDOM_GRAPHS=20000 runs more of them, GLIA_RANDOM_SEED=17 starts elsewhere (a failure prints its seed). */

#include "test.h"

#include "random_graph.h"

static uint64_t number_from(const char *variable, uint64_t otherwise) {
    const char *text = getenv(variable);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

typedef struct graph_test {
    random_graph r;
    uint64_t seed;
    bool failed;
    glia_value *wrt[MOST_FED], *gradients[MOST_FED], *loss;
    int n_wrt;
    glia_value *outputs[MOST_POOL + MOST_FED];
    int n_outputs;
    double *slack[MOST_VALUES]; /* by value id: what rounding in the kernels may change, for each output */
} graph_test;

/* Prints the graph at its first failure. */
static void fail(graph_test *t, const char *what, const char *detail) {
    test_failures++;
    printf("  seed %llu (%s): %s: %s\n", (unsigned long long)t->seed, glia_dtype_name(t->r.floats), what,
           detail);
    if (!t->failed) glia_graph_print(t->r.graph, t->outputs, t->n_outputs, stdout);
    t->failed = true;
}

/* A graph with a loss and its gradients by every input of floats, and what of it is to be looked at. */
static bool open_graph(graph_test *t, uint64_t seed, glia_dtype floats, bool large) {
    random_graph *r = &t->r;
    glia_error err = {0};
    *t = (graph_test){.seed = seed};
    bool fine = random_graph_init(r, seed, floats, large);
    t->loss = fine ? random_loss(r) : NULL;
    for (int i = 0; i < r->n_fed; i++)
        if (r->fed[i]->type.dtype == floats) t->wrt[t->n_wrt++] = r->fed[i];
    if (fine && t->loss)
        fine = glia_graph_gradients(r->graph, t->loss, t->wrt, t->n_wrt, t->gradients, &err) == GLIA_OK;
    if (!fine || !evaluate_new(r)) {
        if (glia_graph_status(r->graph, &err) == GLIA_OK && !*err.message)
            glia_error_set(&err, GLIA_INTERNAL, "a ref failed");
        fail(t, "the graph could not be built", err.message);
        return false;
    }
    if (t->loss) {
        t->outputs[t->n_outputs++] = t->loss;
        for (int i = 0; i < t->n_wrt; i++) t->outputs[t->n_outputs++] = t->gradients[i];
    }
    for (int i = 0; i < r->n_pool; i++)
        if (!throw_dice(r, 5)) t->outputs[t->n_outputs++] = r->pool[i];
    return true;
}

static void close_graph(graph_test *t) {
    for (size_t i = 0; i < MOST_VALUES; i++) free(t->slack[i]);
    random_graph_deinit(&t->r);
}

/* --- planned programs against plain evaluation ------------------------------------------------------------ */

/* Compares one output with the plain evaluation: the same bits (but which NaN), or within its slack. */
static bool same(graph_test *t, const glia_value *value, const void *found, bool exact, char *message,
                 size_t capacity) {
    const glia_view wanted = view_of(&t->r, value);
    glia_tensor a = glia_tensor_wrap((void *)found, wanted.dtype, wanted.shape),
                b = glia_tensor_wrap(wanted.data, wanted.dtype, wanted.shape);
    if (memcmp(found, wanted.data, view_bytes(&wanted)) == 0) return true;
    const int64_t elems = glia_shape_elems(&wanted.shape);
    for (int64_t i = 0; i < elems; i++) {
        double p = glia_tensor_get(&a, i), q = glia_tensor_get(&b, i);
        if ((p == q && signbit(p) == signbit(q)) || (isnan(p) && isnan(q))) continue;
        if (!exact && !(fabs(p - q) > t->slack[value->id][i])) continue;
        snprintf(message, capacity, "'%s' element %lld is %.9g, expected %.9g", glia_value_name(value),
                 (long long)i, p, q);
        return false;
    }
    return true;
}

/* Runs a program twice (the second time on used memory), half of its outputs in memory of the caller. */
static void check_program(graph_test *t, glia_program_options options, const char *what) {
    glia_program *p = NULL;
    glia_error err = {0};
    void *own[MOST_POOL + MOST_FED] = {NULL};
    char message[256];
    options.training = GLIA_YES, options.seed = 5; /* as in run_views */
    glia_status status = glia_program_new(&p, t->r.graph, t->outputs, t->n_outputs, options, &err);
    for (int i = 0; i < t->r.n_fed && status == GLIA_OK; i++)
        status = glia_program_bind(p, t->r.fed[i], t->r.data[t->r.fed[i]->id], &err);
    for (int i = 0; i < t->n_outputs && status == GLIA_OK; i++) {
        const glia_view view = view_of(&t->r, t->outputs[i]);
        bool again = false;
        for (int k = 0; k < i; k++) again |= t->outputs[k] == t->outputs[i];
        if (again || t->outputs[i]->kind != GLIA_VALUE_NODE || throw_dice(&t->r, 2)) continue;
        own[i] = malloc(view_bytes(&view) + 1);
        status = glia_program_bind(p, t->outputs[i], own[i], &err);
    }
    for (int run = 0; run < 2 && status == GLIA_OK; run++) {
        status = glia_program_run(p, 3, &err);
        for (int i = 0; i < t->n_outputs && status == GLIA_OK; i++) {
            const void *found = glia_program_output(p, t->outputs[i]).data;
            test_checks++;
            if (own[i] && found != own[i]) fail(t, what, "an output is not where it was bound");
            if (!same(t, t->outputs[i], found, options.reference == GLIA_YES, message, sizeof message)) {
                fail(t, what, message);
                break;
            }
        }
    }
    if (status != GLIA_OK) fail(t, what, err.message);
    glia_program_free(p);
    for (int i = 0; i < t->n_outputs; i++) free(own[i]);
}

static bool has_kernel(const glia_op *op) {
    if (op->sums) return true; /* which the executor may add up in pieces */
    for (size_t i = 0; i < glia__kernels_count; i++)
        if (strcmp(glia__kernels[i]->op, op->name) == 0) return true;
    return false;
}

/* Kernels, and sums in lanes, add in another order. What that may do to a value further on is found by experiment: the graph is evaluated
 * again with noise of a few units in the last place on every result that has a kernel. */
static void measure_slack(graph_test *t) {
    random_graph *r = &t->r;
    const glia_graph *graph = r->graph;
    glia_random random = {.seed = t->seed, .stream = 5};
    for (int i = 0; i < t->n_outputs; i++) {
        const glia_view view = view_of(r, t->outputs[i]);
        double **slack = &t->slack[t->outputs[i]->id];
        if (!*slack) *slack = calloc((size_t)glia_shape_elems(&view.shape) + 1, sizeof **slack);
    }
    for (int trial = 0; trial < 2; trial++) {
        void **noisy = calloc(MOST_VALUES, sizeof *noisy);
        for (int i = 0; i < r->n_fed; i++) noisy[r->fed[i]->id] = r->data[r->fed[i]->id];
        for (size_t n = 0; n < graph->n_nodes; n++) {
            const glia_node *node = graph->nodes[n];
            test_checks++;
            if (!evaluate_node(node, noisy)) fail(t, "noise", "makes a ref fail");
            for (int o = 0; o < node->n_outputs && has_kernel(node->op); o++) {
                if (node->outputs[o].type.dtype != GLIA_F32) continue;
                float *y = noisy[node->outputs[o].id], most = 0;
                int64_t elems = glia_shape_elems(&node->outputs[o].type.shape);
                for (int64_t i = 0; i < elems; i++) most = fmaxf(most, fabsf(y[i]));
                for (int64_t i = 0; i < elems; i++)
                    y[i] +=
                        most * 1e-6f * (glia_random_uniform(random, (uint64_t)((int64_t)n << 20 | i)) - 0.5f);
            }
        }
        for (int i = 0; i < t->n_outputs; i++) {
            const glia_value *value = t->outputs[i];
            const glia_view view = view_of(r, value);
            glia_tensor a = glia_tensor_wrap(view.data, view.dtype, view.shape), b = a;
            if (noisy[value->id]) b.data = noisy[value->id];
            double most = 0, apart = 0;
            const int64_t elems = glia_shape_elems(&view.shape);
            for (int64_t k = 0; k < elems; k++) {
                double p = glia_tensor_get(&a, k), q = glia_tensor_get(&b, k);
                most = fmax(most, fabs(p));
                apart = fmax(apart, p == q ? 0 : fabs(p - q));
            }
            const double unit = view.dtype == GLIA_BF16 ? 0x1p-7 : 1e-6;
            const double rest = 1e-8; /* of terms that cancel */
            for (int64_t k = 0; k < elems; k++)
                t->slack[value->id][k] = fmax(t->slack[value->id][k], unit * most + 30 * apart + rest);
        }
        for (size_t n = 0; n < graph->n_nodes; n++)
            for (int o = 0; o < graph->nodes[n]->n_outputs; o++) free(noisy[graph->nodes[n]->outputs[o].id]);
        free(noisy);
    }
}

static void check_programs(uint64_t seed, bool large) {
    graph_test t;
    if (open_graph(&t, seed, GLIA_F32, large) && t.n_outputs) {
        measure_slack(&t);
        for (int threads = 1; threads <= 3; threads++) {
            char what[64];
            glia_program_options options = {.threads = threads, .reference = GLIA_YES};
            snprintf(what, sizeof what, "planned, reference, %d threads", threads);
            check_program(&t, options, what);
            options.reference = GLIA_NO;
            snprintf(what, sizeof what, "planned, kernels, %d threads", threads);
            check_program(&t, options, what);
        }
        check_program(&t, (glia_program_options){.threads = 2, .reuse_memory = GLIA_NO}, "without reuse");
    }
    close_graph(&t);
}

TEST(planned_programs_give_what_plain_evaluation_gives) {
    uint64_t first = number_from("GLIA_RANDOM_SEED", 1), count = number_from("GLIA_RANDOM_GRAPHS", 60);
    for (uint64_t seed = first; seed < first + count && test_failures < 20; seed++)
        check_programs(seed, seed % 4 == 0);
}

/* --- gradients against differences ------------------------------------------------------------------------ */

typedef struct line { /* through an input, in a random direction */
    glia_program *program;
    const glia_value *loss;
    double *x, *direction, *start;
    int64_t elems;
} line;

static double loss_on(const line *l, double step) {
    for (int64_t i = 0; i < l->elems; i++) l->x[i] = l->start[i] + step * l->direction[i];
    glia_status status = glia_program_run(l->program, 3, NULL);
    double loss = status == GLIA_OK ? *(double *)glia_program_output(l->program, l->loss).data : NAN;
    memcpy(l->x, l->start, (size_t)l->elems * sizeof *l->x);
    return loss;
}

/* The slope is right when the central difference of some step says so: a large step meets kinks, a small one
 * rounding. */
static bool slope_fits(const line *l, double slope, double *difference) {
    for (double h = 1e-3; h > 1e-7; h /= 10) {
        double near = loss_on(l, h) - loss_on(l, -h), far = loss_on(l, 2 * h) - loss_on(l, -2 * h);
        *difference = (8 * near - far) / (12 * h);
        if (fabs(*difference - slope) <= 1e-5 * (1e-3 + fabs(slope)) + 1e-9) return true;
    }
    return false;
}

static void check_slopes(graph_test *t, glia_program *p) {
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
            fail(t, "gradient", message);
        }
        free(direction.data);
        free(start.data);
    }
}

static void check_gradients(uint64_t seed) {
    graph_test t;
    glia_error err = {0};
    if (open_graph(&t, seed, GLIA_F64, false) && t.loss) {
        glia_program *p = NULL;
        glia_program_options options = {.threads = 1, .training = GLIA_YES, .seed = 5, .reference = GLIA_YES};
        glia_status status = glia_program_new(&p, t.r.graph, &t.loss, 1, options, &err);
        for (int i = 0; i < t.r.n_fed && status == GLIA_OK; i++)
            status = glia_program_bind(p, t.r.fed[i], t.r.data[t.r.fed[i]->id], &err);
        if (status == GLIA_OK)
            check_slopes(&t, p);
        else
            fail(&t, "the forward program", err.message);
        glia_program_free(p);
    }
    close_graph(&t);
}

TEST(gradients_are_slopes) {
    uint64_t first = number_from("GLIA_RANDOM_SEED", 1), count = number_from("GLIA_RANDOM_GRAPHS", 500);
    for (uint64_t seed = first; seed < first + count && test_failures < 20; seed++) check_gradients(seed);
}

TEST_MAIN(TEST_ENTRY(planned_programs_give_what_plain_evaluation_gives), TEST_ENTRY(gradients_are_slopes))
