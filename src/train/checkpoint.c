/* checkpoint.c: last.safetensors and metrics.jsonl of a run directory. */

#include "train/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"

/* The layers as text, to tell models apart whose parameters look alike: "dense dense_1 N×10; …". */
static void describe_layers(const glia_model *model, glia_text *out) {
    char shape[96];
    for (size_t i = 0; i < model->n_layers; i++)
        glia__text_printf(out, "%s%s '%s' %s", i ? "; " : "", model->layers[i].kind, model->layers[i].name,
                          glia_shape_text(&model->layers[i].output_shape, shape, sizeof shape));
}

static glia_status path_in(const char *dir, const char *file, char *out, size_t capacity, glia_error *err) {
    if ((size_t)snprintf(out, capacity, "%s/%s", dir, file) < capacity) return GLIA_OK;
    return glia_error_set(err, GLIA_INVALID_ARGUMENT, "the path of the run directory is too long: %.200s…",
                          dir);
}

static glia_status no_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
}

/* --- writing ---------------------------------------------------------------------------------------------- */

/* Metadata as it is gathered; values are text in `arena`. */
typedef struct pairs {
    glia_arena *arena;
    glia_key_value list[64];
    size_t count;
    bool failed;
} pairs;

static void add_pair(pairs *p, const char *key, const char *value) {
    if (p->count == GLIA_COUNT(p->list) || !value) {
        p->failed = true;
        return;
    }
    p->list[p->count++] = (glia_key_value){key, value};
}

static void add_int(pairs *p, const char *key, int64_t value) {
    add_pair(p, key, glia__arena_printf(p->arena, "%" PRId64, value));
}

static void add_double(pairs *p, const char *key, double value) {
    add_pair(p, key, glia__arena_printf(p->arena, "%.17g", value));
}

static void gather_pairs(pairs *p, const glia_trainer *t, const glia_fit_state *state,
                         const glia_fit_setting *settings, size_t count, const char *layers) {
    add_pair(p, "glia", "checkpoint 1");
    add_pair(p, "layers", layers);
    for (size_t i = 0; i < count; i++) add_pair(p, settings[i].name, settings[i].value);
    add_int(p, "step", t->step);
    add_int(p, "epoch", state->epoch);
    add_int(p, "batch", state->batch);
    add_int(p, "batch_examples", state->sums.examples);
    add_int(p, "batch_known", state->sums.known);
    add_int(p, "batch_right", state->sums.right);
    add_double(p, "batch_loss", state->sums.loss);
    add_double(p, "batch_weight", state->sums.weight);
    add_int(p, "best_epoch", state->best_epoch);
    if (state->best_epoch) add_double(p, "best", state->best);
    add_int(p, "waited", state->waited);
}

/* What stateful layers go on with, in the middle of an epoch. */
static bool add_carried(const glia_trainer *t, glia_arena *arena, glia_named_tensor *list, size_t *count) {
    const glia_memories *states = &t->model->carried;
    for (size_t i = 0; i < states->count; i++) {
        const glia_tensor state = glia__carry_tensor(&t->runner.carried[0], states, i);
        if (!state.data) continue;
        const char *name = glia__arena_printf(arena, "carried.%s", states->list[i].before->name);
        if (!name) return false;
        list[(*count)++] = (glia_named_tensor){name, state};
    }
    return true;
}

/* Weights and state, then each moment of each weight. NULL when out of memory. */
static glia_named_tensor *gather_tensors(const glia_trainer *t, bool carried, glia_arena *arena,
                                         size_t *count) {
    const glia_model *model = t->model;
    size_t n = model->n_params;
    size_t all = n * (size_t)(1 + t->optimizer->n_moments);
    glia_named_tensor *list = glia__arena_alloc(arena, (all + model->carried.count + 1) * sizeof *list);
    *count = 0;
    for (size_t i = 0; list && i < all; i++) {
        const glia_param *p = &model->params[i % n];
        int moment = (int)(i / n) - 1;
        if (moment >= 0 && !p->trained) continue;
        float *block = moment < 0 ? model->block : t->moments[moment];
        const char *name = glia_value_name(p->value);
        if (moment >= 0)
            name = glia__arena_printf(arena, "optimizer.%s.%s", t->optimizer->moment_names[moment], name);
        if (!name) return NULL;
        list[(*count)++] = (glia_named_tensor){
            name, glia_tensor_wrap(block + p->offset, GLIA_F32, glia_value_shape(p->value))};
    }
    if (list && carried && !add_carried(t, arena, list, count)) return NULL;
    return list;
}

glia_status glia__checkpoint_write(const char *dir, const glia_trainer *t, const glia_fit_state *state,
                                   const glia_fit_setting *settings, size_t count, glia_error *err) {
    char path[1024];
    GLIA_TRY(path_in(dir, "last.safetensors", path, sizeof path, err));
    glia_arena arena;
    glia_text layers;
    glia__arena_init(&arena, t->allocator);
    glia__text_init(&layers, t->allocator);
    describe_layers(t->model, &layers);
    pairs metadata = {.arena = &arena, .failed = layers.failed};
    gather_pairs(&metadata, t, state, settings, count, layers.data);
    size_t n_tensors;
    glia_named_tensor *tensors = gather_tensors(t, state->batch > 0, &arena, &n_tensors);
    glia_status status =
        !tensors || metadata.failed
            ? no_memory(err)
            : glia_safetensors_write(path, tensors, n_tensors, metadata.list, metadata.count, err);
    glia__text_free(&layers);
    glia__arena_free(&arena);
    return status;
}

/* --- reading ---------------------------------------------------------------------------------------------- */

typedef struct reading {
    const glia_safetensors *file;
    const char *path;
    glia_error *err;
} reading;

static glia_status get_text(const reading *r, const char *key, const char **out) {
    *out = glia_safetensors_metadata(r->file, key);
    if (*out) return GLIA_OK;
    return glia_error_set(r->err, GLIA_BAD_FORMAT,
                          "%s is no checkpoint to continue from: its metadata has no '%s'", r->path, key);
}

static glia_status get_int(const reading *r, const char *key, int64_t *out) {
    const char *text;
    GLIA_TRY(get_text(r, key, &text));
    if (glia__parse_int(text, out) && *out >= 0) return GLIA_OK;
    return glia_error_set(r->err, GLIA_BAD_FORMAT,
                          "%s: metadata '%s': expected a number of at least 0, found '%.60s'", r->path, key,
                          text);
}

static glia_status get_double(const reading *r, const char *key, double *out) {
    const char *text;
    GLIA_TRY(get_text(r, key, &text));
    if (glia__parse_double(text, out)) return GLIA_OK;
    return glia_error_set(r->err, GLIA_BAD_FORMAT, "%s: metadata '%s': expected a number, found '%.60s'",
                          r->path, key, text);
}

/* Names the first layer that differs. */
static glia_status check_layers(const reading *r, const char *here) {
    const char *there;
    GLIA_TRY(get_text(r, "layers", &there));
    if (strcmp(here, there) == 0) return GLIA_OK;
    int layer = 1;
    const char *a = here, *b = there;
    for (;; layer++) {
        size_t la = strcspn(a, ";"), lb = strcspn(b, ";");
        if (la != lb || memcmp(a, b, la) != 0 || !a[la] || !b[lb]) {
            bool more = la == lb && memcmp(a, b, la) == 0; /* one of them ends here */
            if (more) {
                layer++;
                a = a[la] ? a + la + 2 : "missing", b = b[lb] ? b + lb + 2 : "missing";
                la = strcspn(a, ";"), lb = strcspn(b, ";");
            }
            return glia_error_set(r->err, GLIA_BAD_SHAPE,
                                  "%s is of another model: layer %d is %.*s there, %.*s here", r->path, layer,
                                  (int)GLIA_MIN(lb, 120), b, (int)GLIA_MIN(la, 120), a);
        }
        a += la + 2;
        b += lb + 2;
    }
}

static glia_status check_settings(const reading *r, const glia_fit_setting *settings, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *there;
        if (settings[i].may_change) continue;
        GLIA_TRY(get_text(r, settings[i].name, &there));
        if (strcmp(there, settings[i].value) != 0)
            return glia_error_set(
                r->err, GLIA_INVALID_ARGUMENT,
                "%s was made with %s %.60s, this training has %s; continue with the same setting, or "
                "start anew",
                r->path, settings[i].name, there, settings[i].value);
    }
    return GLIA_OK;
}

/* One line for all that the training goes on with otherwise: who forgot a change should read it. */
static void tell_changes(const reading *r, const glia_fit_setting *settings, size_t count,
                         const glia_logger *logger) {
    char line[600];
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof line; i++) {
        const char *there = glia_safetensors_metadata(r->file, settings[i].name);
        if (!settings[i].may_change || !there || strcmp(there, settings[i].value) == 0) continue;
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s %.60s (was %.60s)", used ? ", " : "",
                                 settings[i].name, settings[i].value, there);
    }
    if (used) glia__log(logger, GLIA_LOG_INFO, "changed from here on: %s", line);
}

static glia_status get_state(const reading *r, glia_fit_state *state, int64_t *step) {
    GLIA_TRY(get_int(r, "step", step));
    GLIA_TRY(get_int(r, "epoch", &state->epoch));
    GLIA_TRY(get_int(r, "batch", &state->batch));
    GLIA_TRY(get_int(r, "batch_examples", &state->sums.examples));
    GLIA_TRY(get_int(r, "batch_known", &state->sums.known));
    GLIA_TRY(get_int(r, "batch_right", &state->sums.right));
    GLIA_TRY(get_double(r, "batch_loss", &state->sums.loss));
    GLIA_TRY(get_double(r, "batch_weight", &state->sums.weight));
    GLIA_TRY(get_int(r, "best_epoch", &state->best_epoch));
    if (state->best_epoch) GLIA_TRY(get_double(r, "best", &state->best));
    return get_int(r, "waited", &state->waited);
}

/* `copy` false: only looks whether the moments are all there. */
static glia_status get_moments(const reading *r, glia_trainer *t, bool copy) {
    for (int m = 0; m < t->optimizer->n_moments; m++)
        for (size_t i = 0; i < t->model->n_params; i++) {
            const glia_param *p = &t->model->params[i];
            char name[320];
            glia_tensor tensor;
            glia_shape shape = glia_value_shape(p->value);
            if (!p->trained) continue;
            snprintf(name, sizeof name, "optimizer.%s.%s", t->optimizer->moment_names[m],
                     glia_value_name(p->value));
            GLIA_TRY(glia_safetensors_get(r->file, name, &tensor, r->err));
            if (tensor.dtype != GLIA_F32 || !glia_shape_equal(&tensor.shape, &shape))
                return glia_error_set(r->err, GLIA_BAD_SHAPE, "%s: '%s' has another shape than its parameter",
                                      r->path, name);
            if (copy) memcpy(t->moments[m] + p->offset, tensor.data, (size_t)p->elems * sizeof(float));
        }
    return GLIA_OK;
}

/* `copy` false: only looks whether they are all there and of the model. */
static glia_status get_carried(const reading *r, glia_trainer *t, bool copy) {
    glia_carry *carry = &t->runner.carried[0];
    const glia_memories *states = &t->model->carried;
    for (size_t i = 0; i < states->count; i++) {
        char name[320];
        glia_tensor tensor, here = glia__carry_tensor(carry, states, i);
        snprintf(name, sizeof name, "carried.%s", states->list[i].before->name);
        GLIA_TRY(glia_safetensors_get(r->file, name, &tensor, r->err));
        if (tensor.dtype != GLIA_F32 || tensor.shape.rank != 2 || tensor.shape.dim[1] != here.shape.dim[1] ||
            tensor.shape.dim[0] < 1 || (copy && tensor.shape.dim[0] != here.shape.dim[0] && i))
            return glia_error_set(r->err, GLIA_BAD_SHAPE, "%s: '%s' is not [rows, %lld]", r->path, name,
                                  (long long)here.shape.dim[1]);
        if (!copy) continue;
        if (!i)
            GLIA_TRY(glia__carry_reserve(carry, states, tensor.shape.dim[0], t->model->allocator, r->err));
        here = glia__carry_tensor(carry, states, i);
        memcpy(here.data, tensor.data, (size_t)glia_shape_elems(&tensor.shape) * sizeof(float));
    }
    return GLIA_OK;
}

static glia_status read_all(const reading *r, glia_trainer *t, glia_fit_state *state,
                            const glia_fit_setting *settings, size_t count, const char *layers) {
    glia_fit_state found = {0};
    int64_t step;
    GLIA_TRY(check_layers(r, layers));
    GLIA_TRY(check_settings(r, settings, count));
    GLIA_TRY(get_state(r, &found, &step));
    GLIA_TRY(get_moments(r, t, false));
    if (found.batch) GLIA_TRY(get_carried(r, t, false));
    GLIA_TRY(glia__model_read_block(t->model, r->file, r->path, t->model->block, r->err));
    GLIA_TRY(get_moments(r, t, true));
    if (found.batch) GLIA_TRY(get_carried(r, t, true));
    *state = found;
    t->step = step;
    return GLIA_OK;
}

glia_status glia__checkpoint_read(const char *dir, glia_trainer *t, glia_fit_state *state,
                                  const glia_fit_setting *settings, size_t count, const glia_logger *logger,
                                  glia_error *err) {
    char path[1024];
    glia_safetensors *file;
    glia_text layers;
    GLIA_TRY(path_in(dir, "last.safetensors", path, sizeof path, err));
    GLIA_TRY(glia_safetensors_open(&file, path, t->allocator, err));
    glia__text_init(&layers, t->allocator);
    describe_layers(t->model, &layers);
    reading r = {file, path, err};
    glia_status status =
        layers.failed ? no_memory(err) : read_all(&r, t, state, settings, count, layers.data);
    if (status == GLIA_OK) tell_changes(&r, settings, count, logger);
    glia__text_free(&layers);
    glia_safetensors_close(file);
    return status;
}

/* --- metrics.jsonl ---------------------------------------------------------------------------------------- */

/* The epoch of a line that describe_epoch wrote; 0 for any other. */
static int64_t epoch_of_line(const char *line, size_t length) {
    static const char start[] = "{\"epoch\":";
    const size_t before = sizeof start - 1;
    int64_t epoch = 0;
    if (length < before + 2 || memcmp(line, start, before) != 0 || line[length - 1] != '}') return 0;
    for (size_t i = before; i < length && line[i] >= '0' && line[i] <= '9' && epoch < INT64_MAX / 100; i++)
        epoch = 10 * epoch + (line[i] - '0');
    return epoch;
}

glia_status glia__history_cut(const char *dir, int64_t epochs, const glia_allocator *allocator,
                              glia_error *err) {
    const size_t limit = (size_t)1 << 30;
    char path[1024], *text = NULL;
    size_t bytes = 0, keep = 0;
    glia_error inner = {0};
    GLIA_TRY(path_in(dir, "metrics.jsonl", path, sizeof path, err));
    if (epochs == 0) return glia__file_write(path, "", 0, err);
    glia_status status = glia__file_read(path, limit, allocator, &text, &bytes, &inner);
    if (status == GLIA_NOT_FOUND) return GLIA_OK; /* someone took it away: the rest is still worth having */
    if (status != GLIA_OK) return glia_error_set(err, status, "%s", inner.message);
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        if (!end) break; /* half a line: written when the power failed */
        size_t length = (size_t)(end - text) - at;
        int64_t epoch = epoch_of_line(text + at, length);
        if (epoch > 0 && epoch <= epochs) {
            memmove(text + keep, text + at, length + 1);
            keep += length + 1;
        }
        at += length + 1;
    }
    if (keep < bytes) status = glia__file_write(path, text, keep, err);
    glia__free(allocator, text, bytes + 1);
    return status;
}

static void add_figure(glia_text *out, const char *name, double value) {
    if (!isfinite(value)) return;
    glia__text_printf(out, ",\"%s\":", name);
    glia__text_add_number(out, value);
}

static void describe_epoch(const glia_epoch *e, int64_t step, glia_text *out) {
    const glia_report *v = &e->validation;
    glia__text_printf(out, "{\"epoch\":%" PRId64 ",\"step\":%" PRId64, e->epoch, step);
    add_figure(out, "loss", e->loss);
    add_figure(out, "accuracy", e->accuracy);
    if (e->validated) {
        const struct {
            const char *name;
            double value;
        } figures[] = {{"val_loss", v->loss},     {"val_accuracy", v->accuracy},
                       {"val_top_k", v->top_k},   {"val_precision", v->precision},
                       {"val_recall", v->recall}, {"val_f1", v->f1},
                       {"val_mae", v->mae},       {"val_rmse", v->rmse},
                       {"val_r2", v->r2}};
        bool written = !e->monitor;
        for (size_t i = 0; i < GLIA_COUNT(figures); i++) {
            add_figure(out, figures[i].name, figures[i].value);
            written |= e->monitor && strcmp(e->monitor, figures[i].name) == 0;
        }
        if (!written) add_figure(out, e->monitor, e->monitored);
    }
    add_figure(out, "seconds", e->seconds);
    add_figure(out, "examples_per_second", e->examples_per_second);
    glia__text_printf(out, ",\"best\":%s}\n", e->best ? "true" : "false");
}

glia_status glia__history_append(const char *dir, const glia_epoch *epoch, int64_t step,
                                 const glia_allocator *allocator, glia_error *err) {
    char path[1024];
    glia_text line;
    GLIA_TRY(path_in(dir, "metrics.jsonl", path, sizeof path, err));
    glia__text_init(&line, allocator);
    describe_epoch(epoch, step, &line);
    FILE *file = line.failed ? NULL : fopen(path, "a");
    bool good = file && fwrite(line.data, 1, line.length, file) == line.length && fflush(file) == 0 &&
                fsync(fileno(file)) == 0;
    int error = errno;
    if (file && fclose(file) != 0) good = false;
    bool failed = line.failed;
    glia__text_free(&line);
    if (failed) return no_memory(err);
    return good ? GLIA_OK : glia_error_set(err, GLIA_IO, "%s: cannot append: %s", path, strerror(error));
}
