/* page.c: gathers what a report shows: curves, figures, the worst mistakes. */
#include "recipe/page.h"

#include <math.h>
#include <stdlib.h>

#include "core/file.h"
#include "glia/version.h"
#include "report/report.h"

const char *glia__count_text(int64_t count, char *out, size_t capacity) {
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)count);
    size_t used = 0;
    for (int i = 0; i < length && used + 2 < capacity; i++) {
        if (i && (length - i) % 3 == 0) out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = 0;
    return out;
}

/* --- history ------------------------------------------------------------------------------------------- */

/* Room for `epoch`; false when out of memory: the report then has no curves, the training goes on. */
static bool reserve(glia_history *h, int64_t epoch) {
    if (epoch > h->capacity) {
        int64_t capacity = GLIA_MAX(2 * h->capacity, GLIA_MAX(epoch, 64));
        for (int i = 0; i < GLIA_HISTORY_CURVES; i++) {
            double *grown =
                glia__grow(h->allocator, h->curve[i], (size_t)h->capacity, (size_t)capacity, sizeof *grown);
            if (!grown) {
                for (int k = 0; k < i; k++) {
                    glia__free(h->allocator, h->curve[k], (size_t)capacity * sizeof(double));
                    h->curve[k] = NULL;
                }
                glia__history_free(h);
                return false;
            }
            h->curve[i] = grown;
            for (int64_t k = h->capacity; k < capacity; k++) grown[k] = NAN;
        }
        h->capacity = capacity;
    }
    h->epochs = GLIA_MAX(h->epochs, epoch);
    return true;
}

static void set_epoch(glia_history *h, int64_t epoch, const double figures[GLIA_HISTORY_CURVES]) {
    if (epoch < 1 || epoch > 10000000 || !reserve(h, epoch)) return;
    for (int i = 0; i < GLIA_HISTORY_CURVES; i++) h->curve[i][epoch - 1] = figures[i];
}

/* The number after "key": in a line that we wrote; NaN when there is none. */
static double number_after(const char *line, const char *key) {
    char quoted[40];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(line, quoted);
    char *end;
    if (!at) return NAN;
    at += strlen(quoted);
    double value = strtod(at, &end);
    return end == at ? NAN : value;
}

void glia__history_load(glia_history *h, const char *dir) {
    char path[1200], *text;
    size_t bytes;
    if (glia__file_read(glia__run_file(dir, "metrics.jsonl", path, sizeof path), 1 << 30, h->allocator, &text,
                        &bytes, NULL) != GLIA_OK)
        return;
    for (char *line = text, *end; *line; line = end) {
        end = line + strcspn(line, "\n");
        if (*end) *end++ = 0;
        double epoch = number_after(line, "epoch");
        if (!(epoch >= 1)) continue;
        set_epoch(h, (int64_t)epoch,
                  (const double[]){number_after(line, "loss"), number_after(line, "val_loss"),
                                   number_after(line, "accuracy"), number_after(line, "val_accuracy")});
        double seconds = number_after(line, "seconds");
        if (seconds > 0) h->seconds += seconds;
        if (strstr(line, "\"best\":true")) h->best_epoch = (int64_t)epoch;
    }
    glia__free(h->allocator, text, bytes + 1);
}

void glia__history_free(glia_history *h) {
    for (int i = 0; i < GLIA_HISTORY_CURVES; i++) {
        glia__free(h->allocator, h->curve[i], (size_t)h->capacity * sizeof(double));
        h->curve[i] = NULL;
    }
    h->capacity = h->epochs = 0;
}

/* --- mistakes ------------------------------------------------------------------------------------------ */

/* Probability of class `best`; the row may hold logits or already probabilities. */
static double probability_of(const float *row, int64_t classes, int64_t best) {
    double sum = 0, exps = 0;
    bool unit = true;
    for (int64_t c = 0; c < classes; c++) {
        sum += (double)row[c];
        exps += exp((double)(row[c] - row[best]));
        unit &= row[c] >= 0 && row[c] <= 1;
    }
    return unit && fabs(sum - 1) < 1e-3 ? (double)row[best] : 1 / exps;
}

static void remember(glia_mistakes *m, glia_mistake mistake) {
    int at = m->count < GLIA_MISTAKES ? m->count++ : GLIA_MISTAKES;
    while (at > 0 && m->worst[at - 1].weight < mistake.weight) {
        if (at < GLIA_MISTAKES) m->worst[at] = m->worst[at - 1];
        at--;
    }
    if (at < GLIA_MISTAKES) m->worst[at] = mistake;
}

void glia__mistakes_collect(void *ctx, const glia_batch *batch, const float *predictions) {
    glia_mistakes *m = ctx;
    for (int64_t i = 0; i < batch->count && !m->classes && m->measured; i++) {
        float measured = ((const float *)batch->targets)[i], predicted = predictions[i * m->width];
        double error = fabs((double)measured - (double)predicted);
        if (isfinite(error))
            remember(m, (glia_mistake){.example = batch->order[i],
                                       .measured = (double)measured,
                                       .predicted = (double)predicted,
                                       .weight = error});
        if (m->points == m->capacity) continue;
        m->measured[m->points] = measured;
        m->predicted[m->points++] = predicted;
    }
    for (int64_t i = 0; i < batch->count && m->classes > 1 && m->width == m->classes; i++) {
        const float *row = predictions + i * m->classes;
        int64_t label = ((const int64_t *)batch->targets)[i], best = 0;
        for (int64_t c = 1; c < m->classes; c++)
            if (row[c] > row[best]) best = c;
        if (best != label)
            remember(m, (glia_mistake){.example = batch->order[i],
                                       .label = label,
                                       .predicted_class = best,
                                       .weight = probability_of(row, m->classes, best)});
    }
}

/* --- examples ------------------------------------------------------------------------------------------ */

static bool is_picture(const glia_dataset_info *info) {
    return info->input_shape.rank == 3 && (info->input_shape.dim[0] == 1 || info->input_shape.dim[0] == 3);
}

/* "petal 5.1, sepal 1.5 …": the row of a table as its file has it, up to a number of columns; NULL: no table, or out
 * of memory. */
static const char *in_words(const glia_dataset *data, int64_t example, glia_arena *arena) {
    enum { MOST_COLUMNS = 16, MOST_NAMED = 8 };
    const glia_dataset_info *info = glia_dataset_get_info(data);
    int64_t columns = info->input_shape.dim[0], shown = info->feature_names ? MOST_NAMED : MOST_COLUMNS;
    if (info->input_shape.rank != 1) return NULL;
    float *x = glia__arena_alloc(arena, (size_t)columns * sizeof *x);
    if (!x || glia_dataset_gather(data, &example, 1, x, NULL, NULL) != GLIA_OK) return NULL;
    glia_text text;
    glia__text_init(&text, arena->allocator);
    for (int64_t i = 0; i < GLIA_MIN(columns, shown); i++) {
        double value = (double)x[i];
        if (info->mean) value = value * (double)info->std[i] + (double)info->mean[i];
        if (info->scale != 0) value /= info->scale;
        if (fabs(value) < 1e-6) value = 0; /* what rounding leaves of it */
        glia__text_printf(&text, "%s%s%s%.4g", i ? ", " : "",
                          info->feature_names ? info->feature_names[i] : "", info->feature_names ? " " : "",
                          value);
    }
    if (columns > shown) glia__text_add(&text, " …");
    const char *words = text.failed ? NULL : glia__arena_strdup(arena, text.data);
    glia__text_free(&text);
    return words;
}

/* A picture of transformed input: brightest value white, darkest black. */
static glia_status to_picture(const glia_dataset *data, int64_t example, glia_tensor *out,
                              const glia_allocator *allocator, glia_error *err) {
    const glia_shape *shape = &glia_dataset_get_info(data)->input_shape;
    int64_t elems = glia_shape_elems(shape);
    float *x = glia__alloc(allocator, (size_t)elems * sizeof *x);
    if (!x) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia_status status = glia_dataset_gather(data, &example, 1, x, NULL, err);
    if (status == GLIA_OK) status = glia_tensor_new(out, GLIA_U8, *shape, allocator, err);
    float low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < elems && status == GLIA_OK; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    for (int64_t i = 0; i < elems && status == GLIA_OK; i++)
        ((uint8_t *)out->data)[i] = (uint8_t)(high > low ? (x[i] - low) / (high - low) * 255 + 0.5f : 0);
    glia__free(allocator, x, (size_t)elems * sizeof *x);
    return status;
}

/* --- the page ------------------------------------------------------------------------------------------ */

typedef struct page {
    const glia_page_source *s;
    glia_arena arena;
    glia_report_fact figures[8], facts[16];
    size_t n_figures, n_facts;
    glia_report_curve curves[GLIA_HISTORY_CURVES];
    size_t n_curves;
    glia_report_mistake mistakes[GLIA_MISTAKES];
    glia_report_error errors[GLIA_MISTAKES];
    size_t n_mistakes, n_errors;
    glia_layer_info *layers;
    size_t n_layers;
} page;

/* Those that the file names, or the usual ones; `of`: "kind: " for one of several outputs. */
static void add_figures_of(page *p, const char *of, const glia_report *report) {
    static const char *const usual[] = {"accuracy", "f1", "mae", "rmse", "r2", "label_error_rate"};
    const glia_recipe *recipe = p->s->recipe;
    for (const glia_figure *m = glia__figures; p->s->result->evaluated && m->name; m++) {
        double value = glia__figure_of(m, report);
        bool wanted = false;
        for (int i = 0; i < recipe->n_metrics; i++) wanted |= recipe->metrics[i] == m;
        for (size_t i = 0; !recipe->n_metrics && i < GLIA_COUNT(usual); i++)
            wanted |= strcmp(usual[i], m->name) == 0;
        if (!wanted || isnan(value) || p->n_figures == GLIA_COUNT(p->figures)) continue;
        p->figures[p->n_figures++] = (glia_report_fact){
            glia__arena_printf(&p->arena, "%s%s %s", of, p->s->result->evaluated, m->label),
            glia__arena_printf(&p->arena, "%.4f", value)};
    }
}

static void add_figures(page *p) {
    char of[64];
    add_figures_of(p, "", &p->s->result->report);
    for (int i = 0; i < p->s->result->n_parts; i++) {
        snprintf(of, sizeof of, "%.50s: ", p->s->result->parts[i].name);
        add_figures_of(p, of, &p->s->result->parts[i].report);
    }
}

static const char *duration(double seconds, char *out, size_t capacity) {
    if (seconds < 10)
        snprintf(out, capacity, "%.2g s", seconds);
    else if (seconds < 120)
        snprintf(out, capacity, "%.0f s", seconds);
    else
        snprintf(out, capacity, "%lld min %lld s", (long long)seconds / 60, (long long)seconds % 60);
    return out;
}

static void add_facts(page *p) {
    const glia_page_source *s = p->s;
    const glia_dataset_info *info = glia_dataset_get_info(s->train);
    glia_arena *a = &p->arena;
    glia_text optimizer;
    glia__text_init(&optimizer, a->allocator);
    glia__text_printf(&optimizer, "%s ", s->recipe->optimizer->name);
    glia__fields_print(s->recipe->optimizer->fields, &s->recipe->optimizer_options, true, &optimizer);
    char shape[96], params[40], seconds[40];
    const glia_report_fact facts[] = {
        {"data", info->in_place_of
                     ? glia__arena_printf(a, "%s, in place of %s", info->name, info->in_place_of)
                     : info->name},
        {"examples", glia__arena_printf(a, "%lld to train on, each %s", (long long)info->count,
                                        glia_shape_text(&info->input_shape, shape, sizeof shape))},
        {"parameters",
         glia__arena_strdup(a, glia__count_text(glia_model_param_count(s->model), params, sizeof params))},
        {"loss", s->recipe->loss},
        {"optimizer", glia__arena_strdup(a, optimizer.data)},
        {"batch size", glia__arena_printf(a, "%lld", (long long)s->recipe->train.batch_size)},
        {"epochs", glia__arena_printf(a, "%lld", (long long)s->history->epochs)},
        {"best epoch",
         s->result->best_epoch ? glia__arena_printf(a, "%lld", (long long)s->result->best_epoch) : NULL},
        {"seed", glia__arena_printf(a, "%lld", (long long)s->recipe->train.seed)},
        {"training time", glia__arena_strdup(a, duration(s->history->seconds, seconds, sizeof seconds))},
        {"version", glia__arena_printf(a, "Glia %s", glia_version())},
    };
    memcpy(p->facts, facts, sizeof facts);
    p->n_facts = GLIA_COUNT(facts);
    glia__text_free(&optimizer);
}

static void add_curves(page *p) {
    static const struct {
        const char *chart, *name;
    } lines[GLIA_HISTORY_CURVES] = {
        {"Loss", "training"}, {"Loss", "validation"}, {"Accuracy", "training"}, {"Accuracy", "validation"}};
    const glia_history *h = p->s->history;
    for (int i = 0; i < GLIA_HISTORY_CURVES; i++) {
        bool any = false;
        for (int64_t e = 0; e < h->epochs; e++) any |= !isnan(h->curve[i][e]);
        if (any) p->curves[p->n_curves++] = (glia_report_curve){lines[i].chart, lines[i].name, h->curve[i]};
    }
}

static glia_status add_mistakes(page *p, glia_error *err) {
    const glia_mistakes *m = p->s->mistakes;
    bool pictures = is_picture(glia_dataset_get_info(p->s->train));
    for (int i = 0; i < m->count && p->s->evaluated && m->classes; i++) {
        glia_report_mistake *r = &p->mistakes[p->n_mistakes];
        *r = (glia_report_mistake){.label = m->worst[i].label,
                                   .predicted = m->worst[i].predicted_class,
                                   .probability = m->worst[i].weight,
                                   .input = in_words(p->s->evaluated, m->worst[i].example, &p->arena)};
        if (pictures)
            GLIA_TRY(to_picture(p->s->evaluated, m->worst[i].example, &r->image, p->arena.allocator, err));
        p->n_mistakes++;
    }
    return GLIA_OK;
}

static void add_errors(page *p) {
    enum { SHOWN = 10 };
    const glia_mistakes *m = p->s->mistakes;
    for (int i = 0; i < GLIA_MIN(m->count, SHOWN) && p->s->evaluated && !m->classes; i++)
        p->errors[p->n_errors++] =
            (glia_report_error){m->worst[i].measured, m->worst[i].predicted,
                                in_words(p->s->evaluated, m->worst[i].example, &p->arena)};
}

/* "54,410 parameters, trained on 55,000 examples of mnist for 10 epochs in 49 s; measured on 10,000 of test" */
static const char *subtitle(page *p) {
    const glia_page_source *s = p->s;
    const glia_dataset_info *info = glia_dataset_get_info(s->train);
    const char *slash = strrchr(info->name, '/');
    char params[40], train[40], part[40];
    int name = (int)strcspn(slash ? slash + 1 : info->name, slash ? "" : ":");
    const char *sentence = glia__arena_printf(
        &p->arena, "%s parameters, trained on %s examples of %.*s for %lld epoch%s",
        glia__count_text(glia_model_param_count(s->model), params, sizeof params),
        glia__count_text(info->count, train, sizeof train), name, slash ? slash + 1 : info->name,
        (long long)s->history->epochs, s->history->epochs == 1 ? "" : "s");
    if (sentence && info->in_place_of)
        sentence = glia__arena_printf(
            &p->arena, "These are not figures of %s, which was not to be had: %.*s stood in for it. %s",
            info->in_place_of, name, info->name, sentence);
    if (!sentence || !s->result->evaluated) return sentence;
    return glia__arena_printf(&p->arena, "%s; measured on %s %s examples", sentence,
                              glia__count_text(s->result->report.examples, part, sizeof part),
                              s->result->evaluated);
}

static glia_status add_layers(page *p, glia_error *err) {
    p->n_layers = glia_model_layers(p->s->model);
    p->layers = glia__arena_alloc(&p->arena, p->n_layers * sizeof *p->layers);
    if (!p->layers) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; i < p->n_layers; i++) p->layers[i] = glia_model_layer(p->s->model, i);
    return GLIA_OK;
}

static glia_status write_page(page *p, glia_error *err) {
    const glia_page_source *s = p->s;
    const glia_recipe_trained *t = &s->recipe->trained;
    char path[1200];
    const char *slash = strrchr(s->result->dir, '/');
    glia_report_page r = {
        .title = slash ? slash + 1 : s->result->dir,
        .subtitle = subtitle(p),
        .figures = p->figures,
        .figure_count = p->n_figures,
        .facts = p->facts,
        .fact_count = p->n_facts,
        .epochs = (size_t)s->history->epochs,
        .best_epoch = (size_t)s->result->best_epoch,
        .curves = p->curves,
        .curve_count = p->n_curves,
        .confusion = s->metrics ? glia_metrics_confusion(s->metrics) : NULL,
        .classes = t->classes,
        .class_names = t->n_class_names ? t->class_names : NULL,
        .measured = s->mistakes->measured,
        .predicted = s->mistakes->predicted,
        .points = (size_t)s->mistakes->points,
        .errors = p->errors,
        .error_count = p->n_errors,
        .mistakes = p->mistakes,
        .mistake_count = p->n_mistakes,
        .layers = p->layers,
        .layer_count = p->n_layers,
        .allocator = p->arena.allocator,
    };
    return glia__report_write(glia__run_file(s->result->dir, "report.html", path, sizeof path), &r, err);
}

glia_status glia__page_write(const glia_page_source *source, glia_error *err) {
    page p = {.s = source};
    glia__arena_init(&p.arena, source->recipe->arena.allocator);
    add_figures(&p);
    add_facts(&p);
    add_curves(&p);
    glia_status status = add_layers(&p, err);
    if (status == GLIA_OK) status = add_mistakes(&p, err);
    add_errors(&p);
    if (status == GLIA_OK) status = write_page(&p, err);
    for (size_t i = 0; i < GLIA_MISTAKES; i++) glia_tensor_free(&p.mistakes[i].image);
    glia__arena_free(&p.arena);
    return status;
}
