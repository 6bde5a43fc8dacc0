/* toy.h: small data and a small network for the tests of training. Include after test.h. */
#ifndef GLIA_TOY_H
#define GLIA_TOY_H

#include "glia/glia.h"

enum { TOY_MOST = 400, TOY_WIDTH = 6, TOY_CLASSES = 3 };

typedef struct toy {
    float x[TOY_MOST][TOY_WIDTH], y[TOY_MOST];
    int64_t classes[TOY_MOST];
    glia_dataset *data;
} toy;

/* `count` examples of three overlapping clouds; `numbers`: the target is a number instead of the class. */
static inline void toy_open(toy *t, int64_t count, uint64_t seed, bool numbers) {
    glia_error err = {0};
    glia_random random = {seed, 1};
    for (int64_t i = 0; i < count; i++) {
        t->classes[i] = i % TOY_CLASSES;
        t->y[i] = 0.5f;
        for (int64_t k = 0; k < TOY_WIDTH; k++) {
            t->x[i][k] = (float)(k % TOY_CLASSES == t->classes[i]) +
                         (float)glia_random_normal(random, (uint64_t)(i * TOY_WIDTH + k));
            t->y[i] += (float)(k - 2) * t->x[i][k];
        }
    }
    glia_tensor x = glia_tensor_wrap(t->x, GLIA_F32, GLIA_SHAPE(count, TOY_WIDTH));
    glia_tensor y = numbers ? glia_tensor_wrap(t->y, GLIA_F32, GLIA_SHAPE(count))
                            : glia_tensor_wrap(t->classes, GLIA_I64, GLIA_SHAPE(count));
    CHECK_OK(glia_dataset_wrap(&t->data, &x, &y, numbers ? 0 : TOY_CLASSES, &err), &err);
}

/* dense 8 relu, dropout, dense `units`. */
static inline glia_model *toy_model(int64_t units, const glia_allocator *allocator) {
    glia_model *m = glia_model_new_with("toy", allocator);
    glia_value *x = glia_input(m, "x", .shape = {TOY_WIDTH});
    x = glia_dense(x, .units = 8, .activation = "relu", .name = "hidden");
    x = glia_dropout(x, 0.2);
    glia_model_set_output(m, glia_dense(x, .units = units, .name = "head"));
    return m;
}

/* Whether two models hold the same bits. */
static inline bool toy_same_weights(const glia_model *a, const glia_model *b) {
    for (size_t i = 0; i < glia_model_params(a); i++) {
        glia_tensor x = glia_model_param_data(a, i), y = glia_model_param_data(b, i);
        if (!x.data || !y.data || memcmp(x.data, y.data, glia_tensor_bytes(&x)) != 0) return false;
    }
    return glia_model_params(a) == glia_model_params(b);
}

#endif
