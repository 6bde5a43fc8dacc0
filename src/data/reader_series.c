/* reader_series.c: a table whose rows follow one another in time, as windows: some steps of its columns, and of one column
 * the steps that follow. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/csv.h"
#include "data/reader.h"

enum { MOST_LENGTH = 1 << 20, MOST_NAME = 256 };

typedef struct series {
    const glia_csv *csv;
    const glia_dataset_options *options;
    int64_t first, rows; /* of the csv's rows: after the header */
    int64_t label;       /* column, or -1 */
    int64_t *columns;    /* that the network sees; in the table's arena */
    int64_t n_columns;
    int64_t length, horizon, stride, season;
} series;

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the data set");
}

/* --- columns ---------------------------------------------------------------------------------------------- */

static glia_status add_column(series *s, int64_t column, glia_error *err) {
    for (int64_t i = 0; i < s->n_columns; i++)
        if (s->columns[i] == column)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s: features: column %lld stands there twice",
                                  s->csv->path, (long long)column + 1);
    if (column < 0)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s: features: 'none' is no column", s->csv->path);
    s->columns[s->n_columns++] = column;
    return GLIA_OK;
}

/* "Temp,Rain"; spaces around a name do not count. */
static glia_status add_named(series *s, const char *names, glia_error *err) {
    char name[MOST_NAME];
    for (const char *at = names;; at++) {
        at += strspn(at, " ");
        size_t length = strcspn(at, ","), end = length;
        while (end > 0 && at[end - 1] == ' ') end--;
        int64_t column;
        snprintf(name, sizeof name, "%.*s", (int)GLIA_MIN(end, sizeof name - 1), at);
        if (s->n_columns == s->csv->columns)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s: features: more names than columns",
                                  s->csv->path);
        GLIA_TRY(glia__csv_column(s->csv, name, &column, err));
        GLIA_TRY(add_column(s, column, err));
        at += length;
        if (!*at) return GLIA_OK;
    }
}

static glia_status find_columns(glia_table *out, series *s, glia_error *err) {
    const glia_csv *csv = s->csv;
    const char *names = s->options->series.features;
    s->columns = glia__arena_alloc(&out->arena, (size_t)csv->columns * sizeof *s->columns);
    if (!s->columns) return out_of_memory(err);
    GLIA_TRY(glia__csv_column(csv, s->options->label ? s->options->label : "last", &s->label, err));
    if (names && *names) return add_named(s, names, err);
    for (int64_t c = 0; c < csv->columns; c++) { /* dates are no numbers */
        double number;
        if (glia__parse_double(csv->cells[s->first * csv->columns + c], &number))
            GLIA_TRY(add_column(s, c, err));
    }
    if (s->n_columns) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_DATA, "%s: no column begins with a number; expected a series of them",
                          csv->path);
}

/* --- numbers ---------------------------------------------------------------------------------------------- */

/* A column, to every `step`th number of `to`. */
static glia_status read_column(const series *s, int64_t column, int64_t step, float *to, glia_error *err) {
    const bool fill = s->options->missing && strcmp(s->options->missing, "previous") == 0;
    for (int64_t r = 0; r < s->rows; r++) {
        const char *missing = "the value is missing (`missing: previous` takes that of the row before)";
        if (fill) missing = r ? NULL : "the first value is missing, and there is none before it";
        GLIA_TRY(glia__csv_number(s->csv, s->first + r, column, missing, &to[r * step], err));
        if (isnan(to[r * step])) to[r * step] = to[(r - 1) * step];
    }
    return GLIA_OK;
}

static glia_status read_features(glia_table *out, const series *s, glia_error *err) {
    glia_tensor *x = &out->windows.inputs;
    GLIA_TRY(glia_tensor_new(x, GLIA_F32, GLIA_SHAPE(s->rows, s->n_columns), s->options->allocator, err));
    out->feature_names = glia__arena_alloc(&out->arena, (size_t)s->n_columns * sizeof(char *));
    if (!out->feature_names) return out_of_memory(err);
    for (int64_t i = 0; i < s->n_columns; i++) {
        const int64_t c = s->columns[i];
        GLIA_TRY(read_column(s, c, s->n_columns, (float *)x->data + i, err));
        out->feature_names[i] = s->csv->header
                                    ? glia__arena_strdup(&out->arena, s->csv->header[c])
                                    : glia__arena_printf(&out->arena, "column %lld", (long long)c + 1);
        if (!out->feature_names[i]) return out_of_memory(err);
    }
    return GLIA_OK;
}

/* --- windows ---------------------------------------------------------------------------------------------- */

static glia_status take_options(series *s, glia_error *err) {
    const glia_series_options *o = &s->options->series;
    const struct {
        const char *name;
        int64_t given, standard, *to;
    } all[] = {{"length", o->length, 24, &s->length},
               {"horizon", o->horizon, 1, &s->horizon},
               {"stride", o->stride, 1, &s->stride},
               {"season", o->season, 1, &s->season}};
    for (size_t i = 0; i < GLIA_COUNT(all); i++) {
        *all[i].to = all[i].given ? all[i].given : all[i].standard;
        if (*all[i].to < 1 || *all[i].to > MOST_LENGTH)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT, "series: %s: expected 1 … %d steps, found %lld",
                                  all[i].name, MOST_LENGTH, (long long)all[i].given);
    }
    const char *missing = s->options->missing;
    if (!missing || strcmp(missing, "error") == 0 || strcmp(missing, "previous") == 0) return GLIA_OK;
    return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                          "missing: of a series expected error or previous, found '%.60s'", missing);
}

static glia_status make_windows(glia_table *out, const series *s, glia_error *err) {
    const int64_t ahead = s->label >= 0 ? s->horizon : 0, room = s->rows - s->length - ahead;
    glia_windows *w = &out->windows;
    if (room < 0)
        return glia_error_set(err, GLIA_BAD_DATA,
                              "%s has %lld rows; an example needs %lld (length %lld and horizon %lld)",
                              s->csv->path, (long long)s->rows, (long long)(s->length + ahead),
                              (long long)s->length, (long long)ahead);
    int64_t count = room / s->stride + 1;
    if (s->options->limit > 0) count = GLIA_MIN(count, s->options->limit);
    out->channel_axis = 1;
    out->inputs = w->inputs;
    out->inputs.owner = NULL;
    out->inputs.shape = GLIA_SHAPE(count, s->length, s->n_columns);
    w->input_step = s->stride * s->n_columns;
    w->target_step = s->stride;
    w->reach = (s->horizon + s->stride - 1) / s->stride;
    w->apart = 1; /* a forecast from each place, with all that is known there */
    w->season = s->season;
    if (!ahead) return GLIA_OK;
    GLIA_TRY(glia_tensor_new(&w->targets, GLIA_F32, GLIA_SHAPE(s->rows), s->options->allocator, err));
    GLIA_TRY(read_column(s, s->label, 1, w->targets.data, err));
    out->targets = w->targets;
    out->targets.owner = NULL;
    out->targets.shape = GLIA_SHAPE(count, s->horizon);
    out->targets.data = (float *)w->targets.data + s->length;
    return GLIA_OK;
}

static glia_status read_series(glia_table *out, const char *source, const glia_dataset_options *options,
                               glia_error *err) {
    glia_csv csv;
    if (!*source) return glia_error_set(err, GLIA_INVALID_ARGUMENT, "expected series:FILE, found no file");
    GLIA_TRY(glia__csv_read(&csv, source, 0, options->allocator, err));
    series s = {.csv = &csv, .options = options, .first = csv.header != NULL};
    s.rows = csv.rows - s.first;
    glia_status status = s.rows > 0 ? take_options(&s, err)
                                    : glia_error_set(err, GLIA_BAD_DATA, "%s: the table is empty", source);
    if (status == GLIA_OK) status = find_columns(out, &s, err);
    if (status == GLIA_OK) status = read_features(out, &s, err);
    if (status == GLIA_OK) status = make_windows(out, &s, err);
    glia__csv_free(&csv);
    return status;
}

GLIA_READER(series) = {.name = "series",
                       .doc = "a table whose rows follow one another in time: some steps of its columns, to "
                              "predict the next of one",
                       .example = "series:temperatures.csv",
                       .files = {"table"},
                       .read = read_series};
