/* yaml.h: a YAML document as a tree in which every node knows where it was written.
 *
 * A safe part of YAML: one document, plain keys, no aliases, no tags, no duplicate keys, bounded size and
 * depth. Values stay text; who reads a key decides its type. Nodes and text live in the caller's arena. */
#ifndef GLIA_RECIPE_YAML_H
#define GLIA_RECIPE_YAML_H

#include "core/mem.h"

enum {
    GLIA_YAML_BYTES = 4 << 20, /* largest document: a run's config.yaml has its vocabulary */
    GLIA_YAML_DEPTH = 24,
    GLIA_YAML_NODES = 100000,
};

typedef enum glia_yaml_kind {
    GLIA_YAML_NULL, /* nothing after the key, "~" or "null" */
    GLIA_YAML_TEXT,
    GLIA_YAML_LIST,
    GLIA_YAML_MAP
} glia_yaml_kind;

typedef struct glia_yaml {
    glia_yaml_kind kind;
    const char *text;   /* TEXT; "" otherwise */
    const char *origin; /* file name, or the command-line word "a.b=c" that made the node */
    int line, column;   /* 1-based; 0 for nodes from the command line */
    const char *key;    /* in a map: the key, and where it stands */
    int key_line, key_column;
    struct glia_yaml *first, *last, *next; /* children in order of writing */
    int count;
} glia_yaml;

/* Parses `bytes` bytes. `file` is copied for messages. An empty document gives an empty map. */
GLIA_MUST_CHECK glia_status glia__yaml_parse(glia_yaml **root, glia_arena *arena, const char *text,
                                             size_t bytes, const char *file, glia_error *err);
/* Applies "key.sub=value" (the value is YAML too) to the tree, making maps that are missing. A part that
 * meets a list names an item: by position from 1, by its only key, or by its `name`. */
GLIA_MUST_CHECK glia_status glia__yaml_override(glia_yaml *root, glia_arena *arena, const char *word,
                                                glia_error *err);
/* The child called `key` of a map, or NULL. */
const glia_yaml *glia__yaml_get(const glia_yaml *map, const char *key);
/* "a list", "'red'", … for messages, to `out`; returns `out`. */
const char *glia__yaml_found(const glia_yaml *node, char *out, size_t capacity);
/* Sets an error at the node, or at its key. Returns the status. */
glia_status glia__yaml_error(const glia_yaml *node, glia_error *err, glia_status status, const char *format,
                             ...) GLIA_PRINTF(4, 5);
glia_status glia__yaml_key_error(const glia_yaml *node, glia_error *err, glia_status status,
                                 const char *format, ...) GLIA_PRINTF(4, 5);
/* Appends `text` as a scalar, quoted when YAML would read it as something else. */
void glia__yaml_quote(glia_text *out, const char *text);

#endif
