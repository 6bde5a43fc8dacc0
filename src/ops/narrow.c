/* narrow.c: numbers as a narrower type has them, in the array that they were in. */

#include "ops/narrow.h"

#include <math.h>

#include "graph/to_onnx.h"
#include "ops/expr.h"

#ifdef GLIA_OPS_HEADER
typedef struct glia_narrow_attrs {
    int to; /* 0 i8, 1 u16, 2 i16, 3 u32, 4 u4, 5 i4, 6 u2, 7 i2; floats: 8 f32, 9 f16, 10 f8e4m3fn, … as named */
    glia_bool saturate; /* 8-bit floats: beyond the largest is the largest (default), not infinity or NaN */
} glia_narrow_attrs;
/* x as it is once it has been stored as a narrower type: floats are rounded to nearest, halves to even, whole numbers
 * (i32 or i64) wrap. The dtype stays; the gradient is that of the identity. */
GLIA_API glia_value *glia_op_narrow(glia_value *x, glia_narrow_attrs attrs);
#endif /* GLIA_OPS_HEADER */

#define WHOLE_ROW(code, text, number, since, width, low, high, wide) \
    {.name = text,                                                   \
     .onnx = number,                                                 \
     .onnx_since = since,                                            \
     .bits = width,                                                  \
     .carrier = GLIA_##wide,                                         \
     .least = low,                                                   \
     .most = high},
#define FLOAT_ROW(code, text, number, since, width, digits, low, high, over) \
    {.name = text,                                                           \
     .onnx = number,                                                         \
     .onnx_since = since,                                                    \
     .bits = width,                                                          \
     .is_float = true,                                                       \
     .carrier = GLIA_F32,                                                    \
     .least = -(high),                                                       \
     .most = high,                                                           \
     .fraction = digits,                                                     \
     .lowest = low,                                                          \
     .beyond = GLIA_NARROW_##over},
const glia_narrow_type glia__narrow_types[GLIA_NARROW_COUNT] = {GLIA_NARROW_WHOLE_LIST(WHOLE_ROW)
                                                                    GLIA_NARROW_FLOAT_LIST(FLOAT_ROW)};

static const glia_narrow_type *type_of(const void *attrs) {
    return &glia__narrow_types[((const glia_narrow_attrs *)attrs)->to];
}

/* --- from bits ---------------------------------------------------------------------------------------------- */

/* Whether the bits, with sign and fraction cut from them, are no number or an infinity. */
static bool special(const glia_narrow_type *t, uint32_t sign, uint32_t exponent, uint32_t fraction,
                    double *y) {
    const uint32_t highest = (1u << (t->bits - 1 - t->fraction)) - 1, ones = (1u << t->fraction) - 1;
    *y = NAN;
    switch (t->beyond) {
    case GLIA_NARROW_IEEE:
        if (fraction == 0) *y = sign ? -INFINITY : INFINITY;
        return exponent == highest;
    case GLIA_NARROW_FN:
        return exponent == highest && fraction == ones;
    case GLIA_NARROW_FNUZ:
        return sign && exponent == 0 && fraction == 0;
    default:
        return false;
    }
}

double glia__narrow_decode(glia_narrow type, uint32_t bits) {
    const glia_narrow_type *t = &glia__narrow_types[type];
    const uint32_t sign = bits >> (t->bits - 1) & 1;
    double y;
    if (!t->is_float) return t->least < 0 && sign ? bits - ldexp(1, t->bits) : bits;
    const uint32_t fraction = bits & ((1u << t->fraction) - 1);
    const uint32_t exponent = bits >> t->fraction & ((1u << (t->bits - 1 - t->fraction)) - 1);
    if (special(t, sign, exponent, fraction, &y)) return y;
    y = exponent == 0 ? ldexp(fraction, t->lowest - t->fraction)
                      : ldexp(fraction + (1u << t->fraction), t->lowest - t->fraction + (int)exponent - 1);
    return sign ? -y : y;
}

/* --- the op ------------------------------------------------------------------------------------------------- */

/* The nearest number of the type, halves to even; `beyond` where that is more than its most. NaN is 0 where there is none. */
static double rounded(double x, const glia_narrow_type *t, double beyond) {
    if (isnan(x)) return t->beyond == GLIA_NARROW_FINITE ? 0 : x;
    if (isinf(x)) return copysign(beyond, x);
    const int places = t->fraction - (x == 0 ? t->lowest : GLIA_MAX(ilogb(x), t->lowest));
    const double y = ldexp(rint(ldexp(x, places)), -places);
    return fabs(y) > t->most ? copysign(beyond, x) : t->beyond == GLIA_NARROW_FNUZ ? y + 0 : y;
}

/* What is beyond the most. Only types of 8 bits saturate, unless told otherwise; 4 bits have nothing else. */
static double beyond(const glia_narrow_type *t, glia_bool saturate) {
    const bool most = t->beyond == GLIA_NARROW_FINITE || (t->bits == 8 && saturate != GLIA_NO);
    return most ? t->most : t->beyond == GLIA_NARROW_IEEE ? INFINITY : NAN;
}

static uint64_t wrapped(uint64_t x, const glia_narrow_type *t) {
    const uint64_t top = UINT64_C(1) << (t->bits - 1), low = x & (2 * top - 1);
    return t->least < 0 ? (low ^ top) - top : low;
}

static glia_status narrow_ref(const glia_call *c) {
    const int64_t n = glia_shape_elems(&c->out[0].shape);
    const glia_narrow_type *t = type_of(c->attrs);
    const double most = beyond(t, ((const glia_narrow_attrs *)c->attrs)->saturate);
    if (t->is_float)
        GLIA_FOR_FLOAT(c->out[0].dtype, {
            const T *x = c->in[0].data;
            T *y = c->out[0].data;
            for (int64_t i = 0; i < n; i++) y[i] = (T)rounded(x[i], t, most);
        });
    else if (c->out[0].dtype == GLIA_I64)
        for (int64_t i = 0; i < n; i++)
            ((int64_t *)c->out[0].data)[i] =
                (int64_t)wrapped((uint64_t)((const int64_t *)c->in[0].data)[i], t);
    else
        for (int64_t i = 0; i < n; i++)
            ((int32_t *)c->out[0].data)[i] =
                (int32_t)(uint32_t)wrapped((uint64_t)((const int32_t *)c->in[0].data)[i], t);
    return GLIA_OK;
}

static glia_status narrow_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                glia_error *err) {
    char text[160];
    (void)n_in;
    out[0] = in[0];
    const glia_narrow_type *t = type_of(attrs);
    const bool fits = t->is_float
                          ? in[0].dtype == GLIA_F32 || in[0].dtype == GLIA_F64
                          : in[0].dtype == GLIA_I64 || (in[0].dtype == GLIA_I32 && t->carrier == GLIA_I32);
    if (fits) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "%s lies in %s, found %s; cast it first", t->name,
                          t->is_float              ? "f32 or f64"
                          : t->carrier == GLIA_I64 ? "i64"
                                                   : "i32 or i64",
                          glia__type_text(&in[0], text, sizeof text));
}

static void narrow_grad(glia_gradient *g) {
    if (g->needed[0]) g->dx[0] = g->dy[0];
}

/* There and back. */
static void narrow_to_onnx(glia_to_onnx *w) {
    const glia_narrow_attrs *a = w->node->attrs;
    const glia_narrow_type *t = type_of(a);
    if (w->opset < t->onnx_since) {
        glia__to_onnx_refuse(w, "ONNX has %s since opset %d", t->name, t->onnx_since);
        return;
    }
    const char *stored = GLIA_TO_ONNX(w, NULL, "Cast", w->x[0]);
    glia__to_onnx_int(w, "to", t->onnx);
    if (t->is_float && t->bits == 8 && a->saturate == GLIA_NO) glia__to_onnx_int(w, "saturate", 0);
    GLIA_TO_ONNX(w, w->y[0], "Cast", stored);
    glia__to_onnx_dtype(w, "to", w->node->outputs[0].type.dtype);
}

/* --- as C ----------------------------------------------------------------------------------------------------- */

/* x/2ᵖ rounded and back, where 2ᵖ is the last place of the fraction. */
#define PLACES(digits, low)  "(" #digits " - (int)fmax(logb(x), " #low "))"
#define ROUNDED(digits, low) "ldexp(rint(ldexp(x, " PLACES(digits, low) ")), -" PLACES(digits, low) ")"
#define FLOAT_TEXT(digits, low, high, over, none, zero)                                                   \
    "x != x ? " none " : x - x != 0 || fabs(" ROUNDED(digits, low) ") > (T)" #high " ? copysign((T)" over \
                                                                   ", x) : " ROUNDED(digits, low) zero
/* As each kind has NaN, and 0 (without a sign in FNUZ). */
#define TEXT_IEEE(digits, low, high, over)   FLOAT_TEXT(digits, low, high, over, "x", "")
#define TEXT_FN(digits, low, high, over)     FLOAT_TEXT(digits, low, high, over, "x", "")
#define TEXT_FNUZ(digits, low, high, over)   FLOAT_TEXT(digits, low, high, over, "x", " + (T)0")
#define TEXT_FINITE(digits, low, high, over) FLOAT_TEXT(digits, low, high, over, "(T)0", "")
#define OVER_IEEE                            "INFINITY"
#define OVER_FN                              "NAN"
#define OVER_FNUZ                            "NAN"
#define OVER_FINITE                          "NAN" /* not used: it saturates */

#define WHOLE_EXPR(code, name, onnx, since, bits, least, most, carrier) \
    {"(((int64_t)x & (" #most " - (" #least "))) ^ -(" #least ")) + (" #least ")", NULL},
#define FLOAT_EXPR(code, name, onnx, since, bits, digits, low, high, over) \
    {TEXT_##over(digits, low, high, OVER_##over), TEXT_##over(digits, low, high, #high)},

static const char *narrow_expr(const glia_type *in, const glia_type *out, const void *attrs) {
    static const char *const texts[GLIA_NARROW_COUNT][2] = {GLIA_NARROW_WHOLE_LIST(WHOLE_EXPR)
                                                                GLIA_NARROW_FLOAT_LIST(FLOAT_EXPR)};
    (void)in, (void)out;
    const glia_narrow_attrs *a = attrs;
    const glia_narrow_type *t = type_of(a);
    return texts[a->to][t->is_float && beyond(t, a->saturate) == t->most];
}

#define WHOLE_CHOICE(code, name, onnx, since, bits, least, most, carrier)           "|" name
#define FLOAT_CHOICE(code, name, onnx, since, bits, fraction, lowest, most, beyond) "|" name
static const char choices[] = GLIA_NARROW_WHOLE_LIST(WHOLE_CHOICE) GLIA_NARROW_FLOAT_LIST(FLOAT_CHOICE);

GLIA_OP(narrow) = {
    .name = "narrow",
    .version = 1,
    .doc = "y = x as a narrower type has it: floats rounded, whole numbers wrapped; gradient 1",
    .source = "IEEE 754; OCP 8-bit floating point; ONNX, Cast",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE,
    .attrs = GLIA_FIELDS({.name = "to",
                          .kind = GLIA_FIELD_CHOICE,
                          .offset = offsetof(glia_narrow_attrs, to),
                          .initial = "f16",
                          .choices = choices + 1,
                          .doc = "the narrower type"},
                         {.name = "saturate",
                          .kind = GLIA_FIELD_BOOL,
                          .offset = offsetof(glia_narrow_attrs, saturate),
                          .initial = "yes",
                          .doc = "8-bit floats: beyond the most is the most, not infinity or NaN"}),
    .attrs_size = sizeof(glia_narrow_attrs),
    .infer = narrow_infer,
    .grad = narrow_grad,
    .ref = narrow_ref,
    .onnx_write = narrow_to_onnx,
    .c_expr_for = narrow_expr,
    .cases = GLIA_CASES(
        {.inputs = "4x5:i32<9", .expect_error = "f16 lies in f32 or f64, found i32 4×5; cast it first"},
        {.inputs = "4x5", .attrs = "to=i8", .expect_error = "i8 lies in i32 or i64, found"},
        {.inputs = "3:i32<9", .attrs = "to=u32", .expect_error = "u32 lies in i64, found i32 3"},
        {.inputs = "4x5", .attrs = "to=f32", .tolerance = 1e-3}, {.inputs = "scalar:f32"},
        {.inputs = "0x3:f32"}, {.inputs = "4x50:f32"}, {.inputs = "4x50:f32", .attrs = "to=f8e4m3fn"},
        {.inputs = "4x50:f32", .attrs = "to=f8e4m3fnuz saturate=no"},
        {.inputs = "4x50:f32", .attrs = "to=f8e5m2 saturate=no"},
        {.inputs = "4x50:f32", .attrs = "to=f8e5m2fnuz"}, {.inputs = "40:f32", .attrs = "to=f4e2m1"},
        {.inputs = "99:i32<300", .attrs = "to=i8"}, {.inputs = "9:i64<300", .attrs = "to=i8"},
        {.inputs = "9:i32<70000", .attrs = "to=u16"}, {.inputs = "9:i32<70000", .attrs = "to=i16"},
        {.inputs = "9:i64<9000000000", .attrs = "to=u32"}, {.inputs = "40:i32<40", .attrs = "to=u4"},
        {.inputs = "40:i32<40", .attrs = "to=i4"}, {.inputs = "40:i32<40", .attrs = "to=u2"},
        {.inputs = "40:i32<40", .attrs = "to=i2"}),
};

GLIA_EXPR_BUILDER_ATTRS(narrow)
