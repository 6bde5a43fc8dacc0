/* tokens.c: which number a word of the table has for a model: the vocabulary of the training part. */

#include <stdlib.h>

#include "data/dataset.h"

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for a vocabulary");
}

typedef struct counted {
    const char *word;
    int64_t count;
} counted;

static int by_count(const void *a, const void *b) {
    const counted *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return strcmp(x->word, y->word);
}

/* How often each word stands in the examples of this part. */
static void count_words(const glia_dataset *d, counted *words) {
    const glia_table *t = &d->shared->table;
    const int32_t *numbers = t->inputs.data;
    for (int64_t i = 0; i < t->vocabulary.count; i++) words[i] = (counted){t->vocabulary.words[i], 0};
    for (int64_t i = 0; i < d->info.count; i++) {
        const int32_t *row = numbers + glia__dataset_row(d, i) * d->input_step;
        for (int64_t k = 0; k < d->input_elems; k++) words[row[k]].count++;
    }
}

/* <pad>, <unk>, then the words of `d`, most frequent first. */
static glia_status learn(glia_dataset *d, glia_error *err) {
    const glia_table *t = &d->shared->table;
    const size_t bytes = (size_t)t->vocabulary.count * sizeof(counted);
    counted *words = glia__alloc(d->allocator, bytes);
    const char **chosen = glia__alloc(d->allocator, (size_t)t->vocabulary.count * sizeof *chosen);
    glia_status status = words && chosen ? GLIA_OK : out_of_memory(err);
    if (status == GLIA_OK) {
        int64_t count = GLIA_TOKEN_FIRST;
        count_words(d, words);
        qsort(words + GLIA_TOKEN_FIRST, (size_t)(t->vocabulary.count - GLIA_TOKEN_FIRST), sizeof *words,
              by_count);
        for (int64_t i = 0; i < t->vocabulary.count; i++) chosen[i] = words[i].word;
        while (count < t->vocabulary.count && count < t->most_words && words[count].count >= t->min_count)
            count++;
        status = glia_dataset_set_vocabulary(d, chosen, count, err);
    }
    glia__free(d->allocator, words, bytes);
    glia__free(d->allocator, chosen, (size_t)t->vocabulary.count * sizeof *chosen);
    return status;
}

/* The map and the names; nothing is changed on failure. */
static glia_status adopt(glia_dataset *d, glia_vocabulary *known, glia_error *err) {
    const glia_table *t = &d->shared->table;
    const size_t bytes = (size_t)t->vocabulary.count * sizeof(int32_t);
    int32_t *map = glia__alloc(d->allocator, bytes);
    if (!map) return out_of_memory(err);
    for (int64_t i = 0; i < t->vocabulary.count; i++) {
        const char *word = t->vocabulary.words[i];
        const int64_t found = glia__vocabulary_find(known, word, strlen(word));
        map[i] = found >= 0 ? (int32_t)found : GLIA_TOKEN_UNKNOWN;
        if (found >= 0 || t->tokens == GLIA_TOKENS_WORDS) continue;
        glia__free(d->allocator, map, bytes);
        return glia_error_set(err, GLIA_BAD_DATA,
                              "%.200s holds the character '%s', which the training data do not have; take it "
                              "out, or train on a text that has it too",
                              d->info.name, word);
    }
    glia__free(d->allocator, d->map, bytes);
    d->map = map;
    glia__vocabulary_free(&d->words);
    d->words = *known;
    *known = (glia_vocabulary){.count = 0};
    d->info.vocabulary = d->words.words;
    d->info.n_vocabulary = d->words.count;
    if (t->predicts_tokens) {
        d->info.class_names = d->words.words;
        d->info.classes = d->words.count;
    }
    return GLIA_OK;
}

glia_status glia_dataset_set_vocabulary(glia_dataset *d, const char *const *words, int64_t count,
                                        glia_error *err) {
    const glia_table *t = &d->shared->table;
    if (t->tokens == GLIA_TOKENS_NONE) return GLIA_OK;
    if (!words && t->tokens == GLIA_TOKENS_WORDS) return learn(d, err);
    if (!words) words = t->vocabulary.words, count = t->vocabulary.count;
    glia_vocabulary known;
    glia__vocabulary_init(&known, d->allocator);
    glia_status status = GLIA_OK;
    for (int64_t i = 0; i < count && status == GLIA_OK; i++) {
        const int64_t number = glia__vocabulary_add(&known, words[i], strlen(words[i]));
        if (number < 0) status = out_of_memory(err);
        if (number >= 0 && number != i)
            status =
                glia_error_set(err, GLIA_INVALID_ARGUMENT, "the vocabulary holds '%.60s' twice", words[i]);
    }
    if (status == GLIA_OK) status = adopt(d, &known, err);
    glia__vocabulary_free(&known);
    return status;
}
