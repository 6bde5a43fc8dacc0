/* Weights under the names and in the layouts of other frameworks: read, written, reported. */
#include "test.h"

#include "failing_allocator.h"
#include "glia/glia.h"
#include "recipe/export.h"
#include "scratch.h"
#include "train/names.h"

#ifdef GLIA_HAVE_JSON
#define A_SECOND_FORMAT "a.safetensors"
#else
#define A_SECOND_FORMAT "b.npz"
#endif

/* conv2d, batch_norm, dense on a flattened picture of 3×2×2, dense_1. */
static glia_model *network(const glia_allocator *allocator) {
    glia_model *m = glia_model_new_with("net", allocator);
    glia_value *x = glia_input(m, "image", .shape = {2, 4, 4});
    x = glia_conv2d(x, .filters = 3, .kernel = {3, 3}, .activation = "relu");
    x = glia_batch_norm(x);
    x = glia_dropout(glia_flatten(x), 0.5);
    x = glia_dense(x, .units = 5, .activation = "relu");
    glia_model_set_output(m, glia_dense(x, .units = 5));
    return m;
}

static const char *const parameters[] = {"conv2d.weight",
                                         "conv2d.bias",
                                         "batch_norm.weight",
                                         "batch_norm.bias",
                                         "batch_norm.running_mean",
                                         "batch_norm.running_var",
                                         "dense.weight",
                                         "dense.bias",
                                         "dense_1.weight",
                                         "dense_1.bias"};

/* Every number of the model different. */
static void number(glia_model *m) {
    float next = 1;
    glia_error err = {0};
    CHECK_OK(glia_model_initialize(m, 1, &err), &err);
    for (size_t i = 0; i < glia_model_params(m); i++) {
        glia_tensor t = glia_model_param_data(m, i);
        for (int64_t k = 0; k < glia_shape_elems(&t.shape); k++) ((float *)t.data)[k] = next++;
    }
}

static bool same_weights(glia_model *a, glia_model *b) {
    bool same = glia_model_params(a) == glia_model_params(b);
    for (size_t i = 0; same && i < glia_model_params(a); i++) {
        glia_tensor x = glia_model_param_data(a, i), y = glia_model_param_data(b, i);
        same = y.data && memcmp(x.data, y.data, glia_tensor_bytes(&x)) == 0;
    }
    return same;
}

static glia_status export_as(glia_model *m, const char *path, const char *names, glia_error *err) {
    char options[64];
    glia_export_model e;
    const glia_exporter *exporter;
    snprintf(options, sizeof options, "names=%s", names);
    glia_status status = glia__export_of_model(&e, m, err);
    if (status == GLIA_OK) status = glia__exporter_find(&exporter, NULL, path, err);
    if (status == GLIA_OK) status = glia__export_write(&e.model, exporter, options, path, NULL, err);
    glia__export_free(&e);
    return status;
}

static float at(const glia_weights *w, const char *name, int64_t index) {
    for (size_t i = 0; i < glia_weights_count(w); i++)
        if (strcmp(glia_weights_name(w, i), name) == 0) {
            glia_tensor t = glia_weights_tensor(w, i);
            return (float)glia_tensor_get(&t, index);
        }
    printf("no array %s\n", name);
    return NAN;
}

static float ours(const glia_model *m, const char *name, int64_t index) {
    glia_tensor t = glia_model_get_param(m, name);
    return t.data ? ((const float *)t.data)[index] : NAN;
}

static glia_weights *opened(const char *name) {
    glia_error err = {0};
    glia_weights *w;
    CHECK_OK(glia_weights_open(&w, scratch_path(name), NULL, &err), &err);
    return w;
}

/* Written under every convention and read back the same, also when nobody says which it is. */
TEST(round_trips) {
    const char *doc, *name, *files[] = {"a.npz", A_SECOND_FORMAT};
    glia_model *a = network(NULL);
    scratch_make();
    number(a);
    for (size_t i = 0; (name = glia_names_list(i, &doc)); i++)
        for (size_t k = 0; k < 4; k++) {
            glia_error err = {0};
            glia_model *b = network(NULL);
            glia_import_report *report;
            CHECK_OK(export_as(a, scratch_path(files[k % 2]), name, &err), &err);
            glia_weights *w = opened(files[k % 2]);
            CHECK_OK(glia_model_import(b, w, &report, &err, .names = k < 2 ? name : "auto"), &err);
            CHECK_INT(report->loaded, 10);
            CHECK_INT(report->count, 10);
            CHECK(same_weights(a, b));
            glia_import_report_free(report);
            glia_weights_close(w);
            glia_model_free(b);
        }
    CHECK_INT(glia__all_names_count, 4);
    glia_model_free(a);
    scratch_remove();
}

/* Where every number goes in Keras: HWIO, [in, out], and flattened pictures with their channels last. */
TEST(keras_layouts) {
    glia_error err = {0};
    glia_model *m = network(NULL);
    scratch_make();
    number(m);
    CHECK_OK(export_as(m, scratch_path("k.npz"), "keras", &err), &err);
    glia_weights *w = opened("k.npz");
    for (int o = 0; o < 3; o++)
        for (int i = 0; i < 2; i++)
            for (int y = 0; y < 3; y++)
                for (int x = 0; x < 3; x++)
                    CHECK_NEAR(at(w, "conv2d/kernel", ((y * 3 + x) * 2 + i) * 3 + o),
                               ours(m, "conv2d.weight", ((o * 2 + i) * 3 + y) * 3 + x), 0);
    for (int o = 0; o < 5; o++)
        for (int c = 0; c < 3; c++)
            for (int p = 0; p < 4; p++) /* row and column */
                CHECK_NEAR(at(w, "dense/kernel", (p * 3 + c) * 5 + o),
                           ours(m, "dense.weight", (o * 3 + c) * 4 + p), 0);
    for (int o = 0; o < 5; o++)
        for (int i = 0; i < 5; i++)
            CHECK_NEAR(at(w, "dense_1/kernel", i * 5 + o), ours(m, "dense_1.weight", o * 5 + i), 0);
    CHECK_NEAR(at(w, "batch_normalization/moving_variance", 2), ours(m, "batch_norm.running_var", 2), 0);
    glia_weights_close(w);
    glia_model_free(m);
    scratch_remove();
}

/* Orders of gates, which no layer has yet: PyTorch's ifgo and rzn read as ONNX's iofc and zrh, and back. */
TEST(gates) {
    static const char names[] = "ifgo:iogf";
    const glia_names convention = {.name = "test", .separator = '.'};
    const glia_names_row row = {.axes = "gi:ig", .gates = names};
    const glia_names_param p = {.kind = "", .array = "", .full = "", .shape = GLIA_SHAPE(8, 3)};
    glia_layout layout;
    float here[24], there[24], back[24];
    for (int i = 0; i < 24; i++) here[i] = (float)i;
    CHECK(glia__layout_make(&convention, &p, &row, &layout));
    CHECK(layout.theirs.dim[0] == 3 && layout.theirs.dim[1] == 8);
    glia__layout_write(&layout, here, there);
    for (int i = 0; i < 3; i++)
        for (int block = 0; block < 4; block++)
            for (int k = 0; k < 2; k++) {
                int from = (int)(strchr(names, names[5 + block]) - names);
                CHECK_NEAR(there[i * 8 + block * 2 + k], here[(from * 2 + k) * 3 + i], 0);
            }
    glia_tensor t = glia_tensor_wrap(there, GLIA_F32, layout.theirs);
    glia__layout_read(&layout, &t, back);
    CHECK(memcmp(here, back, sizeof here) == 0);
    const glia_names_param odd = {.kind = "", .array = "", .full = "", .shape = GLIA_SHAPE(7, 3)};
    CHECK(!glia__layout_make(&convention, &odd, &row, &layout));
}

/* --- what files have and models do not --- */

typedef struct fake {
    const char *name;
    glia_shape shape;
} fake;

/* Writes arrays of zeros, but for the first number, which is the array's place from 1. */
static glia_weights *fake_file(const char *file, const fake *arrays, size_t count) {
    static float data[16][256];
    glia_named_tensor named[16];
    glia_error err = {0};
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < 256; k++) data[i][k] = (float)(i + 1) + (float)k / 256;
        named[i] = (glia_named_tensor){arrays[i].name, glia_tensor_wrap(data[i], GLIA_F32, arrays[i].shape)};
    }
    CHECK_OK(glia_weights_write(scratch_path(file), named, count, NULL, 0, &err), &err);
    return opened(file);
}

TEST(report) {
    const fake arrays[] = {{"model.conv2d.weight", GLIA_SHAPE(3, 2, 3, 3)},
                           {"model.conv2d.bias", GLIA_SHAPE(3)},
                           {"model.dense.weight", GLIA_SHAPE(5, 13)},
                           {"model.head.weight", GLIA_SHAPE(7)},
                           {"model.batch_norm.num_batches_tracked", GLIA_SHAPE(1)}};
    glia_error err = {0};
    glia_import_report *r;
    glia_model *m = network(NULL);
    scratch_make();
    glia_weights *w = fake_file("p.npz", arrays, 5);
    CHECK_ERR(
        glia_model_import(m, w, &r, &err), GLIA_NOT_FOUND, &err,
        "the weights are not all of this model (2 of 10 fit, by the names of pytorch): there is nothing for "
        "'batch_norm.weight'");
    CHECK(glia_model_get_param(m, "conv2d.weight").data == NULL); /* nothing has changed */
    CHECK_STR(r->names, "pytorch");
    CHECK(r->loaded == 2 && r->missing == 7 && r->misshaped == 1 && r->unexpected == 1 && r->ignored == 1);
    CHECK_INT(r->count, 12);
    for (size_t i = 0; i < 10; i++) CHECK_STR(r->entries[i].ours, parameters[i]);
    CHECK_INT(r->entries[6].state, GLIA_IMPORT_MISSHAPED);
    CHECK_STR(r->entries[6].theirs, "model.dense.weight");
    CHECK_INT(r->entries[6].theirs_shape.dim[1], 13);
    CHECK_INT(r->entries[10].state, GLIA_IMPORT_UNEXPECTED);
    CHECK_STR(r->entries[10].theirs, "model.head.weight");
    CHECK_INT(r->entries[11].state, GLIA_IMPORT_IGNORED);
    glia_import_report_free(r);

    number(m);
    CHECK_OK(glia_model_import(m, w, NULL, &err, .partial = true), &err);
    CHECK_NEAR(ours(m, "conv2d.weight", 0), 1, 0);
    CHECK_NEAR(ours(m, "dense.weight", 0), 3 * 2 * 9 + 3 + 4 * 3 + 1, 0); /* kept */
    CHECK_ERR(glia_model_import(m, w, NULL, &err, .names = "torch"), GLIA_INVALID_ARGUMENT, &err,
              "unknown names 'torch'; known: glia, huggingface, keras, pytorch");
    glia_weights_close(w);
    w = fake_file("none.npz", arrays + 3, 1);
    CHECK_ERR(glia_model_import(m, w, NULL, &err, .partial = true), GLIA_NOT_FOUND, &err,
              "none of the file's 1 arrays is of this model");
    glia_weights_close(w);
    glia_model_free(m);
    scratch_remove();
}

/* Layers that have other names, or none: by order, where shapes fit. */
TEST(order) {
    const fake arrays[] = {{"0.bias", GLIA_SHAPE(3)},        {"0.weight", GLIA_SHAPE(3, 2, 3, 3)},
                           {"10.bias", GLIA_SHAPE(5)},       {"10.weight", GLIA_SHAPE(5, 5)},
                           {"3.bias", GLIA_SHAPE(3)},        {"3.running_mean", GLIA_SHAPE(3)},
                           {"3.running_var", GLIA_SHAPE(3)}, {"3.weight", GLIA_SHAPE(3)},
                           {"7.bias", GLIA_SHAPE(5)},        {"7.weight", GLIA_SHAPE(5, 12)}};
    const fake loose[] = {{"arr_0", GLIA_SHAPE(3, 2, 3, 3)}, {"arr_1", GLIA_SHAPE(3)},
                          {"arr_2", GLIA_SHAPE(3)},          {"arr_3", GLIA_SHAPE(3)},
                          {"arr_4", GLIA_SHAPE(3)},          {"arr_5", GLIA_SHAPE(3)},
                          {"arr_6", GLIA_SHAPE(5, 12)},      {"arr_7", GLIA_SHAPE(5)},
                          {"arr_8", GLIA_SHAPE(5, 5)},       {"arr_10", GLIA_SHAPE(5)}};
    glia_error err = {0};
    glia_model *m = network(NULL);
    scratch_make();
    glia_weights *w = fake_file("o.npz", arrays, 10);
    CHECK_ERR(glia_model_import(m, w, NULL, &err), GLIA_NOT_FOUND, &err, "0 of 10 fit");
    CHECK_OK(glia_model_import(m, w, NULL, &err, .names = "order"), &err);
    const int places[] = {2, 1, 8, 5, 6, 7, 10, 9, 4, 3};
    for (int i = 0; i < 10; i++) CHECK_NEAR(ours(m, parameters[i], 0), places[i], 0);
    glia_weights_close(w);
    w = fake_file("l.npz", loose, 10);
    CHECK_OK(glia_model_import(m, w, NULL, &err, .names = "order"), &err);
    for (int i = 0; i < 10; i++) CHECK_NEAR(ours(m, parameters[i], 0), i + 1, 0);
    glia_weights_close(w);
    glia_model_free(m);
    scratch_remove();
}

/* GPT-2's dense layers lie the other way round, by their names; so do Keras 3's arrays, by their numbers. */
TEST(huggingface_and_keras3) {
    const fake gpt[] = {{"transformer.h.0.attn.c_attn.weight", GLIA_SHAPE(4, 6)},
                        {"transformer.h.0.attn.c_attn.bias", GLIA_SHAPE(6)},
                        {"transformer.h.0.attn.bias", GLIA_SHAPE(1, 1, 8, 8)},
                        {"transformer.wte.weight", GLIA_SHAPE(9, 4)},
                        {"lm_head.weight", GLIA_SHAPE(2, 6)}};
    const fake keras[] = {{"layers/dense/vars/0", GLIA_SHAPE(4, 6)},
                          {"layers/dense/vars/1", GLIA_SHAPE(6)},
                          {"optimizer/vars/0", GLIA_SHAPE(1)}};
    glia_error err = {0};
    glia_import_report *r;
    glia_model *m = glia_model_new("gpt"), *k = glia_model_new("k");
    glia_value *x = glia_input(m, "words", .shape = {3}, .dtype = GLIA_I64);
    x = glia_embedding(x, .vocabulary = 9, .units = 4, .name = "wte");
    glia_value *row = glia_input(m, "row", .shape = {4});
    row = glia_dense(row, .units = 6, .name = "h_0_attn_c_attn");
    glia_model_set_output(m, glia_dense(row, .units = 2, .name = "lm_head", .use_bias = GLIA_NO));
    glia_model_set_output(k, glia_dense(glia_input(k, "x", .shape = {4}), .units = 6));
    scratch_make();
    glia_weights *w = fake_file("g.npz", gpt, 5);
    CHECK_OK(glia_model_import(m, w, &r, &err), &err);
    CHECK_STR(r->names, "huggingface");
    CHECK(r->loaded == 4 && r->ignored == 1 && r->unexpected == 0);
    for (size_t i = 0; i < r->count; i++) CHECK_STR(r->entries[i].change, i == 1 ? "io → oi" : "");
    glia_import_report_free(r);
    glia_weights_close(w);
    w = fake_file("k.npz", keras, 3);
    CHECK_OK(glia_model_import(k, w, &r, &err), &err);
    CHECK(strcmp(r->names, "keras") == 0 && r->ignored == 1);
    glia_import_report_free(r);
    glia_weights_close(w);
    glia_model_free(m);
    glia_model_free(k);
    scratch_remove();
}

/* Convolutions of every kind have another order of axes in Keras: written, and read again. */
TEST(convolutions) {
    const struct {
        const char *layer, *options, *kernel;
        int64_t input[4];
        glia_shape there;
        int64_t from[5], to[5]; /* one weight, here and there */
    } kinds[] = {
        {"conv1d", "filters=4 kernel=3", "conv1d/kernel", {2, 8}, GLIA_SHAPE(3, 2, 4), {3, 1, 2}, {2, 1, 3}},
        {"conv3d",
         "filters=4 kernel=2,3,2",
         "conv3d/kernel",
         {2, 4, 4, 4},
         GLIA_SHAPE(2, 3, 2, 2, 4),
         {3, 1, 0, 2, 1},
         {0, 2, 1, 1, 3}},
        {"conv2d_transpose",
         "filters=4 kernel=3,2",
         "conv2d_transpose/kernel",
         {2, 5, 5},
         GLIA_SHAPE(3, 2, 4, 2),
         {1, 3, 2, 0},
         {2, 0, 3, 1}}};
    scratch_make();
    for (size_t k = 0; k < GLIA_COUNT(kinds); k++) {
        glia_error err = {0};
        glia_model *m = glia_model_new("m");
        glia_input_options input = {.dtype = GLIA_F32};
        memcpy(input.shape, kinds[k].input, sizeof kinds[k].input);
        glia_value *x = glia_input_with(m, "x", input);
        glia_model_set_output(m, glia_layer(m, kinds[k].layer, kinds[k].layer, &x, 1, kinds[k].options));
        CHECK_OK(glia_model_initialize(m, 5, &err), &err);
        CHECK_OK(export_as(m, scratch_path("c.npz"), "keras", &err), &err);
        glia_weights *w = opened("c.npz");
        const glia_tensor ours = glia_model_param_data(m, 0);
        for (size_t t = 0; t < glia_weights_count(w); t++) {
            const glia_tensor theirs = glia_weights_tensor(w, t);
            int64_t at = 0, there = 0;
            if (strcmp(glia_weights_name(w, t), kinds[k].kernel) != 0) continue;
            CHECK(glia_shape_equal(&theirs.shape, &kinds[k].there));
            for (int d = 0; d < theirs.shape.rank; d++) {
                at = at * ours.shape.dim[d] + kinds[k].from[d];
                there = there * theirs.shape.dim[d] + kinds[k].to[d];
            }
            CHECK_NEAR(glia_tensor_get(&ours, at), glia_tensor_get(&theirs, there), 0);
        }
        CHECK_OK(glia_model_import(m, w, NULL, &err), &err);
        glia_weights_close(w);
        glia_model_free(m);
    }
    scratch_remove();
}

/* Two steps of 2 numbers, read by 3 units in both directions or in one. */
static glia_model *recurrent_model(const char *layer, const char *options) {
    glia_model *m = glia_model_new(layer);
    glia_value *x = glia_input(m, "x", .shape = {2, 2});
    glia_model_set_output(m, glia_layer(m, layer, layer, &x, 1, options));
    return m;
}

static const float *param_of(const glia_model *m, const char *name) {
    for (size_t i = 0; i < glia_model_params(m); i++)
        if (strcmp(glia_value_name(glia_model_param_value(m, i)), name) == 0)
            return glia_model_param_data(m, i).data;
    return NULL;
}

TEST(recurrent_layers) {
    const fake torch[] = {{"lstm.weight_ih_l0", GLIA_SHAPE(12, 2)},
                          {"lstm.weight_hh_l0", GLIA_SHAPE(12, 3)},
                          {"lstm.bias_ih_l0", GLIA_SHAPE(12)},
                          {"lstm.bias_hh_l0", GLIA_SHAPE(12)},
                          {"lstm.weight_ih_l0_reverse", GLIA_SHAPE(12, 2)},
                          {"lstm.weight_hh_l0_reverse", GLIA_SHAPE(12, 3)},
                          {"lstm.bias_ih_l0_reverse", GLIA_SHAPE(12)},
                          {"lstm.bias_hh_l0_reverse", GLIA_SHAPE(12)}};
    const fake lstm[] = {{"model_weights/lstm/lstm/lstm_cell/bias:0", GLIA_SHAPE(12)},
                         {"model_weights/lstm/lstm/lstm_cell/kernel:0", GLIA_SHAPE(2, 12)},
                         {"model_weights/lstm/lstm/lstm_cell/recurrent_kernel:0", GLIA_SHAPE(3, 12)}};
    const fake gru[] = {{"layers/gru/backward_layer/cell/vars/0", GLIA_SHAPE(2, 9)},
                        {"layers/gru/backward_layer/cell/vars/1", GLIA_SHAPE(3, 9)},
                        {"layers/gru/backward_layer/cell/vars/2", GLIA_SHAPE(2, 9)},
                        {"layers/gru/forward_layer/cell/vars/0", GLIA_SHAPE(2, 9)},
                        {"layers/gru/forward_layer/cell/vars/1", GLIA_SHAPE(3, 9)},
                        {"layers/gru/forward_layer/cell/vars/2", GLIA_SHAPE(2, 9)}};
    const struct {
        const char *layer, *options, *names;
        const fake *arrays;
        size_t count, loaded;
    } files[] = {{"lstm", "units=3 bidirectional=yes", "pytorch", torch, 8, 8},
                 {"lstm", "units=3", "keras", lstm, 3, 4},
                 {"gru", "units=3 bidirectional=yes", "keras", gru, 6, 8}};
    scratch_make();
    for (size_t f = 0; f < GLIA_COUNT(files); f++) {
        glia_error err = {0};
        glia_import_report *r;
        glia_model *m = recurrent_model(files[f].layer, files[f].options);
        glia_weights *w = fake_file("r.npz", files[f].arrays, files[f].count);
        CHECK_OK(glia_model_import(m, w, &r, &err), &err);
        CHECK_STR(r->names, files[f].names);
        CHECK(r->loaded == files[f].loaded && r->unexpected == 0 && r->missing == 0);
        if (files[f].arrays == lstm)
            for (int i = 0; i < 12; i++) CHECK_NEAR(param_of(m, "lstm.bias_hh")[i], 0, 0);
        if (files[f].arrays ==
            gru) /* there z, r, n; here r, z, n; biases of both kinds one after the other */
            for (int i = 0; i < 3; i++) {
                CHECK_NEAR(param_of(m, "gru.bias_ih")[i],
                           ((const float *)glia_weights_tensor(w, 5).data)[3 + i], 0);
                CHECK_NEAR(param_of(m, "gru.bias_hh_reverse")[3 + i],
                           ((const float *)glia_weights_tensor(w, 2).data)[9 + i], 0);
            }
        glia_import_report_free(r);
        glia_weights_close(w);
        if (strcmp(files[f].names, "keras") == 0)
            CHECK_ERR(export_as(m, scratch_path("e.npz"), "keras", &err), GLIA_UNSUPPORTED, &err,
                      "are only read from there");
        glia_model_free(m);
    }
    scratch_remove();
}

/* A file in parts, and indexes that lie. */
TEST(parts) {
#ifndef GLIA_HAVE_JSON
    SKIP("this build has no jansson");
#endif
    const fake one[] = {{"conv2d.weight", GLIA_SHAPE(3, 2, 3, 3)}}, two[] = {{"conv2d.bias", GLIA_SHAPE(3)}};
    glia_error err = {0};
    glia_weights *w;
    scratch_make();
    glia_weights_close(fake_file("m-1.safetensors", one, 1));
    glia_weights_close(fake_file("m-2.safetensors", two, 1));
    scratch_text("m.safetensors.index.json",
                 "{\"metadata\":{\"total_size\":228},\"weight_map\":{\"conv2d.bias\":\"m-2.safetensors\","
                 "\"conv2d.weight\":\"m-1.safetensors\"}}");
    w = opened("m.safetensors.index.json");
    CHECK_INT(glia_weights_count(w), 2);
    CHECK_NEAR(at(w, "conv2d.weight", 0), 1, 0);
    CHECK_STR(glia_weights_metadata(w, "format"), "pt");
    glia_weights_close(w);
    static const struct {
        const char *text, *message;
    } bad[] = {{"{", "not valid JSON"},
               {"[]", "not an index of safetensors: expected an object 'weight_map'"},
               {"{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}",
                "expected names of files in the folder of the index"},
               {"{\"weight_map\":{\"a\":7}}", "expected the name of a file for 'a'"},
               {"{\"weight_map\":{\"a\":\"m-1.safetensors\"}}", "the index lists 'a', but no part has it"},
               {"{\"weight_map\":{\"a\":\"m-3.safetensors\"}}", "cannot open "}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *path = scratch_text("bad.safetensors.index.json", bad[i].text);
        CHECK_ERR(glia_weights_open(&w, path, NULL, &err), err.status, &err, bad[i].message);
        CHECK(w == NULL);
    }
    scratch_remove();
}

TEST(memory) {
    glia_error err = {0};
    glia_model *a = network(NULL);
    scratch_make();
    number(a);
    CHECK_OK(export_as(a, scratch_path("a.npz"), "keras", &err), &err);
    glia_weights *w = opened("a.npz");
    FOR_EACH_FAILURE(memory) {
        glia_error failure = {0};
        glia_import_report *report = NULL;
        glia_model *b = network(&memory.allocator);
        glia_status status = glia_model_status(b, &failure);
        if (status == GLIA_OK) status = glia_model_import(b, w, &report, &failure);
        CHECK_FAILED_ONCE(memory, status);
        glia_import_report_free(report);
        if (status == GLIA_OK) CHECK(same_weights(a, b));
        glia_model_free(b);
    }
    glia_weights_close(w);
    glia_model_free(a);
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(round_trips), TEST_ENTRY(keras_layouts), TEST_ENTRY(gates), TEST_ENTRY(report),
          TEST_ENTRY(order), TEST_ENTRY(huggingface_and_keras3), TEST_ENTRY(recurrent_layers),
          TEST_ENTRY(convolutions), TEST_ENTRY(parts), TEST_ENTRY(memory))
