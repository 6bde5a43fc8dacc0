/* layers.c: reads the `model` section: layers from their GLIA_LAYER blocks, and branches by name. */
#include <stdio.h>
#include <stdlib.h>

#include "recipe/recipe.h"

/* Keys that every layer takes besides its own. */
static const char *const common_keys[] = {"name", "inputs", "share", "trainable", "learning_rate_scale",
                                          NULL};

/* --- reading ------------------------------------------------------------------------------------------- */

/* What a layer is read into: its list, and the recipe of that. */
typedef struct reading {
    glia_recipe *recipe;
    glia_recipe_list *list;
    glia_recipe_layer *layer;
} reading;

glia_recipe_layer *glia__recipe_find_layer(const glia_recipe_list *list, const char *name) {
    for (int i = 0; i < list->n_layers; i++)
        if (list->layers[i].name && strcmp(list->layers[i].name, name) == 0) return &list->layers[i];
    return NULL;
}

/* Of the model; a block has one, called "input". */
static bool is_input(const reading *r, const char *name) {
    return r->list == &r->recipe->model && glia__recipe_is_input(r->recipe, name);
}

/* --- names that are not there yet ------------------------------------------------------------------------ */

static const char *kind_of(const glia_yaml *item) {
    return item->kind == GLIA_YAML_MAP && item->first ? item->first->key : item->text;
}

static const glia_yaml *given_name(const glia_yaml *item) {
    return item->first ? glia__yaml_get(item->first, "name") : NULL;
}

/* By a layer that was read, or by a name that some item of the list is given. */
static bool is_taken(const glia_recipe_list *list, const char *name) {
    bool taken = glia__recipe_find_layer(list, name) != NULL;
    for (const glia_yaml *n = list->at->first; n && !taken; n = n->next) {
        const glia_yaml *given = given_name(n);
        taken = given && strcmp(given->text, name) == 0;
    }
    return taken;
}

/* Whether choose_name will call `item` so, which is given no name; `current` is the first that has none yet. */
static bool will_be_called(const glia_recipe_list *list, const glia_yaml *current, const glia_yaml *item,
                           const char *name) {
    const char *kind = kind_of(item);
    char candidate[120];
    int before = 0;
    if (strncmp(name, kind, strlen(kind)) != 0) return false;
    for (const glia_yaml *n = current; n != item; n = n->next)
        before += !given_name(n) && strcmp(kind_of(n), kind) == 0;
    for (int number = 0;; number++) {
        int length = snprintf(candidate, sizeof candidate, "%.80s", kind);
        if (number) snprintf(candidate + length, sizeof candidate - (size_t)length, "_%d", number);
        if (!is_taken(list, candidate) && before-- == 0) return strcmp(candidate, name) == 0;
    }
}

/* The item behind the layer that is being read which is, or will be, called so; NULL: none. */
static const glia_yaml *find_later(const reading *r, const char *name) {
    const glia_yaml *current = r->list->at->first;
    for (const glia_recipe_layer *l = r->list->layers; l < r->layer; l++) current = current->next;
    for (const glia_yaml *item = current->next; item; item = item->next) {
        const glia_yaml *given = given_name(item);
        if (given ? strcmp(given->text, name) == 0 : will_be_called(r->list, current, item, name))
            return item;
    }
    return NULL;
}

/* --- a layer ------------------------------------------------------------------------------------------- */

static glia_status read_name(const reading *r, const glia_yaml *node, glia_error *err) {
    char found[120];
    const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    if (node->kind != GLIA_YAML_TEXT || !node->text[0] || node->text[strspn(node->text, letters)] ||
        strlen(node->text) > 48)
        return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT,
                                "name: expected up to 48 letters, digits, _ and -, found %s",
                                glia__yaml_found(node, found, sizeof found));
    if (strcmp(node->text, "input") == 0)
        return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT,
                                "name: 'input' is the model's input; choose another name");
    if (is_input(r, node->text))
        return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT,
                                "name: '%s' is an input; choose another name", node->text);
    const glia_recipe_layer *twice = glia__recipe_find_layer(r->list, node->text);
    if (twice && twice != r->layer)
        return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT,
                                "name: '%s' is already the name of the %s layer in line %d", node->text,
                                twice->def->name, twice->at->line);
    r->layer->name = node->text;
    return GLIA_OK;
}

/* The earlier layer called so; this one and later ones are none, so that there are no cycles. */
static glia_status find_earlier(const reading *r, const char *what, const glia_yaml *node, bool input,
                                glia_recipe_layer **out, glia_error *err) {
    *out = glia__recipe_find_layer(r->list, node->text);
    const bool several = r->list == &r->recipe->model && r->recipe->n_inputs;
    if (*out && *out < r->layer) return GLIA_OK;
    if (input && (several ? is_input(r, node->text) : strcmp(node->text, "input") == 0)) return GLIA_OK;
    if (*out)
        return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT, "%s: '%s' does not stand before this layer",
                                what, node->text);
    const glia_yaml *later = find_later(r, node->text);
    if (later)
        return glia__yaml_error(
            node, err, GLIA_INVALID_ARGUMENT, "%s: layer '%.60s' stands later, on line %d; %s", what,
            node->text, later->kind == GLIA_YAML_MAP ? later->first->key_line : later->line,
            input ? "a layer's inputs come before it" : "the layer whose weights are shared comes first");
    const char *words[64] = {"input"};
    size_t count = input && !several;
    for (int i = 0; several && input && i < r->recipe->n_inputs; i++)
        words[count++] = r->recipe->inputs[i].name;
    for (int i = 0; &r->list->layers[i] < r->layer && count < GLIA_COUNT(words); i++)
        words[count++] = r->list->layers[i].name;
    glia_yaml at = *node;
    at.key = NULL;
    return glia__recipe_unknown(&at, input ? "input" : "layer", node->text, words, count, err);
}

const char *glia__recipe_split_result(const char *text, char *layer, size_t capacity) {
    const char *dot = strchr(text, '.');
    snprintf(layer, capacity, "%.*s", (int)(dot ? dot - text : (ptrdiff_t)strlen(text)), text);
    return dot ? dot + 1 : NULL;
}

static bool is_number(const char *result) {
    return result[0] >= '0' && result[0] <= '9' && !result[1];
}

/* Whether the layer has that result besides the usual one. */
static glia_status check_result(const glia_yaml *node, const glia_recipe_layer *from, const char *result,
                                glia_error *err) {
    const char *names = from ? from->def->results : NULL;
    const int length = (int)strcspn(node->text, "."),
              count = from && from->def->op && from->def->op->n_outputs ? from->def->op->n_outputs : 1;
    if (is_number(result) && *result - '0' < count) return GLIA_OK;
    if (is_number(result) && !names)
        return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT,
                                "inputs: '%.*s' has %d result%s, numbered from 0; found '%s'", length,
                                node->text, count, count > 1 ? "s" : "", node->text);
    for (const char *n = names; n; n = strchr(n, '|') ? strchr(n, '|') + 1 : NULL)
        if (strcspn(n, "|") == strlen(result) && strncmp(n, result, strlen(result)) == 0) return GLIA_OK;
    return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT, "inputs: '%.*s' has no result '%.40s'%s%s",
                            length, node->text, result, names ? "; besides the usual one it has " : "",
                            names ? names : "");
}

static glia_status read_input(const reading *r, const glia_yaml *node, glia_error *err) {
    char found[120], name[64];
    glia_recipe_layer *layer = r->layer, *from;
    if (node->kind != GLIA_YAML_TEXT)
        return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT,
                                "inputs: expected the names of earlier layers, found %s",
                                glia__yaml_found(node, found, sizeof found));
    if ((size_t)layer->n_inputs == GLIA_COUNT(layer->inputs))
        return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT, "inputs: more than %zu",
                                GLIA_COUNT(layer->inputs));
    const char *result = glia__recipe_split_result(node->text, name, sizeof name);
    glia_yaml of = *node;
    if (result) of.text = name;
    GLIA_TRY(find_earlier(r, "inputs", &of, true, &from, err));
    if (result) GLIA_TRY(check_result(node, from, result, err));
    layer->inputs[layer->n_inputs++] = node->text;
    if (from) from->used = true;
    return GLIA_OK;
}

static glia_status read_inputs(const reading *r, const glia_yaml *node, glia_error *err) {
    if (node->kind != GLIA_YAML_LIST) return read_input(r, node, err);
    for (const glia_yaml *n = node->first; n; n = n->next) GLIA_TRY(read_input(r, n, err));
    return GLIA_OK;
}

/* `share: encoder`: the kind and the settings are those of the earlier layer, and so are the weights. */
static glia_status read_share(const reading *r, const glia_yaml *settings, const glia_yaml *node,
                              glia_error *err) {
    char found[120];
    glia_recipe_layer *of;
    if (node->kind != GLIA_YAML_TEXT)
        return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT,
                                "share: expected the name of an earlier layer, found %s",
                                glia__yaml_found(node, found, sizeof found));
    GLIA_TRY(find_earlier(r, "share", node, false, &of, err));
    if (strcmp(of->def->name, r->layer->def->name) != 0)
        return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT, "share: '%s' is a layer %s, this one is %s",
                                node->text, of->def->name, r->layer->def->name);
    for (const glia_yaml *n = settings->first; n; n = n->next)
        if (glia__field_find(r->layer->def->fields, n->key))
            return glia__yaml_key_error(n, err, GLIA_INVALID_ARGUMENT,
                                        "%s: a layer with `share` has the settings of '%s'; leave it out",
                                        n->key, node->text);
    r->layer->share = of->name;
    r->layer->options = of->options;
    return GLIA_OK;
}

static glia_status check_input_count(const glia_recipe_layer *layer, glia_error *err) {
    const glia_layer_def *def = layer->def;
    int count = layer->n_inputs ? layer->n_inputs : 1;
    if (count < def->min_inputs)
        return glia__yaml_key_error(layer->at, err, GLIA_INVALID_ARGUMENT,
                                    "%s expects at least %d inputs, found %d; write inputs: [a, b] with the "
                                    "names of earlier layers",
                                    def->name, def->min_inputs, count);
    if (count > def->max_inputs)
        return glia__yaml_key_error(layer->at, err, GLIA_INVALID_ARGUMENT,
                                    "%s expects at most %d input%s, found %d", def->name, def->max_inputs,
                                    def->max_inputs == 1 ? "" : "s", count);
    return GLIA_OK;
}

static glia_status check_required(const glia_recipe_layer *layer, const glia_yaml *settings,
                                  glia_error *err) {
    for (const glia_field *f = layer->def->fields; f && f->name; f++) {
        if (f->initial || layer->share || glia__yaml_get(settings, f->name)) continue;
        bool single = settings->kind == GLIA_YAML_TEXT || settings->kind == GLIA_YAML_LIST;
        if (single && layer->def->shorthand && strcmp(f->name, layer->def->shorthand) == 0) continue;
        return glia__yaml_key_error(layer->at, err, GLIA_INVALID_ARGUMENT, "%s needs '%s' (%s)",
                                    layer->def->name, f->name, f->doc);
    }
    return GLIA_OK;
}

/* Of every layer, but one that has a setting of that name: it knows better what it means. */
static const glia_field training_fields[] = {
    {.name = "trainable", .kind = GLIA_FIELD_BOOL, .offset = offsetof(glia_recipe_layer, trainable)},
    {.name = "learning_rate_scale",
     .kind = GLIA_FIELD_FLOAT,
     .offset = offsetof(glia_recipe_layer, learning_rate_scale),
     .min = 1e-6,
     .max = 1e6},
    {.name = NULL}};

static glia_status read_common(const reading *r, const glia_yaml *settings, glia_error *err) {
    const glia_yaml *name = glia__yaml_get(settings, "name"), *inputs = glia__yaml_get(settings, "inputs"),
                    *share = glia__yaml_get(settings, "share");
    if (name) GLIA_TRY(read_name(r, name, err));
    if (inputs) GLIA_TRY(read_inputs(r, inputs, err));
    if (share) GLIA_TRY(read_share(r, settings, share, err));
    for (const glia_field *f = training_fields; f->name; f++) {
        const glia_yaml *node = glia__yaml_get(settings, f->name);
        if (node && !glia__field_find(r->layer->def->fields, f->name))
            GLIA_TRY(glia__recipe_field(node, f, r->layer, &r->recipe->arena, err));
    }
    return GLIA_OK;
}

/* `- flatten`, `- dense: 10` or `- conv2d: {filters: 32, …}`. */
static glia_status read_settings(const reading *r, const glia_yaml *node, glia_error *err) {
    const glia_layer_def *def = r->layer->def;
    glia_arena *arena = &r->recipe->arena;
    char what[80], found[120];
    if (node->kind == GLIA_YAML_MAP) {
        const char *skip[GLIA_COUNT(common_keys)];
        size_t n = 0;
        for (const char *const *key = common_keys; *key; key++)
            if (!glia__field_find(def->fields, *key)) skip[n++] = *key;
        skip[n] = NULL;
        snprintf(what, sizeof what, "setting of %s", def->name);
        GLIA_TRY(glia__recipe_fields(node, def->fields, r->layer->options, what, skip, arena, err));
        GLIA_TRY(read_common(r, node, err));
    } else if (node->kind != GLIA_YAML_NULL) {
        const glia_field *field = def->shorthand ? glia__field_find(def->fields, def->shorthand) : NULL;
        if (!field)
            return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT,
                                    "%s takes no single value; expected settings as {key: value}, found %s",
                                    def->name, glia__yaml_found(node, found, sizeof found));
        GLIA_TRY(glia__recipe_field(node, field, r->layer->options, arena, err));
    }
    return check_required(r->layer, node, err);
}

/* --- files of layers ----------------------------------------------------------------------------------- */

const char **glia__recipe_layer_file(const glia_recipe_layer *layer) {
    const glia_field *field =
        layer->def->file ? glia__field_find(layer->def->fields, layer->def->file) : NULL;
    const char **name = field ? (const char **)(void *)((char *)layer->options + field->offset) : NULL;
    return name && *name && **name ? name : NULL;
}

glia_status glia__recipe_find_file(glia_recipe *recipe, const char *name, const char **out, glia_error *err) {
    const char *data = getenv("GLIA_DATA"), *const folders[] = {recipe->folder, ".", data};
    char path[1200], *whole = *name == '/' ? realpath(name, NULL) : NULL;
    for (size_t i = 0; i < GLIA_COUNT(folders) && *name != '/' && !whole; i++) {
        if (!folders[i] || !*folders[i]) continue;
        snprintf(path, sizeof path, "%s/%s", folders[i], name);
        whole = realpath(path, NULL);
    }
    if (!whole) return glia_error_set(err, GLIA_NOT_FOUND, "there is no file %s", name);
    *out = glia__arena_strdup(&recipe->arena, whole);
    free(whole);
    return *out ? GLIA_OK : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
}

static glia_status find_layer_file(glia_recipe *recipe, const glia_recipe_layer *layer, glia_error *err) {
    const char **name = glia__recipe_layer_file(layer);
    glia_error inner = {0};
    glia_status status = name ? glia__recipe_find_file(recipe, *name, name, &inner) : GLIA_OK;
    return status == GLIA_OK
               ? GLIA_OK
               : glia__yaml_key_error(layer->at, err, status, "%s: %s", layer->def->name, inner.message);
}

glia_status glia__recipe_keep_files(glia_recipe *recipe, const char *dir, glia_error *err) {
    for (int i = 0; i < recipe->model.n_layers; i++) {
        const glia_recipe_layer *layer = &recipe->model.layers[i];
        const char **name = glia__recipe_layer_file(layer);
        if (!name || layer->share) continue;
        const char *slash = strrchr(*name, '/'), *base = slash ? slash + 1 : *name;
        const char *folder =
            glia__arena_printf(&recipe->arena, "%s/" GLIA_RECIPE_LAYER_FILES "/%s", dir, layer->name);
        const char *kept =
            glia__arena_printf(&recipe->arena, GLIA_RECIPE_LAYER_FILES "/%s/%s", layer->name, base);
        if (!folder || !kept) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
        GLIA_TRY(layer->def->copy(*name, folder, err));
        *name = kept;
    }
    return glia__recipe_resolve(recipe, err);
}

/* --- reading ------------------------------------------------------------------------------------------- */

/* The definition of a layer or of a block. */
static glia_status find_def(const reading *r, const glia_yaml *node, glia_error *err) {
    glia_recipe_layer *layer = r->layer;
    glia_arena *arena = &r->recipe->arena;
    glia_layer_def def;
    bool block = glia__recipe_block_def(r->recipe, node->key, &def);
    if (!block && !glia__layer_def_find(node->key, &def)) {
        const char *words[400];
        size_t count = 0;
        for (; count < 320 && glia__layer_def_at(count, &def); count++) words[count] = def.name;
        for (int i = 0; i < r->recipe->n_blocks && count < GLIA_COUNT(words); i++)
            words[count++] = r->recipe->blocks[i].name;
        return glia__recipe_unknown(node, "layer", node->key, words, count, err);
    }
    if (def.file && r->list != &r->recipe->model)
        return glia__yaml_key_error(node, err, GLIA_UNSUPPORTED,
                                    "%s: a layer with a file cannot stand in a block", def.name);
    layer->def = glia__arena_copy(arena, &def, sizeof def);
    layer->options = glia__arena_alloc(arena, def.options_size + 1);
    if (!layer->def || !layer->options) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia__fields_init(layer->def->fields, layer->options);
    if (block) glia__recipe_block_init(r->recipe, layer->def, layer->options);
    return GLIA_OK;
}

static glia_status read_layer(glia_recipe *recipe, glia_recipe_list *list, const glia_yaml *item,
                              glia_error *err) {
    char found[120];
    glia_recipe_layer *layer = &list->layers[list->n_layers];
    const reading r = {recipe, list, layer};
    glia_yaml word = *item; /* `- flatten` is `- flatten:` */
    const glia_yaml *node = item->first;
    if (item->kind == GLIA_YAML_TEXT) {
        word.kind = GLIA_YAML_NULL;
        word.key = item->text;
        word.key_line = item->line;
        word.key_column = item->column;
        node = glia__arena_copy(&recipe->arena, &word, sizeof word);
        if (!node) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    } else if (item->kind != GLIA_YAML_MAP || !node) {
        return glia__yaml_error(item, err, GLIA_INVALID_ARGUMENT,
                                "expected a layer, e.g. 'flatten' or 'dense: 10', found %s",
                                glia__yaml_found(item, found, sizeof found));
    } else if (node->next) {
        return glia__yaml_key_error(node->next, err, GLIA_INVALID_ARGUMENT,
                                    "one layer an item: found '%.60s' after '%.60s'; settings stand inside "
                                    "braces: {%.40s: {key: value}}, and a new layer begins with '- '",
                                    node->next->key, node->key, node->key);
    }
    layer->at = node;
    GLIA_TRY(find_def(&r, node, err));
    list->n_layers++; /* from here on it may be named */
    GLIA_TRY(read_settings(&r, node, err));
    if (list == &recipe->model && list->n_layers == 1 && recipe->n_inputs > 1 && !layer->n_inputs)
        return glia__yaml_key_error(
            node, err, GLIA_INVALID_ARGUMENT,
            "there are several inputs; say which one the first layer takes: inputs: %s",
            recipe->inputs[0].name);
    GLIA_TRY(check_input_count(layer, err));
    GLIA_TRY(find_layer_file(recipe, layer, err));
    if (!layer->n_inputs && list->n_layers > 1) list->layers[list->n_layers - 2].used = true;
    return GLIA_OK;
}

/* Layers without a name are called "dense", "dense_1", …; given names come first. */
static glia_status choose_name(glia_recipe *recipe, const glia_recipe_list *list, glia_recipe_layer *layer,
                               glia_error *err) {
    for (int number = 0;; number++) {
        const char *name =
            number ? glia__arena_printf(&recipe->arena, "%s_%d", layer->def->name, number) : layer->def->name;
        if (!name) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
        if (is_taken(list, name)) continue;
        layer->name = name;
        layer->unnamed = layer->def->network && !layer->share;
        return GLIA_OK;
    }
}

glia_status glia__recipe_read_list(glia_recipe *recipe, glia_recipe_list *list, const glia_yaml *node,
                                   glia_error *err) {
    char found[120];
    if (node->kind != GLIA_YAML_LIST || !node->count)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT,
                                    "%s: expected a list of layers ('- dense: 10'), found %s", list->name,
                                    glia__yaml_found(node, found, sizeof found));
    if (node->count > GLIA_RECIPE_LAYERS)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT, "%s: more than %d layers", list->name,
                                    GLIA_RECIPE_LAYERS);
    list->at = node;
    list->n_layers = 0;
    list->layers = glia__arena_alloc(&recipe->arena, (size_t)node->count * sizeof *list->layers);
    if (!list->layers) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (const glia_yaml *n = node->first; n; n = n->next) {
        GLIA_TRY(read_layer(recipe, list, n, err));
        glia_recipe_layer *layer = &list->layers[list->n_layers - 1];
        if (!layer->name) GLIA_TRY(choose_name(recipe, list, layer, err));
    }
    list->layers[list->n_layers - 1].used = true;
    return GLIA_OK;
}

glia_status glia__recipe_read_layers(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                     glia_error *err) {
    const glia_yaml *blocks = glia__yaml_get(recipe->root, "blocks"); /* wherever they stand */
    const glia_yaml *inputs = glia__yaml_get(recipe->root, "inputs");
    if (inputs && !recipe->n_inputs) GLIA_TRY(glia__recipe_read_inputs(recipe, inputs, field, err));
    if (blocks && !recipe->n_blocks) GLIA_TRY(glia__recipe_read_blocks(recipe, blocks, field, err));
    if (node->kind == GLIA_YAML_MAP && node->count == 1) { /* `model: {onnx: file}`: a layer alone */
        glia_yaml *list = glia__arena_copy(&recipe->arena, node, sizeof *node);
        glia_yaml *item = glia__arena_copy(&recipe->arena, node, sizeof *node);
        if (!list || !item) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
        list->kind = GLIA_YAML_LIST;
        list->first = item;
        item->next = NULL;
        node = list;
    }
    recipe->model.name = field->name;
    return glia__recipe_read_list(recipe, &recipe->model, node, err);
}

/* --- printing ------------------------------------------------------------------------------------------ */

void glia__recipe_print_list(const glia_recipe_list *list, int indent, glia_text *out) {
    for (int i = 0; i < list->n_layers; i++) {
        const glia_recipe_layer *layer = &list->layers[i];
        glia__text_printf(out, "%*s- %s: {", indent, "", layer->def->name);
        for (const glia_field *f = layer->def->fields; f && f->name && !layer->share; f++)
            if (glia__recipe_print_field(f, layer->options, out)) glia__text_add(out, ", ");
        if (layer->share) glia__text_printf(out, "share: %s, ", layer->share);
        if (layer->trainable == GLIA_NO) glia__text_add(out, "trainable: no, ");
        if (layer->learning_rate_scale != 0)
            glia__text_printf(out, "learning_rate_scale: %.9g, ", layer->learning_rate_scale);
        for (int k = 0; k < layer->n_inputs; k++)
            glia__text_printf(out, "%s%s%s", k ? ", " : "inputs: [", layer->inputs[k],
                              k + 1 == layer->n_inputs ? "], " : "");
        if (layer->unnamed) /* the file never gave one, and weights are called accordingly */
            out->length -= out->length && out->data[out->length - 1] == ' ' ? 2 : 0;
        else
            glia__text_printf(out, "name: %s", layer->name);
        glia__text_add(out, "}\n");
    }
}

void glia__recipe_print_layers(const glia_recipe *recipe, const glia_field *field, int indent,
                               glia_text *out) {
    glia__text_printf(out, "%*s%s:\n", indent, "", field->name);
    glia__recipe_print_list(&recipe->model, indent + 2, out);
}
