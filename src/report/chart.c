/* chart.c: line charts and the scatter plot, as inline SVG. Sizes are in units of the view box, which is drawn
 * about as large, so that its letters stay readable on a phone. */
#include <math.h>
#include <stdio.h>

#include "report/page.h"

enum { WIDTH = 440, HEIGHT = 270, LEFT = 54, RIGHT = 14, TOP = 22, BOTTOM = 40, MOST_TICKS = 16 };
enum { COLOURS = 6, MOST_DOTS = 60 };

/* Training and validation, the usual pair, differ in dashes too. */
static const char *const dashes[COLOURS] = {"7 5", "none", "none", "2 5", "9 4 2 4", "3 3"};

typedef struct glia_axis {
    double low, high; /* of values, or of their logarithms */
    bool logarithmic;
    double ticks[MOST_TICKS];
    int count;
} glia_axis;

/* Where `value` is on the axis, from 0 to 1. */
static double position(const glia_axis *axis, double value) {
    if (axis->logarithmic) value = log10(value);
    return (value - axis->low) / (axis->high - axis->low);
}

static double x_of(const glia_axis *axis, double value) {
    return LEFT + position(axis, value) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const glia_axis *axis, double value) {
    return HEIGHT - BOTTOM - position(axis, value) * (HEIGHT - TOP - BOTTOM);
}

/* --- ticks ------------------------------------------------------------------------------------------------ */

/* 1, 2 or 5 times a power of ten, at least range / most. */
static double nice_step(double range, int most) {
    double raw = range / most, power = pow(10, floor(log10(raw)));
    double factors[] = {1, 2, 5, 10};
    for (int i = 0; i < 3; i++)
        if (raw <= factors[i] * power * (1 + 1e-9)) return factors[i] * power;
    return factors[3] * power;
}

static void linear_ticks(glia_axis *axis, double step) {
    axis->count = 0;
    for (double k = ceil(axis->low / step - 1e-9); axis->count < MOST_TICKS; k++) {
        double tick = k * step;
        if (tick > axis->high + step * 1e-9) return;
        axis->ticks[axis->count++] = tick;
    }
}

/* Powers of ten; with few of them on the axis, two and five times them too. */
static void log_ticks(glia_axis *axis) {
    double factors[] = {1, 2, 5}, decades = axis->high - axis->low;
    int stride = (int)ceil(2.0 * decades / MOST_TICKS), fine = decades <= 3 ? 3 : 1;
    axis->count = 0;
    for (double power = floor(axis->low); power <= axis->high; power += stride) {
        for (int i = 0; i < fine && axis->count < MOST_TICKS; i++) {
            double tick = power + log10(factors[i]);
            if (tick >= axis->low - 1e-9 && tick <= axis->high + 1e-9)
                axis->ticks[axis->count++] = factors[i] * pow(10, power);
        }
    }
}

/* Values from `low` to `high`, with a margin, so that no line runs along the frame. */
static void value_axis(glia_axis *axis, double low, double high) {
    axis->logarithmic = low > 0 && high / low > 50; /* the end of such a curve would be flat */
    if (axis->logarithmic) {
        low = log10(low);
        high = log10(high);
    }
    double margin = (high - low) * 0.05;
    if (!(margin > 0)) margin = fabs(low) > 0 ? fabs(low) * 0.05 : 0.5; /* all the same */
    axis->low = low - margin;
    axis->high = high + margin;
    if (axis->logarithmic)
        log_ticks(axis);
    else
        linear_ticks(axis, nice_step(axis->high - axis->low, 6));
}

static void epoch_axis(glia_axis *axis, size_t epochs) {
    axis->logarithmic = false;
    axis->low = epochs > 1 ? 1 : 0.5;
    axis->high = epochs > 1 ? (double)epochs : 1.5;
    linear_ticks(axis, fmax(nice_step(axis->high - axis->low, 8), 1));
    /* "0, 5, 10" begins at 5; say where the axis begins when there is room. */
    if (epochs > 1 && axis->count > 0 && axis->count < MOST_TICKS && axis->ticks[0] > 1 &&
        (axis->ticks[0] - 1) / (axis->high - 1) > 0.06) {
        memmove(axis->ticks + 1, axis->ticks, sizeof axis->ticks[0] * (size_t)axis->count);
        axis->ticks[0] = 1;
        axis->count++;
    }
}

/* As few decimals as the ticks of this axis need to differ. */
static void tick_text(const glia_axis *axis, double tick, char *out, size_t capacity) {
    double step = axis->count > 1 ? axis->ticks[1] - axis->ticks[0] : fabs(tick);
    if (axis->logarithmic || fabs(tick) >= 1e6 || step < 1e-5) {
        snprintf(out, capacity, "%.4g", tick);
        return;
    }
    int decimals = step > 0 ? (int)ceil(-log10(step) - 1e-9) : 0;
    snprintf(out, capacity, "%.*f", GLIA_MAX(decimals, 0), fabs(tick) < step * 1e-6 ? 0.0 : tick);
}

/* --- frame ------------------------------------------------------------------------------------------------ */

/* Grid lines across, numbers on both axes, and the names of the axes. */
static void draw_frame(glia_text *out, const glia_axis *x, const glia_axis *y, const char *x_name) {
    char label[40];
    for (int i = 0; i < y->count; i++) {
        double at = y_of(y, y->ticks[i]);
        tick_text(y, y->ticks[i], label, sizeof label);
        glia__text_printf(out,
                          "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                          "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                          LEFT, WIDTH - RIGHT, at, at, LEFT - 7, at + 4.5, label);
    }
    for (int i = 0; i < x->count; i++) {
        double at = x_of(x, x->ticks[i]);
        tick_text(x, x->ticks[i], label, sizeof label);
        glia__text_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", at,
                          HEIGHT - BOTTOM + 18, label);
    }
    glia__text_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                      (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 4, x_name);
}

static void open_svg(glia_text *out, const char *title) {
    glia__text_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    glia__text_add_html(out, title);
    glia__text_add(out, "\">\n");
}

/* --- lines ------------------------------------------------------------------------------------------------ */

enum { MOST_CURVES = 12 };

/* The curves of one chart. */
typedef struct glia_chart {
    const glia_report_curve *curves[MOST_CURVES];
    int colours[MOST_CURVES];
    size_t count, epochs;
} glia_chart;

static bool same_text(const char *a, const char *b) {
    return strcmp(a ? a : "", b ? b : "") == 0;
}

bool glia__same_chart(const glia_report_curve *a, const glia_report_curve *b) {
    return same_text(a->chart, b->chart);
}

/* How many names come before this one on the page: "training" is dashed and "validation" solid everywhere. */
static int colour_of(const glia_report_page *page, const char *name) {
    int colour = 0;
    for (size_t i = 0; i < page->curve_count; i++) {
        size_t before = 0;
        if (same_text(page->curves[i].name, name)) return colour % COLOURS;
        while (!same_text(page->curves[before].name, page->curves[i].name)) before++;
        colour += before == i;
    }
    return 0;
}

static void gather(glia_chart *chart, const glia_report_page *page, size_t first) {
    *chart = (glia_chart){.epochs = page->epochs};
    for (size_t i = first; i < page->curve_count && chart->count < MOST_CURVES; i++) {
        const glia_report_curve *curve = &page->curves[i];
        if (!curve->values || !glia__same_chart(curve, &page->curves[first])) continue;
        chart->colours[chart->count] = colour_of(page, curve->name);
        chart->curves[chart->count++] = curve;
    }
}

static bool bounds(const glia_chart *chart, double *low, double *high) {
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t c = 0; c < chart->count; c++) {
        for (size_t e = 0; e < chart->epochs; e++) {
            double value = chart->curves[c]->values[e];
            if (!isfinite(value)) continue;
            *low = fmin(*low, value);
            *high = fmax(*high, value);
        }
    }
    return *low <= *high;
}

/* The title, and every curve's name beside a piece of its line. */
static void draw_legend(glia_text *out, const glia_chart *chart, bool logarithmic) {
    glia__text_add(out, "<figcaption><b>");
    glia__text_add_html(out, chart->curves[0]->chart);
    glia__text_add(out, "</b>");
    for (size_t c = 0; c < chart->count; c++) {
        glia__text_printf(out,
                          "<span><svg viewBox=\"0 0 28 8\" aria-hidden=\"true\"><path class=\"curve\" "
                          "d=\"M2 4H26\" stroke=\"var(--c%d)\" stroke-dasharray=\"%s\"/></svg>",
                          chart->colours[c], dashes[chart->colours[c]]);
        glia__text_add_html(out, chart->curves[c]->name);
        glia__text_add(out, "</span>");
    }
    if (logarithmic) glia__text_add(out, "<span>logarithmic scale</span>");
    glia__text_add(out, "</figcaption>\n");
}

/* The line passes over epochs without a value: validation may be every fifth epoch only. */
static void draw_line(glia_text *out, const glia_axis *x, const glia_axis *y, const double *values,
                      size_t epochs, int colour) {
    bool pen_down = false;
    glia__text_add(out, "<path class=\"curve\" d=\"");
    for (size_t e = 0; e < epochs; e++) {
        if (!isfinite(values[e])) continue;
        glia__text_printf(out, "%c%.1f %.1f", pen_down ? 'L' : 'M', x_of(x, (double)e + 1),
                          y_of(y, values[e]));
        pen_down = true;
    }
    glia__text_printf(out, "\" stroke=\"var(--c%d)\" stroke-dasharray=\"%s\"/>\n", colour, dashes[colour]);
}

/* A dot says its figures on hovering; on long curves there is no room for them. */
static void draw_dots(glia_text *out, const glia_axis *x, const glia_axis *y, const glia_report_curve *curve,
                      size_t epochs, int colour) {
    size_t finite = 0;
    for (size_t e = 0; e < epochs; e++) finite += isfinite(curve->values[e]) != 0;
    if (finite > MOST_DOTS) return;
    for (size_t e = 0; e < epochs; e++) {
        if (!isfinite(curve->values[e])) continue;
        glia__text_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"var(--c%d)\"><title>",
                          x_of(x, (double)e + 1), y_of(y, curve->values[e]), epochs > 20 ? "2.5" : "3.5",
                          colour);
        glia__text_add_html(out, curve->name);
        glia__text_printf(out, ", epoch %zu: %.5g</title></circle>\n", e + 1, curve->values[e]);
    }
}

static void draw_best(glia_text *out, const glia_axis *x, size_t best_epoch) {
    double at = x_of(x, (double)best_epoch);
    const char *anchor = at > WIDTH - 60 ? "end" : at < LEFT + 40 ? "start" : "middle";
    glia__text_printf(out,
                      "<line class=\"best\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                      "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">best epoch %zu</text>\n",
                      at, at, TOP - 4, HEIGHT - BOTTOM, at, TOP - 9, anchor, best_epoch);
}

void glia__chart_lines(glia_text *out, const glia_report_page *page, size_t first) {
    glia_chart chart;
    glia_axis x, y;
    double low, high;
    gather(&chart, page, first);
    if (chart.count == 0) return;
    glia__text_add(out, "<figure>");
    if (!bounds(&chart, &low, &high)) {
        draw_legend(out, &chart, false);
        glia__text_add(out, "<p class=\"quiet\">No finite value was measured.</p></figure>\n");
        return;
    }
    epoch_axis(&x, chart.epochs);
    value_axis(&y, low, high);
    draw_legend(out, &chart, y.logarithmic);
    open_svg(out, chart.curves[0]->chart);
    draw_frame(out, &x, &y, "epoch");
    if (page->best_epoch >= 1 && page->best_epoch <= chart.epochs) draw_best(out, &x, page->best_epoch);
    for (size_t c = 0; c < chart.count; c++) {
        draw_line(out, &x, &y, chart.curves[c]->values, chart.epochs, chart.colours[c]);
        draw_dots(out, &x, &y, chart.curves[c], chart.epochs, chart.colours[c]);
    }
    glia__text_add(out, "</svg></figure>\n");
}

/* --- scatter ---------------------------------------------------------------------------------------------- */

void glia__chart_scatter(glia_text *out, const float *measured, const float *predicted, size_t points) {
    enum { MOST_POINTS = 4000, PATHS = 8 };
    double low = INFINITY, high = -INFINITY;
    size_t finite = 0, stride = (points + MOST_POINTS - 1) / MOST_POINTS;
    for (size_t i = 0; i < points; i++) {
        if (!isfinite(measured[i]) || !isfinite(predicted[i])) continue;
        low = fmin(low, (double)fminf(measured[i], predicted[i]));
        high = fmax(high, (double)fmaxf(measured[i], predicted[i]));
        finite++;
    }
    if (finite == 0) {
        glia__text_add(out, "<p class=\"quiet\">No finite prediction.</p>\n");
        return;
    }
    glia_axis axis = {.logarithmic = false};
    double margin = high > low ? (high - low) * 0.05 : fmax(fabs(low) * 0.05, 0.5);
    axis.low = low - margin;
    axis.high = high + margin;
    linear_ticks(&axis, nice_step(axis.high - axis.low, 6));
    glia__text_add(out, "<figure>");
    open_svg(out, "Predicted against measured");
    draw_frame(out, &axis, &axis, "measured");
    glia__text_printf(out, "<text x=\"%d\" y=\"%d\">predicted</text>\n", LEFT, TOP - 9);
    glia__text_printf(out, "<line class=\"best\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                      x_of(&axis, low), y_of(&axis, low), x_of(&axis, high), y_of(&axis, high));
    /* Several paths, so that it is darker where many points lie. */
    for (size_t k = 0; k < PATHS * stride; k += stride) {
        glia__text_add(out, "<path class=\"points\" d=\"");
        for (size_t i = k; i < points; i += PATHS * stride)
            if (isfinite(measured[i]) && isfinite(predicted[i]))
                glia__text_printf(out, "M%.1f %.1fh0", x_of(&axis, measured[i]), y_of(&axis, predicted[i]));
        glia__text_add(out, "\"/>\n");
    }
    glia__text_add(out, "</svg><figcaption>A perfect prediction lies on the dotted line.");
    if (stride > 1) glia__text_printf(out, " One example in %zu is drawn.", stride);
    if (finite < points) glia__text_printf(out, " Not finite and left out: %zu.", points - finite);
    glia__text_add(out, "</figcaption></figure>\n");
}
