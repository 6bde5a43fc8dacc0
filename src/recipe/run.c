/* run.c: run directories: which may be written, which continued, and how one is opened again. */
#include "recipe/run.h"

#include <dirent.h>
#include <errno.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "core/map.h"
#include "data/channels.h"

static const char *const run_files[] = {"last.safetensors", "best.safetensors", "metrics.jsonl",
                                        "report.html",      "log.txt",          "config.yaml"};

const char *glia__run_file(const char *dir, const char *name, char *out, size_t capacity) {
    snprintf(out, capacity, "%s/%s", dir, name);
    return out;
}

static bool exists(const char *dir, const char *name) {
    char path[1200];
    return access(glia__run_file(dir, name, path, sizeof path), F_OK) == 0;
}

/* Whether a folder holds anything that no training wrote. */
static bool holds_others(const char *path) {
    DIR *d = opendir(path);
    bool others = !d;
    for (struct dirent *e; d && !others && (e = readdir(d));) {
        bool ours = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
                    strcmp(e->d_name, GLIA_RECIPE_LAYER_FILES) == 0 || strstr(e->d_name, ".tmp-");
        for (size_t i = 0; i < GLIA_COUNT(run_files) && !ours; i++)
            ours = strcmp(e->d_name, run_files[i]) == 0;
        others = !ours;
    }
    if (d) closedir(d);
    return others;
}

/* --- is it the same training? -------------------------------------------------------------------------- */

/* What must agree for a resumed training to be the same one: what the weights, the optimiser's moments, the order of
 * the examples and the best value so far belong to. How long it goes on, the learning rate and the like may change. */
static void print_identity(const glia_recipe *recipe, glia_text *out) {
    static const char *const keys[] = {"data", "inputs", "model", "outputs", "losses", "loss"};
    glia_text all;
    glia__text_init(&all, recipe->arena.allocator);
    glia__recipe_print(recipe, &all);
    bool on = false;
    for (const char *line = all.data; *line;) {
        size_t length = strcspn(line, "\n");
        if (line[0] != ' ') {
            on = false;
            for (size_t i = 0; i < GLIA_COUNT(keys); i++) {
                size_t key = strlen(keys[i]);
                on |= strncmp(line, keys[i], key) == 0 && line[key] == ':';
            }
        }
        if (on) glia__text_printf(out, "%.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    glia_fit_options o = glia_recipe_fit_options(recipe);
    glia__text_printf(
        out, "optimizer: %s\nbatch_size: %lld\nsteps_per_epoch: %lld\nshuffle: %s\nseed: %lld\nmonitor: %s\n",
        recipe->optimizer->name, (long long)o.batch_size, (long long)o.steps_per_epoch,
        o.shuffle == GLIA_NO ? "no" : "yes", (long long)o.seed, o.early_stopping.monitor);
    out->failed |= all.failed;
    glia__text_free(&all);
}

/* The first line in which two texts differ; both NULL when equal. Lines without indentation and "- ". */
static void first_difference(char *a, char *b, const char **in_a, const char **in_b) {
    *in_a = *in_b = NULL;
    while (*a || *b) {
        size_t na = strcspn(a, "\n"), nb = strcspn(b, "\n");
        if (na != nb || memcmp(a, b, na) != 0) {
            a[na] = b[nb] = 0;
            *in_a = a + strspn(a, " -");
            *in_b = b + strspn(b, " -");
            return;
        }
        a += na + (a[na] == '\n');
        b += nb + (b[nb] == '\n');
    }
}

/* What an error quotes of a line that differs from another from `at` on: "conv2d: … filters: 4". Long lines are
 * layers with all their settings. */
static void quote_difference(const char *line, size_t at, char *out, size_t capacity) {
    size_t start = at, length = strlen(line), name = strcspn(line, ":");
    while (start > 0 && line[start - 1] != '{' && strncmp(line + start - 1, ", ", 2) != 0) start--;
    if (start > 0 && line[start - 1] == ',') start++;
    start += start < length && line[start] == ' ';
    size_t end = GLIA_MAX(at, start);
    while (end < length && line[end] != '}' && strncmp(line + end, ", ", 2) != 0) end++;
    if (length < 60 || start == 0)
        snprintf(out, capacity, "%s", line);
    else
        snprintf(out, capacity, "%.*s: … %.*s", (int)name, line, (int)(end - start), line + start);
}

static bool same_bytes(const char *a, const char *b) {
    glia_map x = {0}, y = {0};
    bool same = glia__map_open(&x, a, NULL) == GLIA_OK && glia__map_open(&y, b, NULL) == GLIA_OK &&
                x.bytes == y.bytes && memcmp(x.data, y.data, x.bytes) == 0;
    glia__map_close(&x);
    glia__map_close(&y);
    return same;
}

/* A run has copies of the files that layers name: the same file elsewhere is no difference. */
static void call_files_alike(const glia_recipe *old, const glia_recipe *recipe) {
    for (int i = 0; i < old->model.n_layers && i < recipe->model.n_layers; i++) {
        const char **there = glia__recipe_layer_file(&old->model.layers[i]);
        const char **here = glia__recipe_layer_file(&recipe->model.layers[i]);
        if (there && here && same_bytes(*there, *here)) *there = *here;
    }
}

static glia_status check_same(glia_run_dir *run, const glia_recipe *recipe, glia_error *err) {
    const char *dir = run->path;
    char path[1200];
    const char *there, *here;
    glia_recipe *old = NULL;
    GLIA_TRY(glia_recipe_load(&old, glia__run_file(dir, "config.yaml", path, sizeof path), NULL, 0,
                              recipe->arena.allocator, err));
    glia_text a, b;
    glia__text_init(&a, recipe->arena.allocator);
    glia__text_init(&b, recipe->arena.allocator);
    snprintf(run->substitute, sizeof run->substitute, "%s", old->trained.substitute);
    call_files_alike(old, recipe);
    print_identity(old, &a);
    print_identity(recipe, &b);
    glia_status status = GLIA_OK;
    if (a.failed || b.failed) {
        status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    } else {
        first_difference(a.data, b.data, &there, &here);
        if (there) {
            char quoted_there[100], quoted_here[100];
            size_t at = 0;
            while (there[at] && there[at] == here[at]) at++;
            quote_difference(there, at, quoted_there, sizeof quoted_there);
            quote_difference(here, at, quoted_here, sizeof quoted_here);
            status = glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                    "%.200s holds another training: '%s' there, '%s' here; it cannot be "
                                    "continued with this model file (--out DIR writes elsewhere; a resumed "
                                    "training may change epochs, validate_every, patience, min_delta, "
                                    "threads, metrics, schedule and the optimizer's settings)",
                                    dir, quoted_there, quoted_here);
        }
    }
    glia__text_free(&a);
    glia__text_free(&b);
    glia_recipe_free(old);
    return status;
}

/* --- opening for training ------------------------------------------------------------------------------ */

static glia_status decide(glia_run_dir *dir, const glia_recipe *recipe, const glia_run_options *options,
                          glia_error *err) {
    struct stat st;
    const char *path = dir->path;
    bool there = stat(path, &st) == 0;
    dir->resuming = false;
    if (there && !S_ISDIR(st.st_mode))
        return glia_error_set(err, GLIA_IO, "%.300s is a file; expected a folder for the run", path);
    bool config = exists(path, "config.yaml"), last = exists(path, "last.safetensors");
    bool best = exists(path, "best.safetensors");
    if (options->resume) {
        if (!config && (last || best || !exists(path, "log.txt")))
            return glia_error_set(err, GLIA_NOT_FOUND,
                                  "nothing to resume: %.300s is no run directory (it has no config.yaml)",
                                  path);
        if (config) GLIA_TRY(check_same(dir, recipe, err));
        if (best && !last)
            return glia_error_set(
                err, GLIA_NOT_FOUND,
                "%.300s has no last.safetensors to continue from, only best.safetensors, which "
                "glia evaluate and glia predict use; --force trains anew and replaces it",
                path);
        dir->resuming = last; /* killed before its first checkpoint: begin again */
        return GLIA_OK;
    }
    if (there && !config && holds_others(path))
        return glia_error_set(
            err, GLIA_IO, "%.300s is not empty and no run directory; choose another with --out DIR", path);
    if ((last || best) && !options->force)
        return glia_error_set(err, GLIA_IO,
                              "%.300s already holds a training; --resume continues it, --force replaces it, "
                              "--out DIR writes elsewhere",
                              path);
    return GLIA_OK; /* new, or without anything worth keeping */
}

/* A replaced run must leave nothing that could be taken for the new one's. */
static void remove_old(const char *dir) {
    char path[1200];
    for (size_t i = 0; i < GLIA_COUNT(run_files); i++)
        if (strcmp(run_files[i], "log.txt") != 0)
            unlink(glia__run_file(dir, run_files[i], path, sizeof path));
}

/* What a killed training left half-written. */
static void remove_temporaries(const char *dir) {
    char path[1400];
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (strstr(e->d_name, ".tmp-")) unlink(glia__run_file(dir, e->d_name, path, sizeof path));
    if (d) closedir(d);
}

static void tee_line(void *ctx, glia_log_level level, const char *text) {
    static const char *const marks[] = {"debug: ", "", "warning: ", "error: "};
    glia_run_dir *dir = ctx;
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    if (dir->logger && level >= dir->logger->level) dir->logger->line(dir->logger->ctx, level, text);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", localtime_r(&now, &tm));
    if (!dir->log) {
        glia__text_printf(&dir->early, "%s  %s%s\n", stamp, marks[level], text);
        return;
    }
    fprintf(dir->log, "%s  %s%s\n", stamp, marks[level], text);
    fflush(dir->log); /* a full disk loses log lines, not the training */
}

/* The lock falls with the process: a killed training leaves none behind. */
static glia_status open_log(glia_run_dir *dir, glia_error *err) {
    char path[1200];
    dir->log = fopen(glia__run_file(dir->path, "log.txt", path, sizeof path), "a");
    if (!dir->log) return glia_error_set(err, GLIA_IO, "cannot write %.300s: %s", path, strerror(errno));
    if (flock(fileno(dir->log), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        fclose(dir->log);
        dir->log = NULL;
        return glia_error_set(err, GLIA_IO, "another training is running in %.300s", dir->path);
    }
    fputs(dir->early.data, dir->log);
    glia__text_free(&dir->early);
    return GLIA_OK;
}

glia_status glia__run_dir_choose(glia_run_dir *dir, const glia_recipe *recipe,
                                 const glia_run_options *options, glia_error *err) {
    *dir = (glia_run_dir){.logger = options->logger};
    glia__text_init(&dir->early, recipe->arena.allocator);
    int length = options->dir ? snprintf(dir->path, sizeof dir->path, "%s", options->dir)
                              : snprintf(dir->path, sizeof dir->path, "runs/%s-%lld", recipe->name,
                                         (long long)recipe->train.seed);
    if (length < 1 || (size_t)length >= sizeof dir->path)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "the run directory's name is %s",
                              length < 1 ? "empty" : "too long");
    while (length > 1 && dir->path[length - 1] == '/') dir->path[--length] = 0;
    dir->tee = (glia_logger){.line = tee_line, .ctx = dir, .level = GLIA_LOG_INFO};
    if (options->logger && options->logger->level < dir->tee.level) dir->tee.level = options->logger->level;
    return decide(dir, recipe, options, err);
}

glia_status glia__run_dir_create(glia_run_dir *dir, glia_recipe *recipe, glia_error *err) {
    char path[1200];
    GLIA_TRY(glia__make_folders(dir->path, err));
    GLIA_TRY(open_log(dir, err));
    remove_temporaries(dir->path);
    if (!dir->resuming) remove_old(dir->path);
    for (int i = 0; i < recipe->model.n_layers; i++) {
        snprintf(path, sizeof path, "%s/" GLIA_RECIPE_LAYER_FILES "/%s", dir->path,
                 recipe->model.layers[i].name);
        if (glia__recipe_layer_file(&recipe->model.layers[i])) remove_temporaries(path);
    }
    GLIA_TRY(glia__recipe_keep_files(recipe, dir->path, err));
    return glia__file_write(glia__run_file(dir->path, "config.yaml", path, sizeof path), recipe->resolved,
                            strlen(recipe->resolved), err);
}

void glia__run_dir_close(glia_run_dir *dir) {
    if (dir->log) fclose(dir->log);
    dir->log = NULL;
    glia__text_free(&dir->early);
}

/* --- opening for use ----------------------------------------------------------------------------------- */

glia_status glia__run_weights(const char *path, char *out, size_t capacity, glia_error *err) {
    static const char *const names[] = {"best.safetensors", "last.safetensors"};
    for (size_t i = 0; i < GLIA_COUNT(names); i++)
        if (exists(path, names[i])) {
            glia__run_file(path, names[i], out, capacity);
            return GLIA_OK;
        }
    return glia_error_set(err, GLIA_NOT_FOUND,
                          "%.300s has no weights: its training did not finish one epoch (glia train %.100s "
                          "--resume)",
                          path, path);
}

static glia_status load_weights(glia_run *run, const char *path, glia_error *err) {
    char file[1200];
    GLIA_TRY(glia__run_weights(path, file, sizeof file, err));
    return glia_model_load_weights(run->model, file, err);
}

glia_status glia__run_check(const char *path, glia_error *err) {
    struct stat st;
    if (stat(path, &st) != 0)
        return glia_error_set(err, GLIA_NOT_FOUND, "no run directory %.300s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return glia_error_set(err, GLIA_NOT_FOUND,
                              "%.300s is a file; expected a run directory, which glia train makes", path);
    if (exists(path, "config.yaml")) return GLIA_OK;
    return glia_error_set(err, GLIA_NOT_FOUND,
                          "%.300s is no run directory (it has no config.yaml); glia train makes one", path);
}

glia_status glia_run_open(glia_run *run, const char *path, const glia_allocator *allocator, glia_error *err) {
    return glia__run_open_with(run, path, NULL, 0, allocator, err);
}

glia_status glia__run_open_with(glia_run *run, const char *path, const char *const *overrides, size_t count,
                                const glia_allocator *allocator, glia_error *err) {
    char file[1200];
    *run = (glia_run){0};
    GLIA_TRY(glia__run_check(path, err));
    GLIA_TRY(glia_recipe_load(&run->recipe, glia__run_file(path, "config.yaml", file, sizeof file), overrides,
                              count, allocator, err));
    const glia_recipe_trained *t = &run->recipe->trained;
    glia_status status = GLIA_OK;
    if (!t->input_shape.rank)
        status = glia_error_set(err, GLIA_BAD_FORMAT,
                                "%.300s: no section 'trained'; expected a file that glia "
                                "train wrote",
                                file);
    if (status == GLIA_OK)
        status = glia_recipe_model(run->recipe, t->input_shape, t->classes, &run->model, NULL, err);
    if (status == GLIA_OK) status = load_weights(run, path, err);
    if (status == GLIA_OK)
        glia__run_take_trained(run);
    else
        glia_run_close(run);
    return status;
}

void glia__run_take_trained(glia_run *run) {
    const glia_recipe_trained *t = &run->recipe->trained;
    run->input_shape = t->input_shape;
    run->target = (glia_target_kind)t->target;
    run->target_shape = t->target_shape;
    run->classes = t->classes;
    run->class_names = t->n_class_names == t->classes ? t->class_names : NULL;
    run->scale = t->scale;
    run->channel_axis = (int)t->channel_axis;
    const int64_t channels = glia__channels(&t->input_shape, run->channel_axis).count;
    run->mean = t->n_mean == channels ? t->mean : NULL;
    run->std = t->n_std == channels ? t->std : NULL;
}

void glia_run_close(glia_run *run) {
    glia_model_free(run->model);
    glia_recipe_free(run->recipe);
    *run = (glia_run){0};
}
