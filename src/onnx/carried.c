/* carried.c: see carried.h. Floats of 16 bits and less are computed in f32, which is at least as accurate: only where a file casts or
 * quantises are they rounded. Whole numbers are computed in i32 or i64 and wrapped to their type, after which they are what the
 * narrow type has. */

#include "onnx/carried.h"

#include "onnx/import.h"

const glia_narrow_type *glia__onnx_narrow(int64_t data_type) {
    for (size_t i = 0; i < GLIA_NARROW_COUNT; i++)
        if (glia__narrow_types[i].onnx == data_type && i != GLIA_NARROW_F32) return &glia__narrow_types[i];
    return NULL;
}

int glia__onnx_bits(int64_t data_type) {
    const glia_narrow_type *type = glia__onnx_narrow(data_type);
    return type ? type->bits : 8 * (int)glia_dtype_bytes(glia__onnx_dtype(data_type));
}

bool glia__onnx_is_float(int64_t data_type) {
    return glia_dtype_is_float(glia__onnx_dtype(data_type));
}

static uint32_t bits_at(const unsigned char *bits, size_t i, size_t width) {
    uint32_t x = 0;
    if (width < 8) return (uint32_t)bits[i * width / 8] >> i * width % 8 & ((1u << width) - 1);
    for (size_t b = 0; b < width / 8; b++) x |= (uint32_t)bits[i * width / 8 + b] << 8 * b;
    return x;
}

void glia__onnx_widen(const glia_narrow_type *type, const unsigned char *bits, size_t elems, void *wide) {
    const glia_narrow narrow = (glia_narrow)(type - glia__narrow_types);
    for (size_t i = 0; i < elems; i++) {
        const double x = glia__narrow_decode(narrow, bits_at(bits, i, (size_t)type->bits));
        if (type->carrier == GLIA_F32)
            ((float *)wide)[i] = (float)x;
        else if (type->carrier == GLIA_I32)
            ((int32_t *)wide)[i] = (int32_t)x;
        else
            ((int64_t *)wide)[i] = (int64_t)x;
    }
}

static glia_value *narrowed(glia_value *x, const glia_narrow_type *type, bool saturate) {
    return glia_op_narrow(x, (glia_narrow_attrs){.to = (int)(type - glia__narrow_types),
                                                 .saturate = saturate ? GLIA_YES : GLIA_NO});
}

static glia_value *as(glia_value *x, glia_dtype dtype) {
    return x && glia_value_dtype(x) == dtype ? x : glia_op_cast(x, dtype);
}

glia_value *glia__onnx_cast(glia_value *x, int64_t data_type, bool saturate) {
    const glia_narrow_type *type = glia__onnx_narrow(data_type);
    if (!x || !type) return glia_op_cast(x, glia__onnx_dtype(data_type)); /* keeps within the range as well */
    const glia_dtype from = glia_value_dtype(x);
    if (type->is_float) /* f64 holds whatever it is */
        return as(narrowed(from == GLIA_F32 ? x : as(x, GLIA_F64), type, saturate), GLIA_F32);
    const glia_dtype wide = glia_dtype_is_float(from) ? GLIA_I64 : type->carrier;
    return as(narrowed(as(x, wide), type, saturate), type->carrier);
}

int64_t glia__onnx_number_type(glia_onnx_read *r, int i) {
    glia_type type;
    const int carried = glia__onnx_carried_in(r, i);
    if (carried) return carried;
    return glia__onnx_type_in(r, i, &type) ? glia__onnx_dtype_number(type.dtype) : 0;
}

void glia__onnx_say_type(glia_onnx_read *r, int k, int64_t data_type) {
    if (k < r->n_out) r->carried[k] = glia__onnx_narrow(data_type) ? (int)data_type : 0;
}

/* The type that results follow: that of the first input which is no condition. */
static int followed(glia_onnx_read *r) {
    for (int i = 0; i < r->n_in; i++) {
        glia_type type;
        if (!glia__onnx_has(r, i)) continue;
        const int carried = glia__onnx_carried_in(r, i);
        if (carried || !glia__onnx_type_in(r, i, &type) || type.dtype != GLIA_BOOL) return carried;
    }
    return 0;
}

void glia__onnx_carry(glia_onnx_read *r) {
    const int follow = followed(r);
    const glia_narrow_type *type = glia__onnx_narrow(follow);
    for (int k = 0; k < r->n_out && type; k++) {
        if ((r->op && r->op->own_types >> k & 1) || !r->out[k]) continue;
        if (glia_value_dtype(r->out[k]) != type->carrier) continue;
        const glia_node *node = r->out[k]->node;
        if (!type->is_float && node && !(node->op->traits & GLIA_TRAIT_ALIAS))
            r->out[k] = narrowed(r->out[k], type, false);
        r->carried[k] = follow;
    }
}
