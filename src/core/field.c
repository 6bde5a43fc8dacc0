/* field.c: reading, writing and comparing struct fields by their description. */
#include "core/field.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "glia/types.h"

static size_t field_bytes(const glia_field *field) {
    switch (field->kind) {
    case GLIA_FIELD_INT:
    case GLIA_FIELD_BYTES:
        return sizeof(int64_t);
    case GLIA_FIELD_FLOAT:
        return sizeof(double);
    case GLIA_FIELD_BOOL:
        return sizeof(glia_bool);
    case GLIA_FIELD_STRING:
        return sizeof(const char *);
    case GLIA_FIELD_CHOICE:
        return sizeof(int);
    case GLIA_FIELD_INTS:
        return sizeof(int64_t) * (size_t)field->count;
    case GLIA_FIELD_DIMS:
        return sizeof(glia_shape);
    }
    return 0;
}

static void *place(const glia_field *field, void *object) {
    return (char *)object + field->offset;
}

static const void *value_of(const glia_field *field, const void *object) {
    return (const char *)object + field->offset;
}

static bool is_zero(const glia_field *field, const void *object) {
    const unsigned char *bytes = value_of(field, object);
    for (size_t i = 0; i < field_bytes(field); i++)
        if (bytes[i]) return false;
    return true;
}

/* --- bounds and what is expected --------------------------------------------------------------------------
 */

/* Bounds beyond this are there to leave one side open. */
static const double OPEN = 1e18;

static bool within(const glia_field *field, double value) {
    return !(field->min < field->max) || (value >= field->min && value <= field->max);
}

/* " from 1 to 8", " of at least 1" or "". */
static void describe_bounds(const glia_field *field, char *out, size_t capacity) {
    bool low = field->min > -OPEN, high = field->max < OPEN;
    out[0] = '\0';
    if (!(field->min < field->max)) return;
    if (low && high)
        snprintf(out, capacity, " from %.10g to %.10g", field->min, field->max);
    else if (low)
        snprintf(out, capacity, " of at least %.10g", field->min);
    else if (high)
        snprintf(out, capacity, " of at most %.10g", field->max);
}

/* "valid, same or explicit" */
static void describe_choices(const char *choices, char *out, size_t capacity) {
    size_t used = 0;
    out[0] = '\0';
    for (const char *c = choices; *c && used + 8 < capacity; c++) {
        const char *separator = strchr(c + 1, '|') ? ", " : " or ";
        if (*c == '|')
            used += (size_t)snprintf(out + used, capacity - used, "%s", separator);
        else
            used += (size_t)snprintf(out + used, capacity - used, "%c", *c);
    }
}

static glia_status expected(const glia_field *field, const char *found, glia_error *err) {
    char bounds[96], what[256];
    describe_bounds(field, bounds, sizeof bounds);
    switch (field->kind) {
    case GLIA_FIELD_INT:
        snprintf(what, sizeof what, "an integer%s", bounds);
        break;
    case GLIA_FIELD_FLOAT:
        snprintf(what, sizeof what, "a number%s", bounds);
        break;
    case GLIA_FIELD_BYTES:
        snprintf(what, sizeof what, "a number of bytes such as 80MB or 1.5GB");
        break;
    case GLIA_FIELD_BOOL:
        snprintf(what, sizeof what, "yes or no");
        break;
    case GLIA_FIELD_STRING:
        snprintf(what, sizeof what, "text");
        break;
    case GLIA_FIELD_CHOICE:
        describe_choices(field->choices, what, sizeof what);
        break;
    case GLIA_FIELD_INTS:
        snprintf(what, sizeof what, "%d integers%s, or one for all", field->count, bounds);
        break;
    case GLIA_FIELD_DIMS:
        snprintf(what, sizeof what, "up to %d integers%s with commas between them", (int)GLIA_MAX_RANK,
                 bounds);
        break;
    }
    return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s: expected %s, found '%.100s'", field->name, what,
                          found);
}

/* --- parsing ----------------------------------------------------------------------------------------------
 */

/* "0.5", "1/255", "inf"; never NaN. */
static bool parse_float(const char *text, double *out) {
    char above[64];
    double numerator, denominator;
    if (strcmp(text, "inf") == 0 || strcmp(text, "-inf") == 0) {
        *out = text[0] == '-' ? -INFINITY : INFINITY;
        return true;
    }
    const char *slash = strchr(text, '/');
    if (!slash) return glia__parse_double(text, out);
    if ((size_t)(slash - text) >= sizeof above) return false;
    snprintf(above, sizeof above, "%.*s", (int)(slash - text), text);
    if (!glia__parse_double(above, &numerator) || !glia__parse_double(slash + 1, &denominator)) return false;
    if (denominator == 0 || !isfinite(numerator / denominator)) return false;
    *out = numerator / denominator;
    return true;
}

/* Units of bytes, the largest of each kind last. */
static const struct {
    const char *name;
    double bytes;
} units[] = {{"B", 1},      {"KB", 1e3},      {"MB", 1e6},         {"GB", 1e9},           {"TB", 1e12},
             {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {"TiB", 1099511627776}};

/* "80MB", "1.5 GiB", "4096". */
static bool parse_bytes(const char *text, int64_t *out) {
    char digits[40];
    const size_t length = strspn(text, "0123456789.");
    const char *unit = text + length + (text[length] == ' ');
    double number, scale = *unit ? 0 : 1;
    if (!length || length >= sizeof digits) return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    for (size_t i = 0; i < GLIA_COUNT(units); i++)
        if (strcmp(unit, units[i].name) == 0) scale = units[i].bytes;
    if (!scale || !glia__parse_double(digits, &number) || number * scale > OPEN) return false;
    *out = llrint(number * scale);
    return true;
}

static bool parse_bool(const char *text, glia_bool *out) {
    static const struct {
        const char *word;
        glia_bool value;
    } words[] = {{"yes", GLIA_YES}, {"no", GLIA_NO}, {"true", GLIA_YES}, {"false", GLIA_NO}};
    for (size_t i = 0; i < GLIA_COUNT(words); i++) {
        if (strcmp(text, words[i].word) != 0) continue;
        *out = words[i].value;
        return true;
    }
    return false;
}

/* Integers with commas between them; at most `most`, each within the bounds. */
static bool parse_list(const glia_field *field, const char *text, int64_t *out, int most, int *count) {
    char number[32];
    *count = 0;
    if (!*text) return true;
    for (;;) {
        size_t length = strcspn(text, ",");
        if (*count == most || length >= sizeof number) return false;
        memcpy(number, text, length);
        number[length] = '\0';
        if (!glia__parse_int(number, &out[*count]) || !within(field, (double)out[*count])) return false;
        (*count)++;
        if (!text[length]) return true;
        text += length + 1;
    }
}

static bool parse_ints(const glia_field *field, const char *text, int64_t *out) {
    int64_t list[GLIA_MAX_RANK];
    int count, wanted = GLIA_MIN(field->count, (int)GLIA_MAX_RANK);
    if (!parse_list(field, text, list, wanted, &count)) return false;
    if (count != wanted && count != 1) return false;
    for (int i = 0; i < wanted; i++) out[i] = list[count == 1 ? 0 : i];
    return true;
}

static bool parse_dims(const glia_field *field, const char *text, glia_shape *out) {
    glia_shape shape = {0};
    int count;
    if (!parse_list(field, text, shape.dim, GLIA_MAX_RANK, &count)) return false;
    shape.rank = count;
    *out = shape;
    return true;
}

/* The index of `text` among "a|b|c", or -1. */
static int find_choice(const char *choices, const char *text) {
    size_t length = strlen(text);
    int index = 0;
    for (const char *c = choices;; index++) {
        size_t word = strcspn(c, "|");
        if (length == word && memcmp(c, text, word) == 0) return index;
        if (!c[word]) return -1;
        c += word + 1;
    }
}

static glia_status unknown_choice(const glia_field *field, const char *text, glia_error *err) {
    enum { MOST = 32 };
    char buffer[512], list[256];
    const char *words[MOST];
    size_t count = 0;
    snprintf(buffer, sizeof buffer, "%s", field->choices);
    for (char *c = buffer; c && count < MOST;) {
        words[count++] = c;
        c = strchr(c, '|');
        if (c) *c++ = '\0';
    }
    const char *nearest = glia__nearest_word(text, words, count);
    if (!nearest) return expected(field, text, err);
    describe_choices(field->choices, list, sizeof list);
    return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s: expected %s, found '%.100s' (did you mean '%s'?)",
                          field->name, list, text, nearest);
}

static glia_status parse_string(const char *text, const char **out, glia_arena *arena, glia_error *err) {
    const char *copy = arena ? glia__arena_strdup(arena, text) : text;
    if (!copy) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    *out = copy;
    return GLIA_OK;
}

glia_status glia__field_parse(const glia_field *field, void *object, const char *text, glia_arena *arena,
                              glia_error *err) {
    void *at = place(field, object);
    int64_t integer;
    double number;
    int choice;
    bool good = false;
    switch (field->kind) {
    case GLIA_FIELD_INT:
        good = glia__parse_int(text, &integer) && within(field, (double)integer);
        if (good) *(int64_t *)at = integer;
        break;
    case GLIA_FIELD_FLOAT:
        good = parse_float(text, &number) && within(field, number);
        if (good) *(double *)at = number;
        break;
    case GLIA_FIELD_BYTES:
        good = parse_bytes(text, &integer) && within(field, (double)integer);
        if (good) *(int64_t *)at = integer;
        break;
    case GLIA_FIELD_BOOL:
        good = parse_bool(text, at);
        break;
    case GLIA_FIELD_STRING:
        return parse_string(text, at, arena, err);
    case GLIA_FIELD_CHOICE:
        choice = find_choice(field->choices, text);
        if (choice < 0) return unknown_choice(field, text, err);
        *(int *)at = choice;
        return GLIA_OK;
    case GLIA_FIELD_INTS:
        good = parse_ints(field, text, at);
        break;
    case GLIA_FIELD_DIMS:
        good = parse_dims(field, text, at);
        break;
    }
    return good ? GLIA_OK : expected(field, text, err);
}

/* The default of one field. Defaults are ours: one that does not parse is a bug. */
static void set_initial(const glia_field *field, void *object) {
    memset(place(field, object), 0, field_bytes(field));
    if (!field->initial) return;
    glia_status status = glia__field_parse(field, object, field->initial, NULL, NULL);
    GLIA_ASSERT(status == GLIA_OK);
    (void)status;
}

void glia__fields_init(const glia_field *fields, void *object) {
    for (const glia_field *f = fields; f && f->name; f++) set_initial(f, object);
}

void glia__fields_fill(const glia_field *fields, void *object) {
    for (const glia_field *f = fields; f && f->name; f++)
        if (is_zero(f, object)) set_initial(f, object);
}

void glia__fields_fill_illegal(const glia_field *fields, void *object) {
    for (const glia_field *f = fields; f && f->name; f++) {
        bool bounded = f->min < f->max && (f->min > 0 || f->max < 0);
        bool unset = f->kind == GLIA_FIELD_BOOL || f->kind == GLIA_FIELD_STRING;
        if ((bounded || unset) && is_zero(f, object)) set_initial(f, object);
    }
}

const glia_field *glia__field_find(const glia_field *fields, const char *name) {
    for (const glia_field *f = fields; f && f->name && name; f++)
        if (strcmp(f->name, name) == 0) return f;
    return NULL;
}

void glia__field_hint(const glia_field *fields, const char *name, char *out, size_t capacity) {
    enum { MOST = 64 };
    const char *names[MOST] = {NULL};
    size_t count = 0, used;
    for (const glia_field *f = fields; f && f->name && count < MOST; f++) names[count++] = f->name;
    const char *nearest = glia__nearest_word(name, names, count);
    if (nearest) {
        snprintf(out, capacity, "(did you mean '%s'?)", nearest);
        return;
    }
    used = (size_t)snprintf(out, capacity, count ? "(known: " : "(there are none)");
    for (size_t i = 0; i < count && used < capacity; i++)
        used += (size_t)snprintf(out + used, capacity - used, "%s%s", names[i], i + 1 < count ? ", " : ")");
}

/* --- "name=value name=value" ------------------------------------------------------------------------------
 */

/* The next word of *text to `out`; double quotes keep spaces, a backslash in them keeps the next character.
 * False when the word is too long or a quote is open. */
static bool next_word(const char **text, char *out, size_t capacity) {
    size_t length = 0;
    bool quoted = false;
    const char *c = *text;
    for (; *c && (quoted || (*c != ' ' && *c != '\t' && *c != '\n')); c++) {
        if (*c == '"') {
            quoted = !quoted;
            continue;
        }
        if (quoted && *c == '\\' && c[1]) c++;
        if (length + 1 >= capacity) return false;
        out[length++] = *c;
    }
    out[length] = '\0';
    *text = c;
    return !quoted;
}

static glia_status parse_setting(const glia_field *fields, void *object, char *word, uint64_t *given,
                                 glia_arena *arena, glia_error *err) {
    char hint[256];
    char *equals = strchr(word, '=');
    if (!equals || equals == word)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "expected name=value, found '%.100s'", word);
    *equals = '\0';
    const glia_field *field = glia__field_find(fields, word);
    if (!field) {
        glia__field_hint(fields, word, hint, sizeof hint);
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "unknown name '%.64s' %s", word, hint);
    }
    uint64_t bit = 1ull << ((field - fields) & 63);
    if (*given & bit)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s: expected once, found twice", field->name);
    *given |= bit;
    return glia__field_parse(field, object, equals + 1, arena, err);
}

glia_status glia__fields_parse(const glia_field *fields, void *object, const char *text, glia_arena *arena,
                               glia_error *err) {
    char word[1024];
    uint64_t given = 0;
    glia__fields_init(fields, object);
    for (const char *at = text ? text : "";;) {
        at += strspn(at, " \t\n");
        if (!*at) break;
        if (!next_word(&at, word, sizeof word))
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "expected name=value of at most %zu characters with its quotes closed, "
                                  "found '%.100s'",
                                  sizeof word - 1, at);
        GLIA_TRY(parse_setting(fields, object, word, &given, arena, err));
    }
    for (const glia_field *f = fields; f && f->name; f++)
        if (!f->initial && !(given >> ((f - fields) & 63) & 1))
            return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s: required but not given (%s)", f->name,
                                  f->doc ? f->doc : "no default");
    return GLIA_OK;
}

/* --- checking, printing, comparing ------------------------------------------------------------------------
 */

static bool good_value(const glia_field *field, const void *object) {
    const void *at = value_of(field, object);
    const int64_t *list = at;
    const glia_shape *shape = at;
    int last = 0;
    switch (field->kind) {
    case GLIA_FIELD_INT:
    case GLIA_FIELD_BYTES:
        return within(field, (double)*list);
    case GLIA_FIELD_FLOAT:
        return !isnan(*(const double *)at) && within(field, *(const double *)at);
    case GLIA_FIELD_BOOL:
        return *(const glia_bool *)at >= GLIA_NO && *(const glia_bool *)at <= GLIA_YES;
    case GLIA_FIELD_STRING:
        return *(const char *const *)at || field->initial;
    case GLIA_FIELD_CHOICE:
        for (const char *c = field->choices; *c; c++) last += *c == '|';
        return *(const int *)at >= 0 && *(const int *)at <= last;
    case GLIA_FIELD_INTS:
        for (int i = 0; i < field->count; i++)
            if (!within(field, (double)list[i])) return false;
        return true;
    case GLIA_FIELD_DIMS:
        if (shape->rank < (field->initial ? 0 : 1) || shape->rank > GLIA_MAX_RANK) return false;
        for (int i = 0; i < shape->rank; i++)
            if (!within(field, (double)shape->dim[i])) return false;
        return true;
    }
    return false;
}

glia_status glia__fields_check(const glia_field *fields, const void *object, glia_error *err) {
    for (const glia_field *f = fields; f && f->name; f++) {
        if (good_value(f, object)) continue;
        if (!f->initial && is_zero(f, object))
            return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s: required but not given (%s)", f->name,
                                  f->doc ? f->doc : "no default");
        glia_text found; /* of 100 characters at most; when memory is short the message has less */
        glia__text_init(&found, NULL);
        if (f->kind == GLIA_FIELD_CHOICE || f->kind == GLIA_FIELD_BOOL)
            glia__text_printf(&found, "%d", *(const int *)value_of(f, object));
        else
            glia__field_print(f, object, &found);
        glia_status status = expected(f, found.data, err);
        glia__text_free(&found);
        return status;
    }
    return GLIA_OK;
}

static void print_list(const int64_t *list, int count, glia_text *out) {
    for (int i = 0; i < count; i++) glia__text_printf(out, "%s%" PRId64, i ? "," : "", list[i]);
}

static void print_shape(const glia_shape *shape, glia_text *out) {
    /* The rank may be the very thing that is wrong. */
    if (shape->rank < 0 || shape->rank > GLIA_MAX_RANK)
        glia__text_printf(out, "%d dimensions", (int)shape->rank);
    else
        print_list(shape->dim, shape->rank, out);
}

/* In the largest unit of which it is a whole number. */
static void print_bytes(int64_t value, glia_text *out) {
    size_t best = 0;
    for (size_t i = 1; i < GLIA_COUNT(units); i++)
        if (value && value % (int64_t)units[i].bytes == 0 && units[i].bytes > units[best].bytes) best = i;
    glia__text_printf(out, "%" PRId64 "%s", value / (int64_t)units[best].bytes, best ? units[best].name : "");
}

static void print_float(double value, glia_text *out) {
    if (isfinite(value))
        glia__text_add_number(out, value);
    else
        glia__text_add(out, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
}

static void print_choice(const char *choices, int index, glia_text *out) {
    const char *c = choices;
    while (index-- > 0 && (c = strchr(c, '|'))) c++;
    if (c) glia__text_add_bytes(out, c, strcspn(c, "|"));
}

/* Zero prints as the default that it means. */
static void print_bool(const glia_field *field, glia_bool value, glia_text *out) {
    if (value == GLIA_DEFAULT && field->initial) parse_bool(field->initial, &value);
    glia__text_add(out, value == GLIA_YES ? "yes" : "no");
}

void glia__field_print(const glia_field *field, const void *object, glia_text *out) {
    const void *at = value_of(field, object);
    switch (field->kind) {
    case GLIA_FIELD_INT:
        print_list(at, 1, out);
        break;
    case GLIA_FIELD_BYTES:
        print_bytes(*(const int64_t *)at, out);
        break;
    case GLIA_FIELD_FLOAT:
        print_float(*(const double *)at, out);
        break;
    case GLIA_FIELD_BOOL:
        print_bool(field, *(const glia_bool *)at, out);
        break;
    case GLIA_FIELD_STRING:
        glia__text_add(out, *(const char *const *)at);
        break;
    case GLIA_FIELD_CHOICE:
        print_choice(field->choices, *(const int *)at, out);
        break;
    case GLIA_FIELD_INTS:
        print_list(at, field->count, out);
        break;
    case GLIA_FIELD_DIMS:
        print_shape(at, out);
        break;
    }
}

static bool equal_value(const glia_field *field, const void *a, const void *b) {
    const void *x = value_of(field, a), *y = value_of(field, b);
    if (field->kind == GLIA_FIELD_FLOAT) {
        double v = *(const double *)x, w = *(const double *)y;
        return v == w || (isnan(v) && isnan(w));
    }
    if (field->kind == GLIA_FIELD_STRING) {
        const char *s = *(const char *const *)x, *t = *(const char *const *)y;
        return s == t || (s && t && strcmp(s, t) == 0);
    }
    if (field->kind == GLIA_FIELD_DIMS) return glia_shape_equal(x, y);
    return memcmp(x, y, field_bytes(field)) == 0;
}

/* Whether the value is the default. */
static bool is_default(const glia_field *field, const void *object) {
    if (!field->initial) return false;
    const void *at = value_of(field, object);
    union {
        int64_t integers[GLIA_MAX_RANK];
        double number;
        glia_bool flag;
        const char *string;
        int choice;
        glia_shape shape;
    } value;
    glia_field alone = *field;
    alone.offset = 0;
    set_initial(&alone, &value);
    return equal_value(&alone, &value, at);
}

static void print_setting(const glia_field *field, const void *object, glia_text *out) {
    const char *string = "x";
    if (field->kind == GLIA_FIELD_STRING) string = *(const char *const *)value_of(field, object);
    glia__text_printf(out, "%s=", field->name);
    if (!string || !string[0] || !string[strcspn(string, " \t\n\"")]) {
        glia__field_print(field, object, out);
        return;
    }
    glia__text_add(out, "\"");
    for (; *string; string++) glia__text_printf(out, "%s%c", strchr("\"\\", *string) ? "\\" : "", *string);
    glia__text_add(out, "\"");
}

void glia__fields_print(const glia_field *fields, const void *object, bool all, glia_text *out) {
    bool first = true;
    for (const glia_field *f = fields; f && f->name; f++) {
        bool absent = f->kind == GLIA_FIELD_STRING && !*(const char *const *)value_of(f, object);
        if (absent || (!all && is_default(f, object))) continue;
        if (!first) glia__text_add(out, " ");
        first = false;
        print_setting(f, object, out);
    }
}

bool glia__fields_equal(const glia_field *fields, const void *a, const void *b) {
    for (const glia_field *f = fields; f && f->name; f++)
        if (!equal_value(f, a, b)) return false;
    return true;
}
