/* emit_attention.c: attention in C: for every query the products with all keys that it sees, in memory for one row, and then
 * the weighted sum of the values; and rotary positions. */

#include <stdio.h>

#include "ops/attention.h"
#include "ops/emit.h"
#include "ops/rotary.h"

typedef struct attending {
    glia_c *c;
    const glia_c_call *call;
    glia_attention a;
    const char *q, *k, *v, *mask, *row;
} attending;

static const char *name_of(const glia_c_call *call, int i) {
    return i < call->n_in ? call->in[i].name : NULL;
}

static attending attending_of(glia_c *c, const glia_c_call *call) {
    glia_type in[GLIA_ATT_LENGTHS + 1];
    for (int i = 0; i <= GLIA_ATT_LENGTHS; i++)
        in[i] = name_of(call, i) ? call->in[i].type : (glia_type){.shape = {.rank = -1}};
    attending s = {.c = c, .call = call, .a = glia__attention_of(in, GLIA_ATT_LENGTHS + 1, call->attrs)};
    s.q = call->in[GLIA_ATT_Q].name;
    s.k = s.a.packed ? s.q : call->in[GLIA_ATT_K].name;
    s.v = s.a.packed ? s.q : call->in[GLIA_ATT_V].name;
    s.mask = name_of(call, GLIA_ATT_MASK);
    s.row = glia__c_work(c, GLIA_F32, GLIA_MAX(s.a.keys, (int64_t)1));
    return s;
}

/* const float *NAME = row `t` of head `head`, an expression. */
static void point(const attending *s, const char *name, const char *array, const glia_attention_rows *rows,
                  const char *t, const char *head) {
    glia__c_line(s->c, "const float *%s = %s + n * %lld + %s * %lld + %lld + %s * %lld;", name, array,
                 (long long)rows->example, t, (long long)rows->step, (long long)rows->at, head,
                 (long long)rows->size);
}

/* How many keys query i of example n may see. */
static void count_seen(const attending *s) {
    const char *lengths = name_of(s->call, GLIA_ATT_LENGTHS);
    char range[96];
    if (lengths) {
        snprintf(range, sizeof range, "%s[n] < 0 || %s[n] > %lld", lengths, lengths, (long long)s->a.keys);
        glia__c_fail_if(s->c, range);
        glia__c_line(s->c, "%sint seen = (int)%s[n];", s->a.causal ? "" : "const ", lengths);
    } else {
        glia__c_line(s->c, "%sint seen = %lld;", s->a.causal ? "" : "const ", (long long)s->a.keys);
    }
    if (s->a.causal) glia__c_line(s->c, "if (seen > i + 1) seen = i + 1;");
}

/* The row of scores, and its largest; what is not seen is −∞. */
static void emit_scores(const attending *s, const char *head) {
    glia_c *c = s->c;
    const int64_t *step = s->a.mask_step;
    const bool of_bool = s->mask && s->call->in[GLIA_ATT_MASK].type.dtype == GLIA_BOOL;
    glia_text scale;
    glia__text_init(&scale, c->arena->allocator);
    glia__c_number(&scale, GLIA_F32, s->a.scale);
    glia__c_line(c, "float most = -HUGE_VALF, sum = 0;");
    glia__c_line(c, "for (int j = 0; j < seen; j++) {");
    point(s, "k", s->k, &s->a.k, "j", head);
    glia__c_line(c, "float s = %s_dot(q, k, %lld) * %s;", c->prefix, (long long)s->a.q.size,
                 scale.data ? scale.data : "");
    if (s->mask) {
        glia__c_line(c, "const int m = n * %lld + h * %lld + i * %lld + j * %lld;", (long long)step[0],
                     (long long)step[1], (long long)step[2], (long long)step[3]);
        if (of_bool)
            glia__c_line(c, "if (!%s[m]) s = -HUGE_VALF;", s->mask);
        else
            glia__c_line(c, "s += %s[m];", s->mask);
    }
    glia__c_line(c, "%s[j] = s;", s->row);
    glia__c_line(c, "if (s > most) most = s;");
    glia__c_end(c);
    c->text->failed |= scale.failed;
    glia__text_free(&scale);
}

/* y = Σ e^(score − most)·v / Σ e^(score − most), a few places at a time. */
static void emit_sum(const attending *s, const char *head) {
    glia_c *c = s->c;
    glia_emit_block kinds[2];
    const int n_kinds = glia__emit_blocks(s->a.v.size, false, kinds);
    char to[96];
    glia__c_line(c, "const int none = !(most > -HUGE_VALF);");
    glia__c_line(c, "for (int j = 0; j < seen; j++) sum += %s[j] = none ? 0.0f : %s_exp(%s[j] - most);",
                 s->row, c->prefix, s->row);
    if (s->call->n_out > 1 && s->call->out[1].name)
        glia__c_line(c, "%s[(n * %lld + h) * %lld + i] = none ? most : most + (float)log(sum);",
                     s->call->out[1].name, (long long)s->a.heads, (long long)s->a.queries);
    for (int b = 0; b < n_kinds; b++) {
        const glia_emit_block *block = &kinds[b];
        glia__c_for(c, "b", block->blocks);
        glia__c_line(c, "const int d = %lld + b * %lld;", (long long)block->first, (long long)block->count);
        glia__c_line(c, "float s[%lld] = {0};", (long long)block->count);
        glia__c_line(c, "for (int j = 0; j < seen; j++) {");
        point(s, "v", s->v, &s->a.v, "j", head);
        glia__c_line(c, "for (int u = 0; u < %lld; u++) s[u] += %s[j] * v[d + u];", (long long)block->count,
                     s->row);
        glia__c_end(c);
        glia__c_for(c, "u", block->count);
        snprintf(to, sizeof to, "(n * %lld + i) * %lld + h * %lld + d + u", (long long)s->a.queries,
                 (long long)(s->a.heads * s->a.v.size), (long long)s->a.v.size);
        glia__c_store(c, s->call, to, "(none ? 0.0f : s[u] / sum)");
        glia__c_end(c);
        glia__c_end(c);
    }
}

GLIA_EMIT(attention) {
    const attending s = attending_of(c, call);
    char head[32] = "h";
    if (s.a.heads != s.a.kv_heads)
        snprintf(head, sizeof head, "(h / %lld)", (long long)(s.a.heads / s.a.kv_heads));
    glia__c_need(c, GLIA_C_MATH | GLIA_C_EXP | GLIA_C_DOT);
    c->macs = (double)(s.a.n * s.a.heads * s.a.queries * s.a.keys) * (double)(s.a.q.size + s.a.v.size);
    glia__c_for(c, "n", s.a.n);
    glia__c_for(c, "h", s.a.heads);
    glia__c_for(c, "i", s.a.queries);
    point(&s, "q", s.q, &s.a.q, "i", "h");
    count_seen(&s);
    emit_scores(&s, head);
    emit_sum(&s, head);
    for (int d = 0; d < 3; d++) glia__c_end(c);
    return GLIA_OK;
}

/* --- rotary positions ----------------------------------------------------------------------------------------- */

/* Stores numbers [begin, end) of heads [first, past) as they are. */
static void keep_numbers(glia_c *c, const glia_c_call *call, const glia_rotary *r, int64_t first,
                         int64_t past, int64_t begin, int64_t end) {
    char at[160], value[200];
    if (first == past || begin == end) return;
    glia__c_for(c, "h", past - first);
    glia__c_for(c, "k", end - begin);
    snprintf(at, sizeof at, "at + h * %lld + k + %lld", (long long)r->size,
             (long long)(first * r->size + begin));
    snprintf(value, sizeof value, "%s[%s]", call->in[GLIA_ROTARY_X].name, at);
    glia__c_store(c, call, at, value);
    glia__c_end(c);
    glia__c_end(c);
}

GLIA_EMIT(rotary_embedding) {
    const glia_type in[] = {call->in[GLIA_ROTARY_X].type, call->in[GLIA_ROTARY_COSINES].type};
    const glia_rotary r = glia__rotary_of(in, call->attrs);
    const char *x = call->in[GLIA_ROTARY_X].name;
    char row[64] = "t", second[32];
    if (r.of_examples) snprintf(row, sizeof row, "(n * %lld + t)", (long long)r.steps);
    snprintf(second, sizeof second, "p + %lld", (long long)r.apart);
    c->macs = (double)(r.n * r.steps) * (double)(4 * r.turned * r.half);
    glia__c_for(c, "n", r.n);
    glia__c_for(c, "t", r.steps);
    glia__c_line(c, "const int at = (n * %lld + t) * %lld;", (long long)r.steps,
                 (long long)(r.heads * r.size));
    glia__c_line(c, "const float *c = %s + %s * %lld, *s = %s + %s * %lld;",
                 call->in[GLIA_ROTARY_COSINES].name, row, (long long)r.half, call->in[GLIA_ROTARY_SINES].name,
                 row, (long long)r.half);
    glia__c_for(c, "h", r.turned);
    glia__c_for(c, "i", r.half);
    glia__c_line(c, "const int p = at + h * %lld + i * %lld;", (long long)r.size, (long long)r.step);
    glia__c_line(c, "const float a = %s[p], b = %s[%s];", x, x, second);
    glia__c_store(c, call, "p", r.back ? "(a * c[i] + b * s[i])" : "(a * c[i] - b * s[i])");
    glia__c_store(c, call, second, r.back ? "(b * c[i] - a * s[i])" : "(b * c[i] + a * s[i])");
    glia__c_end(c);
    glia__c_end(c);
    keep_numbers(c, call, &r, 0, r.turned, 2 * r.half, r.size);
    keep_numbers(c, call, &r, r.turned, r.heads, 0, r.size);
    glia__c_end(c);
    glia__c_end(c);
    return GLIA_OK;
}
