/* page.h: the parts of the report, each of which appends HTML to the page. None of them fails by itself: want
 * of memory stays in the text. */
#ifndef GLIA_REPORT_PAGE_H
#define GLIA_REPORT_PAGE_H

#include "report/report.h"

/* The style sheet (style.c). */
extern const char glia__report_style[];

/* chart.c: a <figure> with a line for every curve whose chart is that of curve `first`. A name has the same
 * colour in every chart. */
void glia__chart_lines(glia_text *out, const glia_report_page *page, size_t first);
/* Whether both curves are of one chart. */
bool glia__same_chart(const glia_report_curve *a, const glia_report_curve *b);
/* chart.c: a <figure> with a point for every pair of finite numbers, and the line where both are equal. */
void glia__chart_scatter(glia_text *out, const float *measured, const float *predicted, size_t points);

/* classes.c: the sections "Confusion matrix" and "Classes". */
void glia__report_classes(glia_text *out, const glia_report_page *page);
/* The name of class `index`, or its number, escaped. */
void glia__report_class(glia_text *out, const glia_report_page *page, int64_t index);

/* "1,199,882" */
void glia__report_integer(glia_text *out, int64_t value);

#endif
