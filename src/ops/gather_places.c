/* gather_places.c: gather_elements and gather_nd: elements and slices of x that indices point at, and their gradients. */

#include "glia/ops.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/places.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_gather_elements_attrs {
    int64_t axis; /* negative: from the end */
} glia_gather_elements_attrs;
/* For each index the element of x with the same coordinates, but for the one along `axis`, which is the index. Indices are
 * i64 or i32, negative ones count from the end; one out of range is an error when it runs. */
GLIA_API glia_value *glia_op_gather_elements(glia_value *x, glia_value *indices,
                                             glia_gather_elements_attrs attrs);

typedef struct glia_gather_nd_attrs {
    int64_t batch_dims; /* so many first dimensions belong to x and indices together */
} glia_gather_nd_attrs;
/* Each row (last dimension) of indices holds the first coordinates of an element or slice of x. */
GLIA_API glia_value *glia_op_gather_nd(glia_value *x, glia_value *indices, glia_gather_nd_attrs attrs);
#endif /* GLIA_OPS_HEADER */

static glia_status fit_elements(glia_places *p, const glia_type *x, const glia_type *indices,
                                const void *attrs, glia_error *err) {
    return glia__places_elements(p, x, indices, ((const glia_gather_elements_attrs *)attrs)->axis,
                                 "gather_elements", err);
}

static glia_status fit_nd(glia_places *p, const glia_type *x, const glia_type *indices, const void *attrs,
                          glia_error *err) {
    return glia__places_nd(p, x, indices, ((const glia_gather_nd_attrs *)attrs)->batch_dims, "gather_nd",
                           err);
}

typedef glia_status fit_places(glia_places *p, const glia_type *x, const glia_type *indices,
                               const void *attrs, glia_error *err);

static glia_status infer(fit_places *fit, const glia_type *in, const void *attrs, glia_type *out,
                         glia_error *err) {
    glia_places p;
    GLIA_TRY(fit(&p, &in[0], &in[1], attrs, err));
    out[0].dtype = in[0].dtype;
    if (glia__places_shape(&p, &in[0].shape, &in[1].shape, &out[0].shape)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "the result has more than %d dimensions", GLIA_MAX_RANK);
}

static glia_status gather(fit_places *fit, const glia_call *c) {
    const glia_type x = glia__view_type(&c->in[0]), indices = glia__view_type(&c->in[1]);
    glia_places p;
    GLIA_TRY(fit(&p, &x, &indices, c->attrs, c->err));
    const size_t size = glia_dtype_bytes(x.dtype), bytes = (size_t)p.run * size;
    int64_t *offsets = c->workspace;
    char *y = c->out[0].data;
    GLIA_TRY(glia__places_find(&p, &x.shape, &c->in[1], offsets, c->err));
    for (int64_t k = 0; k < p.count && bytes; k++, y += bytes)
        memcpy(y, (const char *)c->in[0].data + (size_t)offsets[k] * size, bytes);
    return GLIA_OK;
}

static size_t workspace(fit_places *fit, const glia_type *in, const void *attrs) {
    glia_places p;
    return fit(&p, &in[0], &in[1], attrs, NULL) == GLIA_OK ? glia__places_bytes(&p) : 0;
}

static glia_status backward_infer(fit_places *fit, const glia_type *in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    glia_type y;
    GLIA_TRY(glia__check_float(&in[0], err));
    GLIA_TRY(infer(fit, in, attrs, &y, err));
    GLIA_TRY(glia__check_gradient(&y, &in[2], "gather", err));
    out[0] = in[0];
    return GLIA_OK;
}

/* Adds in the order of the indices, so that repeated ones always give the same bits. */
static glia_status scatter_sum(fit_places *fit, const glia_call *c) {
    const glia_type x = glia__view_type(&c->out[0]), indices = glia__view_type(&c->in[1]);
    glia_places p;
    GLIA_TRY(fit(&p, &x, &indices, c->attrs, c->err));
    int64_t *offsets = c->workspace;
    GLIA_TRY(glia__places_find(&p, &x.shape, &c->in[1], offsets, c->err));
    GLIA_FOR_FLOAT(x.dtype, {
        const T *dy = c->in[2].data;
        T *dx = c->out[0].data;
        memset(dx, 0, (size_t)glia_shape_elems(&x.shape) * sizeof(T));
        for (int64_t k = 0; k < p.count; k++)
            for (int64_t i = 0; i < p.run; i++) dx[offsets[k] + i] += *dy++;
    });
    return GLIA_OK;
}

#define GATHER_RULES(op, fit)                                                                                \
    static glia_status op##_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,          \
                                  glia_error *err) {                                                         \
        (void)n_in;                                                                                          \
        return infer(fit, in, attrs, out, err);                                                              \
    }                                                                                                        \
    static glia_status op##_ref(const glia_call *c) {                                                        \
        return gather(fit, c);                                                                               \
    }                                                                                                        \
    static size_t op##_workspace(const glia_type *in, const glia_type *out, const void *attrs) {             \
        (void)out;                                                                                           \
        return workspace(fit, in, attrs);                                                                    \
    }                                                                                                        \
    static void op##_grad(glia_gradient *g) {                                                                \
        glia_value *in[] = {g->x[0], g->x[1], g->dy[0]};                                                     \
        g->dx[0] = glia_graph_apply(g->graph, #op "_backward", in, 3, g->attrs);                             \
    }                                                                                                        \
    glia_value *glia_op_##op(glia_value *x, glia_value *indices, glia_##op##_attrs attrs) {                  \
        glia_value *in[] = {x, indices};                                                                     \
        return glia_graph_apply(glia_value_graph(x ? x : indices), #op, in, 2, &attrs);                      \
    }                                                                                                        \
    static glia_status op##_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out, \
                                           glia_error *err) {                                                \
        (void)n_in;                                                                                          \
        return backward_infer(fit, in, attrs, out, err);                                                     \
    }                                                                                                        \
    static glia_status op##_backward_ref(const glia_call *c) {                                               \
        return scatter_sum(fit, c);                                                                          \
    }                                                                                                        \
    static void op##_backward_grad(glia_gradient *g) {                                                       \
        glia_value *in[] = {g->dy[0], g->x[1]};                                                              \
        if (g->needed[2]) g->dx[2] = glia_graph_apply(g->graph, #op, in, 2, g->attrs);                       \
    }
GATHER_RULES(gather_elements, fit_elements)
GATHER_RULES(gather_nd, fit_nd)

static const glia_field gather_elements_fields[] = {{.name = "axis",
                                                     .kind = GLIA_FIELD_INT,
                                                     .offset = offsetof(glia_gather_elements_attrs, axis),
                                                     .initial = "0",
                                                     .doc = "dimension of x that the indices choose from"},
                                                    {.name = NULL}};
static const glia_field gather_nd_fields[] = {{.name = "batch_dims",
                                               .kind = GLIA_FIELD_INT,
                                               .offset = offsetof(glia_gather_nd_attrs, batch_dims),
                                               .initial = "0",
                                               .min = 0,
                                               .max = GLIA_MAX_RANK,
                                               .doc = "first dimensions that x and indices share"},
                                              {.name = NULL}};

#define GATHER_OP(op, ...)                                  \
    GLIA_OP(op) = {.name = #op,                             \
                   .version = 1,                            \
                   .min_inputs = 2,                         \
                   .max_inputs = 2,                         \
                   .attrs = op##_fields,                    \
                   .attrs_size = sizeof(glia_##op##_attrs), \
                   .infer = op##_infer,                     \
                   .grad = op##_grad,                       \
                   .ref = op##_ref,                         \
                   .workspace = op##_workspace,             \
                   .flops = glia__no_flops,                 \
                   .emit_c = glia__emit_##op,               \
                   __VA_ARGS__}

GATHER_OP(gather_elements, .doc = "y[…, i, …] = x[…, indices[…, i, …], …] along an axis",
          .source = "ONNX GatherElements; PyTorch's gather", .onnx = "GatherElements", .onnx_since = 11,
          .cases = GLIA_CASES({.inputs = "4x3 2x3:i64<4"}, {.inputs = "4x3 4x5:i32<3", .attrs = "axis=1"},
                              {.inputs = "2x5x3 2x4x2:i64<5", .attrs = "axis=-2"},
                              {.inputs = "5:i64<9 7:i64<5"}, {.inputs = "5:bool 7:i64<5"},
                              {.inputs = "4x3 0x3:i64<4"},
                              {.inputs = "4x3 2x4:i64<4", .expect_error = "only dimension 0 is free"},
                              {.inputs = "4x3 2:i64<4", .expect_error = "must have the dimensions of 4×3"},
                              {.inputs = "4x3 2x3", .expect_error = "expects indices of i64 or i32"},
                              {.inputs = "4x3 2x3:i64<3",
                               .attrs = "axis=2",
                               .expect_error = "axis 2 is out of range for 4×3"}));

static void gather_nd_to_onnx(glia_to_onnx *w) {
    w->x[1] = glia__to_onnx_i64(w, 1);
    glia__to_onnx_same(w);
}

GATHER_OP(gather_nd, .doc = "y[…, :] = x[indices[…, 0], indices[…, 1], …, :]",
          .source = "ONNX GatherND; TensorFlow's gather_nd", .onnx = "GatherND", .onnx_since = 11,
          .onnx_write = gather_nd_to_onnx,
          .cases = GLIA_CASES({.inputs = "4x3 5x2:i64<3"}, {.inputs = "4x3 2x2x1:i32<4"},
                              {.inputs = "2x4x3 2x5x1:i64<4", .attrs = "batch_dims=1"},
                              {.inputs = "2x2x4x3 2x2x2:i64<3", .attrs = "batch_dims=2"},
                              {.inputs = "4x3:i64<9 5x1:i64<4"}, {.inputs = "4x3:bool 5x2:i64<3"},
                              {.inputs = "4x3 0x2:i64<3"},
                              {.inputs = "4x3 5x3:i64<3", .expect_error = "from 1 to 2 coordinates in 4×3"},
                              {.inputs = "4x3 5x1:i64<3",
                               .attrs = "batch_dims=1",
                               .expect_error = "dimension 0 of 4×3 and of indices 5×1 differs"},
                              {.inputs = "4x3 4x2:i64<3",
                               .attrs = "batch_dims=2",
                               .expect_error = "batch_dims of 2 must be below"},
                              {.inputs = "4x3 5x2", .expect_error = "expects indices of i64 or i32"}));

#define GATHER_BACKWARD(op, ...)                                                                        \
    {                                                                                                   \
        .name = #op "_backward", .version = 1,                                                          \
        .doc = "d(" #op                                                                                 \
               ")/dx of x, of which only the shape matters, indices and dy: dy added up at its places", \
        .min_inputs = 3, .max_inputs = 3, .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,           \
        .shape_only = 1, .attrs = op##_fields, .attrs_size = sizeof(glia_##op##_attrs),                 \
        .infer = op##_backward_infer, .grad = op##_backward_grad, .ref = op##_backward_ref,             \
        .workspace = op##_workspace, __VA_ARGS__                                                        \
    }

GLIA_OP(gather_elements_backward) = GATHER_BACKWARD(
    gather_elements,
    .cases = GLIA_CASES({.inputs = "4x3 2x3:i64<4 2x3"}, {.inputs = "4x3 4x5:i32<3 4x5", .attrs = "axis=1"},
                        {.inputs = "4x3 0x3:i64<4 0x3"},
                        {.inputs = "4x3 2x3:i64<4 4x3", .expect_error = "cannot be f32 4×3"}));

GLIA_OP(gather_nd_backward) = GATHER_BACKWARD(
    gather_nd, .cases = GLIA_CASES({.inputs = "4x3 5x2:i64<3 5"}, {.inputs = "4x3 2x2x1:i32<4 2x2x3"},
                                   {.inputs = "2x4x3 2x5x1:i64<4 2x5x3", .attrs = "batch_dims=1"},
                                   {.inputs = "4x3 5x2:i64<3 5x2", .expect_error = "cannot be f32 5×2"}));
