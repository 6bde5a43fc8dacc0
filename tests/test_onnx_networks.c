/* test_onnx_networks.c: every layer, and small networks of the zoo, as ONNX files: what is read again computes the same and is
 * written as the same file, byte for byte. */
#include "test.h"

#include "glia/glia.h"
#include "io/export.h"
#include "recipe/export.h"
#include "scratch.h"
#include "train/layer.h"

enum { BATCH = 2, MOST_INPUTS = 3 };

enum { NONE = -1 }; /* in the place of an opset: ONNX has no such operator */

/* What goes in: pictures, volumes, sequences of vectors, tokens, numbers, states, lengths. */
typedef struct network {
    const char *layer, *options, *inputs; /* a letter an input */
    int opset;                            /* 0: the usual one */
} network;

static const network networks[] = {
    {"activation", "gelu", "s", 0},
    {"relu6", NULL, "p", 0},
    {"add", NULL, "pp", 0},
    {"multiply", NULL, "pp", 0},
    {"concat", NULL, "pp", 0},
    {"dense", "units=4 activation=relu", "n", 0},
    {"dense", "units=4", "s", 0},
    {"dropout", "0.5", "n", 0},
    {"flatten", NULL, "p", 0},
    {"reshape", "8,24", "p", 0},
    {"embedding", "vocabulary=9 units=4", "t", 0},
    {"positional_embedding", "7", "s", 0},
    {"conv1d", "filters=4 kernel=3 padding=same", "s", 0},
    {"conv2d", "filters=4 kernel=3 padding=same strides=2 activation=silu", "p", 0},
    {"conv3d", "filters=4 kernel=3", "v", 0},
    {"conv2d_transpose", "filters=4 kernel=3 strides=2", "p", 0},
    {"depthwise_conv2d", "kernel=3 padding=same", "p", 0},
    {"separable_conv2d", "filters=4 kernel=3 padding=same", "p", 0},
    {"max_pool1d", "2", "s", 0},
    {"average_pool1d", "2", "s", 0},
    {"max_pool2d", "2", "p", 0},
    {"average_pool2d", "size=3 strides=1 padding=same", "p", 0},
    {"max_pool3d", "2", "v", 0},
    {"average_pool3d", "2", "v", 0},
    {"global_average_pool2d", NULL, "p", 0},
    {"global_max_pool2d", NULL, "p", 0},
    {"adaptive_average_pool2d", "4,2", "p", 0},
    {"adaptive_average_pool2d", "3", "p", NONE},
    {"adaptive_average_pool1d", "size=3", "s", 0},
    {"adaptive_average_pool1d", "size=4", "s", NONE},
    {"adaptive_average_pool3d", "size=2", "v", 0},
    {"adaptive_average_pool3d", "size=3", "v", NONE},
    {"adaptive_max_pool1d", "size=3", "s", 0},
    {"adaptive_max_pool2d", "size=3", "p", 0},
    {"adaptive_max_pool3d", "size=2", "v", 0},
    {"alpha_dropout", "0.3", "n", 0},
    {"average", NULL, "pp", 0},
    {"conv1d_transpose", "filters=3 kernel=3 strides=2", "s", 0},
    {"conv3d_transpose", "filters=2 kernel=2", "v", 0},
    {"denormalize", NULL, "n", 0},
    {"dot", NULL, "nn", 0},
    {"distance", NULL, "nn", 0},
    {"contrastive", "margin=2", "nnl", 0},
    {"triplet", NULL, "nnn", 0},
    {"info_nce", NULL, "nn", 0},
    {"bpr", NULL, "nn", 0},
    {"ctc", "blank=5", "st", NONE},
    {"gaussian_noise", "0.3", "n", 0},
    {"global_average_pool1d", NULL, "s", 0},
    {"global_average_pool3d", NULL, "v", 0},
    {"global_max_pool1d", NULL, "s", 0},
    {"global_max_pool3d", NULL, "v", 0},
    {"glu", NULL, "s", 0},
    {"maximum", NULL, "pp", 0},
    {"minimum", NULL, "pp", 0},
    {"normalize", "axis=-1", "s", 0},
    {"pad1d", "pads=1,2", "s", 0},
    {"pad3d", "pads=1", "v", 0},
    {"prelu", NULL, "s", 0},
    {"resize2d", "size=5 mode=linear", "p", 19},
    {"spatial_dropout", "0.3", "s", 0},
    {"stack", NULL, "nn", 0},
    {"stochastic_depth", "0.3", "s", 0},
    {"subtract", NULL, "pp", 0},
    {"swiglu", NULL, "s", 0},
    {"upsample1d", NULL, "s", 19},
    {"upsample3d", NULL, "v", 19},
    {"upsample2d", "2", "p", 19},
    {"pad2d", "1,0,2,1", "p", 0},
    {"pixel_shuffle", "2", "c", 0},
    {"batch_norm", NULL, "p", 0},
    {"batch_norm", NULL, "n", 0},
    {"layer_norm", NULL, "s", 0},
    {"rms_norm", NULL, "s", 0},
    {"rms_norm", NULL, "s", 23},
    {"group_norm", "groups=2", "c", 0},
    {"instance_norm", NULL, "p", 0},
    {"rnn", "units=6", "s", 0},
    {"rnn", "units=6 activation=relu return_sequences=yes", "s", 0},
    {"lstm", "units=6", "s", 0},
    {"lstm", "units=6 return_sequences=yes bidirectional=yes", "s", 0},
    {"lstm", "units=6", "sl", 0},
    {"gru", "units=6 return_sequences=yes", "s", 0},
    {"gru", "units=6 bidirectional=yes", "sl", 0},
    {"lstm", "units=6 layers=2 reverse=yes use_bias=no dropout=0.2", "s", 0},
    {"lstm", "units=6 return_sequences=yes", "shh", 0},
    {"gru", "units=3 layers=2", "sh", 0},
    {"rnn_cell", "units=6", "nh", 0},
    {"lstm_cell", "units=6", "nhh", 0},
    {"gru_cell", "units=6", "n", 0},
    {"multi_head_attention", "heads=2", "s", 0},
    {"multi_head_attention", "heads=2", "s", 23},
    {"multi_head_attention", "heads=3 key_value_heads=1 positions=rotary", "s", 0},
    {"multi_head_attention", "heads=1 positions=rotary rotary_size=4 rotary_interleaved=yes", "s", 23},
    {"rotary_embedding", "heads=3", "s", 0},
    {"transformer_encoder", "heads=2 units=8", "s", 0},
    {"transformer_decoder", "heads=2 units=8", "ss", 0},
    {"mlp", "units=8 classes=3", "p", 0},
    {"lenet", "classes=5", "P", 0},
    {"tutorial_cnn", "filters=4 classes=3", "p", 0},
    {"resnet", "depth=18 classes=5 stem=cifar", "p", 0},
    {"vgg", "depth=11 batch_norm=yes classes=5 units=8 pool=1", "P", 0},
    {"mobilenet_v2", "classes=5", "P", 0},
    {"unet", "classes=5 width=4 depth=2", "p", 19},
    {"vit", "patch=4 width=24 layers=2 heads=3 units=40 classes=5", "p", 0},
    {"bert", "vocabulary=11 length=8 layers=1 heads=2 width=8 classes=3", "t", 0},
    {"gpt2", "vocabulary=11 length=8 layers=2 heads=2 width=8", "t", 0},
    {"gpt2", "vocabulary=11 length=8 layers=1 heads=2 width=8", "t", 23},
    {"transformer", "vocabulary=11 width=8 layers=1 heads=2 units=12", "tt", 0},
    {"text_classifier", "vocabulary=11 width=8 units=6 classes=3", "t", 0},
    {"text_classifier", "vocabulary=11 width=8 units=6 cell=gru layers=2 bidirectional=yes", "tl", 0},
    {"language_model", "vocabulary=11 width=8 units=6 layers=2", "t", 0},
    {"seq2seq", "vocabulary=11 target_vocabulary=9 width=8 units=6", "tt", 0},
};

/* --- models ------------------------------------------------------------------------------------------------- */

static glia_value *add_input(glia_model *m, char kind, int i) {
    char name[16];
    snprintf(name, sizeof name, "x%d", i);
    glia_input_options o = {.dtype = kind == 't' || kind == 'l' ? GLIA_I64 : GLIA_F32};
    static const struct {
        char kind;
        int64_t shape[4];
    } shapes[] = {{'p', {3, 8, 8}}, {'P', {3, 32, 32}}, {'c', {4, 8, 8}}, {'v', {2, 4, 4, 4}}, {'s', {7, 6}},
                  {'t', {7}},       {'n', {5}},         {'h', {6}},       {'l', {0}}};
    for (size_t k = 0; k < GLIA_COUNT(shapes); k++)
        if (shapes[k].kind == kind) memcpy(o.shape, shapes[k].shape, sizeof shapes[k].shape);
    return glia_input_with(m, name, o);
}

static glia_model *model_of(const network *n, const char *layer, const char *options, glia_value **inputs) {
    glia_model *m = glia_model_new("net");
    glia_error err = {0};
    const int count = (int)strlen(n->inputs);
    for (int i = 0; i < count; i++) inputs[i] = add_input(m, n->inputs[i], i);
    glia_model_set_output(m, glia_layer(m, layer, NULL, inputs, count, options));
    const glia_status status = glia_model_initialize(m, 7, &err);
    CHECK_OK(status, &err);
    if (status == GLIA_OK) return m;
    printf("  %s %s\n", n->layer, n->options ? n->options : "");
    glia_model_free(m);
    return NULL;
}

/* Biases and the like begin as 0: with those a wrong order is not seen. */
static void shake(glia_model *m) {
    for (size_t k = 0; k < glia_model_params(m); k++) {
        glia_tensor p = glia_model_param_data(m, k);
        for (int64_t i = 0; i < glia_shape_elems(&p.shape); i++)
            ((float *)p.data)[i] += (float)((i * 7 + (int64_t)k) % 11) / 64;
    }
}

static void fill(char kind, glia_tensor *x) {
    for (int64_t i = 0; i < glia_shape_elems(&x->shape); i++)
        glia_tensor_set(x, i,
                        kind == 't'   ? (double)(i * 5 % 9)
                        : kind == 'l' ? 3.0 + (double)i
                                      : (double)(i * 37 % 101) / 50 - 1);
}

static glia_status run(glia_model *m, const network *n, glia_value **inputs, glia_tensor *out,
                       glia_error *err) {
    glia_program *program = NULL;
    glia_value *y = glia_model_output(m);
    glia_tensor x[MOST_INPUTS] = {{0}};
    glia_status status =
        glia_program_new(&program, glia_model_graph(m), &y, 1,
                         (glia_program_options){.dims = {BATCH}, .reference = GLIA_YES}, err);
    for (size_t k = 0; k < glia_model_params(m) && status == GLIA_OK; k++)
        status =
            glia_program_bind(program, glia_model_param_value(m, k), glia_model_param_data(m, k).data, err);
    for (int i = 0; n->inputs[i] && status == GLIA_OK; i++) {
        glia_shape shape = glia_value_shape(inputs[i]);
        shape.dim[0] = BATCH;
        status = glia_tensor_new(&x[i], glia_value_dtype(inputs[i]), shape, NULL, err);
        if (status == GLIA_OK) fill(n->inputs[i], &x[i]);
        if (status == GLIA_OK) status = glia_program_bind(program, inputs[i], x[i].data, err);
    }
    if (status == GLIA_OK) status = glia_program_run(program, 0, err);
    if (status == GLIA_OK) {
        const glia_tensor y_data = glia_program_output(program, y);
        status = glia_tensor_new(out, y_data.dtype, y_data.shape, NULL, err);
        if (status == GLIA_OK) memcpy(out->data, y_data.data, glia_tensor_bytes(&y_data));
    }
    for (int i = 0; i < MOST_INPUTS; i++) glia_tensor_free(&x[i]);
    glia_program_free(program);
    return status;
}

/* --- there and back, and there again --------------------------------------------------------------------------- */

static bool write_file(glia_model *m, const network *n, const char *path) {
    glia_export_model e = {.outputs = NULL};
    const glia_exporter *exporter;
    glia_error err = {0};
    char options[32];
    snprintf(options, sizeof options, "opset=%d", n->opset == NONE ? 23 : n->opset ? n->opset : 17);
    CHECK_OK(glia__exporter_find(&exporter, "onnx", NULL, &err), &err);
    CHECK_OK(glia__export_of_model(&e, m, &err), &err);
    const glia_status status = glia__export_write(&e.model, exporter, options, path, NULL, &err);
    if (n->opset == NONE)
        CHECK_ERR(status, GLIA_UNSUPPORTED, &err, "cannot be written as ONNX");
    else
        CHECK_OK(status, &err);
    glia__export_free(&e);
    return status == GLIA_OK;
}

static bool same_files(const char *a, const char *b) {
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    int x = 0, y = 0;
    while (f && g && x == y && x != EOF) x = fgetc(f), y = fgetc(g);
    if (f) fclose(f);
    if (g) fclose(g);
    return f && g && x == y;
}

static void compare(const network *n, glia_model *a, glia_value **a_in, glia_model *b, glia_value **b_in) {
    glia_tensor x = {0}, y = {0};
    glia_error err = {0};
    CHECK_OK(run(a, n, a_in, &x, &err), &err);
    CHECK_OK(run(b, n, b_in, &y, &err), &err);
    CHECK(x.data && y.data && glia_shape_equal(&x.shape, &y.shape));
    double most = 0, apart = 0;
    for (int64_t i = 0; x.data && y.data && i < glia_shape_elems(&x.shape); i++) {
        most = fmax(most, fabs(glia_tensor_get(&x, i)));
        apart = fmax(apart, fabs(glia_tensor_get(&x, i) - glia_tensor_get(&y, i)));
    }
    if (!(apart <= 1e-5 * (most + 1))) printf("  %s: %g apart, of at most %g\n", n->layer, apart, most);
    CHECK(apart <= 1e-5 * (most + 1));
    glia_tensor_free(&x);
    glia_tensor_free(&y);
}

static void check(const network *n) {
    glia_value *in[MOST_INPUTS], *in_again[MOST_INPUTS];
    char options[600];
    const char *one = scratch_path("one.onnx"), *two = scratch_path("two.onnx");
    glia_model *m = model_of(n, n->layer, n->options, in);
    if (!m) return;
    shake(m);
    const bool written = write_file(m, n, one);
    snprintf(options, sizeof options, "file=%s", one);
    glia_model *again = written ? model_of(n, "onnx", options, in_again) : NULL;
    if (again) {
        compare(n, m, in, again, in_again);
        (void)write_file(again, n, two);
        const bool same = same_files(one, two);
        if (!same)
            printf("  %s %s: another file after it was read\n", n->layer, n->options ? n->options : "");
        CHECK(same);
    }
    glia_model_free(again);
    glia_model_free(m);
}

TEST(every_layer) {
    scratch_make();
    for (size_t i = 0; i < GLIA_COUNT(networks); i++) check(&networks[i]);
    scratch_remove();
}

TEST(none_is_left_out) {
    for (size_t l = 0; l < glia__layers_count; l++) {
        const char *name = glia__layers[l]->name;
        bool found = strcmp(name, "onnx") == 0;
        for (size_t i = 0; i < GLIA_COUNT(networks); i++)
            found = found || strcmp(networks[i].layer, name) == 0;
        if (!found) printf("  no network here has the layer %s\n", name);
        CHECK(found);
    }
}

TEST_MAIN(TEST_ENTRY(every_layer), TEST_ENTRY(none_is_left_out))
