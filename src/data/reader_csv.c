/* reader_csv.c: a data set from a table: numbers as features, one column as the target. */

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/csv.h"
#include "data/reader.h"

typedef struct table_columns {
    int64_t label;       /* column, or -1 */
    int64_t weight;      /* column, or -1 */
    int64_t first, rows; /* of the csv's rows: after the header */
} table_columns;

static const char *column_name(const glia_csv *csv, int64_t column, char *out, size_t capacity) {
    if (csv->header)
        snprintf(out, capacity, "column %lld '%s'", (long long)column + 1, csv->header[column]);
    else
        snprintf(out, capacity, "column %lld", (long long)column + 1);
    return out;
}

static glia_status cell_error(const glia_csv *csv, int64_t row, int64_t column, const char *what,
                              glia_error *err) {
    char name[160];
    glia_status status =
        glia_error_set(err, GLIA_BAD_DATA, "%s: %s", column_name(csv, column, name, sizeof name), what);
    glia_error_at(err, csv->path, csv->lines[row], 0);
    return status;
}

glia_status glia__csv_column(const glia_csv *csv, const char *wanted, int64_t *out, glia_error *err) {
    int64_t number;
    if (strcmp(wanted, "last") == 0) {
        *out = csv->columns - 1;
    } else if (strcmp(wanted, "none") == 0) {
        *out = -1;
    } else if (glia__parse_int(wanted, &number) && number >= 1 && number <= csv->columns) {
        *out = number - 1;
    } else {
        for (int64_t c = 0; csv->header && c < csv->columns; c++)
            if (strcmp(csv->header[c], wanted) == 0) {
                *out = c;
                return GLIA_OK;
            }
        const char *nearest =
            csv->header ? glia__nearest_word(wanted, (const char *const *)csv->header, (size_t)csv->columns)
                        : NULL;
        char hint[128];
        snprintf(hint, sizeof hint,
                 nearest ? "did you mean '%s'?" : "expected its name, a number from 1 to %s, last or none",
                 nearest ? nearest : "the number of columns");
        return glia_error_set(err, GLIA_NOT_FOUND, "%s: there is no column '%s' (%s)", csv->path, wanted,
                              hint);
    }
    return GLIA_OK;
}

glia_status glia__csv_number(const glia_csv *csv, int64_t row, int64_t column, const char *missing,
                             float *out, glia_error *err) {
    const char *cell = csv->cells[row * csv->columns + column];
    double value;
    char what[200];
    if (glia__csv_missing(cell)) {
        *out = NAN;
        return missing ? cell_error(csv, row, column, missing, err) : GLIA_OK;
    }
    bool number = glia__parse_double(cell, &value);
    if (number && fabs(value) <= (double)FLT_MAX) {
        *out = (float)value;
        return GLIA_OK;
    }
    snprintf(what, sizeof what, "expected a number%s, found '%.60s'", number ? " within ±3.4e38" : "", cell);
    return cell_error(csv, row, column, what, err);
}

static const char missing_hint[] = "the value is missing (`missing: mean` fills it in)";

static glia_status read_features(glia_table *out, const glia_csv *csv, const table_columns *t,
                                 const glia_dataset_options *options, glia_error *err) {
    int64_t columns = csv->columns - (t->label >= 0) - (t->weight >= 0), at = 0;
    out->may_miss = options->missing && strcmp(options->missing, "mean") == 0;
    if (columns < 1)
        return glia_error_set(err, GLIA_BAD_DATA, "%s: one column only; expected features beside the target",
                              csv->path);
    GLIA_TRY(glia_tensor_new(&out->inputs, GLIA_F32, GLIA_SHAPE(t->rows, columns), options->allocator, err));
    if (csv->header) {
        out->feature_names = glia__arena_alloc(&out->arena, (size_t)columns * sizeof(char *));
        if (!out->feature_names)
            return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the data set");
    }
    for (int64_t c = 0; c < csv->columns; c++) {
        if (c == t->label || c == t->weight) continue;
        float *x = (float *)out->inputs.data + at;
        for (int64_t r = 0; r < t->rows; r++)
            GLIA_TRY(glia__csv_number(csv, t->first + r, c, out->may_miss ? NULL : missing_hint,
                                      &x[r * columns], err));
        if (csv->header && !(out->feature_names[at] = glia__arena_strdup(&out->arena, csv->header[c])))
            return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the data set");
        at++;
    }
    return GLIA_OK;
}

/* Numbers by value, words by their letters, numbers first. */
static int compare_labels(const void *a, const void *b) {
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    double p, q;
    bool px = glia__parse_double(x, &p), qy = glia__parse_double(y, &q);
    if (px && qy && p != q) return p < q ? -1 : 1;
    if (px != qy) return px ? -1 : 1;
    return strcmp(x, y);
}

/* Classes are the distinct labels, sorted. */
glia_status glia__csv_classes(glia_table *out, const glia_csv *csv, int64_t first, int64_t rows,
                              int64_t column, const glia_allocator *allocator, glia_error *err) {
    enum { MOST_CLASSES = 100000 };
    size_t bytes = (size_t)rows * sizeof(char *);
    const char **labels = glia__alloc(allocator, bytes);
    glia_status status = labels ? glia_tensor_new(&out->targets, GLIA_I64, GLIA_SHAPE(rows), allocator, err)
                                : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the data set");
    for (int64_t r = 0; r < rows && status == GLIA_OK; r++) {
        labels[r] = csv->cells[(first + r) * csv->columns + column];
        if (glia__csv_missing(labels[r]))
            status = cell_error(csv, first + r, column, "the label is missing", err);
    }
    int64_t classes = 0;
    if (status == GLIA_OK) {
        qsort(labels, (size_t)rows, sizeof *labels, compare_labels);
        for (int64_t r = 0; r < rows; r++)
            if (!r || strcmp(labels[r], labels[classes - 1]) != 0) labels[classes++] = labels[r];
        if (classes > MOST_CLASSES)
            status = glia_error_set(err, GLIA_BAD_DATA,
                                    "%s: %lld different labels; is the target a number? (`target: values`)",
                                    csv->path, (long long)classes);
    }
    if (status == GLIA_OK) {
        out->classes = classes;
        out->class_names = glia__arena_alloc(&out->arena, (size_t)classes * sizeof(char *));
        bool complete = out->class_names;
        for (int64_t k = 0; k < classes && complete; k++)
            complete = (out->class_names[k] = glia__arena_strdup(&out->arena, labels[k])) != NULL;
        if (!complete) status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the data set");
    }
    for (int64_t r = 0; r < rows && status == GLIA_OK; r++) {
        const char *label = csv->cells[(first + r) * csv->columns + column];
        const char **found = bsearch(&label, labels, (size_t)classes, sizeof *labels, compare_labels);
        ((int64_t *)out->targets.data)[r] = found - labels;
    }
    glia__free(allocator, labels, bytes);
    return status;
}

static glia_status read_values(glia_table *out, const glia_csv *csv, const table_columns *t,
                               const glia_dataset_options *options, glia_error *err) {
    GLIA_TRY(glia_tensor_new(&out->targets, GLIA_F32, GLIA_SHAPE(t->rows), options->allocator, err));
    for (int64_t r = 0; r < t->rows; r++)
        GLIA_TRY(
            glia__csv_number(csv, t->first + r, t->label, missing_hint, (float *)out->targets.data + r, err));
    return GLIA_OK;
}

static glia_status read_weights(glia_table *out, const glia_csv *csv, const table_columns *t,
                                const glia_dataset_options *options, glia_error *err) {
    if (t->weight < 0) return GLIA_OK;
    GLIA_TRY(glia_tensor_new(&out->weights, GLIA_F32, GLIA_SHAPE(t->rows), options->allocator, err));
    for (int64_t r = 0; r < t->rows; r++) {
        float *weight = (float *)out->weights.data + r;
        GLIA_TRY(glia__csv_number(csv, t->first + r, t->weight, missing_hint, weight, err));
        if (*weight < 0)
            return cell_error(csv, t->first + r, t->weight, "a weight is a number of at least 0", err);
    }
    return GLIA_OK;
}

/* Words of the options: a misspelt one must not mean the default. */
static glia_status check_word(const char *option, const char *word, const char *standard, const char *other,
                              glia_error *err) {
    if (!word || strcmp(word, standard) == 0 || strcmp(word, other) == 0) return GLIA_OK;
    return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s: expected %s or %s, found '%.60s'", option,
                          standard, other, word);
}

static glia_status read_table(glia_table *out, const glia_csv *csv, const glia_dataset_options *options,
                              glia_error *err) {
    table_columns t = {.first = csv->header != NULL};
    t.rows = csv->rows - t.first;
    if (options->limit > 0) t.rows = GLIA_MIN(t.rows, options->limit);
    if (t.rows < 1) return glia_error_set(err, GLIA_BAD_DATA, "%s: the table is empty", csv->path);
    GLIA_TRY(glia__csv_column(csv, options->label ? options->label : "last", &t.label, err));
    GLIA_TRY(glia__csv_column(csv, options->weight && *options->weight ? options->weight : "none", &t.weight,
                              err));
    if (t.weight >= 0 && t.weight == t.label)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "%s: column '%s' cannot be both the target and the weight", csv->path,
                              options->weight);
    GLIA_TRY(read_features(out, csv, &t, options, err));
    GLIA_TRY(read_weights(out, csv, &t, options, err));
    if (t.label < 0) return GLIA_OK;
    bool values = options->target && strcmp(options->target, "values") == 0;
    return values ? read_values(out, csv, &t, options, err)
                  : glia__csv_classes(out, csv, t.first, t.rows, t.label, options->allocator, err);
}

static glia_status read_csv(glia_table *out, const char *source, const glia_dataset_options *options,
                            glia_error *err) {
    glia_csv csv;
    if (!*source) return glia_error_set(err, GLIA_INVALID_ARGUMENT, "expected csv:FILE, found no file");
    GLIA_TRY(check_word("missing", options->missing, "error", "mean", err));
    GLIA_TRY(check_word("target", options->target, "class", "values", err));
    GLIA_TRY(glia__csv_read(&csv, source, options->limit, options->allocator, err));
    glia_status status = read_table(out, &csv, options, err);
    glia__csv_free(&csv);
    return status;
}

GLIA_READER(csv) = {.name = "csv",
                    .doc = "a table of numbers with a target column, with or without a header",
                    .example = "csv:iris.csv",
                    .files = {"table"},
                    .read = read_csv};
