/* test_losses.c: every loss of the model file, with settings, against PyTorch, from the words of the file to the gradient;
 * losses of embeddings; wrong settings. tools/parity/losses.py made the figures and says how inputs begin. */

#include <inttypes.h>

#include "op_values.h"

#include "glia/glia.h"
#include "train/ctc.h"
#include "train/loss.h"
#include "train/model.h"

enum { MOST = 128 };

/* --- through a model: a table whose rows are the predictions ---------------------------------------------- */

/* Example n has the numbers n·positions … of rows, which the table turns into predictions. */
static glia_model *table_model(const int64_t *dim, int rank, float *inputs) {
    const int64_t positions = rank == 3 ? dim[1] : 1, units = dim[rank - 1], rows = dim[0] * positions;
    glia_error err = {0};
    glia_model *m = glia_model_new("table");
    glia_value *x = glia_input(m, "rows", .shape = {positions}, .dtype = GLIA_I64);
    x = glia_embedding(x, .vocabulary = rows, .units = units, .name = "table");
    glia_model_set_output(m, rank == 3 ? x : glia_flatten(x));
    CHECK_OK(glia_model_initialize(m, 0, &err), &err);
    float *table = glia_model_param_data(m, 0).data;
    for (int64_t i = 0; i < rows * units; i++) table[i] = (float)(2 * sin((double)i + 1));
    for (int64_t i = 0; i < rows; i++) inputs[i] = (float)i;
    return m;
}

typedef struct targets {
    int64_t classes[MOST];
    float numbers[MOST];
} targets;

static void distribute(float *row, int64_t units) {
    double sum = 0;
    for (int64_t c = 0; c < units; c++) sum += exp((double)row[c]);
    for (int64_t c = 0; c < units; c++) row[c] = (float)(exp((double)row[c]) / sum);
}

static void make_targets(targets *t, const char *kind, int64_t rows, int64_t units) {
    for (int64_t i = 0; i < rows * units; i++) {
        t->classes[i] = (3 * i + 2) % units;
        t->numbers[i] = strcmp(kind, "counts") == 0 ? (float)(i % 4) : (float)cos((double)i);
    }
    for (int64_t r = 0; r < rows && strcmp(kind, "distributions") == 0; r++)
        distribute(t->numbers + r * units, units);
    if (strcmp(kind, "halves") != 0) return;
    for (int64_t r = 0; r < rows; r++) /* of each row the first half */
        for (int64_t c = 0; c < units / 2; c++) t->numbers[r * units / 2 + c] = t->numbers[r * units + c];
}

static bool read_numbers(FILE *file, const char *word, double *out, int64_t count) {
    char found[32];
    bool good = fscanf(file, "%31s", found) == 1 && strcmp(found, word) == 0;
    for (int64_t i = 0; i < count && good; i++) good = fscanf(file, "%lf", &out[i]) == 1;
    CHECK(good);
    return good;
}

static void run_case(FILE *file, const char *kind, const int64_t *dim, int rank, const char *text) {
    static targets t;
    float inputs[MOST];
    double loss = 0, expected, gradients[MOST], worst = 0;
    glia_error err = {0};
    glia_trainer *trainer = NULL;
    const bool classes = strcmp(kind, "classes") == 0, halves = strcmp(kind, "halves") == 0;
    const int64_t positions = rank == 3 ? dim[1] : 1, units = dim[rank - 1], rows = dim[0] * positions;
    glia_shape target = {0};
    if (rank == 3) target = GLIA_SHAPE(positions);
    if (!classes) target = GLIA_SHAPE(halves ? units / 2 : units);
    make_targets(&t, kind, rows, units);
    glia_model *m = table_model(dim, rank, inputs);
    CHECK_OK(glia_trainer_new(&trainer, m, classes ? GLIA_TARGET_CLASS : GLIA_TARGET_VALUES, target,
                              (glia_fit_options){.loss = text}, &err),
             &err);
    if (!read_numbers(file, "loss", &expected, 1) || !read_numbers(file, "gradient", gradients, rows * units))
        return;
    const void *data = classes ? (const void *)t.classes : t.numbers;
    if (trainer) CHECK_OK(glia_trainer_backward(trainer, inputs, data, dim[0], &loss, &err), &err);
    CHECK_NEAR(loss, expected, 1e-6 * fmax(1, fabs(expected)));
    const float *found = trainer ? glia_trainer_gradient(trainer, 0).data : NULL;
    for (int64_t i = 0; found && i < rows * units; i++)
        worst = fmax(worst, fabs((double)found[i] - gradients[i]));
    printf("  %s: %.6f, gradient within %.1e\n", text, loss, worst);
    CHECK(found && worst < 1e-6);
    glia_trainer_free(trainer);
    glia_model_free(m);
}

static FILE *open_figures(void) {
    char path[1024];
    const char *root = getenv("GLIA_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/tests/data/losses.txt", root ? root : ".");
    FILE *file = fopen(path, "r");
    CHECK(file);
    return file;
}

TEST(losses_of_pytorch) {
    char line[4096], kind[32], shape[32];
    int cases = 0, at = 0;
    FILE *file = open_figures();
    while (file && fgets(line, sizeof line, file)) {
        int64_t dim[3];
        if (sscanf(line, "case %31s %31s %n", kind, shape, &at) != 2) continue;
        line[strcspn(line, "\n")] = 0;
        const int rank = sscanf(shape, "%" SCNd64 "x%" SCNd64 "x%" SCNd64, &dim[0], &dim[1], &dim[2]);
        run_case(file, kind, dim, rank, line + at);
        cases++;
    }
    CHECK_INT(cases, 19);
    if (file) fclose(file);
}

/* --- of embeddings ---------------------------------------------------------------------------------------- */

static glia_value *wave(glia_graph *g, double step) {
    double numbers[12];
    for (int i = 0; i < 12; i++) numbers[i] = 2 * sin(step * i + step);
    return array(g, GLIA_F64, D(4, 3), numbers);
}

static glia_value *embedding_loss(const char *name, glia_value *a, glia_value *b, glia_value *c,
                                  glia_value *y) {
    if (strcmp(name, "triplet") == 0) return glia_op_triplet(a, b, c, (glia_margin_attrs){.margin = 2});
    if (strcmp(name, "contrastive") == 0)
        return glia_op_contrastive(a, b, y, (glia_margin_attrs){.margin = 3});
    if (strcmp(name, "info_nce") == 0)
        return glia_op_info_nce(a, b, (glia_info_nce_attrs){.temperature = 0.2});
    return glia_op_bpr(a, b);
}

TEST(losses_of_embeddings) {
    char line[4096], name[32];
    int cases = 0;
    FILE *file = open_figures();
    while (file && fgets(line, sizeof line, file)) {
        double loss, gradients[12];
        if (sscanf(line, "embeddings %31s", name) != 1) continue;
        if (!read_numbers(file, "loss", &loss, 1) || !read_numbers(file, "gradient", gradients, 12)) break;
        glia_graph *g = glia_graph_new(NULL);
        glia_value *a = wave(g, 1), *b = wave(g, 0.7), *c = wave(g, 0.3), *y = F64(g, D(4), 1, 0, 0, 1);
        glia_value *mean = glia_op_mean(embedding_loss(name, a, b, c, y), ALL);
        check_values(name, __LINE__, mean, &loss, 1, 1e-8);
        check_values(name, __LINE__, gradient(mean, a), gradients, 12, 1e-8);
        glia_graph_free(g);
        cases++;
    }
    CHECK_INT(cases, 4);
    if (file) fclose(file);
}

/* --- ctc -------------------------------------------------------------------------------------------------- */

static glia_value *ctc_of(glia_value *x, bool zero_infinity) {
    glia_graph *g = glia_value_graph(x);
    glia_value *labels = I64(g, D(4, 3), 1, 2, -100, 3, 3, 1, 1, 1, 1, -1, 4, 4);
    return glia_op_ctc(x, labels, I64(g, D(4), 6, 5, 4, 6),
                       (glia_ctc_attrs){.zero_infinity = zero_infinity ? GLIA_YES : GLIA_NO});
}

TEST(ctc_of_pytorch) {
    char line[4096];
    double logits[120], losses[4], gradients[120];
    bool found = false;
    FILE *file = open_figures();
    for (int i = 0; i < 120; i++) logits[i] = 2 * sin(i + 1);
    while (file && !found && fgets(line, sizeof line, file)) found = strcmp(line, "ctc\n") == 0;
    CHECK(found);
    if (found && read_numbers(file, "loss", losses, 4) && read_numbers(file, "gradient", gradients, 120)) {
        glia_graph *g = glia_graph_new(NULL);
        glia_value *x = array(g, GLIA_F64, D(4, 6, 5), logits), *weight = F64(g, D(4), 1, 2, 3, 4);
        glia_value *y = ctc_of(x, true);
        check_values("ctc", __LINE__, y, losses, 4, 1e-8);
        check_values("gradient of ctc", __LINE__, gradient(glia_op_mul(y, weight), x), gradients, 120, 1e-8);
        losses[2] = INFINITY; /* three equal labels need five steps */
        check_values("ctc", __LINE__, ctc_of(x, false), losses, 4, 1e-8);
        for (int i = 60; i < 90; i++) gradients[i] = 0;
        check_values("gradient", __LINE__, gradient(glia_op_mul(ctc_of(x, false), weight), x), gradients, 120,
                     1e-8);
        glia_graph_free(g);
    }
    if (file) fclose(file);
}

TEST(ctc_on_bad_data) {
    glia_graph *g = glia_graph_new(NULL);
    const double zeros[12] = {0};
    glia_value *x = array(g, GLIA_F32, D(2, 2, 3), zeros), *labels = I64(g, D(2, 1), 1, 2);
    const struct {
        glia_value *value;
        const char *part;
    } cases[] = {{glia_op_ctc(x, I64(g, D(2, 1), 1, 3), NULL, (glia_ctc_attrs){0}),
                  "label 3 of example 1 is no class of the logits"},
                 {glia_op_ctc(x, I64(g, D(2, 1), 0, 1), NULL, (glia_ctc_attrs){0}),
                  "label 0 of example 0 is the blank"},
                 {glia_op_ctc(x, labels, I64(g, D(2), 2, 3), (glia_ctc_attrs){0}),
                  "length 3 of example 1 is out of range 0 … 2"}};
    for (size_t i = 0; i < GLIA_COUNT(cases); i++) {
        glia_program *program = NULL;
        glia_error err = {0};
        glia_value *value = cases[i].value;
        CHECK_OK(glia_program_new(&program, g, &value, 1, (glia_program_options){.threads = 1}, &err), &err);
        CHECK_ERR(glia_program_run(program, 0, &err), GLIA_BAD_DATA, &err, cases[i].part);
        glia_program_free(program);
    }
    glia_graph_free(g);
}

TEST(embeddings_must_fit) {
    glia_graph *g = glia_graph_new(NULL);
    glia_error err = {0};
    CHECK(!glia_op_triplet(F64(g, D(2, 2), 1, 2, 3, 4), F64(g, D(2), 1, 2), NULL, (glia_margin_attrs){0}));
    CHECK_ERR(glia_graph_status(g, &err), GLIA_BAD_SHAPE, &err,
              "triplet expects two arrays of one shape, of at least 1 dimensions, found 2×2 and 2");
    glia_graph_free(g);
}

/* --- what is wrong is told -------------------------------------------------------------------------------- */

static void refused(glia_model *m, glia_target_kind kind, glia_shape shape, const char *text,
                    const char *part) {
    glia_error err = {0};
    glia_trainer *t = NULL;
    CHECK(glia_trainer_new(&t, m, kind, shape, (glia_fit_options){.loss = text}, &err) != GLIA_OK);
    CHECK_HAS(err.message, part);
    glia_trainer_free(t);
}

TEST(wrong_settings) {
    const glia_shape one = {0}, three = GLIA_SHAPE(3);
    float inputs[MOST];
    glia_model *m = table_model((const int64_t[]){6, 5}, 2, inputs);
    refused(m, GLIA_TARGET_CLASS, one, "softmax_cross_entropy label_smothing=0.1",
            "loss softmax_cross_entropy: unknown name 'label_smothing' (did you mean 'label_smoothing'?)");
    refused(m, GLIA_TARGET_CLASS, one, "focl gamma=1", "unknown loss 'focl' (did you mean 'focal'?)");
    refused(m, GLIA_TARGET_CLASS, one, "softmax_cross_entropy class_weights=1,2",
            "class_weights has 2 numbers, but there are 5 classes");
    refused(m, GLIA_TARGET_CLASS, one, "softmax_cross_entropy class_weights=1,2,x,3,4",
            "class_weights: expected numbers of at least 0 with commas between them, found '1,2,x,3,4'");
    refused(m, GLIA_TARGET_CLASS, one, "focal gamma=-1",
            "gamma: expected a number from 1e-06 to 100, found '-1'");
    refused(m, GLIA_TARGET_CLASS, one, "gaussian_nll", "needs numbers as targets, but the data has classes");
    refused(m, GLIA_TARGET_VALUES, three, "gaussian_nll",
            "needs two numbers for each of the 3 targets: means, then logarithms of variances; end with "
            "dense: 6");
    refused(m, GLIA_TARGET_VALUES, three, "kl_divergence",
            "gives 5 per example, but the data's targets are 3");
    glia_model_free(m);
    m = table_model((const int64_t[]){3, 4, 5}, 3, inputs);
    refused(m, GLIA_TARGET_CLASS, GLIA_SHAPE(4), "dice ignore_index=1", "unknown name 'ignore_index'");
    glia_model_free(m);
}

/* The same words in another order are the same loss: its nodes are made once. */
TEST(a_head_is_made_once) {
    float inputs[MOST];
    glia_error err = {0};
    glia_loss_head *a, *b, *c;
    glia_model *m = table_model((const int64_t[]){6, 5}, 2, inputs);
    const glia_target target = {.kind = GLIA_TARGET_CLASS, .classes = 5};
    CHECK_OK(glia__loss_head(&a, m, "focal gamma=3 alpha=0.5", &target, &err), &err);
    CHECK_OK(glia__loss_head(&b, m, "focal  alpha=1/2 gamma=3.0", &target, &err), &err);
    CHECK_OK(glia__loss_head(&c, m, "focal gamma=3", &target, &err), &err);
    CHECK(a == b && a != c);
    CHECK_STR(a->choice.text, "focal gamma=3 alpha=0.5");
    glia_model_free(m);
}

/* Blank 2: the classes of the steps are 0 0 2 0 1 1 2. */
TEST(labels_of_the_best_path) {
    static const int best[] = {0, 0, 2, 0, 1, 1, 2};
    float logits[7][3] = {{0}};
    int64_t labels[7];
    double log_probability;
    for (int t = 0; t < 7; t++) logits[t][best[t]] = 2;
    CHECK_INT(glia_ctc_decode(logits[0], 7, 3, 2, labels, &log_probability), 3);
    CHECK(labels[0] == 0 && labels[1] == 0 && labels[2] == 1);
    CHECK_NEAR(log_probability, 7 * log(exp(2) / (exp(2) + 2)), 1e-12);
    CHECK_INT(glia_ctc_decode(logits[0], 2, 3, 2, labels, NULL), 1);
    CHECK_INT(glia_ctc_decode(logits[2], 1, 3, 2, labels, NULL), 0);
    CHECK_INT(glia_ctc_decode(logits[0], 7, 3, 0, labels, NULL), 3); /* 2 1 2 */
    CHECK(labels[0] == 2 && labels[1] == 1 && labels[2] == 2);
    /* Inputs are four labels and a length; 0 0 1 is read, or 0 of the first two steps. */
    static const struct {
        float inputs[5];
        int64_t errors, labels;
    } cases[] = {{{0, 0, 1, -1, 7}, 0, 3}, {{0, 1, 1, -1, 7}, 1, 3}, {{1, -1, 0, 0, 7}, 2, 1},
                 {{1, 1, 1, 1, 7}, 3, 4},  {{-1, 0, 0, 0, 7}, 3, 0}, {{0, 0, 1, -1, 2}, 2, 3},
                 {{0, 0, 1, -1, 0}, 0, 3}, {{0, 1, 0, 1, 9}, 1, 4}};
    const glia_label_places places = {
        .steps = 7, .classes = 3, .blank = 2, .most_labels = 4, .lengths_at = 4};
    int64_t room[12], count;
    CHECK_INT(glia__labels_room(&places), 12);
    for (size_t i = 0; i < GLIA_COUNT(cases); i++) {
        CHECK_INT(glia__labels_compare(&places, cases[i].inputs, logits[0], room, &count), cases[i].errors);
        CHECK_INT(count, cases[i].labels);
    }
}

TEST_MAIN(TEST_ENTRY(losses_of_pytorch), TEST_ENTRY(losses_of_embeddings), TEST_ENTRY(ctc_of_pytorch),
          TEST_ENTRY(ctc_on_bad_data), TEST_ENTRY(embeddings_must_fit), TEST_ENTRY(wrong_settings),
          TEST_ENTRY(a_head_is_made_once), TEST_ENTRY(labels_of_the_best_path))
