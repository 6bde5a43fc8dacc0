/* blocks.c: the `blocks` section: lists of layers that the model, and later blocks, use as one layer. */
#include <stdio.h>

#include "recipe/recipe.h"

typedef struct block_options {
    int64_t repeat;
    const glia_recipe_list *list;
} block_options;

/* Each time has weights of its own: "name.0.conv2d", "name.1.conv2d". */
static glia_value *build_block(const glia_layer_build *b, const void *options) {
    const block_options *o = options;
    char number[24];
    glia_value *x = b->inputs[0];
    for (int64_t i = 0; i < o->repeat && x; i++) {
        snprintf(number, sizeof number, "%lld", (long long)i);
        glia_scope_begin(b->model, o->repeat > 1 ? number : NULL);
        x = glia__recipe_build_list(o->list, b->model, &x, 1, NULL);
        glia_scope_end(b->model);
    }
    return x;
}

static const glia_recipe_list *find_block(const glia_recipe *recipe, const char *name) {
    for (int i = 0; i < recipe->n_blocks; i++)
        if (strcmp(recipe->blocks[i].name, name) == 0) return &recipe->blocks[i];
    return NULL;
}

bool glia__recipe_block_def(const glia_recipe *recipe, const char *name, glia_layer_def *out) {
    static const glia_field fields[] = {{.name = "repeat",
                                         .kind = GLIA_FIELD_INT,
                                         .offset = offsetof(block_options, repeat),
                                         .initial = "1",
                                         .doc = "times that it is applied, one after the other",
                                         .min = 1,
                                         .max = 1000},
                                        {.name = NULL}};
    const glia_recipe_list *list = find_block(recipe, name);
    if (!list) return false;
    *out = (glia_layer_def){.name = list->name,
                            .doc = "a block of the file",
                            .min_inputs = 1,
                            .max_inputs = 1,
                            .fields = fields,
                            .options_size = sizeof(block_options),
                            .shorthand = "repeat",
                            .build = build_block};
    return true;
}

void glia__recipe_block_init(const glia_recipe *recipe, const glia_layer_def *def, void *options) {
    ((block_options *)options)->list = find_block(recipe, def->name);
}

/* --- reading --------------------------------------------------------------------------------------------- */

static glia_status check_name(const glia_recipe *recipe, const glia_yaml *node, glia_error *err) {
    const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    glia_layer_def def;
    size_t length = strlen(node->key);
    if (!length || length > 48 || node->key[strspn(node->key, letters)])
        return glia__yaml_key_error(
            node, err, GLIA_INVALID_ARGUMENT,
            "blocks: expected a name of up to 48 letters, digits, _ and -, found '%.60s'", node->key);
    if (glia__layer_def_find(node->key, &def))
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT,
                                    "blocks: '%s' is the name of a layer; choose another", node->key);
    if (find_block(recipe, node->key))
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT, "blocks: '%s' stands here twice",
                                    node->key);
    return GLIA_OK;
}

/* Only blocks that were read before are known while one is read, so that none is made of itself. Says so where the name is
 * that of a block. */
static glia_status check_order(const glia_yaml *block, glia_error *err) {
    for (const glia_yaml *item = block->first; item && block->kind == GLIA_YAML_LIST; item = item->next) {
        const char *kind = item->kind == GLIA_YAML_MAP && item->first ? item->first->key : item->text;
        const glia_yaml *place = item->kind == GLIA_YAML_MAP && item->first ? item->first : item;
        for (const glia_yaml *later = block; later; later = later->next) {
            if (strcmp(later->key, kind) != 0) continue;
            if (later == block)
                return glia__yaml_key_error(place, err, GLIA_INVALID_ARGUMENT, "block '%s' is made of itself",
                                            block->key);
            return glia__yaml_key_error(
                place, err, GLIA_INVALID_ARGUMENT,
                "block '%s' uses block '%s', which stands later; a block may use those before it", block->key,
                kind);
        }
    }
    return GLIA_OK;
}

glia_status glia__recipe_read_blocks(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                     glia_error *err) {
    (void)field;
    if (recipe->n_blocks) return GLIA_OK; /* the model has read them already */
    GLIA_TRY(glia__recipe_expect_map(node, "blocks", err));
    recipe->blocks = glia__arena_alloc(&recipe->arena, (size_t)node->count * sizeof *recipe->blocks + 1);
    if (!recipe->blocks) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (const glia_yaml *n = node->first; n; n = n->next) {
        glia_recipe_list *list = &recipe->blocks[recipe->n_blocks];
        list->name = n->key;
        GLIA_TRY(check_name(recipe, n, err));
        GLIA_TRY(check_order(n, err));
        GLIA_TRY(glia__recipe_read_list(recipe, list, n, err));
        recipe->n_blocks++;
    }
    return GLIA_OK;
}

void glia__recipe_print_blocks(const glia_recipe *recipe, const glia_field *field, int indent,
                               glia_text *out) {
    if (!recipe->n_blocks) return;
    glia__text_printf(out, "%*s%s:\n", indent, "", field->name);
    for (int i = 0; i < recipe->n_blocks; i++) {
        glia__text_printf(out, "%*s%s:\n", indent + 2, "", recipe->blocks[i].name);
        glia__recipe_print_list(&recipe->blocks[i], indent + 4, out);
    }
}
