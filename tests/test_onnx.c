/* Reading ONNX: files that are good, damaged, hostile, or more than Glia can. */
#include "test.h"

#include "failing_allocator.h"
#include "glia/model.h"
#include "glia/onnx.h"
#include "glia/program.h"
#include "onnx/proto.h"
#include "onnx_bytes.h"
#include "scratch.h"

static buffer model, graph;

static const char *put(const buffer *b) {
    return scratch_put("m.onnx", b->data, b->count);
}

/* x [N, 3] → Gemm with w [2, 3] and b [2] → Relu → y; more nodes may follow. */
static void put_small(void) {
    static const float w[6] = {1, 2, 3, -1, -2, -3}, b[2] = {0.5f, 0.25f};
    graph.count = 0;
    put_value(&graph, GLIA_ONNX_GRAPH_INPUT, "x", GLIA_ONNX_F32, (int64_t[]){-1, 3}, 2);
    put_initializer(&graph, "w", GLIA_ONNX_F32, (int64_t[]){2, 3}, 2, w, sizeof w);
    put_initializer(&graph, "b", GLIA_ONNX_F32, (int64_t[]){2}, 1, b, sizeof b);
    put_node(&graph, "Gemm", "x w b", "h", int_attr("transB", 1));
    put_node(&graph, "Relu", "h", "y", NULL);
}

static void end_small(int64_t opset) {
    put_value(&graph, GLIA_ONNX_GRAPH_OUTPUT, "y", GLIA_ONNX_F32, (int64_t[]){-1, 2}, 2);
    put_model(&model, &graph, opset);
}

/* Opens and builds; the outputs are thrown away. */
static glia_status import(const char *path, const glia_allocator *allocator, glia_error *err) {
    glia_onnx *file;
    glia_value *outputs[4];
    glia_status status = glia_onnx_open(&file, path, allocator, err);
    if (status != GLIA_OK) return status;
    glia_graph *to = glia_graph_new(allocator);
    status = to ? glia_onnx_build(file, to, (glia_onnx_options){0}, outputs, 4, err)
                : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia_graph_free(to);
    glia_onnx_close(file);
    return status;
}

static void check_refused(glia_status expected, const char *message) {
    glia_error err = {0};
    const char *path = put(&model);
    CHECK_ERR(import(path, NULL, &err), expected, &err, message);
}

TEST(read_and_run) {
    scratch_make();
    put_small();
    end_small(17);
    glia_error err = {0};
    glia_onnx *file;
    glia_dtype dtype;
    glia_shape shape;
    CHECK_OK(glia_onnx_open(&file, put(&model), NULL, &err), &err);
    CHECK_INT(glia_onnx_opset(file), 17);
    CHECK_INT(glia_onnx_nodes(file), 2);
    CHECK_STR(glia_onnx_input(file, 0), "x");
    CHECK(glia_onnx_input(file, 1) == NULL && glia_onnx_output(file, 1) == NULL);
    CHECK_STR(glia_onnx_output(file, 0), "y");
    CHECK_OK(glia_onnx_input_type(file, 0, &dtype, &shape, &err), &err);
    CHECK(dtype == GLIA_F32 && shape.rank == 2 && shape.dim[0] == GLIA_DIM_BATCH && shape.dim[1] == 3);
    glia_graph *to = glia_graph_new(NULL);
    glia_value *x = glia_graph_input(to, "x", dtype, shape), *y = NULL;
    CHECK_OK(glia_onnx_build(file, to, (glia_onnx_options){.inputs = &x, .n_inputs = 1}, &y, 1, &err), &err);
    glia_onnx_close(file); /* the graph has what it needs */
    CHECK_INT(glia_graph_node_count(to), 2);
    glia_program *program;
    float rows[6] = {1, 1, 1, -1, 0, 0};
    CHECK_OK(glia_program_new(&program, to, &y, 1, (glia_program_options){.dims = {2}}, &err), &err);
    CHECK_OK(glia_program_bind(program, x, rows, &err), &err);
    CHECK_OK(glia_program_run(program, 0, &err), &err);
    glia_tensor out = glia_program_output(program, y);
    const double want[4] = {6.5, 0, 0, 1.25};
    for (int i = 0; i < 4; i++) CHECK_NEAR(glia_tensor_get(&out, i), want[i], 1e-6);
    glia_program_free(program);
    glia_graph_free(to);
    scratch_remove();
}

/* Shape → Gather → Concat with a constant → Reshape: the batch stays a symbol. */
TEST(symbolic_shapes_are_computed) {
    scratch_make();
    static const int64_t zero = 0, two[2] = {3, 1};
    graph.count = 0;
    put_value(&graph, GLIA_ONNX_GRAPH_INPUT, "x", GLIA_ONNX_F32, (int64_t[]){-1, 3}, 2);
    put_initializer(&graph, "zero", GLIA_ONNX_I64, (int64_t[]){1}, 1, &zero, 8);
    put_initializer(&graph, "rest", GLIA_ONNX_I64, (int64_t[]){2}, 1, two, 16);
    put_node(&graph, "Shape", "x", "s", NULL);
    put_node(&graph, "Gather", "s zero", "n", int_attr("axis", 0));
    put_node(&graph, "Concat", "n rest", "to", int_attr("axis", 0));
    put_node(&graph, "Reshape", "x to", "y", NULL);
    put_value(&graph, GLIA_ONNX_GRAPH_OUTPUT, "y", GLIA_ONNX_F32, NULL, 0);
    put_model(&model, &graph, 13);
    glia_error err = {0};
    glia_onnx *file;
    glia_value *y = NULL;
    glia_graph *to = glia_graph_new(NULL);
    CHECK_OK(glia_onnx_open(&file, put(&model), NULL, &err), &err);
    CHECK_OK(glia_onnx_build(file, to, (glia_onnx_options){0}, &y, 1, &err), &err);
    glia_shape shape = glia_value_shape(y);
    char text[64];
    CHECK_STR(glia_shape_text(&shape, text, sizeof text), "N×3×1");
    CHECK_INT(glia_graph_node_count(to), 1); /* all but the reshape is done */
    glia_graph_free(to);
    glia_onnx_close(file);
    scratch_remove();
}

TEST(what_is_not_supported_is_named_together) {
    scratch_make();
    put_small();
    put_node(&graph, "LSTM", "h w b", "l", NULL);
    put_node(&graph, "Nonsense", "l", "n", NULL);
    put_node(&graph, "Relu", "h", "r", int_attr("leak", 1));
    put_node(&graph, "Concat", "n r", "z", int_attr("axis", 0));
    put_value(&graph, GLIA_ONNX_GRAPH_OUTPUT, "z", GLIA_ONNX_F32, (int64_t[]){-1, 2}, 2);
    end_small(14);
    check_refused(GLIA_UNSUPPORTED, "Nonsense ('n')");
    check_refused(GLIA_UNSUPPORTED, "of opset 14 cannot be read");
    check_refused(GLIA_UNSUPPORTED, "Relu ('r': the attribute 'leak' is not supported)");
    put_small();
    end_small(6);
    check_refused(GLIA_UNSUPPORTED, "opset 6 is not supported; expected 7 to");
    put_small();
    put_model(&model, &graph, 17); /* without an output called so */
    glia_error err = {0};
    glia_onnx *file;
    glia_value *y;
    glia_graph *to = glia_graph_new(NULL);
    CHECK_OK(glia_onnx_open(&file, put(&model), NULL, &err), &err);
    const char *cut = "nowhere";
    glia_status status =
        glia_onnx_build(file, to, (glia_onnx_options){.outputs = &cut, .n_outputs = 1}, &y, 1, &err);
    CHECK_ERR(status, GLIA_BAD_FORMAT, &err, "there is no tensor called 'nowhere'");
    glia_graph_free(to);
    to = glia_graph_new(NULL);
    cut = "h"; /* a tensor in the middle */
    CHECK_OK(glia_onnx_build(file, to, (glia_onnx_options){.outputs = &cut, .n_outputs = 1}, &y, 1, &err),
             &err);
    CHECK_STR(glia_value_op(y), "linear");
    glia_graph_free(to);
    glia_onnx_close(file);
    scratch_remove();
}

TEST(damaged_files) {
    scratch_make();
    put_small();
    end_small(17);
    const size_t whole = model.count;
    for (model.count = 0; model.count < whole; model.count++) {
        glia_error err = {0};
        CHECK(import(put(&model), NULL, &err) != GLIA_OK);
        CHECK(*err.message != 0);
    }
    put_small();
    end_small(17);
    put_int(&model, GLIA_ONNX_MODEL_GRAPH, 1);
    check_refused(GLIA_BAD_FORMAT, "ModelProto.graph has the wrong type");
    end_small(17);
    put_text(&model, GLIA_ONNX_MODEL_GRAPH, "");
    check_refused(GLIA_BAD_FORMAT, "graph is there twice");
    put_small();
    put_node(&graph, "Relu", "z", "y2", NULL);
    put_node(&graph, "Add", "y y2", "z", NULL);
    put_value(&graph, GLIA_ONNX_GRAPH_OUTPUT, "z", GLIA_ONNX_F32, (int64_t[]){-1, 2}, 2);
    end_small(17);
    check_refused(GLIA_BAD_FORMAT, "'z' is used before a node makes it: the graph has a cycle");
    put_small();
    put_node(&graph, "Relu", "nothing", "z", NULL);
    put_value(&graph, GLIA_ONNX_GRAPH_OUTPUT, "z", GLIA_ONNX_F32, (int64_t[]){-1, 2}, 2);
    end_small(17);
    check_refused(GLIA_BAD_FORMAT, "nothing makes the tensor 'nothing'");
    put_small();
    put_node(&graph, "Relu", "h", "y", NULL);
    end_small(17);
    check_refused(GLIA_BAD_FORMAT, "'y' is made twice");
    put_text(&model, 4000, "what a later version may add");
    check_refused(GLIA_BAD_FORMAT, "'y' is made twice");
    glia_error err = {0};
    CHECK_ERR(import(scratch_path("none.onnx"), NULL, &err), GLIA_NOT_FOUND, &err, "cannot read");
    CHECK_ERR(import(scratch, NULL, &err), GLIA_IO, &err, "cannot read");
    scratch_remove();
}

/* One initialiser 'v', whose declared type and size may be lies, and Relu of it. */
static void put_lie(int dtype, const int64_t *dims, int rank, size_t data) {
    static const unsigned char zeros[256];
    graph.count = 0;
    put_initializer(&graph, "v", dtype, dims, rank, zeros, data);
    put_node(&graph, "Relu", "v", "y", NULL);
    end_small(17);
}

TEST(tensors_that_lie) {
    scratch_make();
    put_lie(GLIA_ONNX_F32, (int64_t[]){2, 3}, 2, 20);
    check_refused(GLIA_BAD_FORMAT, "float data of its dimensions are 24 bytes, the file holds 20");
    put_lie(GLIA_ONNX_F32, (int64_t[]){INT64_MAX, INT64_MAX}, 2, 16);
    check_refused(GLIA_BAD_FORMAT, "its dimensions are too large");
    put_lie(GLIA_ONNX_F32, (int64_t[]){INT64_C(1) << 40}, 1, 16);
    check_refused(GLIA_BAD_FORMAT, "the file holds 16");
    put_lie(GLIA_ONNX_F32, (int64_t[]){-4}, 1, 16);
    check_refused(GLIA_BAD_FORMAT, "it has a negative dimension");
    put_lie(GLIA_ONNX_F32, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, 9, 4);
    check_refused(GLIA_BAD_FORMAT, "more than 8 dimensions");
    put_lie(GLIA_ONNX_TEXT, (int64_t[]){1}, 1, 4);
    check_refused(GLIA_UNSUPPORTED, "'v' has the type string, which is not supported");
    put_lie(77, (int64_t[]){1}, 1, 4);
    check_refused(GLIA_UNSUPPORTED, "'v' has the type an unknown type");
    scratch_remove();
}

/* 'v' with 16 bytes of external data. */
static void put_external(const char *location, const char *offset) {
    static buffer tensor, pair;
    const char *keys[] = {"location", location, "offset", offset};
    put_tensor_head(&tensor, "v", GLIA_ONNX_F32, (int64_t[]){4}, 1);
    for (int i = 0; i < 4; i += 2) {
        pair.count = 0;
        put_text(&pair, GLIA_ONNX_METADATA_KEY, keys[i]);
        put_text(&pair, GLIA_ONNX_METADATA_VALUE, keys[i + 1]);
        put_message(&tensor, GLIA_ONNX_TENSOR_EXTERNAL_DATA, &pair);
    }
    put_int(&tensor, GLIA_ONNX_TENSOR_DATA_LOCATION, GLIA_ONNX_LOCATION_EXTERNAL);
    graph.count = 0;
    put_message(&graph, GLIA_ONNX_GRAPH_INITIALIZER, &tensor);
    put_node(&graph, "Relu", "v", "y", NULL);
    end_small(17);
}

TEST(external_data) {
    scratch_make();
    static const float data[6] = {0, -1, 2, -3, 4, 5};
    glia_error err = {0};
    scratch_put("weights", data, sizeof data);
    put_external("weights", "8");
    CHECK_OK(import(put(&model), NULL, &err), &err);
    put_external("weights", "9"); /* one byte too far */
    check_refused(GLIA_BAD_FORMAT, "reach beyond the end of their file");
    put_external("weights", "-8");
    check_refused(GLIA_BAD_FORMAT, "reach beyond the end of their file");
    put_external("weights", "9223372036854775807");
    check_refused(GLIA_BAD_FORMAT, "reach beyond the end of their file");
    put_external("weights", "1e3");
    check_refused(GLIA_BAD_FORMAT, "is no number");
    static const char *const outside[] = {"../weights", "a/../../weights", "/etc/passwd", "..",
                                          "",           "a\\..\\b",        "C:x"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        put_external(outside[i], "0");
        check_refused(GLIA_BAD_FORMAT, "outside of the model's folder");
    }
    put_external("..weights", "0"); /* a strange name, but of this folder */
    check_refused(GLIA_NOT_FOUND, "cannot read");
    scratch_remove();
}

TEST(copies_take_their_data_along) {
    scratch_make();
    static const float data[4] = {0, -1, 2, -3};
    glia_error err = {0};
    char folder[256];
    const char *copied[] = {"m.onnx", "weights"};
    snprintf(folder, sizeof folder, "%s/copy", scratch);
    scratch_put("weights", data, sizeof data);
    put_external("weights", "0");
    CHECK_OK(glia__onnx_copy(put(&model), folder, &err), &err);
    unlink(scratch_path("weights"));
    CHECK_OK(import(scratch_path("copy/m.onnx"), NULL, &err), &err);
    CHECK_OK(glia__onnx_copy(scratch_path("copy/m.onnx"), folder, &err), &err); /* to itself: nothing to do */
    CHECK_OK(import(scratch_path("copy/m.onnx"), NULL, &err), &err);
    CHECK_ERR(glia__onnx_copy(scratch_path("m.onnx"), folder, &err), GLIA_NOT_FOUND, &err, "cannot read");
    err = (glia_error){0};
    put_external("../weights", "0");
    CHECK_ERR(glia__onnx_copy(put(&model), folder, &err), GLIA_BAD_FORMAT, &err,
              "outside of the model's folder");
    for (int i = 0; i < 2; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/%s", folder, copied[i]);
        CHECK(unlink(path) == 0);
    }
    CHECK(rmdir(folder) == 0);
    scratch_remove();
}

/* Depth and numbers that only an attacker has use for: time and memory stay small. */
TEST(hostile_sizes) {
    scratch_make();
    static buffer inner, outer;
    inner.count = 0;
    for (int depth = 0; depth < 10000 && inner.count < sizeof inner.data - 16; depth++) {
        outer = inner;
        inner.count = 0;
        put_message(&inner, GLIA_ONNX_ATTR_G, &outer); /* a graph in an attribute in a graph … */
    }
    put_small();
    put_node(&graph, "If", "h", "z", &inner);
    put_value(&graph, GLIA_ONNX_GRAPH_OUTPUT, "z", GLIA_ONNX_F32, (int64_t[]){1}, 1);
    end_small(17);
    check_refused(GLIA_UNSUPPORTED, "If ('z': control flow is not supported)");
    graph.count = 0;
    for (int i = 0; i < 20000; i++) put_data(&graph, GLIA_ONNX_GRAPH_INITIALIZER, "", 0);
    end_small(17);
    check_refused(GLIA_BAD_FORMAT, "");
    static const int64_t huge[2] = {INT64_C(1) << 30, INT64_C(1) << 30};
    graph.count = 0;
    put_initializer(&graph, "v", GLIA_ONNX_I64, (int64_t[]){2}, 1, huge, 16);
    put_node(&graph, "ConstantOfShape", "v", "y", NULL);
    end_small(17);
    check_refused(GLIA_UNSUPPORTED, "ConstantOfShape ('y': a constant of this size is too large");
    scratch_remove();
}

/* The file as a layer: its names, its numbers, cut and frozen. */
TEST(layer) {
    scratch_make();
    put_small();
    end_small(17);
    char options[600], frozen[700];
    snprintf(options, sizeof options, "file=%s", put(&model));
    glia_error err = {0};
    for (int kept = 0; kept < 2; kept++) {
        glia_model *to = glia_model_new("m");
        glia_value *x = glia_input(to, "x", .shape = {3});
        snprintf(frozen, sizeof frozen, "%s output=h trainable=no", options);
        glia_value *y = glia_layer(to, "onnx", NULL, &x, 1, kept ? frozen : options);
        CHECK_STR(glia_value_op(y), kept ? "linear" : "relu");
        glia_model_set_output(to, glia_dense(y, .units = 2));
        CHECK_OK(glia_model_initialize(to, 1, &err), &err);
        glia_tensor w = glia_model_get_param(to, "w"), b = glia_model_get_param(to, "b");
        CHECK(w.data && b.data);
        CHECK_NEAR(w.data ? glia_tensor_get(&w, 5) : 0, -3, 0);
        CHECK_NEAR(b.data ? glia_tensor_get(&b, 1) : 0, 0.25, 0);
        CHECK_INT(glia_model_param_trained(to, 0), !kept);
        CHECK_INT(glia_model_params(to), 4);
        glia_model_free(to);
    }
    glia_model *to = glia_model_new("m");
    glia_value *x = glia_input(to, "x", .shape = {4});
    CHECK(glia_layer(to, "onnx", NULL, &x, 1, options) == NULL);
    CHECK_ERR(glia_model_status(to, &err), GLIA_BAD_SHAPE, &err,
              "gets f32 N×4 as 'x', its file wants f32 N×3");
    glia_model_free(to);
    to = glia_model_new("m");
    x = glia_input(to, "x", .shape = {3});
    CHECK(glia_layer(to, "onnx", NULL, &x, 1, "file=/nonexistent/a.onnx") == NULL);
    CHECK_ERR(glia_model_status(to, &err), GLIA_NOT_FOUND, &err, "cannot read /nonexistent/a.onnx");
    glia_model_free(to);
    scratch_remove();
}

TEST(every_allocation_may_fail) {
    scratch_make();
    put_small();
    end_small(17);
    const char *path = put(&model);
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_status status = import(path, &memory.allocator, &err);
        CHECK_FAILED_ONCE(memory, status);
    }
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(read_and_run), TEST_ENTRY(symbolic_shapes_are_computed),
          TEST_ENTRY(what_is_not_supported_is_named_together), TEST_ENTRY(damaged_files),
          TEST_ENTRY(tensors_that_lie), TEST_ENTRY(external_data), TEST_ENTRY(copies_take_their_data_along),
          TEST_ENTRY(hostile_sizes), TEST_ENTRY(layer), TEST_ENTRY(every_allocation_may_fail))
