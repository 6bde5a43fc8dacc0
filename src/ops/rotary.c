/* rotary.c: positions as angles: each pair of numbers of a head is turned by an angle that grows with the step, so that
 * products of queries and keys depend on how far apart they are (Su et al., arXiv:2104.09864). */

#include "ops/rotary.h"

#include "core/isa.h"
#include "glia/ops.h"
#include "graph/step.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_rotary_embedding_attrs {
    int64_t heads;         /* side by side in the last dimension of x; required */
    int64_t turned_heads;  /* the first so many are turned, the others stay; zero means all */
    glia_bool interleaved; /* pairs are neighbours, 2i and 2i + 1; default no: i and i + pairs */
    glia_bool inverse;     /* by the negative angles, which undoes it; default no */
} glia_rotary_embedding_attrs;
/* (a, b) → (a·cos − b·sin, b·cos + a·sin) for the first pairs of each head: x [N, T, heads·size] → same; cosines and sines
 * [T, pairs], or [N, T, pairs] where examples have their own, with 2·pairs ≤ size. What is behind the pairs stays. f32 or f64. */
GLIA_API glia_value *glia_op_rotary_embedding(glia_value *x, glia_value *cosines, glia_value *sines,
                                              glia_rotary_embedding_attrs attrs);
#endif /* GLIA_OPS_HEADER */

glia_rotary glia__rotary_of(const glia_type *in, const void *attrs) {
    const glia_rotary_embedding_attrs *a = attrs;
    const glia_shape *x = &in[GLIA_ROTARY_X].shape, *angles = &in[GLIA_ROTARY_COSINES].shape;
    const int64_t half = angles->dim[angles->rank - 1];
    const bool neighbours = a->interleaved == GLIA_YES;
    return (glia_rotary){.n = x->dim[0],
                         .steps = x->dim[1],
                         .heads = a->heads,
                         .turned = a->turned_heads ? a->turned_heads : a->heads,
                         .size = x->dim[2] / a->heads,
                         .half = half,
                         .step = neighbours ? 2 : 1,
                         .apart = neighbours ? 1 : half,
                         .of_examples = angles->rank == 3,
                         .back = a->inverse == GLIA_YES};
}

/* --- shapes ------------------------------------------------------------------------------------------------- */

static glia_status check_angles(const glia_type *in, int i, int64_t size, glia_error *err) {
    const glia_shape *x = &in[GLIA_ROTARY_X].shape, *angles = &in[i].shape;
    const int rank = angles->rank;
    char tx[160], text[160];
    GLIA_TRY(glia__check_same_dtype(&in[GLIA_ROTARY_X], &in[i], err));
    const bool fits = (rank == 2 || (rank == 3 && angles->dim[0] == x->dim[0])) &&
                      angles->dim[rank - 2] == x->dim[1] &&
                      glia_shape_equal(angles, &in[GLIA_ROTARY_COSINES].shape);
    if (!fits)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "rotary_embedding expects cosines and sines as [T, pairs] or [N, T, pairs] "
                              "for x %s, found %s",
                              glia__type_text(&in[GLIA_ROTARY_X], tx, sizeof tx),
                              glia__type_text(&in[i], text, sizeof text));
    if (angles->dim[rank - 1] >= 1 && 2 * angles->dim[rank - 1] <= size) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE,
                          "rotary_embedding cannot turn the pairs of %s in heads of %lld numbers",
                          glia__type_text(&in[i], text, sizeof text), (long long)size);
}

static glia_status rotary_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    const glia_rotary_embedding_attrs *a = attrs;
    const glia_shape *x = &in[GLIA_ROTARY_X].shape;
    char text[160];
    (void)n_in;
    GLIA_TRY(glia__check_float(&in[GLIA_ROTARY_X], err));
    if (x->rank != 3 || x->dim[2] < 0)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "rotary_embedding expects x as [N, T, heads·size], found %s",
                              glia__type_text(&in[GLIA_ROTARY_X], text, sizeof text));
    if (a->heads < 1 || x->dim[2] % a->heads)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "rotary_embedding: %lld heads do not divide the %lld numbers of %s",
                              (long long)a->heads, (long long)x->dim[2],
                              glia__type_text(&in[GLIA_ROTARY_X], text, sizeof text));
    if (a->turned_heads < 0 || a->turned_heads > a->heads)
        return glia_error_set(err, GLIA_BAD_SHAPE, "rotary_embedding cannot turn %lld of %lld heads",
                              (long long)a->turned_heads, (long long)a->heads);
    for (int i = GLIA_ROTARY_COSINES; i <= GLIA_ROTARY_SINES; i++)
        GLIA_TRY(check_angles(in, i, x->dim[2] / a->heads, err));
    out[0] = in[GLIA_ROTARY_X];
    return GLIA_OK;
}

static uint32_t rotary_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)n_in, (void)attrs;
    return in[GLIA_ROTARY_COSINES].shape.rank == 3 ? (1u << GLIA_ROTARY_COUNT) - 1 : 1u << GLIA_ROTARY_X;
}

static double rotary_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia_rotary r = glia__rotary_of(in, attrs);
    (void)out;
    return 6.0 * (double)(r.n * r.steps) * (double)(r.turned * r.half);
}

/* --- forward ------------------------------------------------------------------------------------------------ */

enum { BLOCK = 16 }; /* pairs that are read before any is written: y may be x */

/* The heads of one step of one example. */
#define ROTARY_LOOPS(KIND, T)                                                                               \
    GLIA_CPU_INLINE void pairs_##T(const T *x, T *y, const T *cosines, const T *sines, const int64_t step,  \
                                   int64_t apart, T sign, const int64_t count) {                            \
        T a[BLOCK], b[BLOCK], c[BLOCK], s[BLOCK];                                                           \
        for (int64_t i = 0; i < count; i++) {                                                               \
            a[i] = x[i * step], b[i] = x[i * step + apart];                                                 \
            c[i] = cosines[i], s[i] = sign * sines[i];                                                      \
        }                                                                                                   \
        for (int64_t i = 0; i < count; i++) {                                                               \
            y[i * step] = a[i] * c[i] - b[i] * s[i];                                                        \
            y[i * step + apart] = b[i] * c[i] + a[i] * s[i];                                                \
        }                                                                                                   \
    }                                                                                                       \
    GLIA_CPU_INLINE void head_##T(const T *x, T *y, const T *cosines, const T *sines, const int64_t step,   \
                                  const glia_rotary *r, T sign) {                                           \
        const int64_t apart = step == 1 ? r->half : 1;                                                      \
        int64_t i = 0;                                                                                      \
        for (; i + BLOCK <= r->half; i += BLOCK)                                                            \
            pairs_##T(x + i * step, y + i * step, cosines + i, sines + i, step, apart, sign, BLOCK);        \
        if (i < r->half)                                                                                    \
            pairs_##T(x + i * step, y + i * step, cosines + i, sines + i, step, apart, sign, r->half - i);  \
    }                                                                                                       \
    KIND(void, heads_##T, (const T *x, T *y, const T *cosines, const T *sines, const glia_rotary *r),       \
         (x, y, cosines, sines, r)) {                                                                       \
        const int64_t rest = 2 * r->half;                                                                   \
        const T sign = r->back ? -1 : 1;                                                                    \
        for (int64_t h = 0; h < r->turned; h++, x += r->size, y += r->size) {                               \
            r->step == 1 ? head_##T(x, y, cosines, sines, 1, r, sign)                                       \
                         : head_##T(x, y, cosines, sines, 2, r, sign);                                      \
            if (x != y && rest < r->size) memcpy(y + rest, x + rest, (size_t)(r->size - rest) * sizeof *x); \
        }                                                                                                   \
        if (x != y) memcpy(y, x, (size_t)((r->heads - r->turned) * r->size) * sizeof *x);                   \
    }

ROTARY_LOOPS(GLIA_CPU_CLONES, float)
ROTARY_LOOPS(GLIA_CPU_PLAIN, double)

static glia_status rotary_ref(const glia_call *c) {
    const glia_type in[] = {glia__view_type(&c->in[GLIA_ROTARY_X]),
                            glia__view_type(&c->in[GLIA_ROTARY_COSINES])};
    const glia_rotary r = glia__rotary_of(in, c->attrs);
    const int64_t width = r.heads * r.size;
    for (int64_t row = 0; row < r.n * r.steps; row++) {
        const int64_t angle = (r.of_examples ? row : row % r.steps) * r.half;
#define ROW(T)                                                                                       \
    heads_##T((const T *)c->in[GLIA_ROTARY_X].data + row * width, (T *)c->out[0].data + row * width, \
              (const T *)c->in[GLIA_ROTARY_COSINES].data + angle,                                    \
              (const T *)c->in[GLIA_ROTARY_SINES].data + angle, &r)
        if (c->out[0].dtype == GLIA_F64)
            ROW(double);
        else
            ROW(float);
#undef ROW
    }
    return GLIA_OK;
}

/* --- gradient ----------------------------------------------------------------------------------------------- */

/* Of [N, T, heads·size] the sum over the turned heads and over both numbers of a pair, in the shape of `like`. */
static glia_value *pair_sums(glia_value *x, const glia_rotary *r, glia_value *like) {
    const glia_shape pairs =
        r->step == 1 ? GLIA_SHAPE(0, 0, r->turned, 2, r->half) : GLIA_SHAPE(0, 0, r->turned, r->half, 2);
    x = glia_op_reshape(x, (glia_reshape_attrs){GLIA_SHAPE(0, 0, r->heads, r->size)});
    x = glia_op_slice(x, (glia_slice_attrs){.axis = 2, .start = 0, .end = r->turned, .step = 1});
    x = glia_op_slice(x, (glia_slice_attrs){.axis = 3, .start = 0, .end = 2 * r->half, .step = 1});
    x = glia_op_reshape(x, (glia_reshape_attrs){pairs});
    x = glia_op_sum(x, (glia_reduce_attrs){.axes = GLIA_SHAPE(2, r->step == 1 ? 3 : 4)});
    return glia__sum_to(x, like);
}

/* The op is linear in x, and in cosines and sines: dx is dy turned back; by cosines it is x, by sines x turned by 90°. */
static void rotary_grad(glia_gradient *g) {
    glia_value *dy = g->dy[0], *x = g->x[GLIA_ROTARY_X], *cosines = g->x[GLIA_ROTARY_COSINES],
               *sines = g->x[GLIA_ROTARY_SINES];
    glia_rotary_embedding_attrs attrs = *(const glia_rotary_embedding_attrs *)g->attrs, back = attrs;
    const glia_type in[] = {x->type, cosines->type};
    const glia_rotary r = glia__rotary_of(in, g->attrs);
    back.inverse = r.back ? GLIA_NO : GLIA_YES;
    if (g->needed[GLIA_ROTARY_X]) g->dx[GLIA_ROTARY_X] = glia_op_rotary_embedding(dy, cosines, sines, back);
    if (g->needed[GLIA_ROTARY_COSINES])
        g->dx[GLIA_ROTARY_COSINES] = pair_sums(glia_op_mul(dy, x), &r, cosines);
    if (!g->needed[GLIA_ROTARY_SINES]) return;
    glia_value *turned = glia_op_rotary_embedding(x, glia__broadcast_to(glia__number(cosines, 0), cosines),
                                                  glia__broadcast_to(glia__number(sines, 1), sines), attrs);
    g->dx[GLIA_ROTARY_SINES] = pair_sums(glia_op_mul(dy, turned), &r, sines);
}

/* --- step by step ------------------------------------------------------------------------------------------- */

/* Of angles that are the same for all examples, those of these steps. */
static void rotary_go_on(glia_stepping *s) {
    glia_value *in[] = {s->x[GLIA_ROTARY_X], s->x[GLIA_ROTARY_COSINES], s->x[GLIA_ROTARY_SINES]};
    if (!s->goes[GLIA_ROTARY_X]) return;
    for (int i = GLIA_ROTARY_COSINES; i <= GLIA_ROTARY_SINES; i++) {
        if (s->goes[i]) continue;
        if (s->node->inputs[i]->type.shape.rank == 3) return;
        in[i] = glia_op_gather(in[i], s->steps->positions, (glia_gather_attrs){.axis = 0});
        s->steps->limited = true;
    }
    s->y[0] = glia_graph_apply(s->steps->graph, "rotary_embedding", in, GLIA_ROTARY_COUNT, s->node->attrs);
}

/* --- ONNX --------------------------------------------------------------------------------------------------- */

static const char *part(glia_to_onnx *w, const char *x, int64_t axis, int64_t begin, int64_t end,
                        int64_t step) {
    return GLIA_TO_ONNX(w, NULL, "Slice", x, glia__to_onnx_list(w, &begin, 1), glia__to_onnx_list(w, &end, 1),
                        glia__to_onnx_list(w, &axis, 1), glia__to_onnx_list(w, &step, 1));
}

static const char *joined(glia_to_onnx *w, const char *out, const char *a, const char *b, int64_t axis) {
    const char *y = GLIA_TO_ONNX(w, out, "Concat", a, b);
    glia__to_onnx_int(w, "axis", axis);
    return y;
}

static const char *reshaped(glia_to_onnx *w, const char *out, const char *x, const int64_t *dims, int rank) {
    return GLIA_TO_ONNX(w, out, "Reshape", x, glia__to_onnx_list(w, dims, rank));
}

/* (a·cos − b·sin, b·cos + a·sin) of [N, heads, T, pairs], side by side as the numbers of a head lie. */
static const char *write_pairs(glia_to_onnx *w, const glia_rotary *r, const char *a, const char *b,
                               const char *cosines, const char *sines) {
    const char *ac = GLIA_TO_ONNX(w, NULL, "Mul", a, cosines), *bs = GLIA_TO_ONNX(w, NULL, "Mul", b, sines);
    const char *bc = GLIA_TO_ONNX(w, NULL, "Mul", b, cosines), *as = GLIA_TO_ONNX(w, NULL, "Mul", a, sines);
    const char *first = GLIA_TO_ONNX(w, NULL, r->back ? "Add" : "Sub", ac, bs);
    const char *second = GLIA_TO_ONNX(w, NULL, r->back ? "Sub" : "Add", bc, as);
    if (r->step == 1) return joined(w, NULL, first, second, 3);
    const int64_t last = 4, dims[] = {0, 0, 0, 2 * r->half};
    first = GLIA_TO_ONNX(w, NULL, "Unsqueeze", first, glia__to_onnx_list(w, &last, 1));
    second = GLIA_TO_ONNX(w, NULL, "Unsqueeze", second, glia__to_onnx_list(w, &last, 1));
    return reshaped(w, NULL, joined(w, NULL, first, second, last), dims, 4);
}

/* By products and sums, with the steps behind the heads, so that [T, pairs] broadcasts. */
static const char *write_products(glia_to_onnx *w, const glia_rotary *r, const char *out, const char *x) {
    const int64_t apart[] = {0, 0, r->turned, r->size}, together[] = {0, 0, r->turned * r->size};
    const int64_t perm[] = {0, 2, 1, 3}, one = 1, turning = 2 * r->half;
    const char *cosines = w->x[GLIA_ROTARY_COSINES], *sines = w->x[GLIA_ROTARY_SINES];
    if (r->of_examples) {
        cosines = GLIA_TO_ONNX(w, NULL, "Unsqueeze", cosines, glia__to_onnx_list(w, &one, 1));
        sines = GLIA_TO_ONNX(w, NULL, "Unsqueeze", sines, glia__to_onnx_list(w, &one, 1));
    }
    x = glia__to_onnx_transpose(w, NULL, reshaped(w, NULL, x, apart, 4), perm, 4);
    const char *a = part(w, x, 3, 0, r->step == 1 ? r->half : turning, r->step);
    const char *b = part(w, x, 3, r->apart, turning, r->step);
    const char *y = write_pairs(w, r, a, b, cosines, sines);
    if (turning < r->size) y = joined(w, NULL, y, part(w, x, 3, turning, r->size, 1), 3);
    return reshaped(w, out, glia__to_onnx_transpose(w, NULL, y, perm, 4), together, 3);
}

static const char *write_operator(glia_to_onnx *w, const glia_rotary *r, const char *out, const char *x) {
    const char *y =
        GLIA_TO_ONNX(w, out, "RotaryEmbedding", x, w->x[GLIA_ROTARY_COSINES], w->x[GLIA_ROTARY_SINES]);
    glia__to_onnx_int(w, "num_heads", r->turned);
    if (r->step == 2) glia__to_onnx_int(w, "interleaved", 1);
    if (2 * r->half < r->size) glia__to_onnx_int(w, "rotary_embedding_dim", 2 * r->half);
    return y;
}

/* ONNX's operator wants the angles of every example, or which they are; where all have the same, products are simpler. */
static void rotary_to_onnx(glia_to_onnx *w) {
    enum { OPERATOR_SINCE = 23 };
    const glia_type in[] = {w->node->inputs[GLIA_ROTARY_X]->type, w->node->inputs[GLIA_ROTARY_COSINES]->type};
    const glia_rotary r = glia__rotary_of(in, w->node->attrs);
    const bool all = r.turned == r.heads, as_one = w->opset >= OPERATOR_SINCE && r.of_examples && !r.back;
    const int64_t turned = r.turned * r.size, width = r.heads * r.size;
    const char *x = w->x[GLIA_ROTARY_X], *out = all ? w->y[0] : NULL;
    const char *first = all ? x : part(w, x, 2, 0, turned, 1);
    const char *y = as_one ? write_operator(w, &r, out, first) : write_products(w, &r, out, first);
    if (!all) (void)joined(w, w->y[0], y, part(w, x, 2, turned, width, 1), 2);
}

/* --- the op --------------------------------------------------------------------------------------------------- */

#define INT_FIELD(field, text, ...)                                                                     \
    {                                                                                                   \
        .name = #field, .kind = GLIA_FIELD_INT, .offset = offsetof(glia_rotary_embedding_attrs, field), \
        .max = 1 << 20, .doc = text, __VA_ARGS__                                                        \
    }
#define BOOL_FIELD(field, text)                                             \
    {                                                                       \
        .name = #field, .kind = GLIA_FIELD_BOOL, .initial = "no",           \
        .offset = offsetof(glia_rotary_embedding_attrs, field), .doc = text \
    }

GLIA_OP(rotary_embedding) = {
    .name = "rotary_embedding",
    .version = 1,
    .doc = "pairs of numbers of each head turned by the angle of their step: (a, b) → (a·cos − b·sin, b·cos "
           "+ a·sin), of x "
           "[N, T, heads·size], cosines and sines [T, pairs] or [N, T, pairs]",
    .source = "Su et al., arXiv:2104.09864, 2021",
    .min_inputs = GLIA_ROTARY_COUNT,
    .max_inputs = GLIA_ROTARY_COUNT,
    .traits = GLIA_TRAIT_INPLACE,
    .attrs = GLIA_FIELDS(INT_FIELD(heads, "side by side in the last dimension", .min = 1),
                         INT_FIELD(turned_heads, "the first so many are turned; 0: all", .initial = "0"),
                         BOOL_FIELD(interleaved, "pairs are neighbours, not halves of what is turned"),
                         BOOL_FIELD(inverse, "by the negative angles")),
    .attrs_size = sizeof(glia_rotary_embedding_attrs),
    .infer = rotary_infer,
    .grad = rotary_grad,
    .step = rotary_go_on,
    .ref = rotary_ref, /* as fast as memory: a kernel would gain nothing */
    .rows = rotary_rows,
    .flops = rotary_flops,
    .onnx = "RotaryEmbedding",
    .onnx_since = 23,
    .onnx_write = rotary_to_onnx,
    .emit_c = glia__emit_rotary_embedding,
    .cases = GLIA_CASES(
        {.inputs = "2x5x12 5x3 5x3", .attrs = "heads=2"},
        {.inputs = "2x5x12 5x3 5x3", .attrs = "heads=2 interleaved=yes"},
        {.inputs = "2x5x14 5x2 5x2", .attrs = "heads=2 inverse=yes"}, /* the last three stay */
        {.inputs = "3x4x16 3x4x1 3x4x1", .attrs = "heads=4"},
        {.inputs = "3x4x16 3x4x2 3x4x2", .attrs = "heads=4 interleaved=yes"},
        {.inputs = "2x3x24 3x2 3x2", .attrs = "heads=6 turned_heads=4"},
        {.inputs = "2x3x24 2x3x2 2x3x2", .attrs = "heads=4 turned_heads=3 interleaved=yes"},
        {.inputs = "1x7x148 7x37 7x37", .attrs = "heads=2"},
        {.inputs = "1x7x148 7x33 7x33", .attrs = "heads=2 interleaved=yes inverse=yes"},
        {.inputs = "0x5x12 5x3 5x3", .attrs = "heads=2"}, {.inputs = "2x0x12 0x3 0x3", .attrs = "heads=2"},
        {.inputs = "2x5x12 5x4 5x4",
         .attrs = "heads=2",
         .expect_error = "cannot turn the pairs of f32 5×4 in heads of 6 numbers"},
        {.inputs = "2x5x12 5x0 5x0", .attrs = "heads=2", .expect_error = "cannot turn the pairs of f32 5×0"},
        {.inputs = "2x5x12 4x3 4x3",
         .attrs = "heads=2",
         .expect_error = "as [T, pairs] or [N, T, pairs] for x f32 2×5×12, found f32 4×3"},
        {.inputs = "2x5x12 5x3 5x2", .attrs = "heads=2", .expect_error = "found f32 5×2"},
        {.inputs = "2x5x12 3x5x3 3x5x3", .attrs = "heads=2", .expect_error = "found f32 3×5×3"},
        {.inputs = "2x5x12 5x3 5x3",
         .attrs = "heads=5",
         .expect_error = "5 heads do not divide the 12 numbers"},
        {.inputs = "2x5x12 5x3 5x3",
         .attrs = "heads=2 turned_heads=3",
         .expect_error = "cannot turn 3 of 2 heads"},
        {.inputs = "5x12 5x3 5x3",
         .attrs = "heads=2",
         .expect_error = "x as [N, T, heads·size], found f32 5×12"},
        {.inputs = "2x5x12 5x3:f64 5x3:f64", .attrs = "heads=2", .expect_error = "dtypes differ"},
        {.inputs = "2x5x12:bf16 5x3 5x3", .attrs = "heads=2", .expect_error = "expected f32 or f64"}),
};

glia_value *glia_op_rotary_embedding(glia_value *x, glia_value *cosines, glia_value *sines,
                                     glia_rotary_embedding_attrs attrs) {
    glia_value *in[] = {x, cosines, sines};
    return glia_graph_apply(glia_value_graph(x), "rotary_embedding", in, GLIA_ROTARY_COUNT, &attrs);
}
