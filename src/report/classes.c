/* classes.c: what a confusion matrix says: the heat map, the pairs taken for each other most often, and the
 * figures of every class. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "report/page.h"

/* Up to NUMBERED classes have counts in their cells; up to DRAWN classes have a heat map at all. From DENSE on
 * the matrix takes the whole width; up to FEW its headings lie flat; from TALLEST on the table scrolls by itself. */
enum { FEW = 5, NUMBERED = 40, DENSE = 14, DRAWN = 250, MOST_PAIRS = 8, TALLEST = 25 };

static int64_t count_of(const glia_report_page *page, int64_t label, int64_t predicted) {
    int64_t count = page->confusion[label * page->classes + predicted];
    return count > 0 ? count : 0;
}

static int64_t row_sum(const glia_report_page *page, int64_t label) {
    int64_t sum = 0;
    for (int64_t j = 0; j < page->classes; j++) sum += count_of(page, label, j);
    return sum;
}

static int64_t column_sum(const glia_report_page *page, int64_t predicted) {
    int64_t sum = 0;
    for (int64_t i = 0; i < page->classes; i++) sum += count_of(page, i, predicted);
    return sum;
}

void glia__report_class(glia_text *out, const glia_report_page *page, int64_t index) {
    if (page->class_names && index >= 0 && index < page->classes && page->class_names[index])
        glia__text_add_html(out, page->class_names[index]);
    else
        glia__text_printf(out, "%" PRId64, index);
}

/* --- the heat map ----------------------------------------------------------------------------------------- */

/* The cube root of the share, so that one mistake in a hundred can be seen. */
static double shade(int64_t count, int64_t sum) {
    return sum > 0 ? cbrt((double)count / (double)sum) : 0;
}

/* Which colour of text can be read on the shade, in light and in dark; see style.c. */
static const char *text_on(double alpha) {
    return alpha < 0.6 ? "low" : alpha < 0.78 ? "mid" : "high";
}

static bool names_are_short(const glia_report_page *page) {
    if (!page->class_names) return true;
    for (int64_t i = 0; i < page->classes; i++)
        if (page->class_names[i] && strlen(page->class_names[i]) > 4) return false;
    return true;
}

static void heading(glia_text *out, const glia_report_page *page, const char *scope, int64_t index) {
    glia__text_printf(out, "<th scope=\"%s\" title=\"", scope);
    glia__report_class(out, page, index);
    glia__text_add(out, "\">");
    glia__report_class(out, page, index);
    glia__text_add(out, "</th>");
}

static void draw_table(glia_text *out, const glia_report_page *page) {
    int64_t n = page->classes;
    glia__text_printf(out,
                      "<div class=\"scroll\"><table class=\"matrix%s%s%s\" style=\"max-width:%" PRId64
                      "rem\"><thead><tr><td></td>",
                      names_are_short(page) || n <= FEW ? "" : " tall", n <= FEW ? " few" : "",
                      n > DENSE ? " dense" : "", 8 + 5 * n);
    for (int64_t j = 0; j < n; j++) heading(out, page, "col", j);
    glia__text_add(out, "</tr></thead><tbody>\n");
    for (int64_t i = 0; i < n; i++) {
        int64_t sum = row_sum(page, i);
        glia__text_add(out, "<tr>");
        heading(out, page, "row", i);
        for (int64_t j = 0; j < n; j++) {
            int64_t count = count_of(page, i, j);
            double alpha = shade(count, sum);
            if (count == 0)
                glia__text_add(out, "<td class=\"none\">·</td>");
            else
                glia__text_printf(out, "<td class=\"%s %s\" style=\"--a:%.2f\">%" PRId64 "</td>",
                                  i == j ? "hit" : "miss", text_on(alpha), alpha, count);
        }
        glia__text_add(out, "</tr>\n");
    }
    glia__text_add(out, "</tbody></table></div>\n");
}

/* Many classes: a picture of squares; each says on hovering what it is. */
static void draw_picture(glia_text *out, const glia_report_page *page) {
    enum { CELL = 10 };
    int64_t n = page->classes;
    glia__text_printf(
        out,
        "<svg viewBox=\"0 0 %" PRId64 " %" PRId64
        "\" role=\"img\" aria-label=\"Confusion matrix\"><rect width=\"100%%\" height=\"100%%\" "
        "fill=\"var(--faint)\"/>\n",
        n * CELL, n * CELL);
    for (int64_t i = 0; i < n; i++) {
        int64_t sum = row_sum(page, i);
        for (int64_t j = 0; j < n; j++) {
            int64_t count = count_of(page, i, j);
            if (count == 0) continue;
            glia__text_printf(out,
                              "<rect class=\"%s\" x=\"%" PRId64 "\" y=\"%" PRId64
                              "\" width=\"%d\" height=\"%d\" fill-opacity=\"%.2f\"><title>",
                              i == j ? "hit" : "miss", j * CELL, i * CELL, CELL, CELL, shade(count, sum));
            glia__report_class(out, page, i);
            glia__text_add(out, " → ");
            glia__report_class(out, page, j);
            glia__text_printf(out, ": %" PRId64 "</title></rect>\n", count);
        }
    }
    glia__text_add(out, "</svg>\n");
}

/* --- pairs ------------------------------------------------------------------------------------------------ */

typedef struct glia_pair {
    int64_t label, predicted, count;
} glia_pair;

/* The most frequent mistakes, the first of equals first. */
static int worst_pairs(const glia_report_page *page, glia_pair pairs[MOST_PAIRS]) {
    int found = 0;
    for (int64_t i = 0; i < page->classes; i++) {
        for (int64_t j = 0; j < page->classes; j++) {
            glia_pair pair = {i, j, i == j ? 0 : count_of(page, i, j)};
            int at = found;
            while (at > 0 && pairs[at - 1].count < pair.count) at--;
            if (pair.count == 0 || at == MOST_PAIRS) continue;
            if (found < MOST_PAIRS) found++;
            memmove(pairs + at + 1, pairs + at, sizeof pairs[0] * (size_t)(found - 1 - at));
            pairs[at] = pair;
        }
    }
    return found;
}

static void draw_pairs(glia_text *out, const glia_report_page *page) {
    glia_pair pairs[MOST_PAIRS];
    int found = worst_pairs(page, pairs);
    if (found == 0 || page->classes < 3) return;
    glia__text_add(out, "<p class=\"quiet pairs\"><span>Most often wrong:</span>");
    for (int k = 0; k < found; k++) {
        double share = 100.0 * (double)pairs[k].count / (double)row_sum(page, pairs[k].label);
        glia__text_add(out, "<span>");
        glia__report_class(out, page, pairs[k].label);
        glia__text_add(out, " as ");
        glia__report_class(out, page, pairs[k].predicted);
        glia__text_printf(out, " <b>%" PRId64 "×</b> (%.2g&#8239;%%)</span>", pairs[k].count, share);
    }
    glia__text_add(out, "</p>\n");
}

static void draw_matrix(glia_text *out, const glia_report_page *page) {
    glia__text_add(out, "<section><h2>Confusion matrix</h2>\n");
    if (page->classes > DRAWN)
        glia__text_printf(out, "<p class=\"quiet\">%" PRId64 " classes are too many for a picture.</p>\n",
                          page->classes);
    else
        glia__text_add(out, "<p class=\"quiet\">Rows: true class. Columns: predicted class. "
                            "<span class=\"keys\"><span class=\"key\" "
                            "style=\"background:rgb(var(--hit))\"></span>right</span>"
                            "<span class=\"keys\"><span class=\"key\" "
                            "style=\"background:rgb(var(--miss))\"></span>wrong</span>; "
                            "the stronger, the larger the share of the row.</p>\n");
    if (page->classes <= NUMBERED)
        draw_table(out, page);
    else if (page->classes <= DRAWN)
        draw_picture(out, page);
    draw_pairs(out, page);
    glia__text_add(out, "</section>\n");
}

/* --- every class ------------------------------------------------------------------------------------------ */

typedef struct glia_class_figures {
    double precision, recall, f1;
    int64_t support;
} glia_class_figures;

static double ratio(double a, double b) {
    return b > 0 ? a / b : 0;
}

static glia_class_figures figures_of(const glia_report_page *page, int64_t index) {
    double right = (double)count_of(page, index, index);
    glia_class_figures f = {.support = row_sum(page, index)};
    f.precision = ratio(right, (double)column_sum(page, index));
    f.recall = ratio(right, (double)f.support);
    f.f1 = ratio(2 * f.precision * f.recall, f.precision + f.recall);
    return f;
}

static void add_weighted(glia_class_figures *sum, const glia_class_figures *f, double weight) {
    sum->precision += f->precision * weight;
    sum->recall += f->recall * weight;
    sum->f1 += f->f1 * weight;
    sum->support += f->support;
}

static void draw_figures(glia_text *out, const glia_class_figures *f, double weight) {
    double values[] = {f->precision, f->recall, f->f1};
    for (int k = 0; k < 3; k++) {
        double value = ratio(values[k], weight);
        glia__text_printf(out, "<td class=\"bar\" style=\"--v:%.3f\">%.4f</td>", value, value);
    }
    glia__text_add(out, "<td>");
    glia__report_integer(out, f->support);
    glia__text_add(out, "</td></tr>\n");
}

static void draw_class_table(glia_text *out, const glia_report_page *page) {
    glia_class_figures macro = {0}, weighted = {0};
    glia__text_printf(out, "<section><h2>Classes</h2><div class=\"scroll%s\">",
                      page->classes > TALLEST ? " tall" : "");
    glia__text_add(out, "<table class=\"list\"><thead><tr><th scope=\"col\" class=\"left\">class</th>"
                        "<th scope=\"col\">precision</th><th scope=\"col\">recall</th>"
                        "<th scope=\"col\">F1</th><th scope=\"col\">examples</th></tr></thead><tbody>\n");
    for (int64_t i = 0; i < page->classes; i++) {
        glia_class_figures f = figures_of(page, i);
        add_weighted(&macro, &f, 1);
        add_weighted(&weighted, &f, (double)f.support);
        glia__text_add(out, "<tr><th scope=\"row\" class=\"name\" title=\"");
        glia__report_class(out, page, i);
        glia__text_add(out, "\">");
        glia__report_class(out, page, i);
        glia__text_add(out, "</th>");
        draw_figures(out, &f, 1);
    }
    glia__text_add(out, "</tbody><tfoot><tr><th scope=\"row\">macro mean</th>");
    draw_figures(out, &macro, (double)page->classes);
    glia__text_add(out, "<tr><th scope=\"row\">weighted mean</th>");
    draw_figures(out, &weighted, (double)weighted.support);
    glia__text_add(out, "</tfoot></table></div></section>\n");
}

void glia__report_classes(glia_text *out, const glia_report_page *page) {
    if (!page->confusion || page->classes < 1) return;
    glia__text_add(out,
                   page->classes > DENSE && page->classes <= NUMBERED ? "<div>\n" : "<div class=\"pair\">\n");
    draw_matrix(out, page);
    draw_class_table(out, page);
    glia__text_add(out, "</div>\n");
}
