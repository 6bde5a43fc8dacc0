/* test_checkpoint.c: a training that was stopped, killed or refused, and what is on the disk meanwhile. */

#include "test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"
#include "failing_allocator.h"
#include "toy.h"

enum { EPOCHS = 6, BATCH = 16, COUNT = 90, BATCHES = 6 };

typedef struct run {
    volatile sig_atomic_t stop;
    int64_t batches, stop_at;
} run;

static void count_batch(void *ctx, const glia_progress *progress) {
    run *r = ctx;
    (void)progress;
    if (++r->batches == r->stop_at) r->stop = 1;
}

/* One training of the toy; adam, dropout, early stopping and validation are all at work. */
static glia_status train(glia_model *m, const toy *data, const toy *validation, const char *dir, bool resume,
                         int64_t stop_at, glia_error *err) {
    run r = {.stop_at = stop_at};
    return glia_fit(m, data->data, .epochs = EPOCHS, .batch_size = BATCH, .seed = 3, .threads = 1,
                    .optimizer = glia_adam(.learning_rate = 0.02), .validation = validation->data,
                    .early_stopping = {.patience = 50}, .run_dir = dir, .resume = resume ? GLIA_YES : GLIA_NO,
                    .stop = &r.stop, .on_batch = count_batch, .ctx = &r, .error = err);
}

static char *read_text(const char *dir, const char *name, size_t *bytes) {
    char path[256], *text = NULL;
    size_t length = 0;
    glia_error err = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK_OK(glia__file_read(path, 1 << 26, NULL, &text, &length, &err), &err);
    *bytes = length;
    return text;
}

static bool same_file(const char *a, const char *b, const char *name) {
    size_t na, nb;
    char *x = read_text(a, name, &na), *y = read_text(b, name, &nb);
    bool same = x && y && na == nb && memcmp(x, y, na) == 0;
    glia__free(NULL, x, na + 1);
    glia__free(NULL, y, nb + 1);
    return same;
}

/* The lines of metrics.jsonl without the times, which differ. */
static void history(const char *dir, char *out, size_t capacity) {
    size_t bytes, used = 0;
    char *text = read_text(dir, "metrics.jsonl", &bytes);
    out[0] = '\0';
    for (char *line = text, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        char *times = strstr(line, ",\"seconds\"");
        if (times && times < end)
            used += (size_t)snprintf(out + used, capacity - used, "%.*s\n", (int)(times - line), line);
    }
    glia__free(NULL, text, bytes + 1);
}

static void remove_run(const char *dir) {
    static const char *const names[] = {"last.safetensors", "best.safetensors", "metrics.jsonl"};
    char path[256];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

/* Whether runs a and b ended alike, on disk and in memory. */
static void check_alike(const char *a, const char *b, const glia_model *ma, const glia_model *mb) {
    static char ha[8192], hb[8192];
    CHECK(toy_same_weights(ma, mb));
    CHECK(same_file(a, b, "last.safetensors"));
    CHECK(same_file(a, b, "best.safetensors"));
    history(a, ha, sizeof ha);
    history(b, hb, sizeof hb);
    CHECK_STR(ha, hb);
}

TEST(run_directory) {
    glia_error err = {0};
    toy data, validation;
    static char lines[8192];
    toy_open(&data, COUNT, 1, false);
    toy_open(&validation, 60, 2, false);
    glia_model *m = toy_model(TOY_CLASSES, NULL);
    CHECK_OK(train(m, &data, &validation, "ck_dir/deep", false, 0, &err), &err);
    history("ck_dir/deep", lines, sizeof lines);
    CHECK_HAS(lines, "{\"epoch\":1,\"step\":6,\"loss\":");
    CHECK_HAS(lines, "{\"epoch\":6,\"step\":36,\"loss\":");
    CHECK_HAS(lines, "\"val_accuracy\":");
    glia_safetensors *file = NULL;
    CHECK_OK(glia_safetensors_open(&file, "ck_dir/deep/last.safetensors", NULL, &err), &err);
    if (file) {
        CHECK_INT(glia_safetensors_count(file), 12); /* 4 weights and two moments of each */
        CHECK_STR(glia_safetensors_metadata(file, "epoch"), "6");
        CHECK_STR(glia_safetensors_metadata(file, "optimizer"), "adam");
        glia_tensor moment;
        CHECK_OK(glia_safetensors_get(file, "optimizer.v.hidden.weight", &moment, &err), &err);
        glia_safetensors_close(file);
    }
    glia_model_free(m);
    remove_run("ck_dir/deep");
    rmdir("ck_dir");
    glia_dataset_free(data.data);
    glia_dataset_free(validation.data);
}

/* Stopped at the first batch, within an epoch, at its end, in the last one: resumed, nothing differs. */
TEST(resume_is_bit_exact) {
    static const int64_t stops[] = {1, 2, 9, BATCHES, 2 * BATCHES, 5 * BATCHES + 4, EPOCHS * BATCHES};
    glia_error err = {0};
    toy data, validation;
    toy_open(&data, COUNT, 1, false);
    toy_open(&validation, 60, 2, false);
    glia_model *whole = toy_model(TOY_CLASSES, NULL);
    CHECK_OK(train(whole, &data, &validation, "ck_whole", false, 0, &err), &err);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        glia_model *first = toy_model(TOY_CLASSES, NULL), *second = toy_model(TOY_CLASSES, NULL);
        CHECK_ERR(train(first, &data, &validation, "ck_parts", false, stops[i], &err), GLIA_INTERRUPTED, &err,
                  "resume continues from ck_parts");
        if (i == 0) CHECK(!toy_same_weights(whole, first));
        CHECK_OK(glia_model_initialize(second, 99, &err), &err); /* must not matter */
        CHECK_OK(train(second, &data, &validation, "ck_parts", true, 0, &err), &err);
        check_alike("ck_whole", "ck_parts", whole, second);
        /* Once more: there is nothing left to do. */
        CHECK_OK(train(first, &data, &validation, "ck_parts", true, 0, &err), &err);
        check_alike("ck_whole", "ck_parts", whole, first);
        glia_model_free(first);
        glia_model_free(second);
    }
    remove_run("ck_parts");
    remove_run("ck_whole");
    glia_model_free(whole);
    glia_dataset_free(data.data);
    glia_dataset_free(validation.data);
}

/* SIGKILL at many moments, also while a checkpoint is written: the files are whole, and the training goes on as if
 * nothing had been. */
TEST(kill_and_resume) {
    glia_error err = {0};
    toy data, validation;
    toy_open(&data, COUNT, 1, false);
    toy_open(&validation, 60, 2, false);
    glia_model *whole = toy_model(TOY_CLASSES, NULL), *resumed = toy_model(TOY_CLASSES, NULL);
    CHECK_OK(train(whole, &data, &validation, "ck_whole", false, 0, &err), &err);
    int killed = 0;
    for (int attempt = 0; attempt < 12; attempt++) {
        fflush(stdout);
        struct stat st;
        bool there = stat("ck_killed/last.safetensors", &st) == 0;
        pid_t child = fork();
        if (child == 0) {
            glia_model *m = toy_model(TOY_CLASSES, NULL);
            _exit(train(m, &data, &validation, "ck_killed", there, 0, NULL) != GLIA_OK);
        }
        usleep((useconds_t)(500 + 900 * attempt));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        killed += WIFSIGNALED(status) != 0;
        CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    }
    CHECK(killed > 0);
    struct stat st;
    bool there = stat("ck_killed/last.safetensors", &st) == 0;
    CHECK_OK(train(resumed, &data, &validation, "ck_killed", there, 0, &err), &err);
    check_alike("ck_whole", "ck_killed", whole, resumed);
    glia_model_free(whole);
    glia_model_free(resumed);
    (void)!system("rm -rf ck_killed"); /* with the temporary files of those that were killed */
    remove_run("ck_whole");
    glia_dataset_free(data.data);
    glia_dataset_free(validation.data);
}

#define RESUME_FAILS(status, part, model, data, ...)                                                        \
    do {                                                                                                    \
        glia_error fit_err = {0};                                                                           \
        CHECK_ERR(                                                                                          \
            glia_fit(model, data, .run_dir = "ck_run", .resume = GLIA_YES, .error = &fit_err, __VA_ARGS__), \
            status, &fit_err, part);                                                                        \
    } while (0)

static void keep_change(void *ctx, glia_log_level level, const char *text) {
    (void)level;
    if (strstr(text, "changed")) snprintf(ctx, 600, "%s", text);
}

/* The learning rate that is given counts, not the saved one, and the log says so. */
TEST(changed_settings) {
    glia_error err = {0};
    toy data;
    toy_open(&data, COUNT, 1, false);
    glia_model *m = toy_model(TOY_CLASSES, NULL);
    char told[600] = "";
    glia_logger logger = {.line = keep_change, .ctx = told};
    CHECK_OK(glia_fit(m, data.data, .epochs = 1, .run_dir = "ck_run", .optimizer = glia_adam(),
                      .logger = &logger, .error = &err),
             &err);
    CHECK_OK(glia_fit(m, data.data, .epochs = 1, .run_dir = "ck_run", .optimizer = glia_adam(),
                      .resume = GLIA_YES, .logger = &logger, .error = &err),
             &err);
    CHECK_STR(told, "");
    glia_tensor weight = glia_model_get_param(m, "head.weight");
    float before = ((const float *)weight.data)[0];
    CHECK_OK(glia_fit(m, data.data, .epochs = 3, .run_dir = "ck_run", .resume = GLIA_YES,
                      .optimizer = glia_adam(.learning_rate = 1e-20), .early_stopping = {.patience = 9},
                      .logger = &logger, .error = &err),
             &err);
    CHECK_STR(told,
              "changed from here on: learning_rate 1e-20 (was 0.001), epochs 3 (was 1), patience 9 (was 0)");
    weight = glia_model_get_param(m, "head.weight");
    CHECK(((const float *)weight.data)[0] == before);
    remove_run("ck_run");
    glia_model_free(m);
    glia_dataset_free(data.data);
}

TEST(refused) {
    glia_error err = {0};
    toy data;
    toy_open(&data, COUNT, 1, false);
    glia_model *m = toy_model(TOY_CLASSES, NULL), *other = glia_model_new("other"),
               *renamed = glia_model_new("r");
    RESUME_FAILS(GLIA_NOT_FOUND, "ck_run/last.safetensors", m, data.data, .epochs = 1);
    CHECK_OK(glia_fit(m, data.data, .epochs = 1, .run_dir = "ck_run", .error = &err), &err);
    glia_value *x = glia_input(other, "x", .shape = {TOY_WIDTH});
    x = glia_dense(x, .units = 9, .activation = "relu", .name = "hidden");
    glia_model_set_output(other, glia_dense(x, .units = 3, .name = "head"));
    RESUME_FAILS(GLIA_BAD_SHAPE,
                 "ck_run/last.safetensors is of another model: layer 1 is dense 'hidden' N×8 there, dense "
                 "'hidden' N×9 here",
                 other, data.data, .epochs = 2);
    x = glia_input(renamed, "x", .shape = {TOY_WIDTH});
    x = glia_dense(x, .units = 8, .activation = "relu", .name = "hidden");
    x = glia_dropout(x, 0.2);
    x = glia_dense(x, .units = 3, .name = "head");
    glia_model_set_output(renamed, glia_relu(x));
    RESUME_FAILS(GLIA_BAD_SHAPE, "is of another model: layer 4 is missing there, relu 'relu' N×3 here",
                 renamed, data.data, .epochs = 2);
    RESUME_FAILS(GLIA_INVALID_ARGUMENT, "was made with optimizer adam, this training has sgd", m, data.data,
                 .optimizer = glia_sgd());
    RESUME_FAILS(GLIA_INVALID_ARGUMENT, "was made with batch_size 32, this training has 8", m, data.data,
                 .batch_size = 8);
    RESUME_FAILS(GLIA_INVALID_ARGUMENT, "was made with seed 0, this training has 5", m, data.data, .seed = 5);
    RESUME_FAILS(GLIA_INVALID_ARGUMENT, "was made with shuffle yes, this training has no", m, data.data,
                 .shuffle = GLIA_NO);
    RESUME_FAILS(GLIA_INVALID_ARGUMENT, "was made with monitor loss, this training has accuracy", m,
                 data.data, .early_stopping = {.monitor = "val_accuracy"});
    /* Weights alone are no checkpoint. */
    CHECK_OK(glia_model_save_weights(m, "ck_run/last.safetensors", &err), &err);
    RESUME_FAILS(GLIA_BAD_FORMAT, "is no checkpoint to continue from: its metadata has no 'layers'", m,
                 data.data, .epochs = 2);
    /* Nor is a part of one. */
    CHECK_OK(glia__file_write("ck_run/last.safetensors", "{}", 2, &err), &err);
    RESUME_FAILS(GLIA_BAD_FORMAT, "not a safetensors file", m, data.data, .epochs = 2);
    remove_run("ck_run");
    glia_model_free(m);
    glia_model_free(other);
    glia_model_free(renamed);
    glia_dataset_free(data.data);
}

/* A folder that cannot be written is noticed before the first step. */
TEST(unwritable) {
    toy data;
    glia_error err = {0};
    toy_open(&data, COUNT, 1, false);
    glia_model *m = toy_model(TOY_CLASSES, NULL);
    CHECK_OK(glia__file_write("ck_file", "x", 1, &err), &err);
    CHECK_ERR(glia_fit(m, data.data, .run_dir = "ck_file/run", .error = &err), GLIA_IO, &err, "ck_file");
    unlink("ck_file");
    glia_model_free(m);
    glia_dataset_free(data.data);
}

/* No file may grow beyond `bytes`: what a full disk does to a writer. 0: no limit. */
static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    signal(SIGXFSZ, bytes ? SIG_IGN : SIG_DFL);
    setrlimit(RLIMIT_FSIZE, &limit);
}

static int fill_disk(void *ctx, const glia_epoch *epoch) {
    (void)ctx;
    if (epoch->epoch == 2) limit_files(400);
    return 0;
}

/* The disk is full after the second epoch: the training ends with an error, and what was saved is whole. */
TEST(full_disk) {
    glia_error err = {0};
    toy data;
    toy_open(&data, COUNT, 1, false);
    glia_model *m = toy_model(TOY_CLASSES, NULL), *whole = toy_model(TOY_CLASSES, NULL);
    glia_status status =
        glia_fit(m, data.data, .epochs = 4, .run_dir = "ck_full", .on_epoch = fill_disk, .error = &err);
    limit_files(0);
    CHECK_STR(glia_status_name(status), "IO");
    CHECK(*err.message);
    glia_error_clear(&err);
    CHECK_OK(glia_fit(m, data.data, .epochs = 4, .run_dir = "ck_full", .resume = GLIA_YES, .error = &err),
             &err);
    CHECK_OK(glia_fit(whole, data.data, .epochs = 4, .error = &err), &err);
    CHECK(toy_same_weights(m, whole));
    remove_run("ck_full");
    glia_model_free(m);
    glia_model_free(whole);
    glia_dataset_free(data.data);
}

TEST(out_of_memory) {
    toy data;
    toy_open(&data, 12, 1, false);
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_model *m = toy_model(TOY_CLASSES, &memory.allocator);
        glia_status status = glia_model_status(m, &err);
        for (int i = 0; i < 2 && status == GLIA_OK; i++)
            status =
                glia_fit(m, data.data, .epochs = 1 + i, .run_dir = "ck_memory", .threads = 1,
                         .resume = i ? GLIA_YES : GLIA_NO, .early_stopping = {.patience = 9}, .error = &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_model_free(m);
    }
    remove_run("ck_memory");
    glia_dataset_free(data.data);
}

/* A new training in a used folder leaves nothing of the old one. */
TEST(starting_anew) {
    glia_error err = {0};
    toy data;
    static char lines[8192];
    toy_open(&data, COUNT, 1, false);
    for (int i = 0; i < 2; i++) {
        glia_model *m = toy_model(TOY_CLASSES, NULL);
        CHECK_OK(glia_fit(m, data.data, .epochs = i ? 1 : 3, .run_dir = "ck_anew", .error = &err), &err);
        glia_model_free(m);
    }
    history("ck_anew", lines, sizeof lines);
    CHECK_HAS(lines, "\"epoch\":1,");
    CHECK(!strstr(lines, "\"epoch\":2,"));
    remove_run("ck_anew");
    glia_dataset_free(data.data);
}

/* After a NaN the last checkpoint is that of the last good epoch, and the message names it. */
TEST(not_finite_names_the_checkpoint) {
    glia_error err = {0};
    toy data;
    toy_open(&data, COUNT, 1, true);
    glia_model *m = toy_model(1, NULL);
    CHECK_ERR(glia_fit(m, data.data, .epochs = 3, .optimizer = glia_sgd(.learning_rate = 1e25),
                       .run_dir = "ck_nan", .error = &err),
              GLIA_NOT_FINITE, &err, "ck_nan/last.safetensors has the last good weights, of epoch 0");
    glia_model *saved = toy_model(1, NULL);
    CHECK_OK(glia_model_load_weights(saved, "ck_nan/last.safetensors", &err), &err);
    CHECK(toy_same_weights(m, saved));
    remove_run("ck_nan");
    glia_model_free(m);
    glia_model_free(saved);
    glia_dataset_free(data.data);
}

TEST_MAIN(TEST_ENTRY(run_directory), TEST_ENTRY(resume_is_bit_exact), TEST_ENTRY(kill_and_resume),
          TEST_ENTRY(changed_settings), TEST_ENTRY(refused), TEST_ENTRY(unwritable), TEST_ENTRY(full_disk),
          TEST_ENTRY(out_of_memory), TEST_ENTRY(starting_anew), TEST_ENTRY(not_finite_names_the_checkpoint))
