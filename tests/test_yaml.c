/* test_yaml.c: the YAML tree: places, bounds, refusals, overrides. */
#include "recipe/yaml.h"

#include "test.h"

typedef struct doc {
    glia_arena arena;
    glia_yaml *root;
    glia_error err;
} doc;

static glia_status parse_bytes(doc *d, const char *text, size_t bytes) {
    *d = (doc){0};
    glia__arena_init(&d->arena, NULL);
    return glia__yaml_parse(&d->root, &d->arena, text, bytes, "m.yaml", &d->err);
}

static glia_status parse(doc *d, const char *text) {
    return parse_bytes(d, text, strlen(text));
}

/* The whole error text of a document that must fail. */
static void check_error(const char *text, int line, int column, const char *part) {
    doc d;
    glia_status status = parse(&d, text);
    CHECK_STR(glia_status_name(status), "BAD_FORMAT");
    CHECK_STR(d.err.file, "m.yaml");
    CHECK_INT(d.err.line, line);
    CHECK_INT(d.err.column, column);
    CHECK_HAS(d.err.message, part);
    glia__arena_free(&d.arena);
}

TEST(tree) {
    doc d;
    CHECK_OK(parse(&d, "a: 1\nb:\n  - x\n  - {c: 'two words', d: }\n  - [1, 2]\ne: ~\n"), &d.err);
    CHECK_INT(d.root->kind, GLIA_YAML_MAP);
    CHECK_INT(d.root->count, 3);
    const glia_yaml *a = glia__yaml_get(d.root, "a"), *b = glia__yaml_get(d.root, "b");
    CHECK_STR(a->text, "1");
    CHECK_INT(a->line, 1);
    CHECK_INT(a->column, 4);
    CHECK_INT(a->key_column, 1);
    CHECK_INT(b->kind, GLIA_YAML_LIST);
    CHECK_INT(b->count, 3);
    const glia_yaml *map = b->first->next;
    CHECK_STR(glia__yaml_get(map, "c")->text, "two words");
    CHECK_INT(glia__yaml_get(map, "c")->line, 4);
    CHECK_INT(glia__yaml_get(map, "c")->key_column, 6);
    CHECK_INT(glia__yaml_get(map, "d")->kind, GLIA_YAML_NULL);
    CHECK_INT(b->last->count, 2);
    CHECK_INT(glia__yaml_get(d.root, "e")->kind, GLIA_YAML_NULL);
    CHECK(glia__yaml_get(d.root, "f") == NULL);
    glia__arena_free(&d.arena);
    CHECK_OK(parse(&d, "# nothing\n"), &d.err);
    CHECK_INT(d.root->kind, GLIA_YAML_MAP);
    CHECK_INT(d.root->count, 0);
    glia__arena_free(&d.arena);
}

TEST(syntax_errors) {
    check_error("a: [1, 2\nb: 3\n", 2, 2, "in line 1");
    check_error("a: 1\n\tb: 2\n", 2, 1, "a tab: YAML is indented with spaces only");
    check_error("a: b: c\n", 1, 5, "mapping values are not allowed");
    check_error("a: 1\nb: 2\na: 3\n", 3, 1, "'a' stands here twice (first in line 1)");
    check_error("a: &x 1\nb: *x\n", 2, 4, "aliases (*x) are not used");
    check_error("a: !!int 1\n", 1, 4, "tags");
    check_error("[a]: 1\n", 1, 1, "expected a word as key");
    check_error("a: 1\n---\nb: 2\n", 2, 1, "a second document");
    check_error("a: \"x\\0y\"\n", 1, 4, "zero character");
}

TEST(bounds) {
    doc d;
    char deep[128];
    memset(deep, '[', sizeof deep);
    CHECK_ERR(parse_bytes(&d, deep, sizeof deep), GLIA_BAD_FORMAT, &d.err, "nested more than 24 deep");
    glia__arena_free(&d.arena);
    size_t bytes = GLIA_YAML_BYTES + 1;
    char *large = malloc(bytes);
    memset(large, '\n', bytes);
    CHECK_ERR(parse_bytes(&d, large, bytes), GLIA_BAD_FORMAT, &d.err, "larger than 4194304 bytes");
    glia__arena_free(&d.arena);
    for (size_t i = 0; i < bytes; i++) large[i] = "- a\n"[i % 4];
    CHECK_ERR(parse_bytes(&d, large, bytes - 1), GLIA_BAD_FORMAT, &d.err, "more than 100000 values");
    glia__arena_free(&d.arena);
    free(large);
    CHECK_ERR(parse(&d, "a: \xff\n"), GLIA_BAD_FORMAT, &d.err, "UTF-8");
    glia__arena_free(&d.arena);
    CHECK_ERR(parse_bytes(&d, "a: \0", 4), GLIA_BAD_FORMAT, &d.err, "UTF-8");
    glia__arena_free(&d.arena);
}

static const char *override_error(const char *text, const char *word, char *out, size_t capacity) {
    doc d;
    CHECK_OK(parse(&d, text), &d.err);
    CHECK(glia__yaml_override(d.root, &d.arena, word, &d.err) != GLIA_OK);
    glia_error_text(&d.err, out, capacity);
    glia__arena_free(&d.arena);
    return out;
}

TEST(overrides) {
    doc d;
    const char *text = "train: {epochs: 10}\noptimizer: adam\nmodel:\n  - conv2d: {filters: 8}\n"
                       "  - flatten\n  - dense: {units: 3, name: head}\n  - dense: 10\n";
    CHECK_OK(parse(&d, text), &d.err);
    const char *words[] = {"train.epochs=3",
                           "train.early_stopping.patience=2",
                           "data.source=mnist",
                           "optimizer.adam.learning_rate=0.1",
                           "model.conv2d.filters=16",
                           "model.head.units=[4, 5]",
                           "model.4=7",
                           "loss="};
    for (size_t i = 0; i < GLIA_COUNT(words); i++)
        CHECK_OK(glia__yaml_override(d.root, &d.arena, words[i], &d.err), &d.err);
    const glia_yaml *train = glia__yaml_get(d.root, "train"), *epochs = glia__yaml_get(train, "epochs");
    CHECK_STR(epochs->text, "3");
    CHECK_STR(epochs->origin, "train.epochs=3");
    CHECK_INT(epochs->key_line, 0);
    CHECK_STR(glia__yaml_get(glia__yaml_get(train, "early_stopping"), "patience")->text, "2");
    CHECK_STR(glia__yaml_get(glia__yaml_get(d.root, "data"), "source")->text, "mnist");
    const glia_yaml *adam = glia__yaml_get(glia__yaml_get(d.root, "optimizer"), "adam");
    CHECK_STR(glia__yaml_get(adam, "learning_rate")->text, "0.1");
    const glia_yaml *layer = glia__yaml_get(d.root, "model")->first;
    CHECK_STR(glia__yaml_get(layer->first, "filters")->text, "16");
    CHECK_INT(glia__yaml_get(layer->next->next->first, "units")->count, 2);
    CHECK_STR(glia__yaml_get(d.root, "model")->last->first->text, "7");
    CHECK_STR(glia__yaml_get(d.root, "model")->last->first->key, "dense");
    CHECK_INT(glia__yaml_get(d.root, "loss")->kind, GLIA_YAML_NULL);
    glia__arena_free(&d.arena);

    char out[512];
    CHECK_HAS(override_error(text, "epochs", out, sizeof out), "expected key.sub=value, found 'epochs'");
    CHECK_HAS(override_error(text, "model.conv.filters=1", out, sizeof out), "no item is called 'conv'");
    CHECK_HAS(override_error(text, "model.dense=1", out, sizeof out), "several items are called 'dense'");
    CHECK_HAS(override_error(text, "optimizer.sgd.x=1", out, sizeof out), "is the single value 'adam'");
    CHECK_HAS(override_error(text, "train..x=1", out, sizeof out), "an empty key");
    CHECK_HAS(override_error(text, "train.epochs=[1", out, sizeof out),
              "train.epochs=[1: YAML syntax: did not find");
}

TEST(quotes) {
    static const char *const words[] = {"plain", "a b",  "",          "null",  "yes",   "- x", "a: b", "x #y",
                                        "1,2",   "it's", "tab\there", "\"q\"", "größe", "[x",  "~",    "a:"};
    for (size_t i = 0; i < GLIA_COUNT(words); i++) {
        glia_text text;
        doc d;
        glia__text_init(&text, NULL);
        glia__text_add(&text, "k: [");
        glia__yaml_quote(&text, words[i]);
        glia__text_add(&text, "]\n");
        CHECK_OK(parse(&d, text.data), &d.err);
        const glia_yaml *item = d.root ? glia__yaml_get(d.root, "k")->first : NULL;
        CHECK_STR(item ? item->text : NULL, words[i]);
        CHECK(item && item->kind == GLIA_YAML_TEXT);
        glia__arena_free(&d.arena);
        glia__text_free(&text);
    }
}

#ifdef GLIA_HAVE_YAML
TEST_MAIN(TEST_ENTRY(tree), TEST_ENTRY(syntax_errors), TEST_ENTRY(bounds), TEST_ENTRY(overrides),
          TEST_ENTRY(quotes))
#else
int main(void) {
    printf("skipped: this build has no libyaml\n");
    return 77;
}
#endif
