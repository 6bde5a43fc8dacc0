/* report.c: the page: its head, its sections in order, and writing it to a file. */
#include "report/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "core/file.h"
#include "glia/io.h"
#include "glia/version.h"
#include "report/page.h"

void glia__report_integer(glia_text *out, int64_t value) {
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%" PRId64, value);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-') glia__text_add(out, ",");
        glia__text_add_bytes(out, digits + i, 1);
    }
}

/* "3.21 M" */
static void add_large(glia_text *out, double value) {
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < GLIA_COUNT(units)) {
        value /= 1000;
        unit++;
    }
    glia__text_printf(out, "%.3g%s", value, units[unit]);
}

/* --- head, figures, facts --------------------------------------------------------------------------------- */

static void draw_head(glia_text *out, const glia_report_page *page) {
    const char *title = page->title ? page->title : "Report";
    /* The policy makes sure of what the page promises: nothing is loaded from anywhere. */
    glia__text_add(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                        "img-src data:; style-src 'unsafe-inline'\">\n"
                        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    glia__text_add_html(out, title);
    glia__text_add(out, "</title>\n<style>");
    glia__text_add(out, glia__report_style);
    glia__text_add(out, "</style>\n</head>\n<body>\n<header><h1>");
    glia__text_add_html(out, title);
    glia__text_add(out, "</h1>");
    if (page->subtitle) {
        glia__text_add(out, "<p>");
        glia__text_add_html(out, page->subtitle);
        glia__text_add(out, "</p>");
    }
    glia__text_add(out, "</header>\n<main>\n");
}

/* Text that may break after a slash or a comma, as paths do. */
static void add_breakable(glia_text *out, const char *text) {
    char part[256];
    while (*text) {
        size_t length = GLIA_MIN(strcspn(text, "/,"), sizeof part - 2);
        bool breaks = text[length] == '/' || text[length] == ',';
        if (breaks) length++;
        memcpy(part, text, length);
        part[length] = 0;
        glia__text_add_html(out, part);
        if (breaks) glia__text_add(out, "<wbr>");
        text += length;
    }
}

static bool any_fact(const glia_report_fact *facts, size_t count) {
    for (size_t i = 0; facts && i < count; i++)
        if (facts[i].name && facts[i].value) return true;
    return false;
}

static void draw_facts(glia_text *out, const char *list_class, const glia_report_fact *facts, size_t count) {
    if (!any_fact(facts, count)) return;
    glia__text_printf(out, "<dl class=\"%s\">\n", list_class);
    for (size_t i = 0; i < count; i++) {
        if (!facts[i].name || !facts[i].value) continue;
        glia__text_add(out, "<div><dt>");
        glia__text_add_html(out, facts[i].name);
        glia__text_add(out, "</dt><dd>");
        add_breakable(out, facts[i].value);
        glia__text_add(out, "</dd></div>\n");
    }
    glia__text_add(out, "</dl>\n");
}

static void draw_run(glia_text *out, const glia_report_page *page) {
    if (!any_fact(page->facts, page->fact_count) && !page->command) return;
    glia__text_add(out, "<section><h2>Run</h2>\n");
    draw_facts(out, "facts", page->facts, page->fact_count);
    if (page->command) {
        glia__text_add(out, "<pre><code>");
        glia__text_add_html(out, page->command);
        glia__text_add(out, "</code></pre>\n");
    }
    glia__text_add(out, "</section>\n");
}

/* --- curves ----------------------------------------------------------------------------------------------- */

/* One chart for every title, in order of first appearance. */
static void draw_curves(glia_text *out, const glia_report_page *page) {
    if (!page->curves || page->curve_count == 0 || page->epochs == 0) return;
    glia__text_add(out, "<section><h2>Training</h2><div class=\"charts\">\n");
    for (size_t i = 0; i < page->curve_count; i++) {
        size_t first = 0;
        while (!glia__same_chart(&page->curves[first], &page->curves[i])) first++;
        if (first == i) glia__chart_lines(out, page, i);
    }
    glia__text_add(out, "</div></section>\n");
}

static bool has_points(const glia_report_page *page) {
    return page->measured && page->predicted && page->points > 0;
}

static void draw_points(glia_text *out, const glia_report_page *page) {
    if (!has_points(page)) return;
    glia__text_add(out, "<section><h2>Predicted against measured</h2><div class=\"scatter\">\n");
    glia__chart_scatter(out, page->measured, page->predicted, page->points);
    glia__text_add(out, "</div></section>\n");
}

static void draw_input(glia_text *out, const char *input) {
    glia__text_add(out, "<td class=\"left input\">");
    glia__text_add_html(out, input ? input : "");
    glia__text_add(out, "</td></tr>\n");
}

static void draw_errors(glia_text *out, const glia_report_page *page) {
    if (!page->errors || page->error_count == 0) return;
    glia__text_add(out,
                   "<section><h2>Largest errors</h2><div class=\"scroll\"><table class=\"list\"><thead><tr>"
                   "<th scope=\"col\" class=\"left\">measured</th><th scope=\"col\">predicted</th>"
                   "<th scope=\"col\">error</th><th scope=\"col\" class=\"left\">example</th></tr></thead>"
                   "<tbody>\n");
    for (size_t i = 0; i < page->error_count; i++) {
        const glia_report_error *e = &page->errors[i];
        glia__text_printf(out, "<tr><td>%.4g</td><td>%.4g</td><td><b>%+.4g</b></td>", e->measured,
                          e->predicted, e->predicted - e->measured);
        draw_input(out, e->input);
    }
    glia__text_add(out, "</tbody></table></div></section>\n");
}

/* --- mistakes --------------------------------------------------------------------------------------------- */

static void add_base64(glia_text *out, const unsigned char *data, size_t bytes) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        unsigned group = (unsigned)data[i] << 16;
        if (left > 1) group |= (unsigned)data[i + 1] << 8;
        if (left > 2) group |= data[i + 2];
        char four[4] = {letters[group >> 18], letters[group >> 12 & 63],
                        left > 1 ? letters[group >> 6 & 63] : '=', left > 2 ? letters[group & 63] : '='};
        glia__text_add_bytes(out, four, 4);
    }
}

/* *pictures turns false, without an error, when the build has no libpng. */
static glia_status draw_picture(glia_text *out, const glia_report_page *page, const glia_tensor *image,
                                bool *pictures, glia_error *err) {
    unsigned char *data = NULL;
    size_t bytes = 0;
    glia_error reason = {0};
    glia_status status = GLIA_UNSUPPORTED;
    if (image->data && *pictures) status = glia_png_encode(image, &data, &bytes, page->allocator, &reason);
    if (status == GLIA_UNSUPPORTED) {
        if (image->data) *pictures = false;
        return GLIA_OK;
    }
    if (status != GLIA_OK) return glia_error_set(err, status, "a picture of the report: %s", reason.message);
    glia__text_add(out, "<img alt=\"\" src=\"data:image/png;base64,");
    add_base64(out, data, bytes);
    glia__text_add(out, "\">");
    glia__free(page->allocator, data, bytes);
    return GLIA_OK;
}

/* "true 7" */
static void draw_answer(glia_text *out, const glia_report_page *page, const char *what, int64_t index) {
    glia__text_printf(out, "<span>%s <b>", what);
    glia__report_class(out, page, index);
    glia__text_add(out, "</b></span>");
}

static glia_status draw_mistake(glia_text *out, const glia_report_page *page,
                                const glia_report_mistake *mistake, bool *pictures, glia_error *err) {
    glia__text_add(out, "<figure>");
    GLIA_TRY(draw_picture(out, page, &mistake->image, pictures, err));
    glia__text_add(out, "<figcaption>");
    draw_answer(out, page, "true", mistake->label);
    draw_answer(out, page, "predicted", mistake->predicted);
    if (!isnan(mistake->probability))
        glia__text_printf(out, "<span>%.1f&#8239;%% sure</span>", mistake->probability * 100);
    glia__text_add(out, "</figcaption></figure>\n");
    return GLIA_OK;
}

static void draw_mistake_table(glia_text *out, const glia_report_page *page) {
    glia__text_add(out,
                   "<div class=\"scroll\"><table class=\"list\"><thead><tr>"
                   "<th scope=\"col\" class=\"left\">true</th><th scope=\"col\" class=\"left\">predicted</th>"
                   "<th scope=\"col\">sure</th><th scope=\"col\" class=\"left\">example</th></tr></thead>"
                   "<tbody>\n");
    for (size_t i = 0; i < page->mistake_count; i++) {
        const glia_report_mistake *m = &page->mistakes[i];
        glia__text_add(out, "<tr><th scope=\"row\" class=\"name\">");
        glia__report_class(out, page, m->label);
        glia__text_add(out, "</th><td class=\"left name\"><b>");
        glia__report_class(out, page, m->predicted);
        glia__text_add(out, "</b></td><td>");
        if (!isnan(m->probability)) glia__text_printf(out, "%.1f&#8239;%%", m->probability * 100);
        glia__text_add(out, "</td>");
        draw_input(out, m->input);
    }
    glia__text_add(out, "</tbody></table></div>");
}

static glia_status draw_mistakes(glia_text *out, const glia_report_page *page, glia_error *err) {
    bool pictures = true, words = false;
    if (!page->mistakes || page->mistake_count == 0) return GLIA_OK;
    for (size_t i = 0; i < page->mistake_count; i++) words |= page->mistakes[i].input != NULL;
    glia__text_add(out, "<section><h2>Worst mistakes</h2><p class=\"quiet\">Wrong answers, the most "
                        "confident first.</p>");
    if (words) {
        draw_mistake_table(out, page);
    } else {
        glia__text_add(out, "<div class=\"mistakes\">\n");
        for (size_t i = 0; i < page->mistake_count; i++)
            GLIA_TRY(draw_mistake(out, page, &page->mistakes[i], &pictures, err));
        glia__text_add(out, "</div>");
    }
    if (!pictures)
        glia__text_add(out, "<p class=\"quiet\">Without pictures: this build of Glia has no libpng.</p>");
    glia__text_add(out, "</section>\n");
    return GLIA_OK;
}

/* --- layers ----------------------------------------------------------------------------------------------- */

static void draw_layer(glia_text *out, const glia_layer_info *layer, int64_t all_params) {
    char shape[128];
    glia__text_add(out, "<tr><th scope=\"row\" class=\"name\">");
    glia__text_add_html(out, layer->name);
    glia__text_add(out, "</th><td class=\"left kind\">");
    glia__text_add_html(out, layer->kind);
    glia__text_printf(out, "</td><td class=\"left\">%s</td><td class=\"bar\" style=\"--v:%.3f\">",
                      glia_shape_text(&layer->output_shape, shape, sizeof shape),
                      all_params > 0 ? (double)layer->params / (double)all_params : 0.0);
    glia__report_integer(out, layer->params);
    glia__text_add(out, "</td><td>");
    add_large(out, layer->flops);
    glia__text_add(out, "</td></tr>\n");
}

static void draw_layers(glia_text *out, const glia_report_page *page) {
    int64_t params = 0;
    double flops = 0;
    if (!page->layers || page->layer_count == 0) return;
    for (size_t i = 0; i < page->layer_count; i++) {
        params += page->layers[i].params;
        flops += page->layers[i].flops;
    }
    glia__text_add(
        out,
        "<section><h2>Model</h2><div class=\"scroll\"><table class=\"list\"><thead><tr>"
        "<th scope=\"col\" class=\"left\">layer</th><th scope=\"col\" class=\"left kind\">kind</th>"
        "<th scope=\"col\" class=\"left\">output</th><th scope=\"col\">parameters</th>"
        "<th scope=\"col\" title=\"operations for one example, forward\">FLOP</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < page->layer_count; i++) draw_layer(out, &page->layers[i], params);
    glia__text_add(out, "</tbody><tfoot><tr><th scope=\"row\">all</th><td class=\"kind\"></td><td></td><td>");
    glia__report_integer(out, params);
    glia__text_add(out, "</td><td>");
    add_large(out, flops);
    glia__text_add(out, "</td></tr></tfoot></table></div></section>\n");
}

/* --- the page --------------------------------------------------------------------------------------------- */

static glia_status draw_page(glia_text *out, const glia_report_page *page, glia_error *err) {
    draw_head(out, page);
    draw_facts(out, "figures", page->figures, page->figure_count);
    if (has_points(page)) glia__text_add(out, "<div class=\"pair\">\n"); /* one chart each: side by side */
    draw_curves(out, page);
    draw_points(out, page);
    if (has_points(page)) glia__text_add(out, "</div>\n");
    draw_errors(out, page);
    glia__report_classes(out, page);
    GLIA_TRY(draw_mistakes(out, page, err));
    draw_layers(out, page);
    draw_run(out, page);
    glia__text_printf(out, "</main>\n<footer>Made by Glia %s.</footer>\n</body>\n</html>\n", glia_version());
    if (out->failed) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory making the report");
    return GLIA_OK;
}

glia_status glia__report_write(const char *path, const glia_report_page *page, glia_error *err) {
    glia_text text;
    if (!path || !page)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "expected a path and a page, found NULL");
    glia__text_init(&text, page->allocator);
    glia_status status = draw_page(&text, page, err);
    if (status == GLIA_OK) status = glia__file_write(path, text.data, text.length, err);
    glia__text_free(&text);
    return status;
}
