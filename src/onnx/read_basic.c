/* read_basic.c: constants, types, and operators of any number of inputs. */

#include "onnx/carried.h"

/* --- constants ---------------------------------------------------------------------------------------------- */

/* The data of a tensor attribute, of whose type result 0 will be; false, and refused, when nothing carries it. */
static bool tensor_attr(glia_onnx_read *r, const char *name, glia_tensor *out) {
    const glia_onnx_attr *attr = glia__onnx_attr(r, name);
    if (!attr || !attr->tensor) return false;
    glia__onnx_say_type(r, 0, attr->tensor->data_type);
    return glia__onnx_use_tensor(r, attr->tensor, out);
}

static void read_constant(glia_onnx_read *r) {
    glia_tensor value;
    if (tensor_attr(r, "value", &value)) {
        r->out[0] = glia__onnx_const(r, value.dtype, &value.shape, value.data);
        return;
    }
    const glia_onnx_attr *f = glia__onnx_attr(r, "value_float"), *i = glia__onnx_attr(r, "value_int");
    const glia_onnx_attr *fs = glia__onnx_attr(r, "value_floats"), *is = glia__onnx_attr(r, "value_ints");
    const glia_shape one = {0};
    if (f) {
        r->out[0] = glia__onnx_const(r, GLIA_F32, &one, &f->f);
    } else if (i) {
        r->out[0] = glia__onnx_const(r, GLIA_I64, &one, &i->i);
    } else if (fs) {
        const glia_shape shape = {1, {(int64_t)(fs->floats_bytes / 4)}};
        r->out[0] = glia__onnx_const(r, GLIA_F32, &shape, fs->floats);
    } else if (is) {
        const glia_shape shape = {1, {(int64_t)is->n_ints}};
        r->out[0] = glia__onnx_const(r, GLIA_I64, &shape, is->ints);
    } else {
        (void)glia__onnx_refuse(r, "only numbers are supported as its value");
    }
}
GLIA_ONNX(constant) = {.op_type = "Constant", .own_types = 1, .read = read_constant};

/* The number stretched to the shape, whose open dimensions are those of symbols. */
static void read_constant_of_shape(glia_onnx_read *r) {
    glia_tensor value;
    glia_shape shape;
    if (!glia__onnx_dims_in(r, 0, &shape)) return;
    for (int i = 0; i < shape.rank; i++)
        if (shape.dim[i] < 0) (void)glia__onnx_refuse(r, "dimension %d is negative", i);
    if (r->refused) return;
    float zero = 0;
    if (!tensor_attr(r, "value", &value)) value = glia_tensor_wrap(&zero, GLIA_F32, (glia_shape){1, {1}});
    if (!r->refused) r->out[0] = glia__onnx_filled(r, value.dtype, &shape, value.data);
}
GLIA_ONNX(constant_of_shape) = {.op_type = "ConstantOfShape",
                                .min_inputs = 1,
                                .max_inputs = 1,
                                .own_types = 1,
                                .read = read_constant_of_shape};

/* --- types -------------------------------------------------------------------------------------------------- */

static void read_identity(glia_onnx_read *r) {
    r->out[0] = glia__onnx_in(r, 0);
}
GLIA_ONNX(identity) = {.op_type = "Identity", .min_inputs = 1, .max_inputs = 1, .read = read_identity};

/* Result 0 is input 0 as this type. */
static void cast_to(glia_onnx_read *r, int64_t type) {
    const bool saturate = glia__onnx_int(r, "saturate", 1) != 0;
    if (glia__onnx_dtype(type) == GLIA_DTYPE_COUNT) {
        (void)glia__onnx_refuse(r, "the type %s is not supported", glia__onnx_dtype_name(type));
        return;
    }
    r->out[0] = glia__onnx_cast(glia__onnx_in(r, 0), type, saturate);
    glia__onnx_say_type(r, 0, type);
}

static void read_cast(glia_onnx_read *r) {
    cast_to(r, glia__onnx_int(r, "to", 0));
}
GLIA_ONNX(cast) = {.op_type = "Cast", .min_inputs = 1, .max_inputs = 1, .own_types = 1, .read = read_cast};

/* The same bits: what whole numbers of a width have in common. */
static void read_bit_cast(glia_onnx_read *r) {
    const int64_t from = glia__onnx_number_type(r, 0), to = glia__onnx_int(r, "to", 0);
    if (from != 0 && glia__onnx_bits(from) == glia__onnx_bits(to) && !glia__onnx_is_float(from) &&
        !glia__onnx_is_float(to) && to != GLIA_ONNX_BOOL)
        cast_to(r, to);
    else
        (void)glia__onnx_refuse(r, "only whole numbers as whole numbers of the same width are supported");
}
GLIA_ONNX(bit_cast) = {.op_type = "BitCast",
                       .since = 26,
                       .min_inputs = 1,
                       .max_inputs = 1,
                       .own_types = 1,
                       .read = read_bit_cast};

static void read_cast_like(glia_onnx_read *r) {
    const int64_t type = glia__onnx_number_type(r, 1);
    if (type) cast_to(r, type);
}
GLIA_ONNX(cast_like) = {.op_type = "CastLike",
                        .since = 15,
                        .min_inputs = 2,
                        .max_inputs = 2,
                        .own_types = 1,
                        .read = read_cast_like};

/* --- outside of training they are their input ---------------------------------------------------------------- */

static void read_dropout(glia_onnx_read *r) {
    double rate = 0.5, training = 0;
    if (r->opset < 12) {
        rate = glia__onnx_float(r, "ratio", 0.5);
    } else {
        glia__onnx_ignore(r, "seed");
        if (glia__onnx_has(r, 1) && !glia__onnx_number_in(r, 1, &rate)) return;
        if (glia__onnx_has(r, 2) && !glia__onnx_number_in(r, 2, &training)) return;
        if (training != 0 && rate != 0) {
            (void)glia__onnx_refuse(r, "training_mode is not supported: Glia's own training decides");
            return;
        }
    }
    if (rate < 0 || rate >= 1) {
        (void)glia__onnx_refuse(r, "a ratio of %g is not supported", rate);
        return;
    }
    glia_value *x = glia__onnx_in(r, 0);
    r->out[0] = rate > 0 && !glia__onnx_frozen(r)
                    ? glia_op_dropout(x, (glia_dropout_attrs){.rate = rate, .stream = r->graph->n_nodes + 1})
                    : x;
    if (r->n_out > 1 && *r->node->outputs[1]) { /* the mask: all true */
        glia_type type;
        if (!glia__onnx_type_in(r, 0, &type)) return;
        const unsigned char one = 1;
        if (glia_shape_is_known(&type.shape)) r->out[1] = glia__onnx_filled(r, GLIA_BOOL, &type.shape, &one);
    }
}
GLIA_ONNX(dropout) = {.op_type = "Dropout", .min_inputs = 1, .max_inputs = 3, .read = read_dropout};

/* --- any number of inputs ------------------------------------------------------------------------------------- */

static glia_value *combine(glia_onnx_read *r, glia_value *(*op)(glia_value *, glia_value *)) {
    glia_value *y = glia__onnx_in(r, 0);
    for (int i = 1; i < r->n_in; i++) y = op(y, glia__onnx_in(r, i));
    return y;
}

static void read_sum(glia_onnx_read *r) {
    r->out[0] = combine(r, glia_op_add);
}
static void read_mean(glia_onnx_read *r) {
    r->out[0] = glia__scaled(combine(r, glia_op_add), 1.0 / r->n_in);
}
static void read_max(glia_onnx_read *r) {
    r->out[0] = combine(r, glia_op_maximum);
}
static void read_min(glia_onnx_read *r) {
    r->out[0] = combine(r, glia_op_minimum);
}
enum { MANY = 1 << 20 };
GLIA_ONNX(sum) = {.op_type = "Sum", .since = 8, .min_inputs = 1, .max_inputs = MANY, .read = read_sum};
GLIA_ONNX(mean) = {.op_type = "Mean", .since = 8, .min_inputs = 1, .max_inputs = MANY, .read = read_mean};
GLIA_ONNX(max) = {.op_type = "Max", .since = 8, .min_inputs = 1, .max_inputs = MANY, .read = read_max};
GLIA_ONNX(min) = {.op_type = "Min", .since = 8, .min_inputs = 1, .max_inputs = MANY, .read = read_min};

static bool is_whole(const glia_value *x) {
    return x && !glia_dtype_is_float(glia_value_dtype(x));
}

/* Whole numbers within their bounds, which have them exactly. */
static glia_value *clip_whole(glia_onnx_read *r, glia_value *x) {
    if (glia__onnx_has(r, 1)) x = glia_op_maximum(x, glia__onnx_in(r, 1));
    return glia__onnx_has(r, 2) ? glia_op_minimum(x, glia__onnx_in(r, 2)) : x;
}

/* A missing bound is none. */
static void read_clip(glia_onnx_read *r) {
    double low = -INFINITY, high = INFINITY;
    if (is_whole(glia__onnx_in(r, 0))) {
        r->out[0] = clip_whole(r, glia__onnx_in(r, 0));
        return;
    }
    if (r->opset < 11) {
        low = glia__onnx_float(r, "min", low);
        high = glia__onnx_float(r, "max", high);
    } else {
        if (glia__onnx_has(r, 1) && !glia__onnx_number_in(r, 1, &low)) return;
        if (glia__onnx_has(r, 2) && !glia__onnx_number_in(r, 2, &high)) return;
    }
    low = GLIA_MIN(low, high); /* where they cross, the upper one counts */
    r->out[0] = glia_op_clip(glia__onnx_in(r, 0), (glia_clip_attrs){.min = low, .max = high});
}
GLIA_ONNX(clip) = {.op_type = "Clip", .min_inputs = 1, .max_inputs = 3, .read = read_clip};

/* The exponent may be of another type than the base, which is that of the result. */
static void read_pow(glia_onnx_read *r) {
    glia_value *x = glia__onnx_in(r, 0), *y = glia__onnx_in(r, 1);
    if (x && y && glia_value_dtype(x) != glia_value_dtype(y)) y = glia_op_cast(y, glia_value_dtype(x));
    r->out[0] = glia_op_pow(x, y);
}
GLIA_ONNX(pow) = {.op_type = "Pow", .min_inputs = 2, .max_inputs = 2, .read = read_pow};

/* Of whole numbers the quotient is cut off, and the remainder has the sign of the divisor, unless fmod asks for C's. */
static void read_div(glia_onnx_read *r) {
    glia_value *a = glia__onnx_in(r, 0), *b = glia__onnx_in(r, 1);
    r->out[0] = is_whole(a) ? glia_op_trunc_div(a, b) : glia_op_div(a, b);
}
static void read_mod(glia_onnx_read *r) {
    glia_value *a = glia__onnx_in(r, 0), *b = glia__onnx_in(r, 1);
    r->out[0] = glia__onnx_int(r, "fmod", 0) ? glia_op_fmod(a, b) : glia_op_mod(a, b);
}
GLIA_ONNX(div) = {.op_type = "Div", .since = 7, .min_inputs = 2, .max_inputs = 2, .read = read_div};
GLIA_ONNX(mod) = {.op_type = "Mod", .since = 10, .min_inputs = 2, .max_inputs = 2, .read = read_mod};
