/* emit_recurrent.c: rnn, lstm and gru in C: one sequence after the other, one step after the other. What a step needs of the
 * input and of the state before it is added up first, by scalar products; then every unit takes the step. */

#include <stdio.h>

#include "ops/emit.h"
#include "ops/recurrent.h"

typedef struct sequences {
    glia_c *c;
    const glia_c_call *call;
    long long n, steps, in, hidden;
    bool reverse, bias;
    const char *h, *sums; /* the state; the sums of a step */
    const char *cells;    /* lstm */
} sequences;

static const char *input(const sequences *s, int i) {
    return i < s->call->n_in ? s->call->in[i].name : NULL;
}

static sequences sequences_of(glia_c *c, const glia_c_call *call, int sums, bool cells) {
    const glia_shape *x = &call->in[GLIA_REC_X].type.shape;
    sequences s = {.c = c,
                   .call = call,
                   .n = x->dim[0],
                   .steps = x->dim[1],
                   .in = x->dim[2],
                   .hidden = call->in[GLIA_REC_R].type.shape.dim[1],
                   .reverse = ((const glia_recurrent_attrs *)call->attrs)->reverse == GLIA_YES};
    s.bias = input(&s, GLIA_REC_B) != NULL;
    s.h = glia__c_work(c, GLIA_F32, s.hidden);
    s.sums = glia__c_work(c, GLIA_F32, sums * s.hidden);
    s.cells = cells ? glia__c_work(c, GLIA_F32, s.hidden) : NULL;
    return s;
}

/* state[k] = what it begins with. */
static void begin_state(const sequences *s, const char *state, int input_number) {
    const char *from = input(s, input_number);
    if (from)
        glia__c_line(s->c, "for (int k = 0; k < %lld; k++) %s[k] = %s[n * %lld + k];", s->hidden, state, from,
                     s->hidden);
    else
        glia__c_line(s->c, "for (int k = 0; k < %lld; k++) %s[k] = 0;", s->hidden, state);
}

/* Loops over sequences and their steps; `at` counts steps in x and y, `row` is the step's input. */
static void open_steps(const sequences *s) {
    glia_c *c = s->c;
    const char *lengths = input(s, GLIA_REC_LENGTHS);
    char range[80];
    glia__c_for(c, "n", s->n);
    if (lengths) {
        const int least = ((const glia_recurrent_attrs *)s->call->attrs)->allow_empty == GLIA_NO;
        snprintf(range, sizeof range, "%s[n] < %d || %s[n] > %lld", lengths, least, lengths, s->steps);
        glia__c_fail_if(c, range);
        glia__c_line(c, "const int length = (int)%s[n];", lengths);
    } else {
        glia__c_line(c, "const int length = %lld;", s->steps);
    }
    begin_state(s, s->h, GLIA_REC_H0);
    if (s->cells) begin_state(s, s->cells, GLIA_REC_C0);
    glia__c_line(c, "for (int step = 0; step < length; step++) {");
    glia__c_line(c, "const int at = n * %lld + %s;", s->steps, s->reverse ? "length - 1 - step" : "step");
    glia__c_line(c, "const float *row = %s + at * %lld;", input(s, GLIA_REC_X), s->in);
}

/* Sum `to + g` = what gate unit g sees of the input and of `state`, either of which may be left out. */
static void add_sums(const sequences *s, long long first, long long count, long long to, bool of_input,
                     const char *state) {
    const long long units = s->call->in[GLIA_REC_W].type.shape.dim[0];
    char text[400];
    size_t used = 0;
    if (of_input)
        used += (size_t)snprintf(text, sizeof text, "%s_dot(row, %s + g * %lld, %lld)", s->c->prefix,
                                 input(s, GLIA_REC_W), s->in, s->in);
    if (of_input && s->bias)
        used += (size_t)snprintf(text + used, sizeof text - used, " + %s[g]", input(s, GLIA_REC_B));
    if (state)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s_dot(%s, %s + g * %lld, %lld)",
                                 used ? " + " : "", s->c->prefix, state, input(s, GLIA_REC_R), s->hidden,
                                 s->hidden);
    if (state && s->bias)
        snprintf(text + used, sizeof text - used, " + %s[%lld + g]", input(s, GLIA_REC_B), units);
    s->c->macs +=
        (double)(s->n * s->steps * count) * (double)((of_input ? s->in : 0) + (state ? s->hidden : 0));
    glia__c_need(s->c, GLIA_C_DOT);
    glia__c_line(s->c, "for (int g = %lld; g < %lld; g++)", first, first + count);
    if (to == first)
        glia__c_line(s->c, "    %s[g] = %s;", s->sums, text);
    else
        glia__c_line(s->c, "    %s[%lld + g] = %s;", s->sums, to - first, text);
}

/* const float NAME = σ(sum of gate `gate`), or its tanh. */
static void add_gate(const sequences *s, const char *name, int gate, bool sigmoid) {
    glia__c_need(s->c, sigmoid ? GLIA_C_EXP : GLIA_C_TANH);
    if (sigmoid)
        glia__c_line(s->c, "const float %s = 1 / (1 + %s_exp(-%s[%lld + k]));", name, s->c->prefix, s->sums,
                     gate * s->hidden);
    else
        glia__c_line(s->c, "const float %s = %s_tanh(%s[%lld + k]);", name, s->c->prefix, s->sums,
                     gate * s->hidden);
}

/* Ends the loop over units, in which the state became `value`, and those over steps and sequences. */
static void close_steps(const sequences *s, const char *value) {
    glia_c *c = s->c;
    const glia_c_array *out = s->call->out;
    char to[64];
    glia__c_line(c, "%s[k] = %s;", s->h, value);
    snprintf(to, sizeof to, "at * %lld + k", s->hidden);
    char state[24];
    snprintf(state, sizeof state, "%s[k]", s->h);
    glia__c_store(c, s->call, to, state);
    glia__c_end(c);
    glia__c_end(c);
    if (input(s, GLIA_REC_LENGTHS)) {
        glia__c_line(c, "for (int i = length * %lld; i < %lld; i++) {", s->hidden, s->steps * s->hidden);
        snprintf(to, sizeof to, "n * %lld + i", s->steps * s->hidden);
        glia__c_store(c, s->call, to, "0");
        glia__c_end(c);
    }
    for (int o = GLIA_REC_HN; o <= GLIA_REC_CN; o++)
        if (o < s->call->n_out && out[o].name && (o == GLIA_REC_HN || s->cells))
            glia__c_line(c, "for (int k = 0; k < %lld; k++) %s[n * %lld + k] = %s[k];", s->hidden,
                         out[o].name, s->hidden, o == GLIA_REC_HN ? s->h : s->cells);
    glia__c_end(c);
}

/* What is saved for gradients is no result. */
static glia_status refuse_saved(const glia_c_call *call, int saved) {
    if (!call->out[saved].name) return GLIA_OK;
    return glia_error_set(call->err, GLIA_UNSUPPORTED, "what it saves for gradients is read");
}

GLIA_EMIT(rnn) {
    const sequences s = sequences_of(c, call, 1, false);
    char value[120];
    open_steps(&s);
    add_sums(&s, 0, s.hidden, 0, true, s.h);
    glia__c_for(c, "k", s.hidden);
    if (((const glia_recurrent_attrs *)call->attrs)->activation == 1) {
        snprintf(value, sizeof value, "%s[k] < 0 ? 0 : %s[k]", s.sums, s.sums);
    } else {
        glia__c_need(c, GLIA_C_TANH);
        snprintf(value, sizeof value, "%s_tanh(%s[k])", c->prefix, s.sums);
    }
    close_steps(&s, value);
    return GLIA_OK;
}

GLIA_EMIT(lstm) {
    GLIA_TRY(refuse_saved(call, GLIA_REC_CN + 1));
    const sequences s = sequences_of(c, call, 4, true);
    char value[120];
    open_steps(&s);
    add_sums(&s, 0, 4 * s.hidden, 0, true, s.h);
    glia__c_for(c, "k", s.hidden);
    add_gate(&s, "i", 0, true);
    add_gate(&s, "f", 1, true);
    add_gate(&s, "g", 2, false);
    add_gate(&s, "o", 3, true);
    glia__c_line(c, "%s[k] = f * %s[k] + i * g;", s.cells, s.cells);
    snprintf(value, sizeof value, "o * %s_tanh(%s[k])", c->prefix, s.cells);
    close_steps(&s, value);
    return GLIA_OK;
}

/* The last quarter of the sums is what n sees of the state; without reset_after that is r·h, which takes the place of r. */
GLIA_EMIT(gru) {
    GLIA_TRY(refuse_saved(call, GLIA_REC_CN));
    const bool after = ((const glia_recurrent_attrs *)call->attrs)->reset_after != GLIA_NO;
    const sequences s = sequences_of(c, call, 4, false);
    const long long h = s.hidden;
    open_steps(&s);
    add_sums(&s, 0, 2 * h, 0, true, s.h);
    add_sums(&s, 2 * h, h, 2 * h, true, NULL);
    if (!after) {
        glia__c_for(c, "k", h);
        add_gate(&s, "r", 0, true);
        glia__c_line(c, "%s[k] = r * %s[k];", s.sums, s.h);
        glia__c_end(c);
    }
    add_sums(&s, 2 * h, h, 3 * h, false, after ? s.h : s.sums);
    glia__c_for(c, "k", h);
    if (after) {
        add_gate(&s, "r", 0, true);
        glia__c_line(c, "%s[%lld + k] += r * %s[%lld + k];", s.sums, 2 * h, s.sums, 3 * h);
    } else {
        glia__c_line(c, "%s[%lld + k] += %s[%lld + k];", s.sums, 2 * h, s.sums, 3 * h);
    }
    add_gate(&s, "z", 1, true);
    add_gate(&s, "m", 2, false);
    char value[120];
    snprintf(value, sizeof value, "(1 - z) * m + z * %s[k]", s.h);
    close_steps(&s, value);
    return GLIA_OK;
}
