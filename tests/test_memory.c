/* test_memory.c: the memory of a training: no page is touched for the first time after the first steps, and what is
 * needed is what the planner says. */

#include "test.h"

#include <limits.h>
#include <sys/resource.h>

#include "failing_allocator.h"
#include "glia/glia.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#else
enum { SANITIZED = 0 };
#endif

enum { CLASSES = 10 };

/* Pictures of noise with a bright row, by class. */
typedef struct pictures {
    float *x;
    int64_t *y;
    int64_t count, channels, side;
    glia_dataset *data;
} pictures;

static void pictures_open(pictures *p, int64_t count, int64_t channels, int64_t side) {
    glia_error err = {0};
    const int64_t elems = channels * side * side;
    *p = (pictures){.count = count, .channels = channels, .side = side};
    p->x = malloc((size_t)(count * elems) * sizeof *p->x);
    p->y = malloc((size_t)count * sizeof *p->y);
    glia_random random = {.seed = 5, .stream = 1};
    for (int64_t n = 0; n < count; n++) {
        p->y[n] = n % CLASSES;
        for (int64_t k = 0; k < elems; k++)
            p->x[n * elems + k] = (float)(k / side % side == p->y[n]) +
                                  0.5f * (float)glia_random_normal(random, (uint64_t)(n * elems + k));
    }
    glia_tensor x = glia_tensor_wrap(p->x, GLIA_F32, GLIA_SHAPE(count, channels, side, side)),
                y = glia_tensor_wrap(p->y, GLIA_I64, GLIA_SHAPE(count));
    CHECK_OK(glia_dataset_wrap(&p->data, &x, &y, CLASSES, &err), &err);
}

static void pictures_close(pictures *p) {
    glia_dataset_free(p->data);
    free(p->x);
    free(p->y);
}

static glia_model *network(const pictures *p, bool normalized, const glia_allocator *allocator) {
    glia_model *m = glia_model_new_with("memory", allocator);
    glia_value *x = glia_input(m, "picture", .shape = {p->channels, p->side, p->side});
    x = glia_conv2d(x, .filters = 16, .kernel = {3, 3}, .padding = "same", .activation = "relu");
    x = glia_max_pool2d(x, .size = {2, 2});
    x = glia_conv2d(x, .filters = 32, .kernel = {3, 3}, .padding = "same");
    if (normalized) x = glia_batch_norm(x);
    x = glia_average_pool2d(glia_relu(x), .size = {2, 2});
    x = glia_dropout(glia_flatten(x), 0.2);
    x = glia_dense(x, .units = 64, .activation = "relu");
    glia_model_set_output(m, glia_dense(x, .units = CLASSES));
    return m;
}

/* --- page faults ------------------------------------------------------------------------------------------- */

typedef struct faults {
    long at_start, fewest; /* of the process when an epoch began, and in the epoch that had the fewest */
    int64_t epochs;
} faults;

static long faults_now(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* Epochs count from the first batch to that of the next, those after the first. */
static void note_faults(void *ctx, const glia_progress *p) {
    faults *f = ctx;
    if (p->batch != 1) return;
    const long now = faults_now();
    if (p->epoch > 2 && now - f->at_start < f->fewest) f->fewest = now - f->at_start;
    f->at_start = now;
    f->epochs = p->epoch;
}

/* Not a single page in some epoch: in others the system may take pages back, or a worker that had little to do before may
 * grow its stack. */
static void check_faults(const pictures *p, bool validated) {
    enum { EPOCHS = 7 };
    glia_error err = {0};
    faults f = {.fewest = LONG_MAX};
    glia_model *m = network(p, true, NULL);
    CHECK_OK(glia_fit(m, p->data, .epochs = EPOCHS, .batch_size = 64, .threads = 2,
                      .validation = validated ? p->data : NULL, .on_batch = note_faults, .ctx = &f,
                      .error = &err),
             &err);
    printf("  %ld page faults\n", f.fewest);
    CHECK_INT(f.epochs, EPOCHS);
    if (!SANITIZED) CHECK_INT(f.fewest, 0);
    glia_model_free(m);
}

TEST(steps_touch_no_new_page) {
    pictures p;
    pictures_open(&p, 640, 3, 32);
    check_faults(&p, false);
    check_faults(&p, true);
    pictures_close(&p);
}

/* --- as much as planned ------------------------------------------------------------------------------------- */

static void check_near(double found, double planned) {
    printf("  %.3f MB, planned %.3f\n", found / 1e6, planned / 1e6);
    CHECK(found <= 1.05 * planned);
    CHECK(found >= 0.95 * planned);
}

/* Kilobytes of a line of /proc/self/status; 0 when there is none. */
static double status_kilobytes(const char *name) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[200];
    double found = 0;
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0) found = atof(line + strlen(name));
    if (file) fclose(file);
    return found;
}

static bool forget_the_peak(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (!file) return false;
    bool written = fputs("5", file) >= 0;
    return fclose(file) == 0 && written;
}

/* 20 million weights: what the process holds is nearly all theirs. */
static glia_model *large_network(void) {
    glia_model *m = glia_model_new("large");
    glia_value *x = glia_flatten(glia_input(m, "picture", .shape = {3, 16, 16}));
    x = glia_dense(x, .units = 4000, .activation = "relu");
    x = glia_dense(x, .units = 4000, .activation = "relu");
    glia_model_set_output(m, glia_dense(x, .units = CLASSES));
    return m;
}

TEST(a_large_training_holds_as_much_as_planned) {
    glia_error err = {0};
    glia_fit_memory plan;
    pictures p;
    pictures_open(&p, 24, 3, 16);
    glia_model *m = large_network();
    glia_fit_options options = {.batch_size = 8, .threads = 2, .optimizer = glia_momentum(), .error = &err};
    CHECK_OK(glia_fit_plan(m, p.data, options, &plan), &err);
    CHECK(plan.total > 200e6);
    bool knows = forget_the_peak();
    const double before = status_kilobytes("VmHWM:");
    CHECK_OK(glia_fit_with(m, p.data, options), &err);
    const double grown = 1024 * (status_kilobytes("VmHWM:") - before);
    if (knows && before > 0 && !SANITIZED) check_near(grown, (double)plan.total);
    glia_model_free(m);
    pictures_close(&p);
}

/* A training of `epochs` by an allocator that counts; `plan` as glia_fit_plan says. */
typedef struct counted {
    failing_allocator memory;
    glia_fit_memory plan;
    glia_error err;
    glia_status status;
    double loss, validation_loss; /* of the last epoch */
} counted;

static int note_losses(void *ctx, const glia_epoch *e) {
    counted *c = ctx;
    c->loss = e->loss;
    c->validation_loss = e->validation.loss;
    return 0;
}

static void run_counted(counted *c, const pictures *p, bool normalized, glia_fit_options options) {
    *c = (counted){.memory = {.allocator = {failing_alloc, failing_free, &c->memory}}};
    glia_model *m = network(p, normalized, &c->memory.allocator);
    options.epochs = 2;
    options.batch_size = 64;
    options.threads = 2;
    options.validation = p->data;
    options.on_epoch = note_losses;
    options.ctx = c;
    options.error = &c->err;
    c->status = glia_fit_plan(m, p->data, options, &c->plan);
    if (c->status == GLIA_OK) c->status = glia_fit_with(m, p->data, options);
    glia_model_free(m);
    CHECK_INT(c->memory.live_blocks, 0);
}

TEST(a_training_allocates_as_much_as_planned) {
    pictures p;
    counted c;
    pictures_open(&p, 300, 3, 32);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        glia_precision precision = bf16 ? GLIA_PRECISION_BF16 : GLIA_PRECISION_F32;
        run_counted(&c, &p, bf16, (glia_fit_options){.precision = precision});
        CHECK_OK(c.status, &c.err);
        check_near((double)c.memory.peak_bytes, (double)c.plan.total);
    }
    pictures_close(&p);
}

/* --- a limit ------------------------------------------------------------------------------------------------- */

TEST(a_limit_is_obeyed_with_the_same_losses) {
    pictures p;
    counted whole, limited;
    pictures_open(&p, 300, 3, 32);
    const glia_optimizer_options optimizer = glia_momentum(.learning_rate = 0.01, .clip_norm = 2);
    run_counted(&whole, &p, false, (glia_fit_options){.optimizer = optimizer});
    CHECK_OK(whole.status, &whole.err);
    CHECK_INT(whole.plan.piece, 64);
    for (int percent = 90; percent >= 60; percent -= 15) {
        const int64_t limit = (int64_t)whole.plan.total / 100 * percent;
        run_counted(&limited, &p, false, (glia_fit_options){.optimizer = optimizer, .memory_limit = limit});
        CHECK_OK(limited.status, &limited.err);
        printf("  %.1f MB of %.1f in pieces of %lld and %lld\n", (double)limited.memory.peak_bytes / 1e6,
               (double)limit / 1e6, (long long)limited.plan.piece, (long long)limited.plan.validation_piece);
        CHECK(limited.plan.piece < 64);
        CHECK(limited.memory.peak_bytes <= limit);
        check_near((double)limited.memory.peak_bytes, (double)limited.plan.total);
        CHECK_NEAR(limited.loss, whole.loss, 1e-5);
        CHECK_NEAR(limited.validation_loss, whole.validation_loss, 1e-5);
    }
    pictures_close(&p);
}

TEST(too_low_a_limit_is_refused_with_the_figure) {
    pictures p;
    counted c;
    pictures_open(&p, 100, 3, 32);
    run_counted(&c, &p, false, (glia_fit_options){.memory_limit = 100000});
    printf("  %s\n", c.err.message);
    CHECK_HAS(c.err.message, "training needs at least");
    CHECK_ERR(c.status, GLIA_OUT_OF_MEMORY, &c.err,
              "but memory_limit is 0.1 MB; even with one example at a time");
    run_counted(&c, &p, true, (glia_fit_options){.memory_limit = 10000000});
    printf("  %s\n", c.err.message);
    CHECK_ERR(c.status, GLIA_OUT_OF_MEMORY, &c.err, "follows from whole batches");
    run_counted(&c, &p, true, (glia_fit_options){.memory_limit = -1});
    CHECK_ERR(c.status, GLIA_INVALID_ARGUMENT, &c.err, "memory_limit: expected a number of bytes, found -1");
    pictures_close(&p);
}

TEST_MAIN(TEST_ENTRY(a_large_training_holds_as_much_as_planned), TEST_ENTRY(steps_touch_no_new_page),
          TEST_ENTRY(a_training_allocates_as_much_as_planned),
          TEST_ENTRY(a_limit_is_obeyed_with_the_same_losses),
          TEST_ENTRY(too_low_a_limit_is_refused_with_the_figure))
