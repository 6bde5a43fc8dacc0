/* test_parity.c: the tutorial network on MNIST against PyTorch, from the same weights and in the same order: the first
 * 50 losses for four optimisers. tools/parity/mnist_losses.py made the figures and says how weights begin. */

#include "test.h"

#include "glia/glia.h"

enum { BATCH = 128, STEPS = 50, PIXELS = 784 };

static float *images;
static int64_t labels[BATCH * STEPS];

/* splitmix64 of the index, as a number in [-limit, limit). */
static void fill_hashed(glia_tensor weight, uint64_t salt, double limit) {
    float *w = weight.data;
    for (int64_t i = 0; i < glia_shape_elems(&weight.shape); i++) {
        uint64_t z = ((uint64_t)i + 1 + salt * 1000003) * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z = z ^ (z >> 31);
        w[i] = (float)((2 * ((double)(z >> 40) / 0x1p24) - 1) * limit);
    }
}

static glia_model *network(void) {
    glia_error err = {0};
    glia_model *m = glia_model_new("tutorial");
    glia_value *x = glia_input(m, "image", .shape = {1, 28, 28});
    x = glia_max_pool2d(glia_conv2d(x, .filters = 32, .kernel = {3, 3}, .activation = "relu"));
    glia_model_set_output(m, glia_dense(glia_flatten(x), .units = 10));
    CHECK_OK(glia_model_initialize(m, 0, &err), &err);
    fill_hashed(glia_model_get_param(m, "conv2d.weight"), 1, 0.14);
    fill_hashed(glia_model_get_param(m, "dense.weight"), 2, 0.033);
    return m;
}

/* The first 6,400 training images, scaled to 0 … 1. False when they are not there. */
static bool read_mnist(void) {
    char path[1024];
    const char *folder = getenv("GLIA_DATA");
    glia_tensor x = {0}, y = {0};
    glia_error err = {0};
    if (!folder) return false;
    snprintf(path, sizeof path, "%s/mnist/train-images-idx3-ubyte.gz", folder);
    if (glia_idx_read(&x, path, BATCH * STEPS, NULL, &err) != GLIA_OK) return false;
    snprintf(path, sizeof path, "%s/mnist/train-labels-idx1-ubyte.gz", folder);
    CHECK_OK(glia_idx_read(&y, path, BATCH * STEPS, NULL, &err), &err);
    images = malloc(sizeof(float) * BATCH * STEPS * PIXELS);
    for (int64_t i = 0; i < BATCH * STEPS * PIXELS; i++)
        images[i] = (float)((unsigned char *)x.data)[i] * (float)(1.0 / 255);
    for (int64_t i = 0; i < BATCH * STEPS; i++) labels[i] = (int64_t)glia_tensor_get(&y, i);
    glia_tensor_free(&x);
    glia_tensor_free(&y);
    return true;
}

static void run_case(FILE *file, const char *name, double learning_rate) {
    glia_error err = {0};
    glia_trainer *t = NULL;
    glia_model *m = network();
    glia_fit_options options = {.optimizer = {.name = name, .learning_rate = learning_rate}};
    CHECK_OK(glia_trainer_new(&t, m, GLIA_TARGET_CLASS, (glia_shape){0}, options, &err), &err);
    double worst_early = 0, worst = 0;
    for (int64_t step = 0; t && step < STEPS; step++) {
        double loss = 0, expected = 1;
        CHECK_INT(fscanf(file, "%lf", &expected), 1);
        CHECK_OK(glia_trainer_backward(t, images + step * BATCH * PIXELS, labels + step * BATCH, BATCH, &loss,
                                       &err),
                 &err);
        CHECK_OK(glia_trainer_update(t, &err), &err);
        double difference = fabs(loss - expected) / expected;
        worst = fmax(worst, difference);
        if (step < 5) worst_early = worst;
    }
    printf("  %-8s largest relative difference of the loss: %.1e in 5 steps, %.1e in %d\n", name, worst_early,
           worst, STEPS);
    CHECK(worst_early <= 1e-6);
    CHECK(worst <= 1e-4);
    glia_trainer_free(t);
    glia_model_free(m);
}

TEST(losses_of_pytorch) {
    char path[1024], name[32], line[128];
    double learning_rate;
    int cases = 0;
    const char *root = getenv("GLIA_SOURCE_DIR");
    if (!read_mnist()) SKIP("the MNIST files are not in $GLIA_DATA/mnist");
    snprintf(path, sizeof path, "%s/tests/data/mnist_losses.txt", root ? root : ".");
    FILE *file = fopen(path, "r");
    CHECK(file);
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "case %31s learning_rate=%lf", name, &learning_rate) != 2) continue;
        run_case(file, name, learning_rate);
        cases++;
    }
    CHECK_INT(cases, 4);
    if (file) fclose(file);
    free(images);
}

TEST_MAIN(TEST_ENTRY(losses_of_pytorch))
