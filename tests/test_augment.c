/* test_augment.c: pictures changed at random while training: what happens to them, how often, and that nothing but seed,
 * epoch and example decides it. */

#include "test.h"

#include "core/mem.h"
#include "failing_allocator.h"
#include "glia/glia.h"
#include "scratch.h"

enum { COUNT = 400, CHANNELS = 2, HEIGHT = 4, WIDTH = 5, PIXELS = HEIGHT * WIDTH, ELEMS = CHANNELS * PIXELS };
static uint8_t pictures[COUNT][ELEMS];
static int64_t labels[COUNT];

/* Every pixel of a picture is another one, none is 0. */
static glia_dataset *open_pictures(void) {
    glia_error err = {0};
    glia_dataset *d = NULL;
    for (int i = 0; i < COUNT; i++) {
        labels[i] = i % 3;
        for (int k = 0; k < ELEMS; k++) pictures[i][k] = (uint8_t)(1 + (i + k) % 200);
    }
    glia_tensor x = glia_tensor_wrap(pictures, GLIA_U8, GLIA_SHAPE(COUNT, CHANNELS, HEIGHT, WIDTH));
    glia_tensor y = glia_tensor_wrap(labels, GLIA_I64, GLIA_SHAPE(COUNT));
    CHECK_OK(glia_dataset_wrap(&d, &x, &y, 3, &err), &err);
    CHECK_OK(glia_dataset_set_transform(d, 1, (float[]){10, 20}, (float[]){2, 4}, &err), &err);
    return d;
}

/* All pictures of an epoch, by their numbers. */
static void read_epoch(const glia_dataset *d, glia_loader_options options, int64_t epoch,
                       float out[COUNT][ELEMS]) {
    glia_error err = {0};
    glia_loader *l;
    glia_batch b;
    CHECK_OK(glia_loader_new(&l, d, options, &err), &err);
    CHECK_OK(glia_loader_start(l, epoch, &err), &err);
    for (;;) {
        CHECK_OK(glia_loader_next(l, &b, &err), &err);
        if (!b.count) break;
        for (int64_t i = 0; i < b.count; i++)
            memcpy(out[b.order[i]], b.inputs + i * ELEMS, ELEMS * sizeof(float));
    }
    glia_loader_free(l);
}

/* Picture i, shifted and mirrored, as the network gets it. */
static void expect_picture(int i, bool mirror, int dy, int dx, float *out) {
    static const float mean[] = {10, 20}, std[] = {2, 4};
    for (int c = 0; c < CHANNELS; c++)
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                int from_y = y + dy, from_x = (mirror ? WIDTH - 1 - x : x) + dx;
                bool inside = from_y >= 0 && from_y < HEIGHT && from_x >= 0 && from_x < WIDTH;
                float raw = inside ? pictures[i][c * PIXELS + from_y * WIDTH + from_x] : 0;
                out[c * PIXELS + y * WIDTH + x] = (raw - mean[c]) / std[c];
            }
}

/* Which of the 2·25 changes happened to picture i; -1: none of them. */
static int find_change(int i, const float *found) {
    for (int change = 0; change < 50; change++) {
        float expected[ELEMS];
        bool same = true;
        expect_picture(i, change / 25, change / 5 % 5 - 2, change % 5 - 2, expected);
        for (int k = 0; k < ELEMS && same; k++) same = fabsf(found[k] - expected[k]) < 1e-5f;
        if (same) return change;
    }
    return -1;
}

TEST(shifts_and_mirrors) {
    static float found[COUNT][ELEMS];
    int times[50] = {0}, mirrored = 0;
    glia_dataset *d = open_pictures();
    glia_loader_options options = {.shuffle = GLIA_YES, .augment = {.flip = "horizontal", .crop = 2}};
    for (int64_t epoch = 0; epoch < 5; epoch++) {
        read_epoch(d, options, epoch, found);
        for (int i = 0; i < COUNT; i++) {
            int change = find_change(i, found[i]);
            CHECK(change >= 0);
            if (change < 0) continue;
            times[change]++;
            mirrored += change / 25;
        }
    }
    for (int change = 0; change < 50; change++)
        CHECK(times[change] > 15 && times[change] < 80); /* of 2000: 40 each */
    CHECK(mirrored > 900 && mirrored < 1100);
    options.augment.flip = "none";
    options.augment.crop = 0;
    read_epoch(d, options, 0, found);
    for (int i = 0; i < COUNT; i++) CHECK_INT(find_change(i, found[i]), 12);
    options.augment.flip = "horizontal";
    read_epoch(d, options, 0, found);
    for (int i = 0; i < COUNT; i++) CHECK(find_change(i, found[i]) % 25 == 12);
    glia_dataset_free(d);
}

TEST(seed_epoch_example) {
    static float first[COUNT][ELEMS], other[COUNT][ELEMS];
    glia_dataset *d = open_pictures();
    glia_loader_options options = {
        .batch_size = 32, .shuffle = GLIA_YES, .seed = 7, .augment = {.flip = "horizontal", .crop = 2}};
    read_epoch(d, options, 3, first);
    options.batch_size = 9;
    options.prefetch = GLIA_NO;
    read_epoch(d, options, 3, other);
    CHECK(memcmp(first, other, sizeof first) == 0);
    options.batch_size = 900;
    options.threads = 3;
    read_epoch(d, options, 3, other);
    CHECK(memcmp(first, other, sizeof first) == 0);
    options.shuffle = GLIA_NO;
    read_epoch(d, options, 3, other);
    CHECK(memcmp(first, other, sizeof first) == 0);
    read_epoch(d, options, 4, other);
    CHECK(memcmp(first, other, sizeof first) != 0);
    options.seed = 8;
    read_epoch(d, options, 3, other);
    CHECK(memcmp(first, other, sizeof first) != 0);
    glia_dataset_free(d);
}

/* Zeros in one rectangle, 3×3 where the picture's edge does not cut it, everywhere alike often; nothing else changes. */
TEST(cut_out) {
    static float plain[COUNT][ELEMS], found[COUNT][ELEMS];
    int covered[PIXELS] = {0};
    glia_error err = {0};
    glia_dataset *d = open_pictures();
    CHECK_OK(glia_dataset_set_transform(d, 1, (float[]){0.5F, 0.5F}, (float[]){1, 1}, &err), &err);
    glia_loader_options options = {.shuffle = GLIA_YES};
    read_epoch(d, options, 0, plain);
    options.augment.cutout = 3;
    for (int64_t epoch = 0; epoch < 5; epoch++) {
        read_epoch(d, options, epoch, found);
        for (int i = 0; i < COUNT; i++) {
            int top = HEIGHT, left = WIDTH, bottom = -1, right = -1, blank = 0;
            for (int k = 0; k < ELEMS; k++) {
                const int y = k % PIXELS / WIDTH, x = k % WIDTH;
                if (found[i][k] == plain[i][k]) continue;
                CHECK(found[i][k] == 0);
                if (k < PIXELS) blank++, covered[k]++;
                top = GLIA_MIN(top, y), bottom = GLIA_MAX(bottom, y);
                left = GLIA_MIN(left, x), right = GLIA_MAX(right, x);
            }
            CHECK(bottom - top < 3 && right - left < 3);
            CHECK_INT(blank, (bottom - top + 1) * (right - left + 1));
            CHECK(blank >= 4);
        }
    }
    for (int k = 0; k < PIXELS; k++)
        CHECK(covered[k] > 5 * COUNT / PIXELS * 2); /* by 4 to 9 of the centres */
    glia_dataset_free(d);
}

TEST(refused) {
    glia_error err = {0};
    glia_loader *l;
    glia_dataset *d = open_pictures(), *rows;
#define REFUSED(dataset, status, part, ...)                                                                \
    CHECK_ERR(glia_loader_new(&l, dataset, (glia_loader_options){.augment = {__VA_ARGS__}}, &err), status, \
              &err, part)
    REFUSED(d, GLIA_INVALID_ARGUMENT, "flip: expected none or horizontal, found 'vertical'",
            .flip = "vertical");
    REFUSED(d, GLIA_INVALID_ARGUMENT, "fewer than a picture of 4×5 has, found 4", .crop = 4);
    REFUSED(d, GLIA_INVALID_ARGUMENT, "found -1", .crop = -1);
    REFUSED(d, GLIA_INVALID_ARGUMENT, "cutout: expected 0 or a number of pixels, found -2", .cutout = -2);
    glia_tensor x = glia_tensor_wrap(pictures, GLIA_U8, GLIA_SHAPE(COUNT, ELEMS));
    CHECK_OK(glia_dataset_wrap(&rows, &x, NULL, 0, &err), &err);
    REFUSED(rows, GLIA_BAD_SHAPE, "expected pictures (channels×height×width), the data has examples of 40",
            .crop = 1);
    glia_dataset_free(rows);
    glia_dataset_free(d);
}

TEST(memory) {
    glia_dataset *d = open_pictures();
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_loader *l;
        glia_loader_options options = {.augment = {.crop = 1}, .allocator = &memory.allocator};
        glia_status status = glia_loader_new(&l, d, options, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_loader_free(l);
    }
    glia_dataset_free(d);
}

static glia_model *network(void) {
    glia_model *m = glia_model_new("m");
    glia_value *x = glia_input(m, "x", .shape = {CHANNELS, HEIGHT, WIDTH});
    glia_model_set_output(m, glia_dense(glia_flatten(x), .units = 3));
    return m;
}

static int stop_at(void *ctx, const glia_epoch *epoch) {
    return epoch->epoch == *(int *)ctx;
}

/* fit augments the training data only, and goes on with the same pictures when resumed. */
TEST(fit) {
    glia_error err = {0};
    glia_dataset *d = open_pictures();
    glia_model *plain = network(), *whole = network(), *parts = network();
    scratch_make();
    glia_fit_options o = {.epochs = 3, .batch_size = 50, .seed = 2, .validation = d, .error = &err};
    CHECK_OK(glia_fit_with(plain, d, o), &err);
    o.augment = (glia_augment_options){.flip = "horizontal", .crop = 2};
    CHECK_OK(glia_fit_with(whole, d, o), &err);
    o.run_dir = scratch;
    o.on_epoch = stop_at;
    o.ctx = &(int){2};
    CHECK_OK(glia_fit_with(parts, d, o), &err);
    o.on_epoch = NULL;
    o.resume = GLIA_YES;
    CHECK_OK(glia_fit_with(parts, d, o), &err);
    glia_tensor a = glia_model_get_param(whole, "dense.weight"),
                b = glia_model_get_param(parts, "dense.weight"),
                c = glia_model_get_param(plain, "dense.weight");
    CHECK(memcmp(a.data, b.data, glia_tensor_bytes(&a)) == 0);
    CHECK(memcmp(a.data, c.data, glia_tensor_bytes(&a)) != 0);
    glia_model_free(plain), glia_model_free(whole), glia_model_free(parts);
    glia_dataset_free(d);
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(shifts_and_mirrors), TEST_ENTRY(seed_epoch_example), TEST_ENTRY(cut_out),
          TEST_ENTRY(refused), TEST_ENTRY(memory), TEST_ENTRY(fit))
