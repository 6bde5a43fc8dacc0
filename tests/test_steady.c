/* test_steady.c: what a training promises: no allocation in a step, the same bits in every run, and out of memory told as
 * such wherever it happens. On a network of images, so that the kernels of this build take part. */

#include "test.h"

#include "failing_allocator.h"
#include "glia/glia.h"

enum { COUNT = 70, SIDE = 8, CLASSES = 3, BATCH = 16 }; /* the last batch of an epoch has 6 */

typedef struct images {
    float x[COUNT][SIDE * SIDE];
    int64_t y[COUNT];
    glia_dataset *data;
} images;

static void images_open(images *i, int64_t count) {
    glia_error err = {0};
    glia_random random = {.seed = 3, .stream = 1};
    for (int64_t n = 0; n < count; n++) {
        i->y[n] = n % CLASSES;
        for (int64_t k = 0; k < SIDE * SIDE; k++)
            i->x[n][k] =
                (float)(k % CLASSES == i->y[n]) + glia_random_uniform(random, (uint64_t)(n * 64 + k));
    }
    glia_tensor x = glia_tensor_wrap(i->x, GLIA_F32, GLIA_SHAPE(count, 1, SIDE, SIDE)),
                y = glia_tensor_wrap(i->y, GLIA_I64, GLIA_SHAPE(count));
    CHECK_OK(glia_dataset_wrap(&i->data, &x, &y, CLASSES, &err), &err);
}

static glia_model *network(const glia_allocator *allocator) {
    glia_model *m = glia_model_new_with("steady", allocator);
    glia_value *x = glia_input(m, "image", .shape = {1, SIDE, SIDE});
    x = glia_conv2d(x, .filters = 4, .kernel = {3, 3}, .activation = "relu");
    x = glia_max_pool2d(x, .size = {2, 2});
    x = glia_dropout(glia_flatten(x), 0.3);
    glia_model_set_output(m, glia_dense(x, .units = CLASSES));
    return m;
}

/* --- no allocation ---------------------------------------------------------------------------------------- */

typedef struct counts {
    failing_allocator *memory;
    long at_batch[4][8]; /* by epoch and batch, from 1 */
    int64_t batches;
} counts;

static void note_count(void *ctx, const glia_progress *p) {
    counts *c = ctx;
    if (p->epoch < 4 && p->batch < 8) c->at_batch[p->epoch][p->batch] = atomic_load(&c->memory->count);
    c->batches = p->batches;
}

static void check_fit(const images *train, bool validated) {
    failing_allocator memory = {.allocator = {failing_alloc, failing_free, &memory}};
    counts c = {.memory = &memory};
    glia_error err = {0};
    glia_model *m = network(&memory.allocator);
    CHECK_OK(glia_fit(m, train->data, .epochs = 3, .batch_size = BATCH,
                      .validation = validated ? train->data : NULL, .threads = 2,
                      .optimizer = glia_adam(.learning_rate = 0.01), .on_batch = note_count, .ctx = &c,
                      .error = &err),
             &err);
    CHECK_INT(c.batches, 5);
    CHECK(c.at_batch[1][1] > 0);
    CHECK_INT(c.at_batch[1][4], c.at_batch[1][1]); /* batch 5 is smaller and planned when first met */
    CHECK_INT(c.at_batch[2][5], c.at_batch[2][1]);
    CHECK_INT(c.at_batch[3][5], c.at_batch[3][1]);
    CHECK_INT(c.at_batch[3][1], c.at_batch[validated ? 2 : 1][5]); /* nor does the turn of an epoch */
    glia_model_free(m);
    CHECK_INT(memory.live_blocks, 0);
}

TEST(steps_of_fit_allocate_nothing) {
    images train;
    images_open(&train, COUNT);
    check_fit(&train, false);
    check_fit(&train, true);
    glia_dataset_free(train.data);
}

TEST(steps_of_a_loop_by_hand_allocate_nothing) {
    failing_allocator memory = {.allocator = {failing_alloc, failing_free, &memory}};
    glia_error err = {0};
    images train;
    images_open(&train, COUNT);
    glia_model *m = network(&memory.allocator);
    glia_loader *loader = NULL;
    glia_trainer *trainer = NULL;
    glia_loader_options batches = {.batch_size = BATCH, .shuffle = GLIA_YES, .allocator = &memory.allocator};
    CHECK_OK(glia_loader_new(&loader, train.data, batches, &err), &err);
    CHECK_OK(glia_trainer_new(
                 &trainer, m, GLIA_TARGET_CLASS, (glia_shape){0},
                 (glia_fit_options){.batch_size = BATCH, .optimizer = glia_adam(.learning_rate = 0.01)},
                 &err),
             &err);
    long after_first_epoch = 0;
    int steps = 0;
    for (int64_t epoch = 0; epoch < 3 && err.status == GLIA_OK; epoch++) {
        CHECK_OK(glia_loader_start(loader, epoch, &err), &err);
        for (glia_batch batch;; steps++) {
            double loss;
            if (glia_loader_next(loader, &batch, &err) != GLIA_OK || batch.count == 0) break;
            CHECK_OK(glia_trainer_forward(trainer, batch.inputs, batch.targets, batch.count, &loss, &err),
                     &err);
            CHECK_OK(glia_trainer_backward(trainer, batch.inputs, batch.targets, batch.count, &loss, &err),
                     &err);
            CHECK_OK(glia_trainer_update(trainer, &err), &err);
        }
        if (epoch == 0) after_first_epoch = atomic_load(&memory.count);
    }
    CHECK_INT(steps, 15);
    CHECK(after_first_epoch > 0);
    CHECK_INT(atomic_load(&memory.count), after_first_epoch);
    glia_trainer_free(trainer);
    glia_loader_free(loader);
    glia_model_free(m);
    glia_dataset_free(train.data);
    CHECK_INT(memory.live_blocks, 0);
}

/* --- the same bits ---------------------------------------------------------------------------------------- */

static bool same_weights(const glia_model *a, const glia_model *b) {
    for (size_t i = 0; i < glia_model_params(a); i++) {
        glia_tensor x = glia_model_param_data(a, i), y = glia_model_param_data(b, i);
        if (!x.data || !y.data || memcmp(x.data, y.data, glia_tensor_bytes(&x)) != 0) return false;
    }
    return glia_model_params(a) == glia_model_params(b);
}

TEST(two_runs_have_the_same_bits) {
    glia_error err = {0};
    images train;
    images_open(&train, COUNT);
    for (int threads = 1; threads <= 3; threads++) {
        glia_model *m[3];
        for (int i = 0; i < 3; i++) {
            m[i] = network(NULL);
            CHECK_OK(glia_fit(m[i], train.data, .epochs = 2, .batch_size = BATCH, .threads = threads,
                              .seed = i == 2 ? 8 : 7, .error = &err),
                     &err);
        }
        CHECK(same_weights(m[0], m[1]));
        CHECK(!same_weights(m[0], m[2]));
        for (int i = 0; i < 3; i++) glia_model_free(m[i]);
    }
    glia_dataset_free(train.data);
}

/* --- the same bits for any number of threads, and bf16 beside f32 ------------------------------------------ */

enum { MANY = 320, WIDE = 28, DIGITS = 10 };

/* Crosses, each class at a place of its own, in so much noise that the loss is still far from 0 after some epochs. */
typedef struct digits {
    float *x;
    int64_t y[MANY];
    glia_dataset *data;
} digits;

static void digits_open(digits *d) {
    glia_error err = {0};
    const glia_random random = {.seed = 11, .stream = 2};
    d->x = malloc(sizeof(float) * MANY * WIDE * WIDE);
    for (int64_t n = 0; n < MANY; n++) {
        d->y[n] = (n * 7) % DIGITS;
        const int64_t row = 6 + d->y[n] % 5 * 4 + n % 3, column = 8 + d->y[n] / 5 * 10 + n % 2;
        for (int64_t k = 0; k < WIDE * WIDE; k++) {
            const bool on = k / WIDE == row || k % WIDE == column;
            d->x[n * WIDE * WIDE + k] =
                (on ? 1.0f : 0.0f) +
                1.5f * (float)glia_random_normal(random, (uint64_t)(n * WIDE * WIDE + k));
        }
    }
    glia_tensor x = glia_tensor_wrap(d->x, GLIA_F32, GLIA_SHAPE(MANY, 1, WIDE, WIDE)),
                y = glia_tensor_wrap(d->y, GLIA_I64, GLIA_SHAPE(MANY));
    CHECK_OK(glia_dataset_wrap(&d->data, &x, &y, DIGITS, &err), &err);
}

static void digits_close(digits *d) {
    glia_dataset_free(d->data);
    free(d->x);
}

/* Everything that adds over a batch: convolutions, both pools, batch normalisation, dropout, dense layers. */
static glia_model *convolutions(void) {
    glia_model *m = glia_model_new("convolutions");
    glia_value *x = glia_input(m, "digit", .shape = {1, WIDE, WIDE});
    x = glia_conv2d(x, .filters = 8, .kernel = {5, 5}, .activation = "relu");
    x = glia_max_pool2d(x, .size = {2, 2});
    x = glia_batch_norm(glia_conv2d(x, .filters = 24, .kernel = {3, 3}, .padding = "same"));
    x = glia_average_pool2d(glia_relu(x), .size = {2, 2});
    x = glia_relu(glia_batch_norm(glia_conv2d(x, .filters = 32, .kernel = {3, 3}, .padding = "same")));
    x = glia_dropout(glia_flatten(x), 0.2);
    x = glia_dense(x, .units = 100, .activation = "relu");
    glia_model_set_output(m, glia_dense(x, .units = DIGITS));
    return m;
}

static glia_model *perceptron(void) {
    glia_model *m = glia_model_new("perceptron");
    glia_value *x = glia_flatten(glia_input(m, "digit", .shape = {1, WIDE, WIDE}));
    x = glia_dense(x, .units = 300, .activation = "relu");
    x = glia_dropout(glia_dense(x, .units = 129, .activation = "tanh"), 0.1);
    glia_model_set_output(m, glia_dense(x, .units = DIGITS));
    return m;
}

static double epoch_loss[8];
static int note_epoch(void *ctx, const glia_epoch *e) {
    (void)ctx;
    epoch_loss[e->epoch % 8] = e->loss;
    return 0;
}

static glia_model *trained(glia_model *(*make)(void), const digits *d, glia_fit_options options) {
    glia_error err = {0};
    glia_model *m = make();
    options.batch_size = 48; /* the last batch has 32 */
    options.validation = d->data;
    options.optimizer = glia_adam(.learning_rate = 0.002, .clip_norm = 1);
    options.seed = 7;
    options.on_epoch = note_epoch;
    options.error = &err;
    CHECK_OK(glia_fit_with(m, d->data, options), &err);
    return m;
}

TEST(threads_change_no_bit) {
    glia_model *(*const makers[])(void) = {convolutions, perceptron};
    static const int threads[] = {1, 2, 3, 5};
    digits d;
    digits_open(&d);
    for (int network = 0; network < 2; network++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            glia_model *first = NULL;
            for (int i = 0; i < 4; i++) {
                glia_model *m =
                    trained(makers[network], &d,
                            (glia_fit_options){.epochs = 2,
                                               .threads = threads[i],
                                               .precision = bf16 ? GLIA_PRECISION_BF16 : GLIA_PRECISION_F32});
                if (first && !same_weights(first, m))
                    printf("  %s, %s: %d threads give other bits\n", network ? "perceptron" : "convolutions",
                           bf16 ? "bf16" : "f32", threads[i]);
                CHECK(!first || same_weights(first, m));
                if (first)
                    glia_model_free(m);
                else
                    first = m;
            }
            glia_model_free(first);
        }
    digits_close(&d);
}

TEST(bf16_learns_as_f32_does) {
    digits d;
    double losses[2];
    digits_open(&d);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        glia_model_free(trained(
            convolutions, &d,
            (glia_fit_options){
                .epochs = 4, .threads = 2, .precision = bf16 ? GLIA_PRECISION_BF16 : GLIA_PRECISION_F32}));
        losses[bf16] = epoch_loss[4];
    }
    printf("  loss %.4f in f32, %.4f in bf16\n", losses[0], losses[1]);
    CHECK(losses[0] > 0.01 && losses[0] < 2);
    CHECK_NEAR(losses[1], losses[0], 0.05 * losses[0]);
    digits_close(&d);
}

/* Weights, order of the examples and masks of dropout depend on the seed alone. A learning rate of 0 leaves the weights
 * as they were drawn; the loss of a batch shows its examples and masks. */
typedef struct losses {
    double at[8];
} losses;

static void note_loss(void *ctx, const glia_progress *p) {
    if (p->batch < 8) ((losses *)ctx)->at[p->batch] = p->loss;
}

TEST(random_numbers_do_not_depend_on_threads) {
    glia_error err = {0};
    images train;
    losses l[5] = {{{0}}};
    images_open(&train, COUNT);
    glia_model *m[5];
    for (int i = 0; i < 5; i++) { /* 1 to 4 threads, and another seed */
        m[i] = network(NULL);
        CHECK_OK(glia_fit(m[i], train.data, .epochs = 1, .batch_size = BATCH, .threads = i + 1,
                          .seed = i == 4 ? 8 : 7, .optimizer = glia_sgd(.learning_rate = 1e-30),
                          .on_batch = note_loss, .ctx = &l[i], .error = &err),
                 &err);
    }
    for (int i = 1; i < 4; i++) {
        CHECK(same_weights(m[0], m[i]));
        for (int b = 1; b <= 5; b++) CHECK_NEAR(l[i].at[b], l[0].at[b], 1e-5);
    }
    CHECK(!same_weights(m[0], m[4]));
    CHECK(fabs(l[4].at[1] - l[0].at[1]) > 1e-3);
    for (int i = 0; i < 5; i++) glia_model_free(m[i]);
    glia_dataset_free(train.data);
}

/* --- out of memory ---------------------------------------------------------------------------------------- */

TEST(fit_out_of_memory) {
    images train;
    images_open(&train, 12);
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_model *m = network(&memory.allocator);
        glia_status status = glia_model_status(m, &err);
        if (status == GLIA_OK)
            status = glia_fit(m, train.data, .epochs = 1, .batch_size = 8, .validation = train.data,
                              .threads = 2, .error = &err);
        CHECK_FAILED_ONCE(memory, status);
        if (status != GLIA_OK && m) CHECK_HAS(err.message, "out of memory");
        glia_model_free(m);
    }
    glia_dataset_free(train.data);
}

TEST(evaluate_and_predict_out_of_memory) {
    images train;
    images_open(&train, 12);
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        float out[12 * CLASSES];
        glia_tensor x = glia_tensor_wrap(train.x, GLIA_F32, GLIA_SHAPE(12, 1, SIDE, SIDE)),
                    y = glia_tensor_wrap(out, GLIA_F32, GLIA_SHAPE(12, CLASSES));
        glia_model *m = network(&memory.allocator);
        glia_status status = glia_model_status(m, &err);
        if (status == GLIA_OK) status = glia_model_initialize(m, 1, &err);
        if (status == GLIA_OK) {
            glia_report report = glia_evaluate(m, train.data, .batch_size = 8, .threads = 2, .error = &err);
            status = err.status;
            CHECK(status == GLIA_OK ? report.examples == 12 : report.examples == 0 && isnan(report.loss));
        }
        if (status == GLIA_OK) status = glia_predict(m, &x, true, &y, &err);
        CHECK_FAILED_ONCE(memory, status);
        if (status != GLIA_OK && m) CHECK_HAS(err.message, "out of memory");
        glia_model_free(m);
    }
    glia_dataset_free(train.data);
}

TEST_MAIN(TEST_ENTRY(steps_of_fit_allocate_nothing), TEST_ENTRY(steps_of_a_loop_by_hand_allocate_nothing),
          TEST_ENTRY(two_runs_have_the_same_bits), TEST_ENTRY(threads_change_no_bit),
          TEST_ENTRY(bf16_learns_as_f32_does), TEST_ENTRY(random_numbers_do_not_depend_on_threads),
          TEST_ENTRY(fit_out_of_memory), TEST_ENTRY(evaluate_and_predict_out_of_memory))
