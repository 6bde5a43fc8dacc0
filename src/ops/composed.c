/* composed.c: what is said best by other ops: split, stack, depth_to_space and space_to_depth. They add the nodes of those
 * ops, and so have their gradients and their kernels. */

#include "glia/ops.h"
#include "graph/op.h"

#ifdef GLIA_OPS_HEADER
/* Cuts x along `axis` into `count` pieces of sizes[i] elements, which must add up; fills `pieces` and returns the first,
 * or NULL. */
GLIA_API glia_value *glia_op_split(glia_value *x, int64_t axis, const int64_t *sizes, int count,
                                   glia_value **pieces);
/* Joins 1 … 16 arrays of one shape along a new dimension `axis` of the result (negative: from its end). */
GLIA_API glia_value *glia_op_stack(glia_value *const *values, int count, int64_t axis);

typedef struct glia_depth_to_space_attrs {
    int64_t block; /* side of the square that the channels of a pixel become, required */
    glia_bool
        channels_outer; /* channel c·block² + place (ONNX's CRD, PyTorch's pixel_shuffle), not place·C + c (DCR) */
} glia_depth_to_space_attrs;
/* [N, C·block², H, W] → [N, C, H·block, W·block]. */
GLIA_API glia_value *glia_op_depth_to_space(glia_value *x, glia_depth_to_space_attrs attrs);
/* [N, C, H·block, W·block] → [N, C·block², H, W]. */
GLIA_API glia_value *glia_op_space_to_depth(glia_value *x, glia_depth_to_space_attrs attrs);
#endif /* GLIA_OPS_HEADER */

glia_value *glia_op_split(glia_value *x, int64_t axis, const int64_t *sizes, int count, glia_value **pieces) {
    const glia_shape shape = glia_value_shape(x);
    int64_t start = 0, sum = 0;
    int at;
    char text[128];
    for (int i = 0; i < count; i++) pieces[i] = NULL;
    if (!x) return NULL;
    if (!glia__axis_resolve(axis, shape.rank, &at))
        return glia_graph_fail(glia_value_graph(x), GLIA_INVALID_ARGUMENT, NULL,
                               "split: axis %lld is out of range for %s", (long long)axis,
                               glia_shape_text(&shape, text, sizeof text));
    bool fits = count > 0;
    for (int i = 0; i < count && fits; i++) {
        fits = sizes[i] >= 0 && sizes[i] <= shape.dim[at] - sum;
        if (fits) sum += sizes[i];
    }
    if (!fits || sum != shape.dim[at])
        return glia_graph_fail(glia_value_graph(x), GLIA_BAD_SHAPE, NULL,
                               "split: the sizes of the %d pieces do not add up to dimension %d of %s", count,
                               at, glia_shape_text(&shape, text, sizeof text));
    for (int i = 0; i < count; start += sizes[i++])
        pieces[i] = glia_op_slice(
            x, (glia_slice_attrs){.axis = at, .start = start, .end = start + sizes[i], .step = 1});
    return pieces[0];
}

glia_value *glia_op_stack(glia_value *const *values, int count, int64_t axis) {
    glia_value *joined[GLIA_MAX_INPUTS];
    const glia_squeeze_attrs at = {.axes = {.rank = 1, .dim = {axis}}};
    glia_graph *graph = NULL;
    for (int i = 0; i < count && !graph; i++) graph = glia_value_graph(values[i]);
    if (count < 1 || count > GLIA_MAX_INPUTS)
        return glia_graph_fail(graph, GLIA_INVALID_ARGUMENT, NULL, "stack takes 1 to %d arrays, got %d",
                               GLIA_MAX_INPUTS, count);
    for (int i = 0; i < count; i++) joined[i] = glia_op_unsqueeze(values[i], at);
    return glia_op_concat(joined, count, (glia_concat_attrs){axis});
}

/* Checks x and finds the sides of the small image; false with an error in the graph. */
static bool fit_blocks(glia_value *x, const char *op, int64_t block, bool to_space, int64_t *channels,
                       int64_t *height, int64_t *width) {
    const glia_shape s = glia_value_shape(x);
    char text[128];
    if (!x) return false;
    bool fits =
        s.rank == 4 && block >= 1 && block <= 1 << 15 && s.dim[1] >= 0 && s.dim[2] >= 0 && s.dim[3] >= 0;
    if (fits && to_space) fits = s.dim[1] % (block * block) == 0;
    if (fits && !to_space) fits = s.dim[2] % block == 0 && s.dim[3] % block == 0;
    if (!fits) {
        (void)glia_graph_fail(glia_value_graph(x), GLIA_BAD_SHAPE, NULL,
                              "%s: expected images [N, C, H, W] whose %s can be divided by %s%lld, found %s",
                              op, to_space ? "channels" : "height and width",
                              to_space ? "the square of " : "", (long long)block,
                              glia_shape_text(&s, text, sizeof text));
        return false;
    }
    *channels = to_space ? s.dim[1] / (block * block) : s.dim[1];
    *height = to_space ? s.dim[2] : s.dim[2] / block;
    *width = to_space ? s.dim[3] : s.dim[3] / block;
    return true;
}

static glia_value *rearrange(glia_value *x, glia_shape split, glia_shape perm, glia_shape merged) {
    x = glia_op_reshape(x, (glia_reshape_attrs){split});
    x = glia_op_transpose(x, (glia_transpose_attrs){perm});
    return glia_op_reshape(x, (glia_reshape_attrs){merged});
}

glia_value *glia_op_depth_to_space(glia_value *x, glia_depth_to_space_attrs attrs) {
    int64_t b = attrs.block, c, h, w;
    if (!fit_blocks(x, "depth_to_space", b, true, &c, &h, &w)) return NULL;
    const bool outer = attrs.channels_outer == GLIA_YES;
    return rearrange(x, outer ? GLIA_SHAPE(0, c, b, b, h, w) : GLIA_SHAPE(0, b, b, c, h, w),
                     outer ? GLIA_SHAPE(0, 1, 4, 2, 5, 3) : GLIA_SHAPE(0, 3, 4, 1, 5, 2),
                     GLIA_SHAPE(0, c, h * b, w * b));
}

glia_value *glia_op_space_to_depth(glia_value *x, glia_depth_to_space_attrs attrs) {
    int64_t b = attrs.block, c, h, w;
    if (!fit_blocks(x, "space_to_depth", b, false, &c, &h, &w)) return NULL;
    const bool outer = attrs.channels_outer == GLIA_YES;
    return rearrange(x, GLIA_SHAPE(0, c, h, b, w, b),
                     outer ? GLIA_SHAPE(0, 1, 3, 5, 2, 4) : GLIA_SHAPE(0, 3, 5, 1, 2, 4),
                     GLIA_SHAPE(0, c * b * b, h, w));
}
