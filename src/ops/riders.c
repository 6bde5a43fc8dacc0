/* riders.c: what may ride on a convolution or a dense layer's product: checks, and the loops of their refs. */
#include "ops/riders.h"
#include "graph/to_onnx.h"

glia_status glia__check_residual(const glia_type *in, int n_in, const glia_type *out, glia_error *err) {
    char expected[160], found[160];
    if (!glia__has_residual(in, n_in)) return GLIA_OK;
    const glia_type *residual = &in[GLIA_RESIDUAL];
    if (residual->dtype == out->dtype && glia_shape_equal(&residual->shape, &out->shape)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "expected a residual %s, found %s",
                          glia__type_text(out, expected, sizeof expected),
                          glia__type_text(residual, found, sizeof found));
}

uint32_t glia__rows_first_and_residual(const glia_type *in, int n_in, const void *attrs) {
    const uint32_t residual = glia__has_residual(in, n_in) ? 1u << GLIA_RESIDUAL : 0;
    return glia__rows_first(in, n_in, attrs) ? 1 | residual : 0;
}

void glia__finish_product(const glia_call *call, int activation) {
    const bool has_residual = call->n_in > GLIA_RESIDUAL && call->in[GLIA_RESIDUAL].data;
    const int64_t elems = glia_shape_elems(&call->out[0].shape);
    GLIA_FOR_FLOAT(call->out[0].dtype, {
        const T *residual = has_residual ? call->in[GLIA_RESIDUAL].data : NULL;
        T *y = call->out[0].data;
        for (int64_t i = 0; i < elems && residual; i++) y[i] += residual[i];
        for (int64_t i = 0; i < elems && activation == GLIA_FUSED_RELU; i++) y[i] = y[i] < 0 ? 0 : y[i];
    });
}

void glia__to_onnx_riders(glia_to_onnx *w, const char *y, bool relu) {
    if (*w->x[3]) y = GLIA_TO_ONNX(w, relu ? NULL : w->y[0], "Add", y, w->x[3]);
    if (relu) GLIA_TO_ONNX(w, w->y[0], "Relu", y);
}
