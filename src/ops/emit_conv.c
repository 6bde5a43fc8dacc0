/* emit_conv.c: 2-D convolution in C, alone or with relu and max pooling. Several places of the image are computed at once, for
 * up to 32 filters: what is read of the weights serves all of these places, and what is read of the image all windows that it
 * lies in. Where all taps go into one statement, sums are in no array (32 filters of 3x3, relu and a pool of 2x2 over 28x28,
 * gcc -O2: 10 µs, and 15 with a place at a time). */

#include <stdio.h>

#include "ops/conv_pool.h"
#include "ops/emit.h"
#include "ops/riders.h"

enum { MOST_TAPS = 12, MOST_OUTPUTS = 32, MOST_NEIGHBOURS = 4 };

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

/* What one statement takes: taps of a kernel, all or a row or one by one, at several places. */
typedef struct walk {
    const glia_conv *v;
    const glia_conv2d_attrs *a;
    const glia_pool *pool; /* of whose windows only the largest result is kept; NULL: none */
    glia_c *c;
    const glia_c_call *call;
    bool repacked, whole;  /* whole: all taps at once */
    int64_t channels;      /* at once: of 1×1 kernels */
    int64_t rows, columns; /* of the kernel */
    int64_t down, across;  /* places: a window of the pool, or neighbours in a row */
    int64_t group_bias;    /* how far apart the biases of groups are */
} walk;

/* As many neighbours as leave little to be computed twice, in the last of a row, which begin earlier. */
static int64_t neighbours(int64_t out) {
    for (int64_t q = GLIA_MIN(MOST_NEIGHBOURS, out); q > 1; q--)
        if ((out + q - 1) / q * q * 4 <= out * 5) return q;
    return 1;
}

static walk walk_of(glia_c *c, const glia_c_call *call, const glia_conv *v, const glia_conv2d_attrs *a,
                    const glia_pool *pool) {
    walk w = {.v = v, .a = a, .pool = pool, .c = c, .call = call, .channels = 1, .rows = 1, .columns = 1};
    w.repacked = call->in[1].data != NULL;
    if (v->h.size * v->w.size <= MOST_TAPS) w.rows = v->h.size;
    if (v->w.size <= MOST_TAPS) w.columns = v->w.size;
    if (v->h.size * v->w.size == 1)
        for (w.channels = 8; v->c_group % w.channels;) w.channels /= 2;
    w.whole = w.channels == v->c_group && w.rows == v->h.size && w.columns == v->w.size;
    w.down = pool ? pool->h.size : 1;
    w.across = pool ? pool->w.size : neighbours(v->w.out);
    return w;
}

static bool has_bias(const walk *w) {
    return w->call->n_in > 2 && w->call->in[2].name;
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

/* Biases of the outputs that are added to the last block of a group. */
static void repack_bias(walk *w, const glia_emit_block *last) {
    const glia_conv *v = w->v;
    w->group_bias = v->o_group + last->padded - last->count;
    if (!has_bias(w) || w->group_bias == v->o_group) return;
    float *to = glia__c_repack(w->c, w->call, 2, v->groups * w->group_bias);
    const float *from = w->call->in[2].data;
    for (int64_t g = 0; to && g < v->groups; g++)
        memcpy(to + g * w->group_bias, from + g * v->o_group, (size_t)v->o_group * sizeof *to);
}

/* --- what is read of the image --------------------------------------------------------------------------- */

/* "iw + 2 >= 0 && iw + 2 < 28 && " as far as it can be beyond the image, `offset` from the first place's first tap; `tap`
 * names the variable of a loop over taps, or is NULL. */
static size_t add_bounds(const glia_window *w, const char *name, const char *tap, int64_t offset,
                         int64_t places, char *out, size_t capacity) {
    const int64_t low = offset - w->pad,
                  high = (w->out - places) * w->stride + low + (tap ? (w->size - 1) * w->dilation : 0);
    char at[64];
    size_t used = 0;
    if (tap)
        snprintf(at, sizeof at, "%s + %s * %lld + %lld", name, tap, (long long)w->dilation,
                 (long long)offset);
    else
        snprintf(at, sizeof at, "%s + %lld", name, (long long)offset);
    if (low < 0) used += (size_t)snprintf(out, capacity, "%s >= 0 && ", at);
    if (high >= w->in && used < capacity)
        used += (size_t)snprintf(out + used, capacity - used, "%s < %lld && ", at, (long long)w->in);
    return used;
}

/* const float v0_1_2 = inside ? x[p + 30] : 0; by channel, row and column. */
static void read_value(const walk *w, int64_t channel, int64_t row, int64_t column) {
    const glia_conv *v = w->v;
    char inside[400] = "", end[8] = "";
    size_t used =
        add_bounds(&v->h, "ih", w->rows == v->h.size ? NULL : "kh", row, w->down, inside, sizeof inside / 2);
    used += add_bounds(&v->w, "iw", w->columns == v->w.size ? NULL : "kw", column, w->across, inside + used,
                       sizeof inside / 2);
    if (used) {
        snprintf(inside + used - 4, 4, " ? ");
        snprintf(end, sizeof end, " : 0");
    }
    glia__c_line(w->c, "const float v%lld_%lld_%lld = %s%s[p + %lld]%s;", (long long)channel, (long long)row,
                 (long long)column, inside, w->call->in[0].name,
                 (long long)(channel * v->x.c + row * v->x.h + column * v->x.w), end);
}

/* Whether a tap of any of the places lies there. */
static bool is_met(int64_t offset, int64_t places, int64_t taps, const glia_window *w) {
    for (int64_t i = 0; i < places; i++) {
        const int64_t rest = offset - i * w->stride;
        if (rest >= 0 && rest % w->dilation == 0 && rest / w->dilation < taps) return true;
    }
    return false;
}

static void read_values(const walk *w) {
    const glia_conv *v = w->v;
    const int64_t height = (w->down - 1) * v->h.stride + (w->rows - 1) * v->h.dilation + 1,
                  width = (w->across - 1) * v->w.stride + (w->columns - 1) * v->w.dilation + 1;
    for (int64_t u = 0; u < w->channels; u++)
        for (int64_t row = 0; row < height; row++)
            for (int64_t column = 0; column < width; column++)
                if (is_met(row, w->down, w->rows, &v->h) && is_met(column, w->across, w->columns, &v->w))
                    read_value(w, u, row, column);
}

/* --- sums ------------------------------------------------------------------------------------------------ */

/* The sum of place i, j: of `whole` and a pool it is a variable, else an element of an array. */
static const char *sum_name(const walk *w, int64_t i, int64_t j, char out[32]) {
    snprintf(out, 32, w->whole && w->pool ? "s%lld" : "s%lld[k]", (long long)(i * w->across + j));
    return out;
}

/* s0[k] = s0[k] + v0_0_0 * w0 + … for one place. */
static void add_place(const walk *w, int64_t i, int64_t j, const char *begin) {
    const glia_conv *v = w->v;
    char line[1024], sum[32];
    size_t used = (size_t)snprintf(line, sizeof line, "%s%s = %s", w->whole && w->pool ? "const float " : "",
                                   sum_name(w, i, j, sum), w->whole ? begin : sum);
    int number = 0;
    for (int64_t u = 0; u < w->channels; u++)
        for (int64_t kh = 0; kh < w->rows; kh++)
            for (int64_t kw = 0; kw < w->columns && used < sizeof line; kw++, number++)
                used += (size_t)snprintf(line + used, sizeof line - used, "%sv%lld_%lld_%lld * w%d",
                                         number || !w->whole || *begin ? " + " : "", (long long)u,
                                         (long long)(i * v->h.stride + kh * v->h.dilation),
                                         (long long)(j * v->w.stride + kw * v->w.dilation), number);
    glia__c_line(w->c, "%s;", line);
}

/* Adds the products of the taps at hand to the sums of output k; `begin`: what sums begin with. */
static void add_products(const walk *w, const glia_emit_block *block, const char *begin) {
    const int64_t taps = w->v->c_group * w->v->h.size * w->v->w.size;
    for (int64_t t = 0; t < w->channels * w->rows * w->columns; t++)
        if (w->repacked)
            glia__c_line(w->c, "const float w%lld = t[%lld + k];", (long long)t,
                         (long long)(t * block->padded));
        else
            glia__c_line(w->c, "const float w%lld = t[%lld + k * %lld];", (long long)t, (long long)t,
                         (long long)taps);
    for (int64_t i = 0; i < w->down; i++)
        for (int64_t j = 0; j < w->across; j++) add_place(w, i, j, begin);
}

/* m[k]: the largest of a window, 0 where that is negative; no number where one of them is none, or both infinities meet. */
static void add_largest(const walk *w) {
    glia_c *c = w->c;
    char sum[32];
    glia__c_line(c, "float r = 0, all = 0;");
    for (int64_t i = 0; i < w->down; i++)
        for (int64_t j = 0; j < w->across; j++) {
            sum_name(w, i, j, sum);
            glia__c_line(c, "r = %s > r ? %s : r;", sum, sum);
            glia__c_line(c, "all = all + %s;", sum);
        }
    glia__c_line(c, "m[k] = all != all ? all : r;");
}

/* All taps, at the places at hand. `first`: text of the block's first weight. */
static void add_taps(const walk *w, const glia_emit_block *block, const char *first, const char *begin) {
    const glia_conv *v = w->v;
    glia_c *c = w->c;
    const bool by_row = w->rows != v->h.size, by_column = w->columns != v->w.size;
    const int64_t taps = v->h.size * v->w.size, step = w->repacked ? block->padded : 1;
    char p[128] = "", t[160] = "", *to_p = p, *to_t = t;
    if (!w->whole) {
        glia__c_line(c, "for (int ci = 0; ci < %lld; ci += %lld) {", (long long)v->c_group,
                     (long long)w->channels);
        to_p += snprintf(p, 32, " + ci * %lld", (long long)v->x.c);
        to_t += snprintf(t, 40, " + ci * %lld", (long long)(taps * step));
    }
    if (by_row) {
        glia__c_for(c, "kh", v->h.size);
        to_p += snprintf(to_p, 32, " + kh * %lld", (long long)(v->h.dilation * v->x.h));
        to_t += snprintf(to_t, 40, " + kh * %lld", (long long)(v->w.size * step));
    }
    if (by_column) {
        glia__c_for(c, "kw", v->w.size);
        snprintf(to_p, 32, " + kw * %lld", (long long)(v->w.dilation * v->x.w));
        snprintf(to_t, 40, " + kw * %lld", (long long)step);
    }
    glia__c_line(c, "const int p = at%s;", p);
    glia__c_line(c, "const float *t = %s + %s%s;", w->call->in[1].name, first, t);
    read_values(w);
    glia__c_for(c, "k", block->padded);
    add_products(w, block, begin);
    if (w->whole && w->pool) add_largest(w);
    glia__c_end(c);
    for (int i = 0; i < !w->whole + by_row + by_column; i++) glia__c_end(c);
}

/* --- loops ----------------------------------------------------------------------------------------------- */

/* The loops over blocks and results, and where they are in the image. */
static void open_places(const walk *w, const glia_emit_block *block) {
    const glia_pool *p = w->pool;
    const glia_conv *v = w->v;
    glia_c *c = w->c;
    const long long columns = v->w.out, across = w->across;
    glia__c_for(c, "b", block->blocks);
    if (p) {
        glia__c_for(c, "ph", p->h.out);
        glia__c_for(c, "pw", p->w.out);
        glia__c_line(c, "const int oh = ph * %lld, ow = pw * %lld;", (long long)p->h.stride,
                     (long long)p->w.stride);
    } else {
        glia__c_for(c, "oh", v->h.out);
        glia__c_line(c, "for (int q = 0; q < %lld; q += %lld) {", columns, across);
        if (columns % across)
            glia__c_line(c, "const int ow = q < %lld ? q : %lld;", columns - across, columns - across);
        else
            glia__c_line(c, "const int ow = q;");
    }
    glia__c_line(c, "const int o = g * %lld + %lld + b * %lld;", (long long)v->o_group,
                 (long long)block->first, (long long)block->count);
    glia__c_line(c, "const int ih = oh * %lld - %lld, iw = ow * %lld - %lld;", (long long)v->h.stride,
                 (long long)v->h.pad, (long long)v->w.stride, (long long)v->w.pad);
    glia__c_line(c, "const int at = n * %lld + g * %lld + ih * %lld + iw * %lld;", (long long)v->x.n,
                 (long long)(v->c_group * v->x.c), (long long)v->x.h, (long long)v->x.w);
}

/* The arrays of sums, which begin with `begin` where they are added to more than once. */
static void open_sums(const walk *w, const glia_emit_block *block, const char *begin) {
    glia_c *c = w->c;
    const int64_t places = w->down * w->across;
    if (w->pool) glia__c_line(c, "float m[%lld];", (long long)block->padded);
    if (w->pool && w->whole) return;
    for (int64_t s = 0; s < places; s++)
        glia__c_line(c, "float s%lld[%lld];", (long long)s, (long long)block->padded);
    if (w->whole) return;
    glia__c_for(c, "k", block->padded);
    for (int64_t s = 0; s < places; s++)
        glia__c_line(c, "s%lld[k] = %s;", (long long)s, *begin ? begin : "0");
    glia__c_end(c);
}

/* Stores the results of a block, and ends the loops. */
static void close_places(const walk *w, const glia_emit_block *block) {
    const glia_nchw *y = w->pool ? &w->pool->y : &w->v->y;
    glia_c *c = w->c;
    char to[240], sum[32];
    if (w->pool && !w->whole) {
        glia__c_for(c, "k", block->padded);
        add_largest(w);
        glia__c_end(c);
    }
    glia__c_for(c, "k", block->count);
    for (int64_t j = 0; j < (w->pool ? 1 : w->across); j++) {
        snprintf(to, sizeof to, "n * %lld + (o + k) * %lld + %s * %lld + %s * %lld + %lld", (long long)y->n,
                 (long long)y->c, w->pool ? "ph" : "oh", (long long)y->h, w->pool ? "pw" : "ow",
                 (long long)y->w, (long long)(j * y->w));
        glia__c_line(c, "{");
        if (w->pool)
            glia__c_store(c, w->call, to, "m[k]");
        else
            glia__emit_finished(c, w->call, to, sum_name(w, 0, j, sum), w->a->activation);
        glia__c_end(c);
    }
    for (int i = 0; i < 4; i++) glia__c_end(c);
}

/* `before`: weights of the group's blocks before it. */
static void emit_block(const walk *w, const glia_emit_block *block, int64_t before, int64_t group_elems) {
    const int64_t taps = w->v->c_group * w->v->h.size * w->v->w.size;
    char first[160], begin[160] = "";
    if (w->repacked)
        snprintf(first, sizeof first, "g * %lld + %lld + b * %lld", (long long)group_elems, (long long)before,
                 (long long)(taps * block->padded));
    else
        snprintf(first, sizeof first, "o * %lld", (long long)taps);
    if (has_bias(w))
        snprintf(begin, sizeof begin, "%s[g * %lld + %lld + b * %lld + k]", w->call->in[2].name,
                 (long long)w->group_bias, (long long)block->first, (long long)block->count);
    open_places(w, block);
    open_sums(w, block, begin);
    add_taps(w, block, first, begin);
    close_places(w, block);
}

/* All groups and their blocks; `places`: pixels for which sums are made. */
static void emit_conv(walk *w, int64_t places) {
    const glia_conv v = *w->v;
    glia_c *c = w->c;
    glia_emit_block kinds[2];
    const bool pads = w->repacked && (!has_bias(w) || w->call->in[2].data);
    const int n_kinds = glia__emit_blocks(v.o_group, pads, kinds);
    const int64_t taps = v.c_group * v.h.size * v.w.size;
    int64_t group_elems = 0, before = 0;
    for (int q = 0; q < n_kinds; q++) group_elems += kinds[q].blocks * kinds[q].padded * taps;
    if (w->repacked) repack(w, kinds, n_kinds, group_elems);
    repack_bias(w, &kinds[n_kinds - 1]);
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
    walk w = walk_of(c, call, &v, call->attrs, NULL);
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
    walk w = walk_of(c, call, &v.conv, &a->conv, &v.pool);
    emit_conv(&w, v.pool.h.out * v.pool.w.out * v.pool.h.size * v.pool.w.size);
    return GLIA_OK;
}
