/* test_groups.c: frozen layers and learning rates of their own, under every optimiser: each parameter moves as if it were alone
 * with its rate; what is frozen stays, has no moments, and counts neither for the norm nor for the decay. */
#include "test.h"

#include "glia/glia.h"
#include "train/trainer.h"

enum { WIDTH = 7, N = 5, STEPS = 3, PARAMS = 8 };

/* Four dense layers: two with scales of their own, one frozen, one as ever. */
static glia_model *make_model(void) {
    glia_model *m = glia_model_new("groups");
    glia_value *x = glia_input(m, "x", .shape = {WIDTH});
    glia_scope_begin(m, NULL, .learning_rate_scale = 0.25);
    x = glia_dense(x, .units = WIDTH, .activation = "tanh", .name = "slow");
    glia_scope_end(m);
    glia_scope_begin(m, NULL, .trainable = GLIA_NO);
    x = glia_dense(x, .units = WIDTH, .activation = "tanh", .name = "frozen");
    glia_scope_end(m);
    glia_scope_begin(m, NULL, .learning_rate_scale = 3);
    x = glia_dense(x, .units = WIDTH, .activation = "tanh", .name = "fast");
    glia_scope_end(m);
    glia_model_set_output(m, glia_dense(x, .units = 2, .name = "head"));
    return m;
}

static double scale_of(const char *name) {
    return strncmp(name, "slow", 4) == 0 ? 0.25 : strncmp(name, "fast", 4) == 0 ? 3 : 1;
}

/* One parameter by itself: its numbers and moments. */
typedef struct alone {
    float params[WIDTH * WIDTH], gradients[WIDTH * WIDTH], moments[2][WIDTH * WIDTH];
} alone;

/* What `settings` make of the parameter with its own rate and decay. */
static void step_alone(alone *a, const glia_trainer *t, const glia_param *p, int number, float scale) {
    glia_optimizer_options own = t->settings;
    own.learning_rate *= scale_of(glia_value_name(p->value));
    if (own.decay_vectors == GLIA_NO && glia_value_shape(p->value).rank < 2) own.weight_decay = 0;
    const glia_optimizer_step step = {&own, a->params, a->gradients, {a->moments[0], a->moments[1]},
                                      0,    p->elems,  number,       scale};
    t->optimizer->update(&step);
}

static void check_optimizer(glia_optimizer_options optimizer) {
    static alone each[PARAMS];
    float x[N * WIDTH], y[N * 2];
    glia_error err = {0};
    const glia_random random = {9, 1};
    for (int i = 0; i < N * WIDTH; i++) x[i] = (float)glia_random_normal(random, (uint64_t)i);
    for (int i = 0; i < N * 2; i++) y[i] = (float)glia_random_normal(random, (uint64_t)(500 + i));
    glia_model *m = make_model();
    glia_trainer *t = NULL;
    const glia_fit_options options = {.loss = "mse", .optimizer = optimizer, .seed = 2, .threads = 2};
    CHECK_OK(glia_trainer_new(&t, m, GLIA_TARGET_VALUES, GLIA_SHAPE(2), options, &err), &err);
    memset(each, 0, sizeof each);
    CHECK_INT(m->n_params, PARAMS);
    for (size_t i = 0; t && i < PARAMS; i++)
        memcpy(each[i].params, m->block + m->params[i].offset, (size_t)m->params[i].elems * sizeof(float));
    for (int step = 1; t && step <= STEPS; step++) {
        double square = 0;
        CHECK_OK(glia_trainer_backward(t, x, y, N, NULL, &err), &err);
        for (size_t i = 0; i < PARAMS; i++) {
            const glia_tensor g = glia_trainer_gradient(t, i);
            CHECK((g.data != NULL) == m->params[i].trained);
            for (int64_t k = 0; g.data && k < m->params[i].elems; k++) {
                each[i].gradients[k] = ((const float *)g.data)[k];
                square += (double)each[i].gradients[k] * (double)each[i].gradients[k];
            }
        }
        const double norm = sqrt(square), limit = t->settings.clip_norm;
        const float scale = limit > 0 && norm > limit ? (float)(limit / (norm + 1e-6)) : 1;
        CHECK_OK(glia_trainer_update(t, &err), &err);
        for (size_t i = 0; i < PARAMS; i++) {
            const glia_param *p = &m->params[i];
            if (p->trained) step_alone(&each[i], t, p, step, scale);
            for (int64_t k = 0; k < p->elems; k++) {
                const double found = m->block[p->offset + k], wanted = each[i].params[k];
                if (!(fabs(found - wanted) <= (limit > 0 ? 1e-6 : 0) * fmax(1, fabs(wanted)))) {
                    test_failures++;
                    printf("  %s, step %d: '%s' element %lld is %.9g, expected %.9g\n", t->optimizer->name,
                           step, glia_value_name(p->value), (long long)k, found, wanted);
                    break;
                }
            }
        }
    }
    CHECK(!m->params[2].trained && !m->params[3].trained && m->trained_elems <= m->params[2].offset);
    glia_trainer_free(t);
    glia_model_free(m);
}

TEST(every_optimizer) {
    for (size_t i = 0; i < glia__optimizers_count; i++) {
        const char *name = glia__optimizers[i]->name;
        check_optimizer((glia_optimizer_options){.name = name});
        check_optimizer((glia_optimizer_options){.name = name, .weight_decay = 0.05, .clip_norm = 0.1});
        check_optimizer(
            (glia_optimizer_options){.name = name, .weight_decay = 0.05, .decay_vectors = GLIA_NO});
    }
}

/* The schedule changes the common rate; the scales stay. */
TEST(a_rate_that_changes) {
    glia_error err = {0};
    glia_model *m = make_model();
    glia_trainer *t = NULL;
    float x[WIDTH] = {1, -1, 2, 0, 1, 0.5f, 1}, y[2] = {1, -1}, before[PARAMS];
    CHECK_OK(glia_trainer_new(
                 &t, m, GLIA_TARGET_VALUES, GLIA_SHAPE(2),
                 (glia_fit_options){.loss = "mse", .optimizer = {.name = "sgd", .learning_rate = 1}}, &err),
             &err);
    glia_trainer_set_learning_rate(t, 0.01);
    CHECK_OK(glia_trainer_backward(t, x, y, 1, NULL, &err), &err);
    for (size_t i = 0; i < PARAMS; i++) before[i] = m->block[m->params[i].offset];
    CHECK_OK(glia_trainer_update(t, &err), &err);
    for (size_t i = 0; i < PARAMS; i++) {
        const glia_tensor g = glia_trainer_gradient(t, i);
        const double step =
            g.data ? 0.01 * scale_of(glia_value_name(m->params[i].value)) * (double)((float *)g.data)[0] : 0;
        CHECK_NEAR(m->block[m->params[i].offset], (double)before[i] - step, 1e-7);
    }
    glia_trainer_free(t);
    glia_model_free(m);
}

TEST_MAIN(TEST_ENTRY(every_optimizer), TEST_ENTRY(a_rate_that_changes))
