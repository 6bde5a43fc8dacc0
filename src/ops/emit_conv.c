/* emit_conv.c: 2-D convolution in C, alone or with relu and max pooling. The sums of up to 32 outputs of one pixel are kept in
 * a local array, and the taps of a kernel are added in one statement (measured for 32 filters of 3×3, gcc -O2: 13 µs, where
 * straight loops take 171). */

#include <stdio.h>

#include "ops/conv_pool.h"
#include "ops/emit.h"
#include "ops/riders.h"

enum { MOST_TAPS = 12, MOST_OUTPUTS = 32 };

int glia__emit_blocks(int64_t total, bool pads, glia_emit_block out[2]) {
    const int64_t rest = total > MOST_OUTPUTS ? total % MOST_OUTPUTS : total;
    int kinds = 0;
    if (total > MOST_OUTPUTS)
        out[kinds++] = (glia_emit_block){0, MOST_OUTPUTS, MOST_OUTPUTS, total / MOST_OUTPUTS};
    if (rest)
        out[kinds++] = (glia_emit_block){total - rest, rest, pads && rest > 4 ? (rest + 3) / 4 * 4 : rest, 1};
    return kinds;
}

void glia__emit_finished(glia_c *c, const glia_c_call *call, const char *index, const char *sum,
                         int activation) {
    if (call->n_in > GLIA_RESIDUAL && call->in[GLIA_RESIDUAL].name)
        glia__c_line(c, "const float r = %s + %s[%s];", sum, call->in[GLIA_RESIDUAL].name, index);
    else
        glia__c_line(c, "const float r = %s;", sum);
    glia__c_store(c, call, index, activation == GLIA_FUSED_RELU ? "r < 0 ? 0 : r" : "r");
}

void glia__emit_products(glia_c *c, int64_t count, int64_t row, int64_t step) {
    char line[1024], by[32] = "";
    size_t used = (size_t)snprintf(line, sizeof line, "s[k] = s[k]");
    if (step != 1) snprintf(by, sizeof by, " * %lld", (long long)step);
    for (int64_t j = 0; j < count && used < sizeof line; j++) {
        char at[32] = "";
        if (j) snprintf(at, sizeof at, "%lld + ", (long long)(j * row));
        used +=
            (size_t)snprintf(line + used, sizeof line - used, " + v%lld * t[%sk%s]", (long long)j, at, by);
    }
    glia__c_line(c, "%s;", line);
}

/* How the taps are gone through: all of a kernel at once, or by rows, or one by one. */
typedef struct walk {
    const glia_conv *v;
    const glia_conv2d_attrs *a;
    const glia_pool *pool; /* of whose windows only the largest result is kept; NULL: none */
    glia_c *c;
    const glia_c_call *call;
    bool repacked;
    int64_t channels; /* at once: of 1×1 kernels */
    int64_t rows, columns;
} walk;

static walk walk_of(glia_c *c, const glia_c_call *call, const glia_conv *v, const glia_conv2d_attrs *a,
                    const glia_pool *pool) {
    walk w = {.v = v, .a = a, .pool = pool, .c = c, .call = call, .channels = 1, .rows = 1, .columns = 1};
    w.repacked = call->in[1].data != NULL;
    if (v->h.size * v->w.size <= MOST_TAPS) w.rows = v->h.size;
    if (v->w.size <= MOST_TAPS) w.columns = v->w.size;
    if (v->h.size * v->w.size == 1)
        for (w.channels = 8; v->c_group % w.channels;) w.channels /= 2;
    return w;
}

/* The weights in the order in which the loops meet them: by group, block, channel and tap; outputs of a block last. */
static void repack(const walk *w, const glia_emit_block *kinds, int n_kinds, int64_t group_elems) {
    const glia_conv *v = w->v;
    const int64_t taps = v->c_group * v->h.size * v->w.size;
    float *to = glia__c_repack(w->c, w->call, 1, v->groups * group_elems);
    const float *from = w->call->in[1].data;
    for (int64_t g = 0; to && g < v->groups; g++)
        for (int q = 0; q < n_kinds; q++)
            for (int64_t b = 0; b < kinds[q].blocks; b++, to += taps * kinds[q].padded)
                for (int64_t k = 0; k < kinds[q].count; k++) {
                    const int64_t o = g * v->o_group + kinds[q].first + b * kinds[q].count + k;
                    for (int64_t t = 0; t < taps; t++) to[t * kinds[q].padded + k] = from[o * taps + t];
                }
}

/* "ih + 2 >= 0 && ih + 2 < 28 && " as far as a window can reach beyond the image at that tap. */
static size_t add_bounds(const glia_window *w, const char *name, int64_t tap, char *out, size_t capacity) {
    const int64_t at = tap * w->dilation, low = at - w->pad, high = (w->out - 1) * w->stride + low;
    size_t used = 0;
    if (low < 0) used += (size_t)snprintf(out, capacity, "%s + %lld >= 0 && ", name, (long long)at);
    if (high >= w->in && used < capacity)
        used += (size_t)snprintf(out + used, capacity - used, "%s + %lld < %lld && ", name, (long long)at,
                                 (long long)w->in);
    return used;
}

/* const float v3 = inside ? x[at + 29] : 0; */
static void read_tap(const walk *w, int64_t number, int64_t channel, int64_t kh, int64_t kw) {
    const glia_conv *v = w->v;
    const int64_t at = channel * v->x.c + kh * v->h.dilation * v->x.h + kw * v->w.dilation * v->x.w;
    char inside[240] = "", element[64];
    size_t used = 0;
    if (w->rows == v->h.size) used = add_bounds(&v->h, "ih", kh, inside, sizeof inside);
    if (w->columns == v->w.size) used += add_bounds(&v->w, "iw", kw, inside + used, sizeof inside - used);
    snprintf(element, sizeof element, "%s[p + %lld]", w->call->in[0].name, (long long)at);
    if (used)
        glia__c_line(w->c, "const float v%lld = %.*s ? %s : 0;", (long long)number, (int)used - 4, inside,
                     element);
    else
        glia__c_line(w->c, "const float v%lld = %s;", (long long)number, element);
}

/* A loop over rows or columns of the kernel, which leaves out those beyond the image. */
static void tap_loop(const walk *w, const glia_window *window, const char *variable, const char *place) {
    glia__c_for(w->c, variable, window->size);
    if (window->pad ||
        (window->out - 1) * window->stride + (window->size - 1) * window->dilation >= window->in)
        glia__c_line(w->c, "if (%s + %s * %lld < 0 || %s + %s * %lld >= %lld) continue;", place, variable,
                     (long long)window->dilation, place, variable, (long long)window->dilation,
                     (long long)window->in);
}

/* Adds the products of all taps to s[0 … padded − 1]. `first`: text of the block's first weight. */
static void add_taps(const walk *w, const glia_emit_block *block, const char *first) {
    const glia_conv *v = w->v;
    glia_c *c = w->c;
    const int64_t taps = v->h.size * v->w.size, at_once = w->channels * w->rows * w->columns;
    const int64_t step = w->repacked ? block->padded : 1;
    const bool by_row = w->rows != v->h.size, by_column = w->columns != v->w.size;
    glia__c_line(c, "for (int ci = 0; ci < %lld; ci += %lld) {", (long long)v->c_group,
                 (long long)w->channels);
    if (by_row) tap_loop(w, &v->h, "kh", "ih");
    if (by_column) tap_loop(w, &v->w, "kw", "iw");
    glia__c_line(c, "const int p = at + ci * %lld%s%s;", (long long)v->x.c, by_row ? " + kh * RS" : "",
                 by_column ? " + kw * CS" : "");
    glia__c_line(c, "const float *t = %s + %s + (ci * %lld%s%s) * %lld;", w->call->in[1].name, first,
                 (long long)taps, by_row ? " + kh * KW" : "", by_column ? " + kw" : "", (long long)step);
    int64_t number = 0;
    for (int64_t u = 0; u < w->channels; u++)
        for (int64_t kh = 0; kh < w->rows; kh++)
            for (int64_t kw = 0; kw < w->columns; kw++) read_tap(w, number++, u, kh, kw);
    glia__c_for(c, "k", block->padded);
    glia__emit_products(c, at_once, step, w->repacked ? 1 : v->c_group * taps);
    glia__c_end(c);
    if (by_column) glia__c_end(c);
    if (by_row) glia__c_end(c);
    glia__c_end(c);
}

/* The loops over results; of a pool also over the places of its window, the largest of whose sums is kept in m. */
static void open_places(const walk *w, const glia_emit_block *block) {
    const glia_pool *p = w->pool;
    glia_c *c = w->c;
    glia__c_for(c, "b", block->blocks);
    glia__c_for(c, p ? "ph" : "oh", p ? p->h.out : w->v->h.out);
    glia__c_for(c, p ? "pw" : "ow", p ? p->w.out : w->v->w.out);
    glia__c_line(c, "const int o = g * %lld + %lld + b * %lld;", (long long)w->v->o_group,
                 (long long)block->first, (long long)block->count);
    if (!p) return;
    glia__c_line(c, "float m[%lld];", (long long)block->padded);
    glia__c_line(c, "for (int k = 0; k < %lld; k++) m[k] = 0; /* as relu does */", (long long)block->padded);
    glia__c_for(c, "i", p->h.size);
    glia__c_for(c, "j", p->w.size);
    glia__c_line(c, "const int oh = ph * %lld + i, ow = pw * %lld + j;", (long long)p->h.stride,
                 (long long)p->w.stride);
}

/* Stores the sums of a block, and ends the loops. */
static void close_places(const walk *w, const glia_emit_block *block) {
    const glia_nchw *y = w->pool ? &w->pool->y : &w->v->y;
    glia_c *c = w->c;
    char to[200];
    if (w->pool) {
        glia__c_line(c,
                     "for (int k = 0; k < %lld; k++) m[k] = ((s[k] > m[k]) | (s[k] != s[k])) ? s[k] : m[k];",
                     (long long)block->padded);
        glia__c_end(c);
        glia__c_end(c);
    }
    glia__c_for(c, "k", block->count);
    snprintf(to, sizeof to, "n * %lld + (o + k) * %lld + %s * %lld + %s * %lld", (long long)y->n,
             (long long)y->c, w->pool ? "ph" : "oh", (long long)y->h, w->pool ? "pw" : "ow", (long long)y->w);
    if (w->pool)
        glia__c_store(c, w->call, to, "m[k]");
    else
        glia__emit_finished(c, w->call, to, "s[k]", w->a->activation);
    for (int i = 0; i < 4; i++) glia__c_end(c);
}

static void emit_block(const walk *w, const glia_emit_block *block, int64_t before, int64_t group_elems) {
    const glia_conv *v = w->v;
    glia_c *c = w->c;
    const int64_t taps = v->c_group * v->h.size * v->w.size;
    const bool bias = w->call->n_in > 2 && w->call->in[2].name;
    char first[160];
    if (w->repacked)
        snprintf(first, sizeof first, "g * %lld + %lld + b * %lld", (long long)group_elems, (long long)before,
                 (long long)(taps * block->padded));
    else
        snprintf(first, sizeof first, "o * %lld", (long long)taps);
    open_places(w, block);
    glia__c_line(c, "const int ih = oh * %lld - %lld, iw = ow * %lld - %lld;", (long long)v->h.stride,
                 (long long)v->h.pad, (long long)v->w.stride, (long long)v->w.pad);
    glia__c_line(c, "const int at = n * %lld + g * %lld + ih * %lld + iw * %lld;", (long long)v->x.n,
                 (long long)(v->c_group * v->x.c), (long long)v->x.h, (long long)v->x.w);
    glia__c_line(c, "float s[%lld];", (long long)block->padded);
    if (bias) {
        glia__c_for(c, "k", block->count);
        glia__c_line(c, "s[k] = %s[o + k];", w->call->in[2].name);
        glia__c_end(c);
    }
    if (!bias || block->padded > block->count) {
        const long long begin = bias ? (long long)block->count : 0;
        glia__c_line(c, "for (int k = %lld; k < %lld; k++) s[k] = 0;", begin, (long long)block->padded);
    }
    add_taps(w, block, first);
    close_places(w, block);
}

/* All groups and their blocks; `places`: pixels for which sums are made. */
static void emit_conv(const walk *w, int64_t places) {
    const glia_conv v = *w->v;
    glia_c *c = w->c;
    glia_emit_block kinds[2];
    const int n_kinds = glia__emit_blocks(v.o_group, w->repacked, kinds);
    const int64_t taps = v.c_group * v.h.size * v.w.size;
    int64_t group_elems = 0, before = 0;
    for (int q = 0; q < n_kinds; q++) group_elems += kinds[q].blocks * kinds[q].padded * taps;
    if (w->repacked) repack(w, kinds, n_kinds, group_elems);
    if (w->rows != v.h.size)
        glia__c_line(c, "enum { RS = %lld, KW = %lld };", (long long)(v.h.dilation * v.x.h),
                     (long long)v.w.size);
    if (w->columns != v.w.size) glia__c_line(c, "enum { CS = %lld };", (long long)(v.w.dilation * v.x.w));
    c->macs = (double)(v.n * v.o * places * taps);
    glia__c_for(c, "n", v.n);
    glia__c_for(c, "g", v.groups);
    for (int q = 0; q < n_kinds; q++) {
        emit_block(w, &kinds[q], before, group_elems);
        before += kinds[q].blocks * kinds[q].padded * taps;
    }
    glia__c_end(c);
    glia__c_end(c);
}

GLIA_EMIT(conv2d) {
    glia_conv v;
    GLIA_TRY(glia__conv_fit(&v, &call->in[0].type, &call->in[1].type, call->attrs, call->err));
    const walk w = walk_of(c, call, &v, call->attrs, NULL);
    emit_conv(&w, v.h.out * v.w.out);
    return GLIA_OK;
}

/* The convolution's result, by far the largest array of such a layer, is never in memory. */
GLIA_EMIT(conv_pool) {
    const glia__conv_pool_attrs *a = call->attrs;
    glia_conv_pool v;
    glia_type y;
    GLIA_TRY(glia__conv_pool_fit(&v, &call->in[0].type, &call->in[1].type, a, &y, call->err));
    if (call->out[1].name)
        return glia_error_set(call->err, GLIA_UNSUPPORTED, "the places of its winners are read");
    const walk w = walk_of(c, call, &v.conv, &a->conv, &v.pool);
    emit_conv(&w, v.pool.h.out * v.pool.w.out * v.pool.h.size * v.pool.w.size);
    return GLIA_OK;
}
