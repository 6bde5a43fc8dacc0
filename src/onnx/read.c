/* read.c: what read functions are given: inputs as values or as numbers, attributes, refusals. */

#include "onnx/read.h"

#include <stdio.h>

#include "onnx/import.h"

/* --- results ------------------------------------------------------------------------------------------------ */

glia_value *glia__onnx_refuse(glia_onnx_read *r, const char *format, ...) {
    char why[400];
    va_list args;
    if (r->refused) return NULL;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    glia__onnx_add_refusal(r->import, r->node, why);
    r->refused = true;
    return NULL;
}

glia_value *glia__onnx_const(glia_onnx_read *r, glia_dtype dtype, const glia_shape *shape, const void *data) {
    glia_tensor tensor = glia_tensor_wrap((void *)(uintptr_t)data, dtype, *shape);
    return glia_graph_const(r->graph, &tensor);
}

glia_value *glia__onnx_filled(glia_onnx_read *r, glia_dtype dtype, const glia_shape *shape,
                              const void *data) {
    const size_t size = glia_dtype_bytes(dtype);
    const int64_t elems = glia_shape_elems(shape);
    if (elems < 0 || (size_t)elems > r->import->fold_budget / size)
        return glia__onnx_refuse(r, "a constant of this size is too large");
    char *filled = glia__alloc(r->graph->allocator, (size_t)elems * size);
    if (!filled) return glia__onnx_refuse(r, "out of memory");
    for (int64_t i = 0; i < elems; i++) memcpy(filled + (size_t)i * size, data, size);
    r->import->fold_budget -= (size_t)elems * size;
    glia_value *value = glia__onnx_const(r, dtype, shape, filled);
    glia__free(r->graph->allocator, filled, (size_t)elems * size);
    return value;
}

glia_value *glia__onnx_count(glia_onnx_read *r, const glia_shape *shape) {
    const int64_t elems = glia_shape_elems(shape);
    if (elems < 0 || (size_t)elems > r->import->fold_budget / sizeof(int64_t))
        return glia__onnx_refuse(r, "a constant of this size is too large");
    int64_t *numbers = glia__alloc(r->graph->allocator, (size_t)elems * sizeof *numbers);
    if (!numbers) return glia__onnx_refuse(r, "out of memory");
    for (int64_t i = 0; i < elems; i++) numbers[i] = i;
    glia_value *value = glia__onnx_const(r, GLIA_I64, shape, numbers);
    glia__free(r->graph->allocator, numbers, (size_t)elems * sizeof *numbers);
    return value;
}

void glia__onnx_set_ints(glia_onnx_read *r, const glia_onnx_ints *ints, glia_dtype dtype) {
    int64_t wide[GLIA_ONNX_MOST_INTS];
    int32_t narrow[GLIA_ONNX_MOST_INTS];
    bool known = true;
    for (int i = 0; i < ints->count; i++) {
        known = known && ints->at[i].kind == GLIA_ONNX_INT_KNOWN;
        wide[i] = ints->at[i].value;
        narrow[i] = (int32_t)ints->at[i].value;
    }
    if (known) {
        glia_shape shape = {.rank = ints->rank, .dim = {ints->rank ? ints->count : 0}};
        const void *data = dtype == GLIA_I32 ? (const void *)narrow : wide;
        r->out[0] = glia__onnx_const(r, dtype, &shape, data);
        return;
    }
    glia_onnx_ints *kept = glia__arena_copy(&r->import->arena, ints, sizeof *ints);
    if (kept)
        kept->at = glia__arena_copy(&r->import->arena, ints->at, (size_t)ints->count * sizeof *ints->at);
    if (!kept || !kept->at) {
        (void)glia_error_set(&r->import->error, GLIA_OUT_OF_MEMORY,
                             "out of memory while reading an ONNX model");
        return;
    }
    glia_onnx_slot *slot = glia__onnx_slot(r->import, r->node->outputs[0], false);
    slot->ints = kept;
    slot->ints_dtype = dtype;
}

/* --- inputs ------------------------------------------------------------------------------------------------- */

bool glia__onnx_has(const glia_onnx_read *r, int i) {
    return i >= 0 && i < r->n_in && *r->node->inputs[i];
}

bool glia__onnx_frozen(const glia_onnx_read *r) {
    return r->import->options->frozen == GLIA_YES;
}

bool glia__onnx_opened_batch(const glia_onnx_read *r) {
    return r->import->opened_batch;
}

static glia_onnx_slot *slot_in(const glia_onnx_read *r, int i) {
    return glia__onnx_has(r, i) ? glia__onnx_slot(r->import, r->node->inputs[i], false) : NULL;
}

static bool tensor_ready(glia_onnx_read *r, glia_onnx_tensor *t) {
    glia_error err = {0};
    glia_status status = glia__onnx_tensor_check(r->import->file, t, &err);
    if (status != GLIA_OK && r->import->error.status == GLIA_OK) r->import->error = err;
    if (status == GLIA_OK && t->dtype == GLIA_DTYPE_COUNT)
        (void)glia__onnx_refuse(r, "'%s' has the type %s, which is not supported", t->name ? t->name : "",
                                glia__onnx_dtype_name(t->data_type));
    return status == GLIA_OK && t->dtype != GLIA_DTYPE_COUNT;
}

bool glia__onnx_use_tensor(glia_onnx_read *r, glia_onnx_tensor *tensor, glia_tensor *out) {
    if (!tensor_ready(r, tensor)) return false;
    *out = glia_tensor_wrap((void *)(uintptr_t)tensor->data, tensor->dtype, tensor->shape);
    return true;
}

/* The slot's initialiser with type and data checked; NULL, and refused, when it is not to be used. */
static const glia_onnx_tensor *initializer(glia_onnx_read *r, const glia_onnx_slot *slot) {
    return tensor_ready(r, slot->initializer) ? slot->initializer : NULL;
}

static glia_tensor tensor_of(const glia_onnx_tensor *t) {
    return glia_tensor_wrap((void *)(uintptr_t)t->data, t->dtype, t->shape);
}

static glia_value *constant_of(glia_onnx_read *r, glia_onnx_slot *slot) {
    if (slot->constant) return slot->constant;
    const glia_onnx_tensor *t = slot->known ? NULL : initializer(r, slot);
    if (!slot->known && !t) return NULL;
    slot->constant = slot->known ? glia_graph_const(r->graph, slot->known)
                                 : glia__onnx_const(r, t->dtype, &t->shape, t->data);
    if (slot->constant) slot->constant->file_name = glia__arena_strdup(&r->graph->arena, slot->name);
    return slot->constant;
}

/* Parameters are arrays of f32, or of f16, which become such. Numbers alone are not: exporters write ε and the like so. */
static bool is_parameter(const glia_onnx_read *r, const glia_onnx_tensor *t) {
    return r->import->options->parameters.make && t->shape.rank > 0 &&
           (t->data_type == GLIA_ONNX_F32 || t->data_type == GLIA_ONNX_F16);
}

static glia_value *source_of(glia_onnx_read *r, glia_onnx_slot *slot, bool trained) {
    const glia_onnx_tensor *t = initializer(r, slot);
    if (!t) return NULL;
    if (!is_parameter(r, t)) return constant_of(r, slot);
    const glia_onnx_parameters *to = &r->import->options->parameters;
    const glia_tensor data = tensor_of(t);
    return slot->value = to->make(to->ctx, slot->name, &data, trained);
}

static glia_value *value_in(glia_onnx_read *r, int i, bool trained) {
    glia_onnx_slot *slot = slot_in(r, i);
    if (!slot) return NULL;
    if (slot->value) return slot->value;
    if (slot->initializer) return source_of(r, slot, trained);
    return glia__onnx_refuse(r, "'%s' depends on a dimension that is known only when the model runs",
                             slot->name);
}

glia_value *glia__onnx_in(glia_onnx_read *r, int i) {
    return value_in(r, i, true);
}

glia_value *glia__onnx_state_in(glia_onnx_read *r, int i) {
    return value_in(r, i, false);
}

void glia__onnx_update(glia_onnx_read *r, glia_value *state, glia_value *update) {
    const glia_onnx_parameters *to = &r->import->options->parameters;
    if (to->make && to->update && glia_value_get_kind(state) == GLIA_VALUE_PARAM)
        to->update(to->ctx, state, update);
}

bool glia__onnx_tensor_in(glia_onnx_read *r, int i, glia_tensor *out) {
    glia_onnx_slot *slot = slot_in(r, i);
    if (!slot) return false;
    const glia_value *value = slot->value;
    if ((slot->initializer || slot->known) && (!value || value->kind != GLIA_VALUE_CONST))
        value = constant_of(r, slot);
    if (value && value->kind == GLIA_VALUE_CONST) {
        *out = glia_tensor_wrap((void *)(uintptr_t)value->data, value->type.dtype, value->type.shape);
        return true;
    }
    (void)glia__onnx_refuse(r, "input %d ('%s') must be constant here", i, slot->name);
    return false;
}

bool glia__onnx_number_in(glia_onnx_read *r, int i, double *out) {
    glia_tensor tensor;
    if (!glia__onnx_tensor_in(r, i, &tensor)) return false;
    if (glia_shape_elems(&tensor.shape) != 1) {
        (void)glia__onnx_refuse(r, "input %d must be one number", i);
        return false;
    }
    *out = glia_tensor_get(&tensor, 0);
    return true;
}

static int64_t whole(const glia_tensor *t, int64_t i) {
    int64_t wide;
    int32_t narrow;
    if (t->dtype == GLIA_I64) {
        memcpy(&wide, (const char *)t->data + i * 8, sizeof wide);
        return wide;
    }
    memcpy(&narrow, (const char *)t->data + i * 4, sizeof narrow);
    return narrow;
}

bool glia__onnx_dims_in(glia_onnx_read *r, int i, glia_shape *out) {
    glia_tensor tensor;
    if (!glia__onnx_tensor_in(r, i, &tensor)) return false;
    const int64_t count = glia_shape_elems(&tensor.shape);
    if ((tensor.dtype != GLIA_I64 && tensor.dtype != GLIA_I32) || tensor.shape.rank > 1 ||
        count > GLIA_MAX_RANK) {
        (void)glia__onnx_refuse(r, "input %d must be up to %d whole numbers", i, GLIA_MAX_RANK);
        return false;
    }
    *out = (glia_shape){.rank = (int32_t)count};
    for (int64_t k = 0; k < count; k++) out->dim[k] = whole(&tensor, k);
    return true;
}

bool glia__onnx_ints_in(glia_onnx_read *r, int i, glia_onnx_ints *out) {
    const glia_onnx_slot *slot = slot_in(r, i);
    if (!slot) return false;
    if (slot->ints) {
        *out = *slot->ints;
        return true;
    }
    glia_tensor t;
    if (slot->value && slot->value->kind == GLIA_VALUE_CONST) {
        t = glia_tensor_wrap((void *)(uintptr_t)slot->value->data, slot->value->type.dtype,
                             slot->value->type.shape);
    } else if (slot->known) {
        t = *slot->known;
    } else if (slot->initializer && glia__onnx_dtype(slot->initializer->data_type) != GLIA_F32) {
        const glia_onnx_tensor *initial = initializer(r, slot);
        if (!initial) return false;
        t = tensor_of(initial);
    } else {
        return false;
    }
    const int64_t count = glia_shape_elems(&t.shape);
    if ((t.dtype != GLIA_I64 && t.dtype != GLIA_I32) || t.shape.rank > 1 || count > GLIA_ONNX_MOST_INTS)
        return false;
    glia_onnx_int *ints = glia__arena_alloc(&r->import->arena, ((size_t)count + 1) * sizeof *ints);
    if (!ints) return false;
    for (int64_t k = 0; k < count; k++) ints[k].value = whole(&t, k);
    *out = (glia_onnx_ints){t.shape.rank, (int)count, ints};
    return true;
}

int glia__onnx_carried_in(const glia_onnx_read *r, int i) {
    const glia_onnx_slot *slot = slot_in(r, i);
    return slot ? slot->carried : 0;
}

bool glia__onnx_type_in(glia_onnx_read *r, int i, glia_type *out) {
    const glia_onnx_slot *slot = slot_in(r, i);
    if (!slot) return false;
    if (slot->value) {
        *out = slot->value->type;
    } else if (slot->ints) {
        *out = (glia_type){slot->ints_dtype, {slot->ints->rank, {slot->ints->rank ? slot->ints->count : 0}}};
    } else {
        const glia_onnx_tensor *t = initializer(r, slot);
        if (!t) return false;
        *out = (glia_type){t->dtype, t->shape};
    }
    return true;
}

/* --- attributes --------------------------------------------------------------------------------------------- */

static const glia_onnx_attr *find_attr(const glia_onnx_read *r, const char *name, size_t *at) {
    for (size_t i = 0; i < r->node->n_attrs; i++)
        if (r->node->attrs[i].name && strcmp(r->node->attrs[i].name, name) == 0) {
            *at = i;
            return &r->node->attrs[i];
        }
    return NULL;
}

bool glia__onnx_has_attr(const glia_onnx_read *r, const char *name) {
    size_t at;
    return find_attr(r, name, &at);
}

const glia_onnx_attr *glia__onnx_attr(glia_onnx_read *r, const char *name) {
    size_t at;
    const glia_onnx_attr *attr = find_attr(r, name, &at);
    if (attr && at < 64) r->asked |= UINT64_C(1) << at;
    return attr;
}

/* The attribute when it has this type; files before IR 3 do not say. */
static const glia_onnx_attr *attr_of(glia_onnx_read *r, const char *name, glia_onnx_attr_type type) {
    const glia_onnx_attr *attr = glia__onnx_attr(r, name);
    if (!attr || attr->type == (int64_t)type || attr->type == 0) return attr;
    (void)glia__onnx_refuse(r, "the attribute '%s' has the wrong type", name);
    return NULL;
}

void glia__onnx_ignore(glia_onnx_read *r, const char *name) {
    (void)glia__onnx_attr(r, name);
}

int64_t glia__onnx_int(glia_onnx_read *r, const char *name, int64_t initial) {
    const glia_onnx_attr *attr = attr_of(r, name, GLIA_ONNX_INT);
    return attr ? attr->i : initial;
}

double glia__onnx_float(glia_onnx_read *r, const char *name, double initial) {
    const glia_onnx_attr *attr = attr_of(r, name, GLIA_ONNX_FLOAT);
    return attr ? (double)attr->f : initial;
}

int glia__onnx_choice(glia_onnx_read *r, const char *name, const char *choices, int initial) {
    const glia_onnx_attr *attr = attr_of(r, name, GLIA_ONNX_STRING);
    if (!attr) return initial;
    int index = 0;
    for (const char *word = choices; word; index++) {
        const char *bar = strchr(word, '|');
        const size_t length = bar ? (size_t)(bar - word) : strlen(word);
        if (length == attr->s_bytes && memcmp(word, attr->s ? attr->s : "", length) == 0) return index;
        word = bar ? bar + 1 : NULL;
    }
    (void)glia__onnx_refuse(r, "%s '%.*s' is not supported", name, (int)GLIA_MIN(attr->s_bytes, 60),
                            attr->s_bytes ? (const char *)attr->s : "");
    return -1;
}

bool glia__onnx_int_list(glia_onnx_read *r, const char *name, int64_t *out, int capacity, int *count) {
    const glia_onnx_attr *attr = attr_of(r, name, GLIA_ONNX_INTS);
    if (!attr) return false;
    if (attr->n_ints > (size_t)capacity || (*count >= 0 && attr->n_ints != (size_t)*count)) {
        (void)glia__onnx_refuse(r, "the attribute '%s' has %zu numbers; expected %s%d", name, attr->n_ints,
                                *count >= 0 ? "" : "up to ", *count >= 0 ? *count : capacity);
        return false;
    }
    *count = (int)attr->n_ints;
    for (size_t i = 0; i < attr->n_ints; i++) out[i] = attr->ints[i];
    return true;
}

bool glia__onnx_dims(glia_onnx_read *r, const char *name, glia_shape *out) {
    int count = -1;
    *out = (glia_shape){0};
    if (!glia__onnx_int_list(r, name, out->dim, GLIA_MAX_RANK, &count)) return false;
    out->rank = count;
    return true;
}

bool glia__onnx_dims_of(glia_onnx_read *r, const char *attr, int since, int input, glia_shape *out) {
    *out = (glia_shape){0};
    return r->opset < since ? glia__onnx_dims(r, attr, out) : glia__onnx_dims_in(r, input, out);
}
