/* emit_product.c: dense layers and matrix products in C. Where both rows lie in a row it is a scalar product, with its sum
 * in eight lanes; else up to 32 sums of a row of the result are kept in a local array, as for convolutions. */

#include <stdio.h>

#include "ops/emit.h"
#include "ops/matmul.h"
#include "ops/riders.h"

GLIA_EMIT(linear) {
    const long long rows = glia__rows_of(&call->out[0].type.shape), units = call->in[1].type.shape.dim[0],
                    features = call->in[1].type.shape.dim[1];
    const bool bias = call->n_in > 2 && call->in[2].name;
    char to[64];
    glia__c_need(c, GLIA_C_DOT);
    c->macs = (double)rows * (double)units * (double)features;
    glia__c_for(c, "n", rows);
    glia__c_for(c, "o", units);
    glia__c_line(c, "const float s = %s_dot(%s + n * %lld, %s + o * %lld, %lld)%s%s%s;", c->prefix,
                 call->in[0].name, features, call->in[1].name, features, features, bias ? " + " : "",
                 bias ? call->in[2].name : "", bias ? "[o]" : "");
    snprintf(to, sizeof to, "n * %lld + o", units);
    glia__emit_finished(c, call, to, "s", ((const glia_linear_attrs *)call->attrs)->activation);
    glia__c_end(c);
    glia__c_end(c);
    return GLIA_OK;
}

/* --- matmul ---------------------------------------------------------------------------------------------- */

typedef struct product {
    long long m, n, k;
    bool ta, tb;
} product;

/* Loops over the matrices of the batch, i0, i1, …; their offsets are `a`, `b` and `y`. */
static int open_batch(glia_c *c, const glia_c_call *call, const product *p) {
    const glia_shape *out = &call->out[0].type.shape;
    const int rank = out->rank - 2;
    int64_t to[GLIA_MAX_RANK], at = p->m * p->n;
    char variable[8], text[200];
    for (int d = rank - 1; d >= 0; at *= out->dim[d--]) to[d] = at;
    for (int d = 0; d < rank; d++) {
        snprintf(variable, sizeof variable, "i%d", d);
        glia__c_for(c, variable, out->dim[d]);
    }
    for (int i = 0; i < 2; i++) {
        const glia_shape *in = &call->in[i].type.shape;
        int64_t step[GLIA_MAX_RANK] = {0}, next = in->dim[in->rank - 2] * in->dim[in->rank - 1];
        for (int d = rank - 1, from = in->rank - 3; d >= 0 && from >= 0; next *= in->dim[from], d--, from--)
            step[d] = in->dim[from] > 1 ? next : 0;
        glia__c_line(c, "const float *%c = %s + %s;", "ab"[i], call -> in[i].name,
                     glia__c_index(rank, "i", step, 0, text, sizeof text));
    }
    glia__c_line(c, "const int to = %s;", glia__c_index(rank, "i", to, 0, text, sizeof text));
    return rank;
}

/* Row i of the result, `count` places from j on; several products at once. */
static void emit_row(glia_c *c, const glia_c_call *call, const product *p, const glia_emit_block *block) {
    int64_t at_once = 8;
    while (p->k % at_once) at_once /= 2;
    char to[64];
    glia__c_for(c, "q", block->blocks);
    glia__c_line(c, "const int j = %lld + q * %lld;", (long long)block->first, (long long)block->count);
    glia__c_line(c, "float s[%lld] = {0};", (long long)block->count);
    glia__c_line(c, "for (int p = 0; p < %lld; p += %lld) {", p->k, (long long)at_once);
    if (p->tb)
        glia__c_line(c, "const float *t = b + j * %lld + p;", p->k);
    else
        glia__c_line(c, "const float *t = b + p * %lld + j;", p->n);
    for (int u = 0; u < at_once; u++)
        if (p->ta)
            glia__c_line(c, "const float v%d = a[(p + %d) * %lld + i];", u, u, p->m);
        else
            glia__c_line(c, "const float v%d = a[i * %lld + p + %d];", u, p->k, u);
    glia__c_for(c, "k", block->count);
    glia__emit_products(c, at_once, p->tb ? 1 : p->n, p->tb ? p->k : 1);
    glia__c_end(c);
    glia__c_end(c);
    glia__c_for(c, "k", block->count);
    snprintf(to, sizeof to, "to + i * %lld + j + k", p->n);
    glia__c_store(c, call, to, "s[k]");
    glia__c_end(c);
    glia__c_end(c);
}

GLIA_EMIT(matmul) {
    const glia_matmul_attrs *a = call->attrs;
    const glia_shape *x = &call->in[0].type.shape, *out = &call->out[0].type.shape;
    product p = {.m = out->dim[out->rank - 2],
                 .n = out->dim[out->rank - 1],
                 .ta = a->transpose_a == GLIA_YES,
                 .tb = a->transpose_b == GLIA_YES};
    p.k = x->dim[x->rank - (p.ta ? 2 : 1)];
    glia_emit_block kinds[2];
    const int rank = open_batch(c, call, &p), n_kinds = glia__emit_blocks(p.n, false, kinds);
    char to[64];
    c->macs = (double)glia_shape_elems(out) * (double)p.k;
    glia__c_for(c, "i", p.m);
    if (p.tb && !p.ta) {
        glia__c_for(c, "j", p.n);
        snprintf(to, sizeof to, "to + i * %lld + j", p.n);
        char value[128];
        glia__c_need(c, GLIA_C_DOT);
        snprintf(value, sizeof value, "%s_dot(a + i * %lld, b + j * %lld, %lld)", c->prefix, p.k, p.k, p.k);
        glia__c_store(c, call, to, value);
        glia__c_end(c);
    } else {
        for (int q = 0; q < n_kinds; q++) emit_row(c, call, &p, &kinds[q]);
    }
    for (int d = 0; d <= rank; d++) glia__c_end(c);
    return GLIA_OK;
}
