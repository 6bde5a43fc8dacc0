/* vocabulary.c: cutting UTF-8 in tokens, and numbering them. */

#include "data/reader.h"

/* --- numbers ----------------------------------------------------------------------------------------------- */

void glia__vocabulary_init(glia_vocabulary *v, const glia_allocator *allocator) {
    *v = (glia_vocabulary){.count = 0};
    glia__arena_init(&v->arena, allocator);
}

void glia__vocabulary_free(glia_vocabulary *v) {
    const glia_allocator *a = v->arena.allocator;
    glia__free(a, v->words, (size_t)v->capacity * sizeof *v->words);
    glia__free(a, v->slots, v->n_slots * sizeof *v->slots);
    glia__arena_free(&v->arena);
    *v = (glia_vocabulary){.count = 0};
}

/* FNV-1a. */
static size_t hash(const char *word, size_t bytes) {
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < bytes; i++) h = (h ^ (unsigned char)word[i]) * 0x100000001B3u;
    return (size_t)(h ^ h >> 32);
}

/* The slot of the word, or the empty one where it belongs. */
static uint32_t *slot_of(const glia_vocabulary *v, const char *word, size_t bytes) {
    for (size_t i = hash(word, bytes);; i++) {
        uint32_t *slot = &v->slots[i & (v->n_slots - 1)];
        if (!*slot) return slot;
        const char *there = v->words[*slot - 1];
        if (strncmp(there, word, bytes) == 0 && !there[bytes]) return slot;
    }
}

int64_t glia__vocabulary_find(const glia_vocabulary *v, const char *word, size_t bytes) {
    return v->n_slots ? (int64_t)*slot_of(v, word, bytes) - 1 : -1;
}

/* Room for one more, with half of the slots empty. */
static bool reserve(glia_vocabulary *v) {
    const glia_allocator *a = v->arena.allocator;
    if (v->count < v->capacity) return true;
    int64_t wanted = v->capacity ? 2 * v->capacity : 256;
    if (wanted > INT32_MAX / 2) return false;
    uint32_t *slots = glia__calloc(a, (size_t)wanted * 2, sizeof *slots);
    const char **words =
        slots ? glia__grow(a, v->words, (size_t)v->capacity, (size_t)wanted, sizeof *words) : NULL;
    if (!words) {
        glia__free(a, slots, (size_t)wanted * 2 * sizeof *slots);
        return false;
    }
    glia__free(a, v->slots, v->n_slots * sizeof *v->slots);
    v->words = words;
    v->capacity = wanted;
    v->slots = slots;
    v->n_slots = (size_t)wanted * 2;
    for (int64_t i = 0; i < v->count; i++) *slot_of(v, words[i], strlen(words[i])) = (uint32_t)i + 1;
    return true;
}

int64_t glia__vocabulary_add(glia_vocabulary *v, const char *word, size_t bytes) {
    int64_t found = glia__vocabulary_find(v, word, bytes);
    if (found >= 0) return found;
    char *copy = reserve(v) ? glia__arena_alloc(&v->arena, bytes + 1) : NULL;
    if (!copy) return -1;
    memcpy(copy, word, bytes); /* the arena is zeroed */
    v->words[v->count] = copy;
    *slot_of(v, word, bytes) = (uint32_t)v->count + 1;
    return v->count++;
}

/* --- UTF-8 -------------------------------------------------------------------------------------------------- */

const char *glia__utf8_check(const char *text, const char *end) {
    while (text < end) {
        const int bytes =
            *text ? glia__utf8_bytes(text) : 0; /* a zero behind the end stops a cut character */
        if (!bytes) return text;
        text += bytes;
    }
    return end;
}

static uint32_t decode(const char *s, int bytes) {
    static const unsigned char first[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t c = (unsigned char)s[0] & first[bytes];
    for (int i = 1; i < bytes; i++) c = c << 6 | ((unsigned char)s[i] & 0x3F);
    return c;
}

static int encode(uint32_t c, char *out) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const int bytes = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = bytes - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(0xF00 >> bytes | c);
    return bytes;
}

/* Latin, Greek and Cyrillic capitals whose small letter stands at a fixed distance; others are left as they are. */
static uint32_t lower(uint32_t c) {
    if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x391 && c <= 0x3A9) ||
        (c >= 0x410 && c <= 0x42F))
        return c + 32;
    if (c >= 0x400 && c <= 0x40F) return c + 80;
    const bool even = (c >= 0x100 && c <= 0x137 && c != 0x130) || (c >= 0x14A && c <= 0x177) ||
                      (c >= 0x460 && c <= 0x481) || (c >= 0x48A && c <= 0x4BF) ||
                      (c >= 0x1E00 && c <= 0x1EFF);
    const bool odd = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E);
    return (even && c % 2 == 0) || (odd && c % 2 == 1) ? c + 1 : c;
}

typedef enum letter_kind { SPACE, LETTER, ALONE } letter_kind;

/* Letters and digits make words; of scripts without spaces between words each character is one. */
static letter_kind kind_of(uint32_t c) {
    if (c <= ' ' || c == 0x7F || (c >= 0x80 && c <= 0xA0)) return SPACE;
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? LETTER : ALONE;
    if (c < 0xC0) return c == 0xAD ? SPACE : c == 0xAA || c == 0xB5 || c == 0xBA ? LETTER : ALONE;
    if (c == 0xD7 || c == 0xF7) return ALONE;
    if (c >= 0x2000 && c <= 0x206F) /* typographic spaces, invisible marks; dashes, quotes */
        return (c >= 0x2010 && c <= 0x2027) || (c >= 0x2030 && c <= 0x205E) ? ALONE : SPACE;
    if (c == 0x3000 || c == 0xFEFF) return SPACE;
    if (c < 0x2E80) return c >= 0x2070 && c < 0x2C00 ? ALONE : LETTER; /* currencies, arrows, signs */
    const bool hangul = c >= 0xAC00 && c <= 0xD7A3;
    return hangul ? LETTER : ALONE; /* ideographs, kana, full-width forms, emoji */
}

static bool is_apostrophe(uint32_t c) {
    return c == '\'' || c == 0x2019;
}

/* A word: letters, and apostrophes between them. */
static size_t next_word(const char **at, const char *end, char *out) {
    size_t used = 0;
    const char *p = *at;
    while (p < end && used + 8 < GLIA_TOKEN_BYTES) {
        int bytes = glia__utf8_bytes(p);
        uint32_t c = decode(p, bytes);
        if (is_apostrophe(c) && p + bytes < end &&
            kind_of(decode(p + bytes, glia__utf8_bytes(p + bytes))) == LETTER)
            c = '\'';
        else if (kind_of(c) != LETTER)
            break;
        used += (size_t)encode(lower(c), out + used);
        p += bytes;
    }
    *at = p;
    return used;
}

size_t glia__token_next(glia_token_kind kind, const char **at, const char *end, char out[GLIA_TOKEN_BYTES]) {
    size_t used = 0;
    while (*at < end && !used) {
        const int bytes = glia__utf8_bytes(*at);
        const letter_kind letter = kind_of(decode(*at, bytes));
        if (kind == GLIA_TOKENS_WORDS && letter == LETTER) {
            used = next_word(at, end, out);
            continue;
        }
        if (kind == GLIA_TOKENS_CHARACTERS || letter == ALONE || **at == '\n') {
            used = (size_t)bytes;
            memcpy(out, *at, used);
        }
        *at += bytes;
    }
    out[used] = 0;
    return used;
}

/* --- tables of tokens --------------------------------------------------------------------------------------- */

glia_status glia__text_options_check(const glia_text_options *o, glia_error *err) {
    enum { MOST = 1 << 20 };
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"length", o->length},
                   {"stride", o->stride},
                   {"vocabulary", o->vocabulary},
                   {"min_count", o->min_count}};
    for (size_t i = 0; i < GLIA_COUNT(numbers); i++)
        if (numbers[i].value < 0 || numbers[i].value > (i < 2 ? MOST : INT32_MAX / 2))
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "%s: expected a number from 1 to %d, found %lld", numbers[i].name,
                                  i < 2 ? MOST : INT32_MAX / 2, (long long)numbers[i].value);
    return GLIA_OK;
}

glia_status glia__table_begin_tokens(glia_table *table, bool words, const glia_dataset_options *options,
                                     glia_error *err) {
    static const char *const special[] = {GLIA_TOKEN_PAD_NAME, GLIA_TOKEN_UNKNOWN_NAME};
    table->tokens = words ? GLIA_TOKENS_WORDS : GLIA_TOKENS_CHARACTERS;
    table->most_words = options->text.vocabulary ? options->text.vocabulary : 20000;
    table->min_count = options->text.min_count ? options->text.min_count : 2;
    glia__vocabulary_init(&table->vocabulary, options->allocator);
    for (int i = 0; i < GLIA_TOKEN_FIRST && words; i++)
        if (glia__vocabulary_add(&table->vocabulary, special[i], strlen(special[i])) < 0)
            return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for a vocabulary");
    return GLIA_OK;
}
