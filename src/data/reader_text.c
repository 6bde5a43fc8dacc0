/* reader_text.c: a text as examples for a language model: windows of tokens, and at each place the token that follows. */

#include <stdlib.h>

#include "data/named.h"
#include "data/reader.h"
#include "io/stream.h"

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the data set");
}

glia_status glia__text_check(const char *path, const char *text, size_t bytes, int64_t line,
                             glia_error *err) {
    const char *bad = glia__utf8_check(text, text + bytes);
    if (bad == text + bytes) return GLIA_OK;
    for (const char *p = text; p < bad; p++) line += *p == '\n';
    glia_error_set(err, GLIA_BAD_FORMAT,
                   "not UTF-8: byte 0x%02X at %lld; convert the file (iconv -f latin1 -t utf8, if it is old)",
                   (unsigned char)*bad, (long long)(bad - text));
    glia_error_at(err, path, line, 0);
    return GLIA_BAD_FORMAT;
}

typedef struct sequence {
    const char *text, *end;
    glia_token_kind kind;
    int64_t tokens;
} sequence;

/* Numbers of all tokens in the order of the text; the vocabulary grows. `numbers` NULL: only counts them. */
static glia_status number_tokens(sequence *s, glia_vocabulary *vocabulary, int32_t *numbers,
                                 glia_error *err) {
    char token[GLIA_TOKEN_BYTES];
    const char *at = s->text;
    int64_t count = 0;
    for (size_t bytes; (bytes = glia__token_next(s->kind, &at, s->end, token)) > 0; count++) {
        if (!numbers) continue;
        const int64_t number = glia__vocabulary_add(vocabulary, token, bytes);
        if (number < 0) return out_of_memory(err);
        numbers[count] = (int32_t)number;
    }
    s->tokens = count;
    return GLIA_OK;
}

static int compare_words(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Characters are numbered in the order of their code points, as users find them in a list. */
static glia_status sort_characters(glia_table *out, int32_t *numbers, int64_t count, glia_error *err) {
    glia_vocabulary sorted, *found = &out->vocabulary;
    const size_t bytes = (size_t)found->count * sizeof(char *);
    const glia_allocator *a = found->arena.allocator;
    const char **words = glia__alloc(a, bytes);
    if (!words) return out_of_memory(err);
    memcpy(words, found->words, bytes);
    qsort(words, (size_t)found->count, sizeof *words, compare_words);
    glia__vocabulary_init(&sorted, a);
    bool complete = true;
    for (int64_t i = 0; i < found->count && complete; i++)
        complete = glia__vocabulary_add(&sorted, words[i], strlen(words[i])) == i;
    for (int64_t i = 0; i < count && complete; i++) {
        const char *word = found->words[numbers[i]];
        numbers[i] = (int32_t)glia__vocabulary_find(&sorted, word, strlen(word));
    }
    glia__free(a, words, bytes);
    glia__vocabulary_free(complete ? found : &sorted);
    if (complete) *found = sorted;
    return complete ? GLIA_OK : out_of_memory(err);
}

/* Examples at every stride of the sequences: [count, length], each beside itself one token later. */
static void make_windows(glia_table *out, int64_t tokens, int64_t length, int64_t stride, int64_t limit) {
    int64_t count = (tokens - 1 - length) / stride + 1;
    if (limit > 0) count = GLIA_MIN(count, limit);
    out->inputs = out->windows.inputs;
    out->targets = out->windows.targets;
    out->inputs.owner = out->targets.owner = NULL;
    out->inputs.shape = out->targets.shape = GLIA_SHAPE(count, length);
    out->targets.data = (int64_t *)out->windows.targets.data + 1;
    out->windows.input_step = out->windows.target_step = stride;
    out->windows.reach = (length + stride - 1) / stride;
    out->windows.apart = (length + stride - 1) / stride;
}

static glia_status read_tokens(glia_table *out, sequence *s, const char *path,
                               const glia_dataset_options *options, glia_error *err) {
    const int64_t length = options->text.length ? options->text.length : 64;
    const int64_t stride = options->text.stride ? options->text.stride : length;
    GLIA_TRY(number_tokens(s, NULL, NULL, err));
    if (s->tokens <= length) {
        glia_error_set(err, GLIA_BAD_DATA,
                       "expected a text of more than %lld tokens, the length of an example, found %lld",
                       (long long)length, (long long)s->tokens);
        glia_error_at(err, path, 0, 0);
        return GLIA_BAD_DATA;
    }
    glia_windows *w = &out->windows;
    GLIA_TRY(glia_tensor_new(&w->inputs, GLIA_I32, GLIA_SHAPE(s->tokens), options->allocator, err));
    GLIA_TRY(glia_tensor_new(&w->targets, GLIA_I64, GLIA_SHAPE(s->tokens), options->allocator, err));
    GLIA_TRY(number_tokens(s, &out->vocabulary, w->inputs.data, err));
    if (s->kind == GLIA_TOKENS_CHARACTERS) GLIA_TRY(sort_characters(out, w->inputs.data, s->tokens, err));
    for (int64_t i = 0; i < s->tokens; i++)
        ((int64_t *)w->targets.data)[i] = ((const int32_t *)w->inputs.data)[i];
    make_windows(out, s->tokens, length, stride, options->limit);
    return GLIA_OK;
}

glia_status glia__table_read_text(glia_table *out, const char *path, const glia_dataset_options *options,
                                  glia_error *err) {
    const char *kind = options->text.tokens ? options->text.tokens : "characters";
    const bool words = strcmp(kind, "words") == 0;
    char *text;
    size_t capacity, bytes;
    if (!words && strcmp(kind, "characters") != 0)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "tokens: expected characters or words, found '%.60s'", kind);
    GLIA_TRY(glia__text_options_check(&options->text, err));
    glia_status status = glia__stream_text(path, options->allocator, &text, &capacity, &bytes, err);
    if (status == GLIA_OK) status = glia__text_check(path, text, bytes, 1, err);
    if (status == GLIA_OK) status = glia__table_begin_tokens(out, words, options, err);
    if (status == GLIA_OK) {
        out->predicts_tokens = true;
        sequence s = {.text = text, .end = text + bytes, .kind = out->tokens};
        if (bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) s.text += 3;
        status = read_tokens(out, &s, path, options, err);
    }
    glia__free(options->allocator, text, capacity);
    return status;
}

static glia_status read_text(glia_table *out, const char *source, const glia_dataset_options *options,
                             glia_error *err) {
    if (!*source) return glia_error_set(err, GLIA_INVALID_ARGUMENT, "expected text:FILE, found no file");
    return glia__table_read_text(out, source, options, err);
}

GLIA_READER(text) = {
    .name = "text",
    .doc = "a text in UTF-8, plain or gzip, in windows: to predict each next character or word",
    .example = "text:input.txt",
    .files = {"file"},
    .read = read_text};
