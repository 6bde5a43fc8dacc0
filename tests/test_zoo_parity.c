/* test_zoo_parity.c: networks of the zoo against PyTorch's, from the same weights: what they say, losses and gradients.
 * tools/parity/zoo.py made the figures and says how weights begin. */

#include "test.h"

#include <inttypes.h>
#include <math.h>

#include "glia/glia.h"

enum { BATCH = 4, CLASSES = 5 };

/* splitmix64 of the index, salted by the FNV-1a hash of the name, as a number in [-1, 1). */
static float hashed(uint64_t salt, int64_t i) {
    uint64_t z = ((uint64_t)i + 1 + salt * 1000003) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z = z ^ (z >> 31);
    return (float)(2 * ((double)(z >> 40) / 0x1p24) - 1);
}

static uint64_t salt_of(const char *name) {
    uint32_t salt = 2166136261u;
    for (; *name; name++) salt = (salt ^ (unsigned char)*name) * 16777619u;
    return salt;
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static double weight(const char *name, double h) {
    if (ends_with(name, "running_mean")) return h / 8;
    if (ends_with(name, "running_var")) return 1 + h / 4;
    if (ends_with(name, "bias")) return (h < 0 ? -3 : 3) + h / 4;
    return 0.4 + h / 16;
}

static void fill(glia_model *m) {
    for (size_t k = 0; k < glia_model_params(m); k++) {
        const char *name = glia_value_name(glia_model_param_value(m, k));
        glia_tensor p = glia_model_param_data(m, k);
        const int64_t n = glia_shape_elems(&p.shape);
        const double limit = sqrt(6.0 / ((double)n / (double)p.shape.dim[0]));
        for (int64_t i = 0; i < n; i++) {
            const double h = (double)hashed(salt_of(name), i);
            ((float *)p.data)[i] = (float)(p.shape.rank > 1 ? h * limit : weight(name, h));
        }
    }
}

/* Whether each of `count` numbers of the line is `y`, but for one part in 10⁴ of the largest. */
static void check_logits(const char *line, const float *y, int count) {
    double expected[BATCH * CLASSES], largest = 0;
    char *at = (char *)(uintptr_t)line;
    for (int i = 0; i < count; i++) {
        expected[i] = strtod(at, &at);
        largest = fmax(largest, fabs(expected[i]));
    }
    for (int i = 0; i < count; i++) CHECK_NEAR(y[i], expected[i], 1e-4 * largest);
}

static void predict(glia_model *m, float *images, int64_t side, const char *line) {
    glia_error err = {0};
    glia_shape shape = glia_value_shape(glia_model_output(m));
    const glia_tensor x = glia_tensor_wrap(images, GLIA_F32, GLIA_SHAPE(BATCH, 3, side, side));
    glia_tensor logits;
    shape.dim[0] = BATCH;
    CHECK_OK(glia_tensor_new(&logits, GLIA_F32, shape, NULL, &err), &err);
    CHECK_OK(glia_predict(m, &x, false, &logits, &err), &err);
    check_logits(line, logits.data, BATCH * CLASSES); /* the first ones */
    glia_tensor_free(&logits);
}

typedef struct net {
    glia_model *model;
    glia_trainer *trainer;
    float *images;
    int64_t side;
    double length; /* of the whole gradient */
} net;

/* "NAME LENGTH PRODUCT" of a gradient, but for one part in 10⁴ of the whole gradient. */
static void check_gradient(const net *n, const char *line) {
    const glia_model *m = n->model;
    char name[128];
    double length, product, ours = 0, ours_product = 0;
    CHECK(sscanf(line, "%127s %lf %lf", name, &length, &product) == 3);
    for (size_t k = 0; k < glia_model_params(m); k++) {
        if (strcmp(glia_value_name(glia_model_param_value(m, k)), name) != 0) continue;
        const glia_tensor g = glia_trainer_gradient(n->trainer, k);
        for (int64_t i = 0; i < glia_shape_elems(&g.shape); i++) {
            const double v = (double)((const float *)g.data)[i];
            ours += v * v;
            ours_product += v * (double)hashed(salt_of("product"), i);
        }
        const double tolerance = 1e-4 * n->length;
        CHECK_NEAR(sqrt(ours), length, tolerance);
        CHECK_NEAR(ours_product, product, tolerance);
        return;
    }
    printf("no parameter '%s'\n", name);
    CHECK(false);
}

/* "LENGTH LAYER SIDE OPTIONS" */
static net begin(const char *line) {
    glia_error err = {0};
    char layer[40];
    int options = 0;
    net n = {.model = glia_model_new("net")};
    CHECK(sscanf(line, "%lf %39s %" SCNd64 " %n", &n.length, layer, &n.side, &options) == 3);
    glia_value *x = glia_input(n.model, "image", .shape = {3, n.side, n.side});
    glia_model_set_output(n.model, glia_apply(x, layer, line + options));
    CHECK_OK(glia_model_initialize(n.model, 0, &err), &err);
    fill(n.model);
    const int64_t count = BATCH * 3 * n.side * n.side;
    n.images = malloc((size_t)count * sizeof(float));
    for (int64_t i = 0; i < count; i++) n.images[i] = hashed(salt_of("image"), i);
    const glia_shape output = glia_value_shape(glia_model_output(n.model)), one = {0};
    const glia_shape target = output.rank == 4 ? GLIA_SHAPE(output.dim[2], output.dim[3]) : one;
    const glia_fit_options options_of_fit = {.loss = "softmax_cross_entropy", .batch_size = BATCH};
    CHECK_OK(glia_trainer_new(&n.trainer, n.model, GLIA_TARGET_CLASS, target, options_of_fit, &err), &err);
    return n;
}

static void end(net *n) {
    glia_trainer_free(n->trainer);
    glia_model_free(n->model);
    free(n->images);
    *n = (net){.model = NULL};
}

TEST(as_pytorch) {
    char path[1024], line[2048];
    int64_t labels[BATCH * 16 * 16]; /* of pixels */
    for (int64_t i = 0; i < BATCH * 16 * 16; i++) labels[i] = i % CLASSES;
    net n = {.model = NULL};
    snprintf(path, sizeof path, "%s/tests/data/zoo.txt", getenv("GLIA_SOURCE_DIR"));
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    while (file && fgets(line, sizeof line, file)) {
        glia_error err = {0};
        double loss;
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#') continue;
        if (strncmp(line, "net ", 4) == 0) {
            end(&n);
            n = begin(line + 4);
        } else if (strncmp(line, "logits ", 7) == 0) {
            predict(n.model, n.images, n.side, line + 7);
        } else if (strncmp(line, "loss ", 5) == 0) {
            CHECK_OK(glia_trainer_backward(n.trainer, n.images, labels, BATCH, &loss, &err), &err);
            CHECK_NEAR(loss, atof(line + 5), 1e-4 * atof(line + 5));
        } else {
            check_gradient(&n, line);
        }
    }
    end(&n);
    if (file) fclose(file);
}

TEST_MAIN(TEST_ENTRY(as_pytorch))
