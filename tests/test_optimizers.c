/* test_optimizers.c: every optimiser against twenty steps of PyTorch's, stored in data/optimizer_steps.txt by
 * tools/parity/optimizers.py, which says how parameters and gradients are made. */

#include "test.h"

#include "toy.h"

#include "train/optimizer.h"

enum { SIZE = 5, STEPS = 20 };

static FILE *open_fixture(const char *name) {
    char path[1024];
    const char *root = getenv("GLIA_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/tests/data/%s", root ? root : ".", name);
    return fopen(path, "r");
}

/* One case: "case adam learning_rate=0.1" was read; checks the steps that follow. */
static void run_case(FILE *file, const char *name, const char *settings) {
    glia_optimizer_options options = {.name = name};
    const glia_optimizer *optimizer = glia__optimizer_find(name);
    glia_error err = {0};
    float theta[SIZE], gradient[SIZE], moments[2][SIZE] = {0};
    CHECK(optimizer);
    if (!optimizer) return;
    CHECK_OK(glia__fields_parse(optimizer->fields, &options, settings, NULL, &err), &err);
    CHECK_OK(glia__optimizer_resolve(&options, &optimizer, &err), &err);
    for (int i = 0; i < SIZE; i++) theta[i] = (float)sin(i + 1);
    for (int t = 1; t <= STEPS; t++) {
        for (int i = 0; i < SIZE; i++)
            gradient[i] = (float)(cos(0.7 * t + i) * (i + 1) / 10) + 0.2f * theta[i];
        glia_optimizer_step step = {.options = &options,
                                    .params = theta,
                                    .gradients = gradient,
                                    .moments = {moments[0], moments[1]},
                                    .end = SIZE,
                                    .number = t};
        step.gradient_scale = glia__clip_scale(&options, glia__norm(gradient, SIZE, 1));
        glia__optimizer_run(optimizer, step, 1);
        for (int i = 0; i < SIZE; i++) {
            double expected;
            CHECK_INT(fscanf(file, "%lf", &expected), 1);
            /* f32 rounds at 6e-8; twenty steps, each a few roundings that are placed differently. */
            CHECK_NEAR(theta[i], expected, 2e-6 * fmax(0.1, fabs(expected)));
        }
    }
}

TEST(steps_of_pytorch) {
    char line[256], name[32];
    int cases = 0, used;
    FILE *file = open_fixture("optimizer_steps.txt");
    CHECK(file);
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "case %31s%n", name, &used) != 1) continue;
        int before = test_failures;
        run_case(file, name, line + used);
        if (test_failures != before) printf("  in %s", line);
        cases++;
    }
    fclose(file);
    CHECK(cases >= 17);
}

/* Every registered optimiser has a stored case. */
TEST(none_is_left_out) {
    char text[32768] = "";
    FILE *file = open_fixture("optimizer_steps.txt");
    CHECK(file);
    if (!file) return;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    for (size_t i = 0; i < glia__optimizers_count; i++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "case %s", glia__optimizers[i]->name);
        if (!strstr(text, wanted)) printf("  no case for %s\n", glia__optimizers[i]->name);
        CHECK(strstr(text, wanted));
        CHECK(glia__optimizers[i]->doc && glia__optimizers[i]->source);
    }
}

/* Many elements on many threads give what one thread gives, bit for bit; the norm as well. */
TEST(threads_change_nothing) {
    enum { MANY = 200001 };
    static float theta[2][MANY], gradient[MANY], m[2][MANY], v[2][MANY];
    for (size_t k = 0; k < glia__optimizers_count; k++) {
        glia_optimizer_options options = {.name = glia__optimizers[k]->name, .weight_decay = 0.01};
        const glia_optimizer *optimizer;
        glia_error err = {0};
        CHECK_OK(glia__optimizer_resolve(&options, &optimizer, &err), &err);
        memset(m, 0, sizeof m);
        memset(v, 0, sizeof v);
        for (int i = 0; i < MANY; i++)
            theta[0][i] = theta[1][i] = (float)(i % 77) / 77, gradient[i] = (float)(i % 13) - 6;
        for (int way = 0; way < 2; way++)
            for (int t = 1; t <= 2; t++) {
                glia_optimizer_step step = {&options, theta[way], gradient, {m[way], v[way]}, 0, MANY, t, 1};
                glia__optimizer_run(optimizer, step, way ? 7 : 1);
            }
        CHECK(memcmp(theta[0], theta[1], sizeof theta[0]) == 0);
        CHECK(theta[0][MANY - 1] != (float)((MANY - 1) % 77) / 77);
    }
    double one = glia__norm(gradient, MANY, 1), many = glia__norm(gradient, MANY, 7), sum = 0;
    for (int i = 0; i < MANY; i++) sum += (double)gradient[i] * (double)gradient[i];
    CHECK(memcmp(&one, &many, sizeof one) == 0);
    CHECK_NEAR(one, sqrt(sum), 1e-9);
    CHECK_NEAR(glia__largest(gradient, MANY, 3), 6, 0);
    CHECK_NEAR(glia__largest(gradient, 0, 3), 0, 0);
    gradient[MANY / 2] = -INFINITY;
    CHECK(isinf(glia__largest(gradient, MANY, 3)));
    gradient[MANY / 2] = NAN;
    CHECK(isnan(glia__norm(gradient, MANY, 3)));
    CHECK(!isfinite(glia__largest(gradient, MANY, 1)));
}

TEST(bad_settings) {
    const glia_optimizer *optimizer;
    glia_error err = {0};
    glia_optimizer_options options = {.name = "adm"};
    CHECK_ERR(glia__optimizer_resolve(&options, &optimizer, &err), GLIA_INVALID_ARGUMENT, &err,
              "unknown optimizer 'adm' (did you mean 'adam'?)");
    options = (glia_optimizer_options){.name = "sgd", .learning_rate = -1};
    CHECK_ERR(glia__optimizer_resolve(&options, &optimizer, &err), GLIA_INVALID_ARGUMENT, &err,
              "optimizer sgd: learning_rate: expected a number");
    options = (glia_optimizer_options){.beta1 = 2};
    CHECK_ERR(glia__optimizer_resolve(&options, &optimizer, &err), GLIA_INVALID_ARGUMENT, &err, "beta1");
    options = (glia_optimizer_options){0};
    CHECK_OK(glia__optimizer_resolve(&options, &optimizer, &err), &err);
    CHECK_STR(optimizer->name, "adam");
    CHECK_NEAR(options.learning_rate, 0.001, 0);
    CHECK_NEAR(options.epsilon, 1e-8, 0);
}

/* One step of gradient descent that spares biases, by hand beside the trainer's. */
TEST(vectors_may_be_spared_the_decay) {
    const double rate = 0.1, decay = 0.5;
    float before[64];
    double loss;
    toy train;
    glia_error err = {0};
    glia_trainer *t = NULL;
    toy_open(&train, 30, 1, false);
    for (int spared = 0; spared < 2; spared++) {
        glia_model *m = toy_model(TOY_CLASSES, NULL);
        const glia_optimizer_options o = glia_sgd(.learning_rate = rate, .weight_decay = decay,
                                                  .decay_vectors = spared ? GLIA_NO : GLIA_DEFAULT);
        const glia_fit_options options = {.optimizer = o};
        CHECK_OK(glia_trainer_new(&t, m, GLIA_TARGET_CLASS, (glia_shape){0}, options, &err), &err);
        for (size_t i = 0; i < glia_model_params(m); i++) {
            glia_tensor theta = glia_model_param_data(m, i);
            for (int64_t k = 0; k < glia_shape_elems(&theta.shape); k++)
                ((float *)theta.data)[k] = (float)(k % 5 + 1) / 5;
        }
        CHECK_OK(glia_trainer_backward(t, &train.x[0][0], train.classes, 30, &loss, &err), &err);
        CHECK_OK(glia_trainer_update(t, &err), &err);
        for (size_t i = 0; i < glia_model_params(m); i++) {
            glia_tensor theta = glia_model_param_data(m, i), gradient = glia_trainer_gradient(t, i);
            const double own = spared && theta.shape.rank < 2 ? 0 : decay;
            for (int64_t k = 0; k < glia_shape_elems(&theta.shape); k++) {
                before[k] = (float)(k % 5 + 1) / 5;
                const double g = (double)((float *)gradient.data)[k] + own * (double)before[k];
                CHECK_NEAR((double)((float *)theta.data)[k], (double)before[k] - rate * g, 1e-6);
            }
        }
        glia_trainer_free(t);
        glia_model_free(m);
    }
    glia_dataset_free(train.data);
}

TEST_MAIN(TEST_ENTRY(vectors_may_be_spared_the_decay), TEST_ENTRY(steps_of_pytorch),
          TEST_ENTRY(none_is_left_out), TEST_ENTRY(threads_change_nothing), TEST_ENTRY(bad_settings))
