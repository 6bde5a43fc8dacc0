/* scatter.c: scatter_elements and scatter_nd: x with updates put, added, multiplied … at places that indices point at. */

#include "glia/ops.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/places.h"

#ifdef GLIA_OPS_HEADER
/* `reduction`: what happens to the number at a place: 0 the update replaces it (of several the last), 1 it is added,
 * 2 multiplied, 3 the larger or 4 the smaller of both stays. */
typedef struct glia_scatter_elements_attrs {
    int64_t axis; /* negative: from the end */
    int reduction;
} glia_scatter_elements_attrs;
/* The counterpart of gather_elements: a copy of x with updates, an array like indices (i64 or i32; negative ones count
 * from the end). */
GLIA_API glia_value *glia_op_scatter_elements(glia_value *x, glia_value *indices, glia_value *updates,
                                              glia_scatter_elements_attrs attrs);

typedef struct glia_scatter_nd_attrs {
    int reduction;
} glia_scatter_nd_attrs;
/* The counterpart of gather_nd: updates is what gather_nd of x and indices would give. */
GLIA_API glia_value *glia_op_scatter_nd(glia_value *x, glia_value *indices, glia_value *updates,
                                        glia_scatter_nd_attrs attrs);
#endif /* GLIA_OPS_HEADER */

typedef enum reduction { REPLACE, ADD, MUL, MAX, MIN } reduction;

/* Both kinds of scatter, told apart by where their attributes lie. */
typedef struct scatter {
    glia_places places;
    reduction reduction;
} scatter;

static glia_status fit_elements(scatter *s, const glia_type *x, const glia_type *indices, const void *attrs,
                                glia_error *err) {
    const glia_scatter_elements_attrs *a = attrs;
    s->reduction = (reduction)a->reduction;
    return glia__places_elements(&s->places, x, indices, a->axis, "scatter_elements", err);
}

static glia_status fit_nd(scatter *s, const glia_type *x, const glia_type *indices, const void *attrs,
                          glia_error *err) {
    s->reduction = (reduction)((const glia_scatter_nd_attrs *)attrs)->reduction;
    return glia__places_nd(&s->places, x, indices, 0, "scatter_nd", err);
}

typedef glia_status fit_scatter(scatter *s, const glia_type *x, const glia_type *indices, const void *attrs,
                                glia_error *err);

static double flops(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return (double)glia_shape_elems(&in[2].shape);
}

static glia_status infer(fit_scatter *fit, const glia_type *in, const void *attrs, glia_type *out,
                         glia_error *err) {
    scatter s;
    glia_type updates = {.dtype = in[0].dtype};
    char a[160], b[160];
    GLIA_TRY(fit(&s, &in[0], &in[1], attrs, err));
    if (s.reduction != REPLACE) GLIA_TRY(glia__check_number(&in[0], err));
    if (!glia__places_shape(&s.places, &in[0].shape, &in[1].shape, &updates.shape))
        return glia_error_set(err, GLIA_BAD_SHAPE, "updates would have more than %d dimensions",
                              GLIA_MAX_RANK);
    if (!glia_shape_equal(&updates.shape, &in[2].shape) || updates.dtype != in[2].dtype)
        return glia_error_set(err, GLIA_BAD_SHAPE, "expected updates of %s, found %s",
                              glia__type_text(&updates, a, sizeof a), glia__type_text(&in[2], b, sizeof b));
    out[0] = in[0];
    return GLIA_OK;
}

/* Combines `n` numbers with updates; U is the type to calculate in: whole numbers wrap. */
#define COMBINE(name, type, U)                                                       \
    static void combine_##name(reduction how, void *y_, const void *u_, int64_t n) { \
        type *y = y_;                                                                \
        const type *u = u_;                                                          \
        for (int64_t i = 0; i < n; i++) switch (how) {                               \
            case ADD:                                                                \
                y[i] = (type)((U)y[i] + (U)u[i]);                                    \
                break;                                                               \
            case MUL:                                                                \
                y[i] = (type)((U)y[i] * (U)u[i]);                                    \
                break;                                                               \
            case MAX:                                                                \
                y[i] = u[i] > y[i] ? u[i] : y[i];                                    \
                break;                                                               \
            case MIN:                                                                \
                y[i] = u[i] < y[i] ? u[i] : y[i];                                    \
                break;                                                               \
            case REPLACE:                                                            \
                y[i] = u[i];                                                         \
                break;                                                               \
            }                                                                        \
    }
COMBINE(f32, float, float)
COMBINE(f64, double, double)
COMBINE(i32, int32_t, uint32_t)
COMBINE(i64, int64_t, uint64_t)
COMBINE(u8, uint8_t, uint32_t)

static glia_status run(fit_scatter *fit, const glia_call *c) {
    static void (*const combine[GLIA_DTYPE_COUNT])(reduction, void *, const void *,
                                                   int64_t) = {[GLIA_F32] = combine_f32,
                                                               [GLIA_F64] = combine_f64,
                                                               [GLIA_I32] = combine_i32,
                                                               [GLIA_I64] = combine_i64,
                                                               [GLIA_U8] = combine_u8};
    const glia_type x = glia__view_type(&c->out[0]), indices = glia__view_type(&c->in[1]);
    scatter s;
    GLIA_TRY(fit(&s, &x, &indices, c->attrs, c->err));
    const size_t size = glia_dtype_bytes(x.dtype), bytes = (size_t)s.places.run * size;
    const size_t total = (size_t)glia_shape_elems(&x.shape) * size;
    int64_t *offsets = c->workspace;
    const char *u = c->in[2].data;
    char *y = c->out[0].data;
    GLIA_TRY(glia__places_find(&s.places, &x.shape, &c->in[1], offsets, c->err));
    if (total) memcpy(y, c->in[0].data, total);
    for (int64_t k = 0; k < s.places.count && bytes; k++, u += bytes) {
        char *to = y + (size_t)offsets[k] * size;
        if (s.reduction == REPLACE)
            memcpy(to, u, bytes);
        else
            combine[x.dtype](s.reduction, to, u, s.places.run);
    }
    return GLIA_OK;
}

static size_t workspace(fit_scatter *fit, const glia_type *in, const void *attrs) {
    scatter s;
    return fit(&s, &in[0], &in[1], attrs, NULL) == GLIA_OK ? glia__places_bytes(&s.places) : 0;
}

/* --- gradients --------------------------------------------------------------------------------------------- */

static glia_status backward_infer(fit_scatter *fit, const glia_type *in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    GLIA_TRY(glia__check_float(&in[0], err));
    GLIA_TRY(infer(fit, in, attrs, out, err));
    GLIA_TRY(glia__check_gradient(&in[0], &in[3], "scatter", err));
    out[1] = in[2];
    return GLIA_OK;
}

/* Whose number stands at each element in the end: update `count` − 1 … 0, or −1 for x. Of equals the first wins. */
#define FIND_WINNERS(winner, elems, how)                                                            \
    for (int64_t e = 0; e < (elems); e++) (winner)[e] = -1;                                         \
    for (int64_t k = 0; k < count; k++)                                                             \
        for (int64_t i = 0; i < run; i++) {                                                         \
            const int64_t at = offsets[k] + i, own = k * run + i;                                   \
            const T best = (winner)[at] < 0 ? x[at] : u[(winner)[at]];                              \
            const bool better = (how) == REPLACE || ((how) == MAX ? u[own] > best : u[own] < best); \
            if (better) (winner)[at] = own;                                                         \
        }

/* dx and du. A product's gradient is dy and all other factors: what was multiplied before, kept in du on the way there, and
 * what comes after, gathered on the way back, without a division. */
static glia_status backward(fit_scatter *fit, const glia_call *c) {
    const glia_type type = glia__view_type(&c->out[0]), indices = glia__view_type(&c->in[1]);
    scatter s;
    GLIA_TRY(fit(&s, &type, &indices, c->attrs, c->err));
    const int64_t elems = glia_shape_elems(&type.shape), count = s.places.count, run = s.places.run;
    int64_t *offsets = c->workspace;
    GLIA_TRY(glia__places_find(&s.places, &type.shape, &c->in[1], offsets, c->err));
    GLIA_FOR_FLOAT(type.dtype, {
        const T *x = c->in[0].data;
        const T *u = c->in[2].data;
        const T *dy = c->in[3].data;
        T *dx = c->out[0].data;
        T *du = c->out[1].data;
        if (s.reduction == ADD) {
            if (elems) memcpy(dx, dy, (size_t)elems * sizeof(T));
            for (int64_t k = 0; k < count; k++)
                for (int64_t i = 0; i < run; i++) du[k * run + i] = dy[offsets[k] + i];
        } else if (s.reduction == MUL) {
            for (int64_t e = 0; e < elems; e++) dx[e] = x[e];
            for (int64_t k = 0; k < count; k++)
                for (int64_t i = 0; i < run; i++) {
                    du[k * run + i] = dx[offsets[k] + i];
                    dx[offsets[k] + i] *= u[k * run + i];
                }
            for (int64_t e = 0; e < elems; e++) dx[e] = dy[e];
            for (int64_t k = count - 1; k >= 0; k--)
                for (int64_t i = 0; i < run; i++) {
                    du[k * run + i] *= dx[offsets[k] + i];
                    dx[offsets[k] + i] *= u[k * run + i];
                }
        } else {
            int64_t *winner = offsets + count;
            FIND_WINNERS(winner, elems, s.reduction)
            memset(du, 0, (size_t)(count * run) * sizeof(T));
            for (int64_t e = 0; e < elems; e++) {
                dx[e] = winner[e] < 0 ? dy[e] : 0;
                if (winner[e] >= 0) du[winner[e]] = dy[e];
            }
        }
    });
    return GLIA_OK;
}

static size_t backward_workspace(fit_scatter *fit, const glia_type *in, const void *attrs) {
    return workspace(fit, in, attrs) + (size_t)glia_shape_elems(&in[0].shape) * sizeof(int64_t);
}

static void grad(glia_gradient *g, const char *backward_op) {
    glia_value *in[] = {g->x[0], g->x[1], g->x[2], g->dy[0]};
    g->dx[0] = glia_graph_apply(g->graph, backward_op, in, 4, g->attrs);
    g->dx[2] = glia_value_sibling(g->dx[0], 1);
}

#define SCATTER_RULES(op, fit)                                                                               \
    static glia_status op##_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,          \
                                  glia_error *err) {                                                         \
        (void)n_in;                                                                                          \
        return infer(fit, in, attrs, out, err);                                                              \
    }                                                                                                        \
    static glia_status op##_ref(const glia_call *c) {                                                        \
        return run(fit, c);                                                                                  \
    }                                                                                                        \
    static size_t op##_workspace(const glia_type *in, const glia_type *out, const void *attrs) {             \
        (void)out;                                                                                           \
        return workspace(fit, in, attrs);                                                                    \
    }                                                                                                        \
    static void op##_grad(glia_gradient *g) {                                                                \
        grad(g, #op "_backward");                                                                            \
    }                                                                                                        \
    glia_value *glia_op_##op(glia_value *x, glia_value *indices, glia_value *updates,                        \
                             glia_##op##_attrs attrs) {                                                      \
        glia_value *in[] = {x, indices, updates};                                                            \
        return glia_graph_apply(glia_value_graph(x ? x : indices ? indices : updates), #op, in, 3, &attrs);  \
    }                                                                                                        \
    static glia_status op##_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out, \
                                           glia_error *err) {                                                \
        (void)n_in;                                                                                          \
        return backward_infer(fit, in, attrs, out, err);                                                     \
    }                                                                                                        \
    static glia_status op##_backward_ref(const glia_call *c) {                                               \
        return backward(fit, c);                                                                             \
    }                                                                                                        \
    static size_t op##_backward_workspace(const glia_type *in, const glia_type *out, const void *attrs) {    \
        (void)out;                                                                                           \
        return backward_workspace(fit, in, attrs);                                                           \
    }
SCATTER_RULES(scatter_elements, fit_elements)
SCATTER_RULES(scatter_nd, fit_nd)

#define REDUCTION_FIELD(type)                                                                \
    {                                                                                        \
        .name = "reduction", .kind = GLIA_FIELD_CHOICE, .offset = offsetof(type, reduction), \
        .initial = "none", .choices = "none|add|mul|max|min",                                \
        .doc = "what an update does to the number at its place: replaces it, is added, …"  \
    }
static const glia_field scatter_elements_fields[] = {{.name = "axis",
                                                      .kind = GLIA_FIELD_INT,
                                                      .offset = offsetof(glia_scatter_elements_attrs, axis),
                                                      .initial = "0",
                                                      .doc = "dimension of x that the indices choose from"},
                                                     REDUCTION_FIELD(glia_scatter_elements_attrs),
                                                     {.name = NULL}};
static const glia_field scatter_nd_fields[] = {REDUCTION_FIELD(glia_scatter_nd_attrs), {.name = NULL}};

#define SCATTER_OP(op, ...)                                 \
    GLIA_OP(op) = {.name = #op,                             \
                   .version = 1,                            \
                   .min_inputs = 3,                         \
                   .max_inputs = 3,                         \
                   .attrs = op##_fields,                    \
                   .attrs_size = sizeof(glia_##op##_attrs), \
                   .infer = op##_infer,                     \
                   .grad = op##_grad,                       \
                   .ref = op##_ref,                         \
                   .workspace = op##_workspace,             \
                   .flops = flops,                          \
                   .emit_c = glia__emit_##op,               \
                   __VA_ARGS__}

/* ONNX replaces, since opset 16 adds and multiplies, since 18 takes the larger or smaller. */
static void scatter_as(glia_to_onnx *w, const char *indices, reduction how) {
    const int since = how == MAX || how == MIN ? 18 : how != REPLACE ? 16 : 13;
    if (w->opset < since)
        glia__to_onnx_refuse(w, "this reduction: ONNX has it since opset %d (--opset %d)", since, since);
    GLIA_TO_ONNX(w, w->y[0], w->node->op->onnx, w->x[0], indices, w->x[2]);
    if (how != REPLACE) glia__to_onnx_choice(w, "reduction", "reduction");
}

static void scatter_elements_to_onnx(glia_to_onnx *w) {
    const glia_scatter_elements_attrs *a = w->node->attrs;
    scatter_as(w, w->x[1], (reduction)a->reduction);
    glia__to_onnx_int(w, "axis", a->axis);
}

static void scatter_nd_to_onnx(glia_to_onnx *w) {
    const glia_scatter_nd_attrs *a = w->node->attrs;
    scatter_as(w, glia__to_onnx_i64(w, 1), (reduction)a->reduction);
}

SCATTER_OP(scatter_elements, .doc = "y = x with y[…, indices[…, i, …], …] = updates[…, i, …] along an axis",
           .source = "ONNX ScatterElements; PyTorch's scatter", .onnx = "ScatterElements", .onnx_since = 11,
           .onnx_write = scatter_elements_to_onnx,
           .cases = GLIA_CASES({.inputs = "4x3 2x3:i64<4 2x3"},
                               {.inputs = "4x3 4x5:i32<3 4x5", .attrs = "axis=1"},
                               {.inputs = "4x3 4x5:i64<3 4x5", .attrs = "axis=1 reduction=add"},
                               {.inputs = "4x3 4x5:i64<3 4x5", .attrs = "axis=-1 reduction=mul"},
                               {.inputs = "4x3 6x3:i64<4 6x3", .attrs = "reduction=max"},
                               {.inputs = "4x3 6x3:i64<4 6x3", .attrs = "reduction=min"},
                               {.inputs = "5:i64<9 7:i64<5 7:i64<9", .attrs = "reduction=mul"},
                               {.inputs = "5:u8<9 7:i64<5 7:u8<9", .attrs = "reduction=max"},
                               {.inputs = "5:bool 7:i64<5 7:bool"}, {.inputs = "4x3 0x3:i64<4 0x3"},
                               {.inputs = "4x3 2x3:i64<4 2x2",
                                .expect_error = "expected updates of f32 2×3, found f32 2×2"},
                               {.inputs = "4x3 2x3:i64<4 2x3:i64<4", .expect_error = "found i64 2×3"},
                               {.inputs = "5:bool 7:i64<5 7:bool",
                                .attrs = "reduction=add",
                                .expect_error = "found bool 5; cast it first"},
                               {.inputs = "4x3 2x4:i64<4 2x4", .expect_error = "only dimension 0 is free"}));

SCATTER_OP(scatter_nd, .doc = "y = x with y[indices[…, 0], indices[…, 1], …, :] = updates[…, :]",
           .source = "ONNX ScatterND; TensorFlow's tensor_scatter_nd_update", .onnx = "ScatterND",
           .onnx_since = 11, .onnx_write = scatter_nd_to_onnx,
           .cases = GLIA_CASES(
               {.inputs = "4x3 5x2:i64<3 5"}, {.inputs = "4x3 2x2x1:i32<4 2x2x3"},
               {.inputs = "4x3x2 5x2:i64<3 5x2", .attrs = "reduction=add"},
               {.inputs = "4x3 7x2:i64<3 7", .attrs = "reduction=mul"},
               {.inputs = "4x3 7x1:i64<4 7x3", .attrs = "reduction=max"},
               {.inputs = "4x3 7x1:i64<4 7x3", .attrs = "reduction=min"},
               {.inputs = "4x3:i32<9 5x1:i64<4 5x3:i32<9", .attrs = "reduction=add"},
               {.inputs = "4x3 0x2:i64<3 0"},
               {.inputs = "4x3 5x2:i64<3 5x3", .expect_error = "expected updates of f32 5, found f32 5×3"},
               {.inputs = "4x3 5x3:i64<3 5", .expect_error = "from 1 to 2 coordinates in 4×3"}));

#define SCATTER_BACKWARD(op, ...)                                                                          \
    {                                                                                                      \
        .name = #op "_backward", .version = 1, .doc = "d(" #op ")/dx and /dupdates of its inputs and dy",  \
        .min_inputs = 4, .max_inputs = 4, .n_outputs = 2,                                                  \
        .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT, .attrs = op##_fields, \
        .attrs_size = sizeof(glia_##op##_attrs), .infer = op##_backward_infer, .ref = op##_backward_ref,   \
        .workspace = op##_backward_workspace, __VA_ARGS__                                                  \
    }

GLIA_OP(scatter_elements_backward) = SCATTER_BACKWARD(
    scatter_elements,
    .cases = GLIA_CASES({.inputs = "4x3 2x3:i64<4 2x3 4x3"},
                        {.inputs = "4x3 4x5:i64<3 4x5 4x3", .attrs = "axis=1 reduction=mul"},
                        {.inputs = "4x3 6x3:i64<4 6x3 4x3", .attrs = "reduction=max"},
                        {.inputs = "4x3 6x3:i64<4 6x3 4x3", .attrs = "reduction=add"},
                        {.inputs = "4x3 2x3:i64<4 2x3 2x3", .expect_error = "cannot be f32 2×3"}));

GLIA_OP(scatter_nd_backward) = SCATTER_BACKWARD(
    scatter_nd, .cases = GLIA_CASES({.inputs = "4x3 5x2:i64<3 5 4x3"},
                                    {.inputs = "4x3 7x1:i64<4 7x3 4x3", .attrs = "reduction=min"},
                                    {.inputs = "4x3 7x2:i64<3 7 4x3", .attrs = "reduction=mul"},
                                    {.inputs = "4x3 5x2:i64<3 5 5", .expect_error = "cannot be f32 5"}));
