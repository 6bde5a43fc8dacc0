/* yaml.c: libyaml's events to a tree with places. */
#include "recipe/yaml.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

const glia_yaml *glia__yaml_get(const glia_yaml *map, const char *key) {
    if (!map || map->kind != GLIA_YAML_MAP) return NULL;
    for (const glia_yaml *n = map->first; n; n = n->next)
        if (strcmp(n->key, key) == 0) return n;
    return NULL;
}

const char *glia__yaml_found(const glia_yaml *node, char *out, size_t capacity) {
    switch (node->kind) {
    case GLIA_YAML_NULL:
        snprintf(out, capacity, "nothing");
        break;
    case GLIA_YAML_TEXT:
        snprintf(out, capacity, "'%.80s'", node->text);
        break;
    case GLIA_YAML_LIST:
        snprintf(out, capacity, node->first ? "a list" : "an empty list");
        break;
    case GLIA_YAML_MAP:
        if (node->first)
            snprintf(out, capacity, "a mapping (%.60s: …)", node->first->key);
        else
            snprintf(out, capacity, "an empty mapping");
        break;
    }
    return out;
}

static glia_status error_at(const char *origin, int line, int column, glia_error *err, glia_status status,
                            const char *format, va_list args) {
    char message[sizeof err->message];
    vsnprintf(message, sizeof message, format, args);
    glia_error_set(err, status, "%s", message);
    glia_error_at(err, origin, line, column);
    return status;
}

glia_status glia__yaml_error(const glia_yaml *node, glia_error *err, glia_status status, const char *format,
                             ...) {
    va_list args;
    va_start(args, format);
    error_at(node->origin, node->line, node->column, err, status, format, args);
    va_end(args);
    return status;
}

glia_status glia__yaml_key_error(const glia_yaml *node, glia_error *err, glia_status status,
                                 const char *format, ...) {
    va_list args;
    va_start(args, format);
    bool key = node->key != NULL;
    error_at(node->origin, key ? node->key_line : node->line, key ? node->key_column : node->column, err,
             status, format, args);
    va_end(args);
    return status;
}

/* Would a YAML reader take `text` for something other than this string? */
static bool needs_quotes(const char *text) {
    static const char *const words[] = {"null", "~", "true", "false", "yes", "no", "on", "off"};
    if (!*text || strchr(" -?:,[]{}#&*!|>'\"%@`", text[0])) return true;
    if (text[strlen(text) - 1] == ' ' || text[strlen(text) - 1] == ':') return true;
    if (strstr(text, ": ") || strstr(text, " #")) return true;
    for (const char *c = text; *c; c++)
        if (glia__utf8_special(c) || strchr(",[]{}", *c)) return true;
    for (size_t i = 0; i < GLIA_COUNT(words); i++)
        if (strcmp(text, words[i]) == 0) return true;
    return false;
}

void glia__yaml_quote(glia_text *out, const char *text) {
    if (needs_quotes(text))
        glia__text_add_json(out, text); /* JSON strings are YAML strings */
    else
        glia__text_add(out, text);
}

#ifdef GLIA_HAVE_YAML
#include <yaml.h>

typedef struct parse {
    yaml_parser_t parser;
    glia_arena *arena;
    const char *origin;
    const char *text;
    size_t bytes;
    int nodes;
    glia_error *err;
} parse;

static glia_status place(parse *p, yaml_mark_t mark, glia_status status, const char *format, ...)
    GLIA_PRINTF(4, 5);
static glia_status place(parse *p, yaml_mark_t mark, glia_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    error_at(p->origin, (int)mark.line + 1, (int)mark.column + 1, p->err, status, format, args);
    va_end(args);
    return status;
}

/* What libyaml has to say, with a hint for the commonest slip. */
static glia_status syntax_error(parse *p) {
    const yaml_parser_t *y = &p->parser;
    const char *problem = y->problem ? y->problem : "unknown problem";
    if (y->error == YAML_MEMORY_ERROR) return glia_error_set(p->err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (y->error == YAML_READER_ERROR) {
        glia_error_set(p->err, GLIA_BAD_FORMAT, "not a text file in UTF-8: %s at byte %zu", problem,
                       y->problem_offset);
        glia_error_at(p->err, p->origin, (int)y->mark.line + 1, 0);
        return GLIA_BAD_FORMAT;
    }
    size_t at = y->problem_mark.index;
    bool tab = at < p->bytes && p->text[at] == '\t';
    if (tab) problem = "a tab: YAML is indented with spaces only";
    if (y->context && y->context_mark.line != y->problem_mark.line)
        return place(p, y->problem_mark, GLIA_BAD_FORMAT, "YAML syntax: %s, %s that begins in line %d",
                     problem, y->context, (int)y->context_mark.line + 1);
    return place(p, y->problem_mark, GLIA_BAD_FORMAT, "YAML syntax: %s%s%s", problem, y->context ? ", " : "",
                 y->context ? y->context : "");
}

static glia_yaml *new_node(parse *p, glia_yaml_kind kind, yaml_mark_t mark) {
    glia_yaml *n = glia__arena_alloc(p->arena, sizeof *n);
    if (!n) {
        glia_error_set(p->err, GLIA_OUT_OF_MEMORY, "out of memory");
        return NULL;
    }
    *n = (glia_yaml){.kind = kind,
                     .text = "",
                     .origin = p->origin,
                     .line = (int)mark.line + 1,
                     .column = (int)mark.column + 1};
    return n;
}

static void append(glia_yaml *parent, glia_yaml *child) {
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
}

static glia_status next_event(parse *p, yaml_event_t *event) {
    return yaml_parser_parse(&p->parser, event) ? GLIA_OK : syntax_error(p);
}

static glia_status refuse_tag(parse *p, const yaml_event_t *event, const yaml_char_t *tag) {
    if (!tag) return GLIA_OK;
    return place(p, event->start_mark, GLIA_BAD_FORMAT, "tags (here %.60s) are not used in model files",
                 (const char *)tag);
}

static glia_status read_scalar(parse *p, const yaml_event_t *event, glia_yaml **out) {
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    GLIA_TRY(refuse_tag(p, event, event->data.scalar.tag));
    if (memchr(value, 0, length))
        return place(p, event->start_mark, GLIA_BAD_FORMAT, "text with a zero character");
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool null = plain && (!length || strcmp(value, "~") == 0 || strcmp(value, "null") == 0);
    glia_yaml *n = new_node(p, null ? GLIA_YAML_NULL : GLIA_YAML_TEXT, event->start_mark);
    if (!n) return GLIA_OUT_OF_MEMORY;
    if (!null && !(n->text = glia__arena_strdup(p->arena, value)))
        return glia_error_set(p->err, GLIA_OUT_OF_MEMORY, "out of memory");
    *out = n;
    return GLIA_OK;
}

static glia_status read_node(parse *p, yaml_event_t *event, int depth, glia_yaml **out);

static glia_status read_list(parse *p, glia_yaml *list, int depth) {
    for (;;) {
        yaml_event_t event;
        GLIA_TRY(next_event(p, &event));
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return GLIA_OK;
        }
        glia_yaml *item = NULL;
        GLIA_TRY(read_node(p, &event, depth, &item));
        append(list, item);
    }
}

static glia_status read_map(parse *p, glia_yaml *map, int depth) {
    for (;;) {
        yaml_event_t event;
        GLIA_TRY(next_event(p, &event));
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return GLIA_OK;
        }
        yaml_mark_t mark = event.start_mark;
        glia_yaml *key = NULL, *value = NULL;
        GLIA_TRY(read_node(p, &event, depth, &key));
        if (key->kind != GLIA_YAML_TEXT) return place(p, mark, GLIA_BAD_FORMAT, "expected a word as key");
        const glia_yaml *twice = glia__yaml_get(map, key->text);
        if (twice)
            return place(p, mark, GLIA_BAD_FORMAT, "'%.60s' stands here twice (first in line %d)", key->text,
                         twice->key_line);
        GLIA_TRY(next_event(p, &event));
        GLIA_TRY(read_node(p, &event, depth, &value));
        value->key = key->text;
        value->key_line = key->line;
        value->key_column = key->column;
        append(map, value);
    }
}

/* Consumes the node that begins with `event`, and the event. */
static glia_status read_node(parse *p, yaml_event_t *event, int depth, glia_yaml **out) {
    glia_status status = GLIA_OK;
    yaml_event_type_t type = event->type;
    yaml_mark_t mark = event->start_mark;
    if (++p->nodes > GLIA_YAML_NODES)
        status = place(p, mark, GLIA_BAD_FORMAT, "more than %d values in one file", GLIA_YAML_NODES);
    else if (depth > GLIA_YAML_DEPTH)
        status = place(p, mark, GLIA_BAD_FORMAT, "nested more than %d deep", GLIA_YAML_DEPTH);
    else if (type == YAML_ALIAS_EVENT)
        status = place(p, mark, GLIA_BAD_FORMAT,
                       "aliases (*%.60s) are not used in model files; write the value again",
                       (const char *)event->data.alias.anchor);
    else if (type == YAML_SCALAR_EVENT)
        status = read_scalar(p, event, out);
    else if (type == YAML_SEQUENCE_START_EVENT)
        status = refuse_tag(p, event, event->data.sequence_start.tag);
    else if (type == YAML_MAPPING_START_EVENT)
        status = refuse_tag(p, event, event->data.mapping_start.tag);
    else
        status = place(p, mark, GLIA_BAD_FORMAT, "expected a value");
    yaml_event_delete(event);
    if (status != GLIA_OK || type == YAML_SCALAR_EVENT) return status;

    *out = new_node(p, type == YAML_MAPPING_START_EVENT ? GLIA_YAML_MAP : GLIA_YAML_LIST, mark);
    if (!*out) return GLIA_OUT_OF_MEMORY;
    return type == YAML_MAPPING_START_EVENT ? read_map(p, *out, depth + 1) : read_list(p, *out, depth + 1);
}

static glia_status read_document(parse *p, glia_yaml **root) {
    bool seen = false;
    for (;;) {
        yaml_event_t event;
        GLIA_TRY(next_event(p, &event));
        yaml_event_type_t type = event.type;
        yaml_mark_t mark = event.start_mark;
        if (type == YAML_DOCUMENT_START_EVENT && !seen) {
            yaml_event_delete(&event);
            GLIA_TRY(next_event(p, &event));
            GLIA_TRY(read_node(p, &event, 0, root));
            seen = true;
            continue;
        }
        yaml_event_delete(&event);
        if (type == YAML_DOCUMENT_START_EVENT)
            return place(p, mark, GLIA_BAD_FORMAT, "a second document in one file");
        if (type == YAML_STREAM_END_EVENT) return GLIA_OK;
    }
}

glia_status glia__yaml_parse(glia_yaml **root, glia_arena *arena, const char *text, size_t bytes,
                             const char *file, glia_error *err) {
    parse p = {.arena = arena, .text = text, .bytes = bytes, .err = err};
    *root = NULL;
    p.origin = glia__arena_strdup(arena, file);
    if (!p.origin || !yaml_parser_initialize(&p.parser))
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia_status status = GLIA_OK;
    if (bytes > GLIA_YAML_BYTES) {
        status = glia_error_set(err, GLIA_BAD_FORMAT, "larger than %d bytes", GLIA_YAML_BYTES);
        glia_error_at(err, file, 0, 0);
    } else {
        yaml_parser_set_input_string(&p.parser, (const unsigned char *)text, bytes);
        status = read_document(&p, root);
    }
    yaml_parser_delete(&p.parser);
    if (status == GLIA_OK && (!*root || (*root)->kind == GLIA_YAML_NULL)) {
        *root = new_node(&p, GLIA_YAML_MAP, (yaml_mark_t){0});
        if (!*root) status = GLIA_OUT_OF_MEMORY;
    }
    return status;
}

#else

glia_status glia__yaml_parse(glia_yaml **root, glia_arena *arena, const char *text, size_t bytes,
                             const char *file, glia_error *err) {
    (void)root, (void)arena, (void)text, (void)bytes, (void)file;
    return glia_error_set(err, GLIA_UNSUPPORTED, "this build has no libyaml: model files cannot be read");
}

#endif

/* --- overrides --- */

/* "an item is called `part`": its position from 1, its only key, or its name. */
static bool item_is_called(const glia_yaml *item, int position, const char *part) {
    char *end;
    long number = strtol(part, &end, 10);
    if (isdigit((unsigned char)part[0]) && !*end) return number == position;
    if (item->kind == GLIA_YAML_TEXT) return strcmp(item->text, part) == 0;
    if (item->kind != GLIA_YAML_MAP || item->count != 1) return false;
    const glia_yaml *name = glia__yaml_get(item->first, "name");
    return strcmp(item->first->key, part) == 0 || (name && strcmp(name->text, part) == 0);
}

/* A word alone stands for a mapping with this one key: `adam` for `{adam: {}}`. */
static glia_status word_to_map(glia_yaml *node, glia_arena *arena, glia_error *err) {
    glia_yaml *child = glia__arena_alloc(arena, sizeof *child);
    if (!child) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    *child = (glia_yaml){.kind = GLIA_YAML_NULL,
                         .text = "",
                         .origin = node->origin,
                         .line = node->line,
                         .column = node->column,
                         .key = node->text,
                         .key_line = node->line,
                         .key_column = node->column};
    node->kind = GLIA_YAML_MAP;
    node->text = "";
    node->first = node->last = child;
    node->count = 1;
    return GLIA_OK;
}

/* "1 conv2d, 2 flatten, 3 head": what find_item would have found. */
static void list_items(const glia_yaml *list, char *out, size_t capacity) {
    size_t used = 0;
    int position = 0;
    out[0] = '\0';
    for (const glia_yaml *item = list->first; item && used + 40 < capacity; item = item->next) {
        const glia_yaml *one = item->kind == GLIA_YAML_MAP && item->count == 1 ? item->first : NULL;
        const glia_yaml *name = one ? glia__yaml_get(one, "name") : NULL;
        const char *word = name                           ? name->text
                           : one                          ? one->key
                           : item->kind == GLIA_YAML_TEXT ? item->text
                                                          : "";
        used += (size_t)snprintf(out + used, capacity - used, "%s%d %.24s", position ? ", " : "",
                                 position + 1, word);
        position++;
    }
    if (position < list->count) snprintf(out + used, capacity - used, ", …");
}

static glia_status find_item(glia_yaml *list, const char *part, const char *word, glia_arena *arena,
                             glia_yaml **out, glia_error *err) {
    glia_yaml *found = NULL;
    int position = 0;
    for (glia_yaml *item = list->first; item; item = item->next) {
        if (!item_is_called(item, ++position, part)) continue;
        if (found) {
            glia_error_set(err, GLIA_INVALID_ARGUMENT,
                           "several items are called '%.60s'; give the position instead (1 is the first)",
                           part);
            glia_error_at(err, word, 0, 0);
            return GLIA_INVALID_ARGUMENT;
        }
        found = item;
    }
    if (!found) {
        char items[300];
        list_items(list, items, sizeof items);
        glia_error_set(err, GLIA_INVALID_ARGUMENT, "no item is called '%.60s' in this list of %d: %s", part,
                       list->count, items);
        glia_error_at(err, word, 0, 0);
        return GLIA_INVALID_ARGUMENT;
    }
    if (found->kind == GLIA_YAML_TEXT) GLIA_TRY(word_to_map(found, arena, err));
    *out = found->kind == GLIA_YAML_MAP && found->count == 1 ? found->first : found;
    return GLIA_OK;
}

static glia_status step_into(glia_yaml *at, const char *part, const char *word, glia_arena *arena,
                             glia_yaml **out, glia_error *err) {
    if (at->kind == GLIA_YAML_LIST) return find_item(at, part, word, arena, out, err);
    if (at->kind == GLIA_YAML_TEXT && strcmp(at->text, part) == 0) GLIA_TRY(word_to_map(at, arena, err));
    if (at->kind == GLIA_YAML_TEXT) {
        glia_error_set(err, GLIA_INVALID_ARGUMENT,
                       "'%.60s' is the single value '%.60s'; it has no '%.60s' (leave '.%.60s' away to "
                       "replace the value)",
                       at->key ? at->key : "this item", at->text, part, part);
        glia_error_at(err, word, 0, 0);
        return GLIA_INVALID_ARGUMENT;
    }
    at->kind = GLIA_YAML_MAP;
    *out = (glia_yaml *)glia__yaml_get(at, part);
    if (*out) return GLIA_OK;
    glia_yaml *child = glia__arena_alloc(arena, sizeof *child);
    if (!child || !(child->key = glia__arena_strdup(arena, part)))
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    child->text = "";
    child->origin = word;
    if (at->last)
        at->last->next = child;
    else
        at->first = child;
    at->last = child;
    at->count++;
    *out = child;
    return GLIA_OK;
}

/* Nodes from the command line have no line; their origin is the word itself. */
static void set_origin(glia_yaml *node, const char *word) {
    node->origin = word;
    node->line = node->column = node->key_line = node->key_column = 0;
    for (glia_yaml *child = node->first; child; child = child->next) set_origin(child, word);
}

glia_status glia__yaml_override(glia_yaml *root, glia_arena *arena, const char *word, glia_error *err) {
    const char *equals = strchr(word, '=');
    if (!equals || equals == word) {
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "expected key.sub=value, found '%.100s'", word);
    }
    char *path = glia__arena_strdup(arena, word), *origin = glia__arena_strdup(arena, word);
    if (!path || !origin) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    path[equals - word] = 0;

    glia_yaml *value = NULL, *at = root;
    glia_error inner = {0};
    glia_status status = glia__yaml_parse(&value, arena, equals + 1, strlen(equals + 1), origin, &inner);
    if (status != GLIA_OK) {
        glia_error_set(err, status, "%s", inner.message);
        glia_error_at(err, origin, 0, 0);
        return status;
    }
    if (!equals[1]) value->kind = GLIA_YAML_NULL;
    set_origin(value, origin);
    for (char *part = path, *end; part; part = end) {
        end = strchr(part, '.');
        if (end) *end++ = 0;
        if (!*part) {
            glia_error_set(err, GLIA_INVALID_ARGUMENT, "expected key.sub=value, found an empty key");
            glia_error_at(err, origin, 0, 0);
            return GLIA_INVALID_ARGUMENT;
        }
        GLIA_TRY(step_into(at, part, origin, arena, &at, err));
    }
    at->kind = value->kind;
    at->text = value->text;
    at->first = value->first;
    at->last = value->last;
    at->count = value->count;
    at->origin = origin;
    at->line = at->column = at->key_line = at->key_column = 0;
    return GLIA_OK;
}
