/* info.c: what a file says of itself. */

#include "onnx/proto.h"

int64_t glia_onnx_opset(const glia_onnx *file) {
    return file ? file->opset : 0;
}

const char *glia_onnx_producer(const glia_onnx *file) {
    return file && file->model.producer ? file->model.producer : "";
}

const char *glia_onnx_metadata(const glia_onnx *file, const char *key) {
    for (size_t i = 0; file && key && i < file->model.n_metadata; i++) {
        const glia_onnx_pair *pair = &file->model.metadata[i];
        if (pair->key && strcmp(pair->key, key) == 0) return pair->text ? pair->text : "";
    }
    return NULL;
}

const char *glia_onnx_metadata_key(const glia_onnx *file, size_t index) {
    if (!file || index >= file->model.n_metadata) return NULL;
    return file->model.metadata[index].key ? file->model.metadata[index].key : "";
}

size_t glia_onnx_nodes(const glia_onnx *file) {
    return file ? file->model.graph->n_nodes : 0;
}

const char *glia_onnx_operator(const glia_onnx *file, size_t node) {
    if (node >= glia_onnx_nodes(file)) return NULL;
    return file->model.graph->nodes[node].op_type ? file->model.graph->nodes[node].op_type : "";
}

const char *glia_onnx_input(const glia_onnx *file, size_t index) {
    return file && index < file->n_inputs ? file->inputs[index]->name : NULL;
}

const char *glia_onnx_output(const glia_onnx *file, size_t index) {
    return file && index < file->model.graph->n_outputs ? file->model.graph->outputs[index].name : NULL;
}

/* --- types of inputs ---------------------------------------------------------------------------------------- */

static const glia_onnx_dims *dims_of(const glia_onnx_value *value) {
    return value->type && value->type->tensor ? value->type->tensor->shape : NULL;
}

static bool is_open(const glia_onnx_dim *dim) {
    return !dim->has_value || dim->value < 0;
}

static bool same_name(const glia_onnx_dim *a, const glia_onnx_dim *b) {
    return a == b || (a->param && b->param && *a->param && strcmp(a->param, b->param) == 0);
}

/* The open dimensions of all inputs, in order; equal names are one. The number of `dim` among them becomes its symbol:
 * GLIA_DIM_BATCH is left out when the first dimension of the first input is not open. 0: not found, or too many. */
static int64_t symbol_of(const glia_onnx *file, const glia_onnx_dim *dim) {
    const glia_onnx_dim *found[GLIA_DIM_SYMBOLS];
    int count = 0;
    for (size_t i = 0; i < file->n_inputs; i++) {
        const glia_onnx_dims *dims = dims_of(file->inputs[i]);
        for (size_t k = 0; dims && k < dims->n_dims; k++) {
            const glia_onnx_dim *d = &dims->dims[k];
            if (i == 0 && k == 0 && !is_open(d)) found[count++] = d; /* keeps the batch's place */
            if (!is_open(d)) continue;
            int at = 0;
            while (at < count && !same_name(found[at], d)) at++;
            if (at == GLIA_DIM_SYMBOLS) return 0;
            if (at == count) found[count++] = d;
            if (same_name(d, dim)) return -1 - at;
        }
    }
    return 0;
}

static glia_status unsupported(const glia_onnx *file, const char *name, const char *why, glia_error *err) {
    (void)glia_error_set(err, GLIA_UNSUPPORTED, "the input '%s' %s", name, why);
    glia_error_at(err, file->path, 0, 0);
    return GLIA_UNSUPPORTED;
}

glia_status glia_onnx_input_type(const glia_onnx *file, size_t index, glia_dtype *dtype, glia_shape *shape,
                                 glia_error *err) {
    if (!file || index >= file->n_inputs)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "the model has no input %zu", index);
    const glia_onnx_value *value = file->inputs[index];
    const glia_onnx_dims *dims = dims_of(value);
    if (!value->type || !value->type->tensor) return unsupported(file, value->name, "is not a tensor", err);
    *dtype = glia__onnx_dtype(value->type->tensor->elem_type);
    if (*dtype == GLIA_DTYPE_COUNT)
        return unsupported(file, value->name, "has a type of numbers that Glia has no arrays of", err);
    if (!dims) return unsupported(file, value->name, "has an unknown number of dimensions", err);
    if (dims->n_dims > GLIA_MAX_RANK)
        return unsupported(file, value->name, "has more than 8 dimensions", err);
    *shape = (glia_shape){.rank = (int32_t)dims->n_dims};
    for (int i = 0; i < shape->rank; i++) {
        const glia_onnx_dim *dim = &dims->dims[i];
        shape->dim[i] = is_open(dim) ? symbol_of(file, dim) : dim->value;
        if (is_open(dim) && shape->dim[i] == 0)
            return unsupported(file, value->name, "belongs to a model with more than 8 open dimensions", err);
    }
    return GLIA_OK;
}
