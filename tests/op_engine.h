/* op_engine.h: what the tests of ops share: walking registry × cases, running a ref, and a graph with the gradients of one
 * op. Nothing here knows an op by name. `OP=conv2d` in the environment: only that op. */
#ifndef GLIA_TESTS_OP_ENGINE_H
#define GLIA_TESTS_OP_ENGINE_H

#include "op_case.h"

#include "glia/program.h"
#include "graph/op.h"

/* One case, parsed. */
typedef struct op_test {
    const glia_op *op;
    const glia_case *example;
    bool derived; /* made from a case of the block: may be refused, with a message */
    op_inputs in;
    void *attrs; /* parsed, or NULL */
    glia_arena arena;
    glia_type out[GLIA_MAX_OUTPUTS];
} op_test;

static inline void report(const op_test *t, const char *what, const char *message) {
    test_failures++;
    printf("%s: case \"%s\" [%s]: %s: %s\n", t->op->name, t->example->inputs,
           t->example->attrs ? t->example->attrs : "", what, message);
}

/* Parses attributes and infers; false when the case expects that to fail (checked here) or something is wrong. */
static inline bool open_case(op_test *t, const glia_op *op, const glia_case *example, bool derived,
                             glia_dtype floats) {
    *t = (op_test){.op = op, .example = example, .derived = derived};
    glia_error err = {0};
    glia__arena_init(&t->arena, NULL);
    test_checks++;
    if (!make_inputs(&t->in, example->inputs, floats)) {
        report(t, "case", "malformed inputs");
        return false;
    }
    glia_status status = GLIA_OK;
    if (op->attrs) {
        t->attrs = glia__arena_alloc(&t->arena, op->attrs_size);
        status = glia__fields_parse(op->attrs, t->attrs, example->attrs, &t->arena, &err);
    }
    if (status == GLIA_OK) status = op->infer(t->in.types, t->in.count, t->attrs, t->out, &err);
    if (example->expect_error) {
        if (floats != GLIA_F32) return false; /* messages name dtypes: checked once */
        if (status == GLIA_OK) report(t, "expected an error", example->expect_error);
        if (status != GLIA_OK && !strstr(err.message, example->expect_error))
            report(t, "message", err.message);
        return false;
    }
    if (status != GLIA_OK && !derived) report(t, "infer", err.message);
    if (status != GLIA_OK && !*err.message) report(t, "refused", "without a message");
    return status == GLIA_OK;
}

static inline void close_case(op_test *t) {
    free_inputs(&t->in);
    glia__arena_free(&t->arena);
}

static inline void visit_case(const glia_op *op, const glia_case *example, bool derived, glia_dtype floats,
                              void (*check)(op_test *)) {
    op_test t;
    if (open_case(&t, op, example, derived, floats)) check(&t);
    close_case(&t);
}

/* Copies a case's inputs with every dimension of `size` made `other`; false when there is none. */
static inline bool resize_case(const char *inputs, long size, long other, char *out, size_t capacity) {
    bool found = false, in_shape = true;
    size_t at = 0;
    for (const char *p = inputs; *p && at + 24 < capacity;) {
        if (*p == ':') in_shape = false; /* a kind: "i64<9" */
        if (*p == ' ') in_shape = true;
        if (!in_shape || *p < '0' || *p > '9') {
            out[at++] = *p++;
            continue;
        }
        char *end;
        long dim = strtol(p, &end, 10);
        found |= dim == size;
        at += (size_t)snprintf(out + at, capacity - at, "%ld", dim == size ? other : dim);
        p = end;
    }
    out[at] = 0;
    return found;
}

/* The same with floats as whole numbers from 0 to 4, or bools. */
static inline void retype_case(const char *inputs, const char *dtype, char *out, size_t capacity) {
    char words[256], *rest = words;
    size_t at = 0;
    *out = 0;
    snprintf(words, sizeof words, "%s", inputs);
    for (char *word; (word = strtok_r(rest, " ", &rest));) {
        char *colon = strchr(word, ':');
        bool other = strcmp(word, "-") == 0 || (colon && (strchr(colon, '<') || strcmp(colon, ":bool") == 0));
        if (colon && !other) *colon = 0;
        at += (size_t)snprintf(out + at, capacity - at, "%s%s%s%s", at ? " " : "", word, other ? "" : ":",
                               other ? "" : dtype);
    }
}

/* Calls `check` for every case that is valid; with `derived` also for those made of it: each size of dimensions
 * made 0, 1 and one more. */
static inline void for_each_case(glia_dtype floats, bool derived, void (*check)(op_test *)) {
    const char *only = getenv("OP");
    char inputs[256];
    for (size_t i = 0; i < glia__ops_count; i++) {
        const glia_op *op = glia__ops[i];
        if (only && strcmp(only, op->name) != 0) continue;
        for (const glia_case *example = op->cases; example && example->inputs; example++) {
            visit_case(op, example, false, floats, check);
            for (long size = 0; size < 10 && derived && !example->expect_error; size++)
                for (int k = 0; k < 3; k++) {
                    long other = k < 2 ? k : size + 1;
                    if (other == size || !resize_case(example->inputs, size, other, inputs, sizeof inputs))
                        continue;
                    glia_case made = {inputs, example->attrs, example->tolerance, NULL};
                    visit_case(op, &made, true, floats, check);
                }
        }
    }
}

static inline bool views_near(const glia_view *a, const glia_view *b, double tolerance, char *message,
                              size_t capacity) {
    glia_tensor x = glia_tensor_wrap(a->data, a->dtype, a->shape),
                y = glia_tensor_wrap(b->data, b->dtype, b->shape);
    int64_t n = glia_shape_elems(&a->shape);
    for (int64_t i = 0; i < n; i++) {
        double p = glia_tensor_get(&x, i), q = glia_tensor_get(&y, i);
        if (p == q || (isnan(p) && isnan(q)) || fabs(p - q) <= tolerance * (1 + fabs(q))) continue;
        snprintf(message, capacity, "element %lld is %.9g, expected %.9g", (long long)i, p, q);
        return false;
    }
    return true;
}

/* Runs ref on the case's inputs to fresh outputs. */
static inline bool run_ref(op_test *t, glia_view *out) {
    glia_error err = {0};
    make_outputs(t->op, t->out, out);
    glia_status status = run_views(t->op, t->in.views, t->in.count, out, t->attrs, NULL, &err, NULL);
    if (status == GLIA_OK) return true;
    bool index = t->derived && status == GLIA_BAD_DATA && *err.message; /* out of the range that shrank */
    if (!index) report(t, "ref", err.message);
    free_outputs(t->op, out);
    return false;
}

/* --- a graph of one op with its gradients ------------------------------------------------------------------ */

typedef struct grad_setup {
    glia_program_options options;
    const glia_type *types; /* of the inputs, perhaps with symbols; NULL: as in the case */
} grad_setup;

typedef struct grad_test {
    glia_graph *graph;
    glia_value *inputs[GLIA_MAX_INPUTS], *y, *loss; /* loss NULL: not differentiable */
    glia_value *projections[GLIA_MAX_OUTPUTS];      /* one for each floating-point output */
    glia_view weights[GLIA_MAX_OUTPUTS];            /* of the projections */
    glia_program *forward, *backward;
    int wrt[GLIA_MAX_INPUTS], n_wrt;
    glia_value *gradients[GLIA_MAX_INPUTS];
} grad_test;

static inline bool is_differentiable(const op_test *t) {
    return !(t->op->traits & GLIA_TRAIT_NO_GRADIENT) && glia_dtype_is_float(t->out[0].dtype);
}

/* loss = Σ y·r over all outputs, with fixed random r, so that every element of y counts differently. */
static inline void build_loss(const op_test *t, grad_test *g) {
    char name[16];
    for (int o = 0; o < op_outputs(t->op); o++) {
        glia_value *y = glia_value_sibling(g->y, o), *r, *product;
        if (!glia_dtype_is_float(t->out[o].dtype) || (t->op->no_gradient >> o & 1)) continue;
        if (t->out[o].dtype == GLIA_BF16) y = glia_graph_apply(g->graph, "cast", &y, 1, NULL);
        g->weights[o] = (glia_view){.dtype = glia_value_dtype(y), .shape = t->out[o].shape};
        fill_view(&g->weights[o], "", 0, 99 + (uint64_t)o);
        snprintf(name, sizeof name, "r%d", o);
        r = g->projections[o] = glia_graph_input(g->graph, name, glia_value_dtype(y), glia_value_shape(y));
        product = glia_graph_apply(g->graph, "mul", (glia_value *[]){y, r}, 2, NULL);
        product = glia_graph_apply(g->graph, "sum", &product, 1, NULL);
        g->loss =
            o ? glia_graph_apply(g->graph, "add", (glia_value *[]){g->loss, product}, 2, NULL) : product;
    }
}

static inline glia_status bind_inputs(const op_test *t, const grad_test *g, glia_program *program,
                                      glia_error *err) {
    if (!program) return GLIA_OK;
    for (int i = 0; i < t->in.count; i++)
        if (g->inputs[i]) GLIA_TRY(glia_program_bind(program, g->inputs[i], t->in.views[i].data, err));
    for (int o = 0; o < op_outputs(t->op); o++)
        if (g->projections[o])
            GLIA_TRY(glia_program_bind(program, g->projections[o], g->weights[o].data, err));
    return GLIA_OK;
}

/* Builds, differentiates, plans and binds. The caller frees with free_grad, also after a failure. */
static inline glia_status build_grad(const op_test *t, grad_test *g, grad_setup setup, glia_error *err) {
    *g = (grad_test){.graph = glia_graph_new(setup.options.allocator)};
    if (!g->graph) return GLIA_OUT_OF_MEMORY;
    const glia_type *types = setup.types ? setup.types : t->in.types;
    glia_value *wrt[GLIA_MAX_INPUTS];
    char name[16];
    for (int i = 0; i < t->in.count; i++) {
        if (types[i].shape.rank < 0) continue;
        snprintf(name, sizeof name, "x%d", i);
        g->inputs[i] = glia_graph_input(g->graph, name, types[i].dtype, types[i].shape);
        if (!glia_dtype_is_float(types[i].dtype) || (t->op->shape_only >> i & 1)) continue;
        wrt[g->n_wrt] = g->inputs[i];
        g->wrt[g->n_wrt++] = i;
    }
    g->y = glia_graph_apply_text(g->graph, t->op->name, g->inputs, t->in.count, t->example->attrs);
    if (g->y && is_differentiable(t)) build_loss(t, g);
    GLIA_TRY(glia_graph_status(g->graph, err));
    glia_program_options options = setup.options;
    options.threads = 1, options.training = GLIA_YES, options.seed = 5;
    GLIA_TRY(glia_program_new(&g->forward, g->graph, (glia_value *[]){g->y, g->loss}, g->loss ? 2 : 1,
                              options, err));
    if (g->loss) {
        GLIA_TRY(glia_graph_gradients(g->graph, g->loss, wrt, g->n_wrt, g->gradients, err));
        GLIA_TRY(glia_program_new(&g->backward, g->graph, g->gradients, g->n_wrt, options, err));
    }
    GLIA_TRY(bind_inputs(t, g, g->forward, err));
    return bind_inputs(t, g, g->backward, err);
}

/* Runs what build_grad planned. */
static inline glia_status run_grad(const grad_test *g, glia_error *err) {
    GLIA_TRY(glia_program_run(g->forward, 3, err));
    return g->backward ? glia_program_run(g->backward, 3, err) : GLIA_OK;
}

static inline void free_grad(grad_test *g) {
    glia_program_free(g->forward);
    glia_program_free(g->backward);
    glia_graph_free(g->graph);
    for (int o = 0; o < GLIA_MAX_OUTPUTS; o++) free(g->weights[o].data);
}

#endif
