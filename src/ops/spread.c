/* spread.c: arrays made larger by repeating them: expand (dimensions of 1 stretch) and tile (whole copies). */

#include "glia/ops.h"
#include "graph/to_onnx.h"
#include "ops/broadcast.h"
#include "ops/emit.h"

#ifdef GLIA_OPS_HEADER
/* `shape` broadcasts with that of x as in NumPy: 1 keeps a dimension of x, and so do dimensions it does not reach. */
GLIA_API glia_value *glia_op_expand(glia_value *x, glia_reshape_attrs attrs);

typedef struct glia_tile_attrs {
    glia_shape repeats; /* copies along each dimension of x */
} glia_tile_attrs;
/* Copies of x side by side. */
GLIA_API glia_value *glia_op_tile(glia_value *x, glia_tile_attrs attrs);
#endif /* GLIA_OPS_HEADER */

/* --- expand ---------------------------------------------------------------------------------------------- */

static glia_status expand_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    (void)n_in;
    out[0].dtype = in[0].dtype;
    return glia__check_broadcast(&in[0].shape, &((const glia_reshape_attrs *)attrs)->shape, &out[0].shape,
                                 err);
}

static glia_status expand_ref(const glia_call *c) {
    glia__broadcast_copy(c);
    return GLIA_OK;
}

static void expand_grad(glia_gradient *g) {
    g->dx[0] = glia__sum_to(g->dy[0], g->x[0]);
}

/* Where the shape leaves dimension 0 as it is. */
static uint32_t expand_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)n_in;
    const glia_shape *x = &in[0].shape, *shape = &((const glia_reshape_attrs *)attrs)->shape;
    return x->rank > 0 && (shape->rank < x->rank || (shape->rank == x->rank && shape->dim[0] == 1)) ? 1 : 0;
}

static void expand_to_onnx(glia_to_onnx *w) {
    const glia_shape *shape = &((const glia_reshape_attrs *)w->node->attrs)->shape;
    GLIA_TO_ONNX(w, w->y[0], "Expand", w->x[0], glia__to_onnx_list(w, shape->dim, shape->rank));
}

GLIA_OP(expand) = {
    .name = "expand",
    .version = 1,
    .doc = "y = x with dimensions of 1 repeated, so that it has the shape",
    .source = "ONNX Expand; NumPy's broadcasting",
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = GLIA_FIELDS({.name = "shape",
                          .kind = GLIA_FIELD_DIMS,
                          .offset = offsetof(glia_reshape_attrs, shape),
                          .initial = "",
                          .min = 0,
                          .max = 1e18,
                          .doc = "what x is broadcast with: 1 keeps a dimension"}),
    .attrs_size = sizeof(glia_reshape_attrs),
    .infer = expand_infer,
    .grad = expand_grad,
    .ref = expand_ref,
    .rows = expand_rows,
    .flops = glia__no_flops,
    .onnx = "Expand",
    .onnx_since = 8,
    .onnx_write = expand_to_onnx,
    .emit_c = glia__emit_expand,
    .cases = GLIA_CASES({.inputs = "3x1", .attrs = "shape=3,4"}, {.inputs = "3x1", .attrs = "shape=2,1,6"},
                        {.inputs = "3x4", .attrs = "shape=1"}, {.inputs = "scalar", .attrs = "shape=2,2"},
                        {.inputs = "1x3", .attrs = "shape=4,1"}, {.inputs = "5x1", .attrs = "shape=1,4"},
                        {.inputs = "2x1:i64<9", .attrs = "shape=2,3"},
                        {.inputs = "1:bool", .attrs = "shape=5"}, {.inputs = "3x1", .attrs = "shape=3,0"},
                        {.inputs = "3x2", .attrs = "shape=4,2,2", .expect_error = "do not broadcast"},
                        {.inputs = "3x2", .attrs = "shape=-1,2", .expect_error = "integers of at least 0"}),
};

glia_value *glia_op_expand(glia_value *x, glia_reshape_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "expand", &x, 1, &attrs);
}

/* --- tile ------------------------------------------------------------------------------------------------ */

static glia_status tile_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                              glia_error *err) {
    (void)n_in;
    const glia_shape *repeats = &((const glia_tile_attrs *)attrs)->repeats;
    char text[128];
    out[0] = in[0];
    if (repeats->rank != in[0].shape.rank)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "tile: repeats name %d dimensions of %s",
                              repeats->rank, glia_shape_text(&in[0].shape, text, sizeof text));
    for (int i = 0; i < repeats->rank; i++) {
        int64_t *dim = &out[0].shape.dim[i];
        if (*dim < 0 && repeats->dim[i] != 1)
            return glia_error_set(err, GLIA_BAD_SHAPE, "tile: dimension %d is symbolic; repeat another one",
                                  i);
        if (*dim > 0 && repeats->dim[i] > INT64_MAX / *dim)
            return glia_error_set(err, GLIA_BAD_SHAPE, "tile: the result has too many elements");
        if (*dim >= 0) *dim *= repeats->dim[i];
    }
    return GLIA_OK;
}

/* Walks over the rows (last dimension) of the large array, in order; `small_row` is the element of the small array where
 * the row it repeats begins. */
#define FOR_TILED_ROWS(large, small, ...)                                                             \
    do {                                                                                              \
        const int last_ = (large)->rank - 1;                                                          \
        const int64_t length_ = last_ < 0 ? 1 : (large)->dim[last_];                                  \
        const int64_t rows_ = length_ ? glia_shape_elems(large) / length_ : 0;                        \
        for (int64_t row = 0; row < rows_; row++) {                                                   \
            int64_t small_row = 0, step_ = last_ < 0 ? 1 : (small)->dim[last_], rest_ = row;          \
            for (int d_ = last_ - 1; d_ >= 0; rest_ /= (large)->dim[d_], step_ *= (small)->dim[d_--]) \
                small_row += rest_ % (large)->dim[d_] % (small)->dim[d_] * step_;                     \
            __VA_ARGS__                                                                               \
        }                                                                                             \
    } while (0)

static glia_status tile_ref(const glia_call *c) {
    const glia_shape *y = &c->out[0].shape, *x = &c->in[0].shape;
    const size_t size = glia_dtype_bytes(c->out[0].dtype);
    char *to = c->out[0].data;
    if (x->rank == 0) {
        memcpy(to, c->in[0].data, size);
        return GLIA_OK;
    }
    const int64_t dim = x->dim[x->rank - 1], copies = dim ? y->dim[x->rank - 1] / dim : 0;
    const size_t bytes = (size_t)dim * size;
    FOR_TILED_ROWS(y, x, {
        (void)row;
        for (int64_t i = 0; i < copies; i++, to += bytes)
            memcpy(to, (const char *)c->in[0].data + (size_t)small_row * size, bytes);
    });
    return GLIA_OK;
}

static void tile_grad(glia_gradient *g) {
    g->dx[0] = glia_graph_apply(g->graph, "tile_backward", (glia_value *[]){g->x[0], g->dy[0]}, 2, g->attrs);
}

static uint32_t tile_rows(const glia_type *in, int n_in, const void *attrs) {
    const glia_shape *repeats = &((const glia_tile_attrs *)attrs)->repeats;
    return in[0].shape.rank > 1 && repeats->dim[0] == 1 ? (1u << n_in) - 1 : 0;
}

#define TILE_FIELDS                                            \
    GLIA_FIELDS({.name = "repeats",                            \
                 .kind = GLIA_FIELD_DIMS,                      \
                 .offset = offsetof(glia_tile_attrs, repeats), \
                 .initial = "",                                \
                 .min = 0,                                     \
                 .max = 1e18,                                  \
                 .doc = "copies along each dimension"})

static void tile_to_onnx(glia_to_onnx *w) {
    const glia_shape *repeats = &((const glia_tile_attrs *)w->node->attrs)->repeats;
    GLIA_TO_ONNX(w, w->y[0], "Tile", w->x[0], glia__to_onnx_list(w, repeats->dim, repeats->rank));
}

GLIA_OP(tile) = {
    .name = "tile",
    .version = 1,
    .doc = "y = copies of x side by side along each dimension",
    .source = "ONNX Tile; NumPy's tile",
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = TILE_FIELDS,
    .attrs_size = sizeof(glia_tile_attrs),
    .infer = tile_infer,
    .grad = tile_grad,
    .ref = tile_ref,
    .rows = tile_rows,
    .flops = glia__no_flops,
    .onnx = "Tile",
    .onnx_since = 6,
    .onnx_write = tile_to_onnx,
    .emit_c = glia__emit_tile,
    .cases = GLIA_CASES({.inputs = "2x3", .attrs = "repeats=2,3"},
                        {.inputs = "2x3x2", .attrs = "repeats=1,4,1"}, {.inputs = "4", .attrs = "repeats=2"},
                        {.inputs = "scalar"}, {.inputs = "2x2:i64<9", .attrs = "repeats=3,1"},
                        {.inputs = "2x3:bool", .attrs = "repeats=2,2"},
                        {.inputs = "2x3", .attrs = "repeats=0,2"}, {.inputs = "0x3", .attrs = "repeats=2,2"},
                        {.inputs = "2x3", .attrs = "repeats=2", .expect_error = "repeats name 1 dimensions"}),
};

glia_value *glia_op_tile(glia_value *x, glia_tile_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "tile", &x, 1, &attrs);
}

static glia_status tile_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                       glia_error *err) {
    glia_type y;
    GLIA_TRY(glia__check_float(&in[0], err));
    GLIA_TRY(tile_infer(in, n_in, attrs, &y, err));
    GLIA_TRY(glia__check_gradient(&y, &in[1], "tile", err));
    out[0] = in[0];
    return GLIA_OK;
}

static glia_status tile_backward_ref(const glia_call *c) {
    const glia_shape *x = &c->out[0].shape, *y = &c->in[1].shape;
    const int64_t dim = x->rank ? x->dim[x->rank - 1] : 1, length = x->rank ? y->dim[x->rank - 1] : 1;
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *dy = c->in[1].data;
        T *dx = c->out[0].data;
        memset(dx, 0, (size_t)glia_shape_elems(x) * sizeof(T));
        FOR_TILED_ROWS(y, x, {
            for (int64_t i = 0; i < length; i += dim)
                for (int64_t k = 0; k < dim; k++) dx[small_row + k] += dy[row * length + i + k];
        });
    });
    return GLIA_OK;
}

static void tile_backward_grad(glia_gradient *g) {
    if (g->needed[1]) g->dx[1] = glia_graph_apply(g->graph, "tile", &g->dy[0], 1, g->attrs);
}

GLIA_OP(tile_backward) = {
    .name = "tile_backward",
    .version = 1,
    .doc = "d(tile)/dx of x, of which only the shape matters, and dy: the sum over the copies",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 1,
    .attrs = TILE_FIELDS,
    .attrs_size = sizeof(glia_tile_attrs),
    .infer = tile_backward_infer,
    .grad = tile_backward_grad,
    .ref = tile_backward_ref,
    .rows = tile_rows,
    .cases = GLIA_CASES({.inputs = "2x3 4x9", .attrs = "repeats=2,3"},
                        {.inputs = "2x3x2 2x12x2", .attrs = "repeats=1,4,1"}, {.inputs = "scalar scalar"},
                        {.inputs = "2x3 2x3", .attrs = "repeats=2,1", .expect_error = "cannot be f32 2×3"}),
};
