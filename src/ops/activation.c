/* activation.c: the functions between layers, and one backward op each, so that training passes over memory
 * once. Those that few networks have, without one, are in activation_more.c.
 *
 * Backward ops take dy and what the forward pass kept, the result y where that is enough: the input's memory
 * is then free. In their expressions x is dy, and y what was kept. */

#include "graph/to_onnx.h"
#include "ops/expr.h"
#include "ops/widen.h"

#ifdef GLIA_OPS_HEADER
GLIA_API glia_value *glia_op_relu(glia_value *x);     /* max(x, 0) */
GLIA_API glia_value *glia_op_sigmoid(glia_value *x);  /* 1/(1 + e⁻ˣ) */
GLIA_API glia_value *glia_op_tanh(glia_value *x);     /* hyperbolic tangent */
GLIA_API glia_value *glia_op_silu(glia_value *x);     /* x·sigmoid(x), also called swish */
GLIA_API glia_value *glia_op_softplus(glia_value *x); /* ln(1 + eˣ) */

typedef struct glia_leaky_relu_attrs {
    double slope; /* of negative inputs; default 0.01 */
} glia_leaky_relu_attrs;
/* x where x > 0, slope·x elsewhere. */
GLIA_API glia_value *glia_op_leaky_relu(glia_value *x, glia_leaky_relu_attrs attrs);

typedef struct glia_elu_attrs {
    double alpha; /* the limit at −∞ is −alpha; default 1 */
} glia_elu_attrs;
/* x where x > 0, alpha·(eˣ − 1) elsewhere. */
GLIA_API glia_value *glia_op_elu(glia_value *x, glia_elu_attrs attrs);
/* 1.0507·elu(x) with alpha 1.67326: keeps mean 0 and variance 1. */
GLIA_API glia_value *glia_op_selu(glia_value *x);

typedef struct glia_gelu_attrs {
    int approximate; /* 0 none: exact, with erf; 1 tanh: the approximation of BERT and GPT-2 */
} glia_gelu_attrs;
/* x·Φ(x), Φ the normal distribution function. */
GLIA_API glia_value *glia_op_gelu(glia_value *x, glia_gelu_attrs attrs);

typedef struct glia_hard_sigmoid_attrs {
    double alpha, beta; /* default 0.2 and 0.5 */
} glia_hard_sigmoid_attrs;
/* clip(alpha·x + beta, 0, 1). */
GLIA_API glia_value *glia_op_hard_sigmoid(glia_value *x, glia_hard_sigmoid_attrs attrs);

typedef struct glia_clip_attrs {
    double min, max; /* both are needed; −inf and inf leave a side open */
} glia_clip_attrs;
/* x kept within [min, max]. */
GLIA_API glia_value *glia_op_clip(glia_value *x, glia_clip_attrs attrs);
#endif /* GLIA_OPS_HEADER */

/* f32 and f64 by the loops of name_ref, bf16 by way of f32. */
#define WITH_BF16(op)                                 \
    static glia_status op##_any(const glia_call *c) { \
        return glia__run_tiled(c, op##_ref);          \
    }

/* An op whose gradient is op_backward(dy, kept) with the same attributes; `kept` is x or y. */
#define ACTIVATION_BLOCK(op, kept, text, ...)                \
    static void op##_grad(glia_gradient *g) {                \
        g->dx[0] = backward(#op "_backward", g, g->kept[0]); \
    }                                                        \
    WITH_BF16(op)                                            \
    GLIA_OP(op) = {.name = #op,                              \
                   .version = 1,                             \
                   .min_inputs = 1,                          \
                   .max_inputs = 1,                          \
                   .infer = glia__tiled_infer,               \
                   .grad = op##_grad,                        \
                   .ref = op##_any,                          \
                   .workspace = glia__tiled_workspace,       \
                   .c_expr = text,                           \
                   __VA_ARGS__}
#define ACTIVATION_OP(op, kept, expr, locals, ...) \
    GLIA_EXPR_REF1(op, expr, locals)               \
    ACTIVATION_BLOCK(op, kept, #expr, __VA_ARGS__)

#define BACKWARD_BLOCK(op, text, more_traits, ...)     \
    WITH_BF16(op)                                      \
    GLIA_OP(op) = {.name = #op,                        \
                   .version = 1,                       \
                   .min_inputs = 2,                    \
                   .max_inputs = 2,                    \
                   .traits = BACKWARD | (more_traits), \
                   .infer = infer_backward,            \
                   .ref = op##_any,                    \
                   .workspace = backward_workspace,    \
                   .c_expr = text,                     \
                   __VA_ARGS__}
/* The gradient of a backward op: linear in dy, hence the same op again; `second` is the one of what was kept. */
#define BACKWARD_OP(op, expr, second, locals, ...)                  \
    GLIA_EXPR_REF2(op, expr, locals)                                \
    static void op##_grad(glia_gradient *g) {                       \
        glia_value *ddx = g->dy[0], *dy = g->x[0], *kept = g->x[1]; \
        (void)ddx, (void)dy, (void)kept;                            \
        if (g->needed[0]) g->dx[0] = backward(#op, g, kept);        \
        if (g->needed[1]) g->dx[1] = (second);                      \
    }                                                               \
    BACKWARD_BLOCK(op, #expr, 0, .grad = op##_grad, __VA_ARGS__)

/* gelu and its backward op, which is not differentiated again: one loop for each answer to `approximate`. */
#define IS_APPROXIMATE (((const glia_gelu_attrs *)c->attrs)->approximate != 0)
#define ACTIVATION_GELU_OP(op, kept, expr, ...)                                             \
    GLIA_EXPR_REF(op, , GLIA_EXPR_BOTH(approximate, IS_APPROXIMATE, GLIA_EXPR_LOOP1(expr))) \
    ACTIVATION_BLOCK(op, kept, #expr, __VA_ARGS__)
#define BACKWARD_GELU_OP(op, expr, ...)                                                     \
    GLIA_EXPR_REF(op, , GLIA_EXPR_BOTH(approximate, IS_APPROXIMATE, GLIA_EXPR_LOOP2(expr))) \
    BACKWARD_BLOCK(op, #expr, GLIA_TRAIT_NO_GRADIENT, __VA_ARGS__)

static void silu_to_onnx(glia_to_onnx *w) {
    GLIA_TO_ONNX(w, w->y[0], "Mul", w->x[0], GLIA_TO_ONNX(w, NULL, "Sigmoid", w->x[0]));
}

/* ½x·(1 + erf(x/√2)), or ½x·(1 + tanh(√(2/π)·(x + 0.044715·x³))): what Gelu is, which ONNX has since opset 20. */
static void gelu_to_onnx(glia_to_onnx *w) {
    const bool tanh_like = ((const glia_gelu_attrs *)w->node->attrs)->approximate != 0;
    const glia_dtype dtype = w->node->inputs[0]->type.dtype;
    const char *x = w->x[0], *inner = x;
    if (w->opset >= 20) {
        GLIA_TO_ONNX(w, w->y[0], "Gelu", x);
        glia__to_onnx_text(w, "approximate", tanh_like ? "tanh" : "none");
        return;
    }
    if (tanh_like) {
        inner = GLIA_TO_ONNX(w, NULL, "Mul", GLIA_TO_ONNX(w, NULL, "Mul", x, x), x);
        inner = GLIA_TO_ONNX(w, NULL, "Mul", inner, glia__to_onnx_number(w, dtype, 0.044715));
        inner = GLIA_TO_ONNX(w, NULL, "Add", inner, x);
    }
    inner = GLIA_TO_ONNX(w, NULL, "Mul", inner,
                         glia__to_onnx_number(w, dtype, tanh_like ? 0.7978845608028654 : 0.7071067811865476));
    inner = GLIA_TO_ONNX(w, NULL, tanh_like ? "Tanh" : "Erf", inner);
    inner = GLIA_TO_ONNX(w, NULL, "Add", inner, glia__to_onnx_number(w, dtype, 1));
    const char *half = GLIA_TO_ONNX(w, NULL, "Mul", x, glia__to_onnx_number(w, dtype, 0.5));
    GLIA_TO_ONNX(w, w->y[0], "Mul", half, inner);
}

static void clip_to_onnx(glia_to_onnx *w) {
    const glia_clip_attrs *a = w->node->attrs;
    const glia_dtype dtype = w->node->inputs[0]->type.dtype;
    GLIA_TO_ONNX(w, w->y[0], "Clip", w->x[0], glia__to_onnx_number(w, dtype, a->min),
                 glia__to_onnx_number(w, dtype, a->max));
}

#define BACKWARD (GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE | GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX)
#define PLAIN    .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE | GLIA_TRAIT_ACTIVATION
#define ERRORS                                                                       \
    {.inputs = "3:i64<9", .expect_error = "expected f32 or f64, found i64 3"}, {     \
        .inputs = "2x3:bool", .expect_error = "expected f32 or f64, found bool 2×3" \
    }
#define SHAPES                                                                                            \
    {.inputs = "4x5:away"}, {.inputs = "2x3x17:away"}, {.inputs = "scalar:away"}, {.inputs = "1:away"}, { \
        .inputs = "0x3:away"                                                                              \
    }
#define CASES .cases = GLIA_CASES(SHAPES, ERRORS)
#define BACKWARD_ERROR \
    { .inputs = "4x5 5", .expect_error = "dy f32 4×5 and f32 5 differ" }
#define BACKWARD_CASES(kind)                                                            \
    .cases = GLIA_CASES({.inputs = "4x5 4x5:" kind}, {.inputs = "2x3x17 2x3x17:" kind}, \
                        {.inputs = "scalar scalar:" kind}, {.inputs = "0x3 0x3:" kind}, BACKWARD_ERROR)

static glia_value *backward(const char *op, const glia_gradient *g, glia_value *kept) {
    glia_value *inputs[] = {g->dy[0], kept};
    return glia_graph_apply(g->graph, op, inputs, 2, g->attrs);
}

static size_t backward_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    return glia__tiled_workspace(in, out, attrs) + glia__tiled_bytes(&in[1]);
}

static glia_status infer_backward(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                  glia_error *err) {
    if (in[0].dtype != in[1].dtype || !glia_shape_equal(&in[0].shape, &in[1].shape)) {
        char dy[160], kept[160];
        return glia_error_set(err, GLIA_BAD_SHAPE, "dy %s and %s differ",
                              glia__type_text(&in[0], dy, sizeof dy),
                              glia__type_text(&in[1], kept, sizeof kept));
    }
    return glia__tiled_infer(in, n_in, attrs, out, err);
}

/* ddx·dy·slope, for second gradients. */
static glia_value *product(glia_value *ddx, glia_value *dy, glia_value *slope) {
    return glia__apply2("mul", glia__apply2("mul", ddx, dy), slope);
}
/* 1 − 2y */
static glia_value *one_minus_twice(glia_value *y) {
    return glia__apply2("sub", glia__number(y, 1), glia__scaled(y, 2));
}
/* ddx·dy where y < 0, else 0: the slope of elu's slope, y + alpha */
static glia_value *where_negative(glia_value *ddx, glia_value *dy, glia_value *y) {
    glia_value *zero = glia__number(y, 0);
    return glia__apply3("where", glia__apply2("less", y, zero), glia__apply2("mul", ddx, dy), zero);
}
#define NONE NULL

/* The slope of silu's slope: s(1 − s)(2 + x(1 − 2s)), s = sigmoid(x). */
static glia_value *silu_second(glia_value *ddx, glia_value *dy, glia_value *x) {
    glia_value *s = glia_op_sigmoid(x);
    glia_value *bend = glia__apply2("add", glia__apply2("mul", x, one_minus_twice(s)), glia__number(x, 2));
    return product(glia__apply2("sigmoid_backward", ddx, s), dy, bend);
}

static const glia_field leaky_relu_fields[] = {{.name = "slope",
                                                .kind = GLIA_FIELD_FLOAT,
                                                .offset = offsetof(glia_leaky_relu_attrs, slope),
                                                .initial = "0.01",
                                                .min = 1e-9,
                                                .max = 1e9,
                                                .doc = "factor of negative inputs",
                                                .onnx = "alpha"},
                                               {.name = NULL}};
static const glia_field elu_fields[] = {{.name = "alpha",
                                         .kind = GLIA_FIELD_FLOAT,
                                         .offset = offsetof(glia_elu_attrs, alpha),
                                         .initial = "1",
                                         .min = 1e-9,
                                         .max = 1e9,
                                         .doc = "minus the limit at −∞"},
                                        {.name = NULL}};
static const glia_field gelu_fields[] = {{.name = "approximate",
                                          .kind = GLIA_FIELD_CHOICE,
                                          .offset = offsetof(glia_gelu_attrs, approximate),
                                          .initial = "none",
                                          .choices = "none|tanh",
                                          .doc = "none: exact; tanh: as in BERT and GPT-2"},
                                         {.name = NULL}};
static const glia_field hard_sigmoid_fields[] = {{.name = "alpha",
                                                  .kind = GLIA_FIELD_FLOAT,
                                                  .offset = offsetof(glia_hard_sigmoid_attrs, alpha),
                                                  .initial = "0.2",
                                                  .min = 1e-9,
                                                  .max = 1e9,
                                                  .doc = "slope"},
                                                 {.name = "beta",
                                                  .kind = GLIA_FIELD_FLOAT,
                                                  .offset = offsetof(glia_hard_sigmoid_attrs, beta),
                                                  .initial = "0.5",
                                                  .min = 1e-9,
                                                  .max = 1,
                                                  .doc = "value at 0"},
                                                 {.name = NULL}};
static const glia_field clip_fields[] = {{.name = "min",
                                          .kind = GLIA_FIELD_FLOAT,
                                          .offset = offsetof(glia_clip_attrs, min),
                                          .doc = "lower bound, may be -inf"},
                                         {.name = "max",
                                          .kind = GLIA_FIELD_FLOAT,
                                          .offset = offsetof(glia_clip_attrs, max),
                                          .doc = "upper bound, may be inf"},
                                         {.name = NULL}};
#define ATTRS(op) .attrs = op##_fields, .attrs_size = sizeof(glia_##op##_attrs)

/* The expressions are texts too: their spacing is kept. */
/* clang-format off */

ACTIVATION_OP(relu, y, x < 0 ? 0 : x, , .doc = "y = max(x, 0)", .onnx = "Relu", .onnx_since = 6, PLAIN,
              CASES);
BACKWARD_OP(relu_backward, y <= 0 ? 0 : x, NONE, , .doc = "dx = dy where y > 0, else 0",
            BACKWARD_CASES("away"));

ACTIVATION_OP(leaky_relu, y, x < 0 ? slope * x : x, GLIA_EXPR_ATTR(leaky_relu, slope),
              .doc = "y = x where x > 0, else slope·x", .source = "Maas, Hannun, Ng, ICML workshop 2013",
              .onnx = "LeakyRelu", .onnx_since = 6, PLAIN, ATTRS(leaky_relu),
              .cases = GLIA_CASES(SHAPES, {.inputs = "3x4:away", .attrs = "slope=0.3"}, ERRORS));
BACKWARD_OP(leaky_relu_backward, y <= 0 ? slope * x : x, NONE, GLIA_EXPR_ATTR(leaky_relu, slope),
            .doc = "dx = dy where y > 0, else slope·dy", ATTRS(leaky_relu),
            .cases = GLIA_CASES({.inputs = "4x5 4x5:away"}, {.inputs = "3 3:away", .attrs = "slope=0.3"},
                                BACKWARD_ERROR));

/* Never the exponential of a positive number, which would overflow. */
ACTIVATION_OP(sigmoid, y, (x < 0 ? exp(-fabs(x)) : 1) / (1 + exp(-fabs(x))), , .doc = "y = 1/(1 + e⁻ˣ)",
              .onnx = "Sigmoid", .onnx_since = 6, PLAIN, CASES);
BACKWARD_OP(sigmoid_backward, x * y * (1 - y), product(ddx, dy, one_minus_twice(kept)), ,
            .doc = "dx = dy·y·(1 − y)", BACKWARD_CASES("unit"));

ACTIVATION_OP(tanh, y, tanh(x), , .doc = "y = tanh x", .onnx = "Tanh", .onnx_since = 6, PLAIN, CASES);
BACKWARD_OP(tanh_backward, x * (1 - y * y), product(ddx, dy, glia__scaled(kept, -2)), ,
            .doc = "dx = dy·(1 − y²)", BACKWARD_CASES("unit"));

ACTIVATION_OP(softplus, x, (x < 0 ? 0 : x) + log1p(exp(-fabs(x))), , .doc = "y = ln(1 + eˣ)",
              .onnx = "Softplus", .onnx_since = 1, PLAIN, CASES);
BACKWARD_OP(softplus_backward, x * (y < 0 ? exp(-fabs(y)) : 1) / (1 + exp(-fabs(y))),
            product(glia__apply2("sigmoid_backward", ddx, glia_op_sigmoid(kept)), dy, glia__number(dy, 1)), ,
            .doc = "dx = dy/(1 + e⁻ˣ)", BACKWARD_CASES("away"));

ACTIVATION_OP(elu, y, x < 0 ? alpha * expm1(x) : x, GLIA_EXPR_ATTR(elu, alpha),
              .doc = "y = x where x > 0, else alpha·(eˣ − 1)",
              .source = "Clevert, Unterthiner, Hochreiter, ICLR 2016", .onnx = "Elu", .onnx_since = 6, PLAIN,
              ATTRS(elu), .cases = GLIA_CASES(SHAPES, {.inputs = "3x4:away", .attrs = "alpha=0.5"}, ERRORS));
BACKWARD_OP(elu_backward, y > 0 ? x : x * (y + alpha), where_negative(ddx, dy, kept),
            GLIA_EXPR_ATTR(elu, alpha), .doc = "dx = dy where y > 0, else dy·(y + alpha)", ATTRS(elu),
            .cases = GLIA_CASES({.inputs = "4x5 4x5:away"}, {.inputs = "3 3:away", .attrs = "alpha=2"},
                                BACKWARD_ERROR));

/* 1.7580993 = 1.6732632 · 1.0507010 */
ACTIVATION_OP(selu, y, x < 0 ? (T)1.7580993408473766 * expm1(x) : (T)1.0507009873554805 * x, ,
              .doc = "y = 1.0507·x where x > 0, else 1.75810·(eˣ − 1)",
              .source = "Klambauer, Unterthiner, Mayr, Hochreiter, NeurIPS 2017", .onnx = "Selu",
              .onnx_since = 6, PLAIN, CASES);
BACKWARD_OP(selu_backward, y > 0 ? (T)1.0507009873554805 * x : x * (y + (T)1.7580993408473766),
            where_negative(ddx, dy, kept), , .doc = "dx = 1.0507·dy where y > 0, else dy·(y + 1.75810)",
            BACKWARD_CASES("away"));

ACTIVATION_OP(silu, x, x / (1 + exp(-x)), , .doc = "y = x·sigmoid(x)",
              .source = "Elfwing, Uchibe, Doya 2017; Ramachandran, Zoph, Le 2017 (swish)", .onnx_write = silu_to_onnx, PLAIN,
              CASES);
BACKWARD_OP(silu_backward, x / (1 + exp(-y)) * (1 + y / (1 + exp(y))), silu_second(ddx, dy, kept), ,
            .doc = "dx = dy·s·(1 + x·(1 − s)), s = sigmoid(x)", BACKWARD_CASES("away"));

/* Exact: erfc keeps the small results of negative x.
 * 1.5957691 = 2√(2/π), since (1 + tanh u)/2 = 1/(1 + e^(−2u)). */
ACTIVATION_GELU_OP(gelu, x,
              approximate ? x / (1 + exp((T)-1.5957691216057308 * (x + (T)0.044715 * x * x * x)))
                          : x * erfc(x * (T)-0.7071067811865476) / 2,
              .doc = "y = x·Φ(x), Φ(x) = (1 + erf(x/√2))/2, or x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2",
              .source = "Hendrycks, Gimpel 2016", .onnx = "Gelu", .onnx_since = 20, .onnx_write = gelu_to_onnx, PLAIN, ATTRS(gelu),
              .cases = GLIA_CASES(SHAPES, {.inputs = "3x4:away", .attrs = "approximate=tanh"}, ERRORS));
BACKWARD_GELU_OP(gelu_backward,
                 approximate
                     ? x / (1 + exp((T)-1.5957691216057308 * (y + (T)0.044715 * y * y * y))) *
                           (1 +
                            y * (1 - 1 / (1 + exp((T)-1.5957691216057308 * (y + (T)0.044715 * y * y * y)))) *
                                (T)1.5957691216057308 * (1 + (T)0.134145 * y * y))
                     : x * (erfc(y * (T)-0.7071067811865476) / 2 + y * (T)0.3989422804014327 * exp(-y * y / 2)),
                 .doc = "dx = dy·(Φ(x) + x·φ(x)), or the slope of the approximation", ATTRS(gelu),
                 .cases = GLIA_CASES({.inputs = "4x5 4x5"},
                                     {.inputs = "3x4 3x4", .attrs = "approximate=tanh"}, BACKWARD_ERROR));

ACTIVATION_OP(hard_sigmoid, y,
              alpha * x + beta < 0 ? 0 : alpha * x + beta > 1 ? 1 : alpha * x + beta,
              GLIA_EXPR_ATTR(hard_sigmoid, alpha); GLIA_EXPR_ATTR(hard_sigmoid, beta),
              .doc = "y = min(max(alpha·x + beta, 0), 1)",
              .onnx = "HardSigmoid", .onnx_since = 6, PLAIN, ATTRS(hard_sigmoid),
              .cases = GLIA_CASES(SHAPES, {.inputs = "3x4:away", .attrs = "alpha=2 beta=0.1"}, ERRORS));
BACKWARD_OP(hard_sigmoid_backward, y > 0 && y < 1 ? alpha * x : 0, NONE, GLIA_EXPR_ATTR(hard_sigmoid, alpha),
            .doc = "dx = alpha·dy where 0 < y < 1, else 0", ATTRS(hard_sigmoid),
            .cases = GLIA_CASES({.inputs = "4x5 4x5:away"}, {.inputs = "3 3:unit", .attrs = "alpha=2"},
                                BACKWARD_ERROR));

ACTIVATION_OP(clip, x, x < min ? min : x > max ? max : x,
              GLIA_EXPR_ATTR(clip, min); GLIA_EXPR_ATTR(clip, max),
              .doc = "y = min(max(x, min), max); at the bounds the gradient passes",
              .onnx = "Clip", .onnx_since = 11, .onnx_write = clip_to_onnx, .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE, ATTRS(clip),
              .cases = GLIA_CASES({.inputs = "4x5:away", .attrs = "min=-1 max=1"},
                                  {.inputs = "3:away", .attrs = "min=0 max=6"},
                                  {.inputs = "3:away", .attrs = "min=-inf max=0"},
                                  {.inputs = "0x3", .attrs = "min=0 max=1"},
                                  {.inputs = "3:i64<9", .attrs = "min=0 max=1",
                                   .expect_error = "expected f32 or f64, found i64 3"}));
BACKWARD_OP(clip_backward, y >= min && y <= max ? x : 0, NONE,
            GLIA_EXPR_ATTR(clip, min); GLIA_EXPR_ATTR(clip, max),
            .doc = "dx = dy where min ≤ x ≤ max, else 0", ATTRS(clip),
            .cases = GLIA_CASES(
                {.inputs = "4x5 4x5:away", .attrs = "min=-1 max=1"},
                {.inputs = "3 4", .attrs = "min=0 max=1", .expect_error = "dy f32 3 and f32 4 differ"}));
/* clang-format on */

GLIA_EXPR_BUILDER(relu)
GLIA_EXPR_BUILDER(sigmoid)
GLIA_EXPR_BUILDER(tanh)
GLIA_EXPR_BUILDER(silu)
GLIA_EXPR_BUILDER(softplus)
GLIA_EXPR_BUILDER(selu)
GLIA_EXPR_BUILDER_ATTRS(leaky_relu)
GLIA_EXPR_BUILDER_ATTRS(elu)
GLIA_EXPR_BUILDER_ATTRS(gelu)
GLIA_EXPR_BUILDER_ATTRS(hard_sigmoid)
GLIA_EXPR_BUILDER_ATTRS(clip)
