/* test_objective.c: models with several inputs, outputs and losses. */

#include "test.h"

#include <math.h>

#include "failing_allocator.h"
#include "glia/glia.h"

enum { BATCH = 8 };

typedef struct task {
    glia_model *model;
    glia_value *age, *kind;
    float image[BATCH * 4], meta[BATCH * 2], ages[BATCH];
    int64_t kinds[BATCH];
    glia_named_tensor arrays[4];
} task;

/* Two inputs that meet, and two outputs that share what they know; one of its layers is used twice. */
static void make_task(task *t, const glia_allocator *allocator) {
    *t = (task){.model = glia_model_new_with("both", allocator)};
    glia_value *image = glia_input(t->model, "image", .shape = {4}),
               *meta = glia_input(t->model, "meta", .shape = {2});
    glia_value *x =
        glia_concat((glia_value *[]){glia_dense(image, .units = 6, .activation = "tanh"), meta}, 2, 0);
    x = glia_dense(x, .units = 8, .name = "mix");
    x = glia_share("mix", NULL, &x, 1);
    t->age = glia_dense(x, .units = 1, .name = "age");
    t->kind = glia_dense(x, .units = 3, .name = "kind");
    for (int i = 0; i < BATCH * 4; i++) t->image[i] = sinf((float)i);
    for (int i = 0; i < BATCH * 2; i++) t->meta[i] = cosf(3 * (float)i);
    for (int i = 0; i < BATCH; i++) {
        t->kinds[i] = i % 3;
        t->ages[i] = t->image[4 * i] + t->meta[2 * i];
    }
    t->arrays[0] = (glia_named_tensor){"kind", glia_tensor_wrap(t->kinds, GLIA_I64, GLIA_SHAPE(BATCH))};
    t->arrays[1] = (glia_named_tensor){"image", glia_tensor_wrap(t->image, GLIA_F32, GLIA_SHAPE(BATCH, 4))};
    t->arrays[2] = (glia_named_tensor){"age", glia_tensor_wrap(t->ages, GLIA_F32, GLIA_SHAPE(BATCH, 1))};
    t->arrays[3] = (glia_named_tensor){"meta", glia_tensor_wrap(t->meta, GLIA_F32, GLIA_SHAPE(BATCH, 2))};
}

static glia_status begin(task *t, glia_objective **o, glia_error *err) {
    const glia_objective_options options = {.optimizer = glia_adam(.learning_rate = 0.02)};
    const glia_objective_loss_options quarter = {.weight = 0.25}, classes = {.classes = 3};
    glia_status status = glia_objective_new(o, t->model, options, err);
    if (status == GLIA_OK) status = glia_objective_add(*o, t->age, "age", quarter, err);
    if (status == GLIA_OK) status = glia_objective_add(*o, t->kind, "kind", classes, err);
    return status;
}

TEST(several) {
    task t;
    glia_error err = {0};
    glia_objective *o = NULL;
    double loss = 0, first = 0;
    make_task(&t, NULL);
    CHECK_OK(glia_model_status(t.model, &err), &err);
    CHECK_OK(begin(&t, &o, &err), &err);
    for (int i = 0; i < 300; i++) {
        CHECK_OK(glia_objective_step(o, t.arrays, 4, &loss, &err), &err);
        CHECK_NEAR(loss, 0.25 * glia_objective_loss(o, "age") + glia_objective_loss(o, "kind"), 1e-6);
        if (i == 0) first = loss;
    }
    CHECK(first > 0.5 && loss < 0.1 * first);
    CHECK_OK(glia_objective_evaluate(o, t.arrays, 4, &loss, &err), &err);
    CHECK(loss < 0.1 * first);
    const glia_tensor kinds = glia_objective_output(o, "kind");
    CHECK(kinds.data && kinds.shape.dim[0] == BATCH && kinds.shape.dim[1] == 3);
    for (int i = 0; i < BATCH; i++)
        for (int64_t k = 0; k < 3; k++)
            CHECK(glia_tensor_get(&kinds, 3 * i + t.kinds[i]) >= glia_tensor_get(&kinds, 3 * i + k));
    CHECK(isnan(glia_objective_loss(o, "other")) && !glia_objective_output(o, "other").data);
    glia_objective_free(o);
    glia_model_free(t.model);
}

/* With one input and one loss it is what a trainer does, up to rounding. */
TEST(as_a_trainer) {
    glia_error err = {0};
    glia_model *m[2];
    glia_objective *o = NULL;
    glia_trainer *trainer = NULL;
    task t;
    make_task(&t, NULL);
    for (int i = 0; i < 2; i++) {
        m[i] = glia_model_new("one");
        glia_value *x = glia_input(m[i], "image", .shape = {4});
        glia_scope_begin(m[i], NULL, .learning_rate_scale = 0.5);
        x = glia_dense(x, .units = 5,
                       .use_bias = GLIA_NO); /* whose gradient would be rounding alone, before a mean */
        x = glia_batch_norm(x, .activation = "relu");
        glia_scope_end(m[i]);
        glia_model_set_output(m[i], glia_dense(x, .units = 3));
        CHECK_OK(glia_model_initialize(m[i], 4, &err), &err);
    }
    const glia_optimizer_options optimizer = glia_adamw(.learning_rate = 0.01, .clip_norm = 0.5);
    CHECK_OK(glia_objective_new(&o, m[0], (glia_objective_options){.optimizer = optimizer}, &err), &err);
    CHECK_OK(glia_objective_add(o, glia_model_output(m[0]), "kind",
                                (glia_objective_loss_options){.classes = 3}, &err),
             &err);
    const glia_fit_options options = {.optimizer = optimizer, .loss = "softmax_cross_entropy"};
    CHECK_OK(glia_trainer_new(&trainer, m[1], GLIA_TARGET_CLASS, (glia_shape){0}, options, &err), &err);
    for (int i = 0; i < 5; i++) {
        double ours = 0, theirs = 0;
        CHECK_OK(glia_objective_step(o, t.arrays, 2, &ours, &err), &err);
        CHECK_OK(glia_trainer_backward(trainer, t.image, t.kinds, BATCH, &theirs, &err), &err);
        CHECK_OK(glia_trainer_update(trainer, &err), &err);
        CHECK_NEAR(ours, theirs, 1e-6);
    }
    for (size_t k = 0; k < glia_model_params(m[0]); k++) {
        const glia_tensor a = glia_model_param_data(m[0], k), b = glia_model_param_data(m[1], k);
        for (int64_t i = 0; i < glia_shape_elems(&a.shape); i++)
            CHECK_NEAR(glia_tensor_get(&a, i), glia_tensor_get(&b, i), 1e-5);
    }
    glia_trainer_free(trainer);
    glia_objective_free(o);
    for (int i = 0; i < 2; i++) glia_model_free(m[i]);
    glia_model_free(t.model);
}

TEST(messages) {
    task t;
    glia_error err = {0};
    glia_objective *o = NULL;
    double loss;
    make_task(&t, NULL);
    CHECK_OK(glia_objective_new(&o, t.model, (glia_objective_options){.seed = 1}, &err), &err);
#define REFUSED(status, call, part)                 \
    do {                                            \
        err = (glia_error){0};                      \
        CHECK_ERR(call, GLIA_##status, &err, part); \
    } while (0)
    const glia_objective_loss_options classes = {.classes = 3};
    REFUSED(INVALID_ARGUMENT, glia_objective_step(o, t.arrays, 4, &loss, &err), "there is no loss; add one");
    REFUSED(INVALID_ARGUMENT, glia_objective_add(o, NULL, "age", classes, &err), "loss 'age' has no output");
    REFUSED(INVALID_ARGUMENT, glia_objective_add(o, t.age, "meta", classes, &err),
            "an input or another loss has that name");
    REFUSED(BAD_SHAPE,
            glia_objective_add(o, t.kind, "kind", (glia_objective_loss_options){.classes = 4}, &err),
            "gives 3 numbers, but the data has 4 classes");
    REFUSED(INVALID_ARGUMENT,
            glia_objective_add(o, t.kind, "kind", (glia_objective_loss_options){.loss = "mze"}, &err),
            "unknown loss 'mze'");
    err = (glia_error){0};
    CHECK_OK(glia_objective_add(o, t.kind, "kind", classes, &err), &err);
    REFUSED(INVALID_ARGUMENT, glia_objective_add(o, t.kind, "kind", classes, &err),
            "another loss has that name");
    REFUSED(INVALID_ARGUMENT, glia_objective_step(o, t.arrays, 4, &loss, &err),
            "array 'age' is of no input and of no loss");
    REFUSED(NOT_FOUND, glia_objective_step(o, t.arrays, 2, &loss, &err), "there is no array called 'meta'");
    t.arrays[2] = t.arrays[3];
    t.arrays[2].tensor.shape.dim[0] = BATCH - 1;
    REFUSED(BAD_SHAPE, glia_objective_step(o, t.arrays, 3, &loss, &err),
            "array 'meta': expected f32 8×2, found f32 7×2");
    t.arrays[2].tensor.shape.dim[0] = BATCH;
    t.meta[3] = NAN;
    REFUSED(NOT_FINITE, glia_objective_step(o, t.arrays, 3, &loss, &err),
            "step 1: the loss became NaN or infinite");
    t.meta[3] = 1;
    err = (glia_error){0};
    CHECK_OK(glia_objective_step(o, t.arrays, 3, &loss, &err), &err);
    REFUSED(INVALID_ARGUMENT,
            glia_objective_add(o, t.age, "age", (glia_objective_loss_options){.weight = 1}, &err),
            "before the first step");
    glia_objective_free(o);
    glia_model_free(t.model);
}

TEST(out_of_memory) {
    FOR_EACH_FAILURE(memory) {
        task t;
        glia_error err = {0};
        glia_objective *o = NULL;
        double loss;
        make_task(&t, &memory.allocator);
        glia_status status = t.model ? glia_model_status(t.model, &err) : GLIA_OUT_OF_MEMORY;
        if (status == GLIA_OK) status = begin(&t, &o, &err);
        if (status == GLIA_OK) status = glia_objective_step(o, t.arrays, 4, &loss, &err);
        if (status == GLIA_OK) status = glia_objective_evaluate(o, t.arrays, 4, &loss, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_objective_free(o);
        glia_model_free(t.model);
    }
}

TEST_MAIN(TEST_ENTRY(several), TEST_ENTRY(as_a_trainer), TEST_ENTRY(messages), TEST_ENTRY(out_of_memory))
