/* like.c: there and back between an array and one it broadcasts to, whose shape is that of the second input.
 * Since the shape comes from a value, both work before the batch size is known. Gradients are made of them.
 */

#include "ops/broadcast.h"
#include "ops/reduction.h"
#include "ops/widen.h"

const glia_field glia__like_fields[] = {{.name = "axes",
                                         .kind = GLIA_FIELD_DIMS,
                                         .offset = offsetof(glia__like_attrs, axes),
                                         .initial = "",
                                         .min = 0,
                                         .max = GLIA_MAX_RANK - 1,
                                         .doc = "dimensions that the smaller array lacks"},
                                        {.name = "mean",
                                         .kind = GLIA_FIELD_BOOL,
                                         .offset = offsetof(glia__like_attrs, mean),
                                         .initial = "no",
                                         .doc = "divide by the number of copies or terms"},
                                        {.name = NULL}};

static glia_status misfit(const glia_shape *small, const glia_shape *big, glia_error *err) {
    char text_small[128], text_big[128];
    return glia_error_set(err, GLIA_BAD_SHAPE, "%s does not broadcast to %s",
                          glia_shape_text(small, text_small, sizeof text_small),
                          glia_shape_text(big, text_big, sizeof text_big));
}

glia_status glia__like_shape(const glia_shape *small, const glia_shape *big, const glia_shape *axes,
                             glia_shape *out, glia_error *err) {
    bool lacks[GLIA_MAX_RANK] = {false};
    int missing = big->rank - small->rank;
    if (axes->rank > 0) {
        GLIA_TRY(glia__reduce_axes(axes, big->rank, lacks, err));
        if (axes->rank != missing) return misfit(small, big, err);
    }
    if (missing < 0) return misfit(small, big, err);
    for (int d = 0; d < missing && axes->rank == 0; d++) lacks[d] = true;
    glia_shape full = {.rank = big->rank};
    for (int d = 0, from = 0; d < big->rank; d++) {
        full.dim[d] = lacks[d] ? 1 : small->dim[from++];
        if (full.dim[d] != 1 && full.dim[d] != big->dim[d]) return misfit(small, big, err);
    }
    *out = full;
    return GLIA_OK;
}

/* Whether the small array has dimension 0 of the big one, so that both may be cut along it (`kept`), or sums over
 * it. */
static bool shares_rows(const glia_type *small, const glia_type *big, const glia__like_attrs *a, bool kept) {
    glia_shape full;
    if (glia__like_shape(&small->shape, &big->shape, &a->axes, &full, NULL) != GLIA_OK) return false;
    bool lacks_first = a->axes.rank == 0 && small->shape.rank < big->shape.rank;
    for (int i = 0; i < a->axes.rank; i++) lacks_first |= a->axes.dim[i] == 0;
    if (big->shape.rank == 0) return false;
    bool same = !lacks_first && full.dim[0] == big->shape.dim[0];
    return kept ? same : !same;
}

/* --- broadcast_like ---------------------------------------------------------------------------------------
 */

/* Input 1 is the number of copies. */
#define SHARE_ROW(type)                                                                           \
    static void share_##type(void *out_, const void *const *in, const int64_t *step, int64_t n) { \
        const type *a = in[0], copies = *(const type *)in[1];                                     \
        type *out = out_;                                                                         \
        if (step[0]) {                                                                            \
            for (int64_t i = 0; i < n; i++) out[i] = a[i] / copies;                               \
        } else {                                                                                  \
            const type x = a[0] / copies;                                                         \
            for (int64_t i = 0; i < n; i++) out[i] = x;                                           \
        }                                                                                         \
    }
SHARE_ROW(float)
SHARE_ROW(double)

static glia_status broadcast_like_loops(const glia_call *c) {
    const glia__like_attrs *a = c->attrs;
    float copies_f32;
    double copies_f64;
    glia_view in[2] = {c->in[0], {.dtype = c->in[0].dtype}};
    glia_call inner = *c;
    inner.in = in;
    inner.n_in = 1;
    GLIA_TRY(glia__like_shape(&c->in[0].shape, &c->out[0].shape, &a->axes, &in[0].shape, c->err));
    int64_t small = glia_shape_elems(&c->in[0].shape);
    if (a->mean == GLIA_YES && small > 0) {
        const int64_t copies = glia_shape_elems(&c->out[0].shape) / small;
        copies_f64 = (double)copies;
        copies_f32 = (float)copies_f64;
        in[1].data = c->out[0].dtype == GLIA_F64 ? (void *)&copies_f64 : (void *)&copies_f32;
        inner.n_in = 2;
        glia__broadcast_run(&inner, c->out[0].dtype == GLIA_F64 ? share_double : share_float);
        return GLIA_OK;
    }
    glia__broadcast_copy(&inner);
    return GLIA_OK;
}

/* Copies bits; only a mean computes. */
static glia_status broadcast_like_ref(const glia_call *c) {
    const glia__like_attrs *a = c->attrs;
    return a->mean == GLIA_YES ? glia__run_widened(c, 2, broadcast_like_loops) : broadcast_like_loops(c);
}

static size_t broadcast_like_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia__like_attrs *a = attrs;
    return a->mean == GLIA_YES ? glia__widened_bytes(&in[0]) + glia__widened_bytes(&out[0]) : 0;
}

static glia_status broadcast_like_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                        glia_error *err) {
    const glia__like_attrs *a = attrs;
    glia_shape full;
    (void)n_in;
    if (a->mean == GLIA_YES) GLIA_TRY(glia__check_float_or_bf16(&in[0], err));
    GLIA_TRY(glia__like_shape(&in[0].shape, &in[1].shape, &a->axes, &full, err));
    out[0] = (glia_type){in[0].dtype, in[1].shape};
    return GLIA_OK;
}

/* A mean counts the copies, for which it must see all rows or rows of both. */
static uint32_t broadcast_like_rows(const glia_type *in, int n_in, const void *attrs) {
    const glia__like_attrs *a = attrs;
    (void)n_in;
    if (shares_rows(&in[0], &in[1], a, true)) return 3;
    return in[1].shape.rank > 0 && a->mean != GLIA_YES ? 2 : 0;
}

static void broadcast_like_grad(glia_gradient *g) {
    glia_value *inputs[] = {g->dy[0], g->x[0]};
    g->dx[0] = glia_graph_apply(g->graph, "sum_to_like", inputs, 2, g->attrs);
}

GLIA_OP(broadcast_like) = {
    .name = "broadcast_like",
    .version = 1,
    .doc = "y = x repeated to the shape of the second input",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 2,
    .attrs = glia__like_fields,
    .attrs_size = sizeof(glia__like_attrs),
    .infer = broadcast_like_infer,
    .grad = broadcast_like_grad,
    .ref = broadcast_like_ref,
    .workspace = broadcast_like_workspace,
    .rows = broadcast_like_rows,
    .cases = GLIA_CASES({.inputs = "5 4x5"}, {.inputs = "scalar 2x3"}, {.inputs = "4x1 4x5"},
                        {.inputs = "3x1x1 2x3x4x5"}, {.inputs = "4 4x5", .attrs = "axes=1"},
                        {.inputs = "3x4 2x3x4x5", .attrs = "axes=0,3 mean=yes"},
                        {.inputs = "2x1x5 2x3x5", .attrs = "mean=yes"}, {.inputs = "4x5 4x5"},
                        {.inputs = "scalar scalar"}, {.inputs = "scalar 0x3", .attrs = "mean=yes"},
                        {.inputs = "0x1 0x3"}, {.inputs = "3:i64<9 2x3:i64<9"}, {.inputs = "1:bool 2x3"},
                        {.inputs = "4 4x5", .expect_error = "4 does not broadcast to 4×5"},
                        {.inputs = "4x5 5", .expect_error = "4×5 does not broadcast to 5"},
                        {.inputs = "4 4x5", .attrs = "axes=2", .expect_error = "axis 2 is out of range"}),
};

/* --- sum_to_like ------------------------------------------------------------------------------------------
 */

static glia_status sum_to_like_loops(const glia_call *c) {
    const glia__like_attrs *a = c->attrs;
    const glia_shape *big = &c->in[0].shape;
    glia_shape full;
    bool reduced[GLIA_MAX_RANK] = {false};
    GLIA_TRY(glia__like_shape(&c->out[0].shape, big, &a->axes, &full, c->err));
    for (int d = 0; d < big->rank; d++) reduced[d] = full.dim[d] == 1;
    glia_dtype dtype = c->in[0].dtype;
    glia__reduce_run(a->mean == GLIA_YES ? glia__reducer_mean(dtype) : glia__reducer_sum(dtype), &c->in[0],
                     reduced, &c->out[0]);
    return GLIA_OK;
}

static glia_status sum_to_like_ref(const glia_call *c) {
    return glia__run_widened(c, 2, sum_to_like_loops);
}

static size_t sum_to_like_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__widened_bytes(&in[0]) + glia__widened_bytes(&out[0]);
}

static glia_status sum_to_like_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                     glia_error *err) {
    const glia__like_attrs *a = attrs;
    glia_shape full;
    (void)n_in;
    if (a->mean == GLIA_YES)
        GLIA_TRY(glia__check_float_or_bf16(&in[0], err));
    else if (in[0].dtype != GLIA_BF16)
        GLIA_TRY(glia__check_number(&in[0], err));
    GLIA_TRY(glia__like_shape(&in[1].shape, &in[0].shape, &a->axes, &full, err));
    out[0] = (glia_type){in[0].dtype, in[1].shape};
    return GLIA_OK;
}

static uint32_t sum_to_like_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)n_in;
    return shares_rows(&in[1], &in[0], attrs, true) ? 3 : 0;
}

/* Sums of parts add up; their means do not, and in bf16 each would be rounded. */
static uint32_t sum_to_like_sums(const glia_type *in, int n_in, const void *attrs) {
    const glia__like_attrs *a = attrs;
    (void)n_in;
    if (a->mean == GLIA_YES || in[0].dtype == GLIA_BF16) return 0;
    return shares_rows(&in[1], &in[0], a, false) ? 1 : 0;
}

static double sum_to_like_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return (double)glia_shape_elems(&in[0].shape);
}

static void sum_to_like_grad(glia_gradient *g) {
    glia_value *inputs[] = {g->dy[0], g->x[0]};
    g->dx[0] = glia_graph_apply(g->graph, "broadcast_like", inputs, 2, g->attrs);
}

GLIA_OP(sum_to_like) = {
    .name = "sum_to_like",
    .version = 1,
    .doc = "y = x summed over what a broadcast repeated, to the shape of the second input",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 2,
    .attrs = glia__like_fields,
    .attrs_size = sizeof(glia__like_attrs),
    .infer = sum_to_like_infer,
    .grad = sum_to_like_grad,
    .ref = sum_to_like_ref,
    .workspace = sum_to_like_workspace,
    .rows = sum_to_like_rows,
    .sums = sum_to_like_sums,
    .flops = sum_to_like_flops,
    .cases = GLIA_CASES({.inputs = "4x5 5"}, {.inputs = "2x3 scalar"}, {.inputs = "4x5 4x1"},
                        {.inputs = "2x3x4x5 3x1x1"}, {.inputs = "4x5 4", .attrs = "axes=1"},
                        {.inputs = "2x3x4x5 3x4", .attrs = "axes=0,3 mean=yes"},
                        {.inputs = "2x3x5 2x1x5", .attrs = "mean=yes"}, {.inputs = "4x5 4x5"},
                        {.inputs = "scalar scalar"}, {.inputs = "0x3 3"}, {.inputs = "2x3:i64<9 3:i64<9"},
                        {.inputs = "4x5:bf16 5"},
                        {.inputs = "4x5 4", .expect_error = "4 does not broadcast to 4×5"},
                        {.inputs = "5 4x5", .expect_error = "4×5 does not broadcast to 5"},
                        {.inputs = "4x5:bool 5", .expect_error = "found bool 4×5; cast it first"}),
};
