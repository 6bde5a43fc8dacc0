/* The report: well-formed, self-contained, escaped, with and without each part, and out of memory. */
#include "test.h"

#include <unistd.h>

#include "core/file.h"
#include "failing_allocator.h"
#include "glia/io.h"
#include "report/report.h"

static char path[64];

/* Writes the page and reads it back; free with glia__free(NULL, html, strlen(html) + 1). */
static char *render(const glia_report_page *page) {
    char *html = NULL;
    size_t bytes = 0;
    glia_error err = {0};
    snprintf(path, sizeof path, "%s/glia_test_report_%ld.html", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (long)getpid());
    CHECK_OK(glia__report_write(path, page, &err), &err);
    CHECK_OK(glia__file_read(path, 64 << 20, NULL, &html, &bytes, &err), &err);
    unlink(path);
    CHECK_INT(bytes, html ? strlen(html) : 0);
    return html;
}

static void discard(char *html) {
    glia__free(NULL, html, strlen(html) + 1);
}

/* --- is it well-formed? ----------------------------------------------------------------------------------- */

enum { DEEPEST = 32, LONGEST = 16 };

static bool is_void(const char *tag) {
    return strcmp(tag, "meta") == 0 || strcmp(tag, "img") == 0 || strcmp(tag, "wbr") == 0;
}

/* The end of the tag at `c` ("<…"), past quoted attribute values; NULL when it has none. */
static const char *tag_end(const char *c) {
    bool quote = false;
    for (c++; *c; c++) {
        if (!quote && *c == '<') return NULL; /* another begins within */
        if (!quote && *c == '>') return c;
        if (*c == '"') quote = !quote;
    }
    return NULL;
}

/* Every tag that opens is closed, in order; ampersands begin entities. */
static bool well_formed(const char *html) {
    char open[DEEPEST][LONGEST];
    int depth = 0;
    for (const char *c = html; *c; c++) {
        if (*c == '&') {
            size_t letters = strspn(c + 1, "#0123456789abcdefghijklmnopqrstuvwxyz");
            if (letters == 0 || c[1 + letters] != ';') return false;
        }
        if (*c != '<' || c[1] == '!') continue;
        bool closing = c[1] == '/';
        const char *name = c + 1 + closing, *end = tag_end(c);
        size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");
        char tag[LONGEST];
        if (!end || length == 0 || length >= LONGEST) return false;
        snprintf(tag, sizeof tag, "%.*s", (int)length, name);
        bool alone = end[-1] == '/' || is_void(tag);
        c = end;
        if (closing) {
            if (depth == 0 || strcmp(open[--depth], tag) != 0) return false;
        } else if (!alone) {
            if (depth == DEEPEST) return false;
            snprintf(open[depth++], LONGEST, "%s", tag);
            if (strcmp(tag, "style") == 0) c = strstr(end, "</style>") - 1;
        }
    }
    return depth == 0;
}

static int occurrences(const char *text, const char *part) {
    int count = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) count++;
    return count;
}

static void check_page(const char *html) {
    CHECK(well_formed(html));
    CHECK(strstr(html, "://") == NULL && strstr(html, "<script") == NULL && strstr(html, "@import") == NULL);
    CHECK(strstr(html, "nan") == NULL && strstr(html, "inf%") == NULL);
}

TEST(checker) {
    CHECK(well_formed("<!DOCTYPE html><a b=\"x>y\"><wbr><c/>t &amp; u</a>"));
    CHECK(!well_formed("<a>"));
    CHECK(!well_formed("<a></b>"));
    CHECK(!well_formed("</a>"));
    CHECK(!well_formed("<p>a & b</p>"));
    CHECK(!well_formed("<p>a < b</p>"));
}

/* --- a whole page ----------------------------------------------------------------------------------------- */

static const glia_report_fact figures[] = {{"test accuracy", "0.9842"}, {"without value", NULL}};
static const glia_report_fact facts[] = {{"data set", "mnist"}, {"seed", "7"}};
static const double train_loss[] = {0.5, 0.2, 0.1}, val_loss[] = {0.4, NAN, 0.2}, accuracy[] = {.8, .9, .95};
static const glia_report_curve curves[] = {
    {"Loss", "training", train_loss}, {"Accuracy", "training", accuracy}, {"Loss", "validation", val_loss}};
static const int64_t confusion[] = {8, 2, 0, /**/ 1, 9, 0, /**/ 0, 0, 0};
static const char *const names[] = {"cat", "dog", "newt"};
static const float measured[] = {1, 2, 3, NAN}, predicted[] = {1.5f, 2, 2.5f, 1};
static unsigned char pixels[3 * 4 * 4];

static glia_report_page whole_page(glia_report_mistake *mistakes, const glia_layer_info *layers) {
    mistakes[0] = (glia_report_mistake){{0}, 0, 1, 0.9876, NULL};
    mistakes[0].image = glia_tensor_wrap(pixels, GLIA_U8, GLIA_SHAPE(1, 4, 4));
    mistakes[1] = (glia_report_mistake){{0}, 1, 0, NAN, NULL};
    mistakes[1].image = glia_tensor_wrap(pixels, GLIA_U8, GLIA_SHAPE(3, 4, 4));
    return (glia_report_page){
        .title = "mnist_cnn-7",
        .subtitle = "a small network",
        .command = "glia train x.yaml",
        .figures = figures,
        .figure_count = 2,
        .facts = facts,
        .fact_count = 2,
        .epochs = 3,
        .best_epoch = 2,
        .curves = curves,
        .curve_count = 3,
        .confusion = confusion,
        .classes = 3,
        .class_names = names,
        .measured = measured,
        .predicted = predicted,
        .points = 4,
        .mistakes = mistakes,
        .mistake_count = 2,
        .layers = layers,
        .layer_count = 1,
    };
}

TEST(all_parts) {
    glia_report_mistake mistakes[2];
    glia_layer_info layer = {"conv1", "conv2d", GLIA_SHAPE(GLIA_DIM_BATCH, 32, 26, 26), 1199882, 2.5e6};
    glia_report_page page = whole_page(mistakes, &layer);
    char *html = render(&page);
    check_page(html);
    CHECK_HAS(html, "<title>mnist_cnn-7</title>");
    CHECK_HAS(html, "<dt>test accuracy</dt><dd>0.9842</dd>");
    CHECK(strstr(html, "without value") == NULL);
    CHECK_HAS(html, "<pre><code>glia train x.yaml</code></pre>");
    CHECK_HAS(html, "best epoch 2");
    CHECK_INT(occurrences(html, "aria-label=\"Loss\""), 1); /* two curves, one chart */
    CHECK_HAS(html, "validation, epoch 3: 0.2</title>");
    CHECK(strstr(html, "validation, epoch 2") == NULL); /* NaN: not measured */
    CHECK_HAS(html, "<span>cat as dog <b>2×</b> (20&#8239;%)</span>");
    CHECK_HAS(html, "1,199,882");
    CHECK_HAS(html, "N×32×26×26");
    CHECK_HAS(html, "2.5 M");
    CHECK_HAS(html, "predicted <b>dog</b></span><span>98.8&#8239;% sure</span>");
    CHECK_HAS(html, "Not finite and left out: 1.");
    discard(html);
}

TEST(class_figures) {
    glia_report_page page = {.confusion = confusion, .classes = 3, .class_names = names};
    char *html = render(&page);
    check_page(html);
    const char *cat = strstr(html, "<th scope=\"row\" class=\"name\" title=\"cat\">");
    CHECK_HAS(cat, "--v:0.889\">0.8889</td>");                                      /* precision 8/9 */
    CHECK_HAS(cat, ">0.8000</td>");                                                 /* recall 8/10 */
    CHECK_HAS(cat, ">0.8421</td><td>10</td>");                                      /* F1 */
    CHECK_HAS(html, "macro mean</th><td class=\"bar\" style=\"--v:0.569\">0.5690"); /* newt counts 0 */
    CHECK_HAS(html, "weighted mean</th><td class=\"bar\" style=\"--v:0.854\">0.8535");
    CHECK_HAS(html, "<td class=\"hit high\" style=\"--a:0.93\">8</td><td class=\"miss low\" "
                    "style=\"--a:0.58\">2</td><td class=\"none\">·</td>");
    discard(html);
}

/* Every part left out in turn; without all of them the page is still one. */
TEST(parts_left_out) {
    glia_report_mistake mistakes[2];
    glia_layer_info layer = {"d", "dense", GLIA_SHAPE(GLIA_DIM_BATCH, 10), 7850, 15680};
    static const char *const headings[] = {"<h2>Training</h2>",     "<h2>Confusion matrix</h2>",
                                           "<h2>Predicted against", "<h2>Worst mistakes</h2>",
                                           "<h2>Model</h2>",        "<h2>Run</h2>",
                                           "<dl class=\"figures\">"};
    for (size_t left_out = 0; left_out <= GLIA_COUNT(headings); left_out++) {
        glia_report_page page = whole_page(mistakes, &layer);
        if (left_out == 0) page.epochs = 0;
        if (left_out == 1) page.confusion = NULL;
        if (left_out == 2) page.predicted = NULL;
        if (left_out == 3) page.mistake_count = 0;
        if (left_out == 4) page.layers = NULL;
        if (left_out == 5) page.facts = NULL, page.command = NULL;
        if (left_out == 6) page.figure_count = 0;
        if (left_out == 7) page = (glia_report_page){0};
        char *html = render(&page);
        check_page(html);
        for (size_t i = 0; i < GLIA_COUNT(headings); i++)
            CHECK_INT(strstr(html, headings[i]) != NULL, left_out != 7 && i != left_out);
        CHECK_INT(strstr(html, "<title>Report</title>") != NULL, left_out == 7);
        discard(html);
    }
}

TEST(escaped) {
    const char *evil[] = {"<b onload=\"x\">&'", "\xFF\x01", NULL};
    glia_report_fact fact = {evil[0], evil[0]};
    double values[] = {1};
    glia_report_curve curve = {evil[0], evil[0], values};
    glia_layer_info layer = {evil[0], evil[0], GLIA_SHAPE(1), 1, 1};
    glia_report_mistake mistake = {{0}, 0, 1, 0.5, evil[0]};
    int64_t counts[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    glia_report_page page = {.title = evil[0],
                             .subtitle = evil[0],
                             .command = evil[0],
                             .figures = &fact,
                             .figure_count = 1,
                             .facts = &fact,
                             .fact_count = 1,
                             .epochs = 1,
                             .curves = &curve,
                             .curve_count = 1,
                             .confusion = counts,
                             .classes = 3,
                             .class_names = evil,
                             .mistakes = &mistake,
                             .mistake_count = 1,
                             .layers = &layer,
                             .layer_count = 1};
    char *html = render(&page);
    check_page(html);
    CHECK(strstr(html, "<b onload") == NULL);
    CHECK_HAS(html, "<h1>&lt;b onload=&quot;x&quot;&gt;&amp;&#39;</h1>");
    CHECK_HAS(html, ">\uFFFD\uFFFD</th>");
    CHECK_HAS(html, ">2</th>"); /* a class without a name has its number */
    discard(html);
}

/* Data that are no pictures: mistakes and errors are rows of a table. */
TEST(examples_in_words) {
    glia_report_mistake mistakes[] = {{{0}, 0, 1, 0.75, "petal 5.1, sepal <1"}, {{0}, 1, 0, NAN, NULL}};
    glia_report_error errors[] = {{22, 47.25, "rooms 6.2"}, {50, 42.5, NULL}};
    glia_report_page page = {.classes = 3,
                             .class_names = names,
                             .mistakes = mistakes,
                             .mistake_count = 2,
                             .errors = errors,
                             .error_count = 2};
    char *html = render(&page);
    check_page(html);
    CHECK_INT(occurrences(html, "<figure>"), 0);
    CHECK_HAS(html, "cat</th><td class=\"left name\"><b>dog</b></td><td>75.0&#8239;%</td>"
                    "<td class=\"left input\">petal 5.1, sepal &lt;1</td></tr>");
    CHECK_HAS(html, "<b>cat</b></td><td></td><td class=\"left input\"></td></tr>");
    CHECK_HAS(html, "<h2>Largest errors</h2>");
    CHECK_HAS(
        html,
        "<tr><td>22</td><td>47.25</td><td><b>+25.25</b></td><td class=\"left input\">rooms 6.2</td></tr>");
    CHECK_HAS(html, "<td><b>-7.5</b></td>");
    discard(html);
}

/* A path may break after its slashes, and nowhere loses a letter. */
TEST(long_facts) {
    char text[700], *html;
    memset(text, 'x', sizeof text);
    memcpy(text, "csv:/data/", 10);
    text[sizeof text - 1] = 0;
    glia_report_fact fact = {"data", text};
    glia_report_page page = {.facts = &fact, .fact_count = 1};
    html = render(&page);
    check_page(html);
    CHECK_HAS(html, "<dd>csv:/<wbr>data/<wbr>xxx");
    CHECK_HAS(html, text + 10);
    discard(html);
}

/* --- charts ----------------------------------------------------------------------------------------------- */

static char *render_curve(const double *values, size_t epochs, size_t best_epoch) {
    glia_report_curve curve = {"Loss", "training", values};
    glia_report_page page = {.epochs = epochs, .best_epoch = best_epoch, .curves = &curve, .curve_count = 1};
    char *html = render(&page);
    check_page(html);
    return html;
}

TEST(charts) {
    double nothing[] = {NAN, INFINITY, -INFINITY}, one[] = {0.25}, flat[] = {0, 0}, wide[] = {1e-6, 10};
    double huge[] = {-1e300, 1e300}, lonely[] = {1, NAN, 2};
    char *html = render_curve(nothing, 3, 1);
    CHECK_HAS(html, "No finite value was measured.");
    discard(html);
    html = render_curve(one, 1, 1);
    CHECK_HAS(html, "training, epoch 1: 0.25</title>");
    CHECK_HAS(html, "best epoch 1");
    discard(html);
    html = render_curve(flat, 2, 3);
    CHECK(strstr(html, "best epoch") == NULL); /* beyond the last */
    discard(html);
    html = render_curve(wide, 2, 0);
    CHECK_HAS(html, "logarithmic scale");
    CHECK_HAS(html, ">0.01</text>");
    discard(html);
    html = render_curve(huge, 2, 0);
    CHECK_HAS(html, "e+");
    discard(html);
    html = render_curve(lonely, 3, 0);
    CHECK_INT(occurrences(html, "<circle"), 2);
    discard(html);
    double many[500];
    for (int i = 0; i < 500; i++) many[i] = 1.0 / (i + 1);
    html = render_curve(many, 500, 400);
    CHECK_INT(occurrences(html, "<circle"), 0); /* no room */
    CHECK_HAS(html, ">500</text>");
    discard(html);
}

TEST(many_classes) {
    enum { MOST = 300 };
    static int64_t counts[MOST * MOST];
    int sizes[] = {1, 2, 40, 41, 300};
    for (int k = 0; k < 5; k++) {
        int n = sizes[k];
        memset(counts, 0, sizeof counts);
        for (int i = 0; i < n; i++) counts[i * n + i] = 10 + i;
        if (n > 1) counts[1] = 5;
        glia_report_page page = {.confusion = counts, .classes = n};
        char *html = render(&page);
        check_page(html);
        CHECK_INT(occurrences(html, "<td class=\"hit"), n <= 40 ? n : 0);
        CHECK_INT(occurrences(html, "<rect class=\"hit\""), n > 40 && n <= 250 ? n : 0);
        CHECK_INT(strstr(html, "too many") != NULL, n > 250);
        CHECK_INT(strstr(html, "0 as 1 <b>5×</b>") != NULL, n > 2);
        discard(html);
    }
    memset(counts, 0, sizeof counts);
    counts[0] = -5; /* nonsense is not drawn */
    glia_report_page page = {.confusion = counts, .classes = 3};
    char *html = render(&page);
    check_page(html);
    discard(html);
}

/* --- failures --------------------------------------------------------------------------------------------- */

TEST(bad_input) {
    glia_error err = {0};
    glia_report_page page = {0};
    CHECK_ERR(glia__report_write(NULL, &page, &err), GLIA_INVALID_ARGUMENT, &err, "expected a path");
    CHECK_ERR(glia__report_write("x", NULL, &err), GLIA_INVALID_ARGUMENT, &err, "expected a path");
    CHECK_ERR(glia__report_write("/no/such/folder/r.html", &page, &err), GLIA_NOT_FOUND, &err, "r.html");
#ifdef GLIA_HAVE_PNG
    glia_report_mistake mistake = {glia_tensor_wrap(pixels, GLIA_U8, GLIA_SHAPE(2, 4, 4)), 0, 1, 0.5, NULL};
    page.mistakes = &mistake;
    page.mistake_count = 1;
    CHECK(glia__report_write("/no/such/folder/r.html", &page, &err) != GLIA_OK);
    CHECK_HAS(err.message, "a picture of the report: ");
#endif
}

TEST(memory) {
    glia_report_mistake mistakes[2];
    glia_layer_info layer = {"d", "dense", GLIA_SHAPE(GLIA_DIM_BATCH, 10), 7850, 15680};
    glia_report_page page = whole_page(mistakes, &layer);
    char *html = render(&page); /* sets the path */
    discard(html);
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        page.allocator = &memory.allocator;
        glia_status status = glia__report_write(path, &page, &err);
        CHECK_FAILED_ONCE(memory, status);
        CHECK_INT(access(path, F_OK) == 0, status == GLIA_OK);
        unlink(path);
    }
}

TEST_MAIN(TEST_ENTRY(checker), TEST_ENTRY(all_parts), TEST_ENTRY(class_figures), TEST_ENTRY(parts_left_out),
          TEST_ENTRY(escaped), TEST_ENTRY(examples_in_words), TEST_ENTRY(long_facts), TEST_ENTRY(charts),
          TEST_ENTRY(many_classes), TEST_ENTRY(bad_input), TEST_ENTRY(memory))
