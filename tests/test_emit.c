/* test_emit.c: every case of every op that can be said in C is written, compiled and run against its ref: once with all
 * inputs given to the function, once with all but the first as constants, once with each further output, and once
 * with another op riding on it. All cases are one C file, which must be clean C99 and C++. Without a compiler (CC, else cc) the test is skipped. */

#include "op_engine.h"

#include <dlfcn.h>

#include "emit/emit.h"
#include "glia/ops.h"
#include "graph/graph.h"
#include "scratch.h"

enum { MOST_CASES = 8000 };

typedef struct written {
    const glia_op *op;
    const glia_case *example;
    bool constants, ridden; /* inputs but the first; neg comes after it */
    int output;             /* that is given besides the first; 0: none */
} written;

static written cases[MOST_CASES];
static int n_cases;
static glia_text file, dispatch;

/* --- writing --------------------------------------------------------------------------------------------- */

static bool is_floatless(const op_test *t) {
    for (int i = 0; i < t->in.count; i++)
        if (t->in.types[i].shape.rank >= 0 && t->in.types[i].dtype == GLIA_BF16) return false;
    return t->out[0].dtype != GLIA_BF16;
}

static bool can_be_written(const op_test *t) {
    const glia_op *op = t->op;
    const bool said = op->emit_c || op->c_expr || op->c_expr_for || (op->traits & GLIA_TRAIT_ALIAS);
    const bool hidden = (op->traits & GLIA_TRAIT_INTERNAL) && !op->emit_c;
    if (!said || hidden || glia_shape_elems(&t->out[0].shape) == 0) return false;
    for (int i = 0; i < t->in.count; i++)
        if (t->in.types[i].shape.rank >= 0 && glia_shape_elems(&t->in.types[i].shape) == 0) return false;
    return is_floatless(t);
}

/* The graph of one node; inputs that are constants are parameters with data. */
static glia_value *build(const op_test *t, bool constants, glia_graph *graph, glia_value **inputs,
                         int *count) {
    glia_value *in[GLIA_MAX_INPUTS] = {NULL};
    char name[16];
    *count = 0;
    for (int i = 0; i < t->in.count; i++) {
        const glia_type *type = &t->in.types[i];
        if (type->shape.rank < 0) continue;
        snprintf(name, sizeof name, "x%d", i);
        if (i > 0 && constants) {
            in[i] = glia_graph_param(graph, name, type->dtype, type->shape);
            if (in[i]) in[i]->data = t->in.views[i].data;
        } else {
            in[i] = inputs[(*count)++] = glia_graph_input(graph, name, type->dtype, type->shape);
        }
    }
    return glia_graph_apply_text(graph, t->op->name, in, t->in.count, t->example->attrs);
}

static void write_call(int number, int inputs, bool two) {
    glia__text_printf(&dispatch, "    case %d: return c%d_predict_r(&memory.c%d", number, number, number);
    for (int i = 0; i < inputs; i++) glia__text_printf(&dispatch, ", in[%d]", i);
    glia__text_add(&dispatch, two ? ", out, second);\n" : ", out);\n");
}

static void write_case(op_test *t, written how) {
    glia_graph *graph = glia_graph_new(NULL);
    glia_value *inputs[GLIA_MAX_INPUTS], *y[2];
    glia_emit_result result = {.ram_bytes = 0};
    glia_error err = {0};
    int count;
    char name[16], include[32];
    if (n_cases == MOST_CASES) return;
    y[0] = build(t, how.constants, graph, inputs, &count);
    y[1] = how.output ? glia_value_sibling(y[0], how.output) : NULL;
    if (how.ridden) y[0] = glia_op_neg(y[0]);
    snprintf(name, sizeof name, "c%d", n_cases);
    const glia_emit_options options = {.name = name, .file = name, .title = t->op->name};
    glia_status status = glia_graph_status(graph, &err);
    if (status == GLIA_OK)
        status = glia__emit_c99(&result, graph, inputs, count, y, how.output ? 2 : 1, &options, &err);
    if (status != GLIA_OK) {
        if (status != GLIA_UNSUPPORTED) report(t, "C", err.message);
    } else {
        snprintf(include, sizeof include, "#include \"%s.h\"", name);
        char *line = strstr(result.source.data, include); /* the header stands above it */
        if (line) memset(line, ' ', strlen(include));
        glia__text_add(&file, result.header.data);
        glia__text_add(&file, result.source.data);
        write_call(n_cases, count, how.output > 0);
        how.op = t->op;
        how.example = t->example;
        cases[n_cases++] = how;
    }
    glia__emit_result_free(&result);
    glia_graph_free(graph);
}

static void write_all(op_test *t) {
    if (!can_be_written(t)) return;
    write_case(t, (written){.constants = false});
    if (t->in.count > 1) write_case(t, (written){.constants = true});
    for (int o = 1; o < op_outputs(t->op); o++) write_case(t, (written){.output = o});
    if (t->op->emit_c && t->out[0].dtype == GLIA_F32) write_case(t, (written){.ridden = true});
}

/* Not for C++, which asks for casts. */
static void write_dispatch(glia_text *out) {
    glia__text_add(out, "#ifndef __cplusplus\nstatic union {\n");
    for (int i = 0; i < n_cases; i++) glia__text_printf(out, "    c%d_arena c%d;\n", i, i);
    glia__text_add(out, "} memory;\nint run(int number, const void *const *in, void *out, void *second);\n"
                        "int run(int number, const void *const *in, void *out, void *second) {\n"
                        "    (void)second;\n    switch (number) {\n");
    glia__text_add(out, dispatch.data);
    glia__text_add(out, "    default: return 1;\n    }\n}\n#endif\n");
}

/* --- running --------------------------------------------------------------------------------------------- */

typedef int run_function(int number, const void *const *in, void *out, void *second);

static bool run_inference(op_test *t, glia_view *out) {
    glia_error err = {0};
    glia_type tin[GLIA_MAX_INPUTS];
    const glia_step step = {.training = false};
    make_outputs(t->op, t->out, out);
    for (int i = 0; i < t->in.count; i++) tin[i] = (glia_type){t->in.views[i].dtype, t->in.views[i].shape};
    const size_t workspace = t->op->workspace ? t->op->workspace(tin, t->out, t->attrs) : 0;
    void *memory = aligned_alloc(64, (workspace + 127) / 64 * 64);
    const glia_call call = {.attrs = t->attrs,
                            .in = t->in.views,
                            .out = out,
                            .n_in = t->in.count,
                            .n_out = op_outputs(t->op),
                            .workspace = memory,
                            .step = &step,
                            .node = t->op->name,
                            .err = &err};
    const glia_status status = t->op->ref(&call);
    free(memory);
    if (status == GLIA_OK) return true;
    report(t, "ref", err.message);
    free_outputs(t->op, out);
    return false;
}

static void run_case(run_function *run, int number) {
    op_test t;
    glia_view wanted[GLIA_MAX_OUTPUTS], found[GLIA_MAX_OUTPUTS];
    char message[160];
    if (!open_case(&t, cases[number].op, cases[number].example, false, GLIA_F32)) return;
    const void *in[GLIA_MAX_INPUTS];
    int count = 0;
    for (int i = 0; i < t.in.count && (i == 0 || !cases[number].constants); i++)
        if (t.in.types[i].shape.rank >= 0) in[count++] = t.in.views[i].data;
    if (run_inference(&t, wanted)) {
        make_outputs(t.op, t.out, found);
        const int second = cases[number].output;
        const int status = run(number, in, found[0].data, second ? found[second].data : NULL);
        const double tolerance = t.example->tolerance > 0 ? t.example->tolerance : 1e-5;
        snprintf(message, sizeof message, "returned %d", status);
        float *y = found[0].data;
        for (int64_t i = 0; cases[number].ridden && i < glia_shape_elems(&found[0].shape); i++) y[i] = -y[i];
        if (status != 0 || !views_near(&found[0], &wanted[0], tolerance, message, sizeof message))
            report(&t,
                   cases[number].constants ? "C with constants"
                   : cases[number].ridden  ? "C with a rider"
                                           : "C",
                   message);
        else if (second && !views_near(&found[second], &wanted[second], tolerance, message, sizeof message))
            report(&t, "C of a further output", message);
        if (!canaries_live(t.op, found)) report(&t, "C", "wrote behind its output");
        free_outputs(t.op, found);
        free_outputs(t.op, wanted);
    }
    close_case(&t);
}

static bool compiles(const char *compiler, const char *flags, const char *source) {
    char command[1024];
    snprintf(command, sizeof command, "%s %s %s", compiler, flags, source);
    return system(command) == 0;
}

static bool has_compiler(const char *compiler) {
    char command[256];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", compiler);
    return system(command) == 0;
}

TEST(cases_against_ref) {
    const char *cc = getenv("CC") ? getenv("CC") : "cc";
    char flags[1200];
    if (!has_compiler(cc)) {
        printf("test_emit: no compiler '%s': skipped\n", cc);
        return;
    }
    scratch_make();
    const char *source, *library = scratch_path("cases.so");
    glia__text_init(&file, NULL);
    glia__text_init(&dispatch, NULL);
    for_each_case(GLIA_F32, false, write_all);
    write_dispatch(&file);
    CHECK(!file.failed && !dispatch.failed);
    source = scratch_put("cases.c", file.data, file.length);
    snprintf(flags, sizeof flags, "-std=c99 -Wall -Wextra -pedantic -Werror -O1 -fPIC -shared -o %s",
             library);
    const bool built = compiles(cc, flags, source);
    CHECK(built);
    void *handle = built ? dlopen(library, RTLD_NOW) : NULL;
    run_function *run;
    *(void **)(void *)&run = handle ? dlsym(handle, "run") : NULL;
    CHECK(run != NULL);
    for (int i = 0; i < n_cases && run; i++) run_case(run, i);
    CHECK(getenv("OP") || n_cases > 300);
    if (handle) dlclose(handle);
    if (has_compiler("g++"))
        CHECK(compiles("g++ -x c++", "-std=c++17 -Wall -Wextra -pedantic -Werror -fsyntax-only", source));
    scratch_remove();
    glia__text_free(&file);
    glia__text_free(&dispatch);
}

/* --- what is refused ------------------------------------------------------------------------------------- */

/* Every layer that cannot be said in C is named, in one message; nothing is written. */
TEST(refusals) {
    glia_graph *graph = glia_graph_new(NULL);
    glia_error err = {0};
    glia_emit_result result;
    glia_value *x = glia_graph_input(graph, "x", GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH, 4));
    glia_graph_set_scope(graph, "wide");
    glia_value *y = glia_graph_apply_text(graph, "cast", &x, 1, "to=f64");
    glia_graph_set_scope(graph, "narrow");
    y = glia_graph_apply_text(graph, "cast", &y, 1, "to=f32");
    const glia_emit_options options = {.name = "m", .file = "m", .title = "m", .dims = {1}};
    CHECK(glia__emit_c99(&result, graph, &x, 1, &y, 1, &options, &err) == GLIA_UNSUPPORTED);
    CHECK_HAS(err.message, "cannot be written as C: wide.cast (cast): it works on f64; narrow.cast (cast)");
    glia__emit_result_free(&result);
    glia_graph_free(graph);
}

/* --- learning on the device ------------------------------------------------------------------------------ */

enum { FEATURES = 7, UNITS = 5 };

typedef struct head {
    float w[UNITS * FEATURES], b[UNITS];
} head;

typedef struct learning {
    float w[UNITS * FEATURES], b[UNITS], x[FEATURES], target[UNITS];
} learning;

/* One step by Glia's own gradients of the loss that goes with `result`, from what the layer sees, tanh(x). */
static void own_step(const char *result, const learning *l, float rate, head *out) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_program *program = NULL;
    glia_value *x = glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(1, FEATURES)),
               *t = glia_graph_input(g, "t", GLIA_F32, GLIA_SHAPE(1, UNITS)), *gradients[2], *loss,
               *wrt[] = {glia_graph_param(g, "w", GLIA_F32, GLIA_SHAPE(UNITS, FEATURES)),
                         glia_graph_param(g, "b", GLIA_F32, GLIA_SHAPE(UNITS))};
    glia_value *z = glia_op_linear(glia_op_tanh(x), wrt[0], wrt[1], (glia_linear_attrs){0});
    if (strcmp(result, "softmax") == 0)
        loss = glia_op_neg(glia_op_sum(glia_op_mul(t, glia_op_log_softmax(z, -1)),
                                       (glia_reduce_attrs){.keep_dims = GLIA_NO}));
    else if (strcmp(result, "sigmoid") == 0) /* softplus(z) − t·z */
        loss = glia_op_mean(glia_op_sub(glia_op_softplus(z), glia_op_mul(t, z)),
                            (glia_reduce_attrs){.keep_dims = GLIA_NO});
    else
        loss = glia_op_mean(glia_op_square(glia_op_sub(z, t)), (glia_reduce_attrs){.keep_dims = GLIA_NO});
    CHECK_OK(glia_graph_gradients(g, loss, wrt, 2, gradients, &err), &err);
    CHECK_OK(glia_program_new(&program, g, gradients, 2, (glia_program_options){.threads = 1}, &err), &err);
    CHECK_OK(glia_program_bind(program, x, (void *)l->x, &err), &err);
    CHECK_OK(glia_program_bind(program, t, (void *)l->target, &err), &err);
    CHECK_OK(glia_program_bind(program, wrt[0], (void *)l->w, &err), &err);
    CHECK_OK(glia_program_bind(program, wrt[1], (void *)l->b, &err), &err);
    CHECK_OK(glia_program_run(program, 1, &err), &err);
    const float *dw = glia_program_output(program, gradients[0]).data,
                *db = glia_program_output(program, gradients[1]).data;
    for (int i = 0; i < UNITS * FEATURES; i++) out->w[i] = l->w[i] - rate * dw[i];
    for (int i = 0; i < UNITS; i++) out->b[i] = l->b[i] - rate * db[i];
    glia_program_free(program);
    glia_graph_free(g);
}

/* Writes the same network, compiles it, and takes a step. */
static bool c_step(const char *cc, const char *result, const learning *l, float rate, head *out) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    glia_emit_result text;
    char flags[1200];
    glia_value *x = glia_graph_input(g, "x", GLIA_F32, GLIA_SHAPE(1, FEATURES)),
               *w = glia_graph_param(g, "w", GLIA_F32, GLIA_SHAPE(UNITS, FEATURES)),
               *b = glia_graph_param(g, "b", GLIA_F32, GLIA_SHAPE(UNITS));
    w->data = l->w, b->data = l->b;
    glia_value *y = glia_op_linear(glia_op_tanh(x), w, b, (glia_linear_attrs){0});
    if (*result) y = glia_graph_apply(g, result, &y, 1, NULL);
    const glia_emit_options options = {
        .name = "m", .file = "m", .title = "m", .dims = {1}, .train_head = true};
    CHECK_OK(glia__emit_c99(&text, g, &x, 1, &y, 1, &options, &err), &err);
    scratch_put("m.h", text.header.data, text.header.length);
    scratch_put("m.c", text.source.data, text.source.length);
    const char *library = scratch_path("m.so");
    snprintf(flags, sizeof flags, "-std=c99 -Wall -Wextra -pedantic -Werror -O2 -fPIC -shared -o %s",
             library);
    bool built = compiles(cc, flags, scratch_path("m.c"));
    void *handle = built ? dlopen(library, RTLD_NOW | RTLD_LOCAL) : NULL;
    void (*init)(head *);
    int (*step)(head *, void *, const float *, const float *, float);
    *(void **)(void *)&init = handle ? dlsym(handle, "m_head_init") : NULL;
    *(void **)(void *)&step = handle ? dlsym(handle, "m_train_step") : NULL;
    built = handle && init && step;
    float arena[1024];
    if (built) init(out);
    if (built) CHECK(memcmp(out->w, l->w, sizeof l->w) == 0 && step(out, arena, l->x, l->target, rate) == 0);
    if (handle) dlclose(handle);
    glia__emit_result_free(&text);
    glia_graph_free(g);
    return built;
}

/* A step on the device is a step of Glia, for each of the three losses. */
TEST(train_head) {
    static const char *const results[] = {"softmax", "sigmoid", ""};
    const char *cc = getenv("CC") ? getenv("CC") : "cc";
    const glia_random random = {.seed = 3, .stream = 1};
    learning l;
    if (!has_compiler(cc)) return;
    for (int i = 0; i < UNITS * FEATURES; i++) l.w[i] = (float)glia_random_normal(random, (uint64_t)i);
    for (int i = 0; i < UNITS; i++) l.b[i] = (float)i / 7, l.target[i] = i == 2;
    for (int i = 0; i < FEATURES; i++) l.x[i] = (float)glia_random_normal(random, (uint64_t)(100 + i));
    scratch_make();
    for (size_t r = 0; r < GLIA_COUNT(results); r++) {
        head wanted, found;
        own_step(results[r], &l, 0.5f, &wanted);
        CHECK(c_step(cc, results[r], &l, 0.5f, &found));
        for (int i = 0; i < UNITS * FEATURES; i++) CHECK_NEAR(found.w[i], wanted.w[i], 1e-6);
        for (int i = 0; i < UNITS; i++) CHECK_NEAR(found.b[i], wanted.b[i], 1e-6);
    }
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(cases_against_ref), TEST_ENTRY(refusals), TEST_ENTRY(train_head))
