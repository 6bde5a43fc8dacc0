/* data.c: `glia data`: named sets, and a look at any source. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

/* --- list, get --------------------------------------------------------------------------------------------
 */

static int list_sets(const cli_options *options) {
    glia_text out;
    bool json = options->json == GLIA_YES;
    glia__text_init(&out, NULL);
    if (json) glia__text_add(&out, "[");
    const glia_dataset_named *set;
    for (size_t i = 0; (set = glia_dataset_list(i)); i++) {
        if (json) {
            glia__text_add(&out, i ? ",{\"name\":" : "{\"name\":");
            glia__text_add_json(&out, set->name);
            glia__text_add(&out, ",\"parts\":");
            glia__text_add_json(&out, set->parts);
            glia__text_add(&out, ",\"about\":");
            glia__text_add_json(&out, set->doc);
            glia__text_add(&out, ",\"licence\":");
            glia__text_add_json(&out, set->licence);
            glia__text_add(&out, "}");
        } else {
            glia__text_printf(&out, "%-16s %-12s %s (%s)\n", set->name, set->parts, set->doc, set->licence);
        }
    }
    if (json) glia__text_add(&out, "]\n");
    return cli_print(&out);
}

static int get_set(const cli_options *options, const char *name) {
    glia_error err = {0};
    char where[1024];
    if (glia_dataset_fetch(name, (glia_dataset_options){.logger = cli_logger(options->quiet == GLIA_YES)},
                           where, sizeof where, &err) != GLIA_OK)
        return cli_fail(&err);
    glia_text out;
    glia__text_init(&out, NULL);
    if (options->json == GLIA_YES) {
        glia__text_add(&out, "{\"folder\":");
        glia__text_add_json(&out, where);
        glia__text_add(&out, "}\n");
    } else {
        glia__text_printf(&out, "%s\n", where);
    }
    return cli_print(&out);
}

/* --- show -------------------------------------------------------------------------------------------------
 */

/* One example and its target, untransformed where that says more. */
typedef struct example {
    float *inputs;
    int64_t class_;
    float *values;
    size_t input_bytes, value_bytes;
} example;

static void free_example(example *e) {
    glia__free(NULL, e->inputs, e->input_bytes);
    glia__free(NULL, e->values, e->value_bytes);
}

static glia_status read_example(const glia_dataset *data, int64_t index, example *e, glia_error *err) {
    const glia_dataset_info *info = glia_dataset_get_info(data);
    int64_t values = GLIA_MAX(glia_shape_elems(&info->target_shape), 1);
    *e = (example){.input_bytes = (size_t)glia_shape_elems(&info->input_shape) * sizeof(float),
                   .value_bytes = (size_t)values * sizeof(float)};
    e->inputs = glia__alloc(NULL, e->input_bytes);
    e->values = glia__alloc(NULL, e->value_bytes);
    const bool one = !info->target_shape.rank; /* else classes of positions, which are not shown */
    void *targets = info->target == GLIA_TARGET_CLASS    ? (one ? (void *)&e->class_ : NULL)
                    : info->target == GLIA_TARGET_VALUES ? (void *)e->values
                                                         : NULL;
    glia_status status = e->inputs && e->values
                             ? glia_dataset_gather(data, &index, 1, e->inputs, targets, err)
                             : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (status != GLIA_OK) free_example(e);
    return status;
}

/* A picture in characters: two rows of pixels a line, darker to lighter. */
static void add_picture(const float *pixels, const glia_shape *shape, glia_text *out) {
    static const char shades[] = " .:-=+*#%@";
    int64_t h = shape->dim[1], w = shape->dim[2], channels = shape->dim[0];
    int64_t step = GLIA_MAX((w + 99) / 100, 1);
    float low = pixels[0], high = pixels[0];
    for (int64_t i = 0; i < channels * h * w; i++) {
        low = fminf(low, pixels[i]);
        high = fmaxf(high, pixels[i]);
    }
    for (int64_t y = 0; y < h; y += 2 * step) {
        glia__text_add(out, "  ");
        for (int64_t x = 0; x < w; x += step) {
            double sum = 0;
            int64_t count = 0;
            for (int64_t c = 0; c < channels; c++)
                for (int64_t dy = 0; dy < 2 * step && y + dy < h; dy++, count++)
                    sum += (double)pixels[(c * h + y + dy) * w + x];
            double light = high > low ? (sum / (double)count - (double)low) / (double)(high - low) : 0;
            glia__text_printf(out, "%c", shades[(int)(light * 9.99)]);
        }
        while (out->length && out->data[out->length - 1] == ' ') out->data[--out->length] = 0;
        glia__text_add(out, "\n");
    }
}

/* Tokens as the text that they were: as it would stand in JSON, so that ends of lines show. */
static void add_tokens(const glia_dataset_info *info, const float *tokens, glia_text *out) {
    glia_text text;
    glia__text_init(&text, NULL);
    const bool words = strcmp(info->vocabulary[0], "<pad>") == 0;
    int64_t count = glia_shape_elems(&info->input_shape);
    while (words && count && tokens[count - 1] == 0) count--;
    for (int64_t i = 0; i < count; i++)
        glia__text_printf(&text, "%s%s", words && i ? " " : "", info->vocabulary[(int64_t)tokens[i]]);
    glia__text_add(out, "  ");
    glia__text_add_json(out, text.data);
    glia__text_add(out, "\n");
    out->failed |= text.failed;
    glia__text_free(&text);
}

static void add_example(const glia_dataset_info *info, const example *e, int64_t index, glia_text *out) {
    glia__text_printf(out, "\nexample %lld", (long long)index);
    if (info->target_shape.rank && info->target == GLIA_TARGET_CLASS)
        glia__text_add(out, ", to predict: what follows at each place");
    else if (info->target == GLIA_TARGET_CLASS && info->class_names)
        glia__text_printf(out, ": class %s", info->class_names[e->class_]);
    else if (info->target == GLIA_TARGET_CLASS)
        glia__text_printf(out, ": class %lld", (long long)e->class_);
    else if (info->target == GLIA_TARGET_VALUES)
        glia__text_printf(out, ": target %.6g", (double)e->values[0]);
    glia__text_add(out, "\n");
    const glia_shape *shape = &info->input_shape;
    if (info->vocabulary) {
        add_tokens(info, e->inputs, out);
        return;
    }
    if (shape->rank == 3 && (shape->dim[0] == 1 || shape->dim[0] == 3)) {
        add_picture(e->inputs, shape, out);
        return;
    }
    int64_t elems = glia_shape_elems(shape), shown = GLIA_MIN(elems, 40);
    for (int64_t i = 0; i < shown; i++) {
        char number[24];
        if (info->feature_names && shape->rank == 1)
            snprintf(number, sizeof number, "%.20s", info->feature_names[i]);
        else
            snprintf(number, sizeof number, shape->rank == 1 ? "column %lld" : "%lld",
                     (long long)(shape->rank == 1 ? i + 1 : i));
        glia__text_printf(out, "  %-20s %.6g\n", number, (double)e->inputs[i]);
    }
    if (shown < elems) glia__text_printf(out, "  … and %lld more\n", (long long)(elems - shown));
}

/* Examples of each class; NULL with an error. The caller frees [classes]. */
static int64_t *count_classes(const glia_dataset *data, glia_error *err) {
    enum { ROWS = 256 };
    const glia_dataset_info *info = glia_dataset_get_info(data);
    size_t row_bytes = (size_t)glia_shape_elems(&info->input_shape) * sizeof(float) * ROWS;
    const int64_t positions = glia_shape_elems(&info->target_shape);
    const size_t target_bytes = (size_t)positions * sizeof(int64_t) * ROWS;
    int64_t *counts = glia__calloc(NULL, (size_t)info->classes, sizeof *counts), order[ROWS];
    int64_t *targets = glia__alloc(NULL, target_bytes);
    float *inputs = glia__alloc(NULL, row_bytes);
    glia_status status =
        counts && inputs && targets ? GLIA_OK : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (int64_t first = 0; first < info->count && status == GLIA_OK; first += ROWS) {
        int64_t count = GLIA_MIN(ROWS, info->count - first);
        for (int64_t i = 0; i < count; i++) order[i] = first + i;
        status = glia_dataset_gather(data, order, count, inputs, targets, err);
        for (int64_t i = 0; i < count * positions && status == GLIA_OK; i++)
            if (targets[i] >= 0) counts[targets[i]]++; /* others are ignored */
    }
    glia__free(NULL, inputs, row_bytes);
    glia__free(NULL, targets, target_bytes);
    if (status == GLIA_OK) return counts;
    glia__free(NULL, counts, (size_t)info->classes * sizeof *counts);
    return NULL;
}

static void add_info(const glia_dataset_info *info, bool json, glia_text *out) {
    char shape[96], count[40];
    if (!json) {
        glia__text_printf(out, "%s: %s examples of %s", info->name,
                          cli_count(info->count, count, sizeof count),
                          glia_shape_text(&info->input_shape, shape, sizeof shape));
        if (info->classes) glia__text_printf(out, ", %lld classes", (long long)info->classes);
        if (info->vocabulary)
            glia__text_printf(out, ", vocabulary of %s", cli_count(info->n_vocabulary, count, sizeof count));
        glia__text_add(out, "\n");
        return;
    }
    glia__text_add(out, "{\"name\":");
    glia__text_add_json(out, info->name);
    glia__text_printf(out, ",\"examples\":%lld,\"classes\":%lld,\"shape\":[", (long long)info->count,
                      (long long)info->classes);
    for (int i = 0; i < info->input_shape.rank; i++)
        glia__text_printf(out, "%s%lld", i ? "," : "", (long long)info->input_shape.dim[i]);
    glia__text_add(out, "]");
}

enum { MOST_CLASSES = 40 }; /* a longer list is for --json */

static void add_counts(const glia_dataset_info *info, const int64_t *counts, bool json, glia_text *out) {
    char count[40], name[64];
    if (json) glia__text_add(out, ",\"class_counts\":{");
    for (int64_t c = 0; c < info->classes; c++) {
        if (info->class_names)
            snprintf(name, sizeof name, "%s", info->class_names[c]);
        else
            snprintf(name, sizeof name, "%lld", (long long)c);
        if (json) {
            if (c) glia__text_add(out, ",");
            glia__text_add_json(out, name);
            glia__text_printf(out, ":%lld", (long long)counts[c]);
        } else if (c < MOST_CLASSES) {
            glia__text_printf(out, "  %s%*s %10s  %5.1f %%\n", name, cli_pad(name, 20), "",
                              cli_count(counts[c], count, sizeof count),
                              100.0 * (double)counts[c] /
                                  (double)GLIA_MAX(info->count * glia_shape_elems(&info->target_shape), 1));
        }
    }
    if (json)
        glia__text_add(out, "}");
    else if (info->classes > MOST_CLASSES)
        glia__text_printf(out, "  … and %lld more\n", (long long)info->classes - MOST_CLASSES);
}

static glia_status describe(const cli_options *options, const glia_dataset *data, glia_text *out,
                            glia_error *err) {
    const glia_dataset_info *info = glia_dataset_get_info(data);
    bool json = options->json == GLIA_YES;
    example e;
    if (options->index >= info->count)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "--index: expected 0 to %lld, found %lld",
                              (long long)info->count - 1, (long long)options->index);
    add_info(info, json, out);
    if (info->target == GLIA_TARGET_CLASS) {
        int64_t *counts = count_classes(data, err);
        if (!counts) return err->status;
        add_counts(info, counts, json, out);
        glia__free(NULL, counts, (size_t)info->classes * sizeof *counts);
    }
    if (json) {
        glia__text_add(out, "}\n");
        return GLIA_OK;
    }
    GLIA_TRY(read_example(data, options->index, &e, err));
    add_example(info, &e, options->index, out);
    free_example(&e);
    return GLIA_OK;
}

/* "mnist" means its first part. */
static const char *with_part(const char *source, char *out, size_t capacity) {
    const glia_dataset_named *set;
    for (size_t i = 0; (set = glia_dataset_list(i)); i++)
        if (strcmp(set->name, source) == 0) {
            snprintf(out, capacity, "%s:%.*s", source, (int)strcspn(set->parts, " "), set->parts);
            return out;
        }
    return source;
}

static int show(const cli_options *options, const char *source) {
    glia_error err = {0};
    glia_dataset *data;
    char full[128];
    glia_text out;
    if (glia_dataset_open_with(&data, with_part(source, full, sizeof full),
                               (glia_dataset_options){.logger = cli_logger(options->quiet == GLIA_YES)},
                               &err) != GLIA_OK)
        return cli_fail(&err);
    glia__text_init(&out, NULL);
    glia_status status = describe(options, data, &out, &err);
    glia_dataset_free(data);
    if (status == GLIA_OK) return cli_print(&out);
    glia__text_free(&out);
    return cli_fail(&err);
}

static int run_data(const cli_options *options, char **arguments, int count) {
    static const char *const verbs[] = {"list", "get", "show"};
    const char *verb = arguments[0], *nearest = glia__nearest_word(verb, verbs, GLIA_COUNT(verbs));
    if (strcmp(verb, "list") == 0 && count == 1) return list_sets(options);
    if (strcmp(verb, "get") == 0 && count == 2) return get_set(options, arguments[1]);
    if (strcmp(verb, "show") == 0 && count == 2) return show(options, arguments[1]);
    for (size_t i = 0; i < GLIA_COUNT(verbs); i++)
        if (strcmp(verb, verbs[i]) == 0)
            return cli_usage("data", "expected: glia data %s%s", verb,
                             i == 0   ? ""
                             : i == 1 ? " NAME"
                                      : " SOURCE");
    if (nearest) return cli_usage("data", "unknown verb '%s' (did you mean %s?)", verb, nearest);
    return cli_usage("data", "expected list, get or show, found '%s'", verb);
}

const cli_command cli_data = {
    .name = "data",
    .arguments = "list | get NAME | show SOURCE",
    .summary = "List the named data sets, fetch one, or look at any source",
    .details =
        "SOURCE is a named set (mnist:test) or files: idx:images.gz,labels.gz, csv:table.csv, "
        "npy:inputs.npy,targets.npy.\nshow prints the number of examples of each class and one example.",
    .examples = "glia data list\nglia data get mnist\nglia data show mnist:test --index 3\nglia data show "
                "csv:iris.csv",
    .flags = (const glia_field[]){CLI_FLAG(index, INT, "0", "which example to show", .min = 0, .max = 9e15),
                                  CLI_JSON,
                                  CLI_QUIET,
                                  {.name = NULL}},
    .min_arguments = 1,
    .max_arguments = 2,
    .run = run_data,
};
