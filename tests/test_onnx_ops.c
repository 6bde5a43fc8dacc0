/* test_onnx_ops.c: every case of every op as ONNX: it is written, or refused for a reason that is known; what is written is read
 * again, gives the same numbers and is written as the same file. With
 * GLIA_ONNX_CASES=DIR the files are kept, with their inputs and what Glia computes of them: test_onnx_export.sh gives them to
 * ONNX Runtime. */
#include "op_engine.h"

#include "glia/io.h"
#include "glia/onnx.h"
#include "onnx/write.h"
#include "scratch.h"

/* Of each change in how something is written, the opset before and the one from it on. */
static const int opsets[] = {13, 14, 17, 18, 20, 23};

/* The graph of one case as an exporter gets it. */
typedef struct onnx_case {
    glia_graph *graph;
    glia_value *inputs[GLIA_MAX_INPUTS], *outputs[GLIA_MAX_OUTPUTS];
    int places[GLIA_MAX_INPUTS]; /* of the inputs in the case */
    glia_export model;
    glia_inference inference;
} onnx_case;

static bool build_case(const op_test *t, onnx_case *c, int outputs, glia_error *err) {
    glia_value *in[GLIA_MAX_INPUTS] = {NULL};
    char name[16];
    *c = (onnx_case){.graph = glia_graph_new(NULL)};
    c->model = (glia_export){
        .name = t->op->name, .graph = c->graph, .inputs = c->inputs, .outputs = c->outputs, .scale = 1};
    for (int i = 0; i < t->in.count; i++) {
        if (t->in.types[i].shape.rank < 0) continue;
        snprintf(name, sizeof name, "x%d", i);
        in[i] = glia_graph_input(c->graph, name, t->in.types[i].dtype, t->in.types[i].shape);
        c->places[c->model.n_inputs] = i;
        c->inputs[c->model.n_inputs++] = in[i];
    }
    glia_value *y = glia_graph_apply_text(c->graph, t->op->name, in, t->in.count, t->example->attrs);
    if (glia_graph_status(c->graph, err) != GLIA_OK) return false;
    c->model.n_outputs = outputs;
    for (int o = 0; o < c->model.n_outputs; o++) c->outputs[o] = glia_value_sibling(y, o);
    return glia__inference_new(&c->inference, &c->model, false, false, err) == GLIA_OK;
}

static void free_case(onnx_case *c) {
    glia__inference_free(&c->inference);
    glia_graph_free(c->graph);
}

static bool has_bf16(const op_test *t) {
    bool found = false;
    for (int i = 0; i < t->in.count; i++) found |= t->in.types[i].dtype == GLIA_BF16;
    for (int o = 0; o < op_outputs(t->op); o++) found |= t->out[o].dtype == GLIA_BF16;
    return found;
}

/* --- for ONNX Runtime ------------------------------------------------------------------------------------- */

static void put_array(const char *dir, const char *name, const char *kind, int i, const glia_tensor *array) {
    char path[600];
    glia_error err = {0};
    snprintf(path, sizeof path, "%s/%s.%s%d.npy", dir, name, kind, i);
    CHECK_OK(glia_npy_write(path, array, &err), &err);
}

static glia_status run_case(const op_test *t, onnx_case *c, glia_program **program, glia_error *err) {
    const glia_inference *f = &c->inference;
    GLIA_TRY(glia_program_new(program, f->graph, f->outputs, f->n_outputs,
                              (glia_program_options){.reference = GLIA_YES, .reuse_memory = GLIA_NO}, err));
    for (int i = 0; i < f->n_inputs; i++)
        GLIA_TRY(glia_program_bind(*program, f->inputs[i], t->in.views[c->places[i]].data, err));
    return glia_program_run(*program, 0, err);
}

/* NAME-OPSET.onnx, NAME.in0.npy …, NAME.out0.npy …, and a line of NAME, opset, tolerance, text of the case. */
static void keep_case(const op_test *t, onnx_case *c, const char *dir) {
    static int number;
    char name[100], path[600];
    glia_error err = {0};
    glia_program *program = NULL;
    const glia_exporter *exporter;
    snprintf(name, sizeof name, "%s-%d", t->op->name, number++);
    if (run_case(t, c, &program, &err) != GLIA_OK) {
        report(t, "run", err.message);
        glia_program_free(program);
        return;
    }
    for (int i = 0; i < c->inference.n_inputs; i++) {
        const glia_view *view = &t->in.views[c->places[i]];
        glia_tensor x = glia_tensor_wrap(view->data, view->dtype, view->shape);
        put_array(dir, name, "in", i, &x);
    }
    for (int o = 0; o < c->inference.n_outputs; o++) {
        glia_tensor y = glia_program_output(program, c->inference.outputs[o]);
        put_array(dir, name, "out", o, &y);
    }
    CHECK_OK(glia__exporter_find(&exporter, "onnx", NULL, &err), &err);
    for (size_t k = 0; k < GLIA_COUNT(opsets); k++) {
        char options[32];
        glia_error refusal = {0};
        snprintf(options, sizeof options, "opset=%d", opsets[k]);
        snprintf(path, sizeof path, "%s/%s-%d.onnx", dir, name, opsets[k]);
        if (glia__export_write(&c->model, exporter, options, path, NULL, &refusal) != GLIA_OK) continue;
        printf("%s %d %g %s [%s]\n", name, opsets[k], t->example->tolerance, t->example->inputs,
               t->example->attrs ? t->example->attrs : "");
    }
    glia_program_free(program);
}

/* --- there and back ----------------------------------------------------------------------------------------- */

static void put_file(const glia_onnx_bytes *bytes, const char *path) {
    FILE *f = fopen(path, "wb");
    size_t at = 0; /* in the text */
    CHECK(f != NULL);
    for (size_t i = 0; f && i < bytes->n_pieces; i++) {
        const glia_onnx_piece *piece = &bytes->pieces[i];
        const void *data = piece->data ? piece->data : bytes->text.data + at;
        if (!piece->data) at += piece->bytes;
        CHECK(fwrite(data, 1, piece->bytes, f) == piece->bytes);
    }
    if (f) fclose(f);
}

/* The model that the file has become, on the inputs of the case. */
static glia_status run_read(const op_test *t, const onnx_case *c, glia_graph *graph, const char *path,
                            glia_value **y, glia_program **program, glia_error *err) {
    glia_value *in[GLIA_MAX_INPUTS];
    glia_onnx *file;
    char name[16];
    const int n = c->inference.n_inputs;
    for (int i = 0; i < n; i++) {
        const glia_type *type = &t->in.types[c->places[i]];
        snprintf(name, sizeof name, "x%d", i);
        in[i] = glia_graph_input(graph, name, type->dtype, type->shape);
    }
    GLIA_TRY(glia_onnx_open(&file, path, NULL, err));
    const glia_onnx_options options = {.inputs = in, .n_inputs = (size_t)n};
    glia_status status = glia_onnx_build(file, graph, options, y, GLIA_MAX_OUTPUTS, err);
    glia_onnx_close(file);
    GLIA_TRY(status);
    GLIA_TRY(glia_program_new(program, graph, y, c->inference.n_outputs,
                              (glia_program_options){.reference = GLIA_YES, .reuse_memory = GLIA_NO}, err));
    for (int i = 0; i < n; i++)
        GLIA_TRY(glia_program_bind(*program, in[i], t->in.views[c->places[i]].data, err));
    return glia_program_run(*program, 0, err);
}

static void compare(const op_test *t, const char *what, const glia_tensor *got, const glia_tensor *expected) {
    const glia_view a = {.data = got->data, .dtype = got->dtype, .shape = got->shape};
    const glia_view b = {.data = expected->data, .dtype = expected->dtype, .shape = expected->shape};
    const double tolerance = t->example->tolerance > 0 ? t->example->tolerance : 1e-5;
    char message[160];
    if (a.dtype != b.dtype || !glia_shape_equal(&a.shape, &b.shape))
        report(t, what, "another shape or dtype");
    else if (!views_near(&a, &b, GLIA_MAX(tolerance, has_bf16(t) ? 0x1p-6 : 0), message, sizeof message))
        report(t, what, message);
}

/* Operators of ONNX that say more than these ops are read as what they are made of; narrow is two casts; of batch_norm's results those that are
 * kept for its gradient come in another order. */
static bool reads_as_others(const op_test *t) {
    static const char *const ops[] = {"batch_norm", "categorical_cross_entropy", "narrow", "one_hot",
                                      "softmax_cross_entropy"};
    for (size_t i = 0; i < GLIA_COUNT(ops); i++)
        if (strcmp(ops[i], t->op->name) == 0) return true;
    return false;
}

static glia_status encode(const glia_inference *inference, int opset, glia_arena *arena,
                          glia_onnx_bytes *bytes, glia_error *err) {
    glia_onnx_out out;
    *bytes = (glia_onnx_bytes){.total = 0};
    GLIA_TRY(glia__onnx_lists(&out, inference, opset, arena, err));
    return glia__onnx_encode(bytes, &out, 0, "", arena, err);
}

/* What was read is written as the same bytes. All arrays are inputs here, or so small that they lie in the text. */
static void check_same(const op_test *t, const onnx_case *c, glia_graph *graph, glia_value **y,
                       const glia_onnx_bytes *bytes, const char *what, int opset) {
    glia_arena arena;
    glia_inference inference;
    glia_onnx_bytes again = {.total = 0};
    glia_error err = {0};
    glia_value *in[GLIA_MAX_INPUTS];
    const int n = c->inference.n_inputs;
    for (int i = 0; i < n; i++) in[i] = graph->values[i]; /* the first that run_read made */
    const glia_export model = {.name = t->op->name,
                               .graph = graph,
                               .inputs = in,
                               .outputs = y,
                               .n_inputs = n,
                               .n_outputs = c->inference.n_outputs,
                               .scale = 1};
    glia__arena_init(&arena, NULL);
    glia_status status = glia__inference_new(&inference, &model, false, false, &err);
    if (status == GLIA_OK) status = encode(&inference, opset, &arena, &again, &err);
    if (status != GLIA_OK)
        report(t, what, err.message);
    else if (again.text.length != bytes->text.length ||
             memcmp(again.text.data, bytes->text.data, again.text.length) != 0)
        report(t, what, "is another file after it was read and written again");
    glia__text_free(&again.text);
    glia__inference_free(&inference);
    glia__arena_free(&arena);
}

/* Reads what was written; `expected` has run the case. */
static void check_read(const op_test *t, const onnx_case *c, const glia_onnx_bytes *bytes, const char *what,
                       int opset, const glia_program *expected) {
    glia_error err = {0};
    glia_value *y[GLIA_MAX_OUTPUTS];
    glia_program *program = NULL;
    glia_graph *graph = glia_graph_new(NULL);
    const char *path = scratch_path("m.onnx");
    test_checks++;
    put_file(bytes, path);
    if (run_read(t, c, graph, path, y, &program, &err) != GLIA_OK) {
        report(t, what, err.message);
    } else {
        for (int o = 0; o < c->inference.n_outputs; o++) {
            const glia_tensor got = glia_program_output(program, y[o]);
            const glia_tensor want = glia_program_output(expected, c->inference.outputs[o]);
            compare(t, what, &got, &want);
        }
        if (!reads_as_others(t)) check_same(t, c, graph, y, bytes, what, opset);
    }
    glia_program_free(program);
    glia_graph_free(graph);
}

/* --- every opset ---------------------------------------------------------------------------------------------- */

static const glia_op *written; /* the last op of which a case could be written */

static void check_opset(const op_test *t, onnx_case *c, int opset, const glia_program *expected) {
    glia_arena arena;
    glia_onnx_bytes bytes;
    glia_error err = {0};
    char what[32];
    snprintf(what, sizeof what, "as ONNX %d", opset);
    glia__arena_init(&arena, NULL);
    glia_status status = encode(&c->inference, opset, &arena, &bytes, &err);
    const bool refused = status == GLIA_UNSUPPORTED && strstr(err.message, t->op->name);
    if (status != GLIA_OK && !refused) report(t, what, err.message);
    if (status == GLIA_OK && !has_bf16(t)) written = t->op;
    if (status == GLIA_OK) check_read(t, c, &bytes, what, opset, expected);
    glia__text_free(&bytes.text);
    glia__arena_free(&arena);
}

static bool can_be_written(const onnx_case *c) {
    glia_arena arena;
    glia_onnx_out out;
    glia__arena_init(&arena, NULL);
    const glia_status status =
        glia__onnx_lists(&out, &c->inference, opsets[GLIA_COUNT(opsets) - 1], &arena, NULL);
    glia__arena_free(&arena);
    return status == GLIA_OK;
}

/* With all results, or the first ones that ONNX has: what lstm keeps for its gradient is none of them. */
static bool build_for_onnx(const op_test *t, onnx_case *c, glia_error *err) {
    for (int outputs = op_outputs(t->op);; outputs--) {
        if (!build_case(t, c, outputs, err)) return false;
        if (outputs == 1 || can_be_written(c)) return true;
        free_case(c);
    }
}

static void check_case(op_test *t) {
    const char *dir = getenv("GLIA_ONNX_CASES");
    glia_error err = {0};
    glia_program *program = NULL;
    onnx_case c;
    if (!t->op->onnx && !t->op->onnx_write) return;
    if (!build_for_onnx(t, &c, &err))
        report(t, "inference graph", err.message);
    else if (run_case(t, &c, &program, &err) != GLIA_OK)
        report(t, "run", err.message);
    else
        for (size_t k = 0; k < GLIA_COUNT(opsets); k++) check_opset(t, &c, opsets[k], program);
    glia_program_free(program);
    if (dir && !has_bf16(t) && err.status == GLIA_OK) keep_case(t, &c, dir);
    free_case(&c);
}

/* A case may be refused (it is of bf16, or ONNX has it in a later opset, or not at all), but not every one. */
TEST(every_case) {
    const char *only = getenv("OP");
    scratch_make();
    for (size_t i = 0; i < glia__ops_count; i++) {
        const glia_op *op = glia__ops[i];
        if (only && strcmp(only, op->name) != 0) continue;
        written = NULL;
        for (const glia_case *example = op->cases; (op->onnx || op->onnx_write) && example->inputs; example++)
            if (!example->expect_error) visit_case(op, example, false, GLIA_F32, check_case);
        test_checks++;
        if (written == op || !(op->onnx || op->onnx_write)) continue;
        test_failures++;
        printf("%s: none of its cases can be written as ONNX\n", op->name);
    }
    scratch_remove();
}

/* What has nothing like it in ONNX is refused, naming node and op. */
static void check_refused(op_test *t) {
    glia_error err = {0};
    onnx_case c;
    if (t->op->traits & GLIA_TRAIT_TRAINING_ONLY) return; /* is not in what is exported */
    if (t->op->onnx || t->op->onnx_write || !build_case(t, &c, op_outputs(t->op), &err)) return;
    glia_arena arena;
    glia_onnx_out out;
    glia__arena_init(&arena, NULL);
    if (glia__onnx_lists(&out, &c.inference, 23, &arena, &err) != GLIA_UNSUPPORTED)
        report(t, "as ONNX", "is not refused");
    else if (!strstr(err.message, t->op->name))
        report(t, "refusal", err.message);
    glia__arena_free(&arena);
    free_case(&c);
}

TEST(others_are_refused) {
    for_each_case(GLIA_F32, false, check_refused);
}

TEST_MAIN(TEST_ENTRY(every_case), TEST_ENTRY(others_are_refused))
