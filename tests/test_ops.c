/* test_ops.c: the op-test engine: every op of the registry × every case of its block × every check. Nothing here knows
 * an op by name. `test_ops CHECK…` runs some checks, `OP=conv2d test_ops` one op. */

#include "op_case.h"

#include "failing_allocator.h"
#include "glia/program.h"
#include "kernels/kernel.h"

/* One case, parsed. */
typedef struct op_test {
    const glia_op *op;
    const glia_case *example;
    op_inputs in;
    void *attrs; /* parsed, or NULL */
    glia_arena arena;
    glia_type out[GLIA_MAX_OUTPUTS];
} op_test;

static void report(const op_test *t, const char *what, const char *message) {
    test_failures++;
    printf("%s: case \"%s\" [%s]: %s: %s\n", t->op->name, t->example->inputs,
           t->example->attrs ? t->example->attrs : "", what, message);
}

/* Parses attributes and infers; false when the case expects that to fail (checked here) or something is wrong. */
static bool open_case(op_test *t, const glia_op *op, const glia_case *example, glia_dtype floats) {
    *t = (op_test){.op = op, .example = example};
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
    if (status != GLIA_OK) report(t, "infer", err.message);
    return status == GLIA_OK;
}

static void close_case(op_test *t) {
    free_inputs(&t->in);
    glia__arena_free(&t->arena);
}

/* Calls `check` for every case that is valid. */
static void for_each_case(glia_dtype floats, void (*check)(op_test *)) {
    const char *only = getenv("OP");
    for (size_t i = 0; i < glia__ops_count; i++) {
        const glia_op *op = glia__ops[i];
        if (only && strcmp(only, op->name) != 0) continue;
        for (const glia_case *example = op->cases; example && example->inputs; example++) {
            op_test t;
            if (open_case(&t, op, example, floats)) check(&t);
            close_case(&t);
        }
    }
}

static bool views_near(const glia_view *a, const glia_view *b, double tolerance, char *message,
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
static bool run_ref(op_test *t, glia_view *out) {
    glia_error err = {0};
    make_outputs(t->op, t->out, out);
    if (run_views(t->op, t->in.views, t->in.count, out, t->attrs, 0, &err, NULL, NULL, 0) == GLIA_OK)
        return true;
    report(t, "ref", err.message);
    free_outputs(t->op, out);
    return false;
}

/* --- ref: types agree, nothing is written outside, the same bits twice ------------------------------------- */

static void check_ref(op_test *t) {
    glia_view a[GLIA_MAX_OUTPUTS], b[GLIA_MAX_OUTPUTS];
    if (!run_ref(t, a)) return;
    if (run_ref(t, b)) {
        for (int o = 0; o < op_outputs(t->op); o++)
            if (memcmp(a[o].data, b[o].data, view_bytes(&a[o])) != 0) report(t, "ref", "two runs differ");
        free_outputs(t->op, b);
    }
    if (!canaries_live(t->op, a)) report(t, "ref", "wrote behind an output");
    free_outputs(t->op, a);
}
TEST(ref) {
    for_each_case(GLIA_F32, check_ref);
    for_each_case(GLIA_F64, check_ref);
}

/* --- symbolic: with a symbolic batch, inference gives the same shape once bound ---------------------------- */

static void check_symbolic(op_test *t) {
    glia_type in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS] = {{0}};
    memcpy(in, t->in.types, sizeof in);
    int64_t batch = -1;
    for (int i = 0; i < t->in.count; i++)
        if (in[i].shape.rank > 0 && (batch < 0 || in[i].shape.dim[0] == batch) && in[i].shape.dim[0] > 1) {
            batch = in[i].shape.dim[0];
            in[i].shape.dim[0] = GLIA_DIM_BATCH;
        }
    glia_error err = {0};
    if (batch < 0 || t->op->infer(in, t->in.count, t->attrs, out, &err) != GLIA_OK) {
        if (batch >= 0 && !*err.message) report(t, "symbolic", "refused without a message");
        return; /* an op may refuse to work along a symbolic dimension */
    }
    for (int o = 0; o < op_outputs(t->op); o++) {
        for (int d = 0; d < out[o].shape.rank; d++)
            if (out[o].shape.dim[d] == GLIA_DIM_BATCH) out[o].shape.dim[d] = batch;
        if (!glia_shape_equal(&out[o].shape, &t->out[o].shape))
            report(t, "symbolic", "another shape when bound");
    }
}
TEST(symbolic) {
    for_each_case(GLIA_F32, check_symbolic);
}

/* --- attributes: print, parse, equal ------------------------------------------------------------------------ */

static void check_attrs(op_test *t) {
    if (!t->op->attrs) return;
    glia_text text;
    glia_error err = {0};
    glia__text_init(&text, NULL);
    glia__fields_print(t->op->attrs, t->attrs, true, &text);
    void *back = glia__arena_alloc(&t->arena, t->op->attrs_size);
    if (glia__fields_parse(t->op->attrs, back, text.data, &t->arena, &err) != GLIA_OK)
        report(t, "attributes", err.message);
    else if (!glia__fields_equal(t->op->attrs, t->attrs, back))
        report(t, "attributes are not read back", text.data);
    glia__text_free(&text);
}
TEST(attributes) {
    for_each_case(GLIA_F32, check_attrs);
}

/* --- in place and in parts: the same bits ------------------------------------------------------------------- */

static void check_inplace(op_test *t) {
    bool fits = t->in.types[0].shape.rank >= 0 && t->in.types[0].dtype == t->out[0].dtype &&
                glia_shape_equal(&t->in.types[0].shape, &t->out[0].shape);
    if (!(t->op->traits & GLIA_TRAIT_INPLACE) || !fits) return;
    glia_view apart[GLIA_MAX_OUTPUTS], in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS];
    glia_error err = {0};
    if (!run_ref(t, apart)) return;
    memcpy(in, t->in.views, sizeof in);
    make_outputs(t->op, t->out, out);
    memcpy(out[0].data, in[0].data, view_bytes(&in[0]));
    in[0].data = out[0].data;
    if (run_views(t->op, in, t->in.count, out, t->attrs, 0, &err, NULL, NULL, 0) != GLIA_OK)
        report(t, "in place", err.message);
    else if (memcmp(out[0].data, apart[0].data, view_bytes(&out[0])) != 0)
        report(t, "in place", "other bits than apart");
    free_outputs(t->op, out);
    free_outputs(t->op, apart);
}
TEST(inplace) {
    for_each_case(GLIA_F32, check_inplace);
}

/* Inputs that a cut along dimension 0 cuts. */
static uint32_t cut_of(const op_test *t) {
    if (!(t->op->traits & GLIA_TRAIT_ELEMENTWISE))
        return t->op->rows ? t->op->rows(t->in.types, t->in.count, t->attrs) : 0;
    uint32_t cut = 0;
    for (int i = 0; i < t->in.count; i++) {
        const glia_shape *in = &t->in.types[i].shape, *out = &t->out[0].shape;
        if (in->rank > 0 && in->rank == out->rank && in->dim[0] == out->dim[0]) cut |= 1u << i;
    }
    return cut;
}

static void narrow(glia_view *view, int64_t begin, int64_t end) {
    int64_t stride = 1;
    for (int d = 1; d < view->shape.rank; d++) stride *= view->shape.dim[d];
    view->shape.dim[0] = end - begin;
    view->data = (char *)view->data + (size_t)(begin * stride) * glia_dtype_bytes(view->dtype);
}

static void check_rows(op_test *t) {
    uint32_t cut = cut_of(t);
    if (!cut || t->out[0].shape.rank == 0) return;
    glia_view whole[GLIA_MAX_OUTPUTS], parts[GLIA_MAX_OUTPUTS];
    if (!run_ref(t, whole)) return;
    make_outputs(t->op, t->out, parts);
    int64_t rows = t->out[0].shape.dim[0], row_elems = rows ? glia_shape_elems(&t->out[0].shape) / rows : 0;
    for (int part = 0; part < 3; part++) {
        int64_t begin = rows * part / 3, end = rows * (part + 1) / 3;
        glia_view in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS];
        glia_error err = {0};
        memcpy(in, t->in.views, sizeof in);
        memcpy(out, parts, sizeof out);
        for (int i = 0; i < t->in.count; i++)
            if (cut >> i & 1) narrow(&in[i], begin, end);
        for (int o = 0; o < op_outputs(t->op); o++) narrow(&out[o], begin, end);
        if (run_views(t->op, in, t->in.count, out, t->attrs, begin * row_elems, &err, NULL, NULL, 0) !=
            GLIA_OK)
            report(t, "rows", err.message);
    }
    for (int o = 0; o < op_outputs(t->op); o++)
        if (memcmp(whole[o].data, parts[o].data, view_bytes(&whole[o])) != 0)
            report(t, "rows", "cut in three: other bits");
    if (!canaries_live(t->op, parts)) report(t, "rows", "wrote behind an output");
    free_outputs(t->op, parts);
    free_outputs(t->op, whole);
}
TEST(rows) {
    for_each_case(GLIA_F32, check_rows);
}

/* --- kernels against ref ------------------------------------------------------------------------------------- */

static void check_kernel(op_test *t, const glia_kernel *kernel, const glia_view *expected) {
    glia_kernel_query query = {.op = t->op,
                               .attrs = t->attrs,
                               .in = t->in.types,
                               .out = t->out,
                               .n_in = t->in.count,
                               .n_out = op_outputs(t->op),
                               .threads = 2,
                               .training = true};
    const char *why_not = NULL;
    if (!kernel->supports(&query, &why_not)) {
        if (!why_not || !*why_not) report(t, kernel->name, "declined without a reason");
        return;
    }
    void *state = NULL;
    size_t workspace = 0;
    glia_error err = {0};
    glia_view out[GLIA_MAX_OUTPUTS];
    char message[128];
    make_outputs(t->op, t->out, out);
    glia_status status = kernel->init ? kernel->init(&query, &state, &workspace, &err) : GLIA_OK;
    for (int run = 0; run < 2 && status == GLIA_OK; run++)
        status =
            run_views(t->op, t->in.views, t->in.count, out, t->attrs, 0, &err, kernel->run, state, workspace);
    double tolerance = t->example->tolerance > 0 ? t->example->tolerance : 1e-5;
    if (status != GLIA_OK) report(t, kernel->name, err.message);
    for (int o = 0; o < op_outputs(t->op) && status == GLIA_OK; o++)
        if (!views_near(&out[o], &expected[o], tolerance, message, sizeof message))
            report(t, kernel->name, message);
    if (!canaries_live(t->op, out)) report(t, kernel->name, "wrote behind an output");
    if (kernel->fini && state) kernel->fini(state);
    free_outputs(t->op, out);
}

static void check_kernels(op_test *t) {
    glia_view expected[GLIA_MAX_OUTPUTS];
    if (!run_ref(t, expected)) return;
    for (size_t i = 0; i < glia__kernels_count; i++)
        if (strcmp(glia__kernels[i]->op, t->op->name) == 0) check_kernel(t, glia__kernels[i], expected);
    free_outputs(t->op, expected);
}
TEST(kernels) {
    for_each_case(GLIA_F32, check_kernels);
    for_each_case(GLIA_F64, check_kernels);
}

/* --- gradients: the rule against central differences in double ---------------------------------------------- */

typedef struct grad_test {
    glia_graph *graph;
    glia_value *inputs[GLIA_MAX_INPUTS], *loss;
    glia_program *forward, *backward;
    int wrt[GLIA_MAX_INPUTS], n_wrt;
    glia_value *gradients[GLIA_MAX_INPUTS];
} grad_test;

/* loss = Σ y·r with fixed random r, so that every element of y counts differently. */
static glia_value *random_projection(glia_graph *graph, glia_value *y) {
    glia_view weights = {.dtype = glia_value_dtype(y), .shape = glia_value_shape(y)};
    fill_view(&weights, "", 0, 99);
    glia_tensor tensor = glia_tensor_wrap(weights.data, weights.dtype, weights.shape);
    glia_value *r = glia_graph_const(graph, &tensor);
    free(weights.data);
    glia_value *product = glia_graph_apply(graph, "mul", (glia_value *[]){y, r}, 2, NULL);
    return glia_graph_apply(graph, "sum", &product, 1, NULL);
}

static glia_status bind_inputs(const op_test *t, const grad_test *g, glia_program *program, glia_error *err) {
    for (int i = 0; i < t->in.count; i++)
        if (g->inputs[i]) GLIA_TRY(glia_program_bind(program, g->inputs[i], t->in.views[i].data, err));
    return GLIA_OK;
}

static glia_status build_grad(const op_test *t, grad_test *g, const glia_allocator *allocator,
                              glia_error *err) {
    *g = (grad_test){.graph = glia_graph_new(allocator)};
    if (!g->graph) return GLIA_OUT_OF_MEMORY;
    glia_value *wrt[GLIA_MAX_INPUTS];
    char name[16];
    for (int i = 0; i < t->in.count; i++) {
        if (t->in.types[i].shape.rank < 0) continue;
        snprintf(name, sizeof name, "x%d", i);
        g->inputs[i] = glia_graph_input(g->graph, name, t->in.types[i].dtype, t->in.types[i].shape);
        if (!glia_dtype_is_float(t->in.types[i].dtype) || (t->op->shape_only >> i & 1)) continue;
        wrt[g->n_wrt] = g->inputs[i];
        g->wrt[g->n_wrt++] = i;
    }
    glia_value *y = glia_graph_apply_text(g->graph, t->op->name, g->inputs, t->in.count, t->example->attrs);
    g->loss = y ? random_projection(g->graph, y) : NULL;
    GLIA_TRY(glia_graph_status(g->graph, err));
    GLIA_TRY(glia_graph_gradients(g->graph, g->loss, wrt, g->n_wrt, g->gradients, err));
    glia_program_options options = {
        .threads = 1, .training = GLIA_YES, .reference = GLIA_YES, .seed = 5, .allocator = allocator};
    GLIA_TRY(glia_program_new(&g->forward, g->graph, &g->loss, 1, options, err));
    GLIA_TRY(glia_program_new(&g->backward, g->graph, g->gradients, g->n_wrt, options, err));
    GLIA_TRY(bind_inputs(t, g, g->forward, err));
    return bind_inputs(t, g, g->backward, err);
}

static void free_grad(grad_test *g) {
    glia_program_free(g->forward);
    glia_program_free(g->backward);
    glia_graph_free(g->graph);
}

static double loss_at(grad_test *g, double *x, double value) {
    double old = *x;
    *x = value;
    glia_status status = glia_program_run(g->forward, 3, NULL);
    *x = old;
    return status == GLIA_OK ? *(double *)glia_program_output(g->forward, g->loss).data : NAN;
}

/* Fourth-order central difference: (8(f(x+h) − f(x−h)) − (f(x+2h) − f(x−2h))) / 12h. */
static double difference(grad_test *g, double *x, double h) {
    double at = *x;
    double near = loss_at(g, x, at + h) - loss_at(g, x, at - h);
    return (8 * near - (loss_at(g, x, at + 2 * h) - loss_at(g, x, at - 2 * h))) / (12 * h);
}

static void compare_gradient(const op_test *t, grad_test *g, int w) {
    enum { MOST = 24 }; /* elements of each input: spread over all of it */
    const glia_view *x = &t->in.views[g->wrt[w]];
    const double *dx = glia_program_output(g->backward, g->gradients[w]).data;
    int64_t n = glia_shape_elems(&x->shape), step = n > MOST ? n / MOST : 1;
    int kinks = 0;
    double tolerance = t->example->tolerance > 0 ? t->example->tolerance : 1e-6;
    for (int64_t i = 0; i < n; i += step) {
        double expected = difference(g, (double *)x->data + i, 1e-3);
        test_checks++;
        if (fabs(dx[i] - expected) <= tolerance * (1 + fabs(expected))) continue;
        /* A kink within the step shows as a difference that changes with the step. A few may be met by chance. */
        double finer = difference(g, (double *)x->data + i, 1e-4);
        if (fabs(finer - expected) > 1e-3 * (1 + fabs(expected)) && ++kinks <= MOST / 4) continue;
        char message[128];
        snprintf(message, sizeof message, "by input %d, element %lld: %.10g, central difference %.10g",
                 g->wrt[w], (long long)i, dx[i], expected);
        report(t, "gradient", message);
        return;
    }
}

static void check_gradient(op_test *t) {
    if ((t->op->traits & GLIA_TRAIT_NO_GRADIENT) || t->out[0].dtype != GLIA_F64) return;
    if (glia_shape_elems(&t->out[0].shape) == 0) return; /* nothing depends on anything */
    grad_test g;
    glia_error err = {0};
    glia_status status = build_grad(t, &g, NULL, &err);
    if (status == GLIA_OK) status = glia_program_run(g.backward, 3, &err);
    if (status != GLIA_OK) report(t, "gradient", err.message);
    for (int w = 0; w < g.n_wrt && status == GLIA_OK; w++) compare_gradient(t, &g, w);
    free_grad(&g);
}
TEST(gradients) {
    for_each_case(GLIA_F64, check_gradient);
}

/* --- every allocation may fail: building, differentiating, planning, running -------------------------------- */

static void check_memory(op_test *t) {
    if (t->example != t->op->cases) return; /* one case an op is enough: allocations do not depend on sizes */
    bool differentiable = !(t->op->traits & GLIA_TRAIT_NO_GRADIENT) && glia_dtype_is_float(t->out[0].dtype);
    if (!differentiable) return;
    FOR_EACH_FAILURE(memory) {
        grad_test g;
        glia_error err = {0};
        glia_status status = build_grad(t, &g, &memory.allocator, &err);
        if (status == GLIA_OK) status = glia_program_run(g.backward, 3, &err);
        CHECK_FAILED_ONCE(memory, status);
        free_grad(&g);
    }
}
TEST(memory) {
    for_each_case(GLIA_F32, check_memory);
}

/* --- bad inputs: an error or a result, never a crash --------------------------------------------------------- */

static void try_types(const glia_op *op, const glia_type *types, int count) {
    glia_graph *graph = glia_graph_new(NULL);
    glia_value *in[GLIA_MAX_INPUTS + 1] = {NULL};
    char name[16];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "x%d", i);
        in[i] = glia_graph_input(graph, name, types[i].dtype, types[i].shape);
    }
    glia_error err = {0};
    glia_value *y = glia_graph_apply(graph, op->name, in, count, NULL);
    test_checks++;
    if (!y && (glia_graph_status(graph, &err) == GLIA_OK || !*err.message)) {
        test_failures++;
        printf("%s: failed without an error\n", op->name);
    }
    glia_graph_free(graph);
}

TEST(bad_inputs) {
    const char *only = getenv("OP");
    glia_shape shapes[] = {{0},
                           GLIA_SHAPE(0),
                           GLIA_SHAPE(3),
                           GLIA_SHAPE(2, 0),
                           GLIA_SHAPE(2, 3),
                           GLIA_SHAPE(1, 2, 3),
                           GLIA_SHAPE(2, 2, 3, 3),
                           GLIA_SHAPE(1, 1, 1, 1, 1, 1, 1, 2),
                           GLIA_SHAPE(GLIA_DIM_BATCH, GLIA_DIM_TIME),
                           GLIA_SHAPE(1LL << 40, 1LL << 40)};
    for (size_t i = 0; i < glia__ops_count; i++) {
        const glia_op *op = glia__ops[i];
        if (only && strcmp(only, op->name) != 0) continue;
        for (int count = 0; count <= op->max_inputs && count <= 4; count++)
            for (size_t s = 0; s < GLIA_COUNT(shapes); s++)
                for (int dtype = 0; dtype < GLIA_DTYPE_COUNT; dtype++) {
                    glia_type types[4];
                    for (int k = 0; k < 4; k++)
                        types[k] =
                            (glia_type){(glia_dtype)dtype, shapes[(s + (size_t)k * 3) % GLIA_COUNT(shapes)]};
                    try_types(op, types, count);
                    for (int k = 0; k < 4; k++) types[k].shape = shapes[s];
                    try_types(op, types, count);
                }
        glia_value *nothing[GLIA_MAX_INPUTS] = {NULL};
        CHECK(glia_graph_apply(NULL, op->name, nothing, op->min_inputs, NULL) == NULL);
    }
}

/* --- meta: an op is complete or does not exist ---------------------------------------------------------------- */

/* What is missing in a block. ONNX mapping and C emission join with their exporters. */
static const char *missing(const glia_op *op) {
    if (!op->doc || !*op->doc) return "doc";
    if (op->version < 1) return "version";
    if (!op->infer) return "infer";
    if (!op->ref) return "ref";
    if (!op->cases || !op->cases->inputs) return "cases";
    if (!op->grad && !(op->traits & GLIA_TRAIT_NO_GRADIENT)) return "grad (or the trait NO_GRADIENT)";
    if (!op->onnx && !(op->traits & GLIA_TRAIT_NO_ONNX)) return "onnx (or the trait NO_ONNX)";
    if (op->onnx && op->onnx_since < 1) return "onnx_since";
    if (op->min_inputs < 0 || op->max_inputs > GLIA_MAX_INPUTS || op->min_inputs > op->max_inputs)
        return "inputs";
    for (const glia_field *f = op->attrs; f && f->name; f++)
        if (!f->doc || !*f->doc) return "doc of an attribute";
    bool refuses = op->max_inputs == 0;
    for (const glia_case *c = op->cases; c->inputs; c++) refuses |= c->expect_error != NULL;
    return refuses ? NULL : "a case with expect_error";
}
TEST(meta) {
    for (size_t i = 0; i < glia__ops_count; i++) {
        const char *what = missing(glia__ops[i]);
        test_checks++;
        if (!what) continue;
        test_failures++;
        printf("%s: its block lacks %s\n", glia__ops[i]->name, what);
    }
    CHECK(glia__ops_count > 60);
}

/* --- the engine itself: it must notice a wrong rule ------------------------------------------------------------ */

TEST(engine_notices) {
    const glia_op *square = glia__op_find("square");
    static const glia_case example = {.inputs = "3x2"};
    op_test t;
    grad_test g;
    glia_error err = {0};
    CHECK(open_case(&t, square, &example, GLIA_F64));
    CHECK_OK(build_grad(&t, &g, NULL, &err), &err);
    CHECK_OK(glia_program_run(g.backward, 3, &err), &err);
    const double *right = glia_program_output(g.backward, g.gradients[0]).data;
    double *x = t.in.views[0].data;
    CHECK_NEAR(right[0], difference(&g, x, 1e-3), 1e-6 * (1 + fabs(right[0])));
    CHECK(fabs(1.0 - difference(&g, x, 1e-3) / right[0]) < 1e-6);
    CHECK(fabs(right[0] * 1.001 - difference(&g, x, 1e-3)) >
          1e-6 * (1 + fabs(right[0]))); /* 0.1 % off is seen */
    free_grad(&g);
    close_case(&t);
}

TEST_MAIN(TEST_ENTRY(meta), TEST_ENTRY(ref), TEST_ENTRY(symbolic), TEST_ENTRY(attributes),
          TEST_ENTRY(inplace), TEST_ENTRY(rows), TEST_ENTRY(kernels), TEST_ENTRY(gradients),
          TEST_ENTRY(memory), TEST_ENTRY(bad_inputs), TEST_ENTRY(engine_notices))
