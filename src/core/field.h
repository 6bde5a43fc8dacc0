/* field.h: one description of a struct's fields drives everything done to them by name: parsing (model files,
 * command line, test cases), defaults, printing, comparing, hashing, saving, and the tables in the docs.
 *
 * Used by op attributes, layer options, optimisers, initialisers, data sources and training settings. */
#ifndef GLIA_CORE_FIELD_H
#define GLIA_CORE_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mem.h"
#include "glia/status.h"
#include "glia/tensor.h"

typedef enum glia_field_kind {
    GLIA_FIELD_INT,    /* int64_t */
    GLIA_FIELD_FLOAT,  /* double; text may be a fraction: "1/255" */
    GLIA_FIELD_BOOL,   /* glia_bool: zero means default */
    GLIA_FIELD_STRING, /* const char *, in the arena of the caller */
    GLIA_FIELD_CHOICE, /* int: index in `choices` */
    GLIA_FIELD_INTS,   /* int64_t[count]: "3,3"; a single number fills all */
    GLIA_FIELD_DIMS,   /* glia_shape: any number of integers up to GLIA_MAX_RANK */
    GLIA_FIELD_BYTES,  /* int64_t; text may have a unit: "80MB", "1.5GiB" */
} glia_field_kind;

/* `initial` is the default as text (NULL: the field is required). `min`/`max` bound numbers when min < max.
 */
typedef struct glia_field {
    const char *name;
    glia_field_kind kind;
    size_t offset;
    const char *initial;
    const char *doc;     /* one line: meaning and unit */
    const char *choices; /* CHOICE: "valid|same|explicit" */
    int count;           /* INTS: how many */
    bool list;           /* STRING: numbers with commas between them, which a model file gives as a list */
    double min, max;
    const char *onnx; /* attribute's ONNX name when it differs; op attributes only */
} glia_field;

/* A list of fields ends with one whose name is NULL. */
#define GLIA_FIELDS(...)   \
    (const glia_field[]) { \
        __VA_ARGS__, {     \
            .name = NULL   \
        }                  \
    }

/* Writes every field's default to `object`. Strings point to static text. Required fields become zero. */
void glia__fields_init(const glia_field *fields, void *object);
/* Replaces fields that are zero (all bytes; strings: NULL) with their default: "zero means default". */
void glia__fields_fill(const glia_field *fields, void *object);
/* The same, but only where zero is no legal value (bounds exclude it; bools; strings): for op attributes,
 * where axis 0 is an axis. */
void glia__fields_fill_illegal(const glia_field *fields, void *object);
/* Parses `text` into the field. Errors say what was expected: "expected an integer from 1 to 4096, found
 * 'x'". */
glia_status glia__field_parse(const glia_field *field, void *object, const char *text, glia_arena *arena,
                              glia_error *err);
/* Parses "kernel=3,3 padding=same" over the defaults. NULL or "" = defaults. */
glia_status glia__fields_parse(const glia_field *fields, void *object, const char *text, glia_arena *arena,
                               glia_error *err);
/* Checks bounds of all fields, as glia__field_parse does. */
glia_status glia__fields_check(const glia_field *fields, const void *object, glia_error *err);
/* The field called `name`, or NULL. */
const glia_field *glia__field_find(const glia_field *fields, const char *name);
/* "(did you mean 'kernel'?)" or the list of all names, for an unknown one. */
void glia__field_hint(const glia_field *fields, const char *name, char *out, size_t capacity);
/* Appends the value as text that glia__field_parse reads back. */
void glia__field_print(const glia_field *field, const void *object, glia_text *out);
/* Appends "kernel=3,3 padding=same": only those that differ from their default unless `all`. */
void glia__fields_print(const glia_field *fields, const void *object, bool all, glia_text *out);
bool glia__fields_equal(const glia_field *fields, const void *a, const void *b);

#endif
