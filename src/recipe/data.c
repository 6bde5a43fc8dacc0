/* data.c: the `data` section: sources, splits, and one transform for all parts. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "data/dataset.h"
#include "glia/random.h"
#include "glia/version.h"
#include "recipe/recipe.h"

/* --- sources ------------------------------------------------------------------------------------------- */

/* The named set that a source means: "mnist" or "mnist:train"; or NULL. */
static const glia_dataset_named *named_set(const char *source) {
    const glia_dataset_named *set;
    size_t length = strcspn(source, ":");
    for (size_t i = 0; (set = glia_dataset_list(i)); i++)
        if (strlen(set->name) == length && memcmp(set->name, source, length) == 0) return set;
    return NULL;
}

static const glia_reader *find_reader(const char *text, size_t length) {
    for (size_t i = 0; i < glia__readers_count; i++)
        if (strlen(glia__readers[i]->name) == length && memcmp(glia__readers[i]->name, text, length) == 0)
            return glia__readers[i];
    return NULL;
}

/* Beside the model file, in the current folder, in the folder of data sets: the first that is there. */
static void add_found(const glia_recipe *recipe, const char *path, glia_text *out) {
    const char *data = getenv("GLIA_DATA");
    const char *const folders[] = {recipe->folder, ".", data && data[0] ? data : "."};
    size_t before = out->length;
    for (size_t i = 0; i < GLIA_COUNT(folders) && path[0] != '/'; i++) {
        if (strcmp(folders[i], ".") != 0) glia__text_printf(out, "%s/", folders[i]);
        glia__text_add(out, path);
        if (out->failed || access(out->data + before, R_OK) == 0) return;
        out->length = before;
        out->data[before] = 0;
    }
    glia__text_add(out, path);
}

/* Runs are read from anywhere: their files have whole paths. */
static void add_whole(const glia_recipe *recipe, const char *path, glia_text *out) {
    char whole[PATH_MAX];
    (void)recipe;
    glia__text_add(out, realpath(path, whole) ? whole : path);
}

/* "idx:a,b" with `add` applied to the paths after the colon; named sets stay. */
static void add_source(const glia_recipe *recipe, const char *source,
                       void (*add)(const glia_recipe *recipe, const char *path, glia_text *out),
                       glia_text *out) {
    char path[PATH_MAX];
    size_t prefix = strcspn(source, ":");
    if (!source[prefix] || !find_reader(source, prefix) || named_set(source)) {
        glia__text_add(out, source);
        return;
    }
    glia__text_add_bytes(out, source, prefix + 1);
    for (const char *at = source + prefix + 1;;) {
        size_t length = strcspn(at, ",");
        snprintf(path, sizeof path, "%.*s", (int)GLIA_MIN(length, sizeof path - 1), at);
        add(recipe, path, out);
        if (!at[length]) break;
        glia__text_add(out, ",");
        at += length + 1;
    }
}

/* {images: a, labels: b} in the order of the reader. */
static glia_status add_files(const glia_yaml *node, glia_text *out, glia_error *err) {
    char found[120];
    const glia_reader *reader = find_reader(node->key, strlen(node->key));
    const char *const *names = reader ? reader->files : NULL;
    size_t count = 0;
    while (reader && count < GLIA_COUNT(reader->files) && names[count]) count++;
    for (const glia_yaml *n = node->first; n; n = n->next) {
        bool known = node->kind == GLIA_YAML_LIST;
        for (size_t i = 0; i < count; i++) known |= n->key && strcmp(names[i], n->key) == 0;
        if (!known) return glia__recipe_unknown(n, "file", n->key, names, count, err);
        if (n->kind != GLIA_YAML_TEXT)
            return glia__yaml_error(n, err, GLIA_INVALID_ARGUMENT, "expected the name of a file, found %s",
                                    glia__yaml_found(n, found, sizeof found));
        if (node->kind == GLIA_YAML_LIST)
            glia__text_printf(out, "%s%s", n == node->first ? "" : ",", n->text);
    }
    if (node->kind == GLIA_YAML_LIST) return GLIA_OK;
    for (size_t i = 0; i < count; i++) {
        const glia_yaml *n = glia__yaml_get(node, names[i]);
        if (!n && i) continue; /* labels may be left out */
        if (!n)
            return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT, "%s needs '%s: FILE'", node->key,
                                        names[i]);
        glia__text_printf(out, "%s%s", i ? "," : "", n->text);
    }
    return GLIA_OK;
}

static glia_status source_text(const glia_yaml *node, const char *name, glia_text *out, glia_error *err) {
    char found[120];
    if (node->kind == GLIA_YAML_TEXT) {
        glia__text_add(out, node->text);
        return GLIA_OK;
    }
    if (node->kind != GLIA_YAML_MAP || node->count != 1 || node->first->kind == GLIA_YAML_NULL)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT,
                                    "%s: expected a named set (mnist) or a kind of file with its files "
                                    "({csv: table.csv}), found %s",
                                    name, glia__yaml_found(node, found, sizeof found));
    glia__text_printf(out, "%s:", node->first->key);
    if (node->first->kind != GLIA_YAML_TEXT) return add_files(node->first, out, err);
    glia__text_add(out, node->first->text);
    return GLIA_OK;
}

/* The word before ':' must be a reader; named sets are readers, too. */
static glia_status check_source(const glia_yaml *node, const char *source, glia_error *err) {
    size_t length = strcspn(source, ":"), count = 0;
    const char *words[64];
    char word[64];
    if (named_set(source)) return GLIA_OK;
    if (find_reader(source, length) && source[length] == ':') return GLIA_OK;
    for (size_t i = 0; i < glia__readers_count && count < GLIA_COUNT(words); i++)
        words[count++] = glia__readers[i]->name;
    snprintf(word, sizeof word, "%.*s", (int)GLIA_MIN(length, sizeof word - 1), source);
    glia_yaml at = node->kind == GLIA_YAML_MAP ? *node->first : *node;
    if (node->kind == GLIA_YAML_TEXT) at.key = NULL;
    if (find_reader(source, length))
        return glia__yaml_error(&at, err, GLIA_INVALID_ARGUMENT, "expected '%s:FILE', found '%s'", word,
                                word);
    return glia__recipe_unknown(&at, "data source", word, words, count, err);
}

glia_status glia__recipe_read_source(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                     glia_error *err) {
    glia_text text, resolved;
    const char *copy = NULL;
    glia__text_init(&text, recipe->arena.allocator);
    glia__text_init(&resolved, recipe->arena.allocator);
    glia_status status = source_text(node, field->name, &text, err);
    if (status == GLIA_OK && text.failed) status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (status == GLIA_OK) status = check_source(node, text.data, err);
    if (status == GLIA_OK) {
        add_source(recipe, text.data, add_found, &resolved);
        copy = resolved.failed ? NULL : glia__arena_strdup(&recipe->arena, resolved.data);
        if (!copy) status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    }
    glia__text_free(&text);
    glia__text_free(&resolved);
    if (status != GLIA_OK) return status;
    *(const char **)((char *)recipe + field->offset) = copy;
    return GLIA_OK;
}

void glia__recipe_print_source(const glia_recipe *recipe, const glia_field *field, int indent,
                               glia_text *out) {
    const char *source = *(const char *const *)((const char *)recipe + field->offset);
    if (!source[0]) return;
    glia__text_printf(out, "%*s%s: ", indent, "", field->name);
    glia_text whole;
    glia__text_init(&whole, out->allocator);
    add_source(recipe, source, add_whole, &whole);
    glia__yaml_quote(out, whole.data);
    out->failed |= whole.failed;
    glia__text_free(&whole);
    glia__text_add(out, "\n");
}

/* --- the keys ------------------------------------------------------------------------------------------ */

#define AT(member) .offset = offsetof(glia_recipe, data.member)
#define SOURCE(key, words)                                                                        \
    {                                                                                             \
        .field = {.name = #key, .kind = GLIA_FIELD_STRING, AT(key), .initial = "", .doc = words}, \
        .read = glia__recipe_read_source, .print = glia__recipe_print_source                      \
    }

static const glia_recipe_key split_keys[] = {
    {.field = {"validation", GLIA_FIELD_FLOAT, AT(split.validation), "0",
               "cut off for validation: a share (below 1) of all examples, or a number of them", .min = 0,
               .max = 1e15}},
    {.field = {"test", GLIA_FIELD_FLOAT, AT(split.test), "0",
               "cut off for the test in the same way, when the source has no test part", .min = 0,
               .max = 1e15}},
    {.field = {"stratified", GLIA_FIELD_BOOL, AT(split.stratified), "no",
               "every class gives the same share"}},
    {.field = {.name = NULL}},
};

static const glia_recipe_key text_keys[] = {
    {.field = {"tokens", GLIA_FIELD_CHOICE, AT(text.tokens), "characters",
               "`text`: what a text is cut in; words are lower-cased, and punctuation counts as words",
               "characters|words"}},
    {.field = {"column", GLIA_FIELD_STRING, AT(text.column), "",
               "`text_table`: the column of the text, by name or number from 1; default: the one beside the "
               "label"}},
    {.field = {"length", GLIA_FIELD_INT, AT(text.length), "64",
               "tokens of an example; of `text_table` longer texts are cut, shorter ones padded with token 0",
               .min = 1, .max = 1 << 20}},
    {.field = {"stride", GLIA_FIELD_INT, AT(text.stride), "0",
               "`text`: tokens from the start of one example to that of the next; 1: an example begins at "
               "every token (see train.steps_per_epoch); 0: length, so that an epoch is once through the "
               "text",
               .min = 0, .max = 1 << 20}},
    {.field = {"vocabulary", GLIA_FIELD_INT, AT(text.vocabulary), "20000",
               "words: how many at most, the most frequent of the training part; 0 is <pad>, 1 <unk>, which "
               "others become",
               .min = 3, .max = 50000}},
    {.field = {"min_count", GLIA_FIELD_INT, AT(text.min_count), "2",
               "words: those that are rarer become <unk>", .min = 1, .max = 1e9}},
    {.field = {.name = NULL}},
};

static const glia_recipe_key series_keys[] = {
    {.field = {"features", GLIA_FIELD_STRING, AT(series.features), "",
               "the columns that the network sees, by name or number from 1; default: all that hold "
               "numbers, that of the label too",
               .list = true}},
    {.field = {"length", GLIA_FIELD_INT, AT(series.length), "24",
               "steps of an example: inputs are [length, features]", .min = 1, .max = 1 << 20}},
    {.field = {"horizon", GLIA_FIELD_INT, AT(series.horizon), "1",
               "steps that follow, whose label is to be predicted: targets are [horizon]", .min = 1,
               .max = 1 << 20}},
    {.field = {"stride", GLIA_FIELD_INT, AT(series.stride), "1",
               "steps from the start of one example to that of the next", .min = 1, .max = 1 << 20}},
    {.field = {"season", GLIA_FIELD_INT, AT(series.season), "1",
               "steps after which the series is about the same again (12 for months): naive_mae is the "
               "error of the forecast that repeats the last season; 1: the last value",
               .min = 1, .max = 1 << 20}},
    {.field = {.name = NULL}},
};

static const glia_recipe_key augment_keys[] = {
    {.field = {"flip", GLIA_FIELD_CHOICE, AT(augment.flip), "none",
               "horizontal: half of the pictures, drawn at random, are mirrored", "none|horizontal"}},
    {.field = {"crop", GLIA_FIELD_INT, AT(augment.crop), "0",
               "pixels of black put around a picture, from which one of the old size is cut at random",
               .min = 0, .max = 1 << 20}},
    {.field = {"cutout", GLIA_FIELD_INT, AT(augment.cutout), "0",
               "side of a square of zeros (the mean, where data are normalised) put around a pixel drawn at "
               "random",
               .min = 0, .max = 1 << 20}},
    {.field = {.name = NULL}},
};

const glia_recipe_key glia__recipe_data_keys[] = {
    SOURCE(source, "a named set (`glia data list`) or files (see Sources below): `csv: table.csv`; required"),
    SOURCE(validation, "another source, for validation"),
    SOURCE(test, "another source, for the test; a named set brings its own"),
    {.field = {"scale", GLIA_FIELD_FLOAT, AT(scale), "0",
               "multiplies inputs, e.g. 1/255; 0: 1/255 for pictures, 1 for others", .min = -1e30,
               .max = 1e30}},
    {.field =
         {"normalize", GLIA_FIELD_BOOL, AT(normalize), "no",
          "subtract the mean and divide by the standard deviation of each column or channel, measured on "
          "the training part"}},
    {.field = {"label", GLIA_FIELD_STRING, AT(label), "last",
               "CSV, series: the column to predict, by name or number from 1, or `last`"}},
    {.field = {"weight", GLIA_FIELD_STRING, AT(weight), "",
               "CSV: a column, by name or number, that says how much each example counts in the loss; no "
               "feature"}},
    {.field = {"target", GLIA_FIELD_CHOICE, AT(target), "class", "CSV: what that column holds",
               "class|values"}},
    {.field = {"missing", GLIA_FIELD_CHOICE, AT(missing), "error",
               "CSV: what an empty cell or '?' is: an error, or the column's mean over the training part; "
               "of a series, previous: the value of the row before",
               "error|mean|previous"}},
    {.field = {"limit", GLIA_FIELD_INT, AT(limit), "0", "use only the first so many examples; 0: all",
               .min = 0, .max = 9e15}},
    {.field = {.name = "text", .doc = "`text`, `text_table`: how texts become numbers"},
     .section = text_keys},
    {.field = {.name = "series", .doc = "`series`: how rows become examples"}, .section = series_keys},
    {.field = {.name = "split",
               .doc = "parts cut off the training data, by the seed; of a text or series the last examples"},
     .section = split_keys},
    {.field = {.name = "augment",
               .doc = "pictures changed at random, anew in every epoch, for training only"},
     .section = augment_keys},
    {.field = {.name = NULL}},
};

/* --- opening ------------------------------------------------------------------------------------------- */

/* The place of a key of `data` for errors that only show when the data is read. */
static void place_error(const glia_recipe *recipe, const char *section, const char *key, glia_error *err) {
    const glia_yaml *node = glia__yaml_get(recipe->root, "data");
    if (section) node = glia__yaml_get(node, section);
    node = glia__yaml_get(node, key);
    if (node) glia_error_at(err, node->origin, node->line, node->column);
}

glia_text_options glia__recipe_text_options(const glia_recipe *recipe) {
    static const char *const kinds[] = {"characters", "words"};
    return (glia_text_options){.tokens = kinds[recipe->data.text.tokens],
                               .column = recipe->data.text.column,
                               .length = recipe->data.text.length,
                               .stride = recipe->data.text.stride,
                               .vocabulary = recipe->data.text.vocabulary,
                               .min_count = recipe->data.text.min_count};
}

glia_series_options glia__recipe_series_options(const glia_recipe *recipe) {
    return (glia_series_options){.features = recipe->data.series.features,
                                 .length = recipe->data.series.length,
                                 .horizon = recipe->data.series.horizon,
                                 .stride = recipe->data.series.stride,
                                 .season = recipe->data.series.season};
}

const char *glia__recipe_missing(const glia_recipe *recipe) {
    static const char *const words[] = {"error", "mean", "previous"};
    return words[recipe->data.missing];
}

static glia_status open_source(const glia_recipe *recipe, const char *source, const char *part,
                               const glia_logger *logger, glia_dataset **out, glia_error *err) {
    static const char *const targets[] = {"class", "values"};
    glia_dataset_options o = {.scale = recipe->n_inputs ? 1 : recipe->data.scale, /* each has its own */
                              .label = recipe->data.label,
                              .weight = recipe->data.weight,
                              .target = targets[recipe->data.target],
                              .missing = glia__recipe_missing(recipe),
                              .text = glia__recipe_text_options(recipe),
                              .series = glia__recipe_series_options(recipe),
                              .inputs = recipe->input_names,
                              .targets = recipe->target_names,
                              .limit = recipe->data.limit,
                              .logger = logger,
                              .allocator = recipe->arena.allocator};
    char full[128];
    if (!strchr(source, ':')) {
        snprintf(full, sizeof full, "%s:%s", source, part);
        source = full;
    }
    GLIA_TRY(glia_dataset_open_with(out, source, o, err));
    return glia__recipe_check_arrays(recipe, glia_dataset_get_info(*out), err);
}

/* A named set without ":part" has parts of its own. */
static bool has_part(const char *source, const char *part) {
    const glia_dataset_named *set = strchr(source, ':') ? NULL : named_set(source);
    return set && strstr(set->parts, part);
}

/* `share` below 1 is one of all `count` examples, also of those that another part has taken. */
static glia_status split_off(const glia_recipe *recipe, glia_dataset **whole, double share, int64_t count,
                             const char *key, uint64_t stream, glia_dataset **part, glia_error *err) {
    glia_dataset *rest = NULL;
    uint64_t seed = glia_random_u64((glia_random){(uint64_t)recipe->train.seed, stream}, 0);
    if (share < 1) share = GLIA_MAX(floor(share * (double)count + 0.5), 1);
    glia_status status =
        glia_dataset_split(&rest, part, *whole, share, recipe->data.split.stratified == GLIA_YES, seed, err);
    if (status != GLIA_OK) {
        place_error(recipe, "split", key, err);
        return status;
    }
    glia_dataset_free(*whole);
    *whole = rest;
    return GLIA_OK;
}

typedef struct parts {
    glia_dataset *train, *validation, *test;
} parts;

static glia_status open_parts(const glia_recipe *recipe, parts *p, bool test_wanted,
                              const glia_logger *logger, glia_error *err) {
    const char *source = recipe->data.source[0] ? recipe->data.source : recipe->data.test;
    if (!source[0])
        return glia_error_set(err, GLIA_NOT_FOUND,
                              "there are no data: the model was imported without; give --data SOURCE");
    double validation = recipe->data.split.validation, test = recipe->data.split.test;
    GLIA_TRY(open_source(recipe, source, "train", logger, &p->train, err));
    int64_t count = glia_dataset_get_info(p->train)->count;
    if (recipe->data.test[0]) {
        if (test_wanted) GLIA_TRY(open_source(recipe, recipe->data.test, "test", logger, &p->test, err));
    } else if (test > 0) {
        GLIA_TRY(split_off(recipe, &p->train, test, count, "test", glia_random_stream("split.test"), &p->test,
                           err));
    } else if (has_part(source, "test") && test_wanted) {
        char name[64]; /* of the set that was really read: perhaps a substitute, said once */
        const char *really = glia_dataset_get_info(p->train)->name;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(really, ":"), really);
        GLIA_TRY(open_source(recipe, name, "test", logger, &p->test, err));
    }
    if (recipe->data.validation[0])
        return open_source(recipe, recipe->data.validation, "train", logger, &p->validation, err);
    if (validation > 0)
        return split_off(recipe, &p->train, validation, count, "validation",
                         glia_random_stream("split.validation"), &p->validation, err);
    return GLIA_OK;
}

/* Gives every part what the run fills in for missing values, or the means of the training part: only of that, since
 * nothing may be learnt from what the model is judged on. */
static glia_status set_fills(const glia_recipe *recipe, parts *p, glia_error *err) {
    const glia_recipe_trained *t = &recipe->trained;
    glia_dataset *others[] = {p->validation, p->test};
    const glia_dataset_info *info = glia_dataset_get_info(p->train);
    bool known = t->n_fill > 0 && t->n_fill == glia_shape_elems(&info->input_shape);
    GLIA_TRY(glia_dataset_set_fill(p->train, known ? t->fill : NULL, err));
    for (size_t i = 0; i < GLIA_COUNT(others); i++)
        if (others[i]) GLIA_TRY(glia_dataset_set_fill(others[i], info->fill, err));
    return GLIA_OK;
}

/* Gives every part the vocabulary of the run, or that of the training part. */
static glia_status set_vocabularies(const glia_recipe *recipe, parts *p, glia_error *err) {
    const glia_recipe_trained *t = &recipe->trained;
    glia_dataset *others[] = {p->validation, p->test};
    const glia_dataset_info *info = glia_dataset_get_info(p->train);
    GLIA_TRY(
        glia_dataset_set_vocabulary(p->train, t->n_vocabulary ? t->vocabulary : NULL, t->n_vocabulary, err));
    for (size_t i = 0; i < GLIA_COUNT(others); i++)
        if (others[i])
            GLIA_TRY(glia_dataset_set_vocabulary(others[i], info->vocabulary, info->n_vocabulary, err));
    return GLIA_OK;
}

/* Gives every part the transform of the run, or that measured on the training part. */
static glia_status set_transforms(const glia_recipe *recipe, parts *p, glia_error *err) {
    glia_dataset *all[] = {p->train, p->validation, p->test};
    const glia_recipe_trained *t = &recipe->trained;
    const glia_dataset_info *info = glia_dataset_get_info(p->train);
    const int64_t channels = glia__channels(&info->input_shape, info->channel_axis).count;
    double scale = info->scale;
    const float *mean = NULL, *std = NULL;
    if (t->input_shape.rank) {
        scale = t->scale;
        mean = t->n_mean == channels ? t->mean : NULL;
        std = t->n_std == channels ? t->std : NULL;
    } else if (recipe->data.normalize == GLIA_YES && !recipe->n_inputs) {
        GLIA_TRY(glia__dataset_normalize(p->train, err));
        mean = info->mean;
        std = info->std;
    }
    for (size_t i = 0; i < GLIA_COUNT(all); i++)
        if (all[i] && (all[i] != p->train || mean != info->mean))
            GLIA_TRY(glia_dataset_set_transform(all[i], scale, mean, std, err));
    return GLIA_OK;
}

/* Parts from different sources must agree in shape and classes. */
static glia_status check_part(const glia_dataset *train, const glia_dataset *part, const char *what,
                              glia_error *err) {
    if (!part) return GLIA_OK;
    const glia_dataset_info *a = glia_dataset_get_info(train), *b = glia_dataset_get_info(part);
    char sa[96], sb[96];
    if (!glia_shape_equal(&a->input_shape, &b->input_shape))
        return glia_error_set(err, GLIA_BAD_SHAPE, "%s data has examples of %s, but training data of %s",
                              what, glia_shape_text(&b->input_shape, sb, sizeof sb),
                              glia_shape_text(&a->input_shape, sa, sizeof sa));
    if (a->target != b->target || b->classes > a->classes)
        return glia_error_set(err, GLIA_BAD_DATA, "%s data has %lld classes, but training data %lld", what,
                              (long long)b->classes, (long long)a->classes);
    return GLIA_OK;
}

/* Class 3 must be the same class in every part: names, where there are any, must agree. */
static glia_status check_names(const glia_dataset *part, const char *const *names, int64_t classes,
                               glia_error *err) {
    const glia_dataset_info *info = part ? glia_dataset_get_info(part) : NULL;
    if (!info || !info->class_names || !names) return GLIA_OK;
    for (int64_t i = 0; i < info->classes; i++)
        if (i >= classes || strcmp(info->class_names[i], names[i]) != 0)
            return glia_error_set(
                err, GLIA_BAD_DATA,
                "%.100s: class %lld is '%.60s', but in the training data '%.60s'; every part needs "
                "the same classes",
                info->name, (long long)i, info->class_names[i], i < classes ? names[i] : "none");
    return GLIA_OK;
}

const char *glia__recipe_substitute(const glia_dataset_info *info, char *out, size_t capacity) {
    out[0] = 0;
    if (info->in_place_of)
        snprintf(out, capacity, "%.*s in place of %s", (int)strcspn(info->name, ":"), info->name,
                 info->in_place_of);
    return out;
}

glia_status glia__recipe_check_substitute(const char *trained_on, const glia_dataset_info *info,
                                          glia_error *err) {
    char now[128];
    if (strcmp(trained_on, glia__recipe_substitute(info, now, sizeof now)) == 0) return GLIA_OK;
    if (!now[0])
        return glia_error_set(err, GLIA_BAD_DATA,
                              "the run was trained on %.80s, which is there now; train anew, or ask for "
                              "data.source=%.*s",
                              trained_on, (int)strcspn(trained_on, " "), trained_on);
    return glia_error_set(err, GLIA_BAD_DATA,
                          "the run was trained on %.60s, but now there is only %.*s, another data set",
                          info->in_place_of, (int)strcspn(now, " "), now);
}

static glia_status check_parts(const glia_recipe *recipe, const parts *p, glia_error *err) {
    const glia_recipe_trained *t = &recipe->trained;
    const glia_dataset_info *info = glia_dataset_get_info(p->train);
    const char *const *names = t->n_class_names ? t->class_names : info->class_names;
    int64_t classes = t->n_class_names ? t->n_class_names : info->classes;
    if (t->input_shape.rank) GLIA_TRY(glia__recipe_check_substitute(t->substitute, info, err));
    GLIA_TRY(check_part(p->train, p->validation, "validation", err));
    GLIA_TRY(check_part(p->train, p->test, "test", err));
    if (t->n_class_names) GLIA_TRY(check_names(p->train, names, classes, err));
    GLIA_TRY(check_names(p->validation, names, classes, err));
    return check_names(p->test, names, classes, err);
}

glia_status glia_recipe_data(const glia_recipe *recipe, glia_dataset **train, glia_dataset **validation,
                             glia_dataset **test, const glia_logger *logger, glia_error *err) {
    parts p = {0};
    if (train) *train = NULL;
    if (validation) *validation = NULL;
    if (test) *test = NULL;
    glia_status status = open_parts(recipe, &p, test != NULL, logger, err);
    if (status != GLIA_OK) place_error(recipe, NULL, "source", err);
    if (status == GLIA_OK) status = set_vocabularies(recipe, &p, err);
    if (status == GLIA_OK) status = check_parts(recipe, &p, err);
    if (status == GLIA_OK) status = set_fills(recipe, &p, err);
    if (status == GLIA_OK) status = set_transforms(recipe, &p, err);
    if (status == GLIA_OK && train) *train = p.train, p.train = NULL;
    if (status == GLIA_OK && validation) *validation = p.validation, p.validation = NULL;
    if (status == GLIA_OK && test) *test = p.test, p.test = NULL;
    glia_dataset_free(p.train);
    glia_dataset_free(p.validation);
    glia_dataset_free(p.test);
    return status;
}

/* *copied less than `count`: out of memory. */
static const char **copy_words(glia_arena *arena, const char *const *words, int64_t count, int64_t *copied) {
    const char **copy = glia__arena_alloc(arena, (size_t)count * sizeof *copy);
    for (*copied = 0; copy && *copied < count; ++*copied)
        if (!(copy[*copied] = glia__arena_strdup(arena, words[*copied]))) break;
    return copy;
}

glia_status glia__recipe_learn(glia_recipe *recipe, const glia_dataset_info *info, glia_error *err) {
    glia_recipe_trained *t = &recipe->trained;
    glia_arena *arena = &recipe->arena;
    const int64_t channels = glia__channels(&info->input_shape, info->channel_axis).count;
    size_t bytes = (size_t)channels * sizeof(float);
    char substitute[128];
    *t = (glia_recipe_trained){
        .version = glia_version(),
        .substitute = glia__arena_strdup(arena, glia__recipe_substitute(info, substitute, sizeof substitute)),
        .input_shape = info->input_shape,
        .classes = info->classes,
        .target = (int)info->target,
        .target_shape = info->target_shape,
        .scale = info->scale,
        .channel_axis = info->channel_axis,
        .origin = t->origin,
        .n_origin = t->n_origin};
    if (info->mean) t->mean = glia__arena_copy(arena, info->mean, bytes), t->n_mean = channels;
    if (info->std) t->std = glia__arena_copy(arena, info->std, bytes), t->n_std = channels;
    if (info->fill) t->fill = glia__arena_copy(arena, info->fill, bytes), t->n_fill = channels;
    if (info->class_names && info->classes)
        t->class_names = copy_words(arena, info->class_names, info->classes, &t->n_class_names);
    if (info->vocabulary)
        t->vocabulary = copy_words(arena, info->vocabulary, info->n_vocabulary, &t->n_vocabulary);
    if (!t->substitute || (info->mean && !t->mean) || (info->std && !t->std) || (info->fill && !t->fill) ||
        (info->class_names && t->n_class_names != info->classes) || t->n_vocabulary != info->n_vocabulary)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    return glia__recipe_resolve(recipe, err);
}
