/* ONNX files, read back by a small decoder of protobuf that shares nothing with the writer but the numbers of fields. */
#include "onnx/fields.h"
#include "recipe/export.h"
#include "test.h"

#include "scratch.h"
#include "toy.h"

/* --- the decoder: a message is a run of fields ------------------------------------------------------------- */

typedef struct field {
    int number, wire;
    uint64_t value;            /* of varints */
    const unsigned char *data; /* of bytes and fixed numbers */
    size_t bytes;
} field;

typedef struct message {
    const unsigned char *at, *end;
    bool bad;
} message;

static uint64_t varint(message *m) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (m->at == m->end) break;
        const unsigned char byte = *m->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return value;
    }
    m->bad = true;
    return 0;
}

static bool next(message *m, field *f) {
    if (m->at == m->end || m->bad) return false;
    const uint64_t tag = varint(m);
    *f = (field){.number = (int)(tag >> 3), .wire = (int)(tag & 7)};
    if (f->wire == GLIA_WIRE_VARINT) {
        f->value = varint(m);
        return !m->bad;
    }
    f->bytes = f->wire == GLIA_WIRE_BYTES ? (size_t)varint(m) : f->wire == GLIA_WIRE_I32 ? 4 : 8;
    if (f->bytes > (size_t)(m->end - m->at)) m->bad = true;
    f->data = m->at;
    if (!m->bad) m->at += f->bytes;
    return !m->bad;
}

static message inside(const field *f) {
    return (message){f->data, f->data + f->bytes, false};
}

/* The `index`th field `number` of a message; its number is 0 when there is none. */
static field get(message m, int number, int index) {
    field f;
    while (next(&m, &f))
        if (f.number == number && index-- == 0) return f;
    CHECK(!m.bad);
    return (field){.number = 0};
}

static int count(message m, int number) {
    int n = 0;
    while (get(m, number, n).number) n++;
    return n;
}

static bool is_text(const field *f, const char *text) {
    return f->bytes == strlen(text) && f->data && memcmp(f->data, text, f->bytes) == 0;
}

/* The message among fields `list` whose field `name` is `text`. */
static message named(message m, int list, int name, const char *text) {
    field f;
    for (int i = 0; (f = get(m, list, i)).number; i++) {
        const field n = get(inside(&f), name, 0);
        if (is_text(&n, text)) return inside(&f);
    }
    CHECK(!"a message of that name");
    return (message){NULL, NULL, false};
}

/* --- files ------------------------------------------------------------------------------------------------ */

typedef struct file {
    char *data;
    size_t bytes;
} file;

static file slurp(const char *path) {
    file f = {NULL, 0};
    FILE *in = fopen(path, "rb");
    CHECK(in != NULL);
    if (!in) return f;
    f.data = malloc(1 << 20);
    f.bytes = fread(f.data, 1, 1 << 20, in);
    fclose(in);
    return f;
}

static message whole(const file *f) {
    return (message){(const unsigned char *)f->data, (const unsigned char *)f->data + f->bytes, false};
}

typedef struct setup {
    glia_model *model;
    glia_export_model e;
} setup;

static void open_setup(setup *s) {
    glia_error err = {0};
    scratch_make();
    s->model = toy_model(TOY_CLASSES, NULL);
    CHECK_OK(glia_model_initialize(s->model, 1, &err), &err);
    CHECK_OK(glia__export_of_model(&s->e, s->model, &err), &err);
}

static void close_setup(setup *s) {
    glia__export_free(&s->e);
    glia_model_free(s->model);
    scratch_remove();
}

static void write_as(const setup *s, const char *options, const char *path, glia_export_result *result) {
    glia_error err = {0};
    const glia_exporter *exporter = NULL;
    CHECK_OK(glia__exporter_find(&exporter, "onnx", NULL, &err), &err);
    CHECK_OK(glia__export_write(&s->e.model, exporter, options, path, result, &err), &err);
}

/* --- tests ------------------------------------------------------------------------------------------------ */

TEST(model) {
    setup s;
    open_setup(&s);
    const char *labels[] = {"red", "\"green\"", "blue"}, *path = scratch_path("toy.onnx");
    const glia_key_value facts[] = {{"seed", "7"}};
    s.e.model.classes = TOY_CLASSES;
    s.e.model.labels = labels;
    s.e.model.facts = facts;
    s.e.model.n_facts = 1;
    glia_export_result result;
    write_as(&s, NULL, path, &result);
    file f = slurp(path);
    CHECK_INT(result.files[0].bytes, f.bytes);

    message m = whole(&f);
    CHECK_INT(get(m, GLIA_ONNX_MODEL_IR_VERSION, 0).value, 8);
    field opset = get(m, GLIA_ONNX_MODEL_OPSET_IMPORT, 0), graph_field = get(m, GLIA_ONNX_MODEL_GRAPH, 0);
    CHECK_INT(get(inside(&opset), GLIA_ONNX_OPSET_VERSION, 0).value, 17);
    message entry = named(m, GLIA_ONNX_MODEL_METADATA, GLIA_ONNX_METADATA_KEY, "labels");
    field value = get(entry, GLIA_ONNX_METADATA_VALUE, 0);
    CHECK(is_text(&value, "[\"red\",\"\\\"green\\\"\",\"blue\"]"));
    entry = named(m, GLIA_ONNX_MODEL_METADATA, GLIA_ONNX_METADATA_KEY, "seed");
    value = get(entry, GLIA_ONNX_METADATA_VALUE, 0);
    CHECK(is_text(&value, "7"));

    message graph = inside(&graph_field);
    CHECK_INT(count(graph, GLIA_ONNX_GRAPH_NODE), 3); /* dropout is gone */
    CHECK_INT(count(graph, GLIA_ONNX_GRAPH_INITIALIZER), 4);
    message w = named(graph, GLIA_ONNX_GRAPH_INITIALIZER, GLIA_ONNX_TENSOR_NAME, "hidden.weight");
    CHECK_INT(get(w, GLIA_ONNX_TENSOR_DIMS, 0).value, 8);
    CHECK_INT(get(w, GLIA_ONNX_TENSOR_DIMS, 1).value, TOY_WIDTH);
    CHECK_INT(get(w, GLIA_ONNX_TENSOR_DATA_TYPE, 0).value, GLIA_ONNX_F32);
    value = get(w, GLIA_ONNX_TENSOR_RAW_DATA, 0);
    CHECK_INT(value.bytes, 8 * TOY_WIDTH * 4);
    CHECK(memcmp(value.data, s.e.model.params[0].data, value.bytes) == 0);

    message x = named(graph, GLIA_ONNX_GRAPH_INPUT, GLIA_ONNX_VALUE_NAME, "x");
    field type = get(x, GLIA_ONNX_VALUE_TYPE, 0), tensor = get(inside(&type), GLIA_ONNX_TYPE_TENSOR, 0);
    field shape = get(inside(&tensor), GLIA_ONNX_TENSOR_TYPE_SHAPE, 0);
    field n = get(inside(&shape), GLIA_ONNX_SHAPE_DIM, 0),
          width = get(inside(&shape), GLIA_ONNX_SHAPE_DIM, 1);
    field symbol = get(inside(&n), GLIA_ONNX_DIM_PARAM, 0);
    CHECK(is_text(&symbol, "N"));
    CHECK_INT(get(inside(&width), GLIA_ONNX_DIM_VALUE, 0).value, TOY_WIDTH);
    field gemm = get(graph, GLIA_ONNX_GRAPH_NODE, 0), op = get(inside(&gemm), GLIA_ONNX_NODE_OP_TYPE, 0);
    CHECK(is_text(&op, "Gemm"));
    message trans = named(inside(&gemm), GLIA_ONNX_NODE_ATTRIBUTE, GLIA_ONNX_ATTR_NAME, "transB");
    CHECK_INT(get(trans, GLIA_ONNX_ATTR_I, 0).value, 1);
    CHECK_INT(get(trans, GLIA_ONNX_ATTR_TYPE, 0).value, GLIA_ONNX_INT);
    free(f.data);
    close_setup(&s);
}

TEST(external_data) {
    setup s;
    open_setup(&s);
    const char *path = scratch_path("toy.onnx"), *data_path = scratch_path("toy.onnx.data");
    glia_export_result result;
    write_as(&s, "external=96", path, &result); /* both weights, no bias */
    CHECK_INT(result.n_files, 2);
    file f = slurp(path), data = slurp(data_path);
    field graph = get(whole(&f), GLIA_ONNX_MODEL_GRAPH, 0);
    message w = named(inside(&graph), GLIA_ONNX_GRAPH_INITIALIZER, GLIA_ONNX_TENSOR_NAME, "head.weight");
    CHECK_INT(get(w, GLIA_ONNX_TENSOR_DATA_LOCATION, 0).value, GLIA_ONNX_LOCATION_EXTERNAL);
    CHECK_INT(count(w, GLIA_ONNX_TENSOR_RAW_DATA), 0);
    message place = named(w, GLIA_ONNX_TENSOR_EXTERNAL_DATA, GLIA_ONNX_METADATA_KEY, "location");
    field value = get(place, GLIA_ONNX_METADATA_VALUE, 0);
    CHECK(is_text(&value, "toy.onnx.data"));
    place = named(w, GLIA_ONNX_TENSOR_EXTERNAL_DATA, GLIA_ONNX_METADATA_KEY, "offset");
    value = get(place, GLIA_ONNX_METADATA_VALUE, 0);
    CHECK(is_text(&value, "4096"));
    CHECK_INT(data.bytes, 4096 + TOY_CLASSES * 8 * 4);
    message b = named(inside(&graph), GLIA_ONNX_GRAPH_INITIALIZER, GLIA_ONNX_TENSOR_NAME, "head.bias");
    CHECK_INT(count(b, GLIA_ONNX_TENSOR_RAW_DATA), 1);
    free(f.data);
    free(data.data);
    close_setup(&s);
}

TEST(the_same_bytes) {
    setup s;
    open_setup(&s);
    glia_export_result result;
    const char *a_path = scratch_path("a.onnx"), *b_path = scratch_path("b.onnx");
    write_as(&s, "opset=23", a_path, &result);
    write_as(&s, "opset=23", b_path, &result);
    file a = slurp(a_path), b = slurp(b_path);
    CHECK(a.bytes == b.bytes && memcmp(a.data, b.data, a.bytes) == 0);
    CHECK_INT(get(whole(&a), GLIA_ONNX_MODEL_IR_VERSION, 0).value, 11);
    free(a.data);
    free(b.data);
    close_setup(&s);
}

TEST_MAIN(TEST_ENTRY(model), TEST_ENTRY(external_data), TEST_ENTRY(the_same_bytes))
