/* einsum.c: sums of products named by letters, as NumPy's einsum: "ij,jk->ik" is a matrix product. Plain loops over every
 * letter: general, not fast; large products are better written as matmul. */

#include <ctype.h>
#include <stdio.h>

#include "glia/ops.h"
#include "graph/emit.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_einsum_attrs {
    const char
        *equation; /* "ij,jk->ik"; without an arrow the letters that stand once, in their order; … is "..." */
} glia_einsum_attrs;
/* 1 … 8 arrays, f32 or f64. */
GLIA_API glia_value *glia_op_einsum(glia_value *const *values, int count, glia_einsum_attrs attrs);
#endif /* GLIA_OPS_HEADER */

enum {
    MOST_OPERANDS = 8,
    ELLIPSIS = 52, /* labels below are letters, from here on the dimensions of an ellipsis */
    LABELS = ELLIPSIS + GLIA_MAX_RANK
};

/* The labels of one array. */
typedef struct term {
    int rank;
    int label[GLIA_MAX_RANK];
} term;

/* Everything that is walked over: the labels of the result, then those that are summed; and how far apart neighbours along
 * each label are in every array, the result last. */
typedef struct einsum {
    int operands, n_out, n_labels;
    int order[LABELS];
    int64_t dim[LABELS];
    int64_t step[MOST_OPERANDS + 1][LABELS];
    term terms[MOST_OPERANDS + 1];
} einsum;

static glia_status bad(glia_error *err, const char *equation, const char *why) {
    return glia_error_set(err, GLIA_INVALID_ARGUMENT, "einsum: '%.80s' %s", equation, why);
}

static int label_of(char c) {
    return c >= 'a' ? c - 'a' + 26 : c - 'A';
}

/* Reads the term at `*at`, up to a comma, an arrow or the end. `dims`: dimensions of its array; negative: as many as it takes,
 * with an ellipsis of `ellipsis`. */
static glia_status read_term(const char *equation, const char **at, int dims, int ellipsis, term *out,
                             glia_error *err) {
    int letters = 0, dots = -1;
    int found[GLIA_MAX_RANK];
    for (; **at && **at != ',' && **at != '-'; (*at)++) {
        if (**at == ' ') continue;
        if (strncmp(*at, "...", 3) == 0 && dots < 0) {
            dots = letters;
            *at += 2;
        } else if (isalpha((unsigned char)**at) && letters < GLIA_MAX_RANK) {
            found[letters++] = label_of(**at);
        } else {
            return bad(err, equation, "is not understood: expected letters, commas, one arrow -> and ...");
        }
    }
    const int more = dots < 0 ? 0 : dims < 0 ? ellipsis : dims - letters;
    if (more < 0 || letters + more > GLIA_MAX_RANK || (dims >= 0 && letters + more != dims))
        return bad(err, equation, "has another number of letters than its arrays have dimensions");
    out->rank = 0;
    for (int i = 0; i <= letters; i++) {
        for (int k = 0; k < more && i == dots; k++) out->label[out->rank++] = LABELS - more + k;
        if (i < letters) out->label[out->rank++] = found[i];
    }
    return GLIA_OK;
}

/* What stands behind the arrow, or follows from its absence. */
static glia_status read_result(einsum *e, const char *equation, const char *at, int ellipsis, const int *uses,
                               glia_error *err) {
    term *out = &e->terms[e->operands];
    bool seen[LABELS] = {false};
    if (*at == '-') {
        if (at[1] != '>') return bad(err, equation, "has a - that is no arrow");
        at += 2;
        GLIA_TRY(read_term(equation, &at, -1, ellipsis, out, err));
        if (*at) return bad(err, equation, "goes on behind its result");
    } else {
        for (int k = 0; k < ellipsis; k++) out->label[out->rank++] = LABELS - ellipsis + k;
        for (int l = 0; l < ELLIPSIS; l++) {
            if (uses[l] != 1) continue;
            if (out->rank == GLIA_MAX_RANK) return bad(err, equation, "gives too many dimensions");
            out->label[out->rank++] = l;
        }
    }
    for (int i = 0; i < out->rank; i++) {
        if (seen[out->label[i]] || !uses[out->label[i]])
            return bad(err, equation, "has a letter in its result twice, or one that no array has");
        seen[out->label[i]] = true;
    }
    return GLIA_OK;
}

static glia_status find_dims(einsum *e, const char *equation, const glia_type *in, glia_error *err) {
    bool known[LABELS] = {false};
    for (int i = 0; i < e->operands; i++)
        for (int d = 0; d < e->terms[i].rank; d++) {
            const int l = e->terms[i].label[d];
            const int64_t dim = in[i].shape.dim[d];
            if (known[l] && dim != e->dim[l] && !(l >= ELLIPSIS && (dim == 1 || e->dim[l] == 1)))
                return bad(err, equation, "has a letter for dimensions that differ");
            if (!known[l] || e->dim[l] == 1) e->dim[l] = dim;
            known[l] = true;
        }
    return GLIA_OK;
}

/* The order of the walk, and the steps of the arrays. */
static void find_steps(einsum *e, const glia_type *in, const int *uses) {
    const term *out = &e->terms[e->operands];
    bool placed[LABELS] = {false};
    for (int i = 0; i < out->rank; i++) placed[e->order[e->n_labels++] = out->label[i]] = true;
    e->n_out = e->n_labels;
    for (int l = 0; l < LABELS; l++)
        if (uses[l] && !placed[l]) e->order[e->n_labels++] = l;
    for (int i = 0; i <= e->operands; i++) {
        int64_t step = 1;
        for (int d = e->terms[i].rank - 1; d >= 0; d--) {
            const int l = e->terms[i].label[d];
            const int64_t dim = i < e->operands ? in[i].shape.dim[d] : e->dim[l];
            if (dim != 1) e->step[i][l] += step; /* += : a letter that stands twice walks the diagonal */
            step *= dim;
        }
    }
}

static glia_status parse(einsum *e, const glia_type *in, int n_in, const char *equation, glia_error *err) {
    int uses[LABELS] = {0}, ellipsis = 0;
    const char *at = equation;
    *e = (einsum){.operands = n_in};
    if (!equation || !*equation || n_in < 1 || n_in > MOST_OPERANDS)
        return bad(err, equation ? equation : "",
                   "is no equation for these arrays: expected one such as ij,jk->ik");
    for (int i = 0; i < n_in; i++) {
        GLIA_TRY(glia__check_float(&in[i], err));
        GLIA_TRY(glia__check_same_dtype(&in[0], &in[i], err));
        GLIA_TRY(read_term(equation, &at, in[i].shape.rank, 0, &e->terms[i], err));
        if (i + 1 < n_in ? *at != ',' : *at == ',')
            return bad(err, equation, "has another number of terms than there are arrays");
        if (*at == ',') at++;
        int own = 0;
        for (int d = 0; d < e->terms[i].rank; d++) {
            uses[e->terms[i].label[d]]++;
            own += e->terms[i].label[d] >= ELLIPSIS;
        }
        ellipsis = GLIA_MAX(ellipsis, own);
    }
    GLIA_TRY(read_result(e, equation, at, ellipsis, uses, err));
    GLIA_TRY(find_dims(e, equation, in, err));
    find_steps(e, in, uses);
    return GLIA_OK;
}

/* Goes on by one along the labels order[first … last − 1], the last of them fastest; false when all were seen. */
static bool advance(const einsum *e, int first, int last, int64_t *index, int64_t *offset) {
    for (int k = last - 1; k >= first; k--) {
        const int l = e->order[k];
        for (int i = 0; i <= e->operands; i++) offset[i] += e->step[i][l];
        if (++index[l] < e->dim[l]) return true;
        for (int i = 0; i <= e->operands; i++) offset[i] -= e->step[i][l] * e->dim[l];
        index[l] = 0;
    }
    return false;
}

static int64_t steps_of(const einsum *e, int first, int last) {
    int64_t steps = 1;
    for (int k = first; k < last; k++) steps *= e->dim[e->order[k]];
    return steps;
}

static glia_status einsum_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    einsum e;
    GLIA_TRY(parse(&e, in, n_in, ((const glia_einsum_attrs *)attrs)->equation, err));
    out[0] = (glia_type){in[0].dtype, {.rank = e.n_out}};
    for (int i = 0; i < e.n_out; i++) out[0].shape.dim[i] = e.dim[e.order[i]];
    return GLIA_OK;
}

static glia_status parse_call(einsum *e, const glia_call *c, int n_in) {
    glia_type in[MOST_OPERANDS];
    for (int i = 0; i < n_in && i < MOST_OPERANDS; i++) in[i] = glia__view_type(&c->in[i]);
    return parse(e, in, n_in, ((const glia_einsum_attrs *)c->attrs)->equation, c->err);
}

static glia_status einsum_ref(const glia_call *c) {
    einsum e;
    GLIA_TRY(parse_call(&e, c, c->n_in));
    const bool empty = steps_of(&e, e.n_out, e.n_labels) == 0;
    int64_t index[LABELS] = {0}, offset[MOST_OPERANDS + 1] = {0};
    if (steps_of(&e, 0, e.n_out) == 0) return GLIA_OK;
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        T *y = c->out[0].data;
        do {
            double sum = 0;
            if (!empty) do {
                    double product = 1;
                    for (int i = 0; i < e.operands; i++)
                        product *= (double)((const T *)c->in[i].data)[offset[i]];
                    sum += product;
                } while (advance(&e, e.n_out, e.n_labels, index, offset));
            *y++ = (T)sum;
        } while (advance(&e, 0, e.n_out, index, offset));
    });
    return GLIA_OK;
}

/* Loops over the labels of the result, and inside over those that are summed. */
static glia_status einsum_emit(glia_c *c, const glia_c_call *call) {
    glia_type in[MOST_OPERANDS];
    einsum e;
    char text[200], variable[8], factor[240];
    glia_text product;
    for (int i = 0; i < call->n_in && i < MOST_OPERANDS; i++) in[i] = call->in[i].type;
    GLIA_TRY(parse(&e, in, call->n_in, ((const glia_einsum_attrs *)call->attrs)->equation, call->err));
    glia__text_init(&product, c->arena->allocator);
    int64_t step[MOST_OPERANDS + 1][LABELS];
    for (int i = 0; i <= e.operands; i++)
        for (int k = 0; k < e.n_labels; k++) step[i][k] = e.step[i][e.order[k]];
    for (int i = 0; i < e.operands; i++) {
        glia__c_index(e.n_labels, "i", step[i], 0, text, sizeof text);
        snprintf(factor, sizeof factor, "%s(double)%s[%s]", i ? " * " : "", call->in[i].name, text);
        glia__text_add(&product, factor);
    }
    for (int k = 0; k <= e.n_labels; k++) {
        if (k == e.n_out) glia__c_line(c, "double s = 0;");
        if (k == e.n_labels) break;
        snprintf(variable, sizeof variable, "i%d", k);
        glia__c_for(c, variable, e.dim[e.order[k]]);
    }
    glia__c_line(c, "s += %s;", product.data ? product.data : "0");
    for (int k = e.n_out; k < e.n_labels; k++) glia__c_end(c);
    glia__c_store(c, call, glia__c_index(e.n_out, "i", step[e.operands], 0, text, sizeof text), "(float)s");
    for (int k = 0; k < e.n_out; k++) glia__c_end(c);
    c->macs = (double)steps_of(&e, 0, e.n_labels) * (double)e.operands;
    c->text->failed |= product.failed;
    glia__text_free(&product);
    return GLIA_OK;
}

static double einsum_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out;
    const char *equation = ((const glia_einsum_attrs *)attrs)->equation;
    einsum e;
    int n_in = 1;
    for (const char *c = equation; *c; c++) n_in += *c == ',';
    if (parse(&e, in, n_in, equation, NULL) != GLIA_OK) return 0;
    return (double)n_in * (double)steps_of(&e, 0, e.n_labels);
}

/* Attributes of the gradient. */
typedef struct einsum_backward_attrs {
    const char *equation;
    int64_t operand;
} einsum_backward_attrs;

static void einsum_grad(glia_gradient *g) {
    glia_value *in[MOST_OPERANDS + 1];
    for (int i = 0; i < g->n_in; i++) in[i] = g->x[i];
    in[g->n_in] = g->dy[0];
    for (int i = 0; i < g->n_in; i++) {
        const einsum_backward_attrs attrs = {((const glia_einsum_attrs *)g->attrs)->equation, i};
        if (g->needed[i]) g->dx[i] = glia_graph_apply(g->graph, "einsum_backward", in, g->n_in + 1, &attrs);
    }
}

#define EQUATION_FIELD                                                                                  \
    {                                                                                                   \
        .name = "equation", .kind = GLIA_FIELD_STRING, .offset = offsetof(glia_einsum_attrs, equation), \
        .initial = "", .doc = "a letter for each dimension of each array, ->, those of the result"      \
    }

GLIA_OP(einsum) = {
    .name = "einsum",
    .version = 1,
    .doc = "y = the sum, over the letters that the result lacks, of the products of the inputs",
    .source = "Einstein's summation as in NumPy's einsum; ONNX Einsum",
    .min_inputs = 1,
    .max_inputs = MOST_OPERANDS,
    .attrs = GLIA_FIELDS(EQUATION_FIELD),
    .attrs_size = sizeof(glia_einsum_attrs),
    .infer = einsum_infer,
    .grad = einsum_grad,
    .ref = einsum_ref,
    .flops = einsum_flops,
    .onnx = "Einsum",
    .onnx_since = 12,
    .emit_c = einsum_emit,
    .cases = GLIA_CASES(
        {.inputs = "3x4 4x2", .attrs = "equation=ij,jk->ik"}, {.inputs = "3x4", .attrs = "equation=ij->ji"},
        {.inputs = "3x4", .attrs = "equation=ij->i"}, {.inputs = "5 5", .attrs = "equation=i,i"},
        {.inputs = "2x4x4", .attrs = "equation=...ii->...i"}, {.inputs = "3x3", .attrs = "equation=ii"},
        {.inputs = "2x3x4 2x4x5", .attrs = "equation=bij,bjk->bik"},
        {.inputs = "3 4", .attrs = "equation=i,j"},
        {.inputs = "2x3x4 1x4x2", .attrs = "equation=...ij,...jk->...ik"},
        {.inputs = "3 3x2 2", .attrs = "equation=i,ij,j->ij"},
        {.inputs = "0x3 3x2", .attrs = "equation=ij,jk->ik"},
        {.inputs = "2x0 0x3", .attrs = "equation=ij,jk->ik"},
        {.inputs = "3x4 5x2", .attrs = "equation=ij,jk->ik", .expect_error = "dimensions that differ"},
        {.inputs = "3x4", .attrs = "equation=ij,jk->ik", .expect_error = "another number of terms"},
        {.inputs = "3x4", .attrs = "equation=ijk->i", .expect_error = "another number of letters"},
        {.inputs = "3x4", .attrs = "equation=ij->k", .expect_error = "one that no array has"},
        {.inputs = "3x4", .attrs = "equation=i1", .expect_error = "is not understood"},
        {.inputs = "3x4", .expect_error = "expected one such as ij,jk->ik"}),
};

glia_value *glia_op_einsum(glia_value *const *values, int count, glia_einsum_attrs attrs) {
    glia_graph *graph = NULL;
    for (int i = 0; i < count && !graph; i++) graph = glia_value_graph(values[i]);
    return glia_graph_apply(graph, "einsum", values, count, &attrs);
}

/* --- the gradient by one operand ------------------------------------------------------------------------------- */

static glia_status backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    const einsum_backward_attrs *a = attrs;
    glia_type y;
    char wanted[160], found[160];
    GLIA_TRY(einsum_infer(in, n_in - 1, attrs, &y, err));
    const glia_type *dy = &in[n_in - 1];
    if (!glia_shape_equal(&y.shape, &dy->shape) || y.dtype != dy->dtype || a->operand >= n_in - 1)
        return glia_error_set(err, GLIA_BAD_SHAPE, "einsum: the gradient of %s by operand %lld cannot be %s",
                              glia__type_text(&y, wanted, sizeof wanted), (long long)a->operand,
                              glia__type_text(dy, found, sizeof found));
    out[0] = in[a->operand];
    return GLIA_OK;
}

static glia_status backward_ref(const glia_call *c) {
    const int64_t operand = ((const einsum_backward_attrs *)c->attrs)->operand;
    einsum e;
    GLIA_TRY(parse_call(&e, c, c->n_in - 1));
    int64_t index[LABELS] = {0}, offset[MOST_OPERANDS + 1] = {0};
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *dy = c->in[c->n_in - 1].data;
        T *dx = c->out[0].data;
        memset(dx, 0, (size_t)glia_shape_elems(&c->out[0].shape) * sizeof(T));
        if (steps_of(&e, 0, e.n_labels)) do {
                T product = dy[offset[e.operands]];
                for (int i = 0; i < e.operands; i++)
                    if (i != operand) product *= ((const T *)c->in[i].data)[offset[i]];
                dx[offset[operand]] += product;
            } while (advance(&e, 0, e.n_labels, index, offset));
    });
    return GLIA_OK;
}

GLIA_OP(einsum_backward) = {
    .name = "einsum_backward",
    .version = 1,
    .doc = "d(einsum)/d(one operand) of the operands and dy",
    .min_inputs = 2,
    .max_inputs = MOST_OPERANDS + 1,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,
    .attrs = GLIA_FIELDS(EQUATION_FIELD, {.name = "operand",
                                          .kind = GLIA_FIELD_INT,
                                          .offset = offsetof(einsum_backward_attrs, operand),
                                          .initial = "0",
                                          .min = 0,
                                          .max = MOST_OPERANDS - 1,
                                          .doc = "which one"}),
    .attrs_size = sizeof(einsum_backward_attrs),
    .infer = backward_infer,
    .ref = backward_ref,
    .cases = GLIA_CASES(
        {.inputs = "3x4 4x2 3x2", .attrs = "equation=ij,jk->ik operand=1"},
        {.inputs = "2x4x4 2x4", .attrs = "equation=...ii->...i"},
        {.inputs = "3x4 4x2 3x3", .attrs = "equation=ij,jk->ik", .expect_error = "cannot be f32 3×3"}),
};
