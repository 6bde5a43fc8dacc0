/* mathf.h: exp, expm1, log1p and tanh of floats, written so that loops over them become vector code, which calls of
 * the C library do not. Error below 3 units in the last place (tests/test_ops_values.c measures it). Doubles, which
 * are for checking, go to the C library. Includes <tgmath.h> and replaces these four of its names. */
#ifndef GLIA_OPS_MATHF_H
#define GLIA_OPS_MATHF_H

#include <stdint.h>
#include <string.h>
#include <tgmath.h>

#include "core/isa.h"

GLIA_CPU_INLINE float glia__float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x = n·ln 2 + r with |r| ≤ ln(2)/2: n goes to *n, the result is eʳ − 1 = r + r²/2 + … + r⁸/8!, and what follows is
 * below 2⁻²⁹. ln 2 is subtracted in two parts so that r is exact. n is rounded by adding 1.5·2²³. */
GLIA_CPU_INLINE float glia__exp_rest(float x, int32_t *n) {
    const float shifted = x * 1.44269504f + 12582912.0f, whole = shifted - 12582912.0f;
    const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    *n = (int32_t)(bits - 0x4B400000u);
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    return r + r * r * p;
}

/* 2ⁿ is multiplied in two steps, since it may not be a float. Above 89 the result is infinite; at −176 n is −254 and both
 * factors have the bits of 0: masked elements (x = −10⁹) do not pay for the slow underflow of processors. */
GLIA_CPU_INLINE float glia__expf(float x) {
    int32_t n;
    const float low = x < -176.0f ? -176.0f : x, q = glia__exp_rest(low > 89.0f ? 89.0f : low, &n);
    const int32_t half = n >> 1;
    return (1 + q) * glia__float_of_bits((uint32_t)(half + 127) << 23) *
           glia__float_of_bits((uint32_t)(n - half + 127) << 23);
}

/* eˣ − 1 = 2ⁿ·(eʳ − 1) + (2ⁿ − 1), where nothing cancels. */
GLIA_CPU_INLINE float glia__expm1f(float x) {
    int32_t n;
    const float low = x < -30.0f ? -30.0f : x, q = glia__exp_rest(low > 89.0f ? 89.0f : low, &n);
    const int32_t half = n >> 1; /* of 2¹²⁸ only halves are floats */
    const float up = glia__float_of_bits((uint32_t)(half + 127) << 23),
                rest = glia__float_of_bits((uint32_t)(n - half + 127) << 23);
    const float y = (q * up) * rest + (up * rest - 1);
    return n > 127 ? (1 + q) * up * rest : y;
}

/* tanh x = (e²ˣ − 1)/(e²ˣ + 1), by the side on which e²ˣ is small. */
GLIA_CPU_INLINE float glia__tanhf(float x) {
    const float m = glia__expm1f(-2 * fabsf(x)), y = -m / (m + 2);
    return copysignf(y, x);
}

/* 1 + x = u = 2ᵏ·m with m in [√½, √2): ln u = k·ln 2 + 2·atanh((m − 1)/(m + 1)); and what rounding 1 + x lost. */
GLIA_CPU_INLINE float glia__log1pf(float x) {
    const float u = 1 + x;
    uint32_t bits;
    memcpy(&bits, &u, sizeof bits);
    const int32_t k = (int32_t)(bits - 0x3F3504F3u) >> 23;
    const float m = glia__float_of_bits(bits - ((uint32_t)k << 23));
    const float s = (m - 1) / (m + 1), s2 = s * s;
    float p = 2.0f / 9;
    p = p * s2 + 2.0f / 7;
    p = p * s2 + 2.0f / 5;
    p = p * s2 + 2.0f / 3;
    const float lost = (x - (u - 1)) / u;
    const float y = (float)k * 0.693147182f + (2 * s + s * s2 * p + lost);
    const float high = x < INFINITY ? y : x;    /* also NaN */
    return x > -1 ? high : sqrtf(u) - INFINITY; /* −∞ at −1, NaN below, without a branch */
}

#undef exp
#undef expm1
#undef log1p
#undef tanh
#define exp(x)   _Generic((x), float : glia__expf, default : exp)(x)
#define expm1(x) _Generic((x), float : glia__expm1f, default : expm1)(x)
#define log1p(x) _Generic((x), float : glia__log1pf, default : log1p)(x)
#define tanh(x)  _Generic((x), float : glia__tanhf, default : tanh)(x)

#endif
