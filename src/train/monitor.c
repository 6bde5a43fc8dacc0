/* monitor.c: the figure that says which epoch of a training is the best. */

#include "train/monitor.h"

#include <math.h>
#include <stdio.h>

#include "core/mem.h"

/* Whether training itself tells the figure. */
static bool is_running(const glia_monitor *m) {
    const char *name = m->figure->name;
    return !m->part && (strcmp(name, "loss") == 0 || strcmp(name, "accuracy") == 0);
}

static glia_status unknown_figure(const char *name, const char *plain, glia_error *err) {
    enum { MOST = 64 };
    const char *names[MOST];
    size_t count = 0;
    for (const glia_figure *m = glia__figures; m->name && count < MOST; m++) names[count++] = m->name;
    const char *nearest = glia__nearest_word(plain, names, count);
    return glia_error_set(
        err, GLIA_INVALID_ARGUMENT,
        "early_stopping monitor: expected val_loss, val_accuracy, val_f1 or another figure, found "
        "'%s'%s%s%s",
        name, nearest ? " (did you mean 'val_" : "", nearest ? nearest : "", nearest ? "'?)" : "");
}

static glia_status unknown_part(const glia_model *model, const char *name, size_t length, glia_error *err) {
    char list[300] = "";
    size_t used = 0;
    for (int i = 0; i < model->n_parts; i++)
        if (model->parts[i].weight != 0 && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                                     model->parts[i].name);
    return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                          "early_stopping monitors %.60s, but the model has no loss '%.*s'; it has %s", name,
                          (int)GLIA_MIN(length, 60), name, used ? list : "one without a name");
}

/* The loss called as `name` begins. */
static const glia_model_part *find_part(const glia_model *model, const char *name, size_t length) {
    for (int i = 0; i < model->n_parts; i++) {
        const glia_model_part *p = &model->parts[i];
        if (p->weight != 0 && strlen(p->name) == length && strncmp(p->name, name, length) == 0) return p;
    }
    return NULL;
}

/* What the figure is about: "classes", "numbers", "labels", or of several losses together, and of one without targets, none. */
static const char *kind_of(const glia_model *model, const glia_model_part *part, const glia_target *target) {
    if (!model->n_parts) return target->kind == GLIA_TARGET_CLASS ? "classes" : "numbers";
    for (int i = 0; part && part->target && i < target->n_arrays; i++)
        if (strcmp(target->arrays[i].name, part->target) == 0)
            return target->arrays[i].whole ? "classes" : "numbers";
    if (part && glia__model_aligned(model, part->value)) return "labels";
    return part ? "a loss alone" : "several outputs";
}

static glia_status check_kind(const glia_monitor *m, const char *name, const char *kind, glia_error *err) {
    const bool classes = strcmp(kind, "classes") == 0, numbers = strcmp(kind, "numbers") == 0;
    if (strcmp(m->figure->name, "loss") == 0) return GLIA_OK;
    if (classes ? m->figure->classification : numbers && m->figure->regression) return GLIA_OK;
    if (strcmp(kind, "labels") == 0 && strcmp(m->figure->name, "label_error_rate") == 0) return GLIA_OK;
    if (m->part)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "early_stopping monitors %s, but '%s' has %s; use %s.val_loss", name, m->part,
                              kind, m->part);
    return glia_error_set(
        err, GLIA_INVALID_ARGUMENT, "early_stopping monitors %s, but the data has %s; use val_loss%s", name,
        numbers ? "no classes" : kind, classes || numbers ? "" : ", or say whose: NAME.val_…");
}

glia_status glia__monitor_choose(glia_monitor *m, const char *name, const glia_model *model,
                                 const glia_target *target, bool validated, glia_error *err) {
    if (!name || !*name) name = "val_loss";
    const char *dot = strchr(name, '.'), *figure = dot ? dot + 1 : name;
    const char *plain = strncmp(figure, "val_", 4) == 0 ? figure + 4 : figure;
    const glia_model_part *part = dot ? find_part(model, name, (size_t)(dot - name)) : NULL;
    *m = (glia_monitor){.figure = glia__figure_find(plain), .part = part ? part->name : NULL};
    if (!m->figure) return unknown_figure(name, plain, err);
    if (dot && !part) return unknown_part(model, name, (size_t)(dot - name), err);
    snprintf(m->name, sizeof m->name, "%s%s%s", part ? part->name : "", part ? "." : "", plain);
    snprintf(m->shown, sizeof m->shown, "%s%sval_%s", part ? part->name : "", part ? "." : "", plain);
    GLIA_TRY(check_kind(m, name, kind_of(model, part, target), err));
    if (validated || is_running(m)) return GLIA_OK;
    return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                          "early_stopping monitors %s, but there is no validation data; use loss%s", name,
                          model->n_parts ? "" : " or accuracy");
}

double glia__monitor_value(const glia_monitor *m, const glia_metrics *metrics) {
    int count;
    const glia_metrics_part *parts = glia__metrics_parts(metrics, &count);
    glia_report report;
    if (!m->part) {
        report = glia_metrics_report(metrics);
        return glia__figure_of(m->figure, &report);
    }
    for (int i = 0; i < count; i++)
        if (strcmp(parts[i].name, m->part) == 0) {
            report = glia__metrics_part_report(&parts[i]);
            return glia__figure_of(m->figure, &report);
        }
    return NAN;
}
