/* dataset.h (internal): a shared table, and the order in which one data set sees it. */
#ifndef GLIA_DATA_DATASET_H
#define GLIA_DATA_DATASET_H

#include "data/channels.h"
#include "data/reader.h"

/* Shared by all parts of one source. */
typedef struct glia_shared_table {
    glia_table table;
    int references;
    const glia_allocator *allocator;
} glia_shared_table;

struct glia_dataset {
    glia_shared_table *shared;
    glia_dataset_info info;
    int64_t *order; /* rows of the table; NULL: all of them in order */
    float *mean, *std;
    int64_t channels; /* of mean and std */
    float *fill;      /* [input_elems]; NULL: nothing can be missing */
    float *weights;   /* [count]; NULL: all the same */
    int64_t input_elems, target_elems;
    int64_t input_step, target_step; /* numbers from one row of the table to the next */
    glia_vocabulary words;           /* of tokens */
    int32_t *map; /* number in the table's vocabulary → number in `words`; NULL: no tokens */
    const glia_allocator *allocator;
};

/* Takes over the table (freed on failure too). */
glia_status glia__dataset_new(glia_dataset **out, glia_table *table, const char *name,
                              const glia_dataset_options *options, glia_error *err);
/* Of one example. */
static inline size_t glia__dataset_target_bytes(const glia_dataset *dataset) {
    const bool classes = dataset->info.target == GLIA_TARGET_CLASS;
    return (size_t)dataset->target_elems * (classes ? sizeof(int64_t) : sizeof(float));
}
/* Measures mean and standard deviation of every channel over this data set, and uses them. */
GLIA_MUST_CHECK glia_status glia__dataset_normalize(glia_dataset *dataset, glia_error *err);
/* The seasonal-naive forecast of the targets of example `n` of a series: what the same place of the last known season held.
 * False where the series does not reach back so far, or the data set is none. */
bool glia__dataset_naive(const glia_dataset *dataset, int64_t n, float *out);
const glia_dataset *glia__loader_dataset(const glia_loader *loader);
static inline int64_t glia__dataset_row(const glia_dataset *dataset, int64_t i) {
    return dataset->order ? dataset->order[i] : i;
}

#endif
