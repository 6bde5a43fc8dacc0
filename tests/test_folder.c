/* Pictures in a folder a class, on disk and in archives; and CIFAR-10's binary format. */
#include "test.h"

#include <sys/stat.h>

#include "failing_allocator.h"
#include "glia/glia.h"
#include "scratch.h"

/* A picture of one colour with `channels`, as a PNG file at `name` in the scratch folder. */
static void put_picture(const char *name, int64_t channels, int64_t h, int64_t w, uint8_t value) {
    glia_error err = {0};
    static uint8_t pixels[3 * 81];
    unsigned char *data = NULL;
    size_t bytes = 0;
    for (int64_t i = 0; i < channels * h * w; i++) pixels[i] = (uint8_t)(value + 10 * (i / (h * w)));
    glia_tensor t = glia_tensor_wrap(pixels, GLIA_U8, GLIA_SHAPE(channels, h, w));
    CHECK_OK(glia_png_encode(&t, &data, &bytes, NULL, &err), &err);
    if (data) scratch_put(name, data, bytes);
    const glia_allocator *a = glia_allocator_default();
    if (data) a->free(a->ctx, data, bytes);
}

static const char *const names[] = {
    "pets/dog/b.png",     "pets/dog/a.PNG",  "pets/cat/1.png",   "pets/cat/2.png", "pets/cat/3.png",
    "pets/cat/notes.txt", "pets/cat/.4.png", "pets/empty/x.txt", "pets/list.csv",  "pets/loose.png"};

/* cat: 1, 2, 3 (values 1, 2, 3); dog: a, b (11, 12); and what is to be left alone. False without libpng. */
static bool make_pets(void) {
    glia_error err = {0};
    glia_tensor t;
    if (glia_png_read(&t, "none.png", 1, NULL, &err) == GLIA_UNSUPPORTED) return false;
    scratch_make();
    static const char *const folders[] = {"pets", "pets/dog", "pets/cat", "pets/empty"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        CHECK(mkdir(scratch_path(folders[i]), 0700) == 0);
    put_picture("pets/dog/b.png", 3, 4, 5, 12), put_picture("pets/dog/a.PNG", 3, 4, 5, 11);
    for (int i = 1; i <= 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "pets/cat/%d.png", i);
        put_picture(name, 3, 4, 5, (uint8_t)i);
    }
    scratch_text("pets/cat/notes.txt", "no picture"), scratch_text("pets/cat/.4.png", "hidden");
    scratch_text("pets/empty/x.txt", ""), scratch_text("pets/list.csv", ""),
        put_picture("pets/loose.png", 3, 9, 9, 0);
    return true;
}

static void remove_pets(void) {
    static const char *const folders[] = {"pets/dog", "pets/cat", "pets/empty", "pets"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(scratch_path(names[i]));
    for (size_t i = 0; i < 4; i++) CHECK(rmdir(scratch_path(folders[i])) == 0);
    scratch_remove();
}

static const char *source(const char *word, const char *name) {
    static char text[600];
    snprintf(text, sizeof text, "%s:%s", word, scratch_path(name));
    return text;
}

/* The first value of every picture, and its class, as "1:0 2:0 …". */
static const char *describe(const glia_dataset *d) {
    static char text[400];
    glia_error err = {0};
    float pixels[3 * 81];
    size_t at = 0;
    text[0] = 0;
    for (int64_t i = 0; i < glia_dataset_get_info(d)->count && i < 20; i++) {
        int64_t label;
        CHECK_OK(glia_dataset_gather(d, &i, 1, pixels, &label, &err), &err);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%g:%lld", i ? " " : "",
                               (double)pixels[0] * 255, (long long)label);
    }
    return text;
}

TEST(folder) {
    glia_error err = {0};
    if (!make_pets()) SKIP("no libpng");
    glia_dataset *d = glia_dataset_open(source("folder", "pets"), &err);
    CHECK(d);
    if (!d) puts(err.message);
    const glia_dataset_info *info = glia_dataset_get_info(d);
    CHECK_INT(info->count, 5);
    CHECK_INT(info->classes, 2);
    CHECK_STR(info->class_names[0], "cat");
    CHECK_STR(info->class_names[1], "dog");
    CHECK(info->input_shape.rank == 3 && info->input_shape.dim[0] == 3 && info->input_shape.dim[1] == 4 &&
          info->input_shape.dim[2] == 5);
    CHECK_NEAR(info->scale, 1.0 / 255, 1e-12);
    CHECK_STR(describe(d), "1:0 2:0 3:0 11:1 12:1");
    glia_dataset_free(d);
    CHECK_OK(glia_dataset_open_with(&d, source("folder", "pets"), (glia_dataset_options){.limit = 3}, &err),
             &err);
    CHECK_STR(describe(d), "2:0 11:1 12:1"); /* in equal distances */
    glia_dataset_free(d);
    put_picture("pets/cat/2.png", 1, 4, 5, 7); /* grey among colours */
    d = glia_dataset_open(source("folder", "pets"), &err);
    CHECK_STR(describe(d), "1:0 7:0 3:0 11:1 12:1");
    glia_dataset_free(d);
    remove_pets();
}

TEST(refused) {
    glia_error err = {0};
    glia_dataset *d = NULL;
    if (!make_pets()) SKIP("no libpng");
#define REFUSED(name, status, part)                                                                        \
    CHECK_ERR(glia_dataset_open_with(&d, source("folder", name), (glia_dataset_options){0}, &err), status, \
              &err, part)
    REFUSED("none", GLIA_NOT_FOUND, "none");
    REFUSED("pets/empty", GLIA_BAD_DATA, "pets/empty holds no pictures: expected a folder for each class");
    REFUSED("pets/cat", GLIA_BAD_DATA, "holds no pictures");
    REFUSED("pets/list.csv", GLIA_BAD_DATA, "holds no pictures");
    REFUSED("pets/cat/1.png", GLIA_BAD_FORMAT, "damaged tar archive: it is none");
    put_picture("pets/cat/3.png", 3, 5, 5, 0);
    REFUSED("pets", GLIA_BAD_DATA, "cat/3.png is a picture of 5×5, but ");
    REFUSED("pets", GLIA_BAD_DATA, "cat/1.png one of 4×5; all must have one size");
    put_picture("pets/cat/3.png", 3, 4, 5, 0), put_picture("pets/cat/1.png", 1, 4, 5, 0);
    REFUSED("pets", GLIA_BAD_DATA, "cat/2.png is in colours, but ");
    scratch_text("pets/cat/1.png", "not a picture");
    REFUSED("pets", GLIA_BAD_FORMAT, "neither a PNG nor a JPEG picture");
    remove_pets();
}

TEST(archive) {
    glia_error err = {0};
    char path[1100], text[1200];
    const char *root = getenv("GLIA_SOURCE_DIR");
    glia_tensor t;
    if (glia_png_read(&t, "none.png", 1, NULL, &err) == GLIA_UNSUPPORTED) SKIP("no libpng");
    err = (glia_error){0};
    snprintf(path, sizeof path, "folder:%s/tests/data/fuzz/tar/two.tar", root ? root : ".");
    glia_dataset *d = glia_dataset_open(path, &err);
    CHECK(d);
    if (!d) return;
    CHECK_INT(glia_dataset_get_info(d)->count, 3);
    CHECK_STR(glia_dataset_get_info(d)->class_names[0], "left");
    CHECK_STR(glia_dataset_get_info(d)->class_names[1], "right");
    snprintf(text, sizeof text, "%s", describe(d));
    CHECK_HAS(text,
              ":1"); /* the archive has `right` first, and yet classes are in the order of their names */
    CHECK_HAS(text, ":0");
    CHECK(strstr(text, ":1") < strstr(text, ":0"));
    glia_dataset_free(d);
}

TEST(memory) {
    glia_error err = {0};
    if (!make_pets()) SKIP("no libpng");
    FOR_EACH_FAILURE(memory) {
        glia_dataset *d = NULL;
        err = (glia_error){0};
        glia_status status = glia_dataset_open_with(
            &d, source("folder", "pets"), (glia_dataset_options){.allocator = &memory.allocator}, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_dataset_free(d);
    }
    remove_pets();
}

/* Three records in CIFAR-10's format. */
static unsigned char records[3 * 3073];
static void make_records(void) {
    for (int i = 0; i < 3; i++) {
        records[i * 3073] = (unsigned char)(2 * i + 1);
        for (int k = 0; k < 3072; k++) records[i * 3073 + 1 + k] = (unsigned char)(10 * i + 5 + k / 1024);
    }
}

TEST(cifar) {
    glia_error err = {0};
    glia_dataset *d = NULL;
    float pixels[3072];
    int64_t label;
    scratch_make();
    make_records();
    scratch_put("a.bin", records, sizeof records);
    d = glia_dataset_open(source("cifar", "a.bin"), &err);
    CHECK(d);
    if (!d) return;
    CHECK_INT(glia_dataset_get_info(d)->count, 3);
    CHECK_INT(glia_dataset_get_info(d)->classes, 10);
    CHECK_STR(glia_dataset_get_info(d)->class_names[3], "cat");
    CHECK_OK(glia_dataset_gather(d, (int64_t[]){2}, 1, pixels, &label, &err), &err);
    CHECK_INT(label, 5);
    CHECK_NEAR(pixels[0] * 255, 25, 1e-4);
    CHECK_NEAR(pixels[3071] * 255, 27, 1e-4);
    glia_dataset_free(d);
    CHECK_OK(glia_dataset_open_with(&d, source("cifar", "a.bin"), (glia_dataset_options){.limit = 2}, &err),
             &err);
    CHECK_INT(glia_dataset_get_info(d)->count, 2);
    glia_dataset_free(d);
#define BAD(bytes, status, part)                                                                         \
    do {                                                                                                 \
        scratch_put("a.bin", records, bytes);                                                            \
        CHECK_ERR(glia_dataset_open_with(&d, source("cifar", "a.bin"), (glia_dataset_options){0}, &err), \
                  status, &err, part);                                                                   \
    } while (0)
    BAD(3073 + 100, GLIA_BAD_FORMAT, "expected records of 3073 bytes, the last has 100");
    BAD(0, GLIA_BAD_DATA, "holds no examples");
    records[3073] = 10;
    BAD(sizeof records, GLIA_BAD_FORMAT, "record 1 has label 10, expected 0 … 9");
    scratch_remove();
}

/* The published archive: every data_batch file is training data, test_batch the test. */
TEST(cifar10_archive) {
    glia_error err = {0};
    glia_dataset *d = NULL;
    static unsigned char tar[64 << 10], gz[64 << 10];
    static const char *const files[] = {
        "cifar-10-batches-bin/data_batch_1.bin", "cifar-10-batches-bin/readme.html",
        "cifar-10-batches-bin/test_batch.bin", "cifar-10-batches-bin/data_batch_2.bin"};
    static const size_t sizes[] = {3073, 100, 3073, 6146};
    size_t used = 0;
    make_records();
    for (int i = 0; i < 4; i++) {
        unsigned char *header = tar + used;
        unsigned sum = 0;
        snprintf((char *)header, 100, "%s", files[i]);
        snprintf((char *)header + 124, 12, "%011zo", sizes[i]);
        memcpy(header + 257,
               "ustar\0"
               "00",
               8);
        memset(header + 148, ' ', 8);
        header[156] = '0';
        for (int k = 0; k < 512; k++) sum += header[k];
        snprintf((char *)header + 148, 8, "%06o", sum);
        memcpy(tar + used + 512, records, sizes[i]);
        used += 512 + (sizes[i] + 511) / 512 * 512;
    }
    scratch_make();
    CHECK(mkdir(scratch_path("cifar10"), 0700) == 0);
    scratch_put("cifar10/cifar-10-binary.tar.gz", gz, scratch_gzip(gz, tar, used + 1024));
    glia_dataset_options options = {.data_dir = scratch};
    glia_status status = glia_dataset_open_with(&d, "cifar10:train", options, &err);
    if (status != GLIA_UNSUPPORTED) { /* zlib is there */
        CHECK_OK(status, &err);
        CHECK_INT(glia_dataset_get_info(d)->count, 3);
        CHECK_STR(glia_dataset_get_info(d)->name, "cifar10:train");
        glia_dataset_free(d);
        CHECK_OK(glia_dataset_open_with(&d, "cifar10:test", options, &err), &err);
        CHECK_INT(glia_dataset_get_info(d)->count, 1);
        glia_dataset_free(d);
    }
    unlink(scratch_path("cifar10/cifar-10-binary.tar.gz"));
    CHECK(rmdir(scratch_path("cifar10")) == 0);
    scratch_remove();
}

/* All of the real thing, where it is. */
TEST(cifar10_jpeg) {
    glia_error err = {0};
    glia_dataset *d = NULL;
    const char *data = getenv("GLIA_DATA");
    if (!data || !*data) SKIP("GLIA_DATA is not set");
    glia_dataset_options options = {.limit = 1000, .download = GLIA_NO};
    if (glia_dataset_open_with(&d, "cifar10-jpeg:test", options, &err) != GLIA_OK) SKIP(err.message);
    const glia_dataset_info *info = glia_dataset_get_info(d);
    int64_t count[10] = {0};
    CHECK_INT(info->count, 1000);
    CHECK_INT(info->classes, 10);
    CHECK_STR(info->class_names[9], "truck");
    for (int64_t i = 0; i < info->count; i++) {
        float pixels[3072];
        int64_t label;
        CHECK_OK(glia_dataset_gather(d, &i, 1, pixels, &label, &err), &err);
        count[label]++;
    }
    for (int i = 0; i < 10; i++) CHECK_INT(count[i], 100);
    glia_dataset_free(d);
}

TEST_MAIN(TEST_ENTRY(folder), TEST_ENTRY(refused), TEST_ENTRY(archive), TEST_ENTRY(memory), TEST_ENTRY(cifar),
          TEST_ENTRY(cifar10_archive), TEST_ENTRY(cifar10_jpeg))
