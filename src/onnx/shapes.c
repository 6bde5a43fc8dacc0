/* shapes.c: arithmetic on shapes while a graph is built. Exporters compute the argument of Reshape and the like by nodes
 * (Shape, Gather, Concat, …). Where a dimension is symbolic those cannot be computed now; but what they pass on can: each
 * number is known, or a symbol, or unknown until a run. Of numbers that are all known the folded constants take care. */

#include "onnx/import.h"

typedef struct numbers {
    glia_onnx_int at[GLIA_ONNX_MOST_INTS];
    int rank, count;
} numbers;

static glia_onnx_int known(int64_t value) {
    return (glia_onnx_int){GLIA_ONNX_INT_KNOWN, value};
}

static glia_onnx_int of_dim(int64_t dim) {
    return (glia_onnx_int){dim < 0 ? GLIA_ONNX_INT_SYMBOL : GLIA_ONNX_INT_KNOWN, dim};
}

static bool is_known(glia_onnx_int x, int64_t value) {
    return x.kind == GLIA_ONNX_INT_KNOWN && x.value == value;
}

static bool take(glia_onnx_read *r, int i, numbers *out) {
    glia_onnx_ints ints;
    if (!glia__onnx_ints_in(r, i, &ints)) return false;
    *out = (numbers){.rank = ints.rank, .count = ints.count};
    if (ints.count) memcpy(out->at, ints.at, (size_t)ints.count * sizeof *ints.at);
    return true;
}

static void give(glia_onnx_read *r, const numbers *n, glia_dtype dtype) {
    glia__onnx_set_ints(r, &(glia_onnx_ints){n->rank, n->count, n->at}, dtype);
}

static glia_dtype dtype_in(glia_onnx_read *r, int i) {
    glia_type type = {.dtype = GLIA_I64};
    (void)glia__onnx_type_in(r, i, &type);
    return type.dtype == GLIA_I32 ? GLIA_I32 : GLIA_I64;
}

/* --- operators. Each gives false when it cannot tell. ---------------------------------------------------- */

/* A range [start, end) of `rank`, as Shape and Slice clamp it. */
static void clamp(int64_t *start, int64_t *end, int64_t rank) {
    if (*start < 0) *start += rank;
    if (*end < 0) *end += rank;
    *start = GLIA_MIN(GLIA_MAX(*start, 0), rank);
    *end = GLIA_MIN(GLIA_MAX(*end, *start), rank);
}

static bool shape(glia_onnx_read *r) {
    glia_type type;
    numbers n = {.rank = 1};
    if (!glia__onnx_type_in(r, 0, &type)) return false;
    int64_t start = glia__onnx_int(r, "start", 0), end = glia__onnx_int(r, "end", INT64_MAX);
    clamp(&start, &end, type.shape.rank);
    for (int64_t i = start; i < end; i++) n.at[n.count++] = of_dim(type.shape.dim[i]);
    give(r, &n, GLIA_I64);
    return true;
}

static bool size(glia_onnx_read *r) {
    glia_type type;
    numbers n = {.count = 1};
    if (!glia__onnx_type_in(r, 0, &type)) return false;
    const int64_t elems = glia_shape_elems(&type.shape);
    n.at[0] = elems < 0 ? (glia_onnx_int){GLIA_ONNX_INT_UNKNOWN, 0} : known(elems);
    give(r, &n, GLIA_I64);
    return true;
}

static bool same(glia_onnx_read *r) {
    numbers n;
    if (!take(r, 0, &n)) return false;
    give(r, &n, dtype_in(r, 0));
    return true;
}

static bool cast(glia_onnx_read *r) {
    numbers n;
    const int64_t to = glia__onnx_int(r, "to", 0);
    if ((to != GLIA_ONNX_I64 && to != GLIA_ONNX_I32) || !take(r, 0, &n)) return false;
    give(r, &n, glia__onnx_dtype(to));
    return true;
}

static bool gather(glia_onnx_read *r) {
    numbers n, at, y = {0};
    if (!take(r, 0, &n) || !take(r, 1, &at) || n.rank != 1) return false;
    y.rank = at.rank;
    for (int i = 0; i < at.count; i++) {
        const int64_t k = at.at[i].value + (at.at[i].value < 0 ? n.count : 0);
        if (at.at[i].kind != GLIA_ONNX_INT_KNOWN || k < 0 || k >= n.count) return false;
        y.at[y.count++] = n.at[k];
    }
    give(r, &y, dtype_in(r, 0));
    return true;
}

static bool concat(glia_onnx_read *r) {
    numbers y = {.rank = 1}, n;
    for (int i = 0; i < r->n_in; i++) {
        if (!take(r, i, &n) || n.rank != 1 || y.count + n.count > GLIA_ONNX_MOST_INTS) return false;
        for (int k = 0; k < n.count; k++) y.at[y.count++] = n.at[k];
    }
    give(r, &y, dtype_in(r, 0));
    return true;
}

/* From a number to a list of one. */
static bool unsqueeze(glia_onnx_read *r) {
    numbers n;
    if (!take(r, 0, &n) || n.rank != 0) return false;
    n.rank = 1;
    give(r, &n, dtype_in(r, 0));
    return true;
}

static bool squeeze(glia_onnx_read *r) {
    numbers n;
    if (!take(r, 0, &n) || n.count != 1) return false;
    n.rank = 0;
    give(r, &n, dtype_in(r, 0));
    return true;
}

/* To a list, or a number. */
static bool reshape(glia_onnx_read *r) {
    numbers n, to;
    if (!take(r, 0, &n) || !take(r, 1, &to) || to.rank != 1 || to.count > 1) return false;
    if (to.count == 0 && n.count != 1) return false;
    if (to.count == 1 && !is_known(to.at[0], -1) && !is_known(to.at[0], n.count)) return false;
    n.rank = to.count;
    give(r, &n, dtype_in(r, 0));
    return true;
}

static bool slice(glia_onnx_read *r) {
    numbers n, part[4] = {{.count = 1}, {.count = 1}, {.count = 1}, {.count = 1}}, y = {.rank = 1};
    part[3].at[0] = known(1);
    if (r->opset < 10 || !take(r, 0, &n) || n.rank != 1) return false;
    for (int i = 0; i < 4; i++)
        if (glia__onnx_has(r, i + 1) &&
            (!take(r, i + 1, &part[i]) || part[i].count != 1 || part[i].at[0].kind != GLIA_ONNX_INT_KNOWN))
            return false;
    int64_t start = part[0].at[0].value, end = part[1].at[0].value;
    if (part[3].at[0].value != 1) return false;
    clamp(&start, &end, n.count);
    for (int64_t i = start; i < end; i++) y.at[y.count++] = n.at[i];
    give(r, &y, dtype_in(r, 0));
    return true;
}

/* Element by element, a single number with all of a list. What is not plain is unknown. */
static bool pairwise(glia_onnx_read *r, glia_onnx_int (*of)(glia_onnx_int a, glia_onnx_int b)) {
    numbers a, b, y;
    if (!take(r, 0, &a) || !take(r, 1, &b) || (a.count != b.count && a.count != 1 && b.count != 1))
        return false;
    y = a.count >= b.count ? a : b;
    y.rank = GLIA_MAX(a.rank, b.rank);
    for (int i = 0; i < y.count; i++) y.at[i] = of(a.at[a.count == 1 ? 0 : i], b.at[b.count == 1 ? 0 : i]);
    give(r, &y, dtype_in(r, 0));
    return true;
}

static const glia_onnx_int unknown = {GLIA_ONNX_INT_UNKNOWN, 0};

static bool both_known(glia_onnx_int a, glia_onnx_int b) { /* and small enough for any arithmetic */
    const int64_t most = INT64_C(1) << 31;
    return a.kind == GLIA_ONNX_INT_KNOWN && b.kind == GLIA_ONNX_INT_KNOWN && a.value < most &&
           a.value > -most && b.value < most && b.value > -most;
}

static glia_onnx_int plus(glia_onnx_int a, glia_onnx_int b) {
    return both_known(a, b) ? known(a.value + b.value) : is_known(a, 0) ? b : is_known(b, 0) ? a : unknown;
}
static glia_onnx_int minus(glia_onnx_int a, glia_onnx_int b) {
    return both_known(a, b) ? known(a.value - b.value) : is_known(b, 0) ? a : unknown;
}
static glia_onnx_int times(glia_onnx_int a, glia_onnx_int b) {
    if (is_known(a, 0) || is_known(b, 0)) return known(0);
    return both_known(a, b) ? known(a.value * b.value) : is_known(a, 1) ? b : is_known(b, 1) ? a : unknown;
}
static glia_onnx_int over(glia_onnx_int a, glia_onnx_int b) {
    return both_known(a, b) && b.value ? known(a.value / b.value) : is_known(b, 1) ? a : unknown;
}
static bool add(glia_onnx_read *r) {
    return pairwise(r, plus);
}
static bool sub(glia_onnx_read *r) {
    return pairwise(r, minus);
}
static bool mul(glia_onnx_read *r) {
    return pairwise(r, times);
}
static bool quotient(glia_onnx_read *r) {
    return pairwise(r, over);
}

static const struct {
    const char *op_type;
    bool always; /* also when no input is symbolic */
    bool (*read)(glia_onnx_read *r);
} readers[] = {{"Shape", true, shape},
               {"Size", true, size},
               {"Identity", false, same},
               {"Cast", false, cast},
               {"Gather", false, gather},
               {"Concat", false, concat},
               {"Unsqueeze", false, unsqueeze},
               {"Squeeze", false, squeeze},
               {"Reshape", false, reshape},
               {"Slice", false, slice},
               {"Add", false, add},
               {"Sub", false, sub},
               {"Mul", false, mul},
               {"Div", false, quotient}};

static bool any_symbolic(const glia_onnx_read *r) {
    for (int i = 0; i < r->n_in; i++)
        if (glia__onnx_has(r, i) && glia__onnx_slot(r->import, r->node->inputs[i], false)->ints) return true;
    return false;
}

bool glia__onnx_read_ints(glia_onnx_read *r) {
    const bool symbolic = any_symbolic(r);
    for (size_t i = 0; i < GLIA_COUNT(readers); i++)
        if (strcmp(readers[i].op_type, r->node->op_type) == 0 && (symbolic || readers[i].always))
            return r->n_in > 0 && r->n_out > 0 && readers[i].read(r);
    return false;
}
