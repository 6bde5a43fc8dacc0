/* emit_norm.c: normalisation of each example by itself in C. Sums are made in double, the rest in float. */

#include <stdio.h>

#include "glia/ops.h"
#include "ops/emit.h"

/* Stores a statistic where somebody reads it. */
static void add_statistic(glia_c *c, const glia_c_call *call, int output, const char *value) {
    if (output < call->n_out && call->out[output].name)
        glia__c_line(c, "%s[n] = (float)%s;", call->out[output].name, value);
}

/* Rows from the axis on. `centred`: less their mean, as layer_norm and not as rms_norm. */
static glia_status emit_rows(glia_c *c, const glia_c_call *call, bool centred) {
    const glia_layer_norm_attrs *a = call->attrs;
    const glia_shape *x = &call->in[0].type.shape;
    const bool scale = call->n_in > 1 && call->in[1].name, bias = call->n_in > 2 && call->in[2].name;
    long long rows = 1, length = 1;
    int axis = 0;
    char to[64], value[160];
    glia_text epsilon;
    (void)glia__axis_resolve(a->axis, x->rank, &axis);
    for (int d = 0; d < x->rank; d++) *(d < axis ? &rows : &length) *= x->dim[d];
    glia__text_init(&epsilon, c->arena->allocator);
    glia__c_number(&epsilon, GLIA_F64, a->epsilon);
    glia__c_need(c, GLIA_C_MATH);
    glia__c_for(c, "n", rows);
    glia__c_line(c, "const float *row = %s + n * %lld;", call->in[0].name, length);
    glia__c_line(c, "double %ssquares = 0, r;", centred ? "sum = 0, " : "");
    if (centred) {
        glia__c_line(c, "for (int k = 0; k < %lld; k++) sum += (double)row[k];", length);
        glia__c_line(c, "sum /= %lld;", length);
        glia__c_line(
            c, "for (int k = 0; k < %lld; k++) squares += ((double)row[k] - sum) * ((double)row[k] - sum);",
            length);
    } else {
        glia__c_line(c, "for (int k = 0; k < %lld; k++) squares += (double)row[k] * (double)row[k];", length);
    }
    glia__c_line(c, "r = 1 / sqrt(squares / %lld + %s);", length, epsilon.data ? epsilon.data : "");
    if (centred) add_statistic(c, call, 1, "sum");
    add_statistic(c, call, centred ? 2 : 1, "r");
    glia__c_line(c, "const float f = (float)r%s;", centred ? ", m = (float)sum" : "");
    glia__c_for(c, "k", length);
    snprintf(to, sizeof to, "n * %lld + k", length);
    snprintf(value, sizeof value, "%s * f%s%s%s%s%s%s", centred ? "(row[k] - m)" : "row[k]",
             scale ? " * " : "", scale ? call->in[1].name : "", scale ? "[k]" : "", bias ? " + " : "",
             bias ? call->in[2].name : "", bias ? "[k]" : "");
    glia__c_store(c, call, to, value);
    glia__c_end(c);
    glia__c_end(c);
    c->text->failed |= epsilon.failed;
    glia__text_free(&epsilon);
    return GLIA_OK;
}

GLIA_EMIT(layer_norm) {
    return emit_rows(c, call, true);
}

GLIA_EMIT(rms_norm) {
    return emit_rows(c, call, false);
}
