/* helpers.c: what written functions call: the functions of ops/mathf.h in C99 and C++, without the C library, so that loops
 * over them become vectors and small machines need no <math.h>; and the scalar product. NAME stands for the prefix. */

#include "emit/emit.h"

static const char bits_text[] = "static float NAME_float_of_bits(uint32_t bits) {\n"
                                "    union { uint32_t u; float f; } x;\n"
                                "    x.u = bits;\n"
                                "    return x.f;\n"
                                "}\n"
                                "\n";

static const char rest_text[] =
    "/* e^x - 1 of what is left of x without n ln 2, at most ln(2)/2. */\n"
    "static float NAME_exp_rest(float x, int32_t *n) {\n"
    "    const int32_t k = x == x ? (int32_t)(x * 1.44269504f + (x < 0 ? -0.5f : 0.5f)) : 0;\n"
    "    const float whole = (float)k;\n"
    "    const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;\n"
    "    float p = 1.0f / 5040;\n"
    "    p = p * r + 1.0f / 720;\n"
    "    p = p * r + 1.0f / 120;\n"
    "    p = p * r + 1.0f / 24;\n"
    "    p = p * r + 1.0f / 6;\n"
    "    p = p * r + 0.5f;\n"
    "    *n = k;\n"
    "    return r + r * r * p;\n"
    "}\n"
    "\n";

static const char exp_text[] =
    "static float NAME_exp(float x) {\n"
    "    int32_t n;\n"
    "    const float low = x < -176.0f ? -176.0f : x, q = NAME_exp_rest(low > 89.0f ? 89.0f : low, &n);\n"
    "    const int32_t half = n / 2;\n"
    "    return (1 + q) * NAME_float_of_bits((uint32_t)(half + 127) << 23) *\n"
    "           NAME_float_of_bits((uint32_t)(n - half + 127) << 23);\n"
    "}\n"
    "\n";

static const char expm1_text[] =
    "static float NAME_expm1(float x) {\n"
    "    int32_t n;\n"
    "    const float low = x < -30.0f ? -30.0f : x, q = NAME_exp_rest(low > 89.0f ? 89.0f : low, &n);\n"
    "    const int32_t half = n / 2;\n"
    "    const float up = NAME_float_of_bits((uint32_t)(half + 127) << 23),\n"
    "                rest = NAME_float_of_bits((uint32_t)(n - half + 127) << 23);\n"
    "    return n > 127 ? (1 + q) * up * rest : (q * up) * rest + (up * rest - 1);\n"
    "}\n"
    "\n";

static const char tanh_text[] = "static float NAME_tanh(float x) {\n"
                                "    const float m = NAME_expm1(x < 0 ? 2 * x : -2 * x), y = -m / (m + 2);\n"
                                "    return x < 0 ? -y : y;\n"
                                "}\n"
                                "\n";

static const char log1p_text[] =
    "static float NAME_log1p(float x) {\n"
    "    union { uint32_t u; float f; } bits;\n"
    "    const float u = 1 + x;\n"
    "    int32_t k;\n"
    "    float m, s, s2, p = 2.0f / 9;\n"
    "    if (!(x > -1)) return x == -1 ? -1 / (x + 1) : (x - x) / (x - x);\n"
    "    if (x - x != 0) return x; /* infinite */\n"
    "    bits.f = u;\n"
    "    k = bits.u >= 0x3F3504F3u ? (int32_t)((bits.u - 0x3F3504F3u) >> 23)\n"
    "                              : -(int32_t)((0x3F3504F3u - bits.u + 0x7FFFFFu) >> 23);\n"
    "    m = NAME_float_of_bits(bits.u - ((uint32_t)k << 23));\n"
    "    s = (m - 1) / (m + 1), s2 = s * s;\n"
    "    p = p * s2 + 2.0f / 7;\n"
    "    p = p * s2 + 2.0f / 5;\n"
    "    p = p * s2 + 2.0f / 3;\n"
    "    return (float)k * 0.693147182f + (2 * s + s * s2 * p + (x - (u - 1)) / u);\n"
    "}\n"
    "\n";

static const char dot_text[] = "/* The sum of a[i] b[i], in eight lanes. */\n"
                               "static float NAME_dot(const float *a, const float *b, int n) {\n"
                               "    float s[8] = {0}, sum = 0;\n"
                               "    int i = 0;\n"
                               "    for (; i + 32 <= n; i += 32)\n"
                               "        for (int k = 0; k < 8; k++)\n"
                               "            s[k] = s[k] + (a[i + k] * b[i + k] + a[i + 8 + k] * b[i + 8 + k] "
                               "+ a[i + 16 + k] * b[i + 16 + k] +\n"
                               "                           a[i + 24 + k] * b[i + 24 + k]);\n"
                               "    for (; i + 8 <= n; i += 8)\n"
                               "        for (int k = 0; k < 8; k++) s[k] = s[k] + a[i + k] * b[i + k];\n"
                               "    for (; i < n; i++) sum = sum + a[i] * b[i];\n"
                               "    for (int k = 0; k < 8; k++) sum = sum + s[k];\n"
                               "    return sum;\n"
                               "}\n"
                               "\n";

static void add_named(glia_text *out, const char *text, const char *prefix) {
    for (const char *next; (next = strstr(text, "NAME")); text = next + 4) {
        glia__text_add_bytes(out, text, (size_t)(next - text));
        glia__text_add(out, prefix);
    }
    glia__text_add(out, text);
}

void glia__emit_helpers(uint32_t needs, const char *prefix, glia_text *out) {
    if (needs & GLIA_C_TANH) needs |= GLIA_C_EXPM1;
    if (needs & (GLIA_C_EXP | GLIA_C_EXPM1 | GLIA_C_LOG1P)) add_named(out, bits_text, prefix);
    if (needs & (GLIA_C_EXP | GLIA_C_EXPM1)) add_named(out, rest_text, prefix);
    if (needs & GLIA_C_EXP) add_named(out, exp_text, prefix);
    if (needs & GLIA_C_EXPM1) add_named(out, expm1_text, prefix);
    if (needs & GLIA_C_TANH) add_named(out, tanh_text, prefix);
    if (needs & GLIA_C_LOG1P) add_named(out, log1p_text, prefix);
    if (needs & GLIA_C_DOT) add_named(out, dot_text, prefix);
}
