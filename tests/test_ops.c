/* test_ops.c: the op-test engine: every op of the registry × every case of its block × every check. Nothing here knows
 * an op by name. `test_ops CHECK…` runs some checks, `OP=conv2d test_ops` one op. */

#include "op_engine.h"

#include "core/isa.h"

#include "failing_allocator.h"
#include "graph/graph.h"
#include "kernels/kernel.h"

static const grad_setup REFERENCE = {{.reference = GLIA_YES}, NULL};

/* --- ref: types agree, nothing is written outside, the same bits twice ------------------------------------- */

static void check_ref(op_test *t) {
    glia_view a[GLIA_MAX_OUTPUTS], b[GLIA_MAX_OUTPUTS];
    if (!run_ref(t, a)) return;
    if (run_ref(t, b)) {
        for (int o = 0; o < op_outputs(t->op); o++)
            if (memcmp(a[o].data, b[o].data, view_bytes(&a[o])) != 0) report(t, "ref", "two runs differ");
        free_outputs(t->op, b);
    }
    if (!canaries_live(t->op, a)) report(t, "ref", "wrote behind an output");
    free_outputs(t->op, a);
}
TEST(ref) {
    for_each_case(GLIA_F32, true, check_ref);
    for_each_case(GLIA_F64, true, check_ref);
}

/* --- symbolic: dimensions bound only when planned give the same types and the same bits ---------------------- */

static bool same_bits(const glia_tensor *a, const glia_tensor *b) {
    const size_t bytes = glia_tensor_bytes(a);
    return glia_shape_equal(&a->shape, &b->shape) && (bytes == 0 || memcmp(a->data, b->data, bytes) == 0);
}

/* The forward and backward programs of both give the same. */
static bool same_results(const op_test *t, const grad_test *a, const grad_test *b) {
    glia_tensor x = glia_program_output(a->forward, a->y), y = glia_program_output(b->forward, b->y);
    bool same = glia_shape_equal(&x.shape, &t->out[0].shape) && same_bits(&x, &y);
    for (int w = 0; w < a->n_wrt && a->backward && same; w++) {
        x = glia_program_output(a->backward, a->gradients[w]);
        y = glia_program_output(b->backward, b->gradients[w]);
        same = same_bits(&x, &y);
    }
    return same;
}

/* `types` has `symbol` wherever the case has `size`, or only in first places. */
static void check_symbols(const op_test *t, const glia_type *types, int64_t symbol, int64_t size) {
    glia_error err = {0};
    glia_type out[GLIA_MAX_OUTPUTS] = {{0}};
    char what[64], text[128];
    snprintf(what, sizeof what, "with %s = %lld", symbol == GLIA_DIM_BATCH ? "N" : "T", (long long)size);
    if (t->op->infer(types, t->in.count, t->attrs, out, &err) != GLIA_OK) {
        if (!*err.message) report(t, what, "refused without a message");
        return; /* an op may refuse to work along a symbolic dimension */
    }
    for (int o = 0; o < op_outputs(t->op); o++) {
        for (int d = 0; d < out[o].shape.rank; d++)
            if (out[o].shape.dim[d] == symbol) out[o].shape.dim[d] = size;
        if (!glia_shape_equal(&out[o].shape, &t->out[o].shape))
            report(t, what, glia_shape_text(&out[o].shape, text, sizeof text));
    }
    grad_test known, bound;
    grad_setup setup = {{.reference = GLIA_YES, .dims = {size, size}}, types};
    glia_status status = build_grad(t, &bound, setup, &err);
    if (status == GLIA_OK)
        status = build_grad(t, &known, REFERENCE, &err);
    else
        known = (grad_test){0};
    if (status == GLIA_OK) status = run_grad(&bound, &err);
    if (status == GLIA_OK) status = run_grad(&known, &err);
    if (status != GLIA_OK && !(t->derived && status == GLIA_BAD_DATA)) report(t, what, err.message);
    if (status == GLIA_OK && !same_results(t, &bound, &known)) report(t, what, "other results");
    free_grad(&bound);
    free_grad(&known);
}

static void check_symbolic(op_test *t) {
    for (int64_t size = 2; size < 10; size++)
        for (int symbol = GLIA_DIM_BATCH; symbol >= GLIA_DIM_TIME; symbol--) {
            glia_type types[GLIA_MAX_INPUTS];
            bool found = false;
            memcpy(types, t->in.types, sizeof types);
            for (int i = 0; i < t->in.count; i++)
                for (int d = 0; d < types[i].shape.rank && (d == 0 || symbol == GLIA_DIM_TIME); d++)
                    if (types[i].shape.dim[d] == size) types[i].shape.dim[d] = symbol, found = true;
            if (found) check_symbols(t, types, symbol, size);
        }
}
TEST(symbolic) {
    for_each_case(GLIA_F32, false, check_symbolic);
}

/* --- dtypes: what an op computes in another dtype is what it computes in f64 ---------------------------------- */

static bool holds(const glia_tensor *found, int64_t i, double exact) {
    static const double most[GLIA_DTYPE_COUNT] = {
        [GLIA_I32] = INT32_MAX, [GLIA_I64] = 0x1p53, [GLIA_U8] = UINT8_MAX, [GLIA_BOOL] = 1};
    const double value = glia_tensor_get(found, i);
    if (value == exact || (isnan(value) && isnan(exact))) return true;
    if (glia_dtype_is_float(found->dtype))
        return fabs(value - exact) <= (found->dtype == GLIA_BF16 ? 0x1p-8 : 1e-5) * (1 + fabs(exact));
    const double low = found->dtype == GLIA_U8 || found->dtype == GLIA_BOOL ? 0 : -most[found->dtype];
    return !(exact >= low && exact <= most[found->dtype]); /* out of range: wraps */
}

/* The case with whole numbers below `bound` for its floats, as `dtype` and as f64. */
static void check_dtype(const op_test *t, const char *dtype, int bound) {
    op_test other, exact;
    glia_view found[GLIA_MAX_OUTPUTS], wanted[GLIA_MAX_OUTPUTS];
    char words[64], inputs[256], exact_inputs[256], message[160];
    snprintf(words, sizeof words, "%s<%d", dtype, bound);
    retype_case(t->example->inputs, words, inputs, sizeof inputs);
    snprintf(words, sizeof words, "f64<%d", bound);
    retype_case(t->example->inputs, words, exact_inputs, sizeof exact_inputs);
    glia_case made = {inputs, t->example->attrs, 0, NULL},
              made_exact = {exact_inputs, t->example->attrs, 0, NULL};
    if (open_case(&other, t->op, &made, true, GLIA_F32) && run_ref(&other, found)) {
        bool comparable = open_case(&exact, t->op, &made_exact, true, GLIA_F32) && run_ref(&exact, wanted);
        if (!canaries_live(t->op, found)) report(&other, "ref", "wrote behind an output");
        for (int o = 0; o < op_outputs(t->op) && comparable; o++) {
            glia_tensor a = glia_tensor_wrap(found[o].data, found[o].dtype, found[o].shape),
                        b = glia_tensor_wrap(wanted[o].data, wanted[o].dtype, wanted[o].shape);
            const int64_t n = glia_shape_elems(&a.shape);
            for (int64_t i = 0; i < n; i++) {
                test_checks++;
                if (holds(&a, i, glia_tensor_get(&b, i))) continue;
                snprintf(message, sizeof message, "element %lld is %g, in f64 %g", (long long)i,
                         glia_tensor_get(&a, i), glia_tensor_get(&b, i));
                report(&other, "dtype", message);
                break;
            }
        }
        if (comparable) free_outputs(t->op, wanted);
        close_case(&exact);
        free_outputs(t->op, found);
    }
    close_case(&other);
}

static void check_dtypes(op_test *t) {
    static const char *const names[] = {"f32", "bf16", "i32", "i64", "u8"};
    for (size_t i = 0; i < GLIA_COUNT(names); i++) check_dtype(t, names[i], 5);
    check_dtype(t, "bool", 2);
}
TEST(dtypes) {
    for_each_case(GLIA_F32, false, check_dtypes);
}

/* --- mixed: what an op computes of bf16 is what it computes of the same numbers in f64 ------------------------- */

static void check_mixed(op_test *t) {
    op_test exact = *t;
    glia_view found[GLIA_MAX_OUTPUTS], wanted[GLIA_MAX_OUTPUTS];
    glia_error err = {0};
    char message[160];
    bool mixed = false;
    for (int i = 0; i < t->in.count; i++) mixed |= t->in.types[i].dtype == GLIA_BF16;
    if (!mixed || !run_ref(t, found)) return;
    for (int i = 0; i < t->in.count; i++) {
        glia_view *view = &exact.in.views[i];
        if (!glia_dtype_is_float(view->dtype) || !view->data) continue;
        glia_tensor from = glia_tensor_wrap(view->data, view->dtype, view->shape);
        exact.in.types[i].dtype = view->dtype = GLIA_F64;
        view->data = calloc((size_t)glia_shape_elems(&view->shape) + 1, sizeof(double));
        for (int64_t k = 0; k < glia_shape_elems(&view->shape); k++)
            ((double *)view->data)[k] = glia_tensor_get(&from, k);
    }
    bool comparable = t->op->infer(exact.in.types, exact.in.count, exact.attrs, exact.out, &err) == GLIA_OK;
    if (!comparable && !t->derived) report(t, "mixed", err.message);
    comparable = comparable && run_ref(&exact, wanted);
    for (int o = 0; o < op_outputs(t->op) && comparable; o++) {
        glia_tensor a = glia_tensor_wrap(found[o].data, found[o].dtype, found[o].shape),
                    b = glia_tensor_wrap(wanted[o].data, wanted[o].dtype, wanted[o].shape);
        const int64_t n = glia_shape_elems(&a.shape);
        for (int64_t i = 0; i < n; i++) {
            test_checks++;
            if (holds(&a, i, glia_tensor_get(&b, i))) continue;
            snprintf(message, sizeof message, "output %d, element %lld is %g, in f64 %g", o, (long long)i,
                     glia_tensor_get(&a, i), glia_tensor_get(&b, i));
            report(t, "mixed", message);
            break;
        }
    }
    if (comparable) free_outputs(t->op, wanted);
    for (int i = 0; i < t->in.count; i++)
        if (exact.in.views[i].data != t->in.views[i].data) free(exact.in.views[i].data);
    free_outputs(t->op, found);
}
TEST(mixed) {
    for_each_case(GLIA_F32, true, check_mixed);
}

/* --- attributes: print, parse, equal ------------------------------------------------------------------------ */

static void check_attrs(op_test *t) {
    if (!t->op->attrs) return;
    glia_text text;
    glia_error err = {0};
    glia__text_init(&text, NULL);
    glia__fields_print(t->op->attrs, t->attrs, true, &text);
    void *back = glia__arena_alloc(&t->arena, t->op->attrs_size);
    if (glia__fields_parse(t->op->attrs, back, text.data, &t->arena, &err) != GLIA_OK)
        report(t, "attributes", err.message);
    else if (!glia__fields_equal(t->op->attrs, t->attrs, back))
        report(t, "attributes are not read back", text.data);
    glia__text_free(&text);
}
TEST(attributes) {
    for_each_case(GLIA_F32, false, check_attrs);
}

/* --- in place and in parts: the same bits ------------------------------------------------------------------- */

static void check_inplace(op_test *t) {
    bool fits = t->in.types[0].shape.rank >= 0 && t->in.types[0].dtype == t->out[0].dtype &&
                glia_shape_equal(&t->in.types[0].shape, &t->out[0].shape);
    if (!(t->op->traits & GLIA_TRAIT_INPLACE) || !fits) return;
    glia_view apart[GLIA_MAX_OUTPUTS], in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS];
    glia_error err = {0};
    if (!run_ref(t, apart)) return;
    memcpy(in, t->in.views, sizeof in);
    make_outputs(t->op, t->out, out);
    memcpy(out[0].data, in[0].data, view_bytes(&in[0]));
    in[0].data = out[0].data;
    if (run_views(t->op, in, t->in.count, out, t->attrs, NULL, &err, NULL) != GLIA_OK)
        report(t, "in place", err.message);
    else if (memcmp(out[0].data, apart[0].data, view_bytes(&out[0])) != 0)
        report(t, "in place", "other bits than apart");
    free_outputs(t->op, out);
    free_outputs(t->op, apart);
}
TEST(inplace) {
    for_each_case(GLIA_F32, true, check_inplace);
}

/* Inputs that a cut along dimension 0 cuts. */
static uint32_t cut_of(const op_test *t) {
    if (!(t->op->traits & GLIA_TRAIT_ELEMENTWISE))
        return t->op->rows ? t->op->rows(t->in.types, t->in.count, t->attrs) : 0;
    uint32_t cut = 0;
    for (int i = 0; i < t->in.count; i++) {
        const glia_shape *in = &t->in.types[i].shape, *out = &t->out[0].shape;
        if (in->rank > 0 && in->rank == out->rank && in->dim[0] == out->dim[0]) cut |= 1u << i;
    }
    return cut;
}

static void narrow(glia_view *view, int64_t begin, int64_t end) {
    int64_t stride = 1;
    for (int d = 1; d < view->shape.rank; d++) stride *= view->shape.dim[d];
    view->shape.dim[0] = end - begin;
    view->data = (char *)view->data + (size_t)(begin * stride) * glia_dtype_bytes(view->dtype);
}

static void check_rows(op_test *t) {
    uint32_t cut = cut_of(t);
    if (!cut || t->out[0].shape.rank == 0) return;
    glia_view whole[GLIA_MAX_OUTPUTS], parts[GLIA_MAX_OUTPUTS];
    if (!run_ref(t, whole)) return;
    make_outputs(t->op, t->out, parts);
    int64_t rows = t->out[0].shape.dim[0], row_elems = rows ? glia_shape_elems(&t->out[0].shape) / rows : 0;
    for (int part = 0; part < 3; part++) {
        int64_t begin = rows * part / 3, end = rows * (part + 1) / 3;
        glia_view in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS];
        glia_error err = {0};
        memcpy(in, t->in.views, sizeof in);
        memcpy(out, parts, sizeof out);
        for (int i = 0; i < t->in.count; i++)
            if (cut >> i & 1) narrow(&in[i], begin, end);
        for (int o = 0; o < op_outputs(t->op); o++) narrow(&out[o], begin, end);
        cut_place cut_at = {begin * row_elems, begin, rows};
        if (run_views(t->op, in, t->in.count, out, t->attrs, &cut_at, &err, NULL) != GLIA_OK)
            report(t, "rows", err.message);
    }
    for (int o = 0; o < op_outputs(t->op); o++)
        if (memcmp(whole[o].data, parts[o].data, view_bytes(&whole[o])) != 0)
            report(t, "rows", "cut in three: other bits");
    if (!canaries_live(t->op, parts)) report(t, "rows", "wrote behind an output");
    free_outputs(t->op, parts);
    free_outputs(t->op, whole);
}
TEST(rows) {
    for_each_case(GLIA_F32, true, check_rows);
}

/* --- sums: results on parts of the rows, added up, are the result on all of them ------------------------------- */

static void add_to(const glia_view *part, const glia_view *total) {
    glia_tensor from = glia_tensor_wrap(part->data, part->dtype, part->shape),
                to = glia_tensor_wrap(total->data, total->dtype, total->shape);
    for (int64_t i = 0; i < glia_shape_elems(&part->shape); i++)
        glia_tensor_set(&to, i, glia_tensor_get(&to, i) + glia_tensor_get(&from, i));
}

static void check_sums(op_test *t) {
    uint32_t cut = t->op->sums ? t->op->sums(t->in.types, t->in.count, t->attrs) : 0;
    glia_view whole[GLIA_MAX_OUTPUTS], part[GLIA_MAX_OUTPUTS], total[GLIA_MAX_OUTPUTS];
    char message[128];
    if (!cut || !run_ref(t, whole)) return;
    if (cut_of(t)) report(t, "sums", "rows are independent too");
    make_outputs(t->op, t->out, part);
    make_outputs(t->op, t->out, total);
    for (int o = 0; o < op_outputs(t->op); o++) memset(total[o].data, 0, view_bytes(&total[o]));
    for (int third = 0; third < 3; third++) {
        glia_view in[GLIA_MAX_INPUTS];
        glia_error err = {0};
        cut_place at = {0};
        memcpy(in, t->in.views, sizeof in);
        for (int i = 0; i < t->in.count; i++) {
            int64_t rows = in[i].shape.dim[0];
            if (!(cut >> i & 1)) continue;
            narrow(&in[i], rows * third / 3, rows * (third + 1) / 3);
            at = (cut_place){.first_row = rows * third / 3, .whole_rows = rows};
        }
        if (run_views(t->op, in, t->in.count, part, t->attrs, &at, &err, NULL) != GLIA_OK)
            report(t, "sums", err.message);
        for (int o = 0; o < op_outputs(t->op); o++) add_to(&part[o], &total[o]);
    }
    for (int o = 0; o < op_outputs(t->op); o++)
        if (!views_near(&total[o], &whole[o], 1e-5, message, sizeof message)) report(t, "sums", message);
    free_outputs(t->op, total);
    free_outputs(t->op, part);
    free_outputs(t->op, whole);
}
TEST(sums) {
    for_each_case(GLIA_F32, true, check_sums);
}

/* What was really checked, by op and by kernel: a case whose check does nothing proves nothing. */
static int gradients_checked[1024], kernels_checked[256];

static size_t op_number(const glia_op *op) {
    size_t i = 0;
    while (glia__ops[i] != op) i++;
    return i;
}

/* --- kernels against ref ------------------------------------------------------------------------------------- */

/* A kernel that leaves cutting to the executor: rows in three parts, each with a state of its own, have the same bits. */
static void check_kernel_rows(op_test *t, const glia_kernel *kernel, const glia_view *whole) {
    const uint32_t cut = cut_of(t);
    const int64_t rows = t->out[0].shape.rank ? t->out[0].shape.dim[0] : 0;
    if (kernel->own_threads || !cut || rows < 3) return;
    for (int part = 0; part < 3; part++) {
        int64_t begin = rows * part / 3, end = rows * (part + 1) / 3;
        glia_view in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS];
        glia_type tin[GLIA_MAX_INPUTS], tout[GLIA_MAX_OUTPUTS];
        glia_error err = {0};
        const char *why_not;
        made_kernel made = {.kernel = kernel};
        memcpy(in, t->in.views, sizeof in);
        memcpy(tin, t->in.types, sizeof tin);
        memcpy(tout, t->out, sizeof tout);
        for (int o = 0; o < op_outputs(t->op); o++) tout[o].shape.dim[0] = end - begin;
        for (int i = 0; i < t->in.count; i++) {
            if (!(cut >> i & 1)) continue;
            narrow(&in[i], begin, end);
            tin[i].shape = in[i].shape;
        }
        glia_kernel_query query = {.op = t->op,
                                   .attrs = t->attrs,
                                   .in = tin,
                                   .out = tout,
                                   .n_in = t->in.count,
                                   .n_out = op_outputs(t->op),
                                   .threads = 1,
                                   .training = true};
        if (!kernel->supports(&query, &why_not)) continue;
        if (kernel->init && kernel->init(&query, &made.state, &made.needs, &err) != GLIA_OK)
            report(t, kernel->name, err.message);
        make_outputs(t->op, tout, out);
        if (run_views(t->op, in, t->in.count, out, t->attrs, 0, &err, &made) != GLIA_OK)
            report(t, kernel->name, err.message);
        for (int o = 0; o < op_outputs(t->op); o++) {
            glia_view expected = whole[o];
            narrow(&expected, begin, end);
            if (memcmp(expected.data, out[o].data, view_bytes(&out[o])) != 0)
                report(t, kernel->name, "cut in three: other bits");
        }
        if (kernel->fini && made.state) kernel->fini(made.state);
        free_outputs(t->op, out);
    }
}

/* `params`: inputs that the kernel is told are parameters, and may pack. */
static void check_kernel(op_test *t, size_t number, uint32_t params, const glia_view *expected) {
    made_kernel made = {.kernel = glia__kernels[number]};
    const glia_kernel *kernel = made.kernel;
    glia_kernel_query query = {.op = t->op,
                               .attrs = t->attrs,
                               .in = t->in.types,
                               .out = t->out,
                               .n_in = t->in.count,
                               .n_out = op_outputs(t->op),
                               .params = params,
                               .threads = 2,
                               .training = true};
    const char *why_not = NULL;
    if (!kernel->supports(&query, &why_not)) {
        if (!why_not || !*why_not) report(t, kernel->name, "declined without a reason");
        return;
    }
    glia_error err = {0};
    glia_view out[GLIA_MAX_OUTPUTS];
    char message[128];
    make_outputs(t->op, t->out, out);
    glia_status status = kernel->init ? kernel->init(&query, &made.state, &made.needs, &err) : GLIA_OK;
    if (made.needs.packed_bytes && !kernel->pack)
        status = glia_error_set(&err, GLIA_INTERNAL, "wants packed parameters, but has no pack");
    for (int run = 0; run < 2 && status == GLIA_OK; run++)
        status = run_views(t->op, t->in.views, t->in.count, out, t->attrs, NULL, &err, &made);
    double tolerance = t->example->tolerance > 0 ? t->example->tolerance : 1e-5;
    if (status != GLIA_OK) report(t, kernel->name, err.message);
    for (int o = 0; o < op_outputs(t->op) && status == GLIA_OK; o++)
        if (!views_near(&out[o], &expected[o], GLIA_MAX(tolerance, out[o].dtype == GLIA_BF16 ? 0x1p-7 : 0),
                        message, sizeof message))
            report(t, kernel->name, message);
    if (!canaries_live(t->op, out)) report(t, kernel->name, "wrote behind an output");
    if (status == GLIA_OK && !params) check_kernel_rows(t, kernel, out);
    kernels_checked[number] += glia_shape_elems(&out[0].shape) > 0;
    if (kernel->fini && made.state) kernel->fini(made.state);
    free_outputs(t->op, out);
}

static void check_kernels(op_test *t) {
    glia_view expected[GLIA_MAX_OUTPUTS];
    if (!run_ref(t, expected)) return;
    for (size_t i = 0; i < glia__kernels_count; i++)
        if (strcmp(glia__kernels[i]->op, t->op->name) == 0) {
            check_kernel(t, i, 0, expected);
            check_kernel(t, i, UINT32_MAX, expected);
        }
    free_outputs(t->op, expected);
}
TEST(kernels) {
    for_each_case(GLIA_F32, true, check_kernels);
    for_each_case(GLIA_F64, true, check_kernels);
    for (size_t i = 0; i < glia__kernels_count && !getenv("OP"); i++) {
        test_checks++;
        if (kernels_checked[i] || glia__isa_forced()) continue; /* kernels for bf16 alone want a newer one */
        test_failures++;
        printf("kernel %s: no case of %s suits it\n", glia__kernels[i]->name, glia__kernels[i]->op);
    }
}

/* --- gradients: the rule against central differences in double ---------------------------------------------- */

static double loss_at(grad_test *g, double *x, double value) {
    double old = *x;
    *x = value;
    glia_status status = glia_program_run(g->forward, 3, NULL);
    *x = old;
    return status == GLIA_OK ? *(double *)glia_program_output(g->forward, g->loss).data : NAN;
}

/* Fourth-order central difference: (8(f(x+h) − f(x−h)) − (f(x+2h) − f(x−2h))) / 12h. */
static double difference(grad_test *g, double *x, double h) {
    double at = *x;
    double near = loss_at(g, x, at + h) - loss_at(g, x, at - h);
    return (8 * near - (loss_at(g, x, at + 2 * h) - loss_at(g, x, at - 2 * h))) / (12 * h);
}

static void compare_gradient(const op_test *t, grad_test *g, int w) {
    enum { MOST = 24 }; /* elements of each input: spread over all of it */
    const glia_view *x = &t->in.views[g->wrt[w]];
    const double *dx = glia_program_output(g->backward, g->gradients[w]).data;
    int64_t n = glia_shape_elems(&x->shape), step = n > MOST ? n / MOST : 1;
    int kinks = 0;
    double tolerance = t->example->tolerance > 0 ? t->example->tolerance : 1e-6;
    for (int64_t i = 0; i < n; i += step) {
        double expected = difference(g, (double *)x->data + i, 1e-3);
        test_checks++, gradients_checked[op_number(t->op)]++;
        if (fabs(dx[i] - expected) <= tolerance * (1 + fabs(expected))) continue;
        /* A kink within the step shows as a difference that changes with the step. A few may be met by chance. */
        double finer = difference(g, (double *)x->data + i, 1e-4);
        if (fabs(dx[i] - finer) <= tolerance * (1 + fabs(finer))) continue;
        if (fabs(finer - expected) > 1e-3 * (1 + fabs(expected)) && ++kinks <= MOST / 4) continue;
        char message[128];
        snprintf(message, sizeof message, "by input %d, element %lld: %.10g, central difference %.10g",
                 g->wrt[w], (long long)i, dx[i], expected);
        report(t, "gradient", message);
        return;
    }
}

static void check_gradient(op_test *t) {
    if ((t->op->traits & GLIA_TRAIT_NO_GRADIENT) || t->out[0].dtype != GLIA_F64) return;
    if (glia_shape_elems(&t->out[0].shape) == 0) return; /* nothing depends on anything */
    grad_test g;
    glia_error err = {0};
    glia_status status = build_grad(t, &g, REFERENCE, &err);
    if (status == GLIA_OK) status = run_grad(&g, &err);
    if (status != GLIA_OK && !(t->derived && status == GLIA_BAD_DATA)) report(t, "gradient", err.message);
    for (int w = 0; w < g.n_wrt && status == GLIA_OK; w++) compare_gradient(t, &g, w);
    free_grad(&g);
}
TEST(gradients) {
    for_each_case(GLIA_F64, true, check_gradient);
    for (size_t i = 0; i < glia__ops_count && !getenv("OP"); i++) {
        test_checks++;
        if ((glia__ops[i]->traits & GLIA_TRAIT_NO_GRADIENT) || gradients_checked[i]) continue;
        test_failures++;
        printf("%s: no case checks its gradient\n", glia__ops[i]->name);
    }
}

/* --- every allocation may fail: building, differentiating, planning, running -------------------------------- */

static void check_memory(op_test *t) {
    for (const glia_case *c = t->op->cases; c != t->example;
         c++) /* the first valid one: sizes do not matter */
        if (!c->expect_error) return;
    for (int kernels = 0; kernels < 2; kernels++) FOR_EACH_FAILURE(memory) {
            grad_test g;
            glia_error err = {0};
            grad_setup setup = {{.reference = kernels ? GLIA_NO : GLIA_YES, .allocator = &memory.allocator},
                                NULL};
            glia_status status = build_grad(t, &g, setup, &err);
            if (status == GLIA_OK) status = run_grad(&g, &err);
            CHECK_FAILED_ONCE(memory, status);
            free_grad(&g);
        }
}
TEST(memory) {
    for_each_case(GLIA_F32, false, check_memory);
}

/* --- bad inputs: an error or a result, never a crash --------------------------------------------------------- */

/* Runs the ref of a node that could be built on zeros and ones. */
static void try_run(const glia_node *node) {
    glia_view in[GLIA_MAX_INPUTS] = {{0}}, out[GLIA_MAX_OUTPUTS];
    glia_type types[GLIA_MAX_OUTPUTS];
    glia_error err = {0};
    for (int i = 0; i < node->n_inputs + node->n_outputs; i++) {
        const glia_value *value = i < node->n_inputs ? node->inputs[i] : &node->outputs[i - node->n_inputs];
        int64_t elems = glia_shape_elems(&value->type.shape);
        if (elems < 0 || elems > 100000) return;
    }
    for (int i = 0; i < node->n_inputs; i++) {
        in[i] = (glia_view){.dtype = node->inputs[i]->type.dtype, .shape = node->inputs[i]->type.shape};
        fill_view(&in[i], "", 2, 1);
    }
    for (int o = 0; o < node->n_outputs; o++) types[o] = node->outputs[o].type;
    make_outputs(node->op, types, out);
    glia_status status = run_views(node->op, in, node->n_inputs, out, node->attrs, NULL, &err, NULL);
    test_checks++;
    bool fine = status == GLIA_OK || (status == GLIA_BAD_DATA && *err.message);
    if (!fine || !canaries_live(node->op, out)) {
        test_failures++;
        printf("%s: %s\n", node->op->name, fine ? "wrote behind an output" : err.message);
    }
    for (int i = 0; i < node->n_inputs; i++) free(in[i].data);
    free_outputs(node->op, out);
}

static void try_types(const glia_op *op, const glia_type *types, int count, const char *attrs) {
    glia_graph *graph = glia_graph_new(NULL);
    glia_value *in[GLIA_MAX_INPUTS + 1] = {NULL};
    char name[16];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "x%d", i);
        in[i] = glia_graph_input(graph, name, types[i].dtype, types[i].shape);
    }
    glia_error err = {0};
    glia_value *y = glia_graph_apply_text(graph, op->name, in, count, attrs);
    test_checks++;
    if (y) try_run(y->node);
    if (!y && (glia_graph_status(graph, &err) == GLIA_OK || !*err.message)) {
        test_failures++;
        printf("%s: failed without an error\n", op->name);
    }
    glia_graph_free(graph);
}

static void try_shapes(const glia_op *op, const char *attrs) {
    static const glia_shape shapes[] = {{0},
                                        {1, {0}},
                                        {1, {3}},
                                        {2, {2, 0}},
                                        {2, {2, 3}},
                                        {3, {1, 2, 3}},
                                        {4, {2, 2, 3, 3}},
                                        {4, {1, 2, 0, 3}},
                                        {8, {1, 1, 1, 1, 1, 1, 1, 2}},
                                        {2, {GLIA_DIM_BATCH, GLIA_DIM_TIME}},
                                        {2, {1LL << 40, 1LL << 40}}};
    for (int count = 0; count <= op->max_inputs && count <= 4; count++)
        for (size_t s = 0; s < GLIA_COUNT(shapes); s++)
            for (int dtype = 0; dtype < GLIA_DTYPE_COUNT; dtype++) {
                glia_type types[4];
                for (int k = 0; k < 4; k++)
                    types[k] =
                        (glia_type){(glia_dtype)dtype, shapes[(s + (size_t)k * 3) % GLIA_COUNT(shapes)]};
                try_types(op, types, count, attrs);
                for (int k = 0; k < 4; k++) types[k].shape = shapes[s];
                try_types(op, types, count, attrs);
            }
}

TEST(bad_inputs) {
    const char *only = getenv("OP");
    for (size_t i = 0; i < glia__ops_count; i++) {
        const glia_op *op = glia__ops[i];
        if (only && strcmp(only, op->name) != 0) continue;
        try_shapes(op, NULL);
        for (const glia_case *c = op->cases; c->inputs; c++)
            if (c->attrs && (c == op->cases || c->attrs != c[-1].attrs)) try_shapes(op, c->attrs);
        glia_value *nothing[GLIA_MAX_INPUTS] = {NULL};
        CHECK(glia_graph_apply(NULL, op->name, nothing, op->min_inputs, NULL) == NULL);
    }
}

/* --- meta: an op is complete or does not exist ---------------------------------------------------------------- */

/* Whether the op can be said in C, or is not in networks that predict. */
static bool has_c(const glia_op *op) {
    const uint32_t without = GLIA_TRAIT_NO_C | GLIA_TRAIT_INTERNAL | GLIA_TRAIT_ALIAS;
    return op->c_expr || op->c_expr_for || op->emit_c || (op->traits & without);
}

/* What is missing in a block. */
static const char *missing(const glia_op *op) {
    if (!op->doc || !*op->doc) return "doc";
    if (op->version < 1) return "version";
    if (!op->infer) return "infer";
    if (!op->ref) return "ref";
    if (!op->cases || !op->cases->inputs) return "cases";
    if (!op->grad && !(op->traits & GLIA_TRAIT_NO_GRADIENT)) return "grad (or the trait NO_GRADIENT)";
    if (!op->onnx && !op->onnx_write && !(op->traits & GLIA_TRAIT_NO_ONNX))
        return "onnx (or onnx_write, or the trait NO_ONNX)";
    if (op->onnx && op->onnx_since < 1) return "onnx_since";
    if (!has_c(op)) return "c_expr, c_expr_for or emit_c (or the trait NO_C)";
    if (op->min_inputs < 0 || op->max_inputs > GLIA_MAX_INPUTS || op->min_inputs > op->max_inputs)
        return "inputs";
    for (const glia_field *f = op->attrs; f && f->name; f++)
        if (!f->doc || !*f->doc) return "doc of an attribute";
    bool refuses = op->max_inputs == 0;
    for (const glia_case *c = op->cases; c->inputs; c++) refuses |= c->expect_error != NULL;
    return refuses ? NULL : "a case with expect_error";
}
TEST(meta) {
    for (size_t i = 0; i < glia__ops_count; i++) {
        const char *what = missing(glia__ops[i]);
        test_checks++;
        if (!what) continue;
        test_failures++;
        printf("%s: its block lacks %s\n", glia__ops[i]->name, what);
    }
    CHECK(glia__ops_count > 60);
}

/* A block that lacks something is noticed, and what it lacks is named. */
TEST(meta_notices) {
    const glia_op *whole = glia__op_find("leaky_relu");
    const glia_field undocumented[] = {{.name = "slope"}, {.name = NULL}};
    const glia_case valid_only[] = {{.inputs = "4"}, {.inputs = NULL}};
    CHECK(missing(whole) == NULL);
#define WITHOUT(what, ...)             \
    do {                               \
        glia_op op = *whole;           \
        __VA_ARGS__;                   \
        CHECK_STR(missing(&op), what); \
    } while (0)
    WITHOUT("doc", op.doc = "");
    WITHOUT("version", op.version = 0);
    WITHOUT("infer", op.infer = NULL);
    WITHOUT("ref", op.ref = NULL);
    WITHOUT("cases", op.cases = NULL);
    WITHOUT("cases", op.cases = &valid_only[1]);
    WITHOUT("grad (or the trait NO_GRADIENT)", op.grad = NULL);
    WITHOUT("onnx (or onnx_write, or the trait NO_ONNX)", op.onnx = NULL);
    WITHOUT("onnx_since", op.onnx_since = 0);
    WITHOUT("c_expr, c_expr_for or emit_c (or the trait NO_C)", op.c_expr = NULL);
    WITHOUT("inputs", op.max_inputs = GLIA_MAX_INPUTS + 1);
    WITHOUT("doc of an attribute", op.attrs = undocumented);
    WITHOUT("a case with expect_error", op.cases = valid_only);
#undef WITHOUT
}

/* --- the engine itself: it must notice a wrong rule ------------------------------------------------------------ */

TEST(engine_notices) {
    const glia_op *square = glia__op_find("square");
    static const glia_case example = {.inputs = "3x2"};
    op_test t;
    grad_test g;
    glia_error err = {0};
    CHECK(open_case(&t, square, &example, false, GLIA_F64));
    CHECK_OK(build_grad(&t, &g, REFERENCE, &err), &err);
    CHECK_OK(glia_program_run(g.backward, 3, &err), &err);
    const double *right = glia_program_output(g.backward, g.gradients[0]).data;
    double *x = t.in.views[0].data;
    CHECK_NEAR(right[0], difference(&g, x, 1e-3), 1e-6 * (1 + fabs(right[0])));
    CHECK(fabs(1.0 - difference(&g, x, 1e-3) / right[0]) < 1e-6);
    CHECK(fabs(right[0] * 1.001 - difference(&g, x, 1e-3)) >
          1e-6 * (1 + fabs(right[0]))); /* 0.1 % off is seen */
    free_grad(&g);
    close_case(&t);
}

TEST_MAIN(TEST_ENTRY(meta), TEST_ENTRY(meta_notices), TEST_ENTRY(ref), TEST_ENTRY(symbolic),
          TEST_ENTRY(dtypes), TEST_ENTRY(mixed), TEST_ENTRY(attributes), TEST_ENTRY(inplace),
          TEST_ENTRY(rows), TEST_ENTRY(sums), TEST_ENTRY(kernels), TEST_ENTRY(gradients), TEST_ENTRY(memory),
          TEST_ENTRY(bad_inputs), TEST_ENTRY(engine_notices))
