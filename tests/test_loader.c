/* Batches: sizes, orders, the prefetch thread. */
#include "test.h"

#include <time.h>

#include "failing_allocator.h"
#include "glia/data.h"
#include "glia/tensor.h"

enum { MOST = 100 };
static float numbers[MOST][2]; /* example i is (i, −i) */
static int64_t labels[MOST];

static glia_dataset *open_numbers(int64_t count) {
    glia_error err = {0};
    glia_dataset *d = NULL;
    for (int64_t i = 0; i < count; i++) {
        numbers[i][0] = (float)i, numbers[i][1] = -(float)i;
        labels[i] = i % 7;
    }
    glia_tensor x = glia_tensor_wrap(numbers, GLIA_F32, GLIA_SHAPE(count, 2));
    glia_tensor y = glia_tensor_wrap(labels, GLIA_I64, GLIA_SHAPE(count));
    CHECK_OK(glia_dataset_wrap(&d, &x, &y, 7, &err), &err);
    return d;
}

static glia_loader *open_loader(const glia_dataset *d, glia_loader_options options) {
    glia_error err = {0};
    glia_loader *l = NULL;
    CHECK_OK(glia_loader_new(&l, d, options, &err), &err);
    return l;
}

/* Reads an epoch: which examples came, in `order`; gives their number, and that of the batches. */
static int64_t read_epoch(glia_loader *l, int64_t epoch, int64_t *order, int64_t *batches) {
    glia_error err = {0};
    glia_batch b;
    int64_t count = 0;
    CHECK_OK(glia_loader_start(l, epoch, &err), &err);
    for (*batches = 0;; ++*batches) {
        CHECK_OK(glia_loader_next(l, &b, &err), &err);
        if (!b.count) break;
        for (int64_t i = 0; i < b.count; i++) {
            CHECK(b.inputs[2 * i] == (float)b.order[i] && b.inputs[2 * i + 1] == -(float)b.order[i]);
            CHECK_INT(((int64_t *)b.targets)[i], b.order[i] % 7);
            order[count++] = b.order[i];
        }
    }
    CHECK_OK(glia_loader_next(l, &b, &err), &err); /* the end stays the end */
    CHECK_INT(b.count, 0);
    return count;
}

TEST(sizes) {
    static const struct {
        int64_t examples, batch, batches;
    } cases[] = {
        {10, 1, 10}, {10, 3, 4}, {10, 5, 2}, {10, 9, 2}, {10, 10, 1}, {10, 11, 1}, {10, 1000000000000, 1},
        {1, 32, 1},  {33, 0, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int shuffle = 0; shuffle < 2; shuffle++)
            for (int prefetch = 1; prefetch <= 2; prefetch++) {
                glia_dataset *d = open_numbers(cases[i].examples);
                glia_loader *l =
                    open_loader(d, (glia_loader_options){.batch_size = cases[i].batch,
                                                         .shuffle = shuffle ? GLIA_YES : GLIA_NO,
                                                         .prefetch = prefetch == 1 ? GLIA_YES : GLIA_NO});
                int64_t order[MOST], batches;
                int seen[MOST] = {0}, once = 0;
                CHECK_INT(glia_loader_batches(l), cases[i].batches);
                CHECK_INT(read_epoch(l, 1, order, &batches), cases[i].examples); /* none is dropped */
                CHECK_INT(batches, cases[i].batches);
                for (int64_t k = 0; k < cases[i].examples; k++) seen[order[k]]++;
                for (int64_t k = 0; k < cases[i].examples; k++) once += seen[k] == 1;
                CHECK_INT(once, cases[i].examples);
                glia_loader_free(l);
                glia_dataset_free(d);
            }
}

/* The order follows from seed and epoch: not from the batch size, the thread, or what was read before. */
TEST(shuffled_by_seed) {
    glia_dataset *d = open_numbers(MOST);
    int64_t first[MOST], other[MOST], batches;
    glia_loader *l = open_loader(d, (glia_loader_options){.batch_size = 7, .shuffle = GLIA_YES, .seed = 3});
    read_epoch(l, 2, first, &batches);
    read_epoch(l, 3, other, &batches);
    CHECK(memcmp(first, other, sizeof first) != 0);
    read_epoch(l, 2, other, &batches);
    CHECK(memcmp(first, other, sizeof first) == 0);
    glia_loader_free(l);
    l = open_loader(
        d, (glia_loader_options){.batch_size = 13, .shuffle = GLIA_YES, .seed = 3, .prefetch = GLIA_NO});
    read_epoch(l, 2, other, &batches);
    CHECK(memcmp(first, other, sizeof first) == 0);
    glia_loader_free(l);
    l = open_loader(d, (glia_loader_options){.batch_size = 7, .shuffle = GLIA_YES, .seed = 4});
    read_epoch(l, 2, other, &batches);
    CHECK(memcmp(first, other, sizeof first) != 0);
    glia_loader_free(l);
    l = open_loader(d, (glia_loader_options){.batch_size = 7, .seed = 3});
    read_epoch(l, 2, other, &batches);
    for (int64_t i = 0; i < MOST; i++) CHECK_INT(other[i], i); /* as they lie */
    glia_loader_free(l);
    glia_dataset_free(d);
}

TEST(given_order) {
    static const int64_t order[] = {4, 4, 0, 1, 2};
    glia_dataset *d = open_numbers(5);
    glia_loader *l =
        open_loader(d, (glia_loader_options){.batch_size = 2, .order = order, .shuffle = GLIA_YES});
    int64_t got[MOST], batches;
    CHECK_INT(read_epoch(l, 1, got, &batches), 5);
    CHECK(memcmp(got, order, sizeof order) == 0);
    glia_loader_free(l);
    static const int64_t wrong[] = {0, 1, 5, 3, 4};
    for (int prefetch = 1; prefetch <= 2; prefetch++) { /* an error of the thread comes with its batch */
        glia_error err = {0};
        glia_batch b;
        l = open_loader(d, (glia_loader_options){.batch_size = 2,
                                                 .order = wrong,
                                                 .prefetch = prefetch == 1 ? GLIA_YES : GLIA_NO});
        CHECK_OK(glia_loader_start(l, 0, &err), &err);
        CHECK_OK(glia_loader_next(l, &b, &err), &err);
        CHECK_ERR(glia_loader_next(l, &b, &err), GLIA_INVALID_ARGUMENT, &err,
                  "example 5 is out of range 0 … 4");
        glia_loader_free(l);
    }
    glia_dataset_free(d);
}

/* 11 examples in stretches 0 … 3, 4 … 7 and 8 … 10; epochs of two batches read one half of each, then the other. */
TEST(stretches) {
    static const int64_t whole[] = {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7},
                         half[2][6] = {{0, 4, 8, 1, 5, 9}, {1, 5, 9, 2, 6, 10}};
    glia_dataset *d = open_numbers(11);
    int64_t got[MOST], batches;
    for (int64_t batches_wanted = 0; batches_wanted <= 2; batches_wanted += 2) {
        glia_loader *l = open_loader(
            d, (glia_loader_options){
                   .batch_size = 3, .batches = batches_wanted, .shuffle = GLIA_YES, .stretches = GLIA_YES});
        for (int64_t epoch = 0; epoch < 4; epoch++) {
            const int64_t *wanted = batches_wanted ? half[epoch % 2] : whole;
            const int64_t count = batches_wanted ? 6 : 11;
            CHECK_INT(read_epoch(l, epoch, got, &batches), count);
            CHECK(memcmp(got, wanted, (size_t)count * sizeof *got) == 0);
        }
        glia_loader_free(l);
    }
    glia_dataset_free(d);
}

TEST(refused) {
    glia_error err = {0};
    glia_dataset *d = open_numbers(5);
    glia_loader *l;
    CHECK_ERR(glia_loader_new(&l, d, (glia_loader_options){.batch_size = -1}, &err), GLIA_INVALID_ARGUMENT,
              &err, "expected a batch size of at least 1, found -1");
    CHECK(l == NULL);
    glia_loader_free(NULL);
    glia_dataset_free(d);
}

/* At any time: unstarted, in the middle, with a batch being gathered. And a start in the middle begins anew. */
TEST(left_early) {
    glia_error err = {0};
    glia_dataset *d = open_numbers(MOST);
    for (int prefetch = 1; prefetch <= 2; prefetch++)
        for (int taken = -1; taken < 4; taken++) {
            glia_loader *l = open_loader(
                d, (glia_loader_options){.batch_size = 40, .prefetch = prefetch == 1 ? GLIA_YES : GLIA_NO});
            glia_batch b;
            if (taken < 0) { /* no epoch has begun */
                for (int i = 0; i < 3; i++) {
                    CHECK_OK(glia_loader_next(l, &b, &err), &err);
                    CHECK_INT(b.count, 0);
                }
            } else {
                CHECK_OK(glia_loader_start(l, 0, &err), &err);
                for (int i = 0; i < taken; i++) CHECK_OK(glia_loader_next(l, &b, &err), &err);
                if (taken % 2) {
                    CHECK_OK(glia_loader_start(l, 1, &err), &err);
                    CHECK_OK(glia_loader_next(l, &b, &err), &err);
                    CHECK(b.count == 40 && b.order[0] == 0 && b.inputs[78] == 39);
                }
            }
            glia_loader_free(l);
        }
    glia_dataset_free(d);
}

/* A batch must not change under the caller while the thread gathers the next one. */
TEST(stays_while_used) {
    glia_error err = {0};
    glia_dataset *d = open_numbers(MOST);
    glia_loader *l = open_loader(d, (glia_loader_options){.batch_size = 10});
    CHECK_OK(glia_loader_start(l, 0, &err), &err);
    for (int64_t n = 0; n < 10; n++) {
        glia_batch b;
        CHECK_OK(glia_loader_next(l, &b, &err), &err);
        struct timespec a_while = {.tv_nsec = 2000000};
        nanosleep(&a_while, NULL);
        for (int64_t i = 0; i < 10; i++) CHECK_NEAR(b.inputs[2 * i], (double)(10 * n + i), 0);
    }
    glia_loader_free(l);
    glia_dataset_free(d);
}

TEST(without_targets) {
    glia_error err = {0};
    glia_dataset *d;
    glia_batch b;
    glia_tensor x = glia_tensor_wrap(numbers, GLIA_F32, GLIA_SHAPE(5, 2));
    CHECK_OK(glia_dataset_wrap(&d, &x, NULL, 0, &err), &err);
    glia_loader *l = open_loader(d, (glia_loader_options){0});
    CHECK_OK(glia_loader_start(l, 0, &err), &err);
    CHECK_OK(glia_loader_next(l, &b, &err), &err);
    CHECK(b.count == 5 && b.targets == NULL);
    glia_loader_free(l);
    glia_dataset_free(d);
}

TEST(memory) {
    glia_dataset *d = open_numbers(10);
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_loader *l;
        glia_batch b;
        glia_loader_options options = {.batch_size = 4, .shuffle = GLIA_YES, .allocator = &memory.allocator};
        glia_status status = glia_loader_new(&l, d, options, &err);
        if (status == GLIA_OK) status = glia_loader_start(l, 0, &err);
        if (status == GLIA_OK) status = glia_loader_next(l, &b, &err);
        CHECK_FAILED_ONCE(memory, status);
        if (status != GLIA_OK) CHECK_HAS(err.message, "out of memory for a");
        glia_loader_free(l);
    }
    glia_dataset_free(d);
}

/* A large batch is gathered in parts, and its first error told. */
TEST(parts) {
    enum { COUNT = 300 };
    static uint8_t pixels[COUNT][COUNT];
    glia_error err = {0};
    glia_dataset *d;
    glia_batch b;
    int64_t order[COUNT];
    for (int64_t i = 0; i < COUNT; i++) {
        order[i] = COUNT - 1 - i;
        memset(pixels[i], (int)(i % 256), COUNT);
    }
    glia_tensor x = glia_tensor_wrap(pixels, GLIA_U8, GLIA_SHAPE(COUNT, COUNT));
    CHECK_OK(glia_dataset_wrap(&d, &x, NULL, 0, &err), &err);
    const glia_loader_options options = {
        .batch_size = COUNT, .order = order, .prefetch = GLIA_NO, .threads = 4};
    glia_loader *l = open_loader(d, options);
    CHECK_OK(glia_loader_start(l, 0, &err), &err);
    CHECK_OK(glia_loader_next(l, &b, &err), &err);
    for (int64_t i = 0; i < COUNT; i++) CHECK(b.inputs[i * COUNT + i] == (float)(order[i] % 256));
    order[COUNT / 2] = COUNT;
    order[COUNT - 1] = -1;
    CHECK_OK(glia_loader_start(l, 1, &err), &err);
    CHECK_ERR(glia_loader_next(l, &b, &err), GLIA_INVALID_ARGUMENT, &err, "example 300 is out of range");
    glia_loader_free(l);
    glia_dataset_free(d);
}

TEST_MAIN(TEST_ENTRY(sizes), TEST_ENTRY(parts), TEST_ENTRY(shuffled_by_seed), TEST_ENTRY(given_order),
          TEST_ENTRY(stretches), TEST_ENTRY(refused), TEST_ENTRY(left_early), TEST_ENTRY(stays_while_used),
          TEST_ENTRY(without_targets), TEST_ENTRY(memory))
