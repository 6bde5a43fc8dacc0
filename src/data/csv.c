/* csv.c: CSV text to cells, in place: cells point into the text. */

#include "data/csv.h"

#include "io/stream.h"

enum { MOST_COLUMNS = 1 << 20 };

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while reading a table");
}

static glia_status add_cell(glia_csv *csv, size_t *count, char *cell, glia_error *err) {
    if (*count == csv->capacity) {
        size_t wanted = csv->capacity ? 2 * csv->capacity : 1024;
        char **grown = glia__grow(csv->allocator, csv->cells, csv->capacity, wanted, sizeof *grown);
        if (!grown) return out_of_memory(err);
        csv->cells = grown;
        csv->capacity = wanted;
    }
    csv->cells[(*count)++] = cell;
    return GLIA_OK;
}

static char *trim(char *cell, char *end) {
    while (end > cell && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) end--;
    *end = 0;
    return cell + strspn(cell, " \t");
}

/* Takes one cell off *at; *end_of_row tells whether the row ends with it, *problem what is wrong with it. */
static char *next_cell(char **at, char separator, bool plain, int64_t *line, bool *end_of_row,
                       const char **problem) {
    char *p = *at, *cell = p;
    p += strspn(p, " ");
    if (*p == '"' && !plain) { /* doubled quotes inside become single ones, moved to the left */
        char *to = cell = ++p;
        for (; *p && !(*p == '"' && p[1] != '"'); p++) {
            if (*p == '"') p++;
            if (*p == '\n') ++*line;
            *to++ = *p;
        }
        if (*p != '"') *problem = "a quoted cell does not end";
        p += *p == '"';
        while (*p == ' ' || *p == '\r' || (*p == '\t' && separator != '\t')) p++;
        if (*p && *p != separator && *p != '\n') *problem = "text follows the closing quote of a cell";
        *end_of_row = *p != separator;
        *at = *p ? p + 1 : p;
        *to = 0;
        return cell;
    }
    while (*p && *p != separator && *p != '\n') p++;
    *end_of_row = *p != separator;
    *at = *p ? p + 1 : p;
    return trim(cell, p);
}

/* Tabs that separate are cells, if empty ones. */
static bool blank_line(const char *p, char separator) {
    p += strspn(p, separator == '\t' ? " \r" : " \t\r");
    return *p == '\n' || !*p;
}

static glia_status check_row(const glia_csv *csv, int64_t cells, int64_t line, glia_error *err) {
    if (cells > MOST_COLUMNS)
        glia_error_set(err, GLIA_BAD_FORMAT, "expected at most %d cells, found %lld", MOST_COLUMNS,
                       (long long)cells);
    else if (cells != csv->columns)
        glia_error_set(err, GLIA_BAD_FORMAT, "expected %lld cells as in the first row, found %lld",
                       (long long)csv->columns, (long long)cells);
    else
        return GLIA_OK;
    glia_error_at(err, csv->path, line, 0);
    return GLIA_BAD_FORMAT;
}

static glia_status parse(glia_csv *csv, int64_t limit, glia_error *err) {
    char *at = csv->text;
    size_t count = 0;
    csv->line_capacity = 1;
    if (strncmp(at, "\xEF\xBB\xBF", 3) == 0) at += 3;
    for (const char *p = at; *p; p++) csv->line_capacity += *p == '\n';
    csv->lines = glia__alloc(csv->allocator, csv->line_capacity * sizeof *csv->lines);
    if (!csv->lines) return out_of_memory(err);
    csv->plain &= strcspn(at, "\t") < strcspn(at, "\n");
    char separator = csv->plain                                                ? '\t'
                     : strchr(at, ',') && strcspn(at, ",") < strcspn(at, "\n") ? ','
                     : strcspn(at, ";") < strcspn(at, "\n")                    ? ';'
                     : strcspn(at, "\t") < strcspn(at, "\n")                   ? '\t'
                                                                               : ',';
    for (int64_t line = 1; *at;) {
        if (blank_line(at, separator)) {
            at += strcspn(at, "\n");
            at += *at == '\n';
            line++;
            continue;
        }
        if (limit > 0 && csv->rows > limit) break; /* one more: the first row may be a header */
        size_t first = count;
        int64_t begins = line;
        const char *problem = NULL;
        for (bool end = false; !end;) {
            char *cell = next_cell(&at, separator, csv->plain, &line, &end, &problem);
            if (problem) {
                glia_error_set(err, GLIA_BAD_FORMAT, "cell %zu: %s", count - first + 1, problem);
                glia_error_at(err, csv->path, begins, 0);
                return GLIA_BAD_FORMAT;
            }
            GLIA_TRY(add_cell(csv, &count, cell, err));
        }
        line++;
        if (!csv->rows) csv->columns = (int64_t)count;
        GLIA_TRY(check_row(csv, (int64_t)(count - first), begins, err));
        csv->lines[csv->rows++] = begins;
    }
    return GLIA_OK;
}

static bool is_number(const char *cell) {
    double value;
    return glia__parse_double(cell, &value);
}

/* The names of the columns leave the rows. */
static void find_header(glia_csv *csv) {
    bool names = csv->rows > 0, numbers = false;
    for (int64_t c = 0; c < csv->columns && csv->rows; c++) {
        names &= !is_number(csv->cells[c]) && !glia__csv_missing(csv->cells[c]);
        numbers |= csv->rows > 1 && is_number(csv->cells[csv->columns + c]);
    }
    if (names && numbers) csv->header = csv->cells;
}

static glia_status read_table(glia_csv *out, int64_t limit, glia_error *err) {
    size_t used;
    glia_status status =
        glia__stream_text(out->path, out->allocator, &out->text, &out->text_bytes, &used, err);
    if (status == GLIA_OK) status = parse(out, limit, err);
    if (status != GLIA_OK) glia__csv_free(out);
    return status;
}

glia_status glia__csv_read(glia_csv *out, const char *path, int64_t limit, const glia_allocator *allocator,
                           glia_error *err) {
    *out = (glia_csv){.path = path, .allocator = allocator};
    GLIA_TRY(read_table(out, limit, err));
    find_header(out);
    return GLIA_OK;
}

glia_status glia__csv_read_texts(glia_csv *out, const char *path, int64_t limit,
                                 const glia_allocator *allocator, glia_error *err) {
    *out = (glia_csv){.path = path, .allocator = allocator, .plain = true};
    return read_table(out, limit, err);
}

void glia__csv_free(glia_csv *csv) {
    glia__free(csv->allocator, csv->lines, csv->line_capacity * sizeof *csv->lines);
    glia__free(csv->allocator, csv->cells, csv->capacity * sizeof *csv->cells);
    glia__free(csv->allocator, csv->text, csv->text_bytes);
    *csv = (glia_csv){0};
}
