/* vocabulary.h: texts as numbers: words and characters, numbered, and how a text is cut in them. */
#ifndef GLIA_DATA_VOCABULARY_H
#define GLIA_DATA_VOCABULARY_H

#include "core/mem.h"
#include "glia/status.h"

/* What a text is cut in. */
typedef enum glia_token_kind {
    GLIA_TOKENS_NONE,
    GLIA_TOKENS_CHARACTERS, /* code points */
    GLIA_TOKENS_WORDS       /* lower-cased words, other visible characters, ends of lines */
} glia_token_kind;

/* Numbers of padding and of words that are not in the vocabulary; of GLIA_TOKENS_WORDS only. */
enum { GLIA_TOKEN_PAD = 0, GLIA_TOKEN_UNKNOWN = 1, GLIA_TOKEN_FIRST = 2 };
#define GLIA_TOKEN_PAD_NAME     "<pad>"
#define GLIA_TOKEN_UNKNOWN_NAME "<unk>"

/* Distinct words in the order in which they were added. */
typedef struct glia_vocabulary {
    const char **words; /* in the arena */
    int64_t count, capacity;
    uint32_t *slots; /* a hash table of numbers + 1; its size is a power of two */
    size_t n_slots;
    glia_arena arena;
} glia_vocabulary;

void glia__vocabulary_init(glia_vocabulary *v, const glia_allocator *allocator);
void glia__vocabulary_free(glia_vocabulary *v);
/* The number of a word, or -1. */
int64_t glia__vocabulary_find(const glia_vocabulary *v, const char *word, size_t bytes);
/* The same, after adding the word if it is new; -1: out of memory. */
int64_t glia__vocabulary_add(glia_vocabulary *v, const char *word, size_t bytes);

enum { GLIA_TOKEN_BYTES = 256 }; /* most bytes of a token; longer words are cut */

/* Takes the next token off *at, which is valid UTF-8 and ends at `end`; copies it, ended by a zero, to `out`, and gives its
 * bytes; 0: there is none left. */
size_t glia__token_next(glia_token_kind kind, const char **at, const char *end, char out[GLIA_TOKEN_BYTES]);
/* The first byte that is not UTF-8 or is zero; `end` if there is none. */
const char *glia__utf8_check(const char *text, const char *end);

#endif
