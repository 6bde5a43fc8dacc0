/* read_resize.c: operators that read images at other places: Resize, Upsample, GridSample, AffineGrid. */

#include "onnx/read.h"

/* What Resize wants along each of its axes. */
typedef struct resizing {
    int count;
    int axis[GLIA_MAX_RANK];
    int64_t size[GLIA_MAX_RANK];
    bool by_size; /* the scales follow from the sizes */
    double scale[GLIA_MAX_RANK], from[GLIA_MAX_RANK], to[GLIA_MAX_RANK];
} resizing;

static bool find_axes(glia_onnx_read *r, const glia_shape *x, resizing *z) {
    glia_shape axes;
    z->count = x->rank;
    for (int i = 0; i < x->rank; i++) z->axis[i] = i;
    if (r->opset < 18 || !glia__onnx_dims(r, "axes", &axes)) return true;
    z->count = axes.rank;
    for (int i = 0; i < axes.rank; i++)
        if (!glia__axis_resolve(axes.dim[i], x->rank, &z->axis[i]))
            (void)glia__onnx_refuse(r, "axis %lld is out of range", (long long)axes.dim[i]);
    return !r->refused;
}

/* Sizes from scales: rounded down. */
static bool use_scales(glia_onnx_read *r, const glia_shape *x, const glia_tensor *scales, resizing *z) {
    enum { MOST = 1 << 30 };
    if (glia_shape_elems(&scales->shape) != z->count) {
        (void)glia__onnx_refuse(r, "it has %lld scales for %d dimensions",
                                (long long)glia_shape_elems(&scales->shape), z->count);
        return false;
    }
    for (int i = 0; i < z->count; i++) {
        const int64_t in = x->dim[z->axis[i]];
        z->scale[i] = glia_tensor_get(scales, i);
        const double size = in < 0 && z->scale[i] == 1 ? -1 : floor((double)in * z->scale[i]);
        if (!(z->scale[i] > 0 && size <= MOST) || (in < 0 && z->scale[i] != 1))
            (void)glia__onnx_refuse(r, "a scale of %g cannot be used along dimension %d", z->scale[i],
                                    z->axis[i]);
        else
            z->size[i] = (int64_t)size;
    }
    return !r->refused;
}

/* Scales from sizes; one for all where the aspect is to be kept. */
static bool use_sizes(glia_onnx_read *r, const glia_shape *x, const glia_shape *sizes, resizing *z) {
    enum { STRETCH, NOT_LARGER, NOT_SMALLER };
    const int policy =
        glia__onnx_choice(r, "keep_aspect_ratio_policy", "stretch|not_larger|not_smaller", STRETCH);
    double common = 0;
    if (sizes->rank != z->count) {
        (void)glia__onnx_refuse(r, "it has %d sizes for %d dimensions", sizes->rank, z->count);
        return false;
    }
    for (int i = 0; i < z->count; i++) {
        const int64_t in = x->dim[z->axis[i]];
        z->size[i] = sizes->dim[i];
        if (in < 1 || sizes->dim[i] < 0) {
            (void)glia__onnx_refuse(r, "dimension %d is open or empty, or its size negative", z->axis[i]);
            return false;
        }
        z->scale[i] = (double)sizes->dim[i] / (double)in;
        common = i == 0                 ? z->scale[i]
                 : policy == NOT_LARGER ? GLIA_MIN(common, z->scale[i])
                                        : GLIA_MAX(common, z->scale[i]);
    }
    z->by_size = policy == STRETCH;
    for (int i = 0; i < z->count && policy != STRETCH; i++) {
        z->scale[i] = common;
        z->size[i] = (int64_t)floor(common * (double)x->dim[z->axis[i]] + 0.5);
    }
    return !r->refused;
}

static glia_value *resize_all(glia_value *x, const resizing *z, glia_resize_attrs a) {
    enum { TF_CROP = 6 };
    for (int i = 0; i < z->count && x; i++) {
        const glia_shape shape = glia_value_shape(x);
        const bool crops = a.coordinates == TF_CROP && (z->from[i] != 0 || z->to[i] != 1);
        a.axis = z->axis[i];
        a.size = z->size[i];
        a.scale = z->by_size ? 0 : z->scale[i];
        a.from = z->from[i];
        a.to = z->to[i];
        if (z->scale[i] != 1 || crops || shape.dim[a.axis] != a.size) x = glia_op_resize(x, a);
    }
    return x;
}

static void read_attributes(glia_onnx_read *r, glia_resize_attrs *a) {
    a->mode = glia__onnx_choice(r, "mode", "nearest|linear|cubic", 0);
    if (r->opset < 11) { /* as it was then: from the first pixel on, rounded down */
        a->coordinates = 1;
        a->rounding = 2;
        return;
    }
    a->coordinates =
        glia__onnx_choice(r, "coordinate_transformation_mode",
                          "half_pixel|asymmetric|align_corners|pytorch_half_pixel|half_pixel_symmetric|"
                          "tf_half_pixel_for_nn|tf_crop_and_resize",
                          0);
    a->rounding = glia__onnx_choice(r, "nearest_mode", "round_prefer_floor|round_prefer_ceil|floor|ceil", 0);
    a->cubic_a = glia__onnx_float(r, "cubic_coeff_a", -0.75);
    a->exclude_outside = glia__onnx_int(r, "exclude_outside", 0) ? GLIA_YES : GLIA_NO;
    a->antialias = glia__onnx_int(r, "antialias", 0) ? GLIA_YES : GLIA_NO;
    a->outside = glia__onnx_float(r, "extrapolation_value", 0);
}

/* Where tf_crop_and_resize begins and ends: the beginnings of all axes, then the ends. */
static bool read_region(glia_onnx_read *r, resizing *z) {
    glia_tensor region;
    if (!glia__onnx_tensor_in(r, 1, &region)) return false;
    if (glia_shape_elems(&region.shape) != 2 * z->count) {
        (void)glia__onnx_refuse(r, "its roi does not fit its axes");
        return false;
    }
    for (int i = 0; i < z->count; i++) {
        z->from[i] = glia_tensor_get(&region, i);
        z->to[i] = glia_tensor_get(&region, z->count + i);
    }
    return true;
}

static void read_resize(glia_onnx_read *r) {
    enum { TF_CROP = 6 };
    glia_value *x = glia__onnx_in(r, 0);
    glia_resize_attrs a = {0};
    glia_tensor scales;
    glia_shape sizes;
    resizing z = {0};
    if (!x) return;
    const glia_shape shape = glia_value_shape(x);
    const int scales_at = r->opset < 11 ? 1 : 2;
    read_attributes(r, &a);
    if (r->refused || !find_axes(r, &shape, &z)) return;
    if (a.coordinates == TF_CROP && !read_region(r, &z)) return;
    if (r->opset >= 11 && glia__onnx_has(r, 3)) {
        if (!glia__onnx_dims_in(r, 3, &sizes) || !use_sizes(r, &shape, &sizes, &z)) return;
    } else if (!glia__onnx_tensor_in(r, scales_at, &scales) || !use_scales(r, &shape, &scales, &z)) {
        return;
    }
    r->out[0] = resize_all(x, &z, a);
}
GLIA_ONNX(resize) = {.op_type = "Resize", .min_inputs = 1, .max_inputs = 4, .read = read_resize};

/* Resize's predecessor: an attribute in opset 7, an input in 9. */
static void read_upsample(glia_onnx_read *r) {
    glia_value *x = glia__onnx_in(r, 0);
    glia_tensor scales;
    resizing z = {0};
    float numbers[GLIA_MAX_RANK];
    if (!x) return;
    const glia_shape shape = glia_value_shape(x);
    const glia_resize_attrs a = {
        .mode = glia__onnx_choice(r, "mode", "nearest|linear", 0), .coordinates = 1, .rounding = 2};
    if (r->opset >= 9) {
        if (!glia__onnx_tensor_in(r, 1, &scales)) return;
    } else {
        const glia_onnx_attr *attr = glia__onnx_attr(r, "scales");
        const size_t count = attr ? attr->floats_bytes / sizeof(float) : 0;
        if (count < 1 || count > GLIA_MAX_RANK) {
            (void)glia__onnx_refuse(r, "it has no scales");
            return;
        }
        memcpy(numbers, attr->floats, count * sizeof(float));
        scales = glia_tensor_wrap(numbers, GLIA_F32, (glia_shape){1, {(int64_t)count}});
    }
    if (find_axes(r, &shape, &z) && use_scales(r, &shape, &scales, &z)) r->out[0] = resize_all(x, &z, a);
}
GLIA_ONNX(upsample) = {
    .op_type = "Upsample", .since = 7, .until = 9, .min_inputs = 1, .max_inputs = 2, .read = read_upsample};

static void read_grid_sample(glia_onnx_read *r) {
    const char *modes = r->opset < 20 ? "bilinear|nearest|bicubic" : "linear|nearest|cubic";
    const glia_grid_sample_attrs a = {
        .mode = glia__onnx_choice(r, "mode", modes, 0),
        .padding = glia__onnx_choice(r, "padding_mode", "zeros|border|reflection", 0),
        .align_corners = glia__onnx_int(r, "align_corners", 0) ? GLIA_YES : GLIA_NO};
    if (!r->refused) r->out[0] = glia_op_grid_sample(glia__onnx_in(r, 0), glia__onnx_in(r, 1), a);
}
GLIA_ONNX(grid_sample) = {
    .op_type = "GridSample", .min_inputs = 2, .max_inputs = 2, .read = read_grid_sample};

/* Places of `count` pixels from −1 to 1: their middles, or the outer ones at the ends. */
static double pixel_place(int64_t i, int64_t count, bool corners) {
    if (corners) return count > 1 ? -1 + 2 * (double)i / (double)(count - 1) : -1;
    return (2 * (double)i + 1) / (double)count - 1;
}

/* grid = base·θᵀ, where base holds (x, y, 1), or (x, y, z, 1), of every pixel. */
static void read_affine_grid(glia_onnx_read *r) {
    enum { MOST = 1 << 24 };
    glia_value *theta = glia__onnx_in(r, 0);
    glia_shape size;
    if (!theta || !glia__onnx_dims_in(r, 1, &size)) return;
    const bool corners = glia__onnx_int(r, "align_corners", 0) != 0;
    const int dims = size.rank - 2;
    glia_shape base = {2, {1, dims + 1}}, grid = {.rank = size.rank};
    bool fits = dims == 2 || dims == 3;
    for (int d = 0; d < dims && fits; d++) {
        fits = size.dim[2 + d] > 0 && size.dim[2 + d] <= MOST / base.dim[0];
        if (fits) base.dim[0] *= grid.dim[1 + d] = size.dim[2 + d];
    }
    float *numbers =
        fits ? glia__arena_alloc(&r->graph->arena, (size_t)(base.dim[0] * base.dim[1]) * sizeof *numbers)
             : NULL;
    if (!numbers) {
        (void)glia__onnx_refuse(r, "its size is none of images of 2 or 3 dimensions, or too large");
        return;
    }
    for (int64_t i = 0; i < base.dim[0]; i++) {
        int64_t rest = i;
        float *row = numbers + i * base.dim[1];
        for (int d = dims - 1; d >= 0; rest /= size.dim[2 + d--]) /* the last dimension comes first */
            row[dims - 1 - d] = (float)pixel_place(rest % size.dim[2 + d], size.dim[2 + d], corners);
        row[dims] = 1;
    }
    glia_value *places = glia_op_cast(glia__onnx_const(r, GLIA_F32, &base, numbers), glia_value_dtype(theta));
    grid.dim[size.rank - 1] = dims;
    r->out[0] = glia_op_reshape(glia_op_matmul(places, theta, (glia_matmul_attrs){GLIA_NO, GLIA_YES}),
                                (glia_reshape_attrs){grid});
}
GLIA_ONNX(affine_grid) = {
    .op_type = "AffineGrid", .min_inputs = 2, .max_inputs = 2, .read = read_affine_grid};
