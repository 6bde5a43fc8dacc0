/* emit_reduce.c: reductions in C: loops over what is kept, and inside over what is reduced. */

#include <stdio.h>

#include "glia/ops.h"
#include "ops/emit.h"
#include "ops/reduction.h"

/* What becomes of an element v: statements that set s, of type `acc` and first `start`; {type} limits by dtype. */
typedef struct reduction {
    const char *start, *next, *next_whole, *result;
    const char *also; /* another declaration */
    uint32_t needs;
    bool in_double; /* floats are summed in double, whole numbers as they are */
    bool index;     /* the result is where, not what */
} reduction;

/* Loops over the marked, or the other, dimensions; `step` are those of the array that is read. */
static int open_loops(glia_c *c, const glia_shape *shape, const bool *marked, bool which) {
    int opened = 0;
    char variable[8];
    for (int d = 0; d < shape->rank; d++) {
        if (marked[d] != which) continue;
        snprintf(variable, sizeof variable, "i%d", d);
        glia__c_for(c, variable, shape->dim[d]);
        opened++;
    }
    return opened;
}

/* Places in the result, or among the elements reduced to one, counted over the dimensions marked so. */
static void steps_among(const glia_shape *shape, const bool *marked, bool which, int64_t *step) {
    int64_t at = 1;
    for (int d = shape->rank - 1; d >= 0; d--) {
        step[d] = marked[d] == which ? at : 0;
        if (marked[d] == which) at *= shape->dim[d];
    }
}

static glia_status emit_reduction(glia_c *c, const glia_c_call *call, const glia_shape *axes,
                                  const reduction *r) {
    const glia_shape *x = &call->in[0].type.shape;
    const glia_dtype dtype = call->in[0].type.dtype;
    const char *type = glia__c_type(dtype);
    bool reduced[GLIA_MAX_RANK];
    int64_t step[GLIA_MAX_RANK], kept[GLIA_MAX_RANK], inside[GLIA_MAX_RANK], count = 1;
    char at[200], to[200], place[200], value[240];
    GLIA_TRY(glia__reduce_axes(axes, x->rank, reduced, call->err));
    for (int d = 0; d < x->rank; d++) count *= reduced[d] ? x->dim[d] : 1;
    if (count == 0) return glia_error_set(call->err, GLIA_UNSUPPORTED, "there is nothing to reduce");
    glia__c_steps(x, step);
    steps_among(x, reduced, false, kept);
    steps_among(x, reduced, true, inside);
    glia__c_index(x->rank, "i", step, 0, at, sizeof at);
    glia__c_index(x->rank, "i", inside, 0, place, sizeof place);
    const int outer = open_loops(c, x, reduced, false);
    if (r->index) glia__c_line(c, "int best = -1;");
    const char *next = glia_dtype_is_float(dtype) ? r->next : r->next_whole;
    const char *acc = r->in_double && glia_dtype_is_float(dtype) ? "double" : type;
    glia__c_need(c, r->needs);
    if (r->also) glia__c_line(c, "%s", r->also);
    glia__c_line(c, "%s s = %s;", acc, r->start);
    if (!r->in_double) glia__c_line(c, "int first = 1;");
    const int inner = open_loops(c, x, reduced, true);
    glia__c_line(c, "const %s v = %s[%s];", acc, call->in[0].name, at);
    if (r->in_double)
        glia__c_line(c, "%s", r->next);
    else if (r->index)
        glia__c_line(c, "if (first || (%s)) s = v, best = %s, first = 0;", next, place);
    else
        glia__c_line(c, "if (first || (%s)) s = v, first = 0;", next);
    for (int i = 0; i < inner; i++) glia__c_end(c);
    glia__c_index(x->rank, "i", kept, 0, to, sizeof to);
    snprintf(value, sizeof value, r->result, r->index ? "int64_t" : type, (long long)count);
    glia__c_store(c, call, to, value);
    for (int i = 0; i < outer; i++) glia__c_end(c);
    return GLIA_OK;
}

#define REDUCTION(op, ...)                                                   \
    GLIA_EMIT(op) {                                                          \
        const glia_reduce_attrs *a = call->attrs;                            \
        return emit_reduction(c, call, &a->axes, &(reduction){__VA_ARGS__}); \
    }

REDUCTION(l1_norm, .start = "0", .next = "s += v < 0 ? -v : v;", .result = "(%s)s", .in_double = true)
REDUCTION(l2_norm, .start = "0", .next = "s += v * v;", .result = "(%s)sqrt(s)", .in_double = true,
          .needs = GLIA_C_MATH)
REDUCTION(sum_square, .start = "0", .next = "s += v * v;", .result = "(%s)s", .in_double = true)
REDUCTION(log_sum, .start = "0", .next = "s += v;", .result = "(%s)log(s)", .in_double = true,
          .needs = GLIA_C_MATH)
/* Σ e^(v − most) of the largest so far, without a difference of equals, which would be NaN of infinities. */
REDUCTION(
    log_sum_exp, .start = "0", .also = "double most = -INFINITY;",
    .next = "if (v > most) s = s * exp(most - v) + 1, most = v; else s += v == most ? 1 : exp(v - most);",
    .result = "(%s)(most + log(s))", .in_double = true, .needs = GLIA_C_MATH)

/* Extremes: the first of equals, and a NaN, which nothing follows. */
REDUCTION(sum, .start = "0", .next = "s += v;", .result = "(%s)s", .in_double = true)
REDUCTION(mean, .start = "0", .next = "s += v;", .result = "(%s)(s / %lld)", .in_double = true)
REDUCTION(prod, .start = "1", .next = "s *= v;", .result = "(%s)s", .in_double = true)
REDUCTION(max, .start = "0", .next = "v > s || v != v", .next_whole = "v > s", .result = "(%s)s")
REDUCTION(min, .start = "0", .next = "v < s || v != v", .next_whole = "v < s", .result = "(%s)s")

/* The first or the last of equals; the first or last NaN. */
static glia_status emit_place(glia_c *c, const glia_c_call *call, reduction first, reduction last) {
    const glia_arg_attrs *a = call->attrs;
    return emit_reduction(c, call, &a->axes, a->select_last == GLIA_YES ? &last : &first);
}

#define PLACE(next_, next_whole_)                                                                   \
    (reduction) {                                                                                   \
        .start = "0", .next = next_, .next_whole = next_whole_, .result = "(%s)best", .index = true \
    }

GLIA_EMIT(argmax) {
    return emit_place(c, call, PLACE("v > s || (v != v && s == s)", "v > s"),
                      PLACE("v >= s || v != v", "v >= s"));
}

GLIA_EMIT(argmin) {
    return emit_place(c, call, PLACE("v < s || (v != v && s == s)", "v < s"),
                      PLACE("v <= s || v != v", "v <= s"));
}
