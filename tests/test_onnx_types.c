/* Types of numbers that Glia has no arrays of: read from bits, carried by wider ones, and kept within their range. */
#include "test.h"

#include "glia/onnx.h"
#include "glia/program.h"
#include "onnx/proto.h"
#include "onnx_bytes.h"
#include "scratch.h"

static buffer model, graph;

/* The model's only output after a run on `input`, which has the dtype of the file's only input; NULL: there is none. */
static glia_status run(void *input, glia_tensor *out, glia_error *err) {
    glia_onnx *file;
    glia_value *x = NULL, *y = NULL;
    glia_program *program = NULL;
    glia_dtype dtype = GLIA_F32;
    glia_shape shape = {0};
    glia_graph *to = glia_graph_new(NULL);
    glia_status status = glia_onnx_open(&file, scratch_put("m.onnx", model.data, model.count), NULL, err);
    if (status == GLIA_OK && input) status = glia_onnx_input_type(file, 0, &dtype, &shape, err);
    if (status == GLIA_OK && input) x = glia_graph_input(to, "x", dtype, shape);
    const glia_onnx_options options = {.inputs = &x, .n_inputs = input ? 1 : 0};
    if (status == GLIA_OK) status = glia_onnx_build(file, to, options, &y, 1, err);
    glia_onnx_close(file);
    if (status == GLIA_OK) status = glia_program_new(&program, to, &y, 1, (glia_program_options){0}, err);
    if (status == GLIA_OK && input) status = glia_program_bind(program, x, input, err);
    if (status == GLIA_OK) status = glia_program_run(program, 0, err);
    if (status == GLIA_OK) {
        const glia_tensor y_is = glia_program_output(program, y);
        CHECK_OK(glia_tensor_new(out, y_is.dtype, y_is.shape, NULL, err), err);
        memcpy(out->data, y_is.data, glia_tensor_bytes(&y_is));
    }
    glia_program_free(program);
    glia_graph_free(to);
    return status;
}

static void check_output(void *input, glia_dtype dtype, const double *want, int64_t count) {
    glia_error err = {0};
    glia_tensor out = {0};
    CHECK_OK(run(input, &out, &err), &err);
    if (!out.data) return;
    CHECK_STR(glia_dtype_name(out.dtype), glia_dtype_name(dtype));
    CHECK_INT(glia_shape_elems(&out.shape), count);
    for (int64_t i = 0; i < count; i++) {
        const double found = glia_tensor_get(&out, i);
        CHECK(found == want[i] || (isnan(found) && isnan(want[i])));
    }
    glia_tensor_free(&out);
}

/* The numbers of an initializer 'v', as Cast makes them doubles. */
static void end_cast(void) {
    put_node(&graph, "Cast", "v", "y", int_attr("to", GLIA_ONNX_F64));
    put_value(&graph, GLIA_ONNX_GRAPH_OUTPUT, "y", GLIA_ONNX_F64, NULL, 0);
    put_model(&model, &graph, 25);
}

static void check_bits(int type, const void *bits, size_t bytes, int64_t count, const double *want) {
    graph.count = 0;
    put_initializer(&graph, "v", type, (int64_t[]){count}, 1, bits, bytes);
    end_cast();
    check_output(NULL, GLIA_F64, want, count);
}

#define BITS(type, count, bytes, ...) \
    check_bits(GLIA_ONNX_##type, "" bytes, sizeof("" bytes) - 1, count, (const double[]){__VA_ARGS__})

TEST(bits_are_numbers) {
    scratch_make();
    BITS(I8, 3, "\x80\xff\x7f", -128, -1, 127);
    BITS(U16, 2, "\xff\xff\x01\x00", 65535, 1);
    BITS(I16, 2, "\xff\xff\x00\x80", -1, -32768);
    BITS(U32, 1, "\xff\xff\xff\xff", 4294967295.0);
    BITS(U4, 3, "\xf1\x07", 1, 15, 7);
    BITS(I4, 3, "\xf1\x08", 1, -1, -8);
    BITS(U2, 5, "\xe4\x02", 0, 1, 2, 3, 2);
    BITS(I2, 4, "\xe4", 0, 1, -2, -1);
    BITS(F16, 5, "\x00\x3c\x00\xc0\x00\xfc\x01\x00\xff\x7b", 1, -2, -INFINITY, 0x1p-24, 65504);
    BITS(F8E4M3FN, 5, "\x38\xb8\x7e\x7f\x01", 1, -1, 448, NAN, 0x1p-9);
    BITS(F8E4M3FNUZ, 4, "\x40\x80\x7f\x01", 1, NAN, 240, 0x1p-10);
    BITS(F8E5M2, 5, "\x3c\xfc\x7f\x7b\x01", 1, -INFINITY, NAN, 57344, 0x1p-16);
    BITS(F8E5M2FNUZ, 4, "\x40\x80\x7f\x01", 1, NAN, 57344, 0x1p-17);
    BITS(F4E2M1, 4, "\x27\x19", 6, 1, -0.5, 0.5);
    scratch_remove();
}

/* The same, where a file has them as a list of numbers: those narrower than 8 bits lie together in one. */
TEST(lists_are_numbers) {
    scratch_make();
    static buffer tensor, list;
    graph.count = list.count = 0;
    put_varint(&list, 0xf1);
    put_varint(&list, 0x08);
    put_tensor_head(&tensor, "v", GLIA_ONNX_I4, (int64_t[]){3}, 1);
    put_message(&tensor, GLIA_ONNX_TENSOR_INT32_DATA, &list);
    put_message(&graph, GLIA_ONNX_GRAPH_INITIALIZER, &tensor);
    end_cast();
    check_output(NULL, GLIA_F64, (const double[]){1, -1, -8}, 3);
    graph.count = list.count = 0;
    put_varint(&list, 4000000000);
    put_tensor_head(&tensor, "v", GLIA_ONNX_U32, (int64_t[]){1}, 1);
    put_message(&tensor, GLIA_ONNX_TENSOR_UINT64_DATA, &list);
    put_message(&graph, GLIA_ONNX_GRAPH_INITIALIZER, &tensor);
    end_cast();
    check_output(NULL, GLIA_F64, (const double[]){4e9}, 1);
    scratch_remove();
}

/* y = x + x of a type; then what follows reads y. */
static void put_double(int type, int64_t count, int64_t opset) {
    graph.count = 0;
    put_value(&graph, GLIA_ONNX_GRAPH_INPUT, "x", type, (int64_t[]){count}, 1);
    put_node(&graph, "Add", "x x", "y", NULL);
    put_value(&graph, GLIA_ONNX_GRAPH_OUTPUT, "y", type, (int64_t[]){count}, 1);
    put_model(&model, &graph, opset);
}

TEST(whole_numbers_wrap_and_floats_do_not_round) {
    scratch_make();
    put_double(GLIA_ONNX_I8, 3, 14);
    check_output((int32_t[]){100, -100, 5}, GLIA_I32, (const double[]){-56, 56, 10}, 3);
    put_double(GLIA_ONNX_U16, 2, 14);
    check_output((int32_t[]){40000, 5}, GLIA_I32, (const double[]){14464, 10}, 2);
    put_double(GLIA_ONNX_U32, 2, 14);
    check_output((int64_t[]){3000000000, 5}, GLIA_I64, (const double[]){1705032704, 10}, 2);
    put_double(GLIA_ONNX_F16, 2, 14);
    check_output((float[]){40000, 0x1p-24f}, GLIA_F32, (const double[]){80000, 0x1p-23}, 2);
    scratch_remove();
}

/* The places of the largest are i64, and no numbers of x's type. */
TEST(other_results_keep_their_type) {
    scratch_make();
    graph.count = 0;
    put_value(&graph, GLIA_ONNX_GRAPH_INPUT, "x", GLIA_ONNX_U32, (int64_t[]){3}, 1);
    put_initializer(&graph, "most", GLIA_ONNX_I64, (int64_t[]){1}, 1, &(const int64_t){INT64_C(1) << 40}, 8);
    put_node(&graph, "ArgMax", "x", "at", int_attr("keepdims", 1));
    put_node(&graph, "Add", "at most", "y", NULL);
    put_value(&graph, GLIA_ONNX_GRAPH_OUTPUT, "y", GLIA_ONNX_I64, (int64_t[]){1}, 1);
    put_model(&model, &graph, 14);
    check_output((int64_t[]){5, 9, 7}, GLIA_I64, (const double[]){0x1p40 + 1}, 1);
    scratch_remove();
}

TEST(what_nothing_carries_is_refused) {
    scratch_make();
    glia_error err = {0};
    glia_tensor out = {0};
    graph.count = 0;
    put_initializer(&graph, "v", GLIA_ONNX_U64, (int64_t[]){1}, 1, "\1\0\0\0\0\0\0\0", 8);
    end_cast();
    CHECK_ERR(run(NULL, &out, &err), GLIA_UNSUPPORTED, &err,
              "'v' has the type uint64, which is not supported");
    graph.count = 0;
    put_initializer(&graph, "v", GLIA_ONNX_F32, (int64_t[]){1}, 1, "\0\0\0\0", 4);
    put_node(&graph, "Cast", "v", "y", int_attr("to", GLIA_ONNX_C64));
    put_value(&graph, GLIA_ONNX_GRAPH_OUTPUT, "y", GLIA_ONNX_C64, NULL, 0);
    put_model(&model, &graph, 25);
    CHECK_ERR(run(NULL, &out, &err), GLIA_UNSUPPORTED, &err, "the type complex64 is not supported");
    graph.count = 0;
    put_initializer(&graph, "v", GLIA_ONNX_I4, (int64_t[]){3}, 1, "\0\0\0", 3);
    end_cast();
    CHECK_ERR(run(NULL, &out, &err), GLIA_BAD_FORMAT, &err,
              "int4 data of its dimensions are 2 bytes, the file holds 3");
    scratch_remove();
}

static glia_value *make_parameter(void *ctx, const char *name, const glia_tensor *data, bool trained) {
    const double *want = ctx;
    CHECK_STR(name, "w");
    CHECK(trained && data->dtype == GLIA_F32);
    CHECK_NEAR(glia_tensor_get(data, 0), *want, 0);
    return NULL; /* as if there were no memory */
}

/* Weights of f16 become parameters of f32, which can be trained. */
TEST(half_weights_are_parameters) {
    scratch_make();
    glia_onnx *file;
    glia_value *y;
    glia_error err = {0};
    double want = 1.5;
    graph.count = 0;
    put_value(&graph, GLIA_ONNX_GRAPH_INPUT, "x", GLIA_ONNX_F16, (int64_t[]){-1, 1}, 2);
    put_initializer(&graph, "w", GLIA_ONNX_F16, (int64_t[]){1, 1}, 2, "\x00\x3e", 2);
    put_node(&graph, "MatMul", "x w", "y", NULL);
    put_value(&graph, GLIA_ONNX_GRAPH_OUTPUT, "y", GLIA_ONNX_F16, (int64_t[]){-1, 1}, 2);
    put_model(&model, &graph, 14);
    glia_graph *to = glia_graph_new(NULL);
    const glia_onnx_options options = {.parameters = {.ctx = &want, .make = make_parameter}};
    CHECK_OK(glia_onnx_open(&file, scratch_put("m.onnx", model.data, model.count), NULL, &err), &err);
    const int before = test_checks;
    CHECK(glia_onnx_build(file, to, options, &y, 1, &err) != GLIA_OK);
    CHECK(test_checks >= before + 3); /* it was asked for */
    glia_graph_free(to);
    glia_onnx_close(file);
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(bits_are_numbers), TEST_ENTRY(lists_are_numbers),
          TEST_ENTRY(whole_numbers_wrap_and_floats_do_not_round), TEST_ENTRY(other_results_keep_their_type),
          TEST_ENTRY(what_nothing_carries_is_refused), TEST_ENTRY(half_weights_are_parameters))
