/* predicate.c: which numbers are no numbers, or infinite. */

#include <math.h>

#include "glia/ops.h"
#include "graph/op.h"

#ifdef GLIA_OPS_HEADER
GLIA_API glia_value *glia_op_is_nan(glia_value *x); /* whether x is NaN; f32 or f64 → bool */
typedef struct glia_is_inf_attrs {
    glia_bool detect_negative, detect_positive; /* default both */
} glia_is_inf_attrs;
GLIA_API glia_value *glia_op_is_inf(glia_value *x,
                                    glia_is_inf_attrs attrs); /* whether x is ∞ or −∞; → bool */
#endif                                                        /* GLIA_OPS_HEADER */

static glia_status infer_predicate(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                   glia_error *err) {
    GLIA_TRY(glia__infer_same(in, n_in, attrs, out, err));
    out[0].dtype = GLIA_BOOL;
    return GLIA_OK;
}

static glia_status is_nan_ref(const glia_call *c) {
    const int64_t n = glia_shape_elems(&c->out[0].shape);
    uint8_t *y = c->out[0].data;
    GLIA_FOR_FLOAT(c->in[0].dtype, {
        const T *x = c->in[0].data;
        for (int64_t i = 0; i < n; i++) y[i] = x[i] != x[i];
    });
    return GLIA_OK;
}

static glia_status is_inf_ref(const glia_call *c) {
    const glia_is_inf_attrs *a = c->attrs;
    const int64_t n = glia_shape_elems(&c->out[0].shape);
    const bool negative = a->detect_negative != GLIA_NO, positive = a->detect_positive != GLIA_NO;
    uint8_t *y = c->out[0].data;
    GLIA_FOR_FLOAT(c->in[0].dtype, {
        const T *x = c->in[0].data;
        for (int64_t i = 0; i < n; i++)
            y[i] = (positive && x[i] == (T)INFINITY) || (negative && x[i] == (T)-INFINITY);
    });
    return GLIA_OK;
}

#define CASES                                                                           \
    {.inputs = "4x5"}, {.inputs = "2x3x17"}, {.inputs = "scalar"}, {.inputs = "0x3"}, { \
        .inputs = "3:i64<9", .expect_error = "expected f32 or f64, found i64 3"         \
    }

GLIA_OP(is_nan) = {
    .name = "is_nan",
    .version = 1,
    .doc = "y = x is NaN",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_NO_GRADIENT,
    .infer = infer_predicate,
    .ref = is_nan_ref,
    .onnx = "IsNaN",
    .onnx_since = 9,
    .c_expr = "x != x",
    .cases = GLIA_CASES(CASES),
};

#define FIELD(member, meaning)                                                                   \
    {                                                                                            \
        .name = #member, .kind = GLIA_FIELD_BOOL, .offset = offsetof(glia_is_inf_attrs, member), \
        .initial = "yes", .doc = meaning                                                         \
    }

GLIA_OP(is_inf) = {
    .name = "is_inf",
    .version = 1,
    .doc = "y = x is ∞ or −∞",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_NO_GRADIENT,
    .attrs = GLIA_FIELDS(FIELD(detect_negative, "whether −∞ counts"),
                         FIELD(detect_positive, "whether ∞ counts")),
    .attrs_size = sizeof(glia_is_inf_attrs),
    .infer = infer_predicate,
    .ref = is_inf_ref,
    .onnx = "IsInf",
    .onnx_since = 10,
    .c_expr = "x - x != 0 && x == x && (x < 0 ? detect_negative == 1 : detect_positive == 1)",
    .cases = GLIA_CASES(CASES, {.inputs = "3x4", .attrs = "detect_negative=no"}),
};

glia_value *glia_op_is_nan(glia_value *x) {
    return glia__apply1("is_nan", x);
}

glia_value *glia_op_is_inf(glia_value *x, glia_is_inf_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "is_inf", &x, 1, &attrs);
}
