/* split.c: cutting a data set in two, at random, evenly over classes on request. */

#include "data/dataset.h"
#include "glia/random.h"

/* Marks the examples of the second part. Stratified: walks a shuffled order and takes of each class its share. */
static glia_status mark_second(const glia_dataset *d, int64_t wanted, bool stratified, const int64_t *order,
                               bool *second, glia_error *err) {
    int64_t n = d->info.count;
    if (!stratified) {
        for (int64_t i = 0; i < wanted; i++) second[order[i]] = true;
        return GLIA_OK;
    }
    int64_t *seen = glia__calloc(d->allocator, (size_t)d->info.classes, sizeof *seen);
    if (!seen) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while splitting a data set");
    const int64_t *labels = d->shared->table.targets.data;
    /* Of a class's first k examples, ⌊k·wanted/n + ½⌋ belong to the second part. */
    for (int64_t i = 0; i < n; i++) {
        int64_t *k = &seen[labels[glia__dataset_row(d, order[i])]];
        double share = (double)wanted / (double)n;
        second[order[i]] = (int64_t)((double)(*k + 1) * share + 0.5) > (int64_t)((double)*k * share + 0.5);
        ++*k;
    }
    glia__free(d->allocator, seen, (size_t)d->info.classes * sizeof *seen);
    return GLIA_OK;
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
    if (stratified && d->info.target != GLIA_TARGET_CLASS)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "a stratified split needs classes as targets");
    int64_t *order = glia__alloc(d->allocator, (size_t)n * sizeof *order);
    bool *marks = glia__calloc(d->allocator, (size_t)n, sizeof *marks);
    glia_status status =
        order && marks ? GLIA_OK
                       : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while splitting a data set");
    if (status == GLIA_OK) {
        glia_random_permutation((glia_random){seed, glia_random_stream("split")}, order, n);
        status = mark_second(d, wanted, stratified, order, marks, err);
    }
    if (status == GLIA_OK) status = take_marked(part, d, marks, true, order, err);
    if (status == GLIA_OK) status = take_marked(rest, d, marks, false, order, err);
    if (status != GLIA_OK) {
        glia_dataset_free(*part);
        *part = NULL;
    }
    glia__free(d->allocator, order, (size_t)n * sizeof *order);
    glia__free(d->allocator, marks, (size_t)n * sizeof *marks);
    return status;
}
