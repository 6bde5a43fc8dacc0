/* text.c: the growing text buffer, numbers as text and back, and the nearest word. */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"

static char empty[] = ""; /* never written to: capacity 0 */

void glia__text_init(glia_text *text, const glia_allocator *allocator) {
    *text = (glia_text){.allocator = allocator, .data = empty};
}

/* Room for `more` bytes and the terminating zero. */
static bool reserve(glia_text *text, size_t more) {
    if (text->failed) return false;
    if (more < text->capacity - text->length && text->capacity) return true;
    size_t wanted = text->length + more + 1, capacity = GLIA_MAX(text->capacity * 2, (size_t)64);
    capacity = GLIA_MAX(capacity, wanted);
    char *old = text->capacity ? text->data : NULL;
    char *data = wanted > more ? glia__grow(text->allocator, old, text->capacity, capacity, 1) : NULL;
    if (!data) {
        text->failed = true;
        return false;
    }
    data[text->length] = '\0';
    text->data = data;
    text->capacity = capacity;
    return true;
}

void glia__text_add_bytes(glia_text *text, const void *bytes, size_t count) {
    if (count == 0 || !reserve(text, count)) return;
    memcpy(text->data + text->length, bytes, count);
    text->length += count;
    text->data[text->length] = '\0';
}

void glia__text_add(glia_text *text, const char *string) {
    if (string) glia__text_add_bytes(text, string, strlen(string));
}

void glia__text_printf(glia_text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    glia__text_vprintf(text, format, args);
    va_end(args);
}

void glia__text_vprintf(glia_text *text, const char *format, va_list args) {
    if (text->failed) return;
    char small[128]; /* most pieces fit, and need no second pass */
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(small, sizeof small, format, args);
    if (length < 0) {
        text->failed = true;
    } else if ((size_t)length < sizeof small) {
        glia__text_add_bytes(text, small, (size_t)length);
    } else if (reserve(text, (size_t)length)) {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

int glia__utf8_bytes(const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) return 1;
    int count = s[0] >= 0xC2 && s[0] <= 0xDF   ? 2
                : (s[0] & 0xF0) == 0xE0        ? 3
                : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4
                                               : 0;
    for (int i = 1; i < count; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if (s[0] == 0xE0 && s[1] < 0xA0) return 0;
    if (s[0] == 0xED && s[1] >= 0xA0) return 0;
    if (s[0] == 0xF0 && s[1] < 0x90) return 0;
    if (s[0] == 0xF4 && s[1] >= 0x90) return 0;
    return count;
}

unsigned glia__utf8_special(const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    const int bytes = glia__utf8_bytes(text);
    const unsigned c = bytes == 2   ? (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu)
                       : bytes == 3 ? (s[0] & 0x0Fu) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu)
                                    : s[0];
    const bool control = c < 0x20 || (c >= 0x7F && c <= 0x9F);
    return bytes && (control || c == 0x2028 || c == 0x2029 || c == 0xFEFF || c == 0xFFFE || c == 0xFFFF) ? c
                                                                                                         : 0;
}

void glia__text_add_json(glia_text *text, const char *string) {
    glia__text_add(text, "\"");
    for (const unsigned char *s = (const unsigned char *)(string ? string : ""); *s;) {
        int count = glia__utf8_bytes((const char *)s);
        if (count == 0) {
            glia__text_add(text, "\xEF\xBF\xBD");
            s++;
            continue;
        }
        static const char plain[] = "\"\\\n\r\t\b\f", letter[] = "\"\\nrtbf";
        const char *found = count == 1 ? strchr(plain, *s) : NULL;
        if (found)
            glia__text_printf(text, "\\%c", letter[found - plain]);
        else if (glia__utf8_special((const char *)s))
            glia__text_printf(text, "\\u%04x", glia__utf8_special((const char *)s));
        else
            glia__text_add_bytes(text, s, (size_t)count);
        s += count;
    }
    glia__text_add(text, "\"");
}

void glia__text_add_html(glia_text *text, const char *string) {
    static const char special[] = "&<>\"'";
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (const unsigned char *s = (const unsigned char *)(string ? string : ""); *s;) {
        int count = glia__utf8_bytes((const char *)s);
        const char *found = count == 1 ? strchr(special, *s) : NULL;
        bool control = *s == 0x7F || (*s < 0x20 && *s != '\n' && *s != '\t');
        if (found)
            glia__text_add(text, entities[found - special]);
        else if (count == 0 || control)
            glia__text_add(text, "\xEF\xBF\xBD");
        else
            glia__text_add_bytes(text, s, (size_t)count);
        s += GLIA_MAX(count, 1);
    }
}

/* An application may have set a locale whose decimal point is a comma; ours is always a point. */
static const char *decimal_point(void) {
    const struct lconv *conv = localeconv();
    return conv && conv->decimal_point && conv->decimal_point[0] ? conv->decimal_point : ".";
}

void glia__text_add_number(glia_text *text, double value) {
    if (!isfinite(value)) {
        glia__text_add(text, "null");
        return;
    }
    char digits[40];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) break;
    }
    if (fabs(value) < 1e15 && value == floor(value)) /* 5000, not 5e+03 */
        snprintf(digits, sizeof digits, "%.0f", value);
    const char *point = decimal_point();
    char *at = strcmp(point, ".") != 0 ? strstr(digits, point) : NULL;
    if (at) {
        *at = '.';
        memmove(at + 1, at + strlen(point), strlen(at + strlen(point)) + 1);
    }
    glia__text_add(text, digits);
}

void glia__text_free(glia_text *text) {
    if (text->capacity) glia__free(text->allocator, text->data, text->capacity);
    glia__text_init(text, text->allocator);
}

/* --- numbers ----------------------------------------------------------------------------------------------
 */

bool glia__parse_int(const char *text, int64_t *out) {
    if (!text || !*text || strspn(text, "+-0123456789") != strlen(text)) return false;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end || end == text) return false;
    *out = value;
    return true;
}

bool glia__parse_double(const char *text, double *out) {
    size_t length = text ? strlen(text) : 0;
    char local[512]; /* with the locale's decimal point */
    const char *point = decimal_point();
    if (length == 0 || strspn(text, "+-.0123456789eE") != length) return false;
    if (strcmp(point, ".") != 0 && length + strlen(point) < sizeof local) {
        const char *dot = strchr(text, '.');
        if (dot) {
            snprintf(local, sizeof local, "%.*s%s%s", (int)(dot - text), text, point, dot + 1);
            text = local;
        }
    }
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !isfinite(value)) return false;
    *out = value;
    return true;
}

/* --- the nearest word -------------------------------------------------------------------------------------
 */

enum { LONGEST_WORD = 48 };

static int lower(char c) {
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c == '-' ? '_' : c;
}

/* Edit distance in which swapping two neighbours costs one step ("optimal string alignment"). */
static int distance(const char *a, int na, const char *b, int nb) {
    int rows[3][LONGEST_WORD + 1];
    int *before = rows[0], *above = rows[1], *row = rows[2];
    for (int j = 0; j <= nb; j++) above[j] = j;
    for (int i = 1; i <= na; i++) {
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            bool same = lower(a[i - 1]) == lower(b[j - 1]);
            int best = GLIA_MIN(above[j], row[j - 1]) + 1;
            best = GLIA_MIN(best, above[j - 1] + !same);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                best = GLIA_MIN(best, before[j - 2] + 1);
            row[j] = best;
        }
        int *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[nb];
}

const char *glia__nearest_word(const char *word, const char *const *words, size_t count) {
    const char *nearest = NULL;
    size_t length = word ? strlen(word) : 0;
    if (length == 0 || length > LONGEST_WORD) return NULL;
    int allowed = (int)GLIA_MAX(length / 3, (size_t)1);
    if (length == 1) allowed = 0; /* any letter is near any other */
    for (size_t i = 0; i < count; i++) {
        size_t other = words[i] ? strlen(words[i]) : 0;
        if (other == 0 || other > LONGEST_WORD) continue;
        int d = distance(word, (int)length, words[i], (int)other);
        if (d > allowed) continue;
        nearest = words[i];
        allowed = d - 1; /* the first of equals stays */
        if (allowed < 0) break;
    }
    return nearest;
}
