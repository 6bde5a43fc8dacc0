/* emit_pool.c: pools and batch normalisation in C. */

#include <math.h>
#include <stdio.h>

#include "ops/emit.h"
#include "ops/pool.h"

/* const int h0 = …, h1 = …: the part of window `place` that lies in the image. */
static void span(glia_c *c, const glia_window *w, const char *begin, const char *end, const char *place) {
    const bool before = w->pad > 0, after = (w->out - 1) * w->stride - w->pad + w->size > w->in;
    char first[64];
    snprintf(first, sizeof first, "%s * %lld - %lld", place, (long long)w->stride, (long long)w->pad);
    if (before)
        glia__c_line(c, "const int %s = %s < 0 ? 0 : %s;", begin, first, first);
    else
        glia__c_line(c, "const int %s = %s;", begin, first);
    if (after)
        glia__c_line(c, "const int %s = %s + %lld > %lld ? %lld : %s + %lld;", end, first, (long long)w->size,
                     (long long)w->in, (long long)w->in, first, (long long)w->size);
    else
        glia__c_line(c, "const int %s = %s + %lld;", end, first, (long long)w->size);
}

/* The window of output (oh, ow) of plane c: its places are x[p + …]. */
static void open_window(glia_c *c, const glia_pool *p) {
    glia__c_for(c, "n", p->n);
    glia__c_for(c, "c", p->c);
    glia__c_for(c, "oh", p->h.out);
    glia__c_for(c, "ow", p->w.out);
    span(c, &p->h, "h0", "h1", "oh");
    span(c, &p->w, "w0", "w1", "ow");
    glia__c_line(c, "const int p = n * %lld + c * %lld;", (long long)p->x.n, (long long)p->x.c);
}

static void open_places(glia_c *c, const glia_pool *p, const char *x) {
    glia__c_line(c, "for (int i = h0; i < h1; i++) {");
    glia__c_line(c, "for (int j = w0; j < w1; j++) {");
    glia__c_line(c, "const float v = %s[p + i * %lld + j * %lld];", x, (long long)p->x.h, (long long)p->x.w);
}

static void close_window(glia_c *c, const glia_c_call *call, const glia_pool *p, const char *value) {
    char to[160];
    glia__c_end(c);
    glia__c_end(c);
    snprintf(to, sizeof to, "n * %lld + c * %lld + oh * %lld + ow * %lld", (long long)p->y.n,
             (long long)p->y.c, (long long)p->y.h, (long long)p->y.w);
    glia__c_store(c, call, to, value);
    for (int i = 0; i < 4; i++) glia__c_end(c);
}

/* m[k] of the row of x at `row`, for every k: first the vectors, then what is left. */
static void row_loop(glia_c *c, int64_t width, const char *statements) {
    const long long whole = (long long)(width / 4 * 4);
    if (whole) glia__c_line(c, "for (int k = 0; k < %lld; k++) { %s }", whole, statements);
    if (whole < width)
        glia__c_line(c, "for (int k = %lld; k < %lld; k++) { %s }", whole, (long long)width, statements);
}

/* Rows that lie in a row: the largest of every column first, in vectors, and then of the columns. Measured for 32 planes of
 * 26×26 and windows of 2×2, gcc -O2: 5 µs; window by window, 32. */
static void max_by_rows(glia_c *c, const glia_c_call *call, const glia_pool *p) {
    char to[160];
    const char *x = call->in[0].name;
    const int64_t width = p->w.in;
    const bool padded = p->w.pad > 0 || (p->w.out - 1) * p->w.stride - p->w.pad + p->w.size > width;
    glia__c_for(c, "n", p->n);
    glia__c_for(c, "c", p->c);
    glia__c_for(c, "oh", p->h.out);
    span(c, &p->h, "h0", "h1", "oh");
    glia__c_line(c, "const float *row = %s + n * %lld + c * %lld + h0 * %lld;", x, (long long)p->x.n,
                 (long long)p->x.c, (long long)p->x.h);
    glia__c_line(c, "float m[%lld];", (long long)width);
    row_loop(c, width, "m[k] = row[k];");
    glia__c_line(c, "for (int i = h0 + 1; i < h1; i++) {");
    glia__c_line(c, "row += %lld;", (long long)p->x.h);
    row_loop(c, width, "const float v = row[k]; m[k] = ((v > m[k]) | (v != v)) ? v : m[k];");
    glia__c_end(c);
    glia__c_for(c, "ow", p->w.out);
    if (padded) {
        span(c, &p->w, "w0", "w1", "ow");
        glia__c_line(c, "float s = m[w0];");
        glia__c_line(c, "for (int j = w0 + 1; j < w1; j++) s = ((m[j] > s) | (m[j] != m[j])) ? m[j] : s;");
    } else {
        glia__c_line(c, "float s = m[ow * %lld];", (long long)p->w.stride);
        for (int64_t j = 1; j < p->w.size; j++) {
            glia__c_line(c, "const float v%lld = m[ow * %lld + %lld];", (long long)j, (long long)p->w.stride,
                         (long long)j);
            glia__c_line(c, "s = ((v%lld > s) | (v%lld != v%lld)) ? v%lld : s;", (long long)j, (long long)j,
                         (long long)j, (long long)j);
        }
    }
    snprintf(to, sizeof to, "n * %lld + c * %lld + oh * %lld + ow", (long long)p->y.n, (long long)p->y.c,
             (long long)p->y.h);
    glia__c_store(c, call, to, "s");
    for (int i = 0; i < 4; i++) glia__c_end(c);
}

GLIA_EMIT(max_pool2d) {
    glia_pool p;
    GLIA_TRY(glia__pool_fit(&p, &call->in[0].type, call->attrs, "max_pool2d", call->err));
    if (p.x.w == 1) {
        max_by_rows(c, call, &p);
        return GLIA_OK;
    }
    open_window(c, &p);
    glia__c_line(c, "float s = %s[p + h0 * %lld + w0 * %lld];", call->in[0].name, (long long)p.x.h,
                 (long long)p.x.w);
    open_places(c, &p, call->in[0].name);
    glia__c_line(c, "s = ((v > s) | (v != v)) ? v : s;");
    close_window(c, call, &p, "s");
    return GLIA_OK;
}

GLIA_EMIT(average_pool2d) {
    glia_pool p;
    GLIA_TRY(glia__pool_fit(&p, &call->in[0].type, call->attrs, "average_pool2d", call->err));
    open_window(c, &p);
    glia__c_line(c, "float s = 0;");
    open_places(c, &p, call->in[0].name);
    glia__c_line(c, "s += v;");
    close_window(c, call, &p, "s / (float)((h1 - h0) * (w1 - w0))");
    return GLIA_OK;
}

GLIA_EMIT(global_average_pool2d) {
    const bool last = ((const glia_global_average_pool2d_attrs *)call->attrs)->channels_last == GLIA_YES;
    const glia_nchw size = glia__nchw_sizes(&call->in[0].type.shape, last),
                    step = glia__nchw_steps(size, last);
    char to[64], value[64];
    glia__c_for(c, "n", size.n);
    glia__c_for(c, "c", size.c);
    glia__c_line(c, "double s = 0;");
    glia__c_for(c, "i", size.h * size.w);
    glia__c_line(c, "s += (double)%s[n * %lld + c * %lld + i * %lld];", call->in[0].name, (long long)step.n,
                 (long long)step.c, (long long)step.w);
    glia__c_end(c);
    snprintf(to, sizeof to, "n * %lld + c", (long long)size.c);
    snprintf(value, sizeof value, "(float)(s / %lld)", (long long)(size.h * size.w));
    glia__c_store(c, call, to, value);
    glia__c_end(c);
    glia__c_end(c);
    return GLIA_OK;
}

/* --- batch normalisation --------------------------------------------------------------------------------- */

enum { X, SCALE, BIAS, MEAN, VAR };

/* Of constants the factor is computed here, in place of the scale. */
static bool fold_factor(glia_c *c, const glia_c_call *call, double epsilon, int64_t channels) {
    const float *scale = call->in[SCALE].data, *var = call->in[VAR].data;
    float *factor = scale && var ? glia__c_repack(c, call, SCALE, channels) : NULL;
    for (int64_t i = 0; factor && i < channels; i++)
        factor[i] = (float)(1 / sqrt((double)var[i] + epsilon)) * scale[i];
    return factor != NULL;
}

GLIA_EMIT(batch_norm) {
    const glia_batch_norm_attrs *a = call->attrs;
    const glia_shape *x = &call->in[X].type.shape;
    const int axis = a->channels_last == GLIA_YES ? x->rank - 1 : 1;
    int64_t outer = 1, inner = 1;
    glia_text epsilon;
    for (int d = 0; d < axis; d++) outer *= x->dim[d];
    for (int d = axis + 1; d < x->rank; d++) inner *= x->dim[d];
    for (int o = 1; o < call->n_out; o++)
        if (call->out[o].name)
            return glia_error_set(call->err, GLIA_UNSUPPORTED, "its running statistics are read");
    const bool folded = fold_factor(c, call, a->epsilon, x->dim[axis]);
    if (!folded) glia__c_need(c, GLIA_C_MATH);
    glia__text_init(&epsilon, c->arena->allocator);
    glia__c_number(&epsilon, GLIA_F32, a->epsilon);
    glia__c_for(c, "n", outer);
    glia__c_for(c, "c", x->dim[axis]);
    if (folded)
        glia__c_line(c, "const float f = %s[c], m = %s[c], b = %s[c];", call->in[SCALE].name,
                     call->in[MEAN].name, call->in[BIAS].name);
    else
        glia__c_line(c, "const float f = %s[c] / sqrtf(%s[c] + %s), m = %s[c], b = %s[c];",
                     call->in[SCALE].name, call->in[VAR].name, epsilon.data, call->in[MEAN].name,
                     call->in[BIAS].name);
    glia__c_for(c, "i", inner);
    char to[96];
    snprintf(to, sizeof to, "(n * %lld + c) * %lld + i", (long long)x->dim[axis], (long long)inner);
    glia__c_line(c, "const float v = (%s[%s] - m) * f + b;", call->in[X].name, to);
    glia__c_store(c, call, to, a->activation ? "(v < 0 ? 0 : v)" : "v");
    for (int i = 0; i < 3; i++) glia__c_end(c);
    c->text->failed |= epsilon.failed;
    glia__text_free(&epsilon);
    return GLIA_OK;
}
