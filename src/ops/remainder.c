/* remainder.c: whole quotients and remainders, place by place with NumPy broadcasting. */

#include "graph/to_onnx.h"
#include "ops/binary.h"

#ifdef GLIA_OPS_HEADER
/* Shapes broadcast as in NumPy; dtypes are equal: f32, f64, i32, i64 or u8. Whole numbers: by 0 gives 0. */
GLIA_API glia_value *glia_op_mod(glia_value *a, glia_value *b);       /* a − ⌊a/b⌋·b: the sign of b */
GLIA_API glia_value *glia_op_fmod(glia_value *a, glia_value *b);      /* a − trunc(a/b)·b: the sign of a */
GLIA_API glia_value *glia_op_trunc_div(glia_value *a, glia_value *b); /* a/b without what follows the point */
#endif                                                                /* GLIA_OPS_HEADER */

/* ONNX's Mod takes the sign of b for whole numbers only. */
static void mod_to_onnx(glia_to_onnx *w) {
    if (!glia_dtype_is_float(w->node->inputs[0]->type.dtype)) {
        GLIA_TO_ONNX(w, w->y[0], "Mod", w->x[0], w->x[1]);
        return;
    }
    const char *whole = GLIA_TO_ONNX(w, NULL, "Floor", GLIA_TO_ONNX(w, NULL, "Div", w->x[0], w->x[1]));
    GLIA_TO_ONNX(w, w->y[0], "Sub", w->x[0], GLIA_TO_ONNX(w, NULL, "Mul", whole, w->x[1]));
}

static void fmod_to_onnx(glia_to_onnx *w) {
    GLIA_TO_ONNX(w, w->y[0], "Mod", w->x[0], w->x[1]);
    glia__to_onnx_int(w, "fmod", 1);
}

/* Towards 0: ⌊|a/b|⌋ with the sign; ONNX divides whole numbers so by itself. */
static void trunc_div_to_onnx(glia_to_onnx *w) {
    if (w->node->inputs[0]->type.dtype == GLIA_U8 && w->opset < 14) {
        glia__to_onnx_refuse(w, "ONNX divides u8 since opset 14 (--opset 14)");
        return;
    }
    if (!glia_dtype_is_float(w->node->inputs[0]->type.dtype)) {
        GLIA_TO_ONNX(w, w->y[0], "Div", w->x[0], w->x[1]);
        return;
    }
    const char *quotient = GLIA_TO_ONNX(w, NULL, "Div", w->x[0], w->x[1]);
    const char *size = GLIA_TO_ONNX(w, NULL, "Floor", GLIA_TO_ONNX(w, NULL, "Abs", quotient));
    GLIA_TO_ONNX(w, w->y[0], "Mul", size, GLIA_TO_ONNX(w, NULL, "Sign", quotient));
}

/* The expressions are texts too: their spacing is kept. */
/* clang-format off */
static const char *mod_expr(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    if (in->dtype == GLIA_U8) return "y == 0 ? 0 : x % y";
    return glia_dtype_is_float(in->dtype)
               ? "fmod(x, y) + (fmod(x, y) != 0 && (fmod(x, y) < 0) != (y < 0) ? y : 0)"
               : "y == 0 || y == -1 ? 0 : x % y != 0 && (x % y < 0) != (y < 0) ? x % y + y : x % y";
}
SIGNED_ROWS(mod, y == 0 || y == -1 ? 0 : x % y != 0 && (x % y < 0) != (y < 0) ? x % y + y : x % y)
GLIA_BROADCAST_ROW(mod_u8, uint8_t, uint8_t, y == 0 ? 0 : x % y)
NUMBER_OP(mod, fmod(x, y) + (fmod(x, y) != 0 && (fmod(x, y) < 0) != (y < 0) ? y : 0),
          .onnx_write = mod_to_onnx, .doc = "y = a − ⌊a/b⌋·b, with the sign of b; whole numbers: a mod 0 = 0",
          .source = "numpy.mod; ONNX Mod has this sign for whole numbers only", .c_expr_for = mod_expr,
          .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE,
          NUMBER_CASES("away", "pos"));

static const char *fmod_expr(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    if (in->dtype == GLIA_U8) return "y == 0 ? 0 : x % y";
    return glia_dtype_is_float(in->dtype) ? "fmod(x, y)" : "y == 0 || y == -1 ? 0 : x % y";
}
SIGNED_ROWS(fmod, y == 0 || y == -1 ? 0 : x % y)
GLIA_BROADCAST_ROW(fmod_u8, uint8_t, uint8_t, y == 0 ? 0 : x % y)
NUMBER_OP(fmod, fmod(x, y), .onnx_write = fmod_to_onnx, .doc = "y = a − trunc(a/b)·b, with the sign of a; whole numbers: by 0 gives 0",
          .source = "C, fmod; ONNX Mod with fmod = 1", .c_expr_for = fmod_expr,
          .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE, NUMBER_CASES("away", "pos"));

static const char *trunc_div_expr(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    if (in->dtype == GLIA_U8) return "y == 0 ? 0 : x / y";
    return glia_dtype_is_float(in->dtype) ? "trunc(x / y)"
                                          : "y == 0 ? 0 : y == -1 ? (T)(0 - (uint64_t)x) : x / y";
}
/* −x as unsigned: the least number has no opposite, and stays. */
SIGNED_ROWS(trunc_div, y == 0 ? 0 : y == -1 ? (T)(0 - (uint64_t)x) : x / y)
GLIA_BROADCAST_ROW(trunc_div_u8, uint8_t, uint8_t, y == 0 ? 0 : x / y)
NUMBER_OP(trunc_div, trunc(x / y),
          .doc = "y = trunc(a/b); whole numbers: by 0 gives 0; gradient 0", .source = "C, division of integers",
          .c_expr_for = trunc_div_expr,
          .onnx_write = trunc_div_to_onnx,
          .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE, NUMBER_CASES("away", "pos"));
/* clang-format on */

/* A remainder is a − whole·b, and `whole` is flat. */
static void remainder_grad(glia_gradient *g, glia_value *whole) {
    if (g->needed[0]) g->dx[0] = glia__sum_to(g->dy[0], g->x[0]);
    if (g->needed[1])
        g->dx[1] = glia__apply1("neg", glia__sum_to(glia__apply2("mul", g->dy[0], whole), g->x[1]));
}

static void mod_grad(glia_gradient *g) {
    remainder_grad(g, g->needed[1] ? glia__apply1("floor", glia__apply2("div", g->x[0], g->x[1])) : NULL);
}

static void fmod_grad(glia_gradient *g) {
    remainder_grad(g, g->needed[1] ? glia_op_trunc_div(g->x[0], g->x[1]) : NULL);
}

static void trunc_div_grad(glia_gradient *g) {
    (void)g;
}
