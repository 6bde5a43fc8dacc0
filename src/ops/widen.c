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

enum { TILE = 2048 }; /* elements: three tiles of f32 are 24 KB */

size_t glia__tiled_bytes(const glia_type *type) {
    return GLIA_MIN(glia__widened_bytes(type), TILE * sizeof(float));
}

/* Elements begin … begin + n − 1 as one dimension. */
static glia_view tile_of(const glia_view *view, int64_t begin, int64_t n) {
    char *data = (char *)view->data + (size_t)begin * glia_dtype_bytes(view->dtype);
    return (glia_view){data, view->dtype, {.rank = 1, .dim = {n}}};
}

glia_status glia__run_tiled(const glia_call *call, glia_status (*loops)(const glia_call *)) {
    if (call->out[0].dtype != GLIA_BF16) return loops(call);
    const int64_t elems = glia_shape_elems(&call->out[0].shape);
    for (int64_t begin = 0; begin < elems; begin += TILE) {
        const int64_t n = GLIA_MIN(elems - begin, (int64_t)TILE);
        glia_view in[GLIA_MAX_INPUTS], out = tile_of(&call->out[0], begin, n);
        glia_call tile = *call;
        for (int i = 0; i < call->n_in; i++) in[i] = tile_of(&call->in[i], begin, n);
        tile.in = in;
        tile.out = &out;
        tile.first_elem += begin;
        GLIA_TRY(glia__run_widened(&tile, 0, loops));
    }
    return GLIA_OK;
}

glia_status glia__tiled_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                              glia_error *err) {
    (void)n_in, (void)attrs;
    GLIA_TRY(glia__check_float_or_bf16(&in[0], err));
    out[0] = in[0];
    return GLIA_OK;
}

size_t glia__tiled_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)attrs;
    return glia__tiled_bytes(&in[0]) + glia__tiled_bytes(&out[0]);
}
