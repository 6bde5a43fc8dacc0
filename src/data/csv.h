/* csv.h: a table of text cells read from a CSV file (RFC 4180: quotes, CRLF, with or without a header). */
#ifndef GLIA_DATA_CSV_H
#define GLIA_DATA_CSV_H

#include "core/mem.h"
#include "glia/status.h"

typedef struct glia_csv {
    const char *path; /* borrowed */
    char **cells;     /* [rows][columns], unquoted, trimmed */
    int64_t *lines;   /* 1-based line where each row begins */
    int64_t rows, columns;
    char **header; /* names of the columns, or NULL */
    char *text;
    bool plain; /* cells are parted by tabs and quotes are letters, as in tables of texts */
    size_t text_bytes, capacity, line_capacity; /* of text, cells and lines */
    const glia_allocator *allocator;
} glia_csv;

/* Reads at most `limit` rows and one more, which may be the header (0: all). The first row is a header when none of its cells is a number while the second
 * row has one. Every row must have as many cells as the first. */
glia_status glia__csv_read(glia_csv *out, const char *path, int64_t limit, const glia_allocator *allocator,
                           glia_error *err);
/* A table of texts: when its first line has a tab, cells are what stands between tabs, quotes and all; else as above. The
 * header stays among the rows. */
glia_status glia__csv_read_texts(glia_csv *out, const char *path, int64_t limit,
                                 const glia_allocator *allocator, glia_error *err);
void glia__csv_free(glia_csv *csv);
/* "" and "?" say that a value is missing. */
static inline bool glia__csv_missing(const char *cell) {
    return !*cell || strcmp(cell, "?") == 0;
}

/* By name, number from 1, "last" or "none" (-1). */
glia_status glia__csv_column(const glia_csv *csv, const char *wanted, int64_t *out, glia_error *err);
/* The number in a cell; an error with its line where it is none. One that is missing is an error that says `missing`, or,
 * where that is NULL, NAN. */
glia_status glia__csv_number(const glia_csv *csv, int64_t row, int64_t column, const char *missing,
                             float *out, glia_error *err);
/* The labels in `column` of the rows from `first` on: classes are the distinct ones, sorted. */
struct glia_table;
glia_status glia__csv_classes(struct glia_table *out, const glia_csv *csv, int64_t first, int64_t rows,
                              int64_t column, const glia_allocator *allocator, glia_error *err);

#endif
