/* split.c: cutting a data set in two, at random, evenly over classes on request. */

#include "data/dataset.h"
#include "glia/random.h"

/* How many of each class's examples (`counts`) the second part gets (`quotas`), `wanted` in all: its share rounded
 * down, and one more whenever what was rounded off adds up to an example. */
static void share_out(const int64_t *counts, int64_t *quotas, int64_t classes, int64_t n, int64_t wanted) {
    int64_t rounded_off = 0; /* times n; products are below n², in range for any table that memory holds */
    for (int64_t c = 0; c < classes; c++) {
        quotas[c] = counts[c] * wanted / n;
        rounded_off += counts[c] * wanted % n;
        if (rounded_off < n) continue;
        rounded_off -= n;
        quotas[c]++;
    }
}

/* Marks the examples of the second part: the first of a shuffled order; stratified: the first of each class. */
static glia_status mark_second(const glia_dataset *d, int64_t wanted, bool stratified, const int64_t *order,
                               bool *second, glia_error *err) {
    int64_t n = d->info.count, classes = d->info.classes;
    if (!stratified) {
        for (int64_t i = 0; i < wanted; i++) second[order[i]] = true;
        return GLIA_OK;
    }
    int64_t *counts = glia__calloc(d->allocator, 2 * (size_t)classes, sizeof *counts);
    if (!counts) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while splitting a data set");
    int64_t *quotas = counts + classes;
    const int64_t *labels = d->shared->table.targets.data;
    for (int64_t i = 0; i < n; i++) counts[labels[glia__dataset_row(d, i)]]++;
    share_out(counts, quotas, classes, n, wanted);
    for (int64_t i = 0; i < n; i++)
        if (quotas[labels[glia__dataset_row(d, order[i])]]-- > 0) second[order[i]] = true;
    glia__free(d->allocator, counts, 2 * (size_t)classes * sizeof *counts);
    return GLIA_OK;
}

/* Examples in the order of time: the last `wanted` are the second part, but of those that overlap only some; those before
 * that reach into it are neither's. */
static glia_status cut_in_time(glia_dataset **rest, glia_dataset **part, const glia_dataset *d,
                               int64_t wanted, int64_t *order, glia_error *err) {
    const glia_windows *w = &d->shared->table.windows;
    int64_t n = d->info.count, count = 0, before = n - wanted - (w->reach - 1);
    if (before < 1)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "cannot split %lld of %lld examples off: those before them all reach into the "
                              "part; use a smaller part, or shorter examples",
                              (long long)wanted, (long long)n);
    for (int64_t i = 0; i < before; i++) order[i] = i;
    GLIA_TRY(glia_dataset_take(rest, d, order, before, err));
    for (int64_t i = n - wanted; i < n; i += w->apart) order[count++] = i;
    const glia_status status = glia_dataset_take(part, d, order, count, err);
    if (status == GLIA_OK) return GLIA_OK;
    glia_dataset_free(*rest);
    *rest = NULL;
    return status;
}

static glia_status take_marked(glia_dataset **out, const glia_dataset *d, const bool *second, bool which,
                               int64_t *order, glia_error *err) {
    int64_t count = 0;
    for (int64_t i = 0; i < d->info.count; i++)
        if (second[i] == which) order[count++] = i;
    return glia_dataset_take(out, d, order, count, err);
}

glia_status glia_dataset_split(glia_dataset **rest, glia_dataset **part, const glia_dataset *d, double second,
                               bool stratified, uint64_t seed, glia_error *err) {
    *rest = *part = NULL;
    int64_t n = d->info.count;
    if (!(second > 0))
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "a part must be a fraction above 0 or a count, found %g", second);
    int64_t wanted = second < 1 ? (int64_t)(second * (double)n + 0.5) : (int64_t)GLIA_MIN(second, 9e15);
    if (wanted < 1 || wanted >= n)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "cannot split %lld of %lld examples off; some must stay on both sides",
                              (long long)wanted, (long long)n);
    const bool in_time = d->shared->table.windows.input_step > 0;
    if (stratified && in_time)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "a text or series is split at a place, so the split cannot be stratified");
    if (stratified && d->info.target != GLIA_TARGET_CLASS)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "a stratified split needs classes as targets");
    if (stratified && d->target_elems != 1)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "a stratified split needs one class an example, the data has %lld",
                              (long long)d->target_elems);
    int64_t *order = glia__alloc(d->allocator, (size_t)n * sizeof *order);
    bool *marks = glia__calloc(d->allocator, (size_t)n, sizeof *marks);
    glia_status status =
        order && marks ? GLIA_OK
                       : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while splitting a data set");
    if (status == GLIA_OK && in_time) {
        status = cut_in_time(rest, part, d, wanted, order, err);
    } else if (status == GLIA_OK) {
        glia_random_permutation((glia_random){seed, glia_random_stream("split")}, order, n);
        status = mark_second(d, wanted, stratified, order, marks, err);
    }
    if (status == GLIA_OK && !in_time) status = take_marked(part, d, marks, true, order, err);
    if (status == GLIA_OK && !in_time) status = take_marked(rest, d, marks, false, order, err);
    if (status != GLIA_OK) {
        glia_dataset_free(*part);
        *part = NULL;
    }
    glia__free(d->allocator, order, (size_t)n * sizeof *order);
    glia__free(d->allocator, marks, (size_t)n * sizeof *marks);
    return status;
}
