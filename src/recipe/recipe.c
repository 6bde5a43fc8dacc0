/* recipe.c: reads a model file by its tables. */
#include "recipe/recipe.h"

#include <stdio.h>

#include "core/file.h"
#include "train/loss.h"

/* --- reading values ------------------------------------------------------------------------------------ */

glia_status glia__recipe_unknown(const glia_yaml *node, const char *what, const char *word,
                                 const char *const *words, size_t count, glia_error *err) {
    const char *nearest = glia__nearest_word(word, words, count);
    if (nearest)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT, "unknown %s '%.60s' (did you mean %s?)",
                                    what, word, nearest);
    char list[384] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", words[i]);
    if (!count)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT, "unknown %s '%.60s' (there are none)",
                                    what, word);
    return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT, "unknown %s '%.60s'; known: %s", what, word,
                                list);
}

/* A list of words as "1,2,3", as integer fields are written. NULL with an error. */
static const char *join(const glia_yaml *list, glia_arena *arena, glia_error *err) {
    glia_text text;
    glia__text_init(&text, arena->allocator);
    for (const glia_yaml *n = list->first; n; n = n->next)
        glia__text_printf(&text, "%s%s", n == list->first ? "" : ",",
                          n->kind == GLIA_YAML_TEXT ? n->text : "?");
    const char *copy = text.failed ? NULL : glia__arena_strdup(arena, text.data);
    glia__text_free(&text);
    if (!copy) glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    return copy;
}

glia_status glia__recipe_field(const glia_yaml *node, const glia_field *field, void *object,
                               glia_arena *arena, glia_error *err) {
    char found[120];
    const char *text = node->text;
    bool takes_list = field->kind == GLIA_FIELD_INTS || field->kind == GLIA_FIELD_DIMS || field->list;
    if (node->kind == GLIA_YAML_LIST && takes_list) {
        text = join(node, arena, err);
        if (!text) return GLIA_OUT_OF_MEMORY;
    } else if (node->kind != GLIA_YAML_TEXT) {
        static const char *const expected[] = {
            [GLIA_FIELD_INT] = "an integer",          [GLIA_FIELD_FLOAT] = "a number",
            [GLIA_FIELD_BOOL] = "yes or no",          [GLIA_FIELD_STRING] = "text",
            [GLIA_FIELD_CHOICE] = "one word",         [GLIA_FIELD_INTS] = "integers",
            [GLIA_FIELD_DIMS] = "a list of integers", [GLIA_FIELD_BYTES] = "bytes such as 80MB"};
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT, "%s: expected %s, found %s",
                                    field->name, expected[field->kind],
                                    glia__yaml_found(node, found, sizeof found));
    }
    glia_error inner = {0};
    glia_status status = glia__field_parse(field, object, text, arena, &inner);
    if (status != GLIA_OK) return glia__yaml_error(node, err, status, "%s", inner.message);
    return GLIA_OK;
}

static bool listed(const char *const *words, const char *word) {
    for (; words && *words; words++)
        if (strcmp(*words, word) == 0) return true;
    return false;
}

glia_status glia__recipe_fields(const glia_yaml *map, const glia_field *fields, void *object,
                                const char *what, const char *const *skip, glia_arena *arena,
                                glia_error *err) {
    for (const glia_yaml *n = map->first; n; n = n->next) {
        if (listed(skip, n->key)) continue;
        const glia_field *field = glia__field_find(fields, n->key);
        if (field) {
            GLIA_TRY(glia__recipe_field(n, field, object, arena, err));
            continue;
        }
        const char *words[64];
        size_t count = 0;
        for (const glia_field *f = fields; f && f->name && count < 48; f++) words[count++] = f->name;
        for (const char *const *s = skip; s && *s; s++) words[count++] = *s;
        return glia__recipe_unknown(n, what, n->key, words, count, err);
    }
    return GLIA_OK;
}

glia_status glia__recipe_expect_map(const glia_yaml *node, const char *name, glia_error *err) {
    char found[120];
    if (node->kind == GLIA_YAML_MAP || node->kind == GLIA_YAML_NULL) return GLIA_OK;
    return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT,
                                "%s: expected settings as a mapping (key: value), found %s", name,
                                glia__yaml_found(node, found, sizeof found));
}

static glia_status read_section(glia_recipe *recipe, const glia_yaml *map, const char *name,
                                const glia_recipe_key *keys, glia_error *err) {
    GLIA_TRY(glia__recipe_expect_map(map, name, err));
    for (const glia_yaml *n = map->first; n; n = n->next) {
        const char *words[32];
        size_t count = 0;
        const glia_recipe_key *key = NULL;
        for (const glia_recipe_key *k = keys; k->field.name; k++) {
            words[count++] = k->field.name;
            if (strcmp(k->field.name, n->key) == 0) key = k;
        }
        if (!key) return glia__recipe_unknown(n, "key", n->key, words, count, err);
        if (key->section)
            GLIA_TRY(read_section(recipe, n, key->field.name, key->section, err));
        else if (key->read)
            GLIA_TRY(key->read(recipe, n, &key->field, err));
        else
            GLIA_TRY(glia__recipe_field(n, &key->field, recipe, &recipe->arena, err));
    }
    return GLIA_OK;
}

static void set_defaults(glia_recipe *recipe, const glia_recipe_key *keys) {
    for (const glia_recipe_key *k = keys; k->field.name; k++) {
        if (k->section)
            set_defaults(recipe, k->section);
        else if (!k->read)
            glia__fields_init((const glia_field[]){k->field, {.name = NULL}}, recipe);
    }
}

/* --- the public face ----------------------------------------------------------------------------------- */

/* "dir/mnist_cnn.yaml" gives "mnist_cnn" and "dir". */
static glia_status name_parts(glia_recipe *recipe, const char *path) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    int length = dot && dot != base ? (int)(dot - base) : (int)strlen(base);
    recipe->path = glia__arena_strdup(&recipe->arena, path);
    recipe->folder = !slash          ? "."
                     : slash == path ? "/"
                                     : glia__arena_printf(&recipe->arena, "%.*s", (int)(slash - path), path);
    if (!recipe->name[0]) recipe->name = glia__arena_printf(&recipe->arena, "%.*s", length, base);
    return recipe->path && recipe->folder && recipe->name ? GLIA_OK : GLIA_OUT_OF_MEMORY;
}

static glia_status check_required(glia_recipe *recipe, glia_error *err) {
    if (!recipe->model.n_layers) {
        glia_error_set(err, GLIA_INVALID_ARGUMENT, "no model; expected 'model:' with a list of layers");
        glia_error_at(err, recipe->path, 0, 0);
        return GLIA_INVALID_ARGUMENT;
    }
    if (!recipe->data.source[0] && !recipe->trained.input_shape.rank) { /* imported models do without */
        glia_error_set(err, GLIA_INVALID_ARGUMENT, "no data; expected 'data:' with a 'source:', e.g. mnist");
        glia_error_at(err, recipe->path, 0, 0);
        return GLIA_INVALID_ARGUMENT;
    }
    GLIA_TRY(glia__recipe_check_several(recipe, err));
    GLIA_TRY(glia__recipe_check_monitor(recipe, err));
    for (const char *c = recipe->name; *c; c++)
        if (*c == '/' || (unsigned char)*c < ' ')
            return glia__yaml_key_error(glia__yaml_get(recipe->root, "name"), err, GLIA_INVALID_ARGUMENT,
                                        "name: expected a word for a folder, found '%.60s'", recipe->name);
    return GLIA_OK;
}

static glia_status read_all(glia_recipe *recipe, const char *path, const char *text, size_t bytes,
                            const char *const *overrides, size_t count, glia_error *err) {
    GLIA_TRY(glia__yaml_parse(&recipe->root, &recipe->arena, text, bytes, path, err));
    for (size_t i = 0; i < count; i++)
        GLIA_TRY(glia__yaml_override(recipe->root, &recipe->arena, overrides[i], err));
    set_defaults(recipe, glia__recipe_root);
    recipe->data.source = recipe->data.validation = recipe->data.test = "";
    if (name_parts(recipe, path) != GLIA_OK) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    GLIA_TRY(glia__recipe_settings_init(recipe, err));
    GLIA_TRY(read_section(recipe, recipe->root, "the file", glia__recipe_root, err));
    if (!recipe->name[0] && name_parts(recipe, path) != GLIA_OK)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    GLIA_TRY(check_required(recipe, err));
    return glia__recipe_resolve(recipe, err);
}

glia_status glia__recipe_parse(glia_recipe **out, const char *path, const char *text, size_t bytes,
                               const char *const *overrides, size_t count, const glia_allocator *allocator,
                               glia_error *err) {
    *out = NULL;
    glia_recipe *recipe = glia__calloc(allocator, 1, sizeof *recipe);
    if (!recipe) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia__arena_init(&recipe->arena, allocator);
    glia_status status = read_all(recipe, path, text, bytes, overrides, count, err);
    if (status == GLIA_OK)
        *out = recipe;
    else
        glia_recipe_free(recipe);
    return status;
}

glia_status glia_recipe_load(glia_recipe **out, const char *path, const char *const *overrides, size_t count,
                             const glia_allocator *allocator, glia_error *err) {
    char *text = NULL;
    size_t bytes = 0;
    *out = NULL;
    GLIA_TRY(glia__file_read(path, GLIA_YAML_BYTES, allocator, &text, &bytes, err));
    glia_status status = glia__recipe_parse(out, path, text, bytes, overrides, count, allocator, err);
    glia__free(allocator, text, bytes + 1);
    return status;
}

void glia_recipe_free(glia_recipe *recipe) {
    if (!recipe) return;
    glia_arena arena = recipe->arena;
    glia__arena_free(&arena);
    glia__free(arena.allocator, recipe, sizeof *recipe);
}

const char *glia_recipe_name(const glia_recipe *recipe) {
    return recipe->name;
}

const char *glia_recipe_resolved(const glia_recipe *recipe) {
    return recipe->resolved;
}

glia_fit_options glia_recipe_fit_options(const glia_recipe *recipe) {
    static const char *const schedules[] = {"constant", "step", "linear", "cosine"};
    glia_fit_options o = {.loss = strcmp(recipe->loss, "auto") == 0 ? NULL : recipe->loss,
                          .optimizer = recipe->optimizer_options,
                          .epochs = recipe->train.epochs,
                          .batch_size = recipe->train.batch_size,
                          .steps_per_epoch = recipe->train.steps_per_epoch,
                          .shuffle = recipe->train.shuffle,
                          .seed = (uint64_t)recipe->train.seed,
                          .threads = (int)recipe->train.threads,
                          .precision = (glia_precision)recipe->train.precision,
                          .memory_limit = recipe->train.memory_limit,
                          .validate_every = recipe->train.validate_every};
    o.augment.flip = recipe->data.augment.flip ? "horizontal" : "none";
    o.augment.crop = recipe->data.augment.crop;
    o.augment.cutout = recipe->data.augment.cutout;
    o.schedule = recipe->train.schedule;
    o.schedule.kind = schedules[recipe->train.schedule_kind];
    o.early_stopping.patience = recipe->train.early_stopping.patience;
    o.early_stopping.min_delta = recipe->train.early_stopping.min_delta;
    o.early_stopping.monitor = recipe->train.early_stopping.monitor;
    return o;
}

glia_target_kind glia__recipe_target(const glia_recipe *recipe) {
    const char *name = glia_recipe_fit_options(recipe).loss;
    const glia_loss *loss = glia__loss_find(name && *name ? name : "softmax_cross_entropy");
    return loss && (loss->classes || strstr(loss->name, "cross_entropy")) ? GLIA_TARGET_CLASS
                                                                          : GLIA_TARGET_VALUES;
}
