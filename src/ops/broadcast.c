/* broadcast.c: see broadcast.h. */

#include "ops/broadcast.h"

/* Step of input `shape` along dimension `axis` of an output of rank `rank`. */
static int64_t step_along(const glia_shape *shape, int rank, int axis) {
    int own = axis - (rank - shape->rank);
    if (own < 0 || shape->dim[own] == 1) return 0;
    int64_t step = 1;
    for (int i = own + 1; i < shape->rank; i++) step *= shape->dim[i];
    return step;
}

void glia__broadcast_init(glia_broadcast *walk, const glia_shape *out, const glia_shape *const *in,
                          int n_in) {
    /* Built from the last dimension outwards, then turned round. */
    glia_broadcast back = {.rank = 0};
    for (int axis = out->rank - 1; axis >= 0; axis--) {
        if (out->dim[axis] == 1) continue;
        int last = back.rank - 1;
        bool merge = last >= 0;
        int64_t steps[GLIA_BROADCAST_INPUTS] = {0};
        for (int k = 0; k < n_in; k++) {
            steps[k] = step_along(in[k], out->rank, axis);
            merge = merge && steps[k] == back.step[k][last] * back.dim[last];
        }
        if (merge) {
            back.dim[last] *= out->dim[axis];
            continue;
        }
        for (int k = 0; k < n_in; k++) back.step[k][back.rank] = steps[k];
        back.dim[back.rank++] = out->dim[axis];
    }
    *walk = (glia_broadcast){.rank = back.rank, .dim = {1}};
    for (int i = 0; i < back.rank; i++) {
        walk->dim[i] = back.dim[back.rank - 1 - i];
        for (int k = 0; k < n_in; k++) walk->step[k][i] = back.step[k][back.rank - 1 - i];
    }
    if (walk->rank == 0) walk->rank = 1; /* a single element */
}

void glia__broadcast_run(const glia_call *call, glia__broadcast_row *row) {
    const glia_shape *shapes[GLIA_BROADCAST_INPUTS];
    const char *in[GLIA_BROADCAST_INPUTS] = {0};
    int64_t bytes[GLIA_BROADCAST_INPUTS] = {0}, inner_steps[GLIA_BROADCAST_INPUTS] = {0};
    for (int k = 0; k < call->n_in; k++) {
        shapes[k] = &call->in[k].shape;
        in[k] = call->in[k].data;
        bytes[k] = (int64_t)glia_dtype_bytes(call->in[k].dtype);
    }
    if (glia_shape_elems(&call->out[0].shape) == 0) return;
    glia_broadcast walk;
    glia__broadcast_init(&walk, &call->out[0].shape, shapes, call->n_in);
    int inner = walk.rank - 1;
    for (int k = 0; k < call->n_in; k++) inner_steps[k] = walk.step[k][inner];

    char *out = call->out[0].data;
    int64_t row_bytes = walk.dim[inner] * (int64_t)glia_dtype_bytes(call->out[0].dtype);
    int64_t at[GLIA_MAX_RANK] = {0};
    for (;;) {
        row(out, (const void *const *)in, inner_steps, walk.dim[inner]);
        out += row_bytes;
        int axis = inner - 1;
        for (; axis >= 0; axis--) { /* the next row: an odometer over the outer dimensions */
            at[axis]++;
            for (int k = 0; k < call->n_in; k++) in[k] += walk.step[k][axis] * bytes[k];
            if (at[axis] < walk.dim[axis]) break;
            for (int k = 0; k < call->n_in; k++) in[k] -= walk.step[k][axis] * bytes[k] * walk.dim[axis];
            at[axis] = 0;
        }
        if (axis < 0) return;
    }
}

#define COPY_ROW(type)                                                                           \
    static void copy_##type(void *out_, const void *const *in, const int64_t *step, int64_t n) { \
        const type *a = in[0];                                                                   \
        type *out = out_;                                                                        \
        if (step[0]) {                                                                           \
            memcpy(out, a, (size_t)n * sizeof *out);                                             \
        } else {                                                                                 \
            const type x = a[0];                                                                 \
            for (int64_t i = 0; i < n; i++) out[i] = x;                                          \
        }                                                                                        \
    }
COPY_ROW(uint8_t)
COPY_ROW(uint16_t)
COPY_ROW(uint32_t)
COPY_ROW(uint64_t)

void glia__broadcast_copy(const glia_call *call) {
    glia_call first = *call;
    first.n_in = 1;
    switch (glia_dtype_bytes(call->out[0].dtype)) {
    case 1:
        glia__broadcast_run(&first, copy_uint8_t);
        break;
    case 2:
        glia__broadcast_run(&first, copy_uint16_t);
        break;
    case 4:
        glia__broadcast_run(&first, copy_uint32_t);
        break;
    default:
        glia__broadcast_run(&first, copy_uint64_t);
        break;
    }
}

glia_status glia__infer_broadcast_float(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                        glia_error *err) {
    GLIA_TRY(glia__check_float(&in[0], err));
    return glia__infer_broadcast(in, n_in, attrs, out, err);
}
