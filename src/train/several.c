/* several.c: rows of numbers to the arrays that a model of several inputs and losses takes. */

#include "train/several.h"

#include <math.h>

#include "train/memory.h"

void glia__several_take(const float *rows, int64_t pitch, int64_t elems, int64_t count, glia_dtype dtype,
                        void *to) {
    for (int64_t n = 0; n < count; n++)
        for (int64_t i = 0; i < elems; i++) {
            const float x = rows[n * pitch + i];
            if (dtype == GLIA_I64)
                ((int64_t *)to)[n * elems + i] = llrintf(x);
            else if (dtype == GLIA_I32)
                ((int32_t *)to)[n * elems + i] = (int32_t)llrintf(x);
            else
                ((float *)to)[n * elems + i] = x;
        }
}

/* Takes `elems` numbers of every row to the next free place of the room, and binds them. */
static glia_status bind(glia_program *program, const glia_value *value, const float *rows, int64_t pitch,
                        int64_t count, char **place, glia_error *err) {
    const glia_dtype dtype = glia_value_dtype(value);
    const glia_shape shape = glia_value_shape(value);
    int64_t elems = 1;
    for (int d = 1; d < shape.rank; d++) elems *= shape.dim[d];
    if (dtype != GLIA_F32 && dtype != GLIA_I64 && dtype != GLIA_I32)
        return glia_error_set(err, GLIA_UNSUPPORTED, "input '%s' is %s; batches can be f32, i64 or i32",
                              glia_value_name(value), glia_dtype_name(dtype));
    glia__several_take(rows, pitch, elems, count, dtype, *place);
    GLIA_TRY(glia_program_bind(program, value, *place, err));
    *place += ((size_t)(count * elems) * glia_dtype_bytes(dtype) + 63) / 64 * 64;
    return GLIA_OK;
}

glia_status glia__several_bind(glia_runner *r, glia_program *program, const float *inputs,
                               const void *targets, int64_t count, glia_error *err) {
    const glia_model *model = r->model;
    const int64_t width = (int64_t)(glia__input_bytes(model) / sizeof(float));
    const int64_t target_width = r->head && targets ? glia_shape_elems(&r->head->target_type.shape) : 0;
    const size_t arrays = (size_t)model->n_inputs + (r->head ? (size_t)r->head->n_parts : 0);
    GLIA_TRY(glia__runner_reserve(r, (size_t)(count * (width + target_width)) * sizeof(int64_t) + arrays * 64,
                                  err));
    char *place = r->whole;
    for (int i = 0; i < model->n_inputs; i++) {
        const glia_shape shape = glia_value_shape(model->inputs[i]);
        GLIA_TRY(bind(program, model->inputs[i], inputs, width, count, &place, err));
        int64_t elems = 1;
        for (int d = 1; d < shape.rank; d++) elems *= shape.dim[d];
        inputs += elems;
    }
    for (int i = 0; targets && r->head && i < r->head->n_parts; i++) {
        const glia_loss_part *p = &r->head->parts[i];
        if (p->head)
            GLIA_TRY(bind(program, p->head->target, (const float *)targets + p->target_at, target_width,
                          count, &place, err));
    }
    return GLIA_OK;
}
