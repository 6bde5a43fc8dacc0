/* matmul.c: matrix products, batched and broadcast. */

#include "ops/matmul.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
/* c = a·b over the last two dimensions, [..., M, K]·[..., K, N] → [..., M, N]; the leading ones broadcast as in
 * NumPy. transpose_a, transpose_b: GLIA_YES reads that matrix transposed. */
typedef struct glia_matmul_attrs {
    glia_bool transpose_a, transpose_b;
} glia_matmul_attrs;
GLIA_API glia_value *glia_op_matmul(glia_value *a, glia_value *b, glia_matmul_attrs attrs);
#endif /* GLIA_OPS_HEADER */

/* --- matmul ---------------------------------------------------------------------------------------------- */

/* The last two dimensions as seen after transposing. */
static void matrix_dims(const glia_shape *shape, bool transposed, int64_t *rows, int64_t *columns) {
    int64_t a = shape->dim[shape->rank - 2], b = shape->dim[shape->rank - 1];
    *rows = transposed ? b : a;
    *columns = transposed ? a : b;
}

static glia_status matmul_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    (void)n_in;
    const glia_matmul_attrs *a = attrs;
    char ta[160], tb[160];
    GLIA_TRY(glia__check_float_or_bf16(&in[0], err));
    GLIA_TRY(glia__check_float_or_bf16(&in[1], err));
    const bool halved =
        in[0].dtype == GLIA_BF16 || in[1].dtype == GLIA_BF16; /* the other may be a parameter */
    if (!halved || in[0].dtype == GLIA_F64 || in[1].dtype == GLIA_F64)
        GLIA_TRY(glia__check_same_dtype(&in[0], &in[1], err));
    glia__type_text(&in[0], ta, sizeof ta);
    glia__type_text(&in[1], tb, sizeof tb);
    glia_shape x = in[0].shape, y = in[1].shape, batch;
    if (x.rank < 2 || y.rank < 2)
        return glia_error_set(err, GLIA_BAD_SHAPE, "matmul expects at least two dimensions, found %s and %s",
                              ta, tb);
    int64_t m, k, k2, n;
    matrix_dims(&x, a->transpose_a > 0, &m, &k);
    matrix_dims(&y, a->transpose_b > 0, &k2, &n);
    if (k != k2)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "matmul: inner dimensions differ (%lld and %lld) in %s · %s", (long long)k,
                              (long long)k2, ta, tb);
    x.rank -= 2;
    y.rank -= 2;
    GLIA_TRY(glia__check_broadcast(&x, &y, &batch, err));
    if (batch.rank + 2 > GLIA_MAX_RANK)
        return glia_error_set(err, GLIA_BAD_SHAPE, "matmul: too many dimensions");
    batch.dim[batch.rank] = m;
    batch.dim[batch.rank + 1] = n;
    batch.rank += 2;
    out[0] = (glia_type){halved ? GLIA_BF16 : in[0].dtype, batch};
    return GLIA_OK;
}

/* Offset in elements of matrix `index` of the broadcast batch in an operand. */
static int64_t batch_offset(const glia_shape *operand, const glia_shape *out, int64_t index) {
    int64_t offset = 0, stride = operand->dim[operand->rank - 2] * operand->dim[operand->rank - 1];
    for (int i = 3; i <= out->rank; i++) {
        int64_t position = index % out->dim[out->rank - i];
        index /= out->dim[out->rank - i];
        if (i > operand->rank) continue;
        int64_t dim = operand->dim[operand->rank - i];
        if (dim > 1) offset += position * stride;
        stride *= dim;
    }
    return offset;
}

/* c[m,n] = Σ_k a·b with the innermost loop contiguous: over n, or over k when b is transposed. */
#define MATMUL_LOOPS(T)                                                                                      \
    void glia__matmul_##T(const T *a, const T *b, T *c, int64_t m, int64_t n, int64_t k, bool ta, bool tb) { \
        for (int64_t i = 0; i < m; i++) {                                                                    \
            T *row = c + i * n;                                                                              \
            if (!tb) memset(row, 0, (size_t)n * sizeof(T));                                                  \
            for (int64_t p = 0; !tb && p < k; p++) {                                                         \
                T x = ta ? a[p * m + i] : a[i * k + p];                                                      \
                const T *y = b + p * n;                                                                      \
                for (int64_t j = 0; j < n; j++) row[j] += x * y[j];                                          \
            }                                                                                                \
            for (int64_t j = 0; tb && j < n; j++) row[j] = dot_##T(a, b + j * k, i, m, k, ta);               \
        }                                                                                                    \
    }

/* Sixteen partial sums, so that the compiler may use vectors without reordering a sum by itself. */
#define DOT(T)                                                                           \
    static T dot_##T(const T *a, const T *y, int64_t i, int64_t m, int64_t k, bool ta) { \
        T lanes[16] = {0}, sum = 0;                                                      \
        int64_t p = 0;                                                                   \
        const T *x = a + i * k;                                                          \
        for (; !ta && p + 16 <= k; p += 16)                                              \
            for (int l = 0; l < 16; l++) lanes[l] += x[p + l] * y[p + l];                \
        for (; p < k; p++) sum += (ta ? a[p * m + i] : x[p]) * y[p];                     \
        for (int l = 0; l < 16; l++) sum += lanes[l];                                    \
        return sum;                                                                      \
    }
DOT(float)
DOT(double)
MATMUL_LOOPS(float)
MATMUL_LOOPS(double)

static glia_status matmul_loops(const glia_call *c) {
    const glia_matmul_attrs *a = c->attrs;
    const glia_shape *out = &c->out[0].shape;
    int64_t m, k, n = out->dim[out->rank - 1];
    matrix_dims(&c->in[0].shape, a->transpose_a > 0, &m, &k);
    int64_t matrices = 1;
    for (int i = 0; i < out->rank - 2; i++) matrices *= out->dim[i];
    for (int64_t i = 0; i < matrices; i++) {
        int64_t x = batch_offset(&c->in[0].shape, out, i), y = batch_offset(&c->in[1].shape, out, i);
        if (c->out[0].dtype == GLIA_F64)
            glia__matmul_double((const double *)c->in[0].data + x, (const double *)c->in[1].data + y,
                                (double *)c->out[0].data + i * m * n, m, n, k, a->transpose_a > 0,
                                a->transpose_b > 0);
        else
            glia__matmul_float((const float *)c->in[0].data + x, (const float *)c->in[1].data + y,
                               (float *)c->out[0].data + i * m * n, m, n, k, a->transpose_a > 0,
                               a->transpose_b > 0);
    }
    return GLIA_OK;
}

static glia_status matmul_ref(const glia_call *c) {
    return glia__run_widened(c, 0, matmul_loops);
}

static size_t matmul_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[0]) + glia__widened_bytes(&in[1]) + glia__widened_bytes(&out[0]);
}

/* The gradient of an f32 operand beside a bf16 one. */
static glia_value *with_dtype(glia_value *gradient, glia_value *operand) {
    const glia_dtype dtype = glia_value_dtype(operand);
    return gradient && glia_value_dtype(gradient) != dtype ? glia_op_cast(gradient, dtype) : gradient;
}

/* da = dc·bᵀ, db = aᵀ·dc, with the transposes of the operands folded in. */
static void matmul_grad(glia_gradient *g) {
    const glia_matmul_attrs *attrs = g->attrs;
    bool ta = attrs->transpose_a > 0, tb = attrs->transpose_b > 0;
    glia_value *a = g->x[0], *b = g->x[1], *dc = g->dy[0];
#define FLAG(x) ((x) ? GLIA_YES : GLIA_NO)
    if (g->needed[0]) {
        glia_value *da = ta ? glia_op_matmul(b, dc, (glia_matmul_attrs){FLAG(tb), GLIA_YES})
                            : glia_op_matmul(dc, b, (glia_matmul_attrs){GLIA_NO, FLAG(!tb)});
        g->dx[0] = with_dtype(glia__sum_to(da, a), a);
    }
    if (g->needed[1]) {
        glia_value *db = tb ? glia_op_matmul(dc, a, (glia_matmul_attrs){GLIA_YES, FLAG(ta)})
                            : glia_op_matmul(a, dc, (glia_matmul_attrs){FLAG(!ta), GLIA_NO});
        g->dx[1] = with_dtype(glia__sum_to(db, b), b);
    }
#undef FLAG
}

/* Rows of a plain product, or whole matrices of a batch: input 0 must have the dimension that is cut. */
static uint32_t matmul_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)n_in;
    const glia_matmul_attrs *a = attrs;
    if (in[0].shape.rank == 2 && in[1].shape.rank == 2) return a->transpose_a > 0 ? 0 : 1;
    if (in[0].shape.rank <= 2 || in[0].shape.rank < in[1].shape.rank || in[0].shape.dim[0] < 2) return 0;
    bool shared = in[1].shape.rank < in[0].shape.rank || in[1].shape.dim[0] == 1;
    return shared ? 1 : 3;
}

/* aᵀ·b sums over the rows of both. */
static uint32_t matmul_sums(const glia_type *in, int n_in, const void *attrs) {
    (void)n_in;
    const glia_matmul_attrs *a = attrs;
    bool matrices = in[0].shape.rank == 2 && in[1].shape.rank == 2;
    return matrices && a->transpose_a == GLIA_YES && a->transpose_b != GLIA_YES ? 1 | 2 : 0;
}

static double matmul_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia_matmul_attrs *a = attrs;
    int64_t m, k;
    matrix_dims(&in[0].shape, a->transpose_a > 0, &m, &k);
    return 2.0 * (double)glia_shape_elems(&out[0].shape) * (double)k;
}

/* An operand with its last two dimensions swapped. */
static const char *swapped(glia_to_onnx *w, int input) {
    const int rank = w->node->inputs[input]->type.shape.rank;
    int64_t perm[GLIA_MAX_RANK];
    for (int i = 0; i < rank; i++) perm[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
    return glia__to_onnx_transpose(w, NULL, w->x[input], perm, rank);
}

static void matmul_to_onnx(glia_to_onnx *w) {
    const glia_matmul_attrs *t = w->node->attrs;
    const char *a = t->transpose_a == GLIA_YES ? swapped(w, 0) : w->x[0];
    const char *b = t->transpose_b == GLIA_YES ? swapped(w, 1) : w->x[1];
    GLIA_TO_ONNX(w, w->y[0], "MatMul", a, b);
}

GLIA_OP(matmul) = {
    .name = "matmul",
    .version = 1,
    .doc = "c = a·b over the last two dimensions; leading dimensions broadcast",
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = GLIA_FIELDS({.name = "transpose_a",
                          .kind = GLIA_FIELD_BOOL,
                          .offset = offsetof(glia_matmul_attrs, transpose_a),
                          .initial = "no",
                          .doc = "read a transposed"},
                         {.name = "transpose_b",
                          .kind = GLIA_FIELD_BOOL,
                          .offset = offsetof(glia_matmul_attrs, transpose_b),
                          .initial = "no",
                          .doc = "read b transposed"}),
    .attrs_size = sizeof(glia_matmul_attrs),
    .infer = matmul_infer,
    .grad = matmul_grad,
    .ref = matmul_ref,
    .workspace = matmul_workspace,
    .rows = matmul_rows,
    .sums = matmul_sums,
    .flops = matmul_flops,
    .onnx = "MatMul",
    .onnx_since = 13,
    .onnx_write = matmul_to_onnx,
    .emit_c = glia__emit_matmul,
    .cases = GLIA_CASES({.inputs = "4x5 5x3"}, {.inputs = "1x1 1x1"}, {.inputs = "17x33 33x20"},
                        {.inputs = "13x10 10x1500"}, {.inputs = "40x65 64x65", .attrs = "transpose_b=yes"},
                        {.inputs = "3x20x30 3x30x24"}, {.inputs = "40x16 40x24", .attrs = "transpose_a=yes"},
                        {.inputs = "5x4 5x3", .attrs = "transpose_a=yes"},
                        {.inputs = "4x35 3x35", .attrs = "transpose_b=yes"},
                        {.inputs = "5x4 3x5", .attrs = "transpose_a=yes transpose_b=yes"},
                        {.inputs = "2x4x5 2x5x3"}, {.inputs = "2x4x5 5x3"}, {.inputs = "4x5 2x5x3"},
                        {.inputs = "2x1x4x5 3x5x3"},
                        {.inputs = "3x1x4x5 1x2x3x5", .attrs = "transpose_b=yes"}, {.inputs = "0x5 5x3"},
                        {.inputs = "4x5:bf16 5x3:bf16"}, {.inputs = "2x4x5:bf16 5x3:f32<5"},
                        {.inputs = "4x5:f64<5 5x3:bf16", .expect_error = "dtypes differ"},
                        {.inputs = "4x0 0x3"},
                        {.inputs = "4x5 4x3", .expect_error = "inner dimensions differ (5 and 4)"},
                        {.inputs = "5 5x3", .expect_error = "at least two dimensions"},
                        {.inputs = "2x4x5 3x5x3", .expect_error = "2"}),
};

glia_value *glia_op_matmul(glia_value *a, glia_value *b, glia_matmul_attrs attrs) {
    glia_value *in[] = {a, b};
    return glia_graph_apply(glia_value_graph(a ? a : b), "matmul", in, 2, &attrs);
}
