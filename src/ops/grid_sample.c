/* grid_sample.c: images read at places that a grid names, between the pixels too. */

#include <math.h>

#include "glia/ops.h"
#include "graph/op.h"

#ifdef GLIA_OPS_HEADER
/* Zero means default: linear, zeros outside, −1 and 1 are the outer edges of the first and last pixel. */
typedef struct glia_grid_sample_attrs {
    int mode;                /* 0 linear, 1 nearest, 2 cubic */
    int padding;             /* outside of the image: 0 zeros, 1 border, 2 reflection */
    glia_bool align_corners; /* −1 and 1 are the middles of the first and last pixel */
} glia_grid_sample_attrs;
/* x [N, C, H, W], grid [N, H', W', 2] of (column, row) from −1 to 1 → [N, C, H', W']; so for 1 and 3 dimensions. */
GLIA_API glia_value *glia_op_grid_sample(glia_value *x, glia_value *grid, glia_grid_sample_attrs attrs);
#endif /* GLIA_OPS_HEADER */

enum { LINEAR, NEAREST, CUBIC };
enum { ZEROS, BORDER, REFLECTION };
enum { MOST_DIMS = 3, MOST_TAPS = 4, MOST_PLACES = 64 };

typedef struct sampling {
    const glia_grid_sample_attrs *a;
    int dims;
    int64_t batch, channels, pixels, samples; /* pixels of x and samples of y in each channel */
    const int64_t *size;                      /* of x, dimension by dimension */
} sampling;

/* The pixels of one direction that a sample is made of: where (−1: outside), with what weight, and how that changes with the
 * number in the grid. */
typedef struct line_taps {
    int count;
    int64_t index[MOST_TAPS];
    double weight[MOST_TAPS], slope[MOST_TAPS];
} line_taps;

/* The same for all directions together: offsets in a channel, weights, and slopes by direction. */
typedef struct places {
    int count;
    int64_t offset[MOST_PLACES];
    double weight[MOST_PLACES], slope[MOST_DIMS][MOST_PLACES];
} places;

static glia_status sample_fit(sampling *s, const glia_type *x, const glia_type *grid,
                              const glia_grid_sample_attrs *a, glia_error *err) {
    char tx[160], tg[160];
    const int dims = x->shape.rank - 2;
    bool fits = dims >= 1 && dims <= MOST_DIMS && grid->shape.rank == dims + 2 &&
                grid->shape.dim[dims + 1] == dims && grid->shape.dim[0] == x->shape.dim[0];
    for (int d = 0; d < dims && fits; d++) fits = x->shape.dim[2 + d] > 0;
    if (!fits)
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "grid_sample expects images [N, C, H, W] and a grid [N, H', W', 2], or 1 or 3 dimensions "
            "instead of 2, found %s and %s",
            glia__type_text(x, tx, sizeof tx), glia__type_text(grid, tg, sizeof tg));
    GLIA_TRY(glia__check_float(x, err));
    GLIA_TRY(glia__check_same_dtype(x, grid, err));
    *s = (sampling){.a = a,
                    .dims = dims,
                    .batch = x->shape.dim[0],
                    .channels = x->shape.dim[1],
                    .pixels = 1,
                    .samples = 1,
                    .size = x->shape.dim + 2};
    for (int d = 0; d < dims; d++) {
        s->pixels *= x->shape.dim[2 + d];
        s->samples *= grid->shape.dim[1 + d];
    }
    return GLIA_OK;
}

static glia_shape sample_shape(const glia_shape *x, const glia_shape *grid) {
    glia_shape y = *x;
    for (int d = 2; d < x->rank; d++) y.dim[d] = grid->dim[d - 1];
    return y;
}

/* Mirrors `x` at `low` and `high` until it lies between them; `sign` becomes −1 when it runs the other way. */
static double mirrored(double x, double low, double high, double *sign) {
    const double range = high - low;
    if (x >= low && x <= high) return x;
    if (!(range > 0)) return *sign = 0, low;
    const double beyond = x < low ? low - x : x - high, turns = floor(beyond / range);
    const double rest = beyond - turns * range;
    const bool near = fmod(turns, 2) == 0;
    *sign = near ? -1 : 1;
    return (x < low) == near ? low + rest : high - rest;
}

/* The pixel at a whole number, −1 when there is none. */
static int64_t pixel_at(const sampling *s, double at, int64_t size, double low, double high) {
    double sign = 1;
    const double last = (double)(size - 1);
    if (s->a->padding == ZEROS && !(at >= 0 && at <= last)) return -1;
    if (s->a->padding == REFLECTION) at = trunc(mirrored(at, low, high, &sign));
    return at > 0 ? (int64_t)fmin(at, last) : 0; /* not a number: the first */
}

/* Weights of a linear or cubic interpolation `t` behind the middle one of its pixels, and their derivatives by t. */
static int weights_at(int mode, double t, double *weight, double *slope) {
    const double a = -0.75, u = 1 - t, v = 1 + t, w = 2 - t;
    if (mode == LINEAR) {
        weight[0] = u, slope[0] = -1;
        weight[1] = t, slope[1] = 1;
        return 2;
    }
    weight[0] = ((a * v - 5 * a) * v + 8 * a) * v - 4 * a, slope[0] = (3 * a * v - 10 * a) * v + 8 * a;
    weight[1] = ((a + 2) * t - (a + 3)) * t * t + 1, slope[1] = (3 * (a + 2) * t - 2 * (a + 3)) * t;
    weight[2] = ((a + 2) * u - (a + 3)) * u * u + 1, slope[2] = -(3 * (a + 2) * u - 2 * (a + 3)) * u;
    weight[3] = ((a * w - 5 * a) * w + 8 * a) * w - 4 * a, slope[3] = -((3 * a * w - 10 * a) * w + 8 * a);
    return 4;
}

/* `x`: the place in pixels, `step`: pixels for 1 in the grid. */
static void find_line(const sampling *s, int64_t size, double x, double step, line_taps *t) {
    const bool corners = s->a->align_corners == GLIA_YES;
    const double low = corners ? 0 : -0.5, high = corners ? (double)size - 1 : (double)size - 0.5;
    double sign = 1;
    if (s->a->mode == NEAREST) x = rint(x);
    if (s->a->padding == BORDER && !(x >= low && x <= high)) {
        x = x > 0 ? (double)size - 1 : 0;
        sign = 0;
    }
    if (s->a->padding == REFLECTION) x = mirrored(x, low, high, &sign);
    if (s->a->mode == NEAREST) {
        *t = (line_taps){.count = 1, .index = {pixel_at(s, trunc(x), size, low, high)}, .weight = {1}};
        return;
    }
    const double left = floor(x);
    t->count = weights_at(s->a->mode, x - left, t->weight, t->slope);
    for (int k = 0; k < t->count; k++) {
        t->index[k] = pixel_at(s, left + k - (t->count / 2 - 1), size, low, high);
        t->slope[k] *= sign * step;
    }
}

static void join(const sampling *s, const line_taps *lines, places *p) {
    int at[MOST_DIMS] = {0};
    p->count = 0;
    for (;;) {
        int64_t offset = 0;
        bool inside = true;
        double weight = 1;
        for (int d = 0; d < s->dims; d++) {
            offset = offset * s->size[d] + lines[d].index[at[d]];
            inside = inside && lines[d].index[at[d]] >= 0;
            weight *= lines[d].weight[at[d]];
        }
        if (inside) {
            p->offset[p->count] = offset;
            p->weight[p->count] = weight;
            for (int d = 0; d < s->dims; d++) {
                double slope = lines[d].slope[at[d]];
                for (int e = 0; e < s->dims; e++) slope *= e == d ? 1 : lines[e].weight[at[e]];
                p->slope[d][p->count] = slope;
            }
            p->count++;
        }
        int d = s->dims - 1;
        while (d >= 0 && ++at[d] == lines[d].count) at[d--] = 0;
        if (d < 0) return;
    }
}

/* Fills the places of one sample; `grid` points to its numbers, the last dimension first. Places in pixels are worked out in
 * the dtype of the grid, so that what lies between two pixels is rounded as everywhere. */
#define FIND_PLACES(s, grid, places)                                                         \
    do {                                                                                     \
        line_taps lines_[MOST_DIMS];                                                         \
        for (int d_ = 0; d_ < (s).dims; d_++) {                                              \
            const T size_ = (T)(s).size[d_], n_ = (grid)[(s).dims - 1 - d_];                 \
            const bool corners_ = (s).a->align_corners == GLIA_YES;                          \
            const T x_ = corners_ ? (n_ + 1) / 2 * (size_ - 1) : ((n_ + 1) * size_ - 1) / 2; \
            const double step_ = (double)(corners_ ? size_ - 1 : size_) / 2;                 \
            find_line(&(s), (s).size[d_], (double)x_, step_, &lines_[d_]);                   \
        }                                                                                    \
        join(&(s), lines_, places);                                                          \
    } while (0)

static glia_status sample_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    (void)n_in;
    sampling s;
    GLIA_TRY(sample_fit(&s, &in[0], &in[1], attrs, err));
    out[0] = (glia_type){in[0].dtype, sample_shape(&in[0].shape, &in[1].shape)};
    return GLIA_OK;
}

static glia_status sample_ref(const glia_call *c) {
    const glia_type tx = glia__view_type(&c->in[0]), tg = glia__view_type(&c->in[1]);
    sampling s;
    GLIA_TRY(sample_fit(&s, &tx, &tg, c->attrs, c->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *grid = c->in[1].data;
        for (int64_t n = 0; n < s.batch; n++)
            for (int64_t i = 0; i < s.samples; i++, grid += s.dims) {
                places p;
                FIND_PLACES(s, grid, &p);
                for (int64_t ch = 0; ch < s.channels; ch++) {
                    const T *x = (const T *)c->in[0].data + (n * s.channels + ch) * s.pixels;
                    double sum = 0;
                    for (int k = 0; k < p.count; k++) sum += p.weight[k] * (double)x[p.offset[k]];
                    ((T *)c->out[0].data)[(n * s.channels + ch) * s.samples + i] = (T)sum;
                }
            }
    });
    return GLIA_OK;
}

static void sample_grad(glia_gradient *g) {
    glia_value *in[] = {g->x[0], g->x[1], g->dy[0]};
    g->dx[0] = glia_graph_apply(g->graph, "grid_sample_backward", in, 3, g->attrs);
    g->dx[1] = glia_value_sibling(g->dx[0], 1);
}

static double sample_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    const int taps = ((const glia_grid_sample_attrs *)attrs)->mode == CUBIC ? 4 : 2;
    double each = 2;
    for (int d = 2; d < in[0].shape.rank; d++) each *= taps;
    return each * (double)glia_shape_elems(&out[0].shape);
}

static const glia_field sample_fields[] = {{.name = "mode",
                                            .kind = GLIA_FIELD_CHOICE,
                                            .offset = offsetof(glia_grid_sample_attrs, mode),
                                            .initial = "linear",
                                            .choices = "linear|nearest|cubic",
                                            .doc = "how a sample between pixels is made"},
                                           {.name = "padding",
                                            .kind = GLIA_FIELD_CHOICE,
                                            .offset = offsetof(glia_grid_sample_attrs, padding),
                                            .initial = "zeros",
                                            .choices = "zeros|border|reflection",
                                            .doc = "what lies outside of the image",
                                            .onnx = "padding_mode"},
                                           {.name = "align_corners",
                                            .kind = GLIA_FIELD_BOOL,
                                            .offset = offsetof(glia_grid_sample_attrs, align_corners),
                                            .initial = "no",
                                            .doc = "-1 and 1 are the middles of the outer pixels"},
                                           {.name = NULL}};

GLIA_OP(grid_sample) = {
    .name = "grid_sample",
    .version = 1,
    .doc = "y[n,c,i,j] = x[n,c] at the place that grid[n,i,j] names, −1 … 1 in each direction",
    .source = "Jaderberg et al., Spatial Transformer Networks (2015); ONNX GridSample",
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = sample_fields,
    .attrs_size = sizeof(glia_grid_sample_attrs),
    .traits = GLIA_TRAIT_NO_C,
    .infer = sample_infer,
    .grad = sample_grad,
    .ref = sample_ref,
    .rows = glia__rows_all,
    .flops = sample_flops,
    .onnx = "GridSample",
    .onnx_since = 20,
    .cases = GLIA_CASES(
        {.inputs = "2x3x4x5 2x3x2x2"}, {.inputs = "1x2x4x3 1x3x3x2:unit", .attrs = "align_corners=yes"},
        {.inputs = "1x2x4x4 1x2x3x2", .attrs = "mode=cubic"},
        {.inputs = "1x2x4x4 1x2x3x2", .attrs = "mode=cubic padding=reflection"},
        {.inputs = "1x1x4x5 1x3x3x2", .attrs = "padding=border"},
        {.inputs = "1x1x4x5 1x3x3x2", .attrs = "padding=reflection align_corners=yes"},
        {.inputs = "2x2x4x5 2x3x2x2", .attrs = "mode=nearest padding=border"},
        {.inputs = "1x2x3x4x3 1x2x2x2x3", .attrs = "padding=border"}, {.inputs = "1x2x5 1x4x1"},
        {.inputs = "1x1x1x1 1x2x2x2", .attrs = "padding=reflection align_corners=yes"},
        {.inputs = "0x3x4x5 0x3x2x2"}, {.inputs = "2x3x4x5 2x3x2x3", .expect_error = "a grid [N, H', W', 2]"},
        {.inputs = "2x3x4x5 1x3x2x2", .expect_error = "found f32 2×3×4×5 and f32 1×3×2×2"},
        {.inputs = "2x3x4x5:i64<5 2x3x2x2:i64<2", .expect_error = "expected f32 or f64"}),
};

glia_value *glia_op_grid_sample(glia_value *x, glia_value *grid, glia_grid_sample_attrs attrs) {
    glia_value *in[] = {x, grid};
    return glia_graph_apply(glia_value_graph(x ? x : grid), "grid_sample", in, 2, &attrs);
}

/* --- the gradient -------------------------------------------------------------------------------------------- */

static glia_status sample_backward_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                         glia_error *err) {
    glia_type y;
    GLIA_TRY(sample_infer(in, n_in, attrs, &y, err));
    GLIA_TRY(glia__check_gradient(&y, &in[2], "grid_sample", err));
    out[0] = in[0];
    out[1] = in[1];
    return GLIA_OK;
}

static glia_status sample_backward_ref(const glia_call *c) {
    const glia_type tx = glia__view_type(&c->in[0]), tg = glia__view_type(&c->in[1]);
    sampling s;
    GLIA_TRY(sample_fit(&s, &tx, &tg, c->attrs, c->err));
    GLIA_FOR_FLOAT(tx.dtype, {
        const T *grid = c->in[1].data;
        T *dgrid = c->out[1].data;
        memset(c->out[0].data, 0, (size_t)glia_shape_elems(&tx.shape) * sizeof(T));
        for (int64_t n = 0; n < s.batch; n++)
            for (int64_t i = 0; i < s.samples; i++, grid += s.dims, dgrid += s.dims) {
                places p;
                double slope[MOST_DIMS] = {0};
                FIND_PLACES(s, grid, &p);
                for (int64_t ch = 0; ch < s.channels; ch++) {
                    const int64_t plane = (n * s.channels + ch) * s.pixels;
                    const T *x = (const T *)c->in[0].data + plane;
                    const T dy = ((const T *)c->in[2].data)[(n * s.channels + ch) * s.samples + i];
                    T *dx = (T *)c->out[0].data + plane;
                    for (int k = 0; k < p.count; k++) {
                        dx[p.offset[k]] += (T)p.weight[k] * dy;
                        for (int d = 0; d < s.dims; d++)
                            slope[d] += p.slope[d][k] * (double)x[p.offset[k]] * (double)dy;
                    }
                }
                for (int d = 0; d < s.dims; d++) dgrid[s.dims - 1 - d] = (T)slope[d];
            }
    });
    return GLIA_OK;
}

GLIA_OP(grid_sample_backward) = {
    .name = "grid_sample_backward",
    .version = 1,
    .doc = "d(grid_sample)/dx and /dgrid of x, grid and dy",
    .min_inputs = 3,
    .max_inputs = 3,
    .n_outputs = 2,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT,
    .attrs = sample_fields,
    .attrs_size = sizeof(glia_grid_sample_attrs),
    .infer = sample_backward_infer,
    .ref = sample_backward_ref,
    .rows = glia__rows_all,
    .flops = sample_flops,
    .cases = GLIA_CASES({.inputs = "2x3x4x5 2x3x2x2 2x3x3x2"},
                        {.inputs = "1x2x4x4 1x2x3x2 1x2x2x3", .attrs = "mode=cubic padding=border"},
                        {.inputs = "2x3x4x5 2x3x2x2 2x3x2x2", .expect_error = "cannot be f32 2×3×2×2"}),
};
