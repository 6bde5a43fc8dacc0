/* test_recipe.c: the model file: values, defaults, the resolved file, errors with their places, building. */
#include "recipe/recipe.h"

#include <unistd.h>

#include "core/file.h"
#include "test.h"

static const char file[] = "test_recipe.yaml";

static glia_status load_with(glia_recipe **recipe, const char *text, const char *const *overrides,
                             size_t count, glia_error *err) {
    CHECK_OK(glia__file_write(file, text, strlen(text), err), err);
    glia_status status = glia_recipe_load(recipe, file, overrides, count, NULL, err);
    unlink(file);
    return status;
}

static glia_status load(glia_recipe **recipe, const char *text, glia_error *err) {
    return load_with(recipe, text, NULL, 0, err);
}

/* The whole error line of a file that must be refused. */
static void refused(const char *text, const char *expected) {
    glia_recipe *recipe = NULL;
    glia_error err = {0};
    char line[900];
    CHECK(load(&recipe, text, &err) != GLIA_OK);
    CHECK(recipe == NULL);
    CHECK_HAS(glia_error_text(&err, line, sizeof line), expected);
}

#define DATA  "data: {source: mnist}\n"
#define MODEL "model: [flatten, dense: 10]\n"

TEST(values) {
    glia_recipe *r;
    glia_error err = {0};
    CHECK_OK(
        load(&r,
             "data:\n  source: mnist\n  scale: 1/255\n  split: {validation: 5000, stratified: yes}\n"
             "model:\n  - conv2d: {filters: 32, kernel: [3, 5], activation: relu, name: stem}\n"
             "  - max_pool2d: 2\n  - flatten\n  - dense: 10\n"
             "loss: softmax_cross_entropy\noptimizer: {sgd: {learning_rate: 0.5}}\nmetrics: [accuracy, f1]\n"
             "train: {epochs: 3, batch_size: 128, early_stopping: {patience: 2, monitor: val_f1}, seed: 7}\n",
             &err),
        &err);
    CHECK_STR(glia_recipe_name(r), "test_recipe");
    CHECK_STR(r->data.source, "mnist");
    CHECK_NEAR(r->data.scale, 1.0 / 255, 1e-15);
    CHECK_NEAR(r->data.split.validation, 5000, 0);
    CHECK_INT(r->data.split.stratified, GLIA_YES);
    CHECK_INT(r->model.n_layers, 4);
    CHECK_STR(r->model.layers[0].name, "stem");
    CHECK_INT(((const glia_conv2d_options *)r->model.layers[0].options)->filters, 32);
    CHECK_INT(((const glia_conv2d_options *)r->model.layers[0].options)->kernel[1], 5);
    CHECK_INT(((const glia_dense_options *)r->model.layers[3].options)->units, 10);
    CHECK_INT(r->n_metrics, 2);
    glia_fit_options o = glia_recipe_fit_options(r);
    CHECK_STR(o.loss, "softmax_cross_entropy");
    CHECK_STR(o.optimizer.name, "sgd");
    CHECK_NEAR(o.optimizer.learning_rate, 0.5, 0);
    CHECK_INT(o.epochs, 3);
    CHECK_INT(o.batch_size, 128);
    CHECK_INT(o.early_stopping.patience, 2);
    CHECK_STR(o.early_stopping.monitor, "val_f1");
    CHECK_INT(o.seed, 7);
    glia_recipe_free(r);
}

TEST(defaults) {
    glia_recipe *r;
    glia_error err = {0};
    CHECK_OK(load(&r, DATA MODEL, &err), &err);
    glia_fit_options o = glia_recipe_fit_options(r);
    CHECK(o.loss == NULL);
    CHECK_STR(o.optimizer.name, "adam");
    CHECK_NEAR(o.optimizer.learning_rate, 0.001, 1e-12);
    CHECK_INT(o.epochs, 10);
    CHECK_INT(o.batch_size, 32);
    CHECK_INT(o.shuffle, GLIA_YES);
    CHECK_STR(o.early_stopping.monitor, "val_loss");
    CHECK_STR(r->data.label, "last");
    CHECK_STR(r->model.layers[0].name, "flatten");
    glia_recipe_free(r);
}

/* The resolved file says everything, and reads back as itself. */
TEST(resolved) {
    glia_recipe *a, *b;
    glia_error err = {0};
    const char *overrides[] = {"train.epochs=3", "optimizer.adam.learning_rate=0.01", "name='two words'",
                               "model.dense.units=4"};
    CHECK_OK(load_with(&a,
                       DATA "model:\n  - flatten\n  - dense: {units: 8, activation: relu}\n"
                            "  - relu\n"
                            "  - add: {inputs: [dense, relu], name: sum}\noptimizer: adam\n",
                       overrides, 4, &err),
             &err);
    const char *text = glia_recipe_resolved(a);
    CHECK_HAS(text, "name: two words\n");
    CHECK_HAS(text, "  epochs: 3\n");
    CHECK_HAS(text, "  batch_size: 32\n");
    CHECK_HAS(text, "learning_rate: 0.01");
    CHECK_HAS(text, "units: 4");
    CHECK_HAS(text, "inputs: [dense, relu]");
    CHECK_OK(load(&b, text, &err), &err);
    CHECK_STR(b ? glia_recipe_resolved(b) : NULL, text);
    glia_recipe_free(a);
    glia_recipe_free(b);
}

/* A loss with settings becomes words for C, and a mapping with every setting again. */
TEST(loss_with_settings) {
    glia_recipe *a, *b;
    glia_error err = {0};
    const char *override = "loss.softmax_cross_entropy.ignore_index=0";
    CHECK_OK(load_with(&a,
                       DATA MODEL
                       "loss: {softmax_cross_entropy: {label_smoothing: 0.1, class_weights: [1, 2, 0.5]}}\n",
                       &override, 1, &err),
             &err);
    const char *words = "softmax_cross_entropy label_smoothing=0.1 ignore_index=0 class_weights=1,2,0.5";
    CHECK_STR(glia_recipe_fit_options(a).loss, words);
    CHECK_HAS(glia_recipe_resolved(a),
              "loss:\n  softmax_cross_entropy: {label_smoothing: 0.1, ignore_index: 0, "
              "class_weights: \"1,2,0.5\"}\n");
    CHECK_OK(load(&b, glia_recipe_resolved(a), &err), &err);
    CHECK_STR(b ? glia_recipe_fit_options(b).loss : NULL, words);
    glia_recipe_free(a);
    glia_recipe_free(b);
    CHECK_OK(load(&a, DATA MODEL "loss: {focal: }\n", &err), &err);
    CHECK_STR(glia_recipe_fit_options(a).loss, "focal");
    glia_recipe_free(a);
}

TEST(refusals) {
    refused(DATA "model: [con2d: 3]\n", "test_recipe.yaml:2:9: unknown layer 'con2d' (did you mean conv2d?)");
    refused(DATA "modle: []\n", "test_recipe.yaml:2:1: unknown key 'modle' (did you mean model?)");
    refused(DATA, "no model; expected 'model:' with a list of layers");
    refused(MODEL, "no data; expected 'data:' with a 'source:'");
    refused(DATA "model: dense\n", ":2:1: model: expected a list of layers ('- dense: 10'), found 'dense'");
    refused(DATA "model: []\n", "expected a list of layers ('- dense: 10'), found an empty list");
    refused(DATA "model: [5]\n", "unknown layer '5'");
    refused(DATA "model: [[dense]]\n", "expected a layer, e.g. 'flatten' or 'dense: 10', found a list");
    refused(DATA "model: [{dense: 3, relu: }]\n", ":2:20: one layer an item: found 'relu' after 'dense'");
    refused(DATA "model: [dense]\n", ":2:9: dense needs 'units'");
    refused(DATA "model: [dense: many]\n", ":2:16: units: expected an integer from 1 to");
    refused(DATA "model: [dense: {units: }]\n", "units: expected an integer, found nothing");
    refused(DATA "model: [dense: {units: [1, 2]}]\n", "units: expected an integer, found a list");
    refused(DATA "model: [dense: 1000000000000]\n", "found '1000000000000'");
    refused(DATA "model: [flatten: 3]\n", "flatten takes no single value");
    refused(DATA "model: [dense: {units: 3, unit: 3}]\n",
            "unknown setting of dense 'unit' (did you mean units?)");
    refused(DATA "model: [conv2d: {filters: 3, kernel: [1, 2, 3]}]\n", "kernel: expected 2 integers");
    refused(DATA "model: [{dense: {units: 3, name: a}}, {dense: {units: 3, name: a}}]\n",
            "'a' is already the name of the dense layer in line 2");
    refused(DATA "model: [{dense: {units: 3, name: input}}]\n", "'input' is the model's input");
    refused(DATA "model: [{dense: {units: 3, name: 'a b'}}]\n", "expected up to 48 letters");
    refused(DATA "model: [flatten, add: {inputs: [flaten, input]}]\n",
            "unknown input 'flaten' (did you mean flatten?)");
    refused(DATA "model: [flatten, add]\n", "add expects at least 2 inputs, found 1; write inputs: [a, b]");
    refused(DATA "model: [{dense: {units: 3, inputs: [input, input]}}]\n",
            "dense expects at most 1 input, found 2");
    refused(DATA MODEL "loss: softmax\n", "unknown loss 'softmax'");
    refused(DATA MODEL "loss: {focl: {gamma: 1}}\n", ":3:8: unknown loss 'focl' (did you mean focal?)");
    refused(DATA MODEL "loss: {focal: {gama: 1}}\n",
            ":3:16: unknown setting of focal 'gama' (did you mean gamma?)");
    refused(DATA MODEL "loss: {focal: , gamma: 1}\n", "settings stand inside: {focal: {gamma: …}}");
    refused(DATA MODEL "loss: {softmax_cross_entropy: {class_weights: [1, x]}}\n",
            ":3:8: loss softmax_cross_entropy: class_weights: expected numbers of at least 0");
    refused(DATA MODEL "loss: focal gamma=1\n", "unknown loss 'focal gamma=1'");
    refused(DATA MODEL "loss: [focal]\n",
            "loss: expected the name of a loss or {name: settings}, found a list");
    refused(DATA MODEL "optimizer: {adam: {learning_rte: 1}}\n",
            "unknown setting of adam 'learning_rte' (did you mean learning_rate?)");
    refused(DATA MODEL "optimizer: {adam: , learning_rate: 1}\n",
            "settings stand inside: {adam: {learning_rate: …}}");
    refused(DATA MODEL "metrics: [acuracy]\n", ":3:11: unknown metric 'acuracy' (did you mean accuracy?)");
    refused(DATA MODEL "metrics: [f1, f1]\n", "'f1' stands here twice");
    refused(DATA MODEL "train: {epochs: 0}\n", "epochs: expected an integer");
    refused(DATA MODEL "train: {epochs: 2.5}\n", "found '2.5'");
    refused(DATA MODEL "train: {shuffle: maybe}\n", "shuffle: expected yes or no, found 'maybe'");
    refused(DATA MODEL "train: {early_stopping: {monitor: loss}}\n",
            "monitor: expected val_loss, val_accuracy, val_f1, or val_ and another metric, found 'loss' (did "
            "you mean val_loss?)");
    refused(DATA MODEL "train: {early_stopping: {monitor: dense.val_loss}}\n",
            "unknown loss to monitor 'dense' (there are none)");
    refused("data: {source: mnst}\n" MODEL, ":1:16: unknown data source 'mnst' (did you mean mnist?)");
    refused("data: {source: {cvs: a.csv}}\n" MODEL, "unknown data source 'cvs' (did you mean csv?)");
    refused("data: {source: {idx: {images: a, label: b}}}\n" MODEL,
            "unknown file 'label' (did you mean labels?)");
    refused("data: {source: {idx: {labels: b}}}\n" MODEL, "idx needs 'images: FILE'");
    refused("data: {source: csv}\n" MODEL, "expected 'csv:FILE'");
    refused("data: {source: [a]}\n" MODEL, "source: expected a named set");
    refused(DATA MODEL "name: a/b\n", "name: expected a word for a folder");
}

static void build_error(const char *layers, const char *expected) {
    glia_recipe *r;
    glia_model *m = NULL;
    glia_error err = {0};
    char text[600], line[900];
    snprintf(text, sizeof text, DATA "model:\n%s", layers);
    CHECK_OK(load(&r, text, &err), &err);
    CHECK(glia_recipe_model(r, GLIA_SHAPE(1, 28, 28), 10, &m, NULL, &err) != GLIA_OK);
    CHECK(m == NULL);
    CHECK_HAS(glia_error_text(&err, line, sizeof line), expected);
    glia_recipe_free(r);
}

TEST(building) {
    glia_recipe *r;
    glia_model *m;
    glia_error err = {0};
    CHECK_OK(load(&r,
                  DATA "model:\n  - conv2d: {filters: 8, kernel: 3, padding: same, name: a}\n"
                       "  - conv2d: {filters: 8, kernel: 1, inputs: input, name: b}\n"
                       "  - add: {inputs: [a, b]}\n  - flatten\n  - dense: 10\n",
                  &err),
             &err);
    CHECK_OK(glia_recipe_model(r, GLIA_SHAPE(1, 28, 28), 10, &m, NULL, &err), &err);
    CHECK_INT(glia_model_layers(m), 5);
    CHECK_INT(glia_model_param_count(m), (8 * 9 + 8) + (8 + 8) + (8 * 784 * 10 + 10));
    CHECK_STR(glia_model_layer(m, 0).name, "a");
    glia_model_free(m);
    glia_recipe_free(r);

    CHECK_OK(load(&r, DATA "model:\n  - dense: 7\n", &err), &err); /* of every position */
    CHECK_OK(glia_recipe_model(r, GLIA_SHAPE(16, 5), 7, &m, NULL, &err), &err);
    glia_model_free(m);
    glia_recipe_free(r);
    CHECK_OK(load(&r, DATA "model:\n  - flatten\n  - dense: 1\nloss: {focal: {gamma: 3}}\n", &err), &err);
    CHECK_OK(glia_recipe_model(r, GLIA_SHAPE(3), 2, &m, NULL, &err), &err);
    glia_model_free(m);
    glia_recipe_free(r);

    build_error("  - flatten\n  - dense: 5\n", ":4:5: the last layer, dense 'dense', gives 5 numbers");
    build_error("  - dense: {units: 10, name: head}\n",
                ":3:5: dense 'head' expects a vector per example, or a "
                "sequence of them, got 1×28×28");
    build_error("  - conv2d: {filters: 3, kernel: 99}\n", ":3:5: conv2d");
    build_error("  - flatten\n  - conv2d: {filters: 3, kernel: 3}\n", ":4:5: conv2d");
    build_error("  - flatten\n  - dense: {units: 10, activation: rellu}\n", "'rellu' (did you mean 'relu'?)");
}

typedef struct lines {
    char text[1000];
} lines;

static void collect(void *ctx, glia_log_level level, const char *text) {
    lines *l = ctx;
    size_t used = strlen(l->text);
    snprintf(l->text + used, sizeof l->text - used, "%d %s\n", (int)level, text);
}

TEST(unused_layers) {
    glia_recipe *r;
    glia_model *m;
    glia_error err = {0};
    lines l = {""};
    glia_logger logger = {collect, &l, GLIA_LOG_WARNING};
    CHECK_OK(load(&r,
                  DATA "model:\n  - flatten\n  - dense: {units: 4, name: dead}\n"
                       "  - dense: {units: 10, inputs: flatten}\n",
                  &err),
             &err);
    CHECK_OK(glia_recipe_model(r, GLIA_SHAPE(1, 28, 28), 10, &m, &logger, &err), &err);
    CHECK_HAS(l.text, "2 test_recipe.yaml:4:5: layer 'dead' is not used by any other");
    CHECK(strstr(l.text, "'flatten'") == NULL);
    glia_model_free(m);
    glia_recipe_free(r);
}

TEST(document) {
    glia_text text;
    glia__text_init(&text, NULL);
    glia__recipe_document(&text);
    CHECK(!text.failed);
    CHECK_HAS(text.data, "| `train.early_stopping.patience` | integer, at least 0 | `0` |");
    CHECK_HAS(text.data, "\n### conv2d\n");
    CHECK_HAS(text.data, "### softmax_cross_entropy\n");
    CHECK_HAS(text.data, "\n### adam\n");
    CHECK(strstr(text.data, "trained") == NULL || strstr(text.data, "`trained") == NULL);
    glia__text_free(&text);
}

/* Every allocation of a load failing in turn: an error, no leak, no crash. */
typedef struct failing {
    int left, live;
} failing;

static void *failing_alloc(void *ctx, size_t bytes, size_t align) {
    failing *f = ctx;
    const glia_allocator *a = glia_allocator_default();
    if (f->left-- <= 0) return NULL;
    f->live++;
    return a->alloc(a->ctx, bytes, align);
}

static void failing_free(void *ctx, void *ptr, size_t bytes) {
    failing *f = ctx;
    const glia_allocator *a = glia_allocator_default();
    f->live--;
    a->free(a->ctx, ptr, bytes);
}

TEST(out_of_memory) {
    const char *text = DATA "model:\n  - conv2d: {filters: 8, kernel: [3, 3]}\n  - flatten\n  - dense: 10\n";
    glia_error err = {0};
    CHECK_OK(glia__file_write(file, text, strlen(text), &err), &err);
    for (int n = 0; n < 500; n++) {
        failing f = {n, 0};
        glia_allocator allocator = {failing_alloc, failing_free, &f};
        glia_recipe *r = NULL;
        glia_error e = {0};
        glia_status status =
            glia_recipe_load(&r, file, (const char *[]){"train.epochs=2"}, 1, &allocator, &e);
        glia_recipe_free(r);
        CHECK_INT(f.live, 0);
        if (status == GLIA_OK) {
            unlink(file);
            return;
        }
        CHECK_STR(glia_status_name(status), "OUT_OF_MEMORY");
    }
    CHECK(!"a load succeeds with enough memory");
}

#ifdef GLIA_HAVE_YAML
TEST_MAIN(TEST_ENTRY(values), TEST_ENTRY(defaults), TEST_ENTRY(resolved), TEST_ENTRY(loss_with_settings),
          TEST_ENTRY(refusals), TEST_ENTRY(building), TEST_ENTRY(unused_layers), TEST_ENTRY(document),
          TEST_ENTRY(out_of_memory))
#else
int main(void) {
    printf("skipped: this build has no libyaml\n");
    return 77;
}
#endif
