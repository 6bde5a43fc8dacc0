/* widen.c: see widen.h. */

#include "ops/widen.h"

#include "core/bf16.h"

size_t glia__widened_bytes(const glia_type *type) {
    if (type->dtype != GLIA_BF16 || type->shape.rank < 0) return 0;
    return ((size_t)glia_shape_elems(&type->shape) * sizeof(float) + 63) / 64 * 64;
}

/* `view` as f32, with memory from *workspace. */
static glia_view widened(const glia_view *view, char **workspace) {
    glia_type type = {view->dtype, view->shape};
    glia_view wide = {*workspace, GLIA_F32, view->shape};
    *workspace += glia__widened_bytes(&type);
    return wide;
}

GLIA_CPU_CLONES(void, widen, (const uint16_t *restrict from, float *restrict to, int64_t n), (from, to, n)) {
    for (int64_t i = 0; i < n; i++) to[i] = glia__bf16_widen(from[i]);
}

GLIA_CPU_CLONES(void, narrow, (const float *restrict from, uint16_t *restrict to, int64_t n), (from, to, n)) {
    for (int64_t i = 0; i < n; i++) to[i] = glia__bf16_round(from[i]);
}

void glia__widen(const uint16_t *from, float *to, int64_t n) {
    widen(from, to, n);
}

void glia__narrow(const float *from, uint16_t *to, int64_t n) {
    narrow(from, to, n);
}

glia_status glia__run_widened(const glia_call *call, uint32_t shape_only,
                              glia_status (*loops)(const glia_call *)) {
    glia_view in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS];
    glia_call wide = *call;
    char *workspace = call->workspace;
    bool any = false;
    for (int i = 0; i < call->n_in; i++) {
        in[i] = call->in[i];
        if (in[i].dtype != GLIA_BF16) continue;
        any = true;
        in[i].dtype = GLIA_F32;
        if (shape_only >> i & 1) continue;
        in[i] = widened(&call->in[i], &workspace);
        widen(call->in[i].data, in[i].data, glia_shape_elems(&in[i].shape));
    }
    if (!any) return loops(call);
    for (int o = 0; o < call->n_out; o++)
        out[o] = call->out[o].dtype == GLIA_BF16 ? widened(&call->out[o], &workspace) : call->out[o];
    wide.in = in;
    wide.out = out;
    wide.workspace = workspace;
    GLIA_TRY(loops(&wide));
    for (int o = 0; o < call->n_out; o++)
        if (call->out[o].dtype == GLIA_BF16)
            narrow(out[o].data, call->out[o].data, glia_shape_elems(&out[o].shape));
    return GLIA_OK;
}
