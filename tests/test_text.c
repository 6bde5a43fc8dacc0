/* Texts as data: tokens, windows, tables of texts, vocabularies of the training part, and what is refused. */
#include "test.h"

#include "data/reader.h"
#include "failing_allocator.h"
#include "glia/generate.h"
#include "scratch.h"

/* The tokens of a text, parted by '|'. */
static const char *tokens(glia_token_kind kind, const char *text) {
    static char out[400];
    char token[GLIA_TOKEN_BYTES];
    const char *end = text + strlen(text);
    size_t used = 0;
    out[0] = 0;
    while (glia__token_next(kind, &text, end, token))
        used += (size_t)snprintf(out + used, sizeof out - used, "%s%s", used ? "|" : "", token);
    return out;
}

TEST(token_rules) {
    CHECK_STR(tokens(GLIA_TOKENS_CHARACTERS, "aé\n字"), "a|é|\n|字");
    CHECK_STR(tokens(GLIA_TOKENS_WORDS, "It isn't GOOD, is it?"), "it|isn't|good|,|is|it|?");
    CHECK_STR(tokens(GLIA_TOKENS_WORDS, "Ærø ÉCOLE Ωmega Привет"), "ærø|école|ωmega|привет");
    CHECK_STR(tokens(GLIA_TOKENS_WORDS, "房间 clean\xC2\xA0!“x”"), "房|间|clean|!|“|x|”");
    CHECK_STR(tokens(GLIA_TOKENS_WORDS, " \t "), "");
    CHECK_STR(tokens(GLIA_TOKENS_WORDS, "don’t"), "don't");
    const char *bad = "ok\xC3(";
    CHECK(glia__utf8_check(bad, bad + 4) == bad + 2);
}

static glia_dataset *open_text(const char *text, glia_text_options o) {
    char source[600];
    glia_dataset *d = NULL;
    glia_error err = {0};
    snprintf(source, sizeof source, "text:%s", scratch_text("t.txt", text));
    CHECK_OK(glia_dataset_open_with(&d, source, (glia_dataset_options){.text = o}, &err), &err);
    return d;
}

/* Example i as text: what is seen, then what follows. */
static const char *window(const glia_dataset *d, int64_t i) {
    static char out[200];
    const glia_dataset_info *info = glia_dataset_get_info(d);
    int64_t n = info->input_shape.dim[0], targets[16];
    float inputs[16];
    size_t used = 0;
    glia_error err = {0};
    CHECK_OK(glia_dataset_gather(d, &i, 1, inputs, targets, &err), &err);
    for (int64_t k = 0; k < n; k++)
        used += (size_t)snprintf(out + used, sizeof out - used, "%s", info->vocabulary[(int64_t)inputs[k]]);
    used += (size_t)snprintf(out + used, sizeof out - used, ">");
    for (int64_t k = 0; k < n; k++)
        used += (size_t)snprintf(out + used, sizeof out - used, "%s", info->vocabulary[targets[k]]);
    return out;
}

TEST(windows) {
    scratch_make();
    glia_dataset *d = open_text("\xEF\xBB\xBFhello, world", (glia_text_options){.length = 4});
    const glia_dataset_info *info = glia_dataset_get_info(d);
    CHECK_INT(info->count, 2); /* 12 characters: "rld" has no fourth successor */
    CHECK_INT(info->n_vocabulary, 9);
    CHECK_INT(info->classes, 9);
    CHECK_INT(info->target_shape.dim[0], 4);
    CHECK_STR(info->vocabulary[0], " "); /* by code point */
    CHECK_STR(info->vocabulary[2], "d");
    CHECK_STR(window(d, 0), "hell>ello");
    CHECK_STR(window(d, 1), "o, w>, wo");
    glia_dataset_free(d);
    d = open_text("hello, world", (glia_text_options){.length = 4, .stride = 3});
    CHECK_INT(glia_dataset_get_info(d)->count, 3);
    CHECK_STR(window(d, 2), " wor>worl");
    glia_dataset_free(d);
    scratch_remove();
}

/* The last part is cut off, windows that reach into it are nobody's, and those of it do not overlap. */
TEST(split_at_a_place) {
    scratch_make();
    glia_dataset *d = open_text("abcdefghijklmnopqrstuvwxyz", (glia_text_options){.length = 4, .stride = 1});
    glia_dataset *rest, *part;
    glia_error err = {0};
    CHECK_INT(glia_dataset_get_info(d)->count, 22);
    CHECK_OK(glia_dataset_split(&rest, &part, d, 10, false, 1, &err), &err);
    CHECK_INT(glia_dataset_get_info(part)->count, 3);
    CHECK_STR(window(part, 0), "mnop>nopq");
    CHECK_STR(window(part, 2), "uvwx>vwxy");
    CHECK_INT(glia_dataset_get_info(rest)->count, 9);
    CHECK_STR(window(rest, 8), "ijkl>jklm");
    glia_dataset_free(rest), glia_dataset_free(part);
    CHECK(glia_dataset_split(&rest, &part, d, 0.5, true, 1, &err) == GLIA_INVALID_ARGUMENT);
    CHECK_HAS(err.message, "split at a place");
    err = (glia_error){0};
    CHECK(glia_dataset_split(&rest, &part, d, 20, false, 1, &err) == GLIA_INVALID_ARGUMENT);
    CHECK_HAS(err.message, "those before them all reach into the part");
    glia_dataset_free(d);
    scratch_remove();
}

static glia_dataset *open_table(const char *text, glia_dataset_options o) {
    char source[600];
    glia_dataset *d = NULL;
    glia_error err = {0};
    snprintf(source, sizeof source, "text_table:%s", scratch_text("t.tsv", text));
    CHECK_OK(glia_dataset_open_with(&d, source, o, &err), &err);
    return d;
}

/* The words of example i and its class. */
static const char *row(const glia_dataset *d, int64_t i) {
    static char out[200];
    const glia_dataset_info *info = glia_dataset_get_info(d);
    float inputs[16];
    int64_t label = 0;
    size_t used = 0;
    glia_error err = {0};
    CHECK_OK(glia_dataset_gather(d, &i, 1, inputs, &label, &err), &err);
    for (int64_t k = 0; k < info->input_shape.dim[0]; k++)
        used += (size_t)snprintf(out + used, sizeof out - used, "%s ", info->vocabulary[(int64_t)inputs[k]]);
    snprintf(out + used, sizeof out - used, "%s", info->class_names ? info->class_names[label] : "-");
    return out;
}

TEST(tables) {
    static const char table[] =
        "sentence\tlabel\nA \"good\" film\tyes\nbad film\tno\na very long bad film\tno\n";
    scratch_make();
    glia_text_options text = {.length = 4, .min_count = 1};
    glia_dataset *d = open_table(table, (glia_dataset_options){.text = text});
    const glia_dataset_info *info = glia_dataset_get_info(d);
    CHECK_INT(info->count, 3);
    CHECK_INT(info->classes, 2);
    CHECK_STR(row(d, 0), "a \" good \" yes"); /* cut; between tabs quotes are characters */
    CHECK_STR(row(d, 1), "bad film <pad> <pad> no");
    CHECK_STR(info->vocabulary[0], "<pad>");
    CHECK_STR(info->vocabulary[1], "<unk>");
    CHECK_STR(info->vocabulary[2], "\""); /* of equally frequent ones the first by its bytes */
    glia_dataset_free(d);

    text = (glia_text_options){.length = 4, .min_count = 2};
    d = open_table(table, (glia_dataset_options){.text = text});
    CHECK_STR(row(d, 2), "a <unk> <unk> bad no");
    glia_dataset_free(d);
    text.vocabulary = 3;
    d = open_table(table, (glia_dataset_options){.text = text});
    CHECK_INT(glia_dataset_get_info(d)->n_vocabulary, 3);
    glia_dataset_free(d);

    /* without a header, label first; commas and quotes where there are no tabs */
    text = (glia_text_options){.length = 3, .min_count = 1};
    d = open_table("spam\tFree, now\nham\tOk\n", (glia_dataset_options){.text = text, .label = "1"});
    CHECK_STR(row(d, 0), "free , now spam");
    glia_dataset_free(d);
    d = open_table(
        "id,label,review\n1,0,\"a, b\"\n2,1,c\n",
        (glia_dataset_options){.text = {.length = 3, .min_count = 1, .column = "review"}, .label = "label"});
    CHECK_STR(row(d, 0), "a , b 0");
    CHECK_STR(row(d, 1), "c <pad> <pad> 1");
    glia_dataset_free(d);
    scratch_remove();
}

/* What a vocabulary is learnt from, and what others make of it. */
TEST(vocabulary_of_the_training_part) {
    scratch_make();
    glia_text_options text = {.length = 2, .min_count = 1};
    glia_dataset *d = open_table("x y\t0\nx z\t1\nnew x\t1\n", (glia_dataset_options){.text = text});
    const int64_t first[] = {0, 1}, last[] = {2};
    glia_dataset *train, *test;
    glia_error err = {0};
    CHECK_OK(glia_dataset_take(&train, d, first, 2, &err), &err);
    CHECK_OK(glia_dataset_take(&test, d, last, 1, &err), &err);
    CHECK_OK(glia_dataset_set_vocabulary(train, NULL, 0, &err), &err);
    const glia_dataset_info *info = glia_dataset_get_info(train);
    CHECK_INT(info->n_vocabulary, 5);
    CHECK_STR(info->vocabulary[2], "x"); /* the most frequent */
    CHECK_OK(glia_dataset_set_vocabulary(test, info->vocabulary, info->n_vocabulary, &err), &err);
    CHECK_STR(row(test, 0), "<unk> x 1");
    const char *const twice[] = {"<pad>", "<unk>", "x", "x"};
    CHECK(glia_dataset_set_vocabulary(test, twice, 4, &err) == GLIA_INVALID_ARGUMENT);
    CHECK_HAS(err.message, "holds 'x' twice");
    glia_dataset_free(train), glia_dataset_free(test), glia_dataset_free(d);

    d = open_text("abcé and more", (glia_text_options){.length = 4});
    const char *const letters[] = {" ", "a", "b", "c", "d", "e", "m", "n", "o", "r"};
    err = (glia_error){0};
    CHECK(glia_dataset_set_vocabulary(d, letters, 10, &err) == GLIA_BAD_DATA);
    CHECK_HAS(err.message, "holds the character 'é'");
    CHECK_STR(window(d, 0), "abcé>bcé "); /* as it was */
    glia_dataset_free(d);
    scratch_remove();
}

TEST(refused) {
    static const struct {
        const char *kind, *text, *message;
        size_t bytes; /* 0: all of the text */
        glia_text_options options;
        int64_t line;
    } cases[] = {
        {"text", "", "expected a text of more than 64 tokens, the length of an example, found 0", 0, {0}, 0},
        {"text", "abcd", "more than 4 tokens, the length of an example, found 4", 0, {.length = 4}, 0},
        {"text", "one\ntwo\xFF", "not UTF-8: byte 0xFF at 7", 0, {0}, 2},
        {"text", "cut\xE2\x82", "not UTF-8: byte 0xE2 at 3", 0, {0}, 1},
        {"text", "a\0b", "not a text file: it holds a zero byte at 1", 3, {0}, 0},
        {"text", "abc", "tokens: expected characters or words, found 'letters'", 0, {.tokens = "letters"}, 0},
        {"text", "abc", "length: expected a number from 1 to 1048576, found -1", 0, {.length = -1}, 0},
        {"text_table", "", "the table is empty", 0, {0}, 0},
        {"text_table", "text\tlabel\n", "the table is empty", 0, {0}, 0},
        {"text_table", "just a line\n", "expected a column of texts beside that of the labels", 0, {0}, 0},
        {"text_table", "a\t1\nb\t2\t3\n", "expected 2 cells as in the first row, found 3", 0, {0}, 2},
        {"text_table", "a\t1\nb\xFF\t2\n", "not UTF-8: byte 0xFF at 1", 0, {0}, 2},
        {"text_table", "a\t\nb\t2\n", "the label is missing", 0, {0}, 1},
        {"text_table", "a\tb\t1\n", "say which holds the text", 0, {0}, 0},
        {"text_table", "a\t1\n", "there is no column 'review'", 0, {.column = "review"}, 0},
    };
    scratch_make();
    for (size_t i = 0; i < GLIA_COUNT(cases); i++) {
        char source[600];
        glia_dataset *d = NULL;
        glia_error err = {0};
        const size_t bytes = cases[i].bytes ? cases[i].bytes : strlen(cases[i].text);
        snprintf(source, sizeof source, "%s:%s", cases[i].kind, scratch_put("t.txt", cases[i].text, bytes));
        CHECK(glia_dataset_open_with(&d, source, (glia_dataset_options){.text = cases[i].options}, &err) !=
              GLIA_OK);
        CHECK_HAS(err.message, cases[i].message);
        if (cases[i].line) CHECK_INT(err.line, cases[i].line);
        glia_dataset_free(d);
    }
    scratch_remove();
}

TEST(long_lines) { /* a word of any length ends somewhere, and nothing is lost */
    char text[3000], token[GLIA_TOKEN_BYTES];
    memset(text, 'x', sizeof text);
    const char *at = text;
    size_t sum = 0;
    for (size_t bytes; (bytes = glia__token_next(GLIA_TOKENS_WORDS, &at, text + sizeof text, token)) > 0;)
        sum += bytes;
    CHECK_INT(sum, sizeof text);
}

TEST(memory) {
    scratch_make();
    const char *const sources[] = {"text:%s", "text_table:%s"};
    for (int kind = 0; kind < 2; kind++) {
        char source[600];
        snprintf(source, sizeof source, sources[kind],
                 scratch_text("t.tsv", "some text\t1\nmore text\t2\nand more\t1\n"));
        FOR_EACH_FAILURE(memory) {
            glia_error err = {0};
            glia_dataset *d = NULL, *rest = NULL, *part = NULL;
            glia_dataset_options options = {.text = {.length = 4, .stride = 1},
                                            .allocator = &memory.allocator};
            glia_status status = glia_dataset_open_with(&d, source, options, &err);
            if (status == GLIA_OK) status = glia_dataset_split(&rest, &part, d, 1, false, 0, &err);
            if (status == GLIA_OK) status = glia_dataset_set_vocabulary(rest, NULL, 0, &err);
            CHECK_FAILED_ONCE(memory, status);
            if (status != GLIA_OK) CHECK_HAS(err.message, "out of memory");
            glia_dataset_free(rest), glia_dataset_free(part), glia_dataset_free(d);
        }
    }
    scratch_remove();
}

/* --- padding --------------------------------------------------------------------------------------------- */

/* What stands behind a text changes nothing, where the embedding masks it. */
TEST(padding_is_masked) {
    const float texts[] = {3, 4, 0, 0, 0, 3, 4, 5, 6, 7}, alone[] = {3, 4};
    float results[2][6];
    for (int i = 0; i < 2; i++) {
        glia_error err = {0};
        glia_model *model = glia_model_new("masked");
        glia_value *x = glia_input(model, "words", .shape = {i ? 2 : 5});
        x = glia_embedding(x, .vocabulary = 8, .units = 3, .mask_zero = GLIA_YES);
        x = glia_layer(model, "tanh", NULL, &x, 1, NULL);
        x = glia_lstm(x, .units = 3, .bidirectional = GLIA_YES);
        glia_model_set_output(model, x);
        CHECK_OK(glia_model_initialize(model, 1, &err), &err);
        float y[12];
        glia_tensor in = {.dtype = GLIA_F32, .shape = i ? GLIA_SHAPE(1, 2) : GLIA_SHAPE(2, 5)};
        glia_tensor out = {.dtype = GLIA_F32, .shape = i ? GLIA_SHAPE(1, 6) : GLIA_SHAPE(2, 6), .data = y};
        in.data = (void *)(uintptr_t)(i ? alone : texts);
        CHECK_OK(glia_predict(model, &in, false, &out, &err), &err);
        memcpy(results[i], y, sizeof results[i]);
        if (!i) CHECK(fabsf(y[0] - y[6]) > 1e-6f); /* the longer text is another one */
        glia_model_free(model);
    }
    for (int k = 0; k < 6; k++) CHECK_NEAR(results[0][k], results[1][k], 1e-6);
}

TEST_MAIN(TEST_ENTRY(token_rules), TEST_ENTRY(windows), TEST_ENTRY(split_at_a_place), TEST_ENTRY(tables),
          TEST_ENTRY(vocabulary_of_the_training_part), TEST_ENTRY(refused), TEST_ENTRY(long_lines),
          TEST_ENTRY(memory), TEST_ENTRY(padding_is_masked))
