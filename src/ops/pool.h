/* pool.h: what the ops of pooling over images share: attributes, checks, and the loop over windows of their refs. */
#ifndef GLIA_OPS_POOL_H
#define GLIA_OPS_POOL_H

#include "core/isa.h"
#include "glia/ops.h"
#include "ops/widen.h"
#include "ops/window.h"

#define GLIA_POOL_FIELDS                                                                 \
    {.name = "size",                                                                     \
     .kind = GLIA_FIELD_INTS,                                                            \
     .offset = offsetof(glia_pool2d_attrs, size),                                        \
     .count = 2,                                                                         \
     .initial = "2",                                                                     \
     .min = 1,                                                                           \
     .max = 1 << 20,                                                                     \
     .doc = "height and width of the window",                                            \
     .onnx = "kernel_shape"},                                                            \
        {.name = "strides",                                                              \
         .kind = GLIA_FIELD_INTS,                                                        \
         .offset = offsetof(glia_pool2d_attrs, strides),                                 \
         .count = 2,                                                                     \
         .initial = "0",                                                                 \
         .min = 0,                                                                       \
         .max = 1 << 20,                                                                 \
         .doc = "steps of the window; 0: its size"},                                     \
        {.name = "padding",                                                              \
         .kind = GLIA_FIELD_CHOICE,                                                      \
         .offset = offsetof(glia_pool2d_attrs, padding),                                 \
         .initial = "valid",                                                             \
         .choices = "valid|same|explicit",                                               \
         .doc = "padding around the image: none, as for ⌈in/stride⌉ results, or `pads`", \
         .onnx = "auto_pad"},                                                            \
        {.name = "pads",                                                                 \
         .kind = GLIA_FIELD_INTS,                                                        \
         .offset = offsetof(glia_pool2d_attrs, pads),                                    \
         .count = 4,                                                                     \
         .initial = "0",                                                                 \
         .doc = "explicit padding: top, left, bottom, right"},                           \
        GLIA_CHANNELS_LAST_FIELD(glia_pool2d_attrs)

typedef struct glia_pool {
    glia_window h, w;
    int64_t n, c;
    glia_nchw x, y; /* steps between neighbours */
} glia_pool;

/* Attributes of max_pool2d_backward. */
typedef struct glia__max_pool2d_backward_attrs {
    glia_pool2d_attrs pool;
    glia_bool relu; /* x is the result of a relu, whose gradient is taken too */
} glia__max_pool2d_backward_attrs;

glia_status glia__pool_fit(glia_pool *p, const glia_type *x, const glia_pool2d_attrs *a, const char *op,
                           glia_error *err);
glia_status glia__pool_infer(const char *op, const glia_type *in, const void *attrs, glia_type *out,
                             glia_error *err);
/* x and dy of a backward op. */
glia_status glia__pool_backward_infer(const char *op, const glia_type *in, const void *attrs, glia_type *out,
                                      glia_error *err);
double glia__pool_flops(const glia_type *in, const glia_type *out, const void *attrs);
double glia__pool_backward_flops(const glia_type *in, const glia_type *out, const void *attrs);
/* Of ops that read their first input, or both, and write their output. */
size_t glia__pool_workspace(const glia_type *in, const glia_type *out, const void *attrs);
size_t glia__pool_backward_workspace(const glia_type *in, const glia_type *out, const void *attrs);

/* MaxPool or AveragePool; an attribute of its own may follow. The last node is the pool unless images lie channels last. */
void glia__pool_to_onnx(glia_to_onnx *w, const char *type, const char *attribute, int64_t value);

/* The part of window `at` that lies in the input: [*begin, *end). */
static inline void glia__pool_span(const glia_window *w, int64_t at, int64_t *begin, int64_t *end) {
    int64_t start = at * w->stride - w->pad;
    *begin = GLIA_MAX(start, 0);
    *end = GLIA_MIN(start + w->size, w->in);
}

/* Later beats earlier when it is larger, or not a number: PyTorch's rule, the first of equals wins. */
#define GLIA_POOL_BEATS(later, earlier) (((later) > (earlier)) | ((later) != (later)))

/* Choices by masks of 32 bits: of chains of conditional expressions compilers make branches, and no vectors. */
GLIA_CPU_INLINE uint32_t glia__pool_mask(int condition) {
    return 0 - (uint32_t)condition;
}
GLIA_CPU_INLINE float glia__pool_keep(uint32_t mask, float x) { /* x or 0 */
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits &= mask;
    memcpy(&x, &bits, sizeof x);
    return x;
}
GLIA_CPU_INLINE float glia__pool_choose(uint32_t mask, float a, float b) {
    uint32_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    x = (x & mask) | (y & ~mask);
    memcpy(&a, &x, sizeof a);
    return a;
}

/* Runs the block for every window: y[to] belongs to x[plane + i * (p).x.h + j * (p).x.w] for i in [h0, h1), j in
 * [w0, w1). */
#define GLIA_FOR_WINDOWS(p, ...)                                                        \
    for (int64_t n = 0; n < (p).n; n++)                                                 \
        for (int64_t c = 0; c < (p).c; c++)                                             \
            for (int64_t h = 0; h < (p).h.out; h++)                                     \
                for (int64_t w = 0; w < (p).w.out; w++) {                               \
                    int64_t h0, h1, w0, w1, plane = n * (p).x.n + c * (p).x.c;          \
                    int64_t to = n * (p).y.n + c * (p).y.c + h * (p).y.h + w * (p).y.w; \
                    glia__pool_span(&(p).h, h, &h0, &h1);                               \
                    glia__pool_span(&(p).w, w, &w0, &w1);                               \
                    __VA_ARGS__                                                         \
                }

#endif
