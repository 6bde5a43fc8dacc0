/* cast.c: from any dtype to any other. */

#include "graph/to_onnx.h"
#include "ops/expr.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
/* x as another dtype. Floats to whole numbers: towards zero, kept within the range, NaN to 0. Whole numbers to
 * narrower ones wrap. To bool: x ≠ 0. To f32 and bf16: rounded to nearest. */
GLIA_API glia_value *glia_op_cast(glia_value *x, glia_dtype to);
#endif /* GLIA_OPS_HEADER */

typedef struct cast_attrs {
    int to; /* a glia_dtype */
} cast_attrs;

/* Elements pass through a small buffer of doubles (which hold every float exactly) or of int64, so that seven
 * dtypes need seven loops each way and not forty-nine. */
enum { BUFFER = 256 };

static bool is_float(glia_dtype dtype) {
    return dtype == GLIA_F32 || dtype == GLIA_F64 || dtype == GLIA_BF16;
}

static void load_floats(double *out, glia_dtype dtype, const void *data, int64_t at, int64_t n) {
    if (dtype == GLIA_F64) {
        memcpy(out, (const double *)data + at, (size_t)n * sizeof *out);
    } else if (dtype == GLIA_F32) {
        const float *x = (const float *)data + at;
        for (int64_t i = 0; i < n; i++) out[i] = x[i];
    } else {
        const uint16_t *x = (const uint16_t *)data + at;
        for (int64_t i = 0; i < n; i++) out[i] = glia_bf16_to_f32(x[i]);
    }
}

static void store_floats(void *data, glia_dtype dtype, int64_t at, const double *x, int64_t n) {
    if (dtype == GLIA_F64) {
        memcpy((double *)data + at, x, (size_t)n * sizeof *x);
    } else if (dtype == GLIA_F32) {
        float *out = (float *)data + at;
        for (int64_t i = 0; i < n; i++) out[i] = (float)x[i];
    } else {
        uint16_t *out = (uint16_t *)data + at;
        for (int64_t i = 0; i < n; i++) out[i] = glia_bf16_from_f32((float)x[i]);
    }
}

static void load_whole(int64_t *out, glia_dtype dtype, const void *data, int64_t at, int64_t n) {
    if (dtype == GLIA_I64) {
        memcpy(out, (const int64_t *)data + at, (size_t)n * sizeof *out);
    } else if (dtype == GLIA_I32) {
        const int32_t *x = (const int32_t *)data + at;
        for (int64_t i = 0; i < n; i++) out[i] = x[i];
    } else {
        const uint8_t *x = (const uint8_t *)data + at;
        for (int64_t i = 0; i < n; i++) out[i] = x[i];
    }
}

static void store_whole(void *data, glia_dtype dtype, int64_t at, const int64_t *x, int64_t n) {
    if (dtype == GLIA_I64) {
        memcpy((int64_t *)data + at, x, (size_t)n * sizeof *x);
    } else if (dtype == GLIA_I32) {
        int32_t *out = (int32_t *)data + at;
        for (int64_t i = 0; i < n; i++) out[i] = (int32_t)(uint32_t)x[i];
    } else {
        uint8_t *out = (uint8_t *)data + at;
        for (int64_t i = 0; i < n; i++) out[i] = dtype == GLIA_BOOL ? x[i] != 0 : (uint8_t)x[i];
    }
}

/* Towards zero, within [low, high]; NaN to 0. For bool any non-zero number, NaN too, is true. */
static void whole_from_floats(int64_t *out, glia_dtype to, const double *x, int64_t n) {
    static const struct {
        double low, high;
        int64_t highest;
    } range[GLIA_DTYPE_COUNT] = {[GLIA_I32] = {INT32_MIN, INT32_MAX, INT32_MAX},
                                 [GLIA_I64] = {(double)INT64_MIN, 0x1p63, INT64_MAX},
                                 [GLIA_U8] = {0, UINT8_MAX, UINT8_MAX}};
    const double low = range[to].low, high = range[to].high;
    for (int64_t i = 0; i < n; i++) {
        if (to == GLIA_BOOL)
            out[i] = x[i] != 0;
        else
            out[i] = x[i] >= high  ? range[to].highest
                     : x[i] > low  ? (int64_t)x[i]
                     : x[i] <= low ? (int64_t)low
                                   : 0;
    }
}

static void convert_block(const glia_view *in, glia_view *out, int64_t at, int64_t n) {
    double floats[BUFFER];
    int64_t whole[BUFFER];
    if (is_float(in->dtype)) {
        load_floats(floats, in->dtype, in->data, at, n);
        if (is_float(out->dtype)) {
            store_floats(out->data, out->dtype, at, floats, n);
        } else {
            whole_from_floats(whole, out->dtype, floats, n);
            store_whole(out->data, out->dtype, at, whole, n);
        }
        return;
    }
    load_whole(whole, in->dtype, in->data, at, n);
    if (!is_float(out->dtype)) {
        store_whole(out->data, out->dtype, at, whole, n);
    } else if (out->dtype == GLIA_F32) { /* rounded once, not by way of double */
        float *y = (float *)out->data + at;
        for (int64_t i = 0; i < n; i++) y[i] = (float)whole[i];
    } else {
        for (int64_t i = 0; i < n; i++) floats[i] = (double)whole[i];
        store_floats(out->data, out->dtype, at, floats, n);
    }
}

static glia_status cast_ref(const glia_call *c) {
    const int64_t n = glia_shape_elems(&c->out[0].shape);
    const glia_dtype from = c->in[0].dtype, to = c->out[0].dtype;
    if (from == GLIA_F32 && to == GLIA_BF16) {
        glia__narrow(c->in[0].data, c->out[0].data, n);
        return GLIA_OK;
    }
    if (from == GLIA_BF16 && to == GLIA_F32) {
        glia__widen(c->in[0].data, c->out[0].data, n);
        return GLIA_OK;
    }
    for (int64_t at = 0; at < n; at += BUFFER)
        convert_block(&c->in[0], &c->out[0], at, GLIA_MIN(n - at, (int64_t)BUFFER));
    return GLIA_OK;
}

static glia_status cast_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                              glia_error *err) {
    (void)n_in, (void)err;
    out[0] = (glia_type){(glia_dtype)((const cast_attrs *)attrs)->to, in[0].shape};
    return GLIA_OK;
}

static void cast_grad(glia_gradient *g) {
    if (g->needed[0]) g->dx[0] = glia_op_cast(g->dy[0], glia_value_dtype(g->x[0]));
}

static void cast_to_onnx(glia_to_onnx *w) {
    GLIA_TO_ONNX(w, w->y[0], "Cast", w->x[0]);
    glia__to_onnx_dtype(w, "to", (glia_dtype)((const cast_attrs *)w->node->attrs)->to);
}

/* "f32|f64|…" in the order of glia_dtype, so that a choice is a dtype. */
#define CHOICE(code, name, bytes, safetensors, npy) "|" name

static const char dtype_choices[] = GLIA_DTYPE_LIST(CHOICE);

/* What C leaves undefined is defined as above. */
static const char *cast_expr(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    if (out->dtype == GLIA_BOOL) return "x != 0";
    if (!is_float(in->dtype) || is_float(out->dtype)) return "x";
    if (out->dtype == GLIA_U8) return "x >= 255 ? 255 : x > 0 ? (uint8_t)x : 0";
    if (out->dtype == GLIA_I32)
        return "x >= (T)2147483647 ? INT32_MAX : x > (T)-2147483648.0 ? (int32_t)x : x == x ? INT32_MIN : 0";
    return "x >= (T)9223372036854775808.0 ? INT64_MAX : x > (T)-9223372036854775808.0 ? (int64_t)x : "
           "x == x ? INT64_MIN : 0";
}

GLIA_OP(cast) = {
    .name = "cast",
    .version = 1,
    .doc = "y = x as another dtype",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_ELEMENTWISE,
    .attrs = GLIA_FIELDS({.name = "to",
                          .kind = GLIA_FIELD_CHOICE,
                          .offset = offsetof(cast_attrs, to),
                          .initial = "f32",
                          .choices = dtype_choices + 1,
                          .doc = "dtype of the result"}),
    .attrs_size = sizeof(cast_attrs),
    .infer = cast_infer,
    .grad = cast_grad,
    .ref = cast_ref,
    .onnx = "Cast",
    .onnx_since = 13,
    .onnx_write = cast_to_onnx,
    .c_expr_for = cast_expr,
    .cases = GLIA_CASES({.inputs = "4x5", .attrs = "to=f99", .expect_error = "f99"}, {.inputs = "4x5"},
                        {.inputs = "4x5", .attrs = "to=f64"}, {.inputs = "4x50", .attrs = "to=bf16"},
                        {.inputs = "4x50:bf16"}, {.inputs = "300", .attrs = "to=i32"},
                        {.inputs = "4x5", .attrs = "to=i64"}, {.inputs = "4x5:pos", .attrs = "to=u8"},
                        {.inputs = "4x5", .attrs = "to=bool"}, {.inputs = "4x5:i64<9"},
                        {.inputs = "4x5:i64<300", .attrs = "to=u8"},
                        {.inputs = "4x5:i32<9", .attrs = "to=i64"}, {.inputs = "4x5:u8<9", .attrs = "to=f64"},
                        {.inputs = "9:bool"}, {.inputs = "9:bool", .attrs = "to=i64"}, {.inputs = "scalar"},
                        {.inputs = "0x3", .attrs = "to=i64"}),
};

glia_value *glia_op_cast(glia_value *x, glia_dtype to) {
    return glia_graph_apply(glia_value_graph(x), "cast", &x, 1, &(cast_attrs){(int)to});
}
