/* rows.h: gradients of tables of which a batch reads a few rows, as embeddings do. The gradient of the table is as large as the
 * table and nearly all 0: so only the rows that were read are added up, and only they are updated. */
#ifndef GLIA_TRAIN_ROWS_H
#define GLIA_TRAIN_ROWS_H

#include "train/optimizer.h"

/* What one reading of the table gives: dy[i] belongs to row indices[i]. */
typedef struct glia_row_part {
    const void *indices; /* of i64 or i32 */
    glia_dtype dtype;
    const float *dy; /* [count, width] */
    int64_t count;
} glia_row_part;

typedef struct glia_rows {
    int64_t table_rows, width;
    int64_t used;  /* rows with a gradient */
    int64_t *row;  /* [used], ascending */
    float *values; /* [used, width]: their gradients */
    int64_t room;  /* readings that there is memory for */
    void *memory;
    size_t bytes;
    uint64_t *keys, *spare; /* row and place of each reading, as they are sorted */
    int64_t *first;         /* [used + 1]: in `keys`, where a row's readings begin */
} glia_rows;

/* Memory for so many readings. */
GLIA_MUST_CHECK glia_status glia__table_rows_reserve(glia_rows *rows, int64_t readings,
                                                     const glia_allocator *allocator, glia_error *err);
size_t glia__table_rows_bytes(int64_t readings, int64_t width);
void glia__table_rows_free(glia_rows *rows, const glia_allocator *allocator);
/* Adds up what belongs to the same row, in the order of the parts: the same bits for any number of threads. */
void glia__table_rows_collect(glia_rows *rows, const glia_row_part *parts, int count, int threads);
/* Updates those rows of the table whose elements are step.begin … step.end-1, and their moments; no others. */
void glia__table_rows_update(const glia_rows *rows, const glia_optimizer *optimizer, glia_optimizer_step step,
                             int threads);
/* The whole gradient. */
void glia__table_rows_expand(const glia_rows *rows, float *gradient);

#endif
