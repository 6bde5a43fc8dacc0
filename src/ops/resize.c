/* resize.c: other numbers of elements along one dimension: interpolation between neighbours, or means of them. Images are
 * resized by one such step for the height and one for the width: every mode works direction by direction. */

#include <math.h>

#include "glia/ops.h"
#include "graph/to_onnx.h"
#include "ops/emit.h"
#include "ops/lines.h"
#include "ops/resize.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_resize_attrs {
    int64_t axis, size; /* the dimension, and how many elements it shall have */
    double scale;       /* what coordinates are multiplied by; 0: new size / old size */
    int mode; /* 0 nearest, 1 linear, 2 cubic, 3 average: the mean of the share of each new element */
    /* Where element i of the result lies in x: 0 half_pixel, 1 asymmetric, 2 align_corners, 3 pytorch_half_pixel,
     * 4 half_pixel_symmetric, 5 tf_half_pixel_for_nn, 6 tf_crop_and_resize: between `from` and `to`. */
    int coordinates;
    int rounding;              /* nearest: 0 round_prefer_floor, 1 round_prefer_ceil, 2 floor, 3 ceil */
    double cubic_a;            /* the cubic's parameter; 0: −0.75 */
    glia_bool exclude_outside; /* what would lie outside of x gets no weight; default: the border goes on */
    glia_bool antialias;       /* linear and cubic see all elements that a smaller result skips */
    double from, to;           /* of tf_crop_and_resize: 0 is the first element, 1 the last */
    double outside;            /* of tf_crop_and_resize: the value outside of x */
} glia_resize_attrs;
GLIA_API glia_value *glia_op_resize(glia_value *x, glia_resize_attrs attrs);
/* Images [N, C, H, W] with sides of `height` and `width`; attrs.axis and attrs.size are not used. */
GLIA_API glia_value *glia_op_resize2d(glia_value *x, int64_t height, int64_t width, glia_resize_attrs attrs);
/* [N, C, H, W] → [N, C, height, width]: means of parts as equal as can be. */
GLIA_API glia_value *glia_op_adaptive_average_pool2d(glia_value *x, int64_t height, int64_t width);
#endif /* GLIA_OPS_HEADER */

enum { HALF_PIXEL, ASYMMETRIC, ALIGN_CORNERS, PYTORCH, SYMMETRIC, TF_NEAREST, TF_CROP };
enum { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };

/* How far linear and cubic reach to the left when they see all that a smaller result skips. */
static int64_t reach_of(const glia_resizing *r) {
    const int64_t reach = r->a->mode == GLIA_RESIZE_CUBIC ? 2 : 1;
    if (r->a->antialias != GLIA_YES) return reach;
    return -(int64_t)floor(-(double)reach / fmin(r->scale, 1));
}

glia_status glia__resize_fit(glia_resizing *r, const glia_resize_attrs *a, const glia_shape *x,
                             glia_error *err) {
    char text[128];
    enum { MOST_TAPS = 1 << 20 };
    *r = (glia_resizing){.a = a, .out = a->size};
    glia_shape_text(x, text, sizeof text);
    GLIA_TRY(glia__find_axis(a->axis, x, "resize", &r->axis, err));
    const glia_lines l = glia__lines_of(x, r->axis);
    r->in = l.n;
    r->outer = l.outer;
    r->inner = l.inner;
    if (r->in < 0)
        return glia_error_set(err, GLIA_BAD_SHAPE, "resize: dimension %d is symbolic; resize another one",
                              r->axis);
    if (r->in == 0 && r->out > 0)
        return glia_error_set(err, GLIA_BAD_SHAPE, "resize: dimension %d of %s is empty", r->axis, text);
    r->scale = a->scale > 0 ? a->scale : (double)r->out / (double)GLIA_MAX(r->in, 1);
    if ((double)r->in * (double)r->out > 1e15)
        return glia_error_set(err, GLIA_BAD_SHAPE, "resize: dimension %d of %s is too large", r->axis, text);
    const double most = a->mode == GLIA_RESIZE_AVERAGE   ? (double)r->in / (double)GLIA_MAX(r->out, 1) + 2
                        : a->mode == GLIA_RESIZE_NEAREST ? 1
                        : r->out == 0                    ? 1
                                                         : 2.0 * (double)reach_of(r);
    if (!(most <= MOST_TAPS))
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "resize: more than %d elements of dimension %d would make one; resize in steps",
                              MOST_TAPS, r->axis);
    r->most = (int)most;
    return GLIA_OK;
}

/* Where the middle of new element i lies in x. */
static double place_of(const glia_resizing *r, int64_t i) {
    const double in = (double)r->in, out = r->scale * in, x = (double)i;
    switch (r->a->coordinates) {
    case ASYMMETRIC:
        return x / r->scale;
    case ALIGN_CORNERS:
        return out == 1 ? 0 : x * (in - 1) / (out - 1);
    case PYTORCH:
        return out == 1 ? -0.5 : (x + 0.5) / r->scale - 0.5;
    case SYMMETRIC:
        return in / 2 * (1 - (double)r->out / out) + (x + 0.5) / r->scale - 0.5;
    case TF_NEAREST:
        return (x + 0.5) / r->scale;
    case TF_CROP: {
        const double width = (r->a->to - r->a->from) * (in - 1);
        return r->a->from * (in - 1) + (out == 1 ? width / 2 : x * width / (out - 1));
    }
    default:
        return (x + 0.5) / r->scale - 0.5;
    }
}

/* Weight of what lies `x` away: a triangle, or Keys' cubic. */
static double weight_at(const glia_resizing *r, double x) {
    const double a = r->a->cubic_a;
    x = fabs(x);
    if (r->a->mode == GLIA_RESIZE_LINEAR) return x < 1 ? 1 - x : 0;
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static double rounded(int rounding, double x) {
    switch (rounding) {
    case PREFER_CEIL:
        return floor(x + 0.5);
    case FLOOR:
        return floor(x);
    case CEIL:
        return ceil(x);
    default:
        return ceil(x - 0.5);
    }
}

/* The place as an index of x. Compared as numbers: a hostile scale may put it anywhere. */
static int64_t clamped(const glia_resizing *r, double place) {
    return place > 0 ? (int64_t)fmin(place, (double)(r->in - 1)) : 0;
}

void glia__resize_taps(const glia_resizing *r, int64_t i, glia_taps *t) {
    t->count = 0;
    if (r->a->mode == GLIA_RESIZE_AVERAGE) {
        const int64_t begin = i * r->in / r->out, end = ((i + 1) * r->in + r->out - 1) / r->out;
        for (int64_t k = begin; k < end; k++) {
            t->index[t->count] = k;
            t->weight[t->count++] = 1 / (double)(end - begin);
        }
        return;
    }
    const double place = place_of(r, i);
    if (r->a->coordinates == TF_CROP && !(place >= 0 && place <= (double)(r->in - 1))) return;
    if (r->a->mode == GLIA_RESIZE_NEAREST) {
        t->index[0] = clamped(r, rounded(r->a->rounding, place));
        t->weight[t->count++] = 1;
        return;
    }
    const double narrow = r->a->antialias == GLIA_YES ? fmin(r->scale, 1) : 1, left = ceil(place) - 1;
    const int64_t reach = reach_of(r);
    double sum = 0;
    for (int64_t k = 1 - reach; k <= reach; k++) {
        const double at = left + (double)k;
        const bool out = r->a->exclude_outside == GLIA_YES && !(at >= 0 && at <= (double)(r->in - 1));
        t->index[t->count] = clamped(r, at);
        t->weight[t->count] = out ? 0 : weight_at(r, narrow * (at - place));
        sum += t->weight[t->count++];
    }
    for (int k = 0; k < t->count && sum != 0; k++) t->weight[k] /= sum;
}

static glia_taps in_workspace(const glia_resizing *r, void *workspace) {
    return (glia_taps){.weight = workspace, .index = (int64_t *)workspace + r->most};
}

static glia_status resize_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    (void)n_in;
    glia_resizing r;
    const glia_resize_attrs *a = attrs;
    if (a->mode != GLIA_RESIZE_NEAREST) GLIA_TRY(glia__check_float(&in[0], err));
    GLIA_TRY(glia__resize_fit(&r, a, &in[0].shape, err));
    out[0] = in[0];
    out[0].shape.dim[r.axis] = r.out;
    return GLIA_OK;
}

/* Nearest moves elements of any dtype. */
static void copy_nearest(const glia_call *c, const glia_resizing *r, glia_taps *t) {
    const size_t bytes = (size_t)r->inner * glia_dtype_bytes(c->out[0].dtype);
    const glia_resize_attrs *a = r->a;
    for (int64_t i = 0; i < r->out && bytes; i++) {
        glia__resize_taps(r, i, t);
        for (int64_t o = 0; o < r->outer; o++) {
            char *y = (char *)c->out[0].data + (size_t)(o * r->out + i) * bytes;
            if (t->count) {
                memcpy(y, (const char *)c->in[0].data + (size_t)(o * r->in + t->index[0]) * bytes, bytes);
                continue;
            }
            glia_tensor row = glia_tensor_wrap(y, c->out[0].dtype, GLIA_SHAPE(r->inner));
            for (int64_t k = 0; k < r->inner; k++) glia_tensor_set(&row, k, a->outside);
        }
    }
}

static glia_status resize_ref(const glia_call *c) {
    glia_resizing r;
    GLIA_TRY(glia__resize_fit(&r, c->attrs, &c->in[0].shape, c->err));
    glia_taps t = in_workspace(&r, c->workspace);
    if (r.a->mode == GLIA_RESIZE_NEAREST) {
        copy_nearest(c, &r, &t);
        return GLIA_OK;
    }
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        for (int64_t i = 0; i < r.out; i++) {
            glia__resize_taps(&r, i, &t);
            for (int64_t o = 0; o < r.outer; o++) {
                const T *x = (const T *)c->in[0].data + o * r.in * r.inner;
                T *y = (T *)c->out[0].data + (o * r.out + i) * r.inner;
                for (int64_t j = 0; j < r.inner; j++) y[j] = t.count ? 0 : (T)r.a->outside;
                for (int k = 0; k < t.count; k++) {
                    const T *from = x + t.index[k] * r.inner;
                    const T weight = (T)t.weight[k];
                    for (int64_t j = 0; j < r.inner; j++) y[j] += weight * from[j];
                }
            }
        }
    });
    return GLIA_OK;
}

static size_t resize_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out;
    glia_resizing r;
    return glia__resize_fit(&r, attrs, &in[0].shape, NULL) == GLIA_OK ? (size_t)r.most * 2 * sizeof(double)
                                                                      : 0;
}

static void resize_grad(glia_gradient *g) {
    g->dx[0] =
        glia_graph_apply(g->graph, "resize_backward", (glia_value *[]){g->x[0], g->dy[0]}, 2, g->attrs);
}

static uint32_t resize_rows(const glia_type *in, int n_in, const void *attrs) {
    return glia__rows_unless_first(((const glia_resize_attrs *)attrs)->axis, in[0].shape.rank,
                                   (1u << n_in) - 1);
}

static double resize_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    glia_resizing r;
    if (glia__resize_fit(&r, attrs, &in[0].shape, NULL) != GLIA_OK) return 0;
    return 2.0 * r.most * (double)glia_shape_elems(&out[0].shape);
}

#define CHOICE(field, default_, words, text)                                                     \
    {                                                                                            \
        .name = #field, .kind = GLIA_FIELD_CHOICE, .offset = offsetof(glia_resize_attrs, field), \
        .initial = default_, .choices = words, .doc = text                                       \
    }
#define NUMBER(field, default_, text)                                                           \
    {                                                                                           \
        .name = #field, .kind = GLIA_FIELD_FLOAT, .offset = offsetof(glia_resize_attrs, field), \
        .initial = default_, .doc = text                                                        \
    }
#define FLAG(field, text)                                                                      \
    {                                                                                          \
        .name = #field, .kind = GLIA_FIELD_BOOL, .offset = offsetof(glia_resize_attrs, field), \
        .initial = "no", .doc = text                                                           \
    }
static const glia_field resize_fields[] = {
    {.name = "axis",
     .kind = GLIA_FIELD_INT,
     .offset = offsetof(glia_resize_attrs, axis),
     .initial = "0",
     .doc = "dimension that gets another size"},
    {.name = "size",
     .kind = GLIA_FIELD_INT,
     .offset = offsetof(glia_resize_attrs, size),
     .min = 0,
     .max = 1 << 30,
     .doc = "its new size"},
    NUMBER(scale, "0", "what coordinates are multiplied by; 0: new size / old size"),
    CHOICE(mode, "nearest", "nearest|linear|cubic|average", "how new elements are made of old ones"),
    CHOICE(coordinates, "half_pixel",
           "half_pixel|asymmetric|align_corners|pytorch_half_pixel|half_pixel_symmetric|tf_half_pixel_for_nn|"
           "tf_crop_and_resize",
           "where new elements lie among the old ones"),
    CHOICE(rounding, "round_prefer_floor", "round_prefer_floor|round_prefer_ceil|floor|ceil",
           "which one is the nearest"),
    {.name = "cubic_a",
     .kind = GLIA_FIELD_FLOAT,
     .offset = offsetof(glia_resize_attrs, cubic_a),
     .initial = "-0.75",
     .min = -8,
     .max = -1e-9,
     .doc = "parameter of the cubic"},
    FLAG(exclude_outside, "what would lie outside gets no weight"),
    FLAG(antialias, "linear and cubic see all elements that a smaller result skips"),
    NUMBER(from, "0", "of tf_crop_and_resize: where the result begins, 0 … 1"),
    NUMBER(to, "1", "and where it ends"),
    NUMBER(outside, "0", "of tf_crop_and_resize: the value outside"),
    {.name = NULL}};

/* Parts of equal length are windows of a pool, which ONNX has over what follows [N, C]; over a line as over an image of
 * height 1, as pools of lines are here. */
static void average_to_onnx(glia_to_onnx *w, const glia_resize_attrs *a) {
    const glia_shape *x = &w->node->inputs[0]->type.shape;
    const int64_t none[6] = {0};
    const bool line = x->rank == 3;
    int64_t window[3] = {1, 1, 1};
    int axis;
    if (!glia__axis_resolve(a->axis, x->rank, &axis)) return;
    const long long length = x->dim[axis], size = a->size;
    if (axis < 2 || x->rank > 5)
        glia__to_onnx_refuse(w, "ONNX has averages over the sides of images [N, C, …] only");
    else if (length < 1 || size < 1 || length % size)
        glia__to_onnx_refuse(
            w, "ONNX has averages of parts of equal length only, and %lld is no multiple of %lld", length,
            size);
    if (w->status != GLIA_OK) return;
    const int sides = line ? 2 : x->rank - 2;
    window[line ? 1 : axis - 2] = length / size;
    const char *front = line ? glia__to_onnx_list(w, &(int64_t){2}, 1) : "";
    const char *from = line ? GLIA_TO_ONNX(w, NULL, "Unsqueeze", w->x[0], front) : w->x[0];
    const char *y = GLIA_TO_ONNX(w, line ? NULL : w->y[0], "AveragePool", from);
    glia__to_onnx_int(w, "count_include_pad", 0);
    glia__to_onnx_ints(w, "kernel_shape", window, sides);
    glia__to_onnx_ints(w, "pads", none, 2 * sides);
    glia__to_onnx_ints(w, "strides", window, sides);
    if (line) GLIA_TO_ONNX(w, w->y[0], "Squeeze", y, front);
}

/* ONNX resizes by sizes or by scales, which then say the sizes too. */
static void resize_to_onnx(glia_to_onnx *w) {
    const glia_resize_attrs *a = w->node->attrs;
    if (a->mode == GLIA_RESIZE_AVERAGE) {
        average_to_onnx(w, a);
        return;
    }
    const float roi[] = {(float)a->from, (float)a->to}, scale = (float)a->scale;
    if (w->opset < 19) glia__to_onnx_refuse(w, "ONNX has it since opset 19 (--opset 19)");
    if (a->coordinates == TF_NEAREST)
        glia__to_onnx_refuse(w, "ONNX has no coordinates tf_half_pixel_for_nn any more");
    int axis;
    if (w->status != GLIA_OK || !glia__axis_resolve(a->axis, w->node->inputs[0]->type.shape.rank, &axis))
        return;
    const char *crop = a->coordinates == TF_CROP ? glia__to_onnx_array(w, GLIA_F32, GLIA_SHAPE(2), roi) : "";
    const char *scales = a->scale > 0 ? glia__to_onnx_array(w, GLIA_F32, GLIA_SHAPE(1), &scale) : "";
    const char *sizes = a->scale > 0 ? "" : glia__to_onnx_list(w, &a->size, 1);
    GLIA_TO_ONNX(w, w->y[0], "Resize", w->x[0], crop, scales, sizes);
    glia__to_onnx_ints(w, "axes", &(int64_t){axis}, 1);
    glia__to_onnx_int(w, "antialias", a->antialias == GLIA_YES);
    glia__to_onnx_choice(w, "coordinate_transformation_mode", "coordinates");
    glia__to_onnx_float(w, "cubic_coeff_a", a->cubic_a);
    glia__to_onnx_int(w, "exclude_outside", a->exclude_outside == GLIA_YES);
    glia__to_onnx_float(w, "extrapolation_value", a->outside);
    glia__to_onnx_choice(w, "mode", "mode");
    glia__to_onnx_choice(w, "nearest_mode", "rounding");
}

GLIA_OP(resize) = {
    .name = "resize",
    .version = 1,
    .doc = "y[…, i, …] = Σ w(i, k)·x[…, k, …] along an axis, with weights by distance",
    .source = "ONNX Resize; Keys, Cubic convolution interpolation for digital image processing (1981)",
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = resize_fields,
    .attrs_size = sizeof(glia_resize_attrs),
    .infer = resize_infer,
    .grad = resize_grad,
    .ref = resize_ref,
    .workspace = resize_workspace,
    .rows = resize_rows,
    .flops = resize_flops,
    .onnx = "Resize",
    .onnx_since = 19,
    .onnx_write = resize_to_onnx,
    .emit_c = glia__emit_resize,
    .cases = GLIA_CASES(
        {.inputs = "2x3x5", .attrs = "axis=2 size=8"},
        {.inputs = "4x3", .attrs = "size=2 coordinates=asymmetric"},
        {.inputs = "2x6", .attrs = "axis=1 size=9 rounding=ceil coordinates=asymmetric"},
        {.inputs = "5:i64<9", .attrs = "size=7 rounding=floor"}, {.inputs = "5:bool", .attrs = "size=3"},
        {.inputs = "2x5",
         .attrs = "axis=1 size=4 rounding=round_prefer_ceil coordinates=tf_half_pixel_for_nn"},
        {.inputs = "2x5x3", .attrs = "axis=1 size=9 mode=linear"},
        {.inputs = "2x9", .attrs = "axis=1 size=4 mode=linear antialias=yes"},
        {.inputs = "2x5", .attrs = "axis=1 size=8 mode=linear coordinates=align_corners"},
        {.inputs = "2x5", .attrs = "axis=1 size=1 mode=linear coordinates=pytorch_half_pixel"},
        {.inputs = "2x5", .attrs = "axis=1 size=7 scale=1.5 mode=linear coordinates=half_pixel_symmetric"},
        {.inputs = "2x5", .attrs = "axis=-1 size=9 mode=cubic"},
        {.inputs = "6x2", .attrs = "size=4 mode=cubic cubic_a=-0.5 exclude_outside=yes"},
        {.inputs = "9x2", .attrs = "size=4 mode=cubic antialias=yes"},
        {.inputs = "2x5",
         .attrs = "axis=1 size=6 mode=linear coordinates=tf_crop_and_resize from=0.4 to=1.2 outside=10"},
        {.inputs = "7x2", .attrs = "size=3 mode=average"}, {.inputs = "3x2", .attrs = "size=5 mode=average"},
        {.inputs = "2x3x8x5", .attrs = "axis=2 size=4 mode=average"},
        {.inputs = "2x3x6", .attrs = "axis=-1 size=1 mode=average"},
        {.inputs = "0x4", .attrs = "axis=1 size=2"}, {.inputs = "3x4", .attrs = "size=0 mode=linear"},
        {.inputs = "0x4", .attrs = "size=2", .expect_error = "dimension 0 of 0×4 is empty"},
        {.inputs = "3:i64<5", .attrs = "size=2 mode=linear", .expect_error = "expected f32 or f64"},
        {.inputs = "3x4", .attrs = "axis=2 size=2", .expect_error = "axis 2 is out of range"},
        {.inputs = "3x4",
         .attrs = "size=2 scale=1e-9 mode=linear antialias=yes",
         .expect_error = "would make one"}),
};

glia_value *glia_op_resize(glia_value *x, glia_resize_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "resize", &x, 1, &attrs);
}

glia_value *glia_op_resize2d(glia_value *x, int64_t height, int64_t width, glia_resize_attrs attrs) {
    const glia_shape shape = glia_value_shape(x);
    char text[128];
    if (x && shape.rank != 4)
        return glia_graph_fail(glia_value_graph(x), GLIA_BAD_SHAPE, NULL,
                               "resize: expected images [N, C, H, W], found %s",
                               glia_shape_text(&shape, text, sizeof text));
    attrs.axis = 2;
    attrs.size = height;
    x = glia_op_resize(x, attrs);
    attrs.axis = 3;
    attrs.size = width;
    return glia_op_resize(x, attrs);
}

glia_value *glia_op_adaptive_average_pool2d(glia_value *x, int64_t height, int64_t width) {
    return glia_op_resize2d(x, height, width, (glia_resize_attrs){.mode = GLIA_RESIZE_AVERAGE});
}

/* --- the gradient -------------------------------------------------------------------------------------------- */

static glia_status resize_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                         glia_error *err) {
    glia_type y;
    GLIA_TRY(glia__check_float(&in[0], err));
    GLIA_TRY(resize_infer(in, n_in, attrs, &y, err));
    GLIA_TRY(glia__check_gradient(&y, &in[1], "resize", err));
    out[0] = in[0];
    return GLIA_OK;
}

static glia_status resize_backward_ref(const glia_call *c) {
    glia_resizing r;
    GLIA_TRY(glia__resize_fit(&r, c->attrs, &c->out[0].shape, c->err));
    glia_taps t = in_workspace(&r, c->workspace);
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        memset(c->out[0].data, 0, (size_t)glia_shape_elems(&c->out[0].shape) * sizeof(T));
        for (int64_t i = 0; i < r.out; i++) {
            glia__resize_taps(&r, i, &t);
            for (int64_t o = 0; o < r.outer; o++) {
                const T *dy = (const T *)c->in[1].data + (o * r.out + i) * r.inner;
                T *dx = (T *)c->out[0].data + o * r.in * r.inner;
                for (int k = 0; k < t.count; k++) {
                    T *to = dx + t.index[k] * r.inner;
                    const T weight = (T)t.weight[k];
                    for (int64_t j = 0; j < r.inner; j++) to[j] += weight * dy[j];
                }
            }
        }
    });
    return GLIA_OK;
}

/* Linear: its gradient by dy is a resize, with nothing outside. */
static void resize_backward_grad(glia_gradient *g) {
    glia_resize_attrs attrs = *(const glia_resize_attrs *)g->attrs;
    attrs.outside = 0;
    if (g->needed[1]) g->dx[1] = glia_op_resize(g->dy[0], attrs);
}

GLIA_OP(resize_backward) = {
    .name = "resize_backward",
    .version = 1,
    .doc = "d(resize)/dx of x, of which only the shape matters, and dy",
    .min_inputs = 2,
    .max_inputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX,
    .shape_only = 1,
    .attrs = resize_fields,
    .attrs_size = sizeof(glia_resize_attrs),
    .infer = resize_backward_infer,
    .grad = resize_backward_grad,
    .ref = resize_backward_ref,
    .workspace = resize_workspace,
    .rows = resize_rows,
    .flops = resize_flops,
    .cases = GLIA_CASES({.inputs = "2x3x5 2x3x8", .attrs = "axis=2 size=8"},
                        {.inputs = "2x5x3 2x9x3", .attrs = "axis=1 size=9 mode=linear"},
                        {.inputs = "2x9 2x4", .attrs = "axis=1 size=4 mode=cubic antialias=yes"},
                        {.inputs = "7x2 3x2", .attrs = "size=3 mode=average"},
                        {.inputs = "2x3 2x3", .attrs = "size=4", .expect_error = "cannot be f32 2×3"}),
};
