/* test_memory.c: the memory of a training: no page is touched for the first time after the first steps, and what is
 * needed is what the planner says. */

#include "test.h"

#include <sys/resource.h>

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
    long at_start, at_end; /* of the process, when it is warm and after the last batch */
    int64_t warm_epoch, warm_batch;
} faults;

static long faults_now(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static void note_faults(void *ctx, const glia_progress *p) {
    faults *f = ctx;
    if (p->epoch == f->warm_epoch && p->batch == f->warm_batch) f->at_start = faults_now();
    f->at_end = faults_now();
}

static void check_faults(const pictures *p, bool validated) {
    enum { HARNESS = 16 };
    glia_error err = {0};
    faults f = {.warm_epoch = validated ? 2 : 1, .warm_batch = 3};
    glia_model *m = network(p, true, NULL);
    CHECK_OK(glia_fit(m, p->data, .epochs = 4, .batch_size = 64, .threads = 2,
                      .validation = validated ? p->data : NULL, .on_batch = note_faults, .ctx = &f,
                      .error = &err),
             &err);
    printf("  %ld page faults\n", f.at_end - f.at_start);
    CHECK(f.at_start > 0);
    if (!SANITIZED) CHECK(f.at_end - f.at_start <= HARNESS);
    glia_model_free(m);
}

TEST(steps_touch_no_new_page) {
    pictures p;
    pictures_open(&p, 640, 3, 32);
    check_faults(&p, false);
    check_faults(&p, true);
    pictures_close(&p);
}

TEST_MAIN(TEST_ENTRY(steps_touch_no_new_page))
