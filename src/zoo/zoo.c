/* zoo.c: what the networks share. */

#include "zoo/zoo.h"

#include <stdio.h>

void glia__zoo_begin(glia_value *x, const char *format, ...) {
    char name[64];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    glia_scope_begin(glia__model_of(x), name);
}

glia_value *glia__zoo_conv_norm(glia_value *x, const char *conv, const char *norm, int64_t filters,
                                int64_t kernel, int64_t stride, int64_t groups, const char *activation) {
    char padding[16];
    snprintf(padding, sizeof padding, "%d", (int)(kernel / 2));
    x = glia_conv2d(x, .filters = filters, .kernel = {kernel, kernel}, .strides = {stride, stride},
                    .groups = groups, .padding = kernel > 1 ? padding : NULL, .use_bias = GLIA_NO,
                    .kernel_initializer = "he_normal", .name = conv);
    return glia_batch_norm(x, .activation = activation, .name = norm);
}

int64_t glia__zoo_channels(const glia_value *x) {
    glia_shape shape = glia_value_shape(x);
    return shape.rank > 1 ? shape.dim[1] : 0;
}

bool glia__zoo_image(const glia_layer_build *b) {
    char text[96];
    if (glia_value_shape(b->inputs[0]).rank == 4) return true;
    (void)glia__layer_fail(b, GLIA_BAD_SHAPE,
                           "expects a 3-D input per example (channels×height×width), got %s",
                           glia__example_text(b->inputs[0], text, sizeof text));
    return false;
}
