/* emit_lines.c: ops along one axis in C: running sums, places of the largest, and other numbers of elements. */

#include <stdio.h>

#include "ops/emit.h"
#include "ops/lines.h"
#include "ops/resize.h"

/* "(n * 5 + i) * 3 + k": element `i` of the line of n and k, in an array with `length` elements along the axis. */
static const char *place(const glia_lines *l, int64_t length, const char *i, char out[96]) {
    snprintf(out, 96, "(n * %lld + %s) * %lld + k", (long long)length, i, (long long)l->inner);
    return out;
}

static void open_lines(glia_c *c, const glia_lines *l) {
    glia__c_for(c, "n", l->outer);
    glia__c_for(c, "k", l->inner);
}

static void close_lines(glia_c *c) {
    glia__c_end(c);
    glia__c_end(c);
}

/* Floats are added in double; whole numbers wrap. */
GLIA_EMIT(cumsum) {
    static const char *const sums[GLIA_DTYPE_COUNT] = {
        [GLIA_F32] = "double", [GLIA_I32] = "uint32_t", [GLIA_I64] = "uint64_t", [GLIA_U8] = "uint8_t"};
    const glia_cumsum_attrs *a = call->attrs;
    const glia_dtype dtype = call->in[0].type.dtype;
    const glia_lines l = glia__lines_of(&call->in[0].type.shape, a->axis);
    char at[96], value[64];
    open_lines(c, &l);
    glia__c_line(c, "%s sum = 0;", sums[dtype]);
    glia__c_for(c, "i", l.n);
    char element[32] = "i";
    if (a->reverse == GLIA_YES) snprintf(element, sizeof element, "%lld - i", (long long)l.n - 1);
    glia__c_line(c, "const int at = %s;", place(&l, l.n, element, at));
    glia__c_line(c, "const %s next = (%s)(sum + (%s)%s[at]);", sums[dtype], sums[dtype], sums[dtype],
                 call->in[0].name);
    snprintf(value, sizeof value, "(%s)%s", glia__c_type(dtype), a->exclusive == GLIA_YES ? "sum" : "next");
    glia__c_store(c, call, "at", value);
    glia__c_line(c, "sum = next;");
    glia__c_end(c);
    close_lines(c);
    return GLIA_OK;
}

GLIA_EMIT(hardmax) {
    const glia_lines l = glia__lines_of(&call->in[0].type.shape,
                                        *(const int64_t *)call->attrs); /* its only attribute: the axis */
    const char *x = call->in[0].name;
    char at[96], best[96];
    open_lines(c, &l);
    glia__c_line(c, "int best = 0;");
    glia__c_line(c, "for (int i = 1; i < %lld; i++)", (long long)l.n);
    glia__c_line(c, "    if (%s[%s] > %s[%s]) best = i;", x, place(&l, l.n, "i", at), x,
                 place(&l, l.n, "best", best));
    glia__c_for(c, "i", l.n);
    glia__c_store(c, call, at, "i == best ? 1.0f : 0.0f");
    glia__c_end(c);
    close_lines(c);
    return GLIA_OK;
}

/* --- top_k ----------------------------------------------------------------------------------------------- */

/* continue when element `other` does not come after (or, turned round, before) v, which is element i. */
static void skip_unless(glia_c *c, const char *x, const char *at, glia_dtype dtype, const char *equal,
                        bool less) {
    const bool real = glia_dtype_is_float(dtype);
    glia__c_line(c, "const %s u = %s[%s];", glia__c_type(dtype), x, at);
    glia__c_line(c, "const int less = v < u%s, more = u < v%s;", real ? " || (u != u && v == v)" : "",
                 real ? " || (v != v && u == u)" : "");
    glia__c_line(c, "if (less == more ? %s : !%s) continue;", equal, less ? "less" : "more");
}

/* The best of what comes after the last that was found, k times: without memory, for k that are small. */
GLIA_EMIT(top_k) {
    const glia_top_k_attrs *a = call->attrs;
    const glia_dtype dtype = call->in[0].type.dtype;
    const glia_lines l = glia__lines_of(&call->in[0].type.shape, a->axis);
    const bool smallest = a->smallest == GLIA_YES;
    const char *x = call->in[0].name, *indices = call->out[1].name;
    char at[96], value[120];
    open_lines(c, &l);
    glia__c_line(c, "int last = -1;");
    glia__c_for(c, "j", a->k);
    glia__c_line(c, "int best = -1;");
    glia__c_for(c, "i", l.n);
    glia__c_line(c, "const %s v = %s[%s];", glia__c_type(dtype), x, place(&l, l.n, "i", at));
    glia__c_line(c, "if (last >= 0) {");
    skip_unless(c, x, place(&l, l.n, "last", at), dtype, "i <= last", !smallest);
    glia__c_line(c, "}");
    glia__c_line(c, "if (best >= 0) {");
    skip_unless(c, x, place(&l, l.n, "best", at), dtype, "1", smallest);
    glia__c_line(c, "}");
    glia__c_line(c, "best = i;");
    glia__c_end(c);
    glia__c_line(c, "last = best;");
    snprintf(value, sizeof value, "%s[%s]", x, place(&l, l.n, "best", at));
    place(&l, a->k, "j", at);
    if (indices) glia__c_line(c, "%s[%s] = best;", indices, at);
    glia__c_store(c, call, at, value);
    glia__c_end(c);
    close_lines(c);
    return GLIA_OK;
}

/* --- resize ---------------------------------------------------------------------------------------------- */

/* Which elements make each new one, `most` of each, and how much of them; index -1: none, it lies outside. */
static bool fill_tables(glia_c *c, const glia_resizing *r, int32_t *index, float *weight) {
    const size_t most = (size_t)r->most;
    glia_taps t = {.index = glia__arena_alloc(c->arena, most * sizeof *t.index),
                   .weight = glia__arena_alloc(c->arena, most * sizeof *t.weight)};
    if (!t.index || !t.weight) return false;
    for (int64_t i = 0; i < r->out; i++) {
        glia__resize_taps(r, i, &t);
        for (int64_t k = 0; k < r->most; k++) {
            const bool there = k < t.count;
            index[i * r->most + k] = there ? (int32_t)t.index[k] : t.count ? 0 : -1;
            if (weight) weight[i * r->most + k] = there ? (float)t.weight[k] : 0;
        }
    }
    return true;
}

/* Where elements lie, and their weights, are computed here and are tables there. */
GLIA_EMIT(resize) {
    const glia_resize_attrs *a = call->attrs;
    glia_resizing r;
    GLIA_TRY(glia__resize_fit(&r, a, &call->in[0].type.shape, call->err));
    const bool nearest = a->mode == GLIA_RESIZE_NEAREST;
    const glia_dtype dtype = call->out[0].type.dtype;
    const glia_lines l = {r.outer, r.in, r.inner};
    const char *index_name, *weight_name = "";
    char at[96];
    int32_t *index = glia__c_table(c, GLIA_I32, r.out * r.most, &index_name);
    float *weight = nearest ? NULL : glia__c_table(c, GLIA_F32, r.out * r.most, &weight_name);
    if (!index || (!nearest && !weight) || !fill_tables(c, &r, index, weight)) {
        c->text->failed = true;
        return GLIA_OK;
    }
    bool outside = false;
    for (int64_t i = 0; i < r.out; i++) outside |= index[i * r.most] < 0;
    glia_text value;
    glia__text_init(&value, c->arena->allocator);
    if (outside) {
        glia__text_printf(&value, "%s[i * %d] < 0 ? ", index_name, r.most);
        glia__c_number(&value, dtype, a->outside);
        glia__text_add(&value, " : ");
        if (glia__c_number_needs_math(a->outside)) glia__c_need(c, GLIA_C_MATH);
    }
    glia__c_for(c, "n", l.outer);
    glia__c_for(c, "i", r.out);
    glia__c_for(c, "k", l.inner);
    if (nearest) {
        char element[32];
        snprintf(element, sizeof element, "%s[i]", index_name);
        glia__text_printf(&value, "%s[%s]", call->in[0].name, place(&l, l.n, element, at));
    } else {
        char element[64];
        snprintf(element, sizeof element, "%s[i * %d + j]", index_name, r.most);
        c->macs = (double)r.most * (double)glia_shape_elems(&call->out[0].type.shape);
        glia__c_line(c, "float s = 0;");
        glia__c_line(c, "for (int j = 0; j < %d%s%s%s; j++)", r.most, outside ? " && " : "",
                     outside ? element : "", outside ? " >= 0" : "");
        glia__c_line(c, "    s += %s[i * %d + j] * %s[%s];", weight_name, r.most, call->in[0].name,
                     place(&l, l.n, element, at));
        glia__text_add(&value, "s");
    }
    glia__c_store(c, call, place(&l, r.out, "i", at), value.data ? value.data : "");
    for (int i = 0; i < 3; i++) glia__c_end(c);
    c->text->failed |= value.failed;
    glia__text_free(&value);
    return GLIA_OK;
}
