/* text.c: texts for a run: encoded with the vocabulary that it was trained with, and generated. */
#include "recipe/text.h"

#include <sys/stat.h>

#include "data/reader.h"
#include "glia/generate.h"
#include "io/stream.h"

glia_token_kind glia__run_tokens(const glia_run *run) {
    const glia_recipe_trained *t = &run->recipe->trained;
    if (!t->n_vocabulary) return GLIA_TOKENS_NONE;
    return strcmp(t->vocabulary[0], GLIA_TOKEN_PAD_NAME) == 0 ? GLIA_TOKENS_WORDS : GLIA_TOKENS_CHARACTERS;
}

bool glia__recipe_writes(const glia_recipe *recipe) {
    return recipe->trained.n_vocabulary > 0 && recipe->trained.target_shape.rank > 0;
}

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
}

static glia_status index_vocabulary(const glia_run *run, glia_vocabulary *v, glia_error *err) {
    const glia_recipe_trained *t = &run->recipe->trained;
    glia__vocabulary_init(v, run->recipe->arena.allocator);
    for (int64_t i = 0; i < t->n_vocabulary; i++) {
        const int64_t number = glia__vocabulary_add(v, t->vocabulary[i], strlen(t->vocabulary[i]));
        if (number == i) continue;
        glia__vocabulary_free(v);
        return number < 0 ? out_of_memory(err)
                          : glia_error_set(err, GLIA_BAD_FORMAT, "the run's vocabulary holds '%.60s' twice",
                                           t->vocabulary[i]);
    }
    return GLIA_OK;
}

/* Tokens of a text that is UTF-8; at most `room` are kept, *count counts all. */
static glia_status encode(const glia_run *run, const glia_vocabulary *v, const char *text, const char *end,
                          const char *what, int64_t *numbers, int64_t room, int64_t *count, glia_error *err) {
    const glia_token_kind kind = glia__run_tokens(run);
    char token[GLIA_TOKEN_BYTES];
    *count = 0;
    for (size_t bytes; (bytes = glia__token_next(kind, &text, end, token)) > 0; ++*count) {
        int64_t number = glia__vocabulary_find(v, token, bytes);
        if (number < 0 && kind == GLIA_TOKENS_CHARACTERS)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "%.200s holds the character '%s', which the run was not trained on", what,
                                  token);
        if (number < 0) number = GLIA_TOKEN_UNKNOWN;
        if (*count < room) numbers[*count] = number;
    }
    return GLIA_OK;
}

/* --- texts to predict ------------------------------------------------------------------------------------ */

/* The texts of a file are its lines; without a file the name is the text. */
typedef struct texts {
    char *text;
    const char *begin, *end;
    size_t capacity;
    int64_t count;
} texts;

static glia_status open_texts(const glia_run *run, const char *what, texts *t, glia_error *err) {
    struct stat st;
    size_t bytes;
    *t = (texts){.begin = what, .end = what + strlen(what), .count = 1};
    if (stat(what, &st) != 0 || S_ISDIR(st.st_mode))
        return glia__utf8_check(what, t->end) == t->end
                   ? GLIA_OK
                   : glia_error_set(err, GLIA_INVALID_ARGUMENT, "the text is not UTF-8");
    GLIA_TRY(glia__stream_text(what, run->recipe->arena.allocator, &t->text, &t->capacity, &bytes, err));
    GLIA_TRY(glia__text_check(what, t->text, bytes, 1, err));
    t->begin = t->text;
    t->end = t->text + bytes;
    if (bytes && t->end[-1] == '\n') t->end--;
    for (const char *p = t->begin; p < t->end; p++) t->count += *p == '\n';
    if (!bytes) return glia_error_set(err, GLIA_BAD_DATA, "%.200s is empty; expected a text a line", what);
    return GLIA_OK;
}

static glia_status fill_inputs(const glia_run *run, const texts *t, const char *what, glia_tensor *out,
                               glia_error *err) {
    const int64_t length = run->input_shape.dim[0];
    const size_t bytes = (size_t)length * sizeof(int64_t);
    const glia_allocator *allocator = run->recipe->arena.allocator;
    glia_vocabulary v;
    GLIA_TRY(index_vocabulary(run, &v, err));
    int64_t *numbers = glia__alloc(allocator, bytes);
    glia_status status = numbers ? GLIA_OK : out_of_memory(err);
    const char *line = t->begin;
    for (int64_t i = 0; i < t->count && status == GLIA_OK; i++) {
        const char *end = t->text ? memchr(line, '\n', (size_t)(t->end - line)) : t->end;
        int64_t count = 0;
        if (!end) end = t->end;
        status = encode(run, &v, line, end, what, numbers, length, &count, err);
        float *row = (float *)out->data + i * length;
        for (int64_t k = 0; k < length; k++) row[k] = k < count ? (float)numbers[k] : (float)GLIA_TOKEN_PAD;
        line = end + 1;
    }
    glia__free(allocator, numbers, bytes);
    glia__vocabulary_free(&v);
    return status;
}

glia_status glia__run_read_texts(const glia_run *run, const char *what, glia_tensor *out, glia_error *err) {
    texts t;
    if (glia__recipe_writes(run->recipe))
        return glia_error_set(
            err, GLIA_UNSUPPORTED,
            "the run is a language model, which goes on with texts: glia generate RUN --prompt "
            "TEXT");
    glia_status status = open_texts(run, what, &t, err);
    if (status == GLIA_OK)
        status = glia_tensor_new(out, GLIA_F32, GLIA_SHAPE(t.count, run->input_shape.dim[0]),
                                 run->recipe->arena.allocator, err);
    if (status == GLIA_OK) status = fill_inputs(run, &t, what, out, err);
    if (status != GLIA_OK) glia_tensor_free(out);
    glia__free(run->recipe->arena.allocator, t.text, t.capacity);
    return status;
}

/* --- texts to go on with --------------------------------------------------------------------------------- */

typedef struct writing {
    const glia_recipe_trained *trained;
    bool (*write)(void *ctx, const char *piece);
    void *ctx;
    bool words, line_begins;
} writing;

/* Words are parted by blanks; not so before what closes, nor at the start of a line. */
static bool write_token(void *ctx, int64_t token) {
    writing *w = ctx;
    const char *piece = w->trained->vocabulary[token];
    const bool blank = w->words && !w->line_begins && !strchr("\n.,;:!?)]}'", piece[0]);
    w->line_begins = piece[0] == '\n';
    if (blank && !w->write(w->ctx, " ")) return false;
    return w->write(w->ctx, piece);
}

glia_status glia_run_generate(const glia_run *run, const char *prompt,
                              bool (*write)(void *ctx, const char *piece), void *ctx,
                              glia_generate_options o) {
    const glia_allocator *allocator = run->recipe->arena.allocator;
    const glia_token_kind kind = glia__run_tokens(run);
    const char *given = prompt && *prompt ? prompt : "\n", *end = given + strlen(given);
    if (kind == GLIA_TOKENS_NONE)
        return glia_error_set(o.error, GLIA_UNSUPPORTED,
                              "the run was not trained on texts, so it cannot generate one");
    if (glia__utf8_check(given, end) != end)
        return glia_error_set(o.error, GLIA_INVALID_ARGUMENT, "the prompt is not UTF-8");
    glia_vocabulary v;
    GLIA_TRY(index_vocabulary(run, &v, o.error));
    const int64_t room = end - given; /* a token has at least a byte */
    const size_t bytes = (size_t)room * sizeof(int64_t);
    int64_t *numbers = glia__alloc(allocator, bytes), count = 0;
    glia_status status = numbers ? encode(run, &v, given, end, "the prompt", numbers, room, &count, o.error)
                                 : out_of_memory(o.error);
    writing w = {.trained = &run->recipe->trained,
                 .write = write,
                 .ctx = ctx,
                 .words = kind == GLIA_TOKENS_WORDS,
                 .line_begins = given[room - 1] == '\n'};
    o.on_token = write_token;
    o.ctx = &w;
    o.first_token = w.words ? GLIA_TOKEN_FIRST : 0;
    if (status == GLIA_OK && (!prompt || !*prompt || write(ctx, prompt)))
        status = glia_generate_with(run->model, numbers, count, o);
    glia__free(allocator, numbers, bytes);
    glia__vocabulary_free(&v);
    return status;
}
