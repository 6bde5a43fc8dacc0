/* read_signal.c: windows and Fourier transforms. A transform of a known length is a product with a matrix of cosines and sines. */

#include "onnx/carried.h"

static const double pi = 3.14159265358979323846;

/* --- windows ------------------------------------------------------------------------------------------------------ */

/* a₀ + a₁·cos(2πi/n) + a₂·cos(4πi/n), where n is the size, or one less when the window is symmetric. */
static void read_cosines(glia_onnx_read *r, double a0, double a1, double a2) {
    double size;
    const bool periodic = glia__onnx_int(r, "periodic", 1) != 0;
    const int64_t type = glia__onnx_int(r, "output_datatype", GLIA_ONNX_F32);
    if (!glia__onnx_number_in(r, 0, &size)) return;
    if (!(size >= 1 && size < 1 << 24) || glia__onnx_dtype(type) == GLIA_DTYPE_COUNT) {
        (void)glia__onnx_refuse(r, "a window of this size or type is not supported");
        return;
    }
    const glia_shape shape = {1, {(int64_t)size}};
    glia_value *i = glia_op_cast(glia__onnx_count(r, &shape), GLIA_F64);
    if (!i) return;
    glia_value *angle = glia__scaled(i, 2 * pi / (periodic ? size : GLIA_MAX(size - 1, 1)));
    glia_value *y = glia__scaled(glia_op_cos(angle), a1);
    y = glia_op_add(y, glia__scaled(glia_op_cos(glia__scaled(angle, 2)), a2));
    r->out[0] = glia__onnx_cast(glia_op_add(y, glia__number(y, a0)), type, true);
    glia__onnx_say_type(r, 0, type);
}

#define WINDOW_ONNX(block, type, ...)             \
    static void read_##block(glia_onnx_read *r) { \
        read_cosines(r, __VA_ARGS__);             \
    }                                             \
    GLIA_ONNX(block) = {.op_type = type,          \
                        .since = 17,              \
                        .min_inputs = 1,          \
                        .max_inputs = 1,          \
                        .own_types = 1,           \
                        .read = read_##block}

WINDOW_ONNX(hann_window, "HannWindow", 0.5, -0.5, 0);
WINDOW_ONNX(hamming_window, "HammingWindow", 25.0 / 46, -21.0 / 46, 0);
WINDOW_ONNX(blackman_window, "BlackmanWindow", 0.42, -0.5, 0.08);

/* --- transforms --------------------------------------------------------------------------------------------------- */

typedef struct transform {
    int64_t given;          /* numbers that there are */
    int64_t length;         /* of the transform: what is not there is 0 */
    int64_t results;        /* all, or those that the others follow from */
    int parts, made;        /* 1 real, 2 complex: of the given and of the results */
    bool inverse, mirrored; /* mirrored: the given are half of a spectrum whose other half follows from it */
} transform;

/* How often number n counts: those in the midst of half a spectrum stand for their mirror image as well. */
static double weight(const transform *t, int64_t n) {
    if (n >= t->length) return 0;
    const double share = t->inverse ? 1.0 / (double)t->length : 1;
    return t->mirrored && n > 0 && 2 * n != t->length ? 2 * share : share;
}

/* The matrix [given·parts, results·made] in f64. */
static glia_value *matrix(glia_onnx_read *r, const transform *t) {
    const int64_t rows = t->given * t->parts, columns = t->results * t->made;
    if (t->given < 1 || rows > (1 << 24) / GLIA_MAX(columns, 1))
        return glia__onnx_refuse(r, "a transform of this length is not supported");
    double *m = glia__alloc(r->graph->allocator, (size_t)(rows * columns) * sizeof *m);
    if (!m) return glia__onnx_refuse(r, "out of memory");
    for (int64_t n = 0; n < t->given; n++)
        for (int64_t k = 0; k < t->results; k++) {
            const double angle = 2 * pi * (double)(n * k % t->length) / (double)t->length;
            const double c = weight(t, n) * cos(angle),
                         s = weight(t, n) * (t->inverse ? sin(angle) : -sin(angle));
            double *at = m + n * t->parts * columns + k * t->made; /* (x + iy)(c + is) */
            at[0] = c;
            if (t->made == 2) at[1] = s;
            if (t->parts == 2) at[columns] = -s;
            if (t->parts == 2 && t->made == 2) at[columns + 1] = c;
        }
    const glia_shape shape = {2, {rows, columns}};
    glia_value *value = glia__onnx_const(r, GLIA_F64, &shape, m);
    glia__free(r->graph->allocator, m, (size_t)(rows * columns) * sizeof *m);
    return value;
}

/* The last two dimensions [given, parts] become [results, made]. Sums are in f64. */
static glia_value *transformed(glia_onnx_read *r, glia_value *x, const transform *t) {
    glia_value *m = matrix(r, t);
    if (!x || !m) return NULL;
    const int rank = glia_value_shape(x).rank;
    const glia_dtype dtype = glia_value_dtype(x);
    glia_reshape_attrs line = {.shape = {.rank = rank - 1}},
                       parts = {.shape = {.rank = rank}}; /* 0: as it is */
    line.shape.dim[rank - 2] = t->given * t->parts;
    parts.shape.dim[rank - 2] = t->results;
    parts.shape.dim[rank - 1] = t->made;
    glia_value *y = glia_op_cast(glia_op_reshape(x, line), GLIA_F64);
    y = glia_op_reshape(glia_op_matmul(y, m, (glia_matmul_attrs){0}), parts);
    return glia_op_cast(y, dtype);
}

/* Dimension `axis` becomes the last but one, or that becomes `axis`. */
static glia_value *moved(glia_value *x, int axis, bool back) {
    const int rank = glia_value_shape(x).rank;
    glia_transpose_attrs a = {.perm = {.rank = rank}};
    for (int d = 0; d < rank; d++) a.perm.dim[d] = d;
    for (int d = axis; d < rank - 2; d++) a.perm.dim[back ? d + 1 : d] = back ? d : d + 1;
    a.perm.dim[back ? axis : rank - 2] = back ? rank - 2 : axis;
    return axis == rank - 2 ? x : glia_op_transpose(x, a);
}

/* The axis is an attribute before opset 20, then input 2. */
static bool read_axis(glia_onnx_read *r, int rank, int *axis) {
    double wanted = r->opset < 20 ? (double)glia__onnx_int(r, "axis", 1) : -2;
    if (r->opset >= 20 && glia__onnx_has(r, 2) && !glia__onnx_number_in(r, 2, &wanted)) return false;
    if (glia__axis_resolve((int64_t)wanted, rank, axis) && *axis < rank - 1) return true;
    (void)glia__onnx_refuse(r, "axis %g is out of range", wanted);
    return false;
}

/* What the lengths say: half a spectrum is made of real numbers, or becomes such. */
static bool set_lengths(glia_onnx_read *r, transform *t, bool half, double length) {
    t->mirrored = half && t->inverse;
    t->length = (int64_t)length;
    t->results = half && !t->inverse ? t->length / 2 + 1 : t->length;
    t->made = t->mirrored ? 1 : 2;
    if (length >= 1 && length < 1 << 24 && t->parts == (t->mirrored ? 2 : half ? 1 : t->parts)) return true;
    (void)glia__onnx_refuse(r, "this length, or half a spectrum of these numbers, is not supported");
    return false;
}

static void read_dft(glia_onnx_read *r) {
    glia_value *x = glia__onnx_in(r, 0);
    int axis;
    const bool half = glia__onnx_int(r, "onesided", 0) != 0;
    transform t = {.inverse = glia__onnx_int(r, "inverse", 0) != 0};
    if (!x || !read_axis(r, glia_value_shape(x).rank, &axis)) return;
    const glia_shape shape = glia_value_shape(x);
    t.given = shape.dim[axis];
    t.parts = (int)shape.dim[shape.rank - 1];
    if (t.given < 1 || (t.parts != 1 && t.parts != 2)) {
        (void)glia__onnx_refuse(
            r, "expected an axis of known length, and one or two numbers in the last dimension");
        return;
    }
    double length = (double)(half && t.inverse ? 2 * (t.given - 1) : t.given);
    if (glia__onnx_has(r, 1) && !glia__onnx_number_in(r, 1, &length)) return;
    if (!set_lengths(r, &t, half, length)) return;
    r->out[0] = moved(transformed(r, moved(x, axis, false), &t), axis, true);
}
GLIA_ONNX(dft) = {.op_type = "DFT", .since = 17, .min_inputs = 1, .max_inputs = 3, .read = read_dft};

/* Where the numbers of each frame lie: [frames, length]. */
static glia_value *frame_places(glia_onnx_read *r, int64_t frames, int64_t length, double step) {
    const glia_shape down = {2, {frames, 1}}, across = {1, {length}};
    glia_value *starts = glia__onnx_count(r, &down), *within = glia__onnx_count(r, &across);
    return starts && within ? glia_op_add(glia__scaled(starts, step), within) : NULL;
}

/* Frames of the signal [batch, length, parts], times a window, each transformed. */
static void read_stft(glia_onnx_read *r) {
    glia_value *x = glia__onnx_in(r, 0), *window = glia__onnx_in(r, 2);
    double step, length = 0;
    const bool half = glia__onnx_int(r, "onesided", 1) != 0;
    if (!x || !glia__onnx_number_in(r, 1, &step)) return;
    const glia_shape shape = glia_value_shape(x);
    if (glia__onnx_has(r, 3) && !glia__onnx_number_in(r, 3, &length)) return;
    if (window && !length) length = (double)glia_value_shape(window).dim[0];
    if (!length && shape.rank == 3) length = (double)shape.dim[1];
    if (shape.rank != 3 || !(step >= 1 && length >= 1 && (double)shape.dim[1] >= length)) {
        (void)glia__onnx_refuse(
            r, "expected a signal [batch, length, 1 or 2] of known length, and shorter frames");
        return;
    }
    transform t = {.given = (int64_t)length, .parts = (int)shape.dim[2]};
    if (!set_lengths(r, &t, half, length)) return;
    const int64_t frames = (shape.dim[1] - t.given) / (int64_t)step + 1;
    glia_value *at = frame_places(r, frames, t.given, step);
    if (!at) return;
    x = glia_op_gather(x, at, (glia_gather_attrs){.axis = 1});
    if (window) x = glia_op_mul(x, glia_op_unsqueeze(window, (glia_squeeze_attrs){{1, {-1}}}));
    r->out[0] = transformed(r, x, &t);
}
GLIA_ONNX(stft) = {.op_type = "STFT", .since = 17, .min_inputs = 2, .max_inputs = 4, .read = read_stft};
