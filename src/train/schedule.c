/* schedule.c: learning rates as pure functions of the step, so that a resumed training has those of an uninterrupted
 * one. Formulas are those of torch.optim.lr_scheduler (StepLR, LinearLR, CosineAnnealingLR). */

#include "train/schedule.h"

#include <math.h>

#define ITEM(...) __VA_ARGS__,
static const glia_field fields[] = {GLIA_SCHEDULE_FIELDS(ITEM, 0){.name = NULL}};

/* What is left of the rate after `progress`, from 0 to 1, of the steps behind the warm-up. */
typedef struct schedule {
    const char *name;
    double (*factor)(const glia_schedule_options *o, double progress, double epoch);
} schedule;

static double constant(const glia_schedule_options *o, double progress, double epoch) {
    (void)o, (void)progress, (void)epoch;
    return 1;
}

static double step(const glia_schedule_options *o, double progress, double epoch) {
    (void)progress;
    return pow(o->gamma, floor(epoch / o->step_epochs));
}

static double linear(const glia_schedule_options *o, double progress, double epoch) {
    (void)epoch;
    return 1 + (o->final - 1) * progress;
}

static double cosine(const glia_schedule_options *o, double progress, double epoch) {
    (void)epoch;
    return o->final + (1 - o->final) * (1 + cos(3.14159265358979323846 * progress)) / 2;
}

static const schedule schedules[] = {
    {"constant", constant}, {"step", step}, {"linear", linear}, {"cosine", cosine}};

static const schedule *find(const char *name) {
    for (size_t i = 0; i < GLIA_COUNT(schedules); i++)
        if (!name || !*name || strcmp(schedules[i].name, name) == 0) return &schedules[i];
    return NULL;
}

glia_status glia__schedule_resolve(glia_schedule_options *options, int64_t epochs, glia_error *err) {
    const char *names[GLIA_COUNT(schedules)];
    glia_error inner = {0};
    for (size_t i = 0; i < GLIA_COUNT(schedules); i++) names[i] = schedules[i].name;
    const schedule *found = find(options->kind);
    if (!found) {
        const char *nearest = glia__nearest_word(options->kind, names, GLIA_COUNT(names));
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "unknown schedule '%s'%s%s%s", options->kind,
                              nearest ? " (did you mean '" : "", nearest ? nearest : "",
                              nearest ? "'?)" : "");
    }
    options->kind = found->name;
    glia__fields_fill(fields, options);
    if (glia__fields_check(fields, options, &inner) != GLIA_OK)
        return glia_error_set(err, inner.status, "schedule %s: %s", found->name, inner.message);
    if (options->warmup <= (double)epochs) return GLIA_OK;
    return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                          "schedule %s: the warm-up takes %g epochs, but the training only %lld", found->name,
                          options->warmup, (long long)epochs);
}

double glia_schedule_factor(glia_schedule_options options, int64_t step_number, int64_t epoch_steps,
                            int64_t epochs) {
    if (glia__schedule_resolve(&options, epochs, NULL) != GLIA_OK || epoch_steps < 1) return NAN;
    const double at = (double)step_number, all = (double)epoch_steps * (double)epochs;
    const double warmup = floor(options.warmup * (double)epoch_steps);
    if (at < warmup) return (at + 1) / warmup;
    const double progress = all > warmup ? fmin((at - warmup) / (all - warmup), 1) : 1;
    return find(options.kind)->factor(&options, progress, at / (double)epoch_steps);
}
