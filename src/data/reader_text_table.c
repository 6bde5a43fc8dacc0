/* reader_text_table.c: texts with labels, one a row of a table, as examples of so many words each. */

#include <stdio.h>

#include "data/csv.h"
#include "data/reader.h"

/* Where what stands; `first`: the first row of texts. */
typedef struct text_columns {
    int64_t text, label; /* label -1: none */
    int64_t first, rows;
} text_columns;

static bool is_name(const char *cell, const char *wanted) {
    int64_t number;
    return wanted && *wanted && !glia__parse_int(wanted, &number) && strcmp(cell, wanted) == 0;
}

/* Texts look like any names of columns do: the first row is the header when it holds a usual one, or one that was asked
 * for. */
static bool has_header(const glia_csv *csv, const glia_dataset_options *options) {
    static const char *const usual[] = {"label",    "class",  "target",  "category", "sentiment", "text",
                                        "sentence", "review", "message", "content",  "question"};
    for (int64_t c = 0; csv->rows && c < csv->columns; c++) {
        if (is_name(csv->cells[c], options->label) || is_name(csv->cells[c], options->text.column))
            return true;
        for (size_t i = 0; i < GLIA_COUNT(usual); i++)
            if (strcmp(csv->cells[c], usual[i]) == 0) return true;
    }
    return false;
}

static glia_status find_columns(glia_csv *csv, const glia_dataset_options *options, text_columns *t,
                                glia_error *err) {
    const char *column = options->text.column;
    *t = (text_columns){.first = has_header(csv, options)};
    if (t->first) csv->header = csv->cells;
    t->rows = csv->rows - t->first;
    if (options->limit > 0) t->rows = GLIA_MIN(t->rows, options->limit);
    if (t->rows < 1) return glia_error_set(err, GLIA_BAD_DATA, "%s: the table is empty", csv->path);
    GLIA_TRY(glia__csv_column(csv, options->label ? options->label : "last", &t->label, err));
    if (column && *column) GLIA_TRY(glia__csv_column(csv, column, &t->text, err));
    if (!column || !*column) {
        if (csv->columns > (t->label >= 0 ? 2 : 1))
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "%s has %lld columns; say which holds the text (`text: {column: …}`)",
                                  csv->path, (long long)csv->columns);
        t->text = t->label == 0 ? 1 : 0;
    }
    if (t->text >= 0 && t->text < csv->columns && t->text != t->label) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_DATA, "%s: expected a column of texts beside that of the labels",
                          csv->path);
}

glia_status glia__text_number(const char *text, const char *end, glia_vocabulary *vocabulary, int32_t *row,
                              int64_t length, glia_error *err) {
    char word[GLIA_TOKEN_BYTES];
    const char *at = text;
    int64_t count = 0;
    for (size_t bytes; count < length && (bytes = glia__token_next(GLIA_TOKENS_WORDS, &at, end, word)) > 0;) {
        const int64_t number = glia__vocabulary_add(vocabulary, word, bytes);
        if (number < 0) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the data set");
        row[count++] = (int32_t)number;
    }
    while (count < length) row[count++] = GLIA_TOKEN_PAD;
    return GLIA_OK;
}

static glia_status read_rows(glia_table *out, const glia_csv *csv, const text_columns *t,
                             const glia_dataset_options *options, glia_error *err) {
    const int64_t length = options->text.length ? options->text.length : 64;
    GLIA_TRY(glia_tensor_new(&out->inputs, GLIA_I32, GLIA_SHAPE(t->rows, length), options->allocator, err));
    int32_t *row = out->inputs.data;
    for (int64_t r = 0; r < t->rows; r++, row += length) {
        const char *text = csv->cells[(t->first + r) * csv->columns + t->text];
        GLIA_TRY(glia__text_number(text, text + strlen(text), &out->vocabulary, row, length, err));
    }
    if (t->label < 0) return GLIA_OK;
    return glia__csv_classes(out, csv, t->first, t->rows, t->label, options->allocator, err);
}

static glia_status read_text_table(glia_table *out, const char *source, const glia_dataset_options *options,
                                   glia_error *err) {
    glia_csv csv;
    text_columns columns;
    if (!*source)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "expected text_table:FILE, found no file");
    GLIA_TRY(glia__text_options_check(&options->text, err));
    GLIA_TRY(glia__csv_read_texts(&csv, source, options->limit, options->allocator, err));
    glia_status status = GLIA_OK;
    for (int64_t i = 0; i < csv.rows * csv.columns && status == GLIA_OK; i++)
        status =
            glia__text_check(source, csv.cells[i], strlen(csv.cells[i]), csv.lines[i / csv.columns], err);

    if (status == GLIA_OK) status = find_columns(&csv, options, &columns, err);
    if (status == GLIA_OK) status = glia__table_begin_tokens(out, true, options, err);
    if (status == GLIA_OK) status = read_rows(out, &csv, &columns, options, err);
    glia__csv_free(&csv);
    return status;
}

GLIA_READER(text_table) = {.name = "text_table",
                           .doc = "texts and their labels: a table parted by tabs (quotes mean nothing) or "
                                  "commas, each text cut in words",
                           .example = "text_table:reviews.tsv",
                           .files = {"table"},
                           .read = read_text_table};
